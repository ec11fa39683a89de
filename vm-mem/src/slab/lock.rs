//! A lock of four bytes whose zeroed memory is unlocked, so that thousands of them need no initialisation, and that says
//! when a thread had to wait.

use super::sync::{AtomicU32, AtomicU64, Ordering, UnsafeCell};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may sleep until it is released.
const AWAITED: u32 = 2;

/// Looks at a held lock before sleeping: a holder copies at most a few KiB.
#[cfg(not(loom))]
const LOOKS: u32 = 100;

/// Mutual exclusion. Released memory of zeros is a free lock.
#[repr(transparent)]
pub(super) struct Lock(AtomicU32);

impl Lock {
    /// A free lock.
    #[cfg(not(loom))]
    pub(super) const fn new() -> Lock {
        Lock(AtomicU32::new(FREE))
    }

    /// Takes the lock; adds one to `waits` if another thread had it.
    #[inline]
    pub(super) fn take(&self, waits: &AtomicU64) {
        if self.0.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            waits.fetch_add(1, Ordering::Relaxed);
            self.wait();
        }
    }

    /// Releases the lock, which the caller, or its parent process before a fork, took.
    #[inline]
    pub(super) fn release(&self) {
        if self.0.swap(FREE, Ordering::Release) == AWAITED {
            wake(&self.0);
        }
    }

    #[cold]
    fn wait(&self) {
        #[cfg(not(loom))]
        for _ in 0..LOOKS {
            std::hint::spin_loop();
            if self.0.load(Ordering::Relaxed) == FREE
                && self.0.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
        while self.0.swap(AWAITED, Ordering::Acquire) != FREE {
            sleep(&self.0);
        }
    }
}

#[cfg(not(loom))]
fn sleep(word: &AtomicU32) {
    super::os::futex_wait(word, AWAITED);
}

#[cfg(not(loom))]
fn wake(word: &AtomicU32) {
    super::os::futex_wake(word);
}

#[cfg(loom)]
fn sleep(_: &AtomicU32) {
    loom::thread::yield_now();
}

#[cfg(loom)]
fn wake(_: &AtomicU32) {}

/// A value that only the holder of its lock reaches. Zeroed memory is unlocked around a zeroed value.
#[repr(C)]
pub(super) struct Locked<T> {
    lock: Lock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only by `with`, between taking and releasing the lock.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// A free lock around a value.
    pub(super) fn new(value: T) -> Self {
        Locked { lock: Lock(AtomicU32::new(FREE)), value: UnsafeCell::new(value) }
    }

    /// Calls `with` with the value while the lock is held. `with` must not come back to the same lock, and must not panic.
    #[inline]
    pub(super) fn with<R>(&self, waits: &AtomicU64, with: impl FnOnce(&mut T) -> R) -> R {
        self.lock.take(waits);
        // SAFETY: the lock is held, so no other reference to the value exists.
        let result = self.value.with_mut(|value| with(unsafe { &mut *value }));
        self.lock.release();
        result
    }

    /// The lock alone, for a fork, which takes all of them.
    #[cfg(not(loom))]
    pub(super) fn lock(&self) -> &Lock {
        &self.lock
    }
}
