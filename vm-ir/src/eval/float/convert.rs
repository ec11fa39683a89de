//! Conversions between formats, to and from integers, and rounding to integral values.

use super::super::FpEnv;
use super::format::Operand::{Finite, Infinity, Nan, Zero};
use super::format::{Format, Number, convert_nan, infinity, is_negative, propagate, unpack, zero};
use super::round::{pack, rounds_up, shift_right_sticky};
use crate::attr::{FpAttr, OverflowRule, Rounding};
use crate::types::Type;

/// An integer between two powers of two or zero, and whether rounding changed it.
struct Rounded {
    magnitude: u128,
    inexact: bool,
}

/// The magnitude of `number` as an integer; its exponent is below 64.
fn round_magnitude(number: Number, rounding: Rounding) -> Rounded {
    let Number { sign, exponent, significand } = number;
    let (whole, rest) = match exponent {
        63 => (significand, 0),
        0..63 => (significand >> (63 - exponent), significand << (exponent + 1)),
        _ => (0, shift_right_sticky(significand, (-1 - exponent) as u32)),
    };
    let up = rounds_up(rounding, sign, whole & 1 != 0, rest);
    Rounded { magnitude: u128::from(whole) + u128::from(up), inexact: rest != 0 }
}

pub(super) fn to_int<F: Format>(to: Type, signed: bool, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    debug_assert!(matches!(to, Type::I32 | Type::I64), "{to} is no word");
    let sign = is_negative::<F>(a);
    let (least, greatest) = match signed {
        true => (to.sign_bit(), to.sign_bit() - 1),
        false => (0, to.mask()),
    };
    match unpack::<F>(a) {
        Zero => return 0,
        Finite(number) if number.exponent < 64 => {
            let Rounded { magnitude, inexact } = round_magnitude(number, env.resolve(fp.rounding));
            // `least` as a magnitude is its own bit pattern.
            if magnitude <= u128::from(if sign { least } else { greatest }) {
                if inexact {
                    env.raise(FpEnv::INEXACT);
                }
                let value = magnitude as u64;
                return if sign { value.wrapping_neg() & to.mask() } else { value };
            }
        }
        Finite(_) | Infinity | Nan => {}
    }
    env.raise(FpEnv::INVALID);
    let nan = matches!(unpack::<F>(a), Nan);
    match fp.overflow {
        OverflowRule::SaturateNanMax if nan => greatest,
        OverflowRule::SaturateNanZero if nan => 0,
        OverflowRule::SaturateNanMax | OverflowRule::SaturateNanZero => {
            if sign {
                least
            } else {
                greatest
            }
        }
        OverflowRule::Indefinite => to.sign_bit(),
    }
}

/// The integer `magnitude`, negative if `sign`.
pub(super) fn from_magnitude<F: Format>(sign: bool, magnitude: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    if magnitude == 0 {
        return 0;
    }
    let shift = magnitude.leading_zeros();
    let number = Number { sign, exponent: 63 - shift as i32, significand: magnitude << shift };
    pack::<F>(number, env.resolve(fp.rounding), env)
}

pub(super) fn convert<A: Format, B: Format>(a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    let sign = is_negative::<A>(a);
    match unpack::<A>(a) {
        Finite(number) => pack::<B>(number, env.resolve(fp.rounding), env),
        Zero => zero::<B>(sign),
        Infinity => infinity::<B>(sign),
        Nan => convert_nan::<A, B>(a, fp.nan, env),
    }
}

pub(super) fn round_to_integral<F: Format>(a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    match unpack::<F>(a) {
        Finite(number) if number.exponent < F::FRACTION as i32 => {
            let Rounded { magnitude, inexact } = round_magnitude(number, env.resolve(fp.rounding));
            if inexact {
                env.raise(FpEnv::INEXACT);
            }
            // An integer of no more bits than the format holds: this does not round again.
            zero::<F>(number.sign) | from_magnitude::<F>(false, magnitude as u64, fp, env)
        }
        Nan => propagate::<F>(&[a], fp.nan, env),
        Finite(_) | Zero | Infinity => a,
    }
}
