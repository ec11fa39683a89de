//! [`Engine`], shared by the guest's threads, and [`Vcpu`], one guest thread.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use vm_core::{CpuState, GuestAddr, GuestMemory, GuestRange};
use vm_ir::{Block, BlockSource, HeldSource, Helper};

use crate::config::{Config, Exact, TierPolicy};
use crate::disturb;
use crate::fault;
use crate::flushed::Flushed;
use crate::frame::{Frame, OwnFrame};
use crate::hot::HotspotDetector;
use crate::interp::{Counts, Interpreter, Lowering, Tier0Cache};
#[cfg(feature = "jit")]
use crate::jit::compiled::CompiledTier;
#[cfg(feature = "jit")]
use crate::native::{Hold, Native, NativeVcpu};
#[cfg(feature = "jit")]
use crate::region::Quality;
use crate::run::Held;
use crate::sample::{Meter, Profiler};
use crate::stats::{Counters, EngineStats, LocalCounters};

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// [`TierPolicy::Compile`] was asked of an engine that was built without the feature `jit`.
    #[error("this engine was built without a compiler; tier {policy} is not available")]
    NoCompiler {
        /// What was asked for.
        policy: TierPolicy,
    },
    /// There is no code generator for this host.
    #[cfg(feature = "jit")]
    #[error(transparent)]
    Compiler(#[from] crate::jit::CompileError),
    /// The host refuses address space or signal handling.
    #[error("the host refused what an engine needs")]
    Host(#[from] io::Error),
}

/// Runs guest code: the part that all vCPUs of a guest process share.
///
/// It takes blocks from a [`BlockSource`] and memory from a [`GuestMemory`], and knows neither a guest instruction set
/// nor an operating system.
pub struct Engine {
    pub(crate) source: Arc<dyn BlockSource>,
    pub(crate) memory: Arc<dyn GuestMemory>,
    pub(crate) helpers: &'static [Helper],
    pub(crate) config: Config,
    pub(crate) detector: HotspotDetector,
    pub(crate) counters: Counters,
    /// What samples the vCPUs, once somebody has asked for that.
    pub(crate) profiler: OnceLock<Arc<Profiler>>,
    /// Generation of guest code: moves on when code may have changed.
    pub(crate) generation: AtomicU32,
    /// Number of the current cache of blocks.
    pub(crate) cache_number: AtomicU64,
    /// The [`Exact`] in force.
    exact: AtomicU8,
    caches: Mutex<Caches>,
    /// vCPUs that there are.
    vcpus: AtomicUsize,
    /// The compiled tiers, unless the policy is to interpret. Set once, before the engine is handed out.
    #[cfg(feature = "jit")]
    native: OnceLock<Native>,
}

/// The caches of interpreter blocks: a new one replaces one that has grown too large.
struct Caches {
    current: Arc<Tier0Cache>,
    /// Replaced caches that a vCPU may still be running from.
    replaced: Vec<Weak<Tier0Cache>>,
    /// Sizes of replaced caches, summed.
    gone: Counts,
    flushed: Flushed,
}

/// How many times as hot code must be where there is no baseline compiler.
const WITHOUT_BASELINE: u32 = 8;

impl Engine {
    /// An engine that runs what `source` translates from `memory`.
    ///
    /// # Errors
    /// [`EngineError::NoCompiler`] for [`TierPolicy::Compile`] without the feature `jit`; the others if the host has no
    /// code generator or refuses address space or signal handlers.
    pub fn new(
        source: Arc<dyn BlockSource>,
        memory: Arc<dyn GuestMemory>,
        config: Config,
    ) -> Result<Arc<Self>, EngineError> {
        if config.tier.compiles_first() && !cfg!(feature = "jit") {
            return Err(EngineError::NoCompiler { policy: config.tier });
        }
        let caches = Caches {
            current: Arc::new(Tier0Cache::new()),
            replaced: Vec::new(),
            gone: Counts::default(),
            flushed: Flushed::default(),
        };
        fault::install()?;
        #[cfg(feature = "jit")]
        let dear = match crate::native::quality(config.tier, &*memory, CompiledTier::One) {
            Quality::Baseline => 1,
            Quality::Optimised => WITHOUT_BASELINE,
        };
        #[cfg(not(feature = "jit"))]
        let dear = WITHOUT_BASELINE;
        let hot_threshold = config.hot_threshold.max(1).saturating_mul(dear);
        let engine = Arc::new(Self {
            helpers: source.helpers(),
            source,
            memory,
            detector: HotspotDetector::new(&Config { hot_threshold, ..config.clone() }),
            exact: AtomicU8::new(config.exact as u8),
            config,
            counters: Counters::default(),
            profiler: OnceLock::new(),
            generation: AtomicU32::new(1),
            cache_number: AtomicU64::new(0),
            caches: Mutex::new(caches),
            vcpus: AtomicUsize::new(0),
            #[cfg(feature = "jit")]
            native: OnceLock::new(),
        });
        #[cfg(feature = "jit")]
        if let Some(native) = Native::new(&engine)? {
            let _ = engine.native.set(native); // the cell is empty: nobody else has the engine yet
        }
        disturb::start(&engine);
        Ok(engine)
    }

    /// A vCPU of this engine with a state of zeros.
    #[must_use]
    pub fn vcpu(self: &Arc<Self>) -> Vcpu {
        let (cache, cache_number) = self.cache();
        self.vcpus.fetch_add(1, Ordering::Relaxed);
        #[cfg_attr(not(feature = "jit"), expect(unused_mut, reason = "compiled code needs addresses in it"))]
        let mut frame = OwnFrame::new();
        Vcpu {
            #[cfg(feature = "jit")]
            native: self.native().map(|native| NativeVcpu::new(native, &mut frame)),
            engine: Arc::clone(self),
            frame,
            interpreter: Interpreter::new(cache),
            ir: Block::empty(),
            lowering: Lowering::default(),
            local: LocalCounters::default(),
            meter: Arc::new(Meter::new()),
            cache_number,
            held: None,
        }
    }

    /// The configuration that the engine was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The guest's memory.
    #[must_use]
    pub fn memory(&self) -> &Arc<dyn GuestMemory> {
        &self.memory
    }

    /// Where blocks come from.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn BlockSource> {
        &self.source
    }

    /// The compiled tiers, unless the policy is to interpret.
    #[cfg(feature = "jit")]
    pub(crate) fn native(&self) -> Option<&Native> {
        self.native.get()
    }

    /// Drops everything translated from `range`: its bytes or its mapping changed. When the call returns, code of the
    /// range is not entered again before it has been translated anew; a vCPU that is in the middle of a block finishes
    /// that block.
    pub fn invalidate(&self, range: GuestRange) {
        let mut caches = self.caches();
        caches.flushed.remove(range);
        caches.current.invalidate(range);
        for cache in caches.replaced.iter().filter_map(Weak::upgrade) {
            cache.invalidate(range);
        }
        // A fork takes the locks of compiled code first.
        drop(caches);
        #[cfg(feature = "jit")]
        if let Some(native) = self.native() {
            native.cache.invalidate(range);
        }
    }

    /// Says that guest code may have changed anywhere, as the guest's own flush instruction does: every translation is
    /// compared with the bytes in memory before it runs again, but for pages that are [fixed](GuestMemory::is_fixed).
    pub fn flush_code(&self) {
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.caches().flushed.add_everything();
        self.doubt_code();
    }

    /// Has every translation compared with memory before it runs again, without a word of the guest's.
    pub(crate) fn doubt_code(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        #[cfg(feature = "jit")]
        if let Some(native) = self.native() {
            native.cache.revalidate(GuestRange::everything());
        }
    }

    /// Says that guest code may have changed in the pages of `range`: what was translated from them is compared with
    /// the bytes in memory, and dropped where it differs, before the call returns. Costs nothing for code elsewhere.
    pub fn flush_range(&self, range: GuestRange) {
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        let mut caches = self.caches();
        caches.flushed.add(range);
        caches.current.revalidate(range, &*self.memory);
        for cache in caches.replaced.iter().filter_map(Weak::upgrade) {
            cache.revalidate(range, &*self.memory);
        }
        drop(caches);
        #[cfg(feature = "jit")]
        if let Some(native) = self.native() {
            native.cache.revalidate(range);
        }
    }

    /// Whether the guest may change the code in `range` without a word: some of it is where programs make code as they run,
    /// and of that page this one has never said that code changed. Such code is looked at each time, and not compiled.
    pub(crate) fn may_change_unsaid(&self, range: GuestRange) -> bool {
        range.pages().any(|page| self.memory.holds_made_code(page) && !self.caches().flushed.covers(page))
    }

    /// Waits until no vCPU is inside compiled code that was dropped before the call, as a flush of all processors does;
    /// at most a second, for a thread that the host keeps from running runs no code either. To be called
    /// between the runs of the caller's own vCPU.
    pub fn wait_for_vcpus(&self) {
        #[cfg(feature = "jit")]
        if let Some(native) = self.native() {
            native.cache.wait_for_readers(std::time::Duration::from_secs(1));
        }
    }

    /// Lets compile threads that begin from now on keep the process's descriptors, whatever
    /// [`Config::detach_descriptors`] says. To give them up, a thread closes copies of them, which has effects on some files:
    /// that of a message queue forgets whom it was to notify.
    pub fn keep_descriptors(&self) {
        #[cfg(feature = "jit")]
        if let Some(native) = self.native() {
            native.pool.keep_descriptors();
        }
    }

    /// Changes what the state shows at a fault in compiled code; code compiled for less is dropped. The interpreter
    /// always shows everything.
    pub fn set_exact(&self, exact: Exact) {
        let before = self.exact.swap(exact as u8, Ordering::AcqRel);
        #[cfg(feature = "jit")]
        if let Some(native) = self.native().filter(|_| before != exact as u8) {
            native.cache.require(exact);
        }
        #[cfg(not(feature = "jit"))]
        let _ = before;
    }

    /// What the state shows at a fault in compiled code now.
    #[must_use]
    pub fn exact(&self) -> Exact {
        if self.exact.load(Ordering::Acquire) == Exact::Pc as u8 { Exact::Pc } else { Exact::Registers }
    }

    /// What the engine has done so far.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let (now, gone) = {
            let caches = self.caches();
            (caches.current.counts(), caches.gone)
        };
        let relaxed = Ordering::Relaxed;
        EngineStats {
            tier0_instructions: self.counters.tier0_instructions.load(relaxed),
            blocks: now.blocks + gone.blocks,
            block_instructions: now.guest_instructions + gone.guest_instructions,
            blocks_retired: now.retired + gone.retired,
            block_bytes: now.bytes,
            block_lookups: self.counters.block_lookups.load(relaxed),
            block_hits: self.counters.block_hits.load(relaxed),
            flushes: self.counters.flushes.load(relaxed),
            tier0_restarts: self.counters.tier0_restarts.load(relaxed),
            compiled_instructions: self.counters.compiled_instructions.load(relaxed),
            #[cfg(feature = "jit")]
            regions: self.native().map(|native| native.cache.stats()).unwrap_or_default(),
            #[cfg(not(feature = "jit"))]
            regions: Default::default(),
        }
    }

    /// Brings the engine into a state that a child process can go on from. To be called by the thread that forks;
    /// nobody else can change the engine's tables until the guard has been told where it is.
    pub fn prepare_fork(self: &Arc<Self>) -> ForkGuard<'_> {
        // Nowhere else are the locks of compiled code taken under that of the caches, or the other way round.
        ForkGuard {
            #[cfg(feature = "jit")]
            native: self.native().map(Native::hold),
            engine: self,
            caches: self.caches(),
            source: self.source.hold(),
        }
    }

    /// Lets every vCPU that runs compiled code pass its run loop.
    pub(crate) fn nudge(&self) {
        #[cfg(feature = "jit")]
        if let Some(native) = self.native() {
            native.cache.epochs.advance();
        }
    }

    fn caches(&self) -> MutexGuard<'_, Caches> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current cache of blocks and its number.
    pub(crate) fn cache(&self) -> (Arc<Tier0Cache>, u64) {
        let caches = self.caches();
        (Arc::clone(&caches.current), self.cache_number.load(Ordering::Relaxed))
    }

    /// Replaces cache number `number` by an empty one, unless that has been done.
    #[cold]
    #[inline(never)]
    pub(crate) fn restart_cache(&self, number: u64) {
        let mut caches = self.caches();
        if self.cache_number.load(Ordering::Relaxed) != number {
            return;
        }
        self.replace_cache(&mut caches);
    }

    fn replace_cache(&self, caches: &mut Caches) {
        let old = std::mem::replace(&mut caches.current, Arc::new(Tier0Cache::new()));
        let counts = old.counts();
        caches.gone.blocks += counts.blocks;
        caches.gone.retired += counts.retired;
        caches.gone.guest_instructions += counts.guest_instructions;
        caches.replaced.retain(|cache| cache.strong_count() > 0);
        caches.replaced.push(Arc::downgrade(&old));
        self.counters.tier0_restarts.fetch_add(1, Ordering::Relaxed);
        self.cache_number.fetch_add(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Holds an engine still across `fork`. The parent calls [`ForkGuard::parent`], the child [`ForkGuard::child`].
#[must_use = "the engine stands still until the guard is told where it is"]
pub struct ForkGuard<'a> {
    #[cfg(feature = "jit")]
    native: Option<Hold<'a>>,
    engine: &'a Arc<Engine>,
    caches: MutexGuard<'a, Caches>,
    source: Box<dyn HeldSource + 'a>,
}

impl ForkGuard<'_> {
    /// Goes on in the parent.
    pub fn parent(self) {
        drop(self.source);
        drop(self.caches);
    }

    /// Goes on in the child, whose only thread is the caller's: vCPUs of other threads do not exist here.
    pub fn child(mut self) {
        self.source.in_child();
        if self.engine.vcpus.swap(1, Ordering::Relaxed) > 1 {
            // A thread that is not here may have been changing something in a cache, and will never finish.
            self.engine.replace_cache(&mut self.caches);
            self.caches.replaced.clear();
        }
        drop(self.caches);
        #[cfg(feature = "jit")]
        if let Some(native) = self.native {
            native.in_child();
        }
        disturb::start(self.engine);
    }
}

