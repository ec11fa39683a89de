use std::sync::atomic::{AtomicUsize, Ordering};

use vm_core::{GuestAddr, Mode};
use vm_ir::{End, IrBuilder, Target};

use super::*;
use crate::config::Exact;
use crate::jit::Sources;
use crate::jit::code::CodePtr;
use crate::testing::VecMemory;

fn key(pc: u64) -> BlockKey {
    BlockKey::new(GuestAddr::new(pc), Mode::default())
}

fn request(pc: u64, heat: u64) -> Request {
    Request { key: key(pc), tier: CompiledTier::One, heat }
}

/// Makes one-byte regions; odd addresses are hopeless, multiples of 1000 are not to be had now, address 0 panics.
fn worker(cache: Arc<TieredCodeCache>, order: Arc<Mutex<Vec<u64>>>) -> Worker {
    Box::new(move |request| {
        let pc = request.key.pc.get();
        order.lock().unwrap_or_else(PoisonError::into_inner).push(pc);
        if pc == 0 {
            // What tests print with macros is not printed, wherever that would be to.
            let _ = std::io::stderr().write_all(b"asked to panic\n");
            panic!("as asked");
        }
        if pc % 2 == 1 {
            return Err(Failure::Never);
        }
        if pc % 1000 == 0 {
            return Err(Failure::NotNow);
        }
        let ticket = cache.ticket();
        let mut ir = IrBuilder::new(request.key);
        ir.mark(0, 4);
        let block = ir.finish(End::Jump { target: Target(4) }, &[0; 4]);
        let region = CompiledRegion {
            key: request.key,
            tier: request.tier,
            code: vec![0xc3],
            links: Vec::new(),
            sources: Sources::of([&block].into_iter()),
            atomics: Box::default(),
            entries: Vec::new(),
            counts: false,
            pcs: Vec::new(),
            guest_len: 1,
            steps_over: Vec::new(),
            faults: Exact::Pc,
            compile_ns: 0,
        };
        Ok((ticket, region))
    })
}

struct Setup {
    cache: Arc<TieredCodeCache>,
    pool: Pool,
    order: Arc<Mutex<Vec<u64>>>,
    workers: Arc<AtomicUsize>,
}

fn setup(capacity: usize) -> Setup {
    setup_of(capacity, false)
}

fn setup_of(capacity: usize, detach: bool) -> Setup {
    let cache = Arc::new(TieredCodeCache::new([1 << 20; 2], CodePtr::new(0x10), VecMemory::new(0, 4096)).unwrap());
    let order = Arc::new(Mutex::new(Vec::new()));
    let workers = Arc::new(AtomicUsize::new(0));
    let make = {
        let (cache, order, workers) = (Arc::clone(&cache), Arc::clone(&order), Arc::clone(&workers));
        Box::new(move || {
            workers.fetch_add(1, Ordering::Relaxed);
            worker(Arc::clone(&cache), Arc::clone(&order))
        })
    };
    let pool = Pool::new(1, capacity, detach, Arc::clone(&cache), make);
    Setup { cache, pool, order, workers }
}

#[test]
fn requests_are_compiled_and_published() {
    let Setup { cache, pool, .. } = setup(100);
    for pc in (2..100).step_by(2) {
        assert_eq!(pool.request(request(pc, 1)), Accepted::Queued);
    }
    pool.drain();
    assert_eq!(cache.len(), 49);
    assert_eq!(pool.shared.lock().waiting.len(), 0);
}

#[test]
fn a_process_that_shares_the_pool_starts_no_thread() {
    let Setup { cache, pool, workers, .. } = setup(100);
    let owner = std::mem::replace(&mut pool.shared.lock().owner, 0);
    assert_eq!(pool.request(request(2, 1)), Accepted::Queued);
    assert_eq!(pool.shared.lock().waiting.len(), 1);
    assert_eq!(pool.shared.lock().threads, 0);
    pool.shared.lock().owner = owner;
    assert_eq!(pool.request(request(2, 1)), Accepted::Queued);
    pool.drain();
    assert_eq!((cache.len(), workers.load(Ordering::Relaxed)), (1, 1));
}

#[test]
fn a_thread_sleeps_on_for_single_requests() {
    let Setup { cache, pool, .. } = setup(100);
    let asleep = || pool.shared.lock().asleep;
    let wait_for_sleep = || {
        while asleep() == 0 {
            std::thread::yield_now();
        }
    };
    for _ in 0..=REPETITIONS {
        assert_eq!(pool.shared.lock().threads, 0, "the first thread waits for more");
        pool.request(request(2, 1));
    }
    wait_for_sleep();
    for pc in (1..CROWD as u64).map(|n| 2 + 2 * n) {
        assert_eq!((pool.request(request(pc, 1)), asleep(), pool.backlog()), (Accepted::Queued, 1, 0));
    }
    assert_eq!(cache.len(), 1);
    pool.request(request(4, 1));
    wait_for_sleep();
    assert_eq!(cache.len(), CROWD, "a repeated request is urgent, and the others are made with it");
    for pc in (0..CROWD as u64).map(|n| 100 + 2 * n) {
        pool.request(request(pc, 1));
    }
    wait_for_sleep();
    assert_eq!(cache.len(), 2 * CROWD, "so are many");
    pool.request(Request { tier: CompiledTier::Two, ..request(200, 1) });
    wait_for_sleep();
    assert_eq!(cache.len(), 2 * CROWD + 1);
}

