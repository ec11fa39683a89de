//! What is left of the slab allocator under `--cfg loom`: the parts that threads meet in, whose models run there.
#![allow(dead_code, reason = "the models use a part of it")]

mod depot;
#[allow(unsafe_code)] // The content of a lock.
mod lock;
mod sync;
