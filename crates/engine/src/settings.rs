//! What the owner of a store decides.

use std::path::PathBuf;

/// How durable an acknowledged record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It survives power loss: fsync before the answer.
    #[default]
    Fsync,
    /// It survives the end of the process, by kill -9 too, but not of the machine.
    OsBuffer,
}

/// Where and how streams are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// The store's directory, made if it does not exist. One process at a time.
    pub directory: PathBuf,
    /// How durable an acknowledged record is.
    pub durability: Durability,
    /// A segment is sealed when it would grow beyond this many bytes. Retention frees whole
    /// segments, and recovery reads at most one. Default 128 MiB.
    pub segment_bytes: u64,
    /// The most open shards of all streams together. Default 20,000, the service's largest quota.
    pub shard_limit: u32,
    /// Payload bytes of puts that may wait for the disk. Default 64 MiB.
    pub queue_bytes: usize,
}

impl EngineSettings {
    /// The defaults, with the store in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            durability: Durability::Fsync,
            segment_bytes: 128 * 1024 * 1024,
            shard_limit: 20_000,
            queue_bytes: 64 * 1024 * 1024,
        }
    }
}
