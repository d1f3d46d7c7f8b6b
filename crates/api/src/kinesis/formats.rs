//! Every operation in both formats: two worlds alike, one asked in JSON and one in CBOR by an
//! independent crate, must answer the same.

use std::collections::BTreeSet;

use ciborium::Value as Cbor;
use serde_json::{Value, json};

use super::Operation;
use super::testing::World;
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::format::Format;

/// Two worlds, and which operations have succeeded in both.
struct Twins {
    json: World,
    cbor: World,
    seen: BTreeSet<&'static str>,
}

impl Twins {
    async fn ask(&mut self, operation: &str, request: Value) -> Result<Value, ApiError> {
        let json = self.json.bytes_of(operation, &request.to_string()).await;
        let cbor = self.cbor.bytes_in(Format::Cbor, operation, cbor_of(&request)).await;
        match (json, cbor) {
            (Ok(json), Ok(cbor)) => {
                self.seen.insert(Operation::named(operation).unwrap().name());
                let json = if json.is_empty() { Value::Null } else { json_tree(&json) };
                let cbor = if cbor.is_empty() { Value::Null } else { cbor_tree(&cbor) };
                assert_eq!(json, cbor, "{operation} {request}");
                Ok(json)
            }
            (Err(json), Err(cbor)) => {
                assert_eq!(json, cbor, "{operation} {request}");
                let bodies = [Format::Json, Format::Cbor].map(|format| json.body(format));
                assert_eq!(json_tree(&bodies[0]), cbor_tree(&bodies[1]));
                Err(json)
            }
            (json, cbor) => panic!("{operation} {request}: {json:?} and {cbor:?}"),
        }
    }

