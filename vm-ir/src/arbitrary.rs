//! Random blocks drawn from the table of ops, for property tests of whoever runs or rewrites blocks.
//!
//! A block is made from a list of seeds, one for each guest instruction, so that a property test shrinks a failing
//! block by leaving instructions out:
//!
//! ```
//! use proptest::prelude::*;
//! use vm_ir::arbitrary::{Shape, block};
//!
//! let key = Default::default();
//! let blocks = proptest::collection::vec(any::<u64>(), 1..30).prop_map(move |seeds| block(key, &seeds, &Shape::default()));
//! # let _ = blocks;
//! ```
//!
//! Blocks obey what lifters promise beyond the verifier: carries are 0 or 1, atomic accesses are aligned, an instruction
//! that may fault or leave writes no slot before it does, and the mode word only gets values that the shape permits.

use std::sync::OnceLock;

use vm_core::{BlockKey, CpuState, GuestAddr, GuestRange, PAGE_SIZE, Slot, TrapKind};

use crate::attr::{self, AttrKind, FenceKind, FpAttr, MinMaxRule, NanRule, Order, OverflowRule, RmwOp, Rounding};
use crate::block::{Block, End, Inst, Mark, Target, Value};
use crate::helper::{Helper, HelperEffect, HelperFn};
use crate::ops::{Effect, ImmKind, Op, Sig};
use crate::source::SlotInfo;
use crate::types::Type;
use crate::verify;

/// What random blocks may be made of.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// Slots to read and write.
    pub slots: &'a [SlotInfo],
    /// Helpers to call; none for no calls.
    pub helpers: &'a [Helper],
    /// Which ops, types and attributes may occur; asked before operands are chosen.
    pub permits: fn(&Inst) -> bool,
    /// Readable and writable memory: a power of two of at least 64 bytes, aligned to 16.
    pub memory: GuestRange,
    /// Whether some accesses go outside `memory`: to the second page behind it, or far up in the address space.
    pub faults: bool,
    /// Where exits and ends may lead, relative to the block; at least one.
    pub targets: &'a [Target],
    /// What the mode word may be set to; none for no mode writes.
    pub modes: &'a [u64],
    /// Which ends may occur; a refused one becomes a jump.
    pub permits_end: fn(&End) -> bool,
    /// Whether each instruction uses its own values alone, so that a block can be entered at any of them ([`tail`]).
    pub isolated: bool,
    /// A slot that each block counts down at its start, and where it goes instead when the slot is zero.
    pub fuel: Option<(Slot, Target)>,
}

/// 16 integer, 8 double and 2 vector slots, 4 KiB of memory at 0x10000, everything permitted but calls.
impl Default for Shape<'_> {
    fn default() -> Self {
        Self {
            slots: SLOTS,
            helpers: &[],
            permits: |_| true,
            memory: GuestRange::new(GuestAddr::new(0x10000), 0x1000).expect("a range in the middle"),
            faults: false,
            isolated: false,
            targets: &[Target(-64), Target(0), Target(64), Target(128)],
            modes: &[0, 1, 2, 3, 4],
            permits_end: |_| true,
            fuel: None,
        }
    }
}

macro_rules! slots {
    ($($name:literal $index:literal $ty:ident),* $(,)?) => {
        &[$(SlotInfo { name: $name, slot: Slot::new($index), ty: Type::$ty }),*]
    };
}

/// The slots of the default [`Shape`].
#[rustfmt::skip]
pub const SLOTS: &[SlotInfo] = slots![
    "x1" 1 I64, "x2" 2 I64, "x3" 3 I64, "x4" 4 I64, "x5" 5 I64, "x6" 6 I64, "x7" 7 I64, "x8" 8 I64,
    "x9" 9 I64, "x10" 10 I64, "x11" 11 I64, "x12" 12 I64, "b0" 13 I8, "h0" 14 I16, "w0" 15 I32, "w1" 16 I32,
    "f0" 32 F64, "f1" 33 F64, "f2" 34 F64, "f3" 35 F64, "f4" 36 F64, "f5" 37 F64, "s" 38 F32, "h" 39 F16,
    "v0" 64 V128, "v1" 66 V128,
];

extern "C" fn mix(a: u64, b: u64, c: u64) -> u64 {
    a ^ b.rotate_left(7) ^ c.rotate_left(23)
}

/// Reads and writes two slots.
extern "C" fn swap(state: &mut CpuState, a: u64, _: u64, _: u64) -> u64 {
    let old = state.get(Slot::new(1));
    state.set(Slot::new(1), state.get(Slot::new(2)).wrapping_add(a));
    state.set(Slot::new(2), old);
    old
}

