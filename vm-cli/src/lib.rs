//! The command line of Tradux: arguments in, exit status out. Everything else is in the libraries.
#![forbid(unsafe_code)]

mod args;
mod code;
mod commands;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

/// Runs the command with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(options) => return commands::run::run(options),
        Command::Disasm(options) => commands::disasm::run(&options),
        Command::Ir(options) => commands::ir::run(&options),
        Command::Translate(options) => commands::translate::run(&options),
        Command::Info => commands::info::run(),
        Command::Completions { shell } => commands::completions::run(shell),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tradux: {error:#}");
            ExitCode::FAILURE
        }
    }
}
