//! `cargo xtask bench slab`: allocation patterns on the slab allocator and on others, in interleaved rounds.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::table::{line, number};
use crate::statistics::{geometric_mean, median};
use crate::workspace::{Workspace, cargo};

/// Options of `cargo xtask bench slab`.
#[derive(Args)]
pub(crate) struct Options {
    /// Interleaved rounds of every measurement
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Only patterns whose name contains this text: pair, lifo, fifo, random, ring, threads, trace, memory
    #[arg(long, default_value = "")]
    only: String,
    /// Allocations of each measurement
    #[arg(long, default_value_t = 400_000)]
    operations: u32,
    /// Also measure mimalloc, jemalloc and snmalloc, which need a C and a C++ compiler
    #[arg(long)]
    peers: bool,
    /// Write the tables into docs/performance.md
    #[arg(long)]
    write: bool,
}

/// The page's own text stands around these lines.
const MARKS: [&str; 2] = [
    "<!-- begin of the tables that cargo xtask bench slab --write prints -->",
    "<!-- end of the tables of the slab allocator -->",
];

/// Nanoseconds of one allocation with its free, by allocator, then round.
type Row = BTreeMap<String, Vec<f64>>;

/// Everything that one run measured.
#[derive(Default)]
struct Measured {
    /// By pattern and size; 0 is sizes of all kinds.
    rows: BTreeMap<(usize, usize), Row>,
    memory: Vec<Memory>,
}

/// Bytes in memory around objects of one size; 0 is all sizes, as many bytes of each.
struct Memory {
    size: usize,
    allocator: String,
    slabs: f64,
    resident: f64,
    left: f64,
}

/// In the order of the rows.
const PATTERNS: [&str; 7] = ["pair", "lifo", "fifo", "random", "ring", "threads", "trace"];

/// Allocators in the order of the columns; the first is what the others are compared with.
const COLUMNS: [&str; 7] = ["glibc", "slab", "slab-fine", "pool", "mimalloc", "jemalloc", "snmalloc"];

/// This project's own.
const OURS: [&str; 3] = ["slab", "slab-fine", "pool"];

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
    if measured.rows.is_empty() && measured.memory.is_empty() {
        bail!("no pattern's name contains `{}`", options.only);
    }
    let text = format!(
        "Command: `{}`. Commit: {}. Machine: {}. Medians of {} interleaved rounds.\n\n{}",
        options.command(),
        super::table::commit(workspace),
        super::machine(),
        options.rounds.max(1),
        tables(&measured)
    );
    print!("{text}");
    if options.write {
        super::table::write(workspace, MARKS, &text)?;
    }
    Ok(true)
}

impl Options {
    fn command(&self) -> String {
        let mut command =
            format!("cargo xtask bench slab --rounds {} --operations {}", self.rounds.max(1), self.operations);
        if !self.only.is_empty() {
            command += &format!(" --only {}", self.only);
        }
        command + if self.peers { " --peers" } else { "" }
    }
}

/// Lines of: round, pattern, size, allocator, nanoseconds; or `memory`, size, allocator, three numbers of bytes.
fn parse(text: &str) -> Result<Measured> {
    let mut measured = Measured::default();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["memory", size, allocator, slabs, resident, left] => measured.memory.push(Memory {
                size: size.parse()?,
                allocator: allocator.to_owned(),
                slabs: slabs.parse()?,
                resident: resident.parse()?,
                left: left.parse()?,
            }),
            [_, pattern, size, allocator, nanoseconds] => {
                let pattern =
                    PATTERNS.iter().position(|&known| known == pattern).context("a pattern that is not known")?;
                let row = measured.rows.entry((pattern, size.parse()?)).or_default();
                row.entry(allocator.to_owned()).or_default().push(nanoseconds.parse()?);
            }
            _ => bail!("the measuring program printed `{line}`"),
        }
    }
    Ok(measured)
}

