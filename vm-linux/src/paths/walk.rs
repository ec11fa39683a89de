//! [`Walk`]: names of a confined guest.
//!
//! Nearly all of them are resolved by one `openat2`: absolute ones below the root's descriptor, others beneath their
//! directory, which is in the root already. What is left is walked part by part: a name that climbs out of its directory,
//! and one that leads to the host's directories of [`Overlay`], of which the kernel knows nothing. The walk only makes a
//! name without links and `..`; opening that is confined like all else, should someone have put a link in its way.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use crate::calls::dir;
use crate::calls::procfs::links::{self, Opened};
use crate::calls::procfs::{self, Entry};
use crate::errno::Errno;
use crate::kernel::{Kernel, close};
use crate::layout::OpenHow;

use super::lookup::{
    BENEATH, IN_ROOT, NO_MAGICLINKS, NO_SYMLINKS, Place, directory, directory_name, directory_place, from_openat,
    is_kind, open_on_host, open_scoped, read_link, split,
};
use super::overlay::{self, DEVICES, DIRECTORIES, LINKS, Overlay};
use super::tree::{SCOPE, Tree};
use super::{At, CWD, Found, Held};

/// Links that a kernel follows in one name (`MAXSYMLINKS`).
const LINKS_FOLLOWED: usize = 40;

/// Limits of lookups beneath a directory of the guest.
const BELOW: u64 = BENEATH | NO_MAGICLINKS;

/// The parts of a name from the guest's root on.
type Parts = Vec<Vec<u8>>;

/// Looks up names of a confined guest.
pub(super) struct Walk<'a> {
    pub(super) tree: &'a Tree,
    pub(super) overlay: &'a Overlay,
    /// The process; none before it starts.
    pub(super) kernel: Option<&'a Kernel>,
}

