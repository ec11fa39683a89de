//! Random programs of several blocks: compiled regions against the interpreter.

use std::collections::HashMap;

use vm_core::{Exit, GuestMemory, GuestRange, Perms, Slot, Trap, TrapKind};
use vm_ir::arbitrary::{SLOTS, Shape, block as random_block};
use vm_ir::{BlockSource, Effort, Inst, Op, Order, SlotInfo, Target, Type, reference};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

use super::*;
use crate::config::{Config, Exact, TierPolicy};
use crate::hostfp;
use crate::region::{AtFaults, MemoryMode, RegionBlock, fixed_targets, store_run};
use crate::{Engine, Vcpu};

pub(super) const CODE: u64 = 0x20_0000;
const BLOCKS: u64 = 6;
pub(super) const FUEL: Slot = Slot::new(100);
pub(super) const MEMORY_LEN: usize = 0x1000;

/// The blocks of one program; anything else is unmapped.
struct Program(HashMap<BlockKey, Arc<Block>>);

impl BlockSource for Program {
    fn translate(&self, key: BlockKey, _memory: &dyn GuestMemory, _effort: Effort) -> Arc<Block> {
        let unmapped = || {
            let mut ir = IrBuilder::new(key);
            ir.mark(0, 4);
            Arc::new(ir.finish(End::Trap { kind: TrapKind::FetchUnmapped, at: Target(0), addr: Target(0) }, &[]))
        };
        self.0.get(&key).cloned().unwrap_or_else(unmapped)
    }

    fn helpers(&self) -> &'static [Helper] {
        &[]
    }

    fn slots(&self) -> &'static [SlotInfo] {
        SLOTS
    }
}

/// xorshift64*, to draw programs from a number.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn permits(inst: &Inst) -> bool {
    !matches!(inst.op, Op::VUnary | Op::VBinary | Op::VTernary | Op::SetMode | Op::Call)
}

fn random_program(random: &mut Random, memory: GuestAddr, faults: bool) -> Vec<Arc<Block>> {
    let targets: Vec<_> = (-4..=5).map(|step| Target(step * 64)).collect();
    let shape = Shape {
        permits,
        memory: GuestRange::new(memory, MEMORY_LEN as u64).unwrap(),
        faults,
        targets: &targets,
        modes: &[],
        permits_end: |end| !matches!(end, End::ModeChange { .. } | End::FlushCode { .. }),
        fuel: Some((FUEL, Target(0x10_0000))),
        ..Shape::default()
    };
    (0..BLOCKS)
        .map(|index| {
            let len = 1 + random.next() % 14;
            let seeds: Vec<_> = (0..len).map(|_| random.next()).collect();
            Arc::new(random_block(key(CODE + index * 64), &seeds, &shape))
        })
        .collect()
}

/// A region from every block, with every edge that stays among them.
fn plan(blocks: &[Arc<Block>], entry: usize, options: CompileOptions) -> RegionPlan {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.swap(0, entry);
    let place = |pc: GuestAddr| order.iter().position(|index| blocks[*index].key.pc == pc);
    let edges = |block: &Block| {
        let computed = matches!(block.end, End::Indirect { .. } | End::Return { .. } | End::IndirectCall { .. });
        let guesses = blocks.iter().take(if computed { 2 } else { 0 }).map(|block| block.key.pc);
        let mut edges: Vec<_> =
            fixed_targets(block).chain(guesses).filter_map(|pc| place(pc).map(|index| (pc, index))).collect();
        edges.dedup();
        edges
    };
    let blocks = order.iter().map(|index| RegionBlock {
        block: Arc::clone(&blocks[*index]),
        edges: edges(&blocks[*index]),
        entered: false,
    });
    let blocks: Vec<_> = blocks.collect();
    RegionPlan { entry: blocks[0].block.key, blocks, assumed: Vec::new(), options }
}

