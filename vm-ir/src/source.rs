//! [`BlockSource`]: where an engine gets its blocks from.

use std::sync::Arc;

use vm_core::{BlockKey, GuestMemory, Slot};

use crate::block::Block;
use crate::helper::Helper;
use crate::types::Type;

/// How much work a translation is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effort {
    /// Lift, nothing more: for code that is interpreted.
    Once,
    /// Lift and one linear clean-up: for code that is compiled quickly.
    Quick,
    /// Every pass; the result is remembered.
    Full,
}

/// A named slot of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// Name in the text form, as the manual writes the register.
    pub name: &'static str,
    /// The slot.
    pub slot: Slot,
    /// The type with which it is always read and written.
    pub ty: Type,
}

/// Translates guest code into blocks.
///
/// Translation is a pure function of bytes, key and the source's own options, and it is total: unreadable or unknown
/// bytes give a block that ends in a trap.
///
/// A block has at most 8192 guest bytes and as many ops; an engine may panic on longer ones.
///
/// Guest memory may change meanwhile. Each byte is read once, so that [`Block::bytes`] are those of which the block was
/// made: it is by comparing them with memory that the engine finds out whether a block is still right.
pub trait BlockSource: Send + Sync {
    /// The block at `key`, read through `memory`. Any instruction of another block may be asked for: control may come from
    /// elsewhere, and where compiled code is left in the middle of a block the interpreter goes on there.
    fn translate(&self, key: BlockKey, memory: &dyn GuestMemory, effort: Effort) -> Arc<Block>;

    /// The block at `key` with its last branch, if that only skips a few instructions, replaced by what it skips, done on
    /// condition; it ends with a jump to where the branch leads. `None` if it ends otherwise, or if what is skipped costs more
    /// than a branch or can be observed. A source that never does this need not say so.
    fn translate_joined(&self, _key: BlockKey, _memory: &dyn GuestMemory) -> Option<Arc<Block>> {
        None
    }

    /// The same as [`BlockSource::translate`] into `block`, whose memory may be used again: for callers that keep no blocks.
    fn translate_into(&self, key: BlockKey, memory: &dyn GuestMemory, effort: Effort, block: &mut Block) {
        *block = Arc::unwrap_or_clone(self.translate(key, memory, effort));
    }

    /// The helpers that blocks name by index.
    fn helpers(&self) -> &'static [Helper];

    /// The guest's slots.
    fn slots(&self) -> &'static [SlotInfo];

    /// Holds still what the source keeps, for a fork of the process, until the result is dropped. Sources that keep
    /// nothing behind a lock need not say anything.
    fn hold(&self) -> Box<dyn HeldSource + '_> {
        Box::new(())
    }
}

/// A source that is held still across a fork. Dropping it lets the parent go on.
pub trait HeldSource {
    /// Goes on in the child, where only the calling thread is left: nobody finishes what other threads had begun.
    fn in_child(self: Box<Self>);
}

impl HeldSource for () {
    fn in_child(self: Box<Self>) {}
}
