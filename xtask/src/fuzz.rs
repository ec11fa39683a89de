//! `cargo xtask fuzz`: runs the fuzz targets, each for a while, from seeds that the project's own files give.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::tools::answers_all;
use crate::workspace::{Workspace, cargo};

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to fuzz; everything if nothing is named
    targets: Vec<Target>,
    /// Seconds for each target
    #[arg(long, default_value_t = 120)]
    seconds: u64,
}

/// A file in `fuzz/fuzz_targets`.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Target {
    Decode,
    Elf,
    IrText,
    Syscalls,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Elf => "elf",
            Self::IrText => "ir_text",
            Self::Syscalls => "syscalls",
        }
    }

    /// Inputs that the target gets far with.
    fn seeds(self, root: &Path) -> Result<Vec<Vec<u8>>> {
        match self {
            Self::Elf => files(&root.join("guests/bin/riscv64"))?.iter().map(|path| Ok(fs::read(path)?)).collect(),
            Self::IrText => Ok(blocks(root)?.into_iter().map(String::into_bytes).collect()),
            Self::Decode => blocks(root)?.iter().filter_map(|block| code(block)).collect(),
            // Any bytes are calls; what programs are made of is as good as any.
            Self::Syscalls => {
                let programs = files(&root.join("guests/bin/riscv64"))?;
                let bytes: Vec<Vec<u8>> = programs.iter().map(fs::read).collect::<Result<_, _>>()?;
                Ok(bytes.iter().flat_map(|bytes| bytes.chunks(2048)).map(<[u8]>::to_vec).collect())
            }
        }
    }
}

/// Runs the targets one after the other. False if one of them found something.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    if !answers_all("cargo", &["fuzz", "--version"]) {
        bail!("cargo-fuzz is not installed (cargo install cargo-fuzz)");
    }
    let root = &workspace.root;
    let targets = if options.targets.is_empty() { Target::value_variants() } else { &options.targets };
    let mut clean = true;
    for target in targets {
        let name = target.name();
        let seeds = root.join("target/fuzz/seeds").join(name);
        write_all(&seeds, &target.seeds(root)?)?;
        let corpus = root.join("fuzz/corpus").join(name);
        fs::create_dir_all(&corpus)?;
        // The first folder receives new inputs, the others are only read.
        let regressions = root.join("fuzz/regressions").join(name);
        let folders = [corpus, seeds, regressions].into_iter().filter(|folder| folder.is_dir());
        let mut command = cargo();
        command.current_dir(root.join("fuzz")).args(["fuzz", "run", name]).args(folders).arg("--");
        command.args([
            format!("-max_total_time={}", options.seconds),
            "-timeout=10".into(),
            "-print_final_stats=1".into(),
        ]);
        // Instrumentation is an unstable option of the compiler, which the stable one takes when it is told so.
        command.env("RUSTC_BOOTSTRAP", "1");
        // It turns on the debug assertions of every crate, unlike the workspace (vm-engine/src/jit/abi.rs).
        command.env("TRADUX_CRANELIFT_ASSERTS_NOTHING", "0");
        clean &= command.status().context("cargo fuzz")?.success();
    }
    Ok(clean)
}

/// The files in `folder`, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

/// Every block of the golden files and of the cases for passes, as text.
fn blocks(root: &Path) -> Result<Vec<String>> {
    let mut blocks = Vec::new();
    for folder in ["vm-cross-arch-support/tests/golden/riscv64", "vm-ir/tests/passes"] {
        for path in files(&root.join(folder))? {
            let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
            blocks.extend(split(&text));
        }
    }
    Ok(blocks)
}

/// The blocks in `text`: each from a line that starts with `block` to the next one that is a brace.
fn split(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        if line.starts_with("block ") {
            open = Some(String::new());
        }
        if let Some(block) = &mut open {
            block.push_str(line);
            block.push('\n');
        }
        if line == "}" {
            blocks.extend(open.take());
        }
    }
    blocks
}

/// The guest code of a block as the target takes it: a byte for the mode, then the bytes of the block.
fn code(block: &str) -> Option<Result<Vec<u8>>> {
    let digits = block.lines().find_map(|line| line.trim().strip_prefix("bytes "))?;
    let pairs = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| -> Result<u8> { Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?) });
    Some(std::iter::once(Ok(0)).chain(pairs).collect())
}

/// Fills `folder` with `inputs`.
fn write_all(folder: &Path, inputs: &[Vec<u8>]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    for (number, input) in inputs.iter().enumerate() {
        fs::write(folder.join(number.to_string()), input)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_come_from_the_tables() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(Target::IrText.seeds(root).unwrap().len() > 300);
        assert!(Target::Elf.seeds(root).unwrap().iter().all(|file| file.starts_with(b"\x7fELF")));
        assert!(Target::Decode.seeds(root).unwrap().len() > 200);
    }

    #[test]
    fn a_file_is_split_into_blocks() {
        let text = "; note\nblock 0x1000 {\n    bytes b302\n    jump 0x1002\n}\n\nblock 0x2000 {\n}\n";
        let blocks = split(text);
        assert_eq!(blocks, ["block 0x1000 {\n    bytes b302\n    jump 0x1002\n}\n", "block 0x2000 {\n}\n"]);
        assert_eq!(code(&blocks[0]).unwrap().unwrap(), [0, 0xb3, 2]);
        assert!(code(&blocks[1]).is_none());
    }
}
