//! Splits, merges, trimming and crashes between puts: readers that follow parents to children see
//! every record once, in the order of its key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    Administer, AdministerError, Checkpoint, ConsumerName, Cursor, HashKey, PartitionKey, Progress,
    ProgressError, PutEntry, Read, ReadError, ReadLimits, Reshard, RetentionHours, Shard,
    ShardAddress, ShardId, ShardProgress, StartingPosition, StreamChange, Write,
};
use bytes::Bytes;

use super::crash::seeds;
use super::world::*;
use crate::{Durability, Engine, EngineSettings, Random, SimulatedDisk, Throughput};

const HOUR: Duration = Duration::from_secs(3600);

fn keyed(key: &str, data: String) -> PutEntry {
    PutEntry {
        partition_key: PartitionKey::new(Bytes::from(key.to_owned())).unwrap(),
        explicit_hash_key: None,
        data: data.into(),
    }
}

async fn shards(engine: &Engine) -> Vec<Shard> {
    engine.shards(&stream("s")).await.unwrap()
}

fn is_open(shard: &&Shard) -> bool {
    shard.ending_sequence_number.is_none()
}

async fn change(engine: &Engine, change: StreamChange) -> Result<(), AdministerError> {
    engine.change_stream(&stream("s"), change).await.map(|_| ())
}

/// What a shard still holds, and its children if it is closed.
async fn read_shard(engine: &Engine, id: ShardId) -> (Vec<(String, String)>, Option<Vec<ShardId>>) {
    let address = ShardAddress { stream: stream("s"), shard: id };
    let mut cursor: Cursor = engine.seek(&address, StartingPosition::TrimHorizon).await.unwrap();
    let mut records = Vec::new();
    loop {
        let page = engine.read(&cursor, ReadLimits { records: 3, bytes: 500 }).await.unwrap();
        let empty = page.records.is_empty();
        let pair = |r: &baikonur_stream::Record| (r.partition_key.as_str().to_owned(), text(r));
        records.extend(page.records.iter().map(pair));
        match page.next {
            None => {
                assert!(empty, "the last records come with an iterator");
                let children: Vec<ShardId> = page.children.iter().map(|child| child.id).collect();
                assert!(!children.is_empty(), "the end of {id} has children");
                return (records, Some(children));
            }
            Some(_) if empty && page.millis_behind_latest == 0 => return (records, None),
            Some(next) => cursor = next,
        }
    }
}

/// Reads from the roots down: a shard once all of its listed parents are done.
async fn read_all(engine: &Engine) -> Vec<(String, String)> {
    let listed = shards(engine).await;
    let ids: BTreeSet<ShardId> = listed.iter().map(|shard| shard.id).collect();
    let mut done: BTreeSet<ShardId> = BTreeSet::new();
    let mut records = Vec::new();
    while done.len() < listed.len() {
        let ready = listed.iter().find(|shard| {
            let mut parents = [shard.parent, shard.adjacent_parent].into_iter().flatten();
            !done.contains(&shard.id) && parents.all(|p| done.contains(&p) || !ids.contains(&p))
        });
        let shard = ready.expect("parents come before children");
        let (found, children) = read_shard(engine, shard.id).await;
        assert_eq!(children.is_some(), shard.ending_sequence_number.is_some());
        for child in children.into_iter().flatten() {
            assert!(ids.contains(&child), "a child that is not listed");
        }
        records.extend(found);
        done.insert(shard.id);
    }
    records
}

/// Numbers per key, as they were acknowledged, with the hour in which they were put.
#[derive(Default)]
struct Promised(BTreeMap<String, Vec<(u64, String)>>);

