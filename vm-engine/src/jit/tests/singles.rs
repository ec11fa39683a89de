//! Random programs of singles in slots of doubles, where each kind of use meets each other: compiled regions against the
//! interpreter.

use vm_core::Slot;
use vm_ir::arbitrary::SLOTS;
use vm_ir::{FpAttr, Helper, HelperEffect, HelperFn, Order, Quiet, Target, Type, Value};
use vm_mem::Placement;

use super::agree::{CODE, FUEL, MEMORY_LEN, Memory, Random, agree_on, programs};
use super::*;
use crate::config::Exact;

/// One block of such a program.
pub(super) struct Draw<'a> {
    pub(super) ir: IrBuilder,
    pub(super) random: &'a mut Random,
    pub(super) memory: i64,
}

impl Draw<'_> {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.random.next() >> 8) % end
    }

    /// One of four slots of type `ty`.
    pub(super) fn slot(&mut self, ty: Type) -> Slot {
        let place = self.below(4) as usize;
        SLOTS.iter().filter(|info| info.ty == ty).nth(place).expect("there are more").slot
    }

    pub(super) fn double(&mut self) -> Value {
        let slot = self.slot(Type::F64);
        self.ir.get(slot, Type::F64)
    }

    fn single(&mut self) -> Value {
        let double = self.double();
        self.ir.funbox(double, Type::F32)
    }

    /// The low half of a double, whatever it is.
    fn low(&mut self) -> Value {
        let double = self.double();
        let bits = self.ir.bitcast(double, Type::I64);
        let low = self.ir.truncate(bits, Type::I32);
        self.ir.bitcast(low, Type::F32)
    }

    pub(super) fn address(&mut self) -> Value {
        let place = self.memory + 8 * self.below(MEMORY_LEN as u64 / 8) as i64;
        self.ir.i64(place)
    }

    pub(super) fn set_double(&mut self, value: Value) {
        let slot = self.slot(Type::F64);
        self.ir.set(slot, value);
    }

    fn set_single(&mut self, value: Value) {
        let boxed = self.ir.fbox(value);
        self.set_double(boxed);
    }

    fn op(&mut self) {
        match self.below(12) {
            0 => {
                let (a, b) = (self.single(), self.single());
                let sum = self.ir.fadd(a, b, FpAttr::DEFAULT);
                self.set_single(sum);
            }
            1 => {
                let (a, b) = (self.single(), self.single());
                let quotient = self.ir.fdiv(a, b, FpAttr::DEFAULT);
                let negative = self.ir.fneg(quotient);
                self.set_single(negative);
            }
            2 => {
                let (a, b) = (self.double(), self.double());
                let product = self.ir.fmul(a, b, FpAttr::DEFAULT);
                self.set_double(product);
            }
            3 => {
                let address = self.address();
                let single = self.ir.load(Type::F32, address, 0, Order::Plain);
                self.set_single(single);
            }
            4 => {
                let address = self.address();
                let double = self.ir.load(Type::F64, address, 0, Order::Plain);
                self.set_double(double);
            }
            5 => {
                let (address, single) = (self.address(), self.low());
                self.ir.store(address, 0, single, Order::Plain);
            }
            6 => {
                let (address, double) = (self.address(), self.double());
                self.ir.store(address, 0, double, Order::Plain);
            }
            7 => {
                let double = self.double();
                self.set_double(double);
            }
            8 => {
                let single = self.low();
                self.set_single(single);
            }
            9 => {
                let single = self.single();
                let double = self.ir.fconvert(single, Type::F64, FpAttr::DEFAULT);
                self.set_double(double);
            }
            10 => {
                let double = self.double();
                let bits = self.ir.bitcast(double, Type::I64);
                let slot = self.slot(Type::I64);
                self.ir.set(slot, bits);
            }
            _ => {
                let (a, b) = (self.single(), self.single());
                let less = self.ir.flt(a, b, Quiet::No);
                let wide = self.ir.zero_extend(less, Type::I64);
                let slot = self.slot(Type::I64);
                self.ir.set(slot, wide);
            }
        }
    }
}

