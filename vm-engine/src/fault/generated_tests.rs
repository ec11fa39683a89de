//! Faults of code made by hand, in place of generated code.

use std::arch::naked_asm;

use vm_core::PAGE_SIZE;

use super::segments::{Segment, register};
use super::tests::{ISLAND, READ_ONLY, SHORT_FILE, at, memory};
use super::{install, prepare_thread};
use crate::frame::{ExitCode, Frame, FrameBody};

/// Enters `code` with `frame` in r15 and `operand` in rdi, and comes back by way of [`leave`]:
/// the code has to fault.
#[unsafe(naked)]
unsafe extern "C" fn enter(frame: *const Frame, body: *mut FrameBody, code: usize, operand: u64) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rsi + {entry_sp}], rsp",
        "mov r15, rdi",
        "mov rdi, rcx",
        "call rdx",
        "ud2",
        entry_sp = const std::mem::offset_of!(FrameBody, entry_sp),
    )
}

/// Where [`enter`] goes on after a fault.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!(
        "mov eax, {fault}",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        fault = const ExitCode::Fault as u64,
    )
}

/// A page of code, executable once written.
struct CodePage(*mut u8);

impl CodePage {
    fn new(code: &[u8]) -> Self {
        let len = PAGE_SIZE as usize;
        let (rw, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new page of our own is written, then sealed.
        unsafe {
            let page = libc::mmap(std::ptr::null_mut(), len, rw, flags, -1, 0);
            assert_ne!(page, libc::MAP_FAILED);
            std::ptr::copy_nonoverlapping(code.as_ptr(), page.cast(), code.len());
            assert_eq!(libc::mprotect(page, len, libc::PROT_READ | libc::PROT_EXEC), 0);
            Self(page.cast())
        }
    }
}

impl Drop for CodePage {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `new`, and no code on it runs any more.
        unsafe { libc::munmap(self.0.cast(), PAGE_SIZE as usize) };
    }
}

/// What generated code does that spoils every register but r15, uses stack, and then accesses `[rdi]`.
const PROLOGUE: &[u8] = &[
    0x55, // push rbp
    0x48, 0x81, 0xec, 0x00, 0x02, 0x00, 0x00, // sub rsp, 0x200
    0x31, 0xdb, // xor ebx, ebx
    0x31, 0xed, // xor ebp, ebp
    0x4d, 0x31, 0xe4, // xor r12, r12
    0x4d, 0x31, 0xed, // xor r13, r13
    0x4d, 0x31, 0xf6, // xor r14, r14
];

/// Runs `access` as generated code on `operand`. Gives exit code, exit value, exit address and pc.
fn run_faulting(access: &[u8], operand: u64, memory_base: u64) -> (u64, u64, u64, u64) {
    install().unwrap();
    prepare_thread().unwrap();
    let mut code = PROLOGUE.to_vec();
    code.extend_from_slice(access);
    code.push(0xcc); // int3: is not reached
    let page = CodePage::new(&code);
    let start = page.0 as usize;
    let frame = Box::new(Frame::new());
    let body = frame.body();
    // SAFETY: nobody else has the frame.
    unsafe { (*body).memory_base = memory_base };
    let access_at = PROLOGUE.len() as u32;
    let pcs = [(0, at(0x1_0000)), (access_at, at(0x1_000c)), (access_at + 1, at(0x1_0010))];
    let exit = leave as *const () as usize;
    let segment = Segment { start, end: start + code.len(), pcs: pcs.into(), atomics: Box::default(), exit };
    let registered = register(segment);
    // SAFETY: the code keeps to what `enter` expects: it faults, and the handler leaves by `leave`.
    let exit_code = unsafe { enter(&raw const *frame, body, start, operand) };
    drop(registered);
    // SAFETY: the code is left.
    let body = unsafe { &*body };
    (exit_code, body.exit_value, body.exit_addr, body.state.pc().get())
}

#[test]
fn generated_code_is_left_with_everything_known() {
    let fault = ExitCode::Fault as u64;
    let load: &[u8] = &[0x48, 0x8b, 0x07]; // mov rax, [rdi]
    let store: &[u8] = &[0x89, 0x47, 0x04]; // mov [rdi + 4], eax
    let float: &[u8] = &[0xf2, 0x0f, 0x11, 0x07]; // movsd [rdi], xmm0
    let (space, _) = memory();
    let base = space.view().base as u64;
    let unmapped = ISLAND + PAGE_SIZE;
    assert_eq!(run_faulting(load, base + unmapped, base), (fault, 0, unmapped, 0x1_000c));
    assert_eq!(run_faulting(store, base + unmapped, base), (fault, 1, unmapped + 4, 0x1_000c));
    assert_eq!(run_faulting(load, base + unmapped - 4, base), (fault, 0, unmapped, 0x1_000c));
    assert_eq!(run_faulting(store, base + READ_ONLY, base), (fault, 1, READ_ONLY + 4, 0x1_000c));
    let beyond = SHORT_FILE + PAGE_SIZE;
    assert_eq!(run_faulting(float, base + beyond, base), (fault, 1, beyond, 0x1_000c));
    // Addresses that no page fault reports: not canonical.
    let wild = 0xdead_beef_dead_beef;
    assert_eq!(run_faulting(load, wild, 0), (fault, 0, wild, 0x1_000c));
    assert_eq!(run_faulting(store, wild, 0), (fault, 1, wild + 4, 0x1_000c));
    assert_eq!(run_faulting(float, wild.wrapping_add(base), base), (fault, 1, wild, 0x1_000c));
    // The kernel's half.
    assert_eq!(run_faulting(load, 0xffff_8000_0000_0000, 0), (fault, 0, 0xffff_8000_0000_0000, 0x1_000c));
}
