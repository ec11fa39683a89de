//! [`Guest`]: what the pipeline and its users ask of a guest instruction set.

use std::fmt;

use vm_core::GuestArch;
use vm_ir::{Helper, SlotInfo};

use crate::lift::{Flow, Lift};
use crate::table::{DecodeError, Table};

/// A set of a guest's instruction-set extensions. Which bit is which is the guest's matter ([`Guest::extensions`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Extensions(u64);

impl Extensions {
    /// No extension.
    pub const NONE: Self = Self(0);

    /// The extension with number `n`, below 64.
    #[must_use]
    pub const fn bit(n: u32) -> Self {
        Self(1 << n)
    }

    /// The set as bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every extension of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the sets share an extension.
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extensions({:#x})", self.0)
    }
}

/// A named extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionInfo {
    /// Name as the manual writes it.
    pub name: &'static str,
    /// The set of this extension alone.
    pub set: Extensions,
}

/// What the first bytes of an instruction say about its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// The instruction is this many bytes long, and they are there.
    Whole(usize),
    /// At least this many bytes are needed, more than are there.
    Needs(usize),
}

/// A guest instruction set.
pub trait Guest: Send + Sync {
    /// Which architecture it is.
    fn arch(&self) -> GuestArch;

    /// The slots, their names and types.
    fn slots(&self) -> &'static [SlotInfo];

    /// The helpers that lifted code calls by index.
    fn helpers(&self) -> &'static [Helper];

    /// Every extension that is implemented.
    fn extensions(&self) -> &'static [ExtensionInfo];

    /// The extensions that cannot be left out.
    fn required_extensions(&self) -> Extensions;

    /// The extensions as the guest's `/proc/cpuinfo` words them.
    fn isa_text(&self, enabled: Extensions) -> String;

    /// The value of the guest's `AT_HWCAP`.
    fn hwcap(&self, enabled: Extensions) -> u64;

    /// Every instruction's address is a multiple of this many bytes.
    fn alignment(&self) -> u64;

    /// The mode bits ([`Mode`](vm_core::Mode)) that change a translation.
    fn mode_bits(&self) -> u32;

    /// Length of the instruction that begins with `bytes`.
    fn length(&self, bytes: &[u8]) -> Length;

    /// Lifts the instruction `bytes`, whose length is as [`Guest::length`] says, into `cx`, which has begun it.
    /// What no enabled extension describes is [`Flow::Illegal`].
    fn lift(&self, bytes: &[u8], enabled: Extensions, cx: &mut Lift) -> Flow;

    /// Text and length of the instruction at the start of `bytes`, which lies at `pc`.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes end too early or are no instruction.
    fn disassemble(&self, bytes: &[u8], pc: u64, enabled: Extensions) -> Result<(String, usize), DecodeError>;

    /// The rows, for guests that are described by pictures.
    fn table(&self) -> Option<&'static Table>;

    /// All of [`Guest::extensions`].
    fn all_extensions(&self) -> Extensions {
        self.extensions().iter().fold(Extensions::NONE, |set, extension| set.union(extension.set))
    }
}
