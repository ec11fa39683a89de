//! The host calls that names are resolved with.

use std::ffi::CStr;

use crate::calls::dir;
use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{close, name_of};
use crate::layout::{Field, Layout, OpenHow};
use crate::user::PATH_MAX;

use super::CWD;

// `linux/openat2.h`.
pub(crate) const NO_MAGICLINKS: u64 = 0x02;
pub(crate) const NO_SYMLINKS: u64 = 0x04;
pub(super) const BENEATH: u64 = 0x08;
pub(crate) const IN_ROOT: u64 = 0x10;

/// `__O_TMPFILE` of `asm-generic/fcntl.h`, which is one bit of the C library's `O_TMPFILE`.
pub(super) const TMPFILE: u64 = 0o20_000_000;

/// How often a name with `..` is looked up again when a directory was renamed somewhere meanwhile.
const PATIENCE: usize = 16;

/// What `openat` takes `flags` and `mode` to mean, in the terms of `openat2`, which refuses what `openat` ignores.
pub(crate) fn from_openat(flags: u64, mode: u64) -> OpenHow {
    const PATH_ONLY: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    const KNOWN: i32 = PATH_ONLY
        | libc::O_ACCMODE
        | libc::O_CREAT
        | libc::O_EXCL
        | libc::O_NOCTTY
        | libc::O_TRUNC
        | libc::O_APPEND
        | libc::O_NONBLOCK
        | libc::O_SYNC
        | libc::O_ASYNC
        | libc::O_DIRECT
        | libc::O_NOATIME
        | crate::calls::file::HOST_LARGEFILE;
    if flags & libc::O_PATH as u64 != 0 {
        return OpenHow { flags: flags & PATH_ONLY as u64, mode: 0, resolve: 0 };
    }
    let flags = flags & (KNOWN as u64 | TMPFILE);
    let creates = flags & (libc::O_CREAT as u64 | TMPFILE) != 0;
    OpenHow { flags, mode: if creates { mode & 0o7777 } else { 0 }, resolve: 0 }
}

/// Opens a name of the host. With `strict`, by the rules of `openat2`.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn open_on_host(dirfd: u64, path: &CStr, how: OpenHow, strict: bool) -> Result<u64, Errno> {
    if strict || how.resolve != 0 {
        return open2(dirfd, path, how);
    }
    host::wait(&host::OPENAT, &mut [Arg::Int(dirfd), Arg::Str(path), Arg::Int(how.flags), Arg::Int(how.mode)])
}

/// Opens `path` within the limits `scope`, besides those that the guest set itself.
///
/// # Errors
/// The kernel's error number; `EAGAIN` if `..` could not be followed for all the renaming elsewhere.
pub(crate) fn open_scoped(dirfd: u64, path: &CStr, how: OpenHow, scope: u64) -> Result<u64, Errno> {
    let how = OpenHow { resolve: how.resolve | scope, ..how };
    let climbs = path.to_bytes().windows(2).any(|pair| pair == b"..");
    for _ in 0..PATIENCE {
        match open2(dirfd, path, how) {
            Err(Errno::EAGAIN) if climbs => {}
            result => return result,
        }
    }
    open2(dirfd, path, how)
}

fn open2(dirfd: u64, path: &CStr, how: OpenHow) -> Result<u64, Errno> {
    let mut bytes = [0; OpenHow::SIZE];
    how.put(&mut bytes);
    let size = bytes.len() as u64;
    let args = &mut [Arg::Int(dirfd), Arg::Str(path), Arg::Bytes(&mut bytes), Arg::Int(size)];
    // A file that is only named is open at once.
    if how.flags & libc::O_PATH as u64 != 0 {
        host::call(&host::OPENAT2, args)
    } else {
        host::wait(&host::OPENAT2, args)
    }
}

/// The same open file as `fd`, which is closed, at the lowest free number, where a program expects what it opens.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn lowest(fd: u64, flags: u64) -> Result<u64, Errno> {
    let closes = flags & libc::O_CLOEXEC as u64 != 0;
    let command = if closes { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
    let lower = host::call(&host::FCNTL, &mut [Arg::Int(fd), Arg::Int(command as u64), Arg::Int(0)]);
    close(fd);
    lower
}

