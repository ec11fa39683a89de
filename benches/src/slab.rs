//! Allocation patterns, run alike on every allocator.
//!
//! Each object's first word is written when it is allocated and read before it is freed, as programs do.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use vm_mem::slab::{Handle, Scheme, SlabConfig, SlabGlobal, SlabPool};

mod footprint;
mod trace;

pub use footprint::Footprint;
pub use trace::{Recorder, Trace};

/// The sizes that are measured, in bytes.
pub const SIZES: [usize; 11] = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// An allocation pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Each object is freed before the next is allocated.
    Pair,
    /// 1000 objects, freed last first.
    Lifo,
    /// 1000 objects, freed first first.
    Fifo,
    /// 10,000 live objects, of which one at random is freed and another allocated.
    Random,
    /// 4096 live objects, of which the oldest is freed and another allocated.
    Ring,
    /// One thread allocates, another frees; 1000 objects are handed over at a time, up to 4000 are on the way.
    Threads,
}

impl Pattern {
    /// All patterns.
    pub const ALL: [Pattern; 6] =
        [Pattern::Pair, Pattern::Lifo, Pattern::Fifo, Pattern::Random, Pattern::Ring, Pattern::Threads];

    /// The pattern's name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Pair => "pair",
            Pattern::Lifo => "lifo",
            Pattern::Fifo => "fifo",
            Pattern::Random => "random",
            Pattern::Ring => "ring",
            Pattern::Threads => "threads",
        }
    }
}

/// The slab allocator with powers of two.
pub static SLAB: SlabGlobal = SlabGlobal::new();
/// The slab allocator with fine classes.
pub static FINE: SlabGlobal = SlabGlobal::with_config(SlabConfig::new(Scheme::Fine));

/// Allocators under comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The C library's.
    System,
    /// [`SLAB`].
    Slab,
    /// [`FINE`].
    Fine,
    /// [`SlabPool`], where the pattern has one thread.
    Pool,
    /// Microsoft's mimalloc.
    #[cfg(feature = "peers")]
    Mimalloc,
    /// jemalloc as TiKV packages it.
    #[cfg(feature = "peers")]
    Jemalloc,
    /// Microsoft's snmalloc.
    #[cfg(feature = "peers")]
    Snmalloc,
}

impl Subject {
    /// All that this build has, the one that others are compared with first.
    pub const ALL: &'static [Subject] = &[
        Subject::System,
        Subject::Slab,
        Subject::Fine,
        Subject::Pool,
        #[cfg(feature = "peers")]
        Subject::Mimalloc,
        #[cfg(feature = "peers")]
        Subject::Jemalloc,
        #[cfg(feature = "peers")]
        Subject::Snmalloc,
    ];

    /// The allocator's name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Subject::System => "glibc",
            Subject::Slab => "slab",
            Subject::Fine => "slab-fine",
            Subject::Pool => "pool",
            #[cfg(feature = "peers")]
            Subject::Mimalloc => "mimalloc",
            #[cfg(feature = "peers")]
            Subject::Jemalloc => "jemalloc",
            #[cfg(feature = "peers")]
            Subject::Snmalloc => "snmalloc",
        }
    }

    /// Runs a pattern of so many allocations and frees; returns the CPU time. `None` if the allocator has no such pattern.
    #[must_use]
    pub fn run(self, pattern: Pattern, size: usize, operations: usize) -> Option<Duration> {
        Some(match self {
            Subject::System => run(&System, pattern, size, operations),
            Subject::Slab => run(&SLAB, pattern, size, operations),
            Subject::Fine => run(&FINE, pattern, size, operations),
            Subject::Pool => return run_pool(pattern, size, operations),
            #[cfg(feature = "peers")]
            Subject::Mimalloc => run(&mimalloc::MiMalloc, pattern, size, operations),
            #[cfg(feature = "peers")]
            Subject::Jemalloc => run(&tikv_jemallocator::Jemalloc, pattern, size, operations),
            #[cfg(feature = "peers")]
            Subject::Snmalloc => run(&snmalloc_rs::SnMalloc, pattern, size, operations),
        })
    }

    /// Replays a trace so many times; returns the CPU time. `None` if the allocator cannot.
    #[must_use]
    pub fn replay(self, trace: &Trace, times: usize) -> Option<Duration> {
        Some(match self {
            Subject::System => trace.replay(&System, times),
            Subject::Slab => trace.replay(&SLAB, times),
            Subject::Fine => trace.replay(&FINE, times),
            Subject::Pool => return None,
            #[cfg(feature = "peers")]
            Subject::Mimalloc => trace.replay(&mimalloc::MiMalloc, times),
            #[cfg(feature = "peers")]
            Subject::Jemalloc => trace.replay(&tikv_jemallocator::Jemalloc, times),
            #[cfg(feature = "peers")]
            Subject::Snmalloc => trace.replay(&snmalloc_rs::SnMalloc, times),
        })
    }
}

