//! Values of one type, named by small handles.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use super::SlabError;
use super::os::{self, HUGE, HugePages, Mapping, Use};

/// Bytes of address space that a pool asks for first, and those that it is content with.
const MOST: usize = 32 << 30;
const LEAST: usize = 64 << 20;

/// No slot.
const NONE: u32 = u32::MAX;

/// Names a value of a [`SlabPool`]: four bytes, also in an `Option`.
///
/// A handle stays good until its value is removed, and is then refused until its place is taken by another value, which it
/// names from then on. A handle of another pool is not told apart.
pub struct Handle<T> {
    /// The slot's number plus one.
    number: NonZeroU32,
    what: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    fn new(slot: u32) -> Handle<T> {
        Handle { number: NonZeroU32::MIN.saturating_add(slot), what: PhantomData }
    }

    /// The number of its slot: small, and dense as long as the pool was never much fuller than it is.
    #[inline]
    #[must_use]
    pub fn slot(self) -> u32 {
        self.number.get() - 1
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Handle<T> {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Handle<T>) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Handle<T> {}

impl<T> Hash for Handle<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.slot())
    }
}

/// A value, or the number of the next slot without one.
union Slot<T> {
    next: u32,
    value: ManuallyDrop<T>,
}

/// Values of one type. They do not move while they are in the pool.
///
/// Whether a slot holds a value is known by a bit beside the slots, so a handle whose value was removed is refused. Slots
/// have the size of `T`, at least 4 bytes. Memory grows by 2 MiB at a time, of which pages are used one by one, up to 32
/// GiB, and goes back to the host by [`clear`](SlabPool::clear) and when the pool is dropped.
pub struct SlabPool<T> {
    slots: *mut Slot<T>,
    live: *mut u64,
    /// The first slot of the list of those that held a value.
    vacant: u32,
    /// Slots that ever held a value: all below this.
    made: u32,
    /// Slots whose memory may be accessed.
    committed: u32,
    /// Slots for which address space is reserved.
    limit: u32,
    length: u32,
    memory: Mapping,
    bits: Mapping,
    what: PhantomData<T>,
}

// SAFETY: the pool owns its values and is changed only through exclusive references.
unsafe impl<T: Send> Send for SlabPool<T> {}
// SAFETY: shared references only give shared references to values.
unsafe impl<T: Sync> Sync for SlabPool<T> {}

