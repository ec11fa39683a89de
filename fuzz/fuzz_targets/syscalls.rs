//! Any system calls with any arguments end in a result or in the guest's end: never in a panic, a fault of the emulator or
//! a call that cannot be interrupted. Each input runs in a child without privileges, in a folder of its own.
#![no_main]

#[path = "../../vm-linux/tests/common/random_calls.rs"]
mod random_calls;

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use random_calls::{Outcome, OWN_SIGNALS};
use vm_linux::{Options, Process};

thread_local! {
    /// Loaded once; every input begins with a copy of it.
    static PROCESS: RefCell<(Process, PathBuf)> = RefCell::new(start());
}

fn start() -> (Process, PathBuf) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/bin/riscv64/hello").into();
    let process = Process::load(&Options { program, ..Options::default() }).expect("a program");
    let dir = std::env::temp_dir().join(format!("tradux-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("a folder of everybody's");
    (process, dir)
}

fuzz_target!(|bytes: &[u8]| {
    PROCESS.with_borrow_mut(|(process, dir)| {
        let time = Duration::from_millis(200);
        match random_calls::in_child(process, dir, time, |process| random_calls::sequence(bytes, process)) {
            Outcome::Exited(0) | Outcome::Waited => {}
            Outcome::Killed(signal) if OWN_SIGNALS.contains(&signal) || signal > 31 => {}
            outcome => panic!("{outcome:?}"),
        }
    });
});
