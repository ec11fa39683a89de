//! Words that a block handles byte by byte: bytes that it loads and puts together or stores again, and bytes of one word that
//! it stores beside one another.
//!
//! Compilers for guests that need not have unaligned accesses read, write and copy words in such a way. The region does it by
//! one access of a word (`words.rs`). No other processor may tell: accesses of different bytes with nothing between them that
//! orders may take effect in any order, and so all at once (RISC-V unprivileged ISA, RVWMO, "Preserved Program Order").

use vm_ir::{Block, Effect, Inst, Op, Order, Type, Value};

use super::assembled::pieces;
use crate::region::{AtFaults, SlotSet, store_run};

/// Bytes of the words that are looked for, largest first.
const LENGTHS: [usize; 2] = [8, 4];

/// One byte of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Byte {
    #[default]
    Zero,
    /// The byte at this place of the value.
    Of(Value, usize),
    /// Copies of that byte's highest bit.
    SignOf(Value, usize),
}

/// The bytes of a value, lowest first; zeros above its type.
type Bytes = [Byte; 8];

/// Where a word comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The load in place of others with this number in [`Words::loads`].
    Loads(usize),
    /// The low bytes of a value.
    Value(Value),
}

/// A word of [`LENGTHS`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) source: Source,
    pub(super) len: usize,
    /// Its bytes are in the other order than in memory, or in the value.
    pub(super) is_swapped: bool,
}

/// What the op at some place has to do with words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Role {
    #[default]
    None,
    /// Loads the byte at this place of the word with this number in [`Words::loads`].
    Loads(usize, usize),
    /// Gives a word, with zeros or with copies of its highest bit above.
    Gives(Word, Above),
    /// Stores a byte of the word with this number in [`Words::stores`].
    Stores(usize),
}

/// What is above a word in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Above {
    Zeros,
    Signs,
}

/// The words of a block.
#[derive(Debug, Default)]
pub(super) struct Words {
    roles: Vec<Role>,
    /// Loads of one byte each that one load takes the place of, by address.
    pub(super) loads: Vec<Vec<usize>>,
    /// Stores of one byte each that one store takes the place of, by address, and what they store.
    pub(super) stores: Vec<(Vec<usize>, Word)>,
}

impl Words {
    /// Those of `block`, behind which slots of `kept` are still needed.
    pub(super) fn of(block: &Block, at_faults: AtFaults, kept: &SlotSet) -> Self {
        let bytes_by = |op| block.insts.iter().filter(|inst| is_byte(inst, op)).count();
        let fewest = LENGTHS[LENGTHS.len() - 1];
        if at_faults == AtFaults::Stored || bytes_by(Op::Load).max(bytes_by(Op::Store)) < fewest {
            return Self::default();
        }
        let mut words = Self { roles: vec![Role::None; block.insts.len()], ..Self::default() };
        let bytes = bytes_of_values(block);
        let uses = found_uses(block, at_faults, &bytes);
        for len in LENGTHS {
            for found in uses.iter().filter(|found| found.len == len) {
                words.add_loads(block, found);
            }
        }
        words.add_uses(&uses);
        words.drop_what_does_not_pay(block, kept);
        words
    }

    /// What the op at `at` does.
    pub(super) fn role(&self, at: usize) -> Role {
        self.roles.get(at).copied().unwrap_or_default()
    }

