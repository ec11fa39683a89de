//! "F" extension: single-precision floating point.

use vm_ir::{Order, Type};

use super::Registers;
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const MEMORY: &str = "\"F\" Extension, Single-Precision Load and Store Instructions";

pub(super) const ROWS: &[Row] = &[
    row("flw", "iiiiiiiiiiii aaaaa 010 ddddd 0000111", "fd, i(xa)", MEMORY, flw),
    row("fsw", "iiiiiii bbbbb aaaaa 010 iiiii 0100111", "fb, i(xa)", MEMORY, fsw),
];

/// Loads a float of type `ty`, NaN-boxed if it is narrow; its bits are not interpreted.
pub(super) fn load(cx: &mut Lift, f: Fields, ty: Type) -> Flow {
    let base = cx.x(f.a());
    let value = cx.ir.load(ty, base, f.i(), Order::Plain);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// Stores the low bits of a floating-point register, whether or not it holds a boxed float of type `ty`.
pub(super) fn store(cx: &mut Lift, f: Fields, ty: Type) -> Flow {
    let base = cx.x(f.a());
    let bits = cx.f_bits(f.b(), ty);
    cx.ir.store(base, f.i(), bits, Order::Plain);
    Flow::Next
}

/// `FLW rd, offset(rs1)`.
fn flw(cx: &mut Lift, f: Fields) -> Flow {
    load(cx, f, Type::F32)
}

/// `FSW rs2, offset(rs1)`.
fn fsw(cx: &mut Lift, f: Fields) -> Flow {
    store(cx, f, Type::F32)
}
