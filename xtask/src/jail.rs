//! Runs one command in namespaces of its own: a private copy of a tree of packages as file system, its own processes,
//! loopback and user number. Nothing outside is changed, and no privileges are needed where the kernel lets users make
//! user namespaces.
//!
//! `cargo xtask userland` starts this program again with the hidden command `inside` for every run of a case. Three
//! processes take part: the one that was started waits and repeats how the command ended; its child is the first process
//! of the new process namespace, mounts everything and reaps; the command itself is a child of that.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

/// The command line of `inside`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Inside {
    /// The tree, which is only read
    #[arg(long)]
    lower: PathBuf,
    /// A folder for what is written and for mounts
    #[arg(long)]
    scratch: PathBuf,
    /// User and group number of the command
    #[arg(long)]
    user: u32,
    /// Make the tree the root folder of the command
    #[arg(long)]
    chroot: bool,
    /// Let the kernel run riscv64 programs with this static emulator
    #[arg(long)]
    binfmt: Option<PathBuf>,
    /// Run the command so many times, one after the other, as long as it succeeds
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// The command line that runs `words` inside, for whoever starts it.
pub(crate) fn words(inside: &Inside) -> Result<Vec<OsString>> {
    let mut line: Vec<OsString> = vec![std::env::current_exe()?.into(), "inside".into()];
    line.extend(["--lower".into(), inside.lower.clone().into(), "--scratch".into(), inside.scratch.clone().into()]);
    line.extend(["--user".into(), inside.user.to_string().into()]);
    if inside.chroot {
        line.push("--chroot".into());
    }
    if let Some(emulator) = &inside.binfmt {
        line.extend(["--binfmt".into(), emulator.clone().into()]);
    }
    line.extend(["--repeat".into(), inside.repeat.to_string().into()]);
    line.push("--".into());
    line.extend(inside.words.iter().cloned());
    Ok(line)
}

impl Inside {
    /// A run of `words` with the tree `lower`, whose changes go to `upper(scratch)`.
    pub(crate) fn new(lower: &Path, scratch: &Path, user: u32, words: Vec<OsString>) -> Inside {
        Inside {
            lower: lower.to_owned(),
            scratch: scratch.to_owned(),
            user,
            chroot: false,
            binfmt: None,
            repeat: 1,
            words,
        }
    }

    /// The same with the tree as root folder of the command.
    pub(crate) fn with_chroot(self) -> Inside {
        Inside { chroot: true, ..self }
    }

    /// The same run several times, one after the other.
    pub(crate) fn repeated(self, repeat: u32) -> Inside {
        Inside { repeat, ..self }
    }

    /// The same with riscv64 programs run by `emulator`, also those that programs start.
    pub(crate) fn with_binfmt(self, emulator: &Path) -> Inside {
        Inside { binfmt: Some(emulator.to_owned()), ..self }
    }
}

/// Where changes to the tree are kept; what is put there before a run is seen by it.
pub(crate) fn upper(scratch: &Path) -> PathBuf {
    scratch.join("upper")
}

/// Where the changed tree is mounted, seen by the command alone.
pub(crate) fn mounted(scratch: &Path) -> PathBuf {
    scratch.join("root")
}

/// Where a run that came to its end leaves what the command and all of its processes used, without what it took to make
/// their surroundings: microseconds of CPU time and the peak resident memory of the largest in KiB.
pub(crate) fn usage(scratch: &Path) -> PathBuf {
    scratch.join("report/usage")
}

