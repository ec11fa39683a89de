//! Floating-point ops. Round-to-nearest-even arithmetic runs on the host's own instructions, whose status collects the
//! flags; the rest calls the definition.
//!
//! The host's NaNs are replaced by the guest's where something looks at their bits, not at every operation.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value as ClifValue, types};
use cranelift_frontend::FuncInstBuilder;
use vm_core::CpuState;
use vm_ir::eval::FpEnv;
use vm_ir::{Inst, NanRule, Op, OverflowRule, Rounding, Type};

use super::{Emitter, clif_type};
use crate::hostfp;
use crate::jit::abi::offset;
use crate::region::is_raw;

/// Whether the source of a conversion is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    Yes,
    No,
}

/// Whether the bits of a NaN operand change nothing about what `inst` gives: it yields a canonical NaN, or no float.
pub(super) fn ignores_nan_bits(inst: &Inst) -> bool {
    let arithmetic =
        matches!(inst.op, Op::FAdd | Op::FSub | Op::FMul | Op::FDiv | Op::FSqrt | Op::FMulAdd | Op::FConvert);
    let other = matches!(inst.op, Op::FEq | Op::FLt | Op::FLe | Op::FUnordered | Op::FToIntS);
    other || arithmetic && inst.fp().nan == NanRule::Canonical
}

/// Whether the host's instruction gives the op's result but for the bits of a NaN.
fn is_native(inst: &Inst) -> bool {
    let fp = inst.fp();
    inst.ty != Type::F16
        && inst.from != Type::F16
        && fp.rounding == Rounding::NearestEven
        && fp.nan == NanRule::Canonical
}

impl Emitter<'_, '_> {
    /// `value`, or the canonical NaN if it is a NaN. For arithmetic results only: a signalling NaN would raise flags.
    ///
    /// The constant is made where the NaN is, out of the way: two instructions are left on the way that is taken.
    pub(super) fn canonical(&mut self, value: ClifValue) -> ClifValue {
        let is_nan = self.ir.ins().fcmp(FloatCC::Unordered, value, value);
        let (cold, next) = self.split(is_nan, Some(value));
        self.enter_cold(cold);
        let nan = self.canonical_nan(value);
        self.ir.ins().jump(next, &[nan.into()]);
        self.enter_next(next);
        self.ir.block_params(next)[0]
    }

    /// As [`Emitter::canonical`], for a way that is seldom taken: smaller, and without a branch.
    pub(super) fn canonical_in_cold_code(&mut self, value: ClifValue) -> ClifValue {
        let nan = self.canonical_nan(value);
        let is_nan = self.ir.ins().fcmp(FloatCC::Unordered, value, value);
        self.ir.ins().select(is_nan, nan, value)
    }

    /// The canonical NaN of the type of `value`.
    fn canonical_nan(&mut self, value: ClifValue) -> ClifValue {
        if self.ir.func.dfg.value_type(value) == types::F32 {
            self.ir.ins().f32const(f32::from_bits(0x7fc0_0000))
        } else {
            self.ir.ins().f64const(f64::from_bits(0x7ff8_0000_0000_0000))
        }
    }

    /// Notes that the instruction that gave `value` counts for its flags.
    fn raises_flags(&mut self, value: ClifValue) {
        let inst = self.ir.func.dfg.value_def(value).unwrap_inst();
        self.flag_effects.push(inst);
    }

    pub(super) fn arithmetic(
        &mut self,
        at: usize,
        build: impl FnOnce(FuncInstBuilder<'_, '_>, [ClifValue; 2]) -> ClifValue,
    ) -> ClifValue {
        let inst = &self.block.insts[at];
        if !is_native(inst) {
            return self.definition(inst);
        }
        let a = self.arg(inst, 0);
        let b = if inst.operands().len() > 1 { self.arg(inst, 1) } else { a };
        let value = build(self.ir.ins(), [a, b]);
        self.raises_flags(value);
        self.raw[at] = true;
        value
    }

