//! Scalar cryptography: AES decryption (Zknd), AES encryption (Zkne) and SHA-2 (Zknh).

use vm_ir::{IrBuilder, Type, Value};

use super::{AES_DECRYPT, AES_ENCRYPT, AES_INVERSE_MIX, AES_KEY_WORD, Binary, Registers, binary};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const AES_DECRYPTION: &str = "Cryptography Extensions, Zknd: NIST Suite: AES Decryption";
const AES_ENCRYPTION: &str = "Cryptography Extensions, Zkne: NIST Suite: AES Encryption";
const SHA2: &str = "Cryptography Extensions, Zknh: NIST Suite: Hash Function Instructions";

/// Zknd.
#[rustfmt::skip]
pub(super) const ZKND: &[Row] = &[
    row("aes64ds", "0011101 bbbbb aaaaa 000 ddddd 0110011", "xd, xa, xb", AES_DECRYPTION, aes64ds),
    row("aes64dsm", "0011111 bbbbb aaaaa 000 ddddd 0110011", "xd, xa, xb", AES_DECRYPTION, aes64dsm),
    row("aes64im", "001100000000 aaaaa 001 ddddd 0010011", "xd, xa", AES_DECRYPTION, aes64im),
];

/// Zkne.
#[rustfmt::skip]
pub(super) const ZKNE: &[Row] = &[
    row("aes64es", "0011001 bbbbb aaaaa 000 ddddd 0110011", "xd, xa, xb", AES_ENCRYPTION, aes64es),
    row("aes64esm", "0011011 bbbbb aaaaa 000 ddddd 0110011", "xd, xa, xb", AES_ENCRYPTION, aes64esm),
];

/// Zknd and Zkne.
#[rustfmt::skip]
pub(super) const ZKND_ZKNE: &[Row] = &[
    row("aes64ks1i", "00110001uuuu aaaaa 001 ddddd 0010011", "xd, xa, 0xu", AES_ENCRYPTION, aes64ks1i),
    row("aes64ks2", "0111111 bbbbb aaaaa 000 ddddd 0110011", "xd, xa, xb", AES_ENCRYPTION, aes64ks2),
];

/// Zknh.
#[rustfmt::skip]
pub(super) const ZKNH: &[Row] = &[
    row("sha256sig0", "000100000010 aaaaa 001 ddddd 0010011", "xd, xa", SHA2, sha256sig0),
    row("sha256sig1", "000100000011 aaaaa 001 ddddd 0010011", "xd, xa", SHA2, sha256sig1),
    row("sha256sum0", "000100000000 aaaaa 001 ddddd 0010011", "xd, xa", SHA2, sha256sum0),
    row("sha256sum1", "000100000001 aaaaa 001 ddddd 0010011", "xd, xa", SHA2, sha256sum1),
    row("sha512sig0", "000100000110 aaaaa 001 ddddd 0010011", "xd, xa", SHA2, sha512sig0),
    row("sha512sig1", "000100000111 aaaaa 001 ddddd 0010011", "xd, xa", SHA2, sha512sig1),
    row("sha512sum0", "000100000100 aaaaa 001 ddddd 0010011", "xd, xa", SHA2, sha512sum0),
    row("sha512sum1", "000100000101 aaaaa 001 ddddd 0010011", "xd, xa", SHA2, sha512sum1),
];

