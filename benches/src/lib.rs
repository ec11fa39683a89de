//! Workloads that the benchmarks share: small guest programs with fixed inputs.

#[allow(unsafe_code)] // Raw memory is what is measured.
pub mod slab;

use std::sync::Arc;

use vm_core::{BlockKey, CpuState, Exit, GuestAddr, GuestArch, GuestMemory, Mode, Perms};
use vm_cross_arch_support::riscv64::x;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_engine::{Config, Engine, Vcpu};
use vm_ir::{BlockSource, Effort};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

/// Code of `kernels/kernels.c`, to lie at [`CODE`].
pub const KERNELS: &[u8] = include_bytes!("../kernels/kernels.bin");
/// Where the kernels' code lies.
pub const CODE: GuestAddr = GuestAddr::new(0x1_0000);
const CODE_LEN: u64 = 0x1000;
/// A megabyte of writable memory.
pub const DATA: GuestAddr = GuestAddr::new(0x20_0000);
const DATA_LEN: u64 = 1 << 20;

/// A function of `kernels/kernels.c`.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub entry: GuestAddr,
    /// Its first argument: how much work it does.
    pub work: u64,
    /// What it gives, as the same C function gives compiled for the host.
    pub result: u64,
}

/// The kernels.
pub const ALL: [Kernel; 4] = [
    Kernel { name: "mix", entry: GuestAddr::new(0x1_0008), work: 100_000, result: 0x2cfa_9014_755c_11cf },
    Kernel { name: "sieve", entry: GuestAddr::new(0x1_0052), work: 100_000, result: 9592 },
    Kernel { name: "fib", entry: GuestAddr::new(0x1_00ac), work: 20, result: 6765 },
    Kernel { name: "dot", entry: GuestAddr::new(0x1_00d8), work: 50_000, result: 0x25b3_8b3b_c38b },
];

/// A fresh address space that holds the kernels.
///
/// # Panics
/// If the host refuses the memory.
#[must_use]
pub fn memory() -> AddressSpace {
    let memory = AddressSpace::new(Placement::Reserved { size: 1 << 30 }).expect("address space");
    for (start, len) in [(CODE, CODE_LEN), (DATA, DATA_LEN)] {
        let request = MapRequest::anonymous(len, Perms::READ | Perms::WRITE);
        memory.map(request.at(Place::Fixed(start))).expect("map");
    }
    memory.write(CODE, KERNELS).expect("kernels fit");
    // Code that may be written without anybody's saying so would be compared each time it is entered.
    memory.protect(CODE, CODE_LEN, Perms::READ | Perms::EXECUTE).expect("protect");
    memory
}

/// Keys of the kernels' blocks from first to last, each beginning where the one before ends.
///
/// # Panics
/// If a block holds no bytes, which mapped code does not give.
#[must_use]
pub fn blocks(source: &dyn BlockSource, memory: &dyn GuestMemory) -> Vec<BlockKey> {
    let mut keys = Vec::new();
    let mut key = BlockKey::new(CODE, Mode::default());
    while key.pc.offset_from(CODE) < KERNELS.len() as i64 {
        let block = source.translate(key, memory, Effort::Quick);
        assert!(!block.bytes.is_empty(), "no code at {key}");
        keys.push(key);
        key = key.at(key.pc.offset(block.bytes.len() as i64));
    }
    keys
}

/// A vCPU over a fresh address space that holds the kernels.
///
/// # Panics
/// If the host refuses the memory.
#[must_use]
pub fn vcpu(config: Config) -> Vcpu {
    let source = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).expect("riscv64");
    let engine = Engine::new(Arc::new(source), Arc::new(memory()), config).expect("engine");
    engine.vcpu()
}

/// Calls a kernel; gives its result.
///
/// # Panics
/// If it does not come back with its system call.
pub fn call(vcpu: &mut Vcpu, kernel: &Kernel) -> u64 {
    *vcpu.state_mut() = CpuState::new();
    let state = vcpu.state_mut();
    state.set_pc(kernel.entry);
    state.set(x(1), CODE.get());
    state.set(x(2), DATA.get() + DATA_LEN);
    state.set(x(10), kernel.work);
    state.set(x(11), DATA.get());
    assert_eq!(vcpu.run(), Exit::Syscall);
    vcpu.state().get(x(10))
}
