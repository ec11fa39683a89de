//! [`Tree`]: a directory of the host that guest names are looked up below, and its descriptor.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::close;

use super::lookup::{IN_ROOT, NO_MAGICLINKS, from_openat, open_on_host, open_scoped, split};
use super::overlay::Overlay;
use super::{At, CWD, Held};

/// Limits of every lookup below a tree.
pub(super) const SCOPE: u64 = IN_ROOT | NO_MAGICLINKS;

/// Descriptors above this are not taken for a tree: a kernel copies the table up to its highest one at every fork.
const HIGHEST: u64 = 1023;
/// How far below that one is sought.
const ROOM: u64 = 256;

/// A directory and the descriptor that this process keeps of it, at a number that programs do not come by.
#[derive(Debug)]
pub(crate) struct Tree {
    fd: AtomicU64,
    /// The host's name of it, without a slash at the end.
    path: Vec<u8>,
}

impl Clone for Tree {
    /// The same directory and descriptor, for a process that has copies of this one's descriptors.
    fn clone(&self) -> Self {
        Self { fd: AtomicU64::new(self.fd()), path: self.path.clone() }
    }
}

impl Tree {
    /// Opens the directory `path`.
    ///
    /// # Errors
    /// The kernel's error number; `ENOSYS` if it cannot look names up below a directory.
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let path = std::fs::canonicalize(path)?;
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::ENOENT)?;
        let how = from_openat((libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64, 0);
        let low = Held(open_on_host(CWD, &name, how, false)?);
        // Whether the kernel has the call at all.
        close(open_scoped(low.fd(), c"/", how, SCOPE)?);
        let path = path.as_os_str().as_bytes().strip_suffix(b"/").unwrap_or(path.as_os_str().as_bytes()).to_vec();
        // A program that lowers its limit may look at every number below it.
        let fd = host::with_descriptors(HIGHEST + 1, || raise(low.fd()).map_or_else(|| copy(low.fd(), 0), Ok))?;
        Ok(Self { fd: AtomicU64::new(fd), path })
    }

    /// The directory's descriptor.
    pub(super) fn fd(&self) -> u64 {
        self.fd.load(Ordering::Relaxed)
    }

    /// Moves the descriptor elsewhere: the guest wants its number. The old one is closed by what takes its place.
    pub(super) fn relocate(&self) -> Result<(), Errno> {
        self.fd.store(raise(self.fd()).map_or_else(|| copy(self.fd(), 0), Ok)?, Ordering::Relaxed);
        Ok(())
    }

    /// What the guest calls the file that the host calls `name`, if it lies in the tree or is shown there.
    pub(super) fn guest_name(&self, overlay: &Overlay, name: &[u8]) -> Option<Vec<u8>> {
        match self.below(name) {
            Some(b"") => Some(b"/".to_vec()),
            Some(rest) => Some(rest.to_vec()),
            None => overlay.shows(name).then(|| name.to_vec()),
        }
    }

    /// The rest of a name of the host that lies in the tree: nothing, or a slash and more.
    pub(super) fn below<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        name.strip_prefix(self.path.as_slice()).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Where an absolute name that is to be made, removed or moved leads, if its directory is in the tree.
    pub(super) fn name(&self, path: &CStr) -> Option<At> {
        let (directory, name) = split(path.to_bytes())?;
        let how = from_openat((libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64, 0);
        let directory = Held(open_scoped(self.fd(), &CString::new(directory).ok()?, how, SCOPE).ok()?);
        let name = CString::new(name).ok()?;
        Some(At { in_sysroot: true, ..At::within(directory, name) })
    }
}

/// A copy of descriptor `fd` at a high number; `None` if none of them is free.
pub(crate) fn raise(fd: u64) -> Option<u64> {
    let limit = host::descriptor_limit().unwrap_or(HIGHEST + 1);
    let top = HIGHEST.min(limit.saturating_sub(1));
    // Each attempt takes the first free number from there on, so few are needed.
    let attempts = [0, 1, 2, 4, 8, 16, 32, 64, 128, ROOM];
    attempts.into_iter().filter_map(|below| top.checked_sub(below)).find_map(|least| copy(fd, least).ok())
}

/// The same at the first free number from `least` on.
fn copy(fd: u64, least: u64) -> Result<u64, Errno> {
    host::call(&host::FCNTL, &mut [Arg::Int(fd), Arg::Int(libc::F_DUPFD_CLOEXEC as u64), Arg::Int(least)])
}
