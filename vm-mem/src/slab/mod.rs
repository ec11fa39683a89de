//! A slab allocator: objects of up to 8 KiB in constant time, every misuse of a pointer noticed.
//!
//! Three ways to use it:
//!
//! * [`SlabAllocator`]: an allocator as a value, for memory that is freed as a whole or watched by itself.
//!
//!   ```
//!   use std::alloc::Layout;
//!   use vm_mem::slab::{SlabAllocator, SlabError};
//!
//!   let slabs = SlabAllocator::new()?;
//!   let layout = Layout::new::<[u64; 4]>();
//!   let object = slabs.allocate(layout)?;
//!   // SAFETY: the object came from this allocator with this layout and is not used afterwards.
//!   unsafe { slabs.deallocate(object, layout)? };
//!   // SAFETY: a free object; nothing is accessed, it is only refused.
//!   let again = unsafe { slabs.deallocate(object, layout) };
//!   assert_eq!(again, Err(SlabError::DoubleFree { address: object.as_ptr() as usize }));
//!   # Ok::<(), SlabError>(())
//!   ```
//!
//! * [`SlabGlobal`]: the allocator of a whole program. Larger sizes go to the system's.
//!
//!   ```
//!   use vm_mem::slab::SlabGlobal;
//!
//!   #[global_allocator]
//!   static GLOBAL: SlabGlobal = SlabGlobal::new();
//!
//!   let boxed = Box::new([1u64; 8]);
//!   assert!(GLOBAL.allocator().is_some_and(|slabs| slabs.slab_of(boxed.as_ptr().cast()).is_some()));
//!   ```
//!
//! * [`SlabPool`]: values of one type, owned by one place and named by small handles.
//!
//!   ```
//!   use vm_mem::slab::SlabPool;
//!
//!   let mut pool = SlabPool::new()?;
//!   let five = pool.insert(5u64)?;
//!   pool[five] += 1;
//!   assert_eq!(pool.remove(five), Some(6));
//!   assert_eq!(pool.remove(five), None);
//!   # Ok::<(), vm_mem::slab::SlabError>(())
//!   ```
//!
//! # What is noticed
//!
//! A free of something that is free already, of memory of others, of the inside of an object, of a misaligned address, or
//! with the layout of another class is refused in constant time and changes nothing. [`SlabAllocator`] returns a
//! [`SlabError`]; [`SlabGlobal`] says on standard error what was wrong and aborts. What no allocator notices is a second
//! free after the object was given out again. Free objects below 64 bytes carry a mark, so that a write to one is noticed
//! when it would be given out; it then stays out of use and is counted.
//!
//! # What it costs
//!
//! Within objects: [`Scheme`] says how much of a size class is waste. Beside them: a byte for each object of 64 bytes and
//! more, a bit for each object, 17 bytes for each 64 KiB: at most 1.9 % of the slabs' memory. Behind the last
//! object of a slab at most 2.5 %, and nothing where sizes are powers of two. A thread's
//! magazines hold at most 64 KiB, or 16 objects, of each class; depots hold at most 1024 objects and 2 MiB of each class for each
//! processor, and 4096 objects and 4 MiB for each memory node. [`SlabAllocator::trim`] empties them. Pages of slabs that
//! become empty are kept for a second or two ([`SlabConfig::retain_for`]).
//!
//! # Rules
//!
//! Functions here must not be called by signal handlers. Forking is safe through the C library's `fork`, and by a bare
//! system call while there is a [`Hold`]. Linux only.
#![doc = include_str!("README.md")]

