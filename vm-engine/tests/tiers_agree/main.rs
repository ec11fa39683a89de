//! Every tier does what the plain evaluator of `vm_ir::reference` does: on random blocks, and on random programs of
//! several blocks with loops, while they are interrupted, invalidated and evicted.
//!
//! `TRADUX_CASES` sets the number of blocks, for every fiftieth of which a program is run too; `TRADUX_SEED` draws others.

mod machine;
mod program;
mod riscv64;

use std::collections::BTreeMap;
use std::sync::Arc;

use machine::{Coverage, Machine, Start};
use program::{BLOCK_BYTES, Ground, Header, MAX_LEN, Source};
use vm_core::{CpuState, Exit, GuestAddr, GuestRange};
use vm_engine::{Config, Exact, TierPolicy};
use vm_ir::Op;
use vm_ir::arbitrary::{self, Draw, Row};
use vm_mem::Placement;

/// Blocks that are in memory at once.
const PLACES: u64 = 64;

/// Each row of the table, kind of end and kind of exit has to be met this often.
const WANTED: u64 = 50;

fn cases() -> u64 {
    number("TRADUX_CASES").unwrap_or(100_000)
}

/// The numbers that the test of this name draws its cases from.
fn draw(test: u64) -> Draw {
    Draw::new(test ^ number("TRADUX_SEED").unwrap_or(0) << 32)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Memory of one test. Tests run side by side in one process, so each has its own `start`, at an address that random code
/// hardly ever makes up.
fn machine(placement: Placement, start: u64) -> Machine {
    let at = |offset| GuestAddr::new(start + offset);
    let ground = Ground { code: at(0), data: at(0x10_0000), stop: at(0x20_0000) };
    Machine::new(placement, ground, PLACES * BLOCK_BYTES, Arc::new(Source { ground }))
}

/// Runs end at the first exit.
fn stop(_: Exit, _: &mut CpuState) -> bool {
    false
}

fn compile(exact: Exact) -> Config {
    // Little room, so that code is evicted all the time.
    Config {
        tier: TierPolicy::Compile,
        exact,
        deterministic: true,
        count_instructions: true,
        tier1_code_bytes: 16 << 10,
        tier2_code_bytes: 16 << 10,
        ..Config::default()
    }
}

fn whole(machine: &Machine) -> GuestRange {
    GuestRange::new(machine.ground.code, PLACES * BLOCK_BYTES).expect("code does not wrap")
}

/// Single blocks on each tier, `cases` of them.
fn blocks(machine: &mut Machine, cases: u64) {
    let mut draw = draw(0xb10c);
    for case in 0..cases {
        let place = case % PLACES;
        if place == 0 {
            for place in 0..PLACES {
                let len = 1 + draw.below(MAX_LEN) as u8;
                machine.put(place, Header { seed: draw.bits(), index: 0, count: 1, len, faults: draw.one_in(4) });
            }
            let range = whole(machine);
            machine.changed(draw.one_in(2).then_some(range));
        }
        let start = Start::draw(&mut draw, machine.ground.block(place), 0);
        if let Some(difference) = machine.disagreement(&start, &stop, &mut draw) {
            panic!("block {case}: {difference}\n{}", machine.text(place, 1, &start));
        }
    }
}

/// Programs of a few blocks each.
fn programs(machine: &mut Machine, cases: u64) {
    let mut draw = draw(0x9406);
    for case in 0..cases {
        let count = 2 + draw.below(7) as u8;
        let place = draw.bits() % (PLACES - u64::from(count));
        for index in 0..count {
            let len = 1 + draw.below(16) as u8;
            let header = Header { seed: draw.bits(), index, count, len, faults: draw.one_in(8) };
            machine.put(place + u64::from(index), header);
        }
        let range = GuestRange::new(machine.ground.block(place), u64::from(count) * BLOCK_BYTES);
        machine.changed(draw.one_in(2).then_some(range.expect("code does not wrap")));
        // The same program from several states: what the first run found hot is compiled in the next.
        for round in 0..4 {
            let entry = place + draw.bits() % u64::from(count);
            let fuel = 1 + draw.bits() % 400;
            let start = Start::draw(&mut draw, machine.ground.block(entry), fuel);
            if let Some(difference) = machine.disagreement(&start, &stop, &mut draw) {
                let text = machine.text(place, u64::from(count), &start);
                panic!("program {case}, round {round}: {difference}\n{text}");
            }
        }
    }
}

/// Prints what was met, and panics if something was met too seldom to say anything.
fn report(coverage: &Coverage) {
    let mut ops: BTreeMap<&str, u64> = Op::ALL.iter().map(|op| (op.name(), 0)).collect();
    for (row, count) in &coverage.rows {
        *ops.entry(row.op.name()).or_default() += count;
    }
    println!("ops: {ops:?}\nends: {:?}\nexits: {:?}", coverage.ends, coverage.exits);
    assert_eq!(coverage.endless, 0);
    let met = |row: &Row| coverage.rows.get(row).copied().unwrap_or(0);
    let seldom: Vec<_> = arbitrary::rows().into_iter().filter(|row| met(row) < WANTED).collect();
    assert!(seldom.is_empty(), "rows met fewer than {WANTED} times: {seldom:?}");
    assert_eq!(coverage.ends.len(), 10);
    assert_eq!(coverage.exits.len(), 3);
    for (name, count) in coverage.ends.iter().chain(&coverage.exits) {
        assert!(*count >= WANTED, "{name} was met {count} times");
    }
}

/// Prints what the tiers did, and panics if the ones that should have compiled did not, or never lost any code.
fn report_tiers(machine: &Machine) {
    for tier in &machine.tiers {
        let stats = tier.engine.stats();
        println!("{}:\n{stats}", tier.name);
        let (interpreted, compiled) = (stats.tier0_instructions, stats.compiled_instructions);
        match tier.engine.config().tier {
            TierPolicy::Interpret => assert_eq!((stats.regions.published, compiled), (0, 0)),
            // Only where execution stops is nothing to compile.
            TierPolicy::Compile | TierPolicy::Baseline => {
                if tier.engine.config().count_instructions {
                    assert!(compiled > 3 * interpreted, "{compiled} instructions compiled, {interpreted} interpreted");
                }
                assert!(stats.regions.evicted > 0 && stats.regions.invalidated > 0, "no code was dropped");
            }
            TierPolicy::Auto => {
                assert!(compiled > 0 && interpreted > 0, "{compiled} compiled, {interpreted} interpreted")
            }
        }
    }
}

#[test]
fn random_blocks() {
    let mut machine = machine(Placement::Direct, 0x1357_1000_0000);
    machine.tier("interpreter", Config { tier: TierPolicy::Interpret, ..Config::default() }, false);
    machine.tier("compiled, exact", compile(Exact::Registers), false);
    machine.tier("baseline", Config { tier: TierPolicy::Baseline, ..compile(Exact::Registers) }, false);
    blocks(&mut machine, cases());
    report(&machine.coverage);
    report_tiers(&machine);
}

#[test]
fn random_blocks_with_a_base() {
    let mut machine = machine(Placement::Reserved { size: 1 << 26 }, 0x10_0000);
    machine.tier("interpreter", Config { tier: TierPolicy::Interpret, ..Config::default() }, false);
    machine.tier("compiled", compile(Exact::Pc), false);
    blocks(&mut machine, cases() / 10);
    report_tiers(&machine);
}

#[test]
fn random_programs() {
    let mut machine = machine(Placement::Direct, 0x2468_2000_0000);
    machine.tier("interpreter, disturbed", Config { tier: TierPolicy::Interpret, ..Config::default() }, true);
    machine.tier("compiled", compile(Exact::Pc), false);
    machine.tier("compiled, exact, disturbed", compile(Exact::Registers), true);
    let baseline = Config { tier: TierPolicy::Baseline, ..compile(Exact::Registers) };
    machine.tier("baseline, disturbed", baseline, true);
    let auto = Config { hot_threshold: 3, optimise_threshold: 9, count_instructions: true, ..Config::default() };
    machine.tier("auto, exact, disturbed", Config { exact: Exact::Registers, ..auto }, true);
    programs(&mut machine, cases() / 50);
    report_tiers(&machine);
}
