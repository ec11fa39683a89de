//! [`parse`]: text to a block.

use std::collections::HashMap;
use std::fmt;

use vm_core::{BlockKey, GuestAddr, Mode, SLOT_COUNT, TrapKind};

use super::Names;
use crate::attr::{self, AttrKind, FenceKind, FpAttr, MinMaxRule, NanRule, Order, OverflowRule, RmwOp, Rounding};
use crate::block::{Block, End, Inst, Mark, Target, Value};
use crate::ops::{ImmKind, Op, OpInfo, VectorFamily};
use crate::types::Type;

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReason {
    /// Something else belongs here.
    #[error("expected {wanted}, found {found}")]
    Expected {
        /// What belongs here.
        wanted: &'static str,
        /// What stands here.
        found: String,
    },
    /// A number that does not fit what it is for.
    #[error("{0} is out of range")]
    OutOfRange(String),
    /// No op and no end has this name.
    #[error("unknown op {0:?}")]
    UnknownOp(String),
    /// A word behind an op's name that is no type and no attribute it takes.
    #[error("{op} takes no {word:?} here, wants {wanted}")]
    UnknownWord {
        /// The op.
        op: &'static str,
        /// The word.
        word: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// An op with a value and no name for it, or the other way round.
    #[error("{0}")]
    ValueName(&'static str),
    /// The value was not defined before.
    #[error("%{0} is not defined before")]
    UndefinedValue(u32),
    /// The value was defined before.
    #[error("%{0} is defined twice")]
    RepeatedValue(u32),
    /// No slot has this name.
    #[error("unknown slot {0:?}")]
    UnknownSlot(String),
    /// No helper has this name.
    #[error("unknown helper {0:?}")]
    UnknownHelper(String),
    /// Something follows the block's end.
    #[error("{0} behind the end of the block")]
    BehindEnd(&'static str),
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ParseError {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    #[source]
    pub reason: ParseReason,
}

/// The block that `text` describes. The types of operands and other rules are left to [`verify`](crate::verify()).
///
/// # Errors
/// [`ParseError`] for the first mistake, and if `text` holds no block or more than one.
pub fn parse(text: &str, names: Names<'_>) -> Result<Block, ParseError> {
    let mut parser = Parser::new(text, names)?;
    let block = parser.block()?;
    match parser.token {
        Token::Finish => Ok(block),
        _ => Err(parser.fail(ParseReason::BehindEnd("text"))),
    }
}

/// The blocks that `text` describes, one after the other.
///
/// # Errors
/// [`ParseError`] for the first mistake.
pub fn parse_all(text: &str, names: Names<'_>) -> Result<Vec<Block>, ParseError> {
    let mut parser = Parser::new(text, names)?;
    let mut blocks = Vec::new();
    while parser.token != Token::Finish {
        blocks.push(parser.block()?);
    }
    Ok(blocks)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// Letters, digits, `_` and `.`: op names with their words, slots, helpers, types, numbers.
    Word(&'a str),
    /// One of `{ } ( ) [ ] , = + - / % @ #`.
    Sign(char),
    /// The end of a line that held something.
    Line,
    /// The end of the text.
    Finish,
    /// A character of no token.
    Foreign(char),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word:?}"),
            Self::Sign(sign) | Self::Foreign(sign) => write!(f, "{sign:?}"),
            Self::Line => write!(f, "the end of the line"),
            Self::Finish => write!(f, "the end of the text"),
        }
    }
}

struct Parser<'a> {
    names: Names<'a>,
    /// What follows `token`.
    rest: &'a str,
    token: Token<'a>,
    /// Position of `token`.
    line: usize,
    column: usize,
    /// Position of `rest`.
    next_line: usize,
    next_column: usize,
}

type Parse<T> = Result<T, ParseError>;

/// The parts of the block being read.
#[derive(Default)]
struct Parts {
    bytes: Vec<u8>,
    insts: Vec<Inst>,
    marks: Vec<Mark>,
    values: HashMap<u32, Value>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, names: Names<'a>) -> Parse<Self> {
        let token = Token::Finish;
        let mut parser = Self { names, rest: text, token, line: 1, column: 1, next_line: 1, next_column: 1 };
        parser.advance();
        parser.skip_lines();
        Ok(parser)
    }

    // Tokens.

    fn bump(&mut self, len: usize) {
        let (skipped, rest) = self.rest.split_at(len);
        for c in skipped.chars() {
            if c == '\n' {
                self.next_line += 1;
                self.next_column = 1;
            } else {
                self.next_column += 1;
            }
        }
        self.rest = rest;
    }

    fn advance(&mut self) {
        loop {
            let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r']).len();
            self.bump(blank);
            if !self.rest.starts_with(';') {
                break;
            }
            let comment = self.rest.find('\n').unwrap_or(self.rest.len());
            self.bump(comment);
        }
        (self.line, self.column) = (self.next_line, self.next_column);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let word = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (token, len) = match self.rest.chars().next() {
            None => (Token::Finish, 0),
            Some('\n') => (Token::Line, 1),
            Some(_) if word > 0 => (Token::Word(&self.rest[..word]), word),
            Some(c) if "{}()[],=+-/%@#".contains(c) => (Token::Sign(c), 1),
            Some(c) => (Token::Foreign(c), c.len_utf8()),
        };
        self.token = token;
        self.bump(len);
    }

    fn skip_lines(&mut self) {
        while self.token == Token::Line {
            self.advance();
        }
    }

    fn fail(&self, reason: ParseReason) -> ParseError {
        ParseError { line: self.line, column: self.column, reason }
    }

    fn expected(&self, wanted: &'static str) -> ParseError {
        self.fail(ParseReason::Expected { wanted, found: self.token.to_string() })
    }

    /// Takes `sign` if it stands here.
    fn accept(&mut self, sign: char) -> bool {
        let found = self.token == Token::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    fn sign(&mut self, sign: char, wanted: &'static str) -> Parse<()> {
        if self.accept(sign) { Ok(()) } else { Err(self.expected(wanted)) }
    }

    fn word(&mut self, wanted: &'static str) -> Parse<&'a str> {
        match self.token {
            Token::Word(word) => {
                self.advance();
                Ok(word)
            }
            _ => Err(self.expected(wanted)),
        }
    }

    fn end_of_line(&mut self) -> Parse<()> {
        match self.token {
            Token::Line | Token::Finish => {
                self.skip_lines();
                Ok(())
            }
            _ => Err(self.expected("the end of the line")),
        }
    }

    /// Reads a word with `read`; the error stands at the word.
    fn read<T>(&mut self, wanted: &'static str, read: impl FnOnce(&str) -> Result<T, ParseReason>) -> Parse<T> {
        let Token::Word(word) = self.token else { return Err(self.expected(wanted)) };
        let value = read(word).map_err(|reason| self.fail(reason))?;
        self.advance();
        Ok(value)
    }

    fn number(&mut self, wanted: &'static str) -> Parse<u64> {
        self.read(wanted, |word| unsigned(word, wanted))
    }

    /// A number with an upper limit.
    fn small(&mut self, wanted: &'static str, limit: u64) -> Parse<u64> {
        self.read(wanted, |word| match unsigned(word, wanted)? {
            number if number <= limit => Ok(number),
            _ => Err(ParseReason::OutOfRange(word.to_owned())),
        })
    }

    // Blocks.

    fn block(&mut self) -> Parse<Block> {
        let key = self.header()?;
        let mut parts = Parts::default();
        let end = loop {
            if self.accept('@') {
                parts.marks.push(self.mark(parts.insts.len())?);
            } else if self.accept('%') {
                self.named_op(&mut parts, key)?;
            } else if self.token == Token::Word("bytes") {
                self.advance();
                self.read("hexadecimal bytes", |word| hex(word, &mut parts.bytes))?;
            } else if let Some(end) = self.end_or_op(&mut parts, key)? {
                break end;
            }
            self.end_of_line()?;
        };
        self.end_of_line()?;
        self.sign('}', "\"}\" behind the block's end")?;
        self.skip_lines();
        let Parts { bytes, insts, marks, .. } = parts;
        Ok(Block { key, bytes, insts, marks, end })
    }

    fn header(&mut self) -> Parse<BlockKey> {
        if self.token != Token::Word("block") {
            return Err(self.expected("\"block\""));
        }
        self.advance();
        let pc = GuestAddr::new(self.number("the block's address")?);
        let mode = if self.accept('/') {
            self.read("the mode in hexadecimal", |word| {
                u32::from_str_radix(word, 16).map_err(|_| ParseReason::OutOfRange(word.to_owned()))
            })?
        } else {
            0
        };
        self.sign('{', "\"{\"")?;
        self.end_of_line()?;
        Ok(BlockKey::new(pc, Mode::new(mode)))
    }

    /// `@0..4`, its sign taken.
    fn mark(&mut self, first: usize) -> Parse<Mark> {
        self.read("a range of bytes", |word| {
            let wanted = "a range of bytes";
            let (start, end) =
                word.split_once("..").ok_or_else(|| ParseReason::Expected { wanted, found: format!("{word:?}") })?;
            let (start, end) = (unsigned(start, wanted)?, unsigned(end, wanted)?);
            let offset = u16::try_from(start).ok();
            let len = end.checked_sub(start).and_then(|len| u8::try_from(len).ok());
            match (offset, len) {
                (Some(offset), Some(len)) => Ok(Mark { first: first as u32, offset, len }),
                _ => Err(ParseReason::OutOfRange(word.to_owned())),
            }
        })
    }

    fn value_name(&mut self) -> Parse<u32> {
        // `Value::NONE` is no name.
        Ok(self.small("a value's number", u64::from(u32::MAX) - 1)? as u32)
    }

    fn value(&mut self, parts: &Parts) -> Parse<Value> {
        if !self.accept('%') {
            return Err(self.expected("a value"));
        }
        let (line, column) = (self.line, self.column);
        let name = self.value_name()?;
        let reason = ParseReason::UndefinedValue(name);
        parts.values.get(&name).copied().ok_or(ParseError { line, column, reason })
    }

    /// An op with a value, its `%` taken.
    fn named_op(&mut self, parts: &mut Parts, key: BlockKey) -> Parse<()> {
        let (line, column) = (self.line, self.column);
        let name = self.value_name()?;
        self.sign('=', "\"=\"")?;
        let at = (self.line, self.column);
        let word = self.word("an op")?;
        let inst = self.op(word, at, parts, key)?;
        if inst.op.result().is_none() {
            let reason = ParseReason::ValueName("this op gives no value to name");
            return Err(ParseError { line: at.0, column: at.1, reason });
        }
        let value = Value::new(parts.insts.len() as u32);
        if parts.values.insert(name, value).is_some() {
            return Err(ParseError { line, column, reason: ParseReason::RepeatedValue(name) });
        }
        parts.insts.push(inst);
        Ok(())
    }

    /// An end, or an op without a value.
    fn end_or_op(&mut self, parts: &mut Parts, key: BlockKey) -> Parse<Option<End>> {
        let at = (self.line, self.column);
        let word = self.word("an op or the block's end")?;
        if let Some(end) = self.end(word, at, parts, key)? {
            return Ok(Some(end));
        }
        let inst = self.op(word, at, parts, key)?;
        if inst.op.result().is_some() {
            let reason = ParseReason::ValueName("the op's value wants a name");
            return Err(ParseError { line: at.0, column: at.1, reason });
        }
        parts.insts.push(inst);
        Ok(None)
    }

    fn target(&mut self, key: BlockKey) -> Parse<Target> {
        let address = GuestAddr::new(self.number("an address")?);
        Ok(Target(address.offset_from(key.pc)))
    }

    fn comma(&mut self) -> Parse<()> {
        self.sign(',', "\",\"")
    }

    fn end(&mut self, word: &str, at: (usize, usize), parts: &Parts, key: BlockKey) -> Parse<Option<End>> {
        if let Some(kind) = word.strip_prefix("trap.") {
            let kind = TrapKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(|| {
                let reason = ParseReason::UnknownWord { op: "trap", word: kind.to_owned(), wanted: "a kind of trap" };
                ParseError { line: at.0, column: at.1, reason }
            })?;
            let pc = self.target(key)?;
            self.comma()?;
            return Ok(Some(End::Trap { kind, at: pc, addr: self.target(key)? }));
        }
        let end = match word {
            "jump" => End::Jump { target: self.target(key)? },
            "branch" => {
                let cond = self.value(parts)?;
                self.comma()?;
                let taken = self.target(key)?;
                self.comma()?;
                End::Branch { cond, taken, fall: self.target(key)? }
            }
            "call" => {
                let target = self.target(key)?;
                self.comma()?;
                End::Call { target, ret: self.target(key)? }
            }
            "indirect" => End::Indirect { addr: self.value(parts)? },
            "indirect_call" => {
                let addr = self.value(parts)?;
                self.comma()?;
                End::IndirectCall { addr, ret: self.target(key)? }
            }
            "return" => End::Return { addr: self.value(parts)? },
            "syscall" => End::Syscall { next: self.target(key)? },
            "flush_code" => End::FlushCode { next: self.target(key)? },
            "mode_change" => End::ModeChange { next: self.target(key)? },
            _ => return Ok(None),
        };
        Ok(Some(end))
    }

    // Ops.

    fn op(&mut self, word: &str, at: (usize, usize), parts: &Parts, key: BlockKey) -> Parse<Inst> {
        let mut inst = head(word).map_err(|reason| ParseError { line: at.0, column: at.1, reason })?;
        let info = inst.op.info();
        let mut args = [Value::NONE; 3];
        let mut count = 0;
        let mut separator = false;
        match info.imm {
            ImmKind::None | ImmKind::Lane | ImmKind::PcOffset => {}
            ImmKind::Bits => inst.imm = self.constant(inst.ty)?,
            ImmKind::Slot => {
                inst.imm = self.slot()?;
                separator = true;
            }
            ImmKind::Displacement => {
                (args[0], inst.imm) = self.address(parts)?;
                (count, separator) = (1, true);
            }
            ImmKind::Helper => {
                inst.imm = self.helper()?;
                self.sign('(', "\"(\"")?;
            }
        }
        if matches!(info.attr, AttrKind::Rmw | AttrKind::Order) && info.imm == ImmKind::None {
            (count, separator) = (1, true);
            self.sign('[', "an address in brackets")?;
            args[0] = self.value(parts)?;
            self.sign(']', "\"]\"")?;
        }
        let wanted = self.operand_count(&inst, info);
        while count < wanted {
            if separator {
                self.comma()?;
            }
            args[count] = self.value(parts)?;
            count += 1;
            separator = true;
        }
        inst.args = args;
        match info.imm {
            ImmKind::Lane | ImmKind::PcOffset => {
                if separator {
                    self.comma()?;
                }
                inst.imm = match info.imm {
                    ImmKind::Lane => self.small("a lane", 15)? as i64,
                    _ => self.target(key)?.0,
                };
            }
            ImmKind::Helper => self.sign(')', "\")\"")?,
            ImmKind::None | ImmKind::Bits | ImmKind::Slot | ImmKind::Displacement => {}
        }
        Ok(inst)
    }

    /// A call of a helper without a table takes the operands that stand there.
    fn operand_count(&self, inst: &Inst, info: &OpInfo) -> usize {
        if info.imm != ImmKind::Helper {
            return info.args.len();
        }
        match self.names.helpers.get(inst.imm as usize) {
            Some(helper) => helper.args.min(3),
            None => {
                let operands = self.rest.split([')', '\n']).next().unwrap_or_default();
                let more = operands.matches(',').count();
                if self.token == Token::Sign(')') { 0 } else { (more + 1).min(3) }
            }
        }
    }

    fn constant(&mut self, ty: Type) -> Parse<i64> {
        let negative = self.accept('-');
        self.read("a number", |word| {
            let bits = unsigned(word, "a number")?;
            let out_of_range = || ParseReason::OutOfRange(word.to_owned());
            if negative {
                // The magnitude of the most negative number is the sign bit itself.
                if bits > ty.sign_bit() { Err(out_of_range()) } else { Ok((bits.wrapping_neg() & ty.mask()) as i64) }
            } else if bits & !ty.mask() != 0 {
                Err(out_of_range())
            } else {
                Ok(bits as i64)
            }
        })
    }

    fn slot(&mut self) -> Parse<i64> {
        let slots = self.names.slots;
        self.read("a slot", |word| {
            if let Some(info) = slots.iter().find(|info| info.name == word) {
                return Ok(info.slot.index() as i64);
            }
            let index = word.strip_prefix('s').and_then(|digits| digits.parse::<u16>().ok());
            match index {
                Some(index) if usize::from(index) < SLOT_COUNT => Ok(i64::from(index)),
                _ => Err(ParseReason::UnknownSlot(word.to_owned())),
            }
        })
    }

    /// `[%1 + 8]`
    fn address(&mut self, parts: &Parts) -> Parse<(Value, i64)> {
        self.sign('[', "an address in brackets")?;
        let base = self.value(parts)?;
        let displacement = if self.accept('+') {
            self.small("a displacement", i64::MAX as u64)? as i64
        } else if self.accept('-') {
            (self.small("a displacement", i64::MIN.unsigned_abs())? as i64).wrapping_neg()
        } else {
            0
        };
        self.sign(']', "\"]\"")?;
        Ok((base, displacement))
    }

    fn helper(&mut self) -> Parse<i64> {
        if self.accept('#') {
            return Ok(self.small("a helper's number", u64::from(u32::MAX))? as i64);
        }
        let helpers = self.names.helpers;
        self.read("a helper", |word| {
            let index = helpers.iter().position(|helper| helper.name == word);
            index.map(|index| index as i64).ok_or_else(|| ParseReason::UnknownHelper(word.to_owned()))
        })
    }
}

/// The op, types and attributes of `fadd.f64.rne.canonical`.
fn head(text: &str) -> Result<Inst, ParseReason> {
    let mut words = text.split('.');
    let name = words.next().unwrap_or_default();
    let op = Op::from_name(name).ok_or_else(|| ParseReason::UnknownOp(name.to_owned()))?;
    let info = op.info();
    let mut take = |wanted| Word { op: info.name, word: words.next().unwrap_or_default(), wanted };
    let from = match info.from {
        [] => None,
        [only] => Some(*only),
        _ => Some(take("an operand type").find(|word| word.parse().ok())?),
    };
    let ty = match info.types {
        [] => Type::I64,
        [only] => *only,
        _ => take("a type").find(|word| word.parse().ok())?,
    };
    let mut inst = Inst::new(op, ty, from.unwrap_or(ty), [Value::NONE; 3]);
    let fp = FpAttr::DEFAULT;
    inst.attr = match info.attr {
        AttrKind::None => 0,
        AttrKind::Fp => {
            let rounding = take("a rounding").find(Rounding::from_name)?;
            FpAttr { rounding, nan: take("a NaN rule").find(NanRule::from_name)?, ..fp }.pack(info.attr)
        }
        AttrKind::FpMinMax => {
            let nan = take("a NaN rule").find(NanRule::from_name)?;
            let min_max = take("a rule of minimum and maximum").find(MinMaxRule::from_name)?;
            FpAttr { nan, min_max, ..fp }.pack(info.attr)
        }
        AttrKind::FpToInt => {
            let rounding = take("a rounding").find(Rounding::from_name)?;
            let overflow = take("an overflow rule").find(OverflowRule::from_name)?;
            FpAttr { rounding, overflow, ..fp }.pack(info.attr)
        }
        AttrKind::FpFromInt => fp.rounded(take("a rounding").find(Rounding::from_name)?).pack(info.attr),
        AttrKind::Signaling => take("\"quiet\" or \"signaling\"").find(|word| match word {
            "quiet" => Some(0),
            "signaling" => Some(1),
            _ => None,
        })?,
        AttrKind::Order => take("a memory order").find(Order::from_name)? as u8,
        AttrKind::Rmw => {
            let op = take("an operation").find(RmwOp::from_name)?;
            attr::pack_rmw(op, take("a memory order").find(Order::from_name)?)
        }
        AttrKind::Fence => take("a kind of fence").find(FenceKind::from_name)? as u8,
        AttrKind::Trap => {
            take("a kind of trap").find(|word| TrapKind::ALL.into_iter().find(|kind| kind.name() == word))? as u8
        }
        AttrKind::Vector => {
            let family = |word: &str| VectorFamily::ALL.iter().copied().find(|family| family.name() == word);
            take("a vector family").find(family)? as u8
        }
    };
    match words.next() {
        None => Ok(inst),
        Some(word) => Err(ParseReason::UnknownWord { op: info.name, word: word.to_owned(), wanted: "nothing more" }),
    }
}

/// A word behind an op's name.
struct Word<'a> {
    op: &'static str,
    word: &'a str,
    wanted: &'static str,
}

impl Word<'_> {
    fn find<T>(self, find: impl FnOnce(&str) -> Option<T>) -> Result<T, ParseReason> {
        let Self { op, word, wanted } = self;
        find(word).ok_or_else(|| ParseReason::UnknownWord { op, word: word.to_owned(), wanted })
    }
}

/// A decimal number, or a hexadecimal one with `0x`.
fn unsigned(word: &str, wanted: &'static str) -> Result<u64, ParseReason> {
    let (digits, radix) = match word.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(ParseReason::Expected { wanted, found: format!("{word:?}") });
    }
    u64::from_str_radix(digits, radix).map_err(|_| ParseReason::OutOfRange(word.to_owned()))
}

/// Appends the bytes that pairs of hexadecimal digits stand for.
fn hex(word: &str, bytes: &mut Vec<u8>) -> Result<(), ParseReason> {
    let wrong = || ParseReason::Expected { wanted: "pairs of hexadecimal digits", found: format!("{word:?}") };
    let digits: Option<Vec<u8>> = word.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2)).ok_or_else(wrong)?;
    bytes.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    Ok(())
}
