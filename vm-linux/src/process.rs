//! [`Process`]: a program loaded into an address space of its own, and run until it ends.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use vm_core::GuestAddr;
use vm_cross_arch_support::{PipelineError, TranslationOptions, TranslationPipeline, TranslationStats};
use vm_engine::{CodeObserver, Config, Engine, EngineError, EngineStats, Profile};
use vm_mem::{AddressSpace, FileIdentity, MemError};

use crate::abi;
use crate::calls::proc::stack_limit;
use crate::elf::ElfError;
use crate::errno::Errno;
use crate::exec::{self, Found, Open, Target};
use crate::handover::{self, InheritedState, Settings};
use crate::host;
use crate::kernel::{Kernel, Origin};
use crate::load::Loaded;
use crate::paths::{self, View};
use crate::perf::CodeLog;
use crate::signal::{self, Actions};
use crate::symbols::Place;
use crate::thread::{SIGSETXID, Thread};
use crate::trace::{TraceOptions, Tracer};

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The program's file, as the host names it, or the guest if there is a root; also what the program finds as the name
    /// it was executed by.
    pub program: PathBuf,
    /// The file itself, if it is open already.
    pub file: Option<Arc<File>>,
    /// Arguments after the program's own name.
    pub args: Vec<OsString>,
    /// What the program finds as its own name; by default the file as given.
    pub argv0: Option<OsString>,
    /// The environment, `NAME=value` each.
    pub env: Vec<OsString>,
    /// Where absolute file names of the guest are looked up first. Not used with a root.
    pub sysroot: Option<PathBuf>,
    /// The guest's root directory: no name of a file leads out of it. [`Process::load`] changes into it if the process is
    /// in a directory outside.
    pub root: Option<PathBuf>,
    /// Which system calls are shown in the manner of strace, and where; `None` shows none.
    pub strace: Option<TraceOptions>,
    /// The program that takes this one's place when the guest executes another program, such as `/proc/self/exe`: it is
    /// started with the guest's arguments and environment, and has to begin with [`Handover::take`](crate::Handover::take).
    /// Without one `execve` is refused.
    pub emulator: Option<PathBuf>,
    /// Text that goes on to such a program.
    pub carried: String,
    /// What a program before this one left, as [`Handover::take`](crate::Handover::take) gives it.
    pub inherited: Option<InheritedState>,
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
    /// The interpreter of a dynamically linked program is not one that can be loaded.
    #[error("{}: its interpreter {}: {source}", path.display(), on_one_line(interpreter))]
    BadInterpreter {
        /// The file.
        path: PathBuf,
        /// The interpreter, as the guest names it.
        interpreter: PathBuf,
        /// Why.
        source: ElfError,
    },
    /// The file's first line names no interpreter.
    #[error("{}: the first line names no interpreter", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The interpreter of a script or of a dynamically linked program cannot be opened.
    #[error("{}: its interpreter {} cannot be opened: {} ({hint})", path.display(), on_one_line(interpreter), os_text(source))]
    Interpreter {
        /// The file.
        path: PathBuf,
        /// The interpreter, as the guest names it.
        interpreter: PathBuf,
        /// Why.
        source: io::Error,
        /// What usually helps.
        hint: &'static str,
    },
    /// Interpreters of interpreters of interpreters.
    #[error("{}: its interpreter is a script, whose interpreter is a script, and so on", path.display())]
    TooManyInterpreters {
        /// The file.
        path: PathBuf,
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
    /// The root is not a directory.
    #[error("root {}: not a directory", path.display())]
    Root {
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

/// A name that a file gives, with what would break or colour the line of a message written out.
fn on_one_line(path: &Path) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    path.to_string_lossy().chars().map(escaped).collect()
}

impl LoadError {
    /// The exit status with which a shell reports it: 127 if there is no such file, 126 if it cannot be executed.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Open { source, .. } | Self::Interpreter { source, .. }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                127
            }
            _ => 126,
        }
    }

    /// The signal that ends a process that has executed the program, if a kernel finds this when the program before is
    /// gone.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        let late = match self {
            Self::Elf { source, .. } => source.is_found_late(),
            // Its type is looked at last.
            Self::BadInterpreter { source, .. } => {
                source.is_found_late() || matches!(source, ElfError::WrongType { .. })
            }
            Self::Memory { .. } => true,
            _ => false,
        };
        late.then_some(libc::SIGSEGV)
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
        let view = View::new(options.sysroot.as_deref(), options.root.as_deref())?;
        view.enter().map_err(|errno| LoadError::Host { what: "fchdir", errno })?;
        let found = program(options, &view)?;
        let env = c_strings(&options.env)?;
        let pipeline = Arc::new(TranslationPipeline::new(found.program.image.arch, options.translation)?);
        let hwcap = pipeline.guest().hwcap(pipeline.extensions());
        let limits = options.inherited.as_ref().map_or(&[][..], |inherited| &inherited.limits);
        let loaded = Loaded::new(&found, &env, hwcap, stack_limit(limits))?;

        loaded.show_in_proc();
        let space = Arc::new(loaded.space);
        let ignored = signal::ignored(&[SIGSETXID]);
        // The guest's descriptors are the process's, and neither pipeline nor memory needs any to compile.
        let config = Config { detach_descriptors: true, ..options.engine.clone() };
        let engine = Engine::new(pipeline.clone(), space.clone(), config)?;
        host::spare_system_calls(&space);
        let mut vcpu = engine.vcpu();
        abi::start(vcpu.state_mut(), loaded.entry, loaded.stack);
        host::signal::inherit_pipe();
        // A program that was executed by its descriptor alone is known by the name of its file.
        let by_descriptor = options.file.is_some() && options.program.starts_with("/dev/fd");
        let name = if by_descriptor { own_name(&found.program.identity) } else { options.program.as_os_str() };
        handover::set_name(name);
        let trace = |errno| LoadError::Host { what: "the file that system calls are shown in", errno };
        let tracer = options.strace.as_ref().map(Tracer::new).transpose().map_err(trace)?;
        let actions = Actions::inherited(ignored, tracer.is_some());
        let origin = Origin {
            space,
            engine,
            sigreturn: loaded.sigreturn,
            program: OsString::from_vec(view.shown_name(found.program.identity.path.as_os_str().as_bytes())).into(),
            view,
            settings: Settings::of(options),
            landmarks: loaded.landmarks,
            auxv: loaded.auxv,
            isa: pipeline.guest().isa_text(pipeline.extensions()),
            tracer,
        };
        let kernel = Arc::new(Kernel::new(origin, actions));
        let mut main = Thread::first(kernel, vcpu);
        if let Some(inherited) = &options.inherited {
            main.inherit(inherited);
        }
        Ok(Self { main, pipeline, entry: loaded.entry })
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

    /// Begins to sample what the process's threads do, a thousand times a second. What forked children do is not seen.
    pub fn start_profile(&self) {
        self.main.kernel.engine.start_profile(Duration::from_millis(1));
    }

    /// What was sampled so far, if anything was.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        self.main.kernel.engine.profile()
    }

    /// A log of the machine code that is made from now on; with the code itself if `keeps_bytes`. At most one log of a
    /// process is filled.
    #[must_use]
    pub fn log_code(&self, keeps_bytes: bool) -> Arc<CodeLog> {
        let log = Arc::new(CodeLog::new(Arc::clone(&self.main.kernel.space), keeps_bytes));
        self.main.kernel.engine.observe_code(Arc::clone(&log) as Arc<dyn CodeObserver>);
        log
    }

    /// Where the guest code at `addr` comes from, by what is mapped now.
    #[must_use]
    pub fn place(&self, addr: GuestAddr) -> Place {
        Place::of(&self.main.kernel.space, addr)
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

/// The last name that a file has had: the host shows that of one which has none any more with a remark behind.
fn own_name(file: &FileIdentity) -> &OsStr {
    let shown = file.path.as_os_str();
    let is_there = || {
        let found = file.path.symlink_metadata();
        found.is_ok_and(|found| (found.dev(), found.ino()) == (file.device, file.inode))
    };
    match shown.as_bytes().strip_suffix(b" (deleted)") {
        Some(name) if !is_there() => OsStr::from_bytes(name),
        Some(_) | None => shown,
    }
}

/// The program that `options` ask for.
fn program(options: &Options, view: &View) -> Result<Found, LoadError> {
    let name = options.program.as_os_str().as_bytes();
    let file = match &options.file {
        Some(file) => file.try_clone(),
        // Opening a pipe does not wait, and what is no file is refused afterwards.
        None => match (CString::new(name), view.is_confined()) {
            (Err(_), _) => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            (Ok(name), true) => Outside(view).open(&name),
            // Whoever starts the program names it as the host does: no sysroot is asked.
            (Ok(name), false) => Outside(&View::Host).open(&name),
        },
    };
    let file = file.map_err(|source| LoadError::Open { path: options.program.clone(), source })?;
    let argv0 = options.argv0.clone().unwrap_or_else(|| options.program.clone().into_os_string());
    let args = c_strings([&argv0].into_iter().chain(&options.args))?;
    match exec::find(&Outside(view), file, name.to_vec(), args, false)? {
        Target::Guest(found) => Ok(*found),
        Target::Foreign { error, .. } => Err(error),
    }
}

/// Opens files for a process that does not exist yet.
struct Outside<'a>(&'a View);

