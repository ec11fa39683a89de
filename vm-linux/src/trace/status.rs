//! Structures that tell how something is: file systems, the clock, objects of System V interprocess communication,
//! capabilities and scheduling of a process.

use super::names::{self as n, list};
use super::record::{fields, hex, i32_at, timeval, u16_at, u32_at, u64_at, words};
use super::text::{Line, put};

/// Types of file systems (`linux/magic.h`).
static FILE_SYSTEMS: n::Names = n::Names::one(
    list![ADFS_SUPER_MAGIC AFFS_SUPER_MAGIC ANON_INODE_FS_MAGIC = 0x0904_1934 AUTOFS_SUPER_MAGIC BDEVFS_MAGIC = 0x6264_6576
        BINFMTFS_MAGIC = 0x4249_4e4d BPF_FS_MAGIC = 0xcafe_4a11 BTRFS_SUPER_MAGIC CGROUP_SUPER_MAGIC CGROUP2_SUPER_MAGIC
        CODA_SUPER_MAGIC CRAMFS_MAGIC = 0x28cd_3d45 DEBUGFS_MAGIC DEVPTS_SUPER_MAGIC ECRYPTFS_SUPER_MAGIC
        EFIVARFS_MAGIC = 0xde5e_81e4 EXT2_SUPER_MAGIC F2FS_SUPER_MAGIC FUSE_SUPER_MAGIC HPFS_SUPER_MAGIC
        HUGETLBFS_MAGIC ISOFS_SUPER_MAGIC JFFS2_SUPER_MAGIC MINIX_SUPER_MAGIC MSDOS_SUPER_MAGIC NCP_SUPER_MAGIC
        NFS_SUPER_MAGIC NILFS_SUPER_MAGIC NSFS_MAGIC OCFS2_SUPER_MAGIC OPENPROM_SUPER_MAGIC OVERLAYFS_SUPER_MAGIC
        PIPEFS_MAGIC = 0x5049_5045 PROC_SUPER_MAGIC PSTOREFS_MAGIC = 0x6165_676c QNX4_SUPER_MAGIC RAMFS_MAGIC = 0x8584_58f6
        RDTGROUP_SUPER_MAGIC REISERFS_SUPER_MAGIC SECURITYFS_MAGIC SELINUX_MAGIC SMACK_MAGIC SMB_SUPER_MAGIC
        SOCKFS_MAGIC = 0x534f_434b SQUASHFS_MAGIC = 0x7371_7368 SYSFS_MAGIC TMPFS_MAGIC TRACEFS_MAGIC UDF_SUPER_MAGIC
        USBDEVICE_SUPER_MAGIC V9FS_MAGIC = 0x0102_1997 XENFS_SUPER_MAGIC XFS_SUPER_MAGIC],
    "???",
);

/// Flags of a mounted file system (`linux/statfs.h`).
static MOUNTED: n::Names = n::Names::flags(
    list![ST_VALID = 0x20 ST_RDONLY = 1 ST_NOSUID = 2 ST_NODEV = 4 ST_NOEXEC = 8 ST_SYNCHRONOUS = 0x10 ST_MANDLOCK = 0x40
        ST_NOATIME = 0x400 ST_NODIRATIME = 0x800 ST_RELATIME = 0x1000 ST_NOSYMFOLLOW = 0x2000],
    "ST_???",
);

/// Appends `struct statfs`.
pub(super) fn statfs(b: &[u8], l: &mut Line) {
    l.push("{f_type=");
    match FILE_SYSTEMS.name(u64_at(b, 0)) {
        Some(name) => l.push(name),
        None => hex(u64_at(b, 0), l),
    }
    let counts = ["f_bsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree"];
    fields(l, ", ", &counts, words(b, 8), ", f_fsid={val=[");
    hex(u32_at(b, 56).into(), l);
    l.push(", ");
    hex(u32_at(b, 60).into(), l);
    fields(l, "]}, ", &["f_namelen", "f_frsize"], words(b, 64), ", f_flags=");
    MOUNTED.write(u64_at(b, 80), l);
    l.push("}");
}

/// What a call changes of the clock (`linux/timex.h`).
static CLOCK_MODES: n::Names = n::Names::flags(
    list![ADJ_OFFSET = 1 ADJ_FREQUENCY = 2 ADJ_MAXERROR = 4 ADJ_ESTERROR = 8 ADJ_STATUS = 0x10 ADJ_TIMECONST = 0x20
        ADJ_TAI = 0x80 ADJ_SETOFFSET = 0x100 ADJ_MICRO = 0x1000 ADJ_NANO = 0x2000 ADJ_TICK = 0x4000],
    "ADJ_???",
);
static CLOCK_STATUS: n::Names = n::Names::flags(
    list![STA_PLL = 1 STA_PPSFREQ = 2 STA_PPSTIME = 4 STA_FLL = 8 STA_INS = 0x10 STA_DEL = 0x20 STA_UNSYNC = 0x40
        STA_FREQHOLD = 0x80 STA_PPSSIGNAL = 0x100 STA_PPSJITTER = 0x200 STA_PPSWANDER = 0x400 STA_PPSERROR = 0x800
        STA_CLOCKERR = 0x1000 STA_NANO = 0x2000 STA_MODE = 0x4000 STA_CLK = 0x8000],
    "STA_???",
);
/// What `adjtimex` gives.
pub(super) static CLOCK_STATE: n::Names =
    n::Names::one(list![TIME_OK = 0 TIME_INS = 1 TIME_DEL = 2 TIME_OOP = 3 TIME_WAIT = 4 TIME_ERROR = 5], "TIME_???");

