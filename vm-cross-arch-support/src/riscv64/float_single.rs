//! "F" extension: single-precision floating point.

use super::float::{
    Single, add, class, div, eq, from_l, from_lu, from_w, from_wu, le, load, lt, madd, max, min, move_from_x,
    move_to_x, msub, mul, nmadd, nmsub, sgnj, sgnjn, sgnjx, sqrt, store, sub, to_l, to_lu, to_w, to_wu,
};
use crate::table::{Row, row};

const LOAD_STORE: &str = "\"F\" Extension, Single-Precision Load and Store Instructions";
const COMPUTE: &str = "\"F\" Extension, Single-Precision Floating-Point Computational Instructions";
const CONVERT: &str = "\"F\" Extension, Single-Precision Floating-Point Conversion and Move Instructions";
const COMPARE: &str = "\"F\" Extension, Single-Precision Floating-Point Compare Instructions";
const CLASSIFY: &str = "\"F\" Extension, Single-Precision Floating-Point Classify Instruction";

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("flw", "iiiiiiiiiiii aaaaa 010 ddddd 0000111", "fd, i(xa)", LOAD_STORE, load::<Single>),
    row("fsw", "iiiiiii bbbbb aaaaa 010 iiiii 0100111", "fb, i(xa)", LOAD_STORE, store::<Single>),
    row("fmadd.s", "ccccc 00 bbbbb aaaaa mmm ddddd 1000011", "fd, fa, fb, fc, rm", COMPUTE, madd::<Single>),
    row("fmsub.s", "ccccc 00 bbbbb aaaaa mmm ddddd 1000111", "fd, fa, fb, fc, rm", COMPUTE, msub::<Single>),
    row("fnmsub.s", "ccccc 00 bbbbb aaaaa mmm ddddd 1001011", "fd, fa, fb, fc, rm", COMPUTE, nmsub::<Single>),
    row("fnmadd.s", "ccccc 00 bbbbb aaaaa mmm ddddd 1001111", "fd, fa, fb, fc, rm", COMPUTE, nmadd::<Single>),
    row("fadd.s", "0000000 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, add::<Single>),
    row("fsub.s", "0000100 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, sub::<Single>),
    row("fmul.s", "0001000 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, mul::<Single>),
    row("fdiv.s", "0001100 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, div::<Single>),
    row("fsqrt.s", "0101100 00000 aaaaa mmm ddddd 1010011", "fd, fa, rm", COMPUTE, sqrt::<Single>),
    row("fsgnj.s", "0010000 bbbbb aaaaa 000 ddddd 1010011", "fd, fa, fb", CONVERT, sgnj::<Single>),
    row("fsgnjn.s", "0010000 bbbbb aaaaa 001 ddddd 1010011", "fd, fa, fb", CONVERT, sgnjn::<Single>),
    row("fsgnjx.s", "0010000 bbbbb aaaaa 010 ddddd 1010011", "fd, fa, fb", CONVERT, sgnjx::<Single>),
    row("fmin.s", "0010100 bbbbb aaaaa 000 ddddd 1010011", "fd, fa, fb", COMPUTE, min::<Single>),
    row("fmax.s", "0010100 bbbbb aaaaa 001 ddddd 1010011", "fd, fa, fb", COMPUTE, max::<Single>),
    row("fcvt.w.s", "1100000 00000 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_w::<Single>),
    row("fcvt.wu.s", "1100000 00001 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_wu::<Single>),
    row("fcvt.l.s", "1100000 00010 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_l::<Single>),
    row("fcvt.lu.s", "1100000 00011 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_lu::<Single>),
    row("fcvt.s.w", "1101000 00000 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_w::<Single>),
    row("fcvt.s.wu", "1101000 00001 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_wu::<Single>),
    row("fcvt.s.l", "1101000 00010 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_l::<Single>),
    row("fcvt.s.lu", "1101000 00011 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_lu::<Single>),
    row("fmv.x.w", "1110000 00000 aaaaa 000 ddddd 1010011", "xd, fa", CONVERT, move_to_x::<Single>),
    row("fmv.w.x", "1111000 00000 aaaaa 000 ddddd 1010011", "fd, xa", CONVERT, move_from_x::<Single>),
    row("feq.s", "1010000 bbbbb aaaaa 010 ddddd 1010011", "xd, fa, fb", COMPARE, eq::<Single>),
    row("flt.s", "1010000 bbbbb aaaaa 001 ddddd 1010011", "xd, fa, fb", COMPARE, lt::<Single>),
    row("fle.s", "1010000 bbbbb aaaaa 000 ddddd 1010011", "xd, fa, fb", COMPARE, le::<Single>),
    row("fclass.s", "1110000 00000 aaaaa 001 ddddd 1010011", "xd, fa", CLASSIFY, class::<Single>),
];
