//! What every value-giving op computes: the definition that constant folder, interpreter and compiler are held to.
//!
//! [`scalar`] covers every op whose operands and result are scalars; loads, stores, slots, calls and exits are not
//! computations and are refused. Called with a constant op it inlines to that op's arithmetic.

pub mod float;
pub mod int;

use crate::attr::{AttrKind, FpAttr, RmwOp, Rounding};
use crate::block::Inst;
use crate::ops::Op;
use crate::types::Type;

/// The floating-point environment of a computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FpEnv {
    /// What [`Rounding::Dynamic`] stands for.
    pub rounding: Rounding,
    /// Sticky flags, as [`CpuState::fp_flags`](vm_core::CpuState::fp_flags): [`FpEnv::INEXACT`] and the others.
    pub flags: u64,
}

impl FpEnv {
    /// The result was rounded.
    pub const INEXACT: u64 = 1;
    /// The result was tiny and rounded.
    pub const UNDERFLOW: u64 = 2;
    /// The rounded result exceeds the format's range.
    pub const OVERFLOW: u64 = 4;
    /// A finite number was divided by zero.
    pub const DIVIDE_BY_ZERO: u64 = 8;
    /// The operation has no useful result, or an operand was a signalling NaN.
    pub const INVALID: u64 = 16;

    /// Round to nearest even, no flags.
    #[must_use]
    pub const fn new() -> Self {
        Self { rounding: Rounding::NearestEven, flags: 0 }
    }

    /// Raises `flags`.
    #[inline]
    pub const fn raise(&mut self, flags: u64) {
        self.flags |= flags;
    }

    /// The rounding that `rounding` means here; never [`Rounding::Dynamic`].
    #[inline]
    #[must_use]
    pub const fn resolve(&self, rounding: Rounding) -> Rounding {
        match rounding {
            Rounding::Dynamic => self.rounding,
            fixed => fixed,
        }
    }
}

impl Default for FpEnv {
    fn default() -> Self {
        Self::new()
    }
}

/// The value of `inst` for scalar operands `args`, unused ones zero.
///
/// # Panics
/// As [`scalar`].
#[must_use]
pub fn inst(inst: &Inst, args: [u64; 3], env: &mut FpEnv) -> u64 {
    if inst.op == Op::Const {
        return inst.imm as u64 & inst.ty.mask();
    }
    scalar(inst.op, inst.ty, inst.from, inst.attr, args, env)
}

