//! [`CodeObserver`]: who is told of every piece of machine code that becomes executable.

use std::sync::Arc;

use vm_core::GuestAddr;

use crate::clock;
use crate::engine::Engine;

/// A region that has just been published.
#[derive(Clone, Copy, Debug)]
pub struct PublishedCode<'a> {
    /// Guest address where it is entered.
    pub entry: GuestAddr,
    /// Host address of its first byte.
    pub address: u64,
    /// The machine code.
    pub bytes: &'a [u8],
    /// Compiled tier: 1 or 2.
    pub tier: u8,
    /// Host code offset at which the code of a guest instruction begins, ascending.
    pub pcs: &'a [(u32, GuestAddr)],
    /// When: nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
}

/// Told of machine code, for example to name it to a profiler of the host.
pub trait CodeObserver: Send + Sync {
    /// `code` can be entered from now on. Called on the thread that compiled it, with the code cache locked: an observer
    /// must not run or change guest code.
    fn published(&self, code: PublishedCode<'_>);
}

impl Engine {
    /// Has `observer` told of every region that is published from now on. Later calls do nothing, and so does this where
    /// nothing is compiled.
    pub fn observe_code(&self, observer: Arc<dyn CodeObserver>) {
        if let Some(native) = self.native() {
            let _ = native.cache.observer.set(observer);
        }
    }
}

/// What an observer is told.
pub(crate) fn describe<'a>(
    entry: GuestAddr,
    address: u64,
    bytes: &'a [u8],
    tier: crate::jit::compiled::CompiledTier,
    pcs: &'a [(u32, GuestAddr)],
) -> PublishedCode<'a> {
    PublishedCode { entry, address, bytes, tier: tier as u8 + 1, pcs, time_ns: clock::monotonic_ns() }
}
