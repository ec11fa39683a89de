//! [`BlockProfile`]: what the interpreter has seen a block do.

use vm_core::{BlockKey, GuestAddr};

use crate::engine::Engine;

/// What the interpreter has seen a block do, all vCPUs together. Counts of racing vCPUs may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockProfile {
    /// The block.
    pub key: BlockKey,
    /// Its length in guest instructions.
    pub guest_len: u32,
    /// Its entries, those by a jump backwards counted double, those from compiled code four times, halved each
    /// epoch.
    pub entries: u32,
    /// Its fixed ways out and whether each was ever taken: of a branch the taken side first, then the other;
    /// after what the end names, the side exits.
    pub ways: Vec<(GuestAddr, bool)>,
    /// Where its computed end went most, with counts, most frequent first; empty for other ends.
    pub targets: Vec<(GuestAddr, u32)>,
}

impl Engine {
    /// What the interpreter has seen the block at `key` do; `None` if it has not run it lately.
    #[must_use]
    pub fn block_profile(&self, key: BlockKey) -> Option<BlockProfile> {
        let (cache, _) = self.cache();
        let block = cache.find(key)?;
        let (_, left) = block.body().entry();
        Some(BlockProfile {
            key,
            guest_len: block.guest_len(),
            entries: self.detector.count(&block.heat).saturating_add(block.heat.allowed().saturating_sub(left)),
            ways: block.ways().collect(),
            targets: block.targets(),
        })
    }
}
