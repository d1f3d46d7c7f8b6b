//! GetRecords: a page of a shard.
//!
//! Payloads go from the store straight into the answer. Memory for an answer is reserved
//! before the page is read and given back when the client has taken it.

use baikonur_stream::{
    Cursor, PutError, ReadLimits, ReadPage, Record, StreamName, StreamProperties,
};

use crate::kinesis::records::{children, records, records_capacity};
use crate::kinesis::{Answer, Kinesis, Reserved};
use crate::limits::{GET_BYTES_MAX, GET_RECORDS_MAX};
use crate::wire::constraint::{ARN_LENGTH, Length, Range, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Boolean, Integer, Text};
use crate::wire::output::{Encoder, Members, Structure};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        iterator: Text<'a> = "ShardIterator" [Required, Length(1, 512)],
        limit: Integer = "Limit" [Range(1, GET_RECORDS_MAX)],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        dry_run: Boolean = "DryRun" [],
    }
}

pub(crate) struct Call {
    cursor: Cursor,
    limits: ReadLimits,
    dry_run: bool,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let cursor = kinesis.place_of(request.iterator.as_ref().map_or("", Text::as_str))?;
    let named = kinesis.home.optional_stream(None, request.stream_arn.as_ref())?;
    check_stream(named.as_ref(), &cursor)?;
    let records = request.limit.map_or(GET_RECORDS_MAX, |limit| limit.0) as usize;
    let limits = ReadLimits { records, bytes: GET_BYTES_MAX };
    Ok(Call { cursor, limits, dry_run: request.dry_run.is_some_and(|dry_run| dry_run.0) })
}

