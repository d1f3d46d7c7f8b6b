//! Members of a request, read with the type checks and the texts of the service.
//!
//! Each type converts what the service converts and refuses the rest with the service's message.
//! Texts and bytes are borrowed from the body where they are in one piece and hold no escape. What
//! the formats do not share, blobs and moments, asks the deserializer which one it reads.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use baikonur_stream::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::limits::LIST_KEPT_MAX;

const BOOLEAN: &str = "java.lang.Boolean";
const NUMBER: &str = "com.amazon.coral.value.json.numbers.TruncatingBigNumber";
const STRING: &str = "java.lang.String";
const BYTES: &str = "java.nio.HeapByteBuffer";
/// What a list says where something else belongs.
pub(crate) const LIST_START: &str = "Start of list found where not expected";
/// What a map says where something else belongs.
pub(crate) const MAP_START: &str = "Start of structure or map found where not expected.";

/// A number as it is written.
#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i64),
    Fraction(f64),
}

/// A type that is read from one scalar.
trait Scalar<'de>: Sized {
    /// How messages name the type, with its preposition.
    const TARGET: &'static str;

    fn of_text(_text: Cow<'de, str>) -> Result<Self, String> {
        Err(class_refused(STRING, Self::TARGET))
    }

    fn of_number(_number: Number) -> Result<Self, String> {
        Err(class_refused(NUMBER, Self::TARGET))
    }

    fn of_bool(_value: bool) -> Result<Self, String> {
        Err(class_refused(BOOLEAN, Self::TARGET))
    }

    fn of_bytes(_bytes: Cow<'de, [u8]>) -> Result<Self, String> {
        Err(class_refused(BYTES, Self::TARGET))
    }
}

fn class_refused(class: &str, target: &str) -> String {
    format!("class {class} can not be converted to {target}")
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar<'de>> Visitor<'de> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::TARGET)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        T::of_text(Cow::Borrowed(text)).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<T, E> {
        T::of_text(Cow::Owned(text)).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        T::of_bool(value).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::of_number(Number::Whole(number)).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        T::of_number(Number::Whole(number)).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        T::of_number(Number::Fraction(number)).map_err(E::custom)
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<T, E> {
        T::of_bytes(Cow::Borrowed(bytes)).map_err(E::custom)
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<T, E> {
        T::of_bytes(Cow::Owned(bytes)).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(A::Error::custom(LIST_START))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(A::Error::custom(MAP_START))
    }
}

/// A String.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Scalar<'de> for Text<'de> {
    const TARGET: &'static str = "an String";

    fn of_text(text: Cow<'de, str>) -> Result<Self, String> {
        Ok(Self(text))
    }
}

/// An Integer: fractions are cut off, and what does not fit becomes the nearest that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Integer(pub(crate) i32);

impl Scalar<'_> for Integer {
    const TARGET: &'static str = "an Integer";

    fn of_number(number: Number) -> Result<Self, String> {
        Ok(Self(match number {
            Number::Whole(number) => number.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            // A float-to-integer cast keeps to the range.
            Number::Fraction(number) => number.floor() as i32,
        }))
    }
}

/// A Boolean, and the words that the service takes for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Boolean(pub(crate) bool);

impl<'de> Scalar<'de> for Boolean {
    const TARGET: &'static str = "an Boolean";

    fn of_text(text: Cow<'de, str>) -> Result<Self, String> {
        let upper = text.to_uppercase();
        match upper.as_str() {
            "TRUE" | "1" | "YES" => Ok(Self(true)),
            "FALSE" | "0" | "NO" => Ok(Self(false)),
            _ => Err(format!("'{upper}' can not be converted to an Boolean")),
        }
    }

    fn of_number(number: Number) -> Result<Self, String> {
        match number {
            Number::Whole(_) => Err(class_refused(NUMBER, Self::TARGET)),
            Number::Fraction(number) => Ok(Self(number != 0.0)),
        }
    }

    fn of_bool(value: bool) -> Result<Self, String> {
        Ok(Self(value))
    }
}

/// A Timestamp: epoch seconds in JSON, milliseconds in CBOR, whole or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

