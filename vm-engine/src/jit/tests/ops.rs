//! Every scalar op of the table, compiled and compared with the definition over extreme operands.

use vm_core::Slot;
use vm_ir::eval::{self, FpEnv};
use vm_ir::{
    AttrKind, Effect, FpAttr, Inst, Jit as Way, MinMaxRule, NanRule, Op, OverflowRule, Rounding, Sig, Type, Value,
};
use vm_ir::{Target, pack_fp};

use super::*;
use crate::hostfp;

/// Operands that ops tend to get wrong, as bits of `ty`.
fn extremes(ty: Type) -> Vec<u64> {
    match ty {
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            let (sign, mask) = (ty.sign_bit(), ty.mask());
            vec![0, 1, 2, 7, sign - 1, sign, sign + 1, mask - 1, mask, 0x5555_5555_5555_5555 & mask, 0x80 & mask]
        }
        Type::F16 => {
            vec![0, 0x8000, 1, 0x3ff, 0x400, 0x3c00, 0xbc00, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xfe01, 0x4248]
        }
        Type::F32 => vec![
            0,
            1 << 31,
            1,
            0x807f_ffff,
            0x0080_0000,
            0x3f80_0000,
            0xbf80_0000,
            0x3fff_ffff,
            0x7f7f_ffff,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0000,
            0x7f80_0001,
            0xffc1_2345,
            0x4f00_0000,
            0xcf00_0000,
            0x5f00_0000,
            0x3f00_0000,
            0x4b00_0001,
            0x0c00_0000,
        ],
        Type::F64 => vec![
            0,
            1 << 63,
            1,
            0x800f_ffff_ffff_ffff,
            0x0010_0000_0000_0000,
            0x3ff0_0000_0000_0000,
            0xbff8_0000_0000_0000,
            0x3fff_ffff_ffff_ffff,
            0x7fef_ffff_ffff_ffff,
            0x7ff0_0000_0000_0000,
            0xfff0_0000_0000_0000,
            0x7ff8_0000_0000_0000,
            0x7ff0_0000_0000_0001,
            0xfff8_1234_5678_9abc,
            0x41e0_0000_0000_0000,
            0xc1e0_0000_0000_0000,
            0x43e0_0000_0000_0000,
            0xc3e0_0000_0000_0000,
            0x3fe0_0000_0000_0000,
            0x36a0_0000_0000_0001,
            0x47ef_ffff_f000_0000,
            0xffff_ffff_7fc0_0000,
            0xffff_ffff_ffff_7e01,
        ],
        Type::V128 => vec![0],
    }
}

/// Every attribute that is worth telling apart.
fn attributes(op: Op) -> Vec<u8> {
    let fp = |attr: FpAttr| pack_fp(op, attr);
    let default = FpAttr::DEFAULT;
    let mut attributes: Vec<u8> = match op.info().attr {
        AttrKind::None => vec![0],
        AttrKind::Signaling => vec![0, 1],
        AttrKind::Fp => {
            let nans = NanRule::ALL.iter().map(|nan| fp(FpAttr { nan: *nan, ..default }));
            nans.chain(Rounding::ALL.iter().map(|rounding| fp(default.rounded(*rounding)))).collect()
        }
        AttrKind::FpMinMax => {
            MinMaxRule::ALL.iter().map(|min_max| fp(FpAttr { min_max: *min_max, ..default })).collect()
        }
        AttrKind::FpToInt => OverflowRule::ALL
            .iter()
            .flat_map(|overflow| {
                let attr = FpAttr { overflow: *overflow, ..default };
                Rounding::ALL.iter().map(move |rounding| fp(attr.rounded(*rounding)))
            })
            .collect(),
        AttrKind::FpFromInt => Rounding::ALL.iter().map(|rounding| fp(default.rounded(*rounding))).collect(),
        AttrKind::Order | AttrKind::Rmw | AttrKind::Fence | AttrKind::Trap | AttrKind::Vector => Vec::new(),
    };
    attributes.sort_unstable();
    attributes.dedup();
    attributes
}

