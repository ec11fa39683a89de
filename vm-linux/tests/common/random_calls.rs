//! System calls with arguments that bytes choose, in a child process that can do no harm: shared by the test of hostile
//! arguments and the fuzz target.

use std::path::Path;
use std::time::{Duration, Instant};

use vm_linux::table::{self, Row, Support};
use vm_linux::{Process, Status};

/// Calls that are left out: what they do reaches beyond the child, or starts code that nobody wrote.
pub(crate) const SPARED: &[&str] = &[
    // Other processes, by their numbers.
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_send_signal",
    "process_vm_writev",
    "process_mrelease",
    "setpriority",
    "ioprio_set",
    "sched_setscheduler",
    "sched_setparam",
    "sched_setattr",
    "sched_setaffinity",
    "prlimit64",
    "migrate_pages",
    "move_pages",
    "setpgid",
    "mq_unlink",
    // What others have made.
    "msgctl",
    "semctl",
    "shmctl",
    "msgrcv",
    "msgsnd",
    "semop",
    "semtimedop",
    "shmat",
    // The machine.
    "clock_settime",
    "settimeofday",
    "adjtimex",
    "clock_adjtime",
    "sethostname",
    "setdomainname",
    "sync",
    "syslog",
    // New processes and threads.
    "clone",
    "clone3",
    "execve",
    "execveat",
    "rt_sigreturn",
];

/// An address that no guest has.
const WILD: u64 = u64::MAX - 0xfff;
/// Guest memory that arguments point to, in bytes.
pub(crate) const ROOM: u64 = 8192;

/// Rows of the table that may be called.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    let supported = table::rows().iter().filter(|row| !matches!(row.support, Support::Refused(_)));
    supported.filter(|row| !SPARED.contains(&row.name))
}

/// Takes what it needs from bytes; zeros follow them.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |all, _| all << 8 | u64::from(self.byte()))
    }

    /// An argument: of the kinds that calls take, and of those that they do not.
    fn argument(&mut self, memory: u64) -> u64 {
        match self.byte() % 12 {
            0 => 0,
            1 => u64::from(self.byte() % 16),
            2 => u64::from(self.byte()),
            3 => memory,
            4 => memory + u64::from(self.byte()) * 8,
            // At the end of a page, with nothing mapped after it.
            5 => memory + ROOM - u64::from(self.byte() % 32),
            6 => WILD,
            7 => (1 << 46) - u64::from(self.byte()),
            8 => u64::MAX - u64::from(self.byte() % 8),
            9 => -100i64 as u64,
            10 => 1 << (self.byte() % 64),
            _ => self.word(),
        }
    }

    /// Makes a call of `row`.
    pub(crate) fn call(&mut self, row: &Row, process: &mut Process, memory: u64) -> Result<u64, Status> {
        let mut args: [u64; 6] = std::array::from_fn(|_| self.argument(memory));
        // F_SETOWN and F_SETOWN_EX: signals to others.
        if row.name == "fcntl" && matches!(args[1] as i32, 8 | 15) {
            args[1] = 1;
        }
        process.system_call(row.generic.into(), args)
    }
}

/// Makes the calls that `bytes` choose, until there are no more bytes or one ends the process.
pub(crate) fn sequence(bytes: &[u8], process: &mut Process) {
    let rows: Vec<&Row> = rows().collect();
    let memory = memory(process, bytes.iter().fold(1, |all, byte| all * 31 % 65_537 + u64::from(*byte)));
    let mut choices = Choices(bytes);
    while !choices.0.is_empty() {
        let index = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
        if choices.call(rows[index % rows.len()], process, memory).is_err() {
            return;
        }
    }
}

/// Signals that a timer, a limit or a missing reader of the guest's own making ends it by.
pub(crate) const OWN_SIGNALS: [i32; 6] =
    [libc::SIGALRM, libc::SIGVTALRM, libc::SIGPROF, libc::SIGPIPE, libc::SIGXFSZ, libc::SIGXCPU];

/// Room for arguments, with text in it in which no name leads out of the directory.
pub(crate) fn memory(process: &mut Process, seed: u64) -> u64 {
    use vm_core::GuestMemory as _;
    let mmap = table::by_name("mmap").map_or(0, |row| row.generic);
    let munmap = table::by_name("munmap").map_or(0, |row| row.generic);
    // A call before may have asked that all memory be locked, for which there may be no room.
    let munlockall = table::by_name("munlockall").map_or(0, |row| row.generic);
    process.system_call(munlockall.into(), [0; 6]).expect("nothing is locked");
    let memory = process.system_call(mmap.into(), [0, ROOM + 4096, 3, 0x22, u64::MAX, 0]).expect("memory");
    process.system_call(munmap.into(), [memory + ROOM, 4096, 0, 0, 0, 0]).expect("a gap after it");
    let mut state = seed | 1;
    let bytes: Vec<u8> = (0..ROOM)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match (state >> 33) as u8 {
                byte @ (b'/' | b'.') => byte + 2,
                byte => byte,
            }
        })
        .collect();
    process.memory().write(vm_core::GuestAddr::new(memory), &bytes).expect("memory");
    memory
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Exited(i32),
    Killed(i32),
    /// It waited for something and was ended.
    Waited,
}

/// Runs `child` in a process of its own in `dir`, without privileges, for at most `time`.
#[allow(unsafe_code, reason = "processes and their limits are the host's")]
pub(crate) fn in_child(process: &mut Process, dir: &Path, time: Duration, child: impl FnOnce(&mut Process)) -> Outcome {
    let clone = table::by_name("clone").map_or(0, |row| row.generic);
    let pid = process.system_call(clone.into(), [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]).expect("a child") as i32;
    if pid == 0 {
        std::env::set_current_dir(dir).expect("a directory");
        // SAFETY: plain system calls; this process has one thread and ends by `_exit`.
        unsafe {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            for fd in 0..2 {
                libc::dup2(null, fd);
            }
            libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
            let few = libc::rlimit { rlim_cur: 1 << 24, rlim_max: 1 << 24 };
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const few);
            let pages = std::fs::read_to_string("/proc/self/statm").expect("own size");
            let pages: u64 = pages.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
            let size = pages * 4096 + (1 << 30);
            libc::setrlimit(libc::RLIMIT_AS, &libc::rlimit { rlim_cur: size, rlim_max: size });
            libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
            // Nobody: files and processes of others are safe.
            libc::syscall(libc::SYS_setgroups, 0, 0);
            libc::syscall(libc::SYS_setresgid, 65534, 65534, 65534);
            libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534);
            libc::setsid();
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| child(process)));
        // SAFETY: ends the process without running anything of its parent's in it.
        unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) };
    }
    let end = Instant::now() + time;
    loop {
        let mut status = 0;
        // SAFETY: the status lives for the call.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if waited == pid {
            return if libc::WIFSIGNALED(status) {
                Outcome::Killed(libc::WTERMSIG(status))
            } else {
                Outcome::Exited(libc::WEXITSTATUS(status))
            };
        }
        assert!(waited == 0, "the child is waited for here alone");
        if Instant::now() > end {
            // SAFETY: a plain system call; the child has not been waited for, so its number is its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            return Outcome::Waited;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
