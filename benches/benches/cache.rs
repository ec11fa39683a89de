//! The result cache: a repeated translation, guest bytes fetched and compared.
#![allow(missing_docs, reason = "criterion's macro makes a public function without documentation")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tradux_benches::{blocks, memory};
use vm_core::GuestArch;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_ir::{BlockSource, Effort};

fn hit(c: &mut Criterion) {
    let pipeline = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).expect("riscv64");
    let memory = memory();
    let keys = blocks(&pipeline, &memory);
    for &key in &keys {
        pipeline.translate(key, &memory, Effort::Full);
    }
    let misses = pipeline.stats().cache.misses;
    let mut group = c.benchmark_group("repeated translation");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("block", |b| {
        b.iter(|| {
            for &key in &keys {
                black_box(pipeline.translate(key, &memory, Effort::Full));
            }
        });
    });
    group.finish();
    assert_eq!(pipeline.stats().cache.misses, misses, "every repetition was a hit");
}

criterion_group!(benches, hit);
criterion_main!(benches);
