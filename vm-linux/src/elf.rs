//! Executable files: the checks a kernel makes before it maps one, and what it needs to know to map it.
//!
//! Source: System V ABI, "Object Files" and "Program Loading"; `load_elf_binary` for what is refused.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use vm_core::{GuestAddr, GuestArch, GuestRange, PAGE_SIZE, Perms};

/// Bytes of an ELF64 file header.
const HEADER_SIZE: usize = 64;
/// Bytes of an ELF64 program header.
const PROGRAM_HEADER_SIZE: usize = 56;
/// The kernel reads at most 64 KiB of program headers.
const MAX_PROGRAM_HEADERS: u64 = 65536 / PROGRAM_HEADER_SIZE as u64;
/// First address that no file may name, however far it is moved from there: `TASK_SIZE` of a process with addresses of 48
/// bits.
const TASK_SIZE: u64 = 1 << 47;
/// Longest interpreter path, as the kernel has it (`PATH_MAX`).
const MAX_INTERPRETER: u64 = 4096;

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;

/// Why a file is not a program that can be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// Reading the file failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file does not start with the ELF magic number.
    #[error("not an ELF file")]
    NotElf,
    /// The file ends inside something its headers announce.
    #[error("truncated: the file ends inside {what}")]
    Truncated {
        /// What is incomplete.
        what: &'static str,
    },
    /// Not a 64-bit file.
    #[error("ELF class {class} is not supported: only 64-bit programs are")]
    WrongClass {
        /// `EI_CLASS`: 1 is 32-bit.
        class: u8,
    },
    /// Not a little-endian file.
    #[error("byte order {order} is not supported: only little-endian programs are")]
    WrongByteOrder {
        /// `EI_DATA`: 2 is big-endian.
        order: u8,
    },
    /// A relocatable object, a core dump or something unknown.
    #[error("file type {kind} is not executable{}", file_type(*kind))]
    WrongType {
        /// `e_type`.
        kind: u16,
    },
    /// A program for another processor.
    #[error("built for machine {machine}{}, not for {}", machine_name(*machine), supported())]
    WrongMachine {
        /// `e_machine`.
        machine: u16,
    },
    /// The file's program headers are of an unknown size.
    #[error("program headers of {size} bytes, expected 56")]
    ProgramHeaderSize {
        /// `e_phentsize`.
        size: u16,
    },
    /// More program headers than the kernel reads.
    #[error("{count} program headers, more than {MAX_PROGRAM_HEADERS}")]
    TooManyHeaders {
        /// `e_phnum`.
        count: u64,
    },
    /// There is nothing that says what is to be loaded.
    #[error("no program headers")]
    NoHeaders,
    /// Nothing would be loaded.
    #[error("no loadable segment")]
    NoSegments,
    /// A segment takes more bytes from the file than it has in memory.
    #[error("segment {index} has more bytes in the file than in memory")]
    FileExceedsMemory {
        /// Index of the program header.
        index: usize,
    },
    /// A segment's file offset and address disagree within a page, so that it cannot be mapped.
    #[error("segment {index}: file offset and address differ within a page")]
    Misaligned {
        /// Index of the program header.
        index: usize,
    },
    /// A segment reaches past the end of the address space.
    #[error("segment {index} overflows the address space")]
    Overflow {
        /// Index of the program header.
        index: usize,
    },
    /// The name of the program's interpreter is empty or does not end.
    #[error("the interpreter's name is empty or does not end")]
    InterpreterName,
}

impl ElfError {
    /// Whether a kernel looks at it only when it maps the file, so that there is no program left to tell.
    #[must_use]
    pub const fn is_found_late(&self) -> bool {
        match self {
            Self::NoSegments | Self::FileExceedsMemory { .. } | Self::Misaligned { .. } | Self::Overflow { .. } => true,
            Self::Io(_)
            | Self::NotElf
            | Self::Truncated { .. }
            | Self::WrongClass { .. }
            | Self::WrongByteOrder { .. }
            | Self::WrongType { .. }
            | Self::WrongMachine { .. }
            | Self::ProgramHeaderSize { .. }
            | Self::TooManyHeaders { .. }
            | Self::NoHeaders
            | Self::InterpreterName => false,
        }
    }
}

fn file_type(kind: u16) -> &'static str {
    match kind {
        1 => " (a relocatable object file)",
        4 => " (a core dump)",
        _ => "",
    }
}