impl Promised {
    fn check(&self, found: Vec<(String, String)>, hour: u64) {
        let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
        found.into_iter().for_each(|(key, data)| by_key.entry(key).or_default().push(data));
        for (key, promised) in &self.0 {
            let found = by_key.remove(key).unwrap_or_default();
            let all: Vec<&String> = promised.iter().map(|(_, data)| data).collect();
            // What is there is the newest part, without a gap, and no more than a day is missing.
            let start = all.len().checked_sub(found.len()).expect("no record twice");
            assert!(found.iter().eq(all[start..].iter().copied()), "{key}: {found:?}, not {all:?}");
            let lost = promised[..start].iter().find(|(put, _)| put + 24 > hour);
            assert!(lost.is_none(), "{key} lost {lost:?} at hour {hour}");
        }
        assert!(by_key.is_empty(), "records from nowhere: {by_key:?}");
    }
}

/// A change of the shards that is allowed; it fails only with the disk.
async fn reshard(engine: &Engine, random: &mut Random) -> Result<(), AdministerError> {
    let listed = shards(engine).await;
    let mut open: Vec<&Shard> = listed.iter().filter(is_open).collect();
    open.sort_by_key(|shard| shard.hash_key_range.start);
    let which = random.below(open.len() as u64) as usize;
    let shard = open[which].id;
    let wanted = match (random.below(3), open.get(which + 1)) {
        (0, Some(adjacent)) if open.len() > 2 => {
            StreamChange::Reshard(Reshard::Merge { shard, adjacent: adjacent.id })
        }
        (1, _) if open.len() < 10 => {
            let range = open[which].hash_key_range;
            let at = range.start.value() / 2 + range.end.value() / 2;
            StreamChange::Reshard(Reshard::Split { shard, at: HashKey::new(at) })
        }
        _ => {
            let (low, high) = (
                open.len().div_ceil(2) as u64,
                6.min(2 * open.len() as u64).max(open.len() as u64),
            );
            let target = (low + random.below(high - low + 1)) as u32;
            StreamChange::UpdateShardCount { target }
        }
    };
    let changed = change(engine, wanted).await;
    let passing = |error: &AdministerError| {
        matches!(error, AdministerError::Unavailable(_) | AdministerError::StorageFull(_))
    };
    assert!(changed.as_ref().err().is_none_or(passing), "{changed:?}");
    let after = shards(engine).await;
    let kept = |shard: &&Shard| after.iter().any(|a| a.id == shard.id);
    assert!(listed.iter().filter(is_open).all(|shard| kept(&shard)), "an open shard was forgotten");
    changed
}

async fn interleave(seed: u64) {
    let mut random = Random(seed);
    let (mut disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let mut engine = prepared(&disk, &clock).await;
    let (mut promised, mut number, mut hour) = (Promised::default(), 0u64, 0u64);
    for _ in 0..40 {
        match random.below(12) {
            0..5 => {
                let count = 1 + random.below(4);
                let entries: Vec<_> = (0..count)
                    .map(|_| {
                        number += 1;
                        let key = format!("key-{}", random.below(8));
                        keyed(&key, format!("{number}{}", "x".repeat(random.below(50) as usize)))
                    })
                    .collect();
                let put = engine.put(&stream("s"), entries.clone(), None).await.unwrap();
                assert!(put.iter().all(Result::is_ok));
                for entry in entries {
                    let data = String::from_utf8(entry.data.to_vec()).unwrap();
                    let key = entry.partition_key.as_str().to_owned();
                    promised.0.entry(key).or_default().push((hour, data));
                }
            }
            5..7 => reshard(&engine, &mut random).await.unwrap(),
            7 => {
                let hours = random.below(9);
                hour += hours;
                clock.advance(HOUR * hours as u32);
                clock.advance(Duration::from_secs(61));
                // House-keeping, which looks once a minute, follows the first one's answer.
                for _ in 0..2 {
                    engine.put(&stream("s"), Vec::new(), None).await.unwrap();
                }
            }
            8 => {
                disk.set_space(Some(random.below(3_000)));
                // Done or refused, whole; what is put afterwards goes where readers find it.
                let _ = reshard(&engine, &mut random).await;
                disk.set_space(None);
            }
            9 => {
                disk.lose_power_at(1 + random.below(8));
                let _ = reshard(&engine, &mut random).await;
                drop(engine);
                disk = disk.after_power_loss(&mut random);
                (engine, _) = open(&disk, &clock);
            }
            10 => {
                engine.close().await;
                drop(engine);
                (engine, _) = open(&disk, &clock);
            }
            _ => {
                let after = if random.one_in(2) {
                    disk.after_kill()
                } else {
                    disk.after_power_loss(&mut random)
                };
                drop(engine);
                disk = after;
                (engine, _) = open(&disk, &clock);
            }
        }
        promised.check(read_all(&engine).await, hour);
    }
}

#[test]
fn any_interleaving_of_puts_reshards_trims_and_crashes_keeps_every_record_once_and_in_order() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    seeds(60, |seed| runtime.block_on(interleave(seed)));
}

