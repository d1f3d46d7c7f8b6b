//! What travels: JSON 1.1 in both directions, the error envelope, opaque tokens.
//!
//! Nothing here knows an operation or does I/O. Reading never panics, whatever the bytes.

pub(crate) mod constraint;
pub(crate) mod content_type;
pub(crate) mod error;
pub(crate) mod members;
pub(crate) mod request_id;
pub(crate) mod structure;
pub(crate) mod time;
pub(crate) mod token;
pub(crate) mod writer;
