//! A plain evaluator of blocks, for tests: what passes, interpreters and compilers are compared with.

use vm_core::{CpuState, GuestAddr, GuestMemory, MemFault, Mode, Trap};

use crate::block::{Block, End, Inst, Value};
use crate::eval::{self, FpEnv};
use crate::helper::{Helper, HelperFn};
use crate::ops::{Effect, Op};
use crate::types::Type;
use crate::{RmwOp, Rounding};

/// How a block was left. The state's program counter and mode say where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// For another block.
    Go,
    /// By [`End::Syscall`].
    Syscall,
    /// By [`End::FlushCode`].
    Flush,
    /// By a trap; the program counter is its instruction.
    Trap(Trap),
}

/// What running a block came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How the block was left.
    pub left: Left,
    /// Ops carried out, the one that left included.
    pub ops: usize,
}

/// An op that does more than compute, about to be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// The op.
    pub inst: &'a Inst,
    /// Its operands' values, zeros in unused places.
    pub args: [u128; 3],
    /// The state; its program counter is the op's instruction.
    pub state: &'a CpuState,
}

/// Runs `block` once, one op after the other, on `state` and `memory`.
///
/// `watch` is told each op whose effect reaches beyond values, slots and flags.
///
/// # Panics
/// If the block calls a helper that is not in `helpers`, or breaks another rule of the verifier.
pub fn run(
    block: &Block,
    helpers: &[Helper],
    state: &mut CpuState,
    memory: &dyn GuestMemory,
    watch: &mut dyn FnMut(Act<'_>),
) -> Ran {
    let mut values: Vec<u128> = Vec::with_capacity(block.insts.len());
    for (index, inst) in block.insts.iter().enumerate() {
        let mut args = [0; 3];
        for (value, arg) in args.iter_mut().zip(inst.operands()) {
            *value = values[arg.index()];
        }
        state.set_pc(block.pc_of(index));
        match inst.op.effect() {
            Effect::Pure
            | Effect::FpFlags
            | Effect::ReadsSlot
            | Effect::WritesSlot
            | Effect::ReadsFpFlags
            | Effect::WritesFpFlags
            | Effect::WritesMode => {}
            Effect::Reads | Effect::Writes | Effect::ReadsWrites | Effect::Orders | Effect::Calls | Effect::Leaves => {
                watch(Act { inst, args, state })
            }
        }
        match step(block, inst, args, helpers, state, memory) {
            Ok(value) => values.push(value),
            Err(left) => return Ran { left, ops: index + 1 },
        }
    }
    Ran { left: end(block, &values, state), ops: values.len() }
}

fn memory_trap(fault: MemFault) -> Left {
    Left::Trap(Trap::Memory(fault))
}

/// The value of an op, zero for one without.
fn step(
    block: &Block,
    inst: &Inst,
    args: [u128; 3],
    helpers: &[Helper],
    state: &mut CpuState,
    memory: &dyn GuestMemory,
) -> Result<u128, Left> {
    let [a, b, c] = args;
    let addr = GuestAddr::new(a as u64).offset(inst.imm);
    let size = inst.ty.bytes();
    match inst.op.effect() {
        Effect::Pure | Effect::FpFlags => return Ok(compute(block, inst, args, state)),
        Effect::ReadsSlot if inst.ty == Type::V128 => return Ok(state.get128(inst.slot())),
        Effect::ReadsSlot => return Ok(u128::from(state.get(inst.slot()))),
        Effect::WritesSlot if inst.ty == Type::V128 => state.set128(inst.slot(), a),
        Effect::WritesSlot => state.set(inst.slot(), a as u64),
        Effect::ReadsFpFlags => return Ok(u128::from(state.fp_flags())),
        Effect::WritesFpFlags => state.set_fp_flags(a as u64),
        Effect::WritesMode => state.set_mode(Mode::new(a as u32)),
        Effect::Reads => {
            let mut bytes = [0; 16];
            memory.read(addr, &mut bytes[..size]).map_err(memory_trap)?;
            return Ok(u128::from_le_bytes(bytes));
        }
        Effect::Writes => write(memory, addr, &b.to_le_bytes()[..size]).map_err(memory_trap)?,
        Effect::ReadsWrites if inst.op == Op::AtomicCas => {
            return memory.compare_exchange(addr, size, b, c).map_err(memory_trap);
        }
        Effect::ReadsWrites => return rmw(inst.rmw(), inst.ty, addr, b as u64, memory).map_err(memory_trap),
        Effect::Orders => {}
        Effect::Calls => {
            let (a, b, c) = (a as u64, b as u64, c as u64);
            return Ok(u128::from(match helpers[inst.imm as usize].function {
                HelperFn::Values(function) => function(a, b, c),
                HelperFn::State(function) => function(state, a, b, c),
            }));
        }
        Effect::Leaves if a == 0 => {}
        Effect::Leaves if inst.op == Op::ExitIf => {
            state.set_pc(block.key.pc.offset(inst.imm));
            return Err(Left::Go);
        }
        Effect::Leaves => {
            let (kind, addr) = (inst.trap(), GuestAddr::new(b as u64));
            return Err(Left::Trap(Trap::Instruction { kind, addr }));
        }
    }
    Ok(0)
}

/// Writes all of `bytes` or, at a fault, none: what hosts do, where the trait leaves a write over two pages open.
fn write(memory: &dyn GuestMemory, addr: GuestAddr, bytes: &[u8]) -> Result<(), MemFault> {
    let last_page = addr.offset(bytes.len() as i64 - 1).page_start();
    if last_page != addr.page_start() {
        // Zeros for zeros ask whether writing is permitted and change nothing.
        memory.compare_exchange(addr, 1, 0, 0)?;
        memory.compare_exchange(last_page, 1, 0, 0)?;
    }
    memory.write(addr, bytes)
}

fn compute(block: &Block, inst: &Inst, [a, b, c]: [u128; 3], state: &mut CpuState) -> u128 {
    if inst.op == Op::Pc {
        return u128::from(block.key.pc.offset(inst.imm).get());
    }
    if inst.ty == Type::V128 {
        // What works on whole vectors; ops on lanes have no meaning yet, and are refused below.
        if inst.op == Op::Select {
            return if a != 0 { b } else { c };
        } else if inst.op == Op::And {
            return a & b;
        } else if inst.op == Op::Or {
            return a | b;
        } else if inst.op == Op::Xor {
            return a ^ b;
        }
    }
    // No op reads a rounding that the mode does not name: the lifter sees to that.
    let rounding = Rounding::ALL.get(state.mode().bits() as usize & 7).copied().unwrap_or(Rounding::NearestEven);
    let mut env = FpEnv { rounding, flags: state.fp_flags() };
    let value = eval::inst(inst, [a as u64, b as u64, c as u64], &mut env);
    state.set_fp_flags(env.flags);
    u128::from(value)
}

fn rmw(op: RmwOp, ty: Type, addr: GuestAddr, operand: u64, memory: &dyn GuestMemory) -> Result<u128, MemFault> {
    let mut old = 0;
    loop {
        let new = u128::from(eval::rmw(op, ty, old as u64, operand));
        let found = memory.compare_exchange(addr, ty.bytes(), old, new)?;
        if found == old {
            return Ok(old);
        }
        old = found;
    }
}

fn end(block: &Block, values: &[u128], state: &mut CpuState) -> Left {
    let value = |value: Value| values[value.index()] as u64;
    let pc = block.key.pc;
    let (to, left) = match block.end {
        End::Jump { target } | End::Call { target, .. } => (target.address(pc), Left::Go),
        End::Branch { cond, taken, fall } => ((if value(cond) != 0 { taken } else { fall }).address(pc), Left::Go),
        End::Indirect { addr } | End::IndirectCall { addr, .. } | End::Return { addr } => {
            (GuestAddr::new(value(addr)), Left::Go)
        }
        End::Syscall { next } => (next.address(pc), Left::Syscall),
        End::Trap { kind, at, addr } => {
            (at.address(pc), Left::Trap(Trap::Instruction { kind, addr: addr.address(pc) }))
        }
        End::FlushCode { next } => (next.address(pc), Left::Flush),
        End::ModeChange { next } => (next.address(pc), Left::Go),
    };
    state.set_pc(to);
    left
}
