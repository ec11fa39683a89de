//! [`Tier0Cache`]: the blocks of tier 0, by key and by number, their links, and how they are retired.
//!
//! Blocks are only added while the cache lives, so that a number stays valid; the memory of retired blocks is given
//! back when the engine starts a new cache. A block is retired in three steps under one lock: it leaves the table, the
//! links that lead to it are cleared, and it is marked. A vCPU inside it finishes the block and gets no further: its
//! ways out were resolved before or are looked up in the table.
//!
//! The table is a chain of blocks for each bucket, which only the lock's holder changes: no lookup takes a lock, and
//! nothing but the block itself is allocated for it. A bucket is chosen by the block's address as it is, so that a program
//! touches of the table what it touches of its code.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use vm_core::{BlockKey, GuestAddr, GuestMemory, GuestRange, PAGE_SIZE};

use super::block::{BlockId, Tier0Block};
use super::body::BodyRef;
use crate::engine::bytes_match;

/// Buckets that are made together, and how often. Both are powers of two.
const BUCKETS: usize = 1024;
const BUCKET_GROUPS: usize = 256;
/// Bytes of guest code that share a bucket.
const BUCKET_BYTES: u64 = 8;

/// Bits of a block's address that say nothing of its bucket: those that its bytes share, but for the lowest, which is 0
/// where instructions are aligned to two bytes or more, and those above.
const fn tag(pc: GuestAddr) -> u16 {
    const ABOVE: u64 = BUCKET_BYTES * (BUCKETS * BUCKET_GROUPS) as u64;
    const WITHIN: u64 = BUCKET_BYTES / 2;
    (pc.get() / ABOVE * WITHIN + pc.get() / 2 % WITHIN) as u16
}

/// Numbers of the first blocks of chains, plus one; zero for none.
type Buckets = Box<[AtomicU32; BUCKETS]>;

/// Blocks of tier 0.
pub(crate) struct Tier0Cache {
    buckets: [OnceLock<Buckets>; BUCKET_GROUPS],
    blocks: boxcar::Vec<Tier0Block>,
    /// Guest instructions in the blocks, and bytes that the blocks hold.
    guest_instructions: AtomicU64,
    bytes: AtomicUsize,
    retired: AtomicU64,
    /// How often a range was invalidated. Changes under the lock.
    invalidations: AtomicU64,
    book: Mutex<Book>,
}

/// What changes only under the lock.
#[derive(Default)]
struct Book {
    /// Blocks by the pages that their bytes touch.
    pages: BTreeMap<u64, Vec<BlockId>>,
    /// Ways that lead to blocks, a list for each block.
    leads: Vec<Lead>,
}

/// A way that leads, or has led, to a block.
struct Lead {
    from: BlockId,
    link: u32,
    /// The next one to the same block, its index plus one; zero for none.
    next: u32,
}

/// Why [`Tier0Cache::insert`] does not take a block.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Code was invalidated meanwhile, or the cache is full: the block may be stale, and must be translated anew (in a new
    /// cache if this one [is full](Tier0Cache::is_full)).
    Outdated,
    /// It would be the first block of the cache in one of its pages: writes there may not be reported yet.
    Unwatched(Tier0Block),
}

impl Tier0Cache {
    /// Blocks that a cache can hold.
    pub(crate) const CAPACITY: u32 = 1 << 22;

