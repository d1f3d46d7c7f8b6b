//! Power loss, kills, failing syncs, full disks and flipped bits, against a model of what was
//! acknowledged. `BAIKONUR_SEED=n` replays one seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use baikonur_engine::Engine;
use baikonur_stream::{
    Checkpoint, ConsumerName, ProducerPosition, Progress, PutError, ReadError, SequenceNumber,
    ShardProgress, StartingPosition, Write,
};

use crate::simulated::{Random, SimulatedDisk};
use crate::world::*;

/// What was promised.
#[derive(Default, Clone)]
struct Model {
    /// Acknowledged records by shard, with their numbers.
    acknowledged: BTreeMap<u32, Vec<(SequenceNumber, String)>>,
    /// Records of puts that failed or were never answered: each put is there whole, or not at all.
    unknown: Vec<Vec<(u32, String)>>,
    progress: Option<ShardProgress>,
    /// Stores of progress that were not answered since.
    progress_unknown: Vec<ShardProgress>,
    next: u64,
}

const PRODUCER: &str = "forward";

impl Model {
    /// Puts a few records in one call over both shards, remembering how many were put.
    async fn put(&mut self, engine: &Engine, random: &mut Random) -> Result<(), PutError> {
        let mut records = Vec::new();
        for _ in 0..=random.below(4) {
            self.next += 1;
            let padding = "x".repeat(random.below(60) as usize);
            records.push((random.below(2) as u32, format!("{}:{padding}", self.next)));
        }
        let entries = records.iter().map(|(shard, data)| entry(*shard, data)).collect();
        let up_to = SequenceNumber::new(START, 0, self.next, START);
        let remember = ProducerPosition { producer: PRODUCER.into(), up_to };
        match engine.put(&stream("s"), entries, Some(remember)).await {
            Ok(placed) => {
                for ((shard, data), placed) in records.into_iter().zip(placed) {
                    let number = placed.unwrap().sequence_number;
                    self.acknowledged.entry(shard).or_default().push((number, data));
                }
                Ok(())
            }
            Err(error) => {
                self.unknown.push(records);
                Err(error)
            }
        }
    }

    async fn checkpoint(&mut self, engine: &Engine) -> bool {
        let number = SequenceNumber::new(START, 0, self.next, START);
        let progress = ShardProgress { checkpoint: Some(Checkpoint::After(number)), intent: None };
        let stored = engine.store(&ConsumerName::new("c"), &shard("s", 0), &progress).await;
        match stored {
            Ok(()) => {
                self.progress = Some(progress);
                self.progress_unknown.clear();
                true
            }
            Err(_) => {
                self.progress_unknown.push(progress);
                false
            }
        }
    }

    /// Everything promised is there, in order, and nothing that was not put.
    async fn check(&mut self, engine: &Engine, seed: u64) {
        let mut found = BTreeMap::new();
        for index in 0..2 {
            let start = StartingPosition::TrimHorizon;
            let records = read_from(engine, &shard("s", index), start).await.unwrap();
            for record in records {
                let data = String::from_utf8(record.data.to_vec()).unwrap();
                let before = found.insert(data, (index, record.sequence_number));
                assert!(before.is_none(), "a record twice, seed {seed}");
            }
        }
        for (index, records) in &self.acknowledged {
            for (number, data) in records {
                let place = found.remove(data);
                assert_eq!(
                    place,
                    Some((*index, *number)),
                    "{data:.8} was acknowledged, seed {seed}"
                );
            }
        }
        let mut highest_put = self.highest_acknowledged();
        for put in std::mem::take(&mut self.unknown) {
            let there: Vec<_> = put.iter().filter(|(_, data)| found.contains_key(data)).collect();
            assert!(there.is_empty() || there.len() == put.len(), "a put in part, seed {seed}");
            for (index, data) in there {
                let (_, number) = found.remove(data).unwrap();
                highest_put = highest_put.max(counter_in(data));
                self.acknowledged.entry(*index).or_default().push((number, data.clone()));
            }
        }
        assert!(found.is_empty(), "records from nowhere: {found:?}, seed {seed}");
        let remembered = engine.remembered(PRODUCER).await.unwrap();
        let remembered = remembered.map_or(0, SequenceNumber::counter);
        assert_eq!(remembered, highest_put, "position apart from its records, seed {seed}");
        let progress = engine.load(&ConsumerName::new("c"), &shard("s", 0)).await.unwrap();
        let expected = self.progress.clone().unwrap_or_default();
        assert!(
            progress == expected || self.progress_unknown.contains(&progress),
            "progress {progress:?}, seed {seed}"
        );
        self.progress = Some(progress);
        self.progress_unknown.clear();
    }

