//! The message that AWS Lambda sends of a batch that it gave up (Lambda's developer guide, "Capturing discarded batches
//! for a Kinesis Data Streams source"), and the document that it writes to S3, which has the records too.
//!
//! There is no function here: its ARN names the module, its answer is the one of a function that threw an error.

use baikonur_stream::{FailedBatch, FailedRecord, GiveUpCondition, GivenUp, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::failed_store::wall::{rfc3339, utc};

/// The account and region of ARNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The AWS region.
    pub region: String,
    /// The AWS account.
    pub account: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'m> {
    request_context: RequestContext,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext>,
    version: &'static str,
    timestamp: String,
    #[serde(rename = "KinesisBatchInfo")]
    batch: BatchInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'m str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: String,
    function_arn: String,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    status_code: u16,
    executed_version: &'static str,
    function_error: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo {
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
    approximate_arrival_of_first_record: String,
    approximate_arrival_of_last_record: String,
    batch_size: usize,
    stream_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    records: Vec<EventRecord>,
}

#[derive(Serialize)]
struct EventRecord {
    kinesis: KinesisRecord,
    #[serde(rename = "eventSource")]
    event_source: &'static str,
    #[serde(rename = "eventVersion")]
    event_version: &'static str,
    #[serde(rename = "eventID")]
    event_id: String,
    #[serde(rename = "eventName")]
    event_name: &'static str,
    #[serde(rename = "invokeIdentityArn")]
    invoke_identity_arn: String,
    #[serde(rename = "awsRegion")]
    aws_region: String,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KinesisRecord {
    kinesis_schema_version: &'static str,
    partition_key: String,
    sequence_number: String,
    data: String,
    approximate_arrival_timestamp: f64,
}

/// A batch that was given up.
pub(super) struct Told<'b> {
    batch: &'b FailedBatch,
    given_up: GivenUp,
    /// At least one.
    pub(super) records: &'b [FailedRecord],
}

/// The batches among the records of `batch` that were given up, in their order.
pub(super) fn given_up(batch: &FailedBatch) -> impl Iterator<Item = Told<'_>> {
    let groups = batch.records.chunk_by(|one, next| one.given_up == next.given_up);
    groups.filter_map(move |records| Some(Told { batch, given_up: records[0].given_up?, records }))
}

impl Told<'_> {
    /// The message, without the records.
    pub(super) fn message(&self, home: &Home, now: Timestamp) -> String {
        self.text(home, now, None)
    }

    /// The document, with the records.
    pub(super) fn document(&self, home: &Home, now: Timestamp) -> String {
        self.text(home, now, Some(&self.event(home)))
    }

    /// The document's key, as Lambda makes it but for two things, so that a repetition replaces it: its time is that of
    /// the last record's arrival, and what Lambda draws by lot is derived from the batch.
    pub(super) fn key(&self) -> String {
        let arrival = utc(self.last().arrival, "%Y/%m/%d/%Y-%m-%dT%H.%M.%S");
        let (mapping, shard) = (self.mapping_id(), self.batch.shard.shard);
        let request = self.request_id();
        format!("aws/lambda/{mapping}/{shard}/{arrival}-{request}")
    }

    fn last(&self) -> &FailedRecord {
        self.records.last().unwrap_or(&self.records[0])
    }

    fn text(&self, home: &Home, now: Timestamp, payload: Option<&str>) -> String {
        let (first, last) = (&self.records[0], self.last());
        let (condition, response_context) = match self.given_up.condition {
            GiveUpCondition::RetryAttemptsExhausted => {
                let response = ResponseContext {
                    status_code: 200,
                    executed_version: "$LATEST",
                    function_error: "Unhandled",
                };
                ("RetryAttemptsExhausted", Some(response))
            }
            GiveUpCondition::RecordAgeExceeded => ("RecordAgeExceeded", None),
        };
        let Home { region, account } = home;
        let consumer = &self.batch.consumer;
        let message = Message {
            request_context: RequestContext {
                request_id: self.request_id(),
                function_arn: format!("arn:aws:lambda:{region}:{account}:function:{consumer}"),
                condition,
                approximate_invoke_count: self.given_up.invoke_count,
            },
            response_context,
            version: "1.0",
            timestamp: rfc3339(now),
            batch: BatchInfo {
                shard_id: self.batch.shard.shard.to_string(),
                start_sequence_number: first.sequence_number.to_string(),
                end_sequence_number: last.sequence_number.to_string(),
                approximate_arrival_of_first_record: rfc3339(first.arrival),
                approximate_arrival_of_last_record: rfc3339(last.arrival),
                batch_size: self.records.len(),
                stream_arn: self.stream_arn(home),
            },
            payload,
        };
        serde_json::to_string(&message).expect("texts and numbers are JSON")
    }

    /// The event that a function would have got.
    fn event(&self, home: &Home) -> String {
        let Home { region, account } = home;
        let shard = self.batch.shard.shard;
        let records = self.records.iter().map(|record| EventRecord {
            kinesis: KinesisRecord {
                kinesis_schema_version: "1.0",
                partition_key: String::from_utf8_lossy(&record.partition_key).into_owned(),
                sequence_number: record.sequence_number.to_string(),
                data: base64_simd::STANDARD.encode_to_string(&record.data),
                approximate_arrival_timestamp: record.arrival.millis() as f64 / 1000.0,
            },
            event_source: "aws:kinesis",
            event_version: "1.0",
            event_id: format!("{shard}:{}", record.sequence_number),
            event_name: "aws:kinesis:record",
            invoke_identity_arn: format!("arn:aws:iam::{account}:role/{}", self.batch.consumer),
            aws_region: region.clone(),
            event_source_arn: self.stream_arn(home),
        });
        let event = Event { records: records.collect() };
        serde_json::to_string(&event).expect("texts and numbers are JSON")
    }

    fn stream_arn(&self, home: &Home) -> String {
        let Home { region, account } = home;
        format!("arn:aws:kinesis:{region}:{account}:stream/{}", self.batch.shard.stream)
    }

    /// The same for a batch that is told of again.
    fn request_id(&self) -> String {
        let FailedBatch { consumer, shard, .. } = self.batch;
        let (first, last) = (self.records[0].sequence_number, self.last().sequence_number);
        let condition = self.given_up.condition;
        uuid_of(&format!("{consumer}\n{shard}\n{first}\n{last}\n{condition:?}"))
    }

    /// In the place of Lambda's UUID of the mapping.
    fn mapping_id(&self) -> String {
        uuid_of(&format!("{}\n{}", self.batch.consumer, self.batch.shard.stream))
    }
}

