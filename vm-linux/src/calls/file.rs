//! Opening, reading and writing files, and what is done to descriptors.

use std::ffi::CString;

use crate::errno::Errno;
use crate::host::{self, Arg, HostCall};
use crate::kernel::{Args, SysResult};
use crate::layout::{IoVec, Layout, OpenHow};
use crate::thread::Thread;
use crate::user::PATH_MAX;

use super::procfs;

/// Flags of `open` as the guest numbers them (`asm-generic/fcntl.h`), where hosts differ, and the host's numbers.
const OPEN_FLAGS: [(u64, i32); 4] = [
    (0o40000, libc::O_DIRECT),
    (0o100_000, HOST_LARGEFILE),
    (0o200_000, libc::O_DIRECTORY),
    (0o400_000, libc::O_NOFOLLOW),
];

/// The C library hides its `O_LARGEFILE` on 64-bit hosts; the kernel's number is what counts.
const HOST_LARGEFILE: i32 = if cfg!(target_arch = "aarch64") { 0o400_000 } else { 0o100_000 };

/// The host's flags for the guest's.
fn host_open_flags(flags: u64) -> u64 {
    let differing = OPEN_FLAGS.iter().fold(0, |all, (guest, _)| all | guest);
    OPEN_FLAGS
        .iter()
        .filter(|(guest, _)| flags & guest != 0)
        .fold(flags & !differing, |all, (_, host)| all | *host as u64)
}

/// The guest's flags for the host's, as `F_GETFL` gives them.
fn guest_open_flags(flags: u64) -> u64 {
    let differing = OPEN_FLAGS.iter().fold(0, |all, (_, host)| all | *host as u64);
    OPEN_FLAGS
        .iter()
        .filter(|(_, host)| flags & *host as u64 != 0)
        .fold(flags & !differing, |all, (guest, _)| all | guest)
}

/// `openat(dirfd, path, flags, mode)`.
pub(crate) fn openat(t: &mut Thread, a: &Args) -> SysResult {
    let flags = host_open_flags(a.uint(2).into());
    let path = t.user().string(a.raw(1), PATH_MAX)?;
    let how = OpenHow { flags, mode: a.uint(3).into(), resolve: 0 };
    open(t, a.raw(0), path, how, &host::OPENAT)
}

