//! Bit manipulation: Zba, Zbb, Zbc, Zbs, and Zbkb, Zbkc, Zbkx, which share some of their instructions.

use vm_ir::{IrBuilder, Type, Value};

use super::int_imm::{immediate, immediate_w};
use super::{Binary, Registers, XPERM4, XPERM8, binary, binary_w};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const ADDRESS: &str = "\"B\" Extension, Zba: Address generation";
const BASIC: &str = "\"B\" Extension, Zbb: Basic bit-manipulation";
const CARRYLESS: &str = "\"B\" Extension, Zbc: Carry-less multiplication";
const SINGLE: &str = "\"B\" Extension, Zbs: Single-bit instructions";
const CRYPTO: &str = "\"B\" Extension, Zbkb: Bit-manipulation for Cryptography";
const CROSSBAR: &str = "\"B\" Extension, Zbkx: Crossbar permutations";

/// Zba.
#[rustfmt::skip]
pub(super) const ZBA: &[Row] = &[
    row("add.uw", "0000100 bbbbb aaaaa 000 ddddd 0111011", "xd, xa, xb", ADDRESS, add_uw),
    row("sh1add", "0010000 bbbbb aaaaa 010 ddddd 0110011", "xd, xa, xb", ADDRESS, sh1add),
    row("sh1add.uw", "0010000 bbbbb aaaaa 010 ddddd 0111011", "xd, xa, xb", ADDRESS, sh1add_uw),
    row("sh2add", "0010000 bbbbb aaaaa 100 ddddd 0110011", "xd, xa, xb", ADDRESS, sh2add),
    row("sh2add.uw", "0010000 bbbbb aaaaa 100 ddddd 0111011", "xd, xa, xb", ADDRESS, sh2add_uw),
    row("sh3add", "0010000 bbbbb aaaaa 110 ddddd 0110011", "xd, xa, xb", ADDRESS, sh3add),
    row("sh3add.uw", "0010000 bbbbb aaaaa 110 ddddd 0111011", "xd, xa, xb", ADDRESS, sh3add_uw),
    row("slli.uw", "000010 uuuuuu aaaaa 001 ddddd 0011011", "xd, xa, 0xu", ADDRESS, slli_uw),
];

/// Zbb and Zbkb.
#[rustfmt::skip]
pub(super) const ZBB_ZBKB: &[Row] = &[
    row("andn", "0100000 bbbbb aaaaa 111 ddddd 0110011", "xd, xa, xb", BASIC, andn),
    row("orn", "0100000 bbbbb aaaaa 110 ddddd 0110011", "xd, xa, xb", BASIC, orn),
    row("xnor", "0100000 bbbbb aaaaa 100 ddddd 0110011", "xd, xa, xb", BASIC, xnor),
    row("rol", "0110000 bbbbb aaaaa 001 ddddd 0110011", "xd, xa, xb", BASIC, rol),
    row("rolw", "0110000 bbbbb aaaaa 001 ddddd 0111011", "xd, xa, xb", BASIC, rolw),
    row("ror", "0110000 bbbbb aaaaa 101 ddddd 0110011", "xd, xa, xb", BASIC, ror),
    row("rori", "011000 uuuuuu aaaaa 101 ddddd 0010011", "xd, xa, 0xu", BASIC, rori),
    row("roriw", "0110000 uuuuu aaaaa 101 ddddd 0011011", "xd, xa, 0xu", BASIC, roriw),
    row("rorw", "0110000 bbbbb aaaaa 101 ddddd 0111011", "xd, xa, xb", BASIC, rorw),
    row("rev8", "011010111000 aaaaa 101 ddddd 0010011", "xd, xa", BASIC, rev8),
];

