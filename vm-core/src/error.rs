//! [`VmError`]: a caller's mistake, for the few calls of this crate that can be misused.

use crate::GuestAddr;

/// A caller's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// No architecture has this name.
    #[error("unknown architecture {name:?}; known are riscv64, aarch64 and x86-64")]
    UnknownArch {
        /// The name as given.
        name: String,
    },
    /// A range ends before it starts or runs over the end of the 64-bit address space.
    #[error("range of {len:#x} bytes at {start} wraps around the address space")]
    RangeWraps {
        /// First address of the range.
        start: GuestAddr,
        /// Length in bytes.
        len: u64,
    },
}
