//! Faults of every accessor, and what becomes of other faults.

use std::arch::asm;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use vm_core::{PAGE_SIZE, Perms};
use vm_ir::{RmwOp, Type};
use vm_mem::{AddressSpace, FileIdentity, MapRequest, Place, Placement};

use super::*;
use crate::flat::{Flat, Window};

pub(super) const RW: Perms = Perms::READ.union(Perms::WRITE);
const SIZE: u64 = 1 << 24;
/// Readable and writable, the page before and after it not mapped.
pub(super) const ISLAND: u64 = 0x10_0000;
/// Read-only.
pub(super) const READ_ONLY: u64 = 0x20_0000;
/// Mapped without permissions.
const CLOSED: u64 = 0x30_0000;
/// Two pages of a file that has half a page.
pub(super) const SHORT_FILE: u64 = 0x40_0000;

pub(super) fn at(addr: u64) -> GuestAddr {
    GuestAddr::new(addr)
}

/// Memory with one of each kind of page.
pub(super) fn memory() -> (AddressSpace, Flat) {
    install().unwrap();
    prepare_thread().unwrap();
    let space = AddressSpace::new(Placement::Reserved { size: SIZE }).unwrap();
    let page = |addr, perms| MapRequest::anonymous(PAGE_SIZE, perms).at(Place::Fixed(at(addr)));
    space.map(page(ISLAND, RW)).unwrap();
    space.map(page(READ_ONLY, Perms::READ)).unwrap();
    space.map(page(CLOSED, Perms::NONE)).unwrap();
    space.map(page(SIZE - PAGE_SIZE, RW)).unwrap();
    // SAFETY: makes a new file and a new descriptor, which is owned from here on.
    let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"short".as_ptr(), libc::MFD_CLOEXEC)) };
    rustix::fs::ftruncate(&file, PAGE_SIZE / 2).unwrap();
    let identity = Arc::new(FileIdentity { path: "short".into(), device: 0, inode: 0 });
    let request = MapRequest::file(file.as_fd(), 0, identity, 2 * PAGE_SIZE, RW).shared();
    space.map(request.at(Place::Fixed(at(SHORT_FILE)))).unwrap();
    let flat = Flat::new(space.view()).unwrap();
    (space, flat)
}

