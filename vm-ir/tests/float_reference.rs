//! The floating-point definition against outside implementations: the host's arithmetic for values rounded to nearest
//! even, and `rustc_apfloat` for all roundings and flags.

use std::cmp::Ordering;

use proptest::prelude::*;
use rustc_apfloat::ieee::{Double, Half, Quad, Single};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};
use vm_ir::eval::{FpEnv, float};
use vm_ir::{FpAttr, NanRule, Rounding, Type};

const ROUNDINGS: [(Rounding, Round); 5] = [
    (Rounding::NearestEven, Round::NearestTiesToEven),
    (Rounding::TowardZero, Round::TowardZero),
    (Rounding::Down, Round::TowardNegative),
    (Rounding::Up, Round::TowardPositive),
    (Rounding::NearestAway, Round::NearestTiesToAway),
];

const FORMATS: [Type; 3] = [Type::F16, Type::F32, Type::F64];

/// Width of the fraction and of the exponent.
const fn widths(ty: Type) -> (u32, u32) {
    match ty {
        Type::F16 => (10, 5),
        Type::F32 => (23, 8),
        _ => (52, 11),
    }
}

fn infinity(ty: Type) -> u64 {
    let (fraction, exponent) = widths(ty);
    ((1 << exponent) - 1) << fraction
}

fn is_nan(ty: Type, a: u64) -> bool {
    a & !ty.sign_bit() > infinity(ty)
}

/// Every exponent near a limit, near one and near the widths of integers and formats, with fractions near a power of
/// two, a half and the next power of two; both signs.
fn special_values(ty: Type) -> Vec<u64> {
    let (fraction, exponent) = widths(ty);
    let greatest = (1u64 << exponent) - 1;
    let bias = greatest >> 1;
    let mut exponents = vec![0, 1, 2, bias - 1, bias, bias + 1, greatest - 1, greatest];
    let distances = [u64::from(fraction) - 1, u64::from(fraction), u64::from(fraction) + 1, 11, 24, 31, 32, 63, 64];
    exponents.extend(distances.iter().flat_map(|d| [bias.saturating_sub(*d), bias + d]).filter(|e| *e < greatest));
    exponents.sort_unstable();
    exponents.dedup();
    let half = 1u64 << (fraction - 1);
    let ones = (1u64 << fraction) - 1;
    let fractions = [0, 1, half - 1, half, half + 1, ones - 1, ones, 0x5_5555_5555_5555 & ones];
    let mut values = Vec::new();
    for e in exponents {
        for f in fractions {
            values.extend([e << fraction | f, ty.sign_bit() | e << fraction | f]);
        }
    }
    values
}

/// A stream of numbers for samples of large cross products (Marsaglia's xorshift).
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick(&mut self, values: &[u64]) -> u64 {
        values[(self.next() % values.len() as u64) as usize]
    }
}

fn environment() -> FpEnv {
    FpEnv::new()
}

fn attr(rounding: Rounding) -> FpAttr {
    FpAttr::DEFAULT.rounded(rounding)
}

fn flags(status: Status) -> u64 {
    [
        (Status::INEXACT, FpEnv::INEXACT),
        (Status::UNDERFLOW, FpEnv::UNDERFLOW),
        (Status::OVERFLOW, FpEnv::OVERFLOW),
        (Status::DIV_BY_ZERO, FpEnv::DIVIDE_BY_ZERO),
        (Status::INVALID_OP, FpEnv::INVALID),
    ]
    .into_iter()
    .filter(|(theirs, _)| status.contains(*theirs))
    .map(|(_, ours)| ours)
    .sum()
}

