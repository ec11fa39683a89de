//! Prologue, polls, block ends and the ways out.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, Value as ClifValue, types};
use vm_core::{CpuState, GuestAddr};
use vm_ir::{End, Inst, Target};

use super::{Emitter, frame_flags};
use crate::frame::ExitCode;
use crate::jit::CompileError;
use crate::jit::abi::{FrameRegister, offset};
use crate::jit::runtime::Function;
use crate::region::MemoryMode;

/// What a branch leads to.
#[derive(Clone, Copy)]
enum Way {
    /// A block of the region.
    Direct,
    /// The same by way of a block that works out what was [put off](super::sink).
    Surfaces(usize),
    /// The exit to this address.
    Leaves(GuestAddr),
}

impl Emitter<'_, '_> {
    /// Polls, loads what the region needs of the state, and goes to the first block.
    pub(super) fn prologue(&mut self) {
        let start = self.start;
        self.ir.append_block_params_for_function_params(start);
        self.switch_to(start);
        self.ir.seal_block(start);
        let entry = self.plan.entry.pc;
        self.locate(entry);
        if !self.slots.flow[0].is_loop {
            self.poll(entry);
        }
        if self.plan.options.memory == MemoryMode::Based {
            let base = self.load_frame(types::I64, offset::MEMORY_BASE);
            let limit = self.load_frame(types::I64, offset::MEMORY_LIMIT);
            self.memory = Some((base, limit));
        }
        self.check_assumed_constants();
        for slot in self.slots.flow[0].live.iter() {
            self.load_slot(slot);
        }
        self.check_assumed_singles();
        self.ir.ins().jump(self.entries[0], &[]);
        if self.missing[0] == 0 {
            self.ir.seal_block(self.entries[0]);
        }
    }

    /// At the region's entry: leaves it to the interpreter if a slot does not hold the constant that the blocks read there.
    fn check_assumed_constants(&mut self) {
        if self.plan.assumed.is_empty() {
            return;
        }
        let declines = self.ir.create_block();
        self.ir.set_cold_block(declines);
        for (slot, value) in &self.plan.assumed {
            let held = self.load_frame(types::I64, offset::STATE + CpuState::slot_offset(*slot) as i32);
            let value = self.iconst(types::I64, *value as i64);
            let same = self.ir.ins().icmp(IntCC::Equal, held, value);
            let next = self.ir.create_block();
            self.ir.ins().brif(same, next, &[], declines, &[]);
            self.enter_next(next);
        }
        let next = self.ir.create_block();
        self.ir.ins().jump(next, &[]);
        self.enter_cold(declines);
        self.decline();
        self.enter_next(next);
    }

    /// Leaves the region's entry to the interpreter.
    pub(super) fn decline(&mut self) {
        self.set_pc(self.plan.entry.pc);
        self.leave(ExitCode::Declined);
    }

    /// Leaves if somebody asked for it; pc is exact.
    pub(super) fn poll(&mut self, pc: GuestAddr) {
        let word = self.load_frame(types::I32, offset::INTERRUPT);
        self.cold_exit(word, |this| {
            this.set_pc(pc);
            this.leave(ExitCode::Poll);
        });
    }

    /// Adds to the frame's counter of executed instructions, and to the region's own, the word behind its links.
    pub(super) fn count(&mut self, guest_len: usize) {
        let executed = self.load_frame(types::I64, offset::EXECUTED);
        let executed = self.ir.ins().iadd_imm_s(executed, guest_len as i64);
        self.store_frame(executed, offset::EXECUTED);
        let (links, place) = (self.load_frame(types::I64, offset::LINKS), self.links.len() as i32);
        let place = (self.first_link as i32 + place) * 8;
        let own = self.ir.ins().load(types::I64, frame_flags(), links, place);
        let own = self.ir.ins().iadd_imm_s(own, guest_len as i64);
        self.ir.ins().store(frame_flags(), own, links, place);
    }

    /// Branches to a new cold block if `cond` is not zero; else goes on in a new block, with `value` as its parameter
    /// if there is one.
    pub(super) fn split(&mut self, cond: ClifValue, value: Option<ClifValue>) -> (ir::Block, ir::Block) {
        let (cold, next) = (self.ir.create_block(), self.ir.create_block());
        self.ir.set_cold_block(cold);
        if self.is_cold {
            self.ir.set_cold_block(next);
        }
        if let Some(value) = value {
            let ty = self.ir.func.dfg.value_type(value);
            self.ir.append_block_param(next, ty);
        }
        let args: Vec<_> = value.into_iter().map(ir::BlockArg::from).collect();
        self.ir.ins().brif(cond, cold, &[], next, &args);
        (cold, next)
    }

    /// Goes on in a cold block that [`Emitter::split`] made.
    pub(super) fn enter_cold(&mut self, cold: ir::Block) {
        self.switch_to(cold);
        self.ir.seal_block(cold);
    }

    /// Goes on in the block after a cold one, once every jump to it is made.
    pub(super) fn enter_next(&mut self, next: ir::Block) {
        self.switch_to(next);
        self.ir.seal_block(next);
    }

