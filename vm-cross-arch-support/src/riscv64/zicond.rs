//! "Zicond": conditional zeroing.

use super::Registers;
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const ZICOND: &str = "\"Zicond\" Extension for Integer Conditional Operations";

pub(super) const ROWS: &[Row] = &[
    row("czero.eqz", "0000111 bbbbb aaaaa 101 ddddd 0110011", "xd, xa, xb", ZICOND, czero_eqz),
    row("czero.nez", "0000111 bbbbb aaaaa 111 ddddd 0110011", "xd, xa, xb", ZICOND, czero_nez),
];

/// `CZERO.EQZ rd, rs1, rs2`: zero if rs2 is zero, else rs1.
fn czero_eqz(cx: &mut Lift, f: Fields) -> Flow {
    let (a, b) = (cx.x(f.a()), cx.x(f.b()));
    let zero = cx.ir.i64(0);
    let is_zero = cx.ir.eq(b, zero);
    let value = cx.ir.select(is_zero, zero, a);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `CZERO.NEZ rd, rs1, rs2`: zero if rs2 is not zero, else rs1.
fn czero_nez(cx: &mut Lift, f: Fields) -> Flow {
    let (a, b) = (cx.x(f.a()), cx.x(f.b()));
    let zero = cx.ir.i64(0);
    let is_set = cx.ir.ne(b, zero);
    let value = cx.ir.select(is_set, zero, a);
    cx.set_x(f.d(), value);
    Flow::Next
}
