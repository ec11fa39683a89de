//! Which file of the host a guest's file name means, for every call that takes one.
//!
//! There are three views. By default names mean what they mean on the host. With a *sysroot*, absolute names are looked
//! up below a directory first and mean the host's file where there is none. With a *root*, the guest is confined: no
//! name leads out of the directory, whatever `..`, symbolic links and other processes do meanwhile.
//!
//! A confined name is never checked first and used afterwards. The host's kernel resolves it below a descriptor of the
//! root (`openat2(2)`), either in the very call that the guest asked for or to a descriptor that the call then works on;
//! for calls that create, remove or rename a name, a descriptor of the directory that holds it. What the kernel cannot
//! know, the host's `/dev`, `/proc` and `/sys` inside the root, is the business of [`walk`]; that only rewrites names.

mod lookup;
mod overlay;
mod tree;
mod walk;

use std::ffi::{CStr, CString};
use std::path::Path;

use crate::calls::procfs::links::{self, Opened};
use crate::calls::procfs::{self, Entry};
use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Kernel, close, name_of};
use crate::layout::OpenHow;
use crate::process::LoadError;

pub(crate) use lookup::{IN_ROOT, NO_MAGICLINKS, NO_SYMLINKS};
pub(crate) use lookup::{directory, from_openat, lowest, open_on_host, open_scoped, read_link};
use overlay::Overlay;
pub(crate) use overlay::is_proc;
pub(crate) use tree::{Tree, raise};
use walk::Walk;

/// `AT_FDCWD`, as an argument.
pub(crate) const CWD: u64 = libc::AT_FDCWD as u64;

/// How a file is opened that is to be executed: without waiting, whatever it is.
pub(crate) const TO_EXECUTE: i32 = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;

/// What the guest's file names mean.
#[derive(Clone, Debug)]
pub(crate) enum View {
    /// What they mean on the host.
    Host,
    /// Absolute ones are looked up below a directory first.
    Sysroot(Tree),
    /// All of them mean files below a directory, but for the host's that [`Overlay`] shows there.
    Confined(Tree, Overlay),
}

/// Which file a name's last part means, where it is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// The file that the link leads to.
    Follow,
    /// The link.
    Itself,
    /// The name as such, which is to be made, removed or moved.
    Name,
}

/// Where the host's kernel finds the file of one call, for as long as this lives.
#[derive(Debug)]
pub(crate) struct At {
    /// What goes into the call as directory.
    pub(crate) dirfd: u64,
    /// What goes into the call as name.
    pub(crate) name: CString,
    /// The file's own descriptor, if `name` leads to it: then a link at its end has been followed already, or not.
    file: Option<Held>,
    /// The guest's own descriptor that `name` leads to.
    descriptor: Option<u64>,
    /// The descriptor behind `dirfd`, if it was opened for this call.
    _directory: Option<Held>,
    /// Whether the name was found below a sysroot.
    in_sysroot: bool,
}

/// A descriptor that lives for one call.
#[derive(Debug)]
pub(crate) struct Held(u64);

impl Held {
    /// Closes `fd` in the end.
    pub(crate) const fn new(fd: u64) -> Self {
        Self(fd)
    }

    /// The descriptor.
    pub(crate) const fn fd(&self) -> u64 {
        self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        close(self.0);
    }
}

impl At {
    /// What the host's kernel takes the guest's own words to mean.
    fn as_named(dirfd: u64, name: CString) -> Self {
        Self { dirfd, name, file: None, descriptor: None, _directory: None, in_sysroot: false }
    }

    /// A file that is open for this call.
    fn held(file: Held) -> Result<Self, Errno> {
        Ok(Self { name: descriptor_name(file.0)?, file: Some(file), ..Self::as_named(CWD, CString::default()) })
    }

    /// A name in a directory that is open for this call.
    fn within(directory: Held, name: CString) -> Self {
        let dirfd = directory.0;
        Self { _directory: Some(directory), ..Self::as_named(dirfd, name) }
    }

    /// The descriptor of the file itself, good for queries, if the name was resolved to one.
    pub(crate) fn file(&self) -> Option<u64> {
        self.file.as_ref().map(|file| file.0)
    }

    /// A descriptor of the file, if it is not by a name that the call leads there.
    pub(crate) fn descriptor(&self) -> Option<u64> {
        let unnamed = self.name.is_empty().then_some(self.dirfd);
        self.file().or(self.descriptor).or(unnamed)
    }
}

