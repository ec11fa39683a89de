//! The compiled tiers as the run loop sees them: what is published, what is asked for, and the way in and out.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use vm_core::{BlockKey, Exit, GuestAddr, GuestMemory, GuestRange, Mode, Slot, Trap, TrapKind};
use vm_ir::{Block, Effort, End};

use crate::cache::quiesce::Reader;
use crate::cache::{Held, TieredCodeCache};
use crate::clock;
use crate::config::TierPolicy;
use crate::disturb;
use crate::engine::{Engine, EngineError, bytes_match};
use crate::frame::{ExitCode, OwnFrame};
use crate::hostfp;
use crate::interp::BodyRef;
use crate::jit::code::CodePtr;
use crate::jit::compiled::CompiledTier;
use crate::jit::pool::{Accepted, Failure, Made, Parked, Pool, Request, Worker};
use crate::jit::{self, Jit, RuntimeContext, Workspace};
use crate::jump::JumpCache;
use crate::region::{CompileOptions, MemoryMode, Profile, Quality, Seen, SlotSet, constants_left, discover};
use crate::run::Went;
use crate::sample::{Activity, Meter};

/// Guest instructions in a region of the first tier at most.
const TIER_ONE_INSTRUCTIONS: usize = 400;

/// The compiled tiers of an engine.
pub(crate) struct Native {
    pub(crate) cache: Arc<TieredCodeCache>,
    pub(crate) pool: Pool,
    /// What generated code calls; frames hold its address.
    functions: Box<[u64]>,
    /// What these functions need; frames hold its address.
    context: Box<RuntimeContext>,
    memory_base: u64,
    memory_limit: u64,
    engine: Weak<Engine>,
    jit: Arc<Jit>,
}

impl Native {
    /// For `engine`; `None` if its policy never compiles.
    ///
    /// # Errors
    /// [`EngineError`] if the host has no code generator or refuses address space.
    pub(crate) fn new(engine: &Arc<Engine>) -> Result<Option<Self>, EngineError> {
        let config = &engine.config;
        if config.tier == TierPolicy::Interpret {
            return Ok(None);
        }
        let jit = Jit::host(engine.helpers)?;
        // Elsewhere compile threads alone need Cranelift, and those stand still while a process forks.
        let needs_generator = quality(config.tier, &*engine.memory, CompiledTier::One) == Quality::Optimised;
        if needs_generator || config.tier.compiles_first() || config.deterministic {
            jit.prepare()?;
        }
        let budgets = [config.tier1_code_bytes, config.tier2_code_bytes];
        let cache =
            Arc::new(TieredCodeCache::new(budgets, CodePtr::new(jit::link_stub()), Arc::clone(&engine.memory))?);
        let factory = {
            let (engine, jit) = (Arc::downgrade(engine), Arc::clone(&jit));
            Box::new(move || worker(Weak::clone(&engine), Arc::clone(&jit)))
        };
        let pool = Pool::new(
            config.compile_threads.max(1),
            config.queue_capacity.max(1),
            config.detach_descriptors,
            Arc::clone(&cache),
            factory,
        );
        let view = engine.memory.flat();
        Ok(Some(Self {
            cache,
            pool,
            functions: jit::function_table(engine.helpers),
            context: Box::new(RuntimeContext { memory: Arc::clone(&engine.memory), engine: Arc::downgrade(engine) }),
            memory_base: view.map_or(0, |view| view.base as u64),
            memory_limit: view.map_or(0, |view| view.limit),
            engine: Arc::downgrade(engine),
            jit,
        }))
    }

    /// Asks again for regions that deserve the second tier.
    fn promote(&self, engine: &Engine) {
        for key in self.cache.take_due() {
            self.ask(engine, Request { key, tier: CompiledTier::Two, heat: 0 });
        }
    }

    /// Asks for compiled code for `key`, whose block the interpreter has entered `heat` times. In a deterministic
    /// engine the code is there when the call returns.
    pub(crate) fn request(&self, engine: &Engine, key: BlockKey, heat: u32) {
        self.ask(engine, Request { key, tier: CompiledTier::One, heat: u64::from(heat) });
    }

