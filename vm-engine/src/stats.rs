//! [`EngineStats`]: what an engine has done so far.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an engine has done so far, all its vCPUs together. Numbers of a running vCPU are brought up to date each slice
/// ([`Config::slice_instructions`](crate::Config::slice_instructions)) and whenever it comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Guest instructions that the interpreter completed.
    pub tier0_instructions: u64,
    /// Blocks made for the interpreter, retired ones included.
    pub blocks: u64,
    /// Guest instructions in these blocks.
    pub block_instructions: u64,
    /// Of these blocks, how many were retired because guest code changed.
    pub blocks_retired: u64,
    /// Bytes that the interpreter's blocks hold.
    pub block_bytes: u64,
    /// Times the run loop looked for a block of the interpreter.
    pub block_lookups: u64,
    /// How many of these lookups found one.
    pub block_hits: u64,
    /// Times a guest flushed code, or the embedder did.
    pub flushes: u64,
    /// Times all blocks of the interpreter were dropped because they held too much memory.
    pub tier0_restarts: u64,
    /// Guest instructions that compiled code executed, where
    /// [`Config::count_instructions`](crate::Config::count_instructions) has them counted; else zero.
    pub compiled_instructions: u64,
    /// The compiled tiers.
    pub regions: RegionStats,
}

/// What the compiled tiers of an engine have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionStats {
    /// Regions that can run now.
    pub live: u64,
    /// Regions published, dropped ones included.
    pub published: u64,
    /// Regions dropped because a budget was exceeded.
    pub evicted: u64,
    /// Regions dropped because guest code changed, or because they were compiled for too little.
    pub invalidated: u64,
    /// Regions that were outdated before they were published.
    pub outdated: u64,
    /// Guest instructions in published regions, inlined copies counted.
    pub instructions: u64,
    /// Bytes of machine code in published regions.
    pub code_bytes: u64,
    /// Bytes of executable memory mapped now.
    pub mapped_bytes: u64,
    /// CPU time spent on what was published, from choosing and translating its blocks to machine code, all threads
    /// together, in nanoseconds.
    pub compile_ns: u64,
    /// CPU time of the threads that compile in the background in nanoseconds, for whatever came of it.
    pub background_ns: u64,
    /// Bytes that the regions which can run now take beside their code: links, what tells guest addresses from host ones,
    /// and translations that nobody else holds.
    pub record_bytes: u64,
    /// Published regions that have not paid back, where instructions are counted; else zero. What a region saves is
    /// estimated as a nanosecond for each guest instruction that it executed.
    pub unpaid: u64,
    /// CPU time spent on those in nanoseconds.
    pub unpaid_ns: u64,
    /// Times the run loop looked for compiled code.
    pub lookups: u64,
    /// How many of these lookups found it.
    pub hits: u64,
}

impl RegionStats {
    /// Microseconds of compiling for each guest instruction in a published region; zero if there are none.
    #[must_use]
    pub fn micros_per_instruction(&self) -> f64 {
        if self.instructions == 0 { 0.0 } else { self.compile_ns as f64 / 1000.0 / self.instructions as f64 }
    }

    /// Share of the published regions that have not paid back, 0 to 1; 0 if there are none.
    #[must_use]
    pub fn unpaid_share(&self) -> f64 {
        if self.published == 0 { 0.0 } else { self.unpaid as f64 / self.published as f64 }
    }

    /// Share of lookups that found compiled code, 0 to 1; 1 if there were none.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        rate(self.hits, self.lookups)
    }
}

impl fmt::Display for RegionStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "regions                   {} live, {} published ({} instructions, {} KiB of code)",
            self.live,
            self.published,
            self.instructions,
            self.code_bytes / 1024
        )?;
        writeln!(
            f,
            "regions dropped           {} evicted, {} invalidated, {} outdated",
            self.evicted, self.invalidated, self.outdated
        )?;
        writeln!(f, "executable memory         {} KiB", self.mapped_bytes / 1024)?;
        writeln!(
            f,
            "compile time              {:.1} ms, {:.2} us a guest instruction ({:.1} ms of compile threads)",
            self.compile_ns as f64 / 1e6,
            self.micros_per_instruction(),
            self.background_ns as f64 / 1e6
        )?;
        writeln!(
            f,
            "regions not paid back     {:.1} %, {:.1} ms",
            100.0 * self.unpaid_share(),
            self.unpaid_ns as f64 / 1e6
        )?;
        write!(f, "code cache lookups        {} ({:.1} % hits)", self.lookups, 100.0 * self.hit_rate())
    }
}

