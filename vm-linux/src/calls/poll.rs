//! Waiting for descriptors.

use crate::errno::Errno;
use crate::host::{self, Arg, HostCall};
use crate::kernel::{Args, SysResult, null};
use crate::layout::{Layout, layout};
use crate::thread::Thread;

use super::signal::{set_at, waiting_under};

layout! {
    /// The last argument of `pselect6`: a signal set and its size.
    SigSetArg {
        set: u64,
        size: u64,
    }
}

/// `ppoll(descriptors, count, timeout, mask, mask_size)`.
pub(crate) fn ppoll(t: &mut Thread, a: &Args) -> SysResult {
    check_timeout(t, a.raw(2))?;
    let set = mask(t, a.raw(3), a.raw(4))?;
    waiting_under(t, set, |t, mut set| {
        let user = t.user();
        let descriptors = user.pointer(a.raw(0), 8 * u64::from(a.uint(1)));
        let timeout = Arg::Guest(user.pointer(a.raw(2), 16));
        let mask = set.as_mut().map_or_else(null, |bytes| Arg::Bytes(bytes));
        let mut args = [Arg::Guest(descriptors), Arg::Int(a.uint(1).into()), timeout, mask, Arg::Int(8)];
        host::wait(&host::PPOLL, &mut args)
    })
}

