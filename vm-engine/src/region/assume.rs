//! What a region takes for granted: slots that hold constants whenever it is entered, as far as the code before it shows.
//! Programs put constants into registers before a loop; in the code of the loop alone they are values like any other, which
//! take a register each, and by which a division is a division.
//!
//! The region tests where it is entered that the slots hold what it was made for, and declines otherwise.

use std::sync::Arc;

use vm_core::Slot;
use vm_ir::{Block, Effect, Helper, Inst, Op, Type, Value};

use super::{RegionPlan, SlotSet, may_write_slots};

/// Most slots that a region assumes something of: each is a test whenever it is entered.
const MAX_ASSUMED: usize = 8;

impl RegionPlan {
    /// The words that the region reads and never writes, if it has a loop, for which tests at the entry may be worth it. What
    /// is part of an address is none of them: hosts want the base of a scaled index, or of a displacement, in a register.
    pub(crate) fn unchanging(&self, helpers: &[Helper]) -> SlotSet {
        let has_loop = self.blocks.iter().enumerate().any(|(from, here)| here.edges.iter().any(|(_, to)| *to <= from));
        let mut slots = SlotSet::default();
        if !has_loop {
            return slots;
        }
        let insts = || self.blocks.iter().flat_map(|here| &here.block.insts);
        for here in &self.blocks {
            insert_operands(&here.block, &mut slots);
        }
        for inst in insts() {
            match inst.op {
                Op::Set => slots.remove(inst.slot()),
                Op::Call if may_write_slots(inst, helpers) => return SlotSet::default(),
                _ => {}
            }
        }
        self.blocks.iter().for_each(|here| remove_bases(&here.block, &mut slots));
        slots
    }

    /// Makes the region one for states in which these slots, which are [unchanging](Self::unchanging), hold these values.
    pub(crate) fn assume(&mut self, mut known: Vec<(Slot, u64)>, helpers: &[Helper]) {
        known.truncate(MAX_ASSUMED);
        if known.is_empty() {
            return;
        }
        for here in &mut self.blocks {
            if let Some(block) = with_constants(&here.block, &known, helpers) {
                here.block = Arc::new(block);
            }
        }
        self.assumed = known;
    }
}

/// Removes slots that are parts of addresses of accesses.
fn remove_bases(block: &Block, slots: &mut SlotSet) {
    let mut is_part = vec![false; block.insts.len()];
    for (at, inst) in block.insts.iter().enumerate().rev() {
        match inst.op {
            Op::Get if is_part[at] => slots.remove(inst.slot()),
            Op::Add | Op::Sub if is_part[at] => inst.operands().iter().for_each(|part| is_part[part.index()] = true),
            _ if matches!(inst.op.effect(), Effect::Reads | Effect::Writes | Effect::ReadsWrites) => {
                is_part[inst.args[0].index()] = true;
            }
            _ => {}
        }
    }
}

/// Adds slots whose words ops of the block work on. Addresses that calls have left for a return are none of them.
fn insert_operands(block: &Block, slots: &mut SlotSet) {
    for value in block.insts.iter().flat_map(Inst::operands) {
        let def = block.def(*value);
        if def.op == Op::Get && def.ty == Type::I64 {
            slots.insert(def.slot());
        }
    }
}

/// `block` with constants in place of reads of the `known` slots; `None` if it reads none of them.
fn with_constants(block: &Block, known: &[(Slot, u64)], helpers: &[Helper]) -> Option<Block> {
    let value =
        |inst: &Inst| known.iter().find(|(slot, _)| inst.op == Op::Get && inst.slot() == *slot).map(|known| known.1);
    block.insts.iter().find_map(value)?;
    let mut block = block.clone();
    for inst in &mut block.insts {
        if let Some(value) = value(inst) {
            *inst = Inst { imm: value as i64, ..Inst::new(Op::Const, Type::I64, Type::I64, [Value::NONE; 3]) };
        }
    }
    vm_ir::opt::optimise(&mut block, helpers);
    Some(block)
}

