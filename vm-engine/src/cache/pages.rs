//! [`CodePages`]: which regions have bytes on which guest page, and what the page held when they were last compared.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use vm_core::{GuestAddr, GuestMemory, GuestRange, PAGE_SIZE};

use super::Region;
use super::link::RegionId;

/// Contents of a guest page.
type Bytes = [u8; PAGE_SIZE as usize];

/// Regions of a page from which on its contents are remembered: fewer are compared as fast themselves.
const CROWD: usize = 4;

/// The regions of one page.
#[derive(Debug, Default)]
struct CodePage {
    regions: Vec<RegionId>,
    /// What the page held when every region was last found current; `None` if some has not been compared since.
    seen: Option<Box<Bytes>>,
}

/// The pages from which regions were made.
#[derive(Debug, Default)]
pub(super) struct CodePages {
    pages: BTreeMap<GuestAddr, CodePage>,
}

impl CodePages {
    /// Adds a region with bytes in `ranges`.
    pub(super) fn add(&mut self, id: RegionId, ranges: impl Iterator<Item = GuestRange>) {
        for page in ranges.flat_map(GuestRange::pages) {
            let page = self.pages.entry(page).or_default();
            page.seen = None;
            if page.regions.last() != Some(&id) {
                page.regions.push(id);
            }
        }
    }

    /// Removes a region with bytes in `ranges`.
    pub(super) fn remove(&mut self, id: RegionId, ranges: impl Iterator<Item = GuestRange>) {
        for addr in ranges.flat_map(GuestRange::pages) {
            if let Some(page) = self.pages.get_mut(&addr) {
                page.regions.retain(|other| *other != id);
                if page.regions.is_empty() {
                    self.pages.remove(&addr);
                }
            }
        }
    }

    /// Regions with bytes on the pages of `range`, once for each page.
    pub(super) fn in_range(&self, range: GuestRange) -> impl Iterator<Item = RegionId> {
        let pages = range.whole_pages();
        self.pages.range(pages.start()..pages.end()).flat_map(|(_, page)| page.regions.iter().copied())
    }

    /// Compares the pages of `range` from `from` on with `memory`, `most` of them at most. Gives the regions that differ,
    /// and where to go on if pages are left.
    pub(super) fn stale(
        &mut self,
        from: GuestAddr,
        range: GuestRange,
        most: usize,
        regions: &HashMap<RegionId, Region, RandomState>,
        memory: &dyn GuestMemory,
    ) -> (Vec<RegionId>, Option<GuestAddr>) {
        let mut stale = Vec::new();
        let pages = range.whole_pages();
        let mut left = self.pages.range_mut(from.page_start().max(pages.start())..pages.end());
        for (addr, page) in left.by_ref().take(most) {
            page.stale(*addr, regions, memory, &mut stale);
        }
        let rest = left.next().map(|(addr, _)| *addr);
        (stale, rest)
    }
}

impl CodePage {
    /// Adds the regions to `stale` whose bytes on the page at `addr` are not what `memory` holds.
    fn stale(
        &mut self,
        addr: GuestAddr,
        regions: &HashMap<RegionId, Region, RandomState>,
        memory: &dyn GuestMemory,
        stale: &mut Vec<RegionId>,
    ) {
        if memory.is_fixed(addr) {
            return;
        }
        let mut now: Bytes = [0; PAGE_SIZE as usize];
        let len = memory.fetch(addr, &mut now).unwrap_or(0);
        let whole = len == now.len();
        if whole && self.seen.as_deref() == Some(&now) {
            return;
        }
        let differs = |id: &&RegionId| regions.get(id).is_some_and(|region| !region.is_current_on(addr, &now[..len]));
        stale.extend(self.regions.iter().filter(differs));
        self.seen = (whole && self.regions.len() >= CROWD).then(|| Box::new(now));
    }
}

impl Region {
    /// Whether the region's bytes on the page at `page` are in `now`, what the page holds.
    fn is_current_on(&self, page: GuestAddr, now: &[u8]) -> bool {
        self.sources.iter().all(|source| {
            // Offsets from the start of the page; a block may begin before it and end behind it.
            let start = source.pc.offset_from(page);
            let end = start + source.bytes.len() as i64;
            let (from, to) = (start.max(0), end.min(PAGE_SIZE as i64));
            from >= to
                || now.get(from as usize..to as usize)
                    == Some(&source.bytes[(from - start) as usize..(to - start) as usize])
        })
    }
}
