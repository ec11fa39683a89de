//! Waiting awake for what another thread is about to do.
//!
//! To fall asleep and be woken costs five to fifteen microseconds of processor time, of which the waker pays a part, and
//! takes longer than that. A thread whose waits are shorter is better off looking. Waiting awake for as long as sleeping
//! would cost, and then sleeping, never costs more than twice the best choice (A. Karlin et al., "Competitive randomized
//! algorithms for nonuniform problems", SODA 1990). A thread that learns from its last waits mostly does better: it waits
//! awake for longer than that now and then, but only if its last wait was short, and ever more rarely if that was in vain.
//!
//! Two threads that take turns asleep find that the other is slow, for it has to wake up first: they only learn better if
//! they try at the same time. So attempts of threads that have learnt to sleep are made in certain milliseconds, by the
//! clock that all threads have in common.

use std::hint;
use std::time::Duration;

use crate::errno::Errno;
use crate::host::{self, Arg};

/// How long a thread waits awake at most: for another one that is being woken.
const LONGEST: Duration = Duration::from_micros(40);
/// A wait awake that takes longer is no better than one asleep.
const WORTH_IT: Duration = Duration::from_micros(8);
/// A wait asleep that takes less may be a short one, once falling asleep and waking up are taken off it.
const SHORT_SLEEP: Duration = Duration::from_micros(100);
/// Pauses between two looks.
const PAUSES: u32 = 8;
/// Attempts in a row that are not worth it before the thread makes them more rarely.
const MAX_FAILURES: u32 = 3;
/// Attempts get no rarer than in one of 1024 milliseconds.
const MAX_RARITY: u32 = 10;

/// What a thread has learnt about its waits.
#[derive(Debug, Default)]
pub(crate) struct SpinWait {
    /// The last wait was a short one.
    is_short: bool,
    /// Attempts in a row that were not worth it.
    failures: u32,
    /// Attempts are made in milliseconds that are multiples of the power of two with this exponent; always, if it is 0.
    rarity: u32,
    /// The millisecond of the last of [`MAX_FAILURES`].
    given_up: u64,
}

impl SpinWait {
    /// Waits awake for a moment as long as `waits`, if that looks worth it; otherwise, or if that takes too long, does
    /// `sleep` and returns what that gave.
    pub(crate) fn wait<T>(
        &mut self,
        waits: impl FnMut() -> bool,
        sleep: impl FnOnce() -> Result<T, Errno>,
    ) -> Option<Result<T, Errno>> {
        let mut began = now();
        if self.is_short && self.is_time(began) {
            if self.is_over_soon(began, waits) {
                return None;
            }
            began = now();
        }
        let slept = sleep();
        // A word that had changed before the call is a wait of no length; what else fails is none.
        let is_wait = matches!(slept, Ok(_) | Err(Errno::EAGAIN));
        self.is_short = is_wait && now().saturating_sub(began) < SHORT_SLEEP;
        Some(slept)
    }

    /// Whether attempts are made at `now`.
    fn is_time(&self, now: Duration) -> bool {
        let ms = now.as_millis() as u64;
        self.rarity == 0 || ms.is_multiple_of(1 << self.rarity) && ms != self.given_up
    }

    /// Waits awake from `began` on, and learns from it. False if that takes too long.
    fn is_over_soon(&mut self, began: Duration, mut waits: impl FnMut() -> bool) -> bool {
        let (took, is_over) = loop {
            let is_over = !waits();
            let took = now().saturating_sub(began);
            if is_over || took > LONGEST {
                break (took, is_over);
            }
            (0..PAUSES).for_each(|_| hint::spin_loop());
        };
        if is_over && took <= WORTH_IT {
            (self.failures, self.rarity) = (0, 0);
            return true;
        }
        self.failures += 1;
        if self.failures == MAX_FAILURES {
            self.failures = 0;
            self.given_up = began.as_millis() as u64;
            self.rarity = if has_processors() { (self.rarity + 1).min(MAX_RARITY) } else { MAX_RARITY };
        }
        is_over
    }
}

/// The time by the clock of all threads of the host.
fn now() -> Duration {
    let [seconds, nanoseconds] = host::clock(libc::CLOCK_MONOTONIC).unwrap_or_default();
    Duration::new(seconds, nanoseconds as u32)
}

/// Whether the calling thread may run on several processors: on one, nobody does anything while it looks.
fn has_processors() -> bool {
    /// Bytes of the set: for 4096 processors. Where there are more the host refuses.
    const LEN: usize = 512;
    let mut set = [0; LEN];
    let filled = host::call(&host::SCHED_GETAFFINITY, &mut [Arg::Int(0), Arg::Int(LEN as u64), Arg::Bytes(&mut set)]);
    filled.is_err() || set.iter().map(|byte: &u8| byte.count_ones()).sum::<u32>() > 1
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn long_waits_are_left_to_the_host() {
        let mut spin = SpinWait::default();
        for _ in 0..10 {
            let sleep = || {
                thread::sleep(SHORT_SLEEP);
                Ok(())
            };
            assert_eq!(spin.wait(|| unreachable!("a wait like the last ones is long"), sleep), Some(Ok(())));
        }
    }

    #[test]
    fn a_call_that_fails_is_no_wait() {
        let mut spin = SpinWait::default();
        for error in [Errno::EFAULT, Errno::EINTR, Errno::EFAULT] {
            let slept = spin.wait(|| unreachable!("nothing was short"), || Err::<(), _>(error));
            assert_eq!(slept, Some(Err(error)));
        }
        spin.wait(|| true, || Err::<(), _>(Errno::EAGAIN));
        assert!(spin.is_short, "the word had changed by then");
    }

    #[test]
    fn attempts_in_vain_become_rare() {
        let mut spin = SpinWait::default();
        let mut attempts = 0;
        for wait in 0..100_000 {
            let mut tried = 0;
            let look = || {
                tried = 1;
                true
            };
            assert_eq!(spin.wait(look, || Ok(wait)), Some(Ok(wait)));
            attempts += tried;
        }
        // A few for each power of two, and for each second.
        assert!((3..1000).contains(&attempts), "{attempts}");
    }

    #[test]
    fn attempts_are_made_in_the_same_milliseconds() {
        let at = |rarity, given_up, ms: u64| {
            let spin = SpinWait { rarity, given_up, ..SpinWait::default() };
            spin.is_time(Duration::from_micros(ms * 1000 + 999))
        };
        assert!(at(0, 0, 7) && at(0, 7, 7));
        assert!(at(3, 8, 16) && at(2, 8, 16) && at(1, 8, 16));
        assert!(!at(3, 16, 16) && !at(3, 8, 20));
    }

    #[test]
    fn short_waits_are_spent_awake() {
        let mut spin = SpinWait::default();
        assert_eq!(spin.wait(|| unreachable!("nothing is known of the first wait"), || Ok(())), Some(Ok(())));
        let mut over_at_the_third_look = || {
            let mut left = 3;
            let look = || {
                left -= 1;
                left > 0
            };
            spin.wait(look, || Ok(())).is_none()
        };
        // The host may keep us from running now and then.
        assert!((0..100).filter(|_| over_at_the_third_look()).count() > 50);
    }
}
