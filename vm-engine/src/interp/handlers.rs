//! One function for each opcode. It does what the op says and ends with a call of the next op's function; an end calls
//! the first op of the next body. All have one signature, so that an optimising compiler makes jumps of these calls,
//! each of which the host's branch predictor knows by itself. Where it makes calls of them, the stack grows until the
//! [chain](super::CHAIN) is used up.
#![allow(non_snake_case, reason = "a function is named as its opcode")]

use std::sync::atomic::Ordering;

use vm_core::{CpuState, GuestAddr, Mode};
use vm_ir::eval::{self, FpEnv};
use vm_ir::{Op, Type};

use super::body::BodyRef;
use super::code::{Opcode, forms};
use super::float::Attributes;
use super::op::{Cursor, set_wide, wide, word};
use super::{Context, dynamic_rounding, float, rare};
use crate::flat::Window;

/// What runs an op and everything after it, until the context says why it came back.
pub(super) type Handler = for<'a> fn(Cursor<'a>, &mut CpuState, &mut Context<'a>, BodyRef<'a>, Window);

/// Runs the op at `at`, of `body`, and everything after it.
#[inline(always)]
pub(super) fn dispatch<'a>(
    at: Cursor<'a>,
    state: &mut CpuState,
    cx: &mut Context<'a>,
    body: BodyRef<'a>,
    window: Window,
) {
    HANDLERS[at.code().op() as usize](at, state, cx, body, window);
}

/// Enters `next`, which a jump leads to that counts as `weight` entries, unless something needs the run loop first.
#[inline(always)]
pub(super) fn enter<'a>(next: BodyRef<'a>, weight: u32, state: &mut CpuState, cx: &mut Context<'a>, window: Window) {
    let head = next.head();
    let left = cx.left;
    if cx.is_stopped() {
        return cx.halt(next, weight, state);
    }
    if left <= 0 {
        return cx.halt(next, weight, state);
    }
    if !head.enter(cx.generation, weight) {
        return cx.halt(next, weight, state);
    }
    cx.left = left - i64::from(head.guest_len());
    dispatch(next.start(), state, cx, next, window);
}

/// Leaves `body` by way number `index` of its end, which counts as `weight` entries.
#[inline(always)]
fn leave<'a>(index: usize, weight: u16, state: &mut CpuState, cx: &mut Context<'a>, body: BodyRef<'a>, window: Window) {
    match body.head().ways[index].block() {
        Some(next) => enter(next, u32::from(weight), state, cx, window),
        None => cx.untaken(body, index, state),
    }
}

/// The value of an op on words.
macro_rules! scalar {
    ($op:ident, $ty:expr, $from:expr, $a:expr, $b:expr) => {
        eval::scalar(Op::$op, $ty, $from, 0, [$a, $b, 0], &mut FpEnv::new())
    };
}

macro_rules! cut32 {
    ($a:expr) => {
        eval::scalar(Op::Truncate, Type::I32, Type::I64, 0, [$a, 0, 0], &mut FpEnv::new())
    };
}

macro_rules! signed32 {
    ($a:expr) => {
        eval::scalar(Op::SignExtend, Type::I64, Type::I32, 0, [$a, 0, 0], &mut FpEnv::new())
    };
}

/// The operand of a comparison or unary op of this type, whatever the word holds above its bits.
macro_rules! cut {
    ($ty:ident, $a:expr) => {
        $a & Type::$ty.mask()
    };
}

/// A handler with the names that its body uses for the arguments.
macro_rules! handler {
    ($name:ident |$at:ident, $state:ident, $cx:ident, $body:ident, $window:ident| $does:expr) => {
        fn $name<'a>(
            $at: Cursor<'a>,
            $state: &mut CpuState,
            $cx: &mut Context<'a>,
            $body: BodyRef<'a>,
            $window: Window,
        ) {
            $does
        }
    };
}

/// Goes on with the op after `at`, which is no end.
macro_rules! next {
    ($at:ident, $state:ident, $cx:ident, $body:ident, $window:ident) => {{
        // SAFETY: the handlers that say this are those of ops that are no ends.
        let next = unsafe { $at.next() };
        dispatch(next, $state, $cx, $body, $window)
    }};
}

/// A handler of an op that gives a value and goes on.
macro_rules! value {
    ($name:ident |$at:ident, $state:ident, $cx:ident| $value:expr) => {
        handler!(
            $name | $at,
            $state,
            $cx,
            body,
            window | {
                const { assert!(!Opcode::$name.is_end()) };
                let value = $value;
                $at.code().put($state, value);
                next!($at, $state, $cx, body, window)
            }
        );
    };
}

