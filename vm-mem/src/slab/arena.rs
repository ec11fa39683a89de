//! Arenas: reserved address space in which each class has a stretch of its own, cut into slabs, with all metadata
//! elsewhere.
//!
//! An address is told by shifting: `(address - base) >> reserve` is the class, `(address - base) >> 16` the slab record.
//! Within a class, nodes have equal parts. Objects are named by their offset in the class's stretch in units of 8 bytes,
//! which fits 32 bits.
//!
//! What is known about an object lies out of line and dense, so that thousands of objects at equal offsets of their
//! pages do not compete for the same lines of the cache:
//!
//! * Objects of 64 bytes and more have a byte each, 0 while free, else the tag of the thread that allocated it.
//! * Smaller ones, for which a byte would be 3 to 13 % of memory, carry a mark in their first word while they are free, and
//!   64 KiB of them have such a byte together, 0 while there is no slab.
//! * Each slab has a bitmap of the objects that are in no magazine and no depot and not allocated, and a record of 16
//!   bytes a granule.

use std::sync::atomic::{AtomicU8, Ordering};

use super::class::{GRANULE_SHIFT, MAX_CLASSES, Scheme, Shape, SizeClass};
use super::os::{self, HUGE, HugePages, Mapping, Use};

/// Where a slab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Place {
    /// It was never made, or it was given back by a trim. Zeroed memory says so.
    Fresh = 0,
    /// Some of its objects are here.
    Partial,
    /// All of its objects are elsewhere.
    Full,
    /// All of its objects are here, and its pages are kept.
    Empty,
    /// Its pages were given back to the host.
    Released,
}

/// What is known of one slab. Zeroed memory is a record.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Record {
    /// Neighbours in the list that the slab is in, as slab number + 1; 0 is none.
    next: u32,
    prev: u32,
    /// Objects here.
    free: u16,
    /// No word of the bitmap below this one has an object.
    hint: u8,
    place: Place,
    /// The node whose part of the arena it is in.
    node: u8,
    unused: [u8; 3],
}

/// The slabs of one class on one node. Zeroed memory has none.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Slabs that were ever made, or are behind a released one: numbers below this, counted from the shelf's first.
    frontier: u32,
    /// Slabs whose memory may be accessed.
    committed: u32,
    /// Heads of lists, as slab number + 1.
    partial: u32,
    empty: u32,
    released: u32,
    empties: u32,
    /// The fewest slabs that were empty at once since the last sweep.
    least: u32,
    /// Slabs that are not fresh and not released.
    pub(super) slabs: u32,
    /// Objects here.
    pub(super) free: u64,
    pub(super) created: u64,
    pub(super) destroyed: u64,
    /// 2 MiB pieces that the host did not back, or not place, as asked.
    pub(super) refused_pages: u64,
    pub(super) refused_nodes: u64,
    /// Objects that came back although they were here: something wrote to free memory.
    pub(super) damaged: u64,
}

/// Where everything lies. The maps are unmapped with it.
#[derive(Debug)]
pub(super) struct Arena {
    objects: Mapping,
    metadata: Mapping,
    /// Exponent of the bytes of each class's stretch.
    reserve: u32,
    classes: usize,
    nodes: usize,
    /// Bytes of each node's part of a class's stretch.
    part: usize,
    owners: usize,
    records: usize,
    states: [usize; MAX_CLASSES],
    bitmaps: [usize; MAX_CLASSES],
    shapes: [Shape; MAX_CLASSES],
    pages: HugePages,
    secret: u64,
}

/// The bytes that `count` things of `size` take, to a page.
fn pages(count: usize, size: usize) -> usize {
    (count * size).next_multiple_of(4096)
}

impl Arena {
    /// The least and the most that a class may reserve, as exponents: 64 MiB, and the 32 GiB that 32 bits of 8 bytes name.
    pub(super) const LEAST: u32 = 26;
    pub(super) const MOST: u32 = 35;

    /// Reserves `1 << reserve` bytes for each class, or half of that, and so on, until the host agrees.
    pub(super) fn new(scheme: Scheme, reserve: u32, nodes: usize, pages: HugePages) -> Option<Arena> {
        let wanted = reserve.clamp(Self::LEAST, Self::MOST);
        (Self::LEAST..=wanted).rev().find_map(|reserve| Self::with_reserve(scheme, reserve, nodes, pages))
    }

