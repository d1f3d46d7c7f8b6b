//! What a reader does about a call that failed.

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use baikonur_stream::{ReadError, SequenceNumber, ShardAddress};

use crate::refusal::innermost;

/// A failed call, by what helps against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Too many calls or bytes: ask again later.
    Throttled(String),
    /// The iterator is too old, or not this service's: another one is needed.
    Iterator(String),
    /// The moment to begin at lies ahead: nothing has arrived since.
    Ahead,
    /// Somebody else has a subscription, or something is being made or changed.
    InUse(String),
    /// The service does not let us, and asking again changes nothing.
    Refused(String),
    /// Nothing more is to be done here.
    Failed(ReadError),
}

/// Takes an error apart. `number` is the one that the call began at, if it did.
pub(crate) fn trouble<E, R>(
    shard: &ShardAddress,
    number: Option<SequenceNumber>,
    error: &SdkError<E, R>,
) -> Trouble
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Some(code) = error.code() else {
        // No answer, or one that is none.
        return Trouble::Failed(ReadError::Unavailable(innermost(error)));
    };
    let message = error.message().unwrap_or_default();
    let told = format!("{code}: {message}");
    match code {
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "KMSThrottlingException" => Trouble::Throttled(told),
        "ExpiredIteratorException" => Trouble::Iterator(told),
        "ResourceInUseException" => Trouble::InUse(told),
        "ResourceNotFoundException" if message.starts_with("Stream ") => {
            Trouble::Failed(ReadError::StreamNotFound(shard.stream.clone()))
        }
        "ResourceNotFoundException" => Trouble::Failed(ReadError::ShardNotFound(shard.clone())),
        "InvalidArgumentException" => invalid(shard, number, message, told),
        "AccessDeniedException" | "UnknownOperationException" | "OptInRequired" => {
            Trouble::Refused(told)
        }
        _ => Trouble::Failed(ReadError::Unavailable(told)),
    }
}

/// The service has one code for many things; its messages tell them apart.
fn invalid(
    shard: &ShardAddress,
    number: Option<SequenceNumber>,
    message: &str,
    told: String,
) -> Trouble {
    let has = |words: &str| message.contains(words);
    match number {
        Some(number) if has("did not come from this stream") => {
            Trouble::Failed(ReadError::OtherStream { number, shard: shard.clone() })
        }
        Some(number) if has("It encodes shardId") => {
            Trouble::Failed(ReadError::OtherShard { number, shard: shard.clone() })
        }
        _ if has("cannot be greater than the currentTimestamp") => Trouble::Ahead,
        None if has("ShardIterator") => Trouble::Iterator(told),
        _ => Trouble::Failed(ReadError::Unavailable(told)),
    }
}

impl Trouble {
    /// For a caller that cannot do anything particular about it.
    pub(crate) fn into_error(self) -> ReadError {
        match self {
            Self::Failed(error) => error,
            Self::Ahead => ReadError::Unavailable("the starting moment lies ahead".to_owned()),
            Self::Throttled(told)
            | Self::Iterator(told)
            | Self::InUse(told)
            | Self::Refused(told) => ReadError::Unavailable(told),
        }
    }
}