#[allow(unsafe_code)] // Freeing is a promise of the caller's.
mod allocator;
#[cfg(feature = "allocator-api2")]
#[allow(unsafe_code)] // The trait is unsafe to implement.
mod allocator_api;
#[allow(unsafe_code)] // Metadata is raw memory beside the arena.
mod arena;
mod class;
#[allow(unsafe_code)] // Caches of threads and the parts of one mapping are reached by address.
mod core;
mod depot;
#[allow(unsafe_code)] // Handlers of the C library's fork and of ending threads.
mod fork;
#[allow(unsafe_code)] // `GlobalAlloc` is unsafe to implement.
mod global;
#[allow(unsafe_code)] // The content of a lock.
mod lock;
#[allow(unsafe_code)] // The fast path: objects are raw memory.
mod magazine;
#[allow(unsafe_code)] // System calls.
mod os;
#[allow(unsafe_code)] // Slots that may or may not hold a value.
mod pool;
mod stats;
mod sync;
mod topology;

use std::time::Duration;

pub use allocator::{Slab, SlabAllocator};
pub use class::{MAX_SIZE, Scheme, SizeClass};
pub use fork::Hold;
pub use global::SlabGlobal;
pub use os::HugePages;
pub use pool::{Handle, SlabPool};
pub use stats::{ClassStats, SlabAllocatorStats};
pub use topology::Topology;

/// How an allocator is made.
#[derive(Clone, Copy, Debug)]
pub struct SlabConfig {
    /// Which sizes there are.
    pub scheme: Scheme,
    /// Bytes of address space for each class, rounded up to a power of two from 64 MiB to 32 GiB; less if the host has less.
    /// No memory stands behind it until it is used. Default: 32 GiB.
    pub reserve_per_class: usize,
    /// Bytes of empty slabs that are kept for each class and node until a trim, as is an eighth of the class's slabs if that
    /// is more. Once there are twice as many, pages beyond go back to the host. Default: 512 KiB.
    pub retain_per_class: usize,
    /// How long empty slabs beyond that are kept, to a millisecond: what stayed empty throughout goes back when a thread
    /// next takes objects of any class from slabs or puts them back, so a program that has stopped doing so keeps it until
    /// a trim. Zero gives them back at once. Default: one second.
    pub retain_for: Duration,
    /// Which pages stand behind it. Default: the host's default.
    pub huge_pages: HugePages,
    /// Which processors and nodes there are; `None`, the default, asks the host.
    pub topology: Option<Topology>,
}

impl SlabConfig {
    /// The defaults, with this scheme.
    #[must_use]
    pub const fn new(scheme: Scheme) -> SlabConfig {
        SlabConfig {
            scheme,
            reserve_per_class: 32 << 30,
            retain_per_class: 512 << 10,
            retain_for: Duration::from_secs(1),
            huge_pages: HugePages::Default,
            topology: None,
        }
    }
}

impl Default for SlabConfig {
    fn default() -> SlabConfig {
        SlabConfig::new(Scheme::PowersOfTwo)
    }
}

/// Why an allocation or a free was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlabError {
    /// Neither the class's address space nor the host's memory has room.
    #[error("no memory for {size} bytes")]
    OutOfMemory {
        /// Bytes that were asked for.
        size: usize,
    },
    /// Size or alignment exceed [`MAX_SIZE`].
    #[error("a layout of {size} bytes aligned to {align} is too large for a slab")]
    TooLarge {
        /// Bytes of the layout.
        size: usize,
        /// Its alignment in bytes.
        align: usize,
    },
    /// The object is free.
    #[error("{address:#x} is freed although it is free")]
    DoubleFree {
        /// The address that was given.
        address: usize,
    },
    /// The memory is not of this allocator.
    #[error("{address:#x} is freed although it is not of this allocator")]
    Foreign {
        /// The address that was given.
        address: usize,
    },
    /// No object begins at the address: it is inside of one, misaligned, or behind the last one of a slab.
    #[error("{address:#x} is freed although no object begins there")]
    NotAnObject {
        /// The address that was given.
        address: usize,
    },
    /// Objects at the address have another size than the layout's class.
    #[error("{address:#x} is freed with a layout of the class of {asked}, but it is of the class of {actual}")]
    WrongClass {
        /// The address that was given.
        address: usize,
        /// The class of the layout that was given.
        asked: SizeClass,
        /// The class of the object.
        actual: SizeClass,
    },
}
