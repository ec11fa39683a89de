//! Loops, links, indirect exits, traps and polls.

use vm_core::{Slot, TrapKind};
use vm_ir::{Order, Target, Type};

use super::*;
use crate::region::RegionBlock;

/// s1 += s2; s2 -= 1; again while s2 is not zero.
fn sum_loop(pc: u64) -> Arc<Block> {
    block(pc, |ir| {
        let (sum, left) = (ir.get(Slot::new(1), Type::I64), ir.get(Slot::new(2), Type::I64));
        let sum = ir.add(sum, left);
        let minus_one = ir.i64(-1);
        let left = ir.add(left, minus_one);
        ir.set(Slot::new(1), sum);
        ir.set(Slot::new(2), left);
        let zero = ir.i64(0);
        let cond = ir.ne(left, zero);
        End::Branch { cond, taken: Target(0), fall: Target(4) }
    })
}

#[test]
fn a_loop_runs_to_its_unlinked_exit() {
    let mut rig = Rig::new();
    rig.state().set(Slot::new(2), 1000);
    let exit = rig.run_block(sum_loop(0x1000));
    assert_eq!(exit, ExitCode::Link);
    assert_eq!(rig.body().exit_value, 0);
    assert_eq!(rig.body().entry_sp, 0);
    assert_eq!((rig.state().get(Slot::new(1)), rig.state().get(Slot::new(2))), (500_500, 0));
}

#[test]
fn a_request_stops_a_loop_with_exact_state() {
    let mut rig = Rig::new();
    rig.state().set(Slot::new(2), 1000);
    let code = rig.compile(&RegionPlan::single(sum_loop(0x1000), CompileOptions::default()));
    rig.frame.interrupt();
    assert_eq!(rig.enter(code), ExitCode::Poll);
    assert_eq!(rig.state().pc(), GuestAddr::new(0x1000));
    assert_eq!(rig.state().get(Slot::new(2)), 1000);
    assert!(rig.frame.take_interrupt());
    assert_eq!(rig.enter(code), ExitCode::Link);
    rig.frame.nudge();
    assert_eq!(rig.enter(code), ExitCode::Poll);
    assert!(!rig.frame.take_interrupt());
}

/// s3 = s2 * 3; s2 -= 1; again while s2 is not zero. What s3 held before a round is nothing that a round needs.
#[test]
fn a_request_stops_a_loop_behind_the_ops_that_replace_slots() {
    let mut rig = Rig::new();
    let tripling = block(0x1000, |ir| {
        let left = ir.get(Slot::new(2), Type::I64);
        let (three, minus_one, zero) = (ir.i64(3), ir.i64(-1), ir.i64(0));
        let triple = ir.mul(left, three);
        ir.set(Slot::new(3), triple);
        let left = ir.add(left, minus_one);
        ir.set(Slot::new(2), left);
        let cond = ir.ne(left, zero);
        End::Branch { cond, taken: Target(0), fall: Target(4) }
    });
    let code = rig.compile(&RegionPlan::single(tripling, CompileOptions::default()));
    let slots = |rig: &mut Rig| (rig.state().get(Slot::new(3)), rig.state().get(Slot::new(2)));
    rig.state().set(Slot::new(2), 2);
    rig.frame.nudge();
    assert_eq!(rig.enter(code), ExitCode::Poll);
    assert_eq!((rig.state().pc(), slots(&mut rig)), (GuestAddr::new(0x1000), (6, 1)));
    rig.frame.interrupt();
    assert_eq!(rig.enter(code), ExitCode::Poll);
    assert_eq!((rig.state().pc(), slots(&mut rig)), (GuestAddr::new(0x1004), (3, 0)));
    assert!(rig.frame.take_interrupt());
}

