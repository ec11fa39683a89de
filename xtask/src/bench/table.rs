//! The tables of `cargo xtask bench`, as Markdown.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum as _;

use super::measured::Measured;
use super::{Options, Results, Runner, machine};
use crate::statistics::{geometric_mean, median};
use crate::workspace::Workspace;

/// The page's own text stands around these lines.
pub(super) const MARKS: [&str; 2] =
    ["<!-- begin of the table that cargo xtask bench --write prints -->", "<!-- end of the table -->"];

/// A column: its head, and what stands in it for one row.
type Column = (&'static str, fn(&Measured) -> String);

/// A column of means: its head, and the number of one row that goes into it. A row without it is left out of the mean.
type Mean = (&'static str, fn(&Measured) -> Option<f64>);

const KERNELS: &[Column] = &[
    ("kernel", |row| row.name.clone()),
    ("group", |row| row.group.to_owned()),
    ("native ns/round", |row| number(scaled(median(&row.steady[Runner::Native.index()]), 1e9), 0)),
    ("steady x native: qemu, qemu rv64, tradux", |row| ratios(row, Measured::steady_ratio)),
    ("whole x native: qemu, qemu rv64, tradux", |row| ratios(row, Measured::whole_ratio)),
    ("qemu / tradux, steady", |row| number(row.steady_ratio(Runner::Qemu, Runner::Tradux), 2)),
    ("qemu rv64 / tradux, steady", |row| number(row.steady_ratio(Runner::QemuRv64, Runner::Tradux), 2)),
    ("qemu rv64 / tradux, whole", |row| number(row.whole_ratio(Runner::QemuRv64, Runner::Tradux), 2)),
    ("compiling", |row| percent(row.once.compiling_share())),
    ("interpreting", |row| percent(interpreting_share(row))),
    ("compiled instructions: whole, steady", |row| {
        format!("{}, {}", percent(row.once.compiled_share()), percent(row.compiled_steady))
    }),
    ("interpreter ns/insn", |row| number(row.interpreter_ns, 2)),
    ("compiled ns/insn", |row| number(row.tradux_ns(), 2)),
    ("guarded / plain", |row| number(row.steady_ratio(Runner::Guarded, Runner::Tradux), 2)),
    ("MiB native, qemu rv64, tradux", peaks),
    ("same output", same),
];

const KERNEL_MEANS: &[Mean] = &[
    ("qemu rv64 x native", |row| row.steady_ratio(Runner::QemuRv64, Runner::Native)),
    ("tradux x native, steady", |row| row.steady_ratio(Runner::Tradux, Runner::Native)),
    ("tradux x native, whole", |row| row.whole_ratio(Runner::Tradux, Runner::Native)),
    ("qemu / tradux, steady", |row| row.steady_ratio(Runner::Qemu, Runner::Tradux)),
    ("qemu rv64 / tradux, steady", |row| row.steady_ratio(Runner::QemuRv64, Runner::Tradux)),
    ("qemu rv64 / tradux, whole", |row| row.whole_ratio(Runner::QemuRv64, Runner::Tradux)),
    ("interpreter / compiled", |row| Some(row.interpreter_ns? / row.tradux_ns()?)),
    ("guarded / plain", |row| row.steady_ratio(Runner::Guarded, Runner::Tradux)),
    ("memory, tradux / qemu rv64", memory_ratio),
];

const GUARDED: &[Column] = &[
    ("kernel", |row| row.name.clone()),
    ("group", |row| row.group.to_owned()),
    ("guarded / plain, steady", |row| number(row.steady_ratio(Runner::Guarded, Runner::Tradux), 2)),
    ("guarded / plain, whole", |row| number(row.whole_ratio(Runner::Guarded, Runner::Tradux), 2)),
    ("same output", same),
];

const GUARDED_MEANS: &[Mean] = &[
    ("guarded / plain, steady", |row| row.steady_ratio(Runner::Guarded, Runner::Tradux)),
    ("guarded / plain, whole", |row| row.whole_ratio(Runner::Guarded, Runner::Tradux)),
];

const START: &[Column] = &[
    ("program", |row| row.name.clone()),
    ("native ms", |row| number(scaled(median(&row.whole[Runner::Native.index()]), 1e3), 2)),
    ("tradux ms", |row| number(scaled(median(&row.whole[Runner::Tradux.index()]), 1e3), 2)),
    ("x native: qemu, qemu rv64, tradux", |row| ratios(row, Measured::whole_ratio)),
    ("qemu / tradux", |row| number(row.whole_ratio(Runner::Qemu, Runner::Tradux), 2)),
    ("qemu rv64 / tradux", |row| number(row.whole_ratio(Runner::QemuRv64, Runner::Tradux), 2)),
    ("compiling", |row| percent(row.once.compiling_share())),
    ("compiled instructions", |row| percent(row.once.compiled_share())),
    ("MiB native, qemu rv64, tradux", peaks),
    ("same output", same),
];

const START_MEANS: &[Mean] = &[
    ("tradux x native", |row| row.whole_ratio(Runner::Tradux, Runner::Native)),
    ("qemu / tradux", |row| row.whole_ratio(Runner::Qemu, Runner::Tradux)),
    ("qemu rv64 / tradux", |row| row.whole_ratio(Runner::QemuRv64, Runner::Tradux)),
    ("memory, tradux / qemu rv64", memory_ratio),
];

const PROGRAMS: &[Column] = &[
    ("program", |row| row.name.clone()),
    ("native s", |row| number(median(&row.whole[Runner::Native.index()]), 2)),
    ("total x native: qemu, qemu rv64, tradux", |row| ratios(row, Measured::whole_ratio)),
    ("steady x native: qemu, qemu rv64, tradux", |row| ratios(row, Measured::steady_ratio)),
    ("qemu / tradux, total", |row| number(row.whole_ratio(Runner::Qemu, Runner::Tradux), 2)),
    ("qemu rv64 / tradux, total", |row| number(row.whole_ratio(Runner::QemuRv64, Runner::Tradux), 2)),
    ("qemu rv64 / tradux, steady", |row| number(row.steady_ratio(Runner::QemuRv64, Runner::Tradux), 2)),
    ("compiling", |row| percent(row.once.compiling_share())),
    ("compiled instructions", |row| percent(row.once.compiled_share())),
    ("MiB native, qemu rv64, tradux", peaks),
    ("same output", same),
];

const PROGRAM_MEANS: &[Mean] = &[
    ("tradux x native, total", |row| row.whole_ratio(Runner::Tradux, Runner::Native)),
    ("tradux x native, steady", |row| row.steady_ratio(Runner::Tradux, Runner::Native)),
    ("qemu / tradux, total", |row| row.whole_ratio(Runner::Qemu, Runner::Tradux)),
    ("qemu rv64 / tradux, total", |row| row.whole_ratio(Runner::QemuRv64, Runner::Tradux)),
    ("qemu rv64 / tradux, steady", |row| row.steady_ratio(Runner::QemuRv64, Runner::Tradux)),
    ("memory, tradux / qemu rv64", memory_ratio),
];

/// Everything that one run of the benchmark measured.
pub(super) fn print(workspace: &Workspace, options: &Options, qemu: &str, results: &Results) -> String {
    let mut text = format!(
        "Command: `{}`. Commit: {}. Machine: {}. Reference: {qemu}. Medians of {} interleaved rounds.\n",
        command(options),
        commit(workspace),
        machine(),
        options.rounds.max(1)
    );
    let Results { kernels, guarded, start, programs } = results;
    for (title, rows, columns, means) in [
        ("Kernels", kernels, KERNELS, KERNEL_MEANS),
        ("Kernels with a handler of SIGSEGV", guarded, GUARDED, GUARDED_MEANS),
        ("Start-up", start, START, START_MEANS),
        ("Programs", programs, PROGRAMS, PROGRAM_MEANS),
    ] {
        if !rows.is_empty() {
            // Writing to a string cannot fail, here and below.
            let _ = write!(text, "\n### {title}\n\n{}\n{}", table(rows, columns), mean_table(rows, means));
        }
    }
    text
}

fn table(rows: &[Measured], columns: &[Column]) -> String {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut text = line(heads.iter().copied()) + &line(heads.iter().map(|_| "---"));
    for row in rows {
        text += &line(columns.iter().map(|(_, value)| value(row)));
    }
    text
}

/// Geometric means over each group, and over all rows.
fn mean_table(rows: &[Measured], means: &[Mean]) -> String {
    let heads = ["geometric means", "rows"].into_iter().chain(means.iter().map(|(head, _)| *head));
    let heads: Vec<&str> = heads.collect();
    let mut text = line(heads.iter().copied()) + &line(heads.iter().map(|_| "---"));
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        if !groups.contains(&row.group) {
            groups.push(row.group);
        }
    }
    let single = groups.len() == 1;
    let chosen = groups.into_iter().map(Some).filter(|_| !single).chain([None]);
    for group in chosen {
        let members: Vec<&Measured> = rows.iter().filter(|row| group.is_none_or(|group| row.group == group)).collect();
        let numbers = means.iter().map(|(_, value)| {
            let values: Vec<f64> = members.iter().filter_map(|row| value(row)).collect();
            number(geometric_mean(&values), 2)
        });
        text += &line([group.unwrap_or("all").to_owned(), members.len().to_string()].into_iter().chain(numbers));
    }
    text
}

/// A line of a table.
pub(super) fn line(cells: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let mut text = String::from("|");
    for cell in cells {
        let _ = write!(text, " {cell} |");
    }
    text + "\n"
}

fn ratios(row: &Measured, ratio: fn(&Measured, Runner, Runner) -> Option<f64>) -> String {
    let runners = [Runner::Qemu, Runner::QemuRv64, Runner::Tradux];
    runners.map(|runner| number(ratio(row, runner, Runner::Native), 2)).join(", ")
}

fn peaks(row: &Measured) -> String {
    [Runner::Native, Runner::QemuRv64, Runner::Tradux].map(|runner| mebibytes(row.peak[runner.index()])).join(", ")
}

fn memory_ratio(row: &Measured) -> Option<f64> {
    let [tradux, qemu] = [Runner::Tradux, Runner::QemuRv64].map(|runner| row.peak[runner.index()] as f64);
    (tradux > 0.0 && qemu > 0.0).then_some(tradux / qemu)
}

/// Share of the CPU time of a whole run that interpreting took, from what an interpreted instruction takes.
fn interpreting_share(row: &Measured) -> Option<f64> {
    (row.once.cpu > 0.0).then_some(row.once.interpreted as f64 * row.interpreter_ns? / 1e9 / row.once.cpu)
}

fn same(row: &Measured) -> String {
    (if row.same { "yes" } else { "NO" }).to_owned()
}

fn scaled(value: Option<f64>, factor: f64) -> Option<f64> {
    value.map(|value| value * factor)
}

fn percent(share: Option<f64>) -> String {
    share.filter(|share| share.is_finite()).map_or_else(|| "-".into(), |share| format!("{:.1} %", share * 100.0))
}

/// Puts the table between two marks in `docs/performance.md`.
pub(super) fn write(workspace: &Workspace, [begin, end]: [&str; 2], table: &str) -> Result<()> {
    let path = workspace.root.join("docs/performance.md");
    let page = fs::read_to_string(&path).with_context(|| format!("{} is missing", workspace.shown(&path)))?;
    let (before, rest) = page.split_once(begin).context("docs/performance.md has no mark where the table begins")?;
    let (_, after) = rest.split_once(end).context("docs/performance.md has no mark where the table ends")?;
    fs::write(&path, format!("{before}{begin}\n\n{table}\n{end}{after}"))?;
    println!("wrote {}", workspace.shown(&path));
    Ok(())
}

fn command(options: &Options) -> String {
    let mut command = format!("cargo xtask bench --rounds {}", options.rounds.max(1));
    if !options.set.is_empty() {
        let names = options.set.iter().filter_map(|set| Some(set.to_possible_value()?.get_name().to_owned()));
        command += &format!(" --set {}", names.collect::<Vec<_>>().join(","));
    }
    if !options.only.is_empty() {
        command += &format!(" --only {}", options.only.join(","));
    }
    if options.quick {
        command += " --quick";
    }
    command
}

pub(super) fn commit(workspace: &Workspace) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(&workspace.root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with local changes"),
    }
}

