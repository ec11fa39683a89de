//! A guest that changes code and never says so, though it says so of other code.

use std::sync::Arc;

use vm_core::{Exit, GuestAddr, GuestArch, GuestMemory, GuestRange, Perms};
use vm_cross_arch_support::riscv64::x;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_engine::{Config, Engine, TierPolicy};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

const CODE: u64 = 0x1000;
/// Where the guest makes code.
const MADE: u64 = 0x1_0000;

const MAKER: [u32; 8] = [
    0x0144_1293, // slli t0, s0, 20
    0x5132_8293, // addi t0, t0, 0x513: now `addi a0, x0, s0`
    0x0054_a023, // sw t0, 0(s1)
    0x0004_80e7, // jalr ra, 0(s1)
    0x00a9_0933, // add s2, s2, a0
    0x0014_0413, // addi s0, s0, 1
    0xff34_44e3, // blt s0, s3, .-24
    0x0000_0073, // ecall
];
const RET: u32 = 0x0000_8067;

#[test]
fn code_that_is_never_flushed_runs_as_it_is() {
    for tier in [TierPolicy::Interpret, TierPolicy::Auto] {
        let space = Arc::new(AddressSpace::new(Placement::Reserved { size: 1 << 32 }).unwrap());
        let all = Perms::READ | Perms::WRITE | Perms::EXECUTE;
        for (start, perms) in [(CODE, Perms::READ | Perms::WRITE), (MADE, all)] {
            let request = MapRequest::anonymous(4096, perms).at(Place::Fixed(GuestAddr::new(start)));
            space.map(request).unwrap();
        }
        space.write(GuestAddr::new(CODE), MAKER.map(u32::to_le_bytes).as_flattened()).unwrap();
        space.write(GuestAddr::new(MADE + 4), &RET.to_le_bytes()).unwrap();
        space.protect(GuestAddr::new(CODE), 4096, Perms::READ | Perms::EXECUTE).unwrap();
        let guest = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).unwrap();
        let engine = Engine::new(Arc::new(guest), space, Config { tier, ..Config::default() }).unwrap();
        engine.flush_range(GuestRange::new(GuestAddr::new(CODE), 4096).unwrap());
        let mut vcpu = engine.vcpu();
        let state = vcpu.state_mut();
        state.set_pc(GuestAddr::new(CODE));
        for (register, value) in [(8, 1), (9, MADE), (19, 2001)] {
            state.set(x(register), value);
        }
        assert_eq!(vcpu.run(), Exit::Syscall, "{tier:?}");
        assert_eq!(vcpu.state().get(x(18)), 2000 * 2001 / 2, "{tier:?}");
    }
}
