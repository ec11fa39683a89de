//! `maps`, `smaps` and `smaps_rollup`: the guest's mappings, in the columns of a kernel (`fs/proc/task_mmu.c`).

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use vm_mem::{Backing, Region, Sharing};

use crate::errno::Errno;
use crate::kernel::Kernel;

/// Where names begin, if what stands before is not longer.
const NAME_COLUMN: usize = 73;

/// `/proc/self/maps`.
pub(super) fn maps(k: &Kernel) -> Vec<u8> {
    let host = HostMappings::read(k, "maps").unwrap_or_default();
    k.space.regions().iter().flat_map(|region| line(k, region, &host)).collect()
}

/// The line of one mapping.
fn line(k: &Kernel, region: &Region, host: &HostMappings) -> Vec<u8> {
    let mode = match region.sharing {
        Sharing::Private => 'p',
        Sharing::Shared => 's',
    };
    let (offset, device, inode, name) = match &region.backing {
        Backing::File { file, offset } => {
            let name = host.name_at(region.range.start().get(), file.inode);
            let name = name.unwrap_or_else(|| file.path.as_os_str().as_bytes().to_vec());
            (*offset, file.device, file.inode, escaped(&k.view.shown_name(&name)))
        }
        Backing::Anonymous if region.sharing == Sharing::Shared => host.shared_at(region.range.start().get()),
        Backing::Anonymous => (0, 0, 0, region.name.as_deref().unwrap_or_default().as_bytes().to_vec()),
    };
    let mut text = String::new();
    let _ = write!(
        text,
        "{:08x}-{:08x} {}{mode} {offset:08x} {:02x}:{:02x} {inode} ",
        region.range.start().get(),
        region.range.end().get(),
        region.perms,
        libc::major(device),
        libc::minor(device),
    );
    with_name(text, &name)
}

fn with_name(mut text: String, name: &[u8]) -> Vec<u8> {
    if !name.is_empty() {
        // At least one blank more than the one behind the inode.
        let width = (text.len() + 1).max(NAME_COLUMN);
        while text.len() < width {
            text.push(' ');
        }
    }
    [text.as_bytes(), name, b"\n"].concat()
}

/// A file's name with the bytes that would end the line as octal numbers.
fn escaped(name: &[u8]) -> Vec<u8> {
    name.iter().flat_map(|byte| if *byte == b'\n' { b"\\012".to_vec() } else { vec![*byte] }).collect()
}

/// `/proc/self/smaps`: the lines of `maps`, each with the host's numbers of its pages.
pub(super) fn smaps(k: &Kernel) -> Result<Vec<u8>, Errno> {
    let host = HostMappings::read(k, "smaps")?;
    let mut out = Vec::new();
    for region in k.space.regions() {
        let (start, end) = (region.range.start().get(), region.range.end().get());
        out.extend(line(k, &region, &host));
        out.extend(numbers(&host.sum(start, end), Some(end - start)).into_bytes());
    }
    Ok(out)
}

/// `/proc/self/smaps_rollup`.
pub(super) fn rollup(k: &Kernel) -> Result<Vec<u8>, Errno> {
    let host = HostMappings::read(k, "smaps")?;
    let regions = k.space.regions();
    let start = regions.first().map_or(0, |region| region.range.start().get());
    let end = regions.last().map_or(0, |region| region.range.end().get());
    let head = with_name(format!("{start:08x}-{end:08x} ---p 00000000 00:00 0 "), b"[rollup]");
    let fields = host.sum(0, u64::MAX);
    let sums = fields.iter().filter(|(name, value)| {
        matches!(value, Value::KiB(_)) && !matches!(name.as_str(), "Size" | "KernelPageSize" | "MMUPageSize")
    });
    let sums: Vec<_> = sums.cloned().collect();
    Ok([head, numbers(&sums, None).into_bytes()].concat())
}

fn numbers(fields: &[(String, Value)], size: Option<u64>) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        let label = format!("{name}:");
        match (value, size) {
            (Value::KiB(_), Some(size)) if name == "Size" => {
                let _ = writeln!(out, "{label:<16}{:>8} kB", size / 1024);
            }
            (Value::KiB(number), _) => {
                let _ = writeln!(out, "{label:<16}{number:>8} kB");
            }
            (Value::Text(text), _) => {
                let _ = writeln!(out, "{label}{text}");
            }
        }
    }
    out
}

/// Bytes of guest memory that are in the host's memory, by what is behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resident {
    pub(super) anonymous: u64,
    pub(super) file: u64,
    pub(super) swapped: u64,
}

