//! What all threads share of one allocator: its arena, shelves and depots, the list of thread caches, and the ways
//! between them. It lies in a mapping of its own, so that a global allocator may be made of it.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::arena::{Arena, Shelf};
use super::class::{MAX_CLASSES, MAX_SIZE, Scheme, padded};
use super::depot::{Depot, FAR, Level, NEAR};
use super::lock::{Lock, Locked};
use super::magazine::{self, BATCH, Place, Refusal, ThreadCache};
use super::os::{self, Mapping, Use};
use super::topology::Topology;
use super::{SlabConfig, SlabError, fork};

mod upkeep;

pub(super) struct Core {
    /// The bin of each size in units of 8 bytes.
    table: [Place; MAX_SIZE / 8 + 1],
    pub(super) scheme: Scheme,
    classes: usize,
    pub(super) topology: Topology,
    retain_bytes: usize,
    /// Milliseconds that empty slabs are kept for, and when those that are not needed were last given back.
    patience: u32,
    swept: AtomicU32,
    /// `None` once the allocator is gone. Changed under `lock`.
    arena: std::cell::UnsafeCell<Option<Arena>>,
    closed: AtomicBool,
    /// One for the allocator and one for each attached cache.
    references: AtomicUsize,
    /// Guards the lists of caches, closing, and first uses of depots.
    lock: Lock,
    caches: Cell<*mut ThreadCache>,
    spare: Cell<*mut ThreadCache>,
    cache_bytes: usize,
    tags: AtomicU32,
    pub(super) trims: AtomicU32,
    /// For threads that can have no cache of their own.
    shared: Locked<usize>,
    /// Of caches that are gone: bytes asked for modulo 2^64, foreign frees.
    retired: [(AtomicU64, AtomicU64); MAX_CLASSES],
    /// Times that a thread had to wait for another, by class.
    pub(super) waits: [AtomicU64; MAX_CLASSES],
    other_waits: AtomicU64,
    pub(super) damaged: [AtomicU64; MAX_CLASSES],
    /// Behind this structure in its mapping: shelves by node and class; depots by class, those of nodes first and then those
    /// of processors; a byte for each depot that says whether it was used; the depots' rooms in the same order.
    shelves: usize,
    depots: usize,
    rooms: usize,
    used: usize,
    mapping: usize,
    /// The list of all cores, for forks.
    pub(super) next: AtomicPtr<Core>,
}

// SAFETY: raw pointers and cells are accessed under `lock`, or by the thread that owns a cache.
unsafe impl Sync for Core {}

/// Where the parts of a core's mapping begin, and its length.
fn layout(classes: usize, cpus: usize, nodes: usize) -> [usize; 5] {
    let shelves = size_of::<Core>().next_multiple_of(64);
    let depots = shelves + size_of::<Locked<Shelf>>() * nodes * classes;
    let used = depots + DEPOT_STRIDE * (nodes + cpus) * classes;
    let rooms = (used + (nodes + cpus) * classes).next_multiple_of(4096);
    let end = rooms + size_of::<u32>() * (FAR * nodes + NEAR * cpus) * classes;
    [shelves, depots, used, rooms, end]
}

/// Depots of different processors share no line of the cache.
const DEPOT_STRIDE: usize = 64;

