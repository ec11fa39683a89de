//! Regions made for constants in slots.

use vm_core::Slot;
use vm_ir::{Target, Type};

use super::*;

const COUNT: Slot = Slot::new(1);
const STEP: Slot = Slot::new(2);
const SUM: Slot = Slot::new(3);

/// A loop that adds s2 to s3 as often as s1 says.
fn plan() -> RegionPlan {
    let round = block(0x1000, |ir| {
        let [count, step, sum] = [COUNT, STEP, SUM].map(|slot| ir.get(slot, Type::I64));
        let sum = ir.add(sum, step);
        ir.set(SUM, sum);
        let (one, zero) = (ir.i64(1), ir.i64(0));
        let count = ir.sub(count, one);
        ir.set(COUNT, count);
        End::Branch { cond: ir.ne(count, zero), taken: Target(0), fall: Target(64) }
    });
    let last = block(0x1040, |_| End::Syscall { next: Target(4) });
    RegionPlan::whole(&[round, last], CompileOptions::default()).unwrap()
}

#[test]
fn other_states_than_those_that_are_assumed_are_declined_as_they_are() {
    for step in [5, 0x1234_5678_9abc_def0] {
        let mut plan = plan();
        plan.assume(vec![(STEP, step)], &[]);
        let mut rig = Rig::new();
        let code = rig.compile(&plan);
        for (held, exit, left) in [
            (step, ExitCode::Syscall, (0, step.wrapping_mul(3).wrapping_add(7))),
            (step + 1, ExitCode::Declined, (3, 7)),
            (step ^ 1 << 63, ExitCode::Declined, (3, 7)),
        ] {
            rig.state().set(COUNT, 3);
            rig.state().set(STEP, held);
            rig.state().set(SUM, 7);
            assert_eq!(rig.enter(code), exit);
            assert_eq!((rig.state().get(COUNT), rig.state().get(SUM)), left);
            assert_eq!(rig.state().get(STEP), held);
            if exit == ExitCode::Declined {
                assert_eq!(rig.state().pc(), plan.entry.pc);
            }
        }
    }
}
