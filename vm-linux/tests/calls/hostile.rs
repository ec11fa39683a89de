//! Arguments that no well-behaved program gives: an error is the answer, never harm.

use std::time::Duration;

use vm_linux::table;

use crate::random_calls::{Choices, OWN_SIGNALS, Outcome, SPARED, in_child, memory, rows, sequence};
use crate::{Guest, WILD};

/// Calls that may wait for something that never comes.
const WAIT: &[&str] = &[
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "accept",
    "accept4",
    "connect",
    "futex",
    "futex_wait",
    "futex_waitv",
    "nanosleep",
    "clock_nanosleep",
    "ppoll",
    "pselect6",
    "epoll_pwait",
    "epoll_pwait2",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "mq_timedreceive",
    "mq_timedsend",
    "fcntl",
    "flock",
    "wait4",
    "waitid",
    "openat",
    "openat2",
];

/// Text that looks random and is the same each time.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The first seed and how many there are: the same few each time, unless `HOSTILE=SEED,COUNT` asks for others.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("HOSTILE").ok();
    let asked = asked
        .as_deref()
        .and_then(|text| text.split_once(','))
        .map(|(seed, count)| (seed.parse::<u64>().expect("a seed"), count.parse::<u64>().expect("a number of seeds")));
    let (first, count) = asked.unwrap_or((0, usual));
    first..first + count
}

#[test]
fn every_call_survives_random_arguments() {
    let mut g = Guest::new();
    let dir = crate::folder::folder("hostile");
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    for row in rows() {
        let waits = WAIT.contains(&row.name);
        let time = if waits { Duration::from_millis(150) } else { Duration::from_secs(20) };
        let outcome = in_child(&mut g.process, &dir, time, |process| {
            for round in seeds(60) {
                let seed = round << 32 | u64::from(row.generic);
                // Memory afresh: a call may have unmapped it.
                let memory = memory(process, seed);
                let _ = Choices(&noise(seed, 128)).call(row, process, memory);
            }
        });
        let good = match outcome {
            Outcome::Exited(status) => status == 0,
            Outcome::Killed(signal) => OWN_SIGNALS.contains(&signal),
            Outcome::Waited => waits,
        };
        assert!(good, "{}: {outcome:?}", row.name);
    }
}

/// Numbers that nothing has, and addresses that nobody has: each call fails or does nothing.
#[test]
fn every_call_survives_wild_addresses() {
    let mut g = Guest::new();
    let dir = crate::folder::folder("wild");
    let outcome = in_child(&mut g.process, &dir, Duration::from_secs(60), |process| {
        for row in rows() {
            for wild in [WILD, u64::MAX, (1 << 46) - 1, 1 << 47, 8] {
                for number in [77, u64::MAX] {
                    // Each argument is an address in one of the calls, and a number in the others.
                    for addresses in [0b11_1111, 0b10_1010, 0b01_0101, 0b00_1110, 0b11_0010] {
                        let args = std::array::from_fn(|index| if addresses >> index & 1 == 1 { wild } else { number });
                        let _ = process.system_call(row.generic.into(), args);
                    }
                }
            }
        }
    });
    assert_eq!(outcome, Outcome::Exited(0));
    for name in SPARED {
        assert!(table::by_name(name).is_some(), "{name}");
    }
}

/// What the fuzz target does, for a moment: calls that meet what others have left.
#[test]
fn sequences_of_random_calls_do_no_harm() {
    let mut g = Guest::new();
    let dir = crate::folder::folder("sequences");
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    for round in seeds(40) {
        let bytes = noise(round + 1000, 8192);
        let outcome = in_child(&mut g.process, &dir, Duration::from_millis(300), |process| sequence(&bytes, process));
        // Some call of many may wait for ever, or send a signal to its own process by a timer.
        let good = match outcome {
            Outcome::Exited(status) => status == 0,
            Outcome::Killed(signal) => OWN_SIGNALS.contains(&signal) || signal > 31,
            Outcome::Waited => true,
        };
        assert!(good, "round {round}: {outcome:?}");
    }
}
