//! The contract over a scripted service.

use std::collections::BTreeSet;

use baikonur_stream::{HashKey, Reshard, ShardId, ShardLevelMetric, StreamStatus, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::scripted::serve;

const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/router";

fn name() -> StreamName {
    StreamName::new("router").unwrap()
}

/// A stream of three shards in two pages, one of them closed; everything else succeeds.
fn service(operation: &str, body: &Value) -> (u16, Value) {
    let shard = |id: u32, start: &str, end: &str, closed: Value| {
        json!({
            "ShardId": ShardId::new(id).to_string(),
            "HashKeyRange": {"StartingHashKey": start, "EndingHashKey": end},
            "SequenceNumberRange": {
                "StartingSequenceNumber": "49640000000000000000000000000000000000000000000000000002",
                "EndingSequenceNumber": closed,
            },
            "ParentShardId": if id == 0 { Value::Null } else { "shardId-000000000000".into() },
        })
    };
    let max = "340282366920938463463374607431768211455";
    let middle = "170141183460469231731687303715884105728";
    let below = "170141183460469231731687303715884105727";
    let answer = match operation {
        "DescribeStreamSummary" => json!({"StreamDescriptionSummary": {
            "StreamName": "router", "StreamARN": ARN, "StreamStatus": "UPDATING",
            "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "RetentionPeriodHours": 48,
            "StreamCreationTimestamp": 1_700_000_000.5, "OpenShardCount": 2, "ConsumerCount": 1,
            "EnhancedMonitoring": [{"ShardLevelMetrics": ["IncomingBytes"]}],
            "EncryptionType": "KMS", "KeyId": "alias/k", "MaxRecordSizeInKiB": 2048,
            "WarmThroughput": {"TargetMiBps": 7, "CurrentMiBps": 5},
        }}),
        "ListShards" if body["NextToken"] == "t" => json!({"Shards": [
            shard(0, "0", max, "49640000000000000000000000000000000000000000000000000009".into()),
            shard(1, "0", below, Value::Null),
        ]}),
        "ListShards" => json!({"Shards": [shard(2, middle, max, Value::Null)], "NextToken": "t"}),
        "ListStreamConsumers" => json!({"Consumers": [{
            "ConsumerName": "app", "ConsumerARN": format!("{ARN}/consumer/app:1"),
            "ConsumerStatus": "ACTIVE", "ConsumerCreationTimestamp": 1_700_000_001,
        }]}),
        "DescribeStreamConsumer" => json!({"ConsumerDescription": {
            "ConsumerName": "app", "ConsumerARN": format!("{ARN}/consumer/app:1"), "StreamARN": ARN,
            "ConsumerStatus": "ACTIVE", "ConsumerCreationTimestamp": 1_700_000_001,
        }}),
        "RegisterStreamConsumer" => json!({"Consumer": {
            "ConsumerName": "new", "ConsumerARN": format!("{ARN}/consumer/new:2"),
            "ConsumerStatus": "CREATING", "ConsumerCreationTimestamp": 1_700_000_002,
        }}),
        "ListStreams" if body["ExclusiveStartStreamName"] == "b" => {
            json!({"StreamNames": ["c"], "HasMoreStreams": false})
        }
        "ListStreams" => json!({"StreamNames": ["a", "b"], "HasMoreStreams": true}),
        _ => json!({}),
    };
    (200, answer)
}

#[tokio::test]
async fn a_stream_is_described_with_all_pages_of_its_shards() {
    let (connection, calls) = serve(service).await;
    let kinesis = AmazonKinesis::new(&connection);
    let stream = kinesis.describe_stream(&name()).await.unwrap();
    assert_eq!(stream.status, StreamStatus::Updating);
    assert_eq!(stream.created, Timestamp::from_millis(1_700_000_000_500));
    let ids: Vec<_> = stream.shards.iter().map(|shard| shard.id.index()).collect();
    let open: Vec<_> = stream.open_shards().map(|shard| shard.id.index()).collect();
    assert_eq!((ids, open), (vec![0, 1, 2], vec![1, 2]));
    let properties = &stream.properties;
    assert_eq!((properties.mode, properties.retention.hours()), (StreamMode::OnDemand, 48));
    assert_eq!(properties.encryption_key.as_deref(), Some("alias/k"));
    assert_eq!((properties.record_kib_max, properties.warm_throughput_mibps), (2048, Some(7)));
    assert_eq!(properties.shard_level_metrics, [ShardLevelMetric::IncomingBytes].into());
    assert_eq!(stream.consumers.keys().collect::<Vec<_>>(), ["app"]);
    let calls = calls.lock().unwrap();
    let pages: Vec<_> = calls.iter().filter(|(name, _)| name == "ListShards").collect();
    assert_eq!(pages[0].1, json!({"StreamName": "router", "MaxResults": 10_000}));
    assert_eq!(pages[1].1, json!({"NextToken": "t", "MaxResults": 10_000}));
}

#[tokio::test]
async fn every_change_is_the_call_of_its_name() {
    let (connection, calls) = serve(service).await;
    let kinesis = AmazonKinesis::new(&connection);
    let metrics = BTreeSet::from([ShardLevelMetric::OutgoingBytes]);
    let tags = baikonur_stream::Tags::from([("k".to_owned(), "v".to_owned())]);
    let (one, two) = (ShardId::new(1), ShardId::new(2));
    let consumer = || Some("app".to_owned());
    let consumer_arn = format!("{ARN}/consumer/app:1");
    let changes = [
        (
            StreamChange::IncreaseRetention(RetentionHours::MAX),
            "IncreaseStreamRetentionPeriod",
            json!({"StreamName": "router", "RetentionPeriodHours": 8760}),
        ),
        (
            StreamChange::DecreaseRetention(RetentionHours::MIN),
            "DecreaseStreamRetentionPeriod",
            json!({"StreamName": "router", "RetentionPeriodHours": 24}),
        ),
        (
            StreamChange::Reshard(Reshard::Split { shard: one, at: HashKey::new(77) }),
            "SplitShard",
            json!({"StreamName": "router", "ShardToSplit": one.to_string(), "NewStartingHashKey": "77"}),
        ),
        (
            StreamChange::Reshard(Reshard::Merge { shard: one, adjacent: two }),
            "MergeShards",
            json!({"StreamName": "router", "ShardToMerge": one.to_string(), "AdjacentShardToMerge": two.to_string()}),
        ),
        (
            StreamChange::UpdateShardCount { target: 5 },
            "UpdateShardCount",
            json!({"StreamName": "router", "TargetShardCount": 5, "ScalingType": "UNIFORM_SCALING"}),
        ),
        (
            StreamChange::Mode { mode: StreamMode::OnDemand, warm_throughput_mibps: Some(9) },
            "UpdateStreamMode",
            json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "WarmThroughputMiBps": 9}),
        ),
        (
            StreamChange::WarmThroughput(3),
            "UpdateStreamWarmThroughput",
            json!({"StreamName": "router", "WarmThroughputMiBps": 3}),
        ),
        (
            StreamChange::RecordKibMax(4096),
            "UpdateMaxRecordSize",
            json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 4096}),
        ),
        (
            StreamChange::Distribution(RecordDistribution::Auto),
            "UpdateStreamRecordDistributionStrategy",
            json!({"StreamARN": ARN, "RecordDistributionStrategy": "AUTO"}),
        ),
        (
            StreamChange::EncryptionKey(Some("alias/x".to_owned())),
            "StartStreamEncryption",
            json!({"StreamName": "router", "EncryptionType": "KMS", "KeyId": "alias/x"}),
        ),
        (
            StreamChange::EncryptionKey(None),
            "StopStreamEncryption",
            json!({"StreamName": "router", "EncryptionType": "KMS", "KeyId": "alias/k"}),
        ),
        (
            StreamChange::EnableMetrics(metrics.clone()),
            "EnableEnhancedMonitoring",
            json!({"StreamName": "router", "ShardLevelMetrics": ["OutgoingBytes"]}),
        ),
        (
            StreamChange::DisableMetrics(metrics),
            "DisableEnhancedMonitoring",
            json!({"StreamName": "router", "ShardLevelMetrics": ["OutgoingBytes"]}),
        ),
        (
            StreamChange::AddTags(None, tags.clone()),
            "TagResource",
            json!({"ResourceARN": ARN, "Tags": {"k": "v"}}),
        ),
        (
            StreamChange::RemoveTags(consumer(), vec!["k".to_owned()]),
            "UntagResource",
            json!({"ResourceARN": consumer_arn, "TagKeys": ["k"]}),
        ),
        (
            StreamChange::Policy(consumer(), Some("{}".to_owned())),
            "PutResourcePolicy",
            json!({"ResourceARN": consumer_arn, "Policy": "{}"}),
        ),
        (StreamChange::Policy(None, None), "DeleteResourcePolicy", json!({"ResourceARN": ARN})),
        (
            StreamChange::RegisterConsumer { name: "new".to_owned(), tags },
            "RegisterStreamConsumer",
            json!({"StreamARN": ARN, "ConsumerName": "new", "Tags": {"k": "v"}}),
        ),
        (
            StreamChange::DeregisterConsumer { name: "app".to_owned() },
            "DeregisterStreamConsumer",
            json!({"StreamARN": ARN, "ConsumerName": "app"}),
        ),
    ];
    for (change, operation, body) in changes {
        calls.lock().unwrap().clear();
        let changed = kinesis.change_stream(&name(), change).await;
        assert_eq!(changed.map(|stream| stream.name), Ok(name()), "{operation}");
        let calls = calls.lock().unwrap();
        let call = calls.iter().find(|(name, _)| name == operation);
        assert_eq!(call.map(|(_, body)| body), Some(&body), "{operation} in {calls:?}");
    }
    let follow = kinesis.change_stream(&name(), StreamChange::FollowLoad(Vec::new())).await;
    assert!(matches!(follow, Err(AdministerError::Refused(_))), "{follow:?}");
}

