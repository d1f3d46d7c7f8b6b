//! The only worker of a stream: every shard is its own, in the order of the stream's history.
//!
//! What it has to get right is the start at LATEST. A consumer that begins there gets a checkpoint
//! stored for each shard of its first list, and then a note that it has begun. Until the note is
//! there nothing is delivered; from then on a shard without a checkpoint is a child of one that was
//! read, whether or not that one is still listed, and is delivered from its first record on. A crash
//! amid the first start is followed by another first start of what is missing. A stream that was
//! deleted and made anew is no first start: all of it came later.
//!
//! A shard whose progress cannot be loaded stops no other, but for a first start at LATEST, which is
//! decided for all shards at once. It stays this worker's own, and starts when it can be loaded.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use baikonur_stream::{
    Begun, Checkpoint, ConsumerName, Lease, Leases, Progress, ProgressError, Read, SequenceNumber,
    Shard, ShardAddress, ShardId, ShardProgress, StartingPosition, StreamName, Tenure,
};
use tracing::warn;

/// Owns everything.
pub(crate) struct SoleWorker {
    pub(crate) read: Arc<dyn Read>,
    pub(crate) progress: Arc<dyn Progress>,
    /// What was given last, by id and first number: it goes on when progress cannot be loaded.
    pub(crate) given: Mutex<HashSet<(ShardId, SequenceNumber)>>,
}

type Checkpoints = HashMap<ShardId, Checkpoint>;

impl SoleWorker {
    /// Stores the starting checkpoints that are missing, then the note.
    async fn begin(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
        listed: &[Shard],
        start: StartingPosition,
        checkpoints: &mut Checkpoints,
    ) -> Result<(), ProgressError> {
        if start == StartingPosition::Latest {
            // Those that go on from one with a checkpoint came later; parents have lower ids.
            let mut later: HashSet<ShardId> = checkpoints.keys().copied().collect();
            let mut fresh = Vec::new();
            for shard in listed {
                let parents = [shard.parent, shard.adjacent_parent];
                if parents.iter().flatten().any(|parent| later.contains(parent)) {
                    later.insert(shard.id);
                } else if !later.contains(&shard.id) {
                    fresh.push(shard);
                }
            }
            // Open shards first: a crash before the closed ones leaves no child without its place.
            fresh.sort_by_key(|shard| shard.ending_sequence_number.is_some());
            for shard in fresh {
                let address = ShardAddress { stream: stream.clone(), shard: shard.id };
                let checkpoint = self.latest(&address, shard).await?;
                let state = ShardProgress { checkpoint: Some(checkpoint), intent: None };
                self.progress.store(consumer, &address, &state).await?;
                checkpoints.insert(shard.id, checkpoint);
            }
        }
        self.progress.begin(consumer, stream).await
    }

    async fn latest(
        &self,
        address: &ShardAddress,
        shard: &Shard,
    ) -> Result<Checkpoint, ProgressError> {
        if shard.ending_sequence_number.is_some() {
            // Nothing that a consumer starting at LATEST wants can be in a closed shard.
            return Ok(Checkpoint::ShardEnd);
        }
        match self.read.seek(address, StartingPosition::Latest).await {
            Ok(cursor) => {
                let since = cursor.since.map(Checkpoint::AtTimestamp);
                Ok(since.unwrap_or(Checkpoint::At(cursor.from)))
            }
            Err(error) => Err(ProgressError::Unavailable(error.to_string())),
        }
    }
}

#[async_trait]
impl Leases for SoleWorker {
    async fn own(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
        listed: &[Shard],
        start: StartingPosition,
    ) -> Result<Vec<Lease>, ProgressError> {
        let mut checkpoints = Checkpoints::new();
        let mut unknown: HashMap<ShardId, ProgressError> = HashMap::new();
        for shard in listed {
            let address = ShardAddress { stream: stream.clone(), shard: shard.id };
            match self.progress.load(consumer, &address).await {
                Ok(progress) => {
                    checkpoints.extend(progress.checkpoint.map(|place| (shard.id, place)));
                }
                Err(error) => {
                    warn!(module = %consumer, shard = %address, %error, "the progress of the shard cannot be loaded, trying again");
                    unknown.insert(shard.id, error);
                }
            }
        }
        let failed = unknown.values().next().cloned();
        if let Some(error) = failed.clone().filter(|_| unknown.len() == listed.len()) {
            return Err(error);
        }
        // A list without shards is one of a stream that is being made or deleted.
        if !listed.is_empty() {
            let horizon = StartingPosition::TrimHorizon;
            match self.progress.begun(consumer, stream).await? {
                Begun::ThisStream => {}
                Begun::EarlierStream => {
                    self.begin(consumer, stream, listed, horizon, &mut checkpoints).await?;
                }
                Begun::Never => {
                    if let Some(error) = failed.filter(|_| start == StartingPosition::Latest) {
                        return Err(error);
                    }
                    self.begin(consumer, stream, listed, start, &mut checkpoints).await?;
                }
            }
        }
        let names: HashSet<ShardId> = listed.iter().map(|shard| shard.id).collect();
        let is_done = |id: &ShardId| {
            !names.contains(id) || checkpoints.get(id) == Some(&Checkpoint::ShardEnd)
        };
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let ready: Vec<&Shard> = listed
            .iter()
            .filter(|shard| {
                // Parents of one that was given were done by then.
                let goes_on = given.contains(&(shard.id, shard.starting_sequence_number));
                let may_go = |id: &ShardId| is_done(id) || goes_on && unknown.contains_key(id);
                let parents = [shard.parent, shard.adjacent_parent];
                !is_done(&shard.id) && parents.iter().flatten().all(may_go)
            })
            .collect();
        *given = ready.iter().map(|shard| (shard.id, shard.starting_sequence_number)).collect();
        let start = match start {
            StartingPosition::Latest => StartingPosition::TrimHorizon,
            // Also of children: what is older than a moment is wanted in no shard.
            start => start,
        };
        let lease = |shard: &Shard| Lease {
            shard: shard.id,
            start,
            leaving: false,
            tenure: Tenure::endless(),
        };
        Ok(ready.into_iter().map(lease).collect())
    }

    async fn changed(&self) {
        std::future::pending().await
    }

    async fn give_up(&self, _consumer: &ConsumerName, _shard: &ShardAddress) {}
}

#[cfg(test)]
mod tests;
