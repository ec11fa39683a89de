//! `cargo xtask bench`: kernels, start-up and programs of a distribution, natively, on qemu-user and on tradux, in
//! interleaved rounds.
//!
//! *Steady state* is CPU(2n) - CPU(n) for work of n rounds, so that start-up and translation cancel out. Emulators that
//! are many times slower run fewer rounds of the same kernel; every time is taken per round of the kernel.

mod kernels;
mod measured;
mod programs;
mod slab;
pub(crate) mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::tools;
use crate::workspace::Workspace;
use measured::Measured;

/// Options of `cargo xtask bench`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// Interleaved rounds of every measurement; medians are over these
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// What is measured; everything by default
    #[arg(long, value_enum, value_delimiter = ',')]
    set: Vec<Set>,
    /// Only rows whose name contains one of these texts
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A quarter of the work, for a first look
    #[arg(long)]
    quick: bool,
    /// Write the table into docs/performance.md
    #[arg(long)]
    write: bool,
    /// Use this tradux in place of a release build of the workspace
    #[arg(long)]
    tradux: Option<PathBuf>,
}

/// What else there is to measure.
#[derive(Subcommand)]
enum Other {
    /// Measure allocation patterns on the slab allocator and on others
    Slab(slab::Options),
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// The kernels of guests/src on every runner
    Kernels,
    /// The same kernels on tradux with a handler of SIGSEGV installed, against without
    Guarded,
    /// Programs that do next to nothing
    Start,
    /// Programs of a distribution at work
    Programs,
}

impl Options {
    fn wants(&self, set: Set) -> bool {
        self.set.is_empty() || self.set.contains(&set)
    }

    fn names(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text.as_str()))
    }

    fn divisor(&self) -> u64 {
        if self.quick { 4 } else { 1 }
    }
}

/// Who runs what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runner {
    Native,
    /// With the plain 64-bit CPU, whose memory model is the architecture's own.
    QemuRv64,
    /// With its default CPU.
    Qemu,
    Tradux,
    /// The same, for programs that install a handler of SIGSEGV.
    Guarded,
}

impl Runner {
    /// Every runner, in the order of their indices.
    const ALL: [Runner; 5] = [Runner::Native, Runner::QemuRv64, Runner::Qemu, Runner::Tradux, Runner::Guarded];

    fn index(self) -> usize {
        match self {
            Runner::Native => 0,
            Runner::QemuRv64 => 1,
            Runner::Qemu => 2,
            Runner::Tradux => 3,
            Runner::Guarded => 4,
        }
    }

    /// `runners` in the order of one measuring round: it turns from round to round.
    fn turned(runners: &[Runner], turn: u32) -> impl Iterator<Item = Runner> {
        (0..runners.len()).map(move |step| runners[(step + turn as usize) % runners.len()])
    }
}

/// Everything that one run of the benchmark measured.
#[derive(Default)]
struct Results {
    kernels: Vec<Measured>,
    guarded: Vec<Measured>,
    start: Vec<Measured>,
    programs: Vec<Measured>,
}

/// Measures and prints the tables.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    if let Some(Other::Slab(options)) = &options.other {
        return slab::run(workspace, options);
    }
    let tradux = match &options.tradux {
        Some(path) => fs::canonicalize(path).with_context(|| format!("{} is missing", path.display()))?,
        None => workspace.build_tradux(true)?,
    };
    let qemu = tools::qemu(workspace)?;
    let version = qemu.version.clone();
    let mut kernels = kernels::Bench::new(workspace, options, tradux.clone(), qemu)?;
    let mut programs = programs::Bench::new(workspace, options, &tradux)?;
    if kernels.is_empty() && programs.is_empty() {
        bail!("nothing that is chosen has a name like that");
    }
    let rounds = options.rounds.max(1);
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        kernels.measure(round)?;
        programs.measure(round)?;
    }
    let mut results = Results::default();
    kernels.finish(options, &mut results);
    programs.finish(&mut results);
    let text = table::print(workspace, options, &version, &results);
    print!("{text}");
    if options.write {
        table::write(workspace, table::MARKS, &text)?;
    }
    let Results { kernels, guarded, start, programs } = &results;
    Ok([kernels, guarded, start, programs].into_iter().flatten().all(|row| row.same))
}

/// The processor's model, the number of processors, memory and architecture.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim())
        .to_owned();
    let memory = read("/proc/meminfo");
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {processors} processors, {} GiB, {}", kib >> 20, std::env::consts::ARCH)
}
