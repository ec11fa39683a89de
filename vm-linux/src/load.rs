//! A program's first address space: segments, interpreter, stack and vDSO where a kernel puts them.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use vm_core::{GuestAddr, GuestArch, GuestRange, PAGE_SIZE, Perms};
use vm_mem::{AddressSpace, FileIdentity, Gap, MapRequest, MemError, Place, Placement};

use crate::abi;
use crate::elf::{Image, Segment};
use crate::exec::Found;
use crate::host;
use crate::process::LoadError;
use crate::stack::{Contents, Stack, at};
use crate::user::User;
use crate::vdso;

/// Where position-independent programs are loaded: two thirds of a 39-bit address space, as on riscv64.
const LOAD_ADDRESS: u64 = 0x2a_aaaa_a000;
/// Smallest and largest room that is left for the stack to grow: the kernel's least gap, and what a process without a
/// limit gets.
const STACK_ROOM: (u64, u64) = (128 << 20, 16 << 30);
/// Least stack, whatever the limit says.
const LEAST_STACK: u64 = 128 << 10;
/// Bytes below the first stack pointer that are mapped from the start (`setup_arg_pages`).
const STACK_START: u64 = 128 << 10;
/// What arguments and environment may take whatever the limit on the stack is, and the most that they ever may: `ARG_MAX`, and
/// three quarters of `_STK_LIM`.
const ARGUMENTS: (u64, u64) = (128 << 10, 6 << 20);
/// Unmapped bytes kept between stack and other mappings, as the kernel's `stack_guard_gap`.
const STACK_GUARD: u64 = 1 << 20;
/// Unmapped bytes kept above the stack: buffers there may be given any length that 32 bits hold, as far as it is not used.
const STACK_HEADROOM: u64 = 4 << 30;
/// Size of guest memory where it cannot be at its own addresses.
const RESERVATION: u64 = 1 << 40;
/// Ticks of `times` in a second.
const CLOCK_TICKS: u64 = 100;

/// An executable file that is ready to be mapped.
pub(crate) struct Executable {
    pub(crate) file: File,
    pub(crate) image: Image,
    pub(crate) identity: Arc<FileIdentity>,
}

impl Executable {
    /// A file and what its headers say.
    pub(crate) fn new(file: File, image: Image) -> Self {
        let (device, inode) = file.metadata().map_or((0, 0), |meta| (meta.dev(), meta.ino()));
        let path = crate::kernel::name_of_file(&file)
            .map_or_else(PathBuf::new, |name| OsString::from_vec(name.into_bytes()).into());
        Self { file, image, identity: Arc::new(FileIdentity { path, device, inode }) }
    }
}

/// Where a program's parts were put; pairs are the first byte and the byte after the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Landmarks {
    /// Its code and its data, as a kernel counts them for `/proc/self/stat`.
    pub(crate) code: (u64, u64),
    pub(crate) data: (u64, u64),
    /// Where its heap begins.
    pub(crate) heap: u64,
    /// The first stack pointer.
    pub(crate) stack: u64,
    /// The strings of its arguments and of its environment.
    pub(crate) args: (u64, u64),
    pub(crate) env: (u64, u64),
}

impl Landmarks {
    /// Those of an image that is `bias` away from the addresses in its file (`load_elf_binary`).
    fn of(image: &Image, bias: i64) -> Self {
        let starts = |segment: &Segment| segment.range.start().offset(bias).get();
        let ends = |segment: &Segment| starts(segment) + segment.file_len;
        let code = || image.segments.iter().filter(|segment| segment.perms.contains(Perms::EXECUTE));
        Self {
            code: (code().map(starts).min().unwrap_or(0), code().map(ends).max().unwrap_or(0)),
            data: (
                image.segments.iter().map(starts).max().unwrap_or(0),
                image.segments.iter().map(ends).max().unwrap_or(0),
            ),
            heap: image.span().end().offset(bias).get(),
            ..Self::default()
        }
    }
}

/// An address space with a program in it.
pub(crate) struct Loaded {
    pub(crate) space: AddressSpace,
    /// The first instruction to run: the interpreter's, if there is one.
    pub(crate) entry: GuestAddr,
    pub(crate) stack: GuestAddr,
    /// Address of the code that returns from a signal handler.
    pub(crate) sigreturn: GuestAddr,
    /// The auxiliary vector.
    pub(crate) auxv: Vec<u8>,
    pub(crate) landmarks: Landmarks,
}

