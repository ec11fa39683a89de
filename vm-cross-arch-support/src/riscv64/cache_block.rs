//! Cache-block management and zeroing, as far as user mode has them. A block is [`CACHE_BLOCK_SIZE`] bytes.

use vm_ir::Order;

use super::{CACHE_BLOCK_SIZE, Registers};
use crate::lift::{Flow, Lift};
use crate::pattern::Fields;
use crate::table::{Row, row};

const MANUAL: &str = "\"CMO\" Extensions for Base Cache Management Operation ISA, Cache-Block Management Instructions";
const ZERO: &str = "\"CMO\" Extensions for Base Cache Management Operation ISA, Cache-Block Zero Instructions";

pub(super) const ZICBOM: &[Row] = &[
    row("cbo.inval", "000000000000 aaaaa 010 00000 0001111", "(xa)", MANUAL, manage),
    row("cbo.clean", "000000000001 aaaaa 010 00000 0001111", "(xa)", MANUAL, manage),
    row("cbo.flush", "000000000010 aaaaa 010 00000 0001111", "(xa)", MANUAL, manage),
];

pub(super) const ZICBOZ: &[Row] = &[row("cbo.zero", "000000000100 aaaaa 010 00000 0001111", "(xa)", ZERO, zero)];

/// `CBO.{INVAL,CLEAN,FLUSH} (rs1)`: memory is always coherent here, so there is nothing to do.
fn manage(_: &mut Lift, _: Fields) -> Flow {
    Flow::Next
}

/// `CBO.ZERO (rs1)`: zeros the block that holds the address. The manual does not promise that it happens at once.
fn zero(cx: &mut Lift, f: Fields) -> Flow {
    let addr = cx.x(f.a());
    let mask = cx.ir.i64(-(CACHE_BLOCK_SIZE as i64));
    let block = cx.ir.and(addr, mask);
    let zero = cx.ir.i64(0);
    for offset in (0..CACHE_BLOCK_SIZE as i64).step_by(8) {
        cx.ir.store(block, offset, zero, Order::Plain);
    }
    Flow::Next
}
