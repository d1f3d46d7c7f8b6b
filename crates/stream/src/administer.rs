//! Administering: streams made, described, changed, resharded and deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    BillingCommitment, HashKey, RecordDistribution, RegisteredConsumers, RetentionHours, Shard,
    ShardAddress, ShardId, ShardLevelMetric, StreamMode, StreamName, StreamOwner, StreamProperties,
    Tags, Timestamp,
};

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStatus {
    /// Being made.
    Creating,
    /// In use.
    Active,
    /// In use while its shards change.
    Updating,
    /// Going away.
    Deleting,
}

/// A stream to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateStream {
    /// Its name.
    pub name: StreamName,
    /// How many shards it starts with, at least 1.
    pub shard_count: u32,
    /// Everything else.
    pub properties: StreamProperties,
}

/// A stream as it stands. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: StreamName,
    /// Where it is in its life.
    pub status: StreamStatus,
    /// When it was made.
    pub created: Timestamp,
    /// Records that arrived before are gone, whatever the retention period says now: what had expired
    /// before the period was made longer stays gone.
    pub hidden_before: Timestamp,
    /// No record has arrived later so far, in this stream or another of its store. It lies ahead of a
    /// clock that was set back; the epoch where it is not known.
    pub newest_arrival: Timestamp,
    /// What is set for it.
    pub properties: Arc<StreamProperties>,
    /// Its shards, open and closed, by ascending id.
    pub shards: Arc<[Shard]>,
    /// Its consumers with enhanced fan-out.
    pub consumers: Arc<RegisteredConsumers>,
}

impl StreamDescription {
    /// The arrival of the oldest record that may be read at `now`; never before the stream was made.
    pub fn trim_horizon(&self, now: Timestamp) -> Timestamp {
        let retention = self.properties.retention.duration();
        now.minus(retention).max(self.hidden_before).max(self.created)
    }

    /// The shards that take records.
    pub fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.ending_sequence_number.is_none())
    }
}

/// A step that changes the shards of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reshard {
    /// One into two.
    Split {
        /// The shard.
        shard: ShardId,
        /// The lowest hash key of the upper child (`NewStartingHashKey`): above the shard's lowest
        /// plus one, below its highest.
        at: HashKey,
    },
    /// Two into one.
    Merge {
        /// The lower one.
        shard: ShardId,
        /// The one that lies directly above it.
        adjacent: ShardId,
    },
}

/// Something that has tags and a policy: a stream, or one of its consumers.
pub type ConsumerOrStream = Option<String>;

/// What can be changed of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamChange {
    /// Keep records longer. The period in force is a success.
    IncreaseRetention(RetentionHours),
    /// Keep records shorter. The period in force is a success.
    DecreaseRetention(RetentionHours),
    /// Split or merge shards, as their owner wants; refused for on-demand streams.
    Reshard(Reshard),
    /// Split and merge until there are `target` shards of equal width; refused for on-demand
    /// streams, above double and below half of the open shards.
    UpdateShardCount {
        /// How many shards there shall be.
        target: u32,
    },
    /// Split and merge as the load wants it; refused for streams that are not on demand. Of the
    /// splits only as many are made as the store still takes shards, the first ones; none at all is
    /// an error.
    FollowLoad(Vec<Reshard>),
    /// Who decides how many shards there are.
    Mode {
        /// From now on.
        mode: StreamMode,
        /// Throughput in MiB/s to be ready for; on-demand streams only.
        warm_throughput_mibps: Option<u32>,
    },
    /// The throughput in MiB/s that an on-demand stream is to be ready for.
    WarmThroughput(u32),
    /// The largest record in KiB.
    RecordKibMax(u32),
    /// How records find their shard.
    Distribution(RecordDistribution),
    /// The KMS key, none to switch encryption off.
    EncryptionKey(Option<String>),
    /// Keep these metrics per shard, too.
    EnableMetrics(BTreeSet<ShardLevelMetric>),
    /// Keep these metrics per shard no more.
    DisableMetrics(BTreeSet<ShardLevelMetric>),
    /// Add tags to the stream or to a consumer, or replace their values.
    AddTags(ConsumerOrStream, Tags),
    /// Remove tags from the stream or from a consumer; unknown keys are ignored.
    RemoveTags(ConsumerOrStream, Vec<String>),
    /// Set or remove the policy of the stream or of a consumer.
    Policy(ConsumerOrStream, Option<String>),
    /// Register a consumer with enhanced fan-out.
    RegisterConsumer {
        /// Its name, 1 to 128 characters of `[a-zA-Z0-9_.-]`.
        name: String,
        /// Its tags.
        tags: Tags,
    },
    /// Forget a consumer.
    DeregisterConsumer {
        /// Its name.
        name: String,
    },
}

/// Records and bytes that went through a shard since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardUsage {
    /// The shard.
    pub shard: ShardId,
    /// Records put.
    pub records_in: u64,
    /// Bytes put, payloads and partition keys.
    pub bytes_in: u64,
    /// Records read.
    pub records_out: u64,
    /// Bytes read.
    pub bytes_out: u64,
}

