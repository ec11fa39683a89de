//! Host processes and threads: how they begin and end.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt;
use std::ptr::{NonNull, null};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use vm_engine::threads;

use super::heap;
use crate::errno::Errno;

/// Which of the descriptors 0 to 2 were closed when this process began, a bit each.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Called by the C library before `main`, and so before Rust's runtime opens `/dev/null` in place of what is closed.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        for fd in 0..3 {
            // SAFETY: a plain system call, which neither needs nor changes anything of the C library but its error number.
            if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
                CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
            }
        }
    }
    look
};

/// Closes those of the descriptors 0 to 2 again that were closed when this process began. Rust's runtime opens `/dev/null`
/// in their place; a guest finds them as its parent left them.
///
/// To be called first in the `main` function of a Rust program, before anything else may have got one of these numbers.
pub fn close_unasked_descriptors() {
    for fd in 0..3 {
        if CLOSED.fetch_and(!(1 << fd), Ordering::Relaxed) & 1 << fd != 0 {
            // SAFETY: whoever calls this has opened nothing yet, so the descriptor is the runtime's, which never uses it.
            unsafe { libc::close(fd) };
        }
    }
}

/// Which side of a [`fork`] this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forked {
    /// The new process.
    Child,
    /// The old one, with the number of the new.
    Parent(i32),
}

/// Makes a copy of this process, of which only the calling thread goes on.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn fork() -> Result<Forked, Errno> {
    // SAFETY: the C library's fork keeps its own locks usable in the child; the caller holds the engine and the address
    // space still, and what else the child uses of this crate is behind no lock that another thread may hold.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error().into()),
        0 => {
            heap::forget_other_threads();
            Ok(Forked::Child)
        }
        pid => Ok(Forked::Parent(pid)),
    }
}

/// The calling thread's number.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: a plain system call.
    unsafe { libc::gettid() }
}

/// This process's number.
pub(crate) fn process_id() -> i32 {
    // SAFETY: a plain system call.
    unsafe { libc::getpid() }
}

/// Whether there is a thread with this number, in whichever process.
pub(crate) fn is_thread_alive(tid: i32) -> bool {
    // SAFETY: a plain system call; no signal is sent.
    let found = unsafe { libc::kill(tid, 0) } == 0;
    found || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Replaces this process's program. Comes back only if that fails.
pub(crate) fn execve(path: &CStr, argv: &[CString], envp: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([null()]).collect()
    };
    let (argv, envp) = (pointers(argv), pointers(envp));
    // SAFETY: both arrays end with a null pointer and point to strings that live for the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error().into()
}

/// This process's environment as it is, strings without `=` included.
pub(crate) fn environment() -> Vec<OsString> {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    let mut out = Vec::new();
    // SAFETY: nothing in this process changes the environment, which is an array of strings that a null pointer ends.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            out.push(OsString::from_vec(CStr::from_ptr(*at).to_bytes().to_vec()));
            at = at.add(1);
        }
    }
    out
}

/// Where a program's parts are, as the kernel takes it (`struct prctl_mm_map` of `linux/prctl.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct MemoryMap {
    code: [u64; 2],
    data: [u64; 2],
    /// Its beginning and its end.
    heap: [u64; 2],
    stack: u64,
    args: [u64; 2],
    env: [u64; 2],
    auxv: u64,
    auxv_size: u32,
    program: u32,
}

/// Parts of a program, as host addresses: the first byte and the byte after the last one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) code: [u64; 2],
    pub(crate) data: [u64; 2],
    /// Its first stack pointer.
    pub(crate) stack: u64,
    pub(crate) args: [u64; 2],
    pub(crate) env: [u64; 2],
    pub(crate) auxv: &'a [u8],
}