    /// If `cond` is not zero, stores what is dirty and leaves as `body` says, out of line.
    pub(super) fn cold_exit(&mut self, cond: ClifValue, body: impl FnOnce(&mut Self)) {
        let (cold, next) = self.split(cond, None);
        self.enter_cold(cold);
        let dirty = self.dirty;
        self.surface(&dirty);
        self.store_slots(&dirty);
        body(self);
        self.enter_next(next);
    }

    pub(super) fn store_pc(&mut self, pc: ClifValue) {
        self.store_frame(pc, offset::STATE + CpuState::PC_OFFSET as i32);
    }

    pub(super) fn set_pc(&mut self, pc: GuestAddr) {
        let pc = self.iconst(types::I64, pc.get() as i64);
        self.store_pc(pc);
    }

    pub(super) fn leave(&mut self, code: ExitCode) {
        let code = self.iconst(types::I64, code as i64);
        self.ir.ins().return_(&[code]);
    }

    /// Leaves with the program counter at the guest instruction that is being emitted.
    pub(super) fn leave_at_instruction(&mut self, code: ExitCode) {
        let pc = self.pc();
        self.set_pc(pc);
        self.leave(code);
    }

    pub(super) fn trap_if(&mut self, at: usize) {
        let inst = &self.block.insts[at];
        let (cond, addr) = (self.arg(inst, 0), self.arg(inst, 1));
        let kind = inst.trap();
        self.cold_exit(cond, |this| {
            let kind = this.iconst(types::I64, kind as i64);
            this.store_frame(kind, offset::EXIT_VALUE);
            this.store_frame(addr, offset::EXIT_ADDR);
            this.leave_at_instruction(ExitCode::Trap);
        });
    }

    pub(super) fn exit_if(&mut self, inst: &Inst) {
        let cond = self.arg(inst, 0);
        let target = Target(inst.imm).address(self.block.key.pc);
        self.cold_exit(cond, |this| this.follow_link(target));
    }

    /// Tail-calls `code` with `argument`.
    fn tail_call(&mut self, code: ClifValue, argument: ClifValue) {
        let signature = self.region_signature;
        match self.target.frame {
            FrameRegister::Pinned => self.ir.ins().return_call_indirect(signature, code, &[argument]),
            FrameRegister::Argument => {
                let frame = self.frame();
                self.ir.ins().return_call_indirect(signature, code, &[frame, argument])
            }
        };
    }

    /// Leaves through the link to `pc`.
    fn follow_link(&mut self, pc: GuestAddr) {
        let place = self.links.binary_search(&pc).expect("every fixed exit of the region is a link");
        let number = self.first_link + place as u32;
        let links = self.load_frame(types::I64, offset::LINKS);
        let code = self.ir.ins().load(types::I64, frame_flags(), links, number as i32 * 8);
        let number = self.iconst(types::I64, i64::from(number));
        self.tail_call(code, number);
    }

    /// Leaves for a computed address: through the jump cache, or to the run loop if it misses.
    fn leave_indirect(&mut self, pc: ClifValue) {
        let cache = self.load_frame(types::I64, offset::JUMP_CACHE);
        let mask = self.load_frame(types::I64, offset::JUMP_MASK);
        let scaled = self.ir.ins().ishl_imm_u(pc, 3);
        let place = self.ir.ins().band(scaled, mask);
        let entry = self.ir.ins().iadd(cache, place);
        let found = self.ir.ins().load(types::I64, frame_flags(), entry, 0);
        let differs = self.ir.ins().icmp(IntCC::NotEqual, found, pc);
        let (cold, next) = self.split(differs, None);
        self.enter_cold(cold);
        let functions = self.load_frame(types::I64, offset::FUNCTIONS);
        let missed = self.ir.ins().load(types::I64, frame_flags(), functions, Function::Missed as i32 * 8);
        self.tail_call(missed, pc);
        self.enter_next(next);
        let code = self.ir.ins().load(types::I64, frame_flags(), entry, 8);
        self.tail_call(code, pc);
    }

    /// A Cranelift block that goes on at `pc`: the region's own, or a new one to be [filled](Self::fill).
    fn way_to(&mut self, pc: GuestAddr) -> (ir::Block, Way) {
        match self.plan.blocks[self.here].edge(pc) {
            Some(index) if self.has_sunk(&self.slots.flow[index].live) => {
                (self.ir.create_block(), Way::Surfaces(index))
            }
            Some(index) => (self.entries[index], Way::Direct),
            None => (self.ir.create_block(), Way::Leaves(pc)),
        }
    }

    /// Fills a block that [`Emitter::way_to`] made.
    fn fill(&mut self, (block, way): (ir::Block, Way)) {
        match way {
            Way::Direct => {}
            Way::Surfaces(index) => {
                self.enter_next(block);
                let live = self.slots.flow[index].live;
                self.surface(&live);
                self.ir.ins().jump(self.entries[index], &[]);
            }
            Way::Leaves(pc) => {
                self.ir.set_cold_block(block);
                self.enter_cold(block);
                let dirty = self.dirty;
                self.surface(&dirty);
                self.store_slots(&dirty);
                self.follow_link(pc);
            }
        }
    }

