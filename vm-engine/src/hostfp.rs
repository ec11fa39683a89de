//! Floating-point ops by the host's own instructions, with exact flags.
//!
//! Each function computes what the function of the same name in [`eval::float`](vm_ir::eval::float) defines, but raises
//! its flags in the host's status register (MXCSR) instead of an environment. It gives `None` where the host has no such
//! instruction: formats, roundings and NaN rules other than the common ones, and hosts other than x86-64. With constant
//! types and attributes that choice costs nothing.
//!
//! The flags of a run are the union of those in the guest's state and those in the host's register: [`begin`] drops what
//! is not the guest's, [`raised`] reads the register, [`replace`] goes with a write of the state's flags, and foreign code
//! in between runs inside [`suspend`].
//!
//! The assembly here does not promise to preserve the status flags, so the compiler expects them to change. Control bits
//! keep the values that Rust code needs: every exception masked, round to nearest even, subnormals respected.

use vm_ir::{FpAttr, NanRule, OverflowRule, Rounding, Type, eval::FpEnv};

#[cfg(feature = "jit")]
pub(crate) use host::has_fma;

/// Whether ops that round as `fp` says can be left to the host.
#[inline(always)]
const fn plain(fp: FpAttr) -> bool {
    cfg!(target_arch = "x86_64") && matches!(fp.rounding, Rounding::NearestEven) && matches!(fp.nan, NanRule::Canonical)
}

#[cfg(not(target_arch = "x86_64"))]
mod host {
    /// Stands where the host's instructions would.
    macro_rules! nothing {
        ($($name:ident($($arg:ident: $ty:ty),*) -> $result:ty;)*) => {
            $(pub(crate) fn $name($($arg: $ty),*) -> $result {
                let _ = ($($arg,)*);
                unreachable!("every caller asks for x86-64 first")
            })*
        };
    }
    pub(super) const DEFAULT: u32 = 0;
    /// The register holds no modes.
    pub(super) const RAISED: u32 = u32::MAX;
    nothing! {
        add_f32(a: u64, b: u64) -> u64; add_f64(a: u64, b: u64) -> u64;
        sub_f32(a: u64, b: u64) -> u64; sub_f64(a: u64, b: u64) -> u64;
        mul_f32(a: u64, b: u64) -> u64; mul_f64(a: u64, b: u64) -> u64;
        div_f32(a: u64, b: u64) -> u64; div_f64(a: u64, b: u64) -> u64;
        sqrt_f32(a: u64) -> u64; sqrt_f64(a: u64) -> u64;
        widen(a: u64) -> u64; narrow(a: u64) -> u64;
        fma_f32(a: u64, b: u64, c: u64) -> u64; fma_f64(a: u64, b: u64, c: u64) -> u64;
        compare_f32(a: u64, b: u64, signaling: bool) -> Comparison;
        compare_f64(a: u64, b: u64, signaling: bool) -> Comparison;
        truncate_f32_i32(a: u64) -> u64; truncate_f32_i64(a: u64) -> u64;
        truncate_f64_i32(a: u64) -> u64; truncate_f64_i64(a: u64) -> u64;
        nearest_f32_i32(a: u64) -> u64; nearest_f32_i64(a: u64) -> u64;
        nearest_f64_i32(a: u64) -> u64; nearest_f64_i64(a: u64) -> u64;
        from_i32_f32(a: u64) -> u64; from_i64_f32(a: u64) -> u64;
        from_i32_f64(a: u64) -> u64; from_i64_f64(a: u64) -> u64;
        raise_invalid() -> ();
        has_fma() -> bool;
    }
    pub(super) struct Comparison {
        pub(super) less: bool,
        pub(super) equal: bool,
        pub(super) unordered: bool,
    }

    /// The status register: FPSR on Arm, nothing elsewhere.
    pub(super) fn status() -> u32 {
        #[cfg(target_arch = "aarch64")]
        {
            let status: u64;
            // SAFETY: reads a register.
            unsafe { std::arch::asm!("mrs {}, fpsr", out(reg) status, options(nomem, nostack, preserves_flags)) };
            status as u32
        }
        #[cfg(not(target_arch = "aarch64"))]
        DEFAULT
    }