    /// For baseline code at `key` that was entered often: better code, if there is any by now. Otherwise it is asked for,
    /// and `counter` lets the code go on for a while.
    pub(crate) fn improve(&self, engine: &Engine, key: BlockKey, counter: u32) -> Option<CodePtr> {
        let found = self.cache.improved(key, counter);
        if found.is_none() {
            let guest_len = engine.block_profile(key).map_or(1, |profile| profile.guest_len);
            let entries = entries_before_optimising(engine, guest_len as usize);
            let again = if self.cache.can_wait(key) {
                self.cache.put_off(key);
                entries
            } else {
                let heat = u64::from(engine.config.optimise_threshold);
                self.ask(engine, Request { key, tier: CompiledTier::Two, heat });
                entries / 8
            };
            self.cache.arm(counter..counter + 1, std::iter::once(again));
        }
        found
    }

    /// The code for `key` has declined. If it does so too often, code that does not is asked for.
    fn declined(&self, engine: &Engine, key: BlockKey) {
        if self.pool.note_declined(key) {
            self.ask(engine, Request { key, tier: CompiledTier::Two, heat: 0 });
        }
    }

    fn ask(&self, engine: &Engine, request: Request) {
        if engine.config.deterministic {
            self.compile_now(request);
            return;
        }
        match self.pool.request(request) {
            Accepted::Queued | Accepted::Full => {
                engine.detector.set_queue(self.pool.backlog(), engine.config.queue_capacity);
            }
            Accepted::Hopeless => {}
        }
    }

    /// Compiles on the calling thread; false if there is no code for the key afterwards.
    fn compile_now(&self, request: Request) -> bool {
        if self.pool.is_hopeless(request.key) {
            return false;
        }
        let mut worker = worker(Weak::clone(&self.engine), Arc::clone(&self.jit));
        self.pool.compile_now(&mut worker, request)
    }

    /// Where link `number` leads, to whose code it is linked from now on if there is any.
    fn link(&self, number: u32) -> BlockKey {
        match self.cache.link(number) {
            Some((target, _)) => target,
            None => unreachable!("an exit by link {number}, which no code has"),
        }
    }

    /// Holds compile threads and cache still for a fork.
    pub(crate) fn hold(&self) -> Hold<'_> {
        let parked = self.pool.park();
        Hold { cache: self.cache.hold(), parked }
    }
}

/// The compiled tiers held still.
pub(crate) struct Hold<'a> {
    parked: Parked<'a>,
    cache: Held<'a>,
}

impl Hold<'_> {
    /// Goes on in the child of a fork, where no other thread is.
    pub(crate) fn in_child(mut self) {
        self.parked.in_child();
        self.cache.in_child();
    }
}

/// How compiled code reaches `memory`.
fn memory_mode(memory: &dyn GuestMemory) -> MemoryMode {
    match memory.flat() {
        None => MemoryMode::Checked,
        Some(view) if view.base == 0 => MemoryMode::Direct,
        Some(_) => MemoryMode::Based,
    }
}

/// Which compiler makes the code of `tier`, for a guest of this memory on this host.
pub(crate) fn quality(policy: TierPolicy, memory: &dyn GuestMemory, tier: CompiledTier) -> Quality {
    let has_baseline = cfg!(target_arch = "x86_64") && memory_mode(memory) == MemoryMode::Direct;
    match (policy, tier) {
        (TierPolicy::Auto, CompiledTier::One) | (TierPolicy::Baseline, _) if has_baseline => Quality::Baseline,
        _ => Quality::Optimised,
    }
}

/// What shapes the code that `request` asks for in an engine now, if the code `may_decline`.
fn options(engine: &Engine, request: Request, may_decline: bool) -> CompileOptions {
    CompileOptions {
        faults: engine.exact(),
        memory: memory_mode(&*engine.memory),
        count: engine.config.count_instructions,
        quality: quality(engine.config.tier, &*engine.memory, request.tier),
        may_decline,
    }
}

/// Makes regions for the pool, as long as the engine lives.
fn worker(engine: Weak<Engine>, jit: Arc<Jit>) -> Worker {
    let mut workspace = Workspace::default();
    Box::new(move |request| make(&*engine.upgrade().ok_or(Failure::NotNow)?, &jit, request, &mut workspace))
}

