//! From a hot entry and what tier 0 has seen to the blocks of a region.

use std::collections::HashMap;
use std::sync::Arc;

use vm_core::{BlockKey, GuestAddr};
use vm_ir::{Block, Effort, End, Target};

use super::order::laid_out;
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
    /// The block at `key` with every pass applied, if tier 0 has run it and it is worth compiling.
    fn block(&self, key: BlockKey) -> Option<Arc<Block>>;

    /// The same with what its last branch skips done on condition, for a branch that goes both ways
    /// ([`BlockSource::translate_joined`](vm_ir::BlockSource::translate_joined)).
    fn joined(&self, _key: BlockKey) -> Option<Arc<Block>> {
        None
    }

    /// What tier 0 saw at the end of the block at `key`; nothing if it never ran.
    fn seen(&self, key: BlockKey) -> Seen;
}

/// Most blocks in a region.
const MAX_BLOCKS: usize = 128;
/// Most blocks in a region of which none is copied.
const MAX_FLAT_BLOCKS: usize = 512;
/// Most targets of an indirect jump that stay in the region: each costs a compare.
const MAX_TARGETS: usize = 3;
/// Most bytes of guest code that a branch skips, if that is to be done on condition.
const MAX_SKIPPED_BYTES: i64 = 16;
/// Most guest instructions of a callee that is inlined, as far as its own calls.
const MAX_INLINE_LEN: usize = 40;
/// Most blocks of a callee that is inlined, as far as its own calls.
const MAX_INLINE_BLOCKS: usize = 12;
/// Most guest instructions of a callee that is inlined, with what follows its own calls where those are inlined too.
const MAX_COPY_LEN: usize = 80;
/// Most callees that are inlined one in the other.
const MAX_INLINE_DEPTH: usize = 6;
/// Guest instructions of callees inlined in inlined ones after which no further one is.
const MAX_NESTED_LEN: usize = 140;

/// The region around `entry`: everything reachable over edges that tier 0 has seen, up to a number of guest
/// instructions.
///
/// Unseen edges leave the region. Small callees are copied in, in copies too, so that the last calls of a recursion stay in
/// the region; other calls leave, and so does the code after them, which is a region of its own when it is hot. `None` if
/// tier 0 has not run the entry.
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
        joined: HashMap::new(),
        blocks: Vec::new(),
        contexts: vec![None],
        len: 0,
        nested_len: 0,
        max_guest_len,
        flat: options.quality == Quality::Baseline,
        counts: options.count,
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
    let blocks = if options.quality == Quality::Baseline { laid_out(blocks) } else { blocks };
    Some(RegionPlan { entry, blocks, assumed: Vec::new(), options })
}

/// A block with the call it was copied in for.
struct Place {
    context: usize,
    block: Arc<Block>,
    edges: Vec<(GuestAddr, usize)>,
    entered: bool,
}

/// An inlined call: where it returns, in which context that is, and how many inlined calls it is the last of.
#[derive(Clone, Copy)]
struct Inlined {
    ret: GuestAddr,
    outer: usize,
    depth: usize,
    /// Guest instructions copied for it.
    len: usize,
}