impl Core {
    /// Makes the core of a new allocator. `None` if the host has no address space for it.
    pub(super) fn create(config: &SlabConfig) -> Option<NonNull<Core>> {
        let topology = config.topology.unwrap_or_else(Topology::of_host);
        let classes = config.scheme.classes();
        let (cpus, nodes) = (topology.cpus(), topology.nodes());
        let reserve = config.reserve_per_class.max(1).next_power_of_two().trailing_zeros();
        let arena = Arena::new(config.scheme, reserve, nodes, config.huge_pages)?;
        let [shelves, depots, used, rooms, end] = layout(classes.len(), cpus, nodes);
        let mapping = Mapping::new(end, 4096, Use::Written)?;
        let at = mapping.address();
        let mut table = [Place::of(0); MAX_SIZE / 8 + 1];
        let mut class = 0;
        for (eighths, entry) in table.iter_mut().enumerate() {
            if classes[class].size() < 8 * eighths {
                class += 1;
            }
            *entry = Place::of(class);
        }
        let core = Core {
            table,
            scheme: config.scheme,
            classes: classes.len(),
            topology,
            retain_bytes: config.retain_per_class,
            patience: config.retain_for.as_millis().min(1 << 31) as u32,
            swept: AtomicU32::new(os::milliseconds()),
            cache_bytes: ThreadCache::bytes(&arena, classes.len()),
            arena: std::cell::UnsafeCell::new(Some(arena)),
            closed: AtomicBool::new(false),
            references: AtomicUsize::new(1),
            lock: Lock::new(),
            caches: Cell::new(ptr::null_mut()),
            spare: Cell::new(ptr::null_mut()),
            tags: AtomicU32::new(0),
            trims: AtomicU32::new(0),
            shared: Locked::new(0),
            retired: [const { (AtomicU64::new(0), AtomicU64::new(0)) }; MAX_CLASSES],
            waits: [const { AtomicU64::new(0) }; MAX_CLASSES],
            other_waits: AtomicU64::new(0),
            damaged: [const { AtomicU64::new(0) }; MAX_CLASSES],
            shelves: at + shelves,
            depots: at + depots,
            rooms: at + rooms,
            used: at + used,
            mapping: end,
            next: AtomicPtr::new(ptr::null_mut()),
        };
        std::mem::forget(mapping);
        let place = NonNull::new(at as *mut Core)?;
        // SAFETY: the mapping is new, long enough, and this core's alone from here on.
        unsafe { place.write(core) };
        fork::register(place);
        Some(place)
    }

    /// Ends the allocator: its objects are gone. Caches of threads that live go when their threads do.
    ///
    /// # Safety
    /// Called once, by the owner, who has no further use of the core.
    pub(super) unsafe fn close(core: NonNull<Core>) {
        fork::forget(core);
        // SAFETY: the owner's reference keeps the core alive until it is dropped below.
        let this = unsafe { core.as_ref() };
        this.lock.take(&this.other_waits);
        this.closed.store(true, Ordering::Release);
        // SAFETY: others access the arena on behalf of the owner, who is here, or when they end, under the lock and
        // after a look at `closed`.
        let arena = unsafe { (*this.arena.get()).take() };
        let mut spare = this.spare.replace(ptr::null_mut());
        let shared = this.shared.with(&this.other_waits, std::mem::take) as *mut ThreadCache;
        this.lock.release();
        drop(arena);
        // SAFETY: spare caches are nobody's.
        unsafe {
            while !spare.is_null() {
                let next = (*spare).next.get();
                this.unmap(spare);
                spare = next;
            }
            if !shared.is_null() {
                this.unmap(shared);
            }
        }
        if let Some(cache) = this.find(|cache| cache == core.as_ptr().cast_const()) {
            magazine::clear_front();
            // SAFETY: the cache is this thread's.
            unsafe { Core::leave(cache) };
        }
        Core::drop_reference(core);
    }

