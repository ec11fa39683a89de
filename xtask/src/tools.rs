//! Tools from outside: cross compilers and the reference emulator. What is missing is installed where that is allowed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::apt::{self, AptRoot, Selection};
use crate::workspace::Workspace;

/// The suite that the reference emulator is taken from: always the newest.
const NEWEST_SUITE: &str = "sid";

/// A C compiler for one architecture.
pub(crate) struct Compiler {
    pub(crate) command: String,
    /// The architecture's name in `target/guests/`.
    pub(crate) architecture: &'static str,
}

/// The reference emulator for riscv64 programs.
pub(crate) struct Qemu {
    pub(crate) path: PathBuf,
    /// First line of its `--version`.
    pub(crate) version: String,
}

/// The host's compiler and its architecture's name.
pub(crate) fn native_compiler() -> Result<Compiler> {
    let command = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    if !answers(&command, "--version") {
        bail!("no C compiler `{command}` for this machine; Debian has one in the package gcc");
    }
    Ok(Compiler { command, architecture: std::env::consts::ARCH })
}

/// The riscv64 cross compiler with a static C library; installs Debian's packages when they are missing.
pub(crate) fn riscv64_compiler() -> Result<Compiler> {
    const PACKAGES: &[&str] = &["gcc-riscv64-linux-gnu", "libc6-dev-riscv64-cross"];
    let command = match std::env::consts::ARCH {
        "riscv64" => "cc",
        _ => "riscv64-linux-gnu-gcc",
    };
    if !answers(command, "--version") || !has_static_library(command) {
        install(PACKAGES).with_context(|| {
            format!("{command} with a static C library is missing (packages {})", PACKAGES.join(" "))
        })?;
    }
    if !answers(command, "--version") {
        bail!("{command} is still missing after its packages were installed");
    }
    Ok(Compiler { command: command.into(), architecture: "riscv64" })
}

/// The folder that a program built dynamically by `compiler` finds its loader and its C library under, as an emulator's
/// option `-L` wants it: the compiler's own sysroot, or where it finds its C library.
pub(crate) fn sysroot(compiler: &Compiler) -> Result<PathBuf> {
    let ask = |question: &str| -> Result<PathBuf> {
        Ok(output_of(Command::new(&compiler.command).arg(question))?.trim().into())
    };
    let configured = ask("-print-sysroot")?;
    if configured.components().count() > 1 && configured.join("lib").is_dir() {
        return Ok(configured);
    }
    // A path for a file that is found, the bare name for one that is not.
    let library = ask("-print-file-name=libc.so.6")?;
    let library = library.canonicalize().with_context(|| format!("{} has no shared C library", compiler.command))?;
    let root = library.ancestors().find(|folder| folder.ends_with("lib")).and_then(Path::parent);
    root.map(Path::to_owned).with_context(|| format!("{} lies in no lib folder", library.display()))
}

/// The reference emulator: a static qemu-user of the newest suite in `target/tools`, fetched once through a private apt
/// root, or else the machine's own.
pub(crate) fn qemu(workspace: &Workspace) -> Result<Qemu> {
    let folder = workspace.tools().join("qemu-user");
    let path = folder.join("qemu-riscv64");
    if !path.is_file() {
        println!("fetching qemu-user of suite {NEWEST_SUITE} into {}", workspace.shown(&folder));
        if let Err(error) = fetch_qemu(&workspace.tools(), &folder) {
            println!("qemu-user of suite {NEWEST_SUITE} cannot be had: {error:#}");
        }
    }
    if path.is_file() {
        return describe(path);
    }
    for name in ["qemu-riscv64-static", "qemu-riscv64"] {
        if answers(name, "--version") {
            return describe(name.into());
        }
    }
    install(&["qemu-user-static"])
        .context("qemu-user for riscv64 is missing (package qemu-user-static or qemu-user)")?;
    describe("qemu-riscv64-static".into())
}

fn describe(path: PathBuf) -> Result<Qemu> {
    let output =
        Command::new(&path).arg("--version").output().with_context(|| format!("{} does not run", path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(version) = text.lines().next().filter(|line| line.contains("version")) else {
        bail!("{} --version says nothing of a version", path.display());
    };
    Ok(Qemu { path, version: version.to_owned() })
}

/// Downloads the package through an apt root of its own below `tools` and takes one program out of it into `folder`: the
/// whole of it is hundreds of megabytes.
fn fetch_qemu(tools: &Path, folder: &Path) -> Result<()> {
    const PACKAGE: &str = "qemu-user";
    let root = AptRoot::open(&tools.join("apt"), NEWEST_SUITE, &apt::host_architecture()?, &[])?;
    root.update()?;
    root.download(&[PACKAGE])?;
    let plan = root.closure(&[PACKAGE])?;
    let archive = plan.iter().find(|archive| archive.package == PACKAGE).context("apt-get plans no qemu-user")?;
    let archive = root.archives().join(&archive.file);
    let unpacked = folder.with_extension("new");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    fs::create_dir_all(&unpacked)?;
    let selection = Selection { only: &["./usr/bin/qemu-riscv64"], strip: 3, ..Selection::default() };
    apt::unpack(&archive, &unpacked, &selection)?;
    describe(unpacked.join("qemu-riscv64"))?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(&unpacked, folder)?;
    fs::remove_file(archive)?;
    Ok(())
}

/// Installs Debian packages as root or through a sudo that asks nothing.
fn install(packages: &[&str]) -> Result<()> {
    if !answers("apt-get", "--version") {
        bail!("there is no apt-get to install {} with", packages.join(" "));
    }
    let root = output_of(Command::new("id").arg("-u"))?.trim() == "0";
    let prefix: &[&str] = match root {
        true => &[],
        false if answers_all("sudo", &["-n", "true"]) => &["sudo", "-n"],
        false => bail!("not root, and sudo would ask; run: apt-get install {}", packages.join(" ")),
    };
    println!("installing {}", packages.join(" "));
    let apt = |arguments: &[&str]| -> Result<()> {
        let words: Vec<&str> = prefix
            .iter()
            .copied()
            .chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"])
            .chain(arguments.iter().copied())
            .collect();
        output_of(Command::new(words[0]).args(&words[1..])).map(drop)
    };
    let wanted: Vec<&str> =
        ["install", "--no-install-recommends"].into_iter().chain(packages.iter().copied()).collect();
    if apt(&wanted).is_ok() {
        return Ok(());
    }
    // Package lists that are missing or old are the usual reason for a first failure.
    apt(&["update"])?;
    apt(&wanted)
}

/// Whether `command argument` runs and succeeds.
pub(crate) fn answers(command: impl AsRef<OsStr>, argument: &str) -> bool {
    answers_all(command, &[argument])
}

/// Whether the command runs with these arguments and succeeds.
pub(crate) fn answers_all(command: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    Command::new(command)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn has_static_library(compiler: &str) -> bool {
    // The compiler prints a path for a file it finds and the bare name for one it does not.
    output_of(Command::new(compiler).arg("-print-file-name=libc.a")).is_ok_and(|path| path.trim().contains('/'))
}

/// The standard output of a command that must succeed; its standard error is the reason when it does not.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} could not be started"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        bail!("{name} failed: {last}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
