//! Executable files: what is refused and why, and that no bytes bring the loader down.

mod common;
#[path = "common/folder.rs"]
mod folder;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;
use vm_core::{GuestAddr, Perms};
use vm_linux::elf::{ElfError, Image};
use vm_linux::{LoadError, Options, Process, Status};

const LIMIT: u64 = 1 << 46;

/// Where one file after the other is written to be loaded.
static MUTATED: LazyLock<PathBuf> = LazyLock::new(|| folder::folder("mutated"));

/// Sizes of the file header and of a program header.
const HEADER: usize = 64;
const ENTRY: usize = 56;

/// One program header: type, flags, offset, address, bytes in the file, bytes in memory.
type Entry = (u32, u32, u64, u64, u64, u64);

/// An ELF file of these program headers and `len` bytes in all.
fn file(kind: u16, entries: &[Entry], len: usize) -> Vec<u8> {
    let mut out = vec![0; len.max(HEADER + ENTRY * entries.len())];
    out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut half = |at: usize, value: u16| out[at..at + 2].copy_from_slice(&value.to_le_bytes());
    half(16, kind);
    half(18, 243);
    half(54, ENTRY as u16);
    half(56, entries.len() as u16);
    out[24..32].copy_from_slice(&0x10078u64.to_le_bytes());
    out[32..40].copy_from_slice(&(HEADER as u64).to_le_bytes());
    for (index, (kind, flags, offset, addr, file_len, mem_len)) in entries.iter().enumerate() {
        let at = HEADER + ENTRY * index;
        out[at..at + 4].copy_from_slice(&kind.to_le_bytes());
        out[at + 4..at + 8].copy_from_slice(&flags.to_le_bytes());
        for (offset, value) in [(8, offset), (16, addr), (32, file_len), (40, mem_len), (48, &4096)] {
            out[at + offset..at + offset + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    out
}

const CODE: Entry = (1, 5, 0, 0x10000, 0x1000, 0x1000);
const DATA: Entry = (1, 6, 0x1000, 0x12000, 0x10, 0x2000);

fn good() -> Vec<u8> {
    file(2, &[CODE, DATA], 0x1010)
}

fn parse(bytes: &[u8]) -> Result<Image, ElfError> {
    Image::parse(bytes, LIMIT)
}

#[test]
fn a_program_is_described() {
    let image = parse(&good()).unwrap();
    assert!(!image.position_independent);
    assert_eq!(image.entry, GuestAddr::new(0x10078));
    assert_eq!(image.headers, GuestAddr::new(0x10040));
    assert_eq!(image.header_count, 2);
    assert_eq!(image.span().to_string(), "0x10000..0x14000");
    assert_eq!(image.segments[1].range.to_string(), "0x12000..0x14000");
    assert_eq!((image.segments[1].offset, image.segments[1].file_len), (0x1000, 0x10));
    assert_eq!(image.segments[0].perms, Perms::READ | Perms::EXECUTE);
    assert_eq!(image.segments[1].perms, Perms::READ | Perms::WRITE);
    assert!(parse(&file(3, &[CODE], 0x1000)).unwrap().position_independent);
}

/// `load_elf_binary`: segments are mapped in the file's order, whether or not the file is long enough, and addresses of a
/// position-independent file count from its first.
#[test]
fn files_that_no_linker_makes_are_taken() {
    let image = parse(&file(2, &[DATA, CODE, (1, 4, 0, 0x11000, 8, 8)], 0x1010)).unwrap();
    assert_eq!(image.span().to_string(), "0x10000..0x14000");
    let starts: Vec<u64> = image.segments.iter().map(|segment| segment.range.start().get()).collect();
    assert_eq!(starts, [0x12000, 0x10000, 0x11000]);
    assert_eq!(parse(&good()[..0x1004]).unwrap().segments.len(), 2);
    assert_eq!(parse(&file(2, &[(1, 5, 1 << 40, 0x10000, 0x9000, 0x9000)], 0)).unwrap().segments[0].file_len, 0x9000);
    let high = parse(&file(3, &[(1, 5, 0, 0x5555_5555_4000, 0x1000, 0x2000)], 0x1000)).unwrap();
    assert_eq!(high.span().len(), 0x2000);
}

#[test]
fn what_is_wrong_is_said() {
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = good();
        bytes[at..at + value.len()].copy_from_slice(value);
        parse(&bytes).unwrap_err().to_string()
    };
    let refused = |entries: &[Entry]| parse(&file(2, entries, 0x3000)).unwrap_err().to_string();
    assert_eq!(parse(b"").unwrap_err().to_string(), "not an ELF file");
    assert_eq!(parse(b"#!/bin/sh\n").unwrap_err().to_string(), "not an ELF file");
    assert_eq!(parse(&good()[..40]).unwrap_err().to_string(), "truncated: the file ends inside the ELF header");
    assert_eq!(parse(&good()[..100]).unwrap_err().to_string(), "truncated: the file ends inside the program headers");
    assert_eq!(changed(4, &[1]), "ELF class 1 is not supported: only 64-bit programs are");
    assert_eq!(changed(5, &[2]), "byte order 2 is not supported: only little-endian programs are");
    assert_eq!(changed(16, &[1]), "file type 1 is not executable (a relocatable object file)");
    assert_eq!(changed(16, &[4]), "file type 4 is not executable (a core dump)");
    assert_eq!(changed(18, &[62]), "built for machine 62 (x86-64), not for riscv64");
    assert_eq!(changed(18, &[8]), "built for machine 8 (mips), not for riscv64");
    assert_eq!(changed(54, &[32]), "program headers of 32 bytes, expected 56");
    assert_eq!(changed(56, &[0xff, 0xff]), "65535 program headers, more than 1170");
    assert_eq!(refused(&[]), "no program headers");
    assert_eq!(refused(&[(4, 4, 0, 0x10000, 8, 8)]), "no loadable segment");
    assert_eq!(refused(&[(1, 5, 0, 0x10000, 2, 1)]), "segment 0 has more bytes in the file than in memory");
    assert_eq!(refused(&[(1, 5, 8, 0x10000, 1, 1)]), "segment 0: file offset and address differ within a page");
    assert_eq!(refused(&[(1, 5, 0, u64::MAX, 1, 2)]), "segment 0 overflows the address space");
    assert_eq!(refused(&[(1, 5, 0, LIMIT - 0x1000, 1, 0x1001)]), "segment 0 overflows the address space");
    let moved = |entries: &[Entry]| parse(&file(3, entries, 0x3000)).unwrap_err().to_string();
    assert_eq!(moved(&[(1, 5, 0, 1 << 47, 8, 8)]), "segment 0 overflows the address space");
    assert_eq!(moved(&[(1, 5, 0, 2 * LIMIT - 0x1000, 8, 8), CODE]), "segment 0 overflows the address space");
    let mut dynamic = file(3, &[CODE, (3, 4, 0x200, 0x10200, 13, 13)], 0x1000);
    dynamic[0x200..0x20d].copy_from_slice(b"/lib/ld.so.1\0");
    assert_eq!(parse(&dynamic).unwrap().interpreter.as_deref(), Some(c"/lib/ld.so.1"));
    dynamic[0x20c] = b'x';
    assert_eq!(parse(&dynamic).unwrap_err().to_string(), "the interpreter's name is empty or does not end");
}

#[test]
fn loading_says_which_file() {
    let dir = folder::folder("elf");
    let load = |name: &str| Process::load(&Options { program: dir.join(name), ..Options::default() });
    let error = load("missing").unwrap_err();
    assert_eq!(error.to_string(), format!("{}: No such file or directory", dir.join("missing").display()));
    assert_eq!(error.exit_status(), 127);
    std::fs::write(dir.join("text"), "text").unwrap();
    let error = load("text").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: Permission denied", dir.join("text").display()),
        "nobody may execute it"
    );
    assert_eq!(error.exit_status(), 126);
    std::fs::set_permissions(dir.join("text"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = load("text").unwrap_err();
    assert_eq!(error.to_string(), format!("{}: not an ELF file", dir.join("text").display()));
    assert_eq!(error.exit_status(), 126);
    assert!(matches!(load("").unwrap_err(), LoadError::NotAFile { .. }));
}

/// A kernel jumps there by `sret`, and `sepc` has no such bit.
#[test]
fn the_lowest_bit_of_the_entry_does_not_count() {
    let mut bytes = file(2, &[CODE], 0x1000);
    // li a0, 42; li a7, 93; ecall
    bytes[0x78..0x84].copy_from_slice(&[0x02a0_0513u32, 0x05d0_0893, 0x73].map(u32::to_le_bytes).concat());
    bytes[24] |= 1;
    let path = folder::folder("odd").join("program");
    std::fs::write(&path, &bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut process = Process::load(&Options { program: path, ..Options::default() }).unwrap();
    assert_eq!(process.run(), Status::Exited(42));
}

/// Two processes cannot both have their program at the address it asks for: the second moves, unseen by its program.
#[test]
fn a_taken_address_moves_the_whole_guest() {
    let options = Options { program: common::repository("guests/bin/riscv64/hello"), ..Options::default() };
    let first = Process::load(&options).unwrap();
    let second = Process::load(&options).unwrap();
    assert_eq!(first.entry(), second.entry());
    assert_ne!(first.memory().view().base, second.memory().view().base);
}

proptest! {
    /// Changed headers are refused or describe segments that can be mapped.
    #[test]
    fn any_header_is_survived(
        changes in prop::collection::vec((0usize..HEADER + 2 * ENTRY, prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 1..12),
        keep in prop_oneof![Just(0x1010usize), 0usize..0x1010],
    ) {
        let mut bytes = good();
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes.truncate(keep);
        if let Ok(image) = parse(&bytes) {
            prop_assert!(image.span().len() <= LIMIT);
            for segment in &image.segments {
                prop_assert!(image.position_independent || segment.range.end().get() <= LIMIT);
                prop_assert!(segment.file_len <= segment.range.len());
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut elf = bytes.clone();
        let _ = parse(&bytes);
        if elf.len() >= 7 {
            elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        }
        let _ = parse(&elf);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What the checks let through is loaded or refused, never worse.
    #[test]
    fn any_header_can_be_loaded(
        changes in prop::collection::vec((24usize..HEADER + 2 * ENTRY, any::<u8>()), 0..4),
    ) {
        let mut bytes = good();
        for (at, value) in changes {
            bytes[at] = value;
        }
        let path = MUTATED.join("program");
        std::fs::write(&path, &bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let loaded = Process::load(&Options { program: path, ..Options::default() });
        prop_assert!(!matches!(loaded, Err(LoadError::Open { .. })), "no header keeps the file from being opened");
    }
}