/// A handler of an op that reads memory.
macro_rules! load {
    ($name:ident $access:ident |$value:ident| $extended:expr) => {
        handler!(
            $name | at,
            state,
            cx,
            body,
            window | {
                const { assert!(!Opcode::$name.is_end()) };
                let code = at.code();
                let addr = code.get_a(state).wrapping_add(code.imm);
                let Some($value) = window.$access(addr) else { return slow_access(at, state, cx, body, window) };
                code.put(state, $extended);
                next!(at, state, cx, body, window)
            }
        );
    };
}

/// A handler of an op that writes memory.
macro_rules! store {
    ($name:ident $access:ident) => {
        handler!(
            $name | at,
            state,
            cx,
            body,
            window | {
                const { assert!(!Opcode::$name.is_end()) };
                let code = at.code();
                let addr = code.get_a(state).wrapping_add(code.imm);
                if !window.$access(addr, code.get_b(state)) {
                    return slow_access(at, state, cx, body, window);
                }
                next!(at, state, cx, body, window)
            }
        );
    };
}

/// The attributes of a floating-point op.
macro_rules! attributes {
    ($op:ident, $code:ident) => {
        if const { float::is_comparison(Op::$op) } {
            let (quiet, signaling) = const { (Attributes::new(Op::$op, 0), Attributes::new(Op::$op, 1)) };
            if $code.imm == 0 { quiet } else { signaling }
        } else {
            const { Attributes::new(Op::$op, 0) }
        }
    };
}

macro_rules! handlers {
    (
        long { $($ll:ident $lli:ident $lop:ident;)* }
        word { $($ww:ident $wwi:ident $wx:ident $wxi:ident $wop:ident;)* }
        compare { $($cc:ident $cci:ident $cb:ident $cbi:ident $cop:ident $cty:ident;)* }
        unary { $($un:ident $uop:ident $uty:ident $ufrom:ident;)* }
        float { $($fd:ident $fs:ident $fop:ident $fty:ident;)* }
        convert { $($co:ident $coop:ident $coty:ident $cofrom:ident $coattr:literal;)* }
    ) => {
        $(
            value!($ll |at, state, cx| {
                let code = at.code();
                scalar!($lop, Type::I64, Type::I64, code.get_a(state), code.get_b(state))
            });
            value!($lli |at, state, cx| {
                let code = at.code();
                scalar!($lop, Type::I64, Type::I64, code.get_a(state), code.imm)
            });
        )*
        $(
            value!($ww |at, state, cx| {
                let code = at.code();
                scalar!($wop, Type::I32, Type::I32, cut32!(code.get_a(state)), cut32!(code.get_b(state)))
            });
            value!($wwi |at, state, cx| {
                let code = at.code();
                scalar!($wop, Type::I32, Type::I32, cut32!(code.get_a(state)), cut32!(code.imm))
            });
            value!($wx |at, state, cx| {
                let code = at.code();
                let (a, b) = (cut32!(code.get_a(state)), cut32!(code.get_b(state)));
                signed32!(scalar!($wop, Type::I32, Type::I32, a, b))
            });
            value!($wxi |at, state, cx| {
                let code = at.code();
                signed32!(scalar!($wop, Type::I32, Type::I32, cut32!(code.get_a(state)), cut32!(code.imm)))
            });
        )*
        $(
            value!($cc |at, state, cx| {
                let code = at.code();
                let (a, b) = (cut!($cty, code.get_a(state)), cut!($cty, code.get_b(state)));
                scalar!($cop, Type::I8, Type::$cty, a, b)
            });
            value!($cci |at, state, cx| {
                let code = at.code();
                scalar!($cop, Type::I8, Type::$cty, cut!($cty, code.get_a(state)), code.imm)
            });
            handler!($cb |at, state, cx, body, window| {
                let code = at.code();
                let (a, b) = (cut!($cty, code.get_a(state)), cut!($cty, code.get_b(state)));
                if scalar!($cop, Type::I8, Type::$cty, a, b) != 0 {
                    leave(0, code.d(), state, cx, body, window)
                } else {
                    leave(1, 1, state, cx, body, window)
                }
            });
            handler!($cbi |at, state, cx, body, window| {
                let code = at.code();
                if scalar!($cop, Type::I8, Type::$cty, cut!($cty, code.get_a(state)), code.imm) != 0 {
                    leave(0, code.d(), state, cx, body, window)
                } else {
                    leave(1, 1, state, cx, body, window)
                }
            });
        )*
        $(
            value!($un |at, state, cx| {
                scalar!($uop, Type::$uty, Type::$ufrom, cut!($ufrom, at.code().get_a(state)), 0)
            });
        )*
        $(
            value!($fd |at, state, cx| {
                let code = at.code();
                let args = [code.get_a(state), code.get_b(state), *word(state, code.imm as u16)];
                float::double(Op::$fop, attributes!($fop, code), args, &mut cx.env)
            });
            value!($fs |at, state, cx| {
                let code = at.code();
                let args = [code.get_a(state), code.get_b(state), *word(state, code.imm as u16)];
                float::single(Op::$fop, attributes!($fop, code), args, &mut cx.env)
            });
        )*
        $(
            value!($co |at, state, cx| {
                let a = at.code().get_a(state);
                let attributes = const { Attributes::new(Op::$coop, $coattr) };
                float::convert(Op::$coop, Type::$coty, Type::$cofrom, attributes, a, &mut cx.env)
            });
        )*

        /// The function for `op`.
        const fn handler(op: Opcode) -> Handler {
            match op {
                $(Opcode::$ll => $ll, Opcode::$lli => $lli,)*
                $(Opcode::$ww => $ww, Opcode::$wwi => $wwi, Opcode::$wx => $wx, Opcode::$wxi => $wxi,)*
                $(Opcode::$cc => $cc, Opcode::$cci => $cci, Opcode::$cb => $cb, Opcode::$cbi => $cbi,)*
                $(Opcode::$un => $un,)*
                $(Opcode::$fd => $fd, Opcode::$fs => $fs,)*
                $(Opcode::$co => $co,)*
                Opcode::Move => Move,
                Opcode::MoveImm => MoveImm,
                Opcode::MoveWide => MoveWide,
                Opcode::Cut => Cut,
                Opcode::Select => Select,
                Opcode::Generic => Generic,
                Opcode::Load8 => Load8,
                Opcode::Load16 => Load16,
                Opcode::Load32 => Load32,
                Opcode::Load64 => Load64,
                Opcode::Load8S => Load8S,
                Opcode::Load16S => Load16S,
                Opcode::Load32S => Load32S,
                Opcode::Store8 => Store8,
                Opcode::Store16 => Store16,
                Opcode::Store32 => Store32,
                Opcode::Store64 => Store64,
                Opcode::SelectWide
                | Opcode::AndWide
                | Opcode::OrWide
                | Opcode::XorWide
                | Opcode::Load128
                | Opcode::Store128
                | Opcode::AtomicRmw
                | Opcode::AtomicCas => memory_or_wide,
                Opcode::Fence | Opcode::FpFlagsGet | Opcode::FpFlagsSet | Opcode::Call => system,
                Opcode::SetMode => SetMode,
                Opcode::SpillStore => SpillStore,
                Opcode::SpillLoad => SpillLoad,
                Opcode::TrapIf => TrapIf,
                Opcode::ExitIf => ExitIf,
                Opcode::Jump => Jump,
                Opcode::Branch => Branch,
                Opcode::Indirect => Indirect,
                Opcode::Syscall | Opcode::Trap | Opcode::FlushCode | Opcode::ModeChange => end,
            }
        }
    };
}

