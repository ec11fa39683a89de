//! Host faults of guest accesses: recognised by the host instruction, turned into values.
//!
//! A signal handler looks at the interrupted host instruction:
//!
//! * of an accessor of `flat`: it goes on behind the access, which returns an error;
//! * of generated code: memory is asked what is wrong with the access. If nothing is any more the instruction runs
//!   again, with all its registers, which generated code alone knows. Otherwise it is stepped over where the code has the
//!   state before it at hand and leaves soon with that; elsewhere the frame is told the guest's pc and the fault, and
//!   generated code is left by its exit stub;
//! * anything else is passed on to the handler that was there before.
//!
//! Faults are raised by the thread's own instruction, and of two known kinds: neither an accessor nor generated code
//! holds a lock that memory takes, or is in the middle of an allocation. So memory may do both when it is asked. Beyond
//! that handlers take no lock, allocate nothing and use no floating point.

#[cfg(all(feature = "jit", target_arch = "x86_64"))]
mod operand;
#[cfg(feature = "jit")]
pub(crate) mod segments;

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use libc::{c_int, c_void, siginfo_t};
use vm_core::{Access, GuestAddr, GuestMemory, MemFault};

/// The signals that a guest access can raise on the host. Integer division is total in the IR, so nothing divides by zero
/// on the host.
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

thread_local! {
    /// The signal that told this thread of its last fault, for [`explain`]; zero once that has looked at it.
    static LAST: Cell<c_int> = const { Cell::new(0) };
}

/// What was installed for each of [`SIGNALS`] before.
static PREVIOUS: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// Installs handlers for SIGSEGV and SIGBUS in this process, once; further calls do nothing.
///
/// A signal that is not about guest code goes to the handler that was installed before. An embedder who wants handlers of
/// its own installs them after this call or instead of it and calls [`handle_signal`] from them.
///
/// # Errors
/// What `sigaction(2)` reports.
pub fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    INSTALLED
        .get_or_init(|| install_handlers().map_err(|error| error.raw_os_error().unwrap_or_default()))
        .map_err(io::Error::from_raw_os_error)
}

