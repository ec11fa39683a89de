//! What the files say.

use std::fmt::Write as _;

use crate::errno::Errno;
use crate::kernel::Kernel;

use super::{Content, maps, status};
use crate::calls::info::MACHINE;

/// `syscall` of a thread that makes none: that of the host is a call of the emulator, with its numbers and addresses.
pub(super) const SYSCALL: &[u8] = b"running\n";

/// The content of a file of the process, or of its thread `tid`.
///
/// # Errors
/// What the kernel says of the host's file that it is made from.
pub(super) fn of(k: &Kernel, content: Content, tid: Option<i32>) -> Result<Vec<u8>, Errno> {
    Ok(match content {
        Content::Arch => arch()?,
        Content::Auxv => k.auxv.clone(),
        Content::CmdLine => command_line(k),
        Content::CpuInfo => cpuinfo(&k.isa, &online()).into_bytes(),
        Content::Environ => {
            let (start, end) = k.landmarks.env;
            k.user().some_bytes(start, (end - start) as usize)
        }
        Content::Limits => status::limits(k)?,
        Content::Maps => maps::maps(k),
        Content::Sched => status::sched(k, tid)?,
        Content::Smaps => maps::smaps(k)?,
        Content::SmapsRollup => maps::rollup(k)?,
        Content::Stat => status::stat(k, tid)?,
        Content::StatM => status::statm(k)?,
        Content::Status => status::status(k, tid)?,
        Content::Syscall => SYSCALL.to_vec(),
    })
}

/// `/proc/sys/kernel/arch`, which not every kernel has.
fn arch() -> Result<Vec<u8>, Errno> {
    std::fs::metadata("/proc/sys/kernel/arch")?;
    Ok([MACHINE, b"\n"].concat())
}

/// The arguments as they are in the program's memory now: a program that writes over them renames itself.
fn command_line(k: &Kernel) -> Vec<u8> {
    let (start, end) = k.landmarks.args;
    let args = k.user().some_bytes(start, (end - start) as usize);
    if args.last().is_none_or(|last| *last == 0) {
        return args;
    }
    // As the kernel (`get_mm_cmdline`): without its NUL byte the text goes on into the environment's place.
    let env_end = k.landmarks.env.1;
    let mut text = k.user().some_bytes(start, (env_end - start) as usize);
    let len = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(len);
    text
}

/// Numbers of the processors that are online, which are those that a kernel lists.
fn online() -> Vec<u32> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
    });
    let online: Vec<u32> = ranges.flatten().collect();
    if online.is_empty() { vec![0] } else { online }
}

/// `/proc/cpuinfo` of processors with these extensions, as the kernel prints it (`arch/riscv/kernel/cpu.c`).
fn cpuinfo(isa: &str, processors: &[u32]) -> String {
    let mut out = String::new();
    for number in processors {
        let _ = write!(
            out,
            "processor\t: {number}\nhart\t\t: {number}\nisa\t\t: {isa}\nmmu\t\t: sv48\n\
             mvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0\nhart isa\t: {isa}\n\n"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_listed_one_by_one() {
        let text = cpuinfo("rv64imafdc", &[0, 3]);
        let block = "hart\t\t: 3\nisa\t\t: rv64imafdc\nmmu\t\t: sv48\nmvendorid\t: 0x0\n";
        assert!(text.contains(block) && text.ends_with("hart isa\t: rv64imafdc\n\n"), "{text}");
        assert_eq!(text.matches("processor\t: ").count(), 2);
        // The machine that runs this has at least one.
        assert_eq!(online().len(), std::thread::available_parallelism().unwrap().get().max(online().len()));
    }
}
