//! [`verify`]: whether a block obeys the table of ops.
//!
//! Passes and lifters are held to it in tests and debug builds. What it accepts, every consumer may rely on: operands
//! are defined before they are used and have the types of their op's signature, attributes and immediates can be
//! unpacked, and each guest instruction has a mark.

use std::fmt;

use vm_core::{BlockKey, SLOT_COUNT, Slot};

use crate::attr::{self, AttrKind};
use crate::block::{Block, End, Inst, Value};
use crate::helper::Helper;
use crate::ops::{ImmKind, Op, Sig};
use crate::source::SlotInfo;
use crate::types::Type;

/// Where a block breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The op at `index`.
    Op {
        /// Its index.
        index: usize,
        /// The op.
        op: Op,
    },
    /// The mark at this index.
    Mark(usize),
    /// The block's end.
    End,
    /// The block as a whole.
    Block,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Op { index, op } => write!(f, "op {index} ({})", op.name()),
            Self::Mark(index) => write!(f, "mark {index}"),
            Self::End => write!(f, "end"),
            Self::Block => write!(f, "whole block"),
        }
    }
}

/// Which rule a block breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// More or fewer operands than the signature or the helper declares, or a gap between them.
    #[error("wants {wanted} operands")]
    OperandCount {
        /// Declared number.
        wanted: usize,
    },
    /// An operand is not defined before the op.
    #[error("operand {operand} is not defined before it")]
    Undefined {
        /// The operand.
        operand: Value,
    },
    /// An operand names an op that gives no value.
    #[error("operand {operand} names an op without a value")]
    NoValue {
        /// The operand.
        operand: Value,
    },
    /// An operand has another type than the signature says.
    #[error("operand {operand} is {found}, wants {wanted}")]
    OperandType {
        /// The operand.
        operand: Value,
        /// Its type.
        found: Type,
        /// The signature's.
        wanted: Type,
    },
    /// `T` is not among the op's types.
    #[error("type {0} is not permitted")]
    ForbiddenType(Type),
    /// `U` is not among the op's operand types, or differs from `T` where the signature has no `U`.
    #[error("operand type {0} is not permitted")]
    ForbiddenFrom(Type),
    /// A conversion whose types have the wrong widths for it.
    #[error("cannot go from {from} to {to}")]
    Widths {
        /// Operand type.
        from: Type,
        /// Result type.
        to: Type,
    },
    /// The immediate is not what the op holds there: not zero, too wide for the constant's type, or no slot.
    #[error("immediate {0:#x} is out of range")]
    Immediate(i64),
    /// The attribute byte names nothing.
    #[error("attribute {0:#x} is out of range")]
    Attribute(u8),
    /// The guest declares no such slot.
    #[error("slot {0} is not declared")]
    UndeclaredSlot(Slot),
    /// A slot is used with another type than its guest declares, or than an earlier op of the block used.
    #[error("slot {slot} is {declared}, used as {found}")]
    SlotType {
        /// The slot.
        slot: Slot,
        /// The type declared or used earlier.
        declared: Type,
        /// The type used here.
        found: Type,
    },
    /// A 128-bit slot that starts at an odd word, where it would overlap its neighbours.
    #[error("slot {0} starts at an odd word")]
    MisplacedSlot(Slot),
    /// No helper has this index.
    #[error("helper {0} does not exist")]
    UnknownHelper(i64),
    /// A vector op whose arithmetic [`eval`](crate::eval) does not define.
    #[error("vector arithmetic is not defined")]
    UndefinedVector,
    /// The mode word is written, but the block goes on in the mode it was translated for.
    #[error("the block does not end in a mode change")]
    ModeKept,
    /// The block has no mark, so no op has a guest address.
    #[error("no guest instruction is marked")]
    NoMarks,
    /// The first mark leaves ops before it without a guest address.
    #[error("ops before the first mark")]
    LateMark,
    /// A mark's first op or offset is not in order.
    #[error("marks are out of order")]
    MarkOrder,
    /// A mark's first op lies behind the last op.
    #[error("op {0} does not exist")]
    MarkRange(u32),
}

