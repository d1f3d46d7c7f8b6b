//! What is JSON and what is not, beside serde_json where they must agree.

use proptest::prelude::*;
use serde_json::Value;

use super::{Cursor, DEPTH_MAX, Fault, Root, root};

fn validate(text: &[u8]) -> Option<Root> {
    root(text, |cursor, _| cursor.value().map(drop)).ok()
}

fn is_valid_for_serde(text: &[u8]) -> bool {
    // `IgnoredAny` would let surrogates without partners pass, a `Value` refuses them; the former is RFC 8259.
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
        && std::str::from_utf8(text).is_ok()
}

/// The members of the root object as last found, keys and values as they are written.
fn members(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    root(text.as_bytes(), |cursor, key| {
        let value = cursor.value()?;
        let key = String::from_utf8(super::unescape(key.raw()).into_owned()).unwrap();
        found.push((key, text[value].to_owned()));
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn json_texts_are_valid() {
    for text in [
        "{}",
        " {\t}\r\n",
        "[]",
        "[[],{}]",
        "null",
        "\"\"",
        "-0.5e-7",
        r#"{"a":{"b":[1,2,{"c":null}]},"d":true,"e":false}"#,
        "{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }",
        r#"{"":"\ud800"}"#,
    ] {
        assert!(validate(text.as_bytes()).is_some(), "{text}");
    }
}

#[test]
fn what_is_no_json_text_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "{}}",
        "{} {}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1]",
        "[1}",
        "01",
        "+1",
        ".5",
        "1.",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "nulll",
        "True",
        "\"\u{1}\"",
        "\"\n\"",
        "\"a",
        "\u{feff}{}",
        "{\"a\":1}\0",
        "[\u{a0}1]",
        "/**/{}",
        "\"\\x41\"",
        "\"\\u12\"",
        "\u{b}{}",
    ] {
        assert!(validate(text.as_bytes()).is_none(), "{text:?}");
    }
}

#[test]
fn nesting_is_bounded_without_recursion() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(validate(nested(DEPTH_MAX).as_bytes()).is_some());
    assert!(validate(nested(DEPTH_MAX + 1).as_bytes()).is_none());
    assert!(validate("[".repeat(1 << 20).as_bytes()).is_none());
    let mixed = format!("{}1{}", "{\"a\":[".repeat(200), "]}".repeat(200));
    assert!(validate(mixed.as_bytes()).is_some());
}

/// The elements that no array holds but the outermost, as they are written.
fn flattened(text: &str) -> Result<Vec<&str>, Fault> {
    let mut found = Vec::new();
    let mut cursor = Cursor::within(text.as_bytes(), 0..text.len());
    cursor.flattened(|cursor| {
        found.push(&text[cursor.value()?]);
        Ok(())
    })?;
    assert_eq!(cursor.position(), text.len(), "{text}");
    Ok(found)
}

#[test]
fn nested_arrays_are_passed_as_one() {
    for (text, elements) in [
        ("[]", &[][..]),
        ("[ [ ] , [[]] ]", &[]),
        ("[1]", &["1"]),
        ("[[1,[2,{\"a\":[3]}],[]],\n[ [4] ] , 5]", &["1", "2", "{\"a\":[3]}", "4", "5"]),
    ] {
        assert_eq!(flattened(text).unwrap(), elements, "{text}");
    }
    for text in ["", "1", "{}", "[", "[[]", "[1", "[1,]", "[,1]", "[1 2]", "[[],]", "[1}", "[[1]}"]
    {
        assert!(flattened(text).is_err(), "{text}");
    }
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(flattened(&deep(DEPTH_MAX)).is_ok());
    assert!(flattened(&deep(DEPTH_MAX + 1)).is_err());
}

#[test]
fn line_ends_are_seen_between_tokens_only() {
    for (text, one_line) in [
        ("{\"a\": [1, 2]}", true),
        ("\n{\"a\":1}\r\n", true),
        ("{\n\"a\":1}", false),
        ("{\"a\":\r1}", false),
        ("{\"a\":[1,\n2]}", false),
        (r#"{"a":"\n"}"#, true),
    ] {
        let found = validate(text.as_bytes()).unwrap();
        assert_eq!(found.one_line, one_line, "{text:?}");
        assert_eq!(&text[found.span], text.trim());
    }
}

#[test]
fn a_fault_names_the_byte_that_cannot_belong() {
    for (text, at, what) in [
        ("{\"a\":1 \"b\"", 7, "`,` or `}`"),
        ("{\"a\" 1}", 5, "`:`"),
        ("[1;2]", 2, "`,` or `]`"),
        ("{} x", 3, "end of text"),
        ("", 0, "a value"),
        ("\u{feff}{}", 0, "a value"),
    ] {
        let fault = root(text.as_bytes(), |cursor, _| cursor.value().map(drop)).unwrap_err();
        assert_eq!((fault.at, fault.what), (at, what), "{text:?}");
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..8)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn it_agrees_with_serde_on_what_serde_writes(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let found = validate(text.as_bytes()).unwrap();
        prop_assert_eq!(found.span, 0..text.len());
        prop_assert_eq!(found.one_line, !text.contains('\n'));
        // Not `value`: serde_json does not read every number back to the last bit.
        if let Value::Object(object) = serde_json::from_str(&text).unwrap() {
            let members = members(&text);
            prop_assert_eq!(members.len(), object.len());
            for (key, span) in members {
                prop_assert_eq!(serde_json::from_str::<Value>(&span).unwrap(), object[&key].clone());
            }
        }
    }

    #[test]
    fn it_agrees_with_serde_on_what_is_broken(
        value in json(), changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4, any::<u8>()), 1..4)
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        for (index, kind, byte) in changes {
            if text.is_empty() {
                break;
            }
            let at = index.index(text.len());
            let token = b"\"\\{}[],:0-.eE \nntf"[usize::from(byte) % 18];
            match kind {
                0 => text[at] = byte,
                1 => text[at] = token,
                2 => text.insert(at, token),
                _ => drop(text.remove(at)),
            }
        }
        let valid = validate(&text).is_some() && std::str::from_utf8(&text).is_ok();
        prop_assert_eq!(valid, is_valid_for_serde(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn it_agrees_with_serde_on_texts_of_tokens(
        tokens in prop::collection::vec(
            prop::sample::select(vec!["{", "}", "[", "]", ",", ":", "\"a\"", "\"\\u00e9\"", "1", "-", "0.5", "1e9", "null", " ", "\n", "true"]),
            0..12,
        )
    ) {
        let text = tokens.concat();
        prop_assert_eq!(validate(text.as_bytes()).is_some(), is_valid_for_serde(text.as_bytes()), "{}", text);
    }

    #[test]
    fn nothing_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let valid = validate(&text).is_some() && std::str::from_utf8(&text).is_ok();
        prop_assert_eq!(valid, is_valid_for_serde(&text));
    }

    #[test]
    fn strings_unescape_as_in_serde(text in any::<String>(), ascii in any::<bool>()) {
        let mut written = serde_json::to_string(&text).unwrap();
        if ascii {
            written = written.chars().fold(String::new(), |mut all, symbol| {
                let mut units = [0; 2];
                match symbol.is_ascii() {
                    true => all.push(symbol),
                    false => all.extend(symbol.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"))),
                }
                all
            });
        }
        let content = &written.as_bytes()[1..written.len() - 1];
        prop_assert_eq!(&*super::unescape(content), text.as_bytes());
    }
}
