//! What a user may say about a `kinesis-to-s3` module, and what is wrong with it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::table::{ColumnType, InvalidColumns, NestedObjects, check_columns};
use crate::objects::codec::{Codec, Format, LINES_MEDIA_TYPE, PARQUET_MEDIA_TYPE};
use crate::objects::layout::{KEY_BYTES_MAX, Layout, ORIGINALS};
use crate::objects::template::InvalidTemplate;
use crate::objects::{InvalidDestination, Location, ObjectProperties};

/// The level of codecs that have levels.
const COMPRESSION_LEVEL: u32 = 3;
/// Row groups smaller than this make files of many parts, larger ones take too much memory.
const ROW_GROUP_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 30;

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
    /// `originals`, `hive`, or a folder with places in braces. Default `originals`.
    pub key_layout: String,
    /// Lines of JSON, or Parquet. Default `ndjson`.
    pub format: Format,
    /// How objects are compressed. Default gzip for lines, zstd for Parquet.
    pub compression: Option<Codec>,
    /// gzip: 0 (stored) to 9 (smallest); zstd: 1 to 19. Default 3.
    pub compression_level: Option<u32>,
    /// Whether a server is told that objects are lines in a content coding, so that clients of HTTP decompress them by
    /// themselves. Default false: they are files of their codec.
    pub content_encoding: bool,
    /// Bytes of lines, before compression, at which the objects of a shard are written. Default
    /// 64 MiB.
    pub buffer_bytes: u64,
    /// Lines at which they are written. Default: as many as come.
    pub buffer_records: Option<u64>,
    /// Seconds after which they are written at the latest, from the first line on. Default 60.
    pub buffer_seconds: u64,
    /// Bytes of memory that the objects of all shards together may take until they are written;
    /// above this each shard writes what it has. Default 256 MiB.
    pub memory_bytes: u64,
    /// Bytes of lines that become a row group of Parquet, 1 MiB to 1 GiB. Default 64 MiB.
    pub row_group_bytes: u64,
    /// What becomes of objects within a record in Parquet. Default `struct`.
    pub nested_objects: NestedObjects,
    /// The columns of a log type in Parquet, or of all others with `*`. Default: what its records have.
    pub columns: BTreeMap<String, BTreeMap<String, ColumnType>>,
    /// The storage class of objects. Default: as the bucket says.
    pub storage_class: Option<String>,
    /// Tags of objects.
    pub tags: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            destination: None,
            log_bucket: None,
            log_path_prefix: None,
            key_layout: ORIGINALS.to_owned(),
            format: Format::Ndjson,
            compression: None,
            compression_level: None,
            content_encoding: false,
            buffer_bytes: 64 << 20,
            buffer_records: None,
            buffer_seconds: 60,
            memory_bytes: 256 << 20,
            row_group_bytes: 64 << 20,
            nested_objects: NestedObjects::Struct,
            columns: BTreeMap::new(),
            storage_class: None,
            tags: BTreeMap::new(),
        }
    }
}

