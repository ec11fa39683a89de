//! From a region to Cranelift's representation: one match over the ops, by family.
//!
//! Guest slots are the builder's variables, so that its SSA construction places block parameters where control joins.
//! Ops become one to a few instructions of the same width; nothing is optimised here, since the IR's passes have done
//! what may be done to a guest, and Cranelift runs without its own.

mod assembled;
mod bytes;
mod control;
mod divide;
mod float;
mod int;
mod keep;
mod memory;
mod replay;
mod search;
mod singles;
mod sink;
mod slots;
mod status;
mod vector;
mod wide;
mod words;

use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, Type as ClifType, Value as ClifValue, types};
use cranelift_frontend::{FunctionBuilder, Variable};
use vm_core::{CpuState, GuestAddr, SLOT_COUNT, Slot};
use vm_ir::{Block, Helper, HelperEffect, Inst, Op, Type, Value};

use crate::jit::CompileError;
use crate::jit::abi::{FrameRegister, offset, region_signature, runtime_signature};
use crate::jit::runtime::Function;
use crate::region::{AtFaults, Part, RegionPlan, SlotSet, Slots, analyse, flushes, narrow_values};

/// What the target can do that emission depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Where the frame's address is.
    pub(crate) frame: FrameRegister,
    /// The host's fault handler can step over an access.
    pub(crate) steps_over: bool,
    /// Plain loads and stores are ordered as acquire and release.
    pub(crate) is_tso: bool,
    /// Fused multiply-add is one instruction.
    pub(crate) has_fma: bool,
    /// Whether calls that keep every register can be made.
    pub(crate) keeps_registers: bool,
    /// A float is the lowest lane of a vector register, so that it becomes a vector and back without leaving it.
    pub(crate) floats_in_lanes: bool,
    /// An aligned load of 16 bytes is one access.
    pub(crate) loads_vectors_at_once: bool,
    /// 128-bit compare-and-swap is one instruction.
    pub(crate) has_cas128: bool,
}

/// What a piece of code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The guest instruction.
    pub(crate) pc: GuestAddr,
    /// The fault handler is to step over its accesses.
    pub(crate) steps_over: bool,
}

/// What emission gives besides the function.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    /// What the function's source locations index.
    pub(crate) places: Vec<Place>,
}

/// Builds the function of `plan` in `ir`. Links are numbered from `first_link` in the order of [`RegionPlan::links`].
///
/// # Errors
/// [`CompileError::Unsupported`] for ops that no code is generated for.
pub(crate) fn emit(
    plan: &RegionPlan,
    helpers: &[Helper],
    target: Target,
    first_link: u32,
    ir: FunctionBuilder<'_>,
) -> Result<Emitted, CompileError> {
    let slots = analyse(plan, target.steps_over, helpers);
    let mut emitter = Emitter::new(plan, helpers, target, first_link, &slots, ir);
    emitter.prologue();
    for &index in &slots.order {
        emitter.region_block(index)?;
    }
    emitter.keep_flag_effects();
    emitter.ir.seal_all_blocks();
    let Emitter { ir, places, .. } = emitter;
    ir.finalize(cranelift_codegen::isa::TargetFrontendConfig {
        default_call_conv: cranelift_codegen::isa::CallConv::SystemV,
        pointer_width: target_lexicon::PointerWidth::U64,
        page_size_align_log2: 12,
    });
    Ok(Emitted { places })
}

/// How many accesses of words there are in place of those of bytes in `block`, where nothing is needed behind it.
#[cfg(test)]
pub(crate) fn joined_accesses(block: &Block) -> usize {
    let words = bytes::Words::of(block, AtFaults::Incomplete, &SlotSet::default());
    let is_first = |at: &usize| match words.role(*at) {
        bytes::Role::Loads(_, place) => place == 0,
        bytes::Role::Stores(number) => words.stores[number].0[0] == *at,
        bytes::Role::None | bytes::Role::Gives(..) => false,
    };
    (0..block.insts.len()).filter(is_first).count()
}

