//! The allocator as a value.

use std::alloc::Layout;
use std::ptr::NonNull;

use super::core::Core;
use super::{Scheme, SizeClass, SlabAllocatorStats, SlabConfig, SlabError, arena, stats};

/// A slab, as it was when asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slab {
    /// Its first address.
    pub address: usize,
    /// The class of its objects.
    pub class: SizeClass,
    /// Its objects that are neither allocated nor in a magazine or depot.
    pub free: usize,
    /// The memory node whose part of the arena it lies in: that of the thread for which it was made.
    pub node: usize,
}

/// An allocator of objects of up to 8192 bytes.
///
/// All memory is freed when it is dropped.
#[repr(transparent)]
pub struct SlabAllocator {
    pub(super) core: NonNull<Core>,
}

// SAFETY: everything that threads share is atomic or behind a lock.
unsafe impl Send for SlabAllocator {}
// SAFETY: as above.
unsafe impl Sync for SlabAllocator {}

impl SlabAllocator {
    /// An allocator with the default configuration.
    ///
    /// # Errors
    /// [`SlabError::OutOfMemory`] if the host has no address space for it.
    pub fn new() -> Result<SlabAllocator, SlabError> {
        SlabAllocator::with_config(&SlabConfig::default())
    }

    /// An allocator.
    ///
    /// # Errors
    /// [`SlabError::OutOfMemory`] if the host has no address space for it, not even with 64 MiB a class.
    pub fn with_config(config: &SlabConfig) -> Result<SlabAllocator, SlabError> {
        Core::create(config).map(|core| SlabAllocator { core }).ok_or(SlabError::OutOfMemory { size: 0 })
    }

    #[inline(always)]
    pub(super) fn core(&self) -> &Core {
        // SAFETY: the allocator holds a reference to its core.
        unsafe { self.core.as_ref() }
    }

    /// Memory for one object of the layout, aligned as it asks, with arbitrary content. A size of 0 counts as 1.
    ///
    /// # Errors
    /// [`SlabError::TooLarge`], [`SlabError::OutOfMemory`].
    #[inline]
    pub fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, SlabError> {
        match Core::allocate(self.core.as_ptr(), layout) {
            Some(object) => Ok(object),
            None => self.core().allocate_slowly(layout),
        }
    }

    /// Frees an object.
    ///
    /// # Errors
    /// Any of [`SlabError`] but [`SlabError::OutOfMemory`]: the free was a mistake and changed nothing.
    ///
    /// # Safety
    /// If an object is allocated at `object` with this layout's class, nobody uses it any more, and it is not a later
    /// object than the one that the caller means. Any other address is refused.
    #[inline]
    pub unsafe fn deallocate(&self, object: NonNull<u8>, layout: Layout) -> Result<(), SlabError> {
        let address = object.as_ptr() as usize;
        match Core::free(self.core.as_ptr(), address, layout) {
            true => Ok(()),
            false => self.core().free_slowly(address, layout),
        }
    }

    /// Tells that an object's layout changes within its class: true if `to` is of the class of `from`, and the object can
    /// stay where it is.
    #[inline]
    pub(super) fn resize(&self, from: Layout, to: Layout) -> bool {
        let core = self.core();
        match (core.place_of(from), core.place_of(to)) {
            (Some(place), Some(other)) if place == other => {
                core.with_cache(|cache| cache.resized(place, from.size(), to.size()));
                true
            }
            _ => false,
        }
    }

    /// Which classes there are.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.core().scheme
    }

    /// Empties the depots and the calling thread's magazines, and gives the pages of all empty slabs and their metadata
    /// back to the host; returns the bytes of those slabs. Other threads empty their magazines when they next exchange
    /// objects with a depot.
    pub fn trim(&self) -> usize {
        self.core().trim()
    }

    /// A snapshot of the counts.
    #[must_use]
    pub fn stats(&self) -> SlabAllocatorStats {
        stats::of_allocator(self.core())
    }

    /// The slab that an address is in; `None` if it is in none of this allocator.
    #[must_use]
    pub fn slab_of(&self, address: *const u8) -> Option<Slab> {
        let core = self.core();
        let (arena, address) = (core.arena(), address as usize);
        let number = arena.class_at(address)?;
        let node = arena.node_of(((address - arena.base(number)) >> 3) as u32);
        core.shelf(number, node).with(&core.waits[number], |_| {
            let (start, place, free, node) = arena.look(number, address);
            let class = core.scheme.classes()[number];
            let there = !matches!(place, arena::Place::Fresh | arena::Place::Released);
            there.then_some(Slab { address: start, class, free, node })
        })
    }
}

impl Slab {
    /// Bytes of metadata that each slab of a class has beside it.
    #[must_use]
    pub fn metadata_bytes(class: SizeClass) -> usize {
        arena::Arena::metadata_per_slab(class)
    }
}

impl Drop for SlabAllocator {
    fn drop(&mut self) {
        // SAFETY: called once, by the owner.
        unsafe { Core::close(self.core) };
    }
}

impl std::fmt::Debug for SlabAllocator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlabAllocator").field("scheme", &self.scheme()).finish_non_exhaustive()
    }
}
