//! Links: the words through which the direct exits of regions jump, and who jumps to whom.
//! A region of baseline code has one word more for each block, in which it counts down how often that is entered; used
//! up, it may lead to better code.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use vm_core::BlockKey;

use crate::jit::code::CodePtr;
use crate::jit::link_table::LinkTable;

/// Name of a published region, from 1 on; never used twice.
pub(crate) type RegionId = u64;

/// What is known of a link.
#[derive(Clone, Copy, Debug)]
struct Link {
    target: BlockKey,
    /// The region whose code the table holds; zero, which is no region, while it holds the stub.
    to: RegionId,
}

/// The links of one region.
#[derive(Debug, Default)]
struct Exits {
    /// Number of the first of them.
    first: u32,
    links: Box<[Link]>,
    /// The region is retired: somebody may still run it and leave by the stub, but nothing is linked any more.
    retired: bool,
}

/// Numbers are given out in runs that are multiples of this, each to one region, so that a number leads to its region's
/// links by way of a short table.
const GROUP: usize = 8;
/// In place of a place in [`Links::exits`]: nothing is kept.
const NOTHING: u32 = u32::MAX;

/// The links of all regions. Generated code reads the table; this record is kept beside it under the cache's lock.
#[derive(Debug)]
pub(crate) struct Links {
    table: LinkTable,
    /// The stub that leaves with the link's number.
    stub: CodePtr,
    /// Of each [`GROUP`] of numbers that was ever given out, the place of its region's links in `exits`.
    groups: Vec<u32>,
    /// The links of regions, empty where nothing is kept.
    exits: Vec<Exits>,
    /// Places in `exits` where nothing is kept.
    vacant: Vec<u32>,
    /// Runs of numbers given back: length in groups, then the first numbers.
    free: HashMap<usize, Vec<u32>, RandomState>,
    /// Links and counters that lead to a region.
    incoming: HashMap<RegionId, Vec<u32>, RandomState>,
    /// Counters, used up, that lead to a region.
    redirected: HashMap<u32, RegionId, RandomState>,
}

/// No more links can be made until code is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfLinks;

impl Links {
    /// Bytes that are kept of a link beside its word.
    pub(crate) const RECORD_BYTES: usize = size_of::<Link>();

    /// No links in `table`; unlinked entries will hold `stub`.
    pub(crate) fn new(table: LinkTable, stub: CodePtr) -> Self {
        Self {
            table,
            stub,
            groups: Vec::new(),
            exits: Vec::new(),
            vacant: Vec::new(),
            free: HashMap::default(),
            incoming: HashMap::default(),
            redirected: HashMap::default(),
        }
    }

    /// Host address of the table.
    pub(crate) fn address(&self) -> u64 {
        self.table.address()
    }

    /// `count` consecutive numbers, unlinked.
    ///
    /// # Errors
    /// [`OutOfLinks`] when the table is full.
    pub(crate) fn allocate(&mut self, count: usize) -> Result<u32, OutOfLinks> {
        let groups = count.div_ceil(GROUP);
        let first = match self.free.get_mut(&groups).and_then(Vec::pop) {
            Some(first) => first,
            None => {
                let first = self.groups.len();
                if (first + groups) * GROUP > self.table.entries().len() {
                    return Err(OutOfLinks);
                }
                self.groups.resize(first + groups, NOTHING);
                (first * GROUP) as u32
            }
        };
        for entry in &self.table.entries()[first as usize..first as usize + count] {
            entry.store(self.stub.address(), Ordering::Release);
        }
        Ok(first)
    }

    /// Stores `value` in a word that counts instead of leading somewhere.
    pub(crate) fn arm(&self, number: u32, value: u64) {
        self.table.entries()[number as usize].store(value, Ordering::Relaxed);
    }

    /// Makes a counter that is used up lead to the code of `region`.
    pub(crate) fn redirect(&mut self, number: u32, region: RegionId, code: CodePtr) {
        if let Some(old) = self.redirected.insert(number, region) {
            self.forget_incoming(old, number);
        }
        self.incoming.entry(region).or_default().push(number);
        self.arm(number, code.address().wrapping_neg());
    }

    /// Makes the word of a number that is no link a counter, from zero.
    pub(crate) fn start_counter(&self, number: u32) {
        self.table.entries()[number as usize].store(0, Ordering::Release);
    }

    /// What a counter has come to.
    pub(crate) fn counted(&self, number: u32) -> u64 {
        self.table.entries()[number as usize].load(Ordering::Relaxed)
    }

    /// Counts as generated code does.
    #[cfg(test)]
    pub(super) fn add_to_counter(&self, number: u32, executed: u64) {
        self.table.entries()[number as usize].fetch_add(executed, Ordering::Relaxed);
    }