    fn with_reserve(scheme: Scheme, reserve: u32, nodes: usize, huge: HugePages) -> Option<Arena> {
        let classes = scheme.classes();
        let objects = Mapping::new(classes.len() << reserve, HUGE, Use::Reserved)?;
        let granules = objects.length() >> GRANULE_SHIFT;
        let mut shapes = [Shape::of(SizeClass::POWERS_OF_TWO[0]); MAX_CLASSES];
        let (mut states, mut bitmaps) = ([0; MAX_CLASSES], [0; MAX_CLASSES]);
        // Offsets first; addresses when the length is known.
        let owners = 0;
        let records = owners + pages(granules, 1);
        let mut length = records + pages(granules, size_of::<Record>());
        for (number, &class) in classes.iter().enumerate() {
            let shape = Shape::of(class);
            shapes[number] = shape;
            states[number] = match shape.marked {
                true => owners + (number << reserve >> GRANULE_SHIFT),
                false => {
                    let at = length;
                    length += pages(1 << (reserve - shape.shift), 1);
                    at
                }
            };
            bitmaps[number] = length;
            length += pages((1 << reserve) / shape.slab as usize, 8 * shape.words as usize);
        }
        let metadata = Mapping::new(length, 4096, Use::Written)?;
        let at = metadata.address();
        for number in 0..classes.len() {
            states[number] += at;
            bitmaps[number] += at;
        }
        let part = ((1 << reserve) / nodes) & !(HUGE - 1);
        Some(Arena {
            objects,
            metadata,
            reserve,
            classes: classes.len(),
            nodes,
            part,
            owners: at + owners,
            records: at + records,
            states,
            bitmaps,
            shapes,
            pages: huge,
            secret: os::secret(),
        })
    }

    /// The first address of a class's stretch.
    pub(super) fn base(&self, class: usize) -> usize {
        self.objects.address() + (class << self.reserve)
    }

    /// Exponent of the bytes of a class's stretch.
    pub(super) fn reserve(&self) -> u32 {
        self.reserve
    }

    pub(super) fn shape(&self, class: usize) -> &Shape {
        &self.shapes[class]
    }

    pub(super) fn secret(&self) -> u64 {
        self.secret
    }

    /// Where the bytes begin that tell about a class's addresses.
    pub(super) fn states(&self, class: usize) -> *mut u8 {
        self.states[class] as *mut u8
    }

    /// The class whose stretch an address is in.
    pub(super) fn class_at(&self, address: usize) -> Option<usize> {
        let class = address.checked_sub(self.objects.address())? >> self.reserve;
        (class < self.classes).then_some(class)
    }

    /// The node that an object of any class belongs to.
    pub(super) fn node_of(&self, item: u32) -> usize {
        match self.nodes {
            1 => 0,
            nodes => ((item as usize * 8) / self.part).min(nodes - 1),
        }
    }

    /// Number of a shelf's first slab and how many it can have.
    fn range(&self, class: usize, node: usize) -> (u32, u32) {
        let count = (self.part / self.shapes[class].slab as usize) as u32;
        (node as u32 * count, count)
    }

    fn slab_address(&self, class: usize, slab: u32) -> usize {
        self.base(class) + slab as usize * self.shapes[class].slab as usize
    }

    /// The record of a slab. Only the holder of its shelf's lock may ask.
    #[expect(clippy::mut_from_ref, reason = "records are memory of their own, guarded by the shelf's lock")]
    fn record(&self, class: usize, slab: u32) -> &mut Record {
        let granule = (self.slab_address(class, slab) - self.objects.address()) >> GRANULE_SHIFT;
        // SAFETY:
        // - memory: slab numbers stem from `range` or from an object that passed `class_at`, so the record lies in the
        //   metadata, and zeroed memory is a record;
        // - aliasing: the shelf's lock is held, and no caller keeps two records at once.
        unsafe { &mut *(self.records as *mut Record).add(granule) }
    }

    /// The bitmap of a slab. Only the holder of its shelf's lock may ask.
    #[expect(clippy::mut_from_ref, reason = "bitmaps are memory of their own, guarded by the shelf's lock")]
    fn bitmap(&self, class: usize, slab: u32) -> &mut [u64] {
        let words = self.shapes[class].words as usize;
        // SAFETY: as for `record`; bitmaps of different slabs do not overlap, and one is asked for at a time.
        unsafe { std::slice::from_raw_parts_mut((self.bitmaps[class] as *mut u64).add(slab as usize * words), words) }
    }

