//! [`Tracer`]: a line a system call, in the manner of strace.
//!
//! What an argument is says its [`Shape`](crate::shape::Shape); arguments that depend on others are in `special.rs`. A
//! line is written when its call has ended, whole and by one system call, so that lines of several threads and processes
//! neither mix nor need a lock, which a fork could leave locked.

mod call;
mod filter;
pub(crate) mod names;
pub(crate) mod record;
mod socket;
mod special;
mod text;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::errno::Errno;
use crate::host::signal::SigInfo;
use crate::host::{self, Arg, thread_id};
use crate::kernel::{Stop, SysResult};
use crate::process::Status;
use crate::table::{self, Row};
use crate::user::User;
use call::{Call, Entered};
pub use filter::{Filter, FilterError};
use text::{Line, put};

/// Which system calls are shown, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceOptions {
    /// The calls that are shown.
    pub filter: Filter,
    /// The file that lines are appended to; standard error if there is none.
    pub file: Option<PathBuf>,
    /// What the tracer of the program before this one left.
    pub inherited: Option<InheritedTrace>,
}

/// What a tracer leaves to that of the next program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InheritedTrace {
    fd: i32,
    numbered: bool,
    several: bool,
}

impl InheritedTrace {
    /// The descriptor.
    pub(crate) fn descriptor(self) -> u64 {
        self.fd as u64
    }

    /// As text.
    pub(crate) fn encode(self) -> String {
        format!("{}.{}.{}", self.fd, u8::from(self.numbered), u8::from(self.several))
    }

    /// The inverse of [`InheritedTrace::encode`].
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let fd = parts.next()?.parse().ok()?;
        Some(Self { fd, numbered: parts.next()? == "1", several: parts.next()? == "1" })
    }
}

/// Writes a line for each system call.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    /// A descriptor of our own, out of the guest's way.
    fd: u64,
    /// Whether each line begins with the number of its thread, whatever there is of them.
    numbered: bool,
    filter: Arc<Filter>,
    /// Whether there has been a second thread or process.
    several: Arc<AtomicBool>,
}

/// Descriptor numbers from which the tracer's is chosen.
const LEAST_FD: u64 = 900;

impl Tracer {
    /// A tracer that writes as `options` say.
    ///
    /// # Errors
    /// Why the file cannot be opened.
    pub(crate) fn new(options: &TraceOptions) -> Result<Self, Errno> {
        if let Some(inherited) = options.inherited {
            let InheritedTrace { fd, numbered, several } = inherited;
            let flags = [Arg::Int(fd as u64), Arg::Int(libc::F_SETFD as u64), Arg::Int(libc::FD_CLOEXEC as u64)];
            let _ = host::call(&host::FCNTL, &mut { flags });
            let (filter, several) = (Arc::new(options.filter.clone()), Arc::new(AtomicBool::new(several)));
            return Ok(Self { fd: fd as u64, numbered, filter, several });
        }
        let fd = match &options.file {
            None => 2,
            Some(path) => {
                let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
                let cwd = Arg::Int(libc::AT_FDCWD as u64);
                host::call(&host::OPENAT, &mut [cwd, Arg::Str(&path), Arg::Int(flags as u64), Arg::Int(0o666)])?
            }
        };
        let copy = |least| {
            let command = Arg::Int(libc::F_DUPFD_CLOEXEC as u64);
            host::call(&host::FCNTL, &mut [Arg::Int(fd), command, Arg::Int(least)])
        };
        // Without standard error there is nobody to tell.
        let own = copy(LEAST_FD).or_else(|_| copy(3)).unwrap_or(fd);
        if own != fd && options.file.is_some() {
            crate::kernel::close(fd);
        }
        Ok(Self {
            fd: own,
            numbered: options.file.is_some(),
            filter: Arc::new(options.filter.clone()),
            several: Arc::default(),
        })
    }

    /// The descriptor that lines are written to, which is none of the guest's.
    pub(crate) fn descriptor(&self) -> u64 {
        self.fd
    }

    /// Takes down what a call is given, and shows a call that does not come back.
    pub(crate) fn enter(&self, row: Option<&'static Row>, number: u64, args: &[u64; 6], user: User<'_>) -> Entered {
        let call = Call { row, number, args: *args };
        let shown = row.is_none_or(|row| self.filter.shows(row));
        let entered = if shown { call.enter(user) } else { Entered::hidden() };
        if shown && row.is_some_and(|row| matches!(row.name, "exit" | "exit_group")) {
            self.emit(call.finish(&entered, None, user), "?");
            return Entered::hidden();
        }
        entered
    }