    /// A NaN result goes through the definition: hosts differ in whether infinity times zero plus a quiet NaN is
    /// *invalid*.
    pub(super) fn multiply_add(&mut self, inst: &Inst) -> ClifValue {
        if !is_native(inst) || !self.target.has_fma {
            return self.definition(inst);
        }
        let (a, b, c) = (self.arg(inst, 0), self.arg(inst, 1), self.arg(inst, 2));
        let value = self.ir.ins().fma(a, b, c);
        self.raises_flags(value);
        let is_nan = self.ir.ins().fcmp(FloatCC::Unordered, value, value);
        let (cold, next) = self.split(is_nan, Some(value));
        self.enter_cold(cold);
        // Operands with the host's NaN are settled in here only: the other way never sees them.
        let before: Vec<_> = inst.args.iter().map(|arg| (self.values[arg.index()], self.raw[arg.index()])).collect();
        let raw_slots = self.raw_slots;
        let exact = self.definition(inst);
        self.raw_slots = raw_slots;
        for (arg, (value, raw)) in inst.args.iter().zip(before) {
            self.values[arg.index()] = value;
            self.raw[arg.index()] = raw;
        }
        self.ir.ins().jump(next, &[exact.into()]);
        self.enter_next(next);
        self.ir.block_params(next)[0]
    }

    pub(super) fn fneg(&mut self, at: usize) -> ClifValue {
        let inst = &self.block.insts[at];
        // Where only arithmetic follows, the sign of a NaN is lost anyway.
        let seen = self.uses[at].observed;
        let a = if seen { self.observed(inst, 0) } else { self.arg(inst, 0) };
        if inst.ty == Type::F16 {
            let sign = self.iconst(types::I16, Type::F16.sign_bit() as i64);
            return self.ir.ins().bxor(a, sign);
        }
        self.ir.ins().fneg(a)
    }

    pub(super) fn fabs(&mut self, inst: &Inst) -> ClifValue {
        let a = self.observed(inst, 0);
        if inst.ty == Type::F16 {
            let magnitude = self.iconst(types::I16, Type::F16.mask() as i64 >> 1);
            return self.ir.ins().band(a, magnitude);
        }
        self.ir.ins().fabs(a)
    }

