//! What a user may say about a `kinesis-to-es` module, and what is wrong with it.

use std::path::PathBuf;

use baikonur_record::FieldPath;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::index_names;
use crate::cluster;
use crate::settings::keys_of;

/// The settings of a `kinesis-to-es` module, by the names that they have in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How the cluster is reached: a part of its own, whose keys stand beside these.
    #[serde(skip)]
    pub cluster: cluster::Settings,
    /// Every index is `{index_name_prefix}-{log_type}-{YYYYMMDD}`, every data stream `{index_name_prefix}-{log_type}`.
    pub index_name_prefix: String,
    /// What documents are written to. Default `daily_indices`.
    pub write_to: WriteTo,
    /// With data streams: stands behind the log type, as in `logs-nginx-default`.
    pub data_stream_namespace: Option<String>,
    /// What a document's `_id` is made from. Default `log_id`.
    pub document_id: DocumentId,
    /// The field whose text decides in which shard of its index a document is; a path as `log_type_field` is one.
    pub routing_field: Option<String>,
    /// The ingest pipeline that documents go through.
    pub pipeline: Option<String>,
    /// Documents of a bulk request at most. Default 500, as the originals.
    pub bulk_records: usize,
    /// Bytes of a bulk request at most, before compression; a larger document goes alone.
    /// Default 5 MiB.
    pub bulk_bytes: usize,
    /// How often documents that the cluster was too busy for are sent again before the mapping is
    /// told. Default 4.
    pub busy_retries: u32,
    /// Whether an index template, and with `retention_days` a policy, is put before the first document. Default false.
    pub install_templates: bool,
    /// Whether a template or policy of that name that somebody else has made is replaced. Default false.
    pub overwrite_templates: bool,
    /// A JSON file with the body of the index template: settings, mappings, aliases.
    pub template_file: Option<PathBuf>,
    /// The template's priority. Default 200, above the built-in ones of Elasticsearch.
    pub template_priority: u32,
    /// Days after which the cluster deletes an index, by a policy that is installed.
    pub retention_days: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster: cluster::Settings::default(),
            index_name_prefix: String::new(),
            write_to: WriteTo::default(),
            data_stream_namespace: None,
            document_id: DocumentId::default(),
            routing_field: None,
            pipeline: None,
            bulk_records: 500,
            bulk_bytes: 5 * 1024 * 1024,
            busy_retries: 4,
            install_templates: false,
            overwrite_templates: false,
            template_file: None,
            template_priority: 200,
            retention_days: None,
        }
    }
}

/// What documents are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteTo {
    /// An index for each log type and date.
    #[default]
    DailyIndices,
    /// A data stream for each log type; documents get an `@timestamp`.
    DataStreams,
}

/// What a document's `_id` is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentId {
    /// The record's log id; one derived from the origin where the record has none.
    #[default]
    LogId,
    /// Stream, shard, sequence number, and the place within the Kinesis record.
    Origin,
    /// The cluster makes one up: faster to index, but a retry makes duplicates.
    None,
}

/// Settings that cannot work; each says which key, why, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// How the cluster is reached.
    #[error(transparent)]
    Cluster(#[from] cluster::InvalidSettings),
    /// A text that cannot stand in an index name.
    #[error("{key} {given:?} {why}")]
    IndexName {
        /// The setting.
        key: &'static str,
        /// The text.
        given: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A number that has to be at least 1.
    #[error("{key} must be at least 1")]
    Zero {
        /// The setting.
        key: &'static str,
    },
    /// A setting that means nothing beside another.
    #[error("{key} {why}")]
    Alone {
        /// The setting.
        key: &'static str,
        /// What is missing or in its way.
        why: String,
    },
    /// The template cannot be used.
    #[error("template_file {file}: {why}")]
    Template {
        /// The setting.
        file: String,
        /// What is wrong.
        why: String,
    },
}

impl InvalidSettings {
    /// The key to look at.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.key(),
            Self::IndexName { key, .. } | Self::Zero { key } | Self::Alone { key, .. } => key,
            Self::Template { .. } => "template_file",
        }
    }
}

