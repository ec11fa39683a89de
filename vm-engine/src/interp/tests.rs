//! Random blocks in their compact form against the plain evaluator of the IR.

use std::sync::{Arc, Mutex};

use vm_core::{
    BlockKey, CpuState, Exit, GuestAddr, GuestMemory, GuestRange, Mode, Perms, SLOT_COUNT, Slot, Trap, WORD_COUNT,
};
use vm_ir::arbitrary::{Draw, SLOTS, Shape, block as random_block};
use vm_ir::reference::{self, Left};
use vm_ir::{
    Block, BlockSource, Effort, End, Helper, HelperEffect, HelperFn, Inst, IrBuilder, Op, SlotInfo, Target, Type,
};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

use crate::testing::VecMemory;
use crate::{Config, Engine, TierPolicy, Vcpu};

const CODE: GuestAddr = GuestAddr::new(0x8000);
const DATA: GuestAddr = GuestAddr::new(0x1_0000);
const DATA_LEN: usize = 0x1000;

extern "C" fn mix(a: u64, b: u64, c: u64) -> u64 {
    a.wrapping_mul(31) ^ b.rotate_left(7) ^ c
}

/// Looks at everything that has to be up to date when it runs, and changes some of it.
extern "C" fn meddle(state: &mut CpuState, a: u64, _b: u64, _c: u64) -> u64 {
    let sum = SLOTS.iter().fold(a, |sum, info| sum.wrapping_mul(5) ^ state.get(info.slot));
    let flags = state.fp_flags();
    state.set_fp_flags(flags ^ sum & 3);
    let slot = Slot::new(3);
    state.set(slot, state.get(slot) ^ sum);
    sum ^ flags
}

const HELPERS: &[Helper] = &[
    Helper { name: "mix", args: 3, effect: HelperEffect::Pure, function: HelperFn::Values(mix) },
    Helper { name: "meddle", args: 1, effect: HelperEffect::State, function: HelperFn::State(meddle) },
];

/// Gives one block for every key.
#[derive(Default)]
struct OneBlock(Mutex<Option<Arc<Block>>>);

impl BlockSource for OneBlock {
    fn translate(&self, _key: BlockKey, _memory: &dyn GuestMemory, _effort: Effort) -> Arc<Block> {
        self.0.lock().unwrap().clone().expect("a block was put in")
    }

    fn helpers(&self) -> &'static [Helper] {
        HELPERS
    }

    fn slots(&self) -> &'static [SlotInfo] {
        SLOTS
    }
}

struct Rig {
    source: Arc<OneBlock>,
    memory: Arc<dyn GuestMemory>,
    engine: Arc<Engine>,
    vcpu: Vcpu,
}

impl Rig {
    fn new(memory: Arc<dyn GuestMemory>) -> Self {
        let source = Arc::new(OneBlock::default());
        // So little that the cache of blocks is started anew every now and then.
        let config = Config { tier: TierPolicy::Interpret, tier0_bytes: 200_000, ..Config::default() };
        let engine = Engine::new(source.clone(), memory.clone(), config).unwrap();
        let vcpu = engine.vcpu();
        Self { source, memory, engine, vcpu }
    }

    /// Runs `block` both ways from `state` and `data`.
    fn compare(&mut self, block: Block, state: &CpuState, data: &[u8]) -> Result<(), String> {
        let block = Arc::new(block);
        let mut wanted = state.clone();
        self.memory.write(DATA, data).unwrap();
        let mut by_op = false;
        let ran = reference::run(&block, HELPERS, &mut wanted, &*self.memory, &mut |act| {
            by_op |= matches!(act.inst.op, Op::ExitIf | Op::TrapIf) && act.args[0] != 0;
        });
        let mut wanted_data = vec![0; data.len()];
        self.memory.read(DATA, &mut wanted_data).unwrap();

        *self.source.0.lock().unwrap() = Some(Arc::clone(&block));
        self.memory.write(DATA, data).unwrap();
        self.engine.invalidate(GuestRange::new(CODE, 0x1000).unwrap());
        let before = self.engine.stats().tier0_instructions;
        *self.vcpu.state_mut() = state.clone();
        self.vcpu.state_mut().words_mut()[SLOT_COUNT..WORD_COUNT].fill(0xdead_beef_dead_beef);
        let exit = self.vcpu.run_for(1);

        let left = match ran.left {
            Left::Go | Left::Flush => Exit::BudgetSpent,
            Left::Syscall => Exit::Syscall,
            Left::Trap(trap) => Exit::Trap(trap),
        };
        let mut found_data = vec![0; data.len()];
        self.memory.read(DATA, &mut found_data).unwrap();
        let counted = self.engine.stats().tier0_instructions - before;
        let found = (exit, self.vcpu.state(), counted);
        let wanted = (left, &wanted, completed(&block, ran, by_op));
        if found == wanted && found_data == wanted_data {
            return Ok(());
        }
        Err(format!("found  {found:?}\nwanted {wanted:?}\nmemory agrees: {}", found_data == wanted_data))
    }
}

