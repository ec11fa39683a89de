//! Integer ops.

use vm_ir::{Inst, Op, Type, Value};

use super::asm::{Alu, Cond, Group, RAX, RCX, RDX, Rm, Shift, Width};
use super::places::{Place, SCRATCH};
use super::{Baseline, Refused};

/// The width of the host's operation for values of `ty`: narrow ones are computed in 32 bits.
pub(super) fn width(ty: Type) -> Width {
    if ty == Type::I64 { Width::W64 } else { Width::W32 }
}

impl Baseline<'_> {
    /// Sum, difference or bitwise op: any width gives the right low bits.
    pub(super) fn alu(&mut self, at: u32, inst: &Inst, op: Alu) {
        let width = width(inst.ty);
        let [mut a, mut b] = [inst.args[0], inst.args[1]];
        if op != Alu::Sub && (matches!(self.places.place(a), Place::Imm(_)) || self.is_better_second(at, a, b)) {
            (a, b) = (b, a);
        }
        if let Some(value) = self.places.imm32(b) {
            if value == 0 && op != Alu::And {
                return self.copy(Value::new(at), a);
            }
            let value = if op == Alu::Sub { value.checked_neg() } else { Some(value) };
            if matches!(op, Alu::Add | Alu::Sub)
                && let Some(value) = value
                && let Some(base) = self.places.kept(a)
            {
                let dst = self.places.gpr(&mut self.asm);
                self.asm.lea(width, dst, base, value);
                self.places.bind(Value::new(at), dst);
                return;
            }
            let dst = self.places.take(&mut self.asm, a);
            match (op, value) {
                (Alu::Sub, Some(value)) => self.asm.alu_imm(Alu::Add, width, Rm::Reg(dst), value),
                (_, Some(value)) => self.asm.alu_imm(op, width, Rm::Reg(dst), value),
                (_, None) => self.asm.alu_imm(op, width, Rm::Reg(dst), i32::MIN),
            }
            self.places.bind(Value::new(at), dst);
            return;
        }
        let src = self.places.rm(&mut self.asm, b);
        let dst = self.places.take(&mut self.asm, a);
        self.asm.alu(op, width, dst, src);
        self.places.bind(Value::new(at), dst);
    }

    /// Whether `b` rather than `a` may be overwritten with the result of a commutative op.
    fn is_better_second(&self, at: u32, a: Value, b: Value) -> bool {
        let free = |value: Value| {
            matches!(self.places.place(value), Place::Gpr(_)) && self.places.uses[value.index()].last <= at
        };
        !free(a)
            && (free(b)
                || matches!(self.places.place(a), Place::State(_)) && matches!(self.places.place(b), Place::Gpr(_)))
    }

    pub(super) fn mul(&mut self, at: u32, inst: &Inst) {
        let src = self.places.rm(&mut self.asm, inst.args[1]);
        let dst = self.places.take(&mut self.asm, inst.args[0]);
        self.asm.imul(width(inst.ty), dst, src);
        self.places.bind(Value::new(at), dst);
    }

    /// High half of a product of 64-bit factors, or of signed and unsigned ones.
    pub(super) fn mul_high(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if inst.ty != Type::I64 {
            return self.definition(at, inst);
        }
        self.places.claim(&mut self.asm, RAX);
        self.places.claim(&mut self.asm, RDX);
        let b = self.places.in_gpr(&mut self.asm, inst.args[1]);
        let a = self.places.rm(&mut self.asm, inst.args[0]);
        self.asm.mov(Width::W64, RAX, a);
        match inst.op {
            Op::MulHighS => self.asm.group(Group::Imul, Width::W64, Rm::Reg(b)),
            Op::MulHighU => self.asm.group(Group::Mul, Width::W64, Rm::Reg(b)),
            _ => {
                // A negative first factor counts 2^64 too much as an unsigned one.
                self.asm.mov(Width::W64, SCRATCH, Rm::Reg(RAX));
                self.asm.shift_imm(Shift::Sar, Width::W64, SCRATCH, 63);
                self.asm.alu(Alu::And, Width::W64, SCRATCH, Rm::Reg(b));
                self.asm.group(Group::Mul, Width::W64, Rm::Reg(b));
                self.asm.alu(Alu::Sub, Width::W64, RDX, Rm::Reg(SCRATCH));
            }
        }
        self.places.bind(Value::new(at), RDX);
        Ok(())
    }

    /// Quotients and remainders, by the IR's total definition: the divisors at which the host stops go another way.
    pub(super) fn divide(&mut self, at: u32, inst: &Inst) {
        let width = width(inst.ty);
        let signed = matches!(inst.op, Op::DivS | Op::RemS);
        let quotient = matches!(inst.op, Op::DivS | Op::DivU);
        self.places.claim(&mut self.asm, RAX);
        self.places.claim(&mut self.asm, RDX);
        let b = self.places.rm(&mut self.asm, inst.args[1]);
        self.asm.mov(width, SCRATCH, b);
        let a = self.places.rm(&mut self.asm, inst.args[0]);
        self.asm.mov(width, RAX, a);
        // Zero: all ones, or the dividend.
        self.asm.test(width, SCRATCH);
        let usual = self.asm.skip(Cond::NotEqual);
        self.asm.mov(width, RDX, Rm::Reg(RAX));
        self.asm.mov_imm(RAX, -1);
        let end = self.asm.label();
        self.asm.jmp(end);
        self.asm.land(usual);
        if signed {
            self.asm.alu_imm(Alu::Cmp, width, Rm::Reg(SCRATCH), -1);
            let usual = self.asm.skip(Cond::NotEqual);
            self.asm.group(Group::Neg, width, Rm::Reg(RAX));
            self.asm.mov_imm(RDX, 0);
            self.asm.jmp(end);
            self.asm.land(usual);
            self.asm.sign_of_rax(width);
            self.asm.group(Group::Idiv, width, Rm::Reg(SCRATCH));
        } else {
            self.asm.mov_imm(RDX, 0);
            self.asm.group(Group::Div, width, Rm::Reg(SCRATCH));
        }
        self.asm.bind(end);
        self.places.bind(Value::new(at), if quotient { RAX } else { RDX });
    }

    pub(super) fn shift(&mut self, at: u32, inst: &Inst, op: Shift) -> Result<(), Refused> {
        if !matches!(inst.ty, Type::I32 | Type::I64) {
            return self.definition(at, inst);
        }
        let width = width(inst.ty);
        if let Place::Imm(amount) = self.places.place(inst.args[1]) {
            let dst = self.places.take(&mut self.asm, inst.args[0]);
            let amount = amount as u8 & (inst.ty.bits() - 1) as u8;
            if amount != 0 {
                self.asm.shift_imm(op, width, dst, amount);
            }
            self.places.bind(Value::new(at), dst);
            return Ok(());
        }
        let amount = self.places.rm(&mut self.asm, inst.args[1]);
        let dst = self.places.take(&mut self.asm, inst.args[0]);
        self.asm.mov(Width::W32, RCX, amount);
        self.asm.shift_cl(op, width, dst);
        self.places.bind(Value::new(at), dst);
        Ok(())
    }

    pub(super) fn byte_swap(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if inst.ty == Type::I16 {
            return self.definition(at, inst);
        }
        let dst = self.places.take(&mut self.asm, inst.args[0]);
        self.asm.bswap(width(inst.ty), dst);
        self.places.bind(Value::new(at), dst);
        Ok(())
    }

    /// Compares the operands of `inst` and says which condition is its result.
    pub(super) fn compare(&mut self, inst: &Inst) -> Cond {
        let cond = match inst.op {
            Op::Eq => Cond::Equal,
            Op::Ne => Cond::NotEqual,
            Op::LtS => Cond::Less,
            Op::LtU => Cond::Below,
            Op::LeS => Cond::LessOrEqual,
            _ => Cond::BelowOrEqual,
        };
        let signed = matches!(inst.op, Op::LtS | Op::LeS);
        let [a, b] = [inst.args[0], inst.args[1]];
        if !matches!(inst.from, Type::I32 | Type::I64) {
            let (a, b) = (self.extended(a, signed), self.extended(b, signed));
            self.asm.alu(Alu::Cmp, Width::W32, a, Rm::Reg(b));
            return cond;
        }
        let width = width(inst.from);
        let (a, b, cond) = match self.places.place(a) {
            Place::Imm(_) => (b, a, mirrored(cond)),
            _ => (a, b, cond),
        };
        if let Some(value) = self.places.imm32(b) {
            let a = self.places.rm(&mut self.asm, a);
            match a {
                Rm::Reg(register) if value == 0 => self.asm.test(width, register),
                _ => self.asm.alu_imm(Alu::Cmp, width, a, value),
            }
            return cond;
        }
        let a = self.places.in_gpr(&mut self.asm, a);
        let b = self.places.rm(&mut self.asm, b);
        self.asm.alu(Alu::Cmp, width, a, b);
        cond
    }

    /// A free register with a byte or halfword widened to 32 bits.
    fn extended(&mut self, value: Value, signed: bool) -> u8 {
        let bytes = self.places.ty(value).bytes();
        let from = self.places.in_gpr(&mut self.asm, value);
        let dst = self.places.gpr(&mut self.asm);
        match signed {
            true => self.asm.sign_extend(bytes, dst, Rm::Reg(from)),
            false => self.asm.zero_extend(bytes, dst, Rm::Reg(from)),
        }
        dst
    }

    pub(super) fn comparison(&mut self, at: u32, inst: &Inst) {
        let cond = self.compare(inst);
        let dst = self.places.gpr(&mut self.asm);
        self.asm.set(cond, dst);
        self.places.bind(Value::new(at), dst);
        self.extended.push(Value::new(at));
    }

    /// Makes the host's flags say whether `value` is not zero: the condition to test.
    pub(super) fn condition(&mut self, value: Value) -> Cond {
        if self.places.uses[value.index()].fused {
            let inst = self.block.insts[value.index()];
            return self.compare(&inst);
        }
        match self.places.place(value) {
            Place::State(home) => self.asm.cmp_byte_zero(Rm::Mem(super::places::FRAME, home)),
            _ => {
                let register = self.places.in_gpr(&mut self.asm, value);
                self.asm.test_byte(register);
            }
        }
        Cond::NotEqual
    }

    pub(super) fn select(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        let [cond, yes, no] = inst.args;
        if inst.ty == Type::V128 {
            return Err(Refused);
        }
        // Only moves come after the comparison, which leave the flags as they are.
        if super::places::is_vector(inst.ty) {
            let yes = self.places.in_xmm(&mut self.asm, yes);
            let cond = self.condition(cond);
            let dst = self.places.take_xmm(&mut self.asm, no);
            let skip = self.asm.skip(opposite(cond));
            self.asm.move_float(dst, yes);
            self.asm.land(skip);
            self.places.bind_xmm(Value::new(at), dst);
            return Ok(());
        }
        let yes = self.places.in_gpr(&mut self.asm, yes);
        let cond = self.condition(cond);
        let dst = self.places.take(&mut self.asm, no);
        self.asm.cmov(cond, dst, Rm::Reg(yes));
        self.places.bind(Value::new(at), dst);
        Ok(())
    }

    pub(super) fn extend(&mut self, at: u32, inst: &Inst, signed: bool) {
        let value = Value::new(at);
        let arg = inst.args[0];
        if let Place::Imm(bits) = self.places.place(arg) {
            let bits =
                if signed { inst.from.sign_extend(bits as u64) } else { (bits as u64 & inst.from.mask()) as i64 };
            self.places.put(value, Place::Imm(bits & inst.ty.mask() as i64));
            return;
        }
        if self.extended.contains(&arg) {
            let dst = self.places.take(&mut self.asm, arg);
            self.places.bind(value, dst);
            return;
        }
        let bytes = inst.from.bytes();
        let from = match self.places.place(arg) {
            Place::State(_) => Some(self.places.rm(&mut self.asm, arg)),
            _ => self.places.kept(arg).map(Rm::Reg),
        };
        let (dst, from) = match from {
            Some(from) => (self.places.gpr(&mut self.asm), from),
            None => {
                let dst = self.places.take(&mut self.asm, arg);
                (dst, Rm::Reg(dst))
            }
        };
        match signed {
            true => self.asm.sign_extend(bytes, dst, from),
            false => self.asm.zero_extend(bytes, dst, from),
        }
        self.places.bind(value, dst);
    }

    pub(super) fn truncate(&mut self, at: u32, inst: &Inst) {
        let (value, arg) = (Value::new(at), inst.args[0]);
        match self.places.place(arg) {
            Place::Imm(bits) => self.places.put(value, Place::Imm((bits as u64 & inst.ty.mask()) as i64)),
            _ => self.copy(value, arg),
        }
    }

    /// Gives `value` the low bits of `arg`, which is no constant.
    fn copy(&mut self, value: Value, arg: Value) {
        let home = match self.places.place(arg) {
            Place::State(home) => Some(home),
            Place::Gpr(register) => self.places.residents.home(register),
            _ => None,
        };
        match home {
            // Whoever reads it finds the register again, if there is one.
            Some(home) => self.places.put(value, Place::State(home)),
            None => {
                let dst = self.places.take(&mut self.asm, arg);
                self.places.bind(value, dst);
            }
        }
    }
}

