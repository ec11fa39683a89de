//! Names of numbers that system calls take, as strace prints them.
//!
//! Numbers are those of the generic headers (`asm-generic`, `linux`); where the host's C library has the same number
//! under the same name, it is taken from there.

use super::text::Line;

/// Names of the values of an argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// Bits of which one combination has one name; zero if there is none but for the value zero.
    pub(crate) mask: u64,
    /// Names of the combinations of these bits.
    pub(crate) base: List,
    /// Names of single flags.
    pub(crate) flags: List,
    /// What is said of a number without a name; nothing if it is empty.
    pub(crate) unknown: &'static str,
}

/// Numbers and their names. The names are one text, with a space behind each: a slice of them would be pointers, which are
/// relocated whenever the program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(super) numbers: &'static [u64],
    pub(super) names: &'static str,
}

impl List {
    const EMPTY: Self = Self { numbers: &[], names: "" };

    fn iter(self) -> impl Iterator<Item = (u64, &'static str)> {
        self.numbers.iter().copied().zip(self.names.split_terminator(' '))
    }

    /// Whether a number takes more than 32 bits.
    pub(crate) fn is_wide(self) -> bool {
        self.numbers.iter().any(|number| *number > u64::from(u32::MAX))
    }
}

impl Names {
    /// Flags, of which each has its name.
    pub(super) const fn flags(flags: List, unknown: &'static str) -> Self {
        Self { mask: 0, base: List::EMPTY, flags, unknown }
    }

    /// Numbers, each with its name.
    pub(super) const fn one(base: List, unknown: &'static str) -> Self {
        Self { mask: u64::MAX, base, flags: List::EMPTY, unknown }
    }

    /// The name of `value` alone.
    pub(crate) fn name(&self, value: u64) -> Option<&'static str> {
        self.base.iter().chain(self.flags.iter()).find(|(number, _)| *number == value).map(|(_, name)| name)
    }

    /// Appends `value` by its names.
    pub(crate) fn write(&self, value: u64, line: &mut Line) {
        let mut rest = value;
        let mut named = false;
        let part = |line: &mut Line, named: bool, text: &str| {
            line.push(if named { "|" } else { "" });
            line.push(text);
        };
        if (self.mask != 0 || value == 0)
            && let Some((number, name)) = self.base.iter().find(|(number, _)| *number == value & self.mask)
        {
            part(line, false, name);
            rest &= !number;
            named = true;
            if value == 0 {
                return;
            }
        }
        for (number, name) in self.flags.iter() {
            if rest & number == number && number != 0 {
                part(line, named, name);
                rest &= !number;
                named = true;
            }
        }
        if rest != 0 || !named {
            if rest == 0 && (self.flags.numbers.is_empty() && self.base.numbers.is_empty() || self.mask != u64::MAX) {
                part(line, named, "0");
            } else {
                part(line, named, &format!("{rest:#x}"));
            }
            if (!named && value != 0 || self.mask == u64::MAX) && !self.unknown.is_empty() {
                line.push(&format!(" /* {} */", self.unknown));
            }
        }
    }
}

/// A list of names with the C library's numbers, or with numbers that it lacks or hides.
macro_rules! list {
    ($($name:ident $(= $value:expr)?)*) => {
        $crate::trace::names::List {
            numbers: &[$(list!(@ $name $($value)?),)*],
            names: concat!($(stringify!($name), " ",)*),
        }
    };
    (@ $name:ident) => { libc::$name as i64 as u64 & 0xffff_ffff };
    (@ $name:ident $value:expr) => { $value };
}

pub(super) use list;

mod control;

pub(crate) use control::*;

pub(crate) static OPEN: Names = Names {
    mask: 3,
    base: list![O_RDONLY O_WRONLY O_RDWR O_ACCMODE],
    flags: list![
        O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_SYNC O_DSYNC O_ASYNC O_CLOEXEC O_DIRECT = 0o40000
        O_LARGEFILE = 0o100_000 O_NOFOLLOW = 0o400_000 O_NOATIME O_PATH O_TMPFILE = 0o20_200_000 O_DIRECTORY = 0o200_000
    ],
    unknown: "O_???",
};
/// Of calls that make descriptors otherwise.
pub(crate) static FD_OPEN: Names =
    Names::flags(list![O_APPEND O_NONBLOCK O_CLOEXEC O_DIRECT = 0o40000 O_EXCL], "O_???");
