//! [`Code`]: one op of tier 0, and [`Cursor`]: a place among those of a block.
//!
//! Registers are brought into range when an op is made and the last op of a block is an end, so that neither the words
//! of the state nor the ops of a block are indexed with a check.

use std::marker::PhantomData;
use std::ptr::NonNull;

use vm_core::{CpuState, SLOT_COUNT, WORD_COUNT};
use vm_ir::{Op, Type};

use super::code::Opcode;

/// A register of tier 0: a word of the state. Guest slots come first, then temporaries.
pub(super) type Reg = u16;

/// First word that holds temporaries.
pub(super) const FIRST_TEMP: Reg = SLOT_COUNT as Reg;
/// Number of words for temporaries; even.
pub(super) const TEMP_COUNT: usize = WORD_COUNT - SLOT_COUNT - 8;
/// Where spilled operands are brought for the op that reads them, two words each; the first takes a spilled result too.
pub(super) const SCRATCH: [Reg; 3] = [WORD_COUNT as Reg - 8, WORD_COUNT as Reg - 6, WORD_COUNT as Reg - 4];
/// Reads as zero while tier 0 runs; 128 bits.
pub(super) const ZERO: Reg = WORD_COUNT as Reg - 2;

/// Brings a register into range.
const MASK: Reg = WORD_COUNT as Reg - 1;
const _: () = assert!(WORD_COUNT.is_power_of_two() && WORD_COUNT <= Reg::MAX as usize);

/// One op of tier 0. Its registers are below [`WORD_COUNT`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Code {
    op: Opcode,
    d: Reg,
    a: Reg,
    b: Reg,
    /// Immediate.
    pub(super) imm: u64,
}

const _: () = assert!(size_of::<Code>() == 16);

impl Code {
    /// `op` with its registers: written, first and second read.
    pub(super) const fn new(op: Opcode, d: Reg, a: Reg, b: Reg, imm: u64) -> Self {
        Self { op, d: d & MASK, a: a & MASK, b: b & MASK, imm }
    }

    /// What is done.
    #[inline(always)]
    pub(super) const fn op(&self) -> Opcode {
        self.op
    }

    /// The same with other things done to the same operands.
    pub(super) const fn set_op(&mut self, op: Opcode) {
        self.op = op;
    }

    /// Number of the register written.
    #[inline(always)]
    pub(super) const fn d(&self) -> Reg {
        self.d
    }

    /// Writes another register instead.
    pub(super) const fn set_d(&mut self, d: Reg) {
        self.d = d & MASK;
    }

    /// Number of the first register read.
    #[inline(always)]
    pub(super) const fn a(&self) -> Reg {
        self.a
    }

    /// Number of the second register read.
    #[inline(always)]
    pub(super) const fn b(&self) -> Reg {
        self.b
    }

    /// The first register read.
    #[inline(always)]
    pub(super) fn get_a(&self, state: &mut CpuState) -> u64 {
        // SAFETY: `new` brought the register below `WORD_COUNT`.
        unsafe { *state.words_mut().get_unchecked(usize::from(self.a)) }
    }

    /// The second register read.
    #[inline(always)]
    pub(super) fn get_b(&self, state: &mut CpuState) -> u64 {
        // SAFETY: `new` brought the register below `WORD_COUNT`.
        unsafe { *state.words_mut().get_unchecked(usize::from(self.b)) }
    }

    /// Writes the register.
    #[inline(always)]
    pub(super) fn put(&self, state: &mut CpuState, value: u64) {
        // SAFETY: `new` and `set_d` brought the register below `WORD_COUNT`.
        unsafe { *state.words_mut().get_unchecked_mut(usize::from(self.d)) = value };
    }
}

/// `words[reg]`; the mask makes every register a valid index.
#[inline(always)]
pub(super) fn word(state: &mut CpuState, reg: Reg) -> &mut u64 {
    &mut state.words_mut()[usize::from(reg & MASK)]
}

/// The 128 bits at `reg`.
#[inline(always)]
pub(super) fn wide(state: &mut CpuState, reg: Reg) -> u128 {
    u128::from(*word(state, reg)) | u128::from(*word(state, reg + 1)) << 64
}

/// Writes the 128 bits at `reg`.
#[inline(always)]
pub(super) fn set_wide(state: &mut CpuState, reg: Reg, value: u128) {
    *word(state, reg) = value as u64;
    *word(state, reg + 1) = (value >> 64) as u64;
}

/// An op of a block that is borrowed for `'a`. The last op of a block is an end.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Cursor<'a> {
    at: NonNull<Code>,
    ops: PhantomData<&'a Code>,
}

impl<'a> Cursor<'a> {
    /// The op at `at`.
    ///
    /// # Safety
    /// It is the first of a number of ops that stay and are not written for `'a`, and of which the last is an end.
    #[inline(always)]
    pub(super) const unsafe fn new(at: NonNull<Code>) -> Self {
        Self { at, ops: PhantomData }
    }

    /// The op.
    #[inline(always)]
    pub(super) const fn code(self) -> &'a Code {
        // SAFETY: a cursor is at an op that stays for `'a`: `new` at the first, `next` at others.
        unsafe { self.at.as_ref() }
    }

    /// The op after this one.
    ///
    /// # Safety
    /// This op is no end.
    #[inline(always)]
    pub(super) const unsafe fn next(self) -> Self {
        // SAFETY: the last op is an end and this one is none, so there is another behind it.
        Self { at: unsafe { self.at.add(1) }, ops: PhantomData }
    }

    /// The op's address, to be compared with others'.
    pub(super) fn addr(self) -> usize {
        self.at.addr().get()
    }
}

/// The immediate of [`Opcode::Generic`]: an op whose fields are looked at when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generic {
    pub(super) op: Op,
    pub(super) ty: Type,
    pub(super) from: Type,
    pub(super) attr: u8,
    /// Third operand.
    pub(super) c: Reg,
}

impl Generic {
    pub(super) const fn pack(self) -> u64 {
        self.c as u64
            | (self.op as u64) << 16
            | (self.ty as u64) << 24
            | (self.from as u64) << 32
            | (self.attr as u64) << 40
    }

    #[inline(always)]
    pub(super) const fn unpack(imm: u64) -> Self {
        Self {
            op: Op::ALL[(imm >> 16) as u8 as usize],
            ty: Type::ALL[(imm >> 24) as u8 as usize & 7],
            from: Type::ALL[(imm >> 32) as u8 as usize & 7],
            attr: (imm >> 40) as u8,
            c: imm as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_ops_unpack_what_was_packed() {
        for &op in Op::ALL {
            let generic = Generic { op, ty: Type::F32, from: Type::I64, attr: 0x9a, c: 511 };
            assert_eq!(Generic::unpack(generic.pack()), generic);
        }
    }
}
