//! Guest instruction sets and the pipeline that turns guest bytes into IR blocks.
//!
//! A guest is a folder of tables: each instruction is one row with its encoding as a bit picture ([`pattern`]), its
//! text and its lifter, and decoder, encoder and disassembler are made from the same row ([`table`]). Nothing here
//! executes a guest or touches a host.
#![forbid(unsafe_code)]

pub mod cache;
pub mod guest;
pub mod lift;
pub mod pattern;
pub mod pipeline;
pub mod registry;
#[cfg(feature = "riscv64")]
pub mod riscv64;
pub mod table;

pub use cache::{CacheLimits, CacheStats, Translated, TranslationCacheKey, TranslationResultCache, TranslationTarget};
pub use guest::{ExtensionInfo, Extensions, Guest, Length};
pub use lift::{Flow, Lift, Lifter};
pub use pattern::{Fields, Pattern};
pub use pipeline::{MAX_INSTRUCTIONS, PipelineError, TranslationOptions, TranslationPipeline, TranslationStats};
pub use table::{DecodeError, Decoded, EncodeError, Group, Row, Table, Tree, row};

/// The examples of the crate's README, as tests; they are about riscv64.
#[cfg(all(doctest, feature = "riscv64"))]
#[doc = include_str!("../README.md")]
struct Readme;
