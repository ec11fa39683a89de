//! [`Profile`]: where the CPU time of vCPUs goes and which guest code takes it, found by sampling.
//!
//! Every vCPU says in one byte what it is doing. A thread of the profile's own reads the bytes about a thousand times a
//! second and charges what each vCPU's host thread has used since to what it is doing. If that is running guest code, the
//! vCPU is asked by its interrupt word to pass its run loop, where it notes its program counter: that is exact, and no
//! signal is needed, all of which belong to the guest. Compiled code looks at the word where a region is entered and at the
//! head of a loop, so that time is charged to the next such place.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use foldhash::fast::RandomState;
use vm_core::GuestAddr;

use crate::clock;
use crate::engine::Engine;
use crate::fault;
use crate::frame::Frame;

/// What a vCPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Activity {
    /// It is not running: the embedder answers a system call or does something else.
    Outside,
    /// In the run loop, between two stretches of guest code.
    Dispatch,
    /// Translating a block for the interpreter.
    Translate,
    /// Compiling on the thread that runs the guest.
    Compile,
    /// Interpreting.
    Interpret,
    /// Running compiled code.
    Compiled,
}

impl Activity {
    /// Every activity, in declaration order.
    pub const ALL: [Self; 6] =
        [Self::Outside, Self::Dispatch, Self::Translate, Self::Compile, Self::Interpret, Self::Compiled];

    const fn runs_guest_code(self) -> bool {
        matches!(self, Self::Interpret | Self::Compiled)
    }
}

/// CPU time that guest code at one address took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Address of a guest instruction: in compiled code of a region's entry or of a loop's head.
    pub pc: GuestAddr,
    /// [`Activity::Interpret`] or [`Activity::Compiled`].
    pub activity: Activity,
    /// Nanoseconds.
    pub cpu_ns: u64,
}

/// Where the time of an engine's vCPUs went. Each sample is worth about a millisecond, so small numbers are chance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// CPU time in nanoseconds by activity, in the order of [`Activity::ALL`].
    pub cpu_ns: [u64; Activity::ALL.len()],
    /// CPU time of the whole process.
    pub process_ns: u64,
    /// CPU time of the threads that compile in the background.
    pub background_ns: u64,
    /// CPU time of the thread that took the samples.
    pub sampler_ns: u64,
    /// Samples in guest code, added up by address and activity; the largest first.
    pub samples: Vec<Sample>,
}

/// What one vCPU says of itself, and what was found out of it.
#[derive(Debug)]
pub(crate) struct Meter {
    activity: AtomicU8,
    /// The host's number of the thread that runs the vCPU; zero until it is sampled.
    thread: AtomicI32,
    /// Whether the vCPU is to note where it is.
    wanted: AtomicBool,
    /// Time since it last did: interpreting, in compiled code.
    unplaced: [AtomicU64; 2],
    cpu_ns: [AtomicU64; Activity::ALL.len()],
    /// Its thread's clock when it was last looked at.
    last: AtomicU64,
    samples: Mutex<HashMap<(u64, bool), u64, RandomState>>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            activity: AtomicU8::new(Activity::Outside as u8),
            thread: AtomicI32::new(0),
            wanted: AtomicBool::new(false),
            unplaced: Default::default(),
            cpu_ns: Default::default(),
            last: AtomicU64::new(0),
            samples: Mutex::default(),
        }
    }

    /// Says what the vCPU does from now on.
    #[inline]
    pub(crate) fn now(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// For a vCPU that was called to its run loop: notes where it is, if that is what it was called for.
    pub(crate) fn pass(&self, pc: GuestAddr) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        self.wanted.store(false, Ordering::Relaxed);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        for (compiled, unplaced) in [false, true].into_iter().zip(&self.unplaced) {
            let time = unplaced.swap(0, Ordering::Relaxed);
            if time != 0 {
                *samples.entry((pc.get(), compiled)).or_default() += time;
            }
        }
    }

    /// Charges what the vCPU's thread has used since the last look to what it is doing. Gives how
    /// much that was, and whether it is running guest code.
    fn look(&self) -> (u64, bool) {
        let Some(clock) = clock::cpu_ns(self.thread.load(Ordering::Relaxed)) else { return (0, false) };
        let used = clock.saturating_sub(self.last.swap(clock, Ordering::Relaxed));
        let activity = Activity::ALL[self.activity.load(Ordering::Relaxed) as usize];
        self.cpu_ns[activity as usize].fetch_add(used, Ordering::Relaxed);
        match activity {
            Activity::Interpret => self.unplaced[0].fetch_add(used, Ordering::Relaxed),
            Activity::Compiled => self.unplaced[1].fetch_add(used, Ordering::Relaxed),
            Activity::Outside | Activity::Dispatch | Activity::Translate | Activity::Compile => 0,
        };
        (used, activity.runs_guest_code() && used != 0)
    }
}

/// The samples of an engine.
#[derive(Debug)]
pub(crate) struct Profiler {
    meters: Mutex<Vec<(Arc<Meter>, Weak<Frame>)>>,
    sampler_ns: AtomicU64,
}

impl Profiler {
    /// Has a vCPU sampled from now on, on the calling thread.
    pub(crate) fn enrol(&self, meter: &Arc<Meter>, frame: &Arc<Frame>) {
        if meter.thread.load(Ordering::Relaxed) != 0 {
            return;
        }
        // In the child of a fork nobody may be left who would give the lock back; the next run tries again.
        let Ok(mut meters) = self.meters.try_lock() else { return };
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        meter.last.store(clock::cpu_ns(thread).unwrap_or(0), Ordering::Relaxed);
        meter.thread.store(thread, Ordering::Relaxed);
        meters.push((Arc::clone(meter), Arc::downgrade(frame)));
    }