impl std::fmt::Debug for ForkGuard<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForkGuard").finish_non_exhaustive()
    }
}

/// Stops a vCPU from any thread, or from a signal handler: it does nothing but an atomic store.
#[derive(Clone)]
pub struct InterruptHandle {
    frame: Arc<Frame>,
}

impl InterruptHandle {
    /// Makes the vCPU's current run, or its next one, come back with [`Exit::Interrupted`](vm_core::Exit::Interrupted)
    /// after at most one block, or one round of a compiled loop.
    pub fn interrupt(&self) {
        self.frame.interrupt();
    }
}

impl std::fmt::Debug for InterruptHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InterruptHandle").finish_non_exhaustive()
    }
}

/// One guest thread: its registers, and what runs them. Belongs to one host thread at a time.
pub struct Vcpu {
    pub(crate) engine: Arc<Engine>,
    pub(crate) frame: OwnFrame,
    #[cfg(feature = "jit")]
    pub(crate) native: Option<NativeVcpu>,
    pub(crate) interpreter: Interpreter,
    /// The block that was translated last, for its memory.
    pub(crate) ir: Block,
    pub(crate) lowering: Lowering,
    pub(crate) local: LocalCounters,
    /// Says what it does.
    pub(crate) meter: Arc<Meter>,
    pub(crate) cache_number: u64,
    pub(crate) held: Option<Box<Held>>,
}

impl Vcpu {
    /// The guest's registers. Exact between runs.
    #[must_use]
    pub fn state(&self) -> &CpuState {
        self.frame.state()
    }

    /// The guest's registers, to be changed between runs. Words beyond the slots belong to the engine.
    pub fn state_mut(&mut self) -> &mut CpuState {
        self.frame.state_mut()
    }

    /// The engine that this vCPU belongs to.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// A handle with which another thread, or a signal handler, stops this vCPU.
    #[must_use]
    pub fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle { frame: Arc::clone(self.frame.shared()) }
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        self.engine.vcpus.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Vcpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vcpu").field("state", self.state()).finish_non_exhaustive()
    }
}

/// Whether the bytes at `pc` are still `bytes`.
pub(crate) fn bytes_match(memory: &dyn GuestMemory, pc: GuestAddr, bytes: &[u8]) -> bool {
    let mut now = [0; 64];
    let mut at = pc;
    for part in bytes.chunks(now.len()) {
        let now = &mut now[..part.len()];
        match memory.fetch(at, now) {
            Ok(len) if len == part.len() && now == part => {}
            Ok(_) | Err(_) => return false,
        }
        at = at.offset(part.len() as i64);
    }
    true
}
