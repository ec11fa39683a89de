//! Removal of ops whose value nothing uses and which do nothing else.
//!
//! Loads stay, because they may fault; ops that raise floating-point flags stay, because the flags are sticky.

use super::{Scratch, compact};
use crate::block::{Block, Inst};
use crate::helper::{Helper, HelperEffect};
use crate::ops::Effect;

pub(super) fn run(block: &mut Block, helpers: &[Helper], scratch: &mut Scratch) {
    let Scratch { gone, used, .. } = scratch;
    gone.clear();
    gone.resize(block.insts.len(), false);
    used.clear();
    used.resize(block.insts.len(), false);
    if let Some(operand) = block.end.operand() {
        used[operand.index()] = true;
    }
    for (index, inst) in block.insts.iter().enumerate().rev() {
        if !used[index] && only_gives_a_value(inst, helpers) {
            gone[index] = true;
            continue;
        }
        for arg in inst.operands() {
            used[arg.index()] = true;
        }
    }
    compact::compact(block, scratch);
}

fn only_gives_a_value(inst: &Inst, helpers: &[Helper]) -> bool {
    match inst.op.effect() {
        Effect::Pure | Effect::ReadsSlot | Effect::ReadsFpFlags => true,
        Effect::Calls => {
            let helper = helpers.get(inst.imm as usize);
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