/// How much of the guest's memory is in the host's.
pub(super) fn resident(k: &Kernel) -> Result<Resident, Errno> {
    let fields = HostMappings::read(k, "smaps")?.sum(0, u64::MAX);
    let bytes = |wanted: &str| {
        fields.iter().find(|(name, _)| name == wanted).map_or(0, |(_, value)| match value {
            Value::KiB(number) => number * 1024,
            Value::Text(_) => 0,
        })
    };
    let anonymous = bytes("Anonymous");
    Ok(Resident { anonymous, file: bytes("Rss").saturating_sub(anonymous), swapped: bytes("Swap") })
}

/// A line below a mapping in `smaps`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A number of KiB.
    KiB(u64),
    /// Something else, as it stands behind the colon.
    Text(String),
}

/// One mapping of this process as the host sees it.
#[derive(Clone, Debug, Default)]
struct HostMapping {
    /// Guest addresses.
    start: u64,
    end: u64,
    offset: u64,
    device: u64,
    inode: u64,
    name: Vec<u8>,
    fields: Vec<(String, Value)>,
}

/// The host's mappings that are the guest's memory.
#[derive(Clone, Debug, Default)]
struct HostMappings(Vec<HostMapping>);

impl HostMappings {
    /// Reads `/proc/self/maps` or `/proc/self/smaps` of the host.
    fn read(k: &Kernel, file: &str) -> Result<Self, Errno> {
        let text = std::fs::read(format!("/proc/self/{file}"))?;
        let view = k.space.view();
        Ok(Self::parse(&text, view.base as u64, view.limit))
    }

    /// Those of the lines that describe guest memory, which begins at host address `base` and is `limit` bytes long.
    fn parse(text: &[u8], base: u64, limit: u64) -> Self {
        let mut all: Vec<HostMapping> = Vec::new();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if let Some(mapping) = HostMapping::parse(line) {
                all.push(mapping);
            } else if let (Some(mapping), Some(field)) = (all.last_mut(), field(line)) {
                mapping.fields.push(field);
            }
        }
        let guest = all.into_iter().filter_map(|mapping| {
            let (start, end) = (mapping.start.checked_sub(base)?, mapping.end.checked_sub(base)?);
            (end <= limit).then_some(HostMapping { start, end, ..mapping })
        });
        Self(guest.collect())
    }

    fn at(&self, addr: u64) -> Option<&HostMapping> {
        let index = self.0.partition_point(|mapping| mapping.end <= addr);
        self.0.get(index).filter(|mapping| mapping.start <= addr)
    }

    /// What the host calls the file `inode` that is mapped at `addr` now: it may have been renamed or removed.
    fn name_at(&self, addr: u64, inode: u64) -> Option<Vec<u8>> {
        let mapping = self.at(addr)?;
        (mapping.inode == inode && !mapping.name.is_empty()).then(|| mapping.name.replace_newlines())
    }

    /// Offset, device, inode and name of the shared memory at `addr`, which a kernel has a file for.
    fn shared_at(&self, addr: u64) -> (u64, u64, u64, Vec<u8>) {
        self.at(addr).map_or_else(Default::default, |mapping| {
            (mapping.offset + (addr - mapping.start), mapping.device, mapping.inode, mapping.name.clone())
        })
    }

    /// What the lines below the mappings in `start..end` say together. A mapping that only lies in there with a part
    /// counts by that part's share of its pages.
    fn sum(&self, start: u64, end: u64) -> Vec<(String, Value)> {
        let mut out: Vec<(String, Value)> = Vec::new();
        for mapping in self.0.iter().filter(|mapping| mapping.start < end && mapping.end > start) {
            let part = u128::from(mapping.end.min(end) - mapping.start.max(start));
            let share = |number: u64| (u128::from(number) * part / u128::from(mapping.end - mapping.start)) as u64;
            for (name, value) in &mapping.fields {
                let known = out.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value);
                match (known, value) {
                    (Some(Value::KiB(sum)), Value::KiB(number)) if !name.ends_with("PageSize") => {
                        *sum += share(*number)
                    }
                    (Some(_), _) => {}
                    (None, Value::KiB(number)) if !name.ends_with("PageSize") => {
                        out.push((name.clone(), Value::KiB(share(*number))));
                    }
                    (None, value) => out.push((name.clone(), value.clone())),
                }
            }
        }
        out
    }
}

/// A name as it was before it was printed.
trait Unescape {
    fn replace_newlines(&self) -> Vec<u8>;
}

