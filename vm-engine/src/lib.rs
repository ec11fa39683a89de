//! Runs guest code: an interpreter for cold code, compiled regions for hot code, one interface for both.
//!
//! An [`Engine`] takes blocks from a [`BlockSource`](vm_ir::BlockSource) and memory from a
//! [`GuestMemory`](vm_core::GuestMemory); it knows no guest instruction set and no operating system. A [`Vcpu`] is one
//! guest thread: set its state, [`run`](Vcpu::run) it, and handle the [`Exit`](vm_core::Exit) it comes back with.

mod config;
mod engine;
mod hot;
mod interp;
mod profile;
mod run;
mod stats;

pub use config::{Config, Exact, TierPolicy, UnknownTier};
pub use engine::{Engine, EngineError, ForkGuard, InterruptHandle, Vcpu};
pub use hot::{Heat, HotspotDetector, Verdict};
pub use profile::BlockProfile;
pub use stats::EngineStats;

#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod testing;
