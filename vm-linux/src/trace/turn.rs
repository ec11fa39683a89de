//! [`Turn`]: who may write to the trace, and whose line there has no end yet.
//!
//! Threads and processes that are traced together share a few words of memory: a lock, the thread whose call stands at the
//! end of the trace without its result, and whether there is more than one thread. A fork does not leave the lock locked,
//! for it copies nothing; a process that is killed while it writes is noticed.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{LEAST_FD, copy_of};
use crate::errno::Errno;
use crate::host::{self, Arg, SharedWords, thread_id};
use crate::paths::Held;

/// The shared words, and the descriptor by which the next program finds them.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    file: Arc<File>,
    words: SharedWords,
}

impl Turn {
    /// Of a program that begins to be traced.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(super) fn new() -> Result<Self, Errno> {
        let memory = host::call(&host::MEMFD_CREATE, &mut [Arg::Str(c"trace"), Arg::Int(libc::MFD_CLOEXEC.into())])?;
        let memory = Held::new(memory);
        let fd = copy_of(memory.fd(), libc::F_DUPFD_CLOEXEC, LEAST_FD)?;
        Self::of(host::file_of(fd))
    }

    /// That which the program before left in `file`.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(super) fn of(file: File) -> Result<Self, Errno> {
        let words = SharedWords::of(&file)?;
        Ok(Self { file: Arc::new(file), words })
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.file.as_raw_fd()
    }

    /// Whether there has been a second thread or process.
    pub(super) fn is_shared(&self) -> bool {
        self.words.word(2).load(Ordering::Relaxed) != 0
    }

    /// Says that there is a second thread or process.
    pub(super) fn share(&self) {
        self.words.word(2).store(1, Ordering::Relaxed);
    }

    /// Waits until nobody else writes.
    pub(super) fn take(&self) -> Writing<'_> {
        let (lock, own) = (self.words.word(0), thread_id() as u32);
        let mut looks = 0u32;
        while let Err(owner) = lock.compare_exchange_weak(0, own, Ordering::Acquire, Ordering::Relaxed) {
            looks += 1;
            // Whoever writes is done in microseconds, unless it was killed.
            if looks.is_multiple_of(1000) && owner != 0 && !host::is_thread_alive(owner as i32) {
                let _ = lock.compare_exchange(owner, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
            std::thread::yield_now();
        }
        Writing { lock, open: self.words.word(1), own }
    }
}

/// The right to write.
pub(super) struct Writing<'a> {
    lock: &'a AtomicU32,
    open: &'a AtomicU32,
    own: u32,
}

impl Writing<'_> {
    /// Whether a call stands at the end of the trace without its result.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) != 0
    }

    /// Whether that is the calling thread's.
    pub(super) fn is_own_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) == self.own
    }

    /// Says whether what is written now lacks its end.
    pub(super) fn leave_open(&self, open: bool) {
        self.open.store(if open { self.own } else { 0 }, Ordering::Relaxed);
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.lock.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_line_is_its_threads() {
        let turn = Turn::new().unwrap();
        turn.take().leave_open(true);
        assert!(turn.take().is_open() && turn.take().is_own_open());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(turn.take().is_open() && !turn.take().is_own_open());
                turn.take().leave_open(false);
            });
        });
        assert!(!turn.take().is_open());
    }

    #[test]
    fn a_writer_that_is_gone_is_not_waited_for() {
        let turn = Turn::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| std::mem::forget(turn.take()));
        });
        assert!(!turn.take().is_open());
    }
}
