//! Mappings.

use vm_core::{GuestAddr, GuestMemory};
use vm_linux::Errno;

use crate::{Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["mmap", "munmap", "mprotect"], mapping),
    (&["mremap"], moving),
    (&["mmap", "mprotect"], forms),
    (&["mremap"], moving_errors),
    (&["brk"], heap),
    (&["mmap", "brk", "mremap"], limited),
    (&["msync", "mincore", "mlock", "mlock2", "munlock", "madvise"], advice),
];

const PRIVATE: u64 = 2;
const ANONYMOUS: u64 = 0x20;
const NO_FD: u64 = u64::MAX;

fn mapping(g: &mut Guest) {
    let pages = g.ok("mmap", &[0, 8192, 3, PRIVATE | ANONYMOUS, NO_FD, 0]);
    assert_eq!(g.get(pages, 8192), vec![0; 8192]);
    g.ok("mprotect", &[pages, 4096, 1]);
    assert!(g.process.memory().write(GuestAddr::new(pages), b"x").is_err());
    g.process.memory().write(GuestAddr::new(pages + 4096), b"x").unwrap();
    let fd = g.file("mapped", b"from a file");
    let file = g.ok("mmap", &[0, 4096, 3, 1, fd, 0]);
    assert_eq!(g.get(file, 11), b"from a file");
    g.process.memory().write(GuestAddr::new(file), b"F").unwrap();
    assert_eq!(g.content("mapped"), b"From a file");
    // A file cannot be read while it is mapped to nothing.
    g.ok("munmap", &[file, 4096]);
    assert!(g.process.memory().read(GuestAddr::new(file), &mut [0]).is_err());
    g.fails("munmap", &[file + 1, 4096], Errno::EINVAL);
    g.fails("munmap", &[file, 0], Errno::EINVAL);
    g.fails("mmap", &[0, 0, 3, PRIVATE | ANONYMOUS, NO_FD, 0], Errno::EINVAL);
    g.fails("mmap", &[0, 4096, 3, PRIVATE, 9999, 0], Errno::EBADF);
    g.fails("mmap", &[0, 4096, 3, PRIVATE, fd, 1], Errno::EINVAL);
    g.fails("mmap", &[0, 4096, 3, ANONYMOUS, NO_FD, 0], Errno::EINVAL);
    g.fails("mmap", &[0, 1 << 47, 3, PRIVATE | ANONYMOUS, NO_FD, 0], Errno::ENOMEM);
    g.fails("mmap", &[pages, 4096, 3, PRIVATE | ANONYMOUS | 0x10_0000, NO_FD, 0], Errno::EEXIST);
    let fixed = g.ok("mmap", &[pages, 4096, 3, PRIVATE | ANONYMOUS | 0x10, NO_FD, 0]);
    assert_eq!(fixed, pages);
    g.fails("mprotect", &[pages + 1, 1, 1], Errno::EINVAL);
    g.fails("mprotect", &[WILD, 4096, 1], Errno::ENOMEM);
    g.ok("munmap", &[pages, 8192]);
    g.fails("mprotect", &[pages, 4096, 1], Errno::ENOMEM);
}

const SHARED: u64 = 1;
const VALIDATE: u64 = 3;
const FIXED: u64 = 0x10;
const GROWS: u64 = 0x100;
const NO_REPLACE: u64 = 0x10_0000;

