//! `cargo xtask stress`: programs with threads, signals and processes, many times over, while the engine is disturbed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::child::{Invocation, Outcome};
use crate::compare::{self, Job};
use crate::guests;
use crate::programs::{Build, PROGRAMS, SYSTEM};
use crate::report::Tally;
use crate::tools;
use crate::workspace::Workspace;

/// Seconds that a run may take, disturbed and on a busy machine: a run that takes longer counts as hanging.
const LIMIT: u64 = 120;

/// Programs that repeat something for long do this part of it in one run, since they are run so often: see `part_of` in
/// `guests/src/lib/check.h`.
const PART: &str = "8";

/// How often a line says how far the runs are.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Programs whose outcome depends on the order of things, by what their names begin with.
const RACY: &[&str] = &[
    "pingpong",
    "parsum",
    "counter",
    "sigping",
    "pipes",
    "leave",
    "sys-thread_",
    "sys-sig_",
    "sys-robust_",
    "sys-pi_",
    "sys-futex_",
    "sys-vfork",
    "sys-clone_",
    "sys-exec_",
    "sys-wait_",
    "sys-pidfd",
    "sys-groups_",
    "sys-proc_other",
    "sys-proc_smaps",
    "sys-code_",
    "sys-map_shared",
    "sys-map_storm",
    "sys-io_e",
    "sys-io_p",
    "sys-tty_",
    "sys-net_tcp",
];

/// Racy programs that are left out. A child whose first thread has ended may have threads of the engine left for a moment:
/// `/proc` shows it as a zombie before its parent can be told of its end.
const LEFT_OUT: &[&str] = &["sys-sig_child"];

/// Options of `cargo xtask stress`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only programs whose name contains one of these texts
    patterns: Vec<String>,
    /// Runs of each program on each tier
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// Start no further run after so many minutes; no program is then more than one run ahead of another
    #[arg(long)]
    minutes: Option<u64>,
    /// Tiers to run on
    #[arg(long, value_delimiter = ',', default_value = "interp,baseline,jit,auto")]
    tiers: Vec<String>,
    /// Seed of the first disturbed run; each further run has the next one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Programs at a time
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Use this tradux in place of a release build of the workspace
    #[arg(long)]
    tradux: Option<PathBuf>,
}

/// A program, what it does natively and what its disturbed runs came to.
struct Subject {
    job: Job,
    expected: Outcome,
    so_far: Mutex<SoFar>,
}

#[derive(Default)]
struct SoFar {
    tally: Tally,
    cpu: Duration,
}

/// Runs the programs. `Ok(false)` if a run hung or differed from the native one.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    for compiler in [&tools::riscv64_compiler()?, &tools::native_compiler()?] {
        guests::build_all(workspace, compiler, PROGRAMS)?;
        guests::build_all(workspace, compiler, SYSTEM)?;
    }
    let tradux = match &options.tradux {
        Some(program) => program.clone(),
        None => workspace.build_tradux(true)?,
    };
    let scratch = workspace.target.join("guests/scratch");
    fs::create_dir_all(&scratch)?;
    let subjects = subjects(workspace, options, &scratch)?;
    if subjects.is_empty() {
        bail!("no program that is run disturbed has a name with one of: {}", options.patterns.join(", "));
    }
    println!("{} programs, {} runs each on {}", subjects.len(), options.runs, options.tiers.join(", "));
    disturbed(&subjects, options, &tradux, &scratch);

    let mut all = Tally::default();
    for subject in subjects {
        let SoFar { tally, cpu } = subject.so_far.into_inner().unwrap_or_else(PoisonError::into_inner);
        let runs = tally.passed + tally.failures.len() as u64;
        let mark = match runs {
            0 => "-",
            _ if tally.failures.is_empty() => "ok",
            _ => "FAILED",
        };
        println!("{mark:<6} {} ({runs} runs, {:.1} s of processor time)", subject.job.label, cpu.as_secs_f64());
        all.merge(tally);
    }
    all.failures.iter().for_each(|failure| println!("FAILED {failure}"));
    println!("{} passed, {} failed", all.passed, all.failures.len());
    Ok(all.failures.is_empty() && all.passed > 0)
}

