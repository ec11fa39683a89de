//! Host threads that no fork catches beginning or ending.
//!
//! When a thread begins or ends, the standard library and crates that number threads take locks of their own, for a
//! moment. A process that forks at that moment gets a copy in which such a lock is never released, and hangs as soon as
//! it starts a thread. Here a fork [holds](hold) the beginnings and ends of threads still: those under way are waited
//! for.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{Builder, JoinHandle};

use crate::fault;

/// Threads that are done with what they were started for, and may still be leaving. Held while one begins.
static LEAVING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

fn leaving() -> MutexGuard<'static, Vec<JoinHandle<()>>> {
    LEAVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread as `builder` says. When the call returns, the thread has begun to run `run`. It blocks the signals that
/// the calling thread blocks, all of them: the C library would let it take one that it keeps for itself, and that may be
/// the guest's.
///
/// The calling thread may hold locks that `run` takes.
///
/// # Errors
/// What the host says if it has no room for a thread.
pub fn spawn(builder: Builder, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn_prepared(builder, || {}, run)
}

/// As [`spawn`], and the thread has run `prepare` too when the call returns.
pub(crate) fn spawn_prepared<P, R>(builder: Builder, prepare: P, run: R) -> io::Result<()>
where
    P: FnOnce() + Send + 'static,
    R: FnOnce() + Send + 'static,
{
    let own = Arc::new(Mutex::new(None));
    let (begun, waiting) = mpsc::sync_channel(1);
    // The work follows when there is a thread. One that cannot be started leaves it here, to be dropped when nothing is
    // held any more: the last reference to something may be among it, with locks of its own.
    let (give, given) = mpsc::sync_channel::<(P, R)>(1);
    let mut leaving = leaving();
    reap(&mut leaving);
    let thread = Arc::clone(&own);
    let mask = fault::mask();
    let handle = builder.spawn(move || {
        // Dropped last, with whatever was given to the thread gone.
        let _leave = Leave(thread);
        fault::set_mask(mask);
        number_thread();
        let Ok((prepare, run)) = given.recv() else { return };
        prepare();
        let _ = begun.send(());
        run();
    })?;
    *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    let _ = give.send((prepare, run));
    // A thread that cannot begin is a thread that has ended.
    let _ = waiting.recv();
    Ok(())
}

/// Waits until no thread begins or ends, and lets none do so until the guard is dropped: the last thing to do before a
/// fork, while holding whatever else is to be held.
///
/// Only threads of [`spawn`] are seen. Locks that their work takes may be held, for that is over when they end.
#[must_use = "threads go on when the guard is dropped"]
pub fn hold() -> impl Sized {
    let mut leaving = leaving();
    leaving.drain(..).for_each(|thread| drop(thread.join()));
    leaving
}

/// Gives back what the host keeps of threads that have ended: of the older ones, once there are many, for those need not be
/// waited for.
fn reap(leaving: &mut Vec<JoinHandle<()>>) {
    const MANY: usize = 32;
    if leaving.len() > MANY {
        leaving.drain(..MANY / 2).for_each(|thread| drop(thread.join()));
    }
}

/// Gives the calling thread its number in the crate that the caches use: that takes a lock, the first time.
fn number_thread() {
    drop(papaya::HashMap::<(), ()>::new().pin());
}

/// Says when dropped that its thread ends.
struct Leave(Arc<Mutex<Option<JoinHandle<()>>>>);

impl Drop for Leave {
    fn drop(&mut self) {
        let mut leaving = leaving();
        reap(&mut leaving);
        leaving.extend(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_thread_begins_or_ends_while_they_are_held() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        static LIVE: AtomicUsize = AtomicUsize::new(0);
        /// Counts itself for as long as its thread has thread-local values.
        struct Counted;
        impl Drop for Counted {
            fn drop(&mut self) {
                LIVE.fetch_sub(1, Ordering::SeqCst);
            }
        }
        thread_local!(static COUNTED: Counted = {
            LIVE.fetch_add(1, Ordering::SeqCst);
            Counted
        });
        let stop = Arc::new(AtomicBool::new(false));
        let churns = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                for number in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let counted = || {
                        COUNTED.with(|_| ());
                        BEGUN.fetch_add(1, Ordering::SeqCst);
                    };
                    spawn(Builder::new(), counted).unwrap();
                    while BEGUN.load(Ordering::SeqCst) < number {
                        thread::yield_now();
                    }
                }
            })
        };
        for _ in 0..50 {
            let held = hold();
            let (begun, live) = (BEGUN.load(Ordering::SeqCst), LIVE.load(Ordering::SeqCst));
            thread::sleep(Duration::from_millis(1));
            // The one that had begun last may still come to count itself; none may go.
            assert!(BEGUN.load(Ordering::SeqCst) <= begun + 1);
            assert!(LIVE.load(Ordering::SeqCst) >= live);
            drop(held);
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        churns.join().unwrap();
        // The last one has counted itself and may not have come to its end.
        while LIVE.load(Ordering::SeqCst) != 0 {
            drop(hold());
        }
    }

    #[test]
    fn a_thread_blocks_what_its_maker_blocks() {
        let (send, receive) = mpsc::channel();
        let mask = fault::mask();
        // SIGCANCEL and SIGSETXID of the GNU C library, and one that is nobody's.
        let all = 1 << 31 | 1 << 32 | 1 << 40;
        fault::set_mask(mask | all);
        spawn(Builder::new(), move || send.send(fault::mask()).unwrap()).unwrap();
        fault::set_mask(mask);
        assert_eq!(receive.recv().unwrap() & all, all);
    }

    #[test]
    fn what_a_thread_that_cannot_be_started_was_given_is_dropped_with_nothing_held() {
        /// Takes the lock of threads when it is dropped.
        struct Holds;
        impl Drop for Holds {
            fn drop(&mut self) {
                drop(hold());
            }
        }
        let (prepare, run) = (Holds, Holds);
        // No address space has room for the stack.
        let builder = Builder::new().stack_size(1 << 60);
        assert!(spawn_prepared(builder, move || drop(prepare), move || drop(run)).is_err());
        drop(hold());
    }

    #[test]
    fn a_thread_that_panics_is_waited_for_too() {
        spawn(Builder::new().name("panics".to_owned()), || std::panic::resume_unwind(Box::new(()))).unwrap();
        drop(hold());
    }
}
