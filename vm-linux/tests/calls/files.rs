//! Files, directories and descriptors.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use vm_linux::Errno;

use crate::{CWD, Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["read", "write", "lseek", "close", "pread64", "pwrite64"], read_and_write),
    (&["readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2"], vectors),
    (&["openat", "openat2"], opening),
    (&["dup", "dup3", "fcntl", "flock", "close_range"], descriptors),
    (&["ftruncate", "truncate", "fallocate", "fadvise64", "fsync", "fdatasync", "sync", "syncfs"], sizes),
    (&["sync_file_range", "readahead", "sendfile", "copy_file_range"], between_files),
    (&["pipe2", "splice", "tee", "ioctl"], pipes),
    (&["mkdirat", "unlinkat", "renameat2", "linkat", "symlinkat", "readlinkat", "mknodat"], names),
    (&["fstat", "newfstatat", "statx", "statfs", "fstatfs"], status),
    (&["fchmod", "fchmodat", "fchown", "fchownat", "utimensat", "faccessat", "faccessat2", "umask"], attributes),
    (&["getdents64", "getcwd", "chdir", "fchdir"], directories),
    (&["memfd_create", "fcntl"], memory_files),
    (
        &[
            "setxattr",
            "lsetxattr",
            "fsetxattr",
            "getxattr",
            "lgetxattr",
            "fgetxattr",
            "listxattr",
            "llistxattr",
            "flistxattr",
            "removexattr",
            "lremovexattr",
            "fremovexattr",
        ],
        extended_attributes,
    ),
    (&["vmsplice", "cachestat", "fallocate"], pages),
    (&["fchmodat2", "name_to_handle_at"], newer_calls),
    (&["fanotify_init", "fanotify_mark"], group_notification),
    (&["fcntl"], locks_and_owners),
];

fn read_and_write(g: &mut Guest) {
    let fd = g.file("a", b"");
    let text = g.put(b"hello, file");
    assert_eq!(g.ok("write", &[fd, text, 11]), 11);
    assert_eq!(g.content("a"), b"hello, file");
    assert_eq!(g.ok("lseek", &[fd, -4i64 as u64, 2]), 7);
    let buf = g.room(32);
    assert_eq!(g.ok("read", &[fd, buf, 32]), 4);
    assert_eq!(g.get(buf, 4), b"file");
    assert_eq!(g.ok("read", &[fd, buf, 32]), 0);
    assert_eq!(g.ok("pread64", &[fd, buf, 5, 0]), 5);
    assert_eq!(g.get(buf, 5), b"hello");
    assert_eq!(g.ok("pwrite64", &[fd, text, 5, 7]), 5);
    assert_eq!(g.content("a"), b"hello, hello");
    // The kernel looks at the descriptor before the buffer.
    g.fails("read", &[u64::MAX, WILD, 1], Errno::EBADF);
    g.ok("lseek", &[fd, 0, 0]);
    g.fails("read", &[fd, 8, 1], Errno::EFAULT);
    g.fails("read", &[fd, WILD, 1], Errno::EFAULT);
    g.fails("write", &[fd, 0x1000, 1], Errno::EFAULT);
    g.fails("lseek", &[fd, u64::MAX, 0], Errno::EINVAL);
    assert_eq!(g.ok("close", &[fd]), 0);
    g.fails("close", &[fd], Errno::EBADF);
}