fn make(engine: &Engine, jit: &Jit, request: Request, workspace: &mut Workspace) -> Made {
    let native = engine.native().ok_or(Failure::NotNow)?;
    let cache = &native.cache;
    let began = clock::own_cpu_ns();
    let mut ticket = cache.ticket();
    let options = options(engine, request, native.pool.may_decline(request.key));
    let is_baseline = options.quality == Quality::Baseline;
    let profile = EngineProfile { engine, cache, request, is_baseline };
    // Part of another region? A run that cannot go on without code makes it rather than wait for who else does.
    let is_there =
        if profile.is_blind() || !is_baseline { TieredCodeCache::holds } else { TieredCodeCache::holds_or_expects };
    if (is_baseline || request.tier == CompiledTier::One) && is_there(cache, request.key) {
        return Err(Failure::There);
    }
    if request.tier == CompiledTier::Two && cache.can_wait(request.key) {
        return Err(Failure::NotNow); // so it is, and put off when it is asked for again
    }
    let most = engine.config.region_instructions;
    let max_guest_len = match request.tier {
        CompiledTier::One if !is_baseline => most.min(TIER_ONE_INSTRUCTIONS),
        CompiledTier::One | CompiledTier::Two => most,
    };
    let mut plan = discover(request.key, options, max_guest_len, &profile).ok_or(Failure::NotNow)?;
    let is_optimised = options.quality == Quality::Optimised;
    if request.tier == CompiledTier::Two && is_optimised && native.pool.may_assume_constants(request.key) {
        let known = profile.constants_around(plan.unchanging(engine.helpers));
        plan.assume(known, engine.helpers);
    }
    let (links, counters) = (plan.links().len(), plan.counters());
    cache.allocate_links(&mut ticket, links, plan.options.count, counters).map_err(|_| Failure::NotNow)?;
    if is_baseline {
        cache.announce(&mut ticket, plan.blocks.iter().map(|here| here.block.key).collect());
    }
    let entries = plan.blocks.iter().map(|here| match engine.config.tier {
        TierPolicy::Auto => entries_before_optimising(engine, here.block.guest_len()),
        // There is nothing better to ask for.
        TierPolicy::Interpret | TierPolicy::Compile | TierPolicy::Baseline => i64::MAX as u64,
    });
    cache.arm(ticket.entry_counters(), entries);
    let shown = ShownOnPanic { plan: &plan };
    disturb::dawdle(engine, request.key);
    let made = jit.region(&plan, request.tier, ticket.first_link, workspace);
    drop(shown);
    match made {
        Ok(mut region) => {
            region.compile_ns = clock::own_cpu_ns().saturating_sub(began);
            Ok((ticket, region))
        }
        Err(_) => {
            cache.abandon(&ticket);
            Err(Failure::Never)
        }
    }
}

/// How often a block of baseline code is entered before it is worth compiling with the optimising compiler.
fn entries_before_optimising(engine: &Engine, guest_len: usize) -> u64 {
    (u64::from(engine.config.optimise_threshold) / guest_len.max(1) as u64).max(1)
}

/// Prints the plan of a region in whose compilation we panic: enough to do it again.
struct ShownOnPanic<'a> {
    plan: &'a crate::region::RegionPlan,
}

impl Drop for ShownOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while compiling {}", self.plan);
        }
    }
}

/// The interpreter's view of the program. Where everything is compiled before it runs there is none: then every fixed
/// way counts as seen.
struct EngineProfile<'a> {
    engine: &'a Engine,
    cache: &'a TieredCodeCache,
    request: Request,
    /// The region is the baseline compiler's.
    is_baseline: bool,
}

