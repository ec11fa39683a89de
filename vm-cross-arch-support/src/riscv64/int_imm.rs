//! Integer register-immediate instructions.

use vm_ir::{IrBuilder, Type};

use super::{Binary, Registers};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const RV32I: &str = "RV32I, Integer Register-Immediate Instructions";
const RV64I: &str = "RV64I, Integer Register-Immediate Instructions";

pub(super) const ROWS: &[Row] = &[
    row("addi", "iiiiiiiiiiii aaaaa 000 ddddd 0010011", "xd, xa, i", RV32I, addi),
    row("slti", "iiiiiiiiiiii aaaaa 010 ddddd 0010011", "xd, xa, i", RV32I, slti),
    row("sltiu", "iiiiiiiiiiii aaaaa 011 ddddd 0010011", "xd, xa, i", RV32I, sltiu),
    row("andi", "iiiiiiiiiiii aaaaa 111 ddddd 0010011", "xd, xa, i", RV32I, andi),
    row("ori", "iiiiiiiiiiii aaaaa 110 ddddd 0010011", "xd, xa, i", RV32I, ori),
    row("xori", "iiiiiiiiiiii aaaaa 100 ddddd 0010011", "xd, xa, i", RV32I, xori),
    row("slli", "000000 uuuuuu aaaaa 001 ddddd 0010011", "xd, xa, 0xu", RV64I, slli),
    row("srli", "000000 uuuuuu aaaaa 101 ddddd 0010011", "xd, xa, 0xu", RV64I, srli),
    row("srai", "010000 uuuuuu aaaaa 101 ddddd 0010011", "xd, xa, 0xu", RV64I, srai),
    row("lui", "iiiiiiiiiiiiiiiiiiii ddddd 0110111", "xd, hi20", RV32I, lui).place('i', "31:12"),
    row("auipc", "iiiiiiiiiiiiiiiiiiii ddddd 0010111", "xd, hi20", RV32I, auipc).place('i', "31:12"),
    row("addiw", "iiiiiiiiiiii aaaaa 000 ddddd 0011011", "xd, xa, i", RV64I, addiw),
    row("slliw", "0000000 uuuuu aaaaa 001 ddddd 0011011", "xd, xa, 0xu", RV64I, slliw),
    row("srliw", "0000000 uuuuu aaaaa 101 ddddd 0011011", "xd, xa, 0xu", RV64I, srliw),
    row("sraiw", "0100000 uuuuu aaaaa 101 ddddd 0011011", "xd, xa, 0xu", RV64I, sraiw),
];

/// `rd = rs1 op immediate`.
pub(super) fn immediate(cx: &mut Lift, f: Fields, op: Binary, immediate: i64) -> Flow {
    let a = cx.x(f.a());
    let b = cx.ir.i64(immediate);
    let value = op(&mut cx.ir, a, b);
    cx.set_x_unsigned(f.d(), value);
    Flow::Next
}

/// `rd = sext(rs1[31:0] op immediate)`.
pub(super) fn immediate_w(cx: &mut Lift, f: Fields, op: Binary, immediate: i64) -> Flow {
    let a = cx.x32(f.a());
    let b = cx.ir.i32(immediate as i32);
    let value = op(&mut cx.ir, a, b);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `ADDI rd, rs1, imm`.
pub(super) fn addi(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::add, f.i())
}

/// `SLTI rd, rs1, imm`: 1 if rs1 is less than the immediate, both signed.
fn slti(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::lt_s, f.i())
}

/// `SLTIU rd, rs1, imm`: the immediate is sign-extended, then compared as unsigned.
fn sltiu(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::lt_u, f.i())
}

/// `ANDI rd, rs1, imm`.
pub(super) fn andi(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::and, f.i())
}

/// `ORI rd, rs1, imm`. With rd = x0 it is a prefetch hint, which does nothing.
fn ori(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::or, f.i())
}

/// `XORI rd, rs1, imm`.
fn xori(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::xor, f.i())
}

/// `SLLI rd, rs1, shamt`.
pub(super) fn slli(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::shl, f.u() as i64)
}

/// `SRLI rd, rs1, shamt`.
pub(super) fn srli(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::shr_u, f.u() as i64)
}

/// `SRAI rd, rs1, shamt`.
pub(super) fn srai(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::shr_s, f.u() as i64)
}

/// `LUI rd, imm`: the immediate in bits 31 to 12, sign-extended.
pub(super) fn lui(cx: &mut Lift, f: Fields) -> Flow {
    let value = cx.ir.constant(Type::I64, f.i() as u64);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `AUIPC rd, imm`: the instruction's address plus the immediate in bits 31 to 12.
fn auipc(cx: &mut Lift, f: Fields) -> Flow {
    let value = cx.ir.pc(cx.relative(f.i()));
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `ADDIW rd, rs1, imm`.
pub(super) fn addiw(cx: &mut Lift, f: Fields) -> Flow {
    immediate_w(cx, f, IrBuilder::add, f.i())
}

/// `SLLIW rd, rs1, shamt`.
fn slliw(cx: &mut Lift, f: Fields) -> Flow {
    immediate_w(cx, f, IrBuilder::shl, f.u() as i64)
}

/// `SRLIW rd, rs1, shamt`: zeros enter the low word, whose sign is then extended.
fn srliw(cx: &mut Lift, f: Fields) -> Flow {
    immediate_w(cx, f, IrBuilder::shr_u, f.u() as i64)
}

/// `SRAIW rd, rs1, shamt`.
fn sraiw(cx: &mut Lift, f: Fields) -> Flow {
    immediate_w(cx, f, IrBuilder::shr_s, f.u() as i64)
}
