//! Host signals on behalf of the guest: how one arrives at a guest thread, and what the host does with each.
//!
//! The host's kernel keeps the queues, the masks and the default actions. Only a signal that the guest handles has a
//! host handler: it stores the record of that one signal in the thread's [`Mailbox`], blocks all further ones through
//! the interrupted context's mask, and interrupts the vCPU. The thread unblocks them when it has built the guest's frame.
//!
//! SIGSEGV and SIGBUS stay unblocked and handled on the host, for guest accesses fault by them. When a process sends one
//! of them, the mailbox keeps it until the guest has it unblocked, as a kernel would.

use std::cell::Cell;
use std::io;
use std::ptr::null;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use libc::{c_int, c_void, siginfo_t};
use vm_engine::InterruptHandle;

use super::stub;
use crate::errno::Errno;

/// Number of signals; they count from 1.
pub(crate) const SIGNALS: i32 = 64;

/// Signals whose host handler recovers guest faults.
pub(crate) const SYNCHRONOUS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The set with `signal`, 1 to 64, alone.
pub(crate) const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The set of [`SYNCHRONOUS`].
pub(crate) const SYNCHRONOUS_SET: u64 = bit(libc::SIGSEGV) | bit(libc::SIGBUS);

/// `siginfo_t` as bytes, which all 64-bit Linux systems lay out alike.
pub(crate) type SigInfo = [u8; 128];

/// A signal was stored.
const ARRIVED: u32 = 1;
/// The thread shall look at what its process asks of it.
const KICKED: u32 = 2;
/// Value of a queued SIGBUS that is a kick.
const KICK: u64 = 0x7472_6164_7578_6b69;

/// What a signal handler leaves for the guest thread that it interrupted.
pub(crate) struct Mailbox {
    /// Not zero when the thread shall not begin a call that waits.
    stop: AtomicU32,
    /// Record of the signal that arrived: written by the handler while [`ARRIVED`] is clear and everything is blocked
    /// from then on, read by the thread while it is set.
    info: Record,
    /// Records of a sent SIGSEGV and a sent SIGBUS.
    sent: [Record; SYNCHRONOUS.len()],
    /// The set of [`SYNCHRONOUS`] signals that are in `sent`.
    sent_set: AtomicU64,
    /// The guest's mask, as far as the handler needs it.
    blocked: AtomicU64,
    interrupt: InterruptHandle,
}

/// 128 bytes that a handler and the thread it runs on hand over word by word.
#[derive(Default)]
struct Record([AtomicU64; 16]);

impl Record {
    fn store(&self, info: &siginfo_t) {
        for (index, word) in self.0.iter().enumerate() {
            // SAFETY: the kernel's record is 128 bytes long and aligned to 8.
            let value = unsafe { *(std::ptr::from_ref(info).cast::<u64>().add(index)) };
            word.store(value, Ordering::Relaxed);
        }
    }

    fn load(&self) -> SigInfo {
        let mut bytes = [0; 128];
        for (word, bytes) in self.0.iter().zip(bytes.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        bytes
    }
}

thread_local! {
    /// The mailbox of the guest thread that this host thread runs. Without a destructor and constant at first, so that a
    /// handler may read it at any time.
    static OWN: Cell<*const Mailbox> = const { Cell::new(null()) };
}

/// Stands in on threads that run no guest.
static NEVER: AtomicU32 = AtomicU32::new(0);

impl Mailbox {
    /// An empty mailbox of a thread whose vCPU `interrupt` stops.
    pub(crate) fn new(interrupt: InterruptHandle) -> Self {
        Self {
            stop: AtomicU32::new(0),
            info: Record::default(),
            sent: Default::default(),
            sent_set: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            interrupt,
        }
    }

    /// Whether something waits for the thread.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire) != 0
    }

    /// Whether a signal has arrived.
    pub(crate) fn has_signal(&self) -> bool {
        self.stop.load(Ordering::Acquire) & ARRIVED != 0
    }

    /// The number of the signal that has arrived.
    pub(crate) fn arrived(&self) -> Option<i32> {
        let [a, b, c, d, ..] = self.info.load();
        self.has_signal().then_some(i32::from_le_bytes([a, b, c, d]))
    }

    /// Takes the signal that has arrived. All signals stay blocked until the thread sets its mask again.
    pub(crate) fn take_signal(&self) -> Option<SigInfo> {
        self.has_signal().then(|| {
            let info = self.info.load();
            self.stop.fetch_and(!ARRIVED, Ordering::AcqRel);
            info
        })
    }