pub(crate) static RESOLVE: Names = Names::flags(
    list![RESOLVE_NO_XDEV = 1 RESOLVE_NO_MAGICLINKS = 2 RESOLVE_NO_SYMLINKS = 4 RESOLVE_BENEATH = 8 RESOLVE_IN_ROOT = 16
        RESOLVE_CACHED = 32],
    "RESOLVE_???",
);
pub(crate) static AT: Names = Names::flags(
    list![AT_SYMLINK_NOFOLLOW AT_REMOVEDIR AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH AT_STATX_FORCE_SYNC
        AT_STATX_DONT_SYNC AT_RECURSIVE],
    "AT_???",
);
/// Of `faccessat2`, where the bit of `AT_REMOVEDIR` means something else.
pub(crate) static AT_ACCESS: Names = Names::flags(list![AT_SYMLINK_NOFOLLOW AT_EACCESS AT_EMPTY_PATH], "AT_???");
/// Of `statx`.
pub(crate) static AT_STATX: Names = Names {
    mask: 0x6000,
    base: list![AT_STATX_SYNC_AS_STAT AT_STATX_FORCE_SYNC AT_STATX_DONT_SYNC],
    flags: list![AT_SYMLINK_NOFOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH],
    unknown: "AT_???",
};
pub(crate) static STATX: Names = Names {
    mask: 0xfff,
    base: list![STATX_BASIC_STATS STATX_ALL],
    flags: list![STATX_TYPE STATX_MODE STATX_NLINK STATX_UID STATX_GID STATX_ATIME STATX_MTIME STATX_CTIME STATX_INO
        STATX_SIZE STATX_BLOCKS STATX_BTIME STATX_MNT_ID STATX_DIOALIGN STATX_MNT_ID_UNIQUE = 0x4000
        STATX_SUBVOL = 0x8000],
    unknown: "STATX_???",
};
pub(crate) static ACCESS: Names = Names { mask: 0, base: list![F_OK], flags: list![R_OK W_OK X_OK], unknown: "?_OK" };
pub(crate) static RENAME: Names = Names::flags(list![RENAME_NOREPLACE RENAME_EXCHANGE RENAME_WHITEOUT], "RENAME_???");
pub(crate) static WHENCE: Names = Names::one(list![SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE], "SEEK_???");
pub(crate) static LOCK: Names =
    Names { mask: 0xf & !4, base: list![LOCK_SH LOCK_EX LOCK_UN], flags: list![LOCK_NB], unknown: "LOCK_???" };
pub(crate) static FALLOC: Names = Names::flags(
    list![FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE FALLOC_FL_NO_HIDE_STALE = 4 FALLOC_FL_COLLAPSE_RANGE
        FALLOC_FL_ZERO_RANGE FALLOC_FL_INSERT_RANGE FALLOC_FL_UNSHARE_RANGE],
    "FALLOC_FL_???",
);
pub(crate) static FADVISE: Names = Names::one(
    list![POSIX_FADV_NORMAL POSIX_FADV_RANDOM POSIX_FADV_SEQUENTIAL POSIX_FADV_WILLNEED POSIX_FADV_DONTNEED
        POSIX_FADV_NOREUSE],
    "POSIX_FADV_???",
);
pub(crate) static SYNC_RANGE: Names = Names::flags(
    list![SYNC_FILE_RANGE_WAIT_BEFORE SYNC_FILE_RANGE_WRITE SYNC_FILE_RANGE_WAIT_AFTER],
    "SYNC_FILE_RANGE_???",
);
pub(crate) static SPLICE: Names =
    Names::flags(list![SPLICE_F_MOVE SPLICE_F_NONBLOCK SPLICE_F_MORE SPLICE_F_GIFT], "SPLICE_F_???");
pub(crate) static RWF: Names =
    Names::flags(list![RWF_HIPRI RWF_DSYNC RWF_SYNC RWF_NOWAIT RWF_APPEND RWF_NOAPPEND = 0x20], "RWF_???");
pub(crate) static XATTR: Names = Names::flags(list![XATTR_CREATE XATTR_REPLACE], "XATTR_???");
pub(crate) static MFD: Names =
    Names::flags(list![MFD_CLOEXEC MFD_ALLOW_SEALING MFD_HUGETLB MFD_NOEXEC_SEAL = 8 MFD_EXEC = 16], "MFD_???");
