//! The jump cache: where the code for a computed guest address is, as one vCPU knows it.
//!
//! Generated code looks into the cache of its frame's mode before it leaves for an address that it has computed. An
//! entry is 16 bytes, the guest address and the host address of its code. The entry for `pc` is [`offset`] bytes from
//! the start; the address that was there before is in that entry's neighbour, where the stub that a miss leads to looks.
//! So two addresses that share an entry do not push each other out.
//!
//! An entry of zeros matches nothing, because only address 0 would be found there, and it is looked for in the first
//! entry and its neighbour, which are never zeros. So a new cache is memory that nobody has touched.

use vm_core::GuestAddr;

use crate::frame::FrameBody;
use crate::jit::code::CodePtr;

/// Guest address and host address of its code.
pub(crate) type JumpEntry = [u64; 2];

/// What the byte offsets of an entry and of its neighbour differ by, bit for bit.
pub(crate) const NEIGHBOUR: u64 = size_of::<JumpEntry>() as u64;

/// Entries of a new cache and the most of one, powers of two. The former take two pages at most, and the caches of programs
/// that end at once stay so.
const LEAST: usize = 256;
const MOST: usize = 65_536;

/// Entries in a line of the host's cache, of 64 bytes.
const LINE: usize = 64 / size_of::<JumpEntry>();

/// What the first entry and its neighbour hold when they are empty: an address that is looked for in the last two.
const ELSEWHERE: u64 = u64::MAX;

/// Byte offset of the entry for `pc` in a cache whose frame says `mask`: bits of the address above its lowest, which is
/// always 0 where instructions are aligned to two bytes or more.
pub(crate) const fn offset(pc: GuestAddr, mask: u64) -> u64 {
    (pc.get() << 3) & mask
}

/// A jump cache. It grows while addresses are pushed out.
pub(crate) struct JumpCache {
    /// The entries, with a few more so that those that are used can begin where a line of the host's cache does: an entry
    /// and its neighbour share one.
    memory: Box<[JumpEntry]>,
    /// Index of the first that is used, and how many are.
    first: usize,
    len: usize,
    /// Addresses that were pushed out since the cache had this size.
    lost: usize,
    /// Whether nothing was put into it since it was made or emptied: its memory need not be touched then.
    is_empty: bool,
}

impl JumpCache {
    /// An empty cache.
    pub(crate) fn new() -> Self {
        Self::with_len(LEAST)
    }

    fn with_len(len: usize) -> Self {
        let memory = vec![[0; 2]; len + LINE - 1].into_boxed_slice();
        let first = (memory.as_ptr() as usize).wrapping_neg() / size_of::<JumpEntry>() % LINE;
        let mut cache = Self { memory, first, len, lost: 0, is_empty: true };
        cache.empty_first();
        cache
    }

    fn entries(&self) -> &[JumpEntry] {
        &self.memory[self.first..][..self.len]
    }

    fn entries_mut(&mut self) -> &mut [JumpEntry] {
        &mut self.memory[self.first..][..self.len]
    }

    fn empty_first(&mut self) {
        self.entries_mut()[..2].fill([ELSEWHERE, 0]);
    }

    const fn mask(&self) -> u64 {
        (self.len as u64 - 1) * size_of::<JumpEntry>() as u64
    }

    /// The places of `pc`: its entry and the neighbour.
    const fn places(&self, pc: GuestAddr) -> [usize; 2] {
        let offset = offset(pc, self.mask());
        [offset as usize / size_of::<JumpEntry>(), (offset ^ NEIGHBOUR) as usize / size_of::<JumpEntry>()]
    }

    /// Makes generated code that runs on `body` look into this cache: until it grows, is dropped, or another is shown.
    pub(crate) fn show(&self, body: &mut FrameBody) {
        body.jump_cache = self.entries().as_ptr() as u64;
        body.jump_mask = self.mask();
    }

