//! Structures that several operations answer.

use baikonur_stream::{Shard, StreamDescription, StreamStatus};
use bytes::Bytes;
use serde::Serialize;

use crate::kinesis::Home;

/// `StreamStatus`.
pub(crate) fn stream_status(status: StreamStatus) -> &'static str {
    match status {
        StreamStatus::Creating => "CREATING",
        StreamStatus::Active => "ACTIVE",
        StreamStatus::Updating => "UPDATING",
        StreamStatus::Deleting => "DELETING",
    }
}

/// `StreamModeDetails`: shards are made by count here, whatever a client asked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamModeDetails {
    stream_mode: &'static str,
}

impl StreamModeDetails {
    pub(crate) const PROVISIONED: Self = Self { stream_mode: "PROVISIONED" };
}

/// `HashKeyRange`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl HashKeyRange {
    pub(crate) fn of(range: &baikonur_stream::HashKeyRange) -> Self {
        Self { starting_hash_key: range.start.to_string(), ending_hash_key: range.end.to_string() }
    }
}

/// `SequenceNumberRange`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange {
    starting_sequence_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<String>,
}

/// `Shard`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShardShape {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

impl ShardShape {
    pub(crate) fn of(shard: &Shard) -> Self {
        Self {
            shard_id: shard.id.to_string(),
            parent_shard_id: shard.parent.map(|id| id.to_string()),
            adjacent_parent_shard_id: shard.adjacent_parent.map(|id| id.to_string()),
            hash_key_range: HashKeyRange::of(&shard.hash_key_range),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: shard.starting_sequence_number.to_string(),
                ending_sequence_number: shard.ending_sequence_number.map(|n| n.to_string()),
            },
        }
    }
}

/// `EnhancedMetrics`: there are none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnhancedMetrics {
    shard_level_metrics: [&'static str; 0],
}

/// What DescribeStream and DescribeStreamSummary both say of a stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamShape {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    retention_period_hours: u32,
    /// Whole seconds, as the service answers.
    stream_creation_timestamp: u64,
    enhanced_monitoring: [EnhancedMetrics; 1],
    encryption_type: &'static str,
}

impl StreamShape {
    pub(crate) fn of(stream: &StreamDescription, home: &Home) -> Self {
        Self {
            stream_name: stream.name.to_string(),
            stream_arn: home.arn(&stream.name),
            stream_status: stream_status(stream.status),
            stream_mode_details: StreamModeDetails::PROVISIONED,
            retention_period_hours: stream.properties.retention.hours(),
            stream_creation_timestamp: stream.created.seconds(),
            enhanced_monitoring: [EnhancedMetrics { shard_level_metrics: [] }],
            encryption_type: "NONE",
        }
    }
}

/// An answer as JSON.
pub(crate) fn json(answer: &impl Serialize) -> Bytes {
    serde_json::to_vec(answer).expect("structures with text keys are JSON").into()
}
