//! What a worker does again and again: renewing what it holds, and looking at the table for what it
//! should hold, what is missing in it, and what is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use baikonur_stream::{Shard, ShardId};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::{Listed, RETRY, Shared, lock};
use crate::elect::leader;
use crate::lease::{Lease, Write};
use crate::place::Place;
use crate::sync;
use crate::table::{Coordination, LeaderLock, TableError};
use crate::worker::Outcome;

/// A leader of KCL 3 takes a worker for dead that was silent for 60 s, and wants to hear it each 30.
const REPORT_INTERVAL: Duration = Duration::from_secs(25);
/// A hole, a lease too many or an end too early is acted on when it was seen with so many lists of
/// shards in a row. A list may be older than the table: the first may, and the one that was under way
/// when the table was read; the third was asked for after that.
const DETECTIONS: u32 = 3;

/// What may be wrong with a lease, or with a list of shards that is older than the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suspicion {
    /// A shard has none.
    Missing,
    /// Its shard is listed no more.
    Forgotten,
    /// It is at the end of a shard that is open.
    EndedTooEarly,
}

/// Renews for ever.
pub(super) async fn renew(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(shared.settings.renewer_interval().min(REPORT_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported: Option<Duration> = None;
    loop {
        ticks.tick().await;
        let held: Vec<ShardId> = lock(&shared.worker).held().keys().copied().collect();
        let mut renewals = JoinSet::new();
        for shard in &held {
            let (shared, shard) = (Arc::clone(&shared), *shard);
            renewals.spawn(async move {
                shared.write(shard, |worker| worker.renewal(shard)).await;
            });
        }
        while renewals.join_next().await.is_some() {}
        let now = shared.clock.monotonic();
        let (dropped, is_other) = {
            let mut worker = lock(&shared.worker);
            let dropped = worker.drop_expired(now);
            let leaving = worker.held().values().any(|held| held.is_leaving());
            let lost = held.iter().any(|shard| !worker.held().contains_key(shard));
            (dropped, leaving || lost)
        };
        for shard in dropped {
            warn!(table = %shared.settings.table_name, %shard, "the lease could not be renewed in time and is given up");
        }
        if is_other {
            shared.changed.notify_one();
        }
        let is_due = |at: Duration| now.saturating_sub(at) >= REPORT_INTERVAL / 2;
        if lock(&shared.listed).is_some() && reported.is_none_or(is_due) {
            let (me, wall) = (lock(&shared.worker).me().clone(), shared.clock.now());
            if shared.in_time(shared.table.report(&me, wall)).await.is_some() {
                reported = Some(now);
            }
        }
    }
}

/// Looks at the table for ever.
pub(super) async fn look(shared: Arc<Shared>, seed: u64) {
    while lock(&shared.listed).is_none() {
        shared.look.notified().await;
    }
    let mut eye = Eye {
        shared: Arc::clone(&shared),
        random: seed,
        lock: None,
        synced: None,
        generation: None,
        suspects: BTreeMap::new(),
        unmade: Vec::new(),
        looked: Duration::ZERO,
    };
    while let Err(error) = shared.table.make().await {
        warn!(table = %shared.settings.table_name, %error, "the table cannot be used, trying again");
        tokio::time::sleep(RETRY).await;
    }
    loop {
        let pause = match eye.round().await {
            Ok(pause) => pause,
            Err(error) => {
                warn!(table = %shared.settings.table_name, %error, "the leases cannot be read, trying again");
                RETRY
            }
        };
        tokio::select! {
            biased;
            () = shared.look.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What is remembered between two looks.
struct Eye {
    shared: Arc<Shared>,
    random: u64,
    /// The leader's lock, and since when it has its version.
    lock: Option<(LeaderLock, Duration)>,
    /// When shards were last compared with leases, and with which list.
    synced: Option<Duration>,
    generation: Option<u64>,
    /// What should be made, deleted or begun anew, and with how many lists in a row.
    suspects: BTreeMap<(Suspicion, ShardId), u32>,
    /// First leases of a new table that could not be made yet.
    unmade: Vec<Lease>,
    /// When the table began to be read.
    looked: Duration,
}

type Rows = BTreeMap<ShardId, Lease>;

impl Eye {
    /// One look; gives the pause until the next.
    async fn round(&mut self) -> Result<Duration, TableError> {
        let shared = Arc::clone(&self.shared);
        let coordination = shared.table.coordination().await?;
        let mut rows = self.read().await?;
        let Some(listed) = lock(&shared.listed).clone() else { return Ok(RETRY) };
        let now = shared.clock.monotonic();
        let follows = coordination.is_version_3 && self.has_leader(&coordination, now);
        if !follows && self.fill(&listed, &rows).await? {
            rows = self.read().await?;
        }
        self.clean(&rows).await;
        if !shared.stopping.load(Ordering::Acquire) {
            match follows {
                true => self.follow().await?,
                false => self.take(&rows).await,
            }
        }
        Ok(match follows {
            true => shared.settings.discovery_interval(),
            false => shared.settings.taker_interval(),
        })
    }

    async fn read(&mut self) -> Result<Rows, TableError> {
        self.looked = self.shared.clock.monotonic();
        let rows = self.shared.table.scan().await?;
        let now = self.shared.clock.monotonic();
        let rows = {
            let mut worker = lock(&self.shared.worker);
            worker.scanned(now, rows);
            worker.rows()
        };
        // A parent that was begun anew is waited for again.
        let is_done =
            |shard: &ShardId| rows.get(shard).is_none_or(|lease| lease.place == Place::ShardEnd);
        lock(&self.shared.done).retain(is_done);
        Ok(rows)
    }

    /// Whether somebody leads: holds the lock, and has changed it within its time.
    fn has_leader(&mut self, coordination: &Coordination, now: Duration) -> bool {
        let Some(lock) = &coordination.leader else {
            self.lock = None;
            return false;
        };
        match &self.lock {
            Some((known, since)) if known == lock => {
                now.saturating_sub(*since) <= lock.lease_duration
            }
            _ => {
                self.lock = Some((lock.clone(), now));
                true
            }
        }
    }

    /// Version 2: this worker's own leases, then its share.
    async fn take(&mut self, rows: &Rows) {
        let adoptions = lock(&self.shared.worker).adoptions(rows.values());
        self.write_all(adoptions).await;
        let now = self.shared.clock.monotonic();
        let random = &mut self.random;
        let mut below = |bound: usize| (next(random) % bound.max(1) as u64) as usize;
        let takes = lock(&self.shared.worker).takes(now, &mut below);
        self.write_all(takes).await;
    }

    /// Version 3: what a leader assigned.
    async fn follow(&mut self) -> Result<(), TableError> {
        let shared = Arc::clone(&self.shared);
        let (me, held): (_, BTreeSet<ShardId>) = {
            let worker = lock(&shared.worker);
            (worker.me().clone(), worker.held().keys().copied().collect())
        };
        for shard in shared.table.owned_by(&me).await? {
            if held.contains(&shard) {
                continue;
            }
            // The index may be behind the table.
            let Some(lease) = shared.table.get(shard).await? else { continue };
            let adoptions = {
                let mut worker = lock(&shared.worker);
                worker.saw(shared.clock.monotonic(), lease.clone());
                worker.adoptions([&lease])
            };
            self.write_all(adoptions).await;
        }
        Ok(())
    }

    async fn write_all(&self, writes: Vec<(ShardId, Write)>) {
        for (shard, write) in writes {
            let is_stopping = || self.shared.stopping.load(Ordering::Acquire);
            if is_stopping() {
                return;
            }
            let outcome = self.shared.write(shard, |_| Some(write.clone())).await;
            if outcome == Outcome::Done && is_stopping() {
                // The stop did not see it.
                self.shared.free(shard).await;
            } else if outcome == Outcome::Done {
                info!(table = %self.shared.settings.table_name, %shard, "the lease is this worker's");
                self.shared.changed.notify_one();
            }
        }
    }

    /// Makes leases that are missing, deletes those of shards that are gone, and begins those anew
    /// that are at an end which is not their shard's; whether it did.
    async fn fill(&mut self, listed: &Listed, rows: &Rows) -> Result<bool, TableError> {
        let shared = Arc::clone(&self.shared);
        let missing = sync::missing(&listed.shards, rows, listed.start);
        if rows.is_empty() {
            self.unmade = missing;
            return Ok(self.make_first(rows).await? > 0);
        }
        // Those of a table that was left half made would count as holes.
        let made = self.make_first(rows).await?;
        let now = shared.clock.monotonic();
        let interval = shared.settings.shard_sync_interval;
        let is_due = self.synced.is_none_or(|at| now.saturating_sub(at) >= interval);
        let leads = leader(rows.values()).is_none_or(|leader| leader == *lock(&shared.worker).me());
        if !leads {
            // What was seen was not seen in a row.
            self.suspects.clear();
        }
        if made > 0 || !is_due || !leads || self.generation == Some(listed.generation) {
            return Ok(made > 0);
        }
        (self.synced, self.generation) = (Some(now), Some(listed.generation));
        let forgotten = sync::forgotten(&listed.shards, rows);
        let ended = sync::ended_too_early(&listed.shards, rows);
        let before = std::mem::take(&mut self.suspects);
        let mut is_sure = |suspicion: Suspicion, shard: ShardId| {
            let seen = before.get(&(suspicion, shard)).unwrap_or(&0) + 1;
            self.suspects.insert((suspicion, shard), seen);
            seen >= DETECTIONS
        };
        let missing: Vec<_> =
            missing.into_iter().filter(|one| is_sure(Suspicion::Missing, one.shard)).collect();
        let mut sure_of = |suspicion: Suspicion, shards: Vec<ShardId>| -> Vec<ShardId> {
            shards.into_iter().filter(|shard| is_sure(suspicion, *shard)).collect()
        };
        let forgotten = sure_of(Suspicion::Forgotten, forgotten);
        let ended = sure_of(Suspicion::EndedTooEarly, ended);
        let mut changes = self.create(missing).await?;
        for shard in forgotten {
            changes += self.forget(&listed.shards, rows, shard).await?;
        }
        for shard in ended {
            changes += self.begin_anew(&rows[&shard]).await?;
        }
        Ok(changes > 0)
    }

    /// Makes the first leases of a new table, as far as nobody has made them.
    async fn make_first(&mut self, rows: &Rows) -> Result<usize, TableError> {
        let (mut made, mut failed) = (0, Ok(()));
        if rows.values().any(|lease| !lease.place.is_beginning()) {
            // Some may be over with by now.
            self.unmade.clear();
        }
        for lease in std::mem::take(&mut self.unmade) {
            match self.create(vec![lease.clone()]).await {
                Ok(one) => made += one,
                Err(error) => {
                    failed = Err(error);
                    self.unmade.push(lease);
                }
            }
        }
        failed.map(|()| made)
    }

    /// Whoever owns the lease learns of it by its next renewal.
    async fn begin_anew(&self, lease: &Lease) -> Result<usize, TableError> {
        let (place, pending) = (Place::TrimHorizon, None);
        let (counter, children) = (lease.counter, BTreeSet::new());
        let write = Write::Checkpoint { counter, place, pending, children };
        // Renewed meanwhile: the next look tries again.
        let is_done = self.shared.table.write(lease.shard, &write).await?;
        if is_done {
            warn!(table = %self.shared.settings.table_name, shard = %lease.shard,
                "the lease was at SHARD_END, but the shard is open: it is of an earlier stream of this name, or of another \
                 stream; the shard is read from TRIM_HORIZON");
        }
        Ok(usize::from(is_done))
    }

    async fn create(&self, leases: Vec<Lease>) -> Result<usize, TableError> {
        let count = leases.len();
        for lease in leases {
            let (table, shard) = (&self.shared.settings.table_name, lease.shard);
            let age = self.shared.clock.monotonic().saturating_sub(self.looked);
            if age > self.shared.settings.failover_time {
                // Whatever had no lease may be over with by now.
                return Err(TableError("the look at the leases took too long".to_owned()));
            }
            info!(%table, %shard, checkpoint = lease.place.attributes().0, "the shard gets a lease");
            self.shared.table.write(shard, &Write::Create(lease)).await?;
        }
        Ok(count)
    }

    /// A shard that the stream does not know any more: what follows it goes on.
    async fn forget(
        &self,
        listed: &[Shard],
        rows: &Rows,
        shard: ShardId,
    ) -> Result<usize, TableError> {
        let (children, _) = sync::children(shard, listed, rows);
        self.create(children).await?;
        let owner = rows.get(&shard).and_then(|lease| lease.owner.clone());
        self.shared.write(shard, |_| Some(Write::Delete { owner: owner.clone() })).await;
        info!(table = %self.shared.settings.table_name, %shard, "the stream has forgotten the shard; its lease is deleted");
        Ok(1)
    }

    /// Deletes leases of this worker that are over.
    async fn clean(&self, rows: &Rows) {
        let shared = &self.shared;
        for shard in sync::finished(rows) {
            let owner = Some(lock(&shared.worker).me().clone());
            if shared.held(shard).is_some() {
                shared.write(shard, |_| Some(Write::Delete { owner: owner.clone() })).await;
                info!(table = %shared.settings.table_name, %shard, "the lease is over and deleted");
            }
        }
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
