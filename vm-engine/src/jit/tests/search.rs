//! Random loops that look for a word: compiled regions, which test several words at a time, against the interpreter.

use vm_core::Slot;
use vm_ir::{Order, Target, Type, Value};
use vm_mem::Placement;

use super::agree::{CODE, MEMORY_LEN, Memory, Random, agree_on, programs};
use super::*;
use crate::config::Exact;
use crate::region::{analyse, search_loop};

const POINTER: Slot = Slot::new(1);
const NEXT: Slot = Slot::new(2);
const WORD: Slot = Slot::new(3);
const COUNT: Slot = Slot::new(7);
const FIXED: [Slot; 3] = [Slot::new(4), Slot::new(5), Slot::new(6)];

/// A word that the test of a round compares: `loaded` and fixed ones, combined at random.
fn word(ir: &mut IrBuilder, random: &mut Random, loaded: Value, depth: u64) -> Value {
    if depth == 0 {
        return match random.next() % 4 {
            0 => ir.i64(random.next() as i64 >> 60),
            1 => ir.get(FIXED[random.next() as usize % 3], Type::I64),
            _ => loaded,
        };
    }
    let (a, b) = (word(ir, random, loaded, depth - 1), word(ir, random, loaded, depth - 1));
    match random.next() % 5 {
        0 => ir.add(a, b),
        1 => ir.sub(a, b),
        2 => ir.and(a, b),
        3 => ir.or(a, b),
        _ => ir.xor(a, b),
    }
}

/// The first block puts the pointer into the memory at `start`, the second, and the third in half of the programs, are the
/// loop, the last one ends the program. Gives the loop's first block too. Some loops do what no search does: count, go on by
/// more than a word, look at the pointer, keep a word of the round before.
fn program(random: &mut Random, start: i64) -> (Vec<Arc<Block>>, usize) {
    let is_rotated = random.next() & 1 == 0;
    let displacement = (random.next() % 20) as i64;
    let oddity = random.next() % 8;
    let first = block(CODE, |ir| {
        let place = (random.next() >> 1) as i64 % MEMORY_LEN as i64;
        let place = match random.next() % 8 {
            0 => place,
            1 => MEMORY_LEN as i64 + (place & 32) - displacement,
            _ => (place & !7) - displacement % 8,
        };
        let pointer = ir.i64(start + place);
        ir.set(if is_rotated { NEXT } else { POINTER }, pointer);
        for slot in FIXED {
            let bits = ir.i64(random.next() as i64 & random.next() as i64 & random.next() as i64);
            ir.set(slot, bits);
        }
        End::Jump { target: Target(if is_rotated { 128 } else { 64 }) }
    });
    let head = block(CODE + 64, |ir| {
        let pointer = ir.get(POINTER, Type::I64);
        let loaded = ir.load(Type::I64, pointer, displacement, Order::Plain);
        ir.set(WORD, loaded);
        let step = ir.i64(if oddity == 0 { 24 } else { 8 });
        let next = ir.add(pointer, step);
        ir.set(NEXT, next);
        if oddity == 1 {
            let (count, one) = (ir.get(COUNT, Type::I64), ir.i64(1));
            let count = ir.add(count, one);
            ir.set(COUNT, count);
        }
        let found = word(ir, random, if oddity == 2 { pointer } else { loaded }, 2);
        // A word in two to sixteen is equal, so that loops end soon and late.
        let bits = (0..1 + random.next() % 4).fold(0, |bits, _| bits | 1i64 << (random.next() % 60));
        let mask = ir.i64(bits);
        let (a, b) = (ir.and(found, mask), ir.i64(random.next() as i64 & bits));
        let (taken, fall) = (Target(64), Target(128));
        match random.next() % 4 {
            0 => End::Branch { cond: ir.eq(a, b), taken, fall },
            1 => End::Branch { cond: ir.ne(a, b), taken, fall },
            _ => End::Branch { cond: ir.eq(a, b), taken: fall, fall: taken },
        }
    });
    let again = block(CODE + 128, |ir| {
        let next = ir.get(NEXT, Type::I64);
        ir.set(POINTER, next);
        if oddity == 3 {
            let word = ir.get(WORD, Type::I64);
            ir.set(COUNT, word);
        }
        End::Jump { target: Target(-64) }
    });
    let last = block(CODE + 192, |_| End::Syscall { next: Target(4) });
    (vec![first, head, again, last], if is_rotated { 2 } else { 1 })
}

