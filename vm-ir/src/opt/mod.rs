//! Passes over blocks: [`optimise`] for code that is worth it, [`clean_up`] for code that may run once.
//!
//! `README.md` beside this file has the rules for writing one.

mod compact;
mod condition;
mod dead;
mod fold;
mod forward;
mod known;
mod rewrite;
mod silent;
mod simplify;

pub use condition::do_unless;

use crate::block::{Block, Inst, Value};
use crate::helper::Helper;
use crate::ops::Op;
use crate::types::Type;

/// Memory that passes use while they run, to be kept from one block to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// What each op's value is replaced by, by its index before the pass.
    names: Vec<Value>,
    /// Ops to be removed.
    gone: Vec<bool>,
    /// Writes of slots that nothing observes before the next one.
    overwritten: Vec<u32>,
    /// Ops whose value is used.
    used: Vec<bool>,
    slots: forward::Slots,
    out: rewrite::Out,
}

impl Scratch {
    /// Scratch memory that grows with the blocks it is used for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// A pass: gives a block of the same meaning.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Its name: that of its file, and of its golden tests.
    pub name: &'static str,
    run: fn(&mut Block, &[Helper], &mut Scratch),
}

impl Pass {
    /// Runs the pass on a block that [`verify`](crate::verify()) accepts, and gives such a block.
    pub fn run(&self, block: &mut Block, helpers: &[Helper], scratch: &mut Scratch) {
        (self.run)(block, helpers, scratch);
    }
}

/// Every pass, in the order in which [`optimise`] runs them.
pub const PASSES: &[Pass] = &[
    // Slots first: what an instruction reads becomes what an earlier one computed, which the others work on.
    Pass { name: "forward", run: forward::run },
    // Constants, identities and equal ops, each looking at operands that are already done.
    Pass { name: "simplify", run: simplify::run },
    // Again: writes of what a slot already holds have become visible.
    Pass { name: "forward", run: forward::run },
    // Comparisons between a read and a write of the sticky flags; the read is often unused afterwards.
    Pass { name: "silent", run: silent::run },
    // Last: what the others have left unused.
    Pass { name: "dead", run: dead::run },
];

/// Every pass once.
///
/// The block means the same before and after: the same slots, mode and floating-point flags at every op that may fault,
/// trap, leave or call, and at the end; the same accesses to memory in the same order. Guest instructions keep their
/// marks. `block` is one that [`verify`](crate::verify()) accepts, and stays so.
pub fn optimise(block: &mut Block, helpers: &[Helper]) {
    let mut scratch = Scratch::new();
    for pass in PASSES {
        pass.run(block, helpers, &mut scratch);
        if cfg!(debug_assertions)
            && let Err(error) = crate::verify(block, None, helpers)
        {
            panic!("pass {} broke its block: {error}\n{block}", pass.name);
        }
    }
}

/// What a removed op becomes where the others keep their numbers: a constant that nobody reads.
const NOTHING: Inst = Inst::new(Op::Const, Type::I8, Type::I8, [Value::NONE; 3]);

/// What is worth doing for a block that may run once: slot forwarding, removal of reads and writes of slots that nothing
/// observes and of needless extensions, in one walk. It leaves values that nothing uses: whoever takes the block counts the
/// uses of values for itself.
///
/// The block means the same before and after, as for [`optimise`].
pub fn clean_up(block: &mut Block, scratch: &mut Scratch) {
    forward::walk(block, None, forward::Extensions::Remove, scratch);
    for write in &scratch.overwritten {
        block.insts[*write as usize] = NOTHING;
    }
}