type Accessor = (&'static str, u64, bool, fn(Flat, u64) -> Result<(), u64>);

/// Name, size, whether it writes, and the accessor with any operands.
const ACCESSORS: &[Accessor] = &[
    ("load_u8", 1, false, |flat, addr| flat.load_u8(addr).map(drop)),
    ("load_u16", 2, false, |flat, addr| flat.load_u16(addr).map(drop)),
    ("load_u32", 4, false, |flat, addr| flat.load_u32(addr).map(drop)),
    ("load_u64", 8, false, |flat, addr| flat.load_u64(addr).map(drop)),
    ("load_u128", 16, false, |flat, addr| flat.load_u128(addr).map(drop)),
    ("store_u8", 1, true, |flat, addr| flat.store_u8(addr, 0xff)),
    ("store_u16", 2, true, |flat, addr| flat.store_u16(addr, 0xffff)),
    ("store_u32", 4, true, |flat, addr| flat.store_u32(addr, u32::MAX)),
    ("store_u64", 8, true, |flat, addr| flat.store_u64(addr, u64::MAX)),
    ("store_u128", 16, true, |flat, addr| flat.store_u128(addr, u128::MAX)),
    ("cas_u8", 1, true, |flat, addr| flat.cas_u8(addr, 0, 1).map(drop)),
    ("cas_u16", 2, true, |flat, addr| flat.cas_u16(addr, 0, 1).map(drop)),
    ("cas_u32", 4, true, |flat, addr| flat.cas_u32(addr, 0, 1).map(drop)),
    ("cas_u64", 8, true, |flat, addr| flat.cas_u64(addr, 0, 1).map(drop)),
    ("cas_u128", 16, true, |flat, addr| flat.cas_u128(addr, 0, 1).map(drop)),
    ("swap i8", 1, true, |flat, addr| flat.rmw(RmwOp::Swap, Type::I8, addr, 1).map(drop)),
    ("swap i16", 2, true, |flat, addr| flat.rmw(RmwOp::Swap, Type::I16, addr, 1).map(drop)),
    ("swap i32", 4, true, |flat, addr| flat.rmw(RmwOp::Swap, Type::I32, addr, 1).map(drop)),
    ("swap i64", 8, true, |flat, addr| flat.rmw(RmwOp::Swap, Type::I64, addr, 1).map(drop)),
    ("add i8", 1, true, |flat, addr| flat.rmw(RmwOp::Add, Type::I8, addr, 1).map(drop)),
    ("add i16", 2, true, |flat, addr| flat.rmw(RmwOp::Add, Type::I16, addr, 1).map(drop)),
    ("add i32", 4, true, |flat, addr| flat.rmw(RmwOp::Add, Type::I32, addr, 1).map(drop)),
    ("add i64", 8, true, |flat, addr| flat.rmw(RmwOp::Add, Type::I64, addr, 1).map(drop)),
    ("and i32", 4, true, |flat, addr| flat.rmw(RmwOp::And, Type::I32, addr, 1).map(drop)),
    ("max_s i64", 8, true, |flat, addr| flat.rmw(RmwOp::MaxS, Type::I64, addr, 1).map(drop)),
];

#[test]
fn accessors_name_the_first_byte_that_fails() {
    let (space, flat) = memory();
    for &(name, size, writes, access) in ACCESSORS {
        let access_at = |addr| access(flat, addr);
        assert_eq!(access_at(ISLAND), Ok(()), "{name}");
        assert_eq!(access_at(ISLAND + PAGE_SIZE - size), Ok(()), "{name}");
        assert_eq!(access_at(0), Err(0), "{name} of a null pointer");
        assert_eq!(access_at(ISLAND + PAGE_SIZE), Err(ISLAND + PAGE_SIZE), "{name} of an unmapped page");
        assert_eq!(access_at(CLOSED + 16), Err(CLOSED + 16), "{name} of a closed page");
        assert_eq!(access_at(READ_ONLY), if writes { Err(READ_ONLY) } else { Ok(()) }, "{name} of a read-only page");
        assert_eq!(access_at(SHORT_FILE), Ok(()), "{name} of a file");
        assert_eq!(access_at(SHORT_FILE + PAGE_SIZE), Err(SHORT_FILE + PAGE_SIZE), "{name} beyond a file's end");
        assert_eq!(access_at(SIZE), Err(SIZE), "{name} at the limit");
        assert_eq!(access_at(u64::MAX), Err(u64::MAX), "{name} of the last byte");
        assert_eq!(access_at(0xdead_beef_dead_beef), Err(0xdead_beef_dead_beef), "{name} of a wild pointer");
        assert_eq!(access_at(SIZE - size), Ok(()), "{name} below the limit");
        if size > 1 && !name.contains("u128") || name == "load_u128" || name == "store_u128" {
            // Across a boundary, which atomic ones do not do.
            let (plain, over) = (name.starts_with("load") || name.starts_with("store"), size / 2);
            if plain {
                assert_eq!(access_at(ISLAND + PAGE_SIZE - over), Err(ISLAND + PAGE_SIZE), "{name} into nothing");
                assert_eq!(access_at(ISLAND - over), Err(ISLAND - over), "{name} out of nothing");
                assert_eq!(access_at(SIZE - over), Err(SIZE), "{name} over the limit");
                let end = SHORT_FILE + PAGE_SIZE;
                assert_eq!(access_at(end - over), Err(end), "{name} over a file's last page");
            }
        }
    }
    // A store that failed wrote nothing.
    space.write(at(ISLAND + PAGE_SIZE - 16), &[7; 16]).unwrap();
    flat.store_u128(ISLAND + PAGE_SIZE - 8, 0).unwrap_err();
    flat.store_u64(ISLAND + PAGE_SIZE - 4, 0).unwrap_err();
    flat.store_u16(ISLAND + PAGE_SIZE - 1, 0).unwrap_err();
    assert_eq!(flat.load_u128(ISLAND + PAGE_SIZE - 16), Ok(u128::from_ne_bytes([7; 16])));
}

#[test]
fn a_window_does_what_it_can_and_refuses_the_rest() {
    type Load = fn(Window, u64) -> Option<u64>;
    type Store = fn(Window, u64, u64) -> bool;
    let widths: [(u64, Load, Store); 4] = [
        (1, Window::load_8, Window::store_8),
        (2, Window::load_16, Window::store_16),
        (4, Window::load_32, Window::store_32),
        (8, Window::load_64, Window::store_64),
    ];
    let (space, flat) = memory();
    let window = flat.window();
    for (size, load, store) in widths {
        let low = u64::MAX >> (64 - 8 * size);
        for addr in [ISLAND + 3, ISLAND + PAGE_SIZE - size, SIZE - 8] {
            space.write(at(addr & !7), &[0xee; 8]).unwrap();
            assert!(store(window, addr, 0x8877_6655_4433_2281));
            assert_eq!(load(window, addr), Some(0x8877_6655_4433_2281 & low), "{size} bytes at {addr:#x}");
            assert_eq!(load(Window::SHUT, addr), None);
            assert!(!store(Window::SHUT, addr, 0));
        }
        assert!(load(window, READ_ONLY).is_some() && !store(window, READ_ONLY, 0), "{size} bytes");
        for addr in [0, ISLAND + PAGE_SIZE, ISLAND - 1, CLOSED, SHORT_FILE + PAGE_SIZE, SIZE, SIZE - 1, u64::MAX] {
            assert_eq!(load(window, addr), None, "{size} bytes at {addr:#x}");
            assert!(!store(window, addr, 0), "{size} bytes at {addr:#x}");
        }
    }
    // A store that failed wrote nothing.
    space.write(at(ISLAND + PAGE_SIZE - 8), &[7; 8]).unwrap();
    assert!(!window.store_64(ISLAND + PAGE_SIZE - 4, 0));
    assert_eq!(window.load_64(ISLAND + PAGE_SIZE - 8), Some(u64::from_ne_bytes([7; 8])));
}

#[test]
fn accessors_read_and_write_little_endian() {
    let (space, flat) = memory();
    let bytes: [u8; 16] = std::array::from_fn(|index| 0xf0 + index as u8);
    space.write(at(ISLAND + 1), &bytes).unwrap();
    assert_eq!(flat.load_u8(ISLAND + 1), Ok(0xf0));
    assert_eq!(flat.load_u16(ISLAND + 1), Ok(0xf1f0));
    assert_eq!(flat.load_u32(ISLAND + 1), Ok(0xf3f2_f1f0));
    assert_eq!(flat.load_u64(ISLAND + 1), Ok(0xf7f6_f5f4_f3f2_f1f0));
    assert_eq!(flat.load_u128(ISLAND + 1), Ok(u128::from_le_bytes(bytes)));
    let mut expected = [0; 16];
    space.write(at(ISLAND), &expected).unwrap();
    let mut check = |result: Result<(), u64>, from: usize, len: usize| {
        assert_eq!(result, Ok(()));
        for (index, byte) in expected[from..from + len].iter_mut().enumerate() {
            *byte = index as u8 + 1;
        }
        let mut found = [0; 16];
        space.read(at(ISLAND), &mut found).unwrap();
        assert_eq!(found, expected);
    };
    check(flat.store(Type::I8, ISLAND + 15, 0xff01), 15, 1);
    check(flat.store(Type::F16, ISLAND + 13, 0xffff_0201), 13, 2);
    check(flat.store(Type::F32, ISLAND + 9, 0xffff_0403_0201), 9, 4);
    check(flat.store(Type::I64, ISLAND + 1, 0x0807_0605_0403_0201), 1, 8);
    check(flat.store_u128(ISLAND, 0x100f_0e0d_0c0b_0a09_0807_0605_0403_0201), 0, 16);
    assert_eq!(flat.load(Type::F32, ISLAND + 12), Ok(0x100f_0e0d));
}

#[test]
fn atomics_give_the_old_value_and_leave_the_neighbours() {
    let (space, flat) = memory();
    let (old, operand) = (0x8877_6655_4433_2281u64, 0x0102_0304_0506_0708u64);
    for ty in [Type::I8, Type::I16, Type::I32, Type::I64] {
        let mask = ty.mask();
        // From the definition of each operation on two's-complement numbers: `old` is negative in I8 and I64 alone.
        let negative = matches!(ty, Type::I8 | Type::I64);
        let by_sign = |yes, no| if negative { yes } else { no };
        let old_is_less = (old & mask) < (operand & mask);
        for (op, expected) in [
            (RmwOp::Swap, operand),
            (RmwOp::Add, old.wrapping_add(operand)),
            (RmwOp::And, old & operand),
            (RmwOp::Or, old | operand),
            (RmwOp::Xor, old ^ operand),
            (RmwOp::AndNot, old & !operand),
            (RmwOp::MinS, by_sign(old, if old_is_less { old } else { operand })),
            (RmwOp::MaxS, by_sign(operand, if old_is_less { operand } else { old })),
            (RmwOp::MinU, if old_is_less { old } else { operand }),
            (RmwOp::MaxU, if old_is_less { operand } else { old }),
        ] {
            flat.store_u64(ISLAND, old).unwrap();
            assert_eq!(flat.rmw(op, ty, ISLAND, operand & mask), Ok(old & mask), "{op:?} {ty}");
            assert_eq!(flat.load_u64(ISLAND), Ok(expected & mask | old & !mask), "{op:?} {ty}");
        }
        flat.store_u64(ISLAND, old).unwrap();
        assert_eq!(flat.cas(ty, ISLAND, operand, 1), Ok(old & mask));
        assert_eq!(flat.load_u64(ISLAND), Ok(old));
        assert_eq!(flat.cas(ty, ISLAND, old, operand), Ok(old & mask));
        assert_eq!(flat.load_u64(ISLAND), Ok(operand & mask | old & !mask));
    }
    let wide = u128::from(old) << 64 | u128::from(operand);
    flat.store_u128(ISLAND, wide).unwrap();
    assert_eq!(flat.cas_u128(ISLAND, 1, 2), Ok(wide));
    assert_eq!(flat.cas_u128(ISLAND, wide, !wide), Ok(wide));
    assert_eq!(flat.load_u128(ISLAND), Ok(!wide));
    drop(space);
}

#[test]
fn threads_count_together() {
    let (space, flat) = memory();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    flat.rmw(RmwOp::Add, Type::I32, ISLAND, 1).unwrap();
                    let mut old = flat.load_u128(ISLAND + 16).unwrap();
                    loop {
                        match flat.cas_u128(ISLAND + 16, old, old + (1 << 64 | 1)).unwrap() {
                            was if was == old => break,
                            was => old = was,
                        }
                    }
                }
            });
        }
    });
    assert_eq!(flat.load_u32(ISLAND), Ok(30_000));
    assert_eq!(flat.load_u128(ISLAND + 16), Ok(30_000 << 64 | 30_000));
    drop(space);
}

