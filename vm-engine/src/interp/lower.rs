//! Lowering: from an IR block to the compact form, in one pass back (which values are used) and one pass forward.
//!
//! A slot read is no op but a name for the slot's word; a value is computed straight into the slot it is then written
//! to; a constant is an immediate; a cut to fewer bits waits for a reader that cares; a comparison read by the end
//! becomes part of it. Everything else gets a temporary, and a temporary's word is used again after its last reader.

mod place;

use vm_core::GuestAddr;
use vm_ir::{Block, Effect, End, Inst, Op, Order, Target, Type, Value, eval};

use super::block::{Marks, Parts, Tier0Block};
use super::body::END_WAYS;
use super::code::Opcode;
use super::op::{Code, Generic, Reg, ZERO};
use place::{Loc, Temps, Val, is_wide};

/// Lowers blocks; kept between blocks for its buffers.
#[derive(Debug, Default)]
pub(crate) struct Lowering {
    values: Vec<Val>,
    code: Vec<Code>,
    marks: Marks,
    sides: Vec<GuestAddr>,
    /// Values that are names for a slot's word, with the slot.
    aliases: Vec<(Reg, Value)>,
    temps: Temps,
    spills: u32,
    /// For each op, from the last on: what it becomes if it is to run the op behind it too.
    steps: Vec<Option<Opcode>>,
}

impl Lowering {
    /// The compact form of `block`.
    pub(crate) fn lower(&mut self, block: &Block) -> Tier0Block {
        self.count_uses(block);
        self.code.clear();
        self.marks.clear();
        self.sides.clear();
        self.aliases.clear();
        self.temps.clear();
        self.spills = 0;
        for (mark, ops) in block.instructions() {
            self.marks.push(self.code.len() as u32, mark.offset);
            for index in ops {
                let inst = &block.insts[index];
                if self.values[index].uses > 0 || !is_droppable(inst) {
                    self.inst(block, Value::new(index as u32), inst);
                }
            }
        }
        self.end(block);
        self.pair();
        let at = |target: Target| target.address(block.key.pc);
        let (ends, count) = match block.end {
            End::Jump { target } | End::Call { target, .. } | End::Trap { addr: target, .. } => ([at(target); 2], 1),
            End::Branch { taken, fall, .. } => ([at(taken), at(fall)], 2),
            End::Indirect { .. }
            | End::IndirectCall { .. }
            | End::Return { .. }
            | End::Syscall { .. }
            | End::FlushCode { .. }
            | End::ModeChange { .. } => ([GuestAddr::new(0); 2], 0),
        };
        let parts = Parts {
            code: &self.code,
            guest_len: block.guest_len() as u32,
            bytes: &block.bytes,
            marks: &self.marks,
            ends: &ends[..count],
            sides: &self.sides,
            indirect: matches!(block.end, End::Indirect { .. } | End::IndirectCall { .. } | End::Return { .. }),
            spills: self.spills,
            cacheable: is_cacheable(&block.end),
        };
        Tier0Block::new(block.key, parts)
    }

    /// Makes ops stand for themselves and the one behind them where there is such an opcode, so that as few as possible
    /// are left to dispatch. The op behind stays where it is: its operands are read from there.
    fn pair(&mut self) {
        // By how many ops from an op to the end can be run, the last first.
        self.steps.clear();
        let (mut one, mut two) = (0, 0);
        for index in (0..self.code.len()).rev() {
            let next = self.code.get(index + 1).filter(|_| two < one);
            let pays = next.and_then(|next| self.code[index].op().paired(next.op()));
            (one, two) = (1 + if pays.is_some() { two } else { one }, one);
            self.steps.push(pays);
        }
        let mut index = 0;
        while let Some(both) = self.steps.pop() {
            if let Some(both) = both {
                self.code[index].set_op(both);
                self.steps.pop();
                index += 1;
            }
            index += 1;
        }
    }

    /// Counts the readers of each value, ops that nobody needs left out. It takes no branches, which nobody could foresee:
    /// behind the last value is one that is read where ops have no operand.
    fn count_uses(&mut self, block: &Block) {
        let none = block.insts.len();
        self.values.clear();
        self.values.resize(none + 1, Val::default());
        let values = &mut self.values[..=none];
        if let Some(value) = block.end.operand() {
            values[value.index()].uses += 1;
        }
        for (index, inst) in block.insts.iter().enumerate().rev() {
            let needed = u32::from(values[index].uses > 0) | u32::from(!is_droppable(inst));
            for arg in inst.args {
                values[arg.index().min(none)].uses += needed;
            }
        }
    }

    fn inst(&mut self, block: &Block, value: Value, inst: &Inst) {
        if inst.op.effect() == Effect::Pure && self.fold(block, value, inst) {
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
            Op::And if is_wide(ty) => self.wide(block, value, inst, Opcode::AndWide),
            Op::Or if is_wide(ty) => self.wide(block, value, inst, Opcode::OrWide),
            Op::Xor if is_wide(ty) => self.wide(block, value, inst, Opcode::XorWide),
            Op::And | Op::Or | Op::Xor => self.binary(block, value, inst, Opcode::binary(inst.op, ty)),
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
                let target = Target(inst.imm);
                let link = END_WAYS + self.sides.len();
                self.sides.push(target.address(block.key.pc));
                self.emit(Opcode::ExitIf, weight(target), cond, 0, link as u64);
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
        if inst.op == Op::Add && ty == Type::I64 && self.constant(b) == Some(0) {
            // As in a jump to what a register holds.
            self.release(b, ty);
            return self.alias(value, a, ty, self.val(a).uncut);
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

    /// A bitwise op on 128 bits.
    fn wide(&mut self, block: &Block, value: Value, inst: &Inst, op: Opcode) {
        let [a, b, _] = inst.args;
        let (a, b) = (self.read(a, inst.ty, 0), self.read(b, inst.ty, 1));
        self.release_all(block, inst);
        self.define(value, inst.ty, op, a, b, 0);
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
            && last.d() == reg
            && !val.uncut
            && let Some(op) = last.op().sign_extended(inst.from)
        {
            last.set_op(op);
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

    fn end(&mut self, block: &Block) {
        let at = |target: Target| target.address(block.key.pc).get();
        match block.end {
            End::Jump { target } | End::Call { target, .. } => self.emit(Opcode::Jump, weight(target), 0, 0, 0),
            End::Branch { cond, taken, .. } => {
                let val = self.val(cond);
                if let Loc::Reg(reg) = val.loc
                    && val.uses == 1
                    && !val.uncut
                    && self.temps.is_sole(reg)
                    && let Some(last) = self.code.last_mut()
                    && last.d() == reg
                    && let Some(branch) = last.op().branch()
                {
                    last.set_op(branch);
                    last.set_d(weight(taken));
                    return;
                }
                let reg = self.read(cond, Type::I8, 0);
                self.emit(Opcode::Branch, weight(taken), reg, 0, 0);
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

/// What a jump to `target` counts as, in the register that an end does not write: a jump backwards counts double, so that
/// a loop gets hot at its header.
fn weight(target: Target) -> Reg {
    1 + Reg::from(target.0 <= 0)
}

/// Whether an op may go when nobody reads its value.
fn is_droppable(inst: &Inst) -> bool {
    match inst.op.effect() {
        Effect::Pure | Effect::ReadsSlot | Effect::ReadsFpFlags => true,
        Effect::FpFlags
        | Effect::WritesSlot
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
