//! [`Table`]: rows of instructions, and decoding, encoding and text from the same row.

use std::fmt::Write as _;

use crate::guest::Extensions;
use crate::lift::Lifter;
use crate::pattern::{Fields, Pattern};

/// One instruction: its picture, its text, where the manual describes it, and its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Mnemonic.
    pub name: &'static str,
    /// Encoding.
    pub pattern: Pattern,
    /// Operands as text. Runs of letters and digits are the guest's operand tokens, all else stands for itself.
    pub operands: &'static str,
    /// Section of the manual.
    pub manual: &'static str,
    /// Meaning.
    pub lift: Lifter,
}

/// A row; meant for constant tables, where a malformed picture is a compile error.
#[must_use]
pub const fn row(
    name: &'static str,
    picture: &'static str,
    operands: &'static str,
    manual: &'static str,
    lift: Lifter,
) -> Row {
    Row { name, pattern: Pattern::parse(picture), operands, manual, lift }
}

impl Row {
    /// As [`Pattern::place`].
    #[must_use]
    pub const fn place(mut self, letter: char, bits: &str) -> Self {
        self.pattern = self.pattern.place(letter, bits);
        self
    }

    /// As [`Pattern::with`].
    #[must_use]
    pub const fn with(mut self, fields: &str) -> Self {
        self.pattern = self.pattern.with(fields);
        self
    }

    /// As [`Pattern::except`].
    #[must_use]
    pub const fn except(mut self, letter: char, value: i64) -> Self {
        self.pattern = self.pattern.except(letter, value);
        self
    }

    /// The instruction with these field values; a 16-bit instruction is in the low half.
    ///
    /// # Errors
    /// [`EncodeError`] if a field is missing, unknown, or cannot hold its value.
    pub fn encode(&self, values: &[(char, i64)]) -> Result<u32, EncodeError> {
        let name = self.name;
        let mut word = self.pattern.value();
        for field in self.pattern.letters() {
            let Some(&(_, value)) = values.iter().find(|(letter, _)| *letter == field) else {
                return Err(EncodeError::Missing { name, field });
            };
            word |= self.pattern.put(field, value).ok_or(EncodeError::Unencodable { name, field, value })?;
        }
        if let Some(&(field, _)) = values.iter().find(|(letter, _)| !self.pattern.letters().any(|own| own == *letter)) {
            return Err(EncodeError::Unknown { name, field });
        }
        if !self.pattern.matches(word) {
            return Err(EncodeError::Reserved { name, word });
        }
        Ok(word)
    }

    /// Whether every word of this row fits the picture of `other` too, so that the table must ask this row first.
    #[must_use]
    pub const fn refines(&self, other: &Self) -> bool {
        self.pattern.bytes() == other.pattern.bytes()
            && self.pattern.mask() & other.pattern.mask() == other.pattern.mask()
            && self.pattern.value() & other.pattern.mask() == other.pattern.value()
    }
}

/// Why an instruction cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No row has this name.
    #[error("unknown instruction {0:?}")]
    UnknownName(String),
    /// No value is given for a field of the picture.
    #[error("{name} needs a value for field {field}")]
    Missing {
        /// The row.
        name: &'static str,
        /// The field.
        field: char,
    },
    /// A value is given for a field that the picture does not have.
    #[error("{name} has no field {field}")]
    Unknown {
        /// The row.
        name: &'static str,
        /// The field.
        field: char,
    },
    /// The value is out of range or not a multiple of the field's scale.
    #[error("field {field} of {name} cannot hold {value}")]
    Unencodable {
        /// The row.
        name: &'static str,
        /// The field.
        field: char,
        /// The value.
        value: i64,
    },
    /// The values are excluded: the word means something else or is reserved.
    #[error("{word:#x} is not {name}: its operands are reserved")]
    Reserved {
        /// The row.
        name: &'static str,
        /// The word that the values would give.
        word: u32,
    },
}

/// Why bytes are no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the instruction does.
    #[error("the instruction is {needed} bytes long, of which {have} are there")]
    Truncated {
        /// Length of the instruction, as far as its first bytes say.
        needed: usize,
        /// Bytes that were given.
        have: usize,
    },
    /// No enabled row describes the word.
    #[error("no instruction has the encoding {word:#x}")]
    Unknown {
        /// The word; a 16-bit one is in the low half.
        word: u32,
    },
}

