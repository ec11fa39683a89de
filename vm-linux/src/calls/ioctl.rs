//! `ioctl`: which requests are passed on, and what their arguments point to.
//!
//! A request's number tells the size of what its argument points to, if it follows the general encoding
//! (`asm-generic/ioctl.h`: direction, size, type, number), and riscv64, aarch64 and x86-64 have the same encoding and the
//! same requests. But older requests do not follow it, and some structures hold further addresses, which the host's
//! kernel would take for the emulator's: so a request is passed on if it is listed, or if it is of a type of which all
//! but the listed exceptions hold no address. All others do not exist, as far as the guest can tell (`ENOTTY`).
//!
//! One structure differs between architectures, that of `LOOP_GET_STATUS` and `LOOP_SET_STATUS`, which programs have
//! not used since their 64-bit variants exist; they are not passed on.

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult};
use crate::thread::Thread;

use super::file::usable_descriptor;

/// What the third argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    /// A number, or nothing.
    Number,
    /// A pointer to so many bytes.
    Pointer(u16),
    /// A pointer to a header of so many bytes, with a number of so many bytes at an offset in it that counts what follows:
    /// that many elements of a size.
    Counted { header: u16, offset: u16, width: u8, element: u16 },
    /// A pointer to a structure with an address in it.
    Special(Special),
}

/// A structure with an address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    /// `struct ifconf`: a length (4 bytes), and at 8 the address of the buffer.
    InterfaceList,
    /// `struct ifreq` with the address of an `ethtool` command at 16.
    EthTool,
    /// `struct rtentry` with the address of a device's name at 88.
    Route,
    /// `struct blkpg_ioctl_arg`: at 8 a length, at 16 an address.
    Partition,
    /// Three words: a command, an address of numbers or of a name, how many numbers (`linux/if_bridge.h`).
    Bridge,
}

use Operand::{Counted, Number, Pointer};

/// Bytes of `struct ifreq`.
const IFREQ: Operand = Pointer(40);

