//! Soft-float.
#![allow(missing_docs, unused_variables, clippy::todo)]

use super::FpEnv;
use crate::attr::FpAttr;
use crate::types::Type;

pub fn add(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn sub(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn mul(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn div(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn sqrt(ty: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn mul_add(ty: Type, a: u64, b: u64, c: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn min(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn max(ty: Type, a: u64, b: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn eq(ty: Type, a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> bool {
    todo!()
}
pub fn lt(ty: Type, a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> bool {
    todo!()
}
pub fn le(ty: Type, a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> bool {
    todo!()
}
pub fn unordered(ty: Type, a: u64, b: u64, signaling: bool, env: &mut FpEnv) -> bool {
    todo!()
}
pub fn class(ty: Type, a: u64) -> u64 {
    todo!()
}
pub fn to_int_s(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn to_int_u(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn from_int_s(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn from_int_u(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn convert(from: Type, to: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}
pub fn round(ty: Type, a: u64, fp: FpAttr, env: &mut FpEnv) -> u64 {
    todo!()
}

/// The narrow float in the 64 bits `a`, or the canonical NaN of `ty` if the bits above it are not all ones.
pub fn unbox(ty: Type, a: u64) -> u64 {
    if a | ty.mask() == u64::MAX {
        a & ty.mask()
    } else {
        match ty {
            Type::F16 => 0x7e00,
            _ => 0x7fc0_0000,
        }
    }
}
