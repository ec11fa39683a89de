//! Memory for generated code: written once, never writable and executable at once.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use rustix::mm::{MapFlags, MprotectFlags, MremapFlags, ProtFlags};

use super::detach;

/// Address of generated code that may be entered while its segment lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodePtr(u64);

impl CodePtr {
    /// The code at `address`, as a lookup table stores it.
    pub(crate) const fn new(address: u64) -> Self {
        Self(address)
    }

    /// The host address.
    pub(crate) const fn address(self) -> u64 {
        self.0
    }
}

/// Alignment of a function in a segment, in bytes.
const FUNCTION_ALIGN: usize = 16;
const HOST_PAGE: usize = 4096;
/// Bytes of address space of a segment, more for a function that does not fit: what one live function can keep mapped.
const SEGMENT: usize = 32 << 10;

/// Bytes of pages with code, of all segments that there are.
#[derive(Debug, Default)]
pub(crate) struct MappedBytes(AtomicUsize);

impl MappedBytes {
    /// The number of bytes.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Address space for the code of some regions, whose pages take memory as they are filled. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Segment {
    base: usize,
    len: usize,
    /// Bytes of pages with code, from the start on.
    filled: AtomicUsize,
    mapped: Arc<MappedBytes>,
}

/// Hands out executable memory. Functions follow one another in a segment as long as they fit.
#[derive(Debug)]
pub(crate) struct CodeMemory {
    /// The segment that has room, while code in it is kept, and the bytes of it that are taken.
    open: Weak<Segment>,
    used: usize,
    mapped: Arc<MappedBytes>,
}

impl CodeMemory {
    /// None yet. What is mapped is counted in `mapped`.
    pub(crate) fn new(mapped: Arc<MappedBytes>) -> Self {
        Self { open: Weak::new(), used: 0, mapped }
    }

    /// Copies every function of `functions` to pages and seals them; gives the address of each, and what keeps it mapped.
    ///
    /// # Errors
    /// The host's error if it refuses memory or its protection.
    pub(crate) fn seal(&mut self, functions: &[&[u8]]) -> rustix::io::Result<Vec<(Arc<Segment>, CodePtr)>> {
        let mut sealed = Vec::with_capacity(functions.len());
        let mut rest = functions;
        while let Some(first) = rest.first() {
            let (segment, start) = match self.open.upgrade() {
                Some(open) if open.len - self.used >= first.len() => (open, self.used),
                _ => (Arc::new(Segment::reserve(first.len().max(SEGMENT), &self.mapped)?), 0),
            };
            let (mut end, mut count) = (start, 0);
            for function in rest {
                let next = end + function.len().next_multiple_of(FUNCTION_ALIGN);
                if end + function.len() > segment.len {
                    break;
                }
                sealed.push((Arc::clone(&segment), CodePtr::new((segment.base + end) as u64)));
                (end, count) = (next, count + 1);
            }
            segment.append(start, &rest[..count])?;
            (self.open, self.used) = (Arc::downgrade(&segment), end.min(segment.len));
            rest = &rest[count..];
        }
        Ok(sealed)
    }
}

