//! Sockets.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};

use vm_linux::{Errno, Options};

use crate::{Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["socket", "bind", "listen", "connect", "accept", "accept4", "getsockname", "getpeername"], connections),
    (&["socketpair", "sendto", "recvfrom", "setsockopt", "getsockopt", "shutdown"], messages),
    (&["sendmsg", "recvmsg"], message_headers),
    (&["sendmsg", "recvmsg"], control_messages),
    (&["sendmmsg", "recvmmsg"], many_messages),
    (&["socket", "bind", "sendto", "recvfrom"], datagrams_with_addresses),
    (&["socket", "sendto", "recvmsg"], netlink),
    (&["setsockopt", "getsockopt"], options),
];

/// The name of a socket in the file system, in guest memory, and its length.
fn address(g: &mut Guest, name: &[u8]) -> (u64, u64) {
    let mut bytes = vec![1, 0];
    bytes.extend_from_slice(name);
    bytes.push(0);
    (g.put(&bytes), bytes.len() as u64)
}

fn connections(g: &mut Guest) {
    let here = g.name("");
    g.ok("chdir", &[here]);
    let (addr, len) = address(g, b"door");
    let server = g.ok("socket", &[1, 1, 0]);
    g.ok("bind", &[server, addr, len]);
    g.fails("bind", &[server, WILD, len], Errno::EFAULT);
    g.ok("listen", &[server, 4]);
    for accept in ["accept", "accept4"] {
        let client = g.ok("socket", &[1, 1, 0]);
        g.ok("connect", &[client, addr, len]);
        let accepted = g.ok(accept, &[server, 0, 0, 0]);
        let text = g.put(b"ping");
        g.ok("write", &[client, text, 4]);
        let buf = g.room(16);
        assert_eq!(g.ok("read", &[accepted, buf, 16]), 4);
        let (name, size) = (g.room(110), g.put64(&[110]));
        g.ok("getpeername", &[client, name, size]);
        assert_eq!((g.get32(size), g.get(name + 2, 5)), (len as u32, b"door\0".to_vec()));
    }
    let (name, size) = (g.room(110), g.put64(&[110]));
    g.ok("getsockname", &[server, name, size]);
    assert_eq!(g.get(name + 2, 5), b"door\0");
    let (nowhere, len) = address(g, b"nobody");
    let client = g.ok("socket", &[1, 1, 0]);
    g.fails("connect", &[client, nowhere, len], Errno::ENOENT);
    g.fails("socket", &[999, 1, 0], Errno::EAFNOSUPPORT);
}

fn messages(g: &mut Guest) {
    let pair = g.room(8);
    g.ok("socketpair", &[1, 2, 0, pair]);
    let (a, b) = (u64::from(g.get32(pair)), u64::from(g.get32(pair + 4)));
    let text = g.put(b"datagram");
    assert_eq!(g.ok("sendto", &[a, text, 8, 0, 0, 0]), 8);
    let buf = g.room(32);
    assert_eq!(g.ok("recvfrom", &[b, buf, 32, 0, 0, 0]), 8);
    assert_eq!(g.get(buf, 8), b"datagram");
    g.fails("recvfrom", &[b, buf, 32, libc::MSG_DONTWAIT as u64, 0, 0], Errno::EAGAIN);
    let (value, size) = (g.put64(&[8192]), g.put64(&[4]));
    g.ok("setsockopt", &[a, 1, libc::SO_SNDBUF as u64, value, 4]);
    g.ok("getsockopt", &[a, 1, libc::SO_SNDBUF as u64, value, size]);
    // socket(7): the kernel doubles the value.
    assert_eq!(g.get32(value), 16384);
    g.ok("shutdown", &[a, 1]);
    g.fails("shutdown", &[text, 1], Errno::EBADF);
}

/// A pair of connected sockets of this type.
fn pair(g: &mut Guest, kind: u64) -> (u64, u64) {
    let ends = g.room(8);
    g.ok("socketpair", &[1, kind, 0, ends]);
    (g.get32(ends).into(), g.get32(ends + 4).into())
}

/// `struct msghdr` with these buffers and this control data.
fn header(g: &mut Guest, name: (u64, u64), vectors: &[u64], control: (u64, u64)) -> u64 {
    let iov = g.put64(vectors);
    g.put64(&[name.0, name.1, iov, vectors.len() as u64 / 2, control.0, control.1, 0])
}

