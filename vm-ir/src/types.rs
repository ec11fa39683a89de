//! [`Type`]: the types of IR values.

use std::fmt;
use std::str::FromStr;

/// Type of an IR value. Comparisons give an [`Type::I8`] of 0 or 1.
///
/// A scalar value is held in the low bits of a `u64` with the bits above its width zero; a [`Type::V128`] is a `u128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Type {
    /// 8-bit integer, also the result of comparisons.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// IEEE 754 binary16.
    F16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// 128 bits without an interpretation; lane-typed ops give them one.
    V128,
}

impl Type {
    /// Every type: `ALL[ty as usize] == ty`.
    pub const ALL: [Self; 8] = [Self::I8, Self::I16, Self::I32, Self::I64, Self::F16, Self::F32, Self::F64, Self::V128];

    /// Width in bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::I8 => 8,
            Self::I16 | Self::F16 => 16,
            Self::I32 | Self::F32 => 32,
            Self::I64 | Self::F64 => 64,
            Self::V128 => 128,
        }
    }

    /// Width in bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    /// Whether this is an integer type.
    #[must_use]
    pub const fn is_int(self) -> bool {
        matches!(self, Self::I8 | Self::I16 | Self::I32 | Self::I64)
    }

    /// Whether this is a floating-point type.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    /// The bits of a scalar that belong to the type: all ones in its width. All ones for [`Type::V128`] halves.
    #[inline]
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self {
            Self::I8 => 0xff,
            Self::I16 | Self::F16 => 0xffff,
            Self::I32 | Self::F32 => 0xffff_ffff,
            Self::I64 | Self::F64 | Self::V128 => u64::MAX,
        }
    }

    /// The sign bit of a scalar of this type.
    #[inline]
    #[must_use]
    pub const fn sign_bit(self) -> u64 {
        self.mask() ^ (self.mask() >> 1)
    }

    /// `value`, a scalar of this type, as a signed number.
    #[inline]
    #[must_use]
    pub const fn sign_extend(self, value: u64) -> i64 {
        let shift = 64 - if self.bits() > 64 { 64 } else { self.bits() };
        ((value << shift) as i64) >> shift
    }

    /// Name in the text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no type's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown type {0:?}")]
pub struct UnknownType(pub String);

impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(name: &str) -> Result<Self, UnknownType> {
        Self::ALL.into_iter().find(|ty| ty.name() == name).ok_or_else(|| UnknownType(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_listed_in_order_and_parse_back() {
        for (index, ty) in Type::ALL.into_iter().enumerate() {
            assert_eq!(ty as usize, index);
            assert_eq!(ty.name().parse(), Ok(ty));
        }
    }

    #[test]
    fn sign_extension() {
        assert_eq!(Type::I8.sign_extend(0x80), -128);
        assert_eq!(Type::I32.sign_extend(0x7fff_ffff), 0x7fff_ffff);
        assert_eq!(Type::I64.sign_extend(u64::MAX), -1);
    }
}
