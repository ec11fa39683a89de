//! The interpreter: time for each guest instruction once code is warm, and from bytes to first execution.
#![allow(missing_docs, reason = "criterion's macro makes a public function without documentation")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tradux_benches::{ALL, call, vcpu};
use vm_engine::{Config, TierPolicy};

fn config() -> Config {
    Config { tier: TierPolicy::Interpret, ..Config::default() }
}

fn warm(c: &mut Criterion) {
    let mut group = c.benchmark_group("interpreted instruction");
    for kernel in ALL {
        let mut vcpu = vcpu(config());
        assert_eq!(call(&mut vcpu, &kernel), kernel.result, "{}", kernel.name);
        let instructions = vcpu.engine().stats().tier0_instructions;
        group.throughput(Throughput::Elements(instructions));
        group.bench_function(kernel.name, |b| b.iter(|| black_box(call(&mut vcpu, &kernel))));
    }
    group.finish();
}

fn cold(c: &mut Criterion) {
    let mut group = c.benchmark_group("bytes to first execution");
    let mut vcpu = vcpu(config());
    let kernels = ALL.map(|kernel| tradux_benches::Kernel { work: 3, ..kernel });
    let run = |vcpu: &mut vm_engine::Vcpu| {
        for kernel in &kernels {
            call(vcpu, kernel);
        }
    };
    run(&mut vcpu);
    group.throughput(Throughput::Elements(vcpu.engine().stats().block_instructions));
    group.bench_function("kernels", |b| {
        b.iter(|| {
            vcpu.engine().invalidate(vm_core::GuestRange::everything());
            run(&mut vcpu);
        });
    });
    group.finish();
}

criterion_group!(benches, warm, cold);
criterion_main!(benches);
