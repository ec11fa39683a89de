//! Regions to host code through Cranelift.

mod abi;
mod baseline;
#[allow(unsafe_code, reason = "seals executable pages")]
pub(crate) mod code;
pub(crate) mod compiled;
#[allow(unsafe_code, reason = "gives a thread descriptors of its own")]
mod detach;
mod emit;
#[allow(unsafe_code, reason = "the call into generated code")]
mod enter;
#[allow(unsafe_code, reason = "a table that generated code reads")]
pub(crate) mod link_table;
pub(crate) mod pool;
#[allow(unsafe_code, reason = "called by generated code with the frame's address")]
mod runtime;
#[cfg(test)]
#[allow(unsafe_code, reason = "tests enter generated code")]
mod tests;

pub(crate) use enter::{enter, fault_exit, link_stub};
pub(crate) use runtime::{RuntimeContext, function_table};

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use target_lexicon::{Architecture, Triple};
use vm_core::{BlockKey, GuestAddr};
use vm_ir::{Helper, Op};

use crate::hostfp;
use crate::region::{Quality, RegionPlan};
use abi::FrameRegister;
use compiled::{CompiledRegion, CompiledTier, Sources};

/// Why a region was not compiled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CompileError {
    /// No code is generated for an op.
    #[error("no code is generated for {} in the block at {key}", op.name())]
    Unsupported {
        /// The op.
        op: Op,
        /// Its block.
        key: BlockKey,
    },
    /// A block calls a helper that its guest does not list.
    #[error("helper {index} is not in the guest's list")]
    UnknownHelper {
        /// The index asked for.
        index: usize,
    },
    /// The target is not one that this build generates code for.
    #[error("no code generator for {target}: {reason}")]
    Target {
        /// The target asked for.
        target: String,
        /// The code generator's words.
        reason: String,
    },
    /// The code generator refused its input.
    #[error("the code generator refused the region at {key}: {reason}")]
    Codegen {
        /// Entry of the region.
        key: BlockKey,
        /// The code generator's words.
        reason: String,
    },
}

/// Host code of a region for any target, position independent.
#[derive(Clone, Debug)]
pub struct HostCode {
    /// The code.
    pub bytes: Vec<u8>,
    /// Host code offset at which the code of a guest instruction begins, ascending.
    pub pcs: Vec<(u32, GuestAddr)>,
    /// Places besides the first byte where it may be entered: offset and guest address.
    pub entries: Vec<(u32, GuestAddr)>,
    /// Which compiler made it.
    pub quality: Quality,
    /// Offsets of the code whose accesses the fault handler is to step over, ascending.
    pub(crate) steps_over: Vec<Range<u32>>,
}

/// Shared by all threads that compile for one target.
pub(crate) struct Jit {
    /// Cranelift for the target, made when it is first needed: it asks the processor what it is, and on a virtual machine
    /// each such question goes to the hypervisor. Programs that end soon need only baseline code, or none.
    generator: OnceLock<Generator>,
    /// The target is one that the baseline compiler is for.
    has_baseline: bool,
    /// Whether that may use fused multiply-add.
    has_fma: fn() -> bool,
    helpers: &'static [Helper],
}

/// Cranelift, set up for a target.
struct Generator {
    isa: OwnedTargetIsa,
    target: emit::Target,
    /// What regions are compiled as, if not what they are emitted and verified as.
    convention: Option<CallConv>,
}

impl std::fmt::Debug for Jit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jit").field("target", &self.generator.get().map(|it| it.target)).finish_non_exhaustive()
    }
}

/// What a compile thread keeps between regions.
pub(crate) struct Workspace {
    context: Context,
    builder: FunctionBuilderContext,
    control: ControlPlane,
    baseline: baseline::Memory,
}

impl Default for Workspace {
    fn default() -> Self {
        Self {
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            control: ControlPlane::default(),
            baseline: baseline::Memory::default(),
        }
    }
}

impl Generator {
    fn new(builder: cranelift_codegen::isa::Builder) -> Result<Self, CompileError> {
        let triple = builder.triple().clone();
        let frame = FrameRegister::of(&triple);
        let isa = builder.finish(settings::Flags::new(flags(frame))).map_err(|error| no_target(&triple, &error))?;
        let has = |name: &str| isa.isa_flags().iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
        let is_x86 = triple.architecture == Architecture::X86_64;
        let target = emit::Target {
            frame,
            steps_over: is_x86,
            is_tso: is_x86 || triple.architecture == Architecture::S390x,
            has_fma: !is_x86 || has("has_fma"),
            keeps_registers: is_x86,
            floats_in_lanes: is_x86,
            loads_vectors_at_once: is_x86 && has("has_avx"),
            has_cas128: is_x86 && has("has_cmpxchg16b"),
        };
        Ok(Self { isa, target, convention: abi::compiled_as(&triple) })
    }

