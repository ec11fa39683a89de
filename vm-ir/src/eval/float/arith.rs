//! Sum, product, quotient, square root and fused multiply-add.

use super::super::FpEnv;
use super::format::Operand::{Finite, Infinity, Nan, Zero};
use super::format::{Format, Number, infinity, invalid, is_negative, is_signaling, propagate, unpack, zero};
use super::round::{pack, shift_right_sticky, shift_right_sticky_wide, upper_half_sticky, zero_sum_sign};
use crate::attr::{FpAttr, NanRule, Rounding};

/// `a + b`, or `a - b` if `negate`.
#[inline]
pub(super) fn add<F: Format>(a: u64, b: u64, negate: bool, fp: FpAttr, env: &mut FpEnv) -> u64 {
    let addend = b ^ zero::<F>(negate);
    let rounding = env.resolve(fp.rounding);
    match (unpack::<F>(a), unpack::<F>(addend)) {
        (Finite(x), Finite(y)) => add_finite::<F>(x, y, rounding, env),
        (Nan, _) | (_, Nan) => propagate::<F>(&[a, b], fp.nan, env),
        (Infinity, Infinity) if a != addend => invalid::<F>(fp.nan, env),
        (Zero, Zero) if a != addend => zero::<F>(zero_sum_sign(rounding)),
        (Infinity, _) | (_, Zero) => a,
        (_, Infinity) | (Zero, _) => addend,
    }
}

#[inline]
fn add_finite<F: Format>(x: Number, y: Number, rounding: Rounding, env: &mut FpEnv) -> u64 {
    let (large, small) = if (x.exponent, x.significand) >= (y.exponent, y.significand) { (x, y) } else { (y, x) };
    let distance = large.exponent.abs_diff(small.exponent);
    let sign = large.sign;
    // Operands have at least eleven zeros at the end. Bits are lost into the sticky one only at distances of more than
    // that, where the sum is at most one bit shorter than its larger operand.
    if x.sign == y.sign {
        let sum = (large.significand >> 1) + shift_right_sticky(small.significand >> 1, distance);
        let shift = sum.leading_zeros();
        let exponent = large.exponent + 1 - shift as i32;
        return pack::<F>(Number { sign, exponent, significand: sum << shift }, rounding, env);
    }
    let difference = large.significand - shift_right_sticky(small.significand, distance);
    if difference == 0 {
        return zero::<F>(zero_sum_sign(rounding));
    }
    let shift = difference.leading_zeros();
    let exponent = large.exponent - shift as i32;
    pack::<F>(Number { sign, exponent, significand: difference << shift }, rounding, env)
}

#[inline]
pub(super) fn mul<F: Format>(a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    let sign = is_negative::<F>(a ^ b);
    match (unpack::<F>(a), unpack::<F>(b)) {
        (Finite(x), Finite(y)) => pack::<F>(narrow(product(x, y)), env.resolve(fp.rounding), env),
        (Nan, _) | (_, Nan) => propagate::<F>(&[a, b], fp.nan, env),
        (Infinity, Zero) | (Zero, Infinity) => invalid::<F>(fp.nan, env),
        (Infinity, _) | (_, Infinity) => infinity::<F>(sign),
        (Zero, _) | (_, Zero) => zero::<F>(sign),
    }
}

/// A number with twice the significand: `significand * 2^(exponent - 126)`, bit 126 being its highest.
#[derive(Clone, Copy)]
struct Wide {
    sign: bool,
    exponent: i32,
    significand: u128,
}

/// The exact product: it ends in at least 22 zeros, so that none is lost by aligning it to bit 126.
#[inline]
fn product(x: Number, y: Number) -> Wide {
    let product = u128::from(x.significand) * u128::from(y.significand);
    let carry = (product >> 127) as u32;
    Wide { sign: x.sign != y.sign, exponent: x.exponent + y.exponent + carry as i32, significand: product >> carry }
}

/// `wide` with a significand of 64 bits, the last one sticky.
#[inline]
fn narrow(wide: Wide) -> Number {
    Number { sign: wide.sign, exponent: wide.exponent, significand: upper_half_sticky(wide.significand << 1) }
}

