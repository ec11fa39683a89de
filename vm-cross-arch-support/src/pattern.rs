//! The bit-picture language: an instruction's encoding as the manual prints it, parsed at compile time.
//!
//! A picture is 16 or 32 characters, most significant bit first; spaces are for the eye.
//!
//! | character | meaning |
//! |---|---|
//! | `0`, `1` | a fixed bit |
//! | `a`-`z` | a bit of the field with that name; `i` is signed, all others are unsigned |
//! | `A`-`Z` | a bit of the same field in lower case, which has 8 added: a three-bit register number of registers 8 to 15 |
//!
//! The bits of a field, read from left to right, are its value from the highest bit down. Where the manual scatters or
//! scales an immediate, [`Pattern::place`] takes the list that the manual prints in brackets: in
//! `"iiiiiii bbbbb aaaaa 000 iiiii 1100011"` placed by `"12|10:5|4:1|11"` the leftmost bit is bit 12 of the immediate,
//! and bit 0, which is not listed, is zero.

/// Most fields a picture may have, fields added by [`Pattern::with`] included.
const MAX_FIELDS: usize = 6;
/// Most runs of bits behind their first that the fields of a picture may have: `c.j` has seven.
const MAX_PIECES: usize = 7;
/// Most values that [`Pattern::except`] may exclude.
const MAX_EXCLUDED: usize = 2;
/// In [`Pattern::index`], and the index of no field: the pattern has none with this letter.
const ABSENT: u8 = u8::MAX;

/// A run of bits of the word, and of the field's value.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// By how much the word is rotated to the left for the bits to be where they are in the value.
    rotation: u8,
    /// Where that is.
    mask: u32,
}

impl Piece {
    const EMPTY: Self = Self { rotation: 0, mask: 0 };

    /// One bit: bit `from` of the word is bit `to` of the value.
    const fn bit(from: u8, to: u8) -> Self {
        Self { rotation: (32 + to - from) % 32, mask: 1 << to }
    }

    /// The value's bits that `word` holds.
    #[inline]
    const fn of(self, word: u32) -> u32 {
        word.rotate_left(self.rotation as u32) & self.mask
    }

    /// The word's bits that hold those of `value`.
    const fn put(self, value: u32) -> u32 {
        (value & self.mask).rotate_right(self.rotation as u32)
    }
}

/// How a field's value is made.
#[derive(Clone, Copy, Debug)]
struct Field {
    letter: u8,
    /// The leftmost run of bits. Most fields have no other.
    head: Piece,
    /// The other ones among the pattern's: the first, and how many they are.
    first: u8,
    count: u8,
    /// Bits between the highest of the value and the top of the word, if the value is signed.
    unused: u8,
    /// Added to the value: 8 for short register numbers, the value itself for a field without bits.
    bias: u8,
    /// Whether the picture shows it, rather than [`Pattern::with`] having added it.
    pictured: bool,
}

impl Field {
    const EMPTY: Self = Self { letter: 0, head: Piece::EMPTY, first: 0, count: 0, unused: 0, bias: 0, pictured: false };
}

/// A parsed picture.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    picture: &'static str,
    width: u8,
    mask: u32,
    value: u32,
    fields: [Field; MAX_FIELDS],
    count: u8,
    pieces: [Piece; MAX_PIECES],
    piece_count: u8,
    index: [u8; 26],
    excluded: [(u8, i16); MAX_EXCLUDED],
    excluded_count: u8,
}

impl Pattern {
    /// Parses `picture`; meant for constants, where a mistake is a compile error.
    ///
    /// # Panics
    /// If the picture is not 16 or 32 bits long or holds a character without a meaning.
    #[must_use]
    pub const fn parse(picture: &'static str) -> Self {
        let text = picture.as_bytes();
        let mut pattern = Self {
            picture,
            width: bit_count(picture),
            mask: 0,
            value: 0,
            fields: [Field::EMPTY; MAX_FIELDS],
            count: 0,
            pieces: [Piece::EMPTY; MAX_PIECES],
            piece_count: 0,
            index: [ABSENT; 26],
            excluded: [(0, 0); MAX_EXCLUDED],
            excluded_count: 0,
        };
        let mut bit = pattern.width as u32;
        let mut at = 0;
        while at < text.len() {
            let character = text[at];
            at += 1;
            if character == b' ' {
                continue;
            }
            bit -= 1;
            match character {
                b'0' => pattern.mask |= 1 << bit,
                b'1' => {
                    pattern.mask |= 1 << bit;
                    pattern.value |= 1 << bit;
                }
                b'a'..=b'z' | b'A'..=b'Z' => {
                    let letter = character.to_ascii_lowercase();
                    if pattern.index[(letter - b'a') as usize] == ABSENT {
                        let field = pattern.pictured(letter, "");
                        pattern = pattern.with_field(field);
                    }
                }
                _ => panic!("a picture is made of 0, 1, letters and spaces"),
            }
        }
        pattern
    }

