//! [`LinkTable`]: the words through which direct exits of generated code jump.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// A table of code addresses that generated code jumps through. Its address space is reserved at once and gets memory
/// as entries are used, so that the table never moves.
#[derive(Debug)]
pub(crate) struct LinkTable {
    start: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the entries are atomics.
unsafe impl Send for LinkTable {}
// SAFETY: the entries are atomics.
unsafe impl Sync for LinkTable {}

impl LinkTable {
    /// A table with room for `len` entries, all zero.
    ///
    /// # Errors
    /// What the host says when it refuses address space.
    pub(crate) fn reserve(len: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), len * 8, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        Ok(Self { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len })
    }

    /// Host address of entry 0.
    pub(crate) fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// The entries.
    pub(crate) fn entries(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds `len` aligned words, zero at first, and lives as long as `self`; everyone accesses
        // them as atomics (generated code by aligned loads).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for LinkTable {
    fn drop(&mut self) {
        // SAFETY: the mapping is this table's own, and its owner outlives all code that jumps through it.
        let result = unsafe { munmap(self.start.as_ptr().cast(), self.len * 8) };
        debug_assert!(result.is_ok(), "unmapping the link table");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_table_starts_empty() {
        let table = LinkTable::reserve(1 << 20).unwrap();
        assert_eq!(table.entries().len(), 1 << 20);
        assert_eq!(table.entries()[(1 << 20) - 1].load(Ordering::Relaxed), 0);
    }
}
