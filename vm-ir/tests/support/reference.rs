//! A plain evaluator of blocks: what the passes are compared with.

use std::collections::BTreeMap;

use crate::helpers::HELPERS;
use vm_core::{CpuState, GuestAddr, TrapKind};
use vm_ir::arbitrary::{Draw, SLOTS};
use vm_ir::eval::{self, FpEnv};
use vm_ir::{Block, End, HelperEffect, HelperFn, Inst, Op, Rounding, Type, Value};

/// Something that the world outside the block sees, and what it can see then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pc: GuestAddr,
    what: What,
    slots: Vec<u128>,
    fp_flags: u64,
    mode: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// An access: op, attribute, address, and the values given.
    Access(Op, u8, u64, Vec<u128>),
    Fence(u8),
    Call(usize, [u64; 3]),
    Trap(TrapKind, u64),
    Go(GuestAddr),
    CallTo(GuestAddr, GuestAddr),
    Syscall(GuestAddr),
    Flush(GuestAddr),
    ModeChange(GuestAddr),
}

struct Machine<'a> {
    block: &'a Block,
    seed: u64,
    values: Vec<u128>,
    slots: BTreeMap<usize, u128>,
    memory: BTreeMap<u64, u8>,
    env: FpEnv,
    mode: u64,
    events: Vec<Event>,
}

/// What `block` does, from registers and memory that `seed` fills.
pub(crate) fn run(block: &Block, seed: u64) -> Vec<Event> {
    let mode = u64::from(block.key.mode.bits());
    let flags = Draw::new(seed).bits() & 0x1f;
    let slots = SLOTS.iter().map(|info| {
        let mut draw = Draw::new(seed ^ info.slot.index() as u64);
        let low = u128::from(draw.value(info.ty));
        (info.slot.index(), if info.ty == Type::V128 { low | u128::from(draw.bits()) << 64 } else { low })
    });
    let env = FpEnv { flags, ..FpEnv::new() };
    let (slots, memory) = (slots.collect(), BTreeMap::new());
    Machine { block, seed, values: Vec::new(), slots, memory, env, mode, events: Vec::new() }.run()
}

