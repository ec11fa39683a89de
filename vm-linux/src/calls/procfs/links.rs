//! Names that lead below `/proc` by more than their text: through links that somebody has made, descriptors of
//! directories and the like.
//!
//! The host's kernel follows such a name to what is the emulator's. Whether there was a link on the way it says in the call
//! that opens the file (`RESOLVE_NO_SYMLINKS` of `openat2(2)`), so a file without one costs no other call. Only what was
//! reached through a link is looked at, and only a name with a link to an open file in it is followed part by part.

use std::ffi::{CStr, CString};
use std::sync::OnceLock;

use crate::errno::Errno;
use crate::kernel::{Kernel, close, name_of};
use crate::layout::OpenHow;
use crate::paths::{IN_ROOT, Last, NO_MAGICLINKS, NO_SYMLINKS};
use crate::paths::{from_openat, is_proc, open_on_host, open_scoped, read_link};

use super::{CWD, Entry, Parts, below_proc, dir, directory_name, entry, link, number};

/// Links that a kernel follows in one name (`MAXSYMLINKS`).
const LINKS_FOLLOWED: usize = 40;

/// What has been opened.
pub(crate) enum Opened {
    /// The file, as the host has it.
    File(u64),
    /// Something below `/proc`, with its parts there, that may not be the host's to answer. Nothing is open.
    Entry(Entry, Parts),
}

/// Opens a name whose text does not say that it is below `/proc`.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn open(k: &Kernel, dirfd: u64, path: &CStr, how: OpenHow, strict: bool) -> Result<Opened, Errno> {
    let limited = if strict { how } else { from_openat(how.flags, how.mode) };
    match open_scoped(dirfd, path, limited, NO_SYMLINKS) {
        // There its text leads too, unless it is not seen from the root.
        Ok(fd) if how.resolve & IN_ROOT == 0 => return Ok(Opened::File(fd)),
        Ok(fd) => return Ok(looked_at(k, fd)),
        // There is a link, or the call has rules of its own.
        Err(Errno::ELOOP | Errno::EINVAL) => {}
        // The call may not be to be had.
        Err(Errno::ENOSYS | Errno::EPERM) => return open_on_host(dirfd, path, how, strict).map(Opened::File),
        Err(errno) => return Err(errno),
    }
    match open_scoped(dirfd, path, limited, NO_MAGICLINKS) {
        Ok(fd) => return Ok(looked_at(k, fd)),
        Err(Errno::ELOOP) if how.resolve == 0 => {
            let last = if how.flags & libc::O_NOFOLLOW as u64 == 0 { Last::Follow } else { Last::Itself };
            if let Some((entry, parts)) = find(k, dirfd, path, last) {
                return Ok(Opened::Entry(entry, parts));
            }
        }
        Err(_) => {}
    }
    open_on_host(dirfd, path, how, strict).map(Opened::File)
}

/// What an open file is, which was reached without a link to an open file: it has the name that was asked for.
pub(crate) fn looked_at(k: &Kernel, fd: u64) -> Opened {
    match is_proc(fd).then(|| behind(k, fd as i32)).flatten() {
        Some((entry, parts)) => {
            close(fd);
            Opened::Entry(entry, parts)
        }
        None => Opened::File(fd),
    }
}

/// What the file of descriptor `fd` is below `/proc`, with its parts there, if the guest is not to have what the host
/// shows in it.
pub(crate) fn behind(k: &Kernel, fd: i32) -> Option<(Entry, Parts)> {
    of_descriptor(k, fd).filter(|(entry, _)| matches!(entry, Entry::Hidden | Entry::Refused | Entry::Content(_)))
}

/// What the file of descriptor `fd` is below `/proc`, with its parts there.
pub(crate) fn of_descriptor(k: &Kernel, fd: i32) -> Option<(Entry, Parts)> {
    let parts = below_proc(name_of(fd as u64)?.to_bytes())?;
    Some((entry(k, &parts), parts))
}