/// Compares a result with the reference's. Two flags are left out where the reference judges a number as delivered and
/// not as rounded without a limit to the exponent: underflow at the least normal number, overflow at the greatest.
#[track_caller]
fn same<F: Float>(ty: Type, ours: u64, env: FpEnv, theirs: StatusAnd<F>, what: std::fmt::Arguments<'_>) {
    if theirs.value.is_nan() {
        assert!(is_nan(ty, ours), "{what}: {ours:#x}, reference NaN");
    } else {
        assert_eq!(
            u128::from(ours),
            theirs.value.to_bits(),
            "{what}: {ours:#x}, reference {:#x}",
            theirs.value.to_bits()
        );
    }
    let (fraction, _) = widths(ty);
    let ignored = match ours & !ty.sign_bit() {
        _ if env.flags & FpEnv::INEXACT == 0 => 0,
        magnitude if magnitude == 1 << fraction => FpEnv::UNDERFLOW,
        magnitude if magnitude == infinity(ty) - 1 => FpEnv::OVERFLOW,
        _ => 0,
    };
    assert_eq!(env.flags | ignored, flags(theirs.status) | ignored, "{what}: flags");
}

fn binary<F: Float>(ty: Type, a: u64, b: u64) {
    let (x, y) = (F::from_bits(a.into()), F::from_bits(b.into()));
    for (rounding, round) in ROUNDINGS {
        let fp = attr(rounding);
        let mut env = environment();
        let r = float::add(ty, a, b, fp, &mut env);
        same(ty, r, env, x.add_r(y, round), format_args!("{ty} {a:#x} + {b:#x} {rounding:?}"));
        let mut env = environment();
        let r = float::sub(ty, a, b, fp, &mut env);
        same(ty, r, env, x.sub_r(y, round), format_args!("{ty} {a:#x} - {b:#x} {rounding:?}"));
        let mut env = environment();
        let r = float::mul(ty, a, b, fp, &mut env);
        same(ty, r, env, x.mul_r(y, round), format_args!("{ty} {a:#x} * {b:#x} {rounding:?}"));
        let mut env = environment();
        let r = float::div(ty, a, b, fp, &mut env);
        same(ty, r, env, x.div_r(y, round), format_args!("{ty} {a:#x} / {b:#x} {rounding:?}"));
    }
    let order = x.partial_cmp(&y);
    for signaling in [false, true] {
        let nan_flags = match order {
            None if signaling || x.is_signaling() || y.is_signaling() => FpEnv::INVALID,
            _ => 0,
        };
        let mut env = environment();
        assert_eq!(float::eq(ty, a, b, signaling, &mut env), order == Some(Ordering::Equal), "{ty} {a:#x} == {b:#x}");
        assert_eq!(float::lt(ty, a, b, signaling, &mut env), order == Some(Ordering::Less), "{ty} {a:#x} < {b:#x}");
        assert_eq!(
            float::le(ty, a, b, signaling, &mut env),
            matches!(order, Some(Ordering::Equal | Ordering::Less)),
            "{ty} {a:#x} <= {b:#x}"
        );
        assert_eq!(float::unordered(ty, a, b, signaling, &mut env), order.is_none(), "{ty} {a:#x} ? {b:#x}");
        assert_eq!(env.flags, nan_flags, "{ty} {a:#x} ? {b:#x}");
    }
}

fn ternary<F: Float>(ty: Type, a: u64, b: u64, c: u64) {
    let (x, y, z) = (F::from_bits(a.into()), F::from_bits(b.into()), F::from_bits(c.into()));
    for (rounding, round) in ROUNDINGS {
        let mut env = environment();
        let r = float::mul_add(ty, a, b, c, attr(rounding), &mut env);
        let mut reference = x.mul_add_r(y, z, round);
        // The standard leaves *invalid* for infinity times zero plus a quiet NaN open (7.2 c); the op raises it.
        if x.is_infinite() && y.is_zero() || x.is_zero() && y.is_infinite() {
            reference.status |= Status::INVALID_OP;
        }
        if x.is_signaling() || y.is_signaling() || z.is_signaling() {
            reference.status |= Status::INVALID_OP;
        }
        same(ty, r, env, reference, format_args!("{ty} {a:#x} * {b:#x} + {c:#x} {rounding:?}"));
    }
}

