//! What a user may say about a `kinesis-to-fluent` module, and what is wrong with it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::endpoint::ServerSettings;
use super::invalid::InvalidSettings;
use super::tag::TagTemplate;
use crate::secret::Secret;
use crate::settings::keys_of;

/// Texts of the handshake are at most this long: Fluent Bit reads a PING of 1023 bytes, of which two
/// digests and a salt take 288.
const NAME_BYTES_MAX: usize = 255;
/// Seconds of any setting at most: a week.
const SECONDS_MAX: u64 = 604_800;

/// The settings of a `kinesis-to-fluent` module, by the names that they have in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `fluent://host:24224`, `fluents://host:24224` for TLS, or the host alone as the originals'
    /// `fluent_sink_endpoint` has it.
    #[serde(alias = "fluent_sink_endpoint")]
    pub destination: String,
    /// Instead of `destination`: several receivers.
    pub servers: Vec<ServerSettings>,
    /// Every event gets the tag `{log_type}.{fluent_tag}`.
    pub fluent_tag: String,
    /// Instead of `fluent_tag`: a template of `{log_type}`, `{stream}`, `{shard}` and `{field:PATH}`.
    pub tag: Option<String>,
    /// What a record is. Default `message`, as the originals.
    pub record_format: RecordFormat,
    /// How precise an event's time is. Default `seconds`, as the originals.
    pub time_precision: TimePrecision,
    /// Whether messages are compressed. Default `none`.
    pub compression: Compression,
    /// 1 (fastest) to 9 (smallest). Default 1.
    pub compression_level: u32,
    /// Bytes of the events of a message at most, before compression; a larger event goes alone.
    /// Default 1 MiB, of which Fluent Bit's input takes six.
    pub chunk_bytes: usize,
    /// How often a message is sent, on a new connection each time, before the mapping is told.
    /// Default 2.
    pub send_attempts: u32,
    /// Seconds that a connection may take: name, TCP, TLS and handshake. Default 5.
    pub connect_seconds: u64,
    /// Seconds to wait for an acknowledgement, or for the receiver to take more. Default 30.
    pub ack_seconds: u64,
    /// Seconds that a connection is used, so that a changed name or a new receiver behind a load
    /// balancer is noticed; 0: a connection for each batch. Default 600.
    pub keep_alive_seconds: u64,
    /// Seconds that a server which failed is left out, doubled up to eight times as long while it
    /// goes on failing. Default 10, as Fluentd's `recover_wait`.
    pub recover_seconds: u64,
    /// The key that this module and the receiver share; each proves to the other that it has it.
    pub shared_key: Option<Secret>,
    /// Who sends, with `password`, where the receiver asks for it.
    pub username: Option<String>,
    /// The password of `username`.
    pub password: Option<Secret>,
    /// The name that this side gives in the handshake; it has to differ from the receiver's.
    pub self_hostname: String,
    /// Certificates (PEM) that receivers are trusted by. Default: those of this machine.
    pub tls_ca_file: Option<PathBuf>,
    /// The name that a receiver's certificate has, and that is asked for (SNI). Default: the host.
    pub tls_server_name: Option<String>,
    /// This side's certificate (PEM), with those that lead to its authority.
    pub tls_client_certificate_file: Option<PathBuf>,
    /// Its private key (PEM).
    pub tls_client_key_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            destination: String::new(),
            servers: Vec::new(),
            fluent_tag: String::new(),
            tag: None,
            record_format: RecordFormat::default(),
            time_precision: TimePrecision::default(),
            compression: Compression::default(),
            compression_level: 1,
            chunk_bytes: 1024 * 1024,
            send_attempts: 2,
            connect_seconds: 5,
            ack_seconds: 30,
            keep_alive_seconds: 600,
            recover_seconds: 10,
            shared_key: None,
            username: None,
            password: None,
            self_hostname: "baikonur".to_owned(),
            tls_ca_file: None,
            tls_server_name: None,
            tls_client_certificate_file: None,
            tls_client_key_file: None,
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

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordFormat {
    /// `{"message": text}`, the text being the whole event in JSON.
    #[default]
    Message,
    /// The event's own fields.
    Fields,
}

/// Whether messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// PackedForward.
    #[default]
    None,
    /// CompressedPackedForward.
    Gzip,
}

/// What this side shows in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) shared_key: Secret,
    pub(super) user: Option<(String, Secret)>,
    pub(super) self_hostname: String,
}

