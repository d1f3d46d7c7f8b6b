//! SubscribeToShard: all shards at once, each on a connection of its own, from the oldest record
//! until its reader is at the newest one.

use std::time::Duration;

use baikonur_stream::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bounds::Bounds;
use crate::event_stream::first_frame;
use crate::get::{count_records, shards};
use crate::http::Connection;
use crate::requests::request;
use crate::summary::Measured;
use crate::{Arguments, Failure};

/// Pause between two looks at a consumer that is being registered.
const REGISTRATION_PAUSE: Duration = Duration::from_millis(50);
/// How often to look: ten seconds altogether.
const REGISTRATION_LOOKS: u32 = 200;

pub(crate) async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    let shards = shards(arguments).await?;
    let consumer = consumer(arguments).await?;
    let mut opened = Vec::new();
    for _ in &shards {
        opened.push(Connection::open(&arguments.endpoint).await?);
    }
    let bounds = Bounds::new(arguments, SystemClock::new());
    let mut subscriptions = JoinSet::new();
    for (shard, connection) in shards.iter().zip(opened) {
        let body = json!({
            "ConsumerARN": consumer, "ShardId": shard, "StartingPosition": { "Type": "TRIM_HORIZON" },
        });
        let call = request(&arguments.endpoint, "SubscribeToShard", &body.to_string());
        subscriptions.spawn(follow(connection, call, bounds.clone()));
    }
    let (mut all, mut last) = (Measured::default(), bounds.started);
    while let Some(outcome) = subscriptions.join_next().await {
        let (measured, newest) = outcome?;
        all.add(measured);
        last = last.max(newest);
    }
    // Until the last record came; the pause before a reader knows that it is at the end is not counted.
    Ok(all.summary(last.saturating_sub(bounds.started).max(Duration::from_millis(1))))
}

/// Reads a subscription; gives what came and when the last record did.
async fn follow(connection: Connection, call: Vec<u8>, bounds: Bounds) -> (Measured, Duration) {
    let mut measured = Measured::default();
    let mut newest = bounds.started;
    let reading = receive(connection, &call, &bounds, &mut measured, &mut newest);
    let left = bounds.end.saturating_sub(bounds.clock.monotonic());
    if let Ok(Err(error)) = tokio::time::timeout(left, reading).await {
        measured.failed(format!("SubscribeToShard: {error}"));
    }
    (measured, newest)
}

async fn receive(
    connection: Connection,
    call: &[u8],
    bounds: &Bounds,
    measured: &mut Measured,
    newest: &mut Duration,
) -> Result<(), Failure> {
    let mut before = bounds.clock.monotonic();
    let mut answer = connection.call_streamed(call, "SubscribeToShard").await?;
    let mut received = Vec::new();
    while answer.read(&mut received).await? {
        let mut done = 0;
        while let Some(frame) = first_frame(&received[done..])? {
            if !frame.is_event {
                let kind = String::from_utf8_lossy(frame.kind);
                return Err(format!("{kind}: {}", String::from_utf8_lossy(frame.payload)).into());
            }
            done += frame.length;
            if frame.kind != b"SubscribeToShardEvent" {
                continue;
            }
            let records = count_records(frame.payload);
            let now = bounds.clock.monotonic();
            if records > 0 {
                measured.took(now - before);
                measured.calls += 1;
                measured.records += records;
                measured.bytes += frame.length as u64;
                *newest = now;
            }
            before = now;
            let at_tip = memchr::memmem::find(frame.payload, b"\"MillisBehindLatest\":0").is_some();
            if at_tip || now >= bounds.end {
                return Ok(());
            }
        }
        received.drain(..done);
    }
    Ok(())
}

/// The ARN of a consumer that can subscribe.
async fn consumer(arguments: &Arguments) -> Result<String, Failure> {
    let mut connection = Connection::open(&arguments.endpoint).await?;
    let mut call = async |operation: &str, body: Value| -> Result<Value, Failure> {
        let sent = request(&arguments.endpoint, operation, &body.to_string());
        match connection.call(&sent).await? {
            200 => Ok(serde_json::from_slice(connection.body())?),
            _ => Err(connection.failure(operation).into()),
        }
    };
    let stream = json!({ "StreamName": arguments.stream });
    let described = call("DescribeStreamSummary", stream).await?;
    let arn = &described["StreamDescriptionSummary"]["StreamARN"];
    let registration = json!({ "StreamARN": arn, "ConsumerName": "load" });
    let registered = match call("RegisterStreamConsumer", registration.clone()).await {
        Ok(registered) => registered["Consumer"]["ConsumerARN"].clone(),
        // It is there, of an earlier run.
        Err(refused) if refused.to_string().contains("ResourceInUse") => Value::Null,
        Err(other) => return Err(other),
    };
    for _ in 0..REGISTRATION_LOOKS {
        let described = call("DescribeStreamConsumer", registration.clone()).await?;
        let consumer = &described["ConsumerDescription"];
        if consumer["ConsumerStatus"] == "ACTIVE" {
            let arn = consumer["ConsumerARN"].as_str().or(registered.as_str());
            return Ok(arn.ok_or("a consumer without an ARN")?.to_owned());
        }
        tokio::time::sleep(REGISTRATION_PAUSE).await;
    }
    Err("the consumer does not become active".into())
}