    /// The values that the op at `at` needs.
    pub(super) fn operands(&self, block: &Block, at: usize) -> impl Iterator<Item = Value> + use<'_> {
        let inst = &block.insts[at];
        let (own, made_of) = match self.role(at) {
            Role::None | Role::Loads(..) => (inst.operands().len(), None),
            Role::Gives(..) => (0, None),
            Role::Stores(number) => match self.stores[number].1.source {
                Source::Loads(_) => (1, None),
                Source::Value(value) => (1, Some(value)),
            },
        };
        let args = inst.args;
        (0..own).map(move |index| args[index]).chain(made_of)
    }

    /// Adds the load in place of those that `found` is made of, if they may be made at once.
    fn add_loads(&mut self, block: &Block, found: &Found) {
        let Of::Loads(loads) = &found.of else { return };
        let is_taken = loads.iter().any(|at| self.roles[*at] != Role::None);
        if is_taken || !may_be_one(block, loads) {
            return;
        }
        for (place, at) in loads.iter().enumerate() {
            self.roles[*at] = Role::Loads(self.loads.len(), place);
        }
        self.loads.push(loads.clone());
    }

    /// Gives roles to what uses loads that have become one, and to stores of other words.
    fn add_uses(&mut self, uses: &[Found]) {
        for found in uses {
            let source = match &found.of {
                Of::Loads(loads) => {
                    let Some(number) = self.loads.iter().position(|other| other == loads) else { continue };
                    Source::Loads(number)
                }
                Of::Value(value) => Source::Value(*value),
            };
            let word = Word { source, len: found.len, is_swapped: found.is_swapped };
            match &found.by {
                By::Op(at, above) => self.roles[*at] = Role::Gives(word, *above),
                By::Stores(stores) => {
                    if stores.iter().all(|at| self.roles[*at] == Role::None) {
                        stores.iter().for_each(|at| self.roles[*at] = Role::Stores(self.stores.len()));
                        self.stores.push((stores.clone(), word));
                    }
                }
            }
        }
    }

    /// Drops loads whose bytes are needed apart, behind the block or in it, so often that it does not pay.
    fn drop_what_does_not_pay(&mut self, block: &Block, kept: &SlotSet) {
        let needed = self.needed(block, kept);
        for number in 0..self.loads.len() {
            let len = self.loads[number].len();
            let apart = self.loads[number].iter().filter(|at| needed[**at]).count();
            let source = Source::Loads(number);
            let is_given = self.roles.iter().any(|role| matches!(role, Role::Gives(word, _) if word.source == source));
            let stores = self.stores.iter().filter(|(_, word)| word.source == source).count();
            // A load, a shift and an op that joins for each byte; a test for each access; two ops for a byte apart.
            let gain = len - 1 + if is_given { 2 * (len - 1) } else { 0 } + stores * (len - 1);
            let cost = 2 + 2 * stores + 2 * apart;
            if gain <= cost {
                self.drop_loads(number);
            }
        }
    }

    fn drop_loads(&mut self, number: usize) {
        let source = Source::Loads(number);
        for role in &mut self.roles {
            let is_of_it = match *role {
                Role::None => false,
                Role::Loads(other, _) => other == number,
                Role::Gives(word, _) => word.source == source,
                Role::Stores(other) => self.stores[other].1.source == source,
            };
            if is_of_it {
                *role = Role::None;
            }
        }
    }

    /// For each op whether its value is needed, by more than what makes a word of it.
    fn needed(&self, block: &Block, kept: &SlotSet) -> Vec<bool> {
        let mut needed = vec![false; block.insts.len()];
        block.end.operand().into_iter().for_each(|value| needed[value.index()] = true);
        let mut leaves = false;
        for (at, inst) in block.insts.iter().enumerate().rev() {
            let is_needed = match inst.op.effect() {
                Effect::Pure | Effect::ReadsSlot => needed[at],
                Effect::WritesSlot => leaves || kept.contains(inst.slot()),
                _ => true,
            };
            leaves |= inst.op.effect() == Effect::Leaves;
            if is_needed {
                self.operands(block, at).for_each(|value| needed[value.index()] = true);
            }
        }
        needed
    }
}

/// A word that the block uses, and that may be loaded at once.
struct Found {
    of: Of,
    is_swapped: bool,
    by: By,
    len: usize,
}

/// What a word is made of.
enum Of {
    /// The loads of its bytes, by address.
    Loads(Vec<usize>),
    /// The low bytes of a value.
    Value(Value),
}

/// What uses a word.
enum By {
    /// The op gives it.
    Op(usize, Above),
    /// The stores of its bytes, by address.
    Stores(Vec<usize>),
}

/// Whether `inst` loads or stores, as `op` says, a byte in no particular order.
fn is_byte(inst: &Inst, op: Op) -> bool {
    inst.op == op && inst.ty == Type::I8 && inst.order() == Order::Plain
}

