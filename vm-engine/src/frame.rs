//! [`Frame`]: the memory that tier 0 and generated code run on, addressed by offset from a pinned register.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vm_core::CpuState;
#[cfg(feature = "jit")]
use vm_core::{Access, GuestAddr, MemFault};

#[cfg(feature = "jit")]
use crate::jit::code::CodePtr;

/// What generated code says when it comes back, in the host's first return register.
/// The frame's `exit_value` and `exit_addr` hold the operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum ExitCode {
    /// The state's pc and mode say where to go on.
    Continue = 0,
    /// A direct exit that is not linked; `exit_value` is the link's number. The state's pc is not written.
    Link = 1,
    /// A system call; pc is the instruction after it.
    Syscall = 2,
    /// A trap; `exit_value` is the [`TrapKind`](vm_core::TrapKind), `exit_addr` the address concerned.
    Trap = 3,
    /// The interrupt word was seen; pc is exact.
    Poll = 4,
    /// Guest code may have changed; pc is the next instruction.
    Flush = 5,
    /// A guest access faulted, as [`FrameBody::note_fault`] says.
    Fault = 6,
    /// An access was stepped over because it faulted. The state is as before it, or before loads that come before it, and
    /// the interpreter is to run into the fault; the flags of that moment are in `stepped_over`.
    Replay = 7,
    /// The region is not for this state, which is as it was: the interpreter is to run the block at pc.
    Declined = 8,
}

#[cfg(feature = "jit")]
impl FrameBody {
    /// Notes why an access of generated code was refused, for [`ExitCode::Fault`]: the address in `exit_addr`, in
    /// `exit_value` the access and above it the kind of fault.
    pub(crate) fn note_fault(&mut self, fault: MemFault) {
        let kind = match fault {
            MemFault::Unmapped { .. } => 0,
            MemFault::Forbidden { .. } => 1,
            MemFault::Unbacked { .. } => 2,
        };
        let write = match fault.access() {
            Access::Read | Access::Execute => 0,
            Access::Write => 1,
        };
        self.exit_addr = fault.addr().get();
        self.exit_value = kind << 1 | write;
    }

    /// Notes that `access` is stepped over, and what flags were raised until then: in the guest's state, and in `status`,
    /// the host's floating-point status.
    pub(crate) fn note_step(&mut self, access: Access, status: u32) {
        let kind = match access {
            Access::Read | Access::Execute => STORE_STEPPED_OVER >> 1,
            Access::Write => STORE_STEPPED_OVER,
        };
        self.stepped_over = self.state.fp_flags() << 40 | kind | u64::from(status);
    }

    /// Gives the state the flags back that it had when the access was stepped over, and gives the host's floating-point
    /// status of that moment.
    pub(crate) fn take_step(&mut self) -> u32 {
        let noted = std::mem::take(&mut self.stepped_over);
        self.state.set_fp_flags(noted >> 40);
        noted as u32
    }

    /// The fault that was noted.
    pub(crate) fn fault(&self) -> MemFault {
        let addr = GuestAddr::new(self.exit_addr);
        let access = if self.exit_value & 1 == 0 { Access::Read } else { Access::Write };
        match self.exit_value >> 1 {
            0 => MemFault::Unmapped { addr, access },
            1 => MemFault::Forbidden { addr, access },
            _ => MemFault::Unbacked { addr, access },
        }
    }
}

/// What only the running thread and generated code touch.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct FrameBody {
    /// Operand of the exit code.
    pub(crate) exit_value: u64,
    /// Address operand of the exit code.
    pub(crate) exit_addr: u64,
    /// Host stack pointer to restore when generated code is left; zero while no generated code runs.
    pub(crate) entry_sp: u64,
    /// Host address of the link table: one 8-byte code address an entry.
    pub(crate) links: u64,
    /// Host address of the current mode's jump cache.
    pub(crate) jump_cache: u64,
    /// Which bits of an address times 8 are the byte offset of its entry there.
    pub(crate) jump_mask: u64,
    /// Host address of the table of functions that generated code calls (helpers, definitions, checked memory).
    pub(crate) functions: u64,
    /// Host address of guest address 0.
    pub(crate) memory_base: u64,
    /// First guest address that is not the guest's.
    pub(crate) memory_limit: u64,
    /// Words that generated code may write results to that nobody else reads.
    pub(crate) sink: [u64; 2],
    /// The host's floating-point status when generated code last read it: for a slot that gets its value later, and for one
    /// that was needed at once. The flags of each go to the word of the sink as far behind its first one.
    pub(crate) status: [u64; 2],
    /// For functions called from generated code: the running vCPU's memory, a
    /// [`RuntimeContext`](crate::jit::RuntimeContext).
    pub(crate) context: u64,
    /// Set by a checked memory access that faulted; the code that called it leaves with `Fault`.
    pub(crate) access_failed: u64,
    /// Guest instructions executed by regions that were compiled to count them.
    pub(crate) executed: u64,
    /// The guest's registers.
    pub(crate) state: CpuState,
    /// Not zero since the fault handler has stepped over an access, as [`FrameBody::note_step`] says. The code of the access
    /// leaves with `Replay`.
    pub(crate) stepped_over: u64,
    /// Where the baseline compiler's code keeps values for which it has no registers.
    pub(crate) spill: [u64; SPILL_WORDS],
}