forms!(handlers);

/// The function for each opcode, by its number.
static HANDLERS: [Handler; 256] = {
    // Numbers that no opcode has are never looked up.
    let mut table = [handler(Opcode::Trap); 256];
    let mut number = 0;
    while number < Opcode::ALL.len() {
        table[Opcode::ALL[number] as usize] = handler(Opcode::ALL[number]);
        number += 1;
    }
    table
};

value!(Move | at, state, cx | at.code().get_a(state));
value!(MoveImm | at, state, cx | at.code().imm);
value!(Cut | at, state, cx | at.code().get_a(state) & at.code().imm);
value!(
    Select | at,
    state,
    cx | {
        let code = at.code();
        let (cond, yes, no) = (code.get_a(state), code.get_b(state), *word(state, code.imm as u16));
        eval::scalar(Op::Select, Type::I64, Type::I64, 0, [cond, yes, no], &mut FpEnv::new())
    }
);
value!(Generic | at, state, cx | rare::generic(*at.code(), state, &mut cx.env));
value!(SpillLoad | at, state, cx | cx.spills.get(at.code().imm as usize).copied().unwrap_or(0));

load!(Load8 load_8 |x| x);
load!(Load16 load_16 |x| x);
load!(Load32 load_32 |x| x);
load!(Load64 load_64 |x| x);
load!(Load8S load_8 |x| scalar!(SignExtend, Type::I64, Type::I8, x, 0));
load!(Load16S load_16 |x| scalar!(SignExtend, Type::I64, Type::I16, x, 0));
load!(Load32S load_32 |x| scalar!(SignExtend, Type::I64, Type::I32, x, 0));
store!(Store8 store_8);
store!(Store16 store_16);
store!(Store32 store_32);
store!(Store64 store_64);