/// The value of `op` for scalar operands: each holds its type in its low bits, zeros above, and so does the result.
///
/// # Panics
/// If `op` is no computation on scalars (slots, memory, vectors, calls, exits), which the callers sort out before.
#[inline(always)]
#[must_use]
pub fn scalar(op: Op, ty: Type, from: Type, attr: u8, [a, b, c]: [u64; 3], env: &mut FpEnv) -> u64 {
    let fp = |kind: AttrKind| FpAttr::unpack(attr, kind);
    let mask = ty.mask();
    match op {
        Op::Add => a.wrapping_add(b) & mask,
        Op::Sub => a.wrapping_sub(b) & mask,
        Op::Mul => a.wrapping_mul(b) & mask,
        Op::MulHighS => int::mul_high_s(ty, a, b),
        Op::MulHighU => int::mul_high_u(ty, a, b),
        Op::MulHighSU => int::mul_high_su(ty, a, b),
        Op::DivS => int::div_s(ty, a, b),
        Op::DivU => int::div_u(ty, a, b),
        Op::RemS => int::rem_s(ty, a, b),
        Op::RemU => int::rem_u(a, b),
        Op::CarryAdd => int::carry_add(from, a, b, c),
        Op::OverflowAdd => int::overflow_add(from, a, b, c),
        Op::BorrowSub => int::borrow_sub(from, a, b, c),
        Op::OverflowSub => int::overflow_sub(from, a, b, c),
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Shl => (a << int::amount(ty, b)) & mask,
        Op::ShrU => a >> int::amount(ty, b),
        Op::ShrS => (ty.sign_extend(a) >> int::amount(ty, b)) as u64 & mask,
        Op::RotL => int::rot_l(ty, a, b),
        Op::RotR => int::rot_r(ty, a, b),
        Op::Clz => u64::from(a.leading_zeros() - (64 - ty.bits())),
        Op::Ctz => u64::from(a.trailing_zeros().min(ty.bits())),
        Op::Popcount => u64::from(a.count_ones()),
        Op::BitReverse => a.reverse_bits() >> (64 - ty.bits()),
        Op::ByteSwap => a.swap_bytes() >> (64 - ty.bits()),
        Op::ClMul => int::clmul(a, b) as u64,
        Op::ClMulHigh => (int::clmul(a, b) >> 64) as u64,
        Op::Eq => u64::from(a == b),
        Op::Ne => u64::from(a != b),
        Op::LtS => u64::from(from.sign_extend(a) < from.sign_extend(b)),
        Op::LtU => u64::from(a < b),
        Op::LeS => u64::from(from.sign_extend(a) <= from.sign_extend(b)),
        Op::LeU => u64::from(a <= b),
        Op::Select => {
            if a != 0 {
                b
            } else {
                c
            }
        }
        Op::SignExtend => from.sign_extend(a) as u64 & mask,
        Op::ZeroExtend | Op::Bitcast => a,
        Op::Truncate => a & mask,
        Op::FAdd => float::add(ty, a, b, fp(AttrKind::Fp), env),
        Op::FSub => float::sub(ty, a, b, fp(AttrKind::Fp), env),
        Op::FMul => float::mul(ty, a, b, fp(AttrKind::Fp), env),
        Op::FDiv => float::div(ty, a, b, fp(AttrKind::Fp), env),
        Op::FSqrt => float::sqrt(ty, a, fp(AttrKind::Fp), env),
        Op::FMulAdd => float::mul_add(ty, a, b, c, fp(AttrKind::Fp), env),
        Op::FMin => float::min(ty, a, b, fp(AttrKind::FpMinMax), env),
        Op::FMax => float::max(ty, a, b, fp(AttrKind::FpMinMax), env),
        Op::FNeg => a ^ ty.sign_bit(),
        Op::FAbs => a & !ty.sign_bit(),
        Op::FCopySign => a & !ty.sign_bit() | b & ty.sign_bit(),
        Op::FEq => u64::from(float::eq(from, a, b, attr != 0, env)),
        Op::FLt => u64::from(float::lt(from, a, b, attr != 0, env)),
        Op::FLe => u64::from(float::le(from, a, b, attr != 0, env)),
        Op::FUnordered => u64::from(float::unordered(from, a, b, attr != 0, env)),
        Op::FEqSilent => u64::from(float::eq(from, a, b, false, &mut FpEnv::new())),
        Op::FLtSilent => u64::from(float::lt(from, a, b, false, &mut FpEnv::new())),
        Op::FLeSilent => u64::from(float::le(from, a, b, false, &mut FpEnv::new())),
        Op::FClass => float::class(from, a),
        Op::FToIntS => float::to_int_s(from, ty, a, fp(AttrKind::FpToInt), env),
        Op::FToIntU => float::to_int_u(from, ty, a, fp(AttrKind::FpToInt), env),
        Op::IntToFS => float::from_int_s(from, ty, a, fp(AttrKind::FpFromInt), env),
        Op::IntToFU => float::from_int_u(from, ty, a, fp(AttrKind::FpFromInt), env),
        Op::FConvert => float::convert(from, ty, a, fp(AttrKind::Fp), env),
        Op::FRound => float::round(ty, a, fp(AttrKind::Fp), env),
        Op::FBox => a | !from.mask(),
        Op::FUnbox => float::unbox(ty, a),
        Op::Const
        | Op::Pc
        | Op::Get
        | Op::Set
        | Op::SetMode
        | Op::FpFlagsGet
        | Op::FpFlagsSet
        | Op::Load
        | Op::Store
        | Op::AtomicRmw
        | Op::AtomicCas
        | Op::Fence
        | Op::VUnary
        | Op::VBinary
        | Op::VTernary
        | Op::VExtract
        | Op::VInsert
        | Op::VSplat
        | Op::Call
        | Op::TrapIf
        | Op::ExitIf => panic!("{} is no computation on scalars", op.name()),
    }
}

