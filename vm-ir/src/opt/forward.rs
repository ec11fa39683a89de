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

/// No op.
const NONE: u32 = u32::MAX;

/// What is known of one slot.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The rest holds in the walk of this number only, so that a walk need not begin by clearing all slots.
    walk: u32,
    /// The value in the slot.
    value: u32,
    /// The op that wrote it, while nothing has observed it.
    unseen: u32,
}

/// What is known of each slot.
#[derive(Debug)]
pub(super) struct Slots {
    walk: u32,
    known: Vec<Known>,
    /// Slots with an unseen write; may name one twice.
    unseen: Vec<u16>,
}

impl Default for Slots {
    fn default() -> Self {
        let nothing = Known { walk: 0, value: NONE, unseen: NONE };
        Self { walk: 0, known: vec![nothing; SLOT_COUNT], unseen: Vec::new() }
    }
}

impl Slots {
    fn begin(&mut self) {
        if self.walk == u32::MAX {
            *self = Self::default();
        }
        self.walk += 1;
        self.unseen.clear();
    }

    fn at(&mut self, slot: i64) -> &mut Known {
        let known = &mut self.known[slot as usize];
        if known.walk != self.walk {
            *known = Known { walk: self.walk, value: NONE, unseen: NONE };
        }
        known
    }

    /// Somebody may look at the slots here.
    fn observe(&mut self) {
        for slot in self.unseen.drain(..) {
            self.known[usize::from(slot)].unseen = NONE;
        }
    }

    /// Somebody may have written the slots.
    fn forget(&mut self) {
        self.begin();
    }
}

pub(super) fn run(block: &mut Block, helpers: &[Helper], scratch: &mut Scratch) {
    walk(block, Some(helpers), Extensions::Keep, scratch);
    compact::compact(block, scratch);
}

/// Renames operands and lists the removed ops in [`Scratch::gone`]; ops keep their places.
/// Without a table of helpers, each call is taken for one that works on the state.
pub(super) fn walk(block: &mut Block, helpers: Option<&[Helper]>, extensions: Extensions, scratch: &mut Scratch) {
    let Scratch { names, gone, slots, .. } = scratch;
    let len = block.insts.len();
    names.clear();
    names.extend((0..len as u32).map(Value::new));
    gone.clear();
    gone.resize(len, false);
    slots.begin();
    for index in 0..len {
        let mut inst = block.insts[index];
        for arg in inst.operands_mut() {
            *arg = names[arg.index()];
        }
        block.insts[index] = inst;
        match inst.op.effect() {
            Effect::ReadsSlot => {
                let known = slots.at(inst.imm);
                if known.value == NONE {
                    known.value = index as u32;
                } else {
                    names[index] = Value::new(known.value);
                    gone[index] = true;
                }
            }
            Effect::WritesSlot => {
                let value = inst.args[0].index() as u32;
                let known = slots.at(inst.imm);
                if known.value == value {
                    gone[index] = true;
                } else {
                    if known.unseen != NONE {
                        gone[known.unseen as usize] = true;
                    }
                    known.value = value;
                    known.unseen = index as u32;
                    slots.unseen.push(inst.imm as u16);
                }
            }
            Effect::Pure => {
                if extensions == Extensions::Remove
                    && let Some(value) = unextended(&block.insts, &inst)
                {
                    names[index] = value;
                    gone[index] = true;
                }
            }
            Effect::Reads | Effect::Writes | Effect::ReadsWrites | Effect::Leaves => slots.observe(),
            Effect::Calls => {
                let helper = helpers.and_then(|helpers| helpers.get(inst.imm as usize));
                match helper.map(|helper| helper.effect) {
                    Some(HelperEffect::Pure | HelperEffect::Volatile) => {}
                    Some(HelperEffect::State) | None => slots.forget(),
                }
            }
            Effect::FpFlags | Effect::ReadsFpFlags | Effect::WritesFpFlags | Effect::WritesMode | Effect::Orders => {}
        }
    }
    if let Some(operand) = block.end.operand_mut() {
        *operand = names[operand.index()];
    }
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
