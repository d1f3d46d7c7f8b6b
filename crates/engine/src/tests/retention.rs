//! Retention: hidden at once, freed by whole segments, and never a record too early.

use std::time::Duration;

use baikonur_stream::{
    Administer, Checkpoint, ConsumerName, Progress, ProgressError, Read, ReadLimits,
    RetentionHours, ShardProgress, StartingPosition, StreamChange,
};

use super::world::*;
use crate::SimulatedDisk;

const HOUR: Duration = Duration::from_secs(3600);

fn segments(disk: &SimulatedDisk) -> usize {
    disk.files().keys().filter(|name| name.starts_with("log/")).count()
}

fn hours(hours: u32) -> RetentionHours {
    RetentionHours::new(hours).unwrap()
}

#[tokio::test]
async fn expired_records_are_hidden_to_the_millisecond() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "one").await.unwrap();
    clock.advance(Duration::from_millis(1));
    put(&engine, "s", 0, "two").await.unwrap();
    clock.advance(HOUR * 24 - Duration::from_millis(1));
    assert_eq!(texts(&engine, "s", 0).await, ["one", "two"]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(texts(&engine, "s", 0).await, ["two"]);
    clock.advance(Duration::from_millis(1));
    assert!(texts(&engine, "s", 0).await.is_empty());
}

#[tokio::test]
async fn a_raised_retention_brings_nothing_back_and_a_lowered_one_hides_at_once() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "one").await.unwrap();
    clock.advance(HOUR * 25);
    put(&engine, "s", 0, "two").await.unwrap();
    engine.change_stream(&stream("s"), StreamChange::IncreaseRetention(hours(100))).await.unwrap();
    assert_eq!(texts(&engine, "s", 0).await, ["two"]);
    clock.advance(HOUR * 50);
    assert_eq!(texts(&engine, "s", 0).await, ["two"]);
    engine.change_stream(&stream("s"), StreamChange::DecreaseRetention(hours(49))).await.unwrap();
    assert!(texts(&engine, "s", 0).await.is_empty());
}

#[tokio::test]
async fn behind_a_clock_that_was_ahead_a_change_of_retention_hides_nothing_that_is_fresh() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "before").await.unwrap();
    let ahead = HOUR * 24 * 30;
    clock.step_ahead(ahead);
    put(&engine, "s", 0, "ahead").await.unwrap();
    clock.step_back(ahead - HOUR);
    let described = engine.describe_stream(&stream("s")).await.unwrap();
    assert_eq!(described.newest_arrival.seconds(), START + ahead.as_secs());
    for change in
        [StreamChange::IncreaseRetention(hours(48)), StreamChange::DecreaseRetention(hours(24))]
    {
        engine.change_stream(&stream("s"), change).await.unwrap();
        assert_eq!(texts(&engine, "s", 0).await, ["before", "ahead"]);
    }
    let described = engine.describe_stream(&stream("s")).await.unwrap();
    assert!(described.hidden_before.seconds() < START);
    put(&engine, "s", 0, "after").await.unwrap();
    assert_eq!(texts(&engine, "s", 0).await, ["before", "ahead", "after"], "numbers still grow");
    drop(engine);
    let (engine, _) = open(&disk.after_kill(), &clock);
    let described = engine.describe_stream(&stream("s")).await.unwrap();
    assert!(described.newest_arrival.seconds() >= START + ahead.as_secs());
}

#[tokio::test]
async fn a_segment_is_freed_when_the_longest_of_its_streams_has_expired() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    create(&engine, "long", 2).await;
    engine
        .change_stream(&stream("long"), StreamChange::IncreaseRetention(hours(72)))
        .await
        .unwrap();
    for n in 0..60 {
        put(&engine, if n < 5 { "long" } else { "s" }, 0, &format!("record {n}")).await.unwrap();
    }
    let full = segments(&disk);
    assert!(full > 3);
    clock.advance(HOUR * 25);
    put(&engine, "s", 0, "fresh").await.unwrap();
    put(&engine, "s", 0, "fresh").await.unwrap();
    let named = |number: u32| format!("log/{number:020}.segment");
    assert!(disk.files().contains_key(&named(1)), "it has the long stream's records");
    assert!(!disk.files().contains_key(&named(2)), "it has none");
    assert_eq!(texts(&engine, "long", 0).await.len(), 5);
    assert_eq!(texts(&engine, "s", 0).await.len(), 2);
    clock.advance(HOUR * 48);
    put(&engine, "s", 0, "fresh").await.unwrap();
    put(&engine, "s", 0, "fresh").await.unwrap();
    assert!(texts(&engine, "long", 0).await.is_empty());
    assert!(!disk.files().contains_key(&named(1)));
}

