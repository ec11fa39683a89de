//! "A" extension: load-reserved/store-conditional and atomic memory operations. All of them trap when misaligned.
//!
//! LR remembers the address and the value it read; SC is a compare-and-swap of that value. An SC therefore succeeds
//! when memory holds the reserved value again after other stores, which the manual's reservation would refuse.

use vm_core::TrapKind;
use vm_ir::{Order, RmwOp, Type, Value};

use super::{RESERVATION_ADDRESS, RESERVATION_VALUE, Registers};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const LRSC: &str = "\"A\" Extension, Load-Reserved/Store-Conditional Instructions";
const AMO: &str = "\"A\" Extension, Atomic Memory Operations";

pub(super) const ROWS: &[Row] = &[
    row("lr.w", "00010 oo 00000 aaaaa 010 ddddd 0101111", "xd, (xa)", LRSC, |cx, f| load_reserved(cx, f, Type::I32)),
    row("lr.d", "00010 oo 00000 aaaaa 011 ddddd 0101111", "xd, (xa)", LRSC, |cx, f| load_reserved(cx, f, Type::I64)),
    row("sc.w", "00011 oo bbbbb aaaaa 010 ddddd 0101111", "xd, xb, (xa)", LRSC, |cx, f| {
        store_conditional(cx, f, Type::I32)
    }),
    row("sc.d", "00011 oo bbbbb aaaaa 011 ddddd 0101111", "xd, xb, (xa)", LRSC, |cx, f| {
        store_conditional(cx, f, Type::I64)
    }),
    amo("amoswap.w", "00001 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::Swap)),
    amo("amoswap.d", "00001 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::Swap)),
    amo("amoadd.w", "00000 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::Add)),
    amo("amoadd.d", "00000 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::Add)),
    amo("amoand.w", "01100 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::And)),
    amo("amoand.d", "01100 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::And)),
    amo("amoor.w", "01000 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::Or)),
    amo("amoor.d", "01000 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::Or)),
    amo("amoxor.w", "00100 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::Xor)),
    amo("amoxor.d", "00100 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::Xor)),
    amo("amomax.w", "10100 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::MaxS)),
    amo("amomax.d", "10100 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::MaxS)),
    amo("amomaxu.w", "11100 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::MaxU)),
    amo("amomaxu.d", "11100 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::MaxU)),
    amo("amomin.w", "10000 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::MinS)),
    amo("amomin.d", "10000 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::MinS)),
    amo("amominu.w", "11000 oo bbbbb aaaaa 010 ddddd 0101111", |cx, f| amo_w(cx, f, RmwOp::MinU)),
    amo("amominu.d", "11000 oo bbbbb aaaaa 011 ddddd 0101111", |cx, f| amo_d(cx, f, RmwOp::MinU)),
];

const fn amo(name: &'static str, picture: &'static str, lift: crate::lift::Lifter) -> Row {
    row(name, picture, "xd, xb, (xa)", AMO, lift)
}

/// The order that `aq` (bit 1 of field `o`) and `rl` (bit 0) ask for; with both, sequentially consistent.
fn order(f: Fields) -> Order {
    match f.o() {
        0 => Order::Plain,
        1 => Order::Release,
        2 => Order::Acquire,
        _ => Order::SeqCst,
    }
}

/// Traps if `addr` is no multiple of the size of `ty`.
fn check_alignment(cx: &mut Lift, addr: Value, ty: Type, kind: TrapKind) {
    let low_bits = cx.ir.i64(ty.bytes() as i64 - 1);
    let offset = cx.ir.and(addr, low_bits);
    let zero = cx.ir.i64(0);
    let misaligned = cx.ir.ne(offset, zero);
    cx.ir.trap_if(misaligned, kind, addr);
}

/// What [`RESERVATION_ADDRESS`] holds while `addr`, a multiple of the access size, is reserved.
fn reservation(cx: &mut Lift, addr: Value) -> Value {
    let valid = cx.ir.i64(1);
    cx.ir.or(addr, valid)
}

/// `LR.{W,D} rd, (rs1)`: loads, sign-extends and reserves. A release alone, which the manual discourages on LR, is
/// taken as both orders.
fn load_reserved(cx: &mut Lift, f: Fields, ty: Type) -> Flow {
    let addr = cx.x(f.a());
    check_alignment(cx, addr, ty, TrapKind::MisalignedLoad);
    let order = match order(f) {
        Order::Release => Order::SeqCst,
        order => order,
    };
    let value = cx.ir.load(ty, addr, 0, order);
    let wide = cx.ir.sign_extend(value, Type::I64);
    let reservation = reservation(cx, addr);
    cx.ir.set(RESERVATION_ADDRESS, reservation);
    cx.ir.set(RESERVATION_VALUE, wide);
    cx.set_x(f.d(), wide);
    Flow::Next
}

/// `SC.{W,D} rd, rs2, (rs1)`: rd is 0 if it stored, 1 if not; the reservation is gone either way.
/// Without a reservation of this address, memory is compared with and replaced by what it holds.
fn store_conditional(cx: &mut Lift, f: Fields, ty: Type) -> Flow {
    let (addr, wide) = (cx.x(f.a()), cx.x(f.b()));
    check_alignment(cx, addr, ty, TrapKind::MisalignedStore);
    let stored = cx.ir.truncate(wide, ty);
    let asked = reservation(cx, addr);
    let present = cx.ir.get(RESERVATION_ADDRESS, Type::I64);
    let reserved = cx.ir.eq(present, asked);
    let reserved_wide = cx.ir.get(RESERVATION_VALUE, Type::I64);
    let reserved_value = cx.ir.truncate(reserved_wide, ty);
    let held = cx.ir.load(ty, addr, 0, Order::Plain);
    let expected = cx.ir.select(reserved, reserved_value, held);
    let new = cx.ir.select(reserved, stored, held);
    let old = cx.ir.atomic_cas(addr, expected, new, order(f));
    let unchanged = cx.ir.eq(old, expected);
    let success = cx.ir.and(reserved, unchanged);
    let one = cx.ir.i8(1);
    let failure = cx.ir.xor(success, one);
    let none = cx.ir.i64(0);
    cx.ir.set(RESERVATION_ADDRESS, none);
    cx.set_x_unsigned(f.d(), failure);
    Flow::Next
}

/// `AMO*.W rd, rs2, (rs1)`: rd is the old word, sign-extended.
fn amo_w(cx: &mut Lift, f: Fields, op: RmwOp) -> Flow {
    let (addr, operand) = (cx.x(f.a()), cx.x32(f.b()));
    read_modify_write(cx, f, op, addr, operand)
}

/// `AMO*.D rd, rs2, (rs1)`: rd is the old doubleword.
fn amo_d(cx: &mut Lift, f: Fields, op: RmwOp) -> Flow {
    let (addr, operand) = (cx.x(f.a()), cx.x(f.b()));
    read_modify_write(cx, f, op, addr, operand)
}

fn read_modify_write(cx: &mut Lift, f: Fields, op: RmwOp, addr: Value, operand: Value) -> Flow {
    let ty = cx.ir.ty(operand);
    check_alignment(cx, addr, ty, TrapKind::MisalignedStore);
    let old = cx.ir.atomic_rmw(op, addr, operand, order(f));
    cx.set_x(f.d(), old);
    Flow::Next
}
