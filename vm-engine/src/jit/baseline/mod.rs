//! The baseline compiler: regions to x86-64 code in one pass.
//!
//! Guest slots stay in the state: every write goes there at once, so the state is exact at each access of memory and at
//! each exit, and an instruction reads them there unless a register still holds the same, in the block or from the blocks
//! before. Values of a block are held in registers for as long as they are needed. There is no other optimisation here: what
//! runs long enough to deserve one is compiled again.

mod asm;
mod control;
mod float;
mod int;
mod memory;
mod places;
mod residents;

use vm_core::GuestAddr;
use vm_ir::{Block, Effect, Helper, HelperEffect, Inst, Op, Type, Value, eval};

use self::asm::{Alu, Asm, Gpr, Label, R8, RAX, RCX, RDI, RDX, RSI, RSP, Rm, Shift, Width, Xmm};
use self::places::{FRAME, Place, Places, VALUE_WORDS, home, is_vector, spill};
use self::residents::Residents;
use super::HostCode;
use super::abi::offset;
use super::runtime::{Function, describe};
use crate::region::{Quality, RegionPlan};

/// The region holds something that this compiler does not do; the optimising one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// What a baseline compiler keeps between regions.
#[derive(Default)]
pub(super) struct Memory {
    asm: Asm,
    places: Places,
}

/// Compiles `plan`. Links are numbered from `first_link` in the order of [`RegionPlan::links`].
///
/// # Errors
/// [`Refused`] if an op is not supported here.
pub(super) fn compile(
    plan: &RegionPlan,
    helpers: &[Helper],
    has_fma: fn() -> bool,
    first_link: u32,
    memory: &mut Memory,
) -> Result<HostCode, Refused> {
    let mut baseline = Baseline::new(plan, helpers, has_fma, first_link, std::mem::take(memory));
    let result = baseline.region();
    let pcs = std::mem::take(&mut baseline.pcs);
    let Baseline { asm, places, outer, .. } = baseline;
    let entries = outer.into_iter().map(|(label, pc)| (asm.place(label), pc)).collect();
    *memory = Memory { asm, places };
    result?;
    Ok(HostCode { bytes: memory.asm.code.clone(), pcs, entries, quality: Quality::Baseline, steps_over: Vec::new() })
}

/// Whether a region for such memory can be compiled here.
pub(super) fn handles(plan: &RegionPlan) -> bool {
    plan.options.memory == crate::region::MemoryMode::Direct && plan.assumed.is_empty()
}

/// Code that is rarely needed, put after the region's.
enum Later {
    /// A way out.
    Exit { label: Label, exit: control::Exit },
    /// A block that was entered often enough, and where it begins after that was noticed.
    Hot { label: Label, block: usize, entry: Label },
    /// Where a block is entered from outside the region, as `expected` or not.
    Entry { label: Label, block: usize, expected: bool },
    /// The definition of an op whose instruction did not give the result.
    Definition(Box<LaterDefinition>),
}

struct LaterDefinition {
    inst: Inst,
    label: Label,
    end: Label,
    args: Vec<(Type, u8)>,
    dst: u8,
    gprs: Vec<Gpr>,
    xmms: Vec<Xmm>,
}

struct Baseline<'a> {
    plan: &'a RegionPlan,
    helpers: &'a [Helper],
    has_fma: fn() -> bool,
    first_link: u32,
    links: Vec<GuestAddr>,
    asm: Asm,
    places: Places,
    /// Entry of each block of the region.
    entries: Vec<Label>,
    /// For each block what registers hold of the state where control comes to it from the region's blocks before.
    arriving: Vec<Option<Residents>>,
    /// The same at the end of the blocks that are compiled.
    left: Vec<Residents>,
    /// Where blocks are entered from outside the region.
    outer: Vec<(Label, GuestAddr)>,
    later: Vec<Later>,
    pcs: Vec<(u32, GuestAddr)>,

    // State of the block that is being compiled.
    here: usize,
    block: &'a Block,
    /// Narrow values that are wide already, as the one that uses them wants.
    extended: Vec<Value>,
}

