//! Damage: reported with its place, kept in mind, read past, and never larger than it is.

use std::sync::Arc;

use baikonur_stream::{Read, ReadError, ReadLimits, StartingPosition};

use super::world::*;
use crate::{Random, SimulatedDisk};

/// The log's files in order.
fn log_files(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    disk.files().into_iter().filter(|(name, _)| name.starts_with("log/")).collect()
}

/// The place of a payload in a file.
fn find(bytes: &[u8], payload: &str) -> usize {
    bytes.windows(payload.len()).position(|window| window == payload.as_bytes()).unwrap()
}

/// A closed store in which shard 0 of `s` has `count` records.
async fn closed_store(count: u32, clock: &Arc<TestClock>) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let engine = prepared(&disk, clock).await;
    for n in 0..count {
        put(&engine, "s", 0, &format!("record {n:03}")).await.unwrap();
    }
    engine.close().await;
    disk.after_kill()
}

fn all_but(lost: u32, count: u32) -> Vec<String> {
    (0..count).filter(|n| *n != lost).map(|n| format!("record {n:03}")).collect()
}

#[tokio::test]
async fn a_broken_middle_is_reported_and_everything_around_it_stays_readable() {
    let clock = TestClock::at(START);
    let disk = closed_store(6, &clock).await;
    let (name, bytes) = log_files(&disk).remove(0);
    disk.flip(&name, find(&bytes, "record 002") * 8);
    let (engine, report) = open(&disk, &clock);
    assert_eq!(report.damaged.len(), 1, "{report:?}");
    assert!(report.damaged[0].starts_with(&name), "{report:?}");
    assert_eq!(engine.health().damaged, report.damaged);
    let (texts, damage) = texts_and_damage(&engine, "s", 0).await;
    assert_eq!(texts, all_but(2, 6));
    assert!(damage.len() == 1 && damage[0].contains("records 3 to 3"), "{damage:?}");
    let number = put(&engine, "s", 0, "after").await.unwrap();
    assert!(number.counter() > 1_000, "numbers that may have been given are passed over");
}

#[tokio::test]
async fn damage_found_once_is_still_known_at_later_openings() {
    let clock = TestClock::at(START);
    let disk = closed_store(6, &clock).await;
    let (name, bytes) = log_files(&disk).remove(0);
    disk.flip(&name, find(&bytes, "record 002") * 8);
    let (engine, first) = open(&disk, &clock);
    engine.close().await;
    drop(engine);
    let (engine, second) = open(&disk, &clock);
    assert_eq!(second.damaged, first.damaged);
    assert_eq!(texts_and_damage(&engine, "s", 0).await.0, all_but(2, 6));
}

#[tokio::test]
async fn damage_in_a_sealed_segment_is_named_and_can_be_read_past() {
    let clock = TestClock::at(START);
    let disk = closed_store(80, &clock).await;
    let (name, bytes) = log_files(&disk).remove(0);
    disk.flip(&name, find(&bytes, "record 002") * 8);
    let (engine, report) = open(&disk, &clock);
    assert!(report.damaged.is_empty(), "recovery reads footers of sealed segments only");
    let (texts, damage) = texts_and_damage(&engine, "s", 0).await;
    assert_eq!(texts, all_but(2, 80));
    assert!(damage.len() == 1 && damage[0].contains(&name), "{damage:?}");
    assert!(damage[0].contains("shardId-000000000000"), "{damage:?}");
    assert_eq!(engine.health().damaged, damage);
}

#[tokio::test]
async fn a_page_ends_before_damage_and_the_next_one_begins_with_it() {
    let clock = TestClock::at(START);
    let disk = closed_store(80, &clock).await;
    let (name, bytes) = log_files(&disk).remove(0);
    disk.flip(&name, find(&bytes, "record 002") * 8);
    let (engine, _) = open(&disk, &clock);
    let start = engine.seek(&shard("s", 0), StartingPosition::TrimHorizon).await.unwrap();
    let limits = ReadLimits { records: 100, bytes: 100_000 };
    let page = engine.read(&start, limits).await.unwrap();
    assert_eq!(page.records.len(), 2);
    let error = engine.read(&page.next.unwrap(), limits).await.unwrap_err();
    let ReadError::Damaged { resume: Some(resume), .. } = error else { panic!("{error}") };
    assert_eq!(engine.read(&resume, limits).await.unwrap().records.len(), 77);
}

#[tokio::test]
async fn a_lost_footer_is_made_up_for_by_a_scan_and_written_again() {
    let clock = TestClock::at(START);
    let disk = closed_store(80, &clock).await;
    let (name, bytes) = log_files(&disk).remove(0);
    disk.cut(&name, bytes.len() - 5);
    let (engine, report) = open(&disk, &clock);
    assert_eq!(report.rebuilt, std::slice::from_ref(&name));
    assert_eq!(texts(&engine, "s", 0).await.len(), 80);
    engine.close().await;
    drop(engine);
    let (engine, report) = open(&disk, &clock);
    assert!(report.rebuilt.is_empty(), "{report:?}");
    assert_eq!(texts(&engine, "s", 0).await.len(), 80);
}

