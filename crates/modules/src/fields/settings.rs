//! `[modules.NAME.fields]`: what is read into fields, dropped, renamed, redacted and added.
//!
//! The table is read entry by entry, so that each mistake is told with the line of its entry; see `claims` for those that
//! lie between two entries.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::claims::{Claim, Claims};
use super::mask::{Pattern, Salt, With};
use super::path::Path;
use super::steps::{Step, lead_to};
use super::template::Template;
use super::tree;

/// What stands in place of something when nothing else is said.
const REDACTED: &str = "[redacted]";
/// Fields that may be added.
const ADDED_MAX: usize = 64;
/// What `parse` may name.
const READERS: [(&str, Reader); 3] =
    [("cloudwatch", Reader::CloudWatch), ("container", Reader::Container), ("json", Reader::Json)];

/// Something that is read into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    CloudWatch,
    Container,
    Json,
}

/// What a module makes of the fields of its events. Nothing by default: events stay as they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldsSettings {
    pub(super) parse: Vec<Reader>,
    pub(super) drop: Vec<Path>,
    pub(super) rename: Vec<(Path, String)>,
    pub(super) redact: Vec<Redact>,
    /// By name.
    pub(super) add: Vec<(String, Template)>,
    /// Whether what is added, and what gets another name, replaces a field of that name.
    pub(super) overwrite: bool,
}

/// Something that must not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redact {
    /// Where; everywhere without it.
    pub(super) key: Option<Path>,
    /// What; the whole value without it.
    pub(super) pattern: Option<Pattern>,
    pub(super) with: With,
}

impl FieldsSettings {
    /// Whether events stay as they came.
    pub fn is_empty(&self) -> bool {
        let Self { parse, drop, rename, redact, add, overwrite: _ } = self;
        parse.is_empty()
            && drop.is_empty()
            && rename.is_empty()
            && redact.is_empty()
            && add.is_empty()
    }

    /// What is done, in its order, in a line; none when events stay as they came.
    pub fn in_words(&self) -> Option<String> {
        let mut steps = Vec::new();
        let mut step = |verb: &str, names: Vec<String>| {
            if !names.is_empty() {
                steps.push(format!("{verb} {}", names.join(", ")));
            }
        };
        let known = READERS.iter().filter(|(_, reader)| self.parse.contains(reader));
        step("parse", known.map(|(name, _)| (*name).to_owned()).collect());
        step("drop", self.drop.iter().map(Path::to_string).collect());
        step("rename", self.rename.iter().map(|(from, to)| format!("{from} to {to}")).collect());
        step("redact", self.redact.iter().map(Redact::to_string).collect());
        step("add", self.add.iter().map(|(name, _)| name.clone()).collect());
        (!steps.is_empty()).then(|| steps.join("; "))
    }

    /// Whether some of what is written depends on the worker that writes it.
    pub fn names_the_host(&self) -> bool {
        self.add.iter().any(|(_, template)| template.names_the_host())
    }

    /// The redacted path that the field at the end of `steps` stands at or below, if any.
    pub(crate) fn redacts(&self, steps: &[Step]) -> Option<String> {
        let hides = |names: &Vec<String>| lead_to(steps, names);
        let mut keys = self.redact.iter().filter_map(|redact| redact.key.as_ref());
        let renamings = tree::renamings(&self.rename);
        let key =
            keys.find(|key| tree::spellings_before_renaming(key, &renamings).iter().any(hides))?;
        Some(key.to_string())
    }
}

impl fmt::Display for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.pattern) {
            (Some(key), None) => write!(f, "{key}"),
            (Some(key), Some(pattern)) => write!(f, "{} in {key}", pattern.as_str()),
            (None, Some(pattern)) => f.write_str(pattern.as_str()),
            (None, None) => Ok(()),
        }
    }
}

/// The keys of one entry of `redact`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RedactKeys {
    key: Option<String>,
    pattern: Option<String>,
    with: Option<String>,
    hash: Option<String>,
}

impl RedactKeys {
    fn read(self) -> Result<Redact, String> {
        let with = match (self.with, self.hash) {
            (Some(_), Some(_)) => return Err("with and hash are both there: one is enough".into()),
            (Some(with), None) => With::text(with)?,
            (None, Some(hash)) => With::Hash(Salt::new(hash)?),
            (None, None) => With::Text(REDACTED.to_owned()),
        };
        let key = self.key.map(|key| Path::parse(&key)).transpose();
        let key = key.map_err(|error| error.to_string())?;
        let pattern = self.pattern.map(|pattern| Pattern::parse(&pattern)).transpose()?;
        if key.is_none() && pattern.is_none() {
            return Err("an entry names a key, a pattern, or both".into());
        }
        Ok(Redact { key, pattern, with })
    }
}

/// The keys of the table.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Parse,
    Drop,
    Rename,
    Redact,
    Add,
    Overwrite,
}

/// The settings, and what their entries lay claim to.
#[derive(Default)]
struct Reading {
    settings: FieldsSettings,
    claims: Claims,
}

impl Reading {
    fn parse(&mut self, name: &str) -> Result<(), String> {
        let known = READERS.iter().find(|(known, _)| *known == name);
        let Some((_, reader)) = known else {
            let names = READERS.map(|(known, _)| known).join(", ");
            return Err(format!("{name:?} is none of {names}"));
        };
        if self.settings.parse.contains(reader) {
            return Err(format!("{name} is there twice"));
        }
        self.settings.parse.push(*reader);
        Ok(())
    }

