//! UpdateStreamMode: who decides how many shards there are. The shards stay as they are, unless a
//! throughput to be ready for takes more.

use baikonur_stream::{StreamChange, StreamMode, StreamName};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::ModeMember;
use crate::kinesis::update_stream_warm_throughput::warm_throughput;
use crate::wire::constraint::{ARN_LENGTH, Range, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Text};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_arn: Text<'a> = "StreamARN" [Required, ARN_LENGTH, STREAM_ARN],
        mode: ModeMember<'a> = "StreamModeDetails" [Required],
        warm: Integer = "WarmThroughputMiBps" [Range(0, i32::MAX)],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    mode: StreamMode,
    warm: Option<u32>,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    Ok(Call {
        stream: kinesis.home.stream(None, request.stream_arn.as_ref())?,
        mode: request.mode.map(|mode| mode.mode()).unwrap_or_default(),
        warm: warm_throughput(request.warm)?,
    })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let Call { stream, mode, warm } = call;
    if warm.is_some() {
        kinesis.must_be_committed().await?;
    }
    let change = StreamChange::Mode { mode, warm_throughput_mibps: warm };
    kinesis.change(&stream, change).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn an_on_demand_stream_is_not_resharded_by_hand() {
        let world = World::with_stream("s", 2).await;
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
        let mode = async |mode: &str| {
            let body = json!({ "StreamARN": arn, "StreamModeDetails": { "StreamMode": mode } })
                .to_string();
            assert_eq!(world.bytes("UpdateStreamMode", &body).await.unwrap(), "");
        };
        mode("ON_DEMAND").await;
        let merge = r#"{"StreamName":"s","ShardToMerge":"0","AdjacentShardToMerge":"1"}"#;
        assert_eq!(
            message(&world.call("MergeShards", merge).await.unwrap_err()),
            "Request is invalid. Stream s under account 000000000000 is in On-Demand mode."
        );
        let summary = world.summary("s").await;
        assert_eq!(summary["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
        assert_eq!(summary["RecordDistributionStrategy"], "USER_PARTITION_KEY");
        mode("PROVISIONED").await;
        world.call("MergeShards", merge).await.unwrap();
    }
}
