//! The files below `/proc` that describe the process and the processor: the guest's, not the emulator's.
//!
//! [`entry`] says what a name below `/proc` is. What a kernel would print for the guest is written to a file in memory,
//! which keeps the name that it stands for, so that links and status show that: when it is opened, or as it is read
//! ([`unfinished`]).

mod content;
pub(crate) mod links;
mod maps;
mod others;
mod status;
pub(crate) mod unfinished;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use crate::errno::Errno;
use crate::host::{self, Arg, process_id, thread_id};
use crate::kernel::{Kernel, name_of};
use crate::layout::{OpenHow, Statx};
use crate::paths::{is_proc, lowest, open_on_host};

use super::dir;
use others::Guest;
pub(crate) use others::program_of_other;

/// `AT_FDCWD`, as an argument.
const CWD: u64 = libc::AT_FDCWD as u64;

/// What a name below `/proc` is to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// What the host shows.
    Plain,
    /// Nothing: the host shows something of the emulator's.
    Hidden,
    /// Something that is there and that the guest may not use.
    Refused,
    /// A file with this content.
    Content(Content),
    /// The link to the program.
    Program,
    /// The link to the root directory.
    Root,
    /// The link to the directory that the process is in.
    Directory,
    /// The link to an open file.
    Descriptor(i32),
    /// A link of another process to one of its files.
    Foreign,
    /// A link to a namespace, which is no place in any tree and which no guest can enter.
    Namespace,
}

impl Entry {
    /// Whether it is a link that leads to a file and not to a name.
    pub(crate) const fn is_link(&self) -> bool {
        match self {
            Self::Program | Self::Root | Self::Directory | Self::Descriptor(_) | Self::Foreign | Self::Namespace => {
                true
            }
            Self::Plain | Self::Hidden | Self::Refused | Self::Content(_) => false,
        }
    }
}

/// What a file of `/proc` says that the emulator writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Arch,
    Auxv,
    CmdLine,
    CpuInfo,
    Environ,
    Limits,
    Maps,
    Sched,
    Smaps,
    SmapsRollup,
    Stat,
    StatM,
    Status,
    Syscall,
}

/// Files in the directory of a process or thread that the emulator writes.
const CONTENTS: [(&[u8], Content); 12] = [
    (b"auxv", Content::Auxv),
    (b"cmdline", Content::CmdLine),
    (b"environ", Content::Environ),
    (b"limits", Content::Limits),
    (b"maps", Content::Maps),
    (b"sched", Content::Sched),
    (b"smaps", Content::Smaps),
    (b"smaps_rollup", Content::SmapsRollup),
    (b"stat", Content::Stat),
    (b"statm", Content::StatM),
    (b"status", Content::Status),
    (b"syscall", Content::Syscall),
];

/// Other names that mean something of their own.
const NAMES: [&[u8]; 12] = [
    b"arch_status",
    b"cpuinfo",
    b"cwd",
    b"exe",
    b"fd",
    b"fdinfo",
    b"map_files",
    b"mem",
    b"numa_maps",
    b"root",
    b"self",
    b"task",
];

/// The parts of a name below `/proc`.
type Parts = Vec<Vec<u8>>;

/// What the guest calls `path`, seen from `dirfd`, is to it, if its text says that it is below `/proc`; and its parts
/// there, without links.
pub(crate) fn named(k: &Kernel, dirfd: u64, path: &CStr) -> Option<(Entry, Parts)> {
    let bytes = path.to_bytes();
    let whole = if bytes.starts_with(b"/") {
        bytes.to_vec()
    } else {
        let names_proc = || bytes.split(|byte| *byte == b'/').any(|part| part == b"proc");
        if !is_own_name(bytes) || !names_proc() && !is_proc(dirfd) {
            return None;
        }
        let base = directory_name(dirfd)?;
        [base.as_slice(), b"/", bytes].concat()
    };
    let parts = below_proc(&whole)?;
    let entry = entry(k, &parts);
    // A slash at the end of what is no directory is an error that the host knows.
    let plain = bytes.ends_with(b"/") && !matches!(entry, Entry::Hidden | Entry::Refused);
    (!plain).then_some((entry, parts))
}

