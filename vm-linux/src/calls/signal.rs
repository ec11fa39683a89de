//! Signals: dispositions, masks and sending. Handlers are recorded, and not run yet.

use crate::errno::Errno;
use crate::host::{self, Arg, Disposition};
use crate::kernel::{Args, Kernel, Stop, SysResult};
use crate::layout::riscv64::{SigAction, StackT};

/// Number of signals; they count from 1.
const SIGNALS: i32 = 64;
const SIG_IGN: u64 = libc::SIG_IGN as u64;
const SS_DISABLE: i32 = 2;
const SS_AUTODISARM: i32 = i32::MIN;
/// Least size of a signal stack (`MINSIGSTKSZ` of riscv64's headers).
const MIN_STACK: u64 = 2048;

/// What the guest asked to happen on signals.
#[derive(Debug)]
pub(crate) struct Signals {
    /// What it set; `None` while a signal's action is the inherited one.
    actions: [Option<SigAction>; SIGNALS as usize],
    stack: StackT,
}

impl Signals {
    /// What a process starts with: ignored signals stay ignored, all others take their default action.
    pub(crate) fn inherited() -> Self {
        let stack = StackT { flags: SS_DISABLE, ..StackT::default() };
        Self { actions: [None; SIGNALS as usize], stack }
    }

    /// The action of `signal`, 1 to 64.
    fn action(&self, signal: i32) -> SigAction {
        self.actions[signal as usize - 1].unwrap_or_else(|| match host::disposition(signal) {
            Disposition::Default => SigAction::default(),
            Disposition::Ignore => SigAction { handler: SIG_IGN, ..SigAction::default() },
        })
    }

    /// Whether the guest ignores `signal`.
    fn ignores(&self, signal: i32) -> bool {
        self.action(signal).handler == SIG_IGN
    }
}

/// Whether the default action of `signal` is to end the process (`signal(7)`).
fn kills_by_default(signal: i32) -> bool {
    !matches!(
        signal,
        libc::SIGCHLD
            | libc::SIGCONT
            | libc::SIGURG
            | libc::SIGWINCH
            | libc::SIGSTOP
            | libc::SIGTSTP
            | libc::SIGTTIN
            | libc::SIGTTOU
    )
}

/// `rt_sigaction(signal, new, old, set_size)`.
pub(crate) fn rt_sigaction(k: &mut Kernel, a: &Args) -> SysResult {
    if a.raw(3) != 8 {
        return Err(Errno::EINVAL.into());
    }
    let new: Option<SigAction> = if a.raw(1) == 0 { None } else { Some(k.user().get(a.raw(1))?) };
    let signal = a.int(0);
    let fixed = signal == libc::SIGKILL || signal == libc::SIGSTOP;
    if !(1..=SIGNALS).contains(&signal) || fixed && new.is_some() {
        return Err(Errno::EINVAL.into());
    }
    let old = k.signals.action(signal);
    if let Some(mut new) = new {
        new.mask &= !(bit(libc::SIGKILL) | bit(libc::SIGSTOP));
        k.signals.actions[signal as usize - 1] = Some(new);
        let disposition = if new.handler == SIG_IGN { Disposition::Ignore } else { Disposition::Default };
        host::set_disposition(signal, disposition);
    }
    if a.raw(2) != 0 {
        k.user().put(a.raw(2), &old)?;
    }
    Ok(0)
}

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Signals that stay unblocked on the host, where they are how guest faults are recovered.
fn synchronous() -> u64 {
    host::SYNCHRONOUS.iter().fold(0, |set, signal| set | bit(*signal))
}

/// `rt_sigprocmask(how, new, old, set_size)`.
pub(crate) fn rt_sigprocmask(k: &mut Kernel, a: &Args) -> SysResult {
    if a.raw(3) != 8 {
        return Err(Errno::EINVAL.into());
    }
    let mut new = None;
    if a.raw(1) != 0 {
        let set = u64::from_le_bytes(k.user().bytes(a.raw(1), 8)?.try_into().map_err(|_| Errno::EFAULT)?);
        new = Some((set & !synchronous()).to_le_bytes());
    }
    let mut old = [0; 8];
    let new = new.as_mut().map_or_else(crate::kernel::null, |bytes| Arg::Bytes(bytes));
    host::call(&host::RT_SIGPROCMASK, &mut [Arg::Int(a.raw(0)), new, Arg::Bytes(&mut old), Arg::Int(8)])?;
    if a.raw(2) != 0 {
        k.user().put_bytes(a.raw(2), &old)?;
    }
    Ok(0)
}

