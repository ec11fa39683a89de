//! Runs guest code: an interpreter for cold code, compiled regions for hot code, one interface for both.
//!
//! An [`Engine`] takes blocks from a [`BlockSource`](vm_ir::BlockSource) and memory from a
//! [`GuestMemory`](vm_core::GuestMemory); it knows no guest instruction set and no operating system. A [`Vcpu`] is one
//! guest thread: set its state, [`run`](Vcpu::run) it, and handle the [`Exit`](vm_core::Exit) it comes back with.
//!
//! # Example
//!
//! A riscv64 guest in the embedder's own memory, with the embedder's own system calls:
//!
#![doc = concat!("```\n", include_str!("../examples/embed.rs"), "```")]

#[cfg(feature = "jit")]
mod cache;
#[allow(unsafe_code, reason = "the clock of another thread has no safe name")]
mod clock;
mod config;
mod disturb;
mod engine;
#[allow(unsafe_code, reason = "signal handlers, and the index of generated code that they read")]
pub mod fault;
#[allow(unsafe_code, reason = "assembly accessors to guest memory")]
mod flat;
mod flushed;
#[allow(unsafe_code, reason = "one vCPU's memory, shared with generated code")]
#[cfg_attr(not(feature = "jit"), expect(dead_code, reason = "most of it is for generated code"))]
mod frame;
#[allow(unsafe_code, reason = "assembly leaves on floating-point registers and the host's status")]
mod hostfp;
mod hot;
mod interp;
#[cfg(feature = "jit")]
mod jit;
#[cfg(feature = "jit")]
mod jump;
#[cfg(feature = "jit")]
#[allow(unsafe_code, reason = "answers for the code that it enters")]
mod native;
#[cfg(feature = "jit")]
mod observe;
mod packed;
mod profile;
#[cfg(feature = "jit")]
mod region;
mod run;
mod sample;
mod stats;
pub mod threads;

pub use config::{Config, Exact, TierPolicy, UnknownTier};
pub use engine::{Engine, EngineError, ForkGuard, InterruptHandle, Vcpu};
pub use hot::{Heat, HotspotDetector, Verdict};
#[cfg(feature = "jit")]
pub use jit::{CompileError, HostCode, compile_for, has_host};
#[cfg(feature = "jit")]
pub use observe::{CodeObserver, PublishedCode};
pub use profile::BlockProfile;
#[cfg(feature = "jit")]
pub use region::{CompileOptions, MemoryMode, Quality, RegionBlock, RegionPlan};
pub use sample::{Activity, Profile, Sample};
pub use stats::{EngineStats, RegionStats};

#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod testing;

/// The examples of the crate's README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
