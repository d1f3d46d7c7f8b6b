//! The machine in a small world of its own: a shard, a store of progress, a failed store and a
//! module whose faults are scripted or drawn from a seed. Crashes drop the machine and what the
//! module holds; everything stored stays.

mod batches;
mod failures;
mod held;
mod starts;

use std::collections::BTreeMap;

use baikonur_simulation::Random;
use baikonur_stream::{
    Cause, Close, GiveUpCondition, GivenUp, PartitionKey, RejectedRecord, ShardId, StreamName,
    Timestamp,
};
use bytes::Bytes;

use super::*;

fn number(counter: u64) -> SequenceNumber {
    SequenceNumber::new(1_600_000_000, 0, counter, 1_600_000_000)
}

fn record(counter: u64) -> Record {
    Record {
        sequence_number: number(counter),
        arrival: Timestamp::from_seconds(1_600_000_000),
        partition_key: PartitionKey::new(Bytes::from_static(b"k")).unwrap(),
        data: Bytes::from(counter.to_string()),
    }
}

type Behaviour = Box<dyn FnMut(&Batch) -> Option<Delivery>>;

/// What survives a crash, and a module.
struct World {
    settings: Settings,
    stream: Vec<Record>,
    closed: bool,
    stored: ShardProgress,
    /// Every checkpoint that was stored.
    checkpoints: Vec<Option<Checkpoint>>,
    /// Batches that a module without holding took: the counters of their records.
    delivered: Vec<Vec<u64>>,
    /// All batches handed over, failed ones included.
    attempts: Vec<Vec<u64>>,
    /// The failed store, by a key that is a function of the batch: reason and counters.
    kept: BTreeMap<(u64, u64), Vec<(String, u64)>>,
    /// What was told of records that were given up.
    given_up: Vec<GivenUp>,
    /// Objects, by the counter of the first record.
    objects: BTreeMap<u64, Vec<u64>>,
    /// Held by the module: lost in a crash.
    holding: Vec<u64>,
    /// Records after which a holding module wants to be closed; 0 for a module that does not hold.
    hold: usize,
    rejects: fn(u64) -> bool,
    behaviour: Behaviour,
    now: Now,
}

impl World {
    fn new(records: u64) -> Self {
        Self {
            settings: Settings { batch_size: 4, ..Settings::default() },
            stream: (1..=records).map(record).collect(),
            closed: false,
            stored: ShardProgress::default(),
            checkpoints: Vec::new(),
            delivered: Vec::new(),
            attempts: Vec::new(),
            kept: BTreeMap::new(),
            given_up: Vec::new(),
            objects: BTreeMap::new(),
            holding: Vec::new(),
            hold: 0,
            rejects: |_| false,
            behaviour: Box::new(|_| None),
            now: Now {
                monotonic: Duration::ZERO,
                wall: Timestamp::from_seconds(1_600_000_001),
                room: usize::MAX,
                draining: false,
            },
        }
    }

