//! Background compile threads and the bounded queue before them.
//!
//! Threads start with the first request and take the cheapest tier first, in it the hottest entry. They hold no lock while
//! they work, and they can be parked between two regions, which is how a process that is compiling forks.
//!
//! To wake a thread is a system call of the guest's thread and an interrupt elsewhere, and what is compiled together is also
//! sealed together. A sleeping thread is therefore woken only for a number of requests, for one that is
//! repeated, as those of a hot loop soon are, or for better code of a block, which is rare. To start a thread costs several
//! times as much, so that the first one waits for more repetitions: many programs, and most forks of a shell, end before.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{process, thread};

use vm_core::BlockKey;

use super::compiled::{CompiledRegion, CompiledTier};
use super::detach;
use crate::cache::{Ticket, TieredCodeCache};
use crate::clock;
use crate::fault;
use crate::threads;

/// A wish for compiled code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The entry of the region.
    pub(crate) key: BlockKey,
    /// How much to invest.
    pub(crate) tier: CompiledTier,
    /// How hot the entry is; hotter ones go first.
    pub(crate) heat: u64,
}

/// What a worker makes of a request.
pub(crate) type Made = Result<(Ticket, CompiledRegion), Failure>;

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The guest's code, or what is known of it, changed meanwhile, or there is no room: a later request may do better.
    NotNow,
    /// There is code for this entry already.
    There,
    /// There is no code for this entry, whenever it is asked for.
    Never,
}

/// Makes regions; every compile thread has one of its own.
pub(crate) type Worker = Box<dyn FnMut(Request) -> Made + Send>;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It waits in the queue, or did before.
    Queued,
    /// The queue is full of hotter entries.
    Full,
    /// It failed before and would again.
    Hopeless,
}

/// Most regions that are sealed in one piece of memory.
const BATCH: usize = 16;

/// Requests for which a sleeping thread is woken although none of them is repeated.
const CROWD: usize = 8;

/// Repetitions of requests for which the first thread is started although there are few requests. Until then the guest is
/// interpreted for about as long as a start takes, a tenth of a millisecond.
const REPETITIONS: u32 = 64;
/// Refusals in a row after which attempts to start a thread get no rarer: one in a thousand occasions.
const MAX_REFUSALS: u32 = 10;

/// Most entries remembered as hopeless, and as declining. One more, and all are forgotten: each may then fail, or decline,
/// as often again.
const MAX_REMEMBERED: usize = 4096;

/// How often code may decline before it is made with less taken for granted: first without constants, which may be those of
/// other callers, then for every state. A loop that is entered so many times with what it cannot take is interpreted meanwhile
/// for a few microseconds.
const MAX_DECLINES: u32 = 32;

#[derive(Default)]
struct Queue {
    /// The process that the threads belong to. Others that share its memory start none: those would end with them, in the
    /// middle of something.
    owner: u32,
    waiting: HashMap<BlockKey, Request>,
    /// Being compiled now.
    working: Vec<BlockKey>,
    /// Not to be tried again.
    hopeless: HashSet<BlockKey>,
    /// How often the code of an entry has declined.
    declines: HashMap<BlockKey, u32>,
    /// How often something that waits was asked for again while there was no thread.
    repetitions: u32,
    /// How often in a row the host had no thread to spare, at most [`MAX_REFUSALS`].
    refusals: u32,
    /// Occasions to start a thread that are still to be let pass after the last refusal.
    let_pass: u32,
    threads: usize,
    busy: usize,
    /// Threads that wait for work and are not being woken.
    asleep: usize,
    /// Callers that wait for a thread to stop working. To signal nobody is a system call as well.
    watchers: usize,
    /// What detached threads have printed and is still to be shown.
    output: String,
    parked: bool,
    stop: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when there is work, when parking ends and at the end.
    wake: Condvar,
    /// Signalled when a thread stops working.
    idle: Condvar,
    cache: Arc<TieredCodeCache>,
    /// Makes a worker for a new thread.
    worker: Box<dyn Fn() -> Worker + Send + Sync>,
    capacity: usize,
    max_threads: usize,
    /// Whether threads that begin give up the process's descriptors.
    detach: AtomicBool,
}

