//! `tradux translate`.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use vm_core::{BlockKey, Mode};
use vm_engine::{CompileOptions, HostCode, RegionPlan, compile_for};
use vm_ir::{Block, BlockSource, Effort};

use crate::args::TranslateArgs;
use crate::code::{Code, hex_text};

/// Bytes of host code in a line.
const BYTES_PER_LINE: usize = 16;

/// Prints host code of block after block, or of all blocks as one region.
pub(crate) fn run(args: &TranslateArgs) -> Result<()> {
    let code = Code::find(&args.code)?;
    let blocks = blocks(&code);
    let plans: Vec<RegionPlan> = if args.region {
        RegionPlan::whole(&blocks, CompileOptions::default()).into_iter().collect()
    } else {
        blocks.into_iter().map(|block| RegionPlan::single(block, CompileOptions::default())).collect()
    };
    let mut out = io::stdout().lock();
    for plan in plans {
        let host = compile_for(args.to.name(), &plan, code.pipeline.helpers())
            .with_context(|| format!("the code at {}", plan.entry.pc))?;
        writeln!(
            out,
            "{} {}: {} blocks, {} instructions, {} bytes for {}",
            if args.region { "region" } else { "block" },
            plan.entry,
            plan.blocks.len(),
            plan.guest_len(),
            host.bytes.len(),
            args.to.name(),
        )?;
        print(&mut out, &code, &host)?;
    }
    Ok(())
}

fn blocks(code: &Code) -> Vec<Arc<Block>> {
    let mut blocks = Vec::new();
    let (mut pc, mut left) = (code.start, code.count);
    while left > 0 && !code.ends_at(pc) {
        let block = code.pipeline.translate(BlockKey::new(pc, Mode::default()), &code.memory, Effort::Full);
        if block.bytes.is_empty() {
            break;
        }
        left = left.saturating_sub(block.guest_len());
        pc = pc.offset(block.bytes.len() as i64);
        blocks.push(block);
    }
    blocks
}

/// Prints host code in lines, each guest instruction above the bytes that come from it.
fn print(out: &mut impl Write, code: &Code, host: &HostCode) -> Result<()> {
    let mut starts = host.pcs.iter().peekable();
    let mut at = 0;
    while at < host.bytes.len() {
        while let Some((_, pc)) = starts.next_if(|(start, _)| *start as usize <= at) {
            let text = code.instruction(*pc).map_or_else(String::new, |(text, _)| text);
            writeln!(out, "    ; {pc}  {text}")?;
        }
        let next = starts.peek().map_or(host.bytes.len(), |(start, _)| *start as usize);
        let end = next.min(at + BYTES_PER_LINE).min(host.bytes.len());
        writeln!(out, "    {at:06x}  {}", hex_text(&host.bytes[at..end]))?;
        at = end;
    }
    Ok(())
}
