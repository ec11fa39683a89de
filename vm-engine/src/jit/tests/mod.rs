//! Compiled code against the definition.

mod agree;
mod assume;
mod control;
mod divide;
mod ops;
mod search;
mod singles;
mod sink;
mod status;
mod wide;
mod words;

use std::sync::Arc;

use cranelift_codegen::ir::Opcode;
use vm_core::{BlockKey, CpuState, GuestAddr, Mode};
use vm_ir::{Block, End, IrBuilder};

use super::code::{CodeMemory, CodePtr, Segment};
use super::*;
use crate::fault::segments;
use crate::frame::{ExitCode, Frame};
use crate::jump::JumpCache;
use crate::region::{CompileOptions, Quality, RegionPlan};

pub(super) fn key(pc: u64) -> BlockKey {
    BlockKey::new(GuestAddr::new(pc), Mode::default())
}

/// A block of one 4-byte instruction.
pub(super) fn block(pc: u64, build: impl FnOnce(&mut IrBuilder) -> End) -> Arc<Block> {
    let mut ir = IrBuilder::new(key(pc));
    ir.mark(0, 4);
    let end = build(&mut ir);
    Arc::new(ir.finish(end, &[0; 4]))
}

/// What a run loop gives generated code, in its smallest form.
pub(super) struct Rig {
    pub(super) frame: Box<Frame>,
    pub(super) links: Vec<u64>,
    pub(super) cache: JumpCache,
    _functions: Box<[u64]>,
    _context: Option<Box<RuntimeContext>>,
    pub(super) jit: Arc<Jit>,
    /// Where else than at its beginning the region that was compiled last can be entered.
    pub(super) entries: Vec<(GuestAddr, CodePtr)>,
    registered: Vec<segments::Registered>,
    segments: Vec<Arc<Segment>>,
    memory: CodeMemory,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with_helpers(&[])
    }

    pub(super) fn with_helpers(helpers: &'static [Helper]) -> Self {
        let mut rig = Self {
            frame: Box::new(Frame::new()),
            links: vec![link_stub(); 512],
            cache: JumpCache::new(),
            _functions: function_table(helpers),
            _context: None,
            jit: Jit::host(helpers).unwrap(),
            entries: Vec::new(),
            registered: Vec::new(),
            segments: Vec::new(),
            memory: CodeMemory::new(Arc::default()),
        };
        let (links, functions) = (rig.links.as_ptr() as u64, rig._functions.as_ptr() as u64);
        let cache = JumpCache::new();
        let body = rig.body();
        cache.show(body);
        body.links = links;
        body.functions = functions;
        body.memory_limit = 1 << 46;
        rig.cache = cache;
        rig
    }

    pub(super) fn with_memory(mut self, memory: Arc<dyn vm_core::GuestMemory>) -> Self {
        let context = Box::new(RuntimeContext { memory, engine: std::sync::Weak::new() });
        self.body().context = std::ptr::from_ref(&*context) as u64;
        self._context = Some(context);
        self
    }

    pub(super) fn body(&mut self) -> &mut crate::frame::FrameBody {
        // SAFETY: the rig owns its frame, and no generated code runs while it is borrowed.
        unsafe { &mut *self.frame.body() }
    }

    pub(super) fn state(&mut self) -> &mut CpuState {
        &mut self.body().state
    }

    pub(super) fn compile(&mut self, plan: &RegionPlan) -> CodePtr {
        self.compile_linked(plan, 0)
    }

    pub(super) fn compile_linked(&mut self, plan: &RegionPlan, first_link: u32) -> CodePtr {
        let region = self.jit.compile(plan, first_link, &mut Workspace::default()).unwrap();
        if let Some(path) = std::env::var_os("TRADUX_TEST_CODE") {
            std::fs::write(path, &region.bytes).unwrap();
        }
        let atomics = compiled::atomics(plan.blocks.iter().map(|here| &*here.block));
        let (segment, code) = self.memory.seal(&[&region.bytes]).unwrap().remove(0);
        self.segments.push(segment);
        let entry = |offset: u32| CodePtr::new(code.address() + u64::from(offset));
        self.entries = region.entries.iter().map(|(offset, pc)| (*pc, entry(*offset))).collect();
        let start = code.address() as usize;
        self.registered.push(segments::register(segments::Segment {
            start,
            end: start + region.bytes.len(),
            pcs: segments::PcMap::new(&region.pcs),
            atomics,
            steps_over: region.steps_over.into(),
            exit: fault_exit() as usize,
        }));
        code
    }

    pub(super) fn enter(&mut self, code: CodePtr) -> ExitCode {
        // SAFETY: the segment is kept by the rig, and the frame's addresses point into it.
        unsafe { enter(&self.frame, code) }
    }

    pub(super) fn run(&mut self, plan: &RegionPlan) -> ExitCode {
        let code = self.compile(plan);
        self.enter(code)
    }

    pub(super) fn run_block(&mut self, block: Arc<Block>) -> ExitCode {
        self.run(&RegionPlan::single(block, CompileOptions::default()))
    }
}
