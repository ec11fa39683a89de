//! `tradux run`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use vm_engine::Config;
use vm_linux::{Handover, Options, Process, Status};

use crate::args::RunArgs;
use crate::complain;
use crate::reports::Reports;

/// Exit status for a program that was found and cannot be executed, as shells have it, or not as asked.
const CANNOT_EXECUTE: u8 = 126;

/// Runs the program, and ends as it ends.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let reports = Reports::of(&args);
    if let Err(reason) = reports.check() {
        complain(&reason);
        return ExitCode::from(CANNOT_EXECUTE);
    }
    start(options(args, &reports), reports)
}

/// Runs a program in place of the one before, which asked for it.
pub(crate) fn resume(handover: Handover) -> ExitCode {
    let reports = Reports::from_carried(&handover.carried);
    start(handover.options, reports)
}

fn start(options: Options, reports: Reports) -> ExitCode {
    let executed = options.inherited.is_some();
    let loaded = Process::load(&options);
    // The program's descriptor is not the program's.
    drop(options);
    let mut process = match loaded {
        Ok(process) => process,
        Err(error) => {
            // The program that asked for this one is gone.
            if let (true, Some(signal)) = (executed, error.signal()) {
                vm_linux::die_by(signal);
            }
            complain(&error);
            return ExitCode::from(error.exit_status());
        }
    };
    let reports = reports.begin(&process);
    // Children that the program forks do not come back from this.
    let status = process.run();
    reports.end(&process);
    // The kernel takes everything back at once; to take it apart, block by block, is a part of a short program's time.
    std::mem::forget(process);
    match status {
        Status::Exited(status) => ExitCode::from(status),
        Status::Killed(signal) => {
            vm_linux::die_by(signal);
            // A signal that does not kill cannot have killed the guest; this is the status a shell would show.
            ExitCode::from(128 + signal as u8)
        }
        Status::Uncompilable(pc) => {
            complain(&format_args!("the code at {pc} cannot be compiled, and the tier asked for does nothing else"));
            ExitCode::from(CANNOT_EXECUTE)
        }
    }
}

fn options(args: RunArgs, reports: &Reports) -> Options {
    let strace = args.trace();
    let mut command = args.command.into_iter();
    Options {
        program: command.next().unwrap_or_default().into(),
        args: command.collect(),
        argv0: args.argv0,
        env: environment(args.env),
        sysroot: args.sysroot,
        root: args.root,
        strace,
        emulator: Some("/proc/self/exe".into()),
        carried: reports.carried(),
        engine: Config {
            tier: args.tier,
            deterministic: args.deterministic,
            disturb: args.disturb,
            count_instructions: reports.stats.is_some(),
            ..Config::default()
        },
        ..Options::default()
    }
}

/// This process's environment in its order, with `changes`, `NAME=value` each.
fn environment(changes: Vec<OsString>) -> Vec<OsString> {
    let mut variables = vm_linux::environment();
    for change in changes {
        let Some(equals) = change.as_bytes().iter().position(|byte| *byte == b'=') else { continue };
        let name = change.as_bytes()[..=equals].to_owned();
        match variables.iter_mut().find(|known| known.as_bytes().starts_with(&name)) {
            Some(known) => *known = change,
            None => variables.push(change),
        }
    }
    variables
}