/// Zbb alone. `zext.h` is a `packw` of Zbkb whose second register is `x0`.
#[rustfmt::skip]
pub(super) const ZBB: &[Row] = &[
    row("clz", "011000000000 aaaaa 001 ddddd 0010011", "xd, xa", BASIC, clz),
    row("clzw", "011000000000 aaaaa 001 ddddd 0011011", "xd, xa", BASIC, clzw),
    row("ctz", "011000000001 aaaaa 001 ddddd 0010011", "xd, xa", BASIC, ctz),
    row("ctzw", "011000000001 aaaaa 001 ddddd 0011011", "xd, xa", BASIC, ctzw),
    row("cpop", "011000000010 aaaaa 001 ddddd 0010011", "xd, xa", BASIC, cpop),
    row("cpopw", "011000000010 aaaaa 001 ddddd 0011011", "xd, xa", BASIC, cpopw),
    row("max", "0000101 bbbbb aaaaa 110 ddddd 0110011", "xd, xa, xb", BASIC, max),
    row("maxu", "0000101 bbbbb aaaaa 111 ddddd 0110011", "xd, xa, xb", BASIC, maxu),
    row("min", "0000101 bbbbb aaaaa 100 ddddd 0110011", "xd, xa, xb", BASIC, min),
    row("minu", "0000101 bbbbb aaaaa 101 ddddd 0110011", "xd, xa, xb", BASIC, minu),
    row("sext.b", "011000000100 aaaaa 001 ddddd 0010011", "xd, xa", BASIC, sext_b),
    row("sext.h", "011000000101 aaaaa 001 ddddd 0010011", "xd, xa", BASIC, sext_h),
    row("zext.h", "000010000000 aaaaa 100 ddddd 0111011", "xd, xa", BASIC, zext_h),
    row("orc.b", "001010000111 aaaaa 101 ddddd 0010011", "xd, xa", BASIC, orc_b),
];

/// Zbkb alone.
#[rustfmt::skip]
pub(super) const ZBKB: &[Row] = &[
    row("brev8", "011010000111 aaaaa 101 ddddd 0010011", "xd, xa", CRYPTO, brev8),
    row("pack", "0000100 bbbbb aaaaa 100 ddddd 0110011", "xd, xa, xb", CRYPTO, pack),
    row("packh", "0000100 bbbbb aaaaa 111 ddddd 0110011", "xd, xa, xb", CRYPTO, packh),
    row("packw", "0000100 bbbbb aaaaa 100 ddddd 0111011", "xd, xa, xb", CRYPTO, packw),
];

/// Zbc and Zbkc.
#[rustfmt::skip]
pub(super) const ZBC_ZBKC: &[Row] = &[
    row("clmul", "0000101 bbbbb aaaaa 001 ddddd 0110011", "xd, xa, xb", CARRYLESS, clmul),
    row("clmulh", "0000101 bbbbb aaaaa 011 ddddd 0110011", "xd, xa, xb", CARRYLESS, clmulh),
];

/// Zbc alone.
pub(super) const ZBC: &[Row] =
    &[row("clmulr", "0000101 bbbbb aaaaa 010 ddddd 0110011", "xd, xa, xb", CARRYLESS, clmulr)];

/// Zbs.
#[rustfmt::skip]
pub(super) const ZBS: &[Row] = &[
    row("bclr", "0100100 bbbbb aaaaa 001 ddddd 0110011", "xd, xa, xb", SINGLE, bclr),
    row("bclri", "010010 uuuuuu aaaaa 001 ddddd 0010011", "xd, xa, 0xu", SINGLE, bclri),
    row("bext", "0100100 bbbbb aaaaa 101 ddddd 0110011", "xd, xa, xb", SINGLE, bext),
    row("bexti", "010010 uuuuuu aaaaa 101 ddddd 0010011", "xd, xa, 0xu", SINGLE, bexti),
    row("binv", "0110100 bbbbb aaaaa 001 ddddd 0110011", "xd, xa, xb", SINGLE, binv),
    row("binvi", "011010 uuuuuu aaaaa 001 ddddd 0010011", "xd, xa, 0xu", SINGLE, binvi),
    row("bset", "0010100 bbbbb aaaaa 001 ddddd 0110011", "xd, xa, xb", SINGLE, bset),
    row("bseti", "001010 uuuuuu aaaaa 001 ddddd 0010011", "xd, xa, 0xu", SINGLE, bseti),
];

/// Zbkx.
pub(super) const ZBKX: &[Row] = &[
    row("xperm8", "0010100 bbbbb aaaaa 100 ddddd 0110011", "xd, xa, xb", CROSSBAR, xperm8),
    row("xperm4", "0010100 bbbbb aaaaa 010 ddddd 0110011", "xd, xa, xb", CROSSBAR, xperm4),
];

/// Low word of integer register `n`, zero-extended.
fn unsigned_word(cx: &mut Lift, n: u8) -> Value {
    let word = cx.x32(n);
    cx.ir.zero_extend(word, Type::I64)
}

/// `rd = (a << by) + rs2`.
fn shifted_add(cx: &mut Lift, f: Fields, a: Value, by: i64) -> Flow {
    let by = cx.ir.i64(by);
    let shifted = cx.ir.shl(a, by);
    let b = cx.x(f.b());
    let sum = cx.ir.add(shifted, b);
    cx.set_x(f.d(), sum);
    Flow::Next
}