#[inline]
pub(super) fn div<F: Format>(a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    let sign = is_negative::<F>(a ^ b);
    match (unpack::<F>(a), unpack::<F>(b)) {
        (Finite(x), Finite(y)) => {
            // One bit more for a smaller dividend, so that the quotient always has 64 bits.
            let smaller = x.significand < y.significand;
            let dividend = u128::from(x.significand) << (63 + u32::from(smaller));
            let divisor = u128::from(y.significand);
            let significand = (dividend / divisor) as u64 | u64::from(dividend % divisor != 0);
            let exponent = x.exponent - y.exponent - i32::from(smaller);
            pack::<F>(Number { sign, exponent, significand }, env.resolve(fp.rounding), env)
        }
        (Nan, _) | (_, Nan) => propagate::<F>(&[a, b], fp.nan, env),
        (Infinity, Infinity) | (Zero, Zero) => invalid::<F>(fp.nan, env),
        (Finite(_), Zero) => {
            env.raise(FpEnv::DIVIDE_BY_ZERO);
            infinity::<F>(sign)
        }
        (Infinity, _) => infinity::<F>(sign),
        (_, Infinity) | (Zero, _) => zero::<F>(sign),
    }
}

pub(super) fn sqrt<F: Format>(a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    match unpack::<F>(a) {
        Finite(x) if !x.sign => {
            // An odd exponent gives one factor of two to the significand; the root always has 64 bits.
            let radicand = u128::from(x.significand) << (63 + (x.exponent & 1));
            let root = radicand.isqrt();
            let significand = root as u64 | u64::from(root * root != radicand);
            pack::<F>(Number { sign: false, exponent: x.exponent >> 1, significand }, env.resolve(fp.rounding), env)
        }
        Nan => propagate::<F>(&[a], fp.nan, env),
        Zero => a,
        Infinity if !is_negative::<F>(a) => a,
        Finite(_) | Infinity => invalid::<F>(fp.nan, env),
    }
}

/// `a * b + c`, rounded once.
#[inline]
pub(super) fn mul_add<F: Format>(a: u64, b: u64, c: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    let sign = is_negative::<F>(a ^ b);
    let rounding = env.resolve(fp.rounding);
    match (unpack::<F>(a), unpack::<F>(b), unpack::<F>(c)) {
        (Finite(x), Finite(y), Finite(z)) => mul_add_finite::<F>(product(x, y), z, rounding, env),
        (Infinity, Zero, Nan) | (Zero, Infinity, Nan) => {
            env.raise(FpEnv::INVALID);
            match fp.nan {
                NanRule::Arm if !is_signaling::<F>(c) => F::CANONICAL_NAN,
                NanRule::Canonical | NanRule::Arm | NanRule::X86 => propagate::<F>(&[c], fp.nan, env),
            }
        }
        (Nan, ..) | (_, Nan, _) | (.., Nan) => {
            let operands = match fp.nan {
                NanRule::Arm => [c, a, b],
                NanRule::Canonical | NanRule::X86 => [a, b, c],
            };
            propagate::<F>(&operands, fp.nan, env)
        }
        (Infinity, Zero, _) | (Zero, Infinity, _) => invalid::<F>(fp.nan, env),
        (Infinity, ..) | (_, Infinity, _) => match unpack::<F>(c) {
            Infinity if sign != is_negative::<F>(c) => invalid::<F>(fp.nan, env),
            Infinity | Finite(_) | Zero | Nan => infinity::<F>(sign),
        },
        (.., Infinity) => c,
        (Finite(x), Finite(y), Zero) => pack::<F>(narrow(product(x, y)), rounding, env),
        (Zero, ..) | (_, Zero, _) => {
            let product = zero::<F>(sign);
            match unpack::<F>(c) {
                Zero if product != c => zero::<F>(zero_sum_sign(rounding)),
                Zero | Finite(_) | Infinity | Nan => c,
            }
        }
    }
}

#[inline]
fn mul_add_finite<F: Format>(product: Wide, addend: Number, rounding: Rounding, env: &mut FpEnv) -> u64 {
    let addend =
        Wide { sign: addend.sign, exponent: addend.exponent, significand: u128::from(addend.significand) << 63 };
    let (large, small) = if (product.exponent, product.significand) >= (addend.exponent, addend.significand) {
        (product, addend)
    } else {
        (addend, product)
    };
    // As in `add_finite`: both significands end in at least 21 zeros.
    let aligned = shift_right_sticky_wide(small.significand, large.exponent.abs_diff(small.exponent));
    let sum = if large.sign == small.sign { large.significand + aligned } else { large.significand - aligned };
    if sum == 0 {
        return zero::<F>(zero_sum_sign(rounding));
    }
    let shift = sum.leading_zeros();
    let exponent = large.exponent + 1 - shift as i32;
    let significand = upper_half_sticky(sum << shift);
    pack::<F>(Number { sign: large.sign, exponent, significand }, rounding, env)
}
