//! Structures that programs and kernel exchange, one file a guest.
//!
//! Only structures that a handler reads or builds field by field are declared. All others (`timespec`, `termios`,
//! `statfs`, `rusage`, ...) have one layout on every 64-bit little-endian Linux, and go straight to the host's kernel;
//! the tests here hold the host's declarations to the guest's numbers.

pub(crate) mod riscv64;

/// A structure with the guest's layout, as bytes.
pub(crate) trait Layout: Sized {
    /// Size in bytes, trailing padding included.
    const SIZE: usize;

    /// Lends the structure's bytes; padding is zero.
    fn lend<R>(&self, to: impl FnOnce(&[u8]) -> R) -> R;

    /// The structure's bytes.
    fn encode(&self) -> Vec<u8> {
        self.lend(<[u8]>::to_vec)
    }

    /// Reads a structure from the [`Layout::SIZE`] bytes that `fill` puts into what it is lent.
    ///
    /// # Errors
    /// Those of `fill`.
    fn read<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E>;

    /// Reads a structure from its first [`Layout::SIZE`] bytes.
    ///
    /// # Panics
    /// If there are fewer.
    fn decode(bytes: &[u8]) -> Self;
}

/// A field of a structure: a little-endian number, or an array of them.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut [u8]);
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($ty:ty)*) => { $(
        impl Field for $ty {
            fn put(&self, out: &mut [u8]) {
                out[..size_of::<Self>()].copy_from_slice(&self.to_le_bytes());
            }

            fn take(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(&bytes[..size_of::<Self>()]);
                Self::from_le_bytes(own)
            }
        }
    )* };
}

numbers! { u8 u16 u32 i32 u64 i64 }

impl<T: Field + Default + Copy, const N: usize> Field for [T; N] {
    fn put(&self, out: &mut [u8]) {
        for (value, out) in self.iter().zip(out.chunks_exact_mut(size_of::<T>())) {
            value.put(out);
        }
    }

    fn take(bytes: &[u8]) -> Self {
        let mut own = [T::default(); N];
        for (value, bytes) in own.iter_mut().zip(bytes.chunks_exact(size_of::<T>())) {
            *value = T::take(bytes);
        }
        own
    }
}

/// Declares structures with C's layout rules, which all 64-bit guests share (natural alignment).
macro_rules! layout {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
        #[repr(C)]
        pub(crate) struct $name {
            $($(#[$doc])* pub(crate) $field: $ty,)*
        }

        impl $crate::layout::Layout for $name {
            const SIZE: usize = size_of::<Self>();

            fn lend<R>(&self, to: impl FnOnce(&[u8]) -> R) -> R {
                let mut out = [0; size_of::<Self>()];
                $crate::layout::Field::put(self, &mut out);
                to(&out)
            }

            fn read<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
                let mut bytes = [0; size_of::<Self>()];
                fill(&mut bytes)?;
                Ok(<Self as $crate::layout::Layout>::decode(&bytes))
            }

            fn decode(bytes: &[u8]) -> Self {
                Self { $($field: $crate::layout::Field::take(&bytes[std::mem::offset_of!(Self, $field)..]),)* }
            }
        }

        impl $crate::layout::Field for $name {
            fn put(&self, out: &mut [u8]) {
                $($crate::layout::Field::put(&self.$field, &mut out[std::mem::offset_of!(Self, $field)..]);)*
            }

            fn take(bytes: &[u8]) -> Self {
                $crate::layout::Layout::decode(bytes)
            }
        }
    )* };
}

pub(crate) use layout;

layout! {
    /// `struct iovec`.
    IoVec {
        base: u64,
        len: u64,
    }

    /// `struct statx_timestamp`.
    StatxTime {
        sec: i64,
        nsec: u32,
        pad: u32,
    }
}

layout! {
    /// `struct statx`, the same for every architecture.
    Statx {
        mask: u32,
        blksize: u32,
        attributes: u64,
        nlink: u32,
        uid: u32,
        gid: u32,
        mode: u16,
        pad: u16,
        ino: u64,
        size: u64,
        blocks: u64,
        attributes_mask: u64,
        atime: StatxTime,
        btime: StatxTime,
        ctime: StatxTime,
        mtime: StatxTime,
        rdev_major: u32,
        rdev_minor: u32,
        dev_major: u32,
        dev_minor: u32,
        rest: [u64; 14],
    }

    /// `struct rlimit64`.
    Rlimit {
        soft: u64,
        hard: u64,
    }

    /// `struct open_how`.
    OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use linux_raw_sys::general as host;

    use super::*;

    macro_rules! same {
        ($guest:ty, $host:ty: $($field:ident = $theirs:ident),*) => {
            assert_eq!(size_of::<$guest>(), size_of::<$host>());
            $(assert_eq!(offset_of!($guest, $field), offset_of!($host, $theirs), stringify!($field));)*
        };
    }

    #[test]
    fn structures_agree_with_the_kernel_headers() {
        same!(IoVec, host::iovec: base = iov_base, len = iov_len);
        same!(Rlimit, host::rlimit64: soft = rlim_cur, hard = rlim_max);
        same!(OpenHow, host::open_how: flags = flags, mode = mode, resolve = resolve);
        same!(StatxTime, host::statx_timestamp: sec = tv_sec, nsec = tv_nsec);
        same!(Statx, host::statx: mask = stx_mask, nlink = stx_nlink, uid = stx_uid, gid = stx_gid, mode = stx_mode,
            ino = stx_ino, size = stx_size, blocks = stx_blocks, atime = stx_atime, ctime = stx_ctime,
            mtime = stx_mtime, rdev_major = stx_rdev_major, dev_major = stx_dev_major);
    }

    /// Sizes of what is handed straight to the host's kernel, from the riscv64 headers (`asm-generic`).
    #[test]
    fn passed_structures_have_the_generic_sizes() {
        assert_eq!(size_of::<host::timespec>(), 16);
        assert_eq!(size_of::<host::timeval>(), 16);
        assert_eq!(size_of::<host::itimerval>(), 32);
        assert_eq!(size_of::<host::rusage>(), 144);
        assert_eq!(size_of::<host::statfs>(), 120);
        assert_eq!(offset_of!(host::statfs, f_namelen), 64);
        assert_eq!(size_of::<host::termios>(), 36);
        assert_eq!(offset_of!(host::termios, c_cc), 17);
        assert_eq!(size_of::<host::winsize>(), 8);
        assert_eq!(size_of::<host::flock>(), 32);
        assert_eq!(size_of::<host::pollfd>(), 8);
        assert_eq!(size_of::<linux_raw_sys::system::sysinfo>(), 112);
        assert_eq!(size_of::<linux_raw_sys::system::new_utsname>(), 390);
        assert_eq!(offset_of!(linux_raw_sys::system::new_utsname, machine), 260);
    }

    #[test]
    fn structures_decode_what_they_encode() {
        let time = StatxTime { sec: -5, nsec: 7, pad: 0 };
        let stat = Statx { mode: 0o100_644, size: 1 << 40, mtime: time, rest: [9; 14], ..Statx::default() };
        assert_eq!(stat.encode().len(), 256);
        assert_eq!(Statx::decode(&stat.encode()), stat);
    }
}
