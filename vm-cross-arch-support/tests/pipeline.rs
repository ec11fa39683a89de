//! The pipeline from outside: block boundaries, traps, memory, options, counters.
#![cfg(feature = "riscv64")]

mod support;

use support::{Bytes, key};
use vm_core::{GuestArch, GuestRange, TrapKind};
use vm_cross_arch_support::riscv64::extension;
use vm_cross_arch_support::{PipelineError, TranslationOptions, TranslationPipeline};
use vm_ir::{BlockSource, Effort, End, Target};

/// `addi x5, x5, 1` in two and in four bytes, as GNU as encodes it.
const C_ADDI: u16 = 0x0285;
const ADDI: u32 = 0x0012_8293;
const ECALL: u32 = 0x73;

fn pipeline(options: TranslationOptions) -> TranslationPipeline {
    TranslationPipeline::new(GuestArch::Riscv64, options).unwrap()
}

#[test]
fn a_block_ends_where_control_does() {
    let memory = Bytes::words(0x1000, &[ADDI, ECALL, ADDI]);
    for effort in [Effort::Once, Effort::Quick, Effort::Full] {
        let block = pipeline(TranslationOptions::default()).translate(key(0x1000), &memory, effort);
        assert_eq!(block.guest_len(), 2);
        assert_eq!(&*block.bytes, [0x93, 0x82, 0x12, 0x00, 0x73, 0, 0, 0]);
        assert_eq!(block.end, End::Syscall { next: Target(8) });
    }
}

/// Words as GNU as encodes the pairs beside them, and how they end: `AUIPC` adds its immediate, 4096 times, to its own
/// address and `JALR` its own to that, less bit 0 (RV32I, Unconditional Jumps).
#[test]
fn a_pair_of_instructions_that_jumps_far_is_a_jump_to_a_fixed_place() {
    let call = |to| Some(End::Call { target: Target(to), ret: Target(8) });
    let jump = |to| Some(End::Jump { target: Target(to) });
    let cases = [
        ("auipc ra,0x12; jalr -4(ra)", [0x0001_2097, 0xffc0_80e7], call(0x12000 - 4)),
        ("auipc ra,0xfffff; jalr 2047(ra)", [0xffff_f097, 0x7ff0_80e7], call(-0x1000 + 2046)),
        ("auipc t0,1; jalr ra,16(t0)", [0x0000_1297, 0x0102_80e7], call(0x1010)),
        ("auipc t1,0xfffff; jr 3(t1)", [0xffff_f317, 0x0033_0067], jump(-0x1000 + 2)),
        ("auipc ra,1; ret", [0x0000_1097, 0x0000_8067], jump(0x1000)),
        ("auipc t1,0x7ffff; c.jr t1", [0x7fff_f317, 0x0000_8302], jump(0x7fff_f000)),
        ("auipc t1,1; jalr 8(t2)", [0x0000_1317, 0x0083_80e7], None),
        ("lui t1,1; jr 8(t1)", [0x0000_1337, 0x0083_0067], None),
        ("auipc t1,1; jr 8(zero)", [0x0000_1317, 0x0080_0067], None),
    ];
    for (text, words, end) in cases {
        let memory = Bytes::words(0x1000, &words);
        for effort in [Effort::Once, Effort::Quick, Effort::Full] {
            let block = pipeline(TranslationOptions::default()).translate(key(0x1000), &memory, effort);
            assert_eq!(block.guest_len(), 2, "{text}");
            assert_eq!(block.end.operand().is_none().then_some(block.end), end, "{text}");
        }
    }
}

#[test]
fn a_block_ends_at_the_limit_of_instructions() {
    let memory = Bytes::words(0x1000, &[ADDI; 100]);
    let block = pipeline(TranslationOptions::default()).translate(key(0x1000), &memory, Effort::Quick);
    assert_eq!((block.guest_len(), block.end), (64, End::Jump { target: Target(256) }));
    let step = pipeline(TranslationOptions { max_instructions: 1, ..TranslationOptions::default() });
    let block = step.translate(key(0x1000), &memory, Effort::Quick);
    assert_eq!((block.guest_len(), block.end), (1, End::Jump { target: Target(4) }));
}

#[test]
fn a_block_ends_before_what_cannot_be_fetched() {
    // Two instructions, then the first half of a third.
    let memory = Bytes::words(0x1ff6, &[ADDI, ADDI]);
    memory.append(&ADDI.to_le_bytes()[..2]);
    let pipeline = pipeline(TranslationOptions::default());
    let block = pipeline.translate(key(0x1ff6), &memory, Effort::Full);
    assert_eq!((block.guest_len(), block.end), (2, End::Jump { target: Target(8) }));
    // The address concerned is that of the first byte which cannot be fetched.
    let block = pipeline.translate(key(0x1ffe), &memory, Effort::Full);
    assert_eq!(block.end, End::Trap { kind: TrapKind::FetchUnmapped, at: Target(0), addr: Target(2) });
    assert!(block.bytes.is_empty());
    // Not remembered: once the page is there, the instruction runs.
    memory.append(&ADDI.to_le_bytes()[2..]);
    let block = pipeline.translate(key(0x1ffe), &memory, Effort::Full);
    assert_eq!((block.guest_len(), block.end), (1, End::Jump { target: Target(4) }));
}

