//! The table of ops: documentation, operands, result and effect. Nothing else declares an op.
//!
//! Adding one: write its row here; the compiler then asks for an arm in [`eval`](crate::eval), in the interpreter and
//! in the JIT.

use crate::attr::AttrKind;
use crate::types::Type;

/// An operand's or result's type in a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sig {
    /// The type the op is written with ([`Inst::ty`](crate::Inst::ty)).
    T,
    /// The operand type, where it differs from the result's ([`Inst::from`](crate::Inst::from)).
    U,
    /// Always this type.
    Is(Type),
}

/// What an op does besides giving a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing: equal operands give equal results, and an unused one may be dropped.
    Pure,
    /// Raises sticky floating-point flags: never dropped, moved or merged across [`Op::FpFlagsGet`],
    /// [`Op::FpFlagsSet`], [`Op::SetMode`], a helper call or a block's end.
    FpFlags,
    /// Reads a slot.
    ReadsSlot,
    /// Writes a slot.
    WritesSlot,
    /// Reads the sticky floating-point flags.
    ReadsFpFlags,
    /// Writes the sticky floating-point flags.
    WritesFpFlags,
    /// Writes the mode word.
    WritesMode,
    /// Reads memory and may fault: the block ends at the fault, everything before has happened, nothing after has.
    Reads,
    /// Writes memory and may fault.
    Writes,
    /// Reads and writes memory in one step and may fault.
    ReadsWrites,
    /// Orders memory accesses.
    Orders,
    /// What the called helper declares.
    Calls,
    /// May leave the block.
    Leaves,
}

/// What the `imm` field of an op holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImmKind {
    /// Nothing; zero.
    None,
    /// The bits of a constant.
    Bits,
    /// A byte offset from the block's address.
    PcOffset,
    /// A slot.
    Slot,
    /// A byte displacement added to the address operand.
    Displacement,
    /// Index of a helper in the guest's list.
    Helper,
    /// A lane number or shuffle control.
    Lane,
}

/// How generated code carries the op out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Jit {
    /// Inline, always.
    Inline,
    /// Inline for round-to-nearest-even where it reads a rounding; by a call of the definition otherwise.
    InlineNearest,
    /// Inline for rounding toward zero to signed integers; by a call of the definition otherwise.
    InlineTruncating,
    /// May call the definition.
    MayCall,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    /// Name in the text form.
    pub name: &'static str,
    /// Documentation, as on the op.
    pub doc: &'static str,
    /// Operand types.
    pub args: &'static [Sig],
    /// Result type; `None` for ops without a value.
    pub result: Option<Sig>,
    /// What `T` may be.
    pub types: &'static [Type],
    /// What `U` may be; empty where the signature has no `U`.
    pub from: &'static [Type],
    /// Effect.
    pub effect: Effect,
    /// Attribute.
    pub attr: AttrKind,
    /// Immediate.
    pub imm: ImmKind,
    /// How generated code does it.
    pub jit: Jit,
}

use Type::{F16, F32, F64, I8, I16, I32, I64, V128};

const NONE: &[Type] = &[];
const INT: &[Type] = &[I8, I16, I32, I64];
const WIDE_INT: &[Type] = &[I16, I32, I64];
const WORD: &[Type] = &[I32, I64];
const FLOAT: &[Type] = &[F16, F32, F64];
const NARROW_FLOAT: &[Type] = &[F16, F32];
const SCALAR: &[Type] = &[I8, I16, I32, I64, F16, F32, F64];
const ANY: &[Type] = &[I8, I16, I32, I64, F16, F32, F64, V128];
const CAS: &[Type] = &[I8, I16, I32, I64, V128];
const BITS: &[Type] = &[I8, I16, I32, I64, V128];
const ONLY_I8: &[Type] = &[I8];
const ONLY_I64: &[Type] = &[I64];
const ONLY_F64: &[Type] = &[F64];
const ONLY_V128: &[Type] = &[V128];

macro_rules! sig {
    (T) => {
        Sig::T
    };
    (U) => {
        Sig::U
    };
    ($ty:ident) => {
        Sig::Is(Type::$ty)
    };
}

macro_rules! result {
    () => {
        None
    };
    ($ty:ident) => {
        Some(sig!($ty))
    };
}

