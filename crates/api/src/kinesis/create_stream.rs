//! CreateStream. The stream is ACTIVE when the answer comes.

use baikonur_stream::{
    CreateStream, ON_DEMAND_SHARDS_MIN, RecordDistribution, RetentionHours, StreamMode,
    StreamProperties,
};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::{DISTRIBUTIONS, ModeMember, distribution};
use crate::kinesis::update_stream_warm_throughput::warm_throughput;
use crate::limits::RECORD_KIB;
use crate::wire::constraint::{NAME, NAME_LENGTH, OneOf, Range, Required, missing};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Text};
use crate::wire::structure::structure;
use crate::wire::texts::{TAG_COUNT, TAGS, TextMap};

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [Required, NAME_LENGTH, NAME],
        shard_count: Integer = "ShardCount" [Range(1, i32::MAX)],
        mode: ModeMember<'a> = "StreamModeDetails" [],
        tags: TextMap = "Tags" [TAG_COUNT, TAGS],
        warm: Integer = "WarmThroughputMiBps" [Range(0, i32::MAX)],
        record_kib_max: Integer = "MaxRecordSizeInKiB" [RECORD_KIB],
        distribution: Text<'a> = "RecordDistributionStrategy" [OneOf(DISTRIBUTIONS)],
    }
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<CreateStream, ApiError> {
    let name = kinesis.home.stream(request.stream_name.as_ref(), None)?;
    let tags = request.tags.map(|tags| tags.0).unwrap_or_default();
    kinesis.home.check_tags(tags.iter().flat_map(|(k, v)| [k, v]), &name, "add")?;
    // Without a mode it is a provisioned one if there is a count, as it always was.
    let asked = request.mode.map(|mode| mode.mode());
    let mode = match (asked, request.shard_count) {
        (Some(mode), _) => mode,
        (None, Some(_)) => StreamMode::Provisioned,
        (None, None) => StreamMode::OnDemand,
    };
    let warm_throughput_mibps = warm_throughput(request.warm)?;
    let shard_count = match (request.shard_count, mode) {
        (Some(Integer(count)), _) => count.unsigned_abs().max(warm_throughput_mibps.unwrap_or(0)),
        (None, StreamMode::Provisioned) => return Err(missing("ShardCount")),
        (None, StreamMode::OnDemand) => {
            ON_DEMAND_SHARDS_MIN.max(warm_throughput_mibps.unwrap_or(0))
        }
    };
    let distribution = distribution(request.distribution.as_ref());
    let on_demand_only =
        distribution == RecordDistribution::Auto || warm_throughput_mibps.is_some();
    if mode == StreamMode::Provisioned && on_demand_only {
        return Err(ApiError::invalid_argument(
            "RecordDistributionStrategy AUTO and WarmThroughputMiBps are for on-demand streams.",
        ));
    }
    let properties = StreamProperties {
        retention: RetentionHours::MIN,
        mode,
        distribution,
        record_kib_max: request.record_kib_max.map_or(1024, |kib| kib.0.unsigned_abs()),
        warm_throughput_mibps,
        tags,
        ..StreamProperties::default()
    };
    Ok(CreateStream { name, shard_count, properties })
}

pub(crate) async fn answer(request: CreateStream, kinesis: &Kinesis) -> Result<(), ApiError> {
    if request.properties.warm_throughput_mibps.is_some() {
        kinesis.must_be_committed().await?;
    }
    let created = kinesis.streams.administer.create_stream(request).await;
    created.map_err(|error| kinesis.home.administer_failure(&error))
}

#[cfg(test)]
mod tests {
    use crate::kinesis::testing::{World, message};
    use crate::wire::error::ErrorCode;

