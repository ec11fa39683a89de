//! Executing programs.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use crate::errno::Errno;
use crate::exec::{self, Open, Target};
use crate::handover::{Inherited, covered};
use crate::host::signal::{SYNCHRONOUS, bit, set_mask};
use crate::host::{self, Arg};
use crate::kernel::{Args, Kernel, Limits, Stop, SysResult, close, name_of_file};
use crate::layout::Rlimit;
use crate::load::{arguments_limit, strings_limit};
use crate::paths::{CWD, TO_EXECUTE, from_openat, open_on_host};
use crate::process::LoadError;
use crate::signal::SIG_IGN;
use crate::thread::{SIGSETXID, Thread};
use crate::trace::Tracer;
use crate::user::PATH_MAX;

use super::proc::{STACK, host_limit, stack_limit};

/// Longest single argument or variable (`MAX_ARG_STRLEN`).
const MAX_STRING: usize = 32 * 4096;
/// Most arguments, and most variables (`MAX_ARG_STRINGS`).
const MAX_STRINGS: usize = 0x7fff_ffff;
/// Descriptors that the guest's program is unlikely to look at, from the best on.
const HIGH: [u64; 4] = [512, 200, 80, 30];

/// `execve(path, argv, envp)`.
pub(crate) fn execve(t: &mut Thread, a: &Args) -> SysResult {
    let path = t.user().string(a.raw(0), PATH_MAX)?;
    let shown = |t: &Thread| show(t, "execve", a);
    execute(t, libc::AT_FDCWD as u64, path, 0, (a.raw(1), a.raw(2)), &shown)
}

/// `execveat(dirfd, path, argv, envp, flags)`.
pub(crate) fn execveat(t: &mut Thread, a: &Args) -> SysResult {
    let flags = a.uint(4);
    let path = t.user().string(a.raw(1), PATH_MAX)?;
    if flags & !((libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) as u32) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let shown = |t: &Thread| show(t, "execveat", a);
    execute(t, a.raw(0), path, flags, (a.raw(2), a.raw(3)), &shown)
}

/// Shows a call that does not come back.
fn show(t: &Thread, name: &str, a: &Args) {
    if let Some(tracer) = &t.tracer {
        tracer.replaced(name, &a.0, t.user());
    }
}

impl Open for Kernel {
    fn open(&self, name: &CStr) -> io::Result<File> {
        open(self, libc::AT_FDCWD as u64, name, 0).map_err(|errno| io::Error::from_raw_os_error(errno.get()))
    }

    fn hint(&self) -> &'static str {
        self.view.hint()
    }
}

/// Opens a file to be executed.
fn open(kernel: &Kernel, dirfd: u64, path: &CStr, flags: u32) -> Result<File, Errno> {
    if path.is_empty() {
        if flags & libc::AT_EMPTY_PATH as u32 == 0 {
            return Err(Errno::ENOENT);
        }
        // The working directory.
        if dirfd as i32 == libc::AT_FDCWD {
            return Err(Errno::EACCES);
        }
        // The descriptor itself may be one that only names the file.
        let again = CString::new(format!("/proc/self/fd/{}", dirfd as i32)).map_err(|_| Errno::EINVAL)?;
        let opened = open_on_host(CWD, &again, from_openat(TO_EXECUTE as u64, 0), false);
        return opened.map(host::file_of).map_err(|errno| match errno {
            Errno::ENOENT => Errno::EBADF,
            other => other,
        });
    }
    let follow = flags & libc::AT_SYMLINK_NOFOLLOW as u32 == 0;
    let flags = TO_EXECUTE | if follow { 0 } else { libc::O_NOFOLLOW };
    kernel.open(dirfd, path, from_openat(flags as u64, 0), false).map(host::file_of)
}

/// The strings of an array that ends with a null pointer.
fn strings(t: &Thread, array: u64) -> Result<Vec<CString>, Errno> {
    let mut out = Vec::new();
    if array == 0 {
        return Ok(out);
    }
    loop {
        let at = array.wrapping_add(8 * out.len() as u64);
        let bytes = t.user().bytes(at, 8)?;
        let pointer = u64::from_le_bytes(bytes.try_into().map_err(|_| Errno::EFAULT)?);
        if pointer == 0 {
            return Ok(out);
        }
        if out.len() == MAX_STRINGS {
            return Err(Errno::E2BIG);
        }
        let string = t.user().string(pointer, MAX_STRING).map_err(|errno| match errno {
            Errno::ENAMETOOLONG => Errno::E2BIG,
            other => other,
        })?;
        out.push(string);
    }
}

