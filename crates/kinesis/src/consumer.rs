//! A consumer with enhanced fan-out: found, or registered, and waited for until it is ACTIVE.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::describe_stream_consumer::DescribeStreamConsumerError;
use aws_sdk_kinesis::types::ConsumerStatus;
use baikonur_stream::{ReadError, ShardAddress};
use tracing::info;

use crate::records::strange;
use crate::trouble::{Trouble, trouble};

/// Between two looks at a consumer that is being made; it takes some seconds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LOOKS_MAX: u32 = 60;

/// The ARN of the consumer called `name` of the shard's stream.
pub(crate) async fn active(
    client: &Client,
    shard: &ShardAddress,
    name: &str,
) -> Result<String, Trouble> {
    let stream = shard.stream.as_str();
    let summary = client.describe_stream_summary().stream_name(stream).send().await;
    let summary = summary.map_err(|error| trouble(shard, None, &error))?;
    let summary = summary.stream_description_summary;
    let stream_arn = summary.map(|summary| summary.stream_arn);
    let stream_arn = stream_arn
        .ok_or_else(|| Trouble::Failed(strange(shard, "no description of the stream")))?;
    for _ in 0..LOOKS_MAX {
        let call = client.describe_stream_consumer();
        let call = call.stream_arn(&stream_arn).consumer_name(name);
        match call.send().await {
            Ok(answer) => {
                let found = answer.consumer_description;
                if let Some(found) = found.filter(|f| f.consumer_status == ConsumerStatus::Active) {
                    return Ok(found.consumer_arn);
                }
            }
            Err(error) if is_missing(&error) => {
                if register(client, shard, &stream_arn, name).await? {
                    info!(stream, consumer = name, "consumer registered for enhanced fan-out");
                }
            }
            Err(error) => return Err(trouble(shard, None, &error)),
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let what = format!("consumer {name} of stream {stream} does not become ACTIVE");
    Err(Trouble::Failed(ReadError::Unavailable(what)))
}

fn is_missing(error: &SdkError<DescribeStreamConsumerError>) -> bool {
    error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception())
}

/// Registers a consumer; whether it was this call that did.
async fn register(
    client: &Client,
    shard: &ShardAddress,
    stream_arn: &str,
    name: &str,
) -> Result<bool, Trouble> {
    let call = client.register_stream_consumer().stream_arn(stream_arn).consumer_name(name);
    let error = match call.send().await {
        Ok(_) => return Ok(true),
        Err(error) => error,
    };
    // As many consumers as a stream may have, and not too many calls.
    let is_full = error.code() == Some("LimitExceededException")
        && !error.message().is_some_and(|message| message.contains("Rate exceeded"));
    match trouble(shard, None, &error) {
        Trouble::Throttled(told) if is_full => Err(Trouble::Refused(told)),
        // Registered by somebody else meanwhile, or being deleted.
        Trouble::InUse(_) => Ok(false),
        trouble => Err(trouble),
    }
}
