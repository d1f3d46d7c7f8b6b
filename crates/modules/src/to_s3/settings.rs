//! What a user may say about a `kinesis-to-s3` module, and what is wrong with it.

use std::time::Duration;

use serde::Deserialize;

use crate::objects::{InvalidDestination, Location};

/// The settings of a `kinesis-to-s3` module, by the names that they have in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `s3://bucket/prefix` or `file:///folder`.
    pub destination: Option<String>,
    /// Instead of `destination`, as the originals: the bucket.
    pub log_bucket: Option<String>,
    /// With `log_bucket`: stands before every key.
    pub log_path_prefix: Option<String>,
    /// Bytes of lines, before compression, at which the objects of a shard are written. Default
    /// 64 MiB.
    pub buffer_bytes: u64,
    /// Seconds after which they are written at the latest, from the first line on. Default 60.
    pub buffer_seconds: u64,
    /// Bytes of memory that the objects of all shards together may take until they are written;
    /// above this each shard writes what it has. Default 256 MiB.
    pub memory_bytes: u64,
    /// 0 (stored) to 9 (smallest). Default 3.
    pub compression_level: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            destination: None,
            log_bucket: None,
            log_path_prefix: None,
            buffer_bytes: 64 << 20,
            buffer_seconds: 60,
            memory_bytes: 256 << 20,
            compression_level: 3,
        }
    }
}

/// Settings that cannot work; each says which key, why, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Where to.
    #[error(transparent)]
    Destination(#[from] InvalidDestination),
    /// How compressed.
    #[error("compression_level is 0 to 9, not {0}")]
    CompressionLevel(u32),
}

impl Settings {
    /// The keys that the configuration may use.
    pub fn keys() -> &'static [&'static str] {
        crate::settings::keys_of::<Self>()
    }

    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        self.location()?;
        match self.compression_level {
            0..=9 => Ok(()),
            level => Err(InvalidSettings::CompressionLevel(level)),
        }
    }

    /// Where objects go.
    ///
    /// # Errors
    /// No destination, two of them, or one that cannot be.
    pub fn location(&self) -> Result<Location, InvalidDestination> {
        let choice = |why: &str| Err(InvalidDestination::Choice(why.to_owned()));
        match (&self.destination, &self.log_bucket) {
            (Some(url), None) if self.log_path_prefix.is_none() => {
                Location::parse("destination", url)
            }
            (Some(_), None) => choice(
                "log_path_prefix goes with log_bucket; with destination the prefix stands in the URL",
            ),
            (None, Some(bucket)) => {
                let prefix = self.log_path_prefix.as_deref().unwrap_or_default();
                Location::bucket(bucket, prefix).map_err(|why| InvalidDestination::Url {
                    key: "log_bucket",
                    given: bucket.clone(),
                    why,
                })
            }
            (Some(_), Some(_)) => choice("give destination or log_bucket, not both"),
            (None, None) => choice(
                "destination is missing: \"s3://bucket/prefix\", or \"file:///folder\" for a folder",
            ),
        }
    }

    pub(super) fn age_max(&self) -> Duration {
        Duration::from_secs(self.buffer_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn destinations_are_given_as_url_or_as_the_originals_do() {
        let shown = |text: &str| read(text).location().map(|location| location.to_string());
        assert_eq!(shown("destination = 's3://b/p'"), Ok("s3://b/p".to_owned()));
        assert_eq!(shown("log_bucket = 'b'"), Ok("s3://b".to_owned()));
        assert_eq!(
            shown("log_bucket = 'b'\nlog_path_prefix = '/p/q/'"),
            Ok("s3://b/p/q".to_owned())
        );
    }

    #[test]
    fn mistakes_name_their_key() {
        for (text, key) in [
            ("", "destination"),
            ("destination = 's3://b'\nlog_bucket = 'b'", "log_bucket"),
            ("destination = 's3://b'\nlog_path_prefix = 'p'", "log_path_prefix"),
            ("log_bucket = 'a b'", "log_bucket"),
            ("destination = 's3://b'\ncompression_level = 10", "compression_level"),
        ] {
            let message = read(text).check().unwrap_err().to_string();
            assert!(message.contains(key), "{text}: {message}");
        }
        assert!(toml::from_str::<Settings>("buffer_secs = 1").is_err());
        assert!(Settings::keys().contains(&"buffer_seconds"));
    }
}
