//! One record at a time: how long its put takes, and how long until a reader that polls has it.

use baikonur_stream::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::get::{count_records, iterator, next_iterator, shards};
use crate::http::Connection;
use crate::requests::request;
use crate::summary::{Measured, percentiles};
use crate::{Arguments, Failure};

pub(crate) async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let clock = SystemClock::new();
    let mut writer = Connection::open(&arguments.endpoint).await?;
    let mut reader = Connection::open(&arguments.endpoint).await?;
    let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; arguments.record_bytes]);
    // The lowest hash key is in the first shard.
    let body = json!({
        "StreamName": arguments.stream, "Data": data, "PartitionKey": "latency", "ExplicitHashKey": "0",
    });
    let put = request(&arguments.endpoint, "PutRecord", &body.to_string());
    let shard = shards(arguments).await?.swap_remove(0);
    let mut place = iterator(&mut reader, arguments, &shard, "LATEST").await?;
    let (mut puts, mut arrivals) = (Measured::default(), Vec::new());
    let started = clock.monotonic();
    let end = started + arguments.duration();
    while clock.monotonic() < end {
        let before = clock.monotonic();
        let answer = writer.call(&put).await?;
        if answer.status != 200 {
            return Err(answer.failure("PutRecord").into());
        }
        puts.took(clock.monotonic() - before);
        puts.calls += 1;
        puts.records += 1;
        puts.bytes += put.len() as u64;
        loop {
            let body = format!("{{\"ShardIterator\":\"{place}\"}}");
            let get = request(&arguments.endpoint, "GetRecords", &body);
            let answer = reader.call(&get).await?;
            let next = next_iterator(answer.body);
            place = next.ok_or_else(|| answer.failure("GetRecords"))?;
            if count_records(answer.body) > 0 {
                break;
            }
        }
        let took = clock.monotonic() - before;
        arrivals.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }
    let mut summary = puts.summary(clock.monotonic() - started);
    summary["end_to_end_ms"] = percentiles(&mut arrivals);
    Ok(summary)
}
