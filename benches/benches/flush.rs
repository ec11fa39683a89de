//! Flushes of guest code, with many compiled regions about: of everything and of one instruction, unchanged and changed.
#![allow(missing_docs, reason = "criterion's macro makes a public function without documentation")]

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use vm_core::{Exit, GuestAddr, GuestArch, GuestMemory, GuestRange, Perms};
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_engine::{Config, Engine, TierPolicy, Vcpu};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

const CODE: GuestAddr = GuestAddr::new(0x10_0000);
/// Bytes from one function to the next: 32 on a page, as small compiled methods lie.
const STRIDE: u64 = 128;
/// `addi a0, a0, 1; ecall`.
const FUNCTION: [u32; 2] = [0x0015_0513, 0x0000_0073];
/// `addi a0, a0, 2`.
const PATCH: u32 = 0x0025_0513;

fn at(index: u64) -> GuestAddr {
    CODE.offset((index * STRIDE) as i64)
}

/// Runs the function at `pc`.
fn run(vcpu: &mut Vcpu, pc: GuestAddr) {
    vcpu.state_mut().set_pc(pc);
    assert_eq!(vcpu.run(), Exit::Syscall);
}

/// Memory in which every function is writable, as a just-in-time compiler keeps its code, and a vCPU for which all are
/// compiled.
fn compiled(functions: u64) -> (Arc<AddressSpace>, Vcpu) {
    let space = Arc::new(AddressSpace::new(Placement::Reserved { size: 1 << 26 }).expect("room for 64 MiB"));
    let all = Perms::READ | Perms::WRITE | Perms::EXECUTE;
    let request = MapRequest::anonymous(functions * STRIDE, all).at(Place::Fixed(CODE));
    space.map(request).expect("the place is free");
    let pipeline = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).expect("riscv64");
    let config = Config { tier: TierPolicy::Compile, ..Config::default() };
    let memory: Arc<dyn GuestMemory> = Arc::<AddressSpace>::clone(&space);
    let engine = Engine::new(Arc::new(pipeline), memory, config).expect("a compiler is there");
    let mut vcpu = engine.vcpu();
    for index in 0..functions {
        space.write(at(index), &FUNCTION.map(u32::to_le_bytes).concat()).expect("code is writable");
        run(&mut vcpu, at(index));
    }
    assert_eq!(engine.stats().regions.live, functions);
    (space, vcpu)
}

fn flush(c: &mut Criterion) {
    let mut group = c.benchmark_group("flush");
    for functions in [10, 1000, 10_000] {
        let (space, mut vcpu) = compiled(functions);
        let engine = Arc::clone(vcpu.engine());
        group.bench_function(BenchmarkId::new("everything", functions), |b| b.iter(|| engine.flush_code()));
        let one = GuestRange::new(at(functions / 2), 4).expect("no wrap");
        group.bench_function(BenchmarkId::new("one instruction", functions), |b| b.iter(|| engine.flush_range(one)));
        assert_eq!(engine.stats().regions.live, functions);
        let mut word = PATCH;
        group.bench_function(BenchmarkId::new("patch, flush, compile, run", functions), |b| {
            b.iter(|| {
                space.write(one.start(), &word.to_le_bytes()).expect("code is writable");
                engine.flush_range(one);
                run(&mut vcpu, one.start());
                word ^= PATCH ^ FUNCTION[0];
            });
        });
    }
    group.finish();
}

criterion_group!(benches, flush);
criterion_main!(benches);
