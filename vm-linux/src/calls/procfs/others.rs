//! Files that describe another process which is a guest of this emulator too: what the host's kernel says of it, without
//! what is the emulator's.
//!
//! Only the host's kernel knows of that process. Where guest addresses are host addresses, as in this process, all that is
//! mapped below the guest's limit is the guest's and all above it the emulator's. That code may be executed is nothing the
//! host is told; the headers of the file that it is from say so. What only the guest's own process knows is left out: the
//! name of its heap, and which memory without a file it may execute.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use vm_core::{PAGE_SIZE, Perms};

use crate::elf::Image;
use crate::errno::Errno;
use crate::kernel::{Kernel, name_of};
use crate::stack::at;

use super::maps::{HostMapping, HostMappings, Resident};
use super::{Content, Entry, link, maps, number, status};

/// Begins the names of the emulator's threads.
const EMULATOR_THREAD: &[u8] = b"tradux-";

/// A process that is a guest.
#[derive(Debug)]
pub(super) struct Guest {
    pid: i32,
    auxv: Vec<u8>,
    /// First address that is not the guest's.
    limit: u64,
}

impl Guest {
    /// The guest that process `pid` is; `None` if it is none, or one of which the host does not tell enough.
    pub(super) fn of(k: &Kernel, pid: i32) -> Option<Self> {
        let view = k.space.view();
        if view.base as u64 != 0 {
            return None;
        }
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        if Some(program.as_os_str().as_bytes()) != emulator() {
            return None;
        }
        let guest = Self { pid, auxv: std::fs::read(format!("/proc/{pid}/auxv")).ok()?, limit: view.limit };
        // Before it runs, the vector is the emulator's.
        guest.aux(at::PHDR).filter(|headers| *headers < guest.limit)?;
        Some(guest)
    }

    /// The value of this kind in its auxiliary vector.
    fn aux(&self, kind: u64) -> Option<u64> {
        aux(&self.auxv, kind)
    }

    /// Whether its thread `tid` is the emulator's.
    pub(super) fn is_emulator_thread(&self, tid: i32) -> bool {
        std::fs::read(format!("/proc/{}/task/{tid}/comm", self.pid)).is_ok_and(|name| name.starts_with(EMULATOR_THREAD))
    }

