//! Which shards of a stream are being delivered: those that are this worker's own, each once.
//!
//! A shard's delivery starts when [`Leases`] give it, stops in good order when it is to leave, and
//! stops at once, held records and all, when it is lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baikonur_stream::{
    Checkpoint, Clock, ConsumerName, FailedStore, Lease, Leases, Module, Progress, ProgressError,
    Read, Shard, ShardAddress, ShardId, StreamName, Tenure,
};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tracing::{error, info, warn};

use crate::budget::MemoryBudget;
use crate::driver::{self, Surroundings};
use crate::machine::Finish;
use crate::settings::Settings;
use crate::sole::SoleWorker;
use crate::status::{Board, ShardState};

/// Shards are listed again this often, and at once when one ends.
const DISCOVERY: Duration = Duration::from_secs(5);

/// A delivery that ended without reaching the end of its shard starts again after this long.
const RESTART: Duration = Duration::from_secs(1);

/// While draining, lost shards are looked for this often.
const LOST_CHECK: Duration = Duration::from_millis(200);

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
    /// Who has which shard; none when this worker is the only one.
    pub leases: Option<Arc<dyn Leases>>,
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
        let (read, progress) = (Arc::clone(&self.read), Arc::clone(&self.progress));
        let leases = self
            .leases
            .unwrap_or_else(|| Arc::new(SoleWorker { read, progress, given: Mutex::default() }));
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
                tenure: Tenure::endless(),
                seed: self.seed,
                lane: None,
            },
            source: self.source,
            leases: Arc::clone(&leases),
            tasks: JoinSet::new(),
            running: Vec::new(),
        };
        let mut drain = drain;
        while !*drain.borrow() {
            shards.follow().await;
            tokio::select! {
                biased;
                Some(result) = shards.tasks.join_next_with_id() => {
                    if shards.stopped(result).await == Next::Pause {
                        tokio::select! {
                            biased;
                            () = tokio::time::sleep(RESTART) => {}
                            () = driver::draining(&mut drain) => {}
                        }
                    }
                }
                () = leases.changed() => {}
                () = tokio::time::sleep(DISCOVERY) => {}
                () = driver::draining(&mut drain) => {}
            }
        }
        shards.running.iter().for_each(Running::stop);
        let delivered: Vec<_> = shards.running.iter().map(|running| running.shard).collect();
        leases.stop(&shards.surroundings.consumer, &delivered).await;
        while !shards.running.is_empty() {
            tokio::select! {
                biased;
                Some(result) = shards.tasks.join_next_with_id() => {
                    shards.stopped(result).await;
                }
                () = tokio::time::sleep(LOST_CHECK) => shards.end_what_is_lost(),
            }
        }
        // Also what ended otherwise than in good order.
        leases.stop(&shards.surroundings.consumer, &[]).await;
    }
}

/// A shard under delivery.
struct Running {
    shard: ShardId,
    /// Drains this shard alone.
    drain: watch::Sender<bool>,
    tenure: Tenure,
    task: AbortHandle,
}

impl Running {
    fn stop(&self) {
        self.drain.send_replace(true);
    }
}

/// What follows the end of a delivery.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Whoever has the shard goes on at once.
    AtOnce,
    /// It starts again, and might end again as soon.
    Pause,
}

struct Shards {
    surroundings: Surroundings,
    source: StreamName,
    leases: Arc<dyn Leases>,
    tasks: JoinSet<Finish>,
    /// In the order of their starts: whatever is done with all of them is done in that order.
    running: Vec<Running>,
}

impl Shards {
    /// Looks which shards there are and whose, and acts on it.
    async fn follow(&mut self) {
        self.end_what_is_lost();
        let listed = match self.surroundings.read.shards(&self.source).await {
            Ok(listed) => listed,
            Err(error) => {
                warn!(module = %self.surroundings.consumer, stream = %self.source, %error, "cannot list shards, trying again");
                return;
            }
        };
        if let Err(error) = self.start_and_stop(&listed).await {
            warn!(module = %self.surroundings.consumer, stream = %self.source, %error, "cannot start shards, trying again");
        }
    }

