//! [`Config`]: every knob of an engine.

use std::fmt;
use std::str::FromStr;

/// Which tiers run guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TierPolicy {
    /// Interpret cold code, compile hot code in the background.
    #[default]
    Auto,
    /// Interpret everything.
    Interpret,
    /// Compile before running, with the optimising compiler. Code that cannot be compiled ends the run.
    Compile,
    /// Compile before running, with the baseline compiler where the host has one.
    Baseline,
}

impl TierPolicy {
    /// Every policy, in declaration order.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Interpret, Self::Compile, Self::Baseline];

    /// Whether code is compiled before it runs.
    #[must_use]
    pub const fn compiles_first(self) -> bool {
        matches!(self, Self::Compile | Self::Baseline)
    }

    /// Name on command lines: `auto`, `interp`, `jit` or `baseline`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Interpret => "interp",
            Self::Compile => "jit",
            Self::Baseline => "baseline",
        }
    }
}

impl fmt::Display for TierPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no tier policy's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown tier {0:?}; known are auto, interp, jit and baseline")]
pub struct UnknownTier(pub String);

impl FromStr for TierPolicy {
    type Err = UnknownTier;

    fn from_str(name: &str) -> Result<Self, UnknownTier> {
        Self::ALL.into_iter().find(|tier| tier.name() == name).ok_or_else(|| UnknownTier(name.to_owned()))
    }
}

/// What the state shows when a guest access faults in compiled code. The interpreter always shows everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Exact {
    /// The program counter is the faulting instruction; registers may be older.
    #[default]
    Pc,
    /// The program counter and every register are as before the faulting instruction.
    Registers,
}

/// Every knob of an [`Engine`](crate::Engine). `Config::default()` suits a program that runs for seconds or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which tiers run guest code. [`TierPolicy::Auto`] by default; without the feature `jit` it interprets, and
    /// [`TierPolicy::Compile`] is refused.
    pub tier: TierPolicy,
    /// What the state shows at a fault in compiled code. [`Exact::Pc`] by default; changed later by
    /// [`Engine::set_exact`](crate::Engine::set_exact).
    pub exact: Exact,
    /// Threads that compile. Default 1; 0 is taken as 1.
    pub compile_threads: usize,
    /// Whether compile threads give up the process's descriptors, each for itself. Such a thread makes code executable
    /// by way of `/proc/self/mem`, where the host allows that, which costs half as many system calls and stops no other
    /// thread of the process. What it prints is printed by a thread that asks for code later. Only for callers whose
    /// block sources and memories use no descriptors, nor own any; without effect on threads that begin when somebody
    /// [observes](crate::Engine::observe_code) code, or wants to [keep](crate::Engine::keep_descriptors) them. Off by
    /// default.
    pub detach_descriptors: bool,
    /// Compile on the thread that asks, at once, so that equal runs take equal steps. Off by default.
    pub deterministic: bool,
    /// Entries of a block, decayed and weighted as [`BlockProfile::entries`](crate::BlockProfile::entries) are, from which
    /// it is worth compiling while the compile queue is empty, with the baseline compiler. Where the host has none, or
    /// memory is not reached in place, it is eight times as many. Default 500. 0 is taken as 1.
    pub hot_threshold: u32,
    /// Guest instructions that a block of baseline code executes, rounds of loops included, before it is worth compiling
    /// with the optimising compiler. Default 1.5 million. 0 is taken as 1.
    pub optimise_threshold: u32,
    /// Executed guest instructions, all vCPUs together, after which counts are halved. Default 50 million; 0 is
    /// taken as 1.
    pub epoch_instructions: u64,
    /// Compile requests that may wait; more are refused and asked for again later. Default 64; 0 is taken as 1.
    pub queue_capacity: usize,
    /// Guest instructions in one region at most. Default 1000; a region holds at least one block.
    pub region_instructions: usize,
    /// Bytes of tier-1 code before the least used is evicted. Default 32 MiB.
    pub tier1_code_bytes: usize,
    /// Bytes of tier-2 code before the least used is evicted. Default 64 MiB.
    pub tier2_code_bytes: usize,
    /// Bytes of interpreter blocks before all of them are dropped and made again as needed. Default 64 MiB.
    pub tier0_bytes: usize,
    /// Whether compiled code counts the guest instructions it executes, for statistics. Costs a few percent. Off by
    /// default.
    pub count_instructions: bool,
    /// Guest instructions that a vCPU executes before it passes its run loop, where statistics and the clock of the
    /// hotspot detector are brought up to date. Default 1 million; 0 is taken as 1.
    pub slice_instructions: u64,
    /// For tests: interruptions, evictions, invalidations, code flushes and slow compilation at random times, which this
    /// seed chooses. A guest runs slower and must not notice. `None`, no disturbance, by default.
    pub disturb: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tier: TierPolicy::Auto,
            exact: Exact::Pc,
            compile_threads: 1,
            detach_descriptors: false,
            deterministic: false,
            hot_threshold: 500,
            optimise_threshold: 1_500_000,
            epoch_instructions: 50_000_000,
            queue_capacity: 64,
            region_instructions: 1000,
            tier1_code_bytes: 32 << 20,
            tier2_code_bytes: 64 << 20,
            tier0_bytes: 64 << 20,
            count_instructions: false,
            slice_instructions: 1_000_000,
            disturb: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tier_names_parse_back() {
        for tier in TierPolicy::ALL {
            assert_eq!(tier.name().parse(), Ok(tier));
        }
        assert!("fast".parse::<TierPolicy>().is_err());
    }
}
