//! The worker over a table in memory, behind its contracts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Checkpoint, ConsumerName, Leases, Progress, ProgressError, SequenceNumber, Shard, ShardAddress,
    ShardId, ShardProgress, StartingPosition, StreamName, SystemClock, Timestamp,
};

use super::shard;
use crate::lease::{Lease, WorkerId, Write};
use crate::place::Place;
use crate::settings::Settings;
use crate::shared::SharedLeases;
use crate::table::{Coordination, LeaderLock, LeaseTable, TableError};

#[derive(Default)]
struct Memory {
    rows: Mutex<BTreeMap<ShardId, Lease>>,
    coordination: Mutex<Coordination>,
    reports: Mutex<Vec<WorkerId>>,
}

#[async_trait]
impl LeaseTable for Memory {
    async fn make(&self) -> Result<(), TableError> {
        Ok(())
    }

    async fn scan(&self) -> Result<Vec<Lease>, TableError> {
        Ok(self.rows.lock().unwrap().values().cloned().collect())
    }

    async fn get(&self, shard: ShardId) -> Result<Option<Lease>, TableError> {
        Ok(self.rows.lock().unwrap().get(&shard).cloned())
    }

    async fn write(&self, shard: ShardId, write: &Write) -> Result<bool, TableError> {
        let mut rows = self.rows.lock().unwrap();
        let mut row = rows.remove(&shard);
        let done = write.apply(&mut row).is_ok();
        rows.extend(row.map(|row| (shard, row)));
        Ok(done)
    }

    async fn owned_by(&self, worker: &WorkerId) -> Result<Vec<ShardId>, TableError> {
        let rows = self.rows.lock().unwrap();
        let mine = rows.values().filter(|row| row.owner.as_ref() == Some(worker));
        Ok(mine.map(|row| row.shard).collect())
    }

    async fn coordination(&self) -> Result<Coordination, TableError> {
        Ok(self.coordination.lock().unwrap().clone())
    }

    async fn report(&self, worker: &WorkerId, _: Timestamp) -> Result<(), TableError> {
        self.reports.lock().unwrap().push(worker.clone());
        Ok(())
    }
}

impl Memory {
    fn change(&self, shard: u32, change: impl FnOnce(&mut Lease)) {
        change(self.rows.lock().unwrap().get_mut(&ShardId::new(shard)).unwrap());
    }

    fn row(&self, shard: u32) -> Option<Lease> {
        self.rows.lock().unwrap().get(&ShardId::new(shard)).cloned()
    }
}

fn join(table: &Arc<Memory>, name: &str) -> SharedLeases {
    let mut settings = Settings::new("app", name);
    settings.failover_time = Duration::from_millis(600);
    settings.shard_sync_interval = Duration::ZERO;
    SharedLeases::over(Arc::clone(table) as _, Arc::new(SystemClock::new()), settings, 1)
}

fn address(shard: u32) -> ShardAddress {
    ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(shard) }
}

fn consumer() -> ConsumerName {
    ConsumerName::new("c")
}

