//! [`Tracer`]: a line a system call, in the manner of strace.

use std::fmt::Write as _;
use std::io::Write as _;

use vm_core::{GuestAddr, Trap};

use crate::errno::Errno;
use crate::host::GuestPtr;
use crate::kernel::{Stop, SysResult};
use crate::process::Status;
use crate::shape::Shape;
use crate::table::Row;
use crate::user::User;

/// Bytes of a buffer or string that are shown.
const SHOWN: usize = 32;

/// Writes a line for each system call to standard error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracer;

impl Tracer {
    /// Shows a call that does not come back, before it is made.
    pub(crate) fn announce(&self, row: &Row, args: &[u64; 6], user: User<'_>) {
        if matches!(row.name, "exit" | "exit_group" | "execve") {
            emit(&format!("{} = ?", call_text(Some(row), 0, args, None, user)));
        }
    }

    /// Shows a call and its result.
    pub(crate) fn report(&self, row: Option<&Row>, number: u64, args: &[u64; 6], result: SysResult, user: User<'_>) {
        let outcome = match result {
            Ok(value) => match row.map(|row| row.name) {
                Some("mmap" | "brk" | "mremap") => format!("{value:#x}"),
                _ => format!("{}", value as i64),
            },
            Err(Stop::Error(Errno::NOT_MADE)) => "? (a signal comes first)".to_owned(),
            Err(Stop::Error(errno)) => format!("-1 {errno} ({})", errno.text()),
            Err(Stop::Resume) => "?".to_owned(),
            Err(Stop::Exit(_) | Stop::ThreadExit(_)) => return,
            Err(Stop::Kill(signal)) => format!("? ({})", signal_name(signal)),
        };
        let done = result.ok();
        emit(&format!("{} = {outcome}", call_text(row, number, args, done, user)));
    }
}

impl Tracer {
    /// Shows a trap, which becomes a signal.
    pub(crate) fn trap(&self, signal: i32, trap: Trap, pc: GuestAddr) {
        emit(&format!("--- {} ({trap}, pc {pc}) ---", signal_name(signal)));
    }

    /// Shows how the process ended.
    pub(crate) fn end(&self, status: Status) {
        match status {
            Status::Exited(status) => emit(&format!("+++ exited with {status} +++")),
            Status::Killed(signal) => emit(&format!("+++ killed by {} +++", signal_name(signal))),
            Status::Uncompilable(pc) => emit(&format!("+++ stopped: the code at {pc} cannot be compiled +++")),
        }
    }
}

/// The name of a signal that a trap or the process itself can raise; the number of others.
fn signal_name(signal: i32) -> String {
    let names = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
    ];
    names
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

fn emit(line: &str) {
    // One write a line, so that lines of several processes stay whole; a closed standard error is no reason to stop.
    drop(std::io::stderr().write_all(format!("{line}\n").as_bytes()));
}

fn call_text(row: Option<&Row>, number: u64, args: &[u64; 6], done: Option<u64>, user: User<'_>) -> String {
    let Some(row) = row else {
        let args: Vec<String> = args.iter().map(|arg| format!("{arg:#x}")).collect();
        return format!("syscall_{number}({})", args.join(", "));
    };
    let args: Vec<String> =
        row.shapes().iter().enumerate().map(|(index, shape)| argument(*shape, index, args, done, user)).collect();
    format!("{}({})", row.name, args.join(", "))
}

fn argument(shape: Shape, index: usize, args: &[u64; 6], done: Option<u64>, user: User<'_>) -> String {
    let value = args[index];
    match shape {
        Shape::Int | Shape::Fd | Shape::Signal => format!("{}", value as i32),
        Shape::Size => format!("{value}"),
        Shape::Long => format!("{}", value as i64),
        Shape::DirFd if value as i32 == libc::AT_FDCWD => "AT_FDCWD".to_owned(),
        Shape::DirFd => format!("{}", value as i32),
        Shape::Octal => format!("{:#o}", value as u32),
        Shape::Hex => format!("{value:#x}"),
        _ if value == GuestPtr::NULL.get() => "NULL".to_owned(),
        Shape::Addr | Shape::Range(_) | Shape::Ptr(_) | Shape::Array(..) => format!("{value:#x}"),
        Shape::Path | Shape::PathNoFollow | Shape::PathUnless(_) | Shape::Str => {
            match user.string(value, crate::user::PATH_MAX) {
                Ok(text) => quoted(text.as_bytes(), usize::MAX),
                Err(_) => format!("{value:#x}"),
            }
        }
        Shape::In(len) => buffer(value, args[usize::from(len)], user),
        // Before the call is done, there is nothing of interest in it.
        Shape::Out(_) => done.map_or_else(|| format!("{value:#x}"), |len| buffer(value, len, user)),
    }
}

fn buffer(addr: u64, len: u64, user: User<'_>) -> String {
    let shown = usize::try_from(len).map_or(SHOWN + 1, |len| len.min(SHOWN + 1));
    match user.bytes(addr, shown) {
        Ok(bytes) => quoted(&bytes, SHOWN),
        Err(_) => format!("{addr:#x}"),
    }
}

fn quoted(bytes: &[u8], limit: usize) -> String {
    let mut out = String::from("\"");
    for byte in bytes.iter().take(limit) {
        let _ = write!(out, "{}", byte.escape_ascii());
    }
    out.push('"');
    if bytes.len() > limit {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use vm_core::Perms;
    use vm_mem::{AddressSpace, MapRequest, Placement};

    use super::*;
    use crate::table;

    #[test]
    fn lines_read_as_strace_writes_them() {
        let space = AddressSpace::new(Placement::Reserved { size: 1 << 24 }).unwrap();
        let page = space.map(MapRequest::anonymous(4096, Perms::READ | Perms::WRITE)).unwrap().get();
        let user = User(&space);
        user.put_bytes(page, b"a\nb\0").unwrap();
        let text =
            |name: &str, args: [u64; 6], done| call_text(Some(table::by_name(name).unwrap()), 0, &args, done, user);
        assert_eq!(text("write", [1, page, 3, 0, 0, 0], None), r#"write(1, "a\nb", 3)"#);
        assert_eq!(text("read", [0, page, 99, 0, 0, 0], Some(1)), r#"read(0, "a", 99)"#);
        let at = libc::AT_FDCWD as u64;
        assert_eq!(text("openat", [at, page, 0x241, 0o644, 0, 0], None), r#"openat(AT_FDCWD, "a\nb", 0x241, 0o644)"#);
        assert_eq!(
            call_text(None, 9999, &[1, 0, 0, 0, 0, 0], None, user),
            "syscall_9999(0x1, 0x0, 0x0, 0x0, 0x0, 0x0)"
        );
    }
}