impl<'a> Baseline<'a> {
    fn new(
        plan: &'a RegionPlan,
        helpers: &'a [Helper],
        has_fma: fn() -> bool,
        first_link: u32,
        memory: Memory,
    ) -> Self {
        let Memory { mut asm, mut places } = memory;
        asm.clear();
        places.begin_region();
        let entries = plan.blocks.iter().map(|_| asm.label()).collect();
        Self {
            plan,
            helpers,
            has_fma,
            first_link,
            links: plan.links(),
            asm,
            places,
            entries,
            arriving: vec![None; plan.blocks.len()],
            left: Vec::with_capacity(plan.blocks.len()),
            outer: Vec::new(),
            later: Vec::new(),
            pcs: Vec::new(),
            here: 0,
            block: &plan.blocks[0].block,
            extended: Vec::new(),
        }
    }

    fn region(&mut self) -> Result<(), Refused> {
        let loops = self.loops();
        for (index, is_loop) in loops.iter().enumerate() {
            self.region_block(index, index == 0 || *is_loop)?;
        }
        self.pass_on_reliance();
        for (index, here) in self.plan.blocks.iter().enumerate().skip(1) {
            if loops[index] {
                self.outer.push((self.entries[index], here.block.key.pc));
            } else {
                let label = self.asm.label();
                self.outer.push((label, here.block.key.pc));
                self.later.push(Later::Entry { label, block: index, expected: here.entered });
            }
        }
        // Ways in have ways out of their own.
        while let Some(later) = self.later.pop() {
            self.emit_later(later);
        }
        self.asm.link();
        if self.places.overflowed { Err(Refused) } else { Ok(()) }
    }

    /// Blocks to which a jump goes back.
    fn loops(&self) -> Vec<bool> {
        let mut loops = vec![false; self.plan.blocks.len()];
        for (from, here) in self.plan.blocks.iter().enumerate() {
            for (_, to) in here.edges.iter().filter(|(_, to)| *to <= from) {
                loops[*to] = true;
            }
        }
        loops
    }

    fn region_block(&mut self, index: usize, polls: bool) -> Result<(), Refused> {
        let block: &'a Block = &self.plan.blocks[index].block;
        self.here = index;
        self.block = block;
        self.extended.clear();
        if polls {
            self.arriving[index] = None; // entered from outside too, by the same way
        }
        self.places.begin(block, self.arriving[index].unwrap_or_default());
        self.asm.bind(self.entries[index]);
        self.locate(block.key.pc);
        if polls {
            self.pass(index);
        }
        if self.plan.options.count {
            self.count(block.guest_len());
        }
        let mut marks = block.marks.iter().peekable();
        for (at, inst) in block.insts.iter().enumerate() {
            while let Some(mark) = marks.next_if(|mark| mark.first as usize <= at) {
                self.locate(block.key.pc.offset(i64::from(mark.offset)));
            }
            let found = self.places.uses[at];
            if found.fused || found.count == 0 && inst.op.effect() == Effect::Pure {
                continue;
            }
            self.places.next(at as u32);
            self.inst(at as u32, inst)?;
        }
        self.places.next(block.insts.len() as u32);
        self.end();
        self.arrive(index);
        Ok(())
    }

    /// Hands on what registers hold at the end of the block at `index` to the blocks that follow.
    fn arrive(&mut self, index: usize) {
        let left = self.places.residents;
        for (_, to) in &self.plan.blocks[index].edges {
            match &mut self.arriving[*to] {
                Some(others) => others.meet(&left),
                nobody => *nobody = Some(left.inherited()),
            }
        }
        self.left.push(left);
    }

    /// Where a block relies on what the one before it has only handed on, so does that one, and whoever enters there from
    /// outside the region has to load it.
    fn pass_on_reliance(&mut self) {
        for index in (0..self.left.len()).rev() {
            for (_, to) in self.plan.blocks[index].edges.iter().filter(|(_, to)| *to > index) {
                let registers = self.left[*to].relied_on();
                self.left[index].rely_on(registers);
            }
        }
    }

    /// Says that what follows belongs to the guest instruction at `pc`.
    fn locate(&mut self, pc: GuestAddr) {
        let at = self.asm.at();
        match self.pcs.last_mut() {
            Some((_, last)) if *last == pc => {}
            Some((start, last)) if *start == at => *last = pc,
            _ => self.pcs.push((at, pc)),
        }
    }

    /// The address of the guest instruction that is being compiled.
    fn pc(&self) -> GuestAddr {
        self.pcs.last().map_or(self.block.key.pc, |(_, pc)| *pc)
    }