impl EngineProfile<'_> {
    fn is_blind(&self) -> bool {
        self.engine.config.tier.compiles_first()
    }

    /// What the code around the region's entry leaves in the slots of `wanted`, as far as these are constants: blocks that
    /// have run, the nearest before the entry first.
    fn constants_around(&self, wanted: SlotSet) -> Vec<(Slot, u64)> {
        /// Bytes of code before and behind the entry that are looked at.
        const BYTES: u64 = 512;
        let entry = self.request.key;
        let start = entry.pc.get().saturating_sub(BYTES);
        let Ok(around) = GuestRange::new(GuestAddr::new(start), entry.pc.get() - start + BYTES) else {
            return Vec::new();
        };
        if wanted == SlotSet::default() {
            return Vec::new();
        }
        let (cache, _) = self.engine.cache();
        let mut keys = cache.beginning_in(around);
        keys.retain(|key| key.mode == entry.mode);
        keys.sort_by_key(|key| (key.pc > entry.pc, std::cmp::Reverse(key.pc)));
        let blocks = keys.into_iter().map(|key| {
            let mut block = Block::empty();
            self.engine.source.translate_into(key, &*self.engine.memory, Effort::Quick, &mut block);
            block
        });
        constants_left(blocks, wanted, self.engine.helpers)
    }

    /// Whether the block's bytes may change without anybody's saying so.
    fn is_doubtful(&self, block: &Block) -> bool {
        !self.is_blind() && bytes_of(block).is_some_and(|range| self.engine.may_change_unsaid(range))
    }
}

/// Whether the block ends where memory could not be fetched. It may be mapped later, and nobody would tell: such a block
/// is not made part of a region.
fn is_unfetchable(block: &Block) -> bool {
    matches!(block.end, End::Trap { kind: TrapKind::FetchUnmapped | TrapKind::FetchForbidden, .. })
}

/// Where the block's bytes are.
fn bytes_of(block: &Block) -> Option<GuestRange> {
    GuestRange::new(block.key.pc, block.bytes.len() as u64).ok()
}

impl Profile for EngineProfile<'_> {
    fn block(&self, key: BlockKey) -> Option<Arc<Block>> {
        if key != self.request.key {
            if self.is_baseline && self.cache.holds_or_expects(key) {
                return None; // linked to
            }
            // Of blocks beside a hot one those that ran a few times are worth it: to leave compiled code for one takes a
            // hundred nanoseconds each time. What has no code when optimised code is made will not run often there either.
            if !self.is_blind() {
                let is_rare = self.engine.block_profile(key)?.entries < self.engine.detector.threshold() / 64;
                let has_no_code = || self.request.tier == CompiledTier::Two && !self.cache.contains(key);
                if is_rare && (self.is_baseline || has_no_code()) {
                    return None;
                }
            }
        }
        if self.is_blind() {
            self.engine.memory.watch_code(key.pc.page_start());
        }
        let effort = if self.is_baseline && !self.is_blind() { Effort::Quick } else { Effort::Full };
        let block = self.engine.source.translate(key, &*self.engine.memory, effort);
        (!is_unfetchable(&block) && !self.is_doubtful(&block)).then_some(block)
    }

    fn joined(&self, key: BlockKey) -> Option<Arc<Block>> {
        let memory = &*self.engine.memory;
        let block = self.engine.source.translate_joined(key, memory)?;
        // What is skipped may lie on a page that nobody watches: a write there before now went unnoticed.
        bytes_of(&block)?.pages().for_each(|page| memory.watch_code(page));
        (bytes_match(memory, key.pc, &block.bytes) && !self.is_doubtful(&block)).then_some(block)
    }

    fn seen(&self, key: BlockKey) -> Seen {
        if self.is_blind() {
            return Seen { taken: true, fall: true, targets: Vec::new() };
        }
        let Some(profile) = self.engine.block_profile(key) else { return Seen::default() };
        // What has been compiled since runs without being seen by the interpreter.
        let way = |index: usize| {
            profile.ways.get(index).is_some_and(|(target, taken)| {
                *taken || self.request.tier == CompiledTier::Two && self.cache.holds(key.at(*target))
            })
        };
        Seen { taken: way(0), fall: way(1), targets: profile.targets.iter().map(|(target, _)| *target).collect() }
    }
}

/// What a vCPU needs to run compiled code.
pub(crate) struct NativeVcpu {
    reader: Arc<Reader>,
    /// The epoch in which the jump caches were valid.
    epoch: u64,
    jump_cache: JumpCache,
    /// The mode of the jump cache, once there is code to run, and the caches of other modes.
    mode: Option<Mode>,
    other_modes: HashMap<Mode, JumpCache>,
    /// Links by which code was left. A number is given to another link only after this vCPU has passed a safepoint, which
    /// empties this.
    links: KnownLinks,
}

