//! One guest on several tiers, and on the plain evaluator that they are compared with.

use std::collections::BTreeMap;
use std::sync::Arc;

use vm_core::{CpuState, Exit, GuestAddr, GuestMemory, GuestRange, Perms, Trap};
use vm_engine::{Config, Engine, Exact, Vcpu};
use vm_ir::arbitrary::{Draw, Row, SLOTS};
use vm_ir::reference::{self, Left};
use vm_ir::{Block, End, Type};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

use crate::program::{BLOCK_BYTES, DATA_LEN, FUEL, Ground, Header, Program};

/// Blocks after which a run is taken for one without an end.
const MAX_BLOCKS: usize = 5000;

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    /// Why the run came back, each time, and with what state.
    exits: Vec<(Exit, CpuState)>,
    data: Vec<u8>,
}

impl Outcome {
    /// Whether `self`, of a tier of this exactness, agrees with what the evaluator says.
    fn agrees(&self, expected: &Self, exact: Exact) -> bool {
        let same = |((exit, state), (wanted_exit, wanted)): (&(Exit, CpuState), &(Exit, CpuState))| {
            let inexact = exact == Exact::Pc && matches!(wanted_exit, Exit::Trap(Trap::Memory(_)));
            exit == wanted_exit && if inexact { state.key() == wanted.key() } else { state == wanted }
        };
        self.exits.len() == expected.exits.len()
            && self.exits.iter().zip(&expected.exits).all(same)
            && self.data == expected.data
    }
}

/// Goes on after an exit, with the state changed for that if need be; false if the run is over.
pub(crate) type GoOn<'a> = &'a dyn Fn(Exit, &mut CpuState) -> bool;

/// One engine and its vCPU.
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    pub(crate) engine: Arc<Engine>,
    vcpu: Vcpu,
    /// Whether runs are interrupted, cut short and invalidated.
    disturbed: bool,
}

/// Guest memory, the tiers that share it, and what was run so far.
pub(crate) struct Machine {
    pub(crate) ground: Ground,
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) program: Arc<dyn Program>,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) coverage: Coverage,
}

/// What the evaluator carried out.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) rows: BTreeMap<Row, u64>,
    pub(crate) ends: BTreeMap<&'static str, u64>,
    pub(crate) exits: BTreeMap<&'static str, u64>,
    /// Runs given up because they did not end.
    pub(crate) endless: u64,
    /// Guest instructions begun, where they have names.
    pub(crate) instructions: BTreeMap<&'static str, u64>,
}

/// What a vCPU starts from.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) state: CpuState,
    pub(crate) data: Vec<u8>,
}

impl Start {
    pub(crate) fn draw(draw: &mut Draw, pc: GuestAddr, fuel: u64) -> Self {
        let mut state = CpuState::new();
        for info in SLOTS {
            match info.ty {
                Type::V128 => state.set128(info.slot, u128::from(draw.bits()) << 64 | u128::from(draw.bits())),
                ty => state.set(info.slot, draw.value(ty)),
            }
        }
        if fuel > 0 {
            state.set(FUEL, fuel);
        }
        state.set_pc(pc);
        state.set_mode(vm_core::Mode::new(draw.below(5) as u32));
        state.set_fp_flags(if draw.one_in(2) { 0 } else { draw.bits() });
        let data = (0..DATA_LEN / 8).flat_map(|_| draw.value(Type::I64).to_le_bytes()).collect();
        Self { state, data }
    }
}

impl Machine {
    /// Memory with room for `code_len` bytes of code, and no tiers.
    pub(crate) fn new(placement: Placement, ground: Ground, code_len: u64, program: Arc<dyn Program>) -> Self {
        let space = AddressSpace::new(placement).expect("room for guest memory");
        let map = |addr, len: u64, perms| {
            let request = MapRequest::anonymous(len.next_multiple_of(4096), perms).at(Place::FixedNoReplace(addr));
            space.map(request).expect("the place is free");
        };
        map(ground.code, code_len, Perms::READ | Perms::WRITE | Perms::EXECUTE);
        map(ground.data, DATA_LEN, Perms::READ | Perms::WRITE);
        Self { ground, space: Arc::new(space), program, tiers: Vec::new(), coverage: Coverage::default() }
    }

