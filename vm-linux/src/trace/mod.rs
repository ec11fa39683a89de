//! [`Tracer`]: a line a system call, in the manner of strace.
//!
//! What an argument is says its [`Shape`](crate::shape::Shape), which an earlier argument may decide (`variant.rs`); those
//! of which that is not all are in `special.rs`. While there is one thread, a line is written when its call has ended,
//! whole. With several threads or processes the beginning of a call is written when it begins, as strace does: if another
//! one's line comes before its result, it stays `<unfinished ...>` and is `resumed` later.

mod call;
mod clone;
mod filter;
mod ioctl;
pub(crate) mod names;
pub(crate) mod record;
mod result;
mod socket;
mod special;
mod status;
mod termios;
mod text;
mod turn;
mod variant;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

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
use turn::Turn;

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
    turn: i32,
}

impl InheritedTrace {
    /// The descriptors.
    pub(crate) fn descriptors(self) -> [u64; 2] {
        [self.fd, self.turn].map(|fd| fd as u64)
    }

    /// As text.
    pub(crate) fn encode(self) -> String {
        format!("{}.{}.{}", self.fd, u8::from(self.numbered), self.turn)
    }

    /// The inverse of [`InheritedTrace::encode`].
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let fd = parts.next()?.parse().ok()?;
        Some(Self { fd, numbered: parts.next()? == "1", turn: parts.next()?.parse().ok()? })
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
    turn: Turn,
}

/// Descriptor numbers from which the tracer's are chosen.
const LEAST_FD: u64 = 900;

/// A copy of `fd` made by `command` of `fcntl`, at `least` or above if the limit allows that.
fn copy_of(fd: u64, command: i32, least: u64) -> Result<u64, Errno> {
    let copy = |least| host::call(&host::FCNTL, &mut [Arg::Int(fd), Arg::Int(command as u64), Arg::Int(least)]);
    copy(least).or_else(|_| copy(3))
}

impl Tracer {
    /// A tracer that writes as `options` say.
    ///
    /// # Errors
    /// Why the file cannot be opened.
    pub(crate) fn new(options: &TraceOptions) -> Result<Self, Errno> {
        if let Some(inherited) = options.inherited {
            let InheritedTrace { fd, numbered, turn } = inherited;
            let flags = [Arg::Int(fd as u64), Arg::Int(libc::F_SETFD as u64), Arg::Int(libc::FD_CLOEXEC as u64)];
            let _ = host::call(&host::FCNTL, &mut { flags });
            let turn = Turn::of(host::take_descriptor(turn).ok_or(Errno::EBADF)?)?;
            return Ok(Self { fd: fd as u64, numbered, filter: Arc::new(options.filter.clone()), turn });
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
        // Without standard error there is nobody to tell.
        let own = copy_of(fd, libc::F_DUPFD_CLOEXEC, LEAST_FD).unwrap_or(fd);
        if own != fd && options.file.is_some() {
            crate::kernel::close(fd);
        }
        Ok(Self {
            fd: own,
            numbered: options.file.is_some(),
            filter: Arc::new(options.filter.clone()),
            turn: Turn::new()?,
        })
    }

    /// Descriptors that are none of the guest's.
    pub(crate) fn descriptors(&self) -> [i32; 2] {
        [self.fd as i32, self.turn.descriptor()]
    }

    /// Takes down what a call is given, and shows its beginning, if others may come between that and its result, or all of
    /// a call that does not come back.
    pub(crate) fn enter(&self, row: Option<&'static Row>, number: u64, args: &[u64; 6], user: User<'_>) -> Entered {
        let call = Call { row, number, args: *args };
        let shown = row.is_none_or(|row| self.filter.shows(row));
        if !shown {
            return Entered::hidden();
        }
        let mut entered = call.enter(user);
        match call.name() {
            "exit" | "exit_group" => {
                self.emit(&call.finish(&entered, None, user), "?");
                Entered::hidden()
            }
            // Shown at the last moment, for it may not come back either.
            "execve" | "execveat" => entered,
            _ => {
                if self.turn.is_shared() {
                    let begun = call.begun(&entered);
                    self.begin(&begun);
                    entered.begun = Some(begun);
                }
                entered
            }
        }
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
            self.turn.share();
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
            Err(Stop::Error(Errno::NOT_MADE)) => result::repeated(&call).to_owned(),
            Err(Stop::Error(errno)) => {
                match result::interrupted(&call, entered.restarts).filter(|_| errno == Errno::EINTR) {
                    Some(text) => text.to_owned(),
                    None => format!("-1 {errno} ({})", errno.text()),
                }
            }
            // Whoever goes on elsewhere finds no result of this call.
            Err(Stop::Resume) => "?".to_owned(),
            Err(Stop::Kill(_)) => "0".to_owned(),
            Err(Stop::Exit(_) | Stop::ThreadExit(_)) => "?".to_owned(),
        };
        let text = call.finish(entered, Some(result), user);
        match entered.begun.as_ref().and_then(|begun| text.strip_prefix(begun.as_str())) {
            Some(rest) => self.end_call(&text, rest, &outcome, &call.shown_name()),
            None => self.emit(&text, &outcome),
        }
    }

