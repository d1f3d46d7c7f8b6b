//! A check finds what is wrong, where, and changes nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{Administer, Clock};

use super::world::*;
use crate::frame::{Commit, Frames, Kind, ShardKey, write_key};
use crate::{
    Engine, EngineSettings, Finding, Random, Severity, SimulatedDisk, VerifyAccess, VerifyError,
    VerifyReport, verify, verify_on,
};

fn check(disk: &SimulatedDisk, clock: &TestClock) -> VerifyReport {
    let before = disk.files();
    let report = verify_on(disk, Path::new("simulated"), clock.now(), |_| ()).unwrap();
    assert!(disk.files() == before, "a check changes nothing");
    report
}

/// The only finding.
fn only(report: &VerifyReport) -> &Finding {
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    &report.findings[0]
}

fn log_files(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    disk.files().into_iter().filter(|(name, _)| name.starts_with("log/")).collect()
}

/// A closed store in which `s` has 80 records in shard 0 and 40 in shard 1, over several segments.
async fn closed_store(clock: &Arc<TestClock>) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let engine = prepared(&disk, clock).await;
    for n in 0..120 {
        put(&engine, "s", u32::from(n % 3 == 2), &format!("record {n:03}")).await.unwrap();
    }
    engine.close().await;
    disk.after_kill()
}

