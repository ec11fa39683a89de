//! `maps`, `smaps` and `smaps_rollup`: the guest's mappings, in the columns of a kernel (`fs/proc/task_mmu.c`).

use std::fs::File;
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt;

use vm_core::{GuestAddr, Perms};
use vm_mem::{Backing, Region, Sharing};

use crate::errno::Errno;
use crate::kernel::{Kernel, guest_range};

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
    let mut text = Vec::with_capacity(128);
    put_range(&mut text, region.range.start().get(), region.range.end().get());
    let _ = write!(text, "{}{mode} ", region.perms); // memory takes what it is given
    for (number, width, end) in
        [(offset, 8, b' '), (libc::major(device).into(), 2, b':'), (libc::minor(device).into(), 2, b' ')]
    {
        put_number::<16>(&mut text, number, width, b'0');
        text.push(end);
    }
    put_number::<10>(&mut text, inode, 1, b'0');
    text.push(b' ');
    with_name(text, &name)
}

fn put_range(out: &mut Vec<u8>, start: u64, end: u64) {
    for (address, behind) in [(start, b'-'), (end, b' ')] {
        put_number::<16>(out, address, 8, b'0');
        out.push(behind);
    }
}

/// Appends a number of at least `width` characters. Formatting takes longer, and there are many of them.
fn put_number<const RADIX: u64>(out: &mut Vec<u8>, number: u64, width: usize, fill: u8) {
    let mut digits = [fill; 20];
    let mut start = digits.len();
    let mut rest = number;
    while rest != 0 || start == digits.len() {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(rest % RADIX) as usize];
        rest /= RADIX;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

fn with_name(mut text: Vec<u8>, name: &[u8]) -> Vec<u8> {
    if !name.is_empty() {
        // At least one blank more than the one behind the inode.
        text.resize((text.len() + 1).max(NAME_COLUMN), b' ');
    }
    text.extend_from_slice(name);
    text.push(b'\n');
    text
}

/// A file's name with the bytes that would end the line as octal numbers.
fn escaped(name: &[u8]) -> Vec<u8> {
    name.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(b"\\012".as_slice())
}

/// `/proc/self/smaps`.
pub(super) fn smaps(k: &Kernel) -> Result<Vec<u8>, Errno> {
    let mut smaps = Smaps::new(File::open("/proc/self/smaps")?);
    let mut text = Vec::new();
    while !smaps.ended() {
        text.extend(smaps.next(k)?.concat());
    }
    Ok(text)
}

/// `/proc/self/smaps`, part by part: the lines of `maps`, each with the host's numbers of its pages.
///
/// As with a kernel, a part shows the moment when it is made, and begins where the part before it ended.
#[derive(Debug)]
pub(super) struct Smaps {
    /// The host's file, which gives a few mappings with each read.
    host: File,
    /// What has been read from it and is not used up, from the beginning of a mapping.
    text: Vec<u8>,
    /// Guest address at which the next part begins.
    next: u64,
    /// How often the next part reads: the less has come of reading, the more.
    reads: usize,
    ended: bool,
}

impl Smaps {
    /// The text from its beginning; `host` is the host's `/proc/self/smaps`, of which nothing has been read.
    pub(super) const fn new(host: File) -> Self {
        Self { host, text: Vec::new(), next: 0, reads: 1, ended: false }
    }

    /// Whether nothing follows.
    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// The texts of the next mappings, which may be none.
    ///
    /// # Errors
    /// What the host's kernel says instead of its text.
    pub(super) fn next(&mut self, k: &Kernel) -> Result<Vec<Vec<u8>>, Errno> {
        let host_ended = self.read()?;
        let complete = if host_ended { self.text.len() } else { last_record(&self.text) };
        let view = k.space.view();
        let host = HostMappings::parse(&self.text[..complete], view.base as u64, view.limit);
        self.ended = host_ended || host.is_all;
        let known = if self.ended { view.limit } else { host.mappings.last().map_or(0, |mapping| mapping.end) };
        let mut regions = k.space.regions_in(guest_range(self.next, known.saturating_sub(self.next)));
        self.next = self.next.max(known);
        // What the host has not told all of waits for the rest.
        if let Some(last) = regions.last()
            && k.space.region_at(last.range.start()).is_some_and(|whole| whole.range.end() > GuestAddr::new(known))
        {
            self.next = last.range.start().get();
            regions.pop();
        }
        let texts = regions.iter().map(|region| {
            let mut text = line(k, region, &host);
            host.put_numbers_of(&mut text, region);
            text
        });
        let texts: Vec<Vec<u8>> = texts.collect();
        self.reads = if regions.is_empty() { self.reads * 2 } else { 1 };
        let used = host.from(self.next).first().map_or(complete, |mapping| mapping.at);
        self.text.drain(..used);
        Ok(texts)
    }

    /// Reads on in the host's text; true at its end.
    fn read(&mut self) -> Result<bool, Errno> {
        /// A kernel prints mappings to a page until there are as many bytes as it is asked for, or until one does not fit
        /// any more, which it prints again the next time: so it is asked for less, by the length of one.
        const MOST: usize = 3072;
        for _ in 0..self.reads {
            let start = self.text.len();
            self.text.resize(start + MOST, 0);
            let read = self.host.read(&mut self.text[start..]);
            self.text.truncate(start + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Where the last mapping's text begins, of which more may follow.
fn last_record(text: &[u8]) -> usize {
    let mut end = text.len();
    loop {
        let start = text[..end.saturating_sub(1)].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if start == 0 || !text[start].is_ascii_uppercase() {
            return start;
        }
        end = start;
    }
}

/// `/proc/self/smaps_rollup`.
pub(super) fn rollup(k: &Kernel) -> Result<Vec<u8>, Errno> {
    let text = std::fs::read("/proc/self/smaps")?;
    let regions = k.space.regions();
    let start = regions.first().map_or(0, |region| region.range.start().get());
    let end = regions.last().map_or(0, |region| region.range.end().get());
    Ok(rollup_text(&HostMappings::of(k, &text), start, end))
}

/// The same of the mappings that a text of `smaps` describes.
pub(super) fn rollup_of(mappings: &HostMappings<'_>) -> Vec<u8> {
    let start = mappings.iter().next().map_or(0, |mapping| mapping.start);
    let end = mappings.iter().last().map_or(0, |mapping| mapping.end);
    rollup_text(mappings, start, end)
}

fn rollup_text(mappings: &HostMappings<'_>, start: u64, end: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_range(&mut out, start, end);
    out.extend_from_slice(b"---p 00000000 00:00 0 ");
    let mut out = with_name(out, b"[rollup]");
    let mut fields = mappings.sum(0, u64::MAX);
    fields.retain(|(name, value)| {
        matches!(value, Value::KiB(_)) && !matches!(*name, b"Size" | b"KernelPageSize" | b"MMUPageSize")
    });
    put_numbers(&mut out, &fields, None);
    out
}

/// Appends the line of a host's mapping, with this name and whether code in it may be executed.
pub(super) fn put_line(out: &mut Vec<u8>, mapping: &HostMapping<'_>, executable: bool, name: &[u8]) {
    let mut text = mapping.line.strip_suffix(mapping.name).unwrap_or(mapping.line).trim_ascii_end().to_vec();
    if let Some(blank) = text.iter().position(|byte| *byte == b' ')
        && let Some(letter) = text.get_mut(blank + 3)
    {
        *letter = if executable { b'x' } else { b'-' };
    }
    text.push(b' ');
    out.extend_from_slice(&with_name(text, name));
}

/// Writes lines below a mapping of `size` bytes, or as large as they say.
fn put_numbers(out: &mut Vec<u8>, fields: &[Field<'_>], size: Option<u64>) {
    for (name, value) in fields {
        let start = out.len();
        out.extend_from_slice(name);
        out.push(b':');
        match value {
            Value::KiB(number) => {
                let number = size.filter(|_| *name == b"Size").map_or(*number, |size| size / 1024);
                out.resize(out.len().max(start + FIELD_NAME), b' ');
                put_number::<10>(out, number, FIELD_NUMBER, b' ');
                out.extend_from_slice(FIELD_END);
            }
            Value::Text(text) => {
                out.extend_from_slice(text);
                out.push(b'\n');
            }
        }
    }
}

/// Width of a name with its colon in such a line.
const FIELD_NAME: usize = 16;
/// Least width of a number of KiB.
const FIELD_NUMBER: usize = 8;
/// What follows that.
const FIELD_END: &[u8] = b" kB\n";

/// Bytes of guest memory that are in the host's memory, by what is behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resident {
    pub(super) anonymous: u64,
    pub(super) file: u64,
    pub(super) swapped: u64,
}

impl Resident {
    /// That of the mappings that a text of `smaps` describes.
    pub(super) fn of(mappings: &HostMappings<'_>) -> Self {
        let fields = mappings.sum(0, u64::MAX);
        let bytes = |wanted: &str| {
            fields.iter().find(|(name, _)| *name == wanted.as_bytes()).map_or(0, |(_, value)| match value {
                Value::KiB(number) => number * 1024,
                Value::Text(_) => 0,
            })
        };
        let anonymous = bytes("Anonymous");
        Self { anonymous, file: bytes("Rss").saturating_sub(anonymous), swapped: bytes("Swap") }
    }

    /// All that is not swapped out.
    pub(super) const fn total(&self) -> u64 {
        self.anonymous + self.file
    }
}

/// How much of the guest's memory is in the host's.
pub(super) fn resident(k: &Kernel) -> Result<Resident, Errno> {
    let text = std::fs::read("/proc/self/smaps")?;
    Ok(Resident::of(&HostMappings::of(k, &text)))
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

/// One mapping of a process as the host sees it.
#[derive(Clone, Debug)]
pub(super) struct HostMapping<'t> {
    /// Guest addresses.
    pub(super) start: u64,
    pub(super) end: u64,
    mode: &'t [u8],
    pub(super) offset: u64,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) name: &'t [u8],
    /// Its own line.
    line: &'t [u8],
    /// The lines below it.
    pub(super) below: &'t [u8],
    /// Where its own line begins in the text.
    at: usize,
}

/// The host's mappings that are the guest's memory, ascending, as a text of the host's describes them.
#[derive(Clone, Debug, Default)]
pub(super) struct HostMappings<'t> {
    mappings: Vec<HostMapping<'t>>,
    /// Whether the text goes on behind the guest's memory.
    is_all: bool,
}

impl<'t> HostMappings<'t> {
    /// Those in `text`, which is `/proc/self/maps` or `/proc/self/smaps` of the host.
    fn of(k: &Kernel, text: &'t [u8]) -> Self {
        let view = k.space.view();
        Self::parse(text, view.base as u64, view.limit)
    }

    /// Those of the lines that describe guest memory, which begins at host address `base` and is `limit` bytes long.
    pub(super) fn parse(text: &'t [u8], base: u64, limit: u64) -> Self {
        let mut all = Self::default();
        let mut at = 0;
        while at < text.len() {
            let (line, rest) = split_line(&text[at..]);
            let mut below = 0;
            while rest.get(below).is_some_and(u8::is_ascii_uppercase) {
                below += line_length(&rest[below..]);
            }
            if let Some(mapping) = HostMapping::parse(line) {
                let guest = mapping.start.checked_sub(base).zip(mapping.end.checked_sub(base));
                if guest.is_some_and(|(_, end)| end > limit) {
                    all.is_all = true;
                    break;
                }
                if let Some((start, end)) = guest {
                    all.mappings.push(HostMapping { start, end, below: &rest[..below], at, ..mapping });
                }
            }
            at = text.len() - rest.len() + below;
        }
        all
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, HostMapping<'t>> {
        self.mappings.iter()
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

    /// Appends the lines below `region`.
    fn put_numbers_of(&self, out: &mut Vec<u8>, region: &Region) {
        let (start, end) = (region.range.start().get(), region.range.end().get());
        match self.at(start) {
            Some(mapping) if (mapping.start, mapping.end) == (start, end) => out.extend_from_slice(mapping.below),
            Some(_) | None => put_numbers(out, &self.sum(start, end), Some(end - start)),
        }
    }

    /// What the lines below the mappings in `start..end` say together. A mapping that only lies in there with a part
    /// counts by that part's share of its pages.
    fn sum(&self, start: u64, end: u64) -> Vec<Field<'t>> {
        let mut out: Vec<Field<'t>> = Vec::new();
        for mapping in self.from(start).iter().take_while(|mapping| mapping.start < end) {
            let (part, whole) = (mapping.end.min(end) - mapping.start.max(start), mapping.end - mapping.start);
            let share = |number: u64| match part == whole {
                true => number,
                false => (u128::from(number) * u128::from(part) / u128::from(whole)) as u64,
            };
            for (at, (name, value)) in fields(mapping.below).enumerate() {
                let is_sum = !name.ends_with(b"PageSize");
                let value = match value {
                    Value::KiB(number) if is_sum => Value::KiB(share(number)),
                    other => other,
                };
                // Nearly always the lines of all mappings are the same ones.
                let known = if out.get(at).is_some_and(|(known, _)| *known == name) {
                    Some(at)
                } else {
                    out.iter().position(|(known, _)| *known == name)
                };
                match (known.map(|at| &mut out[at].1), value) {
                    (Some(Value::KiB(sum)), Value::KiB(number)) if is_sum => *sum += number,
                    (Some(_), _) => {}
                    (None, value) => out.push((name, value)),
                }
            }
        }
        out
    }
}

/// The first line, without what ends it, and what follows.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = text.split_at(line_length(text));
    (line.strip_suffix(b"\n").unwrap_or(line), rest)
}

/// The length of the first line with what ends it.
fn line_length(mut text: &[u8]) -> usize {
    /// Where a number of KiB ends, unless it is a large one.
    const NUMBER: usize = FIELD_NAME + FIELD_NUMBER;
    const USUAL: usize = NUMBER + FIELD_END.len();
    // No line that ends like this is shorter, so this is the end of the first one.
    if text.get(NUMBER..USUAL) == Some(FIELD_END) {
        return USUAL;
    }
    let whole = text.len();
    // Reading from memory does not fail.
    text.skip_until(b'\n').unwrap_or(whole)
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
            let word = &rest[start..end];
            rest = &rest[end..];
            Some(word)
        };
        let pair = |word: &[u8], between: u8| {
            let at = word.iter().position(|byte| *byte == between)?;
            Some((number(&word[..at], 16)?, number(&word[at + 1..], 16)?))
        };
        let (start, end) = pair(word()?, b'-')?;
        let mode = word()?;
        let offset = number(word()?, 16)?;
        let (major, minor) = pair(word()?, b':')?;
        let device = libc::makedev(major as u32, minor as u32);
        let inode = number(word()?, 10)?;
        let name = rest.iter().position(|byte| *byte != b' ').map_or(&rest[..0], |at| &rest[at..]);
        Some(Self { start, end, mode, offset, device, inode, name, line, below: &rest[..0], at: 0 })
    }

    /// What the host lets the process do with it.
    pub(super) fn perms(&self) -> Perms {
        let named = [(b'r', Perms::READ), (b'w', Perms::WRITE), (b'x', Perms::EXECUTE)];
        named.iter().filter(|(letter, _)| self.mode.contains(letter)).fold(Perms::NONE, |all, (_, perm)| all | *perm)
    }

    pub(super) fn is_shared(&self) -> bool {
        self.mode.ends_with(b"s")
    }

    /// The name of its file.
    pub(super) fn file_name(&self) -> Vec<u8> {
        unescaped(self.name)
    }
}

/// The lines below a mapping.
fn fields(below: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = below;
    std::iter::from_fn(move || {
        let (line, behind) = split_line(rest);
        rest = behind;
        (!line.is_empty()).then_some(line)
    })
    .filter_map(field)
}

/// Reads a line below a mapping.
fn field(line: &[u8]) -> Option<Field<'_>> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let number = value.strip_suffix(b" kB").and_then(|digits| number(digits.trim_ascii(), 10));
    Some((name, number.map_or(Value::Text(value), Value::KiB)))
}

/// The number that these digits are.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix).map(u64::from);
    let more = |number: u64, byte| number.checked_mul(radix.into())?.checked_add(digit(byte)?);
    if digits.is_empty() { None } else { digits.iter().try_fold(0, more) }
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
            let line = with_name((head.join(" ") + " ").into_bytes(), name.as_bytes());
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
        assert_eq!(with_name(b"1-2 rw-p 0 00:00 0 ".to_vec(), b""), b"1-2 rw-p 0 00:00 0 \n");
        assert_eq!(escaped(b"a\nb"), b"a\\012b");
    }
}
