//! [`ForkableHeap`]: the C library's allocator, out of which all threads can be kept for a moment.
//!
//! The C library's `fork` takes the locks of its allocator, so that the child finds them free. There is no other way to
//! take them, and that function knows no flags. A process that copies itself by a system call of its own therefore waits
//! until no other thread is in the allocator, and lets none in until the copy is made.
//!
//! A thread says that it is inside by a plain store to a word of its own; whoever forks makes all processors of the
//! process see each other's stores (`membarrier(2)`), so that allocating costs no atomic operation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};
use std::thread;
use std::time::Duration;

/// The system's allocator, for programs in which guests run: as their `#[global_allocator]` it makes `clone` without
/// `CLONE_VM` and with flags that `fork` has not safe in guests with several threads.
///
/// ```
/// #[global_allocator]
/// static HEAP: vm_linux::ForkableHeap = vm_linux::ForkableHeap;
/// ```
///
/// What the C library allocates for itself is not seen. Without this allocator the child of such a call may find a lock of
/// the allocator taken for good, if another thread was allocating.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForkableHeap;

/// A thread's word, alone on its line: 1 while it is in the allocator.
#[repr(align(64))]
struct Place(AtomicU32);

/// Most threads with a word of their own. Those beyond count themselves together, by atomic additions.
const PLACES: usize = 1024;

static INSIDE: [Place; PLACES] = [const { Place(AtomicU32::new(0)) }; PLACES];
static OTHERS_INSIDE: AtomicU32 = AtomicU32::new(0);
/// Which places belong to a thread, a bit each.
static TAKEN: [AtomicU64; PLACES / 64] = [const { AtomicU64::new(0) }; PLACES / 64];
/// 1 while one thread keeps all others out.
static HELD: AtomicU32 = AtomicU32::new(0);

/// In place of a place: the thread has asked for none yet, or has to do without.
const UNKNOWN: u32 = u32::MAX;
const NONE: u32 = u32::MAX - 1;

thread_local! {
    // Constant at first and without destructors, so that they can be used whenever there is something to allocate.
    static PLACE: Cell<u32> = const { Cell::new(UNKNOWN) };
    /// Whether it is this thread that keeps the others out.
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

/// Gives the calling thread a place, if there is one.
#[cold]
fn take_place() -> u32 {
    for (index, word) in TAKEN.iter().enumerate() {
        let mut taken = word.load(Ordering::Relaxed);
        while taken != u64::MAX {
            let bit = taken.trailing_ones();
            taken = word.fetch_or(1 << bit, Ordering::AcqRel);
            if taken & 1 << bit == 0 {
                return index as u32 * 64 + bit;
            }
        }
    }
    NONE
}

/// Gives a thread's place to others when dropped, at the end of the thread.
pub(crate) struct GivePlaceBack;

impl Drop for GivePlaceBack {
    fn drop(&mut self) {
        let place = PLACE.replace(NONE);
        if let Some(word) = TAKEN.get(place as usize / 64) {
            word.fetch_and(!(1 << (place % 64)), Ordering::Release);
        }
    }
}

/// Calls the C library's allocator, when nobody keeps this thread out.
#[inline]
fn inside<T>(call: impl FnOnce() -> T) -> T {
    let mut place = PLACE.get();
    if place == UNKNOWN {
        place = take_place();
        PLACE.set(place);
    }
    let Some(Place(word)) = INSIDE.get(place as usize) else { return inside_with_others(call) };
    word.store(1, Ordering::Relaxed);
    // The holder's barrier orders the store before the load.
    compiler_fence(Ordering::SeqCst);
    while HELD.load(Ordering::Relaxed) != 0 && !HOLDS.get() {
        word.store(0, Ordering::Release);
        wait_outside();
        word.store(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }
    let result = call();
    word.store(0, Ordering::Release);
    result
}

#[cold]
fn inside_with_others<T>(call: impl FnOnce() -> T) -> T {
    OTHERS_INSIDE.fetch_add(1, Ordering::SeqCst);
    while HELD.load(Ordering::SeqCst) != 0 && !HOLDS.get() {
        OTHERS_INSIDE.fetch_sub(1, Ordering::Release);
        wait_outside();
        OTHERS_INSIDE.fetch_add(1, Ordering::SeqCst);
    }
    let result = call();
    OTHERS_INSIDE.fetch_sub(1, Ordering::Release);
    result
}

#[cold]
fn wait_outside() {
    while HELD.load(Ordering::Acquire) != 0 {
        // SAFETY: waits on a word that lives for ever, if it is still 1.
        unsafe { libc::syscall(libc::SYS_futex, HELD.as_ptr(), libc::FUTEX_WAIT, 1, null::<u64>()) };
    }
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for ForkableHeap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        inside(|| unsafe { System.alloc(layout) })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        inside(|| unsafe { System.alloc_zeroed(layout) })
    }

    #[inline]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        // SAFETY: as above.
        inside(|| unsafe { System.dealloc(object, layout) });
    }

    #[inline]
    unsafe fn realloc(&self, object: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        inside(|| unsafe { System.realloc(object, layout, size) })
    }
}

