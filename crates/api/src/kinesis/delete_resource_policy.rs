//! DeleteResourcePolicy: the policy of a stream or of a consumer, removed.

use baikonur_stream::StreamChange;

use crate::kinesis::Kinesis;
use crate::kinesis::resource::Resource;
use crate::wire::error::ApiError;

pub(crate) use crate::kinesis::list_tags_for_resource::{Request, translate};

pub(crate) async fn answer(resource: Resource, kinesis: &Kinesis) -> Result<(), ApiError> {
    kinesis.present(&resource).await?;
    let stream = resource.stream.clone();
    kinesis.change(&stream, StreamChange::Policy(resource.of(), None)).await.map(|_| ())
}
