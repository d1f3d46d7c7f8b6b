//! DeleteStream: a stream and all that it holds. It is gone when the answer comes.

use baikonur_stream::StreamName;

use crate::kinesis::Kinesis;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Boolean, Text};
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        enforce: Boolean = "EnforceConsumerDeletion" [],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    with_consumers: bool,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    Ok(Call { stream, with_consumers: request.enforce.is_some_and(|enforce| enforce.0) })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let Call { stream, with_consumers } = call;
    let deleted = kinesis.streams.administer.delete_stream(&stream, with_consumers).await;
    deleted.map_err(|error| kinesis.home.administer_failure(&error))
}

#[cfg(test)]
mod tests {
    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn a_deleted_stream_is_gone() {
        let world = World::with_stream("s", 1).await;
        let body = r#"{"StreamName":"s","EnforceConsumerDeletion":true}"#;
        assert_eq!(world.bytes("DeleteStream", body).await.unwrap(), "");
        let error = world.call("DeleteStream", body).await.unwrap_err();
        assert_eq!(message(&error), "Stream s under account 000000000000 not found.");
    }
}