/// A state of all kinds of values; in every second one all doubles box singles, as regions expect of those that they read
/// such from over and over.
fn start(random: &mut Random) -> CpuState {
    let mut state = CpuState::new();
    let boxes = random.next().is_multiple_of(2);
    for info in SLOTS {
        let bits = match random.next() % 4 {
            0 => random.next(),
            1 => random.next() % 16,
            2 => (random.next() as i8) as u64,
            _ => [0, u64::MAX, 1 << 63, 0x7ff0_0000_0000_0000, 0xffff_ffff_3f80_0000, 0x7ff8_0000_0000_0001]
                [random.next() as usize % 6],
        };
        let above = if boxes && info.ty == Type::F64 { !Type::F32.mask() } else { 0 };
        state.set(info.slot, (bits | above) & info.ty.mask());
    }
    state.set(FUEL, 40);
    state.set_pc(GuestAddr::new(CODE));
    state
}

/// Guest memory and where its one mapping is. Tests run side by side in one address space, each at its own address.
pub(super) struct Memory {
    space: Arc<AddressSpace>,
    pub(super) start: GuestAddr,
}

impl Memory {
    pub(super) fn new(placement: Placement, start: u64) -> Self {
        let (space, start) = (AddressSpace::new(placement).unwrap(), GuestAddr::new(start));
        let request = MapRequest::anonymous(MEMORY_LEN as u64, Perms::READ | Perms::WRITE);
        space.map(request.at(Place::Fixed(start))).unwrap();
        Self { space: Arc::new(space), start }
    }

    fn contents(&self) -> Vec<u8> {
        let mut bytes = vec![0; MEMORY_LEN];
        self.space.read(self.start, &mut bytes).unwrap();
        bytes
    }
}

/// How a run ended: state, reason, memory.
type Outcome = (CpuState, Option<Trap>, Vec<u8>);

fn interpreted(memory: &Memory, blocks: &[Arc<Block>], begin: &CpuState) -> Outcome {
    let program = Program(blocks.iter().map(|block| (block.key, Arc::clone(block))).collect());
    let config = Config { tier: TierPolicy::Interpret, ..Config::default() };
    let engine = Engine::new(Arc::new(program), memory.space.clone(), config).unwrap();
    let mut vcpu: Vcpu = engine.vcpu();
    *vcpu.state_mut() = begin.clone();
    let trap = match vcpu.run() {
        Exit::Trap(trap) => Some(trap),
        Exit::Syscall | Exit::Interrupted | Exit::BudgetSpent | Exit::Uncompilable => None,
    };
    (vcpu.state().clone(), trap, memory.contents())
}

/// Does by definition what a run from `begin` does, and gives its last state and the trap that ended it. The state `from`,
/// which the run is to be taken up from, has to be one before an access in the last block.
fn replayed(memory: &Memory, blocks: &[Arc<Block>], begin: &CpuState, from: &CpuState) -> (CpuState, Option<Trap>) {
    let mut state = begin.clone();
    loop {
        let block = blocks.iter().find(|block| block.key.pc == state.pc()).expect("an access is in a block");
        let mut accesses: Vec<CpuState> = Vec::new();
        let watch = &mut |act: reference::Act<'_>| accesses.push(act.state.clone());
        match reference::run(block, &[], &mut state, &*memory.space, watch).left {
            reference::Left::Go => {}
            reference::Left::Trap(trap) => {
                let slots = |state: &CpuState| SLOTS.iter().map(|info| state.get(info.slot)).collect::<Vec<_>>();
                // Flags may be those of any moment up to the fault.
                let is_from = |access: &&CpuState| {
                    access.key() == from.key()
                        && slots(access) == slots(from)
                        && access.fp_flags() & !from.fp_flags() == 0
                        && from.fp_flags() & !state.fp_flags() == 0
                };
                assert!(
                    accesses.iter().any(|access| is_from(&access)),
                    "{from:?} is none of {accesses:?} before {state:?} in {}",
                    crate::region::RegionPlan::single(Arc::clone(block), CompileOptions::default())
                );
                return (state, Some(trap));
            }
            left @ (reference::Left::Syscall | reference::Left::Flush) => panic!("nothing faults before {left:?}"),
        }
    }
}