/// `rt_sigsuspend(set, set_size)`.
pub(crate) fn rt_sigsuspend(k: &mut Kernel, a: &Args) -> SysResult {
    if a.raw(1) != 8 {
        return Err(Errno::EINVAL.into());
    }
    let set = u64::from_le_bytes(k.user().bytes(a.raw(0), 8)?.try_into().map_err(|_| Errno::EFAULT)?);
    let mut set = (set & !synchronous()).to_le_bytes();
    Ok(host::call(&host::RT_SIGSUSPEND, &mut [Arg::Bytes(&mut set), Arg::Int(8)])?)
}

/// `sigaltstack(new, old)`.
pub(crate) fn sigaltstack(k: &mut Kernel, a: &Args) -> SysResult {
    let old = k.signals.stack;
    if a.raw(0) != 0 {
        let new: StackT = k.user().get(a.raw(0))?;
        match new.flags & !SS_AUTODISARM {
            SS_DISABLE => k.signals.stack = StackT { flags: SS_DISABLE, ..StackT::default() },
            0 | 1 if new.size < MIN_STACK => return Err(Errno::ENOMEM.into()),
            0 | 1 => k.signals.stack = StackT { flags: new.flags & SS_AUTODISARM, ..new },
            _ => return Err(Errno::EINVAL.into()),
        }
    }
    if a.raw(1) != 0 {
        k.user().put(a.raw(1), &old)?;
    }
    Ok(0)
}

/// Sends a signal by `send`. One that ends this very process is reported instead, so that the process ends in order.
fn deliver(k: &Kernel, to_self: bool, signal: i32, send: impl FnOnce() -> SysResult) -> SysResult {
    let deadly = to_self
        && (1..=SIGNALS).contains(&signal)
        && signal != libc::SIGKILL
        && kills_by_default(signal)
        && !k.signals.ignores(signal);
    if deadly && !blocked(signal)? {
        return Err(Stop::Kill(signal));
    }
    // A signal that the guest ignores but the engine handles must not reach the engine's handler.
    if to_self && host::SYNCHRONOUS.contains(&signal) && k.signals.ignores(signal) {
        return Ok(0);
    }
    send()
}

/// Whether this thread blocks `signal`.
fn blocked(signal: i32) -> Result<bool, Errno> {
    let mut set = [0; 8];
    let mut args = [Arg::Int(0), crate::kernel::null(), Arg::Bytes(&mut set), Arg::Int(8)];
    host::call(&host::RT_SIGPROCMASK, &mut args)?;
    Ok(u64::from_le_bytes(set) & bit(signal) != 0)
}

/// The number of this process.
fn own_process() -> i32 {
    std::process::id() as i32
}

/// `kill(process, signal)`.
pub(crate) fn kill(k: &mut Kernel, a: &Args) -> SysResult {
    deliver(k, a.int(0) == own_process(), a.int(1), || k.pass(&host::KILL, a))
}

/// `tkill(thread, signal)`.
pub(crate) fn tkill(k: &mut Kernel, a: &Args) -> SysResult {
    let this = host::call(&host::GETTID, &mut [])? as i32;
    deliver(k, a.int(0) == this, a.int(1), || k.pass(&host::TKILL, a))
}

/// `tgkill(process, thread, signal)`.
pub(crate) fn tgkill(k: &mut Kernel, a: &Args) -> SysResult {
    let this = host::call(&host::GETTID, &mut [])? as i32;
    let to_self = a.int(0) == own_process() && a.int(1) == this;
    deliver(k, to_self, a.int(2), || k.pass(&host::TGKILL, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `signal(7)`, "Standard signals".
    #[test]
    fn default_actions() {
        assert!(kills_by_default(libc::SIGTERM) && kills_by_default(libc::SIGPWR) && kills_by_default(40));
        assert!(!kills_by_default(libc::SIGWINCH) && !kills_by_default(libc::SIGTSTP));
    }
}
