//! Guest programs on every tier: output, exit status and the signal that ends them.
//!
//! The committed programs always run; those that `cargo xtask guests` builds run where they are, against the same
//! sources built for this machine. A child process of this test is the emulator, so that nothing but the program writes
//! to its standard output.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio, exit};

use vm_engine::{Config, TierPolicy};
use vm_linux::{Options, Process, Status};

/// Set in children: the tier to run on. Program and arguments are the child's arguments.
const TIER: &str = "TRADUX_TEST_TIER";

/// What a run of a program shows.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    output: Vec<u8>,
    status: Option<i32>,
    signal: Option<i32>,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self { output: output.stdout, status: output.status.code(), signal: output.status.signal() }
    }
}

/// Committed programs with arguments, output and exit status. There are 148933 primes below two million.
const COMMITTED: [(&str, &[&str], &str, i32); 4] = [
    ("hello", &[], "Hello, world!\n", 0),
    ("primes", &[], "148933 primes, sum 142913828922\n", 0),
    ("args", &["one", "two words"], "1: one\n2: two words\n", 2),
    ("calls", &[], "37 calls, 0 wrong\n", 0),
];

/// Programs built on demand whose result does not depend on the run, and that need no arguments.
const BUILT: [&str; 17] = [
    "hello",
    "bare-primes.pie",
    "printing",
    "files",
    "pipes",
    "memory_maps",
    "stack",
    "start",
    "strings",
    "sorting",
    "jumps",
    "int_edges",
    "float_env",
    "nan_bits",
    "random_ops",
    "atomics",
    "codegen",
];

fn main() {
    if let Ok(tier) = std::env::var(TIER) {
        emulate(tier.parse().expect("a tier"));
    }
    // The lists that test runners ask for: of all tests, and of those that are ignored.
    if std::env::args().any(|arg| arg == "--list") {
        if !std::env::args().any(|arg| arg == "--ignored") {
            println!("guest_programs: test");
        }
        return;
    }
    let mut failures = Vec::new();
    let mut runs = 0;
    let mut check = |name: &str, tier: TierPolicy, found: Outcome, expected: &Outcome| {
        runs += 1;
        if found != *expected {
            let show = |outcome: &Outcome| {
                format!(
                    "status {:?}, signal {:?}, {:?}",
                    outcome.status,
                    outcome.signal,
                    String::from_utf8_lossy(&outcome.output)
                )
            };
            failures.push(format!("{name} on tier {tier}: found {}, expected {}", show(&found), show(expected)));
        }
    };
    for (name, args, output, status) in COMMITTED {
        let expected = Outcome { output: output.as_bytes().to_vec(), status: Some(status), signal: None };
        for tier in TierPolicy::ALL {
            check(name, tier, run(&common::repository("guests/bin/riscv64").join(name), args, tier), &expected);
        }
    }
    let mut skipped = Vec::new();
    for name in BUILT {
        let (guest, native) = (built("riscv64", name), built(std::env::consts::ARCH, name));
        if !guest.exists() || !native.exists() {
            skipped.push(name);
            continue;
        }
        let expected: Outcome = Command::new(native).output().expect("a native program runs").into();
        for tier in TierPolicy::ALL {
            check(name, tier, run(&guest, &[], tier), &expected);
        }
    }
    if !skipped.is_empty() {
        println!("skipped, because `cargo xtask guests` has not built them: {}", skipped.join(" "));
        assert!(std::env::var_os("CI").is_none(), "nothing may be skipped here");
    }
    println!("guest programs: {runs} runs, {} failed", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn built(arch: &str, name: &str) -> PathBuf {
    common::repository("target/guests").join(arch).join(name)
}

/// Runs a program in a child of this test.
fn run(program: &Path, args: &[&str], tier: TierPolicy) -> Outcome {
    Command::new(std::env::current_exe().expect("this test has a file"))
        .arg(program)
        .args(args)
        .env(TIER, tier.name())
        .stdin(Stdio::null())
        .output()
        .expect("this test can be run")
        .into()
}

/// The child: runs the program and ends as it does.
fn emulate(tier: TierPolicy) -> ! {
    let mut args = std::env::args_os().skip(1);
    let options = Options {
        program: args.next().expect("a program").into(),
        args: args.collect(),
        engine: Config { tier, ..Config::default() },
        ..Options::default()
    };
    match Process::load(&options).map(|mut process| process.run()) {
        Ok(Status::Exited(status)) => exit(status.into()),
        Ok(Status::Killed(signal)) => {
            vm_linux::die_by(signal);
            exit(128 + signal)
        }
        Ok(Status::Uncompilable(pc)) => {
            eprintln!("cannot be compiled: {pc}");
            exit(126)
        }
        Err(error) => {
            eprintln!("{error}");
            exit(127)
        }
    }
}
