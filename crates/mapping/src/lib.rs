//! Event source mapping: when a batch is formed, handed over, tried again and counted as done.
//!
//! Three layers, read from the inside out:
//! - [`machine`]: what happens next to one shard, decided by a state machine without I/O, clock or
//!   randomness of its own: `step(now, event) → action`.
//! - [`driver`]: carries the machine's actions out against the contracts of `stream`.
//! - [`lanes`]: deals a shard to several machines that run side by side, and makes one checkpoint of
//!   theirs.
//! - [`mapping`]: which shards of the stream are being read; [`sole`]: all of them, parents before
//!   children, where no other worker shares the stream.
//!
//! Beside them, [`budget`] bounds what all of them have in memory.
//!
//! The room knows nothing of JSON, modules by name, files or HTTP.

mod age;
mod backoff;
mod budget;
mod driver;
mod lanes;
mod machine;
mod mapping;
mod meters;
mod settings;
mod sole;
mod status;

pub use budget::MemoryBudget;
pub use mapping::{Mapping, describe_metrics};
pub use settings::{Settings, Start};
pub use status::{Board, LastError, ShardState, ShardStatus};
