//! Loops that look for a word, four words at a time.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, Value as ClifValue, types};
use vm_core::Slot;
use vm_ir::Op;

use super::memory::guest_flags;
use super::{Emitter, Place};
use crate::config::Exact;
use crate::jit::abi::offset;
use crate::region::{MemoryMode, STEP, Search, Word, search_loop};

/// Words that are tested at a time, in two vectors.
const WORDS: i64 = 4;
/// Bytes of a vector.
const VECTOR: i64 = 16;
/// Bytes that are tested without a poll, and within which accesses are allowed alike.
const PAGE: i64 = 4096;

impl Emitter<'_, '_> {
    /// At the head of a loop that looks for a word: passes words, four at a time, as long as the loop would go on behind each
    /// of them. It does so at addresses that are multiples of four words, so that a fault is that of the first word, and
    /// until the end of the page, before which a request to stop may wait. The loop then does the rest, a round at least, and
    /// leaves behind what a round leaves behind.
    ///
    /// Where registers must be exact at faults, a round is run before the loop comes to another page: all that rounds leave
    /// behind is then as it should be, and if the first word of that page cannot be loaded, none is passed. A load that
    /// fails in the middle of a page, because another thread has unmapped it, is stepped over, and every round is run anew;
    /// should it do so behind the last one that is passed, what rounds calculate is older than the pointer.
    ///
    /// The words may change meanwhile: what is passed was loaded once, in order; what follows is loaded anew. An aligned
    /// vector is loaded at once by hosts with AVX (Intel SDM, volume 3, "Guaranteed Atomic Operations"; AMD64 manual, volume
    /// 2, "Access Atomicity").
    pub(super) fn pass_words(&mut self) {
        let options = &self.plan.options;
        let is_exact = options.faults == Exact::Registers;
        let plain = options.memory == MemoryMode::Direct && !options.count && (self.target.steps_over || !is_exact);
        if !plain || !self.target.loads_vectors_at_once || !self.slots.flow[self.here].is_loop {
            return;
        }
        let polls = |block: usize| self.slots.flow[block].is_loop;
        let Some(search) = search_loop(self.plan, self.here, polls) else { return };
        let last = search.displacement.checked_add(WORDS * STEP).map(i32::try_from);
        let (Ok(displacement), Some(Ok(_))) = (i32::try_from(search.displacement), last) else { return };
        let (pointer, _) = self.variable(search.pointer);
        let before = self.ir.use_var(pointer);

        let [first, vectors, next] = std::array::from_fn(|_| self.ir.create_block());
        self.ir.append_block_param(vectors, types::I64);
        self.ir.append_block_param(next, types::I64);
        let mut not_here = self.offset_in(before, search.displacement, WORDS * STEP);
        let mut done = next;
        // The end of what is passed, from a pointer to a group of words: the page's, or the last group before it.
        let end = search.displacement + if is_exact { WORDS * STEP } else { 0 };
        if is_exact {
            let left = self.offset_in(before, end, PAGE);
            let is_last = self.ir.ins().icmp_imm_u(IntCC::Equal, left, 0);
            let is_last = self.ir.ins().uextend(types::I64, is_last);
            not_here = self.ir.ins().bor(not_here, is_last);
            done = self.ir.create_block();
            self.ir.append_block_param(done, types::I64);
        }
        self.ir.ins().brif(not_here, next, &[before.into()], first, &[]);

        self.enter_next(first);
        let fixed = self.fixed_words(&search);
        self.ir.ins().jump(vectors, &[before.into()]);

        self.switch_to(vectors);
        let here = self.ir.block_params(vectors)[0];
        self.locate_at(Place { pc: search.load, steps_over: is_exact });
        let loaded: Vec<_> = (0..WORDS * STEP / VECTOR)
            .map(|vector| {
                let offset = displacement + (vector * VECTOR) as i32;
                self.ir.ins().load(types::I64X2, guest_flags(), here, offset)
            })
            .collect();
        let tests: Vec<_> = loaded.into_iter().map(|loaded| self.goes_on(&search, &fixed, loaded)).collect();
        let all = tests.into_iter().reduce(|a, b| self.ir.ins().band(a, b)).expect("there are two");
        let signs = self.ir.ins().vhigh_bits(types::I32, all);
        let all = self.ir.ins().icmp_imm_u(IntCC::Equal, signs, 3);
        let passed = self.ir.create_block();
        self.ir.ins().brif(all, passed, &[], done, &[here.into()]);

        self.enter_next(passed);
        let after = self.ir.ins().iadd_imm_s(here, WORDS * STEP);
        let rest = self.offset_in(after, end, PAGE);
        self.ir.ins().brif(rest, vectors, &[after.into()], done, &[after.into()]);
        self.ir.seal_block(vectors);
        if is_exact {
            self.undo_if_stepped_over(done, next, before);
        }

        self.enter_next(next);
        let after = self.ir.block_params(next)[0];
        self.ir.def_var(pointer, after);
        self.locate(self.block.key.pc);
    }

