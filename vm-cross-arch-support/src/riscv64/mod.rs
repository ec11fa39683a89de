//! 64-bit RISC-V, little-endian, user mode: RV64GC and the extensions listed in [`EXTENSIONS`].
//!
//! Rows cite *The RISC-V Instruction Set Manual, Volume I: Unprivileged Architecture*, version 20240411, by chapter or
//! section title. One file holds one family, rows and lifters together, in the manual's order.
//!
//! # State
//! `x1`-`x31` are slots 1-31 (`x0` is no slot), `f0`-`f31` are slots 32-63 and hold narrower floats NaN-boxed.
//! The reservation of LR/SC is in [`RESERVATION_ADDRESS`] and [`RESERVATION_VALUE`]. `fflags` is
//! [`CpuState::fp_flags`](vm_core::CpuState::fp_flags), and `frm` is the mode word: a translation knows it.

mod atomic;
mod bitmanip;
mod branch;
mod cache_block;
mod compressed;
mod crypto;
mod csr;
mod float;
mod float_double;
mod float_half;
mod float_single;
mod int_imm;
mod int_reg;
mod load_store;
mod mul_div;
mod system;
mod text;
mod zicond;

use std::sync::OnceLock;
use std::time::Instant;

use vm_core::{GuestArch, Slot};
use vm_ir::{Helper, HelperEffect, HelperFn, IrBuilder, Rounding, SlotInfo, Type, Value};

use crate::guest::{ExtensionInfo, Extensions, Guest, Length};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{DecodeError, Group, Table, Tree};

/// Slot of integer register `n`, 1 to 31.
///
/// # Panics
/// If `n` is 0, which is no slot, or above 31.
#[inline]
#[must_use]
pub const fn x(n: u8) -> Slot {
    assert!(n != 0 && n < 32, "x1 to x31 are slots");
    Slot::new(n as u16)
}

/// Slot of floating-point register `n`, 0 to 31.
///
/// # Panics
/// If `n` is above 31.
#[inline]
#[must_use]
pub const fn f(n: u8) -> Slot {
    assert!(n < 32, "f0 to f31 are slots");
    Slot::new(32 + n as u16)
}

/// Slot of the address that LR reserved, its bit 0 set (reserved addresses are even); 0 when there is no reservation.
pub const RESERVATION_ADDRESS: Slot = Slot::new(64);
/// Slot of the value that LR read, sign-extended from 32 bits for LR.W.
pub const RESERVATION_VALUE: Slot = Slot::new(65);

/// Ticks per second of the `time` CSR. `cycle` and `instret` count the same clock: the manual leaves their rate to
/// the execution environment.
pub const TIME_FREQUENCY: u64 = 1_000_000_000;

/// Bytes in a cache block, which `cbo.zero` clears.
pub const CACHE_BLOCK_SIZE: u64 = 64;

/// Extension sets of one extension each.
pub mod extension {
    use crate::guest::Extensions;

    /// Base integer instructions.
    pub const I: Extensions = Extensions::bit(0);
    /// Multiplication and division.
    pub const M: Extensions = Extensions::bit(1);
    /// Atomic instructions.
    pub const A: Extensions = Extensions::bit(2);
    /// Single-precision floating point.
    pub const F: Extensions = Extensions::bit(3);
    /// Double-precision floating point.
    pub const D: Extensions = Extensions::bit(4);
    /// Compressed instructions.
    pub const C: Extensions = Extensions::bit(5);
    /// Control and status registers.
    pub const ZICSR: Extensions = Extensions::bit(6);
    /// Instruction-fetch fence.
    pub const ZIFENCEI: Extensions = Extensions::bit(7);
    /// Cache-block management.
    pub const ZICBOM: Extensions = Extensions::bit(8);
    /// Cache-block zeroing.
    pub const ZICBOZ: Extensions = Extensions::bit(9);
    /// Conditional zeroing.
    pub const ZICOND: Extensions = Extensions::bit(10);
    /// Pause hint.
    pub const ZIHINTPAUSE: Extensions = Extensions::bit(11);
    /// Half-precision floating point.
    pub const ZFH: Extensions = Extensions::bit(12);
    /// Address generation.
    pub const ZBA: Extensions = Extensions::bit(13);
    /// Basic bit manipulation.
    pub const ZBB: Extensions = Extensions::bit(14);
    /// Carry-less multiplication.
    pub const ZBC: Extensions = Extensions::bit(15);
    /// Single-bit instructions.
    pub const ZBS: Extensions = Extensions::bit(16);
    /// Bit manipulation for cryptography.
    pub const ZBKB: Extensions = Extensions::bit(17);
    /// Carry-less multiplication for cryptography.
    pub const ZBKC: Extensions = Extensions::bit(18);
    /// Crossbar permutations.
    pub const ZBKX: Extensions = Extensions::bit(19);
    /// AES decryption.
    pub const ZKND: Extensions = Extensions::bit(20);
    /// AES encryption.
    pub const ZKNE: Extensions = Extensions::bit(21);
    /// SHA-2 hash functions.
    pub const ZKNH: Extensions = Extensions::bit(22);
}

