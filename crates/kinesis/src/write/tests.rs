//! Puts against a service that takes some records and not others.

use baikonur_stream::{HashKey, PartitionKey};
use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::scripted::{Calls, serve};
use crate::service::{Turns, number, refusal, shard};

const RATE: &str = "Rate exceeded for shard shardId-000000000003 in stream router under account 1.";

fn entry(text: &str) -> PutEntry {
    let partition_key = PartitionKey::new(Bytes::from(format!("key of {text}"))).unwrap();
    PutEntry { partition_key, explicit_hash_key: None, data: Bytes::from(text.to_owned()) }
}

/// An answer in which each record has a place by its number, or a refusal (none).
fn answer(records: &[Option<u64>]) -> (u16, Value) {
    let record = |record: &Option<u64>| match record {
        Some(counter) => json!({
            "SequenceNumber": number(*counter).to_string(), "ShardId": "shardId-000000000000",
        }),
        None => json!({
            "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": RATE,
        }),
    };
    let failed = records.iter().filter(|record| record.is_none()).count();
    let records: Vec<_> = records.iter().map(record).collect();
    (200, json!({"FailedRecordCount": failed, "Records": records}))
}

async fn producer(answers: impl IntoIterator<Item = (u16, Value)>) -> (Producer, Calls) {
    let answers = Turns::of(answers);
    let (connection, calls) = serve(move |_, _| answers.next()).await;
    (Producer::new(&AmazonKinesis::new(&connection)), calls)
}

/// The payloads of each call.
fn payloads(calls: &Calls) -> Vec<Vec<String>> {
    let calls = calls.lock().unwrap();
    let payloads = |body: &Value| {
        let records = body["Records"].as_array().unwrap().iter();
        records
            .map(|record| {
                let data = record["Data"].as_str().unwrap();
                let data = base64_simd::STANDARD.decode_to_vec(data).unwrap();
                String::from_utf8(data).unwrap()
            })
            .collect()
    };
    calls.iter().map(|(_, body)| payloads(body)).collect()
}

fn counters(results: &[Result<Placed, PutError>]) -> Vec<Option<u64>> {
    let counter = |result: &Result<Placed, PutError>| {
        result.as_ref().ok().map(|placed| placed.sequence_number.counter())
    };
    results.iter().map(counter).collect()
}

#[tokio::test]
async fn records_that_were_refused_are_put_again_before_any_other() {
    let many: Vec<_> = (0..502).map(|number| entry(&format!("{number:03}"))).collect();
    let mut first: Vec<_> = (0..500).map(Some).collect();
    (first[1], first[4]) = (None, None);
    let answers = [
        answer(&first),
        answer(&[None, Some(1001)]),
        answer(&[Some(1002)]),
        answer(&[Some(2000), Some(2001)]),
    ];
    let (producer, calls) = producer(answers).await;
    let results = producer.put(&shard().stream, many, None).await.unwrap();
    let payloads = payloads(&calls);
    assert_eq!(payloads[1], ["001", "004"]);
    assert_eq!(payloads[2], ["001"]);
    assert_eq!(payloads[3], ["500", "501"], "only when all before them are in");
    let counters = counters(&results);
    assert_eq!(counters.len(), 502);
    assert_eq!((counters[1], counters[4], counters[501]), (Some(1002), Some(1001), Some(2001)));
}

#[tokio::test]
async fn what_stays_refused_has_its_own_answer_and_nothing_is_put_past_it() {
    let entries: Vec<_> = (0..501).map(|number| entry(&number.to_string())).collect();
    let mut first: Vec<_> = (0..500).map(Some).collect();
    first[7] = None;
    let refused = std::iter::repeat_n(answer(&[None]), CALLS_MAX as usize - 1);
    let (producer, calls) = producer([answer(&first)].into_iter().chain(refused)).await;
    let results = producer.put(&shard().stream, entries, None).await.unwrap();
    let error = Err(PutError::ThroughputExceeded(ShardId::new(3)));
    assert_eq!((&results[7], &results[500]), (&error, &error));
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 2);
    assert_eq!(calls.lock().unwrap().len(), CALLS_MAX as usize);
}

