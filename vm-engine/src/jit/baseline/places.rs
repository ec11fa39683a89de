//! Where the values of a block are: in registers, in the guest's state, in the frame's spill words, or constants.
//!
//! Values live within a block. Guest slots are always in the state between blocks and at every access of memory, so
//! that a fault shows all of them; what registers hold of them beyond that are their [residents](Residents).

use vm_core::{CpuState, Slot};
use vm_ir::{Block, Effect, End, Inst, Op, Type, Value};

use super::asm::{Asm, Gpr, R8, RAX, RCX, RDI, RDX, RSI, Rm, Width, Xmm};
use super::residents::Residents;
use crate::jit::abi::offset;

/// The register that holds the frame's anchor.
pub(super) const FRAME: Gpr = 15;
/// An integer register that never holds a value: shifts and addresses of tables use it.
pub(super) const SCRATCH: Gpr = RCX;
/// Spill words for values; those after them are for registers that a call out of line keeps.
pub(super) const VALUE_WORDS: usize = 40;

/// Registers that hold values: what the convention lets a region change.
const GPRS: [Gpr; 8] = [RAX, RSI, RDI, R8, 9, 10, 11, RDX];
const XMMS: u8 = 16;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: not computed yet, or not needed any more.
    Nowhere,
    /// A constant.
    Imm(i64),
    /// An integer register; bits above the type's width are anything.
    Gpr(Gpr),
    /// A vector register; bits above the type's width are anything.
    Xmm(Xmm),
    /// A spill word of the frame.
    Spill(u8),
    /// The state, at this offset from the frame: the value of a slot that has not been written since.
    State(i32),
}

/// What the instructions after it do with a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    /// The last instruction that needs it; the number of instructions for the block's end.
    pub(super) last: u32,
    /// How often it is an operand.
    pub(super) count: u32,
    /// Where it is an operand, if that is in one place.
    pub(super) user: u32,
    /// A comparison that is made where its result is used.
    pub(super) fused: bool,
}

/// The places of a block's values.
#[derive(Default)]
pub(super) struct Places {
    places: Vec<Place>,
    types: Vec<Type>,
    pub(super) uses: Vec<Use>,
    /// Offset in the state that holds the value too.
    homes: Vec<(i32, Value)>,
    gprs: [Option<Value>; 16],
    /// What registers hold of the state, with a value of the block or without.
    pub(super) residents: Residents,
    /// The integer register that was taken last, by its place among all.
    last_taken: usize,
    xmms: [Option<Value>; 16],
    /// A vector register may hold a value.
    has_xmms: bool,
    /// Registers that the current instruction works on.
    locked: u16,
    locked_xmms: u16,
    spilled: u64,
    /// More values were alive at once than there are places: the code is not to be used.
    pub(super) overflowed: bool,
    /// The current instruction.
    at: u32,
}

impl Places {
    /// Begins a region.
    pub(super) fn begin_region(&mut self) {
        self.overflowed = false;
        self.last_taken = 0;
    }

    /// Begins a block, with this in registers.
    pub(super) fn begin(&mut self, block: &Block, residents: Residents) {
        let count = block.insts.len();
        self.places.clear();
        self.places.resize(count, Place::Nowhere);
        self.types.clear();
        self.types.extend(block.insts.iter().map(|inst| inst.result().unwrap_or(Type::I64)));
        self.homes.clear();
        self.gprs = [None; 16];
        self.residents = residents;
        self.xmms = [None; 16];
        self.has_xmms = false;
        self.spilled = 0;
        self.next(0);
        self.scan(block);
    }

