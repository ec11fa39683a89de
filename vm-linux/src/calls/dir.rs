//! Directories, and what is known about files by name: status and links.

use std::ffi::{CStr, CString};
use std::sync::atomic::Ordering;

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult, before_name, wrong_name};
use crate::layout::riscv64::Stat;
use crate::layout::{Layout, OpenHow, Statx};
use crate::paths::{At, CWD, Held, Last};
use crate::thread::Thread;
use crate::user::PATH_MAX;

use super::procfs;

/// `STATX_BASIC_STATS`.
const BASIC: u64 = 0x7ff;

/// The status of `path` seen from `dirfd`.
pub(crate) fn status(dirfd: u64, path: &CStr, flags: u64) -> Result<Statx, Errno> {
    let mut bytes = vec![0; Statx::SIZE];
    let mut args = [Arg::Int(dirfd), Arg::Str(path), Arg::Int(flags), Arg::Int(BASIC), Arg::Bytes(&mut bytes)];
    host::call(&host::STATX, &mut args)?;
    Ok(Statx::decode(&bytes))
}

/// The status of an open file.
pub(crate) fn status_of(fd: u64) -> Result<Statx, Errno> {
    status(fd, c"", libc::AT_EMPTY_PATH as u64)
}

/// The status of an open file, as the guest is to see it.
fn shown(t: &Thread, fd: i32) -> Result<Stat, Errno> {
    let status = host::status_of(fd)?;
    // One without a name may stand for a file of `/proc`.
    if status.st_nlink != 0 {
        return Ok(with_links(Stat::from(&status), || procfs::links_of(t, fd)));
    }
    let fd = fd as u64;
    Ok(Stat::from(&procfs::shown_status(t, fd, status_of(fd)?)))
}

/// A status, with the `links` that it has for the guest if it may be that of the directory of a guest's threads: each
/// directory has two links, and those have one more for each thread.
fn with_links(status: Stat, links: impl FnOnce() -> Option<u32>) -> Stat {
    let may_differ =
        status.nlink > 2 && status.mode & libc::S_IFMT == libc::S_IFDIR && procfs::links::is_on_proc(status.dev);
    let links = if may_differ { links() } else { None };
    Stat { nlink: links.unwrap_or(status.nlink), ..status }
}

/// How many links the directory of a guest's threads has that is named at the beginning of a call's arguments; `None` for
/// any other name.
fn links_of_name(t: &Thread, a: &Args, last: Last) -> Option<u32> {
    let path = t.user().string(a.raw(1), PATH_MAX).ok()?;
    let name = path.to_bytes().rsplit(|byte| *byte == b'/').find(|part| !part.is_empty())?;
    if name != b"task" {
        return None;
    }
    let stays = if last == Last::Follow { 0 } else { libc::O_NOFOLLOW };
    let flags = (libc::O_PATH | libc::O_CLOEXEC | stays) as u64;
    let held = Held::new(t.open(a.raw(0), &path, OpenHow { flags, mode: 0, resolve: 0 }, false).ok()?);
    procfs::links_of(t, held.fd() as i32)
}

/// `fstat(fd, buffer)`.
pub(crate) fn fstat(t: &mut Thread, a: &Args) -> SysResult {
    let stat = shown(t, a.int(0))?;
    t.user().put(a.raw(1), &stat)?;
    Ok(0)
}

/// `newfstatat(dirfd, path, buffer, flags)`.
pub(crate) fn newfstatat(t: &mut Thread, a: &Args) -> SysResult {
    let flags = a.uint(3);
    let known = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH;
    if flags & !(known as u32) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let empty = flags & libc::AT_EMPTY_PATH as u32 != 0;
    let unnamed = empty && path_is_empty(t, a);
    let stat = if unnamed && a.int(0) >= 0 {
        shown(t, a.int(0))?
    } else {
        let path = if unnamed { CString::default() } else { t.user().string(a.raw(1), PATH_MAX)? };
        let last = last_of(flags);
        let at = t.at(a.raw(0), path, last)?;
        let status = match at.file() {
            Some(file) => host::status_of(file as i32),
            None => host::status_at(at.dirfd as i32, &at.name, flags),
        }?;
        match program(t, a, last, (status.st_dev, status.st_ino)) {
            Some(at) => Stat::from(&host::status_at(at.dirfd as i32, &at.name, flags)?),
            None => with_links(Stat::from(&status), || links_of_name(t, a, last)),
        }
    };
    t.user().put(a.raw(2), &stat)?;
    Ok(0)
}

/// `statx(dirfd, path, flags, mask, buffer)`.
pub(crate) fn statx(t: &mut Thread, a: &Args) -> SysResult {
    let done = t.pass(&host::STATX, a)?;
    let status = Statx::decode(&t.user().bytes(a.raw(4), Statx::SIZE)?);
    let (seen, last) = (Stat::from(&status), last_of(a.uint(2)));
    let Some(at) = program(t, a, last, (seen.dev, seen.ino)) else {
        let shown = with_links(seen, || match path_is_empty(t, a) {
            true => procfs::links_of(t, a.int(0)),
            false => links_of_name(t, a, last),
        });
        if shown.nlink != status.nlink {
            t.user().put_bytes(a.raw(4), &Statx { nlink: shown.nlink, ..status }.encode())?;
        }
        return Ok(done);
    };
    let mut bytes = vec![0; Statx::SIZE];
    let (flags, mask) = (Arg::Int(a.raw(2)), Arg::Int(a.raw(3)));
    host::call(&host::STATX, &mut [Arg::Int(at.dirfd), Arg::Str(&at.name), flags, mask, Arg::Bytes(&mut bytes)])?;
    t.user().put_bytes(a.raw(4), &bytes)?;
    Ok(done)
}

