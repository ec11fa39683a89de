//! The project's own chores: `cargo xtask test`, `guests`, `bench`, `userland`, `fuzz` and `docs`.

mod apt;
mod bench;
#[allow(unsafe_code)] // `wait4`, for the CPU time and peak memory of one child process; what it ignores
mod child;
mod compare;
mod docs;
mod fuzz;
mod guests;
#[allow(unsafe_code)] // namespaces, mounts and what else makes a tree of packages look like a machine
mod jail;
mod programs;
mod report;
mod statistics;
mod steps;
mod stress;
mod test;
mod tools;
mod userland;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The command line of `cargo xtask`.
#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every test: format, lints, documentation, features, unit tests and guest programs
    Test(test::Options),
    /// Build the guest programs into target/guests, a folder for each architecture
    Guests(guests::Options),
    /// Run programs with threads, signals and processes many times over while the engine is disturbed
    Stress(stress::Options),
    /// Measure guest kernels: native, qemu-user and tradux in interleaved rounds
    Bench(bench::Options),
    /// Run Debian packages of a guest architecture and compare with the same packages of this machine's
    Userland(userland::Options),
    /// Run a command in namespaces of its own; `userland` calls this
    #[command(hide = true)]
    Inside(jail::Inside),
    /// Run the fuzz targets, each for a while
    Fuzz(fuzz::Options),
    /// Print the pages that are generated from tables, or write them to docs/generated
    Docs(docs::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let within = |chore: &dyn Fn(&Workspace) -> Result<bool>| Workspace::find().and_then(|workspace| chore(&workspace));
    let outcome = match &arguments.chore {
        Chore::Test(options) => within(&|workspace| test::run(workspace, options)),
        Chore::Guests(options) => within(&|workspace| guests::run(workspace, options)),
        Chore::Stress(options) => within(&|workspace| stress::run(workspace, options)),
        Chore::Bench(options) => within(&|workspace| bench::run(workspace, options)),
        Chore::Userland(options) => within(&|workspace| userland::run(workspace, options)),
        Chore::Fuzz(options) => within(&|workspace| fuzz::run(workspace, options)),
        Chore::Docs(options) => within(&|workspace| docs::run(workspace, options)),
        // It knows all folders already, and ends as its command does.
        Chore::Inside(inside) => match jail::run(inside) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
