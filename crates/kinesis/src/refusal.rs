//! What the service says no with, in the words of the contract.

use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use baikonur_stream::{AdministerError, StreamName};

/// What a failed call about `stream` means. The service's own message is kept wherever the
/// contract has no better word.
pub(crate) fn refusal<E>(stream: &StreamName, error: SdkError<E>) -> AdministerError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let message = error.message().unwrap_or_default();
    match error.code() {
        Some("ResourceNotFoundException") if is_about_stream(message) => {
            AdministerError::StreamNotFound(stream.clone())
        }
        Some("ValidationException") if message.contains("On-Demand mode") => {
            AdministerError::OnDemand(stream.clone())
        }
        _ => refusal_about_all(error),
    }
}

/// What a failed call about no stream means.
pub(crate) fn refusal_about_all<E>(error: SdkError<E>) -> AdministerError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let Some(code) = error.code() else {
        // No answer, or one that is none.
        return AdministerError::Unavailable(innermost(&error));
    };
    let message = error.message().unwrap_or_default();
    let told = format!("{code}: {message}");
    match code {
        "LimitExceededException" if is_throttled(message) => AdministerError::Unavailable(told),
        // In use: the stream is changing.
        "ResourceInUseException"
        | "ThrottlingException"
        | "InternalFailure"
        | "InternalFailureException"
        | "ServiceUnavailable"
        | "RequestTimeoutException" => AdministerError::Unavailable(told),
        _ => AdministerError::Refused(told),
    }
}

/// "Stream s under account a not found." and not "Could not find shard …".
fn is_about_stream(message: &str) -> bool {
    message.starts_with("Stream ") || message.is_empty()
}

/// Too many calls, and not too many shards: "Rate exceeded for stream …".
fn is_throttled(message: &str) -> bool {
    message.contains("Rate exceeded")
}

/// The end of a chain of causes, which says what happened; the chain itself is long.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let shown = last.to_string();
    match shown.is_empty() {
        true => DisplayErrorContext(error).to_string(),
        false => shown,
    }
}
