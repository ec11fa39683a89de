//! The x86-64 encodings that the baseline compiler uses (Intel SDM, volume 2, chapter 2 "Instruction Format").
//!
//! Methods are named as the manual names instructions; registers are given by their numbers there.

/// An integer register.
pub(super) type Gpr = u8;
/// A vector register.
pub(super) type Xmm = u8;

pub(super) const RAX: Gpr = 0;
pub(super) const RCX: Gpr = 1;
pub(super) const RDX: Gpr = 2;
pub(super) const RSP: Gpr = 4;
pub(super) const RSI: Gpr = 6;
pub(super) const RDI: Gpr = 7;
pub(super) const R8: Gpr = 8;

/// A register or memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rm {
    /// A register.
    Reg(u8),
    /// Memory at a base register plus a displacement.
    Mem(Gpr, i32),
    /// Memory at an address below 2 GiB.
    At(u32),
}

/// Width of an integer operation: 32 bits clear the upper half of a destination register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    W32,
    W64,
}

/// The eight operations of one encoding family, by their number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Alu {
    Add = 0,
    Or = 1,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts and rotations, by their number in the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Shift {
    Rol = 0,
    Ror = 1,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// One-operand operations of the group F7, by their number in the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Group {
    Not = 2,
    Neg = 3,
    Mul = 4,
    Imul = 5,
    Div = 6,
    Idiv = 7,
}

/// Conditions, by their number in the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Cond {
    Below = 2,
    AboveOrEqual = 3,
    Equal = 4,
    NotEqual = 5,
    BelowOrEqual = 6,
    Above = 7,
    Sign = 8,
    NoSign = 9,
    Parity = 10,
    NoParity = 11,
    Less = 12,
    GreaterOrEqual = 13,
    LessOrEqual = 14,
    Greater = 15,
}

/// A place that jumps go to, perhaps not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(u32);

/// A short jump forward whose target is not known yet.
#[must_use = "a skip needs to land"]
pub(super) struct Skip(usize);

const UNBOUND: u32 = u32::MAX;
const WORD: u8 = 0x66;

/// Machine code in the making.
#[derive(Debug, Default)]
pub(super) struct Asm {
    pub(super) code: Vec<u8>,
    labels: Vec<u32>,
    /// Places of 32-bit distances, and where they lead.
    jumps: Vec<(u32, Label)>,
}

impl Asm {
    /// Forgets everything but its memory.
    pub(super) fn clear(&mut self) {
        self.code.clear();
        self.labels.clear();
        self.jumps.clear();
    }

    /// Offset of the next instruction.
    pub(super) fn at(&self) -> u32 {
        self.code.len() as u32
    }

    fn int32(&mut self, value: i32) {
        self.code.extend_from_slice(&value.to_le_bytes());
    }

    /// Prefix, REX, opcode bytes and operands. `reg` is a register or an opcode extension; `byte` says that the operands
    /// are byte registers, whose numbers 4 to 7 need a REX prefix.
    fn encode(&mut self, prefix: u8, wide: bool, opcode: &[u8], reg: u8, rm: Rm, byte: bool) {
        if prefix != 0 {
            self.code.push(prefix);
        }
        let base = match rm {
            Rm::Reg(base) | Rm::Mem(base, _) => base,
            Rm::At(_) => 0,
        };
        let rex = 0x40 | u8::from(wide) << 3 | (reg >> 3) << 2 | base >> 3;
        if rex != 0x40 || byte && (reg >= 4 || matches!(rm, Rm::Reg(4..))) {
            self.code.push(rex);
        }
        self.code.extend_from_slice(opcode);
        self.operand(reg, rm);
    }

