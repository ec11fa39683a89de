//! Loops that look for a word: each round loads the next eight bytes and goes on if they pass a test, as C libraries look
//! for the end of a string. Such rounds can be tested side by side, since nothing of one but the pointer gets into the next.

use std::collections::HashMap;

use vm_core::{GuestAddr, Slot};
use vm_ir::{Block, Effect, End, Op, Order, Type, Value};

use super::RegionPlan;

/// Bytes that a round loads, and by which the pointer advances.
pub(crate) const STEP: i64 = 8;

/// Most blocks of a loop.
const MAX_BLOCKS: usize = 3;

/// A word of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// What a slot holds before the loop, which does not write it.
    Slot(Slot),
    /// A number.
    Const(i64),
    /// What the round loads.
    Loaded,
    /// Sum, difference or bitwise operation of two words, by their places in [`Search::words`].
    Binary(Op, usize, usize),
}

/// A loop that looks for a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// What the test needs; operands come first.
    pub(crate) words: Vec<Word>,
    /// The slot that is [`STEP`] more in each round, the only one of which a round needs what the one before has written.
    pub(crate) pointer: Slot,
    /// A round loads from here plus the pointer.
    pub(crate) displacement: i64,
    /// The instruction that loads.
    pub(crate) load: GuestAddr,
    /// The two words that the loop goes on with if they are equal, or if they are not.
    pub(crate) compared: (usize, usize),
    /// Which of both.
    pub(crate) while_equal: bool,
}

/// The loop of `plan` that begins with block `head` and looks for a word, if it is one. `polls` says which blocks may leave
/// before their first op: where that is in the middle of a round, what the round has not yet written would be seen.
pub(crate) fn search_loop(plan: &RegionPlan, head: usize, polls: impl Fn(usize) -> bool) -> Option<Search> {
    let mut round = Round::default();
    let mut here = head;
    for _ in 0..MAX_BLOCKS {
        if here != head && polls(here) {
            return None;
        }
        let block = &plan.blocks[here].block;
        round.block(block)?;
        match block.end {
            End::Jump { target } => here = plan.blocks[here].edge(target.address(block.key.pc))?,
            End::Branch { cond, taken, fall } if taken != fall => {
                let test = block.def(cond);
                if !matches!(test.op, Op::Eq | Op::Ne) || test.from != Type::I64 {
                    return None;
                }
                let compared = (round.value(test.args[0])?, round.value(test.args[1])?);
                return [(taken, true), (fall, false)].into_iter().find_map(|(way, is_taken)| {
                    let next = plan.blocks[here].edge(way.address(block.key.pc))?;
                    let closed = round.clone().closed(plan, head, next)?;
                    closed.search(compared, is_taken == (test.op == Op::Eq), &round.written)
                });
            }
            _ => return None,
        }
    }
    None
}

/// What happens in a round.
#[derive(Clone, Default)]
struct Round {
    terms: Vec<Term>,
    /// What slots hold, as far as they were looked at or written.
    slots: HashMap<Slot, usize>,
    /// Slots that were written.
    written: Vec<Slot>,
    /// Place of each value of the block that was last looked at.
    values: Vec<Option<usize>>,
    /// The load: its address, a number added to that, and its instruction.
    load: Option<(usize, i64, GuestAddr)>,
}

/// A value of a round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Term {
    Word(Word),
    /// Something that no test may need.
    Other,
}

impl Round {
    fn push(&mut self, term: Term) -> usize {
        self.terms.push(term);
        self.terms.len() - 1
    }

    fn value(&self, value: Value) -> Option<usize> {
        self.values[value.index()]
    }

    /// The round with what comes behind its branch, from block `next` on until `head` comes again. Nothing is loaded there.
    fn closed(mut self, plan: &RegionPlan, head: usize, mut next: usize) -> Option<Self> {
        let load = self.load;
        for _ in 0..MAX_BLOCKS {
            if next == head {
                return Some(self).filter(|round| round.load == load);
            }
            let block = &plan.blocks[next].block;
            let End::Jump { target } = block.end else { return None };
            self.block(block)?;
            next = plan.blocks[next].edge(target.address(block.key.pc))?;
        }
        None
    }