/// Runs the program in compiled regions, each block from a region of its own or, at random, where another region can be entered
/// at it. Every few entries, as `random` says, the run is asked to pass its loop.
fn compiled(
    memory: &Memory,
    fill: &[u8],
    blocks: &[Arc<Block>],
    begin: &CpuState,
    options: CompileOptions,
    random: &mut Random,
) -> Outcome {
    let space = &memory.space;
    let mut rig = Rig::new().with_memory(space.clone());
    if let Some(view) = space.flat() {
        rig.body().memory_base = view.base as u64;
        rig.body().memory_limit = view.limit;
    }
    *rig.state() = begin.clone();
    let mut codes: HashMap<GuestAddr, (CodePtr, Vec<GuestAddr>, u32)> = HashMap::new();
    let mut next_link = 0;
    hostfp::begin(begin.fp_flags());
    let trap = loop {
        let pc = rig.state().pc();
        let Some(entry) = blocks.iter().position(|block| block.key.pc == pc) else {
            break Some(Trap::Instruction { kind: TrapKind::FetchUnmapped, addr: pc });
        };
        let code = codes.get(&pc).map(|(code, ..)| *code).unwrap_or_else(|| {
            let plan = plan(blocks, entry, options);
            let links = plan.links();
            let first = next_link;
            next_link += (links.len() + plan.counters()) as u32;
            assert!(rig.links.len() as u32 > next_link);
            let code = hostfp::suspend(|| rig.compile_linked(&plan, first)); // the compiler calculates too
            codes.insert(pc, (code, links, first));
            for (pc, entry) in std::mem::take(&mut rig.entries) {
                if random.next().is_multiple_of(2) {
                    codes.entry(pc).or_insert((entry, Vec::new(), 0));
                }
            }
            code
        });
        if random.next().is_multiple_of(4) {
            rig.frame.nudge();
        }
        match rig.enter(code) {
            ExitCode::Continue => {}
            ExitCode::Link => {
                let number = rig.body().exit_value as u32;
                let target = codes
                    .values()
                    .find_map(|(_, links, first)| links.get(number.checked_sub(*first)? as usize).copied());
                let target = target.unwrap();
                rig.state().set_pc(target);
                // From now on the link is followed by generated code itself.
                if let Some((code, ..)) = codes.get(&target) {
                    rig.links[number as usize] = code.address();
                }
            }
            ExitCode::Syscall => break None,
            ExitCode::Trap => {
                let kind = TrapKind::ALL[rig.body().exit_value as usize];
                break Some(Trap::Instruction { kind, addr: GuestAddr::new(rig.body().exit_addr) });
            }
            ExitCode::Fault => {
                let addr = GuestAddr::new(rig.body().exit_addr);
                let fault = match rig.body().exit_value {
                    0 => space.read(addr, &mut [0]).unwrap_err(),
                    _ => space.compare_exchange(addr, 1, 0, 0).unwrap_err(),
                };
                break Some(Trap::Memory(fault));
            }
            ExitCode::Replay => {
                hostfp::restore(rig.body().take_step());
                let flags = hostfp::raised() | rig.state().fp_flags();
                rig.state().set_fp_flags(flags);
                let contents = memory.contents();
                space.write(memory.start, fill).unwrap();
                let (state, trap) = replayed(memory, blocks, begin, rig.state());
                return (state, trap, contents);
            }
            ExitCode::Declined => {
                let block = blocks.iter().find(|block| block.key.pc == rig.state().pc()).expect("it was compiled");
                let flags = hostfp::raised() | rig.state().fp_flags();
                rig.state().set_fp_flags(flags);
                match reference::run(block, &[], rig.state(), &**space, &mut |_| {}).left {
                    reference::Left::Go => hostfp::begin(rig.state().fp_flags()),
                    reference::Left::Trap(trap) => return (rig.state().clone(), Some(trap), memory.contents()),
                    reference::Left::Syscall => return (rig.state().clone(), None, memory.contents()),
                    reference::Left::Flush => unreachable!("no block ends in it"),
                }
            }
            ExitCode::Poll => assert!(!rig.frame.take_interrupt()),
            ExitCode::Flush => unreachable!("no block ends in it"),
        }
    };
    let flags = hostfp::raised() | rig.state().fp_flags();
    rig.state().set_fp_flags(flags);
    (rig.state().clone(), trap, memory.contents())
}