#[tokio::test]
async fn deleting_a_stream_frees_its_segments_and_hides_it_from_the_next_of_its_name() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    let mut last = None;
    for n in 0..60 {
        last = Some(put(&engine, "s", 0, &format!("record {n}")).await.unwrap());
    }
    assert!(segments(&disk) > 3);
    engine.delete_stream(&stream("s"), false).await.unwrap();
    assert_eq!(segments(&disk), 1);
    create(&engine, "s", 2).await;
    let number = put(&engine, "s", 0, "new").await.unwrap();
    assert!(Some(number) != last && number.created_seconds() > last.unwrap().created_seconds());
    assert_eq!(texts(&engine, "s", 0).await, ["new"]);
    drop(engine);
    let (engine, _) = open(&disk.after_kill(), &clock);
    assert_eq!(texts(&engine, "s", 0).await, ["new"]);
}

#[tokio::test]
async fn a_reader_behind_the_horizon_moves_up_and_its_numbers_go_on() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    for n in 0..60 {
        put(&engine, "s", 0, &format!("old {n}")).await.unwrap();
    }
    clock.advance(HOUR * 25);
    for _ in 0..3 {
        put(&engine, "s", 0, "fresh").await.unwrap();
    }
    engine.close().await;
    drop(engine);
    let (engine, report) = open(&disk.after_kill(), &clock);
    assert!(report.closed_cleanly);
    assert_eq!(texts(&engine, "s", 0).await, ["fresh"; 3]);
    let number = put(&engine, "s", 0, "next").await.unwrap();
    assert_eq!(number.counter(), 64, "counters outlive the records that had them");
}

#[tokio::test]
async fn a_reader_whose_records_are_all_expired_goes_on_behind_them_and_waits() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    for n in 0..3 {
        put(&engine, "s", 0, &format!("old {n}")).await.unwrap();
    }
    let start = engine.seek(&shard("s", 0), StartingPosition::TrimHorizon).await.unwrap();
    clock.advance(HOUR * 25);
    let limits = ReadLimits { records: 10, bytes: 1 << 20 };
    let page = engine.read(&start, limits).await.unwrap();
    let next = page.next.unwrap();
    assert!(page.records.is_empty() && next.from.counter() == 4, "{next:?}");
    // It would be over at once if there were something to read.
    let waited = tokio::time::timeout(
        Duration::from_millis(50),
        engine.wait(&next, Duration::from_secs(3600)),
    );
    assert!(waited.await.is_err(), "nothing is there to read");
    put(&engine, "s", 0, "new").await.unwrap();
    engine.wait(&next, Duration::from_secs(3600)).await;
    let page = engine.read(&next, limits).await.unwrap();
    assert_eq!(&*page.records[0].data, b"new");
}

#[tokio::test]
async fn positions_of_a_deleted_stream_are_not_stored_for_its_successor() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "one").await.unwrap();
    let start = engine.seek(&shard("s", 0), StartingPosition::Latest).await.unwrap();
    let progress = ShardProgress { checkpoint: Some(Checkpoint::At(start.from)), intent: None };
    let consumer = ConsumerName::new("c");
    engine.store(&consumer, &shard("s", 0), &progress).await.unwrap();
    engine.delete_stream(&stream("s"), false).await.unwrap();
    let gone = Err(ProgressError::Gone(shard("s", 0)));
    assert_eq!(engine.store(&consumer, &shard("s", 0), &progress).await, gone);
    create(&engine, "s", 1).await;
    assert_eq!(engine.store(&consumer, &shard("s", 0), &progress).await, gone);
    let loaded = engine.load(&consumer, &shard("s", 0)).await.unwrap();
    assert_eq!(loaded, ShardProgress::default());
}

#[tokio::test]
async fn checkpoints_alone_fill_no_segment_beyond_its_size() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    let consumer = ConsumerName::new("c");
    let start = engine.seek(&shard("s", 0), StartingPosition::Latest).await.unwrap();
    for _ in 0..500 {
        let progress = ShardProgress { checkpoint: Some(Checkpoint::At(start.from)), intent: None };
        engine.store(&consumer, &shard("s", 0), &progress).await.unwrap();
    }
    let largest = disk.files().values().map(Vec::len).max().unwrap();
    assert!(largest < 64 * 1024, "{largest}");
}
