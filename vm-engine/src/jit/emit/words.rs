//! Accesses of whole words in place of accesses of their bytes ([`bytes`](super::bytes)).
//!
//! Where such an access faults, the bytes are accessed one by one, as the program says: the fault handler steps over the
//! access, and a test behind it goes there. So the fault has the program counter and the address of the byte that has it, and
//! memory what was stored before. Where registers are to be exact the access is one of a [group](super::replay), whose test
//! serves for it.

use cranelift_codegen::ir::{self, InstBuilder, Value as ClifValue, types};
use vm_ir::Op;

use super::bytes::{Above, Role, Source, Word, Words};
use super::memory::guest_flags;
use super::{Emitter, Place, clif_type};
use crate::jit::abi::offset;
use crate::region::{AtFaults, MemoryMode, SlotSet, fixed_targets};

/// The words of the block that is being emitted.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) words: Words,
    /// What the loads of words have given so far, zeros above.
    loaded: Vec<Option<ClifValue>>,
}

impl Emitter<'_, '_> {
    /// Finds the words of the block.
    pub(super) fn begin_words(&mut self) {
        self.joined = Joined::default();
        if self.plan.options.memory != MemoryMode::Direct || !self.target.steps_over {
            return;
        }
        let flow = &self.slots.flow[self.here];
        self.joined.words = Words::of(self.block, flow.at_faults, &self.kept_behind());
        self.forget_words();
    }

    /// Nothing of the block is emitted yet.
    pub(super) fn forget_words(&mut self) {
        self.joined.loaded = vec![None; self.joined.words.loads.len()];
    }

    /// Slots that are needed behind the block; in a loop of one block those that the next round needs.
    fn kept_behind(&self) -> SlotSet {
        let edges = &self.plan.blocks[self.here].edges;
        if edges.iter().any(|(_, to)| *to == self.here) {
            return self.slots.flow[self.here].live;
        }
        let is_inside = |pc| self.plan.blocks[self.here].edge(pc).is_some();
        let mut targets = fixed_targets(self.block).peekable();
        let leaves = targets.peek().is_none() || !targets.all(is_inside);
        let mut kept = if leaves { SlotSet::all() } else { SlotSet::default() };
        edges.iter().for_each(|(_, to)| {
            kept.union(&self.slots.flow[*to].live);
        });
        kept
    }

    /// What the op at `at` gives, if that is a word that was loaded at once.
    pub(super) fn given_word(&mut self, at: usize) -> Option<ClifValue> {
        let Role::Gives(word, above) = self.joined.words.role(at) else { return None };
        if self.is_cold {
            return None;
        }
        let value = self.word(word);
        let ty = clif_type(self.block.insts[at].ty);
        if self.ir.func.dfg.value_type(value) == ty {
            return Some(value);
        }
        Some(match above {
            Above::Zeros => self.ir.ins().uextend(ty, value),
            Above::Signs => self.ir.ins().sextend(ty, value),
        })
    }

    /// `word`, of its own width.
    fn word(&mut self, word: Word) -> ClifValue {
        let value = match word.source {
            Source::Loads(number) => self.joined.loaded[number].expect("loads come before what uses them"),
            Source::Value(value) => self.value(value),
        };
        let is_whole = self.ir.func.dfg.value_type(value).bytes() as usize == word.len;
        let value = if is_whole { value } else { self.ir.ins().ireduce(types::I32, value) };
        if word.is_swapped { self.ir.ins().bswap(value) } else { value }
    }

    /// Whether what the op at `at` loads has been loaded with the word that it is a byte of.
    pub(super) fn is_loaded(&self, at: usize) -> bool {
        let Role::Loads(number, _) = self.joined.words.role(at) else { return false };
        !self.is_cold && self.joined.loaded[number].is_some()
    }

    /// The byte that the op at `at` loads, if it is one of a word. The first of them loads the word.
    pub(super) fn byte_of_word(&mut self, at: usize) -> Option<ClifValue> {
        let Role::Loads(number, place) = self.joined.words.role(at) else { return None };
        if self.is_cold {
            return None;
        }
        let word = match self.joined.loaded[number] {
            Some(word) => word,
            None => self.load_word(number),
        };
        self.joined.loaded[number] = Some(word);
        let byte = if place == 0 { word } else { self.ir.ins().ushr_imm_u(word, 8 * place as i64) };
        Some(self.ir.ins().ireduce(types::I8, byte))
    }

