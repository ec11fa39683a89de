//! What compiling a region gives, before it is made executable.

use std::sync::Arc;

use vm_core::{BlockKey, GuestAddr};
use vm_ir::Block;

use crate::config::Exact;

/// How much was invested in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CompiledTier {
    /// Compiled when first found hot.
    One,
    /// Compiled again, larger and from a later profile, because it kept coming back to the run loop.
    Two,
}

/// A compiled region: position-independent code and what is needed to link, check, unwind and drop it.
pub(crate) struct CompiledRegion {
    /// Where it is entered.
    pub(crate) key: BlockKey,
    /// What was invested.
    pub(crate) tier: CompiledTier,
    /// Machine code, entered at its first byte.
    pub(crate) code: Vec<u8>,
    /// Where each link leads.
    pub(crate) links: Vec<BlockKey>,
    /// The blocks it was made from.
    pub(crate) sources: Vec<Arc<Block>>,
    /// Host code offset at which the code of a guest instruction begins, ascending.
    pub(crate) pcs: Vec<(u32, GuestAddr)>,
    /// Guest instructions, inlined copies counted.
    pub(crate) guest_len: usize,
    /// Exactness of the state at faults that it was compiled for.
    pub(crate) faults: Exact,
    /// Time spent on it, in nanoseconds.
    pub(crate) compile_ns: u64,
}
