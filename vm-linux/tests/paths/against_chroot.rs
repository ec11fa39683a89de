//! Random calls on random trees: a confined guest gets what a thread in a chroot gets, error for error, and both leave
//! the same tree. Without the privilege for a chroot, only that nothing outside is reached or changed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use rustix::fs::{self, AtFlags, Mode, OFlags};
use vm_linux::Errno;

use crate::folder::folder;
use crate::guest::{CWD, Guest};

/// Numbers that look random (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A name with links, `..` and slashes in unusual places.
    fn name(&mut self) -> String {
        const PARTS: [&str; 14] = ["a", "b", "c", "d", "e", "a", "b", "..", "..", ".", "", "l", "m", "etc"];
        let count = 1 + self.below(5);
        let parts: Vec<&str> = (0..count).map(|_| *self.pick(&PARTS)).collect();
        let mut name = parts.join("/");
        if self.one_in(2) {
            name.insert(0, '/');
        }
        if self.one_in(8) {
            name.push('/');
        }
        name
    }
}

/// A call; numbers are those of directories that were opened before, one past the last for the current one.
#[derive(Clone, Debug)]
enum Call {
    Open { from: usize, name: String, flags: i32 },
    Keep { from: usize, name: String },
    Status { from: usize, name: String, follow: bool },
    Read { from: usize, name: String },
    Access { from: usize, name: String },
    Make { from: usize, name: String },
    Remove { from: usize, name: String, directory: bool },
    Rename { from: usize, name: String, to: usize, new: String },
    Link { from: usize, name: String, to: usize, new: String, follow: bool },
    Symlink { target: String, from: usize, name: String },
    Mode { from: usize, name: String, mode: u32 },
    Enter { name: String },
    Times { from: usize, name: String, follow: bool },
    System { name: String },
}

impl Call {
    fn random(random: &mut Random, directories: usize) -> Self {
        let mut from = || random.below(directories + 1);
        let (from, to) = (from(), from());
        let name = random.name();
        match random.below(17) {
            0 | 1 => {
                let flags = *random.pick(&[
                    libc::O_RDONLY,
                    libc::O_RDONLY | libc::O_NOFOLLOW,
                    libc::O_RDONLY | libc::O_DIRECTORY,
                    libc::O_PATH | libc::O_NOFOLLOW,
                    libc::O_RDWR | libc::O_CREAT,
                    libc::O_WRONLY | libc::O_CREAT,
                    libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL,
                    libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW,
                    libc::O_WRONLY | libc::O_TRUNC,
                ]);
                Self::Open { from, name, flags }
            }
            2 => Self::Keep { from, name },
            3 => Self::Status { from, name, follow: random.one_in(2) },
            4 => Self::Read { from, name },
            5 => Self::Access { from, name },
            6 | 7 => Self::Make { from, name },
            8 => Self::Remove { from, name, directory: random.one_in(2) },
            9 => Self::Rename { from, name, to, new: random.name() },
            10 => Self::Link { from, name, to, new: random.name(), follow: random.one_in(2) },
            11 | 12 => Self::Symlink { target: random.name(), from, name },
            13 => Self::Mode { from, name, mode: *random.pick(&[0o600, 0o644, 0o755]) },
            14 => Self::Enter { name },
            15 => Self::Times { from, name, follow: random.one_in(2) },
            _ => Self::System { name },
        }
    }
}

/// What a call gave: text to compare, or an error number.
type Outcome = Result<String, i32>;

/// What makes the calls.
trait Side {
    fn make(&mut self, call: &Call) -> Outcome;
    /// Directories that are open.
    fn directories(&self) -> usize;
}

/// The name of each file of a tree, by device and inode; the first by name for one that has several.
fn names_of(root: &Path) -> BTreeMap<(u64, u64), String> {
    let mut out = BTreeMap::new();
    visit(root, &mut |path, meta| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        out.entry((meta.dev(), meta.ino())).or_insert(name);
    });
    out
}

fn visit(path: &Path, seen: &mut dyn FnMut(&Path, &std::fs::Metadata)) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    seen(path, &meta);
    if meta.is_dir() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| visit(entry, seen));
    }
}

