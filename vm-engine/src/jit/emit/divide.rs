//! Division: what hosts stop at, and divisors that are known, by which a product and a few shifts divide.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value as ClifValue, types};
use vm_ir::{Block, Inst, Op, Type};

use super::{Emitter, clif_type};

/// How a number of `bits` bits is divided by one that is known: the upper half of a product, shifted. After T. Granlund and
/// P. L. Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994, sections 4 and 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reciprocal {
    /// By which the dividend is multiplied. Of unsigned division, or of signed division by the divisor's magnitude.
    multiplier: u64,
    /// Bits by which the dividend is shifted down before; only of unsigned division.
    before: u32,
    /// Whether the multiplier lacks its bit above the word's width: the dividend is to be added to the upper half.
    adds: bool,
    /// Bits by which the upper half is shifted down.
    after: u32,
}

/// The least `n` for which `divisor` is at most `1 << n`.
const fn ceil_log2(divisor: u64) -> u32 {
    64 - (divisor - 1).leading_zeros()
}

impl Reciprocal {
    /// For unsigned dividends of `bits` bits; `divisor` is not zero.
    fn unsigned(divisor: u64, bits: u32) -> Self {
        let even = divisor.trailing_zeros();
        let plain = [0, even].into_iter().find_map(|before| {
            let divisor = divisor >> before;
            (0..=ceil_log2(divisor)).take_while(|after| bits + after < 128).find_map(|after| {
                let (multiplier, excess) = rounded_up(divisor, bits + after);
                let fits = multiplier >> bits == 0 && excess <= 1 << (after + before);
                fits.then_some(Self { multiplier: multiplier as u64, before, adds: false, after })
            })
        });
        plain.unwrap_or_else(|| {
            let after = ceil_log2(divisor);
            let above = ((1u128 << after) - u128::from(divisor)) << bits;
            Self { multiplier: (above / u128::from(divisor)) as u64 + 1, before: 0, adds: true, after }
        })
    }

    /// For signed dividends of `bits` bits and the `magnitude` of a divisor, which is at least 2.
    fn signed(magnitude: u64, bits: u32) -> Self {
        for after in 0..bits - 1 {
            // More than the quotient in any case, so that products of negative dividends round as they should.
            let multiplier = (1u128 << (bits + after)) / u128::from(magnitude) + 1;
            let excess = multiplier * u128::from(magnitude) - (1 << (bits + after));
            if multiplier >> bits == 0 && excess <= 2 << after {
                let multiplier = multiplier as u64;
                return Self { multiplier, before: 0, adds: multiplier >> (bits - 1) != 0, after };
            }
        }
        unreachable!("the last of these always fits")
    }
}

/// `1 << power` divided by `divisor`, rounded up, and by how much its product with the divisor is more than that.
fn rounded_up(divisor: u64, power: u32) -> (u128, u128) {
    let (whole, divisor) = (1u128 << power, u128::from(divisor));
    let quotient = whole.div_ceil(divisor);
    (quotient, quotient * divisor - whole)
}

/// The divisor of `inst`, if it is a constant by which every host divides as guests do: none of 0, 1 and -1.
fn fixed_divisor(block: &Block, inst: &Inst) -> Option<u64> {
    let divisor = block.def(inst.args[1]);
    let bits = divisor.imm as u64 & inst.ty.mask();
    let is_word = matches!(inst.ty, Type::I32 | Type::I64);
    (divisor.op == Op::Const && is_word && bits > 1 && bits != inst.ty.mask()).then_some(bits)
}

impl Emitter<'_, '_> {
    /// `b`, or 1 where the host's division would stop: at zero, and for signed division at -1.
    fn safe_divisor(&mut self, b: ClifValue, ty: Type, signed: bool) -> ClifValue {
        let one = self.iconst(clif_type(ty), 1);
        let unsafe_divisor = if signed {
            let next = self.ir.ins().iadd(b, one);
            self.ir.ins().icmp(IntCC::UnsignedLessThanOrEqual, next, one)
        } else {
            let zero = self.iconst(clif_type(ty), 0);
            self.ir.ins().icmp(IntCC::Equal, b, zero)
        };
        self.ir.ins().select(unsafe_divisor, one, b)
    }

