//! Links: the words through which the direct exits of regions jump, and who jumps to whom.
//! A region of baseline code has one word more, in which it counts down how often it is entered.

use std::collections::{BTreeMap, HashMap};
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
#[derive(Debug)]
struct Exits {
    links: Box<[Link]>,
    /// The region is retired: somebody may still run it and leave by the stub, but nothing is linked any more.
    retired: bool,
}

/// The links of all regions. Generated code reads the table; this record is kept beside it under the cache's lock.
#[derive(Debug)]
pub(crate) struct Links {
    table: LinkTable,
    /// The stub that leaves with the link's number.
    stub: CodePtr,
    /// The first number that was never given out.
    end: u32,
    /// By the numbers of their first links.
    exits: BTreeMap<u32, Exits>,
    /// Runs of numbers given back: length, then the first numbers.
    free: HashMap<usize, Vec<u32>, RandomState>,
    /// Links that lead to a region.
    incoming: HashMap<RegionId, Vec<u32>, RandomState>,
}

/// No more links can be made until code is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfLinks;

impl Links {
    /// Bytes that are kept of a link beside its word.
    pub(crate) const RECORD_BYTES: usize = size_of::<Link>();

    /// No links in `table`; unlinked entries will hold `stub`.
    pub(crate) fn new(table: LinkTable, stub: CodePtr) -> Self {
        Self { table, stub, end: 0, exits: BTreeMap::new(), free: HashMap::default(), incoming: HashMap::default() }
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
        let first = match self.free.get_mut(&count).and_then(Vec::pop) {
            Some(first) => first,
            None => {
                let first = self.end;
                if first as usize + count > self.table.entries().len() {
                    return Err(OutOfLinks);
                }
                self.end += count as u32;
                first
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
        if count > 0 {
            self.exits.remove(&first);
            self.free.entry(count).or_default().push(first);
        }
    }

    /// Says that the numbers from `first` on lead to `targets`.
    pub(crate) fn claim(&mut self, first: u32, targets: &[BlockKey]) {
        if !targets.is_empty() {
            let links = targets.iter().map(|target| Link { target: *target, to: 0 }).collect();
            self.exits.insert(first, Exits { links, retired: false });
        }
    }

    /// The link with this number, and whether its region is retired.
    fn get_mut(&mut self, number: u32) -> Option<(&mut Link, bool)> {
        let (first, exits) = self.exits.range_mut(..=number).next_back()?;
        exits.links.get_mut((number - first) as usize).map(|link| (link, exits.retired))
    }

    /// Where a link leads, until its number is released.
    pub(crate) fn target(&self, number: u32) -> Option<BlockKey> {
        let (first, exits) = self.exits.range(..=number).next_back()?;
        exits.links.get((number - first) as usize).map(|link| link.target)
    }

    /// Makes a link jump to the code of `region`.
    pub(crate) fn set(&mut self, number: u32, region: RegionId, code: CodePtr) {
        let Some((link, false)) = self.get_mut(number) else { return };
        let old = std::mem::replace(&mut link.to, region);
        self.forget_incoming(old, number);
        self.incoming.entry(region).or_default().push(number);
        self.table.entries()[number as usize].store(code.address(), Ordering::Release);
    }

    /// Makes every link to `region` leave by the stub again.
    pub(crate) fn unlink_incoming(&mut self, region: RegionId) {
        for number in self.incoming.remove(&region).unwrap_or_default() {
            self.table.entries()[number as usize].store(self.stub.address(), Ordering::Release);
            if let Some((link, _)) = self.get_mut(number) {
                link.to = 0;
            }
        }
    }

    /// Unlinks the links from number `first` on for good; their numbers stay taken, and known, until [`Links::release`].
    pub(crate) fn retire_outgoing(&mut self, first: u32) {
        let Some(exits) = self.exits.get_mut(&first) else { return };
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
    fn numbers_are_given_out_again_only_after_release() {
        let mut links = Links::new(LinkTable::reserve(4).unwrap(), STUB);
        let first = links.allocate(3).unwrap();
        links.claim(first, &[key(0); 3]);
        assert_eq!(links.allocate(2), Err(OutOfLinks));
        links.retire_outgoing(first);
        links.set(first, 7, CodePtr::new(0x70));
        assert_eq!((links.word(first), links.target(first)), (STUB.address(), Some(key(0))));
        assert_eq!(links.allocate(3), Err(OutOfLinks));
        links.release(first, 3);
        assert_eq!(links.target(first), None);
        assert_eq!(links.allocate(3), Ok(first));
    }
}
