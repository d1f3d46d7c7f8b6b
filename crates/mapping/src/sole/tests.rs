//! Starts over crashes, reshardings and trimming.

use std::time::Duration;

use baikonur_stream::{
    Cursor, HashKey, HashKeyRange, ReadError, ReadLimits, ReadPage, SequenceNumber,
};

use super::*;

fn number(shard: u32, counter: u64) -> SequenceNumber {
    SequenceNumber::new(1_600_000_000, shard, counter, 1_600_000_000)
}

fn shard(id: u32, parents: &[u32], closed: bool) -> Shard {
    let parent = |place: usize| parents.get(place).copied().map(ShardId::new);
    Shard {
        id: ShardId::new(id),
        parent: parent(0),
        adjacent_parent: parent(1),
        hash_key_range: HashKeyRange { start: HashKey::new(0), end: HashKey::MAX },
        starting_sequence_number: number(id, 0),
        ending_sequence_number: closed.then(|| number(id, SequenceNumber::COUNTER_MAX)),
    }
}

/// A stream whose newest record has counter 100 in each shard, and what is kept of its consumer.
#[derive(Default)]
struct World {
    stored: Mutex<HashMap<ShardId, ShardProgress>>,
    begun: Mutex<Option<Begun>>,
    /// Shards whose progress cannot be loaded.
    broken: Mutex<HashSet<u32>>,
    /// What the worker remembers until its process ends.
    given: Mutex<HashSet<(ShardId, SequenceNumber)>>,
    /// Stores that still succeed before a crash.
    stores_left: Mutex<usize>,
}

#[async_trait]
impl Read for World {
    async fn shards(&self, _: &StreamName) -> Result<Vec<Shard>, ReadError> {
        unreachable!("the mapping lists")
    }

    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        assert_eq!(position, StartingPosition::Latest);
        Ok(Cursor { shard: shard.clone(), from: number(shard.shard.index(), 101), since: None })
    }

    async fn read(&self, _: &Cursor, _: ReadLimits) -> Result<ReadPage, ReadError> {
        unreachable!("nothing is read")
    }

    async fn wait(&self, _: &Cursor, _: Duration) {}
}

#[async_trait]
impl Progress for World {
    async fn load(
        &self,
        _: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        if self.broken.lock().unwrap().contains(&shard.shard.index()) {
            return Err(ProgressError::Unavailable("broken".into()));
        }
        Ok(self.stored.lock().unwrap().get(&shard.shard).cloned().unwrap_or_default())
    }

    async fn store(
        &self,
        _: &ConsumerName,
        shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        let mut left = self.stores_left.lock().unwrap();
        *left = left.checked_sub(1).ok_or(ProgressError::Unavailable("crash".into()))?;
        self.stored.lock().unwrap().insert(shard.shard, progress.clone());
        Ok(())
    }

    async fn begun(&self, _: &ConsumerName, _: &StreamName) -> Result<Begun, ProgressError> {
        Ok(self.begun.lock().unwrap().unwrap_or(Begun::Never))
    }

    async fn begin(&self, _: &ConsumerName, _: &StreamName) -> Result<(), ProgressError> {
        let mut left = self.stores_left.lock().unwrap();
        *left = left.checked_sub(1).ok_or(ProgressError::Unavailable("crash".into()))?;
        *self.begun.lock().unwrap() = Some(Begun::ThisStream);
        Ok(())
    }
}

impl World {
    fn with_stores(stores: usize) -> Arc<Self> {
        Arc::new(Self { stores_left: Mutex::new(stores), ..Self::default() })
    }

    async fn own(
        self: &Arc<Self>,
        listed: &[Shard],
        start: StartingPosition,
    ) -> Result<Vec<u32>, ProgressError> {
        let given = Mutex::new(std::mem::take(&mut *self.given.lock().unwrap()));
        let worker =
            SoleWorker { read: Arc::clone(self) as _, progress: Arc::clone(self) as _, given };
        let stream = StreamName::new("s").unwrap();
        let own = worker.own(&ConsumerName::new("c"), &stream, listed, start).await;
        *self.given.lock().unwrap() = worker.given.into_inner().unwrap();
        let own = own?;
        let horizon = StartingPosition::TrimHorizon;
        let without_checkpoint = if start == LATEST { horizon } else { start };
        assert!(own.iter().all(|lease| lease.start == without_checkpoint));
        Ok(own.iter().map(|lease| lease.shard.index()).collect())
    }

    fn checkpoint(&self, shard: u32) -> Option<Checkpoint> {
        self.stored.lock().unwrap().get(&ShardId::new(shard))?.checkpoint
    }

    fn set(&self, shard: u32, checkpoint: Checkpoint) {
        let state = ShardProgress { checkpoint: Some(checkpoint), intent: None };
        self.stored.lock().unwrap().insert(ShardId::new(shard), state);
    }
}

const LATEST: StartingPosition = StartingPosition::Latest;

#[tokio::test]
async fn at_the_trim_horizon_parents_go_before_children() {
    let world = World::with_stores(100);
    let listed = [shard(0, &[], true), shard(1, &[], true), shard(2, &[0, 1], false)];
    let own = || world.own(&listed, StartingPosition::TrimHorizon);
    assert_eq!(own().await.unwrap(), [0, 1]);
    world.set(0, Checkpoint::ShardEnd);
    assert_eq!(own().await.unwrap(), [1]);
    world.set(1, Checkpoint::ShardEnd);
    assert_eq!(own().await.unwrap(), [2]);
}

