//! "Zfh" extension: half-precision floating point.

use super::float::{
    Double, Half, Single, add, class, convert, div, eq, from_l, from_lu, from_w, from_wu, le, load, lt, madd, max, min,
    move_from_x, move_to_x, msub, mul, nmadd, nmsub, sgnj, sgnjn, sgnjx, sqrt, store, sub, to_l, to_lu, to_w, to_wu,
};
use crate::table::{Row, row};

const LOAD_STORE: &str = "\"Zfh\" and \"Zfhmin\" Extensions, Half-Precision Load and Store Instructions";
const COMPUTE: &str = "\"Zfh\" and \"Zfhmin\" Extensions, Half-Precision Computational Instructions";
const CONVERT: &str = "\"Zfh\" and \"Zfhmin\" Extensions, Half-Precision Conversion and Move Instructions";
const COMPARE: &str = "\"Zfh\" and \"Zfhmin\" Extensions, Half-Precision Floating-Point Compare Instructions";
const CLASSIFY: &str = "\"Zfh\" and \"Zfhmin\" Extensions, Half-Precision Floating-Point Classify Instruction";

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("flh", "iiiiiiiiiiii aaaaa 001 ddddd 0000111", "fd, i(xa)", LOAD_STORE, load::<Half>),
    row("fsh", "iiiiiii bbbbb aaaaa 001 iiiii 0100111", "fb, i(xa)", LOAD_STORE, store::<Half>),
    row("fmadd.h", "ccccc 10 bbbbb aaaaa mmm ddddd 1000011", "fd, fa, fb, fc, rm", COMPUTE, madd::<Half>),
    row("fmsub.h", "ccccc 10 bbbbb aaaaa mmm ddddd 1000111", "fd, fa, fb, fc, rm", COMPUTE, msub::<Half>),
    row("fnmsub.h", "ccccc 10 bbbbb aaaaa mmm ddddd 1001011", "fd, fa, fb, fc, rm", COMPUTE, nmsub::<Half>),
    row("fnmadd.h", "ccccc 10 bbbbb aaaaa mmm ddddd 1001111", "fd, fa, fb, fc, rm", COMPUTE, nmadd::<Half>),
    row("fadd.h", "0000010 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, add::<Half>),
    row("fsub.h", "0000110 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, sub::<Half>),
    row("fmul.h", "0001010 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, mul::<Half>),
    row("fdiv.h", "0001110 bbbbb aaaaa mmm ddddd 1010011", "fd, fa, fb, rm", COMPUTE, div::<Half>),
    row("fsqrt.h", "0101110 00000 aaaaa mmm ddddd 1010011", "fd, fa, rm", COMPUTE, sqrt::<Half>),
    row("fsgnj.h", "0010010 bbbbb aaaaa 000 ddddd 1010011", "fd, fa, fb", CONVERT, sgnj::<Half>),
    row("fsgnjn.h", "0010010 bbbbb aaaaa 001 ddddd 1010011", "fd, fa, fb", CONVERT, sgnjn::<Half>),
    row("fsgnjx.h", "0010010 bbbbb aaaaa 010 ddddd 1010011", "fd, fa, fb", CONVERT, sgnjx::<Half>),
    row("fmin.h", "0010110 bbbbb aaaaa 000 ddddd 1010011", "fd, fa, fb", COMPUTE, min::<Half>),
    row("fmax.h", "0010110 bbbbb aaaaa 001 ddddd 1010011", "fd, fa, fb", COMPUTE, max::<Half>),
    row("fcvt.w.h", "1100010 00000 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_w::<Half>),
    row("fcvt.wu.h", "1100010 00001 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_wu::<Half>),
    row("fcvt.l.h", "1100010 00010 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_l::<Half>),
    row("fcvt.lu.h", "1100010 00011 aaaaa mmm ddddd 1010011", "xd, fa, rm", CONVERT, to_lu::<Half>),
    row("fcvt.h.w", "1101010 00000 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_w::<Half>),
    row("fcvt.h.wu", "1101010 00001 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_wu::<Half>),
    row("fcvt.h.l", "1101010 00010 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_l::<Half>),
    row("fcvt.h.lu", "1101010 00011 aaaaa mmm ddddd 1010011", "fd, xa, rm", CONVERT, from_lu::<Half>),
    row("fcvt.s.h", "0100000 00010 aaaaa mmm ddddd 1010011", "fd, fa, rm0", CONVERT, convert::<Single, Half>),
    row("fcvt.h.s", "0100010 00000 aaaaa mmm ddddd 1010011", "fd, fa, rm", CONVERT, convert::<Half, Single>),
    row("fcvt.d.h", "0100001 00010 aaaaa mmm ddddd 1010011", "fd, fa, rm0", CONVERT, convert::<Double, Half>),
    row("fcvt.h.d", "0100010 00001 aaaaa mmm ddddd 1010011", "fd, fa, rm", CONVERT, convert::<Half, Double>),
    row("fmv.x.h", "1110010 00000 aaaaa 000 ddddd 1010011", "xd, fa", CONVERT, move_to_x::<Half>),
    row("fmv.h.x", "1111010 00000 aaaaa 000 ddddd 1010011", "fd, xa", CONVERT, move_from_x::<Half>),
    row("feq.h", "1010010 bbbbb aaaaa 010 ddddd 1010011", "xd, fa, fb", COMPARE, eq::<Half>),
    row("flt.h", "1010010 bbbbb aaaaa 001 ddddd 1010011", "xd, fa, fb", COMPARE, lt::<Half>),
    row("fle.h", "1010010 bbbbb aaaaa 000 ddddd 1010011", "xd, fa, fb", COMPARE, le::<Half>),
    row("fclass.h", "1110010 00000 aaaaa 001 ddddd 1010011", "xd, fa", CLASSIFY, class::<Half>),
];