/// Lets the host's kernel show every process what `parts` say in `/proc` in place of this emulator's own arguments,
/// environment and auxiliary vector. A kernel without checkpoints cannot, nor is it tried where other threads may change
/// the heap meanwhile, whose place is to stay as it is.
pub(crate) fn show_in_proc(parts: &Shown<'_>) {
    const PR_SET_MM: i32 = 35;
    const PR_SET_MM_MAP: u64 = 14;
    /// Fields of `/proc/PID/stat` behind the name, counted from the third field of all: threads, and where the heap begins.
    const THREADS: usize = 20 - 3;
    const HEAP: usize = 47 - 3;
    let mut stat = [0; 1024];
    let len = File::open("/proc/self/stat").and_then(|mut file| file.read(&mut stat)).unwrap_or(0);
    let fields = stat[..len].rsplit(|byte| *byte == b')').next().unwrap_or_default();
    let fields: Vec<&[u8]> = fields.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).collect();
    let number = |index: usize| str::from_utf8(fields.get(index)?).ok()?.parse::<u64>().ok();
    let (Some(1), Some(heap)) = (number(THREADS), number(HEAP)) else { return };
    // SAFETY: asks where the heap ends.
    let end = unsafe { libc::syscall(libc::SYS_brk, 0) } as u64;
    let Shown { code, data, stack, args, env, auxv } = *parts;
    let map = MemoryMap {
        code,
        data,
        heap: [heap, end],
        stack,
        args,
        env,
        auxv: auxv.as_ptr() as u64,
        auxv_size: auxv.len() as u32,
        program: u32::MAX,
    };
    // SAFETY: the kernel reads the structure and the vector, which live for the call, and takes note of addresses for what
    // it shows. It uses one of them, the end of the heap, which is what it was: no other thread runs.
    unsafe { libc::prctl(PR_SET_MM, PR_SET_MM_MAP, &raw const map, size_of::<MemoryMap>(), 0) };
}

/// Ends this process at once, whatever its threads do.
pub(crate) fn exit_now(status: u8) -> ! {
    // SAFETY: ends the process without running anything in it.
    unsafe { libc::_exit(status.into()) }
}

/// Hands the head of a list of robust futexes to the host's kernel, which walks it if this thread ends by force.
pub(crate) fn set_robust_list(head: u64, size: u64) -> Result<(), Errno> {
    // SAFETY: the kernel follows the list when the thread ends, through addresses that it checks; guest memory is all
    // that a list of the guest's names.
    let set = unsafe { libc::syscall(libc::SYS_set_robust_list, head, size) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
}

/// The head of the list of robust futexes that the host's kernel knows of a thread, of whichever process.
///
/// # Errors
/// `ESRCH`, `EPERM`.
pub(crate) fn robust_list_of(tid: i32) -> Result<u64, Errno> {
    let (mut head, mut size) = (0u64, 0u64);
    // SAFETY: both numbers live for the call.
    let got = unsafe { libc::syscall(libc::SYS_get_robust_list, tid, &raw mut head, &raw mut size) };
    if got == 0 { Ok(head) } else { Err(io::Error::last_os_error().into()) }
}

/// As [`fork`], with flags of `clone` that the C library's `fork` does not offer.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn clone_process(flags: u64) -> Result<Forked, Errno> {
    let held = heap::hold();
    // SAFETY: memory is copied (no `CLONE_VM` reaches this), so this is a fork. The C library's locks are as they were: those
    // of its allocator are free, since no other thread is inside; those of threads are, since the caller holds the
    // beginnings and ends of threads; nothing here uses others.
    let forked = match unsafe { libc::syscall(libc::SYS_clone, flags & !(libc::CLONE_VM as u64), 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error().into()),
        0 => {
            heap::forget_other_threads();
            Ok(Forked::Child)
        }
        pid => Ok(Forked::Parent(pid as i32)),
    };
    drop(held);
    forked
}

/// How a process waits for a copy of itself to execute a program or to end (`CLONE_VFORK`), without holding what it holds
/// while it makes the copy: as one waits for a lock that gives way to the next when its owner does either. The lock is a word
/// that both see.
#[derive(Debug)]
pub(crate) struct Departure {
    word: NonNull<AtomicU32>,
    parent: i32,
}

