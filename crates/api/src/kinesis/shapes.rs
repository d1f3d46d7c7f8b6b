//! Structures that several operations answer.

use baikonur_stream::{
    HashKey, RecordDistribution, SequenceNumber, Shard, ShardId, StreamDescription, StreamMode,
    StreamName, StreamProperties, StreamStatus,
};

use crate::kinesis::Home;
use crate::wire::constraint::{OneOf, Required};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::output::{WholeSeconds, output};
use crate::wire::structure::structure;

/// `StreamStatus`.
pub(crate) fn stream_status(status: StreamStatus) -> &'static str {
    match status {
        StreamStatus::Creating => "CREATING",
        StreamStatus::Active => "ACTIVE",
        StreamStatus::Updating => "UPDATING",
        StreamStatus::Deleting => "DELETING",
    }
}

structure! {
    /// `StreamModeDetails` in requests.
    pub(crate) struct ModeMember<'a> {
        stream_mode: Text<'a> = "StreamMode" [Required, OneOf(&["PROVISIONED", "ON_DEMAND"])],
    }
}

impl ModeMember<'_> {
    /// The mode asked for.
    pub(crate) fn mode(&self) -> StreamMode {
        match self.stream_mode.as_ref().map(Text::as_str) {
            Some("ON_DEMAND") => StreamMode::OnDemand,
            _ => StreamMode::Provisioned,
        }
    }
}

output! {
    /// `StreamModeDetails` in answers.
    pub(crate) struct StreamModeDetails {
        stream_mode: &'static str = "StreamMode",
    }
}

impl StreamModeDetails {
    pub(crate) fn of(properties: &StreamProperties) -> Self {
        let stream_mode = match properties.mode {
            StreamMode::Provisioned => "PROVISIONED",
            StreamMode::OnDemand => "ON_DEMAND",
        };
        Self { stream_mode }
    }
}

/// `RecordDistributionStrategy`: its words.
pub(crate) const DISTRIBUTIONS: &[&str] = &["AUTO", "USER_PARTITION_KEY"];

/// The strategy that a checked member asks for.
pub(crate) fn distribution(strategy: Option<&Text<'_>>) -> RecordDistribution {
    match strategy.map(Text::as_str) {
        Some("AUTO") => RecordDistribution::Auto,
        _ => RecordDistribution::UserPartitionKey,
    }
}

/// The word for a strategy.
pub(crate) fn distribution_name(distribution: RecordDistribution) -> &'static str {
    match distribution {
        RecordDistribution::Auto => "AUTO",
        RecordDistribution::UserPartitionKey => "USER_PARTITION_KEY",
    }
}

/// Encryption is with KMS or not at all.
pub(crate) fn must_be_kms(encryption: Option<&Text<'_>>) -> Result<(), ApiError> {
    match encryption.map(Text::as_str) {
        Some("KMS") => Ok(()),
        _ => Err(ApiError::invalid_argument("EncryptionType must be KMS.")),
    }
}

/// `EncryptionType` where it is told only if there is encryption.
pub(crate) fn encryption(properties: &StreamProperties) -> Option<&'static str> {
    properties.encryption_key.as_ref().map(|_| "KMS")
}

/// `ShardLevelMetrics`.
pub(crate) fn metric_names(properties: &StreamProperties) -> Vec<&'static str> {
    properties.shard_level_metrics.iter().map(|metric| metric.name()).collect()
}

output! {
    /// `WarmThroughputObject`.
    pub(crate) struct WarmThroughput {
        current: u32 = "CurrentMiBps",
        target: u32 = "TargetMiBps",
    }
}

impl WarmThroughput {
    /// Of a stream that has one. The shards for it are made at once.
    pub(crate) fn of(properties: &StreamProperties) -> Option<Self> {
        properties.warm_throughput_mibps.map(|mibps| Self { current: mibps, target: mibps })
    }
}

output! {
    /// `HashKeyRange`.
    pub(crate) struct HashKeyRange {
        start: HashKey = "StartingHashKey",
        end: HashKey = "EndingHashKey",
    }
}

impl HashKeyRange {
    pub(crate) fn of(range: &baikonur_stream::HashKeyRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

output! {
    /// `SequenceNumberRange`.
    struct SequenceNumberRange {
        start: SequenceNumber = "StartingSequenceNumber",
        end: Option<SequenceNumber> = "EndingSequenceNumber",
    }
}

output! {
    /// `Shard`.
    pub(crate) struct ShardShape {
        id: ShardId = "ShardId",
        parent: Option<ShardId> = "ParentShardId",
        adjacent_parent: Option<ShardId> = "AdjacentParentShardId",
        hash_keys: HashKeyRange = "HashKeyRange",
        numbers: SequenceNumberRange = "SequenceNumberRange",
    }
}

impl ShardShape {
    pub(crate) fn of(shard: &Shard) -> Self {
        Self {
            id: shard.id,
            parent: shard.parent,
            adjacent_parent: shard.adjacent_parent,
            hash_keys: HashKeyRange::of(&shard.hash_key_range),
            numbers: SequenceNumberRange {
                start: shard.starting_sequence_number,
                end: shard.ending_sequence_number,
            },
        }
    }
}

output! {
    /// `EnhancedMetrics`.
    struct EnhancedMetrics {
        shard_level: Vec<&'static str> = "ShardLevelMetrics",
    }
}

output! {
    /// What DescribeStream and DescribeStreamSummary both say of a stream.
    pub(crate) struct StreamShape {
        name: StreamName = "StreamName",
        arn: String = "StreamARN",
        status: &'static str = "StreamStatus",
        mode: StreamModeDetails = "StreamModeDetails",
        retention_hours: u32 = "RetentionPeriodHours",
        created: WholeSeconds = "StreamCreationTimestamp",
        monitoring: Vec<EnhancedMetrics> = "EnhancedMonitoring",
        encryption: &'static str = "EncryptionType",
        key: Option<String> = "KeyId",
    }
}

impl StreamShape {
    pub(crate) fn of(stream: &StreamDescription, home: &Home) -> Self {
        let properties = &*stream.properties;
        Self {
            name: stream.name.clone(),
            arn: home.arn(&stream.name),
            status: stream_status(stream.status),
            mode: StreamModeDetails::of(properties),
            retention_hours: properties.retention.hours(),
            created: WholeSeconds(stream.created),
            monitoring: vec![EnhancedMetrics { shard_level: metric_names(properties) }],
            encryption: encryption(properties).unwrap_or("NONE"),
            key: properties.encryption_key.clone(),
        }
    }
}
