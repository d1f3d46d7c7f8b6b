//! Where objects go, as the configuration says it: a URL, and how to reach an S3 server that is not
//! Amazon's.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use crate::settings::is_on_this_machine;

use super::protection::{ChecksumAlgorithm, ServerSideEncryption};

/// A bucket or a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `s3://bucket/prefix`.
    S3 {
        /// The bucket.
        bucket: String,
        /// Stands before every key, without slashes around it; may be empty.
        prefix: String,
    },
    /// `file:///folder`, or `file://./folder` from the working directory on.
    Folder(PathBuf),
}

/// How to reach the server of an `s3://` destination. Credentials come from the environment
/// (`AWS_ACCESS_KEY_ID`, web identity, container or instance role), never from the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Settings {
    /// The URL of an S3-compatible server. Default: `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, or
    /// Amazon S3.
    pub endpoint: Option<String>,
    /// The bucket's region. Default: `AWS_REGION`, `AWS_DEFAULT_REGION`, or `us-east-1`.
    pub region: Option<String>,
    /// Whether `http://` may be spoken to a host that is not this machine. Default false.
    pub allow_http: bool,
    /// Whether the bucket stands in the path (`https://host/bucket/key`), or before the host
    /// (`https://bucket.host/key`). Default true, which every server understands.
    pub path_style: Option<bool>,
    /// How the server encrypts what it is given. Default: as the bucket says.
    pub server_side_encryption: Option<ServerSideEncryption>,
    /// The key of KMS. Default: the account's own for S3.
    pub kms_key_id: Option<String>,
    /// Whether KMS is asked once for many objects (S3 Bucket Keys). Default: as the bucket says.
    pub bucket_key: bool,
    /// A checksum that goes with each object. Default none: requests are signed over their content as it is.
    pub checksum: Option<ChecksumAlgorithm>,
}

/// A destination that cannot be; says which key, why, and what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDestination {
    /// Not a URL of a bucket or folder.
    #[error(
        "{key} {given:?} {why}; examples: \"s3://bucket/prefix\", \"file:///var/log/archive\", \"file://./archive\""
    )]
    Url {
        /// The setting.
        key: &'static str,
        /// The text.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// Two settings that mean the same, or none.
    #[error("{0}")]
    Choice(String),
    /// The endpoint cannot be used.
    #[error("endpoint {given:?} {why}")]
    Endpoint {
        /// The text.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// The client cannot be set up.
    #[error("destination {shown} cannot be set up: {why}")]
    Client {
        /// The destination.
        shown: String,
        /// What is wrong.
        why: String,
    },
}

impl Location {
    /// Reads a URL, the value of the setting `key`.
    ///
    /// # Errors
    /// What is no `s3://bucket/prefix` and no `file://folder`.
    pub fn parse(key: &'static str, given: &str) -> Result<Self, InvalidDestination> {
        let invalid = |why: &str| InvalidDestination::Url {
            key,
            given: given.to_owned(),
            why: why.to_owned(),
        };
        if let Some(rest) = given.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            return Self::bucket(bucket, prefix).map_err(|why| invalid(&why));
        }
        let Some(folder) = given.strip_prefix("file://") else {
            return Err(invalid("is neither s3:// nor file://"));
        };
        let folder = percent_decode_str(folder).decode_utf8();
        let folder = folder.map_err(|_| invalid("is not UTF-8"))?;
        if !folder.starts_with(['/', '.']) {
            return Err(invalid("names a host: a third slash, or a dot, has to follow file://"));
        }
        Self::folder(Path::new(&*folder)).map_err(|why| invalid(&why))
    }

    /// The bucket and prefix as the originals' settings have them, one by one.
    ///
    /// # Errors
    /// What is wrong with them, to stand behind their name.
    pub fn bucket(bucket: &str, prefix: &str) -> Result<Self, String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(legal) {
            return Err(format!("has no bucket name: {bucket:?} is none"));
        }
        let prefix = prefix.trim_matches('/');
        object_store::path::Path::parse(prefix)
            .map_err(|_| format!("has a prefix that is no key: {prefix:?}"))?;
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// A folder, made absolute.
    ///
    /// # Errors
    /// What is wrong with it, to stand behind its name.
    pub fn folder(path: &Path) -> Result<Self, String> {
        let absolute =
            std::path::absolute(path).map_err(|error| format!("is no path ({error})"))?;
        let mut clean = PathBuf::new();
        for component in absolute.components() {
            match component {
                std::path::Component::ParentDir => _ = clean.pop(),
                component => clean.push(component),
            }
        }
        Ok(Self::Folder(clean))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Folder(path) => write!(f, "file://{}", path.display()),
        }
    }
}