    fn drop_reference(core: NonNull<Core>) {
        // SAFETY: the reference that is dropped kept the core alive until here.
        let (references, length) = unsafe {
            let this = core.as_ref();
            (&this.references, this.mapping)
        };
        if references.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: nobody has a reference any more; the core owns nothing that needs dropping.
            unsafe { libc::munmap(core.as_ptr().cast(), length) };
        }
    }

    /// # Safety
    /// The cache was made by this core and nobody uses it.
    unsafe fn unmap(&self, cache: *mut ThreadCache) {
        // SAFETY: as promised by the caller.
        unsafe { libc::munmap(cache.cast(), self.cache_bytes) };
    }

    /// The arena, which lives as long as the allocator that calls.
    #[inline]
    pub(super) fn arena(&self) -> &Arena {
        // SAFETY: it is taken away only when the allocator is closed, which ends all borrows of it.
        unsafe { (*self.arena.get()).as_ref() }.expect("an open allocator has an arena")
    }

    /// The bin of a layout, if slabs serve it.
    #[inline(always)]
    pub(super) fn place_of(&self, layout: Layout) -> Option<Place> {
        // Objects of every class are aligned to 8 bytes. The sum does not overflow: sizes of layouts fit `isize`.
        let size = if layout.align() <= 8 { layout.size() } else { padded(layout) };
        if size > MAX_SIZE {
            return None;
        }
        // SAFETY: the table has an entry for each size up to the maximum.
        Some(unsafe { *self.table.get_unchecked(size.div_ceil(8)) })
    }

    /// An object, if that takes nothing but a look into this thread's magazine. Null is no core.
    #[inline(always)]
    pub(super) fn allocate(this: *const Core, layout: Layout) -> Option<NonNull<u8>> {
        let cache = magazine::front(this)?;
        // SAFETY: a core that has a front is alive.
        let place = unsafe { &*this }.place_of(layout)?;
        cache.allocate(place, layout.size())
    }

    /// Frees an object, if that takes nothing but this thread's magazine; says whether it did.
    #[inline(always)]
    pub(super) fn free(this: *const Core, object: usize, layout: Layout) -> bool {
        let Some(cache) = magazine::front(this) else { return false };
        // SAFETY: a core that has a front is alive.
        let Some(place) = unsafe { &*this }.place_of(layout) else { return false };
        cache.free(place, object, layout.size()).is_ok()
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    pub(super) fn shelf(&self, class: usize, node: usize) -> &Locked<Shelf> {
        // SAFETY: the mapping has a shelf for each node and class; zeros are an empty one.
        unsafe { &*(self.shelves as *const Locked<Shelf>).add(node * self.classes + class) }
    }

    /// Depots are numbered: those of nodes first, then those of processors.
    fn depot(&self, class: usize, depot: usize) -> &Depot {
        let number = depot * self.classes + class;
        // SAFETY: the mapping has a depot for each node, processor and class; zeros are an empty one.
        unsafe { &*((self.depots + DEPOT_STRIDE * number) as *const Depot) }
    }

    /// Calls `with` with a depot and its room while its lock is held.
    fn with_depot<R>(&self, class: usize, depot: usize, with: impl FnOnce(&mut Level, &mut [u32]) -> R) -> R {
        let nodes = self.topology.nodes();
        let before = FAR * depot.min(nodes) + NEAR * depot.saturating_sub(nodes);
        let (length, limit) = match depot < nodes {
            true => (FAR, 2 * self.arena().shape(class).depot as usize),
            false => (NEAR, self.arena().shape(class).depot as usize),
        };
        let at = (self.rooms as *mut u32).wrapping_add(before * self.classes + length * class);
        self.depot(class, depot).with(&self.waits[class], |level| {
            // SAFETY: each depot has a room of its own in the mapping, and its lock is held.
            with(level, unsafe { std::slice::from_raw_parts_mut(at, length.min(limit)) })
        })
    }

    /// Whether a depot was used.
    fn used(&self, class: usize, depot: usize) -> &AtomicU8 {
        // SAFETY: the mapping has a byte for each depot.
        unsafe { AtomicU8::from_ptr((self.used as *mut u8).add(depot * self.classes + class)) }
    }

    fn is_used(&self, class: usize, depot: usize) -> bool {
        self.used(class, depot).load(Ordering::Acquire) != 0
    }

    /// Notes that a depot is used from now on. Under the lock, so that a fork misses none that is locked.
    fn use_depot(&self, class: usize, depot: usize) {
        if !self.is_used(class, depot) {
            self.lock.take(&self.other_waits);
            self.used(class, depot).store(1, Ordering::Release);
            self.lock.release();
        }
    }

    fn pop(&self, class: usize, depot: usize, out: &mut [u32]) -> usize {
        match self.is_used(class, depot) {
            true => self.with_depot(class, depot, |level, room| level.pop(room, out)),
            false => 0,
        }
    }

    fn push(&self, class: usize, depot: usize, items: &[u32]) -> usize {
        self.use_depot(class, depot);
        self.with_depot(class, depot, |level, room| level.push(room, items))
    }

    /// Free objects for a thread with this tag: from the depot of its processor, the one of its node, the node's slabs,
    /// and if memory is short from anywhere.
    fn gather(&self, class: usize, tag: u8, out: &mut [u32]) -> usize {
        let (cpu, node) = self.topology.here();
        let nodes = self.topology.nodes();
        let mut got = self.pop(class, nodes + cpu, out);
        if got == 0 {
            got = self.pop(class, node, out);
        }
        if got == 0 {
            got = self.take(class, node, tag, out);
        }
        for node in 0..nodes {
            if got == 0 {
                got = self.take(class, node, tag, out);
            }
        }
        for depot in 0..nodes + self.topology.cpus() {
            if got == 0 {
                got = self.pop(class, depot, out);
            }
        }
        got
    }

    fn take(&self, class: usize, node: usize, tag: u8, out: &mut [u32]) -> usize {
        let arena = self.arena();
        let got = self.shelf(class, node).with(&self.waits[class], |shelf| arena.take(class, node, shelf, tag, out));
        self.sweep();
        got
    }

    /// Leaves free objects to others: in the depot of this processor, in the one of the node, in their slabs.
    fn scatter(&self, class: usize, items: &[u32]) {
        let (cpu, node) = self.topology.here();
        let mut done = self.push(class, self.topology.nodes() + cpu, items);
        if done < items.len() {
            done += self.push(class, node, &items[done..]);
        }
        if done < items.len() {
            self.give(class, &items[done..]);
        }
    }

    /// Puts objects back into their slabs.
    fn give(&self, class: usize, mut items: &[u32]) {
        let arena = self.arena();
        while let Some(&item) = items.first() {
            let node = arena.node_of(item);
            let count = items.iter().take_while(|&&item| arena.node_of(item) == node).count();
            let (these, rest) = items.split_at(count);
            self.shelf(class, node).with(&self.waits[class], |shelf| {
                arena.give(class, shelf, these);
                if self.patience == 0 {
                    arena.sweep(class, shelf, self.retain(class), false);
                }
            });
            items = rest;
        }
        self.sweep();
    }

    /// Calls `with` with this thread's cache, or with the one for threads that can have none; `None` if there is no memory
    /// for it.
    #[inline]
    pub(super) fn with_cache<R>(&self, with: impl FnOnce(&ThreadCache) -> R) -> Option<R> {
        if let Some(cache) = magazine::front(self).or_else(|| self.attach()) {
            return Some(with(cache));
        }
        self.shared.with(&self.other_waits, |shared| {
            if *shared == 0 {
                *shared = self.new_cache()? as usize;
            }
            // SAFETY: the cache was made for this purpose, and the lock makes it this thread's for now.
            Some(with(unsafe { &*(*shared as *const ThreadCache) }))
        })
    }

    /// A cache of this thread's list.
    fn find(&self, wanted: impl Fn(*const Core) -> bool) -> Option<*mut ThreadCache> {
        let mut cache = magazine::first();
        while !cache.is_null() {
            // SAFETY: caches in this thread's list are its own.
            let this = unsafe { &*cache };
            if wanted(this.core) {
                return Some(cache);
            }
            cache = this.next_of_thread.get();
        }
        None
    }

    /// Finds this thread's cache or gives it one.
    #[cold]
    fn attach(&self) -> Option<&'static ThreadCache> {
        let found = match self.find(|core| ptr::eq(core, self)) {
            Some(cache) => cache,
            None => {
                drop_closed();
                if !fork::watch_thread() {
                    return None;
                }
                let cache = self.new_cache()?;
                self.references.fetch_add(1, Ordering::Relaxed);
                self.lock.take(&self.other_waits);
                let next = self.caches.replace(cache);
                // SAFETY: the new cache is this thread's; the others' links are guarded by the lock.
                unsafe {
                    (*cache).next.set(next);
                    (*cache).previous.set(ptr::null_mut());
                    (*cache).next_of_thread.set(magazine::first());
                    if !next.is_null() {
                        (*next).previous.set(cache);
                    }
                }
                self.lock.release();
                magazine::set_first(cache);
                cache
            }
        };
        // SAFETY: the cache is this thread's until it ends.
        let cache = unsafe { &*found };
        magazine::set_front(cache);
        Some(cache)
    }

    fn new_cache(&self) -> Option<*mut ThreadCache> {
        self.lock.take(&self.other_waits);
        let spare = self.spare.get();
        if !spare.is_null() {
            // SAFETY: spare caches are guarded by the lock.
            self.spare.set(unsafe { (*spare).next.get() });
        }
        self.lock.release();
        let cache = match spare.is_null() {
            false => spare,
            true => {
                let mapping = Mapping::new(self.cache_bytes, 4096, Use::Written)?;
                let cache = mapping.address() as *mut ThreadCache;
                std::mem::forget(mapping);
                cache
            }
        };
        let tag = (self.tags.fetch_add(1, Ordering::Relaxed) % 255 + 1) as u8;
        // SAFETY: the memory is new, or a cache of this core that nobody uses.
        unsafe { ThreadCache::prepare(cache, self, self.arena(), self.classes, tag) };
        Some(cache)
    }

    /// Empties all magazines of a cache into slabs.
    ///
    /// # Safety
    /// The cache is the calling thread's, or that of a thread which does not exist any more.
    unsafe fn empty(&self, cache: &ThreadCache) {
        for class in 0..self.classes {
            while cache.counts(class).0 != 0 {
                // SAFETY: as promised by the caller.
                unsafe { cache.drain(class, BATCH, |items| self.give(class, items)) };
            }
        }
    }

    /// Takes a cache out of use and drops its reference: its objects go to the slabs, its counts to the totals.
    ///
    /// # Safety
    /// As for `empty`; the cache is in no thread's list any more.
    pub(super) unsafe fn retire(core: NonNull<Core>, cache: *mut ThreadCache) {
        // SAFETY: the cache holds a reference to the core.
        let this = unsafe { core.as_ref() };
        // SAFETY: as promised by the caller.
        let that = unsafe { &*cache };
        this.lock.take(&this.other_waits);
        let closed = this.closed.load(Ordering::Acquire);
        if !closed {
            // SAFETY: as promised by the caller. Holding the lock keeps the arena from going.
            unsafe { this.empty(that) };
        }
        for class in 0..this.classes {
            let (requested, foreign) = &this.retired[class];
            requested.fetch_add(that.counts(class).1, Ordering::Relaxed);
            foreign.fetch_add(that.foreign[class].load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let (next, previous) = (that.next.get(), that.previous.get());
        // SAFETY: the links are guarded by the lock.
        unsafe {
            match previous.is_null() {
                true => this.caches.set(next),
                false => (*previous).next.set(next),
            }
            if !next.is_null() {
                (*next).previous.set(previous);
            }
        }
        if closed {
            // SAFETY: the cache is in no list.
            unsafe { this.unmap(cache) };
        } else {
            that.next.set(this.spare.replace(cache));
        }
        this.lock.release();
        Core::drop_reference(core);
    }

    /// Takes one of this thread's caches out of its list and of use.
    ///
    /// # Safety
    /// The cache is in this thread's list.
    unsafe fn leave(cache: *mut ThreadCache) {
        // SAFETY: all caches in the list are this thread's.
        unsafe {
            let core = NonNull::new_unchecked((*cache).core.cast_mut());
            let next = (*cache).next_of_thread.get();
            if magazine::first() == cache {
                magazine::set_first(next);
            } else {
                let mut at = magazine::first();
                while (*at).next_of_thread.get() != cache {
                    at = (*at).next_of_thread.get();
                }
                (*at).next_of_thread.set(next);
            }
            Core::retire(core, cache);
        }
    }

    /// An object, whatever it takes.
    #[cold]
    #[inline(never)]
    pub(super) fn allocate_slowly(&self, layout: Layout) -> Result<NonNull<u8>, SlabError> {
        let (size, align) = (layout.size(), layout.align());
        let place = self.place_of(layout).ok_or(SlabError::TooLarge { size, align })?;
        let class = place.class();
        let got = self.with_cache(|cache| {
            self.follow_trim(cache);
            loop {
                if let Some(object) = cache.allocate(place, size) {
                    return Some(object);
                }
                // SAFETY: `with_cache` made the cache this thread's.
                unsafe {
                    if cache.discard(class) {
                        // Something wrote to a free object. It may be in use twice, so nobody gets it any more.
                        self.damaged[class].fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let count = cache.grow(class, self.arena().shape(class).magazine);
                    if cache.fill(class, count, |out| self.gather(class, cache.tag, out)) == 0 {
                        return None;
                    }
                }
            }
        });
        got.flatten().ok_or(SlabError::OutOfMemory { size })
    }

    /// Frees an object, or says why not.
    #[cold]
    #[inline(never)]
    pub(super) fn free_slowly(&self, object: usize, layout: Layout) -> Result<(), SlabError> {
        let (size, align) = (layout.size(), layout.align());
        let place = self.place_of(layout).ok_or(SlabError::TooLarge { size, align })?;
        let class = place.class();
        let freed = self.with_cache(|cache| match cache.free(place, object, size) {
            Err(Refusal::Full) if !cache.is_free(place, object) => {
                self.follow_trim(cache);
                // SAFETY: `with_cache` made the cache this thread's.
                unsafe {
                    let half = cache.grow(class, self.arena().shape(class).magazine);
                    if half * 2 <= cache.counts(class).0 {
                        cache.drain(class, half, |items| self.scatter(class, items));
                    }
                }
                cache.free(place, object, size)
            }
            other => other,
        });
        match freed.ok_or(SlabError::OutOfMemory { size })? {
            Ok(()) => Ok(()),
            Err(Refusal::Free | Refusal::Full) if self.is_object(class, object) => {
                Err(SlabError::DoubleFree { address: object })
            }
            Err(Refusal::Free | Refusal::Full | Refusal::Interior) => Err(SlabError::NotAnObject { address: object }),
            Err(Refusal::Elsewhere) => Err(match self.arena().class_at(object) {
                None => SlabError::Foreign { address: object },
                Some(actual) => {
                    let classes = self.scheme.classes();
                    SlabError::WrongClass { address: object, asked: classes[class], actual: classes[actual] }
                }
            }),
        }
    }

    /// Whether an address in a class's stretch is that of an object, not of what is left over behind the last one.
    fn is_object(&self, class: usize, address: usize) -> bool {
        let shape = self.arena().shape(class);
        shape.number((address - self.arena().base(class)) as u32 & (shape.slab - 1)) < shape.count
    }

    /// Empties this thread's magazines if there was a trim since it last looked.
    fn follow_trim(&self, cache: &ThreadCache) {
        let trims = self.trims.load(Ordering::Relaxed);
        if cache.trims.load(Ordering::Relaxed) != trims {
            cache.trims.store(trims, Ordering::Relaxed);
            // SAFETY: `with_cache` made the cache this thread's.
            unsafe { self.empty(cache) };
        }
    }
}

/// Drops this thread's caches of allocators that are gone.
fn drop_closed() {
    let mut cache = magazine::first();
    while !cache.is_null() {
        // SAFETY: caches in this thread's list are its own and keep their cores alive.
        unsafe {
            let next = (*cache).next_of_thread.get();
            if (*(*cache).core).closed.load(Ordering::Acquire) {
                Core::leave(cache);
            }
            cache = next;
        }
    }
}

/// Drops all caches of this thread, which ends.
pub(super) fn drop_all() {
    magazine::clear_front();
    loop {
        let cache = magazine::first();
        if cache.is_null() {
            return;
        }
        // SAFETY: as above.
        unsafe {
            Core::leave(cache);
        }
    }
}
