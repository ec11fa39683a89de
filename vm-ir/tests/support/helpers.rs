//! Helpers for random blocks to call: one of each effect.

use vm_core::{CpuState, Slot};
use vm_ir::{Helper, HelperEffect, HelperFn};

extern "C" fn mix(a: u64, b: u64, c: u64) -> u64 {
    a ^ b.rotate_left(7) ^ c.rotate_left(23)
}

/// Reads and writes two slots.
extern "C" fn swap(state: &mut CpuState, a: u64, _: u64, _: u64) -> u64 {
    let old = state.get(Slot::new(1));
    state.set(Slot::new(1), state.get(Slot::new(2)).wrapping_add(a));
    state.set(Slot::new(2), old);
    old
}

pub(crate) const HELPERS: &[Helper] = &[
    Helper { name: "mix", args: 3, effect: HelperEffect::Pure, function: HelperFn::Values(mix) },
    Helper { name: "clock", args: 1, effect: HelperEffect::Volatile, function: HelperFn::Values(mix) },
    Helper { name: "swap", args: 1, effect: HelperEffect::State, function: HelperFn::State(swap) },
];