    fn operand(&mut self, reg: u8, rm: Rm) {
        let reg = (reg & 7) << 3;
        match rm {
            Rm::Reg(rm) => self.code.push(0xc0 | reg | rm & 7),
            Rm::Mem(base, displacement) => {
                let short = i8::try_from(displacement).is_ok();
                let mode = match displacement {
                    0 if base & 7 != 5 => 0,
                    _ if short => 0x40,
                    _ => 0x80,
                };
                self.code.push(mode | reg | base & 7);
                if base & 7 == RSP {
                    self.code.push(0x24);
                }
                match mode {
                    0 => {}
                    0x40 => self.code.push(displacement as u8),
                    _ => self.int32(displacement),
                }
            }
            Rm::At(address) => {
                // A scaled index with neither index nor base.
                self.code.extend_from_slice(&[reg | 4, 0x25]);
                self.int32(address as i32);
            }
        }
    }

    // Moves.

    /// `mov`, a register from a register or memory.
    pub(super) fn mov(&mut self, width: Width, dst: Gpr, src: Rm) {
        self.encode(0, width == Width::W64, &[0x8b], dst, src, false);
    }

    /// The shortest `mov` of a constant.
    pub(super) fn mov_imm(&mut self, dst: Gpr, value: i64) {
        if let Ok(value) = u32::try_from(value) {
            if dst >= 8 {
                self.code.push(0x41);
            }
            self.code.push(0xb8 | dst & 7);
            self.int32(value as i32);
        } else if let Ok(value) = i32::try_from(value) {
            self.encode(0, true, &[0xc7], 0, Rm::Reg(dst), false);
            self.int32(value);
        } else {
            self.code.push(0x48 | dst >> 3);
            self.code.push(0xb8 | dst & 7);
            self.code.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// `mov` of the low `bytes` (1, 2, 4 or 8) of a register to memory.
    pub(super) fn store(&mut self, bytes: usize, dst: Rm, src: Gpr) {
        match bytes {
            1 => self.encode(0, false, &[0x88], src, dst, true),
            2 => self.encode(WORD, false, &[0x89], src, dst, false),
            _ => self.encode(0, bytes == 8, &[0x89], src, dst, false),
        }
    }

    /// `mov` of a constant to `bytes` of memory; 64 bits are the sign-extended constant.
    pub(super) fn store_imm(&mut self, bytes: usize, dst: Rm, value: i32) {
        match bytes {
            1 => {
                self.encode(0, false, &[0xc6], 0, dst, false);
                self.code.push(value as u8);
            }
            2 => {
                self.encode(WORD, false, &[0xc7], 0, dst, false);
                self.code.extend_from_slice(&(value as i16).to_le_bytes());
            }
            _ => {
                self.encode(0, bytes == 8, &[0xc7], 0, dst, false);
                self.int32(value);
            }
        }
    }

    /// `movzx` or a 32-bit `mov`: the low `bytes` with zeros above.
    pub(super) fn zero_extend(&mut self, bytes: usize, dst: Gpr, src: Rm) {
        match bytes {
            1 => self.encode(0, false, &[0x0f, 0xb6], dst, src, true),
            2 => self.encode(0, false, &[0x0f, 0xb7], dst, src, false),
            _ => self.encode(0, bytes == 8, &[0x8b], dst, src, false),
        }
    }

    /// `movsx` or `movsxd`: the low `bytes` with copies of the sign above.
    pub(super) fn sign_extend(&mut self, bytes: usize, dst: Gpr, src: Rm) {
        match bytes {
            1 => self.encode(0, true, &[0x0f, 0xbe], dst, src, true),
            2 => self.encode(0, true, &[0x0f, 0xbf], dst, src, false),
            4 => self.encode(0, true, &[0x63], dst, src, false),
            _ => self.mov(Width::W64, dst, src),
        }
    }

    // Integer arithmetic.

    /// `op dst, src`.
    pub(super) fn alu(&mut self, op: Alu, width: Width, dst: Gpr, src: Rm) {
        self.encode(0, width == Width::W64, &[(op as u8) << 3 | 3], dst, src, false);
    }

    /// `op dst, value`.
    pub(super) fn alu_imm(&mut self, op: Alu, width: Width, dst: Rm, value: i32) {
        let wide = width == Width::W64;
        if let Ok(value) = i8::try_from(value) {
            self.encode(0, wide, &[0x83], op as u8, dst, false);
            self.code.push(value as u8);
        } else {
            self.encode(0, wide, &[0x81], op as u8, dst, false);
            self.int32(value);
        }
    }

    /// `test` of a register with itself.
    pub(super) fn test(&mut self, width: Width, reg: Gpr) {
        self.encode(0, width == Width::W64, &[0x85], reg, Rm::Reg(reg), false);
    }

    /// `test` of a byte register with itself.
    pub(super) fn test_byte(&mut self, reg: Gpr) {
        self.encode(0, false, &[0x84], reg, Rm::Reg(reg), true);
    }

    /// `cmp byte [mem], 0`.
    pub(super) fn cmp_byte_zero(&mut self, place: Rm) {
        self.encode(0, false, &[0x80], Alu::Cmp as u8, place, false);
        self.code.push(0);
    }

    /// `lea dst, [base + displacement]`.
    pub(super) fn lea(&mut self, width: Width, dst: Gpr, base: Gpr, displacement: i32) {
        self.encode(0, width == Width::W64, &[0x8d], dst, Rm::Mem(base, displacement), false);
    }

    /// `imul dst, src`.
    pub(super) fn imul(&mut self, width: Width, dst: Gpr, src: Rm) {
        self.encode(0, width == Width::W64, &[0x0f, 0xaf], dst, src, false);
    }

    /// One-operand arithmetic; products and quotients work on rdx:rax.
    pub(super) fn group(&mut self, op: Group, width: Width, rm: Rm) {
        self.encode(0, width == Width::W64, &[0xf7], op as u8, rm, false);
    }

    /// `cdq` or `cqo`: the sign of rax in every bit of rdx.
    pub(super) fn sign_of_rax(&mut self, width: Width) {
        if width == Width::W64 {
            self.code.push(0x48);
        }
        self.code.push(0x99);
    }

    /// Shift by a constant.
    pub(super) fn shift_imm(&mut self, op: Shift, width: Width, dst: Gpr, amount: u8) {
        self.encode(0, width == Width::W64, &[0xc1], op as u8, Rm::Reg(dst), false);
        self.code.push(amount);
    }

    /// Shift by `cl`, modulo the width.
    pub(super) fn shift_cl(&mut self, op: Shift, width: Width, dst: Gpr) {
        self.encode(0, width == Width::W64, &[0xd3], op as u8, Rm::Reg(dst), false);
    }

    /// `bswap`.
    pub(super) fn bswap(&mut self, width: Width, dst: Gpr) {
        self.code.push(0x40 | u8::from(width == Width::W64) << 3 | dst >> 3);
        self.code.extend_from_slice(&[0x0f, 0xc8 | dst & 7]);
    }

    /// `setcc`, then the byte widened: 0 or 1.
    pub(super) fn set(&mut self, cond: Cond, dst: Gpr) {
        self.encode(0, false, &[0x0f, 0x90 | cond as u8], 0, Rm::Reg(dst), true);
        self.zero_extend(1, dst, Rm::Reg(dst));
    }

    /// `cmovcc`.
    pub(super) fn cmov(&mut self, cond: Cond, dst: Gpr, src: Rm) {
        self.encode(0, true, &[0x0f, 0x40 | cond as u8], dst, src, false);
    }

    /// `btc`, `btr`: inverts or clears one bit.
    pub(super) fn invert_bit(&mut self, width: Width, dst: Gpr, bit: u8) {
        self.encode(0, width == Width::W64, &[0x0f, 0xba], 7, Rm::Reg(dst), false);
        self.code.push(bit);
    }

    /// `btr`: clears one bit.
    pub(super) fn clear_bit(&mut self, width: Width, dst: Gpr, bit: u8) {
        self.encode(0, width == Width::W64, &[0x0f, 0xba], 6, Rm::Reg(dst), false);
        self.code.push(bit);
    }

    /// `add qword [mem], value`.
    pub(super) fn add_to_memory(&mut self, place: Rm, value: i32) {
        self.alu_imm(Alu::Add, Width::W64, place, value);
    }

    // Atomics.

    /// `xchg [mem], reg`.
    pub(super) fn xchg(&mut self, bytes: usize, place: Rm, reg: Gpr) {
        self.sized(bytes, false, 0x86, place, reg);
    }

    /// `lock xadd [mem], reg`.
    pub(super) fn xadd(&mut self, bytes: usize, place: Rm, reg: Gpr) {
        self.code.push(0xf0);
        self.sized(bytes, true, 0xc0, place, reg);
    }

    /// `lock cmpxchg [mem], reg`, which compares with rax and leaves the old value there.
    pub(super) fn cmpxchg(&mut self, bytes: usize, place: Rm, reg: Gpr) {
        self.code.push(0xf0);
        self.sized(bytes, true, 0xb0, place, reg);
    }

    /// An opcode whose lowest bit says that the operand is wider than a byte.
    fn sized(&mut self, bytes: usize, escaped: bool, opcode: u8, place: Rm, reg: Gpr) {
        let opcode = opcode | u8::from(bytes > 1);
        let prefix = if bytes == 2 { WORD } else { 0 };
        let opcode = &[0x0f, opcode][usize::from(!escaped)..];
        self.encode(prefix, bytes == 8, opcode, reg, place, bytes == 1);
    }

    /// `mfence`.
    pub(super) fn mfence(&mut self) {
        self.code.extend_from_slice(&[0x0f, 0xae, 0xf0]);
    }

    // Floating point. `double` chooses 64 bits.

    const fn scalar(double: bool) -> u8 {
        if double { 0xf2 } else { 0xf3 }
    }

    /// `movss` or `movsd` from memory, zeros above.
    pub(super) fn load_float(&mut self, double: bool, dst: Xmm, src: Rm) {
        self.encode(Self::scalar(double), false, &[0x0f, 0x10], dst, src, false);
    }

    /// `movss` or `movsd` to memory.
    pub(super) fn store_float(&mut self, double: bool, dst: Rm, src: Xmm) {
        self.encode(Self::scalar(double), false, &[0x0f, 0x11], src, dst, false);
    }

    /// `movaps` between registers.
    pub(super) fn move_float(&mut self, dst: Xmm, src: Xmm) {
        self.encode(0, false, &[0x0f, 0x28], dst, Rm::Reg(src), false);
    }

    /// `movd` or `movq` from an integer register, zeros above.
    pub(super) fn float_from_bits(&mut self, double: bool, dst: Xmm, src: Gpr) {
        self.encode(WORD, double, &[0x0f, 0x6e], dst, Rm::Reg(src), false);
    }

    /// `movd` or `movq` to an integer register, zeros above.
    pub(super) fn bits_from_float(&mut self, double: bool, dst: Gpr, src: Xmm) {
        self.encode(WORD, double, &[0x0f, 0x7e], src, Rm::Reg(dst), false);
    }

    /// `addsd` (58), `mulsd` (59), `subsd` (5c), `divsd` (5e), `sqrtsd` (51) and their narrow forms, by opcode.
    pub(super) fn float_op(&mut self, opcode: u8, double: bool, dst: Xmm, src: Rm) {
        self.encode(Self::scalar(double), false, &[0x0f, opcode], dst, src, false);
    }

    /// `ucomis`, which raises *invalid* for signalling NaNs, or `comis`, which does so for every NaN.
    pub(super) fn compare_floats(&mut self, signaling: bool, double: bool, a: Xmm, b: Rm) {
        let prefix = if double { WORD } else { 0 };
        self.encode(prefix, false, &[0x0f, 0x2e | u8::from(signaling)], a, b, false);
    }

    /// `cvttss2si` or `cvttsd2si`.
    pub(super) fn truncate_to_int(&mut self, double: bool, width: Width, dst: Gpr, src: Xmm) {
        self.encode(Self::scalar(double), width == Width::W64, &[0x0f, 0x2c], dst, Rm::Reg(src), false);
    }

    /// `cvtsi2ss` or `cvtsi2sd`.
    pub(super) fn float_from_int(&mut self, double: bool, width: Width, dst: Xmm, src: Gpr) {
        self.encode(Self::scalar(double), width == Width::W64, &[0x0f, 0x2a], dst, Rm::Reg(src), false);
    }

    /// `cvtsd2ss`, or `cvtss2sd` if the source is not `double`.
    pub(super) fn convert_float(&mut self, double: bool, dst: Xmm, src: Xmm) {
        self.encode(Self::scalar(double), false, &[0x0f, 0x5a], dst, Rm::Reg(src), false);
    }

    /// `xorps dst, dst`.
    pub(super) fn zero_float(&mut self, dst: Xmm) {
        self.encode(0, false, &[0x0f, 0x57], dst, Rm::Reg(dst), false);
    }

    /// `vfmadd231ss` or `vfmadd231sd`: `dst + a * b`, rounded once.
    pub(super) fn multiply_add(&mut self, double: bool, dst: Xmm, a: Xmm, b: Xmm) {
        // VEX with three bytes: inverted R, X, B and the map 0F38; W, inverted vvvv, and the prefix 66.
        self.code.push(0xc4);
        self.code.push((!dst >> 3 & 1) << 7 | 0x40 | (!b >> 3 & 1) << 5 | 2);
        self.code.push(u8::from(double) << 7 | (!a & 15) << 3 | 1);
        self.code.push(0xb9);
        self.operand(dst, Rm::Reg(b));
    }

    // Control.

    /// A label that is not bound yet.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }

    /// Binds a label here.
    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0 as usize] = self.at();
    }