    /// Where the code for `pc` is, if that was remembered.
    pub(crate) fn recall(&self, pc: GuestAddr) -> Option<CodePtr> {
        let known = self.places(pc).map(|place| self.entries()[place]);
        known.into_iter().find(|[known, code]| *known == pc.get() && *code != 0).map(|[_, code]| CodePtr::new(code))
    }

    /// Remembers where the code for `pc` is. True says that the cache has grown and must be shown again.
    pub(crate) fn remember(&mut self, pc: GuestAddr, code: CodePtr) -> bool {
        let lost = self.put([pc.get(), code.address()]);
        self.lost += usize::from(lost);
        let grows = self.lost > self.len && self.len < MOST;
        if grows {
            let old = std::mem::replace(self, Self::with_len(4 * self.len));
            for entry in old.entries().iter().filter(|entry| entry[1] != 0) {
                self.put(*entry);
            }
        }
        grows
    }

    /// Puts `new` to its place, or over the same address in the neighbour. True says that an address was pushed out.
    fn put(&mut self, new: JumpEntry) -> bool {
        self.is_empty = false;
        let [own, neighbour] = self.places(GuestAddr::new(new[0]));
        let entries = self.entries_mut();
        if entries[neighbour][0] == new[0] {
            entries[neighbour] = new;
            return false;
        }
        let before = std::mem::replace(&mut entries[own], new);
        if before[0] == new[0] || before[1] == 0 {
            return false;
        }
        std::mem::replace(&mut entries[neighbour], before)[1] != 0
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        if !std::mem::replace(&mut self.is_empty, true) {
            self.entries_mut().fill([0; 2]);
            self.empty_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cache: &JumpCache, pc: u64) -> Option<u64> {
        cache.recall(GuestAddr::new(pc)).map(|code| code.address())
    }

    fn remember(cache: &mut JumpCache, pc: u64, code: u64) -> bool {
        cache.remember(GuestAddr::new(pc), CodePtr::new(code))
    }

    #[test]
    fn every_address_is_unknown_at_first_and_after_clearing() {
        let mut cache = JumpCache::new();
        for pc in [0, 2, 0x1000, u64::MAX, u64::MAX - 1, u64::MAX - 2] {
            assert_eq!(found(&cache, pc), None, "{pc:#x}");
            remember(&mut cache, pc, 64);
            assert_eq!(found(&cache, pc), Some(64), "{pc:#x}");
            cache.clear();
            assert_eq!(found(&cache, pc), None, "{pc:#x}");
        }
    }

    #[test]
    fn two_addresses_share_an_entry_and_a_third_pushes_the_older_out() {
        let mut cache = JumpCache::new();
        let stride = 2 * LEAST as u64;
        remember(&mut cache, 0x1000, 1);
        remember(&mut cache, 0x1000 + stride, 2);
        assert_eq!([found(&cache, 0x1000), found(&cache, 0x1000 + stride)], [Some(1), Some(2)]);
        remember(&mut cache, 0x1000, 3);
        assert_eq!([found(&cache, 0x1000), found(&cache, 0x1000 + stride)], [Some(3), Some(2)], "changed in its place");
        remember(&mut cache, 0x1000 + 2 * stride, 4);
        let all = [0, 1, 2].map(|n| found(&cache, 0x1000 + n * stride));
        assert_eq!(all, [None, Some(2), Some(4)]);
    }

    #[test]
    fn growing_keeps_what_is_known_and_ends() {
        let mut cache = JumpCache::new();
        let stride = 2 * LEAST as u64;
        remember(&mut cache, 0x2008, 7);
        let mut grown = 0;
        for round in 0..20 * MOST as u64 {
            grown += usize::from(remember(&mut cache, 0x1000 + round % 512 * stride, 8));
        }
        assert_eq!((grown, cache.len), ((MOST / LEAST).ilog(4) as usize, MOST));
        assert_eq!(cache.entries().as_ptr() as usize % 64, 0);
        assert_eq!(found(&cache, 0x2008), Some(7));
    }
}
