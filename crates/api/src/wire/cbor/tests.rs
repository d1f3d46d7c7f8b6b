//! Reading CBOR: what an independent crate writes, what only Java writes, and what nobody should.

use std::borrow::Cow;

use ciborium::Value;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;
use crate::limits::CBOR_DEPTH_MAX;
use crate::wire::members::{Blob, Boolean, Integer, List, Moment, Text};
use crate::wire::output::Encoder;
use crate::wire::structure::structure;

structure! {
    struct Inner<'a> {
        word: Text<'a> = "Word" [],
    }
}

structure! {
    struct Request<'a> {
        text: Text<'a> = "Text" [],
        blob: Blob<'a> = "Blob" [],
        moment: Moment = "Moment" [],
        integer: Integer = "Integer" [],
        boolean: Boolean = "Boolean" [],
        list: List<Inner<'a>> = "List" [],
    }
}

/// A map of one member, from the bytes of its value.
fn member(name: &str, value: &[u8]) -> Vec<u8> {
    let head = [0xa1, 0x60 | name.len() as u8];
    [&head[..], name.as_bytes(), value].concat()
}

fn message(name: &str, value: &[u8]) -> String {
    let body = member(name, value);
    parse::<Request<'_>>(&body).unwrap_err().message.expect("well-formed CBOR")
}

#[test]
fn blobs_and_texts_are_borrowed_where_they_are_in_one_piece() {
    let body = b"\xbf\x64Blob\x42hi\x64Text\x62yo\xff";
    let request: Request<'_> = parse(body).unwrap();
    assert!(matches!(&request.blob, Some(Blob::Raw(Cow::Borrowed(b"hi")))));
    assert!(matches!(&request.text, Some(Text(Cow::Borrowed("yo")))));
    let body = b"\xa2\x64Blob\x5f\x41h\x40\x41i\xff\x64Text\x7f\x61\xc3\x61\xa9\xff";
    let request: Request<'_> = parse(body).unwrap();
    assert_eq!(request.blob, Some(Blob::Raw(Cow::Borrowed(b"hi"))));
    assert_eq!(request.text.unwrap().as_str(), "\u{e9}");
}

#[test]
fn moments_are_milliseconds_tagged_or_not_and_of_every_kind_of_number() {
    let millis = 1_545_084_650_987u64;
    let integer = [&[0x1b][..], &millis.to_be_bytes()].concat();
    let float = [&[0xfb][..], &(millis as f64).to_be_bytes()].concat();
    for (value, expected) in [
        (integer.clone(), millis),
        ([&[0xc1][..], &integer].concat(), millis),
        (float.clone(), millis),
        ([&[0xc1][..], &float].concat(), millis),
        (vec![0xc1, 0x38, 5], 0),
        (vec![0xf9, 0x4a, 0x40], 13),
        (vec![0xfa, 0x42, 0x28, 0, 0], 42),
    ] {
        let body = member("Moment", &value);
        let request: Request<'_> = parse(&body).unwrap();
        assert_eq!(request.moment.unwrap().0.millis(), expected, "{value:x?}");
    }
}

#[test]
fn other_types_are_refused_in_the_words_of_the_service() {
    let boolean = "class java.lang.Boolean can not be converted to";
    let string = "class java.lang.String can not be converted to";
    let number =
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";
    let start = "Start of structure or map found where not expected.";
    for (name, value, expected) in [
        ("Text", &b"\xf5"[..], format!("{boolean} an String")),
        ("Text", b"\x17", format!("{number} an String")),
        (
            "Text",
            b"\x41a",
            "class java.nio.HeapByteBuffer can not be converted to an String".into(),
        ),
        ("Text", b"\x80", "Start of list found where not expected".into()),
        ("Text", b"\xa0", start.into()),
        ("Integer", b"\x61a", format!("{string} an Integer")),
        ("Boolean", b"\x01", format!("{number} an Boolean")),
        ("Moment", b"\xc1\x61a", format!("{string} milliseconds since epoch")),
        ("Blob", b"\xf4", format!("{boolean} a Blob")),
        ("List", b"\x41a", "Expected list or null".into()),
        ("List", b"\xa0", start.into()),
        ("List", b"\x81\x41a", "Expected null".into()),
    ] {
        assert_eq!(message(name, value), expected, "{name} {value:x?}");
    }
}

#[test]
fn unknown_and_null_members_are_ignored_and_the_last_of_a_name_counts() {
    let body =
        b"\xbf\x61X\x9f\xa1\x01\xd9\xd9\xf7\x80\xf8\xff\xe0\xff\x67Integer\x01\x67Integer\x02\
        \x64Text\xf6\x64Blob\xf7\x64List\x82\xf6\xa1\x64Word\x61a\xff";
    let request: Request<'_> = parse(body).unwrap();
    assert_eq!(request.integer, Some(Integer(2)));
    assert!(request.text.is_none() && request.blob.is_none());
    let list = request.list.unwrap();
    assert!(list.elements[0].word.is_none());
    assert_eq!(list.elements[1].word.as_ref().unwrap().as_str(), "a");
}

