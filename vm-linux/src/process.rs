//! [`Process`]: a program loaded into an address space of its own, and run until it ends.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vm_core::{GuestAddr, GuestArch, PAGE_SIZE, Perms};
use vm_cross_arch_support::{PipelineError, TranslationOptions, TranslationPipeline, TranslationStats};
use vm_engine::{Config, Engine, EngineError, EngineStats};
use vm_mem::{AddressSpace, FileIdentity, Gap, MapRequest, MemError, Place, Placement};

use crate::abi;
use crate::elf::{ElfError, Image, Segment};
use crate::errno::Errno;
use crate::host;
use crate::kernel::{Kernel, Origin};
use crate::stack::{Contents, Stack, at};
use crate::thread::Thread;
use crate::trace::Tracer;
use crate::user::User;
use crate::vdso;

/// Where position-independent programs are loaded: two thirds of a 39-bit address space, as on riscv64.
const LOAD_ADDRESS: u64 = 0x2a_aaaa_a000;
/// Stack of a process whose limit says nothing useful.
const DEFAULT_STACK: u64 = 8 << 20;
/// Largest and smallest stack that is set aside.
const STACK_RANGE: (u64, u64) = (256 << 10, 256 << 20);
/// Unmapped bytes kept between stack and other mappings, as the kernel's `stack_guard_gap`.
const STACK_GUARD: u64 = 1 << 20;
/// Size of guest memory where it cannot be at its own addresses.
const RESERVATION: u64 = 1 << 40;
/// Ticks of `times` in a second.
const CLOCK_TICKS: u64 = 100;

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The program's file, as the host names it.
    pub program: PathBuf,
    /// Arguments after the program's own name.
    pub args: Vec<OsString>,
    /// What the program finds as its own name; by default the file as given.
    pub argv0: Option<OsString>,
    /// The environment, `NAME=value` each.
    pub env: Vec<OsString>,
    /// Where absolute file names of the guest are looked up first.
    pub sysroot: Option<PathBuf>,
    /// Whether a line for each system call goes to standard error.
    pub strace: bool,
    /// How the engine runs the program.
    pub engine: Config,
    /// How the pipeline translates it.
    pub translation: TranslationOptions,
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be opened.
    #[error("{}: {}", path.display(), os_text(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is a directory, a device or the like.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a program that can be loaded.
    #[error("{}: {source}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ElfError,
    },
    /// The program's memory cannot be set up.
    #[error("{}: cannot be mapped: {source}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MemError,
    },
    /// An argument or environment string holds a NUL byte.
    #[error("an argument or environment string holds a NUL byte")]
    NulByte,
    /// Arguments and environment do not fit on the stack.
    #[error("arguments and environment are too long for the stack")]
    TooManyArguments,
    /// The sysroot is not a directory.
    #[error("sysroot {}: not a directory", path.display())]
    Sysroot {
        /// The directory as given.
        path: PathBuf,
    },
    /// The host's kernel refused something that every process can do.
    #[error("{what}: {}", errno.text())]
    Host {
        /// What was attempted.
        what: &'static str,
        /// The error.
        errno: Errno,
    },
    /// The guest's instruction set cannot be translated.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The engine cannot be set up.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The operating system's sentence for `error`, without its number.
fn os_text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| Errno::new(number).text())
}

impl LoadError {
    /// The exit status with which a shell reports it: 127 if there is no such file, 126 if it cannot be executed.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            _ => 126,
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It asked to end, with this status.
    Exited(u8),
    /// A signal ended it.
    Killed(i32),
    /// The engine was told to run compiled code only, and could not compile the code at this address.
    Uncompilable(GuestAddr),
}

/// A loaded program.
pub struct Process {
    /// The first thread.
    pub(crate) main: Thread,
    pipeline: Arc<TranslationPipeline>,
    entry: GuestAddr,
}

impl Process {
    /// Loads a program: checks its file, maps it, and lays out its stack as the kernel does.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        let file = open(&options.program)?;
        let elf = |source| LoadError::Elf { path: options.program.clone(), source };
        // What ends above the smallest address space that is used is refused for all.
        let image = Image::parse(&file, 1 << 46).map_err(elf)?;
        let sysroot = options.sysroot.as_deref().map(check_sysroot).transpose()?;

