//! Sums, products and quotients.

use super::super::rewrite::{Out, Step};
use super::binary;
use crate::block::{Inst, Value};
use crate::ops::Op;
use crate::types::Type;

pub(super) fn add(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    let Some(right) = out.bits(b) else { return Step::Keep };
    if right == 0 {
        return Step::Value(a);
    }
    let inner = out.def(a);
    if inner.op == Op::Pc {
        return Step::Op(Inst { imm: inner.imm.wrapping_add(right as i64), ..inner });
    }
    if inner.op == Op::Add
        && let Some(left) = out.bits(inner.args[1])
    {
        let sum = out.constant(inst.ty, left.wrapping_add(right));
        return Step::Op(binary(Op::Add, inst.ty, inner.args[0], sum));
    }
    Step::Keep
}

pub(super) fn sub(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    if a == b {
        return Step::Constant(0);
    }
    match out.bits(b) {
        Some(bits) => {
            let negative = out.constant(inst.ty, bits.wrapping_neg());
            Step::Op(binary(Op::Add, inst.ty, a, negative))
        }
        None => Step::Keep,
    }
}

/// `0 - a`.
fn negated(ty: Type, a: Value, out: &mut Out) -> Step {
    let zero = out.constant(ty, 0);
    Step::Op(binary(Op::Sub, ty, zero, a))
}

/// `a` shifted by `by`.
fn shifted(op: Op, ty: Type, a: Value, by: u32, out: &mut Out) -> Step {
    let by = out.constant(ty, u64::from(by));
    Step::Op(binary(op, ty, a, by))
}

pub(super) fn mul(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    match out.bits(b) {
        Some(0) => Step::Constant(0),
        Some(1) => Step::Value(a),
        Some(bits) if bits == inst.ty.mask() => negated(inst.ty, a, out),
        Some(bits) if bits.is_power_of_two() => shifted(Op::Shl, inst.ty, a, bits.trailing_zeros(), out),
        Some(_) | None => Step::Keep,
    }
}

pub(super) fn mul_high(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    if out.is(a, 0) || out.is(b, 0) {
        return Step::Constant(0);
    }
    match out.bits(b) {
        Some(1) if inst.op == Op::MulHighU => Step::Constant(0),
        Some(bits) if inst.op == Op::MulHighU && bits.is_power_of_two() => {
            shifted(Op::ShrU, inst.ty, a, inst.ty.bits() - bits.trailing_zeros(), out)
        }
        Some(_) | None => Step::Keep,
    }
}

pub(super) fn div(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    match out.bits(b) {
        Some(0) => Step::Constant(inst.ty.mask()),
        Some(1) => Step::Value(a),
        // The most negative number by -1 is itself, as its negation is.
        Some(bits) if inst.op == Op::DivS && bits == inst.ty.mask() => negated(inst.ty, a, out),
        Some(bits) if inst.op == Op::DivU && bits.is_power_of_two() => {
            shifted(Op::ShrU, inst.ty, a, bits.trailing_zeros(), out)
        }
        Some(_) | None => Step::Keep,
    }
}

pub(super) fn rem(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    match out.bits(b) {
        Some(0) => Step::Value(a),
        Some(1) => Step::Constant(0),
        Some(bits) if inst.op == Op::RemS && bits == inst.ty.mask() => Step::Constant(0),
        Some(bits) if inst.op == Op::RemU && bits.is_power_of_two() => {
            let mask = out.constant(inst.ty, bits - 1);
            Step::Op(binary(Op::And, inst.ty, a, mask))
        }
        Some(_) | None => Step::Keep,
    }
}

pub(super) fn borrow(inst: &Inst, out: &Out) -> Step {
    let [a, b, carry] = inst.args;
    if out.is(carry, 0) {
        return Step::Op(Inst::new(Op::LtU, Type::I8, inst.from, [a, b, Value::NONE]));
    }
    Step::Keep
}
