//! "Zfh" extension: half-precision floating point.

use vm_ir::Type;

use super::float_single::{load, store};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const MEMORY: &str = "\"Zfh\" and \"Zfhmin\" Extensions, Half-Precision Load and Store Instructions";

pub(super) const ROWS: &[Row] = &[
    row("flh", "iiiiiiiiiiii aaaaa 001 ddddd 0000111", "fd, i(xa)", MEMORY, flh),
    row("fsh", "iiiiiii bbbbb aaaaa 001 iiiii 0100111", "fb, i(xa)", MEMORY, fsh),
];

/// `FLH rd, offset(rs1)`.
fn flh(cx: &mut Lift, f: Fields) -> Flow {
    load(cx, f, Type::F16)
}

/// `FSH rs2, offset(rs1)`.
fn fsh(cx: &mut Lift, f: Fields) -> Flow {
    store(cx, f, Type::F16)
}