/// The bit of [`FrameBody::stepped_over`] that says that the access was a store.
#[cfg(feature = "jit")]
pub(crate) const STORE_STEPPED_OVER: u64 = 1 << 33;

/// Words of [`FrameBody::spill`].
pub(crate) const SPILL_WORDS: usize = 64;

/// One vCPU's frame. The interrupt word is written by any thread; the body only by the one that runs the vCPU.
#[repr(C, align(64))]
pub(crate) struct Frame {
    interrupt: AtomicU32,
    body: UnsafeCell<FrameBody>,
}

// SAFETY: the interrupt word is atomic, and `body` gives out a raw pointer that only the thread which runs the vCPU may
// use.
unsafe impl Sync for Frame {}

impl Frame {
    /// Byte offset of the interrupt word.
    pub(crate) const INTERRUPT: usize = std::mem::offset_of!(Self, interrupt);
    /// Byte offset of the body; add `offset_of!(FrameBody, field)`.
    pub(crate) const BODY: usize = std::mem::offset_of!(Self, body);
    /// Byte offset of the state.
    pub(crate) const STATE: usize = Self::BODY + std::mem::offset_of!(FrameBody, state);

    /// What the frame register of generated code holds beyond the frame's address. On x86-64 it is the middle of the
    /// first 32 slots, which are a guest's integer registers: all of them are then in reach of a displacement of one byte.
    #[cfg(feature = "jit")]
    pub(crate) const ANCHOR: usize =
        if cfg!(target_arch = "x86_64") { Self::STATE + CpuState::SLOTS_OFFSET + 16 * 8 } else { 0 };

    /// Somebody wants the run to come back.
    const STOP: u32 = 1;
    /// The engine wants the vCPU to pass its run loop, nothing more.
    const PASS: u32 = 2;

    /// A frame of zeros.
    pub(crate) fn new() -> Self {
        let body = FrameBody {
            exit_value: 0,
            exit_addr: 0,
            entry_sp: 0,
            links: 0,
            jump_cache: 0,
            jump_mask: 0,
            functions: 0,
            memory_base: 0,
            memory_limit: 0,
            sink: [0; 2],
            status: [0; 2],
            context: 0,
            access_failed: 0,
            stepped_over: 0,
            executed: 0,
            state: CpuState::new(),
            spill: [0; SPILL_WORDS],
        };
        Self { interrupt: AtomicU32::new(0), body: UnsafeCell::new(body) }
    }

    /// Asks the vCPU to leave at its next poll and to come back to its caller.
    pub(crate) fn interrupt(&self) {
        self.interrupt.fetch_or(Self::STOP, Ordering::Release);
    }

    /// Asks the vCPU to leave at its next poll and to go on, so that it passes its run loop.
    pub(crate) fn nudge(&self) {
        self.interrupt.fetch_or(Self::PASS, Ordering::Release);
    }

    /// Whether there are pending requests.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed) != 0
    }

    /// Takes pending requests; says whether the run shall come back to its caller.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed) != 0 && self.interrupt.swap(0, Ordering::Acquire) & Self::STOP != 0
    }

    /// The interrupt word, for an interpreter that looks at it between blocks: not zero asks it to come back.
    pub(crate) const fn interrupt_word(&self) -> &AtomicU32 {
        &self.interrupt
    }

    /// The body, for the thread that runs the vCPU.
    pub(crate) fn body(&self) -> *mut FrameBody {
        self.body.get()
    }
}

/// A vCPU's own hold of its frame, and the one road to the frame's body: everybody else sees the interrupt word.
pub(crate) struct OwnFrame(Arc<Frame>);

impl OwnFrame {
    /// A frame of zeros.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Frame::new()))
    }

    /// The frame, to be interrupted by others.
    pub(crate) const fn shared(&self) -> &Arc<Frame> {
        &self.0
    }

    /// The body.
    pub(crate) fn body(&self) -> &FrameBody {
        // SAFETY: the body is written through `&mut self` alone: by `body_mut`, and by generated code in `enter`.
        unsafe { &*self.0.body() }
    }

    /// The body, to be changed.
    pub(crate) fn body_mut(&mut self) -> &mut FrameBody {
        // SAFETY: this is not `Clone`, so `&mut self` excludes every other access to the body.
        unsafe { &mut *self.0.body() }
    }

    /// The guest's registers.
    pub(crate) fn state(&self) -> &CpuState {
        &self.body().state
    }

    /// The guest's registers, to be changed.
    pub(crate) fn state_mut(&mut self) -> &mut CpuState {
        &mut self.body_mut().state
    }

    /// Runs generated code on this frame until it leaves.
    ///
    /// # Safety
    /// As [`jit::enter`](crate::jit::enter): `code` stays mapped for the call, and the addresses in the body are valid
    /// for what the code was compiled to make of them.
    #[cfg(feature = "jit")]
    pub(crate) unsafe fn enter(&mut self, code: CodePtr) -> ExitCode {
        // SAFETY: the caller's contract; `&mut self` makes this thread the body's only user.
        unsafe { crate::jit::enter(&self.0, code) }
    }
}
