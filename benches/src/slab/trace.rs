//! A recorded trace of allocations, and who records it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::timed;

/// What a program allocated, resized and freed, in order. Allocations are numbered.
#[derive(Debug, Default)]
pub struct Trace {
    events: Vec<Event>,
    allocations: usize,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Allocate { layout: Layout, zeroed: bool },
    Resize { number: u32, size: usize },
    Free { number: u32 },
}

impl Trace {
    /// Makes a trace of what a [`Recorder`] noted. What was not freed is freed at the end, and frees of what was allocated
    /// before are left out.
    fn from_notes(notes: &[Note]) -> Trace {
        let mut trace = Trace::default();
        let mut live = HashMap::new();
        for &note in notes {
            match note {
                Note::Allocated { address, layout, zeroed } => {
                    live.insert(address, trace.allocations as u32);
                    trace.allocations += 1;
                    trace.events.push(Event::Allocate { layout, zeroed });
                }
                Note::Resized { from, to, size } => {
                    if let Some(number) = live.remove(&from) {
                        live.insert(to, number);
                        trace.events.push(Event::Resize { number, size });
                    }
                }
                Note::Freed { address } => {
                    if let Some(number) = live.remove(&address) {
                        trace.events.push(Event::Free { number });
                    }
                }
            }
        }
        let mut rest: Vec<u32> = live.into_values().collect();
        rest.sort_unstable();
        trace.events.extend(rest.into_iter().map(|number| Event::Free { number }));
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

    pub(super) fn replay<A: GlobalAlloc>(&self, allocator: &A, times: usize) -> Duration {
        let mut objects = Vec::with_capacity(self.allocations);
        timed(|| {
            for _ in 0..times {
                objects.clear();
                self.events.iter().for_each(|event| event.replay(allocator, &mut objects));
            }
        })
    }
}

impl Event {
    #[inline(always)]
    fn replay<A: GlobalAlloc>(&self, allocator: &A, objects: &mut Vec<(*mut u8, Layout)>) {
        // SAFETY: recorded layouts have a size, objects have a byte, and each is freed once, with its last layout.
        unsafe {
            let object = match *self {
                Event::Allocate { layout, zeroed } => {
                    let object = if zeroed { allocator.alloc_zeroed(layout) } else { allocator.alloc(layout) };
                    objects.push((object, layout));
                    object
                }
                Event::Resize { number, size } => {
                    let (object, layout) = &mut objects[number as usize];
                    *object = allocator.realloc(*object, *layout, size);
                    *layout = Layout::from_size_align_unchecked(size, layout.align());
                    *object
                }
                Event::Free { number } => {
                    let (object, layout) = objects[number as usize];
                    return allocator.dealloc(object, layout);
                }
            };
            assert!(!object.is_null(), "out of memory");
            object.write_volatile(1);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Note {
    Allocated { address: usize, layout: Layout, zeroed: bool },
    Resized { from: usize, to: usize, size: usize },
    Freed { address: usize },
}

/// The system's allocator, noting what one thread does while it is told to.
#[derive(Debug)]
pub struct Recorder {
    /// The one whose allocations are noted, 0 while none is.
    thread: AtomicUsize,
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
        Recorder { thread: AtomicUsize::new(0) }
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
            Trace::from_notes(&std::mem::take(buffer))
        }
    }

    #[inline]
    fn note(&self, note: Note) {
        if self.thread.load(Ordering::Relaxed) == thread() {
            let buffer = &raw mut BUFFER;
            // SAFETY: as in `record`.
            let buffer = unsafe { &mut *buffer };
            if buffer.len() < NOTES {
                buffer.push(note);
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
        self.note(Note::Allocated { address: object as usize, layout, zeroed: false });
        object
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let object = unsafe { System.alloc_zeroed(layout) };
        self.note(Note::Allocated { address: object as usize, layout, zeroed: true });
        object
    }

    unsafe fn realloc(&self, object: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let from = object as usize;
        // SAFETY: the caller's promise is passed on.
        let moved = unsafe { System.realloc(object, layout, size) };
        self.note(Note::Resized { from, to: moved as usize, size });
        moved
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        self.note(Note::Freed { address: object as usize });
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(object, layout) };
    }
}
