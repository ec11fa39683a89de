//! [`Thread`]: one thread of a guest process, which is one thread of the host; and [`Threads`], those of a process.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use vm_engine::{Vcpu, fault, threads};

use crate::abi;
use crate::errno::Errno;
use crate::futex;
use crate::handover::InheritedState;
use crate::host::heap::GivePlaceBack;
use crate::host::signal::{self, Mailbox, SYNCHRONOUS, bit};
use crate::host::{self, Arg, process_id, thread_id};
use crate::kernel::Kernel;
use crate::layout::riscv64::SigAction;
use crate::process::Status;
use crate::signal::{SIG_IGN, ThreadSignals};
use crate::spin::SpinWait;

/// Host stack of a guest thread: generated code and the emulator's own functions use it, the guest does not.
const HOST_STACK: usize = 512 << 10;
/// The signal by which the GNU C library changes user and group of all threads: with its first thread it installs a handler
/// of its own in the guest's place (`nptl(7)`).
pub(crate) const SIGSETXID: i32 = 33;
/// How long a process's first thread may take to end it, once another one has asked for that.
const PATIENCE: Duration = Duration::from_secs(2);

/// One thread of a guest process, on the host thread that runs it.
pub(crate) struct Thread {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) vcpu: Vcpu,
    pub(crate) signals: ThreadSignals,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Its number, on the host as in the guest; zero until it runs, but for a process's first thread.
    pub(crate) tid: i32,
    /// That of its process.
    pub(crate) pid: i32,
    /// Address that is cleared when the thread ends; zero for none. Whoever clears it takes it from here.
    pub(crate) clear_child_tid: Arc<AtomicU64>,
    /// Head of its list of robust futexes; zero for none.
    pub(crate) robust_list: u64,
    /// What it has learnt about its waits on futexes.
    pub(crate) spin: SpinWait,
    /// Whether nothing waits for this host process's status but its parent: it was forked.
    forked: bool,
}

impl Deref for Thread {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

/// How a thread came to stop running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It ends alone, with this status.
    Thread(u8),
    /// Its process ends.
    Process(Status),
}

/// Registers that a new thread or process starts with in place of its parent's; for each `None` means unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChildRegisters {
    /// Stack pointer.
    pub(crate) stack: Option<u64>,
    /// Thread pointer.
    pub(crate) thread: Option<u64>,
}

/// What the guest's memory is told of a new thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChildNumbers {
    /// Addresses that its number is written to.
    pub(crate) set_tid: [Option<u64>; 2],
    /// Address that is cleared when it ends; zero for none.
    pub(crate) clear_tid: u64,
}

impl ChildNumbers {
    /// Writes the number of the calling thread. As the kernel: a bad address is no error.
    pub(crate) fn announce(&self, kernel: &Kernel) {
        for addr in self.set_tid.into_iter().flatten() {
            let _ = kernel.user().put_bytes(addr, &thread_id().to_le_bytes());
        }
    }
}

impl Thread {
    /// The first thread of a process. Runs with the mask of the host thread that calls [`Thread::run`].
    pub(crate) fn first(kernel: Arc<Kernel>, vcpu: Vcpu) -> Self {
        let thread = Self::new(kernel, vcpu, ThreadSignals::new(signal::mask()));
        Self { pid: process_id(), tid: thread_id(), ..thread }
    }

    /// Takes over what the program before this one left of signals and limits.
    pub(crate) fn inherit(&mut self, inherited: &InheritedState) {
        self.kernel.limits().clone_from(&inherited.limits);
        self.signals.mask = inherited.mask;
        let ignore = SigAction { handler: SIG_IGN, ..SigAction::default() };
        for signal in SYNCHRONOUS.into_iter().filter(|signal| inherited.ignored & bit(*signal) != 0) {
            self.kernel.actions.table().set(signal, ignore);
        }
    }

    fn new(kernel: Arc<Kernel>, vcpu: Vcpu, signals: ThreadSignals) -> Self {
        Self {
            mailbox: Arc::new(Mailbox::new(vcpu.interrupt_handle())),
            kernel,
            vcpu,
            signals,
            tid: 0,
            pid: 0,
            clear_child_tid: Arc::default(),
            robust_list: 0,
            spin: SpinWait::default(),
            forked: false,
        }
    }

