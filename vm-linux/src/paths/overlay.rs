//! [`Overlay`]: what of the host a confined guest finds in its root besides the root's own files, as a container would.

use std::ffi::CString;

use crate::calls::{dir, procfs};
use crate::host::{self, Arg};
use crate::kernel::close;

use super::lookup::{IN_ROOT, NO_MAGICLINKS, from_openat, open_scoped};
use super::tree::Tree;

/// Entries of the host's `/dev` that show where the root has none of its own.
pub(super) const DEVICES: [&[u8]; 9] =
    [b"null", b"zero", b"full", b"random", b"urandom", b"tty", b"ptmx", b"pts", b"shm"];

/// Those of them that are directories.
pub(super) const DIRECTORIES: [&[u8]; 2] = [b"pts", b"shm"];

/// Links that every `/dev` has, and where they lead.
pub(super) const LINKS: [(&[u8], &[u8]); 4] = [
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
];

/// What of the host's `/proc` does not show: the memory of its kernel and what else a container's runtime hides.
const HIDDEN: [&[u8]; 10] = [
    b"acpi",
    b"kcore",
    b"keys",
    b"kmsg",
    b"kpagecount",
    b"kpageflags",
    b"latency_stats",
    b"sched_debug",
    b"scsi",
    b"timer_list",
];

/// Types of the file systems that show in place of the root's `/proc` and `/sys` (`linux/magic.h`).
const PROC_MAGIC: u64 = 0x9fa0;
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// Which of the host's directories show in the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlay {
    proc: bool,
    sys: bool,
    /// Whether one of them is mounted in the root itself.
    mounted: bool,
    /// Device and inode of directories of the root that are covered.
    covered: Vec<(u32, u32, u64)>,
}

impl Overlay {
    /// What shows in `tree`: `/proc` and `/sys` where it has none, an empty one, or the real thing.
    pub(super) fn of(tree: &Tree) -> Self {
        let (mut covered, mut mounted) = (Vec::new(), false);
        let mut shows = |name: &str, magic: u64| {
            let how = from_openat((libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64, 0);
            let Ok(path) = CString::new(name) else { return false };
            let Ok(fd) = open_scoped(tree.fd(), &path, how, IN_ROOT | NO_MAGICLINKS) else { return true };
            let real = kind(fd) == Some(magic);
            mounted |= real;
            let shows = real || is_empty(fd);
            if shows && let Ok(status) = dir::status_of(fd) {
                covered.push((status.dev_major, status.dev_minor, status.ino));
            }
            close(fd);
            shows
        };
        let (proc, sys) = (shows("/proc", PROC_MAGIC), shows("/sys", SYSFS_MAGIC));
        Self { proc, sys, mounted, covered }
    }

    /// Whether the first part of a guest's absolute name leads to a directory of the host as a whole.
    pub(super) fn covers(&self, first: &[u8]) -> bool {
        match first {
            b"proc" => self.proc,
            b"sys" => self.sys,
            _ => false,
        }
    }

    /// Whether the root itself has one of the host's directories, so that the kernel finds it by names of the root.
    pub(super) fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// Whether the file that the host calls `name` is in a `/proc` or `/sys` that shows, and not the guest's to change.
    pub(super) fn is_read_only(&self, tree: &Tree, name: &[u8]) -> bool {
        match tree.below(name) {
            Some(name) => parts(name).next().is_some_and(|first| self.covers(first)) && is_read_only(parts(name)),
            None => is_read_only(parts(name)),
        }
    }

    /// Whether the file that the host calls `name` keeps its mode, its owner, its times and its attributes, as on a file
    /// system that is mounted to be read: devices are such, and can be written all the same.
    pub(super) fn is_fixed(&self, tree: &Tree, name: &[u8]) -> bool {
        let device = name.strip_prefix(b"/dev/").is_some_and(|name| DEVICES.contains(&name));
        device && tree.below(name).is_none() || self.is_read_only(tree, name)
    }

    /// Whether a file of this status is a directory of the root in whose place one of the host shows.
    pub(super) fn is_covered(&self, fd: u64) -> bool {
        !self.covered.is_empty()
            && dir::status_of(fd)
                .is_ok_and(|status| self.covered.contains(&(status.dev_major, status.dev_minor, status.ino)))
    }

    /// Whether the file that the host calls `name` shows under that name.
    pub(super) fn shows(&self, name: &[u8]) -> bool {
        let mut parts = name.split(|byte| *byte == b'/').skip(1);
        match (parts.next(), parts.next()) {
            (Some(b"dev"), Some(second)) => DEVICES.contains(&second),
            (Some(first), _) => self.covers(first),
            (None, _) => false,
        }
    }

    /// Whether the name below `/proc` is left out.
    pub(super) fn hides(part: &[u8]) -> bool {
        HIDDEN.contains(&part)
    }
}

/// Whether a name shows in `/dev` where the root has nothing of that name.
pub(super) fn is_in_dev(name: &[u8]) -> bool {
    DEVICES.contains(&name) || LINKS.iter().any(|(link, _)| *link == name)
}

/// Whether what has these parts from the host's root on is in its `/proc` or `/sys`, and of no file of the process's own.
pub(super) fn is_read_only<'a>(mut parts: impl Iterator<Item = &'a [u8]>) -> bool {
    match parts.next() {
        Some(b"sys") => true,
        Some(b"proc") => parts.next().is_none_or(|process| !procfs::is_own_process(process)),
        Some(_) | None => false,
    }
}

