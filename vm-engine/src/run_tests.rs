//! Tests of the run loop on hand-built blocks, interpreted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vm_core::{Access, BlockKey, Exit, GuestAddr, GuestMemory, GuestRange, MemFault, Mode, Trap};
#[cfg(feature = "jit")]
use vm_ir::FpAttr;
use vm_ir::{End, IrBuilder, Order, Target, Type};

use crate::testing::{Blocks, VecMemory, s};
use crate::{Config, Engine, TierPolicy, Vcpu};

const CODE: u64 = 0x1000;

fn engine(blocks: Blocks) -> (Arc<Engine>, Arc<VecMemory>) {
    let memory = VecMemory::new(CODE, 0x4000);
    let config = Config { tier: TierPolicy::Interpret, ..Config::default() };
    (Engine::new(Arc::new(blocks), memory.clone(), config).unwrap(), memory)
}

fn vcpu(engine: &Arc<Engine>) -> Vcpu {
    let mut vcpu = engine.vcpu();
    vcpu.state_mut().set_pc(GuestAddr::new(CODE));
    vcpu
}

/// s2 += s1; s1 -= 1; again while s1 is not zero.
fn count_down(ir: &mut IrBuilder, _bytes: &[u8]) -> End {
    ir.mark(0, 4);
    let (counter, sum) = (ir.get(s(1), Type::I64), ir.get(s(2), Type::I64));
    let more = ir.add(sum, counter);
    ir.set(s(2), more);
    ir.mark(4, 4);
    let one = ir.i64(-1);
    let next = ir.add(counter, one);
    ir.set(s(1), next);
    ir.mark(8, 4);
    let zero = ir.i64(0);
    let cond = ir.ne(next, zero);
    End::Branch { cond, taken: Target(0), fall: Target(12) }
}

fn syscall(ir: &mut IrBuilder, _bytes: &[u8]) -> End {
    ir.mark(0, 4);
    End::Syscall { next: Target(4) }
}

#[test]
fn a_loop_runs_and_is_counted_exactly() {
    let (engine, _) = engine(Blocks::default().at(CODE, 12, count_down).at(CODE + 12, 4, syscall));
    let mut vcpu = vcpu(&engine);
    vcpu.state_mut().set(s(1), 100_000);
    assert_eq!(vcpu.run(), Exit::Syscall);
    assert_eq!(vcpu.state().get(s(2)), 100_000 * 100_001 / 2);
    assert_eq!(vcpu.state().pc(), GuestAddr::new(CODE + 16));
    assert_eq!(engine.stats().tier0_instructions, 300_001);
    assert_eq!(engine.stats().blocks, 2);
    let profile = engine.block_profile(BlockKey::new(GuestAddr::new(CODE), Mode::default())).unwrap();
    assert_eq!(profile.ways, [(GuestAddr::new(CODE), true), (GuestAddr::new(CODE + 12), true)]);
    // Jumps backwards count double, but for the one in each hundred or so that ends in a look at the block.
    assert!((195_000..=199_999).contains(&profile.entries), "{}", profile.entries);
}

#[test]
fn a_budget_stops_between_instructions_and_the_run_goes_on() {
    let (engine, _) = engine(Blocks::default().at(CODE, 12, count_down).at(CODE + 12, 4, syscall));
    let mut vcpu = vcpu(&engine);
    vcpu.state_mut().set(s(1), 1000);
    assert_eq!(vcpu.run_for(0), Exit::BudgetSpent);
    assert_eq!(engine.stats().tier0_instructions, 0);
    let mut runs = 0;
    while vcpu.run_for(100) == Exit::BudgetSpent {
        runs += 1;
        assert_eq!(vcpu.state().pc(), GuestAddr::new(CODE));
    }
    assert_eq!(vcpu.state().get(s(2)), 500_500);
    assert_eq!(runs, 29, "a hundred instructions are thirty-four rounds of three");
}

#[test]
fn an_endless_loop_is_interrupted() {
    let (engine, _) = engine(Blocks::default().at(CODE, 4, |ir, _| {
        ir.mark(0, 4);
        End::Jump { target: Target(0) }
    }));
    let mut vcpu = vcpu(&engine);
    let handle = vcpu.interrupt_handle();
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&done);
    let runner = std::thread::spawn(move || {
        let exit = vcpu.run();
        seen.store(true, Ordering::Release);
        (exit, vcpu)
    });
    std::thread::sleep(Duration::from_millis(20));
    assert!(!done.load(Ordering::Acquire));
    handle.interrupt();
    let (exit, mut vcpu) = runner.join().unwrap();
    assert_eq!(exit, Exit::Interrupted);
    handle.interrupt();
    assert_eq!(vcpu.run(), Exit::Interrupted, "a request before the run counts for it");
}

