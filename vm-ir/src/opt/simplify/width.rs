//! Extensions, truncations and casts.

use super::super::known::{signed_bits, unsigned_bits};
use super::super::rewrite::{Out, Step};
use super::convert;
use crate::block::Inst;
use crate::ops::Op;

/// [`Op::SignExtend`] and [`Op::ZeroExtend`].
pub(super) fn extend(inst: &Inst, out: &Out) -> Step {
    let inner = out.def(inst.args[0]);
    let signed = inst.op == Op::SignExtend;
    if inner.op == inst.op || signed && inner.op == Op::ZeroExtend {
        return Step::Op(convert(inner.op, inner.from, inner.args[0], inst.ty));
    }
    if inner.op == Op::Truncate && inner.from == inst.ty {
        // The bits that were cut off may be those that come back.
        let whole = inner.args[0];
        let known = if signed { signed_bits(out, whole) } else { unsigned_bits(out, whole) };
        if known <= inst.from.bits() {
            return Step::Value(whole);
        }
    }
    if signed && unsigned_bits(out, inst.args[0]) < inst.from.bits() {
        return Step::Op(convert(Op::ZeroExtend, inst.from, inst.args[0], inst.ty));
    }
    Step::Keep
}

pub(super) fn truncate(inst: &Inst, out: &Out) -> Step {
    let inner = out.def(inst.args[0]);
    let (from, value) = (inner.from, inner.args[0]);
    if inner.op == Op::Truncate {
        return Step::Op(convert(Op::Truncate, from, value, inst.ty));
    }
    if matches!(inner.op, Op::SignExtend | Op::ZeroExtend) {
        return if from == inst.ty {
            Step::Value(value)
        } else if from.bits() > inst.ty.bits() {
            Step::Op(convert(Op::Truncate, from, value, inst.ty))
        } else {
            Step::Op(convert(inner.op, from, value, inst.ty))
        };
    }
    Step::Keep
}

pub(super) fn bitcast(inst: &Inst, out: &Out) -> Step {
    let inner = out.def(inst.args[0]);
    if inner.op != Op::Bitcast {
        return Step::Keep;
    }
    if inner.from == inst.ty {
        return Step::Value(inner.args[0]);
    }
    Step::Op(convert(Op::Bitcast, inner.from, inner.args[0], inst.ty))
}

pub(super) fn unbox(inst: &Inst, out: &Out) -> Step {
    let inner = out.def(inst.args[0]);
    if inner.op == Op::FBox && inner.from == inst.ty { Step::Value(inner.args[0]) } else { Step::Keep }
}
