//! [`Exit`]: why a run came back to its caller.

use crate::Trap;

/// Why a run came back. Closed: a caller handles all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest executed its system-call instruction. The state's program counter is the instruction after it.
    Syscall,
    /// An instruction did not complete. The state's program counter is that instruction, and nothing of it happened.
    Trap(Trap),
    /// Somebody asked the processor to stop. The state is between two instructions.
    Interrupted,
    /// The instruction budget given to the run is used up. The state is between two instructions.
    BudgetSpent,
    /// The engine was told to run compiled code only, and cannot compile the code at the state's program counter.
    Uncompilable,
}