impl Segment {
    /// Address space for `len` bytes, sealed from the start.
    fn reserve(len: usize, mapped: &Arc<MappedBytes>) -> rustix::io::Result<Self> {
        let len = len.next_multiple_of(HOST_PAGE);
        // SAFETY: a new private mapping at an address that the kernel chooses overlaps nothing.
        let base = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE)?
        };
        Ok(Self { base: base as usize, len, filled: AtomicUsize::new(0), mapped: Arc::clone(mapped) })
    }

    /// Puts `functions` behind the first `used` bytes, where they fit.
    fn append(&self, used: usize, functions: &[&[u8]]) -> rustix::io::Result<()> {
        let mut code = Vec::with_capacity(functions.iter().map(|function| function.len() + FUNCTION_ALIGN).sum());
        for function in functions {
            code.extend_from_slice(function);
            code.resize(code.len().next_multiple_of(FUNCTION_ALIGN), 0);
        }
        let end = (used + code.len()).next_multiple_of(HOST_PAGE);
        assert!(end <= self.len, "functions are put where they fit");
        // SAFETY: the bytes behind the used ones are this segment's, and nobody has a reference to them yet.
        if unsafe { detach::write_sealed(self.base + used, &code) } {
            flush_instruction_cache(self.base + used, code.len());
        } else {
            self.replace(used, &code)?;
        }
        let before = self.filled.swap(end, Ordering::Relaxed);
        self.mapped.0.fetch_add(end - before, Ordering::Relaxed);
        Ok(())
    }

    /// Puts `code` behind the first `used` bytes by making pages elsewhere.
    ///
    /// A page that is full in part and may be running is not written again: a page with the same bytes and more is made
    /// elsewhere, sealed, and moved into its place by the kernel in one step.
    fn replace(&self, used: usize, code: &[u8]) -> rustix::io::Result<()> {
        let from = used - used % HOST_PAGE;
        // SAFETY: the bytes up to `used` are there since calls before, are readable and never written.
        let before = unsafe { std::slice::from_raw_parts((self.base + from) as *const u8, used - from) };
        let code = [before, code].concat();
        let len = code.len().next_multiple_of(HOST_PAGE);
        let target = (self.base + from) as *mut c_void;
        // SAFETY:
        // - a new private mapping at an address that the kernel chooses overlaps nothing, and nobody else knows it;
        // - `code` has at most `len` bytes, and the mapping is writable until it is sealed;
        // - it is moved over pages of this segment: behind the used ones, to which nobody has a reference, and over
        //   the last of them, whose bytes it repeats, so that whoever runs or reads there finds what was there.
        unsafe {
            let page = rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )?;
            std::ptr::copy_nonoverlapping(code.as_ptr(), page.cast(), code.len());
            let moved = rustix::mm::mprotect(page, len, MprotectFlags::READ | MprotectFlags::EXEC)
                .and_then(|()| rustix::mm::mremap_fixed(page, len, len, MremapFlags::MAYMOVE, target));
            if let Err(error) = moved {
                let _ = rustix::mm::munmap(page, len);
                return Err(error);
            }
        }
        flush_instruction_cache(self.base + from, len);
        Ok(())
    }

    /// First address and length in bytes of the pages with code.
    #[cfg(test)]
    pub(crate) fn span(&self) -> (usize, usize) {
        (self.base, self.filled.load(Ordering::Relaxed))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: the mapping is this segment's own; whoever drops it has seen to it that no thread runs in it
        // (`cache::reclaim`), and a failure to unmap leaves it mapped, which is harmless.
        let _ = unsafe { rustix::mm::munmap(self.base as *mut _, self.len) };
        self.mapped.0.fetch_sub(*self.filled.get_mut(), Ordering::Relaxed);
    }
}

/// Makes new code visible to instruction fetch.
#[cfg(target_arch = "x86_64")]
const fn flush_instruction_cache(_base: usize, _len: usize) {}

