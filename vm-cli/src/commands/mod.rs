//! One file a subcommand.

pub(crate) mod completions;
pub(crate) mod disasm;
pub(crate) mod info;
pub(crate) mod ir;
pub(crate) mod run;
pub(crate) mod translate;
