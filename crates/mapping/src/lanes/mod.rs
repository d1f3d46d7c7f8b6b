//! A shard in lanes (`ParallelizationFactor`): records are dealt by partition key to machines that
//! run side by side, and the shard's checkpoint is that of the slowest one.
//!
//! A lane is delivered by the same driver and the same machine as a whole shard; it only sits on
//! another chair: its [`Seat`] is the stream that it reads and the place where it stores. Behind the
//! seats, the hub reads the shard once for all, the ledger deals the records out and adds the
//! lanes' checkpoints up. So each lane has batches, retries, bisection and pauses of its own, and one
//! that fails stops no other, until the look-ahead is used up ([`Settings::look_ahead`] in records,
//! and the mapping's budget in bytes).
//!
//! [`Settings::look_ahead`]: crate::settings::Settings::look_ahead

mod hub;
mod ledger;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Begun, ConsumerName, Cursor, Lane, Progress, ProgressError, Read, ReadError, ReadLimits,
    ReadPage, Shard, ShardAddress, ShardProgress, StartingPosition, StreamName, Timestamp,
};
use tokio::task::JoinSet;

use crate::driver::{self, Seen, Surroundings};
use crate::machine::Finish;
use crate::status::ShardState;
use hub::Hub;

/// Delivers a shard in as many lanes as the settings say.
pub(crate) async fn run(
    surroundings: &Surroundings,
    shard: &ShardAddress,
    start: StartingPosition,
) -> Finish {
    let hub = Arc::new(Hub::new(surroundings.clone(), shard.clone()));
    let mut lanes = JoinSet::new();
    for lane in Lane::all(surroundings.settings.parallelization_factor) {
        let source = Arc::clone(&surroundings.read);
        let seat = Arc::new(Seat { hub: Arc::clone(&hub), lane, source });
        let surroundings = Surroundings {
            read: seat.clone(),
            progress: seat.clone(),
            lane: Some(seat),
            ..surroundings.clone()
        };
        lanes.spawn(driver::deliver(surroundings, shard.clone(), start));
    }
    let mut all = Finish::ShardEnd;
    while let Some(ended) = lanes.join_next().await {
        match ended {
            Ok(Finish::ShardEnd) => {}
            Ok(Finish::Drained) => all = Finish::Drained,
            // What ends one lane before its time ends the shard; the others are dropped.
            Ok(finish) => return finish,
            Err(error) => match error.try_into_panic() {
                // A bug in a module breaks the whole shard off, as it does without lanes.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => all = Finish::Drained,
            },
        }
    }
    all
}

/// One lane's view of its shard: what it reads from, and where it stores its progress.
pub(crate) struct Seat {
    hub: Arc<Hub>,
    lane: Lane,
    source: Arc<dyn Read>,
}

impl Seat {
    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// Bytes that the lane may hold beside those that it holds.
    pub(crate) fn room(&self) -> usize {
        self.hub.room(self.lane)
    }

    /// When the oldest record of the shard arrived that the checkpoint has not passed.
    pub(crate) fn oldest_arrival(&self) -> Option<Timestamp> {
        self.hub.oldest_arrival()
    }

    /// The whole shard, now that the lane is in this state.
    pub(crate) fn seen(&self, state: ShardState) -> Seen {
        self.hub.seen(self.lane, state)
    }
}

#[async_trait]
impl Read for Seat {
    async fn shards(&self, stream: &StreamName) -> Result<Vec<Shard>, ReadError> {
        self.source.shards(stream).await
    }

    async fn seek(
        &self,
        _shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        self.hub.seek(position).await
    }

    async fn read(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        self.hub.read(self.lane, cursor, limits).await
    }

    async fn wait(&self, _cursor: &Cursor, at_most: Duration) {
        self.hub.wait(self.lane, at_most).await;
    }
}

#[async_trait]
impl Progress for Seat {
    async fn load(
        &self,
        _consumer: &ConsumerName,
        _shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        self.hub.load().await
    }

    async fn store(
        &self,
        _consumer: &ConsumerName,
        _shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        self.hub.store(self.lane, progress.checkpoint).await
    }

    /// The mapping has, before its shards are delivered.
    async fn begun(&self, _: &ConsumerName, _: &StreamName) -> Result<Begun, ProgressError> {
        Ok(Begun::ThisStream)
    }

    async fn begin(&self, _: &ConsumerName, _: &StreamName) -> Result<(), ProgressError> {
        Ok(())
    }
}