    /// Replaces the status register.
    pub(super) fn set_status(status: u32) {
        #[cfg(target_arch = "aarch64")]
        // SAFETY: FPSR holds sticky flags and no control.
        unsafe {
            std::arch::asm!("msr fpsr, {}", in(reg) u64::from(status), options(nomem, nostack))
        };
        #[cfg(not(target_arch = "aarch64"))]
        let _ = status;
    }

    /// The flags in a value of the status register (Arm ARM, "FPSR": invalid, zero divide, overflow, underflow, inexact
    /// from bit 0 on), as [`FpEnv::flags`](vm_ir::eval::FpEnv::flags).
    pub(super) const fn flags(status: u32) -> u64 {
        (status & 31).reverse_bits() as u64 >> 27
    }
}

#[cfg(target_arch = "x86_64")]
mod host {
    use std::arch::asm;

    use vm_ir::eval::FpEnv;

    /// MXCSR at program start: no flags, everything masked, round to nearest even (Intel SDM, volume 1, "MXCSR Control
    /// and Status Register").
    pub(super) const DEFAULT: u32 = 0x1f80;

    /// The bits that say what was raised.
    pub(crate) const RAISED: u32 = 0x3f;

    /// The status register.
    #[inline(always)]
    pub(super) fn status() -> u32 {
        let mut status = 0u32;
        // SAFETY: writes the four bytes it is given.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut status, options(nostack, preserves_flags)) };
        status
    }

    /// Replaces the status register.
    #[inline(always)]
    pub(super) fn set_status(status: u32) {
        // SAFETY: callers pass values whose control bits are those that Rust code needs, or that were there before.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const status, options(nostack, readonly)) };
    }

    /// The flags in a value of the status register, as [`FpEnv::flags`].
    #[inline(always)]
    pub(super) const fn flags(status: u32) -> u64 {
        let mut flags = 0;
        let table = [
            (0, FpEnv::INVALID),
            (2, FpEnv::DIVIDE_BY_ZERO),
            (3, FpEnv::OVERFLOW),
            (4, FpEnv::UNDERFLOW),
            (5, FpEnv::INEXACT),
        ];
        let mut at = 0;
        while at < table.len() {
            let (bit, flag) = table[at];
            if status >> bit & 1 != 0 {
                flags |= flag;
            }
            at += 1;
        }
        flags
    }

    macro_rules! single {
        ($value:expr) => {
            f32::from_bits($value as u32)
        };
    }
    macro_rules! double {
        ($value:expr) => {
            f64::from_bits($value)
        };
    }

    /// Two operands, one result of their format.
    macro_rules! binary {
        ($($name:ident $as_float:ident $asm:literal;)*) => {
            $(#[inline(always)]
            pub(super) fn $name(a: u64, b: u64) -> u64 {
                let mut value = $as_float!(a);
                // SAFETY: computes on registers; the status flags that it raises are declared to change.
                unsafe {
                    asm!(
                        concat!($asm, " {}, {}"),
                        inout(xmm_reg) value,
                        in(xmm_reg) $as_float!(b),
                        options(nomem, nostack)
                    );
                }
                u64::from(value.to_bits())
            })*
        };
    }
    binary! {
        add_f32 single "addss";
        add_f64 double "addsd";
        sub_f32 single "subss";
        sub_f64 double "subsd";
        mul_f32 single "mulss";
        mul_f64 double "mulsd";
        div_f32 single "divss";
        div_f64 double "divsd";
    }

