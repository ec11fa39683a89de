//! [`Record`]: structures that calls exchange with programs, and how strace prints them.

use std::fmt::Display;

use super::names::{self as n, Names, short_signal, signal};
use super::socket;
use super::status;
use super::termios;
use super::text::{Line, SHOWN, put};
use crate::layout::riscv64::{CloneArgs, SigAction, StackT, Stat};
use crate::layout::{IoVec, Layout, OpenHow, Rlimit, Statx};
use crate::user::User;

macro_rules! records {
    ($($(#[$meta:meta])* $name:ident = $size:expr, $print:expr;)*) => {
        /// A structure behind a pointer argument.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Record { $($(#[$meta])* $name,)* }

        impl Record {
            /// Bytes of the guest's structure.
            pub(crate) const fn size(self) -> u64 {
                match self { $(Self::$name => $size as u64,)* }
            }

            /// Appends the structure whose bytes are `bytes`, [`Record::size`] of them.
            pub(super) fn write(self, bytes: &[u8], user: User<'_>, line: &mut Line) {
                let print: fn(&[u8], User<'_>, &mut Line) = match self { $(Self::$name => $print,)* };
                print(bytes, user, line);
            }
        }
    };
}

records! {
    /// `int`.
    Number = 4, number;
    /// `uid_t` or `gid_t`.
    Id = 4, number;
    /// One of several of them.
    Group = 4, |b, _, l| put!(l, "{}", i32_at(b, 0));
    /// `int` that is the number of a signal.
    SignalNumber = 4, |b, _, l| match u32_at(b, 0) {
        0 => l.push("[0]"),
        number => put!(l, "[{}]", signal(number.into())),
    };
    /// `int` that is a policy of memory.
    MemoryPolicy = 4, |b, _, l| {
        l.push("[");
        n::MPOL.write(u32_at(b, 0).into(), l);
        l.push("]");
    };
    /// `int` with the lines of a modem.
    ModemBits = 4, |b, _, l| termios::modem_bits(b, l);
    /// One character.
    Character = 1, |b, _, l| l.quoted(b, SHOWN);
    /// A thread's name.
    CommandName = 16, |b, _, l| c_string(b, l);
    /// An address.
    Pointer = 8, |b, _, l| {
        l.push("[");
        l.address(u64_at(b, 0));
        l.push("]");
    };
    /// `timer_t`.
    TimerId = 4, number;
    /// A 64-bit number.
    Word = 8, |b, _, l| put!(l, "[{}]", u64_at(b, 0));
    /// A 64-bit offset.
    Offset = 8, |b, _, l| put!(l, "[{}]", u64_at(b, 0) as i64);
    /// Two descriptors.
    FdPair = 8, |b, _, l| put!(l, "[{}, {}]", i32_at(b, 0), i32_at(b, 4));
    /// `struct timespec`.
    Timespec = 16, |b, _, l| timespec(b, l);
    /// Two of them: times of access and modification.
    Times = 32, times;
    /// `struct timeval`.
    Timeval = 16, |b, _, l| timeval(b, l);
    /// `struct timezone`.
    Timezone = 8, |b, _, l| put!(l, "{{tz_minuteswest={}, tz_dsttime={}}}", i32_at(b, 0), i32_at(b, 4));
    /// `struct itimerspec`.
    Itimerspec = 32, |b, _, l| interval(b, l, timespec);
    /// `struct itimerval`.
    Itimerval = 32, |b, _, l| interval(b, l, timeval);
    /// `struct tms`.
    Tms = 32, |b, _, l| fields(l, "{", &["tms_utime", "tms_stime", "tms_cutime", "tms_cstime"], words(b, 0), "}");
    /// `struct timex`.
    Timex = 208, |b, _, l| status::timex(b, l);
    /// `struct stat`.
    Stat = Stat::SIZE, stat;
    /// `struct statx`.
    Statx = Statx::SIZE, statx;
    /// `struct statfs`.
    Statfs = 120, |b, _, l| status::statfs(b, l);
    /// `struct open_how`.
    OpenHow = OpenHow::SIZE, open_how;
    /// `struct iovec`.
    IoVec = IoVec::SIZE, |b, u, l| iovec(b, u, Some(u64::MAX), l);
    /// `struct flock`.
    Flock = 32, |b, _, l| {
        flock(b, l);
        l.push("}");
    };
    /// The same with whom a lock belongs to.
    FlockFound = 32, |b, _, l| {
        flock(b, l);
        put!(l, ", l_pid={}}}", i32_at(b, 24));
    };
    /// `struct f_owner_ex`.
    OwnerEx = 8, |b, _, l| {
        let kind = ["F_OWNER_TID", "F_OWNER_PID", "F_OWNER_PGRP"].get(i32_at(b, 0) as usize);
        put!(l, "{{type={}, pid={}}}", kind.unwrap_or(&"F_OWNER_???"), i32_at(b, 4));
    };
    /// `struct pollfd`.
    PollFd = 8, |b, _, l| {
        put!(l, "{{fd={}", i32_at(b, 0));
        if i32_at(b, 0) >= 0 {
            l.push(", events=");
            n::POLL.write(u16_at(b, 4).into(), l);
        }
        l.push("}");
    };
    /// `struct epoll_event`, as the guest pads it.
    EpollEvent = 16, |b, _, l| {
        l.push("{events=");
        n::EPOLL.write(u32_at(b, 0).into(), l);
        put!(l, ", data={{u32={}, u64={}}}}}", u32_at(b, 8), u64_at(b, 8));
    };
    /// A signal set.
    SigSet = 8, |b, _, l| signal_set(u64_at(b, 0), l);
    /// `struct sigaction`.
    SigAction = SigAction::SIZE, sigaction;
    /// `stack_t`.
    Stack = StackT::SIZE, |b, _, l| {
        l.push("{ss_sp=");
        l.address(u64_at(b, 0));
        l.push(", ss_flags=");
        n::SS.write(u32_at(b, 8).into(), l);
        put!(l, ", ss_size={}}}", u64_at(b, 16));
    };
    /// `siginfo_t`.
    SigInfo = 128, |b, _, l| siginfo(b, l);
    /// `struct sigevent`.
    SigEvent = 64, sigevent;
    /// `int` with the status of a child.
    WaitStatus = 4, |b, _, l| {
        l.push("[");
        wait_status(u32_at(b, 0), l);
        l.push("]");
    };
    /// `struct rusage`.
    Rusage = 144, |b, _, l| {
        l.push("{ru_utime=");
        timeval(&b[..16], l);
        l.push(", ru_stime=");
        timeval(&b[16..], l);
        l.push(", ...}");
    };
    /// `struct rlimit`.
    Rlimit = Rlimit::SIZE, |b, _, l| {
        l.push("{rlim_cur=");
        limit(u64_at(b, 0), l);
        l.push(", rlim_max=");
        limit(u64_at(b, 8), l);
        l.push("}");
    };
    /// `struct sched_param`.
    SchedParam = 4, number;
    /// `struct new_utsname`.
    Utsname = 390, |b, _, l| {
        l.push("{sysname=");
        c_string(&b[..65], l);
        l.push(", nodename=");
        c_string(&b[65..130], l);
        l.push(", ...}");
    };
    /// `struct sysinfo`.
    Sysinfo = 112, sysinfo;
    /// `struct clone_args`.
    CloneArgs = CloneArgs::SIZE, clone_args;
    /// `struct msghdr`.
    MsgHdr = 56, |b, u, l| socket::message(b, u, None, l);
    /// `struct mmsghdr`.
    MMsgHdr = 64, |b, u, l| {
        l.push("{msg_hdr=");
        socket::message(b, u, Some(u64::from(u32_at(b, 56))), l);
        put!(l, ", msg_len={}}}", u32_at(b, 56));
    };
    /// `socklen_t`.
    SockLen = 4, number;
    /// `struct sembuf`.
    SemBuf = 6, |b, _, l| {
        put!(l, "{{sem_num={}, sem_op={}, sem_flg=", u16_at(b, 0), u16_at(b, 2) as i16);
        n::SEM_FLAGS.write(u16_at(b, 4).into(), l);
        l.push("}");
    };
    /// `struct mq_attr`.
    MqAttr = 64, |b, _, l| {
        l.push("{mq_flags=");
        n::FD_OPEN.write(u64_at(b, 0), l);
        fields(l, ", ", &["mq_maxmsg", "mq_msgsize", "mq_curmsgs"], words(b, 8).map(|word| word as i64), "}");
    };
    /// `struct __user_cap_header_struct`.
    CapHeader = 8, |b, _, l| {
        let version = match u32_at(b, 0) {
            0x1998_0330 => "_LINUX_CAPABILITY_VERSION_1",
            0x2007_1026 => "_LINUX_CAPABILITY_VERSION_2",
            0x2008_0522 => "_LINUX_CAPABILITY_VERSION_3",
            _ => "",
        };
        l.push("{version=");
        match version {
            "" => {
                hex(u32_at(b, 0).into(), l);
                l.push(" /* _LINUX_CAPABILITY_VERSION_??? */");
            }
            _ => l.push(version),
        }
        put!(l, ", pid={}}}", i32_at(b, 4));
    };
    /// `struct winsize`.
    Winsize = 8, |b, _, l| {
        let sizes = b.chunks_exact(2).map(|size| u16_at(size, 0));
        fields(l, "{", &["ws_row", "ws_col", "ws_xpixel", "ws_ypixel"], sizes, "}");
    };
    /// `struct termios`.
    Termios = 36, |b, _, l| termios::termios(b, l);
    /// `struct termios2`.
    Termios2 = 44, |b, _, l| termios::termios(b, l);
    /// `struct msqid64_ds`.
    MessageQueue = 120, |b, _, l| status::message_queue(b, l);
    /// `struct semid64_ds`.
    Semaphores = 88, |b, _, l| status::semaphores(b, l);
    /// `struct shmid64_ds`.
    Segment = 112, |b, _, l| status::segment(b, l);
}

/// An `int` behind a pointer.
fn number(b: &[u8], _: User<'_>, l: &mut Line) {
    put!(l, "[{}]", i32_at(b, 0));
}

/// The 64-bit words of a structure from byte `from` on.
pub(super) fn words(b: &[u8], from: usize) -> impl Iterator<Item = u64> {
    b[from..].chunks_exact(8).map(|word| u64_at(word, 0))
}

/// A run of members, with what stands before and after it.
pub(super) fn fields(
    l: &mut Line,
    before: &str,
    names: &[&str],
    values: impl Iterator<Item = impl Display>,
    after: &str,
) {
    l.push(before);
    for (index, (name, value)) in names.iter().zip(values).enumerate() {
        put!(l, "{}{name}={value}", if index > 0 { ", " } else { "" });
    }
    l.push(after);
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> i32 {
    u32_at(bytes, at) as i32
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn timespec(b: &[u8], l: &mut Line) {
    put!(l, "{{tv_sec={}, tv_nsec={}}}", u64_at(b, 0) as i64, u64_at(b, 8) as i64);
}

pub(super) fn timeval(b: &[u8], l: &mut Line) {
    put!(l, "{{tv_sec={}, tv_usec={}}}", u64_at(b, 0) as i64, u64_at(b, 8) as i64);
}

fn interval(b: &[u8], l: &mut Line, time: fn(&[u8], &mut Line)) {
    l.push("{it_interval=");
    time(&b[..16], l);
    l.push(", it_value=");
    time(&b[16..], l);
    l.push("}");
}

fn times(b: &[u8], _: User<'_>, l: &mut Line) {
    // `linux/stat.h`.
    const NOW: u64 = (1 << 30) - 1;
    const OMIT: u64 = (1 << 30) - 2;
    l.list(b.chunks_exact(16), |l, time| match u64_at(time, 8) {
        NOW => l.push("UTIME_NOW"),
        OMIT => l.push("UTIME_OMIT"),
        _ => timespec(time, l),
    });
}

/// A number in hexadecimal, but for zero.
pub(super) fn hex(value: u64, l: &mut Line) {
    if value == 0 {
        l.push("0");
    } else {
        put!(l, "{value:#x}");
    }
}

/// A mode with the type of file in it.
pub(super) fn file_mode(mode: u32, l: &mut Line) {
    if let Some(name) = n::FILE_TYPE.name((mode & libc::S_IFMT).into()) {
        put!(l, "{name}|");
    }
    for (bit, name) in [(libc::S_ISUID, "S_ISUID|"), (libc::S_ISGID, "S_ISGID|"), (libc::S_ISVTX, "S_ISVTX|")] {
        if mode & bit != 0 {
            l.push(name);
        }
    }
    l.mode(mode & 0o777);
}

fn is_device(mode: u32) -> bool {
    matches!(mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK)
}

fn stat(b: &[u8], _: User<'_>, l: &mut Line) {
    let stat = Stat::decode(b);
    l.push("{st_mode=");
    file_mode(stat.mode, l);
    if is_device(stat.mode) {
        l.push(", st_rdev=");
        device(stat.rdev, l);
    } else {
        put!(l, ", st_size={}", stat.size);
    }
    l.push(", ...}");
}

/// A device number.
pub(super) fn device(number: u64, l: &mut Line) {
    put!(l, "makedev({:#x}, {:#x})", libc::major(number), libc::minor(number));
}

fn statx(b: &[u8], _: User<'_>, l: &mut Line) {
    let stat = Statx::decode(b);
    l.push("{stx_mask=");
    n::STATX.write(stat.mask.into(), l);
    l.push(", stx_attributes=");
    hex(stat.attributes, l);
    l.push(", stx_mode=");
    file_mode(stat.mode.into(), l);
    put!(l, ", stx_size={}, ...}}", stat.size);
}

fn open_how(b: &[u8], _: User<'_>, l: &mut Line) {
    let how = OpenHow::decode(b);
    l.push("{flags=");
    n::OPEN.write(how.flags, l);
    if how.flags & (libc::O_CREAT as u64 | 0o20_000_000) != 0 {
        l.push(", mode=");
        l.mode(how.mode as u32);
    }
    l.push(", resolve=");
    n::RESOLVE.write(how.resolve, l);
    l.push("}");
}

/// A buffer with its length, of which `shown` bytes hold something; its address if nothing was put there.
pub(super) fn iovec(b: &[u8], user: User<'_>, shown: Option<u64>, l: &mut Line) {
    let one = IoVec::decode(b);
    l.push("{iov_base=");
    match shown {
        Some(shown) => buffer(one.base, one.len.min(shown), user, l),
        None => l.address(one.base),
    }
    put!(l, ", iov_len={}}}", one.len);
}

/// The first bytes of guest memory, or its address if it cannot be read.
pub(super) fn buffer(addr: u64, len: u64, user: User<'_>, l: &mut Line) {
    let shown = usize::try_from(len).map_or(SHOWN + 1, |len| len.min(SHOWN + 1));
    match user.bytes(addr, shown) {
        Ok(bytes) if addr != 0 => l.quoted(&bytes, SHOWN),
        _ => l.address(addr),
    }
}

fn flock(b: &[u8], l: &mut Line) {
    l.push("{l_type=");
    n::LOCK_TYPE.write(u16_at(b, 0).into(), l);
    l.push(", l_whence=");
    n::WHENCE.write(u16_at(b, 2).into(), l);
    put!(l, ", l_start={}, l_len={}", u64_at(b, 8) as i64, u64_at(b, 16) as i64);
}

/// A set of signals: those in it, or those that are not if they are fewer.
pub(super) fn signal_set(set: u64, l: &mut Line) {
    let invert = set.count_ones() >= 64 * 2 / 3;
    let shown = if invert { !set } else { set };
    l.push(if invert { "~[" } else { "[" });
    let mut first = true;
    for number in (1..=64).filter(|number| shown & 1 << (number - 1) != 0) {
        if !first {
            l.push(" ");
        }
        first = false;
        l.push(&short_signal(number));
    }
    l.push("]");
}

fn sigaction(b: &[u8], _: User<'_>, l: &mut Line) {
    let action = SigAction::decode(b);
    l.push("{sa_handler=");
    match action.handler {
        0 => l.push("SIG_DFL"),
        1 => l.push("SIG_IGN"),
        handler => l.address(handler),
    }
    l.push(", sa_mask=");
    signal_set(action.mask, l);
    l.push(", sa_flags=");
    n::SA.write(action.flags, l);
    l.push("}");
}

/// The reason of a signal, by the names that the signal has for it.
fn signal_code(number: i32, code: i32) -> &'static Names {
    match number {
        _ if code <= 0 || code == 0x80 => &n::SI_CODE,
        libc::SIGSEGV => &n::SEGV,
        libc::SIGBUS => &n::BUS,
        libc::SIGILL => &n::ILL,
        libc::SIGFPE => &n::FPE,
        libc::SIGTRAP => &n::TRAP,
        libc::SIGCHLD => &n::CLD,
        _ => &n::SI_CODE,
    }
}

/// `siginfo_t` (`asm-generic/siginfo.h`).
pub(super) fn siginfo(b: &[u8], l: &mut Line) {
    let (number, code) = (i32_at(b, 0), i32_at(b, 8));
    if number == 0 {
        l.push("{}");
        return;
    }
    put!(l, "{{si_signo={}, si_code=", signal(number as u64));
    signal_code(number, code).write(u64::from(code as u32), l);
    let sender = |l: &mut Line| put!(l, ", si_pid={}, si_uid={}", i32_at(b, 16), i32_at(b, 20));
    let value = |l: &mut Line| {
        put!(l, ", si_int={}, si_ptr=", i32_at(b, 24));
        l.address(u64_at(b, 24));
    };
    match code {
        libc::SI_USER | libc::SI_TKILL => sender(l),
        libc::SI_TIMER => {
            put!(l, ", si_timerid={:#x}, si_overrun={}", u32_at(b, 16), i32_at(b, 20));
            value(l);
        }
        _ if code < 0 => {
            sender(l);
            value(l);
        }
        _ if matches!(number, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGTRAP) => {
            l.push(", si_addr=");
            l.address(u64_at(b, 16));
        }
        _ if number == libc::SIGCHLD => {
            sender(l);
            l.push(", si_status=");
            match code {
                libc::CLD_EXITED => put!(l, "{}", i32_at(b, 24)),
                _ => l.push(&signal(u64::from(u32_at(b, 24)))),
            }
            put!(l, ", si_utime={}, si_stime={}", u64_at(b, 32), u64_at(b, 40));
        }
        _ if number == libc::SIGIO => put!(l, ", si_band={:#x}, si_fd={}", u64_at(b, 16), i32_at(b, 24)),
        _ => {}
    }
    l.push("}");
}

fn sigevent(b: &[u8], _: User<'_>, l: &mut Line) {
    let kind = i32_at(b, 12);
    l.push("{");
    if u64_at(b, 0) != 0 {
        put!(l, "sigev_value={{sival_int={}, sival_ptr={:#x}}}, ", i32_at(b, 0), u64_at(b, 0));
    }
    put!(l, "sigev_signo={}, sigev_notify=", signal(u64::from(u32_at(b, 8))));
    n::SIGEV.write(kind as u64, l);
    if kind == libc::SIGEV_THREAD_ID {
        put!(l, ", sigev_notify_thread_id={}", i32_at(b, 16));
    }
    l.push("}");
}

fn wait_status(status: u32, l: &mut Line) {
    let low = status & 0x7f;
    match status {
        0xffff => l.push("{WIFCONTINUED(s)}"),
        _ if low == 0 => put!(l, "{{WIFEXITED(s) && WEXITSTATUS(s) == {}}}", status >> 8 & 0xff),
        _ if low == 0x7f => {
            put!(l, "{{WIFSTOPPED(s) && WSTOPSIG(s) == {}}}", signal(u64::from(status >> 8 & 0xff)));
        }
        _ => {
            let core = if status & 0x80 == 0 { "" } else { " && WCOREDUMP(s)" };
            put!(l, "{{WIFSIGNALED(s) && WTERMSIG(s) == {}{core}}}", signal(low.into()));
        }
    }
}

fn limit(value: u64, l: &mut Line) {
    match value {
        u64::MAX => l.push("RLIM64_INFINITY"),
        _ if value > 1024 && value.is_multiple_of(1024) => put!(l, "{}*1024", value / 1024),
        _ => put!(l, "{value}"),
    }
}

/// A string of at most this many bytes that may end before.
pub(super) fn c_string(b: &[u8], l: &mut Line) {
    let end = b.iter().position(|byte| *byte == 0).unwrap_or(b.len());
    l.quoted(&b[..end], usize::MAX);
}

fn sysinfo(b: &[u8], _: User<'_>, l: &mut Line) {
    put!(l, "{{uptime={}, loads=[{}, {}, {}], ", u64_at(b, 0), u64_at(b, 8), u64_at(b, 16), u64_at(b, 24));
    let memory = ["totalram", "freeram", "sharedram", "bufferram", "totalswap", "freeswap"];
    fields(l, "", &memory, words(b, 32), ", ");
    put!(l, "procs={}, ", u16_at(b, 80));
    fields(l, "", &["totalhigh", "freehigh"], words(b, 88), ", ");
    put!(l, "mem_unit={}}}", u32_at(b, 104));
}

fn clone_args(b: &[u8], _: User<'_>, l: &mut Line) {
    let args = CloneArgs::decode(b);
    l.push("{flags=");
    n::CLONE.write(args.flags, l);
    if args.flags & libc::CLONE_PIDFD as u64 != 0 {
        l.push(", pidfd=");
        l.address(args.pidfd);
    }
    for (flag, name, addr) in [
        (libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID, ", child_tid=", args.child_tid),
        (libc::CLONE_PARENT_SETTID, ", parent_tid=", args.parent_tid),
    ] {
        if args.flags & flag as u64 != 0 {
            l.push(name);
            l.address(addr);
        }
    }
    let exit = if args.exit_signal == 0 { "0".to_owned() } else { signal(args.exit_signal) };
    put!(l, ", exit_signal={exit}, stack=");
    l.address(args.stack);
    if args.stack_size == 0 {
        l.push(", stack_size=0");
    } else {
        put!(l, ", stack_size={:#x}", args.stack_size);
    }
    if args.flags & libc::CLONE_SETTLS as u64 != 0 {
        l.push(", tls=");
        l.address(args.tls);
    }
    l.push("}");
}
