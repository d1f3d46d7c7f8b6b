//! DescribeStream: a stream with a page of its shards.

use baikonur_stream::{ShardId, StreamName};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::{ShardShape, StreamShape};
use crate::limits::DESCRIBE_SHARDS_MAX;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, Range, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Text};
use crate::wire::output::{Encoder, Members, Structure, output};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        limit: Integer = "Limit" [Range(1, 10_000)],
        start: Text<'a> = "ExclusiveStartShardId" [NAME_LENGTH, NAME],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    limit: usize,
    after: Option<ShardId>,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let limit = request.limit.map_or(DESCRIBE_SHARDS_MAX, |limit| limit.0 as usize);
    let after = request.start.map(|id| {
        id.as_str().parse().map_err(|_| kinesis.home.shard_not_found(id.as_str(), &stream))
    });
    Ok(Call { limit: limit.min(DESCRIBE_SHARDS_MAX), after: after.transpose()?, stream })
}

output! {
    pub(crate) struct Output {
        description: Description = "StreamDescription",
    }
}

#[derive(Debug)]
struct Description {
    stream: StreamShape,
    shards: Vec<ShardShape>,
    has_more: bool,
}

impl Structure for Description {
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        self.stream.write_members(members);
        members.member("Shards", &self.shards);
        members.member("HasMoreShards", &self.has_more);
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let home = &kinesis.home;
    let description = kinesis.describe(&call.stream).await?;
    let mut rest = description.shards.iter().filter(|shard| Some(shard.id) > call.after);
    let shards = rest.by_ref().take(call.limit).map(ShardShape::of).collect();
    let has_more = rest.next().is_some();
    let stream = StreamShape::of(&description, home);
    Ok(Output { description: Description { stream, shards, has_more } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{START, World, message};

    #[tokio::test]
    async fn a_stream_is_described_as_the_service_does() {
        let world = World::with_stream("s", 2).await;
        let answer = world.call("DescribeStream", r#"{"StreamName":"s"}"#).await.unwrap();
        let mut stream = answer["StreamDescription"].clone();
        let shards = stream.as_object_mut().unwrap().remove("Shards").unwrap();
        assert_eq!(
            stream,
            json!({
                "StreamName": "s",
                "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
                "StreamStatus": "ACTIVE",
                "StreamModeDetails": { "StreamMode": "PROVISIONED" },
                "RetentionPeriodHours": 24,
                "StreamCreationTimestamp": START,
                "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
                "EncryptionType": "NONE",
                "HasMoreShards": false,
            })
        );
        let shard = shards[1].as_object().unwrap();
        assert_eq!(
            shard.keys().collect::<Vec<_>>(),
            ["HashKeyRange", "SequenceNumberRange", "ShardId"]
        );
        assert_eq!(shard["ShardId"], "shardId-000000000001");
        assert_eq!(
            shard["HashKeyRange"]["StartingHashKey"],
            "170141183460469231731687303715884105728"
        );
        assert!(shard["SequenceNumberRange"].get("EndingSequenceNumber").is_none());
    }

    #[tokio::test]
    async fn shards_come_in_pages() {
        let world = World::with_stream("s", 120).await;
        let page = async |start: &str| {
            let body = format!(r#"{{"StreamName":"s","Limit":1000{start}}}"#);
            let answer =
                world.call("DescribeStream", &body).await.unwrap()["StreamDescription"].clone();
            (answer["Shards"].as_array().unwrap().len(), answer["HasMoreShards"].clone())
        };
        assert_eq!(page("").await, (100, json!(true)));
        assert_eq!(
            page(r#","ExclusiveStartShardId":"shardId-000000000099""#).await,
            (20, json!(false))
        );
        assert_eq!(page(r#","ExclusiveStartShardId":"19""#).await, (100, json!(false)));
    }

    #[tokio::test]
    async fn missing_streams_and_shards_have_their_texts() {
        let world = World::with_stream("s", 1).await;
        let error = world.call("DescribeStream", r#"{"StreamName":"t"}"#).await.unwrap_err();
        assert_eq!(message(&error), "Stream t under account 000000000000 not found.");
        let body = r#"{"StreamName":"s","ExclusiveStartShardId":"shard-x"}"#;
        let error = world.call("DescribeStream", body).await.unwrap_err();
        assert_eq!(
            message(&error),
            "Could not find shard shard-x in stream s under account 000000000000."
        );
        let body = r#"{"StreamName":"s","Limit":0}"#;
        let error = world.call("DescribeStream", body).await.unwrap_err();
        assert!(message(&error).contains("Value '0' at 'limit'"));
    }
}
