//! [`Tier0Block`]: a block in the form that tier 0 runs, with its counters, links and profile.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vm_core::{BlockKey, GuestAddr};

use super::code::Code;
use crate::hot::Heat;

/// Number of a block in its [`Tier0Cache`](super::table::Tier0Cache).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockId(pub(crate) u32);

/// A fixed way out of a block: to another address, and from its first use to the block there.
#[derive(Debug)]
pub(crate) struct Link {
    /// Guest address it goes to.
    pub(crate) target: GuestAddr,
    /// Bit 31: it has been taken. Below: number of the block there plus one, zero while that is unknown.
    word: AtomicU32,
}

impl Link {
    const TAKEN: u32 = 1 << 31;

    /// A link to `target` that has not been taken.
    pub(super) const fn new(target: GuestAddr) -> Self {
        Self { target, word: AtomicU32::new(0) }
    }

    /// The block there, once it is known.
    #[inline(always)]
    pub(crate) fn block(&self) -> Option<BlockId> {
        match self.word.load(Ordering::Acquire) & !Self::TAKEN {
            0 => None,
            number => Some(BlockId(number - 1)),
        }
    }

    /// Whether the link has ever been taken.
    pub(crate) fn taken(&self) -> bool {
        self.word.load(Ordering::Relaxed) & Self::TAKEN != 0
    }

    /// Notes that the link was taken.
    pub(super) fn take(&self) {
        self.word.fetch_or(Self::TAKEN, Ordering::Relaxed);
    }

    pub(super) fn set(&self, block: BlockId) {
        self.word.store((block.0 + 1) | Self::TAKEN, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.word.fetch_and(Self::TAKEN, Ordering::AcqRel);
    }
}

/// Number of targets an [`IndirectProfile`] remembers.
pub(crate) const INDIRECT_TARGETS: usize = 4;

/// The targets that a computed jump went to most, with counts. Threads race on it: counts may be lost.
#[derive(Debug, Default)]
pub(crate) struct IndirectProfile {
    targets: [AtomicU64; INDIRECT_TARGETS],
    counts: [AtomicU32; INDIRECT_TARGETS],
}

impl IndirectProfile {
    /// Counts a jump to `target`: a known one gains, an unknown one takes the place of the least used once that
    /// has been worn down.
    #[inline]
    pub(super) fn count(&self, target: u64) {
        let relaxed = Ordering::Relaxed;
        for (known, count) in self.targets.iter().zip(&self.counts) {
            let n = count.load(relaxed);
            if n != 0 && known.load(relaxed) == target {
                count.store(n.saturating_add(1), relaxed);
                return;
            }
        }
        let least = (0..INDIRECT_TARGETS).min_by_key(|&i| self.counts[i].load(relaxed)).unwrap_or(0);
        let worn = self.counts[least].load(relaxed) / 2;
        self.counts[least].store(worn, relaxed);
        if worn == 0 {
            self.targets[least].store(target, relaxed);
            self.counts[least].store(1, relaxed);
        }
    }

    /// The remembered targets with their counts, most frequent first.
    pub(crate) fn targets(&self) -> Vec<(GuestAddr, u32)> {
        let mut known: Vec<_> = self
            .targets
            .iter()
            .zip(&self.counts)
            .map(|(target, count)| (GuestAddr::new(target.load(Ordering::Relaxed)), count.load(Ordering::Relaxed)))
            .filter(|&(_, count)| count != 0)
            .collect();
        known.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        known
    }
}

/// A block that tier 0 runs. Shared by all vCPUs of an engine.
///
/// What every pass through the block touches comes first, so that it shares a line of the host's cache.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Tier0Block {
    /// High half: generation of guest code in which the bytes were last compared. Low half: entries left before the
    /// hotspot detector looks at the block again.
    entry: AtomicU64,
    /// Its ops; the last is an end.
    pub(super) code: Box<[Code]>,
    /// Ways out: what the end names first (taken, then not taken), then the side exits.
    pub(crate) links: Box<[Link]>,
    /// What it is a translation of.
    pub(crate) key: BlockKey,
    /// Retired: nothing leads here any more.
    dead: AtomicBool,
    /// Whether memory could be fetched to its end: a block that ends in a fetch trap is not remembered.
    pub(super) cacheable: bool,
    /// Number of guest instructions.
    guest_len: u32,
    /// Where a computed end went; `None` for other ends.
    pub(crate) indirect: Option<Box<IndirectProfile>>,
    /// Index of each guest instruction's first op, and its offset in bytes from the block's address.
    pub(super) marks: Box<[(u32, u16)]>,
    /// The guest bytes that made it.
    pub(crate) bytes: Box<[u8]>,
    /// Words of spill area that the ops use.
    pub(super) spills: u32,
    /// What the hotspot detector remembers of it.
    pub(crate) heat: Heat,
    /// Links that lead here: block and index of the link.
    incoming: Mutex<Vec<(BlockId, u32)>>,
}

