//! Passes preserve meaning: on random blocks, and on every pair of integer ops.

#[path = "support/reference.rs"]
mod reference;

use proptest::prelude::*;
use reference::run;
use vm_core::{BlockKey, GuestAddr, Mode};
use vm_ir::arbitrary::{self, Draw, HELPERS, Row, SLOTS, Shape};
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

/// A constant for an operand: often one where a narrower type ends.
fn constant(ty: Type, draw: &mut Draw) -> i64 {
    let bits = if draw.one_in(2) {
        let bits = draw.pick(&[1, 7, 8, 15, 16, 24, 31, 32, 48, 56, 63]);
        draw.pick(&[bits, (1 << bits) - 1, !0 << bits, 1 << bits])
    } else {
        draw.value(ty)
    };
    (bits & ty.mask()) as i64
}

/// The ops of a chain, each with the one before in one operand place or in two, and constants or slots in the others.
struct Chain<'a> {
    insts: Vec<Inst>,
    draw: &'a mut Draw,
}

impl Chain<'_> {
    fn emit(&mut self, inst: Inst) -> Value {
        self.insts.push(inst);
        Value::new(self.insts.len() as u32 - 1)
    }

    fn with_imm(&mut self, op: Op, ty: Type, imm: i64) -> Value {
        self.emit(Inst { imm, ..Inst::new(op, ty, ty, [Value::NONE; 3]) })
    }

    fn op(&mut self, row: Row, known: Option<Value>) -> Value {
        let mut inst = Inst::new(row.op, row.ty, row.from, [Value::NONE; 3]);
        let count = row.op.info().args.len();
        let fits = |known: Value, insts: &[Inst], place| {
            !is_carry(row, place) && insts[known.index()].result() == Some(operand_type(row, place))
        };
        let first = self.draw.below(count);
        let chosen = known.and_then(|known| {
            (0..count).map(|place| (place + first) % count).find(|place| fits(known, &self.insts, *place))
        });
        for place in 0..count {
            let ty = operand_type(row, place);
            inst.args[place] = match known {
                Some(known) if chosen == Some(place) => known,
                Some(known) if fits(known, &self.insts, place) && self.draw.one_in(6) => known,
                _ if is_carry(row, place) => {
                    let bit = self.draw.bits() & 1;
                    self.with_imm(Op::Const, ty, bit as i64)
                }
                _ if self.draw.one_in(3) => self.with_imm(Op::Get, ty, slot(ty)),
                _ => {
                    let bits = constant(ty, self.draw);
                    self.with_imm(Op::Const, ty, bits)
                }
            };
        }
        self.emit(inst)
    }
}

/// A slot of an integer type.
fn slot(ty: Type) -> i64 {
    SLOTS.iter().rfind(|info| info.ty == ty).expect("a slot of each integer type").slot.index() as i64
}

/// A block that computes a chain of ops.
fn chain(rows: &[Row], draw: &mut Draw) -> Block {
    let mut chain = Chain { insts: Vec::new(), draw };
    let mut value = None;
    for row in rows {
        let one = chain.op(*row, value);
        let args = row.op.info().args;
        let first = value;
        value = Some(one);
        // A second one of the kind before, for rules that look at two operands.
        if let Some(first) = first
            && args.len() == 2
            && args[0] == args[1]
            && chain.draw.one_in(3)
            && chain.insts[first.index()].result() == Some(operand_type(*row, 0))
        {
            let before = chain.insts[first.index()];
            let second = chain.op(Row { op: before.op, ty: before.ty, from: before.from }, None);
            value = Some(chain.emit(Inst::new(row.op, row.ty, row.from, [first, second, Value::NONE])));
        }
    }
    let (value, ty) = (value.expect("a chain has an op"), rows[rows.len() - 1].ty);
    chain.emit(Inst { imm: slot(ty), ..Inst::new(Op::Set, ty, ty, [value, Value::NONE, Value::NONE]) });
    let marks = vec![Mark { first: 0, offset: 0, len: 4 }];
    let key = BlockKey::new(GuestAddr::new(PC), Mode::new(0));
    Block { key, bytes: vec![0; 4], insts: chain.insts, marks, end: End::Jump { target: Target(4) } }
}

fn integer_rows() -> Vec<Row> {
    let is_integer = |row: &Row| {
        let info = row.op.info();
        info.effect == Effect::Pure && !info.args.is_empty() && row.ty.is_int() && row.from.is_int()
    };
    arbitrary::rows().into_iter().filter(is_integer).collect()
}

fn takes(row: Row, ty: Type) -> bool {
    (0..row.op.info().args.len()).any(|place| operand_type(row, place) == ty && !is_carry(row, place))
}

/// Optimises chains of `rows` with random operands and compares what they compute.
fn check_chains(rows: &[Row], times: usize, draw: &mut Draw) {
    let mut scratch = Scratch::new();
    for _ in 0..times {
        let block = chain(rows, draw);
        let mut after = block.clone();
        opt::optimise(&mut after, HELPERS);
        let mut cleaned = block.clone();
        opt::clean_up(&mut cleaned, &mut scratch);
        for _ in 0..3 {
            let seed = draw.bits();
            let expected = run(&block, seed);
            assert!(expected == run(&after, seed), "seed {seed:#x}\n{block}\n{after}");
            assert!(expected == run(&cleaned, seed), "seed {seed:#x}\n{block}\n{cleaned}");
        }
    }
}

#[test]
fn every_pair_of_integer_ops() {
    let rows = integer_rows();
    let mut draw = Draw::new(1);
    let mut pairs = 0;
    for inner in &rows {
        for outer in rows.iter().filter(|outer| takes(**outer, inner.ty)) {
            pairs += 1;
            check_chains(&[*inner, *outer], 24, &mut draw);
        }
    }
    assert!(pairs > 4_000, "{pairs} pairs");
}

/// The ops whose rules look two ops back, or at what is known of bits.
#[test]
fn chains_of_width_and_mask_ops() {
    let looked_through = [
        Op::And,
        Op::Or,
        Op::Xor,
        Op::Shl,
        Op::ShrU,
        Op::ShrS,
        Op::Select,
        Op::SignExtend,
        Op::ZeroExtend,
        Op::Truncate,
        Op::Eq,
        Op::Ne,
        Op::LtS,
        Op::LtU,
        Op::Popcount,
    ];
    let rows: Vec<Row> = integer_rows().into_iter().filter(|row| looked_through.contains(&row.op)).collect();
    let mut draw = Draw::new(2);
    let mut chains = 0;
    for inner in &rows {
        for middle in rows.iter().filter(|row| takes(**row, inner.ty)) {
            for outer in rows.iter().filter(|row| takes(**row, middle.ty)) {
                chains += 1;
                check_chains(&[*inner, *middle, *outer], 8, &mut draw);
            }
        }
    }
    assert!(chains > 10_000, "{chains} chains");
}
