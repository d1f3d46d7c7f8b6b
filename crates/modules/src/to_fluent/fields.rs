//! JSON objects to MessagePack maps, in one pass over the text and without a tree.
//!
//! How many members an object has is known at its end only, so the head of its map is written with
//! room for the number, and the number is filled in. A text below 128 KiB cannot hold as many as
//! 65,536 members, which decides how much room: nothing is moved afterwards, whatever is in it.

use baikonur_record::scan::{Cursor, Fault, unescape};

/// Containers that are nested deeper are written as their JSON text: the MessagePack library of
/// Fluent Bit gives up at 32, of which the entry and its message take some.
const DEPTH_MAX: usize = 24;
/// A text shorter than this has less than 65,536 members or elements in any of its containers: each
/// takes two bytes at least.
const SMALL_TEXT_BYTES: usize = 2 << 16;

const NIL: u8 = 0xc0;
const FALSE: u8 = 0xc2;
const TRUE: u8 = 0xc3;
const FLOAT64: u8 = 0xcb;
const UINT64: u8 = 0xcf;
const INT64: u8 = 0xd3;
const FIXSTR: u8 = 0xa0;
const STR8: u8 = 0xd9;
const STR16: u8 = 0xda;
const STR32: u8 = 0xdb;
const ARRAY16: u8 = 0xdc;
const ARRAY32: u8 = 0xdd;
const MAP16: u8 = 0xde;
const MAP32: u8 = 0xdf;

/// Writes the JSON object `text` as a map behind what `buffer` holds.
///
/// # Errors
/// The first byte that is not JSON, with half of a map in `buffer`.
pub(super) fn append_map(buffer: &mut Vec<u8>, text: &[u8]) -> Result<(), Fault> {
    let mut writer = Writer { buffer, is_small: text.len() < SMALL_TEXT_BYTES };
    writer.object(&mut Cursor::within(text, 0..text.len()), 1)
}

/// Writes a text of UTF-8.
#[inline]
pub(super) fn append_text(buffer: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        length @ 0..32 => buffer.push(FIXSTR | length as u8),
        length @ 32..=0xff => buffer.extend_from_slice(&[STR8, length as u8]),
        length @ 0x100..=0xffff => {
            let [high, low] = (length as u16).to_be_bytes();
            buffer.extend_from_slice(&[STR16, high, low]);
        }
        length => {
            buffer.push(STR32);
            let length = u32::try_from(length).expect("an event is far smaller than 4 GiB");
            buffer.extend_from_slice(&length.to_be_bytes());
        }
    }
    buffer.extend_from_slice(text);
}

struct Writer<'b> {
    buffer: &'b mut Vec<u8>,
    is_small: bool,
}