/// Helpers to call: one of each effect, working on slots 1 and 2.
pub const HELPERS: &[Helper] = &[
    Helper { name: "mix", args: 3, effect: HelperEffect::Pure, function: HelperFn::Values(mix) },
    Helper { name: "clock", args: 1, effect: HelperEffect::Volatile, function: HelperFn::Values(mix) },
    Helper { name: "swap", args: 1, effect: HelperEffect::State, function: HelperFn::State(swap) },
];

/// A stream of pseudo-random numbers (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The stream that `seed` names.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `limit`.
    ///
    /// # Panics
    /// If `limit` is zero.
    pub const fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit as u64) as usize
    }

    /// True once in `times`.
    ///
    /// # Panics
    /// If `times` is zero.
    pub const fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there is none.
    pub const fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A value of `ty`, often one at the edge of something.
    pub fn value(&mut self, ty: Type) -> u64 {
        let bits = match ty {
            Type::F16 => self.float(10, 5),
            Type::F32 => self.float(23, 8),
            Type::F64 if self.one_in(4) => self.float(23, 8) | !0xffff_ffff,
            Type::F64 => self.float(52, 11),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::V128 => self.integer(ty),
        };
        bits & ty.mask()
    }

    fn integer(&mut self, ty: Type) -> u64 {
        let sign = ty.sign_bit();
        let bits = u64::from(ty.bits().min(64));
        match self.below(8) {
            0 => self.pick(&[0, 1, 2, u64::MAX, sign, sign - 1, sign + 1, ty.mask() - 1]),
            1 => self.pick(&[bits - 1, bits, bits + 1, bits / 2, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]),
            2 => self.bits() % 64,
            3 => (self.bits() % 64).wrapping_neg(),
            4 => 1 << (self.bits() % bits),
            5 => i64::from(self.bits() as i32) as u64,
            _ => self.bits(),
        }
    }

    /// A number of the format with these widths of significand and exponent.
    fn float(&mut self, fraction: u32, exponent: u32) -> u64 {
        let sign = (self.bits() & 1) << (fraction + exponent);
        let infinity = ((1u64 << exponent) - 1) << fraction;
        let quiet = 1u64 << (fraction - 1);
        let one = ((1u64 << (exponent - 1)) - 1) << fraction;
        let low = self.bits() & ((1 << fraction) - 1);
        let magnitude = match self.below(8) {
            0 => self.pick(&[0, 1, quiet, infinity, infinity - 1, infinity | quiet, infinity | 1, one]),
            1 => infinity | low,
            2 => low >> (self.bits() % u64::from(fraction)),
            // Small integers and near ones, so that sums and products meet and cancel.
            3 | 4 => one + ((self.bits() % 16) << fraction) + (low & (!0 << (fraction - 4))),
            // Around the bounds of the integer types.
            5 => one + (self.pick(&[31, 32, 63, 64]) << fraction) + low - (self.bits() & 1),
            _ => self.bits() & (infinity | ((1 << fraction) - 1)),
        };
        sign | magnitude & (infinity | ((1 << fraction) - 1))
    }
}

/// One op of the table with its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// The op.
    pub op: Op,
    /// `T`.
    pub ty: Type,
    /// `U`; `T` where the signature has no `U`.
    pub from: Type,
}

/// Every op with every pair of types that the verifier permits.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for &op in Op::ALL {
        let info = op.info();
        let types = if info.types.is_empty() { &[Type::I64] } else { info.types };
        for &ty in types {
            let from = if info.from.is_empty() { &[ty] } else { info.from };
            rows.extend(
                from.iter()
                    .map(|&from| Row { op, ty, from })
                    .filter(|row| verify::permits(&Inst::new(row.op, row.ty, row.from, [Value::NONE; 3]))),
            );
        }
    }
    rows
}

/// A block at `key` with one guest instruction of four bytes for each of `seeds`, at least one and at most 64,
/// and an end that the last seed chooses.
///
/// Equal arguments give equal blocks, and [`verify`](crate::verify()) accepts them.
#[must_use]
pub fn block(key: BlockKey, seeds: &[u64], shape: &Shape<'_>) -> Block {
    let mut maker = Maker {
        shape,
        draw: Draw::new(0),
        insts: Vec::new(),
        marks: Vec::new(),
        values: Default::default(),
        carries: Vec::new(),
    };
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    let rows = ROWS.get_or_init(rows);
    maker.mark();
    maker.count_down();
    for seed in seeds.iter().take(64) {
        maker.draw = Draw::new(*seed);
        if !maker.insts.is_empty() {
            maker.mark();
        }
        maker.instruction(rows);
    }
    let end = maker.end();
    let len = maker.marks.len() * 4;
    Block { key, bytes: vec![0; len], insts: maker.insts, marks: maker.marks, end }
}

