//! [`Kernel`]: what a kernel keeps for one process, shared by its threads, and how a call is handed to the host's kernel.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_core::{GuestAddr, GuestRange};
use vm_engine::Engine;
use vm_mem::AddressSpace;

use crate::errno::Errno;
use crate::handover::Settings;
use crate::host::{self, Arg, GuestPtr, HostCall};
use crate::layout::{Layout, OpenHow, Rlimit};
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
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) actions: Actions,
    pub(crate) threads: Threads,
    /// Address of the code that returns from a signal handler.
    pub(crate) sigreturn: GuestAddr,
    /// Where absolute guest paths are looked up first.
    pub(crate) sysroot: Option<PathBuf>,
    /// What the next program's emulator is told.
    pub(crate) settings: Settings,
    /// Real path of the program.
    pub(crate) program: PathBuf,
    /// Arguments as the program got them.
    pub(crate) args: Vec<Vec<u8>>,
    /// The auxiliary vector as the program got it.
    pub(crate) auxv: Vec<u8>,
    /// Kinds of memory barriers that the guest has registered for.
    pub(crate) barriers: AtomicU32,
    /// Limits that would hit the emulator rather than the guest, as the guest set them.
    pub(crate) limits: Mutex<Vec<(u32, Rlimit)>>,
    /// The guest's extensions, as `/proc/cpuinfo` words them.
    pub(crate) isa: String,
    pub(crate) tracer: Option<Tracer>,
}

/// What a new process is given; everything else begins empty.
pub(crate) struct Origin {
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) sigreturn: GuestAddr,
    pub(crate) sysroot: Option<PathBuf>,
    pub(crate) settings: Settings,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) auxv: Vec<u8>,
    pub(crate) isa: String,
    pub(crate) tracer: Option<Tracer>,
}

impl Kernel {
    /// A process without threads.
    pub(crate) fn new(origin: Origin) -> Self {
        let Origin { space, engine, sigreturn, sysroot, settings, program, args, auxv, isa, tracer } = origin;
        Self {
            space,
            engine,
            actions: Actions::inherited(),
            threads: Threads::default(),
            sigreturn,
            sysroot,
            settings,
            program,
            args,
            auxv,
            barriers: AtomicU32::new(0),
            limits: Mutex::default(),
            isa,
            tracer,
        }
    }

    /// A process that shares `parent`'s memory and nothing else.
    pub(crate) fn sharing(parent: &Self) -> Self {
        Self {
            space: Arc::clone(&parent.space),
            engine: Arc::clone(&parent.engine),
            actions: parent.actions.copy(),
            threads: Threads::default(),
            sigreturn: parent.sigreturn,
            sysroot: parent.sysroot.clone(),
            settings: parent.settings.clone(),
            program: parent.program.clone(),
            args: parent.args.clone(),
            auxv: parent.auxv.clone(),
            barriers: AtomicU32::new(parent.barriers.load(Ordering::Acquire)),
            limits: Mutex::new(parent.limits().clone()),
            isa: parent.isa.clone(),
            tracer: parent.tracer.clone(),
        }
    }

    /// Holds everything of this process still that a fork must not copy half changed.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        (self.actions.table(), self.threads.registry(), self.limits())
    }

    /// Guest memory.
    pub(crate) fn user(&self) -> User<'_> {
        User(&self.space)
    }

    /// Limits that the guest set and that are only recorded.
    pub(crate) fn limits(&self) -> MutexGuard<'_, Vec<(u32, Rlimit)>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit on `resource` that the guest set for itself, in bytes; `None` if it set none, or none that limits.
    pub(crate) fn limit(&self, resource: u32) -> Option<u64> {
        let limits = self.limits();
        let (_, limit) = limits.iter().find(|(known, _)| *known == resource)?;
        Some(limit.soft).filter(|soft| *soft != u64::MAX)
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
    pub(crate) fn pass(&self, call: &HostCall, args: &Args) -> SysResult {
        let mut strings: [Option<CString>; 6] = Default::default();
        for (index, shape) in call.shapes().iter().enumerate() {
            let addr = args.raw(index);
            let follow = match *shape {
                Shape::Path => true,
                Shape::PathNoFollow => false,
                Shape::PathUnless(flags) => args.raw(usize::from(flags)) & libc::AT_SYMLINK_NOFOLLOW as u64 == 0,
                Shape::Str if addr != 0 => {
                    strings[index] = Some(self.user().string(addr, PATH_MAX)?);
                    continue;
                }
                _ => continue,
            };
            if addr != 0 {
                strings[index] = Some(self.path(addr, follow)?);
            }
        }
        let mut list: [Arg<'_>; 6] = [const { Arg::Int(0) }; 6];
        for (index, shape) in call.shapes().iter().enumerate() {
            list[index] = match &strings[index] {
                Some(text) => Arg::Str(text),
                None if shape.is_pointer() => Arg::Guest(self.user().pointer(args.raw(index), shape.len(&args.0))),
                None => Arg::Int(args.raw(index)),
            };
        }
        Ok(host::wait(call, &mut list[..call.shapes().len()])?)
    }

    /// The file name at guest address `addr`, as the host is to take it.
    ///
    /// # Errors
    /// `EFAULT` and `ENAMETOOLONG`, as the kernel's `getname`.
    pub(crate) fn path(&self, addr: u64, follow: bool) -> Result<CString, Errno> {
        let path = self.user().string(addr, PATH_MAX)?;
        Ok(self.resolve(path, follow))
    }

    /// The host's name for what the guest names `path`.
    pub(crate) fn resolve(&self, path: CString, follow: bool) -> CString {
        resolve(self.sysroot.as_deref(), path, follow)
    }
}

/// An absolute name is looked up below the sysroot first, where neither `..` nor a symbolic link leads out of it.
pub(crate) fn resolve(sysroot: Option<&Path>, path: CString, follow: bool) -> CString {
    match sysroot {
        Some(sysroot) if path.as_bytes().starts_with(b"/") => {
            in_sysroot(sysroot.as_os_str(), &path, follow).unwrap_or(path)
        }
        Some(_) | None => path,
    }
}

/// The host path of what `path` names below `sysroot`; `None` if there is no such file.
fn in_sysroot(sysroot: &OsStr, path: &CStr, follow: bool) -> Option<CString> {
    let flags = (libc::O_PATH | libc::O_CLOEXEC | if follow { 0 } else { libc::O_NOFOLLOW }) as u64;
    let root = CString::new(sysroot.as_bytes()).ok()?;
    let root = host::call(
        &host::OPENAT,
        &mut [
            Arg::Int(libc::AT_FDCWD as u64),
            Arg::Str(&root),
            Arg::Int((libc::O_PATH | libc::O_CLOEXEC) as u64),
            Arg::Int(0),
        ],
    )
    .ok()?;
    // RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS of linux/openat2.h.
    let mut how = OpenHow { flags, mode: 0, resolve: 0x10 | 0x02 }.encode();
    let size = how.len() as u64;
    let found = host::call(&host::OPENAT2, &mut [Arg::Int(root), Arg::Str(path), Arg::Bytes(&mut how), Arg::Int(size)]);
    let name = found.ok().and_then(|fd| {
        let name = name_of(fd);
        close(fd);
        name
    });
    close(root);
    name
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
