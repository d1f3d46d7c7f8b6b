//! The way of a client: streams made, filled, read, and deleted over HTTP.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::served::Served;

async fn read_shard(served: &Served, stream: &str, shard: &Value, limit: u32) -> Vec<Value> {
    let body =
        json!({ "StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let mut iterator = served.ok("GetShardIterator", body).await["ShardIterator"].clone();
    let mut records = Vec::new();
    loop {
        let body = json!({ "ShardIterator": iterator, "Limit": limit });
        let page = served.ok("GetRecords", body).await;
        let found = page["Records"].as_array().unwrap();
        records.extend(found.iter().cloned());
        iterator = page["NextShardIterator"].clone();
        if page["MillisBehindLatest"] == 0 {
            return records;
        }
    }
}

#[tokio::test]
async fn every_record_is_read_once_in_order_with_its_bytes() {
    let served = Served::start().await;
    served.create("s", 3).await;
    let mut put = BTreeSet::new();
    for call in 0..5 {
        let record = |index: usize| {
            let data = vec![(call * 100 + index) as u8; index * 7];
            let data = base64_simd::STANDARD.encode_to_string(data);
            json!({ "Data": data, "PartitionKey": format!("key-{call}-{index}-\u{1f680}") })
        };
        let records: Vec<Value> = (0..100).map(record).collect();
        let body = json!({ "StreamName": "s", "Records": records });
        let answer = served.ok("PutRecords", body).await;
        assert_eq!(answer["FailedRecordCount"], 0);
        for (record, placed) in records.iter().zip(answer["Records"].as_array().unwrap()) {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            put.insert((
                text(&placed["SequenceNumber"]),
                text(&record["PartitionKey"]),
                text(&record["Data"]),
            ));
        }
    }
    assert_eq!(put.len(), 500);
    let mut read = BTreeSet::new();
    let shards = served.ok("ListShards", json!({ "StreamName": "s" })).await;
    for shard in shards["Shards"].as_array().unwrap() {
        let records = read_shard(&served, "s", &shard["ShardId"], 37).await;
        let numbers: Vec<&str> =
            records.iter().map(|r| r["SequenceNumber"].as_str().unwrap()).collect();
        assert!(numbers.is_sorted() && !numbers.is_empty());
        for record in &records {
            let text = |name: &str| record[name].as_str().unwrap().to_owned();
            assert!(read.insert((text("SequenceNumber"), text("PartitionKey"), text("Data"))));
            assert!(record["ApproximateArrivalTimestamp"].as_f64().unwrap() > 1.6e9);
        }
    }
    assert_eq!(read, put);
}

#[tokio::test]
async fn an_answer_stops_at_ten_mebibytes_and_says_that_there_is_more() {
    let served = Served::start().await;
    served.create("s", 1).await;
    let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; 1_000_000]);
    for _ in 0..2 {
        let records = vec![json!({ "Data": data, "PartitionKey": "a" }); 8];
        served.ok("PutRecords", json!({ "StreamName": "s", "Records": records })).await;
    }
    let body = json!({ "StreamName": "s", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = served.ok("GetShardIterator", body).await["ShardIterator"].clone();
    let first = served.ok("GetRecords", json!({ "ShardIterator": iterator })).await;
    assert_eq!(first["Records"].as_array().unwrap().len(), 10);
    assert!(first["MillisBehindLatest"].as_u64().unwrap() > 0);
    let body = json!({ "ShardIterator": first["NextShardIterator"] });
    let second = served.ok("GetRecords", body).await;
    assert_eq!(second["Records"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_stream_lives_and_ends() {
    let served = Served::start().await;
    served.create("s", 2).await;
    let name = json!({ "StreamName": "s" });
    let summary = served.ok("DescribeStreamSummary", name.clone()).await;
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 2);
    let longer = json!({ "StreamName": "s", "RetentionPeriodHours": 48 });
    assert_eq!(served.ok("IncreaseStreamRetentionPeriod", longer).await, Value::Null);
    assert_eq!(served.ok("DeleteStream", name.clone()).await, Value::Null);
    let (status, error) = served.call("DescribeStream", name).await;
    assert_eq!(status, 400);
    assert_eq!(
        error,
        json!({
            "__type": "ResourceNotFoundException",
            "message": "Stream s under account 000000000000 not found.",
        })
    );
}

#[tokio::test]
async fn producers_at_once_lose_nothing() {
    let served = Served::start().await;
    served.create("s", 2).await;
    let served = &served;
    let put = |producer: usize| async move {
        for call in 0..20 {
            let key = format!("{producer}-{call}");
            let body = json!({ "StreamName": "s", "Data": "aGk=", "PartitionKey": key });
            served.ok("PutRecord", body).await;
        }
    };
    tokio::join!(put(0), put(1), put(2), put(3));
    let mut keys = BTreeSet::new();
    for shard in ["0", "1"] {
        for record in read_shard(served, "s", &json!(shard), 1000).await {
            assert!(keys.insert(record["PartitionKey"].to_string()));
        }
    }
    assert_eq!(keys.len(), 80);
}