/// Requests by number, with their names (`asm-generic/ioctls.h`, `linux/{fs,sockios,loop,if_tun,rtc,random,...}.h`).
#[rustfmt::skip]
const REQUESTS: &[(u32, &str, Operand)] = &[
    // Terminals.
    (0x5401, "TCGETS", Pointer(36)),
    (0x5402, "TCSETS", Pointer(36)),
    (0x5403, "TCSETSW", Pointer(36)),
    (0x5404, "TCSETSF", Pointer(36)),
    (0x5405, "TCGETA", Pointer(18)),
    (0x5406, "TCSETA", Pointer(18)),
    (0x5407, "TCSETAW", Pointer(18)),
    (0x5408, "TCSETAF", Pointer(18)),
    (0x5409, "TCSBRK", Number),
    (0x540a, "TCXONC", Number),
    (0x540b, "TCFLSH", Number),
    (0x540c, "TIOCEXCL", Number),
    (0x540d, "TIOCNXCL", Number),
    (0x540e, "TIOCSCTTY", Number),
    (0x540f, "TIOCGPGRP", Pointer(4)),
    (0x5410, "TIOCSPGRP", Pointer(4)),
    (0x5411, "TIOCOUTQ", Pointer(4)),
    (0x5412, "TIOCSTI", Pointer(1)),
    (0x5413, "TIOCGWINSZ", Pointer(8)),
    (0x5414, "TIOCSWINSZ", Pointer(8)),
    (0x5415, "TIOCMGET", Pointer(4)),
    (0x5416, "TIOCMBIS", Pointer(4)),
    (0x5417, "TIOCMBIC", Pointer(4)),
    (0x5418, "TIOCMSET", Pointer(4)),
    (0x5419, "TIOCGSOFTCAR", Pointer(4)),
    (0x541a, "TIOCSSOFTCAR", Pointer(4)),
    (0x541b, "FIONREAD", Pointer(4)),
    (0x541d, "TIOCCONS", Number),
    (0x541e, "TIOCGSERIAL", Pointer(72)),
    (0x541f, "TIOCSSERIAL", Pointer(72)),
    (0x5420, "TIOCPKT", Pointer(4)),
    (0x5421, "FIONBIO", Pointer(4)),
    (0x5422, "TIOCNOTTY", Number),
    (0x5423, "TIOCSETD", Pointer(4)),
    (0x5424, "TIOCGETD", Pointer(4)),
    (0x5425, "TCSBRKP", Number),
    (0x5427, "TIOCSBRK", Number),
    (0x5428, "TIOCCBRK", Number),
    (0x5429, "TIOCGSID", Pointer(4)),
    (0x802c_542a, "TCGETS2", Pointer(44)),
    (0x402c_542b, "TCSETS2", Pointer(44)),
    (0x402c_542c, "TCSETSW2", Pointer(44)),
    (0x402c_542d, "TCSETSF2", Pointer(44)),
    (0x542e, "TIOCGRS485", Pointer(32)),
    (0x542f, "TIOCSRS485", Pointer(32)),
    (0x8004_5430, "TIOCGPTN", Pointer(4)),
    (0x4004_5431, "TIOCSPTLCK", Pointer(4)),
    (0x8004_5432, "TIOCGDEV", Pointer(4)),
    (0x4004_5436, "TIOCSIG", Number),
    (0x5437, "TIOCVHANGUP", Number),
    (0x8004_5438, "TIOCGPKT", Pointer(4)),
    (0x8004_5439, "TIOCGPTLCK", Pointer(4)),
    (0x8004_5440, "TIOCGEXCL", Pointer(4)),
    (0x5441, "TIOCGPTPEER", Number),
    (0x5450, "FIONCLEX", Number),
    (0x5451, "FIOCLEX", Number),
    (0x5452, "FIOASYNC", Pointer(4)),
    (0x5456, "TIOCGLCKTRMIOS", Pointer(36)),
    (0x5457, "TIOCSLCKTRMIOS", Pointer(36)),
    (0x545c, "TIOCMIWAIT", Number),
    (0x545d, "TIOCGICOUNT", Pointer(80)),
    (0x5460, "FIOQSIZE", Pointer(8)),
    // Consoles.
    (0x4b30, "KDMKTONE", Number),
    (0x4b31, "KDGETLED", Pointer(1)),
    (0x4b33, "KDGKBTYPE", Pointer(1)),
    (0x4b3a, "KDSETMODE", Number),
    (0x4b3b, "KDGETMODE", Pointer(4)),
    (0x4b44, "KDGKBMODE", Pointer(4)),
    (0x4b45, "KDSKBMODE", Number),
    (0x4b64, "KDGKBLED", Pointer(1)),
    (0x5600, "VT_OPENQRY", Pointer(4)),
    (0x5601, "VT_GETMODE", Pointer(8)),
    (0x5602, "VT_SETMODE", Pointer(8)),
    (0x5603, "VT_GETSTATE", Pointer(6)),
    (0x5605, "VT_RELDISP", Number),
    (0x5606, "VT_ACTIVATE", Number),
    (0x5607, "VT_WAITACTIVE", Number),
    (0x5608, "VT_DISALLOCATE", Number),
    // Files and file systems.
    (0x0001, "FIBMAP", Pointer(4)),
    (0x0002, "FIGETBSZ", Pointer(4)),
    (0x4004_9409, "FICLONE", Number),
    (0x4020_940d, "FICLONERANGE", Pointer(32)),
    (0xc018_9436, "FIDEDUPERANGE", Counted { header: 24, offset: 16, width: 2, element: 32 }),
    (0xc020_660b, "FS_IOC_FIEMAP", Counted { header: 32, offset: 24, width: 4, element: 56 }),
    (0x8008_6601, "FS_IOC_GETFLAGS", Pointer(8)),
    (0x4008_6602, "FS_IOC_SETFLAGS", Pointer(8)),
    (0x8008_7601, "FS_IOC_GETVERSION", Pointer(8)),
    (0x4008_7602, "FS_IOC_SETVERSION", Pointer(8)),
    (0x801c_581f, "FS_IOC_FSGETXATTR", Pointer(28)),
    (0x401c_5820, "FS_IOC_FSSETXATTR", Pointer(28)),
    (0xc004_5877, "FIFREEZE", Pointer(4)),
    (0xc004_5878, "FITHAW", Pointer(4)),
    (0xc018_5879, "FITRIM", Pointer(24)),
    (0x8100_9431, "FS_IOC_GETFSLABEL", Pointer(256)),
    (0x4100_9432, "FS_IOC_SETFSLABEL", Pointer(256)),
    (0x8011_1500, "FS_IOC_GETFSUUID", Pointer(17)),
    (0x8081_1501, "FS_IOC_GETFSSYSFSPATH", Pointer(129)),
    (0x8004_7210, "FAT_IOCTL_GET_ATTRIBUTES", Pointer(4)),
    (0x4004_7211, "FAT_IOCTL_SET_ATTRIBUTES", Pointer(4)),
    (0x8004_7213, "FAT_IOCTL_GET_VOLUME_ID", Pointer(4)),
    (0x4008_5400, "TFD_IOC_SET_TICKS", Pointer(8)),
    (0x4008_8a01, "EPIOCSPARAMS", Pointer(8)),
    (0x8008_8a02, "EPIOCGPARAMS", Pointer(8)),
    // Block devices.
    (0x0301, "HDIO_GETGEO", Pointer(16)),
    (0x125d, "BLKROSET", Pointer(4)),
    (0x125e, "BLKROGET", Pointer(4)),
    (0x125f, "BLKRRPART", Number),
    (0x1260, "BLKGETSIZE", Pointer(8)),
    (0x1261, "BLKFLSBUF", Number),
    (0x1262, "BLKRASET", Number),
    (0x1263, "BLKRAGET", Pointer(8)),
    (0x1264, "BLKFRASET", Number),
    (0x1265, "BLKFRAGET", Pointer(8)),
    (0x1267, "BLKSECTGET", Pointer(2)),
    (0x1268, "BLKSSZGET", Pointer(4)),
    (0x1269, "BLKPG", Operand::Special(Special::Partition)),
    (0x8008_1270, "BLKBSZGET", Pointer(8)),
    (0x4008_1271, "BLKBSZSET", Pointer(8)),
    (0x8008_1272, "BLKGETSIZE64", Pointer(8)),
    (0x1277, "BLKDISCARD", Pointer(16)),
    (0x1278, "BLKIOMIN", Pointer(4)),
    (0x1279, "BLKIOOPT", Pointer(4)),
    (0x127a, "BLKALIGNOFF", Pointer(4)),
    (0x127b, "BLKPBSZGET", Pointer(4)),
    (0x127c, "BLKDISCARDZEROES", Pointer(4)),
    (0x127d, "BLKSECDISCARD", Pointer(16)),
    (0x127e, "BLKROTATIONAL", Pointer(2)),
    (0x127f, "BLKZEROOUT", Pointer(16)),
    (0x8008_1280, "BLKGETDISKSEQ", Pointer(8)),
    (0x4c00, "LOOP_SET_FD", Number),
    (0x4c01, "LOOP_CLR_FD", Number),
    (0x4c04, "LOOP_SET_STATUS64", Pointer(232)),
    (0x4c05, "LOOP_GET_STATUS64", Pointer(232)),
    (0x4c06, "LOOP_CHANGE_FD", Number),
    (0x4c07, "LOOP_SET_CAPACITY", Number),
    (0x4c08, "LOOP_SET_DIRECT_IO", Number),
    (0x4c09, "LOOP_SET_BLOCK_SIZE", Number),
    (0x4c0a, "LOOP_CONFIGURE", Pointer(304)),
    (0x4c80, "LOOP_CTL_ADD", Number),
    (0x4c81, "LOOP_CTL_REMOVE", Number),
    (0x4c82, "LOOP_CTL_GET_FREE", Number),
    (0x5309, "CDROMEJECT", Number),
    (0x5319, "CDROMCLOSETRAY", Number),
    (0x5326, "CDROM_DRIVE_STATUS", Number),
    (0x5331, "CDROM_GET_CAPABILITY", Number),
    // Sockets and network interfaces.
    (0x8901, "FIOSETOWN", Pointer(4)),
    (0x8902, "SIOCSPGRP", Pointer(4)),
    (0x8903, "FIOGETOWN", Pointer(4)),
    (0x8904, "SIOCGPGRP", Pointer(4)),
    (0x8905, "SIOCATMARK", Pointer(4)),
    (0x8906, "SIOCGSTAMP_OLD", Pointer(16)),
    (0x8907, "SIOCGSTAMPNS_OLD", Pointer(16)),
    (0x8010_8906, "SIOCGSTAMP_NEW", Pointer(16)),
    (0x8010_8907, "SIOCGSTAMPNS_NEW", Pointer(16)),
    (0x890b, "SIOCADDRT", Operand::Special(Special::Route)),
    (0x890c, "SIOCDELRT", Operand::Special(Special::Route)),
    (0x8910, "SIOCGIFNAME", IFREQ),
    (0x8911, "SIOCSIFLINK", Number),
    (0x8912, "SIOCGIFCONF", Operand::Special(Special::InterfaceList)),
    (0x8913, "SIOCGIFFLAGS", IFREQ),
    (0x8914, "SIOCSIFFLAGS", IFREQ),
    (0x8915, "SIOCGIFADDR", IFREQ),
    (0x8916, "SIOCSIFADDR", IFREQ),
    (0x8917, "SIOCGIFDSTADDR", IFREQ),
    (0x8918, "SIOCSIFDSTADDR", IFREQ),
    (0x8919, "SIOCGIFBRDADDR", IFREQ),
    (0x891a, "SIOCSIFBRDADDR", IFREQ),
    (0x891b, "SIOCGIFNETMASK", IFREQ),
    (0x891c, "SIOCSIFNETMASK", IFREQ),
    (0x891d, "SIOCGIFMETRIC", IFREQ),
    (0x891e, "SIOCSIFMETRIC", IFREQ),
    (0x8921, "SIOCGIFMTU", IFREQ),
    (0x8922, "SIOCSIFMTU", IFREQ),
    (0x8923, "SIOCSIFNAME", IFREQ),
    (0x8924, "SIOCSIFHWADDR", IFREQ),
    (0x8927, "SIOCGIFHWADDR", IFREQ),
    (0x8929, "SIOCGIFSLAVE", IFREQ),
    (0x8931, "SIOCADDMULTI", IFREQ),
    (0x8932, "SIOCDELMULTI", IFREQ),
    (0x8933, "SIOCGIFINDEX", IFREQ),
    (0x8935, "SIOCGIFPFLAGS", IFREQ),
    (0x8936, "SIOCDIFADDR", IFREQ),
    (0x8940, "SIOCGIFBR", Operand::Special(Special::Bridge)),
    (0x8941, "SIOCSIFBR", Operand::Special(Special::Bridge)),
    (0x8942, "SIOCGIFTXQLEN", IFREQ),
    (0x8943, "SIOCSIFTXQLEN", IFREQ),
    (0x8946, "SIOCETHTOOL", Operand::Special(Special::EthTool)),
    (0x8947, "SIOCGMIIPHY", IFREQ),
    (0x8948, "SIOCGMIIREG", IFREQ),
    (0x894b, "SIOCOUTQNSD", Pointer(4)),
    (0x894c, "SIOCGSKNS", Number),
    (0x8953, "SIOCDARP", Pointer(68)),
    (0x8954, "SIOCGARP", Pointer(68)),
    (0x8955, "SIOCSARP", Pointer(68)),
    (0x8970, "SIOCGIFMAP", IFREQ),
    (0x8982, "SIOCGIFVLAN", Pointer(56)),
    (0x8983, "SIOCSIFVLAN", Pointer(56)),
    (0x89a0, "SIOCBRADDBR", Pointer(16)),
    (0x89a1, "SIOCBRDELBR", Pointer(16)),
    (0x89a2, "SIOCBRADDIF", IFREQ),
    (0x89a3, "SIOCBRDELIF", IFREQ),
    (0x89e0, "SIOCUNIXFILE", Number),
    // Tunnels.
    (0x4004_54c8, "TUNSETNOCSUM", Number),
    (0x4004_54c9, "TUNSETDEBUG", Number),
    (0x4004_54ca, "TUNSETIFF", IFREQ),
    (0x4004_54cb, "TUNSETPERSIST", Number),
    (0x4004_54cc, "TUNSETOWNER", Number),
    (0x4004_54cd, "TUNSETLINK", Number),
    (0x4004_54ce, "TUNSETGROUP", Number),
    (0x8004_54cf, "TUNGETFEATURES", Pointer(4)),
    (0x4004_54d0, "TUNSETOFFLOAD", Number),
    (0x8004_54d2, "TUNGETIFF", IFREQ),
    (0x8004_54d3, "TUNGETSNDBUF", Pointer(4)),
    (0x4004_54d4, "TUNSETSNDBUF", Pointer(4)),
    (0x8004_54d7, "TUNGETVNETHDRSZ", Pointer(4)),
    (0x4004_54d8, "TUNSETVNETHDRSZ", Pointer(4)),
    (0x4004_54d9, "TUNSETQUEUE", IFREQ),
    (0x4004_54da, "TUNSETIFINDEX", Pointer(4)),
    // Random numbers, clocks, namespaces, processes.
    (0x8004_5200, "RNDGETENTCNT", Pointer(4)),
    (0x4004_5201, "RNDADDTOENTCNT", Pointer(4)),
    (0x4008_5203, "RNDADDENTROPY", Counted { header: 8, offset: 4, width: 4, element: 1 }),
    (0x5204, "RNDZAPENTCNT", Number),
    (0x5206, "RNDCLEARPOOL", Number),
    (0x5207, "RNDRESEEDCRNG", Number),
    (0x7001, "RTC_AIE_ON", Number),
    (0x7002, "RTC_AIE_OFF", Number),
    (0x7003, "RTC_UIE_ON", Number),
    (0x7004, "RTC_UIE_OFF", Number),
    (0x7005, "RTC_PIE_ON", Number),
    (0x7006, "RTC_PIE_OFF", Number),
    (0x8024_7009, "RTC_RD_TIME", Pointer(36)),
    (0x4024_700a, "RTC_SET_TIME", Pointer(36)),
    (0x8008_700b, "RTC_IRQP_READ", Pointer(8)),
    (0x4008_700c, "RTC_IRQP_SET", Number),
    (0x4008_700e, "RTC_EPOCH_SET", Number),
    (0xb701, "NS_GET_USERNS", Number),
    (0xb702, "NS_GET_PARENT", Number),
    (0xb703, "NS_GET_NSTYPE", Number),
    (0xb704, "NS_GET_OWNER_UID", Pointer(4)),
    (0xff01, "PIDFD_GET_CGROUP_NAMESPACE", Number),
    (0xff02, "PIDFD_GET_IPC_NAMESPACE", Number),
    (0xff03, "PIDFD_GET_MNT_NAMESPACE", Number),
    (0xff04, "PIDFD_GET_NET_NAMESPACE", Number),
    (0xff05, "PIDFD_GET_PID_NAMESPACE", Number),
    (0xff07, "PIDFD_GET_TIME_NAMESPACE", Number),
    (0xff09, "PIDFD_GET_USER_NAMESPACE", Number),
    (0xff0a, "PIDFD_GET_UTS_NAMESPACE", Number),
];

