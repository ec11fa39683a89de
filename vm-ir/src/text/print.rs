//! [`print`]: a block as text.

use std::fmt;

use vm_core::Slot;

use super::Names;
use crate::attr::AttrKind;
use crate::block::{Block, End, Inst, Mark, Target};
use crate::ops::ImmKind;
use crate::types::Type;

/// Bytes of guest code in a line.
const BYTES_PER_LINE: usize = 32;

/// A block as text. `note` gives the comment behind the mark of each guest instruction, an empty one for none.
pub fn print<'a, N>(block: &'a Block, names: Names<'a>, note: N) -> Display<'a, N>
where
    N: Fn(&Block, Mark) -> String,
{
    Display { block, names, note }
}

/// A block as text, without comments.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self, Names::NONE, |_, _| String::new()).fmt(f)
    }
}

/// A block being printed: what [`print()`] returns.
#[derive(Debug)]
pub struct Display<'a, N> {
    block: &'a Block,
    names: Names<'a>,
    note: N,
}

impl<N: Fn(&Block, Mark) -> String> fmt::Display for Display<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = self.block;
        writeln!(f, "block {} {{", block.key)?;
        for line in block.bytes.chunks(BYTES_PER_LINE) {
            write!(f, "    bytes ")?;
            line.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            writeln!(f)?;
        }
        let mut marks = block.marks.iter().peekable();
        for (index, inst) in block.insts.iter().enumerate() {
            while let Some(mark) = marks.next_if(|mark| mark.first as usize <= index) {
                self.mark(f, *mark)?;
            }
            self.inst(f, index, inst)?;
        }
        for mark in marks {
            self.mark(f, *mark)?;
        }
        self.end(f)?;
        write!(f, "}}")
    }
}

impl<N: Fn(&Block, Mark) -> String> Display<'_, N> {
    fn mark(&self, f: &mut fmt::Formatter<'_>, mark: Mark) -> fmt::Result {
        let range = format!("@{}..{}", mark.offset, u32::from(mark.offset) + u32::from(mark.len));
        let note = (self.note)(self.block, mark);
        // A comment ends with its line.
        let note = note.lines().next().unwrap_or_default();
        if note.is_empty() { writeln!(f, "    {range}") } else { writeln!(f, "    {range:<12}; {note}") }
    }

    fn target(&self, target: Target) -> impl fmt::Display {
        target.address(self.block.key.pc)
    }

    fn inst(&self, f: &mut fmt::Formatter<'_>, index: usize, inst: &Inst) -> fmt::Result {
        let info = inst.op.info();
        write!(f, "    ")?;
        if info.result.is_some() {
            write!(f, "%{index} = ")?;
        }
        write!(f, "{}", info.name)?;
        if info.from.len() > 1 {
            write!(f, ".{}", inst.from)?;
        }
        if info.types.len() > 1 {
            write!(f, ".{}", inst.ty)?;
        }
        attribute(f, inst)?;
        let mut operands = inst.operands().iter();
        let mut separator = " ";
        match info.imm {
            ImmKind::None | ImmKind::Lane | ImmKind::PcOffset => {}
            ImmKind::Bits => write!(f, " {}", Constant(inst))?,
            ImmKind::Slot => {
                write!(f, " {}", self.slot(inst))?;
                separator = ", ";
            }
            ImmKind::Displacement => {
                address(f, operands.next(), inst.imm)?;
                separator = ", ";
            }
            ImmKind::Helper => {
                match self.names.helpers.get(inst.imm as usize) {
                    Some(helper) => write!(f, " {}(", helper.name)?,
                    None => write!(f, " #{}(", inst.imm)?,
                }
                separator = "";
            }
        }
        if matches!(info.attr, AttrKind::Rmw | AttrKind::Order) && info.imm == ImmKind::None {
            address(f, operands.next(), 0)?;
            separator = ", ";
        }
        for operand in operands {
            write!(f, "{separator}{operand}")?;
            separator = ", ";
        }
        match info.imm {
            ImmKind::Lane => write!(f, "{separator}{}", inst.imm)?,
            ImmKind::PcOffset => write!(f, "{separator}{}", self.target(Target(inst.imm)))?,
            ImmKind::Helper => write!(f, ")")?,
            ImmKind::None | ImmKind::Bits | ImmKind::Slot | ImmKind::Displacement => {}
        }
        writeln!(f)
    }

    fn slot(&self, inst: &Inst) -> String {
        let named = self.names.slots.iter().find(|info| info.slot.index() as i64 == inst.imm);
        match (named, u16::try_from(inst.imm)) {
            (Some(info), _) => info.name.to_owned(),
            (None, Ok(index)) if usize::from(index) < vm_core::SLOT_COUNT => Slot::new(index).to_string(),
            (None, _) => format!("s{}", inst.imm),
        }
    }

    fn end(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |target| self.target(target);
        write!(f, "    ")?;
        match self.block.end {
            End::Jump { target } => writeln!(f, "jump {}", at(target)),
            End::Branch { cond, taken, fall } => writeln!(f, "branch {cond}, {}, {}", at(taken), at(fall)),
            End::Call { target, ret } => writeln!(f, "call {}, {}", at(target), at(ret)),
            End::Indirect { addr } => writeln!(f, "indirect {addr}"),
            End::IndirectCall { addr, ret } => writeln!(f, "indirect_call {addr}, {}", at(ret)),
            End::Return { addr } => writeln!(f, "return {addr}"),
            End::Syscall { next } => writeln!(f, "syscall {}", at(next)),
            End::Trap { kind, at: pc, addr } => writeln!(f, "trap.{kind} {}, {}", at(pc), at(addr)),
            End::FlushCode { next } => writeln!(f, "flush_code {}", at(next)),
            End::ModeChange { next } => writeln!(f, "mode_change {}", at(next)),
        }
    }
}

