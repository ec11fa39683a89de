//! Allocation patterns on the slab allocator, its pool, and the C library's allocator, in CPU time.
#![allow(missing_docs, reason = "criterion's macro makes a public function without documentation")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tradux_benches::slab::{Pattern, SIZES, Subject};

/// Allocations in one iteration.
const OPERATIONS: usize = 100_000;

fn patterns(c: &mut Criterion) {
    for pattern in Pattern::ALL {
        let mut group = c.benchmark_group(format!("slab {}", pattern.name()));
        group.throughput(Throughput::Elements(OPERATIONS as u64)).sample_size(10);
        for size in SIZES {
            for &subject in Subject::ALL {
                if subject.run(pattern, size, 1).is_some() {
                    group.bench_function(BenchmarkId::new(subject.name(), size), |b| {
                        b.iter_custom(|times| (0..times).filter_map(|_| subject.run(pattern, size, OPERATIONS)).sum());
                    });
                }
            }
        }
        group.finish();
    }
}

criterion_group!(benches, patterns);
criterion_main!(benches);
