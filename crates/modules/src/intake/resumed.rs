//! Records that another worker has done a part of: what a checkpoint of the Kinesis Client Library
//! says when it stands amid an aggregated record.

use std::collections::HashMap;
use std::sync::RwLock;

use baikonur_record::{Payload, RejectedPayload};
use baikonur_stream::{SequenceNumber, ShardAddress};

/// How far a record was done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) number: SequenceNumber,
    /// The last user record done.
    pub(super) sub_sequence: u64,
}

/// One for each shard that was resumed amid a record; asked once a batch.
#[derive(Debug, Default)]
pub(super) struct Resumed(RwLock<HashMap<ShardAddress, Done>>);

impl Resumed {
    pub(super) fn set(&self, shard: &ShardAddress, done: Done) {
        let mut shards = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        shards.insert(shard.clone(), done);
    }

    pub(super) fn of(&self, shard: &ShardAddress) -> Option<Done> {
        let shards = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        shards.get(shard).copied()
    }
}

/// The place of a payload in its record.
pub(super) fn sub_sequence(payload: &Result<Payload, RejectedPayload>) -> u64 {
    match payload {
        Ok(payload) => payload.sub_sequence,
        Err(rejected) => rejected.sub_sequence,
    }
}
