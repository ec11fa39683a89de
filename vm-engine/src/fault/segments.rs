//! The index of generated code: which guest instruction a host address belongs to, readable from a signal handler.
//!
//! The index is an immutable sorted list of sorted lists behind an atomic pointer. Writers copy the outer list and the inner
//! one that changes, and swap the pointer; an old list is freed once no handler was reading when looked. Handlers take no
//! lock.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vm_core::GuestAddr;

use crate::packed;

/// A stretch of generated code.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Host address of its first byte.
    pub(crate) start: usize,
    /// Host address after its last byte.
    pub(crate) end: usize,
    /// Which code belongs to which guest instruction, by its offset in bytes from `start`.
    pub(crate) pcs: PcMap,
    /// Guest instructions that read, modify and write in one step, ascending. The host begins some by a plain read, but
    /// what the guest attempted is a write.
    pub(crate) atomics: Box<[GuestAddr]>,
    /// Offsets in bytes from `start` of code whose accesses are stepped over when they fault: the code sees by the frame that
    /// they were. Ascending.
    pub(crate) steps_over: Box<[Range<u32>]>,
    /// Host address of the stub that leaves generated code with [`ExitCode::Fault`](crate::frame::ExitCode::Fault),
    /// entered with the stack pointer that the frame's `entry_sp` holds.
    pub(crate) exit: usize,
}

impl Segment {
    /// The guest instruction that the host instruction at `pc` belongs to.
    pub(super) fn guest_pc(&self, pc: usize) -> Option<GuestAddr> {
        let offset = pc.checked_sub(self.start)?;
        self.pcs.find(offset)
    }

    /// Whether an access by the host instruction at `pc` is stepped over.
    pub(super) fn steps_over(&self, pc: usize) -> bool {
        let offset = (pc - self.start) as u32;
        let after = self.steps_over.partition_point(|range| range.start <= offset);
        self.steps_over[..after].last().is_some_and(|range| offset < range.end)
    }

    /// Whether the guest instruction at `pc` reads, modifies and writes in one step.
    pub(super) fn is_atomic(&self, pc: GuestAddr) -> bool {
        self.atomics.binary_search(&pc).is_ok()
    }
}

/// Offsets in bytes at which the code of a guest instruction begins, ascending, with the instruction's address. Code before
/// the first belongs to no guest instruction.
///
/// Kept for every region and read only where code faults, so it is packed: for each instruction the differences of offset
/// and address to the one before. The sign of an address's difference is its lowest bit.
#[derive(Debug)]
pub(crate) struct PcMap(Box<[u8]>);

impl PcMap {
    /// The map of these offsets and addresses.
    pub(crate) fn new(pcs: &[(u32, GuestAddr)]) -> Self {
        let mut bytes = Vec::with_capacity(2 * pcs.len() + 16);
        let (mut host, mut guest) = (0, GuestAddr::new(0));
        for &(offset, pc) in pcs {
            debug_assert!(offset >= host, "offsets ascend");
            let step = pc.offset_from(guest);
            packed::put(&mut bytes, u64::from(offset - host));
            packed::put(&mut bytes, (step << 1 ^ step >> 63) as u64);
            (host, guest) = (offset, pc);
        }
        Self(bytes.into())
    }

    /// The guest instruction that the code at `offset` belongs to.
    fn find(&self, offset: usize) -> Option<GuestAddr> {
        let mut rest = &*self.0;
        let (mut host, mut guest) = (0, GuestAddr::new(0));
        let mut found = None;
        while !rest.is_empty() {
            host += packed::take(&mut rest);
            if host > offset as u64 {
                break;
            }
            let step = packed::take(&mut rest);
            guest = guest.offset((step >> 1) as i64 ^ -((step & 1) as i64));
            found = Some(guest);
        }
        found
    }

    /// Bytes that it holds.
    fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

/// Segments in ascending order, in lists of which none is empty: to add one, a list of them is copied and not all.
#[derive(Clone, Default)]
struct Index {
    lists: Vec<Arc<Vec<Arc<Segment>>>>,
}

/// Segments in a list at most.
const LIST: usize = 256;

impl Index {
    /// The list that holds, or is to hold, what starts at `start`.
    fn list(&self, start: usize) -> usize {
        self.lists.partition_point(|list| list[0].start <= start).saturating_sub(1)
    }