/// A UUID of version 8, made of a text.
fn uuid_of(text: &str) -> String {
    let mut bytes: [u8; 16] = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text)[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut uuid = String::new();
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            uuid.push('-');
        }
        uuid.push_str(&format!("{byte:02x}"));
    }
    uuid
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{ConsumerName, SequenceNumber, ShardAddress, ShardId, StreamName};
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn batch(condition: GiveUpCondition, invoke_count: u32) -> FailedBatch {
        let number = |counter| SequenceNumber::new(1_600_000_000, 1, counter, 1_600_000_000);
        let given_up = Some(GivenUp { condition, first: number(1), invoke_count });
        let record = |counter| FailedRecord {
            sequence_number: number(counter),
            sub_sequence: 0,
            event_index: 0,
            arrival: Timestamp::from_millis(1_600_000_000_980 + counter),
            partition_key: Bytes::from_static(b"k"),
            reason: "a_word".to_owned(),
            detail: String::new(),
            data: Bytes::from_static(b"{}"),
            given_up,
        };
        let shard = ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(1) };
        let consumer = ConsumerName::new("m");
        FailedBatch { consumer, shard, records: vec![record(1), record(2)] }
    }

    fn home() -> Home {
        Home { region: "us-east-2".to_owned(), account: "123456789012".to_owned() }
    }

    #[test]
    fn a_message_has_the_shape_of_lambdas() {
        let batch = batch(GiveUpCondition::RetryAttemptsExhausted, 4);
        let told = given_up(&batch).next().unwrap();
        let message = told.message(&home(), Timestamp::from_millis(1_600_000_001_021));
        let value: Value = serde_json::from_str(&message).unwrap();
        let id = value["requestContext"]["requestId"].clone();
        let expected = json!({
            "requestContext": {
                "requestId": id,
                "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:m",
                "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4,
            },
            "responseContext": {
                "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled",
            },
            "version": "1.0", "timestamp": "2020-09-13T12:26:41.021Z",
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000001",
                "startSequenceNumber": batch.records[0].sequence_number.to_string(),
                "endSequenceNumber": batch.records[1].sequence_number.to_string(),
                "approximateArrivalOfFirstRecord": "2020-09-13T12:26:40.981Z",
                "approximateArrivalOfLastRecord": "2020-09-13T12:26:40.982Z",
                "batchSize": 2,
                "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/s",
            },
        });
        assert_eq!(value, expected);
        // In Lambda's order.
        let places = ["requestContext", "responseContext", "version", "timestamp", "KinesisBatch"]
            .map(|key| message.find(key).unwrap());
        assert!(places.is_sorted(), "{message}");
        let id = id.as_str().unwrap();
        assert_eq!((id.len(), &id[14..15]), (36, "8"));
        let again = told.message(&home(), Timestamp::from_millis(0));
        assert!(again.contains(id), "{again}");
    }

    #[test]
    fn an_expired_batch_has_no_response() {
        let batch = batch(GiveUpCondition::RecordAgeExceeded, 1);
        let told = given_up(&batch).next().unwrap();
        let message = told.message(&home(), Timestamp::from_millis(0));
        let value: Value = serde_json::from_str(&message).unwrap();
        assert_eq!(value.get("responseContext"), None);
        assert_eq!(value["requestContext"]["condition"], "RecordAgeExceeded");
        assert_eq!(value["requestContext"]["approximateInvokeCount"], 1);
    }

    #[test]
    fn a_document_has_the_event_as_text() {
        let batch = batch(GiveUpCondition::RetryAttemptsExhausted, 1);
        let told = given_up(&batch).next().unwrap();
        let document = told.document(&home(), Timestamp::from_millis(0));
        let value: Value = serde_json::from_str(&document).unwrap();
        let event: Value = serde_json::from_str(value["payload"].as_str().unwrap()).unwrap();
        let number = batch.records[0].sequence_number.to_string();
        let expected = json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": number,
                "data": "e30=", "approximateArrivalTimestamp": 1_600_000_000.981,
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0",
            "eventID": format!("shardId-000000000001:{number}"), "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/m", "awsRegion": "us-east-2",
            "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/s",
        });
        assert_eq!(event["Records"][0], expected);
        assert_eq!(event["Records"].as_array().unwrap().len(), 2);
    }
}