/// What `path` is below `/proc`, with its parts there, if it is one of the names that lead to other files than the host's
/// when they are not opened.
pub(crate) fn suspected(k: &Kernel, dirfd: u64, path: &CStr, last: Last) -> Option<(Entry, Parts)> {
    let mut parts = path.to_bytes().rsplit(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let is_suspect = matches!(parts.next()?, b"exe" | b"numa_maps" | b"arch_status")
        || matches!(parts.next(), Some(b"fd" | b"fdinfo" | b"task"));
    if is_suspect { find(k, dirfd, path, last) } else { None }
}

/// What `path` is below `/proc`, with its parts there, if it leads there through whatever links.
///
/// A link to an open file at its end is not followed; another one is with [`Last::Follow`].
pub(crate) fn find(k: &Kernel, dirfd: u64, path: &CStr, last: Last) -> Option<(Entry, Parts)> {
    // A slash at the end of what is no directory is an error that the host knows.
    if path.to_bytes().ends_with(b"/") {
        return None;
    }
    let parts = below_proc(&real_name(dirfd, path.to_bytes(), last)?)?;
    Some((entry(k, &parts), parts))
}

/// The absolute name without links that `path` stands for, if it leads below `/proc` or may do so.
fn real_name(dirfd: u64, path: &[u8], last: Last) -> Option<Vec<u8>> {
    let mut at = match path.first()? {
        b'/' => Parts::new(),
        _ => parts(&directory_name(dirfd)?).collect(),
    };
    // The next part is the last of these.
    let mut ahead: Parts = parts(path).rev().collect();
    let mut followed = 0;
    while let Some(part) = ahead.pop() {
        if part == b".." {
            at.pop();
            continue;
        }
        at.push(part);
        let (ends, leads_to_file) = (ahead.is_empty(), is_link_to_file(&at));
        if ends && (leads_to_file || last != Last::Follow) {
            break;
        }
        let Ok(target) = read_link(CWD, &CString::new(joined(&at)).ok()?) else { continue };
        followed += 1;
        if followed > LINKS_FOLLOWED || leads_to_file && !target.starts_with(b"/") {
            return None;
        }
        at.pop();
        if target.starts_with(b"/") {
            at.clear();
        }
        ahead.extend(parts(&target).rev());
    }
    Some(joined(&at))
}

/// Whether these parts name a link of a process that leads to a file and not to a name.
fn is_link_to_file(at: &[Vec<u8>]) -> bool {
    match at {
        [first, process, rest @ ..] => first == b"proc" && number(process).is_some() && link(rest).is_some(),
        _ => false,
    }
}

/// The parts of a name that mean something.
fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

/// The absolute name with these parts.
fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    [b"/", parts.join(&b'/').as_slice()].concat()
}

/// Whether a file is the emulator, by its device and inode.
pub(crate) fn is_emulator(file: (u64, u64)) -> bool {
    static EMULATOR: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    let emulator = EMULATOR.get_or_init(|| {
        let status = dir::status(CWD, c"/proc/self/exe", 0).ok()?;
        Some((libc::makedev(status.dev_major, status.dev_minor), status.ino))
    });
    *emulator == Some(file)
}

/// Whether a file on this device is one of the file system that shows processes.
pub(crate) fn is_on_proc(device: u64) -> bool {
    static PROC: OnceLock<Option<u64>> = OnceLock::new();
    // As all file systems that are on no device.
    if libc::major(device) != 0 {
        return false;
    }
    let proc = PROC.get_or_init(|| {
        let status = dir::status(CWD, c"/proc", 0).ok()?;
        Some(libc::makedev(status.dev_major, status.dev_minor))
    });
    *proc == Some(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_through_links_are_followed_to_their_end() {
        let directory = std::env::temp_dir().join(format!("tradux-links-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let directory = directory.canonicalize().unwrap();
        for (link, target) in
            [("p", "/proc"), ("self", "p/self"), ("exe", "self/exe"), ("loop", "loop"), ("up", "../../proc/self")]
        {
            let _ = symlink(target, directory.join(link));
        }
        let pid = std::process::id();
        let below = |rest: &str| Some(format!("/proc/{pid}/{rest}"));
        for (path, last, expected) in [
            ("p/self/maps", Last::Follow, below("maps")),
            ("self/./task/../exe", Last::Follow, below("exe")),
            ("exe", Last::Follow, below("exe")),
            ("exe", Last::Itself, Some(format!("{}/exe", directory.display()))),
            ("self/root/proc/cpuinfo", Last::Follow, Some("/proc/cpuinfo".to_owned())),
            ("loop", Last::Follow, None),
            ("missing", Last::Follow, Some(format!("{}/missing", directory.display()))),
        ] {
            let name = [directory.as_os_str().as_bytes(), b"/", path.as_bytes()].concat();
            let found = real_name(CWD, &name, last).map(|name| String::from_utf8(name).unwrap());
            assert_eq!(found, expected, "{path}");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_emulator_is_known_by_its_file() {
        let status = dir::status(CWD, c"/proc/self/exe", 0).unwrap();
        let device = libc::makedev(status.dev_major, status.dev_minor);
        assert!(is_emulator((device, status.ino)) && !is_emulator((device, status.ino + 1)));
    }
}