    pub(crate) fn new() -> Self {
        Self {
            buckets: [const { OnceLock::new() }; BUCKET_GROUPS],
            blocks: boxcar::Vec::new(),
            guest_instructions: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            retired: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            book: Mutex::default(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the cache as it is, as a thread does that is changing it.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> MutexGuard<'_, impl Sized> {
        self.book()
    }

    /// The block with this number; `None` for a number that no block has.
    #[inline(always)]
    pub(crate) fn get(&self, id: BlockId) -> Option<&Tier0Block> {
        self.blocks.get(id.0 as usize)
    }

    /// The group of the bucket for `pc`, and the bucket's index there.
    fn bucket(&self, pc: GuestAddr) -> (&OnceLock<Buckets>, usize) {
        let number = (pc.get() / BUCKET_BYTES) as usize;
        (&self.buckets[number / BUCKETS % BUCKET_GROUPS], number % BUCKETS)
    }

    /// The block of an entry in a chain, unless that is the end.
    fn chained(&self, entry: &AtomicU32) -> Option<&Tier0Block> {
        self.get(BlockId(entry.load(Ordering::Acquire).checked_sub(1)?))
    }

    /// The block with this key.
    pub(crate) fn find(&self, key: BlockKey) -> Option<&Tier0Block> {
        let (group, index) = self.bucket(key.pc);
        let tag = tag(key.pc);
        let mut entry = &group.get()?[index];
        while let Some(block) = self.chained(entry) {
            if block.tag == tag && block.key() == key && !block.is_dead() {
                return Some(block);
            }
            entry = &block.next;
        }
        None
    }

    /// Takes a block out of its chain. A lookup that has come as far as this block goes on from it.
    fn unchain(&self, _: &mut Book, dead: &Tier0Block) {
        let (group, index) = self.bucket(dead.pc());
        let Some(buckets) = group.get() else { return };
        let mut entry = &buckets[index];
        while let Some(block) = self.chained(entry) {
            if std::ptr::eq(block, dead) {
                entry.store(dead.next.load(Ordering::Relaxed), Ordering::Release);
                return;
            }
            entry = &block.next;
        }
    }

    /// A stamp to take before a block is translated and to give to [`Tier0Cache::insert`].
    pub(crate) fn stamp(&self) -> u64 {
        self.invalidations.load(Ordering::Acquire)
    }

    /// Adds a block that was translated after `stamp` was taken. If another thread was first, that thread's block is
    /// the one.
    ///
    /// # Errors
    /// [`Refused::Outdated`] and [`Refused::Unwatched`], the latter unless the caller says that its pages are `watched`.
    pub(crate) fn insert(&self, mut block: Tier0Block, stamp: u64, watched: bool) -> Result<BodyRef<'_>, Refused> {
        let mut book = self.book();
        if self.stamp() != stamp {
            return Err(Refused::Outdated);
        }
        if let Some(known) = self.find(block.key()) {
            return Ok(known.body());
        }
        let Some(range) = block.range() else { return Err(Refused::Unwatched(block)) };
        // The first page is looked up below, with nothing done yet; most blocks have no other.
        let is_new = |page: GuestAddr| !book.pages.contains_key(&page.get());
        if !watched && range.pages().skip(1).any(is_new) {
            return Err(Refused::Unwatched(block));
        }
        if self.is_full() {
            return Err(Refused::Outdated);
        }
        let id = BlockId(self.blocks.count() as u32);
        let key = block.key();
        for page in range.pages() {
            match book.pages.get_mut(&page.get()) {
                Some(ids) => ids.push(id),
                None if watched => drop(book.pages.insert(page.get(), vec![id])),
                None => return Err(Refused::Unwatched(block)),
            }
        }
        self.guest_instructions.fetch_add(u64::from(block.guest_len()), Ordering::Relaxed);
        self.bytes.fetch_add(block.heap_bytes() + size_of::<Tier0Block>(), Ordering::Relaxed);
        block.body.set_id(id);
        let (group, index) = self.bucket(key.pc);
        let first = &group.get_or_init(|| Box::new([const { AtomicU32::new(0) }; BUCKETS]))[index];
        block.next = AtomicU32::new(first.load(Ordering::Relaxed));
        block.tag = tag(key.pc);
        let number = self.blocks.push(block);
        debug_assert_eq!(number, id.0 as usize, "nobody adds a block without the lock");
        first.store(id.0 + 1, Ordering::Release);
        Ok(self.blocks[number].body())
    }

    /// Whether no more blocks fit.
    pub(crate) fn is_full(&self) -> bool {
        self.blocks.count() >= Self::CAPACITY as usize
    }

    /// Makes link number `link` of `from` lead to `to`, unless `to` is retired.
    pub(crate) fn link(&self, from: BlockId, link: usize, to: BlockId) {
        let mut book = self.book();
        let (Some(source), Some(target)) = (self.get(from), self.get(to)) else { return };
        if target.is_dead() {
            return;
        }
        let next = target.incoming.load(Ordering::Relaxed);
        book.leads.push(Lead { from, link: link as u32, next });
        target.incoming.store(book.leads.len() as u32, Ordering::Relaxed);
        self.bytes.fetch_add(size_of::<Lead>(), Ordering::Relaxed);
        // SAFETY: both blocks are in this cache's list, in which none is moved or dropped, and given out shared, until
        // the cache and with it every block is dropped.
        unsafe { source.lead(link, target) };
    }

    /// Retires every block with a byte in `range`; gives how many. Blocks that are being translated meanwhile are
    /// refused by [`Tier0Cache::insert`].
    pub(crate) fn invalidate(&self, range: GuestRange) -> usize {
        let mut book = self.book();
        self.invalidations.fetch_add(1, Ordering::Release);
        if range.is_empty() {
            return 0;
        }
        let first = range.start().page_start().get();
        let last = (range.end().get() - 1) & !(PAGE_SIZE - 1);
        let touched: Vec<BlockId> = book.pages.range(first..=last).flat_map(|(_, ids)| ids.iter().copied()).collect();
        let mut count = 0;
        for id in touched {
            let Some(block) = self.get(id) else { continue };
            if !block.is_dead() && block.range().is_some_and(|bytes| bytes.overlaps(range)) {
                self.retire_locked(&mut book, id, block);
                count += 1;
            }
        }
        count
    }

    /// Retires every block that has bytes in the pages of `range` which are no longer in `memory`. Blocks that are being
    /// translated meanwhile are refused by [`Tier0Cache::insert`].
    pub(crate) fn revalidate(&self, range: GuestRange, memory: &dyn GuestMemory) {
        let mut book = self.book();
        self.invalidations.fetch_add(1, Ordering::Release);
        let pages = range.whole_pages();
        let mut touched: Vec<BlockId> = Vec::new();
        for (page, ids) in book.pages.range(pages.start().get()..pages.end().get()) {
            if !memory.is_fixed(GuestAddr::new(*page)) {
                touched.extend(ids);
            }
        }
        for id in touched {
            if let Some(block) = self.get(id).filter(|block| !block.is_dead())
                && !bytes_match(memory, block.pc(), block.bytes())
            {
                self.retire_locked(&mut book, id, block);
            }
        }
    }

    /// The blocks that begin in `range`, each once.
    #[cfg(feature = "jit")]
    pub(crate) fn beginning_in(&self, range: GuestRange) -> Vec<BlockKey> {
        let book = self.book();
        let pages = range.whole_pages();
        let pages = book.pages.range(pages.start().get()..pages.end().get());
        let blocks = pages.flat_map(|(_, ids)| ids).filter_map(|id| self.get(*id));
        // A block is listed in each page that it touches.
        let mut keys: Vec<_> = blocks.map(Tier0Block::key).filter(|key| range.contains(key.pc)).collect();
        keys.sort_unstable_by_key(|key| key.pc);
        keys.dedup();
        keys
    }

    /// Retires one block.
    pub(crate) fn retire(&self, id: BlockId) {
        let mut book = self.book();
        if let Some(block) = self.get(id)
            && !block.is_dead()
        {
            self.retire_locked(&mut book, id, block);
        }
    }

    fn retire_locked(&self, book: &mut Book, id: BlockId, block: &Tier0Block) {
        self.unchain(book, block);
        block.body.kill();
        let mut next = block.incoming.swap(0, Ordering::Relaxed);
        while let Some(lead) = next.checked_sub(1).and_then(|index| book.leads.get(index as usize)) {
            if let Some(way) = self.get(lead.from).and_then(|source| source.way(lead.link as usize))
                && way.block().is_some_and(|to| to.is(&block.body))
            {
                way.clear();
            }
            next = lead.next;
        }
        if let Some(range) = block.range() {
            for page in range.pages() {
                if let Some(ids) = book.pages.get_mut(&page.get()) {
                    ids.retain(|&other| other != id);
                    if ids.is_empty() {
                        book.pages.remove(&page.get());
                    }
                }
            }
        }
        self.retired.fetch_add(1, Ordering::Relaxed);
    }

    /// Blocks made, of them retired, guest instructions in them, and bytes they hold.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            blocks: self.blocks.count() as u64,
            retired: self.retired.load(Ordering::Relaxed),
            guest_instructions: self.guest_instructions.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed) as u64,
        }
    }
}

/// Sizes of a [`Tier0Cache`]; see [`Tier0Cache::counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) blocks: u64,
    pub(crate) retired: u64,
    pub(crate) guest_instructions: u64,
    pub(crate) bytes: u64,
}
