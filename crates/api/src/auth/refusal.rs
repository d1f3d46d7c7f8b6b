//! What is said to a request that is refused for its signature, in the service's words.
//!
//! The texts are those that AWS services answer with, as users report them. They quote what the
//! request says of itself, and never the canonical request or the signature that was expected.

use std::time::Duration;

use baikonur_stream::Timestamp;

use super::{SERVICE, TERMINATOR, amz_date};
use crate::wire::error::{ApiError, ErrorCode};

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidSignature, message)
}

fn incomplete(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::IncompleteSignature, message)
}

/// The signature is not that of this request by this key.
pub(crate) fn mismatch() -> ApiError {
    invalid(
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details.",
    )
}

/// The access key is not known, or its session token is another.
pub(crate) fn unknown_token() -> ApiError {
    let message = "The security token included in the request is invalid.";
    ApiError::new(ErrorCode::UnrecognizedClient, message)
}

pub(crate) fn algorithm(given: &str) -> ApiError {
    incomplete(format!("Unsupported AWS 'algorithm': '{given}'."))
}

/// A parameter is there twice, or is no text.
pub(crate) fn ambiguous(parameter: &str) -> ApiError {
    incomplete(format!("'{parameter}' must be given exactly once, and be text."))
}

pub(crate) fn credential(given: &str) -> ApiError {
    incomplete(format!(
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got '{given}'"
    ))
}

pub(crate) fn date(given: &str) -> ApiError {
    incomplete(format!(
        "Date must be in ISO-8601 'basic format'. Got '{given}'. See \
         http://en.wikipedia.org/wiki/ISO_8601"
    ))
}

pub(crate) fn expires(max: Duration) -> ApiError {
    incomplete(format!("X-Amz-Expires must be a number of seconds from 1 to {}.", max.as_secs()))
}

pub(crate) fn scope_date(scoped: &str, date: &str) -> ApiError {
    let day = date.get(..8).unwrap_or(date);
    invalid(format!(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
         '{scoped}' != '{day}', from '{date}'."
    ))
}

pub(crate) fn scope_region() -> ApiError {
    invalid("Credential should be scoped to a valid region.")
}

pub(crate) fn scope_service() -> ApiError {
    invalid(format!("Credential should be scoped to correct service: '{SERVICE}'."))
}

pub(crate) fn scope_terminator(given: &str) -> ApiError {
    invalid(format!(
        "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{given}'."
    ))
}

pub(crate) fn host_not_signed() -> ApiError {
    invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
}

pub(crate) fn unsigned_payload() -> ApiError {
    invalid("The payload must be signed: UNSIGNED-PAYLOAD is for encrypted connections.")
}

/// `signed` lies more than `age` before `now`.
pub(crate) fn expired(signed: Timestamp, now: Timestamp, age: Duration) -> ApiError {
    let [signed, earliest, now] = [signed, now.minus(age), now].map(amz_date::format);
    let age = words(age);
    invalid(format!("Signature expired: {signed} is now earlier than {earliest} ({now} - {age}.)"))
}

/// `signed` lies more than `skew` after `now`.
pub(crate) fn not_yet_current(signed: Timestamp, now: Timestamp, skew: Duration) -> ApiError {
    let latest = Timestamp::from_millis(now.millis().saturating_add(skew.as_millis() as u64));
    let [signed, latest, now] = [signed, latest, now].map(amz_date::format);
    let skew = words(skew);
    invalid(format!(
        "Signature not yet current: {signed} is still later than {latest} ({now} + {skew}.)"
    ))
}

fn words(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} sec"),
    }
}
