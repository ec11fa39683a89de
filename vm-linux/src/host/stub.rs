//! The one road to system calls that may wait: a stub that does not begin a call once a signal is to be delivered.
//!
//! Between the look at the thread's stop word and the system call lies a window in which a signal's wake-up would be
//! lost. The handler of every guest signal closes it: when it has interrupted the window it sets the stop word and goes
//! on at [`window`]'s abort label, so that the call is not made. A call that the kernel wants to make again after the
//! handler, as `SA_RESTART` asks, is interrupted at the system-call instruction, and so inside the window too: whether
//! a call starts over or fails with `EINTR` is the kernel's decision alone.

use std::sync::atomic::AtomicU32;

/// What the stub returns for a call that was not made, a number that no kernel returns (`ERESTARTSYS` of
/// `linux/errno.h`, negated).
pub(super) const NOT_MADE: i64 = -512;

unsafe extern "C" {
    fn tradux_system_call(number: i64, args: *const [u64; 6], stop: *const AtomicU32) -> i64;
    fn tradux_system_call_window();
    fn tradux_system_call_end();
    fn tradux_system_call_abort();
}

/// Makes a system call unless `stop` is not zero. Gives what the kernel returns, or [`NOT_MADE`].
///
/// # Safety
/// The call with these arguments keeps to Rust's rules: see [`super::call`].
pub(super) unsafe fn system_call(number: i64, args: &[u64; 6], stop: &AtomicU32) -> i64 {
    // SAFETY: the stub follows the host's calling convention and touches nothing beyond the call; the rest is the
    // caller's contract.
    unsafe { tradux_system_call(number, args, stop) }
}

/// Where to go on in place of `pc`, if `pc` lies between the look at the stop word and the end of the system call.
pub(super) fn resume_instead(pc: usize) -> Option<usize> {
    let window = tradux_system_call_window as *const () as usize..tradux_system_call_end as *const () as usize;
    window.contains(&pc).then_some(tradux_system_call_abort as *const () as usize)
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl tradux_system_call",
    ".hidden tradux_system_call",
    ".type tradux_system_call, @function",
    "tradux_system_call:",
    "mov rax, rdi",
    "mov r11, rdx",
    "mov rcx, rsi",
    "mov rdi, [rcx]",
    "mov rsi, [rcx + 8]",
    "mov rdx, [rcx + 16]",
    "mov r10, [rcx + 24]",
    "mov r8, [rcx + 32]",
    "mov r9, [rcx + 40]",
    ".globl tradux_system_call_window",
    ".hidden tradux_system_call_window",
    "tradux_system_call_window:",
    "cmp dword ptr [r11], 0",
    "jne tradux_system_call_abort",
    "syscall",
    ".globl tradux_system_call_end",
    ".hidden tradux_system_call_end",
    "tradux_system_call_end:",
    "ret",
    ".globl tradux_system_call_abort",
    ".hidden tradux_system_call_abort",
    "tradux_system_call_abort:",
    "mov rax, {not_made}",
    "ret",
    ".size tradux_system_call, . - tradux_system_call",
    not_made = const NOT_MADE,
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl tradux_system_call",
    ".hidden tradux_system_call",
    ".type tradux_system_call, @function",
    "tradux_system_call:",
    "mov x8, x0",
    "mov x9, x2",
    "mov x10, x1",
    "ldp x0, x1, [x10]",
    "ldp x2, x3, [x10, #16]",
    "ldp x4, x5, [x10, #32]",
    ".globl tradux_system_call_window",
    ".hidden tradux_system_call_window",
    "tradux_system_call_window:",
    "ldr w10, [x9]",
    "cbnz w10, tradux_system_call_abort",
    "svc #0",
    ".globl tradux_system_call_end",
    ".hidden tradux_system_call_end",
    "tradux_system_call_end:",
    "ret",
    ".globl tradux_system_call_abort",
    ".hidden tradux_system_call_abort",
    "tradux_system_call_abort:",
    "mov x0, #{not_made}",
    "ret",
    ".size tradux_system_call, . - tradux_system_call",
    not_made = const NOT_MADE,
);
