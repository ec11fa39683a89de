//! Translation: from bytes in guest memory to a block, for each guest instruction. The result cache is empty and stays so.
#![allow(missing_docs, reason = "criterion's macro makes a public function without documentation")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tradux_benches::{blocks, memory};
use vm_core::GuestArch;
use vm_cross_arch_support::{CacheLimits, TranslationOptions, TranslationPipeline};
use vm_ir::{BlockSource, Effort};

fn lift(c: &mut Criterion) {
    let options = TranslationOptions { cache: CacheLimits { entries: 0, bytes: 0 }, ..TranslationOptions::default() };
    let pipeline = TranslationPipeline::new(GuestArch::Riscv64, options).expect("riscv64");
    let memory = memory();
    let keys = blocks(&pipeline, &memory);
    let instructions: usize = keys.iter().map(|key| pipeline.lift(*key, &memory).guest_len()).sum();
    let mut group = c.benchmark_group("translated instruction");
    group.throughput(Throughput::Elements(instructions as u64));
    group.bench_function("lifted only", |b| {
        b.iter(|| {
            for &key in &keys {
                black_box(pipeline.lift(key, &memory));
            }
        });
    });
    for (name, effort) in [("once", Effort::Once), ("quick", Effort::Quick), ("full", Effort::Full)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                for &key in &keys {
                    black_box(pipeline.translate(key, &memory, effort));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lift);
criterion_main!(benches);