fn message_headers(g: &mut Guest) {
    let (a, b) = pair(g, 2);
    let (one, two) = (g.put(b"one "), g.put(b"two"));
    let sent = header(g, (0, 0), &[one, 4, two, 3], (0, 0));
    assert_eq!(g.ok("sendmsg", &[a, sent, 0]), 7);
    let (x, y) = (g.room(3), g.room(2));
    let got = header(g, (0, 0), &[x, 3, y, 2], (0, 0));
    // MSG_TRUNC: the whole length, though the buffers are shorter; and the flag is set in the header.
    assert_eq!(g.ok("recvmsg", &[b, got, 0x20]), 7);
    assert_eq!((g.get(x, 3), g.get(y, 2), g.get32(got + 48)), (b"one".to_vec(), b" t".to_vec(), 0x20));
    g.fails("recvmsg", &[b, got, 0x40], Errno::EAGAIN);
    g.fails("sendmsg", &[a, WILD, 0], Errno::EFAULT);
    g.fails("sendmsg", &[9999, WILD, 0], Errno::EBADF);
    let file = g.file("no-socket", b"");
    g.fails("recvmsg", &[file, WILD, 0], Errno::ENOTSOCK);
    let bad = header(g, (0, 0), &[0x1000, 3], (0, 0));
    g.fails("sendmsg", &[a, bad, 0], Errno::EFAULT);
    let many = g.put64(&[0, 0, one, 1025, 0, 0, 0]);
    g.fails("sendmsg", &[a, many, 0], Errno::EMSGSIZE);
}

fn control_messages(g: &mut Guest) {
    let (a, b) = pair(g, 1);
    let file = g.file("passed", b"content");
    let text = g.put(b"x");
    // A descriptor: length 20, SOL_SOCKET, SCM_RIGHTS, the number, and padding.
    let control = g.put64(&[20, 1 | 1 << 32, file]);
    let sent = header(g, (0, 0), &[text, 1], (control, 24));
    assert_eq!(g.ok("sendmsg", &[a, sent, 0]), 1);
    let (buf, room) = (g.room(16), g.room(64));
    let got = header(g, (0, 0), &[buf, 16], (room, 64));
    // MSG_CMSG_CLOEXEC.
    assert_eq!(g.ok("recvmsg", &[b, got, 0x4000_0000]), 1);
    assert_eq!((g.get64(got + 40), g.get64(room), g.get64(room + 8)), (24, 20, 1 | 1 << 32));
    let passed = u64::from(g.get32(room + 16));
    assert_ne!(passed, file);
    assert_eq!(g.ok("fcntl", &[passed, 1, 0]), 1);
    assert_eq!(g.ok("pread64", &[passed, buf, 7, 0]), 7);
    assert_eq!(g.get(buf, 7), b"content");
    // Credentials: SO_PASSCRED, then SCM_CREDENTIALS with process, user and group.
    let on = g.put64(&[1]);
    g.ok("setsockopt", &[b, 1, libc::SO_PASSCRED as u64, on, 4]);
    let plain = header(g, (0, 0), &[text, 1], (0, 0));
    g.ok("sendmsg", &[a, plain, 0]);
    let got = header(g, (0, 0), &[buf, 16], (room, 64));
    assert_eq!(g.ok("recvmsg", &[b, got, 0]), 1);
    assert_eq!((g.get64(room), g.get64(room + 8)), (28, 1 | 2 << 32));
    let ids = [g.get32(room + 16), g.get32(room + 20), g.get32(room + 24)].map(u64::from);
    assert_eq!(ids, [g.ok("getpid", &[]), g.ok("getuid", &[]), g.ok("getgid", &[])]);
    // Times of arrival: SCM_TIMESTAMPNS with a timespec.
    let (c, d) = pair(g, 2);
    g.ok("setsockopt", &[d, 1, libc::SO_TIMESTAMPNS as u64, on, 4]);
    let plain = header(g, (0, 0), &[text, 1], (0, 0));
    g.ok("sendmsg", &[c, plain, 0]);
    let got = header(g, (0, 0), &[buf, 16], (room, 64));
    g.ok("recvmsg", &[d, got, 0]);
    if g.get64(got + 40) != 0 {
        assert_eq!((g.get64(room), g.get32(room + 12)), (32, libc::SCM_TIMESTAMPNS as u32));
    }
    // No room: what does not fit is cut, and the header says so.
    g.ok("sendmsg", &[a, sent, 0]);
    let got = header(g, (0, 0), &[buf, 16], (room, 16));
    g.ok("recvmsg", &[b, got, 0]);
    assert_eq!(g.get32(got + 48) & libc::MSG_CTRUNC as u32, libc::MSG_CTRUNC as u32);
}

