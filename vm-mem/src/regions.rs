//! [`RegionMap`]: a sorted map of guest mappings, with splitting and merging. It calls nothing and touches no memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use vm_core::{GuestAddr, GuestRange, PAGE_SIZE, Perms};

use crate::gaps::{Gaps, Wanted};

/// Who sees writes to a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// This address space alone.
    Private,
    /// Everybody who maps the same object.
    Shared,
}

/// The file behind a mapping, as `/proc/PID/maps` names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Path under which it was opened.
    pub path: PathBuf,
    /// Device number, as `st_dev`.
    pub device: u64,
    /// Inode number, as `st_ino`.
    pub inode: u64,
}

/// What is behind a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Memory that begins as zeros.
    Anonymous,
    /// A file.
    File {
        /// Which file.
        file: Arc<FileIdentity>,
        /// Offset in it of the region's first byte.
        offset: u64,
    },
}

/// A stretch of guest pages that are mapped alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The pages: both ends are multiples of the page size.
    pub range: GuestRange,
    /// What the guest may do.
    pub perms: Perms,
    /// Who sees writes.
    pub sharing: Sharing,
    /// What is behind it.
    pub backing: Backing,
    /// Name for `/proc/self/maps` where no file gives one, such as `[heap]` or `[stack]`.
    pub name: Option<Arc<str>>,
    /// Whether it grows downwards when the pages below it are accessed (`MAP_GROWSDOWN`).
    pub grows: bool,
    /// Whether a forked child is to be without it (`MADV_DONTFORK`).
    pub omitted: bool,
}

impl Region {
    /// The part of the region in `start..end`, which lies within it.
    fn part(&self, start: u64, end: u64) -> Self {
        let backing = match &self.backing {
            Backing::Anonymous => Backing::Anonymous,
            Backing::File { file, offset } => {
                Backing::File { file: Arc::clone(file), offset: offset.wrapping_add(start - self.range.start().get()) }
            }
        };
        Self { range: span(start, end), backing, name: self.name.clone(), ..*self }
    }

    /// Whether `next` goes on exactly where this region ends, so that the two are one.
    fn continues_in(&self, next: &Self) -> bool {
        let backing = match (&self.backing, &next.backing) {
            (Backing::Anonymous, Backing::Anonymous) => true,
            (Backing::File { file: a, offset: at }, Backing::File { file: b, offset: then }) => {
                a == b && at.wrapping_add(self.range.len()) == *then
            }
            (Backing::Anonymous, Backing::File { .. }) | (Backing::File { .. }, Backing::Anonymous) => false,
        };
        backing
            && self.range.end() == next.range.start()
            && self.perms == next.perms
            && self.sharing == next.sharing
            && self.name == next.name
            && self.grows == next.grows
            && self.omitted == next.omitted
    }
}

/// `start..end`.
pub(crate) fn span(start: u64, end: u64) -> GuestRange {
    GuestRange::new(GuestAddr::new(start), end - start).expect("an end does not wrap")
}

/// Regions in order of their addresses; they do not overlap, and no two that could be one touch.
#[derive(Clone, Debug, Default)]
pub struct RegionMap {
    by_start: BTreeMap<u64, Region>,
    /// Starts of those that grow, which are few.
    growing: BTreeSet<u64>,
    gaps: Gaps,
}

