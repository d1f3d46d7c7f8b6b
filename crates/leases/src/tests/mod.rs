//! Leases and workers as tests make them; the worker by itself, over a table in memory, and among
//! others in two simulations, without the mapping and with it.

mod joint;
mod over_table;
mod simulation;
mod steps;

use baikonur_stream::{HashKey, HashKeyRange, SequenceNumber, Shard, ShardId};

use crate::lease::Lease;
use crate::place::Place;

/// A shard of a stream, created and closed at these seconds.
pub(crate) fn shard(id: u32, parents: &[u32], created: u64, closed: Option<u64>) -> Shard {
    let parent = |place: usize| parents.get(place).copied().map(ShardId::new);
    let number = |counter, seconds| SequenceNumber::new(created, id, counter, seconds);
    Shard {
        id: ShardId::new(id),
        parent: parent(0),
        adjacent_parent: parent(1),
        hash_key_range: HashKeyRange { start: HashKey::new(0), end: HashKey::MAX },
        starting_sequence_number: number(0, created),
        ending_sequence_number: closed.map(|seconds| number(SequenceNumber::COUNTER_MAX, seconds)),
    }
}

/// A lease of a shard without parents, at the trim horizon.
pub(crate) fn lease(id: u32, owner: Option<&str>) -> Lease {
    let mut lease = Lease::new(&shard(id, &[], 1_600_000_000, None), Place::TrimHorizon);
    lease.owner = owner.map(Into::into);
    lease
}
