//! [`IrBuilder`]: typed emission, used by lifters.
//!
//! One method an op. Types are taken from the operands; a mismatch is a bug of the lifter and panics in debug builds
//! (the verifier names it in tests).

use vm_core::{BlockKey, Slot, TrapKind};

use crate::attr::{self, AttrKind, FenceKind, FpAttr, Order, RmwOp};
use crate::block::{Block, End, Inst, Mark, Target, Value};
use crate::ops::{Op, Sig};
use crate::types::Type;

/// Ops that a block has room for before its memory grows: more than most blocks have, and less than the 1 KiB up to which
/// common allocators keep freed memory at hand for the thread's next request.
const USUAL_OPS: usize = 1008 / size_of::<Inst>();

/// Guest instructions that a block has room for before its memory grows.
const USUAL_MARKS: usize = 16;

/// Builds one block.
#[derive(Debug)]
pub struct IrBuilder {
    block: Block,
}

const NONE: Value = Value::NONE;

/// Methods for ops whose operands and result have one type.
macro_rules! same_type {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),+) = $op:ident;)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name(&mut self, $($arg: Value),+) -> Value {
            let args = [$($arg),+];
            self.same(Op::$op, &args)
        })*
    };
}

/// Methods for comparisons: operands of one type, an `I8` result.
macro_rules! comparison {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name(&mut self, a: Value, b: Value) -> Value {
            let from = self.ty(a);
            self.push(Inst::new(Op::$op, Type::I8, from, [a, b, NONE]))
        })*
    };
}

/// Methods for carries: two operands of one type, a carry in, an `I8` result.
macro_rules! carry {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(&mut self, a: Value, b: Value, carry: Value) -> Value {
            let from = self.ty(a);
            self.push(Inst::new(Op::$op, Type::I8, from, [a, b, carry]))
        })*
    };
}

/// Methods for floating-point ops of one type with [`FpAttr`].
macro_rules! float {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),+) = $op:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(&mut self, $($arg: Value,)+ fp: FpAttr) -> Value {
            let args = [$($arg),+];
            let value = self.same(Op::$op, &args);
            self.block.insts[value.index()].attr = fp.pack(Op::$op.info().attr);
            value
        })*
    };
}

/// Methods for conversions with [`FpAttr`].
macro_rules! convert {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(&mut self, a: Value, to: Type, fp: FpAttr) -> Value {
            let from = self.ty(a);
            let mut inst = Inst::new(Op::$op, to, from, [a, NONE, NONE]);
            inst.attr = fp.pack(Op::$op.info().attr);
            self.push(inst)
        })*
    };
}

/// Methods for floating-point comparisons.
macro_rules! float_comparison {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(&mut self, a: Value, b: Value, quiet: Quiet) -> Value {
            let from = self.ty(a);
            let mut inst = Inst::new(Op::$op, Type::I8, from, [a, b, NONE]);
            inst.attr = u8::from(quiet == Quiet::No);
            self.push(inst)
        })*
    };
}

/// Whether a comparison stays silent about quiet NaNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Only signalling NaNs raise *invalid*.
    Yes,
    /// Every NaN raises *invalid*.
    No,
}

impl IrBuilder {
    /// An empty block for `key`.
    #[must_use]
    pub fn new(key: BlockKey) -> Self {
        Self::reusing(Block::empty(), key)
    }

    /// An empty block for `key` in the memory of `old`.
    #[inline]
    #[must_use]
    pub fn reusing(mut old: Block, key: BlockKey) -> Self {
        old.key = key;
        old.bytes.clear();
        old.insts.clear();
        old.marks.clear();
        old.insts.reserve(USUAL_OPS);
        old.marks.reserve(USUAL_MARKS);
        Self { block: old }
    }

    /// The key the block is built for.
    #[must_use]
    pub const fn key(&self) -> BlockKey {
        self.block.key
    }

