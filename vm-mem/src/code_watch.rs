//! [`CodeWatch`]: which pages hold translated code, and which of them have changed since somebody asked.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vm_core::{GuestAddr, GuestRange, PAGE_SIZE};

/// Pages from which code was translated, and reports of changes to them.
///
/// A change is a write through the address space, or a mapping, unmapping or protection call. What guest code stores
/// directly is not seen here: guests whose architecture asks for it announce that themselves.
#[derive(Debug, Default)]
pub struct CodeWatch {
    pages: Mutex<Pages>,
    /// Whether `Pages::watched` holds anything, readable without the lock.
    watching: AtomicBool,
    /// Which pages it may hold, readable without the lock: a bit for all those whose number has this remainder.
    hints: Hints,
    generation: AtomicU64,
    /// Generation up to which every report has been passed on.
    settled: AtomicU64,
    /// Held while reports are passed on, so that they are passed on in one place at a time.
    settling: Mutex<()>,
}

#[derive(Debug, Default)]
struct Pages {
    watched: BTreeSet<u64>,
    changed: BTreeSet<u64>,
}

/// Pages that were ever watched, and some that were not.
#[derive(Debug)]
struct Hints([AtomicU64; 64]);

impl Default for Hints {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; 64])
    }
}

impl Hints {
    const BITS: u64 = 64 * 64;

    fn place(&self, page: u64) -> (&AtomicU64, u64) {
        let bit = page % Self::BITS;
        (&self.0[(bit / 64) as usize], 1 << (bit % 64))
    }