    /// Finds the uses of every value, the last instruction first, so that a comparison that is made later keeps its
    /// operands until then.
    fn scan(&mut self, block: &Block) {
        let count = block.insts.len() as u32;
        self.uses.clear();
        self.uses.resize(block.insts.len(), Use::default());
        let note = |uses: &mut [Use], value: Value, user: u32, until: u32| {
            let found = &mut uses[value.index()];
            found.count += 1;
            found.user = user;
            found.last = found.last.max(until);
        };
        if let Some(value) = block.end.operand() {
            note(&mut self.uses, value, count, count);
        }
        for (at, inst) in block.insts.iter().enumerate().rev() {
            let at = at as u32;
            let own = self.uses[at as usize];
            let fused = own.count == 1 && is_comparison(inst) && takes_condition(block, own.user, at);
            let until = if fused { own.last } else { at };
            self.uses[at as usize].fused = fused;
            self.uses[at as usize].last = own.last.max(at);
            if own.count == 0 && inst.op.effect() == Effect::Pure {
                continue; // never computed
            }
            for arg in inst.operands() {
                note(&mut self.uses, *arg, at, until);
            }
        }
    }

    /// Goes on to the instruction at `at`: what only earlier ones needed is dropped.
    pub(super) fn next(&mut self, at: u32) {
        self.at = at;
        self.locked = 0;
        self.locked_xmms = 0;
        let dead = |value: &Value| self.uses[value.index()].last < at;
        for register in &GPRS {
            if let Some(value) = self.gprs[usize::from(*register)].filter(dead) {
                self.gprs[usize::from(*register)] = None;
                self.places[value.index()] = Place::Nowhere;
            }
        }
        // Most code has no floating point.
        if self.has_xmms {
            self.has_xmms = false;
            for owner in &mut self.xmms {
                if let Some(value) = owner.filter(dead) {
                    *owner = None;
                    self.places[value.index()] = Place::Nowhere;
                }
                self.has_xmms |= owner.is_some();
            }
        }
        if self.spilled != 0 {
            for (value, place) in self.places.iter_mut().enumerate() {
                if let Place::Spill(word) = *place
                    && self.uses[value].last < at
                {
                    self.spilled &= !(1 << word);
                    *place = Place::Nowhere;
                }
            }
        }
    }

    /// Where `value` is.
    pub(super) fn place(&self, value: Value) -> Place {
        self.places[value.index()]
    }

    /// The type of `value`.
    pub(super) fn ty(&self, value: Value) -> Type {
        self.types[value.index()]
    }

    /// Whether nothing after the current instruction needs `value`.
    fn dies(&self, value: Value) -> bool {
        self.uses[value.index()].last <= self.at
    }

    /// Says where a value is without a register of its own.
    pub(super) fn put(&mut self, value: Value, place: Place) {
        self.places[value.index()] = place;
        if let Place::State(home) = place {
            self.homes.push((home, value));
        }
    }

    /// Gives `value` the register, which holds it.
    pub(super) fn bind(&mut self, value: Value, register: Gpr) {
        self.gprs[register as usize] = Some(value);
        self.places[value.index()] = Place::Gpr(register);
    }

    /// Gives `value` the vector register, which holds it.
    pub(super) fn bind_xmm(&mut self, value: Value, register: Xmm) {
        self.xmms[register as usize] = Some(value);
        self.has_xmms = true;
        self.places[value.index()] = Place::Xmm(register);
    }

    fn home(&self, value: Value) -> Option<i32> {
        self.homes.iter().find(|(_, other)| *other == value).map(|(home, _)| *home)
    }

    /// A free integer register, locked for the current instruction.
    pub(super) fn gpr(&mut self, asm: &mut Asm) -> Gpr {
        let usable = |register: &Gpr| self.locked >> register & 1 == 0;
        // Those that hold nothing of the state first, and in turn, so that what was put there last stays longest.
        let in_turn = (1..=GPRS.len()).map(|turn| (self.last_taken + turn) % GPRS.len());
        let free = in_turn.filter(|place| usable(&GPRS[*place]) && self.gprs[GPRS[*place] as usize].is_none());
        let free = free.min_by_key(|place| self.residents.holds(GPRS[*place]));
        self.last_taken = free.unwrap_or(self.last_taken);
        let register = free.map(|place| GPRS[place]).unwrap_or_else(|| {
            // Whatever is needed last makes room.
            let last = |register: &Gpr| self.gprs[*register as usize].map(|value| self.uses[value.index()].last);
            GPRS.into_iter().filter(usable).max_by_key(last).expect("an instruction needs few registers")
        });
        self.evict(asm, register);
        self.residents.forget(register);
        self.locked |= 1 << register;
        register
    }

