//! [`Lift`]: what a lifter works in, and [`Flow`]: what it says about what follows.

use vm_core::{BlockKey, Mode, TrapKind};
use vm_ir::{Block, End, IrBuilder, Target};

use crate::pattern::Fields;

/// Gives an instruction its meaning: reads the fields, emits ops, says what follows.
pub type Lifter = fn(&mut Lift, Fields) -> Flow;

/// What follows an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next instruction.
    Next,
    /// The block ends.
    End(End),
    /// The encoding is reserved or refused: the block ends in an illegal-instruction trap. The lifter has emitted
    /// nothing that changes the state.
    Illegal,
}

/// The context of a lifter: the builder, and where the instruction lies.
#[derive(Debug)]
pub struct Lift {
    /// Receives the ops.
    pub ir: IrBuilder,
    offset: u16,
    len: u8,
}

impl Lift {
    /// A context for the block at `key`, before its first instruction.
    #[must_use]
    pub fn new(key: BlockKey) -> Self {
        Self { ir: IrBuilder::new(key), offset: 0, len: 0 }
    }

    /// The same in the memory of `old`.
    #[must_use]
    pub fn reusing(old: Block, key: BlockKey) -> Self {
        Self { ir: IrBuilder::reusing(old, key), offset: 0, len: 0 }
    }

    /// Begins the `len`-byte instruction at `offset` bytes into the block.
    pub fn begin(&mut self, offset: u16, len: u8) {
        self.offset = offset;
        self.len = len;
        self.ir.mark(offset, len);
    }

    /// Mode bits at entry to the block; an instruction that changes them ends it.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.ir.key().mode
    }

    /// The instruction's own address.
    #[must_use]
    pub const fn here(&self) -> Target {
        Target(self.offset as i64)
    }

    /// The address after the instruction.
    #[must_use]
    pub const fn next(&self) -> Target {
        Target(self.offset as i64 + self.len as i64)
    }

    /// The address `bytes` from the instruction's own.
    #[must_use]
    pub const fn relative(&self, bytes: i64) -> Target {
        Target((self.offset as i64).wrapping_add(bytes))
    }

    /// A trap of this instruction, concerning its own address.
    #[must_use]
    pub const fn trap(&self, kind: TrapKind) -> End {
        End::Trap { kind, at: self.here(), addr: self.here() }
    }

    /// The finished block, made from `bytes`.
    #[must_use]
    pub fn finish(self, end: End, bytes: Vec<u8>) -> Block {
        self.ir.finish_owning(end, bytes)
    }
}
