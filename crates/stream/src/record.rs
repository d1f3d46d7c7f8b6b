//! A stored record and its partition key.

use bytes::{Bytes, BytesMut};

use crate::{HashKey, SequenceNumber, Timestamp};

/// The producer's key: 1 to 256 Unicode characters, or none at all, which only streams that place
/// records themselves take (`RecordDistribution::Auto`). Its bytes are shared, not copied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey(Bytes);

/// A partition key that Kinesis refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartitionKeyError {
    /// Not UTF-8.
    #[error("a partition key is UTF-8 text")]
    NotUtf8,
    /// Empty, or above 256 characters.
    #[error("a partition key has 1 to 256 characters, this one has {0}")]
    Length(usize),
}

impl PartitionKey {
    /// Characters that a partition key may have (API model, `PartitionKey`).
    pub const CHARACTERS_MAX: usize = 256;

    /// Checks `bytes` and keeps them.
    pub fn new(bytes: Bytes) -> Result<Self, PartitionKeyError> {
        let text = std::str::from_utf8(&bytes).map_err(|_| PartitionKeyError::NotUtf8)?;
        let length = text.chars().count();
        if length == 0 || length > Self::CHARACTERS_MAX {
            return Err(PartitionKeyError::Length(length));
        }
        Ok(Self(bytes))
    }

    /// No key.
    pub const ABSENT: Self = Self(Bytes::new());

    /// Whether there is no key.
    pub fn is_absent(&self) -> bool {
        self.0.is_empty()
    }

    /// The key as text, empty if there is none.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked by new")
    }

    /// The key's bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Where the key sends its records.
    pub fn hash_key(&self) -> HashKey {
        HashKey::of_partition_key(&self.0)
    }
}

/// A record as a stream holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the shard.
    pub sequence_number: SequenceNumber,
    /// When the stream took it.
    pub arrival: Timestamp,
    /// The producer's key.
    pub partition_key: PartitionKey,
    /// The payload, as the producer sent it.
    pub data: Bytes,
}

impl Record {
    /// Bytes that count against limits: payload and partition key.
    pub fn size(&self) -> usize {
        self.data.len() + self.partition_key.bytes().len()
    }

    /// The same record with bytes of its own. For whoever keeps a few records of many for longer:
    /// shared bytes keep all that was read together with them in memory.
    pub fn detached(&self) -> Self {
        let mut bytes = BytesMut::with_capacity(self.size());
        bytes.extend_from_slice(self.partition_key.bytes());
        bytes.extend_from_slice(&self.data);
        let mut data = bytes.freeze();
        let partition_key = PartitionKey(data.split_to(self.partition_key.bytes().len()));
        Self { partition_key, data, ..self.clone() }
    }
}
