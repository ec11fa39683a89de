//! What identifies a block: its address and every mode bit outside its bytes that changes its translation.

use std::fmt;

use crate::GuestAddr;

/// Guest mode bits that change what bytes mean, packed as the guest's own description says
/// (for riscv64: the dynamic rounding mode; for x86-64: the x87 top of stack, and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Mode(u32);

impl Mode {
    /// The mode with these bits.
    #[inline]
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// Identity of a translated block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct BlockKey {
    /// Guest virtual address of the first instruction.
    pub pc: GuestAddr,
    /// Mode bits at entry.
    pub mode: Mode,
}

impl BlockKey {
    /// The block at `pc` in `mode`.
    #[inline]
    #[must_use]
    pub const fn new(pc: GuestAddr, mode: Mode) -> Self {
        Self { pc, mode }
    }

    /// The block at another address in the same mode.
    #[inline]
    #[must_use]
    pub const fn at(self, pc: GuestAddr) -> Self {
        Self { pc, mode: self.mode }
    }
}

impl fmt::Display for BlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mode.bits() == 0 { write!(f, "{}", self.pc) } else { write!(f, "{}/{:x}", self.pc, self.mode.bits()) }
    }
}

impl fmt::Debug for BlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