        let pipeline = Arc::new(TranslationPipeline::new(image.arch, options.translation)?);
        let hwcap = pipeline.guest().hwcap(pipeline.extensions());
        let identity = identity(&file, &options.program);
        let load = |placement| Loaded::new(&image, &file, &identity, options, hwcap, placement);
        let direct = load(Placement::Direct);
        let loaded = match direct {
            Err(LoadError::Memory { source: MemError::Exists { .. } | MemError::Occupied { .. }, .. }) => {
                load(Placement::Reserved { size: RESERVATION })
            }
            other => other,
        }?;

        let space = Arc::new(loaded.space);
        let engine = Engine::new(pipeline.clone(), space.clone(), options.engine.clone())?;
        host::spare_system_calls(&space);
        let mut vcpu = engine.vcpu();
        abi::start(vcpu.state_mut(), loaded.entry, loaded.stack.pointer);
        host::signal::inherit_pipe();
        let kernel = Arc::new(Kernel::new(Origin {
            space,
            engine,
            sigreturn: loaded.sigreturn,
            sysroot,
            program: identity.path.clone(),
            args: loaded.args,
            auxv: loaded.auxv,
            isa: pipeline.guest().isa_text(pipeline.extensions()),
            tracer: options.strace.then_some(Tracer),
        }));
        Ok(Self { main: Thread::first(kernel, vcpu), pipeline, entry: loaded.entry })
    }

    /// The guest's memory.
    #[must_use]
    pub fn memory(&self) -> &AddressSpace {
        &self.main.kernel.space
    }

    /// Address of the program's first instruction.
    #[must_use]
    pub const fn entry(&self) -> GuestAddr {
        self.entry
    }

    /// What the engine has done so far.
    #[must_use]
    pub fn engine_stats(&self) -> EngineStats {
        self.main.kernel.engine.stats()
    }

    /// What the translation pipeline has done so far.
    #[must_use]
    pub fn translation_stats(&self) -> TranslationStats {
        self.pipeline.stats()
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("program", &self.main.kernel.program)
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// Opens a program's file, and makes sure that it is a file: opening a pipe would wait.
fn open(path: &Path) -> Result<File, LoadError> {
    let failed = |source| LoadError::Open { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(LoadError::NotAFile { path: path.to_owned() });
    }
    File::open(path).map_err(failed)
}

fn check_sysroot(path: &Path) -> Result<PathBuf, LoadError> {
    match std::fs::canonicalize(path) {
        Ok(real) if real.is_dir() => Ok(real),
        _ => Err(LoadError::Sysroot { path: path.to_owned() }),
    }
}

/// An address space with a program in it.
struct Loaded {
    space: AddressSpace,
    entry: GuestAddr,
    stack: Stack,
    sigreturn: GuestAddr,
    args: Vec<Vec<u8>>,
    auxv: Vec<u8>,
}

impl Loaded {
    fn new(
        image: &Image,
        file: &File,
        identity: &Arc<FileIdentity>,
        options: &Options,
        hwcap: u64,
        placement: Placement,
    ) -> Result<Self, LoadError> {
        let memory = |source| LoadError::Memory { path: options.program.clone(), source };
        let space = AddressSpace::new(placement).map_err(memory)?;
        let bias = map_image(&space, image, file, identity).map_err(memory)?;
        let (bottom, top) = map_stack(&space).map_err(memory)?;
        let (vdso, sigreturn) = map_vdso(&space, image.arch).map_err(memory)?;

        let name = options.program.as_os_str();
        let argv0 = options.argv0.as_deref().unwrap_or(name);
        let args = c_strings([argv0].into_iter().chain(options.args.iter().map(OsString::as_os_str)))?;
        let env = c_strings(options.env.iter().map(OsString::as_os_str))?;
        let entry = image.entry.offset(bias);
        let headers = if image.headers.get() == 0 { 0 } else { image.headers.offset(bias).get() };
        let id = |call, what| host::call(call, &mut []).map_err(|errno| LoadError::Host { what, errno });
        let auxv = [
            (at::SYSINFO_EHDR, vdso.get()),
            (at::MINSIGSTKSZ, abi::MIN_SIGNAL_STACK),
            (at::HWCAP, hwcap),
            (at::PAGESZ, PAGE_SIZE),
            (at::CLKTCK, CLOCK_TICKS),
            (at::PHDR, headers),
            (at::PHENT, 56),
            (at::PHNUM, image.header_count.into()),
            (at::BASE, 0),
            (at::FLAGS, 0),
            (at::ENTRY, entry.get()),
            (at::UID, id(&host::GETUID, "getuid")?),
            (at::EUID, id(&host::GETEUID, "geteuid")?),
            (at::GID, id(&host::GETGID, "getgid")?),
            (at::EGID, id(&host::GETEGID, "getegid")?),
            (at::SECURE, 0),
        ];
        let random = host::random_bytes().map_err(|errno| LoadError::Host { what: "getrandom", errno })?;
        let contents = Contents { args: &args, env: &env, file_name: name.as_bytes(), random, auxv: &auxv };
        // As the kernel: strings take a quarter of the stack at most.
        let lowest = GuestAddr::new(top.get() - (top.get() - bottom.get()) / 4);
        let stack = contents.lay_out(top, lowest).ok_or(LoadError::TooManyArguments)?;
        User(&space)
            .put_bytes(stack.pointer.get(), &stack.bytes)
            .map_err(|_| memory(MemError::Unmapped { addr: stack.pointer }))?;
        let auxv = stack.auxv(args.len(), env.len());
        Ok(Self { space, entry, stack, sigreturn, args, auxv })
    }
}

fn c_strings<'a>(strings: impl Iterator<Item = &'a OsStr>) -> Result<Vec<Vec<u8>>, LoadError> {
    strings
        .map(|string| {
            let bytes = string.to_owned().into_vec();
            if bytes.contains(&0) { Err(LoadError::NulByte) } else { Ok(bytes) }
        })
        .collect()
}

