//! Decoding, text and encoding against an outside assembler.
#![cfg(feature = "riscv64")]

use std::collections::HashSet;

use vm_core::GuestArch;
use vm_cross_arch_support::{Guest, registry};

struct Case {
    bytes: Vec<u8>,
    pc: u64,
    text: String,
}

/// Lines of `bytes address text`; `#` begins a comment line.
fn read_cases(text: &str) -> Vec<Case> {
    let hex = |digits: &str| -> Vec<u8> {
        (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.splitn(2, ' ');
            let bytes = hex(columns.next().unwrap());
            let rest = columns.next().unwrap().trim_start();
            let (pc, text) = rest.split_once(' ').unwrap();
            Case { bytes, pc: u64::from_str_radix(pc, 16).unwrap(), text: text.trim().to_owned() }
        })
        .collect()
}

fn riscv64() -> &'static dyn Guest {
    registry::guest(GuestArch::Riscv64).unwrap()
}

/// objdump separates operands by a comma alone.
fn as_objdump(text: &str) -> String {
    text.replace(", ", ",")
}

#[test]
fn riscv64_text_is_objdumps() {
    let guest = riscv64();
    let mut wrong = Vec::new();
    for case in read_cases(include_str!("decode/riscv64.txt")) {
        match guest.disassemble(&case.bytes, case.pc, guest.all_extensions()) {
            Ok((text, len)) if as_objdump(&text) == case.text && len == case.bytes.len() => {}
            other => wrong.push(format!("{:x?} at {:x}: wanted {}, got {other:?}", case.bytes, case.pc, case.text)),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_riscv64_row_has_a_case_that_encodes_back() {
    let guest = riscv64();
    let table = guest.table().unwrap();
    let mut seen = HashSet::new();
    for case in read_cases(include_str!("decode/riscv64.txt")) {
        let mut word = [0; 4];
        word[..case.bytes.len()].copy_from_slice(&case.bytes);
        let word = u32::from_le_bytes(word);
        let decoded = table.decode(word, guest.all_extensions()).unwrap();
        let values: Vec<_> = decoded.fields.values().collect();
        assert_eq!(decoded.row.encode(&values), Ok(word), "{}", case.text);
        seen.insert(decoded.row.name);
    }
    let unseen: Vec<_> = table.rows().map(|row| row.name).filter(|name| !seen.contains(name)).collect();
    assert!(unseen.is_empty(), "rows without a case: {unseen:?}");
}
