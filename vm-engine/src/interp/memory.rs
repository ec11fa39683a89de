//! Guest memory as tier 0 reaches it: directly where it is flat, by calls elsewhere.

use vm_core::{Access, GuestAddr, GuestMemory, MemFault};
use vm_ir::{RmwOp, Type, eval};

use crate::fault;
use crate::flat::{Flat, Window};
use crate::hostfp;

/// Guest memory behind typed little-endian accesses.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    guest: &'a dyn GuestMemory,
    flat: Option<Flat>,
}

/// The type of `bytes` bytes.
const fn integer(bytes: usize) -> Type {
    match bytes {
        1 => Type::I8,
        2 => Type::I16,
        4 => Type::I32,
        _ => Type::I64,
    }
}

impl<'a> Memory<'a> {
    /// `guest`, directly if it is flat. The handlers of [`fault`] are in place: every engine installs them.
    pub(crate) fn new(guest: &'a dyn GuestMemory) -> Self {
        Self { guest, flat: guest.flat().and_then(Flat::new) }
    }

    /// What one host instruction reaches of it.
    pub(super) fn window(&self) -> Window {
        self.flat.map_or(Window::SHUT, Flat::window)
    }

    /// Runs `direct` on flat memory until it succeeds or its fault is explained; without flat memory runs `call`.
    #[inline(always)]
    fn access<R>(
        self,
        access: Access,
        direct: impl Fn(Flat) -> Result<R, u64>,
        call: impl FnOnce(&dyn GuestMemory) -> Result<R, MemFault>,
    ) -> Result<R, MemFault> {
        let Some(flat) = self.flat else {
            // The embedder's code may raise floating-point flags of its own.
            return hostfp::suspend(|| call(self.guest));
        };
        loop {
            match direct(flat) {
                Ok(value) => return Ok(value),
                Err(addr) => self.explain(addr, access)?,
            }
        }
    }

    /// The fault of the byte at `addr`. Success if there is none any more: somebody has mapped it meanwhile.
    #[cold]
    fn explain(self, addr: u64, access: Access) -> Result<(), MemFault> {
        hostfp::suspend(|| fault::explain(self.guest, GuestAddr::new(addr), access)).map_or(Ok(()), Err)
    }

    /// Reads `N` bytes, at most 8, zero-extended.
    #[inline(always)]
    pub(super) fn load<const N: usize>(self, addr: u64) -> Result<u64, MemFault> {
        self.access(
            Access::Read,
            |flat| flat.load(integer(N), addr),
            |guest| {
                let mut bytes = [0; 8];
                guest.read(GuestAddr::new(addr), &mut bytes[..N])?;
                Ok(u64::from_le_bytes(bytes))
            },
        )
    }

    /// Writes the low `N` bytes, at most 8, of `value`.
    #[inline(always)]
    pub(super) fn store<const N: usize>(self, addr: u64, value: u64) -> Result<(), MemFault> {
        self.access(
            Access::Write,
            |flat| flat.store(integer(N), addr, value),
            |guest| guest.write(GuestAddr::new(addr), &value.to_le_bytes()[..N]),
        )
    }

    pub(super) fn load128(self, addr: u64) -> Result<u128, MemFault> {
        self.access(
            Access::Read,
            |flat| flat.load_u128(addr),
            |guest| {
                let mut bytes = [0; 16];
                guest.read(GuestAddr::new(addr), &mut bytes)?;
                Ok(u128::from_le_bytes(bytes))
            },
        )
    }

    pub(super) fn store128(self, addr: u64, value: u128) -> Result<(), MemFault> {
        self.access(
            Access::Write,
            |flat| flat.store_u128(addr, value),
            |guest| guest.write(GuestAddr::new(addr), &value.to_le_bytes()),
        )
    }

    /// Replaces `expected` by `new`, both of `ty`; gives what was there.
    pub(super) fn compare_exchange(self, addr: u64, ty: Type, expected: u128, new: u128) -> Result<u128, MemFault> {
        self.access(
            Access::Write,
            |flat| match ty {
                Type::V128 => flat.cas_u128(addr, expected, new),
                Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::F16 | Type::F32 | Type::F64 => {
                    flat.cas(ty, addr, expected as u64, new as u64).map(u128::from)
                }
            },
            |guest| guest.compare_exchange(GuestAddr::new(addr), ty.bytes(), expected, new),
        )
    }

    /// Combines what is at `addr` with `operand` in one step; gives what was there.
    pub(super) fn rmw(self, op: RmwOp, ty: Type, addr: u64, operand: u64) -> Result<u64, MemFault> {
        self.access(
            Access::Write,
            |flat| flat.rmw(op, ty, addr, operand),
            |guest| {
                // The first guess costs an exchange of zero for zero when it is wrong, and faults as a write does.
                let mut old = 0;
                loop {
                    let new = u128::from(eval::rmw(op, ty, old, operand));
                    let found = guest.compare_exchange(GuestAddr::new(addr), ty.bytes(), old.into(), new)? as u64;
                    if found == old {
                        return Ok(old);
                    }
                    old = found;
                }
            },
        )
    }
}
