//! The operations of Kinesis Data Streams, one file each, and the table that lists them.
//!
//! An operation is three parts: `Request`, the table of its members and constraints (`structure!`);
//! `translate`, from the request to the words of `stream`; `answer`, which asks the streams. Rules of
//! retention, routing and order are not here but behind the contracts.
//!
//! To add one: a file with the three parts, a line `mod`, a line in `operations!`. Neither part knows
//! the format of the request. What `answer` returns becomes the body (see `answer.rs`):
//!
//! - `Result<(), ApiError>`: no output, an empty body;
//! - `Result<Output, ApiError>`, with `Output` a table of members by `output!`, where `Option` is a
//!   member that may be missing and the value types of `wire/output.rs` write themselves as each
//!   format wants it (`WholeSeconds` for moments of creation, `Timestamp` for others, `Bytes` for
//!   blobs, `ShardId` and the like as they are). Shapes of several operations are in `shapes.rs`. A
//!   table that does not do, for want of a member in a member, is an `impl Structure` by hand;
//! - `Result<Answer, ApiError>`: a body made by hand, a stream among them. A stream is JSON inside
//!   whatever the request was: its `translate` starts with `kinesis.refuse_cbor()?`.
//!
//! `formats.rs` holds every operation to the same answer in both formats: add a request there.

mod answer;
mod create_stream;
mod decrease_stream_retention_period;
mod delete_stream;
mod describe_stream;
mod describe_stream_summary;
mod entries;
mod failures;
#[cfg(test)]
mod formats;
mod get_records;
mod get_shard_iterator;
mod home;
mod increase_stream_retention_period;
mod list_shards;
mod list_streams;
mod put_record;
mod put_records;
mod records;
mod shapes;
mod shard_iterator;
#[cfg(test)]
mod testing;

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

pub(crate) use answer::{Answer, Frames};
pub(crate) use home::Home;

use crate::kinesis::answer::IntoAnswer;
use crate::wire::constraint::{Constrained, Path, Violations};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::format::Format;
use crate::wire::token::Tokens;
use crate::{ServerSettings, Streams};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) streams: Streams,
    pub(crate) tokens: Tokens,
    /// Memory for answers, in permits of [`ROOM_UNIT`] bytes.
    pub(crate) answer_room: Arc<Semaphore>,
}

/// One permit of room stands for this many bytes.
pub(crate) const ROOM_UNIT: usize = 1024;

impl Shared {
    /// What requests to `streams` share.
    pub(crate) fn new(settings: &ServerSettings, streams: Streams) -> Arc<Self> {
        Arc::new(Self {
            streams,
            tokens: Tokens::default(),
            answer_room: room(settings.answer_bytes_max),
        })
    }
}

/// The service as one request sees it. Cheap to make and to clone.
#[derive(Clone)]
pub(crate) struct Kinesis {
    /// Also to be had as fields of the view itself.
    pub(crate) shared: Arc<Shared>,
    /// Whose streams they are.
    pub(crate) home: Home,
    /// What the request is written in, and the answer will be.
    pub(crate) format: Format,
}

impl Deref for Kinesis {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Kinesis {
    /// Refuses a CBOR request where the answer is an event stream, which is JSON inside. The service
    /// answers such requests with an InternalFailure as well; clients switch to JSON by themselves.
    #[cfg_attr(not(test), expect(dead_code, reason = "SubscribeToShard is the one that streams"))]
    pub(crate) fn refuse_cbor(&self) -> Result<(), ApiError> {
        match self.format {
            Format::Json => Ok(()),
            Format::Cbor => {
                let message = "This operation is not available in CBOR.";
                Err(ApiError::new(ErrorCode::InternalFailure, message))
            }
        }
    }
}

/// Room for `bytes`.
pub(crate) fn room(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((bytes / ROOM_UNIT).min(Semaphore::MAX_PERMITS)))
}

/// The permits that stand for `bytes`.
pub(crate) fn permits(bytes: usize) -> usize {
    bytes.div_ceil(ROOM_UNIT)
}

/// The service that targets name.
const SERVICE: &str = "Kinesis_20131202";

/// The one list of operations: a name and its module. A module without one of the three parts does
/// not compile.
macro_rules! operations {
    ($($operation:ident => $module:ident,)*) => {
        /// An operation of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Operation {
            $(#[doc = concat!("`", stringify!($operation), "`")] $operation,)*
        }

        impl Operation {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$operation),*];

            /// Its name in the API.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$operation => stringify!($operation),)*
                }
            }

            /// Does what `body` asks for. An answer without output is empty.
            pub(crate) async fn answer(self, kinesis: &Kinesis, body: Bytes) -> Result<Answer, ApiError> {
                match self {
                    $(Self::$operation => {
                        let call = {
                            let request: $module::Request<'_> = kinesis.format.parse(&body)?;
                            check(&request)?;
                            $module::translate(request, kinesis)?
                        };
                        // What is needed has been copied: the body need not wait for the disk.
                        drop(body);
                        let output = $module::answer(call, kinesis).await?;
                        Ok(output.into_answer(kinesis.format))
                    })*
                }
            }
        }
    };
}

operations! {
    CreateStream => create_stream,
    DecreaseStreamRetentionPeriod => decrease_stream_retention_period,
    DeleteStream => delete_stream,
    DescribeStream => describe_stream,
    DescribeStreamSummary => describe_stream_summary,
    GetRecords => get_records,
    GetShardIterator => get_shard_iterator,
    IncreaseStreamRetentionPeriod => increase_stream_retention_period,
    ListShards => list_shards,
    ListStreams => list_streams,
    PutRecord => put_record,
    PutRecords => put_records,
}

impl Operation {
    /// The operation that an `X-Amz-Target` header names.
    pub(crate) fn of_target(target: &str) -> Option<Self> {
        let (service, name) = target.split_once('.')?;
        if service == SERVICE { Self::named(name) } else { None }
    }

    /// The operation of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|operation| operation.name() == name).copied()
    }
}

fn check(request: &impl Constrained) -> Result<(), ApiError> {
    let mut violations = Violations::default();
    request.check(&[], &Path::Request, &mut violations);
    violations.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_name_operations() {
        for operation in Operation::ALL {
            let target = format!("Kinesis_20131202.{}", operation.name());
            assert_eq!(Operation::of_target(&target), Some(*operation));
        }
        for target in
            ["", "PutRecord", "Kinesis_20131202.", "Other.PutRecord", "Kinesis_20131202.putRecord"]
        {
            assert_eq!(Operation::of_target(target), None, "{target}");
        }
    }
}