pub(crate) static EFD: Names = Names::flags(list![EFD_SEMAPHORE EFD_CLOEXEC EFD_NONBLOCK], "EFD_???");
pub(crate) static SFD: Names = Names::flags(list![SFD_CLOEXEC SFD_NONBLOCK], "SFD_???");
pub(crate) static TFD: Names = Names::flags(list![TFD_CLOEXEC TFD_NONBLOCK], "TFD_???");
pub(crate) static TFD_TIMER: Names = Names::flags(list![TFD_TIMER_ABSTIME TFD_TIMER_CANCEL_ON_SET], "TFD_???");
pub(crate) static CLOSE_RANGE: Names = Names::flags(list![CLOSE_RANGE_UNSHARE CLOSE_RANGE_CLOEXEC], "CLOSE_RANGE_???");
pub(crate) static IN_INIT: Names = Names::flags(list![IN_NONBLOCK IN_CLOEXEC], "IN_???");
pub(crate) static IN: Names = Names {
    mask: 0xfff,
    base: list![IN_ALL_EVENTS],
    flags: list![IN_ACCESS IN_MODIFY IN_ATTRIB IN_CLOSE_WRITE IN_CLOSE_NOWRITE IN_OPEN IN_MOVED_FROM IN_MOVED_TO
        IN_CREATE IN_DELETE IN_DELETE_SELF IN_MOVE_SELF IN_UNMOUNT IN_Q_OVERFLOW IN_IGNORED IN_ONLYDIR IN_DONT_FOLLOW
        IN_EXCL_UNLINK IN_MASK_CREATE IN_MASK_ADD IN_ISDIR IN_ONESHOT],
    unknown: "IN_???",
};
pub(crate) static FAN_INIT: Names = Names {
    mask: 0xc,
    base: list![FAN_CLASS_NOTIF FAN_CLASS_CONTENT FAN_CLASS_PRE_CONTENT],
    flags: list![FAN_CLOEXEC FAN_NONBLOCK FAN_UNLIMITED_QUEUE FAN_UNLIMITED_MARKS FAN_REPORT_PIDFD FAN_REPORT_TID
        FAN_REPORT_FID FAN_REPORT_DIR_FID FAN_REPORT_NAME],
    unknown: "FAN_???",
};
pub(crate) static FAN_MARK: Names = Names::flags(
    list![FAN_MARK_ADD FAN_MARK_REMOVE FAN_MARK_DONT_FOLLOW FAN_MARK_ONLYDIR FAN_MARK_MOUNT FAN_MARK_IGNORED_MASK
        FAN_MARK_IGNORED_SURV_MODIFY FAN_MARK_FLUSH FAN_MARK_FILESYSTEM],
    "FAN_MARK_???",
);
pub(crate) static FCNTL: Names = Names::one(
    list![F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN F_GETOWN F_SETSIG = 10 F_GETSIG = 11
        F_SETOWN_EX = 15 F_GETOWN_EX = 16 F_GETOWNER_UIDS = 17 F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW F_SETLEASE F_GETLEASE
        F_NOTIFY F_DUPFD_QUERY = 1027 F_CREATED_QUERY = 1028 F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ F_ADD_SEALS
        F_GET_SEALS F_GET_RW_HINT = 1036 F_SET_RW_HINT = 1037 F_GET_FILE_RW_HINT = 1038 F_SET_FILE_RW_HINT = 1039],
    "F_???",
);
/// Of `F_NOTIFY`.
pub(crate) static DN: Names = Names::flags(
    list![DN_ACCESS = 1 DN_MODIFY = 2 DN_CREATE = 4 DN_DELETE = 8 DN_RENAME = 0x10 DN_ATTRIB = 0x20
        DN_MULTISHOT = 0x8000_0000],
    "DN_???",
);
pub(crate) static FD_FLAGS: Names = Names::flags(list![FD_CLOEXEC], "FD_???");
pub(crate) static SEALS: Names = Names::flags(
    list![F_SEAL_SEAL F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE F_SEAL_FUTURE_WRITE F_SEAL_EXEC = 0x20],
    "F_SEAL_???",
);
pub(crate) static LOCK_TYPE: Names = Names::one(list![F_RDLCK F_WRLCK F_UNLCK], "F_???");
pub(crate) static PROT: Names = Names {
    mask: 0,
    base: list![PROT_NONE],
    flags: list![PROT_READ PROT_WRITE PROT_EXEC PROT_SEM = 8 PROT_GROWSDOWN PROT_GROWSUP],
    unknown: "PROT_???",
};
pub(crate) static MAP: Names = Names {
    mask: 0xf,
    base: list![MAP_SHARED MAP_PRIVATE MAP_SHARED_VALIDATE],
    flags: list![MAP_FIXED MAP_ANONYMOUS MAP_GROWSDOWN = 0x100 MAP_DENYWRITE = 0x800 MAP_EXECUTABLE = 0x1000
        MAP_LOCKED = 0x2000 MAP_NORESERVE = 0x4000 MAP_POPULATE = 0x8000 MAP_NONBLOCK = 0x10000 MAP_STACK = 0x20000
        MAP_HUGETLB = 0x40000 MAP_SYNC = 0x80000 MAP_FIXED_NOREPLACE = 0x100_000],
    unknown: "MAP_???",
};
pub(crate) static MREMAP: Names = Names::flags(list![MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP], "MREMAP_???");
pub(crate) static MS: Names = Names::flags(list![MS_ASYNC MS_INVALIDATE MS_SYNC], "MS_???");
pub(crate) static MADV: Names = Names::one(
    list![MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE MADV_REMOVE MADV_DONTFORK
        MADV_DOFORK MADV_MERGEABLE MADV_UNMERGEABLE MADV_HUGEPAGE MADV_NOHUGEPAGE MADV_DONTDUMP MADV_DODUMP
        MADV_WIPEONFORK MADV_KEEPONFORK MADV_COLD MADV_PAGEOUT MADV_POPULATE_READ MADV_POPULATE_WRITE
        MADV_DONTNEED_LOCKED = 24 MADV_COLLAPSE = 25],
    "MADV_???",
);
/// The commands that a kernel knows.
pub(crate) static MEMBARRIER_SET: Names = Names::flags(
    list![MEMBARRIER_CMD_GLOBAL MEMBARRIER_CMD_GLOBAL_EXPEDITED MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
        MEMBARRIER_CMD_PRIVATE_EXPEDITED MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ
        MEMBARRIER_CMD_GET_REGISTRATIONS = 512],
    "MEMBARRIER_CMD_???",
);
pub(crate) static MEMBARRIER_FLAGS: Names = Names::flags(list![MEMBARRIER_CMD_FLAG_CPU = 1], "MEMBARRIER_CMD_FLAG_???");
pub(crate) static MCL: Names = Names::flags(list![MCL_CURRENT MCL_FUTURE MCL_ONFAULT], "MCL_???");
pub(crate) static MLOCK: Names = Names::flags(list![MLOCK_ONFAULT = 1], "MLOCK_???");
pub(crate) static MPOL: Names = Names {
    mask: 0xfff,
    base: list![MPOL_DEFAULT MPOL_PREFERRED MPOL_BIND MPOL_INTERLEAVE MPOL_LOCAL MPOL_PREFERRED_MANY = 5
        MPOL_WEIGHTED_INTERLEAVE = 6],
    flags: list![MPOL_F_NUMA_BALANCING MPOL_F_RELATIVE_NODES MPOL_F_STATIC_NODES],
    unknown: "MPOL_???",
};
pub(crate) static MPOL_GET: Names =
    Names::flags(list![MPOL_F_NODE = 1 MPOL_F_ADDR = 2 MPOL_F_MEMS_ALLOWED = 4], "MPOL_F_???");
