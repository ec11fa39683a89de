//! [`Trap`]: what a guest instruction did wrong or asked for.

use std::fmt;

use crate::{GuestAddr, MemFault};

/// What stopped an instruction, without its address operand. Fits a byte, for use inside the IR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TrapKind {
    /// Unknown, reserved or unpermitted instruction.
    Illegal,
    /// A breakpoint instruction.
    Breakpoint,
    /// No code is mapped at the program counter.
    FetchUnmapped,
    /// What is mapped at the program counter may not be executed.
    FetchForbidden,
    /// The target of a jump is not a multiple of the instruction alignment.
    MisalignedFetch,
    /// A load that must be aligned was not.
    MisalignedLoad,
    /// A store or atomic operation that must be aligned was not.
    MisalignedStore,
    /// Integer division by zero or with an unrepresentable quotient.
    DivideError,
    /// An unmasked floating-point exception.
    FloatingPoint,
    /// A general protection fault: an operand that no memory access could satisfy.
    Protection,
}

impl TrapKind {
    /// Every kind, in declaration order: `ALL[kind as usize] == kind`.
    pub const ALL: [Self; 10] = [
        Self::Illegal,
        Self::Breakpoint,
        Self::FetchUnmapped,
        Self::FetchForbidden,
        Self::MisalignedFetch,
        Self::MisalignedLoad,
        Self::MisalignedStore,
        Self::DivideError,
        Self::FloatingPoint,
        Self::Protection,
    ];

    /// Name in the IR's text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Illegal => "illegal",
            Self::Breakpoint => "breakpoint",
            Self::FetchUnmapped => "fetch_unmapped",
            Self::FetchForbidden => "fetch_forbidden",
            Self::MisalignedFetch => "misaligned_fetch",
            Self::MisalignedLoad => "misaligned_load",
            Self::MisalignedStore => "misaligned_store",
            Self::DivideError => "divide_error",
            Self::FloatingPoint => "floating_point",
            Self::Protection => "protection",
        }
    }
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why an instruction did not complete. The state's program counter is that instruction's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// The instruction itself: unknown, a breakpoint, misaligned, a division error and so on.
    Instruction {
        /// What was wrong.
        kind: TrapKind,
        /// The address concerned: the operand's for misaligned accesses, the first unfetchable byte for fetches,
        /// the instruction's own otherwise.
        addr: GuestAddr,
    },
    /// A data access failed.
    Memory(MemFault),
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction { kind, addr } => write!(f, "{kind} at {addr}"),
            Self::Memory(fault) => write!(f, "{fault}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed_in_order() {
        for (index, kind) in TrapKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
