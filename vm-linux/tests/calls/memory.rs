//! Mappings.

use vm_core::{GuestAddr, GuestMemory};
use vm_linux::Errno;

use crate::{Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["mmap", "munmap", "mprotect"], mapping),
    (&["mremap"], moving),
    (&["brk"], heap),
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
    g.ok("madvise", &[pages, 4096, 1]);
    g.fails("madvise", &[pages, 4096, 99], Errno::EINVAL);
    g.ok("munmap", &[pages, 8192]);
    for name in ["msync", "mincore"] {
        g.fails(name, &[pages, 4096, if name == "msync" { 4 } else { vector }], Errno::ENOMEM);
    }
    g.fails("madvise", &[pages, 4096, 1], Errno::ENOMEM);
    g.fails("mlock", &[pages, 4096], Errno::ENOMEM);
}
