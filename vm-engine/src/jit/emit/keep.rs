//! Keeps instructions that count for their flags: Cranelift sees floating-point arithmetic as pure and would drop it
//! with its result.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{self, InstBuilder, types};

use super::{Emitter, frame_flags};
use crate::jit::abi::{FrameRegister, offset};

impl Emitter<'_, '_> {
    /// Stores results that nothing needs to the frame's sink, so that what computes them stays.
    pub(super) fn keep_flag_effects(&mut self) {
        let effects = std::mem::take(&mut self.flag_effects);
        if effects.is_empty() {
            return;
        }
        let mut needed = self.needed();
        let argument = match self.target.frame {
            FrameRegister::Pinned => None,
            FrameRegister::Argument => {
                let entry = self.ir.func.layout.entry_block();
                entry.map(|entry| self.ir.func.dfg.block_params(entry)[0])
            }
        };
        // Later ones first: keeping one keeps what it reads.
        for inst in effects.into_iter().rev() {
            if needed[inst] {
                continue;
            }
            need(&self.ir.func.dfg, vec![inst], &mut needed);
            let value = self.ir.func.dfg.first_result(inst);
            let mut cursor = FuncCursor::new(self.ir.func).after_inst(inst);
            let frame = argument.unwrap_or_else(|| cursor.ins().get_pinned_reg(types::I64));
            cursor.ins().store(frame_flags(), value, frame, offset::SINK);
        }
    }

    /// The instructions that something with an effect needs.
    fn needed(&self) -> SecondaryMap<ir::Inst, bool> {
        let func = &self.ir.func;
        let mut needed = SecondaryMap::with_capacity(func.dfg.num_insts());
        let mut roots = Vec::new();
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                let data = &func.dfg.insts[inst];
                let opcode = data.opcode();
                if opcode.is_call() || opcode.is_terminator() || opcode.can_store() || opcode.other_side_effects() {
                    roots.push(inst);
                }
            }
        }
        need(&func.dfg, roots, &mut needed);
        needed
    }
}

/// Marks `roots` and everything that they read. Arguments of branches count as read, as they do for Cranelift.
fn need(dfg: &ir::DataFlowGraph, roots: Vec<ir::Inst>, needed: &mut SecondaryMap<ir::Inst, bool>) {
    let mut work = roots;
    while let Some(inst) = work.pop() {
        if std::mem::replace(&mut needed[inst], true) {
            continue;
        }
        for value in dfg.inst_values(inst) {
            if let ir::ValueDef::Result(def, _) = dfg.value_def(value) {
                work.push(def);
            }
        }
    }
}
