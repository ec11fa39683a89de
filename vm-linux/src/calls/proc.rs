//! Processes: their ends, beginnings and limits.

use crate::errno::Errno;
use crate::host::{self, Arg, Forked};
use crate::kernel::{Args, ChildRegisters, Kernel, Stop, SysResult, close, null};
use crate::layout::{Layout, Rlimit};

/// `exit(status)`: of the only thread, and so of the process.
pub(crate) fn exit(_: &mut Kernel, a: &Args) -> SysResult {
    Err(Stop::Exit(a.raw(0) as u8))
}

/// `exit_group(status)`.
pub(crate) fn exit_group(_: &mut Kernel, a: &Args) -> SysResult {
    Err(Stop::Exit(a.raw(0) as u8))
}

/// `set_tid_address(address)`.
pub(crate) fn set_tid_address(k: &mut Kernel, a: &Args) -> SysResult {
    k.clear_child_tid = a.raw(0);
    Ok(host::call(&host::GETTID, &mut [])?)
}

/// Size of `struct robust_list_head`.
const ROBUST_HEAD: u64 = 24;

/// `set_robust_list(head, size)`.
pub(crate) fn set_robust_list(k: &mut Kernel, a: &Args) -> SysResult {
    if a.raw(1) != ROBUST_HEAD {
        return Err(Errno::EINVAL.into());
    }
    k.robust_list = a.raw(0);
    Ok(0)
}

/// `get_robust_list(thread, head, size)`.
pub(crate) fn get_robust_list(k: &mut Kernel, a: &Args) -> SysResult {
    let this = host::call(&host::GETTID, &mut [])? as i32;
    if a.int(0) != 0 && a.int(0) != this {
        return Err(if a.int(0) < 0 { Errno::ESRCH } else { Errno::EPERM }.into());
    }
    k.user().put_bytes(a.raw(2), &ROBUST_HEAD.to_le_bytes())?;
    k.user().put_bytes(a.raw(1), &k.robust_list.to_le_bytes())?;
    Ok(0)
}

/// Operations of `prctl` that concern the process and not its address space (`linux/prctl.h`): the number, and the
/// bytes that the first argument points to, none if it is a number.
const PRCTL: &[(i32, Option<u64>)] = &[
    (1, None),      // PR_SET_PDEATHSIG
    (2, Some(4)),   // PR_GET_PDEATHSIG
    (3, None),      // PR_GET_DUMPABLE
    (4, None),      // PR_SET_DUMPABLE
    (7, None),      // PR_GET_KEEPCAPS
    (8, None),      // PR_SET_KEEPCAPS
    (15, Some(16)), // PR_SET_NAME
    (16, Some(16)), // PR_GET_NAME
    (21, None),     // PR_GET_SECCOMP
    (23, None),     // PR_CAPBSET_READ
    (29, None),     // PR_SET_TIMERSLACK
    (30, None),     // PR_GET_TIMERSLACK
    (36, None),     // PR_SET_CHILD_SUBREAPER
    (37, Some(4)),  // PR_GET_CHILD_SUBREAPER
    (38, None),     // PR_SET_NO_NEW_PRIVS
    (39, None),     // PR_GET_NO_NEW_PRIVS
    (42, None),     // PR_GET_THP_DISABLE
];

/// `prctl(operation, ...)`.
pub(crate) fn prctl(k: &mut Kernel, a: &Args) -> SysResult {
    let Some((_, pointee)) = PRCTL.iter().find(|(operation, _)| *operation == a.int(0)) else {
        return Err(Errno::EINVAL.into());
    };
    let rest = |index| Arg::Int(a.raw(index));
    let (call, first) = match pointee {
        None => (&host::PRCTL, Arg::Int(a.raw(1))),
        Some(len) => (&host::PRCTL_PTR, Arg::Guest(k.user().pointer(a.raw(1), *len))),
    };
    Ok(host::call(call, &mut [rest(0), first, rest(2), rest(3), rest(4)])?)
}

/// Limits that the emulator would hit before or after the guest does: `RLIMIT_DATA`, `RLIMIT_STACK`, `RLIMIT_AS`.
const RECORDED_LIMITS: [u32; 3] = [2, 3, 9];

fn limits(k: &mut Kernel, process: i32, resource: u32, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
    let own = process == 0 || process == std::process::id() as i32;
    let recorded = own && RECORDED_LIMITS.contains(&resource);
    if new.is_some_and(|new| new.soft > new.hard) {
        return Err(Errno::EINVAL);
    }
    let mut bytes = new.map(|new| new.encode());
    let passed = match &mut bytes {
        Some(bytes) if !recorded => Arg::Bytes(bytes),
        _ => null(),
    };
    let mut old = vec![0; Rlimit::SIZE];
    let mut args = [Arg::Int(process as u64), Arg::Int(resource.into()), passed, Arg::Bytes(&mut old)];
    host::call(&host::PRLIMIT64, &mut args)?;
    if !recorded {
        return Ok(Rlimit::decode(&old));
    }
    let slot = k.limits.iter().position(|(known, _)| *known == resource);
    let old = slot.map_or_else(|| Rlimit::decode(&old), |slot| k.limits[slot].1);
    if let Some(new) = new {
        // Raising a hard limit takes a privilege, which the host's answer would tell only for its own limits.
        if new.hard > old.hard && host::call(&host::GETEUID, &mut [])? != 0 {
            return Err(Errno::EPERM);
        }
        match slot {
            Some(slot) => k.limits[slot].1 = new,
            None => k.limits.push((resource, new)),
        }
    }
    Ok(old)
}

