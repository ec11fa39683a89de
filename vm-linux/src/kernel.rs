//! [`Kernel`]: what a kernel keeps for one process, and how a system call gets from number to handler.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use vm_core::{GuestAddr, GuestRange};
use vm_engine::Engine;
use vm_mem::AddressSpace;

use crate::calls::signal::Signals;
use crate::errno::Errno;
use crate::host::{self, Arg, GuestPtr, HostCall};
use crate::layout::{Layout, OpenHow};
use crate::shape::Shape;
use crate::table::{self, Action};
use crate::trace::Tracer;
use crate::user::{PATH_MAX, User};

/// Why a system call does not simply return a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It failed.
    Error(Errno),
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

/// Registers that a child process starts with in place of its parent's; for each `None` means unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChildRegisters {
    /// Stack pointer.
    pub(crate) stack: Option<u64>,
    /// Thread pointer.
    pub(crate) thread: Option<u64>,
}

/// What a kernel keeps for one process.
pub(crate) struct Kernel {
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) engine: Arc<Engine>,
    /// Generation of the code watch up to which the engine has been told of changes.
    pub(crate) seen_changes: u64,
    pub(crate) signals: Signals,
    /// Where absolute guest paths are looked up first.
    pub(crate) sysroot: Option<PathBuf>,
    /// Real path of the program.
    pub(crate) program: PathBuf,
    /// Arguments as the program got them.
    pub(crate) args: Vec<Vec<u8>>,
    /// The auxiliary vector as the program got it.
    pub(crate) auxv: Vec<u8>,
    /// Limits that would hit the emulator rather than the guest, as the guest set them.
    pub(crate) limits: Vec<(u32, crate::layout::Rlimit)>,
    /// Address that is cleared when the thread ends; nobody is left to see it when the process does.
    pub(crate) clear_child_tid: u64,
    /// Head of the list of robust futexes.
    pub(crate) robust_list: u64,
    /// Descriptor whose closing tells a parent that waits for this process that it has ended.
    pub(crate) waited_for: Option<u64>,
    /// What a child process changes before it goes on.
    pub(crate) child: Option<ChildRegisters>,
    /// The guest's extensions, as `/proc/cpuinfo` words them.
    pub(crate) isa: String,
    pub(crate) tracer: Option<Tracer>,
}

impl Kernel {
    /// Guest memory.
    pub(crate) fn user(&self) -> User<'_> {
        User(&self.space)
    }

    /// Makes the system call `number` of the generic list.
    pub(crate) fn system_call(&mut self, number: u64, args: [u64; 6]) -> SysResult {
        let row = table::by_generic_number(number);
        if let (Some(tracer), Some(row)) = (&self.tracer, row) {
            tracer.announce(row, &args, self.user());
        }
        let result = match row {
            None => Err(Errno::ENOSYS.into()),
            Some(row) => match &row.action {
                Action::Own(handler, _) => handler(self, &Args(args)),
                Action::Pass(call) => self.pass(call, &Args(args)),
                Action::Refuse(errno) => Err((*errno).into()),
            },
        };
        if let Some(tracer) = &self.tracer {
            tracer.report(row, number, &args, result, self.user());
        }
        self.forget_changed_code();
        result
    }

    /// Tells the engine which translated code a call has replaced or unmapped.
    fn forget_changed_code(&mut self) {
        let generation = self.space.code_watch().generation();
        if generation != self.seen_changes {
            self.seen_changes = generation;
            for range in self.space.code_watch().take_changed() {
                self.engine.invalidate(range);
            }
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
        Ok(host::call(call, &mut list[..call.shapes().len()])?)
    }

    /// The file name at guest address `addr`, as the host is to take it.
    ///
    /// # Errors
    /// `EFAULT` and `ENAMETOOLONG`, as the kernel's `getname`.
    pub(crate) fn path(&self, addr: u64, follow: bool) -> Result<CString, Errno> {
        let path = self.user().string(addr, PATH_MAX)?;
        Ok(self.resolve(path, follow))
    }

    /// An absolute name is looked up below the sysroot first, where neither `..` nor a symbolic link leads out of it.
    pub(crate) fn resolve(&self, path: CString, follow: bool) -> CString {
        let Some(sysroot) = &self.sysroot else { return path };
        if !path.as_bytes().starts_with(b"/") {
            return path;
        }
        in_sysroot(sysroot.as_os_str(), &path, follow).unwrap_or(path)
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
