//! Comparison, minimum and maximum, classes.

use std::cmp::Ordering;

use super::super::FpEnv;
use super::format::{Format, is_nan, is_negative, is_signaling, propagate};
use crate::attr::{FpAttr, MinMaxRule};

/// Order of two numbers as integers: equal integers for both zeros.
#[inline]
const fn key<F: Format>(a: u64) -> i64 {
    let magnitude = (a & !F::SIGN) as i64;
    if is_negative::<F>(a) { -magnitude } else { magnitude }
}

/// How `a` compares with `b`; `None` if either is a NaN. Raises *invalid* for a signalling NaN, and if `signaling` for
/// a quiet one.
#[inline]
pub(super) fn order<F: Format>(a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> Option<Ordering> {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        if signaling || is_signaling::<F>(a) || is_signaling::<F>(b) {
            env.raise(FpEnv::INVALID);
        }
        return None;
    }
    Some(key::<F>(a).cmp(&key::<F>(b)))
}

/// The smaller operand, or the larger one if `max`.
pub(super) fn min_max<F: Format>(a: u64, b: u64, max: bool, fp: FpAttr, env: &mut FpEnv) -> u64 {
    match fp.min_max {
        // SSE compares as its signalling relations do.
        MinMaxRule::Second => match order::<F>(a, b, true, env) {
            Some(Ordering::Greater) if max => a,
            Some(Ordering::Less) if !max => a,
            Some(_) | None => b,
        },
        MinMaxRule::Number => match (is_nan::<F>(a), is_nan::<F>(b)) {
            (false, false) => select::<F>(a, b, max),
            (true, true) => propagate::<F>(&[a, b], fp.nan, env),
            (a_is_nan, _) => {
                if is_signaling::<F>(a) || is_signaling::<F>(b) {
                    env.raise(FpEnv::INVALID);
                }
                if a_is_nan { b } else { a }
            }
        },
        MinMaxRule::Propagate => match is_nan::<F>(a) || is_nan::<F>(b) {
            true => propagate::<F>(&[a, b], fp.nan, env),
            false => select::<F>(a, b, max),
        },
        MinMaxRule::Num2008 => {
            let quiet = |x| is_nan::<F>(x) && !is_signaling::<F>(x);
            match (is_nan::<F>(a), is_nan::<F>(b)) {
                (false, false) => select::<F>(a, b, max),
                (true, false) if quiet(a) => b,
                (false, true) if quiet(b) => a,
                _ => propagate::<F>(&[a, b], fp.nan, env),
            }
        }
    }
}

/// The smaller or larger of two numbers, -0 being less than +0.
fn select<F: Format>(a: u64, b: u64, max: bool) -> u64 {
    let order = key::<F>(a).cmp(&key::<F>(b)).then(is_negative::<F>(b).cmp(&is_negative::<F>(a)));
    if order.is_gt() == max { a } else { b }
}

pub(super) const fn class<F: Format>(a: u64) -> u64 {
    let magnitude = a & !F::SIGN;
    if is_nan::<F>(a) {
        return if is_signaling::<F>(a) { 1 << 8 } else { 1 << 9 };
    }
    let distance = if magnitude == F::INFINITY {
        3
    } else if magnitude >> F::FRACTION != 0 {
        2
    } else if magnitude != 0 {
        1
    } else {
        0
    };
    if is_negative::<F>(a) { 1 << (3 - distance) } else { 1 << (4 + distance) }
}
