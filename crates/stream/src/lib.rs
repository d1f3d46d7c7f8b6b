//! The words of Kinesis (record, shard, hash key range, sequence number, position), the clock,
//! and the contracts between the rooms: read, write, administer, deliver, keep, progress and leases.
//!
//! This room knows nothing of disks, sockets, JSON or AWS credentials. Every other room may use it
//! and it uses none of them: the contract lies below both sides of each arrow.

mod administer;
mod clock;
mod deliver;
mod hash_key;
mod keep;
mod lane;
mod lease;
mod names;
mod progress;
mod properties;
mod read;
mod record;
mod sequence_number;
mod shard;
mod write;

pub use administer::{
    Administer, AdministerError, ConsumerOrStream, CreateStream, Reshard, ShardUsage, StreamChange,
    StreamDescription, StreamStatus,
};
pub use clock::{Clock, SystemClock, Timestamp};
pub use deliver::{
    Batch, Cause, Close, Deliver, Delivery, Module, OpenError, Outcome, RejectedRecord,
};
pub use hash_key::{HashKey, HashKeyRange, InvalidHashKey};
pub use keep::{FailedBatch, FailedRecord, FailedStore, GiveUpCondition, GivenUp, KeepError};
pub use lane::Lane;
pub use lease::{Lease, Leases, Tenure};
pub use names::{
    ConsumerName, InvalidStreamName, ShardId, StreamName, StreamOwner, UnknownShardId,
};
pub use progress::{Begun, Checkpoint, Intent, Progress, ProgressError, ShardProgress};
pub use properties::{
    BillingCommitment, ENCRYPTION_PERIODS_MAX, EncryptionPeriod, ON_DEMAND_SHARDS_MIN,
    RecordDistribution, RegisteredConsumer, RegisteredConsumers, RetentionHours, ShardLevelMetric,
    StreamMode, StreamProperties, TAGS_MAX, Tags,
};
pub use read::{ChildShard, Cursor, Read, ReadError, ReadLimits, ReadPage, StartingPosition};
pub use record::{PartitionKey, PartitionKeyError, Record};
pub use sequence_number::{InvalidSequenceNumber, SequenceNumber};
pub use shard::{Shard, ShardAddress};
pub use write::{Placed, ProducerPosition, PutEntry, PutError, Write};
