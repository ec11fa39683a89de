//! Allocation patterns, run alike on every allocator.
//!
//! Each object's first word is written when it is allocated and read before it is freed, as programs do.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use vm_mem::slab::{Handle, Scheme, SlabConfig, SlabGlobal, SlabPool};

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
    /// One thread allocates, another frees; up to 1024 objects are on the way.
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

    /// Runs a pattern of so many allocations and frees; false if the allocator has no such pattern.
    #[must_use]
    pub fn run(self, pattern: Pattern, size: usize, operations: usize) -> bool {
        match self {
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
        }
        true
    }

    /// Replays a trace once; false if the allocator cannot.
    #[must_use]
    pub fn replay(self, trace: &Trace) -> bool {
        match self {
            Subject::System => trace.replay(&System),
            Subject::Slab => trace.replay(&SLAB),
            Subject::Fine => trace.replay(&FINE),
            Subject::Pool => return false,
            #[cfg(feature = "peers")]
            Subject::Mimalloc => trace.replay(&mimalloc::MiMalloc),
            #[cfg(feature = "peers")]
            Subject::Jemalloc => trace.replay(&tikv_jemallocator::Jemalloc),
            #[cfg(feature = "peers")]
            Subject::Snmalloc => trace.replay(&snmalloc_rs::SnMalloc),
        }
        true
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

fn run<A: GlobalAlloc + Sync>(allocator: &A, pattern: Pattern, size: usize, operations: usize) {
    let layout = Layout::from_size_align(size, 8).expect("a small layout");
    // Programs know the size where they allocate, or not; here it is not known.
    let layout = std::hint::black_box(layout);
    match pattern {
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
        Pattern::Threads => threads(allocator, layout, operations),
    }
}

/// A queue between two threads.
struct Queue {
    slots: Vec<AtomicUsize>,
}

fn threads<A: GlobalAlloc + Sync>(allocator: &A, layout: Layout, operations: usize) {
    let queue = Queue { slots: (0..1024).map(|_| AtomicUsize::new(0)).collect() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..operations {
                let slot = &queue.slots[turn % 1024];
                let object = loop {
                    match slot.load(Ordering::Acquire) {
                        0 => std::thread::yield_now(),
                        object => break object,
                    }
                };
                slot.store(0, Ordering::Release);
                free(allocator, object as *mut u8, layout);
            }
        });
        for turn in 0..operations {
            let object = allocate(allocator, layout);
            let slot = &queue.slots[turn % 1024];
            while slot.load(Ordering::Acquire) != 0 {
                std::thread::yield_now();
            }
            slot.store(object as usize, Ordering::Release);
        }
    });
}

fn run_pool(pattern: Pattern, size: usize, operations: usize) -> bool {
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
        _ => false,
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

fn pool<const WORDS: usize>(pattern: Pattern, operations: usize) -> bool {
    let mut pool = SlabPool::new().expect("memory");
    match pattern {
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
        Pattern::Threads => return false,
    }
    true
}

#[inline(always)]
fn take<const WORDS: usize>(pool: &mut SlabPool<Value<WORDS>>, handle: Handle<Value<WORDS>>, word: u64) {
    assert_eq!(pool[handle].word(), word);
    pool.remove(handle).expect("a live handle");
}

/// What a program allocated and freed, in order.
#[derive(Debug, Default)]
pub struct Trace {
    /// Layouts of allocations; frees are `None` and the number of the allocation.
    events: Vec<Event>,
    allocations: usize,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Allocate { layout: Layout },
    Free { number: u32 },
}

impl Trace {
    /// Makes a trace of what a [`Recorder`] noted: addresses with their layouts, freed where the flag is set.
    #[must_use]
    pub fn from_notes(notes: &[Note]) -> Trace {
        let mut trace = Trace::default();
        let mut live = std::collections::HashMap::new();
        let mut layouts = Vec::new();
        for note in notes {
            if note.freed {
                if let Some(number) = live.remove(&note.address) {
                    trace.events.push(Event::Free { number });
                }
            } else {
                live.insert(note.address, layouts.len() as u32);
                layouts.push(note.layout);
                trace.events.push(Event::Allocate { layout: note.layout });
            }
        }
        let mut rest: Vec<u32> = live.into_values().collect();
        rest.sort_unstable();
        trace.events.extend(rest.into_iter().map(|number| Event::Free { number }));
        trace.allocations = layouts.len();
        trace
    }

    /// How many allocations it has, each with its free.
    #[must_use]
    pub fn len(&self) -> usize {
        self.allocations
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allocations == 0
    }

    fn replay<A: GlobalAlloc>(&self, allocator: &A) {
        let mut objects = Vec::with_capacity(self.allocations);
        for &event in &self.events {
            match event {
                Event::Allocate { layout } => {
                    // SAFETY: recorded layouts have a size.
                    let object = unsafe { allocator.alloc(layout) };
                    assert!(!object.is_null(), "out of memory");
                    // SAFETY: the object has a byte.
                    unsafe { object.write_volatile(1) };
                    objects.push((object, layout));
                }
                Event::Free { number } => {
                    let (object, layout) = objects[number as usize];
                    // SAFETY: each recorded allocation is freed once.
                    unsafe { allocator.dealloc(object, layout) };
                }
            }
        }
    }
}

/// What a recorder notes of an allocation or a free.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    address: usize,
    layout: Layout,
    freed: bool,
}

/// The system's allocator, noting what one thread does while it is told to.
#[derive(Debug)]
pub struct Recorder {
    thread: AtomicUsize,
    notes: AtomicUsize,
}

/// The most notes that are taken.
const NOTES: usize = 4 << 20;

/// A number of the calling thread.
fn thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| ptr::from_ref(here) as usize)
}

static mut BUFFER: Vec<Note> = Vec::new();

impl Recorder {
    /// A recorder that notes nothing yet.
    #[must_use]
    pub const fn new() -> Recorder {
        Recorder { thread: AtomicUsize::new(0), notes: AtomicUsize::new(0) }
    }

    /// Notes what `work` allocates and frees on this thread. One call at a time.
    pub fn record(&self, work: impl FnOnce()) -> Trace {
        // SAFETY: the buffer is touched by the recording thread alone, and only where recording is on; room for all notes
        // is made before.
        unsafe {
            let buffer = &raw mut BUFFER;
            let buffer = &mut *buffer;
            buffer.reserve_exact(NOTES);
            self.thread.store(thread(), Ordering::SeqCst);
            work();
            self.thread.store(0, Ordering::SeqCst);
            self.notes.store(buffer.len(), Ordering::SeqCst);
            Trace::from_notes(&std::mem::take(buffer))
        }
    }

    #[inline]
    fn note(&self, address: *mut u8, layout: Layout, freed: bool) {
        if self.thread.load(Ordering::Relaxed) == thread() {
            let buffer = &raw mut BUFFER;
            // SAFETY: as in `record`.
            let buffer = unsafe { &mut *buffer };
            if buffer.len() < NOTES {
                buffer.push(Note { address: address as usize, layout, freed });
            }
        }
    }
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Recorder {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let object = unsafe { System.alloc(layout) };
        self.note(object, layout, false);
        object
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        self.note(object, layout, true);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(object, layout) };
    }
}
