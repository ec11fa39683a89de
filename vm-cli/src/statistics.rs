//! Statistics of a run, for `--stats`.

use vm_engine::EngineStats;
use vm_linux::Process;

/// Largest amount of memory that this process has held so far, in KiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A line a number.
pub(crate) fn text(process: &Process) -> String {
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
    let bytes = bytes_per_instruction(&process.engine_stats(), cache.bytes);
    out += &format!("\nbytes a guest instruction {bytes:.1} (blocks, code, their records and the result cache)");
    if let Some(peak) = peak_memory() {
        out += &format!("\npeak memory               {peak} KiB");
    }
    out
}

/// One object.
pub(crate) fn json(process: &Process) -> serde_json::Value {
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
            "background_ns": regions.background_ns,
            "micros_per_instruction": regions.micros_per_instruction(),
            "record_bytes": regions.record_bytes,
            "unpaid": regions.unpaid,
            "unpaid_ns": regions.unpaid_ns,
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
        "bytes_per_instruction": bytes_per_instruction(&engine, cache.bytes),
        "flushes": engine.flushes,
        "peak_memory_kib": peak_memory(),
    })
}

/// Bytes for each guest instruction that was ever executed, if the interpreter runs everything first: what the engine
/// keeps, and the `kept` bytes of the result cache.
fn bytes_per_instruction(engine: &EngineStats, kept: u64) -> f64 {
    let kept = if engine.block_instructions == 0 { 0.0 } else { kept as f64 / engine.block_instructions as f64 };
    engine.bytes_per_instruction() + kept
}
