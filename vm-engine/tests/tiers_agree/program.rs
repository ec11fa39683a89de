//! Random programs that live in guest memory: each block is a header there, from which its ops are drawn.

use std::sync::Arc;

use vm_core::{BlockKey, GuestAddr, GuestMemory, GuestRange, Slot, TrapKind};
use vm_ir::arbitrary::{self, Draw, HELPERS, SLOTS, Shape};
use vm_ir::{Block, BlockSource, Effort, End, Helper, IrBuilder, SlotInfo, Target, opt};

/// Distance between blocks, more than the bytes of one.
pub(crate) const BLOCK_BYTES: u64 = 256;

/// Guest instructions of a block at most.
pub(crate) const MAX_LEN: usize = 40;

/// Counts down in each block of a program that could go on for ever.
pub(crate) const FUEL: Slot = Slot::new(12);

/// Bytes of data that blocks read and write.
pub(crate) const DATA_LEN: u64 = 4096;

/// Where blocks come from, with what they mean before any pass.
pub(crate) trait Program: BlockSource {
    /// The block at `key` as it was made, before passes.
    fn lifted(&self, key: BlockKey, memory: &dyn GuestMemory) -> Block;

    /// Name of the guest instruction that begins with `bytes`, where instructions have names.
    fn instruction(&self, bytes: &[u8]) -> Option<&'static str>;
}

/// Where things lie. Nothing is mapped behind the data, nor where `stop` points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    pub(crate) code: GuestAddr,
    pub(crate) data: GuestAddr,
    /// Execution stops here, and at the next few multiples of four.
    pub(crate) stop: GuestAddr,
}

impl Ground {
    pub(crate) fn data_range(self) -> GuestRange {
        GuestRange::new(self.data, DATA_LEN).expect("data does not wrap")
    }

    /// Address of the block in this place.
    pub(crate) fn block(self, place: u64) -> GuestAddr {
        self.code.offset((place * BLOCK_BYTES) as i64)
    }
}

/// What memory holds at a block's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Draws the block.
    pub(crate) seed: u64,
    /// Number of the block in its program.
    pub(crate) index: u8,
    /// Blocks in its program, that follow each other.
    pub(crate) count: u8,
    /// Guest instructions.
    pub(crate) len: u8,
    /// Whether some accesses fault.
    pub(crate) faults: bool,
}

impl Header {
    pub(crate) fn bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..].copy_from_slice(&[self.index, self.count, self.len, u8::from(self.faults)]);
        bytes
    }

    fn read(bytes: [u8; 12]) -> Self {
        let [.., index, count, len, faults] = bytes;
        let seed = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        Self { seed, index, count, len, faults: faults != 0 }
    }
}

/// Gives the blocks that headers in memory describe; elsewhere a trap, as for unmapped code.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) ground: Ground,
}

impl Program for Source {
    fn lifted(&self, key: BlockKey, memory: &dyn GuestMemory) -> Block {
        let inside = (key.pc.offset_from(self.ground.code) as u64 % BLOCK_BYTES) as u16;
        if inside != 0 && inside.is_multiple_of(4) {
            let whole = self.lifted(key.at(key.pc.offset(-i64::from(inside))), memory);
            let begins = whole.marks.iter().any(|mark| mark.offset == inside);
            return if begins { arbitrary::tail(&whole, inside) } else { unmapped(key) };
        }
        // Read once: another thread may be writing the next program, and a block says of which bytes it was made.
        let mut bytes = [0; BLOCK_BYTES as usize];
        let header = match memory.fetch(key.pc, &mut bytes) {
            Ok(len) if len == bytes.len() => bytes.first_chunk().expect("a header is shorter"),
            Ok(_) | Err(_) => return unmapped(key),
        };
        let header = Header::read(*header);
        let to = |addr: GuestAddr| Target(addr.offset_from(key.pc));
        let mut targets: Vec<Target> = (0..4).map(|stop| to(self.ground.stop.offset(stop * 4))).collect();
        let stop = targets[0];
        // A block alone goes nowhere else; in a program, most ways lead to one of its blocks.
        if header.count > 1 {
            targets.truncate(1);
            let first = -i64::from(header.index);
            targets.extend((0..i64::from(header.count)).map(|other| Target((first + other) * BLOCK_BYTES as i64)));
        }
        let shape = Shape {
            helpers: HELPERS,
            slots: if header.count > 1 { &SLOTS_WITHOUT_FUEL } else { SLOTS },
            memory: self.ground.data_range(),
            faults: header.faults,
            isolated: true,
            targets: &targets,
            fuel: (header.count > 1).then_some((FUEL, stop)),
            // Programs would hardly get anywhere if as many blocks as not came back.
            permits_end: if header.count > 1 { seldom_back } else { |_| true },
            ..Shape::default()
        };
        let mut draw = Draw::new(header.seed);
        let seeds: Vec<u64> = (0..header.len).map(|_| draw.bits()).collect();
        let mut block = arbitrary::block(key, &seeds, &shape);
        let len = block.bytes.len();
        block.bytes.copy_from_slice(&bytes[..len]);
        block
    }

    fn instruction(&self, _bytes: &[u8]) -> Option<&'static str> {
        None
    }
}

fn seldom_back(end: &End) -> bool {
    match end {
        End::Trap { kind, .. } => *kind == TrapKind::Breakpoint,
        End::Syscall { next } => next.0 % 512 == 0,
        End::Jump { .. }
        | End::Branch { .. }
        | End::Call { .. }
        | End::Indirect { .. }
        | End::IndirectCall { .. }
        | End::Return { .. }
        | End::FlushCode { .. }
        | End::ModeChange { .. } => true,
    }
}

/// The slots of random blocks but [`FUEL`].
static SLOTS_WITHOUT_FUEL: [SlotInfo; SLOTS.len() - 1] = {
    let mut slots = [SLOTS[0]; SLOTS.len() - 1];
    let (mut from, mut to) = (0, 0);
    while from < SLOTS.len() {
        if SLOTS[from].slot.index() != FUEL.index() {
            slots[to] = SLOTS[from];
            to += 1;
        }
        from += 1;
    }
    slots
};

fn unmapped(key: BlockKey) -> Block {
    let mut ir = IrBuilder::new(key);
    ir.mark(0, 4);
    ir.finish(End::Trap { kind: TrapKind::FetchUnmapped, at: Target(0), addr: Target(0) }, &[])
}

impl BlockSource for Source {
    fn translate(&self, key: BlockKey, memory: &dyn GuestMemory, effort: Effort) -> Arc<Block> {
        let mut block = self.lifted(key, memory);
        match effort {
            Effort::Once => {}
            Effort::Quick => opt::clean_up(&mut block, &mut opt::Scratch::new()),
            Effort::Full => opt::optimise(&mut block, HELPERS),
        }
        Arc::new(block)
    }

    fn helpers(&self) -> &'static [Helper] {
        HELPERS
    }

    fn slots(&self) -> &'static [SlotInfo] {
        SLOTS
    }
}
