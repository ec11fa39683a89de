//! `tradux disasm`.

use std::io::{self, Write};

use anyhow::Result;

use crate::args::CodeArgs;
use crate::code::{Code, hex_text};

/// Prints a line an instruction: address, bytes, text.
pub(crate) fn run(args: &CodeArgs) -> Result<()> {
    let code = Code::find(args)?;
    let mut out = io::stdout().lock();
    let mut pc = code.start;
    for _ in 0..code.count {
        if code.ends_at(pc) {
            break;
        }
        let Some((text, bytes)) = code.instruction(pc) else { break };
        writeln!(out, "{pc}  {:<8}  {text}", hex_text(bytes))?;
        pc = pc.offset(bytes.len() as i64);
    }
    Ok(())
}
