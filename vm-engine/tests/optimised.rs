//! What optimised code is made of, and what it is made for.
#![cfg(all(feature = "jit", target_arch = "x86_64"))]

use std::sync::{Arc, Mutex};

use vm_core::{Exit, GuestAddr, GuestArch, GuestMemory, GuestRange, Perms};
use vm_cross_arch_support::riscv64::x;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_engine::{CodeObserver, Config, Engine, PublishedCode, Vcpu};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

const ROUNDS: u64 = 100_000;

/// Of each tier the guest addresses in its code, and its code.
#[derive(Default)]
struct Seen(Mutex<[(Vec<GuestAddr>, Vec<u8>); 2]>);

impl CodeObserver for Seen {
    fn published(&self, code: PublishedCode<'_>) {
        let mut seen = self.0.lock().unwrap();
        let (pcs, bytes) = &mut seen[usize::from(code.tier) - 1];
        pcs.extend(code.pcs.iter().map(|(_, pc)| *pc));
        bytes.extend(code.bytes);
    }
}

/// An engine with `program` at `code`, and what it compiles. Tests run side by side, each at its own address.
fn engine_with(code: GuestAddr, program: &[u32]) -> (Arc<Engine>, Arc<Seen>) {
    let space = Arc::new(AddressSpace::new(Placement::Direct).unwrap());
    space.map(MapRequest::anonymous(4096, Perms::READ | Perms::WRITE).at(Place::Fixed(code))).unwrap();
    let bytes: Vec<u8> = program.iter().flat_map(|word| word.to_le_bytes()).collect();
    space.write(code, &bytes).unwrap();
    space.protect(code, 4096, Perms::READ | Perms::EXECUTE).unwrap();
    let guest = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).unwrap();
    let config = Config { deterministic: true, optimise_threshold: 10_000, ..Config::default() };
    let engine = Engine::new(Arc::new(guest), space, config).unwrap();
    engine.flush_range(GuestRange::new(code, 4096).unwrap());
    let seen = Arc::new(Seen::default());
    engine.observe_code(Arc::<Seen>::clone(&seen));
    (engine, seen)
}

/// Runs from `pc`, with these registers, to the next system call.
fn run_from(vcpu: &mut Vcpu, pc: GuestAddr, registers: &[(u8, u64)]) {
    let state = vcpu.state_mut();
    state.set_pc(pc);
    registers.iter().for_each(|(register, value)| state.set(x(*register), *value));
    assert_eq!(vcpu.run(), Exit::Syscall);
}

/// Offsets of what runs once, and of what runs every fourth round.
const RARE: i64 = 24;
const SOMETIMES: i64 = 36;
const WITH_RARE_WAYS: [u32; 11] = [
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

#[test]
fn code_that_ran_once_is_left_out_and_still_runs() {
    let code = GuestAddr::new(0x2357_1000_0000);
    let (engine, seen) = engine_with(code, &WITH_RARE_WAYS);
    let mut vcpu = engine.vcpu();
    // Once while the loop is interpreted, and once when the rest of it is optimised.
    for rare_round in [2, ROUNDS - 2] {
        run_from(&mut vcpu, code, &[(8, 0), (9, 0), (18, 0), (19, ROUNDS), (20, rare_round)]);
        assert_eq!([9, 18].map(|register| vcpu.state().get(x(register))), [ROUNDS / 4, 1]);
    }
    let [(baseline, _), (optimised, _)] = &*seen.0.lock().unwrap();
    assert!(optimised.contains(&code.offset(SOMETIMES)), "{optimised:?}");
    assert!(!optimised.contains(&code.offset(RARE)), "{optimised:?}");
    assert!(!baseline.contains(&code.offset(RARE)), "{baseline:?}");
}

/// Offset of the loop.
const LOOP: i64 = 8;
const DIVISOR: u64 = 12_345;
const DIVIDING: [u32; 7] = [
    0x0000_3937, // lui s2, 3
    0x0399_0913, // addi s2, s2, 57
    0x0324_72b3, // remu t0, s0, s2
    0x0054_84b3, // add s1, s1, t0
    0x0014_0413, // addi s0, s0, 1
    0xff34_4ae3, // blt s0, s3, .-12
    0x0000_0073, // ecall
];

/// Whether there is a division of 64-bit registers in x86-64 code (`REX.W + F7 /6`, Intel SDM, "DIV").
fn divides(code: &[u8]) -> bool {
    code.windows(3).any(|bytes| bytes[0] & 0xfe == 0x48 && bytes[1] == 0xf7 && bytes[2] & 0xf8 == 0xf0)
}

#[test]
fn a_constant_from_before_a_loop_is_one_in_it_and_other_values_still_run() {
    let code = GuestAddr::new(0x2358_1000_0000);
    for (entry, is_found) in [(code, true), (code.offset(LOOP), false)] {
        let (engine, seen) = engine_with(code, &DIVIDING);
        let mut vcpu = engine.vcpu();
        let mut check = |pc, divisor: u64| {
            run_from(&mut vcpu, pc, &[(8, 0), (9, 0), (18, divisor), (19, ROUNDS)]);
            assert_eq!(vcpu.state().get(x(9)), (0..ROUNDS).map(|number| number % divisor).sum());
        };
        check(entry, DIVISOR);
        {
            let [(_, baseline), (pcs, optimised)] = &*seen.0.lock().unwrap();
            assert!(pcs.contains(&code.offset(LOOP)), "{pcs:?}");
            assert!(divides(baseline));
            assert_eq!(divides(optimised), !is_found, "{optimised:02x?}");
        }
        // The loop alone, for what its code may not have been made for.
        check(code.offset(LOOP), 7);
    }
}