/// `openat2(dirfd, path, how, size)`: a `how` with fields that are not known yet has to be zero in them.
pub(crate) fn openat2(t: &mut Thread, a: &Args) -> SysResult {
    let size = a.raw(3);
    if size < OpenHow::SIZE as u64 {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let bytes = t.user().bytes(a.raw(2), size as usize)?;
    if bytes[OpenHow::SIZE..].iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    let mut how = OpenHow::decode(&bytes);
    how.flags = host_open_flags(how.flags);
    let path = t.user().string(a.raw(1), PATH_MAX)?;
    open(t, a.raw(0), path, how, &host::OPENAT2)
}

fn open(t: &Thread, dirfd: u64, path: CString, how: OpenHow, call: &HostCall) -> SysResult {
    if let Some(file) = procfs::file(t, &path) {
        return Ok(procfs::open(&file, how.flags)?);
    }
    let path = match procfs::link(t, &path) {
        Some(target) => target,
        None => t.resolve(path, how.flags & libc::O_NOFOLLOW as u64 == 0),
    };
    if std::ptr::eq(call, &raw const host::OPENAT2) {
        let mut bytes = how.encode();
        let size = bytes.len() as u64;
        return Ok(host::wait(call, &mut [Arg::Int(dirfd), Arg::Str(&path), Arg::Bytes(&mut bytes), Arg::Int(size)])?);
    }
    Ok(host::wait(call, &mut [Arg::Int(dirfd), Arg::Str(&path), Arg::Int(how.flags), Arg::Int(how.mode)])?)
}

/// Passes a call whose second and third arguments are an array of buffers and its length.
fn vector(t: &Thread, a: &Args, call: &HostCall) -> SysResult {
    /// `UIO_MAXIOV`.
    const MAX: u64 = 1024;
    let count = a.raw(2);
    let array = if count <= MAX { t.user().bytes(a.raw(1), count as usize * IoVec::SIZE).ok() } else { None };
    let mut host_array: Vec<u8> = array
        .iter()
        .flat_map(|bytes| bytes.chunks_exact(IoVec::SIZE))
        .flat_map(|bytes| {
            let one = IoVec::decode(bytes);
            IoVec { base: t.user().pointer(one.base, one.len).get(), len: one.len }.encode()
        })
        .collect();
    let mut list = [const { Arg::Int(0) }; 6];
    for (index, arg) in list.iter_mut().enumerate() {
        *arg = Arg::Int(a.raw(index));
    }
    list[1] = match array {
        Some(_) => Arg::Bytes(&mut host_array),
        // The host's kernel finds the mistake, after those in arguments that it looks at before.
        None => Arg::Guest(t.user().pointer(u64::MAX, 1)),
    };
    Ok(host::wait(call, &mut list[..call.shapes().len()])?)
}

/// `readv(fd, iov, count)`.
pub(crate) fn readv(t: &mut Thread, a: &Args) -> SysResult {
    vector(t, a, &host::READV)
}

/// `writev(fd, iov, count)`.
pub(crate) fn writev(t: &mut Thread, a: &Args) -> SysResult {
    vector(t, a, &host::WRITEV)
}

/// `preadv(fd, iov, count, offset_low, offset_high)`.
pub(crate) fn preadv(t: &mut Thread, a: &Args) -> SysResult {
    vector(t, a, &host::PREADV)
}

/// `pwritev(fd, iov, count, offset_low, offset_high)`.
pub(crate) fn pwritev(t: &mut Thread, a: &Args) -> SysResult {
    vector(t, a, &host::PWRITEV)
}

/// `preadv2(fd, iov, count, offset_low, offset_high, flags)`.
pub(crate) fn preadv2(t: &mut Thread, a: &Args) -> SysResult {
    vector(t, a, &host::PREADV2)
}

/// `pwritev2(fd, iov, count, offset_low, offset_high, flags)`.
pub(crate) fn pwritev2(t: &mut Thread, a: &Args) -> SysResult {
    vector(t, a, &host::PWRITEV2)
}

/// What the third argument of a command is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    /// A number, or nothing.
    Number,
    /// A pointer to so many bytes.
    Pointer(u64),
}

/// Commands of `fcntl` (`asm-generic/fcntl.h`, `linux/fcntl.h`).
const FCNTL: &[(std::ops::RangeInclusive<i32>, Operand)] = &[
    (0..=4, Operand::Number),           // F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL
    (5..=7, Operand::Pointer(32)),      // F_GETLK, F_SETLK, F_SETLKW
    (8..=11, Operand::Number),          // F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG
    (15..=16, Operand::Pointer(8)),     // F_SETOWN_EX, F_GETOWN_EX
    (36..=38, Operand::Pointer(32)),    // F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW
    (1024..=1026, Operand::Number),     // F_SETLEASE, F_GETLEASE, F_NOTIFY
    (1030..=1034, Operand::Number),     // F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS
    (1036..=1039, Operand::Pointer(8)), // F_GET_RW_HINT and its kin
];

/// `fcntl(fd, command, argument)`.
pub(crate) fn fcntl(t: &mut Thread, a: &Args) -> SysResult {
    let command = a.int(1);
    let operand = FCNTL.iter().find(|(commands, _)| commands.contains(&command)).map(|(_, operand)| *operand);
    match operand {
        Some(Operand::Pointer(len)) => {
            let pointer = t.user().pointer(a.raw(2), len);
            Ok(host::wait(&host::FCNTL_PTR, &mut [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Guest(pointer)])?)
        }
        Some(Operand::Number) => {
            let value = if command == libc::F_SETFL { host_open_flags(a.raw(2)) } else { a.raw(2) };
            let result = host::call(&host::FCNTL, &mut [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Int(value)])?;
            Ok(if command == libc::F_GETFL { guest_open_flags(result) } else { result })
        }
        None => {
            open_descriptor(a.raw(0))?;
            Err(Errno::EINVAL.into())
        }
    }
}

/// # Errors
/// `EBADF` if the descriptor is not open.
pub(crate) fn open_descriptor(fd: u64) -> Result<(), Errno> {
    host::call(&host::FCNTL, &mut [Arg::Int(fd), Arg::Int(libc::F_GETFD as u64), Arg::Int(0)]).map(drop)
}

