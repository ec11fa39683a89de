//! The host's kernel: the calls that handlers may make, and the only raw system calls of this crate.
//!
//! A handler names a [`HostCall`] from the list here and gives its arguments as [`Arg`]s. What would make a raw call
//! unsound is checked against the call's shapes before it is made: a pointer is either guest memory, which nothing in
//! this process but the guest relies on, or memory borrowed for the call that is as long as the kernel will think.

pub(crate) mod heap;
mod process;
mod shared;
pub(crate) mod signal;
mod stub;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd};

pub use heap::ForkableHeap;
pub use process::close_unasked_descriptors;
pub(crate) use process::{
    Departure, Forked, Shown, clone_process, environment, execve, exit_now, fork, is_thread_alive, process_id,
    robust_list_of, set_robust_list, sharing_process, show_in_proc, thread_id,
};
pub(crate) use shared::SharedWords;
pub use signal::die_by;

use crate::errno::Errno;
use crate::shape::Shape;
use crate::trace::names as n;
use crate::trace::record::Record;

/// A system call of the host that handlers may make. Only this module makes them.
#[derive(Debug)]
pub(crate) struct HostCall {
    number: libc::c_long,
    shapes: &'static [Shape],
    /// Which arguments are pointers, a bit each.
    pointers: u8,
    has_strings: bool,
    /// Whether it changes a file that need not be open to be written.
    changes: bool,
    /// Bytes of a buffer that the kernel looks at, at most, whatever the argument with the length says.
    most: u64,
}

impl HostCall {
    const fn new(number: libc::c_long, shapes: &'static [Shape], most: u64) -> Self {
        let (mut pointers, mut has_strings) = (0, false);
        let mut index = 0;
        while index < shapes.len() {
            pointers |= (shapes[index].is_pointer() as u8) << index;
            has_strings |= shapes[index].is_string();
            index += 1;
        }
        Self { number, shapes, pointers, has_strings, changes: false, most }
    }

    /// A call that changes a file that need not be open to be written.
    const fn changes(self) -> Self {
        Self { changes: true, ..self }
    }

    /// What its arguments are.
    pub(crate) const fn shapes(&self) -> &'static [Shape] {
        self.shapes
    }

    /// Whether it is made with numbers and memory of the guest as they are: there are no names or other strings, nor a
    /// file that may not be changed.
    pub(crate) const fn is_plain(&self) -> bool {
        !(self.has_strings | self.changes)
    }

    /// Whether it changes the content of a named file or what is known about a file: a kernel asks then whether the file
    /// system is mounted to be written.
    pub(crate) const fn changes_file(&self) -> bool {
        self.changes
    }

    /// Bytes that the pointer among `args` of this shape covers.
    pub(crate) fn len(&self, shape: Shape, args: &[u64; 6]) -> u64 {
        shape.len(args).min(self.most)
    }
}

/// A host address of guest memory, or a null or always-faulting address; made by `User` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuestPtr(u64);

impl GuestPtr {
    /// An absent pointer.
    pub(crate) const NULL: Self = Self(0);

    /// Host address of the guest bytes `addr..addr + len` in a guest whose address 0 is at `base` and that ends at
    /// `limit`. A range that leaves the guest gives an address that every kernel answers with a fault, in its own
    /// order of checks.
    pub(crate) fn new(base: usize, limit: u64, addr: u64, len: u64) -> Self {
        match addr.checked_add(len) {
            _ if addr == 0 => Self::NULL,
            Some(end) if end <= limit => Self(base as u64 + addr),
            _ => Self(1 << 63 | addr & 0xfff),
        }
    }

    /// The same for pages of which a call looks at what is mapped: if the range leaves the guest, nothing is mapped at the
    /// address, and the range wraps only if it did. One that wraps from within the guest is left to the kernel: a length that
    /// becomes nothing by being rounded up is no mistake.
    pub(crate) fn pages(base: usize, limit: u64, addr: u64, len: u64) -> Self {
        match addr.checked_add(len) {
            Some(end) if addr != 0 && end > limit => Self(1 << 62 | addr & 0xfff),
            None if addr < limit => Self(base as u64 + addr),
            None => Self(1 << 63 | addr),
            _ => Self::new(base, limit, addr, len),
        }
    }

    /// Whether the range leaves the guest.
    pub(crate) const fn is_outside(self) -> bool {
        self.0 >> 62 != 0
    }

