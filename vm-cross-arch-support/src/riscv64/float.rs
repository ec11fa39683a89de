//! Lifters that the floating-point precisions share: F, D and Zfh differ in the format alone.
//!
//! Every result is NaN-boxed into its register, and an operand that is not properly boxed counts as the canonical NaN
//! (chapter "D Extension", section "NaN Boxing of Narrower Values"); transfers move bits and do not look at the boxing.

use vm_ir::{FpAttr, IrBuilder, Order, Quiet, Rounding, Type, Value};

use super::Registers;
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;

/// A floating-point format as the register file holds it.
pub(super) trait Format {
    const FLOAT: Type;
    /// The integer of the same width.
    const INT: Type;
}

/// `.S`
pub(super) struct Single;
/// `.D`
pub(super) struct Double;
/// `.H`
pub(super) struct Half;

impl Format for Single {
    const FLOAT: Type = Type::F32;
    const INT: Type = Type::I32;
}

impl Format for Double {
    const FLOAT: Type = Type::F64;
    const INT: Type = Type::I64;
}

impl Format for Half {
    const FLOAT: Type = Type::F16;
    const INT: Type = Type::I16;
}

/// Attributes of an op that rounds as the `rm` field says. A reserved static rounding mode, and a dynamic one while
/// `frm` is reserved, make an instruction illegal even if its result is exact.
fn rounded(cx: &Lift, f: Fields) -> Option<FpAttr> {
    cx.rounding(f.m()).map(|rounding| FpAttr::DEFAULT.rounded(rounding))
}

/// `FLH`, `FLW`, `FLD rd, offset(rs1)`.
pub(super) fn load<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let base = cx.x(f.a());
    let value = cx.ir.load(F::FLOAT, base, f.i(), Order::Plain);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FSH`, `FSW`, `FSD rs2, offset(rs1)`: the low bits as they are.
pub(super) fn store<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let base = cx.x(f.a());
    let value = cx.f_bits(f.b(), F::FLOAT);
    cx.ir.store(base, f.i(), value, Order::Plain);
    Flow::Next
}

/// `rd = rs1 op rs2`, rounded.
fn arithmetic<F: Format>(cx: &mut Lift, f: Fields, op: fn(&mut IrBuilder, Value, Value, FpAttr) -> Value) -> Flow {
    let Some(fp) = rounded(cx, f) else { return Flow::Illegal };
    let (a, b) = (cx.f(f.a(), F::FLOAT), cx.f(f.b(), F::FLOAT));
    let value = op(&mut cx.ir, a, b, fp);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FADD rd, rs1, rs2`.
pub(super) fn add<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    arithmetic::<F>(cx, f, IrBuilder::fadd)
}

/// `FSUB rd, rs1, rs2`.
pub(super) fn sub<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    arithmetic::<F>(cx, f, IrBuilder::fsub)
}

/// `FMUL rd, rs1, rs2`.
pub(super) fn mul<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    arithmetic::<F>(cx, f, IrBuilder::fmul)
}

/// `FDIV rd, rs1, rs2`.
pub(super) fn div<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    arithmetic::<F>(cx, f, IrBuilder::fdiv)
}

/// `FSQRT rd, rs1`.
pub(super) fn sqrt<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let Some(fp) = rounded(cx, f) else { return Flow::Illegal };
    let a = cx.f(f.a(), F::FLOAT);
    let value = cx.ir.fsqrt(a, fp);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `±(rs1 * rs2) ± rs3`, rounded once. Negated operands give what a negated product or sum is defined to give: also the