/// `rd = helper(rs1, rs2, operand)`.
fn aes(cx: &mut Lift, f: Fields, helper: usize, operand: i64) -> Flow {
    let (a, b) = (cx.x(f.a()), cx.x(f.b()));
    let operand = cx.ir.i64(operand);
    let value = cx.ir.call(helper, &[a, b, operand]);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `AES64DS rd, rs1, rs2`: the last round of decryption, two columns of it.
fn aes64ds(cx: &mut Lift, f: Fields) -> Flow {
    aes(cx, f, AES_DECRYPT, 0)
}

/// `AES64DSM rd, rs1, rs2`: a middle round of decryption, two columns of it.
fn aes64dsm(cx: &mut Lift, f: Fields) -> Flow {
    aes(cx, f, AES_DECRYPT, 1)
}

/// `AES64IM rd, rs1`: the inverse of MixColumns on two columns.
fn aes64im(cx: &mut Lift, f: Fields) -> Flow {
    let a = cx.x(f.a());
    let value = cx.ir.call(AES_INVERSE_MIX, &[a]);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `AES64ES rd, rs1, rs2`: the last round of encryption, two columns of it.
fn aes64es(cx: &mut Lift, f: Fields) -> Flow {
    aes(cx, f, AES_ENCRYPT, 0)
}

/// `AES64ESM rd, rs1, rs2`: a middle round of encryption, two columns of it.
fn aes64esm(cx: &mut Lift, f: Fields) -> Flow {
    aes(cx, f, AES_ENCRYPT, 1)
}

/// `AES64KS1I rd, rs1, rnum`: the key schedule's substitution and round constant; round numbers above 10 are reserved.
fn aes64ks1i(cx: &mut Lift, f: Fields) -> Flow {
    let round = f.u();
    if round > 10 {
        return Flow::Illegal;
    }
    let a = cx.x(f.a());
    let round = cx.ir.i64(round as i64);
    let value = cx.ir.call(AES_KEY_WORD, &[a, round]);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `AES64KS2 rd, rs1, rs2`: two words of the key schedule.
fn aes64ks2(cx: &mut Lift, f: Fields) -> Flow {
    binary(cx, f, |ir, a, b| {
        let by = ir.i64(32);
        let carried = ir.shr_u(a, by);
        let both = ir.xor(carried, b);
        // The low word of `both` is the first word; the second is that and the upper word of rs2.
        let first = ir.shl(both, by);
        ir.xor(both, first)
    })
}

/// How a SHA-2 function combines its third term.
#[derive(Clone, Copy)]
enum Third {
    Shift(u8),
    Rotate(u8),
}

/// Two rotations to the right and a third term, all exclusive-ored.
fn sha2(cx: &mut Lift, f: Fields, ty: Type, [first, second]: [u8; 2], third: Third) -> Flow {
    let wide = cx.x(f.a());
    let a = cx.ir.truncate(wide, ty);
    let mut term = |op: Binary, by: u8| {
        let by = cx.ir.constant(ty, by.into());
        op(&mut cx.ir, a, by)
    };
    let terms: [Value; 3] = [
        term(IrBuilder::rot_r, first),
        term(IrBuilder::rot_r, second),
        match third {
            Third::Shift(by) => term(IrBuilder::shr_u, by),
            Third::Rotate(by) => term(IrBuilder::rot_r, by),
        },
    ];
    let two = cx.ir.xor(terms[0], terms[1]);
    let value = cx.ir.xor(two, terms[2]);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `SHA256SIG0 rd, rs1`: FIPS 180-4, 4.1.2, small sigma 0, of the low word.
fn sha256sig0(cx: &mut Lift, f: Fields) -> Flow {
    sha2(cx, f, Type::I32, [7, 18], Third::Shift(3))
}

/// `SHA256SIG1 rd, rs1`: small sigma 1, of the low word.
fn sha256sig1(cx: &mut Lift, f: Fields) -> Flow {
    sha2(cx, f, Type::I32, [17, 19], Third::Shift(10))
}

/// `SHA256SUM0 rd, rs1`: capital sigma 0, of the low word.
fn sha256sum0(cx: &mut Lift, f: Fields) -> Flow {
    sha2(cx, f, Type::I32, [2, 13], Third::Rotate(22))
}

/// `SHA256SUM1 rd, rs1`: capital sigma 1, of the low word.
fn sha256sum1(cx: &mut Lift, f: Fields) -> Flow {
    sha2(cx, f, Type::I32, [6, 11], Third::Rotate(25))
}

/// `SHA512SIG0 rd, rs1`: FIPS 180-4, 4.1.3, small sigma 0.
fn sha512sig0(cx: &mut Lift, f: Fields) -> Flow {
    sha2(cx, f, Type::I64, [1, 8], Third::Shift(7))
}

/// `SHA512SIG1 rd, rs1`: small sigma 1.
fn sha512sig1(cx: &mut Lift, f: Fields) -> Flow {
    sha2(cx, f, Type::I64, [19, 61], Third::Shift(6))
}

/// `SHA512SUM0 rd, rs1`: capital sigma 0.
fn sha512sum0(cx: &mut Lift, f: Fields) -> Flow {
    sha2(cx, f, Type::I64, [28, 34], Third::Rotate(39))
}

/// `SHA512SUM1 rd, rs1`: capital sigma 1.
fn sha512sum1(cx: &mut Lift, f: Fields) -> Flow {
    sha2(cx, f, Type::I64, [14, 18], Third::Rotate(41))
}

/// Product of two polynomials modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2).
const fn field_product(a: u8, b: u8) -> u8 {
    let (mut a, mut product, mut bit) = (a, 0, 0);
    while bit < 8 {
        if b >> bit & 1 != 0 {
            product ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        bit += 1;
    }
    product
}

/// The substitution of FIPS 197, 5.1.1: the affine map of the field's inverse, found by walking the powers of the
/// generator 3 and of its inverse 0xf6 side by side.
static FORWARD: [u8; 256] = {
    let mut table = [0; 256];
    table[0] = 0x63;
    let (mut power, mut inverse, mut steps) = (1u8, 1u8, 0);
    while steps < 255 {
        let b = inverse;
        table[power as usize] = b ^ b.rotate_left(1) ^ b.rotate_left(2) ^ b.rotate_left(3) ^ b.rotate_left(4) ^ 0x63;
        power = field_product(power, 3);
        inverse = field_product(inverse, 0xf6);
        steps += 1;
    }
    table
};

/// The inverse of [`FORWARD`] (FIPS 197, 5.3.2).
static INVERSE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[FORWARD[byte] as usize] = byte as u8;
        byte += 1;
    }
    table
};

/// What a byte in the first row adds to its column when the column is multiplied by the circulant matrix whose first
/// row is `row`, the column's first row in the low byte (FIPS 197, 5.1.3 and 5.3.3).
const fn contributions(row: [u8; 4]) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = u32::from_le_bytes([
            field_product(row[0], b),
            field_product(row[3], b),
            field_product(row[2], b),
            field_product(row[1], b),
        ]);
        byte += 1;
    }
    table
}

static MIX: [u32; 256] = contributions([2, 3, 1, 1]);
static INVERSE_MIX: [u32; 256] = contributions([14, 11, 13, 9]);

/// Two columns, each multiplied by the matrix behind `table`.
fn mix_columns(columns: [u8; 8], table: &[u32; 256]) -> u64 {
    let mix = |column: &[u8]| {
        column
            .iter()
            .enumerate()
            .fold(0, |sum, (row, &byte)| sum ^ table[usize::from(byte)].rotate_left(8 * row as u32))
    };
    let (first, second) = columns.split_at(4);
    u64::from(mix(second)) << 32 | u64::from(mix(first))
}

/// The first two columns after a row shift by `step` columns a row: the state is `low` below `high`, column by column.
fn shift_rows(low: u64, high: u64, step: usize) -> [u8; 8] {
    let state = (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
    std::array::from_fn(|at| {
        let (column, row) = (at / 4, at % 4);
        state[(column + row * step) % 4 * 4 + row]
    })
}

/// The helper behind `aes64es` and, if `mix` is not zero, `aes64esm`.
pub(super) extern "C" fn aes_encrypt(low: u64, high: u64, mix: u64) -> u64 {
    let columns = shift_rows(low, high, 1).map(|byte| FORWARD[usize::from(byte)]);
    if mix == 0 { u64::from_le_bytes(columns) } else { mix_columns(columns, &MIX) }
}

/// The helper behind `aes64ds` and, if `mix` is not zero, `aes64dsm`.
pub(super) extern "C" fn aes_decrypt(low: u64, high: u64, mix: u64) -> u64 {
    // Three columns forward are one back.
    let columns = shift_rows(low, high, 3).map(|byte| INVERSE[usize::from(byte)]);
    if mix == 0 { u64::from_le_bytes(columns) } else { mix_columns(columns, &INVERSE_MIX) }
}

/// The helper behind `aes64im`.
pub(super) extern "C" fn aes_inverse_mix(columns: u64, _: u64, _: u64) -> u64 {
    mix_columns(columns.to_le_bytes(), &INVERSE_MIX)
}

/// The helper behind `aes64ks1i`: the upper word of `key`, rotated by a byte except in round 10, substituted, with the
/// constant of `round`, in both words.
pub(super) extern "C" fn aes_key_word(key: u64, round: u64, _: u64) -> u64 {
    /// Powers of x (FIPS 197, 5.2); none for the round that does not rotate.
    const ROUND: [u8; 11] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36, 0];
    let word = (key >> 32) as u32;
    let rotated = if round == 10 { word } else { word.rotate_right(8) };
    let substituted = u32::from_le_bytes(rotated.to_le_bytes().map(|byte| FORWARD[usize::from(byte)]));
    let constant = ROUND.get(round as usize).copied().unwrap_or(0);
    let word = u64::from(substituted ^ u32::from(constant));
    word << 32 | word
}

#[cfg(test)]
mod tests {
    use vm_core::BlockKey;

    use super::super::Riscv64;
    use super::*;
    use crate::guest::Guest;

    #[test]
    fn round_numbers_above_ten_are_illegal() {
        for round in 0..16 {
            let mut cx = Lift::new(BlockKey::default());
            cx.begin(0, 4);
            // aes64ks1i x10, x11, round
            let word = 0x3105_9513_u32 | round << 20;
            let flow = Riscv64.lift(&word.to_le_bytes(), Riscv64.all_extensions(), &mut cx);
            assert_eq!(flow, if round <= 10 { Flow::Next } else { Flow::Illegal }, "round {round}");
        }
    }

    fn words(bytes: [u8; 16]) -> [u64; 2] {
        let (low, high) = bytes.split_at(8);
        [low, high].map(|half| u64::from_le_bytes(half.try_into().unwrap()))
    }

    /// FIPS 197, appendix B: a whole encryption, key schedule included, and back.
    #[test]
    fn the_standards_example() {
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128;
        let plain = 0x3243_f6a8_885a_308d_3131_98a2_e037_0734_u128;
        let cipher = 0x3925_841d_02dc_09fb_dc11_8597_196a_0b32_u128;

        let second = |a: u64, b: u64| {
            let word = a >> 32 ^ b;
            word ^ word << 32
        };
        let mut keys = vec![words(key.to_be_bytes())];
        for round in 0..10 {
            let [low, high] = keys[round as usize];
            let low = second(aes_key_word(high, round, 0), low);
            keys.push([low, second(low, high)]);
        }

        let [mut low, mut high] = words(plain.to_be_bytes());
        for (round, key) in keys.iter().enumerate() {
            (low, high) = (low ^ key[0], high ^ key[1]);
            if round < 10 {
                let mix = u64::from(round < 9);
                (low, high) = (aes_encrypt(low, high, mix), aes_encrypt(high, low, mix));
            }
        }
        assert_eq!([low, high], words(cipher.to_be_bytes()));

        for (round, key) in keys.iter().rev().enumerate() {
            // The equivalent inverse cipher of 5.3.5 mixes the inner round keys.
            let key = if (1..10).contains(&round) { key.map(|half| aes_inverse_mix(half, 0, 0)) } else { *key };
            (low, high) = (low ^ key[0], high ^ key[1]);
            if round < 10 {
                let mix = u64::from(round < 9);
                (low, high) = (aes_decrypt(low, high, mix), aes_decrypt(high, low, mix));
            }
        }
        assert_eq!([low, high], words(plain.to_be_bytes()));
    }
}