    fn highest_acknowledged(&self) -> u64 {
        let all = self.acknowledged.values().flatten();
        all.map(|(_, data)| counter_in(data)).max().unwrap_or(0)
    }
}

fn counter_in(data: &str) -> u64 {
    data.split(':').next().unwrap().parse().unwrap()
}

/// Works until something fails or the steps are done.
async fn work(engine: &Engine, model: &mut Model, random: &mut Random, steps: u32) {
    for _ in 0..steps {
        let good = match random.below(5) {
            0 => model.checkpoint(engine).await,
            _ => model.put(engine, random).await.is_ok(),
        };
        if !good {
            return;
        }
    }
}

/// Recovery run twice gives the same bytes as run once.
async fn reopen(disk: &SimulatedDisk, clock: &Arc<TestClock>) -> Engine {
    let (engine, _) = open(disk, clock);
    engine.close().await;
    drop(engine);
    let once = disk.files();
    let (engine, report) = open(disk, clock);
    assert_eq!(report.torn_tail, None, "the tail was cut by the first recovery");
    assert_eq!(disk.files(), once);
    engine
}

async fn prepared(disk: &SimulatedDisk, clock: &Arc<TestClock>) -> Engine {
    let (engine, _) = open(disk, clock);
    create(&engine, "s", 2).await;
    engine
}

#[tokio::test]
async fn power_loss_at_every_operation_of_a_workload_loses_nothing_acknowledged() {
    let operations = {
        let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
        let engine = prepared(&disk, &clock).await;
        let before = disk.operations();
        work(&engine, &mut Model::default(), &mut Random(1), 60).await;
        disk.operations() - before
    };
    assert!(operations > 100, "the workload syncs often and rolls segments");
    for at in 1..=operations {
        for seed in 0..4 {
            let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
            let engine = prepared(&disk, &clock).await;
            let mut model = Model::default();
            disk.lose_power_at(at);
            work(&engine, &mut model, &mut Random(1), 60).await;
            engine.close().await;
            let disk = disk.after_power_loss(&mut Random(seed ^ at << 8));
            let engine = reopen(&disk, &clock).await;
            model.check(&engine, at).await;
            work(&engine, &mut model, &mut Random(2), 5).await;
            model.check(&engine, at).await;
        }
    }
}

#[tokio::test]
async fn seeded_power_losses_kills_failing_syncs_and_full_disks_lose_nothing_acknowledged() {
    let replay = std::env::var("BAIKONUR_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = replay.map_or(0..1_500, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let mut random = Random(seed);
        let mut disk = SimulatedDisk::default();
        let clock = TestClock::at(START);
        let mut engine = prepared(&disk, &clock).await;
        let mut model = Model::default();
        for _ in 0..1 + random.below(4) {
            let fault = random.below(4);
            match fault {
                0 => disk.lose_power_at(1 + random.below(80)),
                1 => disk.set_space(Some(random.below(3_000))),
                2 => disk.fail_syncs(random.below(2)),
                _ => {}
            }
            work(&engine, &mut model, &mut random, 40).await;
            if fault == 1 {
                // When there is space again, the same store takes records again.
                disk.set_space(None);
                model.put(&engine, &mut random).await.unwrap();
            }
            engine.close().await;
            disk = if fault == 3 { disk.after_kill() } else { disk.after_power_loss(&mut random) };
            engine = reopen(&disk, &clock).await;
            model.check(&engine, seed).await;
        }
    }
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
async fn a_full_disk_refuses_puts_and_recovers_by_itself() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    put(&engine, "s", 0, "one").await.unwrap();
    disk.set_space(Some(20));
    assert!(matches!(put(&engine, "s", 0, "two").await, Err(PutError::StorageFull(_))));
    disk.set_space(None);
    put(&engine, "s", 0, "three").await.unwrap();
    assert_eq!(texts(&engine, "s", 0).await, ["one", "three"]);
}

