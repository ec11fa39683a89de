//! Masks, shifts and rotations.

use vm_core::PAGE_SIZE;

use super::super::known::{is_bit, unsigned_bits};
use super::super::rewrite::{Out, Step};
use super::{binary, convert};
use crate::block::{Inst, Value};
use crate::eval::int::amount;
use crate::ops::Op;
use crate::types::Type;

/// An op on an op of the same kind, both with a constant on the right: the inner operand and both constants.
fn nested(inst: &Inst, out: &Out) -> Option<(Value, u64, u64)> {
    let inner = out.def(inst.args[0]);
    if inner.op != inst.op {
        return None;
    }
    Some((inner.args[0], out.bits(inner.args[1])?, out.bits(inst.args[1])?))
}

fn with_constant(inst: &Inst, a: Value, bits: u64, out: &mut Out) -> Step {
    let constant = out.constant(inst.ty, bits);
    Step::Op(binary(inst.op, inst.ty, a, constant))
}

/// The op on the parts that both operands were widened from, widened once: the widened operands are often of no other
/// use. Bits above the part come out as they would have.
fn narrowed(inst: &Inst, out: &mut Out) -> Option<Step> {
    let (a, b) = (out.def(inst.args[0]), out.def(inst.args[1]));
    // Narrower types than words are wider on most hosts than they look.
    let is_word = |wide: &Inst| matches!(wide.op, Op::SignExtend | Op::ZeroExtend) && wide.from == Type::I32;
    if !is_word(&a) || !is_word(&b) {
        return None;
    }
    // A word whose sign bit is known to be clear is written as widened by zeros, but is both.
    let is_either = |wide: &Inst| wide.op == Op::ZeroExtend && unsigned_bits(out, wide.args[0]) < Type::I32.bits();
    let op = match (a.op == b.op, is_either(&a), is_either(&b)) {
        (true, _, _) | (_, _, true) => a.op,
        (_, true, _) => b.op,
        (false, false, false) => return None,
    };
    let part = out.emit(binary(inst.op, Type::I32, a.args[0], b.args[0]));
    Some(Step::Op(convert(op, Type::I32, part, inst.ty)))
}

/// The rotation that two opposite shifts of one value, which share no bit, amount to.
fn rotation(inst: &Inst, out: &Out) -> Option<Step> {
    let (a, b) = (out.def(inst.args[0]), out.def(inst.args[1]));
    let (left, right) = match (a.op, b.op) {
        (Op::Shl, Op::ShrU) => (a, b),
        (Op::ShrU, Op::Shl) => (b, a),
        _ => return None,
    };
    let sum = out.bits(left.args[1])?.checked_add(out.bits(right.args[1])?)?;
    let fits = left.args[0] == right.args[0] && sum == u64::from(inst.ty.bits());
    fits.then(|| Step::Op(binary(Op::RotL, inst.ty, left.args[0], left.args[1])))
}

pub(super) fn and(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    if a == b {
        return Step::Value(a);
    }
    let Some(mask) = out.bits(b) else { return narrowed(inst, out).unwrap_or(Step::Keep) };
    if mask == 0 {
        return Step::Constant(0);
    }
    if unsigned_bits(out, a) <= mask.trailing_ones() {
        return Step::Value(a);
    }
    if let Some((inner, left, right)) = nested(inst, out) {
        return with_constant(inst, inner, left & right, out);
    }
    let inner = out.def(a);
    // Zeros above a word cost less than copies of its sign on many hosts.
    if inner.op == Op::SignExtend && inner.from == Type::I32 && mask <= inner.from.mask() {
        let wide = out.emit(convert(Op::ZeroExtend, Type::I32, inner.args[0], inst.ty));
        return Step::Op(binary(Op::And, inst.ty, wide, b));
    }
    // Code moves by whole pages only, so the low bits of an address in it are known.
    let low = !mask;
    if inner.op == Op::Pc && low < PAGE_SIZE {
        let cut = out.pc.wrapping_add(inner.imm as u64) & low;
        return Step::Op(Inst { imm: inner.imm.wrapping_sub(cut as i64), ..inner });
    }
    Step::Keep
}

pub(super) fn or(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    if a == b {
        return Step::Value(a);
    }
    match out.bits(b) {
        Some(0) => return Step::Value(a),
        Some(bits) if bits == inst.ty.mask() => return Step::Constant(bits),
        Some(_) => {}
        None => {
            return match rotation(inst, out) {
                Some(step) => step,
                None => narrowed(inst, out).unwrap_or(Step::Keep),
            };
        }
    }
    match nested(inst, out) {
        Some((inner, left, right)) => with_constant(inst, inner, left | right, out),
        None => Step::Keep,
    }
}

