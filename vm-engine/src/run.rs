//! The run loop: look up, choose a tier, run, and hand the guest's requests to the caller.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vm_core::{BlockKey, Exit};
use vm_ir::Effort;

use crate::engine::{Engine, Vcpu, bytes_match};
use crate::frame::Frame;
use crate::hostfp;
use crate::interp::{BlockId, BodyRef, Leave, Memory, Refused, Run, Tier0Block, Tier0Cache};
use crate::sample::Activity;

/// A translation that was outdated before it could be used is made again this often before it runs unremembered.
const TRANSLATION_ATTEMPTS: u32 = 4;

/// What an entry from compiled code counts: to leave that and to come back takes a hundred nanoseconds, about as long as four
/// blocks in the interpreter.
const FROM_COMPILED: u32 = 4;

impl Vcpu {
    /// Runs guest code until the guest asks for something, traps, or is interrupted.
    pub fn run(&mut self) -> Exit {
        self.run_for(u64::MAX)
    }

    /// Runs about `budget` guest instructions at most: the run comes back at the end of the block, or of the slice,
    /// in which the budget is used up. A budget of zero runs nothing. Compiled code does not count its instructions
    /// while it runs, so any budget but `u64::MAX`, which is none, is spent in the interpreter.
    ///
    /// Rounding and other modes of the calling thread's floating point are its own before and after; which of its sticky
    /// exception flags are raised afterwards is not specified.
    pub fn run_for(&mut self, budget: u64) -> Exit {
        if let Some(profiler) = self.engine.profiler.get() {
            profiler.enrol(&self.meter, self.frame.shared());
        }
        self.meter.now(Activity::Dispatch);
        let modes = hostfp::set_modes();
        let exit = self.run_loop(budget);
        hostfp::restore_modes(modes);
        self.pass_safepoint();
        self.settle();
        self.meter.now(Activity::Outside);
        exit
    }

    fn run_loop(&mut self, budget: u64) -> Exit {
        // A run may be as short as the way to the next system call: counting references anew for each would cost as much.
        let mut held = self.held.take().unwrap_or_else(|| Box::new(Held::of(self)));
        hostfp::begin(self.state().fp_flags());
        let exit = self.run_held(&mut held, budget);
        let flags = self.state().fp_flags() | hostfp::raised();
        self.state_mut().set_fp_flags(flags);
        self.held = Some(held);
        exit
    }

    /// The host's floating-point flags are the guest's all the while: what runs between stretches of guest code and might
    /// raise some is [suspended](hostfp::suspend).
    fn run_held(&mut self, held: &mut Held, budget: u64) -> Exit {
        let Held { engine, frame, cache } = held;
        let may_compile = budget == u64::MAX;
        let mut budget = budget.min(i64::MAX as u64) as i64;
        // The way by which the last block was left, if that leads to no block yet.
        let mut way: Option<(BlockId, usize)> = None;
        // Whether the interpreter has said that it cannot go on at the state's key by itself.
        let mut is_stuck = false;
        loop {
            if frame.is_interrupted() {
                hostfp::suspend(|| self.meter.pass(self.state().pc()));
                if frame.take_interrupt() {
                    return Exit::Interrupted;
                }
                // Perhaps called to a safepoint, by somebody who waits for it; known blocks may not lead past one for long.
                self.pass_safepoint();
            }
            if budget <= 0 {
                return Exit::BudgetSpent;
            }
            self.use_newest(engine, cache, &mut way);
            let mut generation = engine.generation.load(Ordering::Acquire);
            // A block that may be entered without a look has no compiled code, or none that it knows of.
            let mut next = match way {
                Some(way) => self.lead(cache, way, generation),
                None if is_stuck => Next::Unknown,
                None => self.enterable(cache, self.state().key(), generation).into(),
            };
            if matches!(next, Next::Known(_) | Next::Enterable(_)) {
                way = None;
            }
            let mut weight = 1;
            if !matches!(next, Next::Enterable(_)) && may_compile {
                match self.run_compiled(cache, generation) {
                    Went::Nowhere => {}
                    Went::Cold(body) => (way, next, weight) = (None, body.into(), FROM_COMPILED),
                    Went::On => {
                        (way, is_stuck) = (None, false);
                        continue;
                    }
                    Went::Out(exit) => return exit,
                }
                generation = engine.generation.load(Ordering::Acquire);
                if self.cache_number != engine.cache_number.load(Ordering::Acquire) {
                    next = Next::Unknown;
                    self.use_newest(engine, cache, &mut way);
                }
            }
            let key = self.state().key();
            self.local.lookups += 1;
            let known = match next {
                Next::Enterable(body) | Next::Known(body) => (!body.is_dead()).then_some(body),
                Next::Unknown => cache.find(key).map(Tier0Block::body),
                Next::Absent => None,
            };
            let found = match known {
                Some(body) => {
                    self.local.hits += 1;
                    Found::Shared(body)
                }
                None => hostfp::suspend(|| self.translate(cache, key, generation)),
            };
            let (body, own) = match &found {
                Found::Shared(body) => (*body, None),
                Found::Own(block) => (block.body(), Some(&**block)),
                Found::Restart => continue,
            };
            if own.is_none() {
                if !body.enter(generation, weight) && !hostfp::suspend(|| self.look(cache, body, generation)) {
                    (way, is_stuck) = (None, false);
                    continue;
                }
                if let Some((from, link)) = way {
                    cache.link(from, link, body.id());
                }
                if !matches!(next, Next::Enterable(_)) {
                    self.interpreter.remember(body);
                }
            }
            let run = Run {
                cache,
                memory: Memory::new(&*engine.memory),
                helpers: engine.helpers,
                stop: frame.interrupt_word(),
                generation,
            };
            let leave = self.interpret(&run, body, own, &mut budget);
            (way, is_stuck) = (None, matches!(leave, Leave::Computed | Leave::Look));
            match leave {
                Leave::Link { from, link } => way = Some((from, link)),
                Leave::Computed | Leave::Mode | Leave::Look | Leave::Stopped => {}
                Leave::Fuel => hostfp::suspend(|| self.settle()),
                Leave::Flush => hostfp::suspend(|| engine.flush_code()),
                Leave::Syscall => return Exit::Syscall,
                Leave::Trap(trap) => return Exit::Trap(trap),
            }
        }
    }

