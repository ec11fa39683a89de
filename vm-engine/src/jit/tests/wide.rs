//! Carries and borrows that guests compute by comparing, against arithmetic of 128 bits.

use vm_core::Slot;
use vm_ir::{IrBuilder, Target, Type, Value};

use super::*;

const RESULT: Slot = Slot::new(4);

/// What a case computes from s1, s2 and s3, and what it comes to.
type Case = (&'static str, fn(&mut IrBuilder, [Value; 3]) -> Value, fn([u64; 3]) -> u64);

fn bit(ir: &mut IrBuilder, a: Value, b: Value) -> Value {
    let less = ir.lt_u(a, b);
    ir.zero_extend(less, Type::I64)
}

fn carry([a, b, _]: [u64; 3]) -> u64 {
    ((u128::from(a) + u128::from(b)) >> 64) as u64
}

fn borrow([a, b, _]: [u64; 3]) -> u64 {
    u64::from(u128::from(a) < u128::from(b))
}

const CASES: [Case; 8] = [
    (
        "a carry by the first word, added",
        |ir, [a, b, c]| {
            let sum = ir.add(a, b);
            let bit = bit(ir, sum, a);
            ir.add(c, bit)
        },
        |words| words[2].wrapping_add(carry(words)),
    ),
    (
        "a carry by the second word, to which is added",
        |ir, [a, b, c]| {
            let sum = ir.add(a, b);
            let bit = bit(ir, sum, b);
            ir.add(bit, c)
        },
        |words| words[2].wrapping_add(carry(words)),
    ),
    (
        "two carries",
        |ir, [a, b, c]| {
            let (low, high) = (ir.add(a, b), ir.add(b, c));
            let (low, high) = (bit(ir, low, a), bit(ir, high, c));
            ir.add(low, high)
        },
        |words| carry(words) + carry([words[1], words[2], 0]),
    ),
    (
        "a carry added to its own sum",
        |ir, [a, b, _]| {
            let sum = ir.add(a, b);
            let bit = bit(ir, sum, b);
            ir.add(sum, bit)
        },
        |words| words[0].wrapping_add(words[1]).wrapping_add(carry(words)),
    ),
    (
        "a word doubled",
        |ir, [a, _, c]| {
            let sum = ir.add(a, a);
            let bit = bit(ir, sum, a);
            ir.add(c, bit)
        },
        |[a, _, c]| c.wrapping_add(a >> 63),
    ),
    (
        "a comparison with another word than those of the sum",
        |ir, [a, b, c]| {
            let sum = ir.add(a, b);
            let bit = bit(ir, sum, c);
            ir.add(c, bit)
        },
        |[a, b, c]| c.wrapping_add(u64::from(a.wrapping_add(b) < c)),
    ),
    (
        "a borrow, taken off",
        |ir, [a, b, c]| {
            let bit = bit(ir, a, b);
            ir.sub(c, bit)
        },
        |words| words[2].wrapping_sub(borrow(words)),
    ),
    (
        "a borrow less a word",
        |ir, [a, b, c]| {
            let bit = bit(ir, a, b);
            ir.sub(bit, c)
        },
        |words| borrow(words).wrapping_sub(words[2]),
    ),
];

#[test]
fn words_above_take_carries_and_borrows() {
    const WORDS: [u64; 7] = [0, 1, 2, 1 << 63, (1 << 63) - 1, u64::MAX - 1, u64::MAX];
    for (name, fill, wanted) in CASES {
        let mut rig = Rig::new();
        let block = block(0x1000, |ir| {
            let words = [1, 2, 3].map(|slot| ir.get(Slot::new(slot), Type::I64));
            let result = fill(ir, words);
            ir.set(RESULT, result);
            End::Syscall { next: Target(4) }
        });
        let code = rig.compile(&RegionPlan::single(block, CompileOptions::default()));
        for number in 0..WORDS.len().pow(3) {
            let words = [0, 1, 2].map(|place| WORDS[number / WORDS.len().pow(place) % WORDS.len()]);
            (1..).zip(words).for_each(|(slot, word)| rig.state().set(Slot::new(slot), word));
            assert_eq!(rig.enter(code), ExitCode::Syscall);
            assert_eq!(rig.state().get(RESULT), wanted(words), "{name}: {words:x?}");
        }
    }
}
