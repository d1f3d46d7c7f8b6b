//! CBOR 1.1 (RFC 8949), as Java clients speak it by default.
//!
//! No crate reads it as needed: texts and bytes borrowed, tags seen through wherever they stand (a
//! moment is tag 1 before *milliseconds*), and nesting bounded. So there is a small reader here;
//! writing is an [`Encoder`](crate::wire::output::Encoder) like the one of JSON.

mod deserializer;
mod encoder;
mod reader;
#[cfg(test)]
mod tests;

use serde::Deserialize;

pub(crate) use encoder::CborEncoder;

use crate::wire::cbor::deserializer::Deserializer;
use crate::wire::cbor::reader::Fault;
use crate::wire::error::{ApiError, ErrorCode};

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// The tag of a moment.
const MOMENT: u64 = 1;

/// Reads a request: one map, and nothing behind it.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    Deserializer::parse_map(body).map_err(|fault| match fault {
        Fault::Malformed => ApiError::bare(ErrorCode::Serialization),
        Fault::Refused(message) => ApiError::new(ErrorCode::Serialization, message),
    })
}
