//! Signals: what the guest wants done on them, and how one reaches a guest handler.
//!
//! Queues, default actions and the choice of a thread are the host kernel's: its dispositions and masks mirror the
//! guest's (`host/signal.rs`). Here is what remains: the actions as the guest set them, and the step from an arrived
//! signal to a frame on the guest's stack.

mod frame;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vm_core::{MemFault, Trap, TrapKind};
use vm_engine::Exact;

use crate::errno::Errno;
use crate::host::signal::{self as host, Disposition, SIGNALS, SYNCHRONOUS, SYNCHRONOUS_SET, SigInfo, bit};
use crate::kernel::Stop;
use crate::layout::riscv64::{SigAction, StackT};
use crate::thread::Thread;

pub(crate) const SIG_DFL: u64 = libc::SIG_DFL as u64;
pub(crate) const SIG_IGN: u64 = libc::SIG_IGN as u64;
const SA_ONSTACK: u64 = 0x0800_0000;
const SA_RESTART: u64 = 0x1000_0000;
const SA_NODEFER: u64 = 0x4000_0000;
const SA_RESETHAND: u64 = 0x8000_0000;
const SS_ONSTACK: i32 = 1;
const SS_DISABLE: i32 = 2;
const SS_AUTODISARM: i32 = i32::MIN;
/// Least size of a signal stack (`MINSIGSTKSZ` of riscv64's headers).
const MIN_STACK: u64 = 2048;
/// Signals that cannot be caught or blocked.
const UNBLOCKABLE: u64 = bit(libc::SIGKILL) | bit(libc::SIGSTOP);
/// Signals whose default action is none.
const WITHOUT_EFFECT: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
/// The set of [`WITHOUT_EFFECT`].
pub(crate) const WITHOUT_EFFECT_SET: u64 =
    bit(libc::SIGCHLD) | bit(libc::SIGCONT) | bit(libc::SIGURG) | bit(libc::SIGWINCH);
/// Signals that an instruction raises: a handler of one of them sees the registers as at that instruction.
const BY_INSTRUCTION: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// What a process asked to happen on signals.
#[derive(Debug)]
pub(crate) struct Actions(Mutex<Table>);

/// Those of `signals` that are ignored now. With the first thread the host's C library puts a handler on one.
pub(crate) fn ignored(signals: &[i32]) -> u64 {
    signals.iter().filter(|signal| host::disposition(**signal) == Disposition::Ignore).map(|signal| bit(*signal)).sum()
}

/// The actions.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// An action for each signal; `None` while it is the inherited one.
    actions: [Option<SigAction>; SIGNALS as usize],
    /// Whether a signal that kills is shown first, which takes a handler.
    shows_deaths: bool,
}

impl Actions {
    /// What a process starts with: ignored signals stay ignored, all others take their default action. `ignored` are those
    /// that were before there was any thread.
    pub(crate) fn inherited(ignored: u64, shows_deaths: bool) -> Self {
        let mut table = Table { actions: [None; SIGNALS as usize], shows_deaths };
        for signal in 1..=SIGNALS {
            if ignored & bit(signal) != 0 {
                table.actions[signal as usize - 1] = Some(SigAction { handler: SIG_IGN, ..SigAction::default() });
            }
            if SYNCHRONOUS.contains(&signal) {
                host::set_disposition(signal, Disposition::Default, 0);
            } else if table.shows(signal) && host::disposition(signal) == Disposition::Default {
                host::set_disposition(signal, Disposition::Handle, 0);
            }
        }
        Self(Mutex::new(table))
    }

    /// A copy for a process that does not share this one's.
    pub(crate) fn copy(&self) -> Self {
        Self(Mutex::new(self.table().clone()))
    }

    /// All actions, for as long as nobody else shall change them.
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The action of `signal`, 1 to 64.
    pub(crate) fn get(&self, signal: i32) -> SigAction {
        self.actions[signal as usize - 1].unwrap_or_else(|| match host::disposition(signal) {
            Disposition::Default | Disposition::Handle => SigAction::default(),
            Disposition::Ignore => SigAction { handler: SIG_IGN, ..SigAction::default() },
        })
    }

