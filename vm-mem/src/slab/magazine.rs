//! Magazines: each thread's free objects, one stack for each class, and the checks that every object
//! passes on its way in. This is the fast path: no lock, no atomic read-modify-write, no access to another thread's lines.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use super::arena::Arena;
use super::class::{MAGAZINE, MAX_CLASSES, is_multiple};
use super::core::Core;

/// One class's magazine, and all that its fast path needs to know about the class: one line of the cache.
///
/// The magazine is a stack of addresses. Names of 32 bits would take half of the room, but turning one into the other lies
/// in the way from a free to the allocation that gets the same object.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Bin {
    /// Address behind the topmost object's. Only the owner writes; others read for statistics.
    top: AtomicUsize,
    bottom: usize,
    /// Where the stack may grow to now.
    end: AtomicUsize,
    /// The class's stretch of addresses.
    base: usize,
    /// Where bytes tell about addresses, and how far offsets are shifted to find them.
    states: *mut u8,
    /// Bytes asked for in allocations less those in frees, of this thread, modulo 2^64.
    requested: AtomicU64,
    /// Tells multiples of the class's size.
    magic: u64,
    slab_mask: u32,
    shift: u8,
    marked: bool,
}

const _: () = assert!(size_of::<Bin>() == 64);

/// Where a class's bin is, in bytes from the first one. Only a core's table and `of` make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u16);

impl Place {
    pub(super) const fn of(class: usize) -> Place {
        assert!(class < MAX_CLASSES);
        Place((class * size_of::<Bin>()) as u16)
    }

    #[inline(always)]
    pub(super) fn class(self) -> usize {
        usize::from(self.0) / size_of::<Bin>()
    }
}

/// What a thread has of one allocator.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ThreadCache {
    pub(super) core: *const Core,
    secret: u64,
    /// Bytes of each class's stretch.
    length: usize,
    /// 1 to 255, told apart from most other threads'.
    pub(super) tag: u8,
    /// The last trim that this thread has followed.
    pub(super) trims: AtomicU32,
    /// The caches of this thread, one for each allocator.
    pub(super) next_of_thread: Cell<*mut ThreadCache>,
    /// The caches of this allocator. Guarded by the core's lock.
    pub(super) next: Cell<*mut ThreadCache>,
    pub(super) previous: Cell<*mut ThreadCache>,
    /// Frees of objects that other threads allocated.
    pub(super) foreign: [AtomicU64; MAX_CLASSES],
    bins: [Bin; MAX_CLASSES],
}

/// Objects that a magazine may hold at first.
const FIRST_CAPACITY: usize = 16;

/// The most objects that are moved at once: half of the largest magazine.
pub(super) const BATCH: usize = MAGAZINE as usize / 2;

/// Adds to a counter that only its owner writes.
#[inline(always)]
pub(super) fn add(counter: &AtomicU64, value: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
}

/// Reads the first word of an object, which may hold anything, also nothing that was ever written.
///
/// # Safety
/// Eight accessible bytes at a multiple of 8.
#[inline(always)]
unsafe fn first_word(object: usize) -> u64 {
    // SAFETY: as promised by the caller. A volatile access, since the compiler must not reason about what a program left
    // in its object.
    unsafe { (object as *const u64).read_volatile() }
}

/// Why the fast path did not take an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not in the class's stretch.
    Elsewhere,
    /// No object begins there.
    Interior,
    /// It is free, or no slab is there.
    Free,
    /// The magazine is full.
    Full,
}

impl ThreadCache {
    /// Bytes of a cache with its magazines.
    pub(super) fn bytes(arena: &Arena, classes: usize) -> usize {
        let slots: usize = (0..classes).map(|class| arena.shape(class).magazine as usize).sum();
        (size_of::<ThreadCache>() + size_of::<usize>() * slots).next_multiple_of(4096)
    }

    /// Prepares zeroed memory of `bytes` as an empty cache.
    ///
    /// # Safety
    /// The memory is the caller's alone and was a cache of this arena or nothing before.
    pub(super) unsafe fn prepare(at: *mut ThreadCache, core: *const Core, arena: &Arena, classes: usize, tag: u8) {
        // SAFETY: zeros are a value of every field but the pointers, which are not read before they are written here;
        // the magazines lie behind the structure, as `bytes` counts.
        unsafe {
            let mut slots = at.add(1) as usize;
            for class in 0..classes {
                let shape = arena.shape(class);
                (&raw mut (*at).bins[class]).write(Bin {
                    top: AtomicUsize::new(slots),
                    bottom: slots,
                    end: AtomicUsize::new(slots + size_of::<usize>() * FIRST_CAPACITY.min(shape.magazine as usize)),
                    base: arena.base(class),
                    states: arena.states(class),
                    requested: AtomicU64::new(0),
                    magic: shape.magic,
                    slab_mask: shape.slab - 1,
                    shift: shape.shift as u8,
                    marked: shape.marked,
                });
                (*at).foreign[class].store(0, Ordering::Relaxed);
                slots += size_of::<usize>() * shape.magazine as usize;
            }
            (&raw mut (*at).core).write(core);
            (&raw mut (*at).secret).write(arena.secret());
            (&raw mut (*at).length).write(1 << arena.reserve());
            (&raw mut (*at).tag).write(tag);
        }
    }

