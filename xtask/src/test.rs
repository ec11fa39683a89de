//! `cargo xtask test`: every test of the project in one run.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::compare::{self, Runners};
use crate::guests;
use crate::programs::{PROGRAMS, Program, SYSTEM};
use crate::report::{Report, Tally};
use crate::steps;
use crate::tools;
use crate::userland;
use crate::workspace::Workspace;

/// Options of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only these steps
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// Compare only the guest programs whose name contains this text
    #[arg(long, default_value = "")]
    program: String,
    /// Run guest programs with a release build of tradux instead of the build that the tests use
    #[arg(long)]
    release: bool,
}

/// The steps, in the order in which they run: the quick ones and those that stop most mistakes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// cargo fmt --check
    Format,
    /// clippy without warnings
    Lints,
    /// Guest programs on this machine, qemu-user and every tier of tradux
    Guests,
    /// Guest programs that hold the kernel's rules, static and dynamic
    System,
    /// Programs of a riscv64 distribution, those that are quick
    Userland,
    /// Unit, table, property, golden and documentation tests
    Tests,
    /// Documentation without warnings
    Docs,
    /// Generated pages are as printed from the tables
    Pages,
    /// Each crate alone with each feature
    Features,
    /// The crates could be published
    Packages,
    /// Miri and cargo-deny, for those who have them
    Optional,
}

/// Runs the chosen steps. `Ok(false)` when something failed, or was skipped that CI requires.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let strict = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    let mut report = Report::new();
    for step in Step::value_variants() {
        if !options.only.is_empty() && !options.only.contains(step) {
            continue;
        }
        match step {
            Step::Format => report.step("format", || steps::format(workspace)),
            Step::Lints => report.step("lints", || steps::lints(workspace)),
            Step::Guests => report.step("guests", || guest_programs(workspace, options, PROGRAMS)),
            Step::System => report.step("system", || guest_programs(workspace, options, SYSTEM)),
            Step::Userland => report.step("userland", || quick_userland(workspace, options)),
            Step::Tests => report.step("tests", || steps::tests(workspace)),
            Step::Docs => report.step("docs", || steps::documentation(workspace)),
            Step::Pages => report.step("pages", || crate::docs::check(workspace)),
            Step::Features => report.step("features", || steps::features(workspace)),
            Step::Packages => report.step("packages", || steps::packages(workspace)),
            Step::Optional => report.step("optional", || steps::optional(workspace)),
        }
    }
    Ok(report.finish(strict))
}

/// Runs programs of a distribution that end soon.
fn quick_userland(workspace: &Workspace, options: &Options) -> Tally {
    match workspace.build_tradux(options.release) {
        Ok(tradux) => userland::quick(workspace, tradux),
        Err(error) => {
            let mut tally = Tally::default();
            tally.count(Err(format!("{error:#}")));
            tally
        }
    }
}

/// Builds the guest programs and compares their runs; what is missing is skipped and said.
fn guest_programs(workspace: &Workspace, options: &Options, programs: &[Program]) -> Tally {
    let mut tally = Tally::default();
    let compilers = tools::riscv64_compiler().and_then(|riscv64| Ok((riscv64, tools::native_compiler()?)));
    let (riscv64, native) = match compilers {
        Ok(compilers) => compilers,
        Err(error) => {
            tally.skip("guest programs", format!("{error:#}"), false);
            return tally;
        }
    };
    for compiler in [&riscv64, &native] {
        if let Err(error) = guests::build_all(workspace, compiler, programs) {
            tally.count(Err(format!("{error:#}")));
            return tally;
        }
    }
    let sysroot = match tools::sysroot(&riscv64) {
        Ok(sysroot) => sysroot,
        Err(error) => {
            tally.count(Err(format!("{error:#}")));
            return tally;
        }
    };
    let qemu = match tools::qemu(workspace) {
        Ok(qemu) => {
            println!("reference: {}", qemu.version);
            Some(qemu)
        }
        Err(error) => {
            tally.skip("comparison with qemu-user", format!("{error:#}"), false);
            None
        }
    };
    let tradux = match workspace.build_tradux(options.release) {
        Ok(path) => Some(path),
        Err(error) => {
            tally.count(Err(format!("{error:#}")));
            None
        }
    };
    match compare::run(workspace, &Runners { qemu, tradux, sysroot }, programs, &options.program) {
        Ok(compared) => tally.merge(compared),
        Err(error) => tally.count(Err(format!("{error:#}"))),
    }
    tally
}
