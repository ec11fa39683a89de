//! "C" extension: every row names the lifter of the instruction that it expands to, with that instruction's fields.

use super::branch::{beq, bne, jal, jalr};
use super::float::{Double, load, store};
use super::int_imm::{addi, addiw, andi, lui, slli, srai, srli};
use super::int_reg::{add, addw, and, or, sub, subw, xor};
use super::load_store::{ld, lw, sd, sw};
use super::system::ebreak;
use crate::table::{Row, row};

const SP: &str = "\"C\" Extension, Stack-Pointer-Based Loads and Stores";
const REG: &str = "\"C\" Extension, Register-Based Loads and Stores";
const JUMP: &str = "\"C\" Extension, Control Transfer Instructions";
const CONST: &str = "\"C\" Extension, Integer Constant-Generation Instructions";
const IMM: &str = "\"C\" Extension, Integer Register-Immediate Operations";
const OP: &str = "\"C\" Extension, Integer Register-Register Operations";
const NOP: &str = "\"C\" Extension, NOP Instruction";
const BREAK: &str = "\"C\" Extension, Breakpoint Instruction";

/// Offset bits of `c.j`.
const JUMP_OFFSET: &str = "11|4|9:8|10|6|7|3:1|5";
/// Offset bits of `c.beqz` and `c.bnez`.
const BRANCH_OFFSET: &str = "8|4:3|7:6|2:1|5";
/// Scaled offset bits of doubleword and word accesses through the stack pointer and through a register.
const SP_DOUBLE: &str = "5|4:3|8:6";
const SP_WORD: &str = "5|4:2|7:6";
const REG_DOUBLE: &str = "5:3|7:6";
const REG_WORD: &str = "5:3|2|6";

pub(super) const ROWS: &[Row] = &[
    row("c.lwsp", "010 u ddddd uuuuu 10", "xd, u(x2)", SP, lw).place('u', SP_WORD).with("a=2 i=u").except('d', 0),
    row("c.ldsp", "011 u ddddd uuuuu 10", "xd, u(x2)", SP, ld).place('u', SP_DOUBLE).with("a=2 i=u").except('d', 0),
    row("c.fldsp", "001 u ddddd uuuuu 10", "fd, u(x2)", SP, load::<Double>).place('u', SP_DOUBLE).with("a=2 i=u"),
    row("c.swsp", "110 uuuuuu bbbbb 10", "xb, u(x2)", SP, sw).place('u', "5:2|7:6").with("a=2 i=u"),
    row("c.sdsp", "111 uuuuuu bbbbb 10", "xb, u(x2)", SP, sd).place('u', "5:3|8:6").with("a=2 i=u"),
    row("c.fsdsp", "101 uuuuuu bbbbb 10", "fb, u(x2)", SP, store::<Double>).place('u', "5:3|8:6").with("a=2 i=u"),
    row("c.lw", "010 uuu AAA uu DDD 00", "xd, u(xa)", REG, lw).place('u', REG_WORD).with("i=u"),
    row("c.ld", "011 uuu AAA uu DDD 00", "xd, u(xa)", REG, ld).place('u', REG_DOUBLE).with("i=u"),
    row("c.fld", "001 uuu AAA uu DDD 00", "fd, u(xa)", REG, load::<Double>).place('u', REG_DOUBLE).with("i=u"),
    row("c.sw", "110 uuu AAA uu BBB 00", "xb, u(xa)", REG, sw).place('u', REG_WORD).with("i=u"),
    row("c.sd", "111 uuu AAA uu BBB 00", "xb, u(xa)", REG, sd).place('u', REG_DOUBLE).with("i=u"),
    row("c.fsd", "101 uuu AAA uu BBB 00", "fb, u(xa)", REG, store::<Double>).place('u', REG_DOUBLE).with("i=u"),
    row("c.j", "101 iiiiiiiiiii 01", "pc", JUMP, jal).place('i', JUMP_OFFSET).with("d=0"),
    row("c.jr", "100 0 aaaaa 00000 10", "xa", JUMP, jalr).with("d=0 i=0").except('a', 0),
    row("c.jalr", "100 1 aaaaa 00000 10", "xa", JUMP, jalr).with("d=1 i=0").except('a', 0),
    row("c.beqz", "110 iii AAA iiiii 01", "xa, pc", JUMP, beq).place('i', BRANCH_OFFSET).with("b=0"),
    row("c.bnez", "111 iii AAA iiiii 01", "xa, pc", JUMP, bne).place('i', BRANCH_OFFSET).with("b=0"),
    row("c.li", "010 i ddddd iiiii 01", "xd, i", CONST, addi).with("a=0"),
    row("c.lui", "011 i ddddd iiiii 01", "xd, hi20", CONST, lui).place('i', "17|16:12").except('d', 2).except('i', 0),
    row("c.nop", "000 i 00000 iiiii 01", "nonzero", NOP, addi).with("d=0 a=0"),
    row("c.addi", "000 i ddddd iiiii 01", "xd, i", IMM, addi).with("a=d"),
    row("c.addiw", "001 i ddddd iiiii 01", "xd, i", IMM, addiw).with("a=d").except('d', 0),
    row("c.addi16sp", "011 i 00010 iiiii 01", "x2, i", IMM, addi)
        .place('i', "9|4|6|8:7|5")
        .with("d=2 a=2")
        .except('i', 0),
    row("c.addi4spn", "000 uuuuuuuu DDD 00", "xd, x2, u", IMM, addi)
        .place('u', "5:4|9:6|2|3")
        .with("a=2 i=u")
        .except('u', 0),
    row("c.slli", "000 u ddddd uuuuu 10", "xd, 0xu", IMM, slli).with("a=d"),
    row("c.srli", "100 u 00 DDD uuuuu 01", "xd, 0xu", IMM, srli).with("a=d"),
    row("c.srai", "100 u 01 DDD uuuuu 01", "xd, 0xu", IMM, srai).with("a=d"),
    row("c.andi", "100 i 10 DDD iiiii 01", "xd, i", IMM, andi).with("a=d"),
    row("c.mv", "100 0 ddddd bbbbb 10", "xd, xb", OP, add).with("a=0").except('b', 0),
    row("c.add", "100 1 ddddd bbbbb 10", "xd, xb", OP, add).with("a=d").except('b', 0),
    row("c.and", "100 0 11 DDD 11 BBB 01", "xd, xb", OP, and).with("a=d"),
    row("c.or", "100 0 11 DDD 10 BBB 01", "xd, xb", OP, or).with("a=d"),
    row("c.xor", "100 0 11 DDD 01 BBB 01", "xd, xb", OP, xor).with("a=d"),
    row("c.sub", "100 0 11 DDD 00 BBB 01", "xd, xb", OP, sub).with("a=d"),
    row("c.addw", "100 1 11 DDD 01 BBB 01", "xd, xb", OP, addw).with("a=d"),
    row("c.subw", "100 1 11 DDD 00 BBB 01", "xd, xb", OP, subw).with("a=d"),
    row("c.ebreak", "100 1 00000 00000 10", "", BREAK, ebreak),
];