const fn info(name: &'static str, set: Extensions) -> ExtensionInfo {
    ExtensionInfo { name, set }
}

/// What is implemented, in the order in which an ISA string names it.
pub static EXTENSIONS: &[ExtensionInfo] = &[
    info("I", extension::I),
    info("M", extension::M),
    info("A", extension::A),
    info("F", extension::F),
    info("D", extension::D),
    info("C", extension::C),
    info("Zicbom", extension::ZICBOM),
    info("Zicboz", extension::ZICBOZ),
    info("Zicond", extension::ZICOND),
    info("Zicsr", extension::ZICSR),
    info("Zifencei", extension::ZIFENCEI),
    info("Zihintpause", extension::ZIHINTPAUSE),
    info("Zfh", extension::ZFH),
    info("Zba", extension::ZBA),
    info("Zbb", extension::ZBB),
    info("Zbc", extension::ZBC),
    info("Zbkb", extension::ZBKB),
    info("Zbkc", extension::ZBKC),
    info("Zbkx", extension::ZBKX),
    info("Zbs", extension::ZBS),
    info("Zknd", extension::ZKND),
    info("Zkne", extension::ZKNE),
    info("Zknh", extension::ZKNH),
];

static GROUPS: &[Group] = &[
    Group { any_of: extension::I, rows: int_imm::ROWS },
    Group { any_of: extension::I, rows: int_reg::ROWS },
    Group { any_of: extension::I, rows: branch::ROWS },
    Group { any_of: extension::I, rows: load_store::ROWS },
    Group { any_of: extension::I, rows: system::ROWS },
    Group { any_of: extension::ZIFENCEI, rows: system::ZIFENCEI },
    Group { any_of: extension::ZICSR, rows: csr::ROWS },
    Group { any_of: extension::ZIHINTPAUSE, rows: system::ZIHINTPAUSE },
    Group { any_of: extension::ZICOND, rows: zicond::ROWS },
    Group { any_of: extension::M, rows: mul_div::ROWS },
    Group { any_of: extension::A, rows: atomic::ROWS },
    Group { any_of: extension::F, rows: float_single::ROWS },
    Group { any_of: extension::D, rows: float_double::ROWS },
    Group { any_of: extension::ZFH, rows: float_half::ROWS },
    Group { any_of: extension::ZBA, rows: bitmanip::ZBA },
    Group { any_of: extension::ZBB.union(extension::ZBKB), rows: bitmanip::ZBB_ZBKB },
    Group { any_of: extension::ZBB, rows: bitmanip::ZBB },
    Group { any_of: extension::ZBKB, rows: bitmanip::ZBKB },
    Group { any_of: extension::ZBC.union(extension::ZBKC), rows: bitmanip::ZBC_ZBKC },
    Group { any_of: extension::ZBC, rows: bitmanip::ZBC },
    Group { any_of: extension::ZBS, rows: bitmanip::ZBS },
    Group { any_of: extension::ZBKX, rows: bitmanip::ZBKX },
    Group { any_of: extension::ZKND, rows: crypto::ZKND },
    Group { any_of: extension::ZKNE, rows: crypto::ZKNE },
    Group { any_of: extension::ZKND.union(extension::ZKNE), rows: crypto::ZKND_ZKNE },
    Group { any_of: extension::ZKNH, rows: crypto::ZKNH },
    Group { any_of: extension::C, rows: compressed::ROWS },
    Group { any_of: extension::ZICBOM, rows: cache_block::ZICBOM },
    Group { any_of: extension::ZICBOZ, rows: cache_block::ZICBOZ },
];

const ROWS: usize = Group::count(GROUPS);
const NODES: usize = Tree::<ROWS, 4096>::new(GROUPS).nodes();
static TREE: Tree<ROWS, NODES> = Tree::new(GROUPS);
static TABLE: Table = TREE.table(GROUPS);

const fn slot(name: &'static str, slot: Slot, ty: Type) -> SlotInfo {
    SlotInfo { name, slot, ty }
}