impl Unescape for Vec<u8> {
    fn replace_newlines(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        let mut rest = self.as_slice();
        while let Some((first, tail)) = rest.split_first() {
            match rest.strip_prefix(b"\\012") {
                Some(tail) => {
                    out.push(b'\n');
                    rest = tail;
                }
                None => {
                    out.push(*first);
                    rest = tail;
                }
            }
        }
        out
    }
}

impl HostMapping {
    /// Reads a line of `maps`; `None` if it is none.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut rest = line;
        let mut word = || {
            let start = rest.iter().position(|byte| *byte != b' ')?;
            let end = rest[start..].iter().position(|byte| *byte == b' ').map_or(rest.len(), |len| start + len);
            let word = std::str::from_utf8(&rest[start..end]).ok()?;
            rest = &rest[end..];
            Some(word)
        };
        let (start, end) = word()?.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let _mode = word()?;
        let offset = u64::from_str_radix(word()?, 16).ok()?;
        let (major, minor) = word()?.split_once(':')?;
        let device = libc::makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        let inode = word()?.parse().ok()?;
        let name = rest.iter().position(|byte| *byte != b' ').map_or_else(Vec::new, |at| rest[at..].to_vec());
        Some(Self { start, end, offset, device, inode, name, fields: Vec::new() })
    }
}

/// Reads a line below a mapping: a number of KiB, or another text.
fn field(line: &[u8]) -> Option<(String, Value)> {
    let line = std::str::from_utf8(line).ok()?;
    let (name, value) = line.split_once(':')?;
    let number = value.trim().strip_suffix(" kB").and_then(|number| number.trim().parse().ok());
    Some((name.to_owned(), number.map_or_else(|| Value::Text(value.to_owned()), Value::KiB)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as a kernel printed them.
    const SMAPS: &str = "\
7f0000001000-7f0000003000 r-xp 00000000 103:02 173521                     /usr/bin/da sh
Size:                  8 kB
KernelPageSize:        4 kB
Rss:                   8 kB
Anonymous:             4 kB
THPeligible:           0
VmFlags: rd ex mr mw me
7f0000003000-7f0000005000 rw-s 00001000 00:01 77                         /dev/zero (deleted)
Size:                  8 kB
KernelPageSize:        4 kB
Rss:                   4 kB
Anonymous:             0 kB
THPeligible:           0
VmFlags: rd wr sh
7fff00000000-7fff00001000 rw-p 00000000 00:00 0
Size:                  4 kB
Rss:                   4 kB
";

    #[test]
    fn the_hosts_mappings_are_read() {
        let host = HostMappings::parse(SMAPS.as_bytes(), 0x7f00_0000_0000, 1 << 30);
        assert_eq!(host.0.len(), 2);
        assert_eq!((host.0[0].start, host.0[0].end), (0x1000, 0x3000));
        assert_eq!(host.name_at(0x2000, 173_521), Some(b"/usr/bin/da sh".to_vec()));
        assert_eq!(host.name_at(0x2000, 1), None);
        let shared = (0x2000, libc::makedev(0, 1), 77, b"/dev/zero (deleted)".to_vec());
        assert_eq!(host.shared_at(0x4000), shared);
        let value = |fields: &[(String, Value)], wanted: &str| {
            fields.iter().find(|(name, _)| name == wanted).unwrap().1.clone()
        };
        let all = host.sum(0, u64::MAX);
        assert_eq!((value(&all, "Rss"), value(&all, "Anonymous")), (Value::KiB(12), Value::KiB(4)));
        assert_eq!(value(&all, "KernelPageSize"), Value::KiB(4));
        let half = host.sum(0x4000, 0x5000);
        assert_eq!((value(&half, "Rss"), value(&half, "VmFlags")), (Value::KiB(2), Value::Text(" rd wr sh".into())));
        let text = numbers(&half, Some(4096));
        assert!(text.starts_with("Size:                  4 kB\nKernelPageSize:        4 kB\n"), "{text}");
    }

    /// Columns as a kernel printed them.
    #[test]
    fn names_stand_in_their_column() {
        for expected in [
            "7f0000003000-7f0000005000 rw-s 00001000 00:01 77                         /dev/zero (deleted)\n",
            "558ec17f2000-558ec17f6000 r--p 00000000 fe:00 10158                      /usr/bin/cat\n",
        ] {
            let name = expected.split_whitespace().skip(5).collect::<Vec<_>>().join(" ");
            let head: Vec<&str> = expected.split_whitespace().take(5).collect();
            let line = with_name(head.join(" ") + " ", name.as_bytes());
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
        assert_eq!(with_name("1-2 rw-p 0 00:00 0 ".into(), b""), b"1-2 rw-p 0 00:00 0 \n");
        assert_eq!(escaped(b"a\nb"), b"a\\012b");
    }
}
