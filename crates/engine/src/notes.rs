//! Notes: small durable texts beside the records. They share the log's group commit and are
//! carried from segment to segment by snapshots, so their number must stay bounded by streams,
//! consumers and producers.
//!
//! ```text
//! progress/{incarnation}/{shard}/{consumer}   JSON of a ShardProgress; updatable
//! producer/{name}                             the text of a sequence number; updatable
//! ```

use std::collections::BTreeMap;

use baikonur_stream::ConsumerName;
use bytes::Bytes;

use crate::frame::ShardKey;

/// The notes by key.
pub(crate) type Notes = BTreeMap<String, Bytes>;

/// The key of a consumer's progress in a shard.
pub(crate) fn progress_key(key: ShardKey, consumer: &ConsumerName) -> String {
    format!("progress/{}/{}/{consumer}", key.incarnation, key.shard)
}

/// The key of a producer's position.
pub(crate) fn producer_key(producer: &str) -> String {
    format!("producer/{producer}")
}

/// Whether a note is worth carrying on when only these incarnations exist.
pub(crate) fn is_alive(key: &str, exists: impl Fn(u64) -> bool) -> bool {
    let Some(rest) = key.strip_prefix("progress/") else { return true };
    let incarnation = rest.split('/').next().and_then(|text| text.parse().ok());
    incarnation.is_some_and(exists)
}