pub(crate) static MPOL_MOVE: Names =
    Names::flags(list![MPOL_MF_STRICT = 1 MPOL_MF_MOVE = 2 MPOL_MF_MOVE_ALL = 4], "MPOL_MF_???");
pub(crate) static CLOCK: Names = Names::one(
    list![CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID CLOCK_MONOTONIC_RAW
        CLOCK_REALTIME_COARSE CLOCK_MONOTONIC_COARSE CLOCK_BOOTTIME CLOCK_REALTIME_ALARM CLOCK_BOOTTIME_ALARM
        CLOCK_TAI],
    "CLOCK_???",
);
pub(crate) static TIMER: Names = Names::flags(list![TIMER_ABSTIME], "TIMER_???");
pub(crate) static ITIMER: Names = Names::one(list![ITIMER_REAL ITIMER_VIRTUAL ITIMER_PROF], "ITIMER_???");
pub(crate) static EPOLL_CREATE: Names = Names::flags(list![EPOLL_CLOEXEC], "EPOLL_???");
pub(crate) static EPOLL_OP: Names = Names::one(list![EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD], "EPOLL_CTL_???");
pub(crate) static EPOLL: Names = Names::flags(
    list![EPOLLIN EPOLLPRI EPOLLOUT EPOLLRDNORM EPOLLRDBAND EPOLLWRNORM EPOLLWRBAND EPOLLMSG EPOLLERR EPOLLHUP
        EPOLLRDHUP EPOLLEXCLUSIVE EPOLLWAKEUP EPOLLONESHOT EPOLLET],
    "EPOLL???",
);
pub(crate) static POLL: Names = Names::flags(
    list![POLLIN POLLPRI POLLOUT POLLRDNORM POLLRDBAND POLLWRNORM POLLWRBAND POLLMSG = 0x400 POLLERR POLLHUP POLLNVAL
        POLLRDHUP],
    "POLL???",
);
pub(crate) static FUTEX: Names = Names {
    mask: 0x7f,
    base: list![FUTEX_WAIT FUTEX_WAKE FUTEX_FD FUTEX_REQUEUE FUTEX_CMP_REQUEUE FUTEX_WAKE_OP FUTEX_LOCK_PI FUTEX_UNLOCK_PI
        FUTEX_TRYLOCK_PI FUTEX_WAIT_BITSET FUTEX_WAKE_BITSET FUTEX_WAIT_REQUEUE_PI FUTEX_CMP_REQUEUE_PI
        FUTEX_LOCK_PI2 = 13],
    flags: list![FUTEX_CLOCK_REALTIME],
    unknown: "FUTEX_???",
};
pub(crate) static FUTEX2: Names = Names {
    mask: 3,
    base: list![FUTEX2_SIZE_U8 = 0 FUTEX2_SIZE_U16 = 1 FUTEX2_SIZE_U32 = 2 FUTEX2_SIZE_U64 = 3],
    flags: list![FUTEX2_NUMA = 4 FUTEX2_PRIVATE = 128],
    unknown: "FUTEX2_???",
};
/// Operations of `FUTEX_WAKE_OP`.
pub(crate) static FUTEX_OP: Names = Names::one(
    list![FUTEX_OP_SET = 0 FUTEX_OP_ADD = 1 FUTEX_OP_OR = 2 FUTEX_OP_ANDN = 3 FUTEX_OP_XOR = 4],
    "FUTEX_OP_???",
);
/// Its comparisons.
pub(crate) static FUTEX_CMP: Names = Names::one(
    list![FUTEX_OP_CMP_EQ = 0 FUTEX_OP_CMP_NE = 1 FUTEX_OP_CMP_LT = 2 FUTEX_OP_CMP_LE = 3 FUTEX_OP_CMP_GT = 4
        FUTEX_OP_CMP_GE = 5],
    "FUTEX_OP_CMP_???",
);
pub(crate) static CLONE: Names = Names::flags(
    list![CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PIDFD CLONE_PTRACE CLONE_VFORK CLONE_PARENT CLONE_THREAD
        CLONE_NEWNS CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID CLONE_CHILD_CLEARTID CLONE_DETACHED CLONE_UNTRACED
        CLONE_CHILD_SETTID CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET CLONE_IO
        CLONE_CLEAR_SIGHAND = 1 << 32 CLONE_INTO_CGROUP = 1 << 33 CLONE_NEWTIME = 0x80],
    "CLONE_???",
);
pub(crate) static WAIT: Names =
    Names::flags(list![WNOHANG WSTOPPED WEXITED WCONTINUED WNOWAIT __WNOTHREAD __WALL __WCLONE], "W???");
