//! System V interprocess communication, and message queues of POSIX.

use vm_core::{GuestAddr, PAGE_SIZE, Perms};
use vm_mem::Place;

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult};
use crate::layout::{Layout, layout};
use crate::thread::Thread;

use super::file::host_open_flags;

layout! {
    /// `struct ipc64_perm` (`asm-generic/ipcbuf.h`).
    IpcPerm {
        key: i32,
        uid: u32,
        gid: u32,
        creator_uid: u32,
        creator_gid: u32,
        mode: u32,
        sequence: u16,
        pad: u16,
        unused: [u64; 2],
    }
}

layout! {
    /// `struct semid64_ds` (`asm-generic/sembuf.h`).
    SemIdDs {
        perm: IpcPerm,
        operation_time: u64,
        change_time: u64,
        count: u64,
        unused: [u64; 2],
    }

    /// The same on x86-64 (`asm/sembuf.h`), which sets a word aside beside each time.
    SemIdDsX86 {
        perm: IpcPerm,
        operation_time: u64,
        unused1: u64,
        change_time: u64,
        unused2: u64,
        count: u64,
        unused3: [u64; 2],
    }
}

/// `struct semid64_ds` of the host.
#[cfg(target_arch = "x86_64")]
type HostSemIdDs = SemIdDsX86;
#[cfg(not(target_arch = "x86_64"))]
type HostSemIdDs = SemIdDs;

// Commands (`linux/ipc.h`, `linux/sem.h`, `linux/shm.h`, `linux/msg.h`).
const IPC_RMID: i32 = 0;
const IPC_SET: i32 = 1;
const IPC_STAT: i32 = 2;
const IPC_INFO: i32 = 3;
const MSG_STAT: i32 = 11;
const MSG_INFO: i32 = 12;
const MSG_STAT_ANY: i32 = 13;
const SHM_LOCK: i32 = 11;
const SHM_UNLOCK: i32 = 12;
const SHM_STAT: i32 = 13;
const SHM_INFO: i32 = 14;
const SHM_STAT_ANY: i32 = 15;
const GETPID: i32 = 11;
const GETVAL: i32 = 12;
const GETALL: i32 = 13;
const GETNCNT: i32 = 14;
const GETZCNT: i32 = 15;
const SETVAL: i32 = 16;
const SETALL: i32 = 17;
const SEM_STAT: i32 = 18;
const SEM_INFO: i32 = 19;
const SEM_STAT_ANY: i32 = 20;

/// `msgsnd(queue, message, size, flags)`.
pub(crate) fn msgsnd(t: &mut Thread, a: &Args) -> SysResult {
    // No message is longer. The kernel says so when it has read the type, and reads no more.
    if a.raw(2) > i32::MAX as u64 {
        let message = Arg::Guest(t.user().pointer(a.raw(1), 8));
        let mut args = [Arg::Int(a.raw(0)), message, Arg::Int(a.raw(2)), Arg::Int(a.raw(3))];
        return Ok(host::wait(&host::MSGSND, &mut args)?);
    }
    t.pass(&host::MSGSND, a)
}

/// `msgctl(queue, command, buffer)`.
pub(crate) fn msgctl(t: &mut Thread, a: &Args) -> SysResult {
    // struct msqid64_ds, struct msginfo.
    let size = match a.int(1) {
        IPC_SET | IPC_STAT | MSG_STAT | MSG_STAT_ANY => 120,
        IPC_INFO | MSG_INFO => 32,
        _ => 0,
    };
    let buffer = Arg::Guest(t.user().pointer(a.raw(2), size));
    Ok(host::call(&host::MSGCTL, &mut [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), buffer])?)
}

/// `shmctl(segment, command, buffer)`.
pub(crate) fn shmctl(t: &mut Thread, a: &Args) -> SysResult {
    // struct shmid64_ds, struct shminfo64, struct shm_info.
    let size = match a.int(1) {
        IPC_SET | IPC_STAT | SHM_STAT | SHM_STAT_ANY => 112,
        IPC_INFO => 72,
        SHM_INFO => 48,
        IPC_RMID | SHM_LOCK | SHM_UNLOCK => 0,
        _ => 0,
    };
    let buffer = Arg::Guest(t.user().pointer(a.raw(2), size));
    Ok(host::call(&host::SHMCTL, &mut [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), buffer])?)
}

/// The host's description of a set of semaphores.
fn semaphores(set: u64, command: i32) -> Result<(u64, HostSemIdDs), Errno> {
    let mut bytes = vec![0; 104];
    let mut args = [Arg::Int(set), Arg::Int(0), Arg::Int(command as u64), Arg::Bytes(&mut bytes)];
    let result = host::call(&host::SEMCTL_PTR, &mut args)?;
    Ok((result, HostSemIdDs::decode(&bytes)))
}