/// All other threads of the process are out of the allocator and stay so until this is dropped.
#[must_use = "threads go on when the guard is dropped"]
pub(crate) struct Hold(());

/// Keeps all other threads out of the allocator: the very last thing to do before a copy is made, since none of them gives a
/// lock back before it can go on.
pub(crate) fn hold() -> Hold {
    while HELD.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        wait_outside();
    }
    HOLDS.set(true);
    // What a thread wrote before it looked at `HELD` is seen now; who looks from here on sees 1.
    fence(Ordering::SeqCst);
    barrier();
    let own = PLACE.get();
    let taken = |index: usize| TAKEN[index / 64].load(Ordering::Acquire) & 1 << (index % 64) != 0;
    let is_inside =
        |index: usize| index != own as usize && taken(index) && INSIDE[index].0.load(Ordering::Acquire) != 0;
    let mut looks = 0;
    while OTHERS_INSIDE.load(Ordering::Acquire) != 0 || (0..PLACES).any(is_inside) {
        looks += 1;
        if looks < 50 { thread::yield_now() } else { thread::sleep(Duration::from_micros(50)) }
    }
    Hold(())
}

/// Makes every processor that runs a thread of this process pass a barrier.
fn barrier() {
    const GLOBAL: i32 = 1;
    const PRIVATE: i32 = 1 << 3;
    const REGISTER_PRIVATE: i32 = 1 << 4;
    // SAFETY: plain system calls.
    let asked = |command: i32| unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } == 0;
    // A kernel without any of them has come to the end of its life in 2017.
    let _ = asked(REGISTER_PRIVATE) && asked(PRIVATE) || asked(GLOBAL);
}

impl Drop for Hold {
    fn drop(&mut self) {
        HOLDS.set(false);
        HELD.store(0, Ordering::Release);
        // SAFETY: wakes whoever waits on a word of ours.
        unsafe { libc::syscall(libc::SYS_futex, HELD.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }
}

/// For the child of a fork: only the calling thread is there, whatever the others were doing.
pub(crate) fn forget_other_threads() {
    let own = PLACE.get();
    OTHERS_INSIDE.store(0, Ordering::Relaxed);
    for (index, word) in TAKEN.iter().enumerate() {
        let kept = if own as usize / 64 == index { 1u64 << (own % 64) } else { 0 };
        let mut gone = word.swap(kept, Ordering::Relaxed) & !kept;
        while gone != 0 {
            INSIDE[index * 64 + gone.trailing_zeros() as usize].0.store(0, Ordering::Relaxed);
            gone &= gone - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::*;

    /// Threads that allocate all the time stand still while they are kept out, also those that have no place of their own,
    /// and the one that keeps them out may allocate.
    #[test]
    fn nobody_allocates_while_they_are_kept_out() {
        static DONE: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
        static STOP: AtomicBool = AtomicBool::new(false);
        let layout = Layout::from_size_align(3000, 8).unwrap();
        // SAFETY: the object is freed at once, as it was allocated.
        let once = move || unsafe { ForkableHeap.dealloc(ForkableHeap.alloc(layout), layout) };
        let sum = || DONE.iter().map(|done| done.load(Ordering::SeqCst)).sum::<usize>();
        thread::scope(|scope| {
            for (number, done) in DONE.iter().enumerate() {
                scope.spawn(move || {
                    let _give = GivePlaceBack;
                    if number == 0 {
                        PLACE.set(NONE);
                    }
                    while !STOP.load(Ordering::Relaxed) {
                        once();
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..200 {
                let before = sum();
                while sum() == before {
                    thread::yield_now();
                }
                let held = hold();
                let (first, most) = (sum(), DONE.len());
                once();
                thread::sleep(Duration::from_micros(200));
                // Each may have come out without having counted that.
                assert!(sum() - first <= most);
                assert_eq!(OTHERS_INSIDE.load(Ordering::SeqCst), 0);
                drop(held);
            }
            STOP.store(true, Ordering::Relaxed);
        });
        assert!(sum() > 200);
    }

    #[test]
    fn places_are_given_again() {
        let own = || thread::spawn(|| (inside(|| PLACE.get()), GivePlaceBack).0).join().unwrap();
        let places: Vec<u32> = (0..2 * PLACES).map(|_| own()).collect();
        assert!(places.iter().all(|place| (*place as usize) < PLACES));
    }
}
