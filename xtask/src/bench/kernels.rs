//! The kernels of `guests/src`.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::measured::{Measured, Statistics};
use super::{Options, Results, Runner, Set};
use crate::child::{Ending, Invocation, Outcome};
use crate::guests;
use crate::programs::{Group, PROGRAMS, Role};
use crate::tools::{self, Qemu};
use crate::workspace::Workspace;

/// The kernels that are measured, and with what.
pub(super) struct Bench {
    scratch: PathBuf,
    native: PathBuf,
    guest: PathBuf,
    qemu: Qemu,
    tradux: PathBuf,
    runners: Vec<Runner>,
    kernels: Vec<Kernel>,
}

struct Kernel {
    name: &'static str,
    group: Group,
    rounds: u64,
    row: Measured,
}

impl Kernel {
    /// The part of the kernel's rounds that a runner gets: an emulated round takes several times longer, with soft
    /// floating point several ten times.
    fn rounds(&self, runner: Runner) -> u64 {
        let share = match (runner, self.group) {
            (Runner::Native | Runner::Tradux | Runner::Guarded, _) => 1,
            (Runner::QemuRv64 | Runner::Qemu, Group::Floating) => 32,
            (Runner::QemuRv64 | Runner::Qemu, _) => 8,
        };
        (self.rounds / share).max(1)
    }
}

impl Bench {
    /// Builds the kernels, compares outputs, and asks what is asked once a kernel.
    pub(super) fn new(workspace: &Workspace, options: &Options, tradux: PathBuf, qemu: Qemu) -> Result<Bench> {
        let (riscv64, native) = (tools::riscv64_compiler()?, tools::native_compiler()?);
        guests::build_all(workspace, &riscv64, PROGRAMS)?;
        guests::build_all(workspace, &native, PROGRAMS)?;
        let scratch = workspace.target.join("guests/scratch");
        fs::create_dir_all(&scratch)?;
        let mut runners = Vec::new();
        if options.wants(Set::Kernels) {
            runners.extend([Runner::Native, Runner::QemuRv64, Runner::Qemu]);
        }
        if options.wants(Set::Kernels) || options.wants(Set::Guarded) {
            runners.push(Runner::Tradux);
        }
        if options.wants(Set::Guarded) {
            runners.push(Runner::Guarded);
        }
        let mut bench = Bench {
            scratch,
            native: workspace.guests(native.architecture),
            guest: workspace.guests(riscv64.architecture),
            qemu,
            tradux,
            runners,
            kernels: Vec::new(),
        };
        for program in PROGRAMS {
            if let Role::Kernel(group) = program.role
                && options.names(program.name)
                && !bench.runners.is_empty()
            {
                let rounds = (guests::default_rounds(workspace, program)? / options.divisor()).max(2);
                let row = Measured::new(program.name, group.name());
                let mut kernel = Kernel { name: program.name, group, rounds, row };
                eprintln!("checking {}", kernel.name);
                bench.check(&mut kernel)?;
                if options.wants(Set::Kernels) {
                    bench.ask_once(&mut kernel)?;
                }
                bench.kernels.push(kernel);
            }
        }
        Ok(bench)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kernels.is_empty()
    }

    /// One measuring round.
    pub(super) fn measure(&mut self, turn: u32) -> Result<()> {
        let mut kernels = std::mem::take(&mut self.kernels);
        let count = kernels.len();
        for (index, kernel) in kernels.iter_mut().enumerate() {
            eprintln!("  {} ({} of {count})", kernel.name, index + 1);
            for runner in Runner::turned(&self.runners, turn) {
                self.measure_on(kernel, runner)?;
            }
        }
        self.kernels = kernels;
        Ok(())
    }

    fn measure_on(&self, kernel: &mut Kernel, runner: Runner) -> Result<()> {
        let count = kernel.rounds(runner);
        let once = self.run(runner, kernel.name, count)?;
        let twice = self.run(runner, kernel.name, 2 * count)?;
        let steady = (twice.cpu.as_secs_f64() - once.cpu.as_secs_f64()) / count as f64;
        kernel.row.steady[runner.index()].push(steady);
        // A whole run of all rounds: what this runner was spared is added at its own steady rate.
        let spared = (kernel.rounds - count) as f64 * steady;
        kernel.row.whole[runner.index()].push(once.cpu.as_secs_f64() + spared);
        kernel.row.note_peak(runner, twice.peak_kib);
        Ok(())
    }

    /// Hands the rows over.
    pub(super) fn finish(self, options: &Options, results: &mut Results) {
        let rows = self.kernels.into_iter().map(|kernel| kernel.row);
        if options.wants(Set::Kernels) {
            results.kernels = rows.collect();
        } else {
            results.guarded = rows.collect();
        }
    }

    fn invocation(&self, runner: Runner, program: &str, rounds: u64) -> Invocation {
        let guest = OsString::from(self.guest.join(program));
        let mut words: Vec<OsString> = match runner {
            Runner::Native => vec![self.native.join(program).into()],
            Runner::QemuRv64 => vec![self.qemu.path.clone().into(), "-cpu".into(), "rv64".into(), guest],
            Runner::Qemu => vec![self.qemu.path.clone().into(), guest],
            Runner::Tradux | Runner::Guarded => vec![self.tradux.clone().into(), "run".into(), guest],
        };
        words.push(rounds.to_string().into());
        if runner == Runner::Guarded {
            words.push("guarded".into());
        }
        let mut invocation = Invocation::new(&self.scratch, words);
        invocation.limit = Duration::from_secs(600);
        invocation
    }

    fn run(&self, runner: Runner, program: &str, rounds: u64) -> Result<Outcome> {
        successful(&self.invocation(runner, program, rounds))
    }

    /// Compares the outputs at every runner's amount of work.
    fn check(&self, kernel: &mut Kernel) -> Result<()> {
        for &runner in &self.runners {
            let count = kernel.rounds(runner);
            let native = self.run(Runner::Native, kernel.name, count)?;
            kernel.row.same &= self.run(runner, kernel.name, count)?.stdout == native.stdout;
        }
        Ok(())
    }

    /// Instruction counts and the interpreter.
    fn ask_once(&self, kernel: &mut Kernel) -> Result<()> {
        let statistics = |tier, rounds| self.statistics(kernel.name, tier, rounds);
        let (once, twice) = (statistics("auto", kernel.rounds)?, statistics("auto", 2 * kernel.rounds)?);
        let few = (kernel.rounds / 100).max(1);
        let (less, more) = (statistics("interp", few)?, statistics("interp", 2 * few)?);
        // Threads that wait for each other do not always execute the same number of instructions.
        let counted = more.interpreted.saturating_sub(less.interpreted) as f64;
        let row = &mut kernel.row;
        row.compiled_steady = Some(twice.compiled.saturating_sub(once.compiled) as f64 / (twice.all() - once.all()))
            .filter(|s| *s <= 1.0);
        row.interpreter_ns = Some((more.cpu - less.cpu) * 1e9 / counted);
        row.instructions = Some(counted / few as f64);
        row.once = once;
        Ok(())
    }

    fn statistics(&self, name: &str, tier: &str, rounds: u64) -> Result<Statistics> {
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
        Statistics::of(&successful(&invocation)?)
    }
}

fn successful(invocation: &Invocation) -> Result<Outcome> {
    let outcome = invocation.run()?;
    if outcome.ending != Ending::Status(0) {
        let errors = String::from_utf8_lossy(&outcome.stderr);
        bail!("{} ended with {}: {}", invocation.shown(), outcome.ending, errors.lines().last().unwrap_or(""));
    }
    Ok(outcome)
}
