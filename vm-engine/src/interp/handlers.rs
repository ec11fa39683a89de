//! One function for each opcode. It does what the op says and ends with a call of the next op's function; an end calls
//! the first op of the next body. All have one signature, so that an optimising compiler makes jumps of these calls,
//! each of which the host's branch predictor knows by itself. Where it makes calls of them, the stack grows until the
//! [chain](super::CHAIN) is used up.
#![allow(non_snake_case, reason = "a function is named as its opcode")]

use std::sync::atomic::Ordering;

use vm_core::{CpuState, GuestAddr, Mode};

use super::body::BodyRef;
use super::code::{Opcode, forms};
use super::op::{Cursor, set_wide, wide};
use super::{Context, dynamic_rounding, rare, steps};
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

/// A handler with the names that its body uses for the arguments.
macro_rules! handler {
    ($name:ident, |$at:ident, $state:ident, $cx:ident, $body:ident, $window:ident| $does:expr) => {
        #[inline]
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

/// The handler of an op that is a step and goes on.
macro_rules! step {
    ($name:ident) => {
        handler!($name, |at, state, cx, body, window| {
            const { assert!(!Opcode::$name.is_end()) };
            if !steps::$name(at.code(), state, cx, window) {
                return slow_access(at, state, cx, body, window);
            }
            next!(at, state, cx, body, window)
        });
    };
}

/// The handler of a branch.
macro_rules! branch {
    ($name:ident) => {
        handler!($name, |at, state, cx, body, window| {
            let code = at.code();
            if steps::$name(code, state) {
                leave(0, code.d(), state, cx, body, window)
            } else {
                leave(1, 1, state, cx, body, window)
            }
        });
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
        pairs { $($pa:ident $pa1:ident $pa2:ident;)* }
        last { $($la:ident $la1:ident $la2:ident;)* }
    ) => {
        $(step!($ll); step!($lli);)*
        $(step!($ww); step!($wwi); step!($wx); step!($wxi);)*
        $(step!($cc); step!($cci);)*
        $(step!($un);)*
        $(step!($fd); step!($fs);)*
        $(step!($co);)*
        $(
            branch!($cb);
            branch!($cbi);
        )*
        $(
            handler!($pa, |at, state, cx, body, window| {
                const { assert!(!Opcode::$pa1.is_end() && !Opcode::$pa2.is_end()) };
                if !steps::$pa1(at.code(), state, cx, window) {
                    return slow_access(at, state, cx, body, window);
                }
                // SAFETY: the op is the first, no end; behind it is the second, no end either (see `Body::new`).
                let at = unsafe { at.next() };
                if !steps::$pa2(at.code(), state, cx, window) {
                    return slow_access(at, state, cx, body, window);
                }
                next!(at, state, cx, body, window)
            });
        )*
        $(
            handler!($la, |at, state, cx, body, window| {
                const { assert!(!Opcode::$la1.is_end()) };
                if !steps::$la1(at.code(), state, cx, window) {
                    return slow_access(at, state, cx, body, window);
                }
                // SAFETY: the op is the first, no end; behind it is the second (see `Body::new`).
                let at = unsafe { at.next() };
                $la2(at, state, cx, body, window)
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
                $(Opcode::$pa => $pa,)*
                $(Opcode::$la => $la,)*
            }
        }
    };
}

forms!(handlers);

/// The function for each opcode, by its number.
static HANDLERS: [Handler; Opcode::ALL.len()] = {
    let mut table = [handler(Opcode::Trap); Opcode::ALL.len()];
    let mut number = 0;
    while number < table.len() {
        table[number] = handler(Opcode::ALL[number]);
        number += 1;
    }
    table
};

step!(Move);
step!(MoveImm);
step!(Cut);
step!(Select);
step!(Generic);
step!(SpillLoad);
step!(Load8);
step!(Load16);
step!(Load32);
step!(Load64);
step!(Load8S);
step!(Load16S);
step!(Load32S);
step!(Store8);
step!(Store16);
step!(Store32);
step!(Store64);

/// A handler of what a window refuses: the access is made, or its fault explained, by calls.
#[cold]
#[inline(never)]
fn slow_access<'a>(at: Cursor<'a>, state: &mut CpuState, cx: &mut Context<'a>, body: BodyRef<'a>, window: Window) {
    if rare::access(at.code(), state, cx) { next!(at, state, cx, body, window) } else { cx.stop_at(at, body, state) }
}

handler!(memory_or_wide, |at, state, cx, body, window| {
    if rare::memory_or_wide(at.code(), state, cx) {
        next!(at, state, cx, body, window)
    } else {
        cx.stop_at(at, body, state)
    }
});

handler!(system, |at, state, cx, body, window| {
    rare::system(at.code(), cx.run.helpers, state, &mut cx.env);
    next!(at, state, cx, body, window)
});

handler!(MoveWide, |at, state, cx, body, window| {
    let value = wide(state, at.code().a());
    set_wide(state, at.code().d(), value);
    next!(at, state, cx, body, window)
});

handler!(SetMode, |at, state, cx, body, window| {
    let mode = Mode::new(at.code().get_a(state) as u32);
    state.set_mode(mode);
    cx.env.rounding = dynamic_rounding(state);
    next!(at, state, cx, body, window)
});

handler!(SpillStore, |at, state, cx, body, window| {
    let value = at.code().get_a(state);
    cx.spill(body, at.code().imm, value);
    next!(at, state, cx, body, window)
});

handler!(TrapIf, |at, state, cx, body, window| {
    let code = at.code();
    if code.get_a(state) != 0 {
        rare::trap(code, state, cx);
        return cx.stop_at(at, body, state);
    }
    next!(at, state, cx, body, window)
});

handler!(ExitIf, |at, state, cx, body, window| {
    let code = at.code();
    if code.get_a(state) != 0 {
        return side_exit(at, state, cx, body, window);
    }
    next!(at, state, cx, body, window)
});

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

handler!(Jump, |at, state, cx, body, window| leave(0, at.code().d(), state, cx, body, window));

branch!(Branch);

/// What a computed jump from `body` to `next` counts as: a jump backwards counts double.
#[inline(always)]
fn weight(body: BodyRef<'_>, next: BodyRef<'_>) -> u32 {
    1 + u32::from(next.head().pc <= body.head().pc)
}

handler!(Indirect, |at, state, cx, body, window| {
    let target = at.code().get_a(state);
    let head = body.head();
    if let Some(next) = head.ways[0].block()
        && next.head().pc == target
    {
        head.hits.store(head.hits.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        return enter(next, weight(body, next), state, cx, window);
    }
    elsewhere(at, state, cx, body, window)
});

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

handler!(end, |at, state, cx, body, _window| rare::end(at.code(), body, state, cx));
