//! The command `tradux`.

use std::process::ExitCode;

/// Guests with threads make processes by whatever flags they like.
#[global_allocator]
static HEAP: vm_linux::ForkableHeap = vm_linux::ForkableHeap;

fn main() -> ExitCode {
    vm_cli::main()
}
