//! GetRecords as fast as it goes: each connection reads its share of the shards from the oldest
//! record to the newest, and starts over.

use std::time::Duration;

use baikonur_stream::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::http::Connection;
use crate::requests::request;
use crate::summary::Measured;
use crate::{Arguments, Failure};

pub(crate) async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let clock = SystemClock::new();
    let shards = shards(arguments).await?;
    let started = clock.monotonic();
    let end = started + arguments.duration();
    let mut connections = JoinSet::new();
    for index in 0..arguments.connections {
        let start = index % shards.len();
        let own: Vec<String> =
            shards.iter().skip(start).step_by(arguments.connections.max(1)).cloned().collect();
        let arguments = arguments.clone();
        connections.spawn(async move { read(&arguments, &own, clock, end).await });
    }
    let mut all = Measured::default();
    while let Some(measured) = connections.join_next().await {
        all.add(measured??);
    }
    Ok(all.summary(clock.monotonic() - started))
}

async fn read(
    arguments: &Arguments,
    shards: &[String],
    clock: SystemClock,
    end: Duration,
) -> Result<Measured, Failure> {
    let mut connection = Connection::open(&arguments.endpoint).await?;
    let mut measured = Measured::default();
    for shard in shards.iter().cycle() {
        let mut next = Some(iterator(&mut connection, arguments, shard, "TRIM_HORIZON").await?);
        while let Some(iterator) = next {
            let before = clock.monotonic();
            if before >= end {
                return Ok(measured);
            }
            let body = format!("{{\"ShardIterator\":\"{iterator}\"}}");
            let get = request(&arguments.endpoint, "GetRecords", &body);
            let answer = connection.call(&get).await?;
            if answer.status != 200 {
                return Err(answer.failure("GetRecords").into());
            }
            measured.took(clock.monotonic() - before);
            measured.calls += 1;
            measured.records += count_records(answer.body);
            measured.bytes += answer.body.len() as u64;
            let at_tip = memchr::memmem::find(answer.body, b"\"MillisBehindLatest\":0").is_some();
            next = next_iterator(answer.body).filter(|_| !at_tip);
        }
    }
    Ok(measured)
}

/// Records of an answer.
pub(crate) fn count_records(body: &[u8]) -> u64 {
    memchr::memmem::find_iter(body, b"\"SequenceNumber\"").count() as u64
}

/// The iterator that goes on.
pub(crate) fn next_iterator(body: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"NextShardIterator\":\"";
    let from = memchr::memmem::find(body, NAME)? + NAME.len();
    let length = memchr::memchr(b'"', &body[from..])?;
    String::from_utf8(body[from..from + length].to_vec()).ok()
}

/// An iterator of a shard.
pub(crate) async fn iterator(
    connection: &mut Connection,
    arguments: &Arguments,
    shard: &str,
    kind: &str,
) -> Result<String, Failure> {
    let body =
        json!({ "StreamName": arguments.stream, "ShardId": shard, "ShardIteratorType": kind });
    let get = request(&arguments.endpoint, "GetShardIterator", &body.to_string());
    let answer = connection.call(&get).await?;
    let value: Value = serde_json::from_slice(answer.body)?;
    let iterator = value["ShardIterator"].as_str().map(str::to_owned);
    iterator.ok_or_else(|| answer.failure("GetShardIterator").into())
}

/// The shards of the stream.
pub(crate) async fn shards(arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let mut connection = Connection::open(&arguments.endpoint).await?;
    let body = json!({ "StreamName": arguments.stream }).to_string();
    let list = request(&arguments.endpoint, "ListShards", &body);
    let answer = connection.call(&list).await?;
    let value: Value = serde_json::from_slice(answer.body)?;
    let shards = value["Shards"].as_array().filter(|shards| !shards.is_empty());
    let shards = shards.ok_or_else(|| answer.failure("ListShards"))?;
    Ok(shards.iter().filter_map(|shard| shard["ShardId"].as_str().map(str::to_owned)).collect())
}