fn machine_name(machine: u16) -> String {
    let known = GuestArch::ALL.into_iter().find(|arch| arch.elf_machine() == machine).map(GuestArch::name);
    let name = known.or(match machine {
        3 => Some("i386"),
        8 => Some("mips"),
        20 | 21 => Some("powerpc"),
        22 => Some("s390"),
        40 => Some("arm"),
        258 => Some("loongarch"),
        _ => None,
    });
    name.map_or_else(String::new, |name| format!(" ({name})"))
}

/// Architectures whose programs can be run.
const SUPPORTED: [GuestArch; 1] = [GuestArch::Riscv64];

fn supported() -> String {
    SUPPORTED.map(GuestArch::name).join(" or ")
}

/// Bytes that can be read at an offset: a file, or a slice in tests.
pub trait ReadAt {
    /// Length in bytes.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// Whatever the operating system says, an early end of file included.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buf, offset)
    }
}

impl ReadAt for [u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|start| self.get(start..)?.get(..buf.len()));
        buf.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// One loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where the segment lies, before the load bias is added.
    pub range: GuestRange,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Bytes taken from the file, which may end before; the rest of the range is zero.
    pub file_len: u64,
    /// Access permissions.
    pub perms: Perms,
}

/// What a checked executable file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The processor family it is built for.
    pub arch: GuestArch,
    /// Whether it may be loaded at any page (`ET_DYN`).
    pub position_independent: bool,
    /// Address of the first instruction, before the load bias.
    pub entry: GuestAddr,
    /// Address of the program headers in memory, before the load bias; 0 if no segment holds them.
    pub headers: GuestAddr,
    /// Number of program headers.
    pub header_count: u16,
    /// Loadable segments in the file's order; each goes over those before it.
    pub segments: Vec<Segment>,
    /// The program that links this one at run time, as the guest names its file.
    pub interpreter: Option<CString>,
}

impl Image {
    /// Reads and checks the headers of `file`.
    ///
    /// No segment may end above `limit`; those of a position-independent file may not span more than that.
    ///
    /// # Errors
    /// [`ElfError`], whatever the bytes.
    pub fn parse(file: &(impl ReadAt + ?Sized), limit: u64) -> Result<Self, ElfError> {
        let length = file.length()?;
        let header = read_block(file, 0, HEADER_SIZE.min(length as usize), length, "the ELF header")?;
        if header.len() < 4 || header[..4] != *b"\x7fELF" {
            return Err(ElfError::NotElf);
        }
        if header.len() < HEADER_SIZE {
            return Err(ElfError::Truncated { what: "the ELF header" });
        }
        if header[4] != 2 {
            return Err(ElfError::WrongClass { class: header[4] });
        }
        if header[5] != 1 {
            return Err(ElfError::WrongByteOrder { order: header[5] });
        }
        let kind = u16_at(&header, 16);
        if kind != ET_EXEC && kind != ET_DYN {
            return Err(ElfError::WrongType { kind });
        }
        let machine = u16_at(&header, 18);
        let arch = SUPPORTED.into_iter().find(|arch| arch.elf_machine() == machine);
        let arch = arch.ok_or(ElfError::WrongMachine { machine })?;
        let size = u16_at(&header, 54);
        if usize::from(size) != PROGRAM_HEADER_SIZE {
            return Err(ElfError::ProgramHeaderSize { size });
        }
        let header_count = u16_at(&header, 56);
        if u64::from(header_count) > MAX_PROGRAM_HEADERS {
            return Err(ElfError::TooManyHeaders { count: header_count.into() });
        }
        if header_count == 0 {
            return Err(ElfError::NoHeaders);
        }
        let table_offset = u64_at(&header, 32);
        let table_size = usize::from(header_count) * PROGRAM_HEADER_SIZE;
        let table = read_block(file, table_offset, table_size, length, "the program headers")?;
        let entries: Vec<ProgramHeader> = table.chunks_exact(PROGRAM_HEADER_SIZE).map(ProgramHeader::read).collect();

        let position_independent = kind == ET_DYN;
        let segments = load_segments(&entries, if position_independent { TASK_SIZE } else { limit })?;
        let interpreter = entries.iter().find(|entry| entry.kind == PT_INTERP);
        let interpreter = interpreter.map(|entry| interpreter_name(file, entry, length)).transpose()?;
        let image = Self {
            arch,
            position_independent,
            entry: GuestAddr::new(u64_at(&header, 24)),
            headers: GuestAddr::new(header_address(&entries, table_offset, table_size as u64)),
            header_count,
            segments,
            interpreter,
        };
        if image.span().len() > limit {
            let highest = entries.iter().enumerate().filter(|(_, entry)| entry.kind == PT_LOAD);
            let index = highest.max_by_key(|(_, entry)| entry.addr + entry.mem_len).map_or(0, |(index, _)| index);
            return Err(ElfError::Overflow { index });
        }
        Ok(image)
    }