/// `prlimit64(process, resource, new, old)`.
pub(crate) fn prlimit64(k: &mut Kernel, a: &Args) -> SysResult {
    let new = if a.raw(2) == 0 { None } else { Some(k.user().get(a.raw(2))?) };
    let old = limits(k, a.int(0), a.uint(1), new)?;
    if a.raw(3) != 0 {
        k.user().put(a.raw(3), &old)?;
    }
    Ok(0)
}

/// `getrlimit(resource, limits)`.
pub(crate) fn getrlimit(k: &mut Kernel, a: &Args) -> SysResult {
    let old = limits(k, 0, a.uint(0), None)?;
    k.user().put(a.raw(1), &old)?;
    Ok(0)
}

/// `setrlimit(resource, limits)`.
pub(crate) fn setrlimit(k: &mut Kernel, a: &Args) -> SysResult {
    let new = k.user().get(a.raw(1))?;
    limits(k, 0, a.uint(0), Some(new))?;
    Ok(0)
}

// `linux/sched.h`.
const CSIGNAL: u64 = 0xff;
const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;
const CLONE_SUPPORTED: u64 =
    CSIGNAL | CLONE_VM | CLONE_VFORK | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;

/// `clone(flags, stack, parent_tid, tls, child_tid)`: a new process, never a thread.
///
/// A child that would share its parent's memory gets a copy; a parent that waits for its child to leave that memory
/// (`vfork`) waits.
pub(crate) fn clone(k: &mut Kernel, a: &Args) -> SysResult {
    let flags = a.raw(0);
    let shares = flags & CLONE_VM != 0 && flags & CLONE_VFORK == 0;
    if flags & !CLONE_SUPPORTED != 0 || shares || flags & CSIGNAL != libc::SIGCHLD as u64 {
        return Err(Errno::ENOSYS.into());
    }
    let waiting = if flags & CLONE_VFORK != 0 { Some(EndOfChild::new()?) } else { None };
    let forked = {
        let guard = k.engine.prepare_fork();
        let frozen = k.space.freeze();
        let forked = host::fork();
        drop(frozen);
        match forked {
            Ok(Forked::Child) => guard.child(),
            Ok(Forked::Parent(_)) | Err(_) => guard.parent(),
        }
        forked?
    };
    match forked {
        Forked::Parent(pid) => {
            if flags & CLONE_PARENT_SETTID != 0 {
                // As the kernel: a bad address is no error.
                let _ = k.user().put_bytes(a.raw(2), &pid.to_le_bytes());
            }
            if let Some(waiting) = waiting {
                waiting.wait();
            }
            Ok(pid as u64)
        }
        Forked::Child => {
            let pid = std::process::id();
            if flags & CLONE_PARENT_SETTID != 0 {
                let _ = k.user().put_bytes(a.raw(2), &pid.to_le_bytes());
            }
            if flags & CLONE_CHILD_SETTID != 0 {
                let _ = k.user().put_bytes(a.raw(4), &pid.to_le_bytes());
            }
            // A child of a child that is waited for has nothing to do with that.
            if let Some(end) = k.waited_for.take() {
                close(end);
            }
            k.waited_for = waiting.map(EndOfChild::keep);
            k.clear_child_tid = if flags & CLONE_CHILD_CLEARTID != 0 { a.raw(4) } else { 0 };
            k.robust_list = 0;
            k.child = Some(ChildRegisters {
                stack: Some(a.raw(1)).filter(|stack| *stack != 0),
                thread: (flags & CLONE_SETTLS != 0).then_some(a.raw(3)),
            });
            Ok(0)
        }
    }
}

/// A pipe of which the child holds the only writing end until it ends or runs another program.
struct EndOfChild {
    read: u64,
    write: u64,
}

impl EndOfChild {
    fn new() -> Result<Self, Errno> {
        let mut ends = [0; 8];
        host::call(&host::PIPE2, &mut [Arg::Bytes(&mut ends), Arg::Int(libc::O_CLOEXEC as u64)])?;
        let end = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let (read, write) = (end(&ends[..4]), end(&ends[4..]));
        // Out of the way of the descriptors that the child's program expects to get.
        let high = |fd| {
            let args = &mut [Arg::Int(fd), Arg::Int(libc::F_DUPFD_CLOEXEC as u64), Arg::Int(512)];
            let moved = host::call(&host::FCNTL, args);
            close(fd);
            moved
        };
        let (read, write) = (high(read), high(write));
        match (read, write) {
            (Ok(read), Ok(write)) => Ok(Self { read, write }),
            (Err(errno), Ok(open)) | (Ok(open), Err(errno)) => {
                close(open);
                Err(errno)
            }
            (Err(errno), Err(_)) => Err(errno),
        }
    }

    /// Keeps the writing end in the child.
    fn keep(self) -> u64 {
        close(self.read);
        self.write
    }

    /// Waits in the parent.
    fn wait(self) {
        close(self.write);
        let mut byte = [0];
        while host::call(&host::READ, &mut [Arg::Int(self.read), Arg::Bytes(&mut byte), Arg::Int(1)])
            == Err(Errno::EINTR)
        {}
        close(self.read);
    }
}