    /// Looks at every vCPU; gives the CPU time that all of them have used since the last look, in nanoseconds.
    fn look(&self) -> u64 {
        let mut all = 0;
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        for (meter, frame) in meters.iter() {
            // A vCPU that is gone has left what it knew; its thread's number may be another's by now.
            let Some(frame) = frame.upgrade() else { continue };
            let (used, in_guest_code) = meter.look();
            all += used;
            if in_guest_code {
                meter.wanted.store(true, Ordering::Relaxed);
                frame.nudge();
            }
        }
        all
    }
}

impl Engine {
    /// Begins to sample what this engine's vCPUs do, every `period` of the CPU time that they use together, and at most
    /// every `period` of real time; a millisecond gives a profile that is worth reading after a second. Later calls do
    /// nothing.
    ///
    /// Sampling ends in the child of a fork, which has the thread for it no more, and when the engine is dropped.
    pub fn start_profile(self: &Arc<Self>, period: Duration) {
        let profiler = Arc::new(Profiler { meters: Mutex::default(), sampler_ns: AtomicU64::new(0) });
        if self.profiler.set(Arc::clone(&profiler)).is_err() {
            return;
        }
        let engine = Arc::downgrade(self);
        let work = move || {
            let own = rustix::thread::gettid().as_raw_nonzero().get();
            let mut pause = period;
            while engine.strong_count() > 0 {
                thread::sleep(pause);
                let used = profiler.look();
                pause = next_pause(period, pause, used);
                profiler.sampler_ns.store(clock::cpu_ns(own).unwrap_or(0), Ordering::Relaxed);
            }
        };
        let thread = thread::Builder::new().name("tradux-profile".to_owned());
        // Without a thread there are no samples, which shows.
        let _ = fault::with_signals_blocked(|| thread.spawn(work));
    }

    /// What was sampled so far; `None` unless [`Engine::start_profile`] was called.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        let profiler = self.profiler.get()?;
        profiler.look();
        let mut profile = Profile {
            process_ns: clock::process_cpu_ns(),
            sampler_ns: profiler.sampler_ns.load(Ordering::Relaxed),
            ..Profile::default()
        };
        #[cfg(feature = "jit")]
        if let Some(native) = self.native() {
            profile.background_ns = native.cache.counters.background_ns.load(Ordering::Relaxed);
        }
        let mut all: HashMap<(u64, bool), u64, RandomState> = HashMap::default();
        for (meter, _) in profiler.meters.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (sum, own) in profile.cpu_ns.iter_mut().zip(&meter.cpu_ns) {
                *sum += own.load(Ordering::Relaxed);
            }
            for (place, time) in meter.samples.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                *all.entry(*place).or_default() += time;
            }
        }
        profile.samples = all
            .into_iter()
            .map(|((pc, compiled), cpu_ns)| Sample {
                pc: GuestAddr::new(pc),
                activity: if compiled { Activity::Compiled } else { Activity::Interpret },
                cpu_ns,
            })
            .collect();
        profile.samples.sort_by_key(|sample| (std::cmp::Reverse(sample.cpu_ns), sample.pc));
        Some(profile)
    }
}

/// How long to wait for vCPUs to use `period` of CPU time, if they used `used` nanoseconds in the last `pause`: where they
/// wait, or share processors with others, looking more often would cost much and tell nothing.
fn next_pause(period: Duration, pause: Duration, used: u64) -> Duration {
    const LONGEST: u32 = 16;
    let pace = pause.as_nanos() as f64 / (used.max(1)) as f64;
    period.mul_f64(pace.clamp(1.0, f64::from(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_follow_the_time_that_is_used() {
        let ms = Duration::from_millis;
        for (pause, used, expected) in [
            (ms(1), 1_000_000, ms(1)),
            (ms(1), 4_000_000, ms(1)),
            (ms(1), 250_000, ms(4)),
            (ms(4), 1_000_000, ms(4)),
            (ms(4), 4_000_000, ms(1)),
            (ms(1), 0, ms(16)),
        ] {
            assert_eq!(next_pause(ms(1), pause, used), expected, "{pause:?} {used}");
        }
    }

    fn spend(thread: i32, ns: u64) {
        let end = clock::cpu_ns(thread).expect("this thread runs") + ns;
        while clock::cpu_ns(thread).expect("this thread runs") < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn time_is_charged_to_what_is_going_on_and_placed_at_the_next_pass() {
        let profiler = Profiler { meters: Mutex::default(), sampler_ns: AtomicU64::new(0) };
        let (meter, frame) = (Arc::new(Meter::new()), Arc::new(Frame::new()));
        profiler.enrol(&meter, &frame);
        let own = meter.thread.load(Ordering::Relaxed);
        for (activity, nudged) in [
            (Activity::Outside, false),
            (Activity::Translate, false),
            (Activity::Interpret, true),
            (Activity::Compiled, true),
        ] {
            meter.now(activity);
            spend(own, 500_000);
            profiler.look();
            assert_eq!(frame.is_interrupted(), nudged, "{activity:?}");
            assert!(!frame.take_interrupt(), "the run does not come back for it");
            meter.pass(GuestAddr::new(0x100 + activity as u64));
            assert!(meter.cpu_ns[activity as usize].load(Ordering::Relaxed) >= 500_000);
        }
        assert_eq!(meter.cpu_ns[Activity::Dispatch as usize].load(Ordering::Relaxed), 0);
        let samples = meter.samples.lock().unwrap();
        let mut places: Vec<_> = samples.keys().copied().collect();
        places.sort_unstable();
        assert_eq!(places, [(0x104, false), (0x105, true)]);
        assert_eq!(samples[&(0x105, true)], meter.cpu_ns[Activity::Compiled as usize].load(Ordering::Relaxed));
    }
}
