//! Lane moves. Lane arithmetic arrives with the first guest that lifts to it.

use cranelift_codegen::ir::{InstBuilder, Type as ClifType, Value as ClifValue, types};
use vm_ir::{Inst, Type};

use super::Emitter;
use super::int::little;

/// The vector of 16 bytes with lanes of `ty`.
fn lanes(ty: Type) -> ClifType {
    match ty {
        Type::I8 | Type::V128 => types::I8X16,
        Type::I16 | Type::F16 => types::I16X8,
        Type::I32 => types::I32X4,
        Type::I64 => types::I64X2,
        Type::F32 => types::F32X4,
        Type::F64 => types::F64X2,
    }
}

impl Emitter<'_, '_> {
    fn as_lanes(&mut self, value: ClifValue, ty: ClifType) -> ClifValue {
        if self.ir.func.dfg.value_type(value) == ty { value } else { self.ir.ins().bitcast(ty, little(), value) }
    }

    pub(super) fn extract_lane(&mut self, inst: &Inst) -> ClifValue {
        let value = self.arg(inst, 0);
        let vector = self.as_lanes(value, lanes(inst.ty));
        self.ir.ins().extractlane(vector, inst.imm as u8)
    }

    pub(super) fn insert_lane(&mut self, inst: &Inst) -> ClifValue {
        let lane = self.observed(inst, 1);
        let value = self.arg(inst, 0);
        let vector = self.as_lanes(value, lanes(inst.from));
        let vector = self.ir.ins().insertlane(vector, lane, inst.imm as u8);
        self.as_lanes(vector, types::I8X16)
    }

    pub(super) fn splat(&mut self, inst: &Inst) -> ClifValue {
        let lane = self.observed(inst, 0);
        let vector = self.ir.ins().splat(lanes(inst.from), lane);
        self.as_lanes(vector, types::I8X16)
    }
}
