//! ListTagsForResource: all tags of a stream or of a consumer.

use crate::kinesis::Kinesis;
use crate::kinesis::resource::Resource;
use crate::kinesis::tags::{Tag, shapes};
use crate::wire::constraint::{ARN_LENGTH, RESOURCE_ARN, Required};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::output::output;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        arn: Text<'a> = "ResourceARN" [Required, ARN_LENGTH, RESOURCE_ARN],
    }
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Resource, ApiError> {
    kinesis.home.named_resource(request.arn.as_ref())
}

output! {
    pub(crate) struct Output {
        tags: Vec<Tag> = "Tags",
    }
}

pub(crate) async fn answer(resource: Resource, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let stream = kinesis.present(&resource).await?;
    let consumer = resource.consumer.as_ref().and_then(|c| stream.consumers.get(&c.name));
    let tags = consumer.map_or(&stream.properties.tags, |consumer| &consumer.tags);
    Ok(Output { tags: shapes(tags.iter()) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::World;
    use crate::wire::error::ErrorCode;

    #[tokio::test]
    async fn streams_and_consumers_have_tags_of_their_own() {
        let world = World::with_stream("s", 1).await;
        let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
        let consumer = world.register("s", "c").await;
        for (arn, key) in [(stream, "of-stream"), (&consumer, "of-consumer")] {
            let body = json!({ "ResourceARN": arn, "Tags": { key: "1", "gone": "2" } }).to_string();
            assert_eq!(world.bytes("TagResource", &body).await.unwrap(), "");
            let body = json!({ "ResourceARN": arn, "TagKeys": ["gone"] }).to_string();
            world.call("UntagResource", &body).await.unwrap();
        }
        for (arn, key) in [(stream, "of-stream"), (&consumer, "of-consumer")] {
            let body = json!({ "ResourceARN": arn }).to_string();
            let tags = world.call("ListTagsForResource", &body).await.unwrap();
            assert_eq!(tags, json!({ "Tags": [{ "Key": key, "Value": "1" }] }));
        }
        let body = json!({ "ResourceARN": format!("{stream}/consumer/c:1") }).to_string();
        let error = world.call("ListTagsForResource", &body).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ResourceNotFound);
        let queue = r#"{"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:queue/q"}"#;
        let error = world.call("ListTagsForResource", queue).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ResourceNotFound);
    }
}
