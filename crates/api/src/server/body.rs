//! Reading a request's body into one piece, within limits of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::kinesis::permits;
use crate::limits::{BODY_BYTES_MAX, BODY_RATE_MIN, BODY_TIMEOUT, DRAIN_BYTES_MAX};

/// Why there is no body to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body has more than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the body came too slowly")]
    TimedOut,
    #[error("the client went away")]
    Gone,
}

/// A body, with the room in memory that its request holds.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    /// For the body and for what is decoded from it.
    pub(crate) room: OwnedSemaphorePermit,
}

/// Reads a body. It waits for room first, so that many large requests at once are taken in turn.
///
/// A client that `waits` (`Expect: 100-continue`) is told to go on once there is.
pub(crate) async fn read(
    body: Incoming,
    waits: bool,
    room: &Arc<Semaphore>,
) -> Result<Whole, BodyError> {
    let announced =
        body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    // A body of unknown length may have any that is allowed.
    let length = announced.unwrap_or(BODY_BYTES_MAX);
    if length > BODY_BYTES_MAX {
        // Who waits has sent nothing, and reading would ask for all of it.
        if !waits {
            drain(body).await;
        }
        return Err(BodyError::TooLarge);
    }
    let count = permits(2 * length) as u32;
    let room = Arc::clone(room).acquire_many_owned(count).await.map_err(|_| BodyError::Gone)?;
    let bytes = collect(body, announced).await?;
    Ok(Whole { bytes, room })
}

/// Bytes to start with when the length is unknown.
const START_BYTES: usize = 64 * 1024;

async fn collect(mut body: Incoming, announced: Option<usize>) -> Result<Bytes, BodyError> {
    let mut first = None;
    let mut whole: Option<BytesMut> = None;
    let mut length = 0;
    let started = Instant::now();
    while let Some(frame) = tokio::time::timeout_at(deadline(started, length), body.frame())
        .await
        .map_err(|_| BodyError::TimedOut)?
    {
        let Ok(data) = frame.map_err(|_| BodyError::Gone)?.into_data() else { continue };
        length += data.len();
        if length > BODY_BYTES_MAX {
            drain(body).await;
            return Err(BodyError::TooLarge);
        }
        match (&mut whole, first.take()) {
            (Some(whole), _) => whole.extend_from_slice(&data),
            // A body that came in one read is not copied at all.
            (None, None) => first = Some(data),
            (None, Some(start)) => {
                let mut joined = BytesMut::with_capacity(announced.unwrap_or(START_BYTES));
                joined.extend_from_slice(&start);
                joined.extend_from_slice(&data);
                whole = Some(joined);
            }
        }
    }
    Ok(whole.map(BytesMut::freeze).or(first).unwrap_or_default())
}

/// When the next part must be there, after `length` bytes since `started`.
fn deadline(started: Instant, length: usize) -> Instant {
    let earned = Duration::from_secs_f64(length as f64 / BODY_RATE_MIN as f64);
    (started + BODY_TIMEOUT + earned).min(Instant::now() + BODY_TIMEOUT)
}

/// Throws away what is left, up to a bound: a client that still sends would see its connection
/// reset and not the answer.
async fn drain(mut body: Incoming) {
    let drained = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // In time or not, the answer is the same.
    let _ = tokio::time::timeout(BODY_TIMEOUT, drained).await;
}
