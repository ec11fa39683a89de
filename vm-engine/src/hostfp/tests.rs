//! Every function against the definition, results and flags, on operands that are mostly extreme.

use proptest::prelude::*;
use vm_ir::MinMaxRule;
use vm_ir::eval::{self, FpEnv};

use super::*;

/// Bit patterns of `ty` with extreme exponents and fractions, or any at all.
fn operand(ty: Type) -> impl Strategy<Value = u64> {
    let fraction_bits = if ty == Type::F32 { 23 } else { 52 };
    let bias = if ty == Type::F32 { 127u64 } else { 1023 };
    let edge = move |exponent: u64, fraction: u64, sign: bool| {
        let fraction = fraction & ((1 << fraction_bits) - 1);
        (exponent << fraction_bits | fraction | if sign { ty.sign_bit() } else { 0 }) & ty.mask()
    };
    let exponent = prop_oneof![
        Just(0),
        Just(1),
        Just(2 * bias + 1),
        Just(2 * bias),
        bias - 3..bias + 3,
        bias + 20..bias + 70,
        bias - 40..bias - 20,
        0..=2 * bias + 1,
    ];
    let fraction = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(u64::MAX - 1),
        (0..64u32).prop_map(|bit| 1 << bit),
        (0..64u32).prop_map(|bit| u64::MAX << bit),
        any::<u64>(),
    ];
    prop_oneof![
        4 => (exponent, fraction, any::<bool>()).prop_map(move |(e, f, s)| edge(e, f, s)),
        1 => any::<u64>().prop_map(move |bits| bits & ty.mask()),
    ]
}

fn integer(ty: Type) -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..64u32, 0..3u64).prop_map(|(bit, add)| (1u64 << bit).wrapping_add(add).wrapping_sub(1)),
        (0..64u32, 0..64u32).prop_map(|(high, low)| 1 << high | 1 << low),
        (0..64u32).prop_map(|bit| u64::MAX << bit),
    ]
    .prop_map(move |value| value & ty.mask())
}

/// Result and flags of `ours` and of the definition, which have to be equal.
fn check<T: PartialEq + std::fmt::Debug>(
    ours: impl FnOnce() -> Option<T>,
    definition: impl FnOnce(&mut FpEnv) -> T,
) -> Result<(), TestCaseError> {
    begin(0);
    let (found, flags) = (ours(), raised());
    let mut env = FpEnv::new();
    let expected = definition(&mut env);
    prop_assert_eq!((found, flags), (Some(expected), env.flags));
    Ok(())
}

const TYPES: [Type; 2] = [Type::F32, Type::F64];
const INTS: [Type; 2] = [Type::I32, Type::I64];

