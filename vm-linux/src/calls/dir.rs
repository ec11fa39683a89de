//! What is known about files by name: status and links.

use std::ffi::CString;

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult};
use crate::layout::riscv64::Stat;
use crate::layout::{Layout, Statx};
use crate::thread::Thread;
use crate::user::PATH_MAX;

use super::procfs;

/// `STATX_BASIC_STATS`.
const BASIC: u64 = 0x7ff;

/// The status of `path` seen from `dirfd`.
pub(crate) fn status(dirfd: u64, path: &std::ffi::CStr, flags: u64) -> Result<Statx, Errno> {
    let mut bytes = vec![0; Statx::SIZE];
    let mut args = [Arg::Int(dirfd), Arg::Str(path), Arg::Int(flags), Arg::Int(BASIC), Arg::Bytes(&mut bytes)];
    host::call(&host::STATX, &mut args)?;
    Ok(Statx::decode(&bytes))
}

/// The status of an open file.
pub(crate) fn status_of(fd: u64) -> Result<Statx, Errno> {
    status(fd, c"", libc::AT_EMPTY_PATH as u64)
}

/// `fstat(fd, buffer)`.
pub(crate) fn fstat(t: &mut Thread, a: &Args) -> SysResult {
    let fd = a.int(0);
    if fd < 0 {
        return Err(Errno::EBADF.into());
    }
    let stat = status_of(fd as u64)?;
    t.user().put_bytes(a.raw(1), &Stat::encode_from(&stat))?;
    Ok(0)
}

/// `newfstatat(dirfd, path, buffer, flags)`.
pub(crate) fn newfstatat(t: &mut Thread, a: &Args) -> SysResult {
    let flags = a.uint(3);
    let known = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH;
    if flags & !(known as u32) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = if a.raw(1) == 0 && flags & libc::AT_EMPTY_PATH as u32 != 0 {
        CString::default()
    } else {
        let path = t.user().string(a.raw(1), PATH_MAX)?;
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW as u32 == 0;
        match procfs::link(t, &path) {
            Some(target) if follow => target,
            _ => t.resolve(path, follow),
        }
    };
    let stat = status(a.raw(0), &path, flags.into())?;
    t.user().put_bytes(a.raw(2), &Stat::encode_from(&stat))?;
    Ok(0)
}

/// `readlinkat(dirfd, path, buffer, size)`; `/proc/self/exe` is the guest's program.
pub(crate) fn readlinkat(t: &mut Thread, a: &Args) -> SysResult {
    if a.int(3) <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = t.user().string(a.raw(1), PATH_MAX)?;
    let Some(target) = procfs::link(t, &path) else { return t.pass(&host::READLINKAT, a) };
    let len = target.as_bytes().len().min(a.int(3) as usize);
    t.user().put_bytes(a.raw(2), &target.as_bytes()[..len])?;
    Ok(len as u64)
}
