//! UpdateStreamWarmThroughput: how much an on-demand stream is ready for at any time. It has the
//! shards for it when the answer comes.

use baikonur_stream::{StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::WarmThroughput;
use crate::limits::WARM_THROUGHPUT_MIBPS_MAX;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, Range, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Text};
use crate::wire::output::output;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        mibps: Integer = "WarmThroughputMiBps" [Required, Range(0, i32::MAX)],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    mibps: u32,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let mibps = warm_throughput(request.mibps)?.unwrap_or(0);
    Ok(Call { stream, mibps })
}

/// The throughput that a member asks for; as much as an account can have at most.
pub(super) fn warm_throughput(member: Option<Integer>) -> Result<Option<u32>, ApiError> {
    let mibps = member.map(|mibps| mibps.0.unsigned_abs());
    match mibps {
        Some(mibps) if mibps > WARM_THROUGHPUT_MIBPS_MAX => {
            Err(ApiError::invalid_argument(format!(
                "WarmThroughputMiBps must be at most {WARM_THROUGHPUT_MIBPS_MAX}. Specified value \
                 was {mibps}"
            )))
        }
        mibps => Ok(mibps),
    }
}

output! {
    pub(crate) struct Output {
        arn: String = "StreamARN",
        stream: StreamName = "StreamName",
        warm: Option<WarmThroughput> = "WarmThroughput",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let Call { stream, mibps } = call;
    kinesis.describe(&stream).await?;
    kinesis.must_be_committed().await?;
    let after = kinesis.change(&stream, StreamChange::WarmThroughput(mibps)).await?;
    let warm = WarmThroughput::of(&after.properties);
    Ok(Output { arn: kinesis.home.arn(&stream), stream, warm })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::World;
    use crate::wire::error::ErrorCode;

    #[tokio::test]
    async fn a_committed_account_gets_its_streams_warm() {
        let world = World::new();
        let create = r#"{"StreamName":"s","StreamModeDetails":{"StreamMode":"ON_DEMAND"}}"#;
        world.call("CreateStream", create).await.unwrap();
        let warm = r#"{"StreamName":"s","WarmThroughputMiBps":6}"#;
        let error = world.call("UpdateStreamWarmThroughput", warm).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Validation);
        let commit = r#"{"MinimumThroughputBillingCommitment":{"Status":"ENABLED"}}"#;
        world.call("UpdateAccountSettings", commit).await.unwrap();
        let answer = world.call("UpdateStreamWarmThroughput", warm).await.unwrap();
        assert_eq!(answer["WarmThroughput"], json!({ "TargetMiBps": 6, "CurrentMiBps": 6 }));
        let summary = world.summary("s").await;
        assert_eq!(summary["OpenShardCount"], 6);
        assert_eq!(summary["WarmThroughput"]["TargetMiBps"], 6);
    }
}
