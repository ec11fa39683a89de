//! The slab allocator with several threads: objects handed on, threads that end, processes that fork.
#![allow(unsafe_code)] // Freeing, and raw memory.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use vm_mem::slab::{Hold, Scheme, SlabAllocator, SlabConfig, SlabError};

/// Asserts the number of live objects. Scoped threads that have come to their end may still be giving back what they
/// kept: that is waited for.
fn assert_live(slabs: &SlabAllocator, wanted: u64) {
    let live = || slabs.stats().sum(|class| class.live);
    for _ in 0..10_000 {
        if live() == wanted {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(live(), wanted);
}

/// A live object on its way to another thread.
struct Parcel {
    at: NonNull<u64>,
    layout: Layout,
    word: u64,
}

// SAFETY: the object belongs to whoever has the parcel.
unsafe impl Send for Parcel {}

impl Parcel {
    fn new(slabs: &SlabAllocator, size: usize, word: u64) -> Parcel {
        let layout = Layout::from_size_align(size, 8).unwrap();
        let at = slabs.allocate(layout).unwrap().cast();
        // SAFETY: a new object of at least 8 bytes.
        unsafe { at.write(word) };
        Parcel { at, layout, word }
    }

    fn free(self, slabs: &SlabAllocator) {
        // SAFETY: the object is live until it is freed here.
        unsafe {
            assert_eq!(self.at.read(), self.word, "somebody else has the object");
            assert_eq!(slabs.deallocate(self.at.cast(), self.layout), Ok(()));
        }
    }
}

/// Every thread allocates, keeps some objects, and hands others to its neighbour, which frees them.
fn stress(slabs: &SlabAllocator, threads: u64, rounds: u64) {
    let (to, from): (Vec<Sender<Parcel>>, Vec<Receiver<Parcel>>) = (0..threads).map(|_| channel()).unzip();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for (number, inbox) in from.into_iter().enumerate() {
            let outbox = to[(number + 1) % threads as usize].clone();
            running.push(scope.spawn(move || {
                let mut kept = Vec::new();
                let mut state = number as u64 * 2 + 1;
                for round in 0..rounds {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let size = 8 << (state >> 60).min(10);
                    let parcel = Parcel::new(slabs, size as usize, state);
                    match state >> 32 & 3 {
                        0 => outbox.send(parcel).unwrap(),
                        1 => parcel.free(slabs),
                        _ => kept.push(parcel),
                    }
                    if kept.len() > 2000 {
                        kept.drain(..1000 + (state >> 50 & 511) as usize).for_each(|parcel| parcel.free(slabs));
                    }
                    inbox.try_iter().for_each(|parcel| parcel.free(slabs));
                    if round == rounds / 2 && number == 0 {
                        slabs.trim();
                    }
                }
                drop(outbox);
                kept.into_iter().for_each(|parcel| parcel.free(slabs));
                // The neighbour has ended, or ends without waiting for anybody.
                inbox.iter().for_each(|parcel| parcel.free(slabs));
            }));
        }
        drop(to);
        // A scope ends when the closures have, and joining waits for what threads do last.
        running.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let stats = slabs.stats();
    assert_eq!(stats.sum(|class| class.live), 0);
    assert_eq!(stats.sum(|class| class.requested_bytes), 0);
    assert_eq!(stats.sum(|class| class.in_magazines), 0, "threads that end leave nothing in magazines");
    assert!(stats.sum(|class| class.foreign_frees) > 0);
    slabs.trim();
    assert_eq!(slabs.stats().slab_bytes(), 0);
}

#[test]
fn two_threads() {
    stress(&SlabAllocator::new().unwrap(), 2, 100_000);
}

#[test]
fn sixteen_threads_on_fewer_processors() {
    let config = SlabConfig { retain_per_class: 0, retain_for: Duration::ZERO, ..SlabConfig::new(Scheme::Fine) };
    stress(&SlabAllocator::with_config(&config).unwrap(), 16, 10_000);
}

/// A thread that ends while another works leaves its objects to it, and what it had allocated stays.
#[test]
fn objects_outlive_their_thread() {
    let slabs = SlabAllocator::new().unwrap();
    let parcels: Vec<Parcel> = std::thread::scope(|scope| {
        let allocating = scope.spawn(|| (0..10_000).map(|n| Parcel::new(&slabs, 48, n)).collect());
        allocating.join().unwrap()
    });
    assert_live(&slabs, 10_000);
    parcels.into_iter().for_each(|parcel| parcel.free(&slabs));
    assert_live(&slabs, 0);
}

/// More allocators than a thread remembers at once, and allocators that go before their threads.
#[test]
fn many_allocators() {
    let config = SlabConfig { reserve_per_class: 64 << 20, ..SlabConfig::default() };
    let all: Vec<SlabAllocator> = (0..20).map(|_| SlabAllocator::with_config(&config).unwrap()).collect();
    let parcels: Vec<Parcel> = (0..2000).map(|n| Parcel::new(&all[n % all.len()], 8 << (n % 5), n as u64)).collect();
    for (n, parcel) in parcels.into_iter().enumerate() {
        let (at, layout) = (parcel.at.cast(), parcel.layout);
        parcel.free(&all[n % 20]);
        let address = at.as_ptr() as usize;
        // SAFETY: refused: the object is another allocator's.
        assert_eq!(unsafe { all[(n + 1) % 20].deallocate(at, layout) }, Err(SlabError::Foreign { address }));
    }
    for slabs in all {
        std::thread::scope(|scope| {
            scope.spawn(|| Parcel::new(&slabs, 8, 1).free(&slabs));
        });
        drop(slabs);
    }
    let slabs = SlabAllocator::new().unwrap();
    Parcel::new(&slabs, 8, 1).free(&slabs);
}

/// The child of a fork takes back what threads that it does not have kept for themselves.
#[test]
fn a_child_has_no_magazines_of_others() {
    let slabs = SlabAllocator::new().unwrap();
    let (ready, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            Parcel::new(&slabs, 64, 1).free(&slabs);
            ready.wait();
            done.wait();
        });
        ready.wait();
        let in_magazines = || slabs.stats().sum(|class| class.in_magazines);
        assert!(in_magazines() > 0);
        // SAFETY: the child counts, which the C library's fork allows it to allocate for, and leaves at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let stats = slabs.stats();
            let whole = in_magazines() == 0 && stats.sum(|class| class.live) == 0;
            // SAFETY: ends the child without running what belongs to the parent.
            unsafe { libc::_exit(if whole { 7 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: the status is a local variable.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        done.wait();
        assert_eq!((waited, libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (child, true, 7));
    });
}

/// The child of a fork has a whole allocator, whatever other threads were doing, and gets what they had in magazines.
#[test]
fn forks_while_others_allocate() {
    let slabs = SlabAllocator::new().unwrap();
    let stop = AtomicU64::new(0);
    let mut failure = None;
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (slabs, stop) = (&slabs, &stop);
            scope.spawn(move || {
                while stop.load(Ordering::Relaxed) == 0 {
                    let parcels: Vec<Parcel> = (0..2000).map(|n| Parcel::new(slabs, 8 << (n % 8), number)).collect();
                    parcels.into_iter().for_each(|parcel| parcel.free(slabs));
                }
            });
        }
        for round in 0..200 {
            // SAFETY: the child uses nothing but the allocator, which is made for that, and leaves at once.
            let child = unsafe {
                match round % 2 {
                    0 => libc::fork(),
                    _ => {
                        let hold = Hold::new();
                        match libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) {
                            0 => {
                                hold.in_child();
                                0
                            }
                            child => child as i32,
                        }
                    }
                }
            };
            if child == 0 {
                let went = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let parcels = [8, 64, 1024].map(|size| [0; 500].map(|_| Parcel::new(&slabs, size, 5)));
                    parcels.into_iter().flatten().for_each(|parcel| parcel.free(&slabs));
                }));
                // SAFETY: ends the child without running what belongs to the parent.
                unsafe { libc::_exit(if went.is_ok() { 7 } else { 8 }) };
            }
            let mut status = 0;
            // SAFETY: the status is a local variable.
            let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
            if (ended, libc::WIFEXITED(status), libc::WEXITSTATUS(status)) != (child, true, 7) {
                failure = Some((round, status));
                break;
            }
        }
        stop.store(1, Ordering::Relaxed);
    });
    assert_eq!(failure, None, "round and status of a child that failed");
    assert_live(&slabs, 0);
}