#[inline(always)]
fn allocate<A: GlobalAlloc>(allocator: &A, layout: Layout) -> *mut u8 {
    // SAFETY: the layout has a size; the object has room for a word.
    unsafe {
        let object = allocator.alloc(layout);
        assert!(!object.is_null(), "out of memory");
        object.cast::<usize>().write_volatile(object as usize);
        object
    }
}

#[inline(always)]
fn free<A: GlobalAlloc>(allocator: &A, object: *mut u8, layout: Layout) {
    // SAFETY: the object came from this allocator with this layout and is not used afterwards.
    unsafe {
        assert_eq!(object.cast::<usize>().read_volatile(), object as usize, "an object is in use twice");
        allocator.dealloc(object, layout);
    }
}

/// The next of a sequence of numbers that look random.
#[inline(always)]
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

fn run<A: GlobalAlloc + Sync>(allocator: &A, pattern: Pattern, size: usize, operations: usize) -> Duration {
    let layout = Layout::from_size_align(size, 8).expect("a small layout");
    // Programs know the size where they allocate, or not; here it is not known.
    let layout = std::hint::black_box(layout);
    if pattern == Pattern::Threads {
        return threads(allocator, layout, operations);
    }
    timed(|| match pattern {
        Pattern::Pair => {
            for _ in 0..operations {
                free(allocator, std::hint::black_box(allocate(allocator, layout)), layout);
            }
        }
        Pattern::Lifo | Pattern::Fifo => {
            let mut objects = vec![ptr::null_mut(); 1000];
            for _ in 0..operations.div_ceil(1000) {
                objects.iter_mut().for_each(|object| *object = allocate(allocator, layout));
                match pattern == Pattern::Lifo {
                    true => objects.iter().rev().for_each(|&object| free(allocator, object, layout)),
                    false => objects.iter().for_each(|&object| free(allocator, object, layout)),
                }
            }
        }
        Pattern::Random | Pattern::Ring => {
            let live = if pattern == Pattern::Random { 10_000 } else { 4096 };
            let mut objects: Vec<*mut u8> = (0..live).map(|_| allocate(allocator, layout)).collect();
            let mut state = 0x9e37_79b9_7f4a_7c15;
            for turn in 0..operations {
                let at = if pattern == Pattern::Random { next(&mut state) % 10_000 } else { turn % 4096 };
                free(allocator, objects[at], layout);
                objects[at] = allocate(allocator, layout);
            }
            objects.into_iter().for_each(|object| free(allocator, object, layout));
        }
        Pattern::Threads => unreachable!("it takes its own time"),
    })
}

/// Objects that are handed over at a time.
const HANDED: usize = 1000;
/// Such batches that may lie in the queue. One more is being filled and one more emptied.
const QUEUED: usize = 2;

/// Each thread takes the time of its batches, so that neither the queue nor waking a thread is measured, which are dearer
/// than an allocation. The batches' own memory goes round.
fn threads<A: GlobalAlloc + Sync>(allocator: &A, layout: Layout, operations: usize) -> Duration {
    let (full, filled) = sync_channel::<Vec<usize>>(QUEUED);
    let (back, emptied) = sync_channel(QUEUED + 2);
    (0..QUEUED + 2).for_each(|_| back.send(Vec::with_capacity(HANDED)).expect("room for all batches"));
    std::thread::scope(|scope| {
        let freeing = scope.spawn(move || {
            let mut taken = Duration::ZERO;
            for mut batch in filled {
                taken += timed(|| batch.drain(..).for_each(|object| free(allocator, object as *mut u8, layout)));
                // Nobody takes it any more at the end.
                let _ = back.send(batch);
            }
            taken
        });
        let mut taken = Duration::ZERO;
        for first in (0..operations).step_by(HANDED) {
            let mut batch = emptied.recv().expect("a thread that frees");
            let turns = first..operations.min(first + HANDED);
            taken += timed(|| batch.extend(turns.map(|_| allocate(allocator, layout) as usize)));
            full.send(batch).expect("a thread that frees");
        }
        drop(full);
        taken + freeing.join().expect("a thread that frees")
    })
}