pub(crate) static ID_TYPE: Names = Names::one(list![P_ALL P_PID P_PGID P_PIDFD], "P_???");
pub(crate) static PRIO: Names = Names::one(list![PRIO_PROCESS PRIO_PGRP PRIO_USER], "PRIO_???");
pub(crate) static IOPRIO_WHO: Names =
    Names::one(list![IOPRIO_WHO_PROCESS = 1 IOPRIO_WHO_PGRP = 2 IOPRIO_WHO_USER = 3], "IOPRIO_WHO_???");
pub(crate) static SCHED: Names = Names {
    mask: !0x4000_0000,
    base: list![SCHED_OTHER SCHED_FIFO SCHED_RR SCHED_BATCH SCHED_ISO = 4 SCHED_IDLE SCHED_DEADLINE SCHED_EXT = 7],
    flags: list![SCHED_RESET_ON_FORK],
    unknown: "SCHED_???",
};
pub(crate) static SCHED_FLAG: Names = Names::flags(
    list![SCHED_FLAG_RESET_ON_FORK = 1 SCHED_FLAG_RECLAIM = 2 SCHED_FLAG_DL_OVERRUN = 4 SCHED_FLAG_KEEP_POLICY = 8
        SCHED_FLAG_KEEP_PARAMS = 0x10 SCHED_FLAG_UTIL_CLAMP_MIN = 0x20 SCHED_FLAG_UTIL_CLAMP_MAX = 0x40],
    "SCHED_FLAG_???",
);
pub(crate) static IOPRIO_CLASS: Names = Names::one(
    list![IOPRIO_CLASS_NONE = 0 IOPRIO_CLASS_RT = 1 IOPRIO_CLASS_BE = 2 IOPRIO_CLASS_IDLE = 3],
    "IOPRIO_CLASS_???",
);
pub(crate) static RLIMIT: Names = Names::one(
    list![RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_NPROC RLIMIT_NOFILE
        RLIMIT_MEMLOCK RLIMIT_AS RLIMIT_LOCKS RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO
        RLIMIT_RTTIME],
    "RLIMIT_???",
);
pub(crate) static RUSAGE: Names =
    Names::one(list![RUSAGE_SELF RUSAGE_CHILDREN = 0xffff_ffff RUSAGE_THREAD], "RUSAGE_???");