/// How an IR value is used, beyond the arithmetic that does not look at a NaN's bits.
#[derive(Clone, Copy, Default)]
struct Use {
    /// Something sees the value's bits.
    observed: bool,
    /// Something outside its guest instruction uses it.
    escapes: bool,
    /// Something may look at the floating-point flags, or leave the region, between the value and a use.
    overtaken: bool,
}

struct Emitter<'a, 'b> {
    plan: &'a RegionPlan,
    helpers: &'a [Helper],
    target: Target,
    first_link: u32,
    links: Vec<GuestAddr>,
    slots: &'a Slots,
    ir: FunctionBuilder<'b>,
    variables: Vec<Option<(Variable, Type)>>,
    /// Entry of each block of the region.
    entries: Vec<ir::Block>,
    /// Predecessors of each block of the region that are not emitted yet.
    missing: Vec<usize>,
    region_signature: ir::SigRef,
    /// The function's entry block, whose parameters are the function's.
    start: ir::Block,
    /// The frame's address in the current Cranelift block, once asked for.
    frame: Option<ClifValue>,
    /// Host address of guest address 0 and the guest's limit, for based memory.
    memory: Option<(ClifValue, ClifValue)>,
    places: Vec<Place>,
    /// Instructions whose flags count even if their result does not.
    flag_effects: Vec<ir::Inst>,
    /// The region reads or writes the sticky flags, so comparisons must not be repeated by instruction selection.
    reads_flags: bool,

    // State of the block that is being emitted.
    here: usize,
    block: &'a Block,
    values: Vec<Option<ClifValue>>,
    /// IR values that are arithmetic results with the host's NaN.
    raw: Vec<bool>,
    uses: Vec<Use>,
    /// For a load the first op that extends its value.
    extensions: Vec<Option<usize>>,
    /// Values that are sign extensions of their low 32 bits, or box a single.
    narrow: Vec<bool>,
    singles: singles::Singles,
    sunk: sink::Sunk,
    joined: words::Joined,
    /// The slot whose value is the flags of the frame's status and its variable together.
    unread_flags: Option<Slot>,
    dirty: SlotSet,
    raw_slots: SlotSet,
    /// Accesses for which the state before them is kept.
    group: replay::Group,
    /// What is emitted is rarely run.
    is_cold: bool,
}

/// Cranelift's type for values of `ty`. Half floats are held as bits.
fn clif_type(ty: Type) -> ClifType {
    match ty {
        Type::I8 => types::I8,
        Type::I16 | Type::F16 => types::I16,
        Type::I32 => types::I32,
        Type::I64 => types::I64,
        Type::F32 => types::F32,
        Type::F64 => types::F64,
        Type::V128 => types::I8X16,
    }
}

/// Flags of accesses to the frame: always mapped and aligned.
fn frame_flags() -> MemFlagsData {
    MemFlagsData::trusted()
}

impl<'a, 'b> Emitter<'a, 'b> {
    fn new(
        plan: &'a RegionPlan,
        helpers: &'a [Helper],
        target: Target,
        first_link: u32,
        slots: &'a Slots,
        mut ir: FunctionBuilder<'b>,
    ) -> Self {
        let mut variables = vec![None; SLOT_COUNT];
        for (slot, ty) in &slots.types {
            let place: &mut Option<(Variable, Type)> = &mut variables[slot.index()];
            place.get_or_insert_with(|| (ir.declare_var(clif_type(*ty)), *ty));
        }
        let start = ir.create_block();
        let entries = plan.blocks.iter().map(|_| ir.create_block()).collect();
        let region_signature = ir.import_signature(region_signature(target.frame));
        let insts = || plan.blocks.iter().flat_map(|here| &here.block.insts);
        let reads_flags =
            insts().any(|inst| matches!(inst.op, Op::FpFlagsGet | Op::FpFlagsSet | Op::SetMode | Op::Call));
        Self {
            plan,
            helpers,
            target,
            first_link,
            links: plan.links(),
            slots,
            ir,
            variables,
            entries,
            missing: slots.flow.iter().map(|flow| flow.predecessors).collect(),
            region_signature,
            start,
            frame: None,
            memory: None,
            places: Vec::new(),
            flag_effects: Vec::new(),
            reads_flags,
            here: 0,
            block: &plan.blocks[0].block,
            values: Vec::new(),
            raw: Vec::new(),
            uses: Vec::new(),
            extensions: Vec::new(),
            narrow: Vec::new(),
            singles: singles::Singles::default(),
            sunk: sink::Sunk::default(),
            joined: words::Joined::default(),
            unread_flags: status::unread_flags(plan).filter(|_| target.keeps_registers),
            dirty: SlotSet::default(),
            raw_slots: SlotSet::default(),
            group: replay::Group::default(),
            is_cold: false,
        }
    }

