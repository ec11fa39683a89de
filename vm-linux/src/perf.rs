//! Machine code as the host's `perf` wants it named: a map of addresses, or a dump with the code itself.
//!
//! What is compiled is remembered while the guest runs, and files are written when it has ended: a file that is open
//! meanwhile would be a descriptor that the guest could meet.
//!
//! Source: `tools/perf/Documentation/jit-interface.txt` and `jitdump-specification.txt` of the Linux sources.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use vm_engine::{CodeObserver, PublishedCode};
use vm_mem::AddressSpace;

use crate::host;
use crate::symbols::{Place, Symbols};

/// One piece of machine code.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    address: u64,
    len: u64,
    tier: u8,
    time_ns: u64,
    place: Place,
    /// Empty where only names are wanted.
    bytes: Vec<u8>,
}

/// Every piece of machine code that an engine has published.
pub struct CodeLog {
    space: Arc<AddressSpace>,
    keeps_bytes: bool,
    pieces: Mutex<Vec<Piece>>,
}

impl CodeLog {
    /// An empty log of code made from `space`.
    pub(crate) fn new(space: Arc<AddressSpace>, keeps_bytes: bool) -> Self {
        Self { space, keeps_bytes, pieces: Mutex::default() }
    }

    /// Writes `perf-PID.map`: a line `START SIZE NAME` for each piece, numbers hexadecimal.
    ///
    /// # Errors
    /// What the host says when the file cannot be written.
    pub fn write_map(&self, file: &Path) -> io::Result<()> {
        let mut symbols = Symbols::new();
        let mut out = io::BufWriter::new(std::fs::File::create(file)?);
        for piece in self.pieces.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writeln!(out, "{:x} {:x} {}", piece.address, piece.len, piece.name(&mut symbols))?;
        }
        out.flush()
    }

    /// Writes `jit-PID.dump`, and maps its first page for a moment, by which `perf inject` learns of it. Times are those of
    /// `CLOCK_MONOTONIC` (`perf record -k mono`).
    ///
    /// # Errors
    /// What the host says when the file cannot be written or mapped.
    pub fn write_dump(&self, file: &Path) -> io::Result<()> {
        let mut symbols = Symbols::new();
        let mut bytes = header();
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).clone();
        downwards(&mut pieces);
        for (index, piece) in pieces.iter().enumerate() {
            piece.record(index as u64, &mut symbols, &mut bytes);
        }
        std::fs::write(file, bytes)?;
        host::show_to_perf(&std::fs::File::open(file)?)
    }
}

impl CodeObserver for CodeLog {
    fn published(&self, code: PublishedCode<'_>) {
        let piece = Piece {
            address: code.address,
            len: code.bytes.len() as u64,
            tier: code.tier,
            time_ns: code.time_ns,
            place: Place::of(&self.space, code.entry),
            bytes: if self.keeps_bytes { code.bytes.to_vec() } else { Vec::new() },
        };
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
    }
}

impl std::fmt::Debug for CodeLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeLog").field("keeps_bytes", &self.keeps_bytes).finish_non_exhaustive()
    }
}

impl Piece {
    fn name(&self, symbols: &mut Symbols) -> String {
        // Lines are what a reader of the map knows; a name from a file may hold anything.
        let name = symbols.name(&self.place).to_string();
        format!("{} tier{}", name.replace(|c: char| c.is_control(), "?"), self.tier)
    }

    /// Appends a `JIT_CODE_LOAD` record.
    fn record(&self, index: u64, symbols: &mut Symbols, out: &mut Vec<u8>) {
        const JIT_CODE_LOAD: u32 = 0;
        /// Bytes of the record before the name.
        const FIXED: usize = 56;
        let name = self.name(symbols).replace('\0', "?");
        let size = FIXED + name.len() + 1 + self.bytes.len();
        let process = std::process::id();
        for word in [JIT_CODE_LOAD, size as u32] {
            out.extend(word.to_ne_bytes());
        }
        out.extend(self.time_ns.to_ne_bytes());
        for word in [process, process] {
            out.extend(word.to_ne_bytes());
        }
        for word in [self.address, self.address, self.bytes.len() as u64, index] {
            out.extend(word.to_ne_bytes());
        }
        out.extend(name.as_bytes());
        out.push(0);
        out.extend(&self.bytes);
    }
}

