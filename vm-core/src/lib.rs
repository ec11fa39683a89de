//! What every Tradux crate says: guest addresses, architectures, processor state, the memory trait, traps and exits.
//!
//! Nothing here knows an instruction, an operation or an operating system. Guest misbehaviour is a value
//! ([`Trap`], [`Exit`], [`MemFault`]); a caller's mistake is a [`VmError`].
#![forbid(unsafe_code)]

mod addr;
mod arch;
mod error;
mod exit;
mod key;
mod memory;
mod state;
mod trap;

pub use addr::{GuestAddr, GuestRange, PAGE_SIZE};
pub use arch::GuestArch;
pub use error::VmError;
pub use exit::Exit;
pub use key::{BlockKey, Mode};
pub use memory::{Access, ByteMemory, FlatView, GuestMemory, MemFault, Perms};
pub use state::{CpuState, SLOT_COUNT, Slot, WORD_COUNT};
pub use trap::{Trap, TrapKind};

/// The examples of the crate's README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
