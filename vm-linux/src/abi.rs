//! Where a guest's registers hold what a system call needs, and what a new process finds in them.

use vm_core::{CpuState, GuestAddr};
use vm_cross_arch_support::riscv64::{RESERVATION_ADDRESS, x};

use crate::errno::Errno;
use crate::thread::ChildRegisters;

/// Registers of the riscv64 system-call convention: number in a7, arguments in a0 to a5, result in a0.
const NUMBER: u8 = 17;
const FIRST_ARGUMENT: u8 = 10;
const STACK_POINTER: u8 = 2;
const THREAD_POINTER: u8 = 4;

/// `AT_MINSIGSTKSZ`: a signal frame, which holds `siginfo` (128 bytes) and `ucontext` (960).
pub(crate) const MIN_SIGNAL_STACK: u64 = 128 + 960;

/// Number of the system call that the guest has just made.
#[inline]
pub(crate) fn number(state: &CpuState) -> u64 {
    state.get(x(NUMBER))
}

/// Its arguments.
#[inline]
pub(crate) fn arguments(state: &CpuState) -> [u64; 6] {
    std::array::from_fn(|index| state.get(x(FIRST_ARGUMENT + index as u8)))
}

/// Bytes of the instruction that makes a system call.
const SYSTEM_CALL: i64 = 4;

/// Lets the guest make its system call again: the registers are still as it made it.
pub(crate) fn repeat_system_call(state: &mut CpuState) {
    state.set_pc(state.pc().offset(-SYSTEM_CALL));
}

/// The guest's stack pointer.
pub(crate) fn stack_pointer(state: &CpuState) -> u64 {
    state.get(x(STACK_POINTER))
}

/// Answers the system call.
pub(crate) fn set_result(state: &mut CpuState, value: u64) {
    state.set(x(FIRST_ARGUMENT), value);
}

/// What the guest finds as the result of its last system call.
///
/// # Errors
/// The error number that it finds.
pub(crate) fn result(state: &CpuState) -> Result<u64, Errno> {
    /// `MAX_ERRNO` (`linux/err.h`).
    const GREATEST: i64 = 4095;
    let value = state.get(x(FIRST_ARGUMENT));
    match value.cast_signed() {
        errno if (-GREATEST..0).contains(&errno) => Err(Errno::new(-errno as i32)),
        _ => Ok(value),
    }
}

/// Sets what a new process starts with: every register zero but program counter and stack pointer, no reservation.
pub(crate) fn start(state: &mut CpuState, entry: GuestAddr, stack: GuestAddr) {
    go_on_at(state, entry);
    state.set(x(STACK_POINTER), stack.get());
    state.set(RESERVATION_ADDRESS, 0);
}

/// Where the guest goes on when the kernel lets it: `sepc`, of which the lowest bit is always zero (privileged ISA,
/// "Supervisor Exception Program Counter").
pub(crate) fn go_on_at(state: &mut CpuState, pc: GuestAddr) {
    state.set_pc(GuestAddr::new(pc.get() & !1));
}

/// Sets what a child process has in place of its parent's registers.
pub(crate) fn set_child(state: &mut CpuState, child: ChildRegisters) {
    if let Some(stack) = child.stack {
        state.set(x(STACK_POINTER), stack);
    }
    if let Some(thread) = child.thread {
        state.set(x(THREAD_POINTER), thread);
    }
}
