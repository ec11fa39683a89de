//! Guest address spaces: which guest pages are mapped, with what behind them, and how the host reaches them.
//!
//! [`AddressSpace`] does what a kernel does for a process: map, unmap, protect, move, break, describe. It implements
//! [`GuestMemory`](vm_core::GuestMemory), so that an engine runs on it, and offers a flat view, so that generated code
//! accesses guest memory directly.
//!
//! ```
//! use vm_core::{GuestMemory, Perms};
//! use vm_mem::{AddressSpace, MapRequest, Placement};
//!
//! let space = AddressSpace::new(Placement::Reserved { size: 1 << 24 })?;
//! let page = space.map(MapRequest::anonymous(4096, Perms::READ | Perms::WRITE))?;
//! space.write(page, b"hello")?;
//! let mut back = [0; 5];
//! space.read(page, &mut back)?;
//! assert_eq!(&back, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Rules that hold throughout:
//!
//! * No host page that is guest memory is ever executable: what the guest may execute is readable on the host.
//! * Nothing outside the guest's own mappings is replaced, unmapped or protected.
//! * Guest threads race with every access made here, so no Rust reference to guest memory exists.
#![deny(unsafe_code)]

#[allow(unsafe_code)] // Copies and atomic accesses to memory that guest threads share.
mod access;
mod advice;
mod code_watch;
mod error;
mod gaps;
mod growth;
#[allow(unsafe_code)] // The only calls of mmap, mremap, mprotect, madvise, munmap, mlock and shmat.
mod host;
mod locking;
mod regions;
mod shm;
mod space;

pub use access::GuardedCopy;
pub use advice::Advice;
pub use code_watch::CodeWatch;
pub use error::MemError;
pub use host::Placement;
pub use locking::Locking;
pub use regions::{Backing, FileIdentity, Region, RegionMap, Sharing};
pub use space::{AddressSpace, Frozen, Gap, MapRequest, MapSource, Place, RemapRequest};

/// The examples of the crate's README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
