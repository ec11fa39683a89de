//! Algebraic identities, strength reduction, and chains of comparisons, extensions and truncations.
//!
//! Works on one op at a time, after its operands, together with constant folding and the merging of equal pure ops.

mod arith;
mod bits;
mod compare;
mod width;

use super::Scratch;
use super::known::is_bit;
use super::rewrite::{Out, Step};
use crate::block::{Block, End, Inst, Target, Value};
use crate::helper::Helper;
use crate::ops::Op;
use crate::types::Type;

pub(super) fn run(block: &mut Block, _: &[Helper], scratch: &mut Scratch) {
    let Scratch { names, out, .. } = scratch;
    out.walk(block, names);
}

/// What the rules make of `inst`, whose operands are emitted.
pub(super) fn step(inst: &Inst, out: &mut Out) -> Step {
    if inst.op.is_commutative() && out.bits(inst.args[0]).is_some() && out.bits(inst.args[1]).is_none() {
        // Rules look for constants on the right.
        return Step::Op(Inst { args: [inst.args[1], inst.args[0], Value::NONE], ..*inst });
    }
    match inst.op {
        Op::Add => arith::add(inst, out),
        Op::Sub => arith::sub(inst, out),
        Op::Mul => arith::mul(inst, out),
        Op::MulHighS | Op::MulHighU | Op::MulHighSU => arith::mul_high(inst, out),
        Op::DivS | Op::DivU => arith::div(inst, out),
        Op::RemS | Op::RemU => arith::rem(inst, out),
        Op::BorrowSub => arith::borrow(inst, out),
        Op::And => bits::and(inst, out),
        Op::Or => bits::or(inst, out),
        Op::Xor => bits::xor(inst, out),
        Op::Shl | Op::ShrU | Op::ShrS | Op::RotL | Op::RotR => bits::shift(inst, out),
        Op::BitReverse | Op::ByteSwap | Op::FNeg => undone(inst, out),
        Op::FAbs => sign_dropped(inst, out),
        Op::FCopySign if inst.args[0] == inst.args[1] => Step::Value(inst.args[0]),
        Op::Eq | Op::Ne => compare::equal(inst, out),
        Op::LtS | Op::LtU | Op::LeS | Op::LeU => compare::order(inst, out),
        Op::Select => select(inst, out),
        Op::SignExtend | Op::ZeroExtend => width::extend(inst, out),
        Op::Truncate => width::truncate(inst, out),
        Op::Bitcast => width::bitcast(inst, out),
        Op::FUnbox => width::unbox(inst, out),
        Op::Load | Op::Store => address(inst, out),
        Op::TrapIf | Op::ExitIf => leave(inst, out),
        Op::Const
        | Op::Pc
        | Op::Get
        | Op::Set
        | Op::SetMode
        | Op::CarryAdd
        | Op::OverflowAdd
        | Op::OverflowSub
        | Op::Clz
        | Op::Ctz
        | Op::Popcount
        | Op::ClMul
        | Op::ClMulHigh
        | Op::FAdd
        | Op::FSub
        | Op::FMul
        | Op::FDiv
        | Op::FSqrt
        | Op::FMulAdd
        | Op::FMin
        | Op::FMax
        | Op::FCopySign
        | Op::FEq
        | Op::FLt
        | Op::FLe
        | Op::FUnordered
        | Op::FEqSilent
        | Op::FLtSilent
        | Op::FLeSilent
        | Op::FClass
        | Op::FToIntS
        | Op::FToIntU
        | Op::IntToFS
        | Op::IntToFU
        | Op::FConvert
        | Op::FRound
        | Op::FBox
        | Op::FpFlagsGet
        | Op::FpFlagsSet
        | Op::AtomicRmw
        | Op::AtomicCas
        | Op::Fence
        | Op::VUnary
        | Op::VBinary
        | Op::VTernary
        | Op::VExtract
        | Op::VInsert
        | Op::VSplat
        | Op::Call => Step::Keep,
    }
}