impl Tier0Block {
    pub(super) fn new(key: BlockKey, bytes: Box<[u8]>, parts: Parts) -> Self {
        Self {
            key,
            bytes,
            code: parts.code,
            guest_len: parts.marks.len() as u32,
            marks: parts.marks,
            links: parts.links,
            indirect: parts.indirect.then(Box::default),
            spills: parts.spills,
            cacheable: parts.cacheable,
            entry: AtomicU64::new(0),
            heat: Heat::new(),
            dead: AtomicBool::new(false),
            incoming: Mutex::new(Vec::new()),
        }
    }

    /// Number of guest instructions.
    pub(crate) fn guest_len(&self) -> u32 {
        self.guest_len
    }

    /// Counts an entry in `generation` as `weight` entries. False if the block needs a look first: its bytes were last
    /// compared in another generation, or its count has run out.
    #[inline(always)]
    pub(crate) fn enter(&self, generation: u32, weight: u32) -> bool {
        let word = self.entry.load(Ordering::Relaxed);
        let left = word.wrapping_sub(u64::from(generation) << 32);
        let weight = u64::from(weight);
        // One comparison for both: with a wrong generation or too small a count the difference is out of range.
        if left.wrapping_sub(weight) > u64::from(u32::MAX) - weight {
            return false;
        }
        self.entry.store(word - weight, Ordering::Relaxed);
        true
    }

    /// Whether the block may be remembered.
    pub(crate) fn is_cacheable(&self) -> bool {
        self.cacheable
    }

    /// Bytes that the block holds outside itself.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.bytes) + size_of_val(&*self.code) + size_of_val(&*self.marks) + size_of_val(&*self.links)
    }

    /// Generation in which the bytes were last compared, and entries left.
    pub(crate) fn entry(&self) -> (u32, u32) {
        let word = self.entry.load(Ordering::Relaxed);
        ((word >> 32) as u32, word as u32)
    }

    /// Allows `left` entries in `generation` before the next look.
    pub(crate) fn allow(&self, generation: u32, left: u32) {
        self.entry.store(u64::from(generation) << 32 | u64::from(left), Ordering::Relaxed);
    }

    /// Whether the block was retired.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(super) fn incoming(&self) -> std::sync::MutexGuard<'_, Vec<(BlockId, u32)>> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest instruction that the op at `index` belongs to: how many came before it in the block, and its address.
    pub(super) fn instruction_at(&self, index: usize) -> (u32, GuestAddr) {
        let after = self.marks.partition_point(|&(first, _)| first as usize <= index).max(1);
        (after as u32 - 1, self.key.pc.offset(i64::from(self.marks[after - 1].1)))
    }
}

/// What lowering makes of a block.
pub(super) struct Parts {
    pub(super) code: Box<[Code]>,
    pub(super) marks: Box<[(u32, u16)]>,
    pub(super) links: Box<[Link]>,
    pub(super) indirect: bool,
    pub(super) spills: u32,
    pub(super) cacheable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indirect_profile_keeps_the_frequent_targets() {
        let profile = IndirectProfile::default();
        for round in 0..100u64 {
            profile.count(0x1000);
            profile.count(0x2000);
            profile.count(0x10_0000 + round * 16); // each once
        }
        let targets = profile.targets();
        assert_eq!(targets[0], (GuestAddr::new(0x1000), 100));
        assert_eq!(targets[1], (GuestAddr::new(0x2000), 100));
    }

    #[test]
    fn an_entry_needs_the_generation_and_the_count() {
        let parts = Parts {
            code: Box::default(),
            marks: Box::default(),
            links: Box::default(),
            indirect: false,
            spills: 0,
            cacheable: true,
        };
        let block = Tier0Block::new(BlockKey::default(), Box::default(), parts);
        block.allow(7, 3);
        assert!(!block.enter(6, 1) && !block.enter(8, 1));
        assert!(block.enter(7, 2));
        assert!(!block.enter(7, 2), "one is left");
        assert!(block.enter(7, 1));
        assert!(!block.enter(7, 1) && !block.enter(6, 1));
        assert_eq!(block.entry(), (7, 0));
        block.allow(u32::MAX, u32::MAX);
        assert!(block.enter(u32::MAX, 2) && !block.enter(0, 1));
    }

    #[test]
    fn links_remember_that_they_were_taken() {
        let link = Link::new(GuestAddr::new(0x1000));
        assert!(!link.taken() && link.block().is_none());
        link.set(BlockId(0));
        assert_eq!(link.block(), Some(BlockId(0)));
        link.clear();
        assert!(link.taken() && link.block().is_none());
    }
}
