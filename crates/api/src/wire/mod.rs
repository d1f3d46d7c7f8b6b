//! What travels: requests and answers in JSON 1.1 and CBOR 1.1, the error envelope, opaque tokens.
//!
//! Nothing here knows an operation or does I/O. Reading never panics, whatever the bytes.

pub(crate) mod cbor;
pub(crate) mod constraint;
pub(crate) mod content_type;
pub(crate) mod error;
pub(crate) mod event_stream;
pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod members;
pub(crate) mod output;
pub(crate) mod request_id;
pub(crate) mod structure;
pub(crate) mod texts;
pub(crate) mod time;
pub(crate) mod token;
