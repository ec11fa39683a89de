//! The text form: what it looks like, that it parses back, and that nothing makes the parser panic.

use proptest::prelude::*;
use vm_core::{BlockKey, GuestAddr, Mode};
use vm_ir::arbitrary::{self, Row, SLOTS, Shape};
use vm_ir::text::{Names, parse, parse_all, print};
use vm_ir::{Helper, HelperEffect, HelperFn, Op, verify};

extern "C" fn mix(a: u64, b: u64, c: u64) -> u64 {
    a ^ b.rotate_left(7) ^ c.rotate_left(23)
}

const fn helper(name: &'static str, args: usize) -> Helper {
    Helper { name, args, effect: HelperEffect::Pure, function: HelperFn::Values(mix) }
}

const HELPERS: &[Helper] = &[helper("none", 0), helper("one", 1), helper("two", 2), helper("three", 3)];
const NAMES: Names<'_> = Names { slots: SLOTS, helpers: HELPERS };

fn shape() -> Shape<'static> {
    Shape { helpers: HELPERS, faults: true, ..Shape::default() }
}

/// One block of every kind of op and end, in canonical form; the types and attributes of the rest are the properties'.
const EVERYTHING: &str = "\
block 0x1000/3 {
    bytes b3027300130543001122
    @0..4       ; first
    %0 = get.i64 x5
    %1 = const.i64 -8
    %2 = add.i64 %0, %1
    set.i64 x6, %2
    %4 = const.i32 0x80000000
    %5 = sign_extend.i32.i64 %4
    %6 = lt_s.i64 %2, %5
    %7 = pc 0x1100
    @4..8
    %8 = load.i32.plain [%0 + 8]
    store.i32.release [%2 - 8], %8
    %10 = load.v128.acquire [%0]
    @8..10      ; third
    %11 = atomic_rmw.i32.add.acqrel [%0], %8
    %12 = atomic_cas.v128.seqcst [%0], %10, %10
    fence.full
    %14 = get.f64 f1
    %15 = fadd.f64.rne.canonical %14, %14
    %16 = fmuladd.f64.dyn.arm %14, %15, %14
    %17 = fmin.f64.x86.second %14, %15
    %18 = feq.f64.signaling %14, %15
    %19 = f_to_int_s.f64.i32.rtz.sat_nan_max %14
    %20 = int_to_f_u.i32.f64.rmm %19
    %21 = fconvert.f64.f32.rup.canonical %20
    %22 = funbox.f32 %14
    %23 = fclass.f32 %21
    %24 = carry_add.i64 %0, %2, %6
    %25 = select.i64 %24, %0, %2
    %26 = call two(%0, %25)
    %27 = call none()
    trap_if.misaligned_store %24, %2
    exit_if %24, 0x1010
    %30 = const.f64 0x3ff0000000000000
    fp_flags_set %27
    %32 = fp_flags_get
    set_mode %32
    mode_change 0x100a
}";

#[test]
fn every_kind_of_op() {
    let block = parse(EVERYTHING, NAMES).unwrap();
    verify(&block, Some(SLOTS), HELPERS).unwrap();
    let notes = print(&block, NAMES, |_, mark| match mark.offset {
        0 => "first".to_owned(),
        8 => "third\nand more".to_owned(),
        _ => String::new(),
    });
    assert_eq!(notes.to_string(), EVERYTHING);
}

#[test]
fn every_end() {
    let ends = [
        "jump 0xffffffffffffff00",
        "branch %0, 0x10, 0x1004",
        "call 0x2000, 0x1004",
        "indirect %1",
        "indirect_call %1, 0x1004",
        "return %1",
        "syscall 0x1004",
        "trap.illegal 0x1000, 0x1002",
        "flush_code 0x1004",
        "mode_change 0x1004",
    ];
    for end in ends {
        let text = format!("block 0x1000 {{\n    @0..4\n    %0 = const.i8 1\n    %1 = pc 0x1000\n    {end}\n}}");
        let block = parse(&text, Names::NONE).unwrap_or_else(|error| panic!("{end}: {error}"));
        verify(&block, None, &[]).unwrap();
        assert_eq!(block.to_string(), text);
    }
}

#[test]
fn without_names() {
    let block = parse(EVERYTHING, NAMES).unwrap();
    let text = block.to_string();
    assert!(text.contains("set.i64 s6, %2") && text.contains("call #2(%0, %25)") && text.contains("call #0()"));
    assert_eq!(parse(&text, Names::NONE), Ok(block));
}

#[test]
fn layout_is_free() {
    let text = "; a comment\nblock 4096 { ; another\n\n @0..4\n  %7=const.i8   0xff\t; all ones\r\n set.i8 s1,%7\n jump 0\n}\n";
    let block = parse(text, Names::NONE).unwrap();
    assert_eq!(
        block.to_string(),
        "block 0x1000 {\n    @0..4\n    %0 = const.i8 -1\n    set.i8 s1, %0\n    jump 0x0\n}"
    );
    let two = format!("{text}\n{text}");
    assert_eq!(parse_all(&two, Names::NONE).unwrap(), [block.clone(), block]);
    assert_eq!(parse_all("", Names::NONE), Ok(vec![]));
}

