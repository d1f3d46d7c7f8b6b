//! The event that AWS Lambda hands to a function that is mapped to a Kinesis stream.
//!
//! Read by types of our own: the public ones read the arrival through the text of a float and refuse or falsify some
//! moments, and a payload would be copied once more. (AWS Lambda developer guide, "Process Amazon Kinesis records".)

use std::fmt;

use baikonur_stream::{
    Batch, PartitionKey, Record, SequenceNumber, ShardAddress, ShardId, StreamName, Timestamp,
};
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// What a function is invoked with.
#[derive(Debug, serde::Deserialize)]
pub struct KinesisEvent {
    #[serde(rename = "Records")]
    records: Vec<EventRecord>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventRecord {
    /// `shardId-000000000006:` and the sequence number.
    #[serde(rename = "eventID")]
    event_id: String,
    /// The ARN of the stream, or of a consumer of it.
    #[serde(rename = "eventSourceARN")]
    event_source_arn: String,
    kinesis: KinesisPart,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisPart {
    partition_key: String,
    sequence_number: SequenceNumber,
    data: Payload,
    /// Seconds since the epoch, with a fraction.
    approximate_arrival_timestamp: f64,
}

/// Bytes that the event has in base64.
#[derive(Debug)]
struct Payload(Bytes);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;

        impl Visitor<'_> for Base64 {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a payload in base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Payload, E> {
                let bytes = base64_simd::STANDARD.decode_to_vec(text);
                let bytes = bytes.map_err(|_| E::custom("kinesis.data is not base64"))?;
                Ok(Payload(bytes.into()))
            }
        }

        deserializer.deserialize_str(Base64)
    }
}

/// A record that no mapping of Lambda hands over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// From no stream.
    #[error("eventSourceARN {0:?} is not the ARN of a Kinesis stream")]
    Source(String),
    /// From no shard.
    #[error("eventID {0:?} does not begin with a shard id and a colon")]
    Shard(String),
    /// With a key that no record can have.
    #[error("the partition key of record {0} is longer than a partition key can be")]
    PartitionKey(SequenceNumber),
}

impl KinesisEvent {
    /// The records of each shard, in the order of the event. (A mapping of Lambda hands over records of one shard; a
    /// file that somebody wrote may have several.)
    ///
    /// # Errors
    /// The first record that no mapping would hand over.
    pub fn batches(self) -> Result<Vec<Batch>, InvalidEvent> {
        let mut batches: Vec<Batch> = Vec::new();
        for record in self.records {
            let shard = record.shard()?;
            let record = record.into_record()?;
            match batches.iter_mut().find(|batch| batch.shard == shard) {
                Some(batch) => batch.records.push(record),
                None => batches.push(Batch { shard, records: vec![record], attempt: 0 }),
            }
        }
        Ok(batches)
    }
}

impl EventRecord {
    fn shard(&self) -> Result<ShardAddress, InvalidEvent> {
        let stream = stream_of(&self.event_source_arn)
            .ok_or_else(|| InvalidEvent::Source(self.event_source_arn.clone()))?;
        let shard =
            self.event_id.split_once(':').and_then(|(shard, _)| shard.parse::<ShardId>().ok());
        let shard = shard.ok_or_else(|| InvalidEvent::Shard(self.event_id.clone()))?;
        Ok(ShardAddress { stream, shard })
    }

    fn into_record(self) -> Result<Record, InvalidEvent> {
        let KinesisPart { partition_key, sequence_number, data, approximate_arrival_timestamp } =
            self.kinesis;
        let partition_key = PartitionKey::new(Bytes::from(partition_key.into_bytes()))
            .map_err(|_| InvalidEvent::PartitionKey(sequence_number))?;
        Ok(Record {
            sequence_number,
            // A float-to-integer cast keeps to the range.
            arrival: Timestamp::from_millis((approximate_arrival_timestamp * 1e3).round() as u64),
            partition_key,
            data: data.0,
        })
    }
}