/// Executes a file with the arguments and the environment at these addresses; `shown` is called before it does.
fn execute(
    t: &mut Thread,
    dirfd: u64,
    path: CString,
    flags: u32,
    (argv, envp): (u64, u64),
    shown: &dyn Fn(&Thread),
) -> SysResult {
    let Some(emulator) = t.settings.emulator.clone() else { return Err(Errno::ENOSYS.into()) };
    let file = open(t, dirfd, &path, flags)?;
    if exec::is_being_written(&file) {
        return Err(Errno::ETXTBSY.into());
    }
    let args: Vec<Vec<u8>> = strings(t, argv)?.into_iter().map(CString::into_bytes).collect();
    // As the kernel: a program has at least an empty name.
    let args = if args.is_empty() { vec![Vec::new()] } else { args };
    let mut env = strings(t, envp)?;
    let pointers = args.len() + env.len();
    // The name of a file that is known by its descriptor alone (`execveat(2)`).
    let name = match (path.as_bytes(), dirfd as i32) {
        (name, libc::AT_FDCWD) => name.to_vec(),
        ([b'/', ..], _) => path.as_bytes().to_vec(),
        ([], fd) => format!("/dev/fd/{fd}").into_bytes(),
        (name, fd) => [format!("/dev/fd/{fd}/").as_bytes(), name].concat(),
    };
    let closing = name.starts_with(b"/dev/fd/") && closes_on_exec(dirfd);
    let room = strings_limit(stack_limit(&t.limits()), pointers);
    check_room(room, &name, &args, &env)?;
    let target = exec::find(&*t.kernel, file, name.clone(), args, closing).map_err(|error| refusal(&error))?;
    // Interpreters of scripts have added some.
    let args = target.args();
    let bytes = check_room(room, &name, args, &env)?;
    let roomy = RoomyStack::with(bytes + 8 * (args.len() + env.len()) as u64);
    let mut trace = None;
    let (program, fd, args, mask) = match target {
        Target::Guest(found) => {
            let fd = keep(&found.program.file)?;
            trace = t.tracer.as_ref().and_then(Tracer::leave_to_next);
            let limits = roomy.unchanged(t.limits().clone());
            let inherited = Inherited { fd, mask: t.signals.mask, ignored: ignored(t), limits, trace };
            let variable = t.settings.variable(&found.name, inherited);
            env = env.into_iter().map(covered).collect();
            env.push(CString::new(variable).map_err(|_| Errno::EINVAL)?);
            // From here on no signal is taken any more: the new program has to find it, or this one if the call fails.
            (CString::new(emulator.into_os_string().as_bytes()), fd, found.args, u64::MAX)
        }
        // It would run unconfined.
        Target::Foreign { .. } if t.view.is_confined() => return Err(Errno::ENOEXEC.into()),
        // The host's kernel knows what is to be done, or that nothing can be.
        Target::Foreign { file, args, .. } => {
            let fd = keep(&file)?;
            let name = name_of_file(&file).map_or_else(|| CString::new(format!("/proc/self/fd/{fd}")), Ok);
            (name, fd, args, t.signals.mask)
        }
    };
    let program = program.map_err(|_| Errno::EINVAL)?;
    let args: Vec<CString> = args.into_iter().filter_map(|arg| CString::new(arg).ok()).collect();
    shown(t);
    let before = set_mask(mask);
    // A handler of the host's C library is not what the guest does with it.
    t.kernel.actions.table().take_back(SIGSETXID);
    let failure = if t.mailbox.is_stopped() { Errno::NOT_MADE } else { host::execve(&program, &args, &env) };
    set_mask(before);
    drop(roomy);
    close(fd as u64);
    trace.iter().flat_map(|trace| trace.descriptors()).for_each(close);
    Err(failure.into())
}

