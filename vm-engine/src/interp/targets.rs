//! [`Targets`]: where computed jumps of one vCPU lead.

use std::ptr;
use std::sync::Arc;

use vm_core::{GuestAddr, Mode};

use super::block::BlockId;
use super::body::BodyRef;
use super::table::Tier0Cache;

/// Number of entries, a power of two.
const LEN: usize = 4096;

/// Blocks at computed addresses, found by the address's low bits. Of one cache of blocks and one mode.
pub(super) struct Targets {
    cache: Arc<Tier0Cache>,
    mode: Mode,
    entries: Box<[Entry; LEN]>,
}

/// Complement of a block's address, and where its body is. Zeros are an entry without a block, so that a table begins as
/// memory that nobody has touched.
type Entry = [u64; 2];

impl Targets {
    const EMPTY: Entry = [0; 2];

    /// None yet, of blocks of `cache`.
    pub(super) fn new(cache: Arc<Tier0Cache>) -> Self {
        let entries = vec![Self::EMPTY; LEN].into_boxed_slice().try_into();
        Self { cache, mode: Mode::default(), entries: entries.unwrap_or_else(|_| unreachable!("of this length")) }
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
            let body = block.body.get().into_raw().expose_provenance();
            self.entries[Self::index(pc.get())] = [!pc.get(), body as u64];
        }
    }

    /// The number of the block at `pc` in `mode`, if it is remembered and may be entered in `generation` without a look.
    pub(super) fn enterable(&self, pc: GuestAddr, mode: Mode, generation: u32) -> Option<BlockId> {
        if self.mode != mode {
            return None;
        }
        let head = self.find(pc.get())?.head();
        let (compared, left) = head.entry();
        (compared == generation && left > 0).then(|| head.id())
    }

    /// The body of the block at `pc`, if it is remembered and not retired.
    #[inline(always)]
    pub(super) fn find(&self, pc: u64) -> Option<BodyRef<'_>> {
        let [key, body] = self.entries[Self::index(pc)];
        if key != !pc {
            return None;
        }
        // SAFETY: `remember` got the body from a block of the cache, which neither moves nor drops a block while it lives,
        // and it lives as long as this.
        let body = unsafe { BodyRef::from_raw(ptr::with_exposed_provenance(body as usize)) }?;
        (!body.head().is_dead()).then_some(body)
    }
}