/// Whether a call's arguments begin with a descriptor and no name.
fn path_is_empty(t: &Thread, a: &Args) -> bool {
    a.raw(1) == 0 || t.user().is_empty_string(a.raw(1))
}

/// Which file a call with these flags means by a link.
const fn last_of(flags: u32) -> Last {
    if flags & libc::AT_SYMLINK_NOFOLLOW as u32 == 0 { Last::Follow } else { Last::Itself }
}

/// Where the program is that the name at the beginning of a call's arguments means, if the `file` that it has led to, by
/// its device and inode, is the emulator's.
fn program(t: &Thread, a: &Args, last: Last, file: (u64, u64)) -> Option<At> {
    let led_there = last == Last::Follow && !t.view.is_confined() && procfs::links::is_emulator(file);
    if !led_there || a.raw(1) == 0 {
        return None;
    }
    t.at_program(a.raw(0), &t.user().string(a.raw(1), PATH_MAX).ok()?)
}

/// `readlinkat(dirfd, path, buffer, size)`; links of `/proc` lead where they lead for the guest.
pub(crate) fn readlinkat(t: &mut Thread, a: &Args) -> SysResult {
    if a.int(3) <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = t.user().string(a.raw(1), PATH_MAX)?;
    let Some(target) = t.link_text(a.raw(0), &path)? else { return t.pass(&host::READLINKAT, a) };
    let len = target.len().min(a.int(3) as usize);
    t.user().put_bytes(a.raw(2), &target[..len])?;
    Ok(len as u64)
}

/// `mknodat(dirfd, path, mode, device)`.
pub(crate) fn mknodat(t: &mut Thread, a: &Args) -> SysResult {
    let kind = a.uint(2) & libc::S_IFMT;
    // A device of the host under a name of the guest's choice would be a way out of the root.
    if t.view.is_confined() && (kind == libc::S_IFCHR || kind == libc::S_IFBLK) && a.uint(3) != 0 {
        return Err(Errno::EPERM.into());
    }
    t.pass(&host::MKNODAT, a)
}

/// `symlinkat(target, dirfd, path)`.
pub(crate) fn symlinkat(t: &mut Thread, a: &Args) -> SysResult {
    // Before the kernel looks at the name.
    if a.raw(0) != 0 && t.user().string(a.raw(0), PATH_MAX)?.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    t.pass(&host::SYMLINKAT, a)
}

/// `getcwd(buffer, size)`.
pub(crate) fn getcwd(t: &mut Thread, a: &Args) -> SysResult {
    if !t.view.is_confined() {
        // A kernel writes what it has to tell, however much room there is said to be.
        return t.pass(&host::GETCWD, &Args([a.raw(0), a.raw(1).min(PATH_MAX as u64), 0, 0, 0, 0]));
    }
    let mut name = t.directory()?;
    name.push(0);
    if a.raw(1) < name.len() as u64 {
        return Err(Errno::ERANGE.into());
    }
    t.user().put_bytes(a.raw(0), &name)?;
    Ok(name.len() as u64)
}

/// `chdir(path)`.
///
/// With a sysroot, one of the host's directories is preferred, as by qemu-user: what a program makes there by relative
/// names is then where its absolute names lead.
pub(crate) fn chdir(t: &mut Thread, a: &Args) -> SysResult {
    let path = t.user().string(a.raw(0), PATH_MAX)?;
    if t.view.is_confined() {
        let flags = (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
        let held = Held::new(t.open(CWD, &path, OpenHow { flags, mode: 0, resolve: 0 }, false)?);
        return Ok(host::call(&host::FCHDIR, &mut [Arg::Int(held.fd())])?);
    }
    match host::call(&host::CHDIR, &mut [Arg::Str(&path)]) {
        Err(Errno::ENOENT) => t.pass(&host::CHDIR, a),
        result => Ok(result?),
    }
}

/// `getdents64(fd, buffer, size)`; threads and descriptors of the emulator are left out.
pub(crate) fn getdents64(t: &mut Thread, a: &Args) -> SysResult {
    loop {
        let len = t.pass(&host::GETDENTS64, a)?;
        if len == 0 || !t.lists_itself.load(Ordering::Relaxed) {
            return Ok(len);
        }
        let entries = t.user().bytes(a.raw(1), len as usize)?;
        let shown = procfs::filter(t, a.int(0) as u64, entries);
        t.user().put_bytes(a.raw(1), &shown)?;
        // Nothing left does not mean that nothing follows.
        if !shown.is_empty() {
            return Ok(shown.len() as u64);
        }
    }
}

/// `inotify_add_watch(fd, path, mask)`.
pub(crate) fn inotify_add_watch(t: &mut Thread, a: &Args) -> SysResult {
    let mask = a.uint(2);
    let path = t.user().string(a.raw(1), PATH_MAX).map_err(|errno| {
        let nameless = &mut [Arg::Int(a.raw(0)), wrong_name(t.user(), errno), Arg::Int(mask.into())];
        before_name(errno, host::call(&host::INOTIFY_ADD_WATCH, nameless))
    })?;
    let last = if mask & libc::IN_DONT_FOLLOW == 0 { Last::Follow } else { Last::Itself };
    let at = t.at(CWD, path, last)?;
    // What leads to the file has to be followed.
    let mask = if at.file().is_some() { mask & !libc::IN_DONT_FOLLOW } else { mask };
    let args = &mut [Arg::Int(a.raw(0)), Arg::Str(&at.name), Arg::Int(mask.into())];
    Ok(host::wait(&host::INOTIFY_ADD_WATCH, args)?)
}
