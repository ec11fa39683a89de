//! Attributes: what a row of the op table leaves to the single op, each packed into one byte of [`Inst`](crate::Inst).

use vm_core::TrapKind;

use crate::ops::VectorFamily;

/// Declares a field-less enum with consecutive values, its text names and the conversions from both.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every variant: `ALL[x as usize] == x`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name in the text form.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The variant with this text name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|x| x.name() == name)
            }

            const fn from_bits(bits: u8) -> Self {
                Self::ALL[bits as usize]
            }
        }
    };
}

names! {
    /// How an inexact floating-point result is rounded (IEEE 754-2019, 4.3).
    Rounding {
        /// To nearest, ties to even.
        NearestEven = "rne",
        /// Toward zero.
        TowardZero = "rtz",
        /// Toward negative infinity.
        Down = "rdn",
        /// Toward positive infinity.
        Up = "rup",
        /// To nearest, ties away from zero.
        NearestAway = "rmm",
        /// As the state's mode word says at run time: its low three bits, in the order of this list.
        /// For guests whose rounding mode is not part of the block key.
        Dynamic = "dyn",
    }
}

names! {
    /// Which NaN an operation gives.
    NanRule {
        /// The positive quiet NaN with an empty payload, whatever the operands (RISC-V; Arm with FPCR.DN set).
        Canonical = "canonical",
        /// The first signalling operand made quiet, else the first quiet one; default positive
        /// (Arm, `FPProcessNaNs`). A multiply-add looks at the addend first.
        Arm = "arm",
        /// The first NaN operand made quiet; default negative (SSE, "Rules for handling NaNs").
        X86 = "x86",
    }
}

names! {
    /// What minimum and maximum do with NaNs and zeros of both signs.
    MinMaxRule {
        /// IEEE 754-2019 `minimumNumber`/`maximumNumber`: a NaN loses against a number, -0 < +0 (RISC-V F 2.2).
        Number = "number",
        /// IEEE 754-2019 `minimum`/`maximum`: a NaN wins by the NaN rule, -0 < +0 (Arm FMIN, FMAX).
        Propagate = "propagate",
        /// IEEE 754-2008 `minNum`/`maxNum`: a quiet NaN loses, a signalling one wins, -0 < +0 (Arm FMINNM, FMAXNM).
        Num2008 = "num2008",
        /// The second operand if either is a NaN or both are zeros (SSE MINSD, MAXSD).
        Second = "second",
    }
}

names! {
    /// What a conversion to an integer gives for a value that does not fit. All raise *invalid*.
    OverflowRule {
        /// The nearest representable integer; NaN as positive infinity (RISC-V).
        SaturateNanMax = "sat_nan_max",
        /// The nearest representable integer; NaN gives zero (Arm).
        SaturateNanZero = "sat_nan_zero",
        /// The sign bit alone, the "integer indefinite" (SSE).
        Indefinite = "indefinite",
    }
}

names! {
    /// Memory order of an access; what is not asked for may be reordered as the guest's weakest rules allow.
    Order {
        /// No order beyond the coherence of each location.
        Plain = "plain",
        /// Nothing after it happens before it.
        Acquire = "acquire",
        /// Nothing before it happens after it.
        Release = "release",
        /// Acquire and release.
        AcquireRelease = "acqrel",
        /// One total order with all others of its kind.
        SeqCst = "seqcst",
        /// As x86 orders plain accesses (total store order).
        Tso = "tso",
    }
}

names! {
    /// What an atomic read-modify-write computes from the old value and the operand.
    RmwOp {
        /// The operand.
        Swap = "swap",
        /// Wrapping sum.
        Add = "add",
        /// Bitwise and.
        And = "and",
        /// Bitwise or.
        Or = "or",
        /// Bitwise exclusive or.
        Xor = "xor",
        /// Signed minimum.
        MinS = "min_s",
        /// Signed maximum.
        MaxS = "max_s",
        /// Unsigned minimum.
        MinU = "min_u",
        /// Unsigned maximum.
        MaxU = "max_u",
        /// Old value and complement of the operand (Arm LDCLR).
        AndNot = "and_not",
    }
}

