//! `cargo xtask bench slab`: allocation patterns on the slab allocator and on others, in interleaved rounds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::table::number;
use crate::statistics::{geometric_mean, median};
use crate::workspace::{Workspace, cargo};

/// Options of `cargo xtask bench slab`.
#[derive(Args)]
pub(crate) struct Options {
    /// Interleaved rounds of every measurement
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Only patterns whose name contains this text: pair, lifo, fifo, random, ring, threads, trace
    #[arg(long, default_value = "")]
    only: String,
    /// Allocations of each measurement
    #[arg(long, default_value_t = 400_000)]
    operations: u32,
    /// Also measure mimalloc, jemalloc and snmalloc, which need a C and a C++ compiler
    #[arg(long)]
    peers: bool,
}

/// Nanoseconds by pattern and size, then allocator, then round.
type Measured = BTreeMap<(usize, usize), BTreeMap<String, Vec<f64>>>;

const PATTERNS: [&str; 7] = ["pair", "lifo", "fifo", "random", "ring", "threads", "trace"];

/// Allocators in the order of the columns; the first is what the others are compared with.
const COLUMNS: [&str; 7] = ["glibc", "slab", "slab-fine", "pool", "mimalloc", "jemalloc", "snmalloc"];

/// Measures and prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "tradux-benches", "--bin", "slab-bench"]);
    if options.peers {
        command.args(["--features", "peers"]);
    }
    command.arg("--").arg(options.rounds.max(1).to_string()).arg(&options.only).arg(options.operations.to_string());
    let output =
        command.current_dir(&workspace.root).stderr(Stdio::inherit()).output().context("cargo could not be started")?;
    if !output.status.success() {
        bail!("the measuring program ended with {}", output.status);
    }
    let measured = parse(&String::from_utf8_lossy(&output.stdout))?;
    if measured.is_empty() {
        bail!("no pattern's name contains `{}`", options.only);
    }
    let peers = if options.peers { " --peers" } else { "" };
    println!(
        "Command: `cargo xtask bench slab --rounds {} --operations {}{peers}`. Commit: {}. Machine: {}.\n",
        options.rounds.max(1),
        options.operations,
        super::table::commit(workspace),
        super::machine()
    );
    print!("{}", table(&measured));
    Ok(true)
}

/// Lines of: round, pattern, size, allocator, nanoseconds.
fn parse(text: &str) -> Result<Measured> {
    let mut measured = Measured::new();
    for line in text.lines() {
        let [_, pattern, size, allocator, nanoseconds] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("the measuring program printed `{line}`");
        };
        let pattern = PATTERNS.iter().position(|&known| known == pattern).context("a pattern that is not known")?;
        let row = measured.entry((pattern, size.parse()?)).or_default();
        row.entry(allocator.to_owned()).or_default().push(nanoseconds.parse()?);
    }
    Ok(measured)
}

/// How many times longer one takes than another: the median of the ratios within rounds.
fn ratio(row: &BTreeMap<String, Vec<f64>>, slow: &str, fast: &str) -> Option<f64> {
    let ratios: Vec<f64> = row.get(slow)?.iter().zip(row.get(fast)?).map(|(slow, fast)| slow / fast).collect();
    median(&ratios)
}

fn table(measured: &Measured) -> String {
    let there = |name: &&str| measured.values().any(|row| row.contains_key(*name));
    let columns: Vec<&str> = COLUMNS.into_iter().filter(there).collect();
    let ours = ["slab", "slab-fine", "pool"];
    let others: Vec<&str> = columns.iter().copied().filter(|name| !ours.contains(name)).collect();
    let mut text = String::from(
        "CPU nanoseconds for an allocation with its free, and how many times longer others take than `slab`.\n\n",
    );
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "| pattern | bytes | {} | {} | glibc / slab-fine | glibc / pool |",
        columns.join(" | "),
        others.iter().map(|name| format!("{name} / slab")).collect::<Vec<_>>().join(" | ")
    );
    let _ = writeln!(text, "|{}", "---|".repeat(columns.len() + others.len() + 4));
    for (&(pattern, size), row) in measured {
        let size = if size == 0 { "all".into() } else { size.to_string() };
        let _ = write!(text, "| {} | {size} |", PATTERNS[pattern]);
        for name in &columns {
            let _ = write!(text, " {} |", number(row.get(*name).and_then(|values| median(values)), 1));
        }
        for name in &others {
            let _ = write!(text, " {} |", number(ratio(row, name, "slab"), 2));
        }
        for name in ["slab-fine", "pool"] {
            let _ = write!(text, " {} |", number(ratio(row, "glibc", name), 2));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "\nGeometric means.\n");
    let _ = writeln!(
        text,
        "| rows | {} | glibc / slab-fine | glibc / pool |",
        others.iter().map(|name| format!("{name} / slab")).collect::<Vec<_>>().join(" | ")
    );
    let _ = writeln!(text, "|{}", "---|".repeat(others.len() + 3));
    let mut groups: Vec<(String, Vec<usize>, usize)> = vec![
        ("lifo, fifo, random up to 1024 bytes".into(), vec![1, 2, 3], 1024),
        ("all".into(), (0..PATTERNS.len()).collect(), usize::MAX),
    ];
    groups.extend(PATTERNS.iter().enumerate().map(|(number, name)| ((*name).to_owned(), vec![number], usize::MAX)));
    for (name, patterns, largest) in groups {
        let rows: Vec<_> = measured
            .iter()
            .filter(|((pattern, size), _)| patterns.contains(pattern) && *size <= largest)
            .map(|(_, row)| row)
            .collect();
        if rows.is_empty() {
            continue;
        }
        let mean = |slow: &str, fast: &str| {
            geometric_mean(&rows.iter().filter_map(|row| ratio(row, slow, fast)).collect::<Vec<_>>())
        };
        let _ = write!(text, "| {name} |");
        for other in &others {
            let _ = write!(text, " {} |", number(mean(other, "slab"), 2));
        }
        let _ = writeln!(text, " {} | {} |", number(mean("glibc", "slab-fine"), 2), number(mean("glibc", "pool"), 2));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_medians_within_rounds() {
        let text = "0 pair 8 glibc 10.0\n0 pair 8 slab 5.0\n1 pair 8 glibc 9.0\n1 pair 8 slab 3.0\n2 pair 8 glibc 8.0\n2 pair 8 slab 2.0\n";
        let measured = parse(text).expect("well-formed lines");
        assert_eq!(ratio(&measured[&(0, 8)], "glibc", "slab"), Some(3.0));
        assert!(table(&measured).contains("| pair | 8 | 9.0 | 3.0 | 3.00 | - | - |"), "{}", table(&measured));
        assert!(parse("0 pair 8 glibc").is_err());
    }
}
