//! Loads of what narrower stores have just written piece by piece.
//!
//! Compilers for guests that need not load unaligned words copy a word byte by byte to the stack and load it there. A host
//! forwards no such stores: the load waits until all of them are in its cache, 12 cycles and more. So the word is put
//! together from what was stored. The bytes were written a few ops before, so a load of them faults no more. It may have
//! its value from the stores: between the first of them and it there is nothing that orders accesses, between them there is
//! no load, and behind them none that may be of the same bytes, so it could have been made with the first of them (RISC-V
//! unprivileged ISA, RVWMO: the load value axiom; preserved program order, rules 2 and 12, would order it behind such loads).

use cranelift_codegen::ir::{InstBuilder, Value as ClifValue, types};
use vm_ir::{Block, Effect, Inst, Op, Order, Type, Value};

use super::{Emitter, clif_type};

/// Ops before a load among which stores of its bytes are looked for.
const MAX_DISTANCE: usize = 40;

/// What a store has put into a part of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The store's first byte in the word.
    pub(super) place: i64,
    pub(super) value: Value,
}

/// The stores that have written the bytes of the load at `at`, each of them narrower than the load and inside it.
pub(super) fn pieces(block: &Block, at: usize) -> Option<Vec<Piece>> {
    let load = &block.insts[at];
    let size = load.ty.bytes() as i64;
    if !matches!(load.ty, Type::I16 | Type::I32 | Type::I64) || load.order() != Order::Plain {
        return None;
    }
    let mut pieces = Vec::new();
    let mut missing = (1u32 << size) - 1;
    for inst in block.insts[..at].iter().rev().take(MAX_DISTANCE) {
        match inst.op.effect() {
            Effect::Pure | Effect::FpFlags | Effect::ReadsSlot | Effect::WritesSlot | Effect::Leaves => continue,
            // Behind the last store of a piece.
            Effect::Reads if is_beside(inst, load) && pieces.is_empty() => {}
            Effect::Writes if is_beside(inst, load) => {}
            _ => return None,
        }
        let (place, width) = (inst.imm.wrapping_sub(load.imm), inst.ty.bytes() as i64);
        if place >= size || place.wrapping_add(width) <= 0 {
            continue;
        }
        let is_inside = place >= 0 && place + width <= size && width < size;
        let bytes = if is_inside { ((1u32 << width) - 1) << place } else { 0 };
        if !is_inside || missing & bytes != bytes || !is_piece(inst) {
            return None;
        }
        missing &= !bytes;
        pieces.push(Piece { place, value: inst.args[1] });
        if missing == 0 {
            return Some(pieces);
        }
    }
    None
}

/// Whether `inst` stores an integer that is narrower than some word.
fn is_piece(inst: &Inst) -> bool {
    inst.op == Op::Store && matches!(inst.ty, Type::I8 | Type::I16 | Type::I32)
}

/// Whether it can be told which of the bytes of `load` the plain access `inst` is to.
fn is_beside(inst: &Inst, load: &Inst) -> bool {
    matches!(inst.op, Op::Load | Op::Store) && inst.args[0] == load.args[0] && inst.order() == Order::Plain
}

impl Emitter<'_, '_> {
    /// The value of the load at `at` if it can be put together from values that the block has stored.
    pub(super) fn assembled(&mut self, at: usize) -> Option<ClifValue> {
        let pieces = pieces(self.block, at)?;
        let ty = clif_type(self.block.insts[at].ty);
        let wide = if ty == types::I64 { types::I64 } else { types::I32 };
        let mut word = None;
        for Piece { place, value } in pieces {
            let value = self.value(value);
            let value =
                if self.ir.func.dfg.value_type(value) == wide { value } else { self.ir.ins().uextend(wide, value) };
            let value = if place == 0 { value } else { self.ir.ins().ishl_imm_u(value, place * 8) };
            word = Some(word.map_or(value, |word| self.ir.ins().bor(word, value)));
        }
        let word = word?;
        Some(if ty == wide { word } else { self.ir.ins().ireduce(ty, word) })
    }
}

#[cfg(test)]
mod tests {
    use vm_ir::text;

    use super::*;

