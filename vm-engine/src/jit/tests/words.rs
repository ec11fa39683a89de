//! Random loops that load, store and copy words byte by byte: compiled regions, which do so at once, against the interpreter.

use vm_core::Slot;
use vm_ir::{IrBuilder, Order, Target, Type, Value};
use vm_mem::Placement;

use super::agree::{CODE, FUEL, MEMORY_LEN, Memory, Random, agree_on, programs};
use super::singles::Draw;
use super::*;
use crate::config::Exact;
use crate::jit::emit::joined_accesses;

/// Blocks of a program, one behind the other.
const BLOCKS: u64 = 3;
/// Where control goes from the last one, and from the middle of any: nowhere.
const OUT: i64 = 0x10_0000;

/// An address in the memory, with room for a word behind it but for one in sixteen, which are around its beginning or its end.
fn pointer(draw: &mut Draw<'_>) -> Value {
    let slot = draw.slot(Type::I64);
    let (start, mask) = match draw.below(16) {
        0 if draw.below(2) == 0 => (-12, 15),
        0 => (MEMORY_LEN as i64 - 20, 15),
        _ => (0, MEMORY_LEN as i64 / 2 - 1),
    };
    let (word, mask, base) = (draw.ir.get(slot, Type::I64), draw.ir.i64(mask), draw.ir.i64(draw.memory + start));
    let offset = draw.ir.and(word, mask);
    draw.ir.add(base, offset)
}

/// The numbers below `len` in some order.
fn shuffled(draw: &mut Draw<'_>, len: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..len).collect();
    if draw.below(3) == 0 {
        for at in (1..len).rev() {
            order.swap(at, draw.below(at as u64 + 1) as usize);
        }
    }
    order
}

/// A guest instruction more, so that its program counter shows which one faulted.
fn step(draw: &mut Draw<'_>, offset: &mut u16) {
    *offset += 4;
    draw.ir.mark(*offset, 4);
}

fn set(draw: &mut Draw<'_>, value: Value) {
    let slot = draw.slot(Type::I64);
    draw.ir.set(slot, value);
}

fn load(draw: &mut Draw<'_>, offset: &mut u16, address: Value, displacement: i64) -> Value {
    step(draw, offset);
    let byte = draw.ir.load(Type::I8, address, displacement, Order::Plain);
    draw.ir.zero_extend(byte, Type::I64)
}

/// `len` bytes at `address`, by place, some of which registers keep.
fn loads(draw: &mut Draw<'_>, offset: &mut u16, address: Value, displacement: i64, len: usize) -> Vec<Value> {
    let mut bytes = vec![Value::NONE; len];
    for place in shuffled(draw, len) {
        bytes[place] = load(draw, offset, address, displacement + place as i64);
        if draw.below(6) == 0 {
            set(draw, bytes[place]);
        }
        match draw.below(40) {
            0 => {
                let other = draw.below(24) as i64 - 8;
                let read = draw.ir.load(Type::I32, address, displacement + other, Order::Plain);
                let wide = draw.ir.sign_extend(read, Type::I64);
                set(draw, wide);
            }
            1 => {
                let (elsewhere, slot) = (pointer(draw), draw.slot(Type::I64));
                let word = draw.ir.get(slot, Type::I64);
                draw.ir.store(elsewhere, 0, word, Order::Plain);
            }
            _ => {}
        }
    }
    bytes
}

fn store(draw: &mut Draw<'_>, offset: &mut u16, address: Value, displacement: i64, value: Value) {
    step(draw, offset);
    let byte = draw.ir.truncate(value, Type::I8);
    draw.ir.store(address, displacement, byte, Order::Plain);
}

/// Puts `bytes` together, the first the lowest or the highest.
fn joined(draw: &mut Draw<'_>, bytes: &[Value]) -> Value {
    let is_swapped = draw.below(2) == 0;
    let mut word = None;
    for (place, byte) in bytes.iter().enumerate() {
        let place = if is_swapped { bytes.len() - 1 - place } else { place };
        let by = draw.ir.i64(8 * place as i64);
        let part = draw.ir.shl(*byte, by);
        word = Some(match (word, draw.below(3)) {
            (None, _) => part,
            (Some(word), 0) => draw.ir.add(word, part),
            (Some(word), 1) => draw.ir.xor(part, word),
            (Some(word), _) => draw.ir.or(word, part),
        });
    }
    let word = word.expect("there are bytes");
    if bytes.len() == 4 && draw.below(2) == 0 {
        let low = draw.ir.truncate(word, Type::I32);
        return draw.ir.sign_extend(low, Type::I64);
    }
    word
}

/// What some guest instructions do with a word of bytes.
fn phrase(draw: &mut Draw<'_>, offset: &mut u16) {
    let len = [4, 8, 8, 12][draw.below(4) as usize];
    let (from, to) = (pointer(draw), pointer(draw));
    let (low, lower) = (draw.below(8) as i64, draw.below(8) as i64);
    match draw.below(4) {
        0 => {
            let bytes = loads(draw, offset, from, low, len.min(8));
            let word = joined(draw, &bytes);
            set(draw, word);
        }
        1 => {
            let bytes = loads(draw, offset, from, low, len);
            for place in shuffled(draw, len) {
                store(draw, offset, to, lower + place as i64, bytes[place]);
            }
        }
        2 => {
            let slot = draw.slot(Type::I64);
            let word = draw.ir.get(slot, Type::I64);
            let is_swapped = draw.below(2) == 0;
            for place in shuffled(draw, len.min(8)) {
                let part = if is_swapped { len.min(8) - 1 - place } else { place };
                let by = draw.ir.i64(8 * part as i64);
                let part = draw.ir.shr_u(word, by);
                store(draw, offset, to, lower + place as i64, part);
            }
        }
        _ => {
            let bytes = loads(draw, offset, from, low, 8);
            for (place, byte) in bytes.into_iter().enumerate() {
                store(draw, offset, to, lower + place as i64, byte);
            }
            step(draw, offset);
            let word = draw.ir.load(Type::I64, to, lower, Order::Plain);
            set(draw, word);
        }
    }
}

