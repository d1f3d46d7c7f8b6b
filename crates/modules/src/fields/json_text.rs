//! JSON as it is written: strings, and a buffer that stops at a bound.

/// Bytes being made, up to a bound: foreign text must not make them large without end.
#[derive(Debug)]
pub(super) struct Bounded {
    bytes: Vec<u8>,
    max: usize,
    overflown: bool,
}

/// More bytes than allowed would have been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Bounded {
    /// Room for `max` bytes, of which `expected` are reserved.
    pub(super) fn new(expected: usize, max: usize) -> Self {
        Self { bytes: Vec::with_capacity(expected.min(max)), max, overflown: false }
    }

    /// Makes room for `expected` bytes more.
    pub(super) fn reserve(&mut self, expected: usize) {
        self.bytes.reserve(expected.min(self.left()));
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.len() > self.left() {
            return self.overflow();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// There would have been more.
    pub(super) fn overflow(&mut self) {
        self.overflown = true;
        // Nothing behind a gap is kept.
        self.max = self.bytes.len();
    }

    /// The content of a string, without its quotes.
    pub(super) fn push_escaped(&mut self, text: &[u8]) {
        let mut plain_from = 0;
        for (at, &byte) in text.iter().enumerate() {
            let escape: &[u8] = match byte {
                b'"' => br#"\""#,
                b'\\' => br"\\",
                b'\n' => br"\n",
                b'\r' => br"\r",
                b'\t' => br"\t",
                0..0x20 => &unicode_escape(byte),
                _ => continue,
            };
            self.push(&text[plain_from..at]);
            self.push(escape);
            plain_from = at + 1;
        }
        self.push(&text[plain_from..]);
    }

    /// A string.
    pub(super) fn push_string(&mut self, text: &[u8]) {
        self.push(b"\"");
        self.push_escaped(text);
        self.push(b"\"");
    }

    /// How many bytes more there may be.
    pub(super) fn left(&self) -> usize {
        self.max - self.bytes.len()
    }

    /// What was made.
    ///
    /// # Errors
    /// When it would have been more than allowed.
    pub(super) fn finish(self) -> Result<Vec<u8>, TooLarge> {
        if self.overflown { Err(TooLarge) } else { Ok(self.bytes) }
    }
}

fn unicode_escape(byte: u8) -> [u8; 6] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let [high, low] = [byte >> 4, byte & 0xf].map(|digit| DIGITS[usize::from(digit)]);
    [b'\\', b'u', b'0', b'0', high, low]
}

/// A string of JSON.
pub(super) fn string(text: &str) -> Vec<u8> {
    let mut out = Bounded::new(text.len() + 2, usize::MAX);
    out.push_string(text.as_bytes());
    out.bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_what_they_were_when_they_are_read_again() {
        for text in ["", "plain", "a\"b\\c/", "\n\r\t\u{0}\u{8}\u{c}\u{1f}\u{7f}", "é日😀\u{2028}"]
        {
            let written = string(text);
            assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text);
            assert!(!written.contains(&b'\n'));
        }
        assert_eq!(string("\u{1}\n"), br#""\u0001\n""#);
    }

    #[test]
    fn nothing_is_made_above_the_bound() {
        let mut out = Bounded::new(100, 5);
        out.push(b"12345");
        assert_eq!(out.left(), 0);
        out.push(b"");
        assert_eq!(out.finish(), Ok(b"12345".to_vec()));
        let mut out = Bounded::new(0, 5);
        out.push(b"1234");
        out.push(b"56");
        out.push(b"7");
        assert_eq!(out.finish(), Err(TooLarge));
    }
}
