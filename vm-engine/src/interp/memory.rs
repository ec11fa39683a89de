//! Guest memory as tier 0 reaches it.

use vm_core::{GuestAddr, GuestMemory, MemFault};
use vm_ir::{RmwOp, Type, eval};

/// Guest memory behind typed little-endian accesses.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    guest: &'a dyn GuestMemory,
}

impl<'a> Memory<'a> {
    pub(crate) fn new(guest: &'a dyn GuestMemory) -> Self {
        Self { guest }
    }

    /// Reads `N` bytes, at most 8, zero-extended.
    #[inline]
    pub(super) fn load<const N: usize>(self, addr: u64) -> Result<u64, MemFault> {
        let mut bytes = [0; 8];
        self.guest.read(GuestAddr::new(addr), &mut bytes[..N])?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes the low `N` bytes, at most 8, of `value`.
    #[inline]
    pub(super) fn store<const N: usize>(self, addr: u64, value: u64) -> Result<(), MemFault> {
        self.guest.write(GuestAddr::new(addr), &value.to_le_bytes()[..N])
    }

    pub(super) fn load128(self, addr: u64) -> Result<u128, MemFault> {
        let mut bytes = [0; 16];
        self.guest.read(GuestAddr::new(addr), &mut bytes)?;
        Ok(u128::from_le_bytes(bytes))
    }

    pub(super) fn store128(self, addr: u64, value: u128) -> Result<(), MemFault> {
        self.guest.write(GuestAddr::new(addr), &value.to_le_bytes())
    }

    /// Replaces `expected` by `new`, both of `ty`; gives what was there.
    pub(super) fn compare_exchange(self, addr: u64, ty: Type, expected: u128, new: u128) -> Result<u128, MemFault> {
        self.guest.compare_exchange(GuestAddr::new(addr), ty.bytes(), expected, new)
    }

    /// Combines what is at `addr` with `operand` in one step; gives what was there.
    pub(super) fn rmw(self, op: RmwOp, ty: Type, addr: u64, operand: u64) -> Result<u64, MemFault> {
        // The first guess costs an exchange of zero for zero when it is wrong, and faults as a write does.
        let mut old = 0;
        loop {
            let new = eval::rmw(op, ty, old, operand);
            let found = self.compare_exchange(addr, ty, u128::from(old), u128::from(new))? as u64;
            if found == old {
                return Ok(old);
            }
            old = found;
        }
    }
}
