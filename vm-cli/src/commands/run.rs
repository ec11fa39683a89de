//! `tradux run`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use vm_engine::Config;
use vm_linux::{Options, Process, Status};

use crate::args::{RunArgs, StatsFormat};

/// Runs the program, and ends as it ends.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let format = args.stats;
    let mut process = match Process::load(&options(args)) {
        Ok(process) => process,
        Err(error) => {
            eprintln!("tradux: {error}");
            return ExitCode::from(error.exit_status());
        }
    };
    let started_as = std::process::id();
    let status = process.run();
    // A child that the program forked comes here too: it has its parent's numbers in its own.
    if started_as == std::process::id() {
        match format {
            Some(StatsFormat::Text) => eprintln!("{}", text(&process)),
            Some(StatsFormat::Json) => eprintln!("{}", json(&process)),
            None => {}
        }
    }
    match status {
        Status::Exited(status) => ExitCode::from(status),
        Status::Killed(signal) => {
            vm_linux::die_by(signal);
            // A signal that does not kill cannot have killed the guest; this is the status a shell would show.
            ExitCode::from(128 + signal as u8)
        }
    }
}

fn options(args: RunArgs) -> Options {
    let mut command = args.command.into_iter();
    Options {
        program: command.next().unwrap_or_default().into(),
        args: command.collect(),
        argv0: args.argv0,
        env: environment(args.env),
        sysroot: args.sysroot,
        strace: args.strace,
        engine: Config { tier: args.tier, deterministic: args.deterministic, ..Config::default() },
        ..Options::default()
    }
}

/// This process's environment with `changes`, `NAME=value` each.
fn environment(changes: Vec<OsString>) -> Vec<OsString> {
    let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for change in changes {
        let bytes = change.as_bytes();
        if let Some(at) = bytes.iter().position(|byte| *byte == b'=') {
            let (name, value) = (bytes[..at].to_vec(), bytes[at + 1..].to_vec());
            variables.insert(OsString::from_vec(name), OsString::from_vec(value));
        }
    }
    let joined = |(name, value): (OsString, OsString)| {
        let mut text = name;
        text.push("=");
        text.push(value);
        text
    };
    variables.into_iter().map(joined).collect()
}

fn text(process: &Process) -> String {
    let translation = process.translation_stats();
    format!(
        "{}\ntranslated blocks         {} quickly, {} fully ({} instructions)\nresult cache              {} requests ({:.1} % hits), {} evicted",
        process.engine_stats(),
        translation.quick,
        translation.full,
        translation.instructions,
        translation.cache.requests,
        100.0 * translation.cache_hit_rate(),
        translation.cache.evictions,
    )
}

fn json(process: &Process) -> serde_json::Value {
    let (engine, translation) = (process.engine_stats(), process.translation_stats());
    serde_json::json!({
        "tier0_instructions": engine.tier0_instructions,
        "tier0_blocks": engine.blocks,
        "tier0_bytes": engine.block_bytes,
        "tier0_hit_rate": engine.block_hit_rate(),
        "tier0_restarts": engine.tier0_restarts,
        "flushes": engine.flushes,
        "translated_quickly": translation.quick,
        "translated_fully": translation.full,
        "translated_instructions": translation.instructions,
        "result_cache_requests": translation.cache.requests,
        "result_cache_hit_rate": translation.cache_hit_rate(),
    })
}