    /// Sets the action of `signal`, here and on the host.
    pub(crate) fn set(&mut self, signal: i32, mut action: SigAction) {
        action.mask &= !UNBLOCKABLE;
        self.actions[signal as usize - 1] = Some(action);
        let disposition = match action.handler {
            SIG_DFL if self.shows(signal) => Disposition::Handle,
            SIG_DFL => Disposition::Default,
            SIG_IGN => Disposition::Ignore,
            _ => Disposition::Handle,
        };
        host::set_disposition(signal, disposition, action.flags);
    }

    /// Sets the action of `signal` on the host again, after somebody else did.
    pub(crate) fn take_back(&mut self, signal: i32) {
        self.set(signal, self.get(signal));
    }

    /// Whether the default action of `signal` is ours to take, after showing it.
    fn shows(&self, signal: i32) -> bool {
        self.shows_deaths && kills_by_default(signal) && signal != libc::SIGKILL
    }

    /// Those of [`WITHOUT_EFFECT`] that take their default action.
    fn without_effect(&self) -> u64 {
        WITHOUT_EFFECT.iter().filter(|signal| self.get(**signal).handler == SIG_DFL).map(|signal| bit(*signal)).sum()
    }

    /// Gives every handled signal its default action, as `CLONE_CLEAR_SIGHAND` asks.
    pub(crate) fn clear_handlers(&mut self) {
        for signal in 1..=SIGNALS {
            if !matches!(self.get(signal).handler, SIG_DFL | SIG_IGN) {
                self.set(signal, SigAction::default());
            }
        }
    }
}

/// What a thread asked of signals.
#[derive(Clone, Debug)]
pub(crate) struct ThreadSignals {
    /// Blocked signals.
    pub(crate) mask: u64,
    /// The mask of a call that waits under another one (`rt_sigsuspend`, `ppoll`), from the signal that interrupts it to
    /// that signal's delivery.
    pub(crate) waiting_mask: Option<u64>,
    /// The alternate stack.
    pub(crate) stack: StackT,
    /// Signals without effect that the host holds back so that they can be shown; `None` if that is not done. They are no
    /// part of `mask`, and to the guest it is as if each had come and done nothing.
    held: Option<u64>,
}

/// No alternate stack.
const NO_STACK: StackT = StackT { pointer: 0, flags: SS_DISABLE, size: 0 };

impl ThreadSignals {
    /// With this mask and no alternate stack.
    pub(crate) const fn new(mask: u64) -> Self {
        Self { mask, waiting_mask: None, stack: NO_STACK, held: None }
    }

    /// What the host blocks while the guest blocks `mask`.
    fn host_mask(&self, mask: u64) -> u64 {
        mask | self.held.unwrap_or(0)
    }

    /// Signals that the host holds back and the guest does not block.
    pub(crate) fn held_back(&self) -> u64 {
        self.held.unwrap_or(0) & !self.mask
    }

    /// Whether `pointer` is on the alternate stack, and the thread so regarded as using it.
    fn is_on_stack(&self, pointer: u64) -> bool {
        let stack = &self.stack;
        // The kernel's `on_sig_stack`: never while the stack disarms itself.
        stack.flags & SS_AUTODISARM == 0 && pointer > stack.pointer && pointer - stack.pointer <= stack.size
    }

    /// The alternate stack as `sigaltstack` shows it to a thread whose stack pointer is `pointer`.
    pub(crate) fn shown_stack(&self, pointer: u64) -> StackT {
        let state = if self.stack.size == 0 {
            SS_DISABLE
        } else if self.is_on_stack(pointer) {
            SS_ONSTACK
        } else {
            0
        };
        StackT { flags: state | self.stack.flags & SS_AUTODISARM, ..self.stack }
    }

    /// Sets the alternate stack of a thread whose stack pointer is `pointer`.
    ///
    /// # Errors
    /// `EPERM`, `EINVAL` and `ENOMEM` as `sigaltstack(2)`.
    pub(crate) fn set_stack(&mut self, new: StackT, pointer: u64) -> Result<(), Errno> {
        if self.is_on_stack(pointer) {
            return Err(Errno::EPERM);
        }
        let mode = new.flags & !SS_AUTODISARM;
        if !matches!(mode, 0 | SS_ONSTACK | SS_DISABLE) {
            return Err(Errno::EINVAL);
        }
        if mode == SS_DISABLE {
            self.stack = StackT { flags: new.flags, ..NO_STACK };
            return Ok(());
        }
        if new.size < MIN_STACK {
            return Err(Errno::ENOMEM);
        }
        self.stack = new;
        Ok(())
    }
}

