//! ListStreamConsumers: a page of a stream's registered consumers, by name.

use std::ops::Bound;

use baikonur_stream::StreamName;
use serde::{Deserialize, Serialize};

use crate::kinesis::Kinesis;
use crate::kinesis::consumers::ConsumerShape;
use crate::limits::LIST_CONSUMERS_MAX;
use crate::wire::constraint::{ARN_LENGTH, Length, Range, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Moment, Text};
use crate::wire::output::output;
use crate::wire::structure::structure;
use crate::wire::token::TokenKind;

structure! {
    pub(crate) struct Request<'a> {
        stream_arn: Text<'a> = "StreamARN" [Required, ARN_LENGTH, STREAM_ARN],
        next_token: Text<'a> = "NextToken" [Length(1, 1_048_576)],
        limit: Integer = "MaxResults" [Range(1, 10_000)],
        created: Moment = "StreamCreationTimestamp" [],
    }
}

/// What a `NextToken` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    stream: StreamName,
    after: String,
}

pub(crate) struct Call {
    stream: StreamName,
    /// In seconds: of the stream itself, not of another one with its name.
    created: Option<u64>,
    after: Option<String>,
    limit: usize,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(None, request.stream_arn.as_ref())?;
    let place: Option<Place> = match &request.next_token {
        None => None,
        Some(_) if request.created.is_some() => {
            let message = "NextToken and StreamCreationTimestamp cannot be provided together.";
            return Err(ApiError::invalid_argument(message));
        }
        Some(token) => Some(kinesis.page_of(TokenKind::ConsumersPage, token.as_str())?),
    };
    if place.as_ref().is_some_and(|place| place.stream != stream) {
        return Err(ApiError::invalid_argument("NextToken is not of the stream of StreamARN."));
    }
    Ok(Call {
        stream,
        created: request.created.map(|created| created.0.seconds()),
        after: place.map(|place| place.after),
        limit: request.limit.map_or(LIST_CONSUMERS_MAX, |l| l.0 as usize).min(LIST_CONSUMERS_MAX),
    })
}

output! {
    pub(crate) struct Output {
        consumers: Vec<ConsumerShape> = "Consumers",
        next_token: Option<String> = "NextToken",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let Call { stream, created, after, limit } = call;
    let found = kinesis.describe(&stream).await?;
    if created.is_some_and(|created| created != found.created.seconds()) {
        return Err(kinesis.home.stream_not_found(&stream));
    }
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = found.consumers.range((start, Bound::Unbounded)).peekable();
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let has_more = rest.peek().is_some();
    let last = page.last().filter(|_| has_more).map(|(name, _)| (*name).clone());
    let next_token =
        last.map(|after| kinesis.page_token(TokenKind::ConsumersPage, &Place { stream, after }));
    let mut consumers = Vec::with_capacity(page.len());
    for (name, consumer) in page {
        consumers.push(ConsumerShape::of(&kinesis.home, &found.name, name, consumer));
    }
    Ok(Output { consumers, next_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{World, message};

    #[tokio::test]
    async fn consumers_come_in_pages() {
        let world = World::with_stream("s", 1).await;
        for name in ["b", "a", "c"] {
            world.register("s", name).await;
        }
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
        let list = async |more: serde_json::Value| {
            let mut body = json!({ "StreamARN": arn });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            world.call("ListStreamConsumers", &body.to_string()).await
        };
        let names = |page: &serde_json::Value| -> Vec<String> {
            let consumers = page["Consumers"].as_array().unwrap();
            consumers.iter().map(|c| c["ConsumerName"].as_str().unwrap().to_owned()).collect()
        };
        let first = list(json!({ "MaxResults": 2 })).await.unwrap();
        assert_eq!(names(&first), ["a", "b"]);
        assert!(first["Consumers"][0].get("StreamARN").is_none());
        let second = list(json!({ "NextToken": first["NextToken"] })).await.unwrap();
        assert_eq!(names(&second), ["c"]);
        assert!(second.get("NextToken").is_none());
        assert_eq!(
            message(&list(json!({ "NextToken": "x" })).await.unwrap_err()),
            "Invalid NextToken."
        );
        assert!(list(json!({ "StreamCreationTimestamp": 1 })).await.is_err());
    }
}
