//! Faults of code made by hand, in place of generated code.

use std::arch::naked_asm;
use std::sync::Arc;

use vm_core::{Access, GuestMemory, MemFault, PAGE_SIZE};
use vm_mem::{AddressSpace, MapRequest, Place};

use super::segments::{PcMap, Segment, register};
use super::tests::{ISLAND, READ_ONLY, RW, SHORT_FILE, at, memory};
use super::{install, prepare_thread};
use crate::frame::{ExitCode, Frame, FrameBody};
use crate::jit::RuntimeContext;

/// Enters `code` with the anchor of `frame` in r15 and `operand` in rdi, and comes back by way of [`leave`]:
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
        "lea r15, [rdi + {anchor}]",
        "mov rdi, rcx",
        "call rdx",
        "ud2",
        anchor = const Frame::ANCHOR,
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

/// Runs `access` as generated code on the guest address `operand` of `memory`. Gives exit code, fault, and pc.
fn run_faulting(access: &[u8], operand: u64, memory: &Arc<AddressSpace>) -> (u64, MemFault, u64) {
    install().unwrap();
    prepare_thread().unwrap();
    let mut code = PROLOGUE.to_vec();
    code.extend_from_slice(access);
    code.push(0xcc); // int3: is not reached
    let page = CodePage::new(&code);
    let start = page.0 as usize;
    let frame = Box::new(Frame::new());
    let body = frame.body();
    let base = memory.view().base as u64;
    let context = RuntimeContext { memory: Arc::<AddressSpace>::clone(memory), engine: std::sync::Weak::new() };
    // SAFETY: nobody else has the frame.
    unsafe {
        (*body).memory_base = base;
        (*body).context = &raw const context as u64;
    }
    let access_at = PROLOGUE.len() as u32;
    let pcs = [(0, at(0x1_0000)), (access_at, at(0x1_000c)), (access_at + 1, at(0x1_0010))];
    let exit = leave as *const () as usize;
    let segment = Segment {
        start,
        end: start + code.len(),
        pcs: PcMap::new(&pcs),
        atomics: Box::default(),
        steps_over: Box::default(),
        exit,
    };
    let registered = register(segment);
    // SAFETY: the code keeps to what `enter` expects: it faults, and the handler leaves by `leave`.
    let exit_code = unsafe { enter(&raw const *frame, body, start, base.wrapping_add(operand)) };
    drop(registered);
    // SAFETY: the code is left.
    let body = unsafe { &*body };
    (exit_code, body.fault(), body.state.pc().get())
}

#[test]
fn generated_code_is_left_with_everything_known() {
    let exit = ExitCode::Fault as u64;
    let load: &[u8] = &[0x48, 0x8b, 0x07]; // mov rax, [rdi]
    let store: &[u8] = &[0x89, 0x47, 0x04]; // mov [rdi + 4], eax
    let float: &[u8] = &[0xf2, 0x0f, 0x11, 0x07]; // movsd [rdi], xmm0
    let space = Arc::new(memory().0);
    let (read, write) = (Access::Read, Access::Write);
    let unmapped = ISLAND + PAGE_SIZE;
    let beyond = SHORT_FILE + PAGE_SIZE;
    // Addresses that no page fault reports: not canonical. And the kernel's half.
    let (wild, kernel) = (0xdead_beef_dead_beef, 0xffff_8000_0000_0000 - space.view().base as u64);
    for (access, operand, fault) in [
        (load, unmapped, MemFault::Unmapped { addr: at(unmapped), access: read }),
        (store, unmapped, MemFault::Unmapped { addr: at(unmapped + 4), access: write }),
        (load, unmapped - 4, MemFault::Unmapped { addr: at(unmapped), access: read }),
        (store, READ_ONLY, MemFault::Forbidden { addr: at(READ_ONLY + 4), access: write }),
        (float, beyond, MemFault::Unbacked { addr: at(beyond), access: write }),
        (load, wild, MemFault::Unmapped { addr: at(wild), access: read }),
        (store, wild, MemFault::Unmapped { addr: at(wild + 4), access: write }),
        (float, wild, MemFault::Unmapped { addr: at(wild), access: write }),
        (load, kernel, MemFault::Unmapped { addr: at(kernel), access: read }),
    ] {
        assert_eq!(run_faulting(access, operand, &space), (exit, fault, 0x1_000c));
    }
}

/// An access that memory permits after all is made, by the same instruction with the same registers.
#[test]
fn generated_code_goes_on_where_memory_has_changed() {
    let space = Arc::new(memory().0);
    let (top, target) = (0xc0_0000, 0xb8_0000);
    let growing = MapRequest { grows: true, ..MapRequest::anonymous(PAGE_SIZE, RW).at(Place::Fixed(at(top))) };
    space.map(growing).unwrap();
    // mov rax, 0x1122334455667788; mov [rdi], rax; add rax, rbx; mov [rdi + 8], rax; mov eax, [rbx]
    let code: &[u8] = &[
        0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x48, 0x89, 0x07, 0x48, 0x01, 0xd8, 0x48, 0x89,
        0x47, 0x08, 0x8b, 0x03,
    ];
    let (exit, fault, _) = run_faulting(code, target, &space);
    // The last instruction reads the host's address zero.
    let zero = at(0_u64.wrapping_sub(space.view().base as u64));
    assert_eq!((exit, fault), (ExitCode::Fault as u64, MemFault::Unmapped { addr: zero, access: Access::Read }));
    let mut stored = [0; 16];
    space.read(at(target), &mut stored).unwrap();
    assert_eq!(stored, [0x1122_3344_5566_7788_u64.to_le_bytes(); 2].concat()[..]);
    assert_eq!(space.region_at(at(target)).unwrap().range.start(), at(target));
}
