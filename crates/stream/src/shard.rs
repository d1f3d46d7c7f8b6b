//! Shards as a stream lists them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{HashKeyRange, SequenceNumber, ShardId, StreamName};

/// A shard, open or closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its name in the stream.
    pub id: ShardId,
    /// The shard that was split or merged into this one.
    pub parent: Option<ShardId>,
    /// The second parent, after a merge.
    pub adjacent_parent: Option<ShardId>,
    /// The part of the key space that it owns or owned.
    pub hash_key_range: HashKeyRange,
    /// Below every record of the shard.
    pub starting_sequence_number: SequenceNumber,
    /// Above every record of the shard; none while it is open.
    pub ending_sequence_number: Option<SequenceNumber>,
}

/// One shard of one stream: the unit in which records are ordered, delivered and checkpointed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardAddress {
    /// The stream.
    pub stream: StreamName,
    /// The shard.
    pub shard: ShardId,
}

impl fmt::Display for ShardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.shard)
    }
}