    /// For the host that runs, with every instruction set extension it has.
    fn host() -> Result<Self, CompileError> {
        Self::new(cranelift_native::builder().map_err(|reason| no_target(&Triple::host(), &reason))?)
    }
}

fn no_target(target: &Triple, reason: &dyn std::fmt::Display) -> CompileError {
    CompileError::Target { target: target.to_string(), reason: reason.to_string() }
}

/// What Cranelift knows of the target.
fn look_up(target: &Triple) -> Result<isa::Builder, CompileError> {
    isa::lookup(target.clone()).map_err(|error| match error {
        isa::LookupError::SupportDisabled => no_target(target, &"it comes with the feature `all-hosts`"),
        isa::LookupError::Unsupported => no_target(target, &error),
    })
}

/// Whether this build generates code for a host architecture, named as for [`compile_for`].
#[must_use]
pub fn has_host(architecture: &str) -> bool {
    triple(architecture).is_ok_and(|target| look_up(&target).is_ok())
}

impl Jit {
    /// For the host that runs, yet to be [prepared](Self::prepare).
    pub(crate) fn host(helpers: &'static [Helper]) -> Result<Arc<Self>, CompileError> {
        let host = Triple::host();
        look_up(&host)?;
        let has_baseline = host.architecture == Architecture::X86_64;
        Ok(Arc::new(Self { generator: OnceLock::new(), has_baseline, has_fma: hostfp::has_fma, helpers }))
    }

    /// For another target, with its baseline instruction set.
    pub(crate) fn target(target: Triple, helpers: &'static [Helper]) -> Result<Arc<Self>, CompileError> {
        let has_baseline = target.architecture == Architecture::X86_64;
        let builder = look_up(&target)?;
        let generator = Generator::new(builder)?.into();
        Ok(Arc::new(Self { generator, has_baseline, has_fma: || false, helpers }))
    }

    /// Makes what is made when it is first needed.
    ///
    /// # Errors
    /// [`CompileError::Target`] if Cranelift does not know this host.
    pub(crate) fn prepare(&self) -> Result<(), CompileError> {
        self.generator().map(drop)
    }

    /// Cranelift for the target; for the host, where there is none yet.
    fn generator(&self) -> Result<&Generator, CompileError> {
        if let Some(generator) = self.generator.get() {
            return Ok(generator);
        }
        let generator = Generator::host()?;
        Ok(self.generator.get_or_init(|| generator))
    }

    /// Compiles `plan`. A pure function of the plan, the target and `first_link`, the number of its first link.
    ///
    /// # Errors
    /// [`CompileError`] if the plan holds ops that no code is generated for.
    pub(crate) fn compile(
        &self,
        plan: &RegionPlan,
        first_link: u32,
        workspace: &mut Workspace,
    ) -> Result<HostCode, CompileError> {
        if self.has_baseline && plan.options.quality == Quality::Baseline && baseline::handles(plan) {
            let made = baseline::compile(plan, self.helpers, self.has_fma, first_link, &mut workspace.baseline);
            if let Ok(code) = made {
                return Ok(code);
            }
        }
        let Generator { isa, target, convention } = self.generator()?;
        let context = &mut workspace.context;
        context.clear();
        context.func.signature = abi::region_signature(target.frame);
        context.func.name = UserFuncName::default();
        let builder = FunctionBuilder::new(&mut context.func, &mut workspace.builder);
        let refused = |reason| CompileError::Codegen { key: plan.entry, reason };
        let emitted = match emit::emit(plan, self.helpers, *target, first_link, builder) {
            Ok(emitted) => emitted,
            Err(error) => {
                workspace.builder = FunctionBuilderContext::new();
                return Err(error);
            }
        };
        if cfg!(test) {
            context.verify(&**isa).map_err(|errors| refused(errors.to_string()))?;
        }
        if let Some(convention) = convention {
            context.func.signature.call_conv = *convention;
        }
        let compiled =
            context.compile(&**isa, &mut workspace.control).map_err(|error| refused(format!("{:?}", error.inner)))?;
        let buffer = &compiled.buffer;
        let mut pcs: Vec<(u32, GuestAddr)> = Vec::new();
        let mut steps_over: Vec<Range<u32>> = Vec::new();
        for span in buffer.get_srclocs_sorted().iter().filter(|span| !span.loc.is_default()) {
            let emit::Place { pc, steps_over: steps } = emitted.places[span.loc.bits() as usize];
            if pcs.last().is_none_or(|(_, last)| *last != pc) {
                pcs.push((span.start, pc));
            }
            match steps_over.last_mut().filter(|last| last.end == span.start) {
                Some(last) if steps => last.end = span.end,
                _ if steps => steps_over.push(span.start..span.end),
                _ => {}
            }
        }
        Ok(HostCode {
            bytes: buffer.data().to_vec(),
            pcs,
            entries: Vec::new(),
            quality: Quality::Optimised,
            steps_over,
        })
    }

