//! TOML with positions: sections whose keys are taken part by part, `${NAME}` and overrides by the environment.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Overrides;
use super::mistake::{Mistake, did_you_mean};

/// The variables that are flags of their own and no overrides.
const OVERRIDE_PREFIX: &str = "BAIKONUR_";
/// Between the parts of an override's name.
const OVERRIDE_SEPARATOR: &str = "__";
/// Where the environment's values stand: nowhere in the file.
const NOWHERE: Range<usize> = usize::MAX..usize::MAX;

/// A parsed file.
pub(super) struct Document<'t> {
    tables: DeTable<'t>,
}

/// A table of the file, without what was taken from it.
pub(super) struct Section<'t> {
    /// As it stands in the file, such as `modules.archive`.
    path: String,
    name: String,
    span: Option<Range<usize>>,
    table: DeTable<'t>,
    /// Where each key stood.
    keys: BTreeMap<String, Range<usize>>,
}

impl<'t> Document<'t> {
    /// Parses `text` and lays the environment's overrides over it.
    pub(super) fn parse(
        text: &'t str,
        overrides: &'t Overrides,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let mut tables = match DeTable::parse(text) {
            Ok(tables) => tables.into_inner(),
            Err(error) => {
                let message = error.message().to_owned();
                mistakes.push(Mistake { span: error.span(), section: String::new(), message });
                return None;
            }
        };
        for (variable, value) in &overrides.environment {
            let Some(path) = variable.strip_prefix(OVERRIDE_PREFIX) else { continue };
            let path: Vec<_> = path.split(OVERRIDE_SEPARATOR).collect();
            if path.len() > 1
                && let Err(what) = lay_over(&mut tables, &path, value)
            {
                let message = format!("the environment variable {variable} {what}");
                mistakes.push(Mistake { span: None, section: String::new(), message });
            }
        }
        Some(Self { tables })
    }

    /// Whether there is a section of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }

    /// The section of this name, empty when there is none.
    pub(super) fn section(&mut self, name: &str) -> Section<'t> {
        match self.tables.remove(name) {
            Some(value) => Section::new(name, name, value),
            None => Section::empty(name),
        }
    }

    /// The sections `[outer.NAME]`, by name.
    pub(super) fn named_sections(
        &mut self,
        outer: &str,
        mistakes: &mut Vec<Mistake>,
    ) -> Vec<Section<'t>> {
        let Some(value) = self.tables.remove(outer) else { return Vec::new() };
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            let message = format!("{outer} is a table of tables: write [{outer}.NAME]");
            mistakes.push(Mistake { span: Some(span), section: String::new(), message });
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().clone().into_owned();
            if value.get_ref().is_table() {
                sections.push(Section::new(&format!("{outer}.{name}"), &name, value));
            } else {
                let message = format!("{name} is no table: write [{outer}.{name}]");
                let span = Some(key.span());
                mistakes.push(Mistake { span, section: outer.to_owned(), message });
            }
        }
        sections
    }

    /// Replaces `${NAME}` in all texts of `[server]`, which says where the data is.
    pub(super) fn substitute_in_server(
        &mut self,
        environment: &BTreeMap<String, String>,
        mistakes: &mut Vec<Mistake>,
    ) {
        if let Some(server) = self.tables.get_mut("server") {
            Variables { data: None, environment }.replace_in(server, mistakes);
        }
    }

    /// Replaces `${data}` and `${NAME}` in all texts.
    pub(super) fn substitute(
        &mut self,
        data: &Path,
        environment: &BTreeMap<String, String>,
        mistakes: &mut Vec<Mistake>,
    ) {
        let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
        let variables = Variables { data: Some(data.display().to_string()), environment };
        for (_, value) in &mut self.tables {
            variables.replace_in(value, mistakes);
        }
    }

    /// Names every section that nobody asked for.
    pub(super) fn refuse_the_rest(&mut self, mistakes: &mut Vec<Mistake>) {
        for (key, _) in &self.tables {
            let hint =
                did_you_mean(key.get_ref(), ["server", "kinesis", "leases", "streams", "modules"]);
            let message = format!(
                "there is no section {}{hint} The sections are [server], [kinesis], [leases], [streams.NAME] and [modules.NAME].",
                key.get_ref()
            );
            let span = Some(key.span());
            mistakes.push(Mistake { span, section: String::new(), message });
        }
    }
}

impl<'t> Section<'t> {
    fn empty(path: &str) -> Self {
        let (path, name) = (path.to_owned(), path.to_owned());
        Self { path, name, span: None, table: DeTable::new(), keys: BTreeMap::new() }
    }

    fn new(path: &str, name: &str, value: Spanned<DeValue<'t>>) -> Self {
        let span = Some(value.span());
        let DeValue::Table(table) = value.into_inner() else {
            return Self { span, ..Self::empty(path) };
        };
        let keys =
            table.keys().map(|key| (key.get_ref().clone().into_owned(), key.span())).collect();
        Self { path: path.to_owned(), name: name.to_owned(), span, table, keys }
    }

