//! What a region needs to know about guest slots: which are live where, which may differ from the state in memory, and
//! which may hold a NaN that is not yet the guest's.

use vm_core::{SLOT_COUNT, Slot};
use vm_ir::{Block, Effect, Helper, HelperEffect, NanRule, Op, Type, Value};

use super::narrow::narrow_slots;
use super::order::{places, reverse_post_order};
use super::{AtFaults, MemoryMode, RegionPlan};

/// A set of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct SlotSet([u64; SLOT_COUNT / 64]);

impl SlotSet {
    /// Every slot.
    pub(crate) const fn all() -> Self {
        Self([u64::MAX; SLOT_COUNT / 64])
    }

    /// Adds `slot`.
    pub(crate) fn insert(&mut self, slot: Slot) {
        self.0[slot.index() / 64] |= 1 << (slot.index() % 64);
    }

    /// Removes `slot`.
    pub(crate) fn remove(&mut self, slot: Slot) {
        self.0[slot.index() / 64] &= !(1 << (slot.index() % 64));
    }

    /// Whether `slot` is a member.
    pub(crate) fn contains(&self, slot: Slot) -> bool {
        self.0[slot.index() / 64] >> (slot.index() % 64) & 1 != 0
    }

    /// Adds every member of `other`; says whether the set grew.
    pub(crate) fn union(&mut self, other: &Self) -> bool {
        let before = *self;
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
        *self != before
    }

    /// The members of both.
    pub(crate) fn both(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// The members that `other` lacks.
    pub(crate) fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// The members in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> + use<> {
        self.0.into_iter().enumerate().flat_map(|(index, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(Slot::new(index as u16 * 64 + bit as u16))
            })
        })
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::default();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

/// What is known at the entry of a block of the region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// Slots whose value the region still needs from here, for itself or for an exit.
    pub(crate) live: SlotSet,
    /// Slots whose value may differ from the state in memory.
    pub(crate) dirty: SlotSet,
    /// Slots that hold an arithmetic result whose NaN is still the host's. Disjoint from what was loaded or moved.
    pub(crate) raw: SlotSet,
    /// Slots that hold such a result or not, as the way here was: the blocks before must settle it.
    pub(crate) settled: SlotSet,
    /// Reached by an edge from a block that does not come before it in `order`.
    pub(crate) is_loop: bool,
    /// A request to stop that is seen at this loop header is better answered behind the block's ops, by a copy of them:
    /// they replace slots that the loop would otherwise carry only to have them for the exit.
    pub(crate) polls_late: bool,
    /// How the state is complete where an access of the block faults.
    pub(crate) at_faults: AtFaults,
    /// Number of the region's blocks from which an edge leads here.
    pub(crate) predecessors: usize,
}

/// The analysed region.
#[derive(Debug)]
pub(crate) struct Slots {
    /// For each block.
    pub(crate) flow: Vec<Flow>,
    /// Reachable blocks in reverse post-order; the entry first.
    pub(crate) order: Vec<usize>,
    /// Type of each slot that the region names.
    pub(crate) types: Vec<(Slot, Type)>,
    /// For each block the slots that are narrow at its entry: sign extensions of their low 32 bits, and boxed singles.
    pub(crate) narrow: Vec<SlotSet>,
    /// Slots that must hold a boxed single at the region's entry.
    pub(crate) assumed_singles: SlotSet,
}

/// Whether `value` of `block` is an arithmetic result whose NaN the host chose.
pub(crate) fn is_raw(block: &Block, value: Value) -> bool {
    let inst = block.def(value);
    match inst.op {
        Op::FAdd | Op::FSub | Op::FMul | Op::FDiv | Op::FSqrt | Op::FConvert => {
            inst.ty == Type::F64 && inst.fp().nan == NanRule::Canonical
        }
        _ => false,
    }
}

/// Whether the op at `index` stops for a state that must be complete in memory.
pub(crate) fn flushes(block: &Block, index: usize, at_faults: AtFaults, helpers: &[Helper]) -> bool {
    let inst = &block.insts[index];
    match inst.op.effect() {
        Effect::Reads | Effect::Writes => at_faults == AtFaults::Stored,
        Effect::ReadsWrites => at_faults != AtFaults::Incomplete,
        Effect::Calls => helpers.get(inst.imm as usize).is_some_and(|helper| helper.effect == HelperEffect::State),
        Effect::Pure
        | Effect::FpFlags
        | Effect::ReadsSlot
        | Effect::WritesSlot
        | Effect::ReadsFpFlags
        | Effect::WritesFpFlags
        | Effect::WritesMode
        | Effect::Orders
        | Effect::Leaves => false,
    }
}

/// Whether `op` may leave the region with the slots that are dirty stored. An access to memory that is reached in place
/// leaves without, unless it is replayed.
fn may_leave(op: Op, memory: MemoryMode, at_faults: AtFaults) -> bool {
    let effect = op.effect();
    let is_access = matches!(effect, Effect::Reads | Effect::Writes | Effect::ReadsWrites);
    effect == Effect::Leaves || is_access && (memory != MemoryMode::Direct || at_faults == AtFaults::Replayed)
}

