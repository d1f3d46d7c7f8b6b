//! DecreaseStreamRetentionPeriod. Its request is that of IncreaseStreamRetentionPeriod.

use baikonur_stream::StreamChange;

use crate::kinesis::Kinesis;
use crate::kinesis::increase_stream_retention_period::Call;
pub(crate) use crate::kinesis::increase_stream_retention_period::{Request, translate};
use crate::wire::error::ApiError;

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let Call { stream, retention } = call;
    let decreased = kinesis
        .streams
        .administer
        .change_stream(&stream, StreamChange::DecreaseRetention(retention))
        .await;
    decreased.map(|_| ()).map_err(|error| kinesis.home.retention_failure(&stream, &error))
}

#[cfg(test)]
mod tests {
    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn retention_shrinks_down_to_a_day() {
        let world = World::with_stream("s", 1).await;
        let body = |hours: u32| format!(r#"{{"StreamName":"s","RetentionPeriodHours":{hours}}}"#);
        world.call("IncreaseStreamRetentionPeriod", &body(48)).await.unwrap();
        let error = world.call("DecreaseStreamRetentionPeriod", &body(49)).await.unwrap_err();
        assert_eq!(
            message(&error),
            "Requested retention period (49 hours) for stream s can not be longer than existing \
             retention period (48 hours). Use IncreaseRetentionPeriod API."
        );
        assert_eq!(world.bytes("DecreaseStreamRetentionPeriod", &body(48)).await.unwrap(), "");
        assert_eq!(world.bytes("DecreaseStreamRetentionPeriod", &body(24)).await.unwrap(), "");
        let error = world.call("DecreaseStreamRetentionPeriod", &body(23)).await.unwrap_err();
        assert!(message(&error).ends_with("(23 hours) is too short."));
    }
}
