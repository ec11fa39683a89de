//! [`Helper`]: a named Rust function that a block may call for rare work.

use std::fmt;

use vm_core::CpuState;

/// What a helper does besides giving a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HelperEffect {
    /// Nothing: equal operands give equal results.
    Pure,
    /// Reads something outside the state (a clock); may not be merged or dropped.
    Volatile,
    /// Reads and writes slots, mode and floating-point flags of the state; all of them are up to date when it runs.
    State,
}

/// The function behind a helper. It uses no floating-point arithmetic: the host's status belongs to the guest
/// while it runs. Guest memory is not reachable from it.
#[derive(Clone, Copy)]
pub enum HelperFn {
    /// For [`HelperEffect::Pure`] and [`HelperEffect::Volatile`].
    Values(extern "C" fn(u64, u64, u64) -> u64),
    /// For [`HelperEffect::State`].
    State(extern "C" fn(&mut CpuState, u64, u64, u64) -> u64),
}

/// A named function that blocks may call with [`Op::Call`](crate::Op::Call).
#[derive(Clone, Copy)]
pub struct Helper {
    /// Name in the text form.
    pub name: &'static str,
    /// Number of operands, 0 to 3; the others are passed as zero.
    pub args: usize,
    /// What it does besides giving a value.
    pub effect: HelperEffect,
    /// The function.
    pub function: HelperFn,
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Helper").field("name", &self.name).field("args", &self.args).finish_non_exhaustive()
    }
}
