//! [`Opcode`]: what the ops of tier 0 do, and the one table of their specialised forms.

use vm_ir::{Op, Type};

/// Calls `$then!` with the table of forms. A row names opcodes and the op whose definition they run.
///
/// * `long`: operands and result of the op at 64 bits; two registers, then register and immediate.
/// * `word`: 32 bits, operands cut first; two registers, register and immediate, then both with the result
///   sign-extended to 64 bits.
/// * `compare`: comparison of two registers, of register and immediate, then the branches fused with them.
/// * `unary`: one register.
/// * `float`: floating-point ops with the most common attribute, on doubles, and on boxed singles.
/// * `convert`: conversions with the most common attribute; singles are boxed.
macro_rules! forms {
    ($then:ident) => {
        $then! {
            long {
                AddL AddLI Add;
                SubL SubLI Sub;
                MulL MulLI Mul;
                MulHighSL MulHighSLI MulHighS;
                MulHighUL MulHighULI MulHighU;
                MulHighSUL MulHighSULI MulHighSU;
                DivSL DivSLI DivS;
                DivUL DivULI DivU;
                RemSL RemSLI RemS;
                RemUL RemULI RemU;
                AndL AndLI And;
                OrL OrLI Or;
                XorL XorLI Xor;
                ShlL ShlLI Shl;
                ShrUL ShrULI ShrU;
                ShrSL ShrSLI ShrS;
                RotLL RotLLI RotL;
                RotRL RotRLI RotR;
            }
            word {
                AddW AddWI AddX AddXI Add;
                SubW SubWI SubX SubXI Sub;
                MulW MulWI MulX MulXI Mul;
                DivSW DivSWI DivSX DivSXI DivS;
                DivUW DivUWI DivUX DivUXI DivU;
                RemSW RemSWI RemSX RemSXI RemS;
                RemUW RemUWI RemUX RemUXI RemU;
                AndW AndWI AndX AndXI And;
                OrW OrWI OrX OrXI Or;
                XorW XorWI XorX XorXI Xor;
                ShlW ShlWI ShlX ShlXI Shl;
                ShrUW ShrUWI ShrUX ShrUXI ShrU;
                ShrSW ShrSWI ShrSX ShrSXI ShrS;
                RotLW RotLWI RotLX RotLXI RotL;
                RotRW RotRWI RotRX RotRXI RotR;
            }
            compare {
                EqL EqLI BranchEqL BranchEqLI Eq I64;
                NeL NeLI BranchNeL BranchNeLI Ne I64;
                LtSL LtSLI BranchLtSL BranchLtSLI LtS I64;
                LtUL LtULI BranchLtUL BranchLtULI LtU I64;
                LeSL LeSLI BranchLeSL BranchLeSLI LeS I64;
                LeUL LeULI BranchLeUL BranchLeULI LeU I64;
                EqW EqWI BranchEqW BranchEqWI Eq I32;
                NeW NeWI BranchNeW BranchNeWI Ne I32;
                LtSW LtSWI BranchLtSW BranchLtSWI LtS I32;
                LtUW LtUWI BranchLtUW BranchLtUWI LtU I32;
                LeSW LeSWI BranchLeSW BranchLeSWI LeS I32;
                LeUW LeUWI BranchLeUW BranchLeUWI LeU I32;
            }
            unary {
                SignExtend8 SignExtend I64 I8;
                SignExtend16 SignExtend I64 I16;
                SignExtend32 SignExtend I64 I32;
                ClzL Clz I64 I64;
                CtzL Ctz I64 I64;
                PopcountL Popcount I64 I64;
                ByteSwapL ByteSwap I64 I64;
                BoxSingle FBox F64 F32;
                UnboxSingle FUnbox F32 F64;
            }
            float {
                FAddD FAddS FAdd T;
                FSubD FSubS FSub T;
                FMulD FMulS FMul T;
                FDivD FDivS FDiv T;
                FSqrtD FSqrtS FSqrt T;
                FMulAddD FMulAddS FMulAdd T;
                FMinD FMinS FMin T;
                FMaxD FMaxS FMax T;
                FNegD FNegS FNeg T;
                FAbsD FAbsS FAbs T;
                FCopySignD FCopySignS FCopySign T;
                FEqD FEqS FEq I8;
                FLtD FLtS FLt I8;
                FLeD FLeS FLe I8;
            }
            convert {
                DoubleToLong FToIntS I64 F64 1;
                DoubleToWord FToIntS I32 F64 1;
                SingleToLong FToIntS I64 F32 1;
                SingleToWord FToIntS I32 F32 1;
                LongToDouble IntToFS F64 I64 0;
                WordToDouble IntToFS F64 I32 0;
                LongToSingle IntToFS F32 I64 0;
                WordToSingle IntToFS F32 I32 0;
                SingleToDouble FConvert F64 F32 0;
                DoubleToSingle FConvert F32 F64 0;
            }
        }
    };
}
pub(super) use forms;

