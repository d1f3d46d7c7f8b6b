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

mod add_tags_to_stream;
mod answer;
mod answer_room;
mod changes;
mod consumers;
mod create_stream;
mod decrease_stream_retention_period;
mod delete_resource_policy;
mod delete_stream;
mod deregister_stream_consumer;
mod describe_account_settings;
mod describe_limits;
mod describe_stream;
mod describe_stream_consumer;
mod describe_stream_summary;
mod disable_enhanced_monitoring;
mod enable_enhanced_monitoring;
mod entries;
mod failures;
#[cfg(test)]
mod formats;
mod get_records;
mod get_resource_policy;
mod get_shard_iterator;
mod home;
mod increase_stream_retention_period;
mod list_shards;
mod list_stream_consumers;
mod list_streams;
mod list_tags_for_resource;
mod list_tags_for_stream;
mod merge_shards;
mod page_token;
mod put_record;
mod put_records;
mod put_resource_policy;
mod read_budgets;
mod records;
mod register_stream_consumer;
mod remove_tags_from_stream;
mod resource;
mod shapes;
mod shard_iterator;
mod split_shard;
mod start_stream_encryption;
mod stop_stream_encryption;
mod stream_id;
mod subscribe_to_shard;
mod subscriptions;
mod tag_resource;
mod tags;
#[cfg(test)]
mod testing;
mod untag_resource;
mod update_account_settings;
mod update_max_record_size;
mod update_shard_count;
mod update_stream_mode;
mod update_stream_record_distribution_strategy;
mod update_stream_warm_throughput;

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use answer::{Answer, Frames};
use answer_room::AnswerRoom;
pub(crate) use answer_room::{Reserved, permits, room};
pub(crate) use home::Home;
use read_budgets::ReadBudgets;
use subscriptions::Subscriptions;

use crate::kinesis::answer::IntoAnswer;
use crate::server::Limits;
use crate::wire::constraint::{Constrained, Path, Violations};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::format::Format;
use crate::wire::token::Tokens;
use crate::{ServerSettings, Streams};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) streams: Streams,
    pub(crate) tokens: Tokens,
    /// Memory for answers.
    pub(crate) answer_room: AnswerRoom,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) read_budgets: ReadBudgets,
}

impl Shared {
    /// What requests to `streams` share.
    pub(crate) fn new(settings: &ServerSettings, streams: Streams) -> Arc<Self> {
        Arc::new(Self {
            streams,
            tokens: Tokens::default(),
            answer_room: AnswerRoom::new(settings.answer_bytes_max, settings.has_many_accounts()),
            subscriptions: Subscriptions::default(),
            read_budgets: ReadBudgets::new(settings.limits == Limits::Aws),
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
                let by_id;
                let kinesis = if stream_id::may_be_in(&body) {
                    let member: stream_id::Member<'_> = kinesis.format.parse(&body)?;
                    check(&member)?;
                    by_id = kinesis.with_stream_id(member).await?;
                    &by_id
                } else {
                    kinesis
                };
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
    AddTagsToStream => add_tags_to_stream,
    CreateStream => create_stream,
    DecreaseStreamRetentionPeriod => decrease_stream_retention_period,
    DeleteResourcePolicy => delete_resource_policy,
    DeleteStream => delete_stream,
    DeregisterStreamConsumer => deregister_stream_consumer,
    DescribeAccountSettings => describe_account_settings,
    DescribeLimits => describe_limits,
    DescribeStream => describe_stream,
    DescribeStreamConsumer => describe_stream_consumer,
    DescribeStreamSummary => describe_stream_summary,
    DisableEnhancedMonitoring => disable_enhanced_monitoring,
    EnableEnhancedMonitoring => enable_enhanced_monitoring,
    GetRecords => get_records,
    GetResourcePolicy => get_resource_policy,
    GetShardIterator => get_shard_iterator,
    IncreaseStreamRetentionPeriod => increase_stream_retention_period,
    ListShards => list_shards,
    ListStreamConsumers => list_stream_consumers,
    ListStreams => list_streams,
    ListTagsForResource => list_tags_for_resource,
    ListTagsForStream => list_tags_for_stream,
    MergeShards => merge_shards,
    PutRecord => put_record,
    PutRecords => put_records,
    PutResourcePolicy => put_resource_policy,
    RegisterStreamConsumer => register_stream_consumer,
    RemoveTagsFromStream => remove_tags_from_stream,
    SplitShard => split_shard,
    StartStreamEncryption => start_stream_encryption,
    StopStreamEncryption => stop_stream_encryption,
    SubscribeToShard => subscribe_to_shard,
    TagResource => tag_resource,
    UntagResource => untag_resource,
    UpdateAccountSettings => update_account_settings,
    UpdateMaxRecordSize => update_max_record_size,
    UpdateShardCount => update_shard_count,
    UpdateStreamMode => update_stream_mode,
    UpdateStreamRecordDistributionStrategy => update_stream_record_distribution_strategy,
    UpdateStreamWarmThroughput => update_stream_warm_throughput,
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
