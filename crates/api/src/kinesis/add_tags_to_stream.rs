//! AddTagsToStream: tags added to a stream, or given other values.

use baikonur_stream::{AdministerError, ConsumerOrStream, StreamChange, StreamName, Tags};

use crate::kinesis::Kinesis;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;
use crate::wire::texts::{TAG_COUNT, TAGS, TextMap};

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        tags: TextMap = "Tags" [Required, TAG_COUNT, TAGS],
    }
}

pub(crate) struct Call {
    pub(super) stream: StreamName,
    pub(super) of: ConsumerOrStream,
    pub(super) tags: Tags,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let home = &kinesis.home;
    let stream = home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?;
    let tags = request.tags.map(|tags| tags.0).unwrap_or_default();
    home.check_tags(tags.iter().flat_map(|(key, value)| [key, value]), &stream, "add")?;
    Ok(Call { stream, of: None, tags })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    let Call { stream, of, tags } = call;
    let change = StreamChange::AddTags(of, tags);
    match kinesis.streams.administer.change_stream(&stream, change).await {
        Ok(_) => Ok(()),
        Err(AdministerError::TooManyTags) => Err(kinesis.home.too_many_tags(&stream)),
        Err(error) => Err(kinesis.home.administer_failure(&error)),
    }
}