/// Appends `struct timex`.
pub(super) fn timex(b: &[u8], l: &mut Line) {
    let signed = |at| words(b, at).map(|word| word as i64);
    l.push("{modes=");
    CLOCK_MODES.write(u32_at(b, 0).into(), l);
    fields(l, ", ", &["offset", "freq", "maxerror", "esterror"], signed(8), ", status=");
    CLOCK_STATUS.write(u32_at(b, 40).into(), l);
    fields(l, ", ", &["constant", "precision", "tolerance"], signed(48), ", time=");
    timeval(&b[72..], l);
    fields(l, ", ", &["tick", "ppsfreq", "jitter"], signed(88), ", ");
    put!(l, "shift={}, ", i32_at(b, 112));
    fields(l, "", &["stabil", "jitcnt", "calcnt", "errcnt", "stbcnt"], signed(120), ", ");
    put!(l, "tai={}}}", i32_at(b, 160));
}

/// Appends `struct ipc64_perm`, which begins each of the three.
fn permissions(b: &[u8], l: &mut Line) {
    put!(l, "{{uid={}, gid={}, mode=", i32_at(b, 4), i32_at(b, 8));
    l.mode(u32_at(b, 20));
    put!(l, ", key={}, cuid={}, cgid={}}}", i32_at(b, 0), i32_at(b, 12), i32_at(b, 16));
}

/// Appends `struct msqid64_ds`.
pub(super) fn message_queue(b: &[u8], l: &mut Line) {
    l.push("{msg_perm=");
    permissions(b, l);
    fields(l, ", ", &["msg_stime", "msg_rtime", "msg_ctime"], words(b, 48), ", ");
    fields(l, "", &["msg_qnum", "msg_qbytes"], words(b, 80), ", ");
    put!(l, "msg_lspid={}, msg_lrpid={}}}", i32_at(b, 96), i32_at(b, 100));
}

/// Appends `struct semid64_ds`.
pub(super) fn semaphores(b: &[u8], l: &mut Line) {
    l.push("{sem_perm=");
    permissions(b, l);
    fields(l, ", ", &["sem_otime", "sem_ctime", "sem_nsems"], words(b, 48), "}");
}

/// Appends `struct shmid64_ds`.
pub(super) fn segment(b: &[u8], l: &mut Line) {
    l.push("{shm_perm=");
    permissions(b, l);
    put!(l, ", shm_segsz={}, shm_cpid={}, shm_lpid={}, ", u64_at(b, 48), i32_at(b, 80), i32_at(b, 84));
    put!(l, "shm_nattch={}, ", u64_at(b, 88));
    fields(l, "", &["shm_atime", "shm_dtime", "shm_ctime"], words(b, 56), "}");
}

/// Appends the sets of capabilities of `capget(2)`: `wide` if each has two words.
pub(super) fn capabilities(b: &[u8], wide: bool, l: &mut Line) {
    for (index, name) in ["{effective=", ", permitted=", ", inheritable="].iter().enumerate() {
        l.push(name);
        let high = if wide { u64::from(u32_at(b, 12 + index * 4)) } else { 0 };
        capability_set(u64::from(u32_at(b, index * 4)) | high << 32, l);
    }
    l.push("}");
}

fn capability_set(set: u64, l: &mut Line) {
    let mut rest = set;
    for bit in 0..64 {
        if set & 1 << bit != 0
            && let Some(name) = n::CAP.name(bit)
        {
            put!(l, "{}1<<{name}", if rest == set { "" } else { "|" });
            rest &= !(1 << bit);
        }
    }
    match rest {
        0 if set == 0 => l.push("0"),
        0 => {}
        // All of the first word have names.
        _ => put!(l, "{}{:#x} /* {} */", if rest == set { "" } else { "|" }, rest >> 32, n::CAP.unknown),
    }
}

/// Bytes of the first `struct sched_attr`, and of the one that has limits of use.
const SCHED_ATTR: usize = 48;
const SCHED_ATTR_LIMITS: usize = 56;

/// Appends `struct sched_attr`, of which there are as many bytes as it says, or as fit.
pub(super) fn sched_attr(b: &[u8], l: &mut Line) {
    put!(l, "{{size={}", u32_at(b, 0));
    if b.len() >= SCHED_ATTR {
        l.push(", sched_policy=");
        n::SCHED.write(u32_at(b, 4).into(), l);
        l.push(", sched_flags=");
        n::SCHED_FLAG.write(u64_at(b, 8), l);
        put!(l, ", sched_nice={}, sched_priority={}, ", i32_at(b, 16), u32_at(b, 20));
        fields(l, "", &["sched_runtime", "sched_deadline", "sched_period"], words(b, 24), "");
    }
    if b.len() >= SCHED_ATTR_LIMITS {
        put!(l, ", sched_util_min={}, sched_util_max={}", u32_at(b, 48), u32_at(b, 52));
    }
    l.push("}");
}

/// Number of entries in what `getdents64` has written.
pub(super) fn entries(b: &[u8]) -> usize {
    // `struct linux_dirent64`: its own length is at 16.
    let mut rest = b;
    let mut count = 0;
    while rest.len() > 18 {
        count += 1;
        rest = &rest[usize::from(u16_at(rest, 16)).clamp(1, rest.len())..];
    }
    count
}

/// Appends a priority of input and output.
pub(super) fn io_priority(value: u64, l: &mut Line) {
    l.push("IOPRIO_PRIO_VALUE(");
    n::IOPRIO_CLASS.write(u64::from(value as u32 >> 13), l);
    put!(l, ", {})", value & 0x1fff);
}
