//! Fences, the pause hint, environment call and breakpoint.

use vm_core::TrapKind;
use vm_ir::{End, FenceKind};

use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const FENCE: &str = "RV32I, Memory Ordering Instructions";
const SYSTEM: &str = "RV32I, Environment Call and Breakpoints";

pub(super) const ROWS: &[Row] = &[
    row("fence", "mmmm pppp ssss aaaaa 000 ddddd 0001111", "pred, succ", FENCE, fence),
    row("fence.tso", "1000 0011 0011 00000 000 00000 0001111", "", FENCE, fence_tso),
    row("ecall", "000000000000 00000 000 00000 1110011", "", SYSTEM, ecall),
    row("ebreak", "000000000001 00000 000 00000 1110011", "", SYSTEM, ebreak),
];

pub(super) const ZIFENCEI: &[Row] =
    &[row("fence.i", "uuuuuuuuuuuu aaaaa 001 ddddd 0001111", "", "\"Zifencei\" Extension", fence_i)];

pub(super) const ZIHINTPAUSE: &[Row] =
    &[row("pause", "0000 0001 0000 00000 000 00000 0001111", "", "\"Zihintpause\" Extension", pause)];

/// In the predecessor and successor sets: loads and device input.
const READS: u8 = 0b1010;
/// In the predecessor and successor sets: stores and device output.
const WRITES: u8 = 0b0101;

/// `FENCE pred, succ`: device input and output order as loads and stores do. Reserved modes and register fields are
/// ignored, as the manual asks.
fn fence(cx: &mut Lift, f: Fields) -> Flow {
    let reads = |set: u8| set & READS != 0;
    let writes = |set: u8| set & WRITES != 0;
    let (before, after) = (f.p(), f.s());
    let kind = match (reads(before), writes(before), reads(after), writes(after)) {
        (false, false, _, _) | (_, _, false, false) => return Flow::Next,
        (_, true, true, _) => FenceKind::Full,
        (true, false, true, false) => FenceKind::LoadLoad,
        (true, false, _, true) => FenceKind::Acquire,
        (false, true, false, true) => FenceKind::StoreStore,
        (true, true, false, true) => FenceKind::Release,
    };
    cx.ir.fence(kind);
    Flow::Next
}

/// `FENCE.TSO`: everything but earlier stores from later loads.
fn fence_tso(cx: &mut Lift, _: Fields) -> Flow {
    cx.ir.fence(FenceKind::AcquireRelease);
    Flow::Next
}

/// `FENCE.I`: the fields are reserved and ignored.
fn fence_i(cx: &mut Lift, _: Fields) -> Flow {
    Flow::End(End::FlushCode { next: cx.next() })
}

/// `PAUSE`: a hint, which does nothing here.
fn pause(_: &mut Lift, _: Fields) -> Flow {
    Flow::Next
}

/// `ECALL`.
fn ecall(cx: &mut Lift, _: Fields) -> Flow {
    Flow::End(End::Syscall { next: cx.next() })
}

/// `EBREAK`.
pub(super) fn ebreak(cx: &mut Lift, _: Fields) -> Flow {
    Flow::End(cx.trap(TrapKind::Breakpoint))
}
