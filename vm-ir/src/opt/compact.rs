//! Removal of ops, shared by the passes.

use super::Scratch;
use crate::block::{Block, Value};

/// Removes the ops marked in [`Scratch::gone`], renumbers values and moves marks to the ops that remain.
/// No remaining op may use a value of a removed one.
pub(super) fn compact(block: &mut Block, scratch: &mut Scratch) {
    let Scratch { names, gone, .. } = scratch;
    let len = block.insts.len();
    names.clear();
    names.resize(len, Value::NONE);
    let mut marks = block.marks.iter_mut().peekable();
    let mut kept = 0;
    for index in 0..len {
        while let Some(mark) = marks.next_if(|mark| mark.first as usize <= index) {
            mark.first = kept as u32;
        }
        if gone[index] {
            continue;
        }
        let inst = block.insts[index].renamed(names);
        debug_assert_eq!(inst.operands().len(), block.insts[index].operands().len(), "op {index} uses a removed value");
        names[index] = Value::new(kept as u32);
        block.insts[kept] = inst;
        kept += 1;
    }
    for mark in marks {
        mark.first = kept as u32;
    }
    if let Some(operand) = block.end.operand_mut() {
        *operand = names[operand.index()];
    }
    block.insts.truncate(kept);
}