fn many_messages(g: &mut Guest) {
    let (a, b) = pair(g, 2);
    let (one, two) = (g.put(b"first"), g.put(b"second!"));
    let (iov1, iov2) = (g.put64(&[one, 5]), g.put64(&[two, 7]));
    let list = g.put64(&[0, 0, iov1, 1, 0, 0, 0, 99, 0, 0, iov2, 1, 0, 0, 0, 99]);
    assert_eq!(g.ok("sendmmsg", &[a, list, 2, 0]), 2);
    assert_eq!((g.get32(list + 56), g.get32(list + 120)), (5, 7));
    let (x, y) = (g.room(16), g.room(16));
    let (iov1, iov2) = (g.put64(&[x, 16]), g.put64(&[y, 16]));
    let list = g.put64(&[0, 0, iov1, 1, 0, 0, 0, 0, 0, 0, iov2, 1, 0, 0, 0, 0]);
    let second = g.put64(&[1, 0]);
    assert_eq!(g.ok("recvmmsg", &[b, list, 2, 0, second]), 2);
    assert_eq!((g.get32(list + 56), g.get32(list + 120)), (5, 7));
    assert_eq!((g.get(x, 5), g.get(y, 7)), (b"first".to_vec(), b"second!".to_vec()));
    g.fails("recvmmsg", &[b, list, 2, libc::MSG_DONTWAIT as u64, 0], Errno::EAGAIN);
    g.fails("sendmmsg", &[a, WILD, 2, 0], Errno::EFAULT);
    g.fails("sendmmsg", &[9999, WILD, 2, 0], Errno::EBADF);
    assert_eq!(g.ok("sendmmsg", &[a, list, 0, 0]), 0);
}

fn datagrams_with_addresses(g: &mut Guest) {
    // AF_INET, on the loopback interface: family, port in network order, address, padding.
    let loopback = u64::from(u32::from_be_bytes([127, 0, 0, 1]).to_be()) << 32 | 2;
    let any = g.put64(&[loopback, 0]);
    let (server, client) = (g.ok("socket", &[2, 2, 0]), g.ok("socket", &[2, 2, 0]));
    g.ok("bind", &[server, any, 16]);
    g.ok("bind", &[client, any, 16]);
    let (name, len) = (g.room(32), g.put64(&[32]));
    g.ok("getsockname", &[server, name, len]);
    assert_eq!((g.get32(len), g.get(name, 2), g.get(name + 4, 4)), (16, vec![2, 0], vec![127, 0, 0, 1]));
    let text = g.put(b"to you");
    assert_eq!(g.ok("sendto", &[client, text, 6, 0, name, 16]), 6);
    let (buf, from, len) = (g.room(16), g.room(32), g.put64(&[4]));
    assert_eq!(g.ok("recvfrom", &[server, buf, 16, 0, from, len]), 6);
    // As much of the address as there is room for, and its whole length.
    assert_eq!((g.get32(len), g.get(from, 2), g.get(from + 4, 4)), (16, vec![2, 0], vec![0; 4]));
    let own = g.room(32);
    let len = g.put64(&[32]);
    g.ok("getsockname", &[client, own, len]);
    assert_eq!(g.get(from, 4), g.get(own, 4));
    // A header with a name, in both directions.
    let sent = header(g, (name, 16), &[text, 6], (0, 0));
    assert_eq!(g.ok("sendmsg", &[client, sent, 0]), 6);
    let got = header(g, (from, 32), &[buf, 16], (0, 0));
    assert_eq!(g.ok("recvmsg", &[server, got, 0]), 6);
    assert_eq!((g.get32(got + 8), g.get(from, 16)), (16, g.get(own, 16)));
    let negative = g.put64(&[u64::MAX]);
    g.fails("getsockname", &[client, own, negative], Errno::EINVAL);
    g.fails("getsockname", &[client, own, WILD], Errno::EFAULT);
    g.fails("bind", &[client, any, 200], Errno::EINVAL);
    g.fails("getpeername", &[client, own, len], Errno::ENOTCONN);
}

fn netlink(g: &mut Guest) {
    // AF_NETLINK, SOCK_RAW, NETLINK_ROUTE: ask for all links (RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP).
    let socket = g.ok("socket", &[16, 3, 0]);
    let mut request = vec![32, 0, 0, 0, 18, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0];
    request.resize(32, 0);
    let (bytes, kernel) = (g.put(&request), g.put64(&[16, 0]));
    assert_eq!(g.ok("sendto", &[socket, bytes, 32, 0, kernel, 12]), 32);
    let (buf, from) = (g.room(8192), g.room(16));
    let got = header(g, (from, 12), &[buf, 8192], (0, 0));
    let len = g.ok("recvmsg", &[socket, got, 0]);
    // RTM_NEWLINK, and the name of the loopback interface.
    assert_eq!(g.get(buf + 4, 2), [16, 0]);
    assert!(g.get(buf, len as usize).windows(3).any(|name| name == b"lo\0"));
    assert_eq!((g.get32(got + 8), g.get(from, 2)), (12, vec![16, 0]));
}

