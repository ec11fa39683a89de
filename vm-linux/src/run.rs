//! The loop that runs a process: what becomes of each [`Exit`].

use vm_core::{Exit, MemFault, Trap, TrapKind};

use crate::abi;
use crate::kernel::Stop;
use crate::process::{Process, Status};

impl Process {
    /// Runs the process until it ends.
    pub fn run(&mut self) -> Status {
        let status = loop {
            match self.vcpu.run() {
                Exit::Syscall => {
                    let (number, args) = abi::system_call(self.vcpu.state());
                    match self.system_call(number, args) {
                        Ok(result) => abi::set_result(self.vcpu.state_mut(), result),
                        Err(status) => break status,
                    }
                }
                Exit::Trap(trap) => {
                    let signal = signal_of(trap);
                    if let Some(tracer) = &self.kernel.tracer {
                        tracer.trap(signal, trap, self.vcpu.state().pc());
                    }
                    break Status::Killed(signal);
                }
                // Nobody interrupts this run on purpose, and no budget was set: there is nothing to do but go on.
                Exit::Interrupted | Exit::BudgetSpent => {}
                Exit::Uncompilable => break Status::Uncompilable(self.vcpu.state().pc()),
            }
        };
        if let Some(tracer) = &self.kernel.tracer {
            tracer.end(status);
        }
        status
    }

    /// Makes the system call `number` of the guest's list as the guest would, and returns what it would find as the
    /// result: a negated error number if the call failed.
    ///
    /// # Errors
    /// How the process ended, if the call ends it.
    pub fn system_call(&mut self, number: u64, args: [u64; 6]) -> Result<u64, Status> {
        let result = match self.kernel.system_call(number, args) {
            Ok(value) => Ok(value),
            Err(Stop::Error(errno)) => Ok(errno.as_return()),
            Err(Stop::Exit(status)) => Err(Status::Exited(status)),
            Err(Stop::Kill(signal)) => Err(Status::Killed(signal)),
        };
        if let Some(child) = self.kernel.child.take() {
            abi::set_child(self.vcpu.state_mut(), child);
        }
        result
    }
}

/// The signal that a kernel sends for a trap.
fn signal_of(trap: Trap) -> i32 {
    match trap {
        Trap::Instruction { kind, .. } => match kind {
            TrapKind::Illegal => libc::SIGILL,
            TrapKind::Breakpoint => libc::SIGTRAP,
            TrapKind::FetchUnmapped | TrapKind::FetchForbidden | TrapKind::Protection => libc::SIGSEGV,
            TrapKind::MisalignedFetch | TrapKind::MisalignedLoad | TrapKind::MisalignedStore => libc::SIGBUS,
            TrapKind::DivideError | TrapKind::FloatingPoint => libc::SIGFPE,
        },
        Trap::Memory(MemFault::Unmapped { .. } | MemFault::Forbidden { .. }) => libc::SIGSEGV,
        Trap::Memory(MemFault::Unbacked { .. }) => libc::SIGBUS,
    }
}