/// Turns runs of neighbours around, which were published together, and leaves the times where they were. `perf inject`
/// takes what lies right below a piece for the head of a file that it makes of the piece, so that a piece which is loaded
/// after its lower neighbour would hide the end of that.
fn downwards(pieces: &mut [Piece]) {
    /// Code is aligned to less than this.
    const GAP: u64 = 64;
    let times: Vec<u64> = pieces.iter().map(|piece| piece.time_ns).collect();
    let adjoin =
        |low: &Piece, high: &Piece| high.address.checked_sub(low.address + low.len).is_some_and(|gap| gap < GAP);
    pieces.chunk_by_mut(adjoin).for_each(<[Piece]>::reverse);
    for (piece, time) in pieces.iter_mut().zip(times) {
        piece.time_ns = time;
    }
}

/// The head of a dump.
fn header() -> Vec<u8> {
    /// `JiTD`; written in the host's byte order, by which a reader knows that.
    const MAGIC: u32 = 0x4a69_5444;
    const VERSION: u32 = 1;
    const SIZE: u32 = 40;
    /// The host's ELF machine number.
    const MACHINE: u32 = match () {
        () if cfg!(target_arch = "x86_64") => 62,
        () if cfg!(target_arch = "aarch64") => 183,
        () if cfg!(target_arch = "riscv64") => 243,
        () => 22,
    };
    let mut out = Vec::new();
    for word in [MAGIC, VERSION, SIZE, MACHINE, 0, std::process::id()] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(monotonic_ns().to_ne_bytes());
    out.extend(0_u64.to_ne_bytes());
    out
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_core::GuestAddr;

    fn piece(address: u64, bytes: &[u8]) -> Piece {
        let place = Place { addr: GuestAddr::new(0x1_0000), file: None };
        Piece { address, len: bytes.len() as u64, tier: 1, time_ns: 77, place, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_record_has_the_layout_of_the_specification() {
        let mut out = Vec::new();
        piece(0x7000, &[0x90, 0xc3]).record(5, &mut Symbols::new(), &mut out);
        let word = |at: usize| u32::from_ne_bytes(out[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_ne_bytes(out[at..at + 8].try_into().unwrap());
        assert_eq!((word(0), word(4) as usize, long(8)), (0, out.len(), 77));
        assert_eq!((word(16), word(20)), (std::process::id(), std::process::id()));
        assert_eq!([long(24), long(32), long(40), long(48)], [0x7000, 0x7000, 2, 5]);
        let name_end = 56 + out[56..].iter().position(|byte| *byte == 0).unwrap();
        assert!(std::str::from_utf8(&out[56..name_end]).unwrap().ends_with(" tier1"));
        assert_eq!(out[name_end + 1..], [0x90, 0xc3]);
    }

    #[test]
    fn neighbours_are_loaded_from_the_top() {
        let mut pieces = vec![piece(0x1000, &[1; 16]), piece(0x1010, &[2; 8]), piece(0x1020, &[3]), piece(0x500, &[4])];
        for (time, piece) in (10..).zip(&mut pieces) {
            piece.time_ns = time;
        }
        downwards(&mut pieces);
        let order: Vec<_> = pieces.iter().map(|piece| (piece.address, piece.time_ns)).collect();
        assert_eq!(order, [(0x1020, 10), (0x1010, 11), (0x1000, 12), (0x500, 13)]);
    }

    #[test]
    fn a_header_has_the_layout_of_the_specification() {
        let out = header();
        assert_eq!(out.len(), 40);
        let word = |at: usize| u32::from_ne_bytes(out[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4), word(8), word(16), word(20)), (0x4a69_5444, 1, 40, 0, std::process::id()));
    }
}