/// For each op the bytes of what it gives.
fn bytes_of_values(block: &Block) -> Vec<Bytes> {
    let mut all: Vec<Bytes> = Vec::with_capacity(block.insts.len());
    for (at, inst) in block.insts.iter().enumerate() {
        let bytes = match inst.result() {
            Some(ty @ (Type::I8 | Type::I16 | Type::I32 | Type::I64)) => {
                let mut own = [Byte::Zero; 8];
                (0..ty.bytes()).for_each(|place| own[place] = Byte::Of(Value::new(at as u32), place));
                combined(block, &all, at, ty.bytes()).unwrap_or(own)
            }
            _ => [Byte::Zero; 8],
        };
        all.push(bytes);
    }
    all
}

/// The `size` bytes of what the op at `at` gives, if they are those of its operands, of which `all` has the bytes.
fn combined(block: &Block, all: &[Bytes], at: usize, size: usize) -> Option<Bytes> {
    let inst = &block.insts[at];
    let operand = |index: usize| all[inst.args[index].index()];
    // By how many bytes a shift moves.
    let by = || {
        let amount = block.def(inst.args[1]);
        let is_whole = amount.op == Op::Const && amount.imm % 8 == 0 && (0..8 * size as i64).contains(&amount.imm);
        is_whole.then_some(amount.imm as usize / 8)
    };
    let mut bytes = [Byte::Zero; 8];
    match inst.op {
        Op::Const if inst.imm == 0 => {}
        Op::ZeroExtend => bytes = operand(0),
        Op::SignExtend => {
            let from = inst.from.bytes();
            bytes = operand(0);
            let above = sign_of(bytes[from - 1]);
            bytes[from..size].fill(above);
        }
        Op::Truncate => bytes[..size].copy_from_slice(&operand(0)[..size]),
        Op::Shl => {
            let by = by()?;
            bytes[by..size].copy_from_slice(&operand(0)[..size - by]);
        }
        Op::ShrU => {
            let by = by()?;
            bytes[..size - by].copy_from_slice(&operand(0)[by..size]);
        }
        Op::ByteSwap => {
            bytes[..size].copy_from_slice(&operand(0)[..size]);
            bytes[..size].reverse();
        }
        Op::And => {
            let mask = block.def(inst.args[1]);
            if mask.op != Op::Const {
                return None;
            }
            bytes = operand(0);
            for (byte, part) in bytes.iter_mut().zip(mask.imm.to_le_bytes()) {
                match part {
                    0xff => {}
                    0 => *byte = Byte::Zero,
                    _ => return None,
                }
            }
        }
        // With a zero in one of them in each place they are the same.
        Op::Or | Op::Xor | Op::Add => {
            for ((byte, a), b) in bytes.iter_mut().zip(operand(0)).zip(operand(1)) {
                *byte = match (a, b) {
                    (a, Byte::Zero) => a,
                    (Byte::Zero, b) => b,
                    _ => return None,
                };
            }
        }
        Op::Load => {
            for piece in pieces(block, at)? {
                let value = all[piece.value.index()];
                let (place, len) = (piece.place as usize, block.def(piece.value).result()?.bytes());
                bytes[place..place + len].copy_from_slice(&value[..len]);
            }
        }
        _ => return None,
    }
    Some(bytes)
}

/// What a sign extension puts above `byte`.
const fn sign_of(byte: Byte) -> Byte {
    match byte {
        Byte::Zero => Byte::Zero,
        Byte::Of(value, place) | Byte::SignOf(value, place) => Byte::SignOf(value, place),
    }
}

/// Every use of a word in the block.
fn found_uses(block: &Block, at_faults: AtFaults, bytes: &[Bytes]) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, inst) in block.insts.iter().enumerate() {
        let Some(ty @ (Type::I32 | Type::I64)) = inst.result() else { continue };
        found.extend(given(block, at, &bytes[at][..ty.bytes()]));
    }
    for run in store_runs(block, at_faults) {
        let mut rest = &run[..];
        while !rest.is_empty() {
            let stored = LENGTHS.iter().filter(|len| rest.len() >= **len).find_map(|len| {
                let mut stores = rest[..*len].to_vec();
                stores.sort_unstable_by_key(|at| block.insts[*at].imm);
                stored(block, bytes, stores)
            });
            rest = &rest[stored.as_ref().map_or(1, |found| found.len)..];
            found.extend(stored);
        }
    }
    found
}

