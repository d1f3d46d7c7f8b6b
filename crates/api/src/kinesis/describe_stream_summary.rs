//! DescribeStreamSummary: a stream without its shards.

use baikonur_stream::{StreamMode, StreamName};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::{StreamShape, WarmThroughput, distribution_name};
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::output::{Encoder, Members, Structure, output};
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

output! {
    pub(crate) struct Output {
        summary: Summary = "StreamDescriptionSummary",
    }
}

#[derive(Debug)]
struct Summary {
    stream: StreamShape,
    open_shards: usize,
    consumers: usize,
    warm: Option<WarmThroughput>,
    record_kib_max: u32,
    /// Of on-demand streams only.
    distribution: Option<&'static str>,
}

impl Structure for Summary {
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        self.stream.write_members(members);
        members.member("OpenShardCount", &self.open_shards);
        members.member("ConsumerCount", &self.consumers);
        members.member("WarmThroughput", &self.warm);
        members.member("MaxRecordSizeInKiB", &self.record_kib_max);
        members.member("RecordDistributionStrategy", &self.distribution);
    }
}

pub(crate) async fn answer(stream: StreamName, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let description = kinesis.describe(&stream).await?;
    let properties = &description.properties;
    let on_demand = properties.mode == StreamMode::OnDemand;
    let summary = Summary {
        stream: StreamShape::of(&description, &kinesis.home),
        open_shards: description.open_shards().count(),
        consumers: description.consumers.len(),
        warm: WarmThroughput::of(properties),
        record_kib_max: properties.record_kib_max,
        distribution: on_demand.then(|| distribution_name(properties.distribution)),
    };
    Ok(Output { summary })
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