#[test]
fn unknown_and_misaligned_instructions_trap() {
    // The all-zero parcel is defined to be illegal.
    let memory = Bytes::words(0x1000, &[ADDI, 0]);
    let pipeline = pipeline(TranslationOptions::default());
    let block = pipeline.translate(key(0x1000), &memory, Effort::Full);
    assert_eq!(block.end, End::Trap { kind: TrapKind::Illegal, at: Target(4), addr: Target(4) });
    assert_eq!((block.guest_len(), block.bytes.len()), (2, 6));
    let block = pipeline.translate(key(0x1001), &memory, Effort::Full);
    assert_eq!(block.end, End::Trap { kind: TrapKind::MisalignedFetch, at: Target(0), addr: Target(0) });
}

#[test]
fn a_reserved_dynamic_rounding_mode_is_part_of_the_key() {
    // `fadd.s f0, f0, f0, dyn` is legal in frm 0 to 4 and illegal in 5 to 7.
    let memory = Bytes::words(0x1000, &[0x0000_7053]);
    let pipeline = pipeline(TranslationOptions::default());
    for frm in 0..8 {
        let key = vm_core::BlockKey::new(vm_core::GuestAddr::new(0x1000), vm_core::Mode::new(frm));
        let block = pipeline.translate(key, &memory, Effort::Full);
        assert_eq!(matches!(block.end, End::Trap { kind: TrapKind::Illegal, .. }), frm > 4, "frm {frm}");
    }
}

#[test]
fn repeated_translations_are_answered_by_the_cache() {
    let memory = Bytes::words(0x1000, &[ADDI, ECALL]);
    let pipeline = pipeline(TranslationOptions::default());
    let first = pipeline.translate(key(0x1000), &memory, Effort::Full);
    let second = pipeline.translate(key(0x1000), &memory, Effort::Full);
    let quick = pipeline.translate(key(0x1000), &memory, Effort::Quick);
    assert!(std::sync::Arc::ptr_eq(&first, &second) && std::sync::Arc::ptr_eq(&first, &quick));
    let stats = pipeline.stats();
    assert_eq!((stats.cache.requests, stats.cache.hits, stats.cache.misses), (3, 2, 1));
    assert_eq!((stats.full, stats.quick, stats.instructions), (1, 0, 2));
    assert!((stats.cache_hit_rate() - 2.0 / 3.0).abs() < 1e-9);
}

#[test]
fn changed_bytes_are_translated_anew() {
    let memory = Bytes::words(0x1000, &[ADDI, ECALL]);
    let pipeline = pipeline(TranslationOptions::default());
    pipeline.translate(key(0x1000), &memory, Effort::Full);
    memory.poke(0x1000, &C_ADDI.to_le_bytes());
    let block = pipeline.translate(key(0x1000), &memory, Effort::Full);
    assert_eq!(block.bytes[..2], C_ADDI.to_le_bytes());
    assert_eq!(pipeline.stats().cache.stale, 1);
    pipeline.invalidate(GuestRange::everything());
    assert_eq!(pipeline.stats().cache.entries, 0);
}

#[test]
fn options_are_checked() {
    let new = |options| TranslationPipeline::new(GuestArch::Riscv64, options).map(|_| ());
    for given in [0, 65] {
        let options = TranslationOptions { max_instructions: given, ..TranslationOptions::default() };
        assert_eq!(new(options), Err(PipelineError::MaxInstructions { given }));
    }
    let options = TranslationOptions { without: extension::D, ..TranslationOptions::default() };
    assert_eq!(new(options), Err(PipelineError::RequiredExtension { arch: GuestArch::Riscv64, name: "D" }));
    assert_eq!(
        TranslationPipeline::new(GuestArch::Aarch64, TranslationOptions::default()).map(|_| ()),
        Err(PipelineError::UnsupportedArch { arch: GuestArch::Aarch64 })
    );
}

#[test]
fn what_is_left_out_is_illegal() {
    // `czero.eqz x5, x6, x7`, as GNU as encodes it.
    let memory = Bytes::words(0x1000, &[0x0e73_52b3, ECALL]);
    let with = pipeline(TranslationOptions::default()).translate(key(0x1000), &memory, Effort::Full);
    assert_eq!(with.end, End::Syscall { next: Target(8) });
    let options = TranslationOptions { without: extension::ZICOND, ..TranslationOptions::default() };
    let without = pipeline(options).translate(key(0x1000), &memory, Effort::Full);
    assert_eq!(without.end, End::Trap { kind: TrapKind::Illegal, at: Target(0), addr: Target(0) });
}