impl Departure {
    /// # Errors
    /// The kernel's error number.
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, placed by the kernel where nothing is.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<AtomicU32>(), access, flags, -1, 0) };
        let word = NonNull::new(page.cast()).filter(|_| page != libc::MAP_FAILED).ok_or(Errno::ENOMEM)?;
        Ok(Self { word, parent: thread_id() })
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the mapping lives as long as this, and holds zeros first.
        unsafe { self.word.as_ref() }
    }

    fn futex(&self, operation: i32) -> io::Result<()> {
        // SAFETY: the word lives for the call.
        match unsafe { libc::syscall(libc::SYS_futex, self.word.as_ptr(), operation, 0, null::<u64>()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// For the parent: returns when `child`, whom the word names as owner, has left.
    pub(crate) fn wait_for(&self, child: i32) {
        self.word().store(child as u32, Ordering::Release);
        while let Err(error) = self.futex(libc::FUTEX_LOCK_PI) {
            if error.raw_os_error() != Some(libc::EAGAIN) {
                // It has left, or there are no such locks here; then it must not wait for long.
                self.word().fetch_or(libc::FUTEX_WAITERS, Ordering::Release);
                return;
            }
        }
    }

    /// For the child: returns when the parent waits, before which it may not leave.
    pub(crate) fn wait_until_awaited(&self) {
        while self.word().load(Ordering::Acquire) & libc::FUTEX_WAITERS == 0 && is_thread_alive(self.parent) {
            thread::sleep(Duration::from_micros(50));
        }
        // The kernel says that somebody waits a little before it holds the owner to it. It refuses to give the lock to
        // who has it, when it is done with the other.
        let _ = self.futex(libc::FUTEX_TRYLOCK_PI);
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new`, and no reference to it outlives this.
        unsafe { libc::munmap(self.word.as_ptr().cast(), size_of::<AtomicU32>()) };
    }
}

/// Host stack of a process that shares this one's memory.
const SHARING_STACK: usize = 1 << 20;

/// What a process that shares this one's memory runs on: the thread-local storage of a host thread that waits for
/// the process to leave that memory, and a stack.
struct Lodging {
    /// [`PREPARED`], then [`OCCUPIED`]; 0 when the process has left this one's memory, as the kernel says, or [`REFUSED`].
    state: AtomicI32,
    /// The thread's pointer to its storage, once it does not use that any more.
    storage: AtomicU64,
    stack: Box<[u8]>,
}

const PREPARED: i32 = 2;
const OCCUPIED: i32 = 1;
/// There is no such process.
const REFUSED: i32 = 3;

/// Runs `run` in a new process that shares this one's memory until it ends or runs another program. Returns its number.
///
/// `flags` are those of `clone` besides `CLONE_VM`; with `CLONE_VFORK` the call returns when the memory is left. All
/// signals are to be blocked. `left` runs in this process when the other one has left the memory, however it did.
///
/// # Errors
/// `EAGAIN` if the host has no room for a thread, and the kernel's error number.
pub(crate) fn sharing_process(
    flags: u64,
    run: impl FnMut() -> Infallible + Send + 'static,
    left: impl FnOnce() + Send + 'static,
) -> Result<i32, Errno> {
    let lodging = Arc::new(Lodging {
        state: AtomicI32::new(PREPARED),
        storage: AtomicU64::new(0),
        stack: vec![0; SHARING_STACK].into_boxed_slice(),
    });
    let kept = Arc::clone(&lodging);
    // Dropped by the waiting thread when the process has left: the process itself never returns from it.
    let mut run: Box<Run> = Box::new(Box::new(run));
    let address = std::ptr::from_mut(&mut *run) as usize;
    let host = threads::spawn(thread::Builder::new(), move || {
        let _place = heap::GivePlaceBack;
        kept.lend();
        if !kept.is(REFUSED) {
            left();
        }
        drop(run);
    });
    host.map_err(|_| Errno::EAGAIN)?;
    lodging.wait_while(PREPARED);
    let pointer = lodging.storage.load(Ordering::Relaxed);
    let top = lodging.stack.as_ptr() as usize + lodging.stack.len();
    let flags = flags | (libc::CLONE_VM | libc::CLONE_SETTLS | libc::CLONE_CHILD_CLEARTID) as u64;
    // SAFETY:
    // - the stack and the word are in `lodging`, which the waiting thread keeps until the kernel has cleared the word;
    // - the storage is that thread's, which does nothing but wait meanwhile;
    // - `address` is the box of `run`, which that thread keeps too, and which nobody else uses.
    let pid = unsafe { tradux_clone(flags, top as u64, lodging.state.as_ptr(), pointer, address as u64) };
    if pid < 0 {
        lodging.set(REFUSED);
        return Err(Errno::new(-pid as i32));
    }
    Ok(pid as i32)
}

impl Lodging {
    /// Lends the calling thread's storage until the process has left. Nothing in here uses it: the process may begin as soon
    /// as the state says so, whenever this thread gets to run again. (A failing system call writes its error number there:
    /// waiting fails only when the process has left.)
    fn lend(&self) {
        self.storage.store(thread_pointer(), Ordering::Relaxed);
        self.set(OCCUPIED);
        self.wait_while(OCCUPIED);
    }

    fn set(&self, state: i32) {
        self.state.store(state, Ordering::Release);
        // SAFETY: wakes whoever waits on a word of ours.
        unsafe { libc::syscall(libc::SYS_futex, self.state.as_ptr(), libc::FUTEX_WAKE, 1) };
    }

    fn is(&self, state: i32) -> bool {
        self.state.load(Ordering::Acquire) == state
    }

    fn wait_while(&self, state: i32) {
        while self.is(state) {
            // SAFETY: waits on a word that lives as long as this; the kernel's own wake-up is not a private one.
            unsafe { libc::syscall(libc::SYS_futex, self.state.as_ptr(), libc::FUTEX_WAIT, state, null::<u64>()) };
        }
    }
}

/// What such a process runs.
type Run = Box<dyn FnMut() -> Infallible + Send>;

/// The new process's first function of ours.
extern "C" fn tradux_run_sharing(run: *mut Run) -> ! {
    // SAFETY: the address that `sharing_process` passed, used by this process alone while the waiting thread keeps it.
    match unsafe { (*run)() } {}
}

unsafe extern "C" {
    /// `clone(flags, stack, .., child_tid, tls)`, whose child calls [`tradux_run_sharing`] with `run` on the new stack.
    fn tradux_clone(flags: u64, stack: u64, child_tid: *mut i32, tls: u64, run: u64) -> i64;
}

/// The calling thread's pointer to its thread-local storage, as `CLONE_SETTLS` takes it.
fn thread_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register, or the storage's own first word, which is its address (System V ABI for x86-64, "Thread
    // Local Storage").
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem, preserves_flags));
    }
    pointer
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl tradux_clone",
    ".hidden tradux_clone",
    ".type tradux_clone, @function",
    "tradux_clone:",
    "mov r10, rdx",
    "mov r9, r8",
    "mov r8, rcx",
    "and rsi, -16",
    "mov eax, {clone}",
    "syscall",
    "test rax, rax",
    "jz 2f",
    "ret",
    "2:",
    "xor ebp, ebp",
    "mov rdi, r9",
    "call {run}",
    "ud2",
    ".size tradux_clone, . - tradux_clone",
    clone = const libc::SYS_clone,
    run = sym tradux_run_sharing,
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl tradux_clone",
    ".hidden tradux_clone",
    ".type tradux_clone, @function",
    "tradux_clone:",
    "mov x9, x4",
    "mov x4, x2",
    "and x1, x1, #-16",
    "mov x8, #{clone}",
    "svc #0",
    "cbz x0, 2f",
    "ret",
    "2:",
    "mov x29, xzr",
    "mov x0, x9",
    "bl {run}",
    "brk #1",
    ".size tradux_clone, . - tradux_clone",
    clone = const libc::SYS_clone,
    run = sym tradux_run_sharing,
);
