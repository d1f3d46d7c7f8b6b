//! UpdateShardCount: splits and merges until there are so many shards of equal width, all done when
//! the answer comes.

use baikonur_stream::{StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::limits::SHARD_COUNT_MAX;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, OneOf, Range, Required, STREAM_ARN};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::members::{Integer, Text};
use crate::wire::output::output;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        target: Integer = "TargetShardCount" [Required, Range(1, i32::MAX)],
        scaling: Text<'a> = "ScalingType" [Required, OneOf(&["UNIFORM_SCALING"])],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    target: u32,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    Ok(Call { stream, target: request.target.map_or(0, |target| target.0.unsigned_abs()) })
}

output! {
    pub(crate) struct Output {
        current: usize = "CurrentShardCount",
        arn: String = "StreamARN",
        stream: StreamName = "StreamName",
        target: u32 = "TargetShardCount",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let Call { stream, target } = call;
    let before = kinesis.describe(&stream).await?;
    if target > SHARD_COUNT_MAX {
        let message = format!("UpdateShardCount cannot scale above {SHARD_COUNT_MAX} shards.");
        return Err(ApiError::new(ErrorCode::LimitExceeded, message));
    }
    kinesis.change(&stream, StreamChange::UpdateShardCount { target }).await?;
    let current = before.open_shards().count();
    Ok(Output { current, arn: kinesis.home.arn(&stream), stream, target })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn the_answer_tells_what_was_and_what_will_be() {
        let world = World::with_stream("s", 4).await;
        let update = async |target: u32| {
            let body = json!({ "StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" });
            world.call("UpdateShardCount", &body.to_string()).await
        };
        assert_eq!(
            update(3).await.unwrap(),
            json!({
                "StreamName": "s",
                "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
                "CurrentShardCount": 4,
                "TargetShardCount": 3,
            })
        );
        let filter = r#"{"StreamName":"s","ShardFilter":{"Type":"AT_LATEST"}}"#;
        let open = world.call("ListShards", filter).await.unwrap();
        let ids: Vec<_> =
            open["Shards"].as_array().unwrap().iter().map(|s| &s["ShardId"]).collect();
        assert_eq!(ids, ["shardId-000000000006", "shardId-000000000009", "shardId-000000000010"]);
        assert_eq!(
            message(&update(7).await.unwrap_err()),
            "UpdateShardCount cannot scale up over double your current open shard count. Current \
             open shard count: 3 Target shard count: 7"
        );
        assert!(message(&update(1).await.unwrap_err()).contains("below half"));
    }
}
