//! The steps of `cargo xtask test` that are runs of cargo.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result};

use crate::report::Tally;
use crate::tools::answers_all;
use crate::workspace::{ALL_HOSTS, Workspace, cargo};

/// `cargo fmt --check`.
pub(crate) fn format(workspace: &Workspace) -> Tally {
    single(workspace, "cargo fmt --all --check", cargo().args(["fmt", "--all", "--check"]))
}

/// Clippy over everything, warnings being errors.
pub(crate) fn lints(workspace: &Workspace) -> Tally {
    let arguments = ["clippy", "--quiet", "--workspace", ALL_HOSTS, "--all-targets", "--", "-D", "warnings"];
    single(workspace, &format!("cargo clippy --workspace {ALL_HOSTS} --all-targets"), cargo().args(arguments))
}

/// Documentation of the workspace, warnings being errors.
pub(crate) fn documentation(workspace: &Workspace) -> Tally {
    let mut command = cargo();
    command.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    single(workspace, "cargo doc --workspace --no-deps", &mut command)
}

/// Each published crate alone: without features, then with each feature by itself.
pub(crate) fn features(workspace: &Workspace) -> Tally {
    let mut tally = Tally::default();
    for package in workspace.packages.iter().filter(|package| package.published) {
        let sets = std::iter::once(None).chain(package.features.iter().map(Some));
        for feature in sets {
            let mut command = cargo();
            command.args(["check", "--quiet", "--package", &package.name, "--no-default-features"]);
            if let Some(feature) = feature {
                command.args(["--features", feature]);
            }
            let label = format!("{} with {}", package.name, feature.map_or("no feature", |feature| feature.as_str()));
            println!("{label}");
            tally.merge(single(workspace, &label, command.env("RUSTFLAGS", "-D warnings")));
        }
    }
    tally
}

/// Unit, table, property and golden tests of every crate, with cargo-nextest where it is installed, and doc tests.
pub(crate) fn tests(workspace: &Workspace) -> Tally {
    let mut tally = Tally::default();
    let nextest = answers_all("cargo", &["nextest", "--version"]);
    let mut command = cargo();
    match nextest {
        true => command.args(["nextest", "run", "--workspace", ALL_HOSTS, "--no-fail-fast", "--no-tests=pass"]),
        false => command.args([
            "test",
            "--workspace",
            ALL_HOSTS,
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ]),
    };
    tally.merge(counted(workspace, &format!("cargo test --workspace {ALL_HOSTS}"), &mut command));
    let mut command = cargo();
    command.args(["test", "--workspace", ALL_HOSTS, "--no-fail-fast", "--doc"]);
    tally.merge(counted(workspace, &format!("cargo test --workspace {ALL_HOSTS} --doc"), &mut command));
    tally
}

/// Whether the published crates could be published: metadata, licence files, no path-only dependency.
pub(crate) fn packages(workspace: &Workspace) -> Tally {
    let arguments = ["publish", "--workspace", "--dry-run", "--no-verify", "--allow-dirty", "--quiet"];
    single(workspace, "cargo publish --workspace --dry-run --no-verify", cargo().args(arguments))
}

/// Tools that nobody is required to have: Miri over the crates without system calls, licences and advisories.
pub(crate) fn optional(workspace: &Workspace) -> Tally {
    let mut tally = Tally::default();
    if answers_all("cargo", &["miri", "--version"]) {
        let label = "cargo miri test --package tradux-core";
        tally.merge(counted(workspace, label, cargo().args(["miri", "test", "--package", "tradux-core"])));
    } else {
        tally.skip("Miri", "cargo miri is not installed (rustup component add miri, on a nightly toolchain)", true);
    }
    if answers_all("cargo", &["deny", "--version"]) {
        tally.merge(single(
            workspace,
            "cargo deny check",
            cargo().args(["deny", "check", "licenses", "bans", "sources"]),
        ));
    } else {
        tally.skip("licence check", "cargo-deny is not installed (cargo install cargo-deny)", true);
    }
    tally
}

