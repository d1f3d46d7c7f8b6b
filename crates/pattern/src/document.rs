//! The JSON text of a pattern as a tree. Data never becomes one: it is foreign, and there is more of it.

use std::fmt;

use baikonur_record::scan::{self, Cursor, Fault};

use crate::limits::PATH_NAMES_MAX;

/// A value of JSON; numbers as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// In the order of their first places; of equal keys the last value.
    Object(Vec<(String, Value)>),
    Array(Vec<Value>),
    Text(String),
    Number(String),
    True,
    False,
    Null,
}

impl Value {
    /// Reads a whole text.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        let root = scan::root(text.as_bytes(), |cursor, _| cursor.value().map(drop))?;
        value(&mut Cursor::within(text.as_bytes(), root.span), 0)
    }
}

impl fmt::Display for Value {
    /// As the messages of the original show a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object(_) => "{",
            Self::Array(_) => "[",
            Self::Text(text) | Self::Number(text) => text,
            Self::True => "true",
            Self::False => "false",
            Self::Null => "null",
        })
    }
}

fn value(cursor: &mut Cursor<'_>, depth: usize) -> Result<Value, Fault> {
    // Values stand a little deeper than the field that they are of.
    if depth > PATH_NAMES_MAX + 8 {
        return Err(Fault { at: cursor.position(), what: "less nesting" });
    }
    match cursor.peek() {
        Some(b'{') => {
            let mut members: Vec<(String, Value)> = Vec::new();
            cursor.object(|cursor, key| {
                let key = text(&key.text());
                let value = value(cursor, depth + 1)?;
                match members.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, before)) => *before = value,
                    None => members.push((key, value)),
                }
                Ok(())
            })?;
            Ok(Value::Object(members))
        }
        Some(b'[') => {
            let mut elements = Vec::new();
            cursor.array(|cursor| {
                elements.push(value(cursor, depth + 1)?);
                Ok(())
            })?;
            Ok(Value::Array(elements))
        }
        _ => {
            let span = cursor.value()?;
            Ok(match &cursor.text()[span] {
                [b'"', content @ .., b'"'] => Value::Text(text(&scan::unescape(content))),
                b"true" => Value::True,
                b"false" => Value::False,
                b"null" => Value::Null,
                number => Value::Number(text(number)),
            })
        }
    }
}

fn text(bytes: &[u8]) -> String {
    // Parts of a `str` between quotes, so this replaces nothing.
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_a_tree() {
        let text = |text: &str| Value::Text(text.to_owned());
        let number = |text: &str| Value::Number(text.to_owned());
        assert_eq!(
            Value::read(r#" {"a":[1.50,"\u00e9\n",true,false,null],"b":{},"a":[]} "#).unwrap(),
            Value::Object(vec![
                ("a".to_owned(), Value::Array(vec![])),
                ("b".to_owned(), Value::Object(vec![])),
            ])
        );
        assert_eq!(
            Value::read(r#"[1.50,"\u00e9\n",true,[]]"#).unwrap(),
            Value::Array(vec![number("1.50"), text("é\n"), Value::True, Value::Array(vec![])])
        );
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_refused() {
        for text in ["", "{", "{}x", "{'a':1}"] {
            assert!(Value::read(text).is_err(), "{text}");
        }
        let deep = "[".repeat(500) + &"]".repeat(500);
        assert_eq!(Value::read(&deep).unwrap_err().what, "less nesting");
    }
}
