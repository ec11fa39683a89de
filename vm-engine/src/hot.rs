//! [`HotspotDetector`]: which blocks have become worth compiling.
//!
//! A block counts its entries; entries by a jump backwards count double, so that a loop is asked for at its header, and
//! those from compiled code four times, since to leave that and to come back takes as long as such a number of blocks.
//! The threshold rises with the length of the compile queue, and counts are halved each epoch. Time is counted in
//! executed guest instructions, so that a run behaves the same on a slow and on a fast machine.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::config::Config;

/// Decides when a block is hot.
#[derive(Debug)]
pub struct HotspotDetector {
    threshold: u32,
    epoch_instructions: u64,
    executed: AtomicU64,
    queue_permille: AtomicU32,
}

impl HotspotDetector {
    /// A detector with the thresholds of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            threshold: config.hot_threshold.max(1),
            epoch_instructions: config.epoch_instructions.max(1),
            executed: AtomicU64::new(0),
            queue_permille: AtomicU32::new(0),
        }
    }

    /// Adds `instructions` guest instructions to the clock.
    pub fn advance(&self, instructions: u64) {
        self.executed.fetch_add(instructions, Ordering::Relaxed);
    }

    /// Number of the current epoch, modulo 2^32.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        (self.executed.load(Ordering::Relaxed) / self.epoch_instructions) as u32
    }

    /// Says that the compile queue holds `waiting` of at most `capacity` requests.
    pub fn set_queue(&self, waiting: usize, capacity: usize) {
        let permille = waiting.min(capacity) * 1000 / capacity.max(1);
        self.queue_permille.store(permille as u32, Ordering::Relaxed);
    }

    /// Entries after which a block is hot now: the configured threshold while the queue is empty, up to eight times
    /// that when it is full.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        let queue = u64::from(self.queue_permille.load(Ordering::Relaxed));
        (u64::from(self.threshold) * (1000 + 7 * queue) / 1000).min(u64::from(u32::MAX)) as u32
    }

    /// Accounts for `entries` new entries of a block and says whether it is hot, and after how many more entries to
    /// ask again. That is a quarter of the way at most, so that decay has a chance to be seen.
    pub fn account(&self, heat: &Heat, entries: u32) -> Verdict {
        let threshold = self.threshold();
        let count = heat.add(entries, self.epoch());
        let step = (threshold / 4).max(1);
        if count >= threshold {
            Verdict { hot: true, ask_again: step }
        } else {
            Verdict { hot: false, ask_again: (threshold - count).min(step) }
        }
    }

    /// Entries of a new block before it is looked at for the first time.
    #[must_use]
    pub fn first_look(&self) -> u32 {
        (self.threshold() / 4).max(1)
    }

    /// The count of `heat` as it is worth now.
    #[must_use]
    pub fn count(&self, heat: &Heat) -> u32 {
        heat.add(0, self.epoch())
    }
}

/// What the detector says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The block is worth compiling.
    pub hot: bool,
    /// Entries after which to ask again, at least one.
    pub ask_again: u32,
}

/// How often a block was entered lately. Threads race on it: counts may be lost.
#[derive(Debug, Default)]
pub struct Heat {
    count: AtomicU32,
    epoch: AtomicU32,
    allowed: AtomicU32,
}

impl Heat {
    /// Of a block that never ran.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: AtomicU32::new(0), epoch: AtomicU32::new(0), allowed: AtomicU32::new(0) }
    }

    /// Adds `entries` in `epoch` after halving the count once for each epoch since the last call; gives the new count.
    fn add(&self, entries: u32, epoch: u32) -> u32 {
        let passed = epoch.wrapping_sub(self.epoch.load(Ordering::Relaxed));
        let kept = self.count.load(Ordering::Relaxed).checked_shr(passed).unwrap_or(0);
        let count = kept.saturating_add(entries);
        self.count.store(count, Ordering::Relaxed);
        self.epoch.store(epoch, Ordering::Relaxed);
        count
    }

    /// Notes that the block was allowed `entries` entries before the next look.
    pub(crate) fn allow(&self, entries: u32) {
        self.allowed.store(entries, Ordering::Relaxed);
    }

    /// Entries that the last look allowed.
    pub(crate) fn allowed(&self) -> u32 {
        self.allowed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detector() -> HotspotDetector {
        HotspotDetector::new(&Config { hot_threshold: 1000, epoch_instructions: 10_000, ..Config::default() })
    }

    /// Runs a block `entries` times, 10 instructions each; true if it became hot on the way.
    fn run(detector: &HotspotDetector, heat: &Heat, entries: u32) -> bool {
        let mut left = entries;
        let mut step = 1;
        let mut hot = false;
        while left > 0 {
            let now = step.min(left);
            detector.advance(u64::from(now) * 10);
            let verdict = detector.account(heat, now);
            hot |= verdict.hot;
            step = verdict.ask_again;
            left -= now;
        }
        hot
    }

    #[test]
    fn a_phase_change_cools_old_code_and_heats_new_code() {
        let detector = detector();
        let (old, new) = (Heat::new(), Heat::new());
        assert!(run(&detector, &old, 2000));
        assert!(detector.count(&old) >= 500, "halved at most once since it was hot");
        assert!(run(&detector, &new, 20_000));
        assert_eq!(detector.count(&old), 0, "twenty epochs have passed without the old code");
        assert!(detector.count(&new) >= 500);
    }

    #[test]
    fn code_that_runs_a_little_in_every_epoch_never_gets_hot() {
        let detector = detector();
        let heat = Heat::new();
        for _ in 0..1000 {
            assert!(!run(&detector, &heat, 100));
            detector.advance(10_000);
        }
    }

    #[test]
    fn a_full_queue_raises_the_threshold() {
        let detector = detector();
        assert_eq!(detector.threshold(), 1000);
        detector.set_queue(64, 64);
        assert_eq!(detector.threshold(), 8000);
        let heat = Heat::new();
        assert!(!run(&detector, &heat, 1500));
        detector.set_queue(0, 64);
        assert!(run(&detector, &heat, 1500));
    }
}
