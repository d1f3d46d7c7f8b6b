//! A full disk: reading goes on, puts are refused until there is space, and what makes space can be
//! done.

use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{Administer, Clock, PutError, RetentionHours, StreamChange};

use super::shadow::{self, Bench};
use super::world::*;
use crate::administer::Change;
use crate::{Durability, Engine, EngineSettings, Random, SimulatedDisk};

const HOUR: Duration = Duration::from_secs(3600);

fn open_os_buffer(disk: &SimulatedDisk, clock: &Arc<TestClock>) -> Engine {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let settings = EngineSettings { durability: Durability::OsBuffer, ..settings() };
    Engine::open_on(Arc::new(disk.clone()), settings, clock).unwrap().0
}

fn log_files(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    disk.files().into_iter().filter(|(name, _)| name.starts_with("log/")).collect()
}

/// The store's file that was written last, and what it holds.
fn active(disk: &SimulatedDisk) -> (String, Vec<u8>) {
    log_files(disk).pop().unwrap()
}

async fn refused(engine: &Engine) {
    let put = put(engine, "s", 0, "no").await;
    assert!(matches!(put, Err(PutError::StorageFull(_))), "{put:?}");
    assert_eq!(engine.health().writes_closed, None);
}

#[tokio::test]
async fn a_store_that_must_begin_a_segment_opens_for_reading_and_writes_when_there_is_space() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = open_os_buffer(&disk, &clock);
    create(&engine, "s", 2).await;
    put(&engine, "s", 0, "one").await.unwrap();
    put(&engine, "s", 0, "two").await.unwrap();
    let mut disk = disk.after_kill();
    // Started again and again while the disk is full: each time numbers may have been handed out.
    for _ in 0..3 {
        disk.set_space(Some(30));
        let engine = open_os_buffer(&disk, &clock);
        assert_eq!(texts(&engine, "s", 0).await, ["one", "two"]);
        refused(&engine).await;
        engine.close().await;
        disk = disk.after_kill();
    }
    disk.set_space(Some(30));
    let engine = open_os_buffer(&disk, &clock);
    refused(&engine).await;
    disk.set_space(None);
    let third = put(&engine, "s", 0, "three").await.unwrap();
    assert_eq!(third.counter(), 3 + (1 << 32), "numbers are passed over, once");
    assert_eq!(texts(&engine, "s", 0).await, ["one", "two", "three"]);
}

#[tokio::test]
async fn a_torn_tail_stays_where_it_is_until_the_next_segment_can_be_begun() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "one").await.unwrap();
    put(&engine, "s", 0, "two").await.unwrap();
    let mut disk = disk.after_kill();
    let (name, bytes) = active(&disk);
    disk.cut(&name, bytes.len() - 3);
    let torn = active(&disk);
    for _ in 0..3 {
        disk.set_space(Some(50));
        let (engine, report) = open(&disk, &clock);
        assert!(report.torn_tail.is_some());
        refused(&engine).await;
        assert_eq!(texts(&engine, "s", 0).await, ["one"]);
        engine.close().await;
        assert_eq!(active(&disk), torn);
        disk = disk.after_kill();
    }
    let (engine, _) = open(&disk, &clock);
    assert_eq!(put(&engine, "s", 0, "three").await.unwrap().counter(), 2 + (1 << 32));
    assert_eq!(texts(&engine, "s", 0).await, ["one", "three"]);
}

#[tokio::test]
async fn damage_on_a_full_disk_is_reported_and_read_past() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    for n in 0..4 {
        put(&engine, "s", 0, &format!("record {n}")).await.unwrap();
    }
    let disk = disk.after_kill();
    let (name, bytes) = active(&disk);
    let at = bytes.windows(8).position(|window| window == b"record 1").unwrap();
    disk.flip(&name, at * 8);
    disk.set_space(Some(0));
    let (engine, report) = open(&disk, &clock);
    assert_eq!(report.damaged.len(), 1, "{report:?}");
    let (texts, damage) = texts_and_damage(&engine, "s", 0).await;
    assert_eq!(
        (texts, damage.len()),
        (["record 0", "record 2", "record 3"].map(String::from).into(), 1)
    );
    refused(&engine).await;
    disk.set_space(None);
    put(&engine, "s", 0, "record 4").await.unwrap();
}

fn change(bench: &mut Bench, change: Change) {
    assert!(bench.change(change), "the disk is full");
}