impl Settings {
    /// The keys that a configuration may use, beside those of [`cluster::Settings`].
    pub fn keys() -> &'static [&'static str] {
        keys_of::<Self>()
    }

    /// Says what is wrong, if anything is. No file is opened.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        self.cluster.check()?;
        index_names::check(self)?;
        for (key, value) in [
            ("bulk_records", self.bulk_records as u64),
            ("bulk_bytes", self.bulk_bytes as u64),
            ("retention_days", self.retention_days.map_or(1, u64::from)),
        ] {
            if value == 0 {
                return Err(InvalidSettings::Zero { key });
            }
        }
        self.routing()?;
        let is_stream = self.write_to == WriteTo::DataStreams;
        for (key, is_given, has_place, why) in [
            (
                "data_stream_namespace",
                self.data_stream_namespace.is_some(),
                is_stream,
                "is for write_to = \"data_streams\" alone",
            ),
            (
                "routing_field",
                self.routing_field.is_some(),
                !is_stream,
                "is for daily indices: data streams take no routing",
            ),
            (
                "template_file",
                self.template_file.is_some(),
                self.install_templates,
                "does nothing without install_templates = true",
            ),
            (
                "retention_days",
                self.retention_days.is_some(),
                self.install_templates,
                "does nothing without install_templates = true",
            ),
            (
                "overwrite_templates",
                self.overwrite_templates,
                self.install_templates,
                "does nothing without install_templates = true",
            ),
            (
                "pipeline",
                self.pipeline.as_deref() == Some(""),
                false,
                "is empty: leave it out for none",
            ),
        ] {
            if is_given && !has_place {
                return Err(InvalidSettings::Alone { key, why: why.to_owned() });
            }
        }
        Ok(())
    }

    /// The destination as it may be shown: without a user and a password.
    pub fn shown_destination(&self) -> String {
        self.cluster.shown_destination()
    }

    /// Where the text stands that decides on the shard, if any does.
    pub(super) fn routing(&self) -> Result<Option<FieldPath>, InvalidSettings> {
        let parsed = self.routing_field.as_deref().map(FieldPath::parse).transpose();
        parsed.map_err(|error| InvalidSettings::Alone {
            key: "routing_field",
            why: format!("is no field: {error}"),
        })
    }

    /// The template of the user's own, read from its file; an empty one where there is none.
    pub(super) fn template(&self) -> Result<Map<String, Value>, InvalidSettings> {
        let Some(file) = &self.template_file else { return Ok(Map::new()) };
        let invalid =
            |why: String| InvalidSettings::Template { file: file.display().to_string(), why };
        let text = std::fs::read(file).map_err(|error| invalid(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| invalid(format!("no JSON object: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::doubles::settings;
    use super::*;

    #[test]
    fn every_key_is_read() {
        let written = serde_json::json!({
            "index_name_prefix": "logs", "write_to": "data_streams", "data_stream_namespace": "prod",
            "document_id": "origin", "routing_field": "tenant", "pipeline": "p", "bulk_records": 1, "bulk_bytes": 2,
            "busy_retries": 3, "install_templates": true, "overwrite_templates": true, "template_file": "t.json",
            "template_priority": 300, "retention_days": 30,
        });
        for key in written.as_object().unwrap().keys() {
            assert!(Settings::keys().contains(&key.as_str()), "{key}");
        }
        let settings: Settings = serde_json::from_value(written).unwrap();
        assert_eq!(
            (settings.write_to, settings.document_id),
            (WriteTo::DataStreams, DocumentId::Origin)
        );
        assert_eq!((settings.bulk_records, settings.bulk_bytes, settings.busy_retries), (1, 2, 3));
        assert_eq!((settings.template_priority, settings.retention_days), (300, Some(30)));
        let keys = cluster::Settings::keys();
        assert!(Settings::keys().iter().all(|key| !keys.contains(key)), "one key, one part");
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_key() {
        let some = |text: &str| Some(text.to_owned());
        for (wrong, key) in [
            (Settings { bulk_bytes: 0, ..settings() }, "bulk_bytes"),
            (
                Settings { retention_days: Some(0), install_templates: true, ..settings() },
                "retention_days",
            ),
            (Settings { retention_days: Some(3), ..settings() }, "retention_days"),
            (Settings { overwrite_templates: true, ..settings() }, "overwrite_templates"),
            (Settings { template_file: Some("t.json".into()), ..settings() }, "template_file"),
            (
                Settings { data_stream_namespace: some("prod"), ..settings() },
                "data_stream_namespace",
            ),
            (Settings { routing_field: some("a..b"), ..settings() }, "routing_field"),
            (
                Settings { routing_field: some("a"), write_to: WriteTo::DataStreams, ..settings() },
                "routing_field",
            ),
            (Settings { pipeline: some(""), ..settings() }, "pipeline"),
            (Settings { index_name_prefix: "Logs".to_owned(), ..settings() }, "index_name_prefix"),
            (Settings { cluster: cluster::Settings::default(), ..settings() }, "destination"),
        ] {
            let error = wrong.check().unwrap_err();
            assert_eq!(error.key(), key, "{error}");
        }
        assert_eq!(settings().check(), Ok(()));
    }

    #[test]
    fn a_template_is_an_object_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("template.json");
        let settings = Settings { template_file: Some(file.clone()), ..settings() };
        assert!(
            settings.template().unwrap_err().to_string().contains("template.json: No such file")
        );
        std::fs::write(&file, "[]").unwrap();
        assert!(settings.template().unwrap_err().to_string().contains("no JSON object"));
        std::fs::write(&file, r#"{"template":{}}"#).unwrap();
        assert!(settings.template().unwrap().contains_key("template"));
    }
}
