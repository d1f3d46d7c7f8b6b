//! Settings from environment variables: those of the original functions, and `BAIKONUR_` before the name of any key.
//!
//! A variable is text, and a setting has a type: so a text is read as what its setting wants, a list or a table as
//! JSON.

use std::collections::BTreeMap;

use serde::de::value::{Error, SeqDeserializer, StringDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use baikonur_modules::settings::keys_of;

/// Stands before the name of a key, in upper case.
const PREFIX: &str = "BAIKONUR_";

/// What the originals called the keys.
const ORIGINALS: [(&str, &str); 19] = [
    ("TZ", "timezone"),
    ("LOG_ID_FIELD", "log_id_field"),
    ("LOG_TYPE_FIELD", "log_type_field"),
    ("LOG_TIMESTAMP_FIELD", "log_timestamp_field"),
    ("LOG_TYPE_UNKNOWN_PREFIX", "log_type_unknown_prefix"),
    ("LOG_TYPE_WHITELIST", "log_type_field_whitelist"),
    ("LOG_TYPE_FIELD_WHITELIST", "log_type_field_whitelist"),
    ("LOG_S3_BUCKET", "log_bucket"),
    ("LOG_S3_PREFIX", "log_path_prefix"),
    ("ES_HOST", "elasticsearch_host"),
    ("INDEX_NAME_PREFIX", "index_name_prefix"),
    ("TARGET_STREAM_NAME", "target_stream_name"),
    ("KINESIS_MAX_RETRIES", "kinesis_max_retries"),
    ("LOG_FLUENT_SINK_ENDPOINT", "fluent_sink_endpoint"),
    ("LOG_FLUENT_TAG", "fluent_tag"),
    ("FAILED_LOG_S3_BUCKET", "failed_log_s3_bucket"),
    ("FAILED_LOG_S3_PREFIX", "failed_log_s3_prefix"),
    ("MAX_AGE_DAYS", "max_age_days"),
    ("DRY_RUN_ONLY", "dry_run_only"),
];

/// A setting that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnvironment {
    /// Not what the setting wants.
    #[error("the environment variable {variable}: {why}")]
    Value {
        /// Which one.
        variable: String,
        /// What is wrong.
        why: String,
    },
    /// A name that no setting of this module has.
    #[error("the environment variable {variable} names no setting of {module}; there are {known}")]
    Unknown {
        /// Which one.
        variable: String,
        /// The module.
        module: String,
        /// The settings that there are.
        known: String,
    },
}

/// The variables of a function that are settings, by key.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, Variable>,
    known: Vec<&'static str>,
}

#[derive(Debug, Clone)]
struct Variable {
    name: String,
    text: String,
}

impl Environment {
    /// Chooses the settings from all variables. An empty one of the originals' counts as none, as their Terraform
    /// modules set them; of two names of a key the one with `BAIKONUR_` counts.
    pub fn read(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut values = BTreeMap::new();
        for (name, text) in variables {
            let of_original = ORIGINALS.iter().find(|(original, _)| *original == name);
            let (key, text) = match (name.strip_prefix(PREFIX), of_original) {
                (Some(key), _) => (key.to_ascii_lowercase(), text),
                // Lambda itself sets `:UTC`.
                (None, Some((_, key))) if !text.is_empty() => {
                    ((*key).to_owned(), text.strip_prefix(':').unwrap_or(&text).to_owned())
                }
                _ => continue,
            };
            let is_ours = name.starts_with(PREFIX);
            if is_ours || !values.contains_key(&key) {
                values.insert(key, Variable { name, text });
            }
        }
        Self { values, known: Vec::new() }
    }

    /// Sets a key that no variable says.
    pub fn default_to(&mut self, key: &str, text: String) {
        let name = key.to_ascii_uppercase();
        self.values.entry(key.to_owned()).or_insert(Variable { name, text });
    }

    /// Takes one text out.
    pub fn take_text(&mut self, key: &str) -> Option<String> {
        self.values.remove(key).map(|variable| variable.text)
    }

