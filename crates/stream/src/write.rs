//! Writing: records into a stream, acknowledged when they are durable.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{HashKey, PartitionKey, SequenceNumber, ShardId, StreamName};

/// A record on its way into a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutEntry {
    /// The producer's key.
    pub partition_key: PartitionKey,
    /// Goes before the hash of the partition key when the shard is chosen.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: Bytes,
}

impl PutEntry {
    /// Where the record goes.
    pub fn hash_key(&self) -> HashKey {
        self.explicit_hash_key.unwrap_or_else(|| self.partition_key.hash_key())
    }
}

/// Where a record was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The shard that took it.
    pub shard: ShardId,
    /// Its place in the shard.
    pub sequence_number: SequenceNumber,
}

/// Why a record, or all records of a call, could not be put. Nothing was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// There is no such stream.
    #[error("stream {0} not found")]
    StreamNotFound(StreamName),
    /// The shard takes no more now; try again later.
    #[error("rate exceeded for shard {0}")]
    ThroughputExceeded(ShardId),
    /// The disk is full; try again when there is space.
    #[error("no space left for records: {0}")]
    StorageFull(String),
    /// The stream will never take this record, for example because it is larger than its limit:
    /// trying again does not help. Only ever of one record, and the others are put.
    #[error("the record is refused: {0}")]
    RecordRefused(String),
    /// Writes are closed until the store is opened again, for example after a failed fsync.
    #[error("the store takes no records: {0}")]
    Unavailable(String),
}

/// Streams as their producers see them.
#[async_trait]
pub trait Write: Send + Sync + 'static {
    /// Puts `entries` in their order; returns when they are as durable as the store promises.
    ///
    /// The outer error means that none was put; an inner one that this one was not. Of what embedded
    /// streams do not refuse they put all or none, even over kill -9.
    ///
    /// `remember` makes a retry harmless: the store keeps, atomically with the entries, that
    /// `remember.producer` has put everything up to `remember.up_to`.
    async fn put(
        &self,
        stream: &StreamName,
        entries: Vec<PutEntry>,
        remember: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError>;

    /// The bytes of the largest payload that `stream` takes, where they are known without a call. None elsewhere, or where
    /// there is no such stream: a put tells.
    fn record_bytes_max(&self, _stream: &StreamName) -> Option<usize> {
        None
    }

    /// How far `producer` has put, as remembered with its last entries. None where nothing was
    /// remembered, or where the service cannot remember (Amazon Kinesis).
    async fn remembered(&self, producer: &str) -> Result<Option<SequenceNumber>, PutError>;
}

/// How far a producer that copies from another stream has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerPosition {
    /// Names the producer and what it copies: one writer at a time per name.
    pub producer: String,
    /// The last record of the source whose copies are all among the entries put so far.
    pub up_to: SequenceNumber,
}
