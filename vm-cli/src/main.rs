//! The command `tradux`.

use std::process::ExitCode;

fn main() -> ExitCode {
    vm_cli::main()
}
