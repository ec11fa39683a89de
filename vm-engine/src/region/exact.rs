//! Exact state where an access faults: the ways to have it, and which of them is cheaper for a block.

use std::ops::Range;

use vm_core::Slot;
use vm_ir::{Block, Effect, Inst, Op, Order};

use super::ssa::{SlotSet, is_raw};
use super::{CompileOptions, MemoryMode};
use crate::config::Exact;

/// How the state in memory becomes complete where an access faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum AtFaults {
    /// It does not.
    #[default]
    Incomplete,
    /// Everything that is dirty is stored before each access.
    Stored,
    /// The host's fault handler steps over the access. Behind each group of accesses the region is left if it did, with
    /// the state from before the access; the interpreter runs into the fault once more. Read-modify-write accesses are
    /// stored for.
    Replayed,
}

impl AtFaults {
    /// What `options` ask for `block`, on a host whose fault handler can step over accesses or cannot. A block that `follows`
    /// others of its region, or itself, begins with what they have made dirty.
    pub(crate) fn of(block: &Block, options: &CompileOptions, can_step_over: bool, follows: bool) -> Self {
        let is_access = |inst: &Inst| matches!(inst.op.effect(), Effect::Reads | Effect::Writes | Effect::ReadsWrites);
        if options.faults == Exact::Pc || !block.insts.iter().any(is_access) {
            return Self::Incomplete;
        }
        let can_replay = can_step_over && options.memory != MemoryMode::Checked;
        if can_replay && replay_is_cheaper(block, follows) { Self::Replayed } else { Self::Stored }
    }
}

/// What an op is to the group of accesses before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A load: belongs to the group, or begins one if there is none.
    Load,
    /// A store: begins a new one.
    Store,
    /// Leaves, calls, looks at floating-point flags: the group ends before.
    End,
    /// Nothing.
    None,
}

impl Part {
    /// Of `op`.
    pub(crate) fn of(op: Op) -> Self {
        match op.effect() {
            Effect::Pure | Effect::FpFlags | Effect::ReadsSlot | Effect::WritesSlot | Effect::Orders => Self::None,
            Effect::Reads => Self::Load,
            Effect::Writes => Self::Store,
            Effect::ReadsWrites
            | Effect::ReadsFpFlags
            | Effect::WritesFpFlags
            | Effect::WritesMode
            | Effect::Calls
            | Effect::Leaves => Self::End,
        }
    }
}

/// What storing a slot costs in host instructions, what it costs if its NaN has to be the guest's first, and what the test
/// behind a group costs.
const STORE: usize = 1;
const RAW_STORE: usize = 3;
const TEST: usize = 2;

/// Whether the tests behind the groups of `block` cost less than storing what is dirty at each of its accesses.
fn replay_is_cheaper(block: &Block, follows: bool) -> bool {
    TEST * groups(block) < stores(block, follows)
}

/// How many tests the accesses of `block` need.
fn groups(block: &Block) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < block.insts.len() {
        if let Some(run) = store_run(block, at) {
            // Whether it crosses a page is a test too.
            count += 1;
            at = run.last();
        }
        count += usize::from(ends_group(block, at));
        at += 1;
    }
    count
}

/// Fewest stores that are tested together: whether they cross a page is to be tested as well.
const MIN_RUN: usize = 3;
/// Bytes that they may span: how likely they cross a page.
const MAX_SPAN: i64 = 256;

/// Stores that are tested together: in a row, beside one another, and with nothing between them but what neither writes nor may
/// be noticed.
pub(crate) struct StoreRun {
    /// Indices of the stores.
    pub(crate) stores: Vec<usize>,
    /// Displacements of the bytes that they write, and of those between, from the base that they share.
    pub(crate) span: Range<i64>,
}

impl StoreRun {
    /// Index of the last store.
    pub(crate) fn last(&self) -> usize {
        self.stores[self.stores.len() - 1]
    }
}