/// `ADD.UW rd, rs1, rs2`: rs2 plus the low word of rs1, zero-extended.
fn add_uw(cx: &mut Lift, f: Fields) -> Flow {
    let (a, b) = (unsigned_word(cx, f.a()), cx.x(f.b()));
    let sum = cx.ir.add(a, b);
    cx.set_x(f.d(), sum);
    Flow::Next
}

/// `SH1ADD rd, rs1, rs2`: rs2 plus two times rs1.
fn sh1add(cx: &mut Lift, f: Fields) -> Flow {
    let a = cx.x(f.a());
    shifted_add(cx, f, a, 1)
}

/// `SH1ADD.UW rd, rs1, rs2`: as SH1ADD, of the low word of rs1.
fn sh1add_uw(cx: &mut Lift, f: Fields) -> Flow {
    let a = unsigned_word(cx, f.a());
    shifted_add(cx, f, a, 1)
}

/// `SH2ADD rd, rs1, rs2`: rs2 plus four times rs1.
fn sh2add(cx: &mut Lift, f: Fields) -> Flow {
    let a = cx.x(f.a());
    shifted_add(cx, f, a, 2)
}

/// `SH2ADD.UW rd, rs1, rs2`: as SH2ADD, of the low word of rs1.
fn sh2add_uw(cx: &mut Lift, f: Fields) -> Flow {
    let a = unsigned_word(cx, f.a());
    shifted_add(cx, f, a, 2)
}

/// `SH3ADD rd, rs1, rs2`: rs2 plus eight times rs1.
fn sh3add(cx: &mut Lift, f: Fields) -> Flow {
    let a = cx.x(f.a());
    shifted_add(cx, f, a, 3)
}

/// `SH3ADD.UW rd, rs1, rs2`: as SH3ADD, of the low word of rs1.
fn sh3add_uw(cx: &mut Lift, f: Fields) -> Flow {
    let a = unsigned_word(cx, f.a());
    shifted_add(cx, f, a, 3)
}

/// `SLLI.UW rd, rs1, shamt`: of the low word of rs1, zero-extended before the shift.
fn slli_uw(cx: &mut Lift, f: Fields) -> Flow {
    let a = unsigned_word(cx, f.a());
    let by = cx.ir.i64(f.u() as i64);
    let value = cx.ir.shl(a, by);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// The complement of `a`.
fn not(ir: &mut IrBuilder, a: Value) -> Value {
    let ones = ir.i64(-1);
    ir.xor(a, ones)
}

/// `ANDN rd, rs1, rs2`: rs1 and the complement of rs2.
fn andn(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, |ir, a, b| {
        let complement = not(ir, b);
        ir.and(a, complement)
    })
}

/// `ORN rd, rs1, rs2`: rs1 or the complement of rs2.
fn orn(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, |ir, a, b| {
        let complement = not(ir, b);
        ir.or(a, complement)
    })
}

/// `XNOR rd, rs1, rs2`.
fn xnor(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, |ir, a, b| {
        let different = ir.xor(a, b);
        not(ir, different)
    })
}

/// `ROL rd, rs1, rs2`: by the low six bits of rs2.
fn rol(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::rot_l)
}

/// `ROLW rd, rs1, rs2`: the low word, by the low five bits of rs2.
fn rolw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::rot_l)
}

/// `ROR rd, rs1, rs2`: by the low six bits of rs2.
fn ror(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::rot_r)
}

/// `RORI rd, rs1, shamt`.
fn rori(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, IrBuilder::rot_r, f.u() as i64)
}

/// `RORIW rd, rs1, shamt`: the low word.
fn roriw(cx: &mut Lift, f: Fields) -> Flow {
    immediate_w(cx, f, IrBuilder::rot_r, f.u() as i64)
}

/// `RORW rd, rs1, rs2`: the low word, by the low five bits of rs2.
fn rorw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, IrBuilder::rot_r)
}

