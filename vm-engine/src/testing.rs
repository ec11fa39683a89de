//! What the tests of this crate share: memory of an embedder's own and blocks built by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use vm_core::{Access, BlockKey, ByteMemory, GuestAddr, GuestMemory, Slot, TrapKind};
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
}

impl ByteMemory for VecMemory {
    fn borrow(&self, addr: GuestAddr, _: Access, use_bytes: &mut dyn FnMut(&mut [u8])) {
        let start = addr.get().wrapping_sub(self.start) as usize;
        use_bytes(self.bytes.lock().unwrap().get_mut(start..).unwrap_or_default());
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