impl EngineStats {
    /// Bytes that blocks and code, with their records, take for each guest instruction of a block that was made for the
    /// interpreter: where that runs everything first, for each guest instruction that was ever executed. Zero if there are
    /// none. Translations that a block source keeps are its own business.
    #[must_use]
    pub fn bytes_per_instruction(&self) -> f64 {
        let bytes = self.block_bytes + self.regions.mapped_bytes + self.regions.record_bytes;
        if self.block_instructions == 0 { 0.0 } else { bytes as f64 / self.block_instructions as f64 }
    }

    /// Share of lookups for interpreter blocks that found one, 0 to 1; 1 if there were none.
    #[must_use]
    pub fn block_hit_rate(&self) -> f64 {
        rate(self.block_hits, self.block_lookups)
    }
}

fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

impl fmt::Display for EngineStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "instructions interpreted  {}", self.tier0_instructions)?;
        writeln!(
            f,
            "interpreter blocks        {} ({} instructions, {} retired, {} KiB, {} restarts)",
            self.blocks,
            self.block_instructions,
            self.blocks_retired,
            self.block_bytes / 1024,
            self.tier0_restarts
        )?;
        writeln!(f, "interpreter block lookups {} ({:.1} % hits)", self.block_lookups, 100.0 * self.block_hit_rate())?;
        writeln!(f, "instructions compiled     {}", self.compiled_instructions)?;
        writeln!(f, "code flushes              {}", self.flushes)?;
        write!(f, "{}", self.regions)
    }
}

/// The engine's own counters behind [`EngineStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) tier0_instructions: AtomicU64,
    pub(crate) block_lookups: AtomicU64,
    pub(crate) block_hits: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) tier0_restarts: AtomicU64,
    pub(crate) compiled_instructions: AtomicU64,
}

impl Counters {
    /// Adds what a vCPU counted for itself, and clears that.
    pub(crate) fn gather(&self, local: &mut LocalCounters) {
        let LocalCounters { instructions, compiled, lookups, hits } = std::mem::take(local);
        self.compiled_instructions.fetch_add(compiled, Ordering::Relaxed);
        self.tier0_instructions.fetch_add(instructions, Ordering::Relaxed);
        self.block_lookups.fetch_add(lookups, Ordering::Relaxed);
        self.block_hits.fetch_add(hits, Ordering::Relaxed);
    }
}

/// What one vCPU counts between two passes of its run loop's bookkeeping.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalCounters {
    pub(crate) instructions: u64,
    pub(crate) compiled: u64,
    pub(crate) lookups: u64,
    pub(crate) hits: u64,
}

impl LocalCounters {
    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_nothing_are_whole() {
        assert_eq!(EngineStats::default().block_hit_rate(), 1.0);
        let stats = EngineStats { block_lookups: 4, block_hits: 3, ..EngineStats::default() };
        assert_eq!(stats.block_hit_rate(), 0.75);
        assert!(stats.to_string().contains("75.0 %"));
        assert_eq!((stats.bytes_per_instruction(), RegionStats::default().micros_per_instruction()), (0.0, 0.0));
    }

    #[test]
    fn the_economy_of_compiling_is_a_matter_of_ratios() {
        let regions = RegionStats {
            published: 4,
            unpaid: 1,
            instructions: 100,
            compile_ns: 450_000,
            mapped_bytes: 6000,
            record_bytes: 1000,
            ..RegionStats::default()
        };
        assert_eq!((regions.unpaid_share(), regions.micros_per_instruction()), (0.25, 4.5));
        let stats = EngineStats { block_bytes: 5000, block_instructions: 120, regions, ..EngineStats::default() };
        assert_eq!(stats.bytes_per_instruction(), 100.0);
    }
}