    pub(super) fn div_s(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        if let Some(divisor) = fixed_divisor(self.block, inst) {
            return self.quotient(a, divisor, inst.ty, true);
        }
        let divisor = self.safe_divisor(b, inst.ty, true);
        let quotient = self.ir.ins().sdiv(a, divisor);
        // By -1 the quotient is the negated dividend, wrapping for the most negative one.
        let negated = self.ir.ins().ineg(a);
        let by_minus_one = self.is(b, inst.ty, -1);
        let quotient = self.ir.ins().select(by_minus_one, negated, quotient);
        let by_zero = self.is(b, inst.ty, 0);
        let ones = self.iconst(clif_type(inst.ty), -1);
        self.ir.ins().select(by_zero, ones, quotient)
    }

    pub(super) fn div_u(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        if let Some(divisor) = fixed_divisor(self.block, inst) {
            return self.quotient(a, divisor, inst.ty, false);
        }
        let divisor = self.safe_divisor(b, inst.ty, false);
        let quotient = self.ir.ins().udiv(a, divisor);
        let by_zero = self.is(b, inst.ty, 0);
        let ones = self.iconst(clif_type(inst.ty), -1);
        self.ir.ins().select(by_zero, ones, quotient)
    }

    pub(super) fn rem_s(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        if let Some(divisor) = fixed_divisor(self.block, inst) {
            return self.remainder(a, divisor, inst.ty, true);
        }
        // By 1, which stands for 0 and -1, the remainder is 0, as it is by -1.
        let divisor = self.safe_divisor(b, inst.ty, true);
        let remainder = self.ir.ins().srem(a, divisor);
        let by_zero = self.is(b, inst.ty, 0);
        self.ir.ins().select(by_zero, a, remainder)
    }

    pub(super) fn rem_u(&mut self, inst: &Inst) -> ClifValue {
        let (a, b) = (self.arg(inst, 0), self.arg(inst, 1));
        if let Some(divisor) = fixed_divisor(self.block, inst) {
            return self.remainder(a, divisor, inst.ty, false);
        }
        let divisor = self.safe_divisor(b, inst.ty, false);
        let remainder = self.ir.ins().urem(a, divisor);
        let by_zero = self.is(b, inst.ty, 0);
        self.ir.ins().select(by_zero, a, remainder)
    }

    /// `a` divided by a constant that [`fixed_divisor`] gave.
    fn quotient(&mut self, a: ClifValue, divisor: u64, ty: Type, signed: bool) -> ClifValue {
        if !signed {
            let reciprocal = Reciprocal::unsigned(divisor, ty.bits());
            return if ty == Type::I32 { self.quotient_u32(a, reciprocal) } else { self.quotient_u64(a, reciprocal) };
        }
        let unused = 64 - ty.bits();
        let divisor = (divisor << unused) as i64 >> unused;
        let reciprocal = Reciprocal::signed(divisor.unsigned_abs(), ty.bits());
        let sign = self.ir.ins().sshr_imm_u(a, i64::from(ty.bits() - 1));
        let down = if ty == Type::I32 { self.scaled_s32(a, reciprocal) } else { self.scaled_s64(a, reciprocal) };
        // What is rounded down is to be rounded towards zero.
        if divisor > 0 { self.ir.ins().isub(down, sign) } else { self.ir.ins().isub(sign, down) }
    }

    /// What is left of `a` divided by a constant that [`fixed_divisor`] gave.
    fn remainder(&mut self, a: ClifValue, divisor: u64, ty: Type, signed: bool) -> ClifValue {
        let quotient = self.quotient(a, divisor, ty, signed);
        let divisor = self.iconst(clif_type(ty), divisor as i64);
        let product = self.ir.ins().imul(quotient, divisor);
        self.ir.ins().isub(a, product)
    }

    fn quotient_u64(&mut self, a: ClifValue, by: Reciprocal) -> ClifValue {
        let multiplier = self.iconst(types::I64, by.multiplier as i64);
        let dividend = if by.before == 0 { a } else { self.ir.ins().ushr_imm_u(a, i64::from(by.before)) };
        let high = self.ir.ins().umulhi(dividend, multiplier);
        if !by.adds {
            return if by.after == 0 { high } else { self.ir.ins().ushr_imm_u(high, i64::from(by.after)) };
        }
        // The sum may have a bit more than the word.
        let rest = self.ir.ins().isub(a, high);
        let half = self.ir.ins().ushr_imm_u(rest, 1);
        let sum = self.ir.ins().iadd(high, half);
        self.ir.ins().ushr_imm_u(sum, i64::from(by.after - 1))
    }

