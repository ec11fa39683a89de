//! Access to guest memory by the host: checked copies, atomic compare-and-exchange, [`GuestMemory`].
//!
//! Guest threads write the same memory while it is read here, so bytes are copied by relaxed atomic accesses. Where a page
//! may lack backing (a file can be shorter than its mapping, and touching such a page raises SIGBUS) they are copied by
//! the kernel, or by a function that survives the signal.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use vm_core::{Access, FlatView, GuestAddr, GuestMemory, MemFault, PAGE_SIZE, Perms};

use crate::regions::{Backing, Sharing, span};
use crate::space::{AddressSpace, State};

/// Copies bytes from the second address to the first in ascending order until all are copied or the host faults on one;
/// gives how many were. For [`AddressSpace::set_guarded_copy`].
pub type GuardedCopy = unsafe fn(*mut u8, *const u8, usize) -> usize;

/// Direction of a copy, with the host's side of it.
enum Side<'a> {
    /// From guest memory.
    In(&'a mut [u8]),
    /// To guest memory.
    Out(&'a [u8]),
}

impl Side<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::In(buf) => buf.len(),
            Self::Out(bytes) => bytes.len(),
        }
    }
}

/// Copies the bytes `done..done + len` of `side` from or to `host`.
///
/// # Safety
/// The `len` bytes at `host` are mapped, backed and permit the access for the duration of the call.
unsafe fn copy_racing(side: &mut Side<'_>, done: usize, len: usize, host: *mut u8) {
    // Whole words where the guest's side is aligned, single bytes before and after.
    let head = host.align_offset(8).min(len);
    let words = (len - head) / 8;
    let tail = head + words * 8;
    // SAFETY: every offset is below `len`, words lie at multiples of eight, and all other accesses of this
    // memory by Rust code are atomic as well.
    let byte = |at: usize| unsafe { AtomicU8::from_ptr(host.add(at)) };
    // SAFETY: as above.
    let word = |at: usize| unsafe { AtomicU64::from_ptr(host.add(at).cast()) };
    match side {
        Side::In(buf) => {
            let buf = &mut buf[done..done + len];
            for at in (0..head).chain(tail..len) {
                buf[at] = byte(at).load(Ordering::Relaxed);
            }
            for (index, chunk) in buf[head..tail].chunks_exact_mut(8).enumerate() {
                chunk.copy_from_slice(&word(head + index * 8).load(Ordering::Relaxed).to_ne_bytes());
            }
        }
        Side::Out(bytes) => {
            let bytes = &bytes[done..done + len];
            for at in (0..head).chain(tail..len) {
                byte(at).store(bytes[at], Ordering::Relaxed);
            }
            for (index, chunk) in bytes[head..tail].chunks_exact(8).enumerate() {
                let mut value = [0; 8];
                value.copy_from_slice(chunk);
                word(head + index * 8).store(u64::from_ne_bytes(value), Ordering::Relaxed);
            }
        }
    }
}

/// Lets the kernel copy as many of the bytes `done..done + len` of `side` as are backed. Returns how many.
fn copy_by_kernel(side: &mut Side<'_>, done: usize, len: usize, host: *mut u8) -> usize {
    let remote = libc::iovec { iov_base: host.cast::<c_void>(), iov_len: len };
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let copied = match side {
        Side::In(buf) => {
            let local = libc::iovec { iov_base: buf[done..done + len].as_mut_ptr().cast(), iov_len: len };
            // SAFETY: the kernel checks both sides, and the local one is the caller's exclusive buffer.
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) }
        }
        Side::Out(bytes) => {
            let bytes = &bytes[done..done + len];
            let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: len };
            // SAFETY: the kernel checks both sides and only reads the local one; the remote one is guest memory.
            unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) }
        }
    };
    usize::try_from(copied).unwrap_or(0)
}

/// Copies as many of the bytes `done..done + len` of `side` as are backed. Returns how many.
fn copy_backed(guarded: Option<GuardedCopy>, side: &mut Side<'_>, done: usize, len: usize, host: *mut u8) -> usize {
    if let Some(copy) = guarded {
        // SAFETY: `len` bytes of the host's side are the caller's own; the others are guest memory, and what cannot be
        // accessed of it makes the copy stop.
        return unsafe {
            match side {
                Side::In(buf) => copy(buf[done..done + len].as_mut_ptr(), host, len),
                Side::Out(bytes) => copy(host, bytes[done..done + len].as_ptr(), len),
            }
        };
    }
    // The kernel counts by whole vectors or pages: from the first page that fails on, ask for each alone.
    let mut copied = copy_by_kernel(side, done, len, host);
    while copied < len {
        let at = host.wrapping_add(copied);
        let step = (PAGE_SIZE as usize - at.addr() % PAGE_SIZE as usize).min(len - copied);
        if copy_by_kernel(side, done + copied, step, at) != step {
            break;
        }
        copied += step;
    }
    copied
}