    /// Gives numbers back. Nobody may be running code that uses them.
    pub(crate) fn release(&mut self, first: u32, count: usize) {
        for number in first..first + count as u32 {
            if let Some(to) = self.redirected.remove(&number) {
                self.forget_incoming(to, number);
            }
        }
        if count > 0 {
            let (group, groups) = (first as usize / GROUP, count.div_ceil(GROUP));
            if let Some(exits) = self.exits.get_mut(self.groups[group] as usize) {
                *exits = Exits::default();
                self.vacant.push(self.groups[group]);
            }
            self.groups[group..group + groups].fill(NOTHING);
            self.free.entry(groups).or_default().push(first);
        }
    }

    /// Says that the numbers from `first` on lead to `targets`.
    pub(crate) fn claim(&mut self, first: u32, targets: &[BlockKey]) {
        if !targets.is_empty() {
            let links = targets.iter().map(|target| Link { target: *target, to: 0 }).collect();
            let place = self.vacant.pop().unwrap_or_else(|| {
                self.exits.push(Exits::default());
                self.exits.len() as u32 - 1
            });
            self.exits[place as usize] = Exits { first, links, retired: false };
            let group = first as usize / GROUP;
            self.groups[group..group + targets.len().div_ceil(GROUP)].fill(place);
        }
    }

    /// The link with this number, and whether its region is retired.
    fn get_mut(&mut self, number: u32) -> Option<(&mut Link, bool)> {
        let exits = self.exits.get_mut(*self.groups.get(number as usize / GROUP)? as usize)?;
        exits.links.get_mut((number - exits.first) as usize).map(|link| (link, exits.retired))
    }

    /// Where a link leads, until its number is released.
    pub(crate) fn target(&self, number: u32) -> Option<BlockKey> {
        let exits = self.exits.get(*self.groups.get(number as usize / GROUP)? as usize)?;
        exits.links.get((number - exits.first) as usize).map(|link| link.target)
    }

    /// Makes a link jump to the code of `region`.
    pub(crate) fn set(&mut self, number: u32, region: RegionId, code: CodePtr) {
        let Some((link, false)) = self.get_mut(number) else { return };
        let old = std::mem::replace(&mut link.to, region);
        self.forget_incoming(old, number);
        self.incoming.entry(region).or_default().push(number);
        self.table.entries()[number as usize].store(code.address(), Ordering::Release);
    }

    /// Makes every link to `region` leave by the stub again, and counters ask for code.
    pub(crate) fn unlink_incoming(&mut self, region: RegionId) {
        for number in self.incoming.remove(&region).unwrap_or_default() {
            if self.redirected.remove(&number).is_some() {
                self.arm(number, 0);
                continue;
            }
            self.table.entries()[number as usize].store(self.stub.address(), Ordering::Release);
            if let Some((link, _)) = self.get_mut(number) {
                link.to = 0;
            }
        }
    }

    /// Makes the links that jump to `key` in region `old` jump to the code of `region`.
    pub(crate) fn relink(&mut self, old: RegionId, key: BlockKey, region: RegionId, code: CodePtr) {
        let numbers = self.incoming.remove(&old).unwrap_or_default();
        let (led, others): (Vec<_>, Vec<_>) = numbers.into_iter().partition(|number| self.target(*number) == Some(key));
        for &number in &led {
            if let Some((link, _)) = self.get_mut(number) {
                link.to = region;
            }
            self.table.entries()[number as usize].store(code.address(), Ordering::Release);
        }
        if !led.is_empty() {
            self.incoming.entry(region).or_default().extend(led);
        }
        if !others.is_empty() {
            self.incoming.insert(old, others);
        }
    }

    /// Unlinks for good those links that lead somewhere among `count` numbers from `first` on; the numbers stay taken, and
    /// known, until [`Links::release`].
    pub(crate) fn retire_outgoing(&mut self, first: u32, count: usize) {
        let place = self.groups.get(first as usize / GROUP).filter(|_| count > 0).map_or(NOTHING, |place| *place);
        let Some(exits) = self.exits.get_mut(place as usize) else { return };
        exits.retired = true;
        let led: Vec<_> = exits.links.iter_mut().map(|link| std::mem::replace(&mut link.to, 0)).collect();
        for (number, to) in (first..).zip(led) {
            self.table.entries()[number as usize].store(self.stub.address(), Ordering::Release);
            self.forget_incoming(to, number);
        }
    }

    /// What the table holds for a link.
    #[cfg(test)]
    pub(super) fn word(&self, number: u32) -> u64 {
        self.table.entries()[number as usize].load(Ordering::Relaxed)
    }

    fn forget_incoming(&mut self, region: RegionId, number: u32) {
        if let Some(numbers) = self.incoming.get_mut(&region) {
            numbers.retain(|other| *other != number);
        }
    }
}

#[cfg(test)]
mod tests {
    use vm_core::{GuestAddr, Mode};

    use super::*;

    const STUB: CodePtr = CodePtr::new(0x10);

    fn key(pc: u64) -> BlockKey {
        BlockKey::new(GuestAddr::new(pc), Mode::default())
    }

