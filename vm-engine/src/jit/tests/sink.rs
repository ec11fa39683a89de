//! Loops of one block that leave more behind than they need, with ways out in the middle and at the end, into the region and
//! out of it: compiled regions against the interpreter.

use vm_ir::{IrBuilder, Order, Target, Type, Value};
use vm_mem::Placement;

use super::agree::{CODE, FUEL, Memory, Random, agree_on, programs};
use super::singles::Draw;
use super::*;
use crate::region::MemoryMode;

/// Blocks of a program, one behind the other.
const BLOCKS: u64 = 3;
/// Where control goes from the last one, and from the middle of any: nowhere.
const OUT: i64 = 0x10_0000;

fn word(draw: &mut Draw<'_>) -> Value {
    let slot = draw.slot(Type::I64);
    draw.ir.get(slot, Type::I64)
}

fn set(draw: &mut Draw<'_>, value: Value) {
    let slot = draw.slot(Type::I64);
    draw.ir.set(slot, value);
}

/// A multiple of eight within the memory, at most half of it.
fn index(draw: &mut Draw<'_>) -> Value {
    let (word, mask) = (word(draw), draw.ir.i64(0xff));
    draw.ir.and(word, mask)
}

/// The address of a word of the memory, as a base and a scaled index.
fn element(draw: &mut Draw<'_>) -> Value {
    let (index, three, base) = (index(draw), draw.ir.i64(3), draw.ir.i64(draw.memory));
    let offset = draw.ir.shl(index, three);
    draw.ir.add(base, offset)
}

/// What a guest instruction does.
fn op(draw: &mut Draw<'_>) {
    match draw.below(10) {
        0 => {
            let (a, b) = (word(draw), word(draw));
            let sum = draw.ir.add(a, b);
            set(draw, sum);
        }
        1 => {
            let a = word(draw);
            let low = draw.ir.truncate(a, Type::I32);
            let wide = draw.ir.sign_extend(low, Type::I64);
            set(draw, wide);
        }
        2 => {
            let (a, by) = (word(draw), draw.ir.i64(32));
            let high = draw.ir.shl(a, by);
            set(draw, high);
        }
        3 => {
            let (a, up, down) = (word(draw), draw.ir.i64(32), draw.ir.i64(29));
            let high = draw.ir.shl(a, up);
            set(draw, high);
            let scaled = draw.ir.shr_u(high, down);
            set(draw, scaled);
        }
        4 | 5 => {
            let address = element(draw);
            let loaded = draw.ir.load(Type::I64, address, 0, Order::Plain);
            set(draw, address);
            set(draw, loaded);
        }
        6 | 7 => {
            let address = element(draw);
            let loaded = draw.ir.load(Type::I32, address, 4, Order::Plain);
            let (signed, unsigned) = (draw.ir.sign_extend(loaded, Type::I64), draw.ir.zero_extend(loaded, Type::I64));
            set(draw, signed);
            set(draw, unsigned);
        }
        8 => {
            let (address, value) = (element(draw), word(draw));
            draw.ir.store(address, 0, value, Order::Plain);
            set(draw, address);
        }
        _ => {
            let (a, b) = (word(draw), word(draw));
            let product = draw.ir.mul(a, b);
            let difference = draw.ir.sub(product, a);
            set(draw, difference);
        }
    }
}

/// Leaves the program if the fuel, of which a round takes one, is used up.
fn out(ir: &mut IrBuilder, fuel: Value) {
    let zero = ir.i64(0);
    let empty = ir.eq(fuel, zero);
    ir.exit_if(empty, Target(OUT));
}

/// A loop that goes round until the fuel is a multiple of some number, and then on to the next block, or to the first one.
fn round(draw: &mut Draw<'_>, place: u64) -> End {
    let (fuel, one) = (draw.ir.get(FUEL, Type::I64), draw.ir.i64(1));
    let fuel = draw.ir.sub(fuel, one);
    draw.ir.set(FUEL, fuel);
    let ops = 2 + draw.below(8);
    let middle = draw.below(2 * ops);
    for at in 0..ops {
        draw.ir.mark(4 * (at as u16 + 1), 4);
        op(draw);
        if at == middle {
            out(&mut draw.ir, fuel);
        }
    }
    let rounds = [1, 3, 7][draw.below(3) as usize];
    let (rounds, zero) = (draw.ir.i64(rounds), draw.ir.i64(0));
    let left = draw.ir.and(fuel, rounds);
    out(&mut draw.ir, fuel);
    let on = if place + 1 < BLOCKS { 64 } else { -64 * place as i64 };
    End::Branch { cond: draw.ir.ne(left, zero), taken: Target(0), fall: Target(on) }
}

fn agree(memory: &Memory, options: CompileOptions) {
    for seed in 0..4 * programs() {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let blocks: Vec<_> = (0..BLOCKS)
            .map(|place| {
                let ir = IrBuilder::new(key(CODE + place * 64));
                let mut draw = Draw { ir, random: &mut random, memory: memory.start.get() as i64 };
                draw.ir.mark(0, 4);
                let end = round(&mut draw, place);
                let mut block = draw.ir.finish(end, &[0; 64]);
                vm_ir::opt::optimise(&mut block, &[]);
                Arc::new(block)
            })
            .collect();
        agree_on(memory, &blocks, options, random, &format!("program {seed}"));
    }
}

#[test]
fn results_are_there_on_every_way_out() {
    agree(&Memory::new(Placement::Direct, 0x100_0000), CompileOptions::default());
}

#[test]
fn results_are_there_on_every_way_out_with_a_base() {
    let options = CompileOptions { memory: MemoryMode::Based, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Reserved { size: 1 << 26 }, 0x110_0000), options);
}

#[test]
fn results_are_there_on_every_way_out_with_checked_memory() {
    let options = CompileOptions { memory: MemoryMode::Checked, ..CompileOptions::default() };
    agree(&Memory::new(Placement::Reserved { size: 1 << 26 }, 0x120_0000), options);
}