#[test]
fn a_fault_leaves_the_state_as_before_its_instruction() {
    let (engine, _) = engine(Blocks::default().at(CODE, 12, |ir, _| {
        ir.mark(0, 4);
        let one = ir.i64(1);
        ir.set(s(1), one);
        ir.mark(4, 4);
        let addr = ir.get(s(3), Type::I64);
        let loaded = ir.load(Type::I32, addr, 8, Order::Plain);
        let wide = ir.sign_extend(loaded, Type::I64);
        ir.set(s(2), wide);
        ir.mark(8, 4);
        let two = ir.i64(2);
        ir.set(s(1), two);
        End::Jump { target: Target(12) }
    }));
    let mut vcpu = vcpu(&engine);
    vcpu.state_mut().set(s(2), 77);
    vcpu.state_mut().set(s(3), 0x10);
    let fault = MemFault::Unmapped { addr: GuestAddr::new(0x18), access: Access::Read };
    assert_eq!(vcpu.run(), Exit::Trap(Trap::Memory(fault)));
    assert_eq!(vcpu.state().pc(), GuestAddr::new(CODE + 4));
    assert_eq!((vcpu.state().get(s(1)), vcpu.state().get(s(2))), (1, 77));
    assert_eq!(engine.stats().tier0_instructions, 1);
}

/// A block that adds the first of its bytes to s1, then comes back.
fn add_first_byte(ir: &mut IrBuilder, bytes: &[u8]) -> End {
    ir.mark(0, 4);
    let (a, b) = (ir.get(s(1), Type::I64), ir.i64(i64::from(bytes[0])));
    let sum = ir.add(a, b);
    ir.set(s(1), sum);
    End::Syscall { next: Target(0) }
}

#[test]
fn changed_bytes_are_seen_after_a_flush_and_after_an_invalidation() {
    let (engine, memory) = engine(Blocks::default().at(CODE, 4, add_first_byte));
    let mut vcpu = vcpu(&engine);
    let at = GuestAddr::new(CODE);
    memory.write(at, &[1]).unwrap();
    vcpu.run();
    memory.write(at, &[10]).unwrap();
    vcpu.run();
    assert_eq!(vcpu.state().get(s(1)), 2, "nobody said that the code changed");
    engine.flush_code();
    vcpu.run();
    assert_eq!(vcpu.state().get(s(1)), 12);
    memory.write(at, &[100]).unwrap();
    engine.invalidate(GuestRange::new(at.offset(3), 1).unwrap());
    vcpu.run();
    assert_eq!(vcpu.state().get(s(1)), 112);
    assert_eq!(engine.stats().blocks_retired, 2);
}

#[test]
fn unchanged_bytes_are_not_translated_again_after_a_flush() {
    let (engine, _) = engine(
        Blocks::default()
            .at(CODE, 4, |ir, _| {
                ir.mark(0, 4);
                End::FlushCode { next: Target(4) }
            })
            .at(CODE + 4, 4, |ir, _| {
                ir.mark(0, 4);
                End::Jump { target: Target(-4) }
            }),
    );
    let mut vcpu = vcpu(&engine);
    assert_eq!(vcpu.run_for(1000), Exit::BudgetSpent);
    assert_eq!(engine.stats().blocks, 2);
    assert!(engine.stats().flushes >= 500);
}

#[test]
fn a_loop_that_another_thread_invalidates_changes_its_meaning() {
    let (engine, memory) = engine(Blocks::default().at(CODE, 4, |ir, bytes| {
        ir.mark(0, 4);
        if bytes[0] == 0 { End::Jump { target: Target(0) } } else { End::Syscall { next: Target(4) } }
    }));
    let mut vcpu = vcpu(&engine);
    let runner = std::thread::spawn(move || vcpu.run());
    std::thread::sleep(Duration::from_millis(20));
    memory.write(GuestAddr::new(CODE), &[1]).unwrap();
    engine.invalidate(GuestRange::new(GuestAddr::new(CODE), 4).unwrap());
    assert_eq!(runner.join().unwrap(), Exit::Syscall);
}

