//! Progress: how far a consumer has come in a shard, kept durably.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{ConsumerName, SequenceNumber, ShardAddress, StreamName, Timestamp};

/// Where a consumer goes on in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checkpoint {
    /// With the first record whose number is this or higher (a start that was fixed, as LATEST is).
    At(SequenceNumber),
    /// With the first record after this one.
    After(SequenceNumber),
    /// Amid this record: a worker of the Kinesis Client Library has done its user records up to
    /// `sub_sequence`, and an aggregated one may have more.
    Within {
        /// The Kinesis record.
        number: SequenceNumber,
        /// The place of the last user record done, counted from 0 (KPL).
        sub_sequence: u64,
    },
    /// With the first record that arrived at this moment, in milliseconds, or later (a start that
    /// was fixed where no number was known for it).
    AtTimestamp(Timestamp),
    /// Nowhere: the shard is closed and all of it was delivered.
    ShardEnd,
}

/// The announcement of objects that are about to be written (KCL: a pending checkpoint).
///
/// While it stands, the records from the checkpoint to `last` go into exactly `keys`: after a crash
/// the range is read again and the same objects are written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The first record of the range.
    pub first: SequenceNumber,
    /// The last record of the range.
    pub last: SequenceNumber,
    /// The objects' keys, in the order of writing.
    pub keys: Vec<String>,
}

/// All that is kept for a consumer and a shard.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShardProgress {
    /// Where to go on; none when the shard was never started.
    pub checkpoint: Option<Checkpoint>,
    /// Objects announced and perhaps written after the checkpoint.
    pub intent: Option<Intent>,
}

/// Whether a consumer has [begun](Progress::begin) with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// With none of this name.
    Never,
    /// With this one.
    ThisStream,
    /// With one of this name that was deleted: all of its successor came after the first start.
    EarlierStream,
}

/// Progress could not be read or stored; the mapping tries again before it goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgressError {
    /// The shard that the progress is of does not exist (any more): its stream was deleted, or made anew.
    #[error("{0} does not exist any more")]
    Gone(ShardAddress),
    /// Another worker has the shard now: this one stops delivering it, and stores nothing more.
    #[error("the lease of {0} is lost: another worker has the shard")]
    LeaseLost(ShardAddress),
    /// Trying again may help.
    #[error("progress is not available: {0}")]
    Unavailable(String),
}

/// Where checkpoints and announcements are kept. A success is durable.
#[async_trait]
pub trait Progress: Send + Sync + 'static {
    /// What is kept.
    async fn load(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError>;

    /// Replaces what is kept, checkpoint and intent at once.
    async fn store(
        &self,
        consumer: &ConsumerName,
        shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError>;

    /// Whether the consumer has [begun](Self::begin) with the stream, or with an earlier one of its
    /// name.
    async fn begun(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
    ) -> Result<Begun, ProgressError>;

    /// Notes that each shard of the consumer's first list of shards has its starting checkpoint.
    /// From then on a shard without a checkpoint is one that came later and is delivered from its
    /// first record on. The note outlives the stream, until the consumer begins with its successor.
    async fn begin(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
    ) -> Result<(), ProgressError>;
}