pub(crate) static GRND: Names = Names::flags(list![GRND_NONBLOCK GRND_RANDOM GRND_INSECURE], "GRND_???");
pub(crate) static SIG_HOW: Names = Names::one(list![SIG_BLOCK SIG_UNBLOCK SIG_SETMASK], "SIG_???");
pub(crate) static SA: Names = Names::flags(
    list![SA_RESTORER = 0x400_0000 SA_ONSTACK SA_RESTART SA_INTERRUPT = 0x2000_0000 SA_NODEFER SA_RESETHAND SA_SIGINFO
        SA_NOCLDSTOP SA_NOCLDWAIT],
    "SA_???",
);
pub(crate) static SS: Names = Names::flags(list![SS_ONSTACK SS_DISABLE SS_AUTODISARM = 0x8000_0000], "SS_???");
pub(crate) static SIGEV: Names = Names::one(list![SIGEV_SIGNAL SIGEV_NONE SIGEV_THREAD SIGEV_THREAD_ID], "SIGEV_???");
pub(crate) static PIDFD: Names = Names::flags(list![PIDFD_NONBLOCK PIDFD_THREAD = 0o200], "PIDFD_???");
pub(crate) static MEMBARRIER: Names = Names::one(
    list![MEMBARRIER_CMD_QUERY MEMBARRIER_CMD_GLOBAL MEMBARRIER_CMD_GLOBAL_EXPEDITED
        MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED MEMBARRIER_CMD_PRIVATE_EXPEDITED
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ MEMBARRIER_CMD_GET_REGISTRATIONS = 512],
    "MEMBARRIER_CMD_???",
);
pub(crate) static KCMP: Names = Names::one(
    list![KCMP_FILE = 0 KCMP_VM = 1 KCMP_FILES = 2 KCMP_FS = 3 KCMP_SIGHAND = 4 KCMP_IO = 5 KCMP_SYSVSEM = 6
        KCMP_EPOLL_TFD = 7],
    "KCMP_???",
);
pub(crate) static PERSONALITY: Names = Names {
    mask: 0xff,
    base: list![PER_LINUX = 0 PER_LINUX32 = 8],
    flags: list![UNAME26 = 0x2_0000 ADDR_NO_RANDOMIZE = 0x4_0000 FDPIC_FUNCPTRS = 0x8_0000 MMAP_PAGE_ZERO = 0x10_0000
        ADDR_COMPAT_LAYOUT = 0x20_0000 READ_IMPLIES_EXEC = 0x40_0000 ADDR_LIMIT_32BIT = 0x80_0000
        SHORT_INODE = 0x100_0000 WHOLE_SECONDS = 0x200_0000 STICKY_TIMEOUTS = 0x400_0000
        ADDR_LIMIT_3GB = 0x800_0000],
    unknown: "PER_???",
};
pub(crate) static PRCTL: Names = Names::one(
    list![PR_SET_PDEATHSIG PR_GET_PDEATHSIG PR_GET_DUMPABLE PR_SET_DUMPABLE PR_GET_UNALIGN PR_SET_UNALIGN PR_GET_KEEPCAPS
        PR_SET_KEEPCAPS PR_GET_TIMING PR_SET_TIMING PR_SET_NAME PR_GET_NAME PR_GET_SECCOMP PR_SET_SECCOMP
        PR_CAPBSET_READ PR_CAPBSET_DROP PR_GET_TSC PR_SET_TSC PR_GET_SECUREBITS PR_SET_SECUREBITS PR_SET_TIMERSLACK
        PR_GET_TIMERSLACK PR_MCE_KILL PR_MCE_KILL_GET PR_SET_MM PR_SET_CHILD_SUBREAPER PR_GET_CHILD_SUBREAPER
        PR_SET_NO_NEW_PRIVS PR_GET_NO_NEW_PRIVS PR_GET_TID_ADDRESS PR_SET_THP_DISABLE PR_GET_THP_DISABLE PR_CAP_AMBIENT
        PR_SET_IO_FLUSHER = 57 PR_GET_IO_FLUSHER = 58 PR_SCHED_CORE = 62 PR_SET_MDWE = 65 PR_GET_MDWE = 66
        PR_SET_VMA PR_SET_PTRACER],
    "PR_???",
);
pub(crate) static AF: Names = Names::one(
    list![AF_UNSPEC AF_UNIX AF_INET AF_AX25 AF_IPX AF_INET6 AF_NETLINK AF_PACKET AF_ALG AF_BLUETOOTH AF_CAN AF_VSOCK
        AF_XDP],
    "AF_???",
);
pub(crate) static SOCK: Names = Names {
    mask: 0xf,
    base: list![SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET SOCK_DCCP SOCK_PACKET = 10],
    flags: list![SOCK_CLOEXEC SOCK_NONBLOCK],
    unknown: "SOCK_???",
};
pub(crate) static IPPROTO: Names = Names::one(
    list![IPPROTO_IP IPPROTO_ICMP IPPROTO_IGMP IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6 IPPROTO_ICMPV6 IPPROTO_SCTP
        IPPROTO_UDPLITE IPPROTO_RAW],
    "IPPROTO_???",
);
pub(crate) static NETLINK: Names = Names::one(
    list![NETLINK_ROUTE NETLINK_USERSOCK NETLINK_SOCK_DIAG = 4 NETLINK_XFRM NETLINK_AUDIT NETLINK_CONNECTOR
        NETLINK_NETFILTER NETLINK_KOBJECT_UEVENT NETLINK_GENERIC NETLINK_CRYPTO],
    "NETLINK_???",
);
/// Protocols of packets, as `AF_PACKET` has them.
pub(crate) static ETH_P: Names = Names::one(
    list![ETH_P_802_3 = 1 ETH_P_AX25 = 2 ETH_P_ALL = 3 ETH_P_802_2 = 4 ETH_P_LOOP = 0x60 ETH_P_IP = 0x800
        ETH_P_ARP = 0x806 ETH_P_8021Q = 0x8100 ETH_P_IPV6 = 0x86dd ETH_P_MPLS_UC = 0x8847 ETH_P_PPP_DISC = 0x8863
        ETH_P_PPP_SES = 0x8864 ETH_P_PAE = 0x888e ETH_P_LLDP = 0x88cc],
    "ETH_P_???",
);
/// Types of interfaces.
pub(crate) static ARPHRD: Names = Names::one(
    list![ARPHRD_ETHER = 1 ARPHRD_PPP = 512 ARPHRD_TUNNEL = 768 ARPHRD_LOOPBACK = 772 ARPHRD_SIT = 776
        ARPHRD_IPGRE = 778 ARPHRD_IEEE80211 = 801 ARPHRD_NONE = 0xfffe],
    "ARPHRD_???",
);
pub(crate) static PACKET_TYPE: Names = Names::one(
    list![PACKET_HOST = 0 PACKET_BROADCAST = 1 PACKET_MULTICAST = 2 PACKET_OTHERHOST = 3 PACKET_OUTGOING = 4],
    "PACKET_???",
);
pub(crate) static IFF: Names = Names::flags(
    list![IFF_UP IFF_BROADCAST IFF_DEBUG IFF_LOOPBACK IFF_POINTOPOINT IFF_NOTRAILERS IFF_RUNNING IFF_NOARP IFF_PROMISC
        IFF_ALLMULTI IFF_MASTER IFF_SLAVE IFF_MULTICAST IFF_PORTSEL IFF_AUTOMEDIA IFF_DYNAMIC],
    "IFF_???",
);
pub(crate) static MSG: Names = Names::flags(
    list![MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_CTRUNC MSG_TRUNC MSG_DONTWAIT MSG_EOR MSG_WAITALL MSG_FIN MSG_SYN
        MSG_CONFIRM MSG_RST MSG_ERRQUEUE MSG_NOSIGNAL MSG_MORE MSG_WAITFORONE MSG_ZEROCOPY = 0x400_0000 MSG_FASTOPEN
        MSG_CMSG_CLOEXEC],
    "MSG_???",
);
pub(crate) static SHUT: Names = Names::one(list![SHUT_RD SHUT_WR SHUT_RDWR], "SHUT_???");
pub(crate) static SOL: Names = Names::one(
    list![SOL_IP SOL_SOCKET SOL_TCP SOL_UDP SOL_IPV6 SOL_ICMPV6 = 58 SOL_SCTP = 132 SOL_RAW = 255 SOL_PACKET SOL_NETLINK
        SOL_ALG SOL_VSOCK = 287],
    "SOL_???",
);
pub(crate) static SO: Names = Names::one(
    list![SO_DEBUG SO_REUSEADDR SO_TYPE SO_ERROR SO_DONTROUTE SO_BROADCAST SO_SNDBUF SO_RCVBUF SO_KEEPALIVE SO_OOBINLINE
        SO_NO_CHECK SO_PRIORITY SO_LINGER SO_REUSEPORT SO_PASSCRED SO_PEERCRED SO_RCVLOWAT SO_SNDLOWAT
        SO_RCVTIMEO_OLD = 20 SO_SNDTIMEO_OLD = 21 SO_BINDTODEVICE SO_ATTACH_FILTER SO_DETACH_FILTER SO_PEERNAME
        SO_TIMESTAMP_OLD = 29 SO_ACCEPTCONN SO_PEERSEC SO_SNDBUFFORCE SO_RCVBUFFORCE SO_PASSSEC SO_TIMESTAMPNS_OLD = 35
        SO_MARK SO_TIMESTAMPING_OLD = 37 SO_PROTOCOL SO_DOMAIN SO_RXQ_OVFL SO_PEEK_OFF SO_BUSY_POLL SO_INCOMING_CPU
        SO_ATTACH_BPF SO_COOKIE SO_ZEROCOPY SO_TXTIME SO_BINDTOIFINDEX SO_TIMESTAMP_NEW = 63 SO_TIMESTAMPNS_NEW = 64
        SO_TIMESTAMPING_NEW = 65 SO_RCVTIMEO_NEW = 66 SO_SNDTIMEO_NEW = 67 SO_DETACH_REUSEPORT_BPF = 68
        SO_PREFER_BUSY_POLL = 69 SO_PASSPIDFD = 76 SO_PEERPIDFD = 77],
    "SO_???",
);
pub(crate) static IP: Names = Names::one(
    list![IP_TOS IP_TTL IP_HDRINCL IP_OPTIONS IP_RECVOPTS IP_PKTINFO IP_MTU_DISCOVER IP_RECVERR IP_RECVTTL IP_RECVTOS
        IP_MTU IP_FREEBIND IP_BIND_ADDRESS_NO_PORT IP_MULTICAST_IF IP_MULTICAST_TTL IP_MULTICAST_LOOP
        IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP],
    "IP_???",
);
pub(crate) static IPV6: Names = Names::one(
    list![IPV6_UNICAST_HOPS IPV6_MULTICAST_IF IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP IPV6_ADD_MEMBERSHIP
        IPV6_DROP_MEMBERSHIP IPV6_MTU_DISCOVER IPV6_MTU IPV6_RECVERR IPV6_V6ONLY IPV6_RECVPKTINFO IPV6_TCLASS],
    "IPV6_???",
);
pub(crate) static TCP: Names = Names::one(
    list![TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_SYNCNT TCP_LINGER2 TCP_DEFER_ACCEPT
        TCP_WINDOW_CLAMP TCP_INFO TCP_QUICKACK TCP_CONGESTION TCP_USER_TIMEOUT TCP_FASTOPEN TCP_TIMESTAMP TCP_ULP],
    "TCP_???",
);
pub(crate) static SCM: Names = Names::one(
    list![SCM_RIGHTS SCM_CREDENTIALS SCM_SECURITY = 3 SCM_PIDFD = 4 SO_TIMESTAMP_OLD = 29 SO_TIMESTAMPNS_OLD = 35
        SO_TIMESTAMPING_OLD = 37],
    "SCM_???",
);
pub(crate) static TCFLSH: Names = Names::one(list![TCIFLUSH TCOFLUSH TCIOFLUSH], "TC???");
pub(crate) static TCXONC: Names = Names::one(list![TCOOFF TCOON TCIOFF TCION], "TC???");
pub(crate) static TIOCM: Names = Names::flags(
    list![TIOCM_LE = 1 TIOCM_DTR = 2 TIOCM_RTS = 4 TIOCM_ST = 8 TIOCM_SR = 0x10 TIOCM_CTS = 0x20 TIOCM_CAR = 0x40
        TIOCM_RNG = 0x80 TIOCM_DSR = 0x100],
    "TIOCM_???",
);
pub(crate) static IPC_GET: Names = Names::flags(list![IPC_CREAT IPC_EXCL IPC_NOWAIT], "IPC_???");
pub(crate) static SHM_GET: Names =
    Names::flags(list![IPC_CREAT IPC_EXCL SHM_HUGETLB = 0o4000 SHM_NORESERVE = 0o10000], "SHM_???");
