//! [`TieredCodeCache`]: what is executable now, how much of it there may be, and who may still be running what was.
//!
//! Reading is lock-free: [`TieredCodeCache::lookup`] and generated code itself, which jumps through the link table.
//! Every change happens under one lock, where a region, the links into it and the links out of it change together.
//! Code that is dropped is first made unreachable, then waits until every vCPU has passed a safepoint.

mod coming;
mod evict;
pub(crate) mod link;
mod pages;
pub(crate) mod quiesce;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use vm_core::{BlockKey, GuestMemory, GuestRange};

use self::coming::{Announced, Coming, HeldComing};
use self::evict::{Retired, RetiredLog};
use self::link::{Links, OutOfLinks, RegionId};
use self::pages::CodePages;
use self::quiesce::{Epochs, HeldReaders, Reader};
use crate::config::Exact;
use crate::fault::segments::{self, PcMap, Registered, register};
use crate::frame::Frame;
use crate::jit::code::{CodeMemory, CodePtr, MappedBytes, Segment};
use crate::jit::compiled::{CompiledRegion, CompiledTier, Source, Sources};
use crate::jit::fault_exit;
use crate::jit::link_table::LinkTable;
use crate::observe::{self, CodeObserver};
use crate::stats::RegionStats;

/// Room in the link table: 8 bytes of address space each, memory only as they are used.
const MAX_LINKS: usize = 1 << 22;

/// Entries from the run loop after which a region of the first tier is made again. Compiled code that is well linked is
/// entered there rarely: one that is not leaves by ways that its profile had not seen, and is worth a fresh look.
const PROMOTION: u32 = 2000;

/// What a guest instruction saves by being executed compiled and not interpreted, in picoseconds: an interpreted one takes
/// 0.7-2.4 ns in the kernels of docs/performance.md, a compiled one 0.1-0.4.
const SAVED_PS: u64 = 1000;

/// A published region.
pub(crate) struct Region {
    id: RegionId,
    key: BlockKey,
    /// Other keys at which it was published.
    others: Box<[BlockKey]>,
    tier: CompiledTier,
    code_len: usize,
    faults: Exact,
    sources: Sources,
    first_link: u32,
    link_count: usize,
    /// The number behind its links whose word counts the guest instructions that it executes, if that is counted.
    counter: Option<u32>,
    compile_ns: u64,
    /// How many of its links lead somewhere.
    exits: usize,
    /// Makes faults in the code known by guest address. Dropped before the code is unmapped.
    registered: Registered,
    /// Keeps the code mapped.
    _segment: Arc<Segment>,
}

type Table = papaya::HashMap<BlockKey, Entry, RandomState>;

/// What the lock-free table knows of a region: not the region itself, whose memory must not wait for the table's own
/// reclamation.
struct Entry {
    id: RegionId,
    tier: CompiledTier,
    code: CodePtr,
    /// Looked up since the last time that eviction came by.
    used: AtomicBool,
    /// The code counts its entries by itself.
    counts: bool,
    /// Entries from the run loop.
    entries: AtomicU32,
    /// Better code for this key was put off once, since other better code had the block inside.
    put_off: AtomicBool,
}

impl Region {
    /// Where it was published; other regions may have taken some of these keys since.
    fn keys(&self) -> impl Iterator<Item = &BlockKey> {
        std::iter::once(&self.key).chain(&self.others)
    }

    fn ranges(&self) -> impl Iterator<Item = GuestRange> {
        self.sources.iter().filter_map(Source::range)
    }

    /// Host memory that it takes beside its code, in bytes.
    fn record_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of::<Entry>()
            + size_of::<BlockKey>()
            + self.others.len() * (size_of::<BlockKey>() + size_of::<(BlockKey, Entry)>())
            + self.sources.heap_bytes()
            + self.registered.heap_bytes()
            + self.link_count * size_of::<u64>()
            + self.exits * Links::RECORD_BYTES
    }

    /// Whether guest memory still holds the bytes that the region was made from.
    fn is_current(&self, memory: &dyn GuestMemory) -> bool {
        let mut now = Vec::new();
        self.sources.iter().all(|source| {
            now.resize(source.bytes.len(), 0);
            matches!(memory.fetch(source.pc, &mut now), Ok(len) if len == now.len()) && *now == *source.bytes
        })
    }
}