/// Most ops of a loop header that is copied for polls.
const MAX_COPIED_OPS: usize = 200;

/// Analyses the slots of `plan`, whose blocks name `helpers`, for a host whose fault handler can step over accesses or not.
pub(crate) fn analyse(plan: &RegionPlan, can_step_over: bool, helpers: &[Helper]) -> Slots {
    let count = plan.blocks.len();
    let order = reverse_post_order(&plan.blocks, &[]);
    let place = places(&order, count);
    let mut flow = vec![Flow::default(); count];
    for &from in &order {
        let mut targets: Vec<_> = plan.blocks[from].edges.iter().map(|(_, to)| *to).collect();
        targets.sort_unstable();
        targets.dedup();
        for to in targets {
            flow[to].predecessors += 1;
            flow[to].is_loop |= place[to] <= place[from];
        }
    }
    for (flow, here) in flow.iter_mut().zip(&plan.blocks) {
        flow.at_faults = AtFaults::of(&here.block, &plan.options, can_step_over, flow.predecessors > 0);
    }
    let local: Vec<_> = plan
        .blocks
        .iter()
        .zip(&flow)
        .map(|(here, flow)| Local::of(&here.block, plan.options.memory, flow.at_faults, helpers))
        .collect();
    let mut types: Vec<(Slot, Type)> = local.iter().flat_map(|local| local.types.iter().copied()).collect();
    types.sort_unstable();
    types.dedup();

    forward(plan, &order, &local, &mut flow);
    for ((flow, local), here) in flow.iter_mut().zip(&local).zip(&plan.blocks) {
        let replaces = local.replaced.both(&flow.dirty) != SlotSet::default();
        flow.polls_late = flow.is_loop && replaces && here.block.insts.len() <= MAX_COPIED_OPS;
    }
    backward(plan, &order, &local, &mut flow);
    let may_assume = plan.options.may_decline && flow.iter().any(|flow| flow.is_loop);
    let narrow = narrow_slots(plan, &order, may_assume, &flow[0].live, helpers);
    Slots { flow, order, types, narrow: narrow.at_entry, assumed_singles: narrow.assumed }
}

/// What one block does to slots, in sums.
#[derive(Default)]
struct Local {
    /// Read before written.
    reads: SlotSet,
    /// Written.
    writes: SlotSet,
    /// Written after the last flush, so dirty at the end.
    dirty_after: SlotSet,
    /// The block flushes: what was dirty at its start is clean at its end.
    flushes: bool,
    /// Last written with an arithmetic result.
    raw_after: SlotSet,
    /// Last written with another 64-bit float.
    final_after: SlotSet,
    /// Written before read and before the block may leave.
    replaced: SlotSet,
    /// The block may leave, or flushes, between its ops.
    leaves_midway: bool,
    /// Slots named, with their types.
    types: Vec<(Slot, Type)>,
}

impl Local {
    fn of(block: &Block, memory: MemoryMode, at_faults: AtFaults, helpers: &[Helper]) -> Self {
        let mut local = Self::default();
        for (index, inst) in block.insts.iter().enumerate() {
            let flushes = flushes(block, index, at_faults, helpers);
            if flushes {
                local.flushes = true;
                local.dirty_after = SlotSet::default();
            }
            local.leaves_midway |= flushes || may_leave(inst.op, memory, at_faults);
            match inst.op {
                Op::Get => {
                    local.types.push((inst.slot(), inst.ty));
                    if !local.writes.contains(inst.slot()) {
                        local.reads.insert(inst.slot());
                    }
                }
                Op::Set => {
                    let slot = inst.slot();
                    local.types.push((slot, inst.ty));
                    if !local.leaves_midway && !local.reads.contains(slot) {
                        local.replaced.insert(slot);
                    }
                    local.writes.insert(slot);
                    local.dirty_after.insert(slot);
                    local.raw_after.remove(slot);
                    local.final_after.remove(slot);
                    let value = inst.args[0];
                    if is_raw(block, value) {
                        local.raw_after.insert(slot);
                    } else if inst.ty == Type::F64 {
                        local.final_after.insert(slot);
                    }
                }
                _ => {}
            }
        }
        local.types.sort_unstable();
        local.types.dedup();
        local
    }
}

fn forward(plan: &RegionPlan, order: &[usize], local: &[Local], flow: &mut [Flow]) {
    // "Maybe not raw" at the entry of each block; everything is what the state held at the region's entry.
    let mut plain = vec![SlotSet::default(); flow.len()];
    plain[0] = SlotSet::all();
    let mut changed = true;
    while changed {
        changed = false;
        for &from in order {
            let own = &local[from];
            let mut dirty = if own.flushes { SlotSet::default() } else { flow[from].dirty };
            dirty.union(&own.dirty_after);
            let mut raw = flow[from].raw.without(&own.writes);
            raw.union(&own.raw_after);
            let mut kept = plain[from].without(&own.writes);
            kept.union(&own.final_after);
            for (_, to) in &plan.blocks[from].edges {
                changed |= flow[*to].dirty.union(&dirty);
                changed |= flow[*to].raw.union(&raw);
                changed |= plain[*to].union(&kept);
            }
        }
    }
    for (flow, plain) in flow.iter_mut().zip(&plain) {
        flow.settled = flow.raw.both(plain);
        flow.raw = flow.raw.without(plain);
    }
}