/// The given expression, or the default where a row leaves it out.
macro_rules! or {
    ($given:expr; $default:expr) => {
        $given
    };
    (; $default:expr) => {
        $default
    };
}

macro_rules! ops {
    ($(
        $(#[doc = $doc:literal])*
        $op:ident = $name:literal ($($arg:ident),*) $(-> $result:ident)?,
        $types:ident $(from $from:ident)?, $effect:ident $(, attr $attr:ident)? $(, imm $imm:ident)? $(, jit $jit:ident)?;
    )*) => {
        /// An operation of the IR. Its row of the table is [`Op::info`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Op {
            $($(#[doc = $doc])* $op,)*
        }

        impl Op {
            /// Every op: `ALL[op as usize] == op`.
            pub const ALL: &'static [Self] = &[$(Self::$op,)*];
        }

        /// Rows by op. A static, since each place that uses a constant may have a copy, whose pointers are relocated when
        /// the program starts.
        static TABLE: [OpInfo; Op::ALL.len()] = [$(OpInfo {
                name: $name,
                doc: concat!($($doc, "\n",)*),
                args: &[$(sig!($arg)),*],
                result: result!($($result)?),
                types: $types,
                from: or!($($from)?; NONE),
                effect: Effect::$effect,
                attr: or!($(AttrKind::$attr)?; AttrKind::None),
                imm: or!($(ImmKind::$imm)?; ImmKind::None),
                jit: or!($(Jit::$jit)?; Jit::Inline),
        },)*];
    };
}

ops! {
    // Constants and state.

    /// The constant in the immediate, cut to the width of `T`. A float constant is given by its bits.
    Const = "const" () -> T, SCALAR, Pure, imm Bits;
    /// The block's address plus the immediate: an address that moves with the code.
    Pc = "pc" () -> T, ONLY_I64, Pure, imm PcOffset;
    /// Reads a slot. A slot is always read and written with the type that its guest declares for it.
    Get = "get" () -> T, ANY, ReadsSlot, imm Slot;
    /// Writes a slot.
    Set = "set" (T), ANY, WritesSlot, imm Slot;
    /// Replaces the mode word. The block must end in [`End::ModeChange`](crate::End::ModeChange).
    SetMode = "set_mode" (T), ONLY_I64, WritesMode;

    // Integer arithmetic.

    /// Two's-complement sum, wrapping at the width of `T`.
    Add = "add" (T, T) -> T, INT, Pure;
    /// Difference, wrapping.
    Sub = "sub" (T, T) -> T, INT, Pure;
    /// Low half of the product.
    Mul = "mul" (T, T) -> T, INT, Pure;
    /// High half of the product of signed factors.
    MulHighS = "mul_high_s" (T, T) -> T, WORD, Pure;
    /// High half of the product of unsigned factors.
    MulHighU = "mul_high_u" (T, T) -> T, WORD, Pure;
    /// High half of the product of a signed first and an unsigned second factor.
    MulHighSU = "mul_high_su" (T, T) -> T, WORD, Pure;
    /// Signed quotient, rounded toward zero. By zero: all ones. Most negative by -1: the dividend.
    DivS = "div_s" (T, T) -> T, WORD, Pure;
    /// Unsigned quotient. By zero: all ones.
    DivU = "div_u" (T, T) -> T, WORD, Pure;
    /// Signed remainder, with the sign of the dividend. By zero: the dividend. Most negative by -1: zero.
    RemS = "rem_s" (T, T) -> T, WORD, Pure;
    /// Unsigned remainder. By zero: the dividend.
    RemU = "rem_u" (T, T) -> T, WORD, Pure;
    /// Carry out of `a + b + c`, `c` being 0 or 1.
    CarryAdd = "carry_add" (U, U, I8) -> I8, ONLY_I8 from INT, Pure;
    /// Signed overflow of `a + b + c`, `c` being 0 or 1.
    OverflowAdd = "overflow_add" (U, U, I8) -> I8, ONLY_I8 from INT, Pure;
    /// Borrow out of `a - b - c`, `c` being 0 or 1.
    BorrowSub = "borrow_sub" (U, U, I8) -> I8, ONLY_I8 from INT, Pure;
    /// Signed overflow of `a - b - c`, `c` being 0 or 1.
    OverflowSub = "overflow_sub" (U, U, I8) -> I8, ONLY_I8 from INT, Pure;

    // Bits.

    /// Bitwise and.
    And = "and" (T, T) -> T, BITS, Pure;
    /// Bitwise or.
    Or = "or" (T, T) -> T, BITS, Pure;
    /// Bitwise exclusive or.
    Xor = "xor" (T, T) -> T, BITS, Pure;
    /// Left shift by the second operand modulo the width.
    Shl = "shl" (T, T) -> T, INT, Pure;
    /// Right shift with zeros, amount modulo the width.
    ShrU = "shr_u" (T, T) -> T, INT, Pure;
    /// Right shift with copies of the sign bit, amount modulo the width.
    ShrS = "shr_s" (T, T) -> T, INT, Pure;
    /// Left rotation, amount modulo the width.
    RotL = "rot_l" (T, T) -> T, INT, Pure;
    /// Right rotation, amount modulo the width.
    RotR = "rot_r" (T, T) -> T, INT, Pure;
    /// Leading zero bits; the width for zero.
    Clz = "clz" (T) -> T, INT, Pure;
    /// Trailing zero bits; the width for zero.
    Ctz = "ctz" (T) -> T, INT, Pure;
    /// Set bits.
    Popcount = "popcount" (T) -> T, INT, Pure;
    /// Bits in reverse order.
    BitReverse = "bit_reverse" (T) -> T, INT, Pure;
    /// Bytes in reverse order.
    ByteSwap = "byte_swap" (T) -> T, WIDE_INT, Pure;
    /// Low 64 bits of the carry-less product.
    ClMul = "clmul" (T, T) -> T, ONLY_I64, Pure, jit MayCall;
    /// High 64 bits of the 127-bit carry-less product.
    ClMulHigh = "clmul_high" (T, T) -> T, ONLY_I64, Pure, jit MayCall;

    // Comparison, choice, width.

    /// 1 if equal, else 0.
    Eq = "eq" (U, U) -> I8, ONLY_I8 from INT, Pure;
    /// 1 if different, else 0.
    Ne = "ne" (U, U) -> I8, ONLY_I8 from INT, Pure;
    /// 1 if less as signed numbers, else 0.
    LtS = "lt_s" (U, U) -> I8, ONLY_I8 from INT, Pure;
    /// 1 if less as unsigned numbers, else 0.
    LtU = "lt_u" (U, U) -> I8, ONLY_I8 from INT, Pure;
    /// 1 if less or equal as signed numbers, else 0.
    LeS = "le_s" (U, U) -> I8, ONLY_I8 from INT, Pure;
    /// 1 if less or equal as unsigned numbers, else 0.
    LeU = "le_u" (U, U) -> I8, ONLY_I8 from INT, Pure;
    /// The second operand if the first is not zero, else the third.
    Select = "select" (I8, T, T) -> T, ANY, Pure;
    /// Widens by copies of the sign bit; `U` is narrower than `T`.
    SignExtend = "sign_extend" (U) -> T, WIDE_INT from INT, Pure;
    /// Widens by zeros; `U` is narrower than `T`.
    ZeroExtend = "zero_extend" (U) -> T, WIDE_INT from INT, Pure;
    /// Low bits; `U` is wider than `T`.
    Truncate = "truncate" (U) -> T, INT from WIDE_INT, Pure;
    /// The same bits as another type of the same width.
    Bitcast = "bitcast" (U) -> T, SCALAR from SCALAR, Pure;

    // Floating point. Results are exact IEEE 754-2019 with tininess detected after rounding.

    /// Sum.
    FAdd = "fadd" (T, T) -> T, FLOAT, FpFlags, attr Fp, jit InlineNearest;
    /// Difference.
    FSub = "fsub" (T, T) -> T, FLOAT, FpFlags, attr Fp, jit InlineNearest;
    /// Product.
    FMul = "fmul" (T, T) -> T, FLOAT, FpFlags, attr Fp, jit InlineNearest;
    /// Quotient.
    FDiv = "fdiv" (T, T) -> T, FLOAT, FpFlags, attr Fp, jit InlineNearest;
    /// Square root.
    FSqrt = "fsqrt" (T) -> T, FLOAT, FpFlags, attr Fp, jit InlineNearest;
    /// `a * b + c`, rounded once. Infinity times zero raises *invalid* even if `c` is a quiet NaN.
    FMulAdd = "fmuladd" (T, T, T) -> T, FLOAT, FpFlags, attr Fp, jit InlineNearest;
    /// Minimum.
    FMin = "fmin" (T, T) -> T, FLOAT, FpFlags, attr FpMinMax, jit MayCall;
    /// Maximum.
    FMax = "fmax" (T, T) -> T, FLOAT, FpFlags, attr FpMinMax, jit MayCall;
    /// The sign bit inverted; no flags, NaNs included.
    FNeg = "fneg" (T) -> T, FLOAT, Pure;
    /// The sign bit cleared; no flags, NaNs included.
    FAbs = "fabs" (T) -> T, FLOAT, Pure;
    /// Magnitude of the first operand with the sign of the second; no flags, NaNs included.
    FCopySign = "fcopysign" (T, T) -> T, FLOAT, Pure;
    /// 1 if equal. A signalling NaN raises *invalid*; with the attribute `signaling` a quiet one does too.
    FEq = "feq" (U, U) -> I8, ONLY_I8 from FLOAT, FpFlags, attr Signaling, jit MayCall;
    /// 1 if less; NaNs as for [`Op::FEq`].
    FLt = "flt" (U, U) -> I8, ONLY_I8 from FLOAT, FpFlags, attr Signaling, jit MayCall;
    /// 1 if less or equal; NaNs as for [`Op::FEq`].
    FLe = "fle" (U, U) -> I8, ONLY_I8 from FLOAT, FpFlags, attr Signaling, jit MayCall;
    /// 1 if either operand is a NaN; NaNs as for [`Op::FEq`].
    FUnordered = "funordered" (U, U) -> I8, ONLY_I8 from FLOAT, FpFlags, attr Signaling, jit MayCall;
    /// 1 if equal; no flags, signalling NaNs included.
    FEqSilent = "feq_silent" (U, U) -> I8, ONLY_I8 from FLOAT, Pure, jit MayCall;
    /// 1 if less; no flags, signalling NaNs included.
    FLtSilent = "flt_silent" (U, U) -> I8, ONLY_I8 from FLOAT, Pure, jit MayCall;
    /// 1 if less or equal; no flags, signalling NaNs included.
    FLeSilent = "fle_silent" (U, U) -> I8, ONLY_I8 from FLOAT, Pure, jit MayCall;
    /// Class as one set bit: 0 negative infinity, 1 negative normal, 2 negative subnormal, 3 -0, 4 +0,
    /// 5 positive subnormal, 6 positive normal, 7 positive infinity, 8 signalling NaN, 9 quiet NaN.
    FClass = "fclass" (U) -> T, ONLY_I64 from FLOAT, Pure, jit MayCall;
    /// To a signed integer.
    FToIntS = "f_to_int_s" (U) -> T, WORD from FLOAT, FpFlags, attr FpToInt, jit InlineTruncating;
    /// To an unsigned integer.
    FToIntU = "f_to_int_u" (U) -> T, WORD from FLOAT, FpFlags, attr FpToInt, jit MayCall;
    /// From a signed integer.
    IntToFS = "int_to_f_s" (U) -> T, FLOAT from WORD, FpFlags, attr FpFromInt, jit InlineNearest;
    /// From an unsigned integer.
    IntToFU = "int_to_f_u" (U) -> T, FLOAT from WORD, FpFlags, attr FpFromInt, jit MayCall;
    /// To another floating-point format.
    FConvert = "fconvert" (U) -> T, FLOAT from FLOAT, FpFlags, attr Fp, jit InlineNearest;
    /// To an integral value of the same format; raises *inexact* if the value changes.
    FRound = "fround" (T) -> T, FLOAT, FpFlags, attr Fp, jit MayCall;
    /// A narrow float held in a wide register: its bits below, all ones above (NaN boxing).
    FBox = "fbox" (U) -> T, ONLY_F64 from NARROW_FLOAT, Pure;
    /// The narrow float in a wide register, or its canonical NaN if the bits above are not all ones.
    FUnbox = "funbox" (U) -> T, NARROW_FLOAT from ONLY_F64, Pure;
    /// The sticky flags: bit 0 inexact, 1 underflow, 2 overflow, 3 division by zero, 4 invalid.
    FpFlagsGet = "fp_flags_get" () -> T, ONLY_I64, ReadsFpFlags, jit MayCall;
    /// Replaces the sticky flags; bits above 4 are ignored.
    FpFlagsSet = "fp_flags_set" (T), ONLY_I64, WritesFpFlags, jit MayCall;

    // Memory. Addresses are guest addresses; the immediate is added to them, modulo 2^64.

    /// Reads `T`, little-endian, any alignment.
    Load = "load" (I64) -> T, ANY, Reads, attr Order, imm Displacement;
    /// Writes `T`, little-endian, any alignment.
    Store = "store" (I64, T), ANY, Writes, attr Order, imm Displacement;
    /// Reads `T`, combines it with the operand and writes it back in one step; gives the old value.
    /// The address is a multiple of the size of `T`: the lifter traps before.
    AtomicRmw = "atomic_rmw" (I64, T) -> T, INT, ReadsWrites, attr Rmw, jit MayCall;
    /// Writes the third operand if memory equals the second, in one step; gives the old value. Aligned as above.
    AtomicCas = "atomic_cas" (I64, T, T) -> T, CAS, ReadsWrites, attr Order, jit MayCall;
    /// Orders memory accesses.
    Fence = "fence" (), NONE, Orders, attr Fence;

    // Vectors. The family in the attribute says what is done lane by lane; `VectorFamily` names them.

    /// One vector operand.
    VUnary = "vunary" (T) -> T, ONLY_V128, Pure, attr Vector, imm Lane;
    /// Two vector operands.
    VBinary = "vbinary" (T, T) -> T, ONLY_V128, Pure, attr Vector, imm Lane;
    /// Three vector operands.
    VTernary = "vternary" (T, T, T) -> T, ONLY_V128, Pure, attr Vector, imm Lane;
    /// The lane that the immediate names; its width is `T`'s.
    VExtract = "vextract" (U) -> T, SCALAR from ONLY_V128, Pure, imm Lane;
    /// The vector with the lane that the immediate names replaced by the second operand.
    VInsert = "vinsert" (T, U) -> T, ONLY_V128 from SCALAR, Pure, imm Lane;
    /// The operand in every lane.
    VSplat = "vsplat" (U) -> T, ONLY_V128 from SCALAR, Pure;

    // Calls and ways out.

    /// Calls the helper that the immediate names, with as many operands as it declares.
    Call = "call" (I64, I64, I64) -> T, ONLY_I64, Calls, imm Helper, jit MayCall;
    /// Traps if the first operand is not zero; the second is the address concerned.
    /// Everything of earlier instructions has happened; the lifter emits it before its instruction changes anything.
    TrapIf = "trap_if" (I8, I64), NONE, Leaves, attr Trap;
    /// Leaves for the block's address plus the immediate if the operand is not zero.
    ExitIf = "exit_if" (I8), NONE, Leaves, imm PcOffset;
}

impl Op {
    /// The op's row of the table.
    #[must_use]
    pub const fn info(self) -> &'static OpInfo {
        &TABLE[self as usize]
    }

    /// Name in the text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Its effect.
    #[inline]
    #[must_use]
    pub const fn effect(self) -> Effect {
        Self::BRIEF[self as usize].0
    }

    /// Its result type; `None` for an op without a value.
    #[inline]
    #[must_use]
    pub const fn result(self) -> Option<Sig> {
        Self::BRIEF[self as usize].1
    }

    /// What is asked of every op of every block, in a few lines of the host's cache.
    const BRIEF: [(Effect, Option<Sig>); TABLE.len()] = {
        let mut brief = [(Effect::Pure, None); TABLE.len()];
        let mut index = 0;
        while index < brief.len() {
            brief[index] = (TABLE[index].effect, TABLE[index].result);
            index += 1;
        }
        brief
    };

    /// The op with this text name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.name() == name)
    }

    /// Whether operands may be exchanged without changing the result.
    #[must_use]
    pub const fn is_commutative(self) -> bool {
        matches!(
            self,
            Self::Add
                | Self::Mul
                | Self::MulHighS
                | Self::MulHighU
                | Self::And
                | Self::Or
                | Self::Xor
                | Self::ClMul
                | Self::ClMulHigh
                | Self::Eq
                | Self::Ne
        )
    }
}