    /// Goes on from `done` to `next` with the pointer that was reached, or with the one `before` if a load was stepped over.
    fn undo_if_stepped_over(&mut self, done: ir::Block, next: ir::Block, before: ClifValue) {
        self.enter_next(done);
        let reached = self.ir.block_params(done)[0];
        let stepped_over = self.load_frame(types::I64, offset::STEPPED_OVER);
        let undone = self.ir.create_block();
        self.ir.set_cold_block(undone);
        self.ir.ins().brif(stepped_over, undone, &[], next, &[reached.into()]);
        self.enter_next(undone);
        let none = self.iconst(types::I64, 0);
        self.store_frame(none, offset::STEPPED_OVER);
        self.ir.ins().jump(next, &[before.into()]);
    }

    /// How far behind a multiple of `unit`, a power of two, the address is that `pointer` has with `displacement`.
    fn offset_in(&mut self, pointer: ClifValue, displacement: i64, unit: i64) -> ClifValue {
        let address = if displacement == 0 { pointer } else { self.ir.ins().iadd_imm_s(pointer, displacement) };
        self.ir.ins().band_imm_s(address, unit - 1)
    }

    /// Vectors of the words that are the same in each round.
    fn fixed_words(&mut self, search: &Search) -> Vec<Option<ClifValue>> {
        let mut fixed = Vec::with_capacity(search.words.len());
        for word in &search.words {
            let word = match *word {
                Word::Loaded => None,
                Word::Slot(slot) => Some(self.slot_word(slot)),
                Word::Const(number) => Some(self.iconst(types::I64, number)),
                Word::Binary(..) => None,
            };
            fixed.push(word.map(|word| self.ir.ins().splat(types::I64X2, word)));
        }
        fixed
    }

    /// For each of the `loaded` words ones if the loop goes on behind it, else zeros.
    fn goes_on(&mut self, search: &Search, fixed: &[Option<ClifValue>], loaded: ClifValue) -> ClifValue {
        let mut words: Vec<ClifValue> = Vec::with_capacity(search.words.len());
        for (word, fixed) in search.words.iter().zip(fixed) {
            let word = match *word {
                Word::Binary(op, a, b) => {
                    let (a, b, ins) = (words[a], words[b], self.ir.ins());
                    match op {
                        Op::Add => ins.iadd(a, b),
                        Op::Sub => ins.isub(a, b),
                        Op::And => ins.band(a, b),
                        Op::Or => ins.bor(a, b),
                        Op::Xor => ins.bxor(a, b),
                        _ => unreachable!("a search has no other"),
                    }
                }
                Word::Loaded | Word::Slot(_) | Word::Const(_) => fixed.unwrap_or(loaded),
            };
            words.push(word);
        }
        let (a, b) = search.compared;
        let condition = if search.while_equal { IntCC::Equal } else { IntCC::NotEqual };
        self.ir.ins().icmp(condition, words[a], words[b])
    }

    fn slot_word(&mut self, slot: Slot) -> ClifValue {
        let (variable, _) = self.variable(slot);
        self.ir.use_var(variable)
    }
}
