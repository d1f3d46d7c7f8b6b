//! What happened, as JSON lines.

use aws_sdk_kinesis::types::{ChildShard, Record, Shard};
use md5::{Digest, Md5};
use serde_json::{Value, json};

/// One line: a step, and what is told of it.
pub fn say(step: &str, mut told: Value) {
    told["step"] = json!(step);
    println!("{told}");
}

/// In hexadecimal digits.
pub fn md5(data: &[u8]) -> String {
    Md5::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a shard has its last record.
pub fn is_closed(shard: &Shard) -> bool {
    shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_some())
}

/// Shards with ranges and parents.
pub fn say_shards(step: &str, shards: &[Shard]) {
    let shards: Vec<Value> = shards
        .iter()
        .map(|shard| {
            let range = shard.hash_key_range();
            json!({
                "id": shard.shard_id(),
                "start": range.map(|range| range.starting_hash_key()),
                "end": range.map(|range| range.ending_hash_key()),
                "parent": shard.parent_shard_id(),
                "adjacent": shard.adjacent_parent_shard_id(),
                "closed": is_closed(shard),
            })
        })
        .collect();
    say(step, json!({ "shards": shards }));
}

/// A record that was read or pushed.
pub fn say_record(step: &str, shard: &str, record: &Record) {
    let data = record.data().as_ref();
    say(
        step,
        json!({
            "shard": shard,
            "key": record.partition_key(),
            "number": record.sequence_number(),
            "size": data.len(),
            "md5": md5(data),
            "arrived": record.approximate_arrival_timestamp().map(|time| time.as_secs_f64()),
        }),
    );
}

/// The children that the end of a shard names, with their parents.
pub fn family(children: &[ChildShard]) -> Vec<Value> {
    children
        .iter()
        .map(|child| json!({ "id": child.shard_id(), "parents": child.parent_shards() }))
        .collect()
}