    fn load_word(&mut self, number: usize) -> ClifValue {
        let loads = self.joined.words.loads[number].clone();
        let lowest = &self.block.insts[loads[0]];
        let (base, displacement) = (self.arg(lowest, 0), lowest.imm as i32);
        let is_replayed = self.slots.flow[self.here].at_faults == AtFaults::Replayed;
        let pc = self.pc();
        self.locate_at(Place { pc, steps_over: true });
        let word = match loads.len() {
            8 => self.ir.ins().load(types::I64, guest_flags(), base, displacement),
            _ => self.ir.ins().uload32(guest_flags(), base, displacement),
        };
        if is_replayed {
            self.ir.ins().sequence_point();
            return word;
        }
        let next = self.begin_bytes(Some(word));
        let again = self.bytes_one_by_one(base, &loads);
        self.ir.ins().jump(next, &[again.into()]);
        self.enter_next(next);
        self.locate(pc);
        self.ir.block_params(next)[0]
    }

    /// The word of the bytes that `loads` load, each made by itself, with the other loads between them.
    fn bytes_one_by_one(&mut self, base: ClifValue, loads: &[usize]) -> ClifValue {
        let (first, last) = (*loads.iter().min().unwrap(), *loads.iter().max().unwrap());
        let mut word = self.iconst(types::I64, 0);
        for at in (first..=last).filter(|at| self.block.insts[*at].op == Op::Load) {
            let inst = &self.block.insts[at];
            let displacement = inst.imm as i32;
            self.locate_at(Place { pc: self.block.pc_of(at), steps_over: false });
            match loads.iter().position(|load| *load == at) {
                Some(place) => {
                    let byte = self.ir.ins().uload8(types::I64, guest_flags(), base, displacement);
                    let byte = self.ir.ins().ishl_imm_u(byte, 8 * place as i64);
                    word = self.ir.ins().bor(word, byte);
                }
                None => {
                    self.ir.ins().load(clif_type(inst.ty), guest_flags(), base, displacement);
                }
            }
        }
        word
    }

    /// Stores the byte that the op at `at` stores, if it is one of a word: the last of them stores the word.
    pub(super) fn store_of_word(&mut self, at: usize) -> bool {
        let Role::Stores(number) = self.joined.words.role(at) else { return false };
        if self.is_cold {
            return false;
        }
        let (stores, word) = self.joined.words.stores[number].clone();
        if stores.iter().any(|store| *store > at) {
            return true;
        }
        let first = *stores.iter().min().unwrap();
        let lowest = &self.block.insts[stores[0]];
        let (base, displacement) = (self.arg(lowest, 0), lowest.imm as i32);
        let word = self.word(word);
        let place = Place { pc: self.block.pc_of(first), steps_over: true };
        self.locate_at(place);
        self.ir.ins().store(guest_flags(), word, base, displacement);
        if self.slots.flow[self.here].at_faults != AtFaults::Replayed {
            let pc = self.block.pc_of(at);
            let next = self.begin_bytes(None);
            self.store_one_by_one(base, &stores, word);
            self.ir.ins().jump(next, &[]);
            self.enter_next(next);
            self.locate(pc);
        }
        true
    }

    /// Out of line, where bytes of a word are stored one by one all the same: the byte that the op at `at` stores, taken from
    /// the word there.
    pub(super) fn byte_to_store(&mut self, at: usize) -> Option<ClifValue> {
        let Role::Stores(number) = self.joined.words.role(at) else { return None };
        let (stores, word) = &self.joined.words.stores[number];
        let (place, word) = (stores.iter().position(|store| *store == at)?, *word);
        let is_there = match word.source {
            Source::Loads(number) => self.joined.loaded[number].is_some(),
            Source::Value(_) => true,
        };
        if !self.is_cold || !is_there {
            return None;
        }
        let word = self.word(word);
        let byte = self.ir.ins().ushr_imm_u(word, 8 * place as i64);
        Some(self.ir.ins().ireduce(types::I8, byte))
    }

    /// Stores the bytes of `word`, each by itself, in the order of `stores` in the program.
    fn store_one_by_one(&mut self, base: ClifValue, stores: &[usize], word: ClifValue) {
        let mut in_order: Vec<_> = stores.iter().enumerate().map(|(place, at)| (*at, place)).collect();
        in_order.sort_unstable();
        for (at, place) in in_order {
            self.locate_at(Place { pc: self.block.pc_of(at), steps_over: false });
            let byte = self.ir.ins().ushr_imm_u(word, 8 * place as i64);
            self.ir.ins().istore8(guest_flags(), byte, base, self.block.insts[at].imm as i32);
        }
    }

    /// Begins what is done if the access before was stepped over, out of line, and gives the block where it goes on, which has
    /// `value` otherwise.
    fn begin_bytes(&mut self, value: Option<ClifValue>) -> ir::Block {
        let stepped_over = self.load_frame(types::I64, offset::STEPPED_OVER);
        let (cold, next) = self.split(stepped_over, value);
        self.enter_cold(cold);
        let none = self.iconst(types::I64, 0);
        self.store_frame(none, offset::STEPPED_OVER);
        next
    }
}