impl State {
    /// Whether a page with the guest's permissions `perms` permits `access`. Where it can be read on the host, guest loads
    /// succeed, and so do reads made here.
    const fn permits(&self, perms: Perms, access: Access) -> bool {
        match access {
            Access::Read => self.ground.is_readable(perms),
            Access::Write | Access::Execute => perms.permit(access),
        }
    }

    /// Copies until a byte may not be accessed. Returns how many bytes were copied, and what is wrong with the next.
    fn copy(&self, addr: GuestAddr, mut side: Side<'_>, access: Access) -> (usize, Option<MemFault>) {
        let len = side.len();
        let mut done = 0;
        while done < len {
            let Some(at) = addr.get().checked_add(done as u64).map(GuestAddr::new) else {
                return (done, Some(MemFault::Unmapped { addr: GuestAddr::new(0), access }));
            };
            let Some(region) = self.ground.regions().get(at) else {
                return (done, Some(MemFault::Unmapped { addr: at, access }));
            };
            if !self.permits(region.perms, access) {
                return (done, Some(MemFault::Forbidden { addr: at, access }));
            }
            let piece = (len - done).min((region.range.end().get() - at.get()) as usize);
            let host = std::ptr::with_exposed_provenance_mut::<u8>(self.ground.base() + at.get() as usize);
            let hidden = !self.ground.is_readable(region.perms);
            match region.backing {
                Backing::Anonymous if !hidden => {
                    // SAFETY: the piece lies in a mapped anonymous region that permits the access, and stays so while
                    // `self` is borrowed.
                    unsafe { copy_racing(&mut side, done, piece, host) };
                    done += piece;
                }
                Backing::Anonymous | Backing::File { .. } => {
                    let mut copy = || copy_backed(self.guarded_copy, &mut side, done, piece, host);
                    let copied = if hidden {
                        self.ground.revealed(span(at.get(), at.get() + piece as u64), copy)
                    } else {
                        copy()
                    };
                    done += copied;
                    if copied < piece {
                        return (done, Some(MemFault::Unbacked { addr: at.offset(copied as i64), access }));
                    }
                }
            }
        }
        (done, None)
    }
}

impl AddressSpace {
    /// How many of the `len` bytes at `addr`, from the first on, may be accessed so, as far as permissions tell: a file may
    /// be too short. A mapping that grows downwards is made to grow to `addr`.
    #[must_use]
    pub fn accessible(&self, addr: GuestAddr, len: u64, access: Access) -> u64 {
        self.touch(addr);
        let state = self.read_state();
        let end = addr.get().saturating_add(len);
        let mut at = addr.get();
        while at < end
            && let Some(region) = state.ground.regions().get(GuestAddr::new(at))
            && state.permits(region.perms, access)
        {
            at = region.range.end().get().min(end);
        }
        at - addr.get()
    }

    /// Uses `copy` where a page may lack backing (files). Without it the kernel is asked to copy, which costs a system
    /// call; `vm_engine::fault::guarded_copy` gives such a function.
    ///
    /// # Safety
    /// Whenever the address space is accessed, `copy` may be called with one side in guest memory, mapped with the
    /// permission needed but perhaps not backed, and the other side a buffer of the caller's: it returns then, whatever
    /// the host raises.
    pub unsafe fn set_guarded_copy(&self, copy: GuardedCopy) {
        self.write_state().guarded_copy = Some(copy);
    }

    /// Keeps the guest from reading pages that it may execute and neither read nor write, from now on, as kernels of
    /// riscv64 and aarch64 do. Mappings that exist stay as they are. While such a page is fetched from, which takes a
    /// few system calls each time, other threads can read it.
    pub fn hide_code(&self) {
        self.write_state().ground.hides_code = true;
    }

    /// Reads bytes at `addr` until `buf` is full or a byte cannot be read. Returns how many were read, and what is
    /// wrong with the next. A mapping that grows downwards is made to grow to `addr`.
    pub fn copy_in(&self, addr: GuestAddr, buf: &mut [u8]) -> (usize, Option<MemFault>) {
        self.touch(addr);
        self.read_state().copy(addr, Side::In(buf), Access::Read)
    }