    async fn start_and_stop(&mut self, listed: &[Shard]) -> Result<(), ProgressError> {
        let consumer = self.surroundings.consumer.clone();
        let start = self.surroundings.settings.starting_position.into();
        let own = self.leases.own(&consumer, &self.source, listed, start).await?;
        self.tell_what_is_over(listed, &own).await;
        let kept: HashSet<ShardId> = own.iter().map(|lease| lease.shard).collect();
        for running in self.running.iter().filter(|running| !kept.contains(&running.shard)) {
            // One that has just stored the end of its shard is not lost, but about to finish.
            let address = self.address(running.shard);
            let state = self.surroundings.progress.load(&consumer, &address).await;
            if state.ok().and_then(|state| state.checkpoint) != Some(Checkpoint::ShardEnd) {
                running.task.abort();
            }
        }
        for lease in own {
            let running = self.running.iter().find(|running| running.shard == lease.shard);
            match (running, lease.leaving) {
                (Some(running), true) => running.stop(),
                (Some(_), false) => {}
                (None, true) => self.leases.give_up(&consumer, &self.address(lease.shard)).await,
                (None, false) => self.spawn(lease).await,
            }
        }
        Ok(())
    }

    /// Shows which shards have ended, also before this run.
    async fn tell_what_is_over(&self, listed: &[Shard], own: &[Lease]) {
        let Surroundings { board, progress, consumer, .. } = &self.surroundings;
        board.keep(|shard| listed.iter().any(|listed| listed.id == shard));
        for shard in listed.iter().map(|shard| shard.id) {
            let is_busy = own.iter().any(|lease| lease.shard == shard)
                || self.running.iter().any(|running| running.shard == shard);
            if is_busy || board.is_ended(shard) {
                continue;
            }
            // Shards of others have no progress here.
            let state = progress.load(consumer, &self.address(shard)).await.unwrap_or_default();
            if state.checkpoint == Some(Checkpoint::ShardEnd) {
                board.note(shard, |status| {
                    (status.state, status.checkpoint) = (ShardState::Ended, state.checkpoint);
                });
            }
        }
    }

    fn address(&self, shard: ShardId) -> ShardAddress {
        ShardAddress { stream: self.source.clone(), shard }
    }

    async fn spawn(&mut self, lease: Lease) {
        let address = self.address(lease.shard);
        let Surroundings { consumer, progress, module, .. } = &self.surroundings;
        match progress.load(consumer, &address).await.map(|state| state.checkpoint) {
            Ok(Some(Checkpoint::Within { number, sub_sequence })) => {
                module.resume_within(&address, number, sub_sequence);
            }
            Ok(_) => {}
            Err(error) => {
                // Its position says what is to be left out: not without it. Others are not kept waiting.
                warn!(module = %consumer, shard = %address, %error, "cannot start the shard, trying again");
                return;
            }
        }
        info!(module = %consumer, shard = %address, "delivery starts");
        let (drain, draining) = watch::channel(false);
        let surroundings = Surroundings {
            drain: draining,
            tenure: lease.tenure.clone(),
            ..self.surroundings.clone()
        };
        let task = self.tasks.spawn(driver::run(surroundings, address, lease.start));
        let running = Running { shard: lease.shard, drain, tenure: lease.tenure, task };
        self.running.push(running);
    }

    /// Ends deliveries of shards that nobody can say are still this worker's.
    fn end_what_is_lost(&self) {
        let now = self.surroundings.clock.monotonic();
        for running in self.running.iter().filter(|running| !running.tenure.holds(now)) {
            running.task.abort();
        }
    }

    /// Takes notice that a delivery is over.
    async fn stopped(&mut self, result: Result<(Id, Finish), tokio::task::JoinError>) -> Next {
        let consumer = &self.surroundings.consumer;
        let (id, finish) = match result {
            Ok((id, finish)) => (id, finish),
            Err(error) => {
                let shard = forget(&mut self.running, error.id()).map(|running| running.shard);
                shard.inspect(|shard| {
                    let stopped = ShardState::Stopped;
                    self.surroundings.board.note(*shard, |status| status.state = stopped);
                });
                if error.is_cancelled() {
                    warn!(module = %consumer, ?shard, "the lease is lost: delivery was stopped, what was held is another worker's");
                    return Next::AtOnce;
                }
                // A bug in a module must not end the shard's delivery: it starts again from the
                // checkpoint with the next listing.
                error!(module = %consumer, ?shard, %error, "delivery broke off and starts again");
                return Next::Pause;
            }
        };
        let Some(running) = forget(&mut self.running, id) else { return Next::Pause };
        match finish {
            Finish::ShardEnd => Next::AtOnce,
            Finish::Drained => {
                self.leases.give_up(consumer, &self.address(running.shard)).await;
                Next::AtOnce
            }
            Finish::LeaseLost => {
                warn!(module = %consumer, shard = %running.shard, "the lease is lost: another worker has the shard");
                Next::AtOnce
            }
            Finish::Gone => Next::Pause,
        }
    }
}

fn forget(running: &mut Vec<Running>, id: Id) -> Option<Running> {
    let place = running.iter().position(|running| running.task.id() == id)?;
    Some(running.remove(place))
}

#[cfg(test)]
mod tests;
