//! Depots: where threads leave batches of free objects for each other. One for each class and processor, one more for
//! each class and node behind them.

use super::lock::Locked;

/// How full a depot is: a stack, whose room lies elsewhere, so that it can be given back to the host while the depot is
/// empty. Zeroed memory is an empty one.
#[repr(C)]
pub(super) struct Level(u32);

/// A depot without its room.
pub(super) type Depot = Locked<Level>;

/// What a depot of one processor holds at most, if its objects are small.
pub(super) const NEAR: usize = 1024;
/// What the depot behind those holds at most, if its objects are small.
pub(super) const FAR: usize = 4096;

impl Level {
    #[cfg(all(test, loom))]
    pub(super) fn empty() -> Self {
        Level(0)
    }

    /// How many objects are here.
    pub(super) fn len(&self) -> usize {
        self.0 as usize
    }

    /// Puts as many of `items` on top as fit, the first ones; returns how many.
    pub(super) fn push(&mut self, room: &mut [u32], items: &[u32]) -> usize {
        let length = self.0 as usize;
        let count = room.len().saturating_sub(length).min(items.len());
        room[length..length + count].copy_from_slice(&items[..count]);
        self.0 += count as u32;
        count
    }

    /// Moves up to `out.len()` from the top into the beginning of `out`; returns how many.
    pub(super) fn pop(&mut self, room: &[u32], out: &mut [u32]) -> usize {
        let length = self.0 as usize;
        let count = length.min(out.len());
        out[..count].copy_from_slice(&room[length - count..length]);
        self.0 -= count as u32;
        count
    }
}

/// Models of what threads do to each other through a depot: `RUSTFLAGS="--cfg loom" cargo test --package tradux-mem
/// --no-default-features --features slab --lib models`.
#[cfg(all(test, loom))]
#[allow(unsafe_code)] // The content of an object.
mod models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;
    use crate::slab::sync::{AtomicU64, Ordering};

    /// A depot with room for four objects.
    struct Small {
        depot: Locked<(Level, [u32; 4])>,
        waits: AtomicU64,
    }

    impl Small {
        fn new() -> Arc<Small> {
            Arc::new(Small { depot: Locked::new((Level::empty(), [0; 4])), waits: AtomicU64::new(0) })
        }

        fn push(&self, items: &[u32]) -> usize {
            self.depot.with(&self.waits, |(level, room)| level.push(room, items))
        }

        fn pop(&self) -> Vec<u32> {
            let mut out = [0; 2];
            let got = self.depot.with(&self.waits, |(level, room)| level.pop(room, &mut out));
            out[..got].to_vec()
        }
    }

    /// Whatever two threads leave and take, each object is somewhere, once.
    #[test]
    fn no_object_is_lost_or_doubled() {
        loom::model(|| {
            let depot = Small::new();
            assert_eq!(depot.push(&[1, 2]), 2);
            let other = Arc::clone(&depot);
            let thread = thread::spawn(move || {
                let mut mine = other.pop();
                let left = other.push(&[3, 4]);
                mine.extend(&[3, 4][left..]);
                mine
            });
            let mut all = depot.pop();
            all.extend(depot.pop());
            all.extend(thread.join().unwrap());
            for _ in 0..2 {
                all.extend(depot.pop());
            }
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3, 4]);
        });
    }

    /// Objects that do not fit stay with the thread that wanted to leave them.
    #[test]
    fn a_full_depot_refuses_the_rest() {
        loom::model(|| {
            let depot = Small::new();
            let other = Arc::clone(&depot);
            let thread = thread::spawn(move || other.push(&[1, 2, 3]));
            let mine = depot.push(&[4, 5, 6]);
            assert_eq!(mine + thread.join().unwrap(), 4);
        });
    }

    /// What one thread did before it left an object is seen by the thread that takes it.
    #[test]
    fn taking_sees_what_was_done_before_leaving() {
        loom::model(|| {
            let depot = Small::new();
            let content = Arc::new(loom::cell::UnsafeCell::new(0));
            let (other, written) = (Arc::clone(&depot), Arc::clone(&content));
            let thread = thread::spawn(move || {
                // SAFETY: the object is this thread's until it is left; the model refuses accesses that race.
                written.with_mut(|content| unsafe { *content = 7 });
                other.push(&[1]);
            });
            if depot.pop() == [1] {
                // SAFETY: the object is this thread's now.
                content.with(|content| assert_eq!(unsafe { *content }, 7));
            }
            thread.join().unwrap();
        });
    }

    /// A thread that has to wait is counted once, and gets the lock.
    #[test]
    fn whoever_waits_gets_the_lock() {
        loom::model(|| {
            let depot = Small::new();
            let other = Arc::clone(&depot);
            let thread = thread::spawn(move || other.push(&[1]));
            assert_eq!(depot.push(&[2]), 1);
            assert_eq!(thread.join().unwrap(), 1);
            assert_eq!(depot.pop().len(), 2);
            assert!(depot.waits.load(Ordering::Relaxed) <= 1);
        });
    }
}
