//! Arguments that are more than their shape says.

use super::call::{Call, Moment, bits, record_at, words};
use super::names as n;
use super::record::{self, Record, file_mode, hex, u32_at, u64_at};
use super::text::{Line, SHOWN, put};
use super::variant::FUTEX_COMMAND;
use super::{clone, ioctl, socket, status};
use crate::errno::Errno;
use crate::kernel::Stop;
use crate::layout::{Layout, OpenHow};
use crate::user::{PATH_MAX, User};

/// How far an argument is said that has a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saying {
    /// All of it.
    Whole,
    /// What there is to say when the call begins; the rest follows when it has ended.
    Begun,
    /// Nothing before the call has ended.
    Later,
}

/// Appends an argument of a call that has a way of its own; `None` if it has none. For what is said in two parts it is
/// called a second time when the call has ended.
pub(super) fn argument(call: &Call, index: usize, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Option<Saying> {
    let value = call.args[index];
    match (call.name(), index) {
        ("ioctl", 1) => ioctl::request(value as u32, l),
        ("ioctl", 2) => return ioctl::operand(call, moment, user, l),
        ("futex", 1) => futex_operation(value, l),
        ("futex", 5) => return futex_value(call, l),
        ("clone", 0) => return Some(clone::clone(call, moment, user, l)),
        ("clone3", 0) => return Some(clone::clone3(call, moment, user, l)),
        ("rt_sigreturn", 0) => {
            l.push("{mask=");
            record::signal_set(value, l);
            l.push("}");
        }
        ("personality", 0) if value as u32 == u32::MAX => l.push("0xffffffff"),
        ("prctl", 1) => return prctl_operand(call, user, l),
        ("mmap", 3) => huge(value, &n::MAP, "MAP_HUGE_SHIFT", l),
        ("memfd_create", 1) => huge(value, &n::MFD, "MFD_HUGE_SHIFT", l),
        ("mount", 3) => mount_flags(value, l),
        ("syslog", 0) => commented(value, &n::SYSLOG, l),
        ("ioprio_set", 2) => status::io_priority(value, l),
        ("socket" | "socketpair", 2) => protocol(call.args[0] as i32, value, l),
        ("setsockopt" | "getsockopt", 2) => option_name(call.args[1] as i32, value, l),
        ("setsockopt", 3) => {
            let [_, level, option, _, len, _] = call.args;
            socket::option_value((level, option), value, u64::from(len as u32), user, l);
        }
        ("pselect6", 1..=3) if value != 0 => bits(value, call.args[0], user, l),
        ("pselect6", 5) if value != 0 => selected_mask(value, user, l),
        ("sched_setaffinity", 2) => bits(value, call.args[1].min(128) * 8, user, l),
        ("capset", 1) => capabilities(call, user, l),
        ("sched_setattr", 1) => sched_attr(value, u64::MAX, user, l),
        ("openat2", 2) if call.args[3] < OpenHow::SIZE as u64 => l.address(value),
        ("msgget" | "semget" | "shmget", 0) if value as i32 == 0 => l.push("IPC_PRIVATE"),
        ("msgget" | "semget" | "shmget", 0) => hex(value & 0xffff_ffff, l),
        ("msgget" | "semget", 1 | 2) if (index == 1) == (call.name() == "msgget") => ipc_flags(value, &n::IPC_GET, l),
        ("shmget", 2) => ipc_flags(value, &n::SHM_GET, l),
        ("msgrcv", 1) if moment == Moment::Entry => return Some(Saying::Later),
        ("mknodat", 2) => file_mode(value as u32, l),
        ("execve", 1) | ("execveat", 2) => strings(value, user, l),
        ("execve", 2) | ("execveat", 3) => {
            l.address(value);
            if let Some(count) = pointers(value, user) {
                put!(l, " /* {count} var{} */", if count == 1 { "" } else { "s" });
            }
        }
        ("rt_sigaction", 3) | ("rt_sigprocmask", 3) | ("set_robust_list", 1) => number(value, l),
        ("kcmp", 3..) | ("unshare", 1..) => number(value, l),
        ("exit" | "exit_group", 0) => put!(l, "{}", value as i32),
        (name, _) if is_written(name, index) => {
            if moment == Moment::Entry {
                return Some(Saying::Later);
            }
            written(call, index, moment, user, l);
        }
        _ => return None,
    }
    Some(Saying::Whole)
}

/// Whether the argument points to what the call writes, in a way of its own.
fn is_written(name: &str, index: usize) -> bool {
    matches!(
        (name, index),
        ("getcwd" | "getrandom", 0)
            | ("getdents64" | "capget" | "recvmsg" | "sendmmsg" | "rt_sigtimedwait" | "get_mempolicy", 1)
            | ("sched_getattr" | "nanosleep", 1)
            | ("waitid" | "sched_getaffinity", 2)
            | ("getsockopt" | "clock_nanosleep", 3)
    )
}

/// Appends what an argument points to that [`is_written`], when the call has ended.
fn written(call: &Call, index: usize, moment: Moment<'_>, user: User<'_>, l: &mut Line) {
    let value = call.args[index];
    let result = moment.value();
    match (call.name(), result) {
        ("capget", Some(_)) => capabilities(call, user, l),
        ("sendmmsg", sent) => socket::sent_messages(value, call.args[2], sent, user, l),
        ("recvmsg", None) => match user.bytes(value, 56) {
            Ok(bytes) => put!(l, "{{msg_namelen={}}}", u32_at(&bytes, 8)),
            Err(_) => l.address(value),
        },
        // Until a time of the clock nothing is left.
        ("clock_nanosleep", _) if call.args[1] & libc::TIMER_ABSTIME as u64 != 0 => l.address(value),
        ("nanosleep" | "clock_nanosleep", _) => match moment {
            Moment::Done(Err(Stop::Error(Errno::EINTR)), _) => record_at(Record::Timespec, value, user, l),
            _ => l.address(value),
        },
        (_, None) => l.address(value),
        ("getcwd", Some(len)) => match user.string(value, len as usize) {
            Ok(path) => l.quoted(path.as_bytes(), usize::MAX),
            Err(_) => l.address(value),
        },
        ("getrandom", Some(len)) => random_bytes(value, len, user, l),
        ("getdents64", Some(len)) => {
            let count = status::entries(&user.bytes(value, len as usize).unwrap_or_default());
            l.address(value);
            put!(l, " /* {count} entries */");
        }
        ("sched_getattr", _) => sched_attr(value, call.args[2], user, l),
        ("sched_getaffinity", Some(bytes)) => bits(value, bytes * 8, user, l),
        ("get_mempolicy", _) => words(value, call.args[2], user, l),
        ("waitid" | "rt_sigtimedwait", _) => record_at(Record::SigInfo, value, user, l),
        ("recvmsg", Some(len)) => match user.bytes(value, 56) {
            Ok(bytes) => socket::message(&bytes, user, Some(len), l),
            Err(_) => l.address(value),
        },
        _ => {
            let [_, level, option, _, room, _] = call.args;
            let len = user.bytes(room, 4).map_or(0, |bytes| u64::from(u32_at(&bytes, 0)));
            socket::option_value((level, option), value, len, user, l);
        }
    }
}

/// An operation of `futex` with its flags.
fn futex_operation(value: u64, l: &mut Line) {
    match n::FUTEX.name(value & FUTEX_COMMAND) {
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

/// The last argument of `futex`, where it is more than a number.
fn futex_value(call: &Call, l: &mut Line) -> Option<Saying> {
    let value = u64::from(call.args[5] as u32);
    match (call.args[1] & FUTEX_COMMAND) as i32 {
        libc::FUTEX_WAIT_BITSET | libc::FUTEX_WAKE_BITSET if value as u32 == u32::MAX => {
            l.push("FUTEX_BITSET_MATCH_ANY");
        }
        libc::FUTEX_WAIT_BITSET | libc::FUTEX_WAKE_BITSET => hex(value, l),
        libc::FUTEX_WAKE_OP => wake_operation(value as u32, l),
        _ => return None,
    }
    Some(Saying::Whole)
}

/// What `FUTEX_WAKE_OP` does to the second futex, and how it compares what was there (`linux/futex.h`).
fn wake_operation(value: u32, l: &mut Line) {
    let named = |names: &n::Names, number: u32, shift: u32, l: &mut Line| match names.name(number.into()) {
        Some(name) => put!(l, "{name}<<{shift}"),
        None => put!(l, "{number:#x}<<{shift} /* {} */", names.unknown),
    };
    if value >> 31 != 0 {
        l.push("FUTEX_OP_OPARG_SHIFT<<28|");
    }
    named(&n::FUTEX_OP, value >> 28 & 7, 28, l);
    l.push("|");
    hex(u64::from(value >> 12 & 0xfff), l);
    l.push("<<12|");
    named(&n::FUTEX_CMP, value >> 24 & 0xf, 24, l);
    l.push("|");
    hex(u64::from(value & 0xfff), l);
}

/// The first operand of `prctl`, where its shape is not all.
fn prctl_operand(call: &Call, user: User<'_>, l: &mut Line) -> Option<Saying> {
    const NAME: usize = 16;
    let value = call.args[1];
    match call.args[0] as i32 {
        libc::PR_SET_NAME => match user.string(value, NAME + 1) {
            Ok(text) => l.quoted(text.as_bytes(), NAME),
            Err(_) => l.address(value),
        },
        libc::PR_SET_PTRACER if value == u64::MAX => l.push("PR_SET_PTRACER_ANY"),
        _ => return None,
    }
    Some(Saying::Whole)
}

/// Flags with the size of huge pages in six of their bits.
fn huge(value: u64, names: &n::Names, shift_name: &str, l: &mut Line) {
    const SHIFT: u32 = 26;
    let value = value & 0xffff_ffff;
    let size = value >> SHIFT & 0x3f;
    let flags = value & !(0x3f << SHIFT);
    if size == 0 || flags != 0 {
        names.write(flags, l);
    }
    if size != 0 {
        put!(l, "{}{size}<<{shift_name}", if flags != 0 { "|" } else { "" });
    }
}

/// Flags of `mount`, which may have a number before them that programs of old set.
fn mount_flags(value: u64, l: &mut Line) {
    const MASK: u64 = 0xffff_0000;
    const MAGIC: u64 = 0xc0ed_0000;
    if value & MASK != MAGIC {
        n::MOUNT.write(value, l);
        return;
    }
    l.push("MS_MGC_VAL");
    if value & !MASK != 0 {
        l.push("|");
        n::MOUNT.write(value & !MASK, l);
    }
}

/// A number, and its name as a comment.
fn commented(value: u64, names: &n::Names, l: &mut Line) {
    let value = u64::from(value as u32);
    put!(l, "{} /* {} */", value as i32, names.name(value).unwrap_or(names.unknown));
}

/// A protocol of sockets of a family.
fn protocol(family: i32, value: u64, l: &mut Line) {
    match family {
        libc::AF_INET | libc::AF_INET6 => n::IPPROTO.write(value & 0xffff_ffff, l),
        libc::AF_NETLINK => n::NETLINK.write(value & 0xffff_ffff, l),
        libc::AF_PACKET => socket::packet_protocol(value as u16, l),
        _ => number(value, l),
    }
}

/// An option of sockets at a level.
fn option_name(level: i32, value: u64, l: &mut Line) {
    let value = value & 0xffff_ffff;
    match level {
        libc::SOL_SOCKET => n::SO.write(value, l),
        libc::SOL_IP => n::IP.write(value, l),
        libc::SOL_IPV6 => n::IPV6.write(value, l),
        libc::SOL_TCP => n::TCP.write(value, l),
        _ => hex(value, l),
    }
}

/// The last argument of `pselect6`: an address and a size.
fn selected_mask(addr: u64, user: User<'_>, l: &mut Line) {
    match user.bytes(addr, 16) {
        Ok(bytes) => {
            l.push("{sigmask=");
            record_at(Record::SigSet, u64_at(&bytes, 0), user, l);
            put!(l, ", sigsetsize={}}}", u64_at(&bytes, 8));
        }
        Err(_) => l.address(addr),
    }
}

/// Bytes without a meaning.
fn random_bytes(addr: u64, len: u64, user: User<'_>, l: &mut Line) {
    match user.bytes(addr, len.min(SHOWN as u64) as usize) {
        Ok(bytes) => {
            l.push("\"");
            bytes.iter().for_each(|byte| put!(l, "\\x{byte:02x}"));
            l.push(if len > SHOWN as u64 { "\"..." } else { "\"" });
        }
        Err(_) => l.address(addr),
    }
}

/// `struct sched_attr`, which says its own length, in at most `room` bytes.
fn sched_attr(addr: u64, room: u64, user: User<'_>, l: &mut Line) {
    /// The first version of it, which a length of zero means too.
    const FIRST: u64 = 48;
    const MOST: u64 = 56;
    let size = user.bytes(addr, 4).map_or(0, |bytes| u64::from(u32_at(&bytes, 0)));
    let size = if size == 0 { FIRST } else { size };
    match user.bytes(addr, size.min(room).clamp(4, MOST) as usize) {
        Ok(bytes) if addr != 0 => status::sched_attr(&bytes, l),
        _ => l.address(addr),
    }
}

/// The sets of capabilities of a call whose first argument says how long they are.
fn capabilities(call: &Call, user: User<'_>, l: &mut Line) {
    const FIRST_VERSION: u32 = 0x1998_0330;
    let wide = user.bytes(call.args[0], 4).map_or(0, |bytes| u32_at(&bytes, 0)) != FIRST_VERSION;
    match user.bytes(call.args[1], if wide { 24 } else { 12 }) {
        Ok(bytes) if call.args[1] != 0 => status::capabilities(&bytes, wide, l),
        _ => l.address(call.args[1]),
    }
}

fn number(value: u64, l: &mut Line) {
    put!(l, "{}", value as i64);
}

/// Flags of a `get` call, whose low bits are a mode.
fn ipc_flags(value: u64, names: &n::Names, l: &mut Line) {
    let value = value & 0xffff_ffff;
    if value & !0o777 != 0 {
        huge(value & !0o777, names, "SHM_HUGE_SHIFT", l);
        l.push("|");
    }
    l.mode((value & 0o777) as u32);
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