/// The condition that holds for exchanged operands when `cond` does.
fn mirrored(cond: Cond) -> Cond {
    match cond {
        Cond::Below => Cond::Above,
        Cond::AboveOrEqual => Cond::BelowOrEqual,
        Cond::BelowOrEqual => Cond::AboveOrEqual,
        Cond::Above => Cond::Below,
        Cond::Less => Cond::Greater,
        Cond::GreaterOrEqual => Cond::LessOrEqual,
        Cond::LessOrEqual => Cond::GreaterOrEqual,
        Cond::Greater => Cond::Less,
        Cond::Equal | Cond::NotEqual | Cond::Sign | Cond::NoSign | Cond::Parity | Cond::NoParity => cond,
    }
}

/// The condition that holds when `cond` does not. Their numbers differ in the lowest bit (SDM, volume 2, appendix B).
pub(super) fn opposite(cond: Cond) -> Cond {
    match cond {
        Cond::Below => Cond::AboveOrEqual,
        Cond::AboveOrEqual => Cond::Below,
        Cond::Equal => Cond::NotEqual,
        Cond::NotEqual => Cond::Equal,
        Cond::BelowOrEqual => Cond::Above,
        Cond::Above => Cond::BelowOrEqual,
        Cond::Sign => Cond::NoSign,
        Cond::NoSign => Cond::Sign,
        Cond::Parity => Cond::NoParity,
        Cond::NoParity => Cond::Parity,
        Cond::Less => Cond::GreaterOrEqual,
        Cond::GreaterOrEqual => Cond::Less,
        Cond::LessOrEqual => Cond::Greater,
        Cond::Greater => Cond::LessOrEqual,
    }
}