/// Everything that can be told apart in a tree.
fn description(root: &Path) -> Vec<String> {
    let mut out = Vec::new();
    visit(root, &mut |path, meta| {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let rest = if meta.is_symlink() {
            std::fs::read_link(path).unwrap().display().to_string()
        } else if meta.is_dir() {
            String::new()
        } else {
            format!("{} {}", meta.len(), meta.nlink())
        };
        out.push(format!("{name} {:o} {rest}", meta.mode()));
    });
    out
}

/// The guest.
struct Confined {
    guest: Guest,
    root: PathBuf,
    open: Vec<u64>,
}

impl Confined {
    fn file(&mut self, fd: u64) -> String {
        let (dev, ino, _) = self.guest.status(fd, "", libc::AT_EMPTY_PATH).unwrap();
        match names_of(&self.root).get(&(dev, ino)) {
            Some(name) => name.clone(),
            // A removed file that a descriptor or the current directory still leads to.
            None => {
                let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
                let link = link.as_os_str().as_bytes();
                let inside = link.starts_with(self.root.as_os_str().as_bytes());
                assert!(inside && link.ends_with(b" (deleted)"), "{}", OsStr::from_bytes(link).display());
                "(removed)".to_owned()
            }
        }
    }

    fn dirfd(&self, index: usize) -> u64 {
        self.open.get(index).copied().unwrap_or(CWD)
    }

    fn call(&mut self, name: &str, args: &[u64]) -> Outcome {
        self.guest.call(name, args).map(|_| String::new()).map_err(Errno::get)
    }
}

impl Side for Confined {
    fn directories(&self) -> usize {
        self.open.len()
    }

    fn make(&mut self, call: &Call) -> Outcome {
        self.guest.clear();
        match call {
            Call::Open { from, name, flags } => {
                let fd = self.guest.open(self.dirfd(*from), name, *flags).map_err(Errno::get)?;
                let file = self.file(fd);
                self.guest.call("close", &[fd]).unwrap();
                Ok(file)
            }
            Call::Keep { from, name } => {
                let flags = libc::O_PATH | libc::O_DIRECTORY;
                let fd = self.guest.open(self.dirfd(*from), name, flags).map_err(Errno::get)?;
                self.open.push(fd);
                Ok(self.file(fd))
            }
            Call::Status { from, name, follow } => {
                let flags = if *follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
                let (dev, ino, mode) = self.guest.status(self.dirfd(*from), name, flags).map_err(Errno::get)?;
                let name = names_of(&self.root).get(&(dev, ino)).cloned().unwrap_or("(removed)".to_owned());
                Ok(format!("{name} {mode:o}"))
            }
            Call::Read { from, name } => self.guest.link(self.dirfd(*from), name).map_err(Errno::get),
            Call::Access { from, name } => {
                let name = self.guest.text(name);
                self.call("faccessat", &[self.dirfd(*from), name, 2])
            }
            Call::Make { from, name } => {
                let name = self.guest.text(name);
                self.call("mkdirat", &[self.dirfd(*from), name, 0o755])
            }
            Call::Remove { from, name, directory } => {
                let name = self.guest.text(name);
                let flags = if *directory { libc::AT_REMOVEDIR as u64 } else { 0 };
                self.call("unlinkat", &[self.dirfd(*from), name, flags])
            }
            Call::Rename { from, name, to, new } => {
                let (name, new) = (self.guest.text(name), self.guest.text(new));
                self.call("renameat2", &[self.dirfd(*from), name, self.dirfd(*to), new, 0])
            }
            Call::Link { from, name, to, new, follow } => {
                let (name, new) = (self.guest.text(name), self.guest.text(new));
                let flags = if *follow { libc::AT_SYMLINK_FOLLOW as u64 } else { 0 };
                self.call("linkat", &[self.dirfd(*from), name, self.dirfd(*to), new, flags])
            }
            Call::Symlink { target, from, name } => {
                let (target, name) = (self.guest.text(target), self.guest.text(name));
                self.call("symlinkat", &[target, self.dirfd(*from), name])
            }
            Call::Mode { from, name, mode } => {
                let name = self.guest.text(name);
                self.call("fchmodat", &[self.dirfd(*from), name, (*mode).into()])
            }
            Call::Enter { name } => {
                let name = self.guest.text(name);
                self.call("chdir", &[name])?;
                self.guest.directory().map_err(Errno::get)
            }
            Call::Times { from, name, follow } => {
                let name = self.guest.text(name);
                let flags = if *follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW as u64 };
                self.call("utimensat", &[self.dirfd(*from), name, 0, flags])
            }
            Call::System { name } => {
                let (name, room) = (self.guest.text(name), self.guest.room(120));
                self.call("statfs", &[name, room])
            }
        }
    }
}

