//! [`Tier0Block`]: a block in the form that tier 0 runs, with its counters, links and profile.
//!
//! Links are addresses of blocks, so that the way from one block to the next is one load. They hold between blocks of
//! one [`Tier0Cache`](super::table::Tier0Cache), which neither moves nor drops a block while it lives.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vm_core::{BlockKey, GuestAddr};

use super::op::{Code, Ops};
use crate::hot::Heat;

/// Number of a block in its [`Tier0Cache`](super::table::Tier0Cache).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockId(pub(crate) u32);

impl BlockId {
    /// Of a block that belongs to no cache.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// A fixed way out of a block: to another address, and from its first use to the block there.
#[derive(Debug)]
pub(crate) struct Link {
    /// Guest address it goes to.
    pub(crate) target: GuestAddr,
    /// The block there; while that is unknown, null, or [`Link::TAKEN`] once the link has been taken.
    to: AtomicPtr<Tier0Block>,
}

impl Link {
    const TAKEN: *mut Tier0Block = ptr::without_provenance_mut(1);

    /// A link to `target` that has not been taken.
    pub(super) const fn new(target: GuestAddr) -> Self {
        Self { target, to: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The block there, once it is known.
    #[inline(always)]
    pub(crate) fn block(&self) -> Option<&Tier0Block> {
        let to = self.to.load(Ordering::Acquire);
        if to.addr() <= Self::TAKEN.addr() {
            return None;
        }
        // SAFETY: not null and not the mark, so `set` wrote it, whose caller keeps the block where it is for as long as
        // the block that this link belongs to, which is borrowed here. Nothing but shared borrows is made of blocks.
        Some(unsafe { &*to })
    }

    /// Whether the link has ever been taken.
    pub(crate) fn taken(&self) -> bool {
        !self.to.load(Ordering::Relaxed).is_null()
    }

    /// Notes that the link was taken.
    pub(super) fn take(&self) {
        // Fails if somebody was first, or linked it.
        let _ = self.to.compare_exchange(ptr::null_mut(), Self::TAKEN, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Makes the link lead to `block`.
    ///
    /// # Safety
    /// `block` stays where it is and shared for at least as long as the block that the link belongs to.
    pub(super) unsafe fn set(&self, block: &Tier0Block) {
        self.to.store(ptr::from_ref(block).cast_mut(), Ordering::Release);
    }

    /// Forgets where the link leads.
    pub(super) fn clear(&self) {
        self.to.store(Self::TAKEN, Ordering::Release);
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
    /// Counts a jump to `target` if that is the target seen first. False if nothing was counted.
    #[inline(always)]
    pub(super) fn count_first(&self, target: u64) -> bool {
        let first = self.targets[0].load(Ordering::Relaxed) == target;
        if first {
            let n = self.counts[0].load(Ordering::Relaxed);
            self.counts[0].store(n.saturating_add(1), Ordering::Relaxed);
        }
        first
    }

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

/// Links that the end of a block may have; those of side exits have numbers from here on.
pub(super) const END_LINKS: usize = 2;

/// A block that tier 0 runs. Shared by all vCPUs of an engine.
///
/// What every pass through the block touches comes first and shares a line of the host's cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Tier0Block {
    /// Generation of guest code in which the bytes were last compared.
    generation: AtomicU32,
    /// Entries left before the hotspot detector looks at the block again. Threads race on it: entries may be lost.
    entries: AtomicU32,
    /// Its ops.
    pub(super) ops: Ops,
    /// Number of guest instructions.
    guest_len: u32,
    /// Retired: nothing leads here any more.
    dead: AtomicBool,
    /// Whether memory could be fetched to its end: a block that ends in a fetch trap is not remembered.
    pub(super) cacheable: bool,
    /// How many of the next are in use.
    end_links: u8,
    /// Ways out at the end: taken, then not taken.
    pub(super) ways: [Link; END_LINKS],
    /// Ways out from the middle.
    sides: Box<[Link]>,
    /// What it is a translation of.
    pub(crate) key: BlockKey,
    /// Its number in the cache that it belongs to.
    pub(super) id: BlockId,
    /// Words of spill area that the ops use.
    pub(super) spills: u32,
    /// Where a computed end went; `None` for other ends.
    pub(crate) indirect: Option<Box<IndirectProfile>>,
    /// Index of each guest instruction's first op, and its offset in bytes from the block's address.
    pub(super) marks: Box<[(u32, u16)]>,
    /// The guest bytes that made it.
    pub(crate) bytes: Box<[u8]>,
    /// What the hotspot detector remembers of it.
    pub(crate) heat: Heat,
    /// Links that lead here: block and number of the link.
    incoming: Mutex<Vec<(BlockId, u32)>>,
}

const _: () = assert!(std::mem::offset_of!(Tier0Block, sides) == 64);

impl Tier0Block {
    pub(super) fn new(key: BlockKey, bytes: Box<[u8]>, parts: Parts<'_>) -> Self {
        let mut ways = [const { Link::new(GuestAddr::new(0)) }; END_LINKS];
        for (way, &target) in ways.iter_mut().zip(parts.ways) {
            *way = Link::new(target);
        }
        Self {
            key,
            bytes,
            ops: Ops::new(parts.code),
            guest_len: parts.marks.len() as u32,
            marks: parts.marks.into(),
            ways,
            end_links: parts.ways.len() as u8,
            sides: parts.sides.iter().map(|&target| Link::new(target)).collect(),
            id: BlockId::NONE,
            indirect: parts.indirect.then(Box::default),
            spills: parts.spills,
            cacheable: parts.cacheable,
            generation: AtomicU32::new(0),
            entries: AtomicU32::new(0),
            heat: Heat::new(),
            dead: AtomicBool::new(false),
            incoming: Mutex::new(Vec::new()),
        }
    }

    /// Number of guest instructions.
    #[inline(always)]
    pub(crate) const fn guest_len(&self) -> u32 {
        self.guest_len
    }

    /// Link number `index`.
    pub(super) fn link(&self, index: usize) -> Option<&Link> {
        match index.checked_sub(END_LINKS) {
            None => self.ways.get(index),
            Some(side) => self.sides.get(side),
        }
    }

    /// Its ways out: of a branch the taken side first, then the other; after what the end names, the side exits.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.ways[..usize::from(self.end_links)].iter().chain(&self.sides)
    }

    /// Counts an entry in `generation` as `weight` entries. False if the block needs a look first: its bytes were last
    /// compared in another generation, or its count has run out.
    #[inline(always)]
    pub(crate) fn enter(&self, generation: u32, weight: u32) -> bool {
        if self.generation.load(Ordering::Relaxed) != generation {
            return false;
        }
        let Some(left) = self.entries.load(Ordering::Relaxed).checked_sub(weight) else { return false };
        self.entries.store(left, Ordering::Relaxed);
        true
    }

    /// Whether the block may be remembered.
    pub(crate) fn is_cacheable(&self) -> bool {
        self.cacheable
    }

    /// Bytes that the block holds outside itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.ops.bytes()
            + size_of_val(&*self.bytes)
            + size_of_val(&*self.marks)
            + size_of_val(&*self.sides)
            + self.indirect.as_ref().map_or(0, |profile| size_of_val(&**profile))
    }

    /// Generation in which the bytes were last compared, and entries left.
    pub(crate) fn entry(&self) -> (u32, u32) {
        (self.generation.load(Ordering::Relaxed), self.entries.load(Ordering::Relaxed))
    }

    /// Allows `left` entries in `generation` before the next look.
    pub(crate) fn allow(&self, generation: u32, left: u32) {
        self.entries.store(left, Ordering::Relaxed);
        self.generation.store(generation, Ordering::Relaxed);
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
pub(super) struct Parts<'a> {
    /// The last is an end.
    pub(super) code: &'a [Code],
    pub(super) marks: &'a [(u32, u16)],
    /// Where the end goes, at most [`END_LINKS`].
    pub(super) ways: &'a [GuestAddr],
    /// Where the side exits go.
    pub(super) sides: &'a [GuestAddr],
    pub(super) indirect: bool,
    pub(super) spills: u32,
    pub(super) cacheable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interp::code::Opcode;

    fn empty() -> Tier0Block {
        let code = [Code::new(Opcode::Jump, 0, 0, 0, 0)];
        let parts =
            Parts { code: &code, marks: &[], ways: &[], sides: &[], indirect: false, spills: 0, cacheable: true };
        Tier0Block::new(BlockKey::default(), Box::default(), parts)
    }

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
        let block = empty();
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
        link.take();
        assert!(link.taken() && link.block().is_none());
        let block = empty();
        // SAFETY: the block outlives the link's last use.
        unsafe { link.set(&block) };
        assert!(link.taken() && ptr::eq(link.block().unwrap(), &block));
        link.take();
        assert!(link.block().is_some());
        link.clear();
        assert!(link.taken() && link.block().is_none());
    }
}