#[tokio::test]
async fn a_call_that_fails_as_a_whole_puts_nothing() {
    let stream = shard().stream;
    for (refused, expected) in [
        (
            refusal("ResourceNotFoundException", "Stream router under account 1 not found."),
            PutError::StreamNotFound(stream.clone()),
        ),
        (
            refusal("AccessDeniedException", "no"),
            PutError::Unavailable("AccessDeniedException: no".to_owned()),
        ),
        (
            answer(&[Some(1)]),
            PutError::Unavailable(
                "the service gave a strange answer: 1 answers for 2 records".to_owned(),
            ),
        ),
    ] {
        let (producer, _) = producer([refused]).await;
        let error = producer.put(&stream, vec![entry("a"), entry("b")], None).await.unwrap_err();
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn calls_are_as_large_as_the_service_takes() {
    let large = |byte: u8| PutEntry { data: Bytes::from(vec![byte; 1 << 20]), ..entry("x") };
    let entries: Vec<_> = (0..8).map(large).collect();
    let answers = [
        refusal("InvalidArgumentException", "Records size exceeds 5 MB limit"),
        answer(&[Some(1), Some(2), Some(3), Some(4)]),
        answer(&[Some(5), Some(6), Some(7), Some(8)]),
        answer(&[Some(9), Some(10), Some(11), Some(12)]),
        answer(&[Some(13), Some(14), Some(15), Some(16)]),
    ];
    let (producer, calls) = producer(answers).await;
    for _ in 0..2 {
        let results = producer.put(&shard().stream, entries.clone(), None).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
    }
    let lengths: Vec<_> = payloads(&calls).iter().map(Vec::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 4], "what was refused once is not tried again");
}

#[tokio::test]
async fn a_record_that_is_never_taken_is_found_and_keeps_no_other() {
    let wrong = || refusal("ValidationException", "Value at 'records.3.member' is wrong");
    let answers = [
        wrong(),                     // a b c d
        answer(&[Some(1), Some(2)]), // a b
        wrong(),                     // c d
        wrong(),                     // c
        answer(&[Some(3)]),          // d
    ];
    let (producer, calls) = producer(answers).await;
    let entries = ["a", "b", "c", "d"].map(entry).to_vec();
    let results = producer.put(&shard().stream, entries, None).await.unwrap();
    assert_eq!(counters(&results), [Some(1), Some(2), None, Some(3)]);
    assert!(matches!(&results[2], Err(PutError::RecordRefused(told)) if told.contains("is wrong")));
    let lengths: Vec<_> = payloads(&calls).iter().map(Vec::len).collect();
    assert_eq!(lengths, [4, 2, 2, 1, 1]);
}

#[tokio::test]
async fn what_was_put_is_not_put_again_when_a_repeated_call_is_refused_for_a_record() {
    let answers = [
        answer(&[Some(1), None, Some(2), None]), // a b c d
        refusal("ValidationException", "Value at 'records.1.member' is wrong"), // b d
        refusal("ValidationException", "Value at 'records.1.member' is wrong"), // b d
        refusal("ValidationException", "Value at 'records.1.member' is wrong"), // b
        answer(&[Some(3)]),                      // d
    ];
    let (producer, calls) = producer(answers).await;
    let entries = ["a", "b", "c", "d"].map(entry).to_vec();
    let results = producer.put(&shard().stream, entries, None).await.unwrap();
    assert_eq!(counters(&results), [Some(1), None, Some(2), Some(3)]);
    assert!(matches!(&results[1], Err(PutError::RecordRefused(_))));
    let payloads = payloads(&calls);
    assert_eq!(payloads[1..], [&["b", "d"][..], &["b", "d"], &["b"], &["d"]]);
}

#[tokio::test]
async fn a_refusal_of_each_call_is_none_of_its_records() {
    let of_stream = "Value at 'streamName' failed to satisfy constraint";
    for (message, records, refuses_records) in [
        ("no", 2, false),
        ("no", 1, true),
        (of_stream, 1, false),
        (of_stream, 3, false),
        ("Value at 'records.1.member.data' failed to satisfy constraint", 2, true),
    ] {
        let answers = std::iter::repeat_n(refusal("ValidationException", message), 8);
        let (producer, _) = producer(answers).await;
        let entries = ["a", "b", "c"].map(entry)[..records].to_vec();
        let put = producer.put(&shard().stream, entries, None).await;
        let told = format!("ValidationException: {message}");
        let expected = match refuses_records {
            true => Ok(vec![Err(PutError::RecordRefused(told)); records]),
            false => Err(PutError::Unavailable(told)),
        };
        assert_eq!(put, expected);
    }
    // Where a record was put, the call was none to be refused.
    let no = || refusal("ValidationException", "no");
    let (producer, _) = producer([no(), no(), answer(&[Some(1)])]).await;
    let entries = vec![entry("a"), entry("b")];
    let results = producer.put(&shard().stream, entries, None).await.unwrap();
    assert_eq!(counters(&results), [None, Some(1)]);
}

#[tokio::test]
async fn keys_are_handed_on_and_nothing_is_remembered() {
    let (producer, calls) = producer([answer(&[Some(1), Some(2)])]).await;
    let entries = vec![
        PutEntry { explicit_hash_key: Some(HashKey::new(77)), ..entry("a") },
        PutEntry { partition_key: PartitionKey::ABSENT, ..entry("b") },
    ];
    let position = ProducerPosition { producer: "p".to_owned(), up_to: number(9) };
    producer.put(&shard().stream, entries, Some(position)).await.unwrap();
    assert_eq!(producer.remembered("p").await, Ok(None));
    let calls = calls.lock().unwrap();
    let records = &calls[0].1["Records"];
    assert_eq!(
        (&records[0]["ExplicitHashKey"], &records[0]["PartitionKey"]),
        (&json!("77"), &json!("key of a"))
    );
    assert!(records[1].get("PartitionKey").is_none_or(Value::is_null));
}

/// Keys and numbers of the records in the stream, put in random parts; all of them are put at last.
async fn put_in_parts(seed: u64, strict_order: bool) -> Vec<(String, u64)> {
    let taken = Arc::new(std::sync::Mutex::new(Vec::new()));
    let luck = std::sync::Mutex::new(seed | 1);
    let stream = Arc::clone(&taken);
    let (connection, _) = serve(move |_, body| {
        let mut luck = luck.lock().unwrap();
        let mut below = |bound| {
            *luck ^= *luck << 13;
            *luck ^= *luck >> 7;
            *luck ^= *luck << 17;
            *luck % bound
        };
        let harm = below(3);
        let records = body["Records"].as_array().unwrap().iter().map(|record| {
            if harm > 0 && below(4) == 0 {
                return None;
            }
            let data = base64_simd::STANDARD.decode_to_vec(record["Data"].as_str().unwrap());
            let number: u64 = String::from_utf8(data.unwrap()).unwrap().parse().unwrap();
            let key = record["PartitionKey"].as_str().unwrap().to_owned();
            stream.lock().unwrap().push((key, number));
            Some(number)
        });
        answer(&records.collect::<Vec<_>>())
    })
    .await;
    let producer = Producer::new(&AmazonKinesis::new(&connection)).in_strict_order(strict_order);
    let entries = (0..40_u64).map(|number| PutEntry {
        partition_key: PartitionKey::new(format!("key-{}", number % 7 % 4).into()).unwrap(),
        ..entry(&number.to_string())
    });
    let results = producer.put(&shard().stream, entries.collect(), None).await.unwrap();
    assert!(results.iter().all(Result::is_ok), "six calls are enough for these seeds");
    taken.lock().unwrap().clone()
}

/// The same for many seeds at once.
async fn put_in_many_parts(strict_order: bool) -> Vec<Vec<(String, u64)>> {
    let mut running = tokio::task::JoinSet::new();
    for seed in SEEDS {
        running.spawn(put_in_parts(seed, strict_order));
    }
    running.join_all().await
}

/// Of which none needs more calls than a producer makes.
const SEEDS: std::ops::Range<u64> = 1..40;

#[tokio::test]
async fn records_of_a_key_stand_in_their_order_whatever_was_refused() {
    for taken in put_in_many_parts(false).await {
        for key in ["key-0", "key-1", "key-2", "key-3"] {
            let mut order: Vec<u64> = Vec::new();
            for (_, number) in taken.iter().filter(|(of, _)| of == key) {
                order.retain(|before| before != number);
                order.push(*number);
            }
            let is_of = |number: &u64| format!("key-{}", number % 7 % 4) == key;
            assert_eq!(order, (0..40).filter(is_of).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn in_strict_order_no_record_overtakes_another_and_none_is_there_twice() {
    for taken in put_in_many_parts(true).await {
        assert_eq!(taken.len(), 40);
        let mut newest = std::collections::HashMap::new();
        for (key, number) in taken {
            let before = newest.insert(key, number);
            assert!(before.is_none_or(|before| before < number));
        }
    }
}
