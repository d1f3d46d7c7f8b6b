//! PutRecords: what it takes, what it refuses, and that its parser is no other than a slow one.

use baikonur_stream::{HashKey, ShardId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kinesis::testing::{Failing, World, message};
use crate::wire::error::ErrorCode;
use crate::wire::json::parse;

#[tokio::test]
async fn all_records_are_answered_in_their_order_and_read_back() {
    let world = World::with_stream("s", 3).await;
    let body = json!({ "StreamName": "s", "Records": [
        { "Data": "YQ==", "PartitionKey": "a" },
        { "Data": "Yg==", "PartitionKey": "b" },
        { "Data": "", "PartitionKey": "\u{e9}\"\n", "ExplicitHashKey": "0", "Unknown": [1] },
    ]});
    let text = world.bytes("PutRecords", &body.to_string()).await.unwrap();
    assert!(text.starts_with("{\"FailedRecordCount\":0,"), "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let shards: Vec<_> =
        answer["Records"].as_array().unwrap().iter().map(|r| &r["ShardId"]).collect();
    assert_eq!(shards, ["shardId-000000000000", "shardId-000000000001", "shardId-000000000000"]);
    let records = world.records("s", 0).await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[1]["PartitionKey"], "\u{e9}\"\n");
    assert_eq!(records[1]["SequenceNumber"], answer["Records"][2]["SequenceNumber"]);
}

#[tokio::test]
async fn one_to_500_records_are_taken() {
    let world = World::with_stream("s", 1).await;
    let put = async |count: usize| {
        let records = vec![json!({ "Data": "", "PartitionKey": "a" }); count];
        world
            .call("PutRecords", &json!({ "StreamName": "s", "Records": records }).to_string())
            .await
    };
    assert_eq!(put(500).await.unwrap()["Records"].as_array().unwrap().len(), 500);
    let end = "failed to satisfy constraint: Member must have length";
    let error = message(&put(501).await.unwrap_err());
    assert_eq!(
        error,
        format!("1 validation error detected: Value at 'records' {end} less than or equal to 500")
    );
    let error = message(&put(0).await.unwrap_err());
    assert_eq!(
        error,
        format!(
            "1 validation error detected: Value '[]' at 'records' {end} greater than or equal to 1"
        )
    );
    assert!(message(&put(2000).await.unwrap_err()).contains("'records'"));
}

#[tokio::test]
async fn ten_mebibytes_are_the_limit_keys_included() {
    let world = World::with_stream("s", 1).await;
    let put = async |last: usize| {
        let record = |bytes| {
            let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; bytes]);
            json!({ "Data": data, "PartitionKey": "0123456789" })
        };
        let mut records = vec![record(1024 * 1024 - 10); 9];
        records.push(record(last));
        world
            .call("PutRecords", &json!({ "StreamName": "s", "Records": records }).to_string())
            .await
    };
    put(1024 * 1024 - 10).await.unwrap();
    let error = put(1024 * 1024 - 9).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert_eq!(message(&error), "Records size exceeds 10 MB limit");
}

