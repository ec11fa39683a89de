//! [`Kernel`]: what a kernel keeps for one process, shared by its threads, and how a call is handed to the host's kernel.

use std::ffi::{CStr, CString, OsString};
use std::ops::Deref;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_core::{GuestAddr, GuestRange};
use vm_engine::Engine;
use vm_mem::AddressSpace;

use crate::calls::procfs::unfinished::Unfinished;
use crate::errno::Errno;
use crate::handover::Settings;
use crate::host::{self, Arg, GuestPtr, HostCall};
use crate::layout::Rlimit;
use crate::load::Landmarks;
use crate::paths::{At, CWD, Last, View, directory};
use crate::shape::Shape;
use crate::signal::Actions;
use crate::thread::Threads;
use crate::trace::Tracer;
use crate::user::{PATH_MAX, User};

/// Why a system call does not simply return a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It failed.
    Error(Errno),
    /// The registers are as the guest shall find them.
    Resume,
    /// The thread ends with this status.
    ThreadExit(u8),
    /// The process ends with this status.
    Exit(u8),
    /// The process is killed by this signal.
    Kill(i32),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Error(errno)
    }
}

/// What a handler gives.
pub(crate) type SysResult = Result<u64, Stop>;

/// The six argument registers of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Args(pub(crate) [u64; 6]);

impl Args {
    /// The whole register.
    pub(crate) const fn raw(&self, index: usize) -> u64 {
        self.0[index]
    }

    /// An `int`: the kernel looks at the low half alone.
    pub(crate) const fn int(&self, index: usize) -> i32 {
        self.0[index] as i32
    }

    /// An `unsigned int`.
    pub(crate) const fn uint(&self, index: usize) -> u32 {
        self.0[index] as u32
    }
}

/// What a kernel keeps for one process. Its threads share it.
pub(crate) struct Kernel {
    origin: Origin,
    pub(crate) actions: Actions,
    pub(crate) threads: Threads,
    /// Kinds of memory barriers that the guest has registered for.
    pub(crate) barriers: AtomicU32,
    /// Limits that would hit the emulator rather than the guest, as the guest set them.
    pub(crate) limits: Mutex<Limits>,
    /// Whether the process has looked for its own threads or descriptors in `/proc`, or at all of that in a root: then
    /// what is listed has to be looked through.
    pub(crate) lists_itself: AtomicBool,
    /// Whether the process has made a file by which it reads signals that do nothing by default.
    pub(crate) reads_signals: AtomicBool,
    /// Files of `/proc` that are written as they are read.
    pub(crate) unfinished: Unfinished,
    /// Device of the files in memory that stand for such of `/proc`; 0 before there is one.
    pub(crate) content_device: AtomicU64,
    /// Names that the host has for sockets of this process, and the guest's for them.
    sockets: Mutex<Vec<SocketNames>>,
}

/// Limits by their numbers, each at most once.
pub(crate) type Limits = Vec<(u32, Rlimit)>;

/// A name of a socket on the host, and the guest's name of it.
type SocketNames = (Vec<u8>, Vec<u8>);

/// What a process is given at first and keeps.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) engine: Arc<Engine>,
    /// Address of the code that returns from a signal handler.
    pub(crate) sigreturn: GuestAddr,
    /// What the guest's file names mean.
    pub(crate) view: View,
    /// What the next program's emulator is told.
    pub(crate) settings: Settings,
    /// Real path of the program.
    pub(crate) program: PathBuf,
    /// Where the program's parts were put.
    pub(crate) landmarks: Landmarks,
    /// The auxiliary vector as the program got it.
    pub(crate) auxv: Vec<u8>,
    /// The guest's extensions, as `/proc/cpuinfo` words them.
    pub(crate) isa: String,
    pub(crate) tracer: Option<Tracer>,
}

impl Deref for Kernel {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.origin
    }
}

