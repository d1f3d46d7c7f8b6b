//! What a user may say about a `kinesis-to-es` module, and what is wrong with it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use url::{Host, Url};

use super::index_names;
use crate::settings::keys_of;

/// The settings of a `kinesis-to-es` module, by the names that they have in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `http(s)://host:port[/path]`, or the host alone as the originals' `elasticsearch_host` has it
    /// (https then). A user and a password may stand in the URL.
    #[serde(alias = "elasticsearch_host")]
    pub destination: String,
    /// Every index is `{index_name_prefix}-{log_type}-{YYYYMMDD}`.
    pub index_name_prefix: String,
    /// What a document's `_id` is made from. Default `log_id`.
    pub document_id: DocumentId,
    /// Who writes, with `password`.
    pub username: Option<String>,
    /// The password of `username`.
    pub password: Option<Secret>,
    /// Instead of `username` and `password`: the encoded form that Elasticsearch gives out.
    pub api_key: Option<Secret>,
    /// Documents of a bulk request at most. Default 500, as the originals.
    pub bulk_records: usize,
    /// Bytes of a bulk request at most, before compression; a larger document goes alone.
    /// Default 5 MiB.
    pub bulk_bytes: usize,
    /// Whether requests are compressed. Default: yes, unless the destination is this machine.
    pub gzip: Option<bool>,
    /// How often documents that the cluster was too busy for are sent again before the mapping is
    /// told. Default 4.
    pub busy_retries: u32,
    /// Seconds that a connection may take. Default 5.
    pub connect_seconds: u64,
    /// Seconds that a request may take, from connecting to the last byte of the answer. Default 60.
    pub request_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            destination: String::new(),
            index_name_prefix: String::new(),
            document_id: DocumentId::default(),
            username: None,
            password: None,
            api_key: None,
            bulk_records: 500,
            bulk_bytes: 5 * 1024 * 1024,
            gzip: None,
            busy_retries: 4,
            connect_seconds: 5,
            request_seconds: 60,
        }
    }
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
    /// Elasticsearch makes one up: faster to index, but a retry makes duplicates.
    None,
}

/// A text that no log line shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be sent and not to be shown.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Anonymous,
    Basic { username: String, password: Secret },
    ApiKey(Secret),
}

/// Settings that cannot work; each says which key, why, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// `destination` is no URL of a cluster.
    #[error(
        "destination {given:?} is not the URL of a cluster ({why}); an example: https://es.example.com:9200"
    )]
    Destination {
        /// The text, without a password.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// `index_name_prefix` cannot start an index name.
    #[error("index_name_prefix {given:?} {why}")]
    IndexNamePrefix {
        /// The text.
        given: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Half of a user and password, or both kinds at once.
    #[error("{0}")]
    Credentials(&'static str),
    /// A number that has to be at least 1.
    #[error("{key} must be at least 1")]
    Zero {
        /// The setting.
        key: &'static str,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

impl InvalidSettings {
    /// The key to look at.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Destination { .. } | Self::Client(_) => "destination",
            Self::IndexNamePrefix { .. } => "index_name_prefix",
            Self::Credentials(_) => "username",
            Self::Zero { key } => key,
        }
    }
}

impl Settings {
    /// The keys that a configuration may use.
    pub fn keys() -> &'static [&'static str] {
        keys_of::<Self>()
    }

    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let url = self.url()?;
        self.credentials(&url)?;
        index_names::check_prefix(&self.index_name_prefix)?;
        for (key, value) in [
            ("bulk_records", self.bulk_records as u64),
            ("bulk_bytes", self.bulk_bytes as u64),
            ("connect_seconds", self.connect_seconds),
            ("request_seconds", self.request_seconds),
        ] {
            if value == 0 {
                return Err(InvalidSettings::Zero { key });
            }
        }
        Ok(())
    }

    /// The destination as it may be shown: without a user and a password.
    pub fn shown_destination(&self) -> String {
        self.url().map_or_else(|error| error.to_string(), |url| without_user(&url).to_string())
    }

    /// The destination as a URL, still with a user that stands in it.
    pub(super) fn url(&self) -> Result<Url, InvalidSettings> {
        let given = self.destination.trim();
        let text =
            if given.contains("://") { given.to_owned() } else { format!("https://{given}") };
        let parsed = Url::parse(&text);
        let invalid = |why: String| InvalidSettings::Destination {
            given: parsed
                .as_ref()
                .map_or_else(|_| given.to_owned(), |url| without_user(url).into()),
            why,
        };
        if given.is_empty() {
            return Err(invalid("it is missing".to_owned()));
        }
        let url = parsed.as_ref().map_err(|error| invalid(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!("{}:// is neither http:// nor https://", url.scheme())));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("a path may follow the host, but no ? or #".to_owned()));
        }
        Ok(url.clone())
    }

    pub(super) fn credentials(&self, url: &Url) -> Result<Credentials, InvalidSettings> {
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
        };
        let in_url = (!url.username().is_empty()).then(|| {
            (decoded(url.username()), url.password().map(|password| Secret(decoded(password))))
        });
        let (username, password) = match (&self.username, in_url) {
            (None, Some((username, password))) => (Some(username), password),
            (username, _) => (username.clone(), None),
        };
        match (username, self.password.clone().or(password), &self.api_key) {
            (None, None, None) => Ok(Credentials::Anonymous),
            (None, None, Some(key)) => Ok(Credentials::ApiKey(key.clone())),
            (Some(username), Some(password), None) => Ok(Credentials::Basic { username, password }),
            (_, _, Some(_)) => Err(InvalidSettings::Credentials(
                "give api_key, or username and password, not both",
            )),
            (Some(_), None, None) => {
                Err(InvalidSettings::Credentials("username is given, but no password"))
            }
            (None, Some(_), None) => {
                Err(InvalidSettings::Credentials("password is given, but no username"))
            }
        }
    }

    /// Whether requests to `url` are compressed: on this machine it only costs time.
    pub(super) fn compresses(&self, url: &Url) -> bool {
        self.gzip.unwrap_or_else(|| !match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        })
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_seconds)
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }
}

