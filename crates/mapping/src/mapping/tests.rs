//! Deliveries begin, end in good order, or stop at once, as leases say.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Begun, Close, Cursor, Deliver, Delivery, FailedBatch, HashKeyRange, KeepError,
    OpenError, Outcome, PartitionKey, ReadError, ReadLimits, ReadPage, Record, SequenceNumber,
    ShardProgress, StartingPosition, SystemClock, Timestamp,
};
use bytes::Bytes;
use tokio::sync::Notify;

use super::*;

fn number(counter: u64) -> SequenceNumber {
    SequenceNumber::new(1_600_000_000, 0, counter, 1_600_000_000)
}

/// A stream of one shard that always has one more record, and everything around it.
#[derive(Default)]
struct World {
    own: Mutex<Vec<Lease>>,
    changed: Notify,
    given_up: Mutex<Vec<ShardId>>,
    /// What was still delivered, at each stop.
    stops: Mutex<Vec<Vec<ShardId>>>,
    stored: Mutex<ShardProgress>,
    /// Counters of the records taken, and of those written: the module holds until it is closed.
    taken: Mutex<Vec<u64>>,
    written: Mutex<Vec<u64>>,
    resumed: Mutex<Vec<(u64, u64)>>,
    /// How often somebody asked for leases.
    asked: AtomicUsize,
    /// The shard has no more records than those read so far.
    is_closed: AtomicBool,
    /// Its end was stored, and whoever stored it went on.
    has_ended: AtomicBool,
    board: Board,
    /// Neither lists of shards nor the module's deliveries come back.
    is_stuck: AtomicBool,
    /// Who is waiting for them.
    waiting: Mutex<Vec<&'static str>>,
    /// The module's part for the shard is no more.
    is_dropped: AtomicBool,
}

#[async_trait]
impl Leases for World {
    async fn own(
        &self,
        _: &ConsumerName,
        _: &StreamName,
        _: &[Shard],
        _: StartingPosition,
    ) -> Result<Vec<Lease>, ProgressError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.own.lock().unwrap().clone())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn give_up(&self, _: &ConsumerName, shard: &ShardAddress) {
        self.given_up.lock().unwrap().push(shard.shard);
        self.own.lock().unwrap().retain(|lease| lease.shard != shard.shard);
    }

    async fn stop(&self, _: &ConsumerName, delivered: &[ShardId]) {
        self.stops.lock().unwrap().push(delivered.to_vec());
    }
}

#[async_trait]
impl Read for World {
    async fn shards(&self, _: &StreamName) -> Result<Vec<Shard>, ReadError> {
        self.may_hang("list").await;
        Ok(vec![Shard {
            id: ShardId::new(0),
            parent: None,
            adjacent_parent: None,
            hash_key_range: HashKeyRange::evenly(1)[0],
            starting_sequence_number: number(0),
            ending_sequence_number: None,
        }])
    }

    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        let counter = match position {
            StartingPosition::AfterSequenceNumber(after) => after.counter() + 1,
            StartingPosition::AtSequenceNumber(at) => at.counter(),
            _ => 1,
        };
        Ok(Cursor { shard: shard.clone(), from: number(counter), since: None })
    }

    async fn read(&self, cursor: &Cursor, _: ReadLimits) -> Result<ReadPage, ReadError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let counter = cursor.from.counter();
        let record = Record {
            sequence_number: number(counter),
            arrival: Timestamp::from_seconds(1_600_000_000),
            partition_key: PartitionKey::new(Bytes::from_static(b"k")).unwrap(),
            data: Bytes::from_static(b"x"),
        };
        let next = Cursor { from: number(counter + 1), ..cursor.clone() };
        let next = (!self.is_closed.load(Ordering::SeqCst)).then_some(next);
        let records = vec![record];
        Ok(ReadPage { records, next, millis_behind_latest: 0, children: Vec::new() })
    }

    async fn wait(&self, _: &Cursor, _: Duration) {}
}

#[async_trait]
impl Progress for World {
    async fn load(
        &self,
        _: &ConsumerName,
        _: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        Ok(self.stored.lock().unwrap().clone())
    }