    /// One operand, one result in a vector register.
    macro_rules! unary {
        ($($name:ident $as_float:ident $result:ident $asm:literal;)*) => {
            $(#[inline(always)]
            pub(super) fn $name(a: u64) -> u64 {
                let value: $result;
                // SAFETY: as for the binary ones.
                unsafe {
                    asm!(
                        concat!($asm, " {}, {}"),
                        out(xmm_reg) value,
                        in(xmm_reg) $as_float!(a),
                        options(nomem, nostack)
                    );
                }
                u64::from(value.to_bits())
            })*
        };
    }
    unary! {
        sqrt_f32 single f32 "sqrtss";
        sqrt_f64 double f64 "sqrtsd";
        widen single f64 "cvtss2sd";
        narrow double f32 "cvtsd2ss";
    }

    /// `a * b + c`; only where [`has_fma`] says so.
    macro_rules! fma {
        ($($name:ident $as_float:ident $asm:literal;)*) => {
            $(#[inline(always)]
            pub(super) fn $name(a: u64, b: u64, c: u64) -> u64 {
                let mut value = $as_float!(a);
                // SAFETY: as for the binary ones; the caller has seen that the processor has the instruction.
                unsafe {
                    asm!(
                        concat!($asm, " {}, {}, {}"),
                        inout(xmm_reg) value,
                        in(xmm_reg) $as_float!(b),
                        in(xmm_reg) $as_float!(c),
                        options(nomem, nostack)
                    );
                }
                u64::from(value.to_bits())
            })*
        };
    }
    fma! {
        fma_f32 single "vfmadd213ss";
        fma_f64 double "vfmadd213sd";
    }

    /// Whether the processor multiplies and adds in one step.
    #[inline(always)]
    pub(crate) fn has_fma() -> bool {
        std::arch::is_x86_feature_detected!("fma")
    }

    /// A floating-point number to an integer; all but the sign bit clear if it does not fit.
    macro_rules! to_int {
        ($($name:ident $as_float:ident $modifier:literal $asm:literal;)*) => {
            $(#[inline(always)]
            pub(super) fn $name(a: u64) -> u64 {
                let value: u64;
                // SAFETY: as for the binary ones. A 32-bit result clears the upper half.
                unsafe {
                    asm!(
                        concat!($asm, " {", $modifier, "}, {}"),
                        out(reg) value,
                        in(xmm_reg) $as_float!(a),
                        options(nomem, nostack)
                    );
                }
                value
            })*
        };
    }
    to_int! {
        truncate_f32_i32 single ":e" "cvttss2si";
        truncate_f32_i64 single ":r" "cvttss2si";
        truncate_f64_i32 double ":e" "cvttsd2si";
        truncate_f64_i64 double ":r" "cvttsd2si";
        nearest_f32_i32 single ":e" "cvtss2si";
        nearest_f32_i64 single ":r" "cvtss2si";
        nearest_f64_i32 double ":e" "cvtsd2si";
        nearest_f64_i64 double ":r" "cvtsd2si";
    }

    /// A signed integer to a floating-point number.
    macro_rules! from_int {
        ($($name:ident $result:ident $modifier:literal $asm:literal;)*) => {
            $(#[inline(always)]
            pub(super) fn $name(a: u64) -> u64 {
                let mut value: $result = 0.0;
                // SAFETY: as for the binary ones.
                unsafe {
                    asm!(
                        concat!($asm, " {}, {", $modifier, "}"),
                        inout(xmm_reg) value,
                        in(reg) a,
                        options(nomem, nostack)
                    );
                }
                u64::from(value.to_bits())
            })*
        };
    }
    from_int! {
        from_i32_f32 f32 ":e" "cvtsi2ss";
        from_i64_f32 f32 ":r" "cvtsi2ss";
        from_i32_f64 f64 ":e" "cvtsi2sd";
        from_i64_f64 f64 ":r" "cvtsi2sd";
    }

    /// How two numbers compare.
    pub(super) struct Comparison {
        pub(super) less: bool,
        pub(super) equal: bool,
        pub(super) unordered: bool,
    }