/// What is left of an [isolated](Shape::isolated) block from its instruction at `offset` on: a block of its own, which goes
/// where the whole one goes.
///
/// # Panics
/// If no instruction begins at `offset`, or the block is not isolated.
#[must_use]
pub fn tail(block: &Block, offset: u16) -> Block {
    let mark = block.marks.iter().position(|mark| mark.offset == offset).expect("an instruction begins at the offset");
    let first = block.marks[mark].first;
    let value = |value: Value| match value {
        Value::NONE => value,
        value => Value::new((value.index() as u32).checked_sub(first).expect("the block is isolated")),
    };
    let target = |target: Target| Target(target.0 - i64::from(offset));
    let insts = block.insts[first as usize..].iter().map(|inst| {
        let shift = if inst.op.info().imm == ImmKind::PcOffset { i64::from(offset) } else { 0 };
        Inst { args: inst.args.map(value), imm: inst.imm - shift, ..*inst }
    });
    let shifted = |mark: &Mark| Mark { first: mark.first - first, offset: mark.offset - offset, ..*mark };
    Block {
        key: block.key.at(block.key.pc.offset(i64::from(offset))),
        bytes: block.bytes[usize::from(offset)..].into(),
        insts: insts.collect(),
        marks: block.marks[mark..].iter().map(shifted).collect(),
        end: match block.end {
            End::Jump { target: to } => End::Jump { target: target(to) },
            End::Branch { cond, taken, fall } => {
                End::Branch { cond: value(cond), taken: target(taken), fall: target(fall) }
            }
            End::Call { target: to, ret } => End::Call { target: target(to), ret: target(ret) },
            End::Indirect { addr } => End::Indirect { addr: value(addr) },
            End::IndirectCall { addr, ret } => End::IndirectCall { addr: value(addr), ret: target(ret) },
            End::Return { addr } => End::Return { addr: value(addr) },
            End::Syscall { next } => End::Syscall { next: target(next) },
            End::Trap { kind, at, addr } => End::Trap { kind, at: target(at), addr: target(addr) },
            End::FlushCode { next } => End::FlushCode { next: target(next) },
            End::ModeChange { next } => End::ModeChange { next: target(next) },
        },
    }
}

struct Maker<'a> {
    shape: &'a Shape<'a>,
    draw: Draw,
    insts: Vec<Inst>,
    marks: Vec<Mark>,
    /// Values so far, by type.
    values: [Vec<Value>; Type::ALL.len()],
    /// Values that are 0 or 1.
    carries: Vec<Value>,
}

const NONE: Value = Value::NONE;

