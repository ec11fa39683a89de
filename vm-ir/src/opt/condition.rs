//! Straight code in place of a branch around it.

use crate::block::{Block, Inst, Value};
use crate::ops::{Effect, Op};

/// Most ops that are done for nothing when the branch would have been taken. Reads and writes of slots, constants and
/// truncations do not count.
const MOST: usize = 6;

/// Makes `block` do what it does from op `from` on only if `skip`, a condition among the ops before, is not met: its
/// writes then leave what was there. False, and nothing is changed, if it does more than write integer slots by a few
/// ops that cost next to nothing.
///
/// # Panics
/// If `skip` is no value of an op before `from`.
pub fn do_unless(block: &mut Block, from: usize, skip: Value) -> bool {
    assert!(skip.index() < from, "a condition that is not known yet");
    let rest = &block.insts[from..];
    if !rest.iter().all(is_cheap) || rest.iter().filter(|inst| counts(inst.op)).count() > MOST {
        return false;
    }
    let rest = block.insts.split_off(from);
    let mut names: Vec<Value> = (0..from as u32).map(Value::new).collect();
    // Where the ops of each op begin now.
    let mut places: Vec<u32> = Vec::with_capacity(rest.len() + 1);
    for mut inst in rest {
        places.push(block.insts.len() as u32);
        inst = inst.renamed(&names);
        if inst.op == Op::Set {
            let before = push(block, Inst { imm: inst.imm, ..Inst::new(Op::Get, inst.ty, inst.ty, [Value::NONE; 3]) });
            inst.args[0] = push(block, Inst::new(Op::Select, inst.ty, inst.ty, [skip, before, inst.args[0]]));
        }
        names.push(push(block, inst));
    }
    places.push(block.insts.len() as u32);
    for mark in block.marks.iter_mut().filter(|mark| mark.first as usize > from) {
        mark.first = places[mark.first as usize - from];
    }
    true
}

fn push(block: &mut Block, inst: Inst) -> Value {
    block.insts.push(inst);
    Value::new(block.insts.len() as u32 - 1)
}

fn counts(op: Op) -> bool {
    !matches!(op, Op::Const | Op::Pc | Op::Get | Op::Set | Op::Truncate)
}

fn is_cheap(inst: &Inst) -> bool {
    let is_slow = matches!(
        inst.op,
        Op::DivS
            | Op::DivU
            | Op::RemS
            | Op::RemU
            | Op::MulHighS
            | Op::MulHighU
            | Op::MulHighSU
            | Op::BitReverse
            | Op::ClMul
            | Op::ClMulHigh
    );
    let touches = !matches!(inst.op.effect(), Effect::Pure | Effect::ReadsSlot | Effect::WritesSlot);
    !touches && !is_slow && inst.ty.is_int() && inst.from.is_int()
}

#[cfg(test)]
mod tests {
    use vm_core::{BlockKey, GuestAddr, Mode, Slot};

    use super::*;
    use crate::{End, FpAttr, IrBuilder, Order, Target, Type};

    const COND: Slot = Slot::new(1);
    const A: Slot = Slot::new(2);
    const B: Slot = Slot::new(3);

    /// A block that skips what `rest` does if s1 is zero; the number of its first op, and the condition.
    fn skipping(rest: impl FnOnce(&mut IrBuilder)) -> (Block, usize, Value) {
        let mut ir = IrBuilder::new(BlockKey::new(GuestAddr::new(0x1000), Mode::default()));
        ir.mark(0, 4);
        let (value, zero) = (ir.get(COND, Type::I64), ir.i64(0));
        let skip = ir.eq(value, zero);
        ir.mark(4, 4);
        rest(&mut ir);
        let block = ir.finish(End::Jump { target: Target(8) }, &[0; 8]);
        let from = block.marks[1].first as usize;
        (block, from, skip)
    }

    /// s2 becomes s2 + s3, and s3 what s2 is then.
    fn two_writes(ir: &mut IrBuilder) {
        let [a, b] = [A, B].map(|slot| ir.get(slot, Type::I64));
        let sum = ir.add(a, b);
        ir.set(A, sum);
        ir.mark(8, 4);
        let again = ir.get(A, Type::I64);
        ir.set(B, again);
    }

    #[cfg(feature = "testing")]
    #[test]
    fn writes_happen_unless_the_condition_is_met() {
        use vm_core::CpuState;

        struct NoMemory;
        impl vm_core::ByteMemory for NoMemory {
            fn borrow(&self, _: GuestAddr, _: vm_core::Access, use_bytes: &mut dyn FnMut(&mut [u8])) {
                use_bytes(&mut []);
            }
        }
        for (cond, [a, b]) in [(0, [5, 7]), (1, [12, 12])] {
            let (mut block, from, skip) = skipping(two_writes);
            assert!(do_unless(&mut block, from, skip));
            crate::verify(&block, None, &[]).unwrap();
            assert_eq!(block.marks[2].first as usize, from + 6, "behind the first write");
            let mut state = CpuState::default();
            [(COND, cond), (A, 5), (B, 7)].into_iter().for_each(|(slot, value)| state.set(slot, value));
            crate::reference::run(&block, &[], &mut state, &NoMemory, &mut |_| {});
            assert_eq!([A, B].map(|slot| state.get(slot)), [a, b]);
        }
    }

    type Fill<'a> = &'a dyn Fn(&mut IrBuilder);

    #[test]
    fn what_is_seen_or_costs_much_is_left() {
        let word = |ir: &mut IrBuilder| ir.get(A, Type::I64);
        let refused: [(&str, Fill<'_>); 6] = [
            ("a load", &|ir| {
                let addr = word(ir);
                let value = ir.load(Type::I64, addr, 0, Order::Plain);
                ir.set(A, value);
            }),
            ("a store", &|ir| {
                let addr = word(ir);
                ir.store(addr, 0, addr, Order::Plain);
            }),
            ("a division", &|ir| {
                let value = word(ir);
                let value = ir.div_u(value, value);
                ir.set(A, value);
            }),
            ("a float", &|ir| {
                let value = ir.get(A, Type::F64);
                let value = ir.fneg(value);
                ir.set(A, value);
            }),
            ("flags", &|ir| {
                let value = ir.get(A, Type::F64);
                let value = ir.fadd(value, value, FpAttr::DEFAULT);
                ir.set(A, value);
            }),
            ("many ops", &|ir| {
                let start = word(ir);
                let value = (0..=MOST).fold(start, |value, _| ir.add(value, start));
                ir.set(A, value);
            }),
        ];
        for (name, rest) in refused {
            let (mut block, from, skip) = skipping(rest);
            let before = block.clone();
            assert!(!do_unless(&mut block, from, skip), "{name}");
            assert_eq!(block, before, "{name}");
        }
    }
}