/// The last block reads a slot that the first one has written, and the one between leaves in its register.
#[test]
fn a_baseline_region_can_be_entered_at_every_block() {
    let [passed, between, read] = [Slot::new(1), Slot::new(2), Slot::new(3)];
    let adding_one = |pc, slot, to, end| {
        block(pc, |ir| {
            let (value, one) = (ir.get(slot, Type::I64), ir.i64(1));
            let sum = ir.add(value, one);
            ir.set(to, sum);
            end
        })
    };
    let next = End::Jump { target: Target(4) };
    let blocks = [
        adding_one(0x1000, passed, passed, next),
        adding_one(0x1004, between, between, next),
        adding_one(0x1008, passed, read, End::Syscall { next: Target(4) }),
    ];
    let options = CompileOptions { quality: Quality::Baseline, ..CompileOptions::default() };
    let mut rig = Rig::new();
    let code = rig.compile(&RegionPlan::whole(&blocks, options).unwrap());
    let mut entries = vec![(GuestAddr::new(0x1000), code)];
    entries.append(&mut rig.entries);
    assert_eq!(entries.len(), blocks.len());
    for (value, (pc, entry)) in (100..).zip(entries) {
        rig.state().set(passed, value);
        assert_eq!(rig.enter(entry), ExitCode::Syscall);
        let added = if pc == GuestAddr::new(0x1000) { 2 } else { 1 };
        assert_eq!(rig.state().get(read), value + added);
    }
}

#[test]
fn linked_regions_run_into_each_other() {
    let mut rig = Rig::new();
    let first = RegionPlan::single(sum_loop(0x1000), CompileOptions::default());
    assert_eq!(first.links(), [GuestAddr::new(0x1004)]);
    let second = block(0x1004, |ir| {
        let sum = ir.get(Slot::new(1), Type::I64);
        let double = ir.add(sum, sum);
        ir.set(Slot::new(3), double);
        End::Syscall { next: Target(4) }
    });
    let code = rig.compile_linked(&first, 5);
    let second = rig.compile(&RegionPlan::single(second, CompileOptions::default()));
    rig.state().set(Slot::new(2), 4);
    assert_eq!(rig.enter(code), ExitCode::Link);
    assert_eq!(rig.body().exit_value, 5);
    rig.links[5] = second.address();
    rig.state().set(Slot::new(2), 4);
    assert_eq!(rig.enter(code), ExitCode::Syscall);
    assert_eq!(rig.state().pc(), GuestAddr::new(0x1008));
    assert_eq!(rig.state().get(Slot::new(3)), 40);
}

#[test]
fn indirect_exits_use_the_jump_cache() {
    for quality in [Quality::Baseline, Quality::Optimised] {
        indirect_exit(quality);
    }
}

fn indirect_exit(quality: Quality) {
    let mut rig = Rig::new();
    let jump = block(0x1000, |ir| End::Indirect { addr: ir.get(Slot::new(1), Type::I64) });
    let jump = rig.compile(&RegionPlan::single(jump, CompileOptions { quality, ..CompileOptions::default() }));
    let target = rig
        .compile(&RegionPlan::single(block(0x2002, |_| End::FlushCode { next: Target(2) }), CompileOptions::default()));
    rig.state().set(Slot::new(1), 0x2002);
    assert_eq!(rig.enter(jump), ExitCode::Continue);
    assert_eq!(rig.state().pc(), GuestAddr::new(0x2002));
    rig.cache.remember(GuestAddr::new(0x2002), target);
    assert_eq!(rig.enter(jump), ExitCode::Flush);
    assert_eq!(rig.state().pc(), GuestAddr::new(0x2004));
    // Another address in the same place is a miss, and what it pushes aside is found.
    let other = 0x2002 + (1 << 40);
    rig.state().set(Slot::new(1), other);
    assert_eq!(rig.enter(jump), ExitCode::Continue);
    assert_eq!(rig.state().pc(), GuestAddr::new(other));
    rig.cache.remember(GuestAddr::new(other), target);
    for pc in [0x2002, other, 0x2002] {
        rig.state().set(Slot::new(1), pc);
        assert_eq!(rig.enter(jump), ExitCode::Flush, "{pc:#x}");
    }
}

