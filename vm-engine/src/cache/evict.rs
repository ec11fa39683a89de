//! Getting rid of regions: by budget, by invalidation, and the wait until nobody runs them.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use vm_core::GuestRange;

use super::link::RegionId;
use super::{Inner, Region, TieredCodeCache};

/// A region that cannot be reached any more.
pub(super) struct Retired {
    region: Region,
    /// `None` until the epoch after its retirement has begun.
    epoch: Option<u64>,
}

/// Invalidations remembered, for regions that were being made while they happened.
const LOG_LEN: usize = 256;

/// What was invalidated when, counted in invalidations.
#[derive(Debug, Default)]
pub(super) struct RetiredLog {
    count: u64,
    recent: VecDeque<GuestRange>,
}

impl RetiredLog {
    /// Number of invalidations so far.
    pub(super) const fn now(&self) -> u64 {
        self.count
    }

    /// Remembers one.
    pub(super) fn record(&mut self, range: GuestRange) {
        self.count += 1;
        if self.recent.len() == LOG_LEN {
            self.recent.pop_front();
        }
        self.recent.push_back(range);
    }

    /// Whether something in `ranges` was, or may have been, invalidated since the count was `began`.
    pub(super) fn hit_since(&self, began: u64, mut ranges: impl Iterator<Item = GuestRange>) -> bool {
        let missed = (self.count - began) as usize;
        let Some(known) = self.recent.len().checked_sub(missed) else { return true };
        missed > 0 && ranges.any(|own| self.recent.range(known..).any(|range| range.overlaps(own)))
    }
}

impl Inner {
    /// Unlinks a region. The table no longer holds it, or is about to lose it.
    pub(super) fn retire(&mut self, id: RegionId) {
        let Some(region) = self.regions.remove(&id) else { return };
        self.unpaid.add(&region, &self.links);
        self.links.unlink_incoming(id);
        self.links.retire_outgoing(region.first_link, region.link_count);
        self.bytes[region.tier as usize] -= region.code_len;
        self.by_page.remove(id, region.ranges());
        self.retired.push(Retired { region, epoch: None });
    }
}

impl TieredCodeCache {
    /// Takes regions out of the table and retires them.
    pub(super) fn retire_all(&self, inner: &mut Inner, ids: &[RegionId]) {
        let Some(table) = self.table.get() else { return };
        let pin = table.pin();
        for id in ids {
            let Some(region) = inner.regions.get(id) else { continue };
            for key in region.keys() {
                let _ = pin.remove_if(key, |_, current| current.id == *id);
            }
            inner.retire(*id);
            self.counters.invalidated.fetch_add(1, Ordering::Relaxed);
        }
        self.settle(inner);
    }

    /// Retires the regions that were not used for longest, by the clock rule, until every tier fits its budget.
    /// A region published last in its tier stays, however large.
    pub(super) fn evict_over_budget(&self, inner: &mut Inner) {
        let Some(table) = self.table.get() else { return };
        let pin = table.pin();
        for tier in 0..self.budgets.len() {
            while inner.bytes[tier] > self.budgets[tier] && inner.order[tier].len() > 1 {
                let Some(id) = inner.order[tier].pop_front() else { break };
                let Some(region) = inner.regions.get(&id) else { continue };
                let entries = region.keys().filter_map(|key| pin.get(key)).filter(|entry| entry.id == id);
                if entries.fold(false, |used, entry| entry.used.swap(false, Ordering::Relaxed) | used) {
                    inner.order[tier].push_back(id);
                    continue;
                }
                for key in region.keys() {
                    let _ = pin.remove_if(key, |_, current| current.id == id);
                }
                inner.retire(id);
                self.counters.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Dates what was retired since the last call, and frees what every reader has left behind.
    pub(super) fn settle(&self, inner: &mut Inner) {
        if inner.retired.iter().any(|retired| retired.epoch.is_none()) {
            let epoch = self.epochs.advance();
            inner.last_retirement = Some(epoch);
            for retired in inner.retired.iter_mut().filter(|retired| retired.epoch.is_none()) {
                retired.epoch = Some(epoch);
            }
        }
        if inner.retired.is_empty() {
            return;
        }
        let until = self.epochs.free_until();
        let Inner { retired, links, .. } = inner;
        retired.retain(|retired| {
            let free = retired.epoch.is_some_and(|epoch| epoch <= until);
            if free {
                links.release(retired.region.first_link, retired.region.link_count);
            }
            !free
        });
    }
}

#[cfg(test)]
mod tests {
    use vm_core::GuestAddr;

    use super::*;

    #[test]
    fn the_log_answers_for_what_it_has_forgotten() {
        let range = |start, len| GuestRange::new(GuestAddr::new(start), len).unwrap();
        let mut log = RetiredLog::default();
        let began = log.now();
        log.record(range(0x1000, 4));
        assert!(log.hit_since(began, [range(0x1002, 8)].into_iter()));
        assert!(!log.hit_since(began, [range(0x2000, 8)].into_iter()));
        assert!(!log.hit_since(log.now(), [range(0x1002, 8)].into_iter()));
        (0..LOG_LEN as u64).for_each(|_| log.record(range(0x9000, 1)));
        assert!(log.hit_since(began, [range(0x2000, 8)].into_iter()));
    }
}
