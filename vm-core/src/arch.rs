//! [`GuestArch`]: the only list of architectures in the workspace.

use std::fmt;
use std::str::FromStr;

use crate::VmError;

/// A processor family that guest programs are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GuestArch {
    /// 64-bit RISC-V, little-endian.
    Riscv64,
    /// 64-bit Arm, little-endian.
    Aarch64,
    /// 64-bit x86.
    X86_64,
}

impl GuestArch {
    /// Every architecture, in the order in which they are printed.
    pub const ALL: [Self; 3] = [Self::Riscv64, Self::Aarch64, Self::X86_64];

    /// The name used on command lines, in target triples and in file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Riscv64 => "riscv64",
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86-64",
        }
    }

    /// Width of a guest address in bits.
    #[must_use]
    pub const fn pointer_bits(self) -> u32 {
        match self {
            Self::Riscv64 | Self::Aarch64 | Self::X86_64 => 64,
        }
    }

    /// The `e_machine` value of this architecture's ELF files (System V ABI, processor supplements).
    #[must_use]
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::Riscv64 => 243,
            Self::Aarch64 => 183,
            Self::X86_64 => 62,
        }
    }
}

impl fmt::Display for GuestArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for GuestArch {
    type Err = VmError;

    /// Reads a name as printed; `x86_64` and `amd64`, `arm64` and `rv64` are accepted too.
    fn from_str(name: &str) -> Result<Self, VmError> {
        match name {
            "riscv64" | "rv64" => Ok(Self::Riscv64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            "x86-64" | "x86_64" | "amd64" => Ok(Self::X86_64),
            _ => Err(VmError::UnknownArch { name: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for arch in GuestArch::ALL {
            assert_eq!(arch.name().parse(), Ok(arch));
        }
        assert!("sparc".parse::<GuestArch>().is_err());
    }
}