impl Machine<'_> {
    fn run(mut self) -> Vec<Event> {
        for index in 0..self.block.insts.len() {
            let inst = self.block.insts[index];
            let mut args = [0; 3];
            for (value, arg) in args.iter_mut().zip(inst.operands()) {
                *value = self.values[arg.index()];
            }
            let Some(value) = self.step(&inst, index, args) else { return self.events };
            self.values.push(value);
        }
        self.end();
        self.events
    }

    fn value(&self, value: Value) -> u64 {
        self.values[value.index()] as u64
    }

    fn event(&mut self, index: usize, what: What) {
        // Fences and clocks do not look at registers.
        let slots = match what {
            What::Fence(_) => Vec::new(),
            What::Call(helper, _) if HELPERS[helper].effect == HelperEffect::Volatile => Vec::new(),
            _ => SLOTS.iter().map(|info| self.slots[&info.slot.index()]).collect(),
        };
        let pc = self.block.pc_of(index);
        self.events.push(Event { pc, what, slots, fp_flags: self.env.flags, mode: self.mode });
    }

    fn load(&self, addr: u64, size: usize) -> u128 {
        (0..size as u64).rev().fold(0, |value, offset| {
            let addr = addr.wrapping_add(offset);
            let fresh = Draw::new(self.seed ^ addr).bits() as u8;
            value << 8 | u128::from(*self.memory.get(&addr).unwrap_or(&fresh))
        })
    }

    fn store(&mut self, addr: u64, size: usize, value: u128) {
        for offset in 0..size {
            self.memory.insert(addr.wrapping_add(offset as u64), (value >> (8 * offset)) as u8);
        }
    }

    /// The value of the op; `None` if it leaves the block.
    fn step(&mut self, inst: &Inst, index: usize, args: [u128; 3]) -> Option<u128> {
        let [a, b, c] = args;
        let addr = (a as u64).wrapping_add_signed(inst.imm);
        let size = inst.ty.bytes();
        let access = |given: &[u128]| What::Access(inst.op, inst.attr, addr, given.to_vec());
        match inst.op {
            Op::Pc => return Some(u128::from(self.block.key.pc.offset(inst.imm).get())),
            Op::Get => return Some(self.slots[&inst.slot().index()]),
            Op::Set => drop(self.slots.insert(inst.slot().index(), a)),
            Op::SetMode => self.mode = a as u64,
            Op::FpFlagsGet => return Some(u128::from(self.env.flags)),
            Op::FpFlagsSet => self.env.flags = a as u64 & 0x1f,
            Op::Load => {
                self.event(index, access(&[]));
                return Some(self.load(addr, size));
            }
            Op::Store => {
                self.event(index, access(&[b]));
                self.store(addr, size, b);
            }
            Op::AtomicRmw => {
                self.event(index, access(&[b]));
                let old = self.load(addr, size);
                self.store(addr, size, u128::from(eval::rmw(inst.rmw(), inst.ty, old as u64, b as u64)));
                return Some(old);
            }
            Op::AtomicCas => {
                self.event(index, access(&[b, c]));
                let old = self.load(addr, size);
                if old == b {
                    self.store(addr, size, c);
                }
                return Some(old);
            }
            Op::Fence => self.event(index, What::Fence(inst.attr)),
            Op::Call => return Some(self.call(inst, index, args.map(|arg| arg as u64))),
            Op::TrapIf if a != 0 => {
                self.event(index, What::Trap(inst.trap(), b as u64));
                return None;
            }
            Op::ExitIf if a != 0 => {
                self.event(index, What::Go(self.block.key.pc.offset(inst.imm)));
                return None;
            }
            Op::TrapIf | Op::ExitIf => {}
            Op::Select => return Some(if a != 0 { b } else { c }),
            Op::And => return Some(a & b),
            Op::Or => return Some(a | b),
            Op::Xor => return Some(a ^ b),
            _ => {
                self.env.rounding = Rounding::ALL[self.mode as usize & 7];
                return Some(u128::from(eval::inst(inst, args.map(|arg| arg as u64), &mut self.env)));
            }
        }
        Some(0)
    }

    fn call(&mut self, inst: &Inst, index: usize, args: [u64; 3]) -> u128 {
        let helper = HELPERS[inst.imm as usize];
        if helper.effect != HelperEffect::Pure {
            self.event(index, What::Call(inst.imm as usize, args));
        }
        let [a, b, c] = args;
        let value = match helper.function {
            HelperFn::Values(function) => function(a, b, c),
            HelperFn::State(function) => {
                let mut state = CpuState::new();
                for info in SLOTS {
                    state.set(info.slot, self.slots[&info.slot.index()] as u64);
                }
                let value = function(&mut state, a, b, c);
                for info in SLOTS.iter().filter(|info| info.ty == Type::I64) {
                    self.slots.insert(info.slot.index(), u128::from(state.get(info.slot)));
                }
                value
            }
        };
        u128::from(value)
    }

    fn end(&mut self) {
        let at = |target: vm_ir::Target| target.address(self.block.key.pc);
        let what = match self.block.end {
            End::Jump { target } => What::Go(at(target)),
            End::Branch { cond, taken, fall } => What::Go(at(if self.value(cond) != 0 { taken } else { fall })),
            End::Call { target, ret } => What::CallTo(at(target), at(ret)),
            End::Indirect { addr } | End::Return { addr } => What::Go(GuestAddr::new(self.value(addr))),
            End::IndirectCall { addr, ret } => What::CallTo(GuestAddr::new(self.value(addr)), at(ret)),
            End::Syscall { next } => What::Syscall(at(next)),
            End::Trap { kind, addr, .. } => What::Trap(kind, at(addr).get()),
            End::FlushCode { next } => What::Flush(at(next)),
            End::ModeChange { next } => What::ModeChange(at(next)),
        };
        self.event(self.block.insts.len(), what);
    }
}