    macro_rules! compare {
        ($($name:ident $as_float:ident $quiet:literal $signaling:literal;)*) => {
            $(#[inline(always)]
            pub(super) fn $name(a: u64, b: u64, signaling: bool) -> Comparison {
                let (less, zero, unordered): (u8, u8, u8);
                macro_rules! run {
                    ($asm:literal) => {
                        // SAFETY: as for the binary ones.
                        unsafe {
                            asm!(
                                concat!($asm, " {b}, {a}"), // above: a is less than b; never if unordered
                                "seta {less}",
                                "sete {zero}",
                                "setp {unordered}",
                                a = in(xmm_reg) $as_float!(a),
                                b = in(xmm_reg) $as_float!(b),
                                less = out(reg_byte) less,
                                zero = out(reg_byte) zero,
                                unordered = out(reg_byte) unordered,
                                options(nomem, nostack)
                            )
                        }
                    };
                }
                if signaling { run!($signaling) } else { run!($quiet) }
                Comparison { less: less != 0, equal: zero > unordered, unordered: unordered != 0 }
            })*
        };
    }
    compare! {
        compare_f32 single "ucomiss" "comiss";
        compare_f64 double "ucomisd" "comisd";
    }

    /// Raises *invalid*.
    #[inline(always)]
    pub(super) fn raise_invalid() {
        // Zero by zero is invalid and nothing else.
        div_f64(0, 0);
    }
}

/// Bits of the canonical NaN of `ty`, a format that the host has.
const fn canonical_nan(ty: Type) -> u64 {
    if matches!(ty, Type::F32) { 0x7fc0_0000 } else { 0x7ff8_0000_0000_0000 }
}

/// Bits of positive infinity.
const fn infinity(ty: Type) -> u64 {
    if matches!(ty, Type::F32) { 0x7f80_0000 } else { 0x7ff0_0000_0000_0000 }
}

/// The quiet bit of a NaN.
const fn quiet_bit(ty: Type) -> u64 {
    canonical_nan(ty) ^ infinity(ty)
}

#[inline(always)]
const fn is_nan(ty: Type, a: u64) -> bool {
    a & !ty.sign_bit() > infinity(ty)
}

/// Whether the bits `a` are a signalling NaN of `ty`, single or double.
#[inline(always)]
pub(crate) const fn is_signaling(ty: Type, a: u64) -> bool {
    is_nan(ty, a) && a & quiet_bit(ty) == 0
}

/// `value` with the canonical NaN in place of any other.
#[inline(always)]
const fn canonical(ty: Type, value: u64) -> u64 {
    if is_nan(ty, value) { canonical_nan(ty) } else { value }
}

/// Functions of two operands that round.
macro_rules! arithmetic {
    ($($name:ident $single:ident $double:ident;)*) => {
        $(
            #[doc = concat!("As [`eval::float::", stringify!($name), "`](vm_ir::eval::float::", stringify!($name), ").")]
            #[inline(always)]
            pub(crate) fn $name(ty: Type, a: u64, b: u64, fp: FpAttr) -> Option<u64> {
                match ty {
                    Type::F32 if plain(fp) => Some(canonical(ty, host::$single(a, b))),
                    Type::F64 if plain(fp) => Some(canonical(ty, host::$double(a, b))),
                    _ => None,
                }
            }
        )*
    };
}
arithmetic! {
    add add_f32 add_f64;
    sub sub_f32 sub_f64;
    mul mul_f32 mul_f64;
    div div_f32 div_f64;
}

/// As [`eval::float::sqrt`](vm_ir::eval::float::sqrt).
#[inline(always)]
pub(crate) fn sqrt(ty: Type, a: u64, fp: FpAttr) -> Option<u64> {
    match ty {
        Type::F32 if plain(fp) => Some(canonical(ty, host::sqrt_f32(a))),
        Type::F64 if plain(fp) => Some(canonical(ty, host::sqrt_f64(a))),
        _ => None,
    }
}