    /// Says which bits of the value the bits of field `letter` are, from left to right: `"12|10:5|4:1|11"`.
    ///
    /// # Panics
    /// If the picture has no such field or another number of bits.
    #[must_use]
    pub const fn place(mut self, letter: char, bits: &str) -> Self {
        let at = self.index[(letter as u8 - b'a') as usize];
        assert!(at != ABSENT, "only a field of the picture can be placed");
        self.fields[at as usize] = self.pictured(letter as u8, bits);
        self
    }

    /// Adds fields that the picture does not show: `"a=d i=0"` gives the lifter a field `a` that is the picture's `d`,
    /// and an `i` of zero.
    ///
    /// # Panics
    /// If a field is there already, its source is not, or the text is malformed.
    #[must_use]
    pub const fn with(mut self, fields: &str) -> Self {
        let text = fields.as_bytes();
        let mut at = 0;
        while at < text.len() {
            if text[at] == b' ' {
                at += 1;
                continue;
            }
            let letter = text[at];
            assert!(self.index[(letter - b'a') as usize] == ABSENT, "the field is there already");
            assert!(text[at + 1] == b'=', "an added field is written letter=source");
            at += 2;
            let mut added = Field::EMPTY;
            if text[at].is_ascii_digit() {
                while at < text.len() && text[at].is_ascii_digit() {
                    added.bias = added.bias * 10 + (text[at] - b'0');
                    at += 1;
                }
            } else {
                let source = self.index[(text[at] - b'a') as usize];
                assert!(source != ABSENT, "the source of an added field is a field of the picture");
                added = self.fields[source as usize];
                at += 1;
            }
            added.letter = letter;
            added.pictured = false;
            self = self.with_field(added);
        }
        self
    }

    /// Excludes words in which field `letter` is `value`, as the manual does by "rd != 0".
    ///
    /// # Panics
    /// If there is no such field, the value takes more than 16 bits, or too many values are excluded already.
    #[must_use]
    pub const fn except(mut self, letter: char, value: i64) -> Self {
        assert!(self.index[(letter as u8 - b'a') as usize] != ABSENT, "an excluded value belongs to a field");
        assert!(value as i16 as i64 == value, "an excluded value takes at most 16 bits");
        self.excluded[self.excluded_count as usize] = (letter as u8, value as i16);
        self.excluded_count += 1;
        self
    }

    const fn with_field(mut self, field: Field) -> Self {
        self.index[(field.letter - b'a') as usize] = self.count;
        self.fields[self.count as usize] = field;
        self.count += 1;
        self
    }

    /// The field `letter` of the picture, its value's bits placed by `places`, or without a gap if that is empty.
    const fn pictured(&mut self, letter: u8, places: &str) -> Field {
        let text = self.picture.as_bytes();
        let (order, listed) = expand(places);
        let mut field = Field { letter, first: self.piece_count, pictured: true, ..Field::EMPTY };
        let (mut bits, mut at) = (0, 0);
        while at < text.len() {
            if text[at].to_ascii_lowercase() == letter {
                bits += 1;
            }
            at += 1;
        }
        assert!(listed == 0 || listed == bits, "every bit of a placed field has its place");
        let (mut from, mut width) = (self.width, 0);
        let mut seen = 0;
        at = 0;
        while at < text.len() {
            let character = text[at];
            at += 1;
            if character == b' ' {
                continue;
            }
            from -= 1;
            if character.to_ascii_lowercase() != letter {
                continue;
            }
            if character.is_ascii_uppercase() {
                field.bias = 8;
            }
            let to = if listed == 0 { (bits - 1 - seen) as u8 } else { order[seen] };
            seen += 1;
            if to >= width {
                width = to + 1;
            }
            let bit = Piece::bit(from, to);
            let last = match field.count {
                0 => &mut field.head,
                _ => &mut self.pieces[self.piece_count as usize - 1],
            };
            if last.mask == 0 || last.rotation == bit.rotation {
                *last = Piece { mask: last.mask | bit.mask, ..bit };
            } else {
                self.pieces[self.piece_count as usize] = bit;
                self.piece_count += 1;
                field.count += 1;
            }
        }
        if letter == b'i' {
            field.unused = u32::BITS as u8 - width;
        } else {
            assert!(width < u32::BITS as u8, "an unsigned value is no negative number");
        }
        field
    }

