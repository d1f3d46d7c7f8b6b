//! Embedded streams: durable, sharded, append-only logs on local disk.
//!
//! One log for all streams and shards, so that any number of requests and shards shares one fsync:
//! `disk → frame → segment → log → index → recovery`, with `commit` (the writer thread and those
//! who wait for it), `catalog` (which streams there are), `notes` (positions beside the records)
//! and `read` beside. `engine` is the door: the contracts of `stream`.
//!
//! What holds, whatever happens:
//! - An acknowledged put is found again after kill -9, and after power loss with [`Durability::Fsync`].
//! - A put is stored whole or not at all, together with the position that came with it.
//! - Readers see durable records only, in order, each once.
//! - No sequence number is ever given twice.
//! - A failed fsync closes writes for good; a full disk only until there is space.

mod catalog;
mod commit;
mod disk;
mod engine;
mod frame;
mod index;
mod log;
mod notes;
mod read;
mod recovery;
mod segment;
mod settings;

pub use disk::{Disk, DiskFile, Folder};
pub use engine::{Engine, Health, OpenError};
pub use recovery::RecoveryReport;
pub use settings::{Durability, EngineSettings};