/// The bytes of all strings that a program is given: its name, arguments and environment.
///
/// # Errors
/// `E2BIG` if they are more than `room`.
fn check_room(room: u64, name: &[u8], args: &[Vec<u8>], env: &[CString]) -> Result<u64, Errno> {
    let lengths = args.iter().map(Vec::len).chain(env.iter().map(|string| string.as_bytes().len()));
    let bytes = lengths.chain([name.len()]).map(|len| len as u64 + 1).sum();
    // As the kernel: pointers alone may not fill it.
    if room == 0 || bytes > room { Err(Errno::E2BIG) } else { Ok(bytes) }
}

/// A host that takes as many arguments as the guest's kernel does, which may have a larger stack: until this is dropped, or
/// in the next program.
struct RoomyStack {
    /// The host's limit before, if it was too small.
    before: Option<Rlimit>,
}

impl RoomyStack {
    /// Makes room for `bytes` of strings and pointers, as far as the host lets it.
    fn with(bytes: u64) -> Self {
        /// What an emulator is told beside what the guest's program is, at most.
        const HANDOVER: u64 = 64 << 10;
        let wanted = 4 * (bytes + HANDOVER);
        // There is room for that much whatever the limit is.
        if arguments_limit(0) * 4 >= wanted {
            return Self { before: None };
        }
        let before = host_limit(0, STACK, None).ok().filter(|limit| limit.soft < wanted);
        let raised = before.filter(|limit| {
            let soft = wanted.min(limit.hard);
            host_limit(0, STACK, Some(Rlimit { soft, ..*limit })).is_ok()
        });
        Self { before: raised }
    }

    /// `limits` and what the host's was, which the next program is not to find raised.
    fn unchanged(&self, mut limits: Limits) -> Limits {
        if let Some(before) = self.before
            && !limits.iter().any(|(resource, _)| *resource == STACK)
        {
            limits.push((STACK, before));
        }
        limits
    }
}

impl Drop for RoomyStack {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = host_limit(0, STACK, Some(before));
        }
    }
}

/// Whether the guest's descriptor is closed when a program is executed.
fn closes_on_exec(fd: u64) -> bool {
    let flags = host::call(&host::FCNTL, &mut [Arg::Int(fd), Arg::Int(libc::F_GETFD as u64), Arg::Int(0)]);
    flags.is_ok_and(|flags| flags & libc::FD_CLOEXEC as u64 != 0)
}

/// A copy of the file's descriptor that the next program inherits: as high as the limit allows.
fn keep(file: &File) -> Result<i32, Errno> {
    let copy = |least| {
        let args = &mut [Arg::Int(file.as_raw_fd() as u64), Arg::Int(libc::F_DUPFD as u64), Arg::Int(least)];
        host::call(&host::FCNTL, args).map(|fd| fd as i32)
    };
    HIGH.into_iter().find_map(|least| copy(least).ok()).map_or_else(|| copy(0), Ok)
}

/// Signals that the guest ignores, and that the host does not because the engine needs them.
fn ignored(t: &Thread) -> u64 {
    let table = t.kernel.actions.table();
    SYNCHRONOUS.into_iter().filter(|signal| table.get(*signal).handler == SIG_IGN).map(bit).sum()
}

/// What becomes of a process whose new program cannot be loaded.
fn refusal(error: &LoadError) -> Stop {
    error.signal().map_or_else(|| errno(error).into(), Stop::Kill)
}

/// What `execve` fails with when a program cannot be loaded.
fn errno(error: &LoadError) -> Errno {
    let of = |source: &io::Error| source.raw_os_error().map_or(Errno::EIO, Errno::new);
    match error {
        LoadError::Open { source, .. } | LoadError::Interpreter { source, .. } => of(source),
        LoadError::NotAFile { .. } => Errno::EACCES,
        LoadError::TooManyInterpreters { .. } => Errno::ELOOP,
        LoadError::TooManyArguments => Errno::E2BIG,
        LoadError::Memory { .. } => Errno::ENOMEM,
        LoadError::Host { errno, .. } => *errno,
        LoadError::BadInterpreter { .. } => Errno::ELIBBAD,
        LoadError::NotExecutable { .. }
        | LoadError::Elf { .. }
        | LoadError::NulByte
        | LoadError::Sysroot { .. }
        | LoadError::Root { .. }
        | LoadError::Pipeline(_)
        | LoadError::Engine(_) => Errno::ENOEXEC,
    }
}
