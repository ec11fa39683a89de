//! Golden IR: for each lifter file, what its instructions lift and optimise to.
//!
//! A golden file is a list of blocks; the bytes of each are lifted and optimised again and must print as they stand.
//! `UPDATE_GOLDEN=1` rewrites the files, and the difference is reviewed as code: growth of a block is a finding.
//! A new case is a block with its bytes and any end.
#![cfg(feature = "riscv64")]

mod support;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use support::Bytes;
use vm_core::GuestArch;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_ir::text::{Names, parse_all, print};
use vm_ir::{Block, BlockSource, Effort, Mark};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/riscv64");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(pipeline: &TranslationPipeline) -> Names<'static> {
    Names { slots: pipeline.slots(), helpers: pipeline.helpers() }
}

/// Text of one instruction of a block.
fn instruction(pipeline: &TranslationPipeline, block: &Block, mark: Mark) -> String {
    let pc = block.key.pc.offset(i64::from(mark.offset)).get();
    let bytes = &block.bytes[usize::from(mark.offset)..];
    match pipeline.guest().disassemble(bytes, pc, pipeline.extensions()) {
        Ok((text, _)) => text,
        Err(error) => error.to_string(),
    }
}

/// The blocks of `golden`, translated from their bytes and printed.
fn render(pipeline: &TranslationPipeline, golden: &[Block]) -> String {
    let mut out = String::new();
    for block in golden {
        let memory = Bytes::new(block.key.pc.get(), &block.bytes);
        let block = pipeline.translate(block.key, &memory, Effort::Full);
        let note = |block: &Block, mark: Mark| instruction(pipeline, block, mark);
        out += &format!("{}\n\n", print(&block, names(pipeline), note));
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

#[test]
fn blocks_are_as_golden() {
    let pipeline = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).unwrap();
    let mut wrong = Vec::new();
    for path in files() {
        let golden = fs::read_to_string(&path).unwrap();
        let blocks = parse_all(&golden, names(&pipeline)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let fresh = render(&pipeline, &blocks);
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, fresh).unwrap();
        } else if let Some((at, (want, got))) =
            golden.lines().zip(fresh.lines()).enumerate().find(|(_, (want, got))| want != got)
        {
            wrong.push(format!("{}:{}: wanted `{want}`, got `{got}`", path.display(), at + 1));
        } else if golden != fresh {
            wrong.push(format!("{}: has another length", path.display()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 rewrites the files\n{}", wrong.join("\n"));
}

#[test]
fn every_row_has_a_golden_block() {
    let pipeline = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).unwrap();
    let mut seen = HashSet::new();
    for path in files() {
        for block in parse_all(&fs::read_to_string(&path).unwrap(), names(&pipeline)).unwrap() {
            for mark in &block.marks {
                let text = instruction(&pipeline, &block, *mark);
                seen.insert(text.split(' ').next().unwrap().trim_end_matches(".aqrl").to_owned());
            }
        }
    }
    let rows = pipeline.guest().table().unwrap().rows();
    let unseen: Vec<_> = rows.map(|row| row.name).filter(|name| !seen.contains(*name)).collect();
    assert!(unseen.is_empty(), "rows without a golden block: {unseen:?}");
}