    async fn store(
        &self,
        _: &ConsumerName,
        shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        if self.own.lock().unwrap().is_empty() {
            return Err(ProgressError::LeaseLost(shard.clone()));
        }
        *self.stored.lock().unwrap() = progress.clone();
        if progress.checkpoint == Some(Checkpoint::ShardEnd) {
            // The leases have changed; the mapping acts on that before this delivery goes on.
            self.own.lock().unwrap().clear();
            let before = self.asked.load(Ordering::SeqCst);
            until(|| {
                self.changed.notify_one();
                self.asked.load(Ordering::SeqCst) >= before + 2
            })
            .await;
            self.has_ended.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn begun(&self, _: &ConsumerName, _: &StreamName) -> Result<Begun, ProgressError> {
        unreachable!("leases are the note")
    }

    async fn begin(&self, _: &ConsumerName, _: &StreamName) -> Result<(), ProgressError> {
        unreachable!("leases are the note")
    }
}

#[async_trait]
impl FailedStore for World {
    async fn keep(&self, _: &FailedBatch) -> Result<(), KeepError> {
        unreachable!("nothing fails here")
    }
}

struct Holding(Arc<World>);

#[async_trait]
impl Module for Holding {
    async fn open(&self, _: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        Ok(Box::new(HoldingShard { world: Arc::clone(&self.0), held: Vec::new() }))
    }

    fn resume_within(&self, _: &ShardAddress, number: SequenceNumber, sub_sequence: u64) {
        self.0.resumed.lock().unwrap().push((number.counter(), sub_sequence));
    }
}

struct HoldingShard {
    world: Arc<World>,
    held: Vec<u64>,
}

#[async_trait]
impl Deliver for HoldingShard {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        self.world.may_hang("module").await;
        let counters = batch.records.iter().map(|record| record.sequence_number.counter());
        self.held.extend(counters.clone());
        self.world.taken.lock().unwrap().extend(counters);
        let outcome = Outcome::Held(Close::Within(Duration::from_secs(3600)));
        Delivery { outcome, rejected: Vec::new() }
    }

    async fn close(&mut self) -> Delivery {
        self.world.written.lock().unwrap().append(&mut self.held);
        Delivery::delivered()
    }
}

impl Drop for HoldingShard {
    fn drop(&mut self) {
        self.world.is_dropped.store(true, Ordering::SeqCst);
    }
}

impl World {
    async fn may_hang(&self, who: &'static str) {
        if self.is_stuck.load(Ordering::SeqCst) {
            self.waiting.lock().unwrap().push(who);
            std::future::pending::<()>().await;
        }
    }

    fn start(self: &Arc<Self>) -> (watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let (drain, draining) = watch::channel(false);
        let mapping = Mapping {
            consumer: ConsumerName::new("m"),
            source: StreamName::new("s").unwrap(),
            settings: Settings::default(),
            read: Arc::clone(self) as _,
            progress: Arc::clone(self) as _,
            leases: Some(Arc::clone(self) as _),
            module: Arc::new(Holding(Arc::clone(self))),
            failed_store: Arc::clone(self) as _,
            memory: MemoryBudget::new(64 << 20),
            clock: Arc::new(SystemClock::new()),
            board: self.board.clone(),
            seed: 1,
        };
        (drain, tokio::spawn(mapping.run(draining)))
    }

    fn give(&self, leaving: bool, tenure: &Tenure) {
        let (shard, start) = (ShardId::new(0), StartingPosition::TrimHorizon);
        *self.own.lock().unwrap() = vec![Lease { shard, start, leaving, tenure: tenure.clone() }];
        self.changed.notify_one();
    }

