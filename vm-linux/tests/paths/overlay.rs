//! The host's devices and processes inside a root, and what of them leads out of it.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use vm_linux::Errno;

use crate::folder::folder;
use crate::guest::{CWD, Guest};

fn root() -> PathBuf {
    let root = folder("overlay");
    for directory in ["proc", "sys", "etc", "usr"] {
        std::fs::create_dir(root.join(directory)).unwrap();
    }
    std::fs::write(root.join("etc/issue"), "inside").unwrap();
    symlink("../proc/self/mounts", root.join("etc/mtab")).unwrap();
    symlink("/proc", root.join("usr/processes")).unwrap();
    symlink("/dev/zero", root.join("zeros")).unwrap();
    root
}

#[test]
fn devices_and_processes_of_the_host_show() {
    let _alone = crate::alone();
    let root = root();
    let mut g = Guest::in_root(&root);
    let zero = g.open(CWD, "/dev/zero", libc::O_RDWR).unwrap();
    let device = std::fs::metadata("/dev/zero").unwrap();
    assert_eq!(g.status(zero, "", libc::AT_EMPTY_PATH).unwrap().1, device.ino());
    for name in ["/dev/zero", "//dev/./zero", "/etc/../dev/zero", "dev/zero", "usr/../dev/zero", "/zeros", "zeros"] {
        assert_eq!(g.status(CWD, name, 0).map(|status| status.1), Ok(device.ino()), "{name}");
    }
    assert_eq!(g.status(CWD, "/dev/zero/", 0), Err(Errno::ENOTDIR));
    assert_eq!(g.status(CWD, "/dev/sda", 0), Err(Errno::ENOENT));
    assert_eq!(g.link(CWD, "/dev/fd").as_deref(), Ok("/proc/self/fd"));
    assert_eq!(g.link(CWD, "/dev/fd/77"), Err(Errno::ENOENT));
    for name in ["/proc/meminfo", "/etc/../proc/meminfo", "proc/meminfo", "/usr/processes/meminfo"] {
        assert!(g.read(CWD, name).unwrap().starts_with(b"MemTotal"), "{name}");
        g.clear();
    }
    assert!(!g.read(CWD, "/etc/mtab").unwrap().is_empty());
    let fd = g.open(CWD, "/usr/processes", libc::O_DIRECTORY).unwrap();
    let listed = g.names(fd);
    assert!(listed.contains(&"meminfo".to_owned()));
    for hidden in ["kcore", "kmsg", "keys", "kpageflags", "timer_list", "acpi"] {
        assert!(!listed.contains(&hidden.to_owned()), "{hidden}");
    }
    g.clear();
    assert_eq!(g.open(CWD, "/proc/kcore", 0), Err(Errno::ENOENT));
    assert_eq!(g.open(CWD, "/proc/sys/kernel/hostname", libc::O_WRONLY), Err(Errno::EROFS));
    assert_eq!(g.open(fd, "sys/kernel/hostname", libc::O_WRONLY), Err(Errno::EROFS));
    assert_eq!(g.open(CWD, "/sys/kernel/profiling", libc::O_RDWR), Err(Errno::EROFS));
    // The root's own device takes the place of the host's.
    std::fs::create_dir(root.join("dev")).unwrap();
    std::fs::write(root.join("dev/zero"), "mine").unwrap();
    assert_eq!(g.read(CWD, "/dev/zero").unwrap(), b"mine");
    assert_eq!(g.status(CWD, "/dev/null", 0).unwrap().1, std::fs::metadata("/dev/null").unwrap().ino());
    std::env::set_current_dir("/").unwrap();
}

