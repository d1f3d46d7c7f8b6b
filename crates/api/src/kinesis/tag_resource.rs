//! TagResource: tags added to a stream or to a consumer.

use crate::kinesis::Kinesis;
use crate::kinesis::resource::Resource;
use crate::wire::constraint::{ARN_LENGTH, RESOURCE_ARN, Required};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;
use crate::wire::texts::{TAG_COUNT, TAGS, TextMap};

use super::add_tags_to_stream;

structure! {
    pub(crate) struct Request<'a> {
        arn: Text<'a> = "ResourceARN" [Required, ARN_LENGTH, RESOURCE_ARN],
        tags: TextMap = "Tags" [Required, TAG_COUNT, TAGS],
    }
}

pub(crate) struct Call {
    resource: Resource,
    tags: baikonur_stream::Tags,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let resource = kinesis.home.named_resource(request.arn.as_ref())?;
    let tags = request.tags.map(|tags| tags.0).unwrap_or_default();
    let texts = tags.iter().flat_map(|(key, value)| [key, value]);
    kinesis.home.check_tags(texts, &resource.stream, "add")?;
    Ok(Call { resource, tags })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    kinesis.present(&call.resource).await?;
    let stream = call.resource.stream.clone();
    let call = add_tags_to_stream::Call { stream, of: call.resource.of(), tags: call.tags };
    add_tags_to_stream::answer(call, kinesis).await
}
