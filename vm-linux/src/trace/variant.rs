//! Calls of which one argument says what the next ones are: commands, requests, options.

use super::ioctl;
use super::names as n;
use super::record::Record;
use crate::shape::Shape;

/// What the arguments from one on are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    /// The number of the first of them.
    pub(super) from: usize,
    /// Those that mean something.
    pub(super) operands: &'static [Shape],
}

#[allow(clippy::enum_glob_use, reason = "tables read better without prefixes")]
use {Record::*, Shape::*};

/// What a value of the deciding argument makes of those after it.
type Operands = (i32, &'static [Shape]);

/// What any value makes of them that is not listed.
const FOUR_WORDS: &[Shape] = &[Hex, Hex, Hex, Hex];

/// By the option of `prctl(2)`. Where a kernel wants zeroes they are shown, for other values are an error.
static PRCTL: &[Operands] = &[
    (libc::PR_SET_PDEATHSIG, &[Signal]),
    (libc::PR_GET_PDEATHSIG, &[Put(SignalNumber)]),
    (libc::PR_GET_DUMPABLE, &[]),
    (libc::PR_SET_DUMPABLE, &[One(&n::SUID_DUMP)]),
    (libc::PR_GET_UNALIGN, &[Put(Number)]),
    (libc::PR_SET_UNALIGN, &[Flags(&n::PR_UNALIGN)]),
    (libc::PR_GET_KEEPCAPS, &[]),
    (libc::PR_SET_KEEPCAPS, &[Size]),
    (libc::PR_GET_TIMING, &[]),
    (libc::PR_SET_TIMING, &[Size]),
    (libc::PR_SET_NAME, &[Str]),
    (libc::PR_GET_NAME, &[Put(CommandName)]),
    (libc::PR_GET_SECCOMP, &[]),
    (libc::PR_SET_SECCOMP, &[One(&n::SECCOMP_MODE), Hex, Hex, Hex]),
    (libc::PR_CAPBSET_READ, &[One(&n::CAP)]),
    (libc::PR_CAPBSET_DROP, &[One(&n::CAP)]),
    (libc::PR_GET_TSC, &[Put(Number)]),
    (libc::PR_SET_TSC, &[One(&n::PR_TSC)]),
    (libc::PR_GET_SECUREBITS, &[]),
    (libc::PR_SET_SECUREBITS, &[Flags(&n::SECBIT)]),
    (libc::PR_SET_TIMERSLACK, &[Size]),
    (libc::PR_GET_TIMERSLACK, &[]),
    (libc::PR_MCE_KILL, &[One(&n::MCE_KILL), One(&n::MCE_KILL_POLICY), Hex, Hex]),
    (libc::PR_MCE_KILL_GET, FOUR_WORDS),
    (libc::PR_SET_CHILD_SUBREAPER, &[Size]),
    (libc::PR_GET_CHILD_SUBREAPER, &[Put(Number)]),
    (libc::PR_SET_NO_NEW_PRIVS, &[Size, Hex, Hex, Hex]),
    (libc::PR_GET_NO_NEW_PRIVS, FOUR_WORDS),
    (libc::PR_GET_TID_ADDRESS, &[Put(Pointer)]),
    (libc::PR_SET_THP_DISABLE, &[Size, Hex, Hex, Hex]),
    (libc::PR_GET_THP_DISABLE, FOUR_WORDS),
    (PR_SET_IO_FLUSHER, &[Size, Hex, Hex, Hex]),
    (libc::PR_SET_VMA, &[One(&n::PR_SET_VMA), Addr, Size, Str]),
    (libc::PR_SET_PTRACER, &[Size]),
];
const PR_SET_IO_FLUSHER: i32 = 57;

/// By the operation of `PR_CAP_AMBIENT`.
static CAP_AMBIENT: &[Operands] = &[
    (libc::PR_CAP_AMBIENT_IS_SET, &[One(&n::CAP_AMBIENT), One(&n::CAP), Hex, Hex]),
    (libc::PR_CAP_AMBIENT_RAISE, &[One(&n::CAP_AMBIENT), One(&n::CAP), Hex, Hex]),
    (libc::PR_CAP_AMBIENT_LOWER, &[One(&n::CAP_AMBIENT), One(&n::CAP), Hex, Hex]),
];

static OTHER_CAP_AMBIENT: &[Shape] = &[One(&n::CAP_AMBIENT), Hex, Hex, Hex];

/// By the command of `fcntl(2)`.
static FCNTL: &[Operands] = &[
    (libc::F_GETFD, &[]),
    (libc::F_SETFD, &[Flags(&n::FD_FLAGS)]),
    (libc::F_GETFL, &[]),
    (libc::F_SETFL, &[Flags(&n::OPEN)]),
    (libc::F_SETLK, &[Get(Flock)]),
    (libc::F_SETLKW, &[Get(Flock)]),
    (libc::F_OFD_SETLK, &[Get(Flock)]),
    (libc::F_OFD_SETLKW, &[Get(Flock)]),
    (libc::F_GETLK, &[Put(FlockFound)]),
    (libc::F_OFD_GETLK, &[Put(FlockFound)]),
    (libc::F_GETOWN, &[]),
    (libc::F_SETOWN, &[Int]),
    (F_SETSIG, &[Signal]),
    (F_GETSIG, &[]),
    (F_SETOWN_EX, &[Get(OwnerEx)]),
    (F_GETOWN_EX, &[Put(OwnerEx)]),
    (libc::F_SETLEASE, &[One(&n::LOCK_TYPE)]),
    (libc::F_GETLEASE, &[]),
    (libc::F_NOTIFY, &[Flags(&n::DN)]),
    (libc::F_DUPFD, &[Int]),
    (libc::F_DUPFD_CLOEXEC, &[Int]),
    (libc::F_SETPIPE_SZ, &[Int]),
    (libc::F_GETPIPE_SZ, &[]),
    (libc::F_ADD_SEALS, &[Flags(&n::SEALS)]),
    (libc::F_GET_SEALS, &[]),
];
// `asm-generic/fcntl.h`.
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;
const F_SETOWN_EX: i32 = 15;
const F_GETOWN_EX: i32 = 16;

/// By the operation of `futex(2)`, without its flags. The fourth argument is a time or a count, the fifth the second futex.
static FUTEX: &[Operands] = &[
    (libc::FUTEX_WAIT, &[Uint, Get(Timespec)]),
    (libc::FUTEX_WAKE, &[Uint]),
    (libc::FUTEX_FD, &[Uint]),
    (libc::FUTEX_REQUEUE, &[Uint, Uint, Addr]),
    (libc::FUTEX_CMP_REQUEUE, &[Uint, Uint, Addr, Uint]),
    (libc::FUTEX_WAKE_OP, &[Uint, Uint, Addr, Uint]),
    (libc::FUTEX_LOCK_PI, &[Unused, Get(Timespec)]),
    (libc::FUTEX_UNLOCK_PI, &[]),
    (libc::FUTEX_TRYLOCK_PI, &[]),
    (libc::FUTEX_WAIT_BITSET, &[Uint, Get(Timespec), Unused, Hex]),
    (libc::FUTEX_WAKE_BITSET, &[Uint, Unused, Unused, Hex]),
    (libc::FUTEX_WAIT_REQUEUE_PI, &[Uint, Get(Timespec), Addr]),
    (libc::FUTEX_CMP_REQUEUE_PI, &[Uint, Uint, Addr, Uint]),
    (FUTEX_LOCK_PI2, &[Unused, Get(Timespec)]),
];
const FUTEX_LOCK_PI2: i32 = 13;
/// The operation among the bits of an operation and its flags.
pub(super) const FUTEX_COMMAND: u64 = 0x7f;

/// By the action of `syslog(2)`; all others take no more than it.
static SYSLOG: &[Operands] = &[(2, &[Out(2), Size]), (3, &[Out(2), Size]), (4, &[Out(2), Size]), (8, &[Addr, Int])];

/// By the request of `ptrace(2)`: of whom, and no more.
static PTRACE: &[Operands] = &[(libc::PTRACE_TRACEME as i32, &[]), (libc::PTRACE_ATTACH as i32, &[Int])];

/// By the command of `reboot(2)`.
static REBOOT: &[Operands] = &[(libc::LINUX_REBOOT_CMD_RESTART2, &[Str])];

/// By the command of `msgctl(2)`.
static MSGCTL: &[Operands] =
    &[(libc::IPC_STAT, &[Put(MessageQueue)]), (11, &[Put(MessageQueue)]), (13, &[Put(MessageQueue)])];
/// By the command of `semctl(2)`.
static SEMCTL: &[Operands] =
    &[(libc::IPC_STAT, &[Put(Semaphores)]), (18, &[Put(Semaphores)]), (20, &[Put(Semaphores)])];
/// By the command of `shmctl(2)`.
static SHMCTL: &[Operands] = &[(libc::IPC_STAT, &[Put(Segment)]), (13, &[Put(Segment)]), (15, &[Put(Segment)])];

/// What the later arguments of a call are, if an earlier one decides it.
pub(super) fn of(name: &str, args: &[u64; 6]) -> Option<Variant> {
    let at = |from, operands| Some(Variant { from, operands });
    let by = |table: &'static [Operands], key: u64, otherwise: &'static [Shape]| {
        table.iter().find(|(known, _)| *known == key as i32).map_or(otherwise, |(_, operands)| *operands)
    };
    let none: &'static [Shape] = &[];
    match name {
        "prctl" if args[0] as i32 == libc::PR_CAP_AMBIENT => at(1, by(CAP_AMBIENT, args[1], OTHER_CAP_AMBIENT)),
        "prctl" => at(1, by(PRCTL, args[0], FOUR_WORDS)),
        "fcntl" => at(2, by(FCNTL, args[1], &[Hex])),
        "ioctl" => at(2, ioctl::operands(args[1] as u32)),
        "futex" => at(2, by(FUTEX, args[1] & FUTEX_COMMAND, &[Uint, Hex, Hex, Hex])),
        "syslog" => at(1, by(SYSLOG, args[0], none)),
        "ptrace" => at(1, by(PTRACE, args[0], &[Int, Addr, Hex])),
        "reboot" => at(3, by(REBOOT, args[2], none)),
        "msgctl" => at(2, by(MSGCTL, args[1], &[Addr])),
        "semctl" => at(3, by(SEMCTL, args[2], &[Addr])),
        "shmctl" => at(2, by(SHMCTL, args[1], &[Addr])),
        // The processor counts with MEMBARRIER_CMD_FLAG_CPU alone.
        "membarrier" if args[1] & 1 == 0 => at(2, none),
        // The device counts for devices alone.
        "mknodat" if !matches!(args[2] as u32 & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) => at(3, none),
        "mremap" if args[3] & (libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP) as u64 == 0 => at(4, none),
        _ => None,
    }
}
