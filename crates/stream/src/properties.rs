//! What a stream is beside its shards and records: mode, retention, limits, tags, consumers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How long records are kept, in hours: 24 to 8760 (quotas page, "Data retention period").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RetentionHours(u32);

impl RetentionHours {
    /// The shortest period, also the default.
    pub const MIN: Self = Self(24);
    /// The longest period: 365 days.
    pub const MAX: Self = Self(8760);

    /// The period of `hours`, none outside the range.
    pub fn new(hours: u32) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&hours).then_some(Self(hours))
    }

    /// The period in hours.
    pub const fn hours(self) -> u32 {
        self.0
    }

    /// The period.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 3600)
    }
}

/// Who decides how many shards there are (`StreamMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StreamMode {
    /// The stream's owner.
    #[default]
    Provisioned,
    /// The service, by the load.
    OnDemand,
}

/// Shards that an on-demand stream begins with, and is never merged below (quotas page: 4 MB/s).
pub const ON_DEMAND_SHARDS_MIN: u32 = 4;

/// How records find their shard (`RecordDistributionStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecordDistribution {
    /// By the hash of their partition key.
    #[default]
    UserPartitionKey,
    /// Evenly, whatever their key; they need none.
    Auto,
}

/// A metric that can be had per shard (`ShardLevelMetrics`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
pub enum ShardLevelMetric {
    IncomingBytes,
    IncomingRecords,
    IteratorAgeMilliseconds,
    OutgoingBytes,
    OutgoingRecords,
    ReadProvisionedThroughputExceeded,
    WriteProvisionedThroughputExceeded,
}

impl ShardLevelMetric {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::IncomingBytes,
        Self::IncomingRecords,
        Self::IteratorAgeMilliseconds,
        Self::OutgoingBytes,
        Self::OutgoingRecords,
        Self::ReadProvisionedThroughputExceeded,
        Self::WriteProvisionedThroughputExceeded,
    ];

    /// The API's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IncomingBytes => "IncomingBytes",
            Self::IncomingRecords => "IncomingRecords",
            Self::IteratorAgeMilliseconds => "IteratorAgeMilliseconds",
            Self::OutgoingBytes => "OutgoingBytes",
            Self::OutgoingRecords => "OutgoingRecords",
            Self::ReadProvisionedThroughputExceeded => "ReadProvisionedThroughputExceeded",
            Self::WriteProvisionedThroughputExceeded => "WriteProvisionedThroughputExceeded",
        }
    }
}

/// Tags of a resource, at most [`TAGS_MAX`].
pub type Tags = BTreeMap<String, String>;

/// Tags that a resource may have (API text of AddTagsToStream).
pub const TAGS_MAX: usize = 50;

/// What is set for a stream as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamProperties {
    /// How long it keeps records.
    pub retention: RetentionHours,
    /// Who decides how many shards there are.
    pub mode: StreamMode,
    /// How records find their shard.
    pub distribution: RecordDistribution,
    /// The largest record in KiB, payload and partition key: 1024 to 10240 (`MaxRecordSizeInKiB`).
    pub record_kib_max: u32,
    /// The KMS key named by whoever switched encryption on; the data stay as they are.
    pub encryption_key: Option<String>,
    /// When there was a key, oldest first, as far as records of then may be retained; at most
    /// [`ENCRYPTION_PERIODS_MAX`].
    pub encryption_periods: Vec<EncryptionPeriod>,
    /// Metrics that are kept per shard.
    pub shard_level_metrics: BTreeSet<ShardLevelMetric>,
    /// Throughput in MiB/s that an on-demand stream is ready for at any time.
    pub warm_throughput_mibps: Option<u32>,
    /// Tags.
    pub tags: Tags,
    /// The resource policy, a JSON document.
    pub policy: Option<String>,
}

/// Periods with a key that a stream remembers: 25 a day (quotas page, StartStreamEncryption) over the
/// longest retention period.
pub const ENCRYPTION_PERIODS_MAX: usize = 25 * 365;

/// A time in which a stream had a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionPeriod {
    /// Records that arrived then or later were put under it.
    pub from: Timestamp,
    /// Records that arrived then or later were not; none while it goes on.
    pub to: Option<Timestamp>,
}

impl StreamProperties {
    /// Whether records that arrived at `arrival` were put under a key.
    pub fn is_encrypted_at(&self, arrival: Timestamp) -> bool {
        // They follow each other, so only the last one that began by then can hold.
        let begun = self.encryption_periods.partition_point(|period| period.from <= arrival);
        let last = begun.checked_sub(1).map(|place| self.encryption_periods[place]);
        last.is_some_and(|period| period.to.is_none_or(|to| arrival < to))
    }

    /// The smallest and the largest limit of a record's size in KiB (API model).
    pub const RECORD_KIB: std::ops::RangeInclusive<u32> = 1024..=10_240;
}

impl Default for StreamProperties {
    fn default() -> Self {
        Self {
            retention: RetentionHours::MIN,
            mode: StreamMode::Provisioned,
            distribution: RecordDistribution::UserPartitionKey,
            record_kib_max: *Self::RECORD_KIB.start(),
            encryption_key: None,
            encryption_periods: Vec::new(),
            shard_level_metrics: BTreeSet::new(),
            warm_throughput_mibps: None,
            tags: Tags::new(),
            policy: None,
        }
    }
}

/// A consumer with enhanced fan-out, registered with a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredConsumer {
    /// When it was registered; part of its ARN, so unique among consumers of its name.
    pub created: Timestamp,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
    /// The resource policy, a JSON document.
    #[serde(default)]
    pub policy: Option<String>,
}

/// Registered consumers by name.
pub type RegisteredConsumers = BTreeMap<String, RegisteredConsumer>;

/// What an account has agreed to in a region (`MinimumThroughputBillingCommitment`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BillingCommitment {
    /// When it began; none if it never did.
    pub started: Option<Timestamp>,
    /// When it ended or is to end; none while it goes on.
    pub ended: Option<Timestamp>,
}

impl BillingCommitment {
    /// Whether it is in force at `now`: begun, and not ended yet.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.started.is_some() && self.ended.is_none_or(|ended| ended > now)
    }
}