    /// Takes a sent SIGSEGV or SIGBUS that is in `set`.
    pub(crate) fn take_sent(&self, set: u64) -> Option<SigInfo> {
        let signal = SYNCHRONOUS.iter().position(|signal| self.sent_set() & set & bit(*signal) != 0)?;
        let info = self.sent[signal].load();
        self.sent_set.fetch_and(!bit(SYNCHRONOUS[signal]), Ordering::AcqRel);
        Some(info)
    }

    /// The set of sent SIGSEGV and SIGBUS that wait.
    pub(crate) fn sent_set(&self) -> u64 {
        self.sent_set.load(Ordering::Acquire)
    }

    /// Forgets everything that waits: it was meant for another process.
    pub(crate) fn clear(&self) {
        self.stop.store(0, Ordering::Release);
        self.sent_set.store(0, Ordering::Release);
    }

    /// Takes a kick.
    pub(crate) fn take_kick(&self) {
        self.stop.fetch_and(!KICKED, Ordering::AcqRel);
    }

    /// The guest's mask, for a description of its thread.
    pub(crate) fn blocked(&self) -> u64 {
        self.blocked.load(Ordering::Acquire)
    }

    /// Tells the handler what the guest blocks.
    pub(crate) fn set_blocked(&self, set: u64) {
        self.blocked.store(set, Ordering::Release);
    }

    /// Makes the thread come back to its run loop, unless it waits in a system call.
    pub(crate) fn stop(&self) {
        self.stop.fetch_or(KICKED, Ordering::AcqRel);
        self.interrupt.interrupt();
    }
}

/// Sends this thread's signals to `mailbox` from now on; `None` ends that.
pub(crate) fn receive(mailbox: Option<&std::sync::Arc<Mailbox>>) {
    OWN.set(mailbox.map_or(null(), std::sync::Arc::as_ptr));
}

/// The calling thread's stop word.
///
/// The reference is good until the thread calls [`receive`] again.
pub(super) fn stop_word<'a>() -> &'a AtomicU32 {
    // SAFETY: whoever called `receive` keeps the mailbox until it has called it again.
    unsafe { OWN.get().as_ref() }.map_or(&NEVER, |mailbox| &mailbox.stop)
}

/// Makes thread `tid` of this process, to which `mailbox` belongs, come back to its run loop even out of a system call.
pub(crate) fn kick(tid: i32, mailbox: &Mailbox) {
    mailbox.stop();
    // SAFETY: all-zero bits are a valid record; the fields of a queued signal are set below.
    let mut info: siginfo_t = unsafe { std::mem::zeroed() };
    info.si_signo = libc::SIGBUS;
    info.si_code = libc::SI_QUEUE;
    // SAFETY: the record is 128 bytes long; a queued signal's value is at offset 24 (`asm-generic/siginfo.h`).
    unsafe { std::ptr::from_mut(&mut info).cast::<u64>().add(3).write(KICK) };
    // SAFETY: a plain system call. A thread that has ended meanwhile is an error, which leaves nothing to do.
    unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), tid, libc::SIGBUS, &raw const info) };
}

/// Where the kernel keeps the interrupted program counter.
#[cfg(target_arch = "x86_64")]
fn pc(context: &mut libc::ucontext_t) -> &mut i64 {
    &mut context.uc_mcontext.gregs[libc::REG_RIP as usize]
}

#[cfg(target_arch = "aarch64")]
fn pc(context: &mut libc::ucontext_t) -> &mut u64 {
    &mut context.uc_mcontext.pc
}