    /// Says that there is a second thread.
    pub(crate) fn share(&self) {
        self.turn.share();
    }

    /// Shows the call `name` that is about to replace the program, since it does not come back.
    pub(crate) fn replaced(&self, name: &str, args: &[u64; 6], user: User<'_>) {
        if let Some(row) = table::by_name(name).filter(|row| self.filter.shows(row)) {
            let call = Call { row: Some(row), number: row.generic.into(), args: *args };
            self.emit(&call.finish(&call.enter(user), Some(Ok(0)), user), "0");
        }
    }

    /// A descriptor that the next program inherits, and what its tracer has to know.
    pub(crate) fn leave_to_next(&self) -> Option<InheritedTrace> {
        let fd = copy_of(self.fd, libc::F_DUPFD, LEAST_FD).ok()? as i32;
        let turn = copy_of(self.turn.descriptor() as u64, libc::F_DUPFD, LEAST_FD).ok()? as i32;
        Some(InheritedTrace { fd, numbered: self.numbered, turn })
    }

    /// Shows a signal that is delivered.
    pub(crate) fn signal(&self, signal: i32, info: &SigInfo) {
        let mut line = self.line();
        put!(line, "--- {} ", names::signal(signal as u64));
        record::siginfo(info, &mut line);
        line.push(" ---");
        self.whole(line);
    }

    /// Shows a signal that is delivered and that stops the process.
    pub(crate) fn stopped(&self, signal: i32, info: &SigInfo) {
        self.signal(signal, info);
        let mut line = self.line();
        put!(line, "--- stopped by {} ---", names::signal(signal as u64));
        self.whole(line);
    }

    /// Shows how a thread or process ended.
    pub(crate) fn end(&self, status: Status) {
        let mut line = self.line();
        match status {
            Status::Exited(status) => put!(line, "+++ exited with {status} +++"),
            Status::Killed(signal) => put!(line, "+++ killed by {} +++", names::signal(signal as u64)),
            Status::Uncompilable(pc) => put!(line, "+++ stopped: the code at {pc} cannot be compiled +++"),
        }
        self.whole(line);
    }

    /// The beginning of a line.
    fn line(&self) -> Line {
        let mut line = Line::default();
        if self.numbered {
            put!(line, "{:<5} ", thread_id());
        } else if self.turn.is_shared() {
            put!(line, "[pid {:5}] ", thread_id());
        }
        line
    }

    /// Writes a call's line.
    fn emit(&self, call: &str, outcome: &str) {
        let mut line = self.line();
        line.push(call);
        line.result(outcome);
        self.whole(line);
    }

    /// Writes the beginning of a call's line.
    fn begin(&self, begun: &str) {
        let mut line = self.line();
        line.push(begun);
        let writing = self.turn.take();
        self.write(writing.is_open(), line.into_string());
        writing.leave_open(true);
    }

    /// Writes `rest`, what is missing of a call's line, and its result.
    fn end_call(&self, call: &str, rest: &str, outcome: &str, name: &str) {
        let writing = self.turn.take();
        let mut line = self.line();
        if writing.is_own_open() {
            line.push(call);
            let written = line.len() - rest.len();
            line.result(outcome);
            self.write(false, line.into_string().split_off(written) + "\n");
        } else {
            put!(line, "<... {name} resumed>{rest}");
            line.result(outcome);
            self.write(writing.is_open(), line.into_string() + "\n");
        }
        writing.leave_open(false);
    }

    /// Writes a line that is whole.
    fn whole(&self, line: Line) {
        let writing = self.turn.take();
        self.write(writing.is_open(), line.into_string() + "\n");
        writing.leave_open(false);
    }

    /// Writes `text`, after a line whose end is still to come if `open`.
    fn write(&self, open: bool, text: String) {
        let mut bytes = if open { (" <unfinished ...>\n".to_owned() + &text).into_bytes() } else { text.into_bytes() };
        let size = bytes.len() as u64;
        // A closed standard error is no reason to stop.
        let _ = host::call(&host::WRITE, &mut [Arg::Int(self.fd), Arg::Bytes(&mut bytes), Arg::Int(size)]);
    }
}

#[cfg(test)]
mod tests;
