//! The operations without a socket: what benchmarks measure and fuzzing feeds.

use bytes::Bytes;

use crate::kinesis::{Kinesis, Operation};
use crate::wire::error::{ApiError, ErrorCode};
use crate::{ServerSettings, Streams};

/// The operations over some streams.
pub struct InProcess(Kinesis);

impl InProcess {
    /// The operations as a server with these settings has them.
    pub fn new(settings: &ServerSettings, streams: Streams) -> Self {
        Self(Kinesis::new(settings, streams))
    }

    /// What an operation answers to a body: the HTTP status and the body of the answer.
    pub async fn call(&self, operation: &str, body: Bytes) -> (u16, Bytes) {
        let answer = match Operation::named(operation) {
            Some(operation) => operation.answer(&self.0, body).await,
            None => Err(ApiError::bare(ErrorCode::UnknownOperation)),
        };
        match answer {
            Ok(answer) => (200, answer),
            Err(error) => (error.code.status(), error.body().into()),
        }
    }
}
