//! CreateStream. The stream is ACTIVE when the answer comes.

use baikonur_stream::{CreateStream, StreamProperties};

use crate::kinesis::Kinesis;
use crate::limits::{RECORD_KIB_MAX, SHARDS_DEFAULT};
use crate::wire::constraint::{NAME, NAME_LENGTH, OneOf, Range, Required, missing};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::members::{Integer, Text};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Mode<'a> {
        stream_mode: Text<'a> = "StreamMode" [Required, OneOf(&["PROVISIONED", "ON_DEMAND"])],
    }
}

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [Required, NAME_LENGTH, NAME],
        shard_count: Integer = "ShardCount" [Range(1, i32::MAX)],
        mode: Mode<'a> = "StreamModeDetails" [],
        record_kib_max: Integer = "MaxRecordSizeInKiB" [Range(1024, 10_240)],
        distribution: Text<'a> = "RecordDistributionStrategy" [OneOf(&["AUTO", "USER_PARTITION_KEY"])],
    }
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<CreateStream, ApiError> {
    refuse_what_would_be_forgotten(&request)?;
    let name = kinesis.home.stream(request.stream_name.as_ref(), None)?;
    let mode = request.mode.as_ref().and_then(|mode| mode.stream_mode.as_ref());
    let shard_count = match (request.shard_count, mode.map(Text::as_str)) {
        (Some(Integer(count)), _) => u32::try_from(count).unwrap_or(1),
        (None, Some("PROVISIONED")) => return Err(missing("ShardCount")),
        (None, _) => SHARDS_DEFAULT,
    };
    Ok(CreateStream { name, shard_count, properties: StreamProperties::default() })
}

/// A stream that silently lacks what was asked for would fail its producers later. Tags and warm
/// throughput change nothing for them, and are ignored.
fn refuse_what_would_be_forgotten(request: &Request<'_>) -> Result<(), ApiError> {
    if request.record_kib_max.is_some_and(|kib| kib.0 > RECORD_KIB_MAX) {
        let message = format!("MaxRecordSizeInKiB above {RECORD_KIB_MAX} is not supported here.");
        return Err(ApiError::new(ErrorCode::Validation, message));
    }
    if request.distribution.as_ref().is_some_and(|strategy| strategy.as_str() == "AUTO") {
        let message = "RecordDistributionStrategy AUTO is not supported here.";
        return Err(ApiError::invalid_argument(message));
    }
    Ok(())
}

pub(crate) async fn answer(request: CreateStream, kinesis: &Kinesis) -> Result<(), ApiError> {
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
    async fn what_would_be_forgotten_is_refused() {
        let world = World::new();
        for member in [r#""MaxRecordSizeInKiB":2048"#, r#""RecordDistributionStrategy":"AUTO""#] {
            let body = format!(r#"{{"StreamName":"s","ShardCount":1,{member}}}"#);
            assert!(
                message(&world.call("CreateStream", &body).await.unwrap_err())
                    .contains("not supported here")
            );
        }
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