names! {
    /// What a fence keeps apart.
    FenceKind {
        /// Earlier loads from later loads and stores.
        Acquire = "acquire",
        /// Earlier loads and stores from later stores.
        Release = "release",
        /// Both of these; stores may still pass later loads.
        AcquireRelease = "acqrel",
        /// Everything from everything.
        Full = "full",
        /// Earlier stores from later stores.
        StoreStore = "store_store",
        /// Earlier loads from later loads.
        LoadLoad = "load_load",
    }
}

/// Attributes of a floating-point op. Which of them an op reads is said in its row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FpAttr {
    /// Rounding of the result.
    pub rounding: Rounding,
    /// NaN of the result.
    pub nan: NanRule,
    /// Rule of minimum and maximum.
    pub min_max: MinMaxRule,
    /// Rule of conversions to integers.
    pub overflow: OverflowRule,
}

impl FpAttr {
    /// Round to nearest even, canonical NaNs, RISC-V's rules.
    pub const DEFAULT: Self = Self {
        rounding: Rounding::NearestEven,
        nan: NanRule::Canonical,
        min_max: MinMaxRule::Number,
        overflow: OverflowRule::SaturateNanMax,
    };

    /// These attributes with another rounding.
    #[must_use]
    pub const fn rounded(self, rounding: Rounding) -> Self {
        Self { rounding, ..self }
    }

    /// Bits 0-2 rounding, 3-4 NaN rule, 5-6 the rule of minimum/maximum or of conversions.
    pub(crate) const fn pack(self, uses: AttrKind) -> u8 {
        let rule = match uses {
            AttrKind::FpMinMax => self.min_max as u8,
            AttrKind::FpToInt => self.overflow as u8,
            _ => 0,
        };
        let rounding = match uses {
            AttrKind::FpMinMax => 0,
            _ => self.rounding as u8,
        };
        let nan = match uses {
            AttrKind::FpToInt | AttrKind::FpFromInt => 0,
            _ => self.nan as u8,
        };
        rounding | nan << 3 | rule << 5
    }

    pub(crate) const fn unpack(bits: u8, uses: AttrKind) -> Self {
        let mut attr =
            Self { rounding: Rounding::from_bits(bits & 7), nan: NanRule::from_bits(bits >> 3 & 3), ..Self::DEFAULT };
        match uses {
            AttrKind::FpMinMax => attr.min_max = MinMaxRule::from_bits(bits >> 5 & 3),
            AttrKind::FpToInt => attr.overflow = OverflowRule::from_bits(bits >> 5 & 3),
            _ => {}
        }
        attr
    }
}

/// Which attribute an op carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttrKind {
    /// None.
    None,
    /// Rounding and NaN rule.
    Fp,
    /// NaN rule and [`MinMaxRule`].
    FpMinMax,
    /// Rounding and [`OverflowRule`].
    FpToInt,
    /// Rounding.
    FpFromInt,
    /// Whether a quiet NaN operand raises *invalid* too.
    Signaling,
    /// [`Order`].
    Order,
    /// [`RmwOp`] and [`Order`].
    Rmw,
    /// [`FenceKind`].
    Fence,
    /// [`TrapKind`](vm_core::TrapKind).
    Trap,
    /// [`VectorFamily`](crate::VectorFamily).
    Vector,
}