pub(crate) static SHM_AT: Names = Names::flags(list![SHM_RDONLY SHM_RND SHM_REMAP SHM_EXEC], "SHM_???");
pub(crate) static IPC_MSG: Names =
    Names::flags(list![MSG_NOERROR = 0o10000 MSG_EXCEPT = 0o20000 MSG_COPY = 0o40000 IPC_NOWAIT], "MSG_???");
pub(crate) static MSG_CTL: Names =
    Names::one(list![IPC_RMID IPC_SET IPC_STAT IPC_INFO MSG_STAT MSG_INFO MSG_STAT_ANY = 13], "MSG_???");
pub(crate) static SHM_CTL: Names = Names::one(
    list![IPC_RMID IPC_SET IPC_STAT IPC_INFO SHM_LOCK SHM_UNLOCK SHM_STAT = 13 SHM_INFO = 14 SHM_STAT_ANY = 15],
    "SHM_???",
);
pub(crate) static SEM_CTL: Names = Names::one(
    list![IPC_RMID IPC_SET IPC_STAT IPC_INFO GETPID GETVAL GETALL GETNCNT GETZCNT SETVAL SETALL SEM_STAT SEM_INFO
        SEM_STAT_ANY],
    "SEM_???",
);
pub(crate) static SEM_FLAGS: Names = Names::flags(list![SEM_UNDO IPC_NOWAIT], "SEM_???");
/// Types of file in a mode.
pub(crate) static FILE_TYPE: Names =
    Names::one(list![S_IFREG S_IFSOCK S_IFIFO S_IFLNK S_IFDIR S_IFBLK S_IFCHR], "S_IF???");
