//! Comparisons whose flags are taken back: between a read of the sticky flags and the write of what was read.
//!
//! Compilers for guests without a quiet order comparison write C's `isless` and its kin so, and some write every `<` so
//! where the language asks for it. Reading and writing the flags is dear on a host that keeps them in a status register.

use super::{Scratch, compact};
use crate::block::{Block, Value};
use crate::helper::Helper;
use crate::ops::{Effect, Op};

pub(super) fn run(block: &mut Block, _: &[Helper], scratch: &mut Scratch) {
    scratch.gone.clear();
    scratch.gone.resize(block.insts.len(), false);
    let mut any = false;
    for write in 0..block.insts.len() {
        let inst = block.insts[write];
        if inst.op != Op::FpFlagsSet || block.def(inst.args[0]).op != Op::FpFlagsGet {
            continue;
        }
        let read = inst.args[0].index();
        if is_window(block, read, write) {
            for inst in &mut block.insts[read + 1..write] {
                if let Some(silent) = silent(inst.op) {
                    (inst.op, inst.attr) = (silent, 0);
                }
            }
            scratch.gone[write] = true;
            any = true;
        }
    }
    if any {
        compact::compact(block, scratch);
    }
}

/// Whether nothing between the ops `read` and `write` could tell whether comparisons there raise flags.
fn is_window(block: &Block, read: usize, write: usize) -> bool {
    (read + 1..write).all(|index| match block.insts[index].op.effect() {
        Effect::Pure | Effect::ReadsSlot | Effect::WritesSlot => true,
        Effect::FpFlags => silent(block.insts[index].op).is_some(),
        Effect::ReadsFpFlags => !is_used(block, Value::new(index as u32)),
        Effect::WritesFpFlags
        | Effect::WritesMode
        | Effect::Reads
        | Effect::Writes
        | Effect::ReadsWrites
        | Effect::Orders
        | Effect::Calls
        | Effect::Leaves => false,
    })
}

fn is_used(block: &Block, value: Value) -> bool {
    block.end.operand() == Some(value)
        || block.insts[value.index() + 1..].iter().any(|inst| inst.operands().contains(&value))
}

/// The comparison that gives the same value and raises nothing.
fn silent(op: Op) -> Option<Op> {
    [(Op::FEq, Op::FEqSilent), (Op::FLt, Op::FLtSilent), (Op::FLe, Op::FLeSilent)]
        .into_iter()
        .find_map(|(loud, silent)| (op == loud).then_some(silent))
}