    /// The segment that holds `pc`.
    fn find(&self, pc: usize) -> Option<&Segment> {
        let list = self.lists.get(self.list(pc))?;
        let at = list.partition_point(|segment| segment.end <= pc);
        list.get(at).map(|segment| &**segment).filter(|segment| segment.start <= pc)
    }

    fn insert(&mut self, segment: &Arc<Segment>) {
        let which = self.list(segment.start);
        let next = self.lists.get(which + 1).map(|list| list[0].start);
        let Some(list) = self.lists.get_mut(which) else {
            self.lists.push(Arc::new(vec![Arc::clone(segment)]));
            return;
        };
        let list = Arc::make_mut(list);
        let at = list.partition_point(|other| other.start < segment.start);
        let free = at.checked_sub(1).is_none_or(|before| list[before].end <= segment.start)
            && list.get(at).map(|after| after.start).or(next).is_none_or(|after| segment.end <= after);
        assert!(free, "code segments overlap: {segment:x?}");
        list.insert(at, Arc::clone(segment));
        if list.len() > LIST {
            let upper = list.split_off(LIST / 2);
            self.lists.insert(which + 1, Arc::new(upper));
        }
    }

    fn remove(&mut self, start: usize) {
        let which = self.list(start);
        let Some(list) = self.lists.get_mut(which) else { return };
        let list = Arc::make_mut(list);
        if let Ok(at) = list.binary_search_by_key(&start, |segment| segment.start) {
            list.remove(at);
        }
        if list.is_empty() {
            self.lists.remove(which);
        }
    }
}

/// The current index, null while there is none.
static INDEX: AtomicPtr<Index> = AtomicPtr::new(ptr::null_mut());
/// Handlers that may hold a pointer to an index.
static READERS: AtomicUsize = AtomicUsize::new(0);
/// Old indices that a handler may still read. Whoever holds the lock is the one writer.
static RETIRED: Mutex<Vec<Retired>> = Mutex::new(Vec::new());

/// An index that is no longer published.
struct Retired(*mut Index);

// SAFETY: the pointer owns its index, whose contents are Send and Sync.
unsafe impl Send for Retired {}

impl Drop for Retired {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` in `publish`; dropped once, where no reader can hold it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// A registered segment; dropping it takes the segment out of the index. The code must not run then.
#[derive(Debug)]
pub(crate) struct Registered(Arc<Segment>);

impl Registered {
    /// Bytes that are kept of it beside the segment itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Segment { pcs, atomics, steps_over, .. } = &*self.0;
        let lists = size_of_val(&**atomics) + size_of_val(&**steps_over);
        size_of::<Segment>() + size_of::<Arc<Segment>>() + pcs.heap_bytes() + lists
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        publish(|index| index.remove(self.0.start));
    }
}

/// Adds `segment` to the index: faults in its code are recognised from now on.
///
/// # Panics
/// If it overlaps a registered one.
pub(crate) fn register(segment: Segment) -> Registered {
    let segment = Arc::new(segment);
    publish(|index| index.insert(&segment));
    Registered(segment)
}

/// Publishes a changed copy of the index.
fn publish(change: impl FnOnce(&mut Index)) {
    let mut retired = RETIRED.lock().unwrap_or_else(PoisonError::into_inner);
    let current = INDEX.load(Ordering::Acquire);
    // SAFETY: only the holder of the lock retires an index, so the current one is alive.
    let mut index = unsafe { current.as_ref() }.cloned().unwrap_or_default();
    change(&mut index);
    let old = INDEX.swap(Box::into_raw(Box::new(index)), Ordering::SeqCst);
    if !old.is_null() {
        retired.push(Retired(old));
    }
    // A reader counts itself before it loads the pointer: if none is counted now, none can hold an old one.
    if READERS.load(Ordering::SeqCst) == 0 {
        retired.clear();
    }
}

/// Calls `use_segment` with the segment that holds the host address `pc`. For signal handlers: no lock, no allocation.
pub(super) fn with_segment<R>(pc: usize, use_segment: impl FnOnce(&Segment) -> Option<R>) -> Option<R> {
    READERS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: published indices are freed only when no reader is counted, and this one is.
    let index = unsafe { INDEX.load(Ordering::SeqCst).as_ref() };
    let result = index.and_then(|index| use_segment(index.find(pc)?));
    READERS.fetch_sub(1, Ordering::SeqCst);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: usize) -> Segment {
        let pcs = [(4, GuestAddr::new(0x1000)), (9, GuestAddr::new(0xff8))];
        Segment {
            start,
            end: start + 0x100,
            pcs: PcMap::new(&pcs),
            atomics: Box::default(),
            steps_over: Box::default(),
            exit: 0,
        }
    }

    #[test]
    fn a_packed_map_finds_what_was_put_there() {
        let addresses = [0x1000, 0x1002, 0x0ffe, u64::MAX - 1, 0, 1 << 63, (1 << 63) - 2, 0x1000, 0x7fff_ffff_f000];
        let offsets = [3, 4, 4, 0x80, 0x81, 0x4080, 0x20_0000, 0xffff_fff0, u32::MAX];
        let pcs: Vec<_> = offsets.into_iter().zip(addresses.map(GuestAddr::new)).collect();
        let map = PcMap::new(&pcs);
        for offset in offsets.iter().flat_map(|offset| [offset - 1, *offset, offset.saturating_add(1)]) {
            let expected = pcs.iter().rfind(|(start, _)| *start <= offset).map(|(_, pc)| *pc);
            assert_eq!(map.find(offset as usize), expected, "at {offset:#x}");
        }
        assert_eq!(PcMap::new(&[]).find(0), None);
        let near: Vec<_> = (0..100).map(|n| (5 * n, GuestAddr::new(0x1_0000 + 4 * u64::from(n)))).collect();
        assert!(PcMap::new(&near).heap_bytes() < 210);
    }

    /// Addresses that no code of this process has.
    const NOWHERE: usize = 0x7fff_ffff_0000_0000;

    #[test]
    fn host_addresses_find_their_instruction() {
        let found = |pc| with_segment(pc, |segment| segment.guest_pc(pc).map(GuestAddr::get));
        assert_eq!(found(NOWHERE + 4), None);
        let first = register(segment(NOWHERE));
        let second = register(segment(NOWHERE + 0x100));
        assert_eq!(found(NOWHERE + 3), None, "before the first entry");
        assert_eq!(found(NOWHERE + 4), Some(0x1000));
        assert_eq!(found(NOWHERE + 8), Some(0x1000));
        assert_eq!(found(NOWHERE + 0xff), Some(0xff8));
        assert_eq!(found(NOWHERE + 0x104), Some(0x1000));
        drop(first);
        assert_eq!(found(NOWHERE + 4), None);
        assert_eq!(found(NOWHERE + 0x104), Some(0x1000));
        drop(second);
        assert_eq!(found(NOWHERE + 0x104), None);
    }

    #[test]
    fn many_segments_in_any_order() {
        const COUNT: usize = 3000;
        let base = NOWHERE + 0x1000_0000;
        let at = |n: usize| base + n * 0x1000;
        let found = |n: usize| with_segment(at(n) + 9, |segment| segment.guest_pc(at(n) + 9)).is_some();
        // 7919 is a prime, so that every number comes once, scattered.
        let order = || (0..COUNT).map(|n| n * 7919 % COUNT);
        let mut registered: Vec<_> = order().map(|n| (n, register(segment(at(n))))).collect();
        assert!((0..COUNT).all(found));
        assert!(with_segment(at(5) + 0x100, |_| Some(())).is_none(), "between two segments");
        registered.retain(|(n, _)| n % 3 == 0);
        assert!((0..COUNT).all(|n| found(n) == (n % 3 == 0)));
        drop(registered);
        assert!(!(0..COUNT).any(found));
    }

    #[test]
    fn readers_and_writers_race() {
        const BASE: usize = NOWHERE + 0x10_0000;
        let steady = register(segment(BASE));
        std::thread::scope(|scope| {
            let writers: Vec<_> = (1..3)
                .map(|thread| {
                    scope.spawn(move || {
                        for round in 0..2000 {
                            drop(register(segment(BASE + thread * 0x10_0000 + round % 7 * 0x100)));
                        }
                    })
                })
                .collect();
            while !writers.iter().all(|writer| writer.is_finished()) {
                assert_eq!(with_segment(BASE + 9, |segment| segment.guest_pc(BASE + 9)), Some(GuestAddr::new(0xff8)));
            }
        });
        drop(steady);
    }
}