/// The default action's effect on a process (`signal(7)`, "Standard signals").
pub(crate) fn kills_by_default(signal: i32) -> bool {
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

/// The record of a signal that an instruction raised.
fn raised(signal: i32, code: i32, addr: u64) -> SigInfo {
    let mut info = [0; 128];
    info[..4].copy_from_slice(&signal.to_le_bytes());
    info[8..12].copy_from_slice(&code.to_le_bytes());
    info[16..24].copy_from_slice(&addr.to_le_bytes());
    info
}

/// Signal, code and address that a kernel reports for a trap at `pc` (`asm-generic/siginfo.h`).
pub(crate) fn report(trap: Trap, pc: u64) -> (i32, i32, u64) {
    match trap {
        Trap::Instruction { kind, addr } => match kind {
            TrapKind::Illegal => (libc::SIGILL, 1, pc),                 // ILL_ILLOPC
            TrapKind::Breakpoint => (libc::SIGTRAP, 1, pc),             // TRAP_BRKPT
            TrapKind::FetchUnmapped => (libc::SIGSEGV, 1, addr.get()),  // SEGV_MAPERR
            TrapKind::FetchForbidden => (libc::SIGSEGV, 2, addr.get()), // SEGV_ACCERR
            TrapKind::Protection => (libc::SIGSEGV, 0x80, 0),           // SI_KERNEL
            TrapKind::MisalignedFetch | TrapKind::MisalignedLoad | TrapKind::MisalignedStore => {
                (libc::SIGBUS, 1, addr.get()) // BUS_ADRALN
            }
            TrapKind::DivideError => (libc::SIGFPE, 1, pc), // FPE_INTDIV
            TrapKind::FloatingPoint => (libc::SIGFPE, 7, pc), // FPE_FLTINV
        },
        Trap::Memory(MemFault::Unmapped { addr, .. }) => (libc::SIGSEGV, 1, addr.get()),
        Trap::Memory(MemFault::Forbidden { addr, .. }) => (libc::SIGSEGV, 2, addr.get()),
        Trap::Memory(MemFault::Unbacked { addr, .. }) => (libc::SIGBUS, 2, addr.get()), // BUS_ADRERR
    }
}

impl Thread {
    /// Blocks `mask` from now on, here and on the host. No signal may have arrived that is not delivered yet, and none
    /// may arrive meanwhile: see [`Thread::try_set_mask`].
    pub(crate) fn set_mask(&mut self, mask: u64) {
        self.note_mask(mask);
        host::set_mask(self.signals.host_mask(self.signals.mask));
    }

    /// Blocks `mask` from now on, unless a signal has arrived: that one is to be delivered first, for the guest does not
    /// expect it any more once the call has returned that blocks it.
    ///
    /// # Errors
    /// [`Errno::NOT_MADE`].
    pub(crate) fn try_set_mask(&mut self, mask: u64) -> Result<(), Errno> {
        if mask & !UNBLOCKABLE == self.signals.mask {
            return Ok(());
        }
        host::try_set_mask(self.signals.host_mask(mask & !UNBLOCKABLE))?;
        self.note_mask(mask);
        Ok(())
    }

    fn note_mask(&mut self, mask: u64) {
        self.signals.mask = mask & !UNBLOCKABLE;
        self.mailbox.set_blocked(self.signals.mask);
        if self.mailbox.sent_set() & !self.signals.mask != 0 {
            self.mailbox.stop();
        }
    }

    /// Delivers every signal that has arrived and is not blocked.
    ///
    /// # Errors
    /// [`Stop::Kill`].
    pub(crate) fn deliver(&mut self) -> Result<(), Stop> {
        while self.mailbox.is_stopped() {
            // What arrives from here on stays with the host until the frames are built. A signal's handler has left
            // everything blocked.
            if !self.mailbox.has_signal() {
                host::set_mask(u64::MAX);
            }
            self.mailbox.take_kick();
            if let Some(info) = self.mailbox.take_signal() {
                self.handle(&info)?;
            }
            let mask = self.signals.waiting_mask.unwrap_or(self.signals.mask);
            if let Some(info) = self.mailbox.take_sent(!mask) {
                self.handle(&info)?;
            }
            self.signals.waiting_mask = None;
            self.set_mask(self.signals.mask);
        }
        Ok(())
    }

    /// Does what the guest asked for on a signal that is not blocked.
    fn handle(&mut self, info: &SigInfo) -> Result<(), Stop> {
        let [a, b, c, d, ..] = *info;
        let signal = i32::from_le_bytes([a, b, c, d]);
        let (action, is_ours) = {
            let table = self.kernel.actions.table();
            (table.get(signal), SYNCHRONOUS.contains(&signal) || table.shows(signal))
        };
        match action.handler {
            SIG_IGN => Ok(()),
            SIG_DFL if is_ours => {
                self.trace_signal(signal, info);
                Err(Stop::Kill(signal))
            }
            // The action was changed after the signal arrived: it arrives again, to take the new one.
            SIG_DFL => {
                host::resend(signal, info).unwrap_or_default();
                Ok(())
            }
            _ => self.call_handler(signal, info, action),
        }
    }

    /// Delivers the signal of a trap. One that has arrived before comes first: then the instruction traps again.
    ///
    /// # Errors
    /// [`Stop::Kill`].
    pub(crate) fn raise(&mut self, signal: i32, code: i32, addr: u64) -> Result<(), Stop> {
        host::set_mask(u64::MAX);
        if self.mailbox.is_stopped() {
            return self.deliver();
        }
        self.force(signal, code, addr)?;
        self.set_mask(self.signals.mask);
        Ok(())
    }

    /// Delivers a signal that nothing holds off: blocked or ignored, it kills.
    fn force(&mut self, signal: i32, code: i32, addr: u64) -> Result<(), Stop> {
        let action = self.kernel.actions.table().get(signal);
        let info = raised(signal, code, addr);
        if matches!(action.handler, SIG_DFL | SIG_IGN) || self.signals.mask & bit(signal) != 0 {
            self.trace_signal(signal, &info);
            return Err(Stop::Kill(signal));
        }
        self.call_handler(signal, &info, action)
    }

    /// Lets the host hold back signals without effect, if calls are traced, so that they can be shown: in a process that has
    /// one thread, since others would have to be told of every change. A file by which the guest reads signals would show
    /// those too that come and do nothing. The host's mask is the caller's to set.
    pub(crate) fn hold_back(&mut self) {
        let may = self.tracer.is_some() && !self.reads_signals.load(Ordering::Relaxed);
        self.signals.held = may.then(|| self.kernel.actions.table().without_effect());
    }

    /// Ends that.
    pub(crate) fn hold_back_no_more(&mut self) {
        if self.signals.held.is_some() {
            self.show_held_back();
            self.signals.held = None;
            // If a signal has arrived, its delivery sets the mask.
            let _ = host::try_set_mask(self.signals.mask);
        }
    }

    /// Shows signals without effect that have come.
    pub(crate) fn show_held_back(&self) {
        // What only a call has blocked that a signal ends is still blocked in that signal's handler.
        let set = self.signals.held_back() & !self.signals.waiting_mask.unwrap_or(0);
        while set != 0
            && let Some(tracer) = &self.tracer
            && let Some((signal, info)) = host::take_pending(set)
        {
            tracer.signal(signal, &info);
        }
    }

    fn trace_signal(&self, signal: i32, info: &SigInfo) {
        self.show_held_back();
        if let Some(tracer) = &self.tracer {
            tracer.signal(signal, info);
        }
    }

    /// Lets the guest go on in its handler of `signal`, with a frame to come back by. The host's mask is the caller's to
    /// set.
    fn call_handler(&mut self, signal: i32, info: &SigInfo, action: SigAction) -> Result<(), Stop> {
        self.trace_signal(signal, info);
        let pointer = crate::abi::stack_pointer(self.vcpu.state());
        let on_stack = self.signals.is_on_stack(pointer);
        let top = if action.flags & SA_ONSTACK != 0 && !on_stack && self.signals.stack.size != 0 {
            self.signals.stack.pointer.wrapping_add(self.signals.stack.size)
        } else {
            pointer
        };
        let shown = StackT { flags: self.signals.shown_stack(pointer).flags, ..self.signals.stack };
        let saved = frame::Saved { mask: self.signals.mask, stack: shown };
        // A frame that would leave the alternate stack is as bad as one that cannot be written.
        let fits = !on_stack || self.signals.is_on_stack(top.wrapping_sub(frame::SIZE));
        let handler = frame::Handler { signal, address: action.handler, restorer: self.kernel.sigreturn };
        let space = std::sync::Arc::clone(&self.kernel.space);
        let pushed = fits && frame::push(self.vcpu.state_mut(), &space, top, info, &saved, handler).is_ok();
        if !pushed {
            if signal == libc::SIGSEGV {
                return Err(Stop::Kill(signal));
            }
            return self.force(libc::SIGSEGV, 0x80, 0); // SI_KERNEL
        }
        if self.signals.stack.flags & SS_AUTODISARM != 0 {
            self.signals.stack = NO_STACK;
        }
        if action.flags & SA_RESETHAND != 0 {
            self.kernel.actions.table().set(signal, SigAction::default());
            self.signals.held = self.signals.held.map(|_| self.kernel.actions.table().without_effect());
        }
        let base = self.signals.waiting_mask.take().unwrap_or(self.signals.mask);
        let own = if action.flags & SA_NODEFER != 0 { 0 } else { bit(signal) };
        self.note_mask(base | action.mask | own);
        Ok(())
    }

    /// Whether a signal has arrived on which calls shall be made again where that is possible.
    pub(crate) fn restarts_calls(&self) -> bool {
        let arrived = self.mailbox.arrived().filter(|signal| (1..=SIGNALS).contains(signal));
        arrived.is_some_and(|signal| self.kernel.actions.table().get(signal).flags & SA_RESTART != 0)
    }

    /// The mask in the frame on the guest's stack; none blocked if there is no frame.
    pub(crate) fn returning_mask(&self) -> u64 {
        frame::read(self.vcpu.state(), &self.kernel.space).map_or(0, |frame| frame.mask)
    }

    /// Takes the registers and the mask back from the frame on the guest's stack.
    ///
    /// # Errors
    /// [`Stop::Kill`] if the frame cannot be read and the guest does not handle SIGSEGV; [`Errno::NOT_MADE`].
    pub(crate) fn return_from_handler(&mut self) -> Result<(), Stop> {
        let frame = match frame::read(self.vcpu.state(), &self.kernel.space) {
            Ok(frame) => frame,
            Err(_) => return self.raise(libc::SIGSEGV, 0x80, 0), // SI_KERNEL
        };
        self.try_set_mask(frame.mask)?;
        frame::restore(self.vcpu.state_mut(), &frame);
        let pointer = crate::abi::stack_pointer(self.vcpu.state());
        // As the kernel: a stack that is refused is no error here.
        let _ = self.signals.set_stack(frame.stack, pointer);
        Ok(())
    }

    /// Gives the process back a signal that has arrived at this thread, which ends before it could be delivered.
    pub(crate) fn return_signal(&mut self) {
        host::set_mask(u64::MAX);
        if let Some(info) = self.mailbox.take_signal() {
            host::resend_to_process(&info);
        }
    }

    /// Sets the action of `signal`, and how exactly compiled code has to fault for it.
    pub(crate) fn set_action(&mut self, signal: i32, action: SigAction) {
        if BY_INSTRUCTION.contains(&signal) && !matches!(action.handler, SIG_DFL | SIG_IGN) {
            self.kernel.engine.set_exact(Exact::Registers);
        }
        self.show_held_back();
        self.kernel.actions.table().set(signal, action);
        if let Some(before) = self.signals.held {
            let held = self.kernel.actions.table().without_effect();
            self.signals.held = Some(held);
            if held != before {
                // If a signal has arrived, its delivery sets the mask.
                let _ = host::try_set_mask(self.signals.host_mask(self.signals.mask));
            }
        }
    }
}

/// The set without what stays unblocked on the host whatever the guest asks.
pub(crate) const fn host_set(set: u64) -> u64 {
    set & !SYNCHRONOUS_SET
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

    #[test]
    fn alternate_stacks_show_their_state() {
        let mut signals = ThreadSignals::new(0);
        assert_eq!(signals.shown_stack(0x1000).flags, SS_DISABLE);
        let stack = StackT { pointer: 0x10000, flags: 0, size: 0x4000 };
        signals.set_stack(stack, 0x1000).unwrap();
        assert_eq!(signals.shown_stack(0x1000).flags, 0);
        assert_eq!(signals.shown_stack(0x12000).flags, SS_ONSTACK);
        assert_eq!(signals.set_stack(NO_STACK, 0x12000), Err(Errno::EPERM));
        assert_eq!(signals.set_stack(StackT { size: 1, ..stack }, 0), Err(Errno::ENOMEM));
        assert_eq!(signals.set_stack(StackT { flags: 7, ..stack }, 0), Err(Errno::EINVAL));
    }
}
