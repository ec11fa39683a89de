//! "M" extension: multiplication and division. Nothing traps: the IR's division rules are the manual's.

use vm_ir::IrBuilder;

use super::{binary, binary_w};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const MUL: &str = "\"M\" Extension, Multiplication Operations";
const DIV: &str = "\"M\" Extension, Division Operations";

pub(super) const ROWS: &[Row] = &[
    row("mul", "0000001 bbbbb aaaaa 000 ddddd 0110011", "xd, xa, xb", MUL, mul),
    row("mulh", "0000001 bbbbb aaaaa 001 ddddd 0110011", "xd, xa, xb", MUL, mulh),
    row("mulhsu", "0000001 bbbbb aaaaa 010 ddddd 0110011", "xd, xa, xb", MUL, mulhsu),
    row("mulhu", "0000001 bbbbb aaaaa 011 ddddd 0110011", "xd, xa, xb", MUL, mulhu),
    row("mulw", "0000001 bbbbb aaaaa 000 ddddd 0111011", "xd, xa, xb", MUL, mulw),
    row("div", "0000001 bbbbb aaaaa 100 ddddd 0110011", "xd, xa, xb", DIV, div),
    row("divu", "0000001 bbbbb aaaaa 101 ddddd 0110011", "xd, xa, xb", DIV, divu),
    row("rem", "0000001 bbbbb aaaaa 110 ddddd 0110011", "xd, xa, xb", DIV, rem),
    row("remu", "0000001 bbbbb aaaaa 111 ddddd 0110011", "xd, xa, xb", DIV, remu),
    row("divw", "0000001 bbbbb aaaaa 100 ddddd 0111011", "xd, xa, xb", DIV, divw),
    row("divuw", "0000001 bbbbb aaaaa 101 ddddd 0111011", "xd, xa, xb", DIV, divuw),
    row("remw", "0000001 bbbbb aaaaa 110 ddddd 0111011", "xd, xa, xb", DIV, remw),
    row("remuw", "0000001 bbbbb aaaaa 111 ddddd 0111011", "xd, xa, xb", DIV, remuw),
];

/// `MUL rd, rs1, rs2`: low half of the product.
fn mul(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::mul)
}

/// `MULH rd, rs1, rs2`: high half, signed times signed.
fn mulh(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::mul_high_s)
}

/// `MULHSU rd, rs1, rs2`: high half, signed rs1 times unsigned rs2.
fn mulhsu(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::mul_high_su)
}

/// `MULHU rd, rs1, rs2`: high half, unsigned times unsigned.
fn mulhu(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::mul_high_u)
}

/// `MULW rd, rs1, rs2`: product of the low words, sign-extended.
fn mulw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::mul)
}

/// `DIV rd, rs1, rs2`: by zero gives -1, overflow gives the dividend.
fn div(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::div_s)
}

/// `DIVU rd, rs1, rs2`: by zero gives all ones.
fn divu(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::div_u)
}

/// `REM rd, rs1, rs2`: by zero gives the dividend, overflow gives zero.
fn rem(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::rem_s)
}

/// `REMU rd, rs1, rs2`: by zero gives the dividend.
fn remu(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::rem_u)
}

/// `DIVW rd, rs1, rs2`: of the low words, sign-extended.
fn divw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::div_s)
}

/// `DIVUW rd, rs1, rs2`: of the low words as unsigned, the quotient sign-extended.
fn divuw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::div_u)
}

/// `REMW rd, rs1, rs2`: of the low words, sign-extended.
fn remw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::rem_s)
}

/// `REMUW rd, rs1, rs2`: of the low words as unsigned, the remainder sign-extended.
fn remuw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::rem_u)
}
