//! Integer ops, all inline. Division follows the IR's total definition without branches.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value as ClifValue, types};
use cranelift_frontend::FuncInstBuilder;
use vm_ir::{Inst, Op, Type};

use super::{Emitter, clif_type};

/// Which factors of a high product are signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signs {
    Signed,
    Unsigned,
    First,
}

impl Emitter<'_, '_> {
    pub(super) fn constant(&mut self, inst: &Inst) -> ClifValue {
        let bits = inst.imm as u64 & inst.ty.mask();
        match inst.ty {
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::F16 => self.iconst(clif_type(inst.ty), bits as i64),
            Type::F32 => self.ir.ins().f32const(f32::from_bits(bits as u32)),
            Type::F64 => self.ir.ins().f64const(f64::from_bits(bits)),
            Type::V128 => {
                let bits = self.iconst(types::I64, bits as i64);
                let wide = self.ir.ins().splat(types::I64X2, bits);
                self.ir.ins().bitcast(types::I8X16, little(), wide)
            }
        }
    }

    pub(super) fn unary(
        &mut self,
        inst: &Inst,
        build: impl FnOnce(FuncInstBuilder<'_, '_>, ClifValue) -> ClifValue,
    ) -> ClifValue {
        let a = self.arg(inst, 0);
        build(self.ir.ins(), a)
    }

    pub(super) fn binary(
        &mut self,
        inst: &Inst,
        build: impl FnOnce(FuncInstBuilder<'_, '_>, ClifValue, ClifValue) -> ClifValue,
    ) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        build(self.ir.ins(), a, b)
    }

    /// A mask of as many low bits as a narrower type has is an extension: one instruction on most hosts, and a short one.
    pub(super) fn and(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        let mask = self.block.def(inst.args[1]);
        let narrow = match (mask.op, mask.imm) {
            (Op::Const, 0xff) => types::I8,
            (Op::Const, 0xffff) => types::I16,
            (Op::Const, 0xffff_ffff) => types::I32,
            _ => return self.ir.ins().band(a, b),
        };
        let wide = clif_type(inst.ty);
        if narrow.bits() >= wide.bits() {
            return a;
        }
        let low = self.ir.ins().ireduce(narrow, a);
        self.ir.ins().uextend(wide, low)
    }

    pub(super) fn compare(&mut self, inst: &Inst, condition: IntCC) -> ClifValue {
        self.binary(inst, |ir, a, b| ir.icmp(condition, a, b))
    }

    pub(super) fn select(&mut self, inst: &Inst) -> ClifValue {
        let (yes, no) = (self.observed(inst, 1), self.observed(inst, 2));
        let cond = self.arg(inst, 0);
        self.ir.ins().select(cond, yes, no)
    }

    /// The low half of what is extended already needs no instruction.
    pub(super) fn sign_extend(&mut self, inst: &Inst) -> ClifValue {
        let low = self.block.def(inst.args[0]);
        if low.op == Op::Truncate && inst.from == Type::I32 && self.narrow[low.args[0].index()] {
            return self.value(low.args[0]);
        }
        self.unary(inst, |ir, a| ir.sextend(clif_type(inst.ty), a))
    }

    pub(super) fn bitcast(&mut self, inst: &Inst) -> ClifValue {
        if let Some(single) = self.low_half(inst) {
            return single;
        }
        let a = self.observed(inst, 0);
        let to = clif_type(inst.ty);
        if to == clif_type(inst.from) { a } else { self.ir.ins().bitcast(to, MemFlagsData::new(), a) }
    }

    pub(super) fn mul_high(&mut self, inst: &Inst, signs: Signs) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        if inst.ty == Type::I32 {
            let wide = |this: &mut Self, value, signed| match signed {
                true => this.ir.ins().sextend(types::I64, value),
                false => this.ir.ins().uextend(types::I64, value),
            };
            let a = wide(self, a, signs != Signs::Unsigned);
            let b = wide(self, b, signs == Signs::Signed);
            let product = self.ir.ins().imul(a, b);
            let high = self.ir.ins().ushr_imm_u(product, 32);
            return self.ir.ins().ireduce(types::I32, high);
        }
        match signs {
            Signs::Signed => self.ir.ins().smulhi(a, b),
            Signs::Unsigned => self.ir.ins().umulhi(a, b),
            Signs::First => {
                // A negative first factor counts 2^64 too much as an unsigned one.
                let high = self.ir.ins().umulhi(a, b);
                let sign = self.ir.ins().sshr_imm_u(a, 63);
                let excess = self.ir.ins().band(sign, b);
                self.ir.ins().isub(high, excess)
            }
        }
    }

    pub(super) fn is(&mut self, value: ClifValue, ty: Type, constant: i64) -> ClifValue {
        let constant = self.iconst(clif_type(ty), constant);
        self.ir.ins().icmp(IntCC::Equal, value, constant)
    }

    /// Whether operand `index` is the constant zero, as a carry in often is.
    fn is_zero(&self, inst: &Inst, index: usize) -> bool {
        let def = self.block.def(inst.args[index]);
        def.op == Op::Const && def.imm == 0
    }

    fn widened_carry(&mut self, inst: &Inst) -> ClifValue {
        let carry = self.arg(inst, 2);
        if inst.from == Type::I8 { carry } else { self.ir.ins().uextend(clif_type(inst.from), carry) }
    }

    pub(super) fn carry_add(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        let sum = self.ir.ins().iadd(a, b);
        let first = self.ir.ins().icmp(IntCC::UnsignedLessThan, sum, a);
        if self.is_zero(inst, 2) {
            return first;
        }
        let carry = self.widened_carry(inst);
        let total = self.ir.ins().iadd(sum, carry);
        let second = self.ir.ins().icmp(IntCC::UnsignedLessThan, total, sum);
        self.ir.ins().bor(first, second)
    }

    pub(super) fn borrow_sub(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        let first = self.ir.ins().icmp(IntCC::UnsignedLessThan, a, b);
        if self.is_zero(inst, 2) {
            return first;
        }
        let difference = self.ir.ins().isub(a, b);
        let borrow = self.widened_carry(inst);
        let second = self.ir.ins().icmp(IntCC::UnsignedLessThan, difference, borrow);
        self.ir.ins().bor(first, second)
    }

    pub(super) fn overflow_add(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        let carry = self.widened_carry(inst);
        let sum = self.ir.ins().iadd(a, b);
        let sum = self.ir.ins().iadd(sum, carry);
        // Operands of one sign gave a sum of the other.
        let (from_a, from_b) = (self.ir.ins().bxor(a, sum), self.ir.ins().bxor(b, sum));
        let changed = self.ir.ins().band(from_a, from_b);
        self.sign_of(changed, inst.from)
    }

    pub(super) fn overflow_sub(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        let borrow = self.widened_carry(inst);
        let difference = self.ir.ins().isub(a, b);
        let difference = self.ir.ins().isub(difference, borrow);
        let (operands, result) = (self.ir.ins().bxor(a, b), self.ir.ins().bxor(a, difference));
        let changed = self.ir.ins().band(operands, result);
        self.sign_of(changed, inst.from)
    }

    /// The sign bit as 0 or 1.
    fn sign_of(&mut self, value: ClifValue, ty: Type) -> ClifValue {
        let zero = self.iconst(clif_type(ty), 0);
        self.ir.ins().icmp(IntCC::SignedLessThan, value, zero)
    }
}

/// Flags of a bitcast between vector types, which must name a byte order.
pub(super) fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little)
}