/// Types of which requests with a size are passed on by it, but for the numbers listed: those hold addresses, or more than
/// their size says.
const TYPES: &[(u8, &[u8])] = &[
    (b'E', &[0x80, 0x92, 0x93]), // Input devices; EVIOCSFF, EVIOCGMASK and EVIOCSMASK.
    (b'W', &[]),                 // Watchdogs.
    (b'p', &[0x0c, 0x0e]),       // Clocks; two take a number.
    (0xb4, &[]),                 // Lines of input and output (GPIO).
    (0xb7, &[]),                 // Namespaces.
    (0x94, &[17, 20, 23, 35, 36, 38, 59, 64]), // Btrfs; searches, paths by number, sending, encoded data.
];

/// `struct dm_ioctl` (`linux/dm-ioctl.h`): its own size is at 12.
const DEVICE_MAPPER: u8 = 0xfd;

/// The name of a request.
pub(crate) fn name(request: u32) -> Option<&'static str> {
    REQUESTS.iter().find(|(known, ..)| *known == request).map(|(_, name, _)| *name)
}

/// Whether the argument of a request is a pointer.
pub(crate) fn has_pointer(request: u32) -> bool {
    operand(request).is_some_and(|operand| operand != Number)
}

/// What the argument of a request is; `None` for a request that does not exist.
fn operand(request: u32) -> Option<Operand> {
    if let Some((.., operand)) = REQUESTS.iter().find(|(known, ..)| *known == request) {
        return Some(*operand);
    }
    let (direction, size, kind, number) = (request >> 30, request >> 16 & 0x3fff, (request >> 8) as u8, request as u8);
    if kind == DEVICE_MAPPER && size == 312 {
        return Some(Counted { header: 0, offset: 12, width: 4, element: 1 });
    }
    let (_, exceptions) = TYPES.iter().find(|(known, _)| *known == kind)?;
    (direction != 0 && size != 0 && !exceptions.contains(&number)).then_some(Pointer(size as u16))
}