/// The URL as it may be shown.
pub(super) fn without_user(url: &Url) -> Url {
    let mut shown = url.clone();
    // Fails only for URLs without a host, which have no user either.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(destination: &str) -> Settings {
        Settings {
            destination: destination.to_owned(),
            index_name_prefix: "logs".to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn a_host_alone_is_taken_as_https() {
        let url = settings("search-logs.eu-west-1.es.amazonaws.com").url().unwrap();
        assert_eq!(url.as_str(), "https://search-logs.eu-west-1.es.amazonaws.com/");
        assert_eq!(settings("http://es:9200/a/b").url().unwrap().as_str(), "http://es:9200/a/b");
        assert_eq!(settings("es:9200").url().unwrap().as_str(), "https://es:9200/");
    }

    #[test]
    fn what_is_no_cluster_is_refused_without_showing_a_password() {
        for given in ["", "ftp://u:hush@es", "http://", "http://u:hush@es?a=b", "a b"] {
            let error = settings(given).check().unwrap_err();
            assert_eq!(error.key(), "destination", "{given}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_user_comes_from_the_url_or_from_the_settings() {
        let from_url = settings("https://me:a%40b@es");
        let basic = Credentials::Basic { username: "me".to_owned(), password: Secret::new("a@b") };
        assert_eq!(from_url.credentials(&from_url.url().unwrap()), Ok(basic.clone()));
        let from_settings = Settings {
            username: Some("me".to_owned()),
            password: Some(Secret::new("a@b")),
            ..settings("https://es")
        };
        assert_eq!(from_settings.credentials(&from_settings.url().unwrap()), Ok(basic));
        let both = Settings { api_key: Some(Secret::new("k")), ..from_settings };
        assert_eq!(both.check().unwrap_err().key(), "username");
    }

    #[test]
    fn secrets_do_not_show() {
        let shown =
            format!("{:?}", Settings { password: Some(Secret::new("hush")), ..settings("es") });
        assert!(shown.contains("***") && !shown.contains("hush"));
    }

    #[test]
    fn this_machine_gets_no_gzip_unless_told() {
        for (destination, gzip) in [
            ("http://localhost:9200", false),
            ("http://127.0.0.1:9200", false),
            ("http://[::1]:9200", false),
            ("https://es.example.com", true),
        ] {
            let mut settings = settings(destination);
            let url = settings.url().unwrap();
            assert_eq!(settings.compresses(&url), gzip, "{destination}");
            settings.gzip = Some(!gzip);
            assert_eq!(settings.compresses(&url), !gzip, "{destination}");
        }
    }

    #[test]
    fn every_key_is_read() {
        let written = serde_json::json!({
            "elasticsearch_host": "es", "index_name_prefix": "logs", "document_id": "origin",
            "username": "u", "password": "p", "api_key": "k", "bulk_records": 1, "bulk_bytes": 2,
            "gzip": true, "busy_retries": 3, "connect_seconds": 4, "request_seconds": 5,
        });
        for key in written.as_object().unwrap().keys() {
            assert!(Settings::keys().contains(&key.as_str()), "{key}");
        }
        let settings: Settings = serde_json::from_value(written).unwrap();
        assert_eq!(settings.destination, "es");
        assert_eq!(settings.document_id, DocumentId::Origin);
        assert_eq!((settings.bulk_records, settings.bulk_bytes, settings.gzip), (1, 2, Some(true)));
        assert_eq!(settings.busy_retries, 3);
        assert_eq!((settings.connect_seconds, settings.request_seconds), (4, 5));
    }
}