/// The host handler of every signal that the guest handles, and of [`SYNCHRONOUS`] ones always.
extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes valid pointers to a handler installed with SA_SIGINFO.
    if SYNCHRONOUS.contains(&signal) && unsafe { vm_engine::fault::handle_signal(signal, info, context) } {
        return;
    }
    // SAFETY: as above.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<libc::ucontext_t>()) };
    let raised = info.si_code > 0 && matches!(signal, libc::SIGILL | libc::SIGFPE | libc::SIGSEGV | libc::SIGBUS);
    // SAFETY: whoever called `receive` keeps the mailbox until it has called it again.
    let mailbox = unsafe { OWN.get().as_ref() };
    let Some(mailbox) = mailbox.filter(|_| !raised) else {
        if raised {
            // A fault of the emulator itself: the instruction runs again under the default action.
            // SAFETY: the default action is no function.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        return;
    };
    if SYNCHRONOUS.contains(&signal) {
        // SAFETY: the record is 128 bytes long and aligned to 8.
        let value = unsafe { *(std::ptr::from_ref(info).cast::<u64>().add(3)) };
        if info.si_code == libc::SI_QUEUE && value == KICK {
            // The sender has set the stop word.
        } else {
            let index = usize::from(signal == SYNCHRONOUS[1]);
            if mailbox.sent_set() & bit(signal) == 0 {
                mailbox.sent[index].store(info);
                mailbox.sent_set.fetch_or(bit(signal), Ordering::AcqRel);
            }
            if mailbox.blocked.load(Ordering::Acquire) & bit(signal) != 0 {
                return;
            }
            mailbox.stop();
        }
    } else {
        mailbox.info.store(info);
        mailbox.stop.fetch_or(ARRIVED, Ordering::AcqRel);
        mailbox.interrupt.interrupt();
        // The kernel reads 8 bytes of the mask; libc's type is longer than what is there.
        // SAFETY: the context's mask begins with the kernel's.
        unsafe { (&raw mut context.uc_sigmask).cast::<u64>().write(!SYNCHRONOUS_SET) };
    }
    let pc = pc(context);
    if let Some(resume) = stub::resume_instead(*pc as usize) {
        *pc = resume as _;
    }
}

/// What the host does with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The signal's default action.
    Default,
    /// Nothing.
    Ignore,
    /// It is the guest's to handle.
    Handle,
}

/// Flags of the guest's action that the host's kernel acts on (`SA_NOCLDSTOP`, `SA_NOCLDWAIT`, `SA_RESTART`), which have
/// one number on every guest.
const PASSED_FLAGS: u64 = (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT | libc::SA_RESTART) as u64;

/// Sets what the host does with `signal`, with `flags` of the guest's action. [`SYNCHRONOUS`] signals keep their handler; a
/// call that one of them interrupts which the guest does not handle starts over, for to the guest nothing has happened.
pub(crate) fn set_disposition(signal: i32, disposition: Disposition, flags: u64) {
    let (disposition, flags) = match disposition {
        Disposition::Default | Disposition::Ignore if SYNCHRONOUS.contains(&signal) => {
            (Disposition::Handle, libc::SA_RESTART as u64)
        }
        other => (other, flags),
    };
    // SAFETY: all-zero bits are a valid action; the fields are set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_flags = (flags & PASSED_FLAGS) as c_int;
    action.sa_sigaction = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
        Disposition::Handle => {
            action.sa_flags |= libc::SA_SIGINFO | libc::SA_ONSTACK;
            on_signal as *const () as usize
        }
    };
    // The C library refuses to change the two signals that it uses itself, which are the guest's here.
    set_action(signal, &mut action);
}

/// `struct sigaction` as the kernel takes it.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    #[cfg(target_arch = "x86_64")]
    restorer: usize,
    mask: u64,
}

// Returns from a handler (`rt_sigreturn`): x86-64 kernels ask for the program's own way to do so.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    // Unwinders recognise these very instructions.
    ".globl tradux_sigreturn",
    ".hidden tradux_sigreturn",
    ".type tradux_sigreturn, @function",
    "tradux_sigreturn:",
    "mov rax, 15",
    "syscall",
    ".size tradux_sigreturn, . - tradux_sigreturn",
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    fn tradux_sigreturn();
}

fn set_action(signal: i32, action: &mut libc::sigaction) {
    /// `SA_RESTORER` of x86-64.
    #[cfg(target_arch = "x86_64")]
    const RESTORER: u64 = 0x0400_0000;
    #[cfg(not(target_arch = "x86_64"))]
    const RESTORER: u64 = 0;
    let action = KernelAction {
        handler: action.sa_sigaction,
        flags: action.sa_flags as u32 as u64 | RESTORER,
        #[cfg(target_arch = "x86_64")]
        restorer: tradux_sigreturn as *const () as usize,
        // Nothing interrupts the handler but a fault of its own.
        mask: !SYNCHRONOUS_SET,
    };
    // SAFETY: the action is in the kernel's layout; its handler keeps to what a handler may do. An unknown number is
    // refused.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, null::<KernelAction>(), 8) };
}