macro_rules! opcodes {
    (
        long { $($ll:ident $lli:ident $lop:ident;)* }
        word { $($ww:ident $wwi:ident $wx:ident $wxi:ident $wop:ident;)* }
        compare { $($cc:ident $cci:ident $cb:ident $cbi:ident $cop:ident $cty:ident;)* }
        unary { $($un:ident $uop:ident $uty:ident $ufrom:ident;)* }
        float { $($fd:ident $fs:ident $fop:ident $fty:ident;)* }
        convert { $($co:ident $coop:ident $coty:ident $cofrom:ident $coattr:literal;)* }
    ) => {
        /// What a [`Code`](super::op::Code) does. `d`, `a` and `b` are its registers, `imm` its immediate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Opcode {
            $($ll, $lli,)*
            $($ww, $wwi, $wx, $wxi,)*
            $($cc, $cci, $cb, $cbi,)*
            $($un,)*
            $($fd, $fs,)*
            $($co,)*
            /// `d = a`.
            Move,
            /// `d = imm`.
            MoveImm,
            /// `d = a`, 128 bits.
            MoveWide,
            /// `d = a` cut to the bits of `imm`.
            Cut,
            /// `d = a != 0 ? b : c`, `c` in `imm`.
            Select,
            /// [`Opcode::Select`] of 128 bits.
            SelectWide,
            /// 128-bit `d = a & b`.
            AndWide,
            /// 128-bit `d = a | b`.
            OrWide,
            /// 128-bit `d = a ^ b`.
            XorWide,
            /// `d` = any scalar op on `a`, `b`, `c`; `imm` is a [`Generic`](super::op::Generic).
            Generic,
            /// `d` = byte at `a + imm`.
            Load8,
            /// `d` = two bytes at `a + imm`.
            Load16,
            /// `d` = four bytes at `a + imm`.
            Load32,
            /// `d` = eight bytes at `a + imm`.
            Load64,
            /// `d` = sixteen bytes at `a + imm`.
            Load128,
            /// [`Opcode::Load8`], sign-extended.
            Load8S,
            /// [`Opcode::Load16`], sign-extended.
            Load16S,
            /// [`Opcode::Load32`], sign-extended.
            Load32S,
            /// Byte at `a + imm` = `b`.
            Store8,
            /// Two bytes at `a + imm` = `b`.
            Store16,
            /// Four bytes at `a + imm` = `b`.
            Store32,
            /// Eight bytes at `a + imm` = `b`.
            Store64,
            /// Sixteen bytes at `a + imm` = `b`.
            Store128,
            /// `d` = what was at `a`, combined with `b`; `imm` is a [`Generic`](super::op::Generic).
            AtomicRmw,
            /// `d` = what was at `a`, replaced by `c` if it was `b`; `imm` is a [`Generic`](super::op::Generic).
            AtomicCas,
            /// Orders memory accesses; `imm` is the [`FenceKind`](vm_ir::FenceKind).
            Fence,
            /// `d` = the sticky floating-point flags.
            FpFlagsGet,
            /// The sticky floating-point flags = `a`.
            FpFlagsSet,
            /// The mode word = `a`.
            SetMode,
            /// `d` = the helper in the low half of `imm` on `a`, `b` and `c`, the high half of `imm`.
            Call,
            /// Spilled word `imm` = `a`.
            SpillStore,
            /// `d` = spilled word `imm`.
            SpillLoad,
            /// Traps with the kind `imm` at the address `b` if `a` is not zero.
            TrapIf,
            /// Leaves by link `imm`, as `d` entries, if `a` is not zero.
            ExitIf,
            /// Leaves by link 0, as `d` entries.
            Jump,
            /// Leaves by link 0, as `d` entries, if `a` is not zero, else by link 1.
            Branch,
            /// Leaves for the address `a`.
            Indirect,
            /// Leaves with a system call; continues at `imm`.
            Syscall,
            /// Leaves with the trap `d` of the instruction at `imm`; link 0 holds the address concerned.
            Trap,
            /// Leaves because guest code may have changed; continues at `imm`.
            FlushCode,
            /// Leaves because the mode may have changed; continues at `imm`.
            ModeChange,
        }

        impl Opcode {
            /// Every opcode, by its number.
            pub(super) const ALL: &[Self] = &[
                $(Self::$ll, Self::$lli,)*
                $(Self::$ww, Self::$wwi, Self::$wx, Self::$wxi,)*
                $(Self::$cc, Self::$cci, Self::$cb, Self::$cbi,)*
                $(Self::$un,)*
                $(Self::$fd, Self::$fs,)*
                $(Self::$co,)*
                Self::Move, Self::MoveImm, Self::MoveWide, Self::Cut, Self::Select, Self::SelectWide,
                Self::AndWide, Self::OrWide, Self::XorWide, Self::Generic,
                Self::Load8, Self::Load16, Self::Load32, Self::Load64, Self::Load128,
                Self::Load8S, Self::Load16S, Self::Load32S,
                Self::Store8, Self::Store16, Self::Store32, Self::Store64, Self::Store128,
                Self::AtomicRmw, Self::AtomicCas, Self::Fence, Self::FpFlagsGet, Self::FpFlagsSet, Self::SetMode,
                Self::Call, Self::SpillStore, Self::SpillLoad, Self::TrapIf, Self::ExitIf,
                Self::Jump, Self::Branch, Self::Indirect,
                Self::Syscall, Self::Trap, Self::FlushCode, Self::ModeChange,
            ];

            /// Whether a block ends here whatever the op finds.
            pub(super) const fn is_end(self) -> bool {
                matches!(
                    self,
                    $(Self::$cb | Self::$cbi |)*
                    Self::Jump
                        | Self::Branch
                        | Self::Indirect
                        | Self::Syscall
                        | Self::Trap
                        | Self::FlushCode
                        | Self::ModeChange
                )
            }
        }

        const LONG: [Option<(Opcode, Opcode)>; Op::ALL.len()] = {
            let mut table = [None; Op::ALL.len()];
            $(table[Op::$lop as usize] = Some((Opcode::$ll, Opcode::$lli));)*
            table
        };

        const WORD: [Option<(Opcode, Opcode)>; Op::ALL.len()] = {
            let mut table = [None; Op::ALL.len()];
            $(table[Op::$wop as usize] = Some((Opcode::$ww, Opcode::$wwi));)*
            table
        };

        /// Per opcode: the form that sign-extends the 32-bit result.
        const SIGNED: [Option<Opcode>; 256] = {
            let mut table = [None; 256];
            $(
                table[Opcode::$ww as usize] = Some(Opcode::$wx);
                table[Opcode::$wwi as usize] = Some(Opcode::$wxi);
            )*
            table[Opcode::Load32 as usize] = Some(Opcode::Load32S);
            table
        };

        const COMPARE: [[Option<(Opcode, Opcode)>; 2]; Op::ALL.len()] = {
            let mut table = [[None; 2]; Op::ALL.len()];
            $(table[Op::$cop as usize][(Type::$cty as usize == Type::I64 as usize) as usize] =
                Some((Opcode::$cc, Opcode::$cci));)*
            table
        };

        /// Per opcode: the branch fused with the comparison.
        const BRANCH: [Option<Opcode>; 256] = {
            let mut table = [None; 256];
            $(
                table[Opcode::$cc as usize] = Some(Opcode::$cb);
                table[Opcode::$cci as usize] = Some(Opcode::$cbi);
            )*
            table
        };

        const FLOAT: [Option<(Opcode, Opcode)>; Op::ALL.len()] = {
            let mut table = [None; Op::ALL.len()];
            $(table[Op::$fop as usize] = Some((Opcode::$fd, Opcode::$fs));)*
            table
        };

        const CONVERT: &[(Op, Type, Type, u8, Opcode)] =
            &[$((Op::$coop, Type::$coty, Type::$cofrom, $coattr, Opcode::$co),)*];

        const UNARY: &[(Op, Type, Type, Opcode)] = &[$((Op::$uop, Type::$uty, Type::$ufrom, Opcode::$un),)*];
    };
}