/// As [`eval::float::mul_add`](vm_ir::eval::float::mul_add).
#[inline(always)]
pub(crate) fn mul_add(ty: Type, a: u64, b: u64, c: u64, fp: FpAttr) -> Option<u64> {
    if !plain(fp) || !host::has_fma() {
        return None;
    }
    let value = match ty {
        Type::F32 => host::fma_f32(a, b, c),
        Type::F64 => host::fma_f64(a, b, c),
        _ => return None,
    };
    if !is_nan(ty, value) {
        return Some(value);
    }
    // Infinity times zero plus a quiet NaN is invalid by the definition and not on the host.
    let magnitudes = [a & !ty.sign_bit(), b & !ty.sign_bit()];
    if is_nan(ty, c) && magnitudes.contains(&0) && magnitudes.contains(&infinity(ty)) {
        host::raise_invalid();
    }
    Some(canonical_nan(ty))
}

/// Minimum, or maximum if `max`, by the rule that a NaN loses against a number and -0 is less than +0.
#[inline(always)]
fn number_min_max(ty: Type, a: u64, b: u64, max: bool, fp: FpAttr) -> Option<u64> {
    use vm_ir::MinMaxRule;
    if !cfg!(target_arch = "x86_64")
        || !matches!(ty, Type::F32 | Type::F64)
        || !matches!(fp.min_max, MinMaxRule::Number)
        || !matches!(fp.nan, NanRule::Canonical)
    {
        return None;
    }
    if is_signaling(ty, a) || is_signaling(ty, b) {
        host::raise_invalid();
    }
    Some(match (is_nan(ty, a), is_nan(ty, b)) {
        (true, true) => canonical_nan(ty),
        (true, false) => b,
        (false, true) => a,
        (false, false) => {
            // As integers, numbers of one sign are in order, negative ones in reverse.
            let rank = |x: u64| if x & ty.sign_bit() != 0 { !x & ty.mask() } else { x | ty.sign_bit() };
            if (rank(a) < rank(b)) != max { a } else { b }
        }
    })
}

/// As [`eval::float::min`](vm_ir::eval::float::min).
#[inline(always)]
pub(crate) fn min(ty: Type, a: u64, b: u64, fp: FpAttr) -> Option<u64> {
    number_min_max(ty, a, b, false, fp)
}

/// As [`eval::float::max`](vm_ir::eval::float::max).
#[inline(always)]
pub(crate) fn max(ty: Type, a: u64, b: u64, fp: FpAttr) -> Option<u64> {
    number_min_max(ty, a, b, true, fp)
}

#[inline(always)]
fn compare(ty: Type, a: u64, b: u64, signaling: bool) -> Option<host::Comparison> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    match ty {
        Type::F32 => Some(host::compare_f32(a, b, signaling)),
        Type::F64 => Some(host::compare_f64(a, b, signaling)),
        _ => None,
    }
}

/// As [`eval::float::eq`](vm_ir::eval::float::eq).
#[inline(always)]
pub(crate) fn eq(ty: Type, a: u64, b: u64, signaling: bool) -> Option<bool> {
    compare(ty, a, b, signaling).map(|found| found.equal)
}

/// As [`eval::float::lt`](vm_ir::eval::float::lt).
#[inline(always)]
pub(crate) fn lt(ty: Type, a: u64, b: u64, signaling: bool) -> Option<bool> {
    compare(ty, a, b, signaling).map(|found| found.less)
}

/// As [`eval::float::le`](vm_ir::eval::float::le).
#[inline(always)]
pub(crate) fn le(ty: Type, a: u64, b: u64, signaling: bool) -> Option<bool> {
    compare(ty, a, b, signaling).map(|found| found.less || found.equal)
}

/// As [`eval::float::unordered`](vm_ir::eval::float::unordered).
#[inline(always)]
pub(crate) fn unordered(ty: Type, a: u64, b: u64, signaling: bool) -> Option<bool> {
    compare(ty, a, b, signaling).map(|found| found.unordered)
}