    #[inline(always)]
    fn bin(&self, place: Place) -> &Bin {
        // SAFETY: a place is a multiple of a bin's size below that of all bins.
        unsafe { &*self.bins.as_ptr().byte_add(usize::from(place.0)) }
    }

    /// An object for `size` bytes; `None` if the magazine is empty or its topmost object is damaged.
    #[inline(always)]
    pub(super) fn allocate(&self, place: Place, size: usize) -> Option<NonNull<u8>> {
        let bin = self.bin(place);
        let top = bin.top.load(Ordering::Relaxed);
        if top == bin.bottom {
            return None;
        }
        // SAFETY: above the bottom, so there is an object's address, and only this thread changes it.
        let object = unsafe { *((top - size_of::<usize>()) as *const usize) };
        if bin.marked {
            // SAFETY: objects in magazines are committed memory that nobody else uses.
            unsafe {
                if first_word(object) != self.secret ^ object as u64 {
                    return None;
                }
                (object as *mut u64).write_volatile(0);
            }
        } else {
            let offset = object - bin.base;
            // SAFETY: the offset is that of an object of the class, which has a byte of its own.
            unsafe { AtomicU8::from_ptr(bin.states.add(offset >> bin.shift)) }.store(self.tag, Ordering::Relaxed);
        }
        bin.top.store(top - size_of::<usize>(), Ordering::Relaxed);
        add(&bin.requested, size as u64);
        // SAFETY: addresses of objects are not null.
        Some(unsafe { NonNull::new_unchecked(object as *mut u8) })
    }

    /// Takes an object of `size` bytes back, unless something speaks against it.
    #[inline(always)]
    pub(super) fn free(&self, place: Place, object: usize, size: usize) -> Result<(), Refusal> {
        let bin = self.bin(place);
        let offset = object.wrapping_sub(bin.base);
        if offset >= self.length {
            return Err(Refusal::Elsewhere);
        }
        // What is left over behind the last object of a slab looks like a free object below.
        if !is_multiple(offset as u32 & bin.slab_mask, bin.magic) {
            return Err(Refusal::Interior);
        }
        // SAFETY: the offset lies in the class's stretch, all of which has such bytes.
        let state = unsafe { AtomicU8::from_ptr(bin.states.add(offset >> bin.shift)) };
        let owner = state.load(Ordering::Relaxed);
        if owner == 0 {
            return Err(Refusal::Free);
        }
        let top = bin.top.load(Ordering::Relaxed);
        if top == bin.end.load(Ordering::Relaxed) {
            return Err(Refusal::Full);
        }
        if bin.marked {
            let mark = self.secret ^ object as u64;
            // SAFETY: there is a slab, so the memory is committed, and an object begins here.
            unsafe {
                if first_word(object) == mark {
                    return Err(Refusal::Free);
                }
                (object as *mut u64).write_volatile(mark);
            }
        } else {
            state.store(0, Ordering::Relaxed);
        }
        if owner != self.tag {
            // SAFETY: the class of a place is below the maximum.
            add(unsafe { self.foreign.get_unchecked(place.class()) }, 1);
        }
        // SAFETY: below the end, so there is room.
        unsafe { *(top as *mut usize) = object };
        bin.top.store(top + size_of::<usize>(), Ordering::Relaxed);
        add(&bin.requested, (size as u64).wrapping_neg());
        Ok(())
    }

    /// Whether an object is free although its magazine is full, which the fast path looks at first.
    pub(super) fn is_free(&self, place: Place, object: usize) -> bool {
        // SAFETY: the caller found the magazine full, so all checks but this one are passed.
        self.bin(place).marked && unsafe { first_word(object) } == self.secret ^ object as u64
    }

    /// Counts a change of the size that an object was asked for.
    pub(super) fn resized(&self, place: Place, from: usize, to: usize) {
        add(&self.bin(place).requested, (to as u64).wrapping_sub(from as u64));
    }

    /// Objects in a magazine, and bytes asked for modulo 2^64. Exact for the owner, a recent value for others.
    pub(super) fn counts(&self, class: usize) -> (usize, u64) {
        let bin = self.bin(Place::of(class));
        let count = (bin.top.load(Ordering::Relaxed) - bin.bottom) / size_of::<usize>();
        (count, bin.requested.load(Ordering::Relaxed))
    }