    pub(crate) fn tier(&mut self, name: &'static str, config: Config, disturbed: bool) {
        let (program, memory) = (Arc::clone(&self.program), Arc::clone(&self.space));
        let engine = Engine::new(program, memory, config).expect("a compiler is there");
        let vcpu = engine.vcpu();
        self.tiers.push(Tier { name, engine, vcpu, disturbed });
    }

    /// Writes a block's header; who has run the block before has to be told.
    pub(crate) fn put(&self, place: u64, header: Header) {
        self.space.write(self.ground.block(place), &header.bytes()).expect("code is writable");
    }

    /// Tells every tier that blocks may have changed: where, or only that.
    pub(crate) fn changed(&self, range: Option<GuestRange>) {
        for tier in &self.tiers {
            match range {
                Some(range) => tier.engine.invalidate(range),
                None => tier.engine.flush_code(),
            }
        }
    }

    fn fill(&self, start: &Start) {
        self.space.write(self.ground.data, &start.data).expect("data is writable");
    }

    fn data(&self) -> Vec<u8> {
        let mut data = vec![0; DATA_LEN as usize];
        self.space.read(self.ground.data, &mut data).expect("data is readable");
        data
    }

    /// What the evaluator says; `None` if the run does not end soon.
    fn expected(&mut self, start: &Start, go_on: GoOn<'_>) -> Option<Outcome> {
        self.fill(start);
        let mut state = start.state.clone();
        let mut exits = Vec::new();
        for _ in 0..MAX_BLOCKS {
            let block = self.program.lifted(state.key(), &*self.space);
            let ran = reference::run(&block, self.program.helpers(), &mut state, &*self.space, &mut |_| ());
            self.coverage.count(&block, ran.ops, &*self.program);
            let exit = match ran.left {
                Left::Go | Left::Flush => continue,
                Left::Syscall => Exit::Syscall,
                Left::Trap(trap) => Exit::Trap(trap),
            };
            *self.coverage.exits.entry(exit_name(&exit)).or_default() += 1;
            exits.push((exit, state.clone()));
            if !go_on(exit, &mut state) {
                return Some(Outcome { exits, data: self.data() });
            }
        }
        self.coverage.endless += 1;
        None
    }

    /// Runs from `start` on every tier; the first that disagrees with the evaluator.
    pub(crate) fn disagreement(&mut self, start: &Start, go_on: GoOn<'_>, draw: &mut Draw) -> Option<String> {
        let expected = self.expected(start, go_on)?;
        for index in 0..self.tiers.len() {
            self.fill(start);
            let exits = self.tiers[index].run(start, go_on, self.ground, draw);
            let found = Outcome { exits, data: self.data() };
            let tier = &self.tiers[index];
            if !found.agrees(&expected, tier.engine.exact()) {
                return Some(difference(tier.name, &*self.program, start, &expected, &found));
            }
        }
        None
    }

    /// The blocks of a program as text.
    pub(crate) fn text(&self, place: u64, count: u64, start: &Start) -> String {
        let key = |place| start.state.key().at(self.ground.block(place));
        let text = |place| self.program.lifted(key(place), &*self.space).to_string();
        (place..place + count).map(text).collect::<Vec<_>>().join("\n")
    }
}

impl Coverage {
    /// Counts what a run of `block` has begun, `ops` of its ops.
    fn count(&mut self, block: &Block, ops: usize, program: &dyn Program) {
        for inst in &block.insts[..ops] {
            *self.rows.entry(Row { op: inst.op, ty: inst.ty, from: inst.from }).or_default() += 1;
        }
        let whole = ops == block.insts.len();
        if whole {
            *self.ends.entry(end_name(&block.end)).or_default() += 1;
        }
        for mark in block.marks.iter().filter(|mark| whole || (mark.first as usize) < ops) {
            let bytes = block.bytes.get(usize::from(mark.offset)..).unwrap_or_default();
            if let Some(name) = program.instruction(bytes) {
                *self.instructions.entry(name).or_default() += 1;
            }
        }
    }
}

