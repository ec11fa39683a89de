//! `tradux run`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use clap::ValueEnum as _;
use vm_engine::Config;
use vm_linux::{Handover, Options, Process, Status};

use crate::args::{RunArgs, StatsFormat};
use crate::{complain, say};

/// Exit status for a program that was found and cannot be executed, as shells have it.
const CANNOT_EXECUTE: u8 = 126;

/// Runs the program, and ends as it ends.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let format = args.stats;
    start(options(args), format)
}

/// Runs a program in place of the one before, which asked for it.
pub(crate) fn resume(handover: Handover) -> ExitCode {
    let format = StatsFormat::from_str(&handover.carried, true).ok();
    start(handover.options, format)
}

fn start(options: Options, format: Option<StatsFormat>) -> ExitCode {
    let loaded = Process::load(&options);
    // The program's descriptor is not the program's.
    drop(options);
    let mut process = match loaded {
        Ok(process) => process,
        Err(error) => {
            complain(&error);
            return ExitCode::from(error.exit_status());
        }
    };
    // Children that the program forks do not come back from this.
    let status = process.run();
    match format {
        Some(StatsFormat::Text) => say(&text(&process)),
        Some(StatsFormat::Json) => say(&json(&process)),
        None => {}
    }
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

fn options(args: RunArgs) -> Options {
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
        carried: args
            .stats
            .and_then(|format| format.to_possible_value())
            .map_or_else(String::new, |value| value.get_name().to_owned()),
        engine: Config {
            tier: args.tier,
            deterministic: args.deterministic,
            disturb: args.disturb,
            count_instructions: args.stats.is_some(),
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

/// Largest amount of memory that this process has held so far, in KiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn text(process: &Process) -> String {
    let translation = process.translation_stats();
    let cache = translation.cache;
    let mut out = format!(
        "{}\ntranslated blocks         {} quickly, {} fully ({} instructions)\n",
        process.engine_stats(),
        translation.quick,
        translation.full,
        translation.instructions,
    );
    out += &format!(
        "result cache              {} requests ({:.1} % hits), {} evicted, {} KiB",
        cache.requests,
        100.0 * translation.cache_hit_rate(),
        cache.evictions,
        cache.bytes / 1024,
    );
    if let Some(peak) = peak_memory() {
        out += &format!("\npeak memory               {peak} KiB");
    }
    out
}

fn json(process: &Process) -> serde_json::Value {
    let (engine, translation) = (process.engine_stats(), process.translation_stats());
    let (regions, cache) = (engine.regions, translation.cache);
    serde_json::json!({
        "instructions": { "interpreted": engine.tier0_instructions, "compiled": engine.compiled_instructions },
        "interpreter": {
            "blocks": engine.blocks,
            "block_instructions": engine.block_instructions,
            "retired": engine.blocks_retired,
            "bytes": engine.block_bytes,
            "lookups": engine.block_lookups,
            "hit_rate": engine.block_hit_rate(),
            "restarts": engine.tier0_restarts,
        },
        "regions": {
            "live": regions.live,
            "published": regions.published,
            "instructions": regions.instructions,
            "evicted": regions.evicted,
            "invalidated": regions.invalidated,
            "outdated": regions.outdated,
            "code_bytes": regions.code_bytes,
            "mapped_bytes": regions.mapped_bytes,
            "compile_ns": regions.compile_ns,
            "lookups": regions.lookups,
            "hit_rate": regions.hit_rate(),
        },
        "translation": {
            "quick": translation.quick,
            "full": translation.full,
            "instructions": translation.instructions,
            "cache_requests": cache.requests,
            "cache_hit_rate": translation.cache_hit_rate(),
            "cache_evictions": cache.evictions,
            "cache_bytes": cache.bytes,
        },
        "flushes": engine.flushes,
        "peak_memory_kib": peak_memory(),
    })
}