#[test]
fn the_queue_is_bounded_and_takes_the_hottest_first() {
    let Setup { pool, order, .. } = setup(3);
    // Parked by hand: a guard would keep the queue locked.
    pool.shared.lock().parked = true;
    assert_eq!(pool.request(request(2, 5)), Accepted::Queued);
    assert_eq!(pool.request(request(4, 1)), Accepted::Queued);
    assert_eq!(pool.request(request(6, 7)), Accepted::Queued);
    assert_eq!(pool.request(request(8, 9)), Accepted::Full);
    assert_eq!(pool.request(request(4, 9)), Accepted::Queued, "a known request only gets hotter");
    drop(pool.park());
    pool.drain();
    assert_eq!(*order.lock().unwrap(), [4, 6, 2]);
}

#[test]
fn a_failure_is_remembered_and_a_panic_survived() {
    let Setup { cache, pool, workers, .. } = setup(100);
    pool.request(request(0, 1));
    pool.request(request(3, 1));
    pool.drain();
    assert_eq!(pool.request(request(0, 1)), Accepted::Hopeless);
    assert!(pool.is_hopeless(key(3)) && cache.len() == 0);
    pool.request(request(1000, 1));
    pool.drain();
    assert_eq!(pool.request(request(1000, 1)), Accepted::Queued, "it may be asked for again");
    pool.request(request(2, 1));
    pool.drain();
    assert_eq!(cache.len(), 1);
    assert_eq!(workers.load(Ordering::Relaxed), 2, "the worker that panicked was replaced");
}

#[test]
fn failures_are_forgotten_where_there_are_too_many() {
    let Setup { cache, pool, order, .. } = setup(0);
    let mut worker = worker(cache, order);
    let pcs: Vec<u64> = (0..=MAX_REMEMBERED as u64).map(|n| 2 * n + 1).collect();
    for pc in &pcs[..MAX_REMEMBERED] {
        assert!(!pool.compile_now(&mut worker, request(*pc, 1)));
    }
    assert!(pcs[..MAX_REMEMBERED].iter().all(|pc| pool.is_hopeless(key(*pc))));
    assert!(!pool.compile_now(&mut worker, request(pcs[MAX_REMEMBERED], 1)));
    let known: Vec<&u64> = pcs.iter().filter(|pc| pool.is_hopeless(key(**pc))).collect();
    assert_eq!(known, [&pcs[MAX_REMEMBERED]]);
}

#[test]
fn parking_waits_for_the_work_at_hand() {
    let Setup { cache, pool, .. } = setup(100);
    pool.request(request(2, 1));
    let mut parked = pool.park();
    assert_eq!(parked.queue.as_ref().map(|queue| queue.busy), Some(0));
    parked.in_child();
    drop(parked);
    pool.request(request(4, 1));
    pool.drain();
    assert!(cache.tier(key(4)).is_some());
}

#[test]
fn compiling_at_once_needs_no_thread() {
    let Setup { cache, pool, order, workers } = setup(0);
    let mut worker = worker(Arc::clone(&cache), order);
    assert!(pool.compile_now(&mut worker, request(2, 0)));
    assert!(!pool.compile_now(&mut worker, request(3, 0)));
    assert_eq!((cache.len(), workers.load(Ordering::Relaxed)), (1, 0));
}

#[test]
fn a_detached_thread_publishes_and_leaves_its_output() {
    let Setup { cache, pool, .. } = setup_of(100, true);
    for pc in [0, 2, 4] {
        assert_eq!(pool.request(request(pc, 1)), Accepted::Queued);
    }
    pool.drain();
    assert_eq!(cache.len(), 2);
    let output = std::mem::take(&mut pool.shared.lock().output);
    assert!(output.starts_with("asked to panic\n"), "{output:?}");
}

#[test]
fn code_that_declines_is_made_anew_now_and_then_and_forgotten_at_last() {
    let Setup { pool, .. } = setup(8);
    for count in 1..=3 * MAX_DECLINES {
        assert_eq!(pool.may_assume_constants(key(2)), count <= MAX_DECLINES);
        assert_eq!(pool.may_decline(key(2)), count <= 2 * MAX_DECLINES);
        assert_eq!(pool.note_declined(key(2)), count.is_multiple_of(MAX_DECLINES), "{count}");
    }
    for pc in (4..).step_by(2).take(MAX_REMEMBERED - 1) {
        pool.note_declined(key(pc));
    }
    assert!(!pool.may_decline(key(2)));
    pool.note_declined(key(1));
    assert!(pool.may_decline(key(2)), "one entry more than are remembered");
}
