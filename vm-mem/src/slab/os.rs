//! The host: mappings, memory policy, futexes, the current processor. Nothing here allocates from Rust's heap, since a
//! global allocator calls it.

use std::ffi::c_void;
use std::ptr;

/// What transparent and explicit huge pages have in common, in bytes.
pub(super) const HUGE: usize = 2 << 20;

/// A stretch of this process's address space, unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    address: usize,
    length: usize,
}

/// What may be done with the pages of a new mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing before they are committed.
    Reserved,
    /// Reads and writes; no swap space is set aside.
    Written,
}

impl Mapping {
    /// Maps `length` bytes, a multiple of the page size, of zeros at a multiple of `align`, a power of two of at least a
    /// page. `None` if the host refuses.
    pub(super) fn new(length: usize, align: usize, usage: Use) -> Option<Mapping> {
        let protection = match usage {
            Use::Reserved => libc::PROT_NONE,
            Use::Written => libc::PROT_READ | libc::PROT_WRITE,
        };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let whole = length.checked_add(align)?;
        // SAFETY: a new mapping wherever the kernel finds room touches nothing that exists.
        let got = unsafe { libc::mmap(ptr::null_mut(), whole, protection, flags, -1, 0) };
        if got == libc::MAP_FAILED {
            return None;
        }
        let start = got as usize;
        let address = (start + align - 1) & !(align - 1);
        let (before, after) = (address - start, start + whole - address - length);
        for (at, length) in [(start, before), (address + length, after)] {
            if length != 0 {
                // SAFETY: both ends belong to the mapping just made and nobody knows their addresses.
                unsafe { libc::munmap(at as *mut c_void, length) };
            }
        }
        Some(Mapping { address, length })
    }

    pub(super) fn address(&self) -> usize {
        self.address
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's alone; whoever drops it promises that nobody uses its memory any more.
        unsafe { libc::munmap(self.address as *mut c_void, self.length) };
    }
}

/// Which pages stand behind object memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HugePages {
    /// The host's default.
    #[default]
    Default,
    /// `madvise(MADV_HUGEPAGE)`: the host may put 2 MiB pages behind 2 MiB of slabs of one class, also where less of it is
    /// used.
    Transparent,
    /// 2 MiB pages from the host's pool (`MAP_HUGETLB`), which stay with their class until a trim finds all of one
    /// unused. Where the pool is empty, ordinary pages.
    Explicit,
}

/// Makes `length` bytes at `address`, both multiples of [`HUGE`], readable and writable. `None` if the host refuses, else
/// whether the pages are of the kind asked for.
///
/// # Safety
/// The range lies in a reservation of the caller's and nothing in it is in use.
pub(super) unsafe fn commit(address: usize, length: usize, pages: HugePages) -> Option<bool> {
    let read_write = libc::PROT_READ | libc::PROT_WRITE;
    let at = address as *mut c_void;
    let mut as_asked = true;
    if pages == HugePages::Explicit {
        let flags = libc::MAP_PRIVATE
            | libc::MAP_ANONYMOUS
            | libc::MAP_FIXED
            | libc::MAP_HUGETLB
            | (21 << libc::MAP_HUGE_SHIFT);
        // SAFETY: as promised by the caller, the range is a reservation without use. Failing leaves it as it was, or
        // unmapped, which the call below mends.
        if unsafe { libc::mmap(at, length, read_write, flags, -1, 0) } == at {
            return Some(true);
        }
        as_asked = false;
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let made = match as_asked {
        // SAFETY: as promised by the caller.
        true => unsafe { libc::mprotect(at, length, read_write) == 0 },
        // SAFETY: as promised by the caller.
        false => unsafe { libc::mmap(at, length, read_write, flags, -1, 0) == at },
    };
    if !made {
        return None;
    }
    if pages == HugePages::Transparent {
        // SAFETY: advice on pages that the caller owns changes no content.
        as_asked = unsafe { libc::madvise(at, length, libc::MADV_HUGEPAGE) == 0 };
    }
    Some(as_asked)
}

/// Gives the pages back to the host; they read as zeros afterwards. False if the host refuses, which it does for parts of
/// explicit huge pages.
///
/// # Safety
/// Nothing in the range, whole pages of the caller's, is needed any more.
pub(super) unsafe fn release(address: usize, length: usize) -> bool {
    // SAFETY: as promised by the caller.
    length == 0 || unsafe { libc::madvise(address as *mut c_void, length, libc::MADV_DONTNEED) == 0 }
}

/// Asks the host to take pages of this range from a node where it can; says whether it accepted.
pub(super) fn prefer_node(address: usize, length: usize, node: usize) -> bool {
    /// `MPOL_PREFERRED` of `linux/mempolicy.h`.
    const PREFERRED: libc::c_int = 1;
    let mask: libc::c_ulong = 1 << node;
    // The kernel reads one bit less than it is told (get_nodes in mm/mempolicy.c).
    let bits = libc::c_ulong::BITS as libc::c_ulong;
    // SAFETY: the kernel reads the mask during the call; a policy changes no content.
    unsafe { libc::syscall(libc::SYS_mbind, address, length, PREFERRED, &raw const mask, bits, 0) == 0 }
}

/// The processor that runs this thread, which may be another one by the time that it is used.
pub(super) fn current_cpu() -> usize {
    // SAFETY: the call has no preconditions.
    usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0)
}

/// Milliseconds since some moment, modulo 2^32, to a few of them.
pub(super) fn milliseconds() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is a local variable.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    (time.tv_sec as u32).wrapping_mul(1000).wrapping_add(time.tv_nsec as u32 / 1_000_000)
}

/// How many processors this host may have.
pub(super) fn cpus() -> usize {
    // SAFETY: the call has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }).unwrap_or(1).max(1)
}

/// Reads the beginning of a file, without the heap; returns how much was read.
pub(super) fn read_file(path: &std::ffi::CStr, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the path ends with a zero; the descriptor is this function's alone; the buffer is as long as said.
    unsafe {
        let descriptor = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if descriptor < 0 {
            return None;
        }
        let got = libc::read(descriptor, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(descriptor);
        usize::try_from(got).ok()
    }
}

/// A number that nobody can guess, or at worst one that differs from process to process.
pub(super) fn secret() -> u64 {
    let mut secret = 0u64;
    // SAFETY: eight bytes of a local variable.
    let got = unsafe { libc::getrandom((&raw mut secret).cast(), 8, libc::GRND_NONBLOCK) };
    if got != 8 {
        // The address of a local variable is random where the host randomises addresses.
        secret = (&raw const secret as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(std::process::id());
    }
    // Not an address, a small number or a small negative one, which objects often begin with.
    secret & !(0xff << 56) | 0x5a << 56
}

/// Sleeps while `word` is `value`; may wake early.
#[cfg(not(loom))]
pub(super) fn futex_wait(word: &std::sync::atomic::AtomicU32, value: u32) {
    let flags = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word outlives the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), flags, value, ptr::null::<libc::timespec>()) };
}

/// Wakes one sleeper.
#[cfg(not(loom))]
pub(super) fn futex_wake(word: &std::sync::atomic::AtomicU32) {
    let flags = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word outlives the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), flags, 1) };
}

/// Writes parts of a message to standard error and aborts.
pub(super) fn abort(parts: &[&str]) -> ! {
    for part in parts {
        // SAFETY: the bytes are those of a string.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
    std::process::abort()
}