/// Makes new code visible to instruction fetch (Arm ARM, "Caches and instruction fetch"): clean the data cache to the
/// point of unification, invalidate the instruction cache, synchronise. Other cores see the new code through the
/// release store that publishes it and the system call that wrote it.
#[cfg(target_arch = "aarch64")]
fn flush_instruction_cache(base: usize, len: usize) {
    let (start, end) = (base, base + len);
    // SAFETY: cache maintenance by address is permitted to user programs on Linux and changes no memory.
    unsafe {
        let ctr: u64;
        std::arch::asm!("mrs {}, ctr_el0", out(reg) ctr);
        let data_line = 4usize << (ctr >> 16 & 15);
        let code_line = 4usize << (ctr & 15);
        for line in (start..end).step_by(data_line) {
            std::arch::asm!("dc cvau, {}", in(reg) line);
        }
        std::arch::asm!("dsb ish");
        for line in (start..end).step_by(code_line) {
            std::arch::asm!("ic ivau, {}", in(reg) line);
        }
        std::arch::asm!("dsb ish", "isb");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protections of the mapping that holds `address`, from the host's own list.
    fn protection(address: u64) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let range = u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
            range.contains(&address).then(|| rest[..4].to_owned())
        })
    }

    /// Runs `test` on this thread and on one that writes to sealed pages.
    fn both_ways(test: fn()) {
        test();
        let detached = || {
            detach::detach().unwrap();
            test();
        };
        std::thread::scope(|scope| scope.spawn(detached).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    #[test]
    fn sealed_code_is_executable_and_not_writable() {
        both_ways(seal_small_and_large);
    }

    fn seal_small_and_large() {
        let mapped = Arc::new(MappedBytes::default());
        let mut memory = CodeMemory::new(Arc::clone(&mapped));
        let code = memory.seal(&[&[0xc3; 20], &[0x90; 5000]]).unwrap();
        let address = |index: usize| code[index].1.address();
        assert_eq!(address(1) - address(0), 32);
        assert_eq!(protection(address(1)).as_deref(), Some("r-xp"));
        assert_eq!(code[0].0.span().1, 8192);
        assert_eq!(mapped.get(), 8192);
        drop(code);
        assert_eq!(mapped.get(), 0);
    }

    /// Bytes at an address in code that is kept.
    fn bytes(code: CodePtr, len: usize) -> Vec<u8> {
        // SAFETY: the callers keep the code.
        unsafe { std::slice::from_raw_parts(code.address() as *const u8, len) }.to_vec()
    }

    #[test]
    fn functions_share_pages_and_segments() {
        both_ways(share_pages_and_segments);
    }

    fn share_pages_and_segments() {
        let mapped = Arc::new(MappedBytes::default());
        let mut memory = CodeMemory::new(Arc::clone(&mapped));
        let mut kept = Vec::new();
        for number in 0..100u8 {
            kept.extend(memory.seal(&[&[number; 1000]]).unwrap());
            assert_eq!(protection(kept[0].1.address()).as_deref(), Some("r-xp"));
        }
        for (number, (_, code)) in (0..).zip(&kept) {
            assert_eq!(bytes(*code, 1000), [number; 1000]);
        }
        // 1008 bytes each with their alignment: 32 in a segment of 32 KiB.
        assert_eq!(mapped.get(), 3 * SEGMENT + HOST_PAGE);
        assert!(Arc::ptr_eq(&kept[0].0, &kept[31].0) && !Arc::ptr_eq(&kept[31].0, &kept[32].0));
        kept.drain(..32);
        assert_eq!(mapped.get(), 2 * SEGMENT + HOST_PAGE);
        let large = memory.seal(&[&[1; 2 * SEGMENT], &[2; 16]]).unwrap();
        assert_eq!((bytes(large[0].1, 2 * SEGMENT), bytes(large[1].1, 16)), (vec![1; 2 * SEGMENT], vec![2; 16]));
        drop((kept, large));
        assert_eq!(mapped.get(), 0);
        assert_eq!(memory.seal(&[&[3; 16]]).unwrap()[0].0.span().1, HOST_PAGE);
    }

    /// Code that runs while other code is put on its page goes on.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn running_code_may_get_neighbours() {
        both_ways(get_neighbours_while_running);
    }

    #[cfg(target_arch = "x86_64")]
    fn get_neighbours_while_running() {
        use std::sync::atomic::AtomicU32;
        // 1: add dword ptr [rdi], 1; cmp dword ptr [rsi], 0; je 1; ret
        const LOOP: [u8; 9] = [0x83, 0x07, 0x01, 0x83, 0x3e, 0x00, 0x74, 0xf8, 0xc3];
        let mut memory = CodeMemory::new(Arc::default());
        let kept = memory.seal(&[&LOOP]).unwrap();
        let (rounds, stop) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            let runner = scope.spawn(|| {
                // SAFETY: the code is a function of two addresses that ends when the second word is set, and is kept.
                unsafe {
                    let run: extern "C" fn(*const AtomicU32, *const AtomicU32) =
                        std::mem::transmute(kept[0].1.address() as usize);
                    run(&raw const rounds, &raw const stop);
                }
            });
            let mut others = Vec::new();
            for number in 0..200u8 {
                let before = rounds.load(Ordering::Relaxed);
                others.extend(memory.seal(&[&[number; 16]]).unwrap());
                while rounds.load(Ordering::Relaxed) == before && !runner.is_finished() {
                    std::thread::yield_now();
                }
            }
            stop.store(1, Ordering::Relaxed);
            runner.join().unwrap();
            assert!(others[..100].iter().all(|(segment, _)| Arc::ptr_eq(segment, &kept[0].0)));
        });
        assert!(rounds.load(Ordering::Relaxed) >= 200);
    }
}