#[tokio::test]
async fn a_moment_counts_in_every_shard_and_nothing_is_stored_for_it() {
    let world = World::with_stores(1);
    let listed = [shard(0, &[], true), shard(1, &[], false)];
    let start = StartingPosition::AtTimestamp(baikonur_stream::Timestamp::from_seconds(5));
    assert_eq!(world.own(&listed, start).await.unwrap(), [0, 1]);
    assert_eq!((world.checkpoint(0), world.checkpoint(1)), (None, None));
}

#[tokio::test]
async fn a_consumer_at_latest_begins_with_open_shards_alone() {
    let world = World::with_stores(100);
    let listed = [shard(0, &[], true), shard(1, &[0], false), shard(2, &[0], false)];
    assert_eq!(world.own(&listed, LATEST).await.unwrap(), [1, 2]);
    assert_eq!(world.checkpoint(0), Some(Checkpoint::ShardEnd));
    assert_eq!(world.checkpoint(1), Some(Checkpoint::At(number(1, 101))));
}

#[tokio::test]
async fn a_stream_that_was_made_anew_is_read_from_its_beginning_at_latest_too() {
    let world = World::with_stores(1);
    *world.begun.lock().unwrap() = Some(Begun::EarlierStream);
    // It was written to and split before it was listed.
    let listed = [shard(0, &[], true), shard(1, &[0], false), shard(2, &[], false)];
    for _ in 0..2 {
        assert_eq!(world.own(&listed, LATEST).await.unwrap(), [0, 2]);
    }
    assert!(world.stored.lock().unwrap().is_empty(), "nothing is skipped");
    assert_eq!(*world.begun.lock().unwrap(), Some(Begun::ThisStream));
}

#[tokio::test]
async fn a_shard_that_cannot_be_loaded_keeps_back_its_children_alone() {
    let world = World::with_stores(100);
    *world.begun.lock().unwrap() = Some(Begun::ThisStream);
    let listed =
        [shard(0, &[], true), shard(1, &[], false), shard(2, &[0], false), shard(3, &[0], false)];
    world.set(0, Checkpoint::ShardEnd);
    world.broken.lock().unwrap().insert(0);
    assert_eq!(world.own(&listed, LATEST).await.unwrap(), [0, 1]);
    world.broken.lock().unwrap().clear();
    assert_eq!(world.own(&listed, LATEST).await.unwrap(), [1, 2, 3]);
    // Deliveries that are under way go on.
    world.broken.lock().unwrap().extend([0, 2]);
    for _ in 0..2 {
        assert_eq!(world.own(&listed, LATEST).await.unwrap(), [0, 1, 2, 3]);
    }
    world.broken.lock().unwrap().extend([1, 2, 3]);
    assert!(world.own(&listed, LATEST).await.is_err(), "nothing is known");
}

#[tokio::test]
async fn a_first_start_at_latest_is_not_decided_without_all_shards() {
    let world = World::with_stores(100);
    world.broken.lock().unwrap().insert(1);
    let listed = [shard(0, &[], false), shard(1, &[], false)];
    assert!(world.own(&listed, LATEST).await.is_err());
    assert_eq!(world.checkpoint(0), None);
    assert_eq!(world.own(&listed, StartingPosition::TrimHorizon).await.unwrap(), [0, 1]);
}

#[tokio::test]
async fn children_of_trimmed_parents_are_delivered_from_their_first_record() {
    let world = World::with_stores(100);
    world.own(&[shard(0, &[], false)], LATEST).await.unwrap();
    world.set(0, Checkpoint::ShardEnd);
    // Meanwhile the parent was split, and then trimmed away.
    let listed = [shard(1, &[0], false), shard(2, &[0], false)];
    assert_eq!(world.own(&listed, LATEST).await.unwrap(), [1, 2]);
    assert_eq!((world.checkpoint(1), world.checkpoint(2)), (None, None));
}

#[tokio::test]
async fn a_first_start_that_crashes_at_any_store_is_followed_by_another() {
    let listed = [shard(0, &[], true), shard(1, &[0], false), shard(2, &[0], false)];
    for stores in 0..4 {
        let world = World::with_stores(stores);
        assert!(world.own(&listed, LATEST).await.is_err(), "crash after {stores}");
        *world.stores_left.lock().unwrap() = 100;
        assert_eq!(world.own(&listed, LATEST).await.unwrap(), [1, 2], "crash after {stores}");
        for (id, checkpoint) in [(1, number(1, 101)), (2, number(2, 101))] {
            assert_eq!(world.checkpoint(id), Some(Checkpoint::At(checkpoint)), "{stores}");
        }
        assert_eq!(world.checkpoint(0), Some(Checkpoint::ShardEnd), "crash after {stores}");
    }
}

#[tokio::test]
async fn what_was_split_amid_the_first_start_goes_on_from_its_place() {
    // 0 got its place, then a crash; it was split before the next start.
    let world = World::with_stores(1);
    assert!(world.own(&[shard(0, &[], false), shard(1, &[], false)], LATEST).await.is_err());
    *world.stores_left.lock().unwrap() = 100;
    let listed =
        [shard(0, &[], true), shard(1, &[], false), shard(2, &[0], false), shard(3, &[0], false)];
    assert_eq!(world.own(&listed, LATEST).await.unwrap(), [0, 1]);
    assert_eq!(world.checkpoint(0), Some(Checkpoint::At(number(0, 101))));
    assert_eq!((world.checkpoint(2), world.checkpoint(3)), (None, None));
}