/// Where the file of a name without links lies.
enum Spot {
    /// Below the root.
    Tree,
    /// On the host: a name there, and how many of the parts it stands for.
    Host(CString, usize),
    /// It is a link that every `/dev` has, to here.
    Link(&'static [u8]),
    /// Nowhere, whatever there is on the host.
    Nowhere,
}

/// What is found under a name without links in its directory part.
enum Kind {
    Directory,
    Link(Vec<u8>),
    Other,
    Missing,
    /// Something below `/proc` that is not the host's to answer.
    Entry(Entry),
}

impl Walk<'_> {
    /// Opens `path`, seen from `dirfd`.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(super) fn find(&self, dirfd: u64, path: &CStr, how: OpenHow) -> Result<Found, Errno> {
        let (dirfd, bytes) = (directory(dirfd), path.to_bytes());
        if bytes.is_empty() {
            return Err(Errno::ENOENT);
        }
        let absolute = bytes.starts_with(b"/");
        let has_own_name = procfs::is_own_name(bytes);
        let own = has_own_name && !absolute && overlay::is_proc(dirfd);
        if how.resolve & (BENEATH | IN_ROOT) != 0 && !own {
            // The guest has asked for narrower limits itself.
            let fd = self.open_guarded(dirfd, path, how, NO_MAGICLINKS)?;
            return Ok(match self.kernel.filter(|_| has_own_name).map(|kernel| links::looked_at(kernel, fd)) {
                Some(Opened::Entry(entry, parts)) => Found::Entry(entry, parts),
                Some(Opened::File(_)) | None => Found::File(fd),
            });
        }
        if let Some(device) = device(bytes) {
            return self.find_device(path, &device, how).map(Found::File);
        }
        if own || self.may_meet_overlay(bytes) || !absolute && self.may_name_device(dirfd, bytes) {
            return self.walk(self.base(dirfd, bytes)?, bytes, how);
        }
        if absolute {
            return self.find_in_tree(path, how);
        }
        let opened = match writes(how) && self.is_read_only(dirfd) {
            true => self.open_guarded(dirfd, path, how, BELOW),
            false => self.open_or_make(dirfd, path, how, BELOW),
        };
        match opened {
            Ok(fd) => self.uncovered(fd, how, || self.walk(self.base(dirfd, bytes)?, bytes, how)),
            // It leads out of its directory, if only to come back.
            Err(Errno::EXDEV | Errno::ELOOP | Errno::EAGAIN) => {
                // From a directory that is gone there is a way up and no other.
                let (parts, removed) = self.place(dirfd)?;
                let from_root = [joined(&parts)?.as_bytes(), b"/", bytes].concat();
                if removed || self.may_meet_overlay(&from_root) {
                    return self.walk(parts, bytes, how);
                }
                self.find_in_tree(&c_string(from_root)?, how)
            }
            Err(Errno::ENOENT) if self.may_cross(dirfd, bytes, BELOW) => {
                self.walk(self.base(dirfd, bytes)?, bytes, how)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Opens a device by the name that it always has: the root's own file, else the host's `device`.
    fn find_device(&self, path: &CStr, device: &CStr, how: OpenHow) -> Result<u64, Errno> {
        // It is there in any case, so that the root's own is never made.
        let (sought, exclusive) = if creates(how) { existing(how) } else { (how, false) };
        match open_scoped(self.tree.fd(), path, sought, SCOPE) {
            Err(Errno::ENOENT) => open_shown(device, how),
            Ok(fd) if exclusive => {
                close(fd);
                Err(Errno::EEXIST)
            }
            result => result,
        }
    }

    /// Opens a name as the kernel resolves it. One that would be made where a link leads gives `ENOENT` if one of the
    /// host's files may show there.
    fn open_or_make(&self, dirfd: u64, path: &CStr, how: OpenHow, scope: u64) -> Result<u64, Errno> {
        if !creates(how) {
            return open_scoped(dirfd, path, how, scope);
        }
        match open_scoped(dirfd, path, how, scope | NO_SYMLINKS) {
            Err(Errno::ELOOP) => {}
            result => return result,
        }
        let missing = open_scoped(dirfd, path, to_look(how), scope).map(close) == Err(Errno::ENOENT);
        if missing && self.may_cross(dirfd, path.to_bytes(), scope) {
            return Err(Errno::ENOENT);
        }
        open_scoped(dirfd, path, how, scope)
    }

    /// Opens a name as the kernel resolves it, unless that is to write what only shows.
    fn open_guarded(&self, dirfd: u64, path: &CStr, how: OpenHow, scope: u64) -> Result<u64, Errno> {
        // Opening alone may change something there.
        if writes(how)
            && open_scoped(dirfd, path, to_look(how), scope).map(Held).is_ok_and(|file| self.is_read_only(file.fd()))
        {
            return Err(Errno::EROFS);
        }
        open_scoped(dirfd, path, how, scope)
    }

    /// Whether an open file, or the directory that the process is in, is not the guest's to change.
    fn is_read_only(&self, fd: u64) -> bool {
        directory_name(fd).is_ok_and(|name| self.overlay.is_read_only(self.tree, &name))
    }

    /// Opens an absolute name that the kernel can resolve alone.
    fn find_in_tree(&self, path: &CStr, how: OpenHow) -> Result<Found, Errno> {
        let bytes = path.to_bytes();
        match self.open_or_make(self.tree.fd(), path, how, SCOPE) {
            Ok(fd) => self.uncovered(fd, how, || self.walk(Parts::new(), bytes, how)),
            // Without `..` in its way a rename elsewhere is no matter.
            Err(Errno::EAGAIN) => self.walk(Parts::new(), bytes, how),
            Err(Errno::ENOENT) if self.may_cross(self.tree.fd(), bytes, SCOPE) => self.walk(Parts::new(), bytes, how),
            Err(errno) => Err(errno),
        }
    }

    /// The file that was opened, unless a link has led to a directory in whose place one of the host shows, or into one
    /// that is mounted there.
    fn uncovered(&self, fd: u64, how: OpenHow, again: impl FnOnce() -> Result<Found, Errno>) -> Result<Found, Errno> {
        if how.flags & libc::O_DIRECTORY as u64 != 0 && self.overlay.is_covered(fd) {
            close(fd);
            return again();
        }
        if writes(how) && self.overlay.is_mounted() && self.is_read_only(fd) {
            close(fd);
            return Err(Errno::EROFS);
        }
        Ok(Found::File(fd))
    }

    /// Where a name that is to be made, removed or moved leads.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(super) fn name(&self, dirfd: u64, path: CString) -> Result<At, Errno> {
        let dirfd = directory(dirfd);
        let Some((parent, last)) = split(path.to_bytes()) else { return Ok(At::as_named(CWD, path)) };
        if parent.is_empty() {
            return if self.is_read_only(dirfd) { Err(Errno::EROFS) } else { Ok(At::as_named(dirfd, path)) };
        }
        let last = c_string(last)?;
        if parent.iter().all(|byte| *byte == b'/') {
            return Ok(At::as_named(self.tree.fd(), last));
        }
        let how = from_openat((libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64, 0);
        match self.find(dirfd, &c_string(parent)?, how)? {
            Found::File(fd) => {
                let held = Held(fd);
                if self.is_read_only(fd) { Err(Errno::EROFS) } else { Ok(At::within(held, last)) }
            }
            Found::Entry(Entry::Descriptor(fd), _) => Ok(At::as_named(fd as u64, last)),
            Found::Entry(Entry::Hidden, _) => Err(Errno::ENOENT),
            Found::Entry(..) => Err(Errno::ENOTDIR),
        }
    }

    /// Whether a name may lead through one of the host's directories, as far as its text says.
    fn may_meet_overlay(&self, path: &[u8]) -> bool {
        let meets = |part: &[u8]| part == b"dev" || self.overlay.covers(part);
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        let climbs = parts.clone().any(|part| part == b"..");
        if climbs { parts.any(meets) } else { parts.next().is_some_and(meets) }
    }

    /// Whether a name may lead to one of the host's devices from a `/dev` that the root has.
    fn may_name_device(&self, dirfd: u64, path: &[u8]) -> bool {
        path.split(|byte| *byte == b'/').any(overlay::is_in_dev)
            && self.place(dirfd).is_ok_and(|(directory, _)| directory == [b"dev"])
    }

    /// Whether a name of which the kernel found nothing may lead through a link to one of the host's directories.
    fn may_cross(&self, dirfd: u64, path: &[u8], scope: u64) -> bool {
        let look = from_openat((libc::O_PATH | libc::O_CLOEXEC) as u64, 0);
        let open = |path: &[u8], flags: i32, scope: u64| {
            let how = OpenHow { flags: look.flags | flags as u64, ..look };
            open_scoped(dirfd, &c_string(path)?, how, scope).map(Held)
        };
        if open(path, 0, scope | NO_SYMLINKS).err() != Some(Errno::ELOOP) {
            return false;
        }
        // A link is on the way. Most often everything is there but the last part.
        let Some((parent, last)) = split(path) else { return false };
        let parent = if parent.is_empty() { b"." } else { parent };
        let Ok(parent) = open(parent, libc::O_DIRECTORY, scope) else { return true };
        let end = last.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
        overlay::is_in_dev(&last[..end])
            || self.overlay.is_covered(parent.fd())
            || c_string(&last[..end]).and_then(|last| read_link(parent.fd(), &last)).is_ok()
    }

    /// The parts that a name begins with before its own.
    fn base(&self, dirfd: u64, path: &[u8]) -> Result<Parts, Errno> {
        if path.starts_with(b"/") {
            return Ok(Parts::new());
        }
        Ok(self.place(dirfd)?.0)
    }

    /// The parts of a directory's name, and whether it has been removed.
    fn place(&self, dirfd: u64) -> Result<(Parts, bool), Errno> {
        let (name, place) = directory_place(dirfd)?;
        // From a directory that the guest has from elsewhere there is no way up.
        let name = self.tree.guest_name(self.overlay, &name).ok_or(Errno::ENOENT)?;
        Ok((parts(&name).collect(), place == Place::Removed))
    }

    /// Follows a name part by part from `at`, and opens what it leads to.
    fn walk(&self, mut at: Parts, path: &[u8], how: OpenHow) -> Result<Found, Errno> {
        let has = |flag: i32| how.flags & flag as u64 != 0;
        let mut todo: Parts = parts(path).collect();
        todo.reverse();
        let mut trailing = path.ends_with(b"/");
        let stays = has(libc::O_NOFOLLOW) || has(libc::O_CREAT) && has(libc::O_EXCL);
        let mut followed = 0;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"." => continue,
                b".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(part),
            }
            let last = todo.is_empty();
            let follow = !last || !stays || trailing;
            match self.kind(&at)? {
                Kind::Link(target) if follow => {
                    followed += 1;
                    if followed > LINKS_FOLLOWED || how.resolve & NO_SYMLINKS != 0 {
                        return Err(Errno::ELOOP);
                    }
                    if target.is_empty() {
                        return Err(Errno::ENOENT);
                    }
                    trailing |= last && target.ends_with(b"/");
                    at.pop();
                    if target.starts_with(b"/") {
                        at.clear();
                    }
                    let from = todo.len();
                    todo.extend(parts(&target));
                    todo[from..].reverse();
                }
                Kind::Entry(entry) => {
                    if last && if entry.is_link() { !follow } else { !trailing } {
                        return Ok(Found::Entry(entry, at.split_off(1)));
                    }
                    match self.through(&entry, &at, last && !trailing)? {
                        Some(parts) => at = parts,
                        None => return Ok(Found::Entry(entry, at.split_off(1))),
                    }
                }
                Kind::Other if !last || trailing => return Err(Errno::ENOTDIR),
                // A `/dev` that is not there has the host's entries all the same.
                Kind::Missing if !last && at != [b"dev"] => return Err(Errno::ENOENT),
                Kind::Directory | Kind::Other | Kind::Missing | Kind::Link(_) => {}
            }
        }
        self.open(&at, trailing, how).map(Found::File)
    }

