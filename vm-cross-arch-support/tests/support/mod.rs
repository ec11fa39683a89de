//! Guest memory for tests: one mapped range.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::RwLock;

use vm_core::{Access, BlockKey, GuestAddr, GuestMemory, MemFault, Mode};

/// Bytes at one address; nothing else is mapped.
pub(crate) struct Bytes {
    start: u64,
    bytes: RwLock<Vec<u8>>,
}

impl Bytes {
    pub(crate) fn new(start: u64, bytes: &[u8]) -> Self {
        Self { start, bytes: RwLock::new(bytes.to_vec()) }
    }

    /// Instruction words, 32 bits each.
    pub(crate) fn words(start: u64, words: &[u32]) -> Self {
        Self::new(start, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }

    pub(crate) fn poke(&self, addr: u64, bytes: &[u8]) {
        let at = (addr - self.start) as usize;
        self.bytes.write().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Maps `bytes` behind what is mapped.
    pub(crate) fn append(&self, bytes: &[u8]) {
        self.bytes.write().unwrap().extend_from_slice(bytes);
    }
}

impl GuestMemory for Bytes {
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault> {
        let bytes = self.bytes.read().unwrap();
        let at = addr.get().checked_sub(self.start).map(|at| at as usize).filter(|at| *at < bytes.len());
        let at = at.ok_or(MemFault::Unmapped { addr, access: Access::Execute })?;
        let len = buf.len().min(bytes.len() - at);
        buf[..len].copy_from_slice(&bytes[at..at + len]);
        Ok(len)
    }

    fn read(&self, addr: GuestAddr, _: &mut [u8]) -> Result<(), MemFault> {
        Err(MemFault::Unmapped { addr, access: Access::Read })
    }

    fn write(&self, addr: GuestAddr, _: &[u8]) -> Result<(), MemFault> {
        Err(MemFault::Unmapped { addr, access: Access::Write })
    }

    fn compare_exchange(&self, addr: GuestAddr, _: usize, _: u128, _: u128) -> Result<u128, MemFault> {
        Err(MemFault::Unmapped { addr, access: Access::Write })
    }
}

/// A key in mode 0.
pub(crate) fn key(pc: u64) -> BlockKey {
    BlockKey::new(GuestAddr::new(pc), Mode::default())
}
