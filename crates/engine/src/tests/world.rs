//! What the tests share: a clock that is set by hand, and short forms of the contracts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use baikonur_stream::{
    Administer, Clock, CreateStream, Cursor, HashKey, PartitionKey, PutEntry, PutError, Read,
    ReadError, ReadLimits, Record, SequenceNumber, ShardAddress, ShardId, StartingPosition,
    StreamName, StreamProperties, Timestamp, Write,
};
use bytes::Bytes;

use crate::{Engine, EngineSettings, RecoveryReport, SimulatedDisk};

/// Wall and monotonic time in milliseconds.
pub(crate) struct TestClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl TestClock {
    pub(crate) fn at(seconds: u64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicU64::new(seconds * 1000), monotonic: AtomicU64::new(0) })
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.wall.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        self.monotonic.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }

    /// As when somebody sets it: no time passes.
    pub(crate) fn step_ahead(&self, by: Duration) {
        self.wall.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }

    pub(crate) fn step_back(&self, by: Duration) {
        self.wall.fetch_sub(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(Ordering::SeqCst))
    }
}

pub(crate) const START: u64 = 1_700_000_000;

pub(crate) fn settings() -> EngineSettings {
    EngineSettings { segment_bytes: 2_000, ..EngineSettings::new("simulated") }
}

pub(crate) fn open(disk: &SimulatedDisk, clock: &Arc<TestClock>) -> (Engine, RecoveryReport) {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    Engine::open_on(Arc::new(disk.clone()), settings(), clock).unwrap()
}

/// A store with a stream `s` of two shards.
pub(crate) async fn prepared(disk: &SimulatedDisk, clock: &Arc<TestClock>) -> Engine {
    let (engine, _) = open(disk, clock);
    create(&engine, "s", 2).await;
    engine
}

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

pub(crate) fn shard(name: &str, index: u32) -> ShardAddress {
    ShardAddress { stream: stream(name), shard: ShardId::new(index) }
}

pub(crate) async fn create(engine: &Engine, name: &str, shard_count: u32) {
    let properties = StreamProperties::default();
    let request = CreateStream { name: stream(name), shard_count, properties };
    engine.create_stream(request).await.unwrap();
}

/// An entry for a shard of a stream with two: the lower half of the key space, or the upper.
pub(crate) fn entry(shard: u32, data: &str) -> PutEntry {
    PutEntry {
        partition_key: PartitionKey::new(Bytes::from_static(b"key")).unwrap(),
        explicit_hash_key: Some(HashKey::new(if shard == 0 { 0 } else { u128::MAX })),
        data: Bytes::from(data.to_owned()),
    }
}

pub(crate) async fn put(
    engine: &Engine,
    name: &str,
    at: u32,
    data: &str,
) -> Result<SequenceNumber, PutError> {
    let placed = engine.put(&stream(name), vec![entry(at, data)], None).await?;
    Ok(placed[0].clone()?.sequence_number)
}

/// Reads a shard from a position to its tip, in small pages, checking order on the way.
pub(crate) async fn read_from(
    engine: &Engine,
    address: &ShardAddress,
    position: StartingPosition,
) -> Result<Vec<Record>, ReadError> {
    let mut cursor: Cursor = engine.seek(address, position).await?;
    let mut records: Vec<Record> = Vec::new();
    loop {
        let page = engine.read(&cursor, ReadLimits { records: 3, bytes: 1_000 }).await?;
        for record in page.records {
            if let Some(last) = records.last() {
                assert!(record.sequence_number > last.sequence_number, "order in {address}");
                assert!(record.arrival >= last.arrival, "arrival in {address}");
            }
            records.push(record);
        }
        cursor = page.next.expect("the shard is open");
        if page.millis_behind_latest == 0 {
            return Ok(records);
        }
    }
}

/// The payloads of a shard from its oldest record on, going on behind damage; and the damage.
pub(crate) async fn texts_and_damage(
    engine: &Engine,
    name: &str,
    index: u32,
) -> (Vec<String>, Vec<String>) {
    let address = shard(name, index);
    let (mut texts, mut damage) = (Vec::new(), Vec::new());
    let mut cursor = engine.seek(&address, StartingPosition::TrimHorizon).await.unwrap();
    loop {
        match engine.read(&cursor, ReadLimits { records: 3, bytes: 1_000 }).await {
            Ok(page) => {
                texts.extend(page.records.iter().map(text));
                cursor = page.next.expect("the shard is open");
                if page.millis_behind_latest == 0 {
                    return (texts, damage);
                }
            }
            Err(ReadError::Damaged { what, resume, .. }) => {
                damage.push(what);
                cursor = resume.expect("the place behind is known");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn texts(engine: &Engine, name: &str, index: u32) -> Vec<String> {
    let (texts, damage) = texts_and_damage(engine, name, index).await;
    assert!(damage.is_empty(), "{damage:?}");
    texts
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8(record.data.to_vec()).unwrap()
}
