//! [`Targets`]: where computed jumps of one vCPU lead.

use std::ptr;
use std::sync::Arc;

use vm_core::{GuestAddr, Mode};

use super::block::BlockId;
use super::body::{BodyRef, Head};
use super::table::Tier0Cache;

/// Number of entries, a power of two.
const LEN: usize = 4096;

/// Blocks at computed addresses, found by the address's low bits. Of one cache of blocks and one mode.
pub(super) struct Targets {
    cache: Arc<Tier0Cache>,
    mode: Mode,
    entries: Box<[Entry; LEN]>,
}

#[derive(Clone, Copy)]
struct Entry {
    pc: u64,
    /// Null, or the body of a block of the cache.
    body: *const Head,
    id: BlockId,
}

// SAFETY: the pointers are used as shared references to blocks, which any thread may have.
unsafe impl Send for Targets {}
// SAFETY: as above.
unsafe impl Sync for Targets {}

impl Targets {
    const EMPTY: Entry = Entry { pc: u64::MAX, body: ptr::null(), id: BlockId::NONE };

    /// None yet, of blocks of `cache`.
    pub(super) fn new(cache: Arc<Tier0Cache>) -> Self {
        Self { cache, mode: Mode::default(), entries: Box::new([Self::EMPTY; LEN]) }
    }

    /// The cache of the blocks.
    pub(super) fn cache(&self) -> &Arc<Tier0Cache> {
        &self.cache
    }

    const fn index(pc: u64) -> usize {
        (pc >> 1) as usize & (LEN - 1)
    }

    /// Forgets what is of another mode.
    pub(super) fn use_mode(&mut self, mode: Mode) {
        if self.mode != mode {
            self.entries.fill(Self::EMPTY);
            self.mode = mode;
        }
    }

    /// Remembers that the block with number `id` is at `pc`.
    pub(super) fn remember(&mut self, pc: GuestAddr, id: BlockId) {
        if let Some(block) = self.cache.get(id) {
            self.entries[Self::index(pc.get())] = Entry { pc: pc.get(), body: block.body.get().into_raw(), id };
        }
    }

    /// The number of the block at `pc` in `mode`, if it is remembered and may be entered in `generation` without a look.
    pub(super) fn enterable(&self, pc: GuestAddr, mode: Mode, generation: u32) -> Option<BlockId> {
        if self.mode != mode {
            return None;
        }
        let (compared, left) = self.find(pc.get())?.head().entry();
        (compared == generation && left > 0).then(|| self.entries[Self::index(pc.get())].id)
    }

    /// The body of the block at `pc`, if it is remembered and not retired.
    #[inline(always)]
    pub(super) fn find(&self, pc: u64) -> Option<BodyRef<'_>> {
        let entry = self.entries[Self::index(pc)];
        if entry.pc != pc {
            return None;
        }
        // SAFETY: `remember` got the body from a block of the cache, which neither moves nor drops a block while it lives,
        // and it lives as long as this.
        let body = unsafe { BodyRef::from_raw(entry.body) }?;
        (!body.head().is_dead()).then_some(body)
    }
}