fn backward(plan: &RegionPlan, order: &[usize], local: &[Local], flow: &mut [Flow]) {
    let mut changed = true;
    while changed {
        changed = false;
        for &index in order.iter().rev() {
            let own = &local[index];
            let mut live = SlotSet::default();
            for (_, to) in &plan.blocks[index].edges {
                live.union(&flow[*to].live);
            }
            let mut live = live.without(&own.writes);
            live.union(&own.reads);
            // Polls, exits and flushes store what is dirty where they are.
            let here = &flow[index];
            let polls_first = here.is_loop && !here.polls_late;
            live.union(&if polls_first { here.dirty } else { here.dirty.without(&own.replaced) });
            changed |= flow[index].live.union(&live);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vm_core::{BlockKey, GuestAddr, Mode};
    use vm_ir::{End, IrBuilder, Target};

    use super::super::{CompileOptions, RegionBlock};
    use super::*;

    #[test]
    fn sets_list_their_members() {
        let mut set = SlotSet::default();
        for index in [0, 63, 64, 383] {
            set.insert(Slot::new(index));
        }
        set.remove(Slot::new(63));
        assert_eq!(set.iter().map(Slot::index).collect::<Vec<_>>(), [0, 64, 383]);
    }

    /// Block 0 writes s1 and goes to a loop that adds s2 to s3; s1 is dirty there, s2 is read, s3 both.
    #[test]
    fn a_loop_carries_dirty_and_live_slots() {
        let key = |pc| BlockKey::new(GuestAddr::new(pc), Mode::default());
        let mut ir = IrBuilder::new(key(0x100));
        ir.mark(0, 4);
        let one = ir.i64(1);
        ir.set(Slot::new(1), one);
        let first = ir.finish(End::Jump { target: Target(4) }, &[0; 4]);
        let mut ir = IrBuilder::new(key(0x104));
        ir.mark(0, 4);
        let (a, b) = (ir.get(Slot::new(2), Type::I64), ir.get(Slot::new(3), Type::I64));
        let sum = ir.add(a, b);
        ir.set(Slot::new(3), sum);
        let cond = ir.eq(sum, a);
        let end = End::Branch { cond, taken: Target(0), fall: Target(4) };
        let second = ir.finish(end, &[0; 4]);
        let edges = vec![(GuestAddr::new(0x104), 1)];
        let blocks =
            [first, second].map(|block| RegionBlock { block: Arc::new(block), edges: edges.clone(), entered: false });
        let plan = RegionPlan {
            entry: key(0x100),
            blocks: blocks.into(),
            assumed: Vec::new(),
            options: CompileOptions::default(),
        };
        let slots = analyse(&plan, true, &[]);
        assert_eq!(slots.order, [0, 1]);
        assert!(slots.flow[1].is_loop && !slots.flow[0].is_loop);
        let list = |set: &SlotSet| set.iter().map(Slot::index).collect::<Vec<_>>();
        assert_eq!(list(&slots.flow[1].dirty), [1, 3]);
        assert_eq!(list(&slots.flow[1].live), [1, 2, 3]);
        // s3 may be dirty in the loop only because the loop writes it; its first value comes from the state.
        assert_eq!(list(&slots.flow[0].live), [2, 3]);
        assert_eq!(slots.types.len(), 3);
    }

    /// A loop that first replaces s1 and then s2, between them perhaps a way out.
    fn replacing(way_out: bool) -> Slots {
        let key = BlockKey::new(GuestAddr::new(0x100), Mode::default());
        let mut ir = IrBuilder::new(key);
        ir.mark(0, 4);
        let counted = ir.get(Slot::new(3), Type::I64);
        let one = ir.i64(1);
        let next = ir.add(counted, one);
        ir.set(Slot::new(1), next);
        let cond = ir.eq(next, counted);
        if way_out {
            ir.exit_if(cond, Target(8));
        }
        ir.set(Slot::new(2), one);
        ir.set(Slot::new(3), next);
        let end = End::Branch { cond, taken: Target(0), fall: Target(4) };
        let block = Arc::new(ir.finish(end, &[0; 4]));
        analyse(&RegionPlan::single(block, CompileOptions::default()), true, &[])
    }

    #[test]
    fn slots_that_a_loop_replaces_are_not_carried() {
        let list = |set: &SlotSet| set.iter().map(Slot::index).collect::<Vec<_>>();
        let slots = replacing(false);
        assert!(slots.flow[0].polls_late);
        assert_eq!((list(&slots.flow[0].dirty), list(&slots.flow[0].live)), (vec![1, 2, 3], vec![3]));
        // The way out needs s2 as it was.
        assert_eq!(list(&replacing(true).flow[0].live), [2, 3]);
    }
}