/// As [`eval::float::to_int_s`](vm_ir::eval::float::to_int_s), for rounding toward zero and to nearest even.
#[inline(always)]
pub(crate) fn to_int_s(from: Type, to: Type, a: u64, fp: FpAttr) -> Option<u64> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let value = match (from, to, fp.rounding) {
        (Type::F32, Type::I32, Rounding::TowardZero) => host::truncate_f32_i32(a),
        (Type::F32, Type::I64, Rounding::TowardZero) => host::truncate_f32_i64(a),
        (Type::F64, Type::I32, Rounding::TowardZero) => host::truncate_f64_i32(a),
        (Type::F64, Type::I64, Rounding::TowardZero) => host::truncate_f64_i64(a),
        (Type::F32, Type::I32, Rounding::NearestEven) => host::nearest_f32_i32(a),
        (Type::F32, Type::I64, Rounding::NearestEven) => host::nearest_f32_i64(a),
        (Type::F64, Type::I32, Rounding::NearestEven) => host::nearest_f64_i32(a),
        (Type::F64, Type::I64, Rounding::NearestEven) => host::nearest_f64_i64(a),
        _ => return None,
    };
    if value != to.sign_bit() {
        return Some(value);
    }
    // The least integer, or what stands for no integer.
    let negative = a & from.sign_bit() != 0;
    Some(match fp.overflow {
        OverflowRule::Indefinite => value,
        OverflowRule::SaturateNanMax | OverflowRule::SaturateNanZero if !is_nan(from, a) => {
            if negative {
                value
            } else {
                value - 1
            }
        }
        OverflowRule::SaturateNanMax => value - 1,
        OverflowRule::SaturateNanZero => 0,
    })
}

/// As [`eval::float::to_int_u`](vm_ir::eval::float::to_int_u), for rounding toward zero.
#[inline(always)]
pub(crate) fn to_int_u(from: Type, to: Type, a: u64, fp: FpAttr) -> Option<u64> {
    if !cfg!(target_arch = "x86_64")
        || !matches!(fp.rounding, Rounding::TowardZero)
        || !matches!(fp.overflow, OverflowRule::SaturateNanMax)
    {
        return None;
    }
    // The bits of 1 and of the least power of two that does not fit.
    let (one, bound) = match (from, to) {
        (Type::F32, Type::I32) => (0x3f80_0000, 0x4f80_0000),
        (Type::F32, Type::I64) => (0x3f80_0000, 0x5f80_0000),
        (Type::F64, Type::I32) => (0x3ff0_0000_0000_0000, 0x41f0_0000_0000_0000),
        (Type::F64, Type::I64) => (0x3ff0_0000_0000_0000, 0x43f0_0000_0000_0000),
        _ => return None,
    };
    let magnitude = a & !from.sign_bit();
    let negative = magnitude != a;
    if is_nan(from, a) || magnitude >= if negative { one } else { bound } {
        host::raise_invalid();
        return Some(if negative && !is_nan(from, a) { 0 } else { to.mask() });
    }
    let truncate = |a| if matches!(from, Type::F32) { host::truncate_f32_i64(a) } else { host::truncate_f64_i64(a) };
    // From 2^63 on every number is an integer: subtracting that is exact and brings it into the signed range.
    let (half, sub): (u64, fn(u64, u64) -> u64) = match from {
        Type::F32 => (0x5f00_0000, host::sub_f32),
        _ => (0x43e0_0000_0000_0000, host::sub_f64),
    };
    Some(if magnitude >= half && !negative { truncate(sub(a, half)) ^ 1 << 63 } else { truncate(a) })
}

/// As [`eval::float::from_int_s`](vm_ir::eval::float::from_int_s).
#[inline(always)]
pub(crate) fn from_int_s(from: Type, to: Type, a: u64, fp: FpAttr) -> Option<u64> {
    if !cfg!(target_arch = "x86_64") || !matches!(fp.rounding, Rounding::NearestEven) {
        return None;
    }
    match (from, to) {
        (Type::I32, Type::F32) => Some(host::from_i32_f32(a)),
        (Type::I64, Type::F32) => Some(host::from_i64_f32(a)),
        (Type::I32, Type::F64) => Some(host::from_i32_f64(a)),
        (Type::I64, Type::F64) => Some(host::from_i64_f64(a)),
        _ => None,
    }
}