/// A number with so many digits after the point, or a dash.
pub(crate) fn number(value: Option<f64>, digits: usize) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}

/// KiB as MiB.
pub(crate) fn mebibytes(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_means_and_what_was_not_measured() {
        let mut fast = Measured::new("fast", "one");
        let mut slow = Measured::new("slow", "two");
        for (row, seconds) in [(&mut fast, 2.0), (&mut slow, 8.0)] {
            row.whole[Runner::Native.index()] = vec![1.0, 1.0, 5.0];
            row.whole[Runner::Tradux.index()] = vec![seconds, seconds, 5.0 * seconds];
        }
        slow.same = false;
        let rows = [fast, slow];
        let text = table(&rows, PROGRAMS);
        assert!(text.lines().all(|line| line.matches('|').count() == PROGRAMS.len() + 1), "{text}");
        assert!(text.contains("| fast | 1.00 | -, -, 2.00 | -, -, - |"), "{text}");
        assert!(text.lines().last().is_some_and(|line| line.ends_with("| NO |")), "{text}");
        let means = mean_table(&rows, PROGRAM_MEANS);
        assert!(means.contains("| two | 1 | 8.00 | - |"), "{means}");
        assert!(means.lines().last().is_some_and(|line| line.starts_with("| all | 2 | 4.00 | - |")), "{means}");
    }
}
