//! Singles in slots of doubles, which box them: a region keeps them as they are as long as it knows what they are, and
//! boxes them where something looks at the double and at its exits.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{ConstantData, InstBuilder, MemFlagsData, Value as ClifValue, types};
use cranelift_frontend::Variable;
use vm_core::{SLOT_COUNT, Slot};
use vm_ir::{Inst, Op, Type, Value};

use super::Emitter;
use super::int::little;
use crate::region::SlotSet;

/// What is known of singles in the block that is being emitted.
pub(super) struct Singles {
    variables: Vec<Option<Variable>>,
    /// Slots that hold one, in the variable for it and not in the slot's own.
    slots: SlotSet,
    /// For each IR value that is a double the single that it boxes, if that is known.
    values: Vec<Option<ClifValue>>,
}

impl Default for Singles {
    fn default() -> Self {
        Self { variables: vec![None; SLOT_COUNT], slots: SlotSet::default(), values: Vec::new() }
    }
}

impl Emitter<'_, '_> {
    /// What is known before the first op of the block.
    pub(super) fn begin_singles(&mut self) {
        self.singles.values.clear();
        self.singles.values.resize(self.block.insts.len(), None);
        let doubles = self.slots.narrow[self.here].iter().filter(|slot| self.is_double(*slot));
        self.singles.slots = doubles.collect();
    }

    fn is_double(&self, slot: Slot) -> bool {
        self.variables[slot.index()].is_some_and(|(_, ty)| ty == Type::F64)
    }

    fn single_variable(&mut self, slot: Slot) -> Variable {
        *self.singles.variables[slot.index()].get_or_insert_with(|| self.ir.declare_var(types::F32))
    }

    /// The single that `slot` holds, if it holds one.
    pub(super) fn single_in(&mut self, slot: Slot) -> Option<ClifValue> {
        if !self.singles.slots.contains(slot) {
            return None;
        }
        let variable = self.single_variable(slot);
        Some(self.ir.use_var(variable))
    }

    /// The single in `slot`, for the op at `at`, which reads the slot; `None` if it may hold another double.
    pub(super) fn get_single(&mut self, at: usize, slot: Slot) -> Option<ClifValue> {
        let single = self.single_in(slot)?;
        self.singles.values[at] = Some(single);
        Some(self.boxed(single))
    }

    /// Writes `value` to `slot` if it boxes a known single; says whether it does.
    pub(super) fn set_single(&mut self, slot: Slot, value: Value) -> bool {
        let Some(single) = self.singles.values[value.index()] else {
            self.singles.slots.remove(slot);
            return false;
        };
        let variable = self.single_variable(slot);
        self.ir.def_var(variable, single);
        self.singles.slots.insert(slot);
        true
    }

    /// After a helper has written any slot.
    pub(super) fn forget_singles(&mut self) {
        self.singles.slots = SlotSet::default();
    }

    /// Boxes the singles that a following block expects as doubles.
    pub(super) fn widen_singles(&mut self) {
        if self.singles.slots == SlotSet::default() {
            return;
        }
        let mut wanted = SlotSet::default();
        for (_, to) in &self.plan.blocks[self.here].edges {
            wanted.union(&self.slots.flow[*to].live.without(&self.slots.narrow[*to]));
        }
        for slot in wanted.both(&self.singles.slots).iter() {
            let single = self.single_variable(slot);
            let single = self.ir.use_var(single);
            let boxed = self.boxed(single);
            self.ir.def_var(self.variable(slot).0, boxed);
        }
    }

    /// At the region's entry: leaves it to the interpreter if a slot of which it is assumed holds no boxed single.
    pub(super) fn check_assumed_singles(&mut self) {
        let assumed = self.slots.assumed_singles;
        for slot in assumed.iter() {
            let double = self.ir.use_var(self.variable(slot).0);
            let other = self.is_other_double(double, Type::F32);
            self.cold_exit(other, Self::decline);
            let single = self.low_single(double);
            let variable = self.single_variable(slot);
            self.ir.def_var(variable, single);
        }
    }

    /// [`Op::FBox`].
    pub(super) fn fbox(&mut self, at: usize) -> ClifValue {
        let inst = &self.block.insts[at];
        let value = self.observed(inst, 0);
        if inst.from == Type::F32 {
            self.singles.values[at] = Some(value);
            return self.boxed(value);
        }
        let bits = self.bits_of(value, inst.from);
        self.with_ones_above(bits, inst.from)
    }

