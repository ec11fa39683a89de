//! Decoding: from an instruction word to its row and fields.
#![allow(missing_docs, reason = "criterion's macro makes a public function without documentation")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tradux_benches::{CODE, KERNELS};
use vm_core::GuestArch;
use vm_cross_arch_support::{Guest, Length, registry};

/// The words of the kernels in order.
fn words(guest: &dyn Guest) -> Vec<u32> {
    let mut words = Vec::new();
    let mut rest = KERNELS;
    while let Length::Whole(len) = guest.length(rest) {
        let mut word = [0; 4];
        word[..len].copy_from_slice(&rest[..len]);
        words.push(u32::from_le_bytes(word));
        rest = &rest[len..];
    }
    words
}

fn decode(c: &mut Criterion) {
    let guest = registry::guest(GuestArch::Riscv64).expect("riscv64");
    let (table, enabled) = (guest.table().expect("rows"), guest.all_extensions());
    let words = words(guest);
    let mut group = c.benchmark_group("decoded instruction");
    group.throughput(Throughput::Elements(words.len() as u64));
    group.bench_function("riscv64 word", |b| {
        b.iter(|| {
            for &word in &words {
                let _ = black_box(table.decode(black_box(word), enabled));
            }
        });
    });
    group.bench_function("riscv64 text", |b| {
        b.iter(|| {
            for &word in &words {
                let _ = black_box(guest.disassemble(&word.to_le_bytes(), CODE.get(), enabled));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