    fn set(&mut self, inst: &Inst) -> Result<(), Refused> {
        if inst.ty == Type::V128 {
            return Err(Refused);
        }
        let (value, home) = (inst.args[0], home(inst.slot()));
        // The value first: it may be what the slot holds.
        let place = Rm::Mem(FRAME, home);
        let bytes = inst.ty.bytes();
        match self.places.place(value) {
            Place::State(from) if from == home && self.places.ty(value).bytes() == bytes => return Ok(()),
            Place::Xmm(_) => {
                let register = self.places.in_xmm(&mut self.asm, value);
                self.places.leave_home(&mut self.asm, home);
                self.asm.store_float(inst.ty == Type::F64, place, register);
            }
            Place::Imm(_) if !is_vector(inst.ty) && self.places.imm32(value).is_some() => {
                self.places.leave_home(&mut self.asm, home);
                let bits = self.places.imm32(value).unwrap_or_default();
                self.asm.store_imm(bytes, place, bits);
            }
            _ => {
                let register = self.places.in_gpr(&mut self.asm, value);
                self.places.leave_home(&mut self.asm, home);
                self.asm.store(bytes, place, register);
                if bytes == 8 {
                    self.places.residents.note(register, home);
                }
            }
        }
        if bytes == 8 {
            self.places.settle(value, home);
        }
        Ok(())
    }

    /// Calls the entry of the function table at `index`; its arguments are in place and no value is in a register.
    fn call(&mut self, index: usize) {
        self.asm.mov(Width::W64, RAX, Rm::Mem(FRAME, offset::FUNCTIONS));
        // Regions are entered as functions are: the stack is aligned after one more word.
        self.asm.lea(Width::W64, RSP, RSP, -8);
        self.asm.call_memory(Rm::Mem(RAX, index as i32 * 8));
        self.asm.lea(Width::W64, RSP, RSP, 8);
    }

    /// Puts the bits of `value`, which is in memory or a constant, into an argument register, zeros above.
    fn argument(&mut self, register: Gpr, value: Value) {
        let bytes = self.places.ty(value).bytes();
        match self.places.place(value) {
            Place::Imm(bits) => self.asm.mov_imm(register, bits),
            Place::Spill(word) => self.asm.zero_extend(bytes, register, spill(word)),
            Place::State(home) => self.asm.zero_extend(bytes, register, Rm::Mem(FRAME, home)),
            place => unreachable!("{value} is in {place:?} at a call"),
        }
    }

    /// Gives `value` the result of a call.
    fn result(&mut self, at: u32, ty: Type) {
        let value = Value::new(at);
        if is_vector(ty) {
            let dst = self.places.xmm(&mut self.asm);
            self.asm.float_from_bits(ty == Type::F64, dst, RAX);
            self.places.bind_xmm(value, dst);
        } else {
            self.places.bind(value, RAX);
        }
    }

    /// Calls the definition of `inst` on its operands.
    fn definition(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        let wide = |ty| ty == Type::V128;
        if inst.result().is_some_and(wide) || inst.operands().iter().any(|arg| wide(self.places.ty(*arg))) {
            return Err(Refused);
        }
        self.places.save_all(&mut self.asm);
        self.asm.lea(Width::W64, RDI, FRAME, offset::FRAME);
        self.asm.mov_imm(RSI, describe(inst));
        for (register, arg) in [RDX, RCX, R8].into_iter().zip(inst.operands()) {
            self.argument(register, *arg);
        }
        self.call(Function::Scalar as usize);
        self.result(at, inst.result().unwrap_or(Type::I64));
        Ok(())
    }

    /// Goes to `label` for the definition of `inst`, whose operands are in `args`, and comes back at `end` with the
    /// result in `dst`.
    fn later_definition(&mut self, inst: &Inst, label: Label, end: Label, args: &[u8], dst: u8) {
        let types = inst.operands().iter().map(|arg| self.places.ty(*arg));
        let args = types.zip(args.iter().copied()).collect();
        let (gprs, xmms) = self.places.held();
        self.later.push(Later::Definition(Box::new(LaterDefinition {
            inst: *inst,
            label,
            end,
            args,
            dst,
            gprs,
            xmms,
        })));
    }

