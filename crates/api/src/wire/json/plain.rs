//! A reader of plain JSON for serde: what SDKs send, and nothing else.
//!
//! Plain is a body without escapes in its texts, without line breaks or other controls, and without
//! fractions and exponents. Nearly all requests are, and a text of it is found by one vectorised search
//! for its end. Whatever is not plain, or is a mistake, is a [`NotPlain`] without a reason: the caller
//! reads it again with `serde_json`, which knows all of JSON and names mistakes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Levels of lists and objects; requests have four.
const DEPTH_MAX: u32 = 32;
/// Decimal digits that fit into an `i64`, whatever they are.
const DIGITS_MAX: usize = 18;

/// Something for the other reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPlain;

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not plain JSON")
    }
}

impl std::error::Error for NotPlain {}

impl Error for NotPlain {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

/// Reads a whole body.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, NotPlain> {
    // Controls stand in no text; between tokens only line breaks and tabs may, and those are not plain.
    if body.iter().copied().min().is_none_or(|least| least < b' ') {
        return Err(NotPlain);
    }
    let text = simdutf8::basic::from_utf8(body).map_err(|_| NotPlain)?;
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(NotPlain),
    }
}

struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u32,
}

impl<'de> Reader<'de> {
    /// The next byte that is no blank.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if byte != b' ' {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Result<(), NotPlain> {
        if self.peek() != Some(wanted) {
            return Err(NotPlain);
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<&'de str, NotPlain> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let length = memchr::memchr2(b'"', b'\\', rest).ok_or(NotPlain)?;
        if rest[length] == b'\\' {
            return Err(NotPlain);
        }
        self.at = start + length + 1;
        Ok(&self.text[start..start + length])
    }

    fn integer<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, NotPlain> {
        let rest = &self.text[self.at..];
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let sign = rest.len() - digits.len();
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let leading_zero = count > 1 && digits.starts_with('0');
        let fraction = matches!(digits.as_bytes().get(count), Some(b'.' | b'e' | b'E'));
        // The other reader takes -0 for a fraction.
        let negative_zero = sign == 1 && digits.starts_with('0');
        if leading_zero || fraction || negative_zero || !(1..=DIGITS_MAX).contains(&count) {
            return Err(NotPlain);
        }
        self.at += sign + count;
        let number = &rest[..sign + count];
        if sign == 1 {
            visitor.visit_i64(number.parse().map_err(|_| NotPlain)?)
        } else {
            visitor.visit_u64(number.parse().map_err(|_| NotPlain)?)
        }
    }

    fn word(&mut self, word: &str) -> Result<(), NotPlain> {
        if !self.text[self.at..].starts_with(word) {
            return Err(NotPlain);
        }
        self.at += word.len();
        Ok(())
    }

    /// What stands between the bracket that comes next and `end`.
    fn inside<T>(
        &mut self,
        end: u8,
        read: impl FnOnce(Elements<'_, 'de>) -> Result<T, NotPlain>,
    ) -> Result<T, NotPlain> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(NotPlain);
        }
        let value = read(Elements { reader: self, end, first: true })?;
        self.expect(end)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = NotPlain;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        match self.peek().ok_or(NotPlain)? {
            b'"' => visitor.visit_borrowed_str(self.string()?),
            b'{' => self.inside(b'}', |members| visitor.visit_map(members)),
            b'[' => self.inside(b']', |elements| visitor.visit_seq(elements)),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => self.integer(visitor),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        if self.peek() == Some(b'n') {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The elements of a list, or the members of an object.
struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    end: u8,
    first: bool,
}

impl Elements<'_, '_> {
    /// Whether there is one more, and then at its start.
    #[inline]
    fn next(&mut self) -> Result<bool, NotPlain> {
        if self.reader.peek() == Some(self.end) {
            return Ok(false);
        }
        if !self.first {
            self.reader.expect(b',')?;
        }
        self.first = false;
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = NotPlain;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, NotPlain> {
        if self.next()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = NotPlain;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, NotPlain> {
        if !self.next()? {
            return Ok(None);
        }
        match self.reader.peek() {
            Some(b'"') => seed.deserialize(&mut *self.reader).map(Some),
            _ => Err(NotPlain),
        }
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, NotPlain> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_clients_send_is_plain() {
        let body = json!({
            "Records": [{"Data": "eA==", "PartitionKey": "ключ"}, {"Data": "", "PartitionKey": "b"}],
            "StreamName": "s", "Limit": 10_000, "Below": -5, "DryRun": true, "Off": false, "None": null,
            "Empty": {}, "List": [],
        });
        let text = body.to_string();
        assert_eq!(parse::<Value>(text.as_bytes()).unwrap(), body);
        let spaced = text.replace(',', " , ").replace(':', " : ");
        assert_eq!(parse::<Value>(spaced.as_bytes()).unwrap(), body);
    }

    #[test]
    fn all_else_is_for_the_other_reader() {
        let deep = "[".repeat(40) + &"]".repeat(40);
        let bodies = [
            "",
            " ",
            "{",
            "{}}",
            "{} x",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{1:2}",
            "{\"a\":1,}",
            "\"a\\n\"",
            "\"a",
            "1.5",
            "1e3",
            "01",
            "-0",
            "-",
            "9999999999999999999",
            "[1\n]",
            "\"\u{1}\"",
            "nul",
            "truth",
            deep.as_str(),
        ];
        for body in bodies {
            assert_eq!(parse::<Value>(body.as_bytes()), Err(NotPlain), "{body:?}");
        }
        assert_eq!(parse::<Value>(b"\"\xff\""), Err(NotPlain));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,12}|[a-zA-Z0-9+/=]{0,80}|[\\x00-\\x7f]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[a-z]{0,3}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn both_readers_agree(value in any_json(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = value.to_string().into_bytes();
            if let Ok(read) = parse::<Value>(&bytes) {
                prop_assert_eq!(&read, &value);
            }
            // Damaged in one place: what this one takes, the other takes for the same.
            let at = cut.index(bytes.len());
            bytes[at] = byte;
            if let Ok(read) = parse::<Value>(&bytes) {
                prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), read);
            }
        }
    }
}