    /// This integer register, free and locked; what it held goes elsewhere.
    pub(super) fn claim(&mut self, asm: &mut Asm, register: Gpr) {
        if let Some(value) = self.gprs[register as usize] {
            let free = GPRS.into_iter().find(|other| {
                self.locked >> other & 1 == 0 && *other != register && self.gprs[*other as usize].is_none()
            });
            if let Some(other) = free {
                asm.mov(Width::W64, other, Rm::Reg(register));
                self.residents.forget(other);
                self.gprs[register as usize] = None;
                self.bind(value, other);
            } else {
                self.evict(asm, register);
            }
        }
        self.residents.forget(register);
        self.locked |= 1 << register;
    }

    /// A free vector register, locked for the current instruction.
    pub(super) fn xmm(&mut self, asm: &mut Asm) -> Xmm {
        let usable = |register: &Xmm| self.locked_xmms >> register & 1 == 0;
        let free = (0..XMMS).filter(usable).find(|register| self.xmms[*register as usize].is_none());
        let register = free.unwrap_or_else(|| {
            let last = |register: &Xmm| self.xmms[*register as usize].map(|value| self.uses[value.index()].last);
            (0..XMMS).filter(usable).max_by_key(last).expect("an instruction needs few registers")
        });
        self.evict_xmm(asm, register);
        self.locked_xmms |= 1 << register;
        register
    }

    /// Puts what an integer register holds into memory.
    fn evict(&mut self, asm: &mut Asm, register: Gpr) {
        let Some(value) = self.gprs[register as usize].take() else { return };
        self.places[value.index()] = match self.home(value) {
            Some(home) => Place::State(home),
            None => {
                let (word, place) = self.spill_word();
                asm.store(8, place, register);
                Place::Spill(word)
            }
        };
    }

    fn evict_xmm(&mut self, asm: &mut Asm, register: Xmm) {
        let Some(value) = self.xmms[register as usize].take() else { return };
        self.places[value.index()] = match self.home(value) {
            Some(home) => Place::State(home),
            None => {
                let (word, place) = self.spill_word();
                asm.store_float(true, place, register);
                Place::Spill(word)
            }
        };
    }

    fn spill_word(&mut self) -> (u8, Rm) {
        let mut word = (!self.spilled).trailing_zeros() as u8;
        if usize::from(word) >= VALUE_WORDS {
            self.overflowed = true;
            word = 0;
        }
        self.spilled |= 1 << word;
        (word, spill(word))
    }

    /// Puts every value that is in a register and needed later into memory, for a call.
    pub(super) fn save_all(&mut self, asm: &mut Asm) {
        for register in GPRS {
            self.evict(asm, register);
            self.residents.forget(register);
        }
        for register in 0..XMMS {
            self.evict_xmm(asm, register);
        }
    }

    /// Registers that hold values now. What others hold is not counted on any more.
    pub(super) fn held(&mut self) -> (Vec<Gpr>, Vec<Xmm>) {
        for register in GPRS {
            if self.gprs[register as usize].is_none() {
                self.residents.forget(register);
            }
        }
        let gprs = GPRS.into_iter().filter(|register| self.gprs[*register as usize].is_some());
        let xmms = (0..XMMS).filter(|register| self.xmms[*register as usize].is_some());
        (gprs.collect(), xmms.collect())
    }

    /// Copies values that are only in the state at `home`, which is about to change, to registers.
    pub(super) fn leave_home(&mut self, asm: &mut Asm, home: i32) {
        let mut index = 0;
        while index < self.homes.len() {
            let (other, value) = self.homes[index];
            if other != home {
                index += 1;
                continue;
            }
            self.homes.swap_remove(index);
            if matches!(self.place(value), Place::State(_)) && self.uses[value.index()].last > self.at {
                self.load(asm, value);
            }
        }
        self.residents.forget_home(home);
    }

    /// Copies every value that is only in the state to a register: anything there may change.
    pub(super) fn leave_state(&mut self, asm: &mut Asm) {
        while let Some((home, _)) = self.homes.last().copied() {
            self.leave_home(asm, home);
        }
    }