    /// The last part of its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The text that stands at `key`, if one does.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key)?.get_ref().as_str()
    }

    /// Takes a key out that was read before.
    pub(super) fn forget(&mut self, key: &str) {
        self.table.remove(key);
    }

    /// Takes `keys` out and reads them as one struct. A mistake is noted, and gives none.
    pub(super) fn take<T: DeserializeOwned>(
        &mut self,
        keys: &[&str],
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let mut part = DeTable::new();
        for key in keys {
            if let Some((key, value)) = self.table.remove_entry(*key) {
                part.insert(key, value);
            }
        }
        let span = self.span.clone().unwrap_or_default();
        let read = T::deserialize(Spanned::new(span, part).into_deserializer());
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                let message = error.message().to_owned();
                let span = error.span().or_else(|| self.span_of_mentioned(&message));
                mistakes.push(Mistake { span, section: self.path.clone(), message });
                None
            }
        }
    }

    /// Takes the tables `[[section.key]]` out.
    pub(super) fn take_tables(&mut self, key: &str, mistakes: &mut Vec<Mistake>) -> Vec<Self> {
        let Some(value) = self.table.remove(key) else { return Vec::new() };
        let path = format!("{}.{key}", self.path);
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(items)
                if !items.is_empty() && items.iter().all(|item| item.get_ref().is_table()) =>
            {
                items.into_iter().map(|item| Self::new(&path, key, item)).collect()
            }
            _ => {
                let message = format!("{key} is a list of tables: write [[{path}]]");
                mistakes.push(Mistake { span: Some(span), section: path, message });
                Vec::new()
            }
        }
    }

    /// Names every key that nobody took; `known` are those that there are.
    pub(super) fn refuse_the_rest(&mut self, known: &[&str], mistakes: &mut Vec<Mistake>) {
        for (key, _) in std::mem::take(&mut self.table) {
            let name = key.get_ref();
            let hint = did_you_mean(name, known.iter().copied());
            let message = format!("there is no key {name} here{hint}");
            let span = Some(key.span());
            mistakes.push(Mistake { span, section: self.path.clone(), message });
        }
    }

    /// A mistake in this section, at the key that the message mentions first.
    pub(super) fn mistake(&self, message: impl Display) -> Mistake {
        let message = message.to_string();
        let span = self.span_of_mentioned(&message);
        Mistake { span, section: self.path.clone(), message }
    }

    fn span_of_mentioned(&self, message: &str) -> Option<Range<usize>> {
        let is_of_word = |symbol: char| symbol.is_alphanumeric() || symbol == '_';
        let words = message.split(|symbol: char| !is_of_word(symbol));
        words
            .into_iter()
            .find_map(|word| self.keys.get(word))
            .cloned()
            .or_else(|| self.span.clone())
    }
}

/// What stands for `${…}`.
struct Variables<'e> {
    /// None in `[server]`.
    data: Option<String>,
    environment: &'e BTreeMap<String, String>,
}

impl Variables<'_> {
    fn replace_in(&self, value: &mut Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => match self.replaced(text) {
                Ok(Some(replaced)) => *text = replaced.into(),
                Ok(None) => {}
                Err(message) => {
                    let span = Some(span);
                    mistakes.push(Mistake { span, section: String::new(), message });
                }
            },
            DeValue::Array(items) => {
                items.iter_mut().for_each(|item| self.replace_in(item, mistakes));
            }
            DeValue::Table(table) => {
                for (_, item) in table {
                    self.replace_in(item, mistakes);
                }
            }
            _ => {}
        }
    }

    /// The text with its variables replaced; none when it has none.
    fn replaced(&self, text: &str) -> Result<Option<String>, String> {
        if !text.contains("${") {
            return Ok(None);
        }
        let is_url = text.starts_with("file://");
        let (mut replaced, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                // `$${` is `${` as it stands.
                replaced.push_str(before);
                replaced.push_str("${");
                rest = after;
                continue;
            }
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("{text:?} has a ${{ without its }}"))?;
            replaced.push_str(before);
            match (name, &self.data) {
                // A URL is percent-decoded once it is read.
                ("data", Some(data)) if is_url => replaced.push_str(&data.replace('%', "%25")),
                ("data", Some(data)) => replaced.push_str(data),
                ("data", None) => {
                    return Err("[server] says where ${data} is, and cannot use it".into());
                }
                (_, _) => replaced.push_str(self.environment.get(name).ok_or_else(|| {
                    format!(
                        "the environment variable {name} is not set; write $${{ for a plain ${{"
                    )
                })?),
            }
            rest = after;
        }
        replaced.push_str(rest);
        Ok(Some(replaced))
    }
}

/// Puts a value of the environment where `path` says: `SERVER`, KEY or `MODULES`, NAME, KEY.
fn lay_over<'t>(tables: &mut DeTable<'t>, path: &[&str], value: &'t str) -> Result<(), String> {
    let [sections @ .., key] = path else { return Ok(()) };
    let mut table = tables;
    for (depth, section) in sections.iter().enumerate() {
        let known = table.keys().find(|known| is_named(known.get_ref(), section));
        let known = match (known, depth) {
            (Some(known), _) => known.clone(),
            (None, 0) if is_named("server", section) => Spanned::new(NOWHERE, "server".into()),
            (None, 0) if is_named("kinesis", section) => Spanned::new(NOWHERE, "kinesis".into()),
            (None, _) => return Err(format!("names {section}, which the file has not")),
        };
        let empty = || Spanned::new(NOWHERE, DeValue::Table(DeTable::new()));
        let DeValue::Table(next) = table.entry(known).or_insert_with(empty).get_mut() else {
            return Err(format!("names {section}, which is no table in the file"));
        };
        table = next;
    }
    // Numbers, truth values and lists are written as in TOML; all else is text as it stands.
    let value = match DeValue::parse(value).map(Spanned::into_inner) {
        Ok(parsed) if !parsed.is_datetime() && !parsed.is_table() => parsed,
        _ => DeValue::String(value.into()),
    };
    let key = key.to_ascii_lowercase();
    table.remove(key.as_str());
    table.insert(Spanned::new(NOWHERE, key.into()), Spanned::new(NOWHERE, value));
    Ok(())
}

/// Whether an environment variable's part means a name of the file: upper case, `_` for `-` and `.`.
fn is_named(name: &str, part: &str) -> bool {
    name.replace(['-', '.'], "_").eq_ignore_ascii_case(part)
}