    fn set_owner(&self, class: usize, slab: u32, tag: u8) {
        let first = (self.slab_address(class, slab) - self.objects.address()) >> GRANULE_SHIFT;
        for granule in first..first + (self.shapes[class].slab >> GRANULE_SHIFT) as usize {
            // SAFETY: the byte lies in the metadata; it is only ever accessed atomically.
            unsafe { AtomicU8::from_ptr((self.owners as *mut u8).add(granule)) }.store(tag, Ordering::Release);
        }
    }

    fn list(shelf: &mut Shelf, place: Place) -> &mut u32 {
        match place {
            Place::Partial => &mut shelf.partial,
            Place::Empty => &mut shelf.empty,
            Place::Released => &mut shelf.released,
            Place::Fresh | Place::Full => unreachable!("such slabs are in no list"),
        }
    }

    /// Moves a slab from the list of its place to another place's.
    fn put(&self, class: usize, shelf: &mut Shelf, slab: u32, place: Place) {
        let Record { next, prev, place: from, .. } = *self.record(class, slab);
        if matches!(from, Place::Partial | Place::Empty | Place::Released) {
            match prev {
                0 => *Self::list(shelf, from) = next,
                prev => self.record(class, prev - 1).next = next,
            }
            if next != 0 {
                self.record(class, next - 1).prev = prev;
            }
            shelf.empties -= u32::from(from == Place::Empty);
            shelf.least = shelf.least.min(shelf.empties);
        }
        let mut head = 0;
        if matches!(place, Place::Partial | Place::Empty | Place::Released) {
            head = std::mem::replace(Self::list(shelf, place), slab + 1);
            if head != 0 {
                self.record(class, head - 1).prev = slab + 1;
            }
            shelf.empties += u32::from(place == Place::Empty);
        }
        let record = self.record(class, slab);
        (record.next, record.prev, record.place) = (head, 0, place);
    }

    /// Fills `out` with objects from the slabs of a shelf as far as there are any; returns how many. A slab that is made
    /// for this is owned by the thread with this tag.
    pub(super) fn take(&self, class: usize, node: usize, shelf: &mut Shelf, tag: u8, out: &mut [u32]) -> usize {
        let shape = self.shapes[class];
        let mut got = 0;
        while got < out.len() {
            let slab = match (shelf.partial, shelf.empty) {
                (0, 0) => match self.make(class, node, shelf) {
                    Some(slab) => slab,
                    None => break,
                },
                (0, empty) => empty - 1,
                (partial, _) => partial - 1,
            };
            if self.record(class, slab).place == Place::Empty {
                self.set_owner(class, slab, tag);
                self.put(class, shelf, slab, Place::Partial);
            }
            let first = slab * (shape.slab >> 3);
            let Record { mut free, hint, .. } = *self.record(class, slab);
            let before = free;
            let mut word = usize::from(hint);
            let bitmap = self.bitmap(class, slab);
            while free != 0 && got < out.len() {
                let mut bits = bitmap[word];
                while bits != 0 && got < out.len() {
                    let number = word as u32 * 64 + bits.trailing_zeros();
                    bits &= bits - 1;
                    out[got] = first + ((number * shape.size) >> 3);
                    got += 1;
                    free -= 1;
                }
                bitmap[word] = bits;
                if bits == 0 {
                    word += 1;
                }
            }
            let record = self.record(class, slab);
            (record.free, record.hint) = (free, word as u8);
            shelf.free -= u64::from(before - free);
            if free == 0 {
                self.put(class, shelf, slab, Place::Full);
            }
        }
        // A magazine gives from its end: ascending addresses are what caches expect.
        out[..got].reverse();
        got
    }

    /// Puts objects of one shelf back into their slabs.
    pub(super) fn give(&self, class: usize, shelf: &mut Shelf, items: &[u32]) {
        let shape = self.shapes[class];
        let slab_shift = shape.slab.trailing_zeros() - 3;
        for &item in items {
            let slab = item >> slab_shift;
            let number = shape.number((item << 3) & (shape.slab - 1)) as usize;
            let (word, bit) = (number / 64, 1u64 << (number % 64));
            let bits = &mut self.bitmap(class, slab)[word];
            if *bits & bit != 0 {
                shelf.damaged += 1;
                continue;
            }
            *bits |= bit;
            shelf.free += 1;
            let record = self.record(class, slab);
            record.free += 1;
            record.hint = record.hint.min(word as u8);
            let (free, place) = (u32::from(record.free), record.place);
            if free == shape.count {
                self.put(class, shelf, slab, Place::Empty);
            } else if place == Place::Full {
                self.put(class, shelf, slab, Place::Partial);
            }
        }
    }