    /// Interprets a slice, or what is left of `budget`, from the block of `body` on, which is `own` if it is in no cache.
    fn interpret(&mut self, run: &Run<'_>, body: BodyRef<'_>, own: Option<&Tier0Block>, budget: &mut i64) -> Leave {
        let slice = (*budget).min(self.engine.config.slice_instructions.clamp(1, i64::MAX as u64) as i64);
        let mut fuel = slice;
        self.meter.now(Activity::Interpret);
        let leave = self.interpreter.run(run, body, own, self.frame.state_mut(), &mut fuel);
        self.meter.now(Activity::Dispatch);
        let executed = slice - fuel;
        *budget -= executed;
        self.local.instructions += executed as u64;
        leave
    }

    /// Goes over to the engine's newest cache of blocks, to which no way of an older one leads.
    fn use_newest(&mut self, engine: &Engine, cache: &mut Arc<Tier0Cache>, way: &mut Option<(BlockId, usize)>) {
        if self.cache_number != engine.cache_number.load(Ordering::Acquire) {
            (*cache, self.cache_number) = engine.cache();
            self.interpreter.change_cache(Arc::clone(cache));
            *way = None;
        }
    }

    /// The interpreter's block at `key`, if this vCPU knows it and may enter it without a look.
    fn enterable<'c>(&self, cache: &'c Tier0Cache, key: BlockKey, generation: u32) -> Option<BodyRef<'c>> {
        if self.engine.config.tier.compiles_first() {
            return None; // what a run with a budget has interpreted is to be compiled all the same
        }
        self.interpreter.enterable(cache, key, generation)
    }

    /// Makes a way lead to the block at the state's key, if there is one.
    fn lead<'c>(&self, cache: &'c Tier0Cache, (from, link): (BlockId, usize), generation: u32) -> Next<'c> {
        if self.engine.config.tier.compiles_first() {
            return Next::Unknown; // as above
        }
        let Some(block) = cache.find(self.state().key()) else { return Next::Absent };
        let body = block.body();
        cache.link(from, link, body.id());
        if body.is_enterable(generation) { Next::Enterable(body) } else { Next::Known(body) }
    }

    /// Says that this vCPU is in no compiled code; it runs none before it has arrived again.
    fn pass_safepoint(&self) {
        #[cfg(feature = "jit")]
        if let Some(native) = &self.native {
            native.leave();
        }
    }

    /// Runs compiled code from the state, if there is any.
    #[cfg(feature = "jit")]
    fn run_compiled<'c>(&mut self, cache: &'c Tier0Cache, generation: u32) -> Went<'c> {
        match (&mut self.native, self.engine.native()) {
            (Some(own), Some(native)) => {
                let interpreter = &self.interpreter;
                let interprets = !self.engine.config.tier.compiles_first();
                let cold = |key| if interprets { interpreter.enterable(cache, key, generation) } else { None };
                own.run(&self.engine, native, &mut self.frame, &self.meter, &cold)
            }
            _ => Went::Nowhere,
        }
    }

    #[cfg(not(feature = "jit"))]
    fn run_compiled<'c>(&mut self, _cache: &'c Tier0Cache, _generation: u32) -> Went<'c> {
        Went::Nowhere
    }

    /// Hands over what was counted here.
    fn settle(&mut self) {
        self.local.compiled = std::mem::take(&mut self.frame.body_mut().executed);
        if !self.local.is_empty() {
            self.engine.detector.advance(self.local.instructions);
            self.engine.counters.gather(&mut self.local);
        }
    }

    /// Translates the block at `key`. Out of line, for what it takes on the stack every run would take.
    #[inline(never)]
    fn translate<'c>(&mut self, cache: &'c Tier0Cache, key: BlockKey, generation: u32) -> Found<'c> {
        if cache.is_full() || cache.counts().bytes > self.engine.config.tier0_bytes as u64 {
            self.engine.restart_cache(self.cache_number);
            return Found::Restart;
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let stamp = cache.stamp();
            self.meter.now(Activity::Translate);
            self.engine.source.translate_into(key, &*self.engine.memory, Effort::Once, &mut self.ir);
            let block = self.lowering.lower(&self.ir);
            self.meter.now(Activity::Dispatch);
            if !block.is_cacheable() || attempt > TRANSLATION_ATTEMPTS {
                return Found::Own(Box::new(block));
            }
            let first_look = if self.may_change_unsaid(&block) { 0 } else { self.engine.detector.first_look() };
            block.allow(generation, first_look);
            block.heat.allow(first_look);
            let inserted = match cache.insert(block, stamp, false) {
                Err(Refused::Unwatched(block)) if !self.watch(&block) => return Found::Own(Box::new(block)),
                Err(Refused::Unwatched(block)) => cache.insert(block, stamp, true),
                other => other,
            };
            if let Ok(body) = inserted {
                return Found::Shared(body);
            }
        }
    }

    /// Has writes to the pages of `block` reported, and compares its bytes once more: a write before went unnoticed. False
    /// if they changed.
    fn watch(&self, block: &Tier0Block) -> bool {
        let Some(range) = block.range() else { return false };
        range.pages().for_each(|page| self.engine.memory.watch_code(page));
        bytes_match(&*self.engine.memory, block.pc(), block.bytes())
    }

    fn may_change_unsaid(&self, block: &Tier0Block) -> bool {
        block.range().is_some_and(|range| self.engine.may_change_unsaid(range))
    }

    /// Looks at a block whose count has run out, or whose bytes were last compared in an older generation of guest
    /// code. False if it is retired.
    fn look(&mut self, cache: &Tier0Cache, body: BodyRef<'_>, generation: u32) -> bool {
        let Some(block) = cache.get(body.id()) else { return false };
        let (compared, left) = body.entry();
        if block.is_dead() {
            return false;
        }
        let doubtful = self.may_change_unsaid(block);
        if (doubtful || compared != generation) && !bytes_match(&*self.engine.memory, block.pc(), block.bytes()) {
            cache.retire(body.id());
            return false;
        }
        if doubtful {
            block.allow(generation, 0);
            return true;
        }
        let entries = block.heat.allowed().saturating_sub(left);
        let verdict = self.engine.detector.account(&block.heat, entries);
        #[cfg(feature = "jit")]
        if let Some(native) = self.engine.native().filter(|_| verdict.hot) {
            self.meter.now(Activity::Compile);
            native.request(&self.engine, block.key(), self.engine.detector.count(&block.heat));
            self.meter.now(Activity::Dispatch);
        }
        block.heat.allow(verdict.ask_again);
        block.allow(generation, verdict.ask_again - 1);
        true
    }
}