/// The stream of `arn:aws:kinesis:us-east-1:123456789012:stream/name`, behind which a consumer may follow.
fn stream_of(arn: &str) -> Option<StreamName> {
    let mut parts = arn.splitn(6, ':');
    let kinesis = parts.nth(2)? == "kinesis";
    let name = parts.nth(2)?.strip_prefix("stream/")?.split('/').next()?;
    StreamName::new(name).ok().filter(|_| kinesis)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NUMBER: &str = "49590338271490256608559692538361571095921575989136588898";

    fn record(id: &str, arn: &str, arrival: f64) -> Value {
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "1", "sequenceNumber": NUMBER,
                "data": "SGVsbG8=", "approximateArrivalTimestamp": arrival,
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": id,
            "eventName": "aws:kinesis:record", "awsRegion": "us-east-2", "eventSourceARN": arn,
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        })
    }

    fn batches(records: &[Value]) -> Result<Vec<Batch>, InvalidEvent> {
        let text = json!({ "Records": records, "window": { "start": "a" } }).to_string();
        serde_json::from_str::<KinesisEvent>(&text).unwrap().batches()
    }

    const ID: &str =
        "shardId-000000000006:49590338271490256608559692538361571095921575989136588898";
    const ARN: &str = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream";

    #[test]
    fn a_record_is_read_as_the_guide_shows_it() {
        let batches = batches(&[record(ID, ARN, 1_545_084_650.987)]).unwrap();
        let [batch] = &*batches else { panic!("{batches:?}") };
        assert_eq!(batch.shard.stream.as_str(), "lambda-stream");
        assert_eq!(batch.shard.shard, ShardId::new(6));
        let [record] = &*batch.records else { panic!("{batch:?}") };
        assert_eq!((&record.data[..], record.partition_key.as_str()), (&b"Hello"[..], "1"));
        assert_eq!(record.sequence_number.to_string(), NUMBER);
        assert_eq!(record.arrival.millis(), 1_545_084_650_987);
    }

    #[test]
    fn moments_keep_their_milliseconds() {
        for (seconds, millis) in
            [(1.98, 1980), (1.5, 1500), (1_700_000_000.430_1, 1_700_000_000_430), (7.0, 7000)]
        {
            let batches = batches(&[record(ID, ARN, seconds)]).unwrap();
            assert_eq!(batches[0].records[0].arrival.millis(), millis);
        }
    }

    #[test]
    fn each_shard_is_a_batch_of_its_own() {
        let other = ID.replace("0006", "0007");
        let consumer = format!("{ARN}/consumer/me:1");
        let records = [record(ID, ARN, 1.0), record(&other, ARN, 1.0), record(ID, &consumer, 1.0)];
        let batches = batches(&records).unwrap();
        let sizes: Vec<_> =
            batches.iter().map(|batch| (batch.shard.shard.index(), batch.records.len())).collect();
        assert_eq!(sizes, [(6, 2), (7, 1)]);
    }

    #[test]
    fn what_no_mapping_hands_over_is_refused() {
        let wrong = |id, arn| batches(&[record(id, arn, 1.0)]).unwrap_err().to_string();
        assert!(wrong("no colon", ARN).contains("eventID"));
        assert!(wrong("shardId-x:1", ARN).contains("eventID"));
        for arn in ["", "arn:aws:sqs:us-east-2:123456789012:queue", "arn:aws:kinesis:r:1:table/x"] {
            assert!(wrong(ID, arn).contains("eventSourceARN"), "{arn}");
        }
        let mut broken = record(ID, ARN, 1.0);
        broken["kinesis"]["data"] = json!("!");
        let text = json!({ "Records": [broken] }).to_string();
        let error = serde_json::from_str::<KinesisEvent>(&text).unwrap_err().to_string();
        assert!(error.contains("base64"), "{error}");
    }
}
