//! GetShardIterator: a place in a shard, of five kinds.

use baikonur_stream::{SequenceNumber, ShardAddress, StartingPosition, Timestamp};

use crate::kinesis::Kinesis;
use crate::wire::constraint::{
    ARN_LENGTH, NAME, NAME_LENGTH, OneOf, Required, SEQUENCE_NUMBER, STREAM_ARN,
};
use crate::wire::error::ApiError;
use crate::wire::members::{Boolean, Moment, Text};
use crate::wire::output::output;
use crate::wire::structure::structure;

/// In the order in which messages of the service print them.
pub(super) const TYPES: &[&str] =
    &["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"];

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        shard_id: Text<'a> = "ShardId" [Required, NAME_LENGTH, NAME],
        iterator_type: Text<'a> = "ShardIteratorType" [Required, OneOf(TYPES)],
        number: Text<'a> = "StartingSequenceNumber" [SEQUENCE_NUMBER],
        timestamp: Moment = "Timestamp" [],
        dry_run: Boolean = "DryRun" [],
    }
}

pub(crate) struct Call {
    shard: ShardAddress,
    position: StartingPosition,
    dry_run: bool,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let home = &kinesis.home;
    let stream = home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let shard = home.shard(request.shard_id.as_ref(), &stream)?;
    let shard = ShardAddress { stream, shard };
    let kind = request.iterator_type.as_ref().map_or("", Text::as_str);
    let asked = (kind, request.number.as_ref(), request.timestamp);
    let position = position(asked, &shard, kinesis)?;
    Ok(Call { shard, position, dry_run: request.dry_run.is_some_and(|dry_run| dry_run.0) })
}

/// The position that a type, with a number or a moment beside it, asks for.
pub(super) fn position(
    (kind, number, timestamp): (&str, Option<&Text<'_>>, Option<Moment>),
    shard: &ShardAddress,
    kinesis: &Kinesis,
) -> Result<StartingPosition, ApiError> {
    let given = number.is_some();
    let number = || starting_number(kind, number, shard, kinesis);
    match kind {
        "AT_SEQUENCE_NUMBER" => Ok(StartingPosition::AtSequenceNumber(number()?)),
        "AFTER_SEQUENCE_NUMBER" => Ok(StartingPosition::AfterSequenceNumber(number()?)),
        "AT_TIMESTAMP" => {
            let now = kinesis.streams.clock.now();
            starting_moment(timestamp, now).map(StartingPosition::AtTimestamp)
        }
        _ if given => Err(number_refused(kind, "also a")),
        "LATEST" => Ok(StartingPosition::Latest),
        _ => Ok(StartingPosition::TrimHorizon),
    }
}

fn starting_number(
    kind: &str,
    number: Option<&Text<'_>>,
    shard: &ShardAddress,
    kinesis: &Kinesis,
) -> Result<SequenceNumber, ApiError> {
    let number = number.ok_or_else(|| number_refused(kind, "no"))?.as_str();
    let parsed = number.parse().ok().filter(|number: &SequenceNumber| number.is_version_2());
    parsed.ok_or_else(|| kinesis.home.starting_number_invalid(number, shard, ""))
}

fn number_refused(kind: &str, what: &str) -> ApiError {
    ApiError::invalid_argument(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
         StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request \
         specified {kind} and {what} StartingSequenceNumber."
    ))
}

fn starting_moment(moment: Option<Moment>, now: Timestamp) -> Result<Timestamp, ApiError> {
    let Some(Moment(moment)) = moment else {
        return Err(ApiError::invalid_argument(
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current \
             request has no timestamp parameter.",
        ));
    };
    if moment <= now {
        return Ok(moment);
    }
    let (moment, now) = (moment.millis(), now.millis());
    Err(ApiError::invalid_argument(format!(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
         timestampInMillis: {moment}, currentTimestampInMillis: {now}"
    )))
}

