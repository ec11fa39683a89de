//! Structures as riscv64 Linux has them (`asm-generic`), where handlers build or read them.

use super::{Statx, layout};

layout! {
    /// `struct stat` (`asm-generic/stat.h`), which x86-64 lays out in its own way.
    Stat {
        dev: u64,
        ino: u64,
        mode: u32,
        nlink: u32,
        uid: u32,
        gid: u32,
        rdev: u64,
        pad1: u64,
        size: i64,
        blksize: i32,
        pad2: i32,
        blocks: i64,
        atime: i64,
        atime_nsec: u64,
        mtime: i64,
        mtime_nsec: u64,
        ctime: i64,
        ctime_nsec: u64,
        unused: [u32; 2],
    }

    /// `struct sigaction` (`asm-generic/signal.h`), which has no restorer on riscv64.
    SigAction {
        handler: u64,
        flags: u64,
        mask: u64,
    }

    /// `struct riscv_hwprobe` (`asm/hwprobe.h`).
    HwProbe {
        key: i64,
        value: u64,
    }

    /// `stack_t`.
    StackT {
        pointer: u64,
        flags: i32,
        size: u64,
    }

    /// `struct sigcontext` (`asm/sigcontext.h`): `struct user_regs_struct`, then the union of floating-point states, of
    /// which the one with double precision is used.
    SigContext {
        pc: u64,
        x: [u64; 31],
        f: [u64; 32],
        fcsr: u32,
        pad: [u32; 3],
        /// The rest of the union, and the end marker of extended states.
        reserved: [u64; 32],
    }

    /// `struct ucontext` (`asm/ucontext.h`).
    UContext {
        flags: u64,
        link: u64,
        stack: StackT,
        mask: u64,
        mask_room: [u64; 15],
        /// The context is aligned to 16 bytes.
        pad: u64,
        registers: SigContext,
    }

    /// `struct clone_args` (`linux/sched.h`), as of its version 2.
    CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
}

/// Device numbers in `struct stat`: twelve bits of major, twenty of minor (`new_encode_dev`).
fn device(major: u32, minor: u32) -> u64 {
    u64::from(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

impl From<&Statx> for Stat {
    fn from(from: &Statx) -> Self {
        Self {
            dev: device(from.dev_major, from.dev_minor),
            ino: from.ino,
            mode: from.mode.into(),
            nlink: from.nlink,
            uid: from.uid,
            gid: from.gid,
            rdev: device(from.rdev_major, from.rdev_minor),
            size: from.size as i64,
            blksize: from.blksize as i32,
            blocks: from.blocks as i64,
            atime: from.atime.sec,
            atime_nsec: from.atime.nsec.into(),
            mtime: from.mtime.sec,
            mtime_nsec: from.mtime.nsec.into(),
            ctime: from.ctime.sec,
            ctime_nsec: from.ctime.nsec.into(),
            ..Self::default()
        }
    }
}

impl From<&libc::stat> for Stat {
    /// Device numbers are packed alike on all 64-bit hosts.
    fn from(from: &libc::stat) -> Self {
        Self {
            dev: from.st_dev,
            ino: from.st_ino,
            mode: from.st_mode,
            nlink: from.st_nlink as u32,
            uid: from.st_uid,
            gid: from.st_gid,
            rdev: from.st_rdev,
            size: from.st_size,
            blksize: from.st_blksize as i32,
            blocks: from.st_blocks,
            atime: from.st_atime,
            atime_nsec: from.st_atime_nsec as u64,
            mtime: from.st_mtime,
            mtime_nsec: from.st_mtime_nsec as u64,
            ctime: from.st_ctime,
            ctime_nsec: from.st_ctime_nsec as u64,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::layout::Layout;

    /// Offsets from `offsetof` compiled by riscv64-linux-gnu-gcc.
    #[test]
    fn offsets_are_those_of_the_cross_compiler() {
        assert_eq!(Stat::SIZE, 128);
        assert_eq!(offset_of!(Stat, mode), 16);
        assert_eq!(offset_of!(Stat, rdev), 32);
        assert_eq!(offset_of!(Stat, size), 48);
        assert_eq!(offset_of!(Stat, blksize), 56);
        assert_eq!(offset_of!(Stat, blocks), 64);
        assert_eq!(offset_of!(Stat, atime), 72);
        assert_eq!(offset_of!(Stat, ctime_nsec), 112);
        assert_eq!(SigAction::SIZE, 24);
        assert_eq!(HwProbe::SIZE, 16);
        assert_eq!(StackT::SIZE, 24);
        assert_eq!(UContext::SIZE, 960);
        assert_eq!(offset_of!(UContext, mask), 40);
        assert_eq!(offset_of!(UContext, registers), 176);
        assert_eq!(offset_of!(SigContext, f), 256);
        assert_eq!(offset_of!(SigContext, fcsr), 512);
        assert_eq!(SigContext::SIZE, 784);
        assert_eq!(CloneArgs::SIZE, 88);
    }

    #[test]
    fn device_numbers_are_packed_as_makedev_does() {
        assert_eq!(device(8, 1), 0x801);
        assert_eq!(device(136, 3), libc::makedev(136, 3));
        assert_eq!(device(259, 70_000), libc::makedev(259, 70_000));
    }
}
