//! Many workers on one stream: the leases and checkpoints of the Kinesis Client Library (KCL), in
//! its DynamoDB table, by its rules, so that a worker here shares a stream with others of its kind
//! and with KCL applications in Java.
//!
//! Read from the inside out:
//! - [`place`] and [`lease`]: a row of the table, and every write that there is, each with its
//!   condition and what it changes.
//! - [`take`], [`sync`], [`elect`]: what a worker does about a table that it has read. Pure.
//! - [`worker`]: what a worker knows and holds; a state machine without I/O or clock of its own.
//! - [`table`]: what is asked of a table; [`dynamo_db`] is one.
//! - [`shared`]: the worker over a table, behind the contracts `Leases` and `Progress`.
//!
//! The rules are those of KCL 3.5.1 (`docs/workers.md` lists them one by one).

mod dynamo_db;
mod elect;
mod lease;
mod place;
mod settings;
mod shared;
mod sync;
mod table;
mod take;
#[cfg(test)]
mod tests;
mod worker;

pub use dynamo_db::DynamoDb;
pub use settings::{InvalidSettings, Settings};
pub use shared::SharedLeases;