/// Reasons of a signal that any signal may have.
pub(crate) static SI_CODE: Names = Names::one(
    list![SI_USER SI_KERNEL SI_QUEUE = 0xffff_ffff SI_TIMER = 0xffff_fffe SI_MESGQ = 0xffff_fffd
        SI_ASYNCIO = 0xffff_fffc SI_SIGIO = 0xffff_fffb SI_TKILL = 0xffff_fffa],
    "SI_???",
);
pub(crate) static CLD: Names =
    Names::one(list![CLD_EXITED CLD_KILLED CLD_DUMPED CLD_TRAPPED CLD_STOPPED CLD_CONTINUED], "CLD_???");
pub(crate) static SEGV: Names =
    Names::one(list![SEGV_MAPERR = 1 SEGV_ACCERR = 2 SEGV_BNDERR = 3 SEGV_PKUERR = 4], "SEGV_???");
pub(crate) static BUS: Names = Names::one(list![BUS_ADRALN = 1 BUS_ADRERR = 2 BUS_OBJERR = 3], "BUS_???");
pub(crate) static ILL: Names =
    Names::one(list![ILL_ILLOPC = 1 ILL_ILLOPN = 2 ILL_ILLADR = 3 ILL_ILLTRP = 4], "ILL_???");
pub(crate) static FPE: Names = Names::one(
    list![FPE_INTDIV = 1 FPE_INTOVF = 2 FPE_FLTDIV = 3 FPE_FLTOVF = 4 FPE_FLTUND = 5 FPE_FLTRES = 6 FPE_FLTINV = 7],
    "FPE_???",
);
pub(crate) static TRAP: Names = Names::one(list![TRAP_BRKPT TRAP_TRACE TRAP_BRANCH TRAP_HWBKPT], "TRAP_???");

static SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// The name of a signal without `SIG`; the number itself for what is none.
pub(crate) fn short_signal(signal: u64) -> String {
    match signal {
        1..=31 => SIGNALS[signal as usize - 1].to_owned(),
        32 => "RTMIN".to_owned(),
        33..=64 => format!("RT_{}", signal - 32),
        _ => format!("{}", signal as i32),
    }
}

/// The name of a signal; the number itself for what is none.
pub(crate) fn signal(signal: u64) -> String {
    match signal {
        1..=64 => format!("SIG{}", short_signal(signal)),
        _ => format!("{}", signal as i32),
    }
}