#[tokio::test]
async fn a_broken_middle_is_reported_and_everything_around_it_stays_readable() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    for n in 0..6 {
        put(&engine, "s", 0, &format!("record {n}")).await.unwrap();
    }
    engine.close().await;
    drop(engine);
    let disk = disk.after_kill();
    let (name, bytes) =
        disk.files().into_iter().find(|(name, _)| name.starts_with("log/")).unwrap();
    let at = bytes.windows(8).position(|window| window == b"record 2").unwrap();
    disk.flip(&name, at * 8);
    let (engine, report) = open(&disk, &clock);
    assert_eq!(report.damaged.len(), 1, "{report:?}");
    assert_eq!(engine.health().damaged, report.damaged);
    let left = ["record 0", "record 1", "record 3", "record 4", "record 5"];
    assert_eq!(texts(&engine, "s", 0).await, left);
    let number = put(&engine, "s", 0, "after").await.unwrap();
    assert!(number.counter() > 1_000, "numbers that may have been given are passed over");
}

#[tokio::test]
async fn damage_in_a_sealed_segment_is_named_and_can_be_read_past() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    for n in 0..80 {
        put(&engine, "s", 0, &format!("record {n:03}")).await.unwrap();
    }
    let files = disk.files();
    let (name, bytes) = files.iter().find(|(name, _)| name.starts_with("log/")).unwrap();
    let at = bytes.windows(10).position(|window| window == b"record 002").unwrap();
    disk.flip(name, at * 8);
    let start = engine.seek_start().await;
    let error = read_from(&engine, &shard("s", 0), start).await.unwrap_err();
    let ReadError::Damaged { what, resume: Some(resume) } = error else { panic!("{error}") };
    assert!(what.contains(name.as_str()) && what.contains("shardId-000000000000"), "{what}");
    let behind = StartingPosition::AtSequenceNumber(resume.from);
    let rest = read_from(&engine, &shard("s", 0), behind).await.unwrap();
    assert_eq!(rest.len(), 77);
}

trait SeekStart {
    async fn seek_start(&self) -> StartingPosition;
}

impl SeekStart for Engine {
    /// Behind the first two records, so that the page starts with the damaged one.
    async fn seek_start(&self) -> StartingPosition {
        let first_two = baikonur_stream::ReadLimits { records: 2, bytes: 1_000 };
        let horizon = StartingPosition::TrimHorizon;
        let cursor = baikonur_stream::Read::seek(self, &shard("s", 0), horizon).await.unwrap();
        let page = baikonur_stream::Read::read(self, &cursor, first_two).await.unwrap();
        StartingPosition::AfterSequenceNumber(page.records[1].sequence_number)
    }
}

#[tokio::test]
async fn a_lost_footer_is_made_up_for_by_a_scan() {
    let (disk, clock) = (SimulatedDisk::default(), TestClock::at(START));
    let engine = prepared(&disk, &clock).await;
    let expected: Vec<String> = (0..80).map(|n| format!("record {n:03}")).collect();
    for data in &expected {
        put(&engine, "s", 0, data).await.unwrap();
    }
    engine.close().await;
    drop(engine);
    let disk = disk.after_kill();
    let files = disk.files();
    let (name, bytes) = files.iter().find(|(name, _)| name.starts_with("log/")).unwrap();
    disk.cut(name, bytes.len() - 5);
    let (engine, report) = open(&disk, &clock);
    assert_eq!(report.rebuilt, [name.clone()]);
    assert_eq!(texts(&engine, "s", 0).await, expected);
}
