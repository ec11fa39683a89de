//! Control transfer.

use vm_ir::{End, IrBuilder, Target, Value};

use super::{Binary, Registers, x};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const JUMPS: &str = "RV32I, Unconditional Jumps";
const BRANCHES: &str = "RV32I, Conditional Branches";

/// The manual's scattered branch offset.
const OFFSET: &str = "12|10:5|4:1|11";

pub(super) const ROWS: &[Row] = &[
    row("jal", "iiiiiiiiiiiiiiiiiiii ddddd 1101111", "xd, pc", JUMPS, jal).place('i', "20|10:1|11|19:12"),
    row("jalr", "iiiiiiiiiiii aaaaa 000 ddddd 1100111", "xd, i(xa)", JUMPS, jalr),
    row("beq", "iiiiiii bbbbb aaaaa 000 iiiii 1100011", "xa, xb, pc", BRANCHES, beq).place('i', OFFSET),
    row("bne", "iiiiiii bbbbb aaaaa 001 iiiii 1100011", "xa, xb, pc", BRANCHES, bne).place('i', OFFSET),
    row("blt", "iiiiiii bbbbb aaaaa 100 iiiii 1100011", "xa, xb, pc", BRANCHES, blt).place('i', OFFSET),
    row("bltu", "iiiiiii bbbbb aaaaa 110 iiiii 1100011", "xa, xb, pc", BRANCHES, bltu).place('i', OFFSET),
    row("bge", "iiiiiii bbbbb aaaaa 101 iiiii 1100011", "xa, xb, pc", BRANCHES, bge).place('i', OFFSET),
    row("bgeu", "iiiiiii bbbbb aaaaa 111 iiiii 1100011", "xa, xb, pc", BRANCHES, bgeu).place('i', OFFSET),
];

/// Whether register `n` holds return addresses by convention: x1 or x5 (the manual's *link*).
const fn is_link(n: u8) -> bool {
    n == 1 || n == 5
}

/// Writes the address of the next instruction to `rd`.
fn link(cx: &mut Lift, rd: u8) {
    if rd != 0 {
        let next = cx.ir.pc(cx.next());
        cx.set_x(rd, next);
    }
}

/// `JAL rd, offset`: a call if rd is a link register.
pub(super) fn jal(cx: &mut Lift, f: Fields) -> Flow {
    let target = cx.relative(f.i());
    jump_and_link(cx, f.d(), target)
}

fn jump_and_link(cx: &mut Lift, rd: u8, target: Target) -> Flow {
    link(cx, rd);
    Flow::End(if is_link(rd) { End::Call { target, ret: cx.next() } } else { End::Jump { target } })
}

/// `JALR rd, offset(rs1)`: bit 0 of the target is cleared. The target is computed before rd is written.
/// Calls and returns follow the table of return-address prediction hints; a pop followed by a push counts as a call.
pub(super) fn jalr(cx: &mut Lift, f: Fields) -> Flow {
    if let Some(target) = far_target(cx, f) {
        return jump_and_link(cx, f.d(), target);
    }
    let addr = jump_target(cx, f);
    link(cx, f.d());
    Flow::End(if is_link(f.d()) {
        End::IndirectCall { addr, ret: cx.next() }
    } else if is_link(f.a()) {
        End::Return { addr }
    } else {
        End::Indirect { addr }
    })
}

fn jump_target(cx: &mut Lift, f: Fields) -> Value {
    let base = cx.x(f.a());
    let offset = cx.ir.i64(f.i());
    let sum = cx.ir.add(base, offset);
    let even = cx.ir.i64(-2);
    cx.ir.and(sum, even)
}

/// Where `JALR` leads if the instruction before it is the `AUIPC` that sets its base: beyond the reach of `JAL` code is
/// called by such pairs, and what is a fixed place to the compiler is one here.
fn far_target(cx: &Lift, f: Fields) -> Option<Target> {
    if f.a() == 0 {
        return None;
    }
    // Blocks begin at even addresses, so the target is even as its distance is.
    cx.ir.place_just_set(x(f.a())).map(|base| Target(base.0.wrapping_add(f.i()) & !1))
}

fn branch(cx: &mut Lift, f: Fields, compare: Binary) -> Flow {
    let (a, b) = (cx.x(f.a()), cx.x(f.b()));
    let cond = compare(&mut cx.ir, a, b);
    Flow::End(End::Branch { cond, taken: cx.relative(f.i()), fall: cx.next() })
}

/// `BEQ rs1, rs2, offset`.
pub(super) fn beq(cx: &mut Lift, f: Fields) -> Flow {
    branch(cx, f, IrBuilder::eq)
}

/// `BNE rs1, rs2, offset`.
pub(super) fn bne(cx: &mut Lift, f: Fields) -> Flow {
    branch(cx, f, IrBuilder::ne)
}

/// `BLT rs1, rs2, offset`: signed.
fn blt(cx: &mut Lift, f: Fields) -> Flow {
    branch(cx, f, IrBuilder::lt_s)
}

/// `BLTU rs1, rs2, offset`: unsigned.
fn bltu(cx: &mut Lift, f: Fields) -> Flow {
    branch(cx, f, IrBuilder::lt_u)
}

/// `BGE rs1, rs2, offset`: signed.
fn bge(cx: &mut Lift, f: Fields) -> Flow {
    branch(cx, f, |ir, a, b| ir.le_s(b, a))
}

/// `BGEU rs1, rs2, offset`: unsigned.
fn bgeu(cx: &mut Lift, f: Fields) -> Flow {
    branch(cx, f, |ir, a, b| ir.le_u(b, a))
}
