//! The standard library's unstable `Allocator` trait as the crate `allocator-api2` has it, for its collections and
//! hashbrown's.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator, Global};

use super::{MAX_SIZE, SlabAllocator};

/// Whether slabs serve a layout; others go to the global allocator.
fn is_small(layout: Layout) -> bool {
    super::class::padded(layout) <= MAX_SIZE
}

// SAFETY: objects stay valid until they are freed or the allocator is dropped, also when it is moved, since all of it lies
// behind a pointer; whatever is not served from slabs goes to the global allocator, by layout, in both directions.
unsafe impl Allocator for SlabAllocator {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if !is_small(layout) {
            return Global.allocate(layout);
        }
        let object = SlabAllocator::allocate(self, layout).map_err(|_| AllocError)?;
        Ok(NonNull::slice_from_raw_parts(object, layout.size()))
    }

    /// # Panics
    /// If the free is one that [`SlabAllocator::deallocate`] refuses.
    unsafe fn deallocate(&self, object: NonNull<u8>, layout: Layout) {
        if !is_small(layout) {
            // SAFETY: the caller's promise is passed on.
            return unsafe { Global.deallocate(object, layout) };
        }
        // SAFETY: the caller's promise is passed on.
        if let Err(error) = unsafe { SlabAllocator::deallocate(self, object, layout) } {
            panic!("{error}");
        }
    }

    unsafe fn grow(&self, object: NonNull<u8>, from: Layout, to: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise is passed on.
        unsafe { change(self, object, from, to) }
    }

    unsafe fn shrink(&self, object: NonNull<u8>, from: Layout, to: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise is passed on.
        unsafe { change(self, object, from, to) }
    }
}

/// Gives an object another layout: in its place if the class stays, else in a new one.
///
/// # Safety
/// As for `Allocator::grow` and `Allocator::shrink`.
unsafe fn change(
    slabs: &SlabAllocator,
    object: NonNull<u8>,
    from: Layout,
    to: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    if slabs.resize(from, to) {
        return Ok(NonNull::slice_from_raw_parts(object, to.size()));
    }
    let moved = Allocator::allocate(slabs, to)?;
    // SAFETY: both objects have so many bytes, and they are different ones; the old one came from here.
    unsafe {
        object.copy_to_nonoverlapping(moved.cast(), from.size().min(to.size()));
        Allocator::deallocate(slabs, object, from);
    }
    Ok(moved)
}
