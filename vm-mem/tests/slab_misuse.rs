//! Every misuse that the slab allocator promises to notice, and the ends of its memory.
#![allow(unsafe_code)] // Freeing, and raw memory.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use vm_mem::slab::{
    ClassStats, HugePages, Scheme, SizeClass, SlabAllocator, SlabConfig, SlabError, SlabGlobal, Topology,
};

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 1).unwrap()
}

fn free(slabs: &SlabAllocator, address: usize, size: usize) -> Result<(), SlabError> {
    // SAFETY: the tests free what they own, or what is refused.
    unsafe { slabs.deallocate(NonNull::new(address as *mut u8).unwrap(), layout(size)) }
}

/// Every mistake, at every class of both schemes.
#[test]
fn every_misuse_is_refused() {
    for scheme in [Scheme::PowersOfTwo, Scheme::Fine] {
        let slabs = SlabAllocator::with_config(&SlabConfig::new(scheme)).unwrap();
        let other = SlabAllocator::with_config(&SlabConfig::new(scheme)).unwrap();
        let mut local = 0u64;
        let local = &raw mut local as usize;
        for &class in scheme.classes() {
            let size = class.size();
            let object = slabs.allocate(layout(size)).unwrap().as_ptr() as usize;
            let strange = other.allocate(layout(size)).unwrap().as_ptr() as usize;
            let slab = slabs.slab_of(object as *const u8).unwrap();
            let behind = slab.address + class.objects_per_slab() * size;
            let unused = object + 64 * class.slab_size();
            let asked = *scheme.classes().iter().find(|&&asked| asked != class).unwrap();
            let mut rows = vec![
                ("of another allocator", strange, size, SlabError::Foreign { address: strange }),
                ("of the stack", local, size, SlabError::Foreign { address: local }),
                ("null's neighbour", 8, size, SlabError::Foreign { address: 8 }),
                ("the last address", usize::MAX, size, SlabError::Foreign { address: usize::MAX }),
                ("misaligned", object + 1, size, SlabError::NotAnObject { address: object + 1 }),
                (
                    "of another class",
                    object,
                    asked.size(),
                    SlabError::WrongClass { address: object, asked, actual: class },
                ),
                (
                    "where no slab is",
                    unused / size * size,
                    size,
                    SlabError::DoubleFree { address: unused / size * size },
                ),
            ];
            if size > 8 {
                rows.push(("inside", object + 8, size, SlabError::NotAnObject { address: object + 8 }));
                rows.push(("half way", object + size / 2, size, SlabError::NotAnObject { address: object + size / 2 }));
            }
            if behind < slab.address + class.slab_size() {
                rows.push(("behind the last", behind, size, SlabError::NotAnObject { address: behind }));
            } else {
                // The neighbour was never given out.
                let next = if object + size < behind { object + size } else { object - size };
                rows.push(("never allocated", next, size, SlabError::DoubleFree { address: next }));
            }
            for (what, address, size, expected) in rows {
                if what == "where no slab is" && !class.size().is_power_of_two() {
                    continue;
                }
                assert_eq!(free(&slabs, address, size), Err(expected), "{what}, {class} of {scheme:?}");
            }
            assert_eq!(free(&slabs, object, size), Ok(()));
            assert_eq!(free(&slabs, object, size), Err(SlabError::DoubleFree { address: object }), "{class}");
            assert_eq!(free(&other, strange, size), Ok(()));
        }
        assert_eq!(slabs.stats().sum(|class| class.live), 0);
    }
}

#[test]
fn too_large_is_an_error() {
    let slabs = SlabAllocator::new().unwrap();
    assert_eq!(slabs.allocate(layout(8193)), Err(SlabError::TooLarge { size: 8193, align: 1 }));
    let aligned = Layout::from_size_align(8, 16384).unwrap();
    assert_eq!(slabs.allocate(aligned), Err(SlabError::TooLarge { size: 8, align: 16384 }));
    assert_eq!(free(&slabs, 4096, 9000), Err(SlabError::TooLarge { size: 9000, align: 1 }));
}

/// Double frees are refused wherever the object is by then: magazine, depot, slab, or a slab whose pages are gone.
#[test]
fn double_frees_are_refused_wherever_the_object_went() {
    for size in [8, 16, 32, 64, 8192] {
        let slabs = SlabAllocator::new().unwrap();
        let objects: Vec<usize> =
            (0..20_000).map(|_| slabs.allocate(layout(size)).unwrap().as_ptr() as usize).collect();
        for &object in &objects {
            assert_eq!(free(&slabs, object, size), Ok(()));
        }
        let refused = |slabs: &SlabAllocator| {
            objects.iter().all(|&at| free(slabs, at, size) == Err(SlabError::DoubleFree { address: at }))
        };
        assert!(refused(&slabs));
        let class = *slabs.stats().classes.iter().find(|class| class.class.size() == size).unwrap();
        assert!(class.in_magazines > 0 && class.in_depots > 0 && class.slabs_created > 0);
        slabs.trim();
        assert!(refused(&slabs));
    }
}