/// The CPU time that this thread takes for `work`.
fn timed(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
    };
    let start = now();
    work();
    now() - start
}

fn run_pool(pattern: Pattern, size: usize, operations: usize) -> Option<Duration> {
    match size {
        8 => pool::<1>(pattern, operations),
        16 => pool::<2>(pattern, operations),
        32 => pool::<4>(pattern, operations),
        64 => pool::<8>(pattern, operations),
        128 => pool::<16>(pattern, operations),
        256 => pool::<32>(pattern, operations),
        512 => pool::<64>(pattern, operations),
        1024 => pool::<128>(pattern, operations),
        2048 => pool::<256>(pattern, operations),
        4096 => pool::<512>(pattern, operations),
        8192 => pool::<1024>(pattern, operations),
        _ => None,
    }
}

/// A value of which one word is written, as of other allocators' objects.
struct Value<const WORDS: usize>(std::mem::MaybeUninit<[u64; WORDS]>);

impl<const WORDS: usize> Value<WORDS> {
    #[inline(always)]
    fn new(word: u64) -> Self {
        let mut value = std::mem::MaybeUninit::<[u64; WORDS]>::uninit();
        // SAFETY: a value has one word at least.
        unsafe { value.as_mut_ptr().cast::<u64>().write(word) };
        Value(value)
    }

    #[inline(always)]
    fn word(&self) -> u64 {
        // SAFETY: the first word is written when the value is made.
        unsafe { self.0.as_ptr().cast::<u64>().read_volatile() }
    }
}

#[inline(always)]
fn insert<const WORDS: usize>(pool: &mut SlabPool<Value<WORDS>>, word: u64) -> Handle<Value<WORDS>> {
    // The other words hold nothing, so nothing is copied.
    let handle = pool.insert(Value(std::mem::MaybeUninit::uninit())).expect("memory");
    pool[handle] = Value::new(word);
    handle
}

fn pool<const WORDS: usize>(pattern: Pattern, operations: usize) -> Option<Duration> {
    if pattern == Pattern::Threads {
        return None;
    }
    let mut pool = SlabPool::new().expect("memory");
    Some(timed(|| match pattern {
        Pattern::Pair => {
            for turn in 0..operations {
                let handle = std::hint::black_box(insert::<WORDS>(&mut pool, turn as u64));
                take(&mut pool, handle, turn as u64);
            }
        }
        Pattern::Lifo | Pattern::Fifo => {
            let mut handles = Vec::with_capacity(1000);
            for _ in 0..operations.div_ceil(1000) {
                handles.extend((0..1000).map(|turn| insert::<WORDS>(&mut pool, turn)));
                match pattern == Pattern::Lifo {
                    true => (0..1000).rev().for_each(|turn| take(&mut pool, handles[turn], turn as u64)),
                    false => (0..1000).for_each(|turn| take(&mut pool, handles[turn], turn as u64)),
                }
                handles.clear();
            }
        }
        Pattern::Random | Pattern::Ring => {
            let live = if pattern == Pattern::Random { 10_000 } else { 4096 };
            let mut handles: Vec<_> = (0..live).map(|turn| insert::<WORDS>(&mut pool, turn as u64)).collect();
            let mut state = 0x9e37_79b9_7f4a_7c15;
            for turn in 0..operations {
                let at = if pattern == Pattern::Random { next(&mut state) % 10_000 } else { turn % 4096 };
                take(&mut pool, handles[at], at as u64);
                handles[at] = insert(&mut pool, at as u64);
            }
        }
        Pattern::Threads => unreachable!("a pool has one owner"),
    }))
}

#[inline(always)]
fn take<const WORDS: usize>(pool: &mut SlabPool<Value<WORDS>>, handle: Handle<Value<WORDS>>, word: u64) {
    assert_eq!(pool[handle].word(), word);
    pool.remove(handle).expect("a live handle");
}