/// Permission to publish one region: its links, and what had been invalidated when its making began.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) first_link: u32,
    link_count: usize,
    counter: Option<u32>,
    /// Words that count entries of blocks, the last ones.
    entries: u32,
    began: u64,
    /// Where the region will be entered, as far as that was announced.
    announced: Option<Announced>,
}

impl Ticket {
    /// Numbers of the words that count entries of blocks.
    pub(crate) fn entry_counters(&self) -> Range<u32> {
        let end = self.first_link + self.link_count as u32;
        end - self.entries..end
    }
}

/// Sums over the life of a cache.
#[derive(Debug, Default)]
pub(crate) struct CacheCounters {
    pub(crate) published: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) invalidated: AtomicU64,
    /// Compiled for nothing: the guest's code changed meanwhile.
    pub(crate) outdated: AtomicU64,
    pub(crate) lookups: AtomicU64,
    pub(crate) hits: AtomicU64,
    /// Guest instructions in what was published.
    pub(crate) instructions: AtomicU64,
    pub(crate) code_bytes: AtomicU64,
    pub(crate) compile_ns: AtomicU64,
    /// CPU time of compile threads, for whatever came of it.
    pub(crate) background_ns: AtomicU64,
}

struct Inner {
    links: Links,
    regions: HashMap<RegionId, Region, RandomState>,
    /// Per tier, in the order of publication; retired regions are skipped when met.
    order: [VecDeque<RegionId>; 2],
    bytes: [usize; 2],
    by_page: CodePages,
    /// The exactness that code must have, once that has changed.
    required: Option<Exact>,
    retired: Vec<Retired>,
    /// Epoch of the latest retirement.
    last_retirement: Option<u64>,
    log: RetiredLog,
    next_id: RegionId,
    /// Of what was dropped.
    unpaid: Unpaid,
}

/// Regions that saved less than they cost.
#[derive(Clone, Copy, Debug, Default)]
struct Unpaid {
    regions: u64,
    compile_ns: u64,
}

impl Unpaid {
    /// Counts `region` if it is one of them, as far as is known.
    fn add(&mut self, region: &Region, links: &Links) {
        let Some(executed) = region.counter.map(|counter| links.counted(counter)) else { return };
        if executed.saturating_mul(SAVED_PS) / 1000 < region.compile_ns {
            self.regions += 1;
            self.compile_ns += region.compile_ns;
        }
    }
}

/// The published regions of an engine.
pub(crate) struct TieredCodeCache {
    /// Made with the first region: a table asks the host how many processors there are, which takes longer than all lookups
    /// of a program that ends at once.
    table: OnceLock<Table>,
    inner: Mutex<Inner>,
    pub(crate) epochs: Epochs,
    /// Told of what is published.
    pub(crate) observer: OnceLock<Arc<dyn CodeObserver>>,
    budgets: [usize; 2],
    links_address: u64,
    coming: Coming,
    /// What the regions were made from.
    memory: Arc<dyn GuestMemory>,
    code: Mutex<CodeMemory>,
    mapped: Arc<MappedBytes>,
    /// Regions that deserve the second tier, not yet asked for.
    due: Mutex<Vec<BlockKey>>,
    has_due: AtomicBool,
    pub(crate) counters: CacheCounters,
}

impl TieredCodeCache {
    /// An empty cache of code made from `memory`, with a budget in bytes of machine code for each tier. `stub` is where
    /// unlinked exits go.
    ///
    /// # Errors
    /// What the host says when it refuses address space for the link table.
    pub(crate) fn new(budgets: [usize; 2], stub: CodePtr, memory: Arc<dyn GuestMemory>) -> io::Result<Self> {
        let links = Links::new(LinkTable::reserve(MAX_LINKS)?, stub);
        let links_address = links.address();
        let mapped = Arc::<MappedBytes>::default();
        let inner = Inner {
            links,
            regions: HashMap::default(),
            order: [VecDeque::new(), VecDeque::new()],
            bytes: [0; 2],
            by_page: CodePages::default(),
            required: None,
            retired: Vec::new(),
            last_retirement: None,
            log: RetiredLog::default(),
            next_id: 1,
            unpaid: Unpaid::default(),
        };
        Ok(Self {
            table: OnceLock::new(),
            inner: Mutex::new(inner),
            epochs: Epochs::new(),
            observer: OnceLock::new(),
            budgets,
            links_address,
            coming: Coming::default(),
            memory,
            code: Mutex::new(CodeMemory::new(Arc::clone(&mapped))),
            mapped,
            due: Mutex::default(),
            has_due: AtomicBool::new(false),
            counters: CacheCounters::default(),
        })
    }