impl<T> SlabPool<T> {
    /// An empty pool.
    ///
    /// # Errors
    /// [`SlabError::OutOfMemory`] if the host has no address space for it, [`SlabError::TooLarge`] if a value is larger than
    /// 1 MiB or aligned to more.
    pub fn new() -> Result<SlabPool<T>, SlabError> {
        let size = size_of::<Slot<T>>();
        if size > HUGE / 2 || align_of::<Slot<T>>() > HUGE / 2 {
            return Err(SlabError::TooLarge { size, align: align_of::<Slot<T>>() });
        }
        // Slots numbered below `NONE`, and no more bytes than they take.
        let most = MOST.min((size * (NONE as usize - 1)) & !(HUGE - 1)).max(HUGE);
        let mut bytes = most;
        let (memory, bits) = loop {
            let bits = (bytes / size).div_ceil(64) * 8;
            let made = Mapping::new(bytes, HUGE, Use::Reserved)
                .and_then(|memory| Some((memory, Mapping::new(bits.next_multiple_of(4096), 4096, Use::Written)?)));
            match made {
                Some(made) => break made,
                None if bytes / 2 < LEAST => return Err(SlabError::OutOfMemory { size: 0 }),
                None => bytes = (bytes / 2) & !(HUGE - 1),
            }
        };
        Ok(SlabPool {
            slots: memory.address() as *mut Slot<T>,
            live: bits.address() as *mut u64,
            vacant: NONE,
            made: 0,
            committed: 0,
            limit: (bytes / size).min(NONE as usize - 1) as u32,
            length: 0,
            memory,
            bits,
            what: PhantomData,
        })
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a value; returns its handle.
    ///
    /// # Errors
    /// [`SlabError::OutOfMemory`]; the value is dropped.
    #[inline]
    pub fn insert(&mut self, value: T) -> Result<Handle<T>, SlabError> {
        let slot = match self.vacant {
            NONE => self.more()?,
            slot => {
                // SAFETY: vacant slots are below `made` and hold the number of the next one.
                self.vacant = unsafe { (*self.slots.add(slot as usize)).next };
                slot
            }
        };
        // SAFETY: the slot is committed and holds no value.
        unsafe { (&raw mut (*self.slots.add(slot as usize)).value).write(ManuallyDrop::new(value)) };
        *self.word(slot) |= 1 << (slot % 64);
        self.length += 1;
        Ok(Handle::new(slot))
    }

    /// Takes a value out. `None` if the handle's value was removed already.
    #[inline]
    pub fn remove(&mut self, handle: Handle<T>) -> Option<T> {
        let slot = handle.slot();
        if !self.is_live(slot) {
            return None;
        }
        *self.word(slot) &= !(1 << (slot % 64));
        self.length -= 1;
        let place = self.slots.wrapping_add(slot as usize);
        // SAFETY: the slot held a value until its bit was cleared just now, and then holds a number.
        let value = unsafe {
            let value = (&raw const (*place).value).read();
            (&raw mut (*place).next).write(self.vacant);
            value
        };
        self.vacant = slot;
        Some(ManuallyDrop::into_inner(value))
    }

    /// The value of a handle; `None` if it was removed.
    #[inline]
    #[must_use]
    pub fn get(&self, handle: Handle<T>) -> Option<&T> {
        // SAFETY: a live slot holds a value, which lives as long as nobody has the pool exclusively.
        self.is_live(handle.slot()).then(|| unsafe { &*(*self.slots.add(handle.slot() as usize)).value })
    }

    /// The value of a handle, to be changed; `None` if it was removed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, handle: Handle<T>) -> Option<&mut T> {
        // SAFETY: a live slot holds a value, and the pool is borrowed exclusively.
        self.is_live(handle.slot()).then(|| unsafe { &mut *(*self.slots.add(handle.slot() as usize)).value })
    }

    /// All values with their handles, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (Handle<T>, &T)> {
        (0..self.made).filter_map(|slot| {
            let handle = Handle::new(slot);
            self.get(handle).map(|value| (handle, value))
        })
    }

    /// Drops all values and gives their memory back to the host.
    pub fn clear(&mut self) {
        let made = std::mem::take(&mut self.made);
        (self.vacant, self.length) = (NONE, 0);
        if std::mem::needs_drop::<T>() {
            for slot in 0..made {
                let (word, bit) = (self.word(slot), 1 << (slot % 64));
                if *word & bit != 0 {
                    *word &= !bit;
                    // SAFETY: the bit said that the slot holds a value; nothing leads to it any more.
                    unsafe { ManuallyDrop::drop(&mut (*self.slots.add(slot as usize)).value) };
                }
            }
        }
        let bytes = (made as usize * size_of::<Slot<T>>()).next_multiple_of(4096);
        // SAFETY: no slot holds a value any more, and bits of slots without values are zeros.
        let gone = unsafe {
            os::release(self.memory.address(), bytes)
                && os::release(self.bits.address(), (made as usize).div_ceil(8).next_multiple_of(4096))
        };
        if !gone {
            (0..made.div_ceil(64)).for_each(|word| *self.word(word * 64) = 0);
        }
    }

    #[inline]
    fn is_live(&self, slot: u32) -> bool {
        // SAFETY: there are bits for all slots below `limit`, and `made` is at most that.
        slot < self.made && unsafe { *self.live.add(slot as usize / 64) } >> (slot % 64) & 1 != 0
    }

    #[inline]
    fn word(&mut self, slot: u32) -> &mut u64 {
        debug_assert!(slot < self.limit);
        // SAFETY: there are bits for all slots below `limit`, and slots that are asked about are below `made` or were.
        unsafe { &mut *self.live.add(slot as usize / 64) }
    }

    /// A slot that never held a value.
    #[cold]
    fn more(&mut self) -> Result<u32, SlabError> {
        if self.made == self.committed {
            let size = size_of::<Slot<T>>();
            let end = (self.committed as usize * size).next_multiple_of(HUGE);
            // The last piece before this one may end within a slot, which counts as not committed.
            let start = if self.committed == 0 { 0 } else { end };
            let refused = Err(SlabError::OutOfMemory { size });
            if self.made == self.limit || start + HUGE > self.memory.length() {
                return refused;
            }
            // SAFETY: the piece lies in the reservation, behind all that is committed.
            if unsafe { os::commit(self.memory.address() + start, HUGE, HugePages::Default) }.is_none() {
                return refused;
            }
            self.committed = ((start + HUGE) / size).min(self.limit as usize) as u32;
        }
        self.made += 1;
        Ok(self.made - 1)
    }
}

