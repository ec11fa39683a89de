//! [`MemError`]: why an address space refused a request.

use vm_core::GuestAddr;

/// Why an address space refused a request. Unless a method says otherwise, a refused request changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemError {
    /// The request makes no sense: a length of zero, an address or offset that is no multiple of the page size, and so
    /// on.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The range does not lie below the end of the guest's address space.
    #[error("{len:#x} bytes at {addr} exceed the guest's address space")]
    OutOfRange {
        /// First address of the request.
        addr: GuestAddr,
        /// Its length in bytes.
        len: u64,
    },
    /// No gap is large enough.
    #[error("no gap of {len:#x} bytes")]
    NoGap {
        /// Length in bytes.
        len: u64,
    },
    /// A mapping that must not be replaced is in the way.
    #[error("{addr} is mapped already")]
    Exists {
        /// First address that is mapped.
        addr: GuestAddr,
    },
    /// Something of the emulator's own lies in the range.
    #[error("{len:#x} bytes at {addr} are in use by the emulator")]
    Occupied {
        /// First address of the request.
        addr: GuestAddr,
        /// Its length in bytes.
        len: u64,
    },
    /// A page of the range is not mapped. Pages before it may have been changed, as the Linux calls do.
    #[error("{addr} is not mapped")]
    Unmapped {
        /// First address that is not mapped.
        addr: GuestAddr,
    },
    /// The range to move is not part of one mapping.
    #[error("{addr} does not begin a range within one mapping")]
    NotOneMapping {
        /// First address of the range.
        addr: GuestAddr,
    },
    /// The host's kernel refused a call.
    #[error("{call}: {}", std::io::Error::from_raw_os_error(*errno))]
    Host {
        /// Name of the call.
        call: &'static str,
        /// Its error number.
        errno: i32,
    },
    /// The host's pages are not 4 KiB, the size of the guest's.
    #[error("host pages of {bytes} bytes cannot hold guest pages of 4096")]
    HostPageSize {
        /// The host's page size.
        bytes: usize,
    },
}

impl MemError {
    /// The number with which Linux answers the request (`mmap(2)`, `mremap(2)`, `mprotect(2)`).
    #[must_use]
    pub const fn errno(&self) -> i32 {
        match self {
            Self::Invalid { .. } => libc::EINVAL,
            Self::Exists { .. } => libc::EEXIST,
            Self::NotOneMapping { .. } => libc::EFAULT,
            Self::OutOfRange { .. }
            | Self::NoGap { .. }
            | Self::Occupied { .. }
            | Self::Unmapped { .. }
            | Self::HostPageSize { .. } => libc::ENOMEM,
            Self::Host { errno, .. } => *errno,
        }
    }
}
