//! UntagResource: tags removed from a stream or from a consumer.

use crate::kinesis::Kinesis;
use crate::kinesis::resource::Resource;
use crate::wire::constraint::{ARN_LENGTH, Length, RESOURCE_ARN, Required};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;
use crate::wire::texts::{TAG_KEYS, TextList};

use super::remove_tags_from_stream;

structure! {
    pub(crate) struct Request<'a> {
        arn: Text<'a> = "ResourceARN" [Required, ARN_LENGTH, RESOURCE_ARN],
        keys: TextList = "TagKeys" [Required, Length(1, 50), TAG_KEYS],
    }
}

pub(crate) struct Call {
    resource: Resource,
    keys: Vec<String>,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let resource = kinesis.home.named_resource(request.arn.as_ref())?;
    let keys = request.keys.map(|keys| keys.texts).unwrap_or_default();
    kinesis.home.check_tags(keys.iter(), &resource.stream, "remove")?;
    Ok(Call { resource, keys })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    kinesis.present(&call.resource).await?;
    let stream = call.resource.stream.clone();
    let call = remove_tags_from_stream::Call { stream, of: call.resource.of(), keys: call.keys };
    remove_tags_from_stream::answer(call, kinesis).await
}
