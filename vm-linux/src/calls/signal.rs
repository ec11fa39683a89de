//! Signals: actions, masks, sending and waiting.

use std::sync::atomic::Ordering;

use super::procfs;
use crate::errno::Errno;
use crate::host::signal::{SIGNALS, SYNCHRONOUS_SET, SigInfo, bit};
use crate::host::{self, Arg};
use crate::kernel::{Args, Stop, SysResult};
use crate::layout::riscv64::{SigAction, StackT};
use crate::signal::{SIG_DFL, WITHOUT_EFFECT_SET, host_set, kills_by_default};
use crate::table::{Recipient, Sends, Sent};
use crate::thread::Thread;

/// A signal set of the guest, whose size in bytes is `size`.
///
/// # Errors
/// `EINVAL` for another size than 8, `EFAULT`.
pub(crate) fn set_at(t: &Thread, addr: u64, size: u64) -> Result<u64, Errno> {
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let mut set = [0; 8];
    t.user().fill(addr, &mut set)?;
    Ok(u64::from_le_bytes(set))
}

/// Makes a call that waits under the mask `set`, if there is one, which `wait` gets as the host is to have it.
pub(crate) fn waiting_under(
    t: &mut Thread,
    set: Option<u64>,
    wait: impl FnOnce(&Thread, Option<[u8; 8]>) -> Result<u64, Errno>,
) -> SysResult {
    if let Some(set) = set {
        t.mailbox.set_blocked(set);
        if t.mailbox.sent_set() & !set != 0 {
            t.signals.waiting_mask = Some(set);
            t.mailbox.stop();
            return Err(Errno::EINTR.into());
        }
    }
    let held_back = t.signals.held_back();
    let result = wait(t, set.map(|set| host_set(set | held_back).to_le_bytes()));
    t.mailbox.set_blocked(t.signals.mask);
    if result == Err(Errno::EINTR) {
        t.signals.waiting_mask = set;
    }
    Ok(result?)
}

/// `rt_sigaction(signal, new, old, set_size)`.
pub(crate) fn rt_sigaction(t: &mut Thread, a: &Args) -> SysResult {
    if a.raw(3) != 8 {
        return Err(Errno::EINVAL.into());
    }
    let new: Option<SigAction> = if a.raw(1) == 0 { None } else { Some(t.user().get(a.raw(1))?) };
    let signal = a.int(0);
    let fixed = signal == libc::SIGKILL || signal == libc::SIGSTOP;
    if !(1..=SIGNALS).contains(&signal) || fixed && new.is_some() {
        return Err(Errno::EINVAL.into());
    }
    let old = t.kernel.actions.table().get(signal);
    if let Some(new) = new {
        t.set_action(signal, new);
    }
    if a.raw(2) != 0 {
        t.user().put(a.raw(2), &old)?;
    }
    Ok(0)
}

/// `rt_sigprocmask(how, new, old, set_size)`.
pub(crate) fn rt_sigprocmask(t: &mut Thread, a: &Args) -> SysResult {
    if a.raw(3) != 8 {
        return Err(Errno::EINVAL.into());
    }
    let old = t.signals.mask;
    if a.raw(1) != 0 {
        let set = set_at(t, a.raw(1), 8)?;
        let mask = match a.int(0) {
            libc::SIG_BLOCK => old | set,
            libc::SIG_UNBLOCK => old & !set,
            libc::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL.into()),
        };
        t.try_set_mask(mask)?;
    }
    if a.raw(2) != 0 {
        t.user().put_bytes(a.raw(2), &old.to_le_bytes())?;
    }
    Ok(0)
}

/// `rt_sigpending(set, set_size)`.
pub(crate) fn rt_sigpending(t: &mut Thread, a: &Args) -> SysResult {
    if a.raw(1) > 8 {
        return Err(Errno::EINVAL.into());
    }
    let mut set = [0; 8];
    host::call(&host::RT_SIGPENDING, &mut [Arg::Bytes(&mut set), Arg::Int(8)])?;
    let set = u64::from_le_bytes(set) & !t.signals.held_back() | t.mailbox.sent_set() & t.signals.mask;
    t.user().put_bytes(a.raw(0), &set.to_le_bytes()[..a.raw(1) as usize])?;
    Ok(0)
}