/// The text of a symbolic link, or of the link that `dirfd` is if `path` is empty.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn read_link(dirfd: u64, path: &CStr) -> Result<Vec<u8>, Errno> {
    let mut text = vec![0; PATH_MAX];
    let size = text.len() as u64;
    let args = &mut [Arg::Int(dirfd), Arg::Str(path), Arg::Bytes(&mut text), Arg::Int(size)];
    let len = host::call(&host::READLINKAT, args)?;
    text.truncate(len as usize);
    Ok(text)
}

/// What the host calls the directory of a descriptor, or the one that the process is in.
///
/// # Errors
/// `EBADF`, and `ENOENT` for one that has been removed.
pub(super) fn directory_name(dirfd: u64) -> Result<Vec<u8>, Errno> {
    match directory_place(dirfd)? {
        (name, Place::There) => Ok(name),
        (_, Place::Removed) => Err(Errno::ENOENT),
    }
}

/// Whether a directory is where its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    There,
    /// It was there once, and `..` still leads from it to where it was.
    Removed,
}

/// As [`directory_name`]; for a directory that has been removed, the name that it had.
///
/// # Errors
/// `EBADF`.
pub(super) fn directory_place(dirfd: u64) -> Result<(Vec<u8>, Place), Errno> {
    /// What the host adds to the name of a removed file, and what a file's own name may end in.
    const MARK: &[u8] = b" (deleted)";
    let current = dirfd as i32 == libc::AT_FDCWD;
    let mut name = match current {
        true => read_link(CWD, c"/proc/self/cwd")?,
        false => name_of(dirfd as i32 as u64).ok_or(Errno::EBADF)?.into_bytes(),
    };
    if !name.ends_with(MARK) {
        return Ok((name, Place::There));
    }
    let status = if current { dir::status(CWD, c".", 0) } else { dir::status_of(dirfd) };
    if status?.nlink != 0 {
        return Ok((name, Place::There));
    }
    name.truncate(name.len() - MARK.len());
    Ok((name, Place::Removed))
}

/// Whether `status` is that of a symbolic link, a directory or something else.
pub(super) fn is_kind(mode: u16, kind: libc::mode_t) -> bool {
    u32::from(mode) & libc::S_IFMT == kind
}

/// The directory part of a name and its last part with all slashes behind it; `None` for a name that is nothing but
/// slashes. Without a slash before the last part, the directory part is empty.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    Some(path.split_at(start))
}

/// The directory that names without a leading slash are seen from, as the guest may give it: an `int`.
pub(crate) const fn directory(dirfd: u64) -> u64 {
    if dirfd as i32 == libc::AT_FDCWD { CWD } else { dirfd as i32 as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_before_their_last_part() {
        for (path, expected) in [
            ("a", Some(("", "a"))),
            ("a//", Some(("", "a//"))),
            ("/a", Some(("/", "a"))),
            ("a/b/", Some(("a/", "b/"))),
            ("//a//b", Some(("//a//", "b"))),
            ("a/..", Some(("a/", ".."))),
            ("/", None),
            ("", None),
        ] {
            let found = split(path.as_bytes());
            let found = found.map(|(a, b)| (std::str::from_utf8(a).unwrap(), std::str::from_utf8(b).unwrap()));
            assert_eq!(found, expected, "{path}");
        }
    }

    /// `openat(2)`: unknown flags and the mode of a file that is not made are ignored.
    #[test]
    fn openat_ignores_what_openat2_refuses() {
        let how = from_openat(libc::O_RDWR as u64 | 1 << 40, 0o644);
        assert_eq!((how.flags, how.mode), (libc::O_RDWR as u64, 0));
        let how = from_openat((libc::O_CREAT | libc::O_WRONLY) as u64, 0o170_644);
        assert_eq!(how.mode, 0o644);
        let how = from_openat((libc::O_PATH | libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW) as u64, 0o644);
        assert_eq!((how.flags, how.mode), ((libc::O_PATH | libc::O_NOFOLLOW) as u64, 0));
        assert_eq!(from_openat(libc::O_TMPFILE as u64 | 2, 0o600).mode, 0o600);
    }
}
