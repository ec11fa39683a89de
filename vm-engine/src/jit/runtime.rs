//! Functions that generated code calls, and the table through which it finds them.
//!
//! They run with the host's floating-point status belonging to the guest: integer-only, or with the status put aside.

use std::sync::{Arc, Weak};

use vm_core::{BlockKey, GuestAddr, GuestMemory, MemFault};
use vm_ir::eval::{self, FpEnv};
use vm_ir::{Helper, HelperFn, Inst, Op, Rounding, Type};

use crate::engine::Engine;
use crate::frame::{Frame, FrameBody};
use crate::hostfp;
use crate::jump::{self, JumpEntry};

/// What the functions of the runtime need besides the frame; the frame's `context` holds its address.
pub(crate) struct RuntimeContext {
    /// Guest memory, for code that was compiled to call it.
    pub(crate) memory: Arc<dyn GuestMemory>,
    /// The engine, for code that asks to be made better.
    pub(crate) engine: Weak<Engine>,
}

/// Index of a function in the table. Helpers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Function {
    /// The definition of a scalar op: description, three operands.
    Scalar,
    /// The sticky flags, the host's included.
    FpFlagsGet,
    /// Replaces the sticky flags, the host's included.
    FpFlagsSet,
    /// Moves the host's flags to the state.
    GatherFlags,
    /// Reads memory: address, size.
    Load,
    /// Writes memory: address, bits, size.
    Store,
    /// Read-modify-write: description, address, operand.
    Rmw,
    /// Compare-and-swap: address, expected, new, size.
    CompareExchange,
    /// 128-bit compare-and-swap: address, host address of expected and new, where the old value goes.
    CompareExchangeWide,
    /// Puts the host's floating-point status into the frame and keeps every register. For code of x86-64.
    NoteStatus,
    /// Puts the flags of that status into the frame's sink and keeps every register. For code of x86-64.
    FlagsToSink,
    /// Baseline code was entered often: number of its counter, guest address. Gives the host address of better code.
    Hot,
    /// Where code goes on whose target is not the one in its entry of the jump cache: the guest address is its
    /// argument, as it is of a region. Not called, but gone to.
    Missed,
    /// What baseline code does before a block that it was not expected to be entered at. For code of x86-64.
    Pass,
}

impl Function {
    /// Number of entries before the helpers.
    pub(crate) const COUNT: usize = 14;
}

/// The table for a guest with these helpers; its address goes to the frame's `functions`.
pub(crate) fn function_table(helpers: &[Helper]) -> Box<[u64]> {
    let runtime: [*const (); Function::COUNT] = [
        scalar as *const (),
        fp_flags_get as *const (),
        fp_flags_set as *const (),
        gather_flags as *const (),
        load as *const (),
        store as *const (),
        rmw as *const (),
        compare_exchange as *const (),
        compare_exchange_wide as *const (),
        super::enter::note_status(),
        super::enter::flags_to_sink(),
        hot as *const (),
        super::enter::missed_stub(),
        super::enter::pass_stub(),
    ];
    let helpers = helpers.iter().map(|helper| match helper.function {
        HelperFn::Values(function) => function as *const (),
        HelperFn::State(function) => function as *const (),
    });
    runtime.into_iter().chain(helpers).map(|function| function as u64).collect()
}

/// Op, types and attribute of `inst` in one word, for [`Function::Scalar`] and [`Function::Rmw`].
pub(crate) fn describe(inst: &Inst) -> i64 {
    i64::from(inst.op as u8)
        | i64::from(inst.ty as u8) << 8
        | i64::from(inst.from as u8) << 16
        | i64::from(inst.attr) << 24
}

/// The op that `description` says, without operands.
fn described(description: u64) -> Inst {
    let byte = |index: u32| (description >> (8 * index)) as u8;
    let none = [vm_ir::Value::NONE; 3];
    let mut inst = Inst::new(Op::ALL[byte(0) as usize], Type::ALL[byte(1) as usize], Type::ALL[byte(2) as usize], none);
    inst.attr = byte(3);
    inst
}

/// The body of the frame that generated code passed.
///
/// # Safety
/// `frame` is the pinned frame of generated code that runs on this thread and waits for this call; the reference is
/// dropped before the call returns, and no other is made meanwhile.
unsafe fn body<'a>(frame: *const Frame) -> &'a mut FrameBody {
    // SAFETY: the caller's contract: the frame lives, and only this thread touches its body.
    unsafe { &mut *(*frame).body() }
}

extern "C" fn scalar(frame: *const Frame, description: u64, a: u64, b: u64, c: u64) -> u64 {
    let inst = described(description);
    // SAFETY: called by generated code with its own frame.
    let body = unsafe { body(frame) };
    let rounding = Rounding::ALL[(body.state.mode().bits() & 7).min(4) as usize];
    let mut env = FpEnv { rounding, flags: 0 };
    let value = eval::scalar(inst.op, inst.ty, inst.from, inst.attr, [a, b, c], &mut env);
    body.state.set_fp_flags(body.state.fp_flags() | env.flags);
    value
}