    fn region_block(&mut self, index: usize) -> Result<(), CompileError> {
        let block: &'a Block = &self.plan.blocks[index].block;
        let flow = &self.slots.flow[index];
        self.here = index;
        self.block = block;
        self.scan_uses();
        self.begin_words();
        self.begin_sinking();
        narrow_values(block, self.slots.narrow[index], self.helpers, &mut self.narrow);
        self.begin();
        self.switch_to(self.entries[index]);
        if self.missing[index] == 0 && index != 0 {
            self.ir.seal_block(self.entries[index]);
        }
        self.locate(block.key.pc);
        if flow.polls_late {
            self.poll_late()?;
        } else if flow.is_loop {
            self.poll(block.key.pc);
        }
        self.pass_words();
        self.ops()?;
        self.settle();
        self.widen_singles();
        self.end()?;
        let mut targets: Vec<_> = self.plan.blocks[index].edges.iter().map(|(_, to)| *to).collect();
        targets.sort_unstable();
        targets.dedup();
        for to in targets {
            self.missing[to] -= 1;
            if self.missing[to] == 0 && self.slots.flow[to].is_loop {
                self.ir.seal_block(self.entries[to]);
            }
        }
        Ok(())
    }

    /// What is known before the first op of the block.
    fn begin(&mut self) {
        let flow = &self.slots.flow[self.here];
        self.values.clear();
        self.values.resize(self.block.insts.len(), None);
        self.raw.clear();
        self.raw.resize(self.block.insts.len(), false);
        self.dirty = flow.dirty;
        self.raw_slots = flow.raw;
        self.begin_singles();
        self.forget_words();
    }

    /// Emits the ops of the block.
    fn ops(&mut self) -> Result<(), CompileError> {
        let block = self.block;
        if self.plan.options.count {
            self.count(block.guest_len());
        }
        let mut marks = block.marks.iter().peekable();
        let mut at = 0;
        while at < block.insts.len() {
            while let Some(mark) = marks.next_if(|mark| mark.first as usize <= at) {
                self.locate(block.key.pc.offset(i64::from(mark.offset)));
            }
            let last = match self.store_run(at)? {
                Some(last) => last,
                None => {
                    self.op(at)?;
                    at
                }
            };
            self.after_op(last);
            at = last + 1;
        }
        self.close_group();
        Ok(())
    }

    /// Emits the op at `at`, with what has to be stored before it.
    fn op(&mut self, at: usize) -> Result<(), CompileError> {
        self.before_op(at);
        if !flushes(self.block, at, self.slots.flow[self.here].at_faults, self.helpers) {
            return self.inst(at);
        }
        let dirty = std::mem::take(&mut self.dirty);
        self.settle_slots(&dirty);
        self.store_slots(&dirty);
        let pc = self.pc();
        self.locate_at(Place { pc, steps_over: false });
        self.inst(at)?;
        self.locate(pc);
        Ok(())
    }

