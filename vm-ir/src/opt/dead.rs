//! Removal of ops whose value nothing uses and which do nothing else.
//!
//! Loads stay, because they may fault; ops that raise floating-point flags stay, because the flags are sticky.

use super::{Scratch, compact};
use crate::block::{Block, Inst};
use crate::helper::{Helper, HelperEffect};
use crate::ops::Effect;

pub(super) fn run(block: &mut Block, helpers: &[Helper], scratch: &mut Scratch) {
    scratch.gone.clear();
    scratch.gone.resize(block.insts.len(), false);
    mark(block, Some(helpers), scratch);
    compact::compact(block, scratch);
}

/// Adds the unused ops to [`Scratch::gone`]. Without a table of helpers, calls stay.
pub(super) fn mark(block: &Block, helpers: Option<&[Helper]>, scratch: &mut Scratch) {
    let gone = &mut scratch.gone;
    let used = &mut scratch.used;
    used.clear();
    used.resize(block.insts.len(), false);
    if let Some(operand) = block.end.operand() {
        used[operand.index()] = true;
    }
    for (index, inst) in block.insts.iter().enumerate().rev() {
        if gone[index] || !used[index] && only_gives_a_value(inst, helpers) {
            gone[index] = true;
            continue;
        }
        for arg in inst.operands() {
            used[arg.index()] = true;
        }
    }
}

fn only_gives_a_value(inst: &Inst, helpers: Option<&[Helper]>) -> bool {
    match inst.op.effect() {
        Effect::Pure | Effect::ReadsSlot | Effect::ReadsFpFlags => true,
        Effect::Calls => {
            let helper = helpers.and_then(|helpers| helpers.get(inst.imm as usize));
            helper.is_some_and(|helper| helper.effect == HelperEffect::Pure)
        }
        Effect::FpFlags
        | Effect::WritesSlot
        | Effect::WritesFpFlags
        | Effect::WritesMode
        | Effect::Reads
        | Effect::Writes
        | Effect::ReadsWrites
        | Effect::Orders
        | Effect::Leaves => false,
    }
}
