//! Subscriptions from their first message to their end.

use serde_json::{Value, json};

use super::*;
use crate::kinesis::testing::{World, message};
use crate::kinesis::{Frames, Operation};

/// The next message: what it is, and its payload.
async fn next(frames: &mut Frames) -> Option<(String, Value)> {
    let bytes = frames.frame().await?.unwrap().into_data().unwrap();
    let headers_length = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let mut headers = &bytes[12..12 + headers_length];
    let mut kind = String::new();
    while !headers.is_empty() {
        let name_length = usize::from(headers[0]);
        let name = std::str::from_utf8(&headers[1..=name_length]).unwrap();
        let rest = &headers[name_length + 2..];
        let length = usize::from(u16::from_be_bytes(rest[..2].try_into().unwrap()));
        if matches!(name, ":event-type" | ":exception-type") {
            kind = String::from_utf8(rest[2..2 + length].to_vec()).unwrap();
        }
        headers = &rest[2 + length..];
    }
    let payload = &bytes[12 + headers_length..bytes.len() - 4];
    Some((kind, serde_json::from_slice(payload).unwrap()))
}

async fn event(frames: &mut Frames) -> Value {
    let (kind, payload) = next(frames).await.unwrap();
    assert_eq!(kind, "SubscribeToShardEvent");
    payload
}

async fn subscribe(world: &World, arn: &str, start: Value) -> Result<Frames, ApiError> {
    let body = json!({ "ConsumerARN": arn, "ShardId": "0", "StartingPosition": start }).to_string();
    match Operation::SubscribeToShard.answer(&world.kinesis, body.into()).await? {
        Answer::Stream(mut frames) => {
            assert_eq!(next(&mut frames).await.unwrap(), ("initial-response".into(), json!({})));
            Ok(frames)
        }
        Answer::Whole(_) => panic!("not a stream"),
    }
}

fn keys(event: &Value) -> Vec<&str> {
    let records = event["Records"].as_array().unwrap();
    records.iter().map(|record| record["PartitionKey"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn records_come_as_they_are_put_and_a_continuation_goes_on_behind_them() {
    let world = World::with_stream("s", 1).await;
    let arn = world.register("s", "c").await;
    world.put("s", "a").await;
    let mut frames = subscribe(&world, &arn, json!({ "Type": "TRIM_HORIZON" })).await.unwrap();
    let first = event(&mut frames).await;
    assert_eq!(keys(&first), ["a"]);
    let empty = event(&mut frames).await;
    assert_eq!((&empty["Records"], &empty["MillisBehindLatest"]), (&json!([]), &json!(0)));
    let number = world.put("s", "b").await;
    let second = event(&mut frames).await;
    assert_eq!(keys(&second), ["b"]);
    assert_eq!(second["ContinuationSequenceNumber"], json!(number));
    for continuation in [&first, &empty] {
        world.clock.advance(6);
        let start = json!({
            "Type": "AFTER_SEQUENCE_NUMBER",
            "SequenceNumber": continuation["ContinuationSequenceNumber"],
        });
        let mut again = subscribe(&world, &arn, start).await.unwrap();
        assert_eq!(keys(&event(&mut again).await), ["b"]);
    }
    // It was replaced, not left to its five minutes: what it still sends is what was on its way.
    let rest = async { while next(&mut frames).await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), rest).await.unwrap();
}

#[tokio::test]
async fn an_empty_shard_gives_an_empty_event_with_a_continuation_before_all_records() {
    let world = World::with_stream("s", 1).await;
    let arn = world.register("s", "c").await;
    let mut frames = subscribe(&world, &arn, json!({ "Type": "LATEST" })).await.unwrap();
    let empty = event(&mut frames).await;
    assert_eq!(empty["Records"], json!([]));
    world.put("s", "a").await;
    world.clock.advance(6);
    let number = &empty["ContinuationSequenceNumber"];
    let start = json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number });
    let mut again = subscribe(&world, &arn, start).await.unwrap();
    assert_eq!(keys(&event(&mut again).await), ["a"]);
}