    /// Notes that the state at `home` holds `value` as well.
    pub(super) fn settle(&mut self, value: Value, home: i32) {
        if matches!(self.place(value), Place::Gpr(_) | Place::Xmm(_)) && self.home(value).is_none() {
            self.homes.push((home, value));
        }
    }

    /// Brings a value from the state to a register of its kind, which it gets.
    fn load(&mut self, asm: &mut Asm, value: Value) {
        match self.ty(value) {
            Type::F32 | Type::F64 => {
                let from = self.memory(value);
                let register = self.xmm(asm);
                asm.load_float(self.ty(value) == Type::F64, register, from);
                self.bind_xmm(value, register);
            }
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::F16 | Type::V128 => {
                let resident = self.resident(value).filter(|register| self.gprs[usize::from(*register)].is_none());
                let register = resident.unwrap_or_else(|| self.loaded(asm, value));
                self.bind(value, register);
            }
        }
    }

    /// An integer register that holds `value`, locked.
    pub(super) fn in_gpr(&mut self, asm: &mut Asm, value: Value) -> Gpr {
        let register = match self.place(value) {
            Place::Gpr(register) => register,
            Place::Imm(bits) => {
                let register = self.gpr(asm);
                asm.mov_imm(register, bits);
                register
            }
            Place::Xmm(float) => {
                let register = self.gpr(asm);
                asm.bits_from_float(self.ty(value) == Type::F64, register, float);
                register
            }
            Place::Spill(_) | Place::State(_) | Place::Nowhere => {
                let register = self.resident(value).unwrap_or_else(|| self.loaded(asm, value));
                if self.gprs[register as usize].is_none() && !self.dies(value) && !is_vector(self.ty(value)) {
                    self.forget_spill(value);
                    self.bind(value, register);
                }
                register
            }
        };
        self.locked |= 1 << register;
        register
    }

    /// The register that holds `value` because it holds what a slot does.
    fn resident(&mut self, value: Value) -> Option<Gpr> {
        match self.place(value) {
            Place::State(home) => self.residents.find(home),
            _ => None,
        }
    }

    /// A locked register with `value`, which is in memory.
    fn loaded(&mut self, asm: &mut Asm, value: Value) -> Gpr {
        let from = self.memory(value);
        let register = self.gpr(asm);
        let bytes = self.ty(value).bytes();
        asm.zero_extend(bytes, register, from);
        if let (Place::State(home), 8) = (self.place(value), bytes) {
            self.residents.note(register, home);
        }
        register
    }

    /// The register that holds `value` and is worth keeping, where there is another for what is made of it.
    pub(super) fn kept(&mut self, value: Value) -> Option<Gpr> {
        match self.place(value) {
            Place::Gpr(register) if !self.dies(value) => Some(register),
            Place::Gpr(register) if self.residents.holds(register) && self.has_free() => Some(register),
            _ => self.resident(value),
        }
    }

    /// Whether an integer register holds no value.
    fn has_free(&self) -> bool {
        GPRS.into_iter().any(|register| self.locked >> register & 1 == 0 && self.gprs[usize::from(register)].is_none())
    }

    fn forget_spill(&mut self, value: Value) {
        if let Place::Spill(word) = self.place(value) {
            self.spilled &= !(1 << word);
        }
    }

    /// Where in memory `value` is.
    fn memory(&self, value: Value) -> Rm {
        match self.place(value) {
            Place::Spill(word) => spill(word),
            Place::State(home) => Rm::Mem(FRAME, home),
            place => unreachable!("{value} is in {place:?}, not in memory"),
        }
    }

    /// A register or memory operand for an instruction that reads 32 bits at least; the register is locked.
    pub(super) fn rm(&mut self, asm: &mut Asm, value: Value) -> Rm {
        match self.place(value) {
            Place::Spill(_) | Place::State(_) if !is_vector(self.ty(value)) => match self.resident(value) {
                Some(register) => {
                    self.locked |= 1 << register;
                    Rm::Reg(register)
                }
                None => self.memory(value),
            },
            _ => Rm::Reg(self.in_gpr(asm, value)),
        }
    }

