//! `cargo xtask userland`: Debian programs doing real work, compared with the same programs of this machine's architecture.

pub(crate) mod cases;
mod configure;
pub(crate) mod runner;
pub(crate) mod sysroot;
mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::apt;
use crate::child::{Ending, Outcome};
use crate::compare::first_difference;
use crate::report::Tally;
use crate::tools;
use crate::workspace::Workspace;
use cases::Case;
use runner::{Job, Kind, Runner};

/// Options of `cargo xtask userland`.
#[derive(Args)]
pub(crate) struct Options {
    /// The guest architecture
    #[arg(value_enum)]
    guest: Guest,
    /// Only the cases with these names; `NAME*` stands for all that begin so
    #[arg(long, num_args = 1..)]
    only: Vec<String>,
    /// Only the cases that are quick: the subset for every change
    #[arg(long)]
    quick: bool,
    /// Leave out the cases that are long
    #[arg(long)]
    no_long: bool,
    /// Print the cases and run none
    #[arg(long)]
    list: bool,
    /// The tier of tradux
    #[arg(long, default_value = "auto")]
    tier: String,
    /// Who runs the guest programs; `native` runs the reference twice, which shows a case whose output is not always the same
    #[arg(long, value_enum, default_value_t = Kind::Tradux)]
    runner: Kind,
    /// Keep what the cases wrote, below target/userland/runs
    #[arg(long)]
    keep: bool,
    /// Seconds for every case, in place of those in its row
    #[arg(long)]
    timeout: Option<u64>,
    /// How many cases run at the same time; as many as processors by default
    #[arg(long)]
    jobs: Option<usize>,
    /// Measure CPU time and peak memory on this machine, qemu-user and tradux, one case at a time
    #[arg(long)]
    bench: bool,
    /// Use this tradux in place of a release build of the workspace
    #[arg(long)]
    tradux: Option<PathBuf>,
    /// Run a case that failed a second time, which counts: time limits are real time, and machines may be busy
    #[arg(long)]
    again: bool,
}

/// The guests that there are packages for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Guest {
    Riscv64,
}

impl Guest {
    /// Debian's name.
    fn architecture(self) -> &'static str {
        match self {
            Guest::Riscv64 => "riscv64",
        }
    }
}

/// The machine's name in compilers and folders for an architecture of Debian's.
pub(crate) fn machine_of(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

/// How one case went.
enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Runs the chosen cases. `Ok(false)` when one failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let all = cases::read_all(&workspace.root.join("xtask/userland"))?;
    let chosen = choose(all, options)?;
    if options.list {
        for case in &chosen {
            println!("{}", listed(case));
        }
        return Ok(true);
    }
    if let Err(error) = runner::probe(workspace) {
        println!("cases run in namespaces of their own, which cannot be made here: {error:#}");
        println!("0 passed, 0 failed, {} skipped", chosen.len());
        return Ok(true);
    }
    let packages: BTreeSet<String> = chosen.iter().flat_map(|case| case.packages.iter().cloned()).collect();
    let reference = Runner::native(sysroot::prepare(workspace, &apt::host_architecture()?, &packages)?);
    let guest = |kind| guest_runner(workspace, options, kind, &packages);
    if options.bench {
        let runners = [reference, guest(Kind::Qemu)?, guest(Kind::Tradux)?];
        return bench(workspace, options, &chosen, &runners);
    }
    let runner = guest(options.runner)?;
    for line in runner::version_differences(&reference, &runner) {
        println!("note: {line}");
    }
    println!("running {} cases on {}", chosen.len(), runner.described());
    let tally = tally(options, run_all(workspace, options, &chosen, &reference, &runner));
    println!("\n{} passed, {} failed, {} skipped", tally.passed, tally.failures.len(), tally.skips.len());
    Ok(tally.failures.is_empty())
}

/// Counts verdicts, and prints those that are not good.
fn tally(options: &Options, verdicts: Vec<(&Case, Verdict)>) -> Tally {
    let mut tally = Tally::default();
    for (case, verdict) in verdicts {
        match verdict {
            Verdict::Passed => tally.count(Ok(())),
            Verdict::Failed(why) => {
                println!("\nFAILED   {}\n{why}", case.name);
                println!("  alone: {}", alone(options, case));
                tally.count(Err(case.name.clone()));
            }
            Verdict::Skipped(why) => {
                println!("skipped  {}: {why}", case.name);
                tally.skip(case.name.clone(), why, true);
            }
        }
    }
    tally
}

