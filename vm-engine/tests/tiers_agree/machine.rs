//! One guest on several tiers, and on the plain evaluator that they are compared with.

use std::collections::BTreeMap;
use std::sync::Arc;

use vm_core::{CpuState, Exit, GuestAddr, GuestMemory, GuestRange, Perms, Trap};
use vm_engine::{Config, Engine, Exact, Vcpu};
use vm_ir::arbitrary::{Draw, HELPERS, Row, SLOTS};
use vm_ir::reference::{self, Left};
use vm_ir::{End, Type};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

use crate::program::{BLOCK_BYTES, DATA_LEN, FUEL, Ground, Header, Source};

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) state: CpuState,
    pub(crate) data: Vec<u8>,
}

impl Outcome {
    /// Whether `self`, of a tier of this exactness, agrees with what the evaluator says.
    fn agrees(&self, expected: &Self, exact: Exact) -> bool {
        let inexact = exact == Exact::Pc && matches!(expected.exit, Exit::Trap(Trap::Memory(_)));
        if inexact {
            let at = |outcome: &Self| (outcome.exit, outcome.state.key(), outcome.data.clone());
            at(self) == at(expected)
        } else {
            self == expected
        }
    }
}

/// One engine and its vCPU.
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    pub(crate) engine: Arc<Engine>,
    vcpu: Vcpu,
    /// Whether runs are interrupted, cut short and invalidated.
    disturbed: bool,
}

/// Guest memory, the tiers that share it, and what was run so far.
pub(crate) struct Machine {
    pub(crate) ground: Ground,
    pub(crate) space: Arc<AddressSpace>,
    source: Arc<Source>,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) coverage: Coverage,
}

/// What the evaluator carried out.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) rows: BTreeMap<Row, u64>,
    pub(crate) ends: BTreeMap<&'static str, u64>,
    pub(crate) exits: BTreeMap<&'static str, u64>,
}

/// What a vCPU starts from.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) state: CpuState,
    pub(crate) data: Vec<u8>,
}

impl Start {
    pub(crate) fn draw(draw: &mut Draw, pc: GuestAddr, fuel: u64) -> Self {
        let mut state = CpuState::new();
        for info in SLOTS {
            match info.ty {
                Type::V128 => state.set128(info.slot, u128::from(draw.bits()) << 64 | u128::from(draw.bits())),
                ty => state.set(info.slot, draw.value(ty)),
            }
        }
        if fuel > 0 {
            state.set(FUEL, fuel);
        }
        state.set_pc(pc);
        state.set_mode(vm_core::Mode::new(draw.below(5) as u32));
        state.set_fp_flags(if draw.one_in(2) { 0 } else { draw.bits() });
        let data = (0..DATA_LEN / 8).flat_map(|_| draw.value(Type::I64).to_le_bytes()).collect();
        Self { state, data }
    }
}

impl Machine {
    /// Memory for `blocks` blocks, and no tiers.
    pub(crate) fn new(placement: Placement, ground: Ground, blocks: u64) -> Self {
        let space = AddressSpace::new(placement).expect("room for guest memory");
        let map = |addr, len: u64, perms| {
            let request = MapRequest::anonymous(len.next_multiple_of(4096), perms).at(Place::FixedNoReplace(addr));
            space.map(request).expect("the place is free");
        };
        map(ground.code, blocks * BLOCK_BYTES, Perms::READ | Perms::WRITE | Perms::EXECUTE);
        map(ground.data, DATA_LEN, Perms::READ | Perms::WRITE);
        let source = Arc::new(Source { ground });
        Self { ground, space: Arc::new(space), source, tiers: Vec::new(), coverage: Coverage::default() }
    }

    pub(crate) fn tier(&mut self, name: &'static str, config: Config, disturbed: bool) {
        let (source, memory) = (Arc::clone(&self.source), Arc::clone(&self.space));
        let engine = Engine::new(source, memory, config).expect("a compiler is there");
        let vcpu = engine.vcpu();
        self.tiers.push(Tier { name, engine, vcpu, disturbed });
    }

    /// Writes a block's header; who has run the block before has to be told.
    pub(crate) fn put(&self, place: u64, header: Header) {
        self.space.write(self.ground.block(place), &header.bytes()).expect("code is writable");
    }

    /// Tells every tier that blocks may have changed: where, or only that.
    pub(crate) fn changed(&self, range: Option<GuestRange>) {
        for tier in &self.tiers {
            match range {
                Some(range) => tier.engine.invalidate(range),
                None => tier.engine.flush_code(),
            }
        }
    }

    fn fill(&self, start: &Start) {
        self.space.write(self.ground.data, &start.data).expect("data is writable");
    }

    fn data(&self) -> Vec<u8> {
        let mut data = vec![0; DATA_LEN as usize];
        self.space.read(self.ground.data, &mut data).expect("data is readable");
        data
    }

