//! Records and child shards on their way out, as GetRecords and SubscribeToShard both answer them.

use baikonur_stream::{ChildShard, ReadPage, Record, SequenceNumber, StreamProperties};

use crate::kinesis::shapes::HashKeyRange;
use crate::wire::output::{Encoder, Members, Structure};

/// Bytes of a record beside payload and key.
const RECORD_BYTES: usize = 176;

/// How many bytes the records of a page become at most.
pub(crate) fn records_capacity<E: Encoder>(page: &ReadPage) -> usize {
    let key = |record: &Record| record.partition_key.bytes().len();
    let size = |record: &Record| RECORD_BYTES + E::blob_length(record.data.len()) + key(record);
    page.records.iter().map(size).sum()
}

/// The elements of `Records`.
pub(crate) fn records<'a>(
    page: &'a ReadPage,
    properties: &'a StreamProperties,
) -> impl ExactSizeIterator<Item = RecordShape<'a>> {
    page.records.iter().map(move |record| RecordShape { record, properties })
}

/// The elements of `ChildShards`.
pub(crate) fn children(page: &ReadPage) -> impl ExactSizeIterator<Item = ChildShape<'_>> {
    page.children.iter().map(ChildShape)
}

/// `Record`.
pub(crate) struct RecordShape<'a> {
    record: &'a Record,
    /// Of its stream.
    properties: &'a StreamProperties,
}

impl Structure for RecordShape<'_> {
    #[inline]
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.member("ApproximateArrivalTimestamp", &self.record.arrival);
        members.member("Data", &self.record.data);
        if self.properties.is_encrypted_at(self.record.arrival) {
            members.member("EncryptionType", "KMS");
        }
        if !self.record.partition_key.is_absent() {
            members.member("PartitionKey", &self.record.partition_key);
        }
        members.member("SequenceNumber", &self.record.sequence_number);
    }
}

/// `SubscribeToShardEvent`, the payload of [`event`](crate::wire::event_stream::event).
pub(crate) struct Event<'a> {
    pub(crate) page: &'a ReadPage,
    /// AFTER which a client goes on; none when a closed shard has been sent to its end.
    pub(crate) continuation: Option<SequenceNumber>,
    pub(crate) properties: &'a StreamProperties,
}

impl Structure for Event<'_> {
    fn capacity<E: Encoder>(&self) -> usize {
        // The rest is a number of 56 digits, or two children.
        640 + records_capacity::<E>(self.page)
    }

    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.list("Records", records(self.page, self.properties));
        members.member("ContinuationSequenceNumber", &self.continuation);
        members.member("MillisBehindLatest", &self.page.millis_behind_latest);
        if self.continuation.is_none() {
            members.list("ChildShards", children(self.page));
        }
    }
}

/// `ChildShard`.
pub(crate) struct ChildShape<'a>(&'a ChildShard);

impl Structure for ChildShape<'_> {
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.member("ShardId", &self.0.id);
        members.member("ParentShards", &self.0.parents);
        members.member("HashKeyRange", &HashKeyRange::of(&self.0.hash_key_range));
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{HashKeyRange, PartitionKey, ShardId, Timestamp};
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::format::Format;

    #[test]
    fn events_go_on_after_a_number_or_end_with_children() {
        let number = SequenceNumber::new(1_700_000_000, 0, 1, 1_700_000_000);
        let record = Record {
            sequence_number: number,
            arrival: Timestamp::from_millis(1_700_000_000_250),
            partition_key: PartitionKey::new("a".into()).unwrap(),
            data: "hi".into(),
        };
        let child = ChildShard {
            id: ShardId::new(1),
            parents: vec![ShardId::new(0)],
            hash_key_range: HashKeyRange::evenly(1)[0],
        };
        let page = ReadPage {
            records: vec![record],
            next: None,
            millis_behind_latest: 7,
            children: vec![child],
        };
        let tree = |continuation| -> Value {
            let event =
                Event { page: &page, continuation, properties: &StreamProperties::default() };
            serde_json::from_slice(&Format::Json.encode(&event)).unwrap()
        };
        let mut going_on = json!({
            "Records": [{
                "ApproximateArrivalTimestamp": 1_700_000_000.25,
                "Data": "aGk=",
                "PartitionKey": "a",
                "SequenceNumber": number.to_string(),
            }],
            "ContinuationSequenceNumber": number.to_string(),
            "MillisBehindLatest": 7,
        });
        assert_eq!(tree(Some(number)), going_on);
        going_on.as_object_mut().unwrap().remove("ContinuationSequenceNumber");
        let mut ended = tree(None);
        let children = ended.as_object_mut().unwrap().remove("ChildShards").unwrap();
        assert_eq!(ended, going_on);
        assert_eq!(children[0]["ParentShards"], json!(["shardId-000000000000"]));
    }
}