/// The slots in order.
#[rustfmt::skip]
static SLOTS: &[SlotInfo] = &[
    slot("x1", x(1), Type::I64),
    slot("x2", x(2), Type::I64),
    slot("x3", x(3), Type::I64),
    slot("x4", x(4), Type::I64),
    slot("x5", x(5), Type::I64),
    slot("x6", x(6), Type::I64),
    slot("x7", x(7), Type::I64),
    slot("x8", x(8), Type::I64),
    slot("x9", x(9), Type::I64),
    slot("x10", x(10), Type::I64),
    slot("x11", x(11), Type::I64),
    slot("x12", x(12), Type::I64),
    slot("x13", x(13), Type::I64),
    slot("x14", x(14), Type::I64),
    slot("x15", x(15), Type::I64),
    slot("x16", x(16), Type::I64),
    slot("x17", x(17), Type::I64),
    slot("x18", x(18), Type::I64),
    slot("x19", x(19), Type::I64),
    slot("x20", x(20), Type::I64),
    slot("x21", x(21), Type::I64),
    slot("x22", x(22), Type::I64),
    slot("x23", x(23), Type::I64),
    slot("x24", x(24), Type::I64),
    slot("x25", x(25), Type::I64),
    slot("x26", x(26), Type::I64),
    slot("x27", x(27), Type::I64),
    slot("x28", x(28), Type::I64),
    slot("x29", x(29), Type::I64),
    slot("x30", x(30), Type::I64),
    slot("x31", x(31), Type::I64),
    slot("f0", f(0), Type::F64),
    slot("f1", f(1), Type::F64),
    slot("f2", f(2), Type::F64),
    slot("f3", f(3), Type::F64),
    slot("f4", f(4), Type::F64),
    slot("f5", f(5), Type::F64),
    slot("f6", f(6), Type::F64),
    slot("f7", f(7), Type::F64),
    slot("f8", f(8), Type::F64),
    slot("f9", f(9), Type::F64),
    slot("f10", f(10), Type::F64),
    slot("f11", f(11), Type::F64),
    slot("f12", f(12), Type::F64),
    slot("f13", f(13), Type::F64),
    slot("f14", f(14), Type::F64),
    slot("f15", f(15), Type::F64),
    slot("f16", f(16), Type::F64),
    slot("f17", f(17), Type::F64),
    slot("f18", f(18), Type::F64),
    slot("f19", f(19), Type::F64),
    slot("f20", f(20), Type::F64),
    slot("f21", f(21), Type::F64),
    slot("f22", f(22), Type::F64),
    slot("f23", f(23), Type::F64),
    slot("f24", f(24), Type::F64),
    slot("f25", f(25), Type::F64),
    slot("f26", f(26), Type::F64),
    slot("f27", f(27), Type::F64),
    slot("f28", f(28), Type::F64),
    slot("f29", f(29), Type::F64),
    slot("f30", f(30), Type::F64),
    slot("f31", f(31), Type::F64),
    slot("reservation_address", RESERVATION_ADDRESS, Type::I64),
    slot("reservation_value", RESERVATION_VALUE, Type::I64),
];

/// Index of the helper that reads the clock behind `time`, `cycle` and `instret`.
const CLOCK: usize = 0;

/// Indices of the helpers behind Zbkx, Zknd and Zkne.
const XPERM8: usize = 1;
const XPERM4: usize = 2;
const AES_ENCRYPT: usize = 3;
const AES_DECRYPT: usize = 4;
const AES_INVERSE_MIX: usize = 5;
const AES_KEY_WORD: usize = 6;

/// A helper whose result its operands determine.
const fn pure(name: &'static str, args: usize, function: extern "C" fn(u64, u64, u64) -> u64) -> Helper {
    Helper { name, args, effect: HelperEffect::Pure, function: HelperFn::Values(function) }
}

static HELPERS: &[Helper] = &[
    Helper { name: "clock", args: 0, effect: HelperEffect::Volatile, function: HelperFn::Values(clock) },
    pure("xperm8", 2, bitmanip::permute_bytes),
    pure("xperm4", 2, bitmanip::permute_nibbles),
    pure("aes_encrypt", 3, crypto::aes_encrypt),
    pure("aes_decrypt", 3, crypto::aes_decrypt),
    pure("aes_inverse_mix", 1, crypto::aes_inverse_mix),
    pure("aes_key_word", 2, crypto::aes_key_word),
];

