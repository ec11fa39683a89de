//! The table of system calls: one row each, with its numbers, its handler and how far it is supported.
//!
//! `docs/generated/syscalls.md` is printed from it. A row says [`Support::Full`] only while a test calls it: see
//! `tests/calls.rs`.

use std::fmt::Write as _;

use crate::calls::{
    descriptor, dir, exec, file, futex, handle, info, ioctl, ipc, mem, net, placement, poll, privilege, proc, sched,
    signal, thread, time,
};
use crate::errno::Errno;
use crate::host::{self, HostCall};
use crate::kernel::{Args, SysResult};
use crate::shape::Shape;
use crate::thread::Thread;
use crate::trace::names as n;
use crate::trace::record::Record;

/// How far a system call is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As a kernel does it, and tested.
    Full,
    /// Supported but for what the text says.
    Partial(&'static str),
    /// Not supported, for the reason that the text gives.
    Refused(&'static str),
}

/// Makes a call on behalf of the guest.
type Handler = fn(&mut Thread, &Args) -> SysResult;

/// What is done for a call.
#[derive(Debug)]
pub(crate) enum Action {
    /// A function of ours; its arguments' shapes serve the trace.
    Own(Handler, &'static [Shape]),
    /// The host's kernel does it, with pointers and names translated.
    Pass(&'static HostCall),
    /// Nothing; the arguments' shapes serve the trace.
    Refuse(Errno, &'static [Shape]),
}

/// One system call.
#[derive(Debug)]
pub struct Row {
    /// The kernel's name of it.
    pub name: &'static str,
    /// Its number in the generic list, which riscv64 and aarch64 use (`asm-generic/unistd.h`).
    pub generic: u32,
    /// Its number on x86-64, if it exists there.
    pub x86_64: Option<u32>,
    /// How far it is supported.
    pub support: Support,
    pub(crate) action: Action,
    /// The signal that it sends, if it does.
    pub(crate) sends: Option<&'static Sends>,
}

/// A signal that a call sends, by the numbers of the arguments that describe it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sends {
    pub(crate) to: Recipient,
    pub(crate) signal: usize,
    pub(crate) record: Sent,
}

/// Whom a signal is sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipient {
    /// The process that the argument names.
    Process(usize),
    /// The process or the processes that the argument names as `kill(2)` takes it.
    Processes(usize),
    /// The thread that the argument names.
    Thread(usize),
    /// The process that the first one names, by the thread that the second one names.
    ThreadOf(usize, usize),
}

/// What the record of a sent signal says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sent {
    /// This code, and who has sent it.
    By(i32),
    /// What the argument points to.
    As(usize),
}

impl Row {
    /// The row of a call that sends a signal.
    const fn sends(self, sends: &'static Sends) -> Self {
        Self { sends: Some(sends), ..self }
    }

    /// The error of a call that is refused.
    fn refusal(&self) -> Option<Errno> {
        match self.action {
            Action::Refuse(errno, _) => Some(errno),
            Action::Own(..) | Action::Pass(_) => None,
        }
    }

    /// What the arguments are.
    pub(crate) fn shapes(&self) -> &'static [Shape] {
        match &self.action {
            Action::Own(_, shapes) | Action::Refuse(_, shapes) => shapes,
            Action::Pass(call) => call.shapes(),
        }
    }
}

const NONE: u32 = u32::MAX;

const fn row(name: &'static str, generic: u32, x86_64: u32, action: Action, support: Support) -> Row {
    Row { name, generic, x86_64: if x86_64 == NONE { None } else { Some(x86_64) }, support, action, sends: None }
}

#[allow(clippy::enum_glob_use, reason = "a table reads better without prefixes")]
use {Action::*, Recipient::*, Record::*, Sent::*, Shape::*, Support::*};

