//! [`TranslationPipeline`]: guest bytes to blocks.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_core::{Access, BlockKey, GuestArch, GuestMemory, GuestRange, MemFault, TrapKind};
use vm_ir::opt::{self, Scratch};
use vm_ir::{Block, BlockSource, Effort, End, HeldSource, Helper, SlotInfo, Target};

use crate::cache::{
    CacheLimits, CacheStats, Translated, TranslationCacheKey, TranslationResultCache, TranslationTarget,
};
use crate::guest::{Extensions, Guest, Length};
use crate::lift::{Flow, Lift};
use crate::registry;

/// Most guest instructions that a block may hold.
pub const MAX_INSTRUCTIONS: usize = 64;

/// Most guest instructions that are done on condition in place of a branch around them.
const MAX_SKIPPED: usize = 3;

/// How to translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslationOptions {
    /// Extensions that the guest is not to have; none by default.
    pub without: Extensions,
    /// Most guest instructions in a block, 1 to [`MAX_INSTRUCTIONS`], which is the default. One makes single steps.
    pub max_instructions: usize,
    /// Whether every block is checked against the table of ops after each step. On by default in debug builds.
    pub verify: bool,
    /// Bounds of the result cache.
    pub cache: CacheLimits,
}

impl Default for TranslationOptions {
    fn default() -> Self {
        Self {
            without: Extensions::NONE,
            max_instructions: MAX_INSTRUCTIONS,
            verify: cfg!(debug_assertions),
            cache: CacheLimits::default(),
        }
    }
}

/// Why there is no such pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// This build has no translator for the architecture.
    #[error("this build does not translate {arch}")]
    UnsupportedArch {
        /// The architecture.
        arch: GuestArch,
    },
    /// An extension is left out that the guest cannot do without.
    #[error("{arch} cannot do without extension {name}")]
    RequiredExtension {
        /// The architecture.
        arch: GuestArch,
        /// The extension.
        name: &'static str,
    },
    /// The limit of instructions in a block is out of range.
    #[error("a block holds 1 to {MAX_INSTRUCTIONS} instructions, not {given}")]
    MaxInstructions {
        /// The limit asked for.
        given: usize,
    },
}

/// Counters of a [`TranslationPipeline`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TranslationStats {
    /// The result cache's counters.
    pub cache: CacheStats,
    /// Blocks translated with [`Effort::Once`] or [`Effort::Quick`].
    pub quick: u64,
    /// Blocks translated with [`Effort::Full`], those without their last branch among them.
    pub full: u64,
    /// Guest instructions in these blocks.
    pub instructions: u64,
}

impl TranslationStats {
    /// Share of requests answered without translating, 0 to 1; 0 before the first request.
    #[must_use]
    pub fn cache_hit_rate(&self) -> f64 {
        if self.cache.requests == 0 {
            return 0.0;
        }
        (self.cache.hits + self.cache.joined) as f64 / self.cache.requests as f64
    }
}

/// Translates guest code into blocks and remembers the results.
///
/// A block covers 1 to [`TranslationOptions::max_instructions`] guest instructions and ends early where control does,
/// where the next instruction cannot be fetched, and after an instruction that traps. Bytes that are unreadable or no
/// instruction give a block that ends in a trap.
pub struct TranslationPipeline {
    guest: &'static dyn Guest,
    extensions: Extensions,
    options: TranslationOptions,
    cache: TranslationResultCache,
    quick: AtomicU64,
    full: AtomicU64,
    instructions: AtomicU64,
}