/// They show in a `/dev` that the root has as well, and nobody makes files in their place.
#[test]
fn devices_are_not_made_in_the_roots_own_directory() {
    let _alone = crate::alone();
    let root = root();
    std::fs::create_dir(root.join("dev")).unwrap();
    std::fs::write(root.join("dev/urandom"), "mine").unwrap();
    symlink("dev", root.join("devices")).unwrap();
    let mut g = Guest::in_root(&root);
    let path = g.text("/dev");
    g.call("chdir", &[path]).unwrap();
    let dev = g.open(CWD, "/dev", libc::O_PATH).unwrap();
    let create = libc::O_WRONLY | libc::O_CREAT;
    for (from, name, of_host) in [
        (CWD, "/dev/zero", "zero"),
        (CWD, "//dev/zero", "zero"),
        (CWD, "/dev/../dev/full", "full"),
        (CWD, "/devices/zero", "zero"),
        (CWD, "/zeros", "zero"),
        (CWD, "zero", "zero"),
        (CWD, "./full", "full"),
        (CWD, "../devices/full", "full"),
        (dev, "zero", "zero"),
    ] {
        let inode = std::fs::metadata(format!("/dev/{of_host}")).unwrap().ino();
        for flags in [create, create | libc::O_TRUNC, libc::O_WRONLY, libc::O_PATH] {
            let fd = g.open(from, name, flags).unwrap_or_else(|errno| panic!("{name} {flags:#o}: {errno}"));
            assert_eq!(g.status(fd, "", libc::AT_EMPTY_PATH).unwrap().1, inode, "{name} {flags:#o}");
            g.call("close", &[fd]).unwrap();
            g.clear();
        }
        assert_eq!(g.open(from, name, create | libc::O_EXCL), Err(Errno::EEXIST), "{name}");
        assert_eq!(g.status(from, name, 0).unwrap().1, inode, "{name}");
        g.clear();
    }
    assert_eq!(g.open(CWD, "/dev/shm", create), Err(Errno::EISDIR));
    assert_eq!(g.open(CWD, "stdin", create | libc::O_EXCL), Err(Errno::EEXIST));
    // What the root has is its own, and so is what the host does not show.
    assert_eq!(g.read(CWD, "urandom").unwrap(), b"mine");
    assert_eq!(g.open(CWD, "/dev/urandom", create | libc::O_EXCL), Err(Errno::EEXIST));
    for name in ["/dev/new", "other"] {
        g.open(CWD, name, create | libc::O_EXCL).unwrap();
    }
    let mut made: Vec<_> =
        std::fs::read_dir(root.join("dev")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    made.sort();
    assert_eq!(made, ["new", "other", "urandom"]);
    std::env::set_current_dir("/").unwrap();
}

/// The ways out that `/proc` has.
#[test]
fn links_of_processes_lead_into_the_root() {
    let _alone = crate::alone();
    let root = root();
    let inside = std::fs::metadata(root.join("etc/issue")).unwrap().ino();
    let top = std::fs::metadata(&root).unwrap().ino();
    // Descriptors that were there before the guest, of a directory and of a file outside.
    let around = std::fs::File::open(root.parent().unwrap()).unwrap();
    let around = std::os::fd::AsRawFd::as_raw_fd(&around) as u64;
    let mut g = Guest::in_root(&root);
    let parent = std::os::unix::process::parent_id();
    let foreign = format!("/proc/{parent}/root");
    for name in
        ["/proc/self/root", &foreign, "/proc/thread-self/root", "/proc/self/cwd", "/proc/self/root/proc/self/cwd"]
    {
        assert_eq!(g.link(CWD, name).as_deref(), Ok("/"), "{name}");
        for end in ["/", "/..", "/../..", "/.", "/etc/.."] {
            assert_eq!(g.status(CWD, &format!("{name}{end}"), 0).unwrap().1, top, "{name}{end}");
            g.clear();
        }
        assert_eq!(g.status(CWD, &format!("{name}/etc/issue"), 0).unwrap().1, inside, "{name}");
    }
    for name in [format!("/proc/{parent}/cwd"), format!("/proc/{parent}/exe")] {
        assert!(matches!(g.open(CWD, &name, 0), Err(Errno::EACCES)), "{name}");
        assert!(matches!(g.status(CWD, &(name.clone() + "/etc"), 0), Err(Errno::EACCES | Errno::ENOTDIR)), "{name}");
    }
    // A namespace is a file like any other as long as it cannot be entered.
    let uts = std::fs::metadata("/proc/self/ns/uts").unwrap().ino();
    let text = std::fs::read_link("/proc/self/ns/uts").unwrap();
    for name in
        ["/proc/self/ns/uts".to_owned(), format!("/proc/{parent}/ns/uts"), "/proc/thread-self/ns/uts".to_owned()]
    {
        let fd = g.open(CWD, &name, libc::O_RDONLY).unwrap();
        assert_eq!(g.status(fd, "", libc::AT_EMPTY_PATH).unwrap().1, uts, "{name}");
        assert_eq!(g.status(CWD, &name, 0).unwrap().1, uts, "{name}");
        assert_eq!(g.link(CWD, &name).as_deref(), Ok(text.to_str().unwrap()), "{name}");
        assert_eq!(g.open(CWD, &name, libc::O_NOFOLLOW), Err(Errno::ELOOP), "{name}");
        assert_eq!(g.status(CWD, &(name.clone() + "/etc"), 0), Err(Errno::ENOTDIR), "{name}");
        assert_eq!(g.call("setns", &[fd, libc::CLONE_NEWUTS as u64]), Err(Errno::EPERM), "{name}");
    }
    for name in ["/proc/self/mem", "/proc/thread-self/mem", "/proc/1/mem", "/proc/self/map_files"] {
        assert_eq!(g.open(CWD, name, libc::O_RDONLY), Err(Errno::EACCES), "{name}");
    }
    let own = g.open(CWD, "/proc/self", libc::O_DIRECTORY).unwrap();
    assert_eq!(g.open(own, "mem", libc::O_RDWR), Err(Errno::EACCES));
    assert_eq!(g.open(own, "./task/../mem", libc::O_RDWR), Err(Errno::EACCES));
    let how = g.room(24);
    let path = g.text("mem");
    // RESOLVE_BENEATH.
    let call = |g: &mut Guest, words: [u64; 3]| {
        for (index, word) in words.iter().enumerate() {
            g.put(how + 8 * index as u64, &word.to_le_bytes());
        }
        g.call("openat2", &[own, path, how, 24])
    };
    assert_eq!(call(&mut g, [2, 0, 8]), Err(Errno::EACCES));
    assert_eq!(call(&mut g, [2, 0, 16]), Err(Errno::EACCES));
    // From a directory outside, which it was given, there is no way up, nor by its link.
    assert_eq!(g.status(around, "..", 0), Err(Errno::ENOENT));
    let link = format!("/proc/self/fd/{around}/..");
    assert_eq!(g.status(CWD, &link, 0), Err(Errno::ENOENT));
    assert_eq!(g.open(CWD, &format!("/proc/self/fd/{around}/root/.."), 0), Err(Errno::ENOENT));
    // Its own files can be opened again by number.
    let issue = g.open(CWD, "/etc/issue", 0).unwrap();
    assert_eq!(g.read(CWD, &format!("/dev/fd/{issue}")).unwrap(), b"inside");
    assert_eq!(g.link(CWD, &format!("/proc/self/fd/{issue}")).as_deref(), Ok("/etc/issue"));
    assert_eq!(g.link(CWD, "/proc/self/exe").as_deref(), Ok("/hello"));
    let program = std::fs::metadata(root.join("hello")).unwrap().ino();
    assert_eq!(g.status(CWD, "/proc/self/exe", 0).unwrap().1, program);
    let exe = g.open(CWD, "/proc/self/exe", 0).unwrap();
    assert_eq!(g.status(exe, "", libc::AT_EMPTY_PATH).unwrap().1, program);
    let maps = String::from_utf8(g.read(CWD, "/proc/self/maps").unwrap()).unwrap();
    assert!(maps.contains(" /hello\n") && !maps.contains(root.to_str().unwrap()), "{maps}");
    std::env::set_current_dir("/").unwrap();
}

/// `/proc` and `/sys` are read, whatever way leads there, and what is known about a file that shows is the host's.
///
/// Whatever gets through would write nothing, and set what is set.
#[test]
fn what_shows_cannot_be_changed() {
    let _alone = crate::alone();
    let root = root();
    let mut g = Guest::in_root(&root);
    let write = libc::O_WRONLY as u64;
    let [beneath, in_root] = [8, 16];
    let file = g.open(CWD, "/proc/sys/kernel/hostname", libc::O_RDONLY).unwrap();
    let named = g.open(CWD, "/proc/sys/kernel/hostname", libc::O_PATH).unwrap();
    for name in ["/proc/self/fd", "/dev/fd", "/proc/thread-self/fd"] {
        for fd in [file, named] {
            assert!(g.open(CWD, &format!("{name}/{fd}"), libc::O_RDONLY).is_ok(), "{name}");
            assert_eq!(g.open(CWD, &format!("{name}/{fd}"), libc::O_WRONLY), Err(Errno::EROFS), "{name}");
            assert_eq!(g.open(CWD, &format!("{name}/{fd}"), libc::O_TRUNC), Err(Errno::EROFS), "{name}");
            g.clear();
        }
    }
    let (proc, sys) = (g.open(CWD, "/proc", libc::O_PATH).unwrap(), g.open(CWD, "/proc/sys", libc::O_PATH).unwrap());
    let own = format!("{}/comm", std::process::id());
    let how = g.room(24);
    for (dirfd, name, flags, resolve, writable) in [
        (sys, "kernel/hostname", write, beneath, false),
        (sys, "kernel/hostname", write, in_root, false),
        (sys, "/kernel/hostname", write, in_root, false),
        (sys, "kernel/hostname", 0, beneath, true),
        (proc, "sys/kernel/hostname", 2, beneath, false),
        (proc, "sys/kernel/hostname", 2, 0, false),
        (proc, &own, write, beneath, true),
        (proc, &own, write, 0, true),
    ] {
        let path = g.text(name);
        g.put(how, &[flags, 0, resolve].map(u64::to_le_bytes).concat());
        let opened = g.call("openat2", &[dirfd, path, how, 24]);
        assert_eq!(opened.err(), (!writable).then_some(Errno::EROFS), "{name} {flags} {resolve}");
    }
    g.clear();
    let (text, value) = (g.text("user.none"), g.room(8));
    let keep = u64::from(u32::MAX);
    for (name, errno) in [
        ("/proc/sys/kernel/hostname", Some(Errno::EROFS)),
        ("/proc/1/stat", Some(Errno::EROFS)),
        ("/sys/kernel", Some(Errno::EROFS)),
        ("/dev/full", Some(Errno::EROFS)),
        ("/dev/shm", Some(Errno::EROFS)),
        ("/zeros", Some(Errno::EROFS)),
        ("/etc/issue", None),
    ] {
        let host = if errno.is_none() { root.join(&name[1..]) } else { PathBuf::from(name) };
        let host = if name == "/zeros" { PathBuf::from("/dev/zero") } else { host };
        let known = std::fs::metadata(host).unwrap();
        let mode = u64::from(known.mode() & 0o7777);
        let times = g.room(32);
        // UTIME_OMIT.
        let words = [0, (1 << 30) - 2, known.mtime() as u64, known.mtime_nsec() as u64];
        g.put(times, &words.map(u64::to_le_bytes).concat());
        let (path, empty) = (g.text(name), g.text(""));
        let flags = if known.is_dir() { libc::O_DIRECTORY } else { libc::O_RDONLY };
        let fd = g.open(CWD, name, flags).unwrap();
        let link = g.text(&format!("/proc/self/fd/{fd}"));
        let itself = libc::AT_EMPTY_PATH as u64;
        for (call, args) in [
            ("fchmodat", vec![CWD, path, mode]),
            ("fchmodat", vec![CWD, link, mode]),
            ("fchmod", vec![fd, mode]),
            ("fchownat", vec![CWD, path, keep, keep, 0]),
            ("fchownat", vec![CWD, link, keep, keep, 0]),
            ("fchownat", vec![fd, empty, keep, keep, itself]),
            ("fchown", vec![fd, keep, keep]),
            ("utimensat", vec![CWD, path, times, 0]),
            ("utimensat", vec![CWD, link, times, 0]),
            ("utimensat", vec![fd, 0, times, 0]),
        ] {
            assert_eq!(g.call(call, &args).err(), errno, "{call} {name}");
        }
        for (call, args) in [
            ("setxattr", vec![path, text, value, 1, 0]),
            ("fsetxattr", vec![fd, text, value, 1, 0]),
            ("removexattr", vec![path, text]),
            ("fremovexattr", vec![fd, text]),
        ] {
            let refused = g.call(call, &args) == Err(Errno::EROFS);
            assert_eq!(refused, errno.is_some(), "{call} {name}");
        }
        // Mistakes that a kernel finds before it looks at the file.
        assert_eq!(g.call("fchownat", &[CWD, path, keep, keep, 1]), Err(Errno::EINVAL));
        assert_eq!(g.call("truncate", &[path, u64::MAX]), Err(Errno::EINVAL));
    }
    let path = g.text("/proc/version");
    assert_eq!(g.call("truncate", &[path, 0]), Err(Errno::EROFS));
    let path = g.text("/zeros");
    let here = g.text("/etc/issue");
    assert_eq!(g.call("truncate", &[here, 0]), Ok(0));
    // The link is the root's own.
    assert_eq!(g.call("fchownat", &[CWD, path, keep, keep, libc::AT_SYMLINK_NOFOLLOW as u64]), Ok(0));
    std::env::set_current_dir("/").unwrap();
}

/// The descriptor of the root is not the guest's.
#[test]
fn the_roots_descriptor_is_out_of_reach() {
    let _alone = crate::alone();
    let root = root();
    let mut g = Guest::in_root(&root);
    let list = g.open(CWD, "/proc/self/fd", libc::O_DIRECTORY).unwrap();
    let shown: Vec<u64> = g.names(list).iter().filter_map(|name| name.parse().ok()).collect();
    let of_host: Vec<u64> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap().parse().ok())
        .collect();
    let is_root = |fd: &u64| {
        std::fs::metadata(format!("/proc/self/fd/{fd}"))
            .is_ok_and(|meta| meta.ino() == std::fs::metadata(&root).unwrap().ino())
    };
    let own = of_host.into_iter().rfind(is_root).unwrap();
    assert!(own >= 200 && !shown.contains(&own), "{own} {shown:?}");
    assert_eq!(g.link(CWD, &format!("/proc/self/fd/{own}")), Err(Errno::ENOENT));
    assert_eq!(g.call("close", &[own]), Err(Errno::EBADF));
    assert_eq!(g.call("close_range", &[own - 3, u32::MAX.into(), 0]), Ok(0));
    assert_eq!(g.call("close_range", &[own, own, 0]), Ok(0));
    assert_eq!(g.read(CWD, "/etc/issue").unwrap(), b"inside");
    // A program that wants this very number gets it.
    let issue = g.open(CWD, "/etc/issue", 0).unwrap();
    assert_eq!(g.call("dup3", &[issue, own, 0]), Ok(own));
    assert_eq!(g.content(own), b"inside");
    assert_eq!(g.read(CWD, "/etc/issue").unwrap(), b"inside");
    assert_eq!(g.call("close", &[own]), Ok(0));
    std::env::set_current_dir("/").unwrap();
}

