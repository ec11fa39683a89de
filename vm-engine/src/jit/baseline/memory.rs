//! Loads, stores, atomics and fences. Guest addresses are host addresses here; an access that faults is found by the
//! code's table.

use vm_ir::{FenceKind, Inst, Op, Order, RmwOp, Type, Value};

use super::asm::{Alu, Cond, RAX, Rm, Width};
use super::places::{Place, SCRATCH, is_vector};
use super::{Baseline, Refused};

impl Baseline<'_> {
    /// The memory operand of an access.
    fn guest_memory(&mut self, inst: &Inst) -> Rm {
        let displacement = if inst.op.info().imm == vm_ir::ImmKind::Displacement { inst.imm } else { 0 };
        let base = inst.args[0];
        if let Place::Imm(address) = self.places.place(base) {
            let address = address.wrapping_add(displacement);
            if let Ok(near @ 0..=0x7fff_ffff) = u32::try_from(address) {
                return Rm::At(near);
            }
            let register = self.places.gpr(&mut self.asm);
            self.asm.mov_imm(register, address);
            return Rm::Mem(register, 0);
        }
        let register = self.places.in_gpr(&mut self.asm, base);
        match i32::try_from(displacement) {
            Ok(displacement) => Rm::Mem(register, displacement),
            Err(_) => {
                let sum = self.places.gpr(&mut self.asm);
                self.asm.mov_imm(sum, displacement);
                self.asm.alu(Alu::Add, Width::W64, sum, Rm::Reg(register));
                Rm::Mem(sum, 0)
            }
        }
    }

    pub(super) fn load(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if inst.ty == Type::V128 {
            return Err(Refused);
        }
        let value = Value::new(at);
        let place = self.guest_memory(inst);
        if is_vector(inst.ty) {
            let dst = self.places.xmm(&mut self.asm);
            self.asm.load_float(inst.ty == Type::F64, dst, place);
            self.places.bind_xmm(value, dst);
            return Ok(());
        }
        let dst = self.places.gpr(&mut self.asm);
        let found = self.places.uses[value.index()];
        let user = self.block.insts.get(found.user as usize).filter(|user| found.count == 1 && user.ty == Type::I64);
        match user.map(|user| user.op) {
            Some(Op::SignExtend) => {
                self.asm.sign_extend(inst.ty.bytes(), dst, place);
                self.extended.push(value);
            }
            Some(Op::ZeroExtend) => {
                self.asm.zero_extend(inst.ty.bytes(), dst, place);
                self.extended.push(value);
            }
            _ => self.asm.zero_extend(inst.ty.bytes(), dst, place),
        }
        self.places.bind(value, dst);
        Ok(())
    }

    pub(super) fn store(&mut self, inst: &Inst) -> Result<(), Refused> {
        if inst.ty == Type::V128 {
            return Err(Refused);
        }
        let place = self.guest_memory(inst);
        let value = inst.args[1];
        match self.places.place(value) {
            Place::Xmm(register) => self.asm.store_float(inst.ty == Type::F64, place, register),
            _ => match self.places.imm32(value).filter(|_| !is_vector(inst.ty)) {
                Some(bits) => self.asm.store_imm(inst.ty.bytes(), place, bits),
                None => {
                    let register = self.places.in_gpr(&mut self.asm, value);
                    self.asm.store(inst.ty.bytes(), place, register);
                }
            },
        }
        if inst.order() == Order::SeqCst {
            // Later loads must not pass the store.
            self.asm.mfence();
        }
        Ok(())
    }

    pub(super) fn atomic_rmw(&mut self, at: u32, inst: &Inst) {
        let bytes = inst.ty.bytes();
        let value = Value::new(at);
        match inst.rmw() {
            RmwOp::Swap | RmwOp::Add => {
                let place = self.guest_memory(inst);
                let dst = self.places.take(&mut self.asm, inst.args[1]);
                match inst.rmw() {
                    RmwOp::Swap => self.asm.xchg(bytes, place, dst),
                    _ => self.asm.xadd(bytes, place, dst),
                }
                self.places.bind(value, dst);
            }
            op => {
                self.places.claim(&mut self.asm, RAX);
                let place = self.guest_memory(inst);
                let operand = self.places.in_gpr(&mut self.asm, inst.args[1]);
                self.asm.zero_extend(bytes, RAX, place);
                let again = self.asm.label();
                self.asm.bind(again);
                self.combine(op, inst.ty, operand);
                self.asm.cmpxchg(bytes, place, SCRATCH);
                self.asm.jcc(Cond::NotEqual, again);
                self.places.bind(value, RAX);
            }
        }
    }

    /// Leaves in the scratch register what `op` makes of rax and `operand`.
    fn combine(&mut self, op: RmwOp, ty: Type, operand: u8) {
        let width = super::int::width(ty);
        let bitwise = |this: &mut Self, op| {
            this.asm.mov(width, SCRATCH, Rm::Reg(RAX));
            this.asm.alu(op, width, SCRATCH, Rm::Reg(operand));
        };
        let cond = match op {
            RmwOp::And => return bitwise(self, Alu::And),
            RmwOp::Or => return bitwise(self, Alu::Or),
            RmwOp::Xor => return bitwise(self, Alu::Xor),
            RmwOp::AndNot => {
                self.asm.mov(width, SCRATCH, Rm::Reg(operand));
                self.asm.group(super::asm::Group::Not, width, Rm::Reg(SCRATCH));
                self.asm.alu(Alu::And, width, SCRATCH, Rm::Reg(RAX));
                return;
            }
            // The operand, unless memory holds what wins.
            RmwOp::MinS => Cond::Less,
            RmwOp::MaxS => Cond::Greater,
            RmwOp::MinU => Cond::Below,
            RmwOp::MaxU => Cond::Above,
            RmwOp::Swap | RmwOp::Add => unreachable!("one instruction does these"),
        };
        if matches!(ty, Type::I8 | Type::I16) {
            // Compared with the narrow value in the upper bits of 32.
            let shift = 32 - ty.bits() as u8;
            let other = self.places.gpr(&mut self.asm);
            self.asm.mov(Width::W32, SCRATCH, Rm::Reg(RAX));
            self.asm.shift_imm(super::asm::Shift::Shl, Width::W32, SCRATCH, shift);
            self.asm.mov(Width::W32, other, Rm::Reg(operand));
            self.asm.shift_imm(super::asm::Shift::Shl, Width::W32, other, shift);
            self.asm.alu(Alu::Cmp, Width::W32, SCRATCH, Rm::Reg(other));
        } else {
            self.asm.alu(Alu::Cmp, width, RAX, Rm::Reg(operand));
        }
        self.asm.mov(Width::W64, SCRATCH, Rm::Reg(operand));
        self.asm.cmov(cond, SCRATCH, Rm::Reg(RAX));
    }

    pub(super) fn atomic_cas(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        if inst.ty == Type::V128 {
            return Err(Refused);
        }
        self.places.claim(&mut self.asm, RAX);
        let place = self.guest_memory(inst);
        let new = self.places.in_gpr(&mut self.asm, inst.args[2]);
        let expected = self.places.in_gpr(&mut self.asm, inst.args[1]);
        self.asm.mov(Width::W64, RAX, Rm::Reg(expected));
        self.asm.cmpxchg(inst.ty.bytes(), place, new);
        self.places.bind(Value::new(at), RAX);
        Ok(())
    }

    /// On a host with total store order only a full fence costs an instruction.
    pub(super) fn fence(&mut self, kind: FenceKind) {
        match kind {
            FenceKind::Full => self.asm.mfence(),
            FenceKind::Acquire
            | FenceKind::Release
            | FenceKind::AcquireRelease
            | FenceKind::StoreStore
            | FenceKind::LoadLoad => {}
        }
    }
}