    /// The pages that all segments span together, before the load bias.
    #[must_use]
    pub fn span(&self) -> GuestRange {
        let start = self.segments.iter().map(|segment| segment.range.start()).min().unwrap_or_default();
        let end = self.segments.iter().map(|segment| segment.range.end()).max().unwrap_or_default();
        GuestRange::new(start, end.get().saturating_sub(start.get()))
            .map_or(GuestRange::everything(), |range| range.whole_pages())
    }
}

struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    addr: u64,
    file_len: u64,
    mem_len: u64,
}

impl ProgramHeader {
    fn read(bytes: &[u8]) -> Self {
        Self {
            kind: u32_at(bytes, 0),
            flags: u32_at(bytes, 4),
            offset: u64_at(bytes, 8),
            addr: u64_at(bytes, 16),
            file_len: u64_at(bytes, 32),
            mem_len: u64_at(bytes, 40),
        }
    }

    /// `PF_X`, `PF_W` and `PF_R` are bits 0, 1 and 2.
    fn perms(&self) -> Perms {
        [(1, Perms::EXECUTE), (2, Perms::WRITE), (4, Perms::READ)]
            .into_iter()
            .filter(|(bit, _)| self.flags & bit != 0)
            .fold(Perms::NONE, |all, (_, perm)| all | perm)
    }
}

/// The segments to load, which end at `limit` at most.
fn load_segments(entries: &[ProgramHeader], limit: u64) -> Result<Vec<Segment>, ElfError> {
    let mut segments = Vec::new();
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.kind == PT_LOAD) {
        if entry.file_len > entry.mem_len {
            return Err(ElfError::FileExceedsMemory { index });
        }
        let range = GuestRange::new(GuestAddr::new(entry.addr), entry.mem_len);
        let range = range.map_err(|_| ElfError::Overflow { index })?;
        if range.end().page_end().is_none_or(|end| end.get() > limit) {
            return Err(ElfError::Overflow { index });
        }
        if range.is_empty() {
            continue;
        }
        if entry.file_len > 0 && entry.offset % PAGE_SIZE != entry.addr % PAGE_SIZE {
            return Err(ElfError::Misaligned { index });
        }
        segments.push(Segment { range, offset: entry.offset, file_len: entry.file_len, perms: entry.perms() });
    }
    if segments.is_empty() { Err(ElfError::NoSegments) } else { Ok(segments) }
}

/// The address of the program headers: what `PT_PHDR` says, else where the segment that maps them puts them.
fn header_address(entries: &[ProgramHeader], table_offset: u64, table_size: u64) -> u64 {
    if let Some(entry) = entries.iter().find(|entry| entry.kind == PT_PHDR) {
        return entry.addr;
    }
    let holds = |entry: &&ProgramHeader| {
        entry.kind == PT_LOAD
            && entry.offset <= table_offset
            && table_offset - entry.offset <= entry.file_len
            && entry.file_len - (table_offset - entry.offset) >= table_size
    };
    entries.iter().find(holds).map_or(0, |entry| entry.addr.wrapping_add(table_offset - entry.offset))
}

fn interpreter_name(file: &(impl ReadAt + ?Sized), entry: &ProgramHeader, length: u64) -> Result<CString, ElfError> {
    if !(2..=MAX_INTERPRETER).contains(&entry.file_len) {
        return Err(ElfError::InterpreterName);
    }
    let name = read_block(file, entry.offset, entry.file_len as usize, length, "the interpreter's name")?;
    // As the kernel: the last byte has to be the end.
    if name.last() != Some(&0) {
        return Err(ElfError::InterpreterName);
    }
    CStr::from_bytes_until_nul(&name).map(CStr::to_owned).map_err(|_| ElfError::InterpreterName)
}

fn read_block(
    file: &(impl ReadAt + ?Sized),
    offset: u64,
    size: usize,
    length: u64,
    what: &'static str,
) -> Result<Vec<u8>, ElfError> {
    if offset.checked_add(size as u64).is_none_or(|end| end > length) {
        return Err(ElfError::Truncated { what });
    }
    let mut bytes = vec![0; size];
    file.read_at(&mut bytes, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ElfError::Truncated { what },
        _ => ElfError::Io(error),
    })?;
    Ok(bytes)
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, offset))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, offset))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, offset))
}
