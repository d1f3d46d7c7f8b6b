//! IncreaseStreamRetentionPeriod. The period in force is a success: Terraform sends it after each
//! creation.

use baikonur_stream::{RetentionHours, StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Text};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        hours: Integer = "RetentionPeriodHours" [Required],
    }
}

pub(crate) struct Call {
    pub(super) stream: StreamName,
    pub(super) retention: RetentionHours,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let hours = request.hours.map_or(0, |hours| hours.0);
    let retention = u32::try_from(hours).ok().and_then(RetentionHours::new);
    let retention = retention.ok_or_else(|| out_of_range(hours))?;
    Ok(Call { stream, retention })
}

fn out_of_range(hours: i32) -> ApiError {
    let (min, max) = (RetentionHours::MIN.hours(), RetentionHours::MAX.hours());
    let (word, bound, fault) = match u32::try_from(hours) {
        Ok(hours) if hours > max => ("Maximum", max, "long"),
        _ => ("Minimum", min, "short"),
    };
    ApiError::invalid_argument(format!(
        "{word} allowed retention period is {bound} hours. Requested retention period ({hours} \
         hours) is too {fault}."
    ))
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let Call { stream, retention } = call;
    let increased = kinesis
        .streams
        .administer
        .change_stream(&stream, StreamChange::IncreaseRetention(retention))
        .await;
    increased.map(|_| ()).map_err(|error| kinesis.home.retention_failure(&stream, &error))
}

#[cfg(test)]
mod tests {
    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn retention_grows_up_to_a_year() {
        let world = World::with_stream("s", 1).await;
        let to = async |hours: i64| {
            let body = format!(r#"{{"StreamName":"s","RetentionPeriodHours":{hours}}}"#);
            world.bytes("IncreaseStreamRetentionPeriod", &body).await.map_err(|e| message(&e))
        };
        assert_eq!(to(24).await.unwrap(), "");
        assert_eq!(to(8760).await.unwrap(), "");
        assert_eq!(
            to(25).await.unwrap_err(),
            "Requested retention period (25 hours) for stream s can not be shorter than existing \
             retention period (8760 hours). Use DecreaseRetentionPeriod API."
        );
        assert_eq!(
            to(23).await.unwrap_err(),
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is \
             too short."
        );
        assert_eq!(
            to(8761).await.unwrap_err(),
            "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) \
             is too long."
        );
        assert!(to(-1).await.unwrap_err().ends_with("(-1 hours) is too short."));
        let stream = world.call("DescribeStreamSummary", r#"{"StreamName":"s"}"#).await.unwrap();
        assert_eq!(stream["StreamDescriptionSummary"]["RetentionPeriodHours"], 8760);
    }
}
