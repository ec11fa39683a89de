//! Regions: function-shaped pieces of guest control flow that are compiled as one.
//!
//! A [`RegionPlan`] is everything that shapes the generated code; compiling is a pure function of it.

mod assume;
mod discover;
mod exact;
mod narrow;
mod order;
mod search;
mod ssa;

pub(crate) use assume::constants_left;
pub(crate) use discover::{Profile, Seen, discover};
pub(crate) use exact::{AtFaults, Part, ends_group, store_run};
pub(crate) use narrow::narrow_values;
pub(crate) use search::{STEP, Search, Word, search_loop};
pub(crate) use ssa::{SlotSet, Slots, analyse, flushes, is_raw};

use std::fmt;
use std::sync::Arc;

use vm_core::{BlockKey, GuestAddr, GuestRange, Slot};
use vm_ir::{Block, End, Helper, HelperEffect, Inst, Op, Target};

use crate::config::Exact;

/// How compiled code reaches guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryMode {
    /// A guest address is a host address; the host's page protection refuses what is not the guest's.
    Direct,
    /// The frame's base is added to addresses below the frame's limit; others fault without touching the host.
    Based,
    /// Every access is a call of the embedder's memory.
    Checked,
}

/// How much is invested in the code of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Quality {
    /// One pass, registers within blocks. For hosts and memory where there is no such compiler, as [`Quality::Optimised`].
    Baseline,
    /// Registers across the region, through Cranelift.
    #[default]
    Optimised,
}

/// What shapes the code of a region besides its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CompileOptions {
    /// Exactness of the state at faults.
    pub faults: Exact,
    /// How memory is reached.
    pub memory: MemoryMode,
    /// Whether every block adds its number of instructions to the frame's counter.
    pub count: bool,
    /// Which compiler makes it.
    pub quality: Quality,
    /// Whether the code may be for some states only, which it tests where it is entered, and decline others. What declines
    /// too often is made anew without.
    pub may_decline: bool,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            faults: Exact::Pc,
            memory: MemoryMode::Direct,
            count: false,
            quality: Quality::Optimised,
            may_decline: true,
        }
    }
}

/// One block of a region. The same guest block may occur more than once (inlined at several calls).
#[derive(Clone, Debug)]
pub struct RegionBlock {
    /// The translated block.
    pub block: Arc<Block>,
    /// Where control may stay inside the region: guest address and index of the block that it means here.
    /// An address that is not listed leaves the region.
    pub edges: Vec<(GuestAddr, usize)>,
    /// Control is expected to come here from outside the region, as it does where a call returns. Baseline code can be
    /// entered at every block, at these and at the first one in fewer instructions.
    pub entered: bool,
}

impl RegionBlock {
    /// The region's block for control that goes on at `pc` from here.
    #[must_use]
    pub fn edge(&self, pc: GuestAddr) -> Option<usize> {
        self.edges.iter().find(|(target, _)| *target == pc).map(|(_, index)| *index)
    }
}

/// What is compiled into one function: the blocks, how they hang together, and the options.
#[derive(Clone, Debug)]
pub struct RegionPlan {
    /// Where the region is entered: the key of block 0.
    pub entry: BlockKey,
    /// The blocks; the first is the entry. All have the entry's mode.
    pub blocks: Vec<RegionBlock>,
    /// What slots hold that the blocks read as constants: the code tests it where it is entered, and declines otherwise.
    pub assumed: Vec<(Slot, u64)>,
    /// Options.
    pub options: CompileOptions,
}

impl RegionPlan {
    /// A region of one block, which may loop to itself.
    #[must_use]
    pub fn single(block: Arc<Block>, options: CompileOptions) -> Self {
        let entry = block.key;
        let edges = fixed_targets(&block).filter(|pc| *pc == entry.pc).map(|pc| (pc, 0)).take(1).collect();
        let blocks = vec![RegionBlock { block, edges, entered: false }];
        Self { entry, blocks, assumed: Vec::new(), options }
    }