/// How many times longer one takes than another: the median of the ratios within rounds.
fn ratio(row: &Row, slow: &str, fast: &str) -> Option<f64> {
    let ratios: Vec<f64> = row.get(slow)?.iter().zip(row.get(fast)?).map(|(slow, fast)| slow / fast).collect();
    median(&ratios)
}

fn tables(measured: &Measured) -> String {
    let mut parts = Vec::new();
    if !measured.rows.is_empty() {
        let there = |name: &&str| measured.rows.values().any(|row| row.contains_key(*name));
        let columns: Vec<&str> = COLUMNS.into_iter().filter(there).collect();
        let others: Vec<&str> = columns.iter().copied().filter(|name| !OURS.contains(name)).collect();
        parts.push(times(measured, &columns, &others));
        parts.push(means(measured, &others));
        parts.push(wanted(measured, &others));
    }
    if !measured.memory.is_empty() {
        parts.push(memory(&measured.memory));
    }
    parts.join("\n")
}

/// Every row.
fn times(measured: &Measured, columns: &[&str], others: &[&str]) -> String {
    let mut text = String::from(
        "CPU nanoseconds for an allocation with its free, and how many times longer others take than `slab`.\n\n",
    );
    let heads =
        ["pattern".to_owned(), "bytes".to_owned()].into_iter().chain(columns.iter().map(|&name| name.to_owned()));
    text += &head(heads.chain(ratio_heads(others)));
    for (&(pattern, size), row) in &measured.rows {
        let cells = [PATTERNS[pattern].to_owned(), size_name(size)].into_iter();
        let cells = cells.chain(columns.iter().map(|name| number(row.get(*name).and_then(|values| median(values)), 1)));
        let ratios = others.iter().map(|name| ratio(row, name, "slab"));
        let ratios = ratios.chain(["slab-fine", "pool"].map(|name| ratio(row, "glibc", name)));
        text += &line(cells.chain(ratios.map(|ratio| number(ratio, 2))));
    }
    text
}

/// Geometric means of ratios over groups of rows.
fn means(measured: &Measured, others: &[&str]) -> String {
    let mut text = String::from("Geometric means.\n\n");
    text += &head(["rows".to_owned()].into_iter().chain(ratio_heads(others)));
    let mut groups: Vec<(&str, Vec<usize>)> = vec![("all", (0..PATTERNS.len()).collect())];
    groups.extend(PATTERNS.iter().enumerate().map(|(number, &name)| (name, vec![number])));
    for (name, patterns) in groups {
        let ratios = |slow, fast| measured.ratios(&patterns, usize::MAX, slow, fast);
        if ratios("glibc", "slab").is_empty() {
            continue;
        }
        let means = others.iter().map(|other| ratios(other, "slab"));
        let means = means.chain(["slab-fine", "pool"].map(|name| ratios("glibc", name)));
        text += &line([name.to_owned()].into_iter().chain(means.map(|ratios| number(geometric_mean(&ratios), 2))));
    }
    text
}

/// What is wanted of the allocator beside what was measured. `least` is the smallest ratio of a row.
fn wanted(measured: &Measured, others: &[&str]) -> String {
    let patterns =
        |names: &[&str]| (0..PATTERNS.len()).filter(|&number| names.contains(&PATTERNS[number])).collect::<Vec<_>>();
    let all = patterns(&PATTERNS);
    let batches = patterns(&["lifo", "fifo", "random"]);
    let (pair, threads) = (patterns(&["pair"]), patterns(&["threads"]));
    let mut rows = vec![
        (
            "glibc / slab, lifo, fifo and random to 1024 bytes: mean",
            2.0,
            measured.mean(&batches, 1024, "glibc", "slab"),
        ),
        ("the same: least", 1.1, measured.least(&batches, 1024, "glibc", "slab")),
        ("glibc / slab, pair: least", 1.1, measured.least(&pair, usize::MAX, "glibc", "slab")),
        ("glibc / slab, threads: mean", 5.0, measured.mean(&threads, usize::MAX, "glibc", "slab")),
        ("glibc / slab, all rows to 2048 bytes: least", 1.0, measured.least(&all, 2048, "glibc", "slab")),
        ("glibc / pool, all rows: mean", 2.5, measured.mean(&all, usize::MAX, "glibc", "pool")),
    ];
    let names: Vec<(String, &str)> = others
        .iter()
        .filter(|name| **name != "glibc")
        .map(|&name| (format!("{name} / slab, all rows: mean"), name))
        .collect();
    rows.extend(names.iter().map(|(text, name)| (text.as_str(), 1.1, measured.mean(&all, usize::MAX, name, "slab"))));
    let mut text =
        String::from("What is wanted.\n\n") + &head(["ratio", "at least", "measured"].map(str::to_owned).into_iter());
    for (what, least, found) in rows.into_iter().filter(|row| row.2.is_some()) {
        text += &line([what.to_owned(), number(Some(least), 1), number(found, 2)].into_iter());
    }
    text
}

