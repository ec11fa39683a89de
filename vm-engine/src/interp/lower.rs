//! Lowering: from an IR block to the compact form, in one pass back (which values are used) and one pass forward.
//!
//! A slot read is no op but a name for the slot's word; a value is computed straight into the slot it is then written
//! to; a constant is an immediate; a cut to fewer bits waits for a reader that cares; a comparison read by the end
//! becomes part of it. Everything else gets a temporary, and a temporary's word is used again after its last reader.

use vm_ir::{Block, Effect, End, Inst, Op, Order, Target, Type, Value, eval};

use super::block::{Link, Parts, Tier0Block};
use super::code::{Code, FIRST_TEMP, Generic, Opcode, Reg, SCRATCH, TEMP_COUNT, ZERO};

/// Lowers blocks; kept between blocks for its buffers.
#[derive(Debug, Default)]
pub(crate) struct Lowering {
    values: Vec<Val>,
    code: Vec<Code>,
    marks: Vec<(u32, u16)>,
    links: Vec<Link>,
    /// Values that are names for a slot's word, with the slot.
    aliases: Vec<(Reg, Value)>,
    temps: Temps,
    spills: u32,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Loc {
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
struct Val {
    loc: Loc,
    /// The word holds more than the value's bits.
    uncut: bool,
    /// The value is a single, and the word is its box: all ones above.
    boxed: bool,
    /// The value is the single that the word, a double, unboxes to.
    container: bool,
    /// Readers still to come.
    uses: u32,
}

/// The words for temporaries, and how many values are in each.
#[derive(Debug)]
struct Temps {
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

    fn take(&mut self, wide: bool) -> Option<Reg> {
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

    fn index(reg: Reg) -> Option<usize> {
        let index = usize::from(reg).checked_sub(usize::from(FIRST_TEMP))?;
        (index < TEMP_COUNT).then_some(index)
    }

    /// One more value in the word.
    fn share(&mut self, reg: Reg) -> bool {
        let Some(index) = Self::index(reg) else { return true };
        match self.readers[index].checked_add(1) {
            Some(readers) => {
                self.readers[index] = readers;
                true
            }
            None => false,
        }
    }

    fn release(&mut self, reg: Reg, wide: bool) {
        let Some(index) = Self::index(reg) else { return };
        self.readers[index] -= 1;
        if self.readers[index] == 0 {
            self.free |= Self::bits(wide) << index;
        }
    }

    /// Whether exactly one value is in the temporary `reg`.
    fn is_sole(&self, reg: Reg) -> bool {
        Self::index(reg).is_some_and(|index| self.readers[index] == 1)
    }
}

const fn is_wide(ty: Type) -> bool {
    matches!(ty, Type::V128)
}

impl Lowering {
    /// The compact form of `block`.
    pub(crate) fn lower(&mut self, block: &Block) -> Tier0Block {
        self.count_uses(block);
        self.code.clear();
        self.marks.clear();
        self.links.clear();
        self.aliases.clear();
        self.temps = Temps::default();
        self.spills = 0;
        let link = |target: Target| Link::new(target.address(block.key.pc));
        match block.end {
            End::Jump { target } | End::Call { target, .. } | End::Trap { addr: target, .. } => {
                self.links.push(link(target));
            }
            End::Branch { taken, fall, .. } => self.links.extend([link(taken), link(fall)]),
            End::Indirect { .. }
            | End::IndirectCall { .. }
            | End::Return { .. }
            | End::Syscall { .. }
            | End::FlushCode { .. }
            | End::ModeChange { .. } => {}
        }
        let mut marks = block.marks.iter().peekable();
        for (index, inst) in block.insts.iter().enumerate() {
            while let Some(mark) = marks.next_if(|mark| mark.first as usize <= index) {
                self.marks.push((self.code.len() as u32, mark.offset));
            }
            let value = Value::new(index as u32);
            if self.values[index].uses > 0 || !is_droppable(inst) {
                self.inst(block, value, inst);
            }
        }
        for mark in marks {
            self.marks.push((self.code.len() as u32, mark.offset));
        }
        self.end(block);
        let parts = Parts {
            code: self.code.as_slice().into(),
            marks: self.marks.as_slice().into(),
            links: std::mem::take(&mut self.links).into(),
            indirect: matches!(block.end, End::Indirect { .. } | End::IndirectCall { .. } | End::Return { .. }),
            spills: self.spills,
            cacheable: is_cacheable(&block.end),
        };
        Tier0Block::new(block.key, block.bytes.clone(), parts)
    }

    /// Counts the readers of each value, ops that nobody needs left out.
    fn count_uses(&mut self, block: &Block) {
        self.values.clear();
        self.values.resize(block.insts.len(), Val::default());
        if let Some(value) = block.end.operand() {
            self.values[value.index()].uses += 1;
        }
        for (index, inst) in block.insts.iter().enumerate().rev() {
            if self.values[index].uses == 0 && is_droppable(inst) {
                continue;
            }
            for arg in inst.operands() {
                self.values[arg.index()].uses += 1;
            }
        }
    }

    fn emit(&mut self, op: Opcode, d: Reg, a: Reg, b: Reg, imm: u64) {
        self.code.push(Code { op, d, a, b, imm });
    }

    fn val(&self, value: Value) -> Val {
        self.values[value.index()]
    }

    /// The constant that `value` is, if it is one.
    fn constant(&self, value: Value) -> Option<u64> {
        match self.val(value).loc {
            Loc::Const(bits) => Some(bits),
            Loc::Nowhere | Loc::Reg(_) | Loc::Spill(_) => None,
        }
    }

    /// A register that holds `value`, or what it is still to be unboxed from; `place` tells operands apart.
    fn raw(&mut self, value: Value, ty: Type, place: usize) -> Reg {
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
    fn read_uncut(&mut self, value: Value, ty: Type, place: usize) -> Reg {
        let reg = self.raw(value, ty, place);
        if !self.val(value).container {
            return reg;
        }
        self.emit(Opcode::UnboxSingle, SCRATCH[place], reg, 0, 0);
        SCRATCH[place]
    }

    /// A register that the single `value` can be unboxed from.
    fn read_boxed(&mut self, value: Value, place: usize) -> Reg {
        let reg = self.raw(value, Type::F32, place);
        let val = self.val(value);
        if val.boxed || val.container {
            return reg;
        }
        self.emit(Opcode::BoxSingle, SCRATCH[place], reg, 0, 0); // cuts its operand itself
        SCRATCH[place]
    }

    /// A register that the forms for doubles and boxed singles read `value` from.
    fn read_float(&mut self, value: Value, ty: Type, place: usize) -> Reg {
        match ty {
            Type::F32 => self.read_boxed(value, place),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::F16 | Type::F64 | Type::V128 => {
                self.read(value, ty, place)
            }
        }
    }

    /// A register that holds `value` with zeros above its width.
    fn read(&mut self, value: Value, ty: Type, place: usize) -> Reg {
        let reg = self.read_uncut(value, ty, place);
        if !self.val(value).uncut {
            return reg;
        }
        self.emit(Opcode::Cut, SCRATCH[place], reg, 0, ty.mask());
        SCRATCH[place]
    }

    /// One reader of `value` is done.
    fn release(&mut self, value: Value, ty: Type) {
        let val = &mut self.values[value.index()];
        val.uses -= 1;
        if val.uses == 0
            && let Loc::Reg(reg) = val.loc
        {
            self.temps.release(reg, is_wide(ty));
        }
    }

    fn release_all(&mut self, block: &Block, inst: &Inst) {
        for &arg in inst.operands() {
            self.release(arg, result_type(block, arg));
        }
    }

    /// Emits `op` with its result in a new place for `value`.
    fn define(&mut self, value: Value, ty: Type, op: Opcode, a: Reg, b: Reg, imm: u64) {
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
    fn alias(&mut self, value: Value, of: Value, ty: Type, uncut: bool) {
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

    fn inst(&mut self, block: &Block, value: Value, inst: &Inst) {
        if inst.op.info().effect == Effect::Pure && self.fold(block, value, inst) {
            return;
        }
        let ty = inst.ty;
        let [a, b, c] = inst.args;
        match inst.op {
            Op::Const => self.values[value.index()].loc = Loc::Const(inst.imm as u64 & ty.mask()),
            Op::Pc => self.values[value.index()].loc = Loc::Const(block.key.pc.offset(inst.imm).get()),
            Op::Get => {
                let reg = inst.slot().index() as Reg;
                self.values[value.index()].loc = Loc::Reg(reg);
                self.aliases.push((reg, value));
            }
            Op::Set => self.set(inst.slot().index() as Reg, a, ty),
            Op::Add
            | Op::Sub
            | Op::Mul
            | Op::MulHighS
            | Op::MulHighU
            | Op::MulHighSU
            | Op::DivS
            | Op::DivU
            | Op::RemS
            | Op::RemU
            | Op::Shl
            | Op::ShrU
            | Op::ShrS
            | Op::RotL
            | Op::RotR => self.binary(block, value, inst, Opcode::binary(inst.op, ty)),
            Op::And | Op::Or | Op::Xor => {
                let wide = match inst.op {
                    Op::And => Opcode::AndWide,
                    Op::Or => Opcode::OrWide,
                    _ => Opcode::XorWide,
                };
                if is_wide(ty) {
                    let (a, b) = (self.read(a, ty, 0), self.read(b, ty, 1));
                    self.release_all(block, inst);
                    self.define(value, ty, wide, a, b, 0);
                } else {
                    self.binary(block, value, inst, Opcode::binary(inst.op, ty));
                }
            }
            Op::Eq | Op::Ne | Op::LtS | Op::LtU | Op::LeS | Op::LeU => {
                self.binary(block, value, inst, Opcode::compare(inst.op, inst.from));
            }
            Op::Select => {
                let cond = self.read(a, Type::I8, 0);
                let (yes, no) = (self.read(b, ty, 1), self.read(c, ty, 2));
                self.release_all(block, inst);
                let op = if is_wide(ty) { Opcode::SelectWide } else { Opcode::Select };
                self.define(value, ty, op, cond, yes, u64::from(no));
            }
            Op::Truncate => self.alias(value, a, inst.from, true),
            Op::Bitcast if self.val(a).container => {
                let reg = self.read(a, inst.from, 0);
                self.release_all(block, inst);
                self.define(value, ty, Opcode::Move, reg, 0, 0);
            }
            Op::Bitcast => self.alias(value, a, inst.from, self.val(a).uncut),
            Op::FUnbox if ty == Type::F32 => {
                self.alias(value, a, inst.from, false);
                self.values[value.index()].container = true;
            }
            Op::FBox if self.val(a).boxed => self.alias(value, a, inst.from, false),
            Op::ZeroExtend => {
                if self.val(a).uncut {
                    let reg = self.read_uncut(a, inst.from, 0);
                    self.release(a, inst.from);
                    self.define(value, ty, Opcode::Cut, reg, 0, inst.from.mask());
                } else {
                    self.alias(value, a, inst.from, false);
                }
            }
            Op::SignExtend => self.sign_extend(block, value, inst),
            Op::Clz
            | Op::Ctz
            | Op::Popcount
            | Op::BitReverse
            | Op::ByteSwap
            | Op::CarryAdd
            | Op::OverflowAdd
            | Op::BorrowSub
            | Op::OverflowSub
            | Op::ClMul
            | Op::ClMulHigh
            | Op::FClass
            | Op::FEqSilent
            | Op::FLtSilent
            | Op::FLeSilent
            | Op::FRound
            | Op::FBox
            | Op::FUnbox
            | Op::VUnary
            | Op::VBinary
            | Op::VTernary
            | Op::VExtract
            | Op::VInsert
            | Op::VSplat => self.generic(block, value, inst),
            Op::FAdd
            | Op::FSub
            | Op::FMul
            | Op::FDiv
            | Op::FSqrt
            | Op::FMulAdd
            | Op::FMin
            | Op::FMax
            | Op::FNeg
            | Op::FAbs
            | Op::FCopySign
            | Op::FEq
            | Op::FLt
            | Op::FLe
            | Op::FUnordered
            | Op::FToIntS
            | Op::FToIntU
            | Op::IntToFS
            | Op::IntToFU
            | Op::FConvert => self.float(block, value, inst),
            Op::Load => {
                if needs_full_fence_before_load(inst.order()) {
                    self.emit(Opcode::Fence, 0, 0, 0, vm_ir::FenceKind::Full as u64);
                }
                let (addr, imm) = self.address(a, inst.imm);
                self.release_all(block, inst);
                let op = match ty {
                    Type::I8 => Opcode::Load8,
                    Type::I16 | Type::F16 => Opcode::Load16,
                    Type::I32 | Type::F32 => Opcode::Load32,
                    Type::I64 | Type::F64 => Opcode::Load64,
                    Type::V128 => Opcode::Load128,
                };
                self.define(value, ty, op, addr, 0, imm);
                if let Some(kind) = fence_after_load(inst.order()) {
                    self.emit(Opcode::Fence, 0, 0, 0, kind as u64);
                }
            }
            Op::Store => {
                if let Some(kind) = fence_before_store(inst.order()) {
                    self.emit(Opcode::Fence, 0, 0, 0, kind as u64);
                }
                let (addr, imm) = self.address(a, inst.imm);
                let stored = self.read_uncut(b, ty, 1);
                self.release_all(block, inst);
                let op = match ty {
                    Type::I8 => Opcode::Store8,
                    Type::I16 | Type::F16 => Opcode::Store16,
                    Type::I32 | Type::F32 => Opcode::Store32,
                    Type::I64 | Type::F64 => Opcode::Store64,
                    Type::V128 => Opcode::Store128,
                };
                self.emit(op, 0, addr, stored, imm);
                if inst.order() == Order::SeqCst {
                    self.emit(Opcode::Fence, 0, 0, 0, vm_ir::FenceKind::Full as u64);
                }
            }
            Op::AtomicRmw | Op::AtomicCas => {
                let addr = self.read(a, Type::I64, 0);
                let second = self.read(b, ty, 1);
                let third = if inst.op == Op::AtomicCas { self.read(c, ty, 2) } else { 0 };
                self.release_all(block, inst);
                let op = if inst.op == Op::AtomicCas { Opcode::AtomicCas } else { Opcode::AtomicRmw };
                let generic = Generic { op: inst.op, ty, from: ty, attr: inst.attr, c: third };
                self.define(value, ty, op, addr, second, generic.pack());
            }
            Op::Fence => self.emit(Opcode::Fence, 0, 0, 0, u64::from(inst.attr)),
            Op::FpFlagsGet => self.define(value, ty, Opcode::FpFlagsGet, 0, 0, 0),
            Op::FpFlagsSet | Op::SetMode => {
                let reg = self.read(a, ty, 0);
                self.release_all(block, inst);
                let op = if inst.op == Op::SetMode { Opcode::SetMode } else { Opcode::FpFlagsSet };
                self.emit(op, 0, reg, 0, 0);
            }
            Op::Call => {
                // The helper may write any slot.
                while let Some(&(slot, named)) = self.aliases.first() {
                    self.displace(slot, is_wide(result_type(block, named)));
                }
                let mut regs = [ZERO; 3];
                for (place, &arg) in inst.operands().iter().enumerate() {
                    regs[place] = self.read(arg, Type::I64, place);
                }
                self.release_all(block, inst);
                self.define(
                    value,
                    ty,
                    Opcode::Call,
                    regs[0],
                    regs[1],
                    inst.imm as u32 as u64 | u64::from(regs[2]) << 32,
                );
            }
            Op::TrapIf if self.constant(a) == Some(0) => self.release_all(block, inst),
            Op::TrapIf => {
                let (cond, addr) = (self.read(a, Type::I8, 0), self.read(b, Type::I64, 1));
                self.release_all(block, inst);
                self.emit(Opcode::TrapIf, 0, cond, addr, u64::from(inst.attr));
            }
            Op::ExitIf => {
                let cond = self.read(a, Type::I8, 0);
                self.release_all(block, inst);
                let link = self.links.len() as Reg;
                self.links.push(Link::new(Target(inst.imm).address(block.key.pc)));
                self.emit(Opcode::ExitIf, link, cond, 0, 0);
            }
        }
    }

    /// Computes an op on constants now.
    fn fold(&mut self, block: &Block, value: Value, inst: &Inst) -> bool {
        let mut args = [0; 3];
        for (arg, bits) in inst.operands().iter().zip(&mut args) {
            match self.constant(*arg) {
                Some(known) if !is_wide(result_type(block, *arg)) => *bits = known,
                _ => return false,
            }
        }
        if inst.operands().is_empty() || is_wide(inst.ty) || is_wide(inst.from) {
            return false;
        }
        let bits = eval::inst(inst, args, &mut eval::FpEnv::new());
        self.values[value.index()].loc = Loc::Const(bits);
        self.release_all(block, inst);
        true
    }

    /// A two-operand op in one of its `forms`, if it has any: two registers, or register and immediate.
    fn binary(&mut self, block: &Block, value: Value, inst: &Inst, forms: Option<(Opcode, Opcode)>) {
        let Some((registers, immediate)) = forms else { return self.generic(block, value, inst) };
        let [mut a, mut b, _] = inst.args;
        // Forms of 32 bits cut their operands themselves.
        let ty = result_type(block, a);
        if inst.op.is_commutative() && self.constant(a).is_some() {
            std::mem::swap(&mut a, &mut b);
        }
        let result = inst.result().unwrap_or(ty);
        let first = self.read_uncut(a, ty, 0);
        match self.constant(b) {
            Some(bits) => {
                self.release_all(block, inst);
                self.define(value, result, immediate, first, 0, bits);
            }
            None => {
                let second = self.read_uncut(b, ty, 1);
                self.release_all(block, inst);
                self.define(value, result, registers, first, second, 0);
            }
        }
    }

    /// An op that looks at its own fields when it runs, or has a form for one register.
    fn generic(&mut self, block: &Block, value: Value, inst: &Inst) {
        let mut regs = [ZERO; 3];
        for (place, &arg) in inst.operands().iter().enumerate() {
            regs[place] = self.read(arg, result_type(block, arg), place);
        }
        self.release_all(block, inst);
        let ty = inst.result().unwrap_or(inst.ty);
        match Opcode::unary(inst.op, inst.ty, inst.from) {
            Some(op) => self.define(value, ty, op, regs[0], 0, 0),
            None => {
                let generic = Generic { op: inst.op, ty: inst.ty, from: inst.from, attr: inst.attr, c: regs[2] };
                self.define(value, ty, Opcode::Generic, regs[0], regs[1], generic.pack());
            }
        }
    }

    /// A floating-point op, in one of its forms if it has one.
    fn float(&mut self, block: &Block, value: Value, inst: &Inst) {
        let operand = result_type(block, inst.args[0]);
        let result = inst.result().unwrap_or(inst.ty);
        let arithmetic = Opcode::float(inst.op, operand, inst.attr);
        let Some(op) = arithmetic.or_else(|| Opcode::convert(inst.op, inst.ty, inst.from, inst.attr)) else {
            return self.generic(block, value, inst);
        };
        let mut regs = [0; 3];
        for (place, &arg) in inst.operands().iter().enumerate() {
            regs[place] = self.read_float(arg, operand, place);
        }
        self.release_all(block, inst);
        // Comparisons have two operands and need their attribute; the others have attribute zero.
        let imm = if result == Type::I8 { inst.attr.into() } else { regs[2].into() };
        self.define(value, result, op, regs[0], regs[1], imm);
        if result == Type::F32 {
            let val = &mut self.values[value.index()];
            (val.boxed, val.uncut) = (true, true);
        }
    }

    /// Sign extension: part of the op before if that gave the operand to nobody else.
    fn sign_extend(&mut self, block: &Block, value: Value, inst: &Inst) {
        let a = inst.args[0];
        let val = self.val(a);
        if inst.ty == Type::I64
            && val.uses == 1
            && let Loc::Reg(reg) = val.loc
            && self.temps.is_sole(reg)
            && let Some(last) = self.code.last_mut()
            && last.d == reg
            && !val.uncut
            && let Some(op) = last.op.sign_extended(inst.from)
        {
            last.op = op;
            self.alias(value, a, inst.from, false);
            return;
        }
        match Opcode::unary(inst.op, inst.ty, inst.from) {
            Some(op) => {
                let reg = self.read_uncut(a, inst.from, 0); // these forms cut their operand themselves
                self.release(a, inst.from);
                self.define(value, inst.ty, op, reg, 0, 0);
            }
            None => self.generic(block, value, inst),
        }
    }

    /// Register and displacement of an address.
    fn address(&mut self, addr: Value, displacement: i64) -> (Reg, u64) {
        match self.constant(addr) {
            Some(base) => (ZERO, base.wrapping_add_signed(displacement)),
            None => (self.read(addr, Type::I64, 0), displacement as u64),
        }
    }

    /// Writes a slot: by the op before if it has just computed the value, else by a move.
    fn set(&mut self, slot: Reg, value: Value, ty: Type) {
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
            && writes_register(last.op)
            && last.d == reg
        {
            last.d = slot;
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
    fn displace(&mut self, slot: Reg, wide: bool) -> bool {
        let mut moved: Option<Loc> = None;
        let mut index = 0;
        while index < self.aliases.len() {
            let (of, value) = self.aliases[index];
            let live = self.values[value.index()].uses > 0 && self.values[value.index()].loc == Loc::Reg(of);
            if !live {
                self.aliases.swap_remove(index);
            } else if of == slot {
                self.aliases.swap_remove(index);
                let loc = match moved {
                    Some(Loc::Reg(reg)) if !self.temps.share(reg) => self.save(slot, wide),
                    Some(loc) => loc,
                    None => self.save(slot, wide),
                };
                moved = Some(loc);
                self.values[value.index()].loc = loc;
            } else {
                index += 1;
            }
        }
        moved.is_some()
    }

    /// Copies `slot` to a temporary or the spill area.
    fn save(&mut self, slot: Reg, wide: bool) -> Loc {
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

    fn end(&mut self, block: &Block) {
        let at = |target: Target| target.address(block.key.pc).get();
        match block.end {
            End::Jump { .. } | End::Call { .. } => self.emit(Opcode::Jump, 0, 0, 0, 0),
            End::Branch { cond, .. } => {
                let val = self.val(cond);
                if let Loc::Reg(reg) = val.loc
                    && val.uses == 1
                    && !val.uncut
                    && self.temps.is_sole(reg)
                    && let Some(last) = self.code.last_mut()
                    && last.d == reg
                    && let Some(branch) = last.op.branch()
                {
                    last.op = branch;
                    return;
                }
                let reg = self.read(cond, Type::I8, 0);
                self.emit(Opcode::Branch, 0, reg, 0, 0);
            }
            End::Indirect { addr } | End::IndirectCall { addr, .. } | End::Return { addr } => {
                let reg = self.read(addr, Type::I64, 0);
                self.emit(Opcode::Indirect, 0, reg, 0, 0);
            }
            End::Syscall { next } => self.emit(Opcode::Syscall, 0, 0, 0, at(next)),
            End::Trap { kind, at: pc, .. } => self.emit(Opcode::Trap, kind as Reg, 0, 0, at(pc)),
            End::FlushCode { next } => self.emit(Opcode::FlushCode, 0, 0, 0, at(next)),
            End::ModeChange { next } => self.emit(Opcode::ModeChange, 0, 0, 0, at(next)),
        }
    }
}

/// Whether an op may go when nobody reads its value.
fn is_droppable(inst: &Inst) -> bool {
    match inst.op.info().effect {
        Effect::Pure | Effect::ReadsSlot => true,
        Effect::FpFlags
        | Effect::WritesSlot
        | Effect::ReadsFpFlags
        | Effect::WritesFpFlags
        | Effect::WritesMode
        | Effect::Reads
        | Effect::Writes
        | Effect::ReadsWrites
        | Effect::Orders
        | Effect::Calls
        | Effect::Leaves => false,
    }
}

/// Type of a value of `block`.
fn result_type(block: &Block, value: Value) -> Type {
    let inst = block.def(value);
    inst.result().unwrap_or(inst.ty)
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

/// A block that ends because memory could not be fetched says nothing about bytes: it may be mapped any time.
fn is_cacheable(end: &End) -> bool {
    use vm_core::TrapKind;
    match end {
        End::Trap { kind, .. } => !matches!(kind, TrapKind::FetchUnmapped | TrapKind::FetchForbidden),
        End::Jump { .. }
        | End::Branch { .. }
        | End::Call { .. }
        | End::Indirect { .. }
        | End::IndirectCall { .. }
        | End::Return { .. }
        | End::Syscall { .. }
        | End::FlushCode { .. }
        | End::ModeChange { .. } => true,
    }
}

const fn needs_full_fence_before_load(order: Order) -> bool {
    matches!(order, Order::SeqCst)
}

/// Loads and stores of an x86-64 host keep this order by themselves.
const HOST_IS_TSO: bool = cfg!(target_arch = "x86_64");

const fn fence_after_load(order: Order) -> Option<vm_ir::FenceKind> {
    match order {
        _ if HOST_IS_TSO => None,
        Order::Plain | Order::Release => None,
        Order::Acquire | Order::AcquireRelease | Order::SeqCst | Order::Tso => Some(vm_ir::FenceKind::Acquire),
    }
}

const fn fence_before_store(order: Order) -> Option<vm_ir::FenceKind> {
    match order {
        _ if HOST_IS_TSO => None,
        Order::Plain | Order::Acquire => None,
        Order::Release | Order::AcquireRelease | Order::SeqCst | Order::Tso => Some(vm_ir::FenceKind::Release),
    }
}