/// Rows that need one of a set of extensions.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The rows exist if any of these is enabled.
    pub any_of: Extensions,
    /// The rows.
    pub rows: &'static [Row],
}

impl Group {
    /// How many rows the groups have together.
    #[must_use]
    pub const fn count(groups: &[Self]) -> usize {
        let (mut group, mut count) = (0, 0);
        while group < groups.len() {
            count += groups[group].rows.len();
            group += 1;
        }
        count
    }
}

/// A decoded instruction.
#[derive(Clone, Copy, Debug)]
pub struct Decoded {
    /// Its row.
    pub row: &'static Row,
    /// Number of its row in the table.
    pub index: usize,
    /// Its fields.
    pub fields: Fields,
}

/// A row where decoding finds it, with what is compared at once.
#[derive(Clone, Copy, Debug)]
struct Entry {
    mask: u32,
    value: u32,
    any_of: Extensions,
    /// Number of its group, and its place there.
    group: u16,
    row: u16,
    /// Number of the row among all.
    index: u16,
    /// Whether the pattern excludes values besides.
    excludes: bool,
}

impl Entry {
    const NOTHING: Self =
        Self { mask: 0, value: 0, any_of: Extensions::NONE, group: 0, row: 0, index: 0, excludes: false };

    /// Whether `self` is asked before `other` in a leaf: the stricter one, or of equals the first in the table.
    const fn goes_before(&self, other: &Self) -> bool {
        let (own, others) = (self.mask.count_ones(), other.mask.count_ones());
        own > others || own == others && self.index < other.index
    }
}

/// A node of the decoding tree.
#[derive(Clone, Copy, Debug)]
enum Node {
    /// Goes to the node at `first` plus the word's bits selected by `shift` and `mask`.
    Branch { shift: u8, mask: u32, first: u16 },
    /// Asks `count` entries from `first` of the table's list.
    Leaf { first: u16, count: u16 },
}

impl Node {
    const NOTHING: Self = Self::Leaf { first: 0, count: 0 };
}

/// The decoding tree of a [`Table`] with `ROWS` rows, grown at compile time: a program that ends at once would spend more
/// on it than on decoding.
///
/// ```
/// # use vm_cross_arch_support::{Group, Table, Tree};
/// # static GROUPS: &[Group] = &[];
/// const ROWS: usize = Group::count(GROUPS);
/// const NODES: usize = Tree::<ROWS, 4096>::new(GROUPS).nodes();
/// static TREE: Tree<ROWS, NODES> = Tree::new(GROUPS);
/// static TABLE: Table = TREE.table(GROUPS);
/// ```
#[derive(Debug)]
pub struct Tree<const ROWS: usize, const NODES: usize> {
    nodes: [Node; NODES],
    len: usize,
    /// In the order of the leaves.
    entries: [Entry; ROWS],
}

/// Most bits that a branch of a tree looks at: 128 children of 8 bytes each.
const BRANCH_BITS: u32 = 7;

impl<const ROWS: usize, const NODES: usize> Tree<ROWS, NODES> {
    /// The tree of the rows of all groups.
    ///
    /// # Panics
    /// If there are not `ROWS` rows, or `NODES` nodes are not enough. In a constant these are compile errors.
    #[must_use]
    pub const fn new(groups: &[Group]) -> Self {
        assert!(Group::count(groups) == ROWS, "the tree has as many rows as its groups");
        assert!(ROWS <= u16::MAX as usize && NODES <= u16::MAX as usize, "rows and nodes have numbers of 16 bits");
        let mut tree = Self { nodes: [Node::NOTHING; NODES], len: 1, entries: [Entry::NOTHING; ROWS] };
        let (mut group, mut index) = (0, 0);
        while group < groups.len() {
            let mut row = 0;
            while row < groups[group].rows.len() {
                let pattern = &groups[group].rows[row].pattern;
                tree.entries[index] = Entry {
                    mask: pattern.mask(),
                    value: pattern.value(),
                    any_of: groups[group].any_of,
                    group: group as u16,
                    row: row as u16,
                    index: index as u16,
                    excludes: pattern.excludes(),
                };
                row += 1;
                index += 1;
            }
            group += 1;
        }
        tree.grow(0, 0, ROWS, 0);
        tree
    }

