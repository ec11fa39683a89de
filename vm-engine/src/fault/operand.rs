//! The memory operand of an x86-64 instruction, for faults whose address the processor does not report.
//!
//! An address that is not canonical raises a general protection fault, which names no address (Intel SDM, volume 3,
//! "Interrupt 13"). The instruction does: its operand is decoded here (volume 2, chapter 2, "Instruction Format").
//! Known are the forms that a compiler emits to access memory; stack and string instructions are not among them.

/// The memory operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operand {
    /// Its effective address.
    pub(super) address: u64,
    /// Whether the instruction writes it.
    pub(super) write: bool,
    /// Bytes of the whole instruction.
    pub(super) len: usize,
}

/// Which table an opcode byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Map {
    OneByte,
    /// After 0F.
    TwoByte,
    /// After 0F 38.
    ThreeByte38,
    /// After 0F 3A.
    ThreeByte3A,
}

/// The explicit memory operand of the instruction that `code` begins with, with the values of the sixteen integer
/// registers in the order of their numbers. `None` if it has none or its form is not known here.
pub(super) fn decode(code: &[u8], registers: &[u64; 16]) -> Option<Operand> {
    let mut bytes = code.iter().copied();
    let mut next = || bytes.next();
    let mut byte = next()?;
    let (mut lock, mut operand_size) = (false, false);
    loop {
        match byte {
            0xf0 => lock = true,
            0x66 => operand_size = true,
            0xf2 | 0xf3 | 0x2e | 0x3e => {}
            _ => break,
        }
        byte = next()?;
    }
    // REX.X and REX.B, or what VEX has in their place.
    let (mut index_high, mut base_high) = (0, 0);
    let (map, opcode, repeat);
    match byte {
        0xc5 => {
            let payload = next()?;
            (map, opcode, repeat) = (Map::TwoByte, next()?, payload & 3);
        }
        0xc4 => {
            let (first, second) = (next()?, next()?);
            index_high = u8::from(first & 0x40 == 0) << 3;
            base_high = u8::from(first & 0x20 == 0) << 3;
            map = match first & 0x1f {
                1 => Map::TwoByte,
                2 => Map::ThreeByte38,
                3 => Map::ThreeByte3A,
                _ => return None,
            };
            (opcode, repeat) = (next()?, second & 3);
        }
        _ => {
            if byte & 0xf0 == 0x40 {
                index_high = (byte & 2) << 2;
                base_high = (byte & 1) << 3;
                byte = next()?;
            }
            repeat = u8::from(operand_size);
            (map, opcode) = match byte {
                0x0f => match next()? {
                    0x38 => (Map::ThreeByte38, next()?),
                    0x3a => (Map::ThreeByte3A, next()?),
                    other => (Map::TwoByte, other),
                },
                other => (Map::OneByte, other),
            };
        }
    }
    let modrm = next()?;
    let write = writes(map, opcode, modrm >> 3 & 7, repeat == 1)? || lock;
    let (mode, rm) = (modrm >> 6, modrm & 7);
    let mut address = 0u64;
    let mut long_displacement = mode == 2;
    match (mode, rm) {
        (3, _) | (0, 5) => return None, // a register; relative to the instruction pointer
        (_, 4) => {
            let sib = next()?;
            let index = sib >> 3 & 7 | index_high;
            if index != 4 {
                address = registers[usize::from(index)] << (sib >> 6);
            }
            if mode == 0 && sib & 7 == 5 {
                long_displacement = true;
            } else {
                address = address.wrapping_add(registers[usize::from(sib & 7 | base_high)]);
            }
        }
        (_, base) => address = registers[usize::from(base | base_high)],
    }
    if long_displacement {
        let displacement = i32::from_le_bytes([next()?, next()?, next()?, next()?]);
        address = address.wrapping_add_signed(i64::from(displacement));
    } else if mode == 1 {
        address = address.wrapping_add_signed(i64::from(next()? as i8));
    }
    let immediate = immediate_bytes(map, opcode, modrm >> 3 & 7, operand_size);
    let len = code.len() - bytes.len() + immediate;
    (len <= code.len()).then_some(Operand { address, write, len })
}