    fn quotient_u32(&mut self, a: ClifValue, by: Reciprocal) -> ClifValue {
        let wide = self.ir.ins().uextend(types::I64, a);
        let dividend = if by.before == 0 { wide } else { self.ir.ins().ushr_imm_u(wide, i64::from(by.before)) };
        let multiplier = self.iconst(types::I64, by.multiplier as i64);
        let product = self.ir.ins().imul(dividend, multiplier);
        let quotient = if by.adds {
            let high = self.ir.ins().ushr_imm_u(product, 32);
            let sum = self.ir.ins().iadd(high, wide);
            self.ir.ins().ushr_imm_u(sum, i64::from(by.after))
        } else {
            self.ir.ins().ushr_imm_u(product, i64::from(32 + by.after))
        };
        self.ir.ins().ireduce(types::I32, quotient)
    }

    /// `a` times the reciprocal, rounded down.
    fn scaled_s64(&mut self, a: ClifValue, by: Reciprocal) -> ClifValue {
        let multiplier = self.iconst(types::I64, by.multiplier as i64);
        let high = self.ir.ins().smulhi(a, multiplier);
        let high = if by.adds { self.ir.ins().iadd(high, a) } else { high };
        if by.after == 0 { high } else { self.ir.ins().sshr_imm_u(high, i64::from(by.after)) }
    }

    /// The same of 32 bits: the product has no more than 63 and its sign.
    fn scaled_s32(&mut self, a: ClifValue, by: Reciprocal) -> ClifValue {
        let wide = self.ir.ins().sextend(types::I64, a);
        let multiplier = self.iconst(types::I64, by.multiplier as i64);
        let product = self.ir.ins().imul(wide, multiplier);
        let quotient = self.ir.ins().sshr_imm_u(product, i64::from(32 + by.after));
        self.ir.ins().ireduce(types::I32, quotient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITS: u32 = 8;

    #[test]
    fn every_quotient_of_bytes_is_right() {
        for divisor in 2..=255u64 {
            let by = Reciprocal::unsigned(divisor, BITS);
            for dividend in 0..=255u64 {
                let high = ((dividend >> by.before) * by.multiplier) >> BITS;
                let quotient = if by.adds { (high + dividend) >> by.after } else { high >> by.after };
                assert_eq!(quotient, dividend / divisor, "{dividend} / {divisor} by {by:?}");
            }
        }
        for divisor in (-128..=127i64).filter(|divisor| !(-1..=1).contains(divisor)) {
            let by = Reciprocal::signed(divisor.unsigned_abs(), BITS);
            for dividend in -128..=127i64 {
                let multiplier = i64::from(by.multiplier as i8);
                let high = ((dividend * multiplier) >> BITS) + if by.adds { dividend } else { 0 };
                let quotient = (high >> by.after) - (dividend >> (BITS - 1));
                let quotient = if divisor < 0 { -quotient } else { quotient };
                assert_eq!(quotient, dividend / divisor, "{dividend} / {divisor} by {by:?}");
            }
        }
    }

    #[test]
    fn the_widest_divisors_have_reciprocals() {
        for bits in [32, 64] {
            let most = u64::MAX >> (64 - bits);
            for divisor in [2, 3, 7, 10, 56_000, most / 2, most / 2 + 1, most / 2 + 2, most - 1] {
                let by = Reciprocal::unsigned(divisor, bits);
                let quotient = |dividend: u64| {
                    let high = (u128::from(dividend >> by.before) * u128::from(by.multiplier)) >> bits;
                    (high + if by.adds { u128::from(dividend) } else { 0 }) >> by.after
                };
                for dividend in [0, 1, divisor - 1, divisor, most - 1, most, most - most % divisor - 1] {
                    assert_eq!(quotient(dividend), u128::from(dividend / divisor), "{dividend} / {divisor} by {by:?}");
                }
                if divisor <= most / 2 + 1 {
                    Reciprocal::signed(divisor, bits);
                }
            }
        }
    }
}