/// Order and values as a 6.18 kernel gives them on x86-64.
fn forms(g: &mut Guest) {
    let any = |flags, fd| [0, 4096, 3, flags, fd, 0];
    let fd = g.file("forms", &[7; 5000]);
    let name = g.name("forms");
    let read_only = g.ok("openat", &[crate::CWD, name, 0, 0]);
    let write_only = g.ok("openat", &[crate::CWD, name, 1, 0]);
    // What a descriptor allows.
    g.fails("mmap", &any(SHARED, read_only), Errno::EACCES);
    g.fails("mmap", &any(PRIVATE, write_only), Errno::EACCES);
    let shared = g.ok("mmap", &[0, 4096, 1, SHARED, read_only, 0]);
    g.fails("mprotect", &[shared, 4096, 3], Errno::EACCES);
    let private = g.ok("mmap", &any(PRIVATE, read_only));
    g.ok("mprotect", &[private, 4096, 3]);
    // Flags: known ones, unknown ones, and those that only some mappings take.
    for flags in [SHARED, PRIVATE, VALIDATE] {
        g.ok("mmap", &any(flags | 0x2000 | 0x4000 | 0x8000 | 0x2_0000, fd));
    }
    g.ok("mmap", &any(SHARED | 0x8_0000, fd));
    g.fails("mmap", &any(VALIDATE | 0x8_0000, fd), Errno::EOPNOTSUPP);
    g.fails("mmap", &any(VALIDATE | 0x80_0000, fd), Errno::EOPNOTSUPP);
    g.fails("mmap", &any(VALIDATE | ANONYMOUS, NO_FD), Errno::EINVAL);
    for flags in [SHARED | ANONYMOUS | GROWS, ANONYMOUS | 4] {
        g.fails("mmap", &any(flags, NO_FD), Errno::EINVAL);
    }
    g.fails("mmap", &any(PRIVATE | GROWS, fd), Errno::EINVAL);
    g.fails("mmap", &any(PRIVATE | 0x4_0000, fd), Errno::EINVAL);
    g.fails("mmap", &[0, 2 << 20, 3, PRIVATE | ANONYMOUS | 0x4_0000 | 22 << 26, NO_FD, 0], Errno::EINVAL);
    // The place is looked at before the kind, the end before the start.
    g.fails("mmap", &[shared, 4096, 3, ANONYMOUS | NO_REPLACE, NO_FD, 0], Errno::EEXIST);
    g.fails("mmap", &[shared + 1, 4096, 3, ANONYMOUS | FIXED, NO_FD, 0], Errno::EINVAL);
    g.fails("mmap", &[(1 << 62) + 1, 4096, 3, PRIVATE | ANONYMOUS | FIXED, NO_FD, 0], Errno::ENOMEM);
    g.fails("mmap", &[0, u64::MAX, 3, PRIVATE | ANONYMOUS, NO_FD, 0], Errno::ENOMEM);
    g.fails("mmap", &[0, 8192, 1, SHARED, fd, !4095], Errno::EOVERFLOW);
    // A hint is rounded down, and one below the lowest address raised to it.
    let gap = g.ok("mmap", &[0, 3 * 4096, 0, PRIVATE | ANONYMOUS, NO_FD, 0]);
    g.ok("munmap", &[gap, 3 * 4096]);
    assert_eq!(g.ok("mmap", &[gap + 4096 + 77, 4096, 3, PRIVATE | ANONYMOUS, NO_FD, 0]), gap + 4096);
    let low = g.ok("mmap", &[4096, 4096, 3, PRIVATE | ANONYMOUS, NO_FD, 0]);
    assert!(low >= 0x1_0000);
    // Beyond the last page of a file there is nothing, even if it grows later only for new accesses.
    let two = g.ok("mmap", &[0, 3 * 4096, 3, SHARED, fd, 0]);
    assert_eq!(g.get(two + 4999, 2), [7, 0]);
    let beyond = GuestAddr::new(two + 2 * 4096);
    assert!(matches!(g.process.memory().read(beyond, &mut [0]), Err(vm_core::MemFault::Unbacked { .. })));
    g.ok("ftruncate", &[fd, 3 * 4096]);
    assert_eq!(g.get(two + 2 * 4096, 1), [0]);
    g.ok("ftruncate", &[fd, 0]);
    assert!(matches!(g.process.memory().write(GuestAddr::new(two), &[1]), Err(vm_core::MemFault::Unbacked { .. })));
    // mprotect: nothing to do is no error, whatever is asked; pages before a hole are changed.
    g.ok("mprotect", &[two, 0, 0x80]);
    g.fails("mprotect", &[two, 4096, 0x80], Errno::EINVAL);
    g.fails("mprotect", &[two, !4095, 3], Errno::ENOMEM);
    g.fails("mprotect", &[two, 4096, 0x300_0000], Errno::EINVAL);
    g.fails("mprotect", &[two, 4096, 0x100_0003], Errno::EINVAL);
    let pages = g.ok("mmap", &[0, 4 * 4096, 3, PRIVATE | ANONYMOUS, NO_FD, 0]);
    g.ok("munmap", &[pages + 2 * 4096, 4096]);
    g.fails("mprotect", &[pages, 4 * 4096, 1], Errno::ENOMEM);
    assert!(g.process.memory().write(GuestAddr::new(pages + 4096), &[1]).is_err());
    g.process.memory().write(GuestAddr::new(pages + 3 * 4096), &[1]).unwrap();
    let stack = g.ok("mmap", &[0, 4 * 4096, 3, PRIVATE | ANONYMOUS | GROWS, NO_FD, 0]);
    g.ok("mprotect", &[stack + 2 * 4096, 4096, 0x100_0001]);
    assert!(g.process.memory().write(GuestAddr::new(stack), &[1]).is_err());
    g.process.memory().write(GuestAddr::new(stack + 3 * 4096), &[1]).unwrap();
}