fn unary<F>(ty: Type, a: u64)
where
    F: Float + FloatConvert<Half> + FloatConvert<Single> + FloatConvert<Double>,
{
    let x = F::from_bits(a.into());
    for (rounding, round) in ROUNDINGS {
        let fp = attr(rounding);
        let mut env = environment();
        let r = float::convert(ty, Type::F16, a, fp, &mut env);
        let reference: StatusAnd<Half> = x.convert_r(round, &mut false);
        same(Type::F16, r, env, reference, format_args!("{ty} {a:#x} to f16 {rounding:?}"));
        let mut env = environment();
        let r = float::convert(ty, Type::F32, a, fp, &mut env);
        let reference: StatusAnd<Single> = x.convert_r(round, &mut false);
        same(Type::F32, r, env, reference, format_args!("{ty} {a:#x} to f32 {rounding:?}"));
        let mut env = environment();
        let r = float::convert(ty, Type::F64, a, fp, &mut env);
        let reference: StatusAnd<Double> = x.convert_r(round, &mut false);
        same(Type::F64, r, env, reference, format_args!("{ty} {a:#x} to f64 {rounding:?}"));

        let mut env = environment();
        let r = float::round(ty, a, fp, &mut env);
        let reference = x.round_to_integral(round).value;
        if x.is_nan() {
            assert!(is_nan(ty, r), "{ty} {a:#x} to integral");
        } else {
            assert_eq!(u128::from(r), reference.to_bits(), "{ty} {a:#x} to integral {rounding:?}");
            assert_eq!(env.flags, if r == a { 0 } else { FpEnv::INEXACT }, "{ty} {a:#x} to integral {rounding:?}");
        }

        for to in [Type::I32, Type::I64] {
            let mut env = environment();
            let r = float::to_int_s(ty, to, a, fp, &mut env);
            let reference = x.to_i128_r(to.bits() as usize, round, &mut false);
            let value = if x.is_nan() { to.mask() >> 1 } else { reference.value as u64 & to.mask() };
            assert_eq!((r, env.flags), (value, flags(reference.status)), "{ty} {a:#x} to {to} {rounding:?}");
            let mut env = environment();
            let r = float::to_int_u(ty, to, a, fp, &mut env);
            let reference = x.to_u128_r(to.bits() as usize, round, &mut false);
            let value = if x.is_nan() { to.mask() } else { reference.value as u64 };
            assert_eq!((r, env.flags), (value, flags(reference.status)), "{ty} {a:#x} to unsigned {to} {rounding:?}");
        }
    }
}

/// The root squared is exact in binary128, so that a correct root is recognised by comparing with the radicand.
fn root(a: u64) {
    let exact = |bits: u64| -> Quad { Double::from_bits(bits.into()).convert(&mut false).value };
    let square = |bits: u64| exact(bits).mul_r(exact(bits), Round::NearestTiesToEven).value;
    let radicand = exact(a);
    for (rounding, _) in ROUNDINGS {
        let mut env = environment();
        let r = float::sqrt(Type::F64, a, attr(rounding), &mut env);
        let inexact = square(r) != radicand;
        assert_eq!(env.flags, if inexact { FpEnv::INEXACT } else { 0 }, "sqrt {a:#x} {rounding:?}");
        match rounding {
            Rounding::Down | Rounding::TowardZero => {
                assert!(square(r) <= radicand && radicand < square(r + 1), "sqrt {a:#x} {rounding:?}");
            }
            Rounding::Up => {
                assert!(square(r) >= radicand && radicand > square(r - 1), "sqrt {a:#x} {rounding:?}");
            }
            // A root is never half-way between two numbers.
            Rounding::NearestEven | Rounding::NearestAway | Rounding::Dynamic => {
                assert_eq!(r, f64::from_bits(a).sqrt().to_bits(), "sqrt {a:#x} {rounding:?}");
            }
        }
    }
}