impl Writer<'_> {
    /// The object or array that the cursor stands on; `depth` containers are open with it.
    fn object(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Fault> {
        let head = self.begin(MAP16, MAP32);
        let mut members = 0;
        cursor.object(|cursor, key| {
            members += 1;
            append_text(self.buffer, &key.text());
            self.value(cursor, depth)
        })?;
        self.end(head, members);
        Ok(())
    }

    fn array(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Fault> {
        let head = self.begin(ARRAY16, ARRAY32);
        let mut elements = 0;
        cursor.array(|cursor| {
            elements += 1;
            self.value(cursor, depth)
        })?;
        self.end(head, elements);
        Ok(())
    }

    /// Any value; `depth` containers are open around it.
    #[inline]
    fn value(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Fault> {
        match cursor.peek() {
            Some(b'{') if depth < DEPTH_MAX => self.object(cursor, depth + 1),
            Some(b'[') if depth < DEPTH_MAX => self.array(cursor, depth + 1),
            _ => {
                let text = cursor.text();
                let value = &text[cursor.value()?];
                self.scalar(value);
                Ok(())
            }
        }
    }

    /// A value that has passed the scanner: no container, or one too deep to be more than a text.
    #[inline]
    fn scalar(&mut self, value: &[u8]) {
        match value {
            [b'"', raw @ .., b'"'] => append_text(self.buffer, &unescape(raw)),
            [b't', ..] => self.buffer.push(TRUE),
            [b'f', ..] => self.buffer.push(FALSE),
            [b'n', ..] => self.buffer.push(NIL),
            [b'{' | b'[', ..] => append_text(self.buffer, value),
            number => self.number(number),
        }
    }

    fn number(&mut self, text: &[u8]) {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let decimal = |value: Option<u64>, digit: &u8| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
            value?.checked_mul(10)?.checked_add(u64::from(digit))
        };
        match digits.iter().fold(Some(0), decimal) {
            Some(value) if !negative => self.unsigned(value),
            Some(value) if value <= 1 << 63 => self.negative(value.wrapping_neg().cast_signed()),
            _ => self.float(text),
        }
    }

    fn unsigned(&mut self, value: u64) {
        match u8::try_from(value) {
            Ok(small @ 0..0x80) => self.buffer.push(small),
            _ => {
                self.buffer.push(UINT64);
                self.buffer.extend_from_slice(&value.to_be_bytes());
            }
        }
    }

    fn negative(&mut self, value: i64) {
        match i8::try_from(value) {
            Ok(small @ -32..0) => self.buffer.push(small.cast_unsigned()),
            _ => {
                self.buffer.push(INT64);
                self.buffer.extend_from_slice(&value.to_be_bytes());
            }
        }
    }

    /// With a fraction, an exponent, or more digits than 64 bits have. What no double can hold stays
    /// a text: receivers that write JSON again have no word for infinity.
    fn float(&mut self, text: &[u8]) {
        let number = str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
        match number.filter(|number| number.is_finite()) {
            Some(number) => {
                self.buffer.push(FLOAT64);
                self.buffer.extend_from_slice(&number.to_be_bytes());
            }
            None => append_text(self.buffer, text),
        }
    }

    /// Writes the head of a container; gives the place behind it for [`end`](Self::end).
    fn begin(&mut self, small: u8, large: u8) -> usize {
        if self.is_small {
            self.buffer.extend_from_slice(&[small, 0, 0]);
        } else {
            self.buffer.extend_from_slice(&[large, 0, 0, 0, 0]);
        }
        self.buffer.len()
    }

    fn end(&mut self, head: usize, count: u32) {
        let count = count.to_be_bytes();
        let room = if self.is_small { &count[2..] } else { &count };
        self.buffer[head - room.len()..head].copy_from_slice(room);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::doubles::read_value;
    use super::*;

    fn fields(text: &str) -> Value {
        let mut buffer = Vec::new();
        append_map(&mut buffer, text.as_bytes()).unwrap();
        let mut rest = buffer.as_slice();
        let value = read_value(&mut rest);
        assert!(rest.is_empty(), "{text}");
        value
    }

    #[test]
    fn an_object_becomes_a_map_of_the_same_values() {
        for text in [
            "{}",
            r#"{"a":1,"b":[true,false,null,"x"],"c":{"d":{},"e":[]},"":""}"#,
            r#"{ "a" : [ 1 , 2 ] , "b" : { "c" : "d" } }"#,
            r#"{"n":[0,127,128,255,256,65535,65536,4294967296,18446744073709551615]}"#,
            r#"{"n":[-1,-32,-33,-128,-129,-32769,-9223372036854775808,-0.5,1.5e300]}"#,
            r#"{"escaped":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","k\u0065y":"é日😀"}"#,
        ] {
            assert_eq!(fields(text), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_doubles_and_beyond_those_texts() {
        let text = r#"{"big":18446744073709551616,"low":-9223372036854775809,"huge":-1e999}"#;
        let big = 18_446_744_073_709_551_616_f64;
        let low = -9_223_372_036_854_775_809_f64;
        assert_eq!(fields(text), json!({"big": big, "low": low, "huge": "-1e999"}));
    }

    #[test]
    fn texts_of_every_length_are_whole() {
        for length in [0, 31, 32, 255, 256, 65_535, 65_536, 200_000] {
            let text = json!({ "text": "x".repeat(length) });
            assert_eq!(fields(&text.to_string()), text, "{length}");
        }
    }

    #[test]
    fn containers_of_many_elements_are_whole() {
        for count in [15, 16, 43_000, 65_535, 65_536, 100_000] {
            let value = json!({ "list": vec![1; count], "n": count });
            assert_eq!(fields(&value.to_string()), value, "{count}");
        }
        let members = (0..70_000).map(|n| (n.to_string(), json!(n))).collect();
        let value = Value::Object(members);
        assert_eq!(fields(&value.to_string()), value);
    }

    #[test]
    fn what_is_nested_too_deep_for_receivers_is_a_text() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let mut value = &fields(&format!(r#"{{"a":{}}}"#, nested(100)))["a"];
        for _ in 1..DEPTH_MAX {
            value = &value[0];
        }
        assert_eq!(*value, json!(nested(100 - (DEPTH_MAX - 1))));
        let exact = format!(r#"{{"a":{}}}"#, nested(DEPTH_MAX - 1));
        assert_eq!(fields(&exact), serde_json::from_str::<Value>(&exact).unwrap());
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for text in ["", "1", "[]", r#"{"a":}"#, r#"{"a":1"#] {
            assert!(append_map(&mut Vec::new(), text.as_bytes()).is_err(), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300..1e300).prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::hash_map(".{0,8}", inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_arrives_as_it_is(value in prop::collection::hash_map(".{0,8}", any_json(), 0..8)) {
            let value = Value::Object(value.into_iter().collect());
            prop_assert_eq!(fields(&value.to_string()), value.clone());
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(fields(&pretty), value);
        }
    }
}
