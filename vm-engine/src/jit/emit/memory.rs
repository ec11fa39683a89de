//! Loads, stores, atomics and fences.
//!
//! Flat memory is accessed in place; the access traps on the host and the fault handler finds the guest instruction by
//! the code's table. Checked memory is called, and a failure is noticed by the frame's flag.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AtomicRmwOp, Endianness, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Value as ClifValue, types,
};
use vm_ir::{FenceKind, Inst, Op, Order, RmwOp, Type};

use super::{Emitter, clif_type};
use crate::frame::ExitCode;
use crate::jit::abi::offset;
use crate::jit::runtime::Function;
use crate::region::MemoryMode;

/// Flags of guest accesses: they may trap, at any alignment, little-endian.
pub(super) fn guest_flags() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

/// What a refused access did.
#[derive(Clone, Copy)]
enum Direction {
    Read = 0,
    Write = 1,
}

impl Emitter<'_, '_> {
    /// The guest address of an access, displacement included.
    fn guest_address(&mut self, inst: &Inst) -> ClifValue {
        let address = self.arg(inst, 0);
        let displacement = if inst.op.info().imm == vm_ir::ImmKind::Displacement { inst.imm } else { 0 };
        if displacement == 0 { address } else { self.ir.ins().iadd_imm_s(address, displacement) }
    }

    /// The host address of an access of `size` bytes, as a value and an offset. Leaves with a fault if the guest's
    /// range does not hold it and the host would not notice.
    fn host_address(&mut self, inst: &Inst, size: usize, direction: Direction) -> (ClifValue, i32) {
        let Some((base, limit)) = self.memory else {
            let small = i32::try_from(inst.imm).ok().filter(|_| inst.op.info().imm == vm_ir::ImmKind::Displacement);
            return match small {
                Some(displacement) => (self.arg(inst, 0), displacement),
                None => (self.guest_address(inst), 0),
            };
        };
        let address = self.guest_address(inst);
        let last = self.ir.ins().iadd_imm_s(limit, -(size as i64));
        let outside = self.ir.ins().icmp(IntCC::UnsignedGreaterThan, address, last);
        self.cold_exit(outside, |this| {
            let first = this.ir.ins().umax(address, limit);
            this.store_frame(first, offset::EXIT_ADDR);
            this.leave_with_fault(direction);
        });
        (self.ir.ins().iadd(base, address), 0)
    }

    /// Leaves with a fault whose address is in the frame.
    fn leave_with_fault(&mut self, direction: Direction) {
        let direction = self.iconst(types::I64, direction as i64);
        self.store_frame(direction, offset::EXIT_VALUE);
        self.leave_at_instruction(ExitCode::Fault);
    }

    /// After a call of checked memory: leaves if it failed.
    fn check_access(&mut self) {
        let failed = self.load_frame(types::I64, offset::ACCESS_FAILED);
        self.cold_exit(failed, |this| {
            let zero = this.iconst(types::I64, 0);
            this.store_frame(zero, offset::ACCESS_FAILED);
            this.leave_at_instruction(ExitCode::Fault);
        });
    }

    fn is_checked(&self) -> bool {
        self.plan.options.memory == MemoryMode::Checked
    }

    pub(super) fn load(&mut self, at: usize) -> ClifValue {
        let inst = &self.block.insts[at];
        let ty = clif_type(inst.ty);
        if self.is_checked() {
            return self.checked_load(inst);
        }
        if let Some(value) = self.assembled(at).or_else(|| self.byte_of_word(at)) {
            return value;
        }
        let (address, displacement) = self.host_address(inst, inst.ty.bytes(), Direction::Read);
        if self.needs_ordered_load(inst.order()) {
            if inst.ty == Type::V128 {
                let value = self.ir.ins().load(ty, guest_flags(), address, displacement);
                self.ir.ins().fence();
                return value;
            }
            let address = self.ir.ins().iadd_imm_s(address, i64::from(displacement));
            let bits = integer_of(inst.ty);
            let value = self.ir.ins().atomic_load(bits, guest_flags(), address);
            return if bits == ty { value } else { self.ir.ins().bitcast(ty, MemFlagsData::new(), value) };
        }
        if let Some(value) = self.extended_load(at, address, displacement) {
            return value;
        }
        let value = self.ir.ins().load(ty, guest_flags(), address, displacement);
        if self.uses[at].escapes {
            // A load that is folded into a later guest instruction would fault with that instruction's address.
            self.ir.ins().sequence_point();
        }
        value
    }