#[tokio::test]
async fn a_lost_snapshot_is_made_up_for_by_the_segments_before() {
    let clock = TestClock::at(START);
    let disk = closed_store(80, &clock).await;
    let (name, _) = log_files(&disk).pop().unwrap();
    disk.flip(&name, 30 * 8);
    let (engine, report) = open(&disk, &clock);
    assert_eq!(report.damaged.len(), 1, "{report:?}");
    assert_eq!(texts_and_damage(&engine, "s", 0).await.0.len(), 80);
    assert!(put(&engine, "s", 0, "after").await.unwrap().counter() > 80);
}

#[tokio::test]
async fn what_is_lost_with_the_snapshot_and_the_footer_of_a_segment_is_told_all_the_same() {
    let clock = TestClock::at(START);
    let disk = closed_store(80, &clock).await;
    let (name, bytes) = log_files(&disk).remove(1);
    disk.flip(&name, 30 * 8);
    let first = bytes.windows(7).position(|window| window == b"record ").unwrap();
    let lost: u32 = std::str::from_utf8(&bytes[first + 7..first + 10]).unwrap().parse().unwrap();
    disk.flip(&name, first * 8);
    disk.cut(&name, bytes.len() - 5);
    let (engine, report) = open(&disk, &clock);
    assert_eq!(report.rebuilt, [name]);
    let (texts, damage) = texts_and_damage(&engine, "s", 0).await;
    assert_eq!(texts, all_but(lost, 80));
    let counter = lost + 1;
    assert!(damage.len() == 1 && damage[0].contains(&format!("records {counter} to {counter}")));
}

#[tokio::test]
async fn a_frame_inside_a_payload_is_not_taken_for_a_frame_of_the_log() {
    let clock = TestClock::at(START);
    let donor = closed_store(3, &clock).await;
    let (_, foreign) = log_files(&donor).remove(0);
    let disk = SimulatedDisk::default();
    let engine = prepared(&disk, &clock).await;
    let mut carrier = entry(0, "");
    carrier.data = foreign.into();
    engine_put(&engine, carrier).await;
    for n in 0..3 {
        put(&engine, "s", 0, &format!("behind {n}")).await.unwrap();
    }
    drop(engine);
    let disk = disk.after_kill();
    for (name, bytes) in log_files(&disk) {
        if let Some(at) = bytes.windows(10).position(|window| window == b"record 000") {
            disk.flip(&name, (at - 60) * 8);
        }
    }
    let (engine, _) = open(&disk, &clock);
    let (texts, damage) = texts_and_damage(&engine, "s", 0).await;
    assert_eq!(texts, ["behind 0", "behind 1", "behind 2"]);
    assert_eq!(damage.len(), 1, "{damage:?}");
}

async fn engine_put(engine: &crate::Engine, entry: baikonur_stream::PutEntry) {
    let placed = baikonur_stream::Write::put(engine, &stream("s"), vec![entry], None).await;
    assert!(placed.unwrap()[0].is_ok());
}

#[tokio::test]
async fn a_removed_log_is_reported_and_its_numbers_are_not_given_again() {
    let clock = TestClock::at(START);
    let full = closed_store(10, &clock).await;
    let disk = SimulatedDisk::default();
    for (name, bytes) in full.files() {
        if !name.starts_with("log/") {
            disk.put_file(&name, bytes);
        }
    }
    let (engine, report) = open(&disk, &clock);
    assert_eq!(report.damaged.len(), 1);
    assert!(put(&engine, "s", 0, "new").await.unwrap().counter() > 10);
}

#[tokio::test]
async fn any_bytes_as_segments_are_opened_or_refused_but_never_a_panic() {
    let clock = TestClock::at(START);
    let good = closed_store(60, &clock).await;
    for seed in 0..500 {
        let mut random = Random(seed);
        let disk = good.after_kill();
        for (name, bytes) in log_files(&disk) {
            for _ in 0..random.below(6) {
                disk.flip(&name, random.below(bytes.len() as u64 * 8) as usize);
            }
            if random.one_in(4) {
                disk.cut(&name, random.below(bytes.len() as u64) as usize);
            }
            if random.one_in(8) {
                let noise = (0..random.below(3_000)).map(|_| random.below(256) as u8).collect();
                disk.put_file(&name, noise);
            }
        }
        let now = baikonur_stream::Clock::now(&*clock);
        crate::verify_on(&disk, std::path::Path::new("d"), now, |_| ()).unwrap();
        let clock: Arc<dyn baikonur_stream::Clock> = clock.clone();
        let opened = crate::Engine::open_on(Arc::new(disk), settings(), clock);
        if let Ok((engine, _)) = opened {
            texts_and_damage(&engine, "s", 0).await;
        }
    }
}
