//! Power loss, kills, failing syncs, full disks and flipped bits, against a model of what was
//! promised. `BAIKONUR_SEED=n` replays one seed, `BAIKONUR_SEEDS=n` runs that many.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;

use baikonur_stream::{Clock, PutError};

use super::shadow::{Bench, Expect, Shadow, open};
use super::world::{START, TestClock, prepared, put, texts};
use crate::{Durability, Random, RecoveryReport, SimulatedDisk, VerifyReport, verify_on};

/// Runs a test for many seeds and names the one that fails.
pub(super) fn seeds(count: u64, test: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("BAIKONUR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BAIKONUR_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("replay with BAIKONUR_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

fn new_store(disk: &SimulatedDisk, clock: &Arc<TestClock>, durability: Durability) -> Bench {
    let (mut bench, _) = open(disk, clock, durability).unwrap();
    assert!(bench.create("s") && bench.create("t"));
    bench
}

/// Works until something fails or the steps are done.
fn work(
    bench: &mut Bench,
    shadow: &mut Shadow,
    clock: &TestClock,
    random: &mut Random,
    steps: u32,
) {
    for _ in 0..steps {
        if !shadow.step(bench, clock, random) {
            return;
        }
    }
}

/// Checks every byte, and that none is changed.
fn check(disk: &SimulatedDisk, clock: &TestClock) -> VerifyReport {
    let operations = disk.operations();
    let report = verify_on(disk, Path::new("simulated"), clock.now(), |_| ()).unwrap();
    assert_eq!(disk.operations(), operations);
    report
}

/// Opens a store twice: recovery run twice gives the same bytes as run once.
fn reopen(
    disk: &SimulatedDisk,
    clock: &Arc<TestClock>,
    durability: Durability,
) -> (Bench, RecoveryReport) {
    let before = check(disk, clock);
    let (bench, report) = open(disk, clock, durability).unwrap();
    drop(bench);
    let once = disk.files();
    if report.damaged.is_empty() && before.damage == 0 {
        let after = check(disk, clock);
        assert!(after.damage == 0 && after.repairable == 0, "{:?}", after.findings);
    }
    let found = before.damage > 0 || report.damaged.is_empty();
    assert!(found, "{:?}, but {report:?}", before.findings);
    let (bench, again) = open(disk, clock, durability).unwrap();
    assert_eq!(again.torn_tail, None, "the tail was cut by the first recovery");
    let (twice, changed) = (disk.files(), |name: &&String| once.contains_key(*name));
    assert_eq!(twice.keys().filter(changed).count(), once.len());
    assert!(twice == once, "the second recovery changed bytes");
    (bench, report)
}

/// What stood in the tail and in the middles that recovery reported, in files as they were before.
fn reported(files: &BTreeMap<String, Vec<u8>>, report: &RecoveryReport) -> Vec<Vec<u8>> {
    let stretch = |what: &String| {
        let words: Vec<_> = what.split([' ', ',']).collect();
        let bytes = &files[words[0]];
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
        let to = number(4).filter(|_| words[3] == "to").unwrap_or(bytes.len());
        bytes[number(2).unwrap_or(0)..to.min(bytes.len())].to_vec()
    };
    report.torn_tail.iter().chain(&report.damaged).map(stretch).collect()
}

#[test]
fn power_loss_at_every_operation_of_a_workload_loses_nothing_acknowledged() {
    let durability = Durability::Fsync;
    let operations = {
        let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
        let mut bench = new_store(&disk, &clock, durability);
        let before = disk.operations();
        work(&mut bench, &mut Shadow::default(), &clock, &mut Random(1), 60);
        bench.writer.finish();
        disk.operations() - before
    };
    assert!(operations > 120, "the workload syncs often and rolls segments");
    for at in 1..=operations {
        for variant in 0..8 {
            let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
            let mut bench = new_store(&disk, &clock, durability);
            let mut shadow = Shadow::default();
            disk.lose_power_at(at);
            work(&mut bench, &mut shadow, &clock, &mut Random(1), 60);
            bench.writer.finish();
            let disk = disk.after_power_loss(&mut Random(variant ^ at << 8));
            let (mut bench, _) = reopen(&disk, &clock, durability);
            shadow.check(&bench, Expect::All);
            work(&mut bench, &mut shadow, &clock, &mut Random(2), 5);
            shadow.check(&bench, Expect::All);
        }
    }
}

#[test]
fn seeded_faults_lose_nothing_acknowledged() {
    seeds(1_500, |seed| {
        let mut random = Random(seed);
        let (mut disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
        let mut bench = new_store(&disk, &clock, Durability::Fsync);
        let mut shadow = Shadow::default();
        for _ in 0..1 + random.below(4) {
            let fault = random.below(5);
            match fault {
                0 => disk.lose_power_at(1 + random.below(80)),
                1 => disk.set_space(Some(random.below(4_000))),
                2 => disk.fail_syncs(random.below(2)),
                _ => {}
            }
            work(&mut bench, &mut shadow, &clock, &mut random, 30);
            if fault == 1 {
                // When there is space again, the same store takes records again.
                disk.set_space(None);
                shadow.check(&bench, Expect::All);
                work(&mut bench, &mut shadow, &clock, &mut random, 10);
                assert_eq!(bench.store.closed(), None);
            }
            if fault == 3 {
                bench.writer.finish();
            } else {
                drop(bench.writer);
            }
            let killed = random.one_in(3);
            disk = if killed { disk.after_kill() } else { disk.after_power_loss(&mut random) };
            let (opened, report) = reopen(&disk, &clock, Durability::Fsync);
            bench = opened;
            let checked = check(&disk, &clock);
            assert_eq!(checked.damage, 0, "{:?}", checked.findings);
            let quiet = report.damaged.is_empty() && report.torn_tail.is_none();
            assert!(!killed || fault != 3 || quiet, "nothing to report after a clean end");
            shadow.check(&bench, Expect::All);
        }
    });
}

#[test]
fn a_full_disk_at_opening_loses_nothing_and_gives_no_number_twice() {
    seeds(700, |seed| {
        let mut random = Random(seed);
        let (mut disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
        let mut bench = new_store(&disk, &clock, Durability::Fsync);
        let mut shadow = Shadow::default();
        for _ in 0..2 + random.below(3) {
            let durability =
                if random.one_in(2) { Durability::Fsync } else { Durability::OsBuffer };
            if random.one_in(2) {
                disk.lose_power_at(1 + random.below(60));
            }
            work(&mut bench, &mut shadow, &clock, &mut random, 20);
            // Some of them while the disk is full still, with nothing but reading in between.
            for _ in 0..1 + random.below(3) {
                disk = disk.after_kill();
                disk.set_space(Some(random.below(600)));
                bench = open(&disk, &clock, durability).unwrap().0;
                shadow.check(&bench, Expect::All);
            }
            work(&mut bench, &mut shadow, &clock, &mut random, 5);
            disk.set_space(None);
            work(&mut bench, &mut shadow, &clock, &mut random, 10);
            assert_eq!(bench.store.closed(), None);
            shadow.check(&bench, Expect::All);
        }
    });
}

#[test]
fn without_fsync_a_kill_loses_nothing_and_power_loss_never_gives_a_number_twice() {
    seeds(1_000, |seed| {
        let mut random = Random(seed);
        let (mut disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
        let mut bench = new_store(&disk, &clock, Durability::OsBuffer);
        let mut shadow = Shadow::default();
        for _ in 0..1 + random.below(4) {
            let kill = random.one_in(2);
            if !kill && random.one_in(2) {
                disk.lose_power_at(1 + random.below(60));
            }
            work(&mut bench, &mut shadow, &clock, &mut random, 30);
            disk = if kill { disk.after_kill() } else { disk.after_power_loss(&mut random) };
            let durability =
                if random.one_in(4) { Durability::Fsync } else { Durability::OsBuffer };
            bench = reopen(&disk, &clock, durability).0;
            shadow.check(&bench, if kill { Expect::All } else { Expect::Loss });
        }
    });
}

#[test]
fn flipped_bits_give_no_wrong_record_and_no_silent_loss() {
    seeds(1_500, |seed| {
        let mut random = Random(seed);
        let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
        let mut bench = new_store(&disk, &clock, Durability::Fsync);
        let mut shadow = Shadow::default();
        work(&mut bench, &mut shadow, &clock, &mut random, 25);
        if random.one_in(2) {
            bench.writer.finish();
        }
        let disk = disk.after_kill();
        let files = disk.files();
        let logs: Vec<_> = files.iter().filter(|(name, _)| name.starts_with("log/")).collect();
        for _ in 0..=random.below(3) {
            let (name, bytes) = &logs[random.below(logs.len() as u64) as usize];
            disk.flip(name, random.below(bytes.len() as u64 * 8) as usize);
        }
        let (mut bench, report) = reopen(&disk, &clock, Durability::Fsync);
        let bytes = reported(&files, &report);
        shadow.check(&bench, Expect::ReportedLoss(&bytes));
        work(&mut bench, &mut shadow, &clock, &mut random, 10);
        shadow.check(&bench, Expect::ReportedLoss(&[]));
    });
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_taken_until_the_store_is_opened_again() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "before").await.unwrap();
    disk.fail_syncs(1);
    assert!(matches!(put(&engine, "s", 0, "lost").await, Err(PutError::Unavailable(_))));
    assert!(matches!(put(&engine, "s", 0, "later").await, Err(PutError::Unavailable(_))));
    assert!(engine.health().writes_closed.is_some());
    assert_eq!(texts(&engine, "s", 0).await, ["before"], "readers go on, with what is durable");
}

#[tokio::test]
async fn bytes_that_a_failed_sync_left_in_memory_only_are_written_again_before_they_are_shown() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    disk.fail_syncs(1);
    assert!(put(&engine, "s", 0, "unanswered").await.is_err());
    // The process starts again; the machine, with the bytes in its memory, went on.
    let disk = disk.after_kill();
    let (engine, _) = super::world::open(&disk, &clock);
    assert_eq!(texts(&engine, "s", 0).await, ["unanswered"]);
    put(&engine, "s", 0, "next").await.unwrap();
    for seed in 0..20 {
        let disk = disk.after_power_loss(&mut Random(seed));
        let (engine, report) = super::world::open(&disk, &clock);
        assert!(report.damaged.is_empty(), "{report:?}");
        assert_eq!(texts(&engine, "s", 0).await, ["unanswered", "next"]);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_puts_and_recovers_by_itself() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    let first = put(&engine, "s", 0, "one").await.unwrap();
    disk.set_space(Some(20));
    assert!(matches!(put(&engine, "s", 0, "two").await, Err(PutError::StorageFull(_))));
    disk.set_space(None);
    let third = put(&engine, "s", 0, "three").await.unwrap();
    assert_eq!(third.counter(), first.counter() + 1, "no number was handed out in between");
    assert_eq!(texts(&engine, "s", 0).await, ["one", "three"]);
}