fn directory_name(dirfd: u64) -> Option<Vec<u8>> {
    if dirfd as i32 == libc::AT_FDCWD {
        let name = std::env::current_dir().ok()?;
        return Some(std::os::unix::ffi::OsStringExt::into_vec(name.into_os_string()));
    }
    name_of(dirfd as i32 as u64).map(CString::into_bytes)
}

/// The parts that an absolute name has below `/proc`, if it leads there by its text alone.
fn below_proc(path: &[u8]) -> Option<Parts> {
    let mut rest = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    // Most names are done with here.
    if rest.find(|part| *part != b"..")? != b"proc" {
        return None;
    }
    let mut parts: Parts = Vec::new();
    while let Some(part) = rest.next() {
        match part {
            b".." if parts.is_empty() => {
                if rest.find(|part| *part != b"..")? != b"proc" {
                    return None;
                }
            }
            b".." => drop(parts.pop()),
            b"self" if parts.is_empty() => parts.push(process_id().to_string().into_bytes()),
            b"thread-self" if parts.is_empty() => {
                parts = [process_id().to_string(), "task".to_owned(), thread_id().to_string()]
                    .map(String::into_bytes)
                    .to_vec();
            }
            _ => parts.push(part.to_vec()),
        }
        let more = rest.clone().next().is_some();
        match link_of_own(&parts) {
            // The way starts over.
            Some(Entry::Root) if more => {
                let rest: Vec<&[u8]> = rest.collect();
                return below_proc(&[b"/".as_slice(), &rest.join(&b'/')].concat());
            }
            // The host knows where that leads.
            Some(_) if more => return None,
            Some(_) | None => {}
        }
    }
    Some(parts)
}

/// Which link of the process's own directory these parts name.
fn link_of_own(parts: &[Vec<u8>]) -> Option<Entry> {
    let (process, rest) = parts.split_first()?;
    if is_own_process(process) { link(rest) } else { None }
}

/// Which link these parts name in the directory of a process, or in one of its threads'.
fn link(rest: &[Vec<u8>]) -> Option<Entry> {
    let rest: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
    match rest.as_slice() {
        [b"exe"] | [b"task", _, b"exe"] => Some(Entry::Program),
        [b"root"] | [b"task", _, b"root"] => Some(Entry::Root),
        [b"cwd"] | [b"task", _, b"cwd"] => Some(Entry::Directory),
        [b"fd", fd] | [b"task", _, b"fd", fd] => number(fd).map(Entry::Descriptor),
        _ => None,
    }
}

/// What the parts of a name below `/proc` are to the guest.
pub(crate) fn entry(k: &Kernel, parts: &[Vec<u8>]) -> Entry {
    match parts {
        [name] if name == b"cpuinfo" => Entry::Content(Content::CpuInfo),
        [first, second, third] if first == b"sys" && second == b"kernel" && third == b"arch" => {
            Entry::Content(Content::Arch)
        }
        [process, rest @ ..] => match number(process) {
            Some(pid) if is_own(k, pid) => entry_of_own(k, rest),
            Some(tid) if is_thread(tid) => Entry::Hidden,
            Some(pid) => entry_of_guest(k, pid, rest).unwrap_or_else(|| entry_of_process(k, parts)),
            None => Entry::Plain,
        },
        [] => Entry::Plain,
    }
}

/// Whether the directory of this number is that of the process, or of a thread of the guest's.
fn is_own(k: &Kernel, pid: i32) -> bool {
    pid == process_id() || k.is_guest_thread(pid)
}

/// What the parts of a name below `/proc` are that is in the directory of another process.
fn entry_of_process(k: &Kernel, parts: &[Vec<u8>]) -> Entry {
    if parts.len() == 1 {
        k.lists_itself.store(true, Ordering::Relaxed);
    }
    match entry_of_others(parts) {
        Entry::Refused if !k.view.is_confined() => Entry::Plain,
        entry => entry,
    }
}