#[tokio::test]
async fn faults_of_single_records_are_named_by_their_place() {
    let world = World::with_stream("s", 1).await;
    let error = async |records: &str| {
        let body = format!(r#"{{"StreamName":"s","Records":{records}}}"#);
        world.call("PutRecords", &body).await.unwrap_err()
    };
    let found =
        error(r#"[{"Data":"","PartitionKey":"a"},{"Data":"","PartitionKey":""},null]"#).await;
    assert_eq!(
        message(&found),
        "2 validation errors detected: Value '' at 'records.2.member.partitionKey' failed to satisfy \
         constraint: Member must have length greater than or equal to 1; Value null at \
         'records.3.member.data' failed to satisfy constraint: Member must not be null"
    );
    let large = base64_simd::STANDARD.encode_to_string(vec![0; 1024 * 1024 + 1]);
    let found = error(&format!(r#"[{{"Data":""}},{{"Data":"{large}","PartitionKey":"a"}}]"#)).await;
    assert_eq!(
        message(&found),
        "2 validation errors detected: Value null at 'records.1.member.partitionKey' failed to \
         satisfy constraint: Member must not be null; Value \
         'java.nio.HeapByteBuffer[pos=0 lim=1048577 cap=1048577]' at 'records.2.member.data' failed \
         to satisfy constraint: Member must have length less than or equal to 1048576"
    );
    let found = error(r#"[{"Data":"23456","PartitionKey":"a"}]"#).await;
    assert_eq!(found.code, ErrorCode::Serialization);
    assert!(
        message(&found)
            .starts_with("'23456' can not be converted to a Blob: Base64 encoded length")
    );
    assert_eq!(message(&error("[1]").await), "Expected null");
    assert_eq!(message(&error("{}").await), "Start of structure or map found where not expected.");
    let found = error(r#"[{"Data":"","PartitionKey":"a"},{"Data":"","PartitionKey":"a","ExplicitHashKey":"999999999999999999999999999999999999999"}]"#).await;
    assert!(message(&found).starts_with("Invalid ExplicitHashKey."));
    assert!(world.records("s", 0).await.is_empty(), "nothing of a refused call is put");
}

#[tokio::test]
async fn records_that_fail_alone_are_counted_and_named() {
    let world = World::with_stream("s", 1).await.failing(Failing {
        entries: vec![
            Ok(()),
            Err(PutError::ThroughputExceeded(ShardId::new(1))),
            Err(PutError::Unavailable("disk".into())),
        ],
    });
    let records = vec![json!({ "Data": "", "PartitionKey": "a" }); 3];
    let body = json!({ "StreamName": "s", "Records": records }).to_string();
    let answer = world.call("PutRecords", &body).await.unwrap();
    assert_eq!(answer["FailedRecordCount"], 2);
    assert!(answer["Records"][0].get("ErrorCode").is_none());
    assert_eq!(
        answer["Records"][1],
        json!({
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": "Rate exceeded for shard shardId-000000000001 in stream s under account 000000000000.",
        })
    );
    assert_eq!(
        answer["Records"][2],
        json!({ "ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure." })
    );
}

#[tokio::test]
async fn a_missing_stream_is_not_found_by_name_or_arn() {
    let world = World::new();
    for stream in
        [r#""StreamName":"s""#, r#""StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s""#]
    {
        let body = format!(r#"{{{stream},"Records":[{{"Data":"","PartitionKey":"a"}}]}}"#);
        let error = world.call("PutRecords", &body).await.unwrap_err();
        assert_eq!(message(&error), "Stream s under account 000000000000 not found.");
    }
}

/// A record as plain values: payload, partition key, explicit hash key.
type Plain = (Vec<u8>, String, Option<String>);

/// What a request holds, by way of a tree: slow and plain.
fn slowly(body: &[u8]) -> Option<Vec<Plain>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entry = |record: &Value| {
        let data = base64_simd::STANDARD.decode_to_vec(record["Data"].as_str()?).ok()?;
        let key = match &record["PartitionKey"] {
            Value::Null => String::new(),
            value => text(value).filter(|key| !key.is_empty())?,
        };
        let length = key.chars().count();
        let hash = match &record["ExplicitHashKey"] {
            Value::Null => None,
            value => {
                let hash = text(value).filter(|hash| hash.parse::<u128>().is_ok())?;
                (hash == "0" || !hash.starts_with(['0', '+'])).then_some(Some(hash))?
            }
        };
        (length <= 256).then_some((data, key, hash))
    };
    let records = request.as_object()?.get("Records")?.as_array()?;
    (1..=500).contains(&records.len()).then(|| records.iter().map(entry).collect())?
}

fn quickly(body: &[u8]) -> Option<Vec<Plain>> {
    let request: Request<'_> = parse(body).ok()?;
    crate::kinesis::check(&request).ok()?;
    let entries = decode(&request.records?.elements).ok()?;
    let plain = |entry: PutEntry| {
        let hash = entry.explicit_hash_key.map(|key: HashKey| key.to_string());
        (entry.data.to_vec(), entry.partition_key.as_str().to_owned(), hash)
    };
    Some(entries.into_iter().map(plain).collect())
}

fn record() -> impl Strategy<Value = Value> {
    let data = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..60)
            .prop_map(|bytes| json!(base64_simd::STANDARD.encode_to_string(bytes))),
        1 => "[A-Za-z0-9+/=]{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![8 => "\\PC{1,20}", 1 => "[\\x00-\\x7f]{0,4}", 1 => "é{250,260}"];
    let hash = prop_oneof![
        4 => Just(Value::Null),
        2 => any::<u128>().prop_map(|n| json!(n.to_string())),
        1 => "[0-9+]{0,41}".prop_map(Value::from),
    ];
    (data, key, hash).prop_map(|(data, key, hash)| {
        json!({ "Data": data, "PartitionKey": key, "ExplicitHashKey": hash, "Other": { "Data": 1 } })
    })
}

proptest! {
    #[test]
    fn the_parser_agrees_with_a_slow_one(records in prop::collection::vec(record(), 0..6), pretty: bool) {
        let request = json!({ "StreamName": "s", "Records": records });
        let body = if pretty { format!("{request:#}") } else { request.to_string() };
        prop_assert_eq!(quickly(body.as_bytes()), slowly(body.as_bytes()));
    }

    #[test]
    fn the_parser_agrees_with_a_slow_one_on_damaged_bodies(
        records in prop::collection::vec(record(), 1..3), at: prop::sample::Index, byte: u8,
    ) {
        let mut body = json!({ "StreamName": "s", "Records": records }).to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let read = quickly(&body);
        // A tree cannot tell members of another type from none, and checks the texts of members that
        // are skipped.
        if let (Some(read), Ok(_)) = (read, std::str::from_utf8(&body)) {
            prop_assert_eq!(Some(read), slowly(&body));
        }
    }
}
