//! Which shards of a stream are being delivered: each once, children after their parents.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    Checkpoint, Clock, ConsumerName, FailedStore, Module, Progress, Read, ReadError, Shard,
    ShardAddress, ShardId, ShardProgress, StartingPosition, StreamName,
};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tracing::{error, info, warn};

use crate::budget::MemoryBudget;
use crate::driver::{self, Surroundings};
use crate::machine::Finish;
use crate::settings::{Settings, Start};
use crate::status::{Board, ShardState};

/// Shards are listed again this often, and at once when one ends.
const DISCOVERY: Duration = Duration::from_secs(5);

/// A delivery that ended without reaching the end of its shard starts again after this long.
const RESTART: Duration = Duration::from_secs(1);

/// Between a stream and a module: everything that AWS Lambda's event source mapping does.
pub struct Mapping {
    /// Whose position it is; also the module's name in logs, metrics and the failed store.
    pub consumer: ConsumerName,
    /// The stream that is read.
    pub source: StreamName,
    /// How batches are formed and failures treated.
    pub settings: Settings,
    /// Where the stream is read.
    pub read: Arc<dyn Read>,
    /// Where positions are kept.
    pub progress: Arc<dyn Progress>,
    /// Where batches go.
    pub module: Arc<dyn Module>,
    /// Where records go that cannot be delivered.
    pub failed_store: Arc<dyn FailedStore>,
    /// Shared with the other mappings of the process.
    pub memory: Arc<MemoryBudget>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where it tells what it does.
    pub board: Board,
    /// Of the jitter between retries.
    pub seed: u64,
}

/// Registers help texts of this room's metrics with the recorder in place.
pub fn describe_metrics() {
    crate::meters::describe();
    describe_counter!(
        "baikonur_delivered_records_total",
        "Records handed over to the module and taken by it"
    );
    describe_counter!(
        "baikonur_delivered_bytes_total",
        "Payload bytes handed over to the module and taken by it"
    );
    describe_counter!(
        "baikonur_retries_total",
        "Steps of a delivery that failed and were tried again"
    );
    describe_counter!(
        "baikonur_failed_records_total",
        "Records put into the failed store, by reason"
    );
    describe_gauge!(
        "baikonur_iterator_age_seconds",
        "Age of the oldest record read that the checkpoint has not passed; 0 at the tip"
    );
    describe_histogram!(
        "baikonur_batch_seconds",
        "Time that the module took for a batch or for a close"
    );
}

impl Mapping {
    /// Delivers until `drain` turns true; returns when what was held is closed and every position
    /// is stored. Dropping the future instead stops at once; nothing is lost, but held records are
    /// delivered again.
    pub async fn run(self, drain: watch::Receiver<bool>) {
        let mut shards = Shards {
            surroundings: Surroundings {
                consumer: self.consumer,
                memory: self.memory.mapping(self.settings.in_flight_bytes),
                settings: self.settings,
                read: self.read,
                progress: self.progress,
                module: self.module,
                failed_store: self.failed_store,
                clock: self.clock,
                board: self.board,
                drain: drain.clone(),
                seed: self.seed,
                lane: None,
            },
            source: self.source,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            ended: HashSet::new(),
            listed_before: false,
        };
        let mut drain = drain;
        while !*drain.borrow() {
            shards.start_what_is_ready().await;
            tokio::select! {
                biased;
                Some(result) = shards.tasks.join_next_with_id() => {
                    if shards.stopped(result) != Some(Finish::ShardEnd) {
                        tokio::select! {
                            biased;
                            () = tokio::time::sleep(RESTART) => {}
                            () = driver::draining(&mut drain) => {}
                        }
                    }
                }
                () = tokio::time::sleep(DISCOVERY) => {}
                () = driver::draining(&mut drain) => {}
            }
        }
        while let Some(result) = shards.tasks.join_next_with_id().await {
            shards.stopped(result);
        }
    }
}

struct Shards {
    surroundings: Surroundings,
    source: StreamName,
    tasks: JoinSet<Finish>,
    running: HashMap<Id, ShardId>,
    ended: HashSet<ShardId>,
    listed_before: bool,
}