#[test]
fn conditional_traps_and_exits_leave_with_earlier_writes_done() {
    let trapping = block(0x1000, |ir| {
        let value = ir.i64(7);
        ir.set(Slot::new(1), value);
        let (cond, addr) = (ir.get(Slot::new(2), Type::I64), ir.get(Slot::new(3), Type::I64));
        let cond = ir.truncate(cond, Type::I8);
        ir.trap_if(cond, TrapKind::MisalignedStore, addr);
        let other = ir.get(Slot::new(4), Type::I64);
        let other = ir.truncate(other, Type::I8);
        ir.exit_if(other, Target(0x100));
        let value = ir.i64(8);
        ir.set(Slot::new(1), value);
        End::Trap { kind: TrapKind::Breakpoint, at: Target(0), addr: Target(0) }
    });
    let mut rig = Rig::new();
    let plan = RegionPlan::single(trapping, CompileOptions::default());
    assert_eq!(plan.links(), [GuestAddr::new(0x1100)]);
    let code = rig.compile(&plan);
    rig.state().set(Slot::new(2), 1);
    rig.state().set(Slot::new(3), 0xabc);
    assert_eq!(rig.enter(code), ExitCode::Trap);
    assert_eq!((rig.body().exit_value, rig.body().exit_addr), (TrapKind::MisalignedStore as u64, 0xabc));
    assert_eq!((rig.state().get(Slot::new(1)), rig.state().pc()), (7, GuestAddr::new(0x1000)));
    rig.state().set(Slot::new(2), 0);
    rig.state().set(Slot::new(4), 1);
    assert_eq!(rig.enter(code), ExitCode::Link);
    assert_eq!(rig.state().get(Slot::new(1)), 7);
    rig.state().set(Slot::new(4), 0);
    assert_eq!(rig.enter(code), ExitCode::Trap);
    assert_eq!(rig.body().exit_value, TrapKind::Breakpoint as u64);
    assert_eq!(rig.state().get(Slot::new(1)), 8);
}

/// A diamond inside a loop, with a slot written on one side only.
#[test]
fn slots_join_where_control_joins() {
    let edge = |pc: u64, index| (GuestAddr::new(pc), index);
    let head = block(0x1000, |ir| {
        let left = ir.get(Slot::new(2), Type::I64);
        let one = ir.i64(1);
        let odd = ir.and(left, one);
        let cond = ir.truncate(odd, Type::I8);
        End::Branch { cond, taken: Target(0x10), fall: Target(0x20) }
    });
    let odd = block(0x1010, |ir| {
        let (sum, left) = (ir.get(Slot::new(1), Type::I64), ir.get(Slot::new(2), Type::I64));
        let sum = ir.add(sum, left);
        ir.set(Slot::new(1), sum);
        End::Jump { target: Target(0x10) }
    });
    let next = block(0x1020, |ir| {
        let left = ir.get(Slot::new(2), Type::I64);
        let minus_one = ir.i64(-1);
        let left = ir.add(left, minus_one);
        ir.set(Slot::new(2), left);
        let zero = ir.i64(0);
        let cond = ir.ne(left, zero);
        End::Branch { cond, taken: Target(-0x20), fall: Target(4) }
    });
    let blocks = vec![
        RegionBlock { block: head, edges: vec![edge(0x1010, 1), edge(0x1020, 2)], entered: false },
        RegionBlock { block: odd, edges: vec![edge(0x1020, 2)], entered: false },
        RegionBlock { block: next, edges: vec![edge(0x1000, 0)], entered: false },
    ];
    for faults in [crate::config::Exact::Pc, crate::config::Exact::Registers] {
        let options = CompileOptions { count: true, faults, ..CompileOptions::default() };
        let plan = RegionPlan { entry: key(0x1000), blocks: blocks.clone(), assumed: Vec::new(), options };
        let mut rig = Rig::new();
        rig.state().set(Slot::new(1), 100);
        rig.state().set(Slot::new(2), 10);
        assert_eq!(rig.run(&plan), ExitCode::Link);
        assert_eq!(rig.state().get(Slot::new(1)), 100 + 9 + 7 + 5 + 3 + 1);
        assert_eq!(rig.body().executed, 10 + 5 + 10);
        let own = rig.links[plan.links().len()].wrapping_sub(link_stub());
        assert_eq!(own, 10 + 5 + 10, "the word behind the region's links counts too");
    }
}

