//! Division by constants, which is done by multiplication, against division.

use vm_core::Slot;
use vm_ir::{IrBuilder, Target, Type, Value};

use super::*;

const DIVIDEND: Slot = Slot::new(1);
const RESULT: Slot = Slot::new(2);

/// Divisors whose reciprocals are of each kind, and those at the ends of the types.
const DIVISORS: [i64; 22] = [
    2,
    3,
    5,
    6,
    7,
    9,
    10,
    12,
    14,
    28,
    60,
    100,
    641,
    1000,
    56_000,
    65_536,
    1_000_000_007,
    0x7fff_ffff,
    0x5555_5555_5555_5555,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
];

/// One of the four divisions: the op, whether its operands are signed, and what it gives.
type Case = (fn(&mut IrBuilder, Value, Value) -> Value, bool, fn(i128, i128) -> i128);

const CASES: [Case; 4] = [
    (IrBuilder::div_s, true, |a, b| a / b),
    (IrBuilder::div_u, false, |a, b| a / b),
    (IrBuilder::rem_s, true, |a, b| a % b),
    (IrBuilder::rem_u, false, |a, b| a % b),
];

fn check((op, signed, by_definition): Case, ty: Type, divisor: u64) {
    let number = |value: u64| {
        let unused = 64 - ty.bits();
        if signed { i128::from((value << unused) as i64 >> unused) } else { value.into() }
    };
    let round = block(0x1000, |ir| {
        let dividend = ir.get(DIVIDEND, Type::I64);
        let dividend = if ty == Type::I64 { dividend } else { ir.truncate(dividend, ty) };
        let by = ir.constant(ty, divisor);
        let result = op(ir, dividend, by);
        let result = if ty == Type::I64 { result } else { ir.zero_extend(result, Type::I64) };
        ir.set(RESULT, result);
        End::Syscall { next: Target(4) }
    });
    let mut rig = Rig::new();
    let code = rig.compile(&RegionPlan::single(round, CompileOptions::default()));
    let multiples = [1, 2, 3, 1000].map(|by| divisor.wrapping_mul(by));
    let ends = [0, 1, 2, ty.sign_bit(), ty.mask(), ty.mask() / divisor * divisor];
    for near in multiples.into_iter().chain(ends) {
        for by in [u64::MAX, 0, 1] {
            let dividend = near.wrapping_add(by) & ty.mask();
            rig.state().set(DIVIDEND, dividend);
            assert_eq!(rig.enter(code), ExitCode::Syscall);
            let expected = by_definition(number(dividend), number(divisor)) as u64 & ty.mask();
            assert_eq!(rig.state().get(RESULT), expected, "{dividend:#x} by {divisor:#x}, {ty}, signed: {signed}");
        }
    }
}

#[test]
fn constants_divide_as_divisors_do() {
    for case in CASES {
        for ty in [Type::I32, Type::I64] {
            for divisor in DIVISORS {
                for divisor in [divisor, divisor.wrapping_neg()].map(|divisor| divisor as u64 & ty.mask()) {
                    if divisor != 0 {
                        check(case, ty, divisor);
                    }
                }
            }
        }
    }
}
