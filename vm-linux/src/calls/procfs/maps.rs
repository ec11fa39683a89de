//! `maps`, `smaps` and `smaps_rollup`: the guest's mappings, in the columns of a kernel (`fs/proc/task_mmu.c`).

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use vm_mem::{Backing, Region, Sharing};

use crate::errno::Errno;
use crate::kernel::Kernel;

/// Where names begin, if what stands before is not longer.
const NAME_COLUMN: usize = 73;

/// `/proc/self/maps`.
pub(super) fn maps(k: &Kernel) -> Vec<u8> {
    let text = std::fs::read("/proc/self/maps").unwrap_or_default();
    let host = HostMappings::of(k, &text);
    k.space.regions().iter().flat_map(|region| line(k, region, &host)).collect()
}

/// The line of one mapping.
fn line(k: &Kernel, region: &Region, host: &HostMappings<'_>) -> Vec<u8> {
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
    let text = std::fs::read("/proc/self/smaps")?;
    let host = HostMappings::of(k, &text);
    let mut out = Vec::new();
    for region in k.space.regions() {
        let (start, end) = (region.range.start().get(), region.range.end().get());
        out.extend(line(k, &region, &host));
        put_numbers(&mut out, &host.sum(start, end), Some(end - start));
    }
    Ok(out)
}

/// `/proc/self/smaps_rollup`.
pub(super) fn rollup(k: &Kernel) -> Result<Vec<u8>, Errno> {
    let text = std::fs::read("/proc/self/smaps")?;
    let regions = k.space.regions();
    let start = regions.first().map_or(0, |region| region.range.start().get());
    let end = regions.last().map_or(0, |region| region.range.end().get());
    let mut out = with_name(format!("{start:08x}-{end:08x} ---p 00000000 00:00 0 "), b"[rollup]");
    let mut fields = HostMappings::of(k, &text).sum(0, u64::MAX);
    fields.retain(|(name, value)| {
        matches!(value, Value::KiB(_)) && !matches!(*name, b"Size" | b"KernelPageSize" | b"MMUPageSize")
    });
    put_numbers(&mut out, &fields, None);
    Ok(out)
}

/// Writes lines below a mapping of `size` bytes, or as large as they say.
fn put_numbers(out: &mut Vec<u8>, fields: &[Field<'_>], size: Option<u64>) {
    /// Width of a name with its colon.
    const NAME: usize = 16;
    for (name, value) in fields {
        let start = out.len();
        out.extend_from_slice(name);
        out.push(b':');
        match value {
            Value::KiB(number) => {
                let number = size.filter(|_| *name == b"Size").map_or(*number, |size| size / 1024);
                out.resize(out.len().max(start + NAME), b' ');
                let _ = writeln!(out, "{number:>8} kB"); // memory takes what it is given
            }
            Value::Text(text) => {
                out.extend_from_slice(text);
                out.push(b'\n');
            }
        }
    }
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
    let text = std::fs::read("/proc/self/smaps")?;
    let fields = HostMappings::of(k, &text).sum(0, u64::MAX);
    let bytes = |wanted: &str| {
        fields.iter().find(|(name, _)| *name == wanted.as_bytes()).map_or(0, |(_, value)| match value {
            Value::KiB(number) => number * 1024,
            Value::Text(_) => 0,
        })
    };
    let anonymous = bytes("Anonymous");
    Ok(Resident { anonymous, file: bytes("Rss").saturating_sub(anonymous), swapped: bytes("Swap") })
}

/// What stands behind the colon in a line below a mapping in `smaps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'t> {
    /// A number of KiB.
    KiB(u64),
    /// Something else, as it stands there.
    Text(&'t [u8]),
}

/// Such a line, with its name.
type Field<'t> = (&'t [u8], Value<'t>);

/// One mapping of this process as the host sees it.
#[derive(Clone, Debug)]
struct HostMapping<'t> {
    /// Guest addresses.
    start: u64,
    end: u64,
    offset: u64,
    device: u64,
    inode: u64,
    name: &'t [u8],
    /// Where the lines below it are in the list of all.
    fields: Range<usize>,
}

/// The host's mappings that are the guest's memory, ascending, as a text of the host's describes them.
#[derive(Clone, Debug, Default)]
struct HostMappings<'t> {
    mappings: Vec<HostMapping<'t>>,
    fields: Vec<Field<'t>>,
}

impl<'t> HostMappings<'t> {
    /// Those in `text`, which is `/proc/self/maps` or `/proc/self/smaps` of the host.
    fn of(k: &Kernel, text: &'t [u8]) -> Self {
        let view = k.space.view();
        Self::parse(text, view.base as u64, view.limit)
    }