/// # Errors
/// `EFAULT`, and `EINVAL` for what is no time: kernels look at it before the mask.
pub(super) fn check_timeout(t: &Thread, addr: u64) -> Result<(), Errno> {
    if addr == 0 {
        return Ok(());
    }
    let mut time = [0; 16];
    t.user().fill(addr, &mut time)?;
    let (seconds, nanoseconds) = time.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    if (word(seconds) as i64) < 0 || word(nanoseconds) > 999_999_999 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// The mask that a call is to wait under, if any.
fn mask(t: &Thread, addr: u64, size: u64) -> Result<Option<u64>, Errno> {
    if addr == 0 { Ok(None) } else { set_at(t, addr, size).map(Some) }
}

/// `pselect6(count, read, write, except, timeout, mask)`.
pub(crate) fn pselect6(t: &mut Thread, a: &Args) -> SysResult {
    let mut set = None;
    if a.raw(5) != 0 {
        let arg: SigSetArg = t.user().get(a.raw(5))?;
        check_timeout(t, a.raw(4))?;
        set = mask(t, arg.set, arg.size)?;
    }
    let count = within_table(t, a.int(0));
    waiting_under(t, set, |t, mut set| {
        let user = t.user();
        // The kernel looks at whole words of as many bits as there are descriptors.
        let bytes = u64::from(count as u32).div_ceil(64) * 8;
        let fds = |index| Arg::Guest(user.pointer(a.raw(index), bytes));
        let timeout = Arg::Guest(user.pointer(a.raw(4), 16));
        let mut mask = set.as_mut().map(|bytes| SigSetArg { set: bytes.as_ptr() as u64, size: 8 }.encode());
        let mask = mask.as_mut().map_or_else(null, |bytes| Arg::Bytes(bytes));
        host::wait(&host::PSELECT6, &mut [Arg::Int(count as u64), fds(1), fds(2), fds(3), timeout, mask])
    })
}

/// As many descriptors of `count` as the kernel looks at, which is what its table of them has room for. The host's table can
/// be larger than the guest's would be, and sets need not be as large as `count` says: programs give as many as they may open.
fn within_table(t: &Thread, count: i32) -> i32 {
    /// What sets have room for that C libraries declare (`FD_SETSIZE`): no need to know more.
    const USUAL: i32 = 1024;
    if count <= USUAL {
        return count;
    }
    let Ok(open) = std::fs::read_dir("/proc/thread-self/fd") else { return count };
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let highest = numbers.filter(|fd| t.own_descriptors().all(|own| own != *fd)).max().unwrap_or(0);
    // A word of the sets at least.
    count.min((highest | 63).saturating_add(1).max(USUAL))
}

/// Bytes of the guest's `struct epoll_event`: events, padding, data.
const GUEST_EVENT: usize = 16;
/// The host's: x86-64 alone packs it.
const HOST_EVENT: usize = if cfg!(target_arch = "x86_64") { 12 } else { 16 };

/// `epoll_ctl(epfd, operation, fd, event)`.
pub(crate) fn epoll_ctl(t: &mut Thread, a: &Args) -> SysResult {
    const DELETE: i32 = 2;
    let mut event = Vec::new();
    if a.int(1) != DELETE {
        event = t.user().bytes(a.raw(3), GUEST_EVENT)?;
        event.drain(4..4 + (GUEST_EVENT - HOST_EVENT));
    }
    let event = if event.is_empty() { null() } else { Arg::Bytes(&mut event) };
    Ok(host::call(&host::EPOLL_CTL, &mut [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Int(a.raw(2)), event])?)
}

/// `epoll_pwait(epfd, events, count, timeout, mask, mask_size)`: the timeout is a number of milliseconds.
pub(crate) fn epoll_pwait(t: &mut Thread, a: &Args) -> SysResult {
    wait_for_events(t, a, &host::EPOLL_PWAIT)
}

/// `epoll_pwait2(epfd, events, count, timeout, mask, mask_size)`: the timeout is a `timespec`.
pub(crate) fn epoll_pwait2(t: &mut Thread, a: &Args) -> SysResult {
    wait_for_events(t, a, &host::EPOLL_PWAIT2)
}

fn wait_for_events(t: &mut Thread, a: &Args, call: &HostCall) -> SysResult {
    /// Nothing obliges the kernel to fill the array: a bounded part of it serves as well.
    const MOST: i32 = 4096;
    let has_timespec = call.shapes()[3].is_pointer();
    if has_timespec {
        check_timeout(t, a.raw(3))?;
    }
    let set = mask(t, a.raw(4), a.raw(5))?;
    // What the kernel refuses the host refuses, in its own order of checks: a number of events that is none, or more than
    // EP_MAX_EVENTS of the guest's size, and an array that leaves the address space.
    let count = if a.int(2) > i32::MAX / GUEST_EVENT as i32 { -1 } else { a.int(2).min(MOST) };
    let room = u64::try_from(a.int(2)).unwrap_or(0) * GUEST_EVENT as u64;
    // Events that do not fit stay with the host's kernel, which would forget what it has told.
    let fitting =
        t.user().writable(a.raw(1), u64::try_from(count).unwrap_or(0) * GUEST_EVENT as u64) / GUEST_EVENT as u64;
    let mut events = vec![0; fitting as usize * GUEST_EVENT];
    let found = waiting_under(t, set, |t, mut set| {
        let timeout = match has_timespec {
            true => Arg::Guest(t.user().pointer(a.raw(3), 16)),
            false => Arg::Int(a.raw(3)),
        };
        let mask = set.as_mut().map_or_else(null, |bytes| Arg::Bytes(bytes));
        let array = t.user().range(a.raw(1), room);
        let (array, count) = match fitting {
            _ if array.is_outside() || count <= 0 => (Arg::Guest(array), count as u64),
            // A mistake only if there is an event.
            0 => (null(), 1),
            _ => (Arg::Bytes(&mut events), fitting),
        };
        let mut args = [Arg::Int(a.raw(0)), array, Arg::Int(count), timeout, mask, Arg::Int(8)];
        host::wait(call, &mut args)
    })?;
    let mut out = Vec::with_capacity(found as usize * GUEST_EVENT);
    for event in events.chunks_exact(HOST_EVENT).take(found as usize) {
        out.extend_from_slice(&event[..4]);
        out.resize(out.len() + 4, 0);
        out.extend_from_slice(&event[HOST_EVENT - 8..]);
    }
    t.user().put_bytes(a.raw(1), &out)?;
    Ok(found)
}