#[tokio::test]
async fn a_closed_shard_is_read_to_its_end_and_wakes_who_waits() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "before").await.unwrap();
    let address = shard("s", 0);
    let latest = engine.seek(&address, StartingPosition::Latest).await.unwrap();
    let waiting = tokio::spawn({
        let (engine, latest) = (engine.clone(), latest.clone());
        async move { engine.wait(&latest, Duration::from_secs(3600)).await }
    });
    tokio::task::yield_now().await;
    let split = Reshard::Split { shard: ShardId::new(0), at: HashKey::new(1 << 100) };
    change(&engine, StreamChange::Reshard(split)).await.unwrap();
    waiting.await.unwrap();
    let page = engine.read(&latest, ReadLimits { records: 1, bytes: 1 }).await.unwrap();
    let children: Vec<u32> = page.children.iter().map(|child| child.id.index()).collect();
    assert_eq!((page.next, children), (None, vec![2, 3]));
    let again = engine.seek(&address, StartingPosition::TrimHorizon).await.unwrap();
    let page = engine.read(&again, ReadLimits { records: 10, bytes: 1000 }).await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert!(page.next.is_some() && page.children.is_empty());
    // The lowest hash key is the lower child's now.
    let placed = engine.put(&stream("s"), vec![entry(0, "after")], None).await.unwrap();
    assert_eq!(placed[0].clone().unwrap().shard, ShardId::new(2));
}

#[tokio::test]
async fn what_went_through_open_shards_is_told_to_those_who_scale() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    for _ in 0..3 {
        put(&engine, "s", 1, "four").await.unwrap();
    }
    assert_eq!(texts(&engine, "s", 1).await.len(), 3);
    let figures = |usage: Vec<baikonur_stream::ShardUsage>| -> Vec<_> {
        let of = |u: &baikonur_stream::ShardUsage| {
            (u.shard.index(), [u.records_in, u.bytes_in, u.records_out, u.bytes_out])
        };
        usage.iter().map(of).collect()
    };
    // Of payloads and of the key, which has three bytes.
    let before = figures(engine.usage(&stream("s")).await.unwrap());
    assert_eq!(before, [(0, [0; 4]), (1, [3, 21, 3, 21])]);
    let split = Reshard::Split { shard: ShardId::new(0), at: HashKey::new(1 << 100) };
    change(&engine, StreamChange::Reshard(split)).await.unwrap();
    let after = figures(engine.usage(&stream("s")).await.unwrap());
    assert_eq!(after, [(2, [0; 4]), (3, [0; 4]), (1, [3, 21, 3, 21])], "by hash key");
}