/// Why a stream could not be administered. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdministerError {
    /// There is no such stream.
    #[error("stream {0} not found")]
    StreamNotFound(StreamName),
    /// There is one already.
    #[error("stream {0} already exists")]
    StreamExists(StreamName),
    /// More shards than the store takes.
    #[error("{requested} shards would exceed the limit of {limit}; {open} are open")]
    ShardLimit {
        /// Shards that the call asked for.
        requested: u32,
        /// Open shards of all streams.
        open: u32,
        /// The most that the store takes.
        limit: u32,
    },
    /// The operation was called as often as a stream may have it in 24 hours.
    #[error("{operation} was called {limit} times in 24 hours")]
    DailyLimit {
        /// The operation of the API.
        operation: &'static str,
        /// The most calls in 24 hours.
        limit: usize,
    },
    /// A stream remembers so many times with a key, for the records that were put in them.
    #[error("a stream has at most {limit} periods with a key within its retention period")]
    EncryptionPeriodLimit {
        /// The most.
        limit: usize,
    },
    /// There is no space for what is to be stored: on the disk, or in what a store may have of
    /// streams, tags and policies.
    #[error("no space left for the change: {0}")]
    StorageFull(String),
    /// The period is shorter than the present one, which must be decreased by name.
    #[error("{requested} hours is shorter than the present {present} hours")]
    RetentionShorter {
        /// Hours asked for.
        requested: u32,
        /// Hours in force.
        present: u32,
    },
    /// The period is longer than the present one, which must be increased by name.
    #[error("{requested} hours is longer than the present {present} hours")]
    RetentionLonger {
        /// Hours asked for.
        requested: u32,
        /// Hours in force.
        present: u32,
    },
    /// The stream has no such shard.
    #[error("shard {0} does not exist")]
    ShardNotFound(ShardAddress),
    /// The shard was split or merged before.
    #[error("shard {0} is closed")]
    ShardClosed(ShardAddress),
    /// A split must leave two hash keys below and above.
    #[error("hash key {at} does not split shard {shard}, {start} to {end}, in two")]
    SplitPoint {
        /// The shard.
        shard: ShardAddress,
        /// The key asked for.
        at: HashKey,
        /// The shard's lowest.
        start: HashKey,
        /// The shard's highest.
        end: HashKey,
    },
    /// The second shard does not lie directly above the first.
    #[error("shards {shard} and {adjacent} of stream {stream} are not adjacent")]
    NotAdjacent {
        /// The stream.
        stream: StreamName,
        /// The lower one, as asked for.
        shard: ShardId,
        /// The upper one, as asked for.
        adjacent: ShardId,
    },
    /// More than double the open shards.
    #[error("{target} shards are more than double of {open}")]
    AboveDouble {
        /// Open shards.
        open: u32,
        /// Shards asked for.
        target: u32,
    },
    /// Less than half of the open shards.
    #[error("{target} shards are less than half of {open}")]
    BelowHalf {
        /// Open shards.
        open: u32,
        /// Shards asked for.
        target: u32,
    },
    /// Only possible for a provisioned stream.
    #[error("stream {0} is in on-demand mode")]
    OnDemand(StreamName),
    /// Only possible for an on-demand stream.
    #[error("stream {0} is not in on-demand mode")]
    Provisioned(StreamName),
    /// More tags than a resource may have.
    #[error("a resource has at most {TAGS_MAX} tags", TAGS_MAX = crate::TAGS_MAX)]
    TooManyTags,
    /// The stream has no such consumer.
    #[error("stream {stream} has no consumer {consumer}")]
    ConsumerNotFound {
        /// The stream.
        stream: StreamName,
        /// The name.
        consumer: String,
    },
    /// The stream has a consumer of this name.
    #[error("stream {stream} has a consumer {consumer} already")]
    ConsumerExists {
        /// The stream.
        stream: StreamName,
        /// The name.
        consumer: String,
    },
    /// More consumers than a stream may have.
    #[error("a stream has at most {limit} consumers")]
    ConsumerLimit {
        /// The most.
        limit: usize,
    },
    /// A stream with consumers is deleted only together with them.
    #[error("stream {0} has consumers")]
    HasConsumers(StreamName),
    /// There is no policy that could be removed.
    #[error("there is no policy")]
    NoPolicy,
    /// The store cannot take the change now; the same change may succeed later.
    #[error("the store cannot be changed: {0}")]
    Unavailable(String),
    /// The service that keeps the streams refuses the change for a reason of its own, told in its
    /// words; the same change will fail again.
    #[error("{0}")]
    Refused(String),
}

/// Streams as their owner sees them. A success is durable.
#[async_trait]
pub trait Administer: Send + Sync + 'static {
    /// Makes a stream.
    async fn create_stream(&self, request: CreateStream) -> Result<(), AdministerError>;

    /// Deletes a stream and what it holds; one with consumers only if `with_consumers` is set.
    async fn delete_stream(
        &self,
        name: &StreamName,
        with_consumers: bool,
    ) -> Result<(), AdministerError>;

    /// The names of all streams of an owner, sorted.
    async fn list_streams(&self, owner: &StreamOwner) -> Result<Vec<StreamName>, AdministerError>;

    /// The owners that have streams here, sorted. One that knows a single account has that one.
    async fn list_owners(&self) -> Result<Vec<StreamOwner>, AdministerError> {
        Ok(vec![StreamOwner::OWN])
    }

    /// One stream with its shards and consumers.
    async fn describe_stream(
        &self,
        name: &StreamName,
    ) -> Result<StreamDescription, AdministerError>;

    /// Changes a stream; gives it as it stands then.
    async fn change_stream(
        &self,
        name: &StreamName,
        change: StreamChange,
    ) -> Result<StreamDescription, AdministerError>;

    /// What went through the open shards of a stream.
    async fn usage(&self, name: &StreamName) -> Result<Vec<ShardUsage>, AdministerError>;

    /// What an owner has agreed to.
    async fn commitment(&self, owner: &StreamOwner) -> Result<BillingCommitment, AdministerError>;

    /// Replaces what an owner has agreed to.
    async fn commit_to(
        &self,
        owner: &StreamOwner,
        commitment: BillingCommitment,
    ) -> Result<(), AdministerError>;
}
