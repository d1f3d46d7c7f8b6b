//! Names of formats and codecs: what the configuration calls them, what ends a key, and what a server is told of them.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// What stands in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Columns, in Apache Parquet.
    Parquet,
}

/// How it is compressed: lines as a whole, the pages of a Parquet file one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// RFC 1952, one member.
    Gzip,
    /// RFC 8878, frames in a row.
    Zstd,
    /// Snappy. Lines are in its framing format (`framing_format.txt` of google/snappy, `.sz`).
    Snappy,
    /// Snappy in the blocks of Hadoop's `SnappyCodec`, which is what Hive, Spark and Athena expect behind `.snappy`.
    HadoopSnappy,
    /// As it is.
    None,
}

impl Codec {
    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::HadoopSnappy => "hadoop-snappy",
            Self::None => "none",
        }
    }

    /// What ends the key of lines in this codec. Readers go by it.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Snappy => ".sz",
            Self::HadoopSnappy => ".snappy",
            Self::None => "",
        }
    }

    /// The levels that it has, if any.
    pub fn levels(self) -> Option<RangeInclusive<u32>> {
        match self {
            Self::Gzip => Some(0..=9),
            // Those above take hundreds of MiB for each shard.
            Self::Zstd => Some(1..=19),
            Self::Snappy | Self::HadoopSnappy | Self::None => None,
        }
    }

    /// The media type of a file of lines in this codec.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
            Self::Snappy => "application/x-snappy-framed",
            Self::HadoopSnappy => "application/octet-stream",
            Self::None => LINES_MEDIA_TYPE,
        }
    }

    /// Its name among HTTP's content codings, if it is one (RFC 9110, RFC 8878).
    pub fn content_coding(self) -> Option<&'static str> {
        match self {
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
            Self::Snappy | Self::HadoopSnappy | Self::None => None,
        }
    }
}

/// What ends the key of lines in no codec, and stands before a codec's suffix in layouts other than the originals'.
pub const LINES_SUFFIX: &str = ".ndjson";
/// What ends the key of a Parquet file.
pub const PARQUET_SUFFIX: &str = ".parquet";
/// The media type of lines.
pub const LINES_MEDIA_TYPE: &str = "application/x-ndjson";
/// The media type of a Parquet file.
pub const PARQUET_MEDIA_TYPE: &str = "application/vnd.apache.parquet";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration() {
        #[derive(Deserialize)]
        struct Wanted {
            codec: Codec,
        }
        for codec in [Codec::Gzip, Codec::Zstd, Codec::Snappy, Codec::HadoopSnappy, Codec::None] {
            let text = format!("codec = '{}'", codec.name());
            assert_eq!(toml::from_str::<Wanted>(&text).unwrap().codec, codec);
        }
    }
}