/// A moment in units of so many milliseconds.
struct MomentIn<const MILLIS: u16>(Moment);

impl<const MILLIS: u16> Scalar<'_> for MomentIn<MILLIS> {
    const TARGET: &'static str = "milliseconds since epoch";

    fn of_number(number: Number) -> Result<Self, String> {
        let millis = match number {
            Number::Whole(units) => {
                u64::try_from(units).unwrap_or(0).saturating_mul(u64::from(MILLIS))
            }
            // A float-to-integer cast keeps to the range.
            Number::Fraction(units) => (units * f64::from(MILLIS)).round() as u64,
        };
        Ok(Self(Moment(Timestamp::from_millis(millis))))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let seconds = ScalarVisitor::<MomentIn<1000>>(PhantomData);
            Ok(deserializer.deserialize_any(seconds)?.0)
        } else {
            let millis = ScalarVisitor::<MomentIn<1>>(PhantomData);
            Ok(deserializer.deserialize_any(millis)?.0)
        }
    }
}

/// A Blob: bytes, or text in strict base64 that is decoded only when it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blob<'a> {
    /// As JSON has it.
    Base64(Cow<'a, str>),
    /// As CBOR has it.
    Raw(Cow<'a, [u8]>),
}

impl Blob<'_> {
    /// How many bytes it is.
    pub(crate) fn decoded_length(&self) -> usize {
        match self {
            Self::Base64(text) => {
                let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
                text.len() / 4 * 3 - padding
            }
            Self::Raw(bytes) => bytes.len(),
        }
    }

    /// Appends the bytes.
    pub(crate) fn decode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Base64(text) => {
                let decoded = base64_simd::STANDARD.decode_append(text.as_bytes(), out);
                decoded.expect("checked when it was read");
            }
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl<'de> Scalar<'de> for Blob<'de> {
    const TARGET: &'static str = "a Blob";

    fn of_text(text: Cow<'de, str>) -> Result<Self, String> {
        match base64_simd::STANDARD.check(text.as_bytes()) {
            Ok(()) => Ok(Self::Base64(text)),
            Err(_) => {
                Err(format!("'{text}' can not be converted to a Blob: {}", blob_fault(&text)))
            }
        }
    }

    fn of_bytes(bytes: Cow<'de, [u8]>) -> Result<Self, String> {
        Ok(Self::Raw(bytes))
    }
}

/// What is wrong with a text that is not base64.
fn blob_fault(text: &str) -> String {
    if !text.len().is_multiple_of(4) {
        let length = text.len();
        return format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {length}"
        );
    }
    let unpadded = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    let illegal = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/'));
    match unpadded.chars().find(illegal) {
        Some(c) => format!("Invalid Base64 character: '{c}'"),
        // The service spells it so.
        None => "Invalid last non-pad Base64 character dectected".to_owned(),
    }
}

macro_rules! read_as_scalar {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(PhantomData))
            }
        }
    )*};
}

read_as_scalar!(Text<'de>, Integer, Boolean, Blob<'de>);

