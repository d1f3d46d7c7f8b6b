//! Structures that several operations answer.

use baikonur_stream::{
    HashKey, SequenceNumber, Shard, ShardId, StreamDescription, StreamName, StreamStatus,
};

use crate::kinesis::Home;
use crate::wire::output::{WholeSeconds, output};

/// `StreamStatus`.
pub(crate) fn stream_status(status: StreamStatus) -> &'static str {
    match status {
        StreamStatus::Creating => "CREATING",
        StreamStatus::Active => "ACTIVE",
        StreamStatus::Updating => "UPDATING",
        StreamStatus::Deleting => "DELETING",
    }
}

output! {
    /// `StreamModeDetails`: shards are made by count here, whatever a client asked for.
    pub(crate) struct StreamModeDetails {
        stream_mode: &'static str = "StreamMode",
    }
}

impl StreamModeDetails {
    pub(crate) const PROVISIONED: Self = Self { stream_mode: "PROVISIONED" };
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
    /// `EnhancedMetrics`: there are none.
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
    }
}

impl StreamShape {
    pub(crate) fn of(stream: &StreamDescription, home: &Home) -> Self {
        Self {
            name: stream.name.clone(),
            arn: home.arn(&stream.name),
            status: stream_status(stream.status),
            mode: StreamModeDetails::PROVISIONED,
            retention_hours: stream.properties.retention.hours(),
            created: WholeSeconds(stream.created),
            monitoring: vec![EnhancedMetrics { shard_level: Vec::new() }],
            encryption: "NONE",
        }
    }
}