    /// A thread of `kernel` with a copy of this one's registers but for `registers`, that finds 0 as the result of its
    /// system call.
    pub(crate) fn child(&self, kernel: Arc<Kernel>, registers: ChildRegisters) -> Self {
        let mut vcpu = self.engine.vcpu();
        vcpu.state_mut().clone_from(self.vcpu.state());
        abi::set_result(vcpu.state_mut(), 0);
        abi::set_child(vcpu.state_mut(), registers);
        // A thread starts without an alternate stack; whoever copies a process says otherwise.
        Self::new(kernel, vcpu, ThreadSignals::new(self.signals.mask))
    }

    /// Lets `child` run on a host thread of its own, which shares with the process all but what the flags `own` of `unshare`
    /// say. Returns its number.
    ///
    /// # Errors
    /// `EAGAIN` if the host has no room for a thread, and what `unshare` gives.
    pub(crate) fn spawn(&mut self, mut child: Self, numbers: ChildNumbers, own: u64) -> Result<i32, Errno> {
        self.hold_back_no_more();
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        // The new thread begins with this one's mask: nothing may arrive before it can be received.
        let mask = signal::set_mask(u64::MAX);
        let spawned = threads::spawn(thread::Builder::new().stack_size(HOST_STACK), move || {
            let _place = GivePlaceBack;
            if own != 0
                && let Err(errno) = host::call(&host::UNSHARE, &mut [Arg::Int(own)])
            {
                let _ = send.send(Err(errno));
                return;
            }
            child.clear_child_tid.store(numbers.clear_tid, Ordering::Relaxed);
            child.settle();
            numbers.announce(&child.kernel);
            if let Some(tracer) = &child.tracer {
                tracer.share();
            }
            // The parent waits for nothing else.
            let _ = send.send(Ok(child.tid));
            let end = child.run();
            child.finish(end);
        });
        let number = spawned.ok().and_then(|()| receive.recv().ok()).unwrap_or(Err(Errno::EAGAIN));
        self.kernel.actions.table().take_back(SIGSETXID);
        signal::set_mask(mask);
        number
    }

    /// Makes the calling host thread the one that runs this thread.
    fn settle(&mut self) {
        self.tid = thread_id();
        self.pid = process_id();
        self.kernel.threads.registry().live.insert(self.tid, Arc::clone(&self.mailbox));
        signal::receive(Some(&self.mailbox));
        // Without an alternate stack only a fault on an exhausted host stack would go unhandled.
        let _ = fault::prepare_thread();
    }

    /// Runs the process's first thread until the process ends.
    pub(crate) fn run_first(&mut self) -> Status {
        self.settle();
        self.hold_back();
        let end = self.run();
        if self.forked {
            self.end_forked(end);
        }
        let status = match end {
            End::Process(status) => {
                self.kernel.threads.end(status);
                status
            }
            End::Thread(status) => {
                self.release();
                self.kernel.threads.wait_for_last(status)
            }
        };
        signal::receive(None);
        self.kernel.threads.acknowledge();
        if let Some(tracer) = &self.tracer {
            tracer.end(status);
        }
        status
    }

    /// Ends a thread that is not the process's first.
    fn finish(&mut self, end: End) {
        if self.forked {
            self.end_forked(end);
        }
        match end {
            End::Thread(status) => {
                self.release();
                if let Some(tracer) = &self.tracer {
                    tracer.end(Status::Exited(status));
                }
            }
            End::Process(status) => {
                self.kernel.threads.end(status);
                if !self.kernel.threads.is_acknowledged_within(PATIENCE) {
                    end_process(status);
                }
            }
        }
        signal::receive(None);
    }

    /// Ends a process that nobody in this host process waits for.
    fn end_forked(&mut self, end: End) -> ! {
        let status = match end {
            End::Process(status) => status,
            End::Thread(status) => {
                self.release();
                self.kernel.threads.wait_for_last(status)
            }
        };
        if let Some(tracer) = &self.tracer {
            tracer.end(status);
        }
        end_process(status)
    }

