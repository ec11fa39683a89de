//! Futexes, and the lists of those that survive their owner.

use crate::errno::Errno;
use crate::futex::ROBUST_HEAD;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult};
use crate::layout::{Layout, layout};
use crate::thread::Thread;

use super::poll::check_timeout;

/// `FUTEX_PRIVATE_FLAG` (`linux/futex.h`).
const FUTEX_PRIVATE: u32 = 0x80;

/// `futex(address, operation, value, timeout, address2, value3)`: the host's futexes serve, for guest memory is host
/// memory and threads have the host's numbers.
pub(crate) fn futex(t: &mut Thread, a: &Args) -> SysResult {
    // `linux/futex.h`; bit 7 is FUTEX_PRIVATE_FLAG, bit 8 FUTEX_CLOCK_REALTIME. The fourth argument of these is a number:
    // WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAKE_BITSET, CMP_REQUEUE_PI.
    const COUNTED: [u32; 6] = [1, 3, 4, 5, 10, 12];
    let user = t.user();
    let mut args = [
        Arg::Guest(user.pointer(a.raw(0), 4)),
        Arg::Int(a.raw(1)),
        Arg::Int(a.raw(2)),
        Arg::Int(a.raw(3)),
        Arg::Guest(user.pointer(a.raw(4), 4)),
        Arg::Int(a.raw(5)),
    ];
    if COUNTED.contains(&(a.uint(1) & 0x7f)) {
        return Ok(host::wait(&host::FUTEX_NUMBER, &mut args)?);
    }
    args[3] = Arg::Guest(user.pointer(a.raw(3), 16));
    if !waits_at_word(a) {
        return Ok(host::wait(&host::FUTEX, &mut args)?);
    }
    let Thread { kernel, spin, .. } = t;
    let mut word = [0; 4];
    let value = a.uint(2);
    // What cannot be read is left to the kernel, as what stays is.
    let waits = || kernel.user().fill(a.raw(0), &mut word).is_err() || u32::from_le_bytes(word) == value;
    // A word that has changed is found as by a call that was late.
    let slept = spin.wait(waits, || host::wait(&host::FUTEX, &mut args));
    Ok(slept.unwrap_or(Err(Errno::EAGAIN))?)
}

/// Whether the call waits without limit until its word is no longer the value that it names, or somebody wakes it.
fn waits_at_word(a: &Args) -> bool {
    // WAIT; WAIT_BITSET by either clock, with any bits.
    let is_wait = match a.uint(1) & !FUTEX_PRIVATE {
        0 => true,
        9 | 0x109 => a.uint(5) != 0,
        _ => false,
    };
    is_wait && a.raw(3) == 0 && a.raw(0).is_multiple_of(4)
}

layout! {
    /// `struct futex_waitv`.
    FutexWaitV {
        value: u64,
        addr: u64,
        flags: u32,
        reserved: u32,
    }
}

/// `futex_waitv(waiters, count, flags, timeout, clock)`.
pub(crate) fn futex_waitv(t: &mut Thread, a: &Args) -> SysResult {
    /// `FUTEX_WAITV_MAX`.
    const MOST: u32 = 128;
    let count = a.uint(1);
    if a.uint(2) != 0 || count == 0 || count > MOST || a.raw(0) == 0 {
        return Err(Errno::EINVAL.into());
    }
    if a.raw(3) != 0 {
        if !matches!(a.int(4), libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC) {
            return Err(Errno::EINVAL.into());
        }
        check_timeout(t, a.raw(3))?;
    }
    let user = t.user();
    let mut waiters = host_waiters(t, a.raw(0), count as usize)?;
    let timeout = Arg::Guest(user.pointer(a.raw(3), 16));
    let mut args = [Arg::Bytes(&mut waiters), Arg::Int(count.into()), Arg::Int(a.raw(2)), timeout, Arg::Int(a.raw(4))];
    Ok(host::wait(&host::FUTEX_WAITV, &mut args)?)
}

/// `futex_wake(address, mask, count, flags)`.
pub(crate) fn futex_wake(t: &mut Thread, a: &Args) -> SysResult {
    t.pass(&host::FUTEX2_WAKE, a)
}

/// `futex_wait(address, value, mask, flags, timeout, clock)`.
pub(crate) fn futex_wait(t: &mut Thread, a: &Args) -> SysResult {
    t.pass(&host::FUTEX2_WAIT, a)
}

/// `futex_requeue(waiters, flags, wake_count, requeue_count)`: from the first of two futexes to the second.
pub(crate) fn futex_requeue(t: &mut Thread, a: &Args) -> SysResult {
    if a.uint(1) != 0 || a.raw(0) == 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut waiters = host_waiters(t, a.raw(0), 2)?;
    let mut args = [Arg::Bytes(&mut waiters), Arg::Int(a.raw(1)), Arg::Int(a.raw(2)), Arg::Int(a.raw(3))];
    Ok(host::call(&host::FUTEX2_REQUEUE, &mut args)?)
}

/// The `count` descriptions of futexes at `addr`, as the host's kernel takes them.
fn host_waiters(t: &Thread, addr: u64, count: usize) -> Result<Vec<u8>, Errno> {
    let user = t.user();
    let waiters = user.bytes(addr, count * FutexWaitV::SIZE)?;
    let waiters = waiters.chunks_exact(FutexWaitV::SIZE).flat_map(|bytes| {
        let one = FutexWaitV::decode(bytes);
        FutexWaitV { addr: user.pointer(one.addr, 4).get(), ..one }.encode()
    });
    Ok(waiters.collect())
}

/// `set_robust_list(head, size)`.
///
/// Where guest addresses are host addresses, the host's kernel knows the list too, and follows it if the process is killed.
pub(crate) fn set_robust_list(t: &mut Thread, a: &Args) -> SysResult {
    if a.raw(1) != ROBUST_HEAD {
        return Err(Errno::EINVAL.into());
    }
    t.robust_list = a.raw(0);
    if t.space.view().base == 0 && a.raw(0) < t.space.view().limit {
        host::set_robust_list(a.raw(0), ROBUST_HEAD)?;
    }
    Ok(0)
}

/// `get_robust_list(thread, head, size)`: of other threads, the list that the host's kernel knows.
pub(crate) fn get_robust_list(t: &mut Thread, a: &Args) -> SysResult {
    let head = match a.int(0) {
        0 => t.robust_list,
        own if own == t.tid => t.robust_list,
        other => {
            let known = host::robust_list_of(other)?;
            let view = t.space.view();
            match known {
                _ if view.base != 0 => return Err(Errno::EPERM.into()),
                // The emulator's, of a thread for which the guest has set none.
                _ if known >= view.limit => 0,
                _ => known,
            }
        }
    };
    t.user().put_bytes(a.raw(2), &ROBUST_HEAD.to_le_bytes())?;
    t.user().put_bytes(a.raw(1), &head.to_le_bytes())?;
    Ok(0)
}
