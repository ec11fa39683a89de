//! Mappings.

use std::path::PathBuf;
use std::sync::Arc;

use vm_core::{GuestAddr, GuestRange, PAGE_SIZE, Perms};
use vm_mem::{Advice, FileIdentity, Locking, MapRequest, MapSource, MemError, Place, RemapRequest, Sharing};

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, Stop, SysResult, guest_range, name_of, os_string};
use crate::thread::Thread;

use super::dir;

impl From<MemError> for Stop {
    fn from(error: MemError) -> Self {
        Self::Error(Errno::new(error.errno()))
    }
}

// `asm-generic/mman-common.h` and `linux/mman.h`.
const PROT_SEM: u32 = 8;
const PROT_GROWSDOWN: u32 = 0x100_0000;
const PROT_GROWSUP: u32 = 0x200_0000;
const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_SHARED_VALIDATE: u32 = 3;
const MAP_TYPE: u32 = 15;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_GROWSDOWN: u32 = 0x100;
const MAP_LOCKED: u32 = 0x2000;
const MAP_NORESERVE: u32 = 0x4000;
const MAP_POPULATE: u32 = 0x8000;
const MAP_NONBLOCK: u32 = 0x1_0000;
const MAP_HUGETLB: u32 = 0x4_0000;
const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;
/// Flags that `MAP_SHARED_VALIDATE` accepts, the kernel's `LEGACY_MAP_MASK`: among them `MAP_DENYWRITE`,
/// `MAP_EXECUTABLE` and `MAP_STACK`, which change nothing, and not `MAP_SYNC`, which takes memory that is a file.
const MAP_LEGACY: u32 = 0x7933 | MAP_POPULATE | MAP_NONBLOCK | 0x2_0000 | MAP_HUGETLB | 0x7c00_0000;

/// `RLIMIT_DATA` and `RLIMIT_AS`.
const LIMIT_DATA: u32 = 2;
const LIMIT_SPACE: u32 = 9;

/// `PROT_READ`, `PROT_WRITE` and `PROT_EXEC` are bits 0, 1 and 2; other bits (`PROT_SEM`) change nothing here.
fn perms(prot: u32) -> Perms {
    [(1, Perms::READ), (2, Perms::WRITE), (4, Perms::EXECUTE)]
        .into_iter()
        .filter(|(bit, _)| prot & bit != 0)
        .fold(Perms::NONE, |all, (_, perm)| all | perm)
}

/// `mmap(addr, length, prot, flags, fd, offset)`: checked in the order of the kernel's `ksys_mmap_pgoff` and `do_mmap`.
pub(crate) fn mmap(t: &mut Thread, a: &Args) -> SysResult {
    let (addr, len, flags, offset) = (GuestAddr::new(a.raw(0)), a.raw(1), a.uint(3), a.raw(5));
    if offset % PAGE_SIZE != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file = if flags & MAP_ANONYMOUS == 0 { Some(host::borrow(a.int(4))?) } else { None };
    if flags & MAP_HUGETLB != 0 {
        return Err(huge_pages(flags, file.is_some()).into());
    }
    if len == 0 {
        return Err(Errno::EINVAL.into());
    }
    let pages = len.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::ENOMEM)?;
    let place = if flags & MAP_FIXED_NOREPLACE != 0 {
        Place::FixedNoReplace(addr)
    } else if flags & MAP_FIXED != 0 {
        Place::Fixed(addr)
    } else if addr.get() == 0 {
        Place::Any
    } else {
        Place::Hint(addr)
    };
    let refuse = |errno: Errno| match t.space.check_place(place, pages) {
        Err(error) => Err(Stop::from(error)),
        Ok(()) => Err(errno.into()),
    };
    if file.is_some() && offset.checked_add(pages).is_none() {
        return refuse(Errno::EOVERFLOW);
    }
    let sharing = match (flags & MAP_TYPE, &file) {
        (MAP_PRIVATE, _) => Sharing::Private,
        (MAP_SHARED, _) => Sharing::Shared,
        (MAP_SHARED_VALIDATE, Some(_)) if flags & !MAP_LEGACY == 0 => Sharing::Shared,
        (MAP_SHARED_VALIDATE, Some(_)) => return refuse(Errno::EOPNOTSUPP),
        _ => return refuse(Errno::EINVAL),
    };
    let grows = flags & MAP_GROWSDOWN != 0;
    // Neither files nor shared memory grow.
    if grows && (file.is_some() || sharing == Sharing::Shared) {
        return refuse(Errno::EINVAL);
    }
    let perms = perms(a.uint(2));
    let source = match &file {
        None => MapSource::Anonymous,
        Some(file) => {
            let fd = a.int(4) as u64;
            if perms.contains(Perms::EXECUTE) && forbids_execution(fd)? {
                return refuse(Errno::EPERM);
            }
            let status = dir::status_of(fd)?;
            let identity = FileIdentity {
                path: name_of(fd).map_or_else(PathBuf::new, |name| os_string(&name).into()),
                device: libc::makedev(status.dev_major, status.dev_minor),
                inode: status.ino,
            };
            MapSource::File { fd: *file, offset, identity: Arc::new(identity) }
        }
    };
    let replaced = match place {
        Place::Fixed(addr) => t.space.mapped_bytes(guest_range(addr.get(), pages)),
        Place::Any | Place::Hint(_) | Place::FixedNoReplace(_) => 0,
    };
    let is_data = sharing == Sharing::Private && perms.contains(Perms::WRITE) && !grows;
    check_limits(t, pages.saturating_sub(replaced), is_data)?;
    let request = MapRequest {
        place,
        len,
        perms,
        sharing,
        source,
        name: None,
        noreserve: flags & MAP_NORESERVE != 0,
        populate: flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE,
        locked: flags & MAP_LOCKED != 0,
        grows,
    };
    Ok(t.space.map(request)?.get())
}