/// The compile threads of an engine.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Up to `max_threads` threads with at most `capacity` requests waiting. They `detach` from the process's descriptors
    /// if that is wanted.
    pub(crate) fn new(
        max_threads: usize,
        capacity: usize,
        detach: bool,
        cache: Arc<TieredCodeCache>,
        worker: Box<dyn Fn() -> Worker + Send + Sync>,
    ) -> Self {
        let (wake, idle) = (Condvar::new(), Condvar::new());
        let queue = Mutex::new(Queue { owner: process::id(), ..Queue::default() });
        Self {
            shared: Arc::new(Shared {
                queue,
                wake,
                idle,
                cache,
                worker,
                capacity,
                max_threads,
                detach: AtomicBool::new(detach),
            }),
        }
    }

    /// Queues `request`, or raises the heat of one that waits.
    pub(crate) fn request(&self, request: Request) -> Accepted {
        let mut queue = self.shared.show_output(self.shared.lock());
        if queue.hopeless.contains(&request.key) {
            return Accepted::Hopeless;
        }
        if queue.working.contains(&request.key) {
            return Accepted::Queued;
        }
        let repeated = queue.waiting.contains_key(&request.key);
        if let Some(known) = queue.waiting.get_mut(&request.key) {
            known.heat = known.heat.max(request.heat);
            known.tier = known.tier.max(request.tier);
        } else if queue.waiting.len() >= self.shared.capacity {
            if queue.threads == 0 {
                self.start_thread(&mut queue); // the host may have had none to spare before
            }
            return Accepted::Full;
        } else {
            queue.waiting.insert(request.key, request);
        }
        let crowded = request.tier == CompiledTier::Two || queue.waiting.len() >= CROWD.min(self.shared.capacity);
        if queue.threads == 0 {
            queue.repetitions += u32::from(repeated);
        }
        if queue.threads > 0 || crowded || queue.repetitions >= REPETITIONS {
            self.start_thread(&mut queue);
        }
        if (crowded || repeated) && queue.asleep > 0 {
            queue.asleep -= 1;
            drop(queue);
            self.shared.wake.notify_one();
        }
        Accepted::Queued
    }

    /// Starts a thread, if those there are have work and there may be more.
    fn start_thread(&self, queue: &mut Queue) {
        let few = queue.threads <= queue.busy && queue.threads < self.shared.max_threads;
        if !few || queue.owner != process::id() {
            return;
        }
        if queue.let_pass > 0 {
            queue.let_pass -= 1;
            return;
        }
        let shared = Arc::clone(&self.shared);
        let detach = self.shared.detach.load(Ordering::Relaxed) && self.shared.cache.observer.get().is_none();
        let prepare = move || {
            if detach {
                let _ = detach::detach(); // code is then written as other threads do it
            }
        };
        let thread = thread::Builder::new().name("tradux-compile".to_owned());
        // If the host has no thread to spare now, the request waits for the next attempt: attempts are system calls, which a
        // loop that stays interpreted would make at each turn.
        if fault::with_signals_blocked(|| threads::spawn_prepared(thread, prepare, move || shared.work())).is_ok() {
            queue.threads += 1;
            queue.repetitions = 0;
            queue.refusals = 0;
        } else {
            queue.refusals = (queue.refusals + 1).min(MAX_REFUSALS);
            queue.let_pass = 1 << queue.refusals;
        }
    }

    /// Lets threads that begin from now on keep the process's descriptors.
    pub(crate) fn keep_descriptors(&self) {
        self.shared.detach.store(false, Ordering::Relaxed);
    }

    /// Number of requests that wait for a thread, and not for company.
    pub(crate) fn backlog(&self) -> usize {
        self.shared.lock().waiting.len().saturating_sub(CROWD)
    }

    /// Whether `key` could not be compiled.
    pub(crate) fn is_hopeless(&self, key: BlockKey) -> bool {
        self.shared.lock().hopeless.contains(&key)
    }

    /// Notes that the code for `key` has declined; says whether it is to be made anew. That is said again after as
    /// many times more, in case what was asked for came to nothing.
    pub(crate) fn note_declined(&self, key: BlockKey) -> bool {
        let mut queue = self.shared.lock();
        if queue.declines.len() >= MAX_REMEMBERED && !queue.declines.contains_key(&key) {
            queue.declines.clear();
        }
        let count = queue.declines.entry(key).or_default();
        *count = count.saturating_add(1);
        count.is_multiple_of(MAX_DECLINES)
    }

    /// How often code for `key` was to be made anew because it declined.
    fn made_anew(&self, key: BlockKey) -> u32 {
        self.shared.lock().declines.get(&key).map_or(0, |count| count / MAX_DECLINES)
    }

    /// Whether code for `key` may be made for slots that hold constants.
    pub(crate) fn may_assume_constants(&self, key: BlockKey) -> bool {
        self.made_anew(key) == 0
    }

    /// Whether code for `key` may decline: what was made of it did so less often than it may.
    pub(crate) fn may_decline(&self, key: BlockKey) -> bool {
        self.made_anew(key) < 2
    }

    /// Compiles `request` on the calling thread with `worker`, and publishes it. Says whether it was published, or
    /// there was code already.
    pub(crate) fn compile_now(&self, worker: &mut Worker, request: Request) -> bool {
        match self.shared.make(worker, request) {
            Ok(made) => self.shared.cache.publish(vec![made]).is_ok(),
            Err(failure) => {
                self.shared.lock().note(request.key, failure);
                failure == Failure::There
            }
        }
    }

    /// Waits until no request waits or is worked on.
    #[cfg(test)]
    pub(crate) fn drain(&self) {
        let mut queue = self.shared.lock();
        if !queue.waiting.is_empty() && queue.threads == 0 {
            self.start_thread(&mut queue);
        }
        self.shared.wake_all(&mut queue);
        while queue.threads > 0 && (queue.busy > 0 || !queue.waiting.is_empty()) {
            queue = self.shared.watch(queue);
        }
    }

    /// Waits until every thread is between two regions and keeps them there until the guard is dropped.
    pub(crate) fn park(&self) -> Parked<'_> {
        let mut queue = self.shared.lock();
        queue.parked = true;
        while queue.busy > 0 {
            queue = self.shared.watch(queue);
        }
        Parked { pool: self, queue: Some(queue) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.stop = true;
        queue.waiting.clear();
        self.shared.wake_all(&mut queue);
        drop(self.shared.show_output(queue));
    }
}

