//! The ops of tier 0 that are too rare, or too large, for an arm of their own in the loop.

use std::sync::atomic::{Ordering, fence};

use vm_core::{CpuState, GuestAddr, MemFault, Trap, TrapKind};
use vm_ir::eval::{self, FpEnv};
use vm_ir::{FenceKind, Helper, HelperFn, Inst, Op, Type, Value};

use super::body::BodyRef;
use super::code::Opcode;
use super::op::{Code, Generic, set_wide, wide, word};
use super::{Context, Leave, Memory, Out, dynamic_rounding, float};
use crate::hostfp;

/// Any scalar op.
#[inline(never)]
pub(super) fn generic(code: Code, state: &mut CpuState, env: &mut FpEnv) -> u64 {
    let what = Generic::unpack(code.imm);
    let args = [*word(state, code.a()), *word(state, code.b()), *word(state, what.c)];
    float::scalar(what.op, what.ty, what.from, float::Attributes::new(what.op, what.attr), args, env)
}

/// Whether an access succeeded; if not, its fault is what the ops come back with.
#[inline(always)]
fn done(access: Result<(), MemFault>, cx: &mut Context<'_>) -> bool {
    match access {
        Ok(()) => true,
        Err(fault) => {
            cx.out = Out::Leave(Leave::Trap(Trap::Memory(fault)));
            false
        }
    }
}

/// The trap of a [`Opcode::TrapIf`] is what the ops come back with.
#[cold]
#[inline(never)]
pub(super) fn trap(code: &Code, state: &mut CpuState, cx: &mut Context<'_>) {
    let kind = TrapKind::ALL[code.imm as usize];
    let addr = GuestAddr::new(code.get_b(state));
    cx.out = Out::Leave(Leave::Trap(Trap::Instruction { kind, addr }));
}

/// Loads and stores of up to 64 bits, by calls. False if they fault.
#[inline(never)]
pub(super) fn access(code: &Code, state: &mut CpuState, cx: &mut Context<'_>) -> bool {
    done(try_access(code, cx.run.memory, state), cx)
}

/// [`access`] with its fault.
#[inline(always)]
fn try_access(code: &Code, memory: Memory<'_>, state: &mut CpuState) -> Result<(), MemFault> {
    let addr = code.get_a(state).wrapping_add(code.imm);
    let extended = |value, from| eval::scalar(Op::SignExtend, Type::I64, from, 0, [value, 0, 0], &mut FpEnv::new());
    let value = match code.op().first() {
        Opcode::Load8 => memory.load::<1>(addr)?,
        Opcode::Load16 => memory.load::<2>(addr)?,
        Opcode::Load32 => memory.load::<4>(addr)?,
        Opcode::Load64 => memory.load::<8>(addr)?,
        Opcode::Load8S => extended(memory.load::<1>(addr)?, Type::I8),
        Opcode::Load16S => extended(memory.load::<2>(addr)?, Type::I16),
        Opcode::Load32S => extended(memory.load::<4>(addr)?, Type::I32),
        Opcode::Store8 => return memory.store::<1>(addr, code.get_b(state)),
        Opcode::Store16 => return memory.store::<2>(addr, code.get_b(state)),
        Opcode::Store32 => return memory.store::<4>(addr, code.get_b(state)),
        Opcode::Store64 => return memory.store::<8>(addr, code.get_b(state)),
        other => unreachable!("{other:?} is no access of up to 64 bits"),
    };
    code.put(state, value);
    Ok(())
}

/// 128-bit moves and atomic operations. False if they fault.
#[inline(never)]
pub(super) fn memory_or_wide(code: &Code, state: &mut CpuState, cx: &mut Context<'_>) -> bool {
    done(try_memory_or_wide(code, cx.run.memory, state), cx)
}