fn vectors(g: &mut Guest) {
    let fd = g.file("v", b"");
    let (a, b) = (g.put(b"one "), g.put(b"two"));
    let iov = g.put64(&[a, 4, b, 3]);
    assert_eq!(g.ok("writev", &[fd, iov, 2]), 7);
    assert_eq!(g.content("v"), b"one two");
    assert_eq!(g.ok("pwritev", &[fd, iov, 2, 7, 0]), 7);
    assert_eq!(g.ok("pwritev2", &[fd, iov, 1, 14, 0, 0]), 4);
    assert_eq!(g.content("v"), b"one twoone twoone ");
    let (x, y) = (g.room(3), g.room(9));
    let iov = g.put64(&[x, 3, y, 9]);
    assert_eq!(g.ok("preadv", &[fd, iov, 2, 1, 0]), 12);
    assert_eq!((g.get(x, 3), g.get(y, 9)), (b"ne ".to_vec(), b"twoone tw".to_vec()));
    assert_eq!(g.ok("preadv2", &[fd, iov, 1, 4, 0, 0]), 3);
    assert_eq!(g.get(x, 3), b"two");
    g.ok("lseek", &[fd, 4, 0]);
    assert_eq!(g.ok("readv", &[fd, iov, 2]), 12);
    assert_eq!(g.get(y, 9), b"one twoon");
    g.fails("readv", &[fd, iov, 1025], Errno::EINVAL);
    g.fails("readv", &[fd, WILD, 1], Errno::EFAULT);
    g.fails("writev", &[99, WILD, 1], Errno::EBADF);
    // What can be written before an unmapped address is written; an address beyond all programs is refused at once.
    let unmapped = g.put64(&[a, 4, 0x1000, 3]);
    g.ok("lseek", &[fd, 0, 0]);
    assert_eq!(g.ok("writev", &[fd, unmapped, 2]), 4);
    let wild = g.put64(&[a, 4, WILD, 3]);
    g.fails("writev", &[fd, wild, 2], Errno::EFAULT);
}

fn opening(g: &mut Guest) {
    let path = g.name("new");
    let flags = (libc::O_CREAT | libc::O_WRONLY | libc::O_EXCL | libc::O_CLOEXEC) as u64;
    let fd = g.ok("openat", &[CWD, path, flags, 0o640]);
    assert_eq!(g.path("new").metadata().unwrap().mode() & 0o777, 0o640);
    assert_eq!(g.ok("fcntl", &[fd, 1, 0]), 1);
    g.fails("openat", &[CWD, path, flags, 0o640], Errno::EEXIST);
    let missing = g.name("missing");
    g.fails("openat", &[CWD, missing, 0, 0], Errno::ENOENT);
    g.fails("openat", &[CWD, WILD, 0, 0], Errno::EFAULT);
    // O_DIRECTORY of a file.
    g.fails("openat", &[CWD, path, 0o200_000, 0], Errno::ENOTDIR);
    let how = g.put64(&[0, 0, 0]);
    g.ok("openat2", &[CWD, path, how, 24]);
    let how = g.put64(&[0, 0, 0, 1]);
    g.fails("openat2", &[CWD, path, how, 32], Errno::E2BIG);
    g.fails("openat2", &[CWD, path, how, 8], Errno::EINVAL);
    // The process looks at itself and sees its own program.
    let maps = g.put(b"/proc/self/maps\0");
    let fd = g.ok("openat", &[CWD, maps, 0, 0]);
    let buf = g.room(4096);
    let len = g.ok("read", &[fd, buf, 4096]) as usize;
    let text = String::from_utf8(g.get(buf, len)).unwrap();
    assert!(text.contains("guests/bin/riscv64/hello") && text.contains("[stack]"), "{text}");
    assert!(!text.contains("calls-"), "the emulator shows: {text}");
}

fn descriptors(g: &mut Guest) {
    let fd = g.file("d", b"abc");
    let copy = g.ok("dup", &[fd]);
    g.ok("lseek", &[copy, 2, 0]);
    let buf = g.room(8);
    assert_eq!(g.ok("read", &[fd, buf, 8]), 1);
    assert_eq!(g.ok("dup3", &[fd, 700, libc::O_CLOEXEC as u64]), 700);
    assert_eq!(g.ok("fcntl", &[700, libc::F_GETFD as u64, 0]), 1);
    assert_eq!(g.ok("fcntl", &[fd, libc::F_GETFL as u64, 0]) & 3, libc::O_RDWR as u64);
    g.fails("fcntl", &[fd, 4242, 0], Errno::EINVAL);
    g.fails("fcntl", &[701, 4242, 0], Errno::EBADF);
    g.fails("dup3", &[fd, fd, 0], Errno::EINVAL);
    assert_eq!(g.ok("flock", &[fd, libc::LOCK_EX as u64]), 0);
    let path = g.name("d");
    let other = g.ok("openat", &[CWD, path, 0, 0]);
    g.fails("flock", &[other, (libc::LOCK_EX | libc::LOCK_NB) as u64], Errno::EAGAIN);
    assert_eq!(g.ok("close_range", &[700, 700, 0]), 0);
    g.fails("dup", &[700], Errno::EBADF);
    g.fails("close_range", &[5, 4, 0], Errno::EINVAL);
}