/// Requests of `ioctl` that are passed on (`asm-generic/ioctls.h`, `linux/fs.h`), by number.
const IOCTL: &[(u32, Operand)] = &[
    (0x5401, Operand::Pointer(36)),      // TCGETS
    (0x5402, Operand::Pointer(36)),      // TCSETS
    (0x5403, Operand::Pointer(36)),      // TCSETSW
    (0x5404, Operand::Pointer(36)),      // TCSETSF
    (0x5405, Operand::Pointer(18)),      // TCGETA
    (0x5406, Operand::Pointer(18)),      // TCSETA
    (0x5407, Operand::Pointer(18)),      // TCSETAW
    (0x5408, Operand::Pointer(18)),      // TCSETAF
    (0x5409, Operand::Number),           // TCSBRK
    (0x540a, Operand::Number),           // TCXONC
    (0x540b, Operand::Number),           // TCFLSH
    (0x540c, Operand::Number),           // TIOCEXCL
    (0x540d, Operand::Number),           // TIOCNXCL
    (0x540e, Operand::Number),           // TIOCSCTTY
    (0x540f, Operand::Pointer(4)),       // TIOCGPGRP
    (0x5410, Operand::Pointer(4)),       // TIOCSPGRP
    (0x5411, Operand::Pointer(4)),       // TIOCOUTQ
    (0x5413, Operand::Pointer(8)),       // TIOCGWINSZ
    (0x5414, Operand::Pointer(8)),       // TIOCSWINSZ
    (0x5415, Operand::Pointer(4)),       // TIOCMGET
    (0x541b, Operand::Pointer(4)),       // FIONREAD
    (0x5421, Operand::Pointer(4)),       // FIONBIO
    (0x5422, Operand::Number),           // TIOCNOTTY
    (0x5423, Operand::Pointer(4)),       // TIOCSETD
    (0x5424, Operand::Pointer(4)),       // TIOCGETD
    (0x5425, Operand::Number),           // TCSBRKP
    (0x5429, Operand::Pointer(4)),       // TIOCGSID
    (0x5450, Operand::Number),           // FIONCLEX
    (0x5451, Operand::Number),           // FIOCLEX
    (0x5452, Operand::Pointer(4)),       // FIOASYNC
    (0x5460, Operand::Pointer(8)),       // FIOQSIZE
    (0x802c_542a, Operand::Pointer(44)), // TCGETS2
    (0x402c_542b, Operand::Pointer(44)), // TCSETS2
    (0x402c_542c, Operand::Pointer(44)), // TCSETSW2
    (0x402c_542d, Operand::Pointer(44)), // TCSETSF2
    (0x8004_5430, Operand::Pointer(4)),  // TIOCGPTN
    (0x4004_5431, Operand::Pointer(4)),  // TIOCSPTLCK
    (0x5441, Operand::Number),           // TIOCGPTPEER
    (0x4004_9409, Operand::Number),      // FICLONE
    (0x8008_6601, Operand::Pointer(8)),  // FS_IOC_GETFLAGS
    (0x4008_6602, Operand::Pointer(8)),  // FS_IOC_SETFLAGS
];

/// `ioctl(fd, request, argument)`.
pub(crate) fn ioctl(t: &mut Thread, a: &Args) -> SysResult {
    let request = a.uint(1);
    let (fd, number) = (Arg::Int(a.raw(0)), Arg::Int(request.into()));
    match IOCTL.iter().find(|(known, _)| *known == request).map(|(_, operand)| *operand) {
        Some(Operand::Pointer(len)) => {
            let pointer = t.user().pointer(a.raw(2), len);
            Ok(host::wait(&host::IOCTL_PTR, &mut [fd, number, Arg::Guest(pointer)])?)
        }
        Some(Operand::Number) => Ok(host::wait(&host::IOCTL, &mut [fd, number, Arg::Int(a.raw(2))])?),
        None => {
            open_descriptor(a.raw(0))?;
            Err(Errno::ENOTTY.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_flags_translate_there_and_back() {
        assert_eq!(host_open_flags(0o200_000), libc::O_DIRECTORY as u64);
        assert_eq!(host_open_flags(0o400_002), (libc::O_NOFOLLOW | libc::O_RDWR) as u64);
        for flags in [0, 0o40000, 0o100_001, 0o600_000, 0o2_000_000] {
            assert_eq!(guest_open_flags(host_open_flags(flags)), flags);
        }
    }
}
