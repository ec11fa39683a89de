//! Start-up and programs of a distribution: the tables in `xtask/bench`, run as `cargo xtask userland` runs its cases.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::measured::{Measured, Statistics};
use super::{Options, Results, Runner, Set};
use crate::apt;
use crate::child::{Ending, Outcome};
use crate::guests;
use crate::programs::PROGRAMS;
use crate::tools;
use crate::userland::cases::{self, Case};
use crate::userland::runner::{self, Job};
use crate::userland::{differences, sysroot};
use crate::workspace::Workspace;

/// Debian's name of the guest's architecture.
const GUEST: &str = "riscv64";

const RUNNERS: [Runner; 4] = [Runner::Native, Runner::QemuRv64, Runner::Qemu, Runner::Tradux];

/// What is measured, and with what.
pub(super) struct Bench<'a> {
    workspace: &'a Workspace,
    /// By the index of their runner; nothing if there is nothing to measure.
    how: Vec<runner::Runner>,
    /// Tradux with `--stats=json`.
    counting: Option<runner::Runner>,
    programs: Vec<Program>,
}

struct Program {
    case: Case,
    /// Units of work of the first of two runs; nothing for what has no steady state.
    work: Option<u64>,
    set: Set,
    row: Measured,
}

impl<'a> Bench<'a> {
    /// Prepares the trees of packages, compares outputs, and asks what is asked once a program. Where namespaces or
    /// packages cannot be had, nothing is measured and the reason is printed, unless these sets were asked for by name.
    pub(super) fn new(workspace: &'a Workspace, options: &Options, tradux: &Path) -> Result<Bench<'a>> {
        let mut bench = Bench { workspace, how: Vec::new(), counting: None, programs: Vec::new() };
        for (set, file) in [(Set::Start, "start.cases"), (Set::Programs, "programs.cases")] {
            if options.wants(set) {
                let all = cases::read_table(&workspace.root.join("xtask/bench").join(file))?;
                bench.programs.extend(all.into_iter().filter(|case| options.names(&case.name)).map(|case| {
                    let work = case.work.map(|work| (work / options.divisor()).max(1));
                    let group = if set == Set::Start { "start-up" } else { "programs" };
                    let row = Measured::new(&case.name, group);
                    Program { case, work, set, row }
                }));
            }
        }
        if bench.programs.is_empty() {
            return Ok(bench);
        }
        if let Err(error) = bench.prepare(tradux) {
            if !options.set.is_empty() {
                return Err(error);
            }
            println!("programs of a distribution are left out: {error:#}");
            bench.programs.clear();
        }
        Ok(bench)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// One measuring round.
    pub(super) fn measure(&mut self, turn: u32) -> Result<()> {
        let mut programs = std::mem::take(&mut self.programs);
        let count = programs.len();
        for (index, program) in programs.iter_mut().enumerate() {
            eprintln!("  {} ({} of {count})", program.case.name, index + 1);
            for runner in Runner::turned(&RUNNERS, turn) {
                self.measure_on(program, runner)?;
            }
        }
        self.programs = programs;
        Ok(())
    }

    /// Hands the rows over.
    pub(super) fn finish(self, results: &mut Results) {
        for program in self.programs {
            match program.set {
                Set::Start => results.start.push(program.row),
                Set::Programs | Set::Kernels | Set::Guarded => results.programs.push(program.row),
            }
        }
    }

    fn prepare(&mut self, tradux: &Path) -> Result<()> {
        let workspace = self.workspace;
        runner::probe(workspace).context("namespaces")?;
        for compiler in [tools::riscv64_compiler()?, tools::native_compiler()?] {
            guests::build_all(workspace, &compiler, PROGRAMS)?;
        }
        let packages: BTreeSet<String> =
            self.programs.iter().flat_map(|program| program.case.packages.iter().cloned()).collect();
        let tree = |architecture: &str| sysroot::prepare(workspace, architecture, &packages);
        let qemu = |cpu| runner::Runner::qemu(tree(GUEST)?, tools::qemu(workspace)?, cpu);
        let ours = || runner::Runner::tradux(tree(GUEST)?, tradux.to_owned(), "auto");
        self.how = vec![
            runner::Runner::native(tree(&apt::host_architecture()?)?),
            qemu(Some(runner::QEMU_CPU))?,
            qemu(None)?,
            ours()?,
        ];
        self.counting = Some(ours()?.with_options(&["--stats=json"]));
        let mut programs = std::mem::take(&mut self.programs);
        for program in &mut programs {
            eprintln!("checking {}", program.case.name);
            self.check(program)?;
        }
        self.programs = programs;
        Ok(())
    }

    /// Compares outputs, and asks for statistics. What exec replaces and what forks print no statistics are not in them.
    fn check(&self, program: &mut Program) -> Result<()> {
        let work = program.work.unwrap_or(1);
        let mut native = None;
        for runner in RUNNERS {
            let outcome = self.run(program, &self.how[runner.index()], work)?;
            let native = native.get_or_insert_with(|| outcome.clone());
            if let Some(difference) = differences(&program.case, native, &outcome) {
                eprintln!("{} on {runner:?}:\n{difference}", program.case.name);
                program.row.same = false;
            }
        }
        if let Some(counting) = &self.counting {
            program.row.once = Statistics::of(&self.run(program, counting, work)?).unwrap_or_default();
        }
        Ok(())
    }

    fn measure_on(&self, program: &mut Program, runner: Runner) -> Result<()> {
        let (how, index) = (&self.how[runner.index()], runner.index());
        let work = program.work.unwrap_or(1);
        let once = self.run(program, how, work)?;
        let repeat = f64::from(program.case.repeat.max(1));
        program.row.note_peak(runner, once.peak_kib);
        program.row.whole[index].push(once.cpu.as_secs_f64() / repeat);
        if program.work.is_some() {
            let twice = self.run(program, how, 2 * work)?;
            program.row.note_peak(runner, twice.peak_kib);
            program.row.steady[index].push(twice.cpu.as_secs_f64() - once.cpu.as_secs_f64());
        }
        Ok(())
    }

    fn run(&self, program: &Program, how: &runner::Runner, work: u64) -> Result<Outcome> {
        let case = program.case.filled(work, how.architecture());
        let outcome =
            Job { workspace: self.workspace, case: &case, keep: false, timeout: Some(600), turn: "bench" }.run(how)?;
        if outcome.ending != Ending::Status(case.status) {
            let errors = String::from_utf8_lossy(&outcome.stderr);
            bail!("{} ended with {}: {errors}", case.name, outcome.ending);
        }
        Ok(outcome)
    }
}
