//! The loop that runs a thread: what becomes of each [`Exit`].

use vm_core::{Access, Exit, GuestMemory as _, MemFault, Trap, TrapKind};

use crate::abi;
use crate::calls;
use crate::calls::procfs::unfinished;
use crate::errno::Errno;
use crate::kernel::{Args, Stop, SysResult};
use crate::process::{Process, Status};
use crate::signal::report;
use crate::table::{self, Action, Row};
use crate::thread::{End, Thread};

impl Process {
    /// Runs the process until it ends.
    ///
    /// Its first thread runs on the calling thread; a child that it forks never comes back from this call.
    pub fn run(&mut self) -> Status {
        self.main.run_first()
    }

    /// Makes the system call `number` of the guest's list as the guest's first thread would, and returns what it would
    /// find as the result: a negated error number if the call failed.
    ///
    /// # Errors
    /// How the process ended, if the call ends it.
    pub fn system_call(&mut self, number: u64, args: [u64; 6]) -> Result<u64, Status> {
        match self.main.system_call(number, &Args(args)) {
            Ok(value) => Ok(value),
            Err(Stop::Error(errno)) => Ok(errno.as_return()),
            Err(Stop::Resume) => Ok(0),
            Err(Stop::ThreadExit(status) | Stop::Exit(status)) => Err(Status::Exited(status)),
            Err(Stop::Kill(signal)) => Err(Status::Killed(signal)),
        }
    }
}

impl Thread {
    /// Runs the thread until it ends.
    pub(crate) fn run(&mut self) -> End {
        self.set_mask(self.signals.mask);
        loop {
            match self.step() {
                Ok(()) => {}
                Err(Stop::ThreadExit(status)) => return End::Thread(status),
                Err(Stop::Exit(status)) => return End::Process(Status::Exited(status)),
                Err(Stop::Kill(signal)) => return End::Process(Status::Killed(signal)),
                Err(Stop::Error(_) | Stop::Resume) => {}
            }
            if let Some(status) = self.ended() {
                return End::Process(status);
            }
        }
    }

    /// How the process ends, if another thread, or the compiler's refusal, ended it.
    fn ended(&self) -> Option<Status> {
        if self.mailbox.is_stopped() { self.kernel.threads.ending() } else { None }
    }

    /// Delivers signals, runs guest code to its next exit, and answers that.
    fn step(&mut self) -> Result<(), Stop> {
        if self.mailbox.is_stopped() {
            self.deliver()?;
        }
        match self.vcpu.run() {
            Exit::Syscall => {
                let args = Args(abi::arguments(self.vcpu.state()));
                match self.system_call(abi::number(self.vcpu.state()), &args) {
                    Ok(value) => abi::set_result(self.vcpu.state_mut(), value),
                    Err(Stop::Error(Errno::NOT_MADE)) => abi::repeat_system_call(self.vcpu.state_mut()),
                    Err(Stop::Error(errno)) => abi::set_result(self.vcpu.state_mut(), errno.as_return()),
                    Err(stop) => return Err(stop),
                }
            }
            Exit::Trap(trap) => {
                let pc = self.vcpu.state().pc();
                let (signal, code, addr) = report(self.explained(trap), pc.get());
                self.raise(signal, code, addr)?;
            }
            Exit::Interrupted | Exit::BudgetSpent => {}
            Exit::Uncompilable => {
                let status = Status::Uncompilable(self.vcpu.state().pc());
                self.kernel.threads.registry().ending.get_or_insert(status);
                self.mailbox.stop();
            }
        }
        Ok(())
    }

    /// A trap of a fetch tells only whether the address is mapped, which it is where a file ends too early.
    fn explained(&self, trap: Trap) -> Trap {
        if let Trap::Instruction { kind: TrapKind::FetchUnmapped, addr } = trap
            && let Err(fault @ MemFault::Unbacked { .. }) = self.space.probe(addr, Access::Execute)
        {
            return Trap::Memory(fault);
        }
        trap
    }

    /// Makes the system call `number` of the generic list.
    fn system_call(&mut self, number: u64, args: &Args) -> SysResult {
        let row = table::by_generic_number(number);
        let result = if self.tracer.is_some() { self.traced(row, number, args) } else { self.answer(row, args) };
        self.forget_changed_code();
        result
    }

    /// Does what the row of a call says.
    #[inline]
    fn answer(&mut self, row: Option<&'static Row>, args: &Args) -> SysResult {
        match row {
            Some(row) if self.unfinished.any() => unfinished::answer(self, row, args),
            Some(row) => self.make(row, args),
            None => Err(Errno::ENOSYS.into()),
        }
    }

    /// The same where no file of `/proc` is in the way.
    #[inline]
    pub(crate) fn make(&mut self, row: &'static Row, args: &Args) -> SysResult {
        match &row.action {
            Action::Own(handler, _) => handler(self, args),
            Action::Pass(call) => self.pass(call, args),
            Action::Refuse(errno, _) => Err((*errno).into()),
        }
    }

    /// The same, shown in the trace.
    #[cold]
    fn traced(&mut self, row: Option<&'static Row>, number: u64, args: &Args) -> SysResult {
        self.show_held_back();
        let shown = self.shown_arguments(row, args);
        let entered = self.tracer.as_ref().map(|tracer| tracer.enter(row, number, &shown, self.user()));
        let own = row.and_then(|row| row.sends).and_then(|sends| {
            let signal = args.int(sends.signal);
            calls::signal::sent_to_self(self, sends, args).map(|info| (signal, info))
        });
        // Other stop signals than SIGSTOP may be handled, blocked, or do nothing to a group that nobody looks after.
        if let (Some(tracer), Some(entered), Some((signal @ libc::SIGSTOP, info))) = (&self.tracer, &entered, &own) {
            // The call comes back when somebody has let the process go on.
            tracer.leave(entered, row, number, &args.0, Ok(0), self.user());
            tracer.stopped(*signal, info);
            return self.answer(row, args);
        }
        // Nothing can be said after this one; the first process of a namespace does not kill itself.
        if let (Some(tracer), Some(entered), Some((libc::SIGKILL, _)), 2..) = (&self.tracer, &entered, &own, self.pid) {
            tracer.leave(entered, row, number, &shown, Err(Stop::Exit(0)), self.user());
            tracer.end(Status::Killed(libc::SIGKILL));
            return self.answer(row, args);
        }
        let result = self.answer(row, args);
        if let (Some(tracer), Some(mut entered)) = (&self.tracer, entered) {
            entered.note_restart(self.restarts_calls());
            tracer.leave(&entered, row, number, &shown, self.shown_result(result), self.user());
            if let (Err(Stop::Kill(_)), Some((signal, info))) = (result, own) {
                tracer.signal(signal, &info);
            }
        }
        self.show_held_back();
        result
    }

    /// The arguments as the trace has them: a return from a handler is shown with the mask that it goes back to.
    fn shown_arguments(&self, row: Option<&'static Row>, args: &Args) -> [u64; 6] {
        if row.is_some_and(|row| row.name == "rt_sigreturn") { [self.returning_mask(), 0, 0, 0, 0, 0] } else { args.0 }
    }

    /// The result as the trace has it: a return from a handler is shown with what the code finds that goes on.
    fn shown_result(&self, result: SysResult) -> SysResult {
        if result == Err(Stop::Resume) { abi::result(self.vcpu.state()).map_err(Stop::Error) } else { result }
    }
}
