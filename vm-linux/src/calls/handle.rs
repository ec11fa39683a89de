//! Files by handle, and notification by `fanotify`.

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult, before_name, null, wrong_name};
use crate::paths::Last;
use crate::thread::Thread;
use crate::user::PATH_MAX;

use super::file::host_open_flags;

/// `MAX_HANDLE_SZ`.
const MOST: usize = 128;
/// `struct file_handle` before the handle itself: its size and its type.
const HEADER: usize = 8;

/// `name_to_handle_at(dirfd, path, handle, mount, flags)`.
pub(crate) fn name_to_handle_at(t: &mut Thread, a: &Args) -> SysResult {
    /// `AT_HANDLE_MNT_ID_UNIQUE`: the mount's number has 64 bits.
    const UNIQUE: u32 = 1;
    let follow = libc::AT_SYMLINK_FOLLOW as u64;
    let last = if a.raw(4) & follow == 0 { Last::Itself } else { Last::Follow };
    let mut mount = [0; 8];
    let name = t.user().string(a.raw(1), PATH_MAX).map_err(|errno| {
        let handle = Arg::Guest(t.user().pointer(a.raw(2), HEADER as u64));
        let (dirfd, flags) = (Arg::Int(a.raw(0)), Arg::Int(a.raw(4)));
        let nameless = &mut [dirfd, wrong_name(t.user(), errno), handle, Arg::Bytes(&mut mount), flags];
        before_name(errno, host::call(&host::NAME_TO_HANDLE_AT, nameless))
    })?;
    let at = t.at(a.raw(0), name, last)?;
    // What leads to the file has to be followed.
    let flags = if at.file().is_some() { a.raw(4) | follow } else { a.raw(4) };
    let Ok(head) = t.user().bytes(a.raw(2), 4) else {
        // The name is looked up before.
        let (dirfd, flags) = (Arg::Int(at.dirfd), Arg::Int(flags));
        let handle = Arg::Guest(t.user().pointer(u64::MAX, 1));
        let mut args = [dirfd, Arg::Str(&at.name), handle, Arg::Bytes(&mut mount), flags];
        return Ok(host::call(&host::NAME_TO_HANDLE_AT, &mut args)?);
    };
    let room = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let mut handle = vec![0; HEADER + MOST];
    handle[..4].copy_from_slice(&head);
    let mut args =
        [Arg::Int(at.dirfd), Arg::Str(&at.name), Arg::Bytes(&mut handle), Arg::Bytes(&mut mount), Arg::Int(flags)];
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
pub(crate) fn fanotify_init(t: &mut Thread, a: &Args) -> SysResult {
    // Events come with open files of a whole file system, wherever they are in it.
    if t.view.is_confined() {
        return Err(Errno::EPERM.into());
    }
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
    let last = if a.uint(1) & DONT_FOLLOW == 0 { Last::Follow } else { Last::Itself };
    let name = t.user().string(a.raw(4), PATH_MAX).map_err(|errno| {
        args[4] = wrong_name(t.user(), errno);
        before_name(errno, host::call(&host::FANOTIFY_MARK, &mut args))
    })?;
    let at = t.at(a.raw(3), name, last)?;
    if at.file().is_some() {
        args[1] = Arg::Int(a.raw(1) & !u64::from(DONT_FOLLOW));
    }
    (args[3], args[4]) = (Arg::Int(at.dirfd), Arg::Str(&at.name));
    Ok(host::call(&host::FANOTIFY_MARK, &mut args)?)
}
