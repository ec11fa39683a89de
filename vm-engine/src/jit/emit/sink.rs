//! Results that a loop leaves behind and does not need itself: they are worked out on the way out of it.
//!
//! A guest's loop calculates into registers whose last values it leaves behind, although the next round writes over them and
//! nothing may ever read them: addresses, sign extensions, what was there before a count. Where a block goes round to itself,
//! such a result is not put into its slot; behind the block, on each way but the one to the next round, the ops that make it
//! are emitted, from values that the round needs for itself.
//!
//! Blocks that poll before their first op have none: whatever they write is still wanted there.

use vm_core::Slot;
use vm_ir::{Block, End, Inst, Op, Type, Value};

use super::Emitter;
use super::bytes::{Role, Words};
use crate::region::{AtFaults, SlotSet, flushes, search_loop};

/// Largest number of bits by which an address shifts its index.
const MAX_SCALE: i64 = 3;

/// What is worked out late in the block that is being emitted.
#[derive(Default)]
pub(super) struct Sunk {
    /// For each op whether only ways out need its value, if it is one that can be done there.
    late: Vec<bool>,
    /// Writes of slots that are done on the ways out.
    writes: Vec<usize>,
    /// Those of them that the emission has come to, with what they write.
    slots: Vec<(Slot, Value)>,
}

impl Emitter<'_, '_> {
    /// Finds what is worked out late in the block.
    pub(super) fn begin_sinking(&mut self) {
        self.sunk = Sunk::default();
        let block = self.block;
        let flow = &self.slots.flow[self.here];
        let goes_round = self.plan.blocks[self.here].edges.iter().any(|(_, to)| *to == self.here);
        let is_plain = flow.at_faults == AtFaults::Incomplete && matches!(block.end, End::Branch { .. });
        if !goes_round || !is_plain || !flow.polls_late {
            return;
        }
        let stores = |at| flushes(block, at, flow.at_faults, self.helpers);
        let polls = |block: usize| self.slots.flow[block].is_loop;
        if (0..block.insts.len()).any(stores) || search_loop(self.plan, self.here, polls).is_some() {
            return;
        }
        let mut kept = flow.live;
        self.unread_flags.into_iter().for_each(|slot| kept.insert(slot));
        let mut writes = last_writes(block, &kept);
        let mut late = late_ops(block, &writes, &self.joined.words);
        self.choose_extensions(&mut late);
        writes.retain(|at| late[block.insts[*at].args[0].index()]);
        self.sunk = Sunk { late, writes, slots: Vec::new() };
    }

    /// Makes loads extend to what the block needs of them; an extension that a load does for nothing is not worked out late.
    fn choose_extensions(&mut self, late: &mut [bool]) {
        for (at, extension) in self.extensions.iter_mut().enumerate() {
            let Some(first) = *extension else { continue };
            if !late[first] || self.joined.words.role(at) != Role::None {
                continue;
            }
            let extends = |by: &usize| {
                let inst = &self.block.insts[*by];
                matches!(inst.op, Op::SignExtend | Op::ZeroExtend) && inst.args[0].index() == at
            };
            match (first + 1..late.len()).filter(|by| !late[*by]).find(extends) {
                Some(needed) => *extension = Some(needed),
                None => late[first] = false,
            }
        }
    }

    /// Whether the write of a slot at `at` is left to the ways out.
    pub(super) fn sinks(&mut self, at: usize) -> bool {
        if self.is_cold || !self.sunk.writes.contains(&at) {
            return false;
        }
        let inst = &self.block.insts[at];
        self.sunk.slots.push((inst.slot(), inst.args[0]));
        self.dirty.insert(inst.slot());
        true
    }

    /// Whether slots of `wanted` are worked out late.
    pub(super) fn has_sunk(&self, wanted: &SlotSet) -> bool {
        self.sunk.slots.iter().any(|(slot, _)| wanted.contains(*slot))
    }

    /// On a way out, works out what slots of `wanted` hold.
    pub(super) fn surface(&mut self, wanted: &SlotSet) {
        if !self.has_sunk(wanted) {
            return;
        }
        let block = self.block;
        let slots: Vec<_> = self.sunk.slots.iter().filter(|(slot, _)| wanted.contains(*slot)).copied().collect();
        let mut again = vec![false; block.insts.len()];
        slots.iter().for_each(|(_, value)| again[value.index()] = true);
        for at in (0..again.len()).rev().filter(|at| self.sunk.late[*at]) {
            if again[at] {
                self.joined.words.operands(block, at).for_each(|value| again[value.index()] = true);
            }
        }
        let values = self.values.clone();
        for at in (0..again.len()).filter(|at| again[*at]) {
            if self.sunk.late[at] {
                self.values[at] = None;
                self.inst(at).expect("every host has arithmetic");
            }
        }
        for (slot, value) in slots {
            let value = self.value(value);
            self.ir.def_var(self.variable(slot).0, value);
        }
        self.values = values;
    }
}

/// The last write of each slot that is not one of `kept`.
fn last_writes(block: &Block, kept: &SlotSet) -> Vec<usize> {
    let mut seen = *kept;
    let mut writes = Vec::new();
    for (at, inst) in block.insts.iter().enumerate().rev() {
        if !matches!(inst.op, Op::Set | Op::Get) || seen.contains(inst.slot()) {
            continue;
        }
        seen.insert(inst.slot());
        if inst.op == Op::Set && inst.ty == Type::I64 {
            writes.push(at);
        }
    }
    writes
}

/// For each op whether its value can be worked out on the ways out and nothing but `writes` and such ops needs it before.
fn late_ops(block: &Block, writes: &[usize], words: &Words) -> Vec<bool> {
    let mut needed = vec![false; block.insts.len()];
    let mut late = vec![false; block.insts.len()];
    block.end.operand().into_iter().for_each(|value| needed[value.index()] = true);
    for (at, inst) in block.insts.iter().enumerate().rev() {
        let is_byte = matches!(words.role(at), Role::Loads(..)); // which is in the word
        late[at] = (is_cheap(inst) || is_byte) && !needed[at];
        if is_byte {
            needed[inst.args[0].index()] = true;
        }
        if late[at] || writes.contains(&at) {
            continue;
        }
        for (index, operand) in words.operands(block, at).enumerate() {
            let is_address = index == 0 && matches!(inst.op, Op::Load | Op::Store);
            let parts = if is_address { address_parts(block, operand) } else { [operand; 2] };
            parts.into_iter().for_each(|part| needed[part.index()] = true);
        }
    }
    late
}

/// The values that an access at `address` needs in registers: a base and an index, if the host adds and scales by itself.
fn address_parts(block: &Block, address: Value) -> [Value; 2] {
    let sum = block.def(address);
    if sum.op != Op::Add {
        return [address; 2];
    }
    [0, 1].map(|index| {
        let part = block.def(sum.args[index]);
        let is_scaled = part.op == Op::Shl && {
            let by = block.def(part.args[1]);
            by.op == Op::Const && (0..=MAX_SCALE).contains(&by.imm)
        };
        if is_scaled { part.args[0] } else { sum.args[index] }
    })
}

/// Whether `inst` may as well be done once more.
fn is_cheap(inst: &Inst) -> bool {
    matches!(
        inst.op,
        Op::Const
            | Op::Pc
            | Op::Add
            | Op::Sub
            | Op::And
            | Op::Or
            | Op::Xor
            | Op::Shl
            | Op::ShrU
            | Op::ShrS
            | Op::SignExtend
            | Op::ZeroExtend
            | Op::Truncate
    )
}
