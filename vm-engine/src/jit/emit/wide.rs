//! Sums and differences of several words. Guests without flags compare for a carry or borrow and add it as a number; hosts
//! have an instruction that takes it where the lower word left it.

use cranelift_codegen::ir::{InstBuilder, Value as ClifValue, types};
use cranelift_frontend::FuncInstBuilder;
use vm_ir::{Inst, Op, Type, Value};

use super::Emitter;

impl Emitter<'_, '_> {
    /// The sum; with the carry of another one, the upper word of a wider sum.
    pub(super) fn add(&mut self, inst: &Inst) -> ClifValue {
        let [a, b, _] = inst.args;
        for (bit, other) in [(a, b), (b, a)] {
            if let Some(low) = self.carried(inst, bit) {
                return self.upper(low, other, |ir, a, b| ir.iadd(a, b));
            }
        }
        self.binary(inst, |ir, a, b| ir.iadd(a, b))
    }

    /// The difference; less the borrow of another one, the upper word of a wider difference.
    pub(super) fn sub(&mut self, inst: &Inst) -> ClifValue {
        match self.compared(inst, inst.args[1]) {
            Some(low) => self.upper(low, inst.args[0], |ir, a, b| ir.isub(a, b)),
            None => self.binary(inst, |ir, a, b| ir.isub(a, b)),
        }
    }

    /// The upper word of what `build` makes of `a` below `high` and of `b`.
    fn upper(
        &mut self,
        [a, b]: [Value; 2],
        high: Value,
        build: impl FnOnce(FuncInstBuilder<'_, '_>, ClifValue, ClifValue) -> ClifValue,
    ) -> ClifValue {
        let [a, b, high] = [a, b, high].map(|value| self.value(value));
        let wide = self.ir.ins().iconcat(a, high);
        let b = self.ir.ins().uextend(types::I128, b);
        let both = build(self.ir.ins(), wide, b);
        self.ir.ins().isplit(both).1
    }

    /// The words of which `bit`, an operand of `inst`, is 1 if the first is less than the second and 0 otherwise.
    fn compared(&self, inst: &Inst, bit: Value) -> Option<[Value; 2]> {
        let wide = self.block.def(bit);
        let less = (wide.op == Op::ZeroExtend && wide.from == Type::I8).then(|| self.block.def(wide.args[0]))?;
        let is_words = inst.ty == Type::I64 && less.op == Op::LtU && less.from == Type::I64;
        is_words.then_some([less.args[0], less.args[1]])
    }

    /// The words of whose sum `bit`, an operand of `inst`, is the carry: the sum is then less than either of them.
    fn carried(&self, inst: &Inst, bit: Value) -> Option<[Value; 2]> {
        let [sum, part] = self.compared(inst, bit)?;
        let sum = self.block.def(sum);
        let [a, b, _] = sum.args;
        (sum.op == Op::Add && (part == a || part == b)).then_some([a, b])
    }
}