    /// Notes a page, before its bytes are read.
    fn add(&self, page: u64) {
        let (word, bit) = self.place(page);
        word.fetch_or(bit, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Whether a page from `first` to `last`, which have been written, may have been noted before.
    fn may_hold(&self, first: u64, last: u64) -> bool {
        /// Longer ranges are worth a look at what is known for certain.
        const FEW: u64 = 16;
        // Either this sees the note, or who makes it reads what was written.
        fence(Ordering::SeqCst);
        let is_noted = |page| {
            let (word, bit) = self.place(page);
            word.load(Ordering::Relaxed) & bit != 0
        };
        last - first >= FEW || (first..=last).any(is_noted)
    }
}

impl CodeWatch {
    /// Watches nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Both sets are valid after every single step, so a panic elsewhere leaves nothing half done.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the page that holds `page`. To be called before its bytes are fetched, so that no change is missed.
    pub fn watch(&self, page: GuestAddr) {
        self.pages().watched.insert(page.get() / PAGE_SIZE);
        self.watching.store(true, Ordering::Release);
        self.hints.add(page.get() / PAGE_SIZE);
    }

    /// Whether code was translated from the page that holds `page` and no change to it was reported since.
    #[must_use]
    pub fn is_watched(&self, page: GuestAddr) -> bool {
        self.watching.load(Ordering::Acquire) && self.pages().watched.contains(&(page.get() / PAGE_SIZE))
    }

    /// Reports that the bytes in `range` changed or became unreachable. Watched pages of the range are watched no longer
    /// and are passed on by [`CodeWatch::settle`].
    pub fn changed(&self, range: GuestRange) {
        if range.is_empty() || !self.watching.load(Ordering::Acquire) {
            return;
        }
        let (first, last) = (range.start().get() / PAGE_SIZE, (range.end().get() - 1) / PAGE_SIZE);
        if !self.hints.may_hold(first, last) {
            return;
        }
        let mut pages = self.pages();
        let hit: Vec<u64> = pages.watched.range(first..=last).copied().collect();
        if hit.is_empty() {
            return;
        }
        for page in hit {
            pages.watched.remove(&page);
            pages.changed.insert(page);
        }
        self.watching.store(!pages.watched.is_empty(), Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// A number that grows with every report that hit a watched page.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Passes the ranges reported so far to `forget`, in order, neighbours joined, each once. When the call returns, every
    /// report made before it has been passed on, by this call or by that of another thread, and `forget` has returned.
    ///
    /// `forget` must not call this function.
    #[inline]
    pub fn settle(&self, mut forget: impl FnMut(GuestRange)) {
        if self.settled.load(Ordering::Acquire) >= self.generation() {
            return;
        }
        // Whoever finds that another thread has taken its reports waits here until they are passed on.
        let _one_at_a_time = self.settling();
        let generation = self.generation();
        self.take_changed().into_iter().for_each(&mut forget);
        self.settled.store(generation, Ordering::Release);
    }

    fn settling(&self) -> MutexGuard<'_, ()> {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps reports from being passed on until the guard is dropped: to be taken before a fork, and before whatever
    /// `forget` takes, so that the child finds nothing half passed on.
    pub fn hold(&self) -> impl Sized + '_ {
        self.settling()
    }

    /// Keeps what is watched and reported as it is until the guard is dropped.
    pub(crate) fn freeze(&self) -> impl std::fmt::Debug + '_ {
        self.pages()
    }

    fn take_changed(&self) -> Vec<GuestRange> {
        let changed = std::mem::take(&mut self.pages().changed);
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for page in changed {
            match ranges.last_mut() {
                Some((_, end)) if *end == page => *end += 1,
                _ => ranges.push((page, page + 1)),
            }
        }
        ranges
            .into_iter()
            .filter_map(|(first, end)| {
                GuestRange::new(GuestAddr::new(first * PAGE_SIZE), (end - first) * PAGE_SIZE).ok()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, len: u64) -> GuestRange {
        GuestRange::new(GuestAddr::new(start), len).unwrap()
    }

    #[test]
    fn only_watched_pages_are_reported_and_only_once() {
        let watch = CodeWatch::new();
        let settled = || {
            let mut ranges = Vec::new();
            watch.settle(|range| ranges.push(range));
            ranges
        };
        watch.changed(range(0, 0x10_0000));
        assert_eq!(settled(), []);
        assert_eq!(watch.generation(), 0);
        watch.watch(GuestAddr::new(0x2010));
        watch.watch(GuestAddr::new(0x3000));
        watch.watch(GuestAddr::new(0x9000));
        assert!(watch.is_watched(GuestAddr::new(0x2fff)));
        watch.changed(range(0x2fff, 2));
        assert_eq!(watch.generation(), 1);
        assert!(!watch.is_watched(GuestAddr::new(0x2000)));
        assert!(watch.is_watched(GuestAddr::new(0x9000)));
        assert_eq!(settled(), [range(0x2000, 0x2000)]);
        assert_eq!(settled(), []);
        watch.changed(GuestRange::everything());
        assert_eq!(settled(), [range(0x9000, 0x1000)]);
    }

    /// A thread whose report another thread is passing on does not come back before that is done.
    #[test]
    fn nobody_overtakes_a_report_that_is_being_passed_on() {
        let watch = CodeWatch::new();
        let forgotten = AtomicBool::new(false);
        watch.watch(GuestAddr::new(0));
        watch.changed(range(0, 1));
        std::thread::scope(|scope| {
            let (begun, is_begun) = std::sync::mpsc::channel();
            let (watch, forgotten) = (&watch, &forgotten);
            scope.spawn(move || {
                watch.settle(|_| {
                    begun.send(()).unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    forgotten.store(true, Ordering::Release);
                });
            });
            is_begun.recv().unwrap();
            watch.settle(|_| unreachable!("the report was taken"));
            assert!(forgotten.load(Ordering::Acquire));
        });
    }

    #[test]
    fn an_empty_range_changes_nothing() {
        let watch = CodeWatch::new();
        watch.watch(GuestAddr::new(0));
        watch.changed(range(0, 0));
        assert!(watch.is_watched(GuestAddr::new(0)));
    }
}
