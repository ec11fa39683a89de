//! Integer ops that need more than one expression.

use crate::types::Type;

/// A shift or rotation amount modulo the width of `ty`.
#[inline]
#[must_use]
pub const fn amount(ty: Type, b: u64) -> u32 {
    b as u32 & (ty.bits() - 1)
}

/// [`Op::MulHighS`](crate::Op::MulHighS).
#[inline]
#[must_use]
pub const fn mul_high_s(ty: Type, a: u64, b: u64) -> u64 {
    let product = ty.sign_extend(a) as i128 * ty.sign_extend(b) as i128;
    (product >> ty.bits()) as u64 & ty.mask()
}

/// [`Op::MulHighU`](crate::Op::MulHighU).
#[inline]
#[must_use]
pub const fn mul_high_u(ty: Type, a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) >> ty.bits()) as u64
}

/// [`Op::MulHighSU`](crate::Op::MulHighSU).
#[inline]
#[must_use]
pub const fn mul_high_su(ty: Type, a: u64, b: u64) -> u64 {
    let product = (ty.sign_extend(a) as i128).wrapping_mul(b as i128);
    (product >> ty.bits()) as u64 & ty.mask()
}

/// [`Op::DivS`](crate::Op::DivS).
#[inline]
#[must_use]
pub const fn div_s(ty: Type, a: u64, b: u64) -> u64 {
    if b == 0 {
        return ty.mask();
    }
    ty.sign_extend(a).wrapping_div(ty.sign_extend(b)) as u64 & ty.mask()
}

/// [`Op::DivU`](crate::Op::DivU).
#[inline]
#[must_use]
pub const fn div_u(ty: Type, a: u64, b: u64) -> u64 {
    match a.checked_div(b) {
        Some(quotient) => quotient,
        None => ty.mask(),
    }
}

/// [`Op::RemS`](crate::Op::RemS).
#[inline]
#[must_use]
pub const fn rem_s(ty: Type, a: u64, b: u64) -> u64 {
    if b == 0 {
        return a;
    }
    ty.sign_extend(a).wrapping_rem(ty.sign_extend(b)) as u64 & ty.mask()
}

/// [`Op::RemU`](crate::Op::RemU).
#[inline]
#[must_use]
pub const fn rem_u(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { a % b }
}

/// [`Op::CarryAdd`](crate::Op::CarryAdd).
#[inline]
#[must_use]
pub const fn carry_add(ty: Type, a: u64, b: u64, carry: u64) -> u64 {
    ((a as u128 + b as u128 + carry as u128) >> ty.bits()) as u64
}

/// [`Op::OverflowAdd`](crate::Op::OverflowAdd).
#[inline]
#[must_use]
pub const fn overflow_add(ty: Type, a: u64, b: u64, carry: u64) -> u64 {
    let sum = ty.sign_extend(a) as i128 + ty.sign_extend(b) as i128 + carry as i128;
    (sum != ty.sign_extend(sum as u64) as i128) as u64
}

/// [`Op::BorrowSub`](crate::Op::BorrowSub).
#[inline]
#[must_use]
pub const fn borrow_sub(_ty: Type, a: u64, b: u64, borrow: u64) -> u64 {
    ((a as u128) < b as u128 + borrow as u128) as u64
}

/// [`Op::OverflowSub`](crate::Op::OverflowSub).
#[inline]
#[must_use]
pub const fn overflow_sub(ty: Type, a: u64, b: u64, borrow: u64) -> u64 {
    let difference = ty.sign_extend(a) as i128 - ty.sign_extend(b) as i128 - borrow as i128;
    (difference != ty.sign_extend(difference as u64) as i128) as u64
}

/// [`Op::RotL`](crate::Op::RotL).
#[inline]
#[must_use]
pub const fn rot_l(ty: Type, a: u64, b: u64) -> u64 {
    match amount(ty, b) {
        0 => a,
        by => (a << by | a >> (ty.bits() - by)) & ty.mask(),
    }
}

/// [`Op::RotR`](crate::Op::RotR).
#[inline]
#[must_use]
pub const fn rot_r(ty: Type, a: u64, b: u64) -> u64 {
    match amount(ty, b) {
        0 => a,
        by => (a >> by | a << (ty.bits() - by)) & ty.mask(),
    }
}

/// The 127-bit carry-less product.
#[must_use]
pub const fn clmul(a: u64, b: u64) -> u128 {
    let mut product = 0;
    let mut bit = 0;
    while bit < 64 {
        if b >> bit & 1 != 0 {
            product ^= (a as u128) << bit;
        }
        bit += 1;
    }
    product
}
