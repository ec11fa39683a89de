//! Scheduling, identity beyond numbers, and what processes may know of each other.

use crate::errno::Errno;
use crate::host::{self, Arg, process_id};
use crate::kernel::{Args, SysResult};
use crate::layout::{IoVec, Layout};
use crate::thread::Thread;

use super::privilege::ALL_NAMESPACES;

/// `sched_setattr(process, attributes, flags)`: the attributes begin with their own size.
pub(crate) fn sched_setattr(t: &mut Thread, a: &Args) -> SysResult {
    /// `SCHED_ATTR_SIZE_VER0`.
    const LEAST: usize = 48;
    const MOST: usize = 4096;
    if a.raw(1) == 0 || a.int(0) < 0 || a.uint(2) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let head = t.user().bytes(a.raw(1), 4)?;
    let said = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let size = if said == 0 { LEAST } else { said };
    let mut bytes = vec![0; MOST];
    if (LEAST..=MOST).contains(&size) {
        bytes[..size].copy_from_slice(&t.user().bytes(a.raw(1), size)?);
    }
    // The size that the kernel acts on is the one that was looked at.
    bytes[..4].copy_from_slice(&(said as u32).to_le_bytes());
    let result =
        host::call(&host::SCHED_SETATTR, &mut [Arg::Int(a.raw(0)), Arg::Bytes(&mut bytes), Arg::Int(a.raw(2))]);
    if result == Err(Errno::E2BIG) {
        // The size that the kernel knows.
        t.user().put_bytes(a.raw(1), &bytes[..4])?;
    }
    Ok(result?)
}

/// `kcmp(process1, process2, kind, index1, index2)`.
pub(crate) fn kcmp(t: &mut Thread, a: &Args) -> SysResult {
    const KCMP_EPOLL_TFD: i32 = 7;
    let rest = [0, 1, 2, 3].map(|index| Arg::Int(a.raw(index)));
    let [one, two, kind, index] = rest;
    if a.int(2) == KCMP_EPOLL_TFD {
        // struct kcmp_epoll_slot.
        let slot = Arg::Guest(t.user().pointer(a.raw(4), 12));
        return Ok(host::call(&host::KCMP_PTR, &mut [one, two, kind, index, slot])?);
    }
    Ok(host::call(&host::KCMP, &mut [one, two, kind, index, Arg::Int(a.raw(4))])?)
}

// `linux/personality.h`.
const ASK: u32 = 0xffff_ffff;
const UNAME26: u32 = 0x002_0000;
const ADDR_NO_RANDOMIZE: u32 = 0x004_0000;
const WHOLE_SECONDS: u32 = 0x200_0000;
const STICKY_TIMEOUTS: u32 = 0x400_0000;

/// `personality(persona)`: those under which the emulator works as well. Others would give it executable memory or
/// take addresses from it.
pub(crate) fn personality(_: &mut Thread, a: &Args) -> SysResult {
    let persona = a.uint(0);
    if persona != ASK && persona & !(UNAME26 | ADDR_NO_RANDOMIZE | WHOLE_SECONDS | STICKY_TIMEOUTS) != 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(host::call(&host::PERSONALITY, &mut [Arg::Int(persona.into())])?)
}

/// `unshare(flags)`: descriptors, the working directory and undo lists become the thread's own; namespaces, which would
/// be the emulator's too, take a privilege that nobody has.
pub(crate) fn unshare(t: &mut Thread, a: &Args) -> SysResult {
    // `linux/sched.h`: CLONE_FS, CLONE_FILES, CLONE_SYSVSEM are the thread's.
    const OWN: u64 = 0x4_0600;
    // CLONE_VM, CLONE_SIGHAND, CLONE_THREAD: what a process with one thread does not share anyway.
    const ALONE: u64 = 0x1_0900;
    /// What no process with several threads gets.
    const USER: u64 = libc::CLONE_NEWUSER as u64;
    let flags = a.raw(0);
    if flags & !(OWN | ALONE | ALL_NAMESPACES) != 0 {
        return Err(Errno::EINVAL.into());
    }
    if flags & (ALONE | USER) != 0 && t.kernel.threads.registry().live.len() > 1 {
        return Err(Errno::EINVAL.into());
    }
    if flags & ALL_NAMESPACES != 0 {
        return Err(Errno::EPERM.into());
    }
    if flags & libc::CLONE_FILES as u64 != 0 {
        t.unfinished.finish_for_good(t);
    }
    Ok(host::call(&host::UNSHARE, &mut [Arg::Int(flags & OWN)])?)
}

/// Whether `process` is this one.
pub(super) fn is_own(t: &Thread, process: i32) -> bool {
    process == 0 || process == process_id() || t.kernel.threads.registry().live.contains_key(&process)
}

/// Copies between this process and another one. Where guest addresses are host addresses, they are so in other guest
/// processes.
fn process_vm(t: &Thread, a: &Args, call: &host::HostCall) -> SysResult {
    /// `UIO_MAXIOV`.
    const MOST: u64 = 1024;
    // The memory of a process that is no guest is a way out of the root.
    if (t.space.view().base != 0 || t.view.is_confined()) && !is_own(t, a.int(0)) {
        return Err(Errno::EPERM.into());
    }
    let vectors = |addr: u64, count: u64, most: u64| -> Option<Vec<u8>> {
        let bytes = if count <= MOST { t.user().bytes(addr, count as usize * IoVec::SIZE).ok()? } else { return None };
        let host = |one: IoVec| IoVec { base: t.user().pointer(one.base, one.len.min(most)).get(), ..one };
        Some(bytes.chunks_exact(IoVec::SIZE).flat_map(|one| host(IoVec::decode(one)).encode()).collect())
    };
    // The kernel cuts a local buffer that is the only one before it looks where it ends, and finds out where remote ones end
    // when it gets there, which is after no more bytes than the local ones hold.
    let most = if a.raw(2) == 1 { host::MAX_RW_COUNT } else { u64::MAX };
    let (mut local, mut remote) = (vectors(a.raw(1), a.raw(2), most), vectors(a.raw(3), a.raw(4), host::MAX_RW_COUNT));
    let nowhere = || Arg::Guest(t.user().pointer(u64::MAX, 1));
    let local = local.as_mut().map_or_else(nowhere, |bytes| Arg::Bytes(bytes));
    let remote = remote.as_mut().map_or_else(nowhere, |bytes| Arg::Bytes(bytes));
    let mut args = [Arg::Int(a.raw(0)), local, Arg::Int(a.raw(2)), remote, Arg::Int(a.raw(4)), Arg::Int(a.raw(5))];
    Ok(host::call(call, &mut args)?)
}

/// `process_vm_readv(process, local, local_count, remote, remote_count, flags)`.
pub(crate) fn process_vm_readv(t: &mut Thread, a: &Args) -> SysResult {
    process_vm(t, a, &host::PROCESS_VM_READV)
}

/// `process_vm_writev(process, local, local_count, remote, remote_count, flags)`.
pub(crate) fn process_vm_writev(t: &mut Thread, a: &Args) -> SysResult {
    process_vm(t, a, &host::PROCESS_VM_WRITEV)
}
