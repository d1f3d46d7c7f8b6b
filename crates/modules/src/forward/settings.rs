//! What a user may say about a `kinesis-forward` module.

use baikonur_stream::StreamName;
use serde::Deserialize;

/// The settings of a `kinesis-forward` module, by the names that they have in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The stream that records are put into.
    pub target_stream_name: StreamName,
    /// Accepted because the originals take it. What is not put is tried again by the mapping, whose
    /// `maximum_retry_attempts` decides how often; nothing is dropped in between.
    #[serde(default)]
    pub kinesis_max_retries: Option<u32>,
}

impl Settings {
    /// The keys that the configuration may use.
    pub fn keys() -> &'static [&'static str] {
        crate::settings::keys_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_originals_are_read() {
        let settings: Settings =
            toml::from_str("target_stream_name = 'b'\nkinesis_max_retries = 3").unwrap();
        assert_eq!(settings.target_stream_name.as_str(), "b");
        assert_eq!(settings.kinesis_max_retries, Some(3));
        assert_eq!(Settings::keys(), ["target_stream_name", "kinesis_max_retries"]);
        for wrong in ["", "target_stream_name = 'a b'", "target_stream_name = 'b'\nx = 1"] {
            assert!(toml::from_str::<Settings>(wrong).is_err(), "{wrong}");
        }
    }
}