    /// Says that the ops from here on belong to the `len`-byte guest instruction at `offset` bytes into the block.
    #[inline]
    pub fn mark(&mut self, offset: u16, len: u8) {
        self.block.marks.push(Mark { first: self.block.insts.len() as u32, offset, len });
    }

    /// Number of guest instructions so far.
    #[must_use]
    pub fn guest_len(&self) -> usize {
        self.block.marks.len()
    }

    /// Type of a value.
    ///
    /// # Panics
    /// If `value` has none.
    #[inline]
    #[must_use]
    pub fn ty(&self, value: Value) -> Type {
        self.block.insts[value.index()].result().expect("an operand is a value")
    }

    /// What the last op wrote to `slot`, as a place in the guest's code: that op is [`IrBuilder::set`] to it, of the
    /// result of [`IrBuilder::pc`]. Lifters find the first half of a pair of instructions by it.
    #[inline]
    #[must_use]
    pub fn place_just_set(&self, slot: Slot) -> Option<Target> {
        let set = self.block.insts.last().filter(|inst| inst.op == Op::Set && inst.slot() == slot)?;
        let place = &self.block.insts[set.args[0].index()];
        (place.op == Op::Pc).then_some(Target(place.imm))
    }

    /// The finished block, made from `bytes`.
    #[must_use]
    pub fn finish(self, end: End, bytes: &[u8]) -> Block {
        self.finish_owning(end, bytes.to_vec())
    }

    /// The same, with bytes that become the block's.
    #[inline]
    #[must_use]
    pub fn finish_owning(mut self, end: End, bytes: Vec<u8>) -> Block {
        self.block.bytes = bytes;
        self.block.end = end;
        self.block
    }

    #[inline]
    fn push(&mut self, inst: Inst) -> Value {
        if cfg!(debug_assertions) {
            self.check(&inst);
        }
        self.block.insts.push(inst);
        Value::new(self.block.insts.len() as u32 - 1)
    }

    fn check(&self, inst: &Inst) {
        for (sig, arg) in inst.op.info().args.iter().zip(inst.operands()) {
            let wanted = match sig {
                Sig::T => inst.ty,
                Sig::U => inst.from,
                Sig::Is(ty) => *ty,
            };
            assert_eq!(self.ty(*arg), wanted, "operand {arg} of {} in block {}", inst.op.name(), self.block.key);
        }
    }

    #[inline]
    fn same(&mut self, op: Op, operands: &[Value]) -> Value {
        let ty = self.ty(operands[0]);
        let mut args = [NONE; 3];
        args[..operands.len()].copy_from_slice(operands);
        self.push(Inst::new(op, ty, ty, args))
    }

    #[inline]
    fn with_imm(&mut self, op: Op, ty: Type, args: [Value; 3], imm: i64) -> Value {
        self.push(Inst { imm, ..Inst::new(op, ty, ty, args) })
    }

    // Constants and state.

    /// [`Op::Const`]; bits above the width of `ty` are dropped.
    #[inline]
    pub fn constant(&mut self, ty: Type, bits: u64) -> Value {
        self.with_imm(Op::Const, ty, [NONE; 3], (bits & ty.mask()) as i64)
    }

    /// A 64-bit constant.
    #[inline]
    pub fn i64(&mut self, value: i64) -> Value {
        self.constant(Type::I64, value as u64)
    }

    /// A 32-bit constant.
    #[inline]
    pub fn i32(&mut self, value: i32) -> Value {
        self.constant(Type::I32, value as u64)
    }

    /// An 8-bit constant, as conditions and carries are.
    pub fn i8(&mut self, value: i8) -> Value {
        self.constant(Type::I8, value as u64)
    }

    /// [`Op::Pc`].
    #[inline]
    pub fn pc(&mut self, target: Target) -> Value {
        self.with_imm(Op::Pc, Type::I64, [NONE; 3], target.0)
    }