extern "C" fn fp_flags_get(frame: *const Frame) -> u64 {
    // SAFETY: called by generated code with its own frame.
    let body = unsafe { body(frame) };
    body.state.fp_flags() | hostfp::raised()
}

extern "C" fn fp_flags_set(frame: *const Frame, flags: u64) -> u64 {
    // SAFETY: called by generated code with its own frame.
    let body = unsafe { body(frame) };
    hostfp::replace(flags);
    body.state.set_fp_flags(flags);
    0
}

extern "C" fn gather_flags(frame: *const Frame) -> u64 {
    // SAFETY: called by generated code with its own frame.
    let body = unsafe { body(frame) };
    body.state.set_fp_flags(body.state.fp_flags() | hostfp::raised());
    hostfp::replace(0); // a helper may take flags away
    0
}

/// Runs `access` on the frame's memory with the host's floating-point status put aside; notes a fault in the frame.
fn checked(frame: *const Frame, access: impl FnOnce(&dyn GuestMemory) -> Result<u64, MemFault>) -> u64 {
    // SAFETY: called by generated code with its own frame.
    let body = unsafe { body(frame) };
    // SAFETY: code compiled for checked memory runs only in frames whose context is a live `RuntimeContext`.
    let context = unsafe { &*(body.context as *const RuntimeContext) };
    match hostfp::suspend(|| access(&*context.memory)) {
        Ok(value) => value,
        Err(fault) => {
            body.access_failed = 1;
            body.note_fault(fault);
            0
        }
    }
}

extern "C" fn load(frame: *const Frame, address: u64, size: u64) -> u64 {
    checked(frame, |memory| {
        let mut bytes = [0; 8];
        memory.read(GuestAddr::new(address), &mut bytes[..size as usize])?;
        Ok(u64::from_le_bytes(bytes))
    })
}

extern "C" fn store(frame: *const Frame, address: u64, bits: u64, size: u64) -> u64 {
    checked(frame, |memory| {
        memory.write(GuestAddr::new(address), &bits.to_le_bytes()[..size as usize])?;
        Ok(0)
    })
}

extern "C" fn rmw(frame: *const Frame, description: u64, address: u64, operand: u64) -> u64 {
    let inst = described(description);
    let (address, size) = (GuestAddr::new(address), inst.ty.bytes());
    checked(frame, |memory| {
        // Replaces a zero by a zero: the old value, with the fault of a write if there is one.
        let mut old = memory.compare_exchange(address, size, 0, 0)? as u64;
        loop {
            let new = eval::rmw(inst.rmw(), inst.ty, old, operand);
            let found = memory.compare_exchange(address, size, u128::from(old), u128::from(new))? as u64;
            if found == old {
                return Ok(old);
            }
            old = found;
        }
    })
}

extern "C" fn compare_exchange(frame: *const Frame, address: u64, expected: u64, new: u64, size: u64) -> u64 {
    checked(frame, |memory| {
        let (address, size) = (GuestAddr::new(address), size as usize);
        memory.compare_exchange(address, size, u128::from(expected), u128::from(new)).map(|old| old as u64)
    })
}

extern "C" fn compare_exchange_wide(frame: *const Frame, address: u64, operands: *mut [u128; 2]) -> u64 {
    checked(frame, |memory| {
        // SAFETY: generated code passes 32 aligned bytes of its own stack frame, which waits for this call.
        let operands = unsafe { &mut *operands };
        operands[0] = memory.compare_exchange(GuestAddr::new(address), 16, operands[0], operands[1])?;
        Ok(0)
    })
}

extern "C" fn hot(frame: *const Frame, counter: u64, pc: u64) -> u64 {
    // SAFETY: called by generated code with its own frame.
    let body = unsafe { body(frame) };
    if body.context == 0 {
        return 0;
    }
    // SAFETY: a frame's context is a live `RuntimeContext` or null.
    let context = unsafe { &*(body.context as *const RuntimeContext) };
    let key = BlockKey::new(GuestAddr::new(pc), body.state.mode());
    let code = hostfp::suspend(|| {
        let engine = context.engine.upgrade()?;
        engine.native()?.improve(&engine, key, counter as u32)
    });
    let Some(code) = code else { return 0 };
    // Whoever comes here by a computed address finds the better code from now on.
    let offset = jump::offset(key.pc, body.jump_mask);
    for offset in [offset, offset ^ jump::NEIGHBOUR] {
        let entry = (body.jump_cache + offset) as *mut JumpEntry;
        // SAFETY: the frame's jump cache has an entry at every offset under its mask, and only this thread uses it.
        let [known, target] = unsafe { &mut *entry };
        if *known == pc && *target != 0 {
            *target = code.address();
        }
    }
    code.address()
}
