//! Linux for guest programs: ELF loading, system calls and signals, on top of an engine and a translation pipeline.
//!
//! A [`Process`] is a program in an address space of its own. Everything a handler of a system call knows is in
//! `kernel.rs`; the calls themselves are a table ([`table`]) and a function each.
#![deny(unsafe_code)]

mod abi;
mod calls;
pub mod elf;
mod errno;
mod exec;
mod futex;
mod handover;
#[allow(
    unsafe_code,
    reason = "mod.rs: raw system calls; stub.rs: those that wait; signal.rs: handlers, masks and actions; process.rs: forks and \
              what they leave; heap.rs: an allocator; shared.rs: memory that processes share"
)]
mod host;
mod kernel;
mod layout;
mod load;
mod paths;
pub mod perf;
mod process;
mod run;
mod shape;
mod signal;
mod spin;
pub mod stack;
pub mod symbols;
pub mod table;
mod thread;
mod trace;
mod user;
mod vdso;

pub use errno::Errno;
pub use handover::{Handover, InheritedState, environment};
pub use host::{ForkableHeap, close_unasked_descriptors, die_by};
pub use process::{LoadError, Options, Process, Status};
pub use trace::{Filter, FilterError, InheritedTrace, TraceOptions};

/// The example of the crate's README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