#[test]
fn house_keeping_begins_the_segment_too() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let (mut bench, _) = shadow::open(&disk, &clock, Durability::OsBuffer).unwrap();
    assert!(bench.create("s"));
    let disk = disk.after_kill();
    disk.set_space(Some(0));
    // Another mode asks for a segment of its own.
    let (mut bench, _) = shadow::open(&disk, &clock, Durability::Fsync).unwrap();
    clock.advance(Duration::from_secs(61));
    bench.writer.keep_house();
    assert!(active(&disk).0.ends_with("1.segment"));
    disk.set_space(None);
    clock.advance(Duration::from_secs(61));
    bench.writer.keep_house();
    assert!(active(&disk).0.ends_with("2.segment"));
}

/// A store with records over several segments of `s`, on a disk without any space.
async fn full(disk: &SimulatedDisk, clock: &Arc<TestClock>) -> Engine {
    let engine = prepared(disk, clock).await;
    create(&engine, "t", 2).await;
    create(&engine, "u", 2).await;
    let longer = StreamChange::IncreaseRetention(RetentionHours::new(48).unwrap());
    engine.change_stream(&stream("u"), longer).await.unwrap();
    for n in 0..60 {
        put(&engine, "s", 0, &format!("record {n}")).await.unwrap();
    }
    engine.close().await;
    drop(engine);
    // The catalog is larger than it was when the space was set aside.
    drop(open(disk, clock));
    disk.set_space(Some(0));
    let (engine, _) = open(disk, clock);
    refused(&engine).await;
    engine
}

#[tokio::test]
async fn deleting_a_stream_on_a_full_disk_frees_its_segments() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = full(&disk, &clock).await;
    // These free nothing: what is set aside is there again each time, before a put can take it.
    for name in ["t", "u"] {
        engine.delete_stream(&stream(name), false).await.unwrap();
        // The very record that is refused then: a smaller one may still find room.
        while put(&engine, "s", 0, "no").await.is_ok() {}
        refused(&engine).await;
    }
    let before = log_files(&disk).len();
    create_refused(&engine).await;
    engine.delete_stream(&stream("s"), false).await.unwrap();
    assert!(log_files(&disk).len() < before && before > 3);
    create(&engine, "s", 2).await;
    put(&engine, "s", 0, "new").await.unwrap();
    assert_eq!(texts(&engine, "s", 0).await, ["new"]);
}

async fn create_refused(engine: &Engine) {
    let request = baikonur_stream::CreateStream {
        name: stream("v"),
        shard_count: 20,
        properties: baikonur_stream::StreamProperties::default(),
    };
    assert!(engine.create_stream(request).await.is_err(), "what is set aside is not for this");
}

#[test]
fn shortening_retention_on_a_full_disk_frees_what_expires() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let (mut bench, _) = shadow::open(&disk, &clock, Durability::Fsync).unwrap();
    let hours = |n| RetentionHours::new(n).unwrap();
    for name in ["s", "t"] {
        assert!(bench.create(name));
        change(
            &mut bench,
            Change::Stream(stream(name), StreamChange::IncreaseRetention(hours(72))),
        );
    }
    let (mut shadow, mut random) = (shadow::Shadow::default(), Random(1));
    while log_files(&disk).len() < 4 {
        assert!(shadow.group(&mut bench, &mut random));
    }
    clock.advance(HOUR * 30);
    disk.set_space(Some(0));
    while shadow.group(&mut bench, &mut random) {}
    change(&mut bench, Change::Stream(stream("s"), StreamChange::DecreaseRetention(hours(24))));
    assert_eq!(log_files(&disk).len(), 4, "the other stream keeps them");
    while shadow.group(&mut bench, &mut random) {}
    change(&mut bench, Change::Stream(stream("t"), StreamChange::DecreaseRetention(hours(24))));
    assert!(log_files(&disk).len() < 4);
    assert!(shadow.group(&mut bench, &mut random), "there is space again");
}

#[test]
fn a_segment_that_fills_the_disk_alone_is_sealed_and_expires() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let (mut bench, _) = shadow::open(&disk, &clock, Durability::Fsync).unwrap();
    assert!(bench.create("s") && bench.create("t"));
    let mut shadow = shadow::Shadow::default();
    while log_files(&disk)[0].1.len() < 800 {
        assert!(shadow.group(&mut bench, &mut Random(1)));
    }
    disk.set_space(Some(0));
    clock.advance(HOUR * 25);
    bench.writer.keep_house();
    let (name, _) = active(&disk);
    assert_eq!((log_files(&disk).len(), name.contains("2.segment")), (1, true));
    change(&mut bench, Change::Delete { name: stream("t"), with_consumers: false });
}