/// A thread with a root and a current directory of its own.
struct Chroot {
    open: Vec<OwnedFd>,
}

impl Chroot {
    /// Changes the calling thread's root; `None` without the privilege.
    fn enter(root: &Path) -> Option<Self> {
        #[allow(deprecated, reason = "a thread's own root and directory have nothing to do with memory safety")]
        rustix::thread::unshare(rustix::thread::UnshareFlags::FS).ok()?;
        rustix::process::chroot(root).ok()?;
        rustix::process::chdir("/").ok()?;
        Some(Self { open: Vec::new() })
    }

    fn dirfd(&self, index: usize) -> BorrowedFd<'_> {
        self.open.get(index).map_or(fs::CWD, OwnedFd::as_fd)
    }

    fn name(dev: u64, ino: u64) -> String {
        // Its own root is the tree, wherever that is for others.
        names_of(Path::new("/")).get(&(dev, ino)).cloned().unwrap_or("(removed)".to_owned())
    }

    fn file(fd: impl AsFd) -> String {
        let stat = fs::fstat(fd).unwrap();
        Self::name(stat.st_dev, stat.st_ino)
    }
}

fn outcome<T>(result: rustix::io::Result<T>) -> Outcome {
    result.map(|_| String::new()).map_err(rustix::io::Errno::raw_os_error)
}

impl Side for Chroot {
    fn directories(&self) -> usize {
        self.open.len()
    }

    fn make(&mut self, call: &Call) -> Outcome {
        let errno = rustix::io::Errno::raw_os_error;
        match call {
            Call::Open { from, name, flags } => {
                let flags = OFlags::from_bits_retain(*flags as u32);
                let fd =
                    fs::openat(self.dirfd(*from), name.as_str(), flags, Mode::from_raw_mode(0o644)).map_err(errno)?;
                Ok(Self::file(fd))
            }
            Call::Keep { from, name } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                let fd = fs::openat(self.dirfd(*from), name.as_str(), flags, Mode::empty()).map_err(errno)?;
                let file = Self::file(&fd);
                self.open.push(fd);
                Ok(file)
            }
            Call::Status { from, name, follow } => {
                let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                let stat = fs::statat(self.dirfd(*from), name.as_str(), flags).map_err(errno)?;
                Ok(format!("{} {:o}", Self::name(stat.st_dev, stat.st_ino), stat.st_mode))
            }
            Call::Read { from, name } => {
                let text = fs::readlinkat(self.dirfd(*from), name.as_str(), Vec::new()).map_err(errno)?;
                Ok(text.into_string().unwrap())
            }
            Call::Access { from, name } => {
                outcome(fs::accessat(self.dirfd(*from), name.as_str(), fs::Access::WRITE_OK, AtFlags::empty()))
            }
            Call::Make { from, name } => {
                outcome(fs::mkdirat(self.dirfd(*from), name.as_str(), Mode::from_raw_mode(0o755)))
            }
            Call::Remove { from, name, directory } => {
                let flags = if *directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                outcome(fs::unlinkat(self.dirfd(*from), name.as_str(), flags))
            }
            Call::Rename { from, name, to, new } => {
                outcome(fs::renameat(self.dirfd(*from), name.as_str(), self.dirfd(*to), new.as_str()))
            }
            Call::Link { from, name, to, new, follow } => {
                let flags = if *follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                outcome(fs::linkat(self.dirfd(*from), name.as_str(), self.dirfd(*to), new.as_str(), flags))
            }
            Call::Symlink { target, from, name } => {
                outcome(fs::symlinkat(target.as_str(), self.dirfd(*from), name.as_str()))
            }
            Call::Mode { from, name, mode } => {
                let mode = Mode::from_raw_mode(*mode);
                outcome(fs::chmodat(self.dirfd(*from), name.as_str(), mode, AtFlags::empty()))
            }
            Call::Enter { name } => {
                rustix::process::chdir(name.as_str()).map_err(errno)?;
                Ok(rustix::process::getcwd(Vec::new()).map_err(errno)?.into_string().unwrap())
            }
            Call::Times { from, name, follow } => {
                let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                let now = fs::Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW };
                let times = fs::Timestamps { last_access: now, last_modification: now };
                outcome(fs::utimensat(self.dirfd(*from), name.as_str(), &times, flags))
            }
            Call::System { name } => outcome(fs::statfs(name.as_str())),
        }
    }
}

