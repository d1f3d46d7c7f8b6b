//! The binary as a user runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod check;
mod explain;
mod query;
mod running;
mod streams;
mod up;