    fn machine(&self) -> ShardMachine {
        let shard = ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(0) };
        let start = self.settings.starting_position.into();
        ShardMachine::new(ConsumerName::new("m"), shard, self.settings.clone(), start, 1)
    }

    fn cursor(&self, machine: &ShardMachine, counter: u64) -> Cursor {
        Cursor { shard: machine.shard.clone(), from: number(counter), since: None }
    }

    /// Runs until the machine finishes or waits at the tip with nothing under way, or until
    /// `crash` says so before an action (true: before it takes effect) or after it.
    fn run(&mut self, mut crash: impl FnMut() -> bool) -> Option<Finish> {
        let mut machine = self.machine();
        self.holding.clear();
        let mut action = machine.begin();
        for _ in 0..10_000 {
            if let Action::Finish(finish) = action {
                return Some(finish);
            }
            let waits = matches!(action, Action::Wait(..));
            let idle = waits && machine.held.is_none() && machine.buffer.is_empty();
            if idle && !self.now.draining || crash() {
                return None;
            }
            let event = self.answer(&machine, action);
            if crash() {
                return None;
            }
            action = machine.step(self.now, event);
            assert_eq!(
                machine.take_other_keys(),
                None,
                "a repetition has the keys that were announced"
            );
        }
        panic!("the machine does not come to rest");
    }

    fn answer(&mut self, machine: &ShardMachine, action: Action) -> Event {
        match action {
            Action::Load => Event::Loaded(Ok(self.stored.clone())),
            Action::Seek(position) => {
                let counter = match position {
                    StartingPosition::TrimHorizon => 1,
                    StartingPosition::Latest => self.stream.len() as u64 + 1,
                    StartingPosition::AtSequenceNumber(n) => n.counter(),
                    StartingPosition::AfterSequenceNumber(n) => n.counter() + 1,
                    StartingPosition::AtTimestamp(_) => unreachable!("not used here"),
                };
                Event::Sought(Ok(self.cursor(machine, counter)))
            }
            Action::Read(cursor, limits) => self.read(machine, &cursor, limits),
            Action::Wait(_, pause) | Action::Sleep(pause) => {
                self.now.monotonic += pause;
                Event::Woken
            }
            Action::Deliver(batch) => Event::Delivered(self.deliver(&batch)),
            Action::Keys => Event::Keys(self.holding.iter().take(1).map(u64::to_string).collect()),
            Action::Close => {
                let intent = self.stored.intent.clone().expect("announced before it is written");
                let holding = std::mem::take(&mut self.holding);
                if holding.is_empty() {
                    return Event::Closed(Delivery::delivered());
                }
                assert!(
                    intent.last.counter() >= *holding.last().unwrap(),
                    "past what was announced"
                );
                let before = self.objects.insert(holding[0], holding.clone());
                assert!(before.is_none_or(|before| before == holding), "another cut");
                Event::Closed(Delivery::delivered())
            }
            Action::Discard => {
                self.holding.clear();
                Event::Discarded
            }
            Action::Keep(batch) => {
                let lines: Vec<_> = batch
                    .records
                    .iter()
                    .map(|r| (r.reason.clone(), r.sequence_number.counter()))
                    .collect();
                self.kept.insert((lines[0].1, lines.len() as u64), lines);
                self.given_up.extend(batch.records.iter().filter_map(|record| record.given_up));
                Event::Kept(Ok(()))
            }
            Action::Store(progress) => {
                if self.checkpoints.last() != Some(&progress.checkpoint) {
                    self.checkpoints.push(progress.checkpoint);
                }
                self.stored = progress;
                Event::Stored(Ok(()))
            }
            Action::Finish(_) => unreachable!("run returns"),
        }
    }

    fn read(&mut self, machine: &ShardMachine, cursor: &Cursor, limits: ReadLimits) -> Event {
        let from = cursor.from.counter().max(1) as usize - 1;
        let to = (from + limits.records).min(self.stream.len());
        let records = self.stream[from.min(to)..to].to_vec();
        let next =
            (!self.closed || to < self.stream.len()).then(|| self.cursor(machine, to as u64 + 1));
        let millis_behind_latest = (self.stream.len() - to) as u64;
        Event::Read(Ok(ReadPage { records, next, millis_behind_latest, children: Vec::new() }))
    }

    fn deliver(&mut self, batch: &Batch) -> Delivery {
        let counters: Vec<u64> =
            batch.records.iter().map(|r| r.sequence_number.counter()).collect();
        self.attempts.push(counters.clone());
        if let Some(delivery) = (self.behaviour)(batch) {
            return delivery;
        }
        let (bad, good): (Vec<u64>, Vec<u64>) = counters.iter().partition(|n| (self.rejects)(**n));
        let rejected = bad
            .iter()
            .map(|n| RejectedRecord {
                sequence_number: number(*n),
                sub_sequence: 0,
                event_index: 0,
                arrival: Timestamp::default(),
                partition_key: Bytes::new(),
                reason: "not_json".into(),
                detail: String::new(),
                data: Bytes::new(),
            })
            .collect();
        if self.hold == 0 {
            self.delivered.push(good);
            return Delivery { outcome: Outcome::Delivered, rejected };
        }
        if good.is_empty() {
            return Delivery { outcome: Outcome::Delivered, rejected };
        }
        self.holding.extend(good);
        let full = self.holding.len() >= self.hold;
        let close = if full { Close::Now } else { Close::Within(Duration::from_secs(9)) };
        Delivery { outcome: Outcome::Held(close), rejected }
    }

    fn kept_with(&self, reason: &str) -> Vec<u64> {
        let all = self.kept.values().flatten();
        all.filter(|(r, _)| r == reason).map(|(_, n)| *n).collect()
    }
}

fn failing(batch: &Batch, cause: Cause) -> Option<Delivery> {
    let outcome = Outcome::Failed { from: batch.first(), cause, reason: "no".into() };
    Some(Delivery { outcome, rejected: Vec::new() })
}

fn given_up(condition: GiveUpCondition, first: u64, invoke_count: u32) -> GivenUp {
    GivenUp { condition, first: number(first), invoke_count }
}

fn has(batch: &Batch, counter: u64) -> bool {
    batch.records.iter().any(|r| r.sequence_number.counter() == counter)
}
