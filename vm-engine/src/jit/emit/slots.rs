//! Guest slots: the builder's variables, in the forms that the region knows, and their places in the state.

use cranelift_codegen::ir::Value as ClifValue;
use cranelift_frontend::Variable;
use vm_core::{CpuState, Slot};
use vm_ir::{Inst, Type};

use super::{Emitter, clif_type};
use crate::jit::abi::offset;
use crate::region::{SlotSet, is_raw};

/// What a slot holds at some place.
#[derive(Clone, Copy)]
pub(super) enum Held {
    /// A value of the slot's type.
    Own(ClifValue),
    /// The single that the slot's double boxes.
    Single(ClifValue),
    /// The sticky flags that the frame's status and these give together.
    Flags(ClifValue),
}

impl Emitter<'_, '_> {
    pub(super) fn variable(&self, slot: Slot) -> (Variable, Type) {
        self.variables[slot.index()].expect("analysis lists every slot of the region")
    }

    /// Stores the slots to the state, with the NaNs that the guest sees.
    pub(super) fn store_slots(&mut self, slots: &SlotSet) {
        for slot in slots.iter() {
            let held = self.held(slot);
            self.store_held(slot, held, self.raw_slots.contains(slot));
        }
    }

    /// Stores what `slot` held to the state: a NaN is the host's if it is `raw`.
    pub(super) fn store_held(&mut self, slot: Slot, held: Held, raw: bool) {
        let value = match held {
            Held::Own(value) if raw => self.canonical_in_cold_code(value),
            Held::Own(value) => value,
            Held::Single(single) => self.boxed(single),
            Held::Flags(before) => self.late_flags(before),
        };
        self.store_frame(value, offset::STATE + CpuState::slot_offset(slot) as i32);
    }

    pub(super) fn load_slot(&mut self, slot: Slot) {
        self.forget_status(slot);
        let (variable, ty) = self.variable(slot);
        let value = self.load_frame(clif_type(ty), offset::STATE + CpuState::slot_offset(slot) as i32);
        self.ir.def_var(variable, value);
    }

    /// Gives slots that a following block expects with settled NaNs such NaNs.
    pub(super) fn settle(&mut self) {
        let mut wanted = SlotSet::default();
        for (_, to) in &self.plan.blocks[self.here].edges {
            let flow = &self.slots.flow[*to];
            wanted.union(&flow.settled.both(&flow.live));
        }
        self.settle_slots(&wanted);
    }

    /// Gives those of `slots` the NaNs that the guest sees.
    pub(super) fn settle_slots(&mut self, slots: &SlotSet) {
        for slot in slots.both(&self.raw_slots).iter() {
            let variable = self.variable(slot).0;
            let value = self.ir.use_var(variable);
            let value = self.canonical(value);
            self.ir.def_var(variable, value);
            self.raw_slots.remove(slot);
        }
    }

    /// What `slot` holds.
    pub(super) fn held(&mut self, slot: Slot) -> Held {
        if let Some(single) = self.single_in(slot) {
            return Held::Single(single);
        }
        let value = self.ir.use_var(self.variable(slot).0);
        if self.gets_flags_later(slot) { Held::Flags(value) } else { Held::Own(value) }
    }

    pub(super) fn get(&mut self, at: usize, slot: Slot) -> ClifValue {
        if let Some(boxed) = self.get_single(at, slot) {
            return boxed;
        }
        self.raw[at] = self.raw_slots.contains(slot);
        self.ir.use_var(self.variable(slot).0)
    }

    pub(super) fn set(&mut self, inst: &Inst) {
        let slot = inst.slot();
        if self.values[inst.args[0].index()].is_none() {
            // Flags that are worked out later.
            self.dirty.insert(slot);
            return;
        }
        self.forget_status(slot);
        if self.set_single(slot, inst.args[0]) {
            self.dirty.insert(slot);
            self.raw_slots.remove(slot);
            return;
        }
        let kept = is_raw(self.block, inst.args[0]) && self.raw[inst.args[0].index()];
        let value = if kept { self.arg(inst, 0) } else { self.observed(inst, 0) };
        self.ir.def_var(self.variable(slot).0, value);
        self.dirty.insert(slot);
        if kept {
            self.raw_slots.insert(slot);
        } else {
            self.raw_slots.remove(slot);
        }
    }
}
