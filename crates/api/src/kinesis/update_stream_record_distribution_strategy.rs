//! UpdateStreamRecordDistributionStrategy: whether records of an on-demand stream go by their keys.

use baikonur_stream::{RecordDistribution, StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::{DISTRIBUTIONS, distribution};
use crate::wire::constraint::{ARN_LENGTH, OneOf, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_arn: Text<'a> = "StreamARN" [Required, ARN_LENGTH, STREAM_ARN],
        strategy: Text<'a> = "RecordDistributionStrategy" [Required, OneOf(DISTRIBUTIONS)],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    distribution: RecordDistribution,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(None, request.stream_arn.as_ref())?;
    Ok(Call { stream, distribution: distribution(request.strategy.as_ref()) })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let change = StreamChange::Distribution(call.distribution);
    kinesis.change(&call.stream, change).await.map(|_| ())
}