thread_local! {
    /// What the passes work in, kept from block to block.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

impl TranslationPipeline {
    /// A pipeline for `arch`.
    ///
    /// # Errors
    /// [`PipelineError`] if the build does not know the architecture or the options are out of range.
    pub fn new(arch: GuestArch, options: TranslationOptions) -> Result<Self, PipelineError> {
        let guest = registry::guest(arch).ok_or(PipelineError::UnsupportedArch { arch })?;
        let missing = guest.extensions().iter().find(|extension| {
            guest.required_extensions().intersects(extension.set) && options.without.intersects(extension.set)
        });
        if let Some(extension) = missing {
            return Err(PipelineError::RequiredExtension { arch, name: extension.name });
        }
        if !(1..=MAX_INSTRUCTIONS).contains(&options.max_instructions) {
            return Err(PipelineError::MaxInstructions { given: options.max_instructions });
        }
        Ok(Self {
            guest,
            extensions: guest.all_extensions().without(options.without),
            options,
            cache: TranslationResultCache::new(options.cache),
            quick: AtomicU64::new(0),
            full: AtomicU64::new(0),
            instructions: AtomicU64::new(0),
        })
    }

    /// The guest's description.
    #[must_use]
    pub fn guest(&self) -> &'static dyn Guest {
        self.guest
    }

    /// The extensions that the guest has.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> TranslationStats {
        TranslationStats {
            cache: self.cache.stats(),
            quick: self.quick.load(Ordering::Relaxed),
            full: self.full.load(Ordering::Relaxed),
            instructions: self.instructions.load(Ordering::Relaxed),
        }
    }

    /// Forgets every translation of bytes in `range`.
    pub fn invalidate(&self, range: GuestRange) {
        self.cache.invalidate(range);
    }

    /// The block at `key` as its lifters give it, before any pass.
    #[must_use]
    pub fn lift(&self, key: BlockKey, memory: &dyn GuestMemory) -> Block {
        let mut block = Block::empty();
        self.lift_into(key, memory, &mut block);
        block
    }

    fn cache_key(&self, block: BlockKey) -> TranslationCacheKey {
        TranslationCacheKey {
            arch: self.guest.arch(),
            extensions: self.extensions,
            target: TranslationTarget::Ir,
            block,
            max_instructions: self.options.max_instructions,
        }
    }

    /// Translates without asking what is remembered: that is code that is hot.
    fn translate_quickly(&self, key: BlockKey, memory: &dyn GuestMemory, effort: Effort, block: &mut Block) {
        self.lift_into(key, memory, block);
        if effort == Effort::Quick {
            SCRATCH.with_borrow_mut(|scratch| opt::clean_up(block, scratch));
            self.check(block, "clean-up");
        }
        self.count(&self.quick, block);
    }

    fn translate_fully(&self, key: BlockKey, memory: &dyn GuestMemory) -> Translated {
        let mut block = Block::empty();
        let remember = self.lift_into(key, memory, &mut block);
        Translated { block: self.optimise(block), remember }
    }

    fn optimise(&self, mut block: Block) -> Arc<Block> {
        opt::optimise(&mut block, self.guest.helpers());
        self.check(&block, "optimisation");
        block.bytes.shrink_to_fit();
        block.insts.shrink_to_fit();
        block.marks.shrink_to_fit();
        self.count(&self.full, &block);
        Arc::new(block)
    }

    fn count(&self, blocks: &AtomicU64, block: &Block) {
        blocks.fetch_add(1, Ordering::Relaxed);
        self.instructions.fetch_add(block.guest_len() as u64, Ordering::Relaxed);
    }

    /// Makes `block` the lifted block; says whether it follows from its bytes alone.
    fn lift_into(&self, key: BlockKey, memory: &dyn GuestMemory, block: &mut Block) -> bool {
        let mut old = std::mem::replace(block, Block::empty());
        let mut window = Window::new(key, memory, std::mem::take(&mut old.bytes));
        let mut cx = Lift::reusing(old, key);
        let end = if key.pc.is_aligned(self.guest.alignment()) {
            self.lift_instructions(&mut cx, &mut window)
        } else {
            window.remember = false;
            cx.begin(0, 0);
            cx.trap(TrapKind::MisalignedFetch)
        };
        window.bytes.truncate(window.used);
        *block = cx.finish(end, window.bytes);
        self.check(block, "lifting");
        window.remember
    }

    fn lift_instructions(&self, cx: &mut Lift, window: &mut Window<'_>) -> End {
        for _ in 0..self.options.max_instructions {
            match self.lift_next(cx, window) {
                Ok(Flow::Next) => {}
                Ok(Flow::End(end)) => return end,
                Ok(Flow::Illegal) => return cx.trap(TrapKind::Illegal),
                Err(_) if window.used > 0 => break,
                Err(fault) => {
                    window.remember = false;
                    cx.begin(0, 0);
                    let unreadable = fault.addr().offset_from(window.key.pc);
                    return End::Trap { kind: fetch_trap(fault), at: Target(0), addr: Target(unreadable) };
                }
            }
        }
        End::Jump { target: Target(window.used as i64) }
    }

    /// Lifts the next instruction of the window, or says why it cannot be fetched.
    #[inline]
    fn lift_next(&self, cx: &mut Lift, window: &mut Window<'_>) -> Result<Flow, MemFault> {
        let offset = window.used;
        let len = window.next_length(self.guest)?;
        cx.begin(offset as u16, len as u8);
        window.used += len;
        Ok(self.guest.lift(&window.bytes[offset..offset + len], self.extensions, cx))
    }

    /// See [`BlockSource::translate_joined`].
    fn join(&self, key: BlockKey, memory: &dyn GuestMemory) -> Option<Block> {
        if !key.pc.is_aligned(self.guest.alignment()) {
            return None;
        }
        let mut window = Window::new(key, memory, Vec::new());
        let mut cx = Lift::new(key);
        let End::Branch { cond, taken, fall } = self.lift_instructions(&mut cx, &mut window) else { return None };
        let (first, end) = (cx.ir.guest_len(), usize::try_from(taken.0).ok()?);
        if fall != Target(window.used as i64) {
            return None;
        }
        for _ in 0..MAX_SKIPPED.min(self.options.max_instructions - first) {
            if window.used < end && self.lift_next(&mut cx, &mut window).ok()? != Flow::Next {
                return None;
            }
        }
        if window.used != end {
            return None;
        }
        window.bytes.truncate(window.used);
        let mut block = cx.finish(End::Jump { target: taken }, window.bytes);
        let from = block.marks.get(first)?.first as usize;
        opt::do_unless(&mut block, from, cond).then_some(block)
    }

    /// Checks a block where the options ask for it.
    ///
    /// # Panics
    /// If it breaks a rule of the table of ops: a lifter or a pass is wrong.
    fn check(&self, block: &Block, after: &str) {
        if self.options.verify
            && let Err(error) = vm_ir::verify(block, Some(self.guest.slots()), self.guest.helpers())
        {
            panic!("{after} gave a wrong block: {error}\n{block}");
        }
    }
}