/// What the parts of a name below the directory of another process are, if the host shows there what is not the guest's
/// that this process is.
fn entry_of_guest(k: &Kernel, pid: i32, rest: &[Vec<u8>]) -> Option<Entry> {
    let names: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
    match names.as_slice() {
        [b"task" | b"fd" | b"fdinfo"] | [b"task", _, b"fd" | b"fdinfo"] => {
            k.lists_itself.store(true, Ordering::Relaxed);
            None
        }
        [b"task", tid, more @ ..] => {
            let tid = number(tid)?;
            if Guest::of(k, pid)?.is_emulator_thread(tid) {
                return Some(Entry::Hidden);
            }
            entry_of_guest(k, pid, rest.get(rest.len() - more.len()..).filter(|more| !more.is_empty())?)
        }
        [b"fd" | b"fdinfo", fd] => {
            let fd = number(fd).filter(|fd| k.own_descriptors().any(|own| own == *fd))?;
            Guest::of(k, pid)?.is_emulator_descriptor(k, fd).then_some(Entry::Hidden)
        }
        [b"map_files", ..] => Guest::of(k, pid).map(|_| Entry::Refused),
        [name] => {
            let content = others::content(name)?;
            Guest::of(k, pid).map(|_| Entry::Content(content))
        }
        _ => None,
    }
}

fn entry_of_own(k: &Kernel, rest: &[Vec<u8>]) -> Entry {
    if let Some(entry) = link(rest) {
        let is_ours = matches!(entry, Entry::Descriptor(fd) if k.own_descriptors().any(|own| own == fd));
        return if is_ours { Entry::Hidden } else { entry };
    }
    let names: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
    match names.as_slice() {
        [b"task", tid, ..] => match number(tid) {
            Some(tid) if !k.is_guest_thread(tid) && is_thread(tid) => Entry::Hidden,
            Some(_) | None => entry_of_own(k, &rest[2..]),
        },
        [] | [b"task" | b"fd" | b"fdinfo"] => {
            k.lists_itself.store(true, Ordering::Relaxed);
            Entry::Plain
        }
        [b"fdinfo", fd] if k.own_descriptors().any(|own| Some(own) == number(fd)) => Entry::Hidden,
        [name] => match CONTENTS.iter().find(|(known, _)| known == name) {
            Some((_, content)) => Entry::Content(*content),
            None => entry_of_any(&names),
        },
        names => entry_of_any(names),
    }
}

/// What the parts of a name below `/proc` are that is about no process of the guest's.
pub(crate) fn entry_of_others(parts: &[Vec<u8>]) -> Entry {
    match parts {
        [process, rest @ ..] if number(process).is_some() => match link(rest) {
            Some(_) => Entry::Foreign,
            None => {
                let names: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
                match names.as_slice() {
                    [b"task", _, more @ ..] => entry_of_any(more),
                    names => entry_of_any(names),
                }
            }
        },
        _ => Entry::Plain,
    }
}

/// What is nobody's business in the directory of any process: memory and mappings as the emulator has them, and links
/// that lead elsewhere.
fn entry_of_any(names: &[&[u8]]) -> Entry {
    match names {
        [b"mem"] | [b"map_files", ..] => Entry::Refused,
        // Its nodes are the emulator's, and no other processor has the other file.
        [b"numa_maps" | b"arch_status"] => Entry::Hidden,
        [b"ns", _] => Entry::Namespace,
        _ => Entry::Plain,
    }
}

