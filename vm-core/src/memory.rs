//! [`GuestMemory`]: what the engine and the translators ask of guest memory, whoever provides it.

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
}