/// What the host does with `signal` now; a handler counts as the default action, since it is not the guest's.
pub(crate) fn disposition(signal: i32) -> Disposition {
    let mut old = KernelAction {
        handler: 0,
        flags: 0,
        #[cfg(target_arch = "x86_64")]
        restorer: 0,
        mask: 0,
    };
    // SAFETY: a null new action only asks; the old action is written to memory of the kernel's layout.
    let asked = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, null::<KernelAction>(), &raw mut old, 8) };
    if asked == 0 && old.handler == libc::SIG_IGN { Disposition::Ignore } else { Disposition::Default }
}

/// Sets the calling thread's host mask to the guest's, less what has to stay unblocked. Gives the mask before.
pub(crate) fn set_mask(set: u64) -> u64 {
    let set = set & !SYNCHRONOUS_SET;
    let mut old = 0u64;
    // SAFETY: both sets are 8 bytes that live for the call.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const set, &raw mut old, 8) };
    old
}

/// As [`set_mask`], unless a signal has arrived at this thread and waits to be delivered.
///
/// # Errors
/// [`Errno::NOT_MADE`].
pub(crate) fn try_set_mask(set: u64) -> Result<(), Errno> {
    let set = set & !SYNCHRONOUS_SET;
    let args = [libc::SIG_SETMASK as u64, &raw const set as u64, 0, 8, 0, 0];
    // SAFETY: the set is 8 bytes that live for the call.
    match unsafe { stub::system_call(libc::SYS_rt_sigprocmask, &args, stop_word()) } {
        stub::NOT_MADE => Err(Errno::NOT_MADE),
        _ => Ok(()),
    }
}

/// The calling thread's host mask.
pub(crate) fn mask() -> u64 {
    let mut old = 0u64;
    // SAFETY: the set is 8 bytes that live for the call.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, null::<u64>(), &raw mut old, 8) };
    old
}

/// Takes a signal of `set`, which the calling thread blocks on the host, if one has come.
pub(crate) fn take_pending(set: u64) -> Option<(i32, SigInfo)> {
    let (mut info, at_once): (SigInfo, [u64; 2]) = ([0; 128], [0; 2]);
    // SAFETY: the set is 8 bytes, the record 128 and the time 16, which live for the call.
    let signal =
        unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, info.as_mut_ptr(), at_once.as_ptr(), 8) };
    (signal > 0).then_some((signal as i32, info))
}

/// Sends a signal with its whole record to the calling thread, as if it came from where the record says.
pub(crate) fn resend(signal: i32, info: &SigInfo) -> Result<(), Errno> {
    // SAFETY: the record is 128 bytes; the kernel checks its content.
    let sent =
        unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), libc::gettid(), signal, info.as_ptr()) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
}

/// Sends a signal with its whole record to this process, for whichever thread takes it.
pub(crate) fn resend_to_process(info: &SigInfo) {
    let [a, b, c, d, ..] = *info;
    // SAFETY: the record is 128 bytes; the kernel checks its content. A refusal leaves nothing to do.
    unsafe {
        libc::syscall(libc::SYS_rt_sigqueueinfo, libc::getpid(), i32::from_le_bytes([a, b, c, d]), info.as_ptr())
    };
}

/// Ends this process by `signal`, as its default action would, without a core dump of the emulator.
/// Comes back only if the signal does not kill.
pub fn die_by(signal: i32) {
    // SAFETY: no handler function is installed, and the limit and the set live for the calls.
    unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        libc::signal(signal, libc::SIG_DFL);
        let none: u64 = 0;
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, null::<u64>(), 8);
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal);
    }
}

/// Whether SIGPIPE was ignored when this process started: Rust's start code ignores it before `main`.
static PIPE_IGNORED: AtomicU32 = AtomicU32::new(0);

extern "C" fn note_pipe() {
    if disposition(libc::SIGPIPE) == Disposition::Ignore {
        PIPE_IGNORED.store(1, Ordering::Relaxed);
    }
}

// SAFETY: functions in this section run before `main`; this one makes one system call and one atomic store.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE_PIPE: extern "C" fn() = note_pipe;

/// Gives SIGPIPE the action that this process inherited.
pub(crate) fn inherit_pipe() {
    let ignored = PIPE_IGNORED.load(Ordering::Relaxed) != 0;
    set_disposition(libc::SIGPIPE, if ignored { Disposition::Ignore } else { Disposition::Default }, 0);
}