    /// Ops on the address %0, the last of them a load, and the places of the stores that it is put together from.
    const CASES: &[(&str, &[i64])] = &[
        // Byte by byte, halves, and both, in any order.
        ("store.i8.plain [%0 + 8], %1\nstore.i8.plain [%0 + 9], %1\n%4 = load.i16.plain [%0 + 8]", &[0, 1]),
        ("store.i16.plain [%0 - 2], %2\nstore.i16.plain [%0 - 4], %2\n%4 = load.i32.plain [%0 - 4]", &[0, 2]),
        (
            "store.i8.plain [%0 + 1], %1\nstore.i16.plain [%0 + 2], %2\nstore.i8.plain [%0], %1\n%4 = load.i32.plain [%0]",
            &[0, 1, 2],
        ),
        ("store.i32.plain [%0 + 4], %3\nstore.i32.plain [%0], %3\n%4 = load.i64.plain [%0]", &[0, 4]),
        // Accesses beside the word, and what is no access.
        (
            "store.i8.plain [%0], %1\nstore.i64.plain [%0 + 2], %0\nstore.i8.plain [%0 + 1], %1\n\
             %5 = load.i8.plain [%0 + 2]\nset.i64 s1, %0\n%9 = load.i16.plain [%0]",
            &[0, 1],
        ),
        // Stored at once; a byte that is not stored, stored twice, or with bytes beside the word.
        ("store.i16.plain [%0], %2\n%4 = load.i16.plain [%0]", &[]),
        ("store.i64.plain [%0], %0\n%4 = load.i32.plain [%0]", &[]),
        ("store.i8.plain [%0], %1\n%4 = load.i16.plain [%0]", &[]),
        (
            "store.i8.plain [%0], %1\nstore.i8.plain [%0 + 1], %1\nstore.i8.plain [%0], %1\n%4 = load.i16.plain [%0]",
            &[0, 1],
        ),
        ("store.i16.plain [%0], %2\nstore.i8.plain [%0], %1\n%4 = load.i16.plain [%0]", &[]),
        ("store.i8.plain [%0 + 2], %1\nstore.i16.plain [%0 + 3], %2\n%4 = load.i16.plain [%0 + 2]", &[]),
        // Floats.
        ("%4 = get.f32 s3\nstore.f32.plain [%0], %4\nstore.f32.plain [%0 + 4], %4\n%7 = load.i64.plain [%0]", &[]),
        // Between them a load on which a piece may depend, an access that may be to the same bytes, or one that orders.
        (
            "store.i8.plain [%0], %1\n%5 = load.i8.plain [%0 + 2]\nstore.i8.plain [%0 + 1], %5\n\
             %7 = load.i16.plain [%0]",
            &[],
        ),
        (
            "store.i8.plain [%0], %1\nstore.i8.plain [%0 + 1], %1\n%6 = load.i8.plain [%0 + 1]\n%7 = load.i16.plain [%0]",
            &[],
        ),
        (
            "store.i8.plain [%0], %1\nstore.i8.plain [%0 + 1], %1\n%6 = get.i64 s2\nstore.i8.plain [%6], %1\n\
             %8 = load.i16.plain [%0]",
            &[],
        ),
        (
            "store.i8.plain [%0], %1\nstore.i8.plain [%0 + 1], %1\n%6 = get.i64 s2\n%7 = load.i8.plain [%6]\n\
             %8 = load.i16.plain [%0]",
            &[],
        ),
        ("store.i8.plain [%0], %1\nstore.i8.plain [%0 + 1], %1\nfence.full\n%7 = load.i16.plain [%0]", &[]),
        ("store.i8.plain [%0], %1\nstore.i8.release [%0 + 1], %1\n%6 = load.i16.plain [%0]", &[]),
        ("store.i8.plain [%0], %1\nstore.i8.plain [%0 + 1], %1\n%6 = load.i16.acquire [%0]", &[]),
    ];

    #[test]
    fn loads_are_put_together_only_from_whole_narrower_stores() {
        for (ops, places) in CASES {
            let text = format!(
                "block 0x1000 {{\n bytes 00000000\n @0..4\n %0 = get.i64 s1\n %1 = truncate.i64.i8 %0\n %2 = truncate.i64.i16 %0\n \
                 %3 = truncate.i64.i32 %0\n {ops}\n jump 0x1004\n}}\n"
            );
            let block = text::parse(&text, text::Names::NONE).unwrap_or_else(|error| panic!("{error}\n{text}"));
            let mut found: Vec<_> =
                pieces(&block, block.insts.len() - 1).unwrap_or_default().iter().map(|piece| piece.place).collect();
            found.sort_unstable();
            assert_eq!(found, *places, "{ops}");
        }
    }
}
