//! [`Line`]: the text of a traced call, and how strings and addresses are written in it.

use std::fmt::Write as _;

/// Bytes of a buffer or string that are shown, unless it names a file.
pub(super) const SHOWN: usize = 32;

/// Text that grows.
#[derive(Debug, Default)]
pub(crate) struct Line(String);

impl Line {
    /// Appends text.
    pub(crate) fn push(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Appends an address, or `NULL`.
    pub(super) fn address(&mut self, addr: u64) {
        if addr == 0 {
            self.push("NULL");
        } else {
            let _ = write!(self.0, "{addr:#x}");
        }
    }

    /// Appends a file mode: three octal digits at least.
    pub(super) fn mode(&mut self, mode: u32) {
        let _ = write!(self.0, "0{mode:02o}");
    }

    /// Appends at most `limit` bytes as a C string.
    pub(super) fn quoted(&mut self, bytes: &[u8], limit: usize) {
        self.push("\"");
        let shown = &bytes[..bytes.len().min(limit)];
        for (index, byte) in shown.iter().enumerate() {
            let text = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\t' => "\\t",
                b'\r' => "\\r",
                0x0b => "\\v",
                0x0c => "\\f",
                b' '..=b'~' => {
                    self.0.push(char::from(*byte));
                    continue;
                }
                // Short unless a digit follows, which would be taken for one of its own.
                _ if shown.get(index + 1).is_some_and(u8::is_ascii_digit) => {
                    let _ = write!(self.0, "\\{byte:03o}");
                    continue;
                }
                _ => {
                    let _ = write!(self.0, "\\{byte:o}");
                    continue;
                }
            };
            self.push(text);
        }
        self.push("\"");
        if bytes.len() > limit {
            self.push("...");
        }
    }

    /// Appends formatted text.
    pub(super) fn write(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(text);
    }

    /// Appends a list in brackets.
    pub(super) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.push("[");
        for (index, one) in items.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            item(self, one);
        }
        self.push("]");
    }

    /// Appends a call's result; results stand in one column where calls are short.
    pub(super) fn result(&mut self, outcome: &str) {
        const COLUMN: usize = 40;
        self.push(" ");
        let _ = write!(self.0, "{:1$}= {outcome}", "", COLUMN.saturating_sub(self.len()));
    }

    /// Number of characters so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The text.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Appends formatted text to a [`Line`].
macro_rules! put {
    ($line:expr, $($format:tt)*) => { $line.write(format_args!($($format)*)) };
}

pub(super) use put;

#[cfg(test)]
mod tests {
    use super::*;

    /// As strace 6.1 prints these bytes.
    #[test]
    fn strings_are_quoted_as_in_c() {
        for (bytes, text) in [
            (&b"a\nb\0"[..], r#""a\nb\0""#),
            (b"\x011\x7fx\xff", r#""\0011\177x\377""#),
            (b"say \"x\\y\"", r#""say \"x\\y\"""#),
            (b"\t\r\x0b\x0c\x1b", r#""\t\r\v\f\33""#),
        ] {
            let mut line = Line::default();
            line.quoted(bytes, SHOWN);
            assert_eq!(line.into_string(), text);
        }
        let mut line = Line::default();
        line.quoted(b"12345", 3);
        assert_eq!(line.into_string(), r#""123"..."#);
    }

    #[test]
    fn modes_have_three_digits() {
        for (mode, text) in [(0, "000"), (0o7, "007"), (0o644, "0644"), (0o4755, "04755")] {
            let mut line = Line::default();
            line.mode(mode);
            assert_eq!(line.into_string(), text);
        }
    }
}