/// Waits until the worker has these shards to deliver; gives which of them are to leave.
async fn has(leases: &SharedLeases, listed: &[Shard], shards: &[u32]) -> Vec<u32> {
    let waiting = async {
        loop {
            let start = StartingPosition::TrimHorizon;
            let own = leases.own(&consumer(), &address(0).stream, listed, start).await.unwrap();
            let ids: Vec<_> = own.iter().map(|lease| lease.shard.index()).collect();
            if ids == shards {
                let leaving = own.iter().filter(|lease| lease.leaving);
                return leaving.map(|lease| lease.shard.index()).collect();
            }
            tokio::select! {
                () = leases.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("in good time")
}

fn after(counter: u64) -> ShardProgress {
    let number = SequenceNumber::new(1_600_000_000, 0, counter, 1_600_000_000);
    ShardProgress { checkpoint: Some(Checkpoint::After(number)), intent: None }
}

fn two() -> Vec<Shard> {
    vec![shard(0, &[], 1_600_000_000, None), shard(1, &[], 1_600_000_000, None)]
}

#[tokio::test]
async fn a_worker_alone_has_everything_and_two_share() {
    let table = Arc::new(Memory::default());
    let one = join(&table, "one");
    has(&one, &two(), &[0, 1]).await;
    one.store(&consumer(), &address(0), &after(5)).await.unwrap();
    assert_eq!(one.load(&consumer(), &address(0)).await, Ok(after(5)));
    let other = join(&table, "other");
    // It steals one of the two, at its second look at the latest.
    let listed = two();
    let has_one = async {
        loop {
            let start = StartingPosition::TrimHorizon;
            let own = other.own(&consumer(), &address(0).stream, &listed, start).await.unwrap();
            if let [lease] = &*own {
                return lease.shard.index();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let stolen = tokio::time::timeout(Duration::from_secs(60), has_one).await.unwrap();
    has(&one, &two(), &[1 - stolen]).await;
    let lost = one.store(&consumer(), &address(stolen), &after(9)).await;
    assert_eq!(lost, Err(ProgressError::LeaseLost(address(stolen))));
    let kept = if stolen == 0 { after(5) } else { ShardProgress::default() };
    assert_eq!(other.load(&consumer(), &address(stolen)).await, Ok(kept));
}

#[tokio::test]
async fn a_worker_that_ends_frees_what_it_has_and_one_that_dies_is_outlived() {
    let table = Arc::new(Memory::default());
    let one = join(&table, "one");
    has(&one, &two(), &[0, 1]).await;
    one.give_up(&consumer(), &address(0)).await;
    assert_eq!(table.row(0).unwrap().owner, None);
    // The other lease is not given up: its worker just ends.
    drop(one);
    let other = join(&table, "other");
    has(&other, &two(), &[0, 1]).await;
    assert_eq!(table.row(1).unwrap().owner.as_deref(), Some("other"));
}

#[tokio::test]
async fn children_get_leases_before_their_parent_ends_and_wait_for_it() {
    let table = Arc::new(Memory::default());
    let worker = join(&table, "one");
    let before = [shard(0, &[], 1_600_000_000, None)];
    has(&worker, &before, &[0]).await;
    let end = ShardProgress { checkpoint: Some(Checkpoint::ShardEnd), intent: None };
    let closed = shard(0, &[], 1_600_000_000, Some(1_600_000_100));
    // The list is older than the split.
    let early = worker.store(&consumer(), &address(0), &end).await;
    assert!(matches!(early, Err(ProgressError::Unavailable(_))), "{early:?}");
    let child = |id| shard(id, &[0], 1_600_000_100, None);
    let listed = [closed, child(1), child(2)];
    has(&worker, &listed, &[0]).await;
    worker.store(&consumer(), &address(0), &end).await.unwrap();
    let parent = table.row(0).unwrap();
    assert_eq!(parent.place, Place::ShardEnd);
    assert_eq!(parent.children, [1, 2].map(ShardId::new).into());
    assert_eq!(table.row(1).unwrap().parents, [ShardId::new(0)].into());
    has(&worker, &listed, &[1, 2]).await;
    assert_eq!(table.row(0).unwrap().owner.as_deref(), Some("one"), "an ended shard is still held");
    // Both begun: the parent's lease is over.
    for id in [1, 2] {
        worker.store(&consumer(), &address(id), &after(7)).await.unwrap();
    }
    let gone = async {
        while table.row(0).is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it is deleted");
}

#[tokio::test]
async fn an_end_that_an_earlier_stream_left_behind_is_not_believed() {
    let table = Arc::new(Memory::default());
    for mut row in (0..3).map(|id| super::lease(id, None)) {
        row.place = Place::ShardEnd;
        row.parents = if row.shard.index() == 1 { [ShardId::new(0)].into() } else { [].into() };
        row.children = [7, 8].map(ShardId::new).into();
        table.rows.lock().unwrap().insert(row.shard, row);
    }
    let worker = join(&table, "one");
    // None of the new stream's shards has a parent; one is closed, and may well be done.
    let mut listed = two();
    listed.push(shard(2, &[], 1_600_000_000, Some(1_600_000_100)));
    has(&worker, &listed, &[0, 1]).await;
    let begun = worker.load(&consumer(), &address(0)).await;
    assert_eq!(begun, Ok(ShardProgress::default()));
    assert_eq!(table.row(0).unwrap().place, Place::TrimHorizon);
    assert_eq!(table.row(2).unwrap().place, Place::ShardEnd);
}

#[tokio::test]
async fn a_worker_that_ends_frees_what_it_does_not_deliver_too() {
    let table = Arc::new(Memory::default());
    let worker = join(&table, "one");
    let parent = shard(0, &[], 1_600_000_000, Some(1_600_000_100));
    let listed = [parent, shard(1, &[0], 1_600_000_100, None)];
    table
        .rows
        .lock()
        .unwrap()
        .extend(listed.iter().map(|shard| (shard.id, Lease::new(shard, Place::TrimHorizon))));
    // The child waits for its parent.
    has(&worker, &listed, &[0]).await;
    let owner = |id| table.row(id).unwrap().owner;
    assert_eq!(owner(1).as_deref(), Some("one"));
    worker.stop(&consumer(), &[ShardId::new(0)]).await;
    assert_eq!((owner(0).as_deref(), owner(1)), (Some("one"), None));
    worker.stop(&consumer(), &[]).await;
    assert_eq!(owner(0), None);
    // Whoever takes part again gets shards again.
    has(&worker, &listed, &[0]).await;
}

#[tokio::test]
async fn a_lease_that_is_lost_or_given_up_frees_no_other() {
    let table = Arc::new(Memory::default());
    let parent = shard(1, &[], 1_600_000_000, Some(1_600_000_100));
    let child = shard(2, &[1], 1_600_000_100, None);
    let listed = [shard(0, &[], 1_600_000_000, None), parent, child];
    let rows = listed.iter().map(|shard| (shard.id, Lease::new(shard, Place::TrimHorizon)));
    table.rows.lock().unwrap().extend(rows);
    let worker = join(&table, "one");
    has(&worker, &listed, &[0, 1]).await;
    table.change(0, |row| (row.owner, row.counter) = (Some("java".into()), row.counter + 9));
    let lost = worker.store(&consumer(), &address(0), &after(1)).await;
    assert_eq!(lost, Err(ProgressError::LeaseLost(address(0))));
    // It was to leave, and what was held came too late.
    worker.give_up(&consumer(), &address(0)).await;
    let owner = |id| table.row(id).unwrap().owner;
    assert_eq!(owner(2).as_deref(), Some("one"));
    worker.give_up(&consumer(), &address(1)).await;
    assert_eq!(owner(2).as_deref(), Some("one"), "it waits, and is kept");
}

#[tokio::test]
async fn beside_a_leader_a_worker_takes_nothing_and_hands_off_what_it_is_asked_for() {
    let table = Arc::new(Memory::default());
    table.rows.lock().unwrap().extend((0..2).map(|id| (ShardId::new(id), super::lease(id, None))));
    let leader = |version: u64| {
        let lease_duration = Duration::from_secs(3600);
        Some(LeaderLock { version: version.to_string(), lease_duration })
    };
    let coordination = Coordination { is_version_3: true, leader: leader(1) };
    *table.coordination.lock().unwrap() = coordination;
    let worker = join(&table, "one");
    has(&worker, &two(), &[]).await;
    table.change(1, |row| row.owner = Some("one".into()));
    has(&worker, &two(), &[1]).await;
    assert_eq!(table.row(0).unwrap().owner, None, "not assigned, and free");
    let reported = async {
        while !table.reports.lock().unwrap().contains(&"one".into()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reported).await.expect("it says that it lives");
    table.change(1, |row| {
        row.owner = Some("java".into());
        row.checkpoint_owner = Some("one".into());
    });
    let leaving = async {
        while has(&worker, &two(), &[1]).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), leaving).await.expect("it is told");
    // What was held is closed, and may be checkpointed.
    worker.store(&consumer(), &address(1), &after(3)).await.unwrap();
    worker.give_up(&consumer(), &address(1)).await;
    let row = table.row(1).unwrap();
    assert_eq!((row.owner.as_deref(), row.checkpoint_owner), (Some("java"), None));
    // Its leader is gone: the worker takes what is free by itself.
    table.coordination.lock().unwrap().leader = None;
    has(&worker, &two(), &[0, 1]).await;
}
