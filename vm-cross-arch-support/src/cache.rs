//! [`TranslationResultCache`]: remembered translations, found by key and believed only after comparing guest bytes.
//!
//! One mutex guards the index; translation and the comparison of bytes happen outside of it. Two threads that want the
//! same block at once share one translation. What is least recently used goes first when a bound is exceeded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use vm_core::{BlockKey, GuestArch, GuestMemory, GuestRange};
use vm_ir::{Block, HeldSource, Inst, Mark};

use crate::guest::Extensions;

/// What a translation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TranslationTarget {
    /// The IR, which names no host.
    Ir,
}

/// Everything but the guest bytes that shapes a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TranslationCacheKey {
    /// Guest.
    pub arch: GuestArch,
    /// Guest features.
    pub extensions: Extensions,
    /// What the translation is for.
    pub target: TranslationTarget,
    /// Address and mode.
    pub block: BlockKey,
    /// Most guest instructions in a block.
    pub max_instructions: usize,
}

/// Bounds of a [`TranslationResultCache`]; a bound of zero keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Most blocks.
    pub entries: usize,
    /// Most bytes of host memory, index included.
    pub bytes: usize,
}

impl Default for CacheLimits {
    /// 65536 blocks, 64 MiB.
    fn default() -> Self {
        Self { entries: 65536, bytes: 64 << 20 }
    }
}

/// Counters of a [`TranslationResultCache`].
///
/// They add up: `requests = hits + joined + misses`, and
/// `insertions = entries + evictions + invalidated + stale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Look-ups.
    pub requests: u64,
    /// Look-ups answered by a remembered translation.
    pub hits: u64,
    /// Look-ups answered by a translation that another thread was making.
    pub joined: u64,
    /// Look-ups that had to be translated.
    pub misses: u64,
    /// Translations remembered.
    pub insertions: u64,
    /// Entries dropped for a bound.
    pub evictions: u64,
    /// Entries dropped by [`TranslationResultCache::invalidate`].
    pub invalidated: u64,
    /// Entries dropped because guest memory holds other bytes now.
    pub stale: u64,
    /// Entries held.
    pub entries: u64,
    /// Bytes of host memory held.
    pub bytes: u64,
}

/// A fresh translation.
#[derive(Clone, Debug)]
pub struct Translated {
    /// The block.
    pub block: Arc<Block>,
    /// Whether it follows from its bytes alone. A block that ends because memory could not be read does not.
    pub remember: bool,
}

/// A bounded cache of translations.
#[derive(Debug)]
pub struct TranslationResultCache {
    limits: CacheLimits,
    index: Mutex<Index>,
    hits: AtomicU64,
    joined: AtomicU64,
    misses: AtomicU64,
}

/// Host memory that an entry takes besides the block's own vectors: the block with its reference counts, the node of the
/// list, and shares of the hash tables.
const ENTRY_OVERHEAD: usize = size_of::<Block>() + 16 + 2 * size_of::<TranslationCacheKey>() + 96;

/// Seeded, because keys are the guest's to choose.
type Hasher = foldhash::fast::RandomState;

#[derive(Debug)]
struct Index {
    blocks: LruCache<TranslationCacheKey, Arc<Block>, Hasher>,
    /// Keys of the blocks that touch each guest page.
    pages: HashMap<u64, Vec<TranslationCacheKey>, Hasher>,
    flights: HashMap<TranslationCacheKey, Arc<Flight>, Hasher>,
    /// How often something was invalidated: a translation that was under way then is not remembered.
    invalidations: u64,
    bytes: usize,
    insertions: u64,
    evictions: u64,
    invalidated: u64,
    stale: u64,
}

/// A translation under way.
#[derive(Debug, Default)]
struct Flight {
    landed: Mutex<Landing>,
    changed: Condvar,
}

#[derive(Clone, Debug, Default)]
enum Landing {
    #[default]
    InTheAir,
    Landed(Arc<Block>),
    /// The translating thread panicked.
    Lost,
}

/// What a look-up found.
enum Found {
    Block(Arc<Block>),
    Flight(Arc<Flight>),
    /// Nothing: the caller translates.
    Nothing {
        flight: Arc<Flight>,
        invalidations: u64,
    },
}

