//! The tables of `cargo xtask bench`, as Markdown.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{KernelResult, Options, RUNNERS, Runner, StartResult, machine};
use crate::programs::Group;
use crate::statistics::{geometric_mean, median};
use crate::tools::Qemu;
use crate::workspace::Workspace;

/// The page's own text stands around these lines.
const BEGIN: &str = "<!-- begin of the table that cargo xtask bench --write prints -->";
const END: &str = "<!-- end of the table -->";

/// Everything that one run of the benchmark measured.
pub(super) fn print(
    workspace: &Workspace,
    options: &Options,
    qemu: &Qemu,
    results: &[KernelResult],
    start: &StartResult,
) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        text,
        "Command: `{}`. Commit: {}. Machine: {}. Reference: {}. Medians of {} interleaved rounds.\n\n",
        command(options),
        commit(workspace),
        machine(),
        qemu.version,
        options.rounds.max(1)
    );
    text.push_str(
        "Steady state. *x native*: CPU time for the same work, native being 1. *qemu / tradux*: how many times more CPU time qemu-user takes. \
         *whole run*: CPU time of a run of n rounds with start-up and compilation, against its steady state.\n\n\
         | kernel | group | native ns/round | qemu rv64 x native | qemu x native | tradux x native | qemu rv64 / tradux | qemu / tradux | whole run | \
         compiled: whole, steady | interpreter ns/insn | compiled ns/insn | MiB native, qemu, tradux | same output |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for result in results {
        let native = median(&result.steady[Runner::Native.index()]).map(|seconds| seconds * 1e9);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            result.name,
            result.group.name(),
            number(native, 0),
            number(result.ratio(Runner::QemuRv64, Runner::Native), 2),
            number(result.ratio(Runner::Qemu, Runner::Native), 2),
            number(result.ratio(Runner::Tradux, Runner::Native), 2),
            number(result.ratio(Runner::QemuRv64, Runner::Tradux), 2),
            number(result.ratio(Runner::Qemu, Runner::Tradux), 2),
            number(median(&result.whole), 2),
            shares(result),
            number(Some(result.interpreter), 2),
            number(result.tradux_ns(), 2),
            [Runner::Native, Runner::QemuRv64, Runner::Tradux]
                .map(|runner| mebibytes(result.peak[runner.index()]))
                .join(", "),
            if result.same { "yes" } else { "NO" }
        );
    }
    text.push_str("\nGeometric means.\n\n| group | kernels | qemu rv64 x native | tradux x native | qemu rv64 / tradux | qemu / tradux | interpreter / compiled |\n|---|---|---|---|---|---|---|\n");
    let groups = Group::ALL.iter().map(|group| (group.name(), Some(*group))).chain([("all", None)]);
    for (name, group) in groups {
        let members: Vec<&KernelResult> =
            results.iter().filter(|result| group.is_none_or(|group| result.group == group)).collect();
        if members.is_empty() {
            continue;
        }
        let mean = |value: &dyn Fn(&KernelResult) -> Option<f64>| {
            let values: Option<Vec<f64>> = members.iter().map(|member| value(member)).collect();
            values.and_then(|values| geometric_mean(&values))
        };
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            members.len(),
            number(mean(&|r| r.ratio(Runner::QemuRv64, Runner::Native)), 2),
            number(mean(&|r| r.ratio(Runner::Tradux, Runner::Native)), 2),
            number(mean(&|r| r.ratio(Runner::QemuRv64, Runner::Tradux)), 2),
            number(mean(&|r| r.ratio(Runner::Qemu, Runner::Tradux)), 2),
            number(mean(&|r| Some(r.interpreter / r.tradux_ns()?)), 1),
        );
    }
    text.push_str(
        "\nStart-up: `hello`, statically linked with glibc.\n\n| runner | CPU ms | peak MiB |\n|---|---|---|\n",
    );
    for runner in RUNNERS {
        let name = match runner {
            Runner::Native => "native",
            Runner::QemuRv64 => "qemu-riscv64 -cpu rv64",
            Runner::Qemu => "qemu-riscv64",
            Runner::Tradux => "tradux",
        };
        let cpu = median(&start.cpu[runner.index()]).map(|seconds| seconds * 1e3);
        let _ = writeln!(text, "| {name} | {} | {} |", number(cpu, 2), mebibytes(start.peak[runner.index()]));
    }
    text
}

/// Puts the table between the marks in `docs/performance.md`.
pub(super) fn write(workspace: &Workspace, table: &str) -> Result<()> {
    let path = workspace.root.join("docs/performance.md");
    let page = fs::read_to_string(&path).with_context(|| format!("{} is missing", workspace.shown(&path)))?;
    let (before, rest) = page.split_once(BEGIN).context("docs/performance.md has no mark where the table begins")?;
    let (_, after) = rest.split_once(END).context("docs/performance.md has no mark where the table ends")?;
    fs::write(&path, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?;
    println!("wrote {}", workspace.shown(&path));
    Ok(())
}

fn command(options: &Options) -> String {
    let mut command = format!("cargo xtask bench --rounds {}", options.rounds.max(1));
    if !options.only.is_empty() {
        command += &format!(" --only {}", options.only);
    }
    if options.quick {
        command += " --quick";
    }
    command
}

fn commit(workspace: &Workspace) -> String {
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

/// Shares of compiled instructions, whole and steady. The interpreter may run fewer instructions in a longer run, since
/// compiling in the background is a matter of time; such a difference counts as none.
fn shares(result: &KernelResult) -> String {
    format!("{:.1} %, {:.1} %", result.compiled * 100.0, result.compiled_steady.min(1.0) * 100.0)
}

/// KiB as MiB.
pub(crate) fn mebibytes(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}
