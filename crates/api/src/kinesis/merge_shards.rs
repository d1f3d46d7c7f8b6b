//! MergeShards: two adjacent shards into one, which takes records when the answer comes.

use baikonur_stream::{Reshard, StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        shard: Text<'a> = "ShardToMerge" [Required, NAME_LENGTH, NAME],
        adjacent: Text<'a> = "AdjacentShardToMerge" [Required, NAME_LENGTH, NAME],
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
    let adjacent = home.shard(request.adjacent.as_ref(), &stream)?;
    Ok(Call { stream, step: Reshard::Merge { shard, adjacent } })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    kinesis.change(&call.stream, StreamChange::Reshard(call.step)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn the_lower_one_comes_first() {
        let world = World::with_stream("s", 3).await;
        let merge = async |shard: &str, adjacent: &str| {
            let body = json!({ "StreamName": "s", "ShardToMerge": shard, "AdjacentShardToMerge": adjacent });
            world.bytes("MergeShards", &body.to_string()).await
        };
        for (shard, adjacent) in [("1", "0"), ("0", "2"), ("0", "0")] {
            assert_eq!(
                message(&merge(shard, adjacent).await.unwrap_err()),
                format!(
                    "Shards shardId-00000000000{shard} and shardId-00000000000{adjacent} in stream s \
                     under account 000000000000 are not an adjacent pair of shards eligible for \
                     merging"
                )
            );
        }
        assert_eq!(merge("0", "1").await.unwrap(), "");
        let shards = world.call("ListShards", r#"{"StreamName":"s"}"#).await.unwrap();
        let child = &shards["Shards"][3];
        assert_eq!(child["ParentShardId"], "shardId-000000000000");
        assert_eq!(child["AdjacentParentShardId"], "shardId-000000000001");
        assert_eq!(child["HashKeyRange"]["StartingHashKey"], "0");
    }
}