fn integers(ty: Type, a: u64) {
    fn check<F: Float>(ty: Type, a: u64) {
        for from in [Type::I32, Type::I64] {
            let a = a & from.mask();
            for (rounding, round) in ROUNDINGS {
                let mut env = environment();
                let r = float::from_int_s(from, ty, a, attr(rounding), &mut env);
                let reference = F::from_i128_r(from.sign_extend(a).into(), round);
                same(ty, r, env, reference, format_args!("signed {from} {a:#x} to {ty} {rounding:?}"));
                let mut env = environment();
                let r = float::from_int_u(from, ty, a, attr(rounding), &mut env);
                let reference = F::from_u128_r(a.into(), round);
                same(ty, r, env, reference, format_args!("unsigned {from} {a:#x} to {ty} {rounding:?}"));
            }
        }
    }
    match ty {
        Type::F16 => check::<Half>(ty, a),
        Type::F32 => check::<Single>(ty, a),
        _ => check::<Double>(ty, a),
    }
}

fn one(ty: Type, a: u64) {
    match ty {
        Type::F16 => unary::<Half>(ty, a),
        Type::F32 => unary::<Single>(ty, a),
        _ => unary::<Double>(ty, a),
    }
}

fn two(ty: Type, a: u64, b: u64) {
    match ty {
        Type::F16 => binary::<Half>(ty, a, b),
        Type::F32 => binary::<Single>(ty, a, b),
        _ => binary::<Double>(ty, a, b),
    }
}

fn three(ty: Type, a: u64, b: u64, c: u64) {
    match ty {
        Type::F16 => ternary::<Half>(ty, a, b, c),
        Type::F32 => ternary::<Single>(ty, a, b, c),
        _ => ternary::<Double>(ty, a, b, c),
    }
}

#[test]
fn special_values_in_pairs() {
    for ty in FORMATS {
        let values = special_values(ty);
        for &a in &values {
            one(ty, a);
            for &b in &values {
                two(ty, a, b);
            }
        }
    }
}

#[test]
fn special_values_in_triples() {
    let mut stream = Stream(0x9e37_79b9_7f4a_7c15);
    for ty in FORMATS {
        let values = special_values(ty);
        for _ in 0..60_000 {
            three(ty, stream.pick(&values), stream.pick(&values), stream.pick(&values));
        }
    }
}

/// Addends next to the negated product: all but the last bits cancel.
#[test]
fn cancelling_multiply_add() {
    let mut stream = Stream(0x0123_4567_89ab_cdef);
    for ty in FORMATS {
        for _ in 0..30_000 {
            let (a, b) = (stream.next() & ty.mask(), stream.next() & ty.mask());
            let product = float::mul(ty, a, b, FpAttr::DEFAULT, &mut environment());
            let addend = (product ^ ty.sign_bit()).wrapping_add(stream.next() % 3).wrapping_sub(1) & ty.mask();
            three(ty, a, b, addend);
        }
    }
}

#[test]
fn every_half_converts_and_rounds() {
    for a in 0..=0xffff {
        one(Type::F16, a);
    }
}

/// Square roots of binary16 and binary32 numbers by those of binary64, where the double rounding of a root is innocuous
/// (more than twice the digits and two).
#[test]
fn narrow_square_roots() {
    let singles = special_values(Type::F32);
    for a in (0..=0xffff).map(|a| (Type::F16, a)).chain(singles.into_iter().map(|a| (Type::F32, a))) {
        let (ty, a) = a;
        let wide = float::convert(ty, Type::F64, a, FpAttr::DEFAULT, &mut environment());
        let expected = f64::from_bits(wide).sqrt();
        let mut env = environment();
        let r = float::sqrt(ty, a, FpAttr::DEFAULT, &mut env);
        if expected.is_nan() {
            assert!(is_nan(ty, r), "sqrt {ty} {a:#x}");
            continue;
        }
        let narrowed: u128 = match ty {
            Type::F16 => {
                let half: Half = Double::from_bits(expected.to_bits().into()).convert(&mut false).value;
                half.to_bits()
            }
            _ => u128::from((expected as f32).to_bits()),
        };
        assert_eq!(u128::from(r), narrowed, "sqrt {ty} {a:#x}");
    }
}