    /// Gives pages of empty slabs back to the host, down to what is to be kept, if there are twice as many: a program that
    /// frees and allocates again does not pay for it each time. With `unused`, only those that the shelf did without since
    /// the last such call.
    pub(super) fn sweep(&self, class: usize, shelf: &mut Shelf, retain: u32, unused: bool) {
        let keep = retain.max(shelf.slabs / 8);
        if shelf.empties > 2 * keep {
            let needed = if unused { shelf.empties - shelf.least } else { 0 };
            self.shrink(class, shelf, keep.max(needed));
        }
        shelf.least = shelf.empties;
    }

    /// Gives pages of empty slabs back until so many are left; returns the bytes.
    fn shrink(&self, class: usize, shelf: &mut Shelf, keep: u32) -> usize {
        let slab_size = self.shapes[class].slab as usize;
        let mut bytes = 0;
        while shelf.empties > keep {
            let slab = shelf.empty - 1;
            self.set_owner(class, slab, 0);
            // SAFETY: all objects of the slab are in its bitmap, so nobody uses its memory.
            if !unsafe { os::release(self.slab_address(class, slab), slab_size) } {
                // It stays, and the next one would as well.
                self.set_owner(class, slab, 1);
                break;
            }
            self.put(class, shelf, slab, Place::Released);
            shelf.free -= u64::from(self.shapes[class].count);
            shelf.slabs -= 1;
            shelf.destroyed += 1;
            bytes += slab_size;
        }
        bytes
    }

    /// Makes an empty slab: of one whose pages were given back, else of new memory.
    fn make(&self, class: usize, node: usize, shelf: &mut Shelf) -> Option<u32> {
        let shape = self.shapes[class];
        let (first, count) = self.range(class, node);
        let slab = match shelf.released {
            0 if shelf.frontier == count => return None,
            0 => {
                if shelf.frontier == shelf.committed {
                    self.commit(class, node, shelf, first)?;
                }
                shelf.frontier += 1;
                first + shelf.frontier - 1
            }
            released => released - 1,
        };
        if shape.marked {
            self.mark(class, slab);
        }
        let bitmap = self.bitmap(class, slab);
        bitmap.fill(u64::MAX);
        if !shape.count.is_multiple_of(64) {
            bitmap[shape.words as usize - 1] = (1 << (shape.count % 64)) - 1;
        }
        self.put(class, shelf, slab, Place::Empty);
        let record = self.record(class, slab);
        (record.free, record.hint, record.node) = (shape.count as u16, 0, node as u8);
        shelf.free += u64::from(shape.count);
        shelf.slabs += 1;
        shelf.created += 1;
        Some(slab)
    }

    /// Makes the next 2 MiB of a shelf accessible.
    fn commit(&self, class: usize, node: usize, shelf: &mut Shelf, first: u32) -> Option<()> {
        let address = self.slab_address(class, first + shelf.committed);
        // SAFETY: parts of nodes are multiples of 2 MiB and are committed from their beginning, so the range lies in the
        // reservation behind everything in use.
        let as_asked = unsafe { os::commit(address, HUGE, self.pages) }?;
        shelf.refused_pages += u64::from(!as_asked);
        if self.nodes > 1 {
            shelf.refused_nodes += u64::from(!os::prefer_node(address, HUGE, node));
        }
        shelf.committed += (HUGE / self.shapes[class].slab as usize) as u32;
        Some(())
    }

    /// Writes the mark of a free object into all objects of a slab.
    fn mark(&self, class: usize, slab: u32) {
        let shape = self.shapes[class];
        let start = self.slab_address(class, slab);
        // What is left over behind the last object is marked as well, so that it is refused like a free object.
        for offset in (0..shape.slab).step_by(shape.size as usize) {
            let address = start + offset as usize;
            // SAFETY: the slab is committed, nobody else knows its objects, and sizes are multiples of 8 bytes.
            unsafe { (address as *mut u64).write(self.secret ^ address as u64) };
        }
    }

