//! Arguments whose meaning depends on others, and results that are more than a number.

use super::call::{Call, Moment, bits, record_at};
use super::names as n;
use super::record::{Record, file_mode, hex, i32_at, u16_at, u32_at, u64_at};
use super::socket;
use super::text::{Line, put};
use crate::calls::ioctl;
use crate::user::{PATH_MAX, User};

/// Number of arguments that mean something; `None` if all do.
pub(super) fn count(name: &str, args: &[u64; 6]) -> Option<usize> {
    // `linux/futex.h`.
    const FUTEX_COMMAND: u64 = 0x7f;
    let command = args[1] as i32;
    match name {
        "fcntl" => matches!(
            command,
            libc::F_GETFD
                | libc::F_GETFL
                | libc::F_GETOWN
                | 11
                | libc::F_GETLEASE
                | libc::F_GETPIPE_SZ
                | libc::F_GET_SEALS
        )
        .then_some(2),
        "futex" => match args[1] & FUTEX_COMMAND {
            0 | 6 | 13 => Some(4),
            1 => Some(3),
            7 | 8 => Some(2),
            10 => Some(6),
            _ => None,
        },
        "prctl" => match args[0] as i32 {
            libc::PR_SET_NAME | libc::PR_GET_NAME | libc::PR_SET_PDEATHSIG | libc::PR_GET_PDEATHSIG => Some(2),
            libc::PR_GET_DUMPABLE | libc::PR_GET_KEEPCAPS | libc::PR_GET_SECCOMP | libc::PR_GET_TIMERSLACK => Some(1),
            libc::PR_SET_DUMPABLE | libc::PR_SET_KEEPCAPS | libc::PR_SET_TIMERSLACK | libc::PR_CAPBSET_READ => Some(2),
            libc::PR_SET_CHILD_SUBREAPER | libc::PR_GET_CHILD_SUBREAPER => Some(2),
            _ => None,
        },
        "clone" => Some(1),
        "semctl" => None,
        "membarrier" => Some(2),
        "rt_sigreturn" => Some(0),
        // The device counts for devices alone.
        "mknodat" => (!matches!(args[2] as u32 & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK)).then_some(3),
        "accept" | "accept4" => None,
        "mremap" => (args[3] & (libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP) as u64 == 0).then_some(4),
        _ => None,
    }
}

/// Whether an argument before the last means nothing.
pub(super) fn skips(name: &str, args: &[u64; 6], index: usize) -> bool {
    // FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET: their mask is the sixth.
    name == "futex" && index == 4 && matches!(args[1] & 0x7f, 9 | 10)
}