fn operands() -> impl Strategy<Value = (Type, [u64; 3])> {
    proptest::sample::select(&TYPES[..]).prop_flat_map(|ty| (Just(ty), [operand(ty), operand(ty), operand(ty)]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn arithmetic((ty, [a, b, c]) in operands()) {
        let fp = FpAttr::DEFAULT;
        check(|| add(ty, a, b, fp), |env| eval::float::add(ty, a, b, fp, env))?;
        check(|| sub(ty, a, b, fp), |env| eval::float::sub(ty, a, b, fp, env))?;
        check(|| mul(ty, a, b, fp), |env| eval::float::mul(ty, a, b, fp, env))?;
        check(|| div(ty, a, b, fp), |env| eval::float::div(ty, a, b, fp, env))?;
        check(|| sqrt(ty, a, fp), |env| eval::float::sqrt(ty, a, fp, env))?;
        check(|| min(ty, a, b, fp), |env| eval::float::min(ty, a, b, fp, env))?;
        check(|| max(ty, a, b, fp), |env| eval::float::max(ty, a, b, fp, env))?;
        if host::has_fma() {
            check(|| mul_add(ty, a, b, c, fp), |env| eval::float::mul_add(ty, a, b, c, fp, env))?;
        }
    }

    #[test]
    fn comparisons((ty, [a, b, _]) in operands(), same: bool, signaling: bool) {
        let b = if same { a } else { b };
        check(|| eq(ty, a, b, signaling), |env| eval::float::eq(ty, a, b, signaling, env))?;
        check(|| lt(ty, a, b, signaling), |env| eval::float::lt(ty, a, b, signaling, env))?;
        check(|| le(ty, a, b, signaling), |env| eval::float::le(ty, a, b, signaling, env))?;
        check(|| unordered(ty, a, b, signaling), |env| eval::float::unordered(ty, a, b, signaling, env))?;
    }

    #[test]
    fn conversions_to_integers((from, [a, _, _]) in operands(), nearest: bool) {
        for to in INTS {
            for &overflow in OverflowRule::ALL {
                let rounding = if nearest { Rounding::NearestEven } else { Rounding::TowardZero };
                let fp = FpAttr { overflow, rounding, ..FpAttr::DEFAULT };
                check(|| to_int_s(from, to, a, fp), |env| eval::float::to_int_s(from, to, a, fp, env))?;
            }
            let fp = FpAttr::DEFAULT.rounded(Rounding::TowardZero);
            check(|| to_int_u(from, to, a, fp), |env| eval::float::to_int_u(from, to, a, fp, env))?;
        }
    }

    #[test]
    fn conversions_from_integers(narrow in integer(Type::I32), wide in integer(Type::I64)) {
        let fp = FpAttr::DEFAULT;
        for to in TYPES {
            for (from, a) in [(Type::I32, narrow), (Type::I64, wide)] {
                check(|| from_int_s(from, to, a, fp), |env| eval::float::from_int_s(from, to, a, fp, env))?;
                check(|| from_int_u(from, to, a, fp), |env| eval::float::from_int_u(from, to, a, fp, env))?;
            }
        }
    }

    #[test]
    fn conversions_between_formats((from, [a, _, _]) in operands()) {
        let to = if from == Type::F32 { Type::F64 } else { Type::F32 };
        let fp = FpAttr::DEFAULT;
        check(|| convert(from, to, a, fp), |env| eval::float::convert(from, to, a, fp, env))?;
    }
}

#[test]
fn what_the_host_cannot_do_is_left_to_the_definition() {
    let (one, fp) = (1.0f64.to_bits(), FpAttr::DEFAULT);
    for rounding in [Rounding::TowardZero, Rounding::Down, Rounding::Up, Rounding::NearestAway, Rounding::Dynamic] {
        assert_eq!(add(Type::F64, one, one, fp.rounded(rounding)), None);
        assert_eq!(from_int_u(Type::I64, Type::F64, u64::MAX, fp.rounded(rounding)), None);
    }
    for nan in [NanRule::Arm, NanRule::X86] {
        assert_eq!(mul(Type::F64, one, one, FpAttr { nan, ..fp }), None);
        assert_eq!(mul_add(Type::F64, one, one, one, FpAttr { nan, ..fp }), None);
    }
    assert_eq!(max(Type::F64, one, one, FpAttr { min_max: MinMaxRule::Second, ..fp }), None);
    assert_eq!(div(Type::F16, 0x3c00, 0x3c00, fp), None);
    assert_eq!(lt(Type::F16, 0x3c00, 0x3c00, false), None);
    assert_eq!(to_int_s(Type::F64, Type::I64, one, fp.rounded(Rounding::Down)), None);
    assert_eq!(to_int_u(Type::F64, Type::I64, one, fp), None);
}

#[test]
fn flags_stay_raised_until_they_are_replaced() {
    begin(0);
    assert_eq!(raised(), 0);
    let (one, zero) = (1.0f64.to_bits(), 0);
    assert_eq!(div(Type::F64, one, zero, FpAttr::DEFAULT), Some(f64::INFINITY.to_bits()));
    assert_eq!(div(Type::F64, one, 3.0f64.to_bits(), FpAttr::DEFAULT), Some((1.0f64 / 3.0).to_bits()));
    let both = FpEnv::DIVIDE_BY_ZERO | FpEnv::INEXACT;
    assert_eq!((raised(), raised()), (both, both));
    replace(both | FpEnv::INVALID);
    assert_eq!(raised() & !both, 0, "what is in the state need not be dropped, and nothing else is raised");
    replace(FpEnv::INEXACT);
    assert_eq!(raised() & !FpEnv::INEXACT, 0);
    begin(0);
    host::raise_invalid();
    let value = suspend(|| div(Type::F64, one, zero, FpAttr::DEFAULT));
    assert_eq!((value, raised()), (Some(f64::INFINITY.to_bits()), FpEnv::INVALID));
    begin(FpEnv::DIVIDE_BY_ZERO);
    assert_eq!(raised() & !FpEnv::DIVIDE_BY_ZERO, 0, "raised outside");
}

#[test]
fn modes_of_the_calling_thread_do_not_reach_the_guest() {
    const ROUND_UP: u32 = 2 << 13;
    const SUBNORMALS_ARE_ZEROS: u32 = 1 << 15 | 1 << 6;
    let outside = host::DEFAULT | ROUND_UP | SUBNORMALS_ARE_ZEROS;
    let (one, three) = (1.0f64.to_bits(), 3.0f64.to_bits());
    host::set_status(outside);
    let up = div(Type::F64, one, three, FpAttr::DEFAULT);
    let modes = set_modes();
    begin(0);
    let nearest = div(Type::F64, one, three, FpAttr::DEFAULT);
    let subnormal = add(Type::F64, 1, 0, FpAttr::DEFAULT);
    restore_modes(modes);
    let after = host::status();
    host::set_status(host::DEFAULT);
    assert_eq!((nearest, subnormal), (Some(0x3fd5_5555_5555_5555), Some(1)));
    assert_ne!(up, nearest, "the thread's own rounding was in force before");
    assert_eq!(after & !host::RAISED, outside);
    assert_eq!(set_modes(), None);
}
