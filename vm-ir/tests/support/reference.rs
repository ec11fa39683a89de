//! What a block does that the world outside it can see.

use std::collections::BTreeMap;
use std::sync::Mutex;

use vm_core::{CpuState, GuestAddr, GuestMemory, MemFault};
use vm_ir::arbitrary::{Draw, HELPERS, SLOTS};
use vm_ir::reference::{self, Act, Left};
use vm_ir::{Block, Effect, HelperEffect, Op, Type};

/// Something that the world sees, and what it can see then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// An access to memory: op, attribute, address, and the values given.
    Access(Op, u8, GuestAddr, [u128; 2], CpuState),
    /// A fence, or a clock that is read; they do not look at registers.
    Blind(Op, u8, [u128; 3]),
    /// A helper that works on the state.
    Call([u128; 3], CpuState),
    /// The way out.
    Left(Left, CpuState),
}

/// What `block` does, from registers and memory that `seed` fills.
pub(crate) fn run(block: &Block, seed: u64) -> Vec<Event> {
    let mut state = CpuState::new();
    state.set_mode(block.key.mode);
    state.set_fp_flags(Draw::new(seed).bits());
    for info in SLOTS {
        let mut draw = Draw::new(seed ^ info.slot.index() as u64);
        match info.ty {
            Type::V128 => state.set128(info.slot, u128::from(draw.bits()) << 64 | u128::from(draw.bits())),
            _ => state.set(info.slot, draw.value(info.ty)),
        }
    }
    let memory = Fresh { seed, bytes: Mutex::default() };
    let mut events = Vec::new();
    let ran = reference::run(block, HELPERS, &mut state, &memory, &mut |act| events.extend(event(&act)));
    // Scratch words are nobody's.
    events.push(Event::Left(ran.left, state));
    events
}

fn event(act: &Act<'_>) -> Option<Event> {
    let Act { inst, args, state } = *act;
    match inst.op.effect() {
        Effect::Leaves => None,
        Effect::Orders => Some(Event::Blind(inst.op, inst.attr, args)),
        Effect::Calls => match HELPERS[inst.imm as usize].effect {
            HelperEffect::Pure => None,
            HelperEffect::Volatile => Some(Event::Blind(inst.op, inst.attr, args)),
            HelperEffect::State => {
                // The program counter is not among what a helper may look at.
                let mut state = state.clone();
                state.set_pc(GuestAddr::new(0));
                Some(Event::Call(args, state))
            }
        },
        _ => {
            let addr = GuestAddr::new(args[0] as u64).offset(inst.imm);
            Some(Event::Access(inst.op, inst.attr, addr, [args[1], args[2]], state.clone()))
        }
    }
}

/// Memory everywhere, filled by a seed.
struct Fresh {
    seed: u64,
    bytes: Mutex<BTreeMap<u64, u8>>,
}

impl GuestMemory for Fresh {
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault> {
        self.read(addr, buf).map(|()| buf.len())
    }

    fn read(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<(), MemFault> {
        let bytes = self.bytes.lock().unwrap();
        for (offset, to) in buf.iter_mut().enumerate() {
            let addr = addr.offset(offset as i64).get();
            *to = bytes.get(&addr).copied().unwrap_or_else(|| Draw::new(self.seed ^ addr).bits() as u8);
        }
        Ok(())
    }

    fn write(&self, addr: GuestAddr, from: &[u8]) -> Result<(), MemFault> {
        let places = (0..).map(|offset| addr.offset(offset).get());
        self.bytes.lock().unwrap().extend(places.zip(from.iter().copied()));
        Ok(())
    }

    fn compare_exchange(&self, addr: GuestAddr, size: usize, expected: u128, new: u128) -> Result<u128, MemFault> {
        let mut old = [0; 16];
        self.read(addr, &mut old[..size])?;
        let old = u128::from_le_bytes(old);
        if old == expected {
            self.write(addr, &new.to_le_bytes()[..size])?;
        }
        Ok(old)
    }
}