fn moving_errors(g: &mut Guest) {
    let pages = g.ok("mmap", &[0, 4 * 4096, 3, PRIVATE | ANONYMOUS, NO_FD, 0]);
    let room = g.ok("mmap", &[0, 8 * 4096, 0, PRIVATE | ANONYMOUS, NO_FD, 0]);
    g.ok("mprotect", &[pages + 2 * 4096, 4096, 1]);
    let remap = |old, old_pages: u64, new_pages: u64, flags, new| [old, old_pages * 4096, new_pages * 4096, flags, new];
    // Over several mappings.
    g.fails("mremap", &remap(pages, 4, 6, 1, 0), Errno::EFAULT);
    g.fails("mremap", &remap(pages + 1, 1, 2, 1, 0), Errno::EINVAL);
    g.fails("mremap", &remap(pages, 1, 1, 2, room), Errno::EINVAL);
    g.fails("mremap", &remap(pages, 1, 2, 5, 0), Errno::EINVAL);
    g.fails("mremap", &remap(pages, 2, 2, 3, pages + 4096), Errno::EINVAL);
    g.fails("mremap", &remap(pages, 1, 1, 3, room + 5), Errno::EINVAL);
    g.fails("mremap", &remap(pages, 0, 1, 1, 0), Errno::EINVAL);
    // In the way, and not allowed to move.
    g.fails("mremap", &remap(pages, 2, 3, 0, 0), Errno::ENOMEM);
    // The old place stays, empty.
    g.process.memory().write(GuestAddr::new(pages), b"kept").unwrap();
    assert_eq!(g.ok("mremap", &remap(pages, 2, 2, 7, room)), room);
    assert_eq!((g.get(room, 4), g.get(pages, 4)), (b"kept".to_vec(), vec![0; 4]));
    // A second mapping of shared memory.
    let shared = g.ok("mmap", &[0, 4096, 3, SHARED | ANONYMOUS, NO_FD, 0]);
    let twin = g.ok("mremap", &remap(shared, 0, 1, 1, 0));
    g.process.memory().write(GuestAddr::new(shared), b"both").unwrap();
    assert_eq!(g.get(twin, 4), b"both");
}

/// Limits hold for what comes after them.
fn limited(g: &mut Guest) {
    const DATA: u64 = 2;
    const SPACE: u64 = 9;
    let start = g.ok("brk", &[0]);
    let old = g.room(16);
    let anywhere = |pages: u64, prot| [0, pages * 4096, prot, PRIVATE | ANONYMOUS, NO_FD, 0];
    for resource in [DATA, SPACE] {
        let none = g.put64(&[4096, u64::MAX]);
        let page = g.ok("mmap", &anywhere(1, 3));
        g.ok("prlimit64", &[0, resource, none, old]);
        g.fails("mmap", &anywhere(1, 3), Errno::ENOMEM);
        g.fails("mremap", &[page, 4096, 8192, 1], Errno::ENOMEM);
        assert_eq!(g.ok("brk", &[start + 4096]), start);
        // What cannot be written is no data.
        match resource {
            DATA => drop(g.ok("mmap", &anywhere(1, 1))),
            _ => g.fails("mmap", &anywhere(1, 1), Errno::ENOMEM),
        }
        let most = g.put64(&[u64::MAX, u64::MAX]);
        g.ok("prlimit64", &[0, resource, most, 0]);
        g.ok("mmap", &anywhere(1, 3));
    }
    assert_eq!(g.ok("brk", &[start + 4096]), start + 4096);
    g.ok("brk", &[start]);
}

