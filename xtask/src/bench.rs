//! `cargo xtask bench`: guest kernels natively, on qemu-user and on tradux, in interleaved rounds.
//!
//! *Steady state* is CPU(2n) - CPU(n) for work of n rounds, so that start-up and translation cancel out. Emulators that
//! are many times slower run fewer rounds of the same kernel; every time is taken per round of the kernel.

pub(crate) mod table;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::child::{Ending, Invocation, Outcome};
use crate::guests;
use crate::programs::{Group, PROGRAMS, Program, Role};
use crate::statistics::median;
use crate::tools::{self, Qemu};
use crate::workspace::Workspace;

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Interleaved rounds of every measurement; medians are over these
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Only kernels whose name contains this text
    #[arg(long, default_value = "")]
    only: String,
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

/// The runners, in the order of the columns.
const RUNNERS: [Runner; 4] = [Runner::Native, Runner::QemuRv64, Runner::Qemu, Runner::Tradux];

/// Runs of `hello` a round: one takes about as long as the clock's noise.
const START_UPS: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runner {
    Native,
    /// With the plain 64-bit CPU, whose memory model is the architecture's own.
    QemuRv64,
    /// With its default CPU.
    Qemu,
    Tradux,
}

impl Runner {
    fn index(self) -> usize {
        match self {
            Runner::Native => 0,
            Runner::QemuRv64 => 1,
            Runner::Qemu => 2,
            Runner::Tradux => 3,
        }
    }

    /// The part of a kernel's default rounds that this runner gets: an emulated round takes several times longer, with
    /// soft floating point several ten times.
    fn share(self, group: Group) -> u64 {
        match (self, group) {
            (Runner::Native | Runner::Tradux, _) => 1,
            (Runner::QemuRv64 | Runner::Qemu, Group::Floating) => 32,
            (Runner::QemuRv64 | Runner::Qemu, _) => 8,
        }
    }
}

/// What one kernel measured.
struct KernelResult {
    name: &'static str,
    group: Group,
    /// Steady seconds a round of the kernel: by runner, by measuring round.
    steady: [Vec<f64>; 4],
    /// Seconds of the whole run of n rounds on tradux divided by what the steady rate gives for n rounds.
    whole: Vec<f64>,
    /// Peak memory in KiB by runner.
    peak: [u64; 4],
    /// Whether every output was what the native program printed for the same work.
    same: bool,
    /// Share of the guest instructions of a run of n rounds, start-up included, that ran compiled.
    compiled: f64,
    /// The same of the difference between runs of 2n and of n rounds.
    compiled_steady: f64,
    /// Interpreter: nanoseconds a guest instruction in steady state.
    interpreter: f64,
    /// Guest instructions a round of the kernel.
    instructions: f64,
}

impl KernelResult {
    /// How many times longer `slow` takes than `fast`: the median of the ratios within each measuring round.
    fn ratio(&self, slow: Runner, fast: Runner) -> Option<f64> {
        let pairs = self.steady[slow.index()].iter().zip(&self.steady[fast.index()]);
        median(&pairs.map(|(slow, fast)| slow / fast).collect::<Vec<_>>())
    }

    /// Steady nanoseconds a guest instruction on tradux.
    fn tradux_ns(&self) -> Option<f64> {
        Some(median(&self.steady[Runner::Tradux.index()])? * 1e9 / self.instructions)
    }
}

/// CPU seconds and peak memory of `hello`, by runner.
struct StartResult {
    cpu: [Vec<f64>; 4],
    peak: [u64; 4],
    same: bool,
}

struct Bench {
    scratch: PathBuf,
    native: PathBuf,
    guest: PathBuf,
    qemu: Qemu,
    tradux: PathBuf,
    work_divisor: u64,
}