    /// Waits until this many records were taken since the beginning.
    async fn takes(&self, count: usize) {
        until(|| self.taken.lock().unwrap().len() >= count).await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("in good time");
}

#[tokio::test]
async fn a_shard_that_is_to_leave_is_closed_and_given_up() {
    let world = Arc::new(World::default());
    let (drain, mapping) = world.start();
    let tenure = Tenure::endless();
    world.give(false, &tenure);
    world.takes(3).await;
    world.give(true, &tenure);
    until(|| world.given_up.lock().unwrap().len() == 1).await;
    let (taken, written) = (world.taken.lock().unwrap().len(), world.written.lock().unwrap().len());
    assert_eq!(taken, written, "what was held is written");
    let after = Some(Checkpoint::After(number(written as u64)));
    assert_eq!(world.stored.lock().unwrap().checkpoint, after);
    drain.send_replace(true);
    mapping.await.unwrap();
}

#[tokio::test]
async fn a_shard_that_is_lost_stops_at_once_and_starts_from_its_checkpoint_when_it_comes_back() {
    let world = Arc::new(World::default());
    let (drain, mapping) = world.start();
    let tenure = Tenure::endless();
    world.give(false, &tenure);
    world.takes(3).await;
    // No proof any more: nothing is handed over, whatever the leases say.
    tenure.end();
    until(|| !tenure.holds(Duration::ZERO)).await;
    tokio::task::yield_now().await;
    let taken = world.taken.lock().unwrap().len();
    world.own.lock().unwrap().clear();
    world.changed.notify_one();
    let place = Checkpoint::Within { number: number(2), sub_sequence: 4 };
    *world.stored.lock().unwrap() = ShardProgress { checkpoint: Some(place), intent: None };
    let again = Tenure::endless();
    until(|| mapping_is_idle(&world)).await;
    world.give(false, &again);
    world.takes(taken + 2).await;
    assert_eq!(world.taken.lock().unwrap()[taken..taken + 2], [2, 3]);
    assert_eq!(*world.resumed.lock().unwrap(), [(2, 4)]);
    assert_eq!(*world.written.lock().unwrap(), [0u64; 0], "what was held is another's");
    drain.send_replace(true);
    mapping.await.unwrap();
    assert_eq!(*world.given_up.lock().unwrap(), [ShardId::new(0)]);
    assert!(world.written.lock().unwrap().starts_with(&[2, 3]));
    assert_eq!(*world.stops.lock().unwrap(), [vec![ShardId::new(0)], vec![]]);
}

#[tokio::test]
async fn a_drain_with_nothing_to_deliver_frees_leases_too() {
    let world = Arc::new(World::default());
    let (drain, mapping) = world.start();
    drain.send_replace(true);
    mapping.await.unwrap();
    assert_eq!(world.stops.lock().unwrap().last(), Some(&vec![]));
}

#[tokio::test]
async fn a_delivery_under_way_stops_with_its_tenure_whatever_else_hangs() {
    let world = Arc::new(World::default());
    let (_drain, mapping) = world.start();
    let tenure = Tenure::until(Duration::from_secs(3600));
    world.give(false, &tenure);
    world.takes(3).await;
    world.is_stuck.store(true, Ordering::SeqCst);
    world.changed.notify_one();
    until(|| ["list", "module"].iter().all(|who| world.waiting.lock().unwrap().contains(who)))
        .await;
    assert!(!world.is_dropped.load(Ordering::SeqCst));
    tenure.end();
    until(|| world.is_dropped.load(Ordering::SeqCst)).await;
    mapping.abort();
}

#[tokio::test]
async fn a_shard_that_ends_is_not_taken_for_lost() {
    let world = Arc::new(World::default());
    let (drain, mapping) = world.start();
    world.give(false, &Tenure::endless());
    world.takes(3).await;
    world.is_closed.store(true, Ordering::SeqCst);
    until(|| world.board.is_ended(ShardId::new(0))).await;
    assert!(world.has_ended.load(Ordering::SeqCst), "it was let finish");
    drain.send_replace(true);
    mapping.await.unwrap();
}

/// Whether nobody but the test and the mapping's own parts use the world any more.
fn mapping_is_idle(world: &Arc<World>) -> bool {
    // The test, and read, progress, leases (twice), module and failed store of the mapping.
    Arc::strong_count(world) <= 7
}
