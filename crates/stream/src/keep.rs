//! Keeping: the failed store as the event source mapping sees it.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ConsumerName, RejectedRecord, SequenceNumber, ShardAddress, Timestamp};

/// Records of one shard that were not delivered, kept so that the shard can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedBatch {
    /// The mapping that gave them up.
    pub consumer: ConsumerName,
    /// The shard that they are from.
    pub shard: ShardAddress,
    /// The records in the shard's order, at least one.
    pub records: Vec<FailedRecord>,
}

/// One record, or part of one, with all that is needed to understand and to replay it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRecord {
    /// The Kinesis record.
    pub sequence_number: SequenceNumber,
    /// Its place in a KPL aggregate, else 0.
    pub sub_sequence: u64,
    /// Its place in a CloudWatch Logs envelope, else 0.
    pub event_index: u32,
    /// When the stream took it.
    pub arrival: Timestamp,
    /// The partition key.
    pub partition_key: Bytes,
    /// A word for the reason, of `[a-z0-9_]`.
    pub reason: String,
    /// The reason in a sentence.
    pub detail: String,
    /// The bytes as they came.
    pub data: Bytes,
    /// Set when the mapping gave up the whole batch that the record was in.
    pub given_up: Option<GivenUp>,
}

impl From<RejectedRecord> for FailedRecord {
    /// A record that a module rejected; no batch was given up for it.
    fn from(rejected: RejectedRecord) -> Self {
        Self {
            sequence_number: rejected.sequence_number,
            sub_sequence: rejected.sub_sequence,
            event_index: rejected.event_index,
            arrival: rejected.arrival,
            partition_key: rejected.partition_key,
            reason: rejected.reason,
            detail: rejected.detail,
            data: rejected.data,
            given_up: None,
        }
    }
}

/// A batch that the mapping gave up, as on-failure destinations tell of it. Records that are kept with equal ones were
/// in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// Why.
    pub condition: GiveUpCondition,
    /// The first record of the batch.
    pub first: SequenceNumber,
    /// How often the batch was handed over, at least once: Lambda's `approximateInvokeCount`, which counts a batch that
    /// expired before its first attempt as well.
    pub invoke_count: u32,
}

/// Why a batch was given up: Lambda's `condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUpCondition {
    /// It failed as often as `MaximumRetryAttempts` allows.
    RetryAttemptsExhausted,
    /// Its records became older than `MaximumRecordAgeInSeconds`.
    RecordAgeExceeded,
}

/// The failed store could not take a batch; the mapping tries again until it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the failed store did not take the records: {0}")]
pub struct KeepError(pub String);

/// Where records go that were not delivered.
#[async_trait]
pub trait FailedStore: Send + Sync + 'static {
    /// Keeps a batch; returns when it is durable. The same batch kept twice is stored once.
    async fn keep(&self, batch: &FailedBatch) -> Result<(), KeepError>;
}