    fn go_to(&mut self, target: Target) {
        let pc = target.address(self.block.key.pc);
        match self.plan.blocks[self.here].edge(pc) {
            Some(index) => {
                self.ir.ins().jump(self.entries[index], &[]);
            }
            None => {
                let dirty = self.dirty;
                self.store_slots(&dirty);
                self.follow_link(pc);
            }
        }
    }

    /// Stores everything, sets pc to `pc` and leaves.
    fn leave_at(&mut self, pc: Target, code: ExitCode) {
        let dirty = self.dirty;
        self.store_slots(&dirty);
        self.set_pc(pc.address(self.block.key.pc));
        self.leave(code);
    }

    /// The value that `value` always has, if a constant or the `band` of two gives it.
    fn constant_of(&self, value: ClifValue) -> Option<u64> {
        let dfg = &self.ir.func.dfg;
        let given = |value| Some(dfg.insts[dfg.value_def(value).inst()?]);
        let constant = |value| match given(value)? {
            ir::InstructionData::UnaryImm { opcode: ir::Opcode::Iconst, imm } => Some(imm.bits() as u64),
            _ => None,
        };
        match given(value)? {
            ir::InstructionData::Binary { opcode: ir::Opcode::Band, args: [a, b] } => Some(constant(a)? & constant(b)?),
            _ => constant(value),
        }
    }

    /// Goes on where `addr` is: compares it with the edges of the block, then leaves for it. A callee that is copied in and
    /// keeps the address that its call left returns to one that is known.
    fn indirect(&mut self, addr: ClifValue) {
        let known = self.constant_of(addr).and_then(|pc| self.plan.blocks[self.here].edge(GuestAddr::new(pc)));
        if let Some(index) = known {
            self.ir.ins().jump(self.entries[index], &[]);
            return;
        }
        for (pc, index) in &self.plan.blocks[self.here].edges {
            let expected = self.iconst(types::I64, pc.get() as i64);
            let hit = self.ir.ins().icmp(IntCC::Equal, addr, expected);
            let next = self.ir.create_block();
            self.ir.ins().brif(hit, self.entries[*index], &[], next, &[]);
            self.enter_next(next);
        }
        let dirty = self.dirty;
        self.store_slots(&dirty);
        self.leave_indirect(addr);
    }

    /// Ends the copy of a block that is left at its end because somebody asked for it; pc is exact.
    pub(super) fn end_late(&mut self) -> Result<(), CompileError> {
        let here = self.block.key.pc;
        let pc = match self.block.end {
            End::Jump { target } | End::Call { target, .. } => {
                self.iconst(types::I64, target.address(here).get() as i64)
            }
            End::Branch { cond, taken, fall } => {
                let [taken, fall] = [taken, fall].map(|way| self.iconst(types::I64, way.address(here).get() as i64));
                let cond = self.value(cond);
                self.ir.ins().select(cond, taken, fall)
            }
            End::Indirect { addr } | End::IndirectCall { addr, .. } | End::Return { addr } => self.value(addr),
            End::Syscall { .. } | End::Trap { .. } | End::FlushCode { .. } | End::ModeChange { .. } => {
                return self.end();
            }
        };
        let dirty = self.dirty;
        self.store_slots(&dirty);
        self.store_pc(pc);
        self.leave(ExitCode::Poll);
        Ok(())
    }

    /// Emits the end of the block.
    pub(super) fn end(&mut self) -> Result<(), CompileError> {
        match self.block.end {
            End::Jump { target } | End::Call { target, .. } => self.go_to(target),
            End::Branch { cond, taken, fall } => {
                let pc = self.block.key.pc;
                let cond = self.value(cond);
                let (yes, no) = (self.way_to(taken.address(pc)), self.way_to(fall.address(pc)));
                self.ir.ins().brif(cond, yes.0, &[], no.0, &[]);
                self.fill(yes);
                self.fill(no);
            }
            End::Indirect { addr } | End::IndirectCall { addr, .. } | End::Return { addr } => {
                let addr = self.value(addr);
                self.indirect(addr);
            }
            End::Syscall { next } => self.leave_at(next, ExitCode::Syscall),
            End::Trap { kind, at, addr } => {
                let kind = self.iconst(types::I64, kind as i64);
                self.store_frame(kind, offset::EXIT_VALUE);
                let addr = addr.address(self.block.key.pc);
                let addr = self.iconst(types::I64, addr.get() as i64);
                self.store_frame(addr, offset::EXIT_ADDR);
                self.leave_at(at, ExitCode::Trap);
            }
            End::FlushCode { next } => self.leave_at(next, ExitCode::Flush),
            End::ModeChange { next } => self.leave_at(next, ExitCode::Continue),
        }
        Ok(())
    }
}