    /// [`Op::Get`].
    #[inline]
    pub fn get(&mut self, slot: Slot, ty: Type) -> Value {
        self.with_imm(Op::Get, ty, [NONE; 3], slot.index() as i64)
    }

    /// [`Op::Set`].
    #[inline]
    pub fn set(&mut self, slot: Slot, value: Value) {
        let ty = self.ty(value);
        self.with_imm(Op::Set, ty, [value, NONE, NONE], slot.index() as i64);
    }

    /// [`Op::SetMode`].
    pub fn set_mode(&mut self, value: Value) {
        self.same(Op::SetMode, &[value]);
    }

    same_type! {
        /// [`Op::Add`].
        add(a, b) = Add;
        /// [`Op::Sub`].
        sub(a, b) = Sub;
        /// [`Op::Mul`].
        mul(a, b) = Mul;
        /// [`Op::MulHighS`].
        mul_high_s(a, b) = MulHighS;
        /// [`Op::MulHighU`].
        mul_high_u(a, b) = MulHighU;
        /// [`Op::MulHighSU`].
        mul_high_su(a, b) = MulHighSU;
        /// [`Op::DivS`].
        div_s(a, b) = DivS;
        /// [`Op::DivU`].
        div_u(a, b) = DivU;
        /// [`Op::RemS`].
        rem_s(a, b) = RemS;
        /// [`Op::RemU`].
        rem_u(a, b) = RemU;
        /// [`Op::And`].
        and(a, b) = And;
        /// [`Op::Or`].
        or(a, b) = Or;
        /// [`Op::Xor`].
        xor(a, b) = Xor;
        /// [`Op::Shl`].
        shl(a, b) = Shl;
        /// [`Op::ShrU`].
        shr_u(a, b) = ShrU;
        /// [`Op::ShrS`].
        shr_s(a, b) = ShrS;
        /// [`Op::RotL`].
        rot_l(a, b) = RotL;
        /// [`Op::RotR`].
        rot_r(a, b) = RotR;
        /// [`Op::Clz`].
        clz(a) = Clz;
        /// [`Op::Ctz`].
        ctz(a) = Ctz;
        /// [`Op::Popcount`].
        popcount(a) = Popcount;
        /// [`Op::BitReverse`].
        bit_reverse(a) = BitReverse;
        /// [`Op::ByteSwap`].
        byte_swap(a) = ByteSwap;
        /// [`Op::ClMul`].
        clmul(a, b) = ClMul;
        /// [`Op::ClMulHigh`].
        clmul_high(a, b) = ClMulHigh;
        /// [`Op::FNeg`].
        fneg(a) = FNeg;
        /// [`Op::FAbs`].
        fabs(a) = FAbs;
        /// [`Op::FCopySign`].
        fcopysign(a, b) = FCopySign;
    }

    carry! {
        /// [`Op::CarryAdd`].
        carry_add = CarryAdd;
        /// [`Op::OverflowAdd`].
        overflow_add = OverflowAdd;
        /// [`Op::BorrowSub`].
        borrow_sub = BorrowSub;
        /// [`Op::OverflowSub`].
        overflow_sub = OverflowSub;
    }

    comparison! {
        /// [`Op::Eq`].
        eq = Eq;
        /// [`Op::Ne`].
        ne = Ne;
        /// [`Op::LtS`].
        lt_s = LtS;
        /// [`Op::LtU`].
        lt_u = LtU;
        /// [`Op::LeS`].
        le_s = LeS;
        /// [`Op::LeU`].
        le_u = LeU;
    }

    /// [`Op::Select`].
    pub fn select(&mut self, cond: Value, yes: Value, no: Value) -> Value {
        let ty = self.ty(yes);
        self.push(Inst::new(Op::Select, ty, ty, [cond, yes, no]))
    }

    /// [`Op::SignExtend`]; the value itself if it already has the type.
    #[inline]
    pub fn sign_extend(&mut self, a: Value, to: Type) -> Value {
        self.resize(Op::SignExtend, a, to)
    }

