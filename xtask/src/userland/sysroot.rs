//! Trees of Debian packages for one architecture, unpacked without installing anything.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::configure;
use crate::apt::{self, AptRoot, Archive};
use crate::tools::output_of;
use crate::workspace::Workspace;

/// The suite that every package is taken from: Debian 13, the first release with riscv64.
pub(crate) const SUITE: &str = "trixie";

/// What every tree has, whatever its cases ask for.
const ALWAYS: &[&str] = &[
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "gawk",
    "grep",
    "libc-bin",
    "netbase",
    "sed",
    "tar",
    "tzdata",
];

/// Dependencies that nothing here runs: the database server's own compiler, 120 MB.
const UNNEEDED: &[&str] = &["libllvm19"];

/// Files that no program reads while it works.
const LEFT_OUT: &[&str] = &[
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./usr/share/lintian/*",
    "./usr/share/postgresql/*/man/*",
];

/// Rises when a tree that an older xtask made has to be made again.
const FORMAT: u32 = 2;

/// A tree of packages.
pub(crate) struct Sysroot {
    pub(crate) folder: PathBuf,
    /// Debian's name of its architecture.
    pub(crate) architecture: String,
    /// What is unpacked in it, in order of unpacking.
    pub(crate) packages: Vec<Archive>,
}

/// What is known of a finished tree; kept beside it.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    format: u32,
    suite: String,
    wanted: BTreeSet<String>,
    unpacked: Vec<Archive>,
}

/// Where everything of `cargo xtask userland` lies.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("userland")
}

/// The tree for `architecture` with at least `packages`; what is missing is downloaded and unpacked, and a tree that has
/// them all is used as it is, without a network.
pub(crate) fn prepare(workspace: &Workspace, architecture: &str, packages: &BTreeSet<String>) -> Result<Sysroot> {
    let parent = folder(workspace);
    fs::create_dir_all(&parent)?;
    let lock = File::create(parent.join(format!("{architecture}.lock")))?;
    lock.lock().context("waiting for another run that makes the same tree")?;
    let sysroot = parent.join(architecture);
    let record_file = parent.join(format!("{architecture}.json"));
    let mut record = read_record(&record_file, &sysroot).unwrap_or_default();
    let mut wanted: BTreeSet<String> = packages.clone();
    wanted.extend(ALWAYS.iter().map(|&name| name.to_owned()));
    if !wanted.is_subset(&record.wanted) {
        wanted.extend(record.wanted.iter().cloned());
        extend(workspace, architecture, &sysroot, &mut record, wanted)
            .with_context(|| format!("the tree of {architecture} packages cannot be made"))?;
        fs::write(&record_file, serde_json::to_vec_pretty(&record)?)?;
    }
    Ok(Sysroot { folder: sysroot, architecture: architecture.to_owned(), packages: record.unpacked })
}

fn read_record(file: &Path, sysroot: &Path) -> Option<Record> {
    let record: Record = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (record.format == FORMAT && record.suite == SUITE && sysroot.is_dir()).then_some(record)
}

/// Downloads and unpacks until the tree holds all of `wanted` and what that depends on.
fn extend(
    workspace: &Workspace,
    architecture: &str,
    sysroot: &Path,
    record: &mut Record,
    wanted: BTreeSet<String>,
) -> Result<()> {
    let root =
        AptRoot::open(&workspace.tools().join(format!("apt-{SUITE}-{architecture}")), SUITE, architecture, UNNEEDED)?;
    println!("fetching package lists of {SUITE} for {architecture}");
    root.update()?;
    let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut plan = root.closure(&names)?;
    println!("downloading {} packages for {architecture} (those that are there already are kept)", plan.len());
    root.download(&names)?;
    // Links of the directories that moved into /usr come with the first package, so that the others follow them.
    plan.sort_by_key(|archive| archive.package != "base-files");
    if !record.unpacked.iter().all(|old| plan.contains(old)) {
        println!("packages have newer versions: unpacking all of them again");
        record.unpacked.clear();
    }
    if record.unpacked.is_empty() {
        remove_tree(sysroot)?;
    }
    fs::create_dir_all(sysroot)?;
    let database = configure::Database::open(sysroot)?;
    let missing: Vec<Archive> = plan.iter().filter(|archive| !record.unpacked.contains(archive)).cloned().collect();
    println!("unpacking {} packages into {}", missing.len(), workspace.shown(sysroot));
    for archive in &missing {
        let file = root.archives().join(&archive.file);
        let files = apt::unpack(&file, sysroot, &apt::Selection { left_out: LEFT_OUT, ..apt::Selection::default() })?;
        let control = output_of(Command::new("dpkg-deb").arg("--field").arg(&file))?;
        database.add(&archive.package, &control, &files, &file)?;
    }
    database.write_status(&plan, &apt::stand_ins(UNNEEDED, architecture))?;
    configure::finish(sysroot)?;
    *record = Record { format: FORMAT, suite: SUITE.to_owned(), wanted, unpacked: plan };
    Ok(())
}

/// Removes a folder even where some of its own folders may not be entered.
pub(crate) fn remove_tree(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fn open_up(folder: &Path) -> std::io::Result<()> {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open_up(&entry.path())?;
            }
        }
        Ok(())
    }
    if !folder.exists() {
        return Ok(());
    }
    if fs::remove_dir_all(folder).is_err() {
        open_up(folder)?;
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    Ok(())
}