/// Random programs run alike.
fn agree(memory: &Memory, faults: bool, options: CompileOptions) {
    for seed in 0..programs() {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let blocks = random_program(&mut random, memory.start, faults);
        agree_on(memory, &blocks, options, random, &format!("program {seed}"));
    }
}

/// The program runs alike from a random state.
pub(super) fn agree_on(
    memory: &Memory,
    blocks: &[Arc<Block>],
    options: CompileOptions,
    mut random: Random,
    name: &str,
) {
    let begin = start(&mut random);
    let fill: Vec<u8> = (0..MEMORY_LEN).map(|_| random.next() as u8).collect();
    memory.space.write(memory.start, &fill).unwrap();
    let expected = interpreted(memory, blocks, &begin);
    memory.space.write(memory.start, &fill).unwrap();
    let found = compiled(memory, &fill, blocks, &begin, options, &mut random);
    let same = match (options.memory, expected.1, found.1) {
        (MemoryMode::Direct, Some(Trap::Memory(wanted)), Some(Trap::Memory(got))) => {
            // The host reports the load that begins a compare-and-swap loop as the read it is, so the direction is
            // not compared; and without exact registers only the program counter is promised.
            let state = expected.0 == found.0 || options.faults == Exact::Pc && expected.0.key() == found.0.key();
            wanted.addr() == got.addr() && state && expected.2 == found.2
        }
        (_, wanted, got) => wanted == got && expected.0 == found.0 && expected.2 == found.2,
    };
    assert!(
        same,
        "{name} {options:?}\nexpected {:?} {:?}\nfound {:?} {:?}\nbytes of memory that differ: {:x?}\n{}\nfrom {begin:?}",
        expected.1,
        expected.0,
        found.1,
        found.0,
        (0..MEMORY_LEN)
            .filter(|at| expected.2[*at] != found.2[*at])
            .map(|at| (at, fill[at], expected.2[at], found.2[at]))
            .collect::<Vec<_>>(),
        plan(blocks, 0, options)
    );
}

/// Number of programs for each test; more by an environment variable.
pub(super) fn programs() -> u64 {
    std::env::var("TRADUX_RANDOM_PROGRAMS").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

#[test]
fn in_place_with_faults() {
    crate::fault::install().unwrap();
    agree(&Memory::new(Placement::Direct, 0x20_0000), true, CompileOptions::default());
}

#[test]
fn in_place_with_faults_and_exact_registers() {
    crate::fault::install().unwrap();
    let options = CompileOptions { faults: Exact::Registers, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Direct, 0x30_0000), true, options);
}

/// A store, a load, a store with so much changed between them that they are replayed; each of them faults in turn. What comes
/// behind the one that does has no effect.
#[test]
fn replayed_accesses_fault_in_turn() {
    crate::fault::install().unwrap();
    let memory = Memory::new(Placement::Direct, 0xa0_0000);
    let (good, bad) = (memory.start.get(), memory.start.get() + MEMORY_LEN as u64);
    for fault in [None, Some(0), Some(1), Some(2)] {
        let mut ir = IrBuilder::new(key(CODE));
        let mut pc = 0;
        let mut change = |ir: &mut IrBuilder| {
            for (by, slot) in (1..).zip(SLOTS.iter().filter(|info| info.ty == Type::I64).map(|info| info.slot)) {
                ir.mark(pc, 4);
                pc += 4;
                let (value, by) = (ir.get(slot, Type::I64), ir.i64(by));
                let value = ir.add(value, by);
                ir.set(slot, value);
            }
            ir.mark(pc, 4);
            pc += 4;
        };
        for access in 0..3 {
            change(&mut ir);
            let addr = ir.i64(if fault == Some(access) { bad } else { good + 8 * access } as i64);
            let value = ir.get(SLOTS[0].slot, SLOTS[0].ty);
            if access == 1 {
                let loaded = ir.load(SLOTS[0].ty, addr, 0, Order::Plain);
                ir.set(SLOTS[0].slot, loaded);
            } else {
                ir.store(addr, 0, value, Order::Plain);
            }
        }
        change(&mut ir);
        let bytes = vec![0; pc as usize];
        let block = Arc::new(ir.finish(End::Syscall { next: Target(i64::from(pc)) }, &bytes));
        let options = CompileOptions { faults: Exact::Registers, ..CompileOptions::default() };
        assert_eq!(AtFaults::of(&block, &options, true, false), AtFaults::Replayed);
        agree_on(&memory, &[block], options, Random(1), &format!("fault of {fault:?}"));
    }
}