macro_rules! vector_families {
    ($($(#[doc = $doc:literal])* $family:ident = $name:literal / $operands:literal;)*) => {
        /// Lane-typed op families, named so that types, text form and verifier carry every guest.
        ///
        /// A family's arithmetic is defined when the first guest lifts to it; until then the verifier refuses it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum VectorFamily {
            $($(#[doc = $doc])* $family,)*
        }

        impl VectorFamily {
            /// Every family: `ALL[family as usize] == family`.
            pub const ALL: &'static [Self] = &[$(Self::$family,)*];

            /// Name in the text form.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$family => $name,)*
                }
            }

            /// Number of vector operands: 1, 2 or 3.
            #[must_use]
            pub const fn operands(self) -> usize {
                match self {
                    $(Self::$family => $operands,)*
                }
            }

            /// Whether the family's arithmetic is defined.
            #[must_use]
            pub const fn is_defined(self) -> bool {
                false
            }
        }
    };
}

vector_families! {
    /// Integer sum of lanes, wrapping.
    Add = "add" / 2;
    /// Integer difference, wrapping.
    Sub = "sub" / 2;
    /// Low half of the product.
    Mul = "mul" / 2;
    /// Saturating signed sum.
    AddSatS = "add_sat_s" / 2;
    /// Saturating unsigned sum.
    AddSatU = "add_sat_u" / 2;
    /// Saturating signed difference.
    SubSatS = "sub_sat_s" / 2;
    /// Saturating unsigned difference.
    SubSatU = "sub_sat_u" / 2;
    /// Signed minimum.
    MinS = "min_s" / 2;
    /// Signed maximum.
    MaxS = "max_s" / 2;
    /// Unsigned minimum.
    MinU = "min_u" / 2;
    /// Unsigned maximum.
    MaxU = "max_u" / 2;
    /// Left shift of each lane by the same lane of the second operand.
    Shl = "shl" / 2;
    /// Right shift with zeros.
    ShrU = "shr_u" / 2;
    /// Right shift with copies of the sign bit.
    ShrS = "shr_s" / 2;
    /// All ones where equal.
    Eq = "eq" / 2;
    /// All ones where less as signed numbers.
    LtS = "lt_s" / 2;
    /// All ones where less as unsigned numbers.
    LtU = "lt_u" / 2;
    /// Set bits of each lane.
    Popcount = "popcount" / 1;
    /// Lanes of both operands chosen by constant indices.
    Shuffle = "shuffle" / 2;
    /// Bytes of the first operand chosen by the second.
    Permute = "permute" / 2;
    /// Signed narrowing with saturation.
    NarrowS = "narrow_s" / 2;
    /// Unsigned narrowing with saturation.
    NarrowU = "narrow_u" / 2;
    /// Signed widening of the low lanes.
    WidenS = "widen_s" / 1;
    /// Unsigned widening of the low lanes.
    WidenU = "widen_u" / 1;
    /// Bits of the second operand where the first is one, of the third elsewhere.
    BitSelect = "bit_select" / 3;
    /// Floating-point sum.
    FAdd = "fadd" / 2;
    /// Floating-point difference.
    FSub = "fsub" / 2;
    /// Floating-point product.
    FMul = "fmul" / 2;
    /// Floating-point quotient.
    FDiv = "fdiv" / 2;
    /// Fused multiply-add.
    FMulAdd = "fmuladd" / 3;
    /// Floating-point square root.
    FSqrt = "fsqrt" / 1;
    /// Floating-point minimum.
    FMin = "fmin" / 2;
    /// Floating-point maximum.
    FMax = "fmax" / 2;
    /// One round of AES encryption.
    AesEncrypt = "aes_encrypt" / 2;
    /// One round of AES decryption.
    AesDecrypt = "aes_decrypt" / 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_are_listed_in_order_with_different_names() {
        for (index, op) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, index);
            assert_eq!(Op::from_name(op.name()), Some(*op));
            assert!(!op.info().doc.trim().is_empty());
        }
    }

    #[test]
    fn signatures_name_only_declared_type_variables() {
        for op in Op::ALL {
            let info = op.info();
            let uses = |sig| info.args.contains(&sig) || info.result == Some(sig);
            assert_eq!(uses(Sig::U), !info.from.is_empty(), "{op:?}");
            assert!(info.args.len() <= 3, "{op:?}");
        }
    }
}
