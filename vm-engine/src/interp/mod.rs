//! Tier 0: runs blocks in their compact form. No instruction semantics here: what an op computes is
//! [`eval`](vm_ir::eval)'s business, called with constant ops so that each arm is that op's arithmetic.

#[allow(unsafe_code, reason = "ways are addresses of blocks")]
mod block;
#[allow(unsafe_code, reason = "blocks by their addresses")]
mod body;
mod code;
mod float;
#[allow(unsafe_code, reason = "steps from op to op without a check")]
mod handlers;
mod lower;
mod memory;
#[allow(unsafe_code, reason = "registers and places among ops that are known to be in range")]
mod op;
mod rare;
mod steps;
#[allow(unsafe_code, reason = "links its blocks")]
mod table;
#[allow(unsafe_code, reason = "remembers addresses of blocks")]
mod targets;

pub(crate) use block::{BlockId, Tier0Block};
pub(crate) use body::BodyRef;
pub(crate) use lower::Lowering;
pub(crate) use memory::Memory;
pub(crate) use table::{Counts, Refused, Tier0Cache};

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vm_core::{BlockKey, CpuState, GuestAddr, Trap};
use vm_ir::eval::FpEnv;
use vm_ir::{Helper, Rounding};

use op::{Cursor, set_wide};
use targets::Targets;

/// What tier 0 needs beside the state and the blocks.
pub(crate) struct Interpreter {
    targets: Targets,
    spills: Vec<u64>,
}

/// What a run of tier 0 borrows.
pub(crate) struct Run<'a> {
    /// The blocks.
    pub(crate) cache: &'a Tier0Cache,
    /// Guest memory.
    pub(crate) memory: Memory<'a>,
    /// The guest's helpers.
    pub(crate) helpers: &'static [Helper],
    /// Made non-zero by other threads to stop the run.
    pub(crate) stop: &'a AtomicU32,
    /// Generation of guest code.
    pub(crate) generation: u32,
}

/// Why tier 0 came back. The state's pc is where to go on, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// By a link that leads to no block yet.
    Link {
        /// The block.
        from: BlockId,
        /// Index of the link.
        link: usize,
    },
    /// For a computed address that the cache of targets does not hold.
    Computed,
    /// The block at the state's pc needs a look before it may run.
    Look,
    /// Somebody set the stop word.
    Stopped,
    /// The fuel is used up.
    Fuel,
    /// A system call.
    Syscall,
    /// A trap; pc is the instruction.
    Trap(Trap),
    /// Guest code may have changed.
    Flush,
    /// The mode may have changed.
    Mode,
}

/// Guest instructions, give or take a block, that ops call one another for before they come back to [`Interpreter::run`]:
/// where the compiler does not make jumps of these calls, the stack holds a frame for each op.
const CHAIN: i64 = 256;

impl Interpreter {
    pub(crate) fn new(cache: Arc<Tier0Cache>) -> Self {
        Self { targets: Targets::new(cache), spills: Vec::new() }
    }

    /// The cache of blocks that it runs from.
    pub(crate) fn cache(&self) -> &Arc<Tier0Cache> {
        self.targets.cache()
    }

    /// Goes over to another cache of blocks. Out of line, as it is seldom asked for and long.
    #[cold]
    #[inline(never)]
    pub(crate) fn change_cache(&mut self, cache: Arc<Tier0Cache>) {
        self.targets = Targets::new(cache);
    }

    /// Remembers the block of `body`, which is of the cache and of the mode of the last run.
    pub(crate) fn remember(&mut self, body: BodyRef<'_>) {
        self.targets.remember(body);
    }

    /// The block of `cache` with `key`, if it is remembered and may be entered in `generation` without a look.
    pub(crate) fn enterable<'c>(&self, cache: &'c Tier0Cache, key: BlockKey, generation: u32) -> Option<BodyRef<'c>> {
        self.targets.enterable(cache, key, generation)
    }

    /// Runs the block of `body`, which is `own` if it is in no cache, and what follows it, until something needs the run
    /// loop. `fuel` goes down by the guest instructions executed and is tested before each block but the first. Flags are
    /// raised in the state or in the host's register.
    pub(crate) fn run<'a>(
        &'a mut self,
        run: &'a Run<'a>,
        body: BodyRef<'a>,
        own: Option<&'a Tier0Block>,
        state: &mut CpuState,
        fuel: &mut i64,
    ) -> Leave {
        self.targets.use_mode(state.mode());
        set_wide(state, op::ZERO, 0);
        let mut cx = Context {
            left: 0,
            reserve: *fuel,
            generation: run.generation,
            stop: run.stop,
            targets: &self.targets,
            env: FpEnv { rounding: dynamic_rounding(state), flags: 0 },
            run,
            own,
            spills: &mut self.spills,
            out: Out::Leave(Leave::Fuel),
        };
        cx.refill();
        cx.left -= i64::from(body.head().guest_len());
        let window = run.memory.window();
        handlers::dispatch(body.start(), state, &mut cx, body, window);
        let leave = loop {
            match cx.out {
                Out::Leave(leave) => break leave,
                Out::Chain(next, weight) => {
                    cx.refill();
                    handlers::enter(next, weight, state, &mut cx, window);
                }
            }
        };
        *fuel = cx.reserve + cx.left;
        state.set_fp_flags(state.fp_flags() | cx.env.flags);
        leave
    }
}