    fn drop(&mut self, path: &str) -> Result<(), String> {
        let path = Path::parse(path).map_err(|error| error.to_string())?;
        self.claims.add(Claim::Drop(path.clone()))?;
        self.settings.drop.push(path);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: Scalar) -> Result<(), String> {
        let Scalar::Text(to) = to else { return Err("a field is renamed to a text".into()) };
        let from = Path::parse(from).map_err(|error| error.to_string())?;
        let name = single_name(&to).map_err(|what| {
            format!("{what}; a field is renamed where it stands, and gets a name, not a path")
        })?;
        self.claims.add(Claim::Rename(from.clone(), name.clone()))?;
        self.settings.rename.push((from, name));
        Ok(())
    }

    fn redact(&mut self, redact: Redact) -> Result<(), String> {
        if let Some(key) = redact.key.clone() {
            let whole = redact.pattern.is_none();
            self.claims.add(if whole { Claim::Redact(key) } else { Claim::Search(key) })?;
        } else {
            self.claims.count()?;
        }
        self.settings.redact.push(redact);
        Ok(())
    }

    fn add(&mut self, name: &str, value: Scalar) -> Result<(), String> {
        let name = single_name(name).map_err(|what| {
            format!("{what}; fields are added to the event itself, not below one of its fields")
        })?;
        self.claims.add(Claim::Add(name.clone()))?;
        if self.settings.add.len() == ADDED_MAX {
            return Err(format!("more than {ADDED_MAX} fields are added"));
        }
        let template = match value {
            Scalar::Text(text) => Template::parse(&text)?,
            Scalar::Json(json) => Template::Json(json),
        };
        self.settings.add.push((name, template));
        Ok(())
    }
}

/// A name as the last part of a path is written.
fn single_name(text: &str) -> Result<String, String> {
    let path = Path::parse(text).map_err(|error| error.to_string())?;
    match path.names() {
        [name] => Ok(name.to_string()),
        _ => Err(format!(
            "`{text}` leads from one field into another (a dot of a name is written `\\.`)"
        )),
    }
}

impl<'de> Deserialize<'de> for FieldsSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = FieldsSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of what is done with fields")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut table: A,
            ) -> Result<FieldsSettings, A::Error> {
                let mut reading = Reading::default();
                while let Some(key) = table.next_key::<Key>()? {
                    let reading = &mut reading;
                    match key {
                        Key::Parse => {
                            table.next_value_seed(List(|name: &str| reading.parse(name)))?;
                        }
                        Key::Drop => {
                            table.next_value_seed(List(|path: &str| reading.drop(path)))?;
                        }
                        Key::Rename => {
                            let rename = |from: &str, to| reading.rename(from, to);
                            table.next_value_seed(Table(rename))?;
                        }
                        Key::Redact => table.next_value_seed(Redactions(reading))?,
                        Key::Add => {
                            let add = |name: &str, value| reading.add(name, value);
                            table.next_value_seed(Table(add))?;
                        }
                        Key::Overwrite => reading.settings.overwrite = table.next_value()?,
                    }
                }
                Ok(reading.settings)
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

/// A list of texts, or one text; each is handed on where an error gets its place in the file.
struct List<F>(F);

impl<'de, F: FnMut(&str) -> Result<(), String>> DeserializeSeed<'de> for List<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str) -> Result<(), String>> Visitor<'de> for List<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        (self.0)(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while list
            .next_element_seed(Each(|value| match value {
                Scalar::Text(text) => (self.0)(&text),
                Scalar::Json(other) => Err(format!("{other} is no text")),
            }))?
            .is_some()
        {}
        Ok(())
    }
}

/// A table of plain values.
struct Table<F>(F);

impl<'de, F: FnMut(&str, Scalar) -> Result<(), String>> DeserializeSeed<'de> for Table<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, Scalar) -> Result<(), String>> Visitor<'de> for Table<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of names and values")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut table: A) -> Result<(), A::Error> {
        while let Some(name) = table.next_key::<String>()? {
            table.next_value_seed(Each(|value| (self.0)(&name, value)))?;
        }
        Ok(())
    }
}

/// A text, or a number or truth value as JSON.
enum Scalar {
    Text(String),
    Json(String),
}

/// One plain value.
struct Each<F>(F);

impl<'de, F: FnOnce(Scalar) -> Result<(), String>> DeserializeSeed<'de> for Each<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnOnce(Scalar) -> Result<(), String>> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, or true or false")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        (self.0)(Scalar::Text(text.to_owned())).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        (self.0)(Scalar::Json(value.to_string())).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        (self.0)(Scalar::Json(value.to_string())).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        (self.0)(Scalar::Json(value.to_string())).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let json = serde_json::Number::from_f64(value);
        let json = json.ok_or_else(|| E::custom(format!("{value} is no number of JSON")))?;
        (self.0)(Scalar::Json(json.to_string())).map_err(E::custom)
    }
}

/// The entries of `redact`.
struct Redactions<'r>(&'r mut Reading);

impl<'de> DeserializeSeed<'de> for Redactions<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Redactions<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tables")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Redaction(self.0))?.is_some() {}
        Ok(())
    }
}

/// One entry of `redact`.
struct Redaction<'r>(&'r mut Reading);

impl<'de> DeserializeSeed<'de> for Redaction<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Redaction<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key, or a table with key, pattern, with or hash")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        let keys = RedactKeys { key: Some(key.to_owned()), ..RedactKeys::default() };
        keys.read().and_then(|redact| self.0.redact(redact)).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<(), A::Error> {
        let keys = RedactKeys::deserialize(MapAccessDeserializer::new(table))?;
        keys.read().and_then(|redact| self.0.redact(redact)).map_err(A::Error::custom)
    }
}