/// Whether `bits` is what packing an attribute of this kind gives; only then may it be unpacked.
pub(crate) const fn is_valid(kind: AttrKind, bits: u8) -> bool {
    const fn names_one(bits: u8, count: usize) -> bool {
        (bits as usize) < count
    }
    let rounding = names_one(bits & 7, Rounding::ALL.len());
    let nan = names_one(bits >> 3 & 3, NanRule::ALL.len());
    match kind {
        AttrKind::None => bits == 0,
        AttrKind::Fp => rounding && nan && bits >> 5 == 0,
        AttrKind::FpMinMax => bits & 7 == 0 && nan && names_one(bits >> 5, MinMaxRule::ALL.len()),
        AttrKind::FpToInt => rounding && bits >> 3 & 3 == 0 && names_one(bits >> 5, OverflowRule::ALL.len()),
        AttrKind::FpFromInt => rounding && bits >> 3 == 0,
        AttrKind::Signaling => bits <= 1,
        AttrKind::Order => names_one(bits, Order::ALL.len()),
        AttrKind::Rmw => names_one(bits & 15, RmwOp::ALL.len()) && names_one(bits >> 4, Order::ALL.len()),
        AttrKind::Fence => names_one(bits, FenceKind::ALL.len()),
        AttrKind::Trap => names_one(bits, TrapKind::ALL.len()),
        AttrKind::Vector => names_one(bits, VectorFamily::ALL.len()),
    }
}

pub(crate) const fn pack_rmw(op: RmwOp, order: Order) -> u8 {
    op as u8 | (order as u8) << 4
}

pub(crate) const fn unpack_rmw(bits: u8) -> (RmwOp, Order) {
    (RmwOp::from_bits(bits & 15), Order::from_bits(bits >> 4))
}

pub(crate) const fn unpack_order(bits: u8) -> Order {
    Order::from_bits(bits)
}

pub(crate) const fn unpack_fence(bits: u8) -> FenceKind {
    FenceKind::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_unpack_what_was_packed() {
        for &rounding in Rounding::ALL {
            for &nan in NanRule::ALL {
                for &min_max in MinMaxRule::ALL {
                    let attr = FpAttr { nan, min_max, ..FpAttr::DEFAULT };
                    assert_eq!(FpAttr::unpack(attr.pack(AttrKind::FpMinMax), AttrKind::FpMinMax), attr);
                    assert!(is_valid(AttrKind::FpMinMax, attr.pack(AttrKind::FpMinMax)));
                }
                let attr = FpAttr { rounding, nan, ..FpAttr::DEFAULT };
                assert_eq!(FpAttr::unpack(attr.pack(AttrKind::Fp), AttrKind::Fp), attr);
                assert!(is_valid(AttrKind::Fp, attr.pack(AttrKind::Fp)));
            }
            for &overflow in OverflowRule::ALL {
                let attr = FpAttr { rounding, overflow, ..FpAttr::DEFAULT };
                assert_eq!(FpAttr::unpack(attr.pack(AttrKind::FpToInt), AttrKind::FpToInt), attr);
                assert!(is_valid(AttrKind::FpToInt, attr.pack(AttrKind::FpToInt)));
                assert!(is_valid(AttrKind::FpFromInt, attr.pack(AttrKind::FpFromInt)));
            }
        }
        for &op in RmwOp::ALL {
            for &order in Order::ALL {
                assert_eq!(unpack_rmw(pack_rmw(op, order)), (op, order));
                assert!(is_valid(AttrKind::Rmw, pack_rmw(op, order)));
            }
        }
    }

    #[test]
    fn bits_that_name_nothing_are_not_valid() {
        let cases = [
            (AttrKind::None, 1),
            (AttrKind::Fp, 6),
            (AttrKind::Fp, 3 << 3),
            (AttrKind::FpMinMax, 1),
            (AttrKind::FpToInt, 3 << 5),
            (AttrKind::FpFromInt, 8),
            (AttrKind::Signaling, 2),
            (AttrKind::Order, 6),
            (AttrKind::Rmw, 10),
            (AttrKind::Rmw, 6 << 4),
            (AttrKind::Fence, 6),
            (AttrKind::Trap, 10),
            (AttrKind::Vector, VectorFamily::ALL.len() as u8),
        ];
        for (kind, bits) in cases {
            assert!(!is_valid(kind, bits), "{kind:?} {bits:#x}");
        }
    }
}