/// `rd = op(rs1)`.
fn unary(cx: &mut Lift, f: Fields, op: fn(&mut IrBuilder, Value) -> Value) -> Flow {
    let a = cx.x(f.a());
    let value = op(&mut cx.ir, a);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `rd = op(rs1[31:0])`, a count.
fn unary_w(cx: &mut Lift, f: Fields, op: fn(&mut IrBuilder, Value) -> Value) -> Flow {
    let a = cx.x32(f.a());
    let value = op(&mut cx.ir, a);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `REV8 rd, rs1`: bytes in reverse order.
fn rev8(cx: &mut Lift, f: Fields) -> Flow {
    unary(cx, f, IrBuilder::byte_swap)
}

/// `CLZ rd, rs1`.
fn clz(cx: &mut Lift, f: Fields) -> Flow {
    unary(cx, f, IrBuilder::clz)
}

/// `CLZW rd, rs1`.
fn clzw(cx: &mut Lift, f: Fields) -> Flow {
    unary_w(cx, f, IrBuilder::clz)
}

/// `CTZ rd, rs1`.
fn ctz(cx: &mut Lift, f: Fields) -> Flow {
    unary(cx, f, IrBuilder::ctz)
}

/// `CTZW rd, rs1`.
fn ctzw(cx: &mut Lift, f: Fields) -> Flow {
    unary_w(cx, f, IrBuilder::ctz)
}

/// `CPOP rd, rs1`.
fn cpop(cx: &mut Lift, f: Fields) -> Flow {
    unary(cx, f, IrBuilder::popcount)
}

/// `CPOPW rd, rs1`.
fn cpopw(cx: &mut Lift, f: Fields) -> Flow {
    unary_w(cx, f, IrBuilder::popcount)
}

/// `rd = rs1 if rs1 relation rs2, else rs2`.
fn choose(cx: &mut Lift, f: Fields, relation: Binary) -> Flow {
    let (a, b) = (cx.x(f.a()), cx.x(f.b()));
    let first = relation(&mut cx.ir, a, b);
    let value = cx.ir.select(first, a, b);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `MAX rd, rs1, rs2`: signed.
fn max(cx: &mut Lift, f: Fields) -> Flow {
    choose(cx, f, |ir, a, b| ir.lt_s(b, a))
}

/// `MAXU rd, rs1, rs2`: unsigned.
fn maxu(cx: &mut Lift, f: Fields) -> Flow {
    choose(cx, f, |ir, a, b| ir.lt_u(b, a))
}

/// `MIN rd, rs1, rs2`: signed.
fn min(cx: &mut Lift, f: Fields) -> Flow {
    choose(cx, f, IrBuilder::lt_s)
}

/// `MINU rd, rs1, rs2`: unsigned.
fn minu(cx: &mut Lift, f: Fields) -> Flow {
    choose(cx, f, IrBuilder::lt_u)
}

/// `SEXT.B rd, rs1`.
fn sext_b(cx: &mut Lift, f: Fields) -> Flow {
    unary(cx, f, |ir, a| ir.truncate(a, Type::I8))
}

/// `SEXT.H rd, rs1`.
fn sext_h(cx: &mut Lift, f: Fields) -> Flow {
    unary(cx, f, |ir, a| ir.truncate(a, Type::I16))
}

/// `ZEXT.H rd, rs1`.
fn zext_h(cx: &mut Lift, f: Fields) -> Flow {
    let a = cx.x(f.a());
    let low = cx.ir.truncate(a, Type::I16);
    cx.set_x_unsigned(f.d(), low);
    Flow::Next
}

/// `ORC.B rd, rs1`: each byte all ones if any of its bits is set.
fn orc_b(cx: &mut Lift, f: Fields) -> Flow {
    unary(cx, f, |ir, a| {
        let low_seven = ir.i64(0x7f7f_7f7f_7f7f_7f7f);
        let top = ir.i64(0x8080_8080_8080_8080_u64 as i64);
        let (one, seven) = (ir.i64(1), ir.i64(7));
        // A carry into a byte's top bit says that a lower one is set; none leaves the byte.
        let low_bits = ir.and(a, low_seven);
        let carried = ir.add(low_bits, low_seven);
        let any = ir.or(carried, a);
        let flags = ir.and(any, top);
        // 0x100 - 0x01 in each flagged byte.
        let above = ir.shl(flags, one);
        let below = ir.shr_u(flags, seven);
        ir.sub(above, below)
    })
}

/// `BREV8 rd, rs1`: bits of each byte in reverse order.
fn brev8(cx: &mut Lift, f: Fields) -> Flow {
    unary(cx, f, |ir, a| {
        let reversed = ir.bit_reverse(a);
        ir.byte_swap(reversed)
    })
}

/// `PACK rd, rs1, rs2`: the low words, that of rs2 above.
fn pack(cx: &mut Lift, f: Fields) -> Flow {
    let low = unsigned_word(cx, f.a());
    let b = cx.x(f.b());
    let by = cx.ir.i64(32);
    let high = cx.ir.shl(b, by);
    let value = cx.ir.or(low, high);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `PACKH rd, rs1, rs2`: the low bytes, that of rs2 above, zero-extended.
fn packh(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, |ir, a, b| {
        let (byte, by) = (ir.i64(0xff), ir.i64(8));
        let low = ir.and(a, byte);
        let second = ir.and(b, byte);
        let high = ir.shl(second, by);
        ir.or(low, high)
    })
}

/// `PACKW rd, rs1, rs2`: the low halfwords, that of rs2 above, sign-extended.
fn packw(cx: &mut Lift, f: Fields) -> Flow {
    binary_w(cx, f, |ir, a, b| {
        let (half, by) = (ir.i32(0xffff), ir.i32(16));
        let low = ir.and(a, half);
        let high = ir.shl(b, by);
        ir.or(low, high)
    })
}

/// `CLMUL rd, rs1, rs2`: the low 64 bits of the carry-less product.
fn clmul(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::clmul)
}

/// `CLMULH rd, rs1, rs2`: bits 127 to 64.
fn clmulh(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, IrBuilder::clmul_high)
}

/// `CLMULR rd, rs1, rs2`: bits 126 to 63.
fn clmulr(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, |ir, a, b| {
        let (low, high) = (ir.clmul(a, b), ir.clmul_high(a, b));
        let (one, last) = (ir.i64(1), ir.i64(63));
        let upper = ir.shl(high, one);
        let lowest = ir.shr_u(low, last);
        ir.or(upper, lowest)
    })
}