/// The constants that `blocks` leave in slots of `wanted`: of those that some of them write, and each with the same value.
pub(crate) fn constants_left(
    blocks: impl Iterator<Item = Block>,
    mut wanted: SlotSet,
    helpers: &[Helper],
) -> Vec<(Slot, u64)> {
    let mut known: Vec<(Slot, u64)> = Vec::new();
    for mut block in blocks {
        if wanted == SlotSet::default() {
            break;
        }
        let writes = |inst: &Inst| inst.op == Op::Set && wanted.contains(inst.slot());
        if !block.insts.iter().any(writes) {
            continue;
        }
        vm_ir::opt::optimise(&mut block, helpers);
        let mut seen = SlotSet::default();
        for inst in block.insts.iter().rev().filter(|inst| inst.op == Op::Set) {
            let slot = inst.slot();
            if !wanted.contains(slot) || seen.contains(slot) {
                continue;
            }
            seen.insert(slot);
            let left = constant(&block, inst.args[0]);
            let before = known.iter().find(|(other, _)| *other == slot).map(|(_, value)| *value);
            match (left, before) {
                (Some(value), None) => known.push((slot, value)),
                (Some(value), Some(before)) if value == before => {}
                _ => {
                    wanted.remove(slot);
                    known.retain(|(other, _)| *other != slot);
                }
            }
        }
    }
    known
}

/// The word that `value` of `block` always is.
fn constant(block: &Block, value: Value) -> Option<u64> {
    let def = block.def(value);
    match def.op {
        Op::Const => Some(def.imm as u64),
        Op::Pc => Some(block.key.pc.get().wrapping_add_signed(def.imm)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use vm_core::{BlockKey, GuestAddr, Mode};
    use vm_ir::{End, IrBuilder, Order, Target};

    use super::super::CompileOptions;
    use super::*;

    const ENTRY: u64 = 0x100;

    fn slot(number: u16) -> Slot {
        Slot::new(number)
    }

    fn block(pc: u64, end: End, fill: impl FnOnce(&mut IrBuilder)) -> Block {
        let mut ir = IrBuilder::new(BlockKey::new(GuestAddr::new(pc), Mode::default()));
        ir.mark(0, 4);
        fill(&mut ir);
        ir.finish(end, &[0; 4])
    }

    /// A loop that counts s1 down by s2, masks s3 by s4, and stores s3 at s5 and eight times s6.
    fn round(again: bool) -> RegionPlan {
        let end = End::Jump { target: Target(if again { 0 } else { 64 }) };
        let round = block(ENTRY, end, |ir| {
            let [s1, s2, s3, s4, s5, s6] = [1, 2, 3, 4, 5, 6].map(|number| ir.get(slot(number), Type::I64));
            let count = ir.sub(s1, s2);
            ir.set(slot(1), count);
            let masked = ir.and(s3, s4);
            ir.set(slot(3), masked);
            let three = ir.i64(3);
            let scaled = ir.shl(s6, three);
            let address = ir.add(s5, scaled);
            ir.store(address, 0, masked, Order::Plain);
        });
        RegionPlan::single(Arc::new(round), CompileOptions::default())
    }

    #[test]
    fn what_loops_only_read_is_unchanging_but_for_bases_of_addresses() {
        let found: Vec<_> = round(true).unchanging(&[]).iter().map(Slot::index).collect();
        assert_eq!(found, [2, 4, 6]);
        assert_eq!(round(false).unchanging(&[]), SlotSet::default());
    }

    #[test]
    fn constants_are_those_that_every_write_leaves() {
        let wanted: SlotSet = [1, 2, 3, 4].map(slot).into_iter().collect();
        let end = End::Jump { target: Target(4) };
        let blocks = [
            block(0x80, end, |ir| {
                let (high, low) = (ir.i64(0x1000), ir.i64(-16));
                let number = ir.add(high, low);
                [1, 2, 5].into_iter().for_each(|number_of| ir.set(slot(number_of), number));
                let address = ir.pc(Target(0x40));
                ir.set(slot(3), address);
            }),
            block(0x90, end, |ir| {
                // One is written otherwise first, one the same, one by a value that is not known.
                let (other, same, unknown) = (ir.i64(7), ir.i64(0xff0), ir.get(slot(6), Type::I64));
                ir.set(slot(1), other);
                ir.set(slot(1), same);
                ir.set(slot(2), unknown);
            }),
        ];
        let mut found = constants_left(blocks.into_iter(), wanted, &[]);
        found.sort_unstable();
        assert_eq!(found, [(slot(1), 0xff0), (slot(3), 0xc0)]);
    }

    #[test]
    fn blocks_read_constants_in_place_of_what_is_assumed() {
        let mut plan = round(true);
        plan.assume(vec![(slot(2), 1), (slot(4), 0xff)], &[]);
        assert_eq!(plan.assumed, [(slot(2), 1), (slot(4), 0xff)]);
        let insts = &plan.blocks[0].block.insts;
        let read: Vec<_> = insts.iter().filter(|inst| inst.op == Op::Get).map(|inst| inst.slot().index()).collect();
        assert_eq!(read, [1, 3, 5, 6]);
    }
}