/// Ticks of [`TIME_FREQUENCY`] since the clock was first read.
extern "C" fn clock(_: u64, _: u64, _: u64) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// The riscv64 guest.
#[derive(Clone, Copy, Debug)]
pub struct Riscv64;

/// What cannot be left out: RV64GC is what Linux distributions are built for.
const REQUIRED: Extensions = extension::I
    .union(extension::M)
    .union(extension::A)
    .union(extension::F)
    .union(extension::D)
    .union(extension::C)
    .union(extension::ZICSR)
    .union(extension::ZIFENCEI);

impl Guest for Riscv64 {
    fn arch(&self) -> GuestArch {
        GuestArch::Riscv64
    }

    fn slots(&self) -> &'static [SlotInfo] {
        SLOTS
    }

    fn helpers(&self) -> &'static [Helper] {
        HELPERS
    }

    fn extensions(&self) -> &'static [ExtensionInfo] {
        EXTENSIONS
    }

    fn required_extensions(&self) -> Extensions {
        REQUIRED
    }

    fn isa_text(&self, enabled: Extensions) -> String {
        let mut text = String::from("rv64");
        for extension in EXTENSIONS.iter().filter(|extension| enabled.contains(extension.set)) {
            if extension.name.len() > 1 {
                text.push('_');
            }
            text.push_str(&extension.name.to_ascii_lowercase());
        }
        text
    }

    /// One bit a single-letter extension, bit 0 for A (Linux, `arch/riscv/include/uapi/asm/hwcap.h`).
    fn hwcap(&self, enabled: Extensions) -> u64 {
        EXTENSIONS
            .iter()
            .filter(|extension| extension.name.len() == 1 && enabled.contains(extension.set))
            .map(|extension| 1 << (extension.name.as_bytes()[0] - b'A'))
            .sum()
    }

    fn alignment(&self) -> u64 {
        2
    }

    /// `frm`.
    fn mode_bits(&self) -> u32 {
        7
    }

    /// Chapter "Introduction", section "Base Instruction-Length Encoding". Longer encodings are not ratified and count
    /// as four bytes, which no row describes.
    fn length(&self, bytes: &[u8]) -> Length {
        let needed = match bytes.first() {
            Some(low) if low & 3 == 3 => 4,
            Some(_) | None => 2,
        };
        if bytes.len() < needed { Length::Needs(needed) } else { Length::Whole(needed) }
    }

    fn lift(&self, bytes: &[u8], enabled: Extensions, cx: &mut Lift) -> Flow {
        match TABLE.decode(word(bytes), enabled) {
            Ok(decoded) => (decoded.row.lift)(cx, decoded.fields),
            Err(DecodeError::Unknown { .. } | DecodeError::Truncated { .. }) => Flow::Illegal,
        }
    }

    fn disassemble(&self, bytes: &[u8], pc: u64, enabled: Extensions) -> Result<(String, usize), DecodeError> {
        match self.length(bytes) {
            Length::Needs(needed) => Err(DecodeError::Truncated { needed, have: bytes.len() }),
            Length::Whole(len) => {
                let decoded = TABLE.decode(word(&bytes[..len]), enabled)?;
                Ok((text::text(&decoded, pc), len))
            }
        }
    }

    fn table(&self) -> Option<&'static Table> {
        Some(&TABLE)
    }
}

/// The instruction word in two or four bytes.
#[inline]
fn word(bytes: &[u8]) -> u32 {
    match *bytes {
        [a, b, c, d, ..] => u32::from_le_bytes([a, b, c, d]),
        [a, b, ..] => u32::from(u16::from_le_bytes([a, b])),
        [..] => 0,
    }
}

/// Register access for lifters.
trait Registers {
    /// Integer register `n`; zero for `x0`.
    fn x(&mut self, n: u8) -> Value;
    /// Low word of integer register `n`.
    fn x32(&mut self, n: u8) -> Value;
    /// Writes integer register `n`, sign-extending narrower integers; a write to `x0` is dropped.
    fn set_x(&mut self, n: u8, value: Value);
    /// Writes integer register `n`, zero-extending narrower integers.
    fn set_x_unsigned(&mut self, n: u8, value: Value);
    /// Floating-point register `n` as `ty`; the canonical NaN if the register does not hold one properly boxed.
    fn f(&mut self, n: u8, ty: Type) -> Value;
    /// The low bits of floating-point register `n` as a float of type `ty`, boxed or not.
    fn f_bits(&mut self, n: u8, ty: Type) -> Value;
    /// Writes floating-point register `n`, NaN-boxing narrower floats.
    fn set_f(&mut self, n: u8, value: Value);
    /// The rounding mode that an instruction's `rm` field means, dynamic ones resolved; `None` for a reserved mode.
    fn rounding(&self, rm: u8) -> Option<Rounding>;
}

