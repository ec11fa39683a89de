//! CPU clocks of threads.

use rustix::time::{ClockId, clock_gettime};

/// CPU time of the calling thread in nanoseconds.
#[cfg(feature = "jit")]
pub(crate) fn own_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds of the clock that tells when, not how long a thread ran (`CLOCK_MONOTONIC`).
#[cfg(feature = "jit")]
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// CPU time of this process, all its threads together, in nanoseconds.
pub(crate) fn process_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// CPU time of a thread of this process in nanoseconds; `None` once it has ended. `thread` is the host's number.
pub(crate) fn cpu_ns(thread: i32) -> Option<u64> {
    /// The kernel's name for a thread's own clock: the number's complement, "of a thread", "as scheduled"
    /// (`include/linux/posix-timers.h`).
    const OF_A_THREAD: i32 = 4 | 2;
    let clock = (!thread << 3) | OF_A_THREAD;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local; a clock that does not exist is an error and nothing more.
    let done = unsafe { libc::clock_gettime(clock, &raw mut now) };
    (done == 0).then(|| now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_clock_is_found_by_number_and_advances() {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        let before = cpu_ns(own).expect("this thread runs");
        let mut sum = 1_u64;
        while cpu_ns(own).expect("this thread runs") < before + 2_000_000 {
            sum = std::hint::black_box(sum.wrapping_mul(3));
        }
        assert_eq!(cpu_ns(i32::MAX - 7), None, "there is no such thread");
    }
}