/// The op computes a scalar from scalars.
fn is_computation(op: Op) -> bool {
    let info = op.info();
    let scalar = |sig: &Sig| *sig != Sig::Is(Type::V128);
    matches!(info.effect, Effect::Pure | Effect::FpFlags)
        && !matches!(op, Op::Const | Op::Pc | Op::VUnary | Op::VBinary | Op::VTernary)
        && !matches!(op, Op::VExtract | Op::VInsert | Op::VSplat)
        && info.args.iter().all(scalar)
}

/// Types of result and operand that the table and the op's documentation permit.
fn types_of(op: Op) -> Vec<(Type, Type)> {
    let info = op.info();
    let mut pairs = Vec::new();
    for &ty in info.types.iter().filter(|ty| **ty != Type::V128) {
        if info.from.is_empty() {
            pairs.push((ty, ty));
        }
        for &from in info.from {
            let fits = match op {
                Op::SignExtend | Op::ZeroExtend => from.bits() < ty.bits(),
                Op::Truncate => from.bits() > ty.bits(),
                Op::Bitcast => from.bits() == ty.bits(),
                Op::FConvert => from != ty,
                _ => true,
            };
            if fits {
                pairs.push((ty, from));
            }
        }
    }
    pairs
}

fn operand_type(sig: Sig, ty: Type, from: Type) -> Type {
    match sig {
        Sig::T => ty,
        Sig::U => from,
        Sig::Is(ty) => ty,
    }
}

/// Each operand from a slot of its own, the result to another.
fn program(inst: Inst, operands: &[Type]) -> Arc<Block> {
    let mut insts = Vec::new();
    let none = [Value::NONE; 3];
    for (index, ty) in operands.iter().enumerate() {
        insts.push(Inst { imm: index as i64 + 1, ..Inst::new(Op::Get, *ty, *ty, none) });
    }
    let mut inst = inst;
    for (index, arg) in inst.args.iter_mut().enumerate().take(operands.len()) {
        *arg = Value::new(index as u32);
    }
    insts.push(inst);
    let result = inst.result().unwrap();
    let value = Value::new(operands.len() as u32);
    insts.push(Inst { imm: 8, ..Inst::new(Op::Set, result, result, [value, Value::NONE, Value::NONE]) });
    let mut block = (*block(0x1000, |_| End::Syscall { next: Target(4) })).clone();
    block.insts = insts;
    Arc::new(block)
}

fn combinations(operands: &[Type]) -> Vec<[u64; 3]> {
    let mut all = vec![[0; 3]];
    for (index, ty) in operands.iter().enumerate() {
        let values = if *ty == Type::I8 && operands.len() == 3 { vec![0, 1] } else { extremes(*ty) };
        all = all
            .iter()
            .flat_map(|args| {
                values.iter().map(move |value| {
                    let mut args = *args;
                    args[index] = *value;
                    args
                })
            })
            .collect();
    }
    all
}

fn check(inst: Inst, quality: Quality) {
    let info = inst.op.info();
    let operands: Vec<_> = info.args.iter().map(|sig| operand_type(*sig, inst.ty, inst.from)).collect();
    let mut rig = Rig::new();
    let options = CompileOptions { quality, ..CompileOptions::default() };
    let plan = RegionPlan::single(program(inst, &operands), options);
    let made = rig.jit.compile(&plan, 0, &mut Workspace::default()).unwrap();
    assert_eq!(made.quality, quality, "{} {} {}", inst.op.name(), inst.ty, inst.from);
    let code = rig.compile(&plan);
    let result = inst.result().unwrap();
    for args in combinations(&operands) {
        for (index, value) in args.iter().enumerate() {
            rig.state().set(Slot::new(index as u16 + 1), *value);
        }
        rig.state().set(Slot::new(8), 0);
        rig.state().set_fp_flags(0);
        hostfp::begin(0);
        assert_eq!(rig.enter(code), ExitCode::Syscall);
        let flags = hostfp::raised() | rig.state().fp_flags();
        let value = rig.state().get(Slot::new(8)) & result.mask();
        let mut env = FpEnv::new();
        let expected = eval::scalar(inst.op, inst.ty, inst.from, inst.attr, args, &mut env);
        let what =
            || format!("{quality:?} {} {} {} attr {:#x} of {args:x?}", inst.op.name(), inst.ty, inst.from, inst.attr);
        assert_eq!(value, expected, "value {value:#x}, not {expected:#x}: {}", what());
        assert_eq!(flags, env.flags, "flags: {}", what());
    }
}

