//! Names of streams, shards and consumers, checked once when they enter.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A stream name: 1 to 128 characters of `[a-zA-Z0-9_.-]` (API model, `StreamName`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Arc<str>);

/// A text that is not a stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a stream name: 1 to 128 characters of a-z, A-Z, 0-9, '_', '.' and '-'")]
pub struct InvalidStreamName(pub String);

impl StreamName {
    /// Checks `name` and keeps it.
    pub fn new(name: &str) -> Result<Self, InvalidStreamName> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > 128 || !name.bytes().all(legal) {
            return Err(InvalidStreamName(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamName {
    type Err = InvalidStreamName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<String> for StreamName {
    type Error = InvalidStreamName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// A shard of a stream: an index that counts up over the stream's life, shown as
/// `shardId-` and twelve digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(u32);

/// A text that names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no shard")]
pub struct UnknownShardId(pub String);

impl ShardId {
    /// The shard with this index, 0 to 2^31 − 1.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The index.
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

impl FromStr for ShardId {
    type Err = UnknownShardId;

    /// As lenient as the service: the digits after the first `-`, or the whole text if there is
    /// none, 0 to 2147483647.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.split_once('-').map_or(text, |(_, after)| after);
        let unknown = || UnknownShardId(text.to_owned());
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(unknown());
        }
        let index: u32 = digits.parse().map_err(|_| unknown())?;
        if index > i32::MAX as u32 {
            return Err(unknown());
        }
        Ok(Self(index))
    }
}

/// Who reads a stream and remembers how far: the name of a mapping, unique in its store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerName(Arc<str>);

impl ConsumerName {
    /// A consumer of this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_ids_are_read_as_leniently_as_the_service_does() {
        for text in ["shardId-000000000005", "5", "x-5", "-5"] {
            assert_eq!(text.parse(), Ok(ShardId::new(5)), "{text}");
        }
        for text in ["", "shardId-", "shardId-x", "2147483648", "shard-1-2"] {
            assert!(text.parse::<ShardId>().is_err(), "{text}");
        }
        assert_eq!(ShardId::new(7).to_string(), "shardId-000000000007");
    }

    #[test]
    fn stream_names_outside_the_pattern_are_refused() {
        assert!(StreamName::new("router_1.A-b").is_ok());
        for name in ["", "a b", "a/b", "é", &"x".repeat(129)] {
            assert!(StreamName::new(name).is_err(), "{name}");
        }
    }
}