/// Bytes after the displacement.
fn immediate_bytes(map: Map, opcode: u8, reg: u8, operand_size: bool) -> usize {
    let full = if operand_size { 2 } else { 4 };
    match (map, opcode) {
        (Map::OneByte, 0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6) => 1,
        (Map::OneByte, 0x69 | 0x81 | 0xc7) => full,
        // TEST; the others of these groups have none.
        (Map::OneByte, 0xf6) if reg < 2 => 1,
        (Map::OneByte, 0xf7) if reg < 2 => full,
        (Map::TwoByte, 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6) | (Map::ThreeByte3A, _) => 1,
        _ => 0,
    }
}

/// Whether the instruction writes its memory operand; `None` if it is not known to have one. `reg` is the middle field
/// of the ModRM byte, `packed` says that the prefix 66 selects the instruction.
fn writes(map: Map, opcode: u8, reg: u8, packed: bool) -> Option<bool> {
    match map {
        Map::OneByte => match opcode {
            // ADD, OR, ADC, SBB, AND, SUB, XOR, CMP: forms 0 and 1 have memory as destination; CMP writes nothing.
            0x00..=0x3f if opcode & 7 < 4 => Some(opcode & 7 < 2 && opcode < 0x38),
            0x80 | 0x81 | 0x83 => Some(reg != 7),
            0x63 | 0x69 | 0x6b | 0x84 | 0x85 | 0x8a | 0x8b => Some(false),
            0x86..=0x89 | 0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3 => Some(true),
            // TEST, NOT, NEG, MUL, IMUL, DIV, IDIV.
            0xf6 | 0xf7 => Some(reg == 2 || reg == 3),
            0xfe => Some(true),
            // INC, DEC; CALL, JMP and PUSH read.
            0xff => Some(reg < 2),
            _ => None,
        },
        Map::TwoByte => match opcode {
            // MOVUPS and kin, MOVLPS, MOVHPS, MOVAPS, MOVNTPS.
            0x11 | 0x13 | 0x17 | 0x29 | 0x2b => Some(true),
            0x10 | 0x12 | 0x14..=0x16 | 0x28 | 0x2a | 0x2c..=0x2f => Some(false),
            0x40..=0x4f => Some(false), // CMOVcc
            // MOVD and MOVQ to memory; with prefix F3 a load.
            0x7e => Some(packed),
            0x7f | 0xd6 | 0xe7 => Some(true),
            0x51..=0x76 | 0x7c | 0x7d | 0xc2 | 0xc4..=0xc6 | 0xd0..=0xff => Some(false),
            0x90..=0x9f => Some(true), // SETcc
            // BT reads; BTS, BTR, BTC write.
            0xa3 => Some(false),
            0xab | 0xb3 | 0xbb => Some(true),
            0xba => Some(reg > 4),
            0xa4 | 0xa5 | 0xac | 0xad => Some(true), // SHLD, SHRD
            0xaf | 0xb6..=0xb8 | 0xbc..=0xbf => Some(false),
            0xb0 | 0xb1 | 0xc0 | 0xc1 | 0xc3 | 0xc7 => Some(true), // CMPXCHG, XADD, MOVNTI, CMPXCHG16B
            _ => None,
        },
        Map::ThreeByte38 => Some(opcode == 0xf1), // MOVBE to memory
        // PEXTRB, PEXTRW, PEXTRD, EXTRACTPS, VEXTRACTF128, VCVTPS2PH, VEXTRACTI128.
        Map::ThreeByte3A => Some(matches!(opcode, 0x14..=0x17 | 0x19 | 0x1d | 0x39)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instruction bytes, their text, and address and direction of the operand.
    type Case = (&'static [u8], &'static str, Option<(u64, bool)>);

    /// Bytes as GNU as 2.40 assembles the text (its disassembler reads the long form); every register holds its number
    /// times 0x1000.
    #[rustfmt::skip]
    const CASES: &[Case] = &[
        (&[0x48, 0x8b, 0x07], "mov rax, [rdi]", Some((0x7000, false))),
        (&[0x89, 0x47, 0xfc], "mov [rdi-4], eax", Some((0x6ffc, true))),
        (&[0x66, 0x41, 0x89, 0x04, 0x24], "mov [r12], ax", Some((0xc000, true))),
        (&[0xc6, 0x46, 0x08, 0x05], "mov byte ptr [rsi+8], 5", Some((0x6008, true))),
        (&[0x66, 0xc7, 0x06, 0x05, 0x00], "mov word ptr [rsi], 5", Some((0x6000, true))),
        (&[0x48, 0xc7, 0x46, 0x08, 0x05, 0x00, 0x00, 0x00], "mov qword ptr [rsi+8], 5", Some((0x6008, true))),
        (&[0x48, 0x81, 0x3e, 0x00, 0x10, 0x00, 0x00], "cmp qword ptr [rsi], 0x1000", Some((0x6000, false))),
        (&[0x48, 0x69, 0x06, 0x00, 0x10, 0x00, 0x00], "imul rax, [rsi], 0x1000", Some((0x6000, false))),
        (&[0xf6, 0x06, 0x01], "test byte ptr [rsi], 1", Some((0x6000, false))),
        (&[0x66, 0xf7, 0x06, 0x01, 0x00], "test word ptr [rsi], 1", Some((0x6000, false))),
        (&[0xf7, 0x06, 0x01, 0x00, 0x00, 0x00], "test dword ptr [rsi], 1", Some((0x6000, false))),
        (&[0x48, 0x0f, 0xba, 0x26, 0x07], "bt qword ptr [rsi], 7", Some((0x6000, false))),
        (&[0x66, 0x0f, 0x70, 0x06, 0x1b], "pshufd xmm0, [rsi], 0x1b", Some((0x6000, false))),
        (&[0x66, 0x0f, 0x3a, 0x16, 0x06, 0x01], "pextrd [rsi], xmm0, 1", Some((0x6000, true))),
        (&[0x41, 0x8a, 0x45, 0x00], "mov al, [r13]", Some((0xd000, false))),
        (&[0x4b, 0x8b, 0x84, 0xca, 0x00, 0x01, 0x00, 0x00], "mov rax, [r10+r9*8+0x100]", Some((0x52100, false))),
        (&[0x48, 0x8b, 0x04, 0x25, 0x00, 0x10, 0x00, 0x00], "mov rax, [0x1000]", Some((0x1000, false))),
        (&[0x48, 0x8b, 0x04, 0xcd, 0x10, 0x00, 0x00, 0x00], "mov rax, [rcx*8+0x10]", Some((0x8010, false))),
        (&[0x0f, 0xb6, 0x06], "movzx eax, byte ptr [rsi]", Some((0x6000, false))),
        (&[0x48, 0x0f, 0xbe, 0x06], "movsx rax, byte ptr [rsi]", Some((0x6000, false))),
        (&[0x48, 0x63, 0x06], "movsxd rax, dword ptr [rsi]", Some((0x6000, false))),
        (&[0x48, 0x03, 0x06], "add rax, [rsi]", Some((0x6000, false))),
        (&[0x48, 0x01, 0x06], "add [rsi], rax", Some((0x6000, true))),
        (&[0x48, 0x39, 0x06], "cmp [rsi], rax", Some((0x6000, false))),
        (&[0x83, 0x3e, 0x05], "cmp dword ptr [rsi], 5", Some((0x6000, false))),
        (&[0x83, 0x06, 0x05], "add dword ptr [rsi], 5", Some((0x6000, true))),
        (&[0xc7, 0x06, 0x05, 0x00, 0x00, 0x00], "mov dword ptr [rsi], 5", Some((0x6000, true))),
        (&[0xf2, 0x0f, 0x10, 0x06], "movsd xmm0, [rsi]", Some((0x6000, false))),
        (&[0xf2, 0x0f, 0x11, 0x06], "movsd [rsi], xmm0", Some((0x6000, true))),
        (&[0xf3, 0x0f, 0x7e, 0x06], "movq xmm0, [rsi]", Some((0x6000, false))),
        (&[0x66, 0x0f, 0xd6, 0x06], "movq [rsi], xmm0", Some((0x6000, true))),
        (&[0x66, 0x48, 0x0f, 0x7e, 0x06], "movq [rsi], xmm0 (long form)", Some((0x6000, true))),
        (&[0xf2, 0x0f, 0x58, 0x06], "addsd xmm0, [rsi]", Some((0x6000, false))),
        (&[0xc5, 0xfb, 0x10, 0x06], "vmovsd xmm0, [rsi]", Some((0x6000, false))),
        (&[0xc5, 0xfb, 0x11, 0x06], "vmovsd [rsi], xmm0", Some((0x6000, true))),
        (&[0xc4, 0xc1, 0x7b, 0x10, 0x04, 0x24], "vmovsd xmm0, [r12]", Some((0xc000, false))),
        (&[0xc4, 0xa1, 0x7b, 0x10, 0x04, 0xe6], "vmovsd xmm0, [rsi+r12*8]", Some((0x66000, false))),
        (&[0xc4, 0xe2, 0xf1, 0xa9, 0x06], "vfmadd213sd xmm0, xmm1, [rsi]", Some((0x6000, false))),
        (&[0xf0, 0x48, 0x0f, 0xb1, 0x0e], "lock cmpxchg [rsi], rcx", Some((0x6000, true))),
        (&[0xf0, 0x48, 0x0f, 0xc7, 0x0e], "lock cmpxchg16b [rsi]", Some((0x6000, true))),
        (&[0xf0, 0x48, 0x0f, 0xc1, 0x06], "lock xadd [rsi], rax", Some((0x6000, true))),
        (&[0x48, 0x87, 0x06], "xchg [rsi], rax", Some((0x6000, true))),
        (&[0x48, 0xf7, 0x3e], "idiv qword ptr [rsi]", Some((0x6000, false))),
        (&[0x48, 0xff, 0x06], "inc qword ptr [rsi]", Some((0x6000, true))),
        (&[0xff, 0x26], "jmp [rsi]", Some((0x6000, false))),
        (&[0x48, 0x8b, 0x05, 0x00, 0x00, 0x00, 0x00], "mov rax, [rip]", None),
        (&[0x48, 0x89, 0xc3], "mov rbx, rax", None),
        (&[0xc3], "ret", None),
    ];

    #[test]
    fn operands() {
        let registers = std::array::from_fn(|number| number as u64 * 0x1000);
        for &(code, text, expected) in CASES {
            // Followed by another instruction, which is not taken for a part of it.
            let found = decode(&[code, &[0x90; 8]].concat(), &registers);
            assert_eq!(found.map(|operand| (operand.address, operand.write)), expected, "{text}");
            assert!(found.is_none_or(|operand| operand.len == code.len()), "{text}");
        }
    }

    #[test]
    fn what_is_cut_short_is_unknown() {
        for code in [&[][..], &[0x48, 0x8b], &[0x48, 0xc7, 0x06, 0x05, 0x00, 0x00]] {
            assert_eq!(decode(code, &[0; 16]), None);
        }
    }

    #[test]
    fn wild_addresses_wrap() {
        let mut registers = [0; 16];
        registers[6] = 0xdead_beef_dead_beef;
        let operand = decode(&[0x48, 0x8b, 0x46, 0x10], &registers).expect("mov rax, [rsi+0x10]");
        assert_eq!(operand.address, 0xdead_beef_dead_beff);
        registers[6] = u64::MAX;
        let operand = decode(&[0x48, 0x8b, 0x46, 0x10], &registers).expect("mov rax, [rsi+0x10]");
        assert_eq!(operand.address, 0xf);
    }
}
