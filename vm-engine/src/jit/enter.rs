//! The one call into generated code, and the stubs that generated code and the fault handler leave through.

use crate::frame::{ExitCode, Frame};
#[cfg(target_arch = "x86_64")]
use crate::hostfp;
use crate::jit::abi::offset;
use crate::jit::code::CodePtr;
#[cfg(target_arch = "x86_64")]
use crate::jit::runtime::Function;
use crate::jump;

/// Runs generated code until it leaves.
///
/// # Safety
/// - `code` is the entry of a region that stays mapped for the call;
/// - the calling thread owns the frame's body, and the addresses in it (link table, jump cache, functions, memory
///   base, context) are valid for what the region's options make of them.
pub(crate) unsafe fn enter(frame: &Frame, code: CodePtr) -> ExitCode {
    // SAFETY: the caller's contract; the trampoline saves every register that the host's convention preserves.
    let code = unsafe { tradux_enter(std::ptr::from_ref(frame), code.address()) };
    match code {
        1 => ExitCode::Link,
        2 => ExitCode::Syscall,
        3 => ExitCode::Trap,
        4 => ExitCode::Poll,
        5 => ExitCode::Flush,
        6 => ExitCode::Fault,
        7 => ExitCode::Replay,
        8 => ExitCode::Declined,
        _ => ExitCode::Continue,
    }
}

/// Address of the stub that an unlinked entry of the link table holds: leaves with [`ExitCode::Link`].
pub(crate) fn link_stub() -> u64 {
    tradux_link_stub as *const () as u64
}

/// Address of the stub that generated code jumps to when a computed address is not in its entry of the jump cache: goes
/// on where the entry's neighbour says, or leaves with [`ExitCode::Continue`].
pub(crate) fn missed_stub() -> *const () {
    tradux_missed_stub as *const ()
}

/// Address at which the fault handler continues after it has restored the stack pointer from the frame:
/// leaves with [`ExitCode::Fault`]. The pinned register must hold what it does in generated code.
pub(crate) fn fault_exit() -> u64 {
    tradux_fault_exit as *const () as u64
}