/// Runs the quick cases on this tradux, as a step of the tests. Nobody is required to have namespaces or packages.
pub(crate) fn quick(workspace: &Workspace, tradux: PathBuf) -> Tally {
    let options = Options {
        guest: Guest::Riscv64,
        only: Vec::new(),
        quick: true,
        no_long: true,
        list: false,
        tier: "auto".into(),
        runner: Kind::Tradux,
        keep: false,
        timeout: Some(400),
        jobs: None,
        bench: false,
        tradux: Some(tradux),
        again: true,
    };
    let prepared = || -> Result<(Vec<Case>, Runner, Runner)> {
        let chosen = choose(cases::read_all(&workspace.root.join("xtask/userland"))?, &options)?;
        runner::probe(workspace)?;
        let packages: BTreeSet<String> = chosen.iter().flat_map(|case| case.packages.iter().cloned()).collect();
        let reference = Runner::native(sysroot::prepare(workspace, &apt::host_architecture()?, &packages)?);
        let runner = guest_runner(workspace, &options, Kind::Tradux, &packages)?;
        Ok((chosen, reference, runner))
    };
    match prepared() {
        Ok((chosen, reference, runner)) => tally(&options, run_all(workspace, &options, &chosen, &reference, &runner)),
        Err(error) => {
            let mut tally = Tally::default();
            tally.skip("packages of a riscv64 distribution", format!("{error:#}"), true);
            tally
        }
    }
}

fn guest_runner(workspace: &Workspace, options: &Options, kind: Kind, packages: &BTreeSet<String>) -> Result<Runner> {
    let tree = |architecture: &str| sysroot::prepare(workspace, architecture, packages);
    match kind {
        Kind::Native => Ok(Runner::native(tree(&apt::host_architecture()?)?)),
        Kind::Qemu => {
            Runner::qemu(tree(options.guest.architecture())?, tools::qemu(workspace)?, Some(runner::QEMU_CPU))
        }
        Kind::Tradux => {
            let program = match &options.tradux {
                Some(path) => std::fs::canonicalize(path).with_context(|| format!("{} is missing", path.display()))?,
                None => workspace.build_tradux(true)?,
            };
            Runner::tradux(tree(options.guest.architecture())?, program, &options.tier)
        }
    }
}

fn choose(all: Vec<Case>, options: &Options) -> Result<Vec<Case>> {
    let matches = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    if let Some(unknown) = options.only.iter().find(|pattern| !all.iter().any(|case| matches(pattern, &case.name))) {
        bail!("no case is called {unknown}; --list names them");
    }
    let wanted = |case: &Case| {
        (options.only.is_empty() || options.only.iter().any(|pattern| matches(pattern, &case.name)))
            && (!options.quick || case.quick)
            && (!options.no_long || !case.long)
    };
    Ok(all.into_iter().filter(wanted).collect())
}

fn listed(case: &Case) -> String {
    let tags = [
        (case.quick, "quick"),
        (case.long, "long"),
        (case.root, "root"),
        (case.confined, "confined"),
        (case.not_qemu.is_some(), "not-qemu"),
    ];
    let tags: Vec<&str> = tags.into_iter().filter_map(|(set, name)| set.then_some(name)).collect();
    format!("{:<28} {:<16} {:>5} s  {}", case.name, tags.join(","), case.timeout, case.packages.join(" "))
}

/// The command that repeats one case and keeps its files.
fn alone(options: &Options, case: &Case) -> String {
    let kind = match options.runner {
        Kind::Native => "native",
        Kind::Qemu => "qemu",
        Kind::Tradux => "tradux",
    };
    let guest = options.guest.architecture();
    let tier = if options.runner == Kind::Tradux { format!(" --tier {}", options.tier) } else { String::new() };
    format!("cargo xtask userland {guest} --only {} --runner {kind}{tier} --keep", case.name)
}

