//! [`Block`]: a straight run of ops for a straight run of guest instructions, and the ways it ends.

use std::fmt;
use std::ops::Range;

use vm_core::{BlockKey, GuestAddr, Slot, TrapKind};

use crate::attr::{self, AttrKind, FenceKind, FpAttr, Order, RmwOp};
use crate::ops::{Op, VectorFamily};
use crate::types::Type;

/// A value: the op at this index of its block gave it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Value(u32);

impl Value {
    /// Fills unused operand places.
    pub const NONE: Self = Self(u32::MAX);

    /// The value of the op at `index`.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Index of the op that gave it.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE { write!(f, "%-") } else { write!(f, "%{}", self.0) }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// One op of a block, 24 bytes. What its fields mean is said by its row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inst {
    /// The op.
    pub op: Op,
    /// `T` of the signature: the result's type, or the type stored.
    pub ty: Type,
    /// `U` of the signature: the operands' type; equal to `ty` where the signature has no `U`.
    pub from: Type,
    /// Packed attribute; read by [`Inst::fp`], [`Inst::order`] and the others.
    pub attr: u8,
    /// Operands, [`Value::NONE`] in unused places.
    pub args: [Value; 3],
    /// Immediate.
    pub imm: i64,
}

impl Inst {
    /// An op with no attribute and no immediate.
    #[must_use]
    pub const fn new(op: Op, ty: Type, from: Type, args: [Value; 3]) -> Self {
        Self { op, ty, from, attr: 0, args, imm: 0 }
    }

    /// The operands in use.
    #[inline]
    #[must_use]
    pub fn operands(&self) -> &[Value] {
        // Counted, not searched for: ops with one operand and with two are mixed as no host foresees.
        let used = self.args.iter().filter(|arg| **arg != Value::NONE).count();
        &self.args[..used]
    }

    /// The op on what `names` holds at the index of each operand; [`Value::NONE`] where that is beyond the last.
    #[inline]
    #[must_use]
    pub fn renamed(self, names: &[Value]) -> Self {
        let name = |arg: Value| *names.get(arg.index()).unwrap_or(&Value::NONE);
        Self { args: self.args.map(name), ..self }
    }

    /// The result's type; `None` for an op without a value.
    #[inline]
    #[must_use]
    pub const fn result(&self) -> Option<Type> {
        match self.op.result() {
            None => None,
            Some(crate::ops::Sig::T) => Some(self.ty),
            Some(crate::ops::Sig::U) => Some(self.from),
            Some(crate::ops::Sig::Is(ty)) => Some(ty),
        }
    }

    /// The slot of a [`Op::Get`] or [`Op::Set`].
    ///
    /// # Panics
    /// If the immediate is not a slot index.
    #[inline]
    #[must_use]
    pub const fn slot(&self) -> Slot {
        Slot::new(self.imm as u16)
    }

    /// Floating-point attributes.
    #[must_use]
    pub const fn fp(&self) -> FpAttr {
        FpAttr::unpack(self.attr, self.op.info().attr)
    }

    /// Whether a comparison raises *invalid* for quiet NaNs too.
    #[must_use]
    pub const fn signaling(&self) -> bool {
        self.attr != 0
    }

    /// Memory order of a load, store, compare-and-swap or read-modify-write.
    #[must_use]
    pub const fn order(&self) -> Order {
        match self.op.info().attr {
            AttrKind::Rmw => attr::unpack_rmw(self.attr).1,
            _ => attr::unpack_order(self.attr),
        }
    }

    /// What a read-modify-write computes.
    #[must_use]
    pub const fn rmw(&self) -> RmwOp {
        attr::unpack_rmw(self.attr).0
    }

    /// What a fence keeps apart.
    #[must_use]
    pub const fn fence(&self) -> FenceKind {
        attr::unpack_fence(self.attr)
    }

    /// What a [`Op::TrapIf`] raises.
    #[must_use]
    pub const fn trap(&self) -> TrapKind {
        TrapKind::ALL[self.attr as usize]
    }

    /// The family of a vector op.
    #[must_use]
    pub const fn family(&self) -> VectorFamily {
        VectorFamily::ALL[self.attr as usize]
    }
}

/// A guest address relative to the block's: blocks of equal bytes are equal wherever they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target(pub i64);

impl Target {
    /// The address that a block at `pc` means.
    #[must_use]
    pub const fn address(self, pc: GuestAddr) -> GuestAddr {
        pc.offset(self.0)
    }
}

