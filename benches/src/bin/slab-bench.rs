//! What `cargo xtask bench slab` runs: every allocation pattern on every allocator in interleaved rounds. A line for each
//! measurement: round, pattern, size, allocator, nanoseconds of CPU time for an allocation with its free.

use std::io::Write;

use tradux_benches::slab::{Pattern, Recorder, SIZES, Subject, Trace};
use tradux_benches::{ALL, call, vcpu};

#[global_allocator]
static RECORDER: Recorder = Recorder::new();

/// CPU nanoseconds of this process.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// What an engine allocates while it translates, interprets and compiles the kernels.
fn trace() -> Trace {
    RECORDER.record(|| {
        let config = vm_engine::Config { deterministic: true, ..vm_engine::Config::default() };
        let mut vcpu = vcpu(config);
        for kernel in &ALL {
            assert_eq!(call(&mut vcpu, kernel), kernel.result);
        }
    })
}

fn main() {
    let mut words = std::env::args().skip(1);
    let rounds: usize = words.next().and_then(|word| word.parse().ok()).unwrap_or(5);
    let only = words.next().unwrap_or_default();
    let operations: usize = words.next().and_then(|word| word.parse().ok()).unwrap_or(400_000);
    let trace = trace();
    eprintln!("the trace has {} allocations", trace.len());
    let mut out = std::io::stdout();
    let mut print = |round: usize, pattern: &str, size: usize, subject: Subject, nanoseconds: f64| {
        writeln!(out, "{round} {pattern} {size} {} {nanoseconds:.3}", subject.name()).expect("standard output");
    };
    for round in 0..rounds {
        for pattern in Pattern::ALL.into_iter().filter(|pattern| pattern.name().contains(&only)) {
            for size in SIZES {
                for step in 0..Subject::ALL.len() {
                    let subject = Subject::ALL[(step + round) % Subject::ALL.len()];
                    // The first pages and the way to a full magazine are not what is measured.
                    if !subject.run(pattern, size, operations / 8) {
                        continue;
                    }
                    let start = cpu();
                    let _ = subject.run(pattern, size, operations);
                    print(round, pattern.name(), size, subject, (cpu() - start) / operations as f64);
                }
            }
        }
        if "trace".contains(&only) && !trace.is_empty() {
            for step in 0..Subject::ALL.len() {
                let subject = Subject::ALL[(step + round) % Subject::ALL.len()];
                let repeats = (operations / trace.len()).max(1);
                if !subject.replay(&trace) {
                    continue;
                }
                let start = cpu();
                for _ in 0..repeats {
                    let _ = subject.replay(&trace);
                }
                print(round, "trace", 0, subject, (cpu() - start) / (repeats * trace.len()) as f64);
            }
        }
    }
}
