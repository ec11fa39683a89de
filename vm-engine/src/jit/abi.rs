//! The convention between regions, and where generated code finds things in the [`Frame`].
//!
//! A region is a function of Cranelift's `Tail` convention: one integer argument, which only the link stub reads (the
//! number of the link that was followed), and the exit code as its result. Where in the frame everything is found from
//! is in the pinned register, or is the first argument for targets that have none.
//!
//! Nobody who goes to a region expects a register to be kept but the frame's and the stack pointer: the trampoline saves
//! what the host's convention preserves, and regions go from one to the other by tail calls. `Tail` preserves four
//! registers of x86-64 all the same, at a store and a load each for every pass through a region that uses them;
//! [`compiled_as`] says how that is left out.

use std::mem::offset_of;

use cranelift_codegen::ir::{AbiParam, Signature, types};
use cranelift_codegen::isa::CallConv;
use target_lexicon::{Architecture, Triple};

use crate::frame::{Frame, FrameBody};

/// Offsets from where the frame register points: [`Frame::ANCHOR`] bytes into the frame.
pub(crate) mod offset {
    use super::{Frame, FrameBody, offset_of};

    macro_rules! body {
        ($($(#[$doc:meta])* $name:ident = $field:ident;)*) => {
            $($(#[$doc])* pub(crate) const $name: i32 = FRAME + (Frame::BODY + offset_of!(FrameBody, $field)) as i32;)*
        };
    }

    /// The frame itself.
    pub(crate) const FRAME: i32 = -(Frame::ANCHOR as i32);
    /// The interrupt word.
    pub(crate) const INTERRUPT: i32 = FRAME + Frame::INTERRUPT as i32;
    /// The guest's registers.
    pub(crate) const STATE: i32 = FRAME + Frame::STATE as i32;
    body! {
        EXIT_VALUE = exit_value;
        EXIT_ADDR = exit_addr;
        ENTRY_SP = entry_sp;
        LINKS = links;
        JUMP_CACHE = jump_cache;
        JUMP_MASK = jump_mask;
        FUNCTIONS = functions;
        MEMORY_BASE = memory_base;
        MEMORY_LIMIT = memory_limit;
        SINK = sink;
        STATUS = status;
        ACCESS_FAILED = access_failed;
        STEPPED_OVER = stepped_over;
        EXECUTED = executed;
        SPILL = spill;
    }
}

/// Where a region finds the [anchor](Frame::ANCHOR) of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameRegister {
    /// In Cranelift's pinned register.
    Pinned,
    /// In the first argument.
    Argument,
}

impl FrameRegister {
    /// What `target` has.
    pub(crate) fn of(target: &Triple) -> Self {
        match target.architecture {
            Architecture::X86_64 | Architecture::Aarch64(_) => Self::Pinned,
            _ => Self::Argument,
        }
    }
}

/// Whether Cranelift's debug assertions are known to be off: it has one against what [`compiled_as`] does.
fn asserts_nothing() -> bool {
    cfg!(not(debug_assertions)) || option_env!("TRADUX_CRANELIFT_ASSERTS_NOTHING") == Some("1")
}

/// The convention that a region is compiled as for `target`, if it is not the one of its signature. `Winch` keeps no
/// register of x86-64, and argument and result are where `Tail` has them; regions leave by tail calls of `Tail` from there,
/// for which Cranelift's emission needs no more than a frame pointer. Its verifier refuses the mixture, and so does an
/// assertion of its debug builds.
pub(crate) fn compiled_as(target: &Triple) -> Option<CallConv> {
    (asserts_nothing() && target.architecture == Architecture::X86_64).then_some(CallConv::Winch)
}

/// The signature of a region.
pub(crate) fn region_signature(frame: FrameRegister) -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    if frame == FrameRegister::Argument {
        signature.params.push(AbiParam::new(types::I64));
    }
    signature.params.push(AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I64));
    signature
}

/// The signature of a function of the runtime that keeps every register: the frame's anchor, or 8 more; what it finds is
/// in the frame's `status` or `sink`, in the second word then.
pub(crate) fn keeping_signature() -> Signature {
    let mut signature = Signature::new(CallConv::PreserveAll);
    signature.params.push(AbiParam::new(types::I64));
    signature
}

/// The signature of a function of the runtime: `args` integers after the frame's address, an integer back.
pub(crate) fn runtime_signature(args: usize) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend(std::iter::repeat_n(AbiParam::new(types::I64), args + 1));
    signature.returns.push(AbiParam::new(types::I64));
    signature
}