#[test]
fn a_child_of_a_fork_leaves_a_cache_alone_that_somebody_was_changing() {
    let (engine, _) = engine(Blocks::default().at(CODE, 12, count_down).at(CODE + 12, 4, syscall));
    let mut vcpu = vcpu(&engine);
    let mut run = |rounds| {
        vcpu.state_mut().set_pc(GuestAddr::new(CODE));
        vcpu.state_mut().set(s(1), rounds);
        assert_eq!(vcpu.run(), Exit::Syscall);
    };
    run(10);
    engine.prepare_fork().child();
    run(10);
    assert_eq!(engine.stats().tier0_restarts, 0);
    // Another thread is in the middle of a cache, of an old one too, and not in the child.
    let other = engine.vcpu();
    let (old, number) = engine.cache();
    let held = old.hold();
    engine.restart_cache(number);
    let (cache, _) = engine.cache();
    let held = (held, cache.hold());
    engine.prepare_fork().child();
    engine.invalidate(GuestRange::everything());
    run(10);
    assert_eq!(engine.stats().tier0_restarts, 2);
    drop(held);
    drop(other);
}

#[cfg(feature = "jit")]
#[test]
fn each_phase_gets_its_own_code_compiled() {
    const SECOND: u64 = CODE + 0x100;
    let blocks = Blocks::default().at(CODE, 12, count_down).at(CODE + 12, 4, syscall).at(SECOND, 12, count_down).at(
        SECOND + 12,
        4,
        syscall,
    );
    let memory = VecMemory::new(CODE, 0x4000);
    let config = Config { deterministic: true, hot_threshold: 12, ..Config::default() };
    let engine = Engine::new(Arc::new(blocks), memory, config).unwrap();
    let mut vcpu = engine.vcpu();
    let mut phase = |start: u64, rounds: u64| {
        vcpu.state_mut().set_pc(GuestAddr::new(start));
        vcpu.state_mut().set(s(1), rounds);
        vcpu.state_mut().set(s(2), 0);
        assert_eq!(vcpu.run(), Exit::Syscall);
        assert_eq!(vcpu.state().get(s(2)), rounds * (rounds + 1) / 2);
        (engine.stats().regions.published, engine.stats().tier0_instructions)
    };
    let (cold, _) = phase(CODE, 20);
    assert_eq!(cold, 0, "twenty rounds are not worth compiling");
    let (first, interpreted) = phase(CODE, 100_000);
    assert_eq!(first, 1);
    assert!(interpreted < 2000, "{interpreted} instructions were interpreted");
    let (second, interpreted) = phase(SECOND, 100_000);
    assert_eq!(second, 2);
    assert!(interpreted < 4000, "{interpreted} instructions were interpreted");
}

/// s2 += the single in s40, where none is, so that the sum is not a number; s1 -= 1; again while s1 is not zero.
#[cfg(feature = "jit")]
fn sum_what_is_no_single(ir: &mut IrBuilder, _bytes: &[u8]) -> End {
    ir.mark(0, 4);
    let [sum, more] = [s(41), s(40)].map(|slot| ir.get(slot, Type::F64));
    let [sum, more] = [sum, more].map(|double| ir.funbox(double, Type::F32));
    let sum = ir.fadd(sum, more, FpAttr::DEFAULT);
    let boxed = ir.fbox(sum);
    ir.set(s(41), boxed);
    let (count, one, zero) = (ir.get(s(1), Type::I64), ir.i64(1), ir.i64(0));
    let count = ir.sub(count, one);
    ir.set(s(1), count);
    End::Branch { cond: ir.ne(count, zero), taken: Target(0), fall: Target(4) }
}

#[cfg(feature = "jit")]
#[test]
fn code_that_declines_too_often_is_made_anew_once() {
    for tier in [TierPolicy::Auto, TierPolicy::Compile] {
        let blocks = Blocks::default().at(CODE, 4, sum_what_is_no_single).at(CODE + 4, 4, syscall);
        let config = Config { deterministic: true, hot_threshold: 12, tier, ..Config::default() };
        let engine = Engine::new(Arc::new(blocks), VecMemory::new(CODE, 0x4000), config).unwrap();
        let mut vcpu = vcpu(&engine);
        vcpu.state_mut().set(s(1), 1_000_000);
        vcpu.state_mut().set(s(40), 1f64.to_bits());
        assert_eq!(vcpu.run(), Exit::Syscall);
        assert_eq!(vcpu.state().get(s(41)), 0xffff_ffff_7fc0_0000);
        let stats = engine.stats();
        assert!(stats.regions.published <= 4, "{tier:?}: {} regions", stats.regions.published);
        assert!(stats.tier0_instructions < 1000, "{tier:?}: {} interpreted", stats.tier0_instructions);
    }
}
