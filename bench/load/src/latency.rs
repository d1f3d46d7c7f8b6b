//! One record at a time: how long its put takes, and how long until a reader that polls has it.

use baikonur_stream::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::bounds::Bounds;
use crate::get::{count_records, iterator_of, iterator_request, next_iterator, shards};
use crate::http::Connection;
use crate::requests::request;
use crate::summary::{Measured, percentiles};
use crate::{Arguments, Failure};

pub(crate) async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let mut writer = Connection::open(&arguments.endpoint).await?;
    let mut reader = Connection::open(&arguments.endpoint).await?;
    let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; arguments.record_bytes]);
    // The lowest hash key is in the first shard.
    let body = json!({
        "StreamName": arguments.stream, "Data": data, "PartitionKey": "latency", "ExplicitHashKey": "0",
    });
    let put = request(&arguments.endpoint, "PutRecord", &body.to_string());
    let shard = shards(arguments).await?.swap_remove(0);
    reader.call(&iterator_request(arguments, &shard, "LATEST")).await?;
    let place = iterator_of(reader.body());
    let mut place = place.ok_or_else(|| reader.failure("GetShardIterator"))?;
    let (mut puts, mut arrivals) = (Measured::default(), Vec::new());
    let bounds = Bounds::new(arguments, SystemClock::new());
    while !bounds.over() {
        let before = bounds.clock.monotonic();
        let status = bounds.within(writer.call(&put)).await.ok_or("the put takes too long")??;
        if status != 200 {
            return Err(writer.failure("PutRecord").into());
        }
        puts.took(bounds.clock.monotonic() - before);
        puts.calls += 1;
        puts.records += 1;
        puts.bytes += put.len() as u64;
        loop {
            let body = format!("{{\"ShardIterator\":\"{place}\"}}");
            let get = request(&arguments.endpoint, "GetRecords", &body);
            bounds.within(reader.call(&get)).await.ok_or("the record does not arrive")??;
            let next = next_iterator(reader.body());
            place = next.ok_or_else(|| reader.failure("GetRecords"))?;
            if count_records(reader.body()) > 0 {
                break;
            }
        }
        let took = bounds.clock.monotonic() - before;
        arrivals.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }
    let mut summary = puts.summary(bounds.elapsed());
    summary["end_to_end_ms"] = percentiles(&mut arrivals);
    Ok(summary)
}
