//! The command line of Tradux: arguments in, exit status out. Everything else is in the libraries.
#![forbid(unsafe_code)]

mod args;
mod code;
mod commands;
mod profile;
mod reports;
mod statistics;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

/// Runs the command with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    vm_linux::close_unasked_descriptors();
    // A guest's next program: its arguments are not ours.
    if let Some(handover) = vm_linux::Handover::take() {
        return commands::run::resume(handover);
    }
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
        // Whoever read the output has seen enough, as `tradux disasm FILE | head` says.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes a line to standard error, if anybody is there to read it.
fn say(line: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says what went wrong.
fn complain(reason: &dyn fmt::Display) {
    say(&format_args!("tradux: {reason}"));
}