/// The product of two binary32 numbers is exact in binary64: scaled up and rounded there, it says by itself whether it
/// is tiny after rounding without a limit to the exponent.
#[test]
fn tininess_is_detected_after_rounding() {
    let mut edges = 0;
    let mut check = |a: u32, b: u32| {
        let exact = f64::from(f32::from_bits(a)) * f64::from(f32::from_bits(b));
        let scaled = (exact * 2f64.powi(64)) as f32;
        let least_normal = f32::MIN_POSITIVE * 2f32.powi(64);
        let tiny = scaled.abs() < least_normal;
        let mut env = environment();
        let r = float::mul(Type::F32, a.into(), b.into(), FpAttr::DEFAULT, &mut env);
        let inexact = f64::from(f32::from_bits(r as u32)) != exact;
        let expected = u64::from(inexact) * (FpEnv::INEXACT | if tiny { FpEnv::UNDERFLOW } else { 0 });
        assert_eq!(env.flags, expected, "{a:#x} * {b:#x}");
        edges += u32::from(inexact && r as u32 & 0x7fff_ffff == 0x0080_0000);
    };
    // Factors (1 - i 2^-23) 2^-63 and (1 + j 2^-23) 2^-63: products on both sides of the least normal number.
    for i in 0..64u32 {
        for j in 0..128u32 {
            check(0x2000_0000 - i, 0x2000_0000 + j);
            check(0x2000_0000 - i, 0xa000_0000 + j);
        }
    }
    assert!(edges > 100, "{edges} products next to the least normal number");
}