    /// Does what a kernel does for a thread that ends: futexes that it owns, the word that others wait on.
    fn release(&mut self) {
        // No signal that is meant for the process may choose this thread any more.
        self.return_signal();
        futex::release_robust(&self.kernel, self.tid, self.robust_list);
        if self.kernel.space.view().base == 0 {
            let _ = host::set_robust_list(0, futex::ROBUST_HEAD);
        }
        clear_tid(&self.kernel, &self.clear_child_tid);
        self.kernel.threads.leave(self.tid);
    }

    /// Makes this thread the only one of a process that has just been forked.
    pub(crate) fn become_only_thread(&mut self) {
        self.forked = true;
        self.pid = process_id();
        self.tid = self.pid;
        // A signal that arrived before is the parent's.
        self.mailbox.clear();
        self.hold_back();
        self.set_mask(self.signals.mask);
        let mut registry = self.kernel.threads.registry();
        registry.live.clear();
        registry.live.insert(self.tid, Arc::clone(&self.mailbox));
        registry.ending = None;
        drop(registry);
        self.robust_list = 0;
    }

    /// Runs this thread as the only one of a process that shares its parent's memory, and ends the process.
    pub(crate) fn run_process(&mut self) -> Infallible {
        self.forked = true;
        self.settle();
        self.hold_back();
        let end = self.run();
        if let End::Process(_) = end {
            // Those who share the memory find the word cleared when they find the process ended.
            clear_tid(&self.kernel, &self.clear_child_tid);
        }
        self.end_forked(end)
    }
}

/// Clears the word that waits for the end of a thread, as a kernel does (`set_tid_address(2)`), and wakes who waits on it.
pub(crate) fn clear_tid(kernel: &Kernel, word: &AtomicU64) {
    let addr = word.swap(0, Ordering::AcqRel);
    if addr != 0 && kernel.user().put_bytes(addr, &[0; 4]).is_ok() {
        futex::wake(kernel, addr, 1);
    }
}

/// Ends this host process as the guest's ended.
fn end_process(status: Status) -> ! {
    match status {
        Status::Exited(status) => host::exit_now(status),
        Status::Killed(signal) => {
            host::die_by(signal);
            host::exit_now(128 + signal as u8)
        }
        Status::Uncompilable(_) => host::exit_now(126),
    }
}

/// The threads of a process.
#[derive(Default)]
pub(crate) struct Threads {
    registry: Mutex<Registry>,
    changed: Condvar,
}

/// What is known of them.
#[derive(Default)]
pub(crate) struct Registry {
    /// Those that run, by number.
    pub(crate) live: BTreeMap<i32, Arc<Mailbox>>,
    /// How the process ends, once one of them has asked for that.
    pub(crate) ending: Option<Status>,
    /// Whether the first thread has seen that.
    acknowledged: bool,
}

impl Threads {
    /// What is known of them, for as long as nobody else shall change it.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the process ends, if it does.
    pub(crate) fn ending(&self) -> Option<Status> {
        self.registry().ending
    }

    /// Ends the process unless that has begun: every other thread comes back to its run loop.
    fn end(&self, status: Status) {
        let mut registry = self.registry();
        if registry.ending.is_none() {
            registry.ending = Some(status);
            let own = thread_id();
            registry.live.iter().filter(|(tid, _)| **tid != own).for_each(|(tid, mailbox)| signal::kick(*tid, mailbox));
        }
        self.changed.notify_all();
    }

    /// Forgets a thread that has ended.
    fn leave(&self, tid: i32) {
        self.registry().live.remove(&tid);
        self.changed.notify_all();
    }

    /// Waits, as the first thread that has ended with `status`, for the end of the process.
    fn wait_for_last(&self, status: u8) -> Status {
        let mut registry = self.registry();
        loop {
            if let Some(status) = registry.ending {
                return status;
            }
            if registry.live.is_empty() {
                return Status::Exited(status);
            }
            registry = self.changed.wait(registry).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that the first thread ends the process.
    fn acknowledge(&self) {
        self.registry().acknowledged = true;
        self.changed.notify_all();
    }

    fn is_acknowledged_within(&self, time: Duration) -> bool {
        let waiting = self.changed.wait_timeout_while(self.registry(), time, |registry| !registry.acknowledged);
        waiting.is_ok_and(|(registry, _)| registry.acknowledged)
    }
}