/// What a read-modify-write of `ty` leaves in memory that held `old`.
#[inline]
#[must_use]
pub fn rmw(op: RmwOp, ty: Type, old: u64, operand: u64) -> u64 {
    let less = match op {
        RmwOp::MinS | RmwOp::MaxS => ty.sign_extend(old) < ty.sign_extend(operand),
        RmwOp::Swap | RmwOp::Add | RmwOp::And | RmwOp::Or | RmwOp::Xor | RmwOp::MinU | RmwOp::MaxU | RmwOp::AndNot => {
            old < operand
        }
    };
    match op {
        RmwOp::Swap => operand,
        RmwOp::Add => old.wrapping_add(operand) & ty.mask(),
        RmwOp::And => old & operand,
        RmwOp::Or => old | operand,
        RmwOp::Xor => old ^ operand,
        RmwOp::MinS | RmwOp::MinU => [operand, old][usize::from(less)],
        RmwOp::MaxS | RmwOp::MaxU => [old, operand][usize::from(less)],
        RmwOp::AndNot => old & !operand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// op, T, U, operands, result: from the definition of two's complement and the ops' documentation.
    #[rustfmt::skip]
    const CASES: &[(Op, Type, Type, [u64; 3], u64)] = &[
        (Op::Add, Type::I32, Type::I32, [0xffff_ffff, 1, 0], 0),
        (Op::Sub, Type::I8, Type::I8, [0, 1, 0], 0xff),
        (Op::MulHighS, Type::I64, Type::I64, [u64::MAX, u64::MAX, 0], 0),
        (Op::MulHighU, Type::I64, Type::I64, [u64::MAX, u64::MAX, 0], u64::MAX - 1),
        (Op::MulHighSU, Type::I64, Type::I64, [u64::MAX, u64::MAX, 0], u64::MAX),
        (Op::DivS, Type::I64, Type::I64, [7, 0, 0], u64::MAX),
        (Op::DivS, Type::I32, Type::I32, [0x8000_0000, 0xffff_ffff, 0], 0x8000_0000),
        (Op::RemS, Type::I32, Type::I32, [0x8000_0000, 0xffff_ffff, 0], 0),
        (Op::RemS, Type::I64, Type::I64, [-7i64 as u64, 2, 0], u64::MAX),
        (Op::RemU, Type::I64, Type::I64, [7, 0, 0], 7),
        (Op::CarryAdd, Type::I8, Type::I64, [u64::MAX, 0, 1], 1),
        (Op::OverflowAdd, Type::I8, Type::I8, [0x7f, 0, 1], 1),
        (Op::BorrowSub, Type::I8, Type::I16, [0, 0, 1], 1),
        (Op::OverflowSub, Type::I8, Type::I32, [0x8000_0000, 1, 0], 1),
        (Op::Shl, Type::I16, Type::I16, [1, 17, 0], 2),
        (Op::ShrS, Type::I8, Type::I8, [0x80, 7, 0], 0xff),
        (Op::RotL, Type::I8, Type::I8, [0x81, 1, 0], 3),
        (Op::RotR, Type::I32, Type::I32, [1, 0, 0], 1),
        (Op::Clz, Type::I16, Type::I16, [1, 0, 0], 15),
        (Op::Ctz, Type::I32, Type::I32, [0, 0, 0], 32),
        (Op::BitReverse, Type::I8, Type::I8, [1, 0, 0], 0x80),
        (Op::ByteSwap, Type::I16, Type::I16, [0x1234, 0, 0], 0x3412),
        (Op::ClMul, Type::I64, Type::I64, [3, 3, 0], 5),
        (Op::ClMulHigh, Type::I64, Type::I64, [1 << 63, 2, 0], 1),
        (Op::LtS, Type::I8, Type::I8, [0x80, 0, 0], 1),
        (Op::LtU, Type::I8, Type::I8, [0x80, 0, 0], 0),
        (Op::SignExtend, Type::I32, Type::I8, [0x80, 0, 0], 0xffff_ff80),
        (Op::FBox, Type::F64, Type::F32, [0x3f80_0000, 0, 0], 0xffff_ffff_3f80_0000),
        (Op::FUnbox, Type::F32, Type::F64, [0x3f80_0000, 0, 0], 0x7fc0_0000),
    ];

    #[test]
    fn cases() {
        for &(op, ty, from, args, expected) in CASES {
            let mut env = FpEnv::new();
            assert_eq!(scalar(op, ty, from, 0, args, &mut env), expected, "{} {ty} {from} {args:x?}", op.name());
        }
    }

    /// op, T, old, operand, result: from the ops' documentation.
    #[rustfmt::skip]
    const RMW_CASES: &[(RmwOp, Type, u64, u64, u64)] = &[
        (RmwOp::Swap, Type::I64, 1, 2, 2),
        (RmwOp::Add, Type::I32, 0xffff_ffff, 2, 1),
        (RmwOp::And, Type::I8, 0b1100, 0b1010, 0b1000),
        (RmwOp::Or, Type::I8, 0b1100, 0b1010, 0b1110),
        (RmwOp::Xor, Type::I8, 0b1100, 0b1010, 0b0110),
        (RmwOp::AndNot, Type::I8, 0b1100, 0b1010, 0b0100),
        (RmwOp::MinS, Type::I32, 0x8000_0000, 1, 0x8000_0000),
        (RmwOp::MaxS, Type::I32, 0x8000_0000, 1, 1),
        (RmwOp::MinU, Type::I32, 0x8000_0000, 1, 1),
        (RmwOp::MaxU, Type::I32, 0x8000_0000, 1, 0x8000_0000),
        (RmwOp::MinS, Type::I64, 5, u64::MAX, u64::MAX),
    ];

    #[test]
    fn read_modify_write_cases() {
        for &(op, ty, old, operand, expected) in RMW_CASES {
            assert_eq!(rmw(op, ty, old, operand), expected, "{} {ty} {old:x} {operand:x}", op.name());
        }
    }
}
