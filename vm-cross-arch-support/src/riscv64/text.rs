//! Instructions as text, in the form of GNU objdump with `-M no-aliases,numeric`.
//!
//! Operand tokens: `xd`, `fa` and so on are registers by field; `i`, `u` and `a` numbers; `0xu` a number in hexadecimal;
//! `hi20` the upper immediate of `lui`; `nonzero` the immediate unless it is zero; `pc` an address relative to the
//! instruction's; `csr`, `pred`, `succ` and the rounding modes `rm` (nothing when dynamic) and `rm0` (nothing when zero)
//! their names. Anything else stands for itself.

use std::fmt::Write as _;

use super::csr;
use crate::pattern::Fields;
use crate::table::Decoded;

/// Names of the rounding modes; the two reserved ones have none.
const ROUNDING: [&str; 8] = ["rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"];

/// The instruction, which lies at `pc`.
pub(super) fn text(decoded: &Decoded, pc: u64) -> String {
    let suffix = match decoded.fields.get('o') {
        Some(1) => ".rl",
        Some(2) => ".aq",
        Some(3) => ".aqrl",
        _ => "",
    };
    decoded.text(suffix, |token, fields, out| operand(token, fields, pc, out))
}

fn operand(token: &str, f: Fields, pc: u64, out: &mut String) {
    let _ = match token {
        "i" => write!(out, "{}", f.i()),
        "u" => write!(out, "{}", f.u()),
        "a" => write!(out, "{}", f.a()),
        "0xu" => write!(out, "{:#x}", f.u()),
        "hi20" => write!(out, "{:#x}", f.i() >> 12 & 0xf_ffff),
        "nonzero" if f.i() == 0 => Ok(()),
        "nonzero" => write!(out, "{}", f.i()),
        "pc" => write!(out, "{:#x}", pc.wrapping_add_signed(f.i())),
        "csr" => match csr::name(f.u()) {
            Some(name) => write!(out, "{name}"),
            None => write!(out, "{:#x}", f.u()),
        },
        "pred" => write!(out, "{}", fence_set(f.p())),
        "succ" => write!(out, "{}", fence_set(f.s())),
        "rm" if f.m() == 7 => Ok(()),
        "rm0" if f.m() == 0 => Ok(()),
        "rm" | "rm0" => write!(out, "{}", ROUNDING[usize::from(f.m() & 7)]),
        _ => match (&token[..1], register(token, f)) {
            (file @ ("x" | "f"), Some(number)) => write!(out, "{file}{number}"),
            _ => write!(out, "{token}"),
        },
    };
}

/// The register number that a token of two letters stands for.
fn register(token: &str, f: Fields) -> Option<i64> {
    let mut letters = token.chars().skip(1);
    let letter = letters.next()?;
    letters.next().is_none().then(|| f.get(letter)).flatten()
}

/// The letters of a predecessor or successor set.
fn fence_set(set: u8) -> String {
    if set == 0 {
        return "unknown".to_owned();
    }
    [(8, 'i'), (4, 'o'), (2, 'r'), (1, 'w')]
        .into_iter()
        .filter(|(bit, _)| set & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}
