//! Values that are narrower than the slots that hold them. Words whose upper half repeats bit 31, as results of 32-bit
//! instructions are on riscv64 and wherever a guest keeps narrow numbers sign-extended: extending them again is a copy.
//! And doubles that box a single: taking it out needs no test, and a region keeps it as it is.

use vm_ir::{Block, Helper, Inst, Op, Type, Value};

use super::{RegionPlan, SlotSet, may_write_slots};

/// Which slots are narrow.
#[derive(Debug)]
pub(super) struct NarrowSlots {
    /// For each block those that are so whenever control is at its first op.
    pub(super) at_entry: Vec<SlotSet>,
    /// Those that the region is to be entered with boxed singles in only. The code tests it, once.
    pub(super) assumed: SlotSet,
}

/// The narrow slots of `plan`, of which `order` lists the reachable blocks. Of what the state held at the region's entry is
/// known what the region itself tests: if it has loops and `may_assume` something, those of the slots `live` at its entry from
/// which it would have to take singles over and over.
pub(super) fn narrow_slots(
    plan: &RegionPlan,
    order: &[usize],
    may_assume: bool,
    live: &SlotSet,
    helpers: &[Helper],
) -> NarrowSlots {
    let mut assumed = SlotSet::default();
    let at_entry = flow(plan, order, assumed, helpers);
    if !may_assume {
        return NarrowSlots { at_entry, assumed };
    }
    let mut values = Vec::new();
    for &index in order {
        let block = &plan.blocks[index].block;
        narrow_values(block, at_entry[index], helpers, &mut values);
        unboxed(block).filter(|read| !values[read.index()]).for_each(|read| assumed.insert(block.def(read).slot()));
    }
    assumed = assumed.both(live);
    if assumed == SlotSet::default() {
        return NarrowSlots { at_entry, assumed };
    }
    // What is not worth it after all: tested again in the region, or used as the double that it is said not to be.
    let with_all = flow(plan, order, assumed, helpers);
    for &index in order {
        let block = &plan.blocks[index].block;
        narrow_values(block, with_all[index], helpers, &mut values);
        unboxed(block).filter(|read| !values[read.index()]).for_each(|read| assumed.remove(block.def(read).slot()));
        let doubles = block.insts.iter().filter(|inst| !moves(inst)).flat_map(Inst::operands);
        doubles
            .filter(|value| values[value.index()] && block.def(**value).op == Op::Get)
            .for_each(|value| assumed.remove(block.def(*value).slot()));
    }
    NarrowSlots { at_entry: flow(plan, order, assumed, helpers), assumed }
}

/// The reads of slots that `block` takes singles from.
fn unboxed(block: &Block) -> impl Iterator<Item = Value> + '_ {
    let singles = block.insts.iter().filter(|inst| inst.op == Op::FUnbox && inst.ty == Type::F32);
    singles.map(|inst| inst.args[0]).filter(|value| block.def(*value).op == Op::Get)
}

/// Whether `inst` takes a double for no more than its bits, or is not about doubles.
fn moves(inst: &Inst) -> bool {
    matches!(inst.op, Op::FUnbox | Op::Set | Op::Bitcast | Op::Store) || inst.from != Type::F64 && inst.ty != Type::F64
}

/// For each block the slots that are narrow at its first op, if `assumed` are so at the region's entry.
fn flow(plan: &RegionPlan, order: &[usize], assumed: SlotSet, helpers: &[Helper]) -> Vec<SlotSet> {
    let mut known = vec![SlotSet::all(); plan.blocks.len()];
    known[0] = assumed;
    let mut values = Vec::new();
    let mut changed = true;
    while changed {
        changed = false;
        for &index in order {
            let here = &plan.blocks[index];
            let after = narrow_values(&here.block, known[index], helpers, &mut values);
            for (_, to) in &here.edges {
                let both = known[*to].both(&after);
                changed |= both != known[*to];
                known[*to] = both;
            }
        }
    }
    known
}