    /// Doubles a magazine's capacity, up to `limit`; returns half of it, which is what is exchanged with a depot.
    ///
    /// # Safety
    /// This and those below: the calling thread owns the cache. `limit` is the shape's.
    pub(super) unsafe fn grow(&self, class: usize, limit: u32) -> usize {
        let bin = self.bin(Place::of(class));
        let capacity = (bin.end.load(Ordering::Relaxed) - bin.bottom) / size_of::<usize>();
        let grown = (capacity * 2).min(limit as usize);
        bin.end.store(bin.bottom + size_of::<usize>() * grown, Ordering::Relaxed);
        grown / 2
    }

    /// Fills an empty magazine with up to `count` objects: `with` writes their names and returns how many.
    ///
    /// # Safety
    /// As for `grow`; `count` is at most the capacity and at most a batch.
    pub(super) unsafe fn fill(&self, class: usize, count: usize, with: impl FnOnce(&mut [u32]) -> usize) -> usize {
        let bin = self.bin(Place::of(class));
        let mut names = [0; BATCH];
        let got = with(&mut names[..count]);
        // SAFETY: the magazine is this thread's and has room for so many.
        let slots = unsafe { std::slice::from_raw_parts_mut(bin.bottom as *mut usize, got) };
        for (slot, &name) in slots.iter_mut().zip(&names) {
            *slot = bin.base + ((name as usize) << 3);
        }
        bin.top.store(bin.bottom + size_of::<usize>() * got, Ordering::Relaxed);
        got
    }

    /// Takes up to a batch of the objects that have been here for longest out: `with` gets their names.
    ///
    /// # Safety
    /// As for `grow`.
    pub(super) unsafe fn drain(&self, class: usize, count: usize, with: impl FnOnce(&[u32])) {
        let bin = self.bin(Place::of(class));
        let held = self.counts(class).0;
        let count = count.min(held).min(BATCH);
        // SAFETY: the magazine is this thread's and holds so many objects.
        let slots = unsafe { std::slice::from_raw_parts_mut(bin.bottom as *mut usize, held) };
        let mut names = [0; BATCH];
        for (name, &object) in names.iter_mut().zip(&slots[..count]) {
            *name = ((object - bin.base) >> 3) as u32;
        }
        // A fork may copy the process at each of these steps: the child must find no object both here and where `with` puts
        // it, nor twice here. What it does not find at all is lost to it.
        bin.top.store(bin.bottom, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        slots.copy_within(count.., 0);
        fence(Ordering::SeqCst);
        bin.top.store(bin.bottom + size_of::<usize>() * (held - count), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        with(&names[..count]);
    }

    /// Throws the topmost object away; says whether there was one.
    ///
    /// # Safety
    /// As for `grow`.
    pub(super) unsafe fn discard(&self, class: usize) -> bool {
        let bin = self.bin(Place::of(class));
        let top = bin.top.load(Ordering::Relaxed);
        let some = top != bin.bottom;
        bin.top.store(top - size_of::<usize>() * usize::from(some), Ordering::Relaxed);
        some
    }
}

/// The allocator that this thread used last, and its cache.
struct Front {
    core: Cell<*const Core>,
    cache: Cell<*const ThreadCache>,
}

/// What is no core and is not null either, so that no core and a core that is not made yet are different.
const NOTHING: *const Core = ptr::dangling();

thread_local! {
    static FRONT: Front = const { Front { core: Cell::new(NOTHING), cache: Cell::new(ptr::null()) } };
    /// All caches of this thread.
    static FIRST: Cell<*mut ThreadCache> = const { Cell::new(ptr::null_mut()) };
}

/// This thread's cache of an allocator, if that is the one that it used last. `core` may be null.
#[inline(always)]
pub(super) fn front(core: *const Core) -> Option<&'static ThreadCache> {
    FRONT.with(|front| {
        if !ptr::eq(front.core.get(), core) {
            return None;
        }
        // SAFETY: a front that names a core has its cache, which is this thread's until it ends. A core's address is not
        // used for another one while a thread has a cache of it, since a cache holds a reference to its core.
        unsafe {
            let cache = front.cache.get();
            std::hint::assert_unchecked(!cache.is_null());
            Some(&*cache)
        }
    })
}

/// Makes a cache the one that `front` finds.
pub(super) fn set_front(cache: &'static ThreadCache) {
    FRONT.with(|front| {
        front.core.set(cache.core);
        front.cache.set(cache);
    });
}

/// Makes `front` find nothing.
pub(super) fn clear_front() {
    FRONT.with(|front| {
        front.core.set(NOTHING);
        front.cache.set(ptr::null());
    });
}

/// The head of this thread's list of caches.
pub(super) fn first() -> *mut ThreadCache {
    FIRST.get()
}

/// Sets the head of this thread's list of caches.
pub(super) fn set_first(cache: *mut ThreadCache) {
    FIRST.set(cache);
}
