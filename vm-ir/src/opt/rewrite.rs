//! The walk of passes that replace ops: each op is emitted anew, after its operands, into a fresh list.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::{fold, simplify};
use crate::block::{Block, Inst, Value};
use crate::ops::{Effect, Op};
use crate::types::Type;

/// What a rule makes of an op.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// No rule applies.
    Keep,
    /// This op instead; rules are tried on it in turn.
    Op(Inst),
    /// This value, which is already there.
    Value(Value),
    /// This constant of the op's result type.
    Constant(u64),
    /// Nothing: the op gives no value and has no effect.
    Nothing,
}

/// The ops emitted so far.
#[derive(Debug, Default)]
pub(super) struct Out {
    insts: Vec<Inst>,
    /// Where each pure op is, so that equal ones are computed once.
    equal: HashMap<Inst, Value, BuildHasherDefault<InstHasher>>,
    /// The block's address.
    pub(super) pc: u64,
}

impl Out {
    /// The op that gave `value`.
    pub(super) fn def(&self, value: Value) -> Inst {
        self.insts[value.index()]
    }

    /// The bits of a constant.
    pub(super) fn bits(&self, value: Value) -> Option<u64> {
        let inst = &self.insts[value.index()];
        (inst.op == Op::Const).then_some(inst.imm as u64)
    }

    /// Whether `value` is the constant `bits`.
    pub(super) fn is(&self, value: Value, bits: u64) -> bool {
        self.bits(value) == Some(bits)
    }

    /// Type of a value.
    pub(super) fn ty(&self, value: Value) -> Type {
        self.def(value).result().unwrap_or(Type::I64)
    }

    /// A constant; bits above the width of `ty` are dropped.
    pub(super) fn constant(&mut self, ty: Type, bits: u64) -> Value {
        let imm = (bits & ty.mask()) as i64;
        self.push(Inst { imm, ..Inst::new(Op::Const, ty, ty, [Value::NONE; 3]) })
    }

    /// Emits `inst`, or what the rules make of it. [`Value::NONE`] if that is nothing.
    pub(super) fn emit(&mut self, mut inst: Inst) -> Value {
        loop {
            let step = match fold::fold(&inst, self) {
                Some(bits) => Step::Constant(bits),
                None => simplify::step(&inst, self),
            };
            match step {
                Step::Keep => return self.push(inst),
                Step::Op(next) => inst = next,
                Step::Value(value) => return value,
                Step::Constant(bits) => return self.constant(inst.ty, bits),
                Step::Nothing => return Value::NONE,
            }
        }
    }

    fn push(&mut self, inst: Inst) -> Value {
        let value = Value::new(self.insts.len() as u32);
        if inst.op.effect() == Effect::Pure {
            if let Some(equal) = self.equal.get(&inst) {
                return *equal;
            }
            self.equal.insert(inst, value);
        }
        self.insts.push(inst);
        value
    }

    /// Emits the whole block anew.
    pub(super) fn walk(&mut self, block: &mut Block, names: &mut Vec<Value>) {
        self.insts.clear();
        self.equal.clear();
        self.pc = block.key.pc.get();
        names.clear();
        let mut marks = block.marks.iter_mut().peekable();
        for (index, inst) in block.insts.iter().enumerate() {
            while let Some(mark) = marks.next_if(|mark| mark.first as usize <= index) {
                mark.first = self.insts.len() as u32;
            }
            names.push(self.emit(inst.renamed(names)));
        }
        for mark in marks {
            mark.first = self.insts.len() as u32;
        }
        if let Some(operand) = block.end.operand_mut() {
            *operand = names[operand.index()];
        }
        block.end = simplify::end(block.end, self);
        std::mem::swap(&mut block.insts, &mut self.insts);
    }
}

/// Mixes the fields of an op. The table lives for one walk over code that was already translated once, so a good spread
/// of ordinary ops is all that is asked of it.
#[derive(Debug, Default)]
pub(super) struct InstHasher(u64);

impl Hasher for InstHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}