/// Does what the command line says and ends as the command ended.
pub(crate) fn run(inside: &Inside) -> Result<ExitCode> {
    for folder in [
        upper(&inside.scratch),
        inside.scratch.join("overlay"),
        mounted(&inside.scratch),
        inside.scratch.join("report"),
    ] {
        fs::create_dir_all(folder)?;
    }
    die_with_parent()?;
    // Looked at before the user changes.
    let ids = own_ids();
    no_core_files();
    // SAFETY: the call has no pointers, and this process has a single thread, which a new user namespace asks for.
    let separated = unsafe {
        libc::unshare(
            libc::CLONE_NEWUSER
                | libc::CLONE_NEWNS
                | libc::CLONE_NEWPID
                | libc::CLONE_NEWNET
                | libc::CLONE_NEWUTS
                | libc::CLONE_NEWIPC,
        )
    };
    checked(separated, "new namespaces (the kernel, a container or a policy may forbid them)")?;
    // Root for the mounts; what only root may touch in them, such as the register of formats, needs a root to be there.
    map_user(0, ids)?;
    let (mut reader, writer) = pipe()?;
    // SAFETY: a single thread, so the child may go on with everything; it leaves through `exit` and never returns.
    let child = checked(unsafe { libc::fork() }, "fork")?;
    if child == 0 {
        drop(reader);
        let report = match first_process(inside) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("xtask inside: {error:#}");
                // As if the command had left with the status that shells use for what cannot be started.
                Report { status: 126 << 8, cpu: 0, peak: 0 }
            }
        };
        // The parent is there until this process ends; without it nobody wants the answer.
        drop(File::from(writer).write_all(&report.bytes()));
        std::process::exit(0);
    }
    drop(writer);
    let mut bytes = [0; Report::SIZE];
    let told = reader.read_exact(&mut bytes);
    wait_for(child)?;
    told.context("the first process inside ended early")?;
    let Report { status, cpu, peak } = Report::from(bytes);
    fs::write(usage(&inside.scratch), format!("{cpu} {peak}"))?;
    let status = std::process::ExitStatus::from_raw(status);
    if let Some(signal) = status.signal() {
        // SAFETY: no pointers but the null of a default action; this process has no handlers to disturb.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
    Ok(ExitCode::from(status.code().unwrap_or(1) as u8))
}

/// Mounts, starts the command, waits for it, and returns how it ended and what it used.
fn first_process(inside: &Inside) -> Result<Report> {
    die_with_parent()?;
    let root = mounted(&inside.scratch);
    mount_tree(inside, &root)?;
    if !inside.chroot {
        // A command that gives its programs a prefix alone must not let them write to the machine's own files.
        // Two folders stay as they are: the tree, and the one for the report of this very program.
        let report = inside.scratch.join("report");
        mount(&report, &report, None, libc::MS_BIND, "")?;
        set_read_only(Path::new("/"), true, libc::AT_RECURSIVE)?;
        set_read_only(&root, false, 0)?;
        set_read_only(&report, false, 0)?;
    }
    mount_system(&root)?;
    if let Some(emulator) = &inside.binfmt {
        register(emulator)?;
    }
    loopback_up()?;
    let name = b"userland";
    // SAFETY: pointer and length of a constant.
    checked(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }, "host name")?;
    if inside.user != 0 {
        // SAFETY: the call has no pointers, and this process has a single thread.
        checked(unsafe { libc::unshare(libc::CLONE_NEWUSER) }, "a user namespace for another user")?;
        map_user(inside.user, (0, 0))?;
    }
    if inside.chroot {
        std::os::unix::fs::chroot(&root).context("chroot")?;
        std::env::set_current_dir("/work")?;
    } else {
        std::env::set_current_dir(root.join("work"))?;
    }
    let (program, arguments) = inside.words.split_first().context("no command")?;
    let before = used_by_children().0;
    let mut status = 0;
    for _ in 0..inside.repeat.max(1) {
        let child = Command::new(program)
            .args(arguments)
            .spawn()
            .with_context(|| format!("{} could not be started", program.to_string_lossy()))?;
        status = wait_for(child.id() as libc::pid_t)?;
        if status != 0 {
            break;
        }
    }
    let (after, peak) = used_by_children();
    Ok(Report { status, cpu: after - before, peak })
}

/// What the first process tells its parent: eight bytes a number.
struct Report {
    /// A wait status.
    status: i32,
    /// Microseconds.
    cpu: u64,
    /// KiB.
    peak: u64,
}

impl Report {
    const SIZE: usize = 24;

    fn bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        for (place, number) in bytes.chunks_exact_mut(8).zip([self.status as u64, self.cpu, self.peak]) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    fn from(bytes: [u8; Self::SIZE]) -> Report {
        let mut numbers = [0; 3];
        for (number, place) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = u64::from_ne_bytes(place.try_into().unwrap_or_default());
        }
        let [status, cpu, peak] = numbers;
        Report { status: status as i32, cpu, peak }
    }
}

