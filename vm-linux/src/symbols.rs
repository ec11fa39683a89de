//! [`Symbols`]: names of guest functions, from the symbol tables of the files that the guest has mapped.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use vm_core::{GuestAddr, GuestRange};
use vm_mem::{AddressSpace, Backing};

/// Where guest code comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its address in the guest.
    pub addr: GuestAddr,
    /// The mapped file, as the host names it, and the offset in it; nothing for code in memory of its own.
    pub file: Option<(PathBuf, u64)>,
}

impl Place {
    /// What is mapped at `addr` now.
    #[must_use]
    pub fn of(space: &AddressSpace, addr: GuestAddr) -> Self {
        let region = GuestRange::new(addr, 1).ok().and_then(|range| space.regions_in(range).into_iter().next());
        let file = region.and_then(|region| match region.backing {
            Backing::File { file, offset } => {
                Some((file.path.clone(), offset + (addr.get() - region.range.start().get())))
            }
            Backing::Anonymous => None,
        });
        Self { addr, file }
    }
}

/// The name of a place: a function of a file and the offset in it, or as much of that as is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named {
    /// The function's name, demangled by nobody; without one the offset in the file, or the address.
    pub symbol: String,
    /// Bytes from the function's first.
    pub offset: u64,
    /// Last part of the file's name; empty for memory without a file.
    pub file: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.symbol)?;
        if self.offset != 0 {
            write!(f, "+{:#x}", self.offset)?;
        }
        if self.file.is_empty() { Ok(()) } else { write!(f, " [{}]", self.file) }
    }
}

/// Names of functions, file by file as they are asked for.
#[derive(Debug, Default)]
pub struct Symbols {
    files: HashMap<PathBuf, Functions>,
}

/// The functions of one file.
#[derive(Debug, Default)]
struct Functions {
    /// Offset in the file, size (zero if the table does not say) and name, ascending.
    by_offset: Vec<(u64, u64, String)>,
}

impl Symbols {
    /// No file read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of `place`. A file that cannot be read, or is no ELF file, has no names.
    pub fn name(&mut self, place: &Place) -> Named {
        let Some((path, offset)) = &place.file else {
            return Named { symbol: format!("{}", place.addr), offset: 0, file: String::new() };
        };
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let functions = self.files.entry(path.clone()).or_insert_with(|| Functions::read(path));
        match functions.at(*offset) {
            Some((start, name)) => Named { symbol: name.to_owned(), offset: offset - start, file },
            None => Named { symbol: format!("{offset:#x}"), offset: 0, file },
        }
    }
}

impl Functions {
    fn read(path: &Path) -> Self {
        std::fs::read(path).ok().and_then(|bytes| Self::parse(&bytes)).unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let file = object::File::parse(bytes).ok()?;
        let segments: Vec<(u64, u64, u64)> =
            file.segments().map(|segment| (segment.address(), segment.size(), segment.file_range().0)).collect();
        let offset_of = |addr: u64| {
            let (start, _, offset) = segments.iter().find(|(start, size, _)| addr.wrapping_sub(*start) < *size)?;
            Some(addr - start + offset)
        };
        let mut by_offset: Vec<(u64, u64, String)> = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.is_definition() && symbol.kind() == SymbolKind::Text)
            .filter_map(|symbol| Some((offset_of(symbol.address())?, symbol.size(), symbol.name().ok()?.to_owned())))
            .filter(|(_, _, name)| !name.is_empty() && !name.starts_with('$'))
            .collect();
        // Of several names for one place the one with a size, then the shortest: others are mostly decorated by linkers.
        by_offset.sort_by(|(a, size_a, name_a), (b, size_b, name_b)| {
            a.cmp(b)
                .then((*size_a == 0).cmp(&(*size_b == 0)))
                .then(name_a.len().cmp(&name_b.len()))
                .then(name_a.cmp(name_b))
        });
        by_offset.dedup_by_key(|(offset, _, _)| *offset);
        Some(Self { by_offset })
    }

    /// The function that holds this offset. One whose size is not known reaches to the next.
    fn at(&self, offset: u64) -> Option<(u64, &str)> {
        let next = self.by_offset.partition_point(|(start, _, _)| *start <= offset);
        let (start, size, name) = self.by_offset.get(next.checked_sub(1)?)?;
        (*size == 0 || offset - start < *size).then_some((*start, name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_found_in_functions() {
        let function = |start, size, name: &str| (start, size, name.to_owned());
        let functions =
            Functions { by_offset: vec![function(0x10, 8, "a"), function(0x20, 0, "b"), function(0x40, 4, "c")] };
        for (offset, expected) in [
            (0x0f, None),
            (0x10, Some((0x10, "a"))),
            (0x17, Some((0x10, "a"))),
            (0x18, None),
            (0x3f, Some((0x20, "b"))),
            (0x43, Some((0x40, "c"))),
            (0x44, None),
        ] {
            assert_eq!(functions.at(offset), expected, "{offset:#x}");
        }
    }

    #[test]
    fn names_say_as_much_as_is_known() {
        let named = |symbol: &str, offset, file: &str| Named { symbol: symbol.into(), offset, file: file.into() };
        assert_eq!(named("main", 0, "prog").to_string(), "main [prog]");
        assert_eq!(named("main", 18, "prog").to_string(), "main+0x12 [prog]");
        let mut symbols = Symbols::new();
        let nowhere = Place { addr: GuestAddr::new(0x1234), file: None };
        assert_eq!(symbols.name(&nowhere).file, "");
        let missing = Place { file: Some(("no such folder/lib.so".into(), 0x99)), ..nowhere };
        assert_eq!(symbols.name(&missing), named("0x99", 0, "lib.so"));
    }

    /// The symbol table of this very test is not a guest's, but an ELF file all the same.
    #[test]
    fn a_real_file_has_names() {
        let path = std::env::current_exe().unwrap();
        let functions = Functions::read(&path);
        assert!(functions.by_offset.iter().any(|(_, _, name)| name.contains("main")));
        assert!(functions.by_offset.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