    /// A region of all these blocks, the first one the entry, with every fixed way from one to another inside it.
    ///
    /// `None` without a block, or if the blocks are of several modes.
    #[must_use]
    pub fn whole(blocks: &[Arc<Block>], options: CompileOptions) -> Option<Self> {
        let entry = blocks.first()?.key;
        if blocks.iter().any(|block| block.key.mode != entry.mode) {
            return None;
        }
        let place = |pc| blocks.iter().position(|block| block.key.pc == pc).map(|index| (pc, index));
        let here = |block: &Arc<Block>| {
            let mut edges: Vec<_> = fixed_targets(block).filter_map(place).collect();
            edges.dedup();
            RegionBlock { block: Arc::clone(block), edges, entered: false }
        };
        Some(Self { entry, blocks: blocks.iter().map(here).collect(), assumed: Vec::new(), options })
    }

    /// Guest addresses that the region leaves for by a fixed exit, each once, in order.
    #[must_use]
    pub fn links(&self) -> Vec<GuestAddr> {
        let mut links: Vec<_> = self
            .blocks
            .iter()
            .flat_map(|here| {
                let side = here.block.insts.iter().filter(|inst| inst.op == Op::ExitIf);
                let side = side.map(|inst| Target(inst.imm).address(here.block.key.pc));
                side.chain(fixed_targets(&here.block).filter(|pc| here.edge(*pc).is_none()))
            })
            .collect();
        links.sort_unstable();
        links.dedup();
        links
    }

    /// Words of the link table after the links in which baseline code counts, one for each block.
    pub(crate) fn counters(&self) -> usize {
        if self.options.quality == Quality::Baseline { self.blocks.len() } else { 0 }
    }

    /// Number of guest instructions, inlined copies counted.
    #[must_use]
    pub fn guest_len(&self) -> usize {
        self.blocks.iter().map(|here| here.block.guest_len()).sum()
    }

    /// The guest bytes that the region was made from, a range for each block.
    #[must_use]
    pub fn ranges(&self) -> Vec<GuestRange> {
        let range = |block: &Block| GuestRange::new(block.key.pc, block.bytes.len() as u64);
        self.blocks.iter().filter_map(|here| range(&here.block).ok()).collect()
    }
}

/// Whether `call`, of one of `helpers`, may write any slot.
fn may_write_slots(call: &Inst, helpers: &[Helper]) -> bool {
    helpers.get(call.imm as usize).is_none_or(|helper| helper.effect == HelperEffect::State)
}

/// Guest addresses to which the end of `block` goes on by a fixed jump.
pub(crate) fn fixed_targets(block: &Block) -> impl Iterator<Item = GuestAddr> {
    let [first, second] = match block.end {
        End::Jump { target } | End::Call { target, .. } => [Some(target), None],
        End::Branch { taken, fall, .. } => [Some(taken), Some(fall)],
        End::Indirect { .. }
        | End::IndirectCall { .. }
        | End::Return { .. }
        | End::Syscall { .. }
        | End::Trap { .. }
        | End::FlushCode { .. }
        | End::ModeChange { .. } => [None, None],
    };
    let pc = block.key.pc;
    first.into_iter().chain(second).map(move |target| target.address(pc))
}

/// The plan as text, printed when compiling it fails: enough to build it again.
impl fmt::Display for RegionPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "region {} {:?} assumed {:x?}", self.entry, self.options, self.assumed)?;
        for (index, here) in self.blocks.iter().enumerate() {
            writeln!(f, "block {index} at {} edges {:?} bytes {:02x?}", here.block.key, here.edges, here.block.bytes)?;
            for (value, inst) in here.block.insts.iter().enumerate() {
                let (name, args) = (inst.op.name(), inst.operands());
                writeln!(
                    f,
                    "    %{value} = {name}.{}.{} {args:?} imm {} attr {}",
                    inst.ty, inst.from, inst.imm, inst.attr
                )?;
            }
            writeln!(f, "    {:?}", here.block.end)?;
        }
        Ok(())
    }
}