/// Microseconds of CPU time that children which were waited for have used, with theirs, and the peak memory of the
/// largest in KiB.
fn used_by_children() -> (u64, u64) {
    // SAFETY: `rusage` is plain data, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local of the type that the call writes; it cannot fail with these arguments.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) };
    let microseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    (microseconds(usage.ru_utime) + microseconds(usage.ru_stime), usage.ru_maxrss as u64)
}

/// The tree below a layer that takes all changes: of the scratch folder, or of memory where its file system cannot be one.
fn mount_tree(inside: &Inside, root: &Path) -> Result<()> {
    mount("none", Path::new("/"), None, libc::MS_REC | libc::MS_PRIVATE, "")?;
    let overlay = |upper: &Path, work: &Path| {
        let mut options = OsString::from("userxattr");
        for (name, path) in [("lowerdir", inside.lower.as_path()), ("upperdir", upper), ("workdir", work)] {
            if path.as_os_str().as_bytes().iter().any(|byte| b":,\\".contains(byte)) {
                bail!("{}: a comma, colon or backslash cannot be said in mount options", path.display());
            }
            options.push(format!(",{name}="));
            options.push(path);
        }
        mount("overlay", root, Some("overlay"), 0, &options)
    };
    let (kept, work) = (upper(&inside.scratch), inside.scratch.join("overlay"));
    if overlay(&kept, &work).is_ok() {
        return Ok(());
    }
    mount("tmpfs", &work, Some("tmpfs"), 0, "mode=755")?;
    let (memory, work) = (work.join("upper"), work.join("work"));
    fs::create_dir(&work)?;
    let copied = Command::new("cp").arg("-a").arg(&kept).arg(&memory).status().context("cp")?;
    if !copied.success() {
        bail!("{} cannot be copied to memory", kept.display());
    }
    overlay(&memory, &work)
}

/// `/proc`, `/sys` and `/dev` of the tree, and the machine's `/proc` for a command that is outside the tree.
fn mount_system(root: &Path) -> Result<()> {
    let hidden = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    for proc in [&root.join("proc"), Path::new("/proc")] {
        mount("proc", proc, Some("proc"), hidden, "")?;
    }
    mount("/sys", &root.join("sys"), None, libc::MS_BIND | libc::MS_REC, "")?;
    let dev = root.join("dev");
    mount("tmpfs", &dev, Some("tmpfs"), libc::MS_NOSUID, "mode=755")?;
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let (host, guest) = (Path::new("/dev").join(device), dev.join(device));
        File::create(&guest)?;
        mount(host, &guest, None, libc::MS_BIND, "")?;
    }
    fs::create_dir(dev.join("shm"))?;
    mount("tmpfs", &dev.join("shm"), Some("tmpfs"), libc::MS_NOSUID | libc::MS_NODEV, "mode=1777")?;
    fs::create_dir(dev.join("pts"))?;
    mount("devpts", &dev.join("pts"), Some("devpts"), libc::MS_NOSUID, "newinstance,ptmxmode=0666,mode=620")?;
    let links =
        [("pts/ptmx", "ptmx"), ("/proc/self/fd", "fd"), ("fd/0", "stdin"), ("fd/1", "stdout"), ("fd/2", "stderr")];
    for (to, at) in links {
        symlink(to, dev.join(at))?;
    }
    Ok(())
}

/// Tells this user namespace's own register of program formats about riscv64, which Linux has since 6.7.
fn register(emulator: &Path) -> Result<()> {
    const FOLDER: &str = "/proc/sys/fs/binfmt_misc";
    mount("binfmt_misc", Path::new(FOLDER), Some("binfmt_misc"), 0, "")
        .context("a register of program formats in a user namespace (Linux 6.7)")?;
    // ELF, 64-bit, little-endian, executable or shared object, machine 243. F: the emulator is opened now, outside the
    // tree. P: it learns the name that the program was started with.
    let magic = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00";
    let mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
    let mut line = OsString::from(format!(":riscv64:M::{magic}:{mask}:"));
    line.push(emulator);
    line.push(":PF");
    let register = Path::new(FOLDER).join("register");
    let mut file = fs::OpenOptions::new().write(true).open(&register)?;
    file.write_all(line.as_bytes()).with_context(|| format!("registering {}", emulator.display()))
}

