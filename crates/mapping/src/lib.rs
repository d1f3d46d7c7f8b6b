//! Event source mapping: when a batch is formed, handed over, tried again and counted as done.
//!
//! Three layers, read from the inside out:
//! - [`machine`]: what happens next to one shard, decided by a state machine without I/O, clock or
//!   randomness of its own: `step(now, event) → action`.
//! - [`driver`]: carries the machine's actions out against the contracts of `stream`.
//! - [`mapping`]: which shards of the stream are being read; [`sole`]: all of them, parents before
//!   children, where no other worker shares the stream.
//!
//! The room knows nothing of JSON, modules by name, files or HTTP.

mod backoff;
mod driver;
mod machine;
mod mapping;
mod settings;
mod sole;

pub use mapping::{Mapping, describe_metrics};
pub use settings::{Settings, Start};
