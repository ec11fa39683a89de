//! Tier 0: runs blocks in their compact form. No instruction semantics here: what an op computes is
//! [`eval`](vm_ir::eval)'s business, called with constant ops so that each arm is that op's arithmetic.

mod block;
mod code;
mod float;
mod lower;
mod memory;
mod rare;
mod table;

pub(crate) use block::{BlockId, Tier0Block};
pub(crate) use lower::Lowering;
pub(crate) use memory::Memory;
pub(crate) use table::{Counts, Tier0Cache};

use std::sync::atomic::{AtomicU32, Ordering};

use vm_core::{CpuState, GuestAddr, Trap, TrapKind};
use vm_ir::eval::{self, FpEnv};
use vm_ir::{Helper, Op, Rounding, Type};

use crate::hostfp;
use code::{Opcode, forms, set_wide, wide, word};

/// Entries of the per-vCPU cache of computed targets, a power of two.
const TARGETS: usize = 1024;

/// What tier 0 needs beside the state and the blocks.
pub(crate) struct Interpreter {
    /// Computed targets: address and block, found by the address's low bits. Of one mode.
    targets: Box<[(u64, BlockId); TARGETS]>,
    targets_mode: u32,
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

impl Interpreter {
    pub(crate) fn new() -> Self {
        Self { targets: Box::new([(u64::MAX, BlockId(u32::MAX)); TARGETS]), targets_mode: 0, spills: Vec::new() }
    }

    /// Forgets computed targets; for a new cache of blocks.
    pub(crate) fn forget(&mut self) {
        self.targets.fill((u64::MAX, BlockId(u32::MAX)));
    }

    const fn slot(pc: u64) -> usize {
        (pc >> 1) as usize & (TARGETS - 1)
    }

    /// Remembers that `block` is at `pc` in the mode of the last run.
    pub(crate) fn remember(&mut self, pc: GuestAddr, block: BlockId) {
        self.targets[Self::slot(pc.get())] = (pc.get(), block);
    }

    /// Runs `block`, which belongs to `id`, and what follows it, until something needs the run loop.
    /// `fuel` goes down by the guest instructions executed and is tested before each block but the first.
    pub(crate) fn run<'a>(
        &mut self,
        run: &Run<'a>,
        id: BlockId,
        block: &'a Tier0Block,
        state: &mut CpuState,
        fuel: &mut i64,
    ) -> Leave {
        if self.targets_mode != state.mode().bits() {
            self.forget();
            self.targets_mode = state.mode().bits();
        }
        let mut env = FpEnv { rounding: dynamic_rounding(state), flags: 0 };
        set_wide(state, code::ZERO, 0);
        let session = hostfp::Session::begin();
        let leave = self.blocks(run, id, block, state, fuel, &mut env);
        state.set_fp_flags(state.fp_flags() | env.flags | hostfp::gather());
        drop(session);
        leave
    }

