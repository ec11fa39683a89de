//! The text form of blocks: [`print()`] writes it, [`parse`] reads it back.
//!
//! ```text
//! block 0x1000 {
//!     bytes b3027300
//!     @0..4                      ; a guest instruction: its bytes in the block
//!     %0 = get.i64 x6
//!     %1 = get.i64 x7
//!     %2 = add.i64 %0, %1
//!     set.i64 x5, %2
//!     jump 0x1004
//! }
//! ```
//!
//! An op is its name, then the words that tell it from others of that name: the operand type where it differs from the
//! result's, the type, the attributes. A type is left out where the table permits only one. Targets are addresses,
//! a mode other than zero follows the block's address as `0x1000/3`, and `;` starts a comment. The printer names a value
//! by the index of its op; the parser takes any number, and gives indices.
//!
//! What is printed of a block that [`verify`](crate::verify()) accepts parses to an equal block.

mod parse;
mod print;

pub use parse::{ParseError, ParseReason, parse, parse_all};
pub use print::{Display, print};

use crate::helper::Helper;
use crate::source::SlotInfo;

/// The guest's names of slots and helpers. Without a name a slot is `s6` and a helper `#2`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// The guest's slots.
    pub slots: &'a [SlotInfo],
    /// The guest's helpers.
    pub helpers: &'a [Helper],
}

impl Names<'_> {
    /// No names.
    pub const NONE: Names<'static> = Names { slots: &[], helpers: &[] };
}