    /// Writes bytes at `addr` until all of `bytes` are or one cannot be written. Returns how many were written, and what
    /// is wrong with the next. A mapping that grows downwards is made to grow to `addr`.
    pub fn copy_out(&self, addr: GuestAddr, bytes: &[u8]) -> (usize, Option<MemFault>) {
        self.touch(addr);
        let state = self.read_state();
        let (done, fault) = state.copy(addr, Side::Out(bytes), Access::Write);
        if let Ok(range) = vm_core::GuestRange::new(addr, done as u64) {
            self.watch.changed(range);
        }
        (done, fault)
    }
}

impl GuestMemory for AddressSpace {
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault> {
        match self.read_state().copy(addr, Side::In(buf), Access::Execute) {
            (0, Some(fault)) => Err(fault),
            (done, _) => Ok(done),
        }
    }

    fn read(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<(), MemFault> {
        self.copy_in(addr, buf).1.map_or(Ok(()), Err)
    }

    fn write(&self, addr: GuestAddr, bytes: &[u8]) -> Result<(), MemFault> {
        self.copy_out(addr, bytes).1.map_or(Ok(()), Err)
    }

    /// # Panics
    /// If `size` is not 1, 2, 4, 8 or 16 or `addr` is not a multiple of it.
    fn compare_exchange(&self, addr: GuestAddr, size: usize, expected: u128, new: u128) -> Result<u128, MemFault> {
        assert!(
            matches!(size, 1 | 2 | 4 | 8 | 16) && addr.is_aligned(size as u64),
            "compare_exchange of {size} bytes at {addr}"
        );
        let access = Access::Write;
        self.touch(addr);
        let state = self.read_state();
        // Aligned and at most 16 bytes: one region holds all of them.
        let region = state.ground.regions().get(addr).ok_or(MemFault::Unmapped { addr, access })?;
        if !state.permits(region.perms, access) {
            return Err(MemFault::Forbidden { addr, access });
        }
        let host = std::ptr::with_exposed_provenance_mut::<u8>(state.ground.base() + addr.get() as usize);
        if let Backing::File { .. } = region.backing
            && copy_backed(state.guarded_copy, &mut Side::In(&mut [0]), 0, 1, host) == 0
        {
            return Err(MemFault::Unbacked { addr, access });
        }
        // SAFETY: the bytes are aligned and lie in a mapped region that permits reads and writes, and stays so while
        // the guard lives; a file behind them was long enough just now.
        let was = unsafe { exchange(host, size, expected, new) };
        if was == expected
            && let Ok(range) = vm_core::GuestRange::new(addr, size as u64)
        {
            self.watch.changed(range);
        }
        Ok(was)
    }

    fn flat(&self) -> Option<FlatView> {
        Some(self.view())
    }

    /// Touches no memory but to fetch. A mapping that grows downwards is made to grow.
    fn probe(&self, addr: GuestAddr, access: Access) -> Result<(), MemFault> {
        if access == Access::Execute {
            return self.fetch(addr, &mut [0]).map(drop);
        }
        loop {
            let permits = {
                let state = self.read_state();
                state.ground.regions().get(addr).map(|region| state.permits(region.perms, access))
            };
            match permits {
                Some(true) => return Ok(()),
                Some(false) => return Err(MemFault::Forbidden { addr, access }),
                None if self.grow(addr) => {}
                None => return Err(MemFault::Unmapped { addr, access }),
            }
        }
    }

    fn watch_code(&self, page: GuestAddr) {
        self.watch.watch(page);
    }

    fn is_fixed(&self, page: GuestAddr) -> bool {
        let unwritten = self.read_state().ground.regions().get(page).is_some_and(|region| {
            !region.perms.contains(Perms::WRITE)
                && region.sharing == Sharing::Private
                && region.backing == Backing::Anonymous
        });
        // A page that changed is watched no longer, whether anybody has asked for the report or not.
        unwritten && self.watch.is_watched(page)
    }

    fn holds_made_code(&self, page: GuestAddr) -> bool {
        // Most programs never do, and are asked this for each block.
        self.makes_code.load(Ordering::Acquire)
            && self.read_state().ground.regions().get(page).is_some_and(|region| {
                region.perms.contains(Perms::WRITE | Perms::EXECUTE) && region.backing == Backing::Anonymous
            })
    }
}

/// Replaces the `size` bytes at `host` if they equal `expected`. Returns what was there.
///
/// # Safety
/// `size` is 1, 2, 4, 8 or 16, `host` a multiple of it, and the bytes may be read and written.
unsafe fn exchange(host: *mut u8, size: usize, expected: u128, new: u128) -> u128 {
    macro_rules! narrow {
        ($atomic:ty, $int:ty) => {{
            // SAFETY: as the caller vouches; all other accesses of this memory by Rust code are atomic.
            let cell = unsafe { <$atomic>::from_ptr(host.cast()) };
            let (old, new) = ((expected as $int).to_le(), (new as $int).to_le());
            let (Ok(was) | Err(was)) = cell.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
            u128::from(<$int>::from_le(was))
        }};
    }
    match size {
        1 => narrow!(AtomicU8, u8),
        2 => narrow!(AtomicU16, u16),
        4 => narrow!(AtomicU32, u32),
        8 => narrow!(AtomicU64, u64),
        // SAFETY: as the caller vouches.
        _ => unsafe { exchange_wide(host, expected, new) },
    }
}

/// As [`exchange`] for 16 bytes.
///
/// # Safety
/// `host` is a multiple of 16, and the 16 bytes there may be read and written.
#[cfg(target_arch = "x86_64")]
unsafe fn exchange_wide(host: *mut u8, expected: u128, new: u128) -> u128 {
    let (mut low, mut high) = (expected as u64, (expected >> 64) as u64);
    // SAFETY: every x86-64 processor since 2006 has CMPXCHG16B; the address is as the caller vouches. LLVM keeps rbx for
    // itself, so it is swapped in and out.
    unsafe {
        std::arch::asm!(
            "xchg rbx, rsi",
            "lock cmpxchg16b xmmword ptr [rdi]",
            "mov rbx, rsi",
            in("rdi") host,
            inout("rsi") new as u64 => _,
            in("rcx") (new >> 64) as u64,
            inout("rax") low,
            inout("rdx") high,
            options(nostack),
        );
    }
    u128::from(low) | u128::from(high) << 64
}

/// As [`exchange`] for 16 bytes.
///
/// # Safety
/// `host` is a multiple of 16, and the 16 bytes there may be read and written.
#[cfg(target_arch = "aarch64")]
unsafe fn exchange_wide(host: *mut u8, expected: u128, new: u128) -> u128 {
    let (old_low, old_high) = (expected as u64, (expected >> 64) as u64);
    let (low, high): (u64, u64);
    // SAFETY: the address is as the caller vouches. If the comparison fails the old value is stored back, because only
    // a successful exclusive store makes the pair of loads one access (Arm ARM, "Load-exclusive pair").
    unsafe {
        std::arch::asm!(
            "2:",
            "ldaxp {low}, {high}, [{host}]",
            "cmp {low}, {old_low}",
            "ccmp {high}, {old_high}, #0, eq",
            "csel {put_low}, {new_low}, {low}, eq",
            "csel {put_high}, {new_high}, {high}, eq",
            "stlxp {failed:w}, {put_low}, {put_high}, [{host}]",
            "cbnz {failed:w}, 2b",
            host = in(reg) host,
            low = out(reg) low,
            high = out(reg) high,
            old_low = in(reg) old_low,
            old_high = in(reg) old_high,
            new_low = in(reg) new as u64,
            new_high = in(reg) (new >> 64) as u64,
            put_low = out(reg) _,
            put_high = out(reg) _,
            failed = out(reg) _,
            options(nostack),
        );
    }
    u128::from(low) | u128::from(high) << 64
}

/// As [`exchange`] for 16 bytes, on hosts without such an instruction: atomic among calls of this function alone.
///
/// # Safety
/// `host` is a multiple of 16, and the 16 bytes there may be read and written.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn exchange_wide(host: *mut u8, expected: u128, new: u128) -> u128 {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: as the caller vouches.
    let words = unsafe { [AtomicU64::from_ptr(host.cast()), AtomicU64::from_ptr(host.add(8).cast())] };
    let [low, high] = words.map(|word| u64::from_le(word.load(Ordering::SeqCst)));
    let was = u128::from(low) | u128::from(high) << 64;
    if was == expected {
        words[0].store((new as u64).to_le(), Ordering::SeqCst);
        words[1].store(((new >> 64) as u64).to_le(), Ordering::SeqCst);
    }
    was
}