/// Blocks that end in a loop, a choice, or a jump to one another until the fuel is used up.
fn program(random: &mut Random, memory: i64, op: fn(&mut Draw<'_>)) -> Vec<Arc<Block>> {
    const BLOCKS: u64 = 5;
    (0..BLOCKS)
        .map(|index| {
            let mut draw = Draw { ir: IrBuilder::new(key(CODE + index * 64)), random: &mut *random, memory };
            draw.ir.mark(0, 4);
            let (fuel, zero, one) = (draw.ir.get(FUEL, Type::I64), draw.ir.i64(0), draw.ir.i64(1));
            let empty = draw.ir.eq(fuel, zero);
            draw.ir.exit_if(empty, Target(0x10_0000));
            let less = draw.ir.sub(fuel, one);
            draw.ir.set(FUEL, less);
            let ops = 1 + draw.below(6) as u16;
            for at in 0..ops {
                draw.ir.mark(4 * (at + 1), 4);
                op(&mut draw);
            }
            draw.ir.mark(4 * (ops + 1), 4);
            let mut target = || Target((draw.below(BLOCKS) as i64 - index as i64) * 64);
            let (taken, fall) = (target(), target());
            let chosen = draw.slot(Type::I64);
            let (chosen, bit) = (draw.ir.get(chosen, Type::I64), draw.ir.i64(1));
            let chosen = draw.ir.and(chosen, bit);
            let cond = draw.ir.eq(chosen, bit);
            Arc::new(draw.ir.finish(End::Branch { cond, taken, fall }, &vec![0; 4 * (usize::from(ops) + 2)]))
        })
        .collect()
}

/// Such programs of what `op` draws, with memory at `address`, run alike.
pub(super) fn agree(address: u64, faults: Exact, op: fn(&mut Draw<'_>)) {
    crate::fault::install().unwrap();
    let memory = Memory::new(Placement::Direct, address);
    for seed in 0..programs() {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let blocks = program(&mut random, memory.start.get() as i64, op);
        let options = CompileOptions { faults, ..CompileOptions::default() };
        agree_on(&memory, &blocks, options, random, &format!("program {seed}"));
    }
}

#[test]
fn singles_in_place() {
    agree(0xb0_0000, Exact::Pc, |draw| draw.op());
}

#[test]
fn singles_with_exact_registers() {
    agree(0xc0_0000, Exact::Registers, |draw| draw.op());
}

#[test]
fn a_helper_may_replace_a_single() {
    extern "C" fn replace(state: &mut CpuState, _: u64, _: u64, _: u64) -> u64 {
        state.set(DOUBLE, 2.5f64.to_bits());
        0
    }
    const DOUBLE: Slot = Slot::new(40);
    const BITS: Slot = Slot::new(1);
    static HELPERS: [Helper; 1] =
        [Helper { name: "replace", args: 0, effect: HelperEffect::State, function: HelperFn::State(replace) }];
    let mut rig = Rig::with_helpers(&HELPERS);
    let block = block(CODE, |ir| {
        let one = ir.constant(Type::F32, 1f32.to_bits().into());
        let boxed = ir.fbox(one);
        ir.set(DOUBLE, boxed);
        ir.call(0, &[]);
        let double = ir.get(DOUBLE, Type::F64);
        let bits = ir.bitcast(double, Type::I64);
        ir.set(BITS, bits);
        End::Syscall { next: Target(4) }
    });
    let code = rig.compile_linked(&RegionPlan::single(block, CompileOptions::default()), 0);
    assert_eq!(rig.enter(code), ExitCode::Syscall);
    assert_eq!(rig.state().get(BITS), 2.5f64.to_bits());
}

/// A slot that a loop takes a single from over and over gets it before, from another one: nothing is asked of what it holds
/// at the region's entry.
#[test]
fn what_is_overwritten_first_need_not_hold_a_single() {
    const SUM: Slot = Slot::new(40);
    const FROM: Slot = Slot::new(41);
    const COUNT: Slot = Slot::new(1);
    let first = block(CODE, |ir| {
        let from = ir.get(FROM, Type::F64);
        ir.set(SUM, from);
        End::Jump { target: Target(64) }
    });
    let round = block(CODE + 64, |ir| {
        let [sum, from] = [SUM, FROM].map(|slot| ir.get(slot, Type::F64));
        let [sum, from] = [sum, from].map(|double| ir.funbox(double, Type::F32));
        let sum = ir.fadd(sum, from, FpAttr::DEFAULT);
        let boxed = ir.fbox(sum);
        ir.set(SUM, boxed);
        let (count, one, zero) = (ir.get(COUNT, Type::I64), ir.i64(1), ir.i64(0));
        let count = ir.sub(count, one);
        ir.set(COUNT, count);
        End::Branch { cond: ir.ne(count, zero), taken: Target(0), fall: Target(64) }
    });
    let last = block(CODE + 128, |_| End::Syscall { next: Target(4) });
    let plan = RegionPlan::whole(&[first, round, last], CompileOptions::default()).unwrap();
    let mut rig = Rig::new();
    let code = rig.compile(&plan);
    let boxed = |single: f32| u64::from(single.to_bits()) | 0xffff_ffff << 32;
    for (from, exit, sum) in [(boxed(1.5), ExitCode::Syscall, boxed(6.0)), (0, ExitCode::Declined, 7)] {
        rig.state().set(SUM, 7);
        rig.state().set(FROM, from);
        rig.state().set(COUNT, 3);
        assert_eq!(rig.enter(code), exit);
        assert_eq!(rig.state().get(SUM), sum);
    }
}
