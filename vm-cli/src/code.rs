//! Guest code named on the command line, as memory that can be translated from.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSegment, ObjectSymbol};
use vm_core::{Access, GuestAddr, GuestArch, GuestMemory, GuestRange, MemFault};
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline, registry};

use crate::args::{CodeArgs, address};

/// Instructions shown where nothing says how many there are.
const DEFAULT_COUNT: usize = 32;

/// Bytes at guest addresses, to be read and executed.
pub(crate) struct Bytes {
    parts: Vec<(GuestRange, Vec<u8>)>,
}

impl Bytes {
    /// What lies at `addr`, up to the end of its part.
    pub(crate) fn from(&self, addr: GuestAddr) -> Option<&[u8]> {
        let (range, bytes) = self.parts.iter().find(|(range, _)| range.contains(addr))?;
        bytes.get(addr.offset_from(range.start()) as usize..)
    }

    fn copy(&self, addr: GuestAddr, buf: &mut [u8], access: Access) -> Result<usize, MemFault> {
        let found = self.from(addr).ok_or(MemFault::Unmapped { addr, access })?;
        let len = found.len().min(buf.len());
        buf[..len].copy_from_slice(&found[..len]);
        Ok(len)
    }
}

impl GuestMemory for Bytes {
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault> {
        self.copy(addr, buf, Access::Execute)
    }

    fn read(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<(), MemFault> {
        let len = self.copy(addr, buf, Access::Read)?;
        if len == buf.len() {
            return Ok(());
        }
        Err(MemFault::Unmapped { addr: addr.offset(len as i64), access: Access::Read })
    }

    fn write(&self, addr: GuestAddr, _: &[u8]) -> Result<(), MemFault> {
        Err(MemFault::Forbidden { addr, access: Access::Write })
    }

    fn compare_exchange(&self, addr: GuestAddr, _: usize, _: u128, _: u128) -> Result<u128, MemFault> {
        Err(MemFault::Forbidden { addr, access: Access::Write })
    }
}

/// Guest code and how much of it is meant.
pub(crate) struct Code {
    pub(crate) memory: Bytes,
    pub(crate) start: GuestAddr,
    /// Where it ends, if that is known.
    pub(crate) end: Option<GuestAddr>,
    /// Most instructions to show.
    pub(crate) count: usize,
    pub(crate) pipeline: TranslationPipeline,
}

impl Code {
    /// Finds the code that `args` name.
    pub(crate) fn find(args: &CodeArgs) -> Result<Self> {
        match (&args.hex, &args.file) {
            (Some(digits), _) => {
                let bytes = hex(digits)?;
                let start = GuestAddr::new(args.pc);
                let range = GuestRange::new(start, bytes.len() as u64)?;
                let memory = Bytes { parts: vec![(range, bytes)] };
                Self::new(args.guest, memory, start, Some(range.end()), args.count)
            }
            (None, Some(file)) => from_file(file, args),
            (None, None) => bail!("no code is given"),
        }
    }

    fn new(
        arch: GuestArch,
        memory: Bytes,
        start: GuestAddr,
        end: Option<GuestAddr>,
        count: Option<usize>,
    ) -> Result<Self> {
        let count = count.unwrap_or(if end.is_some() { usize::MAX } else { DEFAULT_COUNT });
        let pipeline = TranslationPipeline::new(arch, TranslationOptions::default())?;
        Ok(Self { memory, start, end, count, pipeline })
    }

    /// Whether `pc` is past the end.
    pub(crate) fn ends_at(&self, pc: GuestAddr) -> bool {
        self.end.is_some_and(|end| pc >= end)
    }

    /// The instruction at `pc`: its text and its bytes. Bytes that are no instruction are shown as data.
    pub(crate) fn instruction(&self, pc: GuestAddr) -> Option<(String, &[u8])> {
        let bytes = self.memory.from(pc)?;
        let guest = self.pipeline.guest();
        match guest.disassemble(bytes, pc.get(), self.pipeline.extensions()) {
            Ok((text, len)) => Some((text, &bytes[..len])),
            Err(error) => {
                let len = (guest.alignment() as usize).min(bytes.len());
                Some((format!("; {error}"), &bytes[..len]))
            }
        }
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex(digits: &str) -> Result<Vec<u8>> {
    let digits: Vec<u32> = digits
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).with_context(|| format!("{c:?} is not a hexadecimal digit")))
        .collect::<Result<_>>()?;
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        bail!("code is an even number of hexadecimal digits, not {}", digits.len());
    }
    Ok(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// The content of a file. Others are refused: a pipe might keep us waiting, and a device might never end.
fn read(path: &Path) -> Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        bail!("not a regular file");
    }
    Ok(fs::read(path)?)
}

fn from_file(path: &Path, args: &CodeArgs) -> Result<Code> {
    let name = path.display();
    let bytes = read(path).with_context(|| format!("{name}"))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("{name}: not an object file"))?;
    let arch = match file.architecture() {
        object::Architecture::Riscv64 => GuestArch::Riscv64,
        object::Architecture::Aarch64 => GuestArch::Aarch64,
        object::Architecture::X86_64 => GuestArch::X86_64,
        other => bail!("{name}: built for {other:?}, which is no guest"),
    };
    if registry::guest(arch).is_none() {
        bail!("{name}: built for {arch}, which this build does not translate");
    }
    let mut parts = Vec::new();
    for segment in file.segments() {
        let data = segment.data().with_context(|| format!("{name}"))?;
        parts.push((GuestRange::new(GuestAddr::new(segment.address()), data.len() as u64)?, data.to_vec()));
    }
    let (start, size) = match args.place.as_deref() {
        None => (file.entry(), None),
        Some(place) => match address(place) {
            Ok(address) => (address, None),
            Err(_) => {
                let symbol = file.symbols().find(|symbol| symbol.name() == Ok(place) && symbol.is_definition());
                let symbol = symbol.with_context(|| format!("{name}: no symbol {place:?}"))?;
                (symbol.address(), Some(symbol.size()).filter(|size| *size > 0))
            }
        },
    };
    let start = GuestAddr::new(start);
    let memory = Bytes { parts };
    if memory.from(start).is_none() {
        bail!("{name}: nothing is loaded at {start}");
    }
    let end = size.map(|size| GuestRange::new(start, size)).transpose()?.map(GuestRange::end);
    Code::new(arch, memory, start, end, args.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_bytes_in_memory_order() {
        assert_eq!(hex("b302 7300").unwrap(), [0xb3, 0x02, 0x73, 0x00]);
        assert!(hex("b30").is_err() && hex("xy").is_err() && hex("").is_err());
        assert_eq!(hex_text(&[0xb3, 2]), "b302");
    }
}