/// A write to a free object below 64 bytes keeps it from being given out, so that no object is given out twice.
#[test]
fn a_write_to_a_free_object_is_noticed() {
    let slabs = SlabAllocator::new().unwrap();
    let (a, b) = (slabs.allocate(layout(16)).unwrap(), slabs.allocate(layout(16)).unwrap());
    let address = a.as_ptr() as usize;
    assert_eq!(free(&slabs, address, 16), Ok(()));
    // SAFETY: none; this is the mistake that is looked for. The memory is mapped, and nobody else uses it.
    unsafe { a.as_ptr().cast::<u64>().write_volatile(7) };
    // What was written hides that the object is free.
    assert_eq!(free(&slabs, address, 16), Ok(()));
    let got: Vec<_> = (0..2000).map(|_| slabs.allocate(layout(16)).unwrap()).collect();
    let mut addresses: Vec<_> = got.iter().map(|at| at.as_ptr() as usize).collect();
    addresses.push(b.as_ptr() as usize);
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 2001);
}

#[test]
fn the_end_of_memory_is_an_error() {
    let config = SlabConfig { reserve_per_class: 64 << 20, ..SlabConfig::default() };
    let slabs = SlabAllocator::with_config(&config).unwrap();
    let mut objects = Vec::new();
    let error = loop {
        match slabs.allocate(layout(8192)) {
            Ok(object) => objects.push(object.as_ptr() as usize),
            Err(error) => break error,
        }
    };
    assert_eq!((error, objects.len()), (SlabError::OutOfMemory { size: 8192 }, 8192));
    // Other classes have their own space, and one free makes room for one allocation.
    assert!(slabs.allocate(layout(8)).is_ok());
    assert_eq!(free(&slabs, objects[77], 8192), Ok(()));
    assert!(slabs.allocate(layout(8192)).is_ok());
    assert_eq!(slabs.allocate(layout(8192)), Err(SlabError::OutOfMemory { size: 8192 }));
}

fn class_of_256(slabs: &SlabAllocator) -> ClassStats {
    *slabs.stats().classes.iter().find(|class| class.class.size() == 256).unwrap()
}

/// Allocates more objects than magazines and depots hold, 79 slabs of them for 256 bytes, and frees them.
fn come_and_go(slabs: &SlabAllocator, size: usize) {
    let objects: Vec<_> = (0..20_000).map(|_| slabs.allocate(layout(size)).unwrap()).collect();
    objects.into_iter().for_each(|at| assert_eq!(free(slabs, at.as_ptr() as usize, size), Ok(())));
}

/// A program that frees a slab's objects and allocates them again soon pays for pages once.
#[test]
fn empty_slabs_are_kept_for_a_while() {
    let slabs = SlabAllocator::with_config(&SlabConfig { retain_for: Duration::MAX, ..SlabConfig::default() }).unwrap();
    for _ in 0..100 {
        come_and_go(&slabs, 256);
    }
    let class = class_of_256(&slabs);
    assert!(class.slabs == class.slabs_created && class.slabs_created < 90, "{class:?}");
}

/// What was not needed for the time that is configured goes back, also if nobody uses the class any more.
#[test]
fn empty_slabs_are_not_kept_longer() {
    let retain_for = Duration::from_millis(50);
    let slabs = SlabAllocator::with_config(&SlabConfig { retain_for, ..SlabConfig::default() }).unwrap();
    come_and_go(&slabs, 256);
    let start = Instant::now();
    while class_of_256(&slabs).slabs > 60 {
        assert!(start.elapsed() < Duration::from_secs(120), "{:?}", class_of_256(&slabs));
        std::thread::sleep(retain_for);
        come_and_go(&slabs, 64);
    }
    assert!(start.elapsed() >= retain_for);
}

/// What is needed again and again stays, however long that goes on.
#[test]
fn slabs_that_are_needed_now_and_then_stay() {
    let retain_for = Duration::from_millis(100);
    let slabs = SlabAllocator::with_config(&SlabConfig { retain_for, ..SlabConfig::default() }).unwrap();
    let start = Instant::now();
    while start.elapsed() < 30 * retain_for {
        come_and_go(&slabs, 256);
    }
    // Room for a few times that the host did not run this thread for so long.
    let class = class_of_256(&slabs);
    assert!(class.slabs_created < 3 * 79, "{class:?}");
}

