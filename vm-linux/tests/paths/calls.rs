//! Calls that take names in ways of their own.

use std::os::unix::fs::{FileTypeExt, symlink};

use vm_linux::{Errno, LoadError, Options, Process};

use crate::folder::folder;
use crate::guest::{CWD, Guest};

/// `struct sockaddr_un`.
fn address(g: &mut Guest, path: &str) -> (u64, u64) {
    let bytes = [&[1u8, 0], path.as_bytes(), &[0]].concat();
    let addr = g.room(110);
    g.put(addr, &bytes);
    (addr, bytes.len() as u64)
}

fn told(g: &mut Guest, call: &str, fd: u64) -> String {
    let (room, len) = (g.room(128), g.room(4));
    g.put(len, &128u32.to_le_bytes());
    g.call(call, &[fd, room, len]).unwrap();
    let len = u64::from(u32::from_le_bytes(g.bytes(len, 4).try_into().unwrap()));
    let text = g.bytes(room + 2, len - 2);
    String::from_utf8(text).unwrap().trim_end_matches('\0').to_owned()
}

#[test]
fn sockets_have_names_in_the_root() {
    let _alone = crate::alone();
    let outside = folder("sockets");
    let root = outside.join("root");
    std::fs::create_dir_all(root.join("run")).unwrap();
    symlink("/run", root.join("link")).unwrap();
    symlink("../../../../../../run/one", root.join("climbing")).unwrap();
    let mut g = Guest::in_root(&root);
    let listener = g.call("socket", &[1, 1, 0]).unwrap();
    let (addr, len) = address(&mut g, "/link/../link/one");
    g.call("bind", &[listener, addr, len]).unwrap();
    assert!(std::fs::metadata(root.join("run/one")).unwrap().file_type().is_socket());
    assert_eq!(told(&mut g, "getsockname", listener), "/link/../link/one");
    g.call("listen", &[listener, 5]).unwrap();
    for name in ["/run/one", "run/one", "/climbing", "climbing", "/../../link/one", "/proc/self/root/run/one"] {
        let client = g.call("socket", &[1, 1, 0]).unwrap();
        let (addr, len) = address(&mut g, name);
        assert_eq!(g.call("connect", &[client, addr, len]), Ok(0), "{name}");
        assert_eq!(told(&mut g, "getpeername", client), "/link/../link/one");
        g.call("close", &[client]).unwrap();
    }
    // A socket outside has no name in here.
    let _other = std::os::unix::net::UnixListener::bind(outside.join("two")).unwrap();
    let client = g.call("socket", &[1, 1, 0]).unwrap();
    for name in ["../two", "/../two", outside.join("two").to_str().unwrap()] {
        let (addr, len) = address(&mut g, name);
        assert_eq!(g.call("connect", &[client, addr, len]), Err(Errno::ENOENT), "{name}");
    }
    let (addr, len) = address(&mut g, "../three");
    assert_eq!(g.call("bind", &[client, addr, len]), Ok(0));
    assert!(root.join("three").exists() && !outside.join("three").exists());
    // A name that is there already.
    let another = g.call("socket", &[1, 1, 0]).unwrap();
    assert_eq!(g.call("bind", &[another, addr, len]), Err(Errno::EADDRINUSE));
    std::env::set_current_dir("/").unwrap();
}

#[test]
fn changes_are_seen_and_attributes_kept_in_the_root() {
    let _alone = crate::alone();
    let root = folder("attributes");
    std::fs::create_dir(root.join("a")).unwrap();
    std::fs::write(root.join("f"), "").unwrap();
    symlink("/f", root.join("a/l")).unwrap();
    let mut g = Guest::in_root(&root);
    let watch = g.call("inotify_init1", &[libc::IN_NONBLOCK as u64]).unwrap();
    let through = g.text("/a/../../a/l");
    g.call("inotify_add_watch", &[watch, through, libc::IN_MODIFY.into()]).unwrap();
    // IN_DONT_FOLLOW: the link, which nobody writes to, has a watch of its own.
    let mask = u64::from(libc::IN_ATTRIB | libc::IN_DONT_FOLLOW);
    assert_eq!(g.call("inotify_add_watch", &[watch, through, mask]), Ok(2));
    std::fs::write(root.join("f"), "x").unwrap();
    let room = g.room(64);
    let len = g.call("read", &[watch, room, 64]).unwrap();
    assert!(len >= 16 && g.bytes(room, 4) == [1, 0, 0, 0]);
    let (name, value) = (g.text("user.x"), g.text("1"));
    match g.call("setxattr", &[through, name, value, 1, 0]) {
        // Not every file system has them.
        Err(Errno::EOPNOTSUPP) => {}
        result => {
            assert_eq!(result, Ok(0));
            let found = rustix::fs::getxattr(root.join("f"), "user.x", vec![0; 8].as_mut_slice()).unwrap();
            assert_eq!(found, 1);
            assert_eq!(g.call("getxattr", &[through, name, room, 8]), Ok(1));
            // Links have none of this kind.
            assert_eq!(g.call("lsetxattr", &[through, name, value, 1, 0]), Err(Errno::EPERM));
            assert_eq!(g.call("listxattr", &[through, room, 64]), Ok(7));
            assert_eq!(g.call("llistxattr", &[through, room, 64]), Ok(0));
            // Files that are no links have the same ones either way.
            let file = g.text("/f");
            assert_eq!(g.call("lsetxattr", &[file, name, value, 1, 0]), Ok(0));
            assert_eq!(g.call("lgetxattr", &[file, name, room, 8]), Ok(1));
            assert_eq!(g.call("llistxattr", &[file, room, 64]), Ok(7));
            assert_eq!(g.call("lremovexattr", &[file, name]), Ok(0));
            assert_eq!(g.call("lsetxattr", &[file, name, value, 1, 0]), Ok(0));
            assert_eq!(g.call("removexattr", &[through, name]), Ok(0));
        }
    }
    g.call("truncate", &[through, 77]).unwrap();
    assert_eq!(std::fs::metadata(root.join("f")).unwrap().len(), 77);
    // The null device, under another name.
    let device = g.text("/device");
    assert_eq!(g.call("mknodat", &[CWD, device, (libc::S_IFCHR | 0o666).into(), 0x103]), Err(Errno::EPERM));
    assert_eq!(g.call("mknodat", &[CWD, device, (libc::S_IFIFO | 0o666).into(), 0]), Ok(0));
    let slash = g.text("/");
    assert_eq!(g.call("chroot", &[slash]), Err(Errno::EPERM));
    std::env::set_current_dir("/").unwrap();
}

