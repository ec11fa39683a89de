//! Cutting an exact significand to a format: the only place that rounds to a floating-point format.

use super::super::FpEnv;
use super::format::{Format, Number, infinity, zero};
use crate::attr::Rounding;

/// `value / 2^by`, the last bit of the result also standing for everything shifted out.
#[inline]
pub(super) const fn shift_right_sticky(value: u64, by: u32) -> u64 {
    match by {
        0 => value,
        1..64 => value >> by | (value << (64 - by) != 0) as u64,
        _ => (value != 0) as u64,
    }
}

/// As [`shift_right_sticky`].
#[inline]
pub(super) const fn shift_right_sticky_wide(value: u128, by: u32) -> u128 {
    match by {
        0 => value,
        1..128 => value >> by | (value << (128 - by) != 0) as u128,
        _ => (value != 0) as u128,
    }
}

/// The upper half, its last bit also standing for the lower half.
#[inline]
pub(super) const fn upper_half_sticky(value: u128) -> u64 {
    (value >> 64) as u64 | (value as u64 != 0) as u64
}

/// Whether a magnitude is rounded up: `odd` is its last bit that stays, `rest` what is cut off, in units of 2^-64 of
/// that bit.
#[inline]
pub(super) const fn rounds_up(rounding: Rounding, sign: bool, odd: bool, rest: u64) -> bool {
    const HALF: u64 = 1 << 63;
    match rounding {
        // `FpEnv::resolve` gives no dynamic rounding unless the environment itself holds one.
        Rounding::NearestEven | Rounding::Dynamic => rest > HALF || rest == HALF && odd,
        Rounding::TowardZero => false,
        Rounding::Down => sign && rest != 0,
        Rounding::Up => !sign && rest != 0,
        Rounding::NearestAway => rest >= HALF,
    }
}

/// The sign of an exact zero sum of operands of different signs (IEEE 754-2019, 6.3).
#[inline]
pub(super) const fn zero_sum_sign(rounding: Rounding) -> bool {
    matches!(rounding, Rounding::Down)
}

/// The bits of `number` in format `F`, rounded by `rounding`, which is not dynamic; raises what that raises.
#[inline]
pub(super) fn pack<F: Format>(number: Number, rounding: Rounding, env: &mut FpEnv) -> u64 {
    let Number { sign, exponent, significand } = number;
    let cut = 63 - F::FRACTION;
    if exponent < F::EXPONENT_MIN {
        return pack_subnormal::<F>(number, rounding, env);
    }
    let rest = significand << (64 - cut);
    let kept = significand >> cut;
    // The leading bit of `kept` adds one to the exponent field, and so does a carry out of it.
    let field = (exponent + F::BIAS - 1) as u64;
    let up = rounds_up(rounding, sign, kept & 1 != 0, rest);
    let magnitude = (field << F::FRACTION) + kept + u64::from(up);
    if field >= F::EXPONENT_MAX || magnitude >= F::INFINITY {
        return overflow::<F>(sign, rounding, env);
    }
    if rest != 0 {
        env.raise(FpEnv::INEXACT);
    }
    zero::<F>(sign) | magnitude
}

#[cold]
fn overflow<F: Format>(sign: bool, rounding: Rounding, env: &mut FpEnv) -> u64 {
    env.raise(FpEnv::OVERFLOW | FpEnv::INEXACT);
    let to_infinity = match rounding {
        Rounding::NearestEven | Rounding::NearestAway | Rounding::Dynamic => true,
        Rounding::TowardZero => false,
        Rounding::Down => sign,
        Rounding::Up => !sign,
    };
    infinity::<F>(sign) - u64::from(!to_infinity)
}

/// A magnitude below the least normal number. It may round up to that number, whose bits then come out by the carry.
#[cold]
fn pack_subnormal<F: Format>(number: Number, rounding: Rounding, env: &mut FpEnv) -> u64 {
    let Number { sign, exponent, significand } = number;
    let cut = 63 - F::FRACTION;
    let shifted = shift_right_sticky(significand, exponent.abs_diff(F::EXPONENT_MIN));
    let rest = shifted << (64 - cut);
    let kept = shifted >> cut;
    if rest != 0 {
        env.raise(FpEnv::INEXACT);
        // Tiny is what stays below the least normal number when rounded as if the exponent had no limit: everything
        // but a significand of all ones just below that number that carries into the next exponent.
        let full = significand >> cut;
        let carries = exponent == F::EXPONENT_MIN - 1
            && full == u64::MAX >> cut
            && rounds_up(rounding, sign, true, significand << (64 - cut));
        if !carries {
            env.raise(FpEnv::UNDERFLOW);
        }
    }
    zero::<F>(sign) | (kept + u64::from(rounds_up(rounding, sign, kept & 1 != 0, rest)))
}