#[tokio::test]
async fn streams_are_made_listed_and_deleted() {
    let (connection, calls) = serve(service).await;
    let kinesis = AmazonKinesis::new(&connection);
    let names = kinesis.list_streams(&StreamOwner::OWN).await.unwrap();
    assert_eq!(names.iter().map(StreamName::as_str).collect::<Vec<_>>(), ["a", "b", "c"]);
    let other = StreamOwner::other("123456789012", "eu-west-1").unwrap();
    assert!(kinesis.list_streams(&other).await.is_err());
    calls.lock().unwrap().clear();
    let properties = StreamProperties {
        retention: RetentionHours::new(48).unwrap(),
        tags: [("k".to_owned(), "v".to_owned())].into(),
        ..StreamProperties::default()
    };
    let request = CreateStream { name: name(), shard_count: 3, properties };
    kinesis.create_stream(request).await.unwrap();
    kinesis.delete_stream(&name(), true).await.unwrap();
    let calls = calls.lock().unwrap();
    let body = |operation| calls.iter().find(|(name, _)| name == operation).map(|(_, body)| body);
    let expected = json!({"StreamName": "router", "ShardCount": 3, "Tags": {"k": "v"},
                          "StreamModeDetails": {"StreamMode": "PROVISIONED"}});
    assert_eq!(body("CreateStream"), Some(&expected));
    let expected = json!({"StreamName": "router", "RetentionPeriodHours": 48});
    assert_eq!(body("IncreaseStreamRetentionPeriod"), Some(&expected));
    let expected = json!({"StreamName": "router", "EnforceConsumerDeletion": true});
    assert_eq!(body("DeleteStream"), Some(&expected));
}

