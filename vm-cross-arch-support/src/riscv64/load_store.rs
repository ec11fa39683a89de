//! Integer loads and stores. Any alignment is allowed, as Linux promises user programs.

use vm_ir::{Order, Type};

use super::Registers;
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const RV32I: &str = "RV32I, Load and Store Instructions";
const RV64I: &str = "RV64I, Load and Store Instructions";

pub(super) const ROWS: &[Row] = &[
    row("ld", "iiiiiiiiiiii aaaaa 011 ddddd 0000011", "xd, i(xa)", RV64I, ld),
    row("lw", "iiiiiiiiiiii aaaaa 010 ddddd 0000011", "xd, i(xa)", RV32I, lw),
    row("lwu", "iiiiiiiiiiii aaaaa 110 ddddd 0000011", "xd, i(xa)", RV64I, lwu),
    row("lh", "iiiiiiiiiiii aaaaa 001 ddddd 0000011", "xd, i(xa)", RV32I, lh),
    row("lhu", "iiiiiiiiiiii aaaaa 101 ddddd 0000011", "xd, i(xa)", RV32I, lhu),
    row("lb", "iiiiiiiiiiii aaaaa 000 ddddd 0000011", "xd, i(xa)", RV32I, lb),
    row("lbu", "iiiiiiiiiiii aaaaa 100 ddddd 0000011", "xd, i(xa)", RV32I, lbu),
    row("sd", "iiiiiii bbbbb aaaaa 011 iiiii 0100011", "xb, i(xa)", RV64I, sd),
    row("sw", "iiiiiii bbbbb aaaaa 010 iiiii 0100011", "xb, i(xa)", RV32I, sw),
    row("sh", "iiiiiii bbbbb aaaaa 001 iiiii 0100011", "xb, i(xa)", RV32I, sh),
    row("sb", "iiiiiii bbbbb aaaaa 000 iiiii 0100011", "xb, i(xa)", RV32I, sb),
];

/// Loads and sign-extends. A load to x0 still accesses memory.
fn load(cx: &mut Lift, f: Fields, ty: Type) -> Flow {
    let base = cx.x(f.a());
    let value = cx.ir.load(ty, base, f.i(), Order::Plain);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// Loads and zero-extends.
fn load_unsigned(cx: &mut Lift, f: Fields, ty: Type) -> Flow {
    let base = cx.x(f.a());
    let value = cx.ir.load(ty, base, f.i(), Order::Plain);
    cx.set_x_unsigned(f.d(), value);
    Flow::Next
}

fn store(cx: &mut Lift, f: Fields, ty: Type) -> Flow {
    let (base, wide) = (cx.x(f.a()), cx.x(f.b()));
    let value = cx.ir.truncate(wide, ty);
    cx.ir.store(base, f.i(), value, Order::Plain);
    Flow::Next
}

/// `LD rd, offset(rs1)`.
pub(super) fn ld(cx: &mut Lift, f: Fields) -> Flow {
    load(cx, f, Type::I64)
}

/// `LW rd, offset(rs1)`: sign-extended.
pub(super) fn lw(cx: &mut Lift, f: Fields) -> Flow {
    load(cx, f, Type::I32)
}

/// `LWU rd, offset(rs1)`: zero-extended.
fn lwu(cx: &mut Lift, f: Fields) -> Flow {
    load_unsigned(cx, f, Type::I32)
}

/// `LH rd, offset(rs1)`: sign-extended.
fn lh(cx: &mut Lift, f: Fields) -> Flow {
    load(cx, f, Type::I16)
}

/// `LHU rd, offset(rs1)`: zero-extended.
fn lhu(cx: &mut Lift, f: Fields) -> Flow {
    load_unsigned(cx, f, Type::I16)
}

/// `LB rd, offset(rs1)`: sign-extended.
fn lb(cx: &mut Lift, f: Fields) -> Flow {
    load(cx, f, Type::I8)
}

/// `LBU rd, offset(rs1)`: zero-extended.
fn lbu(cx: &mut Lift, f: Fields) -> Flow {
    load_unsigned(cx, f, Type::I8)
}

/// `SD rs2, offset(rs1)`.
pub(super) fn sd(cx: &mut Lift, f: Fields) -> Flow {
    store(cx, f, Type::I64)
}

/// `SW rs2, offset(rs1)`.
pub(super) fn sw(cx: &mut Lift, f: Fields) -> Flow {
    store(cx, f, Type::I32)
}

/// `SH rs2, offset(rs1)`.
fn sh(cx: &mut Lift, f: Fields) -> Flow {
    store(cx, f, Type::I16)
}

/// `SB rs2, offset(rs1)`.
fn sb(cx: &mut Lift, f: Fields) -> Flow {
    store(cx, f, Type::I8)
}
