//! SplitShard: one shard into two. Both take records when the answer comes.

use baikonur_stream::{HashKey, Reshard, StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::wire::constraint::{ARN_LENGTH, HASH_KEY, NAME, NAME_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        shard: Text<'a> = "ShardToSplit" [Required, NAME_LENGTH, NAME],
        at: Text<'a> = "NewStartingHashKey" [Required, HASH_KEY],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    step: Reshard,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let home = &kinesis.home;
    let stream = home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let shard = home.shard(request.shard.as_ref(), &stream)?;
    let at = request.at.as_ref().map_or("", Text::as_str);
    let at: HashKey = at.parse().map_err(|_| {
        // Above 2^128 - 1, so above the range of any shard.
        ApiError::invalid_argument(format!(
            "Invalid NewStartingHashKey. NewStartingHashKey must be in the range: [0, 2^128-1]. \
             Specified value was {at}"
        ))
    })?;
    Ok(Call { stream, step: Reshard::Split { shard, at } })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    kinesis.change(&call.stream, StreamChange::Reshard(call.step)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};

    async fn split(world: &World, shard: &str, at: &str) -> Result<String, String> {
        let body = json!({ "StreamName": "s", "ShardToSplit": shard, "NewStartingHashKey": at });
        world.bytes("SplitShard", &body.to_string()).await.map_err(|error| message(&error))
    }

    #[tokio::test]
    async fn a_reader_finds_the_children_at_the_end_of_their_parent() {
        let world = World::with_stream("s", 1).await;
        world.put("s", "a").await;
        let iterator = world.iterator("s", 0, "TRIM_HORIZON").await;
        assert_eq!(split(&world, "shardId-000000000000", "1000").await.unwrap(), "");
        let get = async |iterator: &serde_json::Value| {
            let body = json!({ "ShardIterator": iterator }).to_string();
            world.call("GetRecords", &body).await.unwrap()
        };
        let page = get(&iterator).await;
        assert_eq!(page["Records"].as_array().unwrap().len(), 1);
        let end = get(&page["NextShardIterator"]).await;
        assert!(end.get("NextShardIterator").is_none());
        let parents = json!(["shardId-000000000000"]);
        assert_eq!(end["ChildShards"][0]["ShardId"], "shardId-000000000001");
        assert_eq!(end["ChildShards"][0]["HashKeyRange"]["EndingHashKey"], "999");
        assert_eq!(end["ChildShards"][1]["ParentShards"], parents);
        let shards = world.call("ListShards", r#"{"StreamName":"s"}"#).await.unwrap();
        let closed = &shards["Shards"][0]["SequenceNumberRange"];
        assert!(closed["EndingSequenceNumber"].is_string());
        assert_eq!(shards["Shards"][2]["ParentShardId"], "shardId-000000000000");
        world.put("s", "a").await;
        assert_eq!(world.records("s", 2).await.len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_split_is_told_as_the_service_does() {
        let world = World::with_stream("s", 1).await;
        let under = "in stream s under account 000000000000";
        assert_eq!(
            split(&world, "0", "1").await.unwrap_err(),
            format!(
                "NewStartingHashKey 1 used in SplitShard() on shard shardId-000000000000 {under} is \
                 not both greater than one plus the shard's StartingHashKey 0 and less than the \
                 shard's EndingHashKey 340282366920938463463374607431768211455."
            )
        );
        for shard in ["shardId-000000000007", "shardId-x"] {
            let error = split(&world, shard, "2").await.unwrap_err();
            assert_eq!(error, format!("Could not find shard {shard} {under}."));
        }
        split(&world, "0", "2").await.unwrap();
        assert_eq!(
            split(&world, "0", "2").await.unwrap_err(),
            format!(
                "Shard shardId-000000000000 {under} has already been merged or split, and thus is \
                 not eligible for merging or splitting."
            )
        );
    }
}
