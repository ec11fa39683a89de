//! Builds the guest programs of `programs.rs` for riscv64 and for this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::programs::{Build, COMMITTED, PROGRAMS, Program, SYSTEM};
use crate::tools::{self, Compiler};
use crate::workspace::Workspace;

/// Options of `cargo xtask guests`.
#[derive(Args)]
pub(crate) struct Options {
    /// Also rewrite the committed binaries under guests/bin
    #[arg(long)]
    pub(crate) commit: bool,
}

/// Flags of every build. Fused operations and vectors would make results or comparisons depend on the architecture.
const COMMON: &[&str] = &[
    "-std=gnu17",
    "-ffp-contract=off",
    "-frounding-math",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-format-truncation",
    "-Wno-infinite-recursion",
];

/// Builds everything that is out of date.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let riscv64 = tools::riscv64_compiler()?;
    let native = tools::native_compiler()?;
    for compiler in [&riscv64, &native] {
        build_all(workspace, compiler, PROGRAMS)?;
        build_all(workspace, compiler, SYSTEM)?;
        let count = PROGRAMS.len() + SYSTEM.len();
        println!("built {count} programs in {}", workspace.shown(&workspace.guests(compiler.architecture)));
        if native.architecture == riscv64.architecture {
            break;
        }
    }
    if options.commit {
        for (file, name) in COMMITTED {
            let to = committed_folder(workspace).join(file);
            fs::copy(workspace.guests("riscv64").join(name), &to)?;
            println!("wrote {}", workspace.shown(&to));
        }
    }
    Ok(true)
}

/// Where the committed riscv64 binaries are.
pub(crate) fn committed_folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("guests/bin/riscv64")
}

/// Builds these programs with `compiler`; files newer than all sources are kept.
pub(crate) fn build_all(workspace: &Workspace, compiler: &Compiler, programs: &[Program]) -> Result<()> {
    let sources = workspace.root.join("guests/src");
    let folder = workspace.guests(compiler.architecture);
    fs::create_dir_all(&folder)?;
    let newest_header = newest(&sources.join("lib"))?;
    // The table itself decides flags, and it is compiled into this program.
    let this_program = modified(&std::env::current_exe()?)?;
    let mut stale = Vec::new();
    for program in programs {
        let source = sources.join(program.source);
        let output = folder.join(program.name);
        let newest_input = modified(&source)?.max(newest_header).max(this_program);
        if !output.is_file() || modified(&output)? <= newest_input {
            stale.push((program, source, output));
        }
    }
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(stale.len());
    thread::scope(|scope| {
        let work = || -> Result<()> {
            while let Some((program, source, output)) = stale.get(next.fetch_add(1, Ordering::Relaxed)) {
                compile(compiler, program, source, output)?;
            }
            Ok(())
        };
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a build thread panicked")))
    })
}

fn compile(compiler: &Compiler, program: &Program, source: &Path, output: &Path) -> Result<()> {
    let mut command = Command::new(&compiler.command);
    command.arg(program.level).args(COMMON);
    let bare = ["-nostdlib", "-ffreestanding", "-fno-stack-protector", "-Wl,--build-id=none", "-s"];
    match program.build {
        Build::Static => command.arg("-static"),
        Build::Dynamic => &mut command,
        Build::Bare => command.args(bare).args(["-static", "-fno-pie", "-no-pie"]),
        Build::BarePie => command.args(bare).args(["-pie", "-fPIE", "-Wl,--no-dynamic-linker"]),
    };
    if compiler.architecture == "riscv64" {
        command.args(program.riscv64);
    } else {
        // Vectors are not in the guest's instruction set either.
        command.arg("-fno-tree-vectorize");
    }
    command.arg("-o").arg(output).arg(source);
    if matches!(program.build, Build::Static | Build::Dynamic) {
        command.args(["-lm", "-latomic"]);
    }
    let result = command.output().with_context(|| format!("{} could not be started", compiler.command))?;
    if !result.status.success() {
        bail!(
            "{} for {} does not compile:\n{}",
            program.name,
            compiler.architecture,
            String::from_utf8_lossy(&result.stderr).trim()
        );
    }
    Ok(())
}

fn modified(path: &Path) -> Result<SystemTime> {
    let metadata = fs::metadata(path).with_context(|| format!("{} is missing", path.display()))?;
    Ok(metadata.modified()?)
}

fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder).with_context(|| format!("{} is missing", folder.display()))? {
        newest = newest.max(modified(&entry?.path())?);
    }
    Ok(newest)
}

/// The number of rounds that a kernel runs without an argument, from its source.
pub(crate) fn default_rounds(workspace: &Workspace, program: &Program) -> Result<u64> {
    let source = workspace.root.join("guests/src").join(program.source);
    let text = fs::read_to_string(&source).with_context(|| format!("{} is missing", source.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("#define KERNEL_ROUNDS "))
        .and_then(|number| number.trim().parse().ok())
        .with_context(|| format!("{} defines no KERNEL_ROUNDS", program.source))
}
