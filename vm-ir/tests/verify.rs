//! Each rule of the verifier, broken once.

use vm_core::{BlockKey, GuestAddr, Mode, Slot};
use vm_ir::{
    Block, End, Helper, HelperEffect, HelperFn, Inst, IrBuilder, Mark, Op, Order, SlotInfo, Target, Type, Value, verify,
};

const SLOTS: &[SlotInfo] = &[
    SlotInfo { name: "x1", slot: Slot::new(1), ty: Type::I64 },
    SlotInfo { name: "f1", slot: Slot::new(33), ty: Type::F64 },
];

extern "C" fn sum(a: u64, b: u64, _: u64) -> u64 {
    a.wrapping_add(b)
}

const HELPERS: &[Helper] =
    &[Helper { name: "sum", args: 2, effect: HelperEffect::Pure, function: HelperFn::Values(sum) }];

/// Op 0 is an I64, 1 an F64, 2 a store without a value, 3 an I8, 4 a call, 5 a write of slot 1.
fn good() -> Block {
    let mut ir = IrBuilder::new(BlockKey::new(GuestAddr::new(0x1000), Mode::default()));
    ir.mark(0, 4);
    let a = ir.get(Slot::new(1), Type::I64);
    let b = ir.get(Slot::new(33), Type::F64);
    ir.store(a, 8, b, Order::Plain);
    ir.mark(4, 2);
    let c = ir.eq(a, a);
    let d = ir.call(0, &[a, a]);
    ir.set(Slot::new(1), d);
    let end = End::Branch { cond: c, taken: Target(0), fall: Target(6) };
    ir.finish(end, &[0; 6])
}

fn value(index: u32) -> Value {
    Value::new(index)
}

/// Replaces op 5 by an op without attribute and immediate.
fn last(block: &mut Block, op: Op, ty: Type, from: Type, args: &[u32]) {
    let mut operands = [Value::NONE; 3];
    for (operand, arg) in operands.iter_mut().zip(args) {
        *operand = value(*arg);
    }
    block.insts[5] = Inst::new(op, ty, from, operands);
}

type Break = fn(&mut Block);

