//! Streams on real files: what every user relies on.

use std::sync::Arc;
use std::time::Duration;

use crate::{Durability, Engine, EngineSettings, OpenError};
use baikonur_stream::{
    Administer, AdministerError, Begun, Checkpoint, Clock, ConsumerName, CreateStream, Intent,
    ProducerPosition, Progress, PutError, Read, ReadError, ReadLimits, RetentionHours,
    ShardProgress, StartingPosition, StreamChange, StreamProperties, Write,
};

use super::world::*;

fn real(directory: &std::path::Path, clock: &Arc<TestClock>) -> Engine {
    let settings = EngineSettings { segment_bytes: 4_000, ..EngineSettings::new(directory) };
    Engine::open(settings, Arc::clone(clock) as Arc<dyn Clock>).unwrap().0
}

#[tokio::test]
async fn records_survive_reopening_over_many_segments() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(START);
    let engine = real(folder.path(), &clock);
    create(&engine, "s", 2).await;
    let expected: Vec<String> = (0..200).map(|n| format!("record number {n}")).collect();
    for (n, data) in expected.iter().enumerate() {
        put(&engine, "s", n as u32 % 2, data).await.unwrap();
    }
    engine.close().await;
    drop(engine);
    let engine = real(folder.path(), &clock);
    let even: Vec<String> = expected.iter().step_by(2).cloned().collect();
    assert_eq!(texts(&engine, "s", 0).await, even);
    assert_eq!(texts(&engine, "s", 1).await.len(), 100);
    assert!(std::fs::read_dir(folder.path().join("log")).unwrap().count() > 3, "several segments");
}

#[tokio::test]
async fn a_record_larger_than_its_stream_takes_is_refused_and_keeps_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let engine = real(folder.path(), &TestClock::at(START));
    create(&engine, "s", 2).await;
    let up_to = put(&engine, "s", 0, "first").await.unwrap();
    let large = "x".repeat((1 << 20) + 1);
    let (s, missing) = (stream("s"), stream("missing"));
    let position = ProducerPosition { producer: "p".to_owned(), up_to };
    let entries = vec![entry(0, "a"), entry(0, &large), entry(0, "b")];
    let results = engine.put(&s, entries, Some(position)).await.unwrap();
    assert!(results[0].is_ok() && results[2].is_ok());
    let refused = Err(PutError::RecordRefused(
        "it has 1048577 bytes, and the stream takes 1048576 (MaxRecordSizeInKiB)".to_owned(),
    ));
    assert_eq!(results[1], refused);
    assert_eq!(texts(&engine, "s", 0).await, ["first", "a", "b"]);
    assert_eq!(engine.remembered("p").await, Ok(Some(up_to)));
    assert_eq!(engine.put(&s, vec![entry(0, &large)], None).await, Ok(vec![refused]));
    let put_nowhere = engine.put(&missing, vec![entry(0, &large)], None).await;
    assert_eq!(put_nowhere, Err(PutError::StreamNotFound(missing)));
    engine.change_stream(&s, StreamChange::RecordKibMax(2048)).await.unwrap();
    assert_eq!(engine.record_bytes_max(&s), Some(2 << 20));
    put(&engine, "s", 0, &large).await.unwrap();
}

#[tokio::test]
async fn a_directory_in_use_is_not_opened_twice() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(START);
    let _engine = real(folder.path(), &clock);
    let second = Engine::open(EngineSettings::new(folder.path()), clock);
    assert!(matches!(second, Err(OpenError::InUse { .. })));
}

#[tokio::test]
async fn every_position_finds_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(START);
    let engine = real(folder.path(), &clock);
    create(&engine, "s", 1).await;
    let mut numbers = Vec::new();
    for n in 0..50 {
        clock.advance(Duration::from_secs(1));
        numbers.push(put(&engine, "s", 0, &n.to_string()).await.unwrap());
    }
    let from = async |position| {
        let found = read_from(&engine, &shard("s", 0), position).await.unwrap();
        (found.len(), found.first().map(|r| String::from_utf8(r.data.to_vec()).unwrap()))
    };
    let text = |n: usize| Some(n.to_string());
    assert_eq!(from(StartingPosition::TrimHorizon).await, (50, text(0)));
    assert_eq!(from(StartingPosition::Latest).await, (0, None));
    assert_eq!(from(StartingPosition::AtSequenceNumber(numbers[20])).await, (30, text(20)));
    assert_eq!(from(StartingPosition::AfterSequenceNumber(numbers[20])).await, (29, text(21)));
    assert_eq!(from(StartingPosition::AfterSequenceNumber(numbers[49])).await, (0, None));
    let moment = baikonur_stream::Timestamp::from_seconds(START + 31);
    assert_eq!(from(StartingPosition::AtTimestamp(moment)).await, (20, text(30)));
    let start = engine.shards(&stream("s")).await.unwrap()[0].starting_sequence_number;
    assert_eq!(from(StartingPosition::AtSequenceNumber(start)).await, (50, text(0)));
}

