//! What a process may ask of itself and may use.

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult, null};
use crate::layout::{Layout, Rlimit};
use crate::thread::Thread;

use super::sched::is_own;

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
    (24, None),     // PR_CAPBSET_DROP
    (27, None),     // PR_GET_SECUREBITS
    (28, None),     // PR_SET_SECUREBITS
    (29, None),     // PR_SET_TIMERSLACK
    (30, None),     // PR_GET_TIMERSLACK
    (36, None),     // PR_SET_CHILD_SUBREAPER
    (37, Some(4)),  // PR_GET_CHILD_SUBREAPER
    (38, None),     // PR_SET_NO_NEW_PRIVS
    (39, None),     // PR_GET_NO_NEW_PRIVS
    (42, None),     // PR_GET_THP_DISABLE
    (47, None),     // PR_CAP_AMBIENT
];

/// `prctl(operation, ...)`.
pub(crate) fn prctl(t: &mut Thread, a: &Args) -> SysResult {
    let Some((_, pointee)) = PRCTL.iter().find(|(operation, _)| *operation == a.int(0)) else {
        return Err(Errno::EINVAL.into());
    };
    let rest = |index| Arg::Int(a.raw(index));
    let (call, first) = match pointee {
        None => (&host::PRCTL, Arg::Int(a.raw(1))),
        Some(len) => (&host::PRCTL_PTR, Arg::Guest(t.user().pointer(a.raw(1), *len))),
    };
    Ok(host::call(call, &mut [rest(0), first, rest(2), rest(3), rest(4)])?)
}

/// Limits that the emulator would hit before or after the guest does: `RLIMIT_DATA`, `RLIMIT_STACK`, `RLIMIT_AS`.
const RECORDED_LIMITS: [u32; 3] = [2, STACK, 9];
/// `RLIMIT_STACK`.
pub(crate) const STACK: u32 = 3;

/// A limit on the host, which becomes `new` if there is one.
pub(super) fn host_limit(process: i32, resource: u32, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
    let mut bytes = new.map(|new| new.encode());
    let passed = bytes.as_mut().map_or_else(null, |bytes| Arg::Bytes(bytes));
    let mut old = vec![0; Rlimit::SIZE];
    let mut args = [Arg::Int(process as u64), Arg::Int(resource.into()), passed, Arg::Bytes(&mut old)];
    host::call(&host::PRLIMIT64, &mut args)?;
    Ok(Rlimit::decode(&old))
}

/// How large a first thread's stack may become, in bytes: as these limits say, or the host's own.
pub(crate) fn stack_limit(limits: &[(u32, Rlimit)]) -> u64 {
    let own = limits.iter().find(|(resource, _)| *resource == STACK).map(|(_, limit)| limit.soft);
    own.or_else(host::stack_limit).unwrap_or(u64::MAX)
}

fn limits(t: &Thread, process: i32, resource: u32, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
    let recorded = RECORDED_LIMITS.contains(&resource) && is_own(t, process);
    let old = host_limit(process, resource, new.filter(|_| !recorded))?;
    if !recorded {
        return Ok(old);
    }
    // Of other limits the host has seen that, after it had looked for the process.
    if new.is_some_and(|new| new.soft > new.hard) {
        return Err(Errno::EINVAL);
    }
    let mut limits = t.limits();
    let slot = limits.iter().position(|(known, _)| *known == resource);
    let old = slot.map_or(old, |slot| limits[slot].1);
    if let Some(new) = new {
        // Raising a hard limit takes a privilege, which the host's answer would tell only for its own limits.
        if new.hard > old.hard && host::call(&host::GETEUID, &mut [])? != 0 {
            return Err(Errno::EPERM);
        }
        match slot {
            Some(slot) => limits[slot].1 = new,
            None => limits.push((resource, new)),
        }
        drop(limits);
        // A fork takes the lock of memory before that of limits.
        if resource == STACK {
            t.space.set_growth_limit(new.soft);
        }
    }
    Ok(old)
}

/// `prlimit64(process, resource, new, old)`.
pub(crate) fn prlimit64(t: &mut Thread, a: &Args) -> SysResult {
    let new = if a.raw(2) == 0 { None } else { Some(t.user().get(a.raw(2))?) };
    let old = limits(t, a.int(0), a.uint(1), new)?;
    if a.raw(3) != 0 {
        t.user().put(a.raw(3), &old)?;
    }
    Ok(0)
}

/// `getrlimit(resource, limits)`.
pub(crate) fn getrlimit(t: &mut Thread, a: &Args) -> SysResult {
    let old = limits(t, 0, a.uint(0), None)?;
    t.user().put(a.raw(1), &old)?;
    Ok(0)
}

/// `setrlimit(resource, limits)`.
pub(crate) fn setrlimit(t: &mut Thread, a: &Args) -> SysResult {
    let new = t.user().get(a.raw(1))?;
    limits(t, 0, a.uint(0), Some(new))?;
    Ok(0)
}