/// `ioctl(fd, request, argument)`.
pub(crate) fn ioctl(t: &mut Thread, a: &Args) -> SysResult {
    let request = a.uint(1);
    let Some(operand) = operand(request) else {
        usable_descriptor(a.raw(0))?;
        return Err(Errno::ENOTTY.into());
    };
    let (fd, number) = (Arg::Int(a.raw(0)), Arg::Int(request.into()));
    let size = match operand {
        Number => return Ok(host::wait(&host::IOCTL, &mut [fd, number, Arg::Int(a.raw(2))])?),
        Pointer(size) => size.into(),
        Counted { header, offset, width, element } => {
            let read = t.user().bytes(a.raw(2).wrapping_add(offset.into()), width.into());
            let count = read.unwrap_or_default().iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
            match count > u64::from(u32::MAX) / u64::from(element) {
                // More than any kernel takes: it reads no further.
                true => header.into(),
                false => u64::from(header) + count * u64::from(element),
            }
        }
        Operand::Special(special) => {
            usable_descriptor(a.raw(0))?;
            return self::special(t, a, request, special);
        }
    };
    let pointer = t.user().pointer(a.raw(2), size);
    Ok(host::wait(&host::IOCTL_PTR, &mut [fd, number, Arg::Guest(pointer)])?)
}

