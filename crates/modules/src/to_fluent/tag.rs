//! Tags: a template of what is known about an event. Foreign text in it is encoded.

use std::borrow::Cow;

use baikonur_record::scan::unescape;
use baikonur_record::{FieldPath, FieldPathError, LogEvent, key_segment};
use baikonur_stream::ShardAddress;

/// Stands for a field that an event has not, or that is an object, a list or null. No encoded text
/// is spelled like it: `%` is always followed by two hexadecimal digits there.
const MISSING: &str = "%missing";

/// How the tags of events are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagTemplate {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    LogType,
    Stream,
    Shard,
    Field(FieldPath),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagTemplateError {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Brackets that do not belong together.
    #[error("has a {{ without its }}, or the other way round")]
    Unbalanced,
    /// A name that stands for nothing.
    #[error("has {{{0}}}, which is none of {{log_type}}, {{stream}}, {{shard}}, {{field:NAME}}")]
    Unknown(String),
    /// A field that cannot be looked for.
    #[error("has a field that cannot be looked for: {0}")]
    Field(#[from] FieldPathError),
    /// Something that no receiver could match.
    #[error("has white space, which no tag may have")]
    Space,
}

impl TagTemplate {
    /// Reads `{log_type}.{field:meta.app}.x`.
    ///
    /// # Errors
    /// What is no template.
    pub fn parse(text: &str) -> Result<Self, TagTemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(place) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(place);
            let inner = from.strip_prefix('{').ok_or(TagTemplateError::Unbalanced)?;
            let (name, after) = inner.split_once('}').ok_or(TagTemplateError::Unbalanced)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name {
                "log_type" => Part::LogType,
                "stream" => Part::Stream,
                "shard" => Part::Shard,
                _ => match name.strip_prefix("field:") {
                    Some(path) => Part::Field(FieldPath::parse(path)?),
                    None => return Err(TagTemplateError::Unknown(name.to_owned())),
                },
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let illegal = |symbol: char| symbol.is_whitespace() || symbol.is_control();
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(illegal))) {
            return Err(TagTemplateError::Space);
        }
        if parts.is_empty() {
            return Err(TagTemplateError::Empty);
        }
        Ok(Self { parts })
    }

    /// The originals' `{log_type}.{fluent_tag}`.
    pub fn ending_in(fluent_tag: &str) -> Self {
        Self { parts: vec![Part::LogType, Part::Text(format!(".{fluent_tag}"))] }
    }

    /// Whether events of different log types have different tags.
    pub(super) fn asks_log_type(&self) -> bool {
        self.parts.contains(&Part::LogType)
    }

    /// Whether events of one log type may have different tags.
    pub(super) fn asks_fields(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Field(_)))
    }

    /// The tag of an event from `shard`.
    pub fn tag(&self, shard: &ShardAddress, event: &LogEvent) -> String {
        let mut tag = String::new();
        self.append(shard, event, &mut tag);
        tag
    }

    /// Writes the tag behind what `tag` holds.
    pub(super) fn append(&self, shard: &ShardAddress, event: &LogEvent, tag: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => tag.push_str(text),
                Part::LogType => tag.push_str(&event.log_type.tag_segment()),
                Part::Stream => tag.push_str(&key_segment(shard.stream.as_str())),
                Part::Shard => tag.push_str(&shard.shard.to_string()),
                Part::Field(path) => match field(path, &event.json) {
                    Some(value) => tag.push_str(&key_segment(&value)),
                    None => tag.push_str(MISSING),
                },
            }
        }
    }
}

/// The text, number or truth value of a field.
fn field<'t>(path: &FieldPath, json: &'t [u8]) -> Option<Cow<'t, str>> {
    let value = &json[path.find(json)?];
    match value {
        [b'"', raw @ .., b'"'] => Some(match unescape(raw) {
            Cow::Borrowed(text) => String::from_utf8_lossy(text),
            Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
        }),
        [b'{' | b'[' | b'n', ..] => None,
        _ => Some(String::from_utf8_lossy(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::{event, shard};

    fn tag(template: &str, text: &str) -> String {
        TagTemplate::parse(template).unwrap().tag(&shard(), &event(text))
    }

    const EVENT: &str = r#"{"log_type":"a/b","time":0,"app":"x y","meta":{"n":1.5,"ok":true,"none":null},"empty":"","s":"%missing"}"#;

    #[test]
    fn a_template_is_filled_with_what_is_known() {
        for (template, expected) in [
            ("logs", "logs"),
            ("{log_type}.lambda", "a%2Fb.lambda"),
            ("{stream}.{shard}", "logs.shardId-000000000003"),
            ("v1.{field:app}.{field:meta.n}.{field:/meta/ok}", "v1.x%20y.1.5.true"),
            ("{field:nope}.{field:meta}.{field:meta.none}", "%missing.%missing.%missing"),
            ("{field:empty}.{field:s}", "%empty.%25missing"),
        ] {
            assert_eq!(tag(template, EVENT), expected, "{template}");
        }
        let ending = TagTemplate::ending_in("{x}").tag(&shard(), &event(EVENT));
        assert_eq!(ending, "a%2Fb.{x}");
    }

    #[test]
    fn foreign_text_cannot_leave_its_place() {
        let event = r#"{"log_type":"a","time":0,"app":"\u0000\n../é*"}"#;
        assert_eq!(tag("x.{field:app}", event), "x.%00%0A..%2F%C3%A9%2A");
        let long = format!(r#"{{"log_type":"a","time":0,"app":"{}"}}"#, "é".repeat(10_000));
        assert!(tag("{field:app}", &long).len() <= 255);
    }

    #[test]
    fn broken_templates_are_refused() {
        for template in
            ["", "{log_type", "a}", "{}", "{logtype}", "{field:}", "{field:a..b}", "a b"]
        {
            assert!(TagTemplate::parse(template).is_err(), "{template}");
        }
        let error = TagTemplate::parse("{app}").unwrap_err().to_string();
        assert!(error.contains("{app}") && error.contains("{field:NAME}"), "{error}");
    }
}
