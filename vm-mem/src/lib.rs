//! Guest address spaces: which guest pages are mapped, with what behind them, and how the host reaches them. And an
//! allocator for small records.
//!
//! `AddressSpace` does what a kernel does for a process: map, unmap, protect, move, break, describe. It implements
//! `GuestMemory` of `vm_core`, so that an engine runs on it, and offers a flat view, so that generated code
//! accesses guest memory directly.
//!
//! With the feature `slab` there is an allocator for small records as well, in the module `slab`; with
//! `default-features = false`, there is nothing else.
//!
//! ```
//! # #[cfg(feature = "space")] fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use vm_core::{GuestMemory, Perms};
//! use vm_mem::{AddressSpace, MapRequest, Placement};
//!
//! let space = AddressSpace::new(Placement::Reserved { size: 1 << 24 })?;
//! let page = space.map(MapRequest::anonymous(4096, Perms::READ | Perms::WRITE))?;
//! space.write(page, b"hello")?;
//! let mut back = [0; 5];
//! space.read(page, &mut back)?;
//! assert_eq!(&back, b"hello");
//! # Ok(()) }
//! # #[cfg(feature = "space")] example().unwrap();
//! ```
//!
//! Rules that hold throughout:
//!
//! * No host page that is guest memory is ever executable: what the guest may execute is readable on the host, unless it
//!   may do nothing else ([`AddressSpace::hide_code`]).
//! * Nothing outside the guest's own mappings is replaced, unmapped or protected.
//! * Guest threads race with every access made here, so no Rust reference to guest memory exists.
#![deny(unsafe_code)]

#[cfg(feature = "space")]
#[allow(unsafe_code)] // Copies and atomic accesses to memory that guest threads share.
mod access;
#[cfg(feature = "space")]
mod advice;
#[cfg(feature = "space")]
mod code_watch;
#[cfg(feature = "space")]
mod error;
#[cfg(feature = "space")]
mod gaps;
#[cfg(feature = "space")]
mod growth;
#[cfg(feature = "space")]
#[allow(unsafe_code)] // The only calls of mmap, mremap, mprotect, madvise, munmap, mlock and shmat on guest memory.
mod host;
#[cfg(feature = "space")]
mod locking;
#[cfg(feature = "space")]
mod regions;
#[cfg(feature = "space")]
mod shm;
#[cfg(all(feature = "slab", not(loom)))]
pub mod slab; // Its modules that hold unsafe code are listed there.
#[cfg(all(feature = "slab", loom))]
#[path = "slab/models.rs"]
mod slab;
#[cfg(feature = "space")]
mod space;

#[cfg(feature = "space")]
pub use access::GuardedCopy;
#[cfg(feature = "space")]
pub use advice::Advice;
#[cfg(feature = "space")]
pub use code_watch::CodeWatch;
#[cfg(feature = "space")]
pub use error::MemError;
#[cfg(feature = "space")]
pub use host::Placement;
#[cfg(feature = "space")]
pub use locking::Locking;
#[cfg(feature = "space")]
pub use regions::{Backing, FileIdentity, Region, RegionMap, Sharing};
#[cfg(feature = "space")]
pub use space::{AddressSpace, Frozen, Gap, MapRequest, MapSource, Place, RemapRequest};

/// The examples of the crate's README, as tests.
#[cfg(all(doctest, feature = "space", feature = "slab"))]
#[doc = include_str!("../README.md")]
struct Readme;