#[tokio::test]
async fn numbers_of_other_shards_and_of_an_earlier_stream_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(START);
    let engine = real(folder.path(), &clock);
    create(&engine, "s", 2).await;
    let number = put(&engine, "s", 0, "one").await.unwrap();
    let at = StartingPosition::AtSequenceNumber(number);
    let other = engine.seek(&shard("s", 1), at).await;
    assert!(matches!(other, Err(ReadError::OtherShard { .. })));
    engine.delete_stream(&stream("s"), false).await.unwrap();
    create(&engine, "s", 2).await;
    let earlier = engine.seek(&shard("s", 0), at).await;
    assert!(matches!(earlier, Err(ReadError::OtherStream { .. })));
    assert!(texts(&engine, "s", 0).await.is_empty(), "nothing of the old stream is seen");
}

#[tokio::test]
async fn a_page_keeps_its_limits_but_gives_one_record_at_least() {
    let folder = tempfile::tempdir().unwrap();
    let engine = real(folder.path(), &TestClock::at(START));
    create(&engine, "s", 1).await;
    let entries = (0..10).map(|_| entry(0, &"x".repeat(100))).collect();
    engine.put(&stream("s"), entries, None).await.unwrap();
    let start = engine.seek(&shard("s", 0), StartingPosition::TrimHorizon).await.unwrap();
    let page = async |records, bytes| {
        engine.read(&start, ReadLimits { records, bytes }).await.unwrap().records.len()
    };
    assert_eq!(page(4, 10_000).await, 4);
    assert_eq!(page(10, 250).await, 2);
    assert_eq!(page(10, 1).await, 1);
}

#[tokio::test]
async fn expired_records_are_hidden_at_once_and_their_files_freed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(START);
    let engine = real(folder.path(), &clock);
    create(&engine, "s", 1).await;
    for n in 0..100 {
        put(&engine, "s", 0, &format!("a record of some length, {n}")).await.unwrap();
    }
    let segments = || std::fs::read_dir(folder.path().join("log")).unwrap().count();
    let before = segments();
    clock.advance(Duration::from_secs(25 * 3600));
    assert!(texts(&engine, "s", 0).await.is_empty());
    put(&engine, "s", 0, "fresh").await.unwrap();
    assert_eq!(texts(&engine, "s", 0).await, ["fresh"]);
    for _ in 0..50 {
        if segments() < before {
            break;
        }
        put(&engine, "s", 0, "fresh").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(segments() <= 2, "{} files are left of {before}", segments());
    engine
        .change_stream(
            &stream("s"),
            StreamChange::IncreaseRetention(RetentionHours::new(48).unwrap()),
        )
        .await
        .unwrap();
    assert!(texts(&engine, "s", 0).await.iter().all(|data| data == "fresh"));
}

#[tokio::test]
async fn progress_and_producer_positions_survive_and_die_with_their_stream() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(START);
    let engine = real(folder.path(), &clock);
    create(&engine, "s", 1).await;
    let number = put(&engine, "s", 0, "x").await.unwrap();
    let consumer = ConsumerName::new("archive");
    let progress = ShardProgress {
        checkpoint: Some(Checkpoint::After(number)),
        intent: Some(Intent { first: number, last: number, keys: vec!["a/b.gz".into()] }),
    };
    engine.store(&consumer, &shard("s", 0), &progress).await.unwrap();
    assert_eq!(engine.begun(&consumer, &stream("s")).await, Ok(Begun::Never));
    engine.begin(&consumer, &stream("s")).await.unwrap();
    let remember = ProducerPosition { producer: "forward/s/0".into(), up_to: number };
    engine.put(&stream("s"), vec![entry(0, "y")], Some(remember)).await.unwrap();
    for n in 0..100 {
        put(&engine, "s", 0, &format!("so that segments roll, {n}")).await.unwrap();
    }
    engine.close().await;
    drop(engine);
    let engine = real(folder.path(), &clock);
    assert_eq!(engine.load(&consumer, &shard("s", 0)).await.unwrap(), progress);
    assert_eq!(engine.begun(&consumer, &stream("s")).await, Ok(Begun::ThisStream));
    let other = ConsumerName::new("other");
    assert_eq!(engine.begun(&other, &stream("s")).await, Ok(Begun::Never));
    assert_eq!(engine.remembered("forward/s/0").await.unwrap(), Some(number));
    engine.delete_stream(&stream("s"), false).await.unwrap();
    create(&engine, "s", 1).await;
    let fresh = engine.load(&consumer, &shard("s", 0)).await.unwrap();
    assert_eq!(fresh, ShardProgress::default());
    assert_eq!(engine.begun(&consumer, &stream("s")).await, Ok(Begun::EarlierStream));
    for n in 0..100 {
        put(&engine, "s", 0, &format!("so that segments roll, {n}")).await.unwrap();
    }
    engine.close().await;
    drop(engine);
    let engine = real(folder.path(), &clock);
    assert_eq!(engine.begun(&consumer, &stream("s")).await, Ok(Begun::EarlierStream));
    assert_eq!(engine.begun(&other, &stream("s")).await, Ok(Begun::Never));
    engine.begin(&consumer, &stream("s")).await.unwrap();
    assert_eq!(engine.begun(&consumer, &stream("s")).await, Ok(Begun::ThisStream));
}