/// `rt_sigsuspend(set, set_size)`.
pub(crate) fn rt_sigsuspend(t: &mut Thread, a: &Args) -> SysResult {
    let set = set_at(t, a.raw(0), a.raw(1))?;
    waiting_under(t, Some(set), |_, set| {
        let mut set = set.unwrap_or_default();
        host::wait(&host::RT_SIGSUSPEND, &mut [Arg::Bytes(&mut set), Arg::Int(8)])
    })
}

/// `rt_sigtimedwait(set, info, timeout, set_size)`.
pub(crate) fn rt_sigtimedwait(t: &mut Thread, a: &Args) -> SysResult {
    let set = set_at(t, a.raw(0), a.raw(3))?;
    if let Some(info) = t.mailbox.take_sent(set) {
        return put_record(t, a.raw(1), &info);
    }
    let user = t.user();
    let (info, timeout) = (Arg::Guest(user.pointer(a.raw(1), 128)), Arg::Guest(user.pointer(a.raw(2), 16)));
    // A signal that would come and do nothing is not waited for.
    let mut host_set = host_set(set & !t.signals.held_back()).to_le_bytes();
    let result = host::wait(&host::RT_SIGTIMEDWAIT, &mut [Arg::Bytes(&mut host_set), info, timeout, Arg::Int(8)]);
    // The host does not wait for those that it delivers.
    match result {
        Err(Errno::EINTR) => match t.mailbox.take_sent(set) {
            Some(info) => put_record(t, a.raw(1), &info),
            None => Err(Errno::EINTR.into()),
        },
        other => Ok(other?),
    }
}

/// Gives the number of a signal, and its record at `addr` if that is not null.
fn put_record(t: &Thread, addr: u64, info: &SigInfo) -> SysResult {
    if addr != 0 {
        t.user().put_bytes(addr, info)?;
    }
    Ok(u64::from(info[0]))
}

/// `rt_sigreturn()`.
pub(crate) fn rt_sigreturn(t: &mut Thread, _: &Args) -> SysResult {
    t.return_from_handler()?;
    Err(Stop::Resume)
}

/// `sigaltstack(new, old)`.
pub(crate) fn sigaltstack(t: &mut Thread, a: &Args) -> SysResult {
    let pointer = crate::abi::stack_pointer(t.vcpu.state());
    let old = t.signals.shown_stack(pointer);
    if a.raw(0) != 0 {
        let new: StackT = t.user().get(a.raw(0))?;
        t.signals.set_stack(new, pointer)?;
    }
    if a.raw(1) != 0 {
        t.user().put(a.raw(1), &old)?;
    }
    Ok(0)
}

/// Sends a signal by `send`. One that ends this very process is reported instead, so that the process ends in order.
fn send(t: &Thread, to_self: bool, signal: i32, send: impl FnOnce() -> SysResult) -> SysResult {
    let deadly = to_self
        && (1..=SIGNALS).contains(&signal)
        && signal != libc::SIGKILL
        && kills_by_default(signal)
        && t.signals.mask & bit(signal) == 0
        && t.kernel.actions.table().get(signal).handler == SIG_DFL;
    if deadly { Err(Stop::Kill(signal)) } else { send() }
}

