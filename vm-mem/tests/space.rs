//! Boundaries, files, sharing, the heap, racing accesses, and what the host's own view of our mappings says.
#![allow(unsafe_code)] // Mappings that are not the address space's, and a fork.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vm_core::{Access, GuestAddr, GuestMemory, MemFault, PAGE_SIZE, Perms};
use vm_mem::{AddressSpace, Advice, FileIdentity, Gap, MapRequest, MemError, Place, Placement, RemapRequest};

const RW: Perms = Perms::READ.union(Perms::WRITE);
const RX: Perms = Perms::READ.union(Perms::EXECUTE);

fn at(addr: u64) -> GuestAddr {
    GuestAddr::new(addr)
}

fn reserved() -> AddressSpace {
    AddressSpace::new(Placement::Reserved { size: 1 << 24 }).unwrap()
}

/// A file of `len` bytes of 0x5a that has no name any more, and what is said of it.
fn file(len: usize) -> (File, Arc<FileIdentity>) {
    let path = std::env::temp_dir().join(format!("vm-mem-{}-{:?}", std::process::id(), std::thread::current().id()));
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(&vec![0x5a; len]).unwrap();
    (file, Arc::new(FileIdentity { path: "/some/file".into(), device: 1, inode: 2 }))
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let space = reserved();
    let page = |place| MapRequest::anonymous(PAGE_SIZE, RW).at(place);
    let errno = |request| space.map(request).unwrap_err().errno();
    assert_eq!(errno(MapRequest::anonymous(0, RW)), libc::EINVAL);
    assert_eq!(errno(page(Place::Fixed(at(0x10001)))), libc::EINVAL);
    assert_eq!(errno(page(Place::Fixed(at(1 << 24)))), libc::ENOMEM);
    assert_eq!(errno(page(Place::Fixed(at(u64::MAX - 0xfff)))), libc::ENOMEM);
    assert_eq!(errno(MapRequest::anonymous(u64::MAX, RW)), libc::ENOMEM);
    assert_eq!(errno(MapRequest::anonymous(1 << 25, RW)), libc::ENOMEM);
    assert_eq!(space.map(page(Place::Fixed(at((1 << 24) - PAGE_SIZE)))), Ok(at((1 << 24) - PAGE_SIZE)));
    assert_eq!(errno(page(Place::FixedNoReplace(at((1 << 24) - PAGE_SIZE)))), libc::EEXIST);
    assert_eq!(space.unmap(at(1), 1).unwrap_err().errno(), libc::EINVAL);
    assert_eq!(space.unmap(at(0), 0).unwrap_err().errno(), libc::EINVAL);
    assert_eq!(space.unmap(at(0), u64::MAX).unwrap_err().errno(), libc::EINVAL);
    assert_eq!(space.protect(at(0x10000), PAGE_SIZE, RW).unwrap_err().errno(), libc::ENOMEM);
    assert_eq!(space.protect(at(0x10000), 0, RW), Ok(()));
    assert!(AddressSpace::new(Placement::Reserved { size: 0 }).is_err());
    assert!(AddressSpace::new(Placement::Reserved { size: 4095 }).is_err());
    assert!(AddressSpace::new(Placement::Reserved { size: u64::MAX - 4095 }).is_err());
}

