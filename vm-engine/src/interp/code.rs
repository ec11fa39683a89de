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
/// * `pairs`: an op and the one behind it in one go, for pairs that are frequent in compiled programs.
/// * `last`: the same for an op and the end behind it.
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
            pairs {
                Load64Load64 Load64 Load64; Load64AddLI Load64 AddLI; Load64MoveImm Load64 MoveImm; Load64Store64 Load64 Store64; Load64AddL Load64 AddL; Load64ShlLI Load64 ShlLI; Load64AndLI Load64 AndLI; Load64SubL Load64 SubL;
                Load64FMulD Load64 FMulD; Load64FSubD Load64 FSubD; Load64FAddD Load64 FAddD;
                Load32SAddL Load32S AddL; Load32SLoad32S Load32S Load32S; Load32SXorL Load32S XorL; Load32SAddLI Load32S AddLI; Load32SShlLI Load32S ShlLI; Load16SLoad16S Load16S Load16S; Load16SAddLI Load16S AddLI;
                Load8Move Load8 Move; Load8Load8 Load8 Load8; Load8AddLI Load8 AddLI; Load8ShlLI Load8 ShlLI;
                Store64Store64 Store64 Store64; Store64AddLI Store64 AddLI; Store64MoveImm Store64 MoveImm; Store64Load64 Store64 Load64; Store64AddL Store64 AddL; Store8AddLI Store8 AddLI; Store8AddXI Store8 AddXI;
                AddLIAddLI AddLI AddLI; AddLIAndLI AddLI AndLI; AddLIStore64 AddLI Store64; AddLIMoveImm AddLI MoveImm; AddLIStore8 AddLI Store8; AddLIAddL AddLI AddL; AddLILoad64 AddLI Load64; AddLILoad8 AddLI Load8; AddLIShlLI AddLI ShlLI; AddLIXorL AddLI XorL;
                AddLIShrULI AddLI ShrULI; AddLIAddXI AddLI AddXI; AddLIFAddD AddLI FAddD; AddLIFMulD AddLI FMulD; AddLIMove AddLI Move; AddLIMulW AddLI MulW;
                AddLLoad8 AddL Load8; AddLLoad64 AddL Load64; AddLLoad32S AddL Load32S; AddLAddLI AddL AddLI; AddLAddL AddL AddL; AddLStore64 AddL Store64; AddLMoveImm AddL MoveImm; AddLXorL AddL XorL; AddLAndLI AddL AndLI; AddLShlLI AddL ShlLI; AddLStore8 AddL Store8;
                MoveImmMoveImm MoveImm MoveImm; MoveImmLoad64 MoveImm Load64; MoveImmAddLI MoveImm AddLI; MoveImmStore64 MoveImm Store64; MoveImmShlLI MoveImm ShlLI; MoveImmLoad32S MoveImm Load32S;
                MoveAddLI Move AddLI; MoveShlLI Move ShlLI; MoveMove Move Move; MoveMoveImm Move MoveImm; MoveDivUL Move DivUL;
                AddXIAddLI AddXI AddLI; AddXIAddXI AddXI AddXI; AddXIAndLI AddXI AndLI; AddXIFMulD AddXI FMulD; AddWXorL AddW XorL; AddWISignExtend32 AddWI SignExtend32; MulWSignExtend32 MulW SignExtend32; SignExtend32AddX SignExtend32 AddX;
                AddXShlLI AddX ShlLI; AddXAddL AddX AddL;
                ShlLIAddL ShlLI AddL; ShlLIAddLI ShlLI AddLI; ShlLIShrULI ShlLI ShrULI; ShlLIOrL ShlLI OrL; ShlLIShlLI ShlLI ShlLI; ShlLILoad32S ShlLI Load32S; ShlXIShrUXI ShlXI ShrUXI; ShrUXIShlXI ShrUXI ShlXI; ShrUXIShrUXI ShrUXI ShrUXI;
                ShrULIAndLI ShrULI AndLI; ShrULIAddL ShrULI AddL;
                AndLIMoveImm AndLI MoveImm; AndLIAddL AndLI AddL; AndLIShlLI AndLI ShlLI; AndLILoad64 AndLI Load64;
                AndLOrL AndL OrL; XorLXorL XorL XorL; XorLAndL XorL AndL; XorLAddL XorL AddL; XorLAndLI XorL AndLI; OrLOrL OrL OrL;
                FMulDFMulD FMulD FMulD; FMulDFAddD FMulD FAddD; FAddDFAddD FAddD FAddD; FAddDFSubD FAddD FSubD; FAddDStore64 FAddD Store64; FSubDFSubD FSubD FSubD; FAddDFLtD FAddD FLtD;
            }
            last {
                MoveImmJump MoveImm Jump; AddLIJump AddLI Jump; MoveJump Move Jump; Load8Jump Load8 Jump; Store64Jump Store64 Jump; Load64Jump Load64 Jump;
                AndLIIndirect AndLI Indirect; MoveImmIndirect MoveImm Indirect; Load64Indirect Load64 Indirect;
                AddLIBranchEqLI AddLI BranchEqLI; AddLIBranchNeLI AddLI BranchNeLI; AddLIBranchNeL AddLI BranchNeL; AddLIBranchEqL AddLI BranchEqL; AddLIBranchLtUL AddLI BranchLtUL; AddLIBranchLeUL AddLI BranchLeUL; AddLIBranchLtSL AddLI BranchLtSL;
                Load64BranchEqLI Load64 BranchEqLI; Load64BranchNeLI Load64 BranchNeLI; Load64BranchNeL Load64 BranchNeL; Load64BranchEqL Load64 BranchEqL; Load8BranchNeLI Load8 BranchNeLI; Load8BranchEqLI Load8 BranchEqLI;
                MoveImmBranchEqLI MoveImm BranchEqLI; MoveImmBranchEqL MoveImm BranchEqL; MoveImmBranchNeL MoveImm BranchNeL; MoveImmBranchLtUL MoveImm BranchLtUL; MoveImmBranchLeUL MoveImm BranchLeUL;
                AddLBranchLtUL AddL BranchLtUL; AddLBranchNeL AddL BranchNeL; AddXBranchNeL AddX BranchNeL; AddXIBranchNeL AddXI BranchNeL; AddXIBranchEqL AddXI BranchEqL; OrLBranchEqL OrL BranchEqL; XorLBranchNeL XorL BranchNeL; SubLBranchLeUL SubL BranchLeUL;
                AndLIBranchNeLI AndLI BranchNeLI; AndLIBranchEqLI AndLI BranchEqLI; Store64BranchNeL Store64 BranchNeL; Store8BranchNeL Store8 BranchNeL; Store8BranchLtUL Store8 BranchLtUL; FAddDBranchEqL FAddD BranchEqL; FLtDBranchEqLI FLtD BranchEqLI;
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
        pairs { $($pa:ident $pa1:ident $pa2:ident;)* }
        last { $($la:ident $la1:ident $la2:ident;)* }
    ) => {
        /// What a [`Code`](super::op::Code) does. `d`, `a` and `b` are its registers, `imm` its immediate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
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
            $(
                #[doc = concat!("[`Opcode::", stringify!($pa1), "`] and the op behind it.")]
                $pa,
            )*
            $(
                #[doc = concat!("[`Opcode::", stringify!($la1), "`] and the end behind it.")]
                $la,
            )*
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
                $(Self::$pa,)*
                $(Self::$la,)*
            ];

            /// The opcode for this op with `next` behind it.
            pub(super) const fn paired(self, next: Self) -> Option<Self> {
                match (self, next) {
                    $((Self::$pa1, Self::$pa2) => Some(Self::$pa),)*
                    $((Self::$la1, Self::$la2) => Some(Self::$la),)*
                    _ => None,
                }
            }

            /// The op that has to be behind one that stands for two.
            pub(super) const fn second(self) -> Option<Self> {
                match self {
                    $(Self::$pa => Some(Self::$pa2),)*
                    $(Self::$la => Some(Self::$la2),)*
                    _ => None,
                }
            }

            /// What an op does by itself that stands for two.
            pub(super) const fn first(self) -> Self {
                match self {
                    $(Self::$pa => Self::$pa1,)*
                    $(Self::$la => Self::$la1,)*
                    other => other,
                }
            }

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
        const SIGNED: [Option<Opcode>; Opcode::ALL.len()] = {
            let mut table = [None; Opcode::ALL.len()];
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
        const BRANCH: [Option<Opcode>; Opcode::ALL.len()] = {
            let mut table = [None; Opcode::ALL.len()];
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
    fn an_op_for_two_is_the_pair_of_its_parts() {
        for &op in Opcode::ALL {
            if let Some(second) = op.second() {
                assert_eq!(op.first().paired(second), Some(op));
                assert!(!op.is_end() && !op.first().is_end() && second.second().is_none());
            } else {
                assert_eq!(op.first(), op);
            }
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