/// Measures and prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let (riscv64, native) = (tools::riscv64_compiler()?, tools::native_compiler()?);
    guests::build_all(workspace, &riscv64, PROGRAMS)?;
    guests::build_all(workspace, &native, PROGRAMS)?;
    let tradux = match &options.tradux {
        Some(path) => fs::canonicalize(path).with_context(|| format!("{} is missing", path.display()))?,
        None => workspace.build_tradux(true)?,
    };
    let scratch = workspace.target.join("guests/scratch");
    fs::create_dir_all(&scratch)?;
    let bench = Bench {
        scratch,
        native: workspace.guests(native.architecture),
        guest: workspace.guests(riscv64.architecture),
        qemu: tools::qemu(workspace)?,
        tradux,
        work_divisor: if options.quick { 4 } else { 1 },
    };
    let mut results = Vec::new();
    for program in PROGRAMS {
        if let Role::Kernel(group) = program.role
            && program.name.contains(&options.only)
        {
            results.push(bench.prepare(workspace, program, group)?);
        }
    }
    if results.is_empty() {
        bail!("no kernel's name contains `{}`", options.only);
    }
    let mut start = StartResult { cpu: Default::default(), peak: [0; 4], same: true };
    for round in 0..options.rounds.max(1) {
        for (result, rounds) in &mut results {
            eprintln!("round {} of {}: {}", round + 1, options.rounds.max(1), result.name);
            bench.measure(result, *rounds, round)?;
        }
        bench.measure_start(&mut start, round)?;
    }
    let results: Vec<KernelResult> = results.into_iter().map(|(result, _)| result).collect();
    let text = table::print(workspace, options, &bench.qemu, &results, &start);
    print!("{text}");
    if options.write {
        table::write(workspace, &text)?;
    }
    Ok(results.iter().all(|result| result.same) && start.same)
}

impl Bench {
    fn invocation(&self, runner: Runner, program: &str, arguments: &[String]) -> Invocation {
        let guest = OsString::from(self.guest.join(program));
        let words: Vec<OsString> = match runner {
            Runner::Native => vec![self.native.join(program).into()],
            Runner::QemuRv64 => vec![self.qemu.path.clone().into(), "-cpu".into(), "rv64".into(), guest],
            Runner::Qemu => vec![self.qemu.path.clone().into(), guest],
            Runner::Tradux => vec![self.tradux.clone().into(), "run".into(), guest],
        };
        let mut invocation =
            Invocation::new(&self.scratch, words.into_iter().chain(arguments.iter().map(OsString::from)));
        invocation.limit = Duration::from_secs(600);
        invocation
    }

    fn run(&self, runner: Runner, program: &str, arguments: &[String]) -> Result<Outcome> {
        let invocation = self.invocation(runner, program, arguments);
        let outcome = invocation.run()?;
        if outcome.ending != Ending::Status(0) {
            let errors = String::from_utf8_lossy(&outcome.stderr);
            bail!("{} ended with {}: {}", invocation.shown(), outcome.ending, errors.lines().last().unwrap_or(""));
        }
        Ok(outcome)
    }

    /// What is asked once a kernel: outputs at every runner's amount of work, instruction counts, the interpreter.
    fn prepare(&self, workspace: &Workspace, program: &Program, group: Group) -> Result<(KernelResult, u64)> {
        let name = program.name;
        let rounds = (guests::default_rounds(workspace, program)? / self.work_divisor).max(2);
        eprintln!("checking {name}");
        let mut same = true;
        for runner in RUNNERS {
            let count = [(rounds / runner.share(group)).max(1).to_string()];
            let native = self.run(Runner::Native, name, &count)?;
            same &= self.run(runner, name, &count)?.stdout == native.stdout;
        }
        let (once, twice) = (self.statistics(name, "auto", rounds)?, self.statistics(name, "auto", 2 * rounds)?);
        let few = (rounds / 100).max(1);
        let (less, more) = (self.statistics(name, "interp", few)?, self.statistics(name, "interp", 2 * few)?);
        let counted = (more.interpreted - less.interpreted) as f64;
        Ok((
            KernelResult {
                name,
                group,
                steady: Default::default(),
                whole: Vec::new(),
                peak: [0; 4],
                same,
                compiled: once.compiled as f64 / once.all(),
                compiled_steady: (twice.compiled - once.compiled) as f64 / (twice.all() - once.all()),
                interpreter: (more.cpu - less.cpu) * 1e9 / counted,
                instructions: counted / few as f64,
            },
            rounds,
        ))
    }

