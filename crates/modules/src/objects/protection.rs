//! What is asked of an S3 server beside keeping the bytes: encryption, checksums, storage class, tags, media type.

use std::collections::BTreeMap;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::{Attribute, Attributes, TagSet};
use serde::Deserialize;

use super::{InvalidDestination, S3Settings};

/// How the server encrypts objects, in the words of S3's `x-amz-server-side-encryption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ServerSideEncryption {
    /// SSE-S3.
    #[serde(rename = "AES256")]
    S3,
    /// SSE-KMS.
    #[serde(rename = "aws:kms")]
    Kms,
    /// DSSE-KMS.
    #[serde(rename = "aws:kms:dsse")]
    DoubleKms,
}

impl ServerSideEncryption {
    /// As the crate `object_store` spells it.
    fn option(self) -> &'static str {
        match self {
            Self::S3 => "AES256",
            Self::Kms => "aws:kms",
            Self::DoubleKms => "aws:kms:dsse",
        }
    }
}

/// A checksum that goes with the bytes, so that the server refuses what was changed on the way, and keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumAlgorithm {
    /// `x-amz-checksum-sha256`.
    Sha256,
    /// `x-amz-checksum-crc64nvme`.
    Crc64Nvme,
}

/// Options of the crate `object_store` that have no other names outside of it.
const ENCRYPTION: &str = "aws_server_side_encryption";
const KMS_KEY_ID: &str = "aws_sse_kms_key_id";
const BUCKET_KEY: &str = "aws_sse_bucket_key_enabled";

fn option(name: &str) -> AmazonS3ConfigKey {
    name.parse().expect("the crate knows its options, and a test sees to it")
}

