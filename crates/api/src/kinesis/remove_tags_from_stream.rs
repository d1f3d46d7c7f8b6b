//! RemoveTagsFromStream: tags removed; keys that are not there are ignored.

use baikonur_stream::{ConsumerOrStream, StreamChange, StreamName};

use crate::kinesis::Kinesis;
use crate::wire::constraint::{ARN_LENGTH, Length, NAME, NAME_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;
use crate::wire::texts::{TAG_KEYS, TextList};

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        keys: TextList = "TagKeys" [Required, Length(1, 50), TAG_KEYS],
    }
}

pub(crate) struct Call {
    pub(super) stream: StreamName,
    pub(super) of: ConsumerOrStream,
    pub(super) keys: Vec<String>,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let home = &kinesis.home;
    let stream = home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let keys = request.keys.map(|keys| keys.texts).unwrap_or_default();
    home.check_tags(keys.iter(), &stream, "remove")?;
    Ok(Call { stream, of: None, keys })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let change = StreamChange::RemoveTags(call.of, call.keys);
    kinesis.change(&call.stream, change).await.map(|_| ())
}
