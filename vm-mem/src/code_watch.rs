//! [`CodeWatch`]: which pages hold translated code, and which of them have changed since somebody asked.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Pages {
    watched: HashSet<u64>,
    changed: BTreeSet<u64>,
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
    }

    /// Whether code was translated from the page that holds `page` and no change to it was reported since.
    #[must_use]
    pub fn is_watched(&self, page: GuestAddr) -> bool {
        self.watching.load(Ordering::Acquire) && self.pages().watched.contains(&(page.get() / PAGE_SIZE))
    }

    /// Reports that the bytes in `range` changed or became unreachable. Watched pages of the range are watched no longer
    /// and appear in [`CodeWatch::take_changed`].
    pub fn changed(&self, range: GuestRange) {
        if range.is_empty() || !self.watching.load(Ordering::Acquire) {
            return;
        }
        let (first, last) = (range.start().get() / PAGE_SIZE, (range.end().get() - 1) / PAGE_SIZE);
        let mut pages = self.pages();
        let hit: Vec<u64> = if last - first < pages.watched.len() as u64 {
            (first..=last).filter(|page| pages.watched.contains(page)).collect()
        } else {
            pages.watched.iter().copied().filter(|page| (first..=last).contains(page)).collect()
        };
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
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The ranges reported since the last call, in order, neighbours joined.
    #[must_use]
    pub fn take_changed(&self) -> Vec<GuestRange> {
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
        watch.changed(range(0, 0x10_0000));
        assert_eq!(watch.take_changed(), []);
        assert_eq!(watch.generation(), 0);
        watch.watch(GuestAddr::new(0x2010));
        watch.watch(GuestAddr::new(0x3000));
        watch.watch(GuestAddr::new(0x9000));
        assert!(watch.is_watched(GuestAddr::new(0x2fff)));
        watch.changed(range(0x2fff, 2));
        assert_eq!(watch.generation(), 1);
        assert!(!watch.is_watched(GuestAddr::new(0x2000)));
        assert!(watch.is_watched(GuestAddr::new(0x9000)));
        assert_eq!(watch.take_changed(), [range(0x2000, 0x2000)]);
        assert_eq!(watch.take_changed(), []);
        watch.changed(GuestRange::everything());
        assert_eq!(watch.take_changed(), [range(0x9000, 0x1000)]);
    }

    #[test]
    fn an_empty_range_changes_nothing() {
        let watch = CodeWatch::new();
        watch.watch(GuestAddr::new(0));
        watch.changed(range(0, 0));
        assert!(watch.is_watched(GuestAddr::new(0)));
    }
}
