//! "D" extension: double-precision floating point.

use super::float::{
    Double, Single, add, class, convert, div, eq, from_l, from_lu, from_w, from_wu, le, load, lt, madd, max, min,
    move_from_x, move_to_x, msub, mul, nmadd, nmsub, sgnj, sgnjn, sgnjx, sqrt, store, sub, to_l, to_lu, to_w, to_wu,
};
use crate::table::{Row, row};

const LOAD_STORE: &str = "\"D\" Extension, Double-Precision Load and Store Instructions";
const COMPUTE: &str = "\"D\" Extension, Double-Precision Floating-Point Computational Instructions";
const CONVERT: &str = "\"D\" Extension, Double-Precision Floating-Point Conversion and Move Instructions";
const COMPARE: &str = "\"D\" Extension, Double-Precision Floating-Point Compare Instructions";
const CLASSIFY: &str = "\"D\" Extension, Double-Precision Floating-Point Classify Instruction";

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("fld", "iiiiiiiiiiii aaaaa 011 ddddd 0000111", "fd, i(xa)", LOAD_STORE, load::<Double>),
    row("fsd", "iiiiiii bbbbb aaaaa 011 iiiii 0100111", "fb, i(xa)", LOAD_STORE, store::<Double>),
    row("fmadd.d", "ccccc 01 bbbbb aaaaa mmm ddddd 1000011", "fd, fa, fb, fc, rm", COMPUTE, madd::<Double>),
    row("fmsub.d", "ccccc 01 bbbbb aaaaa mmm ddddd 1000111", "fd, fa, fb, fc, rm", COMPUTE, msub::<Double>),
    row("fnmsub.d", "ccccc 01 bbbbb aaaaa mmm ddddd 1001011", "fd, fa, fb, fc, rm", COMPUTE, nmsub::<Double>),
    row("fnmadd.d", "ccccc 01 bbbbb aaaaa mmm ddddd 1001111", "fd, fa, fb, fc, rm", COMPUTE, nmadd::<Double>),
    row("fadd.d", "0000001 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, add::<Double>),
    row("fsub.d", "0000101 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, sub::<Double>),
    row("fmul.d", "0001001 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, mul::<Double>),
    row("fdiv.d", "0001101 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, div::<Double>),
    row("fsqrt.d", "0101101 00000 aaaaa mmm ddddd 1010011", "fd, fa, rm", COMPUTE, sqrt::<Double>),
    row("fsgnj.d", "0010001 bbbbb aaaaa 000 ddddd 1010011", "fd, fa, fb", CONVERT, sgnj::<Double>),
    row("fsgnjn.d", "0010001 bbbbb aaaaa 001 ddddd 1010011", "fd, fa, fb", CONVERT, sgnjn::<Double>),
    row("fsgnjx.d", "0010001 bbbbb aaaaa 010 ddddd 1010011", "fd, fa, fb", CONVERT, sgnjx::<Double>),
    row("fmin.d", "0010101 bbbbb aaaaa 000 ddddd 1010011", "fd, fa, fb", COMPUTE, min::<Double>),
    row("fmax.d", "0010101 bbbbb aaaaa 001 ddddd 1010011", "fd, fa, fb", COMPUTE, max::<Double>),
    row("fcvt.w.d", "1100001 00000 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_w::<Double>),
    row("fcvt.wu.d", "1100001 00001 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_wu::<Double>),
    row("fcvt.l.d", "1100001 00010 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_l::<Double>),
    row("fcvt.lu.d", "1100001 00011 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_lu::<Double>),
    row("fcvt.d.w", "1101001 00000 aaaaa mmm ddddd 1010011", "fd, xa, rm0", CONVERT, from_w::<Double>),
    row("fcvt.d.wu", "1101001 00001 aaaaa mmm ddddd 1010011", "fd, xa, rm0", CONVERT, from_wu::<Double>),
    row("fcvt.d.l", "1101001 00010 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_l::<Double>),
    row("fcvt.d.lu", "1101001 00011 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_lu::<Double>),
    row("fcvt.s.d", "0100000 00001 aaaaa mmm ddddd 1010011", "fd, fa, rm", CONVERT, convert::<Single, Double>),
    row("fcvt.d.s", "0100001 00000 aaaaa mmm ddddd 1010011", "fd, fa, rm0", CONVERT, convert::<Double, Single>),
    row("fmv.x.d", "1110001 00000 aaaaa 000 ddddd 1010011", "xd, fa", CONVERT, move_to_x::<Double>),
    row("fmv.d.x", "1111001 00000 aaaaa 000 ddddd 1010011", "fd, xa", CONVERT, move_from_x::<Double>),
    row("feq.d", "1010001 bbbbb aaaaa 010 ddddd 1010011", "xd, fa, fb", COMPARE, eq::<Double>),
    row("flt.d", "1010001 bbbbb aaaaa 001 ddddd 1010011", "xd, fa, fb", COMPARE, lt::<Double>),
    row("fle.d", "1010001 bbbbb aaaaa 000 ddddd 1010011", "xd, fa, fb", COMPARE, le::<Double>),
    row("fclass.d", "1110001 00000 aaaaa 001 ddddd 1010011", "xd, fa", CLASSIFY, class::<Double>),
];