    /// The constant, if `value` is one that fits an instruction.
    pub(super) fn imm32(&self, value: Value) -> Option<i32> {
        match self.place(value) {
            Place::Imm(bits) => {
                let ty = self.ty(value);
                let bits = if ty == Type::I64 { bits } else { ty.sign_extend(bits as u64) };
                i32::try_from(bits).ok()
            }
            _ => None,
        }
    }

    /// A locked integer register that holds `value` and may be overwritten: its own if it dies here.
    pub(super) fn take(&mut self, asm: &mut Asm, value: Value) -> Gpr {
        if let Place::Gpr(register) = self.place(value)
            && self.dies(value)
        {
            self.gprs[register as usize] = None;
            self.residents.forget(register);
            self.locked |= 1 << register;
            return register;
        }
        let from = match self.place(value) {
            Place::Imm(bits) => {
                let register = self.gpr(asm);
                asm.mov_imm(register, bits);
                return register;
            }
            Place::Gpr(register) => {
                self.locked |= 1 << register;
                Rm::Reg(register)
            }
            _ => self.rm(asm, value),
        };
        let register = self.gpr(asm);
        asm.mov(Width::W64, register, from);
        register
    }

    /// A vector register that holds `value`, locked.
    pub(super) fn in_xmm(&mut self, asm: &mut Asm, value: Value) -> Xmm {
        let double = self.ty(value) == Type::F64;
        let register = match self.place(value) {
            Place::Xmm(register) => register,
            Place::Imm(bits) => {
                asm.mov_imm(SCRATCH, bits);
                let register = self.xmm(asm);
                asm.float_from_bits(double, register, SCRATCH);
                register
            }
            Place::Gpr(bits) => {
                let register = self.xmm(asm);
                asm.float_from_bits(double, register, bits);
                register
            }
            Place::Spill(_) | Place::State(_) | Place::Nowhere => {
                let from = self.memory(value);
                let register = self.xmm(asm);
                asm.load_float(double, register, from);
                if !self.dies(value) && is_vector(self.ty(value)) {
                    self.forget_spill(value);
                    self.bind_xmm(value, register);
                }
                register
            }
        };
        self.locked_xmms |= 1 << register;
        register
    }

    /// A locked vector register that holds `value` and may be overwritten.
    pub(super) fn take_xmm(&mut self, asm: &mut Asm, value: Value) -> Xmm {
        let from = self.in_xmm(asm, value);
        match self.xmms[from as usize] {
            Some(owner) if owner != value || !self.dies(value) => {
                let register = self.xmm(asm);
                asm.move_float(register, from);
                register
            }
            _ => {
                self.xmms[from as usize] = None;
                from
            }
        }
    }
}

/// Whether values of `ty` are held in vector registers. Half floats are held as bits.
pub(super) fn is_vector(ty: Type) -> bool {
    matches!(ty, Type::F32 | Type::F64)
}

/// The memory operand of a spill word.
pub(super) fn spill(word: u8) -> Rm {
    Rm::Mem(FRAME, offset::SPILL + i32::from(word) * 8)
}

/// Where the state keeps `slot`, from the frame.
pub(super) fn home(slot: Slot) -> i32 {
    offset::STATE + CpuState::slot_offset(slot) as i32
}

/// Whether `inst` compares integers, which one instruction does whose flags may be used at once.
pub(super) fn is_comparison(inst: &Inst) -> bool {
    matches!(inst.op, Op::Eq | Op::Ne | Op::LtS | Op::LtU | Op::LeS | Op::LeU)
}

/// Whether the instruction at `user`, or the block's end, takes the value at `at` as its condition.
fn takes_condition(block: &Block, user: u32, at: u32) -> bool {
    let value = Value::new(at);
    match block.insts.get(user as usize) {
        None => matches!(block.end, End::Branch { cond, .. } if cond == value),
        Some(inst) => {
            matches!(inst.op, Op::Select | Op::TrapIf | Op::ExitIf)
                && inst.args[0] == value
                && !inst.args[1..].contains(&value)
        }
    }
}