output! {
    pub(crate) struct Output {
        iterator: String = "ShardIterator",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let Call { shard, position, dry_run } = call;
    let found = kinesis.streams.read.seek(&shard, position).await;
    let cursor = found.map_err(|error| kinesis.home.seek_failure(&shard, &error))?;
    if dry_run {
        return Err(kinesis.refuse_dry_run(&shard.stream).await);
    }
    Ok(Output { iterator: kinesis.shard_iterator(&cursor) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinesis::testing::{START, World, message};
    use crate::wire::error::{ApiError, ErrorCode};

    async fn iterator(world: &World, members: Value) -> Result<String, ApiError> {
        let mut body = json!({ "StreamName": "s", "ShardId": "shardId-000000000000" });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let answer = world.call("GetShardIterator", &body.to_string()).await?;
        Ok(answer["ShardIterator"].as_str().unwrap().to_owned())
    }

    async fn first_after(world: &World, members: Value) -> Option<String> {
        let iterator = iterator(world, members).await.unwrap();
        let body = json!({ "ShardIterator": iterator }).to_string();
        let answer = world.call("GetRecords", &body).await.unwrap();
        answer["Records"].get(0).map(|record| record["PartitionKey"].as_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn the_five_types_find_their_places() {
        let world = World::with_stream("s", 1).await;
        let mut numbers = Vec::new();
        for key in ["a", "b", "c"] {
            numbers.push(world.put("s", key).await);
            world.clock.advance(10);
        }
        let kind = |kind: &str| json!({ "ShardIteratorType": kind });
        let number = |kind: &str, number: &str| json!({ "ShardIteratorType": kind, "StartingSequenceNumber": number });
        let at = |at: f64| json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at });
        let start = START as f64;
        for (members, key) in [
            (kind("TRIM_HORIZON"), Some("a")),
            (kind("LATEST"), None),
            (number("AT_SEQUENCE_NUMBER", &numbers[1]), Some("b")),
            (number("AFTER_SEQUENCE_NUMBER", &numbers[1]), Some("c")),
            (number("AFTER_SEQUENCE_NUMBER", &numbers[2]), None),
            (at(1.0), Some("a")),
            (at(start + 0.5), Some("b")),
            (at(start + 10.0), Some("b")),
            (at(start + 25.0), None),
        ] {
            assert_eq!(first_after(&world, members.clone()).await.as_deref(), key, "{members}");
        }
        let shards = world.call("ListShards", r#"{"StreamName":"s"}"#).await.unwrap();
        let first = &shards["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"];
        let members = number("AT_SEQUENCE_NUMBER", first.as_str().unwrap());
        assert_eq!(first_after(&world, members).await.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn types_and_their_companions_must_match() {
        let world = World::with_stream("s", 1).await;
        let refused = async |members: Value| message(&iterator(&world, members).await.unwrap_err());
        let either = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
                      StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no \
                      StartingSequenceNumber. Request specified";
        assert_eq!(
            refused(json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER" })).await,
            format!("{either} AT_SEQUENCE_NUMBER and no StartingSequenceNumber.")
        );
        assert_eq!(
            refused(json!({ "ShardIteratorType": "LATEST", "StartingSequenceNumber": "0" })).await,
            format!("{either} LATEST and also a StartingSequenceNumber.")
        );
        assert_eq!(
            refused(json!({ "ShardIteratorType": "AT_TIMESTAMP" })).await,
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current \
             request has no timestamp parameter."
        );
        let future = START + 1;
        assert_eq!(
            refused(json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": future })).await,
            format!(
                "The timestampInMillis parameter cannot be greater than the \
                 currentTimestampInMillis. timestampInMillis: {future}000, \
                 currentTimestampInMillis: {START}000"
            )
        );
        assert!(refused(json!({ "ShardIteratorType": "x" })).await.ends_with(
            "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, \
             AT_SEQUENCE_NUMBER, TRIM_HORIZON]"
        ));
    }

    #[tokio::test]
    async fn numbers_of_other_shards_and_streams_are_refused() {
        let world = World::with_stream("s", 2).await;
        world.create("t", 1).await;
        let other_stream = world.put("t", "a").await;
        // Shard 1 of the stream: the partition key `b` goes there.
        let other_shard = world.put("s", "b").await;
        let refused = async |number: &str| {
            let members = json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number });
            message(&iterator(&world, members).await.unwrap_err())
        };
        assert_eq!(
            refused(&other_shard).await,
            "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a \
             call to a shard with shardId-000000000000"
        );
        let used = "used in GetShardIterator on shard shardId-000000000000 in stream s under account \
                    000000000000 is invalid";
        assert_eq!(
            refused(&other_stream).await,
            format!(
                "StartingSequenceNumber {other_stream} {used} because it did not come from this stream."
            )
        );
        assert_eq!(refused("0").await, format!("StartingSequenceNumber 0 {used}."));
    }

    #[tokio::test]
    async fn missing_shards_and_streams_have_one_text_and_odd_ids_another() {
        let world = World::with_stream("s", 1).await;
        let refused = async |stream: &str, shard: &str| {
            let body =
                json!({ "StreamName": stream, "ShardId": shard, "ShardIteratorType": "LATEST" });
            let error = world.call("GetShardIterator", &body.to_string()).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::ResourceNotFound);
            message(&error)
        };
        let end = "under account 000000000000";
        assert_eq!(
            refused("s", "shardId-1").await,
            format!("Shard shardId-000000000001 in stream s {end} does not exist")
        );
        assert_eq!(
            refused("t", "0").await,
            format!("Shard shardId-000000000000 in stream t {end} does not exist")
        );
        assert_eq!(
            refused("s", "shardId-x").await,
            format!("Could not find shard shardId-x in stream s {end}.")
        );
    }
}
