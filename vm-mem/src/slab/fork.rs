//! What happens to allocators when a thread ends and when the process forks.
//!
//! A fork takes all locks first and releases them in parent and child, so that the child finds no half-made change. The
//! objects in magazines of threads that the child does not have go back to their slabs. A thread that is copied in the
//! middle of an allocation or a free leaves at most that one object unusable in the child, or what is in its magazine of
//! one class if it moves objects between that and a depot. The C library's `fork` does this by itself; who makes a
//! process by a system call of its own holds a [`Hold`] meanwhile.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::core::{self, Core};
use super::lock::Lock;

/// Guards the list of open cores and what is below.
static LOCK: Lock = Lock::new();
static WAITS: AtomicU64 = AtomicU64::new(0);
static CORES: AtomicPtr<Core> = AtomicPtr::new(ptr::null_mut());
/// The key whose destructor runs when a thread ends, plus one. 0 before it is made, `NONE` if it cannot be made.
static KEY: AtomicU64 = AtomicU64::new(0);
const NONE: u64 = u64::MAX;

/// Notes a core for forks.
pub(super) fn register(core: NonNull<Core>) {
    LOCK.take(&WAITS);
    if KEY.load(Ordering::Relaxed) == 0 {
        let mut key = 0;
        // SAFETY: the functions live as long as the process.
        let made = unsafe {
            libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child));
            libc::pthread_key_create(&raw mut key, Some(thread_ends)) == 0
        };
        KEY.store(if made { u64::from(key) + 1 } else { NONE }, Ordering::Release);
    }
    // SAFETY: the core is open.
    unsafe { core.as_ref() }.next.store(CORES.load(Ordering::Relaxed), Ordering::Relaxed);
    CORES.store(core.as_ptr(), Ordering::Relaxed);
    LOCK.release();
}

/// Takes a core that closes out of the list.
pub(super) fn forget(core: NonNull<Core>) {
    LOCK.take(&WAITS);
    let mut link = &CORES;
    loop {
        let at = link.load(Ordering::Relaxed);
        // SAFETY: cores in the list are open, and the lock is held.
        let Some(this) = (unsafe { at.as_ref() }) else { break };
        if at == core.as_ptr() {
            link.store(this.next.load(Ordering::Relaxed), Ordering::Relaxed);
            break;
        }
        link = &this.next;
    }
    LOCK.release();
}

/// Makes sure that this thread's caches are given back when it ends. False if that cannot be had.
pub(super) fn watch_thread() -> bool {
    match KEY.load(Ordering::Acquire) {
        0 | NONE => false,
        // SAFETY: the key exists; any value but null makes its destructor run.
        key => unsafe {
            libc::pthread_setspecific((key - 1) as libc::pthread_key_t, ptr::dangling::<c_void>().cast()) == 0
        },
    }
}

extern "C" fn thread_ends(_: *mut c_void) {
    core::drop_all();
}

fn each(with: impl Fn(NonNull<Core>)) {
    let mut at = NonNull::new(CORES.load(Ordering::Relaxed));
    while let Some(core) = at {
        // SAFETY: cores in the list are open, and the lock is held.
        at = NonNull::new(unsafe { core.as_ref() }.next.load(Ordering::Relaxed));
        with(core);
    }
}

/// Holds all slab allocators of this process still, so that it can be copied by a bare system call. To be dropped in the
/// parent; in the child, [`in_child`](Hold::in_child) is to be called.
///
/// The thread that has it must not allocate from slabs.
#[derive(Debug)]
#[must_use = "allocators are held until it is dropped"]
pub struct Hold(());

impl Hold {
    /// Waits until no thread changes what threads share.
    #[allow(clippy::new_without_default, reason = "taking all locks is not a default")]
    pub fn new() -> Hold {
        before_fork();
        Hold(())
    }

    /// Lets go in the child, which has no other thread, and takes back what the others had in their magazines.
    pub fn in_child(self) {
        std::mem::forget(self);
        in_child();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        in_parent();
    }
}

extern "C" fn before_fork() {
    LOCK.take(&WAITS);
    // SAFETY: as in `each`.
    each(|core| unsafe { core.as_ref() }.hold());
}

extern "C" fn in_parent() {
    // SAFETY: as in `each`.
    each(|core| unsafe { core.as_ref() }.let_go());
    LOCK.release();
}

extern "C" fn in_child() {
    // SAFETY: as in `each`.
    each(|core| unsafe { core.as_ref() }.let_go());
    LOCK.release();
    each(Core::bury_threads);
}
