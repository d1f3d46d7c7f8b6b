//! Retention: hidden at once, freed by whole segments, and never a record too early.

use std::time::Duration;

use baikonur_stream::{Administer, RetentionHours};

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
    engine.increase_retention(&stream("s"), hours(100)).await.unwrap();
    assert_eq!(texts(&engine, "s", 0).await, ["two"]);
    clock.advance(HOUR * 50);
    assert_eq!(texts(&engine, "s", 0).await, ["two"]);
    engine.decrease_retention(&stream("s"), hours(49)).await.unwrap();
    assert!(texts(&engine, "s", 0).await.is_empty());
}

#[tokio::test]
async fn a_segment_is_freed_when_the_longest_of_its_streams_has_expired() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    create(&engine, "long", 2).await;
    engine.increase_retention(&stream("long"), hours(72)).await.unwrap();
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
    engine.delete_stream(&stream("s")).await.unwrap();
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