    #[tokio::test]
    async fn a_stream_is_active_at_once_and_the_answer_is_empty() {
        let world = World::new();
        assert_eq!(
            world.bytes("CreateStream", r#"{"StreamName":"s","ShardCount":3}"#).await.unwrap(),
            ""
        );
        let stream = world.call("DescribeStreamSummary", r#"{"StreamName":"s"}"#).await.unwrap();
        assert_eq!(stream["StreamDescriptionSummary"]["StreamStatus"], "ACTIVE");
        assert_eq!(stream["StreamDescriptionSummary"]["OpenShardCount"], 3);
    }

    #[tokio::test]
    async fn a_stream_without_a_count_has_four_shards_unless_it_is_provisioned() {
        let world = World::new();
        let create = async |mode: &str| {
            let body = format!(
                r#"{{"StreamName":"{mode}","StreamModeDetails":{{"StreamMode":"{mode}"}}}}"#
            );
            world.call("CreateStream", &body).await
        };
        create("ON_DEMAND").await.unwrap();
        let shards = world.call("ListShards", r#"{"StreamName":"ON_DEMAND"}"#).await.unwrap();
        assert_eq!(shards["Shards"].as_array().unwrap().len(), 4);
        let error = create("PROVISIONED").await.unwrap_err();
        assert!(message(&error).contains("Value null at 'shardCount'"));
        let error = create("OTHER").await.unwrap_err();
        assert!(
            message(&error)
                .ends_with("Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]")
        );
    }

    #[tokio::test]
    async fn a_second_stream_of_the_name_is_refused() {
        let world = World::with_stream("s", 1).await;
        let error =
            world.call("CreateStream", r#"{"StreamName":"s","ShardCount":1}"#).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ResourceInUse);
        assert_eq!(message(&error), "Stream s under account 000000000000 already exists.");
    }

    #[tokio::test]
    async fn more_shards_than_the_limit_are_refused() {
        let world = World::with_stream("s", 2).await;
        let body = r#"{"StreamName":"t","ShardCount":20000}"#;
        let error = world.call("CreateStream", body).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::LimitExceeded);
        let expected = "This request would exceed the shard limit for the account 000000000000 in \
                        us-east-1. Current shard count for the account: 2. Limit: 20000. Number of \
                        additional shards that would have resulted from this request: 20000.";
        assert!(message(&error).starts_with(expected), "{error}");
    }

    #[tokio::test]
    async fn everything_asked_for_is_there() {
        let world = World::new();
        let body = r#"{"StreamName":"s","MaxRecordSizeInKiB":2048,"Tags":{"a":"b"},
            "StreamModeDetails":{"StreamMode":"ON_DEMAND"},"RecordDistributionStrategy":"AUTO"}"#;
        world.call("CreateStream", body).await.unwrap();
        let summary = world.summary("s").await;
        assert_eq!(summary["MaxRecordSizeInKiB"], 2048);
        assert_eq!(summary["RecordDistributionStrategy"], "AUTO");
        let tags = world.call("ListTagsForStream", r#"{"StreamName":"s"}"#).await.unwrap();
        assert_eq!(tags["Tags"][0]["Key"], "a");
        let provisioned =
            r#"{"StreamName":"t","ShardCount":1,"RecordDistributionStrategy":"AUTO"}"#;
        let error = world.call("CreateStream", provisioned).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
    }

    #[tokio::test]
    async fn a_stream_that_places_records_itself_takes_them_without_keys_and_spreads_them() {
        let world = World::new();
        let body = r#"{"StreamName":"s","ShardCount":4,"RecordDistributionStrategy":"AUTO",
            "StreamModeDetails":{"StreamMode":"ON_DEMAND"}}"#;
        world.call("CreateStream", body).await.unwrap();
        for key in [r#""#, r#","PartitionKey":"a""#].iter().cycle().take(40) {
            let body = format!(r#"{{"StreamName":"s","Data":"YQ=="{key}}}"#);
            world.call("PutRecord", &body).await.unwrap();
        }
        let mut keyless = 0;
        for shard in 0..4 {
            let records = world.records("s", shard).await;
            assert!((5..=15).contains(&records.len()), "{} in shard {shard}", records.len());
            keyless += records.iter().filter(|r| r.get("PartitionKey").is_none()).count();
        }
        assert_eq!(keyless, 20);
    }

    #[tokio::test]
    async fn constraints_are_those_of_the_service() {
        let world = World::new();
        let error =
            world.call("CreateStream", r#"{"StreamName":"a b","ShardCount":0}"#).await.unwrap_err();
        assert_eq!(
            message(&error),
            "2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at \
             'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1"
        );
    }
}