impl Measured {
    /// The ratios of the rows of these patterns and of sizes up to `largest`.
    fn ratios(&self, patterns: &[usize], largest: usize, slow: &str, fast: &str) -> Vec<f64> {
        let rows = self.rows.iter().filter(|((pattern, size), _)| patterns.contains(pattern) && *size <= largest);
        rows.filter_map(|(_, row)| ratio(row, slow, fast)).collect()
    }

    fn mean(&self, patterns: &[usize], largest: usize, slow: &str, fast: &str) -> Option<f64> {
        geometric_mean(&self.ratios(patterns, largest, slow, fast))
    }

    fn least(&self, patterns: &[usize], largest: usize, slow: &str, fast: &str) -> Option<f64> {
        self.ratios(patterns, largest, slow, fast).into_iter().min_by(f64::total_cmp)
    }
}

/// What is in memory while objects are live, and after they were freed.
fn memory(rows: &[Memory]) -> String {
    let mut text = String::from(
        "Memory: slabs with live objects, what is resident beside them for metadata, magazines and depots, and what is resident \
         after everything was freed and trimmed, more than before.\n\n",
    );
    text += &head(["bytes", "allocator", "slabs KiB", "beside them", "left KiB"].map(str::to_owned).into_iter());
    for Memory { size, allocator, slabs, resident, left } in rows {
        let beside = format!("{:.2} %", (resident / slabs - 1.0) * 100.0);
        let kib = |bytes: &f64| number(Some(bytes / 1024.0), 0);
        text += &line([size_name(*size), allocator.clone(), kib(slabs), beside, kib(left)].into_iter());
    }
    text
}

fn ratio_heads(others: &[&str]) -> impl Iterator<Item = String> {
    let others = others.iter().map(|name| format!("{name} / slab"));
    others.chain(["glibc / slab-fine", "glibc / pool"].map(str::to_owned))
}

fn size_name(size: usize) -> String {
    if size == 0 { "all".into() } else { size.to_string() }
}

fn head(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    line(cells.iter()) + &line(cells.iter().map(|_| "---"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_medians_within_rounds() {
        let text = "0 pair 8 glibc 10.0\n0 pair 8 slab 5.0\n1 pair 8 glibc 9.0\n1 pair 8 slab 3.0\n2 pair 8 glibc 8.0\n2 pair 8 slab 2.0\n";
        let measured = parse(text).expect("well-formed lines");
        assert_eq!(ratio(&measured.rows[&(0, 8)], "glibc", "slab"), Some(3.0));
        let text = tables(&measured);
        assert!(text.contains("| pair | 8 | 9.0 | 3.0 | 3.00 | - | - |"), "{text}");
        assert!(text.contains("| glibc / slab, pair: least | 1.1 | 3.00 |"), "{text}");
        assert!(!text.contains("threads"), "what was not measured is not wanted: {text}");
        assert!(parse("0 pair 8 glibc").is_err());
    }

    #[test]
    fn memory_beside_slabs_is_a_share_of_them() {
        let measured = parse("memory 0 slab 1048576 1059062 4096\n").expect("a well-formed line");
        let text = tables(&measured);
        assert!(text.contains("| all | slab | 1024 | 1.00 % | 4 |"), "{text}");
    }
}