/// As [`eval::float::from_int_u`](vm_ir::eval::float::from_int_u).
#[inline(always)]
pub(crate) fn from_int_u(from: Type, to: Type, a: u64, fp: FpAttr) -> Option<u64> {
    let a = a & from.mask();
    if a >> 63 == 0 {
        return from_int_s(Type::I64, to, a, fp);
    }
    // Half of it, with the bit that is lost kept as a sticky one, rounds alike; doubling is exact.
    let half = from_int_s(Type::I64, to, a >> 1 | a & 1, fp)?;
    add(to, half, half, FpAttr::DEFAULT)
}

/// As [`eval::float::convert`](vm_ir::eval::float::convert).
#[inline(always)]
pub(crate) fn convert(from: Type, to: Type, a: u64, fp: FpAttr) -> Option<u64> {
    match (from, to) {
        (Type::F32, Type::F64) if plain(fp) => Some(canonical(to, host::widen(a))),
        (Type::F64, Type::F32) if plain(fp) => Some(canonical(to, host::narrow(a))),
        _ => None,
    }
}

/// Gives the calling thread the modes that Rust code and the guest need, if it has others: another rounding, subnormals
/// as zeros, exceptions that trap. Gives its own status then, for [`restore_modes`].
#[inline]
#[must_use]
pub(crate) fn set_modes() -> Option<u32> {
    let status = host::status();
    let others = status & !host::RAISED != host::DEFAULT;
    others.then(|| {
        host::set_status(host::DEFAULT);
        status
    })
}

/// Gives the calling thread the modes back that it had before [`set_modes`].
#[inline]
pub(crate) fn restore_modes(modes: Option<u32>) {
    if let Some(status) = modes {
        restore(status);
    }
}

/// From now on the host's status flags are the guest's: none is raised but those of `known`, which the guest's state holds
/// already. Foreign code may raise any afterwards, as long as the next run begins here.
///
/// Writing the register costs far more than reading it, so that flags once raised are left where they are.
#[inline]
pub(crate) fn begin(known: u64) {
    replace(known);
}

/// The flags raised since [`begin`], and perhaps some that the guest's state held then, in the layout of
/// [`CpuState::fp_flags`](vm_core::CpuState::fp_flags).
#[inline]
#[must_use]
pub(crate) fn raised() -> u64 {
    host::flags(host::status())
}

/// Drops what was raised, for a guest whose state holds `flags` and no others from now on.
#[inline]
pub(crate) fn replace(flags: u64) {
    if raised() & !flags != 0 {
        host::set_status(host::DEFAULT);
    }
}

#[cfg(all(feature = "jit", target_arch = "x86_64"))]
pub(crate) use host::RAISED;

/// The flags for each value of the bits [`RAISED`] of the host's status, in the layout of [`CpuState::fp_flags`](vm_core::CpuState::fp_flags).
#[cfg(all(feature = "jit", target_arch = "x86_64"))]
pub(crate) static FLAGS: [u8; RAISED as usize + 1] = {
    let mut flags = [0; RAISED as usize + 1];
    let mut status = 0;
    while status < flags.len() {
        flags[status] = host::flags(status as u32) as u8;
        status += 1;
    }
    flags
};

/// Gives the host's status register back a value that it had before.
#[inline]
pub(crate) fn restore(status: u32) {
    host::set_status(status);
}

/// Runs `foreign`, whose floating-point operations are not the guest's, and drops the flags that it raises.
#[inline]
pub(crate) fn suspend<R>(foreign: impl FnOnce() -> R) -> R {
    let status = host::status();
    let result = foreign();
    if host::status() != status {
        host::set_status(status);
    }
    result
}

// The layout of the flags is the state's and the definition's alike.
const _: () = assert!(FpEnv::INEXACT == 1 && FpEnv::INVALID == 16);

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