    /// How many threads it has that are not the emulator's.
    pub(super) fn threads(&self) -> u64 {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.pid)) else { return 1 };
        let tids = tasks.flatten().filter_map(|task| number(task.file_name().as_bytes()));
        tids.filter(|tid| !self.is_emulator_thread(*tid)).count().max(1) as u64
    }

    /// Whether its descriptor `fd` is the emulator's: one of the same number and file as one of this process.
    pub(super) fn is_emulator_descriptor(&self, k: &Kernel, fd: i32) -> bool {
        let same_file = || {
            let file = std::fs::read_link(format!("/proc/{}/fd/{fd}", self.pid)).ok()?;
            Some(name_of(fd as u64)?.to_bytes() == file.as_os_str().as_bytes())
        };
        k.own_descriptors().any(|own| own == fd) && same_file() == Some(true)
    }

    /// Whether the directory that is `rest` below that of the process shows the member `name`.
    pub(super) fn shows(&self, k: &Kernel, rest: &[&[u8]], name: &[u8]) -> bool {
        match (rest, number(name)) {
            ([b"task"], Some(tid)) => !self.is_emulator_thread(tid),
            ([.., b"fd" | b"fdinfo"], Some(fd)) => !self.is_emulator_descriptor(k, fd),
            _ => true,
        }
    }

    /// What the text `host` of the host's file says of the guest alone.
    ///
    /// # Errors
    /// What the kernel says of another file of the host's that it is made from.
    pub(super) fn text(&self, k: &Kernel, content: Content, host: Vec<u8>) -> Result<Vec<u8>, Errno> {
        match content {
            Content::Maps | Content::Smaps => Ok(self.mappings(k, &host)),
            Content::SmapsRollup => Ok(maps::rollup_of(&HostMappings::parse(&self.smaps()?, 0, self.limit))),
            Content::Sched => Ok(status::with_threads(&String::from_utf8_lossy(&host), self.threads()).into_bytes()),
            Content::Stat => {
                let (usage, resident) = self.memory()?;
                // The heap that the host knows of is the emulator's.
                let changes = [(20, self.threads()), (23, usage.total), (24, resident.total() / PAGE_SIZE), (47, 0)];
                Ok(status::with_fields(&String::from_utf8_lossy(&host), &changes).into_bytes())
            }
            Content::StatM => {
                let (usage, resident) = self.memory()?;
                Ok(status::statm_of(&usage, &resident, self.code_size()?))
            }
            Content::Status => {
                let (usage, resident) = self.memory()?;
                let code = self.code_size()?;
                let numbers = status::Numbers { usage, resident, threads: self.threads(), code };
                let host = String::from_utf8_lossy(&host);
                let lines = host.lines().map(|line| numbers.line(line).unwrap_or_else(|| line.to_owned()) + "\n");
                Ok(lines.collect::<String>().into_bytes())
            }
            Content::Syscall => Ok(super::content::SYSCALL.to_vec()),
            Content::Arch
            | Content::Auxv
            | Content::CmdLine
            | Content::CpuInfo
            | Content::Environ
            | Content::Limits => Ok(host),
        }
    }

    /// Bytes of the pages that hold the program's code, of which the host was told.
    fn code_size(&self) -> Result<u64, Errno> {
        let stat = std::fs::read(format!("/proc/{}/stat", self.pid))?;
        let stat = String::from_utf8_lossy(&stat);
        let [start, end] = [26, 27].map(|field| status::field(&stat, field).unwrap_or(0));
        Ok(status::code_size((start, end)))
    }

    fn smaps(&self) -> Result<Vec<u8>, Errno> {
        Ok(std::fs::read(format!("/proc/{}/smaps", self.pid))?)
    }

    /// The guest's mappings in a text of `maps` or `smaps`.
    fn mappings(&self, k: &Kernel, host: &[u8]) -> Vec<u8> {
        let mut images = Images::default();
        let mut text = Vec::with_capacity(host.len());
        for mapping in HostMappings::parse(host, 0, self.limit).iter() {
            let is_vdso = self.is_vdso(mapping);
            let name = if is_vdso { b"[vdso]".to_vec() } else { k.view.shown_name(mapping.name) };
            let executable = is_vdso || images.is_code(mapping);
            maps::put_line(&mut text, mapping, executable, &name);
            text.extend_from_slice(mapping.below);
        }
        text
    }

    fn is_vdso(&self, mapping: &HostMapping<'_>) -> bool {
        self.aux(at::SYSINFO_EHDR).is_some_and(|vdso| (mapping.start..mapping.end).contains(&vdso))
    }

    /// How much memory the guest has, by what it is for and by what is behind it.
    fn memory(&self) -> Result<(status::Usage, Resident), Errno> {
        let smaps = self.smaps()?;
        let mappings = HostMappings::parse(&smaps, 0, self.limit);
        let mut images = Images::default();
        let mut usage = status::Usage::default();
        for mapping in mappings.iter() {
            let executable = self.is_vdso(mapping) || images.is_code(mapping);
            usage.add(&status::Counted {
                bytes: mapping.end - mapping.start,
                writable: mapping.perms().contains(Perms::WRITE),
                executable,
                is_shared: mapping.is_shared(),
                is_stack: mapping.name == b"[stack]",
            });
        }
        Ok((usage, Resident::of(&mappings)))
    }
}

/// Files that are mapped, by device and inode.
#[derive(Debug, Default)]
struct Images(Vec<((u64, u64), MappedImage)>);

/// A file that is mapped, and where.
#[derive(Debug)]
struct MappedImage {
    /// Its headers; `None` if it is no program.
    image: Option<Image>,
    /// Where its beginning has been mapped last.
    start: Option<u64>,
}

impl Images {
    /// Whether a mapping is code by the headers of its file. Mappings are to be asked for in the order of their addresses.
    fn is_code(&mut self, mapping: &HostMapping<'_>) -> bool {
        if mapping.inode == 0 || !mapping.perms().contains(Perms::READ) {
            return false;
        }
        let file = (mapping.device, mapping.inode);
        let known = self.0.iter().position(|(known, _)| *known == file).unwrap_or_else(|| {
            self.0.push((file, MappedImage { image: image(mapping), start: None }));
            self.0.len() - 1
        });
        self.0[known].1.is_code(mapping)
    }
}

impl MappedImage {
    fn is_code(&mut self, mapping: &HostMapping<'_>) -> bool {
        if mapping.offset == 0 {
            self.start = Some(mapping.start);
        }
        let (Some(image), Some(start)) = (&self.image, self.start) else { return false };
        let bias = start.wrapping_sub(image.span().start().get());
        let [from, to] = [mapping.start, mapping.end].map(|address| address.wrapping_sub(bias));
        // One that goes on behind the segment has been mapped to be read.
        image.segments.iter().any(|segment| {
            let pages = segment.range.whole_pages();
            segment.perms.contains(Perms::EXECUTE) && pages.start().get() <= from && to <= pages.end().get()
        })
    }
}

/// The headers of the file that is mapped, if it still has the name that the host knows.
fn image(mapping: &HostMapping<'_>) -> Option<Image> {
    let file = File::open(std::ffi::OsStr::from_bytes(&mapping.file_name())).ok()?;
    let about = file.metadata().ok()?;
    let is_same = about.is_file() && (about.dev(), about.ino()) == (mapping.device, mapping.inode);
    is_same.then(|| Image::parse(&file, u64::MAX).ok()).flatten()
}