    /// [`Op::ZeroExtend`]; the value itself if it already has the type.
    #[inline]
    pub fn zero_extend(&mut self, a: Value, to: Type) -> Value {
        self.resize(Op::ZeroExtend, a, to)
    }

    /// [`Op::Truncate`]; the value itself if it already has the type.
    #[inline]
    pub fn truncate(&mut self, a: Value, to: Type) -> Value {
        self.resize(Op::Truncate, a, to)
    }

    /// [`Op::Bitcast`]; the value itself if it already has the type.
    pub fn bitcast(&mut self, a: Value, to: Type) -> Value {
        self.resize(Op::Bitcast, a, to)
    }

    /// [`Op::FBox`], to [`Type::F64`].
    pub fn fbox(&mut self, a: Value) -> Value {
        self.resize(Op::FBox, a, Type::F64)
    }

    /// [`Op::FUnbox`], from [`Type::F64`].
    pub fn funbox(&mut self, a: Value, to: Type) -> Value {
        self.resize(Op::FUnbox, a, to)
    }

    /// [`Op::FClass`].
    pub fn fclass(&mut self, a: Value) -> Value {
        self.resize(Op::FClass, a, Type::I64)
    }

    #[inline]
    fn resize(&mut self, op: Op, a: Value, to: Type) -> Value {
        let from = self.ty(a);
        if from == to {
            return a;
        }
        self.push(Inst::new(op, to, from, [a, NONE, NONE]))
    }

    float! {
        /// [`Op::FAdd`].
        fadd(a, b) = FAdd;
        /// [`Op::FSub`].
        fsub(a, b) = FSub;
        /// [`Op::FMul`].
        fmul(a, b) = FMul;
        /// [`Op::FDiv`].
        fdiv(a, b) = FDiv;
        /// [`Op::FSqrt`].
        fsqrt(a) = FSqrt;
        /// [`Op::FMulAdd`].
        fmuladd(a, b, c) = FMulAdd;
        /// [`Op::FMin`].
        fmin(a, b) = FMin;
        /// [`Op::FMax`].
        fmax(a, b) = FMax;
        /// [`Op::FRound`].
        fround(a) = FRound;
    }

    convert! {
        /// [`Op::FToIntS`].
        f_to_int_s = FToIntS;
        /// [`Op::FToIntU`].
        f_to_int_u = FToIntU;
        /// [`Op::IntToFS`].
        int_to_f_s = IntToFS;
        /// [`Op::IntToFU`].
        int_to_f_u = IntToFU;
        /// [`Op::FConvert`].
        fconvert = FConvert;
    }

    comparison! {
        /// [`Op::FEqSilent`].
        feq_silent = FEqSilent;
        /// [`Op::FLtSilent`].
        flt_silent = FLtSilent;
        /// [`Op::FLeSilent`].
        fle_silent = FLeSilent;
    }

    float_comparison! {
        /// [`Op::FEq`].
        feq = FEq;
        /// [`Op::FLt`].
        flt = FLt;
        /// [`Op::FLe`].
        fle = FLe;
        /// [`Op::FUnordered`].
        funordered = FUnordered;
    }

    /// [`Op::FpFlagsGet`].
    pub fn fp_flags_get(&mut self) -> Value {
        self.push(Inst::new(Op::FpFlagsGet, Type::I64, Type::I64, [NONE; 3]))
    }

    /// [`Op::FpFlagsSet`].
    pub fn fp_flags_set(&mut self, value: Value) {
        self.same(Op::FpFlagsSet, &[value]);
    }

    /// [`Op::Load`] of `ty` from `addr + displacement`.
    #[inline]
    pub fn load(&mut self, ty: Type, addr: Value, displacement: i64, order: Order) -> Value {
        let inst = Inst { attr: order as u8, imm: displacement, ..Inst::new(Op::Load, ty, ty, [addr, NONE, NONE]) };
        self.push(inst)
    }

