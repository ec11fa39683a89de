//! [`Tier0Block`]: a block in the form that tier 0 runs, with its counters, links and profile.

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use vm_core::{BlockKey, GuestAddr, GuestRange, Mode};

use super::body::{Behind, Body, BodyRef, END_WAYS, Way};
use super::op::Code;
use crate::hot::Heat;
use crate::packed;

/// Number of a block in its [`Tier0Cache`](super::table::Tier0Cache).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockId(pub(crate) u32);

impl BlockId {
    /// Of a block that belongs to no cache.
    pub(crate) const NONE: Self = Self(u32::MAX);
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
    /// Counts `times` jumps to `target`: a known one gains, an unknown one takes the place of the least used once that
    /// has been worn down. Gives how many there were, as far as is remembered.
    pub(super) fn add(&self, target: u64, times: u32) -> u32 {
        let relaxed = Ordering::Relaxed;
        for (known, count) in self.targets.iter().zip(&self.counts) {
            let n = count.load(relaxed);
            if n != 0 && known.load(relaxed) == target {
                let sum = n.saturating_add(times);
                count.store(sum, relaxed);
                return sum;
            }
        }
        let least = (0..INDIRECT_TARGETS).min_by_key(|&i| self.counts[i].load(relaxed)).unwrap_or(0);
        let worn = self.counts[least].load(relaxed) / 2;
        self.counts[least].store(worn, relaxed);
        if worn == 0 {
            self.targets[least].store(target, relaxed);
            self.counts[least].store(times, relaxed);
            return times;
        }
        0
    }