fn sizes(g: &mut Guest) {
    let fd = g.file("s", b"0123456789");
    let path = g.name("s");
    g.ok("ftruncate", &[fd, 4]);
    assert_eq!(g.content("s"), b"0123");
    g.ok("truncate", &[path, 6]);
    assert_eq!(g.content("s"), b"0123\0\0");
    g.fails("truncate", &[path, u64::MAX], Errno::EINVAL);
    g.ok("fallocate", &[fd, 0, 0, 100]);
    assert_eq!(g.content("s").len(), 100);
    g.ok("fadvise64", &[fd, 0, 0, 4]);
    g.fails("fadvise64", &[fd, 0, 0, 99], Errno::EINVAL);
    for name in ["fsync", "fdatasync", "syncfs"] {
        assert_eq!(g.ok(name, &[fd]), 0);
        g.fails(name, &[9999], Errno::EBADF);
    }
    assert_eq!(g.ok("sync", &[]), 0);
}

fn between_files(g: &mut Guest) {
    let (from, to) = (g.file("from", b"0123456789"), g.file("to", b""));
    assert_eq!(g.ok("readahead", &[from, 0, 10]), 0);
    let offset = g.put64(&[2]);
    assert_eq!(g.ok("sendfile", &[to, from, offset, 3]), 3);
    assert_eq!((g.content("to"), g.get64(offset)), (b"234".to_vec(), 5));
    assert_eq!(g.ok("copy_file_range", &[from, offset, to, 0, 4, 0]), 4);
    assert_eq!((g.content("to"), g.get64(offset)), (b"2345678".to_vec(), 9));
    g.fails("sendfile", &[to, from, WILD, 3], Errno::EFAULT);
    assert_eq!(g.ok("sync_file_range", &[to, 0, 0, 4]), 0);
    g.fails("sync_file_range", &[to, 0, 0, 99], Errno::EINVAL);
}

fn pipes(g: &mut Guest) {
    let ends = g.room(8);
    g.ok("pipe2", &[ends, 0]);
    let (read, write) = (u64::from(g.get32(ends)), u64::from(g.get32(ends + 4)));
    g.fails("pipe2", &[ends, 1], Errno::EINVAL);
    g.fails("pipe2", &[WILD, 0], Errno::EFAULT);
    let text = g.put(b"through");
    g.ok("write", &[write, text, 7]);
    let count = g.room(4);
    g.ok("ioctl", &[read, 0x541b, count]);
    assert_eq!(g.get32(count), 7);
    g.fails("ioctl", &[read, 0x5401, count], Errno::ENOTTY);
    g.fails("ioctl", &[read, 0x1234_5678, count], Errno::ENOTTY);
    g.fails("ioctl", &[9999, 0x1234_5678, count], Errno::EBADF);
    let second = g.room(8);
    g.ok("pipe2", &[second, libc::O_NONBLOCK as u64]);
    let (read2, write2) = (u64::from(g.get32(second)), u64::from(g.get32(second + 4)));
    assert_eq!(g.ok("tee", &[read, write2, 4, 0]), 4);
    let buf = g.room(16);
    assert_eq!(g.ok("read", &[read2, buf, 16]), 4);
    assert_eq!(g.get(buf, 4), b"thro");
    g.fails("read", &[read2, buf, 16], Errno::EAGAIN);
    let file = g.file("spliced", b"");
    assert_eq!(g.ok("splice", &[read, 0, file, 0, 100, 0]), 7);
    assert_eq!(g.content("spliced"), b"through");
}