struct Finder<'a> {
    mode: BlockKey,
    profile: &'a dyn Profile,
    /// Index of the block for a context and an address.
    places: HashMap<(usize, GuestAddr), usize>,
    /// For addresses of short branches the block without, if there is one.
    joined: HashMap<GuestAddr, Option<Arc<Block>>>,
    blocks: Vec<Place>,
    /// Context 0 is the region's own code.
    contexts: Vec<Option<Inlined>>,
    len: usize,
    /// Guest instructions in inlined calls of inlined calls.
    nested_len: usize,
    max_guest_len: usize,
    /// Callees and the code after calls belong to the region, each block once.
    flat: bool,
    /// The instructions that run are counted, so that none may be done for nothing.
    counts: bool,
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
        let block = self.block(pc)?;
        if self.len + block.guest_len() > self.max_guest_len && !self.blocks.is_empty() {
            return None;
        }
        if let Some(Inlined { len, depth, .. }) = &mut self.contexts[context] {
            if *len + block.guest_len() > MAX_COPY_LEN {
                return None;
            }
            *len += block.guest_len();
            self.nested_len += if *depth > 1 { block.guest_len() } else { 0 };
        }
        self.len += block.guest_len();
        let index = self.blocks.len();
        self.blocks.push(Place { context, block, edges: Vec::new(), entered: false });
        self.places.insert((context, pc), index);
        Some(index)
    }

    /// The block at `pc`, if tier 0 has run it; without its last branch, if that is worth it.
    fn block(&mut self, pc: GuestAddr) -> Option<Arc<Block>> {
        let key = self.mode.at(pc);
        let block = self.profile.block(key)?;
        if let End::Branch { taken, fall, .. } = block.end
            && (1..=MAX_SKIPPED_BYTES).contains(&(taken.0.wrapping_sub(fall.0)))
            && !self.flat
            && !self.counts
            && matches!(self.profile.seen(key), Seen { taken: true, fall: true, .. })
            && let Some(joined) = self.joined.entry(pc).or_insert_with(|| self.profile.joined(key))
        {
            return Some(Arc::clone(joined));
        }
        Some(block)
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
                if let Some(Inlined { ret, outer, .. }) = self.contexts[context] {
                    self.edge(index, outer, ret);
                }
            }
            End::Indirect { .. } => {
                for target in seen.targets.iter().take(MAX_TARGETS) {
                    self.edge(index, context, *target);
                }
            }
            End::IndirectCall { ret, .. } if self.flat => self.enter(ret.address(pc)),
            End::IndirectCall { ret, .. } => {
                for target in seen.targets.iter().take(MAX_TARGETS) {
                    self.call(index, context, *target, ret.address(pc));
                }
            }
            End::Syscall { .. } | End::Trap { .. } | End::FlushCode { .. } | End::ModeChange { .. } => {}
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

    /// Inlined calls that `context` is in.
    fn depth(&self, context: usize) -> usize {
        self.contexts[context].map_or(0, |inlined| inlined.depth)
    }

    /// Copies the callee in if it is small and comes back. A function that calls itself and is not copied begins again as a
    /// loop does: it returns to code that is not in the region.
    fn call(&mut self, index: usize, context: usize, target: GuestAddr, ret: GuestAddr) {
        let depth = self.depth(context);
        let has_room = depth == 0 || depth < MAX_INLINE_DEPTH && self.nested_len < MAX_NESTED_LEN;
        if has_room && self.is_small(target) {
            let inner = self.contexts.len();
            self.contexts.push(Some(Inlined { ret, outer: context, depth: depth + 1, len: 0 }));
            self.edge(index, inner, target);
        } else if target == self.mode.pc {
            self.edge(index, 0, target);
        }
    }

    /// Whether everything of the function at `target` that is worth compiling, as far as its own calls, fits the limits of
    /// inlining, and a way through it calls nothing.
    fn is_small(&mut self, target: GuestAddr) -> bool {
        let mut found = vec![target];
        let (mut next, mut len, mut returns) = (0, 0, false);
        while let Some(pc) = found.get(next).copied() {
            next += 1;
            let key = self.mode.at(pc);
            let Some(block) = self.block(pc) else { continue };
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
                End::Trap { .. } | End::Call { .. } | End::IndirectCall { .. } => {}
                End::Indirect { .. } | End::Syscall { .. } | End::FlushCode { .. } | End::ModeChange { .. } => {
                    return false;
                }
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

    fn joined(&self, key: BlockKey) -> Option<Arc<Block>> {
        self.source().translate_joined(key, &**self.memory())
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

    /// Blocks of one 4-byte instruction each where nothing else is said, with what was seen at their ends.
    #[derive(Default)]
    struct Program {
        blocks: HashMap<BlockKey, (Arc<Block>, Seen)>,
        /// Whatever short branches skip can be done on condition.
        joins: bool,
    }

    impl Program {
        fn add(&mut self, pc: u64, end: impl FnOnce(&mut IrBuilder) -> End, seen: Seen) {
            let mut ir = IrBuilder::new(key(pc));
            ir.mark(0, 4);
            let end = end(&mut ir);
            self.blocks.insert(key(pc), (Arc::new(ir.finish(end, &[0; 4])), seen));
        }
    }

    impl Profile for Program {
        fn block(&self, key: BlockKey) -> Option<Arc<Block>> {
            self.blocks.get(&key).map(|(block, _)| Arc::clone(block))
        }

        fn joined(&self, key: BlockKey) -> Option<Arc<Block>> {
            let block = self.block(key).filter(|_| self.joins)?;
            let End::Branch { taken, .. } = block.end else { return None };
            Some(Arc::new(Block { end: End::Jump { target: taken }, ..Block::clone(&block) }))
        }

        fn seen(&self, key: BlockKey) -> Seen {
            self.blocks.get(&key).map(|(_, seen)| seen.clone()).unwrap_or_default()
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
    fn what_short_branches_skip_both_ways_is_joined() {
        const SHORT: i64 = 4 + MAX_SKIPPED_BYTES;
        let plain = CompileOptions::default();
        let counting = CompileOptions { count: true, ..plain };
        let quick = CompileOptions { quality: Quality::Baseline, ..plain };
        let cases = [
            (SHORT, [true, true], plain, true),
            (SHORT + 1, [true, true], plain, false),
            (4, [true, true], plain, false),
            (-4, [true, true], plain, false),
            (SHORT, [false, true], plain, false),
            (SHORT, [true, false], plain, false),
            (SHORT, [true, true], counting, false),
            (SHORT, [true, true], quick, false),
        ];
        for (target, [taken, fall], options, is_joined) in cases {
            let mut program = Program { joins: true, ..Program::default() };
            program.add(0x100, |ir| branch(ir, target), Seen { taken, fall, ..Seen::default() });
            for pc in [0x104, 0x100_u64.wrapping_add_signed(target)] {
                program.add(pc, |_| End::Syscall { next: Target(4) }, Seen::default());
            }
            let plan = discover(key(0x100), options, 400, &program).unwrap();
            let joined = matches!(plan.blocks[0].block.end, End::Jump { .. });
            assert_eq!(joined, is_joined, "{target} {taken} {fall} {options:?}");
            assert_eq!(pcs(&plan).contains(&0x104), !is_joined && fall || target == 4, "{target}");
        }
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
    fn a_way_that_is_not_worth_it_keeps_no_callee_from_being_copied() {
        let mut program = Program::default();
        let both = Seen { taken: true, fall: true, ..Seen::default() };
        program.add(0x100, |_| End::Call { target: Target(0x100), ret: Target(4) }, Seen::default());
        program.add(0x104, |_| End::Syscall { next: Target(4) }, Seen::default());
        program.add(0x200, |ir| branch(ir, 0x100), both);
        program.add(0x204, |ir| End::Return { addr: ir.constant(Type::I64, 0) }, Seen::default());
        let plan = discover(key(0x100), CompileOptions::default(), 400, &program).unwrap();
        assert_eq!(pcs(&plan), [0x100, 0x200, 0x204, 0x104]);
        assert_eq!(plan.links(), [GuestAddr::new(0x300)]);
    }

    /// A function that calls itself or returns; `len` is its guest instructions before that.
    fn recursive(len: usize) -> Program {
        let mut program = Program::default();
        let begin = |ir: &mut IrBuilder| {
            (1..len).for_each(|_| ir.mark(0, 4));
            branch(ir, 8)
        };
        program.add(0x100, begin, Seen { taken: true, fall: true, ..Seen::default() });
        program.add(0x104, |_| End::Call { target: Target(-4), ret: Target(8) }, Seen::default());
        program.add(0x108, |ir| End::Return { addr: ir.constant(Type::I64, 0) }, Seen::default());
        program.add(0x10c, |_| End::Jump { target: Target(-4) }, Seen::default());
        program
    }

    #[test]
    fn a_large_function_that_calls_itself_is_a_loop() {
        let plan = discover(key(0x100), CompileOptions::default(), 400, &recursive(MAX_INLINE_LEN + 1)).unwrap();
        assert_eq!(pcs(&plan), [0x100, 0x104, 0x108]);
        assert_eq!(plan.blocks[1].edges, [(GuestAddr::new(0x100), 0)]);
        assert!(plan.links().is_empty());
    }

    #[test]
    fn the_last_calls_of_a_recursion_are_copied_in() {
        let plan = discover(key(0x100), CompileOptions::default(), 400, &recursive(1)).unwrap();
        let begins = |here: &&RegionBlock| here.block.key.pc == GuestAddr::new(0x100);
        assert_eq!(plan.blocks.iter().filter(begins).count(), 1 + MAX_INLINE_DEPTH);
        let calls: Vec<_> = plan.blocks.iter().filter(|here| matches!(here.block.end, End::Call { .. })).collect();
        let (last, others) = calls.split_last().unwrap();
        assert_eq!(last.edges, [(GuestAddr::new(0x100), 0)]);
        assert!(others.iter().all(|here| here.edges[0].1 != 0));
        let returns = plan.blocks.iter().filter(|here| matches!(here.block.end, End::Return { .. }));
        let after_call = |here: &RegionBlock| here.edges.iter().all(|(pc, _)| *pc == GuestAddr::new(0x10c));
        assert!(returns.clone().all(after_call));
        assert_eq!(returns.clone().filter(|here| here.edges.is_empty()).count(), 1);
        let mut places: Vec<_> = returns.flat_map(|here| here.edges.iter().map(|(_, place)| *place)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), MAX_INLINE_DEPTH, "each copy returns to the one that called it");
    }

    #[test]
    fn copies_in_copies_have_a_limit_together() {
        let most = discover(key(0x100), CompileOptions::default(), 1000, &recursive(MAX_INLINE_LEN - 3)).unwrap();
        let begins = most.blocks.iter().filter(|here| here.block.key.pc == GuestAddr::new(0x100)).count();
        assert!((3..1 + MAX_INLINE_DEPTH).contains(&begins), "{begins}");
    }

    /// A callee that returns early, or calls one that is copied in as well and goes on for long.
    #[test]
    fn what_follows_the_calls_of_a_copy_has_a_limit() {
        for (len, is_copied) in [(MAX_COPY_LEN - 10, true), (MAX_COPY_LEN, false)] {
            let mut program = Program::default();
            program.add(0x100, |_| End::Call { target: Target(0x100), ret: Target(4) }, Seen::default());
            program.add(0x104, |_| End::Syscall { next: Target(4) }, Seen::default());
            program.add(0x200, |ir| branch(ir, 0xc), Seen { taken: true, fall: true, ..Seen::default() });
            program.add(0x204, |_| End::Call { target: Target(0xfc), ret: Target(4) }, Seen::default());
            let long = |ir: &mut IrBuilder| {
                (1..len).for_each(|_| ir.mark(0, 4));
                End::Return { addr: ir.constant(Type::I64, 0) }
            };
            program.add(0x208, long, Seen::default());
            for pc in [0x20c, 0x300] {
                program.add(pc, |ir| End::Return { addr: ir.constant(Type::I64, 0) }, Seen::default());
            }
            let plan = discover(key(0x100), CompileOptions::default(), 400, &program).unwrap();
            assert_eq!(pcs(&plan).contains(&0x208), is_copied, "{len}");
        }
    }

    #[test]
    fn small_callees_of_computed_calls_are_copied_in() {
        let mut program = Program::default();
        let targets = [0x200, 0x300, 0x400, 0x500].map(GuestAddr::new).to_vec();
        let call = |ir: &mut IrBuilder| End::IndirectCall { addr: ir.constant(Type::I64, 0), ret: Target(4) };
        program.add(0x100, call, Seen { targets, ..Seen::default() });
        program.add(0x104, |_| End::Syscall { next: Target(4) }, Seen::default());
        for pc in [0x200, 0x400, 0x500] {
            program.add(pc, |ir| End::Return { addr: ir.constant(Type::I64, 0) }, Seen::default());
        }
        program.add(0x300, |_| End::Syscall { next: Target(4) }, Seen::default());
        let plan = discover(key(0x100), CompileOptions::default(), 400, &program).unwrap();
        assert_eq!(pcs(&plan), [0x100, 0x200, 0x400, 0x104]);
        assert_eq!(plan.blocks[0].edges, [(GuestAddr::new(0x200), 1), (GuestAddr::new(0x400), 2)]);
        assert!(plan.blocks[1..3].iter().all(|here| here.edges == [(GuestAddr::new(0x104), 3)]));
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
        assert_eq!(pcs(&plan), [0x100, 0x104, 0x200, 0x108]);
        assert!(plan.blocks[1..].iter().all(|here| here.entered));
        assert!(plan.blocks[..2].iter().all(|here| here.edges == [(GuestAddr::new(0x200), 2)]));
        assert!(plan.links().is_empty());
    }

    #[test]
    fn a_baseline_region_has_blocks_behind_what_leads_to_them() {
        let mut program = Program::default();
        let jump = |to: i64| move |_: &mut IrBuilder| End::Jump { target: Target(to) };
        let both = Seen { taken: true, fall: true, ..Seen::default() };
        program.add(0x100, |ir| branch(ir, 0x40), both.clone());
        program.add(0x104, |ir| branch(ir, 0x7c), both);
        program.add(0x108, jump(0x78), Seen::default());
        program.add(0x140, jump(0x40), Seen::default());
        program.add(0x180, |_| End::Call { target: Target(0x80), ret: Target(4) }, Seen::default());
        program.add(0x184, jump(-0x84), Seen::default());
        program.add(0x200, |_| End::Syscall { next: Target(4) }, Seen::default());
        let options = CompileOptions { quality: Quality::Baseline, ..CompileOptions::default() };
        let plan = discover(key(0x100), options, 400, &program).unwrap();
        assert_eq!(pcs(&plan), [0x100, 0x104, 0x108, 0x140, 0x180, 0x200, 0x184]);
        for here in &plan.blocks {
            assert!(here.edges.iter().all(|(pc, index)| plan.blocks[*index].block.key.pc == *pc));
        }
    }

    #[test]
    fn an_entry_that_never_ran_has_no_region() {
        assert!(discover(key(0x100), CompileOptions::default(), 400, &Program::default()).is_none());
    }
}