#[test]
fn a_guarded_copy_stops_at_the_first_byte_that_fails() {
    let (space, _) = memory();
    let copy = guarded_copy().unwrap();
    let pattern: Vec<u8> = (0..=255).cycle().take(PAGE_SIZE as usize).collect();
    space.write(at(SHORT_FILE), &pattern).unwrap();
    let host = space.view().base as u64;
    let file_end = SHORT_FILE + PAGE_SIZE;
    for before in (0..40).chain([63, 64, 65, 100, 255, 1000, 4096]) {
        for len in [0, 1, 15, 64, 500, 3000] {
            let mut buf = vec![0xee; 3000];
            // SAFETY: the buffer has room for `len` bytes, and the other side is guest memory.
            let done = unsafe { copy(buf.as_mut_ptr(), (host + file_end - before) as *const u8, len) };
            assert_eq!(done, len.min(before as usize), "{len} bytes, {before} of them there");
            assert_eq!(buf[..done], pattern[(PAGE_SIZE - before) as usize..][..done]);
            assert!(buf[done..].iter().all(|byte| *byte == 0xee));
            // SAFETY: as above, in the other direction.
            let done = unsafe { copy((host + ISLAND + PAGE_SIZE - before) as *mut u8, pattern.as_ptr(), len) };
            assert_eq!(done, len.min(before as usize), "{len} bytes, room for {before}");
        }
    }
    // The same through the address space.
    let (mut buf, fault) = (vec![0; 5000], MemFault::Unbacked { addr: at(file_end), access: Access::Read });
    assert_eq!(space.copy_in(at(SHORT_FILE + 1), &mut buf), (PAGE_SIZE as usize - 1, Some(fault)));
    let slow = std::mem::replace(&mut buf, vec![0; 5000]);
    // SAFETY: the handlers are installed, and stay so.
    unsafe { space.set_guarded_copy(copy) };
    assert_eq!(space.copy_in(at(SHORT_FILE + 1), &mut buf), (PAGE_SIZE as usize - 1, Some(fault)));
    assert_eq!(buf, slow);
    assert_eq!(space.copy_out(at(file_end - 1), &[1, 2]).0, 1);
    assert_eq!(space.compare_exchange(at(file_end), 4, 0, 0).unwrap_err().addr(), at(file_end));
}