/// A word that is stored in pieces of each width, from the last to the first, and then loaded.
#[test]
fn words_are_loaded_as_they_were_stored_in_pieces() {
    let mut rig = Rig::new();
    for (word, pieces) in [
        (Type::I16, [Type::I8].as_slice()),
        (Type::I32, &[Type::I8]),
        (Type::I32, &[Type::I16]),
        (Type::I32, &[Type::I8, Type::I8, Type::I16]),
        (Type::I64, &[Type::I8]),
        (Type::I64, &[Type::I32, Type::I16, Type::I16]),
        (Type::I64, &[Type::I32]),
    ] {
        let mut memory = [0x5a_u8; 24];
        let start = memory.as_mut_ptr() as u64;
        let storing = |order| {
            block(0x1000, |ir| {
                let (base, bits) = (ir.get(Slot::new(1), Type::I64), ir.get(Slot::new(2), Type::I64));
                let mut end = word.bytes() as i64;
                for piece in pieces.iter().cycle() {
                    if end == 0 {
                        break;
                    }
                    end -= piece.bytes() as i64;
                    let by = ir.i64(end * 8);
                    let shifted = ir.shr_u(bits, by);
                    let value = ir.truncate(shifted, *piece);
                    ir.store(base, end + 7, value, Order::Plain);
                }
                let whole = ir.load(word, base, 7, order);
                let whole = if word == Type::I64 { whole } else { ir.sign_extend(whole, Type::I64) };
                ir.set(Slot::new(3), whole);
                End::Jump { target: Target(4) }
            })
        };
        let loads = |order| {
            let plan = RegionPlan::single(storing(order), CompileOptions::default());
            rig.jit.emitted(&plan, |inst| inst.opcode().can_load())
        };
        assert_eq!(loads(Order::Plain) + 1, loads(Order::Acquire), "{word} of {pieces:?}");
        let bits = 0xf1e2_d3c4_b5a6_9788_u64;
        rig.state().set(Slot::new(1), start);
        rig.state().set(Slot::new(2), bits);
        assert_eq!(rig.run_block(storing(Order::Plain)), ExitCode::Link);
        assert_eq!(memory[7..7 + word.bytes()], bits.to_le_bytes()[..word.bytes()], "{word} of {pieces:?}");
        let expected = word.sign_extend(bits & word.mask()) as u64;
        assert_eq!(rig.state().get(Slot::new(3)), expected, "{word} of {pieces:?}");
    }
}

/// A caller and its callee, copied in, which returns to the address in s1. If the callee leaves s1 alone, where that is, is
/// known when the code is made; it may be somewhere else than where the region expects it.
#[test]
fn a_callee_returns_to_what_its_call_left() {
    for (kept, returns_to) in [(0x1004, Some(0x1004)), (0x1004, None), (0x3000, None), (0x3000, Some(0x1004))] {
        let caller = block(0x1000, |ir| {
            let ret = ir.i64(kept);
            ir.set(Slot::new(1), ret);
            End::Call { target: Target(0x1000), ret: Target(4) }
        });
        let callee = block(0x2000, |ir| {
            if returns_to.is_some() {
                let other = ir.get(Slot::new(2), Type::I64);
                ir.set(Slot::new(1), other);
            }
            let (addr, even) = (ir.get(Slot::new(1), Type::I64), ir.i64(-2));
            End::Return { addr: ir.and(addr, even) }
        });
        let after = block(0x1004, |ir| {
            let nine = ir.i64(9);
            ir.set(Slot::new(3), nine);
            End::Syscall { next: Target(4) }
        });
        let edges = [(0x2000, 1), (0x1004, 2)].map(|(pc, index)| vec![(GuestAddr::new(pc), index)]);
        let [to_callee, to_after] = edges;
        let blocks = vec![
            RegionBlock { block: caller, edges: to_callee, entered: false },
            RegionBlock { block: callee, edges: to_after, entered: false },
            RegionBlock { block: after, edges: Vec::new(), entered: false },
        ];
        let plan = RegionPlan { entry: key(0x1000), blocks, assumed: Vec::new(), options: CompileOptions::default() };
        let mut rig = Rig::new();
        rig.state().set(Slot::new(2), returns_to.unwrap_or(0x5000) + 1);
        let is_back = returns_to.unwrap_or(kept as u64) == 0x1004;
        let compares = rig.jit.emitted(&plan, |inst| inst.opcode() == Opcode::Icmp);
        assert_eq!(compares == 0, kept == 0x1004 && returns_to.is_none(), "{kept:#x} {returns_to:?}: {compares}");
        let exit = rig.run(&plan);
        assert_eq!(exit == ExitCode::Syscall, is_back, "{kept:#x} {returns_to:?}: {exit:?}");
        assert_eq!(rig.state().get(Slot::new(3)), if is_back { 9 } else { 0 });
    }
}
