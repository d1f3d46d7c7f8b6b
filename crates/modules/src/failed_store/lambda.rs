//! The documents that AWS Lambda writes into an on-failure destination on S3: what happened to a batch, and its records
//! in `payload`, as a JSON text or as an object.

use baikonur_stream::Timestamp;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode::{Entry, Foreign, Found};

/// A document names this and begins with a brace.
const MARK: &[u8] = b"KinesisBatchInfo";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'d> {
    request_context: RequestContext,
    #[serde(rename = "KinesisBatchInfo")]
    batch: BatchInfo,
    #[serde(borrow)]
    payload: Option<&'d RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    function_arn: String,
    condition: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo {
    shard_id: String,
    stream_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    records: Vec<EventRecord>,
}

#[derive(Deserialize)]
struct EventRecord {
    kinesis: KinesisRecord,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisRecord {
    partition_key: String,
    sequence_number: String,
    data: String,
    approximate_arrival_timestamp: f64,
}

/// The records of a document; none for an object that is no such document.
pub(super) fn read(object: &Bytes) -> Option<Result<Vec<Entry>, Foreign>> {
    let text = object.trim_ascii_start();
    if text.first() != Some(&b'{') || !object.windows(MARK.len()).any(|window| window == MARK) {
        return None;
    }
    // A line of a failed store may well have the word in its data.
    let document: Document<'_> = serde_json::from_slice(object).ok()?;
    Some(records(&document).map_err(Foreign))
}

fn records(document: &Document<'_>) -> Result<Vec<Entry>, String> {
    let Some(payload) = document.payload else {
        return Err(
            "it describes a batch that failed, and has not its records: only destinations \
                    on S3 get them"
                .to_owned(),
        );
    };
    let wrong = |error: serde_json::Error| format!("its payload is no event of Kinesis: {error}");
    let text = payload.get();
    let event: Event = if text.starts_with('"') {
        let text: String = serde_json::from_str(text).map_err(wrong)?;
        serde_json::from_str(&text).map_err(wrong)?
    } else {
        serde_json::from_str(text).map_err(wrong)?
    };
    let entries = event.records.into_iter().zip(0..).map(|(record, place)| {
        let record = record.kinesis;
        let millis = record.approximate_arrival_timestamp * 1000.0;
        match base64_simd::STANDARD.decode_to_vec(record.data) {
            Ok(data) => Entry::Record(Box::new(Found {
                place,
                module: name_in(&document.request_context.function_arn, "function:"),
                reason: snake_case(&document.request_context.condition),
                detail: format!("AWS Lambda: {}", document.request_context.condition),
                stream: name_in(&document.batch.stream_arn, "stream/"),
                shard: document.batch.shard_id.clone(),
                sequence_number: record.sequence_number,
                sub_sequence: 0,
                event_index: 0,
                // A number that is none, or before the epoch, becomes 0.
                arrival: Timestamp::from_millis(millis.round() as u64),
                partition_key: record.partition_key.into(),
                data: data.into(),
            })),
            Err(_) => Entry::Broken(format!("record {} has data that is no base64", place + 1)),
        }
    });
    Ok(entries.collect())
}

/// The name behind `mark` in an ARN, up to the next separator; the whole where there is no mark.
fn name_in(arn: &str, mark: &str) -> String {
    let name = arn.split_once(mark).map_or(arn, |(_, name)| name);
    name.split([':', '/']).next().unwrap_or_default().to_owned()
}

/// `RetryAttemptsExhausted` as our own reason of the same meaning.
fn snake_case(condition: &str) -> String {
    let mut reason = String::new();
    for letter in condition.chars() {
        if letter.is_ascii_uppercase() && !reason.is_empty() {
            reason.push('_');
        }
        reason.push(letter.to_ascii_lowercase());
    }
    reason
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::super::decode::entries;
    use super::*;

    /// A document; `payload` makes its payload of an event.
    pub(in super::super) fn document(payload: impl Fn(Value) -> Value) -> Bytes {
        let record = |number: &str, data: &str| {
            json!({
                "kinesis": {
                    "kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": number,
                    "data": data, "approximateArrivalTimestamp": 1_545_084_650.987,
                },
                "eventSource": "aws:kinesis", "eventVersion": "1.0",
                "eventID": format!("shardId-000000000006:{number}"),
            })
        };
        let event = json!({ "Records": [record("4959", "e30="), record("4960", "!")] });
        let document = json!({
            "requestContext": {
                "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
                "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:to-archive:live",
                "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 1,
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "version": "1.0", "timestamp": "2019-11-14T00:38:06.021Z",
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000006", "startSequenceNumber": "4959", "endSequenceNumber": "4960",
                "approximateArrivalOfFirstRecord": "2018-12-17T22:10:50.987Z",
                "approximateArrivalOfLastRecord": "2018-12-17T22:10:50.987Z", "batchSize": 2,
                "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
            },
            "payload": payload(event),
        });
        document.to_string().into()
    }

    #[test]
    fn the_payload_is_a_text_or_an_object() {
        for object in [document(|event| event.to_string().into()), document(|event| event)] {
            let entries: Vec<_> = entries(&object).unwrap().collect();
            let [Entry::Record(found), Entry::Broken(broken)] = &*entries else {
                panic!("{entries:?}")
            };
            let expected = Found {
                place: 0,
                module: "to-archive".to_owned(),
                reason: "retry_attempts_exhausted".to_owned(),
                detail: "AWS Lambda: RetryAttemptsExhausted".to_owned(),
                stream: "lambda-stream".to_owned(),
                shard: "shardId-000000000006".to_owned(),
                sequence_number: "4959".to_owned(),
                sub_sequence: 0,
                event_index: 0,
                arrival: Timestamp::from_millis(1_545_084_650_987),
                partition_key: Bytes::from_static(b"k"),
                data: Bytes::from_static(b"{}"),
            };
            assert_eq!(**found, expected);
            assert_eq!(broken, "record 2 has data that is no base64");
        }
    }

    #[test]
    fn a_document_without_its_records_says_so() {
        for object in [document(|_| Value::Null), document(|_| "no event".into())] {
            let error = entries(&object).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("has not its records") || error.contains("no event"), "{error}");
        }
    }
}