    /// Gives back whatever is not needed: pages of empty slabs, and metadata of slabs without pages. Returns the bytes of
    /// slabs.
    pub(super) fn trim(&self, class: usize, node: usize, shelf: &mut Shelf) -> usize {
        let shape = self.shapes[class];
        let mut bytes = self.shrink(class, shelf, 0);
        let (first, _) = self.range(class, node);
        // Explicit huge pages go back only as wholes, from the end.
        let per_piece = (HUGE / shape.slab as usize) as u32;
        while shelf.empties > 0 && shelf.frontier > 0 {
            let piece = (shelf.frontier - 1) / per_piece * per_piece;
            let all = (piece..shelf.frontier)
                .all(|slab| matches!(self.record(class, first + slab).place, Place::Empty | Place::Released));
            // SAFETY: all objects of the piece's slabs are in their bitmaps, so nobody uses its memory.
            if !all || !unsafe { os::release(self.slab_address(class, first + piece), HUGE) } {
                break;
            }
            for slab in first + piece..first + shelf.frontier {
                if self.record(class, slab).place == Place::Empty {
                    self.set_owner(class, slab, 0);
                    self.put(class, shelf, slab, Place::Released);
                    shelf.free -= u64::from(shape.count);
                    shelf.slabs -= 1;
                    shelf.destroyed += 1;
                    bytes += shape.slab as usize;
                }
                self.put(class, shelf, slab, Place::Fresh);
            }
            shelf.frontier = piece;
        }
        while shelf.frontier > 0 && self.record(class, first + shelf.frontier - 1).place == Place::Released {
            shelf.frontier -= 1;
            self.put(class, shelf, first + shelf.frontier, Place::Fresh);
        }
        self.drop_metadata(class, node, shelf);
        bytes
    }

    /// Gives back pages of metadata that tell only about slabs without pages of their own.
    fn drop_metadata(&self, class: usize, node: usize, shelf: &Shelf) {
        let (first, _) = self.range(class, node);
        let mut start = 0;
        for slab in 0..=shelf.committed {
            let unused = slab < shelf.committed
                && matches!(self.record(class, first + slab).place, Place::Fresh | Place::Released);
            if unused {
                continue;
            }
            if start < slab {
                self.drop_run(class, first + start, first + slab, start >= shelf.frontier, slab == shelf.committed);
            }
            start = slab + 1;
        }
    }

    /// Gives back the metadata of slabs `from..to`, with their records if those are fresh. Behind the last slabs there is
    /// nothing that a page could be shared with, unless it is the part of another node.
    fn drop_run(&self, class: usize, from: u32, to: u32, fresh: bool, last: bool) {
        let shape = self.shapes[class];
        let slab = shape.slab as usize;
        let bitmap = 8 * shape.words as usize;
        let granules = slab >> GRANULE_SHIFT;
        let stretch = class << self.reserve >> GRANULE_SHIFT;
        let mut kinds = [(self.bitmaps[class], bitmap), (0, 0), (0, 0), (0, 0)];
        if !shape.marked {
            kinds[1] = (self.states[class], slab >> shape.shift);
        }
        if fresh {
            kinds[2] = (self.records + stretch * size_of::<Record>(), granules * size_of::<Record>());
            kinds[3] = (self.owners + stretch, granules);
        }
        for (at, each) in kinds {
            let start = (at + from as usize * each).next_multiple_of(4096);
            let end = at + to as usize * each;
            let alone = self.nodes == 1 && (1usize << self.reserve >> GRANULE_SHIFT).is_multiple_of(4096);
            let end = if last && alone { end.next_multiple_of(4096) } else { end & !4095 };
            if start < end {
                // SAFETY: the pages hold only bytes of these slabs. None has objects outside of its bitmap, so their bytes
                // are zeros; bitmaps are written anew when a slab is made; records of fresh slabs mean what zeros mean.
                unsafe { os::release(start, end - start) };
            }
        }
    }

    /// The slab that an address is in: its number, place, free objects and node.
    pub(super) fn look(&self, class: usize, address: usize) -> (usize, Place, usize, usize) {
        let slab = ((address - self.base(class)) / self.shapes[class].slab as usize) as u32;
        let record = self.record(class, slab);
        (self.slab_address(class, slab), record.place, usize::from(record.free), usize::from(record.node))
    }

    /// Bytes of metadata for each slab of a class: record, owner, bitmap, and a byte for each object of 64 bytes or more.
    pub(super) fn metadata_per_slab(class: SizeClass) -> usize {
        let shape = Shape::of(class);
        let granules = class.slab_size() >> GRANULE_SHIFT;
        let states = if shape.marked { 0 } else { class.slab_size() >> shape.shift };
        granules * (size_of::<Record>() + 1) + 8 * shape.words as usize + states
    }

    /// Bytes of address space in use.
    pub(super) fn reserved_bytes(&self) -> usize {
        self.objects.length() + self.metadata.length()
    }
}