impl S3Settings {
    /// The keys that the configuration may use.
    pub fn keys() -> &'static [&'static str] {
        crate::settings::keys_of::<Self>()
    }

    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// An endpoint that cannot be used, or options that do not go together.
    pub fn check(&self) -> Result<(), InvalidDestination> {
        self.checked_endpoint()?;
        self.check_protection()
    }

    /// The endpoint of a bucket with the bucket before the host, which is how the `object_store` crate wants it.
    pub(super) fn bucket_endpoint(&self, endpoint: &str, bucket: &str) -> String {
        match endpoint.split_once("://") {
            Some((scheme, host)) if self.path_style == Some(false) => {
                format!("{scheme}://{bucket}.{host}")
            }
            _ => endpoint.to_owned(),
        }
    }

    /// The endpoint, if one is set, and whether it is plain HTTP.
    pub(super) fn checked_endpoint(&self) -> Result<Option<(&str, bool)>, InvalidDestination> {
        let Some(given) = self.endpoint.as_deref() else {
            return Ok(None);
        };
        let invalid = |why: String| InvalidDestination::Endpoint { given: given.to_owned(), why };
        let url = Url::parse(given).map_err(|error| invalid(format!("is no URL ({error})")))?;
        let this_machine = is_on_this_machine(&url);
        match url.scheme() {
            "https" => Ok(Some((given, false))),
            "http" if this_machine || self.allow_http => Ok(Some((given, true))),
            "http" => Err(invalid(
                "would send logs unencrypted: use https, or say allow_http = true".to_owned(),
            )),
            scheme => Err(invalid(format!("has to be http:// or https://, not {scheme}://"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &str) -> Result<Location, InvalidDestination> {
        Location::parse("destination", given)
    }

    #[test]
    fn buckets_and_folders_are_read() {
        let s3 = |bucket: &str, prefix: &str| {
            Ok(Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!(parse("s3://logs"), s3("logs", ""));
        assert_eq!(parse("s3://logs/"), s3("logs", ""));
        assert_eq!(parse("s3://logs/a/b/"), s3("logs", "a/b"));
        assert_eq!(parse("file:///a/b/"), Ok(Location::Folder("/a/b".into())));
        assert_eq!(parse("file:///a%20b"), Ok(Location::Folder("/a b".into())));
        assert_eq!(parse("file:///a/../b"), Ok(Location::Folder("/b".into())));
        let here = std::env::current_dir().unwrap();
        assert_eq!(parse("file://./archive"), Ok(Location::Folder(here.join("archive"))));
        assert_eq!(parse("s3://logs/a").unwrap().to_string(), "s3://logs/a");
        assert_eq!(parse("file:///a").unwrap().to_string(), "file:///a");
    }

    #[test]
    fn mistakes_are_explained_with_an_example() {
        for given in
            ["", "/archive", "s3://", "s3:///a", "s3://a b", "s3://b/x//y", "file://host/a"]
        {
            let message = parse(given).unwrap_err().to_string();
            assert!(message.starts_with("destination \""), "{message}");
            assert!(message.contains("s3://bucket/prefix"), "{message}");
        }
    }

    #[test]
    fn the_bucket_stands_in_the_path_or_before_the_host() {
        let endpoint = |path_style| {
            let settings = S3Settings { path_style, ..S3Settings::default() };
            settings.bucket_endpoint("https://s3.example.com:9000", "logs")
        };
        assert_eq!(endpoint(None), "https://s3.example.com:9000");
        assert_eq!(endpoint(Some(true)), "https://s3.example.com:9000");
        assert_eq!(endpoint(Some(false)), "https://logs.s3.example.com:9000");
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_allowed() {
        let endpoint = |given: &str, allow_http| {
            let endpoint = Some(given.to_owned());
            let settings = S3Settings { endpoint, allow_http, ..S3Settings::default() };
            settings.checked_endpoint().map(|endpoint| endpoint.map(|(_, http)| http))
        };
        assert_eq!(endpoint("https://minio.example.com", false), Ok(Some(false)));
        assert_eq!(endpoint("http://127.0.0.1:9000", false), Ok(Some(true)));
        assert_eq!(endpoint("http://[::1]:9000", false), Ok(Some(true)));
        assert_eq!(endpoint("http://minio:9000", true), Ok(Some(true)));
        assert!(
            endpoint("http://minio:9000", false).unwrap_err().to_string().contains("allow_http")
        );
        assert!(endpoint("minio:9000", true).is_err());
        assert_eq!(S3Settings::keys()[..3], ["endpoint", "region", "allow_http"]);
    }
}