/// What a sysroot has is found there; what is new is made where qemu-user makes it, on the host.
#[test]
fn a_sysroot_is_looked_at_and_not_added_to() {
    let _alone = crate::alone();
    let both = folder("sysroot");
    let (sysroot, host) = (both.join("sysroot"), both.join("host"));
    let inside = sysroot.join(host.strip_prefix("/").unwrap());
    for directory in [&host, &inside, &inside.join("only")] {
        std::fs::create_dir_all(directory).unwrap();
    }
    std::fs::write(inside.join("f"), "sysroot").unwrap();
    std::fs::write(host.join("f"), "host").unwrap();
    std::fs::write(host.join("g"), "host").unwrap();
    let program = crate::common::repository("guests/bin/riscv64/hello");
    let mut g = Guest::with(Options { program, sysroot: Some(sysroot.clone()), ..Options::default() });
    let path = |name: &str| host.join(name).to_str().unwrap().to_owned();
    assert_eq!(g.read(CWD, &path("f")).unwrap(), b"sysroot");
    assert_eq!(g.read(CWD, &path("g")).unwrap(), b"host");
    let create = libc::O_CREAT | libc::O_WRONLY;
    assert_eq!(g.open(CWD, &path("f"), create | libc::O_EXCL), Err(Errno::EEXIST));
    g.open(CWD, &path("f"), create | libc::O_TRUNC).unwrap();
    assert_eq!(std::fs::metadata(inside.join("f")).unwrap().len(), 0);
    g.open(CWD, &path("new"), create).unwrap();
    assert!(host.join("new").exists() && !inside.join("new").exists());
    // Its directory is in the sysroot alone.
    assert_eq!(g.open(CWD, &path("only/new"), create), Err(Errno::ENOENT));
    let (made, there) = (g.text(&path("made")), g.text(&path("f")));
    g.call("mkdirat", &[CWD, made, 0o755]).unwrap();
    assert!(host.join("made").is_dir());
    assert_eq!(g.call("mkdirat", &[CWD, there, 0o755]), Err(Errno::EEXIST));
    // What is moved within the sysroot stays in it.
    let moved = g.text(&path("moved"));
    g.call("renameat2", &[CWD, there, CWD, moved, 0]).unwrap();
    assert!(inside.join("moved").exists() && !host.join("moved").exists());
    // A program is in the host's directory, if there is one.
    let (here, only) = (g.text(host.to_str().unwrap()), g.text(&path("only")));
    g.call("chdir", &[here]).unwrap();
    assert_eq!(g.directory().as_deref(), Ok(std::fs::canonicalize(&host).unwrap().to_str().unwrap()));
    g.call("chdir", &[only]).unwrap();
    assert_eq!(std::env::current_dir().unwrap(), std::fs::canonicalize(inside.join("only")).unwrap());
    g.clear();
    // The host's devices and processes are not the sysroot's.
    std::fs::create_dir_all(sysroot.join("proc")).unwrap();
    assert!(g.read(CWD, "/proc/meminfo").unwrap().starts_with(b"MemTotal"));
    let proc = g.open(CWD, "/proc", libc::O_DIRECTORY).unwrap();
    assert!(g.names(proc).len() > 10);
    std::env::set_current_dir("/").unwrap();
}

#[test]
fn roots_that_are_none_are_refused() {
    let load = |program: &str, root: &std::path::Path| {
        Process::load(&Options { program: program.into(), root: Some(root.into()), ..Options::default() })
    };
    let _alone = crate::alone();
    let root = folder("refused");
    std::fs::write(root.join("file"), "").unwrap();
    assert!(matches!(load("/x", &root.join("file")), Err(LoadError::Root { .. })));
    assert!(matches!(load("/x", &root.join("none")), Err(LoadError::Root { .. })));
    // A program that is there for the host and not for the guest.
    let hello = crate::common::repository("guests/bin/riscv64/hello");
    let outside = std::fs::canonicalize(&hello).unwrap();
    assert!(matches!(load(outside.to_str().unwrap(), &root), Err(LoadError::Open { .. })));
    symlink(&outside, root.join("link")).unwrap();
    assert!(matches!(load("/link", &root), Err(LoadError::Open { .. })));
    std::env::set_current_dir("/").unwrap();
}