impl Settings {
    /// The largest `chunk_bytes`: far below what a message's length field can say.
    const CHUNK_BYTES_MAX: usize = 1 << 30;

    /// The keys that a configuration may use.
    pub fn keys() -> &'static [&'static str] {
        keys_of::<Self>()
    }

    /// Says what is wrong, if anything is. No file is opened.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let places = self.places()?;
        self.tag_template()?;
        self.credentials()?;
        if !(1..=Self::CHUNK_BYTES_MAX).contains(&self.chunk_bytes) {
            let range = "1 byte to 1 GiB";
            return Err(InvalidSettings::OutOfRange { key: "chunk_bytes", range });
        }
        if !(1..=9).contains(&self.compression_level) {
            let range = "1 (fastest) to 9 (smallest)";
            return Err(InvalidSettings::OutOfRange { key: "compression_level", range });
        }
        if self.send_attempts == 0 {
            let range = "at least 1";
            return Err(InvalidSettings::OutOfRange { key: "send_attempts", range });
        }
        for (key, value) in [
            ("connect_seconds", self.connect_seconds),
            ("ack_seconds", self.ack_seconds),
            ("recover_seconds", self.recover_seconds),
        ] {
            if !(1..=SECONDS_MAX).contains(&value) {
                let range = "1 to 604800 seconds";
                return Err(InvalidSettings::OutOfRange { key, range });
            }
        }
        if self.keep_alive_seconds > SECONDS_MAX {
            let (key, range) = ("keep_alive_seconds", "0 to 604800 seconds");
            return Err(InvalidSettings::OutOfRange { key, range });
        }
        self.check_tls(places.iter().any(|place| place.endpoint.tls))
    }

    fn check_tls(&self, used: bool) -> Result<(), InvalidSettings> {
        let mismatch = |key, why| Err(InvalidSettings::Mismatch { key, why });
        match (&self.tls_client_certificate_file, &self.tls_client_key_file) {
            (Some(_), None) => {
                return mismatch("tls_client_certificate_file", "needs tls_client_key_file");
            }
            (None, Some(_)) => {
                return mismatch("tls_client_key_file", "needs tls_client_certificate_file");
            }
            _ => {}
        }
        let given = [
            ("tls_ca_file", self.tls_ca_file.is_some()),
            ("tls_server_name", self.tls_server_name.is_some()),
            ("tls_client_certificate_file", self.tls_client_certificate_file.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((key, _)) if !used => {
                mismatch(key, "is for TLS, which no address asks for; write fluents:// for it")
            }
            _ => Ok(()),
        }
    }

    /// How tags are made.
    ///
    /// # Errors
    /// Neither or both of `fluent_tag` and `tag`, or one that makes no tags.
    pub fn tag_template(&self) -> Result<TagTemplate, InvalidSettings> {
        let tag = &self.fluent_tag;
        let invalid_tag = |why| InvalidSettings::FluentTag { given: tag.clone(), why };
        match &self.tag {
            Some(_) if !tag.is_empty() => {
                Err(invalid_tag("and tag cannot both be given: tag replaces it"))
            }
            Some(template) => TagTemplate::parse(template).map_err(|error| InvalidSettings::Tag {
                given: template.clone(),
                why: error.to_string(),
            }),
            None if tag.is_empty() => {
                Err(invalid_tag("is missing: events are tagged {log_type}.{fluent_tag}"))
            }
            None if tag.contains(|symbol: char| symbol.is_whitespace() || symbol.is_control()) => {
                Err(invalid_tag("has white space, which no tag may have"))
            }
            None => Ok(TagTemplate::ending_in(tag)),
        }
    }

    pub(super) fn credentials(&self) -> Result<Option<Credentials>, InvalidSettings> {
        let mismatch = |key, why| Err(InvalidSettings::Mismatch { key, why });
        let user = match (&self.username, &self.password) {
            (Some(username), Some(password)) => Some((username.clone(), password.clone())),
            (None, None) => None,
            (Some(_), None) => return mismatch("username", "is given, but no password"),
            (None, Some(_)) => return mismatch("password", "is given, but no username"),
        };
        let lengths = [
            ("self_hostname", self.self_hostname.len()),
            ("username", user.as_ref().map_or(1, |(name, _)| name.len())),
            ("shared_key", self.shared_key.as_ref().map_or(1, |key| key.reveal().len())),
        ];
        for (key, length) in lengths {
            if !(1..=NAME_BYTES_MAX).contains(&length) {
                let range = "1 to 255 bytes long";
                return Err(InvalidSettings::OutOfRange { key, range });
            }
        }
        match (&self.shared_key, user) {
            (None, None) => Ok(None),
            (None, Some(_)) => mismatch(
                "username",
                "needs shared_key: the protocol asks for a user only after the key",
            ),
            (Some(shared_key), user) => Ok(Some(Credentials {
                shared_key: shared_key.clone(),
                user,
                self_hostname: self.self_hostname.clone(),
            })),
        }
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_seconds)
    }

    pub(super) fn ack_timeout(&self) -> Duration {
        Duration::from_secs(self.ack_seconds)
    }

    pub(super) fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive_seconds)
    }

    pub(super) fn recover_wait(&self) -> Duration {
        Duration::from_secs(self.recover_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            destination: "host".to_owned(),
            fluent_tag: "lambda".to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn mistakes_name_their_key() {
        let good = settings();
        assert_eq!(good.check(), Ok(()));
        let text = |text: &str| Some(text.to_owned());
        let secret = |text: &str| Some(Secret::new(text));
        for (bad, key) in [
            (Settings { destination: String::new(), ..good.clone() }, "destination"),
            (Settings { fluent_tag: String::new(), ..good.clone() }, "fluent_tag"),
            (Settings { fluent_tag: "a b".to_owned(), ..good.clone() }, "fluent_tag"),
            (Settings { tag: text("x"), ..good.clone() }, "fluent_tag"),
            (Settings { tag: text("{x"), fluent_tag: String::new(), ..good.clone() }, "tag"),
            (Settings { chunk_bytes: 0, ..good.clone() }, "chunk_bytes"),
            (Settings { compression_level: 10, ..good.clone() }, "compression_level"),
            (Settings { send_attempts: 0, ..good.clone() }, "send_attempts"),
            (Settings { ack_seconds: 0, ..good.clone() }, "ack_seconds"),
            (Settings { recover_seconds: u64::MAX, ..good.clone() }, "recover_seconds"),
            (Settings { keep_alive_seconds: u64::MAX, ..good.clone() }, "keep_alive_seconds"),
            (Settings { username: text("u"), ..good.clone() }, "username"),
            (Settings { password: secret("p"), ..good.clone() }, "password"),
            (Settings { username: text("u"), password: secret("p"), ..good.clone() }, "username"),
            (Settings { shared_key: secret(""), ..good.clone() }, "shared_key"),
            (Settings { self_hostname: "x".repeat(256), ..good.clone() }, "self_hostname"),
            (Settings { tls_ca_file: Some("ca.pem".into()), ..good.clone() }, "tls_ca_file"),
            (Settings { tls_client_key_file: Some("k".into()), ..good }, "tls_client_key_file"),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!(error.key(), key);
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn every_key_is_read() {
        let settings: Settings = toml::from_str(
            "fluent_sink_endpoint = 'h'\nfluent_tag = 't'\ntime_precision = 'nanoseconds'\n\
             chunk_bytes = 1\nsend_attempts = 2\nconnect_seconds = 3\nack_seconds = 4\n\
             servers = [{ address = 'a' }, { address = 'b', weight = 1, standby = true }]\n\
             tag = '{log_type}'\nrecord_format = 'fields'\ncompression = 'gzip'\n\
             compression_level = 6\nkeep_alive_seconds = 5\nrecover_seconds = 6\n\
             shared_key = 'k'\nusername = 'u'\npassword = 'p'\nself_hostname = 'me'\n\
             tls_ca_file = 'ca'\ntls_server_name = 'n'\ntls_client_certificate_file = 'c'\n\
             tls_client_key_file = 'f'",
        )
        .unwrap();
        assert_eq!(settings.destination, "h");
        assert_eq!(settings.time_precision, TimePrecision::Nanoseconds);
        assert_eq!(settings.record_format, RecordFormat::Fields);
        assert_eq!(settings.compression, Compression::Gzip);
        assert_eq!((settings.servers[0].weight, settings.servers[1].standby), (60, true));
        assert!(Settings::keys().contains(&"fluent_sink_endpoint"));
        assert!(toml::from_str::<Settings>("fluent_tags = 't'").is_err());
        assert!(toml::from_str::<Settings>("servers = [{ adress = 'a' }]").is_err());
        let shown = format!("{settings:?}");
        assert!(shown.contains("shared_key: Some(***)"), "{shown}");
    }
}