    /// Forgets `target`; gives how often a jump went there.
    fn take(&self, target: u64) -> u32 {
        let known = self.targets.iter().position(|known| known.load(Ordering::Relaxed) == target);
        known.map_or(0, |index| self.counts[index].swap(0, Ordering::Relaxed))
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
#[derive(Debug)]
pub(crate) struct Tier0Block {
    /// What every pass through it touches; its marks are of [`Marks`].
    pub(super) body: Body,
    /// Where a computed end went, without what is counted in the head; made for the second target, null before.
    profile: AtomicPtr<IndirectProfile>,
    mode: Mode,
    /// What the hotspot detector remembers of it.
    pub(crate) heat: Heat,
    /// For the cache's index: what follows in the block's bucket, and what tells it from most others there.
    pub(super) next: AtomicU32,
    pub(super) tag: u16,
    /// For the cache's book: the first of the ways that lead here.
    pub(super) incoming: AtomicU32,
    /// Words of spill area that the ops use.
    pub(super) spills: u32,
    /// Whether its end is computed.
    indirect: bool,
    /// Whether memory could be fetched to its end: a block that ends in a fetch trap is not remembered.
    cacheable: bool,
}

// So that a block and whether it is there share a line of the host's cache.
const _: () = assert!(size_of::<OnceLock<Tier0Block>>() <= 64);

impl Tier0Block {
    pub(super) fn new(key: BlockKey, parts: Parts<'_>) -> Self {
        Self {
            body: Body::new(
                key.pc.get(),
                parts.guest_len,
                Behind {
                    codes: parts.code,
                    ends: parts.ends,
                    sides: parts.sides,
                    bytes: parts.bytes,
                    marks: &parts.marks.packed,
                },
            ),
            profile: AtomicPtr::new(ptr::null_mut()),
            mode: key.mode,
            heat: Heat::new(),
            next: AtomicU32::new(0),
            tag: 0,
            incoming: AtomicU32::new(0),
            spills: parts.spills,
            indirect: parts.indirect,
            cacheable: parts.cacheable,
        }
    }

    /// What it is a translation of.
    pub(crate) fn key(&self) -> BlockKey {
        BlockKey::new(self.pc(), self.mode)
    }

    /// Its guest address.
    pub(crate) fn pc(&self) -> GuestAddr {
        GuestAddr::new(self.body.pc)
    }

    /// Number of guest instructions.
    pub(crate) fn guest_len(&self) -> u32 {
        self.body.guest_len()
    }

    /// The guest bytes that made it.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.body.guest_bytes()
    }

    /// Where these bytes are; `None` at the end of the address space, where no code is.
    pub(crate) fn range(&self) -> Option<GuestRange> {
        GuestRange::new(self.pc(), self.bytes().len() as u64).ok()
    }

    /// Of each guest instruction, the index of its first op, and its offset in bytes from the block's address.
    fn marks(&self) -> impl Iterator<Item = (u32, i64)> {
        let (mut rest, mut first, mut offset) = (self.body.marks(), 0, 0);
        (0..self.guest_len()).map(move |_| {
            let (ops, bytes) = take_mark(&mut rest);
            (first, offset) = (first + ops as u32, offset + bytes as i64);
            (first, offset)
        })
    }

    /// Way number `index`.
    pub(super) fn way(&self, index: usize) -> Option<&Way> {
        match index.checked_sub(END_WAYS) {
            None => self.body.ways.get(index),
            Some(side) => self.body.sides().get(side).map(|side| &side.way),
        }
    }

    /// Where way number `index` leads, if that is fixed.
    pub(super) fn target(&self, index: usize) -> Option<GuestAddr> {
        match index.checked_sub(END_WAYS) {
            None => self.body.targets().get(index).copied(),
            Some(side) => self.body.sides().get(side).map(|side| side.target),
        }
    }

    /// Its fixed ways out and whether each was ever taken: of a branch the taken side first, then the other; after what
    /// the end names, the side exits.
    pub(crate) fn ways(&self) -> impl Iterator<Item = (GuestAddr, bool)> {
        let ends = self.body.targets().iter().zip(&self.body.ways);
        ends.map(|(target, way)| (*target, way.taken()))
            .chain(self.body.sides().iter().map(|side| (side.target, side.way.taken())))
    }

    /// Where its computed end went most, with counts, most frequent first; empty for other ends.
    pub(crate) fn targets(&self) -> Vec<(GuestAddr, u32)> {
        let mut targets = self.profile().map_or_else(Vec::new, IndirectProfile::targets);
        if self.indirect
            && let Some(to) = self.body.ways[0].block()
        {
            let to = GuestAddr::new(to.head().pc);
            targets.retain(|&(target, _)| target != to);
            targets.push((to, self.body.hits.load(Ordering::Relaxed)));
            targets.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        }
        targets
    }

    /// Counts a jump of its computed end to `target`, where its way does not lead. True if it should lead there from now
    /// on: it leads nowhere yet, or to where jumps go much less often.
    pub(super) fn should_lead_to(&self, target: u64) -> bool {
        if self.body.ways[0].block().is_none() {
            return true; // counted by `lead`
        }
        let count = self.make_profile().add(target, 1);
        count / 2 > self.body.hits.load(Ordering::Relaxed).saturating_add(8)
    }

    /// Where a computed end went, if there was more than one target.
    fn profile(&self) -> Option<&IndirectProfile> {
        // SAFETY: null, or of the box that `make_profile` gave up, which is dropped with the block.
        unsafe { self.profile.load(Ordering::Acquire).as_ref() }
    }

    /// The same, made if need be.
    fn make_profile(&self) -> &IndirectProfile {
        if let Some(profile) = self.profile() {
            return profile;
        }
        let new = Box::into_raw(Box::default());
        match self.profile.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: the box was given up for it; it is dropped with the block.
            Ok(_) => unsafe { &*new },
            Err(known) => {
                // SAFETY: nobody else has seen the new box; the known one is as above.
                unsafe {
                    drop(Box::from_raw(new));
                    &*known
                }
            }
        }
    }

