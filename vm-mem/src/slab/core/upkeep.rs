//! What is done now and then: trimming, counting, and holding still for a fork.

use std::mem::size_of_val;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use super::super::lock::Lock;
use super::super::magazine::{BATCH, ThreadCache};
use super::super::os;
use super::Core;

impl Core {
    /// Empties depots and this thread's magazines and gives back all that is unused; returns the bytes of slabs.
    pub(in crate::slab) fn trim(&self) -> usize {
        self.trims.fetch_add(1, Ordering::Relaxed);
        self.with_cache(|cache| self.follow_trim(cache));
        let mut bytes = 0;
        let nodes = self.topology.nodes();
        for class in 0..self.classes {
            let mut items = [0; BATCH];
            for depot in (0..nodes + self.topology.cpus()).filter(|&depot| self.is_used(class, depot)) {
                loop {
                    let got = self.pop(class, depot, &mut items);
                    if got == 0 {
                        break;
                    }
                    self.give(class, &items[..got]);
                }
                self.with_depot(class, depot, |level, room| {
                    if level.len() == 0 {
                        // SAFETY: rooms are whole pages, of which there is at least one, and nothing is in this one.
                        unsafe { os::release(room.as_ptr() as usize, size_of_val(room).next_multiple_of(4096)) };
                    }
                });
            }
            let arena = self.arena();
            for node in 0..nodes {
                bytes += self.shelf(class, node).with(&self.waits[class], |shelf| arena.trim(class, node, shelf));
            }
        }
        bytes
    }

    /// How many empty slabs of a class are kept in any case.
    pub(super) fn retain(&self, class: usize) -> u32 {
        (self.retain_bytes / self.arena().shape(class).slab as usize) as u32
    }

    /// Gives slabs back that stayed empty since this was last done, if that is long ago. No lock of a shelf is held.
    pub(super) fn sweep(&self) {
        let (now, last) = (os::milliseconds(), self.swept.load(Ordering::Relaxed));
        if self.patience == 0
            || now.wrapping_sub(last) < self.patience
            || self.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        for class in 0..self.classes {
            for node in 0..self.topology.nodes() {
                self.shelf(class, node)
                    .with(&self.waits[class], |shelf| self.arena().sweep(class, shelf, self.retain(class), true));
            }
        }
    }

    /// Objects in depots; objects in magazines, bytes asked for and foreign frees of all threads.
    pub(in crate::slab) fn counts(&self, class: usize) -> (u64, u64, u64, u64) {
        let nodes = self.topology.nodes();
        let mut parked = 0;
        for depot in (0..nodes + self.topology.cpus()).filter(|&depot| self.is_used(class, depot)) {
            parked += self.with_depot(class, depot, |level, _| level.len()) as u64;
        }
        let (requested, foreign) = &self.retired[class];
        let mut counts = (parked, 0, requested.load(Ordering::Relaxed), foreign.load(Ordering::Relaxed));
        let mut count = |cache: &ThreadCache| {
            let (held, requested) = cache.counts(class);
            counts.1 += held as u64;
            counts.2 = counts.2.wrapping_add(requested);
            counts.3 += cache.foreign[class].load(Ordering::Relaxed);
        };
        self.shared.with(&self.other_waits, |&mut shared| {
            if shared != 0 {
                // SAFETY: the lock is held.
                count(unsafe { &*(shared as *const ThreadCache) });
            }
        });
        self.lock.take(&self.other_waits);
        let mut cache = self.caches.get();
        while !cache.is_null() {
            // SAFETY: caches in the list live while the lock is held; what is read is atomic.
            let this = unsafe { &*cache };
            count(this);
            cache = this.next.get();
        }
        self.lock.release();
        counts
    }

    /// Times that a thread waited for one of the locks that belong to no class.
    pub(in crate::slab) fn other_waits(&self) -> u64 {
        self.other_waits.load(Ordering::Relaxed)
    }

    /// Calls `each` with the lock of every shelf and of every depot in use.
    fn each_lock(&self, each: impl Fn(&Lock)) {
        for class in 0..self.classes {
            let nodes = self.topology.nodes();
            for depot in (0..nodes + self.topology.cpus()).filter(|&depot| self.is_used(class, depot)) {
                each(self.depot(class, depot).lock());
            }
            (0..nodes).for_each(|node| each(self.shelf(class, node).lock()));
        }
    }

    /// Holds everything still, for a fork.
    pub(in crate::slab) fn hold(&self) {
        // Its holder may wait for any of the others.
        self.shared.lock().take(&self.other_waits);
        self.lock.take(&self.other_waits);
        self.each_lock(|lock| lock.take(&self.other_waits));
    }

    /// The opposite of `hold`, in parent and child. While `lock` is held no depot comes into use, so the locks are those
    /// that were taken.
    pub(in crate::slab) fn let_go(&self) {
        self.each_lock(Lock::release);
        self.lock.release();
        self.shared.lock().release();
    }

    /// In the child of a fork: takes back what the threads had that it does not have.
    pub(in crate::slab) fn bury_threads(core: NonNull<Core>) {
        // SAFETY: the list of cores holds open ones.
        let this = unsafe { core.as_ref() };
        let mine = this.find(|core| ptr::eq(core, this));
        let mut cache = this.caches.get();
        while !cache.is_null() {
            // SAFETY: the child has one thread, so nobody uses the caches of the others.
            unsafe {
                let next = (*cache).next.get();
                if Some(cache) != mine {
                    Core::retire(core, cache);
                }
                cache = next;
            }
        }
    }
}
