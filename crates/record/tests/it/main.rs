//! What the crate promises, seen from outside.

#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod decoding;
mod encoding;
mod properties;
mod schema;