impl Kernel {
    /// A process without threads, and with nothing but what it is given.
    pub(crate) fn new(origin: Origin, actions: Actions) -> Self {
        Self {
            origin,
            actions,
            threads: Threads::default(),
            barriers: AtomicU32::new(0),
            limits: Mutex::default(),
            lists_itself: AtomicBool::new(false),
            reads_signals: AtomicBool::new(false),
            unfinished: Unfinished::default(),
            content_device: AtomicU64::new(0),
            sockets: Mutex::default(),
        }
    }

    /// A process that shares `parent`'s memory and nothing else.
    pub(crate) fn sharing(parent: &Self) -> Self {
        // Each lock is given back before the next is taken: `hold` takes them in an order of its own.
        let actions = parent.actions.copy();
        let limits = parent.limits().clone();
        let sockets = parent.sockets().clone();
        Self {
            barriers: AtomicU32::new(parent.barriers.load(Ordering::Acquire)),
            limits: Mutex::new(limits),
            lists_itself: AtomicBool::new(parent.lists_itself.load(Ordering::Relaxed)),
            reads_signals: AtomicBool::new(parent.reads_signals.load(Ordering::Relaxed)),
            unfinished: Unfinished::of_sharing(),
            content_device: AtomicU64::new(parent.content_device.load(Ordering::Relaxed)),
            sockets: Mutex::new(sockets),
            ..Self::new(parent.origin.clone(), actions)
        }
    }