/// Runs a command that passes or fails as a whole, with its output shown.
fn single(workspace: &Workspace, label: &str, command: &mut Command) -> Tally {
    let mut tally = Tally::default();
    let outcome = match command.current_dir(&workspace.root).stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{label}: {status}")),
        Err(error) => Err(format!("{label}: {error}")),
    };
    tally.count(outcome);
    tally
}

/// Runs a test command, shows its output and counts the tests it reports.
fn counted(workspace: &Workspace, label: &str, command: &mut Command) -> Tally {
    let mut tally = Tally::default();
    let (success, text) = match shown(command.current_dir(&workspace.root)) {
        Ok(result) => result,
        Err(error) => {
            tally.count(Err(format!("{label}: {error:#}")));
            return tally;
        }
    };
    let counts = text.lines().filter_map(counts_of_line).fold(Counts::default(), Counts::plus);
    tally.passed += counts.passed;
    for line in text.lines().filter_map(failed_test) {
        tally.failures.push(line);
    }
    tally.failures.sort();
    tally.failures.dedup();
    if !success && tally.failures.is_empty() {
        tally.failures.push(format!("{label}: failed without naming a test"));
    }
    for number in 0..counts.ignored {
        tally.skip(format!("ignored test {} of {label}", number + 1), "it is marked #[ignore]", false);
    }
    tally
}

/// Runs a command, repeats its output line by line and returns whether it succeeded and all of that output.
fn shown(command: &mut Command) -> Result<(bool, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;
    let errors = child.stderr.take().context("no standard error")?;
    let output = child.stdout.take().context("no standard output")?;
    let errors = thread::spawn(move || repeat(errors));
    let mut text = repeat(output);
    text.push_str(&errors.join().unwrap_or_default());
    Ok((child.wait()?.success(), text))
}

fn repeat(from: impl Read) -> String {
    let mut text = String::new();
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // A closed standard output must not stop the tests.
        drop(writeln!(std::io::stdout(), "{line}"));
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    ignored: u64,
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts { passed: self.passed + other.passed, ignored: self.ignored + other.ignored }
    }
}

/// What one summary line of the standard test harness or of cargo-nextest counts.
fn counts_of_line(line: &str) -> Option<Counts> {
    if !line.starts_with("test result:") && !line.trim_start().starts_with("Summary [") {
        return None;
    }
    let words: Vec<&str> = line.split([' ', ',', ';', '.', '(']).filter(|word| !word.is_empty()).collect();
    let mut counts = Counts::default();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u64>() else { continue };
        match pair[1] {
            "passed" => counts.passed += number,
            "ignored" | "skipped" => counts.ignored += number,
            _ => {}
        }
    }
    Some(counts)
}

/// The name of a failed test in a line of the standard test harness or of cargo-nextest.
fn failed_test(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(rest) = line.strip_prefix("test ") {
        return rest.strip_suffix(" ... FAILED").map(str::to_owned);
    }
    let ended = ["FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV [", "SIGILL [", "SIGKILL [", "SIGBUS ["];
    let rest = ended.iter().find_map(|word| line.strip_prefix(word))?;
    rest.split_once(']').map(|(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_both_harnesses() {
        let harness =
            "test result: FAILED. 12 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.10s";
        assert_eq!(counts_of_line(harness), Some(Counts { passed: 12, ignored: 3 }));
        let nextest = "     Summary [   0.012s] 14 tests run: 13 passed (1 slow), 1 failed, 2 skipped";
        assert_eq!(counts_of_line(nextest), Some(Counts { passed: 13, ignored: 2 }));
        assert_eq!(counts_of_line("running 3 tests"), None);
    }

    #[test]
    fn failures_of_both_harnesses() {
        assert_eq!(failed_test("test a::b ... FAILED").as_deref(), Some("a::b"));
        assert_eq!(failed_test("test a::b ... ok"), None);
        let nextest = "        FAIL [   0.004s] (1/3) tradux-core state::tests::layout";
        assert_eq!(failed_test(nextest).as_deref(), Some("(1/3) tradux-core state::tests::layout"));
    }
}