    /// Takes the keys of a settings struct out and reads them.
    ///
    /// # Errors
    /// The first variable whose text is not what its setting wants.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, InvalidEnvironment> {
        let keys = keys_of::<T>();
        self.known.extend(keys);
        let taken: Vec<_> =
            keys.iter().filter_map(|key| Some((*key, self.values.remove(*key)?))).collect();
        let mut at = None;
        let variables = Variables { rest: taken.iter(), value: None, at: &mut at };
        T::deserialize(variables).map_err(|error| InvalidEnvironment::Value {
            variable: at.unwrap_or_default(),
            why: error.to_string(),
        })
    }

    /// Says which variable names a setting that nobody took. Those of the originals may be left: one function was
    /// configured like the other.
    ///
    /// # Errors
    /// The first such variable.
    pub fn refuse_the_rest(&self, module: &str) -> Result<(), InvalidEnvironment> {
        match self.values.values().find(|variable| variable.name.starts_with(PREFIX)) {
            None => Ok(()),
            Some(variable) => Err(InvalidEnvironment::Unknown {
                variable: variable.name.clone(),
                module: module.to_owned(),
                known: self
                    .known
                    .iter()
                    .map(|key| format!("{PREFIX}{}", key.to_ascii_uppercase()))
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }
}

/// The variables of a struct; notes whose turn it is.
struct Variables<'v> {
    rest: std::slice::Iter<'v, (&'static str, Variable)>,
    value: Option<&'v str>,
    at: &'v mut Option<String>,
}

impl<'de> Deserializer<'de> for Variables<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Variables<'_> {
    type Error = Error;

    fn next_key_seed<K: serde::de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, variable)) = self.rest.next() else {
            // What fails from here on is no variable's fault.
            *self.at = None;
            return Ok(None);
        };
        *self.at = Some(variable.name.clone());
        self.value = Some(&variable.text);
        seed.deserialize((*key).into_deserializer()).map(Some)
    }

    fn next_value_seed<T: serde::de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, Error> {
        let text = self.value.take().expect("a value is asked for behind its key");
        seed.deserialize(Text(text))
    }
}

/// The text of one variable.
struct Text<'t>(&'t str);

impl Text<'_> {
    fn json(&self) -> Result<serde_json::Value, Error> {
        serde_json::from_str(self.0)
            .map_err(|error| Error::custom(format!("expected JSON: {error}")))
    }
}

