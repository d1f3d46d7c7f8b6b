//! What the owner of a store decides, and the limits that are nobody's to decide.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How durable an acknowledged record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// It survives power loss: fsync before the answer.
    #[default]
    Fsync,
    /// It survives the end of the process, by kill -9 too, but not of the machine: power loss may
    /// take up to a segment of the newest records.
    OsBuffer,
}

/// Whether the throughput of shards is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Throughput {
    /// As much as the machine can do.
    #[default]
    Unlimited,
    /// As Amazon limits it: 1 MiB/s and 1,000 records/s into a shard.
    Aws,
}

/// Where and how streams are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// The store's directory, made if it does not exist. One process at a time. Default `data`.
    pub directory: PathBuf,
    /// How durable an acknowledged record is. Default `fsync`.
    pub durability: Durability,
    /// A segment is sealed when it has this many bytes: 1 KiB to 1 GiB, default 128 MiB. Retention
    /// frees whole segments, and recovery reads one of them.
    pub segment_bytes: u64,
    /// The most open shards of all streams together. Default 20,000, the largest quota of the service.
    pub shard_limit: u32,
    /// Whether the throughput of shards is limited. Default unlimited.
    pub throughput: Throughput,
    /// Bytes of puts that may wait for the disk before a further put has to wait itself: at least
    /// 1 MiB, default 64 MiB.
    pub queue_bytes: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self::new("data")
    }
}

impl EngineSettings {
    /// The smallest segment.
    pub const SEGMENT_BYTES_MIN: u64 = 1024;
    /// The largest segment: recovery holds one in memory.
    pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
    /// The smallest queue.
    pub const QUEUE_BYTES_MIN: usize = 1024 * 1024;

    /// The defaults, with the store in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            durability: Durability::Fsync,
            segment_bytes: 128 * 1024 * 1024,
            shard_limit: 20_000,
            throughput: Throughput::Unlimited,
            queue_bytes: 64 * 1024 * 1024,
        }
    }

    /// The name of the first setting out of range, with its range.
    pub(crate) fn out_of_range(&self) -> Option<String> {
        let (min, max) = (Self::SEGMENT_BYTES_MIN, Self::SEGMENT_BYTES_MAX);
        if !(min..=max).contains(&self.segment_bytes) {
            return Some(format!("segment_bytes is {}, not {min} to {max}", self.segment_bytes));
        }
        if self.queue_bytes < Self::QUEUE_BYTES_MIN {
            let min = Self::QUEUE_BYTES_MIN;
            return Some(format!("queue_bytes is {}, below {min}", self.queue_bytes));
        }
        None
    }
}

/// A block is closed when it has this many bytes: what a reader must read and check to get one record.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// A commit group takes no further request when it has this many bytes.
pub(crate) const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// The largest payload: the service's largest `MaxRecordSizeInKiB`, 10 MiB, with room for framing.
pub(crate) const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Added to every counter after an end that may have lost numbers already handed out: more than a
/// segment, all that may be unsynced, can hold records.
pub(crate) const COUNTER_JUMP: u64 = 1 << 32;

/// A record takes at least 6 bytes: two lengths.
const _: () = assert!(EngineSettings::SEGMENT_BYTES_MAX / 6 < COUNTER_JUMP / 2);
const _: () =
    assert!(BLOCK_BYTES < GROUP_BYTES && RECORD_BYTES_MAX + GROUP_BYTES < u32::MAX as usize);

/// Consumers with enhanced fan-out that a stream may have (quotas page), and with a billing
/// commitment ("on-demand advantage").
pub(crate) const CONSUMERS_MAX: usize = 20;
pub(crate) const CONSUMERS_MAX_COMMITTED: usize = 50;