/// sign of an exact zero and the direction of rounding.
fn fused<F: Format>(cx: &mut Lift, f: Fields, negate_product: bool, negate_addend: bool) -> Flow {
    let Some(fp) = rounded(cx, f) else { return Flow::Illegal };
    let [mut a, b, mut c] = [f.a(), f.b(), f.c()].map(|n| cx.f(n, F::FLOAT));
    if negate_product {
        a = cx.ir.fneg(a);
    }
    if negate_addend {
        c = cx.ir.fneg(c);
    }
    let value = cx.ir.fmuladd(a, b, c, fp);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FMADD rd, rs1, rs2, rs3`: product plus rs3.
pub(super) fn madd<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    fused::<F>(cx, f, false, false)
}

/// `FMSUB rd, rs1, rs2, rs3`: product minus rs3.
pub(super) fn msub<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    fused::<F>(cx, f, false, true)
}

/// `FNMSUB rd, rs1, rs2, rs3`: rs3 minus the product, whatever the name suggests.
pub(super) fn nmsub<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    fused::<F>(cx, f, true, false)
}

/// `FNMADD rd, rs1, rs2, rs3`: the negated product minus rs3.
pub(super) fn nmadd<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    fused::<F>(cx, f, true, true)
}

/// `FSGNJ rd, rs1, rs2`: rs1 with the sign of rs2. Of one register: a move.
pub(super) fn sgnj<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let a = cx.f(f.a(), F::FLOAT);
    let value = if f.a() == f.b() {
        a
    } else {
        let b = cx.f(f.b(), F::FLOAT);
        cx.ir.fcopysign(a, b)
    };
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FSGNJN rd, rs1, rs2`: rs1 with the opposite of the sign of rs2. Of one register: a negation.
pub(super) fn sgnjn<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let b = cx.f(f.b(), F::FLOAT);
    let negated = cx.ir.fneg(b);
    let value = if f.a() == f.b() {
        negated
    } else {
        let a = cx.f(f.a(), F::FLOAT);
        cx.ir.fcopysign(a, negated)
    };
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FSGNJX rd, rs1, rs2`: rs1 with its sign inverted if rs2 is negative. Of one register: the magnitude.
pub(super) fn sgnjx<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let a = cx.f(f.a(), F::FLOAT);
    let value = if f.a() == f.b() {
        cx.ir.fabs(a)
    } else {
        let b = cx.f(f.b(), F::FLOAT);
        let (a, b) = (cx.ir.bitcast(a, F::INT), cx.ir.bitcast(b, F::INT));
        let sign_bit = cx.ir.constant(F::INT, F::INT.sign_bit());
        let sign = cx.ir.and(b, sign_bit);
        let bits = cx.ir.xor(a, sign);
        cx.ir.bitcast(bits, F::FLOAT)
    };
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FMIN rd, rs1, rs2`: a NaN loses against a number, and -0 is less than +0.
pub(super) fn min<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let (a, b) = (cx.f(f.a(), F::FLOAT), cx.f(f.b(), F::FLOAT));
    let value = cx.ir.fmin(a, b, FpAttr::DEFAULT);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FMAX rd, rs1, rs2`: as [`min`].
pub(super) fn max<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let (a, b) = (cx.f(f.a(), F::FLOAT), cx.f(f.b(), F::FLOAT));
    let value = cx.ir.fmax(a, b, FpAttr::DEFAULT);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// A conversion to or from an integer.
type Convert = fn(&mut IrBuilder, Value, Type, FpAttr) -> Value;

/// `rd = integer of type to`: saturating, a NaN as positive infinity; 32-bit results are sign-extended, unsigned ones
/// too.
fn to_int<F: Format>(cx: &mut Lift, f: Fields, to: Type, op: Convert) -> Flow {
    let Some(fp) = rounded(cx, f) else { return Flow::Illegal };
    let a = cx.f(f.a(), F::FLOAT);
    let value = op(&mut cx.ir, a, to, fp);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `FCVT.W rd, rs1`.
pub(super) fn to_w<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    to_int::<F>(cx, f, Type::I32, IrBuilder::f_to_int_s)
}

/// `FCVT.WU rd, rs1`.
pub(super) fn to_wu<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    to_int::<F>(cx, f, Type::I32, IrBuilder::f_to_int_u)
}

/// `FCVT.L rd, rs1`.
pub(super) fn to_l<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    to_int::<F>(cx, f, Type::I64, IrBuilder::f_to_int_s)
}

/// `FCVT.LU rd, rs1`.
pub(super) fn to_lu<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    to_int::<F>(cx, f, Type::I64, IrBuilder::f_to_int_u)
}

fn from_int<F: Format>(cx: &mut Lift, f: Fields, from: Type, op: Convert) -> Flow {
    let Some(fp) = rounded(cx, f) else { return Flow::Illegal };
    let wide = cx.x(f.a());
    let a = cx.ir.truncate(wide, from);
    let value = op(&mut cx.ir, a, F::FLOAT, fp);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FCVT.fmt.W rd, rs1`: the upper half of rs1 is ignored.
pub(super) fn from_w<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    from_int::<F>(cx, f, Type::I32, IrBuilder::int_to_f_s)
}

/// `FCVT.fmt.WU rd, rs1`: the upper half of rs1 is ignored.
pub(super) fn from_wu<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    from_int::<F>(cx, f, Type::I32, IrBuilder::int_to_f_u)
}

/// `FCVT.fmt.L rd, rs1`.
pub(super) fn from_l<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    from_int::<F>(cx, f, Type::I64, IrBuilder::int_to_f_s)
}

