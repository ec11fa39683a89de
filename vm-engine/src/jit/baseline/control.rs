//! Polls, block ends and the ways out. Everything is in the state already wherever a region is left.

use vm_core::{CpuState, GuestAddr, TrapKind};
use vm_ir::{End, Inst, Target};

use super::asm::{Alu, Cond, Gpr, Label, RAX, RDI, RDX, RSI, Rm, Shift, Width};
use super::int::opposite;
use super::places::{FRAME, Place, SCRATCH};
use super::{Baseline, Later};
use crate::frame::ExitCode;
use crate::jit::abi::offset;
use crate::jit::runtime::Function;

/// How a region is left.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exit {
    /// To the run loop, with the program counter at this address.
    Code(ExitCode, GuestAddr),
    /// By the link to this address.
    Link(GuestAddr),
    /// A trap of the instruction at the last address, with the address concerned in a register.
    Trap(TrapKind, Gpr, GuestAddr),
    /// To the run loop, with the program counter from a register.
    Missed(Gpr),
}

impl Baseline<'_> {
    /// A label for code that leaves, put out of line.
    fn exit_later(&mut self, exit: Exit) -> Label {
        let label = self.asm.label();
        self.later.push(Later::Exit { label, exit });
        label
    }

    /// Emits a way out.
    pub(super) fn leave(&mut self, exit: Exit) {
        match exit {
            Exit::Code(code, pc) => {
                self.set_pc(pc);
                self.finish(code);
            }
            Exit::Link(pc) => {
                let place = self.links.binary_search(&pc).expect("every fixed exit of the region is a link");
                let number = self.first_link + place as u32;
                self.asm.mov(Width::W64, SCRATCH, Rm::Mem(FRAME, offset::LINKS));
                self.asm.mov_imm(RDI, i64::from(number));
                self.asm.jmp_memory(Rm::Mem(SCRATCH, number as i32 * 8));
            }
            Exit::Trap(kind, addr, pc) => {
                self.asm.store(8, Rm::Mem(FRAME, offset::EXIT_ADDR), addr);
                self.asm.store_imm(8, Rm::Mem(FRAME, offset::EXIT_VALUE), kind as i32);
                self.set_pc(pc);
                self.finish(ExitCode::Trap);
            }
            Exit::Missed(pc) => {
                self.asm.mov(Width::W64, RDI, Rm::Reg(pc));
                self.asm.mov(Width::W64, SCRATCH, Rm::Mem(FRAME, offset::FUNCTIONS));
                self.asm.jmp_memory(Rm::Mem(SCRATCH, Function::Missed as i32 * 8));
            }
        }
    }

    fn set_pc(&mut self, pc: GuestAddr) {
        let place = Rm::Mem(FRAME, offset::STATE + CpuState::PC_OFFSET as i32);
        match i32::try_from(pc.get()) {
            Ok(pc) => self.asm.store_imm(8, place, pc),
            Err(_) => {
                self.asm.mov_imm(RAX, pc.get() as i64);
                self.asm.store(8, place, RAX);
            }
        }
    }

    fn finish(&mut self, code: ExitCode) {
        self.asm.mov_imm(RAX, code as i64);
        self.asm.ret();
    }

    /// Leaves if somebody asked for it; pc is exact.
    pub(super) fn poll(&mut self, pc: GuestAddr) {
        self.asm.alu_imm(Alu::Cmp, Width::W32, Rm::Mem(FRAME, offset::INTERRUPT), 0);
        let label = self.exit_later(Exit::Code(ExitCode::Poll, pc));
        self.asm.jcc(Cond::NotEqual, label);
    }

    /// Before `block` is entered from outside the region or once more: counts down the block's word of the link table,
    /// and polls. Where the count is used up, the engine may have better code, of which the word then is the negative
    /// address.
    pub(super) fn pass(&mut self, block: usize) {
        let (label, entry) = (self.asm.label(), self.asm.label());
        self.asm.mov(Width::W64, SCRATCH, Rm::Mem(FRAME, offset::LINKS));
        let word = Rm::Mem(SCRATCH, self.counter(block) as i32 * 8);
        // Counts are stored, addresses never: several threads may lose a count, but not change where the word leads.
        self.asm.mov(Width::W64, RAX, word);
        self.asm.alu_imm(Alu::Sub, Width::W64, Rm::Reg(RAX), 1);
        self.asm.jcc(Cond::Sign, label);
        self.asm.store(8, word, RAX);
        self.asm.bind(entry);
        self.later.push(Later::Hot { label, block, entry });
        self.poll(self.plan.blocks[block].block.key.pc);
    }

    /// As [`Baseline::pass`], in little code.
    pub(super) fn pass_by_call(&mut self, block: usize) {
        self.asm.mov_imm(RAX, i64::from(self.counter(block)));
        self.asm.mov_imm(RDX, self.plan.blocks[block].block.key.pc.get() as i64);
        self.asm.mov(Width::W64, SCRATCH, Rm::Mem(FRAME, offset::FUNCTIONS));
        self.asm.call_memory(Rm::Mem(SCRATCH, Function::Pass as i32 * 8));
    }

    /// Adds to the frame's counter of executed instructions, and to the region's own, the word behind its links.
    pub(super) fn count(&mut self, guest_len: usize) {
        let own = self.first_link as i32 + self.links.len() as i32;
        self.asm.add_to_memory(Rm::Mem(FRAME, offset::EXECUTED), guest_len as i32);
        self.asm.mov(Width::W64, SCRATCH, Rm::Mem(FRAME, offset::LINKS));
        self.asm.add_to_memory(Rm::Mem(SCRATCH, own * 8), guest_len as i32);
    }

    /// Number of the word that counts entries of a block: they come after the links and the counter of instructions.
    fn counter(&self, block: usize) -> u32 {
        let counted = usize::from(self.plan.options.count);
        self.first_link + (self.links.len() + counted + block) as u32
    }

    /// Goes to the better code at `block` if its word, less one, leads there; else asks the engine for such code, and goes
    /// there or on at `entry`.
    pub(super) fn hot(&mut self, block: usize, entry: Label) {
        // The complement of an address' negative less one is the address.
        self.asm.alu_imm(Alu::Xor, Width::W64, Rm::Reg(RAX), -1);
        let unknown = self.asm.skip(Cond::Equal);
        self.asm.jmp_register(RAX);
        self.asm.land(unknown);
        self.asm.lea(Width::W64, RDI, FRAME, offset::FRAME);
        self.asm.mov_imm(RSI, i64::from(self.counter(block)));
        self.asm.mov_imm(RDX, self.plan.blocks[block].block.key.pc.get() as i64);
        self.call(Function::Hot as usize);
        self.asm.test(Width::W64, RAX);
        self.asm.jcc(Cond::Equal, entry);
        self.asm.jmp_register(RAX);
    }

    pub(super) fn trap_if(&mut self, inst: &Inst) {
        let addr = self.places.in_gpr(&mut self.asm, inst.args[1]);
        let cond = self.condition(inst.args[0]);
        let pc = self.pc();
        let label = self.exit_later(Exit::Trap(inst.trap(), addr, pc));
        self.asm.jcc(cond, label);
    }

    pub(super) fn exit_if(&mut self, inst: &Inst) {
        let cond = self.condition(inst.args[0]);
        let target = Target(inst.imm).address(self.block.key.pc);
        let label = self.exit_later(Exit::Link(target));
        self.asm.jcc(cond, label);
    }

    /// Where control goes on at `pc`: a block of the region, or a way out.
    fn way_to(&mut self, pc: GuestAddr) -> Label {
        match self.plan.blocks[self.here].edge(pc) {
            Some(index) => self.entries[index],
            None => self.exit_later(Exit::Link(pc)),
        }
    }

    fn go_to(&mut self, target: Target) {
        let pc = target.address(self.block.key.pc);
        match self.plan.blocks[self.here].edge(pc) {
            Some(index) if index == self.here + 1 => {}
            Some(index) => self.asm.jmp(self.entries[index]),
            None => self.leave(Exit::Link(pc)),
        }
    }

    fn branch(&mut self, cond: vm_ir::Value, taken: Target, fall: Target) {
        let pc = self.block.key.pc;
        if let Place::Imm(bits) = self.places.place(cond) {
            return self.go_to(if bits & 0xff != 0 { taken } else { fall });
        }
        let cond = self.condition(cond);
        let next = self.here + 1;
        let edge = |target: Target| self.plan.blocks[self.here].edge(target.address(pc));
        if edge(taken) == Some(next) {
            let label = self.way_to(fall.address(pc));
            self.asm.jcc(opposite(cond), label);
            return;
        }
        let is_next = edge(fall) == Some(next);
        let label = self.way_to(taken.address(pc));
        self.asm.jcc(cond, label);
        if !is_next {
            self.go_to(fall);
        }
    }

    /// Compares the address with the edges of the block, then leaves for it through the jump cache.
    fn indirect(&mut self, addr: vm_ir::Value) {
        let addr = self.places.in_gpr(&mut self.asm, addr);
        let edges = &self.plan.blocks[self.here].edges;
        for (pc, index) in edges {
            match i32::try_from(pc.get()) {
                Ok(pc) => self.asm.alu_imm(Alu::Cmp, Width::W64, Rm::Reg(addr), pc),
                Err(_) => {
                    self.asm.mov_imm(SCRATCH, pc.get() as i64);
                    self.asm.alu(Alu::Cmp, Width::W64, addr, Rm::Reg(SCRATCH));
                }
            }
            self.asm.jcc(Cond::Equal, self.entries[*index]);
        }
        self.asm.mov(Width::W32, SCRATCH, Rm::Reg(addr));
        self.asm.shift_imm(Shift::Shl, Width::W32, SCRATCH, 3);
        self.asm.alu(Alu::And, Width::W32, SCRATCH, Rm::Mem(FRAME, offset::JUMP_MASK));
        self.asm.alu(Alu::Add, Width::W64, SCRATCH, Rm::Mem(FRAME, offset::JUMP_CACHE));
        self.asm.alu(Alu::Cmp, Width::W64, addr, Rm::Mem(SCRATCH, 0));
        let missed = self.exit_later(Exit::Missed(addr));
        self.asm.jcc(Cond::NotEqual, missed);
        self.asm.mov(Width::W64, RDI, Rm::Reg(addr));
        self.asm.jmp_memory(Rm::Mem(SCRATCH, 8));
    }

    /// Emits the end of the block.
    pub(super) fn end(&mut self) {
        let pc = self.block.key.pc;
        match self.block.end {
            End::Jump { target } | End::Call { target, .. } => self.go_to(target),
            End::Branch { cond, taken, fall } => self.branch(cond, taken, fall),
            End::Indirect { addr } | End::IndirectCall { addr, .. } | End::Return { addr } => self.indirect(addr),
            End::Syscall { next } => self.leave(Exit::Code(ExitCode::Syscall, next.address(pc))),
            End::Trap { kind, at, addr } => {
                self.asm.mov_imm(SCRATCH, addr.address(pc).get() as i64);
                self.leave(Exit::Trap(kind, SCRATCH, at.address(pc)));
            }
            End::FlushCode { next } => self.leave(Exit::Code(ExitCode::Flush, next.address(pc))),
            End::ModeChange { next } => self.leave(Exit::Code(ExitCode::Continue, next.address(pc))),
        }
    }
}