    /// Makes way number `index` lead to `to`.
    ///
    /// # Safety
    /// `to` stays where it is for at least as long as this block.
    pub(super) unsafe fn lead(&self, index: usize, to: &Self) {
        let Some(way) = self.way(index) else { return };
        if self.indirect && index == 0 {
            // The head counts for the target of the way, the profile for all others.
            let hits = &self.body.hits;
            if let Some(old) = way.block() {
                self.make_profile().add(old.head().pc, hits.load(Ordering::Relaxed));
            }
            let known = self.profile().map_or(0, |profile| profile.take(to.body.pc));
            hits.store(known.max(1), Ordering::Relaxed);
        }
        // SAFETY: the caller's contract.
        unsafe { way.set(to.body.get()) };
    }

    /// Its body.
    pub(crate) const fn body(&self) -> BodyRef<'_> {
        self.body.get()
    }

    /// Whether the block may be remembered.
    pub(crate) fn is_cacheable(&self) -> bool {
        self.cacheable
    }

    /// Bytes that the block holds outside itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.body.size() + if self.indirect { size_of::<IndirectProfile>() } else { 0 }
    }

    /// Allows `left` entries in `generation` before the next look.
    pub(crate) fn allow(&self, generation: u32, left: u32) {
        self.body.allow(generation, left);
    }

    /// Whether the block was retired.
    pub(crate) fn is_dead(&self) -> bool {
        self.body.is_dead()
    }

    /// The guest instruction that the op at `index` belongs to: how many came before it in the block, and its address.
    pub(super) fn instruction_at(&self, index: usize) -> (u32, GuestAddr) {
        let before = self.marks().take_while(|(first, _)| *first as usize <= index).enumerate().last();
        before.map_or((0, self.pc()), |(number, (_, offset))| (number as u32, self.pc().offset(offset)))
    }

    /// How many guest instructions of the block lie before `pc`.
    pub(super) fn instructions_before(&self, pc: GuestAddr) -> u32 {
        self.marks().take_while(|(_, offset)| self.pc().offset(*offset) < pc).count() as u32
    }
}

impl Drop for Tier0Block {
    fn drop(&mut self) {
        let profile = *self.profile.get_mut();
        if !profile.is_null() {
            // SAFETY: of the box that `make_profile` gave up; nobody borrows the block.
            drop(unsafe { Box::from_raw(profile) });
        }
    }
}

/// Of each guest instruction, how many ops and bytes come between the start of the one before and its own.
#[derive(Debug, Default)]
pub(super) struct Marks {
    packed: Vec<u8>,
    /// The last instruction's first op and offset.
    first: u32,
    offset: u16,
}

impl Marks {
    pub(super) fn clear(&mut self) {
        self.packed.clear();
        (self.first, self.offset) = (0, 0);
    }

    /// Adds an instruction, by its first op and its offset in bytes.
    pub(super) fn push(&mut self, first: u32, offset: u16) {
        packed::put(&mut self.packed, u64::from(first - self.first));
        packed::put(&mut self.packed, u64::from(offset - self.offset));
        (self.first, self.offset) = (first, offset);
    }
}

/// The next mark: ops and bytes since the one before.
fn take_mark(marks: &mut &[u8]) -> (u64, u64) {
    (packed::take(marks), packed::take(marks))
}

/// What lowering makes of a block.
pub(super) struct Parts<'a> {
    /// The last is an end.
    pub(super) code: &'a [Code],
    pub(super) guest_len: u32,
    /// The guest bytes.
    pub(super) bytes: &'a [u8],
    pub(super) marks: &'a Marks,
    /// Where the end goes, at most [`END_WAYS`].
    pub(super) ends: &'a [GuestAddr],
    /// Where the side exits go.
    pub(super) sides: &'a [GuestAddr],
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
            profile.add(0x1000, 1);
            profile.add(0x2000, 1);
            profile.add(0x10_0000 + round * 16, 1); // each once
        }
        let targets = profile.targets();
        assert_eq!(targets[0], (GuestAddr::new(0x1000), 100));
        assert_eq!(targets[1], (GuestAddr::new(0x2000), 100));
    }
}