/// Settings that cannot work; each says which key, why, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Where to, or how it is kept there.
    #[error(transparent)]
    Destination(#[from] InvalidDestination),
    /// Under which keys.
    #[error("key_layout {0}")]
    KeyLayout(#[from] InvalidTemplate),
    /// Keys would be longer than S3 takes.
    #[error(
        "the prefix {prefix:?} has {} bytes, and keys of this key_layout leave {room} of the {KEY_BYTES_MAX} that S3 takes",
        prefix.len()
    )]
    Prefix {
        /// What stands before every key.
        prefix: String,
        /// Bytes that it may have.
        room: usize,
    },
    /// How compressed.
    #[error("compression_level is {levels} for {codec}, not {given}")]
    CompressionLevel {
        /// What was given.
        given: u32,
        /// The codec.
        codec: &'static str,
        /// What it takes.
        levels: String,
    },
    /// Not within Parquet.
    #[error("compression is \"zstd\", \"snappy\" or \"none\" for format = \"parquet\", not {0:?}")]
    ParquetCompression(&'static str),
    /// Out of range.
    #[error("row_group_bytes is 1048576 to 1073741824, not {0}")]
    RowGroupBytes(u64),
    /// Nothing would ever be kept together.
    #[error("buffer_records is 1 at least")]
    BufferRecords,
    /// The columns of a log type.
    #[error("columns: {0}")]
    Columns(#[from] InvalidColumns),
    /// Keys that only Parquet has a use for.
    #[error("{0} goes with format = \"parquet\"")]
    OnlyParquet(&'static str),
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
        let room = KEY_BYTES_MAX.saturating_sub(self.layout()?.key_bytes_max() + 1);
        if let Location::S3 { prefix, .. } = self.location()?
            && prefix.len() > room
        {
            return Err(InvalidSettings::Prefix { prefix, room });
        }
        self.properties().check()?;
        self.check_compression()?;
        if self.buffer_records == Some(0) {
            return Err(InvalidSettings::BufferRecords);
        }
        if !ROW_GROUP_BYTES.contains(&self.row_group_bytes) {
            return Err(InvalidSettings::RowGroupBytes(self.row_group_bytes));
        }
        if self.format == Format::Ndjson && !self.columns.is_empty() {
            return Err(InvalidSettings::OnlyParquet("columns"));
        }
        self.columns.iter().try_for_each(|(log_type, columns)| check_columns(log_type, columns))?;
        Ok(())
    }

    fn check_compression(&self) -> Result<(), InvalidSettings> {
        let codec = self.codec();
        if self.format == Format::Parquet && matches!(codec, Codec::Gzip | Codec::HadoopSnappy) {
            return Err(InvalidSettings::ParquetCompression(codec.name()));
        }
        let Some(given) = self.compression_level else { return Ok(()) };
        let levels = codec.levels();
        if levels.as_ref().is_some_and(|levels| levels.contains(&given)) {
            return Ok(());
        }
        let levels = levels.map_or_else(
            || "not a setting".to_owned(),
            |levels| format!("{} to {}", levels.start(), levels.end()),
        );
        Err(InvalidSettings::CompressionLevel { given, codec: codec.name(), levels })
    }

    /// How objects are compressed.
    pub fn codec(&self) -> Codec {
        self.compression.unwrap_or(match self.format {
            Format::Ndjson => Codec::Gzip,
            Format::Parquet => Codec::Zstd,
        })
    }

    pub(super) fn level(&self) -> u32 {
        self.compression_level.unwrap_or(COMPRESSION_LEVEL)
    }

    /// How keys are made.
    ///
    /// # Errors
    /// What is wrong with a template.
    pub fn layout(&self) -> Result<Layout, InvalidTemplate> {
        Layout::parse(&self.key_layout, self.format, self.codec())
    }

    /// What a server is told of each object.
    pub fn properties(&self) -> ObjectProperties {
        let codec = self.codec();
        let coding = codec.content_coding().filter(|_| self.content_encoding);
        let (content_type, content_encoding) = match (self.format, coding) {
            (Format::Parquet, _) => (PARQUET_MEDIA_TYPE, None),
            (Format::Ndjson, None) => (codec.media_type(), None),
            (Format::Ndjson, coding) => (LINES_MEDIA_TYPE, coding),
        };
        ObjectProperties {
            content_type: Some(content_type),
            content_encoding,
            storage_class: self.storage_class.clone(),
            tags: self.tags.clone(),
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
    fn objects_are_described_as_what_they_are() {
        for (text, content_type, encoding) in [
            ("", "application/gzip", None),
            ("content_encoding = true", "application/x-ndjson", Some("gzip")),
            ("compression = 'zstd'", "application/zstd", None),
            ("compression = 'none'\ncontent_encoding = true", "application/x-ndjson", None),
            (
                "compression = 'snappy'\ncontent_encoding = true",
                "application/x-snappy-framed",
                None,
            ),
            ("format = 'parquet'\ncontent_encoding = true", "application/vnd.apache.parquet", None),
        ] {
            let properties = read(text).properties();
            assert_eq!(
                (properties.content_type, properties.content_encoding),
                (Some(content_type), encoding),
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_name_their_key() {
        for (text, key) in [
            ("", "destination"),
            ("destination = 's3://b'\nlog_bucket = 'b'", "log_bucket"),
            ("destination = 's3://b'\nlog_path_prefix = 'p'", "log_path_prefix"),
            ("log_bucket = 'a b'", "log_bucket"),
            ("log_bucket = 'b'\ncompression_level = 10", "compression_level is 0 to 9 for gzip"),
            ("log_bucket = 'b'\ncompression = 'zstd'\ncompression_level = 20", "1 to 19 for zstd"),
            (
                "log_bucket = 'b'\ncompression = 'none'\ncompression_level = 1",
                "not a setting for none",
            ),
            ("log_bucket = 'b'\nkey_layout = 'a//b'", "key_layout"),
            ("log_bucket = 'b'\nformat = 'parquet'\ncompression = 'gzip'", "compression"),
            ("log_bucket = 'b'\nrow_group_bytes = 1", "row_group_bytes"),
            ("log_bucket = 'b'\nbuffer_records = 0", "buffer_records"),
            ("log_bucket = 'b'\nstorage_class = 'cold'", "storage_class"),
            ("log_bucket = 'b'\n[columns.web]\nstatus = 'int'", "columns goes with"),
            ("log_bucket = 'b'\nformat = 'parquet'\n[columns.web]\n_rest = 'int'", "columns: web"),
        ] {
            let message = read(text).check().unwrap_err().to_string();
            assert!(message.contains(key), "{text}: {message}");
        }
        assert!(toml::from_str::<Settings>("buffer_secs = 1").is_err());
        assert!(toml::from_str::<Settings>("compression = 'lzma'").is_err());
        assert!(Settings::keys().contains(&"buffer_seconds"));
    }

    #[test]
    fn a_prefix_leaves_room_for_keys() {
        let check = |layout: &str, bytes: usize| {
            let prefix = "p".repeat(bytes);
            read(&format!("destination = 's3://b/{prefix}'\nkey_layout = '{layout}'")).check()
        };
        assert_eq!(check("{a}/{b}/{c}", 127), Ok(()));
        for layout in ["originals", "hive"] {
            assert_eq!(check(layout, 400), Ok(()));
            let message = check(layout, 800).unwrap_err().to_string();
            assert!(message.contains("800 bytes") && message.contains("1024"), "{message}");
        }
        assert!(matches!(check("{a}/{b}/{c}", 130), Err(InvalidSettings::Prefix { .. })));
    }

    #[test]
    fn columns_are_given_by_name() {
        let settings = read(
            "log_bucket = 'b'\nformat = 'parquet'\n\
             [columns.web]\nstatus = 'int'\ntags = ['string']\nuser = { id = 'int', name = 'string' }\n\
             [columns.'*']\nmessage = 'string'",
        );
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.columns["web"].len(), 3);
    }
}
