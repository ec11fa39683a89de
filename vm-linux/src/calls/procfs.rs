//! The files below `/proc` that describe the process and the processor: the guest's, not the emulator's.

use std::ffi::{CStr, CString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use vm_mem::{Backing, Region, Sharing};

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::Kernel;

/// What `path` names in the directory of this process, such as `maps`.
fn own_entry(path: &CStr) -> Option<&str> {
    let rest = path.to_str().ok()?.strip_prefix("/proc/")?;
    let (process, entry) = rest.split_once('/')?;
    (process == "self" || process == "thread-self" || process.parse() == Ok(std::process::id())).then_some(entry)
}

/// Where a link of `/proc` leads that would lead to the emulator.
pub(crate) fn link(k: &Kernel, path: &CStr) -> Option<CString> {
    if own_entry(path)? != "exe" {
        return None;
    }
    CString::new(k.program.as_os_str().as_bytes()).ok()
}

/// The content of a file of `/proc` that would describe the emulator or the host's processor.
pub(crate) fn file(k: &Kernel, path: &CStr) -> Option<Vec<u8>> {
    if path.to_bytes() == b"/proc/cpuinfo" {
        return Some(cpuinfo(&k.isa).into_bytes());
    }
    match own_entry(path)? {
        "maps" => Some(k.space.regions().iter().map(maps_line).collect::<String>().into_bytes()),
        "cmdline" => Some(k.args.iter().flat_map(|arg| arg.iter().copied().chain([0])).collect()),
        "auxv" => Some(k.auxv.clone()),
        _ => None,
    }
}

/// A line of `/proc/self/maps`.
fn maps_line(region: &Region) -> String {
    let (offset, device, inode, name) = match &region.backing {
        Backing::File { file, offset } => (*offset, file.device, file.inode, file.path.display().to_string()),
        Backing::Anonymous => (0, 0, 0, region.name.as_deref().unwrap_or_default().to_owned()),
    };
    let mode = match region.sharing {
        Sharing::Private => 'p',
        Sharing::Shared => 's',
    };
    let mut line = String::new();
    let _ = write!(
        line,
        "{:08x}-{:08x} {}{mode} {offset:08x} {:02x}:{:02x} {inode} ",
        region.range.start().get(),
        region.range.end().get(),
        region.perms,
        libc::major(device),
        libc::minor(device),
    );
    // Names stand in column 74, where there is room.
    let line = if name.is_empty() { line } else { format!("{line:<73}{name}") };
    line + "\n"
}

/// `/proc/cpuinfo` of one processor with these extensions, as the kernel prints it.
fn cpuinfo(isa: &str) -> String {
    format!("processor\t: 0\nhart\t\t: 0\nisa\t\t: {isa}\nmmu\t\t: sv48\n\n")
}

/// Opens a file with this content, for reading.
///
/// # Errors
/// `EACCES` if it is to be written; what the kernel says if it cannot be made.
pub(crate) fn open(content: &[u8], flags: u64) -> Result<u64, Errno> {
    if flags & libc::O_ACCMODE as u64 != libc::O_RDONLY as u64 {
        return Err(Errno::EACCES);
    }
    let cloexec = if flags & libc::O_CLOEXEC as u64 != 0 { libc::MFD_CLOEXEC } else { 0 };
    let fd = host::call(&host::MEMFD_CREATE, &mut [Arg::Str(c"proc"), Arg::Int(cloexec.into())])?;
    let mut content = content.to_vec();
    let size = content.len() as u64;
    host::call(&host::PWRITE64, &mut [Arg::Int(fd), Arg::Bytes(&mut content), Arg::Int(size), Arg::Int(0)])?;
    Ok(fd)
}
