//! Constant folding, by the definition of the ops.

use super::rewrite::Out;
use crate::attr::{AttrKind, Rounding};
use crate::block::Inst;
use crate::eval::{self, FpEnv};
use crate::ops::Effect;
use crate::types::Type;

/// The roundings that [`Rounding::Dynamic`] may stand for.
const STATIC: [Rounding; 5] =
    [Rounding::NearestEven, Rounding::TowardZero, Rounding::Down, Rounding::Up, Rounding::NearestAway];

/// The bits of `inst`'s value if its operands are constants and computing it does nothing else: raises no
/// floating-point flag, and gives the same under every rounding that the mode may hold.
pub(super) fn fold(inst: &Inst, out: &Out) -> Option<u64> {
    let info = inst.op.info();
    let computes = matches!(info.effect, Effect::Pure | Effect::FpFlags);
    if !computes || info.args.is_empty() || inst.ty == Type::V128 || inst.from == Type::V128 {
        return None;
    }
    let mut args = [0; 3];
    for (bits, arg) in args.iter_mut().zip(inst.operands()) {
        *bits = out.bits(*arg)?;
    }
    let under = |rounding| {
        let mut env = FpEnv { rounding, ..FpEnv::new() };
        let bits = eval::inst(inst, args, &mut env);
        (env.flags == 0).then_some(bits)
    };
    let rounds = match info.attr {
        AttrKind::Fp | AttrKind::FpToInt | AttrKind::FpFromInt => inst.fp().rounding == Rounding::Dynamic,
        AttrKind::None
        | AttrKind::FpMinMax
        | AttrKind::Signaling
        | AttrKind::Order
        | AttrKind::Rmw
        | AttrKind::Fence
        | AttrKind::Trap
        | AttrKind::Vector => false,
    };
    let bits = under(Rounding::NearestEven)?;
    if rounds && STATIC.into_iter().any(|rounding| under(rounding) != Some(bits)) {
        return None;
    }
    Some(bits)
}