#[test]
fn remap_checks_as_the_kernel_does() {
    let space = reserved();
    let base = space.map(MapRequest::anonymous(4 * PAGE_SIZE, RW).at(Place::Fixed(at(0x20000)))).unwrap();
    let whole = RemapRequest {
        addr: base,
        old_len: 4 * PAGE_SIZE,
        new_len: 4 * PAGE_SIZE,
        may_move: true,
        fixed: None,
        keep_old: false,
    };
    let errno = |request| space.remap(request).unwrap_err().errno();
    assert_eq!(errno(RemapRequest { new_len: 0, ..whole }), libc::EINVAL);
    assert_eq!(errno(RemapRequest { addr: at(0x20001), ..whole }), libc::EINVAL);
    assert_eq!(errno(RemapRequest { fixed: Some(at(0x40000)), may_move: false, ..whole }), libc::EINVAL);
    assert_eq!(errno(RemapRequest { fixed: Some(at(0x21000)), ..whole }), libc::EINVAL);
    assert_eq!(errno(RemapRequest { fixed: Some(at(0x40001)), ..whole }), libc::EINVAL);
    assert_eq!(errno(RemapRequest { fixed: Some(at(1 << 24)), ..whole }), libc::EINVAL);
    assert_eq!(errno(RemapRequest { addr: at(0x80000), ..whole }), libc::EFAULT);
    assert_eq!(errno(RemapRequest { old_len: 5 * PAGE_SIZE, new_len: 6 * PAGE_SIZE, ..whole }), libc::EFAULT);
    assert_eq!(errno(RemapRequest { old_len: 0, ..whole }), libc::EINVAL);
    // In place while there is room, elsewhere when there is none.
    space.write(base, b"contents").unwrap();
    assert_eq!(space.remap(RemapRequest { new_len: 8 * PAGE_SIZE, may_move: false, ..whole }), Ok(base));
    space.map(MapRequest::anonymous(PAGE_SIZE, RW).at(Place::Fixed(at(0x28000)))).unwrap();
    let grow = RemapRequest { old_len: 8 * PAGE_SIZE, new_len: 9 * PAGE_SIZE, ..whole };
    assert_eq!(errno(RemapRequest { may_move: false, ..grow }), libc::ENOMEM);
    let moved = space.remap(grow).unwrap();
    assert_ne!(moved, base);
    let mut bytes = [0; 8];
    space.read(moved, &mut bytes).unwrap();
    assert_eq!(&bytes, b"contents");
    assert!(space.read(base, &mut bytes).is_err());
    space.write(moved.offset(9 * PAGE_SIZE as i64 - 1), &[1]).unwrap();
    // Smaller, in place.
    assert_eq!(space.remap(RemapRequest { addr: moved, old_len: 9 * PAGE_SIZE, new_len: 1, ..whole }), Ok(moved));
    assert!(space.read(moved.offset(PAGE_SIZE as i64), &mut bytes).is_err());
}

#[test]
fn a_shared_mapping_can_be_seen_twice_and_moved() {
    for space in [reserved(), AddressSpace::new(Placement::Direct).unwrap()] {
        let first = at(if space.view().base == 0 { 0x2222_0000_0000 } else { 0x30000 });
        space.map(MapRequest::anonymous(2 * PAGE_SIZE, RW).shared().at(Place::Fixed(first))).unwrap();
        let again = RemapRequest {
            addr: first,
            old_len: 0,
            new_len: 2 * PAGE_SIZE,
            may_move: true,
            fixed: None,
            keep_old: false,
        };
        let second = space.remap(again).unwrap();
        space.write(second.offset(5000), &[7]).unwrap();
        let mut byte = [0];
        space.read(first.offset(5000), &mut byte).unwrap();
        assert_eq!(byte, [7]);
        let third = second.offset(-0x10000);
        let moved = RemapRequest { old_len: 2 * PAGE_SIZE, fixed: Some(third), ..again };
        assert_eq!(space.remap(moved), Ok(third));
        space.write(third.offset(5000), &[8]).unwrap();
        space.read(second.offset(5000), &mut byte).unwrap();
        assert_eq!(byte, [8]);
        assert!(space.read(first, &mut byte).is_err());
    }
}