/// Nor is it among those that a program comes by whose limit is low.
#[test]
fn a_low_limit_does_not_bring_the_roots_descriptor_down() {
    let _alone = crate::alone();
    let root = root();
    let mut limited = Guest::free();
    let (before, low) = (limited.room(16), limited.room(16));
    let of_descriptors = libc::RLIMIT_NOFILE.into();
    limited.call("prlimit64", &[0, of_descriptors, 0, before]).unwrap();
    let hard = limited.bytes(before + 8, 8);
    limited.put(low, &[64u64.to_le_bytes().as_slice(), &hard].concat());
    limited.call("prlimit64", &[0, of_descriptors, low, 0]).unwrap();
    let mut g = Guest::in_root(&root);
    let inode = std::fs::metadata(&root).unwrap().ino();
    for fd in 0..64 {
        let found = g.status(fd, "", libc::AT_EMPTY_PATH).map(|status| status.1);
        assert_ne!(found, Ok(inode), "{fd}");
        g.clear();
    }
    assert!(g.open(CWD, "/etc/issue", 0).unwrap() < 64);
    limited.call("prlimit64", &[0, of_descriptors, before, 0]).unwrap();
    std::env::set_current_dir("/").unwrap();
}

/// A guest that is not confined sees itself too, by whatever name.
#[test]
fn a_process_sees_itself_and_not_the_emulator() {
    let _alone = crate::alone();
    let mut g = Guest::free();
    let pid = std::process::id();
    let maps = g.read(CWD, "/proc/self/maps").unwrap();
    assert!(!String::from_utf8_lossy(&maps).contains("deps/paths-"));
    let own = g.open(CWD, "/proc/self", libc::O_DIRECTORY).unwrap();
    let path = g.text("/proc/self");
    for name in
        [format!("/proc/{pid}/maps"), "/proc/self/task/../maps".into(), "//proc/self/root/proc/self/maps".into()]
    {
        assert_eq!(g.read(CWD, &name).unwrap(), maps, "{name}");
    }
    assert_eq!(g.read(own, "maps").unwrap(), maps);
    g.call("chdir", &[path]).unwrap();
    assert_eq!(g.read(CWD, "maps").unwrap(), maps);
    assert_eq!(g.read(CWD, "../self/maps").unwrap(), maps);
    std::env::set_current_dir("/").unwrap();
    assert_eq!(g.read(CWD, "proc/self/maps").unwrap(), maps);
    g.clear();
    // Not writable, can be read at any place, closed on exec if asked, and it is known by its name.
    let fd = g.open(CWD, "/proc/self/maps", libc::O_CLOEXEC).unwrap();
    assert_eq!(g.call("fcntl", &[fd, libc::F_GETFD as u64, 0]), Ok(1));
    assert_eq!(g.call("fcntl", &[fd, libc::F_GETFL as u64, 0]).unwrap() & 3, 0);
    let room = g.room(16);
    assert_eq!(g.call("pread64", &[fd, room, 16, 5]), Ok(16));
    assert_eq!(g.bytes(room, 16), maps[5..21]);
    assert_eq!(g.call("write", &[fd, room, 1]), Err(Errno::EBADF));
    assert_eq!(g.link(CWD, &format!("/proc/self/fd/{fd}")), Ok(format!("/proc/{pid}/maps")));
    let of_host = std::fs::metadata("/proc/self/maps").unwrap();
    assert_eq!(g.status(fd, "", libc::AT_EMPTY_PATH), Ok((of_host.dev(), of_host.ino(), of_host.mode())));
    assert_eq!(g.open(CWD, "/proc/self/maps", libc::O_RDWR), Err(Errno::EACCES));
    assert_eq!(g.open(CWD, "/proc/self/maps/", 0), Err(Errno::ENOTDIR));
    assert_eq!(g.open(CWD, "/proc/self/maps", libc::O_DIRECTORY), Err(Errno::ENOTDIR));
    // A file in memory of the guest's own stays what it is.
    let name = g.text("x");
    let memory = g.call("memfd_create", &[name, 0]).unwrap();
    assert_ne!(g.status(memory, "", libc::AT_EMPTY_PATH).unwrap().0, of_host.dev());
    // The emulator's threads: those that compile, and here those of the test.
    let tasks = g.open(CWD, "/proc/self/task", libc::O_DIRECTORY).unwrap();
    let names = g.names(tasks);
    let of_host: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let tid = rustix::thread::gettid().as_raw_pid().to_string();
    assert_eq!(names, [".", "..", tid.as_str()]);
    let hidden: Vec<&String> = of_host.iter().filter(|name| **name != tid).collect();
    assert!(!hidden.is_empty());
    for name in hidden {
        for path in
            [format!("/proc/self/task/{name}"), format!("/proc/self/task/{name}/stat"), format!("/proc/{name}/stat")]
        {
            // This test's process has its number, and is the guest too.
            if name.parse() != Ok(pid) || !path.starts_with(&format!("/proc/{pid}")) {
                assert_eq!(g.open(CWD, &path, 0), Err(Errno::ENOENT), "{path}");
            }
            g.clear();
        }
    }
    let stat = String::from_utf8(g.read(CWD, "/proc/self/stat").unwrap()).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split_whitespace().collect();
    assert_eq!(fields.len(), 50, "{stat}");
    assert_eq!(fields[20 - 3], "1", "num_threads");
    assert!(fields[23 - 3].parse::<u64>().unwrap() < 64 << 20, "vsize");
    let status = String::from_utf8(g.read(CWD, "/proc/thread-self/status").unwrap()).unwrap();
    assert!(status.contains("\nThreads:\t1\n") && status.contains(&format!("\nPid:\t{tid}\n")), "{status}");
    let statm = String::from_utf8(g.read(CWD, "/proc/self/statm").unwrap()).unwrap();
    assert_eq!(statm.split_whitespace().count(), 7);
    g.clear();
    let smaps = String::from_utf8(g.read(CWD, "/proc/self/smaps").unwrap()).unwrap();
    assert_eq!(smaps.matches("\nRss:").count(), String::from_utf8_lossy(&maps).lines().count());
    let rollup = String::from_utf8(g.read(CWD, "/proc/self/smaps_rollup").unwrap()).unwrap();
    assert!(rollup.lines().next().unwrap().ends_with(" [rollup]"), "{rollup}");
    let cpus = String::from_utf8(g.read(CWD, "/proc/cpuinfo").unwrap()).unwrap();
    let online = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let count = |text: &str| text.lines().filter(|line| line.starts_with("processor")).count();
    assert_eq!(count(&cpus), count(&online));
}

/// What is opened gets the lowest free number, however it is found.
#[test]
fn descriptors_are_the_lowest_that_are_free() {
    let _alone = crate::alone();
    let root = root();
    let mut g = Guest::in_root(&root);
    let lowest = g.open(CWD, "/etc/issue", 0).unwrap();
    g.call("close", &[lowest]).unwrap();
    let parent = std::os::unix::process::parent_id();
    let foreign = format!("/proc/{parent}/root/etc/issue");
    for name in [
        "/proc/self/maps",
        "/proc/meminfo",
        "/proc/self/fd",
        "/proc/self/exe",
        "/dev/null",
        "etc/../dev/null",
        "/etc/mtab",
        "/dev/shm",
        "/usr/processes",
        "usr/../etc/issue",
        "/usr/../proc/self/root/etc/issue",
        &foreign,
    ] {
        assert_eq!(g.open(CWD, name, 0), Ok(lowest), "{name}");
        g.call("close", &[lowest]).unwrap();
        g.clear();
    }
    std::env::set_current_dir("/").unwrap();
}
