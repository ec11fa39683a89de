//! [`StableHasher`] and [`content_hash`]: hashes that are the same in every process.

use crate::block::{Block, End, Inst};

/// FNV-1a in its 128-bit form (RFC 9923, "FNV-1a"), fed in little-endian order whatever the host.
///
/// The hash finds; it does not decide. Whoever looks something up by it compares what the hash was made of.
#[derive(Clone, Copy, Debug)]
pub struct StableHasher(u128);

impl StableHasher {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    /// The hash of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Self::OFFSET_BASIS)
    }

    /// Adds bytes. Lengths are the caller's to add where pieces of varying length follow each other.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(Self::PRIME);
        }
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// The hash of what was added.
    #[must_use]
    pub const fn finish(self) -> u128 {
        self.0
    }
}

impl Default for StableHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Hash of everything in `block` but its address: blocks that differ only in where they lie have one hash.
///
/// Equal in every process built from the same table of ops; a change of the table may change it.
#[must_use]
pub fn content_hash(block: &Block) -> u128 {
    let Block { key, bytes, insts, marks, end } = block;
    let mut hash = StableHasher::new();
    hash.number(u64::from(key.mode.bits()));
    hash.number(bytes.len() as u64);
    hash.bytes(bytes);
    hash.number(marks.len() as u64);
    for mark in marks {
        hash.number(u64::from(mark.first) | u64::from(mark.offset) << 32 | u64::from(mark.len) << 48);
    }
    hash.number(insts.len() as u64);
    for inst in insts {
        let Inst { op, ty, from, attr, args, imm } = *inst;
        hash.bytes(&[op as u8, ty as u8, from as u8, attr]);
        args.iter().for_each(|arg| hash.bytes(&(arg.index() as u32).to_le_bytes()));
        hash.bytes(&imm.to_le_bytes());
    }
    // Each kind of end has its own number, so that ends with equal fields differ.
    let (kind, fields) = match *end {
        End::Jump { target } => (0, [target.0, 0, 0]),
        End::Branch { cond, taken, fall } => (1, [cond.index() as i64, taken.0, fall.0]),
        End::Call { target, ret } => (2, [target.0, ret.0, 0]),
        End::Indirect { addr } => (3, [addr.index() as i64, 0, 0]),
        End::IndirectCall { addr, ret } => (4, [addr.index() as i64, ret.0, 0]),
        End::Return { addr } => (5, [addr.index() as i64, 0, 0]),
        End::Syscall { next } => (6, [next.0, 0, 0]),
        End::Trap { kind, at, addr } => (7, [kind as i64, at.0, addr.0]),
        End::FlushCode { next } => (8, [next.0, 0, 0]),
        End::ModeChange { next } => (9, [next.0, 0, 0]),
    };
    hash.number(kind);
    fields.iter().for_each(|field| hash.bytes(&field.to_le_bytes()));
    hash.finish()
}

#[cfg(test)]
mod tests {
    use vm_core::{BlockKey, GuestAddr, Mode, Slot};

    use super::*;
    use crate::{IrBuilder, Target, Type};

    /// Values of the reference implementation's test vectors for the strings "" and "a", "foobar".
    #[test]
    fn fnv_1a_128() {
        let cases: [(&[u8], u128); 3] = [
            (b"", 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d),
            (b"a", 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964),
            (b"foobar", 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18),
        ];
        for (bytes, expected) in cases {
            let mut hash = StableHasher::new();
            hash.bytes(bytes);
            assert_eq!(hash.finish(), expected);
        }
    }

    fn block(pc: u64, slot: u16, end: End) -> Block {
        let mut ir = IrBuilder::new(BlockKey::new(GuestAddr::new(pc), Mode::default()));
        ir.mark(0, 4);
        let a = ir.get(Slot::new(slot), Type::I64);
        ir.set(Slot::new(1), a);
        ir.finish(end, &[1, 2, 3, 4])
    }

    #[test]
    fn content_without_the_address() {
        let jump = End::Jump { target: Target(4) };
        let hash = content_hash(&block(0x1000, 2, jump));
        assert_eq!(hash, content_hash(&block(0x2000, 2, jump)));
        assert_ne!(hash, content_hash(&block(0x1000, 3, jump)));
        assert_ne!(hash, content_hash(&block(0x1000, 2, End::Syscall { next: Target(4) })));
    }
}