impl Shards {
    async fn start_what_is_ready(&mut self) {
        let listed = match self.surroundings.read.shards(&self.source).await {
            Ok(listed) => listed,
            Err(error) => {
                if matches!(error, ReadError::StreamNotFound(_)) {
                    // One that is made anew has other shards by the same names.
                    self.ended.clear();
                    self.listed_before = false;
                }
                warn!(module = %self.surroundings.consumer, stream = %self.source, %error, "cannot list shards, trying again");
                return;
            }
        };
        if let Err(error) = self.start(listed).await {
            warn!(module = %self.surroundings.consumer, stream = %self.source, %error, "cannot start shards, trying again");
        }
    }

    async fn start(&mut self, listed: Vec<Shard>) -> Result<(), baikonur_stream::ProgressError> {
        let mut candidates = Vec::new();
        for shard in &listed {
            let taken = self.running.values().any(|id| *id == shard.id);
            if !taken && !self.ended.contains(&shard.id) {
                candidates.push((shard, self.load(shard.id).await?));
            }
        }
        let fresh = !self.listed_before
            && candidates.iter().all(|(_, progress)| progress.checkpoint.is_none());
        let names: HashSet<ShardId> = listed.iter().map(|shard| shard.id).collect();
        self.surroundings.board.keep(|shard| names.contains(&shard));
        for (shard, progress) in candidates {
            if progress.checkpoint == Some(Checkpoint::ShardEnd) {
                self.ended.insert(shard.id);
                self.surroundings.board.note(shard.id, |status| {
                    (status.state, status.checkpoint) = (ShardState::Ended, progress.checkpoint);
                });
                continue;
            }
            let latest = self.surroundings.settings.starting_position == Start::Latest;
            if fresh && latest && shard.ending_sequence_number.is_some() {
                // Nothing that a consumer starting at LATEST wants can be in a closed shard.
                self.end(shard.id).await?;
                continue;
            }
            let parents = [shard.parent, shard.adjacent_parent];
            let listed_parents = parents.iter().flatten().filter(|id| names.contains(id));
            if listed_parents.into_iter().any(|parent| !self.ended.contains(parent)) {
                continue;
            }
            // Also when the parents are listed no more: a child was made while this consumer read
            // on, and nothing of it is before its time.
            let child = !fresh && shard.parent.is_some();
            let start = if child && latest {
                StartingPosition::TrimHorizon
            } else {
                self.surroundings.settings.starting_position.into()
            };
            self.spawn(shard.id, start);
        }
        self.listed_before = true;
        Ok(())
    }

    fn address(&self, shard: ShardId) -> ShardAddress {
        ShardAddress { stream: self.source.clone(), shard }
    }

    async fn load(&self, shard: ShardId) -> Result<ShardProgress, baikonur_stream::ProgressError> {
        let Surroundings { progress, consumer, .. } = &self.surroundings;
        progress.load(consumer, &self.address(shard)).await
    }

    async fn end(&mut self, shard: ShardId) -> Result<(), baikonur_stream::ProgressError> {
        let Surroundings { progress, consumer, .. } = &self.surroundings;
        let state = ShardProgress { checkpoint: Some(Checkpoint::ShardEnd), intent: None };
        progress.store(consumer, &self.address(shard), &state).await?;
        self.ended.insert(shard);
        Ok(())
    }

    fn spawn(&mut self, shard: ShardId, start: StartingPosition) {
        let address = self.address(shard);
        info!(module = %self.surroundings.consumer, shard = %address, "delivery starts");
        let task = self.tasks.spawn(driver::run(self.surroundings.clone(), address, start));
        self.running.insert(task.id(), shard);
    }

    /// Notes that a task is over; how it ended, unless by a panic.
    fn stopped(&mut self, result: Result<(Id, Finish), tokio::task::JoinError>) -> Option<Finish> {
        match result {
            Ok((id, finish)) => {
                match (self.running.remove(&id), &finish) {
                    (Some(shard), Finish::ShardEnd) => {
                        self.ended.insert(shard);
                    }
                    (_, Finish::Gone) => {
                        // The stream may have been made anew, with other shards by the same names:
                        // which of them ended is asked again.
                        self.ended.clear();
                    }
                    _ => {}
                }
                Some(finish)
            }
            Err(error) => {
                // A bug in a module must not end the shard's delivery: it starts again from the
                // checkpoint with the next listing.
                let shard = self.running.remove(&error.id());
                error!(module = %self.surroundings.consumer, ?shard, %error, "delivery broke off and starts again");
                None
            }
        }
    }
}
