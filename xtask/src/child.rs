//! Runs one program to its end and says how it ended, what it printed and what it used.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What to run and in which surroundings.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// Program and arguments.
    pub(crate) words: Vec<OsString>,
    /// The whole environment of the program.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub(crate) directory: PathBuf,
    /// What it reads from standard input.
    pub(crate) input: Vec<u8>,
    /// After this time it is killed.
    pub(crate) limit: Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It left with this exit status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
    /// It was killed because it ran longer than its limit.
    TimeLimit,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Status(status) => write!(f, "status {status}"),
            Ending::Signal(signal) => write!(f, "signal {signal}"),
            Ending::TimeLimit => write!(f, "time limit"),
        }
    }
}

/// What a finished process left behind.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// User and system time of the process and of the children it waited for.
    pub(crate) cpu: Duration,
    /// Peak resident memory in KiB. The kernel starts this count at the size of the process that forked it, so values
    /// below the size of this program (a few MiB) are not told apart.
    pub(crate) peak_kib: u64,
}

impl Invocation {
    /// A program with arguments, an environment of nothing but `PATH`, and `directory` as working directory.
    pub(crate) fn new(directory: &Path, words: impl IntoIterator<Item = impl Into<OsString>>) -> Invocation {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Invocation {
            words: words.into_iter().map(Into::into).collect(),
            environment: vec![("PATH".into(), path), ("TMPDIR".into(), directory.as_os_str().to_owned())],
            directory: directory.to_owned(),
            input: Vec::new(),
            limit: Duration::from_secs(120),
        }
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self) -> Result<Outcome> {
        let (program, arguments) = self.words.split_first().context("nothing to run")?;
        let mut command = Command::new(program);
        // SAFETY: the closure only makes system calls with pointers to constants, which a fork of a process with several
        // threads may do.
        unsafe { command.pre_exec(forget_ignored_signals) };
        let mut child = command
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} could not be started", Path::new(program).display()))?;
        let pid = child.id() as libc::pid_t;
        let input = self.input.clone();
        let writer = child.stdin.take().map(|mut pipe| thread::spawn(move || pipe.write_all(&input)));
        let stdout = read_all(child.stdout.take());
        let stderr = read_all(child.stderr.take());
        let (ending, usage) = wait_with_usage(pid, Instant::now() + self.limit)?;
        if let Some(writer) = writer {
            // A program may end without reading its input; the broken pipe is its business.
            drop(writer.join());
        }
        Ok(Outcome {
            ending,
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
            cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
            peak_kib: usage.ru_maxrss as u64,
        })
    }

    /// The command line for people to repeat.
    pub(crate) fn shown(&self) -> String {
        self.words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

/// Gives every signal its default action. What the caller of this program ignores (SIGINT and SIGQUIT behind the `&` of a
/// script, SIGHUP under `nohup`) would be ignored by its descendants too, which changes what they do.
fn forget_ignored_signals() -> std::io::Result<()> {
    /// The kernel's `struct sigaction`, whose action 0 is the default one. Called without the C library, which keeps two
    /// signals from its users.
    const DEFAULT: [u64; 4] = [0; 4];
    const MASK_SIZE: usize = 8;
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        let old: *const u64 = std::ptr::null();
        // SAFETY: the structure is at least as large as the kernel's on every host, and nothing is written.
        let done = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), old, MASK_SIZE) };
        if done < 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A read error ends the output; what came before it is compared as it is.
            drop(pipe.read_to_end(&mut bytes));
        }
        bytes
    })
}

/// Waits for `pid`, a child of this process that nobody else waits for, and kills it at `deadline`.
fn wait_with_usage(pid: libc::pid_t, deadline: Instant) -> Result<(Ending, libc::rusage)> {
    let mut pause = Duration::from_micros(200);
    let mut killed = false;
    loop {
        let mut status = 0;
        // SAFETY: `rusage` is plain data, for which all zeros is a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to live locals of the types that wait4 writes.
        let reaped = unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage) };
        if reaped == pid {
            let ending = match killed {
                true => Ending::TimeLimit,
                false if libc::WIFSIGNALED(status) => Ending::Signal(libc::WTERMSIG(status)),
                false => Ending::Status(libc::WEXITSTATUS(status)),
            };
            return Ok((ending, usage));
        }
        if reaped < 0 {
            return Err(std::io::Error::last_os_error()).context("wait4");
        }
        if !killed && Instant::now() > deadline {
            // SAFETY: the child has not been reaped, so the number still names it.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            killed = true;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ignores_nothing_that_its_parent_ignores() {
        // SAFETY: no handler is set, and no other test of this program is sent this signal.
        unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(!own.contains("SigIgn:\t0000000000000000"), "this process ignores something");
        let status = Invocation::new(Path::new("/"), ["cat", "/proc/self/status"]).run().unwrap();
        assert!(String::from_utf8_lossy(&status.stdout).contains("SigIgn:\t0000000000000000"));
    }
}
