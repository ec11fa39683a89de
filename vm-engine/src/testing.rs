//! What the tests of this crate share: memory of an embedder's own and blocks built by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use vm_core::{Access, BlockKey, GuestAddr, GuestMemory, MemFault, Slot, TrapKind};
use vm_ir::{Block, BlockSource, Effort, End, Helper, IrBuilder, SlotInfo, Target};

/// One readable, writable and executable stretch of memory behind a lock.
pub(crate) struct VecMemory {
    start: u64,
    bytes: Mutex<Vec<u8>>,
}

impl VecMemory {
    pub(crate) fn new(start: u64, len: usize) -> Arc<Self> {
        Arc::new(Self { start, bytes: Mutex::new(vec![0; len]) })
    }

    fn with<R>(
        &self,
        addr: GuestAddr,
        len: usize,
        access: Access,
        f: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, MemFault> {
        let mut bytes = self.bytes.lock().unwrap();
        let fault = |addr| MemFault::Unmapped { addr, access };
        let start = addr.get().checked_sub(self.start).ok_or(fault(addr))? as usize;
        let end = start.checked_add(len).ok_or(fault(addr))?;
        if end > bytes.len() {
            return Err(fault(GuestAddr::new(addr.get().max(self.start + bytes.len() as u64))));
        }
        Ok(f(&mut bytes[start..end]))
    }
}

impl GuestMemory for VecMemory {
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault> {
        let end = self.start + self.bytes.lock().unwrap().len() as u64;
        let len = buf.len().min(end.saturating_sub(addr.get()) as usize);
        self.with(addr, len.max(1), Access::Execute, |bytes| buf[..len].copy_from_slice(&bytes[..len]))?;
        Ok(len)
    }

    fn read(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<(), MemFault> {
        self.with(addr, buf.len(), Access::Read, |bytes| buf.copy_from_slice(bytes))
    }

    fn write(&self, addr: GuestAddr, bytes: &[u8]) -> Result<(), MemFault> {
        self.with(addr, bytes.len(), Access::Write, |to| to.copy_from_slice(bytes))
    }

    fn compare_exchange(&self, addr: GuestAddr, size: usize, expected: u128, new: u128) -> Result<u128, MemFault> {
        self.with(addr, size, Access::Write, |bytes| {
            let mut old = [0; 16];
            old[..size].copy_from_slice(bytes);
            let old = u128::from_le_bytes(old);
            if old == expected {
                bytes.copy_from_slice(&new.to_le_bytes()[..size]);
            }
            old
        })
    }
}

/// Builds the ops of a block and gives its end.
pub(crate) type Body = Arc<dyn Fn(&mut IrBuilder, &[u8]) -> End + Send + Sync>;

/// Blocks of one kind of guest: each is `len` bytes of memory at its address, and means what its body says of them.
#[derive(Default)]
pub(crate) struct Blocks {
    bodies: HashMap<u64, (u16, Body)>,
    pub(crate) translations: Mutex<u64>,
}

impl Blocks {
    /// Adds a block of `len` bytes.
    pub(crate) fn at(
        mut self,
        pc: u64,
        len: u16,
        body: impl Fn(&mut IrBuilder, &[u8]) -> End + Send + Sync + 'static,
    ) -> Self {
        self.bodies.insert(pc, (len, Arc::new(body)));
        self
    }
}

impl BlockSource for Blocks {
    fn translate(&self, key: BlockKey, memory: &dyn GuestMemory, _effort: Effort) -> Arc<Block> {
        *self.translations.lock().unwrap() += 1;
        let mut ir = IrBuilder::new(key);
        let Some((len, body)) = self.bodies.get(&key.pc.get()) else {
            ir.mark(0, 4);
            return Arc::new(
                ir.finish(End::Trap { kind: TrapKind::FetchUnmapped, at: Target(0), addr: Target(0) }, &[]),
            );
        };
        let mut bytes = vec![0; usize::from(*len)];
        let got = memory.fetch(key.pc, &mut bytes).unwrap_or(0);
        bytes.truncate(got);
        let end = body(&mut ir, &bytes);
        Arc::new(ir.finish(end, &bytes))
    }

    fn helpers(&self) -> &'static [Helper] {
        &[]
    }

    fn slots(&self) -> &'static [SlotInfo] {
        &[]
    }
}

/// Slot `n`.
pub(crate) fn s(n: u16) -> Slot {
    Slot::new(n)
}