fn names(g: &mut Guest) {
    let (dir, link, hard, moved, fifo) =
        (g.name("dir"), g.name("link"), g.name("hard"), g.name("moved"), g.name("fifo"));
    g.ok("mkdirat", &[CWD, dir, 0o755]);
    assert!(g.path("dir").is_dir());
    g.fails("mkdirat", &[CWD, dir, 0o755], Errno::EEXIST);
    let target = g.put(b"some/where\0");
    g.ok("symlinkat", &[target, CWD, link]);
    assert_eq!(std::fs::read_link(g.path("link")).unwrap().to_str(), Some("some/where"));
    let buf = g.room(64);
    assert_eq!(g.ok("readlinkat", &[CWD, link, buf, 4]), 4);
    assert_eq!(g.get(buf, 4), b"some");
    g.fails("readlinkat", &[CWD, link, buf, 0], Errno::EINVAL);
    g.fails("readlinkat", &[CWD, dir, buf, 64], Errno::EINVAL);
    let exe = g.put(b"/proc/self/exe\0");
    let len = g.ok("readlinkat", &[CWD, exe, buf, 64]) as usize;
    assert!(len == 64 || g.get(buf, len).ends_with(b"guests/bin/riscv64/hello"));
    g.file("plain", b"x");
    let plain = g.name("plain");
    g.ok("linkat", &[CWD, plain, CWD, hard, 0]);
    assert_eq!(g.path("hard").metadata().unwrap().nlink(), 2);
    g.ok("renameat2", &[CWD, hard, CWD, moved, 0]);
    assert!(g.path("moved").exists() && !g.path("hard").exists());
    g.fails("renameat2", &[CWD, moved, CWD, plain, 1], Errno::EEXIST);
    g.ok("mknodat", &[CWD, fifo, u64::from(libc::S_IFIFO | 0o600), 0]);
    assert!(g.path("fifo").metadata().unwrap().file_type().is_fifo());
    g.fails("unlinkat", &[CWD, dir, 0], Errno::EISDIR);
    g.ok("unlinkat", &[CWD, dir, libc::AT_REMOVEDIR as u64]);
    g.ok("unlinkat", &[CWD, link, 0]);
    g.fails("unlinkat", &[CWD, link, 0], Errno::ENOENT);
}

fn status(g: &mut Guest) {
    let fd = g.file("st", &[7; 5000]);
    let path = g.name("st");
    let real = g.path("st").metadata().unwrap();
    let buf = g.room(256);
    // Offsets of `struct stat` by the riscv64 cross compiler.
    let check = |g: &Guest| {
        assert_eq!((g.get64(buf), g.get64(buf + 8)), (real.dev(), real.ino()));
        assert_eq!((g.get32(buf + 16), g.get32(buf + 20)), (real.mode(), real.nlink() as u32));
        assert_eq!((g.get32(buf + 24), g.get32(buf + 28)), (real.uid(), real.gid()));
        assert_eq!((g.get64(buf + 48), g.get32(buf + 56)), (5000, real.blksize() as u32));
        assert_eq!(g.get64(buf + 64), real.blocks());
        assert_eq!((g.get64(buf + 88), g.get64(buf + 96)), (real.mtime() as u64, real.mtime_nsec() as u64));
    };
    g.ok("fstat", &[fd, buf]);
    check(g);
    g.ok("newfstatat", &[CWD, path, buf, 0]);
    check(g);
    let empty = g.put(b"\0");
    g.ok("newfstatat", &[fd, empty, buf, libc::AT_EMPTY_PATH as u64]);
    check(g);
    g.fails("newfstatat", &[CWD, path, buf, 1], Errno::EINVAL);
    g.fails("newfstatat", &[CWD, empty, buf, 0], Errno::ENOENT);
    g.fails("newfstatat", &[CWD, path, WILD, 0], Errno::EFAULT);
    g.fails("fstat", &[9999, buf], Errno::EBADF);
    g.fails("fstat", &[u64::MAX, buf], Errno::EBADF);
    std::os::unix::fs::symlink(g.path("st"), g.path("ln")).unwrap();
    let link = g.name("ln");
    g.ok("newfstatat", &[CWD, link, buf, libc::AT_SYMLINK_NOFOLLOW as u64]);
    assert_eq!(g.get32(buf + 16) & libc::S_IFMT, libc::S_IFLNK);
    g.ok("statx", &[CWD, path, 0, 0x7ff, buf]);
    assert_eq!((g.get64(buf + 32), g.get64(buf + 40)), (real.ino(), 5000));
    for (name, args) in [("statfs", [path, buf]), ("fstatfs", [fd, buf])] {
        g.ok(name, &args);
        // f_bsize and f_namelen: whatever the file system, files have a block size and names of at least 14 bytes.
        assert!(g.get64(buf + 8).is_power_of_two() && g.get64(buf + 64) >= 14, "{name}");
        g.fails(name, &[args[0], WILD], Errno::EFAULT);
    }
}