/// A loop that goes round until the fuel is a multiple of some number, and then on to the next block, or to the first one.
fn round(draw: &mut Draw<'_>, place: u64) -> End {
    let (fuel, one, zero) = (draw.ir.get(FUEL, Type::I64), draw.ir.i64(1), draw.ir.i64(0));
    let fuel = draw.ir.sub(fuel, one);
    draw.ir.set(FUEL, fuel);
    let mut offset = 0;
    for _ in 0..1 + draw.below(3) {
        phrase(draw, &mut offset);
        if draw.below(4) == 0 {
            let empty = draw.ir.eq(fuel, zero);
            draw.ir.exit_if(empty, Target(OUT));
        }
    }
    let empty = draw.ir.eq(fuel, zero);
    draw.ir.exit_if(empty, Target(OUT));
    let rounds = [1, 3, 7][draw.below(3) as usize];
    let rounds = draw.ir.i64(rounds);
    let left = draw.ir.and(fuel, rounds);
    let on = if place + 1 < BLOCKS { 0x100 } else { -0x100 * place as i64 };
    End::Branch { cond: draw.ir.ne(left, zero), taken: Target(0), fall: Target(on) }
}

fn agree(memory: &Memory, options: CompileOptions) -> usize {
    let mut accesses = 0;
    for seed in 0..2 * programs() {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let blocks: Vec<_> = (0..BLOCKS)
            .map(|place| {
                let ir = IrBuilder::new(key(CODE + place * 0x100));
                let mut draw = Draw { ir, random: &mut random, memory: memory.start.get() as i64 };
                draw.ir.mark(0, 4);
                let end = round(&mut draw, place);
                let mut block = draw.ir.finish(end, &[0; 0x100]);
                vm_ir::opt::optimise(&mut block, &[]);
                accesses += joined_accesses(&block);
                Arc::new(block)
            })
            .collect();
        agree_on(memory, &blocks, options, random, &format!("program {seed}"));
    }
    accesses
}

#[test]
fn words_are_what_their_bytes_are() {
    crate::fault::install().unwrap();
    let accesses = agree(&Memory::new(Placement::Direct, 0x130_0000), CompileOptions::default());
    // Elsewhere too much is kept of the bytes, or something comes between them.
    let blocks = 2 * programs() * BLOCKS;
    assert!(accesses as u64 > blocks, "{accesses} accesses of words in {blocks} blocks");
}

#[test]
fn words_are_what_their_bytes_are_with_exact_registers() {
    crate::fault::install().unwrap();
    let options = CompileOptions { faults: Exact::Registers, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Direct, 0x140_0000), options);
}

/// What comes of an access that was stepped over although its bytes can be accessed, as where another thread maps the page
/// between the one and the other.
#[test]
fn bytes_one_by_one_are_the_word() {
    const POINTER: Slot = Slot::new(1);
    const OTHER: Slot = Slot::new(2);
    const WORD: Slot = Slot::new(3);
    let round = block(CODE, |ir| {
        let (pointer, other, word) = (ir.get(POINTER, Type::I64), ir.get(OTHER, Type::I64), ir.get(WORD, Type::I64));
        let bytes: Vec<_> = (0..8).map(|place| ir.load(Type::I8, pointer, place, Order::Plain)).collect();
        let low = ir.zero_extend(bytes[7], Type::I64);
        let swapped = bytes[..7].iter().enumerate().fold(low, |word, (place, byte)| {
            let (wide, by) = (ir.zero_extend(*byte, Type::I64), ir.i64(56 - 8 * place as i64));
            let part = ir.shl(wide, by);
            ir.or(word, part)
        });
        for place in 0..4 {
            let by = ir.i64(8 * place);
            let part = ir.shr_u(word, by);
            let byte = ir.truncate(part, Type::I8);
            ir.store(other, 3 - place, byte, Order::Plain);
        }
        ir.set(WORD, swapped);
        End::Syscall { next: Target(4) }
    });
    assert_eq!(joined_accesses(&round), 2);
    let (word, mut stored) = (0x1122_3344_5566_7788u64, [0u8; 6]);
    for stepped_over in [0, 1] {
        let mut rig = Rig::new();
        rig.body().stepped_over = stepped_over;
        let state = rig.state();
        state.set(POINTER, (&raw const word).expose_provenance() as u64);
        state.set(OTHER, (&raw mut stored).expose_provenance() as u64 + 1);
        state.set(WORD, 0xaabb_ccdd);
        assert_eq!(rig.run_block(Arc::clone(&round)), ExitCode::Syscall);
        assert_eq!(rig.state().get(WORD), word.swap_bytes());
        assert_eq!((stored, rig.body().stepped_over), ([0, 0xaa, 0xbb, 0xcc, 0xdd, 0], 0));
        stored = [0; 6];
    }
}