/// Whether the last part of a name is one that means something of its own in the directory of a process.
pub(crate) fn is_own_name(path: &[u8]) -> bool {
    let mut parts = path.rsplit(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let Some(last) = parts.next() else { return false };
    // Members of a directory of descriptors, threads or mappings have such a name before theirs.
    let before = parts.next().unwrap_or_default();
    let known = |name: &[u8]| NAMES.contains(&name) || CONTENTS.iter().any(|(content, _)| *content == name);
    // As a directory that name is another one's.
    known(last) || last == b"arch" || known(before)
}

/// Whether the first part of a name below `/proc` is this process's.
pub(crate) fn is_own_process(part: &[u8]) -> bool {
    part == b"self" || part == b"thread-self" || number(part) == Some(process_id())
}

/// Whether this process has a thread of this number, of the guest's or of the emulator's.
pub(crate) fn is_thread(tid: i32) -> bool {
    let Ok(name) = CString::new(format!("/proc/self/task/{tid}")) else { return false };
    host::call(&host::FACCESSAT, &mut [Arg::Int(CWD), Arg::Str(&name), Arg::Int(0)]).is_ok()
}

fn number(part: &[u8]) -> Option<i32> {
    if !part.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(part).ok()?.parse().ok()
}

/// The host's name of what has these parts below `/proc`.
///
/// # Errors
/// `ENOENT`.
pub(crate) fn host_name(parts: &[Vec<u8>]) -> Result<CString, Errno> {
    CString::new([b"/proc/".as_slice(), &parts.join(&b'/')].concat()).map_err(|_| Errno::ENOENT)
}

/// Opens a file with this content, for reading.
///
/// # Errors
/// `EACCES` if it is to be written, and the kernel's error number if it cannot be made.
pub(crate) fn open(k: &Kernel, content: &Content, parts: &[Vec<u8>], flags: u64) -> Result<u64, Errno> {
    if flags & libc::O_ACCMODE as u64 != libc::O_RDONLY as u64 {
        return Err(Errno::EACCES);
    }
    let name = host_name(parts)?;
    let other = parts.first().and_then(|process| number(process)).filter(|pid| !is_own(k, *pid));
    let guest = other.and_then(|pid| Guest::of(k, pid));
    if other.is_some() && guest.is_none() {
        // It was one a moment ago.
        return open_on_host(CWD, &name, OpenHow { flags, mode: 0, resolve: 0 }, false);
    }
    let memory = host::call(&host::MEMFD_CREATE, &mut [Arg::Str(&name), Arg::Int(libc::MFD_CLOEXEC.into())])?;
    let memory = host::file_of(memory);
    let status = dir::status_of(memory.as_raw_fd() as u64)?;
    k.content_device.store(device(&status), Ordering::Relaxed);
    match guest {
        Some(guest) => {
            let host = std::fs::read(std::ffi::OsStr::from_bytes(name.to_bytes()))?;
            written(memory, &guest.text(k, *content, host)?, flags)
        }
        None if *content == Content::Smaps => unfinished::open(k, memory, status.ino, flags),
        None => written(memory, &content::of(k, *content, thread_of(parts))?, flags),
    }
}

/// The thread that these parts are about, if it is not all of the process.
fn thread_of(parts: &[Vec<u8>]) -> Option<i32> {
    match parts {
        [_, task, tid, ..] if task == b"task" => number(tid),
        _ => None,
    }
}

/// How many links the directory of descriptor `fd` has, if it is that of the threads of a guest.
pub(crate) fn links_of(k: &Kernel, fd: i32) -> Option<u32> {
    let parts = below_proc(name_of(fd as u64)?.to_bytes())?;
    let [process, task] = parts.as_slice() else { return None };
    let pid = number(process).filter(|_| task == b"task")?;
    let threads = match is_own(k, pid) {
        true => k.threads.registry().live.len().max(1) as u64,
        false => Guest::of(k, pid)?.threads(),
    };
    // One for its name, one for `.`, and one for `..` in each of its directories.
    Some(2 + threads as u32)
}

/// Opens a file in memory with this text.
fn written(memory: File, text: &[u8], flags: u64) -> Result<u64, Errno> {
    memory.write_all_at(text, 0)?;
    let fd = reopened(&memory, flags)?;
    drop(memory);
    lowest(fd, flags)
}

/// Another descriptor of a file in memory, by which it cannot be written.
fn reopened(memory: &File, flags: u64) -> Result<u64, Errno> {
    let again = CString::new(format!("/proc/self/fd/{}", memory.as_raw_fd())).map_err(|_| Errno::EINVAL)?;
    open_on_host(CWD, &again, OpenHow { flags, mode: 0, resolve: 0 }, false)
}

/// The name of the file of `/proc` that a file in memory stands for, by what the host calls that.
pub(crate) fn content_name(host_name: &[u8]) -> Option<Vec<u8>> {
    let name = host_name.strip_prefix(b"/memfd:")?.strip_suffix(b" (deleted)")?;
    name.starts_with(b"/proc/").then(|| name.to_vec())
}

/// The status of an open file as the guest is to see it: one of `/proc` has that of the file it stands for.
pub(crate) fn shown_status(k: &Kernel, fd: u64, status: Statx) -> Statx {
    if status.nlink != 0 || device(&status) != k.content_device.load(Ordering::Relaxed) {
        return status;
    }
    let name = name_of(fd).and_then(|name| CString::new(content_name(name.to_bytes())?).ok());
    name.and_then(|name| dir::status(CWD, &name, 0).ok()).unwrap_or(status)
}

/// The device of a file as one number, never zero.
fn device(status: &Statx) -> u64 {
    u64::from(status.dev_major) << 32 | u64::from(status.dev_minor) | 1 << 63
}

/// Removes what is not the guest's from directory entries that the host's kernel has given for descriptor `fd`.
pub(crate) fn filter(k: &Kernel, fd: u64, entries: Vec<u8>) -> Vec<u8> {
    let Some(name) = name_of(fd) else { return entries };
    let Some(parts) = below_proc(name.to_bytes()) else { return entries };
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let pid = match parts.first().map(|process| number(process)) {
        Some(None) => return entries,
        pid => pid.flatten(),
    };
    let own = pid.is_some_and(|pid| is_own(k, pid));
    let guest = pid.filter(|_| !own).and_then(|pid| Guest::of(k, pid));
    let is_shown = |name: &[u8]| match (parts.as_slice(), number(name)) {
        ([], _) => !k.view.hides(name),
        ([_] | [_, b"task", _], _) => entry_of_any(&[name]) != Entry::Hidden,
        ([_, b"task"], Some(tid)) if own => k.is_guest_thread(tid),
        ([_, .., b"fd" | b"fdinfo"], Some(fd)) if own => k.own_descriptors().all(|own| own != fd),
        ([_, rest @ ..], _) => guest.as_ref().is_none_or(|guest| guest.shows(k, rest, name)),
    };
    let mut out = Vec::with_capacity(entries.len());
    let mut left = entries.as_slice();
    // struct linux_dirent64: inode, offset, length of the record, type, name.
    while let Some(length) = left.get(16..18).map(|len| usize::from(u16::from_le_bytes([len[0], len[1]]))) {
        let Some((record, rest)) = left.split_at_checked(length) else { break };
        let name = record.get(19..).and_then(|name| name.split(|byte| *byte == 0).next()).unwrap_or_default();
        if is_shown(name) {
            out.extend_from_slice(record);
        }
        left = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> Option<String> {
        let parts = below_proc(path.as_bytes())?;
        Some(parts.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect::<Vec<_>>().join("/"))
    }

    #[test]
    fn names_below_proc_are_found_by_their_text() {
        let (pid, tid) = (process_id(), thread_id());
        let own = |rest: &str| Some(format!("{pid}/{rest}"));
        for (path, expected) in [
            ("/proc", Some(String::new())),
            ("/proc/self/maps", own("maps")),
            ("//./proc//self/./maps", own("maps")),
            ("/../proc/self/fd/../maps", own("maps")),
            ("/proc/../proc/self/maps", own("maps")),
            ("/proc/self/task/1/../../stat", own("stat")),
            ("/proc/thread-self/stat", own(&format!("task/{tid}/stat"))),
            ("/proc/thread-self/../x", own("task/x")),
            ("/proc/self/root/proc/self/exe", own("exe")),
            ("/proc/self/root/etc", None),
            ("/proc/self/cwd/x", None),
            ("/proc/self/fd/3/x", None),
            ("/proc/1/maps", Some("1/maps".to_owned())),
            ("/proc/../etc", None),
            ("/procs", None),
            ("/etc/proc", None),
        ] {
            assert_eq!(text(path), expected, "{path}");
        }
    }

    #[test]
    fn files_in_memory_keep_the_name_they_stand_for() {
        assert_eq!(content_name(b"/memfd:/proc/7/maps (deleted)"), Some(b"/proc/7/maps".to_vec()));
        assert_eq!(content_name(b"/memfd:scratch (deleted)"), None);
        assert_eq!(content_name(b"/proc/7/maps"), None);
    }

    #[test]
    fn other_processes_links_are_known() {
        let entry = |path: &str| {
            let parts: Parts = path.split('/').map(|part| part.as_bytes().to_vec()).collect();
            entry_of_others(&parts)
        };
        for path in ["1/exe", "1/root", "1/cwd", "1/fd/7", "1/task/9/root"] {
            assert_eq!(entry(path), Entry::Foreign, "{path}");
        }
        for path in ["1/ns/mnt", "1/task/9/ns/uts"] {
            assert_eq!(entry(path), Entry::Namespace, "{path}");
        }
        for path in ["1/mem", "1/task/2/mem", "1/map_files/1-2"] {
            assert_eq!(entry(path), Entry::Refused, "{path}");
        }
        for path in ["1/stat", "meminfo", "sys/kernel", "1/fd"] {
            assert_eq!(entry(path), Entry::Plain, "{path}");
        }
    }
}