impl TranslationResultCache {
    /// An empty cache.
    #[must_use]
    pub fn new(limits: CacheLimits) -> Self {
        let hasher = Hasher::default();
        let index = Index {
            blocks: LruCache::unbounded_with_hasher(hasher.clone()),
            pages: HashMap::with_hasher(hasher.clone()),
            flights: HashMap::with_hasher(hasher),
            invalidations: 0,
            bytes: 0,
            insertions: 0,
            evictions: 0,
            invalidated: 0,
            stale: 0,
        };
        Self {
            limits,
            index: Mutex::new(index),
            hits: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The remembered translation for `key`, if `memory` still holds the bytes that made it. Counted as a miss otherwise:
    /// the caller translates, and does not tell the cache.
    pub fn get(&self, key: &TranslationCacheKey, memory: &dyn GuestMemory) -> Option<Arc<Block>> {
        let found = self.index().blocks.get(key).map(Arc::clone);
        if let Some(block) = found {
            if holds(memory, &block) {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Some(block);
            }
            self.index().drop_stale(key, &block);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// The remembered translation for `key` if `memory` still holds the bytes that made it, else what `translate` gives,
    /// which is remembered. Threads that ask for the same key at the same time call `translate` once.
    ///
    /// # Panics
    /// If `translate` does; other threads then translate for themselves.
    pub fn get_or_translate(
        &self,
        key: &TranslationCacheKey,
        memory: &dyn GuestMemory,
        translate: impl FnOnce() -> Translated,
    ) -> Arc<Block> {
        loop {
            let found = self.index().find(key);
            match found {
                Found::Block(block) => {
                    if holds(memory, &block) {
                        self.hits.fetch_add(1, Ordering::Relaxed);
                        return block;
                    }
                    self.index().drop_stale(key, &block);
                }
                Found::Flight(flight) => {
                    if let Some(block) = flight.wait().filter(|block| holds(memory, block)) {
                        self.joined.fetch_add(1, Ordering::Relaxed);
                        return block;
                    }
                }
                Found::Nothing { flight, invalidations } => {
                    self.misses.fetch_add(1, Ordering::Relaxed);
                    let pilot = Pilot { cache: self, key: *key, flight };
                    let translated = translate();
                    pilot.land(&translated, invalidations);
                    return translated.block;
                }
            }
        }
    }

    /// Forgets every translation of bytes in `range`; those under way are not remembered.
    pub fn invalidate(&self, range: GuestRange) {
        if range.is_empty() {
            return;
        }
        let mut index = self.index();
        index.invalidations += 1;
        let touched = (range.end().get().saturating_sub(1) >> PAGE_BITS) - (range.start().get() >> PAGE_BITS);
        let keys: Vec<_> = if touched < index.pages.len() as u64 {
            range.pages().filter_map(|page| index.pages.get(&(page.get() >> PAGE_BITS))).flatten().copied().collect()
        } else {
            index.blocks.iter().map(|(key, _)| *key).collect()
        };
        for key in keys {
            if index.blocks.peek(&key).is_some_and(|block| guest_range(block).overlaps(range)) {
                index.remove(&key);
                index.invalidated += 1;
            }
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let index = self.index();
        let (hits, joined, misses) = (
            self.hits.load(Ordering::Relaxed),
            self.joined.load(Ordering::Relaxed),
            self.misses.load(Ordering::Relaxed),
        );
        CacheStats {
            requests: hits + joined + misses,
            hits,
            joined,
            misses,
            insertions: index.insertions,
            evictions: index.evictions,
            invalidated: index.invalidated,
            stale: index.stale,
            entries: index.blocks.len() as u64,
            bytes: index.bytes as u64,
        }
    }

    /// No call into foreign code happens under the lock, so that a panic cannot leave the index half changed.
    /// Holds the cache still for a fork of the process.
    pub(crate) fn hold(&self) -> HeldCache<'_> {
        HeldCache(self.index())
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PAGE_BITS: u32 = vm_core::PAGE_SIZE.trailing_zeros();

impl Index {
    fn find(&mut self, key: &TranslationCacheKey) -> Found {
        if let Some(block) = self.blocks.get(key) {
            return Found::Block(Arc::clone(block));
        }
        if let Some(flight) = self.flights.get(key) {
            return Found::Flight(Arc::clone(flight));
        }
        let flight = Arc::new(Flight::default());
        self.flights.insert(*key, Arc::clone(&flight));
        Found::Nothing { flight, invalidations: self.invalidations }
    }

    fn insert(&mut self, key: TranslationCacheKey, block: Arc<Block>, limits: CacheLimits) {
        let size = size(&block);
        if size > limits.bytes || limits.entries == 0 {
            return;
        }
        for page in guest_range(&block).pages() {
            self.pages.entry(page.get() >> PAGE_BITS).or_default().push(key);
        }
        self.bytes += size;
        self.insertions += 1;
        self.blocks.put(key, block);
        while self.blocks.len() > limits.entries || self.bytes > limits.bytes {
            let Some((&oldest, _)) = self.blocks.peek_lru() else { break };
            self.remove(&oldest);
            self.evictions += 1;
        }
    }

    fn remove(&mut self, key: &TranslationCacheKey) {
        let Some(block) = self.blocks.pop(key) else { return };
        self.bytes -= size(&block);
        for page in guest_range(&block).pages() {
            let page = page.get() >> PAGE_BITS;
            if let Some(keys) = self.pages.get_mut(&page) {
                keys.retain(|other| other != key);
                if keys.is_empty() {
                    self.pages.remove(&page);
                }
            }
        }
    }

    /// Removes `block` if it still is what `key` finds.
    fn drop_stale(&mut self, key: &TranslationCacheKey, block: &Arc<Block>) {
        if self.blocks.peek(key).is_some_and(|found| Arc::ptr_eq(found, block)) {
            self.remove(key);
            self.stale += 1;
        }
    }
}

impl Flight {
    fn wait(&self) -> Option<Arc<Block>> {
        let landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        let in_the_air = |landing: &mut Landing| matches!(landing, Landing::InTheAir);
        match &*self.changed.wait_while(landed, in_the_air).unwrap_or_else(PoisonError::into_inner) {
            Landing::Landed(block) => Some(Arc::clone(block)),
            Landing::InTheAir | Landing::Lost => None,
        }
    }

    fn end(&self, landing: Landing) {
        *self.landed.lock().unwrap_or_else(PoisonError::into_inner) = landing;
        self.changed.notify_all();
    }
}

/// The thread that translates. Dropped without landing, it lets the waiting threads go on.
struct Pilot<'a> {
    cache: &'a TranslationResultCache,
    key: TranslationCacheKey,
    flight: Arc<Flight>,
}

impl Pilot<'_> {
    fn land(self, translated: &Translated, invalidations: u64) {
        let mut index = self.cache.index();
        index.flights.remove(&self.key);
        if translated.remember && index.invalidations == invalidations {
            index.insert(self.key, Arc::clone(&translated.block), self.cache.limits);
        }
        drop(index);
        self.flight.end(Landing::Landed(Arc::clone(&translated.block)));
    }
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.cache.index().flights.remove(&self.key);
            self.flight.end(Landing::Lost);
        }
    }
}

/// Whether `memory` holds the bytes that made `block`, fetchable as they were.
fn holds(memory: &dyn GuestMemory, block: &Block) -> bool {
    let mut buffer = [0; 256];
    let mut done = 0;
    while done < block.bytes.len() {
        let wanted = &block.bytes[done..];
        let wanted = &wanted[..wanted.len().min(buffer.len())];
        match memory.fetch(block.key.pc.offset(done as i64), &mut buffer[..wanted.len()]) {
            Ok(read) if read > 0 && buffer[..read] == wanted[..read] => done += read,
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

/// The guest bytes of `block`; cut at the end of the address space.
fn guest_range(block: &Block) -> GuestRange {
    let len = block.bytes.len() as u64;
    let room = u64::MAX - block.key.pc.get();
    GuestRange::new(block.key.pc, len.min(room)).expect("a range that was cut does not wrap")
}

/// Host memory that an entry takes, in bytes.
fn size(block: &Block) -> usize {
    ENTRY_OVERHEAD
        + block.bytes.len()
        + block.insts.capacity() * size_of::<Inst>()
        + block.marks.capacity() * size_of::<Mark>()
}
/// The cache's lock, for as long as the process forks.
pub(crate) struct HeldCache<'a>(MutexGuard<'a, Index>);

impl HeldSource for HeldCache<'_> {
    fn in_child(mut self: Box<Self>) {
        // Translations that threads of the parent are making do not land here.
        self.0.flights.clear();
    }
}
