//! What is done to descriptors as such. Those of the emulator are not the guest's.

use crate::errno::Errno;
use crate::host;
use crate::kernel::{Args, SysResult};
use crate::thread::Thread;

/// `close(fd)`.
pub(crate) fn close(t: &mut Thread, a: &Args) -> SysResult {
    if t.own_descriptors().any(|own| own == a.int(0)) {
        return Err(Errno::EBADF.into());
    }
    t.pass(&host::CLOSE, a)
}

/// `close_range(first, last, flags)`.
pub(crate) fn close_range(t: &mut Thread, a: &Args) -> SysResult {
    let (mut first, last) = (a.uint(0), a.uint(1));
    if a.uint(2) & libc::CLOSE_RANGE_UNSHARE != 0 {
        t.unfinished.finish_for_good(t);
    }
    let mut own: Vec<u32> =
        t.own_descriptors().map(|own| own as u32).filter(|own| (first..=last).contains(own)).collect();
    if own.is_empty() {
        return t.pass(&host::CLOSE_RANGE, a);
    }
    own.sort_unstable();
    let part = |first: u32, last: u32| {
        let args = Args([first.into(), last.into(), a.raw(2), 0, 0, 0]);
        if first <= last { t.pass(&host::CLOSE_RANGE, &args).map(drop) } else { Ok(()) }
    };
    for own in own {
        if own > first {
            part(first, own - 1)?;
        }
        match own.checked_add(1) {
            Some(next) => first = next,
            None => return Ok(0),
        }
    }
    part(first, last)?;
    Ok(0)
}

/// `pidfd_getfd(process, fd, flags)`.
pub(crate) fn pidfd_getfd(t: &mut Thread, a: &Args) -> SysResult {
    // Files of a process that is no guest are a way out of the root.
    if t.view.is_confined() {
        return Err(Errno::EPERM.into());
    }
    t.pass(&host::PIDFD_GETFD, a)
}

/// `dup3(old, new, flags)`.
pub(crate) fn dup3(t: &mut Thread, a: &Args) -> SysResult {
    if t.own_descriptors().any(|own| own == a.int(0)) {
        return Err(Errno::EBADF.into());
    }
    if t.own_descriptors().any(|own| own == a.int(1)) {
        // One that can be elsewhere makes room; the tracer's cannot.
        if t.view.own_descriptor() != Some(a.int(1)) {
            return Err(Errno::EBADF.into());
        }
        t.view.leave_descriptor(a.int(1))?;
    }
    t.pass(&host::DUP3, a)
}
