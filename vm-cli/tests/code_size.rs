//! How much host code pieces of guest code are compiled to: `tests/code_size/<guest>.txt`.
//!
//! Every piece becomes one region with all of its blocks, once for each exactness. `UPDATE_GOLDEN=1` rewrites the numbers,
//! and the difference is reviewed as code: growth is a finding, and so is what shrinks by accident. A new piece is a line
//! with a name and guest code, and zeros for the rest.
//!
//! The numbers are those of one host, x86-64. Builds on others need the feature `all-hosts`.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::{env, fs};

use vm_core::{Access, BlockKey, ByteMemory, GuestAddr, GuestArch, Mode};
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_engine::{CompileOptions, Exact, MemoryMode, Quality, RegionPlan, compile_for, has_host};
use vm_ir::{Block, BlockSource, Effort};

const HOST: &str = "x86-64";
/// Where every piece lies.
const START: GuestAddr = GuestAddr::new(0x1_0000);
/// Fewer pieces than this would let too much pass unseen.
const PIECES: usize = 150;

/// Guest code at [`START`].
struct Code(Mutex<Vec<u8>>);

impl ByteMemory for Code {
    fn borrow(&self, addr: GuestAddr, _: Access, use_bytes: &mut dyn FnMut(&mut [u8])) {
        let start = addr.get().wrapping_sub(START.get()) as usize;
        use_bytes(self.0.lock().unwrap().get_mut(start..).unwrap_or_default());
    }
}

/// One line of a table.
struct Piece<'a> {
    line: usize,
    name: &'a str,
    digits: &'a str,
}

impl<'a> Piece<'a> {
    fn parse(line: usize, text: &'a str) -> Self {
        let mut fields = text.split('|').map(str::trim).skip(4);
        let mut field = |what| fields.next().unwrap_or_else(|| panic!("line {line} has no {what}"));
        Self { line, name: field("name"), digits: field("guest code") }
    }

    fn bytes(&self) -> Vec<u8> {
        let digit = |c: u8| (c as char).to_digit(16).unwrap_or_else(|| panic!("line {}: hexadecimal", self.line)) as u8;
        assert!(self.digits.len().is_multiple_of(2) && !self.digits.is_empty(), "line {}: whole bytes", self.line);
        self.digits.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    /// The line as it should be.
    fn measured(&self, pipeline: &TranslationPipeline) -> String {
        let bytes = self.bytes();
        let memory = Code(Mutex::new(bytes.clone()));
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        let mut text = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let key = BlockKey::new(START.offset(at as i64), Mode::default());
            let block = pipeline.translate(key, &memory, Effort::Full);
            assert!(!block.bytes.is_empty(), "{}: nothing to translate at {at}", self.name);
            for mark in &block.marks {
                let pc = key.pc.offset(i64::from(mark.offset));
                let rest = &block.bytes[usize::from(mark.offset)..];
                let shown = pipeline.guest().disassemble(rest, pc.get(), pipeline.extensions());
                text.push(shown.map_or_else(|error| error.to_string(), |(text, _)| text));
            }
            at += block.bytes.len();
            blocks.push(block);
        }
        let size = |faults, quality| {
            let options =
                CompileOptions { faults, memory: MemoryMode::Direct, count: false, quality, may_decline: true };
            let plan = RegionPlan::whole(&blocks, options).expect("blocks of one mode");
            let code = compile_for(HOST, &plan, pipeline.helpers());
            code.unwrap_or_else(|error| panic!("{}: {error}", self.name)).bytes.len()
        };
        let baseline = size(Exact::Pc, Quality::Baseline);
        let (pc, registers) = (size(Exact::Pc, Quality::Optimised), size(Exact::Registers, Quality::Optimised));
        format!(
            "{baseline} | {pc} | {registers} | {} | {} | {} | {}",
            text.len(),
            self.name,
            self.digits,
            text.join("; ")
        )
    }
}

#[test]
fn code_is_as_small_as_it_was() {
    if !has_host(HOST) {
        println!("skipped: no code generator for {HOST} is built in");
        return;
    }
    let pipeline = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/code_size/riscv64.txt");
    let golden = fs::read_to_string(&path).unwrap();
    let (mut fresh, mut wrong, mut names) = (String::new(), Vec::new(), Vec::new());
    for (index, line) in golden.lines().enumerate() {
        let mut now = line.to_owned();
        if !line.starts_with('#') {
            let piece = Piece::parse(index + 1, line);
            assert!(!names.contains(&piece.name), "{} stands twice", piece.name);
            names.push(piece.name);
            now = piece.measured(&pipeline);
        }
        if now != line {
            wrong.push(format!("line {}:\n  wanted {line}\n  got    {now}", index + 1));
        }
        fresh += &now;
        fresh.push('\n');
    }
    assert!(names.len() >= PIECES, "{} pieces", names.len());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, fresh).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 rewrites the file\n{}", wrong.join("\n"));
}
