//! Floating-point ops by integer arithmetic: the definition for binary16, binary32 and binary64.
//!
//! Operands and results are bit patterns in the low bits of a `u64`. Results are those of IEEE 754-2019 with tininess
//! detected after rounding (7.5, alternative a); what the standard leaves open (NaN bits, minimum and maximum,
//! conversions that overflow) is said by [`FpAttr`]. Flags are raised in the given [`FpEnv`] and never cleared.
//!
//! Every operation goes the same way: `format` takes an operand apart into a 64-bit significand, `arith` or
//! [`convert`] computes a significand that is exact but for a sticky last bit, [`round`] cuts it to the format.
//!
//! # Panics
//! Every function panics if a type that has to be a floating-point type is not one, and the conversions if a type that
//! has to be an integer is not [`Type::I32`] or [`Type::I64`]: the verifier refuses such blocks.

mod arith;
mod compare;
mod convert;
mod format;
mod round;

use super::FpEnv;
use crate::attr::FpAttr;
use crate::types::Type;
use format::{Double, Half, Single};

/// Evaluates an expression with `$F` standing for the format of `$ty`.
macro_rules! in_format {
    ($ty:expr, $F:ident => $value:expr) => {
        match $ty {
            Type::F16 => {
                type $F = Half;
                $value
            }
            Type::F32 => {
                type $F = Single;
                $value
            }
            Type::F64 => {
                type $F = Double;
                $value
            }
            other @ (Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::V128) => no_float(other),
        }
    };
}

#[cold]
fn no_float(ty: Type) -> ! {
    panic!("{ty} is no floating-point type")
}

/// [`Op::FAdd`](crate::Op::FAdd).
#[inline]
#[must_use]
pub fn add(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => arith::add::<F>(a, b, false, fp, env))
}

/// [`Op::FSub`](crate::Op::FSub).
#[inline]
#[must_use]
pub fn sub(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => arith::add::<F>(a, b, true, fp, env))
}

/// [`Op::FMul`](crate::Op::FMul).
#[inline]
#[must_use]
pub fn mul(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => arith::mul::<F>(a, b, fp, env))
}

/// [`Op::FDiv`](crate::Op::FDiv).
#[inline]
#[must_use]
pub fn div(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => arith::div::<F>(a, b, fp, env))
}

/// [`Op::FSqrt`](crate::Op::FSqrt).
#[inline]
#[must_use]
pub fn sqrt(ty: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => arith::sqrt::<F>(a, fp, env))
}

/// [`Op::FMulAdd`](crate::Op::FMulAdd).
#[inline]
#[must_use]
pub fn mul_add(ty: Type, a: u64, b: u64, c: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => arith::mul_add::<F>(a, b, c, fp, env))
}

/// [`Op::FMin`](crate::Op::FMin).
#[inline]
#[must_use]
pub fn min(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => compare::min_max::<F>(a, b, false, fp, env))
}

/// [`Op::FMax`](crate::Op::FMax).
#[inline]
#[must_use]
pub fn max(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => compare::min_max::<F>(a, b, true, fp, env))
}

/// [`Op::FEq`](crate::Op::FEq).
#[inline]
#[must_use]
pub fn eq(ty: Type, a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> bool {
    in_format!(ty, F => compare::order::<F>(a, b, signaling, env)).is_some_and(|order| order.is_eq())
}

/// [`Op::FLt`](crate::Op::FLt).
#[inline]
#[must_use]
pub fn lt(ty: Type, a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> bool {
    in_format!(ty, F => compare::order::<F>(a, b, signaling, env)).is_some_and(|order| order.is_lt())
}

/// [`Op::FLe`](crate::Op::FLe).
#[inline]
#[must_use]
pub fn le(ty: Type, a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> bool {
    in_format!(ty, F => compare::order::<F>(a, b, signaling, env)).is_some_and(|order| order.is_le())
}

/// [`Op::FUnordered`](crate::Op::FUnordered).
#[inline]
#[must_use]
pub fn unordered(ty: Type, a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> bool {
    in_format!(ty, F => compare::order::<F>(a, b, signaling, env)).is_none()
}

/// [`Op::FClass`](crate::Op::FClass).
#[inline]
#[must_use]
pub fn class(ty: Type, a: u64) -> u64 {
    in_format!(ty, F => compare::class::<F>(a))
}

/// [`Op::FToIntS`](crate::Op::FToIntS). A value that does not fit raises *invalid* and not *inexact*.
#[inline]
#[must_use]
pub fn to_int_s(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(from, F => convert::to_int::<F>(to, true, a, fp, env))
}

/// [`Op::FToIntU`](crate::Op::FToIntU). A value that does not fit raises *invalid* and not *inexact*; a negative one
/// that rounds to zero fits.
#[inline]
#[must_use]
pub fn to_int_u(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(from, F => convert::to_int::<F>(to, false, a, fp, env))
}

/// [`Op::IntToFS`](crate::Op::IntToFS).
#[inline]
#[must_use]
pub fn from_int_s(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    let value = from.sign_extend(a);
    in_format!(to, F => convert::from_magnitude::<F>(value < 0, value.unsigned_abs(), fp, env))
}

/// [`Op::IntToFU`](crate::Op::IntToFU).
#[inline]
#[must_use]
pub fn from_int_u(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(to, F => convert::from_magnitude::<F>(false, a & from.mask(), fp, env))
}

/// [`Op::FConvert`](crate::Op::FConvert). A NaN that the NaN rule keeps is made quiet; of its payload the high bits
/// stay, as many as fit.
#[inline]
#[must_use]
pub fn convert(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(from, A => in_format!(to, B => convert::convert::<A, B>(a, fp, env)))
}

/// [`Op::FRound`](crate::Op::FRound). A zero result has the operand's sign.
#[inline]
#[must_use]
pub fn round(ty: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    in_format!(ty, F => convert::round_to_integral::<F>(a, fp, env))
}

/// The narrow float in the 64 bits `a`, or the canonical NaN of `ty` if the bits above it are not all ones:
/// [`Op::FUnbox`](crate::Op::FUnbox).
#[inline]
#[must_use]
pub fn unbox(ty: Type, a: u64) -> u64 {
    if a | ty.mask() == u64::MAX { a & ty.mask() } else { in_format!(ty, F => <F as format::Format>::CANONICAL_NAN) }
}
