//! "Zicsr": the control and status registers that user mode has: `fflags`, `frm`, `fcsr`, `cycle`, `time`, `instret`.
//! Any other register, and a write to a read-only one, is an illegal instruction.

use vm_ir::{End, Value};

use super::{CLOCK, Registers};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const ZICSR: &str = "\"Zicsr\", CSR Instructions";

pub(super) const ROWS: &[Row] = &[
    row("csrrw", "uuuuuuuuuuuu aaaaa 001 ddddd 1110011", "xd, csr, xa", ZICSR, csrrw),
    row("csrrs", "uuuuuuuuuuuu aaaaa 010 ddddd 1110011", "xd, csr, xa", ZICSR, csrrs),
    row("csrrc", "uuuuuuuuuuuu aaaaa 011 ddddd 1110011", "xd, csr, xa", ZICSR, csrrc),
    row("csrrwi", "uuuuuuuuuuuu aaaaa 101 ddddd 1110011", "xd, csr, a", ZICSR, csrrwi),
    row("csrrsi", "uuuuuuuuuuuu aaaaa 110 ddddd 1110011", "xd, csr, a", ZICSR, csrrsi),
    row("csrrci", "uuuuuuuuuuuu aaaaa 111 ddddd 1110011", "xd, csr, a", ZICSR, csrrci),
];

/// A user-mode register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Csr {
    /// Accrued exceptions.
    Fflags,
    /// Dynamic rounding mode.
    Frm,
    /// Both: `frm` in bits 7 to 5, `fflags` in bits 4 to 0.
    Fcsr,
    /// `cycle`, `time` or `instret`.
    Counter,
}

/// Number and name of each register (chapter "CSR Listing").
const REGISTERS: [(u64, &str, Csr); 6] = [
    (0x001, "fflags", Csr::Fflags),
    (0x002, "frm", Csr::Frm),
    (0x003, "fcsr", Csr::Fcsr),
    (0xc00, "cycle", Csr::Counter),
    (0xc01, "time", Csr::Counter),
    (0xc02, "instret", Csr::Counter),
];

/// Name of register `number`, if user mode has it.
pub(super) fn name(number: u64) -> Option<&'static str> {
    REGISTERS.iter().find(|row| row.0 == number).map(|row| row.1)
}

/// What is written.
#[derive(Clone, Copy, Debug)]
enum Write {
    /// Nothing: a set or clear without a source has no write side effects.
    Nothing,
    /// The source.
    Replace(Value),
    /// The old value with the source's bits set.
    Set(Value),
    /// The old value with the source's bits cleared.
    Clear(Value),
}

/// `CSRRW rd, csr, rs1`.
fn csrrw(cx: &mut Lift, f: Fields) -> Flow {
    let source = cx.x(f.a());
    access(cx, f, Write::Replace(source))
}

/// `CSRRS rd, csr, rs1`: with rs1 = x0, a read.
fn csrrs(cx: &mut Lift, f: Fields) -> Flow {
    let source = cx.x(f.a());
    access(cx, f, if f.a() == 0 { Write::Nothing } else { Write::Set(source) })
}

/// `CSRRC rd, csr, rs1`: with rs1 = x0, a read.
fn csrrc(cx: &mut Lift, f: Fields) -> Flow {
    let source = cx.x(f.a());
    access(cx, f, if f.a() == 0 { Write::Nothing } else { Write::Clear(source) })
}

/// `CSRRWI rd, csr, uimm`.
fn csrrwi(cx: &mut Lift, f: Fields) -> Flow {
    let source = cx.ir.i64(i64::from(f.a()));
    access(cx, f, Write::Replace(source))
}

/// `CSRRSI rd, csr, uimm`: with uimm = 0, a read.
fn csrrsi(cx: &mut Lift, f: Fields) -> Flow {
    let source = cx.ir.i64(i64::from(f.a()));
    access(cx, f, if f.a() == 0 { Write::Nothing } else { Write::Set(source) })
}

/// `CSRRCI rd, csr, uimm`: with uimm = 0, a read.
fn csrrci(cx: &mut Lift, f: Fields) -> Flow {
    let source = cx.ir.i64(i64::from(f.a()));
    access(cx, f, if f.a() == 0 { Write::Nothing } else { Write::Clear(source) })
}

fn access(cx: &mut Lift, f: Fields, write: Write) -> Flow {
    let Some(&(_, _, csr)) = REGISTERS.iter().find(|row| row.0 == f.u()) else { return Flow::Illegal };
    if csr == Csr::Counter && !matches!(write, Write::Nothing) {
        return Flow::Illegal;
    }
    let new = match write {
        Write::Replace(source) => {
            if f.d() != 0 {
                let old = read(cx, csr);
                cx.set_x(f.d(), old);
            }
            source
        }
        Write::Nothing => {
            let old = read(cx, csr);
            cx.set_x(f.d(), old);
            return Flow::Next;
        }
        Write::Set(source) => {
            let old = read(cx, csr);
            cx.set_x(f.d(), old);
            cx.ir.or(old, source)
        }
        Write::Clear(source) => {
            let old = read(cx, csr);
            cx.set_x(f.d(), old);
            let ones = cx.ir.i64(-1);
            let kept = cx.ir.xor(source, ones);
            cx.ir.and(old, kept)
        }
    };
    replace(cx, csr, new)
}

fn read(cx: &mut Lift, csr: Csr) -> Value {
    let frm = i64::from(cx.mode().bits() & 7);
    match csr {
        Csr::Fflags => cx.ir.fp_flags_get(),
        Csr::Frm => cx.ir.i64(frm),
        Csr::Fcsr => {
            let flags = cx.ir.fp_flags_get();
            let frm = cx.ir.i64(frm << 5);
            cx.ir.or(flags, frm)
        }
        Csr::Counter => cx.ir.call(CLOCK, &[]),
    }
}

/// Writes a register that can be written; bits that it does not have are ignored.
fn replace(cx: &mut Lift, csr: Csr, new: Value) -> Flow {
    match csr {
        Csr::Fflags => {
            cx.ir.fp_flags_set(new);
            Flow::Next
        }
        Csr::Frm => set_rounding_mode(cx, new),
        Csr::Fcsr => {
            cx.ir.fp_flags_set(new);
            let five = cx.ir.i64(5);
            let frm = cx.ir.shr_u(new, five);
            set_rounding_mode(cx, frm)
        }
        Csr::Counter => Flow::Illegal,
    }
}

/// The mode word becomes the low three bits of `frm`, reserved modes included: they trap when they are used.
fn set_rounding_mode(cx: &mut Lift, frm: Value) -> Flow {
    let seven = cx.ir.i64(7);
    let mode = cx.ir.and(frm, seven);
    cx.ir.set_mode(mode);
    Flow::End(End::ModeChange { next: cx.next() })
}