/// Appends an argument of a call that has a way of its own. `None` if it has none, `Some(false)` if the argument is to
/// be said when the call has ended.
pub(super) fn argument(call: &Call, index: usize, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Option<bool> {
    let value = call.args[index];
    let entry = moment == Moment::Entry;
    let worked = moment.value().is_some();
    match (call.name(), index) {
        ("fcntl", 2) => return fcntl_operand(call, moment, user, l),
        ("ioctl", 1) => ioctl_request(value as u32, l),
        ("ioctl", 2) => return ioctl_operand(call, moment, user, l),
        ("futex", 1) => {
            let name = n::FUTEX.name(value & 0x7f);
            match name {
                Some(name) => {
                    put!(l, "{name}{}", if value & 0x80 == 0 { "" } else { "_PRIVATE" });
                    if value & 0x100 != 0 {
                        l.push("|FUTEX_CLOCK_REALTIME");
                    }
                    if value & 0xffff_fe00 != 0 {
                        put!(l, "|{:#x}", value & 0xffff_fe00);
                    }
                }
                None => n::FUTEX.write(value & 0xffff_ffff, l),
            }
        }
        ("futex", 3) => match call.args[1] & 0x7f {
            0 | 6 | 9 | 11 | 13 => record_at(Record::Timespec, value, user, l),
            _ => put!(l, "{value}"),
        },
        ("futex", 5) => match value as u32 {
            u32::MAX if matches!(call.args[1] & 0x7f, 9 | 10) => l.push("FUTEX_BITSET_MATCH_ANY"),
            value => hex(value.into(), l),
        },
        ("clone", 0) => return clone(call, moment, user, l),
        ("personality", 0) if value as u32 == u32::MAX => l.push("0xffffffff"),
        ("prctl", 1) => match call.args[0] as i32 {
            libc::PR_SET_NAME => return Some(text(value, 16, user, l)),
            libc::PR_GET_NAME if entry => return Some(false),
            libc::PR_GET_NAME if worked => return Some(text(value, 16, user, l)),
            libc::PR_SET_PDEATHSIG => l.push(&n::signal(value)),
            libc::PR_GET_PDEATHSIG | libc::PR_GET_CHILD_SUBREAPER if entry => return Some(false),
            libc::PR_GET_PDEATHSIG | libc::PR_GET_CHILD_SUBREAPER if worked => {
                record_at(Record::Number, value, user, l)
            }
            _ => number(value, l),
        },
        ("prctl", 2..=4) => hex(value, l),
        ("socket" | "socketpair", 2) => match call.args[0] as i32 {
            libc::AF_INET | libc::AF_INET6 => n::IPPROTO.write(value & 0xffff_ffff, l),
            libc::AF_NETLINK => n::NETLINK.write(value & 0xffff_ffff, l),
            _ => number(value, l),
        },
        ("setsockopt" | "getsockopt", 2) => match call.args[1] as i32 {
            libc::SOL_SOCKET => n::SO.write(value & 0xffff_ffff, l),
            libc::SOL_IP => n::IP.write(value & 0xffff_ffff, l),
            libc::SOL_IPV6 => n::IPV6.write(value & 0xffff_ffff, l),
            libc::SOL_TCP => n::TCP.write(value & 0xffff_ffff, l),
            _ => hex(value & 0xffff_ffff, l),
        },
        ("setsockopt", 3) => socket::option_value(value, call.args[4], user, l),
        ("getsockopt", 3) if entry => return Some(false),
        ("getsockopt", 3) if worked => {
            let len = user.bytes(call.args[4], 4).map_or(0, |bytes| i32_at(&bytes, 0) as u64);
            socket::option_value(value, len, user, l);
        }
        ("getsockopt", 3) => l.address(value),
        ("recvmsg", 1) if entry => return Some(false),
        ("recvmsg", 1) => match (user.bytes(value, 56), moment.value()) {
            (Ok(bytes), Some(len)) => socket::message(&bytes, user, Some(len), l),
            (Ok(bytes), None) => put!(l, "{{msg_namelen={}}}", u32_at(&bytes, 8)),
            (Err(_), _) => l.address(value),
        },
        ("pselect6", 1..=3) if value != 0 => bits(value, call.args[0], user, l),
        ("pselect6", 5) if value != 0 => match user.bytes(value, 16) {
            Ok(bytes) => {
                l.push("{sigmask=");
                record_at(Record::SigSet, u64_at(&bytes, 0), user, l);
                put!(l, ", sigsetsize={}}}", u64_at(&bytes, 8));
            }
            Err(_) => l.address(value),
        },
        ("nanosleep", 1) | ("clock_nanosleep", 3) => {
            if entry {
                return Some(false);
            }
            match moment {
                Moment::Done(Err(crate::kernel::Stop::Error(crate::Errno::EINTR)), _) => {
                    record_at(Record::Timespec, value, user, l);
                }
                _ => l.address(value),
            }
        }
        ("getrandom", 0) if entry => return Some(false),
        ("getrandom", 0) => match moment.value().map(|len| (len, user.bytes(value, len.min(32) as usize))) {
            Some((len, Ok(bytes))) => {
                l.push("\"");
                bytes.iter().for_each(|byte| put!(l, "\\x{byte:02x}"));
                l.push(if len > 32 { "\"..." } else { "\"" });
            }
            _ => l.address(value),
        },
        ("sched_getaffinity", 2) if entry => return Some(false),
        ("sched_getaffinity", 2) => match moment.value() {
            Some(bytes) => bits(value, bytes * 8, user, l),
            None => l.address(value),
        },
        ("sched_setaffinity", 2) => bits(value, call.args[1].min(128) * 8, user, l),
        ("msgget" | "semget" | "shmget", 0) if value as i32 == 0 => l.push("IPC_PRIVATE"),
        ("msgget" | "semget" | "shmget", 0) => hex(value & 0xffff_ffff, l),
        ("msgget" | "semget", 1 | 2) if (index == 1) == (call.name() == "msgget") => ipc_flags(value, &n::IPC_GET, l),
        ("shmget", 2) => ipc_flags(value, &n::SHM_GET, l),
        ("semctl", 3) => match call.args[2] as i32 {
            16 => number(value, l),
            _ => l.address(value),
        },
        ("msgctl" | "shmctl" | "semctl", index) if index + 1 == call_len(call.name()) => l.address(value),
        ("mknodat", 2) => file_mode(value as u32, l),
        ("execve", 1) | ("execveat", 2) => strings(value, user, l),
        ("execve", 2) | ("execveat", 3) => {
            l.address(value);
            if let Some(count) = pointers(value, user) {
                put!(l, " /* {count} var{} */", if count == 1 { "" } else { "s" });
            }
        }
        ("rt_sigaction", 3) | ("rt_sigprocmask", 3) => number(value, l),
        ("kcmp", 3..) | ("unshare", 1..) => number(value, l),
        ("waitid" | "rt_sigtimedwait", _) if entry && call.returns_info(index) => return Some(false),
        ("set_robust_list", 1) => number(value, l),
        ("exit" | "exit_group", 0) => put!(l, "{}", value as i32),
        _ => return None,
    }
    Some(true)
}

impl Call {
    /// Whether the argument is a signal's record that the call writes.
    fn returns_info(&self, index: usize) -> bool {
        (self.name(), index) == ("waitid", 2) || (self.name(), index) == ("rt_sigtimedwait", 1)
    }
}

/// Arguments of a call of System V interprocess communication.
fn call_len(name: &str) -> usize {
    if name == "semctl" { 4 } else { 3 }
}

fn number(value: u64, l: &mut Line) {
    put!(l, "{}", value as i64);
}

fn text(addr: u64, most: usize, user: User<'_>, l: &mut Line) -> bool {
    match user.string(addr, most + 1) {
        Ok(text) => l.quoted(text.as_bytes(), most),
        Err(_) => l.address(addr),
    }
    true
}

/// Flags of a `get` call, whose low bits are a mode.
fn ipc_flags(value: u64, names: &n::Names, l: &mut Line) {
    let value = value & 0xffff_ffff;
    if value & !0o777 != 0 {
        names.write(value & !0o777, l);
        l.push("|");
    }
    l.mode((value & 0o777) as u32);
}

fn fcntl_operand(call: &Call, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Option<bool> {
    let value = call.args[2];
    let entry = moment == Moment::Entry;
    match call.args[1] as i32 {
        libc::F_SETFL => n::OPEN.write(value & 0xffff_ffff, l),
        libc::F_SETFD => n::FD_FLAGS.write(value & 0xffff_ffff, l),
        libc::F_SETLK | libc::F_SETLKW | libc::F_OFD_SETLK | libc::F_OFD_SETLKW => {
            record_at(Record::Flock, value, user, l);
        }
        libc::F_GETLK | libc::F_OFD_GETLK | 16 if entry => return Some(false),
        libc::F_GETLK | libc::F_OFD_GETLK => record_at(Record::Flock, value, user, l),
        // F_SETOWN_EX and F_GETOWN_EX.
        15 | 16 => record_at(Record::OwnerEx, value, user, l),
        // F_SETSIG.
        10 => l.push(&n::signal(value)),
        libc::F_SETLEASE => n::LOCK_TYPE.write(value & 0xffff_ffff, l),
        libc::F_ADD_SEALS => n::SEALS.write(value & 0xffff_ffff, l),
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC | libc::F_SETOWN | libc::F_SETPIPE_SZ => put!(l, "{}", value as i32),
        _ => hex(value, l),
    }
    Some(true)
}

fn ioctl_request(request: u32, l: &mut Line) {
    match ioctl::name(request) {
        Some(name) => l.push(name),
        None => {
            let direction = ["_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"][(request >> 30) as usize];
            let (kind, number, size) = (request >> 8 & 0xff, request & 0xff, request >> 16 & 0x3fff);
            let short = |value: u32| if value == 0 { "0".to_owned() } else { format!("{value:#x}") };
            put!(l, "_IOC({direction}, {}, {}, {})", short(kind), short(number), short(size));
        }
    }
}

fn ioctl_operand(call: &Call, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Option<bool> {
    let value = call.args[2];
    let (record, written) = match ioctl::name(call.args[1] as u32) {
        Some("TIOCGWINSZ") => (Record::Winsize, true),
        Some("TIOCSWINSZ") => (Record::Winsize, false),
        Some("TCGETS") => (Record::Termios, true),
        Some("TCSETS" | "TCSETSW" | "TCSETSF") => (Record::Termios, false),
        Some("FIONREAD" | "TIOCGPGRP" | "TIOCOUTQ" | "TIOCGPTN" | "TIOCGSID" | "BLKSSZGET" | "RNDGETENTCNT") => {
            (Record::Number, true)
        }
        Some("FIONBIO" | "FIOASYNC" | "TIOCSPGRP" | "TIOCSPTLCK" | "BLKROSET") => (Record::Number, false),
        Some("BLKGETSIZE64" | "BLKGETSIZE" | "FIOQSIZE") => (Record::Word, true),
        _ => {
            l.address(value);
            return Some(true);
        }
    };
    match moment {
        Moment::Entry if written => return Some(false),
        Moment::Done(Err(_), _) => l.address(value),
        _ => record_at(record, value, user, l),
    }
    Some(true)
}

/// All of a `clone`, in the order in which people read it.
fn clone(call: &Call, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Option<bool> {
    if moment == Moment::Entry {
        return Some(false);
    }
    let [flags, stack, parent, tls, child, _] = call.args;
    let has = |flag: i32| flags & flag as u32 as u64 != 0;
    l.push("child_stack=");
    l.address(stack);
    l.push(", flags=");
    let (low, high) = (flags & 0xff, flags & 0xffff_ff00);
    if high != 0 || low == 0 {
        n::CLONE.write(high, l);
    }
    if low != 0 {
        put!(l, "{}{}", if high == 0 { "" } else { "|" }, n::signal(low));
    }
    if has(libc::CLONE_PARENT_SETTID) || has(libc::CLONE_PIDFD) {
        l.push(", parent_tid=");
        match moment.value() {
            Some(_) => record_at(Record::Number, parent, user, l),
            None => l.address(parent),
        }
    }
    if has(libc::CLONE_SETTLS) {
        l.push(", tls=");
        l.address(tls);
    }
    if has(libc::CLONE_CHILD_SETTID) || has(libc::CLONE_CHILD_CLEARTID) {
        l.push(", child_tidptr=");
        l.address(child);
    }
    Some(true)
}

/// Number of pointers in an array that ends with a null one.
fn pointers(addr: u64, user: User<'_>) -> Option<u64> {
    const MOST: u64 = 4096;
    (0..MOST).find_map(|index| match user.bytes(addr.wrapping_add(index * 8), 8) {
        Ok(bytes) if u64_at(&bytes, 0) == 0 => Some(Some(index)),
        Ok(_) => None,
        Err(_) => Some(None),
    })?
}

/// An array of strings that ends with a null pointer.
fn strings(addr: u64, user: User<'_>, l: &mut Line) {
    const SHOWN: u64 = 32;
    let Some(count) = pointers(addr, user).filter(|_| addr != 0) else {
        l.address(addr);
        return;
    };
    l.push("[");
    for index in 0..count.min(SHOWN) {
        if index > 0 {
            l.push(", ");
        }
        let at = user.bytes(addr.wrapping_add(index * 8), 8).map_or(0, |bytes| u64_at(&bytes, 0));
        match user.string(at, PATH_MAX * 32) {
            Ok(text) => l.quoted(text.as_bytes(), super::text::SHOWN),
            Err(_) => l.address(at),
        }
    }
    l.push(if count > SHOWN { ", ...]" } else { "]" });
}

/// The result of a call that has worked, and what it says besides.
pub(super) fn outcome(call: &Call, value: u64, user: User<'_>) -> String {
    let mut l = Line::default();
    let named = |names: &n::Names, l: &mut Line| {
        put!(l, "{value:#x} (");
        names.write(value, l);
        l.push(")");
    };
    match call.name() {
        "mmap" | "brk" | "mremap" | "shmat" => put!(l, "{value:#x}"),
        "umask" => l.mode(value as u32),
        "fcntl" if value != 0 => match call.args[1] as i32 {
            libc::F_GETFL => {
                put!(l, "{value:#x} (flags ");
                n::OPEN.write(value, &mut l);
                l.push(")");
            }
            libc::F_GETFD => {
                put!(l, "{value:#x} (flags ");
                n::FD_FLAGS.write(value, &mut l);
                l.push(")");
            }
            libc::F_GET_SEALS => {
                put!(l, "{value:#x} (seals ");
                n::SEALS.write(value, &mut l);
                l.push(")");
            }
            _ => put!(l, "{}", value as i64),
        },
        "personality" => {
            if value == 0 {
                l.push("0 (PER_LINUX)");
            } else {
                named(&n::PERSONALITY, &mut l);
            }
        }
        "sched_getscheduler" => {
            put!(l, "{value} (");
            n::SCHED.write(value, &mut l);
            l.push(")");
        }
        "ppoll" | "pselect6" if value == 0 => l.push("0 (Timeout)"),
        "ppoll" => {
            put!(l, "{value} (");
            polled(call.args[0], call.args[1], user, &mut l);
            if call.args[2] != 0 {
                l.push(", left ");
                record_at(Record::Timespec, call.args[2], user, &mut l);
            }
            l.push(")");
        }
        "pselect6" => {
            put!(l, "{value} (");
            let mut first = true;
            for (index, word) in [(1, "in "), (2, "out "), (3, "except ")] {
                let set = call.args[index];
                let len = (call.args[0] as u32).div_ceil(64) * 8;
                let some =
                    user.bytes(set, len.min(128) as usize).is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0));
                if set != 0 && some {
                    put!(l, "{}{word}", if first { "" } else { ", " });
                    first = false;
                    bits(set, call.args[0], user, &mut l);
                }
            }
            if call.args[4] != 0 {
                put!(l, "{}left ", if first { "" } else { ", " });
                record_at(Record::Timespec, call.args[4], user, &mut l);
            }
            l.push(")");
        }
        "rt_sigtimedwait" => put!(l, "{value} ({})", n::signal(value)),
        _ => put!(l, "{}", value as i64),
    }
    l.into_string()
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
