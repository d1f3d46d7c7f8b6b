//! EnableEnhancedMonitoring: metrics per shard, kept and told.

use std::collections::BTreeSet;

use baikonur_stream::{ShardLevelMetric, StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::metric_names;
use crate::wire::constraint::{ARN_LENGTH, Length, NAME, NAME_LENGTH, Required, Rule, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::output::output;
use crate::wire::structure::structure;
use crate::wire::texts::TextList;

const METRICS: Rule = Rule::Each(&Rule::OneOf(&[
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
    "ALL",
]));

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        metrics: TextList = "ShardLevelMetrics" [Required, Length(1, 7), METRICS],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    metrics: BTreeSet<ShardLevelMetric>,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let names = request.metrics.map(|metrics| metrics.texts).unwrap_or_default();
    let named = |metric: &ShardLevelMetric| names.iter().any(|n| n == metric.name() || n == "ALL");
    Ok(Call { stream, metrics: ShardLevelMetric::ALL.into_iter().filter(named).collect() })
}

output! {
    pub(crate) struct Output {
        current: Vec<&'static str> = "CurrentShardLevelMetrics",
        desired: Vec<&'static str> = "DesiredShardLevelMetrics",
        arn: String = "StreamARN",
        stream: StreamName = "StreamName",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    answer_with(call, StreamChange::EnableMetrics, kinesis).await
}

pub(super) async fn answer_with(
    call: Call,
    change: fn(BTreeSet<ShardLevelMetric>) -> StreamChange,
    kinesis: &Kinesis,
) -> Result<Output, ApiError> {
    let Call { stream, metrics } = call;
    let before = kinesis.describe(&stream).await?;
    let after = kinesis.change(&stream, change(metrics)).await?;
    Ok(Output {
        current: metric_names(&before.properties),
        desired: metric_names(&after.properties),
        arn: kinesis.home.arn(&stream),
        stream,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn metrics_are_switched_on_and_off_by_name() {
        let world = World::with_stream("s", 1).await;
        let call = async |operation: &str, metrics: serde_json::Value| {
            let body = json!({ "StreamName": "s", "ShardLevelMetrics": metrics }).to_string();
            world.call(operation, &body).await
        };
        let on = call("EnableEnhancedMonitoring", json!(["ALL"])).await.unwrap();
        assert_eq!(on["CurrentShardLevelMetrics"], json!([]));
        assert_eq!(on["DesiredShardLevelMetrics"].as_array().unwrap().len(), 7);
        let off = json!(["IncomingBytes", "OutgoingBytes"]);
        let off = call("DisableEnhancedMonitoring", off).await.unwrap();
        assert_eq!(off["CurrentShardLevelMetrics"].as_array().unwrap().len(), 7);
        assert_eq!(off["DesiredShardLevelMetrics"].as_array().unwrap().len(), 5);
        let summary = world.summary("s").await;
        let told = &summary["EnhancedMonitoring"][0]["ShardLevelMetrics"];
        assert_eq!(told, &off["DesiredShardLevelMetrics"]);
        let error = call("EnableEnhancedMonitoring", json!(["Other"])).await.unwrap_err();
        assert!(message(&error).contains("Value '[Other]' at 'shardLevelMetrics'"));
    }
}