/// A tree to begin with, the same for the same seed.
fn plant(root: &Path, random: &mut Random) {
    for name in ["a", "b", "a/b", "a/b/c", "etc", "etc/a", "d"] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    for name in ["e", "a/e", "a/b/e", "etc/b"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    for place in ["l", "m", "a/l", "a/m", "a/b/l", "b/l", "b/m", "etc/l", "etc/m", "d/l"] {
        // A link without a text cannot be made.
        let target = Some(random.name()).filter(|name| !name.is_empty()).unwrap_or_else(|| "..".to_owned());
        std::os::unix::fs::symlink(target, root.join(place)).unwrap();
    }
}

/// A root deep below directories that a name which climbs out of it would meet, with the same names in them.
fn grounds(name: &str) -> (PathBuf, PathBuf) {
    let outside = folder(name);
    let mut at = outside.clone();
    for level in ["x", "y", "root"] {
        for name in ["a", "b", "d", "etc"] {
            std::fs::create_dir(at.join(name)).unwrap();
            std::fs::write(at.join(name).join("e"), "outside").unwrap();
        }
        at = at.join(level);
        std::fs::create_dir(&at).unwrap();
    }
    (outside, at)
}

/// What is around a root, without what is in it.
fn surroundings(outside: &Path, root: &Path) -> Vec<String> {
    let inside = root.strip_prefix(outside).unwrap().display().to_string();
    description(outside).into_iter().filter(|line| !line.starts_with(&inside)).collect()
}

/// Makes calls for a seed on a tree of its own, and tells what each gave and the tree at the end.
fn run(random: &mut Random, side: &mut dyn Side, count: usize) -> Vec<(String, Outcome)> {
    let mut out = Vec::new();
    for _ in 0..count {
        let call = Call::random(random, side.directories());
        let outcome = side.make(&call);
        out.push((format!("{call:?}"), outcome));
    }
    out
}

#[test]
fn names_mean_what_they_mean_in_a_chroot() {
    const TREES: u64 = 60;
    const CALLS: usize = 150;
    let _alone = crate::alone();
    let mut compared = 0;
    for seed in 1..=TREES {
        let (outside, root) = grounds("confined");
        plant(&root, &mut Random(seed));
        let before = surroundings(&outside, &root);
        let mut confined = Confined { guest: Guest::in_root(&root), root: root.clone(), open: Vec::new() };
        // A program is in the guest's root only.
        std::fs::remove_file(root.join("hello")).unwrap();
        let found = run(&mut Random(seed ^ 0x5eed), &mut confined, CALLS);
        assert_eq!(surroundings(&outside, &root), before, "seed {seed}");
        for fd in &confined.open {
            confined.guest.call("close", &[*fd]).unwrap();
        }
        std::env::set_current_dir("/").unwrap();

        let (elsewhere, mirror) = grounds("chroot");
        plant(&mirror, &mut Random(seed));
        let (send, receive) = mpsc::channel();
        let inside = mirror.clone();
        std::thread::spawn(move || {
            let side = Chroot::enter(&inside);
            let _ = send.send(side.map(|mut side| run(&mut Random(seed ^ 0x5eed), &mut side, CALLS)));
        })
        .join()
        .unwrap();
        if let Ok(Some(expected)) = receive.recv() {
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found, expected, "seed {seed}, call {index} of {}", root.display());
            }
            assert_eq!(description(&root), description(&mirror), "seed {seed}");
            compared += 1;
        }
        std::fs::remove_dir_all(outside).unwrap();
        std::fs::remove_dir_all(elsewhere).unwrap();
    }
    println!("{compared} of {TREES} trees compared with a chroot");
}
