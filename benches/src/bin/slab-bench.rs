//! What `cargo xtask bench slab` runs: every allocation pattern on every allocator in interleaved rounds. A line for each
//! measurement: round, pattern, size, allocator, nanoseconds of CPU time for an allocation with its free. Behind them, for
//! each size and for all of them together, the word `memory`, size, allocator, and three numbers of bytes: slabs with live
//! objects, what is resident for them, and what is resident after everything was freed and trimmed.

use std::io::Write;
use std::time::Duration;

use tradux_benches::slab::{FINE, Footprint, Pattern, Recorder, SIZES, SLAB, Subject, Trace};
use tradux_benches::{ALL, call, vcpu};

#[global_allocator]
static RECORDER: Recorder = Recorder::new();

/// Bytes of objects of each size whose memory is measured.
const FOOTPRINT: usize = 16 << 20;

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
    let mut print = |round: usize, pattern: &str, size: usize, subject: Subject, time: Duration, operations: usize| {
        let nanoseconds = time.as_nanos() as f64 / operations as f64;
        writeln!(out, "{round} {pattern} {size} {} {nanoseconds:.3}", subject.name()).expect("standard output");
    };
    for round in 0..rounds {
        for pattern in Pattern::ALL.into_iter().filter(|pattern| pattern.name().contains(&only)) {
            for size in SIZES {
                for step in 0..Subject::ALL.len() {
                    let subject = Subject::ALL[(step + round) % Subject::ALL.len()];
                    // The first pages and the way to a full magazine are not what is measured.
                    let _ = subject.run(pattern, size, operations / 8);
                    if let Some(time) = subject.run(pattern, size, operations) {
                        print(round, pattern.name(), size, subject, time, operations);
                    }
                }
            }
        }
        if "trace".contains(&only) {
            for step in 0..Subject::ALL.len() {
                let subject = Subject::ALL[(step + round) % Subject::ALL.len()];
                let times = (operations / trace.len()).max(1);
                let _ = subject.replay(&trace, 1);
                if let Some(time) = subject.replay(&trace, times) {
                    print(round, "trace", 0, subject, time, times * trace.len());
                }
            }
        }
    }
    if "memory".contains(&only) {
        for sizes in SIZES.chunks(1).chain([&SIZES[..]]) {
            let size = if sizes.len() == 1 { sizes[0] } else { 0 };
            for (name, global) in [("slab", &SLAB), ("slab-fine", &FINE)] {
                let Footprint { slabs, resident, left } = Footprint::of(global, sizes, FOOTPRINT);
                writeln!(out, "memory {size} {name} {slabs} {resident} {left}").expect("standard output");
            }
        }
    }
}