    /// The load at `at` together with the extension of its value, if something extends it: both are one instruction.
    /// What needs the value as it was loaded takes the low part, which costs nothing.
    fn extended_load(&mut self, at: usize, address: ClifValue, displacement: i32) -> Option<ClifValue> {
        let extension = self.extensions[at]?;
        let (inst, wide) = (&self.block.insts[at], &self.block.insts[extension]);
        let (ty, flags) = (clif_type(wide.ty), guest_flags());
        let signed = wide.op == Op::SignExtend;
        let ins = self.ir.ins();
        let value = match (inst.ty, signed) {
            (Type::I8, true) => ins.sload8(ty, flags, address, displacement),
            (Type::I8, false) => ins.uload8(ty, flags, address, displacement),
            (Type::I16, true) => ins.sload16(ty, flags, address, displacement),
            (Type::I16, false) => ins.uload16(ty, flags, address, displacement),
            (Type::I32, true) => ins.sload32(flags, address, displacement),
            (Type::I32, false) => ins.uload32(flags, address, displacement),
            (Type::I64 | Type::F16 | Type::F32 | Type::F64 | Type::V128, _) => return None,
        };
        self.values[extension] = Some(value);
        Some(self.ir.ins().ireduce(clif_type(inst.ty), value))
    }

    pub(super) fn store(&mut self, at: usize) {
        if self.store_of_word(at) {
            return;
        }
        let inst = &self.block.insts[at];
        let value = match self.byte_to_store(at) {
            Some(byte) => byte,
            None => self.observed(inst, 1),
        };
        if self.is_checked() {
            self.checked_store(inst, value);
            return;
        }
        let (address, displacement) = self.host_address(inst, inst.ty.bytes(), Direction::Write);
        if self.needs_ordered_store(inst.order()) {
            if inst.ty == Type::V128 {
                if !self.target.is_tso {
                    self.ir.ins().fence();
                }
                self.ir.ins().store(guest_flags(), value, address, displacement);
                if inst.order() == Order::SeqCst {
                    self.ir.ins().fence();
                }
                return;
            }
            let address = self.ir.ins().iadd_imm_s(address, i64::from(displacement));
            let bits = integer_of(inst.ty);
            let is_integer = bits == clif_type(inst.ty);
            let value = if is_integer { value } else { self.ir.ins().bitcast(bits, MemFlagsData::new(), value) };
            self.ir.ins().atomic_store(guest_flags(), value, address);
            return;
        }
        self.ir.ins().store(guest_flags(), value, address, displacement);
    }

    fn needs_ordered_load(&self, order: Order) -> bool {
        match order {
            Order::Plain | Order::Release => false,
            Order::Acquire | Order::AcquireRelease | Order::SeqCst | Order::Tso => !self.target.is_tso,
        }
    }

    fn needs_ordered_store(&self, order: Order) -> bool {
        match order {
            Order::Plain | Order::Acquire => false,
            Order::Release | Order::AcquireRelease | Order::Tso => !self.target.is_tso,
            // Later loads must not pass the store.
            Order::SeqCst => true,
        }
    }

    fn checked_load(&mut self, inst: &Inst) -> ClifValue {
        let address = self.guest_address(inst);
        if inst.ty == Type::V128 {
            let low = self.checked_read(address, 8);
            let above = self.ir.ins().iadd_imm_s(address, 8);
            let high = self.checked_read(above, 8);
            let vector = self.ir.ins().splat(types::I64X2, low);
            let vector = self.ir.ins().insertlane(vector, high, 1);
            return self.ir.ins().bitcast(types::I8X16, super::int::little(), vector);
        }
        let bits = self.checked_read(address, inst.ty.bytes());
        self.value_of(bits, inst.ty)
    }

    fn checked_read(&mut self, address: ClifValue, size: usize) -> ClifValue {
        let size = self.iconst(types::I64, size as i64);
        let bits = self.call_runtime(Function::Load, &[address, size]);
        self.check_access();
        bits
    }

    fn checked_store(&mut self, inst: &Inst, value: ClifValue) {
        let address = self.guest_address(inst);
        if inst.ty == Type::V128 {
            let halves = self.ir.ins().bitcast(types::I64X2, super::int::little(), value);
            let low = self.ir.ins().extractlane(halves, 0);
            let high = self.ir.ins().extractlane(halves, 1);
            self.checked_write(address, low, 8);
            let above = self.ir.ins().iadd_imm_s(address, 8);
            self.checked_write(above, high, 8);
            return;
        }
        let bits = self.bits_of(value, inst.ty);
        self.checked_write(address, bits, inst.ty.bytes());
    }