    /// Polls at a loop header. Who leaves does so behind the block's ops, which are emitted a second time for that, so
    /// that the loop does not carry slots that they replace only to have them for the exit.
    fn poll_late(&mut self) -> Result<(), CompileError> {
        let word = self.load_frame(types::I32, offset::INTERRUPT);
        let (cold, next) = self.split(word, None);
        self.enter_cold(cold);
        self.is_cold = true;
        self.ops()?;
        self.end_late()?;
        self.is_cold = false;
        self.begin();
        self.enter_next(next);
        self.locate(self.block.key.pc);
        Ok(())
    }

    /// Says that what follows belongs to the guest instruction at `pc`.
    fn locate(&mut self, pc: GuestAddr) {
        self.locate_at(Place { pc, steps_over: self.slots.flow[self.here].at_faults == AtFaults::Replayed });
    }

    fn locate_at(&mut self, place: Place) {
        if self.places.last() != Some(&place) {
            self.places.push(place);
        }
        self.ir.set_srcloc(ir::SourceLoc::new(self.places.len() as u32 - 1));
    }

    /// The guest instruction that what is emitted belongs to.
    fn pc(&self) -> GuestAddr {
        self.places.last().map_or(self.block.key.pc, |place| place.pc)
    }

    fn switch_to(&mut self, block: ir::Block) {
        self.ir.switch_to_block(block);
        self.frame = None;
    }

    /// Where [`offset`] counts from.
    fn frame(&mut self) -> ClifValue {
        if let Some(frame) = self.frame {
            return frame;
        }
        let frame = match self.target.frame {
            FrameRegister::Pinned => self.ir.ins().get_pinned_reg(types::I64),
            FrameRegister::Argument => self.ir.func.dfg.block_params(self.start)[0],
        };
        self.frame = Some(frame);
        frame
    }

    fn load_frame(&mut self, ty: ClifType, offset: i32) -> ClifValue {
        let frame = self.frame();
        self.ir.ins().load(ty, frame_flags(), frame, offset)
    }

    fn store_frame(&mut self, value: ClifValue, offset: i32) {
        let frame = self.frame();
        self.ir.ins().store(frame_flags(), value, frame, offset);
    }

    /// Calls a function of the runtime with the frame's address and `args`.
    fn call_runtime(&mut self, function: Function, args: &[ClifValue]) -> ClifValue {
        let frame = self.frame();
        let mut all = Vec::with_capacity(args.len() + 1);
        all.push(self.ir.ins().iadd_imm_s(frame, i64::from(offset::FRAME)));
        all.extend_from_slice(args);
        self.call_entry(function as usize, &all)
    }

    /// Calls the entry of the function table at `index` with exactly `args`.
    fn call_entry(&mut self, index: usize, args: &[ClifValue]) -> ClifValue {
        let signature = self.ir.import_signature(runtime_signature(args.len() - 1));
        let function = self.runtime_entry(index);
        let call = self.ir.ins().call_indirect(signature, function, args);
        self.ir.inst_results(call)[0]
    }

    /// The entry of the function table at `index`.
    fn runtime_entry(&mut self, index: usize) -> ClifValue {
        let table = self.load_frame(types::I64, offset::FUNCTIONS);
        self.ir.ins().load(types::I64, frame_flags().with_readonly(), table, index as i32 * 8)
    }

    fn iconst(&mut self, ty: ClifType, value: i64) -> ClifValue {
        let bits = ty.bits();
        let value = if bits < 64 { value & ((1 << bits) - 1) } else { value };
        self.ir.ins().iconst(ty, value)
    }

