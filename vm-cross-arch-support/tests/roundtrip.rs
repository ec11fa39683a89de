//! Properties drawn from the decode tables: a new row is tested the day it is added.
#![cfg(feature = "riscv64")]

mod support;

use proptest::prelude::*;
use support::Bytes;
use vm_core::{BlockKey, GuestAddr, GuestArch, Mode};
use vm_cross_arch_support::{Guest, Row, Table, TranslationOptions, TranslationPipeline, registry};
use vm_ir::{BlockSource, Effort};

fn riscv64() -> &'static dyn Guest {
    registry::guest(GuestArch::Riscv64).unwrap()
}

fn table() -> &'static Table {
    riscv64().table().unwrap()
}

fn pipeline() -> TranslationPipeline {
    let options = TranslationOptions { verify: true, ..TranslationOptions::default() };
    TranslationPipeline::new(GuestArch::Riscv64, options).unwrap()
}

/// A word of the row: its fixed bits, the rest from `seed`.
fn fill(row: &Row, seed: u32) -> u32 {
    let width = if row.pattern.bytes() == 2 { 0xffff } else { u32::MAX };
    row.pattern.value() | seed & !row.pattern.mask() & width
}

/// Bytes of one instruction, then a `c.ebreak`.
fn with_break(word: u32) -> Vec<u8> {
    let word = word.to_le_bytes();
    let len = if word[0] & 3 == 3 { 4 } else { 2 };
    [&word[..len], &[0x02, 0x90]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// What a row accepts, the table decodes to that row or to a stricter one, and that encodes it again.
    #[test]
    fn decode_inverts_encode(index in 0..table().rows().count(), seed: u32) {
        let row = table().rows().nth(index).unwrap();
        let word = fill(row, seed);
        let found = table().decode(word, riscv64().all_extensions());
        if row.pattern.matches(word) {
            let found = found.expect("a row accepts its own words");
            prop_assert!(found.row.refines(row), "{word:#x}: {} instead of {}", found.row.name, row.name);
        }
        if let Ok(found) = found {
            let values: Vec<_> = found.fields.values().collect();
            prop_assert_eq!(found.row.encode(&values), Ok(word));
        }
    }

    /// Any word in any mode gives a block that the verifier accepts, with every effort.
    #[test]
    fn lifting_is_total(word: u32, frm in 0..8u32) {
        let memory = Bytes::new(0x1000, &with_break(word | 3));
        let key = BlockKey::new(GuestAddr::new(0x1000), Mode::new(frm));
        for effort in [Effort::Once, Effort::Quick, Effort::Full] {
            prop_assert!(pipeline().translate(key, &memory, effort).guest_len() > 0);
        }
    }

    /// So does any word of any row.
    #[test]
    fn lifting_of_rows_is_total(index in 0..table().rows().count(), seed: u32, frm in 0..8u32) {
        let memory = Bytes::new(0x1000, &with_break(fill(table().rows().nth(index).unwrap(), seed)));
        let key = BlockKey::new(GuestAddr::new(0x1000), Mode::new(frm));
        prop_assert!(pipeline().translate(key, &memory, Effort::Full).guest_len() > 0);
    }

    /// Any bytes give a block, and equal bytes give equal blocks.
    #[test]
    fn translation_is_a_function_of_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let key = BlockKey::new(GuestAddr::new(0x1000), Mode::default());
        let one = pipeline().translate(key, &Bytes::new(0x1000, &bytes), Effort::Full);
        let other = pipeline().translate(key, &Bytes::new(0x1000, &bytes), Effort::Full);
        prop_assert_eq!(&one, &other);
        prop_assert!(bytes.starts_with(&one.bytes));
    }
}

#[test]
fn every_parcel_lifts() {
    let pipeline = pipeline();
    for parcel in (0..=u16::MAX).filter(|parcel| parcel & 3 != 3) {
        let memory = Bytes::new(0x1000, &with_break(u32::from(parcel)));
        let key = BlockKey::new(GuestAddr::new(0x1000), Mode::default());
        assert!(pipeline.translate(key, &memory, Effort::Quick).guest_len() > 0, "{parcel:#x}");
    }
}

/// Two rows that share a word are one stricter than the other, so that their order in the table does not matter.
#[test]
fn no_row_shadows_another() {
    let rows: Vec<_> = table().rows().collect();
    for (index, one) in rows.iter().enumerate() {
        for other in &rows[index + 1..] {
            let common = one.pattern.mask() & other.pattern.mask();
            let overlap = one.pattern.bytes() == other.pattern.bytes()
                && (one.pattern.value() ^ other.pattern.value()) & common == 0;
            let ordered = one.refines(other) != other.refines(one);
            assert!(!overlap || ordered, "{} and {} share words", one.name, other.name);
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = table().rows().map(|row| row.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}