    fn emit_later(&mut self, later: Later) {
        let later = match later {
            Later::Exit { label, exit } => {
                self.asm.bind(label);
                self.leave(exit);
                return;
            }
            Later::Hot { label, block, entry } => {
                self.asm.bind(label);
                self.hot(block, entry);
                return;
            }
            Later::Entry { label, block, expected } => {
                self.asm.bind(label);
                if expected {
                    self.pass(block);
                } else {
                    self.pass_by_call(block);
                }
                let arriving = self.arriving[block].unwrap_or_default();
                for (register, home) in arriving.among(self.left[block].relied_on()) {
                    self.asm.mov(Width::W64, register, Rm::Mem(FRAME, home));
                }
                self.asm.jmp(self.entries[block]);
                return;
            }
            Later::Definition(later) => *later,
        };
        let words = || (VALUE_WORDS as u8..).map(spill);
        self.asm.bind(later.label);
        for (register, word) in later.gprs.iter().zip(words()) {
            self.asm.store(8, word, *register);
        }
        for (register, word) in later.xmms.iter().zip(words().skip(later.gprs.len())) {
            self.asm.store_float(true, word, *register);
        }
        for (argument, (ty, register)) in [RDX, RCX, R8].into_iter().zip(&later.args) {
            self.asm.bits_from_float(*ty == Type::F64, argument, *register);
        }
        self.asm.lea(Width::W64, RDI, FRAME, offset::FRAME);
        self.asm.mov_imm(RSI, describe(&later.inst));
        self.call(Function::Scalar as usize);
        let ty = later.inst.result().unwrap_or(Type::I64);
        if is_vector(ty) {
            self.asm.float_from_bits(ty == Type::F64, later.dst, RAX);
        } else {
            self.asm.mov(Width::W64, later.dst, Rm::Reg(RAX));
        }
        for (register, word) in later.gprs.iter().zip(words()) {
            self.asm.mov(Width::W64, *register, word);
        }
        for (register, word) in later.xmms.iter().zip(words().skip(later.gprs.len())) {
            self.asm.load_float(true, *register, word);
        }
        self.asm.jmp(later.end);
    }

    /// Calls a helper; one that works on the state finds and leaves all of it in memory.
    fn helper(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        let index = inst.imm as usize;
        let Some(helper) = self.helpers.get(index) else { return Err(Refused) };
        if helper.effect == HelperEffect::State {
            self.places.leave_state(&mut self.asm);
        }
        self.places.save_all(&mut self.asm);
        let mut registers = [RDI, RSI, RDX, RCX].into_iter();
        if helper.effect == HelperEffect::State {
            self.asm.lea(Width::W64, RDI, FRAME, offset::FRAME);
            self.call(Function::GatherFlags as usize);
            self.asm.lea(Width::W64, RDI, FRAME, offset::STATE);
            registers.next();
        }
        for (index, register) in registers.take(3).enumerate() {
            match inst.operands().get(index) {
                Some(arg) => self.argument(register, *arg),
                None => self.asm.mov_imm(register, 0),
            }
        }
        self.call(Function::COUNT + index);
        self.result(at, Type::I64);
        Ok(())
    }

    /// The result of `inst` if its operands are constants, as those of `li` and `auipc` with what follows are.
    fn folded(&self, inst: &Inst) -> Option<u64> {
        let scalar = |ty| ty != Type::V128;
        if inst.op.effect() != Effect::Pure || inst.operands().is_empty() || !scalar(inst.ty) || !scalar(inst.from) {
            return None;
        }
        let mut args = [0; 3];
        for (bits, arg) in args.iter_mut().zip(inst.operands()) {
            let Place::Imm(known) = self.places.place(*arg) else { return None };
            *bits = known as u64;
        }
        Some(eval::inst(inst, args, &mut eval::FpEnv::new()))
    }

