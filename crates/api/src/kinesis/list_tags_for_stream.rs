//! ListTagsForStream: a page of a stream's tags, by key.

use std::ops::Bound;

use baikonur_stream::{StreamName, TAGS_MAX};

use crate::kinesis::Kinesis;
use crate::kinesis::tags::{Tag, shapes};
use crate::wire::constraint::{ARN_LENGTH, Length, NAME, NAME_LENGTH, Range, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Text};
use crate::wire::output::output;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        after: Text<'a> = "ExclusiveStartTagKey" [Length(1, 128)],
        limit: Integer = "Limit" [Range(1, 50)],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    after: Option<String>,
    limit: usize,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    Ok(Call {
        stream: kinesis.home.stream(request.stream_name.as_ref(), request.stream_arn.as_ref())?,
        after: request.after.map(|key| key.as_str().to_owned()),
        limit: request.limit.map_or(TAGS_MAX, |limit| limit.0 as usize),
    })
}

output! {
    pub(crate) struct Output {
        has_more: bool = "HasMoreTags",
        tags: Vec<Tag> = "Tags",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let stream = kinesis.describe(&call.stream).await?;
    let start = call.after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = stream.properties.tags.range((start, Bound::Unbounded));
    let tags = shapes(rest.by_ref().take(call.limit));
    Ok(Output { has_more: rest.next().is_some(), tags })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn tags_are_added_replaced_paged_and_removed() {
        let world = World::with_stream("s", 1).await;
        let add = r#"{"StreamName":"s","Tags":{"b":"1","a":"2","c":"3"}}"#;
        assert_eq!(world.bytes("AddTagsToStream", add).await.unwrap(), "");
        world.call("AddTagsToStream", r#"{"StreamName":"s","Tags":{"b":"4"}}"#).await.unwrap();
        let page = r#"{"StreamName":"s","Limit":1,"ExclusiveStartTagKey":"a"}"#;
        assert_eq!(
            world.call("ListTagsForStream", page).await.unwrap(),
            json!({ "Tags": [{ "Key": "b", "Value": "4" }], "HasMoreTags": true })
        );
        let remove = r#"{"StreamName":"s","TagKeys":["a","b","unknown"]}"#;
        world.call("RemoveTagsFromStream", remove).await.unwrap();
        assert_eq!(
            world.call("ListTagsForStream", r#"{"StreamName":"s"}"#).await.unwrap(),
            json!({ "Tags": [{ "Key": "c", "Value": "3" }], "HasMoreTags": false })
        );
    }

    #[tokio::test]
    async fn characters_and_numbers_of_tags_are_limited() {
        let world = World::with_stream("s", 1).await;
        let add = async |tags: serde_json::Value| {
            let body = json!({ "StreamName": "s", "Tags": tags }).to_string();
            message(&world.call("AddTagsToStream", &body).await.unwrap_err())
        };
        assert!(
            add(json!({ "a*": "" })).await.starts_with("Some tags contain invalid characters.")
        );
        assert!(add(json!({ "a": "%" })).await.contains("some tags contained illegal characters"));
        let many: serde_json::Map<_, _> =
            (0..51).map(|n| (format!("key-{n}"), json!("value"))).collect();
        assert_eq!(
            add(many.into()).await,
            "Failed to add tags to stream s under account 000000000000 because a given stream cannot \
             have more than 50 tags associated with it."
        );
        assert!(add(json!({ "": "" })).await.contains("Map keys must satisfy constraint"));
        let long = "x".repeat(257);
        assert!(add(json!({ "a": long })).await.contains("Map value must satisfy constraint"));
    }
}