    /// The address, for structures that hold pointers.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

/// An argument of a [`HostCall`].
#[derive(Debug)]
pub(crate) enum Arg<'a> {
    /// A number.
    Int(u64),
    /// Guest memory.
    Guest(GuestPtr),
    /// Memory of ours, at least as long as the shape says.
    Bytes(&'a mut [u8]),
    /// A string of ours.
    Str(&'a CStr),
}

/// Most bytes that one call transfers (`MAX_RW_COUNT`).
pub(crate) const MAX_RW_COUNT: u64 = 0x7fff_f000;
/// Most bytes of a message: its length is an `int`, and its type comes before it.
const MESSAGE_MAX: u64 = 8 + i32::MAX as u64;
/// `NGROUPS_MAX`.
const GROUPS_MAX: u64 = 65_536;
/// More processors than kernels are built for (`CONFIG_NR_CPUS`).
const PROCESSORS_MAX: u64 = 65_536;
/// `XATTR_SIZE_MAX` and `XATTR_LIST_MAX`.
const XATTR_MAX: u64 = 65_536;

#[allow(clippy::enum_glob_use, reason = "a table reads better without prefixes")]
use {Record::*, Shape::*};

macro_rules! host_calls {
    ($($(#[$meta:meta])* $name:ident = $number:tt $shapes:tt $($mark:ident)? $(..$most:expr)?;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`.")]
        $(#[$meta])*
        pub(crate) static $name: HostCall =
            HostCall::new(host_calls!(@ $number), &$shapes, host_calls!(@most $($most)?))$(.$mark())?;
    )* };
    (@most) => { u64::MAX };
    (@most $most:expr) => { $most };
    // A number that the C library has no name for yet; those from 424 on are one on all architectures.
    (@ $number:literal) => { $number };
    (@ $number:ident) => { libc::$number };
}

host_calls! {
    // Files.
    READ = SYS_read [Fd, Out(2), Size];
    WRITE = SYS_write [Fd, In(2), Size];
    PREAD64 = SYS_pread64 [Fd, Out(2), Size, Long];
    PWRITE64 = SYS_pwrite64 [Fd, In(2), Size, Long];
    READV = SYS_readv [Fd, PutMany(IoVec, 2), Size];
    WRITEV = SYS_writev [Fd, GetMany(IoVec, 2), Size];
    PREADV = SYS_preadv [Fd, PutMany(IoVec, 2), Size, Long, Long];
    PWRITEV = SYS_pwritev [Fd, GetMany(IoVec, 2), Size, Long, Long];
    PREADV2 = SYS_preadv2 [Fd, PutMany(IoVec, 2), Size, Long, Long, Flags(&n::RWF)];
    PWRITEV2 = SYS_pwritev2 [Fd, GetMany(IoVec, 2), Size, Long, Long, Flags(&n::RWF)];
    OPENAT = SYS_openat [DirFd, Path, Flags(&n::OPEN), OctalIf(2)];
    OPENAT2 = SYS_openat2 [DirFd, Path, In(3), Size];
    CLOSE = SYS_close [Fd];
    CLOSE_RANGE = SYS_close_range [Uint, Uint, Flags(&n::CLOSE_RANGE)];
    LSEEK = SYS_lseek [Fd, Long, One(&n::WHENCE)];
    DUP = SYS_dup [Fd];
    DUP3 = SYS_dup3 [Fd, Fd, Flags(&n::FD_OPEN)];
    FCNTL = SYS_fcntl [Fd, One(&n::FCNTL), Hex];
    FCNTL_PTR = SYS_fcntl [Fd, One(&n::FCNTL), Ptr(32)];
    FLOCK = SYS_flock [Fd, Flags(&n::LOCK)];
    FSYNC = SYS_fsync [Fd];
    FDATASYNC = SYS_fdatasync [Fd];
    SYNC = SYS_sync [];
    SYNCFS = SYS_syncfs [Fd];
    SYNC_FILE_RANGE = SYS_sync_file_range [Fd, Long, Long, Flags(&n::SYNC_RANGE)];
    TRUNCATE = SYS_truncate [Path, Long] changes;
    FTRUNCATE = SYS_ftruncate [Fd, Long];
    FALLOCATE = SYS_fallocate [Fd, Flags(&n::FALLOC), Long, Long];
    FADVISE64 = SYS_fadvise64 [Fd, Long, Long, One(&n::FADVISE)];
    READAHEAD = SYS_readahead [Fd, Long, Size];
    CACHESTAT = 451 [Fd, Ptr(16), Ptr(40), Hex];
    SENDFILE = SYS_sendfile [Fd, Fd, Update(Offset), Size];
    COPY_FILE_RANGE = SYS_copy_file_range [Fd, Update(Offset), Fd, Update(Offset), Size, Hex];
    SPLICE = SYS_splice [Fd, Update(Offset), Fd, Update(Offset), Size, Flags(&n::SPLICE)];
    TEE = SYS_tee [Fd, Fd, Size, Flags(&n::SPLICE)];
    VMSPLICE = SYS_vmsplice [Fd, GetMany(IoVec, 2), Size, Flags(&n::SPLICE)];
    PIPE2 = SYS_pipe2 [Put(FdPair), Flags(&n::FD_OPEN)];
    MEMFD_CREATE = SYS_memfd_create [Str, Flags(&n::MFD)];
    EVENTFD2 = SYS_eventfd2 [Uint, Flags(&n::EFD)];
    IOCTL = SYS_ioctl [Fd, Hex, Hex];
    IOCTL_PTR = SYS_ioctl [Fd, Hex, Ptr(64)];

    // Directories and names.
    STATX = SYS_statx [DirFd, PathUnless(2), Flags(&n::AT_STATX), Flags(&n::STATX), Put(Statx)];
    FACCESSAT = SYS_faccessat [DirFd, Path, Flags(&n::ACCESS)];
    FACCESSAT2 = SYS_faccessat2 [DirFd, PathUnless(3), Flags(&n::ACCESS), Flags(&n::AT_ACCESS)];
    READLINKAT = SYS_readlinkat [DirFd, PathNoFollow, Out(3), Size];
    MKDIRAT = SYS_mkdirat [DirFd, Name, Octal];
    MKNODAT = SYS_mknodat [DirFd, Name, Octal, Device];
    UNLINKAT = SYS_unlinkat [DirFd, Name, Flags(&n::AT)];
    RENAMEAT2 = SYS_renameat2 [DirFd, Name, DirFd, Name, Flags(&n::RENAME)];
    LINKAT = SYS_linkat [DirFd, PathIf(4), DirFd, Name, Flags(&n::AT)];
    SYMLINKAT = SYS_symlinkat [Str, DirFd, Name];
    FCHMOD = SYS_fchmod [Fd, Octal] changes;
    FCHMODAT = SYS_fchmodat [DirFd, Path, Octal] changes;
    FCHMODAT2 = SYS_fchmodat2 [DirFd, PathUnless(3), Octal, Flags(&n::AT)] changes;
    FCHOWN = SYS_fchown [Fd, Int, Int] changes;
    FCHOWNAT = SYS_fchownat [DirFd, PathUnless(4), Int, Int, Flags(&n::AT)] changes;
    UTIMENSAT = SYS_utimensat [DirFd, PathUnless(3), Get(Times), Flags(&n::AT)] changes;
    GETDENTS64 = SYS_getdents64 [Fd, Out(2), Size];
    GETCWD = SYS_getcwd [Out(1), Size];
    CHDIR = SYS_chdir [Path];
    FCHDIR = SYS_fchdir [Fd];
    UMASK = SYS_umask [Octal];
    STATFS = SYS_statfs [Path, Put(Statfs)];
    FSTATFS = SYS_fstatfs [Fd, Put(Statfs)];
    NAME_TO_HANDLE_AT = SYS_name_to_handle_at [DirFd, Path, Ptr(136), Put(Word), Flags(&n::AT)];
    INOTIFY_INIT1 = SYS_inotify_init1 [Flags(&n::IN_INIT)];
    INOTIFY_ADD_WATCH = SYS_inotify_add_watch [Fd, Path, Flags(&n::IN)];
    INOTIFY_RM_WATCH = SYS_inotify_rm_watch [Fd, Int];
    FANOTIFY_INIT = SYS_fanotify_init [Flags(&n::FAN_INIT), Flags(&n::OPEN)];
    FANOTIFY_MARK = SYS_fanotify_mark [Fd, Flags(&n::FAN_MARK), Hex, DirFd, Path];
    SETXATTR = SYS_setxattr [Path, Str, In(3), Size, Flags(&n::XATTR)] changes;
    LSETXATTR = SYS_lsetxattr [PathNoFollow, Str, In(3), Size, Flags(&n::XATTR)] changes;
    FSETXATTR = SYS_fsetxattr [Fd, Str, In(3), Size, Flags(&n::XATTR)] changes;
    GETXATTR = SYS_getxattr [Path, Str, Out(3), Size] ..XATTR_MAX;
    LGETXATTR = SYS_lgetxattr [PathNoFollow, Str, Out(3), Size] ..XATTR_MAX;
    FGETXATTR = SYS_fgetxattr [Fd, Str, Out(3), Size] ..XATTR_MAX;
    LISTXATTR = SYS_listxattr [Path, Out(2), Size] ..XATTR_MAX;
    LLISTXATTR = SYS_llistxattr [PathNoFollow, Out(2), Size] ..XATTR_MAX;
    FLISTXATTR = SYS_flistxattr [Fd, Out(2), Size] ..XATTR_MAX;
    REMOVEXATTR = SYS_removexattr [Path, Str] changes;
    LREMOVEXATTR = SYS_lremovexattr [PathNoFollow, Str] changes;
    FREMOVEXATTR = SYS_fremovexattr [Fd, Str] changes;

    // Memory, whose mappings belong to the address space: only calls that change none of them.
    MSYNC = SYS_msync [Range(1), Size, Flags(&n::MS)];
    MINCORE = SYS_mincore [Range(1), Size, Ptr(1)];
    MLOCK = SYS_mlock [Range(1), Size];
    MLOCK2 = SYS_mlock2 [Range(1), Size, Flags(&n::MLOCK)];
    MUNLOCK = SYS_munlock [Range(1), Size];
    MBIND = SYS_mbind [Range(1), Size, Flags(&n::MPOL), Bits(4), Size, Flags(&n::MPOL_MOVE)];
    SET_MEMPOLICY = SYS_set_mempolicy [Flags(&n::MPOL), Bits(2), Size];
    GET_MEMPOLICY = SYS_get_mempolicy [Put(MemoryPolicy), Bits(2), Size, Ptr(1), Flags(&n::MPOL_GET)];
    MIGRATE_PAGES = SYS_migrate_pages [Int, Size, Bits(1), Bits(1)];
    MOVE_PAGES = SYS_move_pages [Int, Size, Array(8, 1), Array(4, 1), Array(4, 1), Flags(&n::MPOL_MOVE)];
    PROCESS_VM_READV = SYS_process_vm_readv [Int, PutMany(IoVec, 2), Size, GetMany(IoVec, 4), Size, Hex];
    PROCESS_VM_WRITEV = SYS_process_vm_writev [Int, GetMany(IoVec, 2), Size, GetMany(IoVec, 4), Size, Hex];
    PROCESS_MRELEASE = SYS_process_mrelease [Fd, Hex];

    // Waiting.
    PPOLL = SYS_ppoll [GetMany(PollFd, 1), Size, Get(Timespec), Get(SigSet), Size];
    PSELECT6 = SYS_pselect6 [Int, Ptr(8), Ptr(8), Ptr(8), Get(Timespec), Ptr(16)];
    EPOLL_CREATE1 = SYS_epoll_create1 [Flags(&n::EPOLL_CREATE)];
    EPOLL_CTL = SYS_epoll_ctl [Fd, One(&n::EPOLL_OP), Fd, Ptr(12)];
    EPOLL_PWAIT = SYS_epoll_pwait [Fd, Array(12, 2), Int, Int, Ptr(8), Size];
    EPOLL_PWAIT2 = SYS_epoll_pwait2 [Fd, Array(12, 2), Int, Get(Timespec), Ptr(8), Size];
    TIMERFD_CREATE = SYS_timerfd_create [One(&n::CLOCK), Flags(&n::TFD)];
    TIMERFD_SETTIME = SYS_timerfd_settime [Fd, Flags(&n::TFD_TIMER), Get(Itimerspec), Put(Itimerspec)];
    TIMERFD_GETTIME = SYS_timerfd_gettime [Fd, Put(Itimerspec)];
    SIGNALFD4 = SYS_signalfd4 [Fd, Get(SigSet), Size, Flags(&n::SFD)];
    FUTEX = SYS_futex [Ptr(4), Hex, Int, Ptr(16), Ptr(4), Hex];
    FUTEX_WAITV = SYS_futex_waitv [In(1), Size, Hex, Ptr(16), Int];
    FUTEX_NUMBER = SYS_futex [Ptr(4), Hex, Int, Size, Ptr(4), Hex];
    FUTEX2_WAKE = 454 [Ptr(4), Hex, Int, Flags(&n::FUTEX2)];
    FUTEX2_WAIT = 455 [Ptr(4), Size, Hex, Flags(&n::FUTEX2), Get(Timespec), One(&n::CLOCK)];
    FUTEX2_REQUEUE = 456 [Ptr(48), Hex, Int, Int];

    // Time.
    CLOCK_SETTIME = SYS_clock_settime [One(&n::CLOCK), Get(Timespec)];
    CLOCK_GETRES = SYS_clock_getres [One(&n::CLOCK), Put(Timespec)];
    CLOCK_NANOSLEEP = SYS_clock_nanosleep [One(&n::CLOCK), Flags(&n::TIMER), Get(Timespec), Put(Timespec)];
    CLOCK_ADJTIME = SYS_clock_adjtime [One(&n::CLOCK), Update(Timex)];
    ADJTIMEX = SYS_adjtimex [Update(Timex)];
    NANOSLEEP = SYS_nanosleep [Get(Timespec), Put(Timespec)];
    GETTIMEOFDAY = SYS_gettimeofday [Put(Timeval), Put(Timezone)];
    SETTIMEOFDAY = SYS_settimeofday [Get(Timeval), Get(Timezone)];
    TIMES = SYS_times [Put(Tms)];
    GETITIMER = SYS_getitimer [One(&n::ITIMER), Put(Itimerval)];
    SETITIMER = SYS_setitimer [One(&n::ITIMER), Get(Itimerval), Put(Itimerval)];
    TIMER_CREATE = SYS_timer_create [One(&n::CLOCK), Get(SigEvent), Put(TimerId)];
    TIMER_SETTIME = SYS_timer_settime [Int, Flags(&n::TIMER), Get(Itimerspec), Put(Itimerspec)];
    TIMER_GETTIME = SYS_timer_gettime [Int, Put(Itimerspec)];
    TIMER_GETOVERRUN = SYS_timer_getoverrun [Int];
    TIMER_DELETE = SYS_timer_delete [Int];

    // Processes.
    GETPID = SYS_getpid [];
    GETPPID = SYS_getppid [];
    GETTID = SYS_gettid [];
    GETUID = SYS_getuid [];
    GETEUID = SYS_geteuid [];
    GETGID = SYS_getgid [];
    GETEGID = SYS_getegid [];
    GETRESUID = SYS_getresuid [Put(Id), Put(Id), Put(Id)];
    GETRESGID = SYS_getresgid [Put(Id), Put(Id), Put(Id)];
    SETUID = SYS_setuid [Int];
    SETGID = SYS_setgid [Int];
    SETREUID = SYS_setreuid [Int, Int];
    SETREGID = SYS_setregid [Int, Int];
    SETRESUID = SYS_setresuid [Int, Int, Int];
    SETRESGID = SYS_setresgid [Int, Int, Int];
    SETFSUID = SYS_setfsuid [Int];
    SETFSGID = SYS_setfsgid [Int];
    GETGROUPS = SYS_getgroups [Int, PutMany(Group, 0)] ..4 * GROUPS_MAX;
    SETGROUPS = SYS_setgroups [Int, GetMany(Group, 0)];
    CAPGET = SYS_capget [Get(CapHeader), Ptr(24)];
    CAPSET = SYS_capset [Get(CapHeader), Ptr(24)];
    GETPGID = SYS_getpgid [Int];
    SETPGID = SYS_setpgid [Int, Int];
    GETSID = SYS_getsid [Int];
    SETSID = SYS_setsid [];
    UNSHARE = SYS_unshare [Flags(&n::CLONE)];
    PERSONALITY = SYS_personality [Hex];
    GETPRIORITY = SYS_getpriority [One(&n::PRIO), Int];
    SETPRIORITY = SYS_setpriority [One(&n::PRIO), Int, Int];
    IOPRIO_GET = SYS_ioprio_get [One(&n::IOPRIO_WHO), Int];
    IOPRIO_SET = SYS_ioprio_set [One(&n::IOPRIO_WHO), Int, Hex];
    SCHED_YIELD = SYS_sched_yield [];
    SCHED_GETAFFINITY = SYS_sched_getaffinity [Int, Size, Out(1)] ..PROCESSORS_MAX / 8;
    SCHED_SETAFFINITY = SYS_sched_setaffinity [Int, Size, In(1)] ..PROCESSORS_MAX / 8;
    SCHED_GETPARAM = SYS_sched_getparam [Int, Put(SchedParam)];
    SCHED_SETPARAM = SYS_sched_setparam [Int, Get(SchedParam)];
    SCHED_GETSCHEDULER = SYS_sched_getscheduler [Int];
    SCHED_SETSCHEDULER = SYS_sched_setscheduler [Int, Flags(&n::SCHED), Get(SchedParam)];
    SCHED_GET_PRIORITY_MAX = SYS_sched_get_priority_max [Flags(&n::SCHED)];
    SCHED_GET_PRIORITY_MIN = SYS_sched_get_priority_min [Flags(&n::SCHED)];
    SCHED_RR_GET_INTERVAL = SYS_sched_rr_get_interval [Int, Put(Timespec)];
    SCHED_GETATTR = SYS_sched_getattr [Int, Out(2), Uint, Uint];
    /// Its structure says its own length: the handler gives memory of the greatest.
    SCHED_SETATTR = SYS_sched_setattr [Int, Ptr(4096), Hex];
    GETCPU = SYS_getcpu [Put(Number), Put(Number), Ptr(8)];
    GETRUSAGE = SYS_getrusage [One(&n::RUSAGE), Put(Rusage)];
    PRLIMIT64 = SYS_prlimit64 [Int, One(&n::RLIMIT), Get(Rlimit), Put(Rlimit)];
    WAIT4 = SYS_wait4 [Int, Put(WaitStatus), Flags(&n::WAIT), Put(Rusage)];
    WAITID = SYS_waitid [One(&n::ID_TYPE), Int, Put(SigInfo), Flags(&n::WAIT), Put(Rusage)];
    PRCTL = SYS_prctl [One(&n::PRCTL), Hex, Hex, Hex, Hex];
    PRCTL_PTR = SYS_prctl [One(&n::PRCTL), Ptr(16), Hex, Hex, Hex];
    KCMP = SYS_kcmp [Int, Int, One(&n::KCMP), Long, Long];
    KCMP_PTR = SYS_kcmp [Int, Int, One(&n::KCMP), Long, Ptr(12)];
    MEMBARRIER = SYS_membarrier [One(&n::MEMBARRIER), Hex, Int];

    // Signals.
    KILL = SYS_kill [Int, Signal];
    TKILL = SYS_tkill [Int, Signal];
    TGKILL = SYS_tgkill [Int, Int, Signal];
    RT_SIGPENDING = SYS_rt_sigpending [Put(SigSet), Size];
    RT_SIGSUSPEND = SYS_rt_sigsuspend [Get(SigSet), Size];
    RT_SIGQUEUEINFO = SYS_rt_sigqueueinfo [Int, Signal, Get(SigInfo)];
    RT_TGSIGQUEUEINFO = SYS_rt_tgsigqueueinfo [Int, Int, Signal, Get(SigInfo)];
    RT_SIGTIMEDWAIT = SYS_rt_sigtimedwait [Get(SigSet), Put(SigInfo), Get(Timespec), Size];
    PIDFD_OPEN = SYS_pidfd_open [Int, Flags(&n::PIDFD)];
    PIDFD_SEND_SIGNAL = SYS_pidfd_send_signal [Fd, Signal, Get(SigInfo), Hex];
    PIDFD_GETFD = SYS_pidfd_getfd [Fd, Fd, Hex];

    // Information and what changes it.
    UNAME = SYS_uname [Put(Utsname)];
    SYSINFO = SYS_sysinfo [Put(Sysinfo)];
    SYSLOG = SYS_syslog [Int, Out(2), Size];
    GETRANDOM = SYS_getrandom [Out(1), Size, Flags(&n::GRND)] ..MAX_RW_COUNT;
    SETHOSTNAME = SYS_sethostname [In(1), Size];
    SETDOMAINNAME = SYS_setdomainname [In(1), Size];

    // System V and POSIX interprocess communication.
    MSGGET = SYS_msgget [Int, Hex];
    MSGCTL = SYS_msgctl [Int, One(&n::MSG_CTL), Ptr(120)];
    MSGSND = SYS_msgsnd [Int, Framed(8, 2), Size, Flags(&n::IPC_MSG)];
    MSGRCV = SYS_msgrcv [Int, Framed(8, 2), Size, Long, Flags(&n::IPC_MSG)] ..MESSAGE_MAX;
    SEMGET = SYS_semget [Int, Int, Hex];
    SEMCTL = SYS_semctl [Int, Int, One(&n::SEM_CTL), Hex];
    SEMCTL_PTR = SYS_semctl [Int, Int, One(&n::SEM_CTL), Ptr(104)];
    SEMOP = SYS_semop [Int, GetMany(SemBuf, 2), Size];
    SEMTIMEDOP = SYS_semtimedop [Int, GetMany(SemBuf, 2), Size, Get(Timespec)];
    SHMGET = SYS_shmget [Int, Size, Hex];
    SHMCTL = SYS_shmctl [Int, One(&n::SHM_CTL), Ptr(112)];
    MQ_OPEN = SYS_mq_open [Str, Flags(&n::OPEN), OctalIf(1), Get(MqAttr)];
    MQ_UNLINK = SYS_mq_unlink [Str];
    MQ_TIMEDSEND = SYS_mq_timedsend [Fd, In(2), Size, Int, Get(Timespec)];
    MQ_TIMEDRECEIVE = SYS_mq_timedreceive [Fd, Out(2), Size, Put(Number), Get(Timespec)] ..MESSAGE_MAX;
    MQ_NOTIFY = SYS_mq_notify [Fd, Get(SigEvent)];
    MQ_GETSETATTR = SYS_mq_getsetattr [Fd, Get(MqAttr), Put(MqAttr)];

    // Sockets.
    SOCKET = SYS_socket [One(&n::AF), Flags(&n::SOCK), Int];
    SOCKETPAIR = SYS_socketpair [One(&n::AF), Flags(&n::SOCK), Int, Put(FdPair)];
    BIND = SYS_bind [Fd, SockAddr(2), Size];
    LISTEN = SYS_listen [Fd, Int];
    ACCEPT = SYS_accept [Fd, SockAddrOut(2), Update(SockLen)];
    ACCEPT4 = SYS_accept4 [Fd, SockAddrOut(2), Update(SockLen), Flags(&n::SOCK)];
    CONNECT = SYS_connect [Fd, SockAddr(2), Size];
    GETSOCKNAME = SYS_getsockname [Fd, SockAddrOut(2), Update(SockLen)];
    GETPEERNAME = SYS_getpeername [Fd, SockAddrOut(2), Update(SockLen)];
    SENDTO = SYS_sendto [Fd, In(2), Size, Flags(&n::MSG), SockAddr(5), Size];
    RECVFROM = SYS_recvfrom [Fd, Out(2), Size, Flags(&n::MSG), SockAddrOut(5), Update(SockLen)];
    SENDMSG = SYS_sendmsg [Fd, Get(MsgHdr), Flags(&n::MSG)];
    RECVMSG = SYS_recvmsg [Fd, Update(MsgHdr), Flags(&n::MSG)];
    SENDMMSG = SYS_sendmmsg [Fd, GetMany(MMsgHdr, 2), Size, Flags(&n::MSG)];
    RECVMMSG = SYS_recvmmsg [Fd, PutMany(MMsgHdr, 2), Size, Flags(&n::MSG), Get(Timespec)];
    SETSOCKOPT = SYS_setsockopt [Fd, One(&n::SOL), Int, In(4), Size];
    GETSOCKOPT = SYS_getsockopt [Fd, One(&n::SOL), Int, Ptr(1), Update(SockLen)];
    SHUTDOWN = SYS_shutdown [Fd, One(&n::SHUT)];
}

/// The call that does for what a link leads to what `call` does for the link itself.
pub(crate) fn following(call: &'static HostCall) -> &'static HostCall {
    let pairs =
        [(&LSETXATTR, &SETXATTR), (&LGETXATTR, &GETXATTR), (&LLISTXATTR, &LISTXATTR), (&LREMOVEXATTR, &REMOVEXATTR)];
    pairs.into_iter().find(|(link, _)| std::ptr::eq(*link, call)).map_or(call, |(_, target)| target)
}

/// Makes a system call that never waits for long, on behalf of a handler: no signal keeps it from being made.
///
/// # Errors
/// The kernel's error number.
///
/// # Panics
/// If the arguments are not what the call's shapes say, which is a bug of the handler.
pub(crate) fn call(call: &HostCall, args: &mut [Arg<'_>]) -> Result<u64, Errno> {
    let [a, b, c, d, e, f] = numbers(call, args);
    // SAFETY: see `numbers`.
    let result = unsafe { libc::syscall(call.number, a, b, c, d, e, f) };
    if result == -1 { Err(io::Error::last_os_error().into()) } else { Ok(result as u64) }
}

/// Makes the system call that the guest asked for, which may wait: not if a signal is to be delivered first.
///
/// # Errors
/// The kernel's error number, or [`Errno::NOT_MADE`].
///
/// # Panics
/// As [`call`].
pub(crate) fn wait(call: &HostCall, args: &mut [Arg<'_>]) -> Result<u64, Errno> {
    let numbers = numbers(call, args);
    // SAFETY: see `numbers`.
    result(unsafe { stub::system_call(call.number, &numbers, signal::stop_word()) })
}

/// The same for the arguments `args` as the guest gave them, of which `pointer` gives the pointers.
///
/// # Errors
/// As [`wait`].
///
/// # Panics
/// If strings are among the arguments.
#[inline]
pub(crate) fn wait_as(
    call: &HostCall,
    args: &[u64; 6],
    pointer: impl Fn(Shape, u64) -> GuestPtr,
) -> Result<u64, Errno> {
    assert!(!call.has_strings, "{call:?}");
    let mut numbers = [0; 6];
    let count = call.shapes.len();
    numbers[..count].copy_from_slice(&args[..count]);
    let mut rest = call.pointers;
    while rest != 0 {
        let index = rest.trailing_zeros() as usize;
        numbers[index] = pointer(call.shapes[index], args[index]).0;
        rest &= rest - 1;
    }
    // SAFETY: as `numbers` says: every pointer is guest memory.
    result(unsafe { stub::system_call(call.number, &numbers, signal::stop_word()) })
}

/// What the kernel returned, or the stub.
#[inline]
fn result(value: i64) -> Result<u64, Errno> {
    if (-4095..0).contains(&value) { Err(Errno::new(-value as i32)) } else { Ok(value as u64) }
}

/// The arguments as the kernel takes them. A call with them is sound:
///
/// * its number is one of the list above, none of which changes mappings or runs code in this process;
/// * each pointer is guest memory (or faults), which no Rust reference covers, or is borrowed in `args` and as long as
///   the shape, and so the kernel, takes it to be.
fn numbers(call: &HostCall, args: &mut [Arg<'_>]) -> [u64; 6] {
    assert_eq!(args.len(), call.shapes.len(), "{call:?}");
    let mut numbers = [0; 6];
    for (number, arg) in numbers.iter_mut().zip(args.iter()) {
        if let Arg::Int(value) = arg {
            *number = *value;
        }
    }
    for (index, (shape, arg)) in call.shapes.iter().zip(args.iter_mut()).enumerate() {
        let is_string = shape.is_string();
        let len = shape.len(&numbers);
        match arg {
            Arg::Int(_) => assert!(!shape.is_pointer(), "{call:?}: argument {index} is a pointer"),
            Arg::Guest(pointer) => {
                assert!(shape.is_pointer(), "{call:?}: argument {index} is a number");
                numbers[index] = pointer.0;
            }
            Arg::Bytes(bytes) => {
                assert!(shape.is_pointer() && !is_string && bytes.len() as u64 >= len, "{call:?}: argument {index}");
                numbers[index] = bytes.as_mut_ptr() as u64;
            }
            Arg::Str(text) => {
                assert!(is_string, "{call:?}: argument {index} is no string");
                numbers[index] = text.as_ptr() as u64;
            }
        }
    }
    numbers
}

/// What the clock of this number says, in seconds and nanoseconds.
///
/// # Errors
/// `EINVAL` if there is no such clock.
pub(crate) fn clock(number: i32) -> Result<[u64; 2], Errno> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is written to memory of the right type.
    match unsafe { libc::clock_gettime(number, &raw mut now) } {
        0 => Ok([now.tv_sec as u64, now.tv_nsec as u64]),
        _ => Err(io::Error::last_os_error().into()),
    }
}

/// The status of an open file.
///
/// # Errors
/// As `fstat(2)`.
pub(crate) fn status_of(fd: i32) -> Result<libc::stat, Errno> {
    // SAFETY: all-zero bits are a valid status.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the status is written to memory of the right type.
    match unsafe { libc::syscall(libc::SYS_fstat, fd, &raw mut status) } {
        0 => Ok(status),
        _ => Err(io::Error::last_os_error().into()),
    }
}

/// The status of the file `name` seen from `dirfd`.
///
/// # Errors
/// As `fstatat(2)`.
pub(crate) fn status_at(dirfd: i32, name: &CStr, flags: u32) -> Result<libc::stat, Errno> {
    // SAFETY: all-zero bits are a valid status.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the name ends with a zero, and the status is written to memory of the right type.
    match unsafe { libc::syscall(libc::SYS_newfstatat, dirfd, name.as_ptr(), &raw mut status, flags) } {
        0 => Ok(status),
        _ => Err(io::Error::last_os_error().into()),
    }
}

/// Lets `space` read mapped files in place, with faults recovered by the handlers that an engine has installed.
pub(crate) fn spare_system_calls(space: &vm_mem::AddressSpace) {
    if let Some(copy) = vm_engine::fault::guarded_copy() {
        // SAFETY: called when an engine exists, whose handlers stay for the life of the process: `set_disposition` leaves
        // their signals to a handler that asks them first.
        unsafe { space.set_guarded_copy(copy) };
    }
}

/// The guest's descriptor `fd`, for calls that take descriptors by type. Never a copy of it: closing a copy would release
/// the process's locks on the file (`fcntl(2)`, "Advisory record locking").
///
/// # Errors
/// `EBADF` if it is not open.
pub(crate) fn borrow<'a>(fd: i32) -> Result<BorrowedFd<'a>, Errno> {
    call(&FCNTL, &mut [Arg::Int(fd as u64), Arg::Int(libc::F_GETFD as u64), Arg::Int(0)])?;
    // SAFETY: it is open. A guest thread that closes it meanwhile makes the number another file's or nobody's, which is what
    // a kernel's call finds then too; nothing of ours is known by a number that the guest has.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Maps the beginning of `file` executable for a moment: the host's profiler sees that, and by the file's name that it
/// describes code.
///
/// # Errors
/// What `mmap(2)` reports.
pub(crate) fn show_to_perf(file: &File) -> io::Result<()> {
    const LEN: usize = 4096;
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    let fd = std::os::fd::AsRawFd::as_raw_fd(file);
    // SAFETY: a new private mapping, at a place of the host's choice, which nobody else knows.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), LEN, protection, libc::MAP_PRIVATE, fd, 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping above, of which no reference was made.
    unsafe { libc::munmap(at, LEN) };
    Ok(())
}

/// A file that has just been opened by a call of this module, by its descriptor, which nobody else knows.
pub(crate) fn file_of(fd: u64) -> File {
    // SAFETY: callers have the descriptor from an open call of their own and give it up here.
    unsafe { File::from_raw_fd(fd as i32) }
}

/// The soft limit on the number of descriptors; `None` if there is none.
pub(crate) fn descriptor_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_NOFILE)
}

/// Takes over a descriptor that this process was started with; `None` if it is not open.
pub(crate) fn take_descriptor(fd: i32) -> Option<File> {
    let set = [Arg::Int(fd as u64), Arg::Int(libc::F_SETFD as u64), Arg::Int(libc::FD_CLOEXEC as u64)];
    call(&FCNTL, &mut { set }).ok()?;
    // SAFETY: it is open, and whoever started this process left it for this purpose: nothing else here knows it.
    Some(unsafe { File::from_raw_fd(fd) })
}

/// The soft limit on the size of the stack, in bytes; `None` if there is none.
pub(crate) fn stack_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_STACK)
}

fn soft_limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    // SAFETY: the limit is written to memory of the right type.
    let limit = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        (libc::getrlimit(resource, &mut limit) == 0).then_some(limit.rlim_cur)
    };
    limit.filter(|limit| *limit != libc::RLIM_INFINITY)
}

/// Makes something while the soft limit on the number of descriptors is at least `least`, if the hard limit is. The limit is
/// set back afterwards: no other thread may set it meanwhile.
pub(crate) fn with_descriptors<T>(least: u64, make: impl FnOnce() -> T) -> T {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is written to memory of the right type.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    let wider = libc::rlimit { rlim_cur: least.min(limit.rlim_max), ..limit };
    // SAFETY: only reads what it is given, here and below.
    let is_wider = limit.rlim_cur < wider.rlim_cur && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &wider) } == 0;
    let made = make();
    if is_wider {
        // SAFETY: as above.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    }
    made
}

/// 16 random bytes.
pub(crate) fn random_bytes() -> Result<[u8; 16], Errno> {
    let mut bytes = [0; 16];
    call(&GETRANDOM, &mut [Arg::Bytes(&mut bytes), Arg::Int(16), Arg::Int(0)])?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_outside_the_guest_fault() {
        assert_eq!(GuestPtr::new(0x1000, 1 << 20, 0x2000, 16).get(), 0x3000);
        assert_eq!(GuestPtr::new(0x1000, 1 << 20, 0, 16), GuestPtr::NULL);
        for (addr, len) in [(1 << 20, 1), ((1 << 20) - 1, 2), (u64::MAX, 1), (1, u64::MAX)] {
            let wild = GuestPtr::new(0x1000, 1 << 20, addr, len);
            let result = call(&WRITE, &mut [Arg::Int(1), Arg::Guest(wild), Arg::Int(1)]);
            assert_eq!(result, Err(Errno::EFAULT));
        }
    }

    #[test]
    fn errors_come_in_the_kernels_order() {
        let wild = GuestPtr::new(0, 1 << 20, u64::MAX, 1);
        assert_eq!(call(&READ, &mut [Arg::Int(u64::MAX), Arg::Guest(wild), Arg::Int(1)]), Err(Errno::EBADF));
    }

    #[test]
    #[should_panic(expected = "argument 1")]
    fn short_memory_is_refused() {
        let mut bytes = [0; 4];
        let _ = call(&READ, &mut [Arg::Int(0), Arg::Bytes(&mut bytes), Arg::Int(8)]);
    }
}
