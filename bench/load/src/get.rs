//! GetRecords: as fast as it goes, or at the pace of a consumer.

use std::time::Duration;

use baikonur_stream::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bounds::Bounds;
use crate::caller::{Called, Caller};
use crate::http::Connection;
use crate::requests::request;
use crate::summary::Measured;
use crate::{Arguments, Failure};

/// How shards are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// `ShardIteratorType`.
    pub(crate) from: &'static str,
    /// Stays with a shard when its newest record was read, instead of starting with the next shard.
    pub(crate) follows: bool,
    /// From the start of one call to the start of the next, at least.
    pub(crate) period: Duration,
}

/// Each connection reads its share of the shards from the oldest record to the newest, and starts over.
pub(crate) async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let shards = shards(arguments).await?;
    let bounds = Bounds::new(arguments, SystemClock::new());
    let reading = Reading { from: "TRIM_HORIZON", follows: false, period: Duration::ZERO };
    let mut connections = JoinSet::new();
    for index in 0..arguments.connections {
        let start = index % shards.len();
        let own = shards.iter().skip(start).step_by(arguments.connections.max(1)).cloned();
        let connection = Connection::open(&arguments.endpoint).await?;
        let caller = Caller::new(&arguments.endpoint, connection, bounds.clone());
        connections.spawn(read(caller, arguments.clone(), own.collect(), reading, bounds.clone()));
    }
    let mut all = Measured::default();
    while let Some(measured) = connections.join_next().await {
        all.add(measured?);
    }
    Ok(all.summary(bounds.elapsed()))
}

/// Reads shards until the run is over.
pub(crate) async fn read(
    mut caller: Caller,
    arguments: Arguments,
    shards: Vec<String>,
    reading: Reading,
    bounds: Bounds,
) -> Measured {
    for shard in shards.iter().cycle() {
        let mut next = match iterator(&mut caller, &arguments, shard, reading.from).await {
            Ok(iterator) => Some(iterator),
            Err(Called::Over) => break,
            Err(_) => None,
        };
        while let Some(iterator) = &next {
            let before = bounds.clock.monotonic();
            // One call in any case: a slow server may take all the time for the iterators.
            if before >= bounds.end && caller.measured.calls > 0 {
                return caller.measured;
            }
            let limit = arguments.limit;
            let body = format!("{{\"ShardIterator\":\"{iterator}\",\"Limit\":{limit}}}");
            let get = request(&arguments.endpoint, "GetRecords", &body);
            match caller.call("GetRecords", &get, before).await {
                Called::Over => return caller.measured,
                Called::Failed => continue,
                Called::Answered => {}
            }
            let body = caller.body();
            let (records, bytes) = (count_records(body), body.len() as u64);
            let at_tip = memchr::memmem::find(body, b"\"MillisBehindLatest\":0").is_some();
            next = next_iterator(body).filter(|_| reading.follows || !at_tip);
            caller.measured.records += records;
            caller.measured.bytes += bytes;
            let rest = (before + reading.period).saturating_sub(bounds.clock.monotonic());
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
        }
        if bounds.over() {
            break;
        }
    }
    caller.measured
}

/// Records of an answer.
pub(crate) fn count_records(body: &[u8]) -> u64 {
    memchr::memmem::find_iter(body, b"\"SequenceNumber\"").count() as u64
}

/// The iterator that goes on.
pub(crate) fn next_iterator(body: &[u8]) -> Option<String> {
    text_after(body, b"\"NextShardIterator\":\"")
}

fn text_after(body: &[u8], name: &[u8]) -> Option<String> {
    let from = memchr::memmem::find(body, name)? + name.len();
    let length = memchr::memchr(b'"', &body[from..])?;
    String::from_utf8(body[from..from + length].to_vec()).ok()
}

/// A request for an iterator of a shard.
pub(crate) fn iterator_request(arguments: &Arguments, shard: &str, kind: &str) -> Vec<u8> {
    let body =
        json!({ "StreamName": arguments.stream, "ShardId": shard, "ShardIteratorType": kind });
    request(&arguments.endpoint, "GetShardIterator", &body.to_string())
}

/// The iterator of an answer to it.
pub(crate) fn iterator_of(body: &[u8]) -> Option<String> {
    text_after(body, b"\"ShardIterator\":\"")
}

async fn iterator(
    caller: &mut Caller,
    arguments: &Arguments,
    shard: &str,
    kind: &str,
) -> Result<String, Called> {
    let get = iterator_request(arguments, shard, kind);
    match caller.attempt("GetShardIterator", &get).await {
        Called::Answered => iterator_of(caller.body()).ok_or(Called::Failed),
        other => Err(other),
    }
}

/// The shards of the stream.
pub(crate) async fn shards(arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let mut connection = Connection::open(&arguments.endpoint).await?;
    let mut shards = Vec::new();
    let mut body = json!({ "StreamName": arguments.stream });
    loop {
        let list = request(&arguments.endpoint, "ListShards", &body.to_string());
        connection.call(&list).await?;
        let answer: Value = serde_json::from_slice(connection.body())?;
        let page = answer["Shards"].as_array().filter(|page| !page.is_empty());
        let page = page.ok_or_else(|| connection.failure("ListShards"))?;
        shards.extend(page.iter().filter_map(|shard| shard["ShardId"].as_str()).map(str::to_owned));
        let Some(token) = answer["NextToken"].as_str() else { return Ok(shards) };
        body = json!({ "NextToken": token });
    }
}
