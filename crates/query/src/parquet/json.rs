//! JSON text, written.

use rusqlite::types::ValueRef;

/// How a column's values are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As their type in SQLite is.
    Plain,
    /// 1 and 0 are true and false.
    Boolean,
    /// A text that is JSON already.
    Json,
}

impl Shape {
    /// Appends a value.
    pub(super) fn write(self, value: ValueRef<'_>, text: &mut Vec<u8>) {
        match (value, self) {
            (ValueRef::Null, _) => text.extend(b"null"),
            (ValueRef::Integer(number), Self::Boolean) => boolean(number != 0, text),
            (ValueRef::Integer(number), _) => text.extend(number.to_string().bytes()),
            (ValueRef::Real(number), _) => real(number, text),
            (ValueRef::Text(json), Self::Json) => text.extend(json),
            (ValueRef::Text(content), _) => string(content, text),
            (ValueRef::Blob(bytes), _) => hexadecimal(bytes, text),
        }
    }
}

pub(super) fn boolean(value: bool, text: &mut Vec<u8>) {
    text.extend(if value { &b"true"[..] } else { b"false" });
}

/// JSON has no infinity and no NaN.
pub(super) fn real(number: f64, text: &mut Vec<u8>) {
    match number.is_finite() {
        true => text.extend(format!("{number:?}").bytes()),
        false => text.extend(b"null"),
    }
}

/// UTF-8 between quotes.
pub(super) fn string(content: &[u8], text: &mut Vec<u8>) {
    text.push(b'"');
    for &byte in content {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            0..0x20 => text.extend(format!("\\u{byte:04x}").bytes()),
            byte => text.push(byte),
        }
    }
    text.push(b'"');
}

/// Bytes that are no text.
pub(super) fn hexadecimal(bytes: &[u8], text: &mut Vec<u8>) {
    text.push(b'"');
    bytes.iter().for_each(|byte| text.extend(format!("{byte:02x}").bytes()));
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(content: String, number in -1e300f64..1e300) {
            let mut text = Vec::new();
            string(content.as_bytes(), &mut text);
            prop_assert_eq!(serde_json::from_slice::<String>(&text).unwrap(), content);
            text.clear();
            real(number, &mut text);
            prop_assert!(serde_json::from_slice::<f64>(&text).is_ok());
            // As exact as serde_json reads it only with a feature of its own.
            prop_assert_eq!(std::str::from_utf8(&text).unwrap().parse(), Ok(number));
        }
    }

    #[test]
    fn shapes_decide() {
        let written = |shape: Shape, value: ValueRef<'_>| {
            let mut text = Vec::new();
            shape.write(value, &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(written(Shape::Boolean, ValueRef::Integer(1)), "true");
        assert_eq!(written(Shape::Plain, ValueRef::Integer(1)), "1");
        assert_eq!(written(Shape::Json, ValueRef::Text(b"[1]")), "[1]");
        assert_eq!(written(Shape::Plain, ValueRef::Text(b"[1]")), "\"[1]\"");
        assert_eq!(written(Shape::Plain, ValueRef::Blob(b"\xff\x00")), "\"ff00\"");
        assert_eq!(written(Shape::Plain, ValueRef::Real(f64::INFINITY)), "null");
    }
}