    /// The parts that go on where a link of `/proc` leads; `None` if it leads to an open file, and the name ends there.
    fn through(&self, entry: &Entry, at: &Parts, ends: bool) -> Result<Option<Parts>, Errno> {
        match entry {
            Entry::Root => Ok(Some(Parts::new())),
            Entry::Directory => self.base(CWD, b".").map(Some),
            Entry::Program => {
                let program = self.kernel.map_or(b"".as_slice(), |kernel| kernel.program.as_os_str().as_bytes());
                Ok(Some(parts(program).collect()))
            }
            Entry::Descriptor(_) if ends => Ok(None),
            Entry::Descriptor(fd) => self.base(*fd as u64, b".").map(Some),
            Entry::Foreign if at.last().is_some_and(|part| part == b"root") => Ok(Some(Parts::new())),
            Entry::Foreign | Entry::Namespace if ends => Ok(None),
            Entry::Foreign | Entry::Refused => Err(Errno::EACCES),
            Entry::Hidden => Err(Errno::ENOENT),
            Entry::Content(_) | Entry::Plain | Entry::Namespace => Err(Errno::ENOTDIR),
        }
    }

    /// What is found under the name `at`, whose directory part is without links.
    fn kind(&self, at: &Parts) -> Result<Kind, Errno> {
        let look = from_openat((libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64, 0);
        match self.spot(at) {
            Spot::Link(target) => return Ok(Kind::Link(target.to_vec())),
            Spot::Nowhere => return Ok(Kind::Missing),
            Spot::Host(_, taken) if taken == at.len() => {
                let device = taken == 2 && !DIRECTORIES.contains(&at[1].as_slice());
                return Ok(if device { Kind::Other } else { Kind::Directory });
            }
            Spot::Host(..) if at[0] == b"proc" => {
                let entry = match self.kernel {
                    Some(kernel) => procfs::entry(kernel, &at[1..]),
                    None => procfs::entry_of_others(&at[1..]),
                };
                if entry != Entry::Plain {
                    return Ok(Kind::Entry(entry));
                }
            }
            Spot::Host(..) | Spot::Tree => {}
        }
        let held = match self.open(at, false, look) {
            Ok(fd) => Held(fd),
            Err(Errno::ENOENT) => return Ok(Kind::Missing),
            Err(errno) => return Err(errno),
        };
        let mode = dir::status_of(held.fd())?.mode;
        Ok(if is_kind(mode, libc::S_IFLNK) {
            Kind::Link(read_link(held.fd(), c"")?)
        } else if is_kind(mode, libc::S_IFDIR) {
            Kind::Directory
        } else {
            Kind::Other
        })
    }

    /// Where the file of a name without links lies.
    fn spot(&self, at: &Parts) -> Spot {
        let parts: Vec<&[u8]> = at.iter().map(Vec::as_slice).collect();
        match parts.as_slice() {
            [b"proc", part, ..] if self.overlay.covers(b"proc") && Overlay::hides(part) => Spot::Nowhere,
            [b"proc", ..] if self.overlay.covers(b"proc") => Spot::Host(c"/proc".to_owned(), 1),
            [b"sys", ..] if self.overlay.covers(b"sys") => Spot::Host(c"/sys".to_owned(), 1),
            [b"dev", name, rest @ ..] => {
                let link = LINKS.iter().find(|(link, _)| link == name).filter(|_| rest.is_empty());
                if link.is_none() && !DEVICES.contains(name) || self.has_own(&at[..2]) {
                    return Spot::Tree;
                }
                match (link, CString::new([b"/dev/", *name].concat())) {
                    (Some((_, target)), _) => Spot::Link(target),
                    (None, Ok(device)) => Spot::Host(device, 2),
                    (None, Err(_)) => Spot::Nowhere,
                }
            }
            _ => Spot::Tree,
        }
    }

    /// Whether the root itself has a file of this name.
    fn has_own(&self, at: &[Vec<u8>]) -> bool {
        let look = from_openat((libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64, 0);
        joined(at).and_then(|path| open_scoped(self.tree.fd(), &path, look, SCOPE)).map(close).is_ok()
    }

    /// Opens the file of a name without links.
    fn open(&self, at: &Parts, trailing: bool, how: OpenHow) -> Result<u64, Errno> {
        let end: &[u8] = if trailing { b"/" } else { b"" };
        let below = |parts: &[Vec<u8>]| c_string([parts.join(&b'/').as_slice(), end].concat());
        match self.spot(at) {
            Spot::Nowhere => Err(Errno::ENOENT),
            // The host has the same link, whose text is that which was followed.
            Spot::Link(_) => {
                let flags = how.flags | libc::O_NOFOLLOW as u64;
                open_shown(&joined(at)?, OpenHow { flags, ..how })
            }
            Spot::Tree => open_scoped(self.tree.fd(), &c_string([b"/", below(at)?.as_bytes()].concat())?, how, SCOPE),
            Spot::Host(..) if writes(how) && overlay::is_read_only(at.iter().map(Vec::as_slice)) => Err(Errno::EROFS),
            Spot::Host(name, taken) if taken == at.len() => {
                if let (Some(kernel), true) = (self.kernel, name.as_c_str() == c"/proc") {
                    // Whoever opens it may list it.
                    kernel.lists_itself.store(true, Ordering::Relaxed);
                }
                open_shown(&c_string([name.as_bytes(), end].concat())?, how)
            }
            // Nothing on the way is a link, or this is not the file that was found.
            Spot::Host(name, taken) => {
                let path = c_string([name.as_bytes(), b"/", below(&at[taken..])?.as_bytes()].concat())?;
                open_scoped(CWD, &path, how, NO_MAGICLINKS | NO_SYMLINKS)
            }
        }
    }
}

/// The host's name of a device that is opened by the name that it always has.
fn device(path: &[u8]) -> Option<CString> {
    let name = path.strip_prefix(b"/dev/")?;
    if DEVICES.contains(&name) { CString::new(path).ok() } else { None }
}

/// Opens what the host has under a name that always shows: it is nothing that the guest could make.
fn open_shown(name: &CStr, how: OpenHow) -> Result<u64, Errno> {
    if !creates(how) {
        return open_on_host(CWD, name, how, false);
    }
    let (sought, exclusive) = existing(how);
    let part = name.to_bytes().split(|byte| *byte == b'/').nth(2);
    if !exclusive && part.is_some_and(|part| DIRECTORIES.contains(&part)) {
        return Err(Errno::EISDIR);
    }
    let fd = open_on_host(CWD, name, sought, false)?;
    if !exclusive {
        return Ok(fd);
    }
    close(fd);
    Err(Errno::EEXIST)
}

/// Whether a file is made if it is not there.
fn creates(how: OpenHow) -> bool {
    how.flags & libc::O_PATH as u64 == 0 && how.flags & libc::O_CREAT as u64 != 0
}

/// How a file that is there is opened in place of one that would be made; or looked at, and whether that it is there is
/// the mistake.
fn existing(how: OpenHow) -> (OpenHow, bool) {
    let exclusive = how.flags & libc::O_EXCL as u64 != 0;
    if exclusive {
        (to_look(how), true)
    } else {
        (OpenHow { flags: how.flags & !(libc::O_CREAT as u64), mode: 0, ..how }, false)
    }
}

/// How the file is found that would be opened so, without opening it.
fn to_look(how: OpenHow) -> OpenHow {
    let exclusive = creates(how) && how.flags & libc::O_EXCL as u64 != 0;
    let stays = if exclusive { libc::O_NOFOLLOW as u64 } else { how.flags & libc::O_NOFOLLOW as u64 };
    OpenHow { flags: (libc::O_PATH | libc::O_CLOEXEC) as u64 | stays, mode: 0, ..how }
}

/// Whether opening a file so could change it.
pub(super) fn writes(how: OpenHow) -> bool {
    how.flags & libc::O_PATH as u64 == 0
        && how.flags & (libc::O_ACCMODE | libc::O_TRUNC | libc::O_CREAT) as u64 != libc::O_RDONLY as u64
}

/// The parts of a name that are not empty.
fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec)
}

/// The absolute name with these parts.
fn joined(parts: &[Vec<u8>]) -> Result<CString, Errno> {
    c_string([b"/", parts.join(&b'/').as_slice()].concat())
}

/// A name; the host takes none with a NUL byte, and no name of the guest has one.
fn c_string(bytes: impl Into<Vec<u8>>) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::ENOENT)
}
