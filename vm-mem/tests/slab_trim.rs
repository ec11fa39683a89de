//! What is left in memory after everything was freed: a test with a process of its own.
#![allow(unsafe_code)] // Freeing, and raw memory.

use std::alloc::Layout;
use std::ptr::NonNull;

use vm_mem::slab::{Scheme, SlabAllocator, SlabConfig};

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 1).unwrap()
}

#[test]
fn a_trim_gives_everything_back() {
    // The list of objects is the test's own, and stays.
    let mut objects = vec![(1, 1); 3_000_000];
    objects.clear();
    for scheme in [Scheme::PowersOfTwo, Scheme::Fine] {
        let slabs = SlabAllocator::with_config(&SlabConfig::new(scheme)).unwrap();
        let before = resident();
        for &class in scheme.classes() {
            for _ in 0..(4 << 20) / class.size() {
                objects.push((slabs.allocate(layout(class.size())).unwrap().as_ptr() as usize, class.size()));
            }
        }
        for &(at, size) in &objects {
            // SAFETY: a live object.
            unsafe { (at as *mut u8).write_bytes(1, size) };
        }
        assert!(resident() > before + (40 << 20));
        for (at, size) in objects.drain(..) {
            // SAFETY: a live object, freed once.
            assert_eq!(unsafe { slabs.deallocate(NonNull::new(at as *mut u8).unwrap(), layout(size)) }, Ok(()));
        }
        assert!(slabs.trim() > 0);
        let left = resident().saturating_sub(before);
        assert!(left < 1 << 20, "{left} bytes left, {scheme:?}");
        assert_eq!(slabs.trim(), 0);
        assert!(slabs.allocate(layout(64)).is_ok());
    }
}