/// `semctl(set, semaphore, command, argument)`.
pub(crate) fn semctl(t: &mut Thread, a: &Args) -> SysResult {
    let numbers = |argument| [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Int(a.raw(2)), argument];
    match a.int(2) {
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => {
            let (result, ds) = semaphores(a.raw(0), a.int(2))?;
            let guest = SemIdDs {
                perm: ds.perm,
                operation_time: ds.operation_time,
                change_time: ds.change_time,
                count: ds.count,
                unused: [0; 2],
            };
            t.user().put(a.raw(3), &guest)?;
            Ok(result)
        }
        IPC_SET if a.int(0) < 0 => Err(Errno::EINVAL.into()),
        IPC_SET => {
            let guest: SemIdDs = t.user().get(a.raw(3))?;
            let mut bytes = HostSemIdDs { perm: guest.perm, ..HostSemIdDs::default() }.encode();
            bytes.resize(104, 0);
            Ok(host::call(&host::SEMCTL_PTR, &mut numbers(Arg::Bytes(&mut bytes)))?)
        }
        GETALL | SETALL => {
            /// Most semaphores of a set: their numbers are short.
            const MOST: u64 = 1 << 16;
            // Nobody but the kernel knows how many there are, and it tells only those who may read.
            let count = semaphores(a.raw(0), IPC_STAT).map_or(MOST, |(_, ds)| ds.count);
            let values = Arg::Guest(t.user().pointer(a.raw(3), 2 * count));
            Ok(host::call(&host::SEMCTL_PTR, &mut numbers(values))?)
        }
        IPC_INFO | SEM_INFO => {
            // struct seminfo.
            let info = Arg::Guest(t.user().pointer(a.raw(3), 40));
            Ok(host::call(&host::SEMCTL_PTR, &mut numbers(info))?)
        }
        IPC_RMID | GETPID | GETVAL | GETNCNT | GETZCNT | SETVAL => {
            Ok(host::call(&host::SEMCTL, &mut numbers(Arg::Int(a.raw(3))))?)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

// Flags of `shmat` (`linux/shm.h`).
const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100_000;

/// `shmat(segment, address, flags)`.
pub(crate) fn shmat(t: &mut Thread, a: &Args) -> SysResult {
    let (segment, flags) = (a.int(0), a.uint(2));
    if segment < 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut addr = a.raw(1);
    if !addr.is_multiple_of(PAGE_SIZE) {
        if flags & SHM_RND == 0 {
            return Err(Errno::EINVAL.into());
        }
        addr -= addr % PAGE_SIZE;
        if addr == 0 && flags & SHM_REMAP != 0 {
            return Err(Errno::EINVAL.into());
        }
    }
    let place = match addr {
        0 if flags & SHM_REMAP != 0 => return Err(Errno::EINVAL.into()),
        0 => Place::Any,
        _ if flags & SHM_REMAP != 0 => Place::Fixed(GuestAddr::new(addr)),
        _ => Place::FixedNoReplace(GuestAddr::new(addr)),
    };
    let mut perms = Perms::READ;
    if flags & SHM_RDONLY == 0 {
        perms = perms | Perms::WRITE;
    }
    if flags & SHM_EXEC != 0 {
        perms = perms | Perms::EXECUTE;
    }
    match t.space.attach(segment, place, perms) {
        Ok(addr) => Ok(addr.get()),
        // What is in the way is the caller's mistake to this call.
        Err(vm_mem::MemError::Exists { .. } | vm_mem::MemError::OutOfRange { .. }) => Err(Errno::EINVAL.into()),
        Err(error) => Err(error.into()),
    }
}

/// `shmdt(address)`.
pub(crate) fn shmdt(t: &mut Thread, a: &Args) -> SysResult {
    t.space.detach(GuestAddr::new(a.raw(0)))?;
    Ok(0)
}

/// `mq_open(name, flags, mode, attributes)`.
pub(crate) fn mq_open(t: &mut Thread, a: &Args) -> SysResult {
    let flags = host_open_flags(a.uint(1).into());
    t.pass(&host::MQ_OPEN, &Args([a.raw(0), flags, a.raw(2), a.raw(3), 0, 0]))
}

/// `mq_notify(queue, event)`.
pub(crate) fn mq_notify(t: &mut Thread, a: &Args) -> SysResult {
    /// `NOTIFY_COOKIE_LEN`.
    const COOKIE: u64 = 32;
    if a.raw(1) == 0 {
        return t.pass(&host::MQ_NOTIFY, a);
    }
    let mut event = t.user().bytes(a.raw(1), 64)?;
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| event[at + index]));
    if (word(8) >> 32) as i32 == libc::SIGEV_THREAD {
        // The value is the address of what is sent through a socket.
        let cookie = t.user().pointer(word(0), COOKIE).get();
        event[..8].copy_from_slice(&cookie.to_le_bytes());
    }
    // A compile thread that gave them up would take the notification with them.
    t.engine.keep_descriptors();
    Ok(host::call(&host::MQ_NOTIFY, &mut [Arg::Int(a.raw(0)), Arg::Bytes(&mut event)])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes and offsets by the riscv64 cross compiler, and by the host's C library.
    #[test]
    fn layouts_are_the_kernels() {
        assert_eq!((IpcPerm::SIZE, size_of::<libc::ipc_perm>()), (48, 48));
        assert_eq!(SemIdDs::SIZE, 88);
        assert_eq!(std::mem::offset_of!(SemIdDs, count), 64);
        assert_eq!(HostSemIdDs::SIZE, size_of::<libc::semid_ds>());
        assert_eq!(std::mem::offset_of!(HostSemIdDs, count), std::mem::offset_of!(libc::semid_ds, sem_nsems));
        assert_eq!(size_of::<libc::msqid_ds>(), 120);
        assert_eq!(size_of::<libc::shmid_ds>(), 112);
    }
}
