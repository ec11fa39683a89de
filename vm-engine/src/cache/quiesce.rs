//! Epochs: when nobody can be running a piece of retired code any more.
//!
//! Whoever retires code makes it unreachable first, then advances the epoch. A reader (a vCPU) names the epoch that it
//! has seen at each safepoint, between two stretches of generated code; while it runs none (in a system call, stopped)
//! it is away. What was retired at an epoch is free once every reader is away or has seen that epoch.
//!
//! A reader that comes back says so before it looks for code, and whoever retires code makes it unreachable before it
//! looks who is there: one of the two has to see the other. Readers come back at every system call and code is retired
//! seldom, so it is the latter who pays: a barrier of the host's kernel (`membarrier(2)`) on every processor that runs a
//! thread of the process, between the two. Readers then need no barrier of their own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::thread::{MembarrierCommand, membarrier};

use crate::frame::Frame;

/// The epoch that says "runs no generated code".
const AWAY: u64 = 0;

/// The epoch of one [`Epochs`] that a reader has seen.
#[derive(Debug)]
pub(crate) struct Reader {
    seen: AtomicU64,
}

impl Reader {
    /// A safepoint: whatever was retired before `epochs` was read is no longer used by this reader.
    /// Gives the epoch now seen; if it differs from the last one, addresses of code kept by the reader are stale.
    pub(crate) fn arrive(&self, epochs: &Epochs) -> u64 {
        // Between reading the epoch and publishing it a retirement may slip in. One of the two sides sees the other:
        // either the retirer sees the reader present, or the reader the new epoch.
        let mut epoch = epochs.now.load(Ordering::Acquire);
        loop {
            if self.seen.load(Ordering::Relaxed) == epoch {
                return epoch;
            }
            // What was run before is done.
            self.seen.store(epoch, Ordering::Release);
            epochs.order_reader();
            let again = epochs.now.load(Ordering::Acquire);
            if again == epoch {
                return epoch;
            }
            epoch = again;
        }
    }

    /// The reader runs no generated code until it arrives again.
    pub(crate) fn leave(&self) {
        self.seen.store(AWAY, Ordering::Release);
    }
}

/// A reader and the frame by which it is called to a safepoint.
struct Present {
    reader: Arc<Reader>,
    frame: Weak<Frame>,
}

/// The epoch counter and its readers.
pub(crate) struct Epochs {
    now: AtomicU64,
    readers: Mutex<Vec<Present>>,
    /// Whether readers keep the order by barriers of their own, since the host's kernel has none for them.
    fenced: AtomicBool,
}

impl Epochs {
    /// No readers yet.
    pub(crate) fn new() -> Self {
        let fenced = !may_ask_for_barriers();
        Self { now: AtomicU64::new(AWAY + 1), readers: Mutex::new(Vec::new()), fenced: AtomicBool::new(fenced) }
    }

    /// What a reader wrote before is seen by retirers before it reads what they write: the side of readers.
    #[inline]
    fn order_reader(&self) {
        if self.fenced.load(Ordering::Relaxed) {
            fence(Ordering::SeqCst);
        } else {
            compiler_fence(Ordering::SeqCst);
        }
    }

    /// The same, the side of retirers.
    fn order_retirer(&self) {
        fence(Ordering::SeqCst);
        if !self.fenced.load(Ordering::Relaxed) {
            // The process is registered, so that the kernel has no reason to refuse.
            assert_eq!(membarrier(MembarrierCommand::PrivateExpedited), Ok(()), "the kernel took the registration");
        }
    }

    /// A new reader, away, that runs on `frame`. It is forgotten when the caller drops it.
    pub(crate) fn register(&self, frame: &Arc<Frame>) -> Arc<Reader> {
        let reader = Arc::new(Reader { seen: AtomicU64::new(AWAY) });
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|present| Arc::strong_count(&present.reader) > 1);
        readers.push(Present { reader: Arc::clone(&reader), frame: Arc::downgrade(frame) });
        reader
    }

    /// Starts a new epoch; what was made unreachable before the call is retired at the epoch returned.
    /// Readers that run generated code are called to a safepoint, so that the wait is bounded.
    pub(crate) fn advance(&self) -> u64 {
        // Under the lock, so that nobody finds an epoch that not every reader can have seen.
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.now.fetch_add(1, Ordering::AcqRel) + 1;
        self.order_retirer();
        for present in readers.iter().filter(|present| present.reader.seen.load(Ordering::Acquire) != AWAY) {
            if let Some(frame) = present.frame.upgrade() {
                frame.nudge();
            }
        }
        epoch
    }

    /// The latest epoch whose retired things nobody uses.
    pub(crate) fn free_until(&self) -> u64 {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now.load(Ordering::Acquire);
        let seen =
            readers.iter().map(|present| present.reader.seen.load(Ordering::Acquire)).filter(|seen| *seen != AWAY);
        seen.min().unwrap_or(now)
    }

    /// Waits until nobody uses what was retired at `epoch`, at most as long as `patience`.
    pub(crate) fn wait_until_left(&self, epoch: u64, patience: Duration) {
        /// Looks before the wait becomes a sleep.
        const QUICK: u32 = 50;
        /// How long then.
        const PAUSE: Duration = Duration::from_micros(50);
        let mut began = None;
        let mut looks = 0;
        while self.free_until() < epoch {
            let began = *began.get_or_insert_with(Instant::now);
            if began.elapsed() > patience {
                return;
            }
            // A reader that runs passes its next poll within microseconds; one that does not needs a processor.
            looks += 1;
            if looks < QUICK { std::thread::yield_now() } else { std::thread::sleep(PAUSE) }
        }
    }

    /// Holds the list of readers still for a fork.
    pub(super) fn hold(&self) -> HeldReaders<'_> {
        HeldReaders { readers: self.readers.lock().unwrap_or_else(PoisonError::into_inner), fenced: &self.fenced }
    }
}

/// Registers the process for barriers that [`Epochs::order_retirer`] asks for; false on kernels without them. Costs one
/// system call while the process has one thread, or has registered before.
fn may_ask_for_barriers() -> bool {
    membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
}

/// The list of readers, held still across a fork.
pub(super) struct HeldReaders<'a> {
    readers: MutexGuard<'a, Vec<Present>>,
    fenced: &'a AtomicBool,
}

impl HeldReaders<'_> {
    /// In the child of a fork no reader runs generated code: the calling thread is in a system call, the others are
    /// gone.
    pub(super) fn all_away(&self) {
        self.readers.iter().for_each(|present| present.reader.leave());
        // A new process, which nobody has registered.
        self.fenced.store(!may_ask_for_barriers(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_things_wait_for_every_present_reader() {
        let epochs = Epochs::new();
        let frame = Arc::new(Frame::new());
        let (a, b) = (epochs.register(&frame), epochs.register(&frame));
        let start = a.arrive(&epochs);
        let retired = epochs.advance();
        assert_eq!(epochs.free_until(), start);
        assert_eq!(a.arrive(&epochs), retired);
        assert_eq!(epochs.free_until(), retired);
        b.arrive(&epochs);
        let later = epochs.advance();
        a.arrive(&epochs);
        assert!(epochs.free_until() < later);
        epochs.wait_until_left(later, Duration::from_millis(1));
        assert!(epochs.free_until() < later, "a reader that does not come is not waited for without end");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                b.leave();
            });
            epochs.wait_until_left(later, Duration::from_secs(60));
            assert_eq!(epochs.free_until(), later);
        });
    }
}