    /// What the evaluator says, with the text of the blocks it ran.
    fn expected(&mut self, start: &Start) -> Outcome {
        self.fill(start);
        let mut state = start.state.clone();
        let exit = loop {
            let block = self.source.block(state.key(), &*self.space);
            let ran = reference::run(&block, HELPERS, &mut state, &*self.space, &mut |_| ());
            for inst in &block.insts[..ran.ops] {
                *self.coverage.rows.entry(Row { op: inst.op, ty: inst.ty, from: inst.from }).or_default() += 1;
            }
            if ran.ops == block.insts.len() {
                *self.coverage.ends.entry(end_name(&block.end)).or_default() += 1;
            }
            match ran.left {
                Left::Go | Left::Flush => {}
                Left::Syscall => break Exit::Syscall,
                Left::Trap(trap) => break Exit::Trap(trap),
            }
        };
        *self.coverage.exits.entry(exit_name(&exit)).or_default() += 1;
        Outcome { exit, state, data: self.data() }
    }

    /// Runs from `start` on every tier; the first that disagrees with the evaluator.
    pub(crate) fn disagreement(&mut self, start: &Start, draw: &mut Draw) -> Option<String> {
        let expected = self.expected(start);
        for index in 0..self.tiers.len() {
            self.fill(start);
            let (exit, state) = self.tiers[index].run(start, self.ground, draw);
            let found = Outcome { exit, state, data: self.data() };
            let tier = &self.tiers[index];
            if !found.agrees(&expected, tier.engine.exact()) {
                return Some(difference(tier.name, start, &expected, &found));
            }
        }
        None
    }

    /// The blocks of a program as text.
    pub(crate) fn text(&self, place: u64, count: u64, start: &Start) -> String {
        let key = |place| start.state.key().at(self.ground.block(place));
        let text = |place| self.source.block(key(place), &*self.space).to_string();
        (place..place + count).map(text).collect::<Vec<_>>().join("\n")
    }
}

impl Tier {
    fn run(&mut self, start: &Start, ground: Ground, draw: &mut Draw) -> (Exit, CpuState) {
        *self.vcpu.state_mut() = start.state.clone();
        loop {
            let exit = if !self.disturbed {
                self.vcpu.run()
            } else {
                if draw.one_in(4) {
                    self.vcpu.interrupt_handle().interrupt();
                }
                if draw.one_in(2) { self.vcpu.run_for(1 + draw.bits() % 64) } else { self.vcpu.run() }
            };
            match exit {
                Exit::Syscall | Exit::Trap(_) | Exit::Uncompilable => return (exit, self.vcpu.state().clone()),
                Exit::Interrupted | Exit::BudgetSpent => {
                    assert!(self.disturbed, "{exit:?}, and nobody asked for it");
                    if draw.one_in(16) {
                        let place = ground.block(draw.bits() % 8);
                        self.engine.invalidate(GuestRange::new(place, BLOCK_BYTES).expect("code does not wrap"));
                    }
                }
            }
        }
    }
}

fn end_name(end: &End) -> &'static str {
    match end {
        End::Jump { .. } => "jump",
        End::Branch { .. } => "branch",
        End::Call { .. } => "call",
        End::Indirect { .. } => "indirect",
        End::IndirectCall { .. } => "indirect_call",
        End::Return { .. } => "return",
        End::Syscall { .. } => "syscall",
        End::Trap { .. } => "trap",
        End::FlushCode { .. } => "flush_code",
        End::ModeChange { .. } => "mode_change",
    }
}

fn exit_name(exit: &Exit) -> &'static str {
    match exit {
        Exit::Syscall => "system call",
        Exit::Trap(Trap::Instruction { .. }) => "trap",
        Exit::Trap(Trap::Memory(_)) => "memory fault",
        Exit::Interrupted => "interrupted",
        Exit::BudgetSpent => "budget spent",
        Exit::Uncompilable => "uncompilable",
    }
}

fn difference(tier: &str, start: &Start, expected: &Outcome, found: &Outcome) -> String {
    let mut lines = vec![format!(
        "tier {tier}: {:?} at {}, expected {:?} at {}",
        found.exit,
        found.state.key(),
        expected.exit,
        expected.state.key()
    )];
    if found.state.fp_flags() != expected.state.fp_flags() {
        lines.push(format!("flags {:#x}, expected {:#x}", found.state.fp_flags(), expected.state.fp_flags()));
    }
    for info in SLOTS {
        let of = |state: &CpuState| match info.ty {
            Type::V128 => state.get128(info.slot),
            _ => u128::from(state.get(info.slot)),
        };
        let (before, now, wanted) = (of(&start.state), of(&found.state), of(&expected.state));
        if now != wanted {
            lines.push(format!("{} ({}) {now:#x}, expected {wanted:#x}, was {before:#x}", info.name, info.slot));
        }
    }
    let places = found.data.iter().zip(&expected.data).enumerate().filter(|(_, (a, b))| a != b);
    lines.extend(places.take(16).map(|(at, (now, wanted))| format!("data {at:#x}: {now:#x}, expected {wanted:#x}")));
    lines.push(format!("from {:#x?}", start.state));
    lines.join("\n")
}
