//! Groups of accesses, behind each of which the region is left if the fault handler stepped over one of them.
//!
//! A group is a store or none, and loads in a row after it, with nothing between them that leaves, calls or looks at the
//! floating-point flags, and not much that is written: what was in a slot before is kept until the group is over. If the
//! store was stepped over, the interpreter begins again there; else with the first load, since loads can be made twice. What
//! ran behind the access that was stepped over has calculated with an old value, and only values and flags know of it: the
//! next store comes after the group. Definitions of ops may be called in between, since they do no more than that.

use cranelift_codegen::ir::{InstBuilder, types};
use vm_core::{GuestAddr, Slot};

use super::Emitter;
use super::slots::Held;
use crate::frame::{ExitCode, STORE_STEPPED_OVER};
use crate::jit::abi::offset;
use crate::region::{AtFaults, Part, SlotSet, ends_group};

/// The state before an access, as far as it is not in memory.
struct Before {
    /// The guest instruction of the access.
    pc: GuestAddr,
    /// What dirty slots hold.
    slots: Vec<(Slot, Held)>,
    /// Those of them that hold the host's NaN.
    raw: SlotSet,
}

/// An open group: the state before its store and before its first load.
#[derive(Default)]
pub(super) struct Group {
    store: Option<Before>,
    load: Option<Before>,
}

impl Emitter<'_, '_> {
    /// Opens or closes a group before the op at `at`, if it has to be.
    pub(super) fn before_op(&mut self, at: usize) {
        if self.slots.flow[self.here].at_faults != AtFaults::Replayed {
            return;
        }
        match Part::of(self.block.insts[at].op) {
            Part::None => {}
            Part::End => self.close_group(),
            Part::Load => {
                // The check of an address leaves, and must not do so for one that is made of an old value.
                if self.memory.is_some() {
                    self.close_group();
                }
                if self.group.load.is_none() {
                    self.group.load = Some(self.before());
                }
            }
            Part::Store => {
                self.close_group();
                self.group.store = Some(self.before());
            }
        }
    }

    fn before(&mut self) -> Before {
        let pc = self.pc();
        let dirty = self.dirty;
        let slots = dirty.iter().map(|slot| (slot, self.held(slot))).collect();
        Before { pc, slots, raw: self.raw_slots }
    }

    /// Closes the group behind the op at `at`, if it is the last access of one.
    pub(super) fn after_op(&mut self, at: usize) {
        if self.slots.flow[self.here].at_faults == AtFaults::Replayed && ends_group(self.block, at) {
            self.close_group();
        }
    }

    /// Leaves if an access of the open group was stepped over.
    pub(super) fn close_group(&mut self) {
        let Group { store, load } = std::mem::take(&mut self.group);
        if store.is_none() && load.is_none() {
            return;
        }
        let word = self.load_frame(types::I64, offset::STEPPED_OVER);
        let (cold, next) = self.split(word, None);
        self.enter_cold(cold);
        match (store, load) {
            (Some(store), Some(load)) => {
                let at_store = self.ir.ins().band_imm_s(word, STORE_STEPPED_OVER as i64);
                let (first, second) = self.split(at_store, None);
                self.ir.set_cold_block(second);
                self.enter_cold(first);
                self.leave_for_replay(store);
                self.enter_next(second);
                self.leave_for_replay(load);
            }
            (before, other) => before.or(other).into_iter().for_each(|before| self.leave_for_replay(before)),
        }
        self.enter_next(next);
    }

    fn leave_for_replay(&mut self, before: Before) {
        for (slot, held) in before.slots {
            self.store_held(slot, held, before.raw.contains(slot));
        }
        self.set_pc(before.pc);
        self.leave(ExitCode::Replay);
    }
}