    /// One measuring round of one kernel; the order of runners turns from round to round.
    fn measure(&self, result: &mut KernelResult, rounds: u64, turn: u32) -> Result<()> {
        for step in 0..RUNNERS.len() {
            let runner = RUNNERS[(step + turn as usize) % RUNNERS.len()];
            let count = (rounds / runner.share(result.group)).max(1);
            let once = self.run(runner, result.name, &[count.to_string()])?;
            let twice = self.run(runner, result.name, &[(2 * count).to_string()])?;
            let steady = (twice.cpu.as_secs_f64() - once.cpu.as_secs_f64()) / count as f64;
            result.steady[runner.index()].push(steady);
            let peak = &mut result.peak[runner.index()];
            *peak = (*peak).max(twice.peak_kib);
            if runner == Runner::Tradux {
                result.whole.push(once.cpu.as_secs_f64() / (steady * count as f64));
            }
        }
        Ok(())
    }

    fn measure_start(&self, start: &mut StartResult, turn: u32) -> Result<()> {
        let expected = self.run(Runner::Native, "hello", &[])?.stdout;
        for _ in 0..START_UPS {
            for step in 0..RUNNERS.len() {
                let runner = RUNNERS[(step + turn as usize) % RUNNERS.len()];
                let outcome = self.run(runner, "hello", &[])?;
                start.cpu[runner.index()].push(outcome.cpu.as_secs_f64());
                let peak = &mut start.peak[runner.index()];
                *peak = (*peak).max(outcome.peak_kib);
                start.same &= outcome.stdout == expected;
            }
        }
        Ok(())
    }

    /// A run with `--stats=json`, which prints one JSON object as the last line of standard error.
    fn statistics(&self, name: &str, tier: &str, rounds: u64) -> Result<RunStatistics> {
        let guest = self.guest.join(name);
        let words: [OsString; 7] = [
            self.tradux.clone().into(),
            "run".into(),
            "--tier".into(),
            tier.into(),
            "--stats=json".into(),
            guest.into(),
            rounds.to_string().into(),
        ];
        let mut invocation = Invocation::new(&self.scratch, words);
        invocation.limit = Duration::from_secs(600);
        let outcome = invocation.run()?;
        if outcome.ending != Ending::Status(0) {
            bail!("{} ended with {}", invocation.shown(), outcome.ending);
        }
        let errors = String::from_utf8_lossy(&outcome.stderr);
        let line = errors.lines().rev().find(|line| line.trim_start().starts_with('{'));
        let json: serde_json::Value = serde_json::from_str(line.context("--stats=json printed no JSON")?)?;
        let count = |tier: &str| {
            let number =
                json.get("instructions").and_then(|counts| counts.get(tier)).and_then(serde_json::Value::as_u64);
            number.with_context(|| format!("--stats=json does not say how many instructions were {tier}"))
        };
        let (interpreted, compiled) = (count("interpreted")?, count("compiled")?);
        Ok(RunStatistics { cpu: outcome.cpu.as_secs_f64(), interpreted, compiled })
    }
}

/// What `--stats=json` says of one run.
struct RunStatistics {
    /// CPU seconds.
    cpu: f64,
    /// Guest instructions that the interpreter ran.
    interpreted: u64,
    /// Guest instructions that ran compiled.
    compiled: u64,
}

impl RunStatistics {
    /// All guest instructions.
    fn all(&self) -> f64 {
        (self.interpreted + self.compiled) as f64
    }
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