#[test]
fn a_file_shorter_than_its_mapping_gives_faults() {
    let space = reserved();
    let (file, identity) = file(PAGE_SIZE as usize + 10);
    let request = MapRequest::file(file.as_fd(), 0, identity, 4 * PAGE_SIZE, RW).shared();
    let base = space.map(request).unwrap();
    let mut bytes = vec![0; 3 * PAGE_SIZE as usize];
    let unbacked = |access| Some(MemFault::Unbacked { addr: base.offset(2 * PAGE_SIZE as i64), access });
    assert_eq!(space.copy_in(base.offset(100), &mut bytes), (2 * PAGE_SIZE as usize - 100, unbacked(Access::Read)));
    assert_eq!(bytes[..PAGE_SIZE as usize - 90], vec![0x5a; PAGE_SIZE as usize - 90]);
    assert_eq!(bytes[PAGE_SIZE as usize - 90], 0);
    assert_eq!(
        space.copy_out(base.offset(2 * PAGE_SIZE as i64 - 1), &[1, 2]),
        (1, unbacked(Access::Write)),
        "the last byte of the page that the file reaches into is there"
    );
    let third = base.offset(2 * PAGE_SIZE as i64);
    assert_eq!(space.compare_exchange(third, 8, 0, 1), Err(MemFault::Unbacked { addr: third, access: Access::Write }));
    assert_eq!(space.compare_exchange(base, 1, 0x5a, 3), Ok(0x5a));
    let mut first = [0];
    std::os::unix::fs::FileExt::read_at(&file, &mut first, 0).unwrap();
    assert_eq!(first, [3], "a shared mapping writes its file");
    file.set_len(0).unwrap();
    assert_eq!(space.read(base, &mut first), Err(MemFault::Unbacked { addr: base, access: Access::Read }));
}

#[test]
fn a_read_only_file_cannot_be_mapped_for_writing() {
    let space = reserved();
    let (_, identity) = file(1);
    let file = File::open("/proc/self/exe").unwrap();
    let request = MapRequest::file(file.as_fd(), 0, identity, PAGE_SIZE, RW).shared();
    assert_eq!(space.map(request).unwrap_err(), MemError::Host { call: "mmap", errno: libc::EACCES });
    assert!(space.regions().is_empty());
}

#[test]
fn the_first_byte_that_fails_is_named() {
    let space = reserved();
    space.map(MapRequest::anonymous(PAGE_SIZE, RW).at(Place::Fixed(at(0x20000)))).unwrap();
    space.map(MapRequest::anonymous(PAGE_SIZE, Perms::READ).at(Place::Fixed(at(0x21000)))).unwrap();
    let (read, write) = (Access::Read, Access::Write);
    let mut buf = [0; 16];
    assert_eq!(space.read(at(0x21ff8), &mut buf), Err(MemFault::Unmapped { addr: at(0x22000), access: read }));
    assert_eq!(space.write(at(0x20ff8), &buf), Err(MemFault::Forbidden { addr: at(0x21000), access: write }));
    assert_eq!(space.fetch(at(0x20000), &mut buf).unwrap_err().addr(), at(0x20000));
    assert_eq!(space.read(at(u64::MAX - 3), &mut buf).unwrap_err().addr(), at(u64::MAX - 3));
    space.protect(at(0x20000), PAGE_SIZE, RX).unwrap();
    assert_eq!(space.fetch(at(0x20ff8), &mut buf), Ok(8));
    assert_eq!(space.host_ptr(at(0), 1 << 24, read).map(|ptr| ptr as usize), Ok(space.view().base));
    let outside = MemFault::Unmapped { addr: at(1 << 24), access: read };
    assert_eq!(space.host_ptr(at(1), 1 << 24, read), Err(outside));
    assert_eq!(space.host_ptr(at(1 << 24), 1, read), Err(outside));
    assert_eq!(space.host_ptr(at(u64::MAX), 2, read).unwrap_err().addr(), at(u64::MAX));
}