/// What the rules make of a block's end.
pub(super) fn end(end: End, out: &Out) -> End {
    let known = |addr: Value| {
        let inst = out.def(addr);
        (inst.op == Op::Pc).then_some(Target(inst.imm))
    };
    match end {
        End::Branch { taken, fall, .. } if taken == fall => End::Jump { target: taken },
        End::Branch { cond, taken, fall } => match out.bits(cond) {
            Some(0) => End::Jump { target: fall },
            Some(_) => End::Jump { target: taken },
            None => End::Branch { cond: condition(cond, out), taken, fall },
        },
        End::Indirect { addr } | End::Return { addr } => known(addr).map_or(end, |target| End::Jump { target }),
        End::IndirectCall { addr, ret } => known(addr).map_or(end, |target| End::Call { target, ret }),
        End::Jump { .. }
        | End::Call { .. }
        | End::Syscall { .. }
        | End::Trap { .. }
        | End::FlushCode { .. }
        | End::ModeChange { .. } => end,
    }
}

/// An op of one type on two operands.
fn binary(op: Op, ty: Type, a: Value, b: Value) -> Inst {
    Inst::new(op, ty, ty, [a, b, Value::NONE])
}

/// An op from one type to another.
fn convert(op: Op, from: Type, a: Value, to: Type) -> Inst {
    Inst::new(op, to, from, [a, Value::NONE, Value::NONE])
}

/// An op that is its own inverse, on itself.
fn undone(inst: &Inst, out: &Out) -> Step {
    let inner = out.def(inst.args[0]);
    if inner.op == inst.op { Step::Value(inner.args[0]) } else { Step::Keep }
}

fn sign_dropped(inst: &Inst, out: &Out) -> Step {
    let inner = out.def(inst.args[0]);
    if inner.op == Op::FAbs {
        Step::Value(inst.args[0])
    } else if matches!(inner.op, Op::FNeg | Op::FCopySign) {
        Step::Op(Inst { args: [inner.args[0], Value::NONE, Value::NONE], ..*inst })
    } else {
        Step::Keep
    }
}

/// A value that is zero exactly when `cond` is: `x != 0` is as good as `x`.
fn condition(cond: Value, out: &Out) -> Value {
    let inst = out.def(cond);
    let tests = inst.op == Op::Ne && inst.from == Type::I8 && out.is(inst.args[1], 0);
    if tests { inst.args[0] } else { cond }
}

fn select(inst: &Inst, out: &mut Out) -> Step {
    let [cond, yes, no] = inst.args;
    if yes == no {
        return Step::Value(yes);
    }
    match out.bits(cond) {
        Some(0) => return Step::Value(no),
        Some(_) => return Step::Value(yes),
        None => {}
    }
    let short = condition(cond, out);
    if short != cond {
        return Step::Op(Inst { args: [short, yes, no], ..*inst });
    }
    let test = out.def(cond);
    if test.op == Op::Eq && test.from == Type::I8 && out.is(test.args[1], 0) {
        return Step::Op(Inst { args: [test.args[0], no, yes], ..*inst });
    }
    if inst.ty.is_int() && is_bit(out, cond) {
        let as_bit = |bit| match inst.ty {
            Type::I8 => Step::Value(bit),
            _ => Step::Op(convert(Op::ZeroExtend, Type::I8, bit, inst.ty)),
        };
        if out.is(yes, 1) && out.is(no, 0) {
            return as_bit(cond);
        }
        if out.is(yes, 0) && out.is(no, 1) {
            let zero = out.constant(Type::I8, 0);
            let opposite = out.emit(Inst::new(Op::Eq, Type::I8, Type::I8, [cond, zero, Value::NONE]));
            return as_bit(opposite);
        }
    }
    Step::Keep
}

/// A constant that is added to an address goes into the displacement, as long as hosts can encode that there.
fn address(inst: &Inst, out: &Out) -> Step {
    let base = out.def(inst.args[0]);
    if base.op != Op::Add {
        return Step::Keep;
    }
    let Some(constant) = out.bits(base.args[1]) else { return Step::Keep };
    let imm = inst.imm.wrapping_add(constant as i64);
    if i32::try_from(imm).is_err() {
        return Step::Keep;
    }
    let [_, b, c] = inst.args;
    Step::Op(Inst { args: [base.args[0], b, c], imm, ..*inst })
}

fn leave(inst: &Inst, out: &Out) -> Step {
    let [cond, b, c] = inst.args;
    if out.is(cond, 0) {
        return Step::Nothing;
    }
    let short = condition(cond, out);
    if short == cond { Step::Keep } else { Step::Op(Inst { args: [short, b, c], ..*inst }) }
}
