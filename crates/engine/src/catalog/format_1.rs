//! The catalog as format 1 had it: streams without properties, checked by what they are written as.

use std::collections::BTreeMap;
use std::sync::Arc;

use baikonur_stream::{RetentionHours, Shard, StreamName, StreamProperties, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Catalog, StoredStream};

#[derive(Serialize, Deserialize)]
struct Catalog1 {
    last_incarnation: u64,
    streams: BTreeMap<StreamName, Stream1>,
}

#[derive(Serialize, Deserialize)]
struct Stream1 {
    incarnation: u64,
    retention: RetentionHours,
    hidden_before: Timestamp,
    shards: Vec<Shard>,
}

/// A catalog of format 1, if that is what `text` is.
pub(super) fn read(text: &str, crc32c: u32) -> Option<Catalog> {
    let catalog: Catalog1 = serde_json::from_str(text).ok()?;
    if crc32c::crc32c(&serde_json::to_vec(&catalog).ok()?) != crc32c {
        return None;
    }
    let stream = |stream: Stream1| StoredStream {
        incarnation: stream.incarnation,
        hidden_before: stream.hidden_before,
        properties: StreamProperties { retention: stream.retention, ..Default::default() }.into(),
        // Shards were never closed: they count from 0 without a gap.
        next_shard: stream.shards.len() as u32,
        shards: stream.shards.into(),
        consumers: Arc::default(),
        recent_calls: Default::default(),
    };
    let streams = catalog.streams.into_iter().map(|(name, s)| (name, Arc::new(stream(s))));
    Some(Catalog {
        last_created: catalog.last_incarnation,
        streams: streams.collect(),
        ..Catalog::default()
    })
}