impl<T> Drop for SlabPool<T> {
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() {
            self.clear();
        }
    }
}

impl<T> Index<Handle<T>> for SlabPool<T> {
    type Output = T;

    /// # Panics
    /// If the value was removed.
    #[inline]
    fn index(&self, handle: Handle<T>) -> &T {
        self.get(handle).expect("the handle's value was removed")
    }
}

impl<T> IndexMut<Handle<T>> for SlabPool<T> {
    /// # Panics
    /// If the value was removed.
    #[inline]
    fn index_mut(&mut self, handle: Handle<T>) -> &mut T {
        self.get_mut(handle).expect("the handle's value was removed")
    }
}

impl<T: fmt::Debug> fmt::Debug for SlabPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn removed_values_are_refused_until_their_place_is_taken() {
        let mut pool = SlabPool::new().unwrap();
        let (a, b) = (pool.insert("a").unwrap(), pool.insert("b").unwrap());
        assert_eq!((pool.remove(a), pool.remove(a), pool.get(a)), (Some("a"), None, None));
        assert_eq!((pool[b], pool.len()), ("b", 1));
        let c = pool.insert("c").unwrap();
        assert_eq!((c, pool[a]), (a, "c"));
        assert_eq!(pool.get(Handle::new(7)), None);
        assert_eq!(pool.get(Handle::new(NONE - 1)), None);
    }

    #[test]
    fn values_are_dropped_once() {
        let value = Rc::new(());
        let mut pool = SlabPool::new().unwrap();
        let handles: Vec<_> = (0..1000).map(|_| pool.insert(Rc::clone(&value)).unwrap()).collect();
        handles.iter().step_by(2).for_each(|&handle| drop(pool.remove(handle)));
        assert_eq!(Rc::strong_count(&value), 501);
        pool.clear();
        assert_eq!((Rc::strong_count(&value), pool.len(), pool.iter().count()), (1, 0, 0));
        let again = pool.insert(Rc::clone(&value)).unwrap();
        assert_eq!(again.slot(), 0);
        drop(pool);
        assert_eq!(Rc::strong_count(&value), 1);
    }

    #[test]
    fn sizes_that_do_not_divide_a_piece() {
        let mut pool = SlabPool::new().unwrap();
        let handles: Vec<_> = (0..50_000u32).map(|n| pool.insert([n; 25]).unwrap()).collect();
        for (n, &handle) in handles.iter().enumerate() {
            assert_eq!(pool[handle], [n as u32; 25]);
        }
        assert!(pool.iter().all(|(handle, value)| value[24] == handle.slot()));
    }

    #[test]
    fn values_of_no_size_and_large_ones() {
        let mut pool = SlabPool::new().unwrap();
        let unit = pool.insert(()).unwrap();
        assert_eq!((pool.remove(unit), pool.remove(unit)), (Some(()), None));
        assert!(matches!(SlabPool::<[u8; 2 << 20]>::new(), Err(SlabError::TooLarge { .. })));
    }
}
