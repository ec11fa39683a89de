//! System calls made as a guest makes them, compared with what the host says about the same files and processes.
//!
//! Each case names the calls it covers; a row of the table may say *full* only if a case covers it.

mod common;
#[path = "common/folder.rs"]
mod folder;

#[path = "common/random_calls.rs"]
mod random_calls;

#[path = "calls/files.rs"]
mod files;
#[path = "calls/hostile.rs"]
mod hostile;
#[path = "calls/identity.rs"]
mod identity;
#[path = "calls/ioctl.rs"]
mod ioctl;
#[path = "calls/ipc.rs"]
mod ipc;
#[path = "calls/memory.rs"]
mod memory;
#[path = "calls/net.rs"]
mod net;
#[path = "calls/process.rs"]
mod process;
#[path = "calls/sched.rs"]
mod sched;
#[path = "calls/timers.rs"]
mod timers;
#[path = "calls/waiting.rs"]
mod waiting;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vm_core::{GuestAddr, GuestMemory};
use vm_linux::table::{self, Support};
use vm_linux::{Errno, Options, Process, Status};

/// `AT_FDCWD`.
const CWD: u64 = -100i64 as u64;
/// An address that no guest has.
const WILD: u64 = u64::MAX - 0xfff;

/// A process whose system calls are made by the test.
struct Guest {
    process: Process,
    /// Free guest memory.
    next: u64,
    called: BTreeSet<&'static str>,
    dir: PathBuf,
    /// One guest at a time: where guest addresses are the host's, one's memory would be in another's way.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Guest {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let program = common::repository("guests/bin/riscv64/hello");
        let process = Process::load(&Options { program, ..options }).unwrap();
        let dir = folder::folder("calls");
        let mut guest = Self { process, next: 0, called: BTreeSet::new(), dir, _alone: alone };
        guest.next = guest.ok("mmap", &[0, 1 << 20, 3, 0x22, u64::MAX, 0]);
        guest
    }

    fn try_call(&mut self, name: &str, args: &[u64]) -> Result<u64, Status> {
        let row = table::by_name(name).unwrap();
        self.called.insert(row.name);
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        self.process.system_call(row.generic.into(), all)
    }

    /// Makes a call that works.
    fn ok(&mut self, name: &str, args: &[u64]) -> u64 {
        let result = self.try_call(name, args).unwrap();
        assert!(result as i64 >= 0 || result < WILD, "{name}: {}", Errno::new(-(result as i64) as i32));
        result
    }

    /// Makes a call that fails.
    fn fails(&mut self, name: &str, args: &[u64], errno: Errno) {
        let result = self.try_call(name, args).unwrap();
        assert_eq!(result as i64, -i64::from(errno.get()), "{name} should give {errno}");
    }

    /// What the host's kernel gives for the same call with the same addresses.
    ///
    /// Only for calls that neither change this process nor, where guest memory is not at its own addresses, take any.
    fn host(&self, name: &str, args: &[u64]) -> Result<u64, Errno> {
        let row = table::by_name(name).unwrap();
        let number = if cfg!(target_arch = "x86_64") { row.x86_64.unwrap() } else { row.generic };
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        host_call(number.into(), all)
    }

    /// Whether guest addresses are host addresses.
    fn is_direct(&self) -> bool {
        self.process.memory().view().base == 0
    }

    /// Makes a call that does as the host's kernel does when it is asked the same.
    fn same(&mut self, name: &str, args: &[u64]) -> u64 {
        let host = if self.is_direct() { Some(self.host(name, args)) } else { None };
        let result = self.try_call(name, args).unwrap();
        match host {
            Some(Ok(value)) => assert_eq!(result, value, "{name}{args:x?}"),
            Some(Err(errno)) => assert_eq!(result, errno.as_return(), "{name}{args:x?} should give {errno}"),
            None => {}
        }
        result
    }

    /// Runs `child` in a guest process of its own, which has to end well.
    fn in_child(&mut self, child: impl FnOnce(&mut Self)) {
        let pid = self.ok("clone", &[libc::SIGCHLD as u64, 0, 0, 0, 0]);
        if pid == 0 {
            // Opened first: the child may have given up the right to make files.
            let [said, told] = ["said", "called"].map(|name| std::fs::File::create(self.path(name)).unwrap());
            std::panic::set_hook(Box::new(move |info| drop((&said).write_all(info.to_string().as_bytes()))));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| child(self)));
            let called: Vec<&str> = self.called.iter().copied().collect();
            let told = (&told).write_all(called.join("\n").as_bytes());
            end_now(i32::from(outcome.is_err() || told.is_err()));
        }
        let status = self.room(4);
        assert_eq!(self.ok("wait4", &[pid, status, 0, 0]), pid);
        let said = std::fs::read_to_string(self.path("said")).unwrap_or_default();
        assert_eq!(self.get32(status), 0, "status of the child: {said}");
        let called = std::fs::read_to_string(self.path("called")).unwrap();
        self.called.extend(called.lines().map(|name| table::by_name(name).unwrap().name));
    }

    /// Guest memory for `len` bytes.
    fn room(&mut self, len: u64) -> u64 {
        let addr = self.next;
        self.next += len.next_multiple_of(16);
        addr
    }

    fn put(&mut self, bytes: &[u8]) -> u64 {
        let addr = self.room(bytes.len() as u64);
        self.process.memory().write(GuestAddr::new(addr), bytes).unwrap();
        addr
    }

    fn put64(&mut self, words: &[u64]) -> u64 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(&bytes)
    }

    fn get(&self, addr: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.process.memory().read(GuestAddr::new(addr), &mut bytes).unwrap();
        bytes
    }

    fn get32(&self, addr: u64) -> u32 {
        u32::from_le_bytes(self.get(addr, 4).try_into().unwrap())
    }

    fn get64(&self, addr: u64) -> u64 {
        u64::from_le_bytes(self.get(addr, 8).try_into().unwrap())
    }

    /// A file of the test's folder, as a string in guest memory.
    fn name(&mut self, name: &str) -> u64 {
        let mut path = self.path(name).as_os_str().as_bytes().to_vec();
        path.push(0);
        self.put(&path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A new file with this content, open for reading and writing.
    fn file(&mut self, name: &str, content: &[u8]) -> u64 {
        std::fs::write(self.path(name), content).unwrap();
        let path = self.name(name);
        self.ok("openat", &[CWD, path, libc::O_RDWR as u64, 0])
    }

    fn content(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// Makes a system call of the host.
#[allow(unsafe_code, reason = "the reference is the kernel itself")]
fn host_call(number: i64, [a, b, c, d, e, f]: [u64; 6]) -> Result<u64, Errno> {
    // SAFETY: the caller passes numbers, and addresses of guest memory, which no Rust reference covers.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(std::io::Error::last_os_error().into()) } else { Ok(result as u64) }
}

/// Ends this process without running anything of the test harness in it.
#[allow(unsafe_code, reason = "a forked child must not return to the harness")]
fn end_now(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// Names of the calls that a case covers, and the case.
type Case = (&'static [&'static str], fn(&mut Guest));

/// All in one test: calls change what the whole process has, such as its working directory.
#[test]
fn calls_do_what_the_host_sees() {
    let home = std::env::current_dir().unwrap();
    let mut covered = BTreeSet::new();
    let cases = [
        // First, while numbers of descriptors are small enough for `select`.
        waiting::CASES,
        files::CASES,
        identity::CASES,
        ioctl::CASES,
        ipc::CASES,
        memory::CASES,
        net::CASES,
        process::CASES,
        sched::CASES,
        timers::CASES,
    ];
    for cases in cases {
        for (names, case) in cases {
            let mut guest = Guest::new();
            case(&mut guest);
            std::env::set_current_dir(&home).unwrap();
            for name in *names {
                assert!(guest.called.contains(name), "a case that names {name} does not call it");
                covered.insert(*name);
            }
        }
    }
    let full = table::rows().iter().filter(|row| row.support == Support::Full).map(|row| row.name);
    let untested: Vec<&str> = full.filter(|name| !covered.contains(name)).collect();
    assert!(untested.is_empty(), "rows that say full and are not covered: {untested:?}");
}

/// Absolute names lead into the sysroot if there is such a file, by no way out of it, and to the host otherwise.
#[test]
fn the_sysroot_is_looked_up_first() {
    let root = folder::folder("sysroot");
    let outside = folder::folder("outside");
    std::fs::create_dir(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/issue"), "the guest's").unwrap();
    std::fs::write(outside.join("issue"), "the host's").unwrap();
    std::os::unix::fs::symlink("/etc/issue", root.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../../../../etc/issue", root.join("climbing")).unwrap();
    let mut g = Guest::with(Options { sysroot: Some(root.clone()), ..Options::default() });
    let mut content = |name: &str| {
        let name = g.put(format!("{name}\0").as_bytes());
        let fd = g.ok("openat", &[CWD, name, 0, 0]);
        let buf = g.room(64);
        let len = g.ok("read", &[fd, buf, 64]) as usize;
        String::from_utf8(g.get(buf, len)).unwrap()
    };
    for name in ["/etc/issue", "/../../etc/issue", "/etc/../etc/issue", "/absolute", "/climbing"] {
        assert_eq!(content(name), "the guest's", "{name}");
    }
    let issue = outside.join("issue");
    assert_eq!(content(issue.to_str().unwrap()), "the host's");
    let (link, buf) = (g.put(b"/absolute\0"), g.room(128));
    let len = g.ok("readlinkat", &[CWD, link, buf, 128]) as usize;
    assert_eq!(g.get(buf, len), b"/etc/issue");
    g.ok("newfstatat", &[CWD, link, buf, 0]);
    assert_eq!(g.get64(buf + 48), "the guest's".len() as u64);
    g.ok("unlinkat", &[CWD, link, 0]);
    assert!(!root.join("absolute").exists() && root.join("etc/issue").exists());
}

#[test]
fn unknown_calls_are_not_implemented() {
    let mut guest = Guest::new();
    for number in [244, 5000, u64::MAX] {
        assert_eq!(guest.process.system_call(number, [0; 6]), Ok(Errno::ENOSYS.as_return()));
    }
    guest.fails("rseq", &[0, 32, 0, 0], Errno::ENOSYS);
}
