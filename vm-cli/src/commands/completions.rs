//! `tradux completions`.

use std::io;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Arguments;

/// Prints a completion script.
pub(crate) fn run(shell: Shell) -> Result<()> {
    clap_complete::generate(shell, &mut Arguments::command(), "tradux", &mut io::stdout().lock());
    Ok(())
}
