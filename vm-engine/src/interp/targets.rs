//! [`Targets`]: where computed jumps of one vCPU lead.

use std::ptr;
use std::sync::Arc;

use vm_core::{BlockKey, Mode};

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

    /// Remembers `body`, of a block of the cache.
    pub(super) fn remember(&mut self, body: BodyRef<'_>) {
        let pc = body.head().pc;
        debug_assert!(self.cache.get(body.id()).is_some_and(|block| body.is(&block.body)));
        self.entries[Self::index(pc)] = [!pc, body.into_raw().expose_provenance() as u64];
    }

    /// The body of the block at `pc`, if it is remembered and not retired.
    #[inline(always)]
    pub(super) fn find(&self, pc: u64) -> Option<BodyRef<'_>> {
        self.find_in(&self.cache, pc)
    }

    /// The same for as long as `cache` lives, which is the one of the blocks.
    #[inline(always)]
    fn find_in<'c>(&self, cache: &'c Tier0Cache, pc: u64) -> Option<BodyRef<'c>> {
        debug_assert!(ptr::eq(cache, &*self.cache));
        let [key, body] = self.entries[Self::index(pc)];
        if key != !pc {
            return None;
        }
        // SAFETY: `remember` got the body from a block of the cache, which neither moves nor drops a block while it lives.
        let body = unsafe { BodyRef::from_raw(ptr::with_exposed_provenance(body as usize)) }?;
        (!body.head().is_dead()).then_some(body)
    }

    /// The body of the block of `cache` with `key`, if it is remembered and may be entered in `generation` without a look.
    pub(super) fn enterable<'c>(&self, cache: &'c Tier0Cache, key: BlockKey, generation: u32) -> Option<BodyRef<'c>> {
        if self.mode != key.mode || !ptr::eq(cache, &*self.cache) {
            return None;
        }
        self.find_in(cache, key.pc.get()).filter(|body| body.is_enterable(generation))
    }
}