#[test]
fn compare_exchange_of_every_size() {
    let space = reserved();
    let base = space.map(MapRequest::anonymous(PAGE_SIZE, RW)).unwrap();
    for size in [1usize, 2, 4, 8, 16] {
        let ones = u128::MAX >> (128 - size * 8);
        space.write(base, &[0xee; 32]).unwrap();
        let old = 0xeeee_eeee_eeee_eeee_eeee_eeee_eeee_eeee & ones;
        assert_eq!(space.compare_exchange(base, size, 1, 2), Ok(old), "{size}");
        assert_eq!(space.compare_exchange(base, size, old, 0x0807_0605_0403_0201 & ones), Ok(old), "{size}");
        let mut bytes = [0; 32];
        space.read(base, &mut bytes).unwrap();
        let mut expected = [0xee; 32];
        expected[..size].fill(0);
        for (index, byte) in expected[..size.min(8)].iter_mut().enumerate() {
            *byte = index as u8 + 1;
        }
        assert_eq!(bytes, expected, "{size}");
    }
    space.protect(base, PAGE_SIZE, Perms::READ).unwrap();
    assert!(matches!(space.compare_exchange(base, 4, 0, 0), Err(MemFault::Forbidden { .. })));
}

#[test]
fn the_heap_grows_shrinks_and_stops_at_mappings() {
    let space = reserved();
    space.set_heap(at(0x50001));
    let start = at(0x51000);
    assert_eq!(space.brk(at(0)), start);
    assert_eq!(space.brk(start.offset(100)), start.offset(100));
    space.write(start.offset(99), &[1]).unwrap();
    assert_eq!(space.brk(start.offset(0x3000)), start.offset(0x3000));
    let heap = space.regions();
    assert_eq!(heap.len(), 1);
    assert_eq!((heap[0].name.as_deref(), heap[0].range.len()), (Some("[heap]"), 0x3000));
    assert_eq!(space.brk(start.offset(0x800)), start.offset(0x800));
    assert_eq!(space.regions()[0].range.len(), 0x1000);
    space.map(MapRequest::anonymous(PAGE_SIZE, RW).at(Place::Fixed(start.offset(0x4000)))).unwrap();
    assert_eq!(space.brk(start.offset(0x4000)), start.offset(0x800), "a page is kept between heap and mapping");
    assert_eq!(space.brk(start.offset(0x3000)), start.offset(0x3000));
    assert_eq!(space.brk(start.offset(-1)), start.offset(0x3000));
    assert_eq!(space.brk(at(u64::MAX)), start.offset(0x3000));
    assert_eq!(space.brk(start), start);
    let mut byte = [0];
    assert!(space.read(start, &mut byte).is_err());
}

#[test]
fn gaps_are_found_from_both_ends() {
    let space = reserved();
    space.map(MapRequest::anonymous(PAGE_SIZE, RW).at(Place::Fixed(at(0x20000)))).unwrap();
    assert_eq!(space.find_gap(1, PAGE_SIZE, Gap::Below(at(0x21000))), Ok(at(0x1f000)));
    assert_eq!(space.find_gap(1, 1 << 16, Gap::Below(at(0x21fff))), Ok(at(0x10000)));
    assert_eq!(space.find_gap(1, PAGE_SIZE, Gap::Above(at(0x20000))), Ok(at(0x21000)));
    assert_eq!(space.find_gap(1, 1 << 16, Gap::Above(at(0x20000))), Ok(at(0x30000)));
    assert!(matches!(space.find_gap(1 << 24, PAGE_SIZE, Gap::Above(at(0))), Err(MemError::NoGap { .. })));
    let hinted = space.map(MapRequest::anonymous(1, RW).at(Place::Hint(at(0x40123))));
    assert_eq!(hinted, Ok(at(0x40000)));
    space.set_mmap_top(at(0x40000));
    let elsewhere = space.map(MapRequest::anonymous(1, RW).at(Place::Hint(at(0x40123))));
    assert_eq!(elsewhere, Ok(at(0x3f000)));
}

