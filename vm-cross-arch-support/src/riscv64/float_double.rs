//! "D" extension: double-precision floating point.

use vm_ir::Type;

use super::float_single::{load, store};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const MEMORY: &str = "\"D\" Extension, Double-Precision Load and Store Instructions";

pub(super) const ROWS: &[Row] = &[
    row("fld", "iiiiiiiiiiii aaaaa 011 ddddd 0000111", "fd, i(xa)", MEMORY, fld),
    row("fsd", "iiiiiii bbbbb aaaaa 011 iiiii 0100111", "fb, i(xa)", MEMORY, fsd),
];

/// `FLD rd, offset(rs1)`.
pub(super) fn fld(cx: &mut Lift, f: Fields) -> Flow {
    load(cx, f, Type::F64)
}

/// `FSD rs2, offset(rs1)`.
pub(super) fn fsd(cx: &mut Lift, f: Fields) -> Flow {
    store(cx, f, Type::F64)
}
