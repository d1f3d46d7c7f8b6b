//! What a user may say about the cleaning of a cluster, and what is wrong with it.

use std::time::Duration;

use serde::Deserialize;

use super::date_format::DateFormat;
use crate::cluster;
use crate::settings::{keys_of, list_or_commas};

/// The settings of an `es-cleaner`, by the names that they have in the configuration: those of `lambda-es-cleaner`
/// where it has them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How the cluster is reached: a part of its own, whose keys stand beside these.
    #[serde(skip)]
    pub cluster: cluster::Settings,
    /// Indices whose names begin so are looked at; `*` alone stands for every name.
    #[serde(deserialize_with = "list_or_commas")]
    pub index_name_prefix: Vec<String>,
    /// Days after which an index is deleted, counted from the date in its name. Default 60, as the original.
    pub max_age_days: u32,
    /// Names that are kept, however old; `*` stands for any characters.
    #[serde(deserialize_with = "list_or_commas")]
    pub exclude: Vec<String>,
    /// How the date is written that ends the names. Default `YYYYMMDD`.
    pub date_format: String,
    /// Whether nothing is deleted, and what would be is only told. Default false.
    pub dry_run_only: bool,
    /// How often it runs beside the modules: `rate(N minutes)`, `rate(N hours)` or `rate(N days)`. Default
    /// `rate(1 day)`.
    pub schedule_expression: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster: cluster::Settings::default(),
            index_name_prefix: Vec::new(),
            max_age_days: 60,
            exclude: Vec::new(),
            date_format: "YYYYMMDD".to_owned(),
            dry_run_only: false,
            schedule_expression: "rate(1 day)".to_owned(),
        }
    }
}

/// Settings that cannot work; each says which key, why, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// How the cluster is reached.
    #[error(transparent)]
    Cluster(#[from] cluster::InvalidSettings),
    /// A setting by itself.
    #[error("{key} {why}")]
    Value {
        /// The setting.
        key: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Settings {
    /// The keys that a configuration may use, beside those of [`cluster::Settings`].
    pub fn keys() -> &'static [&'static str] {
        keys_of::<Self>()
    }

    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        self.cluster.check()?;
        let invalid = |key, why: &str| Err(InvalidSettings::Value { key, why: why.to_owned() });
        if self.index_name_prefix.iter().all(|prefix| prefix.is_empty()) {
            return invalid(
                "index_name_prefix",
                "is missing: say which indices may be deleted, or \"*\" for all whose names end in a date",
            );
        }
        if self.max_age_days == 0 {
            return invalid("max_age_days", "must be at least 1");
        }
        self.date_format()?;
        self.interval()?;
        Ok(())
    }

    pub(super) fn date_format(&self) -> Result<DateFormat, InvalidSettings> {
        let given = &self.date_format;
        DateFormat::parse(given).map_err(|why| InvalidSettings::Value {
            key: "date_format",
            why: format!("{given:?} {why}; examples: \"YYYYMMDD\", \"YYYY.MM.DD\""),
        })
    }

    /// The time between two runs.
    pub(super) fn interval(&self) -> Result<Duration, InvalidSettings> {
        let given = &self.schedule_expression;
        let inner = given.trim().strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')'));
        let parts = inner.and_then(|inner| inner.trim().split_once(' '));
        let read = parts.and_then(|(number, unit)| {
            let minutes = match unit.trim() {
                "minute" | "minutes" => 1,
                "hour" | "hours" => 60,
                "day" | "days" => 24 * 60,
                _ => return None,
            };
            number.parse::<u32>().ok().filter(|&number| number > 0).map(|n| (n, minutes))
        });
        match read {
            Some((number, minutes)) => Ok(Duration::from_secs(u64::from(number) * minutes * 60)),
            None => Err(InvalidSettings::Value {
                key: "schedule_expression",
                why: format!("{given:?} is no rate; examples: \"rate(1 day)\", \"rate(12 hours)\""),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let destination = vec!["http://127.0.0.1:9200".to_owned()];
        Settings {
            cluster: cluster::Settings { destination, ..cluster::Settings::default() },
            index_name_prefix: vec!["logs".to_owned()],
            ..Settings::default()
        }
    }

    #[test]
    fn every_key_is_read() {
        let written = serde_json::json!({
            "index_name_prefix": "logs, app", "max_age_days": 7, "exclude": ["*-keep-*"],
            "date_format": "YYYY.MM.DD", "dry_run_only": true, "schedule_expression": "rate(2 hours)",
        });
        for key in written.as_object().unwrap().keys() {
            assert!(Settings::keys().contains(&key.as_str()), "{key}");
        }
        let settings: Settings = serde_json::from_value(written).unwrap();
        assert_eq!(settings.index_name_prefix, ["logs", "app"]);
        assert_eq!((settings.max_age_days, settings.dry_run_only), (7, true));
        assert_eq!(settings.interval(), Ok(Duration::from_secs(7200)));
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_key() {
        let text = |text: &str| text.to_owned();
        for (wrong, key) in [
            (Settings { index_name_prefix: vec![text("")], ..settings() }, "index_name_prefix"),
            (Settings { max_age_days: 0, ..settings() }, "max_age_days"),
            (Settings { date_format: text("YYYY"), ..settings() }, "date_format"),
            (
                Settings { schedule_expression: text("cron(0 3 * * ? *)"), ..settings() },
                "schedule_expression",
            ),
            (
                Settings { schedule_expression: text("rate(0 days)"), ..settings() },
                "schedule_expression",
            ),
            (Settings { cluster: cluster::Settings::default(), ..settings() }, "destination"),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
        assert_eq!(settings().check(), Ok(()));
    }
}