    /// Host address of the link table.
    pub(crate) const fn links_address(&self) -> u64 {
        self.links_address
    }

    /// A reader for the vCPU that runs on `frame`.
    pub(crate) fn register(&self, frame: &Arc<Frame>) -> Arc<Reader> {
        self.epochs.register(frame)
    }

    /// The code for `key`. A reader may run it until its next safepoint.
    pub(crate) fn lookup(&self, key: BlockKey) -> Option<CodePtr> {
        self.counters.lookups.fetch_add(1, Ordering::Relaxed);
        let pin = self.table.get()?.pin();
        let entry = pin.get(&key)?;
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        if entry.tier == CompiledTier::One
            && !entry.counts
            && entry.entries.fetch_add(1, Ordering::Relaxed) + 1 == PROMOTION
        {
            self.due.lock().unwrap_or_else(PoisonError::into_inner).push(key);
            self.has_due.store(true, Ordering::Release);
        }
        Some(entry.code)
    }

    /// Whether [`TieredCodeCache::take_due`] has something to give.
    #[inline]
    pub(crate) fn has_due(&self) -> bool {
        self.has_due.load(Ordering::Relaxed)
    }

    /// Keys of regions that have come to deserve the second tier since the last call.
    pub(crate) fn take_due(&self) -> Vec<BlockKey> {
        if !self.has_due.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tier in which `key` is published.
    #[cfg(test)]
    pub(crate) fn tier(&self, key: BlockKey) -> Option<CompiledTier> {
        self.table.get()?.pin().get(&key).map(|entry| entry.tier)
    }

    /// Begins the making of a region. Call it before the guest's code is read.
    pub(crate) fn ticket(&self) -> Ticket {
        let began = self.lock().log.now();
        Ticket { first_link: 0, link_count: 0, counter: None, entries: 0, began, announced: None }
    }

    /// Adds `count` links to a ticket that has none yet; behind them a word that counts instructions if they are
    /// `counted`, and a word for each block whose `entries` are counted down.
    ///
    /// # Errors
    /// [`OutOfLinks`] when the link table is full.
    pub(crate) fn allocate_links(
        &self,
        ticket: &mut Ticket,
        count: usize,
        counted: bool,
        entries: usize,
    ) -> Result<(), OutOfLinks> {
        debug_assert_eq!(ticket.link_count, 0);
        let all = count + usize::from(counted) + entries;
        let mut inner = self.lock();
        ticket.first_link = inner.links.allocate(all)?;
        ticket.link_count = all;
        ticket.counter = counted.then_some(ticket.first_link + count as u32);
        ticket.entries = entries as u32;
        if let Some(counter) = ticket.counter {
            inner.links.start_counter(counter);
        }
        Ok(())
    }

    /// Lets each block of baseline code be entered as many times as `entries` says before it asks for better code.
    pub(crate) fn arm(&self, counters: Range<u32>, entries: impl Iterator<Item = u64>) {
        let inner = self.lock();
        counters.zip(entries).for_each(|(counter, entries)| inner.links.arm(counter, entries));
    }

    /// The code for `key`, if it is not baseline code, to which the used-up `counter` of code that the caller runs leads
    /// from now on. A reader may run it until its next safepoint.
    pub(crate) fn improved(&self, key: BlockKey, counter: u32) -> Option<CodePtr> {
        let pin = self.table.get()?.pin();
        let entry = pin.get(&key).filter(|entry| !entry.counts)?;
        let mut inner = self.lock();
        if inner.regions.contains_key(&entry.id) {
            inner.links.redirect(counter, entry.id, entry.code);
        }
        Some(entry.code)
    }

    /// Whether baseline code for `key` can wait for better code: other such code has the block inside, and if the program
    /// comes here by way of that one, the block is not entered as it was before. What was put off once can not wait again.
    pub(crate) fn can_wait(&self, key: BlockKey) -> bool {
        let Some(table) = self.table.get() else { return false };
        if table.pin().get(&key).is_none_or(|entry| !entry.counts || entry.put_off.load(Ordering::Relaxed)) {
            return false;
        }
        self.is_inside(key, |region| region.tier == CompiledTier::Two)
    }

    /// Whether a region has the block at `key` inside, entered there or not.
    pub(crate) fn contains(&self, key: BlockKey) -> bool {
        self.is_inside(key, |_| true)
    }

    /// Whether one of the regions that `counts` has the block at `key` inside.
    fn is_inside(&self, key: BlockKey, counts: impl Fn(&Region) -> bool) -> bool {
        let Ok(range) = GuestRange::new(key.pc, 1) else { return false };
        let inner = self.lock();
        let within = |region: &Region| {
            counts(region) && region.key.mode == key.mode && region.sources.iter().any(|source| source.pc == key.pc)
        };
        inner.by_page.in_range(range).any(|id| inner.regions.get(&id).is_some_and(within))
    }

    /// Notes that optimised code for `key` was put off.
    pub(crate) fn put_off(&self, key: BlockKey) {
        if let Some(entry) = self.table.get().map(Table::pin).as_ref().and_then(|pin| pin.get(&key)) {
            entry.put_off.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there is code for `key`.
    pub(crate) fn holds(&self, key: BlockKey) -> bool {
        self.table.get().is_some_and(|table| table.pin().contains_key(&key))
    }

    /// Announces that the region of `ticket` will be entered at `keys`, until it is published or comes to nothing.
    pub(crate) fn announce(&self, ticket: &mut Ticket, keys: Vec<BlockKey>) {
        ticket.announced = Some(self.coming.announce(keys));
    }

    /// Whether code for `key` is there, or is being made.
    pub(crate) fn holds_or_expects(&self, key: BlockKey) -> bool {
        self.holds(key) || self.coming.contains(key)
    }

    /// Gives back a ticket that came to nothing.
    pub(crate) fn abandon(&self, ticket: &Ticket) {
        self.lock().links.release(ticket.first_link, ticket.link_count);
    }

    /// Makes regions executable and reachable, in one piece of memory. A region whose source may have changed since its
    /// ticket was given is compared with memory, and dropped if it did; one that replaces another of the same key
    /// retires it. Then evicts what the budgets do not hold.
    ///
    /// # Errors
    /// What the host says when it refuses memory; the tickets are given back.
    pub(crate) fn publish(&self, batch: Vec<(Ticket, CompiledRegion)>) -> io::Result<()> {
        let codes: Vec<_> = batch.iter().map(|(_, region)| region.code.as_slice()).collect();
        let sealed = self.code().seal(&codes);
        let mut inner = self.lock();
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                for (ticket, _) in &batch {
                    inner.links.release(ticket.first_link, ticket.link_count);
                }
                return Err(error.into());
            }
        };
        let pin = self.table.get_or_init(Table::default).pin();
        for ((ticket, made), (segment, code)) in batch.into_iter().zip(sealed) {
            let region = Region {
                id: inner.next_id,
                key: made.key,
                others: made.entries.iter().map(|(key, _)| *key).collect(),
                tier: made.tier,
                code_len: made.code.len(),
                faults: made.faults,
                registered: register(fault_segment(code, &made)),
                sources: made.sources,
                first_link: ticket.first_link,
                link_count: ticket.link_count,
                counter: ticket.counter,
                compile_ns: made.compile_ns,
                exits: made.links.len(),
                _segment: segment,
            };
            let (guest_len, code_len) = (made.guest_len as u64, region.code_len as u64);
            inner.next_id += 1;
            let doubtful = inner.log.hit_since(ticket.began, region.ranges());
            let unfit = inner.required.is_some_and(|required| required != region.faults);
            if unfit || doubtful && !self.is_current_and_watched(&region) {
                self.counters.outdated.fetch_add(1, Ordering::Relaxed);
                inner.links.release(ticket.first_link, ticket.link_count);
                continue;
            }
            if let Some(observer) = self.observer.get() {
                let (entry, address) = (region.key.pc, code.address());
                observer.published(observe::describe(entry, address, &made.code, region.tier, &made.pcs));
            }
            inner.links.claim(ticket.first_link, &made.links);
            inner.bytes[region.tier as usize] += region.code_len;
            inner.order[region.tier as usize].push_back(region.id);
            inner.by_page.add(region.id, region.ranges());
            let (id, tier) = (region.id, region.tier);
            let entry = |code| Entry {
                id,
                tier,
                code,
                used: AtomicBool::new(true),
                counts: made.counts,
                entries: AtomicU32::new(0),
                put_off: AtomicBool::new(false),
            };
            let (key, old) = (region.key, pin.insert(region.key, entry(code)).map(|old| old.id));
            for (key, offset) in &made.entries {
                // What is there already is as good or better.
                let _ = pin.try_insert(*key, entry(CodePtr::new(code.address() + u64::from(*offset))));
            }
            inner.regions.insert(region.id, region);
            if let Some(old) = old {
                self.displace(&mut inner, old, key, (id, code));
            }
            self.counters.published.fetch_add(1, Ordering::Relaxed);
            self.counters.instructions.fetch_add(guest_len, Ordering::Relaxed);
            self.counters.code_bytes.fetch_add(code_len, Ordering::Relaxed);
            self.counters.compile_ns.fetch_add(made.compile_ns, Ordering::Relaxed);
        }
        self.evict_over_budget(&mut inner);
        self.settle(&mut inner);
        Ok(())
    }

    /// Another region took `key` from region `old`, which is retired, unless it can be entered elsewhere: then links to
    /// `key` lead to the other from now on.
    fn displace(&self, inner: &mut Inner, old: RegionId, key: BlockKey, (id, code): (RegionId, CodePtr)) {
        let (Some(table), Some(region)) = (self.table.get(), inner.regions.get(&old)) else { return };
        let pin = table.pin();
        if region.keys().any(|key| pin.get(key).is_some_and(|entry| entry.id == old)) {
            inner.links.relink(old, key, id, code);
        } else {
            inner.retire(old);
        }
    }

    /// What an unlinked exit does: where link `number` leads, and its code if there is any, to which it is then linked.
    /// `None` if there is no such link.
    pub(crate) fn link(&self, number: u32) -> Option<(BlockKey, Option<CodePtr>)> {
        let mut inner = self.lock();
        let target = inner.links.target(number)?;
        let found = self.table.get().and_then(|table| table.pin().get(&target).map(|entry| (entry.id, entry.code)));
        if let Some((id, code)) = found {
            inner.links.set(number, id, code);
        }
        Some((target, found.map(|(_, code)| code)))
    }

    /// Drops every region made from bytes in `range`, and whatever is being made from them.
    pub(crate) fn invalidate(&self, range: GuestRange) {
        let mut inner = self.lock();
        inner.log.record(range);
        let mut hit: Vec<RegionId> = inner
            .by_page
            .in_range(range)
            .filter(|id| inner.regions.get(id).is_some_and(|region| region.ranges().any(|own| own.overlaps(range))))
            .collect();
        hit.sort_unstable();
        hit.dedup();
        self.retire_all(&mut inner, &hit);
    }

    /// Drops every region that has bytes in the pages of `range` which memory no longer holds there, and whatever is
    /// being made from such bytes. Pages that change only by what is reported are passed over.
    pub(crate) fn revalidate(&self, range: GuestRange) {
        /// Pages looked at before others may have the lock.
        const AT_ONCE: usize = 64;
        let mut inner = self.lock();
        inner.log.record(range.whole_pages());
        let mut next = Some(range.start());
        while let Some(from) = next {
            let Inner { by_page, regions, .. } = &mut *inner;
            let (stale, rest) = by_page.stale(from, range, AT_ONCE, regions, &*self.memory);
            self.retire_all(&mut inner, &stale);
            next = rest;
            if next.is_some() {
                // Whatever is published meanwhile is compared with memory first, by what the log says.
                drop(inner);
                inner = self.lock();
            }
        }
    }

    /// Watches the pages of `region` anew and says whether memory still holds its bytes.
    fn is_current_and_watched(&self, region: &Region) -> bool {
        region.ranges().flat_map(GuestRange::pages).for_each(|page| self.memory.watch_code(page));
        region.is_current(&*self.memory)
    }

    /// Waits until no vCPU runs code that was dropped before the call, for as long as `patience` at most: a thread that
    /// the host does not run makes no progress, and runs nothing either. Not to be called by a vCPU that is present.
    pub(crate) fn wait_for_readers(&self, patience: Duration) {
        let Some(epoch) = self.lock().last_retirement else { return };
        self.epochs.wait_until_left(epoch, patience);
    }

    /// Drops every region that was compiled for another exactness than `faults`, now and when it is published.
    pub(crate) fn require(&self, faults: Exact) {
        let mut inner = self.lock();
        inner.required = Some(faults);
        let stale: Vec<_> =
            inner.regions.values().filter(|region| region.faults != faults).map(|region| region.id).collect();
        self.retire_all(&mut inner, &stale);
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.invalidate(GuestRange::everything());
    }

    /// Frees what nobody can be running any more.
    #[cfg(test)]
    pub(crate) fn collect(&self) {
        self.settle(&mut self.lock());
    }

    /// Everything counted so far.
    pub(crate) fn stats(&self) -> RegionStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let inner = self.lock();
        let mut unpaid = inner.unpaid;
        let mut record_bytes = 0;
        for region in inner.regions.values() {
            unpaid.add(region, &inner.links);
            record_bytes += region.record_bytes();
        }
        drop(inner);
        RegionStats {
            live: self.len() as u64,
            published: count(&counters.published),
            evicted: count(&counters.evicted),
            invalidated: count(&counters.invalidated),
            outdated: count(&counters.outdated),
            instructions: count(&counters.instructions),
            code_bytes: count(&counters.code_bytes),
            mapped_bytes: self.mapped() as u64,
            compile_ns: count(&counters.compile_ns),
            background_ns: count(&counters.background_ns),
            record_bytes: record_bytes as u64,
            unpaid: unpaid.regions,
            unpaid_ns: unpaid.compile_ns,
            lookups: count(&counters.lookups),
            hits: count(&counters.hits),
        }
    }