/// Maps the segments of `image`; returns how far they are from the addresses in the file.
fn map_image(space: &AddressSpace, image: &Image, file: &File, identity: &Arc<FileIdentity>) -> Result<i64, MemError> {
    let span = image.span();
    let bias = if image.position_independent {
        let at = space.find_gap(span.len() + STACK_GUARD, PAGE_SIZE, Gap::Above(GuestAddr::new(LOAD_ADDRESS)))?;
        at.offset_from(span.start())
    } else {
        0
    };
    // Taken as a whole first, so that nothing foreign is between segments.
    let start = span.start().offset(bias);
    let hold = MapRequest { noreserve: true, ..MapRequest::anonymous(span.len(), Perms::NONE) };
    space.map(hold.at(Place::FixedNoReplace(start)))?;
    space.unmap(start, span.len())?;
    for segment in &image.segments {
        map_segment(space, segment, bias, file, identity)?;
    }
    space.set_heap(span.end().offset(bias));
    Ok(bias)
}

fn identity(file: &File, path: &Path) -> Arc<FileIdentity> {
    let (device, inode) = file.metadata().map_or((0, 0), |meta| (meta.dev(), meta.ino()));
    Arc::new(FileIdentity { path: std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), device, inode })
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
            // The rest of the last page shows what follows in the file. A segment that cannot be written keeps it, as
            // it does under a kernel.
            let tail = vec![0; (zeros_from.get().min(end) - file_end.get()) as usize];
            let _ = User(space).put_bytes(file_end.get(), &tail);
        }
    }
    let end = pages.end().offset(bias);
    if end > zeros_from {
        let request = MapRequest::anonymous(end.get() - zeros_from.get(), segment.perms);
        space.map(request.at(Place::Fixed(zeros_from)))?;
    }
    Ok(())
}

/// Maps the stack; returns its bottom and top.
fn map_stack(space: &AddressSpace) -> Result<(GuestAddr, GuestAddr), MemError> {
    let size = host::stack_limit().unwrap_or(DEFAULT_STACK);
    let size = size.clamp(STACK_RANGE.0, STACK_RANGE.1) & !(PAGE_SIZE - 1);
    let request = MapRequest { noreserve: true, ..MapRequest::anonymous(size, Perms::READ | Perms::WRITE) };
    let bottom = space.map(request.named("[stack]"))?;
    space.set_mmap_top(GuestAddr::new(bottom.get().saturating_sub(STACK_GUARD)));
    Ok((bottom, bottom.offset(size as i64)))
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