    /// Length of the instruction in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.width as usize / 8
    }

    /// The picture.
    #[must_use]
    pub const fn picture(&self) -> &'static str {
        self.picture
    }

    /// The fixed bits.
    #[must_use]
    pub const fn mask(&self) -> u32 {
        self.mask
    }

    /// The values of the fixed bits.
    #[must_use]
    pub const fn value(&self) -> u32 {
        self.value
    }

    /// Whether `word` fits the picture and holds no excluded value. Bits above the picture's length are ignored.
    #[inline]
    #[must_use]
    pub fn matches(&self, word: u32) -> bool {
        word & self.mask == self.value
            && (self.excluded_count == 0
                || self.excluded[..self.excluded_count as usize]
                    .iter()
                    .all(|&(letter, value)| self.get(letter, word) != Some(value.into())))
    }

    /// Whether words that fit the picture may hold excluded values.
    pub(crate) const fn excludes(&self) -> bool {
        self.excluded_count != 0
    }

    /// Letters of the fields that the picture shows, in its order.
    pub fn letters(&self) -> impl Iterator<Item = char> {
        self.fields[..self.count as usize].iter().filter(|field| field.pictured).map(|field| char::from(field.letter))
    }

    #[inline]
    fn get(&self, letter: u8, word: u32) -> Option<i64> {
        let field = self.fields.get(usize::from(self.index[usize::from(letter - b'a')]))?;
        Some(self.value_of(field, word))
    }

    #[inline]
    fn pieces(&self, field: &Field) -> impl Iterator<Item = &Piece> {
        (field.first..field.first + field.count).map(|at| &self.pieces[usize::from(at)])
    }

    #[inline]
    fn value_of(&self, field: &Field, word: u32) -> i64 {
        let bits = self.pieces(field).fold(field.head.of(word), |bits, piece| bits | piece.of(word));
        i64::from((bits << field.unused) as i32 >> field.unused) + i64::from(field.bias)
    }

    /// The word's bits that hold `value` in the pictured field `letter`; `None` if the field cannot hold it.
    pub(crate) fn put(&self, letter: char, value: i64) -> Option<u32> {
        self.fields[..self.count as usize]
            .iter()
            .find(|field| field.pictured && char::from(field.letter) == letter)
            .and_then(|field| {
                let raw = value.wrapping_sub(i64::from(field.bias)) as u32;
                let word = self.pieces(field).fold(field.head.put(raw), |word, piece| word | piece.put(raw));
                (self.value_of(field, word) == value).then_some(word)
            })
    }
}

/// The fields of one instruction word.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pattern: &'static Pattern,
    word: u32,
}

/// Accessors for single-letter fields, named by the letter.
macro_rules! letters {
    ($($letter:ident $byte:literal,)*) => {
        $(
            #[doc = concat!("Field `", stringify!($letter), "`.")]
            ///
            /// # Panics
            /// If the row has no such field.
            #[inline]
            #[must_use]
            pub fn $letter(self) -> u8 {
                self.number($byte) as u8
            }
        )*
    };
}

impl Fields {
    pub(crate) const fn new(pattern: &'static Pattern, word: u32) -> Self {
        Self { pattern, word }
    }

    /// The instruction word; bits above the instruction's length are unspecified.
    #[must_use]
    pub const fn word(self) -> u32 {
        self.word
    }

    /// The field with this letter, if the row has it.
    #[must_use]
    pub fn get(self, letter: char) -> Option<i64> {
        letter.is_ascii_lowercase().then(|| self.pattern.get(letter as u8, self.word)).flatten()
    }

    /// Letters and values of the fields that the picture shows.
    pub fn values(self) -> impl Iterator<Item = (char, i64)> {
        self.pattern.letters().filter_map(move |letter| Some((letter, self.get(letter)?)))
    }

    letters! { a b'a', b b'b', c b'c', d b'd', m b'm', o b'o', p b'p', s b's', }

    /// The signed immediate, field `i`.
    ///
    /// # Panics
    /// If the row has no such field.
    #[inline]
    #[must_use]
    pub fn i(self) -> i64 {
        self.number(b'i')
    }

    /// The unsigned immediate, field `u`.
    ///
    /// # Panics
    /// If the row has no such field.
    #[inline]
    #[must_use]
    pub fn u(self) -> u64 {
        self.number(b'u') as u64
    }