    /// Compiles the op at `at`. The only match over ops; the families' methods do the work.
    fn inst(&mut self, at: u32, inst: &Inst) -> Result<(), Refused> {
        let value = Value::new(at);
        if let Some(bits) = self.folded(inst) {
            self.places.put(value, Place::Imm(bits as i64));
            return Ok(());
        }
        match inst.op {
            Op::Const if inst.ty == Type::V128 => return Err(Refused),
            Op::Const => self.places.put(value, Place::Imm((inst.imm as u64 & inst.ty.mask()) as i64)),
            Op::Pc => self.places.put(value, Place::Imm(self.block.key.pc.offset(inst.imm).get() as i64)),
            Op::Get if inst.ty == Type::V128 => return Err(Refused),
            Op::Get => self.places.put(value, Place::State(home(inst.slot()))),
            Op::Set => self.set(inst)?,
            Op::SetMode => {
                let mode = self.places.in_gpr(&mut self.asm, inst.args[0]);
                let place = offset::STATE + vm_core::CpuState::MODE_OFFSET as i32;
                self.asm.store(8, Rm::Mem(FRAME, place), mode);
            }

            Op::And | Op::Or | Op::Xor if inst.ty == Type::V128 => return Err(Refused),
            Op::Add => self.alu(at, inst, Alu::Add),
            Op::Sub => self.alu(at, inst, Alu::Sub),
            Op::And => self.alu(at, inst, Alu::And),
            Op::Or => self.alu(at, inst, Alu::Or),
            Op::Xor => self.alu(at, inst, Alu::Xor),
            Op::Mul => self.mul(at, inst),
            Op::MulHighS | Op::MulHighU | Op::MulHighSU => self.mul_high(at, inst)?,
            Op::DivS | Op::DivU | Op::RemS | Op::RemU => self.divide(at, inst),
            Op::Shl => self.shift(at, inst, Shift::Shl)?,
            Op::ShrU => self.shift(at, inst, Shift::Shr)?,
            Op::ShrS => self.shift(at, inst, Shift::Sar)?,
            Op::RotL => self.shift(at, inst, Shift::Rol)?,
            Op::RotR => self.shift(at, inst, Shift::Ror)?,
            Op::ByteSwap => self.byte_swap(at, inst)?,
            Op::Eq | Op::Ne | Op::LtS | Op::LtU | Op::LeS | Op::LeU => self.comparison(at, inst),
            Op::Select => self.select(at, inst)?,
            Op::SignExtend => self.extend(at, inst, true),
            Op::ZeroExtend => self.extend(at, inst, false),
            Op::Truncate => self.truncate(at, inst),
            Op::Bitcast => self.bitcast(at, inst),

            Op::FAdd => self.arithmetic(at, inst, 0x58)?,
            Op::FMul => self.arithmetic(at, inst, 0x59)?,
            Op::FSub => self.arithmetic(at, inst, 0x5c)?,
            Op::FDiv => self.arithmetic(at, inst, 0x5e)?,
            Op::FSqrt => self.square_root(at, inst)?,
            Op::FMulAdd => self.multiply_add(at, inst)?,
            Op::FNeg | Op::FAbs | Op::FCopySign => self.sign(at, inst)?,
            Op::FEq | Op::FLt | Op::FLe | Op::FUnordered => self.float_comparison(at, inst)?,
            Op::FToIntS => self.float_to_int(at, inst)?,
            Op::IntToFS | Op::IntToFU => self.int_to_float(at, inst)?,
            Op::FConvert => self.float_convert(at, inst)?,
            Op::FBox => self.fbox(at, inst),
            Op::FUnbox => self.funbox(at, inst),

            // Rare, or without an instruction of every x86-64: by the definition.
            Op::CarryAdd
            | Op::OverflowAdd
            | Op::BorrowSub
            | Op::OverflowSub
            | Op::Clz
            | Op::Ctz
            | Op::Popcount
            | Op::BitReverse
            | Op::ClMul
            | Op::ClMulHigh
            | Op::FEqSilent
            | Op::FLtSilent
            | Op::FLeSilent
            | Op::FMin
            | Op::FMax
            | Op::FClass
            | Op::FToIntU
            | Op::FRound => self.definition(at, inst)?,

            Op::FpFlagsGet => {
                self.places.save_all(&mut self.asm);
                self.asm.lea(Width::W64, RDI, FRAME, offset::FRAME);
                self.call(Function::FpFlagsGet as usize);
                self.result(at, Type::I64);
            }
            Op::FpFlagsSet => {
                self.places.save_all(&mut self.asm);
                self.argument(RSI, inst.args[0]);
                self.asm.lea(Width::W64, RDI, FRAME, offset::FRAME);
                self.call(Function::FpFlagsSet as usize);
            }

            Op::Load => self.load(at, inst)?,
            Op::Store => self.store(inst)?,
            Op::AtomicRmw => self.atomic_rmw(at, inst),
            Op::AtomicCas => self.atomic_cas(at, inst)?,
            Op::Fence => self.fence(inst.fence()),

            Op::VUnary | Op::VBinary | Op::VTernary | Op::VExtract | Op::VInsert | Op::VSplat => return Err(Refused),

            Op::Call => self.helper(at, inst)?,
            Op::TrapIf => self.trap_if(inst),
            Op::ExitIf => self.exit_if(inst),
        }
        Ok(())
    }
}