fn install_handlers() -> io::Result<()> {
    let mut previous = [const { MaybeUninit::<libc::sigaction>::uninit() }; SIGNALS.len()];
    for (signal, slot) in SIGNALS.into_iter().zip(&mut previous) {
        // SAFETY: a query into a slot that is large enough.
        if unsafe { libc::sigaction(signal, std::ptr::null(), slot.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: every slot was filled by a successful query.
    let _ = PREVIOUS.set(previous.map(|slot| unsafe { slot.assume_init() }));
    // SAFETY: all-zero bits are a valid `sigaction`; the mask is filled next.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    for signal in SIGNALS {
        // SAFETY: `on_signal` keeps to what a signal handler may do; the previous actions are known to it.
        let done = unsafe { libc::sigfillset(&raw mut action.sa_mask) } == 0
            // SAFETY: as above.
            && unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } == 0;
        if !done {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The installed handler.
extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the pointers of a signal delivered with SA_SIGINFO.
    if !unsafe { handle_signal(signal, info, context) } {
        // SAFETY: as above.
        unsafe { pass_on(signal, info, context) };
    }
}

/// Does what the previous action of `signal` would have done.
///
/// # Safety
/// The pointers are those that the kernel passed to the handler of `signal`.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(previous) = PREVIOUS.get() else { return };
    let Some(previous) = SIGNALS.iter().position(|known| *known == signal).map(|at| &previous[at]) else { return };
    // SAFETY: the kernel filled the record.
    let sent = unsafe { (*info).si_code } <= 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // A fault that nobody handles ends the process, ignored or not: the instruction runs again under the default
            // action. One that was sent has to be sent again.
            // SAFETY: all-zero bits are the default action.
            let default: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: plain system calls.
            unsafe {
                libc::sigaction(signal, &raw const default, std::ptr::null_mut());
                if sent {
                    libc::raise(signal);
                }
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: an address installed with SA_SIGINFO is a function of this type.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: an address installed without SA_SIGINFO is a function of this type.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// Handles a signal if it is a fault of guest code. Returns whether it was: the handler then has to return at once,
/// restoring `context`, which was changed. Otherwise nothing was changed.
///
/// # Safety
/// Called from a handler for `signal` installed with `SA_SIGINFO`, with the pointers that the kernel passed to it.
pub unsafe fn handle_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) -> bool {
    // SAFETY: the kernel filled the record.
    let info = unsafe { &*info };
    if info.si_code <= 0 || !SIGNALS.contains(&signal) {
        return false; // sent by a process, not raised by an instruction
    }
    // SAFETY: the third argument of such a handler is the interrupted context, which nobody else uses meanwhile.
    let handled = unsafe { host::handle(info, &mut *context.cast::<libc::ucontext_t>()) };
    if handled {
        LAST.set(signal);
    }
    handled
}

#[cfg(target_arch = "x86_64")]
mod host {
    use libc::siginfo_t;

    /// # Safety
    /// `context` is the interrupted context that the kernel passed to the running handler, with `info`.
    pub(super) unsafe fn handle(info: &siginfo_t, context: &mut libc::ucontext_t) -> bool {
        let registers = &mut context.uc_mcontext.gregs;
        let pc = registers[libc::REG_RIP as usize] as usize;
        if let Some(resume) = crate::flat::resume_after_fault(pc) {
            // SAFETY: the record of SIGSEGV and SIGBUS raised by an instruction holds an address.
            registers[libc::REG_RAX as usize] = unsafe { info.si_addr() } as i64;
            registers[libc::REG_RCX as usize] = 1;
            registers[libc::REG_RIP as usize] = resume as i64;
            return true;
        }
        #[cfg(feature = "jit")]
        {
            // SAFETY: as for this function.
            unsafe { super::generated::leave(pc, info, &mut context.uc_mcontext) }
        }
        #[cfg(not(feature = "jit"))]
        false
    }
}

#[cfg(all(feature = "jit", target_arch = "x86_64"))]
mod generated {
    use libc::{c_int, siginfo_t};
    use vm_core::{Access, GuestAddr, MemFault};

    use super::operand::{self, Operand};
    use super::segments::{Segment, with_segment};
    use crate::frame::Frame;
    use crate::jit::RuntimeContext;

    /// Indices into the context's registers by the number that instructions use.
    const BY_NUMBER: [c_int; 16] = [
        libc::REG_RAX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RBX,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];
    /// The exception number of a page fault (Intel SDM, volume 3, "Exception and Interrupt Reference").
    const PAGE_FAULT: i64 = 14;
    /// The bit of a page fault's error code that says that the access was a write.
    const ERROR_WRITE: i64 = 2;
    /// Bytes of the longest instruction.
    const LONGEST: usize = 15;

    /// What is known of a fault in generated code.
    struct Known {
        guest_pc: GuestAddr,
        /// Host address of the stub by which generated code is left.
        exit: usize,
        /// Host address of the access.
        address: u64,
        access: Access,
        /// The bytes of the instruction, if it is to be stepped over.
        step: Option<usize>,
    }

    /// If `pc` is in generated code: leaves it by its exit stub, the frame then holding pc and fault, or steps over the
    /// instruction where the code sees to the rest, or runs it again if it would not fault any more. False if `pc` is
    /// elsewhere.
    ///
    /// # Safety
    /// `context` is the one that the running handler interrupted at `pc`, with `info`.
    pub(super) unsafe fn leave(pc: usize, info: &siginfo_t, context: &mut libc::mcontext_t) -> bool {
        let registers = &mut context.gregs;
        let known = with_segment(pc, |segment| {
            let guest_pc = segment.guest_pc(pc)?;
            let operand = operand(segment, pc, registers);
            let (address, write) = access(operand, info, registers)?;
            let access = if write || segment.is_atomic(guest_pc) { Access::Write } else { Access::Read };
            let step = operand.filter(|_| segment.steps_over(pc)).map(|operand| operand.len);
            Some(Known { guest_pc, exit: segment.exit, address, access, step })
        });
        let Some(Known { guest_pc, exit, address, access, step }) = known else { return false };
        let frame = registers[libc::REG_R15 as usize] as usize - Frame::ANCHOR;
        // SAFETY: generated code holds the anchor of the frame of the vCPU that this thread runs in r15.
        let body = unsafe { (*(frame as *const Frame)).body() };
        // SAFETY: the body is touched by the running thread alone, which is in this handler.
        let body = unsafe { &mut *body };
        if let Some(len) = step.filter(|_| body.stepped_over != 0) {
            // Its address may be made of what was not loaded.
            registers[libc::REG_RIP as usize] = (pc + len) as i64;
            return true;
        }
        let addr = GuestAddr::new(address.wrapping_sub(body.memory_base));
        // SAFETY: a frame's context is a live `RuntimeContext` or, in a frame of its own, nothing.
        let runtime = unsafe { (body.context as *const RuntimeContext).as_ref() };
        let refused = runtime.map(|runtime| runtime.memory.probe(addr, access));
        let fault = match refused {
            Some(Err(fault)) => fault,
            // With SIGBUS the host has said all there is to say of a page that is mapped.
            Some(Ok(())) if info.si_signo == libc::SIGBUS => MemFault::Unbacked { addr, access },
            Some(Ok(())) => return true,
            None => MemFault::Unmapped { addr, access },
        };
        if let Some(len) = step {
            // SAFETY: the kernel saves the floating-point state with every context of a 64-bit process.
            let status = unsafe { (*context.fpregs).mxcsr };
            body.note_step(access, status);
            registers[libc::REG_RIP as usize] = (pc + len) as i64;
            return true;
        }
        body.note_fault(fault);
        body.state.set_pc(guest_pc);
        registers[libc::REG_RSP as usize] = body.entry_sp as i64;
        registers[libc::REG_RIP as usize] = exit as i64;
        true
    }

    /// Host address of the access that failed, and whether it was a write.
    fn access(operand: Option<Operand>, info: &siginfo_t, registers: &[i64; 23]) -> Option<(u64, bool)> {
        if registers[libc::REG_TRAPNO as usize] == PAGE_FAULT {
            // SAFETY: a page fault's record holds its address.
            let address = unsafe { info.si_addr() } as u64;
            return Some((address, registers[libc::REG_ERR as usize] & ERROR_WRITE != 0));
        }
        operand.map(|operand| (operand.address, operand.write))
    }

    /// The memory operand of the instruction at `pc`.
    fn operand(segment: &Segment, pc: usize, registers: &[i64; 23]) -> Option<Operand> {
        let len = (segment.end - pc).min(LONGEST);
        // SAFETY: `pc` lies in the segment, whose code is mapped readable while it is registered, and never changes.
        let code = unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(pc), len) };
        let values = BY_NUMBER.map(|index| registers[index as usize] as u64);
        operand::decode(code, &values)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod host {
    use libc::siginfo_t;

    /// Nothing faults on purpose here: on this host memory is reached through calls.
    ///
    /// # Safety
    /// None needed.
    pub(super) unsafe fn handle(_info: &siginfo_t, _context: &mut libc::ucontext_t) -> bool {
        false
    }
}

/// Bytes of a signal stack made by [`prepare_thread`].
const STACK_BYTES: usize = 64 * 1024;

/// The calling thread's signal stack, if it was made here.
struct SignalStack {
    bytes: Box<[u8]>,
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let mut current = MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: a query.
        if unsafe { libc::sigaltstack(std::ptr::null(), current.as_mut_ptr()) } != 0 {
            return;
        }
        // SAFETY: filled by the query.
        let current = unsafe { current.assume_init() };
        if current.ss_sp.cast() == self.bytes.as_mut_ptr() {
            let off = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: the thread is about to end, outside any handler.
            unsafe { libc::sigaltstack(&raw const off, std::ptr::null_mut()) };
        }
    }
}

/// Makes sure that the calling thread has an alternate signal stack, so that a fault is handled even where the thread's own
/// stack is exhausted. To be called on every thread that runs guest code; a stack that is there already is kept.
///
/// # Errors
/// What `sigaltstack(2)` reports.
pub fn prepare_thread() -> io::Result<()> {
    thread_local! {
        static STACK: RefCell<Option<SignalStack>> = const { RefCell::new(None) };
    }
    let mut current = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: a query.
    if unsafe { libc::sigaltstack(std::ptr::null(), current.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled by the query.
    if unsafe { current.assume_init() }.ss_flags & libc::SS_DISABLE == 0 {
        return Ok(());
    }
    let mut stack = SignalStack { bytes: vec![0; STACK_BYTES].into_boxed_slice() };
    let new = libc::stack_t { ss_sp: stack.bytes.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.bytes.len() };
    // SAFETY: the bytes live until the thread ends, when `SignalStack` takes the stack out of use first.
    if unsafe { libc::sigaltstack(&raw const new, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    STACK.with_borrow_mut(|slot| *slot = Some(stack));
    Ok(())
}

/// Runs `start` with every signal blocked that is not about an instruction of the thread itself, and gives the calling
/// thread its mask back. A thread that `start` [starts](crate::threads::spawn) keeps that mask: it runs no guest code, and a
/// process's signals are for those threads that do.
pub(crate) fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    let own = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];
    let mask = change_mask(libc::SIG_SETMASK, !own.iter().fold(0, |set, signal| set | 1 << (signal - 1)));
    let result = start();
    set_mask(mask);
    result
}

/// The calling thread's blocked signals, those included that the C library keeps for itself.
pub(crate) fn mask() -> u64 {
    change_mask(libc::SIG_BLOCK, 0)
}

/// Blocks the signals of `set` and no others.
pub(crate) fn set_mask(set: u64) {
    change_mask(libc::SIG_SETMASK, set);
}

/// The mask before. The C library's own function leaves two signals out.
fn change_mask(how: c_int, set: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: both sets are 8 bytes, as the kernel is told, and live for the call.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, &raw mut old, 8) };
    old
}

/// Copies bytes in ascending order until all are copied or the host faults on one; gives how many were.
///
/// # Safety
/// What can be accessed of the bytes at the second argument may be read, and of those at the first written, while other
/// threads access them too; the ranges do not overlap.
pub type GuardedCopy = unsafe fn(*mut u8, *const u8, usize) -> usize;

/// A copy between host addresses that survives faults, for memory that may lose its backing at any time; `None` on hosts
/// that have none. It relies on the handlers of [`install`], or on an embedder's that call [`handle_signal`].
#[must_use]
pub fn guarded_copy() -> Option<GuardedCopy> {
    #[cfg(target_arch = "x86_64")]
    {
        Some(crate::flat::copy)
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// What is wrong with an access of the byte at `addr`, on which the host faulted; `None` if nothing is any more, because
/// another thread mapped it meanwhile: the access is to be tried again.
#[must_use]
pub(crate) fn explain(memory: &dyn GuestMemory, addr: GuestAddr, access: Access) -> Option<MemFault> {
    // With SIGBUS the host has said all there is to say of a page that is mapped: a file that has grown since would not
    // have been seen by the access, and one that has no room left for a page would never be.
    let unbacked = LAST.replace(0) == libc::SIGBUS;
    match memory.probe(addr, access) {
        Err(fault) => Some(fault),
        Ok(()) => unbacked.then_some(MemFault::Unbacked { addr, access }),
    }
}

#[cfg(all(test, feature = "jit", target_arch = "x86_64"))]
mod generated_tests;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