    /// Number of instructions of Cranelift's that are emitted for `plan` and that `counts`.
    #[cfg(test)]
    fn emitted(&self, plan: &RegionPlan, counts: impl Fn(&cranelift_codegen::ir::InstructionData) -> bool) -> usize {
        let mut workspace = Workspace::default();
        self.compile(plan, 0, &mut workspace).expect("the plan compiles");
        let func = &workspace.context.func;
        let insts = func.layout.blocks().flat_map(|block| func.layout.block_insts(block));
        insts.filter(|inst| counts(&func.dfg.insts[*inst])).count()
    }

    /// Compiles `plan` for the cache. What it took is for the caller to say.
    ///
    /// # Errors
    /// As [`Jit::compile`].
    pub(crate) fn region(
        &self,
        plan: &RegionPlan,
        tier: CompiledTier,
        first_link: u32,
        workspace: &mut Workspace,
    ) -> Result<CompiledRegion, CompileError> {
        let HostCode { bytes, pcs, entries, quality, steps_over } = self.compile(plan, first_link, workspace)?;
        Ok(CompiledRegion {
            key: plan.entry,
            tier,
            code: bytes,
            links: plan.links().into_iter().map(|pc| plan.entry.at(pc)).collect(),
            sources: Sources::of(plan.blocks.iter().map(|here| &*here.block)),
            atomics: compiled::atomics(plan.blocks.iter().map(|here| &*here.block)),
            pcs,
            guest_len: plan.guest_len(),
            entries: entries.into_iter().map(|(offset, pc)| (plan.entry.at(pc), offset)).collect(),
            counts: quality == Quality::Baseline,
            faults: plan.options.faults,
            steps_over,
            compile_ns: 0,
        })
    }
}

/// Cranelift's settings. Its optimiser is off: it is allowed to assume what guests do not promise (it merges loads
/// across acquires and moves floating-point operations across mode changes), and gains nothing on code that the IR's
/// passes have been over.
fn flags(frame: FrameRegister) -> settings::Builder {
    let mut flags = settings::builder();
    let pinned = if frame == FrameRegister::Pinned { "true" } else { "false" };
    for (name, value) in [
        ("opt_level", "none"),
        ("regalloc_algorithm", "backtracking"),
        ("enable_verifier", "false"), // tests call it
        ("preserve_frame_pointers", "true"),
        ("enable_pinned_reg", pinned),
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
        ("enable_nan_canonicalization", "false"),
    ] {
        flags.set(name, value).expect("the setting exists in the pinned version of Cranelift");
    }
    flags
}

/// Compiles `plan` for a host architecture, to be looked at. `architecture` is the first part of a target triple, or
/// `x86-64`; which ones are known depends on the feature `all-hosts`.
///
/// # Errors
/// [`CompileError`] if the architecture is not built in or the plan holds ops that no code is generated for.
pub fn compile_for(
    architecture: &str,
    plan: &RegionPlan,
    helpers: &'static [Helper],
) -> Result<HostCode, CompileError> {
    Jit::target(triple(architecture)?, helpers)?.compile(plan, 0, &mut Workspace::default())
}

fn triple(architecture: &str) -> Result<Triple, CompileError> {
    let name = match architecture {
        "x86-64" => "x86_64",
        "riscv64" => "riscv64gc",
        other => other,
    };
    let target = format!("{name}-unknown-linux-gnu");
    target
        .parse()
        .map_err(|error: target_lexicon::ParseError| CompileError::Target { target, reason: error.to_string() })
}