/// Unlinked links with the places that they lead to, so that leaving by one again takes no lock.
#[derive(Default)]
struct KnownLinks(Vec<(u32, BlockKey)>);

impl KnownLinks {
    /// Links that are remembered, a power of two.
    const LEN: usize = 1024;
    /// In place of a number: none.
    const NONE: u32 = u32::MAX;

    const fn index(number: u32) -> usize {
        number as usize & (Self::LEN - 1)
    }

    fn get(&self, number: u32) -> Option<BlockKey> {
        self.0.get(Self::index(number)).filter(|(known, _)| *known == number).map(|(_, target)| *target)
    }

    fn remember(&mut self, number: u32, target: BlockKey) {
        if self.0.is_empty() {
            self.0.resize(Self::LEN, (Self::NONE, target));
        }
        self.0[Self::index(number)] = (number, target);
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl NativeVcpu {
    pub(crate) fn new(native: &Native, frame: &mut OwnFrame) -> Self {
        let reader = native.cache.register(frame.shared());
        let body = frame.body_mut();
        body.links = native.cache.links_address();
        body.functions = native.functions.as_ptr() as u64;
        body.context = &raw const *native.context as u64;
        body.memory_base = native.memory_base;
        body.memory_limit = native.memory_limit;
        Self {
            reader,
            epoch: 0,
            jump_cache: JumpCache::new(),
            mode: None,
            other_modes: HashMap::new(),
            links: KnownLinks::default(),
        }
    }

    /// Passes a safepoint: code addresses known from before are dropped if code was dropped meanwhile.
    pub(crate) fn arrive(&mut self, native: &Native) {
        let epoch = self.reader.arrive(&native.cache.epochs);
        if epoch != self.epoch {
            self.epoch = epoch;
            self.jump_cache.clear();
            self.other_modes.values_mut().for_each(JumpCache::clear);
            self.links.clear();
        }
    }

    /// Runs no compiled code until the next [`NativeVcpu::arrive`].
    pub(crate) fn leave(&self) {
        self.reader.leave();
    }

    /// Points the frame at the jump cache of its state's mode.
    fn choose_jump_cache(&mut self, frame: &mut OwnFrame) {
        let mode = frame.state().mode();
        if self.mode != Some(mode) {
            if let Some(old) = self.mode.replace(mode) {
                let cache = self.other_modes.remove(&mode).unwrap_or_else(JumpCache::new);
                self.other_modes.insert(old, std::mem::replace(&mut self.jump_cache, cache));
            }
            self.jump_cache.show(frame.body_mut());
        }
    }

    /// Remembers where the code for `pc` in the mode of the frame is, and points the frame at that mode's jump cache.
    fn remember(&mut self, frame: &mut OwnFrame, pc: GuestAddr, code: CodePtr) {
        self.choose_jump_cache(frame);
        if self.jump_cache.remember(pc, code) {
            self.jump_cache.show(frame.body_mut());
        }
    }

    /// Runs compiled code from the frame's state, as long as there is some. Places of which `cold` knows a block are left
    /// to the interpreter without a look for code.
    pub(crate) fn run<'c>(
        &mut self,
        engine: &Engine,
        native: &Native,
        frame: &mut OwnFrame,
        meter: &Meter,
        cold: &dyn Fn(BlockKey) -> Option<BodyRef<'c>>,
    ) -> Went<'c> {
        if native.cache.has_due() {
            hostfp::suspend(|| native.promote(engine));
        }
        self.arrive(native);
        let key = frame.state().key();
        let known = if self.mode == Some(key.mode) { self.jump_cache.recall(key.pc) } else { None };
        let code = match known.or_else(|| native.cache.lookup(key)) {
            Some(code) => code,
            None if !engine.config.tier.compiles_first() => return Went::Nowhere,
            None => {
                // Compiling takes long, and whoever drops code waits for the vCPUs that may be running it.
                self.leave();
                meter.now(Activity::Compile);
                let made = hostfp::suspend(|| compile_first(engine, native, key));
                meter.now(Activity::Dispatch);
                self.arrive(native);
                match (made, native.cache.lookup(key)) {
                    (First::Made, Some(code)) => code,
                    // Dropped before it could be entered: somebody invalidated what it was made from.
                    (First::Made, None) => return Went::On,
                    (First::Unfetchable, _) => return Went::Nowhere,
                    (First::Refused, _) => return Went::Out(Exit::Uncompilable),
                }
            }
        };
        if known.is_none() {
            self.remember(frame, key.pc, code);
        }
        self.follow(engine, native, frame, meter, code, cold)
    }

