//! Calls that take a privilege over the machine, which no guest has: mounts, namespaces, other roots.
//!
//! What they are asked is looked at as a kernel does before it asks for the privilege, so that a mistake is told from a
//! refusal.

use crate::errno::Errno;
use crate::host;
use crate::kernel::{Args, Stop, SysResult, name_of};
use crate::layout::OpenHow;
use crate::paths::Held;
use crate::thread::Thread;
use crate::user::PATH_MAX;

/// `AT_FDCWD`.
const CWD: u64 = libc::AT_FDCWD as u64;

/// Namespaces as `/proc/PID/ns` names them, and the flag that means each (`linux/sched.h`).
const NAMESPACES: [(&str, u64); 8] = [
    ("time", libc::CLONE_NEWTIME as u64),
    ("mnt", libc::CLONE_NEWNS as u64),
    ("cgroup", libc::CLONE_NEWCGROUP as u64),
    ("uts", libc::CLONE_NEWUTS as u64),
    ("ipc", libc::CLONE_NEWIPC as u64),
    ("user", libc::CLONE_NEWUSER as u64),
    ("pid", libc::CLONE_NEWPID as u64),
    ("net", libc::CLONE_NEWNET as u64),
];

/// Flags of all namespaces.
pub(super) const ALL_NAMESPACES: u64 = {
    let (mut all, mut index) = (0, 0);
    while index < NAMESPACES.len() {
        all |= NAMESPACES[index].1;
        index += 1;
    }
    all
};

const REFUSED: SysResult = Err(Stop::Error(Errno::EPERM));

/// Refuses as the kernel does if the file that the guest names at argument `index` cannot be found.
fn find(t: &Thread, a: &Args, index: usize) -> Result<(), Stop> {
    t.pass(&host::FACCESSAT, &Args([CWD, a.raw(index), libc::F_OK as u64, 0, 0, 0])).map(drop)
}

/// `mount(source, target, type, flags, data)`.
pub(crate) fn mount(t: &mut Thread, a: &Args) -> SysResult {
    for index in [2, 0] {
        if a.raw(index) != 0 {
            // Longer than a page is as wrong as no end (`strndup_user`).
            t.user()
                .string(a.raw(index), PATH_MAX)
                .map_err(|errno| if errno == Errno::ENAMETOOLONG { Errno::EINVAL } else { errno })?;
        }
    }
    if a.raw(4) != 0 {
        t.user().bytes(a.raw(4), 1)?;
    }
    find(t, a, 1)?;
    REFUSED
}

/// `umount2(target, flags)`.
pub(crate) fn umount2(t: &mut Thread, a: &Args) -> SysResult {
    const NOFOLLOW: u32 = 8;
    let flags = a.uint(1);
    if flags & !(7 | NOFOLLOW) != 0 {
        return Err(Errno::EINVAL.into());
    }
    find(t, a, 0)?;
    REFUSED
}

/// `chroot(path)`.
pub(crate) fn chroot(t: &mut Thread, a: &Args) -> SysResult {
    let path = t.user().string(a.raw(0), PATH_MAX)?;
    let flags = (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
    drop(Held::new(t.open(CWD, &path, OpenHow { flags, mode: 0, resolve: 0 }, false)?));
    REFUSED
}

/// `setns(fd, type)`.
pub(crate) fn setns(_: &mut Thread, a: &Args) -> SysResult {
    let (fd, wanted) = (a.int(0) as u64, u64::from(a.uint(1)));
    host::borrow(a.int(0))?;
    let name = name_of(fd).ok_or(Errno::EBADF)?;
    let name = name.to_string_lossy();
    let is_one = |(kind, flag): &(&str, u64)| {
        name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(":[")) && (wanted == 0 || wanted == *flag)
    };
    let is_process = name == "anon_inode:[pidfd]" && wanted != 0 && wanted & !ALL_NAMESPACES == 0;
    if !is_process && !NAMESPACES.iter().any(is_one) {
        return Err(Errno::EINVAL.into());
    }
    REFUSED
}
