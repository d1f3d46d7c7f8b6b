//! `baikonur streams describe`.

use std::process::ExitCode;

use baikonur_stream::{Shard, StreamDescription, StreamName};
use serde_json::{Value, json};

use super::ls::mode_name;
use super::{Place, status_name};
use crate::commands::summary::table;

/// Describe a stream: what is set for it, and its shards.
#[derive(Debug, clap::Args)]
pub(super) struct Describe {
    /// The stream.
    stream: StreamName,
    /// One JSON object, with closed shards too.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Describe {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let administer = self.place.administer().await?;
        let stream = administer.describe_stream(&self.stream).await;
        let stream = stream.map_err(|error| self.place.explained(error))?;
        if self.json {
            println!("{}", as_json(&stream));
        } else {
            print!("{}", as_text(&stream));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_text(stream: &StreamDescription) -> String {
    let open = stream.open_shards().count();
    let properties = &stream.properties;
    let mut rows = vec![
        ("stream", stream.name.to_string()),
        ("status", status_name(stream.status).to_owned()),
        ("mode", mode_name(properties.mode).to_owned()),
        ("made", time(stream.created.millis())),
        ("retention", format!("{} h", properties.retention.hours())),
        ("largest record", format!("{} KiB", properties.record_kib_max)),
        ("encryption", properties.encryption_key.clone().unwrap_or_else(|| "none".to_owned())),
        ("open shards", open.to_string()),
        ("closed shards", (stream.shards.len() - open).to_string()),
    ];
    for consumer in stream.consumers.keys() {
        rows.push(("consumer", consumer.clone()));
    }
    let mut text = table(&rows);
    for shard in stream.open_shards() {
        let range = shard.hash_key_range;
        text.push_str(&format!("{}  {} to {}\n", shard.id, range.start, range.end));
    }
    text
}

fn time(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis);
    time.map_or_else(|_| millis.to_string(), |time| time.to_string())
}

fn as_json(stream: &StreamDescription) -> Value {
    let properties = &stream.properties;
    let id = |id: Option<baikonur_stream::ShardId>| id.map(|id| id.to_string());
    let shard = |shard: &Shard| {
        json!({
            "shardId": shard.id.to_string(),
            "open": shard.ending_sequence_number.is_none(),
            "startHash": shard.hash_key_range.start,
            "endHash": shard.hash_key_range.end,
            "parent": id(shard.parent),
            "adjacentParent": id(shard.adjacent_parent),
        })
    };
    json!({
        "streamName": stream.name,
        "status": status_name(stream.status),
        "mode": mode_name(properties.mode),
        "created": time(stream.created.millis()),
        "retentionHours": properties.retention.hours(),
        "maxRecordKiB": properties.record_kib_max,
        "encryptionKey": properties.encryption_key,
        "shardLevelMetrics": properties.shard_level_metrics,
        "warmThroughputMiBps": properties.warm_throughput_mibps,
        "consumers": stream.consumers.keys().collect::<Vec<_>>(),
        "openShards": stream.open_shards().count(),
        "shards": stream.shards.iter().map(shard).collect::<Vec<_>>(),
    })
}