    /// Shows a call and its result.
    pub(crate) fn leave(
        &self,
        entered: &Entered,
        row: Option<&'static Row>,
        number: u64,
        args: &[u64; 6],
        result: SysResult,
        user: User<'_>,
    ) {
        if row.is_some_and(|row| matches!(row.name, "clone" | "clone3")) && result.is_ok() {
            self.several.store(true, Ordering::Relaxed);
            // A child process finds itself in the middle of its parent's call.
            if result == Ok(0) {
                return;
            }
        }
        if entered.is_hidden() {
            return;
        }
        let call = Call { row, number, args: *args };
        let outcome = match result {
            Ok(value) => call.outcome(value, user),
            Err(Stop::Error(Errno::NOT_MADE)) => "? ERESTARTSYS (To be restarted if SA_RESTART is set)".to_owned(),
            Err(Stop::Error(errno)) => format!("-1 {errno} ({})", errno.text()),
            Err(Stop::Resume) => "? ERESTARTNOINTR (To be restarted)".to_owned(),
            Err(Stop::Kill(_)) => "0".to_owned(),
            Err(Stop::Exit(_) | Stop::ThreadExit(_)) => "?".to_owned(),
        };
        self.emit(call.finish(entered, Some(result), user), &outcome);
    }

    /// Shows a signal that the process has sent to itself and that ends it.
    pub(crate) fn suicide(&self, row: Option<&'static Row>, signal: i32) {
        let mut info = [0; 128];
        let code = if row.is_some_and(|row| row.name == "kill") { libc::SI_USER } else { libc::SI_TKILL };
        let user = host::call(&host::GETUID, &mut []).unwrap_or_default() as i32;
        for (at, value) in [(0, signal), (8, code), (16, host::process_id()), (20, user)] {
            info[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        self.signal(signal, &info);
    }

    /// Shows the call `name` that is about to replace the program, since it does not come back.
    pub(crate) fn replaced(&self, name: &str, args: &[u64; 6], user: User<'_>) {
        if let Some(row) = table::by_name(name).filter(|row| self.filter.shows(row)) {
            let call = Call { row: Some(row), number: row.generic.into(), args: *args };
            self.emit(call.finish(&call.enter(user), Some(Ok(0)), user), "0");
        }
    }

    /// A descriptor that the next program inherits, and what its tracer has to know.
    pub(crate) fn leave_to_next(&self) -> Option<InheritedTrace> {
        let copy = |least| {
            let args = &mut [Arg::Int(self.fd), Arg::Int(libc::F_DUPFD as u64), Arg::Int(least)];
            host::call(&host::FCNTL, args)
        };
        let fd = copy(LEAST_FD).or_else(|_| copy(3)).ok()? as i32;
        Some(InheritedTrace { fd, numbered: self.numbered, several: self.several.load(Ordering::Relaxed) })
    }

    /// Shows a signal that is delivered.
    pub(crate) fn signal(&self, signal: i32, info: &SigInfo) {
        let mut line = self.line();
        put!(line, "--- {} ", names::signal(signal as u64));
        record::siginfo(info, &mut line);
        line.push(" ---");
        self.write(line);
    }

    /// Shows how a thread or process ended.
    pub(crate) fn end(&self, status: Status) {
        let mut line = self.line();
        match status {
            Status::Exited(status) => put!(line, "+++ exited with {status} +++"),
            Status::Killed(signal) => put!(line, "+++ killed by {} +++", names::signal(signal as u64)),
            Status::Uncompilable(pc) => put!(line, "+++ stopped: the code at {pc} cannot be compiled +++"),
        }
        self.write(line);
    }

    /// The beginning of a line.
    fn line(&self) -> Line {
        let mut line = Line::default();
        if self.numbered {
            put!(line, "{:<5} ", thread_id());
        } else if self.several.load(Ordering::Relaxed) {
            put!(line, "[pid {:5}] ", thread_id());
        }
        line
    }

    /// Writes a call's line; results stand in one column where calls are short.
    fn emit(&self, call: String, outcome: &str) {
        const COLUMN: usize = 40;
        let mut line = self.line();
        line.push(&call);
        line.push(" ");
        put!(line, "{:1$}= {outcome}", "", COLUMN.saturating_sub(line.len()));
        self.write(line);
    }

    fn write(&self, line: Line) {
        let mut bytes = line.into_string().into_bytes();
        bytes.push(b'\n');
        let size = bytes.len() as u64;
        // A closed standard error is no reason to stop.
        let _ = host::call(&host::WRITE, &mut [Arg::Int(self.fd), Arg::Bytes(&mut bytes), Arg::Int(size)]);
    }
}