#[tokio::test]
async fn streams_are_described_as_they_were_made_and_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let engine = real(folder.path(), &TestClock::at(START));
    create(&engine, "s", 3).await;
    let described = engine.describe_stream(&stream("s")).await.unwrap();
    assert_eq!(described.shards.len(), 3);
    assert_eq!(described.properties.retention.hours(), 24);
    let again =
        CreateStream { name: stream("s"), shard_count: 1, properties: StreamProperties::default() };
    let exists = engine.create_stream(again.clone()).await;
    assert_eq!(exists, Err(AdministerError::StreamExists(stream("s"))));
    let many = CreateStream { name: stream("t"), shard_count: 20_000, ..again };
    let limit = engine.create_stream(many).await;
    assert!(matches!(limit, Err(AdministerError::ShardLimit { open: 3, .. })));
    let hours = |n| RetentionHours::new(n).unwrap();
    let name = stream("s");
    engine.change_stream(&name, StreamChange::IncreaseRetention(hours(48))).await.unwrap();
    engine.change_stream(&name, StreamChange::IncreaseRetention(hours(48))).await.unwrap();
    assert!(engine.change_stream(&name, StreamChange::IncreaseRetention(hours(24))).await.is_err());
    assert!(engine.change_stream(&name, StreamChange::DecreaseRetention(hours(72))).await.is_err());
    let missing = put(&engine, "nowhere", 0, "x").await;
    assert_eq!(missing, Err(PutError::StreamNotFound(stream("nowhere"))));
}

#[tokio::test]
async fn a_waiting_reader_wakes_with_the_record_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let engine = real(folder.path(), &TestClock::at(START));
    create(&engine, "s", 1).await;
    let cursor = engine.seek(&shard("s", 0), StartingPosition::Latest).await.unwrap();
    let started = tokio::time::Instant::now();
    engine.wait(&cursor, Duration::from_millis(50)).await;
    assert!(started.elapsed() >= Duration::from_millis(50), "nothing came");
    let waiter = engine.clone();
    let waiting = tokio::spawn(async move { waiter.wait(&cursor, Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    put(&engine, "s", 0, "x").await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn many_writers_share_the_log_without_mixing_up_their_answers() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EngineSettings {
        durability: Durability::OsBuffer,
        segment_bytes: 50_000,
        ..EngineSettings::new(folder.path())
    };
    let engine = Engine::open(settings, TestClock::at(START)).unwrap().0;
    create(&engine, "s", 2).await;
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut placed = Vec::new();
                for n in 0..50 {
                    let data = format!("{writer}/{n}");
                    placed.push((put(&engine, "s", writer % 2, &data).await.unwrap(), data));
                }
                placed
            })
        })
        .collect();
    for writer in writers {
        for (number, data) in writer.await.unwrap() {
            let at = StartingPosition::AtSequenceNumber(number);
            let cursor = engine.seek(&shard("s", number.shard()), at).await.unwrap();
            let limits = ReadLimits { records: 1, bytes: 1 };
            let page = engine.read(&cursor, limits).await.unwrap();
            assert_eq!(page.records[0].sequence_number, number);
            assert_eq!(page.records[0].data, data);
        }
    }
}

#[tokio::test]
async fn a_waiting_reader_wakes_when_its_stream_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let engine = real(folder.path(), &TestClock::at(START));
    create(&engine, "s", 1).await;
    let cursor = engine.seek(&shard("s", 0), StartingPosition::Latest).await.unwrap();
    let (waiter, waited) = (engine.clone(), cursor.clone());
    let waiting = tokio::spawn(async move { waiter.wait(&waited, Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    engine.delete_stream(&stream("s"), false).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    let limits = ReadLimits { records: 1, bytes: 1 };
    let gone = engine.read(&cursor, limits).await;
    assert_eq!(gone, Err(ReadError::StreamNotFound(stream("s"))));
}

#[tokio::test]
async fn puts_over_many_shards_and_large_ones_are_read_back_as_they_were_put() {
    let folder = tempfile::tempdir().unwrap();
    let engine = real(folder.path(), &TestClock::at(START));
    create(&engine, "s", 7).await;
    let data = |n: usize| "d".repeat((n * 7919) % 40_000);
    let entries = (0..300)
        .map(|n| baikonur_stream::PutEntry {
            partition_key: baikonur_stream::PartitionKey::new(n.to_string().into()).unwrap(),
            explicit_hash_key: None,
            data: data(n).into(),
        })
        .collect();
    let placed = engine.put(&stream("s"), entries, None).await.unwrap();
    let mut found = 0;
    for index in 0..7 {
        let records = read_from(&engine, &shard("s", index), StartingPosition::TrimHorizon).await;
        for record in records.unwrap() {
            let n: usize = record.partition_key.as_str().parse().unwrap();
            assert_eq!(record.data, data(n));
            let place = placed[n].as_ref().unwrap();
            assert_eq!(
                (place.sequence_number, place.shard.index()),
                (record.sequence_number, index)
            );
            found += 1;
        }
    }
    assert_eq!(found, 300);
}