fn check_all(wanted: impl Fn(Op) -> bool) -> usize {
    let mut checked = 0;
    for op in Op::ALL.iter().copied().filter(|op| is_computation(*op) && wanted(*op)) {
        for (ty, from) in types_of(op) {
            for attr in attributes(op) {
                for quality in [Quality::Baseline, Quality::Optimised] {
                    check(Inst { attr, ..Inst::new(op, ty, from, [Value::NONE; 3]) }, quality);
                    checked += 1;
                }
            }
        }
    }
    checked
}

#[test]
fn integer_ops_agree_with_the_definition() {
    assert!(check_all(|op| op.effect() == Effect::Pure) > 300);
}

#[test]
fn masks_that_are_constants_agree_with_the_definition() {
    let types = [Type::I8, Type::I16, Type::I32, Type::I64];
    let masks = [0u64, 1, 7, 0x7f, 0xff, 0x100, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff, u64::MAX];
    for (ty, mask) in types.into_iter().flat_map(|ty| masks.map(|mask| (ty, mask & ty.mask()))) {
        for quality in [Quality::Baseline, Quality::Optimised] {
            let block = block(0x1000, |ir| {
                let (value, mask) = (ir.get(Slot::new(1), ty), ir.constant(ty, mask));
                let masked = ir.and(value, mask);
                ir.set(Slot::new(8), masked);
                End::Syscall { next: Target(4) }
            });
            let mut rig = Rig::new();
            let options = CompileOptions { quality, ..CompileOptions::default() };
            let code = rig.compile(&RegionPlan::single(block, options));
            for value in extremes(ty) {
                rig.state().set(Slot::new(1), value);
                assert_eq!(rig.enter(code), ExitCode::Syscall);
                let found = rig.state().get(Slot::new(8)) & ty.mask();
                assert_eq!(found, value & mask, "{quality:?} {ty} {value:#x} and {mask:#x}");
            }
        }
    }
}

#[test]
fn float_ops_agree_with_the_definition() {
    assert!(check_all(|op| op.effect() == Effect::FpFlags) > 400);
}

/// How many calls the code of `inst` makes, by looking for `call` through a register in its bytes.
fn calls(inst: Inst) -> usize {
    let operands: Vec<_> = inst.op.info().args.iter().map(|sig| operand_type(*sig, inst.ty, inst.from)).collect();
    let plan = RegionPlan::single(program(inst, &operands), CompileOptions::default());
    Jit::host(&[]).unwrap().emitted(&plan, |inst| inst.opcode() == Opcode::CallIndirect)
}

/// Code calls the definition only where the table says that it may.
#[test]
fn calls_are_made_only_where_the_table_permits_them() {
    for op in Op::ALL.iter().copied().filter(|op| is_computation(*op)) {
        for (ty, from) in types_of(op) {
            for attr in attributes(op) {
                let inst = Inst { attr, ..Inst::new(op, ty, from, [Value::NONE; 3]) };
                let half = ty == Type::F16 || from == Type::F16;
                let fp = inst.fp();
                let may_call = match op.info().jit {
                    Way::Inline => false,
                    Way::MayCall => true,
                    // The definition is out of line for a NaN result of a multiply-add.
                    Way::InlineNearest => {
                        half || fp.rounding != Rounding::NearestEven
                            || fp.nan != NanRule::Canonical
                            || op == Op::FMulAdd
                    }
                    Way::InlineTruncating => {
                        half || fp.rounding != Rounding::TowardZero || fp.overflow == OverflowRule::Indefinite
                    }
                };
                assert!(may_call || calls(inst) == 0, "{} {ty} {from} attr {attr:#x}", op.name());
            }
        }
    }
}
