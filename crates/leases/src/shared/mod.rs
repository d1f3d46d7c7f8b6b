//! A worker over a lease table, behind the contracts `Leases` and `Progress`.
//!
//! Two tasks run beside the deliveries: one renews ([`rounds::renew`]), one looks at the table
//! ([`rounds::look`]). Writes to one lease wait for each other, as all of them name its counter.

mod rounds;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Begun, Checkpoint, Clock, ConsumerName, Lease, Leases, Progress, ProgressError, Shard,
    ShardAddress, ShardId, ShardProgress, StartingPosition, StreamName,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::dynamo_db::DynamoDb;
use crate::lease::Write;
use crate::place::{self, Place};
use crate::settings::Settings;
use crate::sync;
use crate::table::LeaseTable;
use crate::worker::{Answer, Held, Outcome, Worker};

/// This worker's part in a stream that it shares with others, for one consumer: a KCL application.
pub struct SharedLeases {
    shared: Arc<Shared>,
    /// End with this worker.
    _rounds: JoinSet<()>,
}

/// The newest list of shards, and where a new consumer starts.
#[derive(Clone)]
struct Listed {
    shards: Arc<[Shard]>,
    start: StartingPosition,
    /// One more with each list.
    generation: u64,
}

struct Shared {
    table: Arc<dyn LeaseTable>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    worker: Mutex<Worker>,
    /// Whoever writes to a lease has its turn.
    turns: Mutex<HashMap<ShardId, Arc<tokio::sync::Mutex<()>>>>,
    listed: Mutex<Option<Listed>>,
    /// Parents that are known to be done.
    done: Mutex<BTreeSet<ShardId>>,
    /// Leases are others than before.
    changed: Notify,
    /// The table is to be looked at now.
    look: Notify,
    /// This worker gives up what it has and takes nothing more.
    stopping: AtomicBool,
}

/// Keeps going after a panic elsewhere: what is behind these locks is whole after each statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedLeases {
    /// Joins the workers of the table. Nothing is contacted before the stream's shards are known;
    /// the table is made if there is none. `seed` is of the choice among leases to take. Must be
    /// called within a Tokio runtime.
    pub fn start(table: DynamoDb, clock: Arc<dyn Clock>, settings: Settings, seed: u64) -> Self {
        Self::over(Arc::new(table), clock, settings, seed)
    }

    pub(crate) fn over(
        table: Arc<dyn LeaseTable>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        seed: u64,
    ) -> Self {
        let shared = Arc::new(Shared {
            table,
            clock,
            worker: Mutex::new(Worker::new(settings.clone())),
            settings,
            turns: Mutex::default(),
            listed: Mutex::default(),
            done: Mutex::default(),
            changed: Notify::new(),
            look: Notify::new(),
            stopping: AtomicBool::new(false),
        });
        let mut rounds = JoinSet::new();
        rounds.spawn(rounds::renew(Arc::clone(&shared)));
        rounds.spawn(rounds::look(Arc::clone(&shared), seed));
        Self { shared, _rounds: rounds }
    }
}

impl Shared {
    fn held(&self, shard: ShardId) -> Option<Held> {
        lock(&self.worker).held().get(&shard).cloned()
    }

    /// A call that does not come back in time may still take effect: it is `None`.
    async fn in_time<T, E: std::fmt::Display>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        match tokio::time::timeout(self.settings.failover_time / 3, call).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                warn!(table = %self.settings.table_name, %error, "a call failed");
                None
            }
            Err(_) => {
                warn!(table = %self.settings.table_name, "a call was not answered in time");
                None
            }
        }
    }

    /// Makes and sends a write until it is clear what became of it.
    async fn write(
        &self,
        shard: ShardId,
        make: impl Fn(&Worker) -> Option<Write> + Send,
    ) -> Outcome {
        let turn = Arc::clone(lock(&self.turns).entry(shard).or_default());
        let _turn = turn.lock().await;
        // Twice is enough for an own write whose answer was lost, once more for a hand-off.
        for _ in 0..3 {
            let Some(write) = make(&lock(&self.worker)) else { return Outcome::Lost };
            let sent = self.clock.monotonic();
            let answer = match self.in_time(self.table.write(shard, &write)).await {
                Some(true) => Answer::Done,
                Some(false) => match self.in_time(self.table.get(shard)).await {
                    Some(row) => Answer::Refused(row.map(Box::new)),
                    None => Answer::Unknown,
                },
                None => Answer::Unknown,
            };
            let outcome = lock(&self.worker).settle(sent, shard, &write, answer);
            if outcome != Outcome::Again {
                return outcome;
            }
        }
        Outcome::Unknown
    }

    /// Gives up a lease for whoever waits for it or takes it; whether it was held.
    async fn free(&self, shard: ShardId) -> bool {
        self.write(shard, |worker| worker.giving_up(shard)).await == Outcome::Done
    }

    /// Whether every parent is at its end, or has no lease.
    async fn parents_are_done(&self, parents: &BTreeSet<ShardId>) -> bool {
        for parent in parents {
            if lock(&self.done).contains(parent) {
                continue;
            }
            let row = match self.held(*parent) {
                Some(held) => Some(held.lease),
                None => match self.in_time(self.table.get(*parent)).await {
                    Some(row) => row,
                    None => return false,
                },
            };
            if row.is_some_and(|lease| lease.place != Place::ShardEnd) {
                return false;
            }
            lock(&self.done).insert(*parent);
        }
        true
    }

    /// Makes the leases of a shard's children; gives the children.
    async fn make_children(
        &self,
        shard: &ShardAddress,
    ) -> Result<BTreeSet<ShardId>, ProgressError> {
        let unavailable = |what: &str| ProgressError::Unavailable(format!("{shard}: {what}"));
        let listed = lock(&self.listed).clone();
        let listed = listed.ok_or_else(|| unavailable("the stream's shards are not known yet"))?;
        let rows = self.in_time(self.table.scan()).await;
        let rows = rows.ok_or_else(|| unavailable("the leases of children are not known"))?;
        let rows: BTreeMap<_, _> = rows.into_iter().map(|lease| (lease.shard, lease)).collect();
        let (leases, children) = sync::children(shard.shard, &listed.shards, &rows);
        if children.is_empty() && listed.shards.iter().any(|known| known.id == shard.shard) {
            self.changed.notify_one();
            return Err(unavailable("the shards that follow are not listed yet"));
        }
        for lease in leases {
            let child = lease.shard;
            let made = self.in_time(self.table.write(child, &Write::Create(lease))).await;
            // One that is there already is as good.
            made.ok_or_else(|| unavailable("the lease of a child cannot be made"))?;
            info!(%shard, %child, "the shard has ended; its child has a lease");
        }
        Ok(children)
    }
}

