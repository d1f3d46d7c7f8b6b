//! What the configuration says about decoding and choosing: the keys of the originals' Terraform modules, with their
//! defaults, and the filter criteria of AWS Lambda.

use baikonur_pattern::FilterCriteria;
use baikonur_record::{FieldPath, FieldPathError, Schema, Timezone, UnknownTimezone, Whitelist};
use serde::Deserialize;

use crate::fields::{FieldsSettings, Step};

/// Where the fields of the Common Schema stand, and which log types are taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntakeSettings {
    /// The field with the log type: a key, a dotted path or a JSON pointer. Default `log_type`.
    pub log_type_field: String,
    /// The field with the log id. Default `log_id`.
    pub log_id_field: String,
    /// The field with the time. Default `time`.
    pub log_timestamp_field: String,
    /// Stands before the names of records that lack a field. Default `unknown`.
    pub log_type_unknown_prefix: String,
    /// Log types to take: names, `prefix*`, `*`; a leading `!` excludes. Default empty, which means all.
    #[serde(deserialize_with = "crate::settings::list_or_commas")]
    pub log_type_field_whitelist: Vec<String>,
    /// Patterns of which an event has to match one, as in AWS Lambda; see `docs/filters.md`. Default none, which means
    /// all. The whitelist is asked first.
    #[serde(deserialize_with = "super::criteria::deserialize")]
    pub filter_criteria: FilterCriteria,
    /// What is read into fields, dropped, renamed, redacted and added; see `docs/fields.md`. Default nothing.
    pub fields: FieldsSettings,
    /// The zone of times without an offset, an IANA name. Default `UTC`.
    pub timezone: String,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self {
            log_type_field: "log_type".to_owned(),
            log_id_field: "log_id".to_owned(),
            log_timestamp_field: "time".to_owned(),
            log_type_unknown_prefix: "unknown".to_owned(),
            log_type_field_whitelist: Vec::new(),
            filter_criteria: FilterCriteria::default(),
            fields: FieldsSettings::default(),
            timezone: "UTC".to_owned(),
        }
    }
}

/// A setting that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeSettingsError {
    /// A key is no field path.
    #[error("{key}: {source}")]
    Field {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        source: FieldPathError,
    },
    /// A field that names are made of is redacted.
    #[error(
        "fields: redact hides {path}, but {key} says that {field} decides: it becomes a part of object keys, document \
         ids, index names or tags, where it would be seen; let another field decide"
    )]
    Seen {
        /// The path that is redacted.
        path: String,
        /// The setting.
        key: &'static str,
        /// The field that it names.
        field: String,
    },
    /// The zone is not known.
    #[error("timezone: {0}")]
    Timezone(#[from] UnknownTimezone),
    /// The prefix cannot stand in an object key.
    #[error(
        "log_type_unknown_prefix: {0:?} is not a name of letters, digits, '_', '.', '-' (it becomes a part of object \
         keys, index names and tags)"
    )]
    UnknownPrefix(String),
}

impl IntakeSettings {
    /// The keys that the configuration may use.
    pub fn keys() -> &'static [&'static str] {
        crate::settings::keys_of::<Self>()
    }

    /// The schema that these settings describe.
    ///
    /// # Errors
    /// The first setting that means nothing.
    pub fn schema(&self) -> Result<Schema, IntakeSettingsError> {
        let field = |key, text: &str| {
            FieldPath::parse(text).map_err(|source| IntakeSettingsError::Field { key, source })
        };
        for (key, field) in [
            ("log_type_field", &self.log_type_field),
            ("log_id_field", &self.log_id_field),
            ("log_timestamp_field", &self.log_timestamp_field),
        ] {
            if let Some(path) = self.fields.redacts(&steps(field)) {
                return Err(IntakeSettingsError::Seen { path, key, field: field.clone() });
            }
        }
        let prefix = &self.log_type_unknown_prefix;
        if !is_plain_path(prefix) {
            return Err(IntakeSettingsError::UnknownPrefix(prefix.clone()));
        }
        Ok(Schema {
            log_type_field: field("log_type_field", &self.log_type_field)?,
            log_id_field: field("log_id_field", &self.log_id_field)?,
            log_timestamp_field: field("log_timestamp_field", &self.log_timestamp_field)?,
            log_type_unknown_prefix: prefix.clone(),
            timezone: Timezone::parse(&self.timezone)?,
        })
    }

    /// The whitelist that these settings describe.
    pub fn whitelist(&self) -> Whitelist {
        Whitelist::parse(&self.log_type_field_whitelist)
    }
}

/// The names that a field path leads through, however it is written.
fn steps(field: &str) -> Vec<Step> {
    let step = |name: String| Step {
        may_be_a_place: !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()),
        name,
    };
    match field.strip_prefix('/') {
        Some(pointer) => {
            let names = pointer.split('/');
            names.map(|name| step(name.replace("~1", "/").replace("~0", "~"))).collect()
        }
        None => field.split('.').map(|name| step(name.to_owned())).collect(),
    }
}

/// Whether `text` is one or more names with slashes between them, none of which leads elsewhere.
fn is_plain_path(text: &str) -> bool {
    text.split('/').all(|name| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        name.bytes().all(legal) && name.bytes().any(|byte| byte != b'.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_originals() {
        let settings: IntakeSettings = toml::from_str("").unwrap();
        assert_eq!(settings, IntakeSettings::default());
        assert!(settings.schema().is_ok());
        assert!(settings.whitelist().admits("anything"));
    }

    #[test]
    fn a_whitelist_is_a_list_or_one_text_with_commas() {
        for text in [
            "log_type_field_whitelist = ['a', 'b*']",
            "log_type_field_whitelist = 'a, b*'",
            "log_type_field_whitelist = ' a,b*,'",
        ] {
            let whitelist = toml::from_str::<IntakeSettings>(text).unwrap().whitelist();
            assert!(
                whitelist.admits("a") && whitelist.admits("bc") && !whitelist.admits("c"),
                "{text}"
            );
        }
        let empty: IntakeSettings = toml::from_str("log_type_field_whitelist = ''").unwrap();
        assert!(empty.whitelist().admits("anything"), "empty means all");
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |text: &str| {
            toml::from_str::<IntakeSettings>(text).unwrap().schema().unwrap_err().to_string()
        };
        assert!(message("log_id_field = ''").starts_with("log_id_field:"));
        assert!(message("timezone = 'Mars'").starts_with("timezone:"));
        for prefix in ["", "..", "a/../b", "/a", "a b"] {
            let text = format!("log_type_unknown_prefix = {prefix:?}");
            assert!(message(&text).starts_with("log_type_unknown_prefix:"), "{prefix}");
        }
        assert!(toml::from_str::<IntakeSettings>("log_typ_field = 'x'").is_err());
    }
}
