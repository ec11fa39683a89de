//! Floating-point ops: what round-to-nearest-even needs on the host's instructions, whose status collects the flags;
//! the rest calls the definition. NaNs become the guest's with every result.

use vm_ir::{Inst, NanRule, Op, OverflowRule, Rounding, Type, Value};

use super::asm::{Alu, Cond, Rm, Shift, Width, Xmm};
use super::int::width;
use super::places::{Place, SCRATCH, is_vector};
use super::{Baseline, Refused};

/// The bits of the canonical NaN of `ty`.
fn canonical_nan(ty: Type) -> i64 {
    if ty == Type::F64 { 0x7ff8_0000_0000_0000 } else { 0x7fc0_0000 }
}

/// Whether the host's instruction gives the op's result but for the bits of a NaN.
fn is_native(inst: &Inst) -> bool {
    let fp = inst.fp();
    is_vector(inst.ty) && is_vector(inst.from) && fp.rounding == Rounding::NearestEven && fp.nan == NanRule::Canonical
}

impl Baseline<'_> {
    /// Replaces a NaN in `register`, an arithmetic result, by the canonical one.
    fn canonicalise(&mut self, ty: Type, register: Xmm) {
        let double = ty == Type::F64;
        self.asm.compare_floats(false, double, register, Rm::Reg(register));
        let number = self.asm.skip(Cond::NoParity);
        self.asm.mov_imm(SCRATCH, canonical_nan(ty));
        self.asm.float_from_bits(double, register, SCRATCH);
        self.asm.land(number);
    }

    pub(super) fn arithmetic(&mut self, at: u32, inst: &Inst, opcode: u8) -> Result<(), Refused> {
        if !is_native(inst) {
            return self.definition(at, inst);
        }
        let b = self.places.in_xmm(&mut self.asm, inst.args[1]);
        let dst = self.places.take_xmm(&mut self.asm, inst.args[0]);
        self.asm.float_op(opcode, inst.ty == Type::F64, dst, Rm::Reg(b));
        self.canonicalise(inst.ty, dst);
        self.places.bind_xmm(Value::new(at), dst);
        Ok(())
    }

    pub(super) fn square_root(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if !is_native(inst) {
            return self.definition(at, inst);
        }
        let dst = self.places.take_xmm(&mut self.asm, inst.args[0]);
        self.asm.float_op(0x51, inst.ty == Type::F64, dst, Rm::Reg(dst));
        self.canonicalise(inst.ty, dst);
        self.places.bind_xmm(Value::new(at), dst);
        Ok(())
    }

    /// A NaN result goes through the definition: hosts differ in whether infinity times zero plus a quiet NaN is
    /// *invalid*.
    pub(super) fn multiply_add(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if !is_native(inst) || !(self.has_fma)() {
            return self.definition(at, inst);
        }
        let double = inst.ty == Type::F64;
        let registers = inst.args.map(|arg| self.places.in_xmm(&mut self.asm, arg));
        let dst = self.places.xmm(&mut self.asm);
        self.asm.move_float(dst, registers[2]);
        self.asm.multiply_add(double, dst, registers[0], registers[1]);
        self.asm.compare_floats(false, double, dst, Rm::Reg(dst));
        let (exact, end) = (self.asm.label(), self.asm.label());
        self.asm.jcc(Cond::Parity, exact);
        self.asm.bind(end);
        self.later_definition(inst, exact, end, &registers, dst);
        self.places.bind_xmm(Value::new(at), dst);
        Ok(())
    }

    /// Changes the sign bit as `inst` says.
    pub(super) fn sign(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if !is_vector(inst.ty) {
            return self.definition(at, inst);
        }
        let double = inst.ty == Type::F64;
        let (width, bit) = if double { (Width::W64, 63) } else { (Width::W32, 31) };
        let bits = self.places.take(&mut self.asm, inst.args[0]);
        match inst.op {
            Op::FNeg => self.asm.invert_bit(width, bits, bit),
            Op::FAbs => self.asm.clear_bit(width, bits, bit),
            _ => {
                let other = self.places.in_gpr(&mut self.asm, inst.args[1]);
                self.asm.mov(width, SCRATCH, Rm::Reg(other));
                self.asm.shift_imm(Shift::Shr, width, SCRATCH, bit);
                self.asm.shift_imm(Shift::Shl, width, SCRATCH, bit);
                self.asm.clear_bit(width, bits, bit);
                self.asm.alu(Alu::Or, width, bits, Rm::Reg(SCRATCH));
            }
        }
        let dst = self.places.xmm(&mut self.asm);
        self.asm.float_from_bits(double, dst, bits);
        self.places.bind_xmm(Value::new(at), dst);
        Ok(())
    }

    pub(super) fn float_comparison(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if !is_vector(inst.from) {
            return self.definition(at, inst);
        }
        let a = self.places.in_xmm(&mut self.asm, inst.args[0]);
        let b = self.places.in_xmm(&mut self.asm, inst.args[1]);
        let dst = self.places.gpr(&mut self.asm);
        let (double, signaling) = (inst.from == Type::F64, inst.signaling());
        let mut compare = |a, b| self.asm.compare_floats(signaling, double, a, Rm::Reg(b));
        // Unordered operands set the flags of "below" and of "equal".
        match inst.op {
            Op::FLt => {
                compare(b, a);
                self.asm.set(Cond::Above, dst);
            }
            Op::FLe => {
                compare(b, a);
                self.asm.set(Cond::AboveOrEqual, dst);
            }
            Op::FUnordered => {
                compare(a, b);
                self.asm.set(Cond::Parity, dst);
            }
            _ => {
                compare(a, b);
                self.asm.set(Cond::NoParity, SCRATCH);
                self.asm.set(Cond::Equal, dst);
                self.asm.alu(Alu::And, Width::W32, dst, Rm::Reg(SCRATCH));
            }
        }
        self.places.bind(Value::new(at), dst);
        Ok(())
    }

    /// The host's instruction gives the most negative number where it cannot give the result; then the definition does.
    pub(super) fn float_to_int(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        let fp = inst.fp();
        let saturates = fp.overflow != OverflowRule::Indefinite;
        if !is_vector(inst.from) || fp.rounding != Rounding::TowardZero || !saturates {
            return self.definition(at, inst);
        }
        let width = width(inst.ty);
        let a = self.places.in_xmm(&mut self.asm, inst.args[0]);
        let dst = self.places.gpr(&mut self.asm);
        self.asm.truncate_to_int(inst.from == Type::F64, width, dst, a);
        self.asm.mov_imm(SCRATCH, if width == Width::W64 { i64::MIN } else { 0x8000_0000 });
        self.asm.alu(Alu::Cmp, width, dst, Rm::Reg(SCRATCH));
        let (exact, end) = (self.asm.label(), self.asm.label());
        self.asm.jcc(Cond::Equal, exact);
        self.asm.bind(end);
        self.later_definition(inst, exact, end, &[a], dst);
        self.places.bind(Value::new(at), dst);
        Ok(())
    }

    pub(super) fn int_to_float(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        let signed = inst.op == Op::IntToFS;
        if !is_vector(inst.ty) || inst.fp().rounding != Rounding::NearestEven || !signed && inst.from != Type::I32 {
            return self.definition(at, inst);
        }
        let dst = self.places.xmm(&mut self.asm);
        let mut from = self.places.in_gpr(&mut self.asm, inst.args[0]);
        let mut width = width(inst.from);
        if !signed {
            self.asm.zero_extend(4, SCRATCH, Rm::Reg(from));
            (from, width) = (SCRATCH, Width::W64);
        }
        // The instruction keeps the register's upper part, and would wait for it.
        self.asm.zero_float(dst);
        self.asm.float_from_int(inst.ty == Type::F64, width, dst, from);
        self.places.bind_xmm(Value::new(at), dst);
        Ok(())
    }

    pub(super) fn float_convert(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if !is_native(inst) || inst.ty == inst.from {
            return self.definition(at, inst);
        }
        let dst = self.places.take_xmm(&mut self.asm, inst.args[0]);
        self.asm.convert_float(inst.from == Type::F64, dst, dst);
        self.canonicalise(inst.ty, dst);
        self.places.bind_xmm(Value::new(at), dst);
        Ok(())
    }

    pub(super) fn bitcast(&mut self, at: u32, inst: &Inst) {
        let (value, arg) = (Value::new(at), inst.args[0]);
        match self.places.place(arg) {
            Place::Imm(bits) => self.places.put(value, Place::Imm(bits)),
            Place::State(home) => self.places.put(value, Place::State(home)),
            _ if is_vector(inst.ty) == is_vector(inst.from) => {
                if is_vector(inst.ty) {
                    let dst = self.places.take_xmm(&mut self.asm, arg);
                    self.places.bind_xmm(value, dst);
                } else {
                    let dst = self.places.take(&mut self.asm, arg);
                    self.places.bind(value, dst);
                }
            }
            _ if is_vector(inst.ty) => {
                let bits = self.places.in_gpr(&mut self.asm, arg);
                let dst = self.places.xmm(&mut self.asm);
                self.asm.float_from_bits(inst.ty == Type::F64, dst, bits);
                self.places.bind_xmm(value, dst);
            }
            _ => {
                let from = self.places.in_xmm(&mut self.asm, arg);
                let dst = self.places.gpr(&mut self.asm);
                self.asm.bits_from_float(inst.from == Type::F64, dst, from);
                self.places.bind(value, dst);
            }
        }
    }

    /// A narrow float with ones above.
    pub(super) fn fbox(&mut self, at: u32, inst: &Inst) {
        let narrow = self.places.in_gpr(&mut self.asm, inst.args[0]);
        let bits = self.places.gpr(&mut self.asm);
        self.asm.zero_extend(inst.from.bytes(), bits, Rm::Reg(narrow));
        self.asm.mov_imm(SCRATCH, !inst.from.mask() as i64);
        self.asm.alu(Alu::Or, Width::W64, bits, Rm::Reg(SCRATCH));
        let dst = self.places.xmm(&mut self.asm);
        self.asm.float_from_bits(true, dst, bits);
        self.places.bind_xmm(Value::new(at), dst);
    }

    /// The narrow float below ones, or the canonical NaN.
    pub(super) fn funbox(&mut self, at: u32, inst: &Inst) {
        let value = Value::new(at);
        let bits = self.places.take(&mut self.asm, inst.args[0]);
        self.asm.mov_imm(SCRATCH, !inst.ty.mask() as i64);
        self.asm.alu(Alu::Cmp, Width::W64, bits, Rm::Reg(SCRATCH));
        let boxed = self.asm.skip(Cond::AboveOrEqual);
        self.asm.mov_imm(bits, if inst.ty == Type::F16 { 0x7e00 } else { canonical_nan(Type::F32) });
        self.asm.land(boxed);
        if inst.ty == Type::F16 {
            self.places.bind(value, bits);
            return;
        }
        let dst = self.places.xmm(&mut self.asm);
        self.asm.float_from_bits(false, dst, bits);
        self.places.bind_xmm(value, dst);
    }
}