impl BlockSource for TranslationPipeline {
    fn translate(&self, key: BlockKey, memory: &dyn GuestMemory, effort: Effort) -> Arc<Block> {
        let cache_key = self.cache_key(key);
        let quickly = || {
            let mut block = Block::empty();
            self.translate_quickly(key, memory, effort, &mut block);
            Arc::new(block)
        };
        match effort {
            Effort::Once | Effort::Quick => self.cache.get(&cache_key, memory).unwrap_or_else(quickly),
            Effort::Full => self.cache.get_or_translate(&cache_key, memory, || self.translate_fully(key, memory)),
        }
    }

    fn translate_into(&self, key: BlockKey, memory: &dyn GuestMemory, effort: Effort, block: &mut Block) {
        match effort {
            Effort::Once | Effort::Quick => self.translate_quickly(key, memory, effort, block),
            Effort::Full => *block = Arc::unwrap_or_clone(self.translate(key, memory, effort)),
        }
    }

    fn translate_joined(&self, key: BlockKey, memory: &dyn GuestMemory) -> Option<Arc<Block>> {
        let block = self.join(key, memory)?;
        self.check(&block, "joining");
        Some(self.optimise(block))
    }

    fn helpers(&self) -> &'static [Helper] {
        self.guest.helpers()
    }

    fn slots(&self) -> &'static [SlotInfo] {
        self.guest.slots()
    }

    fn hold(&self) -> Box<dyn HeldSource + '_> {
        Box::new(self.cache.hold())
    }
}

impl std::fmt::Debug for TranslationPipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TranslationPipeline")
            .field("arch", &self.guest.arch())
            .field("options", &self.options)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The trap of a failed fetch. What nothing backs counts as unmapped.
const fn fetch_trap(fault: MemFault) -> TrapKind {
    match fault {
        MemFault::Unmapped { .. } | MemFault::Unbacked { .. } => TrapKind::FetchUnmapped,
        MemFault::Forbidden { .. } => TrapKind::FetchForbidden,
    }
}

/// Bytes asked for at once: most blocks are shorter.
const CHUNK: usize = 64;

/// The bytes of a block, fetched as far as they are needed.
struct Window<'a> {
    key: BlockKey,
    memory: &'a dyn GuestMemory,
    /// What was fetched, and on the way to that what is to be.
    bytes: Vec<u8>,
    /// Bytes of the instructions so far.
    used: usize,
    /// Whether the block follows from its bytes alone.
    remember: bool,
}

impl<'a> Window<'a> {
    /// Uses the memory of `bytes` again.
    fn new(key: BlockKey, memory: &'a dyn GuestMemory, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { key, memory, bytes, used: 0, remember: true }
    }

    /// Length of the next instruction, all of whose bytes are then there.
    #[inline]
    fn next_length(&mut self, guest: &dyn Guest) -> Result<usize, MemFault> {
        loop {
            match guest.length(&self.bytes[self.used..]) {
                Length::Whole(len) => return Ok(len),
                Length::Needs(_) => self.fetch()?,
            }
        }
    }

    /// Fetches at least one more byte.
    #[inline(never)]
    fn fetch(&mut self) -> Result<(), MemFault> {
        let fetched = self.bytes.len();
        let addr = self.key.pc.offset(fetched as i64);
        self.bytes.resize(fetched + CHUNK, 0);
        let read = self.memory.fetch(addr, &mut self.bytes[fetched..]);
        self.bytes.truncate(fetched + *read.as_ref().unwrap_or(&0));
        // A memory that breaks its promise to give at least one byte.
        if read? == 0 { Err(MemFault::Unmapped { addr, access: Access::Execute }) } else { Ok(()) }
    }
}