#[async_trait]
impl Leases for SharedLeases {
    async fn own(
        &self,
        _consumer: &ConsumerName,
        _stream: &StreamName,
        listed: &[Shard],
        start: StartingPosition,
    ) -> Result<Vec<Lease>, ProgressError> {
        let shared = &self.shared;
        // Whoever asks wants shards, also after a stop.
        shared.stopping.store(false, Ordering::Release);
        {
            let mut known = lock(&shared.listed);
            let generation = known.as_ref().map_or(0, |known| known.generation + 1);
            *known = Some(Listed { shards: listed.into(), start, generation });
            if generation == 0 {
                shared.look.notify_one();
            }
        }
        let held = lock(&shared.worker).held().clone();
        let now = shared.clock.monotonic();
        let mut own = Vec::new();
        for (shard, held) in held {
            let leaving = held.is_leaving();
            let is_current = held.tenure.holds(now);
            let has_more = held.lease.place != Place::ShardEnd;
            if !is_current || !leaving && !has_more {
                continue;
            }
            // The lease may be older than the stream, and name parents that the shard has not.
            let parents = match listed.iter().find(|listed| listed.id == shard) {
                Some(listed) => {
                    [listed.parent, listed.adjacent_parent].into_iter().flatten().collect()
                }
                None => held.lease.parents,
            };
            if leaving || shared.parents_are_done(&parents).await {
                let start = held.lease.place.start(start);
                own.push(Lease { shard, start, leaving, tenure: held.tenure });
            }
        }
        Ok(own)
    }

    async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    async fn give_up(&self, _consumer: &ConsumerName, shard: &ShardAddress) {
        if self.shared.free(shard.shard).await {
            info!(%shard, "the lease is given up");
        }
        self.shared.changed.notify_one();
    }

    async fn stop(&self, _consumer: &ConsumerName, delivered: &[ShardId]) {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::Release);
        // Others are not to wait for what is held without being delivered.
        let held: Vec<_> = lock(&shared.worker).held().keys().copied().collect();
        let mut freed = JoinSet::new();
        for idle in held.into_iter().filter(|held| !delivered.contains(held)) {
            let shared = Arc::clone(shared);
            freed.spawn(async move { shared.free(idle).await });
        }
        freed.join_all().await;
    }
}

#[async_trait]
impl Progress for SharedLeases {
    async fn load(
        &self,
        _consumer: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        // What is held is as it stands in the table: nobody else may write it.
        let held = self.shared.held(shard.shard);
        let lease = held.ok_or_else(|| ProgressError::LeaseLost(shard.clone()))?.lease;
        place::read(&lease.place, lease.pending.as_ref())
            .map_err(|error| ProgressError::Unavailable(format!("the lease of {shard}: {error}")))
    }

    async fn store(
        &self,
        _consumer: &ConsumerName,
        shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        let shared = &self.shared;
        let ends = progress.checkpoint == Some(Checkpoint::ShardEnd);
        let children = match ends {
            true => shared.make_children(shard).await?,
            false => BTreeSet::new(),
        };
        let make = |worker: &Worker| {
            let lease = &worker.held().get(&shard.shard)?.lease;
            let (place, pending) = place::written(progress, &lease.place);
            let children = children.clone();
            Some(Write::Checkpoint { counter: lease.counter, place, pending, children })
        };
        match shared.write(shard.shard, make).await {
            Outcome::Done => {
                if ends {
                    shared.look.notify_one();
                    shared.changed.notify_one();
                }
                Ok(())
            }
            Outcome::Lost => {
                shared.changed.notify_one();
                Err(ProgressError::LeaseLost(shard.clone()))
            }
            Outcome::Again | Outcome::Unknown => {
                let table = &shared.settings.table_name;
                let what = format!("the checkpoint of {shard} is perhaps not in table {table}");
                Err(ProgressError::Unavailable(what))
            }
        }
    }

    /// The leases are the note: each shard's beginning is in its own.
    async fn begun(&self, _: &ConsumerName, _: &StreamName) -> Result<Begun, ProgressError> {
        Ok(Begun::ThisStream)
    }

    async fn begin(&self, _: &ConsumerName, _: &StreamName) -> Result<(), ProgressError> {
        Ok(())
    }
}

/// How long a failed round waits for the next.
const RETRY: Duration = Duration::from_secs(1);