/// Guest instructions that a run of the plain evaluator completed. `by_op` says that an op left the block.
fn completed(block: &Block, ran: reference::Ran, by_op: bool) -> u64 {
    let of_op = || block.marks.partition_point(|mark| (mark.first as usize) < ran.ops) as u64 - 1;
    match (ran.left, block.end) {
        (Left::Trap(Trap::Memory(_)), _) => of_op(),
        (Left::Trap(Trap::Instruction { .. }), _) if by_op => of_op(),
        (Left::Go, _) if by_op => of_op() + 1,
        (Left::Trap(Trap::Instruction { .. }), End::Trap { at, .. }) => {
            block.marks.iter().filter(|mark| i64::from(mark.offset) < at.0).count() as u64
        }
        (Left::Go | Left::Syscall | Left::Flush | Left::Trap(_), _) => block.marks.len() as u64,
    }
}

fn permits(inst: &Inst) -> bool {
    // Ops on lanes have no meaning yet.
    !matches!(inst.op, Op::VUnary | Op::VBinary | Op::VTernary | Op::VExtract | Op::VInsert | Op::VSplat)
}

fn random_state(draw: &mut Draw) -> CpuState {
    let mut state = CpuState::new();
    for info in SLOTS {
        if info.ty == Type::V128 {
            state.set128(info.slot, u128::from(draw.bits()) << 64 | u128::from(draw.bits()));
        } else {
            state.set(info.slot, draw.value(info.ty));
        }
    }
    state.set_pc(CODE);
    state.set_mode(Mode::new(draw.below(5) as u32));
    state.set_fp_flags(draw.bits());
    state
}

fn agree(memory: Arc<dyn GuestMemory>, blocks: u64, seed: u64) {
    let mut rig = Rig::new(memory);
    let mut draw = Draw::new(seed);
    for number in 0..blocks {
        let shape = Shape { permits, helpers: HELPERS, faults: number % 3 == 0, ..Shape::default() };
        let state = random_state(&mut draw);
        let mut seeds: Vec<u64> = (0..=draw.below(40)).map(|_| draw.bits()).collect();
        let data: Vec<u8> = (0..DATA_LEN).map(|_| draw.bits() as u8).collect();
        let mut run = |seeds: &[u64]| rig.compare(random_block(state.key(), seeds, &shape), &state, &data);
        let Err(mut difference) = run(&seeds) else { continue };
        // Leave out one instruction after the other, as long as the rest differs too.
        for index in (0..seeds.len()).rev() {
            let seed = seeds.remove(index);
            match run(&seeds) {
                Err(smaller) => difference = smaller,
                Ok(()) => seeds.insert(index, seed),
            }
        }
        panic!("{difference}\nfrom {state:?} in\n{}", random_block(state.key(), &seeds, &shape));
    }
    assert!(rig.engine.stats().tier0_restarts > 0, "the cache was never started anew");
}

#[test]
fn random_blocks_agree_with_the_definition_on_checked_memory() {
    agree(VecMemory::new(CODE.get(), 0x9000), 10_000, 1);
}

#[test]
fn random_blocks_agree_with_the_definition_on_flat_memory() {
    let space = AddressSpace::new(Placement::Reserved { size: 1 << 32 }).unwrap();
    let all = Perms::READ | Perms::WRITE | Perms::EXECUTE;
    for (start, len) in [(CODE, 0x1000), (DATA, DATA_LEN as u64)] {
        space.map(MapRequest::anonymous(len, all).at(Place::Fixed(start))).unwrap();
    }
    agree(Arc::new(space), 10_000, 2);
}

/// More values live at once than there are temporaries: some are spilled.
#[test]
fn values_beyond_the_temporaries_are_spilled() {
    let mut draw = Draw::new(3);
    for ty in [Type::I64, Type::V128] {
        let mut ir = IrBuilder::new(BlockKey::new(CODE, Mode::default()));
        ir.mark(0, 4);
        let slot = |index: usize| if ty == Type::V128 { [64, 66][index % 2] } else { 1 + (index % 12) as u16 };
        let values: Vec<_> = (0..300)
            .map(|index| {
                let a = ir.get(Slot::new(slot(index)), ty);
                let b = ir.get(Slot::new(slot(index + 1)), ty);
                let value = ir.xor(a, b);
                // Names of the slot's old value that outlive the write.
                ir.set(Slot::new(slot(index)), value);
                ir.or(a, value)
            })
            .collect();
        let sum = values.iter().rev().fold(values[0], |sum, value| {
            let other = ir.xor(sum, *value);
            ir.or(other, values[1])
        });
        ir.set(Slot::new(slot(0)), sum);
        let block = ir.finish(End::Jump { target: Target(4) }, &[0; 4]);
        let mut rig = Rig::new(VecMemory::new(CODE.get(), 0x9000));
        let mut state = random_state(&mut draw);
        state.set_mode(Mode::default());
        rig.compare(block, &state, &[0; 16]).unwrap();
    }
}
