//! Disturbance at random, for tests: what may happen to a running guest at any time, far more often than it does.
//!
//! A thread interrupts vCPUs, evicts compiled code, drops translations and declares guest code changed, and compile
//! threads dawdle. A guest must not notice any of it.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use vm_core::GuestRange;

use crate::clock;
use crate::engine::Engine;
use crate::fault;
use crate::threads;

/// A generator of numbers that look random: equal seeds give equal numbers (Marsaglia, "Xorshift RNGs", 2003).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Disturbs `engine` from now on, if its configuration asks for it, until it is dropped.
pub(crate) fn start(engine: &Arc<Engine>) {
    let Some(seed) = engine.config.disturb else { return };
    let engine = Arc::downgrade(engine);
    let thread = thread::Builder::new().name("tradux-disturb".to_owned());
    // A host without room for a thread is disturbed enough.
    let _ = fault::with_signals_blocked(|| threads::spawn(thread, move || run(&engine, Random::new(seed))));
}

/// Where nothing is interpreted, processor time that the process has between two losses of its code, in nanoseconds.
const TO_COMPILE: u64 = 200_000_000;

fn run(engine: &Weak<Engine>, mut random: Random) {
    let mut pause = Duration::from_millis(1);
    let mut lost = 0u64;
    loop {
        thread::sleep(pause);
        let Some(engine) = engine.upgrade() else { return };
        // Where nothing is interpreted, dropped code has to be compiled before the guest gets any further.
        let pace = if engine.config.tier.compiles_first() { 100 } else { 1 };
        pause = Duration::from_micros(pace * (50 + random.below(1500)));
        let choice = random.below(16);
        // On a busy machine time passes in which nothing is compiled, and the guest would never get on.
        if matches!(choice, 0 | 4 | 5) && engine.config.tier.compiles_first() {
            let used = clock::process_cpu_ns();
            if used.saturating_sub(lost) < TO_COMPILE {
                engine.nudge();
                continue;
            }
            lost = used;
        }
        match choice {
            0 => engine.invalidate(GuestRange::everything()),
            1 | 2 => engine.doubt_code(),
            3 => engine.restart_cache(engine.cache_number.load(std::sync::atomic::Ordering::Relaxed)),
            #[cfg(feature = "jit")]
            4 | 5 => {
                if let Some(native) = engine.native() {
                    native.cache.clear();
                }
            }
            _ => engine.nudge(),
        }
    }
}

/// Lets a compile thread wait, if the configuration asks for it.
#[cfg(feature = "jit")]
pub(crate) fn dawdle(engine: &Engine, key: vm_core::BlockKey) {
    if let (Some(seed), crate::config::TierPolicy::Auto) = (engine.config.disturb, engine.config.tier) {
        let micros = Random::new(seed ^ key.pc.get()).below(3000);
        thread::sleep(Duration::from_micros(micros));
    }
}
