//! What an allocator takes of the host's memory for its objects.

use std::alloc::Layout;
use std::fs;

use vm_mem::slab::SlabGlobal;

use super::{allocate, free};

/// Resident memory around objects, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// Of slabs while all objects were live.
    pub slabs: usize,
    /// Of the process then, more than before.
    pub resident: usize,
    /// Of the process after all objects were freed and the allocator was trimmed, more than before.
    pub left: usize,
}

impl Footprint {
    /// Allocates `bytes` of objects of each of these sizes, writes to all of them and frees them.
    ///
    /// # Panics
    /// If there is no memory, or the host does not say what is resident.
    #[must_use]
    pub fn of(global: &SlabGlobal, sizes: &[usize], bytes: usize) -> Footprint {
        let slabs = global.allocator().expect("address space");
        let layout = |size| Layout::from_size_align(size, 8).expect("a small layout");
        let count: usize = sizes.iter().map(|size| bytes / size).sum();
        // The list of objects is written to before, so that its pages do not count.
        let mut objects = vec![(std::ptr::without_provenance_mut(1), 1); count];
        objects.clear();
        slabs.trim();
        let before = resident();
        for &size in sizes {
            for _ in 0..bytes / size {
                let object = allocate(global, layout(size));
                // SAFETY: the last byte of an object, whose other pages have their first word or its neighbour's written.
                unsafe { object.add(size - 1).write_volatile(object.add(size - 1).read_volatile()) };
                objects.push((object, size));
            }
        }
        let (live, held) = (resident(), slabs.stats().slab_bytes() as usize);
        objects.drain(..).for_each(|(object, size)| free(global, object, layout(size)));
        slabs.trim();
        Footprint { slabs: held, resident: live.saturating_sub(before), left: resident().saturating_sub(before) }
    }
}

/// Bytes of this process that are in memory, counted page by page.
fn resident() -> usize {
    let text = fs::read_to_string("/proc/self/smaps_rollup").expect("a host that counts resident pages");
    let kib = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("resident pages");
    kib.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}