/// Says in `values` for each value of `block` whether it is known to be narrow: a word that is the sign extension of its
/// low 32 bits, a double that boxes a single. `known` are the slots that are so before its first op. Gives the slots that
/// are so at its end.
pub(crate) fn narrow_values(block: &Block, mut known: SlotSet, helpers: &[Helper], values: &mut Vec<bool>) -> SlotSet {
    values.clear();
    for inst in &block.insts {
        let [a, b, c] = inst.args;
        let is = |value: Value| values[value.index()];
        let number = |value: Value| {
            let def = block.def(value);
            (def.op == Op::Const).then_some(def.imm)
        };
        let narrow = match inst.op {
            Op::Get => known.contains(inst.slot()),
            Op::FBox => inst.from == Type::F32,
            Op::Set => {
                if is(a) {
                    known.insert(inst.slot());
                } else {
                    known.remove(inst.slot());
                }
                false
            }
            Op::Call => {
                if may_write_slots(inst, helpers) {
                    known = SlotSet::default();
                }
                false
            }
            _ if inst.result() != Some(Type::I64) => false,
            Op::Const => i32::try_from(inst.imm).is_ok(),
            Op::SignExtend => inst.from.bits() <= 32,
            Op::ZeroExtend => inst.from.bits() < 32,
            Op::And => is(a) && is(b) || [a, b].into_iter().filter_map(number).any(|bits| bits >> 31 == 0),
            Op::Or | Op::Xor => is(a) && is(b),
            Op::Select => is(b) && is(c),
            Op::ShrS => number(b).is_some_and(|by| by & 63 >= 32),
            Op::ShrU => number(b).is_some_and(|by| by & 63 > 32),
            _ => false,
        };
        values.push(narrow && matches!(inst.result(), Some(Type::I64 | Type::F64)));
    }
    known
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vm_core::{BlockKey, GuestAddr, Mode, Slot};
    use vm_ir::{End, IrBuilder, Target};

    use super::super::{CompileOptions, analyse};
    use super::*;

    const ENTRY: u64 = 0x100;
    const HEAD: u64 = 0x104;

    /// A block before a loop, and the loop.
    fn looped(before: impl FnOnce(&mut IrBuilder), round: impl FnOnce(&mut IrBuilder)) -> Vec<usize> {
        let block = |pc, end: fn(&mut IrBuilder) -> End, fill: &mut dyn FnMut(&mut IrBuilder)| {
            let mut ir = IrBuilder::new(BlockKey::new(GuestAddr::new(pc), Mode::default()));
            ir.mark(0, 4);
            fill(&mut ir);
            let end = end(&mut ir);
            Arc::new(ir.finish(end, &[0; 4]))
        };
        let (mut before, mut round) = (Some(before), Some(round));
        let first = block(ENTRY, |_| End::Jump { target: Target(4) }, &mut |ir| before.take().unwrap()(ir));
        let again = |ir: &mut IrBuilder| End::Branch { cond: ir.i8(1), taken: Target(0), fall: Target(4) };
        let second = block(HEAD, again, &mut |ir| round.take().unwrap()(ir));
        let plan = RegionPlan::whole(&[first, second], CompileOptions::default()).unwrap();
        let slots = analyse(&plan, true, &[]);
        assert_eq!(slots.narrow[0], SlotSet::default());
        slots.narrow[1].iter().map(Slot::index).filter(|slot| *slot < 8).collect()
    }

    /// Sets slot `to` to the sign-extended low half of slot `from`.
    fn extend(ir: &mut IrBuilder, from: u16, to: u16) {
        let value = ir.get(Slot::new(from), Type::I64);
        let low = ir.truncate(value, Type::I32);
        let wide = ir.sign_extend(low, Type::I64);
        ir.set(Slot::new(to), wide);
    }

    fn copy(ir: &mut IrBuilder, from: u16, to: u16) {
        let value = ir.get(Slot::new(from), Type::I64);
        ir.set(Slot::new(to), value);
    }

    #[test]
    fn what_every_way_extends_is_extended() {
        // Slot 1 is extended before the loop and copied round it; slot 2 only in the loop.
        let found = looped(
            |ir| extend(ir, 0, 1),
            |ir| {
                copy(ir, 1, 3);
                copy(ir, 3, 1);
                extend(ir, 0, 2);
            },
        );
        assert_eq!(found, [1]);
    }

    #[test]
    fn one_way_that_does_not_is_enough() {
        let found = looped(
            |ir| {
                extend(ir, 0, 1);
                extend(ir, 0, 2);
                extend(ir, 0, 3);
                let number = ir.i64(-7);
                ir.set(Slot::new(4), number);
                let number = ir.i64(1 << 31);
                ir.set(Slot::new(5), number);
            },
            |ir| {
                // A copy of what is not extended, and a sum that may be larger.
                copy(ir, 0, 1);
                let value = ir.get(Slot::new(2), Type::I64);
                let sum = ir.add(value, value);
                ir.set(Slot::new(2), sum);
                // Of two reads the second one sees what was written between them.
                copy(ir, 0, 6);
                extend(ir, 0, 6);
                copy(ir, 6, 3);
            },
        );
        assert_eq!(found, [3, 4]);
    }
}