/// Reads a number of any kind as what is wanted.
macro_rules! parsed {
    ($($method:ident $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.trim().parse() {
                Ok(value) => visitor.$visit(value),
                // The visitor says what it wanted.
                Err(_) => visitor.visit_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Error;

    /// A type that takes several: a list or a table where it looks like one, else the text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.trim_start().starts_with(['[', '{']) {
            return self.json()?.deserialize_any(visitor).map_err(Error::custom);
        }
        visitor.visit_str(self.0)
    }

    /// Also as the originals' Python wrote it: a cleaner that is told `True` or `yes` must not end up deleting.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" => visitor.visit_bool(true),
            "false" | "no" => visitor.visit_bool(false),
            // The visitor says what it wanted.
            _ => visitor.visit_str(self.0),
        }
    }

    parsed! {
        deserialize_i8 visit_i8, deserialize_i16 visit_i16, deserialize_i32 visit_i32,
        deserialize_i64 visit_i64, deserialize_u8 visit_u8, deserialize_u16 visit_u16, deserialize_u32 visit_u32,
        deserialize_u64 visit_u64, deserialize_f32 visit_f32, deserialize_f64 visit_f64, deserialize_i128 visit_i128,
        deserialize_u128 visit_u128
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text: StringDeserializer<Error> = self.0.to_owned().into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    /// A list as JSON, or texts with commas between them.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.trim_start().starts_with('[') {
            return self.json()?.deserialize_seq(visitor).map_err(Error::custom);
        }
        let texts =
            self.0.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        visitor.visit_seq(SeqDeserializer::new(texts))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.json()?.deserialize_map(visitor).map_err(Error::custom)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.json()?.deserialize_struct(name, fields, visitor).map_err(Error::custom)
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use baikonur_modules::intake::IntakeSettings;
    use baikonur_modules::{cluster, es_cleaner, to_es, to_s3};

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(
            variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())),
        )
    }

    #[test]
    fn the_originals_variables_are_understood() {
        let mut environment = environment(&[
            ("TZ", ":UTC"),
            ("LOG_ID_FIELD", "id"),
            ("LOG_TYPE_WHITELIST", "a, b*"),
            ("LOG_TYPE_UNKNOWN_PREFIX", ""),
            ("LOG_S3_BUCKET", "bucket"),
            ("LOG_S3_PREFIX", "123"),
            ("PATH", "/bin"),
        ]);
        let intake: IntakeSettings = environment.take().unwrap();
        assert_eq!((&*intake.log_id_field, &*intake.timezone), ("id", "UTC"));
        assert_eq!(intake.log_type_field_whitelist, ["a", "b*"]);
        assert_eq!(intake.log_type_unknown_prefix, "unknown");
        let settings: to_s3::Settings = environment.take().unwrap();
        assert_eq!(settings.location().unwrap().to_string(), "s3://bucket/123");
        environment.refuse_the_rest("kinesis-to-s3").unwrap();
    }

    #[test]
    fn the_cleaners_variables_are_read_as_python_wrote_them() {
        for (text, is_dry) in [("true", true), ("True", true), ("yes", true), ("False", false)] {
            let mut environment = environment(&[("MAX_AGE_DAYS", "7"), ("DRY_RUN_ONLY", text)]);
            let settings: es_cleaner::Settings = environment.take().unwrap();
            assert_eq!((settings.max_age_days, settings.dry_run_only), (7, is_dry), "{text}");
        }
        let mut unclear = environment(&[("DRY_RUN_ONLY", "perhaps")]);
        let error = unclear.take::<es_cleaner::Settings>().unwrap_err().to_string();
        assert!(error.contains("DRY_RUN_ONLY") && error.contains("perhaps"), "{error}");
    }

    #[test]
    fn texts_become_what_their_setting_wants() {
        let mut environment = environment(&[
            ("BAIKONUR_DESTINATION", "https://es:9200"),
            ("BAIKONUR_INDEX_NAME_PREFIX", "2026"),
            ("INDEX_NAME_PREFIX", "old"),
            ("BAIKONUR_DOCUMENT_ID", "origin"),
            ("BAIKONUR_BULK_RECORDS", " 7 "),
            ("BAIKONUR_GZIP", "false"),
            ("BAIKONUR_PASSWORD", "[not JSON"),
            ("BAIKONUR_USERNAME", "1"),
        ]);
        let cluster: cluster::Settings = environment.take().unwrap();
        let settings = to_es::Settings { cluster, ..environment.take().unwrap() };
        assert_eq!(settings.index_name_prefix, "2026");
        assert_eq!((settings.bulk_records, settings.cluster.gzip), (7, Some(false)));
        assert_eq!(settings.cluster.username.as_deref(), Some("1"));
    }

    #[test]
    fn a_list_or_a_table_is_json() {
        let criteria = r#"["{\"data\": {\"level\": [\"ERROR\"]}}", {"data": {"level": [{"prefix": "WARN"}]}}]"#;
        let mut environment = environment(&[
            ("BAIKONUR_FILTER_CRITERIA", criteria),
            ("BAIKONUR_LOG_TYPE_FIELD_WHITELIST", r#"["a,b", "c"]"#),
        ]);
        let intake: IntakeSettings = environment.take().unwrap();
        assert_ne!(intake.filter_criteria, IntakeSettings::default().filter_criteria);
        assert_eq!(intake.log_type_field_whitelist, ["a,b", "c"]);
    }

    #[test]
    fn mistakes_name_their_variable() {
        let mut wrong = environment(&[("BAIKONUR_BUFFER_BYTES", "much"), ("LOG_S3_BUCKET", "b")]);
        let error = wrong.take::<to_s3::Settings>().unwrap_err().to_string();
        assert!(error.contains("BAIKONUR_BUFFER_BYTES") && error.contains("much"), "{error}");
        let mut unknown = environment(&[("BAIKONUR_BUFER_BYTES", "1"), ("ES_HOST", "x")]);
        unknown.take::<to_s3::Settings>().unwrap();
        let error = unknown.refuse_the_rest("kinesis-to-s3").unwrap_err().to_string();
        assert!(
            error.contains("BAIKONUR_BUFER_BYTES") && error.contains("BAIKONUR_BUFFER_BYTES"),
            "{error}"
        );
    }
}