    /// Adds the ops of `block`. `None` if one has another effect than to write slots and to load a word.
    fn block(&mut self, block: &Block) -> Option<()> {
        self.values.clear();
        for (at, inst) in block.insts.iter().enumerate() {
            let [a, b, _] = inst.args;
            let is_word = inst.result() == Some(Type::I64);
            let term = match inst.op {
                Op::Get => {
                    let place = self.read(inst.slot());
                    self.values.push(Some(place));
                    continue;
                }
                Op::Set => {
                    let value = self.value(a)?;
                    self.slots.insert(inst.slot(), value);
                    self.written.push(inst.slot());
                    self.values.push(None);
                    continue;
                }
                Op::Load if is_word && inst.order() == Order::Plain && self.load.is_none() => {
                    self.load = Some((self.value(a)?, inst.imm, instruction(block, at)));
                    Term::Word(Word::Loaded)
                }
                Op::Const if is_word => Term::Word(Word::Const(inst.imm)),
                Op::Add | Op::Sub | Op::And | Op::Or | Op::Xor if is_word => {
                    Term::Word(Word::Binary(inst.op, self.value(a)?, self.value(b)?))
                }
                op if op.effect() == Effect::Pure => Term::Other,
                _ => return None,
            };
            let place = self.push(term);
            self.values.push(Some(place));
        }
        Some(())
    }

    fn read(&mut self, slot: Slot) -> usize {
        if let Some(place) = self.slots.get(&slot) {
            return *place;
        }
        let place = self.push(Term::Word(Word::Slot(slot)));
        self.slots.insert(slot, place);
        place
    }

    /// `place` as a slot's value at the beginning and a number that is added.
    fn moved(&self, place: usize) -> Option<(Slot, i64)> {
        let number = |place: usize| match self.terms[place] {
            Term::Word(Word::Const(number)) => Some(number),
            _ => None,
        };
        match self.terms[place] {
            Term::Word(Word::Slot(slot)) => Some((slot, 0)),
            Term::Word(Word::Binary(Op::Add, a, b)) => {
                let (base, by) = number(b).map(|by| (a, by)).or_else(|| Some((b, number(a)?)))?;
                let (slot, sum) = self.moved(base)?;
                Some((slot, sum.wrapping_add(by)))
            }
            _ => None,
        }
    }

    /// The loop that goes on while the two `compared` words are equal or not, if a round has `written` these slots until then.
    fn search(&self, compared: (usize, usize), while_equal: bool, written: &[Slot]) -> Option<Search> {
        let (address, displacement, load) = self.load?;
        let (pointer, by) = self.moved(address)?;
        if self.moved(*self.slots.get(&pointer)?)? != (pointer, STEP) {
            return None;
        }
        // All else that is carried from round to round would have to be kept, and what is only written behind the test too.
        let is_read = |slot: &Slot| self.terms.contains(&Term::Word(Word::Slot(*slot)));
        let carried = |slot: &&Slot| **slot != pointer && (is_read(slot) || !written.contains(slot));
        if self.written.iter().any(|slot| carried(&slot)) {
            return None;
        }
        let mut search = Search {
            words: Vec::new(),
            pointer,
            displacement: displacement.wrapping_add(by),
            load,
            compared: (0, 0),
            while_equal,
        };
        let mut places = HashMap::new();
        let first = self.word(compared.0, &mut search, &mut places)?;
        search.compared = (first, self.word(compared.1, &mut search, &mut places)?);
        search.words.contains(&Word::Loaded).then_some(search)
    }

    /// Adds the word at `place` and what it needs to `search`. `None` if the round's pointer or something unknown is in it.
    fn word(&self, place: usize, search: &mut Search, places: &mut HashMap<usize, usize>) -> Option<usize> {
        if let Some(known) = places.get(&place) {
            return Some(*known);
        }
        let word = match self.terms[place] {
            Term::Word(Word::Slot(slot)) if slot == search.pointer => return None,
            Term::Word(Word::Binary(op, a, b)) => {
                Word::Binary(op, self.word(a, search, places)?, self.word(b, search, places)?)
            }
            Term::Word(word) => word,
            Term::Other => return None,
        };
        search.words.push(word);
        places.insert(place, search.words.len() - 1);
        Some(search.words.len() - 1)
    }
}

/// The guest instruction of the op at `at`.
fn instruction(block: &Block, at: usize) -> GuestAddr {
    let mark = block.marks.iter().rfind(|mark| mark.first as usize <= at);
    block.key.pc.offset(mark.map_or(0, |mark| i64::from(mark.offset)))
}