impl Loaded {
    /// Loads `found` at the addresses that its file asks for, or, if the host has them in use, away from them. Its stack may
    /// grow to `stack_limit` bytes.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn new(found: &Found, env: &[Vec<u8>], hwcap: u64, stack_limit: u64) -> Result<Self, LoadError> {
        match Self::at(Placement::Direct, found, env, hwcap, stack_limit) {
            Err(LoadError::Memory { source: MemError::Exists { .. } | MemError::Occupied { .. }, .. }) => {
                Self::at(Placement::Reserved { size: RESERVATION }, found, env, hwcap, stack_limit)
            }
            other => other,
        }
    }

    /// Lets other processes find the program's own arguments and environment in `/proc`.
    pub(crate) fn show_in_proc(&self) {
        let Landmarks { code, data, stack, args, env, .. } = self.landmarks;
        let base = self.space.view().base as u64;
        let both = |(start, end): (u64, u64)| [base + start, base + end];
        host::show_in_proc(&host::Shown {
            code: both(code),
            data: both(data),
            stack: base + stack,
            args: both(args),
            env: both(env),
            auxv: &self.auxv,
        });
    }

    fn at(
        placement: Placement,
        found: &Found,
        env: &[Vec<u8>],
        hwcap: u64,
        stack_limit: u64,
    ) -> Result<Self, LoadError> {
        let memory = |source| LoadError::Memory { path: found.path(), source };
        let space = AddressSpace::new(placement).map_err(memory)?;
        let program = &found.program;
        // On x86-64 what can be executed can be read.
        if matches!(program.image.arch, GuestArch::Riscv64 | GuestArch::Aarch64) {
            space.hide_code();
        }
        let bias = map_image(&space, program, Gap::Above(GuestAddr::new(LOAD_ADDRESS))).map_err(memory)?;
        space.set_heap(program.image.span().end().offset(bias));
        let room = StackRoom::find(&space, stack_limit).map_err(memory)?;
        let (vdso, sigreturn) = map_vdso(&space, program.image.arch).map_err(memory)?;
        let entry = program.image.entry.offset(bias);
        let (base, first) = match &found.interpreter {
            None => (0, entry),
            Some(interpreter) => {
                let below = Gap::Below(room.bottom.offset(-(STACK_GUARD as i64)));
                let bias = map_image(&space, interpreter, below).map_err(memory)?;
                (interpreter.image.span().start().offset(bias).get(), interpreter.image.entry.offset(bias))
            }
        };

        let headers = if program.image.headers.get() == 0 { 0 } else { program.image.headers.offset(bias).get() };
        let id = |call, what| host::call(call, &mut []).map_err(|errno| LoadError::Host { what, errno });
        let auxv = [
            (at::SYSINFO_EHDR, vdso.get()),
            (at::MINSIGSTKSZ, abi::MIN_SIGNAL_STACK),
            (at::HWCAP, hwcap),
            (at::PAGESZ, PAGE_SIZE),
            (at::CLKTCK, CLOCK_TICKS),
            (at::PHDR, headers),
            (at::PHENT, 56),
            (at::PHNUM, program.image.header_count.into()),
            (at::BASE, base),
            (at::FLAGS, 0),
            (at::ENTRY, entry.get()),
            (at::UID, id(&host::GETUID, "getuid")?),
            (at::EUID, id(&host::GETEUID, "geteuid")?),
            (at::GID, id(&host::GETGID, "getgid")?),
            (at::EGID, id(&host::GETEGID, "getegid")?),
            (at::SECURE, 0),
        ];
        let random = host::random_bytes().map_err(|errno| LoadError::Host { what: "getrandom", errno })?;
        let args = &found.args;
        let contents = Contents { args, env, file_name: &found.name, random, auxv: &auxv };
        let stack: Stack = contents.lay_out(room.top, room.lowest()).ok_or(LoadError::TooManyArguments)?;
        room.map(&space, stack.pointer).map_err(memory)?;
        User(&space)
            .put_bytes(stack.pointer.get(), &stack.bytes)
            .map_err(|_| memory(MemError::Unmapped { addr: stack.pointer }))?;
        let auxv = stack.auxv(args.len(), env.len());
        let bytes = |strings: &[Vec<u8>]| strings.iter().map(|string| string.len() as u64 + 1).sum::<u64>();
        let arg_start = stack.arg_start.get();
        let arg_end = arg_start + bytes(args);
        let landmarks = Landmarks {
            stack: stack.pointer.get(),
            args: (arg_start, arg_end),
            env: (arg_end, arg_end + bytes(env)),
            ..Landmarks::of(&program.image, bias)
        };
        Ok(Self { space, entry: first, stack: stack.pointer, sigreturn, auxv, landmarks })
    }
}

/// How many bytes strings and pointers of arguments and environment may take if the stack may grow to `stack_limit`
/// (`execve(2)`, "Limits on size of arguments and environment").
pub(crate) fn arguments_limit(stack_limit: u64) -> u64 {
    (stack_limit / 4).clamp(ARGUMENTS.0, ARGUMENTS.1)
}

/// How many of these bytes strings may take to which there are so many pointers. They are on the stack below an empty word
/// when they are counted, so that they may not be more than it holds either.
pub(crate) fn strings_limit(stack_limit: u64, pointers: usize) -> u64 {
    let whole = stack_limit.max(PAGE_SIZE) & !(PAGE_SIZE - 1);
    arguments_limit(stack_limit).saturating_sub(8 * pointers as u64).min(whole - 8)
}