#[test]
fn mappings_of_the_emulator_are_left_alone() {
    // Something of "ours" below the guest's limit, as in a program linked at a fixed address.
    let (len, flags) = (PAGE_SIZE as usize, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE);
    let wanted = 0x1111_0000_0000usize as *mut libc::c_void;
    // SAFETY: a new mapping where nothing is.
    let ours = unsafe { libc::mmap(wanted, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    assert_eq!(ours, wanted);
    // SAFETY: the page was mapped just now.
    unsafe { ours.cast::<u8>().write_volatile(42) };
    let space = AddressSpace::new(Placement::Direct).unwrap();
    let before = at(ours as u64 - PAGE_SIZE);
    let request = MapRequest::anonymous(3 * PAGE_SIZE, RW);
    let error = space.map(request.clone().at(Place::Fixed(before))).unwrap_err();
    assert!(matches!(error, MemError::Occupied { .. }), "{error}");
    assert_eq!(error.errno(), libc::ENOMEM);
    assert!(space.regions().is_empty());
    // A mapping without a place goes around it.
    space.set_mmap_top(at(ours as u64 + 2 * PAGE_SIZE));
    assert_eq!(space.map(request), Ok(at(ours as u64 - 3 * PAGE_SIZE)));
    assert_eq!(space.unmap(at(ours as u64 - 8 * PAGE_SIZE), 16 * PAGE_SIZE), Ok(()));
    // SAFETY: the page is still mapped.
    assert_eq!(unsafe { ours.cast::<u8>().read_volatile() }, 42);
    // SAFETY: the page was mapped above and nothing refers to it.
    assert_eq!(unsafe { libc::munmap(ours, len) }, 0);
}

#[test]
fn code_pages_are_reported_when_they_change() {
    let space = reserved();
    let code = space.map(MapRequest::anonymous(4 * PAGE_SIZE, RW)).unwrap();
    let page = |n: i64| code.offset(n * PAGE_SIZE as i64);
    let taken = || {
        let mut starts = Vec::new();
        space.code_watch().settle(|range| starts.push(range.start()));
        starts
    };
    for n in 0..4 {
        space.watch_code(page(n));
    }
    space.write(page(1).offset(-1), &[0, 0]).unwrap();
    assert_eq!(taken(), [page(0)]);
    space.compare_exchange(page(2), 4, 0, 1).unwrap();
    assert_eq!(taken(), [page(2)]);
    space.watch_code(page(0));
    space.protect(page(0), PAGE_SIZE, RX).unwrap();
    space.unmap(page(3), PAGE_SIZE).unwrap();
    assert_eq!(taken(), [page(0), page(3)]);
    // What can be written, or what a file shows, may change unreported.
    assert!(!space.is_fixed(page(0)), "not watched since it changed");
    space.watch_code(page(0));
    space.watch_code(page(1));
    assert!(space.is_fixed(page(0)) && !space.is_fixed(page(1)) && !space.is_fixed(page(3)));
    // What is executed where it can be written may change at any time.
    space.protect(page(1), PAGE_SIZE, RW | Perms::EXECUTE).unwrap();
    assert_eq!([0, 1, 2, 3].map(|n| space.holds_made_code(page(n))), [false, true, false, false]);
}

#[test]
fn threads_may_race() {
    let space = reserved();
    let base = space.map(MapRequest::anonymous(4 * PAGE_SIZE, RW)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let mut old = 0;
                        loop {
                            let was = space.compare_exchange(base, 8, old, old + 1).unwrap();
                            if was == old {
                                break;
                            }
                            old = was;
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            // Aligned words are never torn.
            while !stop.load(Ordering::Relaxed) {
                let mut word = [0; 8];
                space.read(base, &mut word).unwrap();
                assert!(u64::from_le_bytes(word) <= 40_000);
            }
        });
        scope.spawn(|| {
            // Mappings come and go under accesses that are refused or served, but never harm.
            let victim = base.offset(2 * PAGE_SIZE as i64);
            while !stop.load(Ordering::Relaxed) {
                space.unmap(victim, PAGE_SIZE).unwrap();
                space.map(MapRequest::anonymous(PAGE_SIZE, RW).at(Place::Fixed(victim))).unwrap();
            }
        });
        scope.spawn(|| {
            let bytes = vec![1; 3 * PAGE_SIZE as usize];
            while !stop.load(Ordering::Relaxed) {
                let (done, fault) = space.copy_out(base.offset(PAGE_SIZE as i64), &bytes);
                assert_eq!(fault.is_none(), done == bytes.len());
            }
        });
        for counter in counters {
            counter.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let mut word = [0; 8];
    space.read(base, &mut word).unwrap();
    assert_eq!(u64::from_le_bytes(word), 40_000);
}

#[test]
fn a_child_of_a_frozen_space_can_use_its_copy() {
    let space = reserved();
    let page = space.map(MapRequest::anonymous(PAGE_SIZE, RW)).unwrap();
    let frozen = space.freeze();
    // SAFETY: the child calls nothing but the address space, whose lock is held for it, and `_exit`.
    let child = unsafe { libc::fork() };
    drop(frozen);
    if child == 0 {
        let fine = space.write(page, &[1]).is_ok();
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!fine)) };
    }
    assert!(child > 0);
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 0));
    let mut byte = [9];
    space.read(page, &mut byte).unwrap();
    assert_eq!(byte, [0]);
}