impl Tier {
    fn run(&mut self, start: &Start, go_on: GoOn<'_>, ground: Ground, draw: &mut Draw) -> Vec<(Exit, CpuState)> {
        *self.vcpu.state_mut() = start.state.clone();
        let mut exits = Vec::new();
        loop {
            let exit = if !self.disturbed {
                self.vcpu.run()
            } else {
                if draw.one_in(4) {
                    self.vcpu.interrupt_handle().interrupt();
                }
                if draw.one_in(2) { self.vcpu.run_for(1 + draw.bits() % 64) } else { self.vcpu.run() }
            };
            match exit {
                Exit::Syscall | Exit::Trap(_) | Exit::Uncompilable => {
                    exits.push((exit, self.vcpu.state().clone()));
                    if exit == Exit::Uncompilable || !go_on(exit, self.vcpu.state_mut()) {
                        return exits;
                    }
                }
                Exit::Interrupted | Exit::BudgetSpent => {
                    assert!(self.disturbed, "{exit:?}, and nobody asked for it");
                    if draw.one_in(16) {
                        let place = ground.block(draw.bits() % 8);
                        self.engine.invalidate(GuestRange::new(place, BLOCK_BYTES).expect("code does not wrap"));
                    }
                }
            }
        }
    }
}

fn end_name(end: &End) -> &'static str {
    match end {
        End::Jump { .. } => "jump",
        End::Branch { .. } => "branch",
        End::Call { .. } => "call",
        End::Indirect { .. } => "indirect",
        End::IndirectCall { .. } => "indirect_call",
        End::Return { .. } => "return",
        End::Syscall { .. } => "syscall",
        End::Trap { .. } => "trap",
        End::FlushCode { .. } => "flush_code",
        End::ModeChange { .. } => "mode_change",
    }
}

fn exit_name(exit: &Exit) -> &'static str {
    match exit {
        Exit::Syscall => "system call",
        Exit::Trap(Trap::Instruction { .. }) => "trap",
        Exit::Trap(Trap::Memory(_)) => "memory fault",
        Exit::Interrupted => "interrupted",
        Exit::BudgetSpent => "budget spent",
        Exit::Uncompilable => "uncompilable",
    }
}

fn difference(tier: &str, program: &dyn Program, start: &Start, expected: &Outcome, found: &Outcome) -> String {
    let mut lines = vec![format!("tier {tier}: {} exits, expected {}", found.exits.len(), expected.exits.len())];
    let mut pairs = found.exits.iter().zip(&expected.exits).enumerate();
    if let Some((index, ((exit, now), (wanted_exit, wanted)))) = pairs.find(|(_, (found, expected))| found != expected)
    {
        lines.push(format!("exit {index}: {exit:x?} at {}, expected {wanted_exit:x?} at {}", now.key(), wanted.key()));
        if now.fp_flags() != wanted.fp_flags() {
            lines.push(format!("flags {:#x}, expected {:#x}", now.fp_flags(), wanted.fp_flags()));
        }
        for info in program.slots() {
            let of = |state: &CpuState| match info.ty {
                Type::V128 => state.get128(info.slot),
                _ => u128::from(state.get(info.slot)),
            };
            if of(now) != of(wanted) {
                let (now, wanted, before) = (of(now), of(wanted), of(&start.state));
                lines.push(format!(
                    "{} ({}) {now:#x}, expected {wanted:#x}, at first {before:#x}",
                    info.name, info.slot
                ));
            }
        }
    }
    let places = found.data.iter().zip(&expected.data).enumerate().filter(|(_, (a, b))| a != b);
    lines.extend(places.take(16).map(|(at, (now, wanted))| format!("data {at:#x}: {now:#x}, expected {wanted:#x}")));
    lines.push(format!("from {:#x?}", start.state));
    lines.join("\n")
}
