//! Where values are while a block is lowered: in slots, temporaries and the spill area, or nowhere but in an immediate.

use vm_ir::{Block, Inst, Type, Value};

use super::{Lowering, result_type};
use crate::interp::code::Opcode;
use crate::interp::op::{Code, FIRST_TEMP, Reg, SCRATCH, TEMP_COUNT, ZERO};

/// Where a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Loc {
    /// Nowhere: not computed, or nobody reads it.
    #[default]
    Nowhere,
    /// In this word, and the next for 128 bits.
    Reg(Reg),
    /// A known scalar.
    Const(u64),
    /// In this word of the spill area, and the next for 128 bits.
    Spill(u32),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Val {
    pub(super) loc: Loc,
    /// The word holds more than the value's bits.
    pub(super) uncut: bool,
    /// The value is a single, and the word is its box: all ones above.
    pub(super) boxed: bool,
    /// The value is the single that the word, a double, unboxes to.
    pub(super) container: bool,
    /// Readers still to come.
    pub(super) uses: u32,
}

/// The words for temporaries, and how many values are in each.
#[derive(Debug)]
pub(super) struct Temps {
    free: u128,
    readers: [u8; TEMP_COUNT],
}

impl Default for Temps {
    fn default() -> Self {
        Self { free: Self::ALL, readers: [0; TEMP_COUNT] }
    }
}

impl Temps {
    const ALL: u128 = (1 << TEMP_COUNT) - 1;
    /// The even words.
    const PAIRS: u128 = u128::MAX / 3;

    /// Frees all words, whose readers are counted from when one is taken.
    pub(super) fn clear(&mut self) {
        self.free = Self::ALL;
    }

    pub(super) fn take(&mut self, wide: bool) -> Option<Reg> {
        let candidates = if wide { self.free & (self.free >> 1) & Self::PAIRS } else { self.free };
        if candidates == 0 {
            return None;
        }
        let index = candidates.trailing_zeros();
        self.free &= !(Self::bits(wide) << index);
        self.readers[index as usize] = 1;
        Some(FIRST_TEMP + index as Reg)
    }

    const fn bits(wide: bool) -> u128 {
        if wide { 3 } else { 1 }
    }

    pub(super) fn index(reg: Reg) -> Option<usize> {
        let index = usize::from(reg).checked_sub(usize::from(FIRST_TEMP))?;
        (index < TEMP_COUNT).then_some(index)
    }

    /// One more value in the word.
    pub(super) fn share(&mut self, reg: Reg) -> bool {
        let Some(index) = Self::index(reg) else { return true };
        match self.readers[index].checked_add(1) {
            Some(readers) => {
                self.readers[index] = readers;
                true
            }
            None => false,
        }
    }

    pub(super) fn release(&mut self, reg: Reg, wide: bool) {
        let Some(index) = Self::index(reg) else { return };
        self.readers[index] -= 1;
        if self.readers[index] == 0 {
            self.free |= Self::bits(wide) << index;
        }
    }

    /// Whether exactly one value is in the temporary `reg`.
    pub(super) fn is_sole(&self, reg: Reg) -> bool {
        Self::index(reg).is_some_and(|index| self.readers[index] == 1)
    }
}

pub(super) const fn is_wide(ty: Type) -> bool {
    matches!(ty, Type::V128)
}

impl Lowering {
    pub(super) fn emit(&mut self, op: Opcode, d: Reg, a: Reg, b: Reg, imm: u64) {
        self.code.push(Code::new(op, d, a, b, imm));
    }

    pub(super) fn val(&self, value: Value) -> Val {
        self.values[value.index()]
    }

    /// The constant that `value` is, if it is one.
    pub(super) fn constant(&self, value: Value) -> Option<u64> {
        match self.val(value).loc {
            Loc::Const(bits) => Some(bits),
            Loc::Nowhere | Loc::Reg(_) | Loc::Spill(_) => None,
        }
    }