/// Each stream's name is the error that it gives, with its message after a `.`.
fn refusing(_: &str, body: &Value) -> (u16, Value) {
    let (kind, message) = match body["StreamName"].as_str().unwrap_or_default() {
        "missing" => ("ResourceNotFoundException", "Stream missing under account 1 not found."),
        "shard" => ("ResourceNotFoundException", "Could not find shard shardId-9 in stream s."),
        "busy" => ("ResourceInUseException", "Stream busy under account 1 not ACTIVE"),
        "limit" => ("LimitExceededException", "UpdateShardCount cannot scale up over double"),
        "rate" => ("LimitExceededException", "Rate exceeded for stream rate under account 1."),
        "demand" => ("ValidationException", "Request is invalid. Stream d is in On-Demand mode."),
        _ => ("AccessDeniedException", "not authorized"),
    };
    (400, json!({"__type": kind, "message": message}))
}

#[tokio::test]
async fn refusals_keep_the_services_words() {
    let (connection, _) = serve(refusing).await;
    let kinesis = AmazonKinesis::new(&connection);
    let told = async |stream: &str| {
        let stream = StreamName::new(stream).unwrap();
        let change = StreamChange::UpdateShardCount { target: 2 };
        kinesis.change_stream(&stream, change).await.unwrap_err()
    };
    let stream = |name: &str| StreamName::new(name).unwrap();
    assert_eq!(told("missing").await, AdministerError::StreamNotFound(stream("missing")));
    assert_eq!(told("demand").await, AdministerError::OnDemand(stream("demand")));
    let refused = |text: &str| AdministerError::Refused(text.to_owned());
    let unavailable = |text: &str| AdministerError::Unavailable(text.to_owned());
    for (name, expected) in [
        (
            "shard",
            refused("ResourceNotFoundException: Could not find shard shardId-9 in stream s."),
        ),
        ("limit", refused("LimitExceededException: UpdateShardCount cannot scale up over double")),
        ("other", refused("AccessDeniedException: not authorized")),
        ("busy", unavailable("ResourceInUseException: Stream busy under account 1 not ACTIVE")),
        (
            "rate",
            unavailable("LimitExceededException: Rate exceeded for stream rate under account 1."),
        ),
    ] {
        assert_eq!(told(name).await, expected, "{name}");
    }
    let request = CreateStream {
        name: stream("busy"),
        shard_count: 1,
        properties: StreamProperties::default(),
    };
    let exists = kinesis.create_stream(request).await.unwrap_err();
    assert_eq!(exists, AdministerError::StreamExists(stream("busy")));
    let nobody = crate::Connection::to_endpoint("http://127.0.0.1:9".to_owned(), None, None).await;
    let nobody = nobody.unwrap();
    let nobody = AmazonKinesis::new(&nobody).describe_stream(&name()).await.unwrap_err();
    assert!(matches!(nobody, AdministerError::Unavailable(_)), "{nobody:?}");
    let (nowhere, nothing) = ("https://127.0.0.1:9".to_owned(), Some(b"no PEM".to_vec()));
    assert!(crate::Connection::to_endpoint(nowhere, None, nothing).await.is_err());
}