    /// Those of the lines that describe guest memory, which begins at host address `base` and is `limit` bytes long.
    fn parse(text: &'t [u8], base: u64, limit: u64) -> Self {
        let mut all = Self::default();
        // Whether the lines below the last mapping are wanted.
        let mut is_guest = false;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if let Some(mapping) = HostMapping::parse(line) {
                let guest = mapping.start.checked_sub(base).zip(mapping.end.checked_sub(base));
                is_guest = guest.is_some_and(|(_, end)| end <= limit);
                if let Some((start, end)) = guest.filter(|_| is_guest) {
                    let fields = all.fields.len()..all.fields.len();
                    all.mappings.push(HostMapping { start, end, fields, ..mapping });
                }
            } else if let (true, Some(field)) = (is_guest, field(line)) {
                all.fields.push(field);
                all.mappings.last_mut().expect("the guest's mapping was noted").fields.end = all.fields.len();
            }
        }
        all
    }

    /// Those that end behind `addr`.
    fn from(&self, addr: u64) -> &[HostMapping<'t>] {
        &self.mappings[self.mappings.partition_point(|mapping| mapping.end <= addr)..]
    }

    fn at(&self, addr: u64) -> Option<&HostMapping<'t>> {
        self.from(addr).first().filter(|mapping| mapping.start <= addr)
    }

    /// What the host calls the file `inode` that is mapped at `addr` now: it may have been renamed or removed.
    fn name_at(&self, addr: u64, inode: u64) -> Option<Vec<u8>> {
        let mapping = self.at(addr)?;
        (mapping.inode == inode && !mapping.name.is_empty()).then(|| unescaped(mapping.name))
    }

    /// Offset, device, inode and name of the shared memory at `addr`, which a kernel has a file for.
    fn shared_at(&self, addr: u64) -> (u64, u64, u64, Vec<u8>) {
        self.at(addr).map_or_else(Default::default, |mapping| {
            (mapping.offset + (addr - mapping.start), mapping.device, mapping.inode, mapping.name.to_vec())
        })
    }

    /// What the lines below the mappings in `start..end` say together. A mapping that only lies in there with a part
    /// counts by that part's share of its pages.
    fn sum(&self, start: u64, end: u64) -> Vec<Field<'t>> {
        let mut out: Vec<Field<'t>> = Vec::new();
        for mapping in self.from(start).iter().take_while(|mapping| mapping.start < end) {
            let part = u128::from(mapping.end.min(end) - mapping.start.max(start));
            let share = |number: u64| (u128::from(number) * part / u128::from(mapping.end - mapping.start)) as u64;
            for (at, (name, value)) in self.fields[mapping.fields.clone()].iter().enumerate() {
                let value = match value {
                    Value::KiB(number) if !name.ends_with(b"PageSize") => Value::KiB(share(*number)),
                    other => *other,
                };
                // Nearly always the lines of all mappings are the same ones.
                let known = if out.get(at).is_some_and(|(known, _)| known == name) {
                    Some(at)
                } else {
                    out.iter().position(|(known, _)| known == name)
                };
                match (known.map(|at| &mut out[at].1), value) {
                    (Some(Value::KiB(sum)), Value::KiB(number)) if !name.ends_with(b"PageSize") => *sum += number,
                    (Some(_), _) => {}
                    (None, value) => out.push((name, value)),
                }
            }
        }
        out
    }
}

/// A name as it was before it was printed.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, behind) = rest.strip_prefix(b"\\012").map_or((first, tail), |behind| (b'\n', behind));
        out.push(byte);
        rest = behind;
    }
    out
}

impl<'t> HostMapping<'t> {
    /// Reads a line of `maps`, addresses as they stand there; `None` if it is none.
    fn parse(line: &'t [u8]) -> Option<Self> {
        // Lines below a mapping begin with a capital letter.
        if line.first().is_none_or(u8::is_ascii_uppercase) {
            return None;
        }
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
        let name = rest.iter().position(|byte| *byte != b' ').map_or(&rest[..0], |at| &rest[at..]);
        Some(Self { start, end, offset, device, inode, name, fields: 0..0 })
    }
}

/// Reads a line below a mapping.
fn field(line: &[u8]) -> Option<Field<'_>> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let number = value.strip_suffix(b" kB").map(<[u8]>::trim_ascii).and_then(|number| std::str::from_utf8(number).ok());
    let number = number.and_then(|number| number.parse().ok());
    Some((name, number.map_or(Value::Text(value), Value::KiB)))
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
        assert_eq!(host.mappings.len(), 2);
        assert_eq!((host.mappings[0].start, host.mappings[0].end), (0x1000, 0x3000));
        assert_eq!(host.name_at(0x2000, 173_521), Some(b"/usr/bin/da sh".to_vec()));
        assert_eq!(host.name_at(0x2000, 1), None);
        let shared = (0x2000, libc::makedev(0, 1), 77, b"/dev/zero (deleted)".to_vec());
        assert_eq!(host.shared_at(0x4000), shared);
        fn value<'t>(fields: &[Field<'t>], wanted: &str) -> Value<'t> {
            fields.iter().find(|(name, _)| *name == wanted.as_bytes()).unwrap().1
        }
        let all = host.sum(0, u64::MAX);
        assert_eq!((value(&all, "Rss"), value(&all, "Anonymous")), (Value::KiB(12), Value::KiB(4)));
        assert_eq!(value(&all, "KernelPageSize"), Value::KiB(4));
        let half = host.sum(0x4000, 0x5000);
        assert_eq!((value(&half, "Rss"), value(&half, "VmFlags")), (Value::KiB(2), Value::Text(b" rd wr sh")));
        let mut text = Vec::new();
        put_numbers(&mut text, &half, Some(4096));
        assert!(
            text.starts_with(b"Size:                  4 kB\nKernelPageSize:        4 kB\n"),
            "{}",
            text.escape_ascii()
        );
        assert_eq!(unescaped(b"a\\012b\\"), b"a\nb\\");
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