#[tokio::test]
async fn the_end_of_a_shard_tells_its_children_and_no_continuation() {
    let world = World::with_stream("s", 1).await;
    let arn = world.register("s", "c").await;
    world.put("s", "a").await;
    let mut frames = subscribe(&world, &arn, json!({ "Type": "TRIM_HORIZON" })).await.unwrap();
    assert_eq!(keys(&event(&mut frames).await), ["a"]);
    event(&mut frames).await;
    let split = r#"{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"2"}"#;
    world.call("SplitShard", split).await.unwrap();
    let end = event(&mut frames).await;
    assert_eq!((end.get("ContinuationSequenceNumber"), &end["Records"]), (None, &json!([])));
    assert_eq!(end["ChildShards"].as_array().unwrap().len(), 2);
    assert_eq!(next(&mut frames).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_lives_five_minutes_with_a_pulse_of_five_seconds() {
    let world = World::with_stream("s", 1).await;
    let arn = world.register("s", "c").await;
    let begun = tokio::time::Instant::now();
    let mut frames = subscribe(&world, &arn, json!({ "Type": "LATEST" })).await.unwrap();
    let mut events = 0;
    while let Some((kind, _)) = next(&mut frames).await {
        assert_eq!(kind, "SubscribeToShardEvent");
        events += 1;
    }
    assert!((55..=65).contains(&events), "{events} events in five minutes");
    assert_eq!(begun.elapsed().as_secs(), 300, "of a clock that nobody waits for");
}

#[tokio::test(start_paused = true)]
async fn where_reading_is_limited_a_consumer_gets_two_mebibytes_a_second() {
    let mut world = World::with_stream("s", 1).await;
    let shared = std::sync::Arc::get_mut(&mut world.kinesis.shared).unwrap();
    shared.read_budgets = crate::kinesis::read_budgets::ReadBudgets::new(true);
    let arn = world.register("s", "c").await;
    let data = base64_simd::STANDARD.encode_to_string(vec![0; EVENT_BYTES_MAX - 1]);
    let body = json!({ "StreamName": "s", "Data": data, "PartitionKey": "k" }).to_string();
    for _ in 0..8 {
        world.call("PutRecord", &body).await.unwrap();
    }
    let begun = tokio::time::Instant::now();
    let mut frames = subscribe(&world, &arn, json!({ "Type": "TRIM_HORIZON" })).await.unwrap();
    let mut counts = Vec::new();
    for second in 1..=3 {
        // Half a tenth before the second ends: what comes with its end is of the next.
        let end = begun + Duration::from_secs(second) - Duration::from_millis(50);
        let mut records = 0;
        while let Ok(event) = tokio::time::timeout_at(end, event(&mut frames)).await {
            records += keys(&event).len();
        }
        counts.push(records);
    }
    assert_eq!(counts, [2, 2, 2], "mebibytes");
}

#[tokio::test]
async fn a_record_larger_than_an_event_is_an_event_of_its_own() {
    let world = World::with_stream("s", 1).await;
    let larger = r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","MaxRecordSizeInKiB":10240}"#;
    world.call("UpdateMaxRecordSize", larger).await.unwrap();
    let arn = world.register("s", "c").await;
    let data = base64_simd::STANDARD.encode_to_string(vec![7; 4 * EVENT_BYTES_MAX]);
    for key in ["small", "large", "last"] {
        let data = if key == "large" { data.as_str() } else { "" };
        let body = json!({ "StreamName": "s", "Data": data, "PartitionKey": key });
        world.call("PutRecord", &body.to_string()).await.unwrap();
    }
    let free = world.kinesis.answer_room.free_bytes();
    let mut frames = subscribe(&world, &arn, json!({ "Type": "TRIM_HORIZON" })).await.unwrap();
    assert_eq!(keys(&event(&mut frames).await), ["small"]);
    let large = event(&mut frames).await;
    assert_eq!((keys(&large), &large["Records"][0]["Data"]), (vec!["large"], &json!(data)));
    assert_eq!(keys(&event(&mut frames).await), ["last"]);
    drop(frames);
    while world.kinesis.answer_room.free_bytes() < free {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_stops_ends_its_subscriptions() {
    let world = World::with_stream("s", 1).await;
    let arn = world.register("s", "c").await;
    let mut frames = subscribe(&world, &arn, json!({ "Type": "LATEST" })).await.unwrap();
    event(&mut frames).await;
    world.kinesis.subscriptions.stop();
    let rest = async { while next(&mut frames).await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), rest).await.unwrap();
}

#[tokio::test]
async fn what_goes_away_ends_the_stream_with_an_exception() {
    let world = World::with_stream("s", 1).await;
    let arn = world.register("s", "c").await;
    let mut frames = subscribe(&world, &arn, json!({ "Type": "LATEST" })).await.unwrap();
    event(&mut frames).await;
    let gone = json!({ "ConsumerARN": arn }).to_string();
    world.call("DeregisterStreamConsumer", &gone).await.unwrap();
    world.put("s", "a").await;
    let (kind, payload) = next(&mut frames).await.unwrap();
    assert_eq!(kind, "ResourceNotFoundException");
    assert_eq!(payload["message"], "Consumer c, account 000000000000 not found.");
    assert_eq!(next(&mut frames).await, None);
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused_before_the_stream_begins() {
    let world = World::with_stream("s", 1).await;
    let arn = world.register("s", "c").await;
    let latest = || json!({ "Type": "LATEST" });
    let _frames = subscribe(&world, &arn, latest()).await.unwrap();
    let error = subscribe(&world, &arn, latest()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceInUse);
    assert!(message(&error).starts_with("Another active subscription exists for this consumer"));
    let unknown = arn.replace("/c:", "/d:");
    let error = subscribe(&world, &unknown, latest()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceNotFound);
    let error = subscribe(&world, &arn, json!({ "Type": "AT_SEQUENCE_NUMBER" })).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let body = json!({
        "ConsumerARN": arn, "ShardId": "7", "StartingPosition": latest(),
    });
    let body = body.to_string();
    let error = Operation::SubscribeToShard.answer(&world.kinesis, body.into()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceNotFound);
}
