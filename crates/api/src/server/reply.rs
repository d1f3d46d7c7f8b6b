//! What an answer consists of, before the headers that all have.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::kinesis::{Answer, Frames};
use crate::server::body::BodyError;
use crate::wire::content_type::{EVENT_STREAM, PLAIN_JSON};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::format::Format;

const XML: &str = "text/xml";
const ACCESS_DENIED: &str = "<AccessDeniedException>\n  <Message>Unable to determine \
    service/operation name to be authorized</Message>\n</AccessDeniedException>\n";
const UNKNOWN_OPERATION: &str = "<UnknownOperationException/>\n";

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// As it comes.
    Stream(Frames),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// Status, content type and body of an answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: ReplyBody,
    pub(crate) error: Option<ErrorCode>,
    /// The rest of the request was not read: the connection cannot be used again.
    pub(crate) close: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = ReplyBody::Whole(Full::new(body.into()));
        Self { status, content_type, body, error: None, close: false }
    }

    /// The answer of an operation.
    pub(crate) fn success(answer: Answer, format: Format) -> Self {
        match answer {
            Answer::Whole(body) => Self::new(200, format.content_type(), body),
            Answer::Stream(frames) => {
                let reply = Self::new(200, EVENT_STREAM, Bytes::new());
                Self { body: ReplyBody::Stream(frames), ..reply }
            }
        }
    }

    /// A failure, in the format of the request.
    pub(crate) fn error(error: &ApiError, format: Format) -> Self {
        let reply = Self::new(error.code.status(), format.content_type(), error.body(format));
        Self { error: Some(error.code), ..reply }
    }

    /// A request whose body did not come to its end.
    pub(crate) fn cut_short(error: BodyError, format: Format) -> Self {
        let code = match error {
            BodyError::TooLarge => ErrorCode::RequestEntityTooLarge,
            BodyError::TimedOut | BodyError::Gone => ErrorCode::RequestTimeout,
        };
        Self { close: true, ..Self::error(&ApiError::new(code, error.to_string()), format) }
    }

    /// What is no request to an operation.
    pub(crate) fn access_denied() -> Self {
        let reply = Self::new(403, XML, ACCESS_DENIED);
        Self { error: Some(ErrorCode::AccessDenied), ..reply }
    }

    /// A body in a format that no operation has.
    pub(crate) fn unknown_content_type() -> Self {
        let reply = Self::new(404, XML, UNKNOWN_OPERATION);
        Self { error: Some(ErrorCode::UnknownOperation), ..reply }
    }

    /// In the words of the service for `application/json`, which is not its protocol.
    pub(crate) fn plain_json(code: ErrorCode, status: u16) -> Self {
        let name = code.name();
        let body = format!(
            "{{\"Output\":{{\"__type\":\"com.amazon.coral.service#{name}\"}},\"Version\":\"1.0\"}}"
        );
        Self { error: Some(code), ..Self::new(status, PLAIN_JSON, body) }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_stream_is_sent_as_it_comes() {
        let frames = Full::new(Bytes::from_static(b"frame")).boxed_unsync();
        let reply = Reply::success(Answer::Stream(frames), Format::Json);
        assert_eq!((reply.status, reply.content_type), (200, "application/vnd.amazon.eventstream"));
        assert!(!reply.body.is_end_stream());
        assert_eq!(reply.body.collect().await.unwrap().to_bytes(), "frame");
    }
}