    #[inline]
    fn number(self, letter: u8) -> i64 {
        match self.pattern.get(letter, self.word) {
            Some(value) => value,
            None => self.no_field(letter),
        }
    }

    #[cold]
    #[inline(never)]
    fn no_field(self, letter: u8) -> ! {
        panic!("no field {:?} in {}", char::from(letter), self.pattern.picture)
    }
}

const fn bit_count(picture: &str) -> u8 {
    let text = picture.as_bytes();
    let (mut count, mut at) = (0, 0);
    while at < text.len() {
        if text[at] != b' ' {
            count += 1;
        }
        at += 1;
    }
    assert!(count == 16 || count == 32, "a picture has 16 or 32 bits");
    count
}

/// The bit numbers that a list such as `"12|10:5"` means, and how many there are.
const fn expand(places: &str) -> ([u8; 32], usize) {
    let text = places.as_bytes();
    let mut bits = [0; 32];
    let (mut count, mut at) = (0, 0);
    while at < text.len() {
        let (high, after) = number(text, at);
        at = after;
        let mut low = high;
        if at < text.len() && text[at] == b':' {
            (low, at) = number(text, at + 1);
        }
        assert!(low <= high, "a range of bits is written high:low");
        let mut bit = high + 1;
        while bit > low {
            bit -= 1;
            bits[count] = bit;
            count += 1;
        }
        if at < text.len() {
            assert!(text[at] == b'|', "ranges of bits are separated by |");
            at += 1;
        }
    }
    (bits, count)
}

const fn number(text: &[u8], mut at: usize) -> (u8, usize) {
    assert!(text[at].is_ascii_digit(), "a bit number was expected");
    let mut value = 0;
    while at < text.len() && text[at].is_ascii_digit() {
        value = value * 10 + (text[at] - b'0');
        at += 1;
    }
    (value, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    static ADD: Pattern = Pattern::parse("0000000 bbbbb aaaaa 000 ddddd 0110011");
    static BEQ: Pattern = Pattern::parse("iiiiiii bbbbb aaaaa 000 iiiii 1100011").place('i', "12|10:5|4:1|11");
    static C_LW: Pattern = Pattern::parse("010 uuu AAA uu DDD 00").place('u', "5:3|2|6").with("i=u");
    static C_J: Pattern = Pattern::parse("101 iiiiiiiiiii 01").place('i', "11|4|9:8|10|6|7|3:1|5").with("d=0");
    static C_LUI: Pattern = Pattern::parse("011 i ddddd iiiii 01").place('i', "17|16:12").except('d', 2).except('i', 0);

    #[test]
    fn fixed_bits_and_plain_fields() {
        assert_eq!((ADD.mask(), ADD.value(), ADD.bytes()), (0xfe00_707f, 0x33, 4));
        let fields = Fields::new(&ADD, 0x0073_02b3); // add x5, x6, x7
        assert_eq!((fields.d(), fields.a(), fields.b()), (5, 6, 7));
        assert_eq!(fields.get('i'), None);
        assert!(ADD.matches(0x0073_02b3) && !ADD.matches(0x4073_02b3));
    }

    #[test]
    fn a_scattered_immediate_is_put_together() {
        // GNU as: `beq x10, x11, .-4` and `beq x10, x11, .+2048`.
        assert_eq!(Fields::new(&BEQ, 0xfeb5_0ee3).i(), -4);
        assert_eq!(Fields::new(&BEQ, 0x00b5_00e3).i(), 2048);
        assert_eq!(BEQ.put('i', -4), Some(0xfe00_0e80));
        assert_eq!(BEQ.put('i', 3), None);
        assert_eq!(BEQ.put('i', 4096), None);
    }

    #[test]
    fn compressed_fields() {
        // GNU as: `c.lw x13, 68(x10)` and `c.j .-2`.
        let fields = Fields::new(&C_LW, 0x4174);
        assert_eq!((fields.d(), fields.a(), fields.u(), fields.i()), (13, 10, 68, 68));
        assert_eq!(C_LW.bytes(), 2);
        let fields = Fields::new(&C_J, 0xbffd);
        assert_eq!((fields.i(), fields.d()), (-2, 0));
        assert_eq!(C_LW.put('d', 7), None);
        assert_eq!(C_LW.letters().collect::<String>(), "uad");
    }

    #[test]
    fn excluded_values_do_not_match() {
        assert!(C_LUI.matches(0x6285)); // c.lui x5, 1
        assert!(!C_LUI.matches(0x6281)); // an immediate of zero
        assert!(!C_LUI.matches(0x6105)); // c.addi16sp
    }
}
