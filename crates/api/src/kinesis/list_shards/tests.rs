//! ListShards: paging, filters, and what must not be given together.

use crate::wire::error::ErrorCode;
use baikonur_stream::{HashKeyRange, SequenceNumber, ShardId};
use serde_json::{Value, json};

use super::*;
use crate::kinesis::testing::{START, World, message};

async fn ids(world: &World, members: Value) -> (Vec<u32>, Value) {
    let answer = world.call("ListShards", &members.to_string()).await.unwrap();
    let id = |shard: &Value| shard["ShardId"].as_str().unwrap().parse::<ShardId>().unwrap().index();
    (answer["Shards"].as_array().unwrap().iter().map(id).collect(), answer["NextToken"].clone())
}

#[tokio::test]
async fn shards_come_in_pages() {
    let world = World::with_stream("s", 5).await;
    let (first, token) = ids(&world, json!({ "StreamName": "s", "MaxResults": 2 })).await;
    let (second, token) = ids(&world, json!({ "NextToken": token, "MaxResults": 2 })).await;
    let (third, end) = ids(&world, json!({ "NextToken": token })).await;
    assert_eq!((first, second, third), (vec![0, 1], vec![2, 3], vec![4]));
    assert_eq!(end, Value::Null);
    let start = json!({ "StreamName": "s", "ExclusiveStartShardId": "shardId-000000000002x" });
    assert_eq!(ids(&world, start).await.0, [3, 4]);
    let after = json!({ "Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000002" });
    let (page, token) =
        ids(&world, json!({ "StreamName": "s", "ShardFilter": after, "MaxResults": 1 })).await;
    assert_eq!(page, [3]);
    assert_eq!(ids(&world, json!({ "NextToken": token })).await.0, [4]);
}

#[tokio::test]
async fn a_token_stands_alone_and_lives_five_minutes() {
    let world = World::with_stream("s", 3).await;
    let refused = async |members: Value| {
        let error = world.call("ListShards", &members.to_string()).await.unwrap_err();
        (error.code, message(&error))
    };
    let invalid = |text: &str| (ErrorCode::InvalidArgument, text.to_owned());
    assert_eq!(
        refused(json!({})).await,
        invalid("Either NextToken or StreamName should be provided.")
    );
    assert_eq!(
        refused(json!({ "NextToken": "x", "StreamName": "s" })).await,
        invalid("NextToken and StreamName cannot be provided together.")
    );
    assert_eq!(refused(json!({ "NextToken": "x" })).await, invalid("Invalid NextToken."));
    let token = ids(&world, json!({ "StreamName": "s", "MaxResults": 1 })).await.1;
    world.clock.advance(301);
    assert_eq!(refused(json!({ "NextToken": token })).await.0, ErrorCode::ExpiredNextToken);
}