/// Where they are not kept for a time, at least some of them are.
#[test]
fn some_empty_slabs_are_kept_in_any_case() {
    let retain_for = Duration::ZERO;
    let slabs = SlabAllocator::with_config(&SlabConfig { retain_for, ..SlabConfig::default() }).unwrap();
    for _ in 0..100 {
        come_and_go(&slabs, 256);
    }
    let class = class_of_256(&slabs);
    assert!(class.slabs < 60, "{class:?}");
    // Magazines and depots keep objects of 26 slabs; of the other 53, some stay each time.
    assert!(class.slabs_created < 79 + 99 * 46, "{class:?}");
}

#[test]
fn nodes_have_arenas_of_their_own() {
    thread_local!(static CPU: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    fn cpu() -> usize {
        CPU.get()
    }
    let topology = Some(Topology::custom(&[0, 0, 1, 3], cpu));
    let slabs = SlabAllocator::with_config(&SlabConfig { topology, ..SlabConfig::default() }).unwrap();
    for (cpu, node) in [(0, 0), (2, 1), (1, 0), (3, 3)] {
        CPU.set(cpu);
        // More than a magazine and the depots hold, so that slabs of this node are asked for.
        let objects: Vec<_> = (0..5000).map(|_| slabs.allocate(layout(64)).unwrap()).collect();
        let last = objects.last().unwrap().as_ptr();
        assert_eq!(slabs.slab_of(last).unwrap().node, node, "processor {cpu}");
    }
    // A host without nodes 1 and 3 says so for each piece of 2 MiB there.
    let refused = slabs.stats().sum(|class| class.refused_nodes);
    assert!(refused <= 3, "{refused}");
}

#[test]
fn huge_pages_fall_back() {
    for huge_pages in [HugePages::Transparent, HugePages::Explicit] {
        let slabs = SlabAllocator::with_config(&SlabConfig { huge_pages, ..SlabConfig::default() }).unwrap();
        let objects: Vec<_> = (0..50_000).map(|_| slabs.allocate(layout(128)).unwrap()).collect();
        for at in &objects {
            // SAFETY: a live object.
            unsafe { at.as_ptr().write_bytes(1, 128) };
        }
        objects.into_iter().for_each(|at| assert_eq!(free(&slabs, at.as_ptr() as usize, 128), Ok(())));
        slabs.trim();
        let stats = slabs.stats();
        assert_eq!((stats.slab_bytes(), stats.sum(|class| class.live)), (0, 0));
    }
}

/// The global wrapper: layouts of all sizes, growing and shrinking, zeroed memory.
#[test]
fn the_global_wrapper_serves_every_layout() {
    let global = SlabGlobal::with_config(SlabConfig::new(Scheme::Fine));
    // SAFETY: layouts with a size; objects are used within it and freed once with their last layout.
    unsafe {
        for size in [1usize, 8, 63, 100, 4096, 8192, 8193, 100_000] {
            let layout = layout(size);
            let zeroed = global.alloc_zeroed(layout);
            assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|&byte| byte == 0));
            zeroed.write_bytes(7, size);
            let mut at = zeroed;
            let (mut now, mut kept) = (layout, size);
            for to in [size + 1, 3 * size, 20_000, size.div_ceil(2), size] {
                at = global.realloc(at, now, to);
                kept = kept.min(to);
                assert!(std::slice::from_raw_parts(at, kept).iter().all(|&byte| byte == 7), "{size} to {to}");
                now = Layout::from_size_align(to, 1).unwrap();
            }
            global.dealloc(at, now);
        }
    }
    let stats = global.allocator().unwrap().stats();
    assert_eq!((stats.sum(|class| class.live), stats.sum(|class| class.requested_bytes)), (0, 0));
}

/// Runs this test again in a child that makes the mistake; returns what it wrote to standard error.
fn aborted(test: &str) -> String {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env("SLAB_MISUSE", "1")
        .output()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(libc::SIGABRT));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_global_wrapper_aborts_with_a_message() {
    if std::env::var_os("SLAB_MISUSE").is_some() {
        let global = SlabGlobal::new();
        // SAFETY: none; the second free is the mistake that is looked for, and it aborts.
        unsafe {
            let object = global.alloc(layout(48));
            global.dealloc(object, layout(48));
            global.dealloc(object, layout(48));
        }
    }
    let said = aborted("the_global_wrapper_aborts_with_a_message");
    assert!(said.contains("slab allocator: 0x") && said.contains("is freed although it is free"), "{said}");
}

#[test]
fn classes_are_what_layouts_ask() {
    let scheme = Scheme::PowersOfTwo;
    assert_eq!(scheme.class_of(layout(24)), Some(SizeClass::POWERS_OF_TWO[2]));
    assert_eq!(Scheme::Fine.class_of(layout(24)).map(SizeClass::size), Some(24));
}