/// A broken rule: which block, where and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {key}: {place}: {reason}")]
pub struct VerifyError {
    /// The block.
    pub key: BlockKey,
    /// Where in it.
    pub place: Place,
    /// The rule.
    #[source]
    pub reason: Reason,
}

/// Checks `block` against the table of ops, the guest's `slots` and its `helpers`.
///
/// Without a table of slots, each slot must be used with one type throughout the block.
///
/// # Errors
/// [`VerifyError`] for the first broken rule.
pub fn verify(block: &Block, slots: Option<&[SlotInfo]>, helpers: &[Helper]) -> Result<(), VerifyError> {
    let fail = |place, reason| VerifyError { key: block.key, place, reason };
    check_marks(block).map_err(|(place, reason)| fail(place, reason))?;
    let mut seen = SlotTypes::new(slots);
    for (index, inst) in block.insts.iter().enumerate() {
        check_inst(block, index, helpers, &mut seen)
            .map_err(|reason| fail(Place::Op { index, op: inst.op }, reason))?;
    }
    let wanted = match block.end {
        End::Branch { .. } => Type::I8,
        End::Jump { .. }
        | End::Call { .. }
        | End::Indirect { .. }
        | End::IndirectCall { .. }
        | End::Return { .. }
        | End::Syscall { .. }
        | End::Trap { .. }
        | End::FlushCode { .. }
        | End::ModeChange { .. } => Type::I64,
    };
    match block.end.operand() {
        Some(operand) => check_operand(block, block.insts.len(), operand, wanted).map_err(|r| fail(Place::End, r)),
        None => Ok(()),
    }
}

fn check_marks(block: &Block) -> Result<(), (Place, Reason)> {
    match block.marks.first() {
        None => return Err((Place::Block, Reason::NoMarks)),
        Some(mark) if mark.first != 0 => return Err((Place::Mark(0), Reason::LateMark)),
        Some(_) => {}
    }
    for (index, pair) in block.marks.windows(2).enumerate() {
        if pair[1].first < pair[0].first || pair[1].offset <= pair[0].offset {
            return Err((Place::Mark(index + 1), Reason::MarkOrder));
        }
    }
    match block.marks.iter().position(|mark| mark.first as usize > block.insts.len()) {
        Some(index) => Err((Place::Mark(index), Reason::MarkRange(block.marks[index].first))),
        None => Ok(()),
    }
}

/// Whether the op may have its types, and has a meaning.
#[cfg(feature = "testing")]
pub(crate) fn permits(inst: &Inst) -> bool {
    check_types(inst).and_then(|()| check_vector(inst)).is_ok()
}

fn check_inst(block: &Block, index: usize, helpers: &[Helper], seen: &mut SlotTypes<'_>) -> Result<(), Reason> {
    let inst = &block.insts[index];
    let info = inst.op.info();
    check_types(inst)?;
    if !attr::is_valid(info.attr, inst.attr) {
        return Err(Reason::Attribute(inst.attr));
    }
    check_vector(inst)?;
    if !immediate_fits(inst) {
        return Err(Reason::Immediate(inst.imm));
    }
    let wanted = if info.imm == ImmKind::Helper {
        let helper = usize::try_from(inst.imm).ok().and_then(|helper| helpers.get(helper));
        helper.ok_or(Reason::UnknownHelper(inst.imm))?.args
    } else {
        info.args.len()
    };
    let operands = inst.operands();
    if operands.len() != wanted || inst.args[wanted..].iter().any(|arg| *arg != Value::NONE) {
        return Err(Reason::OperandCount { wanted });
    }
    for (operand, sig) in operands.iter().zip(info.args) {
        let wanted = match sig {
            Sig::T => inst.ty,
            Sig::U => inst.from,
            Sig::Is(ty) => *ty,
        };
        check_operand(block, index, *operand, wanted)?;
    }
    if info.imm == ImmKind::Slot {
        seen.check(inst.slot(), inst.ty)?;
    }
    if inst.op == Op::SetMode && !matches!(block.end, End::ModeChange { .. }) {
        return Err(Reason::ModeKept);
    }
    Ok(())
}

