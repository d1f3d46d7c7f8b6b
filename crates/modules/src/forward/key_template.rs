//! Partition keys made of fields: `{host}`, or `{user.id}/{/tags/0}`, or with text between.

use std::fmt;

use baikonur_record::{FieldPath, FieldPathError, field_texts};
use baikonur_stream::{HashKey, PartitionKey};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// A template of partition keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    text: String,
    /// Before each field what stands before it.
    before: Vec<String>,
    fields: Vec<FieldPath>,
    /// Behind the last field.
    end: String,
}

/// A text that is no template of partition keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyTemplateError {
    /// All records would get the same key, and with it the same shard.
    #[error("partition_key is {0:?}: it needs a field in braces, such as \"{{host}}\"")]
    NoField(String),
    /// A brace without its other one.
    #[error("partition_key is {0:?}: each {{ needs its }}")]
    Brace(String),
    /// What stands in braces is no field.
    #[error("partition_key is {text:?}: {error}")]
    Field {
        /// The template.
        text: String,
        /// What is wrong with the field.
        error: FieldPathError,
    },
}

impl KeyTemplate {
    /// Reads a template: fields in braces, each a key, a dotted path or a JSON pointer.
    ///
    /// # Errors
    /// No field, a brace that is alone, or something in braces that is no field.
    pub fn parse(text: &str) -> Result<Self, KeyTemplateError> {
        let brace = || KeyTemplateError::Brace(text.to_owned());
        let (mut before, mut fields, mut rest) = (Vec::new(), Vec::new(), text);
        while let Some((literal, behind)) = rest.split_once('{') {
            let (field, behind) = behind.split_once('}').ok_or_else(brace)?;
            if literal.contains('}') || field.contains('{') {
                return Err(brace());
            }
            let field = FieldPath::parse(field)
                .map_err(|error| KeyTemplateError::Field { text: text.to_owned(), error })?;
            before.push(literal.to_owned());
            fields.push(field);
            rest = behind;
        }
        if rest.contains('}') {
            return Err(brace());
        }
        if fields.is_empty() {
            return Err(KeyTemplateError::NoField(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), before, fields, end: rest.to_owned() })
    }

    /// The key of an event; none when it lacks one of the fields, or has nothing in all of them. A key that is too long
    /// for Kinesis is its hash instead, so that equal keys stay equal.
    pub(super) fn key(&self, json: &Bytes) -> Option<PartitionKey> {
        let mut key = Vec::new();
        let mut is_empty = true;
        for (before, text) in self.before.iter().zip(field_texts(json, &self.fields)) {
            let text = text?;
            is_empty &= text.is_empty();
            key.extend_from_slice(before.as_bytes());
            key.extend_from_slice(&text);
        }
        if is_empty {
            return None;
        }
        key.extend_from_slice(self.end.as_bytes());
        let key = Bytes::from(key);
        let hash = || HashKey::of_partition_key(&key).to_string().into();
        PartitionKey::new(key.clone()).or_else(|_| PartitionKey::new(hash())).ok()
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for KeyTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(template: &str, json: &str) -> Option<String> {
        let json = Bytes::copy_from_slice(json.as_bytes());
        Some(KeyTemplate::parse(template).unwrap().key(&json)?.as_str().to_owned())
    }

    #[test]
    fn keys_are_made_of_fields_and_text() {
        let json = r#"{"host":"web-1","user":{"id":42},"tags":["a"],"empty":"","on":true}"#;
        for (template, expected) in [
            ("{host}", Some("web-1")),
            ("{user.id}", Some("42")),
            ("{/tags/0}", Some("a")),
            ("h={host}, u={user.id};", Some("h=web-1, u=42;")),
            ("{host}{empty}", Some("web-1")),
            ("x{empty}", None),
            ("{host}{missing}", None),
            ("{on}", None),
        ] {
            assert_eq!(key(template, json).as_deref(), expected, "{template}");
        }
        assert_eq!(key("{host}", "no json"), None);
    }

    #[test]
    fn a_key_that_is_too_long_is_its_hash() {
        let json = |length| format!(r#"{{"host":"{}"}}"#, "ü".repeat(length));
        assert_eq!(key("{host}", &json(256)).unwrap().chars().count(), 256);
        let hashed = key("{host}", &json(257)).unwrap();
        assert_eq!(hashed, HashKey::of_partition_key("ü".repeat(257).as_bytes()).to_string());
        assert_ne!(key("{host}", &json(258)).unwrap(), hashed);
    }

    #[test]
    fn mistakes_are_told() {
        for (template, told) in [
            ("", "needs a field in braces, such as \"{host}\""),
            ("host", "needs a field"),
            ("{host", "each { needs its }"),
            ("host}", "each { needs its }"),
            ("{a}}", "each { needs its }"),
            ("}{a}", "each { needs its }"),
            ("{{a}", "each { needs its }"),
            ("{}", "must not be empty"),
            ("{a..b}", "empty part"),
        ] {
            let error = KeyTemplate::parse(template).unwrap_err().to_string();
            assert!(error.contains(told) && error.starts_with("partition_key is"), "{error}");
        }
        assert_eq!(KeyTemplate::parse("a{b}c").unwrap().to_string(), "a{b}c");
    }
}
