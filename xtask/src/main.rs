//! The project's own chores: `cargo xtask test`, `cargo xtask guests`, `cargo xtask bench` and `cargo xtask docs`.

mod bench;
#[allow(unsafe_code)] // `wait4`, for the CPU time and peak memory of one child process
mod child;
mod compare;
mod docs;
mod guests;
mod programs;
mod report;
mod statistics;
mod steps;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

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
    /// Measure guest kernels: native, qemu-user and tradux in interleaved rounds
    Bench(bench::Options),
    /// Print the pages that are generated from tables, or write them to docs/generated
    Docs(docs::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = Workspace::find().and_then(|workspace| match arguments.chore {
        Chore::Test(options) => test::run(&workspace, &options),
        Chore::Guests(options) => guests::run(&workspace, &options),
        Chore::Bench(options) => bench::run(&workspace, &options),
        Chore::Docs(options) => docs::run(&workspace, &options),
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