/// Stores beside one another, up or down, with a slot written before and behind, at the end of what is mapped: all of them
/// are refused, or some, or none.
#[test]
fn runs_of_stores_fault_as_single_stores_do() {
    const STORES: i64 = 5;
    crate::fault::install().unwrap();
    let memory = Memory::new(Placement::Direct, 0xa4_0000);
    let words: Vec<_> = SLOTS.iter().filter(|info| info.ty == Type::I64).map(|info| info.slot).collect();
    for (step, over) in [8, -8].into_iter().flat_map(|step| (-1..=STORES + 1).map(move |over| (step, over))) {
        let mut ir = IrBuilder::new(key(CODE));
        ir.mark(0, 4);
        let first = if step > 0 { over - STORES } else { over - 1 };
        let address = ir.i64(memory.start.get() as i64 + MEMORY_LEN as i64 + 8 * first);
        for slot in &words[5..12] {
            let value = ir.get(*slot, Type::I64);
            let value = ir.add(value, address);
            ir.set(*slot, value);
        }
        for store in 0..STORES {
            ir.mark(4 + 4 * store as u16, 4);
            let value = ir.get(words[store as usize], Type::I64);
            let by = ir.i64(store);
            let value = ir.add(value, by);
            ir.store(address, step * store, value, Order::Plain);
        }
        ir.mark(4 + 4 * STORES as u16, 4);
        ir.set(words[0], address);
        let bytes = vec![0; 8 + 4 * STORES as usize];
        let block = Arc::new(ir.finish(End::Syscall { next: Target(bytes.len() as i64) }, &bytes));
        let options = CompileOptions { faults: Exact::Registers, ..CompileOptions::default() };
        assert_eq!(AtFaults::of(&block, &options, true, false), AtFaults::Replayed);
        let run = (0..block.insts.len()).find_map(|at| store_run(&block, at));
        assert_eq!(run.map(|run| run.stores.len()), Some(STORES as usize));
        agree_on(&memory, &[block], options, Random(1), &format!("{over} stores of {STORES}, step {step}"));
    }
}

#[test]
fn in_place() {
    agree(&Memory::new(Placement::Direct, 0x40_0000), false, CompileOptions::default());
}

#[test]
fn with_a_base_and_faults_beyond_the_limit() {
    let options = CompileOptions { memory: MemoryMode::Based, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Reserved { size: 1 << 24 }, 0x50_0000), false, options);
}

#[test]
fn with_exact_registers() {
    let options = CompileOptions { faults: Exact::Registers, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Direct, 0x60_0000), false, options);
}

#[test]
fn through_checked_memory_with_faults() {
    let options = CompileOptions { memory: MemoryMode::Checked, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Reserved { size: 1 << 24 }, 0x70_0000), true, options);
}

#[test]
fn baseline_in_place_with_faults() {
    crate::fault::install().unwrap();
    let options = CompileOptions { faults: Exact::Registers, quality: Quality::Baseline, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Direct, 0x80_0000), true, options);
}

#[test]
fn baseline_in_place() {
    let options = CompileOptions { quality: Quality::Baseline, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Direct, 0x90_0000), false, options);
}
