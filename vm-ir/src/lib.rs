//! The intermediate representation between guest instructions and host code.
//!
//! A [`Block`] is a straight run of ops ([`Inst`]) over typed values and the guest's slots, with one [`End`].
//! The table of ops ([`Op`], [`OpInfo`]) is the only place that declares one; [`eval`] is the only place that says
//! what it computes. Nothing here names a guest or a host.
#![forbid(unsafe_code)]

mod attr;
mod block;
mod builder;
mod hash;
mod helper;
mod ops;
mod source;
mod types;
mod verify;

#[cfg(feature = "testing")]
pub mod arbitrary;
pub mod eval;
pub mod opt;
#[cfg(feature = "testing")]
pub mod reference;
pub mod text;

pub use attr::{AttrKind, FenceKind, FpAttr, MinMaxRule, NanRule, Order, OverflowRule, RmwOp, Rounding};
pub use block::{Block, End, Inst, Mark, Target, Value};
pub use builder::{IrBuilder, Quiet, pack_fp};
pub use hash::{StableHasher, content_hash};
pub use helper::{Helper, HelperEffect, HelperFn};
pub use ops::{Effect, ImmKind, Jit, Op, OpInfo, Sig, VectorFamily};
pub use source::{BlockSource, Effort, HeldSource, SlotInfo};
pub use types::{Type, UnknownType};
pub use verify::{Place, Reason, VerifyError, verify};

/// The examples of the crate's README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