/// What handlers pass on to one another beside their place, the state, the block and memory.
struct Context<'a> {
    /// Guest instructions left of the chain. A block is counted when it is entered.
    left: i64,
    generation: u32,
    stop: &'a AtomicU32,
    targets: &'a Targets,
    /// Guest instructions left beside those of the chain.
    reserve: i64,
    env: FpEnv,
    run: &'a Run<'a>,
    /// The block that the run began with, if it is not in the cache.
    own: Option<&'a Tier0Block>,
    spills: &'a mut Vec<u64>,
    /// Why the ops came back.
    out: Out<'a>,
}

/// Why ops came back.
#[derive(Clone, Copy)]
enum Out<'a> {
    /// For the run loop.
    Leave(Leave),
    /// Because the chain is used up: this block is next, by a jump that counts as so many entries.
    Chain(BodyRef<'a>, u32),
}

impl<'a> Context<'a> {
    /// Takes a new chain from the reserve.
    fn refill(&mut self) {
        let total = self.reserve + self.left;
        self.left = total.min(CHAIN);
        self.reserve = total - self.left;
    }

    /// Whether another thread wants the run to stop.
    #[inline(always)]
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    /// Comes back before `next` is entered.
    #[cold]
    #[inline(never)]
    fn halt(&mut self, next: BodyRef<'a>, weight: u32, state: &mut CpuState) {
        let leave = if self.is_stopped() {
            Leave::Stopped
        } else if self.left <= 0 {
            if self.reserve + self.left > 0 {
                self.out = Out::Chain(next, weight);
                return;
            }
            Leave::Fuel
        } else {
            Leave::Look
        };
        // The pc stays behind while blocks follow one another; it is brought up to date on the way out.
        state.set_pc(GuestAddr::new(next.head().pc));
        self.out = Out::Leave(leave);
    }

    /// The block of `body`.
    fn block(&self, body: BodyRef<'_>) -> &'a Tier0Block {
        self.run.cache.get(body.id()).or(self.own).expect("a body is of a block of the cache, or of the run's own")
    }

    /// Comes back because way number `index`, to a fixed address, leads to no block yet.
    #[cold]
    #[inline(never)]
    fn untaken(&mut self, body: BodyRef<'_>, index: usize, state: &mut CpuState) {
        let Some(target) = self.block(body).target(index) else { unreachable!("an end has its ways") };
        self.unlinked(body, index, target, state);
    }

    /// Comes back because way number `index` should lead to the block at `target`.
    #[cold]
    #[inline(never)]
    fn unlinked(&mut self, body: BodyRef<'_>, index: usize, target: GuestAddr, state: &mut CpuState) {
        if let Some(way) = self.block(body).way(index) {
            way.take();
        }
        state.set_pc(target);
        self.out = Out::Leave(Leave::Link { from: body.head().id(), link: index });
    }

    /// Comes back because no block is known at the computed address `target`.
    #[cold]
    #[inline(never)]
    fn computed(&mut self, target: u64, state: &mut CpuState) {
        state.set_pc(GuestAddr::new(target));
        self.out = Out::Leave(Leave::Computed);
    }

    /// Comes back, `out` being set, because of the op at `at`.
    #[cold]
    #[inline(never)]
    fn stop_at(&mut self, at: Cursor<'_>, body: BodyRef<'_>, state: &mut CpuState) {
        let pc = self.refund(at, body, 0);
        state.set_pc(pc);
    }

    /// Takes back the count of the instructions of `body` after `more` from that of the op at `at`. Gives the address of
    /// the op's instruction.
    #[cold]
    #[inline(never)]
    fn refund(&mut self, at: Cursor<'_>, body: BodyRef<'_>, more: u32) -> GuestAddr {
        let block = self.block(body);
        let (completed, pc) = block.instruction_at(body.index(at));
        self.left += i64::from(block.guest_len() - completed - more);
        pc
    }

    /// Writes word `index` of the spill area, growing the area to what the block uses.
    #[cold]
    #[inline(never)]
    fn spill(&mut self, body: BodyRef<'_>, index: u64, value: u64) {
        let words = self.block(body).spills;
        if self.spills.len() < words as usize {
            self.spills.resize(words as usize, 0);
        }
        self.spills[index as usize] = value;
    }
}

/// What [`Rounding::Dynamic`] stands for in `state`: the low three bits of its mode word.
fn dynamic_rounding(state: &CpuState) -> Rounding {
    match state.mode().bits() & 7 {
        1 => Rounding::TowardZero,
        2 => Rounding::Down,
        3 => Rounding::Up,
        4 => Rounding::NearestAway,
        _ => Rounding::NearestEven, // reserved values trap before they get here
    }
}

#[cfg(test)]
mod tests;
