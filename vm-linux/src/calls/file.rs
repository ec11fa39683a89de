//! Opening, reading and writing files, and what is done to descriptors.

use crate::errno::Errno;
use crate::host::{self, Arg, HostCall};
use crate::kernel::{Args, SysResult, before_name, wrong_name};
use crate::layout::{Field, IoVec, Layout, OpenHow};
use crate::paths::{CWD, from_openat};
use crate::thread::Thread;
use crate::user::PATH_MAX;

/// Flags of `open` as the guest numbers them (`asm-generic/fcntl.h`), where hosts differ, and the host's numbers.
const OPEN_FLAGS: [(u64, i32); 4] = [
    (0o40000, libc::O_DIRECT),
    (0o100_000, HOST_LARGEFILE),
    (0o200_000, libc::O_DIRECTORY),
    (0o400_000, libc::O_NOFOLLOW),
];

/// The C library hides its `O_LARGEFILE` on 64-bit hosts; the kernel's number is what counts.
pub(crate) const HOST_LARGEFILE: i32 = if cfg!(target_arch = "aarch64") { 0o400_000 } else { 0o100_000 };

/// The host's flags for the guest's.
pub(crate) fn host_open_flags(flags: u64) -> u64 {
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
    let path = t.user().string(a.raw(1), PATH_MAX).map_err(|errno| {
        let nameless = &mut [Arg::Int(CWD), wrong_name(t.user(), errno), Arg::Int(flags), Arg::Int(a.raw(3))];
        before_name(errno, host::call(&host::OPENAT, nameless))
    })?;
    let how = match t.view.is_confined() {
        true => from_openat(flags, a.uint(3).into()),
        false => OpenHow { flags, mode: a.uint(3).into(), resolve: 0 },
    };
    Ok(t.open(a.raw(0), &path, how, false)?)
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
    let path = t.user().string(a.raw(1), PATH_MAX).map_err(|errno| {
        let (mut how, size) = (how.encode(), OpenHow::SIZE as u64);
        let nameless = &mut [Arg::Int(CWD), wrong_name(t.user(), errno), Arg::Bytes(&mut how), Arg::Int(size)];
        before_name(errno, host::call(&host::OPENAT2, nameless))
    })?;
    Ok(t.open(a.raw(0), &path, how, true)?)
}

/// Passes a call whose second and third arguments are an array of buffers and its length.
fn vector(t: &Thread, a: &Args, call: &HostCall) -> SysResult {
    /// `UIO_MAXIOV`.
    const MAX: usize = 1024;
    /// An array up to this length needs no memory of its own.
    const FEW: usize = 8;
    let count = usize::try_from(a.raw(2)).unwrap_or(usize::MAX);
    let (mut few, mut many) = ([0; FEW * IoVec::SIZE], Vec::new());
    let array = match count {
        0..=FEW => &mut few[..count * IoVec::SIZE],
        _ if count <= MAX => {
            many.resize(count * IoVec::SIZE, 0);
            &mut many[..]
        }
        _ => &mut [],
    };
    let readable = count <= MAX && t.user().fill(a.raw(1), array).is_ok();
    for bytes in array.chunks_exact_mut(IoVec::SIZE) {
        let one = IoVec::decode(bytes);
        // The kernel cuts a buffer that is the only one before it looks where it ends.
        let len = if count == 1 { one.len.min(host::MAX_RW_COUNT) } else { one.len };
        IoVec { base: t.user().pointer(one.base, len).get(), len: one.len }.put(bytes);
    }
    let mut list = [const { Arg::Int(0) }; 6];
    for (index, arg) in list.iter_mut().enumerate() {
        *arg = Arg::Int(a.raw(index));
    }
    list[1] = match readable {
        true => Arg::Bytes(array),
        // The host's kernel finds the mistake, after those in arguments that it looks at before.
        false => Arg::Guest(t.user().pointer(u64::MAX, 1)),
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

/// `vmsplice(fd, iov, count, flags)`.
pub(crate) fn vmsplice(t: &mut Thread, a: &Args) -> SysResult {
    vector(t, a, &host::VMSPLICE)
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
    (15..=17, Operand::Pointer(8)),     // F_SETOWN_EX, F_GETOWN_EX, F_GETOWNER_UIDS
    (36..=38, Operand::Pointer(32)),    // F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW
    (1024..=1026, Operand::Number),     // F_SETLEASE, F_GETLEASE, F_NOTIFY
    (1027..=1028, Operand::Number),     // F_DUPFD_QUERY, F_CREATED_QUERY
    (1030..=1034, Operand::Number),     // F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS
    (1035..=1038, Operand::Pointer(8)), // F_GET_RW_HINT and its kin
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
            usable_descriptor(a.raw(0))?;
            Err(Errno::EINVAL.into())
        }
    }
}

/// # Errors
/// `EBADF` if the descriptor is not open.
pub(crate) fn open_descriptor(fd: u64) -> Result<(), Errno> {
    host::call(&host::FCNTL, &mut [Arg::Int(fd), Arg::Int(libc::F_GETFD as u64), Arg::Int(0)]).map(drop)
}

/// # Errors
/// `EBADF` if the descriptor is not open, or only names a file (`O_PATH`).
pub(super) fn usable_descriptor(fd: u64) -> Result<(), Errno> {
    host::call(&host::FCNTL, &mut [Arg::Int(fd), Arg::Int(libc::F_GETOWN as u64), Arg::Int(0)]).map(drop)
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