/// The word of loaded bytes that the op at `at`, which gives `bytes`, gives, if it does.
fn given(block: &Block, at: usize, bytes: &[Byte]) -> Option<Found> {
    let len = bytes.iter().take_while(|byte| matches!(byte, Byte::Of(..))).count();
    if !LENGTHS.contains(&len) {
        return None;
    }
    let (word, above) = bytes.split_at(len);
    let above = match above {
        [] => Above::Zeros,
        above if above.iter().all(|byte| *byte == Byte::Zero) => Above::Zeros,
        above if above.iter().all(|byte| *byte == sign_of(word[len - 1])) => Above::Signs,
        _ => return None,
    };
    let (loads, is_swapped) = loads_of(block, word)?;
    Some(Found { of: Of::Loads(loads), is_swapped, by: By::Op(at, above), len })
}

/// The word of which `stores`, which are ordered by address, store the bytes, if they do.
fn stored(block: &Block, bytes: &[Bytes], stores: Vec<usize>) -> Option<Found> {
    let len = stores.len();
    let first = block.insts[stores[0]].imm;
    is_near(first, len).then_some(())?;
    let are_beside = |(place, at): (usize, &usize)| block.insts[*at].imm.wrapping_sub(first) == place as i64;
    if !stores.iter().enumerate().all(are_beside) {
        return None;
    }
    let word: Vec<Byte> = stores.iter().map(|at| bytes[block.insts[*at].args[1].index()][0]).collect();
    if let Some((loads, is_swapped)) = loads_of(block, &word) {
        return Some(Found { of: Of::Loads(loads), is_swapped, by: By::Stores(stores), len });
    }
    let Byte::Of(value, lowest) = word[0] else { return None };
    let is_swapped = lowest != 0;
    let is_part =
        |(place, byte): (usize, &Byte)| *byte == Byte::Of(value, if is_swapped { len - 1 - place } else { place });
    let is_wide = matches!(block.def(value).result(), Some(Type::I32 | Type::I64));
    let is_word = is_wide && word.iter().enumerate().all(is_part);
    is_word.then_some(Found { of: Of::Value(value), is_swapped, by: By::Stores(stores), len })
}

/// Whether hosts have displacements of all of the `len` bytes from `first` on.
fn is_near(first: i64, len: usize) -> bool {
    let limits = i64::from(i32::MIN)..=i64::from(i32::MAX) - len as i64;
    limits.contains(&first)
}

/// The loads that `word` is made of, by address, if they are of bytes beside one another, and whether the last one is the
/// lowest of the word.
fn loads_of(block: &Block, word: &[Byte]) -> Option<(Vec<usize>, bool)> {
    let load = |byte: &Byte| match *byte {
        Byte::Of(value, 0) if is_byte(block.def(value), Op::Load) => Some(value.index()),
        _ => None,
    };
    let mut loads: Vec<usize> = word.iter().map(load).collect::<Option<_>>()?;
    let place = |at: usize| block.insts[at].imm;
    let is_swapped = place(loads[0]) > place(loads[1]);
    if is_swapped {
        loads.reverse();
    }
    let (base, first) = (block.insts[loads[0]].args[0], place(loads[0]));
    is_near(first, loads.len()).then_some(())?;
    let fits = |(offset, at): (usize, &usize)| {
        block.insts[*at].args[0] == base && place(*at).wrapping_sub(first) == offset as i64
    };
    loads.iter().enumerate().all(fits).then_some((loads, is_swapped))
}

/// Whether `loads` may all be made where the first of them is: nothing between them may change what they load, is ordered
/// with them or leaves. Loads of the same byte are ordered (RVWMO, preserved program order, rule 2), so others between them
/// are known to be of other bytes.
fn may_be_one(block: &Block, loads: &[usize]) -> bool {
    let (Some(first), Some(last)) = (loads.iter().min(), loads.iter().max()) else { return false };
    let (base, start) = (block.insts[loads[0]].args[0], block.insts[loads[0]].imm);
    (*first..*last).filter(|at| !loads.contains(at)).all(|at| {
        let inst = &block.insts[at];
        match inst.op.effect() {
            Effect::Pure | Effect::FpFlags | Effect::ReadsSlot | Effect::WritesSlot => true,
            Effect::Reads if inst.op == Op::Load && inst.order() == Order::Plain && inst.args[0] == base => {
                let place = inst.imm.wrapping_sub(start);
                let is_other = place >= loads.len() as i64 || place <= -(inst.ty.bytes() as i64);
                is_other && is_near(inst.imm, inst.ty.bytes())
            }
            _ => false,
        }
    })
}

