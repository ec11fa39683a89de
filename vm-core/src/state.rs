//! [`CpuState`]: one guest processor's registers as flat slots, in one layout for every guest.

use std::fmt;

use crate::{BlockKey, GuestAddr, Mode};

/// Number of 8-byte slots that a guest can name. Room for 32 integer, 32 wide vector and all control registers.
pub const SLOT_COUNT: usize = 384;

/// Number of 8-byte words in a [`CpuState`]: the slots, then scratch words that an engine may use while it runs.
/// A power of two, so that an index is brought into range by a mask.
pub const WORD_COUNT: usize = 512;

/// A place in the slots of a [`CpuState`], counted in 8-byte words from its start.
///
/// A 128-bit slot takes two words and starts at an even index. Slots never overlap: a guest register that can be
/// written in part is one slot, and a partial write is an insert.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Slot(u16);

impl Slot {
    /// The slot that starts at word `index`.
    ///
    /// # Panics
    /// If `index` is not below [`SLOT_COUNT`].
    #[inline]
    #[must_use]
    pub const fn new(index: u16) -> Self {
        assert!((index as usize) < SLOT_COUNT, "slot index out of range");
        Self(index)
    }

    /// Index of the slot's first word.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// One guest processor's state.
///
/// The layout is fixed (`repr(C)`, 16-byte aligned), because generated code addresses it by offset:
/// `pc` at [`CpuState::PC_OFFSET`], `mode` at [`CpuState::MODE_OFFSET`], the sticky floating-point flags at
/// [`CpuState::FP_FLAGS_OFFSET`], slot `n` at [`CpuState::slot_offset`].
///
/// Two states are equal if everything but their scratch words is.
#[derive(Clone)]
#[repr(C, align(16))]
pub struct CpuState {
    pc: u64,
    mode: u64,
    fp_flags: u64,
    reserved: u64,
    words: [u64; WORD_COUNT],
}

impl CpuState {
    /// Byte offset of the program counter.
    pub const PC_OFFSET: usize = std::mem::offset_of!(Self, pc);
    /// Byte offset of the mode word.
    pub const MODE_OFFSET: usize = std::mem::offset_of!(Self, mode);
    /// Byte offset of the sticky floating-point flags.
    pub const FP_FLAGS_OFFSET: usize = std::mem::offset_of!(Self, fp_flags);
    /// Byte offset of slot 0.
    pub const SLOTS_OFFSET: usize = std::mem::offset_of!(Self, words);

    /// A state of zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self { pc: 0, mode: 0, fp_flags: 0, reserved: 0, words: [0; WORD_COUNT] }
    }

    /// Byte offset of `slot` from the start of the state.
    #[inline]
    #[must_use]
    pub const fn slot_offset(slot: Slot) -> usize {
        Self::SLOTS_OFFSET + slot.index() * 8
    }

    /// Address of the next instruction.
    #[inline]
    #[must_use]
    pub const fn pc(&self) -> GuestAddr {
        GuestAddr::new(self.pc)
    }

    /// Continues at `pc`.
    #[inline]
    pub const fn set_pc(&mut self, pc: GuestAddr) {
        self.pc = pc.get();
    }

    /// Mode bits that select the translation (see [`BlockKey`]).
    #[inline]
    #[must_use]
    pub const fn mode(&self) -> Mode {
        Mode::new(self.mode as u32)
    }

    /// Changes the mode bits.
    #[inline]
    pub const fn set_mode(&mut self, mode: Mode) {
        self.mode = mode.bits() as u64;
    }

    /// The block that runs next.
    #[inline]
    #[must_use]
    pub const fn key(&self) -> BlockKey {
        BlockKey::new(self.pc(), self.mode())
    }

    /// Sticky IEEE 754 exception flags raised so far: bit 0 inexact, 1 underflow, 2 overflow, 3 division by zero,
    /// 4 invalid operation. While a processor runs, the host's own status may hold more.
    #[inline]
    #[must_use]
    pub const fn fp_flags(&self) -> u64 {
        self.fp_flags
    }

    /// Replaces the sticky flags; bits above 4 are dropped.
    #[inline]
    pub const fn set_fp_flags(&mut self, flags: u64) {
        self.fp_flags = flags & 0x1f;
    }

    /// The 64-bit value in `slot`.
    #[inline]
    #[must_use]
    pub const fn get(&self, slot: Slot) -> u64 {
        self.words[slot.index()]
    }

    /// Writes a 64-bit value to `slot`.
    #[inline]
    pub const fn set(&mut self, slot: Slot, value: u64) {
        self.words[slot.index()] = value;
    }

    /// The 128-bit value in `slot` and the word after it, low half first.
    ///
    /// # Panics
    /// If `slot` is the last word.
    #[inline]
    #[must_use]
    pub const fn get128(&self, slot: Slot) -> u128 {
        self.words[slot.index()] as u128 | (self.words[slot.index() + 1] as u128) << 64
    }

    /// Writes a 128-bit value to `slot` and the word after it.
    ///
    /// # Panics
    /// If `slot` is the last word.
    #[inline]
    pub const fn set128(&mut self, slot: Slot, value: u128) {
        self.words[slot.index()] = value as u64;
        self.words[slot.index() + 1] = (value >> 64) as u64;
    }

    /// The guest's slots in order.
    #[must_use]
    pub fn slots(&self) -> &[u64] {
        &self.words[..SLOT_COUNT]
    }

    /// Slots and scratch words, for an interpreter that addresses them by index.
    #[inline]
    pub const fn words_mut(&mut self) -> &mut [u64; WORD_COUNT] {
        &mut self.words
    }
}

impl PartialEq for CpuState {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.fp_flags == other.fp_flags && self.slots() == other.slots()
    }
}

impl Eq for CpuState {}

impl Default for CpuState {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("CpuState");
        out.field("key", &self.key()).field("fp_flags", &self.fp_flags);
        for (index, value) in self.slots().iter().enumerate().filter(|(_, value)| **value != 0) {
            out.field(&format!("s{index}"), &format_args!("{value:#x}"));
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_slots_are_two_words() {
        let mut state = CpuState::new();
        state.set128(Slot::new(4), 0x1111_2222_3333_4444_5555_6666_7777_8888);
        assert_eq!(state.get(Slot::new(4)), 0x5555_6666_7777_8888);
        assert_eq!(state.get(Slot::new(5)), 0x1111_2222_3333_4444);
    }

    #[test]
    fn slots_are_aligned_for_vectors() {
        assert_eq!(CpuState::slot_offset(Slot::new(0)) % 16, 0);
        assert_eq!(align_of::<CpuState>(), 16);
    }
}
