//! [`Gaps`]: the stretches of the address space that no region covers, found by size.
//!
//! Programs map and unmap thousands of times a second with tens of thousands of regions about, so that a gap is not
//! sought by walking over them. Gaps are kept in classes of nearly equal size; in every class above the one asked for each
//! gap is large enough, and the highest (or lowest) of them is found at once.

use std::collections::{BTreeMap, BTreeSet};

use vm_core::{GuestAddr, GuestRange, PAGE_SIZE};

use crate::regions::span;

/// The last page boundary.
const END: u64 = !(PAGE_SIZE - 1);
/// Gaps of up to this many pages have a class for each size; above, there are four classes for each power of two.
const EXACT: u64 = 16;
/// Number of classes: the largest gap has nearly 2^52 pages.
const CLASSES: usize = EXACT as usize + 4 * 48;

/// The class of gaps of `pages` pages: larger gaps are in the same class or in a higher one.
const fn class(pages: u64) -> usize {
    if pages < EXACT {
        return pages as usize;
    }
    let power = pages.ilog2();
    let quarter = (pages >> (power - 2)) & 3;
    EXACT as usize + 4 * (power - EXACT.ilog2()) as usize + quarter as usize
}

/// Where a gap is looked for: the addresses, the size, and ranges in ascending order that cannot be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The gap starts here or above.
    pub(crate) bottom: u64,
    /// It ends here or below.
    pub(crate) top: u64,
    /// Its size in bytes, a positive number of pages.
    pub(crate) len: u64,
    /// A power of two, at least the page size, that divides its start.
    pub(crate) align: u64,
    pub(crate) blocked: &'a [GuestRange],
}

/// What is free.
#[derive(Clone, Debug)]
pub(crate) struct Gaps {
    /// End of each gap by its start.
    by_start: BTreeMap<u64, u64>,
    /// Starts of the gaps of each class.
    by_class: Box<[BTreeSet<u64>]>,
    /// A bit for each class, set where there are gaps, so that classes without are passed over unread.
    filled: [u64; CLASSES.div_ceil(64)],
}

impl Default for Gaps {
    fn default() -> Self {
        let mut gaps =
            Self { by_start: BTreeMap::new(), by_class: vec![BTreeSet::new(); CLASSES].into(), filled: [0; _] };
        gaps.add(0, END);
        gaps
    }
}

impl Gaps {
    fn add(&mut self, start: u64, end: u64) {
        if start < end {
            self.by_start.insert(start, end);
            let class = class((end - start) / PAGE_SIZE);
            self.by_class[class].insert(start);
            self.filled[class / 64] |= 1 << (class % 64);
        }
    }

    fn take(&mut self, start: u64) -> Option<u64> {
        let end = self.by_start.remove(&start)?;
        let class = class((end - start) / PAGE_SIZE);
        self.by_class[class].remove(&start);
        if self.by_class[class].is_empty() {
            self.filled[class / 64] &= !(1 << (class % 64));
        }
        Some(end)
    }

    /// Takes the pages of `range` out of the gap that holds them.
    pub(crate) fn occupy(&mut self, range: GuestRange) {
        let (from, to) = (range.start().get(), range.end().get());
        let Some((&start, _)) = self.by_start.range(..=from).next_back() else { return };
        let Some(end) = self.take(start) else { return };
        debug_assert!(to <= end, "{range} is not free");
        self.add(start, from);
        self.add(to, end);
    }

    /// Gives back the pages of `range`, none of which is free.
    pub(crate) fn vacate(&mut self, range: GuestRange) {
        let (mut start, mut end) = (range.start().get(), range.end().get());
        if let Some(after) = self.take(end) {
            end = after;
        }
        let before = self.by_start.range(..start).next_back().map(|(&start, &end)| (start, end));
        if let Some((before, _)) = before.filter(|(_, end)| *end == start) {
            self.take(before);
            start = before;
        }
        self.add(start, end);
    }