pub(super) fn xor(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    if a == b && inst.ty != Type::V128 {
        return Step::Constant(0);
    }
    let Some(bits) = out.bits(b) else {
        return match rotation(inst, out) {
            Some(step) => step,
            None => narrowed(inst, out).unwrap_or(Step::Keep),
        };
    };
    if bits == 0 {
        return Step::Value(a);
    }
    if let Some((inner, left, right)) = nested(inst, out) {
        return with_constant(inst, inner, left ^ right, out);
    }
    if bits == 1 && is_bit(out, a) {
        // The opposite of a condition, which comparisons absorb.
        let inner = out.def(a);
        let bit = match inst.ty {
            Type::I8 => a,
            _ if inner.op == Op::ZeroExtend && inner.from == Type::I8 => inner.args[0],
            _ => return Step::Keep,
        };
        let zero = out.constant(Type::I8, 0);
        let opposite = out.emit(Inst::new(Op::Eq, Type::I8, Type::I8, [bit, zero, Value::NONE]));
        return match inst.ty {
            Type::I8 => Step::Value(opposite),
            _ => Step::Op(convert(Op::ZeroExtend, Type::I8, opposite, inst.ty)),
        };
    }
    Step::Keep
}

pub(super) fn shift(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    let (ty, width) = (inst.ty, inst.ty.bits());
    let Some(bits) = out.bits(b) else { return unmasked(inst, out) };
    let by = amount(ty, bits);
    if by == 0 {
        return Step::Value(a);
    }
    if bits != u64::from(by) {
        return with_constant(inst, a, u64::from(by), out);
    }
    if let Some((inner, left, _)) = nested(inst, out) {
        let sum = amount(ty, left) + by;
        let sum = match (inst.op == Op::ShrS, matches!(inst.op, Op::RotL | Op::RotR)) {
            (true, _) => sum.min(width - 1),
            (_, true) => sum % width,
            (false, false) if sum >= width => return Step::Constant(0),
            (false, false) => sum,
        };
        return with_constant(inst, inner, u64::from(sum), out);
    }
    let inner = out.def(a);
    let undoes = |op| inner.op == op && out.is(inner.args[1], bits);
    if inst.op == Op::ShrU && undoes(Op::Shl) {
        return low_part(Op::ZeroExtend, inst, inner.args[0], by, out)
            .unwrap_or_else(|| masked(ty, inner.args[0], ty.mask() >> by, out));
    }
    if inst.op == Op::ShrS && undoes(Op::Shl) {
        return low_part(Op::SignExtend, inst, inner.args[0], by, out).unwrap_or(Step::Keep);
    }
    // A wider mask would be a constant of its own on the host, which two shifts are not worse than.
    if inst.op == Op::Shl && undoes(Op::ShrU) && by < 32 {
        return masked(ty, inner.args[0], ty.mask() << by, out);
    }
    if inst.op == Op::ShrU
        && inner.op == Op::Shl
        && let Some(step) = scaled_part(inst, &inner, by, out)
    {
        return step;
    }
    let known = unsigned_bits(out, a);
    if inst.op == Op::ShrU && known <= by {
        return Step::Constant(0);
    }
    if inst.op == Op::ShrS && known < width {
        return Step::Op(binary(Op::ShrU, ty, a, b));
    }
    Step::Keep
}

/// The low part of `a` that remains when `by` bits are shifted out and back, extended, if it is a type of its own.
fn low_part(op: Op, inst: &Inst, a: Value, by: u32, out: &mut Out) -> Option<Step> {
    let part = [Type::I8, Type::I16, Type::I32].into_iter().find(|part| part.bits() == inst.ty.bits() - by)?;
    let low = out.emit(convert(Op::Truncate, inst.ty, a, part));
    Some(Step::Op(convert(op, part, low, inst.ty)))
}

/// An index of less than the word's width, scaled: what `left` shifts up to the top and `inst` shifts down by fewer bits, `by`,
/// is the low part shifted by what is left, as hosts address by themselves.
fn scaled_part(inst: &Inst, left: &Inst, by: u32, out: &mut Out) -> Option<Step> {
    let up = amount(inst.ty, out.bits(left.args[1])?);
    let scale = up.checked_sub(by)?;
    let low = low_part(Op::ZeroExtend, inst, left.args[0], up, out)?;
    let Step::Op(wide) = low else { return None };
    let wide = out.emit(wide);
    let scale = out.constant(inst.ty, scale.into());
    Some(Step::Op(binary(Op::Shl, inst.ty, wide, scale)))
}

fn masked(ty: Type, a: Value, mask: u64, out: &mut Out) -> Step {
    let mask = out.constant(ty, mask);
    Step::Op(binary(Op::And, ty, a, mask))
}

/// Amounts count modulo the width anyway, so a mask that keeps that much is needless.
fn unmasked(inst: &Inst, out: &Out) -> Step {
    let by = out.def(inst.args[1]);
    let needed = u64::from(inst.ty.bits() - 1);
    if by.op == Op::And && out.bits(by.args[1]).is_some_and(|mask| mask & needed == needed) {
        return Step::Op(binary(inst.op, inst.ty, inst.args[0], by.args[0]));
    }
    Step::Keep
}