    fn scan_uses(&mut self) {
        let block = self.block;
        self.uses.clear();
        self.uses.resize(block.insts.len(), Use::default());
        self.extensions.clear();
        self.extensions.resize(block.insts.len(), None);
        let mut marks = block.marks.iter().peekable();
        let mut first = 0;
        let mut last_look = 0;
        for (at, inst) in block.insts.iter().enumerate() {
            while let Some(mark) = marks.next_if(|mark| mark.first as usize <= at) {
                first = mark.first;
            }
            if matches!(inst.op, Op::SignExtend | Op::ZeroExtend) && block.def(inst.args[0]).op == Op::Load {
                self.extensions[inst.args[0].index()].get_or_insert(at);
            }
            let arithmetic = float::ignores_nan_bits(inst);
            for arg in inst.operands() {
                let found = &mut self.uses[arg.index()];
                found.observed |= !arithmetic;
                found.escapes |= inst.op == Op::Set || (arg.index() as u32) < first;
                found.overtaken |= arg.index() < last_look;
            }
            // Whatever has a part in groups of accesses looks at the flags, or may leave with them.
            if Part::of(inst.op) != Part::None {
                last_look = at;
            }
        }
        if let Some(value) = block.end.operand() {
            let overtaken = self.uses[value.index()].overtaken || value.index() < last_look;
            self.uses[value.index()] = Use { observed: true, escapes: true, overtaken };
        }
    }

    /// The value of operand `index` as it stands.
    fn arg(&self, inst: &Inst, index: usize) -> ClifValue {
        self.value(inst.args[index])
    }

    fn value(&self, value: Value) -> ClifValue {
        self.values[value.index()].expect("an operand comes before its use")
    }

    /// The value of operand `index` with the NaN that the guest sees.
    fn observed(&mut self, inst: &Inst, index: usize) -> ClifValue {
        let at = inst.args[index].index();
        if std::mem::take(&mut self.raw[at]) {
            let raw = self.value(inst.args[index]);
            let canonical = self.canonical(raw);
            self.values[at] = Some(canonical);
            // A slot that holds it need not be settled again.
            for slot in self.raw_slots.iter() {
                let variable = self.variable(slot).0;
                if self.ir.use_var(variable) == raw {
                    self.ir.def_var(variable, canonical);
                    self.raw_slots.remove(slot);
                }
            }
        }
        self.value(inst.args[index])
    }

    /// Calls the definition of `inst` on its operands.
    fn definition(&mut self, inst: &Inst) -> ClifValue {
        let description = crate::jit::runtime::describe(inst);
        let description = self.iconst(types::I64, description);
        let mut args = [description; 4];
        for (index, place) in args.iter_mut().skip(1).enumerate() {
            *place = if index < inst.operands().len() {
                let value = self.observed(inst, index);
                let ty = self.block.def(inst.args[index]).result().unwrap_or(Type::I64);
                self.bits_of(value, ty)
            } else {
                self.iconst(types::I64, 0)
            };
        }
        let bits = self.call_runtime(Function::Scalar, &args);
        self.value_of(bits, inst.result().unwrap_or(Type::I64))
    }

    /// A scalar as 64 bits, zeros above.
    fn bits_of(&mut self, value: ClifValue, ty: Type) -> ClifValue {
        let value = match ty {
            Type::F32 => self.ir.ins().bitcast(types::I32, MemFlagsData::new(), value),
            Type::F64 => self.ir.ins().bitcast(types::I64, MemFlagsData::new(), value),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::F16 | Type::V128 => value,
        };
        if ty.bits() < 64 { self.ir.ins().uextend(types::I64, value) } else { value }
    }

    /// The scalar of type `ty` in the low bits of 64.
    fn value_of(&mut self, bits: ClifValue, ty: Type) -> ClifValue {
        match ty {
            Type::I64 | Type::V128 => bits,
            Type::I8 | Type::I16 | Type::I32 | Type::F16 => self.ir.ins().ireduce(clif_type(ty), bits),
            Type::F32 => {
                let narrow = self.ir.ins().ireduce(types::I32, bits);
                self.ir.ins().bitcast(types::F32, MemFlagsData::new(), narrow)
            }
            Type::F64 => self.ir.ins().bitcast(types::F64, MemFlagsData::new(), bits),
        }
    }

