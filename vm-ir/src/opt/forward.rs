//! Slot forwarding: a read of a slot becomes the value that the block last read from it or wrote to it, and a write
//! that nothing can observe before the next one is removed.
//!
//! Slots are observed by every op that may fault, trap or leave the block, by helpers that work on the state, and by the
//! block's end: whoever looks at the registers then, sees exactly what the guest's instructions up to there wrote.
//! No write moves across one of these.

use vm_core::SLOT_COUNT;

use super::{Scratch, compact};
use crate::block::{Block, Inst, Value};
use crate::helper::{Helper, HelperEffect};
use crate::ops::{Effect, Op};

/// Whether the walk removes needless extensions on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extensions {
    Keep,
    Remove,
}

/// What is known of one slot.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The rest holds in the walk of this number only, so that a walk need not begin by clearing all slots.
    walk: u32,
    /// The value in the slot.
    value: Value,
    /// The op that wrote it, if that was not before the walk.
    writer: Option<u32>,
}

/// What is known of each slot.
#[derive(Debug)]
pub(super) struct Slots {
    walk: u32,
    known: Vec<Known>,
    /// Somebody may look at the slots at this op: what ops before it wrote is seen.
    observer: u32,
}

impl Default for Slots {
    fn default() -> Self {
        let nothing = Known { walk: 0, value: Value::NONE, writer: None };
        Self { walk: 0, known: vec![nothing; SLOT_COUNT], observer: 0 }
    }
}

impl Slots {
    fn begin(&mut self) {
        if self.walk == u32::MAX {
            *self = Self::default();
        }
        self.walk += 1;
        self.observer = 0;
    }

    /// A read of a slot, which gives `value`: what the slot is known to hold, if anything.
    fn read(&mut self, slot: i64, value: Value) -> Option<Value> {
        let known = &mut self.known[slot as usize];
        if known.walk == self.walk {
            return Some(known.value);
        }
        *known = Known { walk: self.walk, value, writer: None };
        None
    }

    /// The op at `index` writes `value` to a slot: `value`, if the slot holds it already. A write before that nothing has
    /// observed is added to `overwritten`.
    fn write(&mut self, slot: i64, value: Value, index: u32, overwritten: &mut Vec<u32>) -> Option<Value> {
        let known = &mut self.known[slot as usize];
        if known.walk == self.walk {
            if known.value == value {
                return Some(value);
            }
            overwritten.extend(known.writer.filter(|writer| *writer >= self.observer));
        }
        *known = Known { walk: self.walk, value, writer: Some(index) };
        None
    }

    /// Somebody may have written the slots.
    fn forget(&mut self) {
        self.begin();
    }
}

pub(super) fn run(block: &mut Block, helpers: &[Helper], scratch: &mut Scratch) {
    walk(block, Some(helpers), Extensions::Keep, scratch);
    let Scratch { overwritten, gone, .. } = scratch;
    if overwritten.is_empty() {
        return;
    }
    gone.clear();
    gone.resize(block.insts.len(), false);
    overwritten.iter().for_each(|write| gone[*write as usize] = true);
    compact::compact(block, scratch);
}

/// Removes reads of what is known and writes of what is there. Writes that turn out to be unseen are listed in
/// [`Scratch::overwritten`] and stay: the ops behind them have their numbers by then.
/// Without a table of helpers, each call is taken for one that works on the state.
pub(super) fn walk(block: &mut Block, helpers: Option<&[Helper]>, extensions: Extensions, scratch: &mut Scratch) {
    let Scratch { names, overwritten, slots, .. } = scratch;
    let len = block.insts.len();
    names.clear();
    names.resize(len, Value::NONE);
    overwritten.clear();
    slots.begin();
    let mut marks = block.marks.iter_mut().peekable();
    let mut kept = 0;
    for index in 0..len {
        while let Some(mark) = marks.next_if(|mark| mark.first as usize <= index) {
            mark.first = kept as u32;
        }
        let inst = block.insts[index].renamed(names);
        let own = Value::new(kept as u32);
        // What the op would give or write, if that is there without it.
        let known = match inst.op.effect() {
            Effect::ReadsSlot => slots.read(inst.imm, own),
            Effect::WritesSlot => slots.write(inst.imm, inst.args[0], kept as u32, overwritten),
            Effect::Pure if extensions == Extensions::Remove => unextended(&block.insts, &inst),
            Effect::Reads | Effect::Writes | Effect::ReadsWrites | Effect::Leaves => {
                slots.observer = kept as u32;
                None
            }
            Effect::Calls => {
                let helper = helpers.and_then(|helpers| helpers.get(inst.imm as usize));
                match helper.map(|helper| helper.effect) {
                    Some(HelperEffect::Pure | HelperEffect::Volatile) => {}
                    Some(HelperEffect::State) | None => slots.forget(),
                }
                None
            }
            Effect::Pure
            | Effect::FpFlags
            | Effect::ReadsFpFlags
            | Effect::WritesFpFlags
            | Effect::WritesMode
            | Effect::Orders => None,
        };
        names[index] = known.unwrap_or(own);
        block.insts[kept] = inst;
        kept += usize::from(known.is_none());
    }
    for mark in marks {
        mark.first = kept as u32;
    }
    if let Some(operand) = block.end.operand_mut() {
        *operand = names[operand.index()];
    }
    block.insts.truncate(kept);
}

/// The value that `inst` gives again: the operand of an extension that it cuts off, or an extension whose low part
/// it extends in the same way.
fn unextended(insts: &[Inst], inst: &Inst) -> Option<Value> {
    let is_extension = |op| matches!(op, Op::SignExtend | Op::ZeroExtend);
    let inner =
        if inst.op == Op::Truncate || is_extension(inst.op) { &insts[inst.args[0].index()] } else { return None };
    if inst.op == Op::Truncate {
        return (is_extension(inner.op) && inner.from == inst.ty).then_some(inner.args[0]);
    }
    if inner.op != Op::Truncate || inner.from != inst.ty {
        return None;
    }
    let outer = &insts[inner.args[0].index()];
    (outer.op == inst.op && outer.from.bits() <= inst.from.bits()).then_some(inner.args[0])
}