#[test]
fn no_guest_page_is_executable_on_the_host() {
    let everything = Perms::READ | Perms::WRITE | Perms::EXECUTE;
    let (file, identity) = file(PAGE_SIZE as usize);
    let direct = AddressSpace::new(Placement::Direct).unwrap();
    let spaces = [(reserved(), 0x60000), (direct, 0x3333_0000_0000)];
    for (space, ground) in &spaces {
        let place = |page: u64| Place::Fixed(at(ground + page * PAGE_SIZE));
        space.map(MapRequest::anonymous(PAGE_SIZE, everything).at(place(0))).unwrap();
        let text = MapRequest::file(file.as_fd(), 0, Arc::clone(&identity), PAGE_SIZE, RX);
        space.map(text.at(place(1))).unwrap();
        space.map(MapRequest::anonymous(PAGE_SIZE, RW).at(place(2))).unwrap();
        space.protect(at(ground + 2 * PAGE_SIZE), PAGE_SIZE, everything).unwrap();
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut seen = 0;
    for line in maps.lines() {
        let (bounds, rest) = line.split_once(' ').unwrap();
        let (start, end) = bounds.split_once('-').unwrap();
        let bounds = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        assert!(!rest.starts_with("rwx"), "{line}");
        for (space, ground) in &spaces {
            let host = space.view().base as u64 + ground;
            if bounds[0] < host + 3 * PAGE_SIZE && host < bounds[1] {
                assert_eq!(&rest[2..3], "-", "{line}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 4, "both spaces are in the host's maps:\n{maps}");
}

#[test]
fn growing_mappings_keep_a_guard_and_a_limit() {
    let space = reserved();
    let read = |addr: GuestAddr| space.probe(addr, Access::Read);
    let growing = |addr| MapRequest { grows: true, ..MapRequest::anonymous(PAGE_SIZE, RW).at(Place::Fixed(addr)) };
    let (stack, guard) = (at(0x80_0000), 0x10_0000);
    space.map(growing(stack)).unwrap();
    // Nothing is placed unasked where the mapping is to grow, but for who insists.
    let hint = Place::Hint(stack.offset(-(PAGE_SIZE as i64)));
    assert_ne!(space.map(MapRequest::anonymous(PAGE_SIZE, RW).at(hint)), Ok(stack.offset(-(PAGE_SIZE as i64))));
    space.set_mmap_top(stack);
    let below = space.map(MapRequest::anonymous(PAGE_SIZE, RW)).unwrap();
    assert_eq!(below, stack.offset(-(guard + PAGE_SIZE as i64)));
    // It grows as far as the neighbour's guard.
    assert!(read(stack.offset(-1)).is_err(), "too near");
    space.unmap(below, PAGE_SIZE).unwrap();
    let low = stack.offset(-5000);
    assert_eq!(read(low), Ok(()));
    assert_eq!(space.region_at(low).map(|region| region.range.start()), Some(low.page_start()));
    space.write(low, b"grown").unwrap();
    // What can be accessed below keeps its distance, what cannot does not.
    space.protect(low.page_start(), PAGE_SIZE, Perms::READ).unwrap();
    assert_eq!(read(low.offset(-0x2000)), Ok(()), "the lowest part grows with its own permissions");
    assert_eq!(space.region_at(low.offset(-0x2000)).map(|region| region.perms), Some(Perms::READ));
    // Accesses for the guest make it grow as well, those that only look do not.
    space.protect(low.page_start().offset(-0x2000), 2 * PAGE_SIZE, RW).unwrap();
    let (next, last) = (low.offset(-0x4000), low.offset(-0x7000));
    assert!(!space.is_mapped(vm_core::GuestRange::new(next, 1).unwrap()));
    assert_eq!(space.copy_out(next, b"x"), (1, None));
    assert_eq!(space.copy_in(next.offset(-0x1000), &mut [1]), (1, None));
    space.touch(last);
    assert_eq!(space.region_at(last).map(|region| region.range.start()), Some(last.page_start()));
    // What was taken away comes again.
    space.unmap(last.page_start(), PAGE_SIZE).unwrap();
    space.touch(last);
    assert!(space.region_at(last).is_some());
    space.set_growth_limit(0x1_0000);
    assert!(read(stack.offset(-0x2_0000)).is_err(), "beyond the limit");
    space.touch(stack.offset(-0x2_0000));
    assert!(space.region_at(stack.offset(-0x2_0000)).is_none(), "beyond the limit");
    assert!(space.probe(at(0x1_0000), Access::Write).is_err());
}

#[test]
fn code_can_be_kept_from_being_read() {
    let space = reserved();
    let code = space.map(MapRequest::anonymous(2 * PAGE_SIZE, RW)).unwrap();
    space.write(code, b"code").unwrap();
    space.protect(code, PAGE_SIZE, Perms::EXECUTE).unwrap();
    assert_eq!(space.read(code, &mut [0; 4]), Ok(()));
    space.hide_code();
    space.protect(code, PAGE_SIZE, Perms::EXECUTE).unwrap();
    let mut fetched = [0; 4];
    assert_eq!(space.fetch(code, &mut fetched), Ok(4));
    assert_eq!(&fetched, b"code");
    let forbidden = MemFault::Forbidden { addr: code, access: Access::Read };
    assert_eq!(space.read(code, &mut fetched), Err(forbidden));
    assert_eq!(space.probe(code, Access::Read), Err(forbidden));
    let next = code.offset(PAGE_SIZE as i64 - 2);
    assert_eq!(space.fetch(next, &mut fetched), Ok(2), "the next page is not executable");
    space.protect(code, PAGE_SIZE, Perms::READ | Perms::EXECUTE).unwrap();
    assert_eq!(space.read(code, &mut fetched), Ok(()));
}

#[test]
fn what_a_child_is_to_be_without_is_forgotten_there() {
    let space = reserved();
    let pages = space.map(MapRequest::anonymous(4 * PAGE_SIZE, RW)).unwrap();
    let middle = pages.offset(PAGE_SIZE as i64);
    space.advise(middle, 2 * PAGE_SIZE, Advice::DontFork).unwrap();
    space.advise(middle, PAGE_SIZE, Advice::DoFork).unwrap();
    let omitted: Vec<_> = space.regions().into_iter().filter(|region| region.omitted).collect();
    assert_eq!(omitted.len(), 1);
    let gone = omitted[0].range;
    assert_eq!((gone.start(), gone.len()), (pages.offset(2 * PAGE_SIZE as i64), PAGE_SIZE));
    // SAFETY: the child touches its copy of the space and ends at once.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        space.after_fork();
        let right = space.region_at(gone.start()).is_none()
            && space.read(gone.start(), &mut [0]).is_err()
            && space.read(middle, &mut [0]).is_ok()
            && space.map(MapRequest::anonymous(PAGE_SIZE, RW).at(Place::FixedNoReplace(gone.start()))).is_ok();
        // SAFETY: ends the child.
        unsafe { libc::_exit(if right { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
    assert_eq!(space.regions().iter().map(|region| region.range.len()).sum::<u64>(), 4 * PAGE_SIZE);
}