    /// Holds everything of this process still that a fork must not copy half changed.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        (self.actions.table(), self.threads.registry(), self.limits(), self.sockets())
    }

    /// Guest memory.
    pub(crate) fn user(&self) -> User<'_> {
        User(&self.space)
    }

    /// Limits that the guest set and that are only recorded.
    pub(crate) fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit on `resource` that the guest set for itself, in bytes; `None` if it set none, or none that limits.
    pub(crate) fn limit(&self, resource: u32) -> Option<u64> {
        let limits = self.limits();
        let (_, limit) = limits.iter().find(|(known, _)| *known == resource)?;
        Some(limit.soft).filter(|soft| *soft != u64::MAX)
    }

    /// Descriptors of the emulator, of which the guest knows nothing: where names are looked up, where traces go, what
    /// files of `/proc` are written by.
    pub(crate) fn own_descriptors(&self) -> impl Iterator<Item = i32> {
        let trace = self.tracer.iter().flat_map(Tracer::descriptors).filter(|fd| *fd > 2);
        self.view.own_descriptor().into_iter().chain(trace).chain(self.unfinished.descriptors())
    }

    /// Names of sockets.
    pub(crate) fn sockets(&self) -> MutexGuard<'_, Vec<SocketNames>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the engine which translated code a call has replaced or unmapped, and waits until no thread runs it.
    pub(crate) fn forget_changed_code(&self) {
        let mut forgotten = false;
        self.space.code_watch().settle(|range| {
            self.engine.invalidate(range);
            forgotten = true;
        });
        if forgotten {
            self.engine.wait_for_vcpus();
        }
    }

    /// Hands a call to the host's kernel, its pointers and names translated as its shapes say.
    #[inline]
    pub(crate) fn pass(&self, call: &'static HostCall, args: &Args) -> SysResult {
        if !call.is_plain() {
            return self.pass_names(call, args);
        }
        let user = self.user();
        let pointer = |shape: Shape, addr: u64| match shape {
            Shape::Range(_) => user.range(addr, call.len(shape, &args.0)),
            _ => user.pointer(addr, call.len(shape, &args.0)),
        };
        Ok(host::wait_as(call, &args.0, pointer)?)
    }

    /// The same for a call that is given names or other strings, or changes a file.
    fn pass_names(&self, call: &'static HostCall, args: &Args) -> SysResult {
        let mut call = call;
        let shapes = call.shapes();
        let mut strings: [Option<CString>; 6] = Default::default();
        let mut names: [Option<At>; 6] = Default::default();
        let mut mistake = None;
        for index in (0..shapes.len()).filter(|index| shapes[*index].is_string() && args.raw(*index) != 0) {
            match self.string_argument(shapes, index, args, names.iter().flatten().next()) {
                Ok(Named::Text(text)) => strings[index] = Some(text),
                Ok(Named::At(at)) => names[index] = Some(at),
                Err(errno) => {
                    mistake = Some((index, errno));
                    break;
                }
            }
        }
        if call.changes_file() && mistake.is_none() {
            let name = names.iter().position(Option::is_some);
            let fd = name.and_then(|index| names[index].as_ref()?.descriptor()).unwrap_or(directory(args.raw(0)));
            match (self.view.is_fixed(fd), name) {
                (true, Some(index)) => mistake = Some((index, Errno::EROFS)),
                (true, None) => return Err(Errno::EROFS.into()),
                (false, _) => {}
            }
        }
        let mut list: [Arg<'_>; 6] = [const { Arg::Int(0) }; 6];
        for (index, shape) in shapes.iter().enumerate() {
            list[index] = match &strings[index] {
                Some(text) => Arg::Str(text),
                None if matches!(shape, Shape::Range(_)) => {
                    Arg::Guest(self.user().range(args.raw(index), call.len(*shape, &args.0)))
                }
                None if shape.is_pointer() => {
                    Arg::Guest(self.user().pointer(args.raw(index), call.len(*shape, &args.0)))
                }
                None => Arg::Int(args.raw(index)),
            };
        }
        for (index, at) in names.iter().enumerate().filter_map(|(index, at)| Some((index, at.as_ref()?))) {
            list[index] = Arg::Str(&at.name);
            if let Some(before) = index.checked_sub(1)
                && shapes[before] == Shape::DirFd
            {
                list[before] = Arg::Int(at.dirfd);
            }
            // A name that leads to an open file is a link to be followed, whatever that file is.
            match shapes[index] {
                Shape::PathUnless(flags) if at.file().is_some() => {
                    let flags = usize::from(flags);
                    list[flags] = Arg::Int(args.raw(flags) & !(libc::AT_SYMLINK_NOFOLLOW as u64));
                }
                Shape::PathIf(flags) if at.file().is_some() => {
                    let flags = usize::from(flags);
                    list[flags] = Arg::Int(args.raw(flags) | libc::AT_SYMLINK_FOLLOW as u64);
                }
                Shape::PathNoFollow if at.file().is_some() => call = host::following(call),
                _ => {}
            }
        }
        let Some((index, errno)) = mistake else { return Ok(host::wait(call, &mut list[..shapes.len()])?) };
        list[index] = wrong_name(self.user(), errno);
        Err(before_name(errno, host::call(call, &mut list[..shapes.len()])).into())
    }

    /// The string at argument `index`, and where it leads if it is a name; `first` is where another one before it leads.
    fn string_argument(&self, shapes: &[Shape], index: usize, args: &Args, first: Option<&At>) -> Result<Named, Errno> {
        let shape = shapes[index];
        let text = self.user().string(args.raw(index), longest(shape, index))?;
        let Some(last) = last_part(shape, args) else { return Ok(Named::Text(text)) };
        if text.is_empty() && !may_be_empty(shape, args) {
            return Err(Errno::ENOENT);
        }
        let dirfd = match index.checked_sub(1) {
            Some(before) if shapes[before] == Shape::DirFd => args.raw(before),
            Some(_) | None => CWD,
        };
        Ok(Named::At(match first {
            Some(first) => self.at_beside(first, dirfd, text)?,
            None => self.at(dirfd, text, last)?,
        }))
    }

    /// Whether the guest has a thread of this number in this process.
    pub(crate) fn is_guest_thread(&self, tid: i32) -> bool {
        let registry = self.threads.registry();
        // Before the process runs, its first thread is the one that prepares it.
        registry.live.contains_key(&tid) || registry.live.is_empty() && tid == host::thread_id()
    }
}

/// A string that a call is given.
enum Named {
    /// As it is.
    Text(CString),
    /// As a name.
    At(At),
}

/// A name that is longer than any.
static TOO_LONG: &CStr = {
    const BYTES: [u8; PATH_MAX + 1] = {
        let mut bytes = [b'x'; PATH_MAX + 1];
        bytes[PATH_MAX] = 0;
        bytes
    };
    match CStr::from_bytes_with_nul(&BYTES) {
        Ok(name) => name,
        Err(_) => c"",
    }
};

