//! Mappings.

use std::path::PathBuf;
use std::sync::Arc;

use vm_core::{GuestAddr, PAGE_SIZE, Perms};
use vm_mem::{Advice, FileIdentity, MapRequest, MapSource, MemError, Place, RemapRequest, Sharing};

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult, guest_range, name_of, os_string};
use crate::thread::Thread;

use super::dir;

impl From<MemError> for crate::kernel::Stop {
    fn from(error: MemError) -> Self {
        Self::Error(Errno::new(error.errno()))
    }
}

// `asm-generic/mman-common.h` and `linux/mman.h`.
const PROT_ALL: u32 = 7;
const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_SHARED_VALIDATE: u32 = 3;
const MAP_TYPE: u32 = 15;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_NORESERVE: u32 = 0x4000;
const MAP_POPULATE: u32 = 0x8000;
const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;
/// Flags that `MAP_SHARED_VALIDATE` accepts: those above and the ones that every mapping ignores.
const MAP_KNOWN: u32 = 0x1f_ffff & !0x80000;

/// `PROT_READ`, `PROT_WRITE` and `PROT_EXEC` are bits 0, 1 and 2; other bits (`PROT_SEM`) change nothing here.
fn perms(prot: u32) -> Perms {
    [(1, Perms::READ), (2, Perms::WRITE), (4, Perms::EXECUTE)]
        .into_iter()
        .filter(|(bit, _)| prot & bit != 0)
        .fold(Perms::NONE, |all, (_, perm)| all | perm)
}

/// `mmap(addr, length, prot, flags, fd, offset)`.
pub(crate) fn mmap(t: &mut Thread, a: &Args) -> SysResult {
    let (addr, len, flags, offset) = (GuestAddr::new(a.raw(0)), a.raw(1), a.uint(3), a.raw(5));
    if offset % PAGE_SIZE != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file = if flags & MAP_ANONYMOUS == 0 { Some(host::duplicate(a.int(4))?) } else { None };
    if len == 0 {
        return Err(Errno::EINVAL.into());
    }
    let sharing = match flags & MAP_TYPE {
        MAP_PRIVATE => Sharing::Private,
        MAP_SHARED => Sharing::Shared,
        MAP_SHARED_VALIDATE if flags & !MAP_KNOWN != 0 => return Err(Errno::EOPNOTSUPP.into()),
        MAP_SHARED_VALIDATE if file.is_some() => Sharing::Shared,
        _ => return Err(Errno::EINVAL.into()),
    };
    let place = if flags & MAP_FIXED_NOREPLACE != 0 {
        Place::FixedNoReplace(addr)
    } else if flags & MAP_FIXED != 0 {
        Place::Fixed(addr)
    } else if addr.get() == 0 {
        Place::Any
    } else {
        Place::Hint(addr)
    };
    let source = match &file {
        None => MapSource::Anonymous,
        Some(file) => {
            let fd = a.int(4) as u64;
            let status = dir::status_of(fd)?;
            let identity = FileIdentity {
                path: name_of(fd).map_or_else(PathBuf::new, |name| os_string(&name).into()),
                device: libc::makedev(status.dev_major, status.dev_minor),
                inode: status.ino,
            };
            MapSource::File { fd: std::os::fd::AsFd::as_fd(file), offset, identity: Arc::new(identity) }
        }
    };
    let request = MapRequest {
        place,
        len,
        perms: perms(a.uint(2)),
        sharing,
        source,
        name: None,
        noreserve: flags & MAP_NORESERVE != 0,
        populate: flags & MAP_POPULATE != 0,
    };
    Ok(t.space.map(request)?.get())
}

/// `munmap(addr, length)`.
pub(crate) fn munmap(t: &mut Thread, a: &Args) -> SysResult {
    t.space.unmap(GuestAddr::new(a.raw(0)), a.raw(1))?;
    Ok(0)
}

/// `mprotect(addr, length, prot)`.
pub(crate) fn mprotect(t: &mut Thread, a: &Args) -> SysResult {
    // PROT_SEM is accepted; PROT_GROWSDOWN and PROT_GROWSUP are for stacks that grow, which none here does.
    if a.uint(2) & !(PROT_ALL | 8) != 0 {
        return Err(Errno::EINVAL.into());
    }
    t.space.protect(GuestAddr::new(a.raw(0)), a.raw(1), perms(a.uint(2)))?;
    Ok(0)
}

/// `mremap(old, old_length, new_length, flags, new)`.
pub(crate) fn mremap(t: &mut Thread, a: &Args) -> SysResult {
    let flags = a.uint(3);
    let (may_move, fixed, keep_old) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    if flags & !7 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let request = RemapRequest {
        addr: GuestAddr::new(a.raw(0)),
        old_len: a.raw(1),
        new_len: a.raw(2),
        may_move,
        fixed: fixed.then(|| GuestAddr::new(a.raw(4))),
        keep_old,
    };
    Ok(t.space.remap(request)?.get())
}

/// `brk(end)`: never fails; the end that is in force is returned.
pub(crate) fn brk(t: &mut Thread, a: &Args) -> SysResult {
    Ok(t.space.brk(GuestAddr::new(a.raw(0))).get())
}

/// `madvise(addr, length, advice)`.
pub(crate) fn madvise(t: &mut Thread, a: &Args) -> SysResult {
    // Numbers of `asm-generic/mman-common.h`.
    let advice = match a.int(2) {
        3 => Some(Advice::WillNeed),
        4 => Some(Advice::DontNeed),
        8 => Some(Advice::Free),
        9 => Some(Advice::Remove),
        10 => Some(Advice::DontFork),
        11 => Some(Advice::DoFork),
        14 => Some(Advice::HugePage),
        15 => Some(Advice::NoHugePage),
        18 => Some(Advice::WipeOnFork),
        19 => Some(Advice::KeepOnFork),
        // NORMAL, RANDOM, SEQUENTIAL, MERGEABLE, UNMERGEABLE, DONTDUMP, DODUMP, COLD, PAGEOUT, POPULATE_*, COLLAPSE.
        0..=2 | 12 | 13 | 16 | 17 | 20..=23 | 25 => None,
        _ => return Err(Errno::EINVAL.into()),
    };
    let (addr, len) = (GuestAddr::new(a.raw(0)), a.raw(1));
    if let Some(advice) = advice {
        t.space.advise(addr, len, advice)?;
        return Ok(0);
    }
    if !addr.is_aligned(PAGE_SIZE) {
        return Err(Errno::EINVAL.into());
    }
    if t.space.is_mapped(guest_range(a.raw(0), len)) { Ok(0) } else { Err(Errno::ENOMEM.into()) }
}

/// `mincore(addr, length, vector)`: pages that the guest has not mapped are not shown, whatever the host has there.
pub(crate) fn mincore(t: &mut Thread, a: &Args) -> SysResult {
    let (addr, len) = (a.raw(0), a.raw(1));
    if addr % PAGE_SIZE != 0 {
        return Err(Errno::EINVAL.into());
    }
    if !t.space.is_mapped(guest_range(addr, len)) {
        return Err(Errno::ENOMEM.into());
    }
    let (pages, vector) = (t.user().pointer(addr, len), t.user().pointer(a.raw(2), len.div_ceil(PAGE_SIZE)));
    Ok(host::call(&host::MINCORE, &mut [Arg::Guest(pages), Arg::Int(len), Arg::Guest(vector)])?)
}
