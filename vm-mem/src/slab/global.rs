//! The allocator of a whole program.

use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::core::Core;
use super::os;
use super::{Scheme, SlabAllocator, SlabConfig, SlabError};

/// A [`SlabAllocator`] as the global allocator of a program. Sizes and alignments above 8192 bytes go to the system's
/// allocator.
///
/// A free that [`SlabAllocator`] would refuse writes what is wrong to standard error and aborts.
#[derive(Debug)]
pub struct SlabGlobal {
    core: AtomicPtr<Core>,
    config: SlabConfig,
}

impl SlabGlobal {
    /// With the default configuration. The allocator is made when it is first used.
    #[must_use]
    pub const fn new() -> SlabGlobal {
        SlabGlobal::with_config(SlabConfig::new(Scheme::PowersOfTwo))
    }

    /// With this configuration.
    #[must_use]
    pub const fn with_config(config: SlabConfig) -> SlabGlobal {
        SlabGlobal { core: AtomicPtr::new(ptr::null_mut()), config }
    }

    /// The allocator behind it; `None` if the host has no address space for one.
    #[must_use]
    pub fn allocator(&self) -> Option<&SlabAllocator> {
        // SAFETY:
        // - a `SlabAllocator` is a pointer to its core and nothing else, and an atomic pointer has the same layout;
        // - `core` is not null afterwards and never changes again, so it is read without a race.
        self.get().map(|_| unsafe { &*(&raw const self.core).cast::<SlabAllocator>() })
    }

    #[inline(always)]
    fn get(&self) -> Option<ManuallyDrop<SlabAllocator>> {
        let core = NonNull::new(self.core.load(Ordering::Acquire)).or_else(|| self.make())?;
        Some(ManuallyDrop::new(SlabAllocator { core }))
    }

    #[cold]
    #[inline(never)]
    fn alloc_slowly(&self, layout: Layout) -> *mut u8 {
        if !is_small(layout) {
            // SAFETY: only `alloc` calls this, whose caller promises that the layout has a size.
            return unsafe { System.alloc(layout) };
        }
        match self.get().map(|slabs| slabs.core().allocate_slowly(layout)) {
            Some(Ok(object)) => object.as_ptr(),
            _ => ptr::null_mut(),
        }
    }

    #[cold]
    #[inline(never)]
    fn dealloc_slowly(&self, object: *mut u8, layout: Layout) {
        if !is_small(layout) {
            // SAFETY: only `dealloc` calls this, whose caller promises that `alloc` gave the object for this layout.
            return unsafe { System.dealloc(object, layout) };
        }
        if let Some(slabs) = self.get()
            && let Err(error) = slabs.core().free_slowly(object as usize, layout)
        {
            refuse(error);
        }
    }

    #[cold]
    fn make(&self) -> Option<NonNull<Core>> {
        let made = Core::create(&self.config)?;
        match self.core.compare_exchange(ptr::null_mut(), made.as_ptr(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(made),
            Err(other) => {
                // SAFETY: nobody else knows the one that was made here.
                unsafe { Core::close(made) };
                NonNull::new(other)
            }
        }
    }
}

impl Default for SlabGlobal {
    fn default() -> SlabGlobal {
        SlabGlobal::new()
    }
}

/// Whether slabs serve a layout.
#[inline(always)]
fn is_small(layout: Layout) -> bool {
    super::class::padded(layout) <= super::MAX_SIZE
}

// SAFETY: memory of a slab stays where it is until it is freed, and no two live objects overlap; whatever is not served
// from slabs goes to the system's allocator, by layout, in both directions. Nothing here unwinds: what the slab code
// asserts are its own invariants, and a panic within a global allocator aborts.
unsafe impl GlobalAlloc for SlabGlobal {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Core::allocate(self.core.load(Ordering::Acquire), layout) {
            Some(object) => object.as_ptr(),
            None => self.alloc_slowly(layout),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        if !Core::free(self.core.load(Ordering::Acquire), object as usize, layout) {
            self.dealloc_slowly(object, layout);
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_small(layout) {
            // SAFETY: the caller's promise is passed on.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's promise is passed on; what comes back has as many bytes as the layout.
        unsafe {
            let object = self.alloc(layout);
            if !object.is_null() {
                object.write_bytes(0, layout.size());
            }
            object
        }
    }

    #[inline]
    unsafe fn realloc(&self, object: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size, rounded up to the alignment, is a layout's.
        let to = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_small(layout), is_small(to)) {
            // SAFETY: the caller's promise is passed on.
            (false, false) => unsafe { System.realloc(object, layout, size) },
            (true, true) if self.get().is_some_and(|slabs| slabs.resize(layout, to)) => object,
            // SAFETY: both objects have so many bytes and are different ones.
            _ => unsafe {
                let moved = self.alloc(to);
                if !moved.is_null() {
                    object.copy_to_nonoverlapping(moved, layout.size().min(size));
                    self.dealloc(object, layout);
                }
                moved
            },
        }
    }
}

/// Says what is wrong, without the heap, and aborts.
#[cold]
#[inline(never)]
fn refuse(error: SlabError) -> ! {
    let (address, what) = match error {
        SlabError::DoubleFree { address } => (address, " is freed although it is free\n"),
        SlabError::Foreign { address } => (address, " is freed although it is not of the slab allocator\n"),
        SlabError::NotAnObject { address } => (address, " is freed although no object begins there\n"),
        SlabError::WrongClass { address, .. } => (address, " is freed with a layout of another size class\n"),
        SlabError::OutOfMemory { .. } | SlabError::TooLarge { .. } => (0, ": no memory to free an object\n"),
    };
    let mut digits = [0; 16];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[address >> (4 * place) & 15];
    }
    os::abort(&["slab allocator: 0x", std::str::from_utf8(&digits).unwrap_or("?"), what])
}