    /// Calls a helper; one that works on the state finds and leaves all of it in memory.
    fn helper(&mut self, inst: &Inst) -> Result<ClifValue, CompileError> {
        let index = inst.imm as usize;
        let Some(helper) = self.helpers.get(index) else { return Err(CompileError::UnknownHelper { index }) };
        let mut args = Vec::with_capacity(4);
        if helper.effect == HelperEffect::State {
            self.call_runtime(Function::GatherFlags, &[]);
            let frame = self.frame();
            args.push(self.ir.ins().iadd_imm_s(frame, i64::from(offset::STATE)));
        }
        for index in 0..3 {
            let value = if index < inst.operands().len() { self.arg(inst, index) } else { self.iconst(types::I64, 0) };
            args.push(value);
        }
        let value = self.call_entry(Function::COUNT + index, &args);
        if helper.effect == HelperEffect::State {
            for (slot, _) in &self.slots.types {
                self.load_slot(*slot);
                self.raw_slots.remove(*slot);
            }
            self.forget_singles();
        }
        Ok(value)
    }

    /// Emits the op at `at`. The only match over ops; the families' methods do the work.
    fn inst(&mut self, at: usize) -> Result<(), CompileError> {
        let block = self.block;
        let inst = &block.insts[at];
        if self.values[at].is_some() {
            // An extension that its load has made.
            return Ok(());
        }
        if let Some(word) = self.given_word(at) {
            self.values[at] = Some(word);
            return Ok(());
        }
        let value = match inst.op {
            Op::Const => self.constant(inst),
            Op::Pc => self.iconst(types::I64, block.key.pc.offset(inst.imm).get() as i64),
            Op::Get => self.get(at, inst.slot()),
            Op::Set => {
                if !self.sinks(at) {
                    self.set(inst);
                }
                return Ok(());
            }
            Op::SetMode => {
                let mode = self.arg(inst, 0);
                self.store_frame(mode, offset::STATE + CpuState::MODE_OFFSET as i32);
                return Ok(());
            }

            Op::Add => self.add(inst),
            Op::Sub => self.sub(inst),
            Op::Mul => self.binary(inst, |ir, a, b| ir.imul(a, b)),
            Op::MulHighS => self.mul_high(inst, int::Signs::Signed),
            Op::MulHighU => self.mul_high(inst, int::Signs::Unsigned),
            Op::MulHighSU => self.mul_high(inst, int::Signs::First),
            Op::DivS => self.div_s(inst),
            Op::DivU => self.div_u(inst),
            Op::RemS => self.rem_s(inst),
            Op::RemU => self.rem_u(inst),
            Op::CarryAdd => self.carry_add(inst),
            Op::OverflowAdd => self.overflow_add(inst),
            Op::BorrowSub => self.borrow_sub(inst),
            Op::OverflowSub => self.overflow_sub(inst),
            Op::And => self.and(inst),
            Op::Or => self.binary(inst, |ir, a, b| ir.bor(a, b)),
            Op::Xor => self.binary(inst, |ir, a, b| ir.bxor(a, b)),
            Op::Shl => self.binary(inst, |ir, a, b| ir.ishl(a, b)),
            Op::ShrU => self.binary(inst, |ir, a, b| ir.ushr(a, b)),
            Op::ShrS => self.binary(inst, |ir, a, b| ir.sshr(a, b)),
            Op::RotL => self.binary(inst, |ir, a, b| ir.rotl(a, b)),
            Op::RotR => self.binary(inst, |ir, a, b| ir.rotr(a, b)),
            Op::Clz => self.unary(inst, |ir, a| ir.clz(a)),
            Op::Ctz => self.unary(inst, |ir, a| ir.ctz(a)),
            Op::Popcount => self.unary(inst, |ir, a| ir.popcnt(a)),
            Op::BitReverse => self.unary(inst, |ir, a| ir.bitrev(a)),
            Op::ByteSwap => self.unary(inst, |ir, a| ir.bswap(a)),
            Op::ClMul | Op::ClMulHigh => self.definition(inst),
            Op::Eq => self.compare(inst, ir::condcodes::IntCC::Equal),
            Op::Ne => self.compare(inst, ir::condcodes::IntCC::NotEqual),
            Op::LtS => self.compare(inst, ir::condcodes::IntCC::SignedLessThan),
            Op::LtU => self.compare(inst, ir::condcodes::IntCC::UnsignedLessThan),
            Op::LeS => self.compare(inst, ir::condcodes::IntCC::SignedLessThanOrEqual),
            Op::LeU => self.compare(inst, ir::condcodes::IntCC::UnsignedLessThanOrEqual),
            Op::Select => self.select(inst),
            Op::SignExtend => self.sign_extend(inst),
            Op::ZeroExtend => self.unary(inst, |ir, a| ir.uextend(clif_type(inst.ty), a)),
            Op::Truncate => self.unary(inst, |ir, a| ir.ireduce(clif_type(inst.ty), a)),
            Op::Bitcast => self.bitcast(inst),

            Op::FAdd => self.arithmetic(at, |ir, args| ir.fadd(args[0], args[1])),
            Op::FSub => self.arithmetic(at, |ir, args| ir.fsub(args[0], args[1])),
            Op::FMul => self.arithmetic(at, |ir, args| ir.fmul(args[0], args[1])),
            Op::FDiv => self.arithmetic(at, |ir, args| ir.fdiv(args[0], args[1])),
            Op::FSqrt => self.arithmetic(at, |ir, args| ir.sqrt(args[0])),
            Op::FMulAdd => self.multiply_add(inst),
            Op::FNeg => self.fneg(at),
            Op::FAbs => self.fabs(inst),
            Op::FCopySign => self.fcopysign(inst),
            Op::FEq => self.float_compare(at, ir::condcodes::FloatCC::Equal),
            Op::FLt => self.float_compare(at, ir::condcodes::FloatCC::LessThan),
            Op::FEqSilent => self.silent_compare(inst, ir::condcodes::FloatCC::Equal),
            Op::FLtSilent => self.silent_compare(inst, ir::condcodes::FloatCC::LessThan),
            Op::FLeSilent => self.silent_compare(inst, ir::condcodes::FloatCC::LessThanOrEqual),
            Op::FLe => self.float_compare(at, ir::condcodes::FloatCC::LessThanOrEqual),
            Op::FUnordered => self.float_compare(at, ir::condcodes::FloatCC::Unordered),
            Op::FToIntS => self.float_to_int(inst),
            Op::IntToFS => self.int_to_float(inst, float::Signed::Yes),
            Op::IntToFU => self.int_to_float(inst, float::Signed::No),
            Op::FConvert => self.float_convert(at),
            Op::FMin | Op::FMax | Op::FClass | Op::FToIntU | Op::FRound => self.definition(inst),
            Op::FBox => self.fbox(at),
            Op::FUnbox => self.funbox(inst),
            Op::FpFlagsGet => {
                self.values[at] = self.flags_get(at);
                return Ok(());
            }
            Op::FpFlagsSet => {
                let flags = self.arg(inst, 0);
                self.call_runtime(Function::FpFlagsSet, &[flags]);
                return Ok(());
            }

            Op::Load => self.load(at),
            Op::Store => {
                self.store(at);
                return Ok(());
            }
            Op::AtomicRmw => self.atomic_rmw(at),
            Op::AtomicCas => self.atomic_cas(at),
            Op::Fence => {
                self.fence(inst.fence());
                return Ok(());
            }

            Op::VUnary | Op::VBinary | Op::VTernary => {
                return Err(CompileError::Unsupported { op: inst.op, key: block.key });
            }
            Op::VExtract => self.extract_lane(inst),
            Op::VInsert => self.insert_lane(inst),
            Op::VSplat => self.splat(inst),

            Op::Call => self.helper(inst)?,
            Op::TrapIf => {
                self.trap_if(at);
                return Ok(());
            }
            Op::ExitIf => {
                self.exit_if(inst);
                return Ok(());
            }
        };
        self.values[at] = Some(value);
        Ok(())
    }
}