impl S3Settings {
    pub(super) fn check_protection(&self) -> Result<(), InvalidDestination> {
        let choice = |why: &str| Err(InvalidDestination::Choice(why.to_owned()));
        let with_kms =
            !matches!(self.server_side_encryption, None | Some(ServerSideEncryption::S3));
        match &self.kms_key_id {
            Some(_) if !with_kms => choice(
                "kms_key_id goes with server_side_encryption = \"aws:kms\" or \"aws:kms:dsse\"",
            ),
            Some(id) if !is_header_text(id) => {
                choice("kms_key_id is the id or the ARN of a key, or an alias, in ASCII")
            }
            _ if self.bucket_key
                && self.server_side_encryption != Some(ServerSideEncryption::Kms) =>
            {
                choice("bucket_key goes with server_side_encryption = \"aws:kms\"")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn protect(&self, mut builder: AmazonS3Builder) -> AmazonS3Builder {
        if let Some(encryption) = self.server_side_encryption {
            builder = builder.with_config(option(ENCRYPTION), encryption.option());
        }
        if let Some(id) = &self.kms_key_id {
            builder = builder.with_config(option(KMS_KEY_ID), id);
        }
        if self.bucket_key {
            builder = builder.with_config(option(BUCKET_KEY), "true");
        }
        match self.checksum {
            Some(ChecksumAlgorithm::Sha256) => builder.with_checksum_algorithm(Checksum::SHA256),
            Some(ChecksumAlgorithm::Crc64Nvme) => {
                builder.with_checksum_algorithm(Checksum::CRC64NVME)
            }
            None => builder,
        }
    }
}

/// What is said of each object that is put. A folder has no place for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectProperties {
    /// `Content-Type`.
    pub content_type: Option<&'static str>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'static str>,
    /// The storage class; the server knows which there are.
    pub storage_class: Option<String>,
    /// Tags, at most [`TAGS_MAX`].
    pub tags: BTreeMap<String, String>,
}

/// Tags of an object, as S3 allows them (Amazon S3, "Categorizing your objects using tags").
pub const TAGS_MAX: usize = 10;
const TAG_KEY_CHARACTERS_MAX: usize = 128;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;

impl ObjectProperties {
    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// A storage class or a tag that no server takes.
    pub fn check(&self) -> Result<(), InvalidDestination> {
        let choice = |why: String| Err(InvalidDestination::Choice(why));
        let is_class = |class: &str| {
            let legal =
                |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            !class.is_empty() && class.bytes().all(legal)
        };
        if let Some(class) = &self.storage_class
            && !is_class(class)
        {
            return choice(format!(
                "storage_class {class:?} is none: they are written like STANDARD_IA or GLACIER_IR"
            ));
        }
        if self.tags.len() > TAGS_MAX {
            return choice(format!("tags are {}, and S3 takes {TAGS_MAX}", self.tags.len()));
        }
        for (key, value) in &self.tags {
            let long = key.chars().count() > TAG_KEY_CHARACTERS_MAX
                || value.chars().count() > TAG_VALUE_CHARACTERS_MAX;
            let legal = |symbol: char| symbol.is_alphanumeric() || " +-=._:/@".contains(symbol);
            let is_legal = key.chars().chain(value.chars()).all(legal);
            if key.is_empty() || long || !is_legal || key.starts_with("aws:") {
                return choice(format!(
                    "tags: {key:?} = {value:?} is none: 1 to {TAG_KEY_CHARACTERS_MAX} characters, not beginning with \
                     aws:, and up to {TAG_VALUE_CHARACTERS_MAX} for the value, of letters, digits, spaces and + - = . _ \
                     : / @"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(value) = self.content_type {
            attributes.insert(Attribute::ContentType, value.into());
        }
        if let Some(value) = self.content_encoding {
            attributes.insert(Attribute::ContentEncoding, value.into());
        }
        if let Some(value) = &self.storage_class {
            attributes.insert(Attribute::StorageClass, value.clone().into());
        }
        attributes
    }

    pub(super) fn tag_set(&self) -> TagSet {
        let mut tags = TagSet::default();
        self.tags.iter().for_each(|(key, value)| tags.push(key, value));
        tags
    }
}

fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(text: &str) -> Result<S3Settings, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn encryption_is_written_as_s3_writes_it() {
        for (text, expected) in [
            ("server_side_encryption = 'AES256'", ServerSideEncryption::S3),
            (
                "server_side_encryption = 'aws:kms'\nkms_key_id = 'alias/logs'",
                ServerSideEncryption::Kms,
            ),
            ("server_side_encryption = 'aws:kms:dsse'", ServerSideEncryption::DoubleKms),
        ] {
            let settings = s3(text).unwrap();
            assert_eq!(settings.server_side_encryption, Some(expected));
            assert_eq!(settings.check(), Ok(()));
            let settings = S3Settings { bucket_key: true, ..settings };
            let builder = settings.protect(AmazonS3Builder::new());
            let value = |name: &str| builder.get_config_value(&option(name));
            assert_eq!(value(ENCRYPTION).as_deref(), Some(expected.option()));
            assert_eq!(value(KMS_KEY_ID), settings.kms_key_id);
            assert_eq!(value(BUCKET_KEY).as_deref(), Some("true"));
        }
        assert!(s3("server_side_encryption = 'kms'").is_err());
        for (text, word) in [
            ("kms_key_id = 'x'", "kms_key_id"),
            ("server_side_encryption = 'aws:kms'\nkms_key_id = 'a b'", "kms_key_id"),
            ("server_side_encryption = 'AES256'\nbucket_key = true", "bucket_key"),
        ] {
            assert!(s3(text).unwrap().check().unwrap_err().to_string().contains(word), "{text}");
        }
    }

    #[test]
    fn checksums_are_named() {
        for (name, algorithm) in
            [("sha256", ChecksumAlgorithm::Sha256), ("crc64nvme", ChecksumAlgorithm::Crc64Nvme)]
        {
            let settings = s3(&format!("checksum = '{name}'")).unwrap();
            assert_eq!(settings.checksum, Some(algorithm));
            let builder = settings.protect(AmazonS3Builder::new());
            let value = builder.get_config_value(&AmazonS3ConfigKey::Checksum);
            assert_eq!(value.as_deref(), Some(name));
        }
    }

    #[test]
    fn properties_that_no_server_takes_are_refused() {
        let tags = |pairs: &[(&str, &str)]| ObjectProperties {
            tags: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..ObjectProperties::default()
        };
        let class = |class: &str| ObjectProperties {
            storage_class: Some(class.to_owned()),
            ..ObjectProperties::default()
        };
        assert_eq!(tags(&[("team", "logs / more")]).check(), Ok(()));
        assert_eq!(tags(&[("team", "logs / more")]).tag_set().encoded(), "team=logs+%2F+more");
        assert_eq!(class("GLACIER_IR").check(), Ok(()));
        let many: Vec<_> = (0..11).map(|n| format!("k{n}")).collect();
        let many: Vec<_> = many.iter().map(|key| (key.as_str(), "")).collect();
        for (properties, word) in [
            (tags(&[("", "x")]), "tags"),
            (tags(&[("aws:x", "x")]), "tags"),
            (tags(&[("team", "logs & more")]), "tags"),
            (tags(&[("k", &"x".repeat(257))]), "tags"),
            (tags(&many), "tags are 11"),
            (class("glacier"), "storage_class"),
            (class(""), "storage_class"),
        ] {
            let message = properties.check().unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