    pub(super) fn fcopysign(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.observed(inst, 0), self.observed(inst, 1));
        if inst.ty == Type::F16 {
            let magnitude = self.iconst(types::I16, Type::F16.mask() as i64 >> 1);
            let magnitude = self.ir.ins().band(a, magnitude);
            let sign = self.iconst(types::I16, Type::F16.sign_bit() as i64);
            let sign = self.ir.ins().band(b, sign);
            return self.ir.ins().bor(magnitude, sign);
        }
        self.ir.ins().fcopysign(a, b)
    }

    /// The host's quiet comparison raises *invalid* for signalling NaNs; for a signalling comparison a cold path raises
    /// it for quiet ones.
    pub(super) fn float_compare(&mut self, at: usize, condition: FloatCC) -> ClifValue {
        let inst = &self.block.insts[at];
        if inst.from == Type::F16 {
            return self.definition(inst);
        }
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        let mut value = self.ir.ins().fcmp(condition, a, b);
        self.raises_flags(value);
        if self.reads_flags || self.uses[at].overtaken {
            // Through memory, so that instruction selection does not move the comparison to its use, which may come
            // after the flags were read or the region was left.
            self.store_frame(value, offset::SINK);
            value = self.load_frame(types::I8, offset::SINK);
        }
        if inst.signaling() {
            let unordered = self.ir.ins().fcmp(FloatCC::Unordered, a, b);
            let (cold, next) = self.split(unordered, None);
            self.enter_cold(cold);
            let place = offset::STATE + CpuState::FP_FLAGS_OFFSET as i32;
            let flags = self.load_frame(types::I64, place);
            let invalid = self.iconst(types::I64, FpEnv::INVALID as i64);
            let flags = self.ir.ins().bor(flags, invalid);
            self.store_frame(flags, place);
            self.ir.ins().jump(next, &[]);
            self.enter_next(next);
        }
        value
    }

    /// Whether operand `index` cannot be a signalling NaN.
    fn never_signals(&self, inst: &Inst, index: usize) -> bool {
        let arg = inst.args[index];
        let def = self.block.def(arg);
        let known = match def.op {
            Op::Const => Some(def.imm as u64),
            Op::Bitcast => {
                Some(self.block.def(def.args[0])).filter(|from| from.op == Op::Const).map(|from| from.imm as u64)
            }
            _ => None,
        };
        let quiet = known.is_some_and(|bits| !hostfp::is_signaling(def.ty, bits));
        quiet || self.raw[arg.index()] || is_raw(self.block, arg)
    }

    /// The host's comparison raises *invalid* for signalling NaNs, so it is left out where an operand that may be one is
    /// a NaN, which an integer comparison tells without raising anything.
    pub(super) fn silent_compare(&mut self, inst: &Inst, condition: FloatCC) -> ClifValue {
        if inst.from == Type::F16 {
            return self.definition(inst);
        }
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        let checked: Vec<_> = [a, b]
            .into_iter()
            .enumerate()
            .filter(|(index, _)| !self.never_signals(inst, *index))
            .map(|(_, value)| value)
            .collect();
        let nans: Vec<_> = checked.into_iter().map(|value| self.is_nan(inst.from, value)).collect();
        let any = match nans[..] {
            [] => return self.ir.ins().fcmp(condition, a, b),
            [one] => one,
            [one, other, ..] => self.ir.ins().bor(one, other),
        };
        let (compare, next) = (self.ir.create_block(), self.ir.create_block());
        self.ir.append_block_param(next, types::I8);
        let no = self.iconst(types::I8, 0);
        self.ir.ins().brif(any, next, &[no.into()], compare, &[]);
        self.enter_next(compare);
        let value = self.ir.ins().fcmp(condition, a, b);
        self.ir.ins().jump(next, &[value.into()]);
        self.enter_next(next);
        self.ir.block_params(next)[0]
    }

    /// Whether `value` is a NaN, by its bits.
    fn is_nan(&mut self, ty: Type, value: ClifValue) -> ClifValue {
        let (int, infinity) = match ty {
            Type::F32 => (types::I32, 0xff00_0000),
            _ => (types::I64, 0xffe0_0000_0000_0000_u64),
        };
        let bits = self.ir.ins().bitcast(int, MemFlagsData::new(), value);
        let magnitude = self.ir.ins().ishl_imm_u(bits, 1);
        let infinity = self.iconst(int, infinity as i64);
        self.ir.ins().icmp(IntCC::UnsignedGreaterThan, magnitude, infinity)
    }

    pub(super) fn float_to_int(&mut self, inst: &Inst) -> ClifValue {
        let fp = inst.fp();
        let saturates = fp.overflow != OverflowRule::Indefinite;
        if inst.from == Type::F16 || fp.rounding != Rounding::TowardZero || !saturates {
            return self.definition(inst);
        }
        let a = self.arg(inst, 0);
        let ty = clif_type(inst.ty);
        let value = self.ir.ins().fcvt_to_sint_sat(ty, a);
        self.raises_flags(value);
        if fp.overflow == OverflowRule::SaturateNanZero {
            return value;
        }
        let is_nan = self.ir.ins().fcmp(FloatCC::Unordered, a, a);
        let most = self.iconst(ty, (inst.ty.mask() >> 1) as i64);
        self.ir.ins().select(is_nan, most, value)
    }

    pub(super) fn int_to_float(&mut self, inst: &Inst, signed: Signed) -> ClifValue {
        // An unsigned doubleword takes several instructions on most hosts, which raise flags of their own.
        let native = signed == Signed::Yes || inst.from == Type::I32;
        if inst.ty == Type::F16 || inst.fp().rounding != Rounding::NearestEven || !native {
            return self.definition(inst);
        }
        let a = self.arg(inst, 0);
        let ty = clif_type(inst.ty);
        let value = match signed {
            Signed::Yes => self.ir.ins().fcvt_from_sint(ty, a),
            Signed::No => {
                let wide = self.ir.ins().uextend(types::I64, a);
                self.ir.ins().fcvt_from_sint(ty, wide)
            }
        };
        self.raises_flags(value);
        value
    }

    pub(super) fn float_convert(&mut self, at: usize) -> ClifValue {
        let inst = &self.block.insts[at];
        if !is_native(inst) {
            return self.definition(inst);
        }
        let a = self.arg(inst, 0);
        let value = match (inst.from, inst.ty) {
            (Type::F32, Type::F64) => self.ir.ins().fpromote(types::F64, a),
            (Type::F64, Type::F32) => self.ir.ins().fdemote(types::F32, a),
            _ => return self.definition(inst),
        };
        self.raises_flags(value);
        self.raw[at] = true;
        value
    }
}
