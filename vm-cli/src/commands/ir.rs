//! `tradux ir`.

use std::io::{self, Write};

use anyhow::Result;
use vm_core::{BlockKey, Mode};
use vm_ir::text::{Names, print};
use vm_ir::{Block, BlockSource, Effort, Mark};

use crate::args::IrArgs;
use crate::code::Code;

/// Prints block after block, each guest instruction above its ops.
pub(crate) fn run(args: &IrArgs) -> Result<()> {
    let code = Code::find(&args.code)?;
    let names = Names { slots: code.pipeline.slots(), helpers: code.pipeline.helpers() };
    let note = |block: &Block, mark: Mark| {
        let pc = block.key.pc.offset(mark.offset.into());
        code.instruction(pc).map_or_else(String::new, |(text, _)| text)
    };
    let mut out = io::stdout().lock();
    let (mut pc, mut left) = (code.start, code.count);
    while left > 0 && !code.ends_at(pc) {
        let key = BlockKey::new(pc, Mode::default());
        let lifted = code.pipeline.lift(key, &code.memory);
        if lifted.bytes.is_empty() {
            break;
        }
        left = left.saturating_sub(lifted.marks.len());
        pc = pc.offset(lifted.bytes.len() as i64);
        if args.opt {
            let block = code.pipeline.translate(key, &code.memory, Effort::Full);
            writeln!(out, "{}", print(&block, names, note))?;
        } else {
            writeln!(out, "{}", print(&lifted, names, note))?;
        }
    }
    Ok(())
}
