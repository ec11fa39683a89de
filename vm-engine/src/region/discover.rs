//! From a hot entry and what tier 0 has seen to the blocks of a region.

use std::collections::HashMap;
use std::sync::Arc;

use vm_core::{BlockKey, GuestAddr};
use vm_ir::{Block, Effort, End, Target};

use super::{CompileOptions, Quality, RegionBlock, RegionPlan};
use crate::engine::Engine;

/// What tier 0 saw at the end of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// A branch was taken.
    pub(crate) taken: bool,
    /// A branch fell through.
    pub(crate) fall: bool,
    /// Targets of an indirect end, most frequent first; may be incomplete.
    pub(crate) targets: Vec<GuestAddr>,
}

/// What the interpreter knows about the program so far.
pub(crate) trait Profile: Send + Sync {
    /// The block at `key` with every pass applied, if tier 0 has run it.
    fn block(&self, key: BlockKey) -> Option<Arc<Block>>;

    /// What tier 0 saw at the end of the block at `key`; nothing if it never ran.
    fn seen(&self, key: BlockKey) -> Seen;
}

/// Most blocks in a region.
const MAX_BLOCKS: usize = 128;
/// Most blocks in a region of which none is copied.
const MAX_FLAT_BLOCKS: usize = 512;
/// Most targets of an indirect jump that stay in the region: each costs a compare.
const MAX_TARGETS: usize = 3;
/// Most guest instructions of a callee that is inlined.
const MAX_INLINE_LEN: usize = 40;
/// Most blocks of a callee that is inlined.
const MAX_INLINE_BLOCKS: usize = 12;

/// The region around `entry`: everything reachable over edges that tier 0 has seen, up to a number of guest
/// instructions.
///
/// Unseen edges leave the region. Small callees of direct calls are copied in; larger calls leave, and so does the
/// code after them, which is a region of its own when it is hot. `None` if tier 0 has not run the entry.
pub(crate) fn discover(
    entry: BlockKey,
    options: CompileOptions,
    max_guest_len: usize,
    profile: &dyn Profile,
) -> Option<RegionPlan> {
    let mut finder = Finder {
        mode: entry,
        profile,
        places: HashMap::new(),
        blocks: Vec::new(),
        contexts: vec![None],
        len: 0,
        max_guest_len,
        flat: options.quality == Quality::Baseline,
    };
    finder.place(0, entry.pc)?;
    let mut next = 0;
    while next < finder.blocks.len() {
        finder.connect(next);
        next += 1;
    }
    let blocks = finder.blocks.into_iter().map(|here| RegionBlock {
        block: here.block,
        edges: here.edges,
        entered: here.entered,
    });
    let blocks = blocks.collect();
    Some(RegionPlan { entry, blocks, options })
}

/// A block with the call it was copied in for.
struct Place {
    context: usize,
    block: Arc<Block>,
    edges: Vec<(GuestAddr, usize)>,
    entered: bool,
}

/// An inlined call: where it returns, and in which context that is.
#[derive(Clone, Copy)]
struct Inlined {
    ret: GuestAddr,
    outer: usize,
}

struct Finder<'a> {
    mode: BlockKey,
    profile: &'a dyn Profile,
    /// Index of the block for a context and an address.
    places: HashMap<(usize, GuestAddr), usize>,
    blocks: Vec<Place>,
    /// Context 0 is the region's own code.
    contexts: Vec<Option<Inlined>>,
    len: usize,
    max_guest_len: usize,
    /// Callees and the code after calls belong to the region, each block once.
    flat: bool,
}