/// Keeps the compile threads parked, with the queue locked by the calling thread: the state in which to fork.
pub(crate) struct Parked<'a> {
    pool: &'a Pool,
    queue: Option<MutexGuard<'a, Queue>>,
}

impl Parked<'_> {
    /// To be called in the child of a fork, where the compile threads do not exist: new ones start when needed.
    pub(crate) fn in_child(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.owner = process::id();
            // What is hot here is soon asked for again.
            queue.waiting.clear();
            queue.repetitions = 0;
            queue.refusals = 0;
            queue.let_pass = 0;
            queue.threads = 0;
            queue.busy = 0;
            queue.asleep = 0;
            queue.watchers = 0;
            queue.working.clear();
        }
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if let Some(mut queue) = self.queue.take() {
            queue.parked = false;
            self.pool.shared.wake_all(&mut queue);
        }
    }
}

impl Queue {
    fn note(&mut self, key: BlockKey, failure: Failure) {
        match failure {
            Failure::NotNow | Failure::There => {}
            Failure::Never => {
                if self.hopeless.len() >= MAX_REMEMBERED {
                    self.hopeless.clear();
                }
                self.hopeless.insert(key);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic runs under this lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints what detached threads could not.
    fn show_output<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        if queue.output.is_empty() {
            return queue;
        }
        let output = std::mem::take(&mut queue.output);
        // Whoever reads it may take time, or have gone.
        drop(queue);
        let _ = std::io::stderr().write_all(output.as_bytes());
        self.lock()
    }

    fn wake_all(&self, queue: &mut Queue) {
        queue.asleep = 0;
        self.wake.notify_all();
    }

    /// Waits until a thread stops working.
    fn watch<'a>(&self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.watchers += 1;
        queue = self.idle.wait(queue).unwrap_or_else(PoisonError::into_inner);
        queue.watchers -= 1;
        queue
    }

    /// The life of a compile thread.
    fn work(&self) {
        let mut worker = (self.worker)();
        let mut batch = Vec::new();
        let mut queue = self.lock();
        while !queue.stop {
            let hottest = queue.waiting.values().max_by_key(|request| (Reverse(request.tier), request.heat)).copied();
            let Some(request) = hottest.filter(|_| !queue.parked) else {
                queue.asleep += 1;
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.waiting.remove(&request.key);
            queue.working.push(request.key);
            queue.busy += 1;
            drop(queue);
            let began = clock::own_cpu_ns();
            let made = self.make(&mut worker, request);
            queue = self.lock();
            match made {
                Ok(made) => batch.push(made),
                Err(failure) => queue.note(request.key, failure),
            }
            // Others that wait may be part of an optimised region.
            if batch.len() >= BATCH
                || request.tier == CompiledTier::Two
                || queue.waiting.is_empty()
                || queue.parked
                || queue.stop
            {
                drop(queue);
                // A host without memory for code leaves the guest interpreted.
                let _ = self.cache.publish(std::mem::take(&mut batch));
                queue = self.lock();
            }
            let used = clock::own_cpu_ns().saturating_sub(began);
            self.cache.counters.background_ns.fetch_add(used, Ordering::Relaxed);
            queue.working.retain(|key| *key != request.key);
            queue.busy -= 1;
            if queue.watchers > 0 {
                self.idle.notify_all();
            }
        }
        queue.threads = queue.threads.saturating_sub(1);
    }

    /// Runs `worker`; a panic in it is reported and makes the entry hopeless, but leaves the guest running.
    fn make(&self, worker: &mut Worker, request: Request) -> Made {
        match catch_unwind(AssertUnwindSafe(|| worker(request))) {
            Ok(made) => made,
            Err(_) => {
                // The panic's own message is on standard error already, with the region's plan; or it is kept in this
                // thread, which has none, until a thread that has one comes by.
                self.lock().output += &detach::take_output();
                *worker = (self.worker)();
                Err(Failure::Never)
            }
        }
    }
}

#[cfg(test)]
mod tests;
