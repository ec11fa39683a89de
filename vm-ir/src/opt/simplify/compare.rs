//! Comparisons.

use super::super::known::is_bit;
use super::super::rewrite::{Out, Step};
use crate::block::{Inst, Value};
use crate::ops::Op;
use crate::types::Type;

fn compare(op: Op, from: Type, a: Value, b: Value) -> Inst {
    Inst::new(op, Type::I8, from, [a, b, Value::NONE])
}

/// Comparisons and their opposites, which exchange operands where the last column says so.
const OPPOSITES: [(Op, Op, bool); 6] = [
    (Op::Eq, Op::Ne, false),
    (Op::Ne, Op::Eq, false),
    (Op::LtS, Op::LeS, true),
    (Op::LtU, Op::LeU, true),
    (Op::LeS, Op::LtS, true),
    (Op::LeU, Op::LtU, true),
];

/// The comparison that holds exactly when `inst` does not. Comparisons of floats have none, because of NaNs.
fn opposite(inst: &Inst) -> Option<Inst> {
    let [a, b, _] = inst.args;
    let (_, op, exchanged) = OPPOSITES.into_iter().find(|(op, ..)| *op == inst.op)?;
    let (a, b) = if exchanged { (b, a) } else { (a, b) };
    Some(compare(op, inst.from, a, b))
}

/// [`Op::Eq`] and [`Op::Ne`].
pub(super) fn equal(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    let (op, ty) = (inst.op, inst.from);
    if a == b {
        return Step::Constant(u64::from(op == Op::Eq));
    }
    if let Some(step) = narrowed(inst, out) {
        return step;
    }
    let Some(right) = out.bits(b) else { return Step::Keep };
    let inner = out.def(a);
    if right == 0 && matches!(inner.op, Op::Sub | Op::Xor) {
        return Step::Op(compare(op, ty, inner.args[0], inner.args[1]));
    }
    if matches!(inner.op, Op::Add | Op::Xor)
        && let Some(left) = out.bits(inner.args[1])
    {
        let right = if inner.op == Op::Add { right.wrapping_sub(left) } else { right ^ left };
        let right = out.constant(ty, right);
        return Step::Op(compare(op, ty, inner.args[0], right));
    }
    if right <= 1 && is_bit(out, a) {
        let holds = (right == 1) == (op == Op::Eq);
        if holds && ty == Type::I8 {
            return Step::Value(a);
        }
        if !holds && let Some(opposite) = opposite(&inner) {
            return Step::Op(opposite);
        }
        if right == 1 {
            // One form for both ways to ask.
            let zero = out.constant(ty, 0);
            return Step::Op(compare(if op == Op::Eq { Op::Ne } else { Op::Eq }, ty, a, zero));
        }
    }
    Step::Keep
}

/// [`Op::LtS`], [`Op::LtU`], [`Op::LeS`] and [`Op::LeU`].
pub(super) fn order(inst: &Inst, out: &mut Out) -> Step {
    let [a, b, _] = inst.args;
    let ty = inst.from;
    let or_equal = matches!(inst.op, Op::LeS | Op::LeU);
    if a == b {
        return Step::Constant(u64::from(or_equal));
    }
    let signed = matches!(inst.op, Op::LtS | Op::LeS);
    let (least, greatest) = if signed { (ty.sign_bit(), ty.sign_bit() - 1) } else { (0, ty.mask()) };
    // Nothing is less than the least number, everything is less or equal to the greatest.
    if or_equal && (out.is(a, least) || out.is(b, greatest)) {
        return Step::Constant(1);
    }
    if !or_equal && (out.is(b, least) || out.is(a, greatest)) {
        return Step::Constant(0);
    }
    if inst.op == Op::LtU && out.is(b, 1) {
        let zero = out.constant(ty, 0);
        return Step::Op(compare(Op::Eq, ty, a, zero));
    }
    if inst.op == Op::LtU && out.is(a, 0) {
        return Step::Op(compare(Op::Ne, ty, b, a));
    }
    if inst.op == Op::LeU && out.is(b, 0) {
        return Step::Op(compare(Op::Eq, ty, a, b));
    }
    narrowed(inst, out).unwrap_or(Step::Keep)
}

/// A comparison of two values extended in the same way, or of one with a constant, in the type before the extension.
fn narrowed(inst: &Inst, out: &mut Out) -> Option<Step> {
    let [a, b, _] = inst.args;
    let (left, right) = (out.def(a), out.def(b));
    let is_extension = |op| matches!(op, Op::SignExtend | Op::ZeroExtend);
    if is_extension(left.op) && left.op == right.op && left.from == right.from {
        return Some(Step::Op(compare(narrow_op(inst.op, left.op), left.from, left.args[0], right.args[0])));
    }
    let (extension, constant) = match (is_extension(left.op), is_extension(right.op)) {
        (true, _) => (left, out.bits(b)?),
        (_, true) => (right, out.bits(a)?),
        (false, false) => return None,
    };
    let part = extension.from;
    let low = constant & part.mask();
    let signed = extension.op == Op::SignExtend;
    let same = if signed { part.sign_extend(low) as u64 & inst.from.mask() } else { low };
    if same != constant {
        // No extended value equals it; order is left to the host.
        let equality = matches!(inst.op, Op::Eq | Op::Ne);
        return equality.then_some(Step::Constant(u64::from(inst.op == Op::Ne)));
    }
    let constant = out.constant(part, low);
    let op = narrow_op(inst.op, extension.op);
    let value = extension.args[0];
    Some(Step::Op(if is_extension(left.op) {
        compare(op, part, value, constant)
    } else {
        compare(op, part, constant, value)
    }))
}

/// The comparison of what was extended. Sign extension keeps both orders; after extension by zeros all numbers are
/// positive, so that both orders are the unsigned one.
fn narrow_op(op: Op, extension: Op) -> Op {
    if extension == Op::ZeroExtend && op == Op::LtS {
        Op::LtU
    } else if extension == Op::ZeroExtend && op == Op::LeS {
        Op::LeU
    } else {
        op
    }
}
