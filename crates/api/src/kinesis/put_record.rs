//! PutRecord.

use baikonur_stream::{PutEntry, SequenceNumber, ShardId, StreamDescription, StreamName};

use crate::kinesis::Kinesis;
use crate::kinesis::entries::{Entry, admit, decode};
use crate::kinesis::shapes::encryption;
use crate::limits::RECORD_BYTES_MAX;
use crate::wire::constraint::{
    ARN_LENGTH, HASH_KEY, Length, NAME, NAME_LENGTH, Required, SEQUENCE_NUMBER, STREAM_ARN,
};
use crate::wire::error::ApiError;
use crate::wire::members::{Blob, Boolean, Text};
use crate::wire::output::output;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        data: Blob<'a> = "Data" [Required, Length(0, RECORD_BYTES_MAX)],
        partition_key: Text<'a> = "PartitionKey" [Length(1, 256)],
        explicit_hash_key: Text<'a> = "ExplicitHashKey" [HASH_KEY],
        ordering: Text<'a> = "SequenceNumberForOrdering" [SEQUENCE_NUMBER],
        dry_run: Boolean = "DryRun" [],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    entries: Vec<PutEntry>,
    /// `SequenceNumberForOrdering`.
    ordering: Option<String>,
    dry_run: bool,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let entry = Entry {
        data: request.data,
        partition_key: request.partition_key,
        explicit_hash_key: request.explicit_hash_key,
    };
    let entries = decode(&[entry])?;
    let ordering = request.ordering.map(|number| number.as_str().to_owned());
    let dry_run = request.dry_run.is_some_and(|dry_run| dry_run.0);
    Ok(Call { stream, entries, ordering, dry_run })
}

/// Numbers of a shard always grow, so any number of the past is a lower bound already; and so is one
/// that was given while the clock was ahead.
fn check_ordering(
    number: &str,
    stream: &StreamDescription,
    kinesis: &Kinesis,
) -> Result<(), ApiError> {
    let newest = kinesis.streams.clock.now().max(stream.newest_arrival).seconds();
    let past = |number: SequenceNumber| number.is_version_2() && number.time_seconds() <= newest;
    if number.parse().is_ok_and(past) {
        return Ok(());
    }
    let (account, stream) = (&kinesis.home.account, &stream.name);
    Err(ApiError::invalid_argument(format!(
        "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {stream} under account \
         {account} is invalid."
    )))
}