    fn blocks<'a>(
        &mut self,
        run: &Run<'a>,
        mut id: BlockId,
        mut block: &'a Tier0Block,
        state: &mut CpuState,
        fuel: &mut i64,
        env: &mut FpEnv,
    ) -> Leave {
        let mut left = *fuel;
        let leave = loop {
            left -= i64::from(block.guest_len());
            let way = match self.block(run, block, state, env) {
                Ok(way) => way,
                Err(stopped) => {
                    left += i64::from(block.guest_len() - stopped.completed);
                    break stopped.leave;
                }
            };
            // The pc stays behind while blocks follow one another; it is brought up to date on the way out.
            let next = match way {
                Way::Link(link) => Self::follow(block, link, state).ok_or(Leave::Link { from: id, link }),
                Way::Side { link, completed } => {
                    left += i64::from(block.guest_len() - completed);
                    Self::follow(block, link, state).ok_or(Leave::Link { from: id, link })
                }
                Way::Computed(target) => {
                    if let Some(profile) = &block.indirect {
                        profile.count(target);
                    }
                    let (pc, next) = self.targets[Self::slot(target)];
                    if pc == target && run.cache.get(next).is_some_and(|block| !block.is_dead()) {
                        Ok(next)
                    } else {
                        state.set_pc(GuestAddr::new(target));
                        Err(Leave::Computed)
                    }
                }
            };
            let next = match next {
                Ok(next) => next,
                Err(leave) => break leave,
            };
            let Some(next_block) = run.cache.get(next) else { unreachable!("links and targets name blocks") };
            // A jump backwards counts double, so that a loop gets hot at its header.
            let weight = 1 + u32::from(next_block.key.pc <= block.key.pc);
            (id, block) = (next, next_block);
            let leave = if run.stop.load(Ordering::Relaxed) != 0 {
                Leave::Stopped
            } else if left <= 0 {
                Leave::Fuel
            } else if !block.enter(run.generation, weight) {
                Leave::Look
            } else {
                continue;
            };
            state.set_pc(block.key.pc);
            break leave;
        };
        *fuel = left;
        leave
    }

    /// The block that link number `index` of `block` leads to. If that is not known, the pc moves to where it is.
    #[inline(always)]
    fn follow(block: &Tier0Block, index: usize, state: &mut CpuState) -> Option<BlockId> {
        let Some(link) = block.links.get(index) else { unreachable!("an end has its links") };
        let next = link.block();
        if next.is_none() {
            link.take();
            state.set_pc(link.target);
        }
        next
    }

    /// Runs the ops of one block.
    #[inline(always)]
    fn block(
        &mut self,
        run: &Run<'_>,
        block: &Tier0Block,
        state: &mut CpuState,
        env: &mut FpEnv,
    ) -> Result<Way, Stopped> {
        let mut ops = block.code.iter();
        /// The value of an op on 64-bit words.
        macro_rules! scalar {
            ($op:ident, $ty:expr, $from:expr, $a:expr, $b:expr) => {
                eval::scalar(Op::$op, $ty, $from, 0, [$a, $b, 0], &mut FpEnv::new())
            };
        }
        macro_rules! cut32 {
            ($a:expr) => {
                eval::scalar(Op::Truncate, Type::I32, Type::I64, 0, [$a, 0, 0], &mut FpEnv::new())
            };
        }
        macro_rules! signed32 {
            ($a:expr) => {
                eval::scalar(Op::SignExtend, Type::I64, Type::I32, 0, [$a, 0, 0], &mut FpEnv::new())
            };
        }
        /// The operand of a comparison or unary op of this type, whatever the word holds above its bits.
        macro_rules! cut {
            ($ty:ident, $a:expr) => {
                $a & Type::$ty.mask()
            };
        }
        loop {
            let Some(code) = ops.next() else { unreachable!("the last op is an end") };
            macro_rules! get {
                ($reg:ident) => {
                    *word(state, code.$reg)
                };
            }
            macro_rules! set {
                ($value:expr) => {{
                    let value = $value;
                    *word(state, code.d) = value;
                }};
            }
            macro_rules! faulting {
                ($access:expr) => {
                    match $access {
                        Ok(value) => value,
                        Err(fault) => {
                            return Err(at(block, block.code.len() - ops.len() - 1, state, Trap::Memory(fault)))
                        }
                    }
                };
            }
            macro_rules! load {
                ($bytes:literal, $extend:expr) => {{
                    let value = faulting!(run.memory.load::<$bytes>(get!(a).wrapping_add(code.imm)));
                    set!($extend(value));
                }};
            }
            macro_rules! store {
                ($bytes:literal) => {{
                    let (addr, value) = (get!(a).wrapping_add(code.imm), get!(b));
                    faulting!(run.memory.store::<$bytes>(addr, value))
                }};
            }
            macro_rules! execute {
                (
                    long { $($ll:ident $lli:ident $lop:ident;)* }
                    word { $($ww:ident $wwi:ident $wx:ident $wxi:ident $wop:ident;)* }
                    compare { $($cc:ident $cci:ident $cb:ident $cbi:ident $cop:ident $cty:ident;)* }
                    unary { $($un:ident $uop:ident $uty:ident $ufrom:ident;)* }
                    float { $($fd:ident $fs:ident $fop:ident $fty:ident;)* }
                    convert { $($co:ident $coop:ident $coty:ident $cofrom:ident $coattr:literal;)* }
                ) => {
                    match code.op {
                        $(
                            Opcode::$ll => set!(scalar!($lop, Type::I64, Type::I64, get!(a), get!(b))),
                            Opcode::$lli => set!(scalar!($lop, Type::I64, Type::I64, get!(a), code.imm)),
                        )*
                        $(
                            Opcode::$ww => {
                                set!(scalar!($wop, Type::I32, Type::I32, cut32!(get!(a)), cut32!(get!(b))));
                            }
                            Opcode::$wwi => {
                                set!(scalar!($wop, Type::I32, Type::I32, cut32!(get!(a)), cut32!(code.imm)));
                            }
                            Opcode::$wx => {
                                set!(signed32!(scalar!($wop, Type::I32, Type::I32, cut32!(get!(a)), cut32!(get!(b)))));
                            }
                            Opcode::$wxi => {
                                set!(signed32!(scalar!($wop, Type::I32, Type::I32, cut32!(get!(a)), cut32!(code.imm))));
                            }
                        )*
                        $(
                            Opcode::$cc => {
                                set!(scalar!($cop, Type::I8, Type::$cty, cut!($cty, get!(a)), cut!($cty, get!(b))));
                            }
                            Opcode::$cci => {
                                set!(scalar!($cop, Type::I8, Type::$cty, cut!($cty, get!(a)), code.imm));
                            }
                            Opcode::$cb => {
                                let taken =
                                    scalar!($cop, Type::I8, Type::$cty, cut!($cty, get!(a)), cut!($cty, get!(b)));
                                return Ok(Way::Link(usize::from(taken == 0)));
                            }
                            Opcode::$cbi => {
                                let taken = scalar!($cop, Type::I8, Type::$cty, cut!($cty, get!(a)), code.imm);
                                return Ok(Way::Link(usize::from(taken == 0)));
                            }
                        )*
                        $(
                            Opcode::$un => set!(scalar!($uop, Type::$uty, Type::$ufrom, cut!($ufrom, get!(a)), 0)),
                        )*
                        $(
                            Opcode::$fd => {
                                let args = [get!(a), get!(b), *word(state, code.imm as u16)];
                                set!(float::double(Op::$fop, code.imm, args, env));
                            }
                            Opcode::$fs => {
                                let args = [get!(a), get!(b), *word(state, code.imm as u16)];
                                set!(float::single(Op::$fop, code.imm, args, env));
                            }
                        )*
                        $(
                            Opcode::$co => {
                                set!(float::convert(Op::$coop, Type::$coty, Type::$cofrom, $coattr, get!(a), env));
                            }
                        )*
                        Opcode::Move => set!(get!(a)),
                        Opcode::MoveImm => set!(code.imm),
                        Opcode::MoveWide => {
                            let value = wide(state, code.a);
                            set_wide(state, code.d, value);
                        }
                        Opcode::Cut => set!(get!(a) & code.imm),
                        Opcode::Select => {
                            let (yes, no) = (get!(b), *word(state, code.imm as u16));
                            let cond = get!(a);
                            set!(eval::scalar(Op::Select, Type::I64, Type::I64, 0, [cond, yes, no], env));
                        }
                        Opcode::Load8 => load!(1, |x| x),
                        Opcode::Load16 => load!(2, |x| x),
                        Opcode::Load32 => load!(4, |x| x),
                        Opcode::Load64 => load!(8, |x| x),
                        Opcode::Load8S => load!(1, |x| scalar!(SignExtend, Type::I64, Type::I8, x, 0)),
                        Opcode::Load16S => load!(2, |x| scalar!(SignExtend, Type::I64, Type::I16, x, 0)),
                        Opcode::Load32S => load!(4, |x| scalar!(SignExtend, Type::I64, Type::I32, x, 0)),
                        Opcode::Store8 => store!(1),
                        Opcode::Store16 => store!(2),
                        Opcode::Store32 => store!(4),
                        Opcode::Store64 => store!(8),
                        Opcode::Generic => {
                            let value = rare::generic(*code, state, env);
                            set!(value);
                        }
                        Opcode::Jump => return Ok(Way::Link(0)),
                        Opcode::Branch => return Ok(Way::Link(usize::from(get!(a) == 0))),
                        Opcode::Indirect => return Ok(Way::Computed(get!(a))),
                        Opcode::ExitIf => {
                            if get!(a) != 0 {
                                let index = block.code.len() - ops.len() - 1;
                                let completed = block.instruction_at(index).0 + 1;
                                return Ok(Way::Side { link: usize::from(code.d), completed });
                            }
                        }
                        Opcode::TrapIf => {
                            if get!(a) != 0 {
                                let kind = TrapKind::ALL[code.imm as usize];
                                let trap = Trap::Instruction { kind, addr: GuestAddr::new(get!(b)) };
                                return Err(at(block, block.code.len() - ops.len() - 1, state, trap));
                            }
                        }
                        Opcode::SpillLoad => {
                            let value = self.spills.get(code.imm as usize).copied().unwrap_or(0);
                            set!(value);
                        }
                        Opcode::SpillStore => {
                            if self.spills.len() < block.spills as usize {
                                self.spills.resize(block.spills as usize, 0);
                            }
                            self.spills[code.imm as usize] = get!(a);
                        }
                        Opcode::SetMode => {
                            let mode = vm_core::Mode::new(get!(a) as u32);
                            state.set_mode(mode);
                            env.rounding = dynamic_rounding(state);
                        }
                        Opcode::SelectWide
                        | Opcode::AndWide
                        | Opcode::OrWide
                        | Opcode::XorWide
                        | Opcode::Load128
                        | Opcode::Store128
                        | Opcode::AtomicRmw
                        | Opcode::AtomicCas => faulting!(rare::memory_or_wide(*code, run.memory, state)),
                        Opcode::Fence | Opcode::FpFlagsGet | Opcode::FpFlagsSet | Opcode::Call => {
                            rare::system(*code, run.helpers, state, env);
                        }
                        Opcode::Syscall | Opcode::Trap | Opcode::FlushCode | Opcode::ModeChange => {
                            return Err(rare::end(*code, block, state));
                        }
                    }
                };
            }
            forms!(execute);
        }
    }
}

/// Where a block that ran to an end goes on.
enum Way {
    /// To a fixed address: link number this.
    Link(usize),
    /// To a computed address.
    Computed(u64),
    /// To a fixed address from the middle of the block.
    Side {
        /// Number of the link.
        link: usize,
        /// Guest instructions up to the one that left.
        completed: u32,
    },
}

/// A block that came back to the run loop: why, and how many of its instructions completed.
struct Stopped {
    leave: Leave,
    completed: u32,
}

/// A trap of the op at `index`.
#[cold]
fn at(block: &Tier0Block, index: usize, state: &mut CpuState, trap: Trap) -> Stopped {
    let (completed, pc) = block.instruction_at(index);
    state.set_pc(pc);
    Stopped { leave: Leave::Trap(trap), completed }
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
