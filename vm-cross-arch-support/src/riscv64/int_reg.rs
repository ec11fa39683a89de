//! Integer register-register instructions.

use vm_ir::IrBuilder;

use super::{Registers, binary, binary_w};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const RV32I: &str = "RV32I, Integer Register-Register Operations";
const RV64I: &str = "RV64I, Integer Register-Register Operations";

pub(super) const ROWS: &[Row] = &[
    row("add", "0000000 bbbbb aaaaa 000 ddddd 0110011", "xd, xa, xb", RV32I, add),
    row("slt", "0000000 bbbbb aaaaa 010 ddddd 0110011", "xd, xa, xb", RV32I, slt),
    row("sltu", "0000000 bbbbb aaaaa 011 ddddd 0110011", "xd, xa, xb", RV32I, sltu),
    row("and", "0000000 bbbbb aaaaa 111 ddddd 0110011", "xd, xa, xb", RV32I, and),
    row("or", "0000000 bbbbb aaaaa 110 ddddd 0110011", "xd, xa, xb", RV32I, or),
    row("xor", "0000000 bbbbb aaaaa 100 ddddd 0110011", "xd, xa, xb", RV32I, xor),
    row("sll", "0000000 bbbbb aaaaa 001 ddddd 0110011", "xd, xa, xb", RV32I, sll),
    row("srl", "0000000 bbbbb aaaaa 101 ddddd 0110011", "xd, xa, xb", RV32I, srl),
    row("sub", "0100000 bbbbb aaaaa 000 ddddd 0110011", "xd, xa, xb", RV32I, sub),
    row("sra", "0100000 bbbbb aaaaa 101 ddddd 0110011", "xd, xa, xb", RV32I, sra),
    row("addw", "0000000 bbbbb aaaaa 000 ddddd 0111011", "xd, xa, xb", RV64I, addw),
    row("subw", "0100000 bbbbb aaaaa 000 ddddd 0111011", "xd, xa, xb", RV64I, subw),
    row("sllw", "0000000 bbbbb aaaaa 001 ddddd 0111011", "xd, xa, xb", RV64I, sllw),
    row("srlw", "0000000 bbbbb aaaaa 101 ddddd 0111011", "xd, xa, xb", RV64I, srlw),
    row("sraw", "0100000 bbbbb aaaaa 101 ddddd 0111011", "xd, xa, xb", RV64I, sraw),
];

/// `ADD rd, rs1, rs2`.
pub(super) fn add(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::add)
}

/// `SLT rd, rs1, rs2`: 1 if rs1 is less, signed.
fn slt(cx: &mut Lift, f: Fields) -> Flow {
    let (a, b) = (cx.x(f.a()), cx.x(f.b()));
    let less = cx.ir.lt_s(a, b);
    cx.set_x_unsigned(f.d(), less);
    Flow::Next
}

/// `SLTU rd, rs1, rs2`: 1 if rs1 is less, unsigned.
fn sltu(cx: &mut Lift, f: Fields) -> Flow {
    let (a, b) = (cx.x(f.a()), cx.x(f.b()));
    let less = cx.ir.lt_u(a, b);
    cx.set_x_unsigned(f.d(), less);
    Flow::Next
}

/// `AND rd, rs1, rs2`.
pub(super) fn and(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::and)
}

/// `OR rd, rs1, rs2`.
pub(super) fn or(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::or)
}

/// `XOR rd, rs1, rs2`.
pub(super) fn xor(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::xor)
}

/// `SLL rd, rs1, rs2`: by the low six bits of rs2.
fn sll(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::shl)
}

/// `SRL rd, rs1, rs2`: by the low six bits of rs2.
fn srl(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::shr_u)
}

/// `SUB rd, rs1, rs2`.
pub(super) fn sub(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::sub)
}

/// `SRA rd, rs1, rs2`: by the low six bits of rs2.
fn sra(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::shr_s)
}

/// `ADDW rd, rs1, rs2`: sum of the low words, sign-extended; upper source halves are ignored.
pub(super) fn addw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::add)
}

/// `SUBW rd, rs1, rs2`: difference of the low words, sign-extended.
pub(super) fn subw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::sub)
}

/// `SLLW rd, rs1, rs2`: by the low five bits of rs2.
fn sllw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::shl)
}

/// `SRLW rd, rs1, rs2`: by the low five bits of rs2; zeros enter the low word, whose sign is then extended.
fn srlw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::shr_u)
}

/// `SRAW rd, rs1, rs2`: by the low five bits of rs2.
fn sraw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::shr_s)
}