/// `FCVT.fmt.LU rd, rs1`.
pub(super) fn from_lu<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    from_int::<F>(cx, f, Type::I64, IrBuilder::int_to_f_u)
}

/// `FCVT.To.From rd, rs1`.
pub(super) fn convert<To: Format, From: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let Some(fp) = rounded(cx, f) else { return Flow::Illegal };
    let a = cx.f(f.a(), From::FLOAT);
    // A wider format holds every number of a narrower one: one rounding for all, so that the block does not depend on
    // the mode where the result does not.
    let fp = if To::FLOAT.bits() > From::FLOAT.bits() { fp.rounded(Rounding::NearestEven) } else { fp };
    let value = cx.ir.fconvert(a, To::FLOAT, fp);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `FMV.X.fmt rd, rs1`: the low bits, sign-extended.
pub(super) fn move_to_x<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let value = cx.f_bits(f.a(), F::FLOAT);
    let bits = cx.ir.bitcast(value, F::INT);
    cx.set_x(f.d(), bits);
    Flow::Next
}

/// `FMV.fmt.X rd, rs1`: the low bits of rs1.
pub(super) fn move_from_x<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let wide = cx.x(f.a());
    let bits = cx.ir.truncate(wide, F::INT);
    let value = cx.ir.bitcast(bits, F::FLOAT);
    cx.set_f(f.d(), value);
    Flow::Next
}

/// `rd = rs1 relation rs2`: 0 if either is a NaN.
fn compare<F: Format>(
    cx: &mut Lift,
    f: Fields,
    relation: fn(&mut IrBuilder, Value, Value, Quiet) -> Value,
    quiet: Quiet,
) -> Flow {
    let (a, b) = (cx.f(f.a(), F::FLOAT), cx.f(f.b(), F::FLOAT));
    let value = relation(&mut cx.ir, a, b, quiet);
    cx.set_x_unsigned(f.d(), value);
    Flow::Next
}

/// `FEQ rd, rs1, rs2`: a quiet comparison.
pub(super) fn eq<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    compare::<F>(cx, f, IrBuilder::feq, Quiet::Yes)
}

/// `FLT rd, rs1, rs2`: a signalling comparison.
pub(super) fn lt<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    compare::<F>(cx, f, IrBuilder::flt, Quiet::No)
}

/// `FLE rd, rs1, rs2`: a signalling comparison.
pub(super) fn le<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    compare::<F>(cx, f, IrBuilder::fle, Quiet::No)
}

/// `FCLASS rd, rs1`: the op's bits are the manual's.
pub(super) fn class<F: Format>(cx: &mut Lift, f: Fields) -> Flow {
    let a = cx.f(f.a(), F::FLOAT);
    let value = cx.ir.fclass(a);
    cx.set_x(f.d(), value);
    Flow::Next
}

#[cfg(test)]
mod tests {
    use vm_core::{BlockKey, GuestAddr, Mode};

    use super::super::Riscv64;
    use super::*;
    use crate::guest::Guest;

    fn flow(word: u32, frm: u32) -> Flow {
        let mut cx = Lift::new(BlockKey::new(GuestAddr::new(0x1000), Mode::new(frm)));
        cx.begin(0, 4);
        Riscv64.lift(&word.to_le_bytes(), Riscv64.all_extensions(), &mut cx)
    }

    /// "F" extension, "Floating-Point Control and Status Register": `rm` 5 and 6 are reserved, and so is 7 while `frm`
    /// holds 5 to 7.
    #[test]
    fn reserved_rounding_modes_are_illegal() {
        // With rm = 0: fadd.s, fmadd.d, fsqrt.h, fcvt.w.d, fcvt.s.l, fcvt.s.d, and the exact fcvt.d.s and fcvt.d.w.
        let rounding =
            [0x0031_0253, 0x1a31_0243, 0x5c01_0253, 0xc201_0553, 0xd025_0253, 0x4011_0253, 0x4201_0253, 0xd205_0253];
        for word in rounding {
            for frm in 0..8 {
                for rm in 0..8 {
                    let mode = if rm == 7 { frm } else { rm };
                    let expected = if mode < 5 { Flow::Next } else { Flow::Illegal };
                    assert_eq!(flow(word | rm << 12, frm), expected, "{word:#x} rm {rm} frm {frm}");
                }
            }
        }
        // Without rounding, frm does not matter: fsgnj.s, fmin.d, feq.h, fclass.s, fmv.x.d.
        for word in [0x2031_0253, 0x2a31_0253, 0xa431_2553, 0xe001_1553, 0xe201_0553] {
            assert_eq!(flow(word, 7), Flow::Next, "{word:#x}");
        }
    }
}