    /// [`Op::Store`] of `value` to `addr + displacement`.
    #[inline]
    pub fn store(&mut self, addr: Value, displacement: i64, value: Value, order: Order) {
        let ty = self.ty(value);
        let inst = Inst { attr: order as u8, imm: displacement, ..Inst::new(Op::Store, ty, ty, [addr, value, NONE]) };
        self.push(inst);
    }

    /// [`Op::AtomicRmw`].
    pub fn atomic_rmw(&mut self, op: RmwOp, addr: Value, operand: Value, order: Order) -> Value {
        let ty = self.ty(operand);
        let inst = Inst { attr: attr::pack_rmw(op, order), ..Inst::new(Op::AtomicRmw, ty, ty, [addr, operand, NONE]) };
        self.push(inst)
    }

    /// [`Op::AtomicCas`].
    pub fn atomic_cas(&mut self, addr: Value, expected: Value, new: Value, order: Order) -> Value {
        let ty = self.ty(new);
        let inst = Inst { attr: order as u8, ..Inst::new(Op::AtomicCas, ty, ty, [addr, expected, new]) };
        self.push(inst)
    }

    /// [`Op::Fence`].
    pub fn fence(&mut self, kind: FenceKind) {
        let inst = Inst { attr: kind as u8, ..Inst::new(Op::Fence, Type::I64, Type::I64, [NONE; 3]) };
        self.push(inst);
    }

    /// [`Op::Call`] of the helper at `index` of the guest's list.
    ///
    /// # Panics
    /// If there are more than three operands.
    pub fn call(&mut self, index: usize, operands: &[Value]) -> Value {
        let mut args = [NONE; 3];
        args[..operands.len()].copy_from_slice(operands);
        self.with_imm(Op::Call, Type::I64, args, index as i64)
    }

    /// [`Op::TrapIf`]; `addr` is the address concerned.
    pub fn trap_if(&mut self, cond: Value, kind: TrapKind, addr: Value) {
        let inst = Inst { attr: kind as u8, ..Inst::new(Op::TrapIf, Type::I64, Type::I64, [cond, addr, NONE]) };
        self.push(inst);
    }

    /// [`Op::ExitIf`].
    pub fn exit_if(&mut self, cond: Value, target: Target) {
        self.with_imm(Op::ExitIf, Type::I64, [cond, NONE, NONE], target.0);
    }
}

/// Sets the floating-point attribute of an op that is rebuilt outside a builder (by a pass or the parser).
#[must_use]
pub fn pack_fp(op: Op, fp: FpAttr) -> u8 {
    match op.info().attr {
        kind @ (AttrKind::Fp | AttrKind::FpMinMax | AttrKind::FpToInt | AttrKind::FpFromInt) => fp.pack(kind),
        AttrKind::None
        | AttrKind::Signaling
        | AttrKind::Order
        | AttrKind::Rmw
        | AttrKind::Fence
        | AttrKind::Trap
        | AttrKind::Vector => 0,
    }
}

#[cfg(test)]
mod tests {
    use vm_core::{GuestAddr, Mode};

    use super::*;

    #[test]
    fn ops_know_their_instruction() {
        let mut ir = IrBuilder::new(BlockKey::new(GuestAddr::new(0x1000), Mode::default()));
        ir.mark(0, 4);
        let a = ir.get(Slot::new(6), Type::I64);
        let sum = ir.add(a, a);
        ir.set(Slot::new(5), sum);
        ir.mark(4, 2);
        ir.mark(6, 4);
        ir.fence(FenceKind::Full);
        let block = ir.finish(End::Jump { target: Target(10) }, &[0; 10]);
        assert_eq!(block.pc_of(1).get(), 0x1000);
        assert_eq!(block.pc_of(3).get(), 0x1006);
        assert_eq!(block.pc_of(4).get(), 0x1006);
        assert_eq!(block.def(sum).operands(), [a, a]);
    }
}