fn check_operand(block: &Block, before: usize, operand: Value, wanted: Type) -> Result<(), Reason> {
    if operand.index() >= before {
        return Err(Reason::Undefined { operand });
    }
    match block.def(operand).result() {
        None => Err(Reason::NoValue { operand }),
        Some(found) if found != wanted => Err(Reason::OperandType { operand, found, wanted }),
        Some(_) => Ok(()),
    }
}

/// An op without `T` in its signature holds [`Type::I64`] there, one without `U` its `T`: equal ops are equal values.
fn check_types(inst: &Inst) -> Result<(), Reason> {
    let info = inst.op.info();
    let permitted = if info.types.is_empty() { inst.ty == Type::I64 } else { info.types.contains(&inst.ty) };
    if !permitted {
        return Err(Reason::ForbiddenType(inst.ty));
    }
    let permitted = if info.from.is_empty() { inst.from == inst.ty } else { info.from.contains(&inst.from) };
    if !permitted {
        return Err(Reason::ForbiddenFrom(inst.from));
    }
    let (from, to) = (inst.from, inst.ty);
    let fits = if matches!(inst.op, Op::SignExtend | Op::ZeroExtend) {
        from.bits() < to.bits()
    } else if inst.op == Op::Truncate {
        from.bits() > to.bits()
    } else {
        inst.op != Op::Bitcast || from.bits() == to.bits() && from != to
    };
    if fits { Ok(()) } else { Err(Reason::Widths { from, to }) }
}

fn check_vector(inst: &Inst) -> Result<(), Reason> {
    let lanes = inst.op.info().attr == AttrKind::Vector && !inst.family().is_defined();
    // These three have no family, and no meaning in `eval` either.
    let moves = inst.op.info().imm == ImmKind::Lane && inst.op.info().attr == AttrKind::None;
    if lanes || moves || inst.op == Op::VSplat { Err(Reason::UndefinedVector) } else { Ok(()) }
}

fn immediate_fits(inst: &Inst) -> bool {
    match inst.op.info().imm {
        ImmKind::None => inst.imm == 0,
        ImmKind::Bits => inst.imm as u64 & !inst.ty.mask() == 0,
        ImmKind::Slot => (0..SLOT_COUNT as i64).contains(&inst.imm),
        ImmKind::Lane => (0..16).contains(&inst.imm),
        ImmKind::PcOffset | ImmKind::Displacement | ImmKind::Helper => true,
    }
}

/// The type that each slot must be used with.
struct SlotTypes<'a> {
    declared: Option<&'a [SlotInfo]>,
    used: Vec<(Slot, Type)>,
}

impl<'a> SlotTypes<'a> {
    fn new(declared: Option<&'a [SlotInfo]>) -> Self {
        Self { declared, used: Vec::new() }
    }

    fn check(&mut self, slot: Slot, found: Type) -> Result<(), Reason> {
        if found == Type::V128 && (!slot.index().is_multiple_of(2) || slot.index() + 1 == SLOT_COUNT) {
            return Err(Reason::MisplacedSlot(slot));
        }
        let declared = match self.declared {
            Some(slots) => slots.iter().find(|info| info.slot == slot).ok_or(Reason::UndeclaredSlot(slot))?.ty,
            None => match self.used.iter().find(|(used, _)| *used == slot) {
                Some((_, ty)) => *ty,
                None => {
                    self.used.push((slot, found));
                    found
                }
            },
        };
        if declared == found { Ok(()) } else { Err(Reason::SlotType { slot, declared, found }) }
    }
}