/// How a block ends. Closed: interpreter and compiler handle all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Continues at a fixed address.
    Jump {
        /// Where.
        target: Target,
    },
    /// Continues at one of two fixed addresses.
    Branch {
        /// An [`Type::I8`]; not zero takes the branch.
        cond: Value,
        /// Where if taken.
        taken: Target,
        /// Where if not.
        fall: Target,
    },
    /// Calls a function at a fixed address; the return address is already where the guest keeps it.
    /// Without a notion of calls this is [`End::Jump`].
    Call {
        /// The function.
        target: Target,
        /// Where it is expected to return.
        ret: Target,
    },
    /// Continues at a computed address.
    Indirect {
        /// An [`Type::I64`] guest address.
        addr: Value,
    },
    /// Calls a function at a computed address; otherwise as [`End::Indirect`].
    IndirectCall {
        /// An [`Type::I64`] guest address.
        addr: Value,
        /// Where it is expected to return.
        ret: Target,
    },
    /// Returns from a function to a computed address; otherwise as [`End::Indirect`].
    Return {
        /// An [`Type::I64`] guest address.
        addr: Value,
    },
    /// Comes back with [`Exit::Syscall`](vm_core::Exit::Syscall), the program counter at `next`.
    Syscall {
        /// The instruction after.
        next: Target,
    },
    /// Comes back with a trap.
    Trap {
        /// What was wrong.
        kind: TrapKind,
        /// The instruction that trapped.
        at: Target,
        /// The address concerned (see [`Trap::Instruction`](vm_core::Trap::Instruction)).
        addr: Target,
    },
    /// Guest code may have changed: translations are checked against memory before they run again.
    FlushCode {
        /// Where to continue.
        next: Target,
    },
    /// The mode word may have changed: continues under whatever it holds now.
    ModeChange {
        /// Where to continue.
        next: Target,
    },
}

impl End {
    /// The value the end reads, if any.
    #[must_use]
    pub const fn operand(&self) -> Option<Value> {
        match *self {
            Self::Branch { cond, .. } => Some(cond),
            Self::Indirect { addr } | Self::IndirectCall { addr, .. } | Self::Return { addr } => Some(addr),
            Self::Jump { .. }
            | Self::Call { .. }
            | Self::Syscall { .. }
            | Self::Trap { .. }
            | Self::FlushCode { .. }
            | Self::ModeChange { .. } => None,
        }
    }

    /// The value the end reads, to be renamed.
    pub const fn operand_mut(&mut self) -> Option<&mut Value> {
        match self {
            Self::Branch { cond, .. } => Some(cond),
            Self::Indirect { addr } | Self::IndirectCall { addr, .. } | Self::Return { addr } => Some(addr),
            Self::Jump { .. }
            | Self::Call { .. }
            | Self::Syscall { .. }
            | Self::Trap { .. }
            | Self::FlushCode { .. }
            | Self::ModeChange { .. } => None,
        }
    }
}

/// Where in a block a guest instruction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Index of the instruction's first op.
    pub first: u32,
    /// Bytes from the block's address to the instruction.
    pub offset: u16,
    /// Length of the instruction in bytes.
    pub len: u8,
}

/// A translated block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Address and mode it was translated for.
    pub key: BlockKey,
    /// The guest bytes that made it.
    pub bytes: Vec<u8>,
    /// Its ops; the index of an op is the name of its value.
    pub insts: Vec<Inst>,
    /// The guest instructions in order, at least one; an instruction without ops shares `first` with the next.
    pub marks: Vec<Mark>,
    /// How it ends.
    pub end: End,
}

impl Block {
    /// A block of nothing, that ends in a trap: room for another.
    #[must_use]
    pub fn empty() -> Self {
        let end = End::Trap { kind: TrapKind::Illegal, at: Target(0), addr: Target(0) };
        Self { key: BlockKey::default(), bytes: Vec::new(), insts: Vec::new(), marks: Vec::new(), end }
    }

    /// Number of guest instructions.
    #[must_use]
    pub fn guest_len(&self) -> usize {
        self.marks.len()
    }

    /// The guest instructions in order, each with the indices of its ops.
    pub fn instructions(&self) -> impl Iterator<Item = (Mark, Range<usize>)> {
        let behind = self.marks.iter().skip(1).map(|mark| mark.first).chain([self.insts.len() as u32]);
        self.marks.iter().zip(behind).map(|(mark, behind)| (*mark, mark.first as usize..behind as usize))
    }

    /// The guest instruction that the op at `index` belongs to; the last one for the index after the last op.
    ///
    /// # Panics
    /// If the block has no mark.
    #[must_use]
    pub fn mark_of(&self, index: usize) -> Mark {
        let after = self.marks.partition_point(|mark| mark.first as usize <= index);
        self.marks[after.max(1) - 1]
    }

    /// Address of the guest instruction that the op at `index` belongs to.
    ///
    /// # Panics
    /// If the block has no mark.
    #[must_use]
    pub fn pc_of(&self, index: usize) -> GuestAddr {
        self.key.pc.offset(i64::from(self.mark_of(index).offset))
    }

    /// The op that gave `value`.
    ///
    /// # Panics
    /// If `value` is not of this block.
    #[inline]
    #[must_use]
    pub fn def(&self, value: Value) -> &Inst {
        &self.insts[value.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_is_24_bytes() {
        assert_eq!(size_of::<Inst>(), 24);
    }
}