/// The racy programs that are wanted, each run natively once.
fn subjects(workspace: &Workspace, options: &Options, scratch: &Path) -> Result<Vec<Subject>> {
    let mut jobs = compare::jobs(workspace, PROGRAMS, "")?;
    jobs.extend(compare::jobs(workspace, SYSTEM, "")?);
    let wanted = |job: &Job| options.patterns.iter().any(|pattern| job.label.contains(pattern));
    jobs.retain(|job| options.patterns.is_empty() || wanted(job));
    jobs.retain(|job| job.build == Build::Static && RACY.iter().any(|name| job.label.starts_with(name)));
    jobs.retain(|job| !LEFT_OUT.contains(&job.label.as_str()));
    let one = |job: Job| {
        let native = one_of_many(compare::invocation(&job, &[job.native.clone().into()], scratch, LIMIT), options.seed);
        let expected = compare::reference(&job, &native).map_err(anyhow::Error::msg)?;
        Ok(Subject { job, expected, so_far: Mutex::default() })
    };
    jobs.into_iter().map(one).collect()
}

/// Tells a program that it is one run of hundreds, and which.
fn one_of_many(mut invocation: Invocation, seed: u64) -> Invocation {
    invocation.environment.push(("GUEST_PART".into(), PART.into()));
    invocation.environment.push(("GUEST_SEED".into(), seed.to_string().into()));
    invocation
}

/// Runs all programs on all tiers with one seed, then with the next, so that no program is far behind when time is up.
fn disturbed(subjects: &[Subject], options: &Options, tradux: &Path, scratch: &Path) {
    let (started, next) = (Instant::now(), AtomicU64::new(0));
    let end = options.minutes.and_then(|minutes| started.checked_add(Duration::from_secs(minutes.saturating_mul(60))));
    let of_a_seed = (subjects.len() * options.tiers.len()) as u64;
    let said = Mutex::new(started);
    let work = || {
        while end.is_none_or(|end| Instant::now() < end) {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= of_a_seed.saturating_mul(options.runs) {
                return;
            }
            let (number, which) = (turn / of_a_seed, (turn % of_a_seed) as usize);
            let (tier, subject) = (&options.tiers[which / subjects.len()], &subjects[which % subjects.len()]);
            subject.run(tradux, tier, options.seed.wrapping_add(number), scratch);
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.elapsed() >= SAY_EVERY {
                *said = Instant::now();
                println!("after {:.0} s: run {} of {}", started.elapsed().as_secs_f64(), number + 1, options.runs);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(work);
        }
    });
}

impl Subject {
    /// Runs the program once and counts what came of it; a failure is also said at once.
    fn run(&self, tradux: &Path, tier: &str, seed: u64, scratch: &Path) {
        let Self { job, expected, so_far } = self;
        let options = ["run", "--tier", tier, "--disturb", &seed.to_string()].map(OsString::from);
        let words = [&[tradux.into()], options.as_slice(), &[job.guest.clone().into()]].concat();
        let invocation = one_of_many(compare::invocation(job, &words, scratch, LIMIT), seed);
        let who = format!("tier {tier}, with GUEST_PART={PART} GUEST_SEED={seed}");
        let (outcome, cpu) = match invocation.run() {
            Ok(actual) => (compare::same(job, &who, &invocation, expected, &actual), actual.cpu),
            Err(error) => (Err(format!("{} on {who}: {error:#}", job.label)), Duration::ZERO),
        };
        if let Err(line) = &outcome {
            println!("FAILED {line}");
        }
        let mut so_far = so_far.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.tally.count(outcome);
        so_far.cpu += cpu;
    }
}
