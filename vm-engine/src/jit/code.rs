//! Memory for generated code: written once, then sealed, never writable and executable at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

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

/// Bytes of code segments that are mapped now.
#[derive(Debug, Default)]
pub(crate) struct MappedBytes(AtomicUsize);

impl MappedBytes {
    /// The number of bytes.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sealed pages with the code of one or more regions. Dropping it unmaps them.
#[derive(Debug)]
pub(crate) struct Segment {
    base: usize,
    len: usize,
    mapped: Arc<MappedBytes>,
}

impl Segment {
    /// Maps pages, copies every function of `functions` there and seals them; gives the address of each function.
    ///
    /// # Errors
    /// The host's error if it refuses memory or its protection.
    pub(crate) fn seal(functions: &[&[u8]], mapped: &Arc<MappedBytes>) -> rustix::io::Result<(Self, Vec<CodePtr>)> {
        let mut offsets = Vec::with_capacity(functions.len());
        let mut end = 0;
        for function in functions {
            offsets.push(end);
            end += function.len().next_multiple_of(FUNCTION_ALIGN);
        }
        let len = end.max(1).next_multiple_of(HOST_PAGE);
        // SAFETY: a new private mapping at an address that the kernel chooses overlaps nothing.
        let base = unsafe {
            let flags = MapFlags::PRIVATE;
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags)?
        };
        let segment = Self { base: base as usize, len, mapped: Arc::clone(mapped) };
        mapped.0.fetch_add(len, Ordering::Relaxed);
        for (function, offset) in functions.iter().zip(&offsets) {
            // SAFETY: `offset + function.len() <= len`, the mapping is writable and nobody else knows it yet.
            unsafe {
                std::ptr::copy_nonoverlapping(function.as_ptr(), base.cast::<u8>().add(*offset), function.len());
            }
        }
        // SAFETY: the range is the mapping made above; no reference into it exists.
        unsafe { rustix::mm::mprotect(base, len, MprotectFlags::READ | MprotectFlags::EXEC)? };
        flush_instruction_cache(segment.base, len);
        let code = offsets.iter().map(|offset| CodePtr::new((segment.base + offset) as u64)).collect();
        Ok((segment, code))
    }

    /// First address and length in bytes.
    #[cfg(test)]
    pub(crate) const fn span(&self) -> (usize, usize) {
        (self.base, self.len)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: the mapping is this segment's own; whoever drops it has seen to it that no thread runs in it
        // (`cache::reclaim`), and a failure to unmap leaves it mapped, which is harmless.
        let _ = unsafe { rustix::mm::munmap(self.base as *mut _, self.len) };
        self.mapped.0.fetch_sub(self.len, Ordering::Relaxed);
    }
}

/// Makes new code visible to instruction fetch.
#[cfg(target_arch = "x86_64")]
const fn flush_instruction_cache(_base: usize, _len: usize) {}

/// Makes new code visible to instruction fetch (Arm ARM, "Caches and instruction fetch"): clean the data cache to the
/// point of unification, invalidate the instruction cache, synchronise. Other cores see the new code through the
/// release store that publishes it and the system call that sealed it.
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

    #[test]
    fn sealed_code_is_executable_and_not_writable() {
        let mapped = Arc::new(MappedBytes::default());
        let (segment, code) = Segment::seal(&[&[0xc3; 20], &[0x90; 5000]], &mapped).unwrap();
        assert_eq!(code[1].address() - code[0].address(), 32);
        assert_eq!(protection(code[1].address()).as_deref(), Some("r-xp"));
        assert_eq!(segment.span().1, 8192);
        assert_eq!(mapped.get(), 8192);
        drop(segment);
        assert_eq!(mapped.get(), 0);
    }
}
