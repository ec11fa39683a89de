//! Short branches that are replaced by what they skip, done on condition: the same registers as one instruction at a time.
#![cfg(feature = "riscv64")]

mod support;

use support::{Bytes, key};
use vm_core::{CpuState, GuestAddr, GuestArch};
use vm_cross_arch_support::riscv64::x;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_ir::{BlockSource, Effort, End, Target, reference};

const START: u64 = 0x1000;

fn pipeline(max_instructions: usize) -> TranslationPipeline {
    let options = TranslationOptions { max_instructions, ..TranslationOptions::default() };
    TranslationPipeline::new(GuestArch::Riscv64, options).unwrap()
}

/// Code whose last branch, at the offset given, leads to its end; as GNU as encodes it.
const JOINED: [(&str, i64, &[u32]); 6] = [
    ("bgeu x10, x11, 8; add x12, x10, x0", 8, &[0x00b5_7463, 0x0005_0633]),
    ("beq x10, x11, 8; sub x10, x11, x12", 8, &[0x00b5_0463, 0x40c5_8533]),
    ("bne x10, x0, 12; xor x10, x10, x11; srli x12, x10, 3", 12, &[0x0005_1663, 0x00b5_4533, 0x0035_5613]),
    ("addi x12, x11, 1; blt x10, x12, 8; addi x0, x10, 1", 12, &[0x0015_8613, 0x00c5_4463, 0x0015_0013]),
    ("beq x10, x11, 8; c.mv x10, x12; c.addi x10, 1", 8, &[0x00b5_0463, 0x0505_8532]),
    (
        "bltu x11, x10, 16; sltu x12, x10, x11; addw x11, x10, x12; and x10, x11, x12",
        16,
        &[0x00a5_e863, 0x00b5_3633, 0x00c5_05bb, 0x00c5_f533],
    ),
];

#[test]
fn joined_blocks_do_what_the_branch_and_what_it_skips_do() {
    const VALUES: [u64; 5] = [0, 1, 7, u64::MAX, 1 << 63];
    for (text, len, words) in JOINED {
        let memory = Bytes::words(START, words);
        let joined = pipeline(64).translate_joined(key(START), &memory).unwrap_or_else(|| panic!("{text}: not joined"));
        assert_eq!((joined.end, joined.bytes.len()), (End::Jump { target: Target(len) }, len as usize), "{text}");
        let mut ways = [0, 0];
        for numbers in 0..VALUES.len().pow(3) {
            let mut start = CpuState::default();
            for (place, register) in [10, 11, 12].into_iter().enumerate() {
                start.set(x(register), VALUES[numbers / VALUES.len().pow(place as u32) % VALUES.len()]);
            }
            let mut wanted = start.clone();
            let mut steps = 0;
            let mut at = START;
            while at != START + len as u64 {
                let step = pipeline(1).translate(key(at), &memory, Effort::Once);
                reference::run(&step, &[], &mut wanted, &memory, &mut |_| {});
                at = wanted.pc().get();
                steps += 1;
            }
            ways[usize::from(steps == joined.guest_len())] += 1;
            let mut state = start.clone();
            reference::run(&joined, &[], &mut state, &memory, &mut |_| {});
            assert_eq!(state.pc(), GuestAddr::new(START + len as u64));
            assert_eq!([10, 11, 12].map(|r| state.get(x(r))), [10, 11, 12].map(|r| wanted.get(x(r))), "{text}");
        }
        assert!(ways.into_iter().all(|count| count > 0), "{text}: {ways:?}");
    }
}

#[test]
fn other_ends_and_what_can_be_seen_are_left() {
    let refused: [(&str, &[u32]); 8] = [
        ("ecall", &[0x73, 0x0005_0633]),
        ("bgeu x10, x11, 8; ld x12, 0(x10)", &[0x00b5_7463, 0x0005_3603]),
        ("bgeu x10, x11, 8; sd x12, 0(x10)", &[0x00b5_7463, 0x00c5_3023]),
        ("bgeu x10, x11, 8; divu x12, x10, x11", &[0x00b5_7463, 0x02b5_5633]),
        ("bgeu x10, x11, 8; jal x0, 8", &[0x00b5_7463, 0x0080_006f]),
        ("bgeu x10, x11, 8; .word 0", &[0x00b5_7463, 0]),
        ("bgeu x10, x11, 6; add x12, x10, x0", &[0x00b5_7363, 0x0005_0633]),
        (
            "bgeu x10, x11, 20; four of add x12, x10, x0",
            &[0x00b5_7a63, 0x0005_0633, 0x0005_0633, 0x0005_0633, 0x0005_0633],
        ),
    ];
    for (text, words) in refused {
        assert_eq!(pipeline(64).translate_joined(key(START), &Bytes::words(START, words)), None, "{text}");
    }
    let (_, _, words) = JOINED[0];
    let memory = Bytes::words(START, words);
    assert_eq!(pipeline(1).translate_joined(key(START), &memory), None, "one instruction a block");
    assert_eq!(pipeline(64).translate_joined(key(START + 1), &memory), None, "at an odd address");
    assert_eq!(pipeline(64).translate_joined(key(START), &Bytes::words(START, &words[..1])), None, "not there");
}
