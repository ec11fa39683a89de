//! [`Flushed`]: where the guest has said that its code changed.

use std::collections::BTreeMap;

use vm_core::{GuestAddr, GuestRange, PAGE_SIZE};

/// Pages of guest memory in which the guest has said at least once that code may have changed.
///
/// A program that makes code and says so when it has changed is one whose code need not be looked at again in between. Not
/// all parts of a program are alike in this, so each answers for its own pages.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    everywhere: bool,
    /// First and last page of stretches that neither overlap nor touch, by number.
    stretches: BTreeMap<u64, u64>,
}

impl Flushed {
    /// The guest said so of everything.
    pub(crate) fn add_everything(&mut self) {
        self.everywhere = true;
        self.stretches.clear();
    }

    /// The guest said so of the pages of `range`.
    pub(crate) fn add(&mut self, range: GuestRange) {
        if self.everywhere || range.is_empty() {
            return;
        }
        let (mut first, mut last) = (number(range.start()), (range.end().get() - 1) / PAGE_SIZE);
        // Those that touch it are the last ones that begin in it or right behind it.
        while let Some((&start, &end)) = self.stretches.range(..=last.saturating_add(1)).next_back() {
            if end.saturating_add(1) < first {
                break;
            }
            if start <= first && end >= last {
                return;
            }
            self.stretches.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.stretches.insert(first, last);
    }

    /// What is in the pages of `range` is no longer what the guest spoke of: another mapping, perhaps another part of the
    /// program.
    pub(crate) fn remove(&mut self, range: GuestRange) {
        if range.is_empty() {
            return;
        }
        let (first, last) = (number(range.start()), (range.end().get() - 1) / PAGE_SIZE);
        while let Some((&start, &end)) = self.stretches.range(..=last).next_back().filter(|(_, end)| **end >= first) {
            self.stretches.remove(&start);
            if end > last {
                self.stretches.insert(last + 1, end);
            }
            if start < first {
                self.stretches.insert(start, first - 1);
            }
        }
    }

    /// Whether the guest has said so of the page at `page`.
    pub(crate) fn covers(&self, page: GuestAddr) -> bool {
        let page = number(page);
        self.everywhere || self.stretches.range(..=page).next_back().is_some_and(|(_, last)| *last >= page)
    }
}

const fn number(addr: GuestAddr) -> u64 {
    addr.get() / PAGE_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages below 32 that are covered.
    fn covered(flushed: &Flushed) -> Vec<u64> {
        (0..32).filter(|page| flushed.covers(GuestAddr::new(page * PAGE_SIZE))).collect()
    }

    /// Parts of these pages.
    fn pages(first: u64, last: u64) -> GuestRange {
        GuestRange::new(GuestAddr::new(first * PAGE_SIZE + 8), (last - first) * PAGE_SIZE + 4).unwrap()
    }

    fn add(flushed: &mut Flushed, first: u64, last: u64) {
        flushed.add(pages(first, last));
    }

    #[test]
    fn whole_pages_are_covered_and_stretches_grow_together() {
        let mut flushed = Flushed::default();
        assert!(covered(&flushed).is_empty());
        add(&mut flushed, 4, 4);
        add(&mut flushed, 10, 12);
        add(&mut flushed, 20, 20);
        assert_eq!(covered(&flushed), [4, 10, 11, 12, 20]);
        add(&mut flushed, 5, 9);
        assert_eq!((covered(&flushed), flushed.stretches.len()), ([4, 5, 6, 7, 8, 9, 10, 11, 12, 20].to_vec(), 2));
        add(&mut flushed, 6, 8);
        add(&mut flushed, 12, 25);
        assert_eq!((flushed.stretches.len(), flushed.stretches.get(&4)), (1, Some(&25)));
        flushed.add(GuestRange::new(GuestAddr::new(0), 0).unwrap());
        assert!(!flushed.covers(GuestAddr::new(0)));
        flushed.add_everything();
        assert_eq!(covered(&flushed).len(), 32);
    }

    #[test]
    fn random_ranges_cover_what_a_list_of_pages_says() {
        let mut flushed = Flushed::default();
        let (mut expected, mut random) = ([false; 32], 1u64);
        for _ in 0..200 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (first, len) = (random >> 59, random >> 40 & 3);
            let last = (first + len).min(31);
            let is_added = random >> 38 & 3 != 0;
            if is_added {
                flushed.add(pages(first, last))
            } else {
                flushed.remove(pages(first, last))
            }
            expected[first as usize..=last as usize].fill(is_added);
            assert_eq!(covered(&flushed), (0..32).filter(|page| expected[*page as usize]).collect::<Vec<_>>());
        }
    }
}