    fn checked_write(&mut self, address: ClifValue, bits: ClifValue, size: usize) {
        let size = self.iconst(types::I64, size as i64);
        self.call_runtime(Function::Store, &[address, bits, size]);
        self.check_access();
    }

    pub(super) fn atomic_rmw(&mut self, at: usize) -> ClifValue {
        let inst = &self.block.insts[at];
        let operand = self.arg(inst, 1);
        if self.is_checked() {
            let address = self.guest_address(inst);
            let operand = self.bits_of(operand, inst.ty);
            let description = self.iconst(types::I64, crate::jit::runtime::describe(inst));
            let old = self.call_runtime(Function::Rmw, &[description, address, operand]);
            self.check_access();
            return self.value_of(old, inst.ty);
        }
        let (address, _) = self.host_address(inst, inst.ty.bytes(), Direction::Write);
        let (op, operand) = match inst.rmw() {
            RmwOp::Swap => (AtomicRmwOp::Xchg, operand),
            RmwOp::Add => (AtomicRmwOp::Add, operand),
            RmwOp::And => (AtomicRmwOp::And, operand),
            RmwOp::Or => (AtomicRmwOp::Or, operand),
            RmwOp::Xor => (AtomicRmwOp::Xor, operand),
            RmwOp::MinS => (AtomicRmwOp::Smin, operand),
            RmwOp::MaxS => (AtomicRmwOp::Smax, operand),
            RmwOp::MinU => (AtomicRmwOp::Umin, operand),
            RmwOp::MaxU => (AtomicRmwOp::Umax, operand),
            RmwOp::AndNot => (AtomicRmwOp::And, self.ir.ins().bnot(operand)),
        };
        self.ir.ins().atomic_rmw(clif_type(inst.ty), guest_flags(), op, address, operand)
    }

    pub(super) fn atomic_cas(&mut self, at: usize) -> ClifValue {
        let inst = &self.block.insts[at];
        let (expected, new) = (self.arg(inst, 1), self.arg(inst, 2));
        let is_wide = inst.ty == Type::V128;
        if is_wide && (self.is_checked() || !self.target.has_cas128) {
            return self.wide_cas_call(inst, expected, new);
        }
        if self.is_checked() {
            let address = self.guest_address(inst);
            let (expected, new) = (self.bits_of(expected, inst.ty), self.bits_of(new, inst.ty));
            let size = self.iconst(types::I64, inst.ty.bytes() as i64);
            let old = self.call_runtime(Function::CompareExchange, &[address, expected, new, size]);
            self.check_access();
            return self.value_of(old, inst.ty);
        }
        let (address, _) = self.host_address(inst, inst.ty.bytes(), Direction::Write);
        if !is_wide {
            return self.ir.ins().atomic_cas(guest_flags(), address, expected, new);
        }
        let expected = self.ir.ins().bitcast(types::I128, super::int::little(), expected);
        let new = self.ir.ins().bitcast(types::I128, super::int::little(), new);
        let old = self.ir.ins().atomic_cas(guest_flags(), address, expected, new);
        self.ir.ins().bitcast(types::I8X16, super::int::little(), old)
    }

    /// 128-bit compare-and-swap by a call, the operands passed on the host's stack and the old value back there.
    fn wide_cas_call(&mut self, inst: &Inst, expected: ClifValue, new: ClifValue) -> ClifValue {
        let address = self.guest_address(inst);
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 32, 4);
        let slot = self.ir.create_sized_stack_slot(slot);
        let place = self.ir.ins().stack_addr(types::I64, slot, 0);
        self.ir.ins().store(MemFlagsData::trusted(), expected, place, 0);
        self.ir.ins().store(MemFlagsData::trusted(), new, place, 16);
        self.call_runtime(Function::CompareExchangeWide, &[address, place]);
        self.check_access();
        self.ir.ins().load(types::I8X16, MemFlagsData::trusted(), place, 0)
    }

    /// On a host with total store order only a full fence costs an instruction: everything weaker holds by itself,
    /// and Cranelift moves no access across another.
    pub(super) fn fence(&mut self, kind: FenceKind) {
        let is_needed = match kind {
            FenceKind::Full => true,
            FenceKind::Acquire
            | FenceKind::Release
            | FenceKind::AcquireRelease
            | FenceKind::StoreStore
            | FenceKind::LoadLoad => !self.target.is_tso,
        };
        if is_needed {
            self.ir.ins().fence();
        }
    }
}

/// The integer type of the width of `ty`.
fn integer_of(ty: Type) -> cranelift_codegen::ir::Type {
    match ty {
        Type::F32 => types::I32,
        Type::F64 => types::I64,
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::F16 | Type::V128 => clif_type(ty),
    }
}