/// The parts of a name that are not empty.
fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

/// Whether the first part of an absolute name is one of the host's directories that no sysroot replaces.
pub(super) fn is_hosts(path: &[u8]) -> bool {
    let first = path.split(|byte| *byte == b'/').find(|part| !part.is_empty() && *part != b".");
    matches!(first, Some(b"dev" | b"proc" | b"sys"))
}

/// The type of the file system that an open file is on.
pub(super) fn kind(fd: u64) -> Option<u64> {
    /// Bytes of `struct statfs`, which begins with the type.
    const SIZE: usize = 120;
    let mut bytes = vec![0; SIZE];
    host::call(&host::FSTATFS, &mut [Arg::Int(fd), Arg::Bytes(&mut bytes)]).ok()?;
    bytes[..8].try_into().ok().map(u64::from_le_bytes)
}

/// Whether the process is in a directory of the file system that shows processes, or `fd` is one.
pub(crate) fn is_proc(dirfd: u64) -> bool {
    if dirfd as i32 != libc::AT_FDCWD {
        return kind(dirfd as i32 as u64) == Some(PROC_MAGIC);
    }
    let mut bytes = vec![0; 120];
    let asked = host::call(&host::STATFS, &mut [Arg::Str(c"."), Arg::Bytes(&mut bytes)]);
    asked.is_ok() && bytes[..8] == PROC_MAGIC.to_le_bytes()
}

/// Whether a directory holds nothing.
fn is_empty(fd: u64) -> bool {
    // Two names are always there, of at most 24 bytes each.
    let mut room = vec![0; 512];
    let size = room.len() as u64;
    let len = host::call(&host::GETDENTS64, &mut [Arg::Int(fd), Arg::Bytes(&mut room), Arg::Int(size)]);
    len.is_ok_and(|len| len <= 48)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_host_that_show() {
        let overlay = Overlay { proc: true, ..Overlay::default() };
        for (name, shows) in [
            ("/proc", true),
            ("/proc/1/stat", true),
            ("/sys/class", false),
            ("/dev/null", true),
            ("/dev/pts/3", true),
            ("/dev/sda", false),
            ("/dev", false),
            ("/procession", false),
            ("pipe:[77]", false),
        ] {
            assert_eq!(overlay.shows(name.as_bytes()), shows, "{name}");
        }
        assert!(is_hosts(b"//./dev/null") && !is_hosts(b"/device") && !is_hosts(b"/usr/dev"));
    }
}
