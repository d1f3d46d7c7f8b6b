//! What a user may say about how a cluster is reached, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::amazon::{self, AwsService};
use crate::Secret;
use crate::settings::{is_on_this_machine, keys_of, list_or_commas};

/// How a cluster is reached, by the names that the settings have in the configuration.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `http(s)://host:port[/path]` of one node or of several, or the host alone as the originals'
    /// `elasticsearch_host` has it (https then). A user and a password may stand in the URL.
    #[serde(alias = "elasticsearch_host", deserialize_with = "list_or_commas")]
    pub destination: Vec<String>,
    /// Who calls, with `password`.
    pub username: Option<String>,
    /// The password of `username`.
    pub password: Option<Secret>,
    /// Instead of `username` and `password`: the encoded form that Elasticsearch gives out.
    pub api_key: Option<Secret>,
    /// Certificates in PEM that the cluster is trusted by, instead of those of this machine.
    pub ca_file: Option<PathBuf>,
    /// What requests are signed for. Default: what a host name of Amazon's says, unless there are other credentials.
    pub aws_service: Option<AwsService>,
    /// The region of signatures. Default: that of the host name, else as every AWS tool finds it.
    pub aws_region: Option<String>,
    /// A profile of `~/.aws/config` to sign with.
    pub aws_profile: Option<String>,
    /// Whether requests are compressed. Default: yes, unless the destination is this machine.
    pub gzip: Option<bool>,
    /// Seconds that a connection may take. Default 5.
    pub connect_seconds: u64,
    /// Seconds that a request may take, from connecting to the last byte of the answer. Default 60.
    pub request_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            destination: Vec::new(),
            username: None,
            password: None,
            api_key: None,
            ca_file: None,
            aws_service: None,
            aws_region: None,
            aws_profile: None,
            gzip: None,
            connect_seconds: 5,
            request_seconds: 60,
        }
    }
}

/// A password may stand in `destination`.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By name, so that none is forgotten.
        let Self {
            destination,
            username,
            password,
            api_key,
            ca_file,
            aws_service,
            aws_region,
            aws_profile,
            gzip,
            connect_seconds,
            request_seconds,
        } = self;
        let destination: Vec<_> = destination.iter().map(|given| masked(given)).collect();
        f.debug_struct("Settings")
            .field("destination", &destination)
            .field("username", username)
            .field("password", password)
            .field("api_key", api_key)
            .field("ca_file", ca_file)
            .field("aws_service", aws_service)
            .field("aws_region", aws_region)
            .field("aws_profile", aws_profile)
            .field("gzip", gzip)
            .field("connect_seconds", connect_seconds)
            .field("request_seconds", request_seconds)
            .finish()
    }
}

/// As whom requests are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Anonymous,
    Basic {
        username: String,
        password: Secret,
    },
    ApiKey(Secret),
    /// Signed; the region is none where only the environment can tell it.
    Signed {
        service: AwsService,
        region: Option<String>,
    },
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
    /// Half of a user and password, or several kinds at once.
    #[error("{0}")]
    Credentials(&'static str),
    /// A number that has to be at least 1.
    #[error("{key} must be at least 1")]
    Zero {
        /// The setting.
        key: &'static str,
    },
    /// The certificates cannot be used.
    #[error("ca_file {file}: {why}")]
    Certificates {
        /// The setting.
        file: String,
        /// What is wrong.
        why: String,
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
            Self::Credentials(_) => "username",
            Self::Zero { key } => key,
            Self::Certificates { .. } => "ca_file",
        }
    }
}

