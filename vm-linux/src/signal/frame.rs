//! The frame that a signal handler finds on the guest's stack: `struct rt_sigframe` of `arch/riscv/kernel/signal.c`,
//! which is `siginfo_t` and then `struct ucontext` (`asm/ucontext.h`, `asm/sigcontext.h`).

use vm_core::{CpuState, GuestAddr, Mode};
use vm_cross_arch_support::riscv64::{RESERVATION_ADDRESS, f, x};
use vm_mem::AddressSpace;

use crate::abi;
use crate::errno::Errno;
use crate::host::signal::SigInfo;
use crate::layout::Layout;
use crate::layout::riscv64::{SigContext, StackT, UContext};
use crate::user::User;

/// Registers by their numbers in the calling convention.
const RETURN_ADDRESS: u8 = 1;
const STACK_POINTER: u8 = 2;
const FIRST_ARGUMENT: u8 = 10;

/// Bytes of `siginfo_t`.
const INFO: u64 = 128;
/// Bytes of a frame.
pub(crate) const SIZE: u64 = INFO + UContext::SIZE as u64;

/// What a frame keeps beside the registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saved {
    /// Blocked signals.
    pub(crate) mask: u64,
    /// The alternate stack.
    pub(crate) stack: StackT,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    /// Its argument.
    pub(crate) signal: i32,
    /// Its address.
    pub(crate) address: u64,
    /// Where it returns to: code that calls `rt_sigreturn`.
    pub(crate) restorer: GuestAddr,
}

/// Saves the registers in a frame below `top`, and sets them to enter `handler`. Nothing is changed on failure.
///
/// # Errors
/// `EFAULT`.
pub(crate) fn push(
    state: &mut CpuState,
    space: &AddressSpace,
    top: u64,
    info: &SigInfo,
    saved: &Saved,
    handler: Handler,
) -> Result<(), Errno> {
    let frame = top.wrapping_sub(SIZE) & !15;
    let fcsr = state.fp_flags() | u64::from(state.mode().bits() & 7) << 5;
    let context = UContext {
        stack: saved.stack,
        mask: saved.mask,
        registers: SigContext {
            pc: state.pc().get(),
            x: std::array::from_fn(|index| state.get(x(index as u8 + 1))),
            f: std::array::from_fn(|index| state.get(f(index as u8))),
            fcsr: fcsr as u32,
            ..SigContext::default()
        },
        ..UContext::default()
    };
    User(space).put_bytes(frame, info)?;
    User(space).put(frame + INFO, &context)?;
    state.set(x(RETURN_ADDRESS), handler.restorer.get());
    state.set(x(STACK_POINTER), frame);
    state.set(x(FIRST_ARGUMENT), handler.signal as i64 as u64);
    state.set(x(FIRST_ARGUMENT + 1), frame);
    state.set(x(FIRST_ARGUMENT + 2), frame + INFO);
    abi::go_on_at(state, GuestAddr::new(handler.address));
    Ok(())
}

/// Reads the frame at the stack pointer.
///
/// # Errors
/// `EFAULT`.
pub(crate) fn read(state: &CpuState, space: &AddressSpace) -> Result<UContext, Errno> {
    User(space).get(abi::stack_pointer(state).wrapping_add(INFO))
}

/// Takes the registers back from a frame.
pub(crate) fn restore(state: &mut CpuState, frame: &UContext) {
    let registers = &frame.registers;
    abi::go_on_at(state, GuestAddr::new(registers.pc));
    for (index, value) in registers.x.iter().enumerate() {
        state.set(x(index as u8 + 1), *value);
    }
    for (index, value) in registers.f.iter().enumerate() {
        state.set(f(index as u8), *value);
    }
    state.set_fp_flags(u64::from(registers.fcsr & 0x1f));
    state.set_mode(Mode::new(registers.fcsr >> 5 & 7));
    state.set(RESERVATION_ADDRESS, 0);
}

#[cfg(test)]
mod tests {
    use vm_core::Perms;
    use vm_mem::{MapRequest, Placement};

    use super::*;

    #[test]
    fn what_is_pushed_is_restored() {
        let space = AddressSpace::new(Placement::Reserved { size: 1 << 24 }).unwrap();
        let page = space.map(MapRequest::anonymous(4096, Perms::READ | Perms::WRITE)).unwrap().get();
        let mut state = CpuState::new();
        for index in 1..32 {
            state.set(x(index), u64::from(index) << 32);
            state.set(f(index), !u64::from(index));
        }
        state.set_pc(GuestAddr::new(0x1234));
        state.set_fp_flags(0x15);
        state.set_mode(Mode::new(3));
        let before = state.clone();
        let saved = Saved { mask: 0x55, stack: StackT::default() };
        let handler = Handler { signal: 11, address: 0x4000, restorer: GuestAddr::new(0x5000) };
        push(&mut state, &space, page + 4090, &[7; 128], &saved, handler).unwrap();
        assert_eq!((state.pc().get(), state.get(x(1)), state.get(x(10))), (0x4000, 0x5000, 11));
        assert_eq!(state.get(x(2)) % 16, 0);
        assert_eq!(User(&space).bytes(state.get(x(11)), 128).unwrap(), [7; 128]);
        let frame = read(&state, &space).unwrap();
        assert_eq!(frame.mask, 0x55);
        restore(&mut state, &frame);
        assert_eq!(state.slots()[..64], before.slots()[..64]);
        assert_eq!((state.pc(), state.fp_flags(), state.mode()), (before.pc(), 0x15, before.mode()));
        assert_eq!(push(&mut state, &space, 64, &[0; 128], &saved, handler), Err(Errno::EFAULT));
    }
}