/// Why a mapping of huge pages is refused: those of the guest's sizes are not there, others never are.
fn huge_pages(flags: u32, is_file: bool) -> Errno {
    /// Bits 26 and up: binary logarithm of the size, zero for the usual one.
    const SIZES: [u32; 3] = [0, 21, 30];
    if is_file || !SIZES.contains(&(flags >> 26)) { Errno::EINVAL } else { Errno::ENOMEM }
}

/// Whether the file is on a file system that is mounted so that nothing on it is executed.
fn forbids_execution(fd: u64) -> Result<bool, Errno> {
    /// `ST_NOEXEC`, and where `f_flags` lies in `struct statfs`.
    const NOEXEC: u64 = 8;
    const FLAGS_AT: usize = 80;
    let mut status = [0; 120];
    host::call(&host::FSTATFS, &mut [Arg::Int(fd), Arg::Bytes(&mut status)])?;
    let flags = status[FLAGS_AT..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    Ok(flags & NOEXEC != 0)
}

/// Refuses `bytes` more of memory where the guest has limited its address space or its data.
fn check_limits(t: &Thread, bytes: u64, is_data: bool) -> Result<(), Errno> {
    let exceeds = |resource, now: &dyn Fn() -> u64| {
        t.limit(resource).is_some_and(|limit| now().checked_add(bytes).is_none_or(|sum| sum > limit & !(PAGE_SIZE - 1)))
    };
    let everything = GuestRange::everything();
    if exceeds(LIMIT_SPACE, &|| t.space.mapped_bytes(everything))
        || is_data && limits_data(t) && exceeds(LIMIT_DATA, &|| t.space.data_bytes())
    {
        return Err(Errno::ENOMEM);
    }
    Ok(())
}

/// Whether mappings are limited as data. A limit of nothing binds the heap alone (`may_expand_vm`).
fn limits_data(t: &Thread) -> bool {
    t.limit(LIMIT_DATA).is_some_and(|limit| limit > 0)
}

/// How many of the `len` bytes at `addr` may get the permissions `perms`: mapping by mapping, up to one that would become
/// data where the guest has limited that (`mprotect_fixup`).
fn within_limit(t: &Thread, addr: GuestAddr, len: u64, perms: Perms) -> u64 {
    if !perms.contains(Perms::WRITE) || !limits_data(t) {
        return len;
    }
    let limit = t.limit(LIMIT_DATA).unwrap_or(u64::MAX) & !(PAGE_SIZE - 1);
    let mut data = t.space.data_bytes();
    for region in t.space.regions_in(guest_range(addr.get(), len)) {
        if region.sharing == Sharing::Shared || region.grows || region.perms.contains(Perms::WRITE) {
            continue;
        }
        data += region.range.len();
        if data > limit {
            return region.range.start().get() - addr.get();
        }
    }
    len
}

/// Gives pages other permissions, as far as limits permit.
fn protect(t: &Thread, addr: GuestAddr, len: u64, perms: Perms) -> SysResult {
    let permitted = within_limit(t, addr, len, perms);
    t.space.protect(addr, permitted, perms)?;
    if permitted == len { Ok(0) } else { Err(Errno::ENOMEM.into()) }
}

/// `munmap(addr, length)`.
pub(crate) fn munmap(t: &mut Thread, a: &Args) -> SysResult {
    t.space.unmap(GuestAddr::new(a.raw(0)), a.raw(1))?;
    Ok(0)
}

/// `mprotect(addr, length, prot)`: checked in the order of the kernel's `do_mprotect_pkey`.
pub(crate) fn mprotect(t: &mut Thread, a: &Args) -> SysResult {
    let (addr, len) = (GuestAddr::new(a.raw(0)), a.raw(1));
    let grows = a.uint(2) & (PROT_GROWSDOWN | PROT_GROWSUP);
    let prot = a.uint(2) & !(PROT_GROWSDOWN | PROT_GROWSUP);
    if grows == PROT_GROWSDOWN | PROT_GROWSUP || !addr.is_aligned(PAGE_SIZE) {
        return Err(Errno::EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    let len = len.checked_next_multiple_of(PAGE_SIZE).filter(|len| addr.get().checked_add(*len).is_some());
    let len = len.ok_or(Errno::ENOMEM)?;
    if prot & !(7 | PROT_SEM) != 0 {
        return Err(Errno::EINVAL.into());
    }
    if grows == 0 {
        return protect(t, addr, len, perms(prot));
    }
    // From the start of the mapping that grows to the end of the range. Nothing grows upwards.
    let range = guest_range(addr.get(), len);
    let first = t.space.regions_in(range).into_iter().next().map(|region| region.range.start());
    let region = first.and_then(|first| t.space.region_at(first)).ok_or(Errno::ENOMEM)?;
    if grows == PROT_GROWSUP && region.range.start() > addr {
        return Err(Errno::ENOMEM.into());
    }
    if grows == PROT_GROWSUP || !region.grows {
        return Err(Errno::EINVAL.into());
    }
    let start = region.range.start();
    protect(t, start, range.end().get() - start.get(), perms(prot))
}

/// `mremap(old, old_length, new_length, flags, new)`.
pub(crate) fn mremap(t: &mut Thread, a: &Args) -> SysResult {
    let flags = a.uint(3);
    let (may_move, fixed, keep_old) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    if flags & !7 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (old_len, new_len) = (page_align(a.raw(1)), page_align(a.raw(2)));
    let request = RemapRequest {
        addr: GuestAddr::new(a.raw(0)),
        old_len,
        new_len,
        may_move,
        fixed: fixed.then(|| GuestAddr::new(a.raw(4))),
        keep_old,
    };
    check_remap(t, &request, a.raw(4))?;
    if new_len > old_len {
        let region = t.space.region_at(GuestAddr::new(a.raw(0)));
        let is_data = region.is_some_and(|region| {
            region.sharing == Sharing::Private && region.perms.contains(Perms::WRITE) && !region.grows
        });
        // The kernel looks at the limits last, and only for requests that would be granted.
        if check_limits(t, new_len - old_len, is_data).is_err() {
            let addr = request.addr;
            return match t.space.region_at(addr) {
                Some(region) if region.range.end().get() - addr.get() >= old_len => Err(Errno::ENOMEM.into()),
                Some(_) | None => Err(Errno::EFAULT.into()),
            };
        }
    }
    Ok(t.space.remap(request)?.get())
}

/// What is wrong with a request by its numbers alone: the kernel looks at them before it looks at what is mapped
/// (`check_mremap_params`), at the new address `new` even where that only has to be left alone.
fn check_remap(t: &Thread, request: &RemapRequest, new: u64) -> Result<(), Errno> {
    let RemapRequest { addr, old_len, new_len, may_move, fixed, keep_old } = *request;
    let limit = t.space.limit().get();
    if !addr.is_aligned(PAGE_SIZE) || new_len == 0 || new_len > limit {
        return Err(Errno::EINVAL);
    }
    if fixed.is_none() && !keep_old {
        return Ok(());
    }
    let overlaps = addr.get().saturating_add(old_len) > new && new.saturating_add(new_len) > addr.get();
    if new > limit - new_len
        || !new.is_multiple_of(PAGE_SIZE)
        || !may_move
        || keep_old && old_len != new_len
        || overlaps
    {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// `len` rounded up to whole pages as the kernel does it, whose sum may wrap (`PAGE_ALIGN`).
const fn page_align(len: u64) -> u64 {
    len.wrapping_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// `brk(end)`: never fails; the end that is in force is returned.
pub(crate) fn brk(t: &mut Thread, a: &Args) -> SysResult {
    let (start, end) = t.space.heap();
    let wanted = a.raw(0);
    let grows_by = wanted.next_multiple_of_page().saturating_sub(end.get().next_multiple_of_page());
    let too_large = t.limit(LIMIT_DATA).is_some_and(|limit| wanted.saturating_sub(start.get()) > limit);
    if grows_by != 0 && (too_large || check_limits(t, grows_by, true).is_err()) {
        return Ok(end.get());
    }
    Ok(t.space.brk(GuestAddr::new(wanted)).get())
}

/// Sizes as the kernel rounds them.
trait Pages {
    /// Rounded up to whole pages; what would wrap becomes the largest number of pages.
    fn next_multiple_of_page(self) -> Self;
}

impl Pages for u64 {
    fn next_multiple_of_page(self) -> Self {
        self.checked_next_multiple_of(PAGE_SIZE).unwrap_or(!(PAGE_SIZE - 1))
    }
}

/// Whether `addr..addr + len` rounded to pages neither starts within a page nor wraps.
fn is_range(addr: u64, len: u64) -> bool {
    let pages = len.checked_next_multiple_of(PAGE_SIZE);
    addr.is_multiple_of(PAGE_SIZE) && pages.is_some_and(|pages| addr.checked_add(pages).is_some())
}

/// `madvise(addr, length, advice)`.
pub(crate) fn madvise(t: &mut Thread, a: &Args) -> SysResult {
    let advice = Advice::from_number(a.int(2)).ok_or(Errno::EINVAL)?;
    if !is_range(a.raw(0), a.raw(1)) {
        return Err(Errno::EINVAL.into());
    }
    t.space.advise(GuestAddr::new(a.raw(0)), a.raw(1), advice)?;
    Ok(0)
}

/// `mincore(addr, length, vector)`: pages that the guest has not mapped are not shown, whatever the host has there.
pub(crate) fn mincore(t: &mut Thread, a: &Args) -> SysResult {
    let (addr, len) = (a.raw(0), a.raw(1));
    if addr % PAGE_SIZE != 0 {
        return Err(Errno::EINVAL.into());
    }
    if addr.checked_add(len).is_none_or(|end| end > t.space.limit().get()) {
        return Err(Errno::ENOMEM.into());
    }
    // A vector that cannot be one is found before a hole, one that cannot be written when what is before the hole is told.
    let vector = t.user().pointer(a.raw(2), len.div_ceil(PAGE_SIZE));
    let range = guest_range(addr, len);
    let mapped = t.space.mapped_from(range);
    if mapped > 0 || len == 0 || vector.is_outside() {
        let pages = Arg::Guest(t.user().range(addr, mapped));
        host::call(&host::MINCORE, &mut [pages, Arg::Int(mapped), Arg::Guest(vector)])?;
    }
    if mapped == len { Ok(0) } else { Err(Errno::ENOMEM.into()) }
}

/// `msync(addr, length, flags)`.
pub(crate) fn msync(t: &mut Thread, a: &Args) -> SysResult {
    const ASYNC: u64 = 1;
    const SYNC: u64 = 4;
    let (addr, len, flags) = (a.raw(0), a.raw(1), a.raw(2) & 0xffff_ffff);
    if flags & !7 != 0 || addr % PAGE_SIZE != 0 || flags & (ASYNC | SYNC) == ASYNC | SYNC {
        return Err(Errno::EINVAL.into());
    }
    let range = match page_align(len) {
        // Of a length that wraps nothing is left.
        0 => return Ok(0),
        len if addr.checked_add(len).is_none() => return Err(Errno::ENOMEM.into()),
        len => guest_range(addr, len),
    };
    for region in t.space.regions_in(range) {
        let (start, len) = (region.range.start().get(), region.range.len());
        let pages = t.user().range(start, len);
        host::wait(&host::MSYNC, &mut [Arg::Guest(pages), Arg::Int(len), Arg::Int(flags)])?;
    }
    if t.space.is_mapped(range) { Ok(0) } else { Err(Errno::ENOMEM.into()) }
}

/// `mlockall(flags)`: of the guest's memory; the emulator's own is not locked.
pub(crate) fn mlockall(t: &mut Thread, a: &Args) -> SysResult {
    const CURRENT: u32 = 1;
    const FUTURE: u32 = 2;
    const ON_FAULT: u32 = 4;
    let flags = a.uint(0);
    if flags == 0 || flags & !7 != 0 || flags == ON_FAULT {
        return Err(Errno::EINVAL.into());
    }
    let how = if flags & ON_FAULT != 0 { Locking::OnFault } else { Locking::AtOnce };
    t.space.lock_all((flags & CURRENT != 0).then_some(how), (flags & FUTURE != 0).then_some(how))?;
    Ok(0)
}

/// `munlockall()`.
pub(crate) fn munlockall(t: &mut Thread, _: &Args) -> SysResult {
    t.space.unlock_all();
    Ok(0)
}
