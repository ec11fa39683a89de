//! Floating-point ops of tier 0: the host's own instructions where they compute what the definition says, which raise
//! their flags in the host's status; the definition elsewhere.

use vm_ir::eval::{self, FpEnv};
use vm_ir::{FpAttr, Inst, Op, Type, Value};

use crate::hostfp;

/// An op's attributes, unpacked.
#[derive(Clone, Copy)]
pub(super) struct Attributes {
    fp: FpAttr,
    signaling: bool,
    packed: u8,
}

impl Attributes {
    /// The attributes `attr` of `op`. To be evaluated in a constant where both are known.
    pub(super) const fn new(op: Op, attr: u8) -> Self {
        let inst = Inst { attr, ..Inst::new(op, Type::I64, Type::I64, [Value::NONE; 3]) };
        Self { fp: inst.fp(), signaling: inst.signaling(), packed: attr }
    }
}

/// The value of any scalar op, flags in `env` or the host's status.
#[inline(always)]
pub(super) fn scalar(op: Op, ty: Type, from: Type, attr: Attributes, args: [u64; 3], env: &mut FpEnv) -> u64 {
    match host(op, ty, from, attr, args) {
        Some(value) => value,
        None => eval::scalar(op, ty, from, attr.packed, args, env),
    }
}

/// [`scalar`] of doubles.
#[inline(always)]
pub(super) fn double(op: Op, attr: Attributes, args: [u64; 3], env: &mut FpEnv) -> u64 {
    scalar(op, result(op, Type::F64), Type::F64, attr, args, env)
}

/// [`scalar`] of singles in their boxes; a single as a result is boxed too.
#[inline(always)]
pub(super) fn single(op: Op, attr: Attributes, args: [u64; 3], env: &mut FpEnv) -> u64 {
    let args = args.map(|arg| eval::scalar(Op::FUnbox, Type::F32, Type::F64, 0, [arg, 0, 0], env));
    let ty = result(op, Type::F32);
    boxed(ty, scalar(op, ty, Type::F32, attr, args, env), env)
}

/// [`scalar`] of a conversion between doubles, singles in their boxes, and integers.
#[inline(always)]
pub(super) fn convert(op: Op, ty: Type, from: Type, attr: Attributes, a: u64, env: &mut FpEnv) -> u64 {
    let a = match from {
        Type::F32 => eval::scalar(Op::FUnbox, Type::F32, Type::F64, 0, [a, 0, 0], env),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::F16 | Type::F64 | Type::V128 => a & from.mask(),
    };
    boxed(ty, scalar(op, ty, from, attr, [a, 0, 0], env), env)
}

/// `value` in its box if it is a single.
#[inline(always)]
fn boxed(ty: Type, value: u64, env: &mut FpEnv) -> u64 {
    if ty == Type::F32 { eval::scalar(Op::FBox, Type::F64, Type::F32, 0, [value, 0, 0], env) } else { value }
}

/// Type of the result of an op on `operand`.
#[inline(always)]
const fn result(op: Op, operand: Type) -> Type {
    if is_comparison(op) { Type::I8 } else { operand }
}

/// Whether the forms of an op have its attribute in their immediate; the others have attribute zero.
#[inline(always)]
pub(super) const fn is_comparison(op: Op) -> bool {
    matches!(op, Op::FEq | Op::FLt | Op::FLe)
}

/// The value by an instruction of the host; `None` where it has none that does the same.
#[inline(always)]
fn host(op: Op, ty: Type, from: Type, attr: Attributes, [a, b, c]: [u64; 3]) -> Option<u64> {
    let Attributes { fp, signaling, .. } = attr;
    match op {
        Op::FAdd => hostfp::add(ty, a, b, fp),
        Op::FSub => hostfp::sub(ty, a, b, fp),
        Op::FMul => hostfp::mul(ty, a, b, fp),
        Op::FDiv => hostfp::div(ty, a, b, fp),
        Op::FSqrt => hostfp::sqrt(ty, a, fp),
        Op::FMulAdd => hostfp::mul_add(ty, a, b, c, fp),
        Op::FMin => hostfp::min(ty, a, b, fp),
        Op::FMax => hostfp::max(ty, a, b, fp),
        Op::FEq => hostfp::eq(from, a, b, signaling).map(u64::from),
        Op::FLt => hostfp::lt(from, a, b, signaling).map(u64::from),
        Op::FLe => hostfp::le(from, a, b, signaling).map(u64::from),
        Op::FUnordered => hostfp::unordered(from, a, b, signaling).map(u64::from),
        Op::FToIntS => hostfp::to_int_s(from, ty, a, fp),
        Op::FToIntU => hostfp::to_int_u(from, ty, a, fp),
        Op::IntToFS => hostfp::from_int_s(from, ty, a, fp),
        Op::IntToFU => hostfp::from_int_u(from, ty, a, fp),
        Op::FConvert => hostfp::convert(from, ty, a, fp),
        Op::Const
        | Op::Pc
        | Op::Get
        | Op::Set
        | Op::SetMode
        | Op::Add
        | Op::Sub
        | Op::Mul
        | Op::MulHighS
        | Op::MulHighU
        | Op::MulHighSU
        | Op::DivS
        | Op::DivU
        | Op::RemS
        | Op::RemU
        | Op::CarryAdd
        | Op::OverflowAdd
        | Op::BorrowSub
        | Op::OverflowSub
        | Op::And
        | Op::Or
        | Op::Xor
        | Op::Shl
        | Op::ShrU
        | Op::ShrS
        | Op::RotL
        | Op::RotR
        | Op::Clz
        | Op::Ctz
        | Op::Popcount
        | Op::BitReverse
        | Op::ByteSwap
        | Op::ClMul
        | Op::ClMulHigh
        | Op::Eq
        | Op::Ne
        | Op::LtS
        | Op::LtU
        | Op::LeS
        | Op::LeU
        | Op::Select
        | Op::SignExtend
        | Op::ZeroExtend
        | Op::Truncate
        | Op::Bitcast
        | Op::FNeg
        | Op::FAbs
        | Op::FCopySign
        | Op::FClass
        | Op::FEqSilent
        | Op::FLtSilent
        | Op::FLeSilent
        | Op::FRound
        | Op::FBox
        | Op::FUnbox
        | Op::FpFlagsGet
        | Op::FpFlagsSet
        | Op::Load
        | Op::Store
        | Op::AtomicRmw
        | Op::AtomicCas
        | Op::Fence
        | Op::VUnary
        | Op::VBinary
        | Op::VTernary
        | Op::VExtract
        | Op::VInsert
        | Op::VSplat
        | Op::Call
        | Op::TrapIf
        | Op::ExitIf => None,
    }
}
