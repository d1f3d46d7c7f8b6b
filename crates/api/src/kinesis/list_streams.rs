//! ListStreams: names in order, in pages.

use baikonur_stream::{AdministerError, StreamDescription, StreamName};

use crate::kinesis::shapes::{StreamModeDetails, stream_status};
use crate::kinesis::{Home, Kinesis};
use crate::limits::LIST_STREAMS_MAX;
use crate::wire::constraint::{Length, NAME, NAME_LENGTH, Range};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Text};
use crate::wire::output::{WholeSeconds, output};
use crate::wire::structure::structure;
use crate::wire::token::TokenKind;

structure! {
    pub(crate) struct Request<'a> {
        limit: Integer = "Limit" [Range(1, 10_000)],
        start: Text<'a> = "ExclusiveStartStreamName" [NAME_LENGTH, NAME],
        next_token: Text<'a> = "NextToken" [Length(1, 1_048_576)],
    }
}

pub(crate) struct Call {
    limit: usize,
    /// Names after this one.
    after: String,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let limit = request.limit.map_or(LIST_STREAMS_MAX, |limit| limit.0 as usize);
    let after = match (request.start, request.next_token) {
        (Some(_), Some(_)) => {
            let message = "NextToken and ExclusiveStartStreamName cannot be provided together.";
            return Err(ApiError::invalid_argument(message));
        }
        (Some(start), None) => start.0.into_owned(),
        (None, Some(token)) => continued(token.as_str(), kinesis)?,
        (None, None) => String::new(),
    };
    Ok(Call { limit: limit.min(LIST_STREAMS_MAX), after })
}

fn continued(token: &str, kinesis: &Kinesis) -> Result<String, ApiError> {
    kinesis.page_of(TokenKind::StreamsPage, token)
}

output! {
    pub(crate) struct Output {
        names: Vec<StreamName> = "StreamNames",
        has_more: bool = "HasMoreStreams",
        next_token: Option<String> = "NextToken",
        summaries: Vec<Summary> = "StreamSummaries",
    }
}

output! {
    /// `StreamSummary`.
    struct Summary {
        name: StreamName = "StreamName",
        arn: String = "StreamARN",
        status: &'static str = "StreamStatus",
        mode: StreamModeDetails = "StreamModeDetails",
        created: WholeSeconds = "StreamCreationTimestamp",
    }
}

impl Summary {
    fn of(stream: &StreamDescription, home: &Home) -> Self {
        Self {
            name: stream.name.clone(),
            arn: home.arn(&stream.name),
            status: stream_status(stream.status),
            mode: StreamModeDetails::of(&stream.properties),
            created: WholeSeconds(stream.created),
        }
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let (streams, home) = (&kinesis.streams, &kinesis.home);
    let listed = streams.administer.list_streams(&home.owner).await;
    let names = listed.map_err(|error| home.administer_failure(&error))?;
    let mut rest = names.into_iter().filter(|name| name.as_str() > call.after.as_str());
    let mut summaries = Vec::new();
    let mut last = None;
    for name in rest.by_ref().take(call.limit) {
        match streams.administer.describe_stream(&name).await {
            Ok(stream) => summaries.push(Summary::of(&stream, home)),
            // Deleted since it was listed.
            Err(AdministerError::StreamNotFound(_)) => {}
            Err(error) => return Err(home.administer_failure(&error)),
        }
        last = Some(name);
    }
    let has_more = rest.next().is_some();
    let next_token = last
        .filter(|_| has_more)
        .map(|last| kinesis.page_token(TokenKind::StreamsPage, &last.as_str()));
    let names = summaries.iter().map(|summary| summary.name.clone()).collect();
    Ok(Output { names, has_more, next_token, summaries })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::{START, World, message};
    use crate::wire::error::ErrorCode;

    #[tokio::test]
    async fn streams_come_in_order_and_in_pages() {
        let world = World::new();
        assert_eq!(
            world.call("ListStreams", "{}").await.unwrap(),
            json!({ "StreamNames": [], "HasMoreStreams": false, "StreamSummaries": [] })
        );
        for name in ["b", "a", "c"] {
            world.create(name, 1).await;
        }
        let first = world.call("ListStreams", r#"{"Limit":2}"#).await.unwrap();
        assert_eq!(first["StreamNames"], json!(["a", "b"]));
        assert_eq!(first["HasMoreStreams"], true);
        let body = json!({ "NextToken": first["NextToken"] }).to_string();
        let second = world.call("ListStreams", &body).await.unwrap();
        assert_eq!(second["StreamNames"], json!(["c"]));
        assert!(second.get("NextToken").is_none());
        assert_eq!(
            second["StreamSummaries"],
            json!([{
                "StreamName": "c",
                "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/c",
                "StreamStatus": "ACTIVE",
                "StreamModeDetails": { "StreamMode": "PROVISIONED" },
                "StreamCreationTimestamp": START + 2,
            }])
        );
        let after = world.call("ListStreams", r#"{"ExclusiveStartStreamName":"b"}"#).await.unwrap();
        assert_eq!(after["StreamNames"], json!(["c"]));
    }

    #[tokio::test]
    async fn tokens_expire_and_garbage_is_refused() {
        let world = World::new();
        for name in ["a", "b"] {
            world.create(name, 1).await;
        }
        let first = world.call("ListStreams", r#"{"Limit":1}"#).await.unwrap();
        world.clock.advance(301);
        let body = json!({ "NextToken": first["NextToken"] }).to_string();
        let error = world.call("ListStreams", &body).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ExpiredNextToken);
        let error = world.call("ListStreams", r#"{"NextToken":"x"}"#).await.unwrap_err();
        assert_eq!(message(&error), "Invalid NextToken.");
        let body = r#"{"NextToken":"x","ExclusiveStartStreamName":"a"}"#;
        let error = world.call("ListStreams", body).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
    }
}
