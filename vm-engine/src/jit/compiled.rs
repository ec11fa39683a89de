//! What compiling a region gives, before it is made executable.

use std::ops::Range;

use vm_core::{BlockKey, GuestAddr, GuestRange};
use vm_ir::{Block, Op};

use crate::config::Exact;

/// How much was invested in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CompiledTier {
    /// Compiled when first found hot: by the baseline compiler where there is one.
    One,
    /// Compiled by the optimising compiler, larger and from a later profile, because it was entered very often.
    Two,
}

/// The guest bytes of the blocks that a region was made from: what is left of the blocks once its code is there.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// Where the bytes of each block begin, and how many they are.
    places: Box<[(GuestAddr, u32)]>,
    /// The bytes, one block's after the other's.
    bytes: Box<[u8]>,
}

impl Sources {
    /// Of `blocks`.
    pub(crate) fn of<'a>(blocks: impl Iterator<Item = &'a Block>) -> Self {
        let mut bytes = Vec::new();
        let places = blocks.map(|block| {
            bytes.extend_from_slice(&block.bytes);
            (block.key.pc, block.bytes.len() as u32)
        });
        let places = places.collect();
        Self { places, bytes: bytes.into() }
    }

    /// A source for each block.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Source<'_>> {
        let mut rest = &*self.bytes;
        self.places.iter().map(move |&(pc, len)| {
            let (bytes, after) = rest.split_at(len as usize);
            rest = after;
            Source { pc, bytes }
        })
    }

    /// Bytes that they hold.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.places) + self.bytes.len()
    }
}

/// The guest bytes of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// Where they begin.
    pub(crate) pc: GuestAddr,
    /// The bytes.
    pub(crate) bytes: &'a [u8],
}

impl Source<'_> {
    /// Where the bytes are; `None` beyond the end of the address space.
    pub(crate) fn range(self) -> Option<GuestRange> {
        GuestRange::new(self.pc, self.bytes.len() as u64).ok()
    }
}

/// Guest addresses of read-modify-write instructions in `blocks`, ascending.
pub(crate) fn atomics<'a>(blocks: impl Iterator<Item = &'a Block>) -> Box<[GuestAddr]> {
    let mut atomics: Vec<_> = blocks
        .flat_map(|block| {
            let ops = block.insts.iter().enumerate();
            ops.filter(|(_, inst)| inst.op == Op::AtomicRmw).map(|(index, _)| block.pc_of(index))
        })
        .collect();
    atomics.sort_unstable();
    atomics.dedup();
    atomics.into()
}

/// A compiled region: position-independent code and what is needed to link, check, unwind and drop it.
pub(crate) struct CompiledRegion {
    /// Where it is entered.
    pub(crate) key: BlockKey,
    /// What was invested.
    pub(crate) tier: CompiledTier,
    /// Machine code, entered at its first byte.
    pub(crate) code: Vec<u8>,
    /// Where each link leads.
    pub(crate) links: Vec<BlockKey>,
    /// What it was made from.
    pub(crate) sources: Sources,
    /// Guest addresses of read-modify-write instructions, ascending: their faults are those of a write.
    pub(crate) atomics: Box<[GuestAddr]>,
    /// Host code offset at which the code of a guest instruction begins, ascending.
    pub(crate) pcs: Vec<(u32, GuestAddr)>,
    /// Guest instructions, inlined copies counted.
    pub(crate) guest_len: usize,
    /// Other places where it may be entered, and the offsets of their code.
    pub(crate) entries: Vec<(BlockKey, u32)>,
    /// The code counts how often it is entered, and asks for better code by itself.
    pub(crate) counts: bool,
    /// Exactness of the state at faults that it was compiled for.
    pub(crate) faults: Exact,
    /// Offsets of the code whose accesses the fault handler is to step over, ascending.
    pub(crate) steps_over: Vec<Range<u32>>,
    /// CPU time spent on it, translation included, in nanoseconds.
    pub(crate) compile_ns: u64,
}