impl Maker<'_> {
    fn mark(&mut self) {
        if self.shape.isolated {
            self.values = Default::default();
            self.carries.clear();
        }
        let offset = self.marks.len() as u16 * 4;
        self.marks.push(Mark { first: self.insts.len() as u32, offset, len: 4 });
    }

    fn push(&mut self, inst: Inst) -> Value {
        let value = Value::new(self.insts.len() as u32);
        self.insts.push(inst);
        if let Some(ty) = inst.result() {
            self.values[ty as usize].push(value);
            let info = inst.op.info();
            let gives_bit = info.result == Some(Sig::T) && info.types == [Type::I8];
            if gives_bit || inst.op == Op::Const && inst.ty == Type::I8 && inst.imm <= 1 {
                self.carries.push(value);
            }
        }
        value
    }

    fn with_imm(&mut self, op: Op, ty: Type, args: [Value; 3], imm: i64) -> Value {
        self.push(Inst { imm, ..Inst::new(op, ty, ty, args) })
    }

    fn constant(&mut self, ty: Type, bits: u64) -> Value {
        self.with_imm(Op::Const, ty, [NONE; 3], bits as i64)
    }

    fn count_down(&mut self) {
        let Some((slot, target)) = self.shape.fuel else { return };
        let slot = slot.index() as i64;
        let fuel = self.with_imm(Op::Get, Type::I64, [NONE; 3], slot);
        let zero = self.constant(Type::I64, 0);
        let empty = self.push(Inst::new(Op::Eq, Type::I8, Type::I64, [fuel, zero, NONE]));
        self.with_imm(Op::ExitIf, Type::I64, [empty, NONE, NONE], target.0);
        let less = self.constant(Type::I64, u64::MAX);
        let fuel = self.push(Inst::new(Op::Add, Type::I64, Type::I64, [fuel, less, NONE]));
        self.with_imm(Op::Set, Type::I64, [fuel, NONE, NONE], slot);
    }

    /// An op, its operands, and most times a write of its result to a slot.
    fn instruction(&mut self, rows: &[Row]) {
        let Some(mut inst) = self.head(rows) else { return };
        let info = inst.op.info();
        match info.imm {
            ImmKind::None | ImmKind::Lane => {}
            ImmKind::Bits => inst.imm = self.draw.value(inst.ty) as i64,
            ImmKind::PcOffset => inst.imm = self.draw.pick(self.shape.targets).0,
            ImmKind::Slot => match self.slot(inst.ty) {
                Some(slot) => inst.imm = slot,
                None => return,
            },
            ImmKind::Displacement => {}
            ImmKind::Helper => inst.imm = self.draw.below(self.shape.helpers.len()) as i64,
        }
        let count = match info.imm {
            ImmKind::Helper => self.shape.helpers[inst.imm as usize].args,
            _ => info.args.len(),
        };
        let accesses = matches!(info.effect, Effect::Reads | Effect::Writes | Effect::ReadsWrites);
        for (index, sig) in info.args.iter().enumerate().take(count) {
            inst.args[index] = match *sig {
                Sig::Is(Type::I64) if accesses => self.address(&mut inst),
                Sig::Is(Type::I8) if info.effect == Effect::Leaves => self.seldom(),
                // Third operands of this fixed type are carries.
                Sig::Is(Type::I8) if index == 2 => self.carry(),
                Sig::Is(ty) => self.operand(ty),
                Sig::T => self.operand(inst.ty),
                Sig::U => self.operand(inst.from),
            };
        }
        let value = self.push(inst);
        if let Some(ty) = inst.result()
            && !self.draw.one_in(3)
            && let Some(slot) = self.slot(ty)
        {
            self.with_imm(Op::Set, ty, [value, NONE, NONE], slot);
        }
    }

    /// An op with types and attribute that the shape permits; after some refusals none.
    fn head(&mut self, rows: &[Row]) -> Option<Inst> {
        for _ in 0..16 {
            let op = self.draw.pick(Op::ALL);
            let start = rows.partition_point(|row| row.op < op);
            let of_op = &rows[start..][..rows[start..].partition_point(|row| row.op == op)];
            if of_op.is_empty() || op == Op::SetMode || op == Op::Call && self.shape.helpers.is_empty() {
                continue;
            }
            let row = self.draw.pick(of_op);
            let inst = Inst { attr: self.attribute(op), ..Inst::new(op, row.ty, row.from, [NONE; 3]) };
            if (self.shape.permits)(&inst) {
                return Some(inst);
            }
        }
        None
    }

    fn attribute(&mut self, op: Op) -> u8 {
        let draw = &mut self.draw;
        let fp = FpAttr {
            rounding: draw.pick(Rounding::ALL),
            nan: draw.pick(NanRule::ALL),
            min_max: draw.pick(MinMaxRule::ALL),
            overflow: draw.pick(OverflowRule::ALL),
        };
        match op.info().attr {
            AttrKind::None | AttrKind::Vector => 0,
            kind @ (AttrKind::Fp | AttrKind::FpMinMax | AttrKind::FpToInt | AttrKind::FpFromInt) => fp.pack(kind),
            AttrKind::Signaling => draw.below(2) as u8,
            AttrKind::Order => draw.pick(Order::ALL) as u8,
            AttrKind::Rmw => attr::pack_rmw(draw.pick(RmwOp::ALL), draw.pick(Order::ALL)),
            AttrKind::Fence => draw.pick(FenceKind::ALL) as u8,
            AttrKind::Trap => draw.pick(&TrapKind::ALL) as u8,
        }
    }

    fn slot(&mut self, ty: Type) -> Option<i64> {
        let fitting = self.shape.slots.iter().filter(|info| info.ty == ty).count();
        if fitting == 0 {
            return None;
        }
        let chosen = self.draw.below(fitting);
        self.shape.slots.iter().filter(|info| info.ty == ty).nth(chosen).map(|info| info.slot.index() as i64)
    }

    fn operand(&mut self, ty: Type) -> Value {
        let known = &self.values[ty as usize];
        if !known.is_empty() && !self.draw.one_in(3) {
            return self.draw.pick(known);
        }
        if (self.draw.one_in(2) || ty == Type::V128)
            && let Some(slot) = self.slot(ty)
        {
            return self.with_imm(Op::Get, ty, [NONE; 3], slot);
        }
        if ty == Type::V128 {
            let addr = self.constant(Type::I64, self.shape.memory.start().get());
            return self.push(Inst::new(Op::Load, ty, ty, [addr, NONE, NONE]));
        }
        let bits = self.draw.value(ty);
        self.constant(ty, bits)
    }

    /// A condition that seldom holds, so that most blocks run to their end.
    fn seldom(&mut self) -> Value {
        if self.draw.one_in(4) {
            return self.operand(Type::I8);
        }
        let any = self.operand(Type::I64);
        let bound = self.constant(Type::I64, 3);
        self.push(Inst::new(Op::LtU, Type::I8, Type::I64, [any, bound, NONE]))
    }

    fn carry(&mut self) -> Value {
        if self.carries.is_empty() || self.draw.one_in(3) {
            let bit = self.draw.bits() & 1;
            return self.constant(Type::I8, bit);
        }
        self.draw.pick(&self.carries)
    }

    /// The address of an access, and its displacement where it has one.
    fn address(&mut self, inst: &mut Inst) -> Value {
        let size = inst.ty.bytes() as u64;
        let atomic = inst.op.effect() == Effect::ReadsWrites;
        let half = self.shape.memory.len() / 2;
        let start = self.shape.memory.start().get();
        if inst.op.info().imm == ImmKind::Displacement && !self.draw.one_in(3) {
            inst.imm = (self.draw.bits() % (half - 16)) as i64;
        }
        let any = self.operand(Type::I64);
        let outside = self.shape.faults && self.draw.one_in(12);
        let mask = if outside { u64::MAX } else { half - 1 };
        let mask = if atomic { mask & !(size - 1) } else { mask };
        let mask = self.constant(Type::I64, mask);
        let offset = self.push(Inst::new(Op::And, Type::I64, Type::I64, [any, mask, NONE]));
        if outside && self.draw.one_in(2) {
            // Far from the memory and its edges, whatever the operand.
            let far = self.constant(Type::I64, 1 << 62);
            return self.push(Inst::new(Op::Or, Type::I64, Type::I64, [offset, far, NONE]));
        } else if outside {
            inst.imm = 0;
            let page = self.constant(Type::I64, PAGE_SIZE - 16);
            let offset = self.push(Inst::new(Op::And, Type::I64, Type::I64, [offset, page, NONE]));
            let behind = self.constant(Type::I64, self.shape.memory.end().get() + PAGE_SIZE);
            return self.push(Inst::new(Op::Add, Type::I64, Type::I64, [behind, offset, NONE]));
        }
        // Some bases lie behind the access, so that the displacement is negative.
        let back = if inst.imm != 0 && self.draw.one_in(2) { half as i64 } else { 0 };
        inst.imm -= back;
        let start = self.constant(Type::I64, start.wrapping_add_signed(back));
        self.push(Inst::new(Op::Add, Type::I64, Type::I64, [start, offset, NONE]))
    }

    fn end(&mut self) -> End {
        let target = self.draw.pick(self.shape.targets);
        let other = self.draw.pick(self.shape.targets);
        let end = match self.draw.below(10) {
            0 => End::Branch { cond: self.operand(Type::I8), taken: target, fall: other },
            1 => End::Call { target, ret: other },
            2 => End::Indirect { addr: self.code_address() },
            3 => End::IndirectCall { addr: self.code_address(), ret: other },
            4 => End::Return { addr: self.code_address() },
            5 => End::Syscall { next: target },
            6 => End::Trap { kind: self.draw.pick(&TrapKind::ALL), at: Target(0), addr: other },
            7 => End::FlushCode { next: target },
            8 if !self.shape.modes.is_empty() => End::ModeChange { next: target },
            _ => End::Jump { target },
        };
        if !(self.shape.permits_end)(&end) {
            return End::Jump { target };
        }
        if matches!(end, End::ModeChange { .. }) && !self.draw.one_in(4) {
            let mode = self.draw.pick(self.shape.modes);
            let mode = self.constant(Type::I64, mode);
            self.push(Inst::new(Op::SetMode, Type::I64, Type::I64, [mode, NONE, NONE]));
        }
        end
    }

    /// One of the targets, or one of two by a value.
    fn code_address(&mut self) -> Value {
        let target = self.draw.pick(self.shape.targets);
        let one = self.with_imm(Op::Pc, Type::I64, [NONE; 3], target.0);
        if self.draw.one_in(2) {
            return one;
        }
        let target = self.draw.pick(self.shape.targets);
        let other = self.with_imm(Op::Pc, Type::I64, [NONE; 3], target.0);
        let cond = self.operand(Type::I8);
        self.push(Inst::new(Op::Select, Type::I64, Type::I64, [cond, one, other]))
    }
}
