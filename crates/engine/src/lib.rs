//! Embedded streams: durable, sharded, append-only logs on local disk.
//!
//! One log for all streams and shards, so that any number of requests and shards shares one fsync.
//! The folders read in the order of the bytes:
//!
//! | on the way in | |
//! | --- | --- |
//! | `contracts` | the contracts of `stream`: check, ask the writer, answer |
//! | `commit` | the queue from which whole groups are taken |
//! | `writer`, `administer`, `reshard` | the one owner of log and catalog |
//! | `budget`, `quotas` | what a shard takes in a second, and a stream in a day, where that is limited |
//! | `group`, `frame` | records get their numbers and are framed |
//! | `log`, `segment`, `snapshot` | frames become durable, segment after segment |
//! | `index`, `notes`, `streams` | what is durable is shown |
//! | **on the way out** | |
//! | `read` | from a cursor to a page |
//! | **after a crash** | |
//! | `recovery`, `scan`, `replay` | from bytes to the state that was acknowledged |
//! | **in between** | |
//! | `reserve` | space set aside for what makes space on a full disk |
//! | `verify` | every byte checked, none changed |
//!
//! Below everything is `disk`, the seam to the operating system; `catalog` says which streams there
//! are. What stands on the disk, byte by byte, is in `docs/storage.md`.
//!
//! What holds, whatever happens:
//! - An acknowledged put is found again after kill -9, and after power loss with [`Durability::Fsync`].
//! - A put is stored whole or not at all, together with the position that came with it.
//! - Readers see durable records only, in order, each once. What is lost is reported, not skipped.
//! - No sequence number is ever given twice.
//! - A failed fsync closes writes for good; a full disk only until there is space.

mod administer;
mod budget;
mod catalog;
mod commit;
mod contracts;
mod disk;
mod engine;
mod frame;
mod group;
mod index;
mod lock;
mod log;
mod notes;
mod quotas;
mod read;
mod recovery;
mod replay;
mod reserve;
mod reshard;
mod scan;
mod segment;
mod settings;
mod snapshot;
mod store;
mod streams;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "simulation"))]
pub use disk::simulated::{Random, SimulatedDisk};
pub use disk::{Disk, DiskFile, Folder, OpenMode};
pub use engine::{Engine, Health, OpenError};
pub use recovery::RecoveryReport;
pub use settings::{Durability, EngineSettings, Throughput};
pub use streams::ShardCounters;
pub use verify::{
    Finding, Severity, VerifiedStream, VerifyAccess, VerifyError, VerifyProgress, VerifyReport,
    verify, verify_on,
};