fn find(bytes: &[u8], payload: &str) -> usize {
    bytes.windows(payload.len()).position(|window| window == payload.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_whole_store_is_counted_and_has_no_findings() {
    let clock = TestClock::at(START);
    let disk = closed_store(&clock).await;
    let mut seen = Vec::new();
    let report = verify_on(&disk, Path::new("d"), clock.now(), |done| seen.push(done)).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let files = log_files(&disk);
    assert_eq!(report.segments, files.len() as u64);
    assert_eq!(report.bytes, files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    assert_eq!((report.records, report.deleted_records), (120, 0));
    // A record has 10 bytes of payload and a key of 3.
    assert_eq!((report.streams.len(), report.streams[0].bytes), (1, 120 * 13));
    assert_eq!(report.streams[0].name, stream("s"));
    let last = seen.last().unwrap();
    assert_eq!((last.segments, last.bytes), (last.segments_total, last.bytes_total));
    assert_eq!(seen.len(), files.len() + 1);
}

#[tokio::test]
async fn damage_is_named_with_its_file_its_place_and_the_records_lost() {
    let clock = TestClock::at(START);
    let whole = closed_store(&clock).await;
    let files = log_files(&whole);
    for (at, n) in [(0, 3), (files.len() - 1, 118)] {
        let (name, bytes) = &files[at];
        let (disk, payload) = (whole.after_kill(), format!("record {n:03}"));
        disk.flip(name, find(bytes, &payload) * 8);
        let report = check(&disk, &clock);
        let found = only(&report);
        assert_eq!((&found.file, found.severity, report.damage), (name, Severity::Damage, 1));
        // A header, the head of a block, lengths and key stand in front of the payload.
        assert_eq!(found.offset, Some(find(bytes, &payload) as u64 - 16 - 32 - 9));
        let counter = n + 1 - (n + 1) / 3;
        let records = format!("records {counter} to {counter} of shardId-000000000000 of stream s");
        assert!(found.what.contains(&records), "{found:?}");
        assert_eq!(report.records, 119);
    }
}

#[tokio::test]
async fn what_an_opening_puts_right_is_told_and_is_no_damage() {
    let clock = TestClock::at(START);
    let whole = closed_store(&clock).await;
    let files = log_files(&whole);
    let repairable = |disk: &SimulatedDisk, what: &str| {
        let report = check(disk, &clock);
        let found = report.findings.iter().find(|found| found.severity == Severity::Repairable);
        assert!(found.is_some_and(|found| found.what.contains(what)), "{:?}", report.findings);
        assert_eq!((report.damage, report.repairable), (0, 1), "{:?}", report.findings);
    };
    let (first, last) = (&files[0], &files[files.len() - 1]);
    let disk = whole.after_kill();
    disk.cut(&first.0, first.1.len() - 5);
    repairable(&disk, "footer is missing");
    let disk = whole.after_kill();
    disk.cut(&last.0, last.1.len() - 40);
    repairable(&disk, "torn tail");
    let disk = whole.after_kill();
    disk.put_file("log/00000000000000000099.segment", vec![0; 70]);
    repairable(&disk, "was being made");
    open(&disk, &clock).0.close().await;
    assert_eq!(check(&disk, &clock).findings, [], "an opening puts it right");
}

#[tokio::test]
async fn a_segment_that_is_gone_matters_only_while_its_records_could_be_read() {
    let clock = TestClock::at(START);
    let disk = closed_store(&clock).await;
    let files = log_files(&disk);
    let without = |gone: usize| {
        let other = SimulatedDisk::default();
        for (name, bytes) in disk.files() {
            if name != files[gone].0 {
                other.put_file(&name, bytes);
            }
        }
        other
    };
    for gone in [0, 2] {
        let report = check(&without(gone), &clock);
        let (number, found) = (gone + 1, only(&report));
        let what = format!("segments {number} to {number} are gone with records of stream s");
        assert!(found.what.starts_with(&what), "{found:?}");
        assert_eq!(found.severity, Severity::Damage);
    }
    clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(check(&without(2), &clock).findings, []);
}

#[tokio::test]
async fn records_of_deleted_streams_are_counted_and_those_of_unknown_ones_are_damage() {
    let clock = TestClock::at(START);
    let disk = SimulatedDisk::default();
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "one").await.unwrap();
    let old = disk.files()["catalog.json"].clone();
    create(&engine, "t", 2).await;
    put(&engine, "t", 1, "two").await.unwrap();
    engine.close().await;
    let disk = disk.after_kill();
    let behind = disk.after_kill();
    behind.put_file("catalog.json", old);
    let report = check(&behind, &clock);
    assert!(only(&report).what.contains("never heard of"), "{report:?}");
    let (engine, _) = open(&disk, &clock);
    engine.delete_stream(&stream("t"), false).await.unwrap();
    engine.close().await;
    let report = check(&disk, &clock);
    assert_eq!((report.records, report.deleted_records, report.damage), (2, 1, 0));
}

#[tokio::test]
async fn format_and_catalog_are_checked_and_the_segments_all_the_same() {
    let clock = TestClock::at(START);
    let whole = closed_store(&clock).await;
    let disk = whole.after_kill();
    let at = find(&disk.files()["catalog.json"], "incarnation");
    disk.flip("catalog.json", at * 8);
    let report = check(&disk, &clock);
    assert!(only(&report).file == "catalog.json" && report.records == 120, "{report:?}");
    let disk = whole.after_kill();
    disk.put_file("FORMAT", b"baikonur streams, format 7".to_vec());
    let report = check(&disk, &clock);
    assert!(only(&report).what.contains("format 7"), "{report:?}");
    for gone in ["FORMAT", "catalog.json"] {
        let other = SimulatedDisk::default();
        whole.files().into_iter().filter(|(name, _)| name != gone).for_each(|(name, bytes)| {
            other.put_file(&name, bytes);
        });
        let report = check(&other, &clock);
        assert!(only(&report).file == gone && report.records == 120, "{report:?}");
    }
    let nothing = verify_on(&SimulatedDisk::default(), Path::new("d"), clock.now(), |_| ());
    assert!(matches!(nothing, Err(VerifyError::NoStore { .. })));
}

/// A number that fits, or one at the edge of what can be.
fn number(random: &mut Random) -> [u8; 8] {
    let edges = [0, 1, 2, 3, START, u64::MAX >> 1, u64::MAX, 1 << 32];
    edges[random.below(edges.len() as u64) as usize].to_le_bytes()
}

/// Whole frames with any bodies.
fn frames(segment: u64, random: &mut Random) -> Vec<u8> {
    let kinds = [Kind::Block, Kind::Note, Kind::Snapshot, Kind::Commit, Kind::Places, Kind::Footer];
    let mut frames = Frames::new(segment, 0, Vec::new());
    let (mut start, mut footer) = (0, 0);
    for group in 1..=random.below(12) {
        let kind = kinds[random.below(6) as usize];
        let (at, _) = frames.add(kind, |body| match kind {
            Kind::Commit => Commit { group, start, clean: random.one_in(2) }.write(body),
            Kind::Block | Kind::Places => {
                write_key(body, ShardKey { incarnation: START, shard: random.below(3) as u32 });
                (0..random.below(6)).for_each(|_| body.extend_from_slice(&number(random)));
            }
            _ => (0..random.below(9)).for_each(|_| body.extend_from_slice(&number(random))),
        });
        match kind {
            Kind::Commit => start = frames.end(),
            Kind::Footer => footer = at,
            _ => {}
        }
    }
    let mut bytes = frames.bytes;
    if random.one_in(2) {
        let trailer = [&footer.to_le_bytes()[..], b"BKT1"].concat();
        bytes.extend_from_slice(&trailer);
        bytes.extend_from_slice(&crc32c::crc32c(&trailer).to_le_bytes());
    }
    bytes
}

#[tokio::test]
async fn any_frames_are_checked_opened_and_read_or_refused_but_never_a_panic() {
    let clock = TestClock::at(START);
    let whole = closed_store(&clock).await;
    for seed in 0..3_000 {
        let (mut random, disk) = (Random(seed), whole.after_kill());
        for segment in 1..=1 + random.below(8) {
            let bytes = frames(segment, &mut random);
            disk.put_file(&format!("log/{segment:020}.segment"), bytes);
        }
        if random.one_in(4) {
            let noise = (0..random.below(300)).map(|_| random.below(256) as u8).collect();
            let names = ["FORMAT", "catalog.json", "RESERVE", "log/18446744073709551615.segment"];
            disk.put_file(names[random.below(4) as usize], noise);
        }
        check(&disk, &clock);
        let clock: Arc<dyn Clock> = clock.clone();
        if let Ok((engine, _)) = Engine::open_on(Arc::new(disk), settings(), clock) {
            texts_and_damage(&engine, "s", 0).await;
            let _ = put(&engine, "s", 0, "more").await;
        }
    }
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_a_copy_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(START);
    let settings = EngineSettings::new(folder.path());
    let (engine, _) = Engine::open(settings, clock.clone()).unwrap();
    create(&engine, "s", 1).await;
    engine.close().await;
    let verify = |access| verify(folder.path(), access, clock.now(), |_| ());
    assert!(matches!(verify(VerifyAccess::Locked), Err(VerifyError::InUse { .. })));
    assert_eq!(verify(VerifyAccess::Copy).unwrap().findings, []);
    drop(engine);
    let report = verify(VerifyAccess::Locked).unwrap();
    assert_eq!((report.segments, report.streams.len()), (1, 1));
    std::fs::remove_file(folder.path().join("LOCK")).unwrap();
    verify(VerifyAccess::Locked).unwrap();
    assert!(!folder.path().join("LOCK").exists(), "a check makes nothing");
}