fn options(g: &mut Guest) {
    let socket = g.ok("socket", &[2, 1, 0]);
    let (value, len) = (g.put64(&[1]), g.put64(&[4]));
    for (level, option) in [(1, libc::SO_REUSEADDR), (6, libc::TCP_NODELAY), (1, libc::SO_KEEPALIVE)] {
        g.ok("setsockopt", &[socket, level, option as u64, value, 4]);
        g.ok("getsockopt", &[socket, level, option as u64, value, len]);
        assert_eq!((g.get32(value), g.get32(len)), (1, 4));
    }
    // struct linger and struct timeval are as on the host.
    let linger = g.put64(&[1 | 7 << 32]);
    g.ok("setsockopt", &[socket, 1, libc::SO_LINGER as u64, linger, 8]);
    let time = g.put64(&[3, 0]);
    g.ok("setsockopt", &[socket, 1, libc::SO_RCVTIMEO as u64, time, 16]);
    let len = g.put64(&[16]);
    g.ok("getsockopt", &[socket, 1, libc::SO_RCVTIMEO as u64, value, len]);
    assert_eq!((g.get64(value), g.get32(len)), (3, 16));
    // A filter that lets nothing pass: its program is behind an address in the option (BPF_RET, 0).
    let program = g.put64(&[6]);
    let filter = g.put64(&[1, program]);
    let (a, b) = pair(g, 2);
    g.ok("setsockopt", &[b, 1, libc::SO_ATTACH_FILTER as u64, filter, 16]);
    let text = g.put(b"x");
    let _ = g.try_call("sendto", &[a, text, 1, 0, 0, 0]);
    g.fails("recvfrom", &[b, text, 1, libc::MSG_DONTWAIT as u64, 0, 0], Errno::EAGAIN);
    let astray = g.put64(&[1, WILD]);
    g.fails("setsockopt", &[b, 1, libc::SO_ATTACH_FILTER as u64, astray, 16], Errno::EFAULT);
    let negative = g.put64(&[u64::MAX]);
    for (name, args) in [
        ("setsockopt", [socket, 1, 2, WILD, 4]),
        ("setsockopt", [socket, 1, 2, value, u64::MAX]),
        ("setsockopt", [9999, 1, 2, value, 4]),
        ("getsockopt", [socket, 1, 2, value, WILD]),
        ("getsockopt", [socket, 1, 2, value, negative]),
        ("getsockopt", [socket, 1, 9999, value, len]),
    ] {
        assert!(g.same(name, &args) as i64 <= 0);
    }
}

/// Names of sockets lead into the sysroot and come back without it, however long they are on the host.
#[test]
fn sockets_below_the_sysroot() {
    let root = crate::folder::folder("net-root").join("a".repeat(60)).join("b".repeat(60));
    std::fs::create_dir_all(root.join("run")).unwrap();
    let host = root.join("run/host");
    let long = std::os::unix::net::SocketAddr::from_pathname(&host).is_err();
    assert!(long, "the name is too long for the host's own way");
    // From within, the host can name it.
    let home = std::env::current_dir().unwrap();
    let mut g = Guest::with(Options { sysroot: Some(root.clone()), ..Options::default() });
    let inside = root.join("run");
    let link = crate::folder::folder("net-link").join("l");
    std::os::unix::fs::symlink(&inside, &link).unwrap();
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/host", open(&inside)));
    let Ok(listener) = listener else { return };
    let (addr, len) = address(&mut g, b"/run/host");
    let client = g.ok("socket", &[1, 1, 0]);
    g.ok("connect", &[client, addr, len]);
    let text = g.put(b"inside");
    g.ok("write", &[client, text, 6]);
    let (mut stream, _): (UnixStream, _) = listener.accept().unwrap();
    let mut got = [0; 6];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"inside");
    assert_eq!(std::env::current_dir().unwrap(), home);
}

/// A directory, open as long as the test runs.
fn open(path: &std::path::Path) -> i32 {
    std::os::fd::IntoRawFd::into_raw_fd(std::fs::File::open(path).unwrap())
}