#[test]
fn numbers_that_do_not_fit_become_the_nearest_that_do() {
    for (value, expected) in [
        (&b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff"[..], i32::MAX),
        (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", i32::MIN),
        (b"\x3a\x7f\xff\xff\xff", i32::MIN),
        (b"\x20", -1),
        (b"\xf9\xbc\x01", -2),
    ] {
        let body = member("Integer", value);
        let request: Request<'_> = parse(&body).unwrap();
        assert_eq!(request.integer, Some(Integer(expected)), "{value:x?}");
    }
}

#[test]
fn what_is_no_map_is_refused_without_a_message() {
    let bare = ApiError::bare(ErrorCode::Serialization);
    for body in [
        &b""[..],
        b"{}",
        b"\x80",
        b"\xf6",
        b"\xa0\xa0",
        b"\xbf",
        b"\xff",
        b"\xa1\x61X",
        b"\xa1\x61X\x1c",
        b"\xa1\x61X\x61\xff",
        b"\xa1\x61X\x5f\x61a\xff",
        b"\xa1\x61X\x5f\x5f\xff\xff",
        b"\xa1\x64Text\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x64List\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbf\x61X\xff",
        b"\xa1\x64Text\xf8\x20",
    ] {
        assert_eq!(parse::<Request<'_>>(body).unwrap_err(), bare, "{body:x?}");
    }
}

#[test]
fn nesting_has_a_bound_whether_it_is_read_or_passed_over() {
    // The map and the arrays in it.
    let nested = |levels: usize| {
        let arrays = vec![0x81; levels - 1];
        member("X", &[&arrays[..], &[0x01]].concat())
    };
    let (fits, too_deep) = (nested(CBOR_DEPTH_MAX), nested(CBOR_DEPTH_MAX + 1));
    assert!(parse::<Request<'_>>(&fits).is_ok() && parse::<Value>(&fits).is_ok());
    assert!(parse::<Request<'_>>(&too_deep).is_err() && parse::<Value>(&too_deep).is_err());
    let tags = vec![0xc1; 1 << 20];
    assert!(parse::<Request<'_>>(&member("X", &[&tags[..], &[0x01]].concat())).is_ok());
    let open = member("X", &vec![0x9f; 1 << 20]);
    assert!(parse::<Request<'_>>(&open).is_err());
}

#[test]
fn long_texts_have_long_lengths() {
    let mut to = CborEncoder::with_capacity(0);
    for length in [23, 255, 256, 70_000] {
        to.text(&"x".repeat(length));
    }
    let bytes = to.into_bytes();
    let mut rest = &bytes[..];
    for length in [23, 255, 256, 70_000] {
        let text: String = ciborium::from_reader(&mut rest).unwrap();
        assert_eq!(text.len(), length);
    }
    assert!(rest.is_empty());
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|number| Value::Integer(number.into())),
        any::<u64>().prop_map(|number| Value::Integer(number.into())),
        (-1000i32..1000).prop_map(|number| Value::Integer(number.into())),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        "\\PC{0,30}".prop_map(Value::Text),
        any::<f64>().prop_filter("equal to itself", |n| !n.is_nan()).prop_map(Value::Float),
        (-1000i16..1000).prop_map(|number| Value::Float(f64::from(number) / 8.0)),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((leaf(), inner), 0..6).prop_map(Value::Map),
        ]
    })
}

fn map() -> impl Strategy<Value = Value> {
    prop::collection::vec((leaf(), tree()), 0..6).prop_map(Value::Map)
}

/// Another way to write the same: open lengths, pieces, and tags in front of everything.
fn write_openly(value: &Value, out: &mut Vec<u8>) {
    out.push(0xc1);
    match value {
        Value::Array(elements) => {
            out.push(0x9f);
            elements.iter().for_each(|element| write_openly(element, out));
            out.push(0xff);
        }
        Value::Map(pairs) => {
            out.push(0xbf);
            for (key, value) in pairs {
                write_openly(key, out);
                write_openly(value, out);
            }
            out.push(0xff);
        }
        Value::Bytes(bytes) => {
            out.push(0x5f);
            for piece in bytes.chunks(7) {
                out.push(0x40 | piece.len() as u8);
                out.extend_from_slice(piece);
            }
            out.push(0xff);
        }
        Value::Text(text) => {
            out.push(0x7f);
            for piece in text.as_bytes().chunks(200) {
                out.extend_from_slice(&[0x78, piece.len() as u8]);
                out.extend_from_slice(piece);
            }
            out.push(0xff);
        }
        scalar => ciborium::into_writer(scalar, out).unwrap(),
    }
}

fn written(value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    ciborium::into_writer(value, &mut body).unwrap();
    body
}

proptest! {
    #[test]
    fn all_that_another_crate_writes_is_read_as_it_was(value in map()) {
        let body = written(&value);
        prop_assert!(parse::<IgnoredAny>(&body).is_ok());
        prop_assert_eq!(parse::<Value>(&body).unwrap(), value);
    }

    #[test]
    fn the_same_is_read_however_it_is_written(value in map()) {
        let mut body = Vec::new();
        write_openly(&value, &mut body);
        prop_assert!(parse::<IgnoredAny>(&body).is_ok());
        prop_assert_eq!(parse::<Value>(&body).unwrap(), value);
    }

    #[test]
    fn damaged_bodies_are_read_or_refused(value in map(), at: prop::sample::Index, byte: u8) {
        let mut body = written(&value);
        let at = at.index(body.len());
        body[at] = byte;
        // What can be read can be passed over.
        if parse::<Value>(&body).is_ok() {
            prop_assert!(parse::<IgnoredAny>(&body).is_ok());
        }
        let _ = parse::<Request<'_>>(&body);
        body.truncate(at);
        prop_assert!(parse::<IgnoredAny>(&body).is_err());
    }

    #[test]
    fn numbers_and_texts_are_written_as_another_crate_reads_them(number: u64, text in "\\PC{0,300}") {
        let mut to = CborEncoder::with_capacity(0);
        to.start_list(2);
        to.integer(number);
        to.text(&text);
        let read: (u64, String) = ciborium::from_reader(&to.into_bytes()[..]).unwrap();
        prop_assert_eq!(read, (number, text));
    }
}