/// What stands for a name that gave `errno`, so that the host finds that in its place among other mistakes: a name that is
/// too long, or one that cannot be read.
pub(crate) fn wrong_name(user: User<'_>, errno: Errno) -> Arg<'static> {
    match errno {
        Errno::ENAMETOOLONG => Arg::Str(TOO_LONG),
        _ => Arg::Guest(user.pointer(u64::MAX, 1)),
    }
}

/// The error of a call of which one name gave `errno`. Kernels look at other arguments first: `answer` is what the host says
/// of the call with [`wrong_name`].
pub(crate) fn before_name(errno: Errno, answer: Result<u64, Errno>) -> Errno {
    match answer {
        Err(Errno::EFAULT) if errno != Errno::ENAMETOOLONG => errno,
        Err(other) => other,
        Ok(_) => errno,
    }
}

/// Whether an empty string has a meaning as this argument.
fn may_be_empty(shape: Shape, args: &Args) -> bool {
    match shape {
        Shape::PathIf(flags) => args.raw(usize::from(flags)) & libc::AT_EMPTY_PATH as u64 != 0,
        Shape::Name => false,
        _ => true,
    }
}

/// Most bytes that the kernel reads of a string.
fn longest(shape: Shape, index: usize) -> usize {
    /// `XATTR_NAME_MAX` and its end.
    const ATTRIBUTE: usize = 256;
    match shape {
        // A string beside a file is the name of an attribute of it; others are as long as names of files.
        Shape::Str if index == 1 => ATTRIBUTE,
        _ => PATH_MAX,
    }
}

/// Which file the last part of a name means, if the argument is a name.
fn last_part(shape: Shape, args: &Args) -> Option<Last> {
    let flag = |index: u8, flag: i32| args.raw(usize::from(index)) & flag as u64 != 0;
    match shape {
        Shape::Path => Some(Last::Follow),
        Shape::PathNoFollow => Some(Last::Itself),
        Shape::PathUnless(flags) if flag(flags, libc::AT_SYMLINK_NOFOLLOW) => Some(Last::Itself),
        Shape::PathUnless(_) => Some(Last::Follow),
        Shape::PathIf(flags) if flag(flags, libc::AT_SYMLINK_FOLLOW) => Some(Last::Follow),
        Shape::PathIf(_) => Some(Last::Itself),
        Shape::Name => Some(Last::Name),
        _ => None,
    }
}

/// The path under which a descriptor's file is known.
pub(crate) fn name_of(fd: u64) -> Option<CString> {
    let link = CString::new(format!("/proc/self/fd/{fd}")).ok()?;
    let mut name = vec![0; PATH_MAX];
    let size = name.len() as u64;
    let len = host::call(
        &host::READLINKAT,
        &mut [Arg::Int(libc::AT_FDCWD as u64), Arg::Str(&link), Arg::Bytes(&mut name), Arg::Int(size)],
    )
    .ok()?;
    name.truncate(len as usize);
    CString::new(name).ok()
}

/// The path under which an open file of ours is known.
pub(crate) fn name_of_file(file: &std::fs::File) -> Option<CString> {
    name_of(std::os::fd::AsRawFd::as_raw_fd(file) as u64)
}

/// Closes a descriptor of ours; a failure leaves nothing to do.
pub(crate) fn close(fd: u64) {
    let _ = host::call(&host::CLOSE, &mut [Arg::Int(fd)]);
}

/// `text` as a file name.
pub(crate) fn os_string(text: &CStr) -> OsString {
    OsString::from_vec(text.to_bytes().to_vec())
}

/// A range of guest bytes, cut at the end of the address space.
pub(crate) fn guest_range(addr: u64, len: u64) -> GuestRange {
    let addr = GuestAddr::new(addr);
    GuestRange::new(addr, len.min(u64::MAX - addr.get())).unwrap_or(GuestRange::everything())
}

/// An absent pointer argument.
pub(crate) const fn null<'a>() -> Arg<'a> {
    Arg::Guest(GuestPtr::NULL)
}