fn check_stream(named: Option<&StreamName>, cursor: &Cursor) -> Result<(), ApiError> {
    let stream = &cursor.shard.stream;
    match named {
        Some(named) if named != stream => Err(ApiError::invalid_argument(format!(
            "The ShardIterator is of stream {stream}, not of stream {named} of StreamARN."
        ))),
        _ => Ok(()),
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Answer, ApiError> {
    let Call { cursor, limits, dry_run } = call;
    let shard = &cursor.shard;
    let now = kinesis.streams.clock.monotonic();
    if !kinesis.read_budgets.take_call(shard, now) {
        let error = PutError::ThroughputExceeded(shard.shard);
        return Err(kinesis.home.put_failure(&shard.stream, &error));
    }
    let room = kinesis.reserve_answer().await?;
    let read = kinesis.streams.read.read(&cursor, limits).await;
    let page = read.map_err(|error| kinesis.home.read_failure(&cursor.shard, &error))?;
    let properties = kinesis.describe(&cursor.shard.stream).await?.properties;
    if dry_run {
        return Err(kinesis.refuse_dry_run(&cursor.shard.stream).await);
    }
    let next = page.next.as_ref().map(|cursor| kinesis.shard_iterator(cursor));
    let bytes = kinesis.format.encode(&Page {
        page: &page,
        next: next.as_deref(),
        properties: &properties,
    });
    let size = page.records.iter().map(Record::size).sum();
    kinesis.read_budgets.take_bytes(shard, size, now);
    // The page is gone when the answer waits for the client: its room is given back.
    drop(page);
    Ok(Answer::Whole(Reserved::hold(bytes, room)))
}

/// Bytes of an answer's fixed parts.
const ANSWER_BYTES: usize = 640;

/// The answer for a page; `next` is the iterator that goes on, none at the end of a closed shard.
struct Page<'a> {
    page: &'a ReadPage,
    next: Option<&'a str>,
    properties: &'a StreamProperties,
}

impl Structure for Page<'_> {
    fn capacity<E: Encoder>(&self) -> usize {
        ANSWER_BYTES + records_capacity::<E>(self.page)
    }

    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.member("MillisBehindLatest", &self.page.millis_behind_latest);
        match self.next {
            Some(next) => members.member("NextShardIterator", next),
            None => members.list("ChildShards", children(self.page)),
        }
        members.list("Records", records(self.page, self.properties));
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{ChildShard, ShardId};
    use serde_json::{Value, json};

    use super::*;
    use crate::kinesis::testing::{START, World, message};
    use crate::wire::error::ErrorCode;
    use crate::wire::format::Format;

    async fn get(world: &World, iterator: &Value) -> Result<Value, ApiError> {
        world.call("GetRecords", &json!({ "ShardIterator": iterator }).to_string()).await
    }

    #[tokio::test]
    async fn records_are_answered_as_the_service_does() {
        let world = World::with_stream("s", 1).await;
        let number = world.put("s", "a").await;
        let iterator = world.iterator("s", 0, "TRIM_HORIZON").await;
        let mut answer = get(&world, &iterator).await.unwrap();
        let next = answer.as_object_mut().unwrap().remove("NextShardIterator").unwrap();
        assert_eq!(
            answer,
            json!({
                "MillisBehindLatest": 0,
                "Records": [{
                    "SequenceNumber": number,
                    "ApproximateArrivalTimestamp": START as f64,
                    "Data": "YQ==",
                    "PartitionKey": "a",
                }],
            })
        );
        let after = get(&world, &next).await.unwrap();
        assert_eq!(after["Records"], json!([]));
        assert_ne!(after["NextShardIterator"], next, "each answer has another iterator");
    }

    #[tokio::test]
    async fn a_limit_makes_pages_without_gap_or_overlap() {
        let world = World::with_stream("s", 1).await;
        for key in ["a", "b", "c"] {
            world.put("s", key).await;
        }
        let mut iterator = world.iterator("s", 0, "TRIM_HORIZON").await;
        let mut keys = Vec::new();
        for _ in 0..4 {
            let body = json!({ "ShardIterator": iterator, "Limit": 1 }).to_string();
            let answer = world.call("GetRecords", &body).await.unwrap();
            keys.extend(answer["Records"].get(0).map(|record| record["PartitionKey"].clone()));
            iterator = answer["NextShardIterator"].clone();
        }
        assert_eq!(keys, ["a", "b", "c"]);
        let body = json!({ "ShardIterator": iterator, "Limit": 10001 }).to_string();
        let error = message(&world.call("GetRecords", &body).await.unwrap_err());
        assert!(error.ends_with("Member must have value less than or equal to 10000"), "{error}");
    }

    #[tokio::test]
    async fn iterators_live_five_minutes_and_may_be_quoted() {
        let world = World::with_stream("s", 1).await;
        let iterator = world.iterator("s", 0, "LATEST").await;
        world.clock.advance(300);
        get(&world, &json!(format!("\"{}\"", iterator.as_str().unwrap()))).await.unwrap();
        world.clock.advance(1);
        let error = get(&world, &iterator).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ExpiredIterator);
        assert!(message(&error).starts_with("Iterator expired. The iterator was created at time "));
        assert!(message(&error).ends_with("than the tolerated delay of 300000 milliseconds."));
    }

    #[tokio::test]
    async fn garbage_is_an_invalid_iterator() {
        let world = World::with_stream("s", 1).await;
        for iterator in ["x", "AAAAAAAAAAE=", "\u{e9}"] {
            let error = get(&world, &json!(iterator)).await.unwrap_err();
            assert_eq!(error, ApiError::invalid_argument("Invalid ShardIterator."));
        }
        let iterator = world.iterator("s", 0, "LATEST").await;
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/t";
        let body = json!({ "ShardIterator": iterator, "StreamARN": arn }).to_string();
        assert!(
            message(&world.call("GetRecords", &body).await.unwrap_err())
                .contains("not of stream t")
        );
    }

    #[tokio::test]
    async fn iterators_of_a_deleted_stream_find_nothing_even_in_its_successor() {
        let world = World::with_stream("s", 1).await;
        let iterator = world.iterator("s", 0, "TRIM_HORIZON").await;
        world.call("DeleteStream", r#"{"StreamName":"s"}"#).await.unwrap();
        let gone =
            "Shard shardId-000000000000 in stream s under account 000000000000 does not exist";
        assert_eq!(message(&get(&world, &iterator).await.unwrap_err()), gone);
        world.clock.advance(1);
        world.create("s", 1).await;
        assert_eq!(message(&get(&world, &iterator).await.unwrap_err()), gone);
    }

    #[tokio::test]
    async fn room_is_given_back_with_the_last_byte() {
        let world = World::with_stream("s", 1).await;
        world.put("s", "a").await;
        let iterator = world.iterator("s", 0, "TRIM_HORIZON").await;
        let free = world.kinesis.answer_room.free_bytes();
        let answer = world
            .bytes_of("GetRecords", &json!({ "ShardIterator": iterator }).to_string())
            .await
            .unwrap();
        let held = free - world.kinesis.answer_room.free_bytes();
        assert!((1..8192).contains(&held), "an answer of {} bytes holds {held}", answer.len());
        drop(answer);
        assert_eq!(world.kinesis.answer_room.free_bytes(), free);
    }

    #[test]
    fn the_end_of_a_closed_shard_has_children_and_no_iterator() {
        let ranges = baikonur_stream::HashKeyRange::evenly(1);
        let child = ChildShard {
            id: ShardId::new(2),
            parents: vec![ShardId::new(0), ShardId::new(1)],
            hash_key_range: ranges[0],
        };
        let page = ReadPage {
            records: vec![],
            next: None,
            millis_behind_latest: 0,
            children: vec![child],
        };
        let answer: Value = serde_json::from_slice(&Format::Json.encode(&Page {
            page: &page,
            next: None,
            properties: &StreamProperties::default(),
        }))
        .unwrap();
        assert_eq!(
            answer,
            json!({
                "MillisBehindLatest": 0,
                "Records": [],
                "ChildShards": [{
                    "ShardId": "shardId-000000000002",
                    "ParentShards": ["shardId-000000000000", "shardId-000000000001"],
                    "HashKeyRange": {
                        "StartingHashKey": "0",
                        "EndingHashKey": "340282366920938463463374607431768211455",
                    },
                }],
            })
        );
    }
}
