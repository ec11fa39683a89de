//! Results that are more than a number, and what a signal makes of a call that it interrupts.

use super::call::{Call, bits, record_at};
use super::names as n;
use super::record::{Record, hex, i32_at, u16_at};
use super::status;
use super::text::{Line, put};
use super::variant::FUTEX_COMMAND;
use crate::user::User;

/// The result of a call that has worked, and what it says besides.
pub(super) fn outcome(call: &Call, value: u64, user: User<'_>) -> String {
    let mut l = Line::default();
    let option = call.args[0] as i32;
    match call.name() {
        "mmap" | "brk" | "mremap" | "shmat" => put!(l, "{value:#x}"),
        "umask" => l.mode(value as u32),
        "fcntl" => descriptor_state(call.args[1] as i32, value, &mut l),
        "personality" if value == 0 => l.push("0 (PER_LINUX)"),
        "personality" => in_hex(value, "", &n::PERSONALITY, &mut l),
        "membarrier" if value != 0 => in_hex(value, "", &n::MEMBARRIER_SET, &mut l),
        "prctl" if option == libc::PR_GET_SECUREBITS && value != 0 => in_hex(value, "", &n::SECBIT, &mut l),
        "prctl" if option == libc::PR_GET_DUMPABLE => named(value, &n::SUID_DUMP, &mut l),
        "prctl" if option == libc::PR_MCE_KILL_GET => named(value, &n::MCE_KILL_POLICY, &mut l),
        "sched_getscheduler" => named(value, &n::SCHED, &mut l),
        "adjtimex" | "clock_adjtime" => named(value, &status::CLOCK_STATE, &mut l),
        "ioprio_get" => {
            put!(l, "{value} (");
            status::io_priority(value, &mut l);
            l.push(")");
        }
        "ppoll" | "pselect6" if value == 0 => l.push("0 (Timeout)"),
        "ppoll" => {
            put!(l, "{value} (");
            polled(call.args[0], call.args[1], user, &mut l);
            left(call.args[2], ", ", user, &mut l);
            l.push(")");
        }
        "pselect6" => selected(call, value, user, &mut l),
        "recvmmsg" if value != 0 && call.args[4] != 0 => {
            put!(l, "{value} (");
            left(call.args[4], "", user, &mut l);
            l.push(")");
        }
        "rt_sigtimedwait" => put!(l, "{value} ({})", n::signal(value)),
        _ => put!(l, "{}", value as i64),
    }
    l.into_string()
}

/// A number and its name.
fn named(value: u64, names: &n::Names, l: &mut Line) {
    put!(l, "{value} (");
    names.write(value, l);
    l.push(")");
}

/// A number in hexadecimal and its names.
fn in_hex(value: u64, before: &str, names: &n::Names, l: &mut Line) {
    hex(value, l);
    put!(l, " ({before}");
    names.write(value, l);
    l.push(")");
}

/// The time that is left of a timeout.
fn left(addr: u64, before: &str, user: User<'_>, l: &mut Line) {
    if addr != 0 {
        put!(l, "{before}left ");
        record_at(Record::Timespec, addr, user, l);
    }
}

/// What a command of `fcntl` has found.
fn descriptor_state(command: i32, value: u64, l: &mut Line) {
    // `asm-generic/fcntl.h`.
    const F_GETSIG: i32 = 11;
    match command {
        libc::F_GETLEASE => in_hex(value, "", &n::LOCK_TYPE, l),
        libc::F_GETFL => in_hex(value, "flags ", &n::OPEN, l),
        libc::F_GETFD if value != 0 => in_hex(value, "flags ", &n::FD_FLAGS, l),
        libc::F_GET_SEALS if value != 0 => in_hex(value, "seals ", &n::SEALS, l),
        F_GETSIG if value != 0 => put!(l, "{value} ({})", n::signal(value)),
        _ => put!(l, "{}", value as i64),
    }
}

/// The descriptors that `pselect6` has found ready.
fn selected(call: &Call, value: u64, user: User<'_>, l: &mut Line) {
    put!(l, "{value} (");
    let mut between = "";
    let len = ((call.args[0] as u32).div_ceil(64) * 8).min(128) as usize;
    for (index, word) in [(1, "in "), (2, "out "), (3, "except ")] {
        let set = call.args[index];
        let some = user.bytes(set, len).is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0));
        if set != 0 && some {
            put!(l, "{between}{word}");
            bits(set, call.args[0], user, l);
            between = ", ";
        }
    }
    left(call.args[4], between, user, l);
    l.push(")");
}

/// What a kernel says inside of a call that a signal interrupts. Programs see `EINTR`, or nothing if the call is made again.
const RESTARTED: &str = "? ERESTARTSYS (To be restarted if SA_RESTART is set)";
const RESTARTED_ALWAYS: &str = "? ERESTARTNOINTR (To be restarted)";
const RESTARTED_WITHOUT_HANDLER: &str = "? ERESTARTNOHAND (To be restarted if no handler)";
const CONTINUED: &str = "? ERESTART_RESTARTBLOCK (Interrupted by signal)";

/// Calls that are made again if the signal's action asks for that (`signal(7)`, "Interruption of system calls").
const RESTARTABLE: &[&str] = &[
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "openat",
    "openat2",
    "ioctl",
    "fcntl",
    "flock",
    "wait4",
    "waitid",
    "accept",
    "accept4",
    "connect",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "splice",
    "tee",
    "vmsplice",
    "sendfile",
    "futex",
    "mq_timedsend",
    "mq_timedreceive",
    "getrandom",
];

/// The result of a call that a signal has interrupted, which the program finds as `EINTR`. If the signal's action
/// `restarts` calls, this one is none of those that can be made again: a socket with a timeout, say.
pub(super) fn interrupted(call: &Call, restarts: bool) -> Option<&'static str> {
    match call.name() {
        "ppoll" | "pselect6" | "rt_sigsuspend" | "msgsnd" | "msgrcv" => Some(RESTARTED_WITHOUT_HANDLER),
        "nanosleep" => Some(CONTINUED),
        "clock_nanosleep" if call.args[1] & libc::TIMER_ABSTIME as u64 == 0 => Some(CONTINUED),
        "clock_nanosleep" => Some(RESTARTED_WITHOUT_HANDLER),
        "futex" if waits_for_a_time(call) => Some(CONTINUED),
        name => (!restarts && RESTARTABLE.contains(&name)).then_some(RESTARTED),
    }
}

/// The result of a call that is made again after a signal.
pub(super) fn repeated(call: &Call) -> &'static str {
    match call.name() {
        "futex" if matches!(futex_command(call), libc::FUTEX_LOCK_PI | FUTEX_LOCK_PI2) => RESTARTED_ALWAYS,
        _ => RESTARTED,
    }
}

// `linux/futex.h`.
const FUTEX_LOCK_PI2: i32 = 13;

fn futex_command(call: &Call) -> i32 {
    (call.args[1] & FUTEX_COMMAND) as i32
}

fn waits_for_a_time(call: &Call) -> bool {
    matches!(futex_command(call), libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET) && call.args[3] != 0
}

/// Descriptors for which something has happened.
fn polled(addr: u64, count: u64, user: User<'_>, l: &mut Line) {
    let count = (count as u32 as usize).min(1024);
    let Ok(bytes) = user.bytes(addr, count * 8) else {
        l.address(addr);
        return;
    };
    l.list(bytes.chunks_exact(8).filter(|one| u16_at(one, 6) != 0), |l, one| {
        put!(l, "{{fd={}, revents=", i32_at(one, 0));
        n::POLL.write(u16_at(one, 6).into(), l);
        l.push("}");
    });
}
