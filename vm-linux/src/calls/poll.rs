//! Waiting: for descriptors, and on futexes.

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, Kernel, SysResult, null};
use crate::layout::{Layout, layout};

layout! {
    /// The last argument of `pselect6`: a signal set and its size.
    SigSetArg {
        set: u64,
        size: u64,
    }
}

/// `pselect6(count, read, write, except, timeout, mask)`.
pub(crate) fn pselect6(k: &mut Kernel, a: &Args) -> SysResult {
    let user = k.user();
    let mut mask = None;
    if a.raw(5) != 0 {
        let arg: SigSetArg = user.get(a.raw(5))?;
        mask = Some(SigSetArg { set: user.pointer(arg.set, 8).get(), ..arg }.encode());
    }
    // The kernel looks at whole words of as many bits as there are descriptors.
    let bytes = u64::from(a.uint(0)).div_ceil(64) * 8;
    let set = |index| Arg::Guest(user.pointer(a.raw(index), bytes));
    let timeout = Arg::Guest(user.pointer(a.raw(4), 16));
    let mask = mask.as_mut().map_or_else(null, |bytes| Arg::Bytes(bytes));
    Ok(host::call(&host::PSELECT6, &mut [Arg::Int(a.raw(0)), set(1), set(2), set(3), timeout, mask])?)
}

/// Bytes of the guest's `struct epoll_event`: events, padding, data.
const GUEST_EVENT: usize = 16;
/// The host's: x86-64 alone packs it.
const HOST_EVENT: usize = if cfg!(target_arch = "x86_64") { 12 } else { 16 };

/// `epoll_ctl(epfd, operation, fd, event)`.
pub(crate) fn epoll_ctl(k: &mut Kernel, a: &Args) -> SysResult {
    const DELETE: i32 = 2;
    let mut event = Vec::new();
    if a.int(1) != DELETE {
        event = k.user().bytes(a.raw(3), GUEST_EVENT)?;
        event.drain(4..4 + (GUEST_EVENT - HOST_EVENT));
    }
    let event = if event.is_empty() { null() } else { Arg::Bytes(&mut event) };
    Ok(host::call(&host::EPOLL_CTL, &mut [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Int(a.raw(2)), event])?)
}

/// `epoll_pwait(epfd, events, count, timeout, mask, mask_size)`.
pub(crate) fn epoll_pwait(k: &mut Kernel, a: &Args) -> SysResult {
    let count = a.int(2);
    // As the kernel: EP_MAX_EVENTS keeps the array below 2 GiB.
    if count <= 0 || count > i32::MAX / GUEST_EVENT as i32 {
        return Err(Errno::EINVAL.into());
    }
    // Nothing obliges the kernel to fill the array: a bounded part of it serves as well.
    let count = count.min(4096);
    let mut events = vec![0; count as usize * 16];
    let mask = Arg::Guest(k.user().pointer(a.raw(4), 8));
    let mut args = [
        Arg::Int(a.raw(0)),
        Arg::Bytes(&mut events),
        Arg::Int(count as u64),
        Arg::Int(a.raw(3)),
        mask,
        Arg::Int(a.raw(5)),
    ];
    let found = host::call(&host::EPOLL_PWAIT, &mut args)?;
    let mut out = Vec::with_capacity(found as usize * GUEST_EVENT);
    for event in events.chunks_exact(HOST_EVENT).take(found as usize) {
        out.extend_from_slice(&event[..4]);
        out.resize(out.len() + 4, 0);
        out.extend_from_slice(&event[HOST_EVENT - 8..]);
    }
    k.user().put_bytes(a.raw(1), &out)?;
    Ok(found)
}

/// `futex(address, operation, value, timeout, address2, value3)`.
///
/// The host's futexes serve: guest memory is host memory. Operations with priority inheritance store thread numbers
/// that the kernel checks, and stay refused until guests have threads.
pub(crate) fn futex(k: &mut Kernel, a: &Args) -> SysResult {
    // `linux/futex.h`; bit 7 is FUTEX_PRIVATE_FLAG, bit 8 FUTEX_CLOCK_REALTIME.
    const WAIT: u32 = 0;
    const WAKE: u32 = 1;
    const REQUEUE: u32 = 3;
    const CMP_REQUEUE: u32 = 4;
    const WAKE_OP: u32 = 5;
    const WAIT_BITSET: u32 = 9;
    const WAKE_BITSET: u32 = 10;
    let user = k.user();
    let mut args = [
        Arg::Guest(user.pointer(a.raw(0), 4)),
        Arg::Int(a.raw(1)),
        Arg::Int(a.raw(2)),
        Arg::Int(a.raw(3)),
        Arg::Guest(user.pointer(a.raw(4), 4)),
        Arg::Int(a.raw(5)),
    ];
    match a.uint(1) & 0x7f {
        WAIT | WAIT_BITSET => {
            args[3] = Arg::Guest(user.pointer(a.raw(3), 16));
            Ok(host::call(&host::FUTEX, &mut args)?)
        }
        WAKE | WAKE_BITSET | REQUEUE | CMP_REQUEUE | WAKE_OP => Ok(host::call(&host::FUTEX_NUMBER, &mut args)?),
        _ => Err(Errno::ENOSYS.into()),
    }
}
