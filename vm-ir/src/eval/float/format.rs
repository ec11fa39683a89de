//! The three formats, taking operands apart, and the choice of NaNs.

use super::super::FpEnv;
use crate::attr::NanRule;

/// A binary interchange format (IEEE 754-2019, 3.4).
pub(super) trait Format {
    /// Bits of the trailing significand field.
    const FRACTION: u32;
    /// Bits of the exponent field.
    const EXPONENT: u32;

    /// The sign bit.
    const SIGN: u64 = 1 << (Self::FRACTION + Self::EXPONENT);
    /// The largest exponent field, that of infinities and NaNs.
    const EXPONENT_MAX: u64 = (1 << Self::EXPONENT) - 1;
    /// Exponent of the value 1 in the exponent field.
    const BIAS: i32 = (1 << (Self::EXPONENT - 1)) - 1;
    /// Exponent of the least normal number.
    const EXPONENT_MIN: i32 = 1 - Self::BIAS;
    /// Positive infinity.
    const INFINITY: u64 = Self::EXPONENT_MAX << Self::FRACTION;
    /// The bit that tells quiet from signalling NaNs.
    const QUIET: u64 = 1 << (Self::FRACTION - 1);
    /// The positive quiet NaN with an empty payload.
    const CANONICAL_NAN: u64 = Self::INFINITY | Self::QUIET;
}

/// binary16.
pub(super) struct Half;
/// binary32.
pub(super) struct Single;
/// binary64.
pub(super) struct Double;

impl Format for Half {
    const FRACTION: u32 = 10;
    const EXPONENT: u32 = 5;
}

impl Format for Single {
    const FRACTION: u32 = 23;
    const EXPONENT: u32 = 8;
}

impl Format for Double {
    const FRACTION: u32 = 52;
    const EXPONENT: u32 = 11;
}

/// A finite number other than zero: `significand * 2^(exponent - 63)`, negative if `sign`.
#[derive(Clone, Copy)]
pub(super) struct Number {
    pub(super) sign: bool,
    /// Exponent of the leading bit.
    pub(super) exponent: i32,
    /// Its highest bit is set; the lowest is sticky in a result that has not been rounded yet.
    pub(super) significand: u64,
}

/// An operand by what arithmetic does with it.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    Zero,
    Finite(Number),
    Infinity,
    Nan,
}

#[inline]
pub(super) const fn is_negative<F: Format>(a: u64) -> bool {
    a & F::SIGN != 0
}

#[inline]
pub(super) const fn is_nan<F: Format>(a: u64) -> bool {
    a & !F::SIGN > F::INFINITY
}

#[inline]
pub(super) const fn is_signaling<F: Format>(a: u64) -> bool {
    is_nan::<F>(a) && a & F::QUIET == 0
}

#[inline]
pub(super) const fn zero<F: Format>(sign: bool) -> u64 {
    if sign { F::SIGN } else { 0 }
}

#[inline]
pub(super) const fn infinity<F: Format>(sign: bool) -> u64 {
    zero::<F>(sign) | F::INFINITY
}

/// Takes `a` apart; subnormal numbers are normalised.
#[inline]
pub(super) const fn unpack<F: Format>(a: u64) -> Operand {
    let sign = is_negative::<F>(a);
    let field = a >> F::FRACTION & F::EXPONENT_MAX;
    let top_aligned = a << (63 - F::FRACTION);
    if field.wrapping_sub(1) < F::EXPONENT_MAX - 1 {
        let significand = top_aligned | 1 << 63;
        return Operand::Finite(Number { sign, exponent: field as i32 - F::BIAS, significand });
    }
    let fraction = top_aligned & (u64::MAX >> 1);
    match (field, fraction) {
        (0, 0) => Operand::Zero,
        (0, _) => {
            let shift = fraction.leading_zeros();
            let exponent = F::EXPONENT_MIN - shift as i32;
            Operand::Finite(Number { sign, exponent, significand: fraction << shift })
        }
        (_, 0) => Operand::Infinity,
        _ => Operand::Nan,
    }
}

/// The NaN of an invalid operation on operands that are no NaNs; raises *invalid*.
#[cold]
pub(super) const fn invalid<F: Format>(rule: NanRule, env: &mut FpEnv) -> u64 {
    env.raise(FpEnv::INVALID);
    default_nan::<F>(rule)
}

const fn default_nan<F: Format>(rule: NanRule) -> u64 {
    match rule {
        NanRule::Canonical | NanRule::Arm => F::CANONICAL_NAN,
        NanRule::X86 => F::CANONICAL_NAN | F::SIGN,
    }
}

/// The NaN that an operation on `operands` gives, at least one of which is a NaN; raises *invalid* for a signalling one.
///
/// `operands` are in the order in which the rule looks at them.
#[cold]
pub(super) fn propagate<F: Format>(operands: &[u64], rule: NanRule, env: &mut FpEnv) -> u64 {
    let signaling = operands.iter().copied().find(|&a| is_signaling::<F>(a));
    if signaling.is_some() {
        env.raise(FpEnv::INVALID);
    }
    let first = operands.iter().copied().find(|&a| is_nan::<F>(a));
    let chosen = match rule {
        NanRule::Canonical => None,
        NanRule::Arm => signaling.or(first),
        NanRule::X86 => first,
    };
    chosen.map_or(default_nan::<F>(rule), |nan| nan | F::QUIET)
}

/// A NaN of format `A` as one of format `B`; raises *invalid* for a signalling one.
#[cold]
pub(super) fn convert_nan<A: Format, B: Format>(a: u64, rule: NanRule, env: &mut FpEnv) -> u64 {
    if is_signaling::<A>(a) {
        env.raise(FpEnv::INVALID);
    }
    match rule {
        NanRule::Canonical => B::CANONICAL_NAN,
        NanRule::Arm | NanRule::X86 => {
            let payload = a << (64 - A::FRACTION) >> (64 - B::FRACTION);
            zero::<B>(is_negative::<A>(a)) | B::INFINITY | B::QUIET | payload
        }
    }
}
