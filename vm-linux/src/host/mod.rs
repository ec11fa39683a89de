//! The host's kernel: the calls that handlers may make, and the only raw system calls of this crate.
//!
//! A handler names a [`HostCall`] from the list here and gives its arguments as [`Arg`]s. What would make a raw call
//! unsound is checked against the call's shapes before it is made: a pointer is either guest memory, which nothing in
//! this process but the guest relies on, or memory borrowed for the call that is as long as the kernel will think.

mod process;
pub(crate) mod signal;
mod stub;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

pub(crate) use process::{
    Forked, clone_process, environment, execve, exit_now, fork, process_id, set_robust_list, sharing_process, thread_id,
};
pub use signal::die_by;

use crate::errno::Errno;
use crate::shape::Shape;

/// A system call of the host that handlers may make. Only this module makes them.
#[derive(Debug)]
pub(crate) struct HostCall {
    number: libc::c_long,
    shapes: &'static [Shape],
}

impl HostCall {
    /// What its arguments are.
    pub(crate) const fn shapes(&self) -> &'static [Shape] {
        self.shapes
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

#[allow(clippy::enum_glob_use, reason = "a table reads better without prefixes")]
use Shape::*;

macro_rules! host_calls {
    ($($name:ident = $number:ident $shapes:tt;)*) => { $(
        #[doc = concat!("`", stringify!($number), "`.")]
        pub(crate) static $name: HostCall = HostCall { number: libc::$number, shapes: &$shapes };
    )* };
}

host_calls! {
    // Files.
    READ = SYS_read [Fd, Out(2), Size];
    WRITE = SYS_write [Fd, In(2), Size];
    PREAD64 = SYS_pread64 [Fd, Out(2), Size, Long];
    PWRITE64 = SYS_pwrite64 [Fd, In(2), Size, Long];
    READV = SYS_readv [Fd, Array(16, 2), Size];
    WRITEV = SYS_writev [Fd, Array(16, 2), Size];
    PREADV = SYS_preadv [Fd, Array(16, 2), Size, Long, Long];
    PWRITEV = SYS_pwritev [Fd, Array(16, 2), Size, Long, Long];
    PREADV2 = SYS_preadv2 [Fd, Array(16, 2), Size, Long, Long, Hex];
    PWRITEV2 = SYS_pwritev2 [Fd, Array(16, 2), Size, Long, Long, Hex];
    OPENAT = SYS_openat [DirFd, Path, Hex, Octal];
    OPENAT2 = SYS_openat2 [DirFd, Path, In(3), Size];
    CLOSE = SYS_close [Fd];
    CLOSE_RANGE = SYS_close_range [Fd, Fd, Hex];
    LSEEK = SYS_lseek [Fd, Long, Int];
    DUP = SYS_dup [Fd];
    DUP3 = SYS_dup3 [Fd, Fd, Hex];
    FCNTL = SYS_fcntl [Fd, Int, Hex];
    FCNTL_PTR = SYS_fcntl [Fd, Int, Ptr(32)];
    FLOCK = SYS_flock [Fd, Int];
    FSYNC = SYS_fsync [Fd];
    FDATASYNC = SYS_fdatasync [Fd];
    SYNC = SYS_sync [];
    SYNCFS = SYS_syncfs [Fd];
    SYNC_FILE_RANGE = SYS_sync_file_range [Fd, Long, Long, Hex];
    TRUNCATE = SYS_truncate [Path, Long];
    FTRUNCATE = SYS_ftruncate [Fd, Long];
    FALLOCATE = SYS_fallocate [Fd, Hex, Long, Long];
    FADVISE64 = SYS_fadvise64 [Fd, Long, Long, Int];
    READAHEAD = SYS_readahead [Fd, Long, Size];
    SENDFILE = SYS_sendfile [Fd, Fd, Ptr(8), Size];
    COPY_FILE_RANGE = SYS_copy_file_range [Fd, Ptr(8), Fd, Ptr(8), Size, Hex];
    SPLICE = SYS_splice [Fd, Ptr(8), Fd, Ptr(8), Size, Hex];
    TEE = SYS_tee [Fd, Fd, Size, Hex];
    PIPE2 = SYS_pipe2 [Ptr(8), Hex];
    MEMFD_CREATE = SYS_memfd_create [Str, Hex];
    EVENTFD2 = SYS_eventfd2 [Size, Hex];
    IOCTL = SYS_ioctl [Fd, Hex, Hex];
    IOCTL_PTR = SYS_ioctl [Fd, Hex, Ptr(64)];

    // Directories and names.
    STATX = SYS_statx [DirFd, PathUnless(2), Hex, Hex, Ptr(256)];
    FACCESSAT = SYS_faccessat [DirFd, Path, Octal];
    FACCESSAT2 = SYS_faccessat2 [DirFd, PathUnless(3), Octal, Hex];
    READLINKAT = SYS_readlinkat [DirFd, PathNoFollow, Out(3), Size];
    MKDIRAT = SYS_mkdirat [DirFd, PathNoFollow, Octal];
    MKNODAT = SYS_mknodat [DirFd, PathNoFollow, Octal, Hex];
    UNLINKAT = SYS_unlinkat [DirFd, PathNoFollow, Hex];
    RENAMEAT2 = SYS_renameat2 [DirFd, PathNoFollow, DirFd, PathNoFollow, Hex];
    LINKAT = SYS_linkat [DirFd, PathNoFollow, DirFd, PathNoFollow, Hex];
    SYMLINKAT = SYS_symlinkat [Str, DirFd, PathNoFollow];
    FCHMOD = SYS_fchmod [Fd, Octal];
    FCHMODAT = SYS_fchmodat [DirFd, Path, Octal];
    FCHMODAT2 = SYS_fchmodat2 [DirFd, PathUnless(3), Octal, Hex];
    FCHOWN = SYS_fchown [Fd, Int, Int];
    FCHOWNAT = SYS_fchownat [DirFd, PathUnless(4), Int, Int, Hex];
    UTIMENSAT = SYS_utimensat [DirFd, PathUnless(3), Ptr(32), Hex];
    GETDENTS64 = SYS_getdents64 [Fd, Out(2), Size];
    GETCWD = SYS_getcwd [Out(1), Size];
    CHDIR = SYS_chdir [Path];
    FCHDIR = SYS_fchdir [Fd];
    UMASK = SYS_umask [Octal];
    STATFS = SYS_statfs [Path, Ptr(120)];
    FSTATFS = SYS_fstatfs [Fd, Ptr(120)];
    INOTIFY_INIT1 = SYS_inotify_init1 [Hex];
    INOTIFY_ADD_WATCH = SYS_inotify_add_watch [Fd, Path, Hex];
    INOTIFY_RM_WATCH = SYS_inotify_rm_watch [Fd, Int];
    SETXATTR = SYS_setxattr [Path, Str, In(3), Size, Hex];
    LSETXATTR = SYS_lsetxattr [PathNoFollow, Str, In(3), Size, Hex];
    FSETXATTR = SYS_fsetxattr [Fd, Str, In(3), Size, Hex];
    GETXATTR = SYS_getxattr [Path, Str, Out(3), Size];
    LGETXATTR = SYS_lgetxattr [PathNoFollow, Str, Out(3), Size];
    FGETXATTR = SYS_fgetxattr [Fd, Str, Out(3), Size];
    LISTXATTR = SYS_listxattr [Path, Out(2), Size];
    LLISTXATTR = SYS_llistxattr [PathNoFollow, Out(2), Size];
    FLISTXATTR = SYS_flistxattr [Fd, Out(2), Size];
    REMOVEXATTR = SYS_removexattr [Path, Str];
    LREMOVEXATTR = SYS_lremovexattr [PathNoFollow, Str];
    FREMOVEXATTR = SYS_fremovexattr [Fd, Str];

    // Memory, whose mappings belong to the address space: only calls that change none of them.
    MSYNC = SYS_msync [Range(1), Size, Hex];
    MINCORE = SYS_mincore [Range(1), Size, Ptr(1)];
    MLOCK = SYS_mlock [Range(1), Size];
    MLOCK2 = SYS_mlock2 [Range(1), Size, Hex];
    MUNLOCK = SYS_munlock [Range(1), Size];

    // Waiting.
    PPOLL = SYS_ppoll [Array(8, 1), Size, Ptr(16), Ptr(8), Size];
    PSELECT6 = SYS_pselect6 [Int, Ptr(8), Ptr(8), Ptr(8), Ptr(16), Ptr(16)];
    EPOLL_CREATE1 = SYS_epoll_create1 [Hex];
    EPOLL_CTL = SYS_epoll_ctl [Fd, Int, Fd, Ptr(12)];
    EPOLL_PWAIT = SYS_epoll_pwait [Fd, Array(12, 2), Int, Int, Ptr(8), Size];
    TIMERFD_CREATE = SYS_timerfd_create [Int, Hex];
    TIMERFD_SETTIME = SYS_timerfd_settime [Fd, Hex, Ptr(32), Ptr(32)];
    TIMERFD_GETTIME = SYS_timerfd_gettime [Fd, Ptr(32)];
    SIGNALFD4 = SYS_signalfd4 [Fd, Ptr(8), Size, Hex];
    FUTEX = SYS_futex [Ptr(4), Hex, Int, Ptr(16), Ptr(4), Hex];
    FUTEX_WAITV = SYS_futex_waitv [In(1), Size, Hex, Ptr(16), Int];
    FUTEX_NUMBER = SYS_futex [Ptr(4), Hex, Int, Size, Ptr(4), Hex];

    // Time.
    CLOCK_GETTIME = SYS_clock_gettime [Int, Ptr(16)];
    CLOCK_SETTIME = SYS_clock_settime [Int, Ptr(16)];
    CLOCK_GETRES = SYS_clock_getres [Int, Ptr(16)];
    CLOCK_NANOSLEEP = SYS_clock_nanosleep [Int, Hex, Ptr(16), Ptr(16)];
    NANOSLEEP = SYS_nanosleep [Ptr(16), Ptr(16)];
    GETTIMEOFDAY = SYS_gettimeofday [Ptr(16), Ptr(8)];
    SETTIMEOFDAY = SYS_settimeofday [Ptr(16), Ptr(8)];
    TIMES = SYS_times [Ptr(32)];
    GETITIMER = SYS_getitimer [Int, Ptr(32)];
    SETITIMER = SYS_setitimer [Int, Ptr(32), Ptr(32)];

    // Processes.
    GETPID = SYS_getpid [];
    GETPPID = SYS_getppid [];
    GETTID = SYS_gettid [];
    GETUID = SYS_getuid [];
    GETEUID = SYS_geteuid [];
    GETGID = SYS_getgid [];
    GETEGID = SYS_getegid [];
    GETRESUID = SYS_getresuid [Ptr(4), Ptr(4), Ptr(4)];
    GETRESGID = SYS_getresgid [Ptr(4), Ptr(4), Ptr(4)];
    SETUID = SYS_setuid [Int];
    SETGID = SYS_setgid [Int];
    SETREUID = SYS_setreuid [Int, Int];
    SETREGID = SYS_setregid [Int, Int];
    SETRESUID = SYS_setresuid [Int, Int, Int];
    SETRESGID = SYS_setresgid [Int, Int, Int];
    SETFSUID = SYS_setfsuid [Int];
    SETFSGID = SYS_setfsgid [Int];
    GETGROUPS = SYS_getgroups [Int, Array(4, 0)];
    SETGROUPS = SYS_setgroups [Int, Array(4, 0)];
    GETPGID = SYS_getpgid [Int];
    SETPGID = SYS_setpgid [Int, Int];
    GETSID = SYS_getsid [Int];
    SETSID = SYS_setsid [];
    GETPRIORITY = SYS_getpriority [Int, Int];
    SETPRIORITY = SYS_setpriority [Int, Int, Int];
    SCHED_YIELD = SYS_sched_yield [];
    SCHED_GETAFFINITY = SYS_sched_getaffinity [Int, Size, Out(1)];
    SCHED_SETAFFINITY = SYS_sched_setaffinity [Int, Size, In(1)];
    SCHED_GETPARAM = SYS_sched_getparam [Int, Ptr(4)];
    SCHED_SETPARAM = SYS_sched_setparam [Int, Ptr(4)];
    SCHED_GETSCHEDULER = SYS_sched_getscheduler [Int];
    SCHED_SETSCHEDULER = SYS_sched_setscheduler [Int, Int, Ptr(4)];
    SCHED_GET_PRIORITY_MAX = SYS_sched_get_priority_max [Int];
    SCHED_GET_PRIORITY_MIN = SYS_sched_get_priority_min [Int];
    SCHED_RR_GET_INTERVAL = SYS_sched_rr_get_interval [Int, Ptr(16)];
    GETCPU = SYS_getcpu [Ptr(4), Ptr(4), Ptr(8)];
    GETRUSAGE = SYS_getrusage [Int, Ptr(144)];
    PRLIMIT64 = SYS_prlimit64 [Int, Int, Ptr(16), Ptr(16)];
    WAIT4 = SYS_wait4 [Int, Ptr(4), Hex, Ptr(144)];
    WAITID = SYS_waitid [Int, Int, Ptr(128), Hex, Ptr(144)];
    PRCTL = SYS_prctl [Int, Hex, Hex, Hex, Hex];
    PRCTL_PTR = SYS_prctl [Int, Ptr(16), Hex, Hex, Hex];

    // Signals.
    KILL = SYS_kill [Int, Signal];
    TKILL = SYS_tkill [Int, Signal];
    TGKILL = SYS_tgkill [Int, Int, Signal];
    RT_SIGPENDING = SYS_rt_sigpending [Ptr(8), Size];
    RT_SIGSUSPEND = SYS_rt_sigsuspend [Ptr(8), Size];
    RT_SIGQUEUEINFO = SYS_rt_sigqueueinfo [Int, Signal, Ptr(128)];
    RT_TGSIGQUEUEINFO = SYS_rt_tgsigqueueinfo [Int, Int, Signal, Ptr(128)];
    RT_SIGTIMEDWAIT = SYS_rt_sigtimedwait [Ptr(8), Ptr(128), Ptr(16), Size];

    PIDFD_OPEN = SYS_pidfd_open [Int, Hex];
    PIDFD_SEND_SIGNAL = SYS_pidfd_send_signal [Fd, Signal, Ptr(128), Hex];
    PIDFD_GETFD = SYS_pidfd_getfd [Fd, Fd, Hex];
    TIMER_CREATE = SYS_timer_create [Int, Ptr(64), Ptr(4)];
    TIMER_SETTIME = SYS_timer_settime [Int, Hex, Ptr(32), Ptr(32)];
    TIMER_GETTIME = SYS_timer_gettime [Int, Ptr(32)];
    TIMER_GETOVERRUN = SYS_timer_getoverrun [Int];
    TIMER_DELETE = SYS_timer_delete [Int];
    MEMBARRIER = SYS_membarrier [Int, Hex, Int];

    // Information.
    UNAME = SYS_uname [Ptr(390)];
    SYSINFO = SYS_sysinfo [Ptr(112)];
    GETRANDOM = SYS_getrandom [Out(1), Size, Hex];

    // Sockets.
    SOCKET = SYS_socket [Int, Int, Int];
    SOCKETPAIR = SYS_socketpair [Int, Int, Int, Ptr(8)];
    BIND = SYS_bind [Fd, In(2), Size];
    LISTEN = SYS_listen [Fd, Int];
    ACCEPT = SYS_accept [Fd, Ptr(1), Ptr(4)];
    ACCEPT4 = SYS_accept4 [Fd, Ptr(1), Ptr(4), Hex];
    CONNECT = SYS_connect [Fd, In(2), Size];
    GETSOCKNAME = SYS_getsockname [Fd, Ptr(1), Ptr(4)];
    GETPEERNAME = SYS_getpeername [Fd, Ptr(1), Ptr(4)];
    SENDTO = SYS_sendto [Fd, In(2), Size, Hex, In(5), Size];
    RECVFROM = SYS_recvfrom [Fd, Out(2), Size, Hex, Ptr(1), Ptr(4)];
    SETSOCKOPT = SYS_setsockopt [Fd, Int, Int, In(4), Size];
    GETSOCKOPT = SYS_getsockopt [Fd, Int, Int, Ptr(1), Ptr(4)];
    SHUTDOWN = SYS_shutdown [Fd, Int];
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
    let result = unsafe { stub::system_call(call.number, &numbers, signal::stop_word()) };
    if (-4095..0).contains(&result) { Err(Errno::new(-result as i32)) } else { Ok(result as u64) }
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
        let is_string = matches!(shape, Shape::Path | Shape::PathNoFollow | Shape::PathUnless(_) | Shape::Str);
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

/// Lets `space` read mapped files in place, with faults recovered by the handlers that an engine has installed.
pub(crate) fn spare_system_calls(space: &vm_mem::AddressSpace) {
    if let Some(copy) = vm_engine::fault::guarded_copy() {
        // SAFETY: called when an engine exists, whose handlers stay for the life of the process: `set_disposition` leaves
        // their signals to a handler that asks them first.
        unsafe { space.set_guarded_copy(copy) };
    }
}

/// A second descriptor for the guest's file `fd`, for calls that take descriptors by type.
///
/// # Errors
/// `EBADF` if it is not open, `EMFILE` if there is no room.
pub(crate) fn duplicate(fd: i32) -> Result<OwnedFd, Errno> {
    let copy = call(&FCNTL, &mut [Arg::Int(fd as u64), Arg::Int(libc::F_DUPFD_CLOEXEC as u64), Arg::Int(0)])?;
    // SAFETY: the kernel has just made this descriptor, and its number is known here alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy as i32) })
}

/// Opens a file of the host for reading.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn open_file(dirfd: u64, path: &CStr, flags: i32) -> Result<File, Errno> {
    let flags = flags | libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let fd = call(&OPENAT, &mut [Arg::Int(dirfd), Arg::Str(path), Arg::Int(flags as u64), Arg::Int(0)])?;
    // SAFETY: the kernel has just made this descriptor, and its number is known here alone.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
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
    // SAFETY: the limit is written to memory of the right type.
    let limit = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        (libc::getrlimit(libc::RLIMIT_STACK, &mut limit) == 0).then_some(limit.rlim_cur)
    };
    limit.filter(|limit| *limit != libc::RLIM_INFINITY)
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