    /// The classes in which gaps of `len` bytes may be.
    fn classes(&self, len: u64) -> impl Iterator<Item = &BTreeSet<u64>> {
        let first = class(len / PAGE_SIZE);
        (first / 64..self.filled.len()).flat_map(move |word| {
            let mut bits = self.filled[word];
            if word == first / 64 {
                bits &= !0 << (first % 64);
            }
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(&self.by_class[word * 64 + bit])
            })
        })
    }

    /// The highest gap as wanted.
    pub(crate) fn highest(&self, wanted: Wanted<'_>) -> Option<GuestAddr> {
        let mut best = None;
        for class in self.classes(wanted.len) {
            for &start in class.range(..wanted.top).rev() {
                let end = self.by_start.get(&start).copied().unwrap_or(start);
                if end <= wanted.bottom || best.is_some_and(|best| end <= best) {
                    break;
                }
                if let Some(found) = highest_in(start, end, wanted) {
                    best = best.max(Some(found));
                    break;
                }
            }
        }
        best.map(GuestAddr::new)
    }

    /// The lowest gap as wanted.
    pub(crate) fn lowest(&self, wanted: Wanted<'_>) -> Option<GuestAddr> {
        let mut best: Option<u64> = None;
        let first = self.by_start.range(..=wanted.bottom).next_back().map_or(wanted.bottom, |(&start, _)| start);
        for class in self.classes(wanted.len) {
            for &start in class.range(first..) {
                if start >= best.unwrap_or(wanted.top) {
                    break;
                }
                let end = self.by_start.get(&start).copied().unwrap_or(start);
                if let Some(found) = lowest_in(start, end, wanted) {
                    best = Some(best.map_or(found, |best| best.min(found)));
                    break;
                }
            }
        }
        best.map(GuestAddr::new)
    }
}

/// The highest start of what is wanted in the gap `start..end`.
fn highest_in(start: u64, end: u64, wanted: Wanted<'_>) -> Option<u64> {
    let bottom = start.max(wanted.bottom);
    let mut end = end.min(wanted.top);
    loop {
        let found = end.checked_sub(wanted.len)? & !(wanted.align - 1);
        if found < bottom {
            return None;
        }
        let candidate = span(found, found + wanted.len);
        match wanted.blocked.iter().find(|range| range.overlaps(candidate)) {
            None => return Some(found),
            Some(blocker) => end = blocker.start().get(),
        }
    }
}

/// The lowest start of what is wanted in the gap `start..end`.
fn lowest_in(start: u64, end: u64, wanted: Wanted<'_>) -> Option<u64> {
    let top = end.min(wanted.top);
    let mut found = start.max(wanted.bottom);
    loop {
        found = found.checked_next_multiple_of(wanted.align)?;
        let candidate_end = found.checked_add(wanted.len)?;
        if candidate_end > top {
            return None;
        }
        let candidate = span(found, candidate_end);
        match wanted.blocked.iter().rev().find(|range| range.overlaps(candidate)) {
            None => return Some(found),
            Some(blocker) => found = blocker.end().get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_ascend_with_size() {
        let mut last = 0;
        for pages in (1..10_000).chain((14..52).map(|power| 1 << power)).chain([END / PAGE_SIZE]) {
            let class = class(pages);
            assert!(class >= last && class < CLASSES, "{pages} pages in class {class}");
            last = class;
        }
        assert!((1..EXACT).all(|pages| class(pages) < class(pages + 1)));
    }

    #[test]
    fn many_gaps_of_one_size_are_no_obstacle() {
        let mut gaps = Gaps::default();
        let page = |n: u64| span(n * PAGE_SIZE, (n + 1) * PAGE_SIZE);
        let pages = 200_000;
        (0..pages).filter(|n| n % 2 == 1).for_each(|n| gaps.occupy(page(n)));
        gaps.occupy(page(4));
        let wanted = |len| Wanted { bottom: 0, top: pages * PAGE_SIZE, len, align: PAGE_SIZE, blocked: &[] };
        for _ in 0..100_000 {
            assert_eq!(gaps.highest(wanted(PAGE_SIZE)), Some(page(pages - 2).start()));
            assert_eq!(gaps.highest(wanted(2 * PAGE_SIZE)), None);
        }
        gaps.vacate(page(7));
        assert_eq!(gaps.lowest(wanted(3 * PAGE_SIZE)), Some(page(6).start()));
        gaps.vacate(page(4));
        gaps.vacate(page(5));
        assert_eq!(gaps.highest(wanted(5 * PAGE_SIZE)), Some(page(4).start()));
    }
}