fn moving(g: &mut Guest) {
    let page = g.ok("mmap", &[0, 4096, 3, PRIVATE | ANONYMOUS, NO_FD, 0]);
    g.process.memory().write(GuestAddr::new(page), b"moves along").unwrap();
    let grown = g.ok("mremap", &[page, 4096, 1 << 20, 1]);
    assert_eq!(g.get(grown, 11), b"moves along");
    assert_eq!(g.get(grown + 4096, 4096), vec![0; 4096]);
    assert_eq!(g.ok("mremap", &[grown, 1 << 20, 4096, 0]), grown);
    assert!(g.process.memory().read(GuestAddr::new(grown + 4096), &mut [0]).is_err());
    g.fails("mremap", &[grown, 4096, 0, 1], Errno::EINVAL);
    g.fails("mremap", &[grown, 4096, 8192, 8], Errno::EINVAL);
    g.fails("mremap", &[grown + 4096, 4096, 8192, 1], Errno::EFAULT);
}

fn heap(g: &mut Guest) {
    let start = g.ok("brk", &[0]);
    let end = g.ok("brk", &[start + 10_000]);
    assert_eq!(end, start + 10_000);
    g.process.memory().write(GuestAddr::new(start), &[1; 10_000]).unwrap();
    assert_eq!(g.ok("brk", &[start - 1]), end);
    assert_eq!(g.ok("brk", &[1 << 50]), end);
    assert_eq!(g.ok("brk", &[start]), start);
    assert!(g.process.memory().read(GuestAddr::new(start), &mut [0]).is_err());
}

fn advice(g: &mut Guest) {
    let pages = g.ok("mmap", &[0, 8192, 3, PRIVATE | ANONYMOUS, NO_FD, 0]);
    g.process.memory().write(GuestAddr::new(pages), b"x").unwrap();
    let vector = g.put(&[9, 9]);
    g.ok("mincore", &[pages, 8192, vector]);
    assert_eq!(g.get(vector, 1)[0] & 1, 1);
    g.fails("mincore", &[pages + 1, 4096, vector], Errno::EINVAL);
    g.fails("mincore", &[pages, 4096, WILD], Errno::EFAULT);
    assert_eq!(g.ok("msync", &[pages, 8192, 4]), 0);
    g.fails("msync", &[pages, 4096, 5], Errno::EINVAL);
    assert_eq!(g.ok("mlock", &[pages, 4096]), 0);
    assert_eq!(g.ok("mlock2", &[pages, 4096, 1]), 0);
    g.fails("mlock2", &[pages, 4096, 2], Errno::EINVAL);
    assert_eq!(g.ok("munlock", &[pages, 4096]), 0);
    g.ok("madvise", &[pages, 4096, 4]);
    assert_eq!(g.get(pages, 1), [0]);
    for number in [0, 1, 2, 3, 8, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23] {
        g.ok("madvise", &[pages, 4096, number]);
        g.ok("madvise", &[pages, 0, number]);
    }
    for number in [5, 6, 7, 26, 99, 100, 102] {
        g.fails("madvise", &[pages, 4096, number], Errno::EINVAL);
    }
    g.fails("madvise", &[pages + 1, 4096, 0], Errno::EINVAL);
    g.fails("madvise", &[pages, u64::MAX, 0], Errno::EINVAL);
    g.fails("msync", &[pages, 4096, 8], Errno::EINVAL);
    g.fails("msync", &[pages + 1, 4096, 1], Errno::EINVAL);
    g.fails("msync", &[pages, !4095, 1], Errno::ENOMEM);
    g.ok("msync", &[pages, 0, 1]);
    g.ok("munmap", &[pages, 8192]);
    for name in ["msync", "mincore"] {
        g.fails(name, &[pages, 4096, if name == "msync" { 4 } else { vector }], Errno::ENOMEM);
    }
    g.fails("madvise", &[pages, 4096, 1], Errno::ENOMEM);
    g.fails("mlock", &[pages, 4096], Errno::ENOMEM);
}