output! {
    pub(crate) struct Output {
        shard: ShardId = "ShardId",
        number: SequenceNumber = "SequenceNumber",
        encryption: Option<&'static str> = "EncryptionType",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let Call { stream, entries, ordering, dry_run } = call;
    let description = kinesis.describe(&stream).await?;
    if let Some(number) = &ordering {
        check_ordering(number, &description, kinesis)?;
    }
    if dry_run {
        return Err(kinesis.refuse_dry_run(&stream).await);
    }
    let properties = description.properties;
    admit(&properties, &entries, None)?;
    let put = kinesis.streams.write.put(&stream, entries, None).await;
    let failure = |error| kinesis.home.put_failure(&stream, &error);
    let placed = put.map_err(failure)?.into_iter().next().expect("one result for one record");
    let placed = placed.map_err(failure)?;
    let encryption = encryption(&properties);
    Ok(Output { shard: placed.shard, number: placed.sequence_number, encryption })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};
    use crate::wire::error::ErrorCode;

    #[tokio::test]
    async fn a_record_goes_where_its_key_sends_it_and_is_read_back() {
        let world = World::with_stream("s", 3).await;
        for (key, shard) in [("a", 0), ("b", 1), ("e", 2), ("f", 1)] {
            let body =
                json!({ "StreamName": "s", "Data": "aGk=", "PartitionKey": key }).to_string();
            let answer = world.call("PutRecord", &body).await.unwrap();
            assert_eq!(answer["ShardId"], format!("shardId-00000000000{shard}"), "{key}");
            assert_eq!(answer.as_object().unwrap().len(), 2);
            let records = world.records("s", shard).await;
            let record = records.last().unwrap();
            assert_eq!(record["SequenceNumber"], answer["SequenceNumber"]);
            assert_eq!((&record["Data"], &record["PartitionKey"]), (&json!("aGk="), &json!(key)));
        }
    }

    #[tokio::test]
    async fn an_explicit_hash_key_goes_first() {
        let world = World::with_stream("s", 2).await;
        let put = async |key: &str| {
            let body = json!({ "StreamName": "s", "Data": "", "PartitionKey": "a", "ExplicitHashKey": key });
            world.call("PutRecord", &body.to_string()).await
        };
        let top = put("340282366920938463463374607431768211455").await.unwrap();
        assert_eq!(top["ShardId"], "shardId-000000000001");
        let error = put("340282366920938463463374607431768211456").await.unwrap_err();
        assert_eq!(
            message(&error),
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified \
             value was 340282366920938463463374607431768211456"
        );
        assert!(
            message(&put("01").await.unwrap_err())
                .contains("regular expression pattern: 0|([1-9]\\d{0,38})")
        );
    }

    #[tokio::test]
    async fn records_without_data_or_key_are_refused() {
        let world = World::with_stream("s", 1).await;
        let error = world.call("PutRecord", r#"{"StreamName":"s","Data":null}"#).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Validation);
        let null = |member: &str| {
            format!(
                "1 validation error detected: Value null at '{member}' failed to satisfy \
                 constraint: Member must not be null"
            )
        };
        assert_eq!(message(&error), null("data"));
        let error = world.call("PutRecord", r#"{"StreamName":"s","Data":""}"#).await.unwrap_err();
        assert_eq!(message(&error), null("partitionKey"));
    }

    #[tokio::test]
    async fn a_mebibyte_is_the_limit() {
        let world = World::with_stream("s", 1).await;
        let put = async |bytes: usize| {
            let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; bytes]);
            let body = json!({ "StreamName": "s", "Data": data, "PartitionKey": "a" }).to_string();
            world.call("PutRecord", &body).await
        };
        put(1_048_576).await.unwrap();
        assert_eq!(
            message(&put(1_048_577).await.unwrap_err()),
            "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 \
             cap=1048577]' at 'data' failed to satisfy constraint: Member must have length less than \
             or equal to 1048576"
        );
    }

    #[tokio::test]
    async fn numbers_for_ordering_are_of_the_past() {
        let world = World::with_stream("s", 1).await;
        let put = async |number: &str| {
            let body = json!({ "StreamName": "s", "Data": "", "PartitionKey": "a", "SequenceNumberForOrdering": number });
            world.call("PutRecord", &body.to_string()).await
        };
        put("49546986683135544286507457936321625675700192471156785154").await.unwrap();
        let error = put("0").await.unwrap_err();
        assert_eq!(
            message(&error),
            "ExclusiveMinimumSequenceNumber 0 used in PutRecord on stream s under account \
             000000000000 is invalid."
        );
        let future = baikonur_stream::SequenceNumber::new(1_600_000_000, 0, 1, 15_000_000_000);
        assert_eq!(put(&future.to_string()).await.unwrap_err().code, ErrorCode::InvalidArgument);
    }

    #[tokio::test]
    async fn a_number_that_was_given_is_taken_while_the_clock_is_behind_it() {
        let world = World::with_stream("s", 1).await;
        world.clock.advance(1000);
        let given = world.put("s", "a").await;
        world.clock.step_back(900);
        let body = json!({ "StreamName": "s", "Data": "", "PartitionKey": "a", "SequenceNumberForOrdering": given });
        let placed = world.call("PutRecord", &body.to_string()).await.unwrap();
        assert!(placed["SequenceNumber"].as_str().unwrap() > given.as_str());
    }

    #[tokio::test]
    async fn a_dry_run_puts_nothing() {
        let world = World::with_stream("s", 1).await;
        let put = async |stream: &str| {
            let body =
                json!({ "StreamName": stream, "Data": "", "PartitionKey": "a", "DryRun": true });
            world.call("PutRecord", &body.to_string()).await.unwrap_err().code
        };
        assert_eq!(put("s").await, ErrorCode::DryRunOperation);
        assert_eq!(put("t").await, ErrorCode::ResourceNotFound);
        assert!(world.records("s", 0).await.is_empty());
    }
}