impl Registers for Lift {
    fn x(&mut self, n: u8) -> Value {
        if n == 0 { self.ir.i64(0) } else { self.ir.get(x(n), Type::I64) }
    }

    fn x32(&mut self, n: u8) -> Value {
        if n == 0 {
            return self.ir.i32(0);
        }
        let wide = self.x(n);
        self.ir.truncate(wide, Type::I32)
    }

    fn set_x(&mut self, n: u8, value: Value) {
        if n != 0 {
            let wide = self.ir.sign_extend(value, Type::I64);
            self.ir.set(x(n), wide);
        }
    }

    fn set_x_unsigned(&mut self, n: u8, value: Value) {
        if n != 0 {
            let wide = self.ir.zero_extend(value, Type::I64);
            self.ir.set(x(n), wide);
        }
    }

    fn f(&mut self, n: u8, ty: Type) -> Value {
        let wide = self.ir.get(f(n), Type::F64);
        self.ir.funbox(wide, ty)
    }

    fn f_bits(&mut self, n: u8, ty: Type) -> Value {
        let wide = self.ir.get(f(n), Type::F64);
        let bits = match ty {
            Type::F16 => Type::I16,
            Type::F32 => Type::I32,
            Type::F64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::V128 => return wide,
        };
        let wide = self.ir.bitcast(wide, Type::I64);
        let low = self.ir.truncate(wide, bits);
        self.ir.bitcast(low, ty)
    }

    fn set_f(&mut self, n: u8, value: Value) {
        let boxed = self.ir.fbox(value);
        self.ir.set(f(n), boxed);
    }

    fn rounding(&self, rm: u8) -> Option<Rounding> {
        let dynamic = 7;
        match if rm == dynamic { self.mode().bits() as u8 & 7 } else { rm } {
            0 => Some(Rounding::NearestEven),
            1 => Some(Rounding::TowardZero),
            2 => Some(Rounding::Down),
            3 => Some(Rounding::Up),
            4 => Some(Rounding::NearestAway),
            _ => None,
        }
    }
}

/// An op of two operands.
type Binary = fn(&mut IrBuilder, Value, Value) -> Value;

/// `rd = rs1 op rs2`.
fn binary(cx: &mut Lift, f: Fields, op: Binary) -> Flow {
    let (a, b) = (cx.x(f.a()), cx.x(f.b()));
    let value = op(&mut cx.ir, a, b);
    cx.set_x(f.d(), value);
    Flow::Next
}

/// `rd = sext(rs1[31:0] op rs2[31:0])`.
fn binary_w(cx: &mut Lift, f: Fields, op: Binary) -> Flow {
    let (a, b) = (cx.x32(f.a()), cx.x32(f.b()));
    let value = op(&mut cx.ir, a, b);
    cx.set_x(f.d(), value);
    Flow::Next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advertised() {
        let guest = Riscv64;
        assert!(guest.isa_text(guest.all_extensions()).starts_with("rv64imafdc_zicbom_zicboz_zicond_zicsr_zifencei"));
        assert_eq!(guest.isa_text(REQUIRED), "rv64imafdc_zicsr_zifencei");
        // Linux on an RV64GC machine: COMPAT_HWCAP_ISA_I, M, A, F, D and C.
        assert_eq!(guest.hwcap(guest.all_extensions()), 0x112d);
    }

    #[test]
    fn the_clock_goes_on() {
        let before = clock(0, 0, 0);
        std::thread::sleep(std::time::Duration::from_millis(2));
        let ticks = clock(0, 0, 0) - before;
        assert!(ticks >= TIME_FREQUENCY / 1000 * 2, "{ticks}");
    }

    #[test]
    fn lengths() {
        assert_eq!(Riscv64.length(&[0x01]), Length::Needs(2));
        assert_eq!(Riscv64.length(&[0x01, 0x00]), Length::Whole(2));
        assert_eq!(Riscv64.length(&[0x13, 0x00]), Length::Needs(4));
        assert_eq!(Riscv64.length(&[0x13, 0, 0, 0]), Length::Whole(4));
        assert_eq!(Riscv64.length(&[]), Length::Needs(2));
    }

    #[test]
    fn lists_are_short() {
        assert!(TABLE.longest_list() <= 8, "{}", TABLE.longest_list());
    }
}