    #[test]
    fn links_follow_their_target() {
        let mut links = Links::new(LinkTable::reserve(16).unwrap(), STUB);
        let first = links.allocate(2).unwrap();
        links.claim(first, &[key(0x100), key(0x200)]);
        assert_eq!(links.target(first + 1), Some(key(0x200)));
        links.set(first, 7, CodePtr::new(0x70));
        assert_eq!((links.word(first), links.word(first + 1)), (0x70, STUB.address()));
        links.set(first, 8, CodePtr::new(0x80));
        links.unlink_incoming(7);
        assert_eq!(links.word(first), 0x80);
        links.unlink_incoming(8);
        assert_eq!(links.word(first), STUB.address());
    }

    #[test]
    fn links_to_one_of_a_regions_keys_follow_it_to_another() {
        let mut links = Links::new(LinkTable::reserve(16).unwrap(), STUB);
        let first = links.allocate(3).unwrap();
        links.claim(first, &[key(0x100), key(0x200), key(0x200)]);
        links.set(first, 7, CodePtr::new(0x70));
        links.set(first + 1, 7, CodePtr::new(0x74));
        links.set(first + 2, 9, CodePtr::new(0x90));
        links.relink(7, key(0x200), 8, CodePtr::new(0x80));
        assert_eq!([first, first + 1, first + 2].map(|number| links.word(number)), [0x70, 0x80, 0x90]);
        links.unlink_incoming(8);
        assert_eq!([first, first + 1].map(|number| links.word(number)), [0x70, STUB.address()]);
    }

    #[test]
    fn counters_lead_to_better_code_while_there_is_some() {
        let mut links = Links::new(LinkTable::reserve(16).unwrap(), STUB);
        let first = links.allocate(3).unwrap();
        links.claim(first, &[key(0x100)]);
        links.arm(first + 1, 5);
        links.redirect(first + 1, 7, CodePtr::new(0x70));
        links.redirect(first + 2, 7, CodePtr::new(0x70));
        links.redirect(first + 2, 8, CodePtr::new(0x80));
        assert_eq!([links.word(first + 1), links.word(first + 2)], [0x70_u64, 0x80].map(u64::wrapping_neg));
        links.unlink_incoming(7);
        assert_eq!([links.word(first + 1), links.word(first + 2)], [0, 0x80_u64.wrapping_neg()]);
        // The next one to have the number does not follow.
        links.release(first, 3);
        let again = links.allocate(3).unwrap();
        links.claim(again, &[key(0x100); 3]);
        links.unlink_incoming(8);
        assert_eq!((again, links.word(again + 2)), (first, STUB.address()));
        assert!(links.redirected.is_empty());
    }

    #[test]
    fn regions_with_many_links_keep_theirs_apart() {
        let mut links = Links::new(LinkTable::reserve(1024).unwrap(), STUB);
        let lens = [1, 8, 9, 40, 3, 16];
        let targets = |base: u64, len: usize| (0..len as u64).map(|n| key(base * 0x1000 + n)).collect::<Vec<_>>();
        let mut firsts = Vec::new();
        for (base, len) in lens.into_iter().enumerate() {
            // Two words more, which lead nowhere.
            let first = links.allocate(len + 2).unwrap();
            links.claim(first, &targets(base as u64, len));
            firsts.push((base as u64, first, len));
        }
        links.release(firsts[2].1, lens[2] + 2);
        assert_eq!(links.target(firsts[2].1 + 8), None);
        firsts[2] = (77, links.allocate(9 + 2).unwrap(), 9);
        links.claim(firsts[2].1, &targets(77, 9));
        for (base, first, len) in firsts {
            for (number, target) in (first..).zip(targets(base, len)) {
                assert_eq!(links.target(number), Some(target));
            }
            assert_eq!((links.target(first + len as u32), links.target(first + len as u32 + 1)), (None, None));
        }
        assert_eq!((links.target(1023), links.target(u32::MAX)), (None, None));
        // One that has none has the number that the next one gets.
        let none = links.allocate(0).unwrap();
        let next = links.allocate(1).unwrap();
        links.claim(next, &[key(9)]);
        links.retire_outgoing(none, 0);
        links.set(next, 7, CodePtr::new(0x70));
        assert_eq!((none, links.word(next)), (next, 0x70));
    }

    #[test]
    fn numbers_are_given_out_again_only_after_release() {
        let mut links = Links::new(LinkTable::reserve(GROUP).unwrap(), STUB);
        let first = links.allocate(3).unwrap();
        links.claim(first, &[key(0); 3]);
        assert_eq!(links.allocate(2), Err(OutOfLinks));
        links.retire_outgoing(first, 3);
        links.set(first, 7, CodePtr::new(0x70));
        assert_eq!((links.word(first), links.target(first)), (STUB.address(), Some(key(0))));
        assert_eq!(links.allocate(3), Err(OutOfLinks));
        links.release(first, 3);
        assert_eq!(links.target(first), None);
        assert_eq!(links.allocate(3), Ok(first));
    }
}
