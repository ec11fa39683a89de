//! Runs every guest program natively, on qemu-user and on each tier of tradux, and compares outputs and endings.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::child::{Ending, Invocation, Outcome};
use crate::guests;
use crate::programs::{Build, COMMITTED, Case, Program, Role};
use crate::report::Tally;
use crate::tools::Qemu;
use crate::workspace::Workspace;

/// A kernel runs this part of its default rounds in tests: about 20 ms of native work.
const TEST_SHARE: u64 = 40;

/// The tiers that a program runs on. Dynamic builds have the loader on top of what their static twins test.
fn tiers(build: Build) -> &'static [&'static str] {
    match build {
        Build::Static | Build::Bare | Build::BarePie => &["interp", "baseline", "jit", "auto"],
        Build::Dynamic => &["auto"],
    }
}

/// Who runs the riscv64 programs.
pub(crate) struct Runners {
    /// The reference emulator, if there is one.
    pub(crate) qemu: Option<Qemu>,
    /// The `tradux` binary, if it could be built.
    pub(crate) tradux: Option<PathBuf>,
    /// Where dynamic riscv64 programs find their loader and libraries.
    pub(crate) sysroot: PathBuf,
}

/// One program with one list of arguments: run natively once, then elsewhere.
pub(crate) struct Job {
    pub(crate) label: String,
    arguments: Vec<String>,
    pub(crate) native: PathBuf,
    pub(crate) guest: PathBuf,
    pub(crate) build: Build,
    not_qemu: Option<&'static str>,
}

