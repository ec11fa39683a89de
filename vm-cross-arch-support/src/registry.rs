//! The guests of this build: one row a guest.

use vm_core::GuestArch;

use crate::guest::Guest;

/// The guests that this build translates, in the order of [`GuestArch::ALL`].
pub static GUESTS: &[&dyn Guest] = &[
    #[cfg(feature = "riscv64")]
    &crate::riscv64::Riscv64,
];

/// The guest for `arch`; `None` if this build does not translate it.
#[must_use]
pub fn guest(arch: GuestArch) -> Option<&'static dyn Guest> {
    GUESTS.iter().copied().find(|guest| guest.arch() == arch)
}