#[tokio::test]
async fn a_token_is_of_its_stream_and_not_of_its_successor() {
    let world = World::with_stream("s", 3).await;
    let token = ids(&world, json!({ "StreamName": "s", "MaxResults": 1 })).await.1;
    world.call("DeleteStream", r#"{"StreamName":"s"}"#).await.unwrap();
    world.clock.advance(5);
    world.create("s", 3).await;
    let error =
        world.call("ListShards", &json!({ "NextToken": token }).to_string()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceNotFound);
    let made = |created: u64| json!({ "StreamName": "s", "StreamCreationTimestamp": created });
    assert_eq!(ids(&world, made(START + 5)).await.0.len(), 3);
    assert!(world.call("ListShards", &made(START).to_string()).await.is_err());
}

#[tokio::test]
async fn filters_without_their_companion_are_refused() {
    let world = World::with_stream("s", 1).await;
    for (kind, member) in [
        ("AT_TIMESTAMP", "Timestamp"),
        ("FROM_TIMESTAMP", "Timestamp"),
        ("AFTER_SHARD_ID", "ShardId"),
    ] {
        let body = json!({ "StreamName": "s", "ShardFilter": { "Type": kind } }).to_string();
        let error = world.call("ListShards", &body).await.unwrap_err();
        assert_eq!(message(&error), format!("ShardFilter of type {kind} needs {member}."));
    }
    let body = r#"{"StreamName":"s","ShardFilter":{}}"#;
    let error = world.call("ListShards", body).await.unwrap_err();
    assert!(message(&error).contains("Value null at 'shardFilter.type'"));
}

#[tokio::test]
async fn all_shards_of_a_new_stream_pass_all_filters() {
    let world = World::with_stream("s", 2).await;
    for kind in
        ["AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"]
    {
        let filter = json!({ "Type": kind, "Timestamp": 1 });
        let members = json!({ "StreamName": "s", "ShardFilter": filter });
        assert_eq!(ids(&world, members).await.0, [0, 1], "{kind}");
    }
}

#[tokio::test]
async fn shards_whose_records_had_expired_before_retention_was_raised_stay_out() {
    let world = World::with_stream("s", 1).await;
    world.put("s", "a").await;
    let split = r#"{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"2"}"#;
    world.call("SplitShard", split).await.unwrap();
    world.put("s", "b").await;
    let filtered = async |kind: &str, at: u64| {
        let filter = json!({ "Type": kind, "Timestamp": at });
        ids(&world, json!({ "StreamName": "s", "ShardFilter": filter })).await.0
    };
    assert_eq!(filtered("AT_TRIM_HORIZON", 0).await, [0]);
    assert_eq!(filtered("FROM_TIMESTAMP", START).await, [0, 1, 2]);
    world.clock.advance(25 * 3600);
    let longer = r#"{"StreamName":"s","RetentionPeriodHours":48}"#;
    world.call("IncreaseStreamRetentionPeriod", longer).await.unwrap();
    assert!(world.records("s", 1).await.is_empty() && world.records("s", 2).await.is_empty());
    for (kind, at) in [
        ("AT_TRIM_HORIZON", 0),
        ("FROM_TRIM_HORIZON", 0),
        ("AT_TIMESTAMP", START),
        ("FROM_TIMESTAMP", START),
    ] {
        assert_eq!(filtered(kind, at).await, [1, 2], "{kind}");
    }
}

#[test]
fn filters_look_at_when_shards_were_open() {
    let shard = |from: u64, to: Option<u64>| Shard {
        id: ShardId::new(0),
        parent: None,
        adjacent_parent: None,
        hash_key_range: HashKeyRange::evenly(1)[0],
        starting_sequence_number: SequenceNumber::new(from, 0, 0, from),
        ending_sequence_number: to
            .map(|to| SequenceNumber::new(from, 0, SequenceNumber::COUNTER_MAX, to)),
    };
    let (parent, child) = (shard(100, Some(200)), shard(201, None));
    let passes = |filter: Filter, horizon: u64| {
        let horizon = Timestamp::from_seconds(horizon);
        (filter.admits(&parent, horizon), filter.admits(&child, horizon))
    };
    let at = |seconds| Filter::At(Timestamp::from_seconds(seconds));
    let from = |seconds| Filter::From(Timestamp::from_seconds(seconds));
    assert_eq!(passes(Filter::FromTrimHorizon, 150), (true, true));
    assert_eq!(passes(Filter::AtTrimHorizon, 150), (true, false));
    assert_eq!(passes(Filter::AtTrimHorizon, 250), (false, true));
    assert_eq!(passes(Filter::AtLatest, 150), (false, true));
    assert_eq!(passes(at(200), 100), (true, false));
    assert_eq!(passes(at(201), 100), (false, true));
    assert_eq!(passes(at(1), 150), (true, false));
    assert_eq!(passes(from(200), 100), (true, true));
    assert_eq!(passes(from(201), 100), (false, true));
    assert_eq!(passes(from(1), 250), (false, true));
}
