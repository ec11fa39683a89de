//! Files by handle, and notification by `fanotify`.

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult, null};
use crate::thread::Thread;

use super::file::host_open_flags;

/// `MAX_HANDLE_SZ`.
const MOST: usize = 128;
/// `struct file_handle` before the handle itself: its size and its type.
const HEADER: usize = 8;

/// `name_to_handle_at(dirfd, path, handle, mount, flags)`.
pub(crate) fn name_to_handle_at(t: &mut Thread, a: &Args) -> SysResult {
    /// `AT_HANDLE_MNT_ID_UNIQUE`: the mount's number has 64 bits.
    const UNIQUE: u32 = 1;
    let follow = a.uint(4) & libc::AT_SYMLINK_FOLLOW as u32 != 0;
    let path = t.path(a.raw(1), follow)?;
    let head = t.user().bytes(a.raw(2), 4)?;
    let room = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let mut handle = vec![0; HEADER + MOST];
    handle[..4].copy_from_slice(&head);
    let mut mount = [0; 8];
    let mut args =
        [Arg::Int(a.raw(0)), Arg::Str(&path), Arg::Bytes(&mut handle), Arg::Bytes(&mut mount), Arg::Int(a.raw(4))];
    let result = host::call(&host::NAME_TO_HANDLE_AT, &mut args);
    if matches!(result, Ok(_) | Err(Errno::EOVERFLOW)) && room as usize <= MOST {
        let filled = u32::from_le_bytes([handle[0], handle[1], handle[2], handle[3]]).min(room) as usize;
        // The size that is needed is told even if there is no room.
        let len = if result.is_ok() { HEADER + filled } else { HEADER };
        t.user().put_bytes(a.raw(3), &mount[..if a.uint(4) & UNIQUE == 0 { 4 } else { 8 }])?;
        t.user().put_bytes(a.raw(2), &handle[..len])?;
    }
    Ok(result?)
}

/// `fanotify_init(flags, event_flags)`.
pub(crate) fn fanotify_init(_: &mut Thread, a: &Args) -> SysResult {
    let flags = host_open_flags(a.uint(1).into());
    Ok(host::call(&host::FANOTIFY_INIT, &mut [Arg::Int(a.raw(0)), Arg::Int(flags)])?)
}

/// `fanotify_mark(group, flags, mask, dirfd, path)`.
pub(crate) fn fanotify_mark(t: &mut Thread, a: &Args) -> SysResult {
    /// `FAN_MARK_DONT_FOLLOW`.
    const DONT_FOLLOW: u32 = 4;
    let mut args = [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Int(a.raw(2)), Arg::Int(a.raw(3)), null()];
    if a.raw(4) == 0 {
        return Ok(host::call(&host::FANOTIFY_MARK, &mut args)?);
    }
    let path = t.path(a.raw(4), a.uint(1) & DONT_FOLLOW == 0)?;
    args[4] = Arg::Str(&path);
    Ok(host::call(&host::FANOTIFY_MARK, &mut args)?)
}