forms!(opcodes);

impl Opcode {
    /// Forms of a binary op on two registers, and on register and immediate.
    pub(super) const fn binary(op: Op, ty: Type) -> Option<(Self, Self)> {
        match ty {
            Type::I64 => LONG[op as usize],
            Type::I32 => WORD[op as usize],
            Type::I8 | Type::I16 | Type::F16 | Type::F32 | Type::F64 | Type::V128 => None,
        }
    }

    /// Forms of a comparison of `from`.
    pub(super) const fn compare(op: Op, from: Type) -> Option<(Self, Self)> {
        match from {
            Type::I64 => COMPARE[op as usize][1],
            Type::I32 => COMPARE[op as usize][0],
            Type::I8 | Type::I16 | Type::F16 | Type::F32 | Type::F64 | Type::V128 => None,
        }
    }

    /// Form of an op on one register.
    pub(super) fn unary(op: Op, ty: Type, from: Type) -> Option<Self> {
        UNARY.iter().find(|row| (row.0, row.1, row.2) == (op, ty, from)).map(|row| row.3)
    }

    /// Form of a floating-point op on operands of type `operand`. The attribute of a comparison is in its immediate;
    /// of the other ops only the most common one, zero, has a form.
    pub(super) const fn float(op: Op, operand: Type, attr: u8) -> Option<Self> {
        let comparison = matches!(op, Op::FEq | Op::FLt | Op::FLe);
        match (FLOAT[op as usize], operand) {
            (Some((double, _)), Type::F64) if attr == 0 || comparison => Some(double),
            (Some((_, single)), Type::F32) if attr == 0 || comparison => Some(single),
            _ => None,
        }
    }

