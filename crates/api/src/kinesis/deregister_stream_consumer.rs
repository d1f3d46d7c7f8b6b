//! DeregisterStreamConsumer: a consumer forgotten. Its subscriptions end.

use baikonur_stream::StreamChange;

use crate::kinesis::Kinesis;
use crate::kinesis::consumers::NamedConsumer;
use crate::wire::constraint::{ARN_LENGTH, CONSUMER_ARN, NAME, NAME_LENGTH, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        name: Text<'a> = "ConsumerName" [NAME_LENGTH, NAME],
        arn: Text<'a> = "ConsumerARN" [ARN_LENGTH, CONSUMER_ARN],
    }
}

pub(crate) fn translate(
    request: Request<'_>,
    kinesis: &Kinesis,
) -> Result<NamedConsumer, ApiError> {
    let Request { stream_arn, name, arn } = request;
    NamedConsumer::of(&kinesis.home, stream_arn.as_ref(), name.as_ref(), arn.as_ref())
}

pub(crate) async fn answer(consumer: NamedConsumer, kinesis: &Kinesis) -> Result<(), ApiError> {
    let (stream, name, _) = kinesis.consumer(consumer).await?;
    kinesis.change(&stream.name, StreamChange::DeregisterConsumer { name }).await.map(|_| ())
}
