//! [`GuestMemory`]: what the engine and the translators ask of guest memory, whoever provides it; [`ByteMemory`]: the
//! short way to one, for memory whose bytes can be borrowed.

use std::fmt;

use crate::GuestAddr;

/// What an access wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Data read.
    Read,
    /// Data write, atomic operations included.
    Write,
    /// Instruction fetch.
    Execute,
}

/// Permissions of mapped guest memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Perms(u8);

impl Perms {
    /// No access.
    pub const NONE: Self = Self(0);
    /// Data reads.
    pub const READ: Self = Self(1);
    /// Data writes.
    pub const WRITE: Self = Self(2);
    /// Instruction fetches.
    pub const EXECUTE: Self = Self(4);

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every permission of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether `access` is permitted.
    #[must_use]
    pub const fn permit(self, access: Access) -> bool {
        match access {
            Access::Read => self.contains(Self::READ),
            Access::Write => self.contains(Self::WRITE),
            Access::Execute => self.contains(Self::EXECUTE),
        }
    }
}

impl std::ops::BitOr for Perms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

/// Three letters as in `/proc/PID/maps`: `rwx`, with `-` for what is refused.
impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, 'r'), (Self::WRITE, 'w'), (Self::EXECUTE, 'x')] {
            write!(f, "{}", if self.contains(bit) { letter } else { '-' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why a guest access was refused. `addr` is the first byte that failed, not the start of the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemFault {
    /// Nothing is mapped at `addr`.
    #[error("{access:?} of unmapped address {addr}")]
    Unmapped {
        /// First byte that failed.
        addr: GuestAddr,
        /// What was attempted.
        access: Access,
    },
    /// Something is mapped at `addr` that excludes the access.
    #[error("{access:?} of protected address {addr}")]
    Forbidden {
        /// First byte that failed.
        addr: GuestAddr,
        /// What was attempted.
        access: Access,
    },
    /// Something is mapped at `addr`, but nothing backs it (a mapping beyond the end of its file).
    #[error("{access:?} of address {addr}, which nothing backs")]
    Unbacked {
        /// First byte that failed.
        addr: GuestAddr,
        /// What was attempted.
        access: Access,
    },
}

impl MemFault {
    /// First byte that failed.
    #[must_use]
    pub const fn addr(self) -> GuestAddr {
        match self {
            Self::Unmapped { addr, .. } | Self::Forbidden { addr, .. } | Self::Unbacked { addr, .. } => addr,
        }
    }

    /// What was attempted.
    #[must_use]
    pub const fn access(self) -> Access {
        match self {
            Self::Unmapped { access, .. } | Self::Forbidden { access, .. } | Self::Unbacked { access, .. } => access,
        }
    }
}

/// Guest memory that lies in one stretch of the host's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlatView {
    /// Host address of guest address 0; 0 when guest addresses are host addresses.
    pub base: usize,
    /// Guest addresses below this are the guest's; accesses at or above it are refused without touching the host.
    pub limit: u64,
}

/// Guest memory as the engine and the translators see it.
///
/// Implementations are shared by all guest threads, and guest threads race: calls may overlap, and a racing access
/// may see any mix of old and new bytes unless it is one of the atomic calls.
pub trait GuestMemory: Send + Sync {
    /// Reads up to `buf.len()` instruction bytes at `addr`, stopping early where fetching is not permitted.
    ///
    /// Returns how many bytes were read, at least one unless `buf` is empty.
    ///
    /// # Errors
    /// [`MemFault`] if not even the first byte can be fetched.
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault>;

    /// Reads `buf.len()` bytes at `addr`.
    ///
    /// # Errors
    /// [`MemFault`] naming the first byte that cannot be read; `buf` is then unspecified.
    fn read(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<(), MemFault>;

    /// Writes `bytes` at `addr`.
    ///
    /// # Errors
    /// [`MemFault`] naming the first byte that cannot be written; earlier bytes may have been written
    /// if `bytes` spans a page boundary.
    fn write(&self, addr: GuestAddr, bytes: &[u8]) -> Result<(), MemFault>;

    /// Atomically replaces the `size` bytes at `addr` (1, 2, 4, 8 or 16, `addr` a multiple of `size`, little-endian)
    /// by `new` if they equal `expected`; sequentially consistent. Returns what was there.
    ///
    /// # Errors
    /// [`MemFault`] if the bytes cannot be read and written; nothing is changed.
    fn compare_exchange(&self, addr: GuestAddr, size: usize, expected: u128, new: u128) -> Result<u128, MemFault>;

    /// Whether an access of the byte at `addr` that the host refused is permitted after all, because the mapping has been
    /// changed meanwhile. By default tries the access.
    ///
    /// # Errors
    /// [`MemFault`]: why it is refused.
    fn probe(&self, addr: GuestAddr, access: Access) -> Result<(), MemFault> {
        match access {
            Access::Read => self.read(addr, &mut [0]),
            // Replaces a zero by a zero, which asks for the permission to write and changes nothing.
            Access::Write => self.compare_exchange(addr, 1, 0, 0).map(drop),
            Access::Execute => self.fetch(addr, &mut [0]).map(drop),
        }
    }

    /// The memory as one stretch of host addresses, where it is: generated code then accesses it directly, with the
    /// host's page protection in place of checks. `None` (the default) makes every access go through the calls above.
    fn flat(&self) -> Option<FlatView> {
        None
    }

    /// Tells that code was translated from the page at `page`, so that the memory can report later writes to it
    /// (by way of the engine's `invalidate`). The default does nothing, as guests that announce code changes need.
    fn watch_code(&self, page: GuestAddr) {
        let _ = page;
    }

    /// Whether the bytes of the page at `page` change in no way but those that a watch of the page reports. Code on such
    /// a page needs no comparison with memory when the guest says that code may have changed. `false` (the default) is
    /// always right.
    fn is_fixed(&self, page: GuestAddr) -> bool {
        let _ = page;
        false
    }

    /// Whether the page at `page` is of the kind in which programs make code as they run: memory of the guest's own that can
    /// be both written and executed. Until a guest has once said of the page that its code may have changed, code there is
    /// compared with memory each time that it is interpreted: some compilers at run time never say so. `false` (the default)
    /// trusts the guest.
    fn holds_made_code(&self, page: GuestAddr) -> bool {
        let _ = page;
        false
    }
}

/// Guest memory whose bytes can be borrowed: a vector behind a lock, a mapped file, the RAM of an emulated machine.
///
/// Whatever implements this is a [`GuestMemory`], without [`flat`](GuestMemory::flat) and without watching code: every
/// access borrows the bytes, and a refused one is [`MemFault::Unmapped`]. Memory that can do more, or that is to say
/// more about faults, implements `GuestMemory` itself.
///
/// # Example
/// One vector, every access permitted, at guest address 0x8000_0000:
///
/// ```
/// use std::sync::Mutex;
/// use vm_core::{Access, ByteMemory, GuestAddr, GuestMemory};
///
/// struct Ram(Mutex<Vec<u8>>);
///
/// impl ByteMemory for Ram {
///     fn borrow(&self, addr: GuestAddr, _: Access, use_bytes: &mut dyn FnMut(&mut [u8])) {
///         let start = addr.get().wrapping_sub(0x8000_0000) as usize;
///         use_bytes(self.0.lock().unwrap().get_mut(start..).unwrap_or_default());
///     }
/// }
///
/// let ram = Ram(Mutex::new(vec![0; 16]));
/// ram.write(GuestAddr::new(0x8000_0008), &[1, 2, 3])?;
/// assert_eq!(ram.0.lock().unwrap()[8..12], [1, 2, 3, 0]);
///
/// let fault = ram.write(GuestAddr::new(0x8000_000e), &[1, 2, 3]).unwrap_err();
/// assert_eq!(fault.addr(), GuestAddr::new(0x8000_0010));
/// # Ok::<(), vm_core::MemFault>(())
/// ```
pub trait ByteMemory: Send + Sync {
    /// Calls `use_bytes` once with all bytes from `addr` upwards that permit `access`, up to the first that does not:
    /// an empty slice, or no call at all, where there is none.
    ///
    /// Accesses of other guest threads wait until `use_bytes` has returned, so it needs a lock that is held for the
    /// call. `use_bytes` copies at most as many bytes as the access is long and does not come back to this memory.
    fn borrow(&self, addr: GuestAddr, access: Access, use_bytes: &mut dyn FnMut(&mut [u8]));
}

impl<M: ByteMemory + ?Sized> GuestMemory for M {
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault> {
        let mut copied = 0;
        self.borrow(addr, Access::Execute, &mut |bytes| {
            copied = bytes.len().min(buf.len());
            buf[..copied].copy_from_slice(&bytes[..copied]);
        });
        if copied == 0 && !buf.is_empty() {
            return Err(MemFault::Unmapped { addr, access: Access::Execute });
        }
        Ok(copied)
    }

    fn read(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<(), MemFault> {
        borrow_exact(self, addr, buf.len(), Access::Read, |bytes| buf.copy_from_slice(bytes))
    }

    fn write(&self, addr: GuestAddr, bytes: &[u8]) -> Result<(), MemFault> {
        borrow_exact(self, addr, bytes.len(), Access::Write, |to| to.copy_from_slice(bytes))
    }

    fn compare_exchange(&self, addr: GuestAddr, size: usize, expected: u128, new: u128) -> Result<u128, MemFault> {
        borrow_exact(self, addr, size, Access::Write, |bytes| {
            let mut old = [0; 16];
            old[..size].copy_from_slice(bytes);
            let old = u128::from_le_bytes(old);
            if old == expected {
                bytes.copy_from_slice(&new.to_le_bytes()[..size]);
            }
            old
        })
    }
}

/// What `f` makes of the `len` bytes at `addr`.
fn borrow_exact<R>(
    memory: &(impl ByteMemory + ?Sized),
    addr: GuestAddr,
    len: usize,
    access: Access,
    mut f: impl FnMut(&mut [u8]) -> R,
) -> Result<R, MemFault> {
    let mut result = Err(MemFault::Unmapped { addr, access });
    memory.borrow(addr, access, &mut |bytes| {
        let have = bytes.len() as i64;
        result = match bytes.get_mut(..len) {
            Some(bytes) => Ok(f(bytes)),
            None => Err(MemFault::Unmapped { addr: addr.offset(have), access }),
        };
    });
    result
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Eight bytes at 0x1000, of which the second half refuses to be written.
    struct Half(Mutex<[u8; 8]>);

    impl ByteMemory for Half {
        fn borrow(&self, addr: GuestAddr, access: Access, use_bytes: &mut dyn FnMut(&mut [u8])) {
            let mut bytes = self.0.lock().unwrap();
            let end = if access == Access::Write { 4 } else { 8 };
            if let Some(bytes) = bytes[..end].get_mut(addr.get().wrapping_sub(0x1000) as usize..) {
                use_bytes(bytes);
            }
        }
    }

    fn half() -> Half {
        Half(Mutex::new([0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]))
    }

    fn at(offset: u64) -> GuestAddr {
        GuestAddr::new(0x1000 + offset)
    }

    fn unmapped(offset: u64, access: Access) -> MemFault {
        MemFault::Unmapped { addr: at(offset), access }
    }

    #[test]
    fn a_fetch_stops_early_and_fails_only_on_its_first_byte() {
        let (memory, mut buf) = (half(), [0; 4]);
        assert_eq!((memory.fetch(at(4), &mut buf), buf), (Ok(4), [0x14, 0x15, 0x16, 0x17]));
        assert_eq!((memory.fetch(at(7), &mut buf), buf[0]), (Ok(1), 0x17));
        assert_eq!(memory.fetch(at(8), &mut buf), Err(unmapped(8, Access::Execute)));
        assert_eq!(memory.fetch(GuestAddr::new(0), &mut buf).unwrap_err().addr(), GuestAddr::new(0));
        assert_eq!(memory.fetch(at(8), &mut []), Ok(0));
    }

    #[test]
    fn data_accesses_are_whole_or_name_the_first_byte_that_failed() {
        let (memory, mut buf) = (half(), [0; 4]);
        assert_eq!((memory.read(at(4), &mut buf), buf), (Ok(()), [0x14, 0x15, 0x16, 0x17]));
        assert_eq!(memory.read(at(6), &mut buf), Err(unmapped(8, Access::Read)));
        assert_eq!(memory.read(at(9), &mut buf), Err(unmapped(9, Access::Read)));
        assert_eq!(memory.write(at(2), &[1, 2, 3]), Err(unmapped(4, Access::Write)));
        assert_eq!(memory.write(at(2), &[1, 2]), Ok(()));
        assert_eq!(*memory.0.lock().unwrap(), [0x10, 0x11, 1, 2, 0x14, 0x15, 0x16, 0x17]);
    }

    #[test]
    fn an_exchange_compares_and_says_what_was_there() {
        let memory = half();
        assert_eq!(memory.compare_exchange(at(2), 2, 0x1312, 0xa1a2), Ok(0x1312));
        assert_eq!(memory.compare_exchange(at(2), 2, 0x1312, 0xffff), Ok(0xa1a2));
        assert_eq!(memory.compare_exchange(at(0), 4, 0xa1a2_1110, 0xb1b2_b3b4), Ok(0xa1a2_1110));
        assert_eq!(memory.0.lock().unwrap()[..5], [0xb4, 0xb3, 0xb2, 0xb1, 0x14]);
        assert_eq!(memory.compare_exchange(at(0), 8, 0, 0), Err(unmapped(4, Access::Write)));
    }
}
