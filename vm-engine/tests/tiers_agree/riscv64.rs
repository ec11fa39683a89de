//! Random riscv64 code, drawn from the rows of its table.
//!
//! Branches lead forward, so that hardly any program runs for ever; a trap or fault is stepped over, as a guest's handler could, so that what
//! follows is run too and the registers at each of them are compared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vm_core::{BlockKey, CpuState, Exit, GuestAddr, GuestArch, GuestMemory, Mode, Perms, Trap};
use vm_cross_arch_support::{Row, TranslationOptions, TranslationPipeline, riscv64};
use vm_engine::{Config, Exact, TierPolicy};
use vm_ir::arbitrary::Draw;
use vm_ir::{Block, BlockSource, Effect, Effort, End, Helper, HelperEffect, SlotInfo, Type};
use vm_mem::Placement;

use crate::machine::{Machine, Start};
use crate::program::{DATA_LEN, Ground, Program};

/// Bytes of a program.
const CODE_LEN: u64 = 512;

#[derive(Debug)]
struct Riscv64 {
    pipeline: TranslationPipeline,
    /// Blocks whose short branches were replaced.
    joined: AtomicUsize,
}

impl BlockSource for Riscv64 {
    fn translate(&self, key: BlockKey, memory: &dyn GuestMemory, effort: Effort) -> Arc<Block> {
        self.pipeline.translate(key, memory, effort)
    }

    fn translate_joined(&self, key: BlockKey, memory: &dyn GuestMemory) -> Option<Arc<Block>> {
        let joined = self.pipeline.translate_joined(key, memory)?;
        self.joined.fetch_add(1, Ordering::Relaxed);
        Some(joined)
    }

    fn helpers(&self) -> &'static [Helper] {
        self.pipeline.helpers()
    }

    fn slots(&self) -> &'static [SlotInfo] {
        self.pipeline.slots()
    }
}

impl Program for Riscv64 {
    fn lifted(&self, key: BlockKey, memory: &dyn GuestMemory) -> Block {
        self.pipeline.lift(key, memory)
    }

    fn instruction(&self, bytes: &[u8]) -> Option<&'static str> {
        let word = match *bytes {
            [a, b, c, d, ..] if a & 3 == 3 => u32::from_le_bytes([a, b, c, d]),
            [a, b, ..] if a & 3 != 3 => u32::from(u16::from_le_bytes([a, b])),
            _ => return None,
        };
        let table = self.pipeline.guest().table()?;
        table.decode(word, self.pipeline.extensions()).ok().map(|decoded| decoded.row.name)
    }
}

/// A word of the row: its fixed bits, the rest at random; sparse ones have short offsets.
fn fill(row: &Row, sparse: bool, draw: &mut Draw) -> u32 {
    let width = if row.pattern.bytes() == 2 { 0xffff } else { u32::MAX };
    let mut free = draw.bits() as u32;
    if sparse {
        free &= draw.bits() as u32 & draw.bits() as u32;
    }
    if row.name.starts_with("csrr") && !draw.one_in(4) {
        // The floating-point registers; few other numbers name any.
        free = free & 0xf_ffff | (1 + draw.below(3) as u32) << 20;
    }
    row.pattern.value() | free & !row.pattern.mask() & width
}

/// Instructions that a short branch may skip to be replaced by them.
const SKIPPED: [&str; 9] = ["add", "sub", "xor", "sltu", "addw", "addi", "andi", "slli", "c.mv"];
const BRANCHES: [&str; 6] = ["beq", "bne", "blt", "bge", "bltu", "bgeu"];

/// Code of a branch over one to three such instructions, with any registers.
fn short_branch(rows: &[&Row], draw: &mut Draw) -> Vec<u8> {
    let mut word = |names: &[&str]| {
        let name = draw.pick(names);
        let row = rows.iter().find(|row| row.name == name).expect("a row of the table");
        let word = (0..).map(|_| fill(row, false, draw)).find(|word| row.pattern.matches(*word));
        (word.expect("most words match"), row.pattern.bytes())
    };
    let (branch, _) = word(&BRANCHES);
    let skipped: Vec<_> = (0..=branch >> 30).take(3).map(|_| word(&SKIPPED)).collect();
    let distance: usize = 4 + skipped.iter().map(|(_, len)| len).sum::<usize>();
    // Bits 4 to 1 of the distance are bits 11 to 8 of the word; the others are clear (the manual, 2.3).
    let branch = branch & 0x01ff_f07f | (distance as u32 >> 1) << 8;
    let skipped = skipped.iter().flat_map(|(word, len)| word.to_le_bytes()[..*len].to_vec());
    branch.to_le_bytes().into_iter().chain(skipped).collect()
}