impl Finder<'_> {
    /// The index of the block at `pc` in `context`, added if there is room and tier 0 has run it.
    fn place(&mut self, context: usize, pc: GuestAddr) -> Option<usize> {
        if let Some(index) = self.places.get(&(context, pc)) {
            return Some(*index);
        }
        if self.blocks.len() >= if self.flat { MAX_FLAT_BLOCKS } else { MAX_BLOCKS } {
            return None;
        }
        let block = self.profile.block(self.mode.at(pc))?;
        if self.len + block.guest_len() > self.max_guest_len && !self.blocks.is_empty() {
            return None;
        }
        self.len += block.guest_len();
        let index = self.blocks.len();
        self.blocks.push(Place { context, block, edges: Vec::new(), entered: false });
        self.places.insert((context, pc), index);
        Some(index)
    }

    /// Adds what the end of the block at `index` leads to.
    fn connect(&mut self, index: usize) {
        let (context, block) = (self.blocks[index].context, Arc::clone(&self.blocks[index].block));
        let pc = block.key.pc;
        let seen = self.profile.seen(block.key);
        match block.end {
            End::Jump { target } => self.edge(index, context, target.address(pc)),
            End::Branch { taken, fall, .. } => {
                // The fall-through first, so that it is laid out next.
                for (target, was_seen) in [(fall, seen.fall), (taken, seen.taken)] {
                    if was_seen {
                        self.edge(index, context, target.address(pc));
                    }
                }
            }
            End::Call { target, ret } if self.flat => {
                self.edge(index, context, target.address(pc));
                self.enter(target.address(pc));
                self.enter(ret.address(pc));
            }
            End::Call { target, ret } => self.call(index, context, target.address(pc), ret.address(pc)),
            End::Return { .. } => {
                if let Some(Inlined { ret, outer }) = self.contexts[context] {
                    self.edge(index, outer, ret);
                }
            }
            End::Indirect { .. } => {
                for target in seen.targets.iter().take(MAX_TARGETS) {
                    self.edge(index, context, *target);
                }
            }
            End::IndirectCall { ret, .. } if self.flat => self.enter(ret.address(pc)),
            End::IndirectCall { .. }
            | End::Syscall { .. }
            | End::Trap { .. }
            | End::FlushCode { .. }
            | End::ModeChange { .. } => {}
        }
    }

    /// Adds a block to which control comes from elsewhere.
    fn enter(&mut self, pc: GuestAddr) {
        if let Some(index) = self.place(0, pc) {
            self.blocks[index].entered = true;
        }
    }

    fn edge(&mut self, index: usize, context: usize, pc: GuestAddr) {
        if self.blocks[index].edges.iter().any(|(target, _)| *target == pc) {
            return;
        }
        if let Some(to) = self.place(context, pc) {
            self.blocks[index].edges.push((pc, to));
        }
    }

    /// Copies the callee in if it is small and comes back. A function that calls itself begins again as a loop does: it
    /// returns to code that is not in the region.
    fn call(&mut self, index: usize, context: usize, target: GuestAddr, ret: GuestAddr) {
        if context == 0 && target == self.mode.pc {
            self.edge(index, context, target);
            return;
        }
        if context != 0 || !self.is_small(target) {
            return;
        }
        let inner = self.contexts.len();
        self.contexts.push(Some(Inlined { ret, outer: context }));
        self.edge(index, inner, target);
    }

    /// Whether everything seen of the function at `target` fits the limits of inlining and calls nothing.
    fn is_small(&self, target: GuestAddr) -> bool {
        let mut found = vec![target];
        let (mut next, mut len, mut returns) = (0, 0, false);
        while let Some(pc) = found.get(next).copied() {
            next += 1;
            let key = self.mode.at(pc);
            let Some(block) = self.profile.block(key) else { return false };
            len += block.guest_len();
            if len > MAX_INLINE_LEN || found.len() > MAX_INLINE_BLOCKS || self.len + len > self.max_guest_len {
                return false;
            }
            let seen = self.profile.seen(key);
            let mut add = |target: Target| {
                let pc = target.address(block.key.pc);
                if !found.contains(&pc) {
                    found.push(pc);
                }
            };
            match block.end {
                End::Jump { target } => add(target),
                End::Branch { taken, fall, .. } => {
                    if seen.taken {
                        add(taken);
                    }
                    if seen.fall {
                        add(fall);
                    }
                }
                End::Return { .. } => returns = true,
                End::Trap { .. } => {}
                End::Call { .. }
                | End::Indirect { .. }
                | End::IndirectCall { .. }
                | End::Syscall { .. }
                | End::FlushCode { .. }
                | End::ModeChange { .. } => return false,
            }
        }
        returns
    }
}

impl Profile for Engine {
    fn block(&self, key: BlockKey) -> Option<Arc<Block>> {
        self.block_profile(key)?;
        Some(self.source().translate(key, &**self.memory(), Effort::Full))
    }

    fn seen(&self, key: BlockKey) -> Seen {
        let Some(profile) = self.block_profile(key) else { return Seen::default() };
        let way = |index: usize| profile.ways.get(index).is_some_and(|(_, taken)| *taken);
        let targets = profile.targets.iter().map(|(target, _)| *target).collect();
        Seen { taken: way(0), fall: way(1), targets }
    }
}

#[cfg(test)]
mod tests {
    use vm_core::Mode;
    use vm_ir::{IrBuilder, Type};

    use super::*;

    fn key(pc: u64) -> BlockKey {
        BlockKey::new(GuestAddr::new(pc), Mode::default())
    }

    /// Blocks of one 4-byte instruction each, with what was seen at their ends.
    #[derive(Default)]
    struct Program(HashMap<BlockKey, (Arc<Block>, Seen)>);

    impl Program {
        fn add(&mut self, pc: u64, end: impl FnOnce(&mut IrBuilder) -> End, seen: Seen) {
            let mut ir = IrBuilder::new(key(pc));
            ir.mark(0, 4);
            let end = end(&mut ir);
            self.0.insert(key(pc), (Arc::new(ir.finish(end, &[0; 4])), seen));
        }
    }

