//! One function for each op that ends no block and needs nothing but registers, memory and the floating-point
//! environment: the parts that [handlers](super::handlers) are made of. False if the op reads or writes memory and the
//! window refuses: nothing has happened then.
#![allow(non_snake_case, reason = "a function is named as its opcode")]

use vm_core::CpuState;
use vm_ir::eval::{self, FpEnv};
use vm_ir::{Op, Type};

use super::code::forms;
use super::float::Attributes;
use super::op::{Code, word};
use super::{Context, float, rare};
use crate::flat::Window;

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

/// An op that gives a value.
macro_rules! value {
    ($name:ident, |$code:ident, $state:ident| $value:expr) => {
        value!($name, |$code, $state, _cx| $value);
    };
    ($name:ident, |$code:ident, $state:ident, $cx:ident| $value:expr) => {
        #[inline(always)]
        pub(super) fn $name($code: &Code, $state: &mut CpuState, $cx: &mut Context<'_>, _: Window) -> bool {
            let value = $value;
            $code.put($state, value);
            true
        }
    };
}

/// An op that reads memory.
macro_rules! load {
    ($name:ident, $access:ident, |$value:ident| $extended:expr) => {
        #[inline(always)]
        pub(super) fn $name(code: &Code, state: &mut CpuState, _: &mut Context<'_>, window: Window) -> bool {
            let addr = code.get_a(state).wrapping_add(code.imm);
            let Some($value) = window.$access(addr) else { return false };
            code.put(state, $extended);
            true
        }
    };
}

/// An op that writes memory.
macro_rules! store {
    ($name:ident, $access:ident) => {
        #[inline(always)]
        pub(super) fn $name(code: &Code, state: &mut CpuState, _: &mut Context<'_>, window: Window) -> bool {
            let addr = code.get_a(state).wrapping_add(code.imm);
            window.$access(addr, code.get_b(state))
        }
    };
}

/// Whether a branch is taken.
macro_rules! taken {
    ($name:ident, |$code:ident, $state:ident| $cond:expr) => {
        #[inline(always)]
        pub(super) fn $name($code: &Code, $state: &mut CpuState) -> bool {
            let cond = $cond;
            cond != 0
        }
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

macro_rules! steps {
    (
        long { $($ll:ident $lli:ident $lop:ident;)* }
        word { $($ww:ident $wwi:ident $wx:ident $wxi:ident $wop:ident;)* }
        compare { $($cc:ident $cci:ident $cb:ident $cbi:ident $cop:ident $cty:ident;)* }
        unary { $($un:ident $uop:ident $uty:ident $ufrom:ident;)* }
        float { $($fd:ident $fs:ident $fop:ident $fty:ident;)* }
        convert { $($co:ident $coop:ident $coty:ident $cofrom:ident $coattr:literal;)* }
        pairs { $($pairs:tt)* }
        last { $($last:tt)* }
    ) => {
        $(
            value!($ll, |code, state| {
                scalar!($lop, Type::I64, Type::I64, code.get_a(state), code.get_b(state))
            });
            value!($lli, |code, state| {
                scalar!($lop, Type::I64, Type::I64, code.get_a(state), code.imm)
            });
        )*
        $(
            value!($ww, |code, state| {
                scalar!($wop, Type::I32, Type::I32, cut32!(code.get_a(state)), cut32!(code.get_b(state)))
            });
            value!($wwi, |code, state| {
                scalar!($wop, Type::I32, Type::I32, cut32!(code.get_a(state)), cut32!(code.imm))
            });
            value!($wx, |code, state| {
                let (a, b) = (cut32!(code.get_a(state)), cut32!(code.get_b(state)));
                signed32!(scalar!($wop, Type::I32, Type::I32, a, b))
            });
            value!($wxi, |code, state| {
                signed32!(scalar!($wop, Type::I32, Type::I32, cut32!(code.get_a(state)), cut32!(code.imm)))
            });
        )*
        $(
            value!($cc, |code, state| {
                let (a, b) = (cut!($cty, code.get_a(state)), cut!($cty, code.get_b(state)));
                scalar!($cop, Type::I8, Type::$cty, a, b)
            });
            value!($cci, |code, state| {
                scalar!($cop, Type::I8, Type::$cty, cut!($cty, code.get_a(state)), code.imm)
            });
        )*
        $(
            value!($un, |code, state| {
                scalar!($uop, Type::$uty, Type::$ufrom, cut!($ufrom, code.get_a(state)), 0)
            });
        )*
        $(
            value!($fd, |code, state, cx| {
                let args = [code.get_a(state), code.get_b(state), *word(state, code.imm as u16)];
                float::double(Op::$fop, attributes!($fop, code), args, &mut cx.env)
            });
            value!($fs, |code, state, cx| {
                let args = [code.get_a(state), code.get_b(state), *word(state, code.imm as u16)];
                float::single(Op::$fop, attributes!($fop, code), args, &mut cx.env)
            });
        )*
        $(
            value!($co, |code, state, cx| {
                let a = code.get_a(state);
                let attributes = const { Attributes::new(Op::$coop, $coattr) };
                float::convert(Op::$coop, Type::$coty, Type::$cofrom, attributes, a, &mut cx.env)
            });
        )*

        $(
            taken!($cb, |code, state| {
                let (a, b) = (cut!($cty, code.get_a(state)), cut!($cty, code.get_b(state)));
                scalar!($cop, Type::I8, Type::$cty, a, b)
            });
            taken!($cbi, |code, state| {
                scalar!($cop, Type::I8, Type::$cty, cut!($cty, code.get_a(state)), code.imm)
            });
        )*
    };
}

forms!(steps);

value!(Move, |code, state| code.get_a(state));
value!(MoveImm, |code, state| code.imm);
value!(Cut, |code, state| code.get_a(state) & code.imm);
value!(Select, |code, state| {
    let (cond, yes, no) = (code.get_a(state), code.get_b(state), *word(state, code.imm as u16));
    eval::scalar(Op::Select, Type::I64, Type::I64, 0, [cond, yes, no], &mut FpEnv::new())
});
taken!(Branch, |code, state| code.get_a(state));
value!(Generic, |code, state, cx| rare::generic(*code, state, &mut cx.env));
value!(SpillLoad, |code, state, cx| cx.spills.get(code.imm as usize).copied().unwrap_or(0));

load!(Load8, load_8, |x| x);
load!(Load16, load_16, |x| x);
load!(Load32, load_32, |x| x);
load!(Load64, load_64, |x| x);
load!(Load8S, load_8, |x| scalar!(SignExtend, Type::I64, Type::I8, x, 0));
load!(Load16S, load_16, |x| scalar!(SignExtend, Type::I64, Type::I16, x, 0));
load!(Load32S, load_32, |x| scalar!(SignExtend, Type::I64, Type::I32, x, 0));
store!(Store8, store_8);
store!(Store16, store_16);
store!(Store32, store_32);
store!(Store64, store_64);