    /// Bytes of reachable machine code by tier.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> [usize; 2] {
        self.lock().bytes
    }

    /// Bytes of executable memory mapped, what waits for readers included.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped.get()
    }

    /// Number of reachable regions.
    pub(crate) fn len(&self) -> usize {
        self.lock().regions.len()
    }

    /// Regions that wait for readers to pass a safepoint.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().retired.len()
    }

    /// Holds every change off until the guard is dropped, so that a fork copies a consistent cache.
    pub(crate) fn hold(&self) -> Held<'_> {
        let code = self.code();
        let inner = self.lock();
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let coming = self.coming.hold();
        Held { _code: code, _inner: inner, _due: due, coming, readers: self.epochs.hold() }
    }

    fn code(&self) -> MutexGuard<'_, CodeMemory> {
        self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock is a bug that was reported; what it leaves is still linked consistently.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a fault in the code of `made`, now at `code`, belongs.
fn fault_segment(code: CodePtr, made: &CompiledRegion) -> segments::Segment {
    segments::Segment {
        start: code.address() as usize,
        end: code.address() as usize + made.code.len(),
        pcs: PcMap::new(&made.pcs),
        // A compare-and-swap is one host instruction, which the host itself takes for a write.
        atomics: made.atomics.clone(),
        steps_over: made.steps_over.as_slice().into(),
        exit: fault_exit() as usize,
    }
}

/// Keeps the cache's locks.
pub(crate) struct Held<'a> {
    _code: MutexGuard<'a, CodeMemory>,
    _inner: MutexGuard<'a, Inner>,
    _due: MutexGuard<'a, Vec<BlockKey>>,
    coming: HeldComing<'a>,
    readers: HeldReaders<'a>,
}

impl Held<'_> {
    /// Goes on in the child of a fork.
    pub(crate) fn in_child(self) {
        self.coming.in_child();
        self.readers.all_away();
    }
}

#[cfg(test)]
mod tests;