    impl Profile for Program {
        fn block(&self, key: BlockKey) -> Option<Arc<Block>> {
            self.0.get(&key).map(|(block, _)| Arc::clone(block))
        }

        fn seen(&self, key: BlockKey) -> Seen {
            self.0.get(&key).map(|(_, seen)| seen.clone()).unwrap_or_default()
        }
    }

    fn branch(ir: &mut IrBuilder, taken: i64) -> End {
        let cond = ir.i8(1);
        End::Branch { cond, taken: Target(taken), fall: Target(4) }
    }

    fn pcs(plan: &RegionPlan) -> Vec<u64> {
        plan.blocks.iter().map(|here| here.block.key.pc.get()).collect()
    }

    #[test]
    fn unseen_edges_leave() {
        let mut program = Program::default();
        let both = Seen { taken: true, fall: true, ..Seen::default() };
        program.add(0x100, |ir| branch(ir, 0x100), Seen { fall: true, ..Seen::default() });
        program.add(0x104, |ir| branch(ir, -4), both);
        program.add(0x108, |_| End::Syscall { next: Target(4) }, Seen::default());
        program.add(0x200, |_| End::Syscall { next: Target(4) }, Seen::default());
        let plan = discover(key(0x100), CompileOptions::default(), 400, &program).unwrap();
        assert_eq!(pcs(&plan), [0x100, 0x104, 0x108]);
        assert_eq!(plan.links(), [GuestAddr::new(0x200)]);
        assert_eq!(plan.blocks[1].edge(GuestAddr::new(0x100)), Some(0));
    }

    #[test]
    fn small_callees_are_copied_to_each_call() {
        let mut program = Program::default();
        let call = |to: i64| move |_: &mut IrBuilder| End::Call { target: Target(to), ret: Target(4) };
        program.add(0x100, call(0x100), Seen::default());
        program.add(0x104, call(0xfc), Seen::default());
        program.add(0x108, call(0x200), Seen::default());
        let ret = |ir: &mut IrBuilder| End::Return { addr: ir.constant(Type::I64, 0) };
        program.add(0x200, ret, Seen::default());
        let plan = discover(key(0x100), CompileOptions::default(), 400, &program).unwrap();
        assert_eq!(pcs(&plan), [0x100, 0x200, 0x104, 0x200, 0x108]);
        assert_eq!(plan.blocks[1].edges, [(GuestAddr::new(0x104), 2)]);
        assert_eq!(plan.blocks[3].edges, [(GuestAddr::new(0x108), 4)]);
        assert_eq!(plan.links(), [GuestAddr::new(0x308)]);
    }

    #[test]
    fn a_function_that_calls_itself_is_a_loop() {
        let mut program = Program::default();
        program.add(0x100, |ir| branch(ir, 8), Seen { taken: true, fall: true, ..Seen::default() });
        program.add(0x104, |_| End::Call { target: Target(-4), ret: Target(4) }, Seen::default());
        program.add(0x108, |ir| End::Return { addr: ir.constant(Type::I64, 0) }, Seen::default());
        let plan = discover(key(0x100), CompileOptions::default(), 400, &program).unwrap();
        assert_eq!(pcs(&plan), [0x100, 0x104, 0x108]);
        assert_eq!(plan.blocks[1].edges, [(GuestAddr::new(0x100), 0)]);
        assert!(plan.links().is_empty());
    }

    #[test]
    fn a_baseline_region_has_callees_and_what_follows_calls_once() {
        let mut program = Program::default();
        let call = |to: i64| move |_: &mut IrBuilder| End::Call { target: Target(to), ret: Target(4) };
        program.add(0x100, call(0x100), Seen::default());
        program.add(0x104, call(0xfc), Seen::default());
        program.add(0x108, |_| End::Syscall { next: Target(4) }, Seen::default());
        let ret = |ir: &mut IrBuilder| End::Return { addr: ir.constant(Type::I64, 0) };
        program.add(0x200, ret, Seen::default());
        let options = CompileOptions { quality: Quality::Baseline, ..CompileOptions::default() };
        let plan = discover(key(0x100), options, 400, &program).unwrap();
        assert_eq!(pcs(&plan), [0x100, 0x200, 0x104, 0x108]);
        assert!(plan.blocks[1..].iter().all(|here| here.entered));
        assert_eq!(plan.blocks[2].edges, [(GuestAddr::new(0x200), 1)]);
        assert!(plan.links().is_empty());
    }

    #[test]
    fn an_entry_that_never_ran_has_no_region() {
        assert!(discover(key(0x100), CompileOptions::default(), 400, &Program::default()).is_none());
    }
}