/// Stores of bytes in a row to one base, in order, of which the block may do those beside one another at once.
fn store_runs(block: &Block, at_faults: AtFaults) -> Vec<Vec<usize>> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < block.insts.len() {
        let stores = match at_faults {
            AtFaults::Replayed => store_run(block, at).map(|run| run.stores),
            AtFaults::Incomplete | AtFaults::Stored => plain_run(block, at),
        };
        let Some(stores) = stores else {
            at += 1;
            continue;
        };
        at = stores[stores.len() - 1] + 1;
        let parts = stores.split(|at| !is_byte(&block.insts[*at], Op::Store));
        runs.extend(parts.map(<[usize]>::to_vec));
    }
    runs
}

/// The stores to one base that begin with the op at `at`, with nothing between them that may be noticed.
fn plain_run(block: &Block, at: usize) -> Option<Vec<usize>> {
    let first = &block.insts[at];
    if !is_byte(first, Op::Store) {
        return None;
    }
    let mut stores = Vec::new();
    for (index, inst) in block.insts.iter().enumerate().skip(at) {
        match inst.op.effect() {
            Effect::Pure | Effect::FpFlags | Effect::ReadsSlot | Effect::WritesSlot => {}
            Effect::Writes if is_byte(inst, Op::Store) && inst.args[0] == first.args[0] => stores.push(index),
            _ => break,
        }
    }
    Some(stores)
}

#[cfg(test)]
mod tests {
    use vm_ir::text;

    use super::*;

    /// What reads a byte at each of the `places`, in this order, into values from `%first` on, two a byte.
    fn loads(first: usize, places: &[i64]) -> String {
        let each = places.iter().enumerate().map(|(index, place)| {
            let at = first + 2 * index;
            format!("%{at} = load.i8.plain [%0 + {place}]\n%{} = zero_extend.i8.i64 %{at}\n", at + 1)
        });
        each.collect()
    }

    /// What puts the values `%from`, `%from + 2` and so on together, the first the lowest, into values from `%first` on.
    fn joins(first: usize, from: usize, count: usize) -> String {
        let each = (1..count).map(|place| {
            let (at, value) = (first + 3 * (place - 1), from + 2 * place);
            let word = if place == 1 { from } else { at - 1 };
            format!(
                "%{at} = const.i64 {}\n%{} = shl.i64 %{value}, %{at}\n%{} = or.i64 %{word}, %{}\n",
                8 * place,
                at + 1,
                at + 2,
                at + 1
            )
        });
        each.collect()
    }

    /// What stores the byte values `%from`, `%from + step` and so on one behind the other.
    fn stores(from: usize, step: usize, count: usize) -> String {
        (0..count).map(|place| format!("store.i8.plain [%1 + {place}], %{}\n", from + step * place)).collect()
    }

