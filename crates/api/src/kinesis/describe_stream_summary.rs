//! DescribeStreamSummary: a stream without its shards.

use baikonur_stream::StreamName;
use bytes::Bytes;
use serde::Serialize;

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::{StreamShape, json};
use crate::limits::RECORD_KIB_MAX;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
    }
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<StreamName, ApiError> {
    kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    stream_description_summary: Summary,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    #[serde(flatten)]
    stream: StreamShape,
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(rename = "MaxRecordSizeInKiB")]
    record_kib_max: i32,
}

pub(crate) async fn answer(stream: StreamName, kinesis: &Kinesis) -> Result<Bytes, ApiError> {
    let home = &kinesis.home;
    let described = kinesis.streams.administer.describe_stream(&stream).await;
    let description = described.map_err(|error| home.administer_failure(&error))?;
    let open = description.shards.iter().filter(|shard| shard.ending_sequence_number.is_none());
    Ok(json(&Answer {
        stream_description_summary: Summary {
            stream: StreamShape::of(&description, home),
            open_shard_count: open.count(),
            consumer_count: 0,
            record_kib_max: RECORD_KIB_MAX,
        },
    }))
}

#[cfg(test)]
mod tests {
    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn a_summary_counts_open_shards_and_lists_none() {
        let world = World::with_stream("s", 5).await;
        let body = r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s"}"#;
        let answer = world.call("DescribeStreamSummary", body).await.unwrap();
        let summary = &answer["StreamDescriptionSummary"];
        assert_eq!(summary["OpenShardCount"], 5);
        assert_eq!(summary["ConsumerCount"], 0);
        assert_eq!(summary["MaxRecordSizeInKiB"], 1024);
        assert_eq!(summary["StreamName"], "s");
        assert!(summary.get("Shards").is_none());
    }

    #[tokio::test]
    async fn a_missing_stream_is_not_found() {
        let error =
            World::new().call("DescribeStreamSummary", r#"{"StreamName":"s"}"#).await.unwrap_err();
        assert_eq!(message(&error), "Stream s under account 000000000000 not found.");
    }
}
