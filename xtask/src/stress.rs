//! `cargo xtask stress`: programs with threads, signals and processes, many times over, while the engine is disturbed.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use clap::Args;

use crate::compare::{self, Job};
use crate::guests;
use crate::programs::{Build, PROGRAMS, SYSTEM};
use crate::report::Tally;
use crate::tools;
use crate::workspace::Workspace;

/// Seconds that a run may take, disturbed and on a busy machine: a run that takes longer counts as hanging.
const LIMIT: u64 = 120;

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
    /// Tiers to run on
    #[arg(long, value_delimiter = ',', default_value = "interp,baseline,jit,auto")]
    tiers: Vec<String>,
    /// First seed of the disturbance; run number n has the seed after n
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Programs at a time
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Use this tradux in place of a release build of the workspace
    #[arg(long)]
    tradux: Option<PathBuf>,
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
    let mut jobs = compare::jobs(workspace, PROGRAMS, "")?;
    jobs.extend(compare::jobs(workspace, SYSTEM, "")?);
    let wanted = |job: &Job| options.patterns.iter().any(|pattern| job.label.contains(pattern));
    jobs.retain(|job| options.patterns.is_empty() || wanted(job));
    jobs.retain(|job| job.build == Build::Static && RACY.iter().any(|name| job.label.starts_with(name)));
    jobs.retain(|job| !LEFT_OUT.contains(&job.label.as_str()));
    println!("{} programs, {} runs each on {}", jobs.len(), options.runs, options.tiers.join(", "));

    let one = |job: &Job| -> Result<Tally> {
        let native = compare::invocation(job, &[job.native.clone().into()], &scratch, LIMIT);
        let expected = native.run().with_context(|| format!("{} natively", job.label))?;
        let mut tally = Tally::default();
        for tier in &options.tiers {
            for seed in (options.seed..).take(options.runs as usize) {
                let words = ["run", "--tier", tier, "--disturb", &seed.to_string()].map(OsString::from).to_vec();
                let words = [vec![tradux.clone().into()], words, vec![job.guest.clone().into()]].concat();
                let invocation = compare::invocation(job, &words, &scratch, LIMIT);
                tally.count(compare::agree(job, &format!("tier {tier}, seed {seed}"), &invocation, &expected));
            }
        }
        Ok(tally)
    };
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut tally = Tally::default();
                    match one(job) {
                        Ok(done) => tally.merge(done),
                        Err(error) => tally.count(Err(format!("{error:#}"))),
                    }
                    let mark = if tally.failures.is_empty() { "ok" } else { "FAILED" };
                    println!("{mark:<6} {} ({} runs)", job.label, tally.passed + tally.failures.len() as u64);
                    tally.failures.iter().for_each(|failure| println!("       {failure}"));
                    all.lock().unwrap_or_else(std::sync::PoisonError::into_inner).merge(tally);
                }
            });
        }
    });
    let all = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{} passed, {} failed", all.passed, all.failures.len());
    Ok(all.failures.is_empty())
}