    /// `s1` and `s2` are in %0 and %1, %2 is the first free value.
    fn parse(ops: &str) -> Block {
        let text = format!(
            "block 0x1000 {{\n bytes 00000000\n @0..4\n %0 = get.i64 s1\n %1 = get.i64 s2\n {ops}\n jump 0x1004\n}}\n"
        );
        text::parse(&text, text::Names::NONE).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Each access of a word: `l` or `s`, its bytes, `r` if they are in the other order.
    fn found(block: &Block, kept: &SlotSet) -> String {
        let words = Words::of(block, AtFaults::Incomplete, kept);
        let mut found = Vec::new();
        for at in 0..block.insts.len() {
            match words.role(at) {
                Role::Gives(word, above) => {
                    let above = if above == Above::Signs { "signed" } else { "" };
                    found.push(format!("l{}{}{above}", word.len, if word.is_swapped { "r" } else { "" }));
                }
                Role::Stores(number) if words.stores[number].0.last() == Some(&at) => {
                    let word = words.stores[number].1;
                    found.push(format!("s{}{}", word.len, if word.is_swapped { "r" } else { "" }));
                }
                Role::None | Role::Loads(..) | Role::Stores(_) => {}
            }
        }
        found.join(" ")
    }

    #[test]
    fn words_are_found_where_nothing_comes_between_their_bytes() {
        let up = [0, 1, 2, 3, 4, 5, 6, 7];
        let down = [7, 6, 5, 4, 3, 2, 1, 0];
        let set = "set.i64 s3, %";
        let part = |from: usize| {
            let each = (0..8).map(|place| {
                let at = from + 3 * place;
                format!(
                    "%{at} = const.i64 {}\n%{} = shr_u.i64 %0, %{at}\n%{} = truncate.i64.i8 %{}\n",
                    8 * place,
                    at + 1,
                    at + 2,
                    at + 1
                )
            });
            each.collect::<String>()
        };
        let interrupted = |by: &str| loads(2, &up[..2]) + by + &loads(6, &up[2..4]) + &joins(30, 3, 4) + set + "38";
        for (ops, words) in [
            // Put together in either order, of eight and of four, with the sign above.
            (loads(2, &up) + &joins(30, 3, 8) + set + "50", "l8"),
            (loads(2, &down) + &joins(30, 3, 8) + set + "50", "l8r"),
            (loads(2, &up[..4]) + &joins(30, 3, 4) + set + "38", "l4"),
            (
                loads(2, &down[4..])
                    + &joins(30, 3, 4)
                    + "%40 = truncate.i64.i32 %38\n%41 = sign_extend.i32.i64 %40\n"
                    + set
                    + "41",
                "l4r l4r l4rsigned",
            ),
            // Copied, more than a word too, and one byte too few.
            (loads(2, &up) + &stores(2, 2, 8), "s8"),
            (loads(2, &down) + &stores(2, 2, 8), "s8r"),
            (loads(2, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) + &stores(2, 2, 12), "s8 s4"),
            (loads(2, &up[..3]) + &stores(2, 2, 3), ""),
            // Of a word in a register.
            (part(2) + &stores(4, 3, 8), "s8"),
            (part(2) + &stores(4, 3, 4), "s4"),
            // Bytes with a gap, twice, or of two bases.
            (loads(2, &[0, 1, 2, 4]) + &joins(30, 3, 4) + set + "38", ""),
            (loads(2, &[0, 1, 1, 2]) + &joins(30, 3, 4) + set + "38", ""),
            (
                loads(2, &up[..3])
                    + "%8 = load.i8.plain [%1 + 3]\n%9 = zero_extend.i8.i64 %8\n"
                    + &joins(30, 3, 4)
                    + set
                    + "38",
                "",
            ),
            // Loads of the same bytes, or of some that may be, and of others between them.
            (interrupted("%20 = load.i32.plain [%0 + 1]\n"), ""),
            (interrupted("%20 = load.i32.plain [%1 + 8]\n"), ""),
            (interrupted("%20 = load.i32.plain [%0 + 4]\n"), "l4"),
            // What stores, orders or leaves between them.
            (interrupted("store.i64.plain [%1], %0\n"), ""),
            (interrupted("fence.full\n"), ""),
            ("%40 = eq.i64 %0, %1\n".to_owned() + &interrupted("exit_if %40, 0x2000\n"), ""),
            (
                part(2)
                    + &stores(4, 3, 2)
                    + "%40 = load.i8.plain [%0]\nstore.i8.plain [%1 + 2], %10\nstore.i8.plain [%1 + 3], %13\n",
                "",
            ),
        ] {
            assert_eq!(found(&parse(&ops), &SlotSet::default()), words, "{ops}");
        }
    }

    #[test]
    fn bytes_that_are_needed_apart_are_loaded_apart() {
        let set = |count: usize| (0..count).map(|place| format!("set.i64 s{}, %{}\n", 3 + place, 3 + 2 * place));
        for (count, words) in [(0, "s8"), (4, "s8"), (5, ""), (8, "")] {
            let ops = loads(2, &[0, 1, 2, 3, 4, 5, 6, 7]) + &set(count).collect::<String>() + &stores(2, 2, 8);
            assert_eq!(found(&parse(&ops), &SlotSet::all()), words, "{ops}");
            // Where the registers are not needed, nor are the bytes.
            assert_eq!(found(&parse(&ops), &SlotSet::default()), "s8", "{ops}");
        }
    }
}