fn attributes(g: &mut Guest) {
    let fd = g.file("at", b"x");
    let path = g.name("at");
    let mode = |g: &Guest| g.path("at").metadata().unwrap().permissions().mode() & 0o7777;
    g.ok("fchmod", &[fd, 0o600]);
    assert_eq!(mode(g), 0o600);
    g.ok("fchmodat", &[CWD, path, 0o444]);
    assert_eq!(mode(g), 0o444);
    let (uid, gid) = (g.path("at").metadata().unwrap().uid().into(), g.path("at").metadata().unwrap().gid().into());
    g.ok("fchown", &[fd, uid, gid]);
    g.ok("fchownat", &[CWD, path, u64::MAX, gid, 0]);
    let times = g.put64(&[1000, 5, 2000, 6]);
    g.ok("utimensat", &[CWD, path, times, 0]);
    let meta = g.path("at").metadata().unwrap();
    assert_eq!((meta.atime(), meta.mtime(), meta.mtime_nsec()), (1000, 2000, 6));
    g.ok("utimensat", &[fd, 0, times, 0]);
    g.ok("faccessat", &[CWD, path, 4]);
    g.fails("faccessat2", &[CWD, path, 1, 0], Errno::EACCES);
    g.fails("faccessat2", &[CWD, path, 8, 0], Errno::EINVAL);
    let missing = g.name("none");
    g.fails("faccessat", &[CWD, missing, 0], Errno::ENOENT);
    let old = g.ok("umask", &[0o077]);
    let masked = g.name("masked");
    g.ok("openat", &[CWD, masked, (libc::O_CREAT | libc::O_WRONLY) as u64, 0o666]);
    assert_eq!(g.path("masked").metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(g.ok("umask", &[old]), 0o077);
}

fn directories(g: &mut Guest) {
    for name in ["one", "two"] {
        std::fs::write(g.path(name), "").unwrap();
    }
    let here = g.name("");
    let fd = g.ok("openat", &[CWD, here, 0o200_000, 0]);
    let buf = g.room(1024);
    let len = g.ok("getdents64", &[fd, buf, 1024]);
    let mut names = Vec::new();
    let mut at = 0;
    while at < len {
        // struct linux_dirent64: inode, offset, record length, type, name.
        let record = g.get(buf + at, 256);
        let name: Vec<u8> = record[19..].iter().copied().take_while(|byte| *byte != 0).collect();
        names.push(String::from_utf8(name).unwrap());
        at += u64::from(u16::from_le_bytes([record[16], record[17]]));
    }
    names.sort();
    assert_eq!(names, [".", "..", "one", "two"]);
    assert_eq!(g.ok("getdents64", &[fd, buf, 1024]), 0);
    g.ok("chdir", &[here]);
    let len = g.ok("getcwd", &[buf, 1024]) as usize;
    let real = std::fs::canonicalize(&g.dir).unwrap();
    assert_eq!(g.get(buf, len - 1), real.to_str().unwrap().as_bytes());
    g.fails("getcwd", &[buf, 2], Errno::ERANGE);
    let root = g.put(b"/\0");
    g.ok("chdir", &[root]);
    g.ok("fchdir", &[fd]);
    assert_eq!(std::env::current_dir().unwrap(), real);
    let file = g.name("one");
    g.fails("chdir", &[file], Errno::ENOTDIR);
}

fn memory_files(g: &mut Guest) {
    let name = g.put(b"scratch\0");
    let fd = g.ok("memfd_create", &[name, 1]);
    let text = g.put(b"kept");
    assert_eq!(g.ok("write", &[fd, text, 4]), 4);
    let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
    assert!(link.to_str().unwrap().contains("memfd:scratch"));
    g.fails("memfd_create", &[name, 0x8000_0000], Errno::EINVAL);
    // MFD_ALLOW_SEALING; F_SEAL_SHRINK and F_SEAL_GROW.
    let sealed = g.ok("memfd_create", &[name, 2]);
    g.ok("ftruncate", &[sealed, 4096]);
    g.ok("fcntl", &[sealed, libc::F_ADD_SEALS as u64, 6]);
    assert_eq!(g.ok("fcntl", &[sealed, libc::F_GET_SEALS as u64, 0]), 6);
    g.fails("ftruncate", &[sealed, 1], Errno::EPERM);
}

fn extended_attributes(g: &mut Guest) {
    let fd = g.file("x", b"");
    let path = g.name("x");
    std::os::unix::fs::symlink(g.path("x"), g.path("xl")).unwrap();
    let link = g.name("xl");
    let (one, value, buf) = (g.put(b"user.one\0"), g.put(b"first"), g.room(64));
    if g.same("fsetxattr", &[fd, one, value, 5, 0]) as i64 != 0 {
        // The file system has none: every call says so as the host does.
        for name in ["setxattr", "lsetxattr"] {
            g.same(name, &[path, one, value, 5, 0]);
        }
        for name in ["getxattr", "lgetxattr"] {
            g.same(name, &[path, one, buf, 64]);
        }
        g.same("fgetxattr", &[fd, one, buf, 64]);
        for name in ["listxattr", "llistxattr"] {
            g.same(name, &[path, buf, 64]);
        }
        g.same("flistxattr", &[fd, buf, 64]);
        for name in ["removexattr", "lremovexattr"] {
            g.same(name, &[path, one]);
        }
        g.same("fremovexattr", &[fd, one]);
        return;
    }
    assert_eq!(g.ok("getxattr", &[path, one, buf, 64]), 5);
    assert_eq!(g.get(buf, 5), b"first");
    assert_eq!(g.ok("getxattr", &[link, one, 0, 0]), 5);
    g.fails("getxattr", &[path, one, buf, 2], Errno::ERANGE);
    let two = g.put(b"user.two\0");
    g.ok("setxattr", &[path, two, value, 5, libc::XATTR_CREATE as u64]);
    g.fails("setxattr", &[path, two, value, 5, libc::XATTR_CREATE as u64], Errno::EEXIST);
    assert_eq!(g.ok("listxattr", &[path, buf, 64]), 18);
    let names = g.get(buf, 18);
    assert!(names.starts_with(b"user.one\0") || names.ends_with(b"user.one\0"));
    assert_eq!(g.ok("flistxattr", &[fd, buf, 64]), 18);
    assert_eq!(g.ok("fgetxattr", &[fd, two, buf, 64]), 5);
    // Links have none of the user's: it is the link that is meant.
    g.fails("lsetxattr", &[link, one, value, 5, 0], Errno::EPERM);
    assert_eq!(g.ok("llistxattr", &[link, buf, 64]), 0);
    g.fails("lgetxattr", &[link, one, buf, 64], Errno::ENODATA);
    g.fails("lremovexattr", &[link, one], Errno::EPERM);
    g.ok("removexattr", &[link, one]);
    g.ok("fremovexattr", &[fd, two]);
    g.fails("fremovexattr", &[fd, two], Errno::ENODATA);
    g.fails("setxattr", &[path, one, WILD, 5, 0], Errno::EFAULT);
    g.fails("setxattr", &[path, WILD, value, 5, 0], Errno::EFAULT);
}

fn pages(g: &mut Guest) {
    let ends = g.room(8);
    g.ok("pipe2", &[ends, 0]);
    let (read, write) = (u64::from(g.get32(ends)), u64::from(g.get32(ends + 4)));
    let (a, b) = (g.put(b"into "), g.put(b"a pipe"));
    let iov = g.put64(&[a, 5, b, 6]);
    assert_eq!(g.ok("vmsplice", &[write, iov, 2, 0]), 11);
    let buf = g.room(32);
    assert_eq!(g.ok("read", &[read, buf, 32]), 11);
    assert_eq!(g.get(buf, 11), b"into a pipe");
    let file = g.file("cached", &[1; 8192]);
    g.fails("vmsplice", &[file, iov, 2, 0], Errno::EBADF);
    g.fails("vmsplice", &[write, WILD, 2, 0], Errno::EFAULT);
    let (range, found) = (g.put64(&[0, 0]), g.room(40));
    if g.same("cachestat", &[file, range, found, 0]) == 0 {
        assert!(g.get64(found) <= 2);
    }
    g.same("cachestat", &[file, WILD, found, 0]);
    g.same("cachestat", &[9999, range, found, 0]);
    // FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE, and a contradiction.
    if g.same("fallocate", &[file, 3, 0, 4096]) == 0 {
        assert_eq!(g.content("cached")[..4096], [0; 4096]);
    }
    g.same("fallocate", &[file, 0x10, 4096, 4096]);
    g.fails("fallocate", &[file, 2, 0, 4096], Errno::EOPNOTSUPP);
    g.fails("fallocate", &[file, 0, 0, 0], Errno::EINVAL);
}

fn newer_calls(g: &mut Guest) {
    g.file("n", b"");
    let path = g.name("n");
    std::os::unix::fs::symlink(g.path("n"), g.path("nl")).unwrap();
    let link = g.name("nl");
    if g.host("fchmodat2", &[CWD, WILD, 0o600, 0]) == Err(Errno::ENOSYS) {
        g.fails("fchmodat2", &[CWD, path, 0o600, 0], Errno::ENOSYS);
    } else {
        g.ok("fchmodat2", &[CWD, path, 0o610, 0]);
        assert_eq!(g.path("n").metadata().unwrap().mode() & 0o777, 0o610);
        g.same("fchmodat2", &[CWD, link, 0o600, libc::AT_SYMLINK_NOFOLLOW as u64]);
        g.fails("fchmodat2", &[CWD, path, 0o600, 1], Errno::EINVAL);
    }
    // A handle without room says how much it takes; with room, it is the same twice.
    let mut handles = Vec::new();
    let mount = g.room(8);
    let small = g.put64(&[0; 17]);
    let result = g.try_call("name_to_handle_at", &[CWD, path, small, mount, 0]).unwrap();
    if result == Errno::EOVERFLOW.as_return() {
        let size = u64::from(g.get32(small));
        assert!((1..=128).contains(&size));
        for path in [path, path] {
            let handle = g.put64(&[size; 17]);
            g.ok("name_to_handle_at", &[CWD, path, handle, mount, 0]);
            handles.push(g.get(handle, 8 + size as usize));
        }
        assert_eq!(handles[0], handles[1]);
        let mut cut = g.get(small, 8);
        cut[..4].copy_from_slice(&200u32.to_le_bytes());
        let long = g.put(&cut);
        g.fails("name_to_handle_at", &[CWD, path, long, mount, 0], Errno::EINVAL);
        g.fails("name_to_handle_at", &[CWD, path, small, WILD, 0], Errno::EFAULT);
    } else {
        assert_eq!(result, Errno::EOPNOTSUPP.as_return());
    }
    g.fails("name_to_handle_at", &[CWD, path, WILD, mount, 0], Errno::EFAULT);
}

fn group_notification(g: &mut Guest) {
    // FAN_CLASS_NOTIF, for reading only.
    let group = g.try_call("fanotify_init", &[0, 0]).unwrap();
    let path = g.name("");
    if group as i64 >= 0 {
        // FAN_MARK_ADD of FAN_OPEN for children too.
        g.same("fanotify_mark", &[group, 1, 0x0800_0020, CWD, path]);
    } else {
        g.same("fanotify_init", &[0, 0]);
    }
    g.same("fanotify_init", &[0x8000_0000, 0]);
    g.same("fanotify_mark", &[9999, 1, 0x20, CWD, path]);
    g.same("fanotify_mark", &[group, 0x8000_0000, 0x20, CWD, path]);
}

fn locks_and_owners(g: &mut Guest) {
    let fd = g.file("locked", b"0123456789");
    // struct flock: type and origin, start, length, process.
    let lock = g.put64(&[1, 2, 5, 0]);
    g.ok("fcntl", &[fd, libc::F_SETLK as u64, lock]);
    let parent = g.ok("getpid", &[]);
    g.in_child(|g| {
        let path = g.name("locked");
        let own = g.ok("openat", &[CWD, path, libc::O_RDWR as u64, 0]);
        let wanted = g.put64(&[1, 0, 4, 0]);
        g.ok("fcntl", &[own, libc::F_GETLK as u64, wanted]);
        assert_eq!((g.get64(wanted + 8), g.get64(wanted + 16), g.get64(wanted + 24)), (2, 5, parent));
        let wanted = g.put64(&[1, 0, 4, 0]);
        g.fails("fcntl", &[own, libc::F_SETLK as u64, wanted], Errno::EAGAIN);
        // A lock of the open file: it conflicts as well.
        g.fails("fcntl", &[own, libc::F_OFD_SETLK as u64, wanted], Errno::EAGAIN);
    });
    g.fails("fcntl", &[fd, libc::F_SETLK as u64, WILD], Errno::EFAULT);
    let bad = g.put64(&[9, 0, 0, 0]);
    g.fails("fcntl", &[fd, libc::F_SETLK as u64, bad], Errno::EINVAL);
    // Owners: a process, a group, a thread by structure; the signal that is sent.
    let ends = g.room(8);
    g.ok("pipe2", &[ends, 0]);
    let read = u64::from(g.get32(ends));
    g.ok("fcntl", &[read, libc::F_SETOWN as u64, parent]);
    assert_eq!(g.ok("fcntl", &[read, libc::F_GETOWN as u64, 0]), parent);
    let tid = g.ok("gettid", &[]);
    let owner = g.put64(&[tid << 32]);
    g.ok("fcntl", &[read, 15, owner]);
    let seen = g.room(8);
    g.ok("fcntl", &[read, 16, seen]);
    assert_eq!(g.get64(seen), tid << 32);
    g.ok("fcntl", &[read, 10, 40]);
    assert_eq!(g.ok("fcntl", &[read, 11, 0]), 40);
    assert_eq!(g.ok("fcntl", &[read, libc::F_SETPIPE_SZ as u64, 8192]), 8192);
    assert_eq!(g.ok("fcntl", &[read, libc::F_GETPIPE_SZ as u64, 0]), 8192);
    // A signal on input: blocked, and taken with its descriptor.
    let set = g.put64(&[1 << 39]);
    g.ok("rt_sigprocmask", &[0, set, 0, 8]);
    g.ok("fcntl", &[read, libc::F_SETFL as u64, (libc::O_ASYNC | libc::O_NONBLOCK) as u64]);
    let (info, second, text) = (g.room(128), g.put64(&[5, 0]), g.put(b"x"));
    let write = u64::from(g.get32(ends + 4));
    g.ok("write", &[write, text, 1]);
    assert_eq!(g.ok("rt_sigtimedwait", &[set, info, second, 8]), 40);
    // siginfo: POLL_IN, the descriptor at 24.
    assert_eq!((g.get32(info + 8), u64::from(g.get32(info + 24))), (1, read));
    // Leases, where the file system has them.
    let path = g.name("locked");
    let reading = g.ok("openat", &[CWD, path, 0, 0]);
    g.same("fcntl", &[reading, libc::F_GETLEASE as u64, 0]);
    g.ok("close", &[fd]);
    g.same("fcntl", &[reading, libc::F_SETLEASE as u64, 0]);
    g.ok("fcntl", &[reading, libc::F_SETLEASE as u64, libc::F_UNLCK as u64]);
}
