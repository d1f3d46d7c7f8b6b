//! Delivering: what passes between the event source mapping and a module.
//!
//! A mapping opens one [`Deliver`] per shard and hands it batches in order, one at a time. The
//! answer says which of four things happened: *delivered*; *held* until an object closes; *failed*
//! from a sequence number on; and, beside any of these, *rejected* records, which no retry would
//! help and which the mapping keeps in the failed store.
//!
//! A module that holds (objects larger than a batch) closes in two steps, so that a crash between
//! them repeats the same object and not another one: the mapping makes an [`Intent`](crate::Intent) of the keys, stores
//! it, and only then calls `close`. After a crash it reads the same range again, with no other cut,
//! and closes again. For that the objects must be functions of the records between the cuts.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Lane, Record, SequenceNumber, ShardAddress, Timestamp};

/// Consecutive records of one shard, or of one lane of it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The shard that they are from.
    pub shard: ShardAddress,
    /// The records, at least one. Cheap to clone: payloads are shared.
    pub records: Vec<Record>,
    /// How often this very batch was handed over before.
    pub attempt: u32,
}

impl Batch {
    /// The number of the first record.
    pub fn first(&self) -> SequenceNumber {
        self.records.first().expect("a batch has at least one record").sequence_number
    }

    /// The number of the last record.
    pub fn last(&self) -> SequenceNumber {
        self.records.last().expect("a batch has at least one record").sequence_number
    }

    /// How many records come before the one numbered `from`; none when there is no such record, as
    /// with an item identifier that AWS Lambda does not find in its batch.
    pub fn records_before(&self, from: SequenceNumber) -> usize {
        self.records.binary_search_by_key(&from, |record| record.sequence_number).unwrap_or(0)
    }
}

/// A record, or a part of one, that can never be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// The Kinesis record that it was in.
    pub sequence_number: SequenceNumber,
    /// Its place in a KPL aggregate, else 0.
    pub sub_sequence: u64,
    /// Its place in a CloudWatch Logs envelope, else 0.
    pub event_index: u32,
    /// When the stream took the Kinesis record.
    pub arrival: Timestamp,
    /// The partition key (of the aggregated record, if it has one of its own).
    pub partition_key: Bytes,
    /// A word for the reason, of `[a-z0-9_]`, such as `not_json`: a path segment and a metric label.
    pub reason: String,
    /// The reason in a sentence.
    pub detail: String,
    /// The bytes as they came.
    pub data: Bytes,
}

/// What became of a batch, or of what was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What became of it.
    pub outcome: Outcome,
    /// Records that no retry would help. With [`Outcome::Failed`] only those before `from` count;
    /// the others come again.
    pub rejected: Vec<RejectedRecord>,
}

impl Delivery {
    /// All of it is at its destination.
    pub fn delivered() -> Self {
        Self { outcome: Outcome::Delivered, rejected: Vec::new() }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is at its destination: the checkpoint may move behind it.
    Delivered,
    /// It was taken, but is at its destination only after `close`: the checkpoint stays.
    Held(Close),
    /// The record numbered `from` and all after it were not delivered; all before it were. A number
    /// that no record of the batch has means that none was.
    Failed {
        /// The first record to hand over again.
        from: SequenceNumber,
        /// Whose fault it is.
        cause: Cause,
        /// What went wrong, where, and what to do, for a log line.
        reason: String,
    },
}

/// When a holding module wants to be closed. A wish: while a range is repeated after a crash the
/// mapping closes at the announced end, and earlier at a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// What is held is as large as it should get.
    Now,
    /// This long from now at the latest.
    Within(Duration),
}

/// Why a delivery failed, which decides whether it uses up an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The module or its destination refused this batch: a retry counts.
    Batch,
    /// The destination is down or throttles: any batch would fail, so a retry does not count.
    Destination,
}

/// Why a module could not be opened for a shard; the mapping tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// What is done with records: opened once per shard, or once per lane of a shard.
#[async_trait]
pub trait Module: Send + Sync + 'static {
    /// Starts delivery of one shard. `Deliver` gets batches from the checkpoint on.
    async fn open(&self, shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError>;

    /// The user records of the Kinesis record `number` up to `sub_sequence` were delivered by
    /// another worker and are to be left out; told before the shard is opened. A module that does
    /// not look into aggregates delivers the whole record again.
    fn resume_within(&self, _shard: &ShardAddress, _number: SequenceNumber, _sub_sequence: u64) {}

    /// Starts delivery of one of several lanes of a shard (`ParallelizationFactor` above 1). The
    /// checkpoint follows the slowest lane, so that after a stop records may come again that the
    /// lane took already, also through another lane if their number was changed.
    ///
    /// # Errors
    /// Modules that hold have no lanes: what they announce is a range of the whole shard.
    async fn open_lane(
        &self,
        shard: &ShardAddress,
        lane: Lane,
    ) -> Result<Box<dyn Deliver>, OpenError> {
        Err(OpenError(format!(
            "the module takes {shard} as a whole and not lane {lane}: parallelization_factor must be 1"
        )))
    }
}

/// The delivery of one shard.
#[async_trait]
pub trait Deliver: Send {
    /// Takes the next batch, or the same one again after a failure.
    ///
    /// After [`Outcome::Failed`] nothing of the batch from `from` on is held; what was held before
    /// stays held.
    async fn deliver(&mut self, batch: &Batch) -> Delivery;

    /// The keys of the objects that `close` would write, in the order of writing. Empty when
    /// nothing is held, and for modules that never hold.
    fn keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// Writes what is held. On a failure all of it stays held, and `close` may be called again.
    async fn close(&mut self) -> Delivery {
        Delivery::delivered()
    }

    /// Forgets what is held: the mapping will hand it over again, or keeps it elsewhere.
    fn discard(&mut self) {}
}