fn run_all<'a>(
    workspace: &Workspace,
    options: &Options,
    chosen: &'a [Case],
    reference: &Runner,
    runner: &Runner,
) -> Vec<(&'a Case, Verdict)> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..options.jobs.unwrap_or(processors).max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = chosen.get(index) else { return };
                    let (mut verdict, mut times) = one(workspace, options, case, reference, runner);
                    if let Verdict::Failed(why) = &verdict
                        && options.again
                    {
                        println!("again    {}, after:\n{why}", case.name);
                        (verdict, times) = one(workspace, options, case, reference, runner);
                    }
                    let mark = match &verdict {
                        Verdict::Passed => "ok",
                        Verdict::Failed(_) => "FAILED",
                        Verdict::Skipped(_) => "skip",
                    };
                    let count = done.fetch_add(1, Ordering::Relaxed) + 1;
                    println!("[{count:>3}/{}] {mark:<6} {:<28} {times}", chosen.len(), case.name);
                    if let Verdict::Failed(why) = &verdict {
                        println!("{why}"); // all failures come once more at the end, which may be hours away
                    }
                    let mut all = verdicts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    all.push((index, case, verdict));
                }
            });
        }
    });
    let mut all = verdicts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.sort_by_key(|(index, ..)| *index);
    all.into_iter().map(|(_, case, verdict)| (case, verdict)).collect()
}

/// Runs one case on the reference and on the runner. The second value says how long each took.
fn one(
    workspace: &Workspace,
    options: &Options,
    case: &Case,
    reference: &Runner,
    runner: &Runner,
) -> (Verdict, String) {
    if let Some(why) = runner.cannot(case) {
        return (Verdict::Skipped(why), String::new());
    }
    let job = |turn| Job { workspace, case, keep: options.keep, timeout: options.timeout, turn };
    let expected = match job("reference").run(reference) {
        Ok(run) => run,
        Err(error) => return (Verdict::Failed(format!("  no reference: {error:#}")), String::new()),
    };
    if expected.ending != Ending::Status(case.status) {
        let why = format!("  the reference ended with {} instead of status {}", expected.ending, case.status);
        return (Verdict::Failed(format!("{why}{}", last_errors(&expected))), String::new());
    }
    let started = Instant::now();
    let actual = match job("run").run(runner) {
        Ok(run) => run,
        Err(error) => return (Verdict::Failed(format!("  no run: {error:#}")), String::new()),
    };
    let times = format!(
        "{:>6.2} s, cpu {:.2} s, native cpu {:.2} s",
        started.elapsed().as_secs_f64(),
        actual.cpu.as_secs_f64(),
        expected.cpu.as_secs_f64()
    );
    let verdict = match differences(case, &expected, &actual) {
        None => Verdict::Passed,
        Some(text) => Verdict::Failed(text),
    };
    (verdict, times)
}

pub(crate) fn differences(case: &Case, expected: &Outcome, actual: &Outcome) -> Option<String> {
    let mut lines = Vec::new();
    if actual.ending != expected.ending {
        lines.push(format!("  ended with {} instead of {}", actual.ending, expected.ending));
    }
    let mut streams = vec![("stdout", &expected.stdout, &actual.stdout)];
    if case.stderr {
        streams.push(("stderr", &expected.stderr, &actual.stderr));
    }
    for (name, expected, actual) in streams {
        if let Some(difference) = first_difference(&case.normalised(expected), &case.normalised(actual)) {
            lines.push(format!("  {name} {difference}"));
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n") + &last_errors(actual))
}

fn last_errors(outcome: &Outcome) -> String {
    let errors = String::from_utf8_lossy(&outcome.stderr);
    let lines: Vec<&str> = errors.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].iter().map(|line| format!("\n  stderr: {line}")).collect()
}

fn bench(workspace: &Workspace, options: &Options, chosen: &[Case], runners: &[Runner; 3]) -> Result<bool> {
    let mut rows = Vec::new();
    for (index, case) in chosen.iter().enumerate() {
        eprintln!("[{}/{}] {}", index + 1, chosen.len(), case.name);
        let mut row = table::Row { name: case.name.clone(), runs: [const { None }; 3], same: true };
        let mut expected: Option<Outcome> = None;
        for (runner, slot) in runners.iter().zip(&mut row.runs) {
            if runner.cannot(case).is_some() {
                continue;
            }
            let outcome = Job { workspace, case, keep: false, timeout: options.timeout, turn: "bench" }.run(runner)?;
            let same = expected.as_ref().is_none_or(|expected| differences(case, expected, &outcome).is_none());
            row.same &= same;
            // A run that went wrong did other work, so that its time says nothing.
            if same {
                *slot = Some((outcome.cpu, outcome.peak_kib));
            }
            expected.get_or_insert(outcome);
        }
        rows.push(row);
    }
    print!("{}", table::print(&rows));
    Ok(rows.iter().all(|row| row.same))
}