/// The record of the signal that a call sends to the process that makes it; `None` if it goes elsewhere, or if the record
/// that the caller has made cannot be read.
pub(crate) fn sent_to_self(t: &Thread, sends: &Sends, a: &Args) -> Option<SigInfo> {
    let own = match sends.to {
        Recipient::Process(process) => a.int(process) == t.pid,
        Recipient::Processes(process) => match a.int(process) {
            0 => true,
            // Everybody but the sender.
            -1 => false,
            group @ ..-1 => host::call(&host::GETPGID, &mut [Arg::Int(0)]) == Ok(u64::from(group.unsigned_abs())),
            process => process == t.pid,
        },
        Recipient::Thread(thread) => a.int(thread) == t.tid,
        Recipient::ThreadOf(process, thread) => a.int(process) == t.pid && a.int(thread) == t.tid,
    };
    if !own {
        return None;
    }
    let mut info = [0; 128];
    match sends.record {
        Sent::By(code) => {
            let user = host::call(&host::GETUID, &mut []).unwrap_or_default() as i32;
            for (at, value) in [(8, code), (16, t.pid), (20, user)] {
                info[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
        Sent::As(record) => t.user().fill(a.raw(record), &mut info).ok()?,
    }
    info[..4].copy_from_slice(&a.int(sends.signal).to_le_bytes());
    Some(info)
}

/// `kill(process, signal)`.
pub(crate) fn kill(t: &mut Thread, a: &Args) -> SysResult {
    let to_self = a.int(0) == t.pid && t.kernel.threads.registry().live.len() <= 1;
    send(t, to_self, a.int(1), || t.pass(&host::KILL, a))
}

/// Whether `tid` is a thread of this process on the host that the guest has not: one of the emulator's, or one that has
/// ended for the guest and is about to on the host.
fn is_unknown_thread(t: &Thread, tid: i32) -> bool {
    tid > 0 && tid != t.tid && !t.is_guest_thread(tid) && procfs::is_thread(tid)
}

/// What it gives to send `signal` to thread `tid` of this process, if the guest has no such thread that runs.
///
/// The process's first thread is there until the process ends, and no signal does anything to it once it has ended.
fn sent_to_nobody(t: &Thread, tid: i32, signal: i32) -> Option<SysResult> {
    if !is_unknown_thread(t, tid) {
        return None;
    }
    let is_signal = (0..=SIGNALS).contains(&signal);
    Some(match tid == t.pid {
        true if is_signal => Ok(0),
        true => Err(Errno::EINVAL.into()),
        false => Err(Errno::ESRCH.into()),
    })
}

/// `tkill(thread, signal)`.
pub(crate) fn tkill(t: &mut Thread, a: &Args) -> SysResult {
    if let Some(result) = sent_to_nobody(t, a.int(0), a.int(1)) {
        return result;
    }
    send(t, a.int(0) == t.tid, a.int(1), || t.pass(&host::TKILL, a))
}

/// `tgkill(process, thread, signal)`.
pub(crate) fn tgkill(t: &mut Thread, a: &Args) -> SysResult {
    let own = a.int(0) == t.pid;
    if own && let Some(result) = sent_to_nobody(t, a.int(1), a.int(2)) {
        return result;
    }
    let to_self = own && a.int(1) == t.tid;
    send(t, to_self, a.int(2), || t.pass(&host::TGKILL, a))
}

/// `rt_tgsigqueueinfo(process, thread, signal, info)`.
pub(crate) fn rt_tgsigqueueinfo(t: &mut Thread, a: &Args) -> SysResult {
    // The kernel copies the record before it looks for the thread.
    t.user().bytes(a.raw(3), 128)?;
    if a.int(0) == t.pid
        && let Some(result) = sent_to_nobody(t, a.int(1), a.int(2))
    {
        return result;
    }
    t.pass(&host::RT_TGSIGQUEUEINFO, a)
}

/// `signalfd4(fd, set, set_size, flags)`.
pub(crate) fn signalfd4(t: &mut Thread, a: &Args) -> SysResult {
    let set = set_at(t, a.raw(1), a.raw(2))? & !SYNCHRONOUS_SET;
    if set & WITHOUT_EFFECT_SET != 0 {
        t.reads_signals.store(true, Ordering::Relaxed);
        t.hold_back_no_more();
    }
    let mut set = set.to_le_bytes();
    Ok(host::call(&host::SIGNALFD4, &mut [Arg::Int(a.raw(0)), Arg::Bytes(&mut set), Arg::Int(8), Arg::Int(a.raw(3))])?)
}