/// Maps the segments of `executable`, in `gap` if it may be anywhere; returns how far they are from the addresses in
/// the file.
fn map_image(space: &AddressSpace, executable: &Executable, gap: Gap) -> Result<i64, MemError> {
    let Executable { file, image, identity } = executable;
    let span = image.span();
    let bias = if image.position_independent {
        let at = space.find_gap(span.len() + STACK_GUARD, PAGE_SIZE, gap)?;
        at.offset_from(span.start())
    } else {
        0
    };
    // An interpreter with addresses of its own goes over what is there (`load_elf_interp`).
    let start = span.start().offset(bias);
    if GuestRange::new(start, span.len()).is_ok_and(|pages| space.mapped_bytes(pages) == 0) {
        // Taken as a whole first, so that nothing foreign is between segments.
        let hold = MapRequest { noreserve: true, ..MapRequest::anonymous(span.len(), Perms::NONE) };
        space.map(hold.at(Place::FixedNoReplace(start)))?;
        space.unmap(start, span.len())?;
    }
    for segment in &image.segments {
        map_segment(space, segment, bias, file, identity)?;
    }
    Ok(bias)
}

fn map_segment(
    space: &AddressSpace,
    segment: &Segment,
    bias: i64,
    file: &File,
    identity: &Arc<FileIdentity>,
) -> Result<(), MemError> {
    let start = segment.range.start().offset(bias);
    let file_end = start.offset(segment.file_len as i64);
    let pages = segment.range.whole_pages();
    let mut zeros_from = pages.start().offset(bias);
    if segment.file_len > 0 {
        let within = start.get() % PAGE_SIZE;
        let request = MapRequest::file(
            file.as_fd(),
            segment.offset - within,
            identity.clone(),
            segment.file_len + within,
            segment.perms,
        );
        space.map(request.at(Place::Fixed(start.page_start())))?;
        zeros_from = file_end.page_end().unwrap_or(file_end);
        let end = segment.range.end().offset(bias).get();
        if end > file_end.get() {
            // The rest of the last page shows what follows in the file. Programs rely on all of it being cleared, beyond
            // their own end too. A segment that cannot be written keeps it, as it does under a kernel; one that can has to
            // have that page in the file.
            let tail = vec![0; (zeros_from.get() - file_end.get()) as usize];
            let cleared = User(space).put_bytes(file_end.get(), &tail);
            if cleared.is_err() && segment.perms.contains(Perms::WRITE) {
                return Err(MemError::Unmapped { addr: file_end });
            }
        }
    }
    let end = pages.end().offset(bias);
    if end > zeros_from {
        let request = MapRequest::anonymous(end.get() - zeros_from.get(), segment.perms);
        space.map(request.at(Place::Fixed(zeros_from)))?;
    }
    Ok(())
}

/// Where the stack is to be.
struct StackRoom {
    bottom: GuestAddr,
    top: GuestAddr,
    /// How large it may become.
    limit: u64,
}

impl StackRoom {
    /// The highest place, below which all else goes.
    fn find(space: &AddressSpace, limit: u64) -> Result<Self, MemError> {
        let limit = limit.max(LEAST_STACK);
        let len = limit.clamp(STACK_ROOM.0, STACK_ROOM.1) & !(PAGE_SIZE - 1);
        let highest = space.limit().offset(-(STACK_HEADROOM as i64));
        let bottom = space.find_gap(len, PAGE_SIZE, Gap::Below(highest))?;
        space.set_mmap_top(GuestAddr::new(bottom.get().saturating_sub(STACK_GUARD)));
        Ok(Self { bottom, top: bottom.offset(len as i64), limit })
    }

    /// What the first stack pointer is not below. Arguments have been counted when they were given; beside them are the
    /// auxiliary vector and the pointers to what scripts have added.
    fn lowest(&self) -> GuestAddr {
        GuestAddr::new(self.top.get() - arguments_limit(self.limit) - PAGE_SIZE)
    }

    /// Maps what is used from `pointer` upwards and a stretch below. The rest comes when it is accessed.
    fn map(&self, space: &AddressSpace, pointer: GuestAddr) -> Result<(), MemError> {
        let used = self.top.get() - pointer.page_start().get();
        let len = (used + STACK_START).min(self.limit & !(PAGE_SIZE - 1)).max(used);
        let request =
            MapRequest { noreserve: true, grows: true, ..MapRequest::anonymous(len, Perms::READ | Perms::WRITE) };
        space.map(request.named("[stack]").at(Place::Fixed(self.top.offset(-(len as i64)))))?;
        space.set_growth_limit(self.limit);
        Ok(())
    }
}

/// Maps the vDSO; returns its address and that of the code that returns from a signal handler.
fn map_vdso(space: &AddressSpace, arch: GuestArch) -> Result<(GuestAddr, GuestAddr), MemError> {
    let vdso::Vdso { image, sigreturn } = vdso::build(arch);
    let len = image.len() as u64;
    let addr = space.map(MapRequest::anonymous(len, Perms::READ | Perms::WRITE).named("[vdso]"))?;
    // Just mapped writable.
    let _ = User(space).put_bytes(addr.get(), &image);
    space.protect(addr, len, Perms::READ | Perms::EXECUTE)?;
    Ok((addr, addr.offset(sigreturn as i64)))
}