#[tokio::test]
async fn a_shard_that_is_trimmed_takes_its_progress_along() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    let number = put(&engine, "s", 0, "old").await.unwrap();
    let consumer = ConsumerName::new("c");
    let checkpoint = |c| ShardProgress { checkpoint: Some(c), intent: None };
    let progress = checkpoint(Checkpoint::After(number));
    engine.store(&consumer, &shard("s", 0), &progress).await.unwrap();
    change(&engine, StreamChange::UpdateShardCount { target: 4 }).await.unwrap();
    let end = checkpoint(Checkpoint::ShardEnd);
    engine.store(&consumer, &shard("s", 0), &end).await.unwrap();
    assert_eq!(engine.load(&consumer, &shard("s", 0)).await.unwrap(), end);
    clock.advance(HOUR * 25);
    put(&engine, "s", 0, "new").await.unwrap();
    // House-keeping follows the group that woke the writer.
    put(&engine, "s", 0, "newer").await.unwrap();
    let ids: Vec<u32> = shards(&engine).await.iter().map(|shard| shard.id.index()).collect();
    assert_eq!(ids, [2, 3, 4, 5]);
    let gone = engine.store(&consumer, &shard("s", 0), &end).await;
    assert_eq!(gone, Err(ProgressError::Gone(shard("s", 0))));
    let missing = engine.seek(&shard("s", 0), StartingPosition::TrimHorizon).await;
    assert_eq!(missing, Err(ReadError::ShardNotFound(shard("s", 0))));
    drop(engine);
    let (engine, _) = open(&disk, &clock);
    assert_eq!(shards(&engine).await.len(), 4);
    assert_eq!(texts(&engine, "s", 2).await, ["new", "newer"]);
    let longer = StreamChange::IncreaseRetention(RetentionHours::new(72).unwrap());
    change(&engine, longer).await.unwrap();
    assert_eq!(shards(&engine).await.len(), 4, "a longer period brings no shard back");
}

#[tokio::test]
async fn limits_of_amazon_refuse_single_records_and_never_those_that_go_with_a_position() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let settings = EngineSettings { throughput: Throughput::Aws, ..settings() };
    let clock_of_engine: Arc<dyn baikonur_stream::Clock> = Arc::clone(&clock) as _;
    let (engine, _) = Engine::open_on(Arc::new(disk), settings, clock_of_engine).unwrap();
    create(&engine, "s", 2).await;
    let both = || vec![entry(0, "low"), entry(1, "high")];
    for _ in 0..999 {
        let one = engine.put(&stream("s"), vec![entry(0, "low")], None).await.unwrap();
        assert!(one[0].is_ok());
    }
    assert!(engine.put(&stream("s"), both(), None).await.unwrap().iter().all(Result::is_ok));
    let results = engine.put(&stream("s"), both(), None).await.unwrap();
    let refused = baikonur_stream::PutError::ThroughputExceeded(ShardId::new(0));
    assert_eq!(results[0], Err(refused));
    assert!(results[1].is_ok());
    let position = baikonur_stream::ProducerPosition {
        producer: "copy".to_owned(),
        up_to: results[1].clone().unwrap().sequence_number,
    };
    let results = engine.put(&stream("s"), both(), Some(position)).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    clock.advance(Duration::from_secs(1));
    assert!(engine.put(&stream("s"), both(), None).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(texts(&engine, "s", 1).await.len(), 4);
    assert_eq!(EngineSettings::new("d").durability, Durability::Fsync);
}

#[test]
fn a_put_that_was_routed_before_its_stream_was_made_is_refused_and_remembers_nothing() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let (mut bench, _) = super::shadow::open(&disk, &clock, Durability::Fsync).unwrap();
    assert!(bench.create("s"));
    let up_to = baikonur_stream::SequenceNumber::new(START, 0, 1, START);
    let (answer, mut done) = tokio::sync::oneshot::channel();
    let put = crate::writer::Put {
        stream: stream("s"),
        entries: vec![entry(0, "early")],
        hashes: Vec::new(),
        remember: Some(baikonur_stream::ProducerPosition { producer: "p".to_owned(), up_to }),
        answer,
    };
    bench.writer.work([crate::writer::Request::Put(put)]);
    let refused = baikonur_stream::PutError::StreamNotFound(stream("s"));
    assert_eq!(done.try_recv().unwrap(), Err(refused));
    assert!(crate::lock::read(&bench.store.notes).is_empty());
}
