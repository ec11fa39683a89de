//! Reads of the sticky flags. Reading the host's status is cheap, but what needs the result waits until everything before
//! has ended. Compilers write the flags to a register only to give them back behind a comparison, so a slot that a region
//! writes flags to and never reads them from gets its value where the region is left: until then it is the status in the
//! frame and the slot's variable together.

use cranelift_codegen::ir::{InstBuilder, Value as ClifValue, types};
use vm_core::{CpuState, Slot};
use vm_ir::{Block, Op};

use super::Emitter;
use crate::jit::abi::{keeping_signature, offset};
use crate::jit::runtime::Function;
use crate::region::RegionPlan;

/// Which of the frame's words for the status a read uses.
#[derive(Clone, Copy)]
enum Word {
    /// The one of the slot that gets its value later.
    Later = 0,
    /// The one for a value that is needed at once.
    Now = 1,
}

/// A slot that `plan` writes the sticky flags to without ever reading them there, if there is one.
pub(super) fn unread_flags(plan: &RegionPlan) -> Option<Slot> {
    let blocks = plan.blocks.iter().map(|here| &here.block);
    let written = blocks.flat_map(|block| (0..block.insts.len()).filter_map(|at| written_flags(block, at)));
    written.into_iter().find(|slot| !reads_flags(plan, *slot))
}

/// Whether `plan` may read flags that it has written to `slot`.
fn reads_flags(plan: &RegionPlan, slot: Slot) -> bool {
    let mut at_entry = vec![false; plan.blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (index, here) in plan.blocks.iter().enumerate() {
            let mut holds = at_entry[index];
            for (at, inst) in here.block.insts.iter().enumerate() {
                match inst.op {
                    Op::Get if holds && inst.slot() == slot => return true,
                    Op::Set if inst.slot() == slot => {
                        holds = at > 0 && written_flags(&here.block, at - 1).is_some();
                    }
                    _ => {}
                }
            }
            for (_, to) in here.edges.iter().filter(|_| holds) {
                changed |= !std::mem::replace(&mut at_entry[*to], true);
            }
        }
    }
    false
}

/// The slot that the op behind the one at `at` writes the flags to that this one reads, if nothing else needs them.
fn written_flags(block: &Block, at: usize) -> Option<Slot> {
    if block.insts[at].op != Op::FpFlagsGet {
        return None;
    }
    let uses = |inst: &vm_ir::Inst| inst.operands().iter().filter(|arg| arg.index() == at).count();
    let count: usize = block.insts[at + 1..].iter().map(uses).sum();
    let ends = block.end.operand().is_some_and(|value| value.index() == at);
    let next = block.insts.get(at + 1).filter(|next| next.op == Op::Set && next.args[0].index() == at)?;
    (count == 1 && !ends).then(|| next.slot())
}

impl Emitter<'_, '_> {
    /// [`Op::FpFlagsGet`] at `at`; `None` if the slot that its value goes to gets it later.
    pub(super) fn flags_get(&mut self, at: usize) -> Option<ClifValue> {
        if !self.target.keeps_registers {
            return Some(self.call_runtime(Function::FpFlagsGet, &[]));
        }
        let later = written_flags(self.block, at).filter(|slot| self.gets_flags_later(*slot));
        let word = if later.is_some() { Word::Later } else { Word::Now };
        self.call_keeping(Function::NoteStatus, word);
        let before = self.load_frame(types::I64, offset::STATE + CpuState::FP_FLAGS_OFFSET as i32);
        let Some(slot) = later else { return Some(self.flags_of(before, Word::Now)) };
        let (variable, _) = self.variable(slot);
        self.ir.def_var(variable, before);
        None
    }

    /// Whether the value of `slot` is the flags of the frame's status and the slot's variable together.
    pub(super) fn gets_flags_later(&self, slot: Slot) -> bool {
        self.unread_flags == Some(slot)
    }

    /// The value of a slot that gets it later, whose variable holds `before`.
    pub(super) fn late_flags(&mut self, before: ClifValue) -> ClifValue {
        self.flags_of(before, Word::Later)
    }

    /// Before `slot` is written otherwise: a status without flags adds nothing to its variable. What was kept for a fault
    /// would miss the old one.
    pub(super) fn forget_status(&mut self, slot: Slot) {
        if self.gets_flags_later(slot) {
            self.close_group();
            let none = self.iconst(types::I64, 0);
            self.store_frame(none, offset::STATUS);
        }
    }

    /// The flags of the status in `word` together with `before`.
    fn flags_of(&mut self, before: ClifValue, word: Word) -> ClifValue {
        self.call_keeping(Function::FlagsToSink, word);
        let raised = self.load_frame(types::I64, offset::SINK + 8 * word as i32);
        self.ir.ins().bor(raised, before)
    }

    fn call_keeping(&mut self, function: Function, word: Word) {
        let frame = self.frame();
        let place = if word as i64 == 0 { frame } else { self.ir.ins().iadd_imm_s(frame, 8 * word as i64) };
        let function = self.runtime_entry(function as usize);
        let signature = self.ir.import_signature(keeping_signature());
        self.ir.ins().call_indirect(signature, function, &[place]);
    }
}