/// A one at position `bit` modulo 64.
fn single_bit(ir: &mut IrBuilder, bit: Value) -> Value {
    let one = ir.i64(1);
    ir.shl(one, bit)
}

/// `a` with bit number `bit`, modulo 64, cleared.
fn clear(ir: &mut IrBuilder, a: Value, bit: Value) -> Value {
    let set = single_bit(ir, bit);
    let kept = not(ir, set);
    ir.and(a, kept)
}

fn extract(ir: &mut IrBuilder, a: Value, bit: Value) -> Value {
    let shifted = ir.shr_u(a, bit);
    let one = ir.i64(1);
    ir.and(shifted, one)
}

fn invert(ir: &mut IrBuilder, a: Value, bit: Value) -> Value {
    let set = single_bit(ir, bit);
    ir.xor(a, set)
}

fn set(ir: &mut IrBuilder, a: Value, bit: Value) -> Value {
    let set = single_bit(ir, bit);
    ir.or(a, set)
}

/// `BCLR rd, rs1, rs2`: rs1 with one bit cleared.
fn bclr(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, clear)
}

/// `BCLRI rd, rs1, shamt`.
fn bclri(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, clear, f.u() as i64)
}

/// `BEXT rd, rs1, rs2`: one bit of rs1.
fn bext(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, extract)
}

/// `BEXTI rd, rs1, shamt`.
fn bexti(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, extract, f.u() as i64)
}

/// `BINV rd, rs1, rs2`: rs1 with one bit inverted.
fn binv(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, invert)
}

/// `BINVI rd, rs1, shamt`.
fn binvi(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, invert, f.u() as i64)
}

/// `BSET rd, rs1, rs2`: rs1 with one bit set.
fn bset(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, set)
}

/// `BSETI rd, rs1, shamt`.
fn bseti(cx: &mut Lift, f: Fields) -> Flow {
    immediate(cx, f, set, f.u() as i64)
}

/// `XPERM8 rd, rs1, rs2`: each byte of rs2 selects a byte of rs1; zero for an index beyond the last.
fn xperm8(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, |ir, a, b| ir.call(XPERM8, &[a, b]))
}

/// `XPERM4 rd, rs1, rs2`: each nibble of rs2 selects a nibble of rs1.
fn xperm4(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, |ir, a, b| ir.call(XPERM4, &[a, b]))
}

/// The helper behind `xperm8`.
pub(super) extern "C" fn permute_bytes(table: u64, indices: u64, _: u64) -> u64 {
    permute::<8>(table, indices)
}

/// The helper behind `xperm4`.
pub(super) extern "C" fn permute_nibbles(table: u64, indices: u64, _: u64) -> u64 {
    permute::<4>(table, indices)
}

/// Elements of `BITS` bits of `table`, chosen by the elements of `indices`.
fn permute<const BITS: u32>(table: u64, indices: u64) -> u64 {
    let mask = (1 << BITS) - 1;
    (0..64).step_by(BITS as usize).fold(0, |result, position| {
        let index = (indices >> position & mask) as u32;
        // Beyond the last element the shift is too large, and nothing is chosen.
        let element = table.checked_shr(index * BITS).unwrap_or(0) & mask;
        result | element << position
    })
}
