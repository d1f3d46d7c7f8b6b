//! What a user may say about a `kinesis-to-fluent` module, and what is wrong with it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::settings::keys_of;

/// The port of the Forward protocol.
const PORT: u16 = 24224;

/// The settings of a `kinesis-to-fluent` module, by the names that they have in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `fluent://host:24224`, or the host alone as the originals' `fluent_sink_endpoint` has it.
    #[serde(alias = "fluent_sink_endpoint")]
    pub destination: String,
    /// Every event gets the tag `{log_type}.{fluent_tag}`.
    pub fluent_tag: String,
    /// How precise an event's time is. Default `seconds`, as the originals.
    pub time_precision: TimePrecision,
    /// Bytes of a message at most; a larger event goes alone. Default 1 MiB, of which Fluent Bit's
    /// input takes six.
    pub chunk_bytes: usize,
    /// How often a batch is sent, each time what was not acknowledged and on a new connection,
    /// before the mapping is told. Default 2.
    pub send_attempts: u32,
    /// Seconds that a connection may take. Default 5.
    pub connect_seconds: u64,
    /// Seconds to wait for an acknowledgement, or for the receiver to take more. Default 30.
    pub ack_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            destination: String::new(),
            fluent_tag: String::new(),
            time_precision: TimePrecision::default(),
            chunk_bytes: 1024 * 1024,
            send_attempts: 2,
            connect_seconds: 5,
            ack_seconds: 30,
        }
    }
}

/// How precise an event's time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimePrecision {
    /// Whole seconds, as an integer.
    #[default]
    Seconds,
    /// Nanoseconds, as the protocol's `EventTime`.
    Nanoseconds,
}

/// Where a receiver listens. Its name is looked up at each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            return write!(f, "fluent://[{host}]:{port}");
        }
        write!(f, "fluent://{host}:{port}")
    }
}

/// Settings that cannot work; each says which key, why, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// `destination` is no address of a receiver.
    #[error(
        "destination {given:?} is not the address of a Fluent receiver ({why}); an example: fluent://host:24224"
    )]
    Destination {
        /// The text.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// `fluent_tag` cannot end a tag.
    #[error("fluent_tag {given:?} {why}")]
    FluentTag {
        /// The text.
        given: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A number outside of its range.
    #[error("{key} must be {range}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// What it may be.
        range: &'static str,
    },
}

impl InvalidSettings {
    /// The key to look at.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Destination { .. } => "destination",
            Self::FluentTag { .. } => "fluent_tag",
            Self::OutOfRange { key, .. } => key,
        }
    }
}

impl Settings {
    /// The largest `chunk_bytes`: far below what a message's length field can say.
    const CHUNK_BYTES_MAX: usize = 1 << 30;

    /// The keys that a configuration may use.
    pub fn keys() -> &'static [&'static str] {
        keys_of::<Self>()
    }

    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        self.endpoint()?;
        let tag = &self.fluent_tag;
        let invalid_tag = |why| InvalidSettings::FluentTag { given: tag.clone(), why };
        if tag.is_empty() {
            return Err(invalid_tag("is missing: events are tagged {log_type}.{fluent_tag}"));
        }
        if tag.contains(|symbol: char| symbol.is_whitespace() || symbol.is_control()) {
            return Err(invalid_tag("has white space, which no tag may have"));
        }
        if !(1..=Self::CHUNK_BYTES_MAX).contains(&self.chunk_bytes) {
            let range = "1 byte to 1 GiB";
            return Err(InvalidSettings::OutOfRange { key: "chunk_bytes", range });
        }
        for (key, value) in [
            ("send_attempts", u64::from(self.send_attempts)),
            ("connect_seconds", self.connect_seconds),
            ("ack_seconds", self.ack_seconds),
        ] {
            if value == 0 {
                return Err(InvalidSettings::OutOfRange { key, range: "at least 1" });
            }
        }
        Ok(())
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, InvalidSettings> {
        let given = self.destination.trim();
        let invalid = |why: &str| InvalidSettings::Destination {
            given: given.to_owned(),
            why: why.to_owned(),
        };
        if given.is_empty() {
            return Err(invalid("it is missing"));
        }
        let text =
            if given.contains("://") { given.to_owned() } else { format!("fluent://{given}") };
        let url = Url::parse(&text).map_err(|error| invalid(&error.to_string()))?;
        if url.scheme() != "fluent" {
            return Err(invalid("it does not start with fluent://"));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        let bare = url.username().is_empty() && url.password().is_none();
        if !bare || !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(invalid("it has more than a host and a port"));
        }
        Ok(Endpoint { host: host.to_owned(), port: url.port().unwrap_or(PORT) })
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_seconds)
    }

    pub(super) fn ack_timeout(&self) -> Duration {
        Duration::from_secs(self.ack_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(destination: &str) -> Settings {
        Settings {
            destination: destination.to_owned(),
            fluent_tag: "lambda".to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn an_endpoint_is_a_url_or_a_host_with_or_without_port() {
        for (given, shown) in [
            ("fluent://host", "fluent://host:24224"),
            ("fluent://host:1/", "fluent://host:1"),
            ("internal-nlb.example.com", "fluent://internal-nlb.example.com:24224"),
            ("10.0.0.1:5170", "fluent://10.0.0.1:5170"),
            ("fluent://[::1]:9", "fluent://[::1]:9"),
        ] {
            assert_eq!(settings(given).endpoint().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_receiver_is_refused() {
        for given in
            ["", "http://host", "fluent://", "fluent://host/path", "fluent://u:p@host", "a b"]
        {
            assert_eq!(settings(given).check().unwrap_err().key(), "destination", "{given}");
        }
    }

    #[test]
    fn mistakes_name_their_key() {
        let good = settings("host");
        assert_eq!(good.check(), Ok(()));
        for (bad, key) in [
            (Settings { fluent_tag: String::new(), ..good.clone() }, "fluent_tag"),
            (Settings { fluent_tag: "a b".to_owned(), ..good.clone() }, "fluent_tag"),
            (Settings { chunk_bytes: 0, ..good.clone() }, "chunk_bytes"),
            (Settings { send_attempts: 0, ..good.clone() }, "send_attempts"),
            (Settings { ack_seconds: 0, ..good }, "ack_seconds"),
        ] {
            assert_eq!(bad.check().unwrap_err().key(), key);
        }
    }

    #[test]
    fn every_key_is_read() {
        let settings: Settings = toml::from_str(
            "fluent_sink_endpoint = 'h'\nfluent_tag = 't'\ntime_precision = 'nanoseconds'\n\
             chunk_bytes = 1\nsend_attempts = 2\nconnect_seconds = 3\nack_seconds = 4",
        )
        .unwrap();
        assert_eq!(settings.destination, "h");
        assert_eq!(settings.time_precision, TimePrecision::Nanoseconds);
        assert!(Settings::keys().contains(&"fluent_sink_endpoint"));
        assert!(toml::from_str::<Settings>("fluent_tags = 't'").is_err());
    }
}