    /// Makes the node at `at` decide between the entries from `from` to `to`; the bits of `used` are decided already.
    ///
    /// A branch looks at bits that all of its rows fix. Rows that agree in all bits that all of them fix share a leaf,
    /// the stricter ones first.
    const fn grow(&mut self, at: usize, from: usize, to: usize, used: u32) {
        let mut common = !used;
        let mut entry = from;
        while entry < to {
            common &= self.entries[entry].mask;
            entry += 1;
        }
        if to - from < 2 || common == 0 {
            self.sort(from, to);
            self.nodes[at] = Node::Leaf { first: from as u16, count: (to - from) as u16 };
            return;
        }
        let shift = longest_run(common);
        let run = (common >> shift).trailing_ones();
        let bits = if run < BRANCH_BITS { run } else { BRANCH_BITS };
        let mask = (1u32 << bits) - 1;
        let first = self.len;
        self.len += 1 << bits;
        assert!(self.len <= NODES, "the tree needs more nodes");
        self.nodes[at] = Node::Branch { shift: shift as u8, mask, first: first as u16 };
        let (mut child, mut begin) = (0, from);
        while child <= mask {
            let (mut end, mut entry) = (begin, begin);
            while entry < to {
                if self.entries[entry].value >> shift & mask == child {
                    self.entries.swap(end, entry);
                    end += 1;
                }
                entry += 1;
            }
            self.grow(first + child as usize, begin, end, used | mask << shift);
            begin = end;
            child += 1;
        }
    }

    /// Sorts the entries of a leaf.
    const fn sort(&mut self, from: usize, to: usize) {
        let mut sorted = from;
        while sorted < to {
            let mut entry = sorted;
            while entry > from && self.entries[entry].goes_before(&self.entries[entry - 1]) {
                self.entries.swap(entry, entry - 1);
                entry -= 1;
            }
            sorted += 1;
        }
    }

    /// How many nodes the tree has.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.len
    }

    /// The table that decodes by this tree, which was grown from the same groups.
    ///
    /// # Panics
    /// If the groups have another number of rows.
    #[must_use]
    pub const fn table(&'static self, groups: &'static [Group]) -> Table {
        assert!(Group::count(groups) == ROWS, "the tree was grown from other groups");
        Table { groups, nodes: &self.nodes, entries: &self.entries }
    }
}

/// An index over rows.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    groups: &'static [Group],
    nodes: &'static [Node],
    entries: &'static [Entry],
}

impl Table {
    /// The instruction that `word` is when `enabled` extensions exist.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if no enabled row describes it.
    #[inline]
    pub fn decode(&self, word: u32, enabled: Extensions) -> Result<Decoded, DecodeError> {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Branch { shift, mask, first } => at = usize::from(first) + (word >> shift & mask) as usize,
                Node::Leaf { first, count } => {
                    for entry in &self.entries[usize::from(first)..][..usize::from(count)] {
                        if word & entry.mask != entry.value || !entry.any_of.intersects(enabled) {
                            continue;
                        }
                        let row = &self.groups[usize::from(entry.group)].rows[usize::from(entry.row)];
                        if !entry.excludes || row.pattern.matches(word) {
                            let fields = Fields::new(&row.pattern, word);
                            return Ok(Decoded { row, index: usize::from(entry.index), fields });
                        }
                    }
                    return Err(DecodeError::Unknown { word });
                }
            }
        }
    }

    /// The rows in table order.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        self.groups.iter().flat_map(|group| group.rows)
    }

    /// The row with this mnemonic.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&'static Row> {
        self.rows().find(|row| row.name == name)
    }

    /// The instruction `name` with these field values.
    ///
    /// # Errors
    /// [`EncodeError`] if there is no such row, or as [`Row::encode`].
    pub fn encode(&self, name: &str, values: &[(char, i64)]) -> Result<u32, EncodeError> {
        self.row(name).ok_or_else(|| EncodeError::UnknownName(name.to_owned()))?.encode(values)
    }

    /// Number of rows in the longest list that decoding may have to walk.
    #[must_use]
    pub fn longest_list(&self) -> usize {
        self.nodes
            .iter()
            .map(|node| match node {
                Node::Branch { .. } => 0,
                Node::Leaf { count, .. } => usize::from(*count),
            })
            .max()
            .unwrap_or(0)
    }
}