/// Address of the function that puts the host's floating-point status into the frame and keeps every register: its
/// argument is the address that the pinned register holds, or 8 more for the second words of status and sink. Null on
/// hosts whose code does not call it.
pub(crate) fn note_status() -> *const () {
    #[cfg(target_arch = "x86_64")]
    {
        tradux_note_status as *const ()
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::ptr::null()
}

/// Address of the function that puts the flags of the frame's floating-point status into the frame's sink and keeps every
/// register, as [`note_status`]. Null on hosts whose code does not call it.
pub(crate) fn flags_to_sink() -> *const () {
    #[cfg(target_arch = "x86_64")]
    {
        tradux_flags_to_sink as *const ()
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::ptr::null()
}

/// Address of the function that counts down the word of the link table whose number is in `rax`, leads to better code if
/// it is used up and there is some, and polls: the guest address of the block that follows is in `rdx`. Everything but the
/// frame's register may change. Null on hosts whose code does not call it.
pub(crate) fn pass_stub() -> *const () {
    #[cfg(target_arch = "x86_64")]
    {
        tradux_pass_stub as *const ()
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::ptr::null()
}

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    fn tradux_note_status();
    fn tradux_flags_to_sink();
    fn tradux_pass_stub();
}

unsafe extern "C" {
    fn tradux_enter(frame: *const Frame, code: u64) -> u64;
    fn tradux_link_stub();
    fn tradux_missed_stub();
    fn tradux_fault_exit();
}

// Six saved registers and eight bytes of padding keep the stack aligned to 16 bytes at the call.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl tradux_enter",
    ".hidden tradux_enter",
    ".type tradux_enter, @function",
    "tradux_enter:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "lea r15, [rdi + {anchor}]",
    "mov qword ptr [r15 + {entry_sp}], rsp",
    "xor ebp, ebp",
    "call rsi",
    "2:",
    "mov qword ptr [r15 + {entry_sp}], 0",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    ".size tradux_enter, . - tradux_enter",
    ".globl tradux_fault_exit",
    ".hidden tradux_fault_exit",
    ".type tradux_fault_exit, @function",
    "tradux_fault_exit:",
    "mov eax, {fault}",
    "jmp 2b",
    ".size tradux_fault_exit, . - tradux_fault_exit",
    ".globl tradux_link_stub",
    ".hidden tradux_link_stub",
    ".type tradux_link_stub, @function",
    "tradux_link_stub:",
    "mov qword ptr [r15 + {exit_value}], rdi",
    "mov eax, {link}",
    "ret",
    ".size tradux_link_stub, . - tradux_link_stub",
    ".globl tradux_missed_stub",
    ".hidden tradux_missed_stub",
    ".type tradux_missed_stub, @function",
    "tradux_missed_stub:",
    "lea eax, [8 * rdi]",
    "and eax, dword ptr [r15 + {jump_mask}]",
    "xor eax, {neighbour}",
    "add rax, qword ptr [r15 + {jump_cache}]",
    "cmp rdi, qword ptr [rax]",
    "jne 3f",
    "jmp qword ptr [rax + 8]",
    "3:",
    "mov qword ptr [r15 + {state_pc}], rdi",
    "mov eax, {continue_}",
    "ret",
    ".size tradux_missed_stub, . - tradux_missed_stub",
    ".globl tradux_pass_stub",
    ".hidden tradux_pass_stub",
    ".type tradux_pass_stub, @function",
    "tradux_pass_stub:",
    "mov rcx, qword ptr [r15 + {links}]",
    "lea rcx, [rcx + 8 * rax]",
    "mov rsi, qword ptr [rcx]",
    "sub rsi, 1",
    "js 4f",
    "mov qword ptr [rcx], rsi",
    "3:",
    "cmp dword ptr [r15 + {interrupt}], 0",
    "jne 6f",
    "ret",
    // The word, less one, is -1 or the complement of an address.
    "4:",
    "xor rsi, -1",
    "jz 5f",
    "add rsp, 8",
    "jmp rsi",
    // Called by code that was entered as a function is, so that a word more aligns the stack.
    "5:",
    "push rdx",
    "sub rsp, 8",
    "lea rdi, [r15 - {anchor}]",
    "mov esi, eax",
    "mov rcx, qword ptr [r15 + {functions}]",
    "call qword ptr [rcx + {hot}]",
    "add rsp, 8",
    "pop rdx",
    "test rax, rax",
    "jz 3b",
    "add rsp, 8",
    "jmp rax",
    "6:",
    "add rsp, 8",
    "mov qword ptr [r15 + {state_pc}], rdx",
    "mov eax, {poll}",
    "ret",
    ".size tradux_pass_stub, . - tradux_pass_stub",
    ".globl tradux_note_status",
    ".hidden tradux_note_status",
    ".type tradux_note_status, @function",
    "tradux_note_status:",
    "stmxcsr dword ptr [rdi + {status}]",
    "ret",
    ".size tradux_note_status, . - tradux_note_status",
    ".globl tradux_flags_to_sink",
    ".hidden tradux_flags_to_sink",
    ".type tradux_flags_to_sink, @function",
    "tradux_flags_to_sink:",
    "push rax",
    "push rcx",
    "mov eax, dword ptr [rdi + {status}]",
    "and eax, {raised}",
    "lea rcx, [rip + {flags}]",
    "movzx eax, byte ptr [rcx + rax]",
    "mov qword ptr [rdi + {sink}], rax",
    "pop rcx",
    "pop rax",
    "ret",
    ".size tradux_flags_to_sink, . - tradux_flags_to_sink",
    anchor = const Frame::ANCHOR,
    sink = const offset::SINK,
    status = const offset::STATUS,
    raised = const hostfp::RAISED,
    flags = sym hostfp::FLAGS,
    entry_sp = const offset::ENTRY_SP,
    exit_value = const offset::EXIT_VALUE,
    fault = const ExitCode::Fault as u64,
    link = const ExitCode::Link as u64,
    links = const offset::LINKS,
    interrupt = const offset::INTERRUPT,
    functions = const offset::FUNCTIONS,
    hot = const Function::Hot as usize * 8,
    poll = const ExitCode::Poll as u64,
    jump_cache = const offset::JUMP_CACHE,
    jump_mask = const offset::JUMP_MASK,
    neighbour = const jump::NEIGHBOUR,
    state_pc = const offset::STATE + vm_core::CpuState::PC_OFFSET as i32,
    continue_ = const ExitCode::Continue as u64,
);

// `Tail` passes its first argument and its result in x2, and keeps x19-x28 and v8-v15 as the host's convention does.
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl tradux_enter",
    ".hidden tradux_enter",
    ".type tradux_enter, @function",
    "tradux_enter:",
    "stp x29, x30, [sp, #-160]!",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    "stp d8, d9, [sp, #96]",
    "stp d10, d11, [sp, #112]",
    "stp d12, d13, [sp, #128]",
    "stp d14, d15, [sp, #144]",
    "mov x29, sp",
    "mov x21, x0",
    "mov x9, sp",
    "str x9, [x21, #{entry_sp}]",
    "blr x1",
    "mov x0, x2",
    "2:",
    "str xzr, [x21, #{entry_sp}]",
    "ldp x19, x20, [sp, #16]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp d8, d9, [sp, #96]",
    "ldp d10, d11, [sp, #112]",
    "ldp d12, d13, [sp, #128]",
    "ldp d14, d15, [sp, #144]",
    "ldp x21, x22, [sp, #32]",
    "ldp x29, x30, [sp], #160",
    "ret",
    ".size tradux_enter, . - tradux_enter",
    ".globl tradux_fault_exit",
    ".hidden tradux_fault_exit",
    ".type tradux_fault_exit, @function",
    "tradux_fault_exit:",
    "mov x0, #{fault}",
    "b 2b",
    ".size tradux_fault_exit, . - tradux_fault_exit",
    ".globl tradux_link_stub",
    ".hidden tradux_link_stub",
    ".type tradux_link_stub, @function",
    "tradux_link_stub:",
    "str x2, [x21, #{exit_value}]",
    "mov x2, #{link}",
    "ret",
    ".size tradux_link_stub, . - tradux_link_stub",
    ".globl tradux_missed_stub",
    ".hidden tradux_missed_stub",
    ".type tradux_missed_stub, @function",
    "tradux_missed_stub:",
    "ldr x9, [x21, #{jump_mask}]",
    "and x9, x9, x2, lsl #3",
    "eor x9, x9, #{neighbour}",
    "ldr x10, [x21, #{jump_cache}]",
    "add x9, x9, x10",
    "ldp x10, x11, [x9]",
    "cmp x10, x2",
    "b.ne 3f",
    "br x11",
    "3:",
    "str x2, [x21, #{state_pc}]",
    "mov x2, #{continue_}",
    "ret",
    ".size tradux_missed_stub, . - tradux_missed_stub",
    entry_sp = const offset::ENTRY_SP,
    exit_value = const offset::EXIT_VALUE,
    fault = const ExitCode::Fault as u64,
    link = const ExitCode::Link as u64,
    jump_cache = const offset::JUMP_CACHE,
    jump_mask = const offset::JUMP_MASK,
    neighbour = const jump::NEIGHBOUR,
    state_pc = const offset::STATE + vm_core::CpuState::PC_OFFSET as i32,
    continue_ = const ExitCode::Continue as u64,
);