    /// Runs `code` and what follows it.
    fn follow<'c>(
        &mut self,
        engine: &Engine,
        native: &Native,
        frame: &mut OwnFrame,
        meter: &Meter,
        mut code: CodePtr,
        cold: &dyn Fn(BlockKey) -> Option<BodyRef<'c>>,
    ) -> Went<'c> {
        loop {
            self.choose_jump_cache(frame);
            meter.now(Activity::Compiled);
            // SAFETY:
            // - code: looked up after this vCPU's last safepoint, so its memory stays until the next one;
            // - frame: `NativeVcpu::new` set its addresses, all of which the engine owns while the vCPU lives; the jump
            //   cache is the one of the state's mode, of the length that generated code assumes;
            // - memory: the options in force when the code was compiled are those of the engine's memory.
            let exit = unsafe { frame.enter(code) };
            meter.now(Activity::Dispatch);
            let (value, addr) = (frame.body().exit_value, GuestAddr::new(frame.body().exit_addr));
            let next = match exit {
                ExitCode::Continue => {
                    self.arrive(native);
                    let key = frame.state().key();
                    let body = cold(key);
                    if body.is_some() {
                        return Went::Cold(body);
                    }
                    let found = native.cache.lookup(key);
                    if let Some(code) = found {
                        self.remember(frame, key.pc, code);
                    }
                    found
                }
                ExitCode::Link => {
                    // Before the safepoint: afterwards the number may be another region's.
                    let number = value as u32;
                    let known = self.links.get(number);
                    let body = known.and_then(cold);
                    let target = match known {
                        Some(target) if body.is_some() => target,
                        _ => {
                            let target = native.link(number);
                            self.links.remember(number, target);
                            target
                        }
                    };
                    frame.state_mut().set_pc(target.pc);
                    self.arrive(native);
                    if body.is_some() {
                        return Went::Cold(body);
                    }
                    native.cache.lookup(target)
                }
                ExitCode::Syscall => return Went::Out(Exit::Syscall),
                ExitCode::Trap => {
                    let kind = TrapKind::ALL[value as usize];
                    return Went::Out(Exit::Trap(Trap::Instruction { kind, addr }));
                }
                ExitCode::Poll => return Went::On,
                ExitCode::Flush => {
                    hostfp::suspend(|| engine.flush_code());
                    return Went::On;
                }
                ExitCode::Fault => return Went::Out(Exit::Trap(Trap::Memory(frame.body().fault()))),
                ExitCode::Declined => {
                    let key = frame.state().key();
                    hostfp::suspend(|| native.declined(engine, key));
                    self.arrive(native);
                    return Went::Cold(None);
                }
                ExitCode::Replay => {
                    // What ran behind the access may have raised flags that nothing of the guest's did.
                    hostfp::restore(frame.body_mut().take_step());
                    self.arrive(native);
                    return Went::Cold(None);
                }
            };
            match next {
                Some(next) => code = next,
                // The run loop has the code made first.
                None if engine.config.tier.compiles_first() => return Went::On,
                None => return Went::Cold(None),
            }
        }
    }
}

/// What compiling before running gave.
enum First {
    /// The code is, or was for a moment, in the cache.
    Made,
    Unfetchable,
    Refused,
}

fn compile_first(engine: &Engine, native: &Native, key: BlockKey) -> First {
    let block = engine.source.translate(key, &*engine.memory, Effort::Full);
    if is_unfetchable(&block) {
        return First::Unfetchable;
    }
    let made = native.compile_now(Request { key, tier: CompiledTier::One, heat: 0 });
    // Another thread may have been faster.
    if made || native.cache.holds(key) { First::Made } else { First::Refused }
}