/// What a run borrows of its vCPU while the vCPU itself changes.
pub(crate) struct Held {
    engine: Arc<Engine>,
    frame: Arc<Frame>,
    cache: Arc<Tier0Cache>,
}

impl Held {
    fn of(vcpu: &Vcpu) -> Self {
        Self {
            engine: Arc::clone(&vcpu.engine),
            frame: Arc::clone(vcpu.frame.shared()),
            cache: Arc::clone(vcpu.interpreter.cache()),
        }
    }
}

/// What came of an attempt to run compiled code.
#[cfg_attr(not(feature = "jit"), expect(dead_code, reason = "without a compiler there is only one answer"))]
pub(crate) enum Went<'c> {
    /// There is no code for the state's key.
    Nowhere,
    /// It ran, to a state for whose key there is no code, but perhaps this block of the interpreter's.
    Cold(Option<BodyRef<'c>>),
    /// It ran; the run loop goes on from the state.
    On,
    /// It ran to something that the caller of the run handles.
    Out(Exit),
}

/// What is known of the interpreter's block at the state's key.
#[derive(Clone, Copy)]
enum Next<'c> {
    /// Nothing.
    Unknown,
    /// There is none.
    Absent,
    /// It needs a look, or has compiled code.
    Known(BodyRef<'c>),
    /// It may be entered without a look.
    Enterable(BodyRef<'c>),
}

impl<'c> From<Option<BodyRef<'c>>> for Next<'c> {
    /// The next block, if one may be entered without a look.
    fn from(enterable: Option<BodyRef<'c>>) -> Self {
        enterable.map_or(Next::Unknown, Next::Enterable)
    }
}

/// A block for the interpreter.
enum Found<'c> {
    /// In the cache.
    Shared(BodyRef<'c>),
    /// For one run only.
    Own(Box<Tier0Block>),
    /// The cache was replaced.
    Restart,
}
