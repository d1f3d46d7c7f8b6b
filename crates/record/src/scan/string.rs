//! Strings of JSON: where one ends, and what stands in it (RFC 8259, section 7).

use std::borrow::Cow;

use wide::u8x16;

use super::Fault;

/// Bytes looked at together: what a vector register of every 64-bit processor holds.
const BLOCK: usize = 16;

/// A member's key, as it is written between its quotes.
#[derive(Debug, Clone, Copy)]
pub struct Key<'t> {
    raw: &'t [u8],
    escaped: bool,
}

impl<'t> Key<'t> {
    #[inline]
    pub(super) fn new(raw: &'t [u8], escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The key as it is written between its quotes.
    #[inline]
    pub fn raw(self) -> &'t [u8] {
        self.raw
    }

    /// The key, unescaped.
    #[inline]
    pub fn text(self) -> Cow<'t, [u8]> {
        if self.escaped { unescape(self.raw) } else { Cow::Borrowed(self.raw) }
    }

    /// Whether the key, unescaped, is `name`.
    #[inline]
    pub fn is(self, name: &[u8]) -> bool {
        if self.escaped {
            return *unescape(self.raw) == *name;
        }
        self.raw == name
    }
}

/// The offset of the closing quote of the string whose content begins at `start`, and whether it has escapes.
///
/// # Errors
/// A control character, a broken escape, or no closing quote.
#[inline]
pub(super) fn end(text: &[u8], start: usize) -> Result<(usize, bool), Fault> {
    let at = next_mark(text, start);
    if text.get(at) == Some(&b'"') {
        return Ok((at, false));
    }
    end_after_escapes(text, at)
}

fn end_after_escapes(text: &[u8], mut at: usize) -> Result<(usize, bool), Fault> {
    let mut escaped = false;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => at = escape_end(text, at)?,
            Some(_) => {
                let what = "a control character as an escape";
                return Err(Fault { at, what });
            }
            None => {
                let what = "a closing quote";
                return Err(Fault { at, what });
            }
        }
        escaped = true;
        at = next_mark(text, at);
    }
}

fn escape_end(text: &[u8], at: usize) -> Result<usize, Fault> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') if hex4(text, at + 2).is_some() => Ok(at + 6),
        _ => Err(Fault { at, what: "an escape" }),
    }
}

/// The offset of the first quote, backslash or control character from `at` on, or the length of the text.
#[inline]
fn next_mark(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let marks = marks(block);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += BLOCK;
    }
    next_mark_near_end(text, at)
}

fn next_mark_near_end(text: &[u8], at: usize) -> usize {
    // The last block of the text holds the rest of it, behind bytes that are already passed.
    if let Some(block) = text.last_chunk() {
        let passed = at + BLOCK - text.len();
        let marks = marks(block).unbounded_shr(passed as u32);
        return if marks == 0 { text.len() } else { at + marks.trailing_zeros() as usize };
    }
    let rest = text.get(at..).unwrap_or_default();
    let is_mark = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    rest.iter().position(is_mark).map_or(text.len(), |index| at + index)
}

/// One bit for each byte, set for quotes, backslashes and control characters.
#[inline]
fn marks(block: &[u8; BLOCK]) -> u32 {
    let block = u8x16::new(*block);
    let controls = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let quotes = block.simd_eq(u8x16::splat(b'"'));
    let backslashes = block.simd_eq(u8x16::splat(b'\\'));
    (controls | quotes | backslashes).to_bitmask()
}

fn hex4(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..)?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(value << 4 | digit as u16)
    })
}

/// What the content of a valid string stands for. A surrogate without its partner, which UTF-8 cannot hold, becomes
/// U+FFFD.
pub fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = raw.iter().position(|&byte| byte == b'\\') else {
        return Cow::Borrowed(raw);
    };
    let mut text = Vec::with_capacity(raw.len());
    text.extend_from_slice(&raw[..first]);
    let mut at = first;
    while at < raw.len() {
        if raw[at] == b'\\' {
            at += push_escape(&mut text, raw, at);
        } else {
            let end = next_mark(raw, at);
            text.extend_from_slice(&raw[at..end]);
            at = end;
        }
    }
    Cow::Owned(text)
}

/// Writes what the escape at `at` stands for and returns its length.
fn push_escape(text: &mut Vec<u8>, raw: &[u8], at: usize) -> usize {
    let byte = match raw.get(at + 1) {
        Some(b'u') => return push_unicode_escape(text, raw, at),
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(&other) => other,
        None => b'\\',
    };
    text.push(byte);
    2
}

fn push_unicode_escape(text: &mut Vec<u8>, raw: &[u8], at: usize) -> usize {
    let unit = hex4(raw, at + 2).unwrap_or(0xfffd);
    let low = match raw.get(at + 6..at + 8) {
        Some(b"\\u") => hex4(raw, at + 8),
        _ => None,
    };
    let units = [unit, low.unwrap_or(0)];
    let mut decoded = char::decode_utf16(units);
    let first = decoded.next().and_then(Result::ok);
    let symbol = first.unwrap_or(char::REPLACEMENT_CHARACTER);
    text.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes());
    if symbol.len_utf16() == 2 { 12 } else { 6 }
}

#[cfg(test)]
mod tests {
    use super::{Key, end, next_mark, unescape};

    #[test]
    fn a_mark_is_found_at_every_distance_and_alignment() {
        for mark in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for length in 0..70 {
                for filler in [b'x', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                    let mut text = vec![filler; length + 40];
                    text[length] = mark;
                    assert_eq!(next_mark(&text, 0), length);
                    text.truncate(length);
                    assert_eq!(next_mark(&text, 0), length);
                }
            }
        }
    }

    #[test]
    fn a_string_ends_at_the_first_quote_that_is_not_escaped() {
        assert_eq!(end(b"abc\"d", 0), Ok((3, false)));
        assert_eq!(end(br#"a\"b\\"d"#, 0), Ok((6, true)));
        assert_eq!(end(br#"\u00e9""#, 0), Ok((6, true)));
    }

    #[test]
    fn broken_strings_are_refused_where_they_break() {
        for (text, at) in
            [("abc", 3), ("a\nb\"", 1), (r#"a\x""#, 1), (r#"\u12g4""#, 0), ("\\", 0), (r"\u123", 0)]
        {
            assert_eq!(end(text.as_bytes(), 0).map_err(|fault| fault.at), Err(at), "{text}");
        }
    }

    #[test]
    fn escapes_stand_for_their_characters() {
        for (raw, expected) in [
            (r"plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u0041\u00e9\u65e5", "Aé日"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\ud83d", "\u{fffd}"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"a long text without any escape\n", "a long text without any escape\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&unescape(raw.as_bytes())), expected, "{raw}");
        }
    }

    #[test]
    fn a_key_is_compared_unescaped() {
        assert!(Key::new(br"t\u0069me", true).is(b"time"));
        assert!(Key::new(b"time", false).is(b"time"));
        assert!(!Key::new(b"timed", false).is(b"time"));
    }
}