/// Whether the instruction in `block` may stand in a program: it goes on forward and within it, and reads no clock.
fn is_welcome(block: &Block, left: u64, helpers: &[Helper]) -> bool {
    let clock = |inst: &vm_ir::Inst| {
        inst.op.effect() == Effect::Calls && helpers[inst.imm as usize].effect == HelperEffect::Volatile
    };
    let within = |target: vm_ir::Target| (1..left as i64).contains(&target.0);
    let goes_on = match block.end {
        End::Jump { target } | End::Call { target, .. } => within(target),
        End::Branch { taken, fall, .. } => within(taken) && within(fall),
        End::Indirect { .. }
        | End::IndirectCall { .. }
        | End::Return { .. }
        | End::Syscall { .. }
        | End::Trap { .. }
        | End::FlushCode { .. }
        | End::ModeChange { .. } => true,
    };
    goes_on && !block.insts.iter().any(clock)
}

/// Writes a program of random instructions, and breakpoints behind the last.
fn write_program(machine: &Machine, single: &TranslationPipeline, draw: &mut Draw) {
    let rows: Vec<&Row> = single.guest().table().expect("the guest has a table").rows().collect();
    let code = machine.ground.code;
    let protect = |perms| machine.space.protect(code, CODE_LEN, perms).expect("code is mapped");
    // Programs that changed themselves without saying so would be no fair comparison.
    protect(Perms::READ | Perms::WRITE | Perms::EXECUTE);
    let mut offset = 0;
    while offset + 4 < CODE_LEN {
        let row = draw.pick(&rows);
        let at = code.offset(offset as i64);
        if offset + 16 < CODE_LEN && draw.one_in(16) {
            let bytes = short_branch(&rows, draw);
            machine.space.write(at, &bytes).expect("code is writable");
            offset += bytes.len() as u64;
            continue;
        }
        for attempt in 0..200 {
            let word = fill(row, attempt >= 20, draw);
            if !row.pattern.matches(word) {
                continue;
            }
            machine.space.write(at, &word.to_le_bytes()[..row.pattern.bytes()]).expect("code is writable");
            let block = single.lift(BlockKey::new(at, Mode::default()), &*machine.space);
            if is_welcome(&block, CODE_LEN - offset, single.helpers()) {
                offset += row.pattern.bytes() as u64;
                break;
            }
        }
    }
    let c_ebreak = [0x02, 0x90];
    while offset < CODE_LEN {
        machine.space.write(code.offset(offset as i64), &c_ebreak).expect("code is writable");
        offset += 2;
    }
    protect(Perms::READ | Perms::EXECUTE);
}

fn start(draw: &mut Draw, ground: Ground, slots: &[SlotInfo]) -> Start {
    let mut state = CpuState::new();
    for info in slots {
        let pointer = ground.data.get() + draw.bits() % (DATA_LEN - 64) / 16 * 16;
        let value = if info.ty == Type::I64 && !draw.one_in(3) { pointer } else { draw.value(info.ty) };
        state.set(info.slot, value);
    }
    state.set_pc(ground.code);
    state.set_mode(Mode::new(draw.below(5) as u32));
    let data = (0..DATA_LEN / 8).flat_map(|_| draw.value(Type::F64).to_le_bytes()).collect();
    Start { state, data }
}

/// Steps over an instruction that did not complete, as long as execution is in the program.
fn step_over(exit: Exit, state: &mut CpuState, memory: &dyn GuestMemory, code: GuestAddr) -> bool {
    let end = code.offset(CODE_LEN as i64);
    let within = |pc: GuestAddr| code <= pc && pc < end;
    match exit {
        Exit::Syscall => within(state.pc()),
        Exit::Trap(Trap::Memory(_) | Trap::Instruction { .. }) => {
            let mut low = [0; 1];
            if !within(state.pc()) || memory.fetch(state.pc(), &mut low).is_err() {
                return false;
            }
            let next = state.pc().offset(if low[0] & 3 == 3 { 4 } else { 2 });
            state.set_pc(next);
            within(next)
        }
        Exit::Interrupted | Exit::BudgetSpent | Exit::Uncompilable => false,
    }
}