impl Open for Outside<'_> {
    fn open(&self, name: &CStr) -> io::Result<File> {
        let opened = self.0.open_before_start(name, paths::TO_EXECUTE);
        opened.map(host::file_of).map_err(|errno| io::Error::from_raw_os_error(errno.get()))
    }

    fn hint(&self) -> &'static str {
        self.0.hint()
    }
}

fn c_strings<'a>(strings: impl IntoIterator<Item = &'a OsString>) -> Result<Vec<Vec<u8>>, LoadError> {
    strings
        .into_iter()
        .map(|string| {
            let bytes = string.clone().into_vec();
            if bytes.contains(&0) { Err(LoadError::NulByte) } else { Ok(bytes) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_name_is_known_by_its_last_one() {
        let path = std::env::temp_dir().join(format!("tradux-{} (deleted)", std::process::id()));
        std::fs::write(&path, "").unwrap();
        let found = path.metadata().unwrap();
        let named = FileIdentity { path: path.clone(), device: found.dev(), inode: found.ino() };
        assert_eq!(own_name(&named), path.as_os_str());
        std::fs::remove_file(&path).unwrap();
        let shown = path.as_os_str().as_bytes();
        assert_eq!(own_name(&named).as_bytes(), &shown[..shown.len() - b" (deleted)".len()]);
        let in_memory = FileIdentity { path: "/memfd:x (deleted)".into(), device: 1, inode: 1 };
        assert_eq!(own_name(&in_memory), "/memfd:x");
    }
}
