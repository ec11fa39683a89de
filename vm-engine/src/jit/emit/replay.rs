//! Groups of accesses, behind each of which the region is left if the fault handler stepped over one of them.
//!
//! A group is a store or none, and loads in a row after it, with nothing between them that leaves, calls or looks at the
//! floating-point flags, and not much that is written: what was in a slot before is kept until the group is over. If the
//! store was stepped over, the interpreter begins again there; else with the first load, since loads can be made twice. What
//! ran behind the access that was stepped over has calculated with an old value, and only values and flags know of it: the
//! next store comes after the group. Definitions of ops may be called in between, since they do no more than that.
//!
//! Functions begin with stores beside one another, each of which would be a group. Such a run within a page is refused whole or
//! not at all (but for another thread that takes the page away meanwhile), so it counts as one store, its first; one that
//! crosses a page is done store by store, out of line.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, types};
use vm_core::{GuestAddr, Slot};

use super::Emitter;
use super::slots::Held;
use crate::frame::{ExitCode, STORE_STEPPED_OVER};
use crate::jit::CompileError;
use crate::jit::abi::offset;
use crate::region::{AtFaults, MemoryMode, Part, SlotSet, ends_group, store_run};

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
            Part::Load if self.is_loaded(at) => {}
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

    /// Emits the run of stores that begins at `at`, if one does and it is worth it, and gives its last one. The group that it
    /// begins is still open then.
    pub(super) fn store_run(&mut self, at: usize) -> Result<Option<usize>, CompileError> {
        /// Bytes that are refused alike.
        const PAGE: i64 = 4096;
        let is_plain = self.plan.options.memory == MemoryMode::Direct && !self.is_cold;
        if self.slots.flow[self.here].at_faults != AtFaults::Replayed || !is_plain {
            return Ok(None);
        }
        let block = self.block;
        let Some(run) = store_run(block, at) else { return Ok(None) };
        self.close_group();
        for between in (at..run.last()).filter(|index| !run.stores.contains(index)) {
            self.inst(between)?;
        }
        let stores = &run.stores;
        for at in stores {
            self.observed(&block.insts[*at], 1); // where it is for both ways
        }
        self.locate(block.pc_of(at));
        let base = self.arg(&block.insts[at], 0);
        let address = self.ir.ins().iadd_imm_s(base, run.span.start);
        let in_page = self.ir.ins().band_imm_s(address, PAGE - 1);
        let crosses =
            self.ir.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, in_page, PAGE - (run.span.end - run.span.start));

        let before = self.before();
        let join = self.ir.create_block();
        let (cold, next) = self.split(crosses, None);
        self.enter_cold(cold);
        self.is_cold = true;
        self.single_stores(stores, &before);
        self.is_cold = false;
        self.ir.ins().jump(join, &[]);

        self.enter_next(next);
        for at in stores {
            self.locate(block.pc_of(*at));
            self.store(*at);
        }
        self.ir.ins().jump(join, &[]);
        self.enter_next(join);
        self.group.store = Some(before);
        Ok(Some(run.last()))
    }

    /// The stores of a run, each with a test behind it; they leave alike but for the program counter.
    fn single_stores(&mut self, stores: &[usize], before: &Before) {
        let leaves = self.ir.create_block();
        self.ir.set_cold_block(leaves);
        let pc = self.ir.append_block_param(leaves, types::I64);
        for at in stores {
            let at_pc = self.block.pc_of(*at);
            self.locate(at_pc);
            self.store(*at);
            let word = self.load_frame(types::I64, offset::STEPPED_OVER);
            let here = self.iconst(types::I64, at_pc.get() as i64);
            let next = self.ir.create_block();
            self.ir.set_cold_block(next);
            self.ir.ins().brif(word, leaves, &[here.into()], next, &[]);
            self.enter_next(next);
        }
        let goes_on = self.ir.create_block();
        self.ir.set_cold_block(goes_on);
        self.ir.ins().jump(goes_on, &[]);
        self.enter_cold(leaves);
        self.store_before(before);
        self.store_pc(pc);
        self.leave(ExitCode::Replay);
        self.enter_next(goes_on);
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

    fn store_before(&mut self, before: &Before) {
        for (slot, held) in &before.slots {
            self.store_held(*slot, *held, before.raw.contains(*slot));
        }
    }

    fn leave_for_replay(&mut self, before: Before) {
        self.store_before(&before);
        self.set_pc(before.pc);
        self.leave(ExitCode::Replay);
    }
}