#[rustfmt::skip]
const MISTAKES: &[(&str, &str)] = &[
    ("", "line 1, column 1: expected \"block\", found the end of the text"),
    ("block {", "line 1, column 7: expected the block's address, found '{'"),
    ("block 0xg {", "line 1, column 7: expected the block's address, found \"0xg\""),
    ("block 0x10000000000000000 {", "line 1, column 7: 0x10000000000000000 is out of range"),
    ("block 0/zz {", "line 1, column 9: zz is out of range"),
    ("block 0 {\n bytes b30\n", "line 2, column 8: expected pairs of hexadecimal digits, found \"b30\""),
    ("block 0 {\n @0\n", "line 2, column 3: expected a range of bytes, found \"0\""),
    ("block 0 {\n @4..0\n", "line 2, column 3: 4..0 is out of range"),
    ("block 0 {\n @0..256\n", "line 2, column 3: 0..256 is out of range"),
    ("block 0 {\n blah %0\n", "line 2, column 2: unknown op \"blah\""),
    ("block 0 {\n %0 = add.i65 %0, %0\n", "line 2, column 7: add takes no \"i65\" here, wants a type"),
    ("block 0 {\n %0 = add\n", "line 2, column 7: add takes no \"\" here, wants a type"),
    ("block 0 {\n fence.full.more\n", "line 2, column 2: fence takes no \"more\" here, wants nothing more"),
    ("block 0 {\n %0 = fadd.f64.rne.best %0, %0\n", "line 2, column 7: fadd takes no \"best\" here, wants a NaN rule"),
    ("block 0 {\n %0 = add.i64 %1, %1\n", "line 2, column 16: %1 is not defined before"),
    ("block 0 {\n %0 = const.i8 1\n %0 = const.i8 1\n", "line 3, column 3: %0 is defined twice"),
    ("block 0 {\n const.i8 1\n", "line 2, column 2: the op's value wants a name"),
    ("block 0 {\n %0 = fence.full\n", "line 2, column 7: this op gives no value to name"),
    ("block 0 {\n %0 = const.i8 256\n", "line 2, column 16: 256 is out of range"),
    ("block 0 {\n %0 = const.i8 -129\n", "line 2, column 17: 129 is out of range"),
    ("block 0 {\n %4294967295 = const.i8 1\n", "line 2, column 3: 4294967295 is out of range"),
    ("block 0 {\n %0 = get.i64 x5\n", "line 2, column 15: unknown slot \"x5\""),
    ("block 0 {\n %0 = get.i64 s384\n", "line 2, column 15: unknown slot \"s384\""),
    ("block 0 {\n %0 = call frob()\n", "line 2, column 12: unknown helper \"frob\""),
    ("block 0 {\n trap.bad 0, 0\n", "line 2, column 2: trap takes no \"bad\" here, wants a kind of trap"),
    ("block 0 {\n jump 0 0\n}", "line 2, column 9: expected the end of the line, found \"0\""),
    ("block 0 {\n jump 0\n jump 0\n}", "line 3, column 2: expected \"}\" behind the block's end, found \"jump\""),
    ("block 0 {\n jump 0\n} }", "line 3, column 3: text behind the end of the block"),
    ("block 0 {\n jump 0\n", "line 3, column 1: expected \"}\" behind the block's end, found the end of the text"),
    ("block 0 {\n jump \u{e9}\n", "line 2, column 7: expected an address, found '\u{e9}'"),
];

#[test]
fn mistakes_are_placed() {
    for (text, expected) in MISTAKES {
        let error = parse(text, Names::NONE).expect_err(text);
        assert_eq!(error.to_string(), *expected, "{text}");
    }
}

#[test]
fn generated_blocks_cover_the_table() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20_000 {
        let seeds: Vec<u64> = (0..8).map(|part| seed << 3 | part).collect();
        let block = arbitrary::block(BlockKey::default(), &seeds, &shape());
        seen.extend(block.insts.iter().map(|inst| Row { op: inst.op, ty: inst.ty, from: inst.from }));
    }
    let missing: Vec<Row> = arbitrary::rows().into_iter().filter(|row| !seen.contains(row)).collect();
    assert_eq!(missing, []);
    assert!(seen.iter().any(|row| row.op == Op::SetMode));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printed_blocks_parse_back(
        seeds in proptest::collection::vec(any::<u64>(), 1..40), pc: u64, mode in 0u32..5, named: bool,
    ) {
        let key = BlockKey::new(GuestAddr::new(pc), Mode::new(mode));
        let block = arbitrary::block(key, &seeds, &shape());
        verify(&block, Some(SLOTS), HELPERS).unwrap();
        let names = if named { NAMES } else { Names::NONE };
        let text = print(&block, names, |_, mark| format!("; at {}", mark.offset)).to_string();
        prop_assert_eq!(parse(&text, names), Ok(block));
    }

    #[test]
    fn any_text_is_a_block_or_a_mistake(text in "\\PC*") {
        let _ = parse(&text, NAMES);
    }

    #[test]
    fn damaged_text_is_a_block_or_a_mistake(
        seeds in proptest::collection::vec(any::<u64>(), 1..6), damage in proptest::collection::vec(any::<(u16, u8)>(), 1..8),
    ) {
        let block = arbitrary::block(BlockKey::default(), &seeds, &shape());
        let mut text = print(&block, NAMES, |_, _| String::new()).to_string().into_bytes();
        for (place, what) in damage {
            let place = usize::from(place) % text.len();
            match what % 3 {
                0 => text[place] = b" \n%.,[]{}()0x-+@#;sfi9"[usize::from(what) % 22],
                1 => text.truncate(place.max(1)),
                _ => drop(text.remove(place)),
            }
            if text.is_empty() {
                return Ok(());
            }
        }
        let text = String::from_utf8(text).unwrap();
        // What still parses prints and parses again.
        if let Ok(block) = parse(&text, NAMES)
            && verify(&block, Some(SLOTS), HELPERS).is_ok()
        {
            let again = print(&block, NAMES, |_, _| String::new()).to_string();
            prop_assert_eq!(parse(&again, NAMES), Ok(block));
        }
    }
}