/// A List. Elements beyond [`LIST_KEPT_MAX`] are counted and not kept: a body of empty elements must
/// not take many times its size in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T> {
    /// The elements kept.
    pub(crate) elements: Vec<T>,
    /// How many there are.
    pub(crate) length: usize,
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a List")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < LIST_KEPT_MAX {
            let Some(element) = list.next_element()? else { break };
            elements.push(element);
        }
        let mut length = elements.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(List { elements, length })
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<List<T>, A::Error> {
        Err(A::Error::custom(MAP_START))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<List<T>, E> {
        Err(E::custom("Expected list or null"))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<List<T>, E> {
        Err(E::custom("Expected list or null"))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<List<T>, E> {
        Err(E::custom("Expected list or null"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<List<T>, E> {
        Err(E::custom("Expected list or null"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<List<T>, E> {
        Err(E::custom("Expected list or null"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<List<T>, E> {
        Err(E::custom("Expected list or null"))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// What a scalar says where a structure belongs.
pub(crate) const SCALAR_FOR_STRUCTURE: &str = "Expected null";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message<'a, T: Deserialize<'a> + fmt::Debug>(json: &'a str) -> String {
        let error = serde_json::from_str::<T>(json).unwrap_err().to_string();
        error.split(" at line").next().unwrap().to_owned()
    }

    #[test]
    fn other_types_are_refused_in_the_words_of_the_service() {
        let boolean = "class java.lang.Boolean can not be converted to";
        let string = "class java.lang.String can not be converted to";
        let number = format!("class {NUMBER} can not be converted to");
        assert_eq!(message::<Text<'_>>("true"), format!("{boolean} an String"));
        assert_eq!(message::<Text<'_>>("23"), format!("{number} an String"));
        assert_eq!(message::<Text<'_>>("[]"), "Start of list found where not expected");
        assert_eq!(
            message::<Text<'_>>("{}"),
            "Start of structure or map found where not expected."
        );
        assert_eq!(message::<Integer>("\"1\""), format!("{string} an Integer"));
        assert_eq!(message::<Integer>("true"), format!("{boolean} an Integer"));
        assert_eq!(
            message::<Boolean>("\"no idea\""),
            "'NO IDEA' can not be converted to an Boolean"
        );
        assert_eq!(message::<Boolean>("1"), format!("{number} an Boolean"));
        assert_eq!(message::<Moment>("\"a\""), format!("{string} milliseconds since epoch"));
        assert_eq!(message::<Blob<'_>>("false"), format!("{boolean} a Blob"));
        assert_eq!(message::<Blob<'_>>("1.5"), format!("{number} a Blob"));
        assert_eq!(message::<List<Text<'_>>>("1"), "Expected list or null");
        assert_eq!(message::<List<Text<'_>>>("{}"), MAP_START);
    }

    #[test]
    fn blobs_that_are_not_base64_say_why() {
        for (text, fault) in [
            ("23456", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
            ("=+/=", "Invalid Base64 character: '='"),
            ("+/+=", "Invalid last non-pad Base64 character dectected"),
            ("+/==", "Invalid last non-pad Base64 character dectected"),
            ("AA\u{e9}A", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
            ("A\u{e9}A", "Invalid Base64 character: '\u{e9}'"),
            ("====", "Invalid Base64 character: '='"),
        ] {
            let json = serde_json::to_string(text).unwrap();
            let expected = format!("'{text}' can not be converted to a Blob: {fault}");
            assert_eq!(message::<Blob<'_>>(&json), expected);
        }
    }

    #[test]
    fn numbers_are_floored_and_clamped() {
        let integer = |json| serde_json::from_str::<Integer>(json).unwrap().0;
        assert_eq!(integer("1.9"), 1);
        assert_eq!(integer("-1.1"), -2);
        assert_eq!(integer("99999999999999999999999"), i32::MAX);
        assert_eq!(integer("4294967296"), i32::MAX);
        let moment = |json| serde_json::from_str::<Moment>(json).unwrap().0.millis();
        assert_eq!(moment("1545084650.987"), 1_545_084_650_987);
        assert_eq!(moment("1.441215410867E9"), 1_441_215_410_867);
        assert_eq!(moment("-5"), 0);
        for (json, value) in [("true", true), ("\"Yes\"", true), ("\"0\"", false), ("0.5", true)] {
            assert_eq!(serde_json::from_str::<Boolean>(json).unwrap().0, value, "{json}");
        }
    }

    #[test]
    fn long_lists_are_counted_and_not_kept() {
        let json = format!("[{}1]", "1,".repeat(5000));
        let list: List<Integer> = serde_json::from_str(&json).unwrap();
        assert_eq!((list.elements.len(), list.length), (LIST_KEPT_MAX, 5001));
    }

    proptest! {
        #[test]
        fn blobs_decode_to_what_was_encoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let json = format!("\"{}\"", base64_simd::STANDARD.encode_to_string(&bytes));
            let blob: Blob<'_> = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(blob.decoded_length(), bytes.len());
            let mut out = Vec::new();
            blob.decode_into(&mut out);
            prop_assert_eq!(out, bytes);
        }
    }
}