/// Text of the program.
fn text(machine: &Machine, single: &TranslationPipeline) -> String {
    let mut lines = Vec::new();
    let mut offset = 0;
    while offset < CODE_LEN as i64 {
        let at = machine.ground.code.offset(offset);
        let mut bytes = [0; 4];
        machine.space.read(at, &mut bytes).expect("code is readable");
        let guest = single.guest();
        match guest.disassemble(&bytes, at.get(), single.extensions()) {
            Ok((text, len)) => {
                lines.push(format!("{at}  {text}"));
                offset += len as i64;
            }
            Err(error) => {
                lines.push(format!("{at}  {error}"));
                offset += if bytes[0] & 3 == 3 { 4 } else { 2 };
            }
        }
    }
    lines.join("\n")
}

#[test]
fn random_riscv64_programs() {
    let at = |offset: u64| GuestAddr::new(0x0bad_3000_0000 + offset);
    let ground = Ground { code: at(0), data: at(0x10_0000), stop: at(0x20_0000) };
    let pipeline = |options| TranslationPipeline::new(GuestArch::Riscv64, options).expect("the guest is built in");
    let pipeline_of_all = pipeline(TranslationOptions::default());
    let program = Arc::new(Riscv64 { pipeline: pipeline_of_all, joined: AtomicUsize::new(0) });
    let single = pipeline(TranslationOptions { max_instructions: 1, ..TranslationOptions::default() });
    let mut machine = Machine::new(Placement::Direct, ground, CODE_LEN, program.clone());
    machine.tier("interpreter", Config { tier: TierPolicy::Interpret, ..Config::default() }, false);
    machine.tier("compiled, exact", crate::compile(Exact::Registers), false);
    // Where instructions are counted, no branch is replaced.
    let uncounted = Config { count_instructions: false, ..crate::compile(Exact::Registers) };
    machine.tier("compiled, exact, without short branches", uncounted, false);
    machine.tier("baseline", Config { tier: TierPolicy::Baseline, ..crate::compile(Exact::Registers) }, false);
    let mut draw = crate::draw(0x5c);
    let slots = riscv64_slots(&single);
    for case in 0..crate::cases() / 50 {
        write_program(&machine, &single, &mut draw);
        machine.changed(draw.one_in(2).then_some(vm_core::GuestRange::new(ground.code, CODE_LEN).expect("no wrap")));
        for round in 0..2 {
            let start = start(&mut draw, ground, &slots);
            let space = Arc::clone(&machine.space);
            let go_on = |exit, state: &mut CpuState| step_over(exit, state, &*space, ground.code);
            if let Some(difference) = machine.disagreement(&start, &go_on, &mut draw) {
                panic!("program {case}, round {round}: {difference}\n{}", text(&machine, &single));
            }
        }
    }
    report(&machine, &single);
    let joined = program.joined.load(Ordering::Relaxed);
    println!("joined: {joined}");
    assert!(joined >= crate::WANTED as usize, "{joined} blocks were joined");
    crate::report_tiers(&machine);
}

/// The integer and floating-point registers; the reservation is the guest's own business.
fn riscv64_slots(pipeline: &TranslationPipeline) -> Vec<SlotInfo> {
    let last = riscv64::f(31);
    pipeline.slots().iter().copied().filter(|info| info.slot <= last).collect()
}

/// Prints how often each row was met, and panics if one was met too seldom.
fn report(machine: &Machine, pipeline: &TranslationPipeline) {
    let counts = &machine.coverage.instructions;
    println!("rows: {counts:?}\nends: {:?}\nexits: {:?}", machine.coverage.ends, machine.coverage.exits);
    let exits: u64 = machine.coverage.exits.values().sum();
    assert!(machine.coverage.endless * 100 < exits, "{} runs did not end", machine.coverage.endless);
    let rows: BTreeSet<&str> =
        pipeline.guest().table().expect("the guest has a table").rows().map(|row| row.name).collect();
    let met = |name: &&str| counts.get(name).copied().unwrap_or(0);
    let seldom: Vec<_> = rows.into_iter().filter(|name| met(name) < crate::WANTED).collect();
    assert!(seldom.is_empty(), "rows met fewer than {} times: {seldom:?}", crate::WANTED);
    assert_eq!(machine.coverage.ends.len(), 10, "lifters end blocks in every way");
}