impl Settings {
    /// The keys that a configuration may use.
    pub fn keys() -> &'static [&'static str] {
        keys_of::<Self>()
    }

    /// Says what is wrong, if anything is. No file is opened.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        self.credentials(&self.urls()?)?;
        for (key, value) in
            [("connect_seconds", self.connect_seconds), ("request_seconds", self.request_seconds)]
        {
            if value == 0 {
                return Err(InvalidSettings::Zero { key });
            }
        }
        Ok(())
    }

    /// The destination as it may be shown: without a user and a password.
    pub fn shown_destination(&self) -> String {
        match self.urls() {
            Ok(urls) => {
                let shown = urls.iter().map(|url| without_user(url).to_string());
                shown.collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        }
    }

    /// Whether requests are signed for a service of Amazon's.
    pub fn is_signed(&self) -> bool {
        let credentials = self.urls().and_then(|urls| self.credentials(&urls));
        matches!(credentials, Ok(Credentials::Signed { .. }))
    }

    /// The nodes, still with a user that stands in one of them; at least one.
    pub(super) fn urls(&self) -> Result<Vec<Url>, InvalidSettings> {
        let given = self.destination.iter().map(|given| given.trim());
        let urls =
            given.filter(|given| !given.is_empty()).map(url).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            let why = "it is missing".to_owned();
            return Err(InvalidSettings::Destination { given: String::new(), why });
        }
        Ok(urls)
    }

    pub(super) fn credentials(&self, urls: &[Url]) -> Result<Credentials, InvalidSettings> {
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
        };
        let mut in_urls = urls.iter().filter(|url| !url.username().is_empty()).map(|url| {
            (decoded(url.username()), url.password().map(|password| Secret::new(decoded(password))))
        });
        let in_url = in_urls.next();
        if in_urls.any(|other| Some(other) != in_url) {
            return Err(InvalidSettings::Credentials(
                "the nodes of destination name several users: all are called as one",
            ));
        }
        let (username, password) = match (&self.username, in_url) {
            (None, Some((username, password))) => (Some(username), password),
            (username, _) => (username.clone(), None),
        };
        let signed = self.signed(urls)?;
        let is_asked_for = self.aws_service.is_some_and(|service| service != AwsService::None);
        match (username, self.password.clone().or(password), &self.api_key) {
            (None, None, None) => Ok(signed.unwrap_or(Credentials::Anonymous)),
            _ if is_asked_for => Err(InvalidSettings::Credentials(
                "give aws_service, api_key, or username and password, one of them alone",
            )),
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

    /// What requests are signed for, if nothing else says who calls.
    fn signed(&self, urls: &[Url]) -> Result<Option<Credentials>, InvalidSettings> {
        let of_host = urls.iter().find_map(|url| amazon::of_host(url.host_str()?));
        let service = match (self.aws_service, of_host) {
            (Some(AwsService::None), _) | (None, None) => return Ok(None),
            (Some(service), _) | (None, Some((service, _))) => service,
        };
        if service == AwsService::Aoss && urls.len() > 1 {
            return Err(InvalidSettings::Credentials(
                "aws_service aoss has one endpoint: destination names several nodes",
            ));
        }
        let region =
            self.aws_region.clone().or_else(|| of_host.map(|(_, region)| region.to_owned()));
        Ok(Some(Credentials::Signed { service, region }))
    }

    /// Whether requests to `url` are compressed: on this machine it only costs time.
    pub(super) fn compresses(&self, url: &Url) -> bool {
        self.gzip.unwrap_or_else(|| !is_on_this_machine(url))
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_seconds)
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }
}

fn url(given: &str) -> Result<Url, InvalidSettings> {
    let text = if given.contains("://") { given.to_owned() } else { format!("https://{given}") };
    // A text that is wrong may have its password anywhere: in what passes for a port or a path.
    let invalid = |why: String| InvalidSettings::Destination { given: masked(given), why };
    let url = Url::parse(&text).map_err(|error| invalid(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!("{}:// is neither http:// nor https://", url.scheme())));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("a path may follow the host, but no ? or #".to_owned()));
    }
    if url.path().contains('@') {
        let why = "an @ stands behind the host: in a password, / is written %2F";
        return Err(invalid(why.to_owned()));
    }
    Ok(url)
}

/// What was given as a URL, as it may be shown: without whatever can be a user or a password.
fn masked(given: &str) -> String {
    let is_scheme = |text: &str| text.chars().all(|symbol| symbol.is_ascii_alphanumeric());
    let (scheme, rest) = match given.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}://"), rest),
        _ => (String::new(), given),
    };
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, place)| ("***@", place));
    let place = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    // The half of a password that has a comma in it passes for a port.
    let host = match host.rsplit_once(':') {
        Some((name, port)) if !port.bytes().all(|byte| byte.is_ascii_digit() || byte == b']') => {
            format!("{name}:***")
        }
        _ => host.to_owned(),
    };
    format!("{scheme}{user}{host}{path}")
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
mod tests;
