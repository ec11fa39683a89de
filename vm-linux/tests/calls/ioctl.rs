//! Requests to devices, files and sockets.

use vm_linux::Errno;

use crate::{CWD, Case, Guest, WILD};

pub(crate) const CASES: &[Case] =
    &[(&["ioctl"], terminals), (&["ioctl"], files), (&["ioctl"], interfaces), (&["ioctl"], devices)];

const TCGETS: u64 = 0x5401;
const TCSETS: u64 = 0x5402;
const TIOCGWINSZ: u64 = 0x5413;
const TIOCSWINSZ: u64 = 0x5414;
const TIOCGPTN: u64 = 0x8004_5430;
const TIOCSPTLCK: u64 = 0x4004_5431;
const FIONBIO: u64 = 0x5421;
const FIOCLEX: u64 = 0x5451;

fn terminals(g: &mut Guest) {
    let path = g.put(b"/dev/ptmx\0");
    let main = g.ok("openat", &[CWD, path, 0o402, 0]);
    let number = g.room(4);
    g.ok("ioctl", &[main, TIOCGPTN, number]);
    let unlock = g.put(&[0; 4]);
    g.ok("ioctl", &[main, TIOCSPTLCK, unlock]);
    let name = g.put(format!("/dev/pts/{}\0", g.get32(number)).as_bytes());
    let other = g.ok("openat", &[CWD, name, 0o402, 0]);
    let size = g.put(&[40, 0, 100, 0, 0, 0, 0, 0]);
    g.ok("ioctl", &[main, TIOCSWINSZ, size]);
    let seen = g.room(8);
    g.ok("ioctl", &[other, TIOCGWINSZ, seen]);
    assert_eq!(g.get(seen, 4), [40, 0, 100, 0]);
    // struct termios: without echo (ECHO is 8 in the fourth word), what is written is not seen again.
    let modes = g.room(36);
    g.ok("ioctl", &[other, TCGETS, modes]);
    assert_eq!(g.get32(modes + 12) & 8, 8);
    let mut bytes = g.get(modes, 36);
    bytes[12] &= !8;
    let quiet = g.put(&bytes);
    g.ok("ioctl", &[other, TCSETS, quiet]);
    g.ok("ioctl", &[other, TCGETS, modes]);
    assert_eq!(g.get(modes, 36), bytes);
    let line = g.put(b"line\n");
    g.ok("write", &[main, line, 5]);
    let buf = g.room(16);
    assert_eq!(g.ok("read", &[other, buf, 16]), 5);
    g.fails("ioctl", &[main, TIOCGWINSZ, WILD], Errno::EFAULT);
}