#[rustfmt::skip]
const CASES: &[(Break, &str)] = &[
    (|b| b.marks.clear(), "whole block: no guest instruction is marked"),
    (|b| b.marks[0].first = 1, "mark 0: ops before the first mark"),
    (|b| b.marks[1].offset = 0, "mark 1: marks are out of order"),
    (|b| b.marks.push(Mark { first: 2, offset: 6, len: 2 }), "mark 2: marks are out of order"),
    (|b| b.marks[1].first = 7, "mark 1: op 7 does not exist"),
    (|b| b.insts[5].args[0] = value(5), "op 5 (set): operand %5 is not defined before it"),
    (|b| b.insts[3].args[1] = value(4), "op 3 (eq): operand %4 is not defined before it"),
    (|b| b.insts[5].args[0] = value(2), "op 5 (set): operand %2 names an op without a value"),
    (|b| b.insts[5].args[0] = value(1), "op 5 (set): operand %1 is f64, wants i64"),
    (|b| b.insts[2].args[0] = value(1), "op 2 (store): operand %1 is f64, wants i64"),
    (|b| b.insts[3].args[1] = Value::NONE, "op 3 (eq): wants 2 operands"),
    (|b| b.insts[3].args[2] = value(0), "op 3 (eq): wants 2 operands"),
    (|b| b.insts[3].args = [value(0), Value::NONE, value(0)], "op 3 (eq): wants 2 operands"),
    (|b| b.insts[4].args[1] = Value::NONE, "op 4 (call): wants 2 operands"),
    (|b| b.insts[4].imm = 1, "op 4 (call): helper 1 does not exist"),
    (|b| b.insts[4].imm = -1, "op 4 (call): helper -1 does not exist"),
    (|b| b.insts[3].from = Type::F64, "op 3 (eq): operand type f64 is not permitted"),
    (|b| b.insts[3].ty = Type::I64, "op 3 (eq): type i64 is not permitted"),
    (|b| b.insts[5].from = Type::I32, "op 5 (set): operand type i32 is not permitted"),
    (|b| last(b, Op::Fence, Type::I32, Type::I32, &[]), "op 5 (fence): type i32 is not permitted"),
    (|b| last(b, Op::SignExtend, Type::I64, Type::I64, &[0]), "op 5 (sign_extend): cannot go from i64 to i64"),
    (|b| last(b, Op::ZeroExtend, Type::I32, Type::I64, &[0]), "op 5 (zero_extend): cannot go from i64 to i32"),
    (|b| last(b, Op::Truncate, Type::I64, Type::I32, &[0]), "op 5 (truncate): cannot go from i32 to i64"),
    (|b| last(b, Op::Bitcast, Type::F32, Type::I64, &[0]), "op 5 (bitcast): cannot go from i64 to f32"),
    (|b| last(b, Op::Bitcast, Type::I64, Type::I64, &[0]), "op 5 (bitcast): cannot go from i64 to i64"),
    (|b| b.insts[3].imm = 1, "op 3 (eq): immediate 0x1 is out of range"),
    (|b| b.insts[5].imm = 384, "op 5 (set): immediate 0x180 is out of range"),
    (|b| { last(b, Op::Const, Type::I8, Type::I8, &[]); b.insts[5].imm = 256 }, "op 5 (const): immediate 0x100 is out of range"),
    (|b| b.insts[3].attr = 1, "op 3 (eq): attribute 0x1 is out of range"),
    (|b| b.insts[2].attr = 6, "op 2 (store): attribute 0x6 is out of range"),
    (|b| last(b, Op::VUnary, Type::V128, Type::V128, &[0]), "op 5 (vunary): vector arithmetic is not defined"),
    (|b| last(b, Op::VExtract, Type::I8, Type::V128, &[0]), "op 5 (vextract): vector arithmetic is not defined"),
    (|b| last(b, Op::VInsert, Type::V128, Type::I8, &[0, 3]), "op 5 (vinsert): vector arithmetic is not defined"),
    (|b| last(b, Op::VSplat, Type::V128, Type::I8, &[3]), "op 5 (vsplat): vector arithmetic is not defined"),
    (|b| last(b, Op::SetMode, Type::I64, Type::I64, &[0]), "op 5 (set_mode): the block does not end in a mode change"),
    (|b| b.insts[5].imm = 2, "op 5 (set): slot s2 is not declared"),
    (|b| b.insts[5].imm = 33, "op 5 (set): slot s33 is f64, used as i64"),
    (|b| { last(b, Op::Get, Type::V128, Type::V128, &[]); b.insts[5].imm = 1 }, "op 5 (get): slot s1 starts at an odd word"),
    (|b| b.end = End::Return { addr: value(6) }, "end: operand %6 is not defined before it"),
    (|b| b.end = End::Return { addr: value(2) }, "end: operand %2 names an op without a value"),
    (|b| b.end = End::Return { addr: value(3) }, "end: operand %3 is i8, wants i64"),
    (|b| b.end = End::Branch { cond: value(0), taken: Target(0), fall: Target(6) }, "end: operand %0 is i64, wants i8"),
];

#[test]
fn broken_blocks_are_named() {
    assert_eq!(verify(&good(), Some(SLOTS), HELPERS), Ok(()));
    for (break_it, expected) in CASES {
        let mut block = good();
        break_it(&mut block);
        let error = verify(&block, Some(SLOTS), HELPERS).expect_err(expected);
        assert_eq!(error.to_string(), format!("block 0x1000: {expected}"));
    }
}

#[test]
fn without_a_table_a_slot_keeps_the_type_of_its_first_use() {
    let mut block = good();
    assert_eq!(verify(&block, None, HELPERS), Ok(()));
    block.insts[5].imm = 33;
    let error = verify(&block, None, HELPERS).unwrap_err();
    assert_eq!(error.to_string(), "block 0x1000: op 5 (set): slot s33 is f64, used as i64");
}

#[test]
fn a_mode_write_goes_with_a_mode_change() {
    let mut block = good();
    last(&mut block, Op::SetMode, Type::I64, Type::I64, &[0]);
    block.end = End::ModeChange { next: Target(6) };
    assert_eq!(verify(&block, Some(SLOTS), HELPERS), Ok(()));
}