#[test]
fn words_are_passed_as_they_would_be_one_by_one() {
    crate::fault::install().unwrap();
    let memory = Memory::new(Placement::Direct, 0xd0_0000);
    let (mut passes, count) = (0, 8 * programs());
    for (seed, faults) in (0..count).flat_map(|seed| [Exact::Pc, Exact::Registers].map(|faults| (seed, faults))) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let (blocks, head) = program(&mut random, memory.start.get() as i64);
        let options = CompileOptions { faults, ..CompileOptions::default() };
        let plan = RegionPlan::whole(&blocks, options).unwrap();
        passes += u64::from(search_loop(&plan, head, |_| false).is_some());
        agree_on(&memory, &blocks, options, random, &format!("program {seed} {faults:?}"));
    }
    // The others test something that no load has a part in.
    assert!(passes * 3 > 2 * count, "{passes} of {count} programs look for a word");
}

/// The loop's second block is the head of a loop of its own and polls: a round may be left before the word is written.
#[test]
fn no_word_is_passed_where_a_round_may_be_left_in_its_middle() {
    let first = block(CODE, |_| End::Jump { target: Target(64) });
    let head = block(CODE + 64, |_| End::Jump { target: Target(64) });
    let second = block(CODE + 128, |_| End::Jump { target: Target(64) });
    let test = block(CODE + 192, |ir| {
        let pointer = ir.get(POINTER, Type::I64);
        let loaded = ir.load(Type::I64, pointer, 0, Order::Plain);
        ir.set(WORD, loaded);
        let (eight, zero) = (ir.i64(8), ir.i64(0));
        let next = ir.add(pointer, eight);
        ir.set(POINTER, next);
        End::Branch { cond: ir.ne(loaded, zero), taken: Target(-128), fall: Target(64) }
    });
    let other = |back: i64| {
        block(CODE + 256, |ir| {
            let (count, one) = (ir.get(COUNT, Type::I64), ir.i64(1));
            End::Branch { cond: ir.eq(count, one), taken: Target(back), fall: Target(64) }
        })
    };
    let last = block(CODE + 320, |_| End::Syscall { next: Target(4) });
    for (back, is_search) in [(-128, false), (64, true)] {
        let blocks = [&first, &head, &second, &test, &other(back), &last].map(Arc::clone);
        let plan = RegionPlan::whole(&blocks, CompileOptions::default()).unwrap();
        let flow = analyse(&plan, true, &[]).flow;
        assert!(flow[1].is_loop);
        assert_eq!(search_loop(&plan, 1, |block| flow[block].is_loop).is_some(), is_search);
    }
}

#[test]
fn displacements_may_be_as_large_as_they_can_be() {
    for displacement in [0x7fff_fff8, -0x8000_0000, i64::MAX] {
        let round = block(CODE, |ir| {
            let pointer = ir.get(POINTER, Type::I64);
            let loaded = ir.load(Type::I64, pointer, displacement, Order::Plain);
            let (eight, zero) = (ir.i64(8), ir.i64(0));
            let next = ir.add(pointer, eight);
            ir.set(POINTER, next);
            End::Branch { cond: ir.ne(loaded, zero), taken: Target(0), fall: Target(64) }
        });
        let plan = RegionPlan::single(round, CompileOptions::default());
        assert!(search_loop(&plan, 0, |_| false).is_some());
        Rig::new().compile(&plan);
    }
}
