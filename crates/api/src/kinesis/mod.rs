//! The operations of Kinesis Data Streams, one file each, and the table that lists them.
//!
//! An operation is three parts: `Request`, the table of its members and constraints; `translate`,
//! from the request to the words of `stream`; `answer`, which asks the streams and writes the
//! reply. Rules of retention, routing and order are not here but behind the contracts.

mod create_stream;
mod decrease_stream_retention_period;
mod delete_stream;
mod describe_stream;
mod describe_stream_summary;
mod entries;
mod failures;
mod get_records;
mod get_shard_iterator;
mod home;
mod increase_stream_retention_period;
mod list_shards;
mod list_streams;
mod put_record;
mod put_records;
mod shapes;
mod shard_iterator;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

pub(crate) use home::Home;

use crate::wire::constraint::{Constrained, Path, Violations};
use crate::wire::error::ApiError;
use crate::wire::members::parse;
use crate::wire::token::Tokens;
use crate::{ServerSettings, Streams};

/// What all operations share.
pub(crate) struct Kinesis {
    pub(crate) streams: Streams,
    pub(crate) home: Home,
    pub(crate) tokens: Tokens,
    /// Memory for answers, in permits of [`ROOM_UNIT`] bytes.
    pub(crate) answer_room: Arc<Semaphore>,
}

/// One permit of room stands for this many bytes.
pub(crate) const ROOM_UNIT: usize = 1024;

impl Kinesis {
    /// The operations over `streams`.
    pub(crate) fn new(settings: &ServerSettings, streams: Streams) -> Self {
        Self {
            streams,
            home: Home { region: settings.region.clone(), account: settings.account.clone() },
            tokens: Tokens::default(),
            answer_room: room(settings.answer_bytes_max),
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
            pub(crate) async fn answer(self, kinesis: &Kinesis, body: Bytes) -> Result<Bytes, ApiError> {
                match self {
                    $(Self::$operation => {
                        let call = {
                            let request: $module::Request<'_> = parse(&body)?;
                            check(&request)?;
                            $module::translate(request, kinesis)?
                        };
                        // What is needed has been copied: the body need not wait for the disk.
                        drop(body);
                        $module::answer(call, kinesis).await
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