fn attribute(f: &mut fmt::Formatter<'_>, inst: &Inst) -> fmt::Result {
    match inst.op.info().attr {
        AttrKind::None => Ok(()),
        AttrKind::Fp => write!(f, ".{}.{}", inst.fp().rounding.name(), inst.fp().nan.name()),
        AttrKind::FpMinMax => write!(f, ".{}.{}", inst.fp().nan.name(), inst.fp().min_max.name()),
        AttrKind::FpToInt => write!(f, ".{}.{}", inst.fp().rounding.name(), inst.fp().overflow.name()),
        AttrKind::FpFromInt => write!(f, ".{}", inst.fp().rounding.name()),
        AttrKind::Signaling => f.write_str(if inst.signaling() { ".signaling" } else { ".quiet" }),
        AttrKind::Order => write!(f, ".{}", inst.order().name()),
        AttrKind::Rmw => write!(f, ".{}.{}", inst.rmw().name(), inst.order().name()),
        AttrKind::Fence => write!(f, ".{}", inst.fence().name()),
        AttrKind::Trap => write!(f, ".{}", inst.trap().name()),
        AttrKind::Vector => write!(f, ".{}", inst.family().name()),
    }
}

fn address(f: &mut fmt::Formatter<'_>, operand: Option<&crate::Value>, displacement: i64) -> fmt::Result {
    let base = operand.copied().unwrap_or(crate::Value::NONE);
    match displacement {
        0 => write!(f, " [{base}]"),
        1.. => write!(f, " [{base} + {displacement}]"),
        ..0 => write!(f, " [{base} - {}]", displacement.unsigned_abs()),
    }
}

/// A constant: small integers as signed numbers, floats and everything else by their bits.
struct Constant<'a>(&'a Inst);

impl fmt::Display for Constant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.imm as u64;
        let signed = self.0.ty.sign_extend(bits);
        let is_int = matches!(self.0.ty, Type::I8 | Type::I16 | Type::I32 | Type::I64);
        if is_int && (-4096..=4096).contains(&signed) { write!(f, "{signed}") } else { write!(f, "{bits:#x}") }
    }
}