/// A new network namespace has a loopback interface that is down.
fn loopback_up() -> Result<()> {
    // SAFETY: no pointers; the descriptor is closed by its owner below.
    let socket = checked(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }, "socket")?;
    // SAFETY: the call above made the descriptor and nobody else has it.
    let _owner = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: `ifreq` is plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is an `ifreq` with a terminated name, which this call reads and writes.
    checked(unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &mut request) }, "loopback up").map(drop)
}

fn mount(
    source: impl AsRef<OsStr>,
    target: &Path,
    kind: Option<&str>,
    flags: libc::c_ulong,
    options: impl AsRef<OsStr>,
) -> Result<()> {
    let text = |value: &OsStr| CString::new(value.as_bytes()).context("a zero byte in a mount");
    let source = text(source.as_ref())?;
    let kind = kind.map(|kind| text(kind.as_ref())).transpose()?;
    let (place, options) = (text(target.as_os_str())?, text(options.as_ref())?);
    let kind_pointer = kind.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: every pointer is null where the call allows it or to a terminated string that lives until the end of this
    // function.
    let done = unsafe { libc::mount(source.as_ptr(), place.as_ptr(), kind_pointer, flags, options.as_ptr().cast()) };
    checked(done, &format!("mount on {}", target.display())).map(drop)
}

/// Makes the mount at `place`, with `AT_RECURSIVE` also those below it, read-only or writable in this namespace.
fn set_read_only(place: &Path, read_only: bool, flags: libc::c_int) -> Result<()> {
    let path = CString::new(place.as_os_str().as_bytes()).context("a zero byte in a mount")?;
    let attribute = libc::MOUNT_ATTR_RDONLY;
    let (set, clear) = if read_only { (attribute, 0) } else { (0, attribute) };
    let change = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a terminated string and the structure has the size that is said; both live until the call ends.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    checked(done as libc::c_int, &format!("{} read-only", place.display())).map(drop)
}

/// Waits until `pid` has ended, reaping whatever else ends before, and returns its wait status.
fn wait_for(pid: libc::pid_t) -> Result<i32> {
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a live local.
        let ended = unsafe { libc::waitpid(-1, &mut status, 0) };
        if ended == pid {
            return Ok(status);
        }
        let error = std::io::Error::last_os_error();
        if ended < 0 && error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("waitpid");
        }
    }
}

/// Makes `user` the only user of this process's new user namespace, standing for these user and group outside.
fn map_user(user: u32, outside: (u32, u32)) -> Result<()> {
    fs::write("/proc/self/setgroups", "deny").context("/proc/self/setgroups")?;
    fs::write("/proc/self/uid_map", format!("{user} {} 1", outside.0)).context("/proc/self/uid_map")?;
    fs::write("/proc/self/gid_map", format!("{user} {} 1", outside.1)).context("/proc/self/gid_map")
}

/// When the process that started this one is killed, this one and with it the whole namespace must go too.
fn die_with_parent() -> Result<()> {
    // SAFETY: the call has no pointers.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }, "parent death signal").map(drop)
}

fn own_ids() -> (u32, u32) {
    // SAFETY: both calls take nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// A program that a signal kills must not fill the disk.
fn no_core_files() {
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live local. A failure costs no more than a core file.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &limit) };
}

fn pipe() -> Result<(File, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the pointer is to two live integers.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, "pipe")?;
    // SAFETY: the call made both descriptors and nobody else has them.
    Ok(unsafe { (File::from(OwnedFd::from_raw_fd(ends[0])), OwnedFd::from_raw_fd(ends[1])) })
}

fn checked(result: libc::c_int, what: &str) -> Result<libc::c_int> {
    if result < 0 {
        return Err(std::io::Error::last_os_error()).with_context(|| what.to_owned());
    }
    Ok(result)
}
