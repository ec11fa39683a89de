//! Random programs that read the sticky flags into slots and do not, or do, look at these: compiled regions, which work them
//! out late, against the interpreter.

use vm_core::Slot;
use vm_ir::arbitrary::SLOTS;
use vm_ir::{FpAttr, Order, Target, Type};
use vm_mem::Placement;

use super::agree::{CODE, MEMORY_LEN, Memory, Random, agree_on};
use super::singles::{Draw, agree};
use super::*;
use crate::config::Exact;
use crate::region::AtFaults;

/// One of two slots that flags are written to, the fifth and the sixth word: others choose where blocks go on.
fn flags_slot(draw: &mut Draw<'_>) -> Slot {
    let place = 4 + draw.below(2) as usize;
    SLOTS.iter().filter(|info| info.ty == Type::I64).nth(place).expect("there are more").slot
}

fn op(draw: &mut Draw<'_>) {
    match draw.below(16) {
        0..4 => {
            let (flags, slot) = (draw.ir.fp_flags_get(), flags_slot(draw));
            draw.ir.set(slot, flags);
        }
        4..7 => {
            let (a, b) = (draw.double(), draw.double());
            let quotient = draw.ir.fdiv(a, b, FpAttr::DEFAULT);
            draw.set_double(quotient);
        }
        7..9 => {
            let (a, b) = (draw.double(), draw.double());
            let product = draw.ir.fmul(a, b, FpAttr::DEFAULT);
            draw.set_double(product);
        }
        9 => {
            let number = draw.below(1 << 40) as i64;
            let (number, slot) = (draw.ir.i64(number), flags_slot(draw));
            draw.ir.set(slot, number);
        }
        10 => {
            // Rarely, since a slot that is read has its value at once.
            let (from, to) = (flags_slot(draw), draw.slot(Type::I64));
            if draw.below(8) == 0 {
                let flags = draw.ir.get(from, Type::I64);
                draw.ir.set(to, flags);
            }
        }
        11 => {
            let kept = draw.below(32) as i64;
            let kept = draw.ir.i64(kept);
            draw.ir.fp_flags_set(kept);
        }
        12..14 => {
            // Some accesses fault.
            let beyond = if draw.below(8) == 0 { MEMORY_LEN as i64 } else { 0 };
            let address = draw.address();
            let loaded = draw.ir.load(Type::I64, address, beyond, Order::Plain);
            let slot = draw.slot(Type::I64);
            draw.ir.set(slot, loaded);
        }
        14 => {
            let number = draw.below(4) as i64;
            let (number, slot) = (draw.ir.i64(number), draw.slot(Type::I64));
            draw.ir.set(slot, number);
        }
        _ => {
            let (address, double) = (draw.address(), draw.double());
            draw.ir.store(address, 0, double, Order::Plain);
        }
    }
}

#[test]
fn flags_are_known_wherever_a_region_is_left() {
    agree(0xe0_0000, Exact::Pc, op);
}

#[test]
fn flags_are_known_where_an_access_faults() {
    agree(0xf0_0000, Exact::Registers, op);
}

/// A slot that holds flags is written otherwise between two loads, of which the first or the second faults.
#[test]
fn flags_that_are_replaced_are_kept_for_a_fault() {
    crate::fault::install().unwrap();
    let memory = Memory::new(Placement::Direct, 0xa8_0000);
    let words: Vec<_> = SLOTS.iter().filter(|info| info.ty == Type::I64).map(|info| info.slot).collect();
    for faulting in [None, Some(0), Some(1)] {
        let mut ir = IrBuilder::new(key(CODE));
        ir.mark(0, 4);
        let (one, three) = (ir.i64(1), ir.i64(3));
        let (one, three) = (ir.bitcast(one, Type::F64), ir.bitcast(three, Type::F64));
        let third = ir.fdiv(one, three, FpAttr::DEFAULT);
        let third = ir.bitcast(third, Type::I64);
        for slot in &words[4..12] {
            ir.set(*slot, third);
        }
        ir.mark(4, 4);
        let flags = ir.fp_flags_get();
        ir.set(words[0], flags);
        for access in 0..2 {
            ir.mark(8 + 8 * access, 4);
            let beyond = if faulting == Some(access) { MEMORY_LEN as i64 } else { 0 };
            let address = ir.i64(memory.start.get() as i64 + beyond);
            let loaded = ir.load(Type::I64, address, 0, Order::Plain);
            ir.set(words[1 + usize::from(access)], loaded);
            ir.mark(12 + 8 * access, 4);
            let number = ir.i64(77);
            ir.set(words[0], number);
        }
        let block = Arc::new(ir.finish(End::Syscall { next: Target(24) }, &[0; 24]));
        let options = CompileOptions { faults: Exact::Registers, ..CompileOptions::default() };
        assert_eq!(AtFaults::of(&block, &options, true, false), AtFaults::Replayed);
        agree_on(&memory, &[block], options, Random(1), &format!("fault of {faulting:?}"));
    }
}