    /// A register that holds `value`, or what it is still to be unboxed from; `place` tells operands apart.
    pub(super) fn raw(&mut self, value: Value, ty: Type, place: usize) -> Reg {
        let scratch = SCRATCH[place];
        match self.val(value).loc {
            Loc::Reg(reg) => reg,
            Loc::Const(0) => ZERO,
            Loc::Const(bits) => {
                self.emit(Opcode::MoveImm, scratch, 0, 0, bits);
                scratch
            }
            Loc::Spill(index) => {
                self.emit(Opcode::SpillLoad, scratch, 0, 0, u64::from(index));
                if is_wide(ty) {
                    self.emit(Opcode::SpillLoad, scratch + 1, 0, 0, u64::from(index) + 1);
                }
                scratch
            }
            Loc::Nowhere => unreachable!("operand {value} has no place"),
        }
    }

    /// A register that holds `value`, perhaps with more bits above its width.
    pub(super) fn read_uncut(&mut self, value: Value, ty: Type, place: usize) -> Reg {
        let reg = self.raw(value, ty, place);
        if !self.val(value).container {
            return reg;
        }
        self.emit(Opcode::UnboxSingle, SCRATCH[place], reg, 0, 0);
        SCRATCH[place]
    }

    /// A register that the single `value` can be unboxed from.
    pub(super) fn read_boxed(&mut self, value: Value, place: usize) -> Reg {
        let reg = self.raw(value, Type::F32, place);
        let val = self.val(value);
        if val.boxed || val.container {
            return reg;
        }
        self.emit(Opcode::BoxSingle, SCRATCH[place], reg, 0, 0); // cuts its operand itself
        SCRATCH[place]
    }

    /// A register that the forms for doubles and boxed singles read `value` from.
    pub(super) fn read_float(&mut self, value: Value, ty: Type, place: usize) -> Reg {
        match ty {
            Type::F32 => self.read_boxed(value, place),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::F16 | Type::F64 | Type::V128 => {
                self.read(value, ty, place)
            }
        }
    }

    /// A register that holds `value` with zeros above its width.
    pub(super) fn read(&mut self, value: Value, ty: Type, place: usize) -> Reg {
        let reg = self.read_uncut(value, ty, place);
        if !self.val(value).uncut {
            return reg;
        }
        self.emit(Opcode::Cut, SCRATCH[place], reg, 0, ty.mask());
        SCRATCH[place]
    }

    /// One reader of `value` is done.
    pub(super) fn release(&mut self, value: Value, ty: Type) {
        let val = &mut self.values[value.index()];
        val.uses -= 1;
        if val.uses == 0
            && let Loc::Reg(reg) = val.loc
        {
            self.temps.release(reg, is_wide(ty));
        }
    }

    pub(super) fn release_all(&mut self, block: &Block, inst: &Inst) {
        let none = block.insts.len(); // as in `count_uses`
        for arg in inst.args {
            let val = &mut self.values[arg.index().min(none)];
            val.uses -= 1;
            // Only what a temporary holds needs to be looked at: most operands are slots.
            if val.uses == 0
                && let Loc::Reg(reg) = val.loc
                && reg >= FIRST_TEMP
            {
                self.temps.release(reg, is_wide(result_type(block, arg)));
            }
        }
    }

    /// Emits `op` with its result in a new place for `value`.
    pub(super) fn define(&mut self, value: Value, ty: Type, op: Opcode, a: Reg, b: Reg, imm: u64) {
        if self.val(value).uses == 0 {
            // Only the effect is wanted.
            self.emit(op, SCRATCH[0], a, b, imm);
            return;
        }
        match self.temps.take(is_wide(ty)) {
            Some(reg) => {
                self.values[value.index()].loc = Loc::Reg(reg);
                self.emit(op, reg, a, b, imm);
            }
            None => {
                let words = if is_wide(ty) { 2 } else { 1 };
                self.values[value.index()].loc = Loc::Spill(self.spills);
                self.emit(op, SCRATCH[0], a, b, imm);
                for word in 0..words {
                    let index = u64::from(self.spills) + u64::from(word);
                    self.emit(Opcode::SpillStore, 0, SCRATCH[0] + word as Reg, 0, index);
                }
                self.spills += words;
            }
        }
    }