/// A name by which every call that follows links reaches the file of descriptor `fd`.
fn descriptor_name(fd: u64) -> Result<CString, Errno> {
    CString::new(format!("/proc/self/fd/{fd}")).map_err(|_| Errno::EINVAL)
}

/// What a confined name turned out to be.
enum Found {
    /// A file, opened as asked.
    File(u64),
    /// Something below `/proc` that is not the host's to answer, with its parts below that.
    Entry(Entry, Vec<Vec<u8>>),
}

impl View {
    /// The view with these directories; a root leaves no use for a sysroot.
    ///
    /// # Errors
    /// If one of them is no directory, or the host's kernel too old to look names up in it.
    pub(crate) fn new(sysroot: Option<&Path>, root: Option<&Path>) -> Result<Self, LoadError> {
        Ok(match (sysroot, root) {
            (_, Some(root)) => {
                let tree = Tree::open(root).map_err(|errno| match errno {
                    Errno::ENOSYS => LoadError::Host { what: "openat2", errno },
                    _ => LoadError::Root { path: root.to_owned() },
                })?;
                let overlay = Overlay::of(&tree);
                Self::Confined(tree, overlay)
            }
            (Some(sysroot), None) => Self::Sysroot(Tree::open(sysroot).map_err(|errno| match errno {
                Errno::ENOSYS => LoadError::Host { what: "openat2", errno },
                _ => LoadError::Sysroot { path: sysroot.to_owned() },
            })?),
            (None, None) => Self::Host,
        })
    }

    /// What usually helps if the interpreter of a program is not there.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Host | Self::Sysroot(_) => "the directory that holds it can be given as sysroot: -L DIR",
            Self::Confined(..) => "it is looked up below the root: --root needs a directory that holds it too",
        }
    }

    /// Whether an entry of the host's `/proc` is left out.
    pub(crate) fn hides(&self, entry: &[u8]) -> bool {
        matches!(self, Self::Confined(_, overlay) if overlay.covers(b"proc")) && Overlay::hides(entry)
    }

    /// Whether no name leads out of a directory.
    pub(crate) const fn is_confined(&self) -> bool {
        matches!(self, Self::Confined(..))
    }

    /// The descriptor that this view keeps open, which is not the guest's.
    pub(crate) fn own_descriptor(&self) -> Option<i32> {
        match self {
            Self::Host => None,
            Self::Sysroot(tree) | Self::Confined(tree, _) => Some(tree.fd() as i32),
        }
    }

    /// Makes room at descriptor `fd` for the guest.
    pub(crate) fn leave_descriptor(&self, fd: i32) -> Result<(), Errno> {
        match self {
            Self::Sysroot(tree) | Self::Confined(tree, _) if tree.fd() as i32 == fd => tree.relocate(),
            Self::Host | Self::Sysroot(_) | Self::Confined(..) => Ok(()),
        }
    }

    /// Makes sure that the process is in a directory that the guest can be in: the root, if it is outside it.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        if let Self::Confined(tree, overlay) = self
            && lookup::directory_name(CWD).ok().and_then(|name| tree.guest_name(overlay, &name)).is_none()
        {
            host::call(&host::FCHDIR, &mut [Arg::Int(tree.fd())])?;
        }
        Ok(())
    }

    /// What the guest calls the file that the host calls `name`; `None` if it cannot reach it by name.
    pub(crate) fn guest_name(&self, name: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Host | Self::Sysroot(_) => Some(name.to_vec()),
            Self::Confined(tree, overlay) => tree.guest_name(overlay, name),
        }
    }

    /// As [`View::guest_name`] for a name that is only shown, such as a link's text or a mapping's name.
    pub(crate) fn shown_name(&self, name: &[u8]) -> Vec<u8> {
        self.guest_name(name).unwrap_or_else(|| name.to_vec())
    }

    /// Whether an open file, or the directory that the process is in, only shows in the root: the guest does not change
    /// what is known about it.
    pub(crate) fn is_fixed(&self, fd: u64) -> bool {
        match self {
            Self::Host | Self::Sysroot(_) => false,
            Self::Confined(tree, overlay) => lookup::directory_name(fd).is_ok_and(|name| overlay.is_fixed(tree, &name)),
        }
    }

    /// # Errors
    /// `EROFS` if an open file only shows in the root and is to be opened again to be written.
    fn may_open_again(&self, fd: u64, how: OpenHow) -> Result<(), Errno> {
        match self {
            Self::Confined(tree, overlay)
                if walk::writes(how)
                    && lookup::directory_name(fd).is_ok_and(|name| overlay.is_read_only(tree, &name)) =>
            {
                Err(Errno::EROFS)
            }
            Self::Host | Self::Sysroot(_) | Self::Confined(..) => Ok(()),
        }
    }

    /// Opens a file for a process that does not exist yet.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(crate) fn open_before_start(&self, path: &CStr, flags: i32) -> Result<u64, Errno> {
        let how = from_openat(flags as u64, 0);
        match self {
            Self::Host => open_on_host(CWD, path, how, false),
            Self::Sysroot(tree) => match in_sysroot(tree, path, how) {
                Some(result) => result,
                None => open_on_host(CWD, path, how, false),
            },
            Self::Confined(tree, overlay) => match (Walk { tree, overlay, kernel: None }).find(CWD, path, how)? {
                Found::File(fd) => Ok(fd),
                Found::Entry(..) => Err(Errno::EACCES),
            },
        }
    }
}