    /// Where a label is bound.
    pub(super) fn place(&self, label: Label) -> u32 {
        self.labels[label.0 as usize]
    }

    fn distance(&mut self, label: Label) {
        self.jumps.push((self.at(), label));
        self.int32(0);
    }

    /// `jmp`.
    pub(super) fn jmp(&mut self, label: Label) {
        self.code.push(0xe9);
        self.distance(label);
    }

    /// `jcc`.
    pub(super) fn jcc(&mut self, cond: Cond, label: Label) {
        self.code.extend_from_slice(&[0x0f, 0x80 | cond as u8]);
        self.distance(label);
    }

    /// A short `jcc` forward, until [`Asm::land`].
    pub(super) fn skip(&mut self, cond: Cond) -> Skip {
        self.code.extend_from_slice(&[0x70 | cond as u8, 0]);
        Skip(self.code.len())
    }

    /// Where a short jump goes.
    ///
    /// # Panics
    /// If that is more than 127 bytes away.
    pub(super) fn land(&mut self, skip: Skip) {
        let distance = i8::try_from(self.code.len() - skip.0).expect("a short jump");
        self.code[skip.0 - 1] = distance as u8;
    }

    /// `jmp [mem]`.
    pub(super) fn jmp_memory(&mut self, place: Rm) {
        self.encode(0, false, &[0xff], 4, place, false);
    }

    /// `jmp reg`.
    pub(super) fn jmp_register(&mut self, target: Gpr) {
        self.encode(0, false, &[0xff], 4, Rm::Reg(target), false);
    }

    /// `call [mem]`.
    pub(super) fn call_memory(&mut self, place: Rm) {
        self.encode(0, false, &[0xff], 2, place, false);
    }

    /// `ret`.
    pub(super) fn ret(&mut self) {
        self.code.push(0xc3);
    }

    /// Fills in the distances of jumps, once every label is bound.
    pub(super) fn link(&mut self) {
        for (place, label) in std::mem::take(&mut self.jumps) {
            let target = self.labels[label.0 as usize];
            debug_assert_ne!(target, UNBOUND);
            let distance = (target as i32).wrapping_sub(place as i32 + 4);
            self.code[place as usize..place as usize + 4].copy_from_slice(&distance.to_le_bytes());
        }
    }
}