    /// Makes `value` another name for what `of` is; `uncut` if the word may hold more than `value`'s bits.
    /// `of` has been read once by that.
    pub(super) fn alias(&mut self, value: Value, of: Value, ty: Type, uncut: bool) {
        let loc = self.val(of).loc;
        if let Loc::Reg(reg) = loc {
            if !self.temps.share(reg) {
                let reg = self.read_uncut(of, ty, 0);
                self.release(of, ty);
                let op = if is_wide(ty) { Opcode::MoveWide } else { Opcode::Move };
                self.define(value, ty, op, reg, 0, 0);
                self.values[value.index()].uncut = uncut;
                return;
            }
            if reg < FIRST_TEMP {
                self.aliases.push((reg, value));
            }
        }
        let val = &mut self.values[value.index()];
        val.loc = loc;
        val.uncut = uncut;
        self.release(of, ty);
    }

    /// Writes a slot: by the op before if it has just computed the value, else by a move.
    pub(super) fn set(&mut self, slot: Reg, value: Value, ty: Type) {
        let val = self.val(value);
        if val.loc == Loc::Reg(slot) && !val.uncut && !val.container {
            self.release(value, ty); // the slot holds it already
            return;
        }
        self.values[value.index()].uses -= 1;
        let displaced = self.displace(slot, is_wide(ty));
        self.values[value.index()].uses += 1;
        if !displaced
            && let Loc::Reg(reg) = val.loc
            && !val.uncut
            && !val.container
            && self.temps.is_sole(reg)
            && let Some(last) = self.code.last_mut()
            && writes_register(last.op())
            && last.d() == reg
        {
            last.set_d(slot);
            self.temps.release(reg, is_wide(ty));
            let val = &mut self.values[value.index()];
            val.loc = Loc::Reg(slot);
            val.uses -= 1;
            if val.uses > 0 {
                self.aliases.push((slot, value));
            }
            return;
        }
        match self.val(value).loc {
            Loc::Const(bits) => self.emit(Opcode::MoveImm, slot, 0, 0, bits),
            Loc::Nowhere | Loc::Reg(_) | Loc::Spill(_) => {
                let reg = self.read(value, ty, 0);
                let op = if is_wide(ty) { Opcode::MoveWide } else { Opcode::Move };
                self.emit(op, slot, reg, 0, 0);
            }
        }
        self.release(value, ty);
    }

    /// Moves what values still name `slot` to a temporary, before the slot is written. True if there were any.
    pub(super) fn displace(&mut self, slot: Reg, wide: bool) -> bool {
        let mut moved: Option<Loc> = None;
        let mut index = 0;
        while index < self.aliases.len() {
            let (of, value) = self.aliases[index];
            if of != slot {
                index += 1;
                continue;
            }
            self.aliases.swap_remove(index);
            let val = self.val(value);
            if val.uses > 0 && val.loc == Loc::Reg(of) {
                let loc = match moved {
                    Some(Loc::Reg(reg)) if !self.temps.share(reg) => self.save(slot, wide),
                    Some(loc) => loc,
                    None => self.save(slot, wide),
                };
                moved = Some(loc);
                self.values[value.index()].loc = loc;
            }
        }
        moved.is_some()
    }

    /// Copies `slot` to a temporary or the spill area.
    pub(super) fn save(&mut self, slot: Reg, wide: bool) -> Loc {
        if let Some(reg) = self.temps.take(wide) {
            self.emit(if wide { Opcode::MoveWide } else { Opcode::Move }, reg, slot, 0, 0);
            return Loc::Reg(reg);
        }
        let index = self.spills;
        let words = if wide { 2 } else { 1 };
        for word in 0..words {
            self.emit(Opcode::SpillStore, 0, slot + word as Reg, 0, u64::from(index + word));
        }
        self.spills += words;
        Loc::Spill(index)
    }
}

/// Whether `d` of an op is a register that the op writes.
const fn writes_register(op: Opcode) -> bool {
    !matches!(
        op,
        Opcode::Store8
            | Opcode::Store16
            | Opcode::Store32
            | Opcode::Store64
            | Opcode::Store128
            | Opcode::Fence
            | Opcode::FpFlagsSet
            | Opcode::SetMode
            | Opcode::SpillStore
            | Opcode::TrapIf
            | Opcode::ExitIf
    )
}
