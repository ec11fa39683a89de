//! Passes preserve meaning: on random blocks, and on every pair of integer ops.

mod support;

use proptest::prelude::*;
use support::{HELPERS, run};
use vm_core::{BlockKey, GuestAddr, Mode, Slot};
use vm_ir::arbitrary::{self, Draw, Row, SLOTS, Shape};
use vm_ir::opt::{self, PASSES, Scratch};
use vm_ir::{Block, Effect, End, Inst, Mark, Op, Sig, Target, Type, Value, verify};

const PC: u64 = 0x1236;

fn shape() -> Shape<'static> {
    Shape { helpers: HELPERS, ..Shape::default() }
}

/// Each way to rewrite `block`, by name.
fn rewritten(block: &Block) -> Vec<(&'static str, Block)> {
    let mut scratch = Scratch::new();
    let mut rewritten: Vec<(&'static str, Block)> = PASSES
        .iter()
        .map(|pass| {
            let mut block = block.clone();
            pass.run(&mut block, HELPERS, &mut scratch);
            (pass.name, block)
        })
        .collect();
    let mut cleaned = block.clone();
    opt::clean_up(&mut cleaned, &mut scratch);
    rewritten.push(("clean_up", cleaned));
    let mut optimised = block.clone();
    opt::optimise(&mut optimised, HELPERS);
    rewritten.push(("optimise", optimised));
    rewritten
}

/// Compares what `block` does with what it does after each pass.
fn check(block: &Block, seeds: &[u64]) {
    for (name, after) in rewritten(block) {
        verify(&after, Some(SLOTS), HELPERS).unwrap_or_else(|error| panic!("{name}: {error}\n{block}\n{after}"));
        let places = |block: &Block| block.marks.iter().map(|mark| (mark.offset, mark.len)).collect::<Vec<_>>();
        assert_eq!(places(block), places(&after), "{name}");
        for seed in seeds {
            let (expected, found) = (run(block, *seed), run(&after, *seed));
            assert!(
                expected == found,
                "{name}, seed {seed:#x}\n{block}\n{after}\n{:#x?}",
                expected.iter().zip(&found).find(|(expected, found)| expected != found)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_blocks(seeds in proptest::collection::vec(any::<u64>(), 1..40), mode in 0u32..5, registers: u64) {
        let key = BlockKey::new(GuestAddr::new(PC), Mode::new(mode));
        let block = arbitrary::block(key, &seeds, &shape());
        check(&block, &[registers, !registers]);
    }

    /// Few ops on few slots, so that they meet.
    #[test]
    fn random_integer_blocks(seeds in proptest::collection::vec(any::<u64>(), 1..40), registers: u64) {
        let key = BlockKey::new(GuestAddr::new(PC), Mode::new(0));
        let permits = |inst: &Inst| {
            let info = inst.op.info();
            let scalar = inst.ty.is_int() && inst.from.is_int();
            scalar && matches!(info.effect, Effect::Pure | Effect::ReadsSlot | Effect::WritesSlot | Effect::Reads)
        };
        let block = arbitrary::block(key, &seeds, &Shape { permits, slots: &SLOTS[..3], ..shape() });
        check(&block, &[registers, !registers]);
    }
}

/// Operands that the table fixes to carries must be 0 or 1.
fn is_carry(row: Row, place: usize) -> bool {
    place == 2 && row.op.info().args[place] == Sig::Is(Type::I8)
}

fn operand_type(row: Row, place: usize) -> Type {
    match row.op.info().args[place] {
        Sig::T => row.ty,
        Sig::U => row.from,
        Sig::Is(ty) => ty,
    }
}

/// Builds `outer` with `inner` in one operand place, or in two, and constants or slots in the others.
fn pair(inner: Row, outer: Row, place: usize, draw: &mut Draw) -> Block {
    let mut insts: Vec<Inst> = Vec::new();
    let mut emit = |inst: Inst| {
        insts.push(inst);
        Value::new(insts.len() as u32 - 1)
    };
    let with_imm = |op, ty, args, imm| Inst { imm, ..Inst::new(op, ty, ty, args) };
    let mut twice = None;
    let mut build = |row: Row, known: Option<(usize, Value)>, draw: &mut Draw| {
        let mut inst = Inst::new(row.op, row.ty, row.from, [Value::NONE; 3]);
        for index in 0..row.op.info().args.len() {
            let ty = operand_type(row, index);
            inst.args[index] = match known {
                Some((place, value)) if place == index => value,
                _ if is_carry(row, index) => emit(with_imm(Op::Const, ty, [Value::NONE; 3], (draw.bits() & 1) as i64)),
                Some((place, value)) if operand_type(row, place) == ty && draw.one_in(6) => value,
                _ if draw.one_in(3) => {
                    let slot = SLOTS.iter().find(|info| info.ty == ty).expect("a slot of each integer type");
                    emit(with_imm(Op::Get, ty, [Value::NONE; 3], slot.slot.index() as i64))
                }
                _ => emit(with_imm(Op::Const, ty, [Value::NONE; 3], draw.value(ty) as i64)),
            };
        }
        let value = emit(inst);
        twice = Some(value);
        value
    };
    let first = build(inner, None, draw);
    let mut value = build(outer, Some((place, first)), draw);
    // A second op of the outer kind on both, for rules that look at two operands.
    let args = outer.op.info().args;
    if args.len() == 2 && args[0] == args[1] && draw.one_in(3) {
        let second = build(inner, None, draw);
        let both = Inst::new(outer.op, outer.ty, outer.from, [first, second, Value::NONE]);
        value = emit(both);
    }
    let slot = SLOTS.iter().rfind(|info| info.ty == outer.ty).expect("a slot of each integer type");
    emit(with_imm(Op::Set, outer.ty, [value, Value::NONE, Value::NONE], slot.slot.index() as i64));
    let end = End::Jump { target: Target(4) };
    let marks = vec![Mark { first: 0, offset: 0, len: 4 }];
    Block { key: BlockKey::new(GuestAddr::new(PC), Mode::new(0)), bytes: vec![0; 4].into(), insts, marks, end }
}

#[test]
fn every_pair_of_integer_ops() {
    let rows: Vec<Row> = arbitrary::rows()
        .into_iter()
        .filter(|row| {
            let info = row.op.info();
            info.effect == Effect::Pure && !info.args.is_empty() && row.ty.is_int() && row.from.is_int()
        })
        .collect();
    let mut draw = Draw::new(1);
    let mut pairs = 0;
    for inner in &rows {
        for outer in &rows {
            for place in 0..outer.op.info().args.len() {
                if operand_type(*outer, place) != inner.ty || is_carry(*outer, place) {
                    continue;
                }
                pairs += 1;
                for _ in 0..16 {
                    let block = pair(*inner, *outer, place, &mut draw);
                    verify(&block, Some(SLOTS), HELPERS).unwrap();
                    let mut after = block.clone();
                    opt::optimise(&mut after, HELPERS);
                    for _ in 0..3 {
                        let seed = draw.bits();
                        assert!(run(&block, seed) == run(&after, seed), "seed {seed:#x}\n{block}\n{after}");
                    }
                }
            }
        }
    }
    assert!(pairs > 8_000, "{pairs} pairs");
}

#[test]
fn slots_of_the_reference_exist() {
    assert!(SLOTS.iter().any(|info| info.slot == Slot::new(1)) && SLOTS.iter().any(|info| info.slot == Slot::new(2)));
}