impl Kernel {
    /// Opens what the guest calls `path`, seen from `dirfd`. With `strict`, by the rules of `openat2`.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(crate) fn open(&self, dirfd: u64, path: &CStr, how: OpenHow, strict: bool) -> Result<u64, Errno> {
        if let View::Confined(tree, overlay) = &self.view {
            return match (Walk { tree, overlay, kernel: Some(self) }).find(dirfd, path, how)? {
                Found::File(fd) => Ok(fd),
                Found::Entry(entry, parts) => self.open_entry(&entry, &parts, how),
            };
        }
        // Inside a directory of the guest's choice an absolute name means something else.
        if how.resolve & IN_ROOT == 0 {
            if let Some((entry, parts)) = procfs::named(self, dirfd, path) {
                let own = self.open_below_proc(&entry, &parts, how);
                return own.unwrap_or_else(|| open_on_host(dirfd, path, how, strict));
            }
            if let View::Sysroot(tree) = &self.view
                && let Some(result) = in_sysroot(tree, path, how)
            {
                return result;
            }
        }
        match links::open(self, dirfd, path, how, strict)? {
            Opened::File(fd) => Ok(fd),
            Opened::Entry(entry, parts) => {
                let own = self.open_below_proc(&entry, &parts, how);
                own.unwrap_or_else(|| open_on_host(dirfd, path, how, strict))
            }
        }
    }

    /// Opens something below `/proc`, of a guest that is not confined; `None` if what the host opens is meant.
    fn open_below_proc(&self, entry: &Entry, parts: &[Vec<u8>], how: OpenHow) -> Option<Result<u64, Errno>> {
        let follows = how.flags & libc::O_NOFOLLOW as u64 == 0;
        match entry {
            Entry::Foreign if follows => other_program(parts).map(|program| open_on_host(CWD, &program, how, false)),
            Entry::Descriptor(fd) if follows => {
                links::behind(self, *fd).map(|(entry, parts)| self.open_entry(&entry, &parts, how))
            }
            Entry::Plain
            | Entry::Root
            | Entry::Directory
            | Entry::Descriptor(_)
            | Entry::Foreign
            | Entry::Namespace => None,
            Entry::Hidden | Entry::Refused | Entry::Content(_) | Entry::Program => {
                Some(self.open_entry(entry, parts, how))
            }
        }
    }

    /// Opens something below `/proc` that is not the host's to answer.
    fn open_entry(&self, entry: &Entry, parts: &[Vec<u8>], how: OpenHow) -> Result<u64, Errno> {
        let has = |flag: i32| how.flags & flag as u64 != 0;
        let name = procfs::host_name(parts)?;
        let stays = has(libc::O_NOFOLLOW);
        match entry {
            Entry::Hidden => Err(Errno::ENOENT),
            Entry::Content(_) if has(libc::O_PATH) => open_on_host(CWD, &name, how, false),
            Entry::Content(_) if has(libc::O_CREAT) && has(libc::O_EXCL) => Err(Errno::EEXIST),
            Entry::Content(_) if has(libc::O_DIRECTORY) => Err(Errno::ENOTDIR),
            Entry::Content(content) => procfs::open(self, content, parts, how.flags),
            _ if stays && entry.is_link() => {
                // The link itself can be named and nothing else.
                if has(libc::O_PATH) { open_on_host(CWD, &name, how, false) } else { Err(Errno::ELOOP) }
            }
            Entry::Program => match &self.view {
                View::Confined(tree, _) => open_scoped(tree.fd(), &self.program_name()?, how, tree::SCOPE),
                View::Host | View::Sysroot(_) => open_on_host(CWD, &self.program_name()?, how, false),
            },
            Entry::Descriptor(fd) => {
                self.view.may_open_again(*fd as u64, how)?;
                match links::behind(self, *fd) {
                    Some((entry, parts)) => self.open_entry(&entry, &parts, how),
                    None => open_on_host(CWD, &descriptor_name(*fd as u64)?, how, false),
                }
            }
            Entry::Namespace => open_on_host(CWD, &name, how, false),
            Entry::Foreign => {
                let name = other_program(parts).unwrap_or(name);
                let path_only = from_openat(libc::O_PATH as u64 | libc::O_CLOEXEC as u64, 0);
                let held = Held(open_on_host(CWD, &name, path_only, false)?);
                let target = name_of(held.0).ok_or(Errno::EACCES)?;
                if self.view.guest_name(target.to_bytes()).is_none() {
                    return Err(Errno::EACCES);
                }
                self.view.may_open_again(held.0, how)?;
                let fd = open_on_host(CWD, &descriptor_name(held.0)?, how, false)?;
                drop(held);
                lowest(fd, how.flags)
            }
            Entry::Refused | Entry::Plain | Entry::Root | Entry::Directory => Err(Errno::EACCES),
        }
    }

    /// Where the host finds what the guest calls `path`, seen from `dirfd`.
    ///
    /// # Errors
    /// The kernel's error number, where the name had to be looked up for this.
    pub(crate) fn at(&self, dirfd: u64, path: CString, last: Last) -> Result<At, Errno> {
        // An empty name means the directory's descriptor or nothing: in no view does it lead anywhere else.
        if path.is_empty() {
            return Ok(At::as_named(dirfd, path));
        }
        if let View::Confined(tree, overlay) = &self.view {
            let walk = Walk { tree, overlay, kernel: Some(self) };
            return if last == Last::Name { walk.name(dirfd, path) } else { self.confined(&walk, dirfd, &path, last) };
        }
        if let Some((entry, parts)) = procfs::named(self, dirfd, &path)
            && let Some(at) = self.at_below_proc(&entry, &parts, last)
        {
            return at;
        }
        if let View::Sysroot(tree) = &self.view
            && let Some(at) = at_in_sysroot(tree, &path, last)
        {
            return Ok(at);
        }
        if let Some((entry, parts)) = links::suspected(self, dirfd, &path, last)
            && let Some(at) = self.at_below_proc(&entry, &parts, last)
        {
            return at;
        }
        Ok(At::as_named(dirfd, path))
    }

    /// Where the host finds something below `/proc`, for a guest that is not confined; `None` if it is where its name
    /// says.
    fn at_below_proc(&self, entry: &Entry, parts: &[Vec<u8>], last: Last) -> Option<Result<At, Errno>> {
        match entry {
            Entry::Hidden => Some(Err(Errno::ENOENT)),
            Entry::Program if last == Last::Follow => {
                Some(self.program_name().map(|program| At::as_named(CWD, program)))
            }
            Entry::Foreign if last == Last::Follow => {
                other_program(parts).map(|program| Ok(At::as_named(CWD, program)))
            }
            Entry::Plain
            | Entry::Refused
            | Entry::Content(_)
            | Entry::Program
            | Entry::Root
            | Entry::Directory
            | Entry::Descriptor(_)
            | Entry::Foreign
            | Entry::Namespace => None,
        }
    }

    /// Where the program is that a name means which has led to the file of the emulator; `None` if the name means that.
    pub(crate) fn at_program(&self, dirfd: u64, path: &CStr) -> Option<At> {
        let (entry, parts) = links::find(self, dirfd, path, Last::Follow)?;
        self.at_below_proc(&entry, &parts, Last::Follow)?.ok()
    }

    fn confined(&self, walk: &Walk<'_>, dirfd: u64, path: &CStr, last: Last) -> Result<At, Errno> {
        let follow = if last == Last::Follow { 0 } else { libc::O_NOFOLLOW };
        let how = from_openat((libc::O_PATH | libc::O_CLOEXEC | follow) as u64, 0);
        let fd = match walk.find(dirfd, path, how)? {
            Found::File(fd) => fd,
            Found::Entry(Entry::Descriptor(fd), _) if last == Last::Follow => {
                let fd = fd as u64;
                return Ok(At { descriptor: Some(fd), ..At::as_named(CWD, descriptor_name(fd)?) });
            }
            // Nothing but its content is refused.
            Found::Entry(Entry::Refused, parts) => open_on_host(CWD, &procfs::host_name(&parts)?, how, false)?,
            Found::Entry(entry, parts) => self.open_entry(&entry, &parts, how)?,
        };
        At::held(Held(fd))
    }

    /// Where the second of two names leads, of which the first led to `first`: a file that is moved or linked within
    /// the sysroot stays there.
    ///
    /// # Errors
    /// As [`Kernel::at`].
    pub(crate) fn at_beside(&self, first: &At, dirfd: u64, path: CString) -> Result<At, Errno> {
        if let View::Sysroot(tree) = &self.view
            && first.in_sysroot
            && path.to_bytes().starts_with(b"/")
            && let Some(at) = tree.name(&path)
        {
            return Ok(at);
        }
        self.at(dirfd, path, Last::Name)
    }

    /// What `/proc/self/exe` and the like, or another link, says, seen by the guest; `None` if `path` is no such link
    /// and means what it means on the host.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(crate) fn link_text(&self, dirfd: u64, path: &CStr) -> Result<Option<Vec<u8>>, Errno> {
        let (entry, parts) = match &self.view {
            // A descriptor may be one of the link itself.
            _ if path.is_empty() => match links::of_descriptor(self, dirfd as i32) {
                Some((entry, parts)) if entry.is_link() => (entry, parts),
                Some(_) | None => return Ok(None),
            },
            View::Confined(tree, overlay) => {
                let how = from_openat((libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64, 0);
                match (Walk { tree, overlay, kernel: Some(self) }).find(dirfd, path, how)? {
                    Found::File(fd) => return link_of(&Held(fd)).map(Some),
                    Found::Entry(entry, parts) => (entry, parts),
                }
            }
            View::Host | View::Sysroot(_) => match procfs::named(self, dirfd, path) {
                Some(found) => found,
                None => {
                    let at = self.at(dirfd, path.to_owned(), Last::Itself)?;
                    if let Some(file) = &at.file {
                        return link_of(file).map(Some);
                    }
                    match links::suspected(self, dirfd, path, Last::Itself) {
                        Some(found) => found,
                        None => return Ok(None),
                    }
                }
            },
        };
        match entry {
            Entry::Hidden => Err(Errno::ENOENT),
            Entry::Program => Ok(Some(self.program_name()?.into_bytes())),
            Entry::Root if self.view.is_confined() => Ok(Some(b"/".to_vec())),
            Entry::Root | Entry::Plain | Entry::Content(_) | Entry::Refused => Ok(None),
            Entry::Directory | Entry::Descriptor(_) | Entry::Foreign | Entry::Namespace => {
                let text = lookup::read_link(CWD, &procfs::host_name(&parts)?)?;
                // Another process's root is the host's, unless it is a guest under the same root.
                if self.view.is_confined() && parts.last().is_some_and(|part| part == b"root") {
                    return Ok(Some(b"/".to_vec()));
                }
                let text = procfs::program_of_other(&parts, &text).unwrap_or(text);
                Ok(Some(procfs::content_name(&text).unwrap_or_else(|| self.view.shown_name(&text))))
            }
        }
    }

    /// The name of the directory that the process is in, as the guest sees it.
    ///
    /// # Errors
    /// `ENOENT` if it has been removed.
    pub(crate) fn directory(&self) -> Result<Vec<u8>, Errno> {
        let name = lookup::directory_name(CWD)?;
        // As the kernel for a directory that is outside the process's root.
        Ok(self.view.guest_name(&name).unwrap_or_else(|| [b"(unreachable)".as_slice(), &name].concat()))
    }

    /// What the host is to be given for a socket's file name, and what keeps that good while the call is made.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(crate) fn unix_path(&self, path: &CStr, last: Last) -> Result<(Vec<u8>, At), Errno> {
        let at = self.at(CWD, path.to_owned(), last)?;
        let name = match at.dirfd {
            CWD => at.name.to_bytes().to_vec(),
            directory => {
                let name = [descriptor_name(directory)?.to_bytes(), b"/", at.name.to_bytes()].concat();
                // The socket is known to the host by this name for good.
                let mut sockets = self.sockets();
                sockets.retain(|(known, _)| *known != name);
                sockets.push((name.clone(), path.to_bytes().to_vec()));
                name
            }
        };
        Ok((name, at))
    }

    /// What the guest calls a socket that the host calls `name`, a string that may end with zeros.
    ///
    /// Of a name that another process gave inside a root only the last part is known.
    pub(crate) fn socket_name(&self, name: &[u8]) -> Vec<u8> {
        let (text, zeros) = name.split_at(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        let known = self.sockets().iter().find(|(known, _)| known == text).map(|(_, path)| path.clone());
        let path = known.unwrap_or_else(|| match (&self.view, text.strip_prefix(b"/proc/self/fd/")) {
            (View::Confined(..), Some(rest)) => rest.rsplit(|byte| *byte == b'/').next().unwrap_or(rest).to_vec(),
            (View::Sysroot(tree), _) => tree.below(text).unwrap_or(text).to_vec(),
            _ => text.to_vec(),
        });
        [path.as_slice(), zeros].concat()
    }

    fn program_name(&self) -> Result<CString, Errno> {
        CString::new(std::os::unix::ffi::OsStrExt::as_bytes(self.program.as_os_str())).map_err(|_| Errno::ENOENT)
    }
}

