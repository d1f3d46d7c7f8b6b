//! The operations without a socket: what benchmarks measure and fuzzing feeds.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::kinesis::{Answer, Home, Kinesis, Operation, Shared};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::event_stream;
use crate::{Format, ServerSettings, Streams};

/// A message of an event stream.
///
/// # Panics
/// If the name of a header has more than 255 bytes, or a value more than 65,535.
pub fn event_stream_message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    event_stream::message(headers, |message| [&message, payload].concat())
}

/// The operations over some streams.
pub struct InProcess {
    shared: Arc<Shared>,
    home: Home,
}

impl InProcess {
    /// The operations as a server with these settings has them.
    pub fn new(settings: &ServerSettings, streams: Streams) -> Self {
        Self { shared: Shared::new(settings, streams), home: Home::of(settings) }
    }

    /// The names of all operations.
    pub fn operations() -> impl ExactSizeIterator<Item = &'static str> {
        Operation::ALL.iter().map(|operation| operation.name())
    }

    /// What an operation answers to a JSON body: the HTTP status and the body of the answer.
    pub async fn call(&self, operation: &str, body: Bytes) -> (u16, Bytes) {
        self.call_in(Format::Json, operation, body).await
    }

    /// What an operation answers to a body of a format. A stream is answered when it has ended.
    pub async fn call_in(&self, format: Format, operation: &str, body: Bytes) -> (u16, Bytes) {
        let kinesis = Kinesis { shared: Arc::clone(&self.shared), home: self.home.clone(), format };
        let answer = match Operation::named(operation) {
            Some(operation) => operation.answer(&kinesis, body).await,
            None => Err(ApiError::bare(ErrorCode::UnknownOperation)),
        };
        match answer {
            Ok(Answer::Whole(body)) => (200, body),
            Ok(Answer::Stream(frames)) => match frames.collect().await {
                Ok(frames) => (200, frames.to_bytes()),
                Err(never) => match never {},
            },
            Err(error) => (error.code.status(), error.body(format).into()),
        }
    }
}