fn files(g: &mut Guest) {
    let fd = g.file("f", b"some content here");
    let (flags, word) = (g.room(8), g.room(64));
    // What the file system supports, the host says.
    for request in [0x8008_6601, 0x8008_7601, 0x0002, 0x801c_581f, 0x5460, 0x8100_9431] {
        g.same("ioctl", &[fd, request, word]);
        g.same("ioctl", &[fd, request, WILD]);
    }
    // FS_IOC_FIEMAP with room for two extents.
    let map = g.put64(&[0, u64::MAX, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    if g.same("ioctl", &[fd, 0xc020_660b, map]) as i64 == 0 {
        assert_eq!(g.get32(map + 20), 1, "extents of a small file");
    }
    let on = g.put64(&[1]);
    g.ok("ioctl", &[fd, FIOCLEX, 0]);
    assert_eq!(g.ok("fcntl", &[fd, 1, 0]), 1);
    g.ok("ioctl", &[fd, FIONBIO, on]);
    assert_eq!(g.ok("fcntl", &[fd, 3, 0]) & 0o4000, 0o4000);
    // FICLONE of itself, FICLONERANGE, FIDEDUPERANGE of no destinations.
    g.same("ioctl", &[fd, 0x4004_9409, fd]);
    let range = g.put64(&[fd, 0, 0, 0]);
    g.same("ioctl", &[fd, 0x4020_940d, range]);
    let none = g.put64(&[0, 8, 0]);
    g.same("ioctl", &[fd, 0xc018_9436, none]);
    let _ = flags;
}

fn interfaces(g: &mut Guest) {
    let socket = g.ok("socket", &[2, 2, 0]);
    let name = |g: &mut Guest| {
        let mut request = vec![0; 40];
        request[..2].copy_from_slice(b"lo");
        g.put(&request)
    };
    let request = name(g);
    g.ok("ioctl", &[socket, 0x8933, request]);
    let index = std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap();
    assert_eq!(g.get32(request + 16).to_string(), index.trim());
    let request = name(g);
    g.ok("ioctl", &[socket, 0x8921, request]);
    let mtu = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap();
    assert_eq!(g.get32(request + 16).to_string(), mtu.trim());
    // SIOCGIFADDR: family and 127.0.0.1.
    let request = name(g);
    if g.same("ioctl", &[socket, 0x8915, request]) == 0 {
        assert_eq!(g.get(request + 20, 4), [127, 0, 0, 1]);
    }
    // SIOCGIFCONF: a buffer behind an address, whose length comes back; the address stays the guest's.
    let buffer = g.room(400);
    let list = g.put64(&[400, buffer]);
    g.ok("ioctl", &[socket, 0x8912, list]);
    assert!(g.get32(list).is_multiple_of(40) && g.get64(list + 8) == buffer);
    if g.get32(list) > 0 {
        assert_eq!(g.get(buffer, 3), b"lo\0");
    }
    let astray = g.put64(&[400, WILD]);
    let result = g.try_call("ioctl", &[socket, 0x8912, astray]).unwrap();
    assert!(result == Errno::EFAULT.as_return() || g.get32(astray) == 0);
    // SIOCETHTOOL: ETHTOOL_GLINK.
    let command = g.put(&[10, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let request = name(g);
    let at = g.put64(&[command]);
    let bytes = [g.get(request, 16), g.get(at, 8), vec![0; 16]].concat();
    let request = g.put(&bytes);
    g.ok("ioctl", &[socket, 0x8946, request]);
    assert_eq!((g.get32(command + 4), g.get64(request + 16)), (1, command));
    g.fails("ioctl", &[socket, 0x8912, WILD], Errno::EFAULT);
    g.fails("ioctl", &[9999, 0x8912, WILD], Errno::EBADF);
}

fn devices(g: &mut Guest) {
    let path = g.put(b"/dev/urandom\0");
    let random = g.ok("openat", &[CWD, path, 0, 0]);
    let (count, info) = (g.room(4), g.room(128));
    g.ok("ioctl", &[random, 0x8004_5200, count]);
    assert!(g.get32(count) <= 4096);
    // A block device, a clock, a tunnel, a namespace: those that are there.
    for (name, requests) in [
        ("/dev/vda", &[0x1260, 0x8008_1272, 0x1268, 0x127b, 0x0301][..]),
        ("/dev/rtc0", &[0x8024_7009, 0x8008_700b]),
        ("/dev/net/tun", &[0x8004_54cf]),
        ("/dev/loop0", &[0x4c05]),
        ("/proc/self/ns/net", &[0xb703]),
        ("/proc/self/ns/user", &[0xb704]),
    ] {
        let path = g.put(format!("{name}\0").as_bytes());
        let fd = g.try_call("openat", &[CWD, path, 0, 0]).unwrap();
        if (fd as i64) < 0 {
            continue;
        }
        for request in requests {
            g.same("ioctl", &[fd, *request, info]);
        }
    }
    // What is of no listed kind does not exist: KVM_CREATE_VM, UFFDIO_API, a V4L2 request with an address in it.
    for request in [0xae01, 0xc018_aa3f, 0xc058_5609] {
        g.fails("ioctl", &[random, request, info], Errno::ENOTTY);
    }
}