/// The file that this emulator is, by the host's name.
fn emulator() -> Option<&'static [u8]> {
    static NAME: OnceLock<Option<std::path::PathBuf>> = OnceLock::new();
    let name = NAME.get_or_init(|| std::fs::read_link("/proc/self/exe").ok());
    name.as_ref().map(|name| name.as_os_str().as_bytes())
}

/// The content of the file `name` in the directory of another guest, if the host's is not the guest's.
pub(super) fn content(name: &[u8]) -> Option<Content> {
    super::CONTENTS.iter().find(|(known, _)| *known == name).map(|(_, content)| *content).filter(
        |content| match content {
            Content::Maps
            | Content::Sched
            | Content::Smaps
            | Content::SmapsRollup
            | Content::Stat
            | Content::StatM
            | Content::Status
            | Content::Syscall => true,
            Content::Arch
            | Content::Auxv
            | Content::CmdLine
            | Content::CpuInfo
            | Content::Environ
            | Content::Limits => false,
        },
    )
}

/// The program of another process that is a guest of this emulator, if these are the parts of its link to the program and
/// the link leads to `emulator`: the file that is mapped where the process's auxiliary vector has the program's headers.
pub(crate) fn program_of_other(parts: &[Vec<u8>], emulator: &[u8]) -> Option<Vec<u8>> {
    let (process, rest) = parts.split_first()?;
    if link(rest) != Some(Entry::Program) || self::emulator() != Some(emulator) {
        return None;
    }
    let read = |name: &str| std::fs::read(format!("/proc/{}/{name}", number(process)?)).ok();
    let auxv = read("auxv")?;
    let headers = aux(&auxv, at::PHDR)?;
    let maps = read("maps")?;
    let line =
        maps.split(|byte| *byte == b'\n').find(|line| mapping(line).is_some_and(|range| range.contains(&headers)))?;
    let name = line.iter().position(|byte| *byte == b'/').map(|at| &line[at..])?;
    (name != emulator).then(|| name.to_vec())
}

/// The value of this kind in an auxiliary vector.
fn aux(vector: &[u8], kind: u64) -> Option<u64> {
    let mut words = vector.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    loop {
        let (known, value) = (words.next()?, words.next()?);
        if known == kind {
            return Some(value);
        }
    }
}

/// The addresses of a line of `maps`.
fn mapping(line: &[u8]) -> Option<std::ops::Range<u64>> {
    let (start, end) = std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?.split_once('-')?;
    Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mappings_begin_with_their_addresses() {
        assert_eq!(
            mapping(b"2aaaaaa000-2aaaab0000 r--p 00000000 fe:00 7   /bin/a b"),
            Some(0x2a_aaaa_a000..0x2a_aaab_0000)
        );
        assert_eq!(mapping(b""), None);
    }

    #[test]
    fn code_is_known_by_the_headers_of_its_file() {
        let directory = std::env::temp_dir().join(format!("tradux-others-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.canonicalize().unwrap().join("program");
        // A riscv64 program with data in its first page, code in the next two, and data from the last of them on.
        let mut elf = vec![0; 0x3000];
        elf[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf3\0");
        for (at, value) in [(32, 64), (54, 56), (56, 3)] {
            elf[at] = value;
        }
        let segments = [(4, 0, 0x1_0000, 0x1000), (5, 0x1000, 0x1_1000, 0x1800), (6, 0x2800, 0x1_3800, 0x800)];
        for (index, (flags, offset, address, length)) in segments.into_iter().enumerate() {
            let words: [u64; 7] = [1 | flags << 32, offset, address, 0, length, length, 0x1000];
            let bytes = words.map(u64::to_le_bytes).concat();
            elf[64 + index * 56..][..56].copy_from_slice(&bytes);
        }
        std::fs::write(&path, &elf).unwrap();
        let about = std::fs::metadata(&path).unwrap();
        let file = format!(
            "{:02x}:{:02x} {} {}",
            libc::major(about.dev()),
            libc::minor(about.dev()),
            about.ino(),
            path.display()
        );
        let (mut text, mut expected) = (String::new(), Vec::new());
        for (range, mode, offset, is_code) in [
            ("10000-11000", "r--p", 0, false),
            ("11000-12000", "r--p", 0x1000, true),
            ("12000-13000", "---p", 0x2000, false),
            ("13000-14000", "r--p", 0x2000, false),
            // All of it, to be read.
            ("50000-53000", "r--p", 0, false),
        ] {
            text += &format!("{range} {mode} {offset:08x} {file}\n");
            expected.push(is_code);
        }
        let mut images = Images::default();
        let mappings = HostMappings::parse(text.as_bytes(), 0, 1 << 46);
        let found: Vec<bool> = mappings.iter().map(|mapping| images.is_code(mapping)).collect();
        assert_eq!(found, expected, "{text}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
