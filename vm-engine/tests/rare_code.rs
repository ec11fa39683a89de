//! What optimised code is made of: not of what hardly ever runs.
#![cfg(all(feature = "jit", target_arch = "x86_64"))]

use std::sync::{Arc, Mutex};

use vm_core::{Exit, GuestAddr, GuestArch, GuestMemory, GuestRange, Perms};
use vm_cross_arch_support::riscv64::x;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_engine::{CodeObserver, Config, Engine, PublishedCode};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

const CODE: GuestAddr = GuestAddr::new(0x2357_1000_0000);
/// Offsets of what runs once, and of what runs every fourth round.
const RARE: i64 = 24;
const SOMETIMES: i64 = 36;
const LOOP: [u32; 11] = [
    0x0144_0c63, // beq s0, s4, .+24
    0x0034_7293, // andi t0, s0, 3
    0x0002_8e63, // beq t0, x0, .+28
    0x0014_0413, // addi s0, s0, 1
    0xff34_48e3, // blt s0, s3, .-16
    0x0000_0073, // ecall
    0x0019_0913, // addi s2, s2, 1
    0xfe9f_f06f, // jal x0, .-24
    0x0000_0073, // ecall
    0x0014_8493, // addi s1, s1, 1
    0xfe5f_f06f, // jal x0, .-28
];
const ROUNDS: u64 = 100_000;

/// Guest addresses in the code of each tier.
#[derive(Default)]
struct Seen(Mutex<[Vec<GuestAddr>; 2]>);

impl CodeObserver for Seen {
    fn published(&self, code: PublishedCode<'_>) {
        let mut seen = self.0.lock().unwrap();
        seen[usize::from(code.tier) - 1].extend(code.pcs.iter().map(|(_, pc)| *pc));
    }
}

#[test]
fn code_that_ran_once_is_left_out_and_still_runs() {
    let space = Arc::new(AddressSpace::new(Placement::Direct).unwrap());
    space.map(MapRequest::anonymous(4096, Perms::READ | Perms::WRITE).at(Place::Fixed(CODE))).unwrap();
    space.write(CODE, LOOP.map(u32::to_le_bytes).as_flattened()).unwrap();
    space.protect(CODE, 4096, Perms::READ | Perms::EXECUTE).unwrap();
    let guest = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).unwrap();
    let config = Config { deterministic: true, optimise_threshold: 10_000, ..Config::default() };
    let engine = Engine::new(Arc::new(guest), space, config).unwrap();
    engine.flush_range(GuestRange::new(CODE, 4096).unwrap());
    let seen = Arc::new(Seen::default());
    engine.observe_code(Arc::<Seen>::clone(&seen));
    let mut vcpu = engine.vcpu();
    // Once while the loop is interpreted, and once when the rest of it is optimised.
    for rare_round in [2, ROUNDS - 2] {
        let state = vcpu.state_mut();
        state.set_pc(CODE);
        for (register, value) in [(8, 0), (9, 0), (18, 0), (19, ROUNDS), (20, rare_round)] {
            state.set(x(register), value);
        }
        assert_eq!(vcpu.run(), Exit::Syscall);
        assert_eq!([9, 18].map(|register| vcpu.state().get(x(register))), [ROUNDS / 4, 1]);
    }
    let [baseline, optimised] = &*seen.0.lock().unwrap();
    assert!(optimised.contains(&CODE.offset(SOMETIMES)), "{optimised:?}");
    assert!(!optimised.contains(&CODE.offset(RARE)), "{optimised:?}");
    assert!(!baseline.contains(&CODE.offset(RARE)), "{baseline:?}");
}