/// The run that the op at `at` begins, if it does.
pub(crate) fn store_run(block: &Block, at: usize) -> Option<StoreRun> {
    let first = &block.insts[at];
    if first.op != Op::Store {
        return None;
    }
    let (mut stores, mut span) = (Vec::new(), first.imm..first.imm);
    for (index, inst) in block.insts.iter().enumerate().skip(at) {
        match inst.op.effect() {
            Effect::Pure | Effect::ReadsSlot => {}
            Effect::Writes if inst.args[0] == first.args[0] && inst.order() == Order::Plain => {
                let (start, end) = (span.start.min(inst.imm), span.end.max(inst.imm + inst.ty.bytes() as i64));
                if end - start > MAX_SPAN {
                    break;
                }
                span = start..end;
                stores.push(index);
            }
            _ => break,
        }
    }
    (stores.len() >= MIN_RUN).then_some(StoreRun { stores, span })
}

/// Most writes of slots between two accesses of a group: keeping what they replace costs more than another test.
const MAX_REPLACED: usize = 6;

/// Whether the op at `at` is the last access of a group.
pub(crate) fn ends_group(block: &Block, at: usize) -> bool {
    if !matches!(Part::of(block.insts[at].op), Part::Load | Part::Store) {
        return false;
    }
    let mut replaced = 0;
    for inst in &block.insts[at + 1..] {
        match Part::of(inst.op) {
            Part::None => replaced += usize::from(inst.op == Op::Set),
            Part::Load => return replaced > MAX_REPLACED,
            Part::Store | Part::End => return true,
        }
    }
    true
}

/// The cost of storing what `block` has made dirty at each of its accesses. If it `follows` others, what is dirty at its first
/// access is taken to be what a round before left.
fn stores(block: &Block, follows: bool) -> usize {
    let (mut dirty, mut raw) = (SlotSet::default(), SlotSet::default());
    let mut cost = 0;
    for round in usize::from(!follows)..2 {
        for inst in &block.insts {
            match Part::of(inst.op) {
                Part::Load | Part::Store => {
                    let weigh = |slot: Slot| if raw.contains(slot) { RAW_STORE } else { STORE };
                    cost += if round == 0 { 0 } else { dirty.iter().map(weigh).sum() };
                    dirty = SlotSet::default();
                }
                Part::End | Part::None if inst.op == Op::Set => {
                    dirty.insert(inst.slot());
                    if is_raw(block, inst.args[0]) {
                        raw.insert(inst.slot());
                    } else {
                        raw.remove(inst.slot());
                    }
                }
                Part::End | Part::None => {}
            }
        }
    }
    cost
}

#[cfg(test)]
mod tests {
    use vm_ir::text::{self, Names};

    use super::*;

    #[test]
    fn groups_end_before_stores_ways_out_and_many_writes() {
        let writes = |count: usize| (0..count).map(|slot| format!("set.i64 s{}, %0\n", slot + 2)).collect::<String>();
        let (load, store) = ("%9 = load.i64.plain [%0]\n", "store.i64.plain [%0], %0\n");
        let leaves = "exit_if %1, 0x2000\n";
        // Each line: accesses and what is between them, and which of the accesses end a group.
        for (ops, ends) in [
            (vec![load, load, load], vec![false, false, true]),
            (vec![store, load, load], vec![false, false, true]),
            (vec![load, store, store], vec![true, true, true]),
            (vec![load, leaves, load], vec![true, true]),
            (vec![load, &writes(MAX_REPLACED), load], vec![false, true]),
            (vec![load, &writes(MAX_REPLACED + 1), load], vec![true, true]),
            (vec![store, &writes(MAX_REPLACED + 1), load], vec![true, true]),
        ] {
            let named = ops.iter().enumerate().map(|(index, op)| op.replace("%9", &format!("%{}", 10 + index)));
            let ops: String = named.collect();
            let head = "block 0x1000 {\n bytes 00000000\n @0..4\n %0 = get.i64 s1\n %1 = truncate.i64.i8 %0\n";
            let text = format!("{head}{ops}jump 0x1004\n}}\n");
            let block = text::parse(&text, Names::NONE).unwrap_or_else(|error| panic!("{error}\n{text}"));
            let accesses = (0..block.insts.len()).filter(|at| matches!(block.insts[*at].op, Op::Load | Op::Store));
            assert_eq!(accesses.map(|at| ends_group(&block, at)).collect::<Vec<_>>(), ends, "{text}");
            assert_eq!(groups(&block), ends.iter().filter(|end| **end).count(), "{text}");
        }
    }
}