/// All system calls of the generic list in order of their numbers.
#[rustfmt::skip]
static ROWS: &[Row] = &[
    //  name, generic number, x86-64 number, action, support
    row("io_setup", 0, 206, Refuse(Errno::ENOSYS, &[Uint, Addr]), Refused("a kernel without it, for which programs have other ways")),
    row("io_destroy", 1, 207, Refuse(Errno::ENOSYS, &[Addr]), Refused("a kernel without it, for which programs have other ways")),
    row("io_submit", 2, 209, Refuse(Errno::ENOSYS, &[Addr, Long, Addr]), Refused("a kernel without it, for which programs have other ways")),
    row("io_cancel", 3, 210, Refuse(Errno::ENOSYS, &[Addr, Addr, Addr]), Refused("a kernel without it, for which programs have other ways")),
    row("io_getevents", 4, 208, Refuse(Errno::ENOSYS, &[Addr, Long, Long, Addr, Get(Timespec)]), Refused("a kernel without it, for which programs have other ways")),
    row("setxattr", 5, 188, Pass(&host::SETXATTR), Full),
    row("lsetxattr", 6, 189, Pass(&host::LSETXATTR), Full),
    row("fsetxattr", 7, 190, Pass(&host::FSETXATTR), Full),
    row("getxattr", 8, 191, Pass(&host::GETXATTR), Full),
    row("lgetxattr", 9, 192, Pass(&host::LGETXATTR), Full),
    row("fgetxattr", 10, 193, Pass(&host::FGETXATTR), Full),
    row("listxattr", 11, 194, Pass(&host::LISTXATTR), Full),
    row("llistxattr", 12, 195, Pass(&host::LLISTXATTR), Full),
    row("flistxattr", 13, 196, Pass(&host::FLISTXATTR), Full),
    row("removexattr", 14, 197, Pass(&host::REMOVEXATTR), Full),
    row("lremovexattr", 15, 198, Pass(&host::LREMOVEXATTR), Full),
    row("fremovexattr", 16, 199, Pass(&host::FREMOVEXATTR), Full),
    row("getcwd", 17, 79, Own(dir::getcwd, &[Out(1), Size]), Full),
    row("lookup_dcookie", 18, 212, Refuse(Errno::ENOSYS, &[Size, Addr, Size]), Refused("a kernel of today, which has it no more")),
    row("eventfd2", 19, 290, Pass(&host::EVENTFD2), Full),
    row("epoll_create1", 20, 291, Pass(&host::EPOLL_CREATE1), Full),
    row("epoll_ctl", 21, 233, Own(poll::epoll_ctl, &[Fd, One(&n::EPOLL_OP), Fd, Get(EpollEvent)]), Full),
    row("epoll_pwait", 22, 281, Own(poll::epoll_pwait, &[Fd, PutMany(EpollEvent, 2), Int, Int, Get(SigSet), Size]), Full),
    row("dup", 23, 32, Pass(&host::DUP), Full),
    row("dup3", 24, 292, Own(descriptor::dup3, host::DUP3.shapes()), Full),
    row("fcntl", 25, 72, Own(file::fcntl, &[Fd, One(&n::FCNTL)]), Full),
    row("inotify_init1", 26, 294, Pass(&host::INOTIFY_INIT1), Full),
    row("inotify_add_watch", 27, 254, Own(dir::inotify_add_watch, host::INOTIFY_ADD_WATCH.shapes()), Full),
    row("inotify_rm_watch", 28, 255, Pass(&host::INOTIFY_RM_WATCH), Full),
    row("ioctl", 29, 16, Own(ioctl::ioctl, &[Fd, Hex]), Partial("requests of terminals, files, block devices, network interfaces, tunnels, clocks and namespaces; others give ENOTTY")),
    row("ioprio_set", 30, 251, Pass(&host::IOPRIO_SET), Full),
    row("ioprio_get", 31, 252, Pass(&host::IOPRIO_GET), Full),
    row("flock", 32, 73, Pass(&host::FLOCK), Full),
    row("mknodat", 33, 259, Own(dir::mknodat, host::MKNODAT.shapes()), Full),
    row("mkdirat", 34, 258, Pass(&host::MKDIRAT), Full),
    row("unlinkat", 35, 263, Pass(&host::UNLINKAT), Full),
    row("symlinkat", 36, 266, Own(dir::symlinkat, host::SYMLINKAT.shapes()), Full),
    row("linkat", 37, 265, Pass(&host::LINKAT), Full),
    row("umount2", 39, 166, Own(privilege::umount2, &[Path, Flags(&n::UMOUNT)]), Partial("gives EPERM: it needs a privilege over the machine that no guest has")),
    row("mount", 40, 165, Own(privilege::mount, &[Str, Path, Str, Flags(&n::MOUNT), Str]), Partial("gives EPERM: it needs a privilege over the machine that no guest has")),
    row("pivot_root", 41, 155, Refuse(Errno::EPERM, &[Path, Path]), Refused("needs a privilege over the machine that no guest has")),
    row("nfsservctl", 42, 180, Refuse(Errno::ENOSYS, &[Int, Addr, Addr]), Refused("a kernel of today, which has it no more")),
    row("statfs", 43, 137, Pass(&host::STATFS), Full),
    row("fstatfs", 44, 138, Pass(&host::FSTATFS), Full),
    row("truncate", 45, 76, Pass(&host::TRUNCATE), Full),
    row("ftruncate", 46, 77, Pass(&host::FTRUNCATE), Full),
    row("fallocate", 47, 285, Pass(&host::FALLOCATE), Full),
    row("faccessat", 48, 269, Pass(&host::FACCESSAT), Full),
    row("chdir", 49, 80, Own(dir::chdir, &[Path]), Full),
    row("fchdir", 50, 81, Pass(&host::FCHDIR), Full),
    row("chroot", 51, 161, Own(privilege::chroot, &[Path]), Partial("gives EPERM: start the program with a root of its own")),
    row("fchmod", 52, 91, Pass(&host::FCHMOD), Full),
    row("fchmodat", 53, 268, Pass(&host::FCHMODAT), Full),
    row("fchownat", 54, 260, Pass(&host::FCHOWNAT), Full),
    row("fchown", 55, 93, Pass(&host::FCHOWN), Full),
    row("openat", 56, 257, Own(file::openat, &[DirFd, Path, Flags(&n::OPEN), OctalIf(2)]), Partial("of /proc, the files that describe the process itself and the processor are the guest's")),
    row("close", 57, 3, Own(descriptor::close, &[Fd]), Full),
    row("vhangup", 58, 153, Refuse(Errno::EPERM, &[]), Refused("needs a privilege over the machine that no guest has")),
    row("pipe2", 59, 293, Pass(&host::PIPE2), Full),
    row("quotactl", 60, 179, Refuse(Errno::ENOSYS, &[Hex, Str, Uint, Addr]), Refused("a kernel without it")),
    row("getdents64", 61, 217, Own(dir::getdents64, host::GETDENTS64.shapes()), Full),
    row("lseek", 62, 8, Pass(&host::LSEEK), Full),
    row("read", 63, 0, Pass(&host::READ), Full),
    row("write", 64, 1, Pass(&host::WRITE), Full),
    row("readv", 65, 19, Own(file::readv, &[Fd, PutMany(IoVec, 2), Size]), Full),
    row("writev", 66, 20, Own(file::writev, &[Fd, GetMany(IoVec, 2), Size]), Full),
    row("pread64", 67, 17, Pass(&host::PREAD64), Full),
    row("pwrite64", 68, 18, Pass(&host::PWRITE64), Full),
    row("preadv", 69, 295, Own(file::preadv, &[Fd, PutMany(IoVec, 2), Size, Long, Unused]), Full),
    row("pwritev", 70, 296, Own(file::pwritev, &[Fd, GetMany(IoVec, 2), Size, Long, Unused]), Full),
    row("sendfile", 71, 40, Pass(&host::SENDFILE), Full),
    row("pselect6", 72, 270, Own(poll::pselect6, &[Int, Addr, Addr, Addr, Get(Timespec), Addr]), Full),
    row("ppoll", 73, 271, Own(poll::ppoll, &[GetMany(PollFd, 1), Size, Get(Timespec), Get(SigSet), Size]), Full),
    row("signalfd4", 74, 289, Own(signal::signalfd4, &[Fd, Get(SigSet), Size, Flags(&n::SFD)]), Partial("SIGSEGV and SIGBUS are not shown")),
    row("vmsplice", 75, 278, Own(file::vmsplice, &[Fd, GetMany(IoVec, 2), Size, Flags(&n::SPLICE)]), Full),
    row("splice", 76, 275, Pass(&host::SPLICE), Full),
    row("tee", 77, 276, Pass(&host::TEE), Full),
    row("readlinkat", 78, 267, Own(dir::readlinkat, &[DirFd, PathNoFollow, Out(3), Size]), Full),
    row("newfstatat", 79, 262, Own(dir::newfstatat, &[DirFd, PathUnless(3), Put(Stat), Flags(&n::AT)]), Full),
    row("fstat", 80, 5, Own(dir::fstat, &[Fd, Put(Stat)]), Full),
    row("sync", 81, 162, Pass(&host::SYNC), Full),
    row("fsync", 82, 74, Pass(&host::FSYNC), Full),
    row("fdatasync", 83, 75, Pass(&host::FDATASYNC), Full),
    row("sync_file_range", 84, 277, Pass(&host::SYNC_FILE_RANGE), Full),
    row("timerfd_create", 85, 283, Pass(&host::TIMERFD_CREATE), Full),
    row("timerfd_settime", 86, 286, Pass(&host::TIMERFD_SETTIME), Full),
    row("timerfd_gettime", 87, 287, Pass(&host::TIMERFD_GETTIME), Full),
    row("utimensat", 88, 280, Pass(&host::UTIMENSAT), Full),
    row("acct", 89, 163, Refuse(Errno::ENOSYS, &[Path]), Refused("a kernel without it")),
    row("capget", 90, 125, Pass(&host::CAPGET), Full),
    row("capset", 91, 126, Pass(&host::CAPSET), Full),
    row("personality", 92, 135, Own(sched::personality, &[Flags(&n::PERSONALITY)]), Partial("personalities that change the address space are refused")),
    row("exit", 93, 60, Own(thread::exit, &[Int]), Full),
    row("exit_group", 94, 231, Own(thread::exit_group, &[Int]), Full),
    row("waitid", 95, 247, Pass(&host::WAITID), Full),
    row("set_tid_address", 96, 218, Own(thread::set_tid_address, &[Addr]), Full),
    row("unshare", 97, 272, Own(sched::unshare, &[Flags(&n::CLONE)]), Partial("namespaces give EPERM")),
    row("futex", 98, 202, Own(futex::futex, &[Addr, Hex]), Full),
    row("set_robust_list", 99, 273, Own(futex::set_robust_list, &[Addr, Size]), Full),
    row("get_robust_list", 100, 274, Own(futex::get_robust_list, &[Int, Addr, Addr]), Full),
    row("nanosleep", 101, 35, Pass(&host::NANOSLEEP), Full),
    row("getitimer", 102, 36, Pass(&host::GETITIMER), Full),
    row("setitimer", 103, 38, Pass(&host::SETITIMER), Full),
    row("kexec_load", 104, 246, Refuse(Errno::EPERM, &[Hex, Size, Addr, Flags(&n::KEXEC)]), Refused("needs a privilege over the machine that no guest has")),
    row("init_module", 105, 175, Refuse(Errno::EPERM, &[Addr, Size, Str]), Refused("needs a privilege over the machine that no guest has")),
    row("delete_module", 106, 176, Refuse(Errno::EPERM, &[Str, Flags(&n::MODULE_DELETE)]), Refused("needs a privilege over the machine that no guest has")),
    row("timer_create", 107, 222, Pass(&host::TIMER_CREATE), Full),
    row("timer_gettime", 108, 224, Pass(&host::TIMER_GETTIME), Full),
    row("timer_getoverrun", 109, 225, Pass(&host::TIMER_GETOVERRUN), Full),
    row("timer_settime", 110, 223, Pass(&host::TIMER_SETTIME), Full),
    row("timer_delete", 111, 226, Pass(&host::TIMER_DELETE), Full),
    row("clock_settime", 112, 227, Pass(&host::CLOCK_SETTIME), Full),
    row("clock_gettime", 113, 228, Own(time::clock_gettime, &[One(&n::CLOCK), Put(Timespec)]), Full),
    row("clock_getres", 114, 229, Pass(&host::CLOCK_GETRES), Full),
    row("clock_nanosleep", 115, 230, Pass(&host::CLOCK_NANOSLEEP), Full),
    row("syslog", 116, 103, Pass(&host::SYSLOG), Full),
    row("ptrace", 117, 101, Refuse(Errno::EPERM, &[One(&n::PTRACE), Int, Addr, Hex]), Refused("a kernel that lets nobody trace; the emulator would be traced in place of the guest")),
    row("sched_setparam", 118, 142, Pass(&host::SCHED_SETPARAM), Full),
    row("sched_setscheduler", 119, 144, Pass(&host::SCHED_SETSCHEDULER), Full),
    row("sched_getscheduler", 120, 145, Pass(&host::SCHED_GETSCHEDULER), Full),
    row("sched_getparam", 121, 143, Pass(&host::SCHED_GETPARAM), Full),
    row("sched_setaffinity", 122, 203, Pass(&host::SCHED_SETAFFINITY), Full),
    row("sched_getaffinity", 123, 204, Pass(&host::SCHED_GETAFFINITY), Full),
    row("sched_yield", 124, 24, Pass(&host::SCHED_YIELD), Full),
    row("sched_get_priority_max", 125, 146, Pass(&host::SCHED_GET_PRIORITY_MAX), Full),
    row("sched_get_priority_min", 126, 147, Pass(&host::SCHED_GET_PRIORITY_MIN), Full),
    row("sched_rr_get_interval", 127, 148, Pass(&host::SCHED_RR_GET_INTERVAL), Full),
    row("restart_syscall", 128, 219, Refuse(Errno::EINTR, &[]), Refused("never asked for: calls that are made again are made whole")),
    row("kill", 129, 62, Own(signal::kill, &[Int, Signal]), Full).sends(&Sends { to: Processes(0), signal: 1, record: By(libc::SI_USER) }),
    row("tkill", 130, 200, Own(signal::tkill, &[Int, Signal]), Full).sends(&Sends { to: Thread(0), signal: 1, record: By(libc::SI_TKILL) }),
    row("tgkill", 131, 234, Own(signal::tgkill, &[Int, Int, Signal]), Full).sends(&Sends { to: ThreadOf(0, 1), signal: 2, record: By(libc::SI_TKILL) }),
    row("sigaltstack", 132, 131, Own(signal::sigaltstack, &[Get(Stack), Put(Stack)]), Full),
    row("rt_sigsuspend", 133, 130, Own(signal::rt_sigsuspend, &[Get(SigSet), Size]), Full),
    row("rt_sigaction", 134, 13, Own(signal::rt_sigaction, &[Signal, Get(SigAction), Put(SigAction), Size]), Full),
    row("rt_sigprocmask", 135, 14, Own(signal::rt_sigprocmask, &[One(&n::SIG_HOW), Get(SigSet), Put(SigSet), Size]), Full),
    row("rt_sigpending", 136, 127, Own(signal::rt_sigpending, &[Put(SigSet), Size]), Full),
    row("rt_sigtimedwait", 137, 128, Own(signal::rt_sigtimedwait, &[Get(SigSet), Put(SigInfo), Get(Timespec), Size]), Full),
    row("rt_sigqueueinfo", 138, 129, Pass(&host::RT_SIGQUEUEINFO), Full).sends(&Sends { to: Process(0), signal: 1, record: As(2) }),
    row("rt_sigreturn", 139, 15, Own(signal::rt_sigreturn, &[Addr]), Full),
    row("setpriority", 140, 141, Pass(&host::SETPRIORITY), Full),
    row("getpriority", 141, 140, Pass(&host::GETPRIORITY), Full),
    row("reboot", 142, 169, Refuse(Errno::EPERM, &[One(&n::REBOOT_MAGIC1), One(&n::REBOOT_MAGIC2), One(&n::REBOOT), Str]), Refused("needs a privilege over the machine that no guest has")),
    row("setregid", 143, 114, Pass(&host::SETREGID), Full),
    row("setgid", 144, 106, Pass(&host::SETGID), Full),
    row("setreuid", 145, 113, Pass(&host::SETREUID), Full),
    row("setuid", 146, 105, Pass(&host::SETUID), Full),
    row("setresuid", 147, 117, Pass(&host::SETRESUID), Full),
    row("getresuid", 148, 118, Pass(&host::GETRESUID), Full),
    row("setresgid", 149, 119, Pass(&host::SETRESGID), Full),
    row("getresgid", 150, 120, Pass(&host::GETRESGID), Full),
    row("setfsuid", 151, 122, Pass(&host::SETFSUID), Full),
    row("setfsgid", 152, 123, Pass(&host::SETFSGID), Full),
    row("times", 153, 100, Pass(&host::TIMES), Full),
    row("setpgid", 154, 109, Pass(&host::SETPGID), Full),
    row("getpgid", 155, 121, Pass(&host::GETPGID), Full),
    row("getsid", 156, 124, Pass(&host::GETSID), Full),
    row("setsid", 157, 112, Pass(&host::SETSID), Full),
    row("getgroups", 158, 115, Pass(&host::GETGROUPS), Full),
    row("setgroups", 159, 116, Pass(&host::SETGROUPS), Full),
    row("uname", 160, 63, Own(info::uname, &[Put(Utsname)]), Full),
    row("sethostname", 161, 170, Pass(&host::SETHOSTNAME), Full),
    row("setdomainname", 162, 171, Pass(&host::SETDOMAINNAME), Full),
    row("getrlimit", 163, 97, Own(proc::getrlimit, &[One(&n::RLIMIT), Put(Rlimit)]), Full),
    row("setrlimit", 164, 160, Own(proc::setrlimit, &[One(&n::RLIMIT), Get(Rlimit)]), Full),
    row("getrusage", 165, 98, Pass(&host::GETRUSAGE), Full),
    row("umask", 166, 95, Pass(&host::UMASK), Full),
    row("prctl", 167, 157, Own(proc::prctl, &[One(&n::PRCTL)]), Partial("names, death signals, dumpability, capabilities and no-new-privileges")),
    row("getcpu", 168, 309, Pass(&host::GETCPU), Full),
    row("gettimeofday", 169, 96, Own(time::gettimeofday, host::GETTIMEOFDAY.shapes()), Full),
    row("settimeofday", 170, 164, Pass(&host::SETTIMEOFDAY), Full),
    row("adjtimex", 171, 159, Pass(&host::ADJTIMEX), Full),
    row("getpid", 172, 39, Pass(&host::GETPID), Full),
    row("getppid", 173, 110, Pass(&host::GETPPID), Full),
    row("getuid", 174, 102, Pass(&host::GETUID), Full),
    row("geteuid", 175, 107, Pass(&host::GETEUID), Full),
    row("getgid", 176, 104, Pass(&host::GETGID), Full),
    row("getegid", 177, 108, Pass(&host::GETEGID), Full),
    row("gettid", 178, 186, Pass(&host::GETTID), Full),
    row("sysinfo", 179, 99, Pass(&host::SYSINFO), Full),
    row("mq_open", 180, 240, Own(ipc::mq_open, &[Str, Flags(&n::OPEN), OctalIf(1), Get(MqAttr)]), Full),
    row("mq_unlink", 181, 241, Pass(&host::MQ_UNLINK), Full),
    row("mq_timedsend", 182, 242, Pass(&host::MQ_TIMEDSEND), Full),
    row("mq_timedreceive", 183, 243, Pass(&host::MQ_TIMEDRECEIVE), Full),
    row("mq_notify", 184, 244, Own(ipc::mq_notify, &[Fd, Get(SigEvent)]), Full),
    row("mq_getsetattr", 185, 245, Pass(&host::MQ_GETSETATTR), Full),
    row("msgget", 186, 68, Pass(&host::MSGGET), Full),
    row("msgctl", 187, 71, Own(ipc::msgctl, &[Int, One(&n::MSG_CTL)]), Full),
    row("msgrcv", 188, 70, Pass(&host::MSGRCV), Full),
    row("msgsnd", 189, 69, Own(ipc::msgsnd, host::MSGSND.shapes()), Full),
    row("semget", 190, 64, Pass(&host::SEMGET), Full),
    row("semctl", 191, 66, Own(ipc::semctl, &[Int, Int, One(&n::SEM_CTL)]), Full),
    row("semtimedop", 192, 220, Pass(&host::SEMTIMEDOP), Full),
    row("semop", 193, 65, Pass(&host::SEMOP), Full),
    row("shmget", 194, 29, Pass(&host::SHMGET), Full),
    row("shmctl", 195, 31, Own(ipc::shmctl, &[Int, One(&n::SHM_CTL)]), Full),
    row("shmat", 196, 30, Own(ipc::shmat, &[Int, Addr, Flags(&n::SHM_AT)]), Full),
    row("shmdt", 197, 67, Own(ipc::shmdt, &[Addr]), Full),
    row("socket", 198, 41, Pass(&host::SOCKET), Full),
    row("socketpair", 199, 53, Pass(&host::SOCKETPAIR), Full),
    row("bind", 200, 49, Own(net::bind, &[Fd, SockAddr(2), Size]), Full),
    row("listen", 201, 50, Pass(&host::LISTEN), Full),
    row("accept", 202, 43, Own(net::accept, &[Fd, SockAddrOut(2), Update(SockLen)]), Full),
    row("connect", 203, 42, Own(net::connect, &[Fd, SockAddr(2), Size]), Full),
    row("getsockname", 204, 51, Own(net::getsockname, &[Fd, SockAddrOut(2), Update(SockLen)]), Full),
    row("getpeername", 205, 52, Own(net::getpeername, &[Fd, SockAddrOut(2), Update(SockLen)]), Full),
    row("sendto", 206, 44, Own(net::sendto, &[Fd, In(2), Size, Flags(&n::MSG), SockAddr(5), Size]), Full),
    row("recvfrom", 207, 45, Own(net::recvfrom, &[Fd, Out(2), Size, Flags(&n::MSG), SockAddrOut(5), Update(SockLen)]), Full),
    row("setsockopt", 208, 54, Own(net::setsockopt, &[Fd, One(&n::SOL), Int, In(4), Int]), Full),
    row("getsockopt", 209, 55, Own(net::getsockopt, &[Fd, One(&n::SOL), Int, Addr, Update(SockLen)]), Full),
    row("shutdown", 210, 48, Pass(&host::SHUTDOWN), Full),
    row("sendmsg", 211, 46, Own(net::sendmsg, &[Fd, Get(MsgHdr), Flags(&n::MSG)]), Full),
    row("recvmsg", 212, 47, Own(net::recvmsg, &[Fd, Update(MsgHdr), Flags(&n::MSG)]), Full),
    row("readahead", 213, 187, Pass(&host::READAHEAD), Full),
    row("brk", 214, 12, Own(mem::brk, &[Addr]), Full),
    row("munmap", 215, 11, Own(mem::munmap, &[Addr, Size]), Full),
    row("mremap", 216, 25, Own(mem::mremap, &[Addr, Size, Size, Flags(&n::MREMAP), Addr]), Full),
    row("add_key", 217, 248, Refuse(Errno::ENOSYS, &[Str, Str, In(3), Size, One(&n::KEYRING)]), Refused("a kernel without it")),
    row("request_key", 218, 249, Refuse(Errno::ENOSYS, &[Str, Str, Str, One(&n::KEYRING)]), Refused("a kernel without it")),
    row("keyctl", 219, 250, Refuse(Errno::ENOSYS, &[One(&n::KEYCTL), Hex, Hex, Hex, Hex]), Refused("a kernel without it")),
    row("clone", 220, 56, Own(thread::clone, &[Hex]), Partial("namespaces give EPERM; without CLONE_THREAD, CLONE_SIGHAND copies the actions")),
    row("execve", 221, 59, Own(exec::execve, &[Path, Addr, Addr]), Partial("files that can be executed and not read are refused")),
    row("mmap", 222, 9, Own(mem::mmap, &[Addr, Size, Flags(&n::PROT), Flags(&n::MAP), Fd, Hex]), Partial("huge pages are refused as by a kernel that has none")),
    row("fadvise64", 223, 221, Pass(&host::FADVISE64), Full),
    row("swapon", 224, 167, Refuse(Errno::EPERM, &[Path, Flags(&n::SWAP)]), Refused("needs a privilege over the machine that no guest has")),
    row("swapoff", 225, 168, Refuse(Errno::EPERM, &[Path]), Refused("needs a privilege over the machine that no guest has")),
    row("mprotect", 226, 10, Own(mem::mprotect, &[Addr, Size, Flags(&n::PROT)]), Full),
    row("msync", 227, 26, Own(mem::msync, &[Addr, Size, Flags(&n::MS)]), Full),
    row("mlock", 228, 149, Pass(&host::MLOCK), Partial("of pages that may be executed and not read gives ENOMEM")),
    row("munlock", 229, 150, Pass(&host::MUNLOCK), Full),
    row("mlockall", 230, 151, Own(mem::mlockall, &[Flags(&n::MCL)]), Full),
    row("munlockall", 231, 152, Own(mem::munlockall, &[]), Full),
    row("mincore", 232, 27, Own(mem::mincore, &[Addr, Size, Addr]), Full),
    row("madvise", 233, 28, Own(mem::madvise, &[Addr, Size, One(&n::MADV)]), Partial("guard pages and hardware errors are refused")),
    row("remap_file_pages", 234, 216, Refuse(Errno::ENOSYS, &[Addr, Size, Flags(&n::PROT), Size, Flags(&n::MAP)]), Refused("deprecated; programs use mmap")),
    row("mbind", 235, 237, Pass(&host::MBIND), Full),
    row("get_mempolicy", 236, 239, Pass(&host::GET_MEMPOLICY), Full),
    row("set_mempolicy", 237, 238, Pass(&host::SET_MEMPOLICY), Full),
    row("migrate_pages", 238, 256, Pass(&host::MIGRATE_PAGES), Full),
    row("move_pages", 239, 279, Own(placement::move_pages, &[Int, Size, Addr, Addr, Addr, Flags(&n::MPOL_MOVE)]), Full),
    row("rt_tgsigqueueinfo", 240, 297, Own(signal::rt_tgsigqueueinfo, &[Int, Int, Signal, Get(SigInfo)]), Full).sends(&Sends { to: ThreadOf(0, 1), signal: 2, record: As(3) }),
    row("perf_event_open", 241, 298, Refuse(Errno::ENOSYS, &[Addr, Int, Int, Fd, Flags(&n::PERF_FLAG)]), Refused("a kernel without it; it would count the emulator's instructions")),
    row("accept4", 242, 288, Own(net::accept4, &[Fd, SockAddrOut(2), Update(SockLen), Flags(&n::SOCK)]), Full),
    row("recvmmsg", 243, 299, Own(net::recvmmsg, &[Fd, PutMany(MMsgHdr, 2), Size, Flags(&n::MSG), Get(Timespec)]), Full),
    row("riscv_hwprobe", 258, NONE, Own(info::riscv_hwprobe, &[Addr, Size, Size, Addr, Hex]), Full),
    row("riscv_flush_icache", 259, NONE, Own(info::riscv_flush_icache, &[Addr, Addr, Hex]), Full),
    row("wait4", 260, 61, Pass(&host::WAIT4), Full),
    row("prlimit64", 261, 302, Own(proc::prlimit64, &[Int, One(&n::RLIMIT), Get(Rlimit), Put(Rlimit)]), Partial("what another process set for its memory and stack is not seen")),
    row("fanotify_init", 262, 300, Own(handle::fanotify_init, &[Flags(&n::FAN_INIT), Flags(&n::OPEN)]), Full),
    row("fanotify_mark", 263, 301, Own(handle::fanotify_mark, &[Fd, Flags(&n::FAN_MARK), Hex, DirFd, Path]), Full),
    row("name_to_handle_at", 264, 303, Own(handle::name_to_handle_at, &[DirFd, Path, Addr, Addr, Flags(&n::AT)]), Full),
    row("open_by_handle_at", 265, 304, Refuse(Errno::EPERM, &[Fd, Addr, Flags(&n::OPEN)]), Refused("needs a privilege; a handle leads out of any root")),
    row("clock_adjtime", 266, 305, Pass(&host::CLOCK_ADJTIME), Full),
    row("syncfs", 267, 306, Pass(&host::SYNCFS), Full),
    row("setns", 268, 308, Own(privilege::setns, &[Fd, Flags(&n::CLONE)]), Partial("gives EPERM: it needs a privilege over the machine that no guest has")),
    row("sendmmsg", 269, 307, Own(net::sendmmsg, &[Fd, GetMany(MMsgHdr, 2), Size, Flags(&n::MSG)]), Full),
    row("process_vm_readv", 270, 310, Own(sched::process_vm_readv, &[Int, PutMany(IoVec, 2), Size, GetMany(IoVec, 4), Size, Hex]), Full),
    row("process_vm_writev", 271, 311, Own(sched::process_vm_writev, &[Int, GetMany(IoVec, 2), Size, GetMany(IoVec, 4), Size, Hex]), Full),
    row("kcmp", 272, 312, Own(sched::kcmp, &[Int, Int, One(&n::KCMP), Long, Long]), Full),
    row("finit_module", 273, 313, Refuse(Errno::EPERM, &[Fd, Str, Flags(&n::MODULE_INIT)]), Refused("needs a privilege over the machine that no guest has")),
    row("sched_setattr", 274, 314, Own(sched::sched_setattr, &[Int, Addr, Uint]), Full),
    row("sched_getattr", 275, 315, Pass(&host::SCHED_GETATTR), Full),
    row("renameat2", 276, 316, Pass(&host::RENAMEAT2), Full),
    row("seccomp", 277, 317, Refuse(Errno::ENOSYS, &[One(&n::SECCOMP), Hex, Addr]), Refused("a kernel without it; the filter would see the emulator's calls")),
    row("getrandom", 278, 318, Pass(&host::GETRANDOM), Full),
    row("memfd_create", 279, 319, Pass(&host::MEMFD_CREATE), Full),
    row("bpf", 280, 321, Refuse(Errno::ENOSYS, &[One(&n::BPF), Addr, Size]), Refused("a kernel without it")),
    row("execveat", 281, 322, Own(exec::execveat, &[DirFd, Path, Addr, Addr, Hex]), Partial("files that can be executed and not read are refused")),
    row("userfaultfd", 282, 323, Refuse(Errno::ENOSYS, &[Flags(&n::UFFD)]), Refused("a kernel without it")),
    row("membarrier", 283, 324, Own(thread::membarrier, &[One(&n::MEMBARRIER), Flags(&n::MEMBARRIER_FLAGS), Int]), Full),
    row("mlock2", 284, 325, Pass(&host::MLOCK2), Partial("of pages that may be executed and not read gives ENOMEM")),
    row("copy_file_range", 285, 326, Pass(&host::COPY_FILE_RANGE), Full),
    row("preadv2", 286, 327, Own(file::preadv2, &[Fd, PutMany(IoVec, 2), Size, Long, Unused, Flags(&n::RWF)]), Full),
    row("pwritev2", 287, 328, Own(file::pwritev2, &[Fd, GetMany(IoVec, 2), Size, Long, Unused, Flags(&n::RWF)]), Full),
    row("pkey_mprotect", 288, 329, Refuse(Errno::ENOSYS, &[Addr, Size, Flags(&n::PROT), Int]), Refused("riscv64 has no protection keys")),
    row("pkey_alloc", 289, 330, Refuse(Errno::ENOSYS, &[Hex, Flags(&n::PKEY)]), Refused("riscv64 has no protection keys")),
    row("pkey_free", 290, 331, Refuse(Errno::ENOSYS, &[Int]), Refused("riscv64 has no protection keys")),
    row("statx", 291, 332, Own(dir::statx, &[DirFd, PathUnless(2), Flags(&n::AT_STATX), Flags(&n::STATX), Put(Statx)]), Full),
    row("io_pgetevents", 292, 333, Refuse(Errno::ENOSYS, &[Addr, Long, Long, Addr, Get(Timespec), Addr]), Refused("a kernel without it, for which programs have other ways")),
    row("rseq", 293, 334, Refuse(Errno::ENOSYS, &[Addr, Hex, Hex, Hex]), Refused("a kernel without it, and the auxiliary vector does not promise it")),
    row("kexec_file_load", 294, 320, Refuse(Errno::EPERM, &[Fd, Fd, Size, Str, Flags(&n::KEXEC_FILE)]), Refused("needs a privilege over the machine that no guest has")),
    row("pidfd_send_signal", 424, 424, Pass(&host::PIDFD_SEND_SIGNAL), Full),
    row("io_uring_setup", 425, 425, Refuse(Errno::ENOSYS, &[Uint, Addr]), Refused("a kernel without it, for which programs have other ways")),
    row("io_uring_enter", 426, 426, Refuse(Errno::ENOSYS, &[Fd, Uint, Uint, Flags(&n::IORING_ENTER), Addr, Size]), Refused("a kernel without it, for which programs have other ways")),
    row("io_uring_register", 427, 427, Refuse(Errno::ENOSYS, &[Fd, One(&n::IORING_REGISTER), Addr, Uint]), Refused("a kernel without it, for which programs have other ways")),
    row("open_tree", 428, 428, Refuse(Errno::EPERM, &[DirFd, Path, Flags(&n::OPEN_TREE)]), Refused("needs a privilege over the machine that no guest has")),
    row("move_mount", 429, 429, Refuse(Errno::EPERM, &[DirFd, Path, DirFd, Path, Flags(&n::MOVE_MOUNT)]), Refused("needs a privilege over the machine that no guest has")),
    row("fsopen", 430, 430, Refuse(Errno::EPERM, &[Str, Flags(&n::FSOPEN)]), Refused("needs a privilege over the machine that no guest has")),
    row("fsconfig", 431, 431, Refuse(Errno::EPERM, &[Fd, One(&n::FSCONFIG), Str, Addr, Int]), Refused("needs a privilege over the machine that no guest has")),
    row("fsmount", 432, 432, Refuse(Errno::EPERM, &[Fd, Flags(&n::FSMOUNT), Flags(&n::MOUNT_ATTR)]), Refused("needs a privilege over the machine that no guest has")),
    row("fspick", 433, 433, Refuse(Errno::EPERM, &[DirFd, Path, Flags(&n::FSPICK)]), Refused("needs a privilege over the machine that no guest has")),
    row("pidfd_open", 434, 434, Pass(&host::PIDFD_OPEN), Full),
    row("clone3", 435, 435, Own(thread::clone3, &[Get(CloneArgs), Size]), Partial("namespaces, control groups and chosen numbers give EPERM; without CLONE_THREAD, CLONE_SIGHAND copies the actions")),
    row("close_range", 436, 436, Own(descriptor::close_range, host::CLOSE_RANGE.shapes()), Full),
    row("openat2", 437, 437, Own(file::openat2, &[DirFd, Path, Get(OpenHow), Size]), Full),
    row("pidfd_getfd", 438, 438, Own(descriptor::pidfd_getfd, host::PIDFD_GETFD.shapes()), Full),
    row("faccessat2", 439, 439, Pass(&host::FACCESSAT2), Full),
    row("process_madvise", 440, 440, Refuse(Errno::ENOSYS, &[Fd, GetMany(IoVec, 2), Size, One(&n::MADV), Hex]), Refused("a kernel without it")),
    row("epoll_pwait2", 441, 441, Own(poll::epoll_pwait2, &[Fd, PutMany(EpollEvent, 2), Int, Get(Timespec), Get(SigSet), Size]), Full),
    row("mount_setattr", 442, 442, Refuse(Errno::EPERM, &[DirFd, Path, Flags(&n::AT), Addr, Size]), Refused("needs a privilege over the machine that no guest has")),
    row("quotactl_fd", 443, 443, Refuse(Errno::ENOSYS, &[Fd, Hex, Uint, Addr]), Refused("a kernel without it")),
    row("landlock_create_ruleset", 444, 444, Refuse(Errno::ENOSYS, &[Addr, Size, Flags(&n::LANDLOCK)]), Refused("a kernel without it; the rules would hold for the emulator")),
    row("landlock_add_rule", 445, 445, Refuse(Errno::ENOSYS, &[Fd, One(&n::LANDLOCK_RULE), Addr, Hex]), Refused("a kernel without it; the rules would hold for the emulator")),
    row("landlock_restrict_self", 446, 446, Refuse(Errno::ENOSYS, &[Fd, Hex]), Refused("a kernel without it; the rules would hold for the emulator")),
    row("memfd_secret", 447, 447, Refuse(Errno::ENOSYS, &[Flags(&n::SECRET)]), Refused("a kernel without it, as kernels are configured by default")),
    row("process_mrelease", 448, 448, Pass(&host::PROCESS_MRELEASE), Full),
    row("futex_waitv", 449, 449, Own(futex::futex_waitv, &[Addr, Size, Hex, Get(Timespec), One(&n::CLOCK)]), Full),
    row("set_mempolicy_home_node", 450, 450, Refuse(Errno::ENOSYS, &[Addr, Size, Size, Hex]), Refused("a kernel without it")),
    row("cachestat", 451, 451, Pass(&host::CACHESTAT), Full),
    row("fchmodat2", 452, 452, Pass(&host::FCHMODAT2), Full),
    row("map_shadow_stack", 453, 453, Refuse(Errno::ENOSYS, &[Addr, Size, Hex]), Refused("x86-64 alone has it")),
    row("futex_wake", 454, 454, Own(futex::futex_wake, &[Addr, Hex, Int, Flags(&n::FUTEX2)]), Full),
    row("futex_wait", 455, 455, Own(futex::futex_wait, &[Addr, Size, Hex, Flags(&n::FUTEX2), Get(Timespec), One(&n::CLOCK)]), Full),
    row("futex_requeue", 456, 456, Own(futex::futex_requeue, &[Addr, Hex, Int, Int]), Full),
    row("statmount", 457, 457, Refuse(Errno::ENOSYS, &[Addr, Addr, Size, Hex]), Refused("a kernel without it")),
    row("listmount", 458, 458, Refuse(Errno::ENOSYS, &[Addr, Addr, Size, Hex]), Refused("a kernel without it")),
    row("lsm_get_self_attr", 459, 459, Refuse(Errno::ENOSYS, &[Hex, Addr, Addr, Hex]), Refused("a kernel without it")),
    row("lsm_set_self_attr", 460, 460, Refuse(Errno::ENOSYS, &[Hex, Addr, Uint, Hex]), Refused("a kernel without it")),
    row("lsm_list_modules", 461, 461, Refuse(Errno::ENOSYS, &[Addr, Addr, Hex]), Refused("a kernel without it")),
    row("mseal", 462, 462, Refuse(Errno::ENOSYS, &[Addr, Size, Hex]), Refused("a kernel without it")),
];