/// The lowest bit of the longest run of ones in `bits`, which is not zero.
const fn longest_run(bits: u32) -> u32 {
    let (mut best, mut best_len, mut at) = (0, 0, 0);
    while at < 32 {
        let len = (bits >> at).trailing_ones();
        if len > best_len {
            (best, best_len) = (at, len);
        }
        at += if len == 0 { 1 } else { len };
    }
    best
}

impl Decoded {
    /// The instruction as text: mnemonic, `suffix`, operands. `operand` writes one operand token; where it writes
    /// nothing, the comma before the token goes too.
    pub fn text(&self, suffix: &str, operand: impl Fn(&str, Fields, &mut String)) -> String {
        let mut out = String::new();
        let _ = write!(out, "{}{suffix}", self.row.name);
        let mut rest = self.row.operands;
        if !rest.is_empty() {
            out.push(' ');
        }
        while let Some(first) = rest.chars().next() {
            let len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            if len == 0 {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let before = out.len();
            operand(&rest[..len], self.fields, &mut out);
            if out.len() == before {
                out.truncate(out.trim_end_matches([',', ' ']).len());
            }
            rest = &rest[len..];
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lift::{Flow, Lift};

    fn nothing(_: &mut Lift, _: Fields) -> Flow {
        Flow::Next
    }

    const ONE: Extensions = Extensions::bit(0);
    const TWO: Extensions = Extensions::bit(1);

    static ROWS: &[Row] = &[
        row("any", "ffff pppp ssss aaaaa 000 ddddd 0001111", "p, s", "", nothing),
        row("add", "0000000 bbbbb aaaaa 000 ddddd 0110011", "d, a, b", "", nothing),
        row("sub", "0100000 bbbbb aaaaa 000 ddddd 0110011", "d, a, b", "", nothing),
    ];
    static STRICT: &[Row] = &[row("none", "0000 0001 0000 00000 000 00000 0001111", "", "", nothing)];
    static GROUPS: &[Group] = &[Group { any_of: ONE, rows: ROWS }, Group { any_of: TWO, rows: STRICT }];
    static TREE: Tree<4, 400> = Tree::new(GROUPS);
    static TABLE: Table = TREE.table(GROUPS);

    #[test]
    fn stricter_rows_go_first_and_disabled_rows_do_not_exist() {
        let table = TABLE;
        assert_eq!(table.decode(0x0100_000f, ONE.union(TWO)).unwrap().row.name, "none");
        assert_eq!(table.decode(0x0100_000f, ONE).unwrap().row.name, "any");
        assert_eq!(table.decode(0x4073_02b3, ONE).unwrap().row.name, "sub");
        assert_eq!(table.decode(0x4073_02b3, TWO).unwrap_err(), DecodeError::Unknown { word: 0x4073_02b3 });
        assert_eq!(table.decode(0x8073_02b3, ONE).unwrap_err(), DecodeError::Unknown { word: 0x8073_02b3 });
        assert_eq!(table.longest_list(), 2);
    }

    #[test]
    fn encoding_names_what_is_wrong() {
        let table = TABLE;
        assert_eq!(table.encode("add", &[('d', 5), ('a', 6), ('b', 7)]), Ok(0x0073_02b3));
        assert_eq!(table.encode("add", &[('d', 5), ('a', 6)]), Err(EncodeError::Missing { name: "add", field: 'b' }));
        assert_eq!(
            table.encode("add", &[('d', 5), ('a', 6), ('b', 32)]),
            Err(EncodeError::Unencodable { name: "add", field: 'b', value: 32 })
        );
        assert_eq!(
            table.encode("add", &[('d', 5), ('a', 6), ('b', 7), ('i', 0)]),
            Err(EncodeError::Unknown { name: "add", field: 'i' })
        );
        assert_eq!(table.encode("mul", &[]), Err(EncodeError::UnknownName("mul".to_owned())));
    }

    #[test]
    fn text_drops_the_comma_of_an_empty_operand() {
        let table = TABLE;
        let add = table.decode(0x0073_02b3, ONE).unwrap();
        let print = |token: &str, fields: Fields, out: &mut String| {
            if token != "b" {
                let _ = write!(out, "r{}", fields.get(token.chars().next().unwrap()).unwrap());
            }
        };
        assert_eq!(add.text(".x", print), "add.x r5, r6");
    }
}
