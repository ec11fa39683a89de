//! What integer registers hold of the guest's state, in a block and from one block to the next.
//!
//! The state in memory is always complete, so that a register that holds what a slot does only saves the slot's next reader a
//! load. A block to which several lead may rely on what all of them agree on. Who comes from outside the region brings
//! nothing, and loads what is relied on first; the head of a loop, which is entered by the same way from both sides, relies on
//! nothing.

use super::asm::Gpr;

/// For each integer register the offset of the slot, from the frame, whose content it holds as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Residents {
    homes: [Option<i32>; 16],
    /// Registers that have not changed since the block began.
    inherited: u16,
    /// Of what registers held when the block began, what was used.
    relied_on: u16,
}

impl Residents {
    /// The same, as a block that follows begins with it.
    pub(super) fn inherited(self) -> Self {
        Self { inherited: u16::MAX, relied_on: 0, ..self }
    }

    /// Keeps what `other` holds too: control comes from there as well.
    pub(super) fn meet(&mut self, other: &Self) {
        for (home, other) in self.homes.iter_mut().zip(&other.homes) {
            *home = home.filter(|_| home == other);
        }
    }

    /// Says that `register` holds what the slot at `home` does.
    pub(super) fn note(&mut self, register: Gpr, home: i32) {
        self.forget(register);
        self.homes[usize::from(register)] = Some(home);
    }

    /// Says that `register` holds something else from now on.
    pub(super) fn forget(&mut self, register: Gpr) {
        self.homes[usize::from(register)] = None;
        self.inherited &= !(1 << register);
    }

    /// Says that the slot at `home` holds something else from now on.
    pub(super) fn forget_home(&mut self, home: i32) {
        for register in 0..16 {
            if self.homes[usize::from(register)] == Some(home) {
                self.forget(register);
            }
        }
    }

    /// The slot whose content `register` holds.
    pub(super) fn home(&self, register: Gpr) -> Option<i32> {
        self.homes[usize::from(register)]
    }

    /// Whether `register` holds what a slot does.
    pub(super) fn holds(&self, register: Gpr) -> bool {
        self.home(register).is_some()
    }

    /// The register that holds what the slot at `home` does; the code relies on it from now on.
    pub(super) fn find(&mut self, home: i32) -> Option<Gpr> {
        let register = self.homes.iter().position(|held| *held == Some(home))?;
        self.relied_on |= self.inherited & 1 << register;
        Some(register as Gpr)
    }

    /// A block that follows relies on these registers. Of those that have not changed since this one began, so does it.
    pub(super) fn rely_on(&mut self, registers: u16) {
        self.relied_on |= self.inherited & registers;
    }

    /// The registers whose content at the block's beginning was used, in it or behind it.
    pub(super) fn relied_on(&self) -> u16 {
        self.relied_on
    }

    /// Of `registers`, those that hold a slot, with its offset.
    pub(super) fn among(&self, registers: u16) -> impl Iterator<Item = (Gpr, i32)> {
        let homes = self.homes;
        (0..16).filter_map(move |register| {
            let home = homes[usize::from(register)].filter(|_| registers >> register & 1 == 1)?;
            Some((register, home))
        })
    }
}