    /// Form of a conversion.
    pub(super) fn convert(op: Op, ty: Type, from: Type, attr: u8) -> Option<Self> {
        CONVERT.iter().find(|row| (row.0, row.1, row.2, row.3) == (op, ty, from, attr)).map(|row| row.4)
    }

    /// This op with its result of type `from` sign-extended to 64 bits.
    pub(super) const fn sign_extended(self, from: Type) -> Option<Self> {
        match (self, from) {
            (Self::Load8, Type::I8) => Some(Self::Load8S),
            (Self::Load16, Type::I16) => Some(Self::Load16S),
            (code, Type::I32) => SIGNED[code as usize],
            _ => None,
        }
    }

    /// The branch on what this comparison gives.
    pub(super) const fn branch(self) -> Option<Self> {
        BRANCH[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_opcodes_is_in_the_order_of_their_numbers() {
        for (number, &op) in Opcode::ALL.iter().enumerate() {
            assert_eq!(op as usize, number, "{op:?}");
        }
    }

    #[test]
    fn every_comparison_has_a_branch() {
        for op in [Op::Eq, Op::Ne, Op::LtS, Op::LtU, Op::LeS, Op::LeU] {
            for ty in [Type::I32, Type::I64] {
                let (registers, immediate) = Opcode::compare(op, ty).unwrap();
                assert!(registers.branch().is_some() && immediate.branch().is_some(), "{op:?}");
            }
        }
    }
}