#[test]
fn what_is_wrong_is_explained() {
    let (space, _) = memory();
    let explained = |addr, access| explain(&space, at(addr), access);
    let (read, write) = (Access::Read, Access::Write);
    assert_eq!(explained(0, read), Some(MemFault::Unmapped { addr: at(0), access: read }));
    assert_eq!(explained(SIZE, write), Some(MemFault::Unmapped { addr: at(SIZE), access: write }));
    assert_eq!(explained(READ_ONLY, write), Some(MemFault::Forbidden { addr: at(READ_ONLY), access: write }));
    let beyond = SHORT_FILE + PAGE_SIZE;
    let flat = Flat::new(space.flat().unwrap()).unwrap();
    assert_eq!(flat.store_u8(beyond, 1), Err(beyond));
    assert_eq!(explained(beyond, write), Some(MemFault::Unbacked { addr: at(beyond), access: write }));
    // What a signal said is believed once.
    assert_eq!(explained(beyond, write), None);
    assert_eq!(explained(ISLAND, write), None);
    assert_eq!(explained(ISLAND, read), None);
}

/// Runs `child` in a child process and gives what `waitpid` says of it.
fn status_of(child: impl FnOnce()) -> c_int {
    // SAFETY: the child calls async-signal-safe functions alone, if any, before it ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        child();
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(0) };
    }
    assert!(pid > 0);
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

#[test]
fn faults_of_others_are_passed_on() {
    install().unwrap();
    let status = status_of(|| {
        // SAFETY: faults, which is the point.
        unsafe { asm!("mov rax, [{0}]", in(reg) 8usize, out("rax") _) };
    });
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status:x}");
}

#[test]
fn threads_get_a_signal_stack_and_keep_their_own() {
    // SAFETY: a query into a record that is large enough.
    let current = || unsafe {
        let mut stack = MaybeUninit::<libc::stack_t>::uninit();
        assert_eq!(libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr()), 0);
        stack.assume_init()
    };
    std::thread::spawn(move || {
        prepare_thread().unwrap();
        let first = current();
        assert_eq!(first.ss_flags & libc::SS_DISABLE, 0);
        prepare_thread().unwrap();
        assert_eq!(current().ss_sp, first.ss_sp);
        let off = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: takes the thread's stack out of use, outside any handler.
        assert_eq!(unsafe { libc::sigaltstack(&raw const off, std::ptr::null_mut()) }, 0);
        prepare_thread().unwrap();
        assert_eq!(current().ss_size, STACK_BYTES);
    })
    .join()
    .unwrap();
}