/// A handler of what a window refuses: the access is made, or its fault explained, by calls.
#[cold]
#[inline(never)]
fn slow_access<'a>(at: Cursor<'a>, state: &mut CpuState, cx: &mut Context<'a>, body: BodyRef<'a>, window: Window) {
    if rare::access(at.code(), state, cx) { next!(at, state, cx, body, window) } else { cx.stop_at(at, body, state) }
}

handler!(
    memory_or_wide | at,
    state,
    cx,
    body,
    window | {
        if rare::memory_or_wide(at.code(), state, cx) {
            next!(at, state, cx, body, window)
        } else {
            cx.stop_at(at, body, state)
        }
    }
);

handler!(
    system | at,
    state,
    cx,
    body,
    window | {
        rare::system(at.code(), cx.run.helpers, state, &mut cx.env);
        next!(at, state, cx, body, window)
    }
);

handler!(
    MoveWide | at,
    state,
    cx,
    body,
    window | {
        let value = wide(state, at.code().a());
        set_wide(state, at.code().d(), value);
        next!(at, state, cx, body, window)
    }
);

handler!(
    SetMode | at,
    state,
    cx,
    body,
    window | {
        let mode = Mode::new(at.code().get_a(state) as u32);
        state.set_mode(mode);
        cx.env.rounding = dynamic_rounding(state);
        next!(at, state, cx, body, window)
    }
);

handler!(
    SpillStore | at,
    state,
    cx,
    body,
    window | {
        let value = at.code().get_a(state);
        cx.spill(body, at.code().imm, value);
        next!(at, state, cx, body, window)
    }
);

handler!(
    TrapIf | at,
    state,
    cx,
    body,
    window | {
        let code = at.code();
        if code.get_a(state) != 0 {
            rare::trap(code, state, cx);
            return cx.stop_at(at, body, state);
        }
        next!(at, state, cx, body, window)
    }
);

handler!(
    ExitIf | at,
    state,
    cx,
    body,
    window | {
        let code = at.code();
        if code.get_a(state) != 0 {
            return side_exit(at, state, cx, body, window);
        }
        next!(at, state, cx, body, window)
    }
);

/// The side exit at `at` is taken: only the instructions up to here were executed.
#[inline(never)]
fn side_exit<'a>(at: Cursor<'a>, state: &mut CpuState, cx: &mut Context<'a>, body: BodyRef<'a>, window: Window) {
    let code = at.code();
    cx.refund(at, body, 1);
    let index = code.imm as usize;
    match cx.block(body).way(index).and_then(|way| way.block()) {
        Some(next) => enter(next, u32::from(code.d()), state, cx, window),
        None => cx.untaken(body, index, state),
    }
}

handler!(Jump | at, state, cx, body, window | leave(0, at.code().d(), state, cx, body, window));

handler!(
    Branch | at,
    state,
    cx,
    body,
    window | {
        let code = at.code();
        if code.get_a(state) != 0 {
            leave(0, code.d(), state, cx, body, window)
        } else {
            leave(1, 1, state, cx, body, window)
        }
    }
);

/// What a computed jump from `body` to `next` counts as: a jump backwards counts double.
#[inline(always)]
fn weight(body: BodyRef<'_>, next: BodyRef<'_>) -> u32 {
    1 + u32::from(next.head().pc <= body.head().pc)
}

handler!(
    Indirect | at,
    state,
    cx,
    body,
    window | {
        let target = at.code().get_a(state);
        let head = body.head();
        if let Some(next) = head.ways[0].block()
            && next.head().pc == target
        {
            head.hits.store(head.hits.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
            return enter(next, weight(body, next), state, cx, window);
        }
        elsewhere(at, state, cx, body, window)
    }
);

/// [`Indirect`] to where its way does not lead.
#[inline(never)]
fn elsewhere<'a>(at: Cursor<'a>, state: &mut CpuState, cx: &mut Context<'a>, body: BodyRef<'a>, window: Window) {
    let target = at.code().get_a(state);
    if cx.block(body).should_lead_to(target) {
        return cx.unlinked(body, 0, GuestAddr::new(target), state);
    }
    match cx.targets.find(target) {
        Some(next) => enter(next, weight(body, next), state, cx, window),
        None => cx.computed(target, state),
    }
}

handler!(end | at, state, cx, body, _window | rare::end(at.code(), body, state, cx));