    /// [`Op::FUnbox`].
    pub(super) fn funbox(&mut self, inst: &Inst) -> ClifValue {
        let def = self.block.def(inst.args[0]);
        if def.op == Op::FBox && def.from == inst.ty {
            return self.value(def.args[0]);
        }
        if inst.ty == Type::F32 {
            if let Some(single) = self.singles.values[inst.args[0].index()] {
                return single;
            }
            if self.target.floats_in_lanes && !self.is_cold {
                return self.unbox_single(inst);
            }
        }
        let value = self.observed(inst, 0);
        let bits = self.bits_of(value, Type::F64);
        let ones = self.iconst(types::I64, !inst.ty.mask() as i64);
        let is_boxed = self.ir.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, bits, ones);
        let (ty, nan) = if inst.ty == Type::F16 { (types::I16, 0x7e00) } else { (types::I32, 0x7fc0_0000) };
        let narrow = self.ir.ins().ireduce(ty, bits);
        let nan = self.iconst(ty, nan);
        let narrow = self.ir.ins().select(is_boxed, narrow, nan);
        if inst.ty == Type::F16 { narrow } else { self.ir.ins().bitcast(types::F32, MemFlagsData::new(), narrow) }
    }

    /// Takes the single where it is, and tests beside that whether there is one.
    fn unbox_single(&mut self, inst: &Inst) -> ClifValue {
        let double = self.observed(inst, 0);
        let other = self.is_other_double(double, Type::F32);
        let single = self.low_single(double);
        let (cold, next) = self.split(other, Some(single));
        self.enter_cold(cold);
        let nan = self.ir.ins().f32const(f32::from_bits(0x7fc0_0000));
        self.ir.ins().jump(next, &[nan.into()]);
        self.enter_next(next);
        self.ir.block_params(next)[0]
    }

    /// Whether `double` boxes no float of type `narrow`.
    fn is_other_double(&mut self, double: ClifValue, narrow: Type) -> ClifValue {
        let bits = self.bits_of(double, Type::F64);
        let ones = self.iconst(types::I64, !narrow.mask() as i64);
        self.ir.ins().icmp(IntCC::UnsignedLessThan, bits, ones)
    }

    /// The result of the bitcast `inst`, if what it makes a single of is the low half of a double as it is.
    pub(super) fn low_half(&mut self, inst: &Inst) -> Option<ClifValue> {
        let low = self.block.def(inst.args[0]);
        if inst.ty != Type::F32 || low.op != Op::Truncate || low.ty != Type::I32 {
            return None;
        }
        let bits = self.block.def(low.args[0]);
        if bits.op != Op::Bitcast || bits.from != Type::F64 {
            return None;
        }
        // The bitcast to bits has settled the double's NaN.
        let double = bits.args[0];
        let single = self.singles.values[double.index()];
        Some(single.unwrap_or_else(|| self.low_single(self.value(double))))
    }

    /// The low half of `double`.
    fn low_single(&mut self, double: ClifValue) -> ClifValue {
        if self.target.floats_in_lanes {
            let lanes = self.ir.ins().scalar_to_vector(types::F64X2, double);
            let lanes = self.ir.ins().bitcast(types::F32X4, little(), lanes);
            return self.ir.ins().extractlane(lanes, 0);
        }
        let bits = self.bits_of(double, Type::F64);
        self.value_of(bits, Type::F32)
    }

    /// The double that boxes `single`.
    pub(super) fn boxed(&mut self, single: ClifValue) -> ClifValue {
        if self.target.floats_in_lanes {
            let ones = self.ir.func.dfg.constants.insert(ConstantData::from(&[0xff; 16][..]));
            let ones = self.ir.ins().vconst(types::F32X4, ones);
            let lanes = self.ir.ins().insertlane(ones, single, 0);
            let lanes = self.ir.ins().bitcast(types::F64X2, little(), lanes);
            return self.ir.ins().extractlane(lanes, 0);
        }
        let bits = self.bits_of(single, Type::F32);
        self.with_ones_above(bits, Type::F32)
    }

    /// The double whose low bits are `bits`, as many as `narrow` has, and all others ones.
    fn with_ones_above(&mut self, bits: ClifValue, narrow: Type) -> ClifValue {
        let ones = self.iconst(types::I64, !narrow.mask() as i64);
        let boxed = self.ir.ins().bor(bits, ones);
        self.ir.ins().bitcast(types::F64, MemFlagsData::new(), boxed)
    }
}