    async fn ok(&mut self, operation: &str, request: Value) -> Value {
        let answer = self.ask(operation, request).await;
        answer.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    async fn refused(&mut self, operation: &str, request: Value) -> ErrorCode {
        self.ask(operation, request).await.unwrap_err().code
    }
}

impl Twins {
    /// Everything that changes a stream or tells of its consumers.
    async fn administer(&mut self) {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
        let named = json!({ "StreamName": "s" });
        let of = |more: Value| {
            let mut request = json!({ "StreamName": "s" });
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            request
        };
        self.ok("AddTagsToStream", of(json!({ "Tags": { "a": "1", "b": "2" } }))).await;
        self.ok("RemoveTagsFromStream", of(json!({ "TagKeys": ["a"] }))).await;
        self.ok("ListTagsForStream", named.clone()).await;
        self.ok("TagResource", json!({ "ResourceARN": arn, "Tags": { "c": "3" } })).await;
        self.ok("UntagResource", json!({ "ResourceARN": arn, "TagKeys": ["c"] })).await;
        self.ok("ListTagsForResource", json!({ "ResourceARN": arn })).await;
        let split = json!({ "ShardToSplit": "0", "NewStartingHashKey": "5" });
        self.ok("SplitShard", of(split)).await;
        let merge = json!({ "ShardToMerge": "3", "AdjacentShardToMerge": "4" });
        self.ok("MergeShards", of(merge)).await;
        let count = json!({ "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING" });
        self.ok("UpdateShardCount", of(count)).await;
        let key = json!({ "EncryptionType": "KMS", "KeyId": "k" });
        self.ok("StartStreamEncryption", of(key.clone())).await;
        self.ok("DescribeStreamSummary", named.clone()).await;
        self.ok("StopStreamEncryption", of(key)).await;
        let metrics = json!({ "ShardLevelMetrics": ["IncomingBytes"] });
        self.ok("EnableEnhancedMonitoring", of(metrics.clone())).await;
        self.ok("DisableEnhancedMonitoring", of(metrics)).await;
        let size = json!({ "StreamARN": arn, "MaxRecordSizeInKiB": 2048 });
        self.ok("UpdateMaxRecordSize", size).await;
        let mode = json!({ "StreamARN": arn, "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
        self.ok("UpdateStreamMode", mode).await;
        let strategy = json!({ "StreamARN": arn, "RecordDistributionStrategy": "AUTO" });
        self.ok("UpdateStreamRecordDistributionStrategy", strategy).await;
        let commitment = json!({ "MinimumThroughputBillingCommitment": { "Status": "ENABLED" } });
        self.ok("UpdateAccountSettings", commitment).await;
        self.ok("DescribeAccountSettings", json!({})).await;
        let warm = json!({ "StreamARN": arn, "WarmThroughputMiBps": 5 });
        self.ok("UpdateStreamWarmThroughput", warm).await;
        self.ok("DescribeLimits", json!({})).await;
        let policy = json!({ "ResourceARN": arn, "Policy": "{}" });
        self.ok("PutResourcePolicy", policy).await;
        self.ok("GetResourcePolicy", json!({ "ResourceARN": arn })).await;
        self.ok("DeleteResourcePolicy", json!({ "ResourceARN": arn })).await;
        let consumer = json!({ "StreamARN": arn, "ConsumerName": "c" });
        self.ok("RegisterStreamConsumer", consumer.clone()).await;
        self.ok("DescribeStreamConsumer", consumer.clone()).await;
        self.ok("ListStreamConsumers", json!({ "StreamARN": arn })).await;
        self.ok("DeregisterStreamConsumer", consumer).await;
    }
}

/// Members that are no text, number or boolean in CBOR.
fn is_blob(name: &str) -> bool {
    name == "Data"
}

fn is_moment(name: &str) -> bool {
    name.ends_with("Timestamp") || name.ends_with("At")
}

fn cbor_of(request: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    ciborium::into_writer(&to_cbor("", request), &mut body).unwrap();
    body
}

fn to_cbor(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Number(seconds) if is_moment(name) => {
            let millis = (seconds.as_f64().unwrap() * 1000.0) as u64;
            Cbor::Tag(1, Box::new(Cbor::Integer(millis.into())))
        }
        Value::String(text) if is_blob(name) => {
            Cbor::Bytes(base64_simd::STANDARD.decode_to_vec(text).unwrap())
        }
        Value::Array(elements) => {
            Cbor::Array(elements.iter().map(|element| to_cbor(name, element)).collect())
        }
        Value::Object(members) => Cbor::Map(
            members
                .iter()
                .map(|(key, value)| (Cbor::Text(key.clone()), to_cbor(key, value)))
                .collect(),
        ),
        other => Cbor::serialized(other).unwrap(),
    }
}

fn cbor_tree(body: &[u8]) -> Value {
    let mut rest = body;
    let tree: Cbor = ciborium::from_reader(&mut rest).unwrap();
    assert!(rest.is_empty());
    from_cbor("", tree)
}

/// Checks on the way that each member has the type that Java clients need.
fn from_cbor(name: &str, value: Cbor) -> Value {
    match value {
        Cbor::Tag(1, millis) if is_moment(name) => {
            let millis = u64::try_from(millis.into_integer().unwrap()).unwrap();
            json!(millis as f64 / 1000.0)
        }
        Cbor::Bytes(bytes) if is_blob(name) => {
            json!(base64_simd::STANDARD.encode_to_string(bytes))
        }
        Cbor::Array(elements) => {
            elements.into_iter().map(|element| from_cbor(name, element)).collect()
        }
        Cbor::Map(members) => {
            let member = |(key, value): (Cbor, Cbor)| {
                let key = key.into_text().unwrap();
                let value = from_cbor(&key, value);
                (key, value)
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        other => {
            assert!(!is_moment(name) && !is_blob(name), "{name} is {other:?}");
            other.deserialized().unwrap()
        }
    }
}

/// The answer, with moments as fractions whether they were or not.
fn json_tree(body: &[u8]) -> Value {
    fn with_fractions(name: &str, value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.iter_mut().for_each(|(key, value)| with_fractions(key, value));
            }
            Value::Array(elements) => {
                elements.iter_mut().for_each(|element| with_fractions(name, element));
            }
            Value::Number(number) if is_moment(name) => *value = json!(number.as_f64()),
            _ => {}
        }
    }
    let mut tree = serde_json::from_slice(body).unwrap();
    with_fractions("", &mut tree);
    tree
}

#[tokio::test]
async fn every_operation_answers_the_same_in_both_formats() {
    let mut twins = Twins { json: World::new(), cbor: World::new(), seen: BTreeSet::new() };
    for stream in ["s", "t"] {
        twins.ok("CreateStream", json!({ "StreamName": stream, "ShardCount": 3 })).await;
    }
    let named = json!({ "StreamName": "s" });
    let to = |hours: u32| json!({ "StreamName": "s", "RetentionPeriodHours": hours });
    twins.ok("IncreaseStreamRetentionPeriod", to(48)).await;
    twins.ok("DecreaseStreamRetentionPeriod", to(24)).await;
    twins.ok("DescribeStream", named.clone()).await;
    twins.ok("DescribeStreamSummary", named.clone()).await;
    let page = twins.ok("ListStreams", json!({ "Limit": 1 })).await;
    twins.ok("ListStreams", json!({ "NextToken": page["NextToken"] })).await;
    let filter = json!({ "Type": "AT_TIMESTAMP", "Timestamp": 1_600_000_000.5 });
    let request = json!({ "StreamName": "s", "MaxResults": 2, "ShardFilter": filter });
    let page = twins.ok("ListShards", request).await;
    assert_eq!(page["Shards"].as_array().unwrap().len(), 2);
    twins.ok("ListShards", json!({ "NextToken": page["NextToken"] })).await;

    let put = json!({ "StreamName": "s", "Data": "AP/+", "PartitionKey": "\u{e9}\"" });
    twins.ok("PutRecord", put).await;
    let record = |key: &str| json!({ "Data": "aGk=", "PartitionKey": key, "ExplicitHashKey": "1" });
    let records = json!({ "StreamName": "s", "Records": [record("a"), record("b")] });
    assert_eq!(twins.ok("PutRecords", records).await["FailedRecordCount"], 0);
    let request = json!({
        "StreamName": "s", "ShardId": "0", "ShardIteratorType": "AT_TIMESTAMP",
        "Timestamp": 1_600_000_000.25,
    });
    let iterator = twins.ok("GetShardIterator", request).await;
    let records = twins.ok("GetRecords", iterator).await;
    assert!(records["Records"].as_array().unwrap().len() >= 2, "{records}");
    twins.administer().await;
    twins.ok("DeleteStream", named).await;

    // A stream of events is JSON inside whatever it is asked in.
    twins.seen.insert("SubscribeToShard");
    let all = Operation::ALL.iter().map(|operation| operation.name()).collect();
    assert_eq!(twins.seen, all, "an operation without a request here");
}

#[tokio::test]
async fn every_operation_refuses_the_same_in_both_formats() {
    let mut twins = Twins { json: World::new(), cbor: World::new(), seen: BTreeSet::new() };
    const MEMBERS: [&str; 6] =
        ["StreamName", "StreamARN", "ResourceARN", "ConsumerARN", "ShardIterator", "NextToken"];
    let all = |value: Value| -> Value {
        MEMBERS.iter().map(|member| ((*member).to_owned(), value.clone())).collect()
    };
    let memberless = ["DescribeAccountSettings", "DescribeLimits", "UpdateAccountSettings"];
    for operation in Operation::ALL {
        let name = operation.name();
        if memberless.contains(&name) {
            continue;
        }
        assert_eq!(twins.refused(name, all(json!(""))).await, ErrorCode::Validation, "{name}");
        for wrong in [json!(true), json!(1), json!(1.5), json!([]), json!({})] {
            assert_eq!(twins.refused(name, all(wrong)).await, ErrorCode::Serialization, "{name}");
        }
    }
    let missing = json!({ "StreamName": "s", "Records": [{ "Data": "", "PartitionKey": "a" }] });
    assert_eq!(twins.refused("PutRecords", missing).await, ErrorCode::ResourceNotFound);
}

#[tokio::test]
async fn a_stream_of_answers_is_refused_in_cbor() {
    let world = World::new();
    assert!(world.kinesis.refuse_cbor().is_ok());
    let kinesis = super::Kinesis { format: Format::Cbor, ..world.kinesis.clone() };
    assert_eq!(kinesis.refuse_cbor().unwrap_err().code.status(), 500);
}