/// [`memory_or_wide`] with its fault.
#[inline(always)]
fn try_memory_or_wide(code: &Code, memory: Memory<'_>, state: &mut CpuState) -> Result<(), MemFault> {
    match code.op() {
        Opcode::SelectWide => {
            let chosen = if *word(state, code.a()) != 0 { code.b() } else { code.imm as u16 };
            let value = wide(state, chosen);
            set_wide(state, code.d(), value);
        }
        Opcode::AndWide => {
            let value = wide(state, code.a()) & wide(state, code.b());
            set_wide(state, code.d(), value);
        }
        Opcode::OrWide => {
            let value = wide(state, code.a()) | wide(state, code.b());
            set_wide(state, code.d(), value);
        }
        Opcode::XorWide => {
            let value = wide(state, code.a()) ^ wide(state, code.b());
            set_wide(state, code.d(), value);
        }
        Opcode::Load128 => {
            let value = memory.load128(word(state, code.a()).wrapping_add(code.imm))?;
            set_wide(state, code.d(), value);
        }
        Opcode::Store128 => {
            let value = wide(state, code.b());
            memory.store128(word(state, code.a()).wrapping_add(code.imm), value)?;
        }
        Opcode::AtomicRmw => {
            let what = Generic::unpack(code.imm);
            // The packed attribute is read back through the op it belongs to.
            let inst = Inst { attr: what.attr, ..Inst::new(what.op, what.ty, what.from, [Value::NONE; 3]) };
            let (addr, operand) = (*word(state, code.a()), *word(state, code.b()));
            *word(state, code.d()) = memory.rmw(inst.rmw(), what.ty, addr, operand)?;
        }
        Opcode::AtomicCas => {
            let what = Generic::unpack(code.imm);
            let addr = *word(state, code.a());
            if what.ty == Type::V128 {
                let (expected, new) = (wide(state, code.b()), wide(state, what.c));
                let old = memory.compare_exchange(addr, what.ty, expected, new)?;
                set_wide(state, code.d(), old);
            } else {
                let (expected, new) = (*word(state, code.b()), *word(state, what.c));
                let old = memory.compare_exchange(addr, what.ty, u128::from(expected), u128::from(new))?;
                *word(state, code.d()) = old as u64;
            }
        }
        other => unreachable!("{other:?} is neither wide nor atomic"),
    }
    Ok(())
}

/// Fences, floating-point status and helpers.
#[inline(never)]
pub(super) fn system(code: &Code, helpers: &[Helper], state: &mut CpuState, env: &mut FpEnv) {
    match code.op() {
        Opcode::Fence => match FenceKind::ALL[code.imm as usize] {
            FenceKind::Acquire | FenceKind::LoadLoad => fence(Ordering::Acquire),
            FenceKind::Release | FenceKind::StoreStore => fence(Ordering::Release),
            FenceKind::AcquireRelease => fence(Ordering::AcqRel),
            FenceKind::Full => fence(Ordering::SeqCst),
        },
        Opcode::FpFlagsGet => {
            env.flags |= hostfp::raised();
            *word(state, code.d()) = state.fp_flags() | env.flags;
        }
        Opcode::FpFlagsSet => {
            let flags = *word(state, code.a());
            state.set_fp_flags(flags);
            env.flags = 0;
            hostfp::replace(flags);
        }
        Opcode::Call => {
            let index = code.imm as u32 as usize;
            let Some(helper) = helpers.get(index) else { unreachable!("helper {index} is not in the guest's list") };
            let [a, b, c] = [code.a(), code.b(), (code.imm >> 32) as u16].map(|reg| *word(state, reg));
            let value = match helper.function {
                HelperFn::Values(function) => function(a, b, c),
                HelperFn::State(function) => {
                    state.set_fp_flags(state.fp_flags() | env.flags | hostfp::raised());
                    env.flags = 0;
                    let value = function(state, a, b, c);
                    hostfp::replace(state.fp_flags());
                    env.rounding = dynamic_rounding(state);
                    value
                }
            };
            *word(state, code.d()) = value;
        }
        other => unreachable!("{other:?} is no system op"),
    }
}

/// Ends that come back to the run loop.
#[cold]
pub(super) fn end(code: &Code, body: BodyRef<'_>, state: &mut CpuState, cx: &mut Context<'_>) {
    let next = GuestAddr::new(code.imm);
    state.set_pc(next);
    let leave = match code.op() {
        Opcode::Syscall => Leave::Syscall,
        Opcode::FlushCode => Leave::Flush,
        Opcode::ModeChange => Leave::Mode,
        Opcode::Trap => {
            let kind = TrapKind::ALL[usize::from(code.d())];
            let block = cx.block(body);
            let Some(addr) = block.target(0) else { unreachable!("a trap has an address") };
            cx.left += i64::from(block.guest_len() - block.instructions_before(next));
            Leave::Trap(Trap::Instruction { kind, addr })
        }
        other => unreachable!("{other:?} is no end of the run loop"),
    };
    cx.out = Out::Leave(leave);
}