/// Compares those of these programs whose name contains `pattern`.
pub(crate) fn run(workspace: &Workspace, runners: &Runners, programs: &[Program], pattern: &str) -> Result<Tally> {
    let scratch = workspace.target.join("guests/scratch");
    fs::create_dir_all(&scratch)?;
    let jobs = jobs(workspace, programs, pattern)?;
    let tally = Mutex::new(Tally::default());
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = compare(job, runners, &scratch);
                    let mark = if one.failures.is_empty() { "ok" } else { "FAILED" };
                    println!("{mark:<6} {} ({} runs)", job.label, one.passed + one.failures.len() as u64);
                    for failure in &one.failures {
                        println!("       {failure}");
                    }
                    tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner).merge(one);
                }
            });
        }
    });
    Ok(tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

pub(crate) fn jobs(workspace: &Workspace, programs: &[Program], pattern: &str) -> Result<Vec<Job>> {
    let native = workspace.guests(std::env::consts::ARCH);
    let guest = workspace.guests("riscv64");
    let mut jobs = Vec::new();
    for program in programs.iter().filter(|program| program.name.contains(pattern)) {
        for case in program.cases {
            jobs.push(Job {
                label: label(program.name, case),
                arguments: arguments(workspace, program, case)?,
                native: native.join(program.name),
                guest: guest.join(program.name),
                build: program.build,
                not_qemu: case.not_qemu,
            });
        }
    }
    for (file, row) in COMMITTED.iter().filter(|(file, _)| file.contains(pattern)) {
        for program in programs.iter().filter(|program| program.name == *row) {
            for case in program.cases {
                jobs.push(Job {
                    label: format!("committed {}", label(file, case)),
                    arguments: arguments(workspace, program, case)?,
                    native: native.join(row),
                    guest: guests::committed_folder(workspace).join(file),
                    build: program.build,
                    not_qemu: case.not_qemu,
                });
            }
        }
    }
    Ok(jobs)
}

fn label(name: &str, case: &Case) -> String {
    std::iter::once(name).chain(case.arguments.iter().copied()).collect::<Vec<_>>().join(" ")
}

fn arguments(workspace: &Workspace, program: &Program, case: &Case) -> Result<Vec<String>> {
    let mut arguments: Vec<String> = case.arguments.iter().map(|argument| (*argument).to_owned()).collect();
    if let Role::Kernel(_) = program.role {
        arguments.push((guests::default_rounds(workspace, program)? / TEST_SHARE).max(1).to_string());
    }
    Ok(arguments)
}

fn compare(job: &Job, runners: &Runners, scratch: &Path) -> Tally {
    let mut tally = Tally::default();
    let native = invocation(job, &[job.native.clone().into()], scratch, 60);
    let expected = match reference(job, &native) {
        Ok(expected) => expected,
        Err(line) => {
            tally.count(Err(line));
            return tally;
        }
    };
    tally.count(Ok(()));
    let guest: Vec<OsString> = match job.build {
        Build::Static | Build::Bare | Build::BarePie => vec![OsString::from(&job.guest)],
        Build::Dynamic => vec!["-L".into(), OsString::from(&runners.sysroot), OsString::from(&job.guest)],
    };
    if let (Some(qemu), None) = (&runners.qemu, job.not_qemu) {
        let words = [vec![qemu.path.clone().into()], guest.clone()].concat();
        let opinion = || agree(job, "qemu-user", &invocation(job, &words, scratch, 120), &expected);
        // It has races of its own, which are not what is tested.
        tally.count(opinion().or_else(|_| opinion()));
    }
    if let Some(tradux) = &runners.tradux {
        for tier in tiers(job.build) {
            let words = ["run", "--tier", tier].map(OsString::from).to_vec();
            let words = [vec![tradux.clone().into()], words, guest.clone()].concat();
            tally.count(agree(job, &format!("tier {tier}"), &invocation(job, &words, scratch, 300), &expected));
        }
    }
    tally
}

/// What the program does natively. A program that hangs there, or whose checks fail, is none to compare with.
pub(crate) fn reference(job: &Job, native: &Invocation) -> Result<Outcome, String> {
    let expected = native.run().map_err(|error| format!("{}: no native run: {error:#}", job.label))?;
    if expected.ending == Ending::TimeLimit {
        return Err(format!("{}: the native run hits its time limit", job.label));
    }
    let text = String::from_utf8_lossy(&expected.stdout);
    if text.contains(" checks, ") && !text.contains(", 0 failed") {
        return Err(format!("{}: checks fail in the native run", job.label));
    }
    Ok(expected)
}

pub(crate) fn invocation(job: &Job, words: &[OsString], scratch: &Path, seconds: u64) -> Invocation {
    let mut invocation =
        Invocation::new(scratch, words.iter().cloned().chain(job.arguments.iter().map(OsString::from)));
    invocation.environment.push(("GUEST_COLOUR".into(), "green, or \"blue\"".into()));
    invocation.environment.push(("GUEST_EMPTY".into(), "".into()));
    invocation.limit = Duration::from_secs(seconds);
    invocation
}

/// Whether one run equals the native one, as [`same`] has it.
fn agree(job: &Job, who: &str, invocation: &Invocation, expected: &Outcome) -> Result<(), String> {
    let actual = invocation.run().map_err(|error| format!("{} on {who}: {error:#}", job.label))?;
    same(job, who, invocation, expected, &actual)
}

/// Whether a run came to what the native one did; the line says where it did not and how to repeat it.
pub(crate) fn same(
    job: &Job,
    who: &str,
    invocation: &Invocation,
    expected: &Outcome,
    actual: &Outcome,
) -> Result<(), String> {
    let mut wrong = Vec::new();
    if actual.ending != expected.ending {
        wrong.push(format!("{} instead of {}", actual.ending, expected.ending));
    }
    if let Some(difference) = first_difference(&expected.stdout, &actual.stdout) {
        wrong.push(difference);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&actual.stderr);
    if let Some(last) = errors.lines().rev().find(|line| !line.trim().is_empty()) {
        wrong.push(format!("stderr ends with `{last}`"));
    }
    Err(format!("{} on {who}: {} ({})", job.label, wrong.join("; "), invocation.shown()))
}

/// The first line that differs, or `None` for equal outputs.
pub(crate) fn first_difference(expected: &[u8], actual: &[u8]) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (expected, actual) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(actual));
    let mut lines = (expected.lines(), actual.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (lines.0.next(), lines.1.next()) {
            (Some(left), Some(right)) if left == right => {}
            (None, None) => return Some("output differs in line ends or unprintable bytes".into()),
            (left, right) => {
                let shown = |line: Option<&str>| line.map_or("no line".into(), |line| format!("`{line}`"));
                return Some(format!("line {number} is {} instead of {}", shown(right), shown(left)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_first_line() {
        assert_eq!(first_difference(b"a\nb\n", b"a\nb\n"), None);
        assert_eq!(first_difference(b"a\nb\n", b"a\nc\n").as_deref(), Some("line 2 is `c` instead of `b`"));
        assert_eq!(first_difference(b"a\n", b"").as_deref(), Some("line 1 is no line instead of `a`"));
        assert!(first_difference(b"a\n", b"a").is_some());
    }
}
