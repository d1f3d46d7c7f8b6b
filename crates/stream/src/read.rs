//! Reading: from a position in a shard to pages of records, oldest first.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    HashKeyRange, Record, SequenceNumber, Shard, ShardAddress, ShardId, StreamName, Timestamp,
};

/// Where reading starts (`ShardIteratorType` of GetShardIterator).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// The oldest record retained.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// The record of this number, or the first one after it.
    AtSequenceNumber(SequenceNumber),
    /// The first record after this number.
    AfterSequenceNumber(SequenceNumber),
    /// The first record that arrived at this moment or later.
    AtTimestamp(Timestamp),
}

/// A place between two records of a shard: the next read gives the first record whose number is
/// `from` or higher. `from` is compared as an integer: it need not be the number of a record, and
/// behind a record it may be that record's [`successor`](SequenceNumber::successor).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The shard being read.
    pub shard: ShardAddress,
    /// Lower bound of the next record, included.
    pub from: SequenceNumber,
    /// Where no number is known for the place (Amazon tells none for LATEST or a moment until a
    /// record is read behind it): the next record also arrived at this moment or later.
    pub since: Option<Timestamp>,
}

/// How much one read may return. At least one record comes if there is one, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Records, 1 to 10,000.
    pub records: usize,
    /// Bytes of payloads and partition keys.
    pub bytes: usize,
}

/// A shard that goes on where a closed one ended (`ChildShards` of GetRecords).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildShard {
    /// The child.
    pub id: ShardId,
    /// Its parents, two after a merge.
    pub parents: Vec<ShardId>,
    /// The part of the key space that it owns.
    pub hash_key_range: HashKeyRange,
}

/// What a read returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPage {
    /// Durable records in order.
    pub records: Vec<Record>,
    /// Where to go on; none once a closed shard has been read to its end.
    pub next: Option<Cursor>,
    /// How far `next` is behind the newest record, in milliseconds of arrival time; 0 at the tip.
    pub millis_behind_latest: u64,
    /// The shards that follow; filled exactly when `next` is none.
    pub children: Vec<ChildShard>,
}

impl ReadPage {
    /// Bytes of its records that count against limits.
    pub fn size(&self) -> usize {
        self.records.iter().map(Record::size).sum()
    }
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such stream (any more).
    #[error("stream {0} not found")]
    StreamNotFound(StreamName),
    /// The stream has no such shard (any more).
    #[error("shard {0} does not exist")]
    ShardNotFound(ShardAddress),
    /// The number is of another shard.
    #[error("sequence number {number} is of shard {}, not of {shard}", ShardId::new(number.shard()))]
    OtherShard {
        /// The number given.
        number: SequenceNumber,
        /// The shard it was used on.
        shard: ShardAddress,
    },
    /// The number was made by an earlier stream of the same name.
    #[error("sequence number {number} did not come from stream {}", shard.stream)]
    OtherStream {
        /// The number given.
        number: SequenceNumber,
        /// The shard it was used on.
        shard: ShardAddress,
    },
    /// Stored bytes are not what was written. Reading can go on behind them, with `resume`.
    #[error("stored data is damaged: {what}")]
    Damaged {
        /// File, offset and finding.
        what: String,
        /// When the records behind the damage began to arrive, as far as that is known.
        arrival: Timestamp,
        /// The first place behind the damage, if one is known.
        resume: Option<Cursor>,
    },
    /// The store cannot be read now; trying again may help.
    #[error("the store cannot be read: {0}")]
    Unavailable(String),
}

/// Streams as their readers see them.
#[async_trait]
pub trait Read: Send + Sync + 'static {
    /// All shards that may still hold retained records, open and closed, by ascending id.
    async fn shards(&self, stream: &StreamName) -> Result<Vec<Shard>, ReadError>;

    /// Turns a starting position into a cursor. LATEST is fixed at this moment; a position before
    /// the trim horizon is moved up by `read`.
    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError>;

    /// The records from `cursor` on, as many as `limits` admit, at once: an empty page means that
    /// there is none yet.
    async fn read(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError>;

    /// Waits until a read from `cursor` may give something new, but no longer than `at_most`.
    async fn wait(&self, cursor: &Cursor, at_most: Duration);
}