/// As above at the other end: the exact product says whether it reaches the power of two above the greatest number.
#[test]
fn overflow_is_judged_after_rounding() {
    let mut edges = [0; 2];
    for i in 0..64u32 {
        for j in 0..128u32 {
            // Near 1 - i 2^-23 and 1 + j 2^-23, both times 2^64.
            let (a, b) = (0x5f80_0000 - i, 0x5f80_0000 + j);
            let exact = f64::from(f32::from_bits(a)) * f64::from(f32::from_bits(b));
            let limit = 2f64.powi(128);
            for (rounding, overflows) in [
                (Rounding::TowardZero, exact >= limit),
                (Rounding::Down, exact >= limit),
                (Rounding::Up, exact > f64::from(f32::MAX)),
                (Rounding::NearestEven, exact >= limit - 2f64.powi(103)),
            ] {
                let mut env = environment();
                let r = float::mul(Type::F32, a.into(), b.into(), attr(rounding), &mut env);
                assert_eq!(env.flags & FpEnv::OVERFLOW != 0, overflows, "{a:#x} * {b:#x} {rounding:?}");
                if r == infinity(Type::F32) - 1 && env.flags & FpEnv::INEXACT != 0 {
                    edges[usize::from(overflows)] += 1;
                }
            }
        }
    }
    assert!(edges.into_iter().all(|n| n > 10), "{edges:?} inexact results that are the greatest number");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn host_doubles(a: u64, b: u64, c: u64, near in -3i64..4) {
        // Half of the time the operands have close exponents, so that sums do more than copy one of them.
        for b in [b, (a as i64).wrapping_add(near << 52) as u64 ^ (b & ((1 << 52) - 1))] {
            let (x, y, z) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(c));
            let fp = FpAttr::DEFAULT;
            let mut env = environment();
            let cases = [
                (float::add(Type::F64, a, b, fp, &mut env), x + y),
                (float::sub(Type::F64, a, b, fp, &mut env), x - y),
                (float::mul(Type::F64, a, b, fp, &mut env), x * y),
                (float::div(Type::F64, a, b, fp, &mut env), x / y),
                (float::sqrt(Type::F64, a, fp, &mut env), x.sqrt()),
                (float::mul_add(Type::F64, a, b, c, fp, &mut env), x.mul_add(y, z)),
                (float::from_int_s(Type::I64, Type::F64, a, fp, &mut env), a as i64 as f64),
                (float::from_int_u(Type::I64, Type::F64, a, fp, &mut env), a as f64),
            ];
            for (ours, host) in cases {
                if host.is_nan() {
                    prop_assert_eq!(ours, 0x7ff8_0000_0000_0000);
                } else {
                    prop_assert_eq!(ours, host.to_bits());
                }
            }
            let truncate = fp.rounded(Rounding::TowardZero);
            if !x.is_nan() {
                prop_assert_eq!(float::to_int_s(Type::F64, Type::I64, a, truncate, &mut env), x as i64 as u64);
                prop_assert_eq!(float::to_int_u(Type::F64, Type::I32, a, truncate, &mut env), u64::from(x as u32));
                prop_assert_eq!(float::convert(Type::F64, Type::F32, a, fp, &mut env), u64::from((x as f32).to_bits()));
            }
        }
    }

    #[test]
    fn host_singles(a: u32, b: u32, c: u32, near in -3i32..4) {
        for b in [b, (a as i32).wrapping_add(near << 23) as u32 ^ (b & 0x7f_ffff)] {
            let (x, y, z) = (f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
            let fp = FpAttr::DEFAULT;
            let mut env = environment();
            let [p, q, s] = [a, b, c].map(u64::from);
            let cases = [
                (float::add(Type::F32, p, q, fp, &mut env), x + y),
                (float::sub(Type::F32, p, q, fp, &mut env), x - y),
                (float::mul(Type::F32, p, q, fp, &mut env), x * y),
                (float::div(Type::F32, p, q, fp, &mut env), x / y),
                (float::sqrt(Type::F32, p, fp, &mut env), x.sqrt()),
                (float::mul_add(Type::F32, p, q, s, fp, &mut env), x.mul_add(y, z)),
                (float::from_int_s(Type::I32, Type::F32, p, fp, &mut env), a as i32 as f32),
                (float::from_int_u(Type::I32, Type::F32, p, fp, &mut env), a as f32),
            ];
            for (ours, host) in cases {
                prop_assert_eq!(ours, if host.is_nan() { 0x7fc0_0000 } else { u64::from(host.to_bits()) });
            }
        }
    }

    #[test]
    fn reference_on_any_bits(a: u64, b: u64, c: u64, near in -3i64..4) {
        for ty in FORMATS {
            let (fraction, _) = widths(ty);
            let [a, c] = [a, c].map(|bits| bits & ty.mask());
            let close = (a.wrapping_add((near as u64) << fraction) ^ (b & ((1 << fraction) - 1))) & ty.mask();
            one(ty, a);
            two(ty, a, close);
            three(ty, a, b & ty.mask(), c);
            three(ty, a, close, c);
            integers(ty, b);
        }
        if a & (1 << 63) == 0 && !is_nan(Type::F64, a) && a > 1 << 60 && a < 0x7fe << 52 {
            root(a);
        }
    }

    /// Integers with few significant bits, where conversions tie.
    #[test]
    fn integers_near_ties(bits in 1u64..16, shift in 0u32..64, near in -2i64..3) {
        for ty in FORMATS {
            integers(ty, (bits << shift).wrapping_add(near as u64));
        }
    }

    /// Which NaN comes out does not change whether one does.
    #[test]
    fn nan_rules_agree_on_numbers(a: u64, b: u64, c: u64) {
        for nan in [NanRule::Arm, NanRule::X86] {
            let (mut canonical, mut other) = (environment(), environment());
            let fp = FpAttr { nan, ..FpAttr::DEFAULT };
            let x = float::mul_add(Type::F64, a, b, c, FpAttr::DEFAULT, &mut canonical);
            let y = float::mul_add(Type::F64, a, b, c, fp, &mut other);
            prop_assert!(x == y || is_nan(Type::F64, x) && is_nan(Type::F64, y));
            prop_assert_eq!(canonical, other);
        }
    }
}

#[test]
fn square_roots_of_special_values() {
    let usable = |a: &u64| *a > 0x0010_0000_0000_0000 && *a < infinity(Type::F64);
    let mut roots = 0;
    for a in special_values(Type::F64).into_iter().filter(usable) {
        root(a);
        roots += 1;
    }
    assert!(roots > 100);
}