/// The text of a link that is open itself.
fn link_of(file: &Held) -> Result<Vec<u8>, Errno> {
    // That there is no such link is the error of an empty name.
    lookup::read_link(file.fd(), c"").map_err(|errno| if errno == Errno::ENOENT { Errno::EINVAL } else { errno })
}

/// The program of another guest whose link to it has these parts below `/proc`, by the host's name.
fn other_program(parts: &[Vec<u8>]) -> Option<CString> {
    let emulator = lookup::read_link(CWD, &procfs::host_name(parts).ok()?).ok()?;
    CString::new(procfs::program_of_other(parts, &emulator)?).ok()
}

/// Opens an absolute name below the sysroot; `None` if the host's file is meant: where there is none below, or where
/// the host's own devices and processes are.
///
/// As qemu-user's `-L`, a sysroot is looked at and not added to: new files are the host's.
fn in_sysroot(tree: &Tree, path: &CStr, how: OpenHow) -> Option<Result<u64, Errno>> {
    let bytes = path.to_bytes();
    if !bytes.starts_with(b"/") || overlay::is_hosts(bytes) {
        return None;
    }
    let create = (libc::O_CREAT | libc::O_EXCL) as u64;
    if how.flags & create == create {
        let look = from_openat((libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64, 0);
        return open_scoped(tree.fd(), path, look, tree::SCOPE).ok().map(|fd| {
            close(fd);
            Err(Errno::EEXIST)
        });
    }
    let stays = how.flags & libc::O_NOFOLLOW as u64 != 0;
    let flags = how.flags & !(libc::O_CREAT as u64);
    let how = OpenHow { flags, mode: if flags & lookup::TMPFILE == 0 { 0 } else { how.mode }, ..how };
    match open_scoped(tree.fd(), path, how, tree::SCOPE) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EXDEV) => None,
        Err(Errno::ELOOP) if !stays => None,
        result => Some(result),
    }
}

/// Where an absolute name leads below the sysroot; `None` if the host's file is meant.
fn at_in_sysroot(tree: &Tree, path: &CStr, last: Last) -> Option<At> {
    let follow = if last == Last::Follow { 0 } else { libc::O_NOFOLLOW };
    let how = from_openat((libc::O_PATH | libc::O_CLOEXEC | follow) as u64, 0);
    let file = Held(in_sysroot(tree, path, how)?.ok()?);
    if last == Last::Name {
        return tree.name(path);
    }
    At::held(file).ok().map(|at| At { in_sysroot: true, ..at })
}