/// A little-endian number within a structure.
fn word(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// Makes a request whose structure holds an address.
fn special(t: &Thread, a: &Args, request: u32, special: Special) -> SysResult {
    // Bytes of the structure, and where in it the address is.
    let (size, at) = match special {
        Special::InterfaceList => (16, 8),
        Special::EthTool => (40, 16),
        Special::Route => (120, 88),
        Special::Partition => (24, 16),
        Special::Bridge => (24, 8),
    };
    let guest = t.user().bytes(a.raw(2), size)?;
    let addr = word(&guest, at, 8);
    let len = match special {
        Special::InterfaceList => u64::from(word(&guest, 0, 4) as u32),
        Special::EthTool => eth_tool(t, addr)?,
        // A name: IFNAMSIZ.
        Special::Route => 16,
        Special::Partition => word(&guest, 8, 4),
        // BRCTL_GET_BRIDGES takes a number of at most 2048 indices, others a name.
        Special::Bridge if word(&guest, 0, 8) == 1 => 4 * word(&guest, 16, 8).min(2048),
        Special::Bridge => 16,
    };
    let mut bytes = guest.clone();
    bytes.resize(64.max(size), 0);
    bytes[at..at + 8].copy_from_slice(&t.user().pointer(addr, len).get().to_le_bytes());
    let args = &mut [Arg::Int(a.raw(0)), Arg::Int(request.into()), Arg::Bytes(&mut bytes)];
    let result = host::wait(&host::IOCTL_PTR, args)?;
    bytes[at..at + 8].copy_from_slice(&guest[at..at + 8]);
    t.user().put_bytes(a.raw(2), &bytes[..size])?;
    Ok(result)
}

/// Bytes of the `ethtool` command at `addr` (`linux/ethtool.h`).
fn eth_tool(t: &Thread, addr: u64) -> Result<u64, Errno> {
    let command = word(&t.user().bytes(addr, 4)?, 0, 4);
    let count = |at: u64| Ok::<u64, Errno>(word(&t.user().bytes(addr.wrapping_add(at), 4)?, 0, 4));
    Ok(match command {
        // Settings, driver, wake-up, coalescing, rings, pauses.
        0x01 | 0x02 => 44,
        0x03 => 196,
        0x05 | 0x06 => 20,
        0x0e | 0x0f => 92,
        0x10 | 0x11 => 36,
        0x12 | 0x13 => 16,
        // A number each.
        0x07..=0x0a | 0x14..=0x19 | 0x1e | 0x1f | 0x21..=0x28 | 0x2b | 0x2c => 8,
        // Strings of 32 bytes, statistics of 8, an address.
        0x1b => 12 + 32 * count(8)?,
        0x1d => 8 + 8 * count(4)?,
        0x20 => 8 + count(4)?,
        // How many there are of each set that the mask asks for.
        0x37 => 16 + 4 * 64,
        // Features in blocks, channels, time stamps, energy.
        0x3a => 8 + 16 * count(4)?,
        0x3b => 8 + 8 * count(4)?,
        0x3c | 0x3d => 36,
        0x41 => 44,
        0x44 | 0x45 => 40,
        // Link modes: three masks of at most 127 words.
        0x4c | 0x4d => 48 + 3 * 4 * 127,
        _ => return Err(Errno::EOPNOTSUPP),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers by the host's C library, which follow `asm-generic`.
    #[test]
    fn numbers_are_the_headers() {
        for (number, known) in [
            (libc::TIOCGWINSZ, "TIOCGWINSZ"),
            (libc::FIONREAD, "FIONREAD"),
            (libc::TCGETS2, "TCGETS2"),
            (libc::FICLONE, "FICLONE"),
            (libc::FS_IOC_GETFLAGS, "FS_IOC_GETFLAGS"),
            (libc::BLKSSZGET, "BLKSSZGET"),
            (libc::TUNSETIFF, "TUNSETIFF"),
            (libc::SIOCGIFINDEX, "SIOCGIFINDEX"),
            (libc::SIOCETHTOOL, "SIOCETHTOOL"),
            (libc::SIOCGIFSLAVE, "SIOCGIFSLAVE"),
            (libc::SIOCGIFBR, "SIOCGIFBR"),
        ] {
            assert_eq!(name(number as u32), Some(known));
        }
    }

    #[test]
    fn requests_without_a_rule_do_not_exist() {
        // EVIOCGVERSION goes by its size; EVIOCSFF holds an address; KVM_CREATE_VM and UFFDIO_COPY are of no listed type.
        assert_eq!(operand(0x8004_4501), Some(Pointer(4)));
        assert_eq!(operand(0x4030_4580), None);
        assert_eq!(operand(0xae01), None);
        assert_eq!(operand(0xc028_aa03), None);
        // LOOP_GET_STATUS, whose structure differs.
        assert_eq!(operand(0x4c03), None);
    }

    #[test]
    fn no_request_is_listed_twice() {
        let mut numbers: Vec<u32> = REQUESTS.iter().map(|(number, ..)| *number).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