impl RegionMap {
    /// Without regions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every region, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Region> {
        self.by_start.values()
    }

    /// Number of regions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_start.len()
    }

    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// The region that holds `addr`.
    #[must_use]
    pub fn get(&self, addr: GuestAddr) -> Option<&Region> {
        let (_, region) = self.by_start.range(..=addr.get()).next_back()?;
        region.range.contains(addr).then_some(region)
    }

    /// The regions that share a byte with `range`, whole.
    pub fn touching(&self, range: GuestRange) -> impl DoubleEndedIterator<Item = &Region> {
        let first = match self.get(range.start()) {
            Some(region) => region.range.start().get(),
            None => range.start().get(),
        };
        let end = if range.is_empty() { first } else { range.end().get() };
        self.by_start.range(first..end).map(|(_, region)| region)
    }

    /// The regions that share a byte with `range`, cut to it.
    pub fn within(&self, range: GuestRange) -> impl DoubleEndedIterator<Item = Region> {
        self.touching(range).map(move |region| {
            let start = region.range.start().max(range.start()).get();
            let end = region.range.end().min(range.end()).get();
            region.part(start, end)
        })
    }

    /// The stretches of `range` that no region covers, in order.
    #[must_use]
    pub fn holes(&self, range: GuestRange) -> Vec<GuestRange> {
        let mut holes = Vec::new();
        let mut at = range.start().get();
        for region in self.touching(range) {
            let start = region.range.start().get();
            if at < start {
                holes.push(span(at, start));
            }
            at = region.range.end().get();
        }
        if at < range.end().get() {
            holes.push(span(at, range.end().get()));
        }
        holes
    }

    /// Whether no region shares a byte with `range`.
    #[must_use]
    pub fn is_free(&self, range: GuestRange) -> bool {
        self.touching(range).next().is_none()
    }

    /// Adds a region, in place of whatever its range held, and merges it with neighbours that are mapped alike.
    ///
    /// # Panics
    /// If the region is empty or does not consist of whole pages.
    pub fn insert(&mut self, region: Region) {
        let range = region.range;
        assert!(
            !range.is_empty() && range.start().is_aligned(PAGE_SIZE) && range.end().is_aligned(PAGE_SIZE),
            "{range} is no range of pages"
        );
        self.clear(range);
        self.gaps.occupy(range);
        let mut merged = region;
        if let Some(after) = self.by_start.get(&range.end().get())
            && merged.continues_in(after)
        {
            merged.range = span(range.start().get(), after.range.end().get());
            self.forget(range.end().get());
        }
        if let Some((_, before)) = self.by_start.range_mut(..range.start().get()).next_back()
            && before.continues_in(&merged)
        {
            before.range = span(before.range.start().get(), merged.range.end().get());
        } else {
            self.keep(merged);
        }
    }

    /// Whether `region`, where nothing is mapped, would be one with a region that is there.
    pub(crate) fn joins(&self, region: &Region) -> bool {
        let (start, end) = (region.range.start(), region.range.end());
        self.get(end).is_some_and(|after| region.continues_in(after))
            || self.below(start).is_some_and(|before| before.continues_in(region))
    }

    /// Takes everything out of `range`, splitting regions that reach over its ends. Returns what was there, in order.
    ///
    /// The ends of `range` are multiples of the page size.
    pub fn remove(&mut self, range: GuestRange) -> Vec<Region> {
        let removed = self.within(range).collect();
        self.clear(range);
        removed
    }

    /// Takes everything out of `range`, as [`RegionMap::remove`] does.
    pub(crate) fn clear(&mut self, range: GuestRange) {
        if range.is_empty() {
            return;
        }
        let (from, to) = (range.start().get(), range.end().get());
        while let Some((&start, region)) = self.by_start.range_mut(..to).next_back()
            && region.range.end().get() > from
        {
            let end = region.range.end().get();
            let (cut_start, cut_end) = (start.max(from), end.min(to));
            let tail = (cut_end < end).then(|| region.part(cut_end, end));
            if start < cut_start {
                region.range = span(start, cut_start);
            } else {
                self.forget(start);
            }
            tail.into_iter().for_each(|tail| self.keep(tail));
            self.gaps.vacate(span(cut_start, cut_end));
        }
    }

    /// Takes down a region that overlaps none.
    fn keep(&mut self, region: Region) {
        let start = region.range.start().get();
        if region.grows {
            self.growing.insert(start);
        }
        self.by_start.insert(start, region);
    }

    /// Strikes out the region that begins at `start`.
    fn forget(&mut self, start: u64) {
        if self.by_start.remove(&start).is_some_and(|region| region.grows) {
            self.growing.remove(&start);
        }
    }

    /// Where the regions begin that grow downwards, in order.
    pub(crate) fn growing(&self) -> impl Iterator<Item = u64> {
        self.growing.iter().copied()
    }

    /// Gives every mapped page of `range` the permissions `perms`.
    pub fn set_perms(&mut self, range: GuestRange, perms: Perms) {
        self.alter(range, |region| region.perms = perms);
    }

    /// Says for every mapped page of `range` whether a forked child is to be without it.
    pub fn set_omitted(&mut self, range: GuestRange, omitted: bool) {
        self.alter(range, |region| region.omitted = omitted);
    }

    /// Changes what `range` holds, but not where.
    fn alter(&mut self, range: GuestRange, change: impl Fn(&mut Region)) {
        let unchanged = |region: &Region| {
            let mut changed = region.clone();
            change(&mut changed);
            changed == *region
        };
        if self.touching(range).all(unchanged) {
            return;
        }
        for mut region in self.remove(range) {
            change(&mut region);
            self.insert(region);
        }
    }

    /// The region with the lowest address above `addr`.
    #[must_use]
    pub fn above(&self, addr: GuestAddr) -> Option<&Region> {
        let (_, region) = self.by_start.range(addr.get()..).next()?;
        Some(region)
    }

    /// The region with the highest address whose start is below `addr`.
    #[must_use]
    pub fn below(&self, addr: GuestAddr) -> Option<&Region> {
        let (_, region) = self.by_start.range(..addr.get()).next_back()?;
        Some(region)
    }

    /// The highest gap of `len` bytes that ends at or below `top`, starts at or above `bottom` and whose start is a
    /// multiple of `align`, a power of two of at least the page size. `blocked` are ranges in ascending order that count
    /// as mapped.
    #[must_use]
    pub fn gap_below(&self, top: u64, bottom: u64, len: u64, align: u64, blocked: &[GuestRange]) -> Option<GuestAddr> {
        self.gaps.highest(Wanted { bottom, top, len, align, blocked })
    }

    /// The lowest gap of `len` bytes that starts at or above `bottom` and ends at or below `top`; otherwise as
    /// [`RegionMap::gap_below`].
    #[must_use]
    pub fn gap_above(&self, bottom: u64, top: u64, len: u64, align: u64, blocked: &[GuestRange]) -> Option<GuestAddr> {
        self.gaps.lowest(Wanted { bottom, top, len, align, blocked })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGES: u64 = 64;

    /// What one page of the naive model holds.
    type Page = Option<(Perms, Sharing, Option<u64>)>;

    #[derive(Clone, Debug)]
    enum Step {
        Insert { perms: Perms, sharing: Sharing, file: Option<u64>, grows: bool },
        Remove,
        Protect { perms: Perms },
    }

    fn file() -> Arc<FileIdentity> {
        Arc::new(FileIdentity { path: "/f".into(), device: 1, inode: 2 })
    }

    fn step() -> impl Strategy<Value = (u64, u64, Step)> {
        let perms = || (0u8..3).prop_map(|n| [Perms::NONE, Perms::READ, Perms::READ | Perms::WRITE][n as usize]);
        let sharing = any::<bool>().prop_map(|shared| if shared { Sharing::Shared } else { Sharing::Private });
        let kind = prop_oneof![
            (perms(), sharing, proptest::option::of(0u64..4), any::<bool>()).prop_map(
                |(perms, sharing, file, grows)| {
                    Step::Insert { perms, sharing, file: file.map(|n| n * PAGE_SIZE), grows }
                }
            ),
            Just(Step::Remove),
            perms().prop_map(|perms| Step::Protect { perms }),
        ];
        (0..PAGES - 1, 1..16u64, kind).prop_map(|(first, pages, kind)| (first, pages.min(PAGES - first), kind))
    }

    fn describe(map: &RegionMap) -> Vec<Page> {
        let mut pages = vec![None; PAGES as usize];
        for region in map.iter() {
            for page in region.range.pages() {
                let file = match &region.backing {
                    Backing::Anonymous => None,
                    Backing::File { offset, .. } => Some(offset + (page.get() - region.range.start().get())),
                };
                let slot = &mut pages[(page.get() / PAGE_SIZE) as usize];
                assert!(slot.is_none(), "regions overlap at {page}");
                *slot = Some((region.perms, region.sharing, file));
            }
        }
        pages
    }

    proptest! {
        #[test]
        fn the_map_is_a_map_of_pages(steps in proptest::collection::vec(step(), 1..60)) {
            let mut map = RegionMap::new();
            let mut model: Vec<Page> = vec![None; PAGES as usize];
            let file = file();
            for (first, pages, kind) in steps {
                let range = span(first * PAGE_SIZE, (first + pages) * PAGE_SIZE);
                let slots = &mut model[first as usize..(first + pages) as usize];
                match kind {
                    Step::Insert { perms, sharing, file: offset, grows } => {
                        let backing = match offset {
                            None => Backing::Anonymous,
                            Some(offset) => Backing::File { file: Arc::clone(&file), offset },
                        };
                        map.insert(Region { range, perms, sharing, backing, name: None, grows, omitted: false });
                        for (index, slot) in slots.iter_mut().enumerate() {
                            *slot = Some((perms, sharing, offset.map(|at| at + index as u64 * PAGE_SIZE)));
                        }
                    }
                    Step::Remove => {
                        let removed: u64 = map.remove(range).iter().map(|region| region.range.len()).sum();
                        prop_assert_eq!(removed / PAGE_SIZE, slots.iter().flatten().count() as u64);
                        slots.fill(None);
                    }
                    Step::Protect { perms } => {
                        map.set_perms(range, perms);
                        for page in slots.iter_mut().flatten() {
                            page.0 = perms;
                        }
                    }
                }
                prop_assert_eq!(&describe(&map), &model);
                let regions: Vec<&Region> = map.iter().collect();
                for pair in regions.windows(2) {
                    prop_assert!(!pair[0].continues_in(pair[1]), "{:?} was not merged", pair);
                }
                let growing = map.iter().filter(|region| region.grows).map(|region| region.range.start().get());
                prop_assert!(map.growing().eq(growing));
                for page in 0..PAGES {
                    let addr = GuestAddr::new(page * PAGE_SIZE + 17);
                    prop_assert_eq!(map.get(addr).map(|region| region.perms), model[page as usize].map(|p| p.0));
                }
                let holes: u64 = map.holes(span(0, PAGES * PAGE_SIZE)).iter().map(|hole| hole.len()).sum();
                prop_assert_eq!(holes / PAGE_SIZE, model.iter().filter(|page| page.is_none()).count() as u64);
            }
        }

        #[test]
        fn gaps_are_the_highest_and_the_lowest(
            taken in proptest::collection::vec(any::<bool>(), PAGES as usize),
            blocked in 0..PAGES,
            pages in 1..8u64,
            align in 0..3u32,
            top in 1..=PAGES,
        ) {
            let mut map = RegionMap::new();
            for (page, _) in taken.iter().enumerate().filter(|(_, taken)| **taken) {
                let range = span(page as u64 * PAGE_SIZE, (page as u64 + 1) * PAGE_SIZE);
                map.insert(Region {
                    range,
                    perms: Perms::READ,
                    sharing: Sharing::Private,
                    backing: Backing::Anonymous,
                    name: None,
                    grows: false,
                    omitted: false,
                });
            }
            let obstacle = [span(blocked * PAGE_SIZE, (blocked + 1) * PAGE_SIZE)];
            let align = 1u64 << align; // in pages
            let fits = |first: &u64| {
                first.is_multiple_of(align)
                    && first + pages <= top
                    && (*first..first + pages).all(|page| !taken[page as usize] && page != blocked)
            };
            let expected = (0..PAGES).rev().find(fits).map(|page| GuestAddr::new(page * PAGE_SIZE));
            let (len, align_bytes) = (pages * PAGE_SIZE, align * PAGE_SIZE);
            prop_assert_eq!(map.gap_below(top * PAGE_SIZE, 0, len, align_bytes, &obstacle), expected);
            let expected = (0..PAGES).find(fits).map(|page| GuestAddr::new(page * PAGE_SIZE));
            prop_assert_eq!(map.gap_above(0, top * PAGE_SIZE, len, align_bytes, &obstacle), expected);
        }
    }
}