/// All rows, by ascending generic number.
#[must_use]
pub fn rows() -> &'static [Row] {
    ROWS
}

/// The row with this number in the generic list.
#[must_use]
pub fn by_generic_number(number: u64) -> Option<&'static Row> {
    let place = *PLACES.get(usize::try_from(number).ok()?)?;
    ROWS.get(usize::from(place))
}

/// Where the row of each generic number is; beyond the rows if there is none.
static PLACES: [u16; ROWS[ROWS.len() - 1].generic as usize + 1] = {
    let mut places = [u16::MAX; ROWS[ROWS.len() - 1].generic as usize + 1];
    let mut place = 0;
    while place < ROWS.len() {
        places[ROWS[place].generic as usize] = place as u16;
        place += 1;
    }
    places
};

/// The row of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The support page, in Markdown.
#[must_use]
pub fn page() -> String {
    let count = |wanted: fn(&Support) -> bool| ROWS.iter().filter(|row| wanted(&row.support)).count();
    let full = count(|support| matches!(support, Full));
    let partial = count(|support| matches!(support, Partial(_)));
    let refused = count(|support| matches!(support, Refused(_)));
    let mut page = String::from("# System calls\n\n");
    page.push_str(
        "Printed from `vm-linux/src/table.rs`; `UPDATE_GOLDEN=1 cargo test -p tradux-linux` writes it anew.\n",
    );
    page.push_str("*Full* rows are covered by a test. Calls that are not listed give `ENOSYS`.\n\n");
    let _ = writeln!(page, "{full} full, {partial} partial, {refused} refused.\n");
    page.push_str("| call | generic | x86-64 | support |\n|---|---:|---:|---|\n");
    for row in ROWS {
        let x86_64 = row.x86_64.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let support = match row.support {
            Full => "full".to_owned(),
            Partial(missing) => format!("partial: {missing}"),
            Refused(reason) => {
                let errno = row.refusal().map_or_else(String::new, |errno| errno.to_string());
                format!("refused ({errno}): {reason}")
            }
        };
        let _ = writeln!(page, "| `{}` | {} | {x86_64} | {support} |", row.name, row.generic);
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn rows_ascend() {
        assert!(ROWS.windows(2).all(|pair| pair[0].generic < pair[1].generic));
        assert_eq!(by_generic_number(64).map(|row| row.name), Some("write"));
        assert!(by_generic_number(244).is_none());
    }

    /// Numbers of the host's own table, on hosts that use the list in question.
    #[test]
    fn numbers_are_the_hosts() {
        let pick = |row: &Row| if cfg!(target_arch = "x86_64") { row.x86_64 } else { Some(row.generic) };
        for (name, number) in [
            ("read", libc::SYS_read),
            ("openat", libc::SYS_openat),
            ("renameat2", libc::SYS_renameat2),
            ("clone3", libc::SYS_clone3),
            ("statx", libc::SYS_statx),
            ("rseq", libc::SYS_rseq),
        ] {
            assert_eq!(by_name(name).and_then(pick).map(i64::from), Some(number), "{name}");
        }
    }

    #[test]
    fn support_and_action_agree() {
        for row in ROWS {
            assert_eq!(matches!(row.action, Refuse(..)), matches!(row.support, Refused(_)), "{}", row.name);
            assert!(row.shapes().len() <= 6, "{}", row.name);
        }
    }

    #[test]
    fn the_support_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/generated/syscalls.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, page()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page(), "{} differs from the table; UPDATE_GOLDEN=1 rewrites it", path.display());
    }
}
