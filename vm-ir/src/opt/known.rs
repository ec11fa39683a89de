//! What is known of a value's bits without running it.

use super::rewrite::Out;
use crate::block::Value;
use crate::ops::Op;
use crate::types::Type;

/// How many ops back a question is followed; bounds the cost of an answer.
const DEPTH: u32 = 4;

/// A number of bits such that all bits of `value` at and above it are zero.
pub(super) fn unsigned_bits(out: &Out, value: Value) -> u32 {
    unsigned(out, value, DEPTH)
}

/// A number of bits whose sign extension `value` is.
pub(super) fn signed_bits(out: &Out, value: Value) -> u32 {
    signed(out, value, DEPTH)
}

/// Whether `value` is 0 or 1.
pub(super) fn is_bit(out: &Out, value: Value) -> bool {
    unsigned_bits(out, value) <= 1
}

/// Ops whose value is 0 or 1.
fn gives_bit(op: Op) -> bool {
    matches!(
        op,
        Op::Eq
            | Op::Ne
            | Op::LtS
            | Op::LtU
            | Op::LeS
            | Op::LeU
            | Op::CarryAdd
            | Op::OverflowAdd
            | Op::BorrowSub
            | Op::OverflowSub
            | Op::FEq
            | Op::FLt
            | Op::FLe
            | Op::FUnordered
            | Op::FEqSilent
            | Op::FLtSilent
            | Op::FLeSilent
    )
}

fn unsigned(out: &Out, value: Value, depth: u32) -> u32 {
    let inst = out.def(value);
    let width = out.ty(value).bits();
    let [a, b, c] = inst.args;
    let of = |value| unsigned(out, value, depth - 1);
    let shift = |by: Value| out.bits(by).map(|bits| bits as u32 & (width - 1));
    let bits = if inst.op == Op::Const {
        64 - (inst.imm as u64).leading_zeros()
    } else if gives_bit(inst.op) {
        1
    } else if matches!(inst.op, Op::Clz | Op::Ctz | Op::Popcount) {
        // At most the width itself.
        width.ilog2() + 1
    } else if inst.op == Op::FClass {
        10
    } else if inst.op == Op::FpFlagsGet {
        5
    } else if depth == 0 || inst.ty == Type::V128 {
        width
    } else if matches!(inst.op, Op::ZeroExtend | Op::Truncate) {
        of(a)
    } else if inst.op == Op::And {
        of(a).min(of(b))
    } else if matches!(inst.op, Op::Or | Op::Xor) {
        of(a).max(of(b))
    } else if inst.op == Op::Select {
        of(b).max(of(c))
    } else if inst.op == Op::ShrU {
        shift(b).map_or(width, |by| of(a).saturating_sub(by))
    } else if inst.op == Op::Shl {
        shift(b).map_or(width, |by| of(a) + by)
    } else {
        width
    };
    bits.min(width)
}

fn signed(out: &Out, value: Value, depth: u32) -> u32 {
    let inst = out.def(value);
    let width = out.ty(value).bits();
    let [a, b, c] = inst.args;
    let of = |value| signed(out, value, depth - 1);
    let bits = if inst.op == Op::Const {
        let number = out.ty(value).sign_extend(inst.imm as u64);
        65 - (if number < 0 { !number } else { number }).leading_zeros()
    } else if depth == 0 || inst.ty == Type::V128 {
        width
    } else if matches!(inst.op, Op::SignExtend | Op::Truncate) {
        of(a)
    } else if matches!(inst.op, Op::And | Op::Or | Op::Xor) {
        of(a).max(of(b))
    } else if inst.op == Op::Select {
        of(b).max(of(c))
    } else if inst.op == Op::ShrS {
        out.bits(b).map_or(width, |by| of(a).saturating_sub(by as u32 & (width - 1)).max(1))
    } else {
        width
    };
    bits.min(unsigned(out, value, depth) + 1).min(width)
}
